"""``tercet demo --chaos SEED``: a minute of traffic through five simulated providers that fail in every way, in a few seconds.

Time is virtual and the network in memory; manager, lanes, codecs and transport are the real ones. The same seed gives the same minute.
"""

from __future__ import annotations

import argparse
import time

from tercet.engine.runtime.accounts import Inspection
from tercet.engine.testing.simulation import Report, run_simulation
from tercet.engine.testing.weather import Plan, plan

from .output import print_json, print_table, style

__all__ = ["run"]

_SECONDS = 60.0
_A_SECOND = 10.0
_MOST_REQUESTS = 12


def run(options: argparse.Namespace) -> int:
    """Simulate, and tell what came of it; 0 if everything held that must, else 1."""
    drawn = plan(options.chaos, round(_SECONDS * _A_SECOND), a_second=_A_SECOND, breaker={})
    started = time.monotonic()
    report = run_simulation(drawn, picture_at=_SECONDS / 2)
    took = time.monotonic() - started
    if options.json:
        print_json(_facts(report))
    else:
        _tell(drawn, report, took)
    return 1 if report.violations else 0


def _facts(report: Report) -> dict[str, object]:
    return {
        "seed": report.seed,
        "requests": len(report.ended),
        "outcomes": dict(sorted(report.outcomes.items())),
        "attempts": len(report.records),
        "failovers": report.failovers,
        "restarts": report.restarts,
        "breaker_openings": report.openings,
        "seconds": round(report.seconds, 3),
        "digest": report.digest,
        "violations": report.violations,
    }


def _tell(drawn: Plan, report: Report, took: float) -> None:
    if report.picture is not None:
        print(style(f"After {_SECONDS / 2:g} s:", "bold"))
        _draw(drawn, report.picture)
        print()
    rows = [("requests", str(len(report.ended)))]
    rows += [(f"  {outcome}", str(count)) for outcome, count in report.outcomes.most_common()]
    rows += [
        ("attempts", str(len(report.records))),
        ("failovers", str(report.failovers)),
        ("restarts", str(report.restarts)),
        ("breaker openings", str(report.openings)),
    ]
    print_table(("what", "count"), rows)
    print()
    print(
        f"{report.seconds:.0f} simulated seconds in {took:.1f} s; seed {report.seed}, digest {report.digest[:16]}"
    )
    for violation in report.violations:
        print(style("violated", "red"), violation)
    if not report.violations:
        print(
            style("Held:", "green"),
            "each request ended once, nothing was lost, doubled or cut short, nothing is left.",
        )


def _draw(drawn: Plan, picture: Inspection) -> None:
    """Lanes with their breakers, and the requests under way with the attempts that have ended."""
    for lane in picture.lanes:
        weather = drawn.weather_at(lane.provider, _SECONDS / 2)
        host = "" if weather.host == "up" else f", host {weather.host}"
        print(
            f"{lane.provider:<8} breaker {lane.breaker.state.value}, {lane.in_flight} in flight, {lane.queued} queued; "
            f"{weather.rate:.0%} of its answers go wrong{host}"
        )
    shown = picture.requests[:_MOST_REQUESTS]
    for request in shown:
        print(f"  request {request.request:<4} {request.target:<14} {request.phase}, {request.age:.1f} s")
        for attempt in request.attempts:
            why = f" ({attempt.cause})" if attempt.cause else ""
            print(
                f"    attempt {attempt.attempt} at {attempt.provider}: {attempt.outcome}{why} after {attempt.duration:.1f} s"
            )
    if len(picture.requests) > len(shown):
        print(f"  and {len(picture.requests) - len(shown)} more")
