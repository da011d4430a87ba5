"""Results as JSON and as ``RESULTS.md``: the figures, the goals beside them, and what must not be read into them."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

from .measure import Figure, interval

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
DATA = HERE / "results.json"


Found = tuple[float, float, float]
"""A value and its interval."""


@dataclass
class Goal:
    """A figure that was aimed at: where to find it, the bound, and in which direction it lies."""

    number: str
    says: str
    find: Callable[[Sequence[Figure]], Found | None]
    bound: float
    is_most: bool
    note: str = ""

    def verdict(self, found: Found) -> str:
        """Met or missed only if the whole interval is; else it is not settled by this run."""
        kept = [value <= self.bound if self.is_most else value >= self.bound for value in found]
        if all(kept):
            return "met"
        return "**not settled**" if any(kept) else "**missed**"


Finder = Callable[[Sequence[Figure]], Found | None]


def _figure(figures: Sequence[Figure], suite: str, case: str) -> Figure | None:
    return next((f for f in figures if f.suite == suite and f.case == case), None)


def _value(suite: str, case: str) -> Finder:
    def find(figures: Sequence[Figure]) -> Found | None:
        figure = _figure(figures, suite, case)
        return None if figure is None else (figure.value, figure.low, figure.high)

    return find


def _ratio(suite: str, case: str, *, inverse: bool = False) -> Finder:
    """The peer's CPU to ours, or ours to the peer's."""

    def find(figures: Sequence[Figure]) -> Found | None:
        figure = _figure(figures, suite, case)
        if figure is None or figure.ratio is None:
            return None
        bounds = (figure.ratio, figure.ratio_low or figure.ratio, figure.ratio_high or figure.ratio)
        return (1 / bounds[0], 1 / bounds[2], 1 / bounds[1]) if inverse else bounds

    return find


def _over_bare(figures: Sequence[Figure]) -> Found | None:
    ours = _figure(figures, "dispatch", "tercet, everything on")
    bare = _figure(figures, "dispatch", "tercet's bare transport")
    if ours is None or bare is None:
        return None
    over = [mine - base for mine, base in zip(ours.rounds, bare.rounds, strict=True)]
    return (statistics.median(over), *interval(over))


def _import_memory(figures: Sequence[Figure]) -> Found | None:
    ours = _figure(figures, "import", "import tercet and its engine: resident")
    theirs = _figure(figures, "import", "import trio, msgspec, ssl: resident")
    return None if ours is None or theirs is None else (ours.value / theirs.value,) * 3


def _providers(kind: str) -> Finder:
    def find(figures: Sequence[Figure]) -> Found | None:
        found = next((f.value for f in figures if f.case.endswith(f"used once: {kind}")), None)
        return None if found is None else (found,) * 3

    return find


_ALL, _ENGINE = "tercet, everything on", "tercet, as the engine reads"
GOALS = [
    Goal("P1", "CPU of a JSON request, 1,000 tasks, us", _value("dispatch", _ALL), 120, is_most=True),
    Goal("P1", "of it over the bare transport, us", _over_bare, 50, is_most=True),
    Goal(
        "P1",
        "the openai SDK takes so many times as much",
        _ratio("dispatch", "openai SDK, 100 connections"),
        15,
        is_most=False,
    ),
    Goal(
        "P1",
        "httpx takes so many times as much",
        _ratio("dispatch", "httpx (trio), 100 connections"),
        7,
        is_most=False,
    ),
    Goal("P2", "CPU of a token, 1,000 unpaced streams, us", _value("tokens", _ALL), 5, is_most=True),
    Goal(
        "P2",
        "the same, long streams (500 k tokens/s), us",
        _value("tokens, long streams", _ALL),
        2,
        is_most=True,
    ),
    Goal(
        "P2", "the openai SDK takes so many times as much", _ratio("tokens", "openai SDK"), 20, is_most=False
    ),
    Goal("P2", "litellm takes so many times as much", _ratio("tokens", "litellm"), 80, is_most=False),
    Goal(
        "P3",
        "CPU of a token that comes alone, 1,000 streams at 10/s, us",
        _value("paced", _ALL),
        30,
        is_most=True,
    ),
    Goal(
        "P3",
        "of trio.SocketStream and a parser by hand",
        _ratio("paced", "trio.SocketStream, parsed by hand", inverse=True),
        0.75,
        is_most=True,
    ),
    Goal(
        "P4",
        "1,000 streams at 30 tokens/s: tokens that came, a second",
        _value("scale", "1,000 streams at 30 tokens/s: tokens that came"),
        30_000,
        is_most=False,
        note="with all of a core: nothing to spare",
    ),
    Goal("P4", "10,000 open streams, MiB", _value("scale", "10,000 open streams: memory"), 100, is_most=True),
    Goal("P5", "all providers used once, resident KiB", _providers("resident"), 1024, is_most=True),
    Goal("P5", "all providers used once, KiB of objects", _providers("Python's objects"), 1024, is_most=True),
    Goal("P5", "an open stream, KiB", _value("scale", "10,000 open streams: each"), 8, is_most=True),
    Goal(
        "P5",
        "blocks kept a token, 2 M tokens",
        _value("memory", "blocks kept a token, over 2 M tokens"),
        0.001,
        is_most=True,
    ),
    Goal(
        "P5",
        "resident growth a token, 2 M tokens, bytes",
        _value("memory", "resident growth a token, over 2 M tokens"),
        0.1,
        is_most=True,
    ),
    Goal(
        "P5",
        "read buffers, KiB",
        _value("memory", "read buffers, all connections together"),
        2048,
        is_most=True,
    ),
    Goal("P6", "SSE in reads of 64 B, MB/s", _value("sse, data, reads of 64 B", _ENGINE), 100, is_most=False),
    Goal(
        "P6", "SSE in reads of 1 KiB, MB/s", _value("sse, data, reads of 1024 B", _ENGINE), 400, is_most=False
    ),
    Goal(
        "P6",
        "SSE in reads of 16 KiB, MB/s",
        _value("sse, data, reads of 16384 B", _ENGINE),
        750,
        is_most=False,
    ),
    Goal(
        "P6",
        "the openai decoder takes so many times as much, 1 KiB",
        _ratio("sse, data, reads of 1024 B", "openai SDK's decoder"),
        5,
        is_most=False,
    ),
    Goal(
        "P6",
        "Node's eventsource-parser takes so many times as much, 16 KiB",
        _ratio("sse, data, reads of 16384 B", "Node eventsource-parser"),
        1,
        is_most=False,
    ),
    Goal(
        "P7",
        "allocation calls an event, parse and decode",
        _value("allocations", "parse and decode"),
        12,
        is_most=True,
    ),
    Goal(
        "P7", "allocation calls an event, end to end", _value("allocations", "end to end"), 50, is_most=True
    ),
    Goal(
        "P7",
        "KiB asked for a read, end to end",
        _value("allocations", "end to end: asked for a read"),
        4,
        is_most=True,
    ),
    Goal(
        "P8",
        "import: CPU, of trio, msgspec and ssl",
        _ratio("import", "import trio, msgspec, ssl", inverse=True),
        1.15,
        is_most=True,
    ),
    Goal("P8", "import: resident, of trio, msgspec and ssl", _import_memory, 1.15, is_most=True),
    Goal(
        "P9",
        "CPU from a cut to the next request, ms",
        _value("resume", "CPU from a cut to the next attempt's request"),
        1,
        is_most=True,
    ),
]

_CLAIMS = """
## What these figures are not

- **Unpaced streams are no production.** No provider sends a thousand answers at once as fast as a socket takes them; the paced figure, a token a
  read, is what a program sees. Unpaced is how much room there is.
- **A server on the loopback that says the same every time** is not a provider: no TLS here, a head of two or three fields, small answers, nobody loses a packet.
- **"Zero allocation" would be untrue.** Python allocates for every object; what is counted is how often, and that nothing stays.
- **"Under 5 ms" for a dispatch says nothing**: it is tens of microseconds of ours and then the network's and the model's time.
- **The server is not free.** On the loopback the kernel does the receiver's work while the sender sends, and charges it to the sender. So the C server
  takes a third to a half of what the barest clients take (the notes say where it is more than a fifth), and about a tenth of what the engine takes. It
  is another process on another core, and its CPU is in no figure.
- CPU time, not wall time, and ratios within one run: absolute figures belong to this machine on this day.
- Peers do what they were made for, with types and conveniences we do not have. Where a peer was given fewer connections or streams, it was because
  that is faster for it, or because a round would take minutes; the note says so.
- `trio.SocketStream, parsed by hand` has no deadlines, limits, retries or checks: it is the floor, not a competitor.
"""


def write(figures: list[Figure], *, rounds: int, facts: dict[str, Any], missing: dict[str, str]) -> None:
    """Write both files."""
    about: dict[str, Any] = {
        "date": date.today().isoformat(),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "rounds": rounds,
        "ours": {name: version(name) for name in ("trio", "msgspec", "httptools", "h11")},
        **facts,
    }
    DATA.write_text(
        json.dumps(
            {"about": about, "missing": missing, "figures": [asdict(figure) for figure in figures]}, indent=1
        )
        + "\n"
    )
    RESULTS.write_text("\n".join(_page(figures, about, missing)))


def again() -> None:
    """Write ``RESULTS.md`` anew from ``results.json``: its words have changed, the figures have not."""
    known = json.loads(DATA.read_text())
    figures = [Figure(**figure) for figure in known["figures"]]
    RESULTS.write_text("\n".join(_page(figures, known["about"], known["missing"])))


def _page(figures: list[Figure], about: dict[str, Any], missing: dict[str, str]) -> list[str]:
    lines = [
        "# Results",
        "",
        f"`python -m bench setup && python -m bench run`, {about['date']}. {about['processor']}, {about['cores']} cores, {about['platform']}, "
        f"CPython {about['python']}. Medians of {about['rounds']} interleaved rounds (A B C, A B C, ...), 95 % bootstrap intervals in brackets. "
        f"The load average was {about['load'][0]:.1f} at the start and {about['load'][1]:.1f} at the end: the machine was shared with other work, so the "
        "absolute figures are unsteady; ratios within a run are steadier, and still differ from run to run (see below).",
        "",
        f"{about.get('also', '')}The upstream is written in {about['upstream']}, a process of its own.",
        "",
        "## Goals",
        "",
        "| | | measured | goal | |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    for goal in GOALS:
        found = goal.find(figures)
        sign = "<=" if goal.is_most else ">="
        if found is None:
            lines.append(f"| {goal.number} | {goal.says} | not measured | {sign} {goal.bound:g} | |")
            continue
        shown = _number(found[0])
        if found[1] != found[2]:
            shown += f" [{_number(found[1])}, {_number(found[2])}]"
        verdict = goal.verdict(found) + (f"; {goal.note}" if goal.note else "")
        lines.append(f"| {goal.number} | {goal.says} | {shown} | {sign} {goal.bound:g} | {verdict} |")
    lines += [
        "",
        "A goal is met or missed where the whole interval is; else this run does not settle it. Figures without an interval were measured once.",
    ]
    lines += _repeats(about)
    lines.append(_CLAIMS)
    for suite, group in groupby(figures, lambda figure: figure.suite):
        lines += [f"## {suite}", "", "| | figure | CPU to ours | |", "| --- | ---: | ---: | --- |"]
        for figure in group:
            shown = f"{_number(figure.value)} {figure.unit}"
            if figure.low != figure.high:
                shown += f" [{_number(figure.low)}, {_number(figure.high)}]"
            ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}x"
            if figure.ratio_low is not None and figure.ratio_high is not None:
                ratio += f" [{figure.ratio_low:.2f}, {figure.ratio_high:.2f}]"
            lines.append(f"| {figure.case} | {shown} | {ratio} | {figure.note} |")
        lines.append("")
    lines += ["## Versions", ""]
    ours = ", ".join(f"{name} {number}" for name, number in about["ours"].items())
    lines.append(f"- ours: {ours}")
    for name, packages in about.get("peers", {}).items():
        told = ", ".join(f"{package} {number}" for package, number in packages.items())
        lines.append(f"- {name}: {told}")
    if missing:
        lines += ["", "Could not be had here:", ""]
        lines += [f"- {name}: {why}" for name, why in missing.items()]
    lines.append("")
    return lines


def _repeats(about: dict[str, Any]) -> list[str]:
    """Every run of a suite that was run more than once, those included whose figures are not the ones above."""
    runs = about.get("repeats", [])
    if not runs:
        return []
    lines = [
        "",
        "## Dispatch, every run",
        "",
        "CPU to ours. Runs differ by more than their own intervals say, so one run is no proof of a ratio.",
        "",
    ]
    lines.append("| | " + " | ".join(run["name"] for run in runs) + " |")
    lines.append("| --- |" + " ---: |" * len(runs))
    return lines + [
        f"| {case} | " + " | ".join(f"{run['ratios'][case]:.2f}x" for run in runs) + " |"
        for case in runs[0]["ratios"]
    ]


def _number(value: float) -> str:
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
