"""``HealthMonitor``: how each provider is doing, as a sentence for people and a hint for routing.

Rules:

1. Health is a view, not a gate: breakers and limiters decide, this says why things look as they do.
2. Every outcome is remembered with a weight that halves every ``half_life`` seconds: constant memory, and old trouble fades.
3. ``unhealthy``: ``failures_in_a_row`` or more failures one after the other, or the key was refused and nothing has succeeded since. ``degraded``: a quarter of
   recent answers failed, or a quarter were throttled. ``unknown``: nothing was heard lately. Else ``healthy``.
4. REJECTED shows that a provider is alive, and nothing more. LOCAL and CANCELLED show nothing at all.
5. A probe is due when nothing was heard for a while (sooner for one that is unwell), and asking claims it: of a thousand who ask, one is told to probe.
"""

from __future__ import annotations

import math

from tercet.codecs.vocabulary import HealthStatus

from .outcome import Outcome, OutcomeKind

__all__ = ["HealthMonitor"]

_NOTHING_HEARD = frozenset({OutcomeKind.LOCAL, OutcomeKind.CANCELLED})
_NO_EVIDENCE = 0.05  # the weight of one answer after more than four half-lives


class HealthMonitor:
    """The health of any number of providers. All times in seconds, in the clock of ``now``."""

    def __init__(
        self,
        *,
        half_life: float = 60.0,
        failures_in_a_row: int = 5,
        degraded_rate: float = 0.25,
        probe_every: float = 60.0,
        probe_unwell_every: float = 15.0,
    ) -> None:
        """Raises ValueError for times and counts that are not above 0."""
        if min(half_life, failures_in_a_row, degraded_rate, probe_every, probe_unwell_every) <= 0:
            raise ValueError("HealthMonitor: every setting is above 0")
        self._half_life = half_life
        self._in_a_row = failures_in_a_row
        self._degraded_rate = degraded_rate
        self._probe_every = probe_every
        self._probe_unwell_every = probe_unwell_every
        self._records: dict[str, _Record] = {}

    def record(self, provider: str, now: float, outcome: Outcome) -> None:
        """An attempt, or a probe, ended like this."""
        if outcome.kind not in _NOTHING_HEARD:
            self._record(provider).add(now, outcome, self._half_life)

    def status(self, provider: str, now: float) -> HealthStatus:
        """The state and the reasons for it; a provider never heard of is ``unknown``."""
        record = self._records.get(provider)
        if record is None:
            return HealthStatus(provider)
        answers, failed, throttled = record.weights(now, self._half_life)
        unhealthy, degraded = self._reasons(record, answers, failed, throttled)
        facts = {"latency": record.latency, "checked_at": record.heard_at}
        if unhealthy:
            return HealthStatus(provider, "unhealthy", (*unhealthy, *degraded), **facts)
        if answers < _NO_EVIDENCE:
            return HealthStatus(provider, "unknown", (), **facts)
        return HealthStatus(provider, "degraded" if degraded else "healthy", tuple(degraded), **facts)

    def should_probe(self, provider: str, now: float) -> bool:
        """Whether the caller should probe this provider now. True claims the probe: nobody else is told so until it is due again."""
        status = self.status(provider, now)
        every = self._probe_every if status.is_healthy else self._probe_unwell_every
        record = self._record(provider)
        last = max(-math.inf if record.heard_at is None else record.heard_at, record.probed_at)
        if now - last < every:
            return False
        record.probed_at = now
        return True

    def _record(self, provider: str) -> _Record:
        return self._records.setdefault(provider, _Record())

    def _reasons(
        self, record: _Record, answers: float, failed: float, throttled: float
    ) -> tuple[list[str], list[str]]:
        unhealthy: list[str] = []
        degraded: list[str] = []
        if record.key_trouble is not None:
            unhealthy.append(f"the key was refused: {record.key_trouble}")
        if record.in_a_row >= self._in_a_row:
            unhealthy.append(f"{record.in_a_row} failures in a row, the last: {record.last_failure}")
        if answers >= _NO_EVIDENCE:
            if failed / answers >= self._degraded_rate:
                degraded.append(
                    f"{failed / answers:.0%} of recent answers failed, the last: {record.last_failure}"
                )
            if throttled / answers >= self._degraded_rate:
                degraded.append(f"{throttled / answers:.0%} of recent answers were throttled")
        return unhealthy, degraded


class _Record:
    """One provider: weights that fade, and the last of each kind."""

    __slots__ = (
        "_answers",
        "_at",
        "_failed",
        "_throttled",
        "heard_at",
        "in_a_row",
        "key_trouble",
        "last_failure",
        "latency",
        "probed_at",
    )

    def __init__(self) -> None:
        self._answers = 0.0
        self._failed = 0.0
        self._throttled = 0.0
        self._at = -math.inf
        self.heard_at: float | None = None
        self.probed_at = -math.inf
        self.in_a_row = 0
        self.key_trouble: str | None = None
        self.last_failure = ""
        self.latency: float | None = None

    def add(self, now: float, outcome: Outcome, half_life: float) -> None:
        self._fade(now, half_life)
        self.heard_at = self._at
        self._answers += 1.0
        if outcome.first_content is not None:
            self.latency = outcome.first_content
        if outcome.kind is OutcomeKind.FAILED:
            self._failed += 1.0
            self.in_a_row += 1
            self.last_failure = _named(outcome)
            return
        self.in_a_row = 0
        if outcome.kind is OutcomeKind.THROTTLED:
            self._throttled += 1.0
        elif outcome.kind is OutcomeKind.KEY:
            self.key_trouble = _named(outcome)
        elif outcome.kind is OutcomeKind.OK:
            self.key_trouble = None

    def weights(self, now: float, half_life: float) -> tuple[float, float, float]:
        self._fade(now, half_life)
        return self._answers, self._failed, self._throttled

    def _fade(self, now: float, half_life: float) -> None:
        if now <= self._at:
            return
        factor = 0.5 ** ((now - self._at) / half_life)
        self._answers *= factor
        self._failed *= factor
        self._throttled *= factor
        self._at = now


def _named(outcome: Outcome) -> str:
    # The type and the status only: a message may echo the request.
    if outcome.error is None:
        return outcome.kind.value
    status = "" if outcome.error.status is None else f" {outcome.error.status}"
    return type(outcome.error).__name__ + status
