"""The sending rate a client keeps to when a provider throttles without saying how much is allowed.

Rules (the AWS SDKs' "adaptive" retry mode; constants and tables as published in their tests, read 2026-08-21):

1. The rate really sent is measured in half-second steps and smoothed (0.8 new, 0.2 old).
2. A throttled answer sets the rate to 0.7 of the smaller of what was sent and what was allowed.
3. Every other answer lets the rate follow a cubic curve: fast back to the rate that failed, slowly past it, then fast again.
4. The rate never passes twice what is really sent, and never falls below one request in two seconds.
5. Nothing is held back before the first throttled answer.

RFC 9438 (CUBIC for TCP) has the idea; the scale (0.4) and the factor (0.7) are the same.
"""

from __future__ import annotations

import math

from .bucket import Bucket

__all__ = ["CubicRate"]

_MIN_RATE = 0.5
_MIN_CAPACITY = 1.0
_SMOOTHING = 0.8
_BETA = 0.7
_SCALE = 0.4
_STEPS_PER_SECOND = 2


class CubicRate:
    """Tell it of every answer with :meth:`update`; ask :meth:`wait` and :meth:`take` before sending. Times in seconds."""

    __slots__ = (
        "_bucket",
        "_count",
        "_last_max",
        "_step",
        "_throttled_at",
        "_window",
        "fill_rate",
        "is_enabled",
        "measured_rate",
    )

    def __init__(self, start: float = 0.0) -> None:
        self.is_enabled: bool = False
        self.fill_rate: float = 0.0
        self.measured_rate: float = 0.0
        self._last_max = 0.0
        self._throttled_at = start
        self._window = 0.0
        self._step = float(math.floor(start))
        self._count = 0
        self._bucket = Bucket(0.0, 0.0, start)

    def update(self, now: float, *, throttled: bool) -> None:
        """One answer came. Updates the rate; the first throttled one begins to hold requests back."""
        self._measure(now)
        if throttled:
            rate = min(self.measured_rate, self.fill_rate) if self.is_enabled else self.measured_rate
            self.throttle(now, rate)
            wanted = rate * _BETA
            self.is_enabled = True
        else:
            wanted = self.target(now)
        self.fill_rate = max(min(wanted, 2.0 * self.measured_rate), _MIN_RATE)
        self._bucket.resize(self.fill_rate, max(self.fill_rate, _MIN_CAPACITY), now)

    def throttle(self, now: float, rate: float) -> None:
        """Remember that ``rate`` (requests per second) was too much at ``now``: the curve starts anew from here."""
        self._last_max = rate
        self._throttled_at = now
        self._window = math.cbrt(rate * (1.0 - _BETA) / _SCALE)

    def target(self, now: float) -> float:
        """The curve's rate at ``now``, in requests per second, before it is bounded by what is really sent."""
        return float(_SCALE * (now - self._throttled_at - self._window) ** 3 + self._last_max)

    def wait(self, now: float) -> float:
        """Seconds until the next request may go; 0 while nothing was ever throttled."""
        return self._bucket.wait(1.0, now) if self.is_enabled else 0.0

    def take(self, now: float) -> None:
        """One request goes."""
        if self.is_enabled:
            self._bucket.take(1.0, now)

    def put_back(self, now: float) -> None:
        """It did not go after all."""
        if self.is_enabled:
            self._bucket.put_back(1.0, now)

    def _measure(self, now: float) -> None:
        step = math.floor(now * _STEPS_PER_SECOND) / _STEPS_PER_SECOND
        self._count += 1
        if step > self._step:
            rate = self._count / (step - self._step)
            self.measured_rate = rate * _SMOOTHING + self.measured_rate * (1.0 - _SMOOTHING)
            self._count = 0
            self._step = step
