"""Rounds, medians, ratios, and how sure of them one can be."""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Case = Callable[[], float]
"""Does its work once; gives the CPU seconds that count, per unit of work."""
_RESAMPLES = 2000


@dataclass
class Figure:
    """One case's figure: the median of its rounds in ``unit``, with a 95 % interval.

    ``ratio`` is the peer's CPU to ours (above 1: we take less), the median of the rounds' ratios, with its interval; None for ourselves.
    ``note`` says what else should be known.
    """

    suite: str
    case: str
    value: float
    unit: str
    low: float
    high: float
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    note: str = ""
    rounds: list[float] = field(default_factory=list)


def cpu(work: Callable[[], object], units: int) -> float:
    """CPU seconds per unit of one run of ``work``."""
    gc.collect()
    started = time.process_time()
    work()
    return (time.process_time() - started) / units


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % bootstrap interval of the median: the percentiles of the medians of resampled rounds (seeded, so it can be repeated)."""
    chance = random.Random(len(values))
    medians = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    return medians[int(_RESAMPLES * 0.025)], medians[int(_RESAMPLES * 0.975)]


def compare(
    suite: str,
    cases: Mapping[str, Case],
    *,
    rounds: int,
    unit: str,
    convert: Callable[[float], float],
    notes: Mapping[str, str] | None = None,
) -> list[Figure]:
    """Run all cases in turns (A B C, A B C, ...), so that a machine that slows down slows all of them; one more round before, to warm up.

    The first case is ours. ``convert`` makes the figure of CPU seconds per unit. A case that raises is left out, and said so.
    """
    times: dict[str, list[float]] = {name: [] for name in cases}
    failed: dict[str, str] = {}
    for number in range(rounds + 1):
        for name, case in cases.items():
            if name in failed:
                continue
            try:
                seconds = case()
            except RuntimeError as error:
                failed[name] = str(error)
                print(f"{suite}: {name} failed and is left out: {error}", file=sys.stderr)
                continue
            if number:
                times[name].append(seconds)
        print(f"{suite}: round {number} of {rounds}", file=sys.stderr, flush=True)
    ours = times[next(iter(cases))]
    return [
        _figure(suite, name, seconds, ours, unit, convert, (notes or {}).get(name, ""))
        for name, seconds in times.items()
        if name not in failed
    ]


def _figure(
    suite: str,
    name: str,
    seconds: list[float],
    ours: list[float],
    unit: str,
    convert: Callable[[float], float],
    note: str,
) -> Figure:
    bounds = sorted(map(convert, interval(seconds)))
    figure = Figure(suite, name, convert(statistics.median(seconds)), unit, *bounds, note=note)
    figure.rounds = [convert(value) for value in seconds]
    if seconds is not ours:
        ratios = [theirs / mine for theirs, mine in zip(seconds, ours, strict=True)]
        figure.ratio = statistics.median(ratios)
        figure.ratio_low, figure.ratio_high = interval(ratios)
    return figure


def single(suite: str, case: str, value: float, unit: str, note: str = "") -> Figure:
    """A figure that was measured once (memory, counts)."""
    return Figure(suite, case, value, unit, value, value, note=note, rounds=[value])
