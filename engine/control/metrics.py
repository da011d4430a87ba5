"""``ProviderMetrics``: what happened at one provider, counted.

Rules:

1. Counters only grow. A recording costs the same however much was recorded, and nothing is done per token.
2. Histograms have fixed buckets, the same for all providers, so they can be added up and compared.
3. What can be named by others (causes) is bounded: past ``_MAX_CAUSES`` names the rest is counted as ``other``.
4. A snapshot is frozen: it does not change while it is read.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence

import msgspec

from .outcome import Outcome, OutcomeKind

__all__ = ["Histogram", "HistogramSnapshot", "MetricsSnapshot", "ProviderMetrics"]

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0, 300.0, 600.0)
_TOKENS_PER_SECOND = (
    1.0,
    2.5,
    5.0,
    10.0,
    20.0,
    40.0,
    60.0,
    80.0,
    100.0,
    150.0,
    200.0,
    400.0,
    800.0,
    1600.0,
    3200.0,
)
_SMOOTHING = 0.2
_MAX_CAUSES = 64
_OTHER = "other"


class HistogramSnapshot(msgspec.Struct, frozen=True):
    """Counts per bucket: ``counts[i]`` values were above ``bounds[i - 1]`` and at most ``bounds[i]``; the last count is of those above all bounds."""

    bounds: Sequence[float]
    counts: Sequence[int]
    total: float

    @property
    def count(self) -> int:
        """How many values."""
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        """Their mean, None without any."""
        count = self.count
        return self.total / count if count else None

    def quantile(self, part: float) -> float | None:
        """The value below which ``part`` (0 to 1) of them lie, interpolated within its bucket; None without any. Above all bounds it is the last bound."""
        count = self.count
        if not count:
            return None
        wanted = min(max(part, 0.0), 1.0) * count
        seen = 0
        lower = 0.0
        for bound, inside in zip(self.bounds, self.counts, strict=False):
            if inside and seen + inside >= wanted:
                return lower + (bound - lower) * (wanted - seen) / inside
            seen += inside
            lower = bound
        return lower

    def __add__(self, other: HistogramSnapshot) -> HistogramSnapshot:
        """Both together. Raises ValueError where the bounds differ."""
        if tuple(self.bounds) != tuple(other.bounds):
            raise ValueError("histograms with different bounds cannot be added")
        counts = tuple(mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True))
        return HistogramSnapshot(self.bounds, counts, self.total + other.total)


class Histogram:
    """Counts values into fixed buckets. Values that are negative or no number are left out."""

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        if 0 <= value < math.inf:
            self._counts[bisect_left(self._bounds, value)] += 1
            self._total += value

    def snapshot(self) -> HistogramSnapshot:
        """The counts so far."""
        return HistogramSnapshot(self._bounds, tuple(self._counts), self._total)


class MetricsSnapshot(msgspec.Struct, frozen=True):
    """One provider's counts. Times in seconds. ``outcomes`` is by kind, ``causes`` by error type and status; ``latency`` is the smoothed time to first content."""

    provider: str
    attempts: int
    outcomes: Mapping[str, int]
    causes: Mapping[str, int]
    retries: int
    input_tokens: int
    output_tokens: int
    cost: float
    latency: float | None
    first_content: HistogramSnapshot
    duration: HistogramSnapshot
    tokens_per_second: HistogramSnapshot
    wait: HistogramSnapshot

    @property
    def success_rate(self) -> float | None:
        """The part of all attempts that ended well, None before the first."""
        return self.outcomes.get(OutcomeKind.OK.value, 0) / self.attempts if self.attempts else None


class ProviderMetrics:
    """The counters of one provider."""

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self._attempts = 0
        self._retries = 0
        self._outcomes = dict.fromkeys((kind.value for kind in OutcomeKind), 0)
        self._causes: dict[str, int] = {}
        self._input_tokens = 0
        self._output_tokens = 0
        self._cost = 0.0
        self._latency: float | None = None
        self._first_content = Histogram(_SECONDS)
        self._duration = Histogram(_SECONDS)
        self._speed = Histogram(_TOKENS_PER_SECOND)
        self._wait = Histogram(_SECONDS)

    @property
    def latency(self) -> float | None:
        """The smoothed time to first content in seconds, None before the first: what routing by latency asks for."""
        return self._latency

    @property
    def first_content(self) -> Histogram:
        """Times to first content in seconds: what hedging asks for."""
        return self._first_content

    def record_attempt(
        self, outcome: Outcome, *, attempt: int = 1, wait: float | None = None, cost: float | None = None
    ) -> None:
        """One attempt ended. ``attempt`` is its number (from 1), ``wait`` the seconds it queued, ``cost`` its dollars; None is unknown."""
        self._attempts += 1
        self._retries += attempt > 1
        self._outcomes[outcome.kind.value] += 1
        self._input_tokens += outcome.input_tokens
        self._output_tokens += outcome.output_tokens
        self._cost += cost or 0.0
        self._duration.add(outcome.duration)
        if wait is not None:
            self._wait.add(wait)
        if outcome.error is not None:
            self._count_cause(outcome)
        if outcome.first_content is not None:
            self._count_content(outcome.first_content, outcome)

    def snapshot(self) -> MetricsSnapshot:
        """The counts so far."""
        return MetricsSnapshot(
            provider=self.provider,
            attempts=self._attempts,
            outcomes=dict(self._outcomes),
            causes=dict(self._causes),
            retries=self._retries,
            input_tokens=self._input_tokens,
            output_tokens=self._output_tokens,
            cost=self._cost,
            latency=self._latency,
            first_content=self._first_content.snapshot(),
            duration=self._duration.snapshot(),
            tokens_per_second=self._speed.snapshot(),
            wait=self._wait.snapshot(),
        )

    def _count_cause(self, outcome: Outcome) -> None:
        error = outcome.error
        status = "" if error is None or error.status is None else f" {error.status}"
        cause = type(error).__name__ + status
        if cause not in self._causes and len(self._causes) >= _MAX_CAUSES:
            cause = _OTHER
        self._causes[cause] = self._causes.get(cause, 0) + 1

    def _count_content(self, first_content: float, outcome: Outcome) -> None:
        self._first_content.add(first_content)
        known = self._latency
        self._latency = first_content if known is None else known + _SMOOTHING * (first_content - known)
        streamed = outcome.duration - first_content
        if outcome.kind is OutcomeKind.OK and outcome.output_tokens > 0 and streamed > 0:
            self._speed.add(outcome.output_tokens / streamed)
