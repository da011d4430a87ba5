"""``tercet doctor``: which keys were found and where, whether the hosts answer, whether the clock and TLS are right.

Never prints a key. A check costs one small request per provider (its list of models).
"""

from __future__ import annotations

import argparse
import os
import ssl
import sys
import time
from email.utils import parsedate_to_datetime
from typing import Any

import trio

import tercet
from tercet.adapters.call import HttpCall

from .listing import key_source
from .output import code_of, print_error, print_json, style

__all__ = ["run"]

_CHECK_SECONDS = 10.0
_SKEW_SECONDS = 60.0
"""AWS refuses a signature that is 5 minutes off; a minute is worth a word."""


def run(options: argparse.Namespace) -> int:
    """Print the findings; 0 if every provider looked at is fine, 1 if one is not."""
    registry = tercet.ProviderRegistry()
    try:
        chosen = [registry.get(name) for name in options.provider]
    except tercet.TercetError as error:
        print_error(error, as_json=options.json)
        return code_of(error)
    if not chosen:
        chosen = [profile for profile in registry if key_source(profile)]
    findings: dict[str, Any] = {
        "python": sys.version.split()[0],
        "trio": trio.__version__,
        "tls": ssl.OPENSSL_VERSION,
    }
    findings["proxies"] = sorted(
        name for name in os.environ if name.lower() in ("https_proxy", "http_proxy", "all_proxy", "no_proxy")
    )
    reports: list[dict[str, Any]] = trio.run(_check_all, registry, chosen, options.offline)
    if options.json:
        print_json({**findings, "providers": reports})
    else:
        _print(findings, reports)
        if not chosen:
            names = [name for profile in registry for name in profile.key_env]
            print(f"no key was found. Looked for: {', '.join(names)}")
    return 0 if all(report["ok"] for report in reports) else 1


async def _check_all(
    registry: tercet.ProviderRegistry, chosen: list[tercet.Profile], offline: bool
) -> list[dict[str, Any]]:
    reports: list[dict[str, Any]] = [{} for _ in chosen]

    async def check(position: int, profile: tercet.Profile) -> None:
        reports[position] = await _check(registry, profile, offline)

    async with trio.open_nursery() as nursery:
        for position, profile in enumerate(chosen):
            nursery.start_soon(check, position, profile)
    return reports


async def _check(registry: tercet.ProviderRegistry, profile: tercet.Profile, offline: bool) -> dict[str, Any]:
    report: dict[str, Any] = {
        "provider": profile.id,
        "ok": False,
        "key": key_source(profile),
        "status": profile.status,
    }
    try:
        adapter = registry.adapter(profile.id, environ=os.environ)
    except tercet.TercetError as error:
        return {**report, "problem": error.message}
    report["address"] = adapter.base_url
    if offline:
        return {**report, "ok": True}
    async with tercet.open_manager(registry) as manager:
        status = await manager.health_check(profile.id)
        report["ok"] = status.is_healthy
        if status.latency is not None:
            report["latency_ms"] = round(status.latency * 1000)
        if status.reasons:
            report["problem"] = "; ".join(status.reasons)
        skew = await _clock_skew(adapter)
        if skew is not None:
            report["clock_skew_s"] = round(skew)
            if abs(skew) > _SKEW_SECONDS:
                report["problem"] = (
                    f"this machine's clock is {skew:+.0f} s off the provider's; signed requests will be refused"
                )
                report["ok"] = False
    return report


async def _clock_skew(adapter: tercet.Adapter) -> float | None:
    """Our clock minus the provider's ``Date`` header, in seconds; None if it is no host, or does not answer, or gives none."""
    if adapter.origin.scheme not in ("http", "https"):
        return None
    from tercet.engine.runtime.transport import SocketNetwork, Transport, proxies_from_environ

    transport = Transport(SocketNetwork(proxies=proxies_from_environ(os.environ)))
    with trio.move_on_after(_CHECK_SECONDS):
        try:
            response = await transport.send(
                HttpCall("HEAD", adapter.origin, "/", (("user-agent", "tercet"),))
            )
            response.close()
            stated = response.headers.get("date")
            if stated:
                return time.time() - parsedate_to_datetime(stated).timestamp()
        except (tercet.TercetError, ValueError):
            return None
        finally:
            transport.close()
    return None


def _print(findings: dict[str, Any], reports: list[dict[str, Any]]) -> None:
    print(f"python {findings['python']}, trio {findings['trio']}, {findings['tls']}")
    if findings["proxies"]:
        print(f"proxy settings in the environment: {', '.join(findings['proxies'])}")
    for report in reports:
        mark = style("ok", "green") if report["ok"] else style("!!", "red")
        facts = [f"key from {report['key']}" if report["key"] else "no key", report.get("address", "")]
        if "latency_ms" in report:
            facts.append(f"{report['latency_ms']} ms")
        if "clock_skew_s" in report:
            facts.append(f"clock {report['clock_skew_s']:+d} s")
        print(f"{mark}  {report['provider']}: {', '.join(fact for fact in facts if fact)}")
        if "problem" in report:
            print(f"    {report['problem']}")
