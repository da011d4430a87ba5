"""``tercet demo --all``: every provider of the table that speaks HTTP, simulated in its own dialect, streaming at once.

In memory and without keys: each row is asked through the whole engine, and answers from a server that speaks its wire as the row says.
"""

from __future__ import annotations

import argparse
import time
from urllib.parse import urlsplit

import trio

import tercet
from tercet.adapters.offers import offers, sample_model
from tercet.engine.testing import MemoryNetwork, is_simulatable, lorem, sample_environ, simulated_row

from .output import print_json, print_table, style

__all__ = ["run"]

_KEY = "a-key-for-the-demo"


def run(options: argparse.Namespace) -> int:
    """Stream from all of them; 0 if every answer is whole."""
    started = time.monotonic()
    lines: list[tuple[str, str, str, str]] = trio.run(_all, restrict_keyboard_interrupt_to_checkpoints=True)
    if options.json:
        for provider, model, wire, ended in lines:
            print_json({"provider": provider, "model": model, "wire": wire, "ended": ended})
    else:
        print_table(("PROVIDER", "MODEL", "WIRE", "ENDED"), lines)
        whole = sum(line[3].startswith("complete") for line in lines)
        told = f"{whole} of {len(lines)} streams complete in {time.monotonic() - started:.1f} s."
        print(style(told, "green" if whole == len(lines) else "red"))
        skipped = [profile.id for profile in tercet.ProviderRegistry() if not is_simulatable(profile)]
        print(f"Not simulated here, because they speak no HTTP: {', '.join(skipped)}.")
    return 0 if all(line[3].startswith("complete") for line in lines) else 1


async def _all() -> list[tuple[str, str, str, str]]:
    lines: list[tuple[str, str, str, str]] = []
    async with MemoryNetwork(latency=0.01) as network, trio.open_nursery() as nursery:
        for profile in tercet.ProviderRegistry():
            if is_simulatable(profile):
                for offer in offers(profile):
                    model = sample_model(profile, offer.door)
                    nursery.start_soon(_one, network, profile, model, offer.wire, lines)
    return sorted(lines)


async def _one(
    network: MemoryNetwork,
    profile: tercet.Profile,
    model: str,
    wire: str,
    lines: list[tuple[str, str, str, str]],
) -> None:
    registry = tercet.ProviderRegistry([profile])
    environ = sample_environ(profile)
    settled = registry.adapter(profile.id, keys=_KEY, environ=environ)
    path = urlsplit(settled.base_url).path
    base_url = f"http://{profile.id}-{wire.replace('_', '-')}.simulated.test{path}"
    adapter = registry.adapter(profile.id, keys=_KEY, environ=environ, base_url=base_url)
    network.serve(
        adapter.origin, simulated_row(adapter, model, lorem(20, pace=0.02), wire=wire, key=_KEY).serve
    )
    keys = {} if profile.auth == "none" else {profile.id: _KEY}
    async with tercet.open_manager(
        registry, keys=keys, environ=environ, base_urls={profile.id: base_url}, network=network
    ) as manager:
        try:
            async with manager.chat_stream(tercet.ChatRequest(f"{profile.id}:{model}", "Hello.")) as stream:
                answer = await stream.collect()
            used = answer.usage.output_tokens if answer.usage is not None else 0
            ended = f"complete, {used} tokens" if answer.is_complete else "incomplete"
        except tercet.TercetError as error:
            ended = f"{type(error).__name__}: {error}"
    lines.append((profile.id, model, wire, ended))
