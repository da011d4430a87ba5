"""``python -m bench gate``: instructions of a JSON request, of a stream of 20 events and of one more event, counted by callgrind.

Instructions do not depend on what else the machine does. Each is the difference of two runs of one program that does a few and many of the
same, so that starting up drops out. More than three in a hundred above ``bench/gates.json`` fails; ``--update`` writes the file anew. Counts
belong to an interpreter and to the versions of what we stand on, so the file names them, and other ones are not compared.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import trio

import tercet

from .inside import REQUEST, InsideNetwork, drink, registry, stream, whole

FILE = Path(__file__).parent / "gates.json"
TOLERANCE = 0.03
_FEW, _MANY, _EVENTS, _MORE = 20, 120, 20, 100


def work(kind: str, count: int, tokens: int) -> None:
    """What is counted: ``count`` whole answers, or streams of ``tokens`` events, one event a read."""

    async def main() -> None:
        network = InsideNetwork(whole if kind == "json" else stream(tokens))
        async with tercet.open_manager(registry(), environ={}, network=network) as manager:
            for _ in range(count):
                await (manager.chat(REQUEST) if kind == "json" else drink(manager))

    trio.run(main)


def gate(*, update: bool) -> int:
    """Count, print, compare; the exit code."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        print("skipped: valgrind is not installed (apt-get install valgrind)")
        return 0
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(_instructions, valgrind, *run)
            for run in (
                ("json", _FEW, 0),
                ("json", _MANY, 0),
                ("stream", _FEW, _EVENTS),
                ("stream", _MANY, _EVENTS),
                ("stream", _FEW, _EVENTS + _MORE),
            )
        ]
        few, many, streams, more_streams, longer = (run.result() for run in runs)
    counts = {
        "a JSON request": (many - few) / (_MANY - _FEW),
        "a stream of 20 events": (more_streams - streams) / (_MANY - _FEW),
        "one more event": (longer - streams) / (_FEW * _MORE),
    }
    surroundings = {"python": platform.python_version(), "machine": platform.machine()}
    surroundings |= {name: version(name) for name in ("trio", "msgspec", "httptools")}
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    comparable = known.get("with") == surroundings
    is_worse = False
    for name, count in counts.items():
        before = known.get("instructions", {}).get(name)
        if comparable and before:
            change = count / before - 1
            is_worse |= change > TOLERANCE
            said = f"{change:+.1%} against {before:,}" + (" TOO MANY" if change > TOLERANCE else "")
        else:
            said = "nothing to compare with: other versions" if known else "nothing to compare with"
        print(f"{name}: {count:,.0f} instructions ({said})")
    if update:
        document = {
            "with": surroundings,
            "instructions": {name: round(count) for name, count in counts.items()},
        }
        FILE.write_text(json.dumps(document, indent=2) + "\n")
        return 0
    return 1 if is_worse else 0


def _instructions(valgrind: str, kind: str, count: int, tokens: int) -> int:
    program = f"from bench.gate import work; work({kind!r}, {count}, {tokens})"
    done = subprocess.run(
        [valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or found is None:
        raise RuntimeError(done.stderr.strip()[-500:])
    return int(found[1])
