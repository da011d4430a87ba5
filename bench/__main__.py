"""``python -m bench setup | run [SUITE ...] | report | gate``: what tercet costs, beside its peers.

- ``setup`` makes the peers' environments (``bench/.venvs``) from their lock files (``bench/peers``);
- ``run`` measures: all suites, or those named; with all of them it writes ``results.json`` and ``RESULTS.md``;
- ``report`` writes ``RESULTS.md`` again from ``results.json``;
- ``gate`` counts instructions and compares them with ``gates.json``.

Method. Cases that are compared run in turns (A B C, A B C, ...), so that a machine that slows down slows all of them; the figure is the
median over the rounds of CPU time (``time.process_time``) per unit, the ratio the median of the rounds' ratios. CPU time, not wall time: a
machine has other things to do. Every client is a process of its own, in an environment of its own, and the server that answers is another
one (``upstream.c``), so that nobody's CPU is counted as another's. Peers that are not installed are left out, and said so.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

from . import allocations, decode, gate, memory, peers, report, resume, sse, suites
from .measure import Figure
from .peers import Clients
from .upstream import Upstream, running

Suite = Callable[[Upstream, Clients, int], list[Figure]]
SUITES: dict[str, Suite] = {
    "dispatch": suites.dispatch,
    "tokens": suites.tokens,
    "paced": suites.paced,
    "scale": suites.scale,
    "memory": lambda _upstream, _clients, _rounds: memory.run(),
    "sse": lambda _upstream, clients, rounds: sse.run(clients, rounds),
    "decode": lambda _upstream, _clients, rounds: decode.run(rounds),
    "allocations": lambda _upstream, _clients, _rounds: allocations.run(),
    "import": lambda _upstream, _clients, rounds: memory.imports(rounds),
    "resume": lambda _upstream, _clients, _rounds: resume.run(),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure tercet beside its peers.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("setup", help="make the peers' environments")
    run = commands.add_parser("run", help="measure")
    run.add_argument("suite", nargs="*", choices=[*SUITES, []], help="which suites (default: all)")
    run.add_argument("--rounds", type=int, default=7, help="rounds of each comparison (default: 7)")
    run.add_argument("--write", action="store_true", help="write the results of single suites, too")
    commands.add_parser("report", help="write RESULTS.md again")
    gates = commands.add_parser("gate", help="count instructions")
    gates.add_argument("--update", action="store_true", help="write gates.json")
    options = parser.parse_args()
    match options.command:
        case "setup":
            return peers.setup()
        case "gate":
            return gate.gate(update=options.update)
        case "report":
            report.again()
            return 0
        case _:
            return _run(options.suite, options.rounds, write=options.write or not options.suite)


def _run(names: list[str], rounds: int, *, write: bool) -> int:
    load = os.getloadavg()[0]
    started = time.monotonic()
    figures: list[Figure] = []
    with running() as upstream, Clients() as clients:
        for name in names or SUITES:
            found = SUITES[name](upstream, clients, rounds)
            for figure in found:
                ratio = "" if figure.ratio is None else f"  {figure.ratio:.2f}x"
                print(
                    f"{figure.suite}: {figure.case}: {figure.value:,.4g} {figure.unit}{ratio}  {figure.note}",
                    flush=True,
                )
            figures += found
        facts = {
            "load": [load, os.getloadavg()[0]],
            "seconds": round(time.monotonic() - started),
            "upstream": upstream.language,
            "peers": clients.packages,
        }
        if write:
            report.write(figures, rounds=rounds, facts=facts, missing=clients.missing)
    return 0


if __name__ == "__main__":
    sys.exit(main())
