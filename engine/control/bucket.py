"""A bucket that fills with time and is emptied by use.

Rules:

1. The level rises by ``rate`` a second and never passes ``capacity``.
2. What was reserved may turn out larger than thought, so the level can go below zero: a debt, paid back by time before
   anything new is let through.
3. Something larger than the whole bucket waits until the bucket is full, then takes it into debt. Without this rule it would wait for ever.
4. A bucket with no capacity and no rate lets nothing through, and says ``inf`` instead of a time.
5. Time that runs backwards changes nothing: the latest ``now`` counts.
"""

from __future__ import annotations

import math

from .backoff import worth_waiting

__all__ = ["Bucket"]

_ROUNDING = 1e-9  # part of the capacity: what adding up many small refills can lose


class Bucket:
    """Amounts are in the caller's unit (requests, tokens), ``rate`` in that unit per second, times in seconds."""

    __slots__ = ("_at", "_level", "capacity", "rate")

    def __init__(self, rate: float, capacity: float, now: float, *, level: float | None = None) -> None:
        """A full bucket, unless ``level`` says otherwise."""
        self.rate: float = rate
        self.capacity: float = capacity
        self._level = capacity if level is None else level
        self._at = now

    def level(self, now: float) -> float:
        """What is in it now; negative is debt."""
        if now > self._at:
            self._level = min(self.capacity, self._level + (now - self._at) * self.rate)
            self._at = now
        return self._level

    def wait(self, amount: float, now: float) -> float:
        """Seconds until ``amount`` may be taken: 0 now, at least ``MIN_WAIT`` later, ``inf`` never at this rate."""
        level = self.level(now)
        if amount > 0 and self.capacity <= 0:
            return math.inf
        missing = min(amount, self.capacity) - level
        if missing <= _ROUNDING * max(1.0, self.capacity):
            return 0.0
        return worth_waiting(missing / self.rate) if self.rate > 0 else math.inf

    def take(self, amount: float, now: float) -> None:
        """Take ``amount`` out, into debt if need be."""
        self._level = self.level(now) - amount

    def put_back(self, amount: float, now: float) -> None:
        """Return what was taken and not used."""
        self._level = min(self.capacity, self.level(now) + amount)

    def resize(self, rate: float, capacity: float, now: float) -> None:
        """Another rate and capacity from now on. What is in it stays, as far as it fits: a change of size mints nothing."""
        self._level = min(self.level(now), capacity)
        self.rate = rate
        self.capacity = capacity
