"""Rounds, medians and ratios."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Case = Callable[[], float]
"""Does its work once; gives the CPU seconds that count, per unit of work."""


@dataclass
class Figure:
    """One case's figure: ``value`` in ``unit``; ``ratio`` of the peer's time to ours (above 1: we are faster), None for ourselves."""

    suite: str
    case: str
    value: float
    unit: str
    ratio: float | None = None


def cpu(work: Callable[[], object], units: int) -> float:
    """CPU seconds per unit of one run of ``work``."""
    gc.collect()
    started = time.process_time()
    work()
    return (time.process_time() - started) / units


def compare(
    suite: str, cases: Mapping[str, Case], *, rounds: int, unit: str, convert: Callable[[float], float]
) -> list[Figure]:
    """Run all cases in turns. The first is ours; ``convert`` makes the figure of seconds per unit."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for case in cases.values():
        case()  # warm: imports, caches, pools
    for _ in range(rounds):
        for name, case in cases.items():
            times[name].append(case())
    ours = next(iter(cases))
    figures: list[Figure] = []
    for name, seconds in times.items():
        ratios = [theirs / mine for theirs, mine in zip(seconds, times[ours], strict=True)]
        ratio = None if name == ours else round(statistics.median(ratios), 2)
        figures.append(Figure(suite, name, round(convert(statistics.median(seconds)), 2), unit, ratio))
    return figures


def print_figures(name: str, figures: list[Figure]) -> None:
    """A table, as Markdown."""
    print(f"\n## {name}\n\n| case | figure | our advantage |\n|---|---|---|")
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:g}x"
        print(f"| {figure.suite} {figure.case} | {figure.value:,} {figure.unit} | {ratio} |")
