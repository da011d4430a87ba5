"""``BackpressureController``: how much work this process takes on, before anything is asked of a provider.

Rules:

1. What is admitted is running or queued, and released exactly once: the counts never go below zero, and a second release is ignored.
2. At most ``max_in_flight`` run. What comes while they do is queued, up to ``max_queued``; all that is held together has at most ``max_bytes``. A newcomer does
   not overtake the queue: whoever keeps the queue decides whose turn it is, and says so with ``try_start``.
3. What cannot be held is refused at once, with the reason and a guess of when to come back. Refusing early is the point: a queue that only
   grows helps nobody.
4. Under pressure the less urgent is refused first: each step below priority 0 may use half of the queue and bytes of the step above, so there is always
   room left for what is more urgent. Priorities above 0 count as 0.
5. A single thing larger than the bytes limit is admitted when nothing else is held, or it could never be.
6. ``None`` is no limit.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tercet.codecs.vocabulary import OverloadedError

from .backoff import MIN_WAIT

__all__ = ["Admission", "BackpressureController", "BackpressureSnapshot", "Refused"]

_MAX_RETRY_AFTER = 60.0
_SMOOTHING = 0.2
_MOST_STEPS = 62


class Admission:
    """The right to be worked on. Hand it to ``release`` of the controller that gave it; its attributes are that controller's own.

    ``is_running`` tells running from queued, ``is_open`` whether it was not released yet.
    """

    __slots__ = ("is_open", "is_running", "owner", "size")

    def __init__(self, owner: BackpressureController, size: int, is_running: bool) -> None:
        self.owner: BackpressureController = owner
        self.size: int = size
        self.is_running: bool = is_running
        self.is_open: bool = True

    def __repr__(self) -> str:
        state = "running" if self.is_running else "queued"
        return f"<Admission of {self.size} bytes, {state if self.is_open else 'released'}>"


class Refused(msgspec.Struct, frozen=True):
    """Why something was not admitted: ``used`` of ``limit`` are taken for its priority. ``retry_after`` is a guess in seconds, None without any experience."""

    reason: Literal["queue", "bytes"]
    limit: int
    used: int
    priority: int
    retry_after: float | None

    def error(self) -> OverloadedError:
        """The error to raise for it: without a status, as nobody was asked."""
        unit = "requests are waiting" if self.reason == "queue" else "bytes are held"
        return OverloadedError(
            f"not admitted: {self.used} {unit}, and priority {self.priority} may have {self.limit}",
            retry_after=self.retry_after,
        )


class BackpressureSnapshot(msgspec.Struct, frozen=True):
    """The counts at one moment; ``admitted == in_flight + queued + released``."""

    in_flight: int
    queued: int
    bytes: int
    admitted: int
    refused: int
    released: int


class BackpressureController:
    """Limits on what is in flight, queued, and held in bytes. Raises ValueError for negative limits, or ``max_in_flight`` of 0."""

    def __init__(
        self,
        *,
        max_in_flight: int | None = 1000,
        max_queued: int | None = 10_000,
        max_bytes: int | None = 256 * 1024 * 1024,
    ) -> None:
        for name, value, least in (
            ("max_in_flight", max_in_flight, 1),
            ("max_queued", max_queued, 0),
            ("max_bytes", max_bytes, 0),
        ):
            if value is not None and value < least:
                raise ValueError(
                    f"BackpressureController.{name} is at least {least}, or None for no limit; got {value!r}"
                )
        self._max_in_flight = max_in_flight
        self._max_queued = max_queued
        self._max_bytes = max_bytes
        self._in_flight = 0
        self._queued = 0
        self._bytes = 0
        self._admitted = 0
        self._refused = 0
        self._released = 0
        self._released_at: float | None = None
        self._interval: float | None = None  # smoothed seconds between two releases

    def try_admit(self, now: float, priority: int = 0, size: int = 0) -> Admission | Refused:
        """Admit something of ``size`` bytes, running if there is room and else queued, or say why not. Never waits."""
        size = max(size, 0)
        has_room = self._has_room and self._queued == 0
        refusal = self._refusal(priority, size, has_room)
        if refusal is not None:
            self._refused += 1
            return refusal
        self._admitted += 1
        self._bytes += size
        if has_room:
            self._in_flight += 1
        else:
            self._queued += 1
        return Admission(self, size, has_room)

    def try_start(self, admission: Admission, now: float) -> bool:
        """Turn a queued admission into a running one. True if it is running now; False while there is no room, and for one already released."""
        self._check(admission)
        if admission.is_open and not admission.is_running and self._has_room:
            admission.is_running = True
            self._queued -= 1
            self._in_flight += 1
        return admission.is_open and admission.is_running

    def release(self, admission: Admission, now: float) -> None:
        """It is done with, however it ended. A second release is ignored. Raises ValueError for another controller's admission."""
        self._check(admission)
        if not admission.is_open:
            return
        admission.is_open = False
        if admission.is_running:
            self._in_flight -= 1
        else:
            self._queued -= 1
        self._bytes -= admission.size
        self._released += 1
        self._learn(now)

    def snapshot(self, now: float) -> BackpressureSnapshot:
        """The counts. ``now`` is taken as all machines take it; these do not change with time."""
        return BackpressureSnapshot(
            self._in_flight, self._queued, self._bytes, self._admitted, self._refused, self._released
        )

    @property
    def _has_room(self) -> bool:
        return self._max_in_flight is None or self._in_flight < self._max_in_flight

    def _check(self, admission: Admission) -> None:
        if admission.owner is not self:
            raise ValueError(f"{admission!r} belongs to another controller")

    def _refusal(self, priority: int, size: int, has_room: bool) -> Refused | None:
        if self._max_queued is not None and not has_room:
            limit = _share(self._max_queued, priority)
            if self._queued >= limit:
                return Refused("queue", limit, self._queued, priority, self._guess())
        if self._max_bytes is not None and self._bytes > 0:
            limit = _share(self._max_bytes, priority)
            if self._bytes + size > limit:
                return Refused("bytes", limit, self._bytes, priority, self._guess())
        return None

    def _learn(self, now: float) -> None:
        if self._released_at is not None and now >= self._released_at:
            took = now - self._released_at
            known = self._interval
            self._interval = took if known is None else known + _SMOOTHING * (took - known)
        self._released_at = now if self._released_at is None else max(self._released_at, now)

    def _guess(self) -> float | None:
        if self._interval is None:
            return None
        return min(max(self._interval * (self._queued + 1), MIN_WAIT), _MAX_RETRY_AFTER)


def _share(limit: int, priority: int) -> int:
    """The part of a limit that a priority may use: all at 0 and above, half at -1, a quarter at -2, and so on."""
    return limit >> min(max(-priority, 0), _MOST_STEPS)
