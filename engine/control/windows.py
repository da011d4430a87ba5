"""What a provider's own headers said is left, and until when to believe it.

Rules:

1. An answer says what was left when the provider counted it. Everything reserved *after* the request it answers may not be in that count, so it is
   subtracted.
2. Answers overtake each other. One to an older request can only lower what a newer one said.
3. What is reserved from now on is subtracted as it goes, and added again if it was never sent.
4. At its reset the window is forgotten: nothing is known, nothing is held back.
5. Without a reset in the headers (Mistral, xAI and Fireworks send none, seen 2026-08) an exhausted window is believed for one second. Longer
   would punish a bucket that refills all the time; another 429 tells us more.
6. Asking for more than the whole limit waits for a full window, not for ever.
"""

from __future__ import annotations

from .backoff import worth_waiting

__all__ = ["LearnedWindow"]

_ASSUMED_RESET = 1.0


class LearnedWindow:
    """One unit (requests, or tokens of one kind). Amounts in that unit, times in seconds."""

    __slots__ = ("_as_of", "_limit", "_remaining", "_reset_at")

    def __init__(self) -> None:
        self._remaining = 0.0
        self._limit: float | None = None
        self._reset_at: float | None = None  # None: nothing is known
        self._as_of = -1

    def learn(
        self,
        remaining: float,
        limit: float | None,
        reset: float | None,
        *,
        as_of: int,
        since: float,
        now: float,
        longest: float,
    ) -> None:
        """An answer to request number ``as_of`` said this; ``since`` was reserved after that request.

        ``reset`` is in seconds from now, believed for at most ``longest``.
        """
        is_stale = as_of < self._as_of and self.is_known(now)
        left = remaining - since
        if is_stale and left >= self._remaining:
            return
        self._remaining = left
        self._limit = limit
        self._reset_at = now + min(_ASSUMED_RESET if reset is None else max(reset, 0.0), longest)
        self._as_of = max(as_of, self._as_of)

    def is_known(self, now: float) -> bool:
        """Whether what was said still counts."""
        return self._reset_at is not None and now < self._reset_at

    def remaining(self, now: float) -> float | None:
        """What is left, never below 0; None if nothing is known."""
        return max(self._remaining, 0.0) if self.is_known(now) else None

    def wait(self, amount: float, now: float) -> float:
        """Seconds until ``amount`` may be asked for."""
        if self._reset_at is None or now >= self._reset_at:
            return 0.0
        wanted = (
            min(amount, self._limit) if self._limit else amount
        )  # a limit of 0 (a model outside the plan) lets nothing through
        if wanted <= self._remaining:
            return 0.0
        return worth_waiting(self._reset_at - now)

    def take(self, amount: float) -> None:
        """``amount`` is reserved."""
        self._remaining -= amount

    def put_back(self, amount: float, number: int) -> None:
        """Request ``number``, which had reserved ``amount``, was never sent. Older than the count, it was not subtracted: nothing to add."""
        if number > self._as_of:
            self._remaining += amount

    def forget(self) -> None:
        """Nothing is known."""
        self._reset_at = None
