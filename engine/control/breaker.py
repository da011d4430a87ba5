"""``CircuitBreaker``: whether asking a provider is any use now.

Rules:

1. CLOSED lets everything pass and counts how it ended, over the last ``window`` seconds. With at least ``minimum_calls`` of them, and ``failure_rate`` of
   them failed or ``slow_rate`` of them slow, it opens.
2. OPEN lets nothing pass. After a time it is HALF_OPEN.
3. HALF_OPEN lets ``half_open_permits`` calls pass as probes, however many ask. When that many have succeeded it closes; the first that fails opens it again.
4. Each opening lasts twice as long as the one before, less a fifth at random, up to ``open_cap``. A whole ``window`` spent closed starts the count anew, so
   a provider that flaps is asked more and more seldom.
5. Only FAILED and OK are judged. Any other outcome hands its pass back and says nothing (so a cancelled probe makes room for another).
6. A result that belongs to an earlier state is ignored: the requests that were out when it opened do not close or open it again.
7. Every pass is recorded once; a second record is ignored.
8. Time that runs backwards is taken for standing still.

The state machine is Nygard's (Release It!); rolling rates, slow calls and bounded half-open permits are as in resilience4j.
"""

from __future__ import annotations

import enum
import math
from collections import deque

import msgspec

from .backoff import Random, grown, worth_waiting
from .outcome import Outcome, OutcomeKind

__all__ = ["BreakerSnapshot", "BreakerState", "CircuitBreaker", "Pass"]

_SLICES = 10  # the window moves in tenths: constant memory, whatever the number of calls
_JITTER = 0.2


class BreakerState(enum.Enum):
    """See the module's rules 1 to 3."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Pass:
    """The right to make one call. Hand it to ``record`` of the breaker that gave it; its attributes are that breaker's own.

    ``is_probe`` is whether the call decides over closing the breaker.
    """

    __slots__ = ("generation", "given_at", "has_shown", "is_open", "is_probe", "owner")

    def __init__(self, owner: CircuitBreaker, generation: int, is_probe: bool, given_at: float) -> None:
        self.owner: CircuitBreaker = owner
        self.generation: int = generation
        self.is_probe: bool = is_probe
        self.given_at: float = given_at
        self.has_shown: bool = False
        self.is_open: bool = True

    def __repr__(self) -> str:
        kind = "probe" if self.is_probe else "pass"
        return f"<Pass: {kind} of generation {self.generation}, {'open' if self.is_open else 'recorded'}>"


class BreakerSnapshot(msgspec.Struct, frozen=True):
    """A breaker's facts at one moment. Calls, failures and slow calls are those of the window; ``retry_in`` is in seconds, None when only an outcome or
    an operator can help; ``openings`` counts the consecutive ones that make the open time grow."""

    state: BreakerState
    calls: int
    failures: int
    slow_calls: int
    probes: int
    openings: int
    retry_in: float | None


class CircuitBreaker:
    """One target's breaker. ``window``, ``open_for``, ``open_cap`` and ``slow_call`` are seconds, the rates parts of 1.

    A call is slow when its first content (or its end, if it has none) took longer than ``slow_call``; None judges no slowness. Raises ValueError
    for settings with which it could never open or never close.
    """

    def __init__(
        self,
        *,
        window: float = 60.0,
        minimum_calls: int = 10,
        failure_rate: float = 0.5,
        slow_call: float | None = None,
        slow_rate: float = 0.8,
        open_for: float = 5.0,
        open_cap: float = 120.0,
        half_open_permits: int = 2,
    ) -> None:
        if not 0 < window < math.inf or not 0 < open_for <= open_cap < math.inf:
            raise ValueError(
                f"CircuitBreaker: window and open_for are above 0 and open_cap is at least open_for; got {window}, {open_for}, {open_cap}"
            )
        if minimum_calls < 1 or half_open_permits < 1:
            raise ValueError(
                f"CircuitBreaker: minimum_calls and half_open_permits are at least 1; got {minimum_calls}, {half_open_permits}"
            )
        if not 0 < failure_rate <= 1 or not 0 < slow_rate <= 1:
            raise ValueError(
                f"CircuitBreaker: rates lie above 0 and at most at 1; got {failure_rate}, {slow_rate}"
            )
        self._minimum = minimum_calls
        self._failure_rate = failure_rate
        self._slow_call = math.inf if slow_call is None else slow_call
        self._slow_rate = slow_rate
        self._window = window
        self._open_for = open_for
        self._open_cap = open_cap
        self._permits = half_open_permits
        self._calls = _Rolling(window)
        self._state = BreakerState.CLOSED
        self._generation = 0
        self._open_until = 0.0
        self._closed_at = 0.0
        self._openings = 0
        self._probes = 0  # out
        self._successes = 0  # of this half-open time
        self._now = 0.0

    def try_pass(self, now: float) -> Pass | None:
        """A pass for one call, or None: then :meth:`retry_in` says when to ask again."""
        self._advance(now)
        if self._state is BreakerState.CLOSED:
            return Pass(self, self._generation, False, self._now)
        if self._state is BreakerState.OPEN or self._probes + self._successes >= self._permits:
            return None
        self._probes += 1
        return Pass(self, self._generation, True, self._now)

    def retry_in(self, now: float) -> float:
        """Seconds until a pass may be had: 0 now, ``inf`` when time alone cannot help (all probes are out, or an operator opened it)."""
        self._advance(now)
        if self._state is BreakerState.OPEN:
            return worth_waiting(self._open_until - self._now)
        has_room = self._state is BreakerState.CLOSED or self._probes + self._successes < self._permits
        return 0.0 if has_room else math.inf

    def progress(self, pass_: Pass, now: float) -> None:
        """The call has shown content: a probe counts as a success from now on, and need not hold its place until a long stream ends.

        ``record`` is still due at the end. Raises ValueError for another breaker's pass.
        """
        if not self._counts(pass_, now) or pass_.has_shown or not pass_.is_probe:
            return
        if self._now - pass_.given_at <= self._slow_call:
            pass_.has_shown = True
            self._probes -= 1
            self._succeed()

    def record(self, pass_: Pass, now: float, outcome: Outcome, random: Random) -> None:
        """The call ended like this. Exactly once per pass; another time is ignored. Raises ValueError for another breaker's pass."""
        counts = self._counts(pass_, now)
        pass_.is_open = False
        if not counts:
            return
        took = outcome.duration if outcome.first_content is None else outcome.first_content
        is_failed = outcome.kind is OutcomeKind.FAILED
        is_slow = took > self._slow_call
        is_judged = is_failed or outcome.kind is OutcomeKind.OK
        if pass_.is_probe:
            if not pass_.has_shown:
                self._probes -= 1
            if is_judged and (is_failed or is_slow):
                self._open(random)
            elif is_judged and not pass_.has_shown:
                self._succeed()
        elif is_judged:
            self._calls.add(self._now, is_failed=is_failed, is_slow=is_slow)
            if self._is_too_bad():
                self._open(random)

    def state(self, now: float) -> BreakerState:
        """The state at ``now``."""
        self._advance(now)
        return self._state

    def force_open(self, now: float) -> None:
        """An operator's word: nothing passes until :meth:`force_close`."""
        self._advance(now)
        self._enter(BreakerState.OPEN)
        self._open_until = math.inf

    def force_close(self, now: float) -> None:
        """An operator's word: closed, with nothing counted; from here on it decides for itself again."""
        self._advance(now)
        self._openings = 0
        self._close()

    def snapshot(self, now: float) -> BreakerSnapshot:
        """The facts at ``now``."""
        wait = self.retry_in(now)
        calls, failures, slow = self._calls.totals(self._now)
        return BreakerSnapshot(
            state=self._state,
            calls=calls,
            failures=failures,
            slow_calls=slow,
            probes=self._probes,
            openings=self._openings,
            retry_in=None if wait == math.inf else wait,
        )

    def _advance(self, now: float) -> None:
        self._now = max(self._now, now)
        if self._state is BreakerState.OPEN and self._now >= self._open_until:
            self._enter(BreakerState.HALF_OPEN)

    def _counts(self, pass_: Pass, now: float) -> bool:
        if pass_.owner is not self:
            raise ValueError(f"{pass_!r} belongs to another breaker")
        self._advance(now)
        return pass_.is_open and pass_.generation == self._generation

    def _is_too_bad(self) -> bool:
        calls, failures, slow = self._calls.totals(self._now)
        return calls >= self._minimum and (
            failures >= self._failure_rate * calls or slow >= self._slow_rate * calls
        )

    def _succeed(self) -> None:
        self._successes += 1
        if self._successes >= self._permits:
            self._close()

    def _open(self, random: Random) -> None:
        if self._state is BreakerState.CLOSED and self._now - self._closed_at >= self._window:
            self._openings = 0
        self._openings += 1
        self._enter(BreakerState.OPEN)
        longest = grown(self._openings, self._open_for, self._open_cap)
        self._open_until = self._now + longest * (1.0 - _JITTER * random())

    def _close(self) -> None:
        self._enter(BreakerState.CLOSED)
        self._closed_at = self._now
        self._calls = _Rolling(self._window)

    def _enter(self, state: BreakerState) -> None:
        self._state = state
        self._generation += 1
        self._probes = 0
        self._successes = 0


class _Rolling:
    """Counts of the last ``window`` seconds, in slices."""

    __slots__ = ("_slice", "_slices", "_totals")

    def __init__(self, window: float) -> None:
        self._slice = window / _SLICES
        self._slices: deque[tuple[int, int, int, int]] = deque()  # number of the slice, calls, failures, slow
        self._totals = (0, 0, 0)

    def add(self, now: float, *, is_failed: bool, is_slow: bool) -> None:
        self.totals(now)
        number = math.floor(now / self._slice)
        calls, failures, slow = 0, 0, 0
        if self._slices and self._slices[-1][0] == number:
            _, calls, failures, slow = self._slices.pop()
        self._slices.append((number, calls + 1, failures + is_failed, slow + is_slow))
        all_calls, all_failures, all_slow = self._totals
        self._totals = (all_calls + 1, all_failures + is_failed, all_slow + is_slow)

    def totals(self, now: float) -> tuple[int, int, int]:
        oldest = math.floor(now / self._slice) - _SLICES
        while self._slices and self._slices[0][0] <= oldest:
            _, calls, failures, slow = self._slices.popleft()
            all_calls, all_failures, all_slow = self._totals
            self._totals = (all_calls - calls, all_failures - failures, all_slow - slow)
        return self._totals
