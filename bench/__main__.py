"""``python -m bench [sse] [decode] [dispatch] [stream] [--json FILE] [--quick]``: each figure beside a peer, in one run.

Method. Every case is a function that does a fixed amount of work. Cases that are compared run in turns (A B C, A B C, ...), so that a
machine that slows down slows all of them; the figure is the median over the rounds of CPU time (``time.process_time``) per unit, and
the ratio is the median of the rounds' ratios. CPU time, not wall time: this machine has other things to do.

The fleet that answers runs in a process of its own, so that its CPU is not counted. Peers that are not installed are left out and
said so (``pip install '.[bench]'``).
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from importlib.metadata import version

from . import decode, dispatch, sse, stream
from .measure import Figure, print_figures

SUITES = {"sse": sse.run, "decode": decode.run, "dispatch": dispatch.run, "stream": stream.run}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure tercet beside its peers.")
    parser.add_argument("suite", nargs="*", choices=[*SUITES, []], help="which suites (default: all)")
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON, too")
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the rounds: for trying the harness out"
    )
    options = parser.parse_args()
    rounds = 3 if options.quick else 11
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}, {rounds} rounds"
    )
    figures: list[Figure] = []
    for name in options.suite or SUITES:
        found = SUITES[name](rounds)
        print_figures(name, found)
        figures += found
    if options.json:
        packages = {name: version(name) for name in ("trio", "msgspec", "httptools", "h11", "httpx")}
        document = {
            "python": sys.version,
            "machine": platform.platform(),
            "packages": packages,
            "figures": [figure.__dict__ for figure in figures],
        }
        with open(options.json, "w") as file:
            json.dump(document, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
