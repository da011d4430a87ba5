"""``AdaptiveRateLimiter``: how much may be sent to one provider (or one key) now.

Rules:

1. A request goes only with a permit. A permit is reserved once and comes back once, by ``settle`` or by ``cancel``: what was reserved is always
   what is in flight plus what was settled plus what was cancelled.
2. Four things hold a request back, and the longest wait counts: the number in flight; a cooldown; the rates that were configured; what the
   provider's answers said is left.
3. The wait that ``reserve`` returns is never 0: whoever sleeps so long finds time moved on. It is ``inf`` only when time alone cannot help, but
   a settled or cancelled permit or a granted lease can.
4. Configured rates are token buckets that hold ``burst_seconds`` of their rate, full at the start: so Anthropic and OpenAI describe their own
   (docs of both, 2026-08). Tokens are reserved as estimated and corrected to what was really used; the correction may leave a debt.
5. A request larger than everything the bucket holds goes when the bucket is full.
6. THROTTLED with a Retry-After stops everything until then. Without one, and without headers that say what is left, the rate follows the AWS
   SDKs' cubic law (:mod:`.cubic`).
7. THROTTLED also halves the number allowed in flight, to no less than one, at most once for everything that was in flight together;
   each later success while at least half of it is in use adds ``1/limit`` (additive increase, multiplicative decrease, as TCP does it). ``forget_after`` seconds
   without throttling lift what was learned.
8. Other outcomes teach nothing. A Retry-After on a success (Anthropic and Hugging Face send it) is not a throttle.
9. Leases are capacity from outside (a neighbour's share, a coordinator's allotment), on top of what was configured. A grant mints no tokens: buckets start
   to fill at the new rate. A revoked or ended lease leaves permits in flight valid, and nothing new is let through until there is room.
10. Time that runs backwards is taken for standing still.
"""

from __future__ import annotations

import math

import msgspec

from tercet.adapters.rate_limits import RateLimitState, Window

from .backoff import worth_waiting
from .bucket import Bucket
from .cubic import CubicRate
from .outcome import Outcome, OutcomeKind
from .windows import LearnedWindow

__all__ = ["AdaptiveRateLimiter", "Lease", "LimiterSnapshot", "Permit"]

_NO_WORK_DONE = frozenset({OutcomeKind.THROTTLED, OutcomeKind.REJECTED, OutcomeKind.KEY, OutcomeKind.LOCAL})
_NOT_ANSWERED = frozenset({OutcomeKind.LOCAL, OutcomeKind.CANCELLED})
_MIN_BURST = 1.0  # a bucket that holds nothing would let nothing through, whatever its rate


class Permit:
    """The right to send one request. Hand it to ``settle`` or ``cancel`` of the limiter that gave it; its attributes are that limiter's own.

    ``is_open`` is whether neither was done yet.
    """

    __slots__ = ("is_hinted", "is_open", "number", "owner", "tokens", "tokens_upto")

    def __init__(self, owner: AdaptiveRateLimiter, number: int, tokens: int, tokens_upto: int) -> None:
        self.owner: AdaptiveRateLimiter = owner
        self.number: int = number
        self.tokens: int = tokens
        self.tokens_upto: int = tokens_upto  # all tokens ever reserved, up to and with this permit
        self.is_hinted: bool = False  # its answer's headers said that nothing is left
        self.is_open: bool = True

    def __repr__(self) -> str:
        return f"<Permit {self.number}, {self.tokens} tokens, {'open' if self.is_open else 'closed'}>"


class Lease(msgspec.Struct, frozen=True, eq=False):
    """Capacity granted from outside, until ``until`` (in the clock of ``now``). Two leases are never equal: each is its own."""

    requests_per_minute: float
    tokens_per_minute: float
    max_concurrency: int
    until: float


class LimiterSnapshot(msgspec.Struct, frozen=True):
    """A limiter's facts at one moment. None is "no limit" or "nothing known"; a debt is shown as 0. ``cooldown`` is in seconds, ``rate`` in requests per
    second. ``reserved == settled + cancelled + in_flight`` always holds."""

    in_flight: int
    concurrency_limit: int | None
    requests_available: float | None
    tokens_available: float | None
    requests_remaining: float | None
    tokens_remaining: float | None
    cooldown: float
    rate: float | None
    leases: int
    reserved: int
    settled: int
    cancelled: int
    throttled: int


class AdaptiveRateLimiter:
    """One provider's (or one key's) rate limits, configured and learned.

    ``requests_per_minute``, ``tokens_per_minute``, ``max_concurrency``: what is configured; None is no limit, 0 is nothing but leases.
    ``burst_seconds``: how much of its rate a bucket holds. ``concurrency_cut``: what a throttling leaves of the number in flight.
    ``max_cooldown``: the longest Retry-After or window reset that is believed (seconds). ``forget_after``: see rule 7.

    Nothing here waits, and nothing raises for what a provider said. Raises ValueError for a negative setting.
    """

    def __init__(
        self,
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        max_concurrency: int | None = None,
        burst_seconds: float = 60.0,
        concurrency_cut: float = 0.5,
        max_cooldown: float = 3600.0,
        forget_after: float = 300.0,
    ) -> None:
        for name, value in (
            ("requests_per_minute", requests_per_minute),
            ("tokens_per_minute", tokens_per_minute),
            ("max_concurrency", max_concurrency),
            ("burst_seconds", burst_seconds),
            ("max_cooldown", max_cooldown),
            ("forget_after", forget_after),
        ):
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(
                    f"AdaptiveRateLimiter: {name} must be a finite number, at least 0; got {value!r}"
                )
        if not 0 < concurrency_cut < 1:
            raise ValueError(
                f"AdaptiveRateLimiter: concurrency_cut must lie between 0 and 1; got {concurrency_cut!r}"
            )
        self._requests_per_minute = requests_per_minute
        self._tokens_per_minute = tokens_per_minute
        self._max_concurrency = max_concurrency
        self._burst = burst_seconds
        self._cut = concurrency_cut
        self._max_cooldown = max_cooldown
        self._forget_after = forget_after
        self._now = 0.0
        self._requests = self._bucket(requests_per_minute)
        self._tokens = self._bucket(tokens_per_minute)
        self._leases: list[Lease] = []
        self._cubic: CubicRate | None = None
        self._requests_left = LearnedWindow()
        self._tokens_left = LearnedWindow()
        self._input_left = LearnedWindow()
        self._output_left = LearnedWindow()
        self._blocked_until = 0.0
        self._throttled_at: float | None = None
        self._limit = math.inf  # learned number in flight
        self._last_cut = -1  # permits up to this number were in flight when the limit was last cut
        self._in_flight = 0
        self._reserved = 0
        self._reserved_tokens = 0
        self._settled = 0
        self._cancelled = 0
        self._throttled = 0

    def reserve(self, now: float, *, tokens: int) -> Permit | float:
        """A permit for a request of about ``tokens`` tokens (prompt and answer), or the seconds until asking again is worth while.

        The seconds are never 0; ``math.inf`` means that only a permit coming back (or a lease) can help.
        """
        self._advance(now)
        tokens = max(tokens, 0)
        wait = self._wait(tokens)
        if wait > 0:
            return wait
        if self._requests is not None:
            self._requests.take(1.0, self._now)
        if self._tokens is not None:
            self._tokens.take(tokens, self._now)
        if self._cubic is None:
            self._cubic = CubicRate(self._now)
        self._cubic.take(self._now)
        self._requests_left.take(1.0)
        self._tokens_left.take(tokens)
        self._in_flight += 1
        self._reserved += 1
        self._reserved_tokens += tokens
        return Permit(self, self._reserved, tokens, self._reserved_tokens)

    def settle(
        self, permit: Permit, now: float, outcome: Outcome, limits: RateLimitState | None = None
    ) -> None:
        """The request ended: give the permit back and learn from how it ended.

        ``limits`` is what the answer's headers said, if they are fresh; for a long stream hand them to :meth:`observe` when they come instead.
        A permit that already came back is ignored: whoever was first has settled it. Raises ValueError for another limiter's permit.
        """
        if not self._close(permit, now):
            return
        self._settled += 1
        used = outcome.input_tokens + outcome.output_tokens
        if self._tokens is not None:
            if used > 0:
                self._tokens.put_back(permit.tokens - used, self._now)
            elif outcome.kind in _NO_WORK_DONE:
                self._tokens.put_back(permit.tokens, self._now)
        hinted = permit.is_hinted or (limits is not None and self._learn(limits, permit))
        if outcome.kind is OutcomeKind.THROTTLED:
            self._throttle(permit, outcome.retry_after, hinted)
        elif outcome.kind not in _NOT_ANSWERED and self._cubic is not None:
            self._cubic.update(self._now, throttled=False)
        if outcome.kind is OutcomeKind.OK:
            self._grow(permit)

    def cancel(self, permit: Permit, now: float) -> None:
        """Nothing was sent: everything is as if the permit had never been reserved. A permit that already came back is ignored."""
        if not self._close(permit, now):
            return
        self._cancelled += 1
        if self._requests is not None:
            self._requests.put_back(1.0, self._now)
        if self._tokens is not None:
            self._tokens.put_back(permit.tokens, self._now)
        if self._cubic is not None:
            self._cubic.put_back(self._now)
        self._requests_left.put_back(1.0, permit.number)
        self._tokens_left.put_back(permit.tokens, permit.number)

    def observe(self, limits: RateLimitState, now: float, permit: Permit | None = None) -> None:
        """The headers of an answer, as soon as they came. ``permit`` is the answered request's; None for a request made without one."""
        self._advance(now)
        is_exhausted = self._learn(limits, permit)
        if permit is not None:
            permit.is_hinted = is_exhausted

    def grant(
        self,
        now: float,
        *,
        requests_per_minute: float = 0.0,
        tokens_per_minute: float = 0.0,
        max_concurrency: int = 0,
        until: float = math.inf,
    ) -> Lease:
        """Add capacity from outside, until ``until`` or :meth:`revoke`. Raises ValueError for a negative or infinite amount."""
        for value in (requests_per_minute, tokens_per_minute, max_concurrency):
            if not 0 <= value < math.inf:
                raise ValueError(
                    f"AdaptiveRateLimiter.grant: amounts are finite and at least 0; got {value!r}"
                )
        self._advance(now)
        lease = Lease(requests_per_minute, tokens_per_minute, max_concurrency, until)
        self._leases.append(lease)
        self._resize(self._now)
        return lease

    def revoke(self, lease: Lease, now: float) -> None:
        """Take a lease's capacity back. One that has ended or was revoked before is ignored."""
        self._advance(now)
        if lease in self._leases:
            self._leases.remove(lease)
            self._resize(self._now)

    def next_wakeup(self, now: float) -> float:
        """Seconds from now until the smallest request could go: 0 now, ``inf`` when time alone cannot help."""
        self._advance(now)
        return self._wait(0)

    def snapshot(self, now: float) -> LimiterSnapshot:
        """The facts at ``now``."""
        self._advance(now)
        limit = self._concurrency()
        is_paced = self._cubic is not None and self._cubic.is_enabled
        return LimiterSnapshot(
            in_flight=self._in_flight,
            concurrency_limit=None if limit == math.inf else int(limit),
            requests_available=None if self._requests is None else max(self._requests.level(self._now), 0.0),
            tokens_available=None if self._tokens is None else max(self._tokens.level(self._now), 0.0),
            requests_remaining=self._requests_left.remaining(self._now),
            tokens_remaining=self._tokens_left.remaining(self._now),
            cooldown=max(self._blocked_until - self._now, 0.0),
            rate=self._cubic.fill_rate if self._cubic is not None and is_paced else None,
            leases=len(self._leases),
            reserved=self._reserved,
            settled=self._settled,
            cancelled=self._cancelled,
            throttled=self._throttled,
        )

    def _bucket(self, per_minute: float | None) -> Bucket | None:
        if per_minute is None:
            return None
        return Bucket(per_minute / 60.0, self._capacity(per_minute), self._now)

    def _capacity(self, per_minute: float) -> float:
        return max(per_minute / 60.0 * self._burst, _MIN_BURST) if per_minute > 0 else 0.0

    def _advance(self, now: float) -> None:
        self._now = max(self._now, now)
        if self._leases:
            for lease in sorted(self._leases, key=lambda lease: lease.until):
                if lease.until > self._now:
                    break
                self._leases.remove(lease)
                self._resize(
                    lease.until
                )  # buckets filled at its rate until it ended, and not until somebody looked
        if self._throttled_at is not None and self._now - self._throttled_at >= self._forget_after:
            self._throttled_at = None
            self._limit = math.inf
            self._cubic = CubicRate(self._now)

    def _resize(self, now: float) -> None:
        if self._requests is not None and self._requests_per_minute is not None:
            rate = self._requests_per_minute + sum(lease.requests_per_minute for lease in self._leases)
            self._requests.resize(rate / 60.0, self._capacity(rate), now)
        if self._tokens is not None and self._tokens_per_minute is not None:
            rate = self._tokens_per_minute + sum(lease.tokens_per_minute for lease in self._leases)
            self._tokens.resize(rate / 60.0, self._capacity(rate), now)

    def _ceiling(self) -> float:
        if self._max_concurrency is None:
            return math.inf
        return self._max_concurrency + sum(lease.max_concurrency for lease in self._leases)

    def _concurrency(self) -> float:
        learned = self._limit if self._limit == math.inf else math.floor(self._limit)
        return min(self._ceiling(), learned)

    def _wait(self, tokens: int) -> float:
        if self._in_flight >= self._concurrency():
            return math.inf
        now = self._now
        wait = worth_waiting(self._blocked_until - now)
        if self._requests is not None:
            wait = max(wait, self._requests.wait(1.0, now))
        if self._tokens is not None:
            wait = max(wait, self._tokens.wait(tokens, now))
        if self._cubic is not None:
            wait = max(wait, self._cubic.wait(now))
        return max(
            wait,
            self._requests_left.wait(1.0, now),
            self._tokens_left.wait(tokens, now),
            # How a reservation splits into prompt and answer is not known here: these two only stop what is exhausted.
            self._input_left.wait(1.0, now),
            self._output_left.wait(1.0, now),
        )

    def _close(self, permit: Permit, now: float) -> bool:
        if permit.owner is not self:
            raise ValueError(f"{permit!r} belongs to another limiter")
        self._advance(now)
        if not permit.is_open:
            return False
        permit.is_open = False
        self._in_flight -= 1
        return True

    def _learn(self, limits: RateLimitState, permit: Permit | None) -> bool:
        """Take in what the headers said; True if one of them says that nothing is left."""
        number = self._reserved if permit is None else permit.number
        requests_since = self._reserved - number
        tokens_since = 0 if permit is None else self._reserved_tokens - permit.tokens_upto
        pairs: tuple[tuple[LearnedWindow, Window, int], ...] = (
            (self._requests_left, limits.requests, requests_since),
            (self._tokens_left, limits.tokens, tokens_since),
            (self._input_left, limits.input_tokens, 0),
            (self._output_left, limits.output_tokens, 0),
        )
        is_exhausted = False
        for learned, window, since in pairs:
            if window.remaining is None:
                continue
            is_exhausted = is_exhausted or window.remaining <= 0
            learned.learn(
                window.remaining,
                window.limit,
                window.reset,
                as_of=number,
                since=since,
                now=self._now,
                longest=self._max_cooldown,
            )
        return is_exhausted

    def _throttle(self, permit: Permit, retry_after: float | None, hinted: bool) -> None:
        self._throttled += 1
        self._throttled_at = self._now
        if retry_after is not None and retry_after > 0:
            hinted = True
            self._blocked_until = max(self._blocked_until, self._now + min(retry_after, self._max_cooldown))
        if self._cubic is not None and (self._cubic.is_enabled or not hinted):
            self._cubic.update(self._now, throttled=True)
        if permit.number > self._last_cut:
            in_use = min(self._limit, self._in_flight + 1)
            self._limit = max(1.0, in_use * self._cut)
            self._last_cut = self._reserved

    def _grow(self, permit: Permit) -> None:
        # A success of what was sent before the cut says nothing of the limit after it.
        if (
            self._limit == math.inf
            or permit.number <= self._last_cut
            or (self._in_flight + 1) * 2 < self._limit
        ):
            return
        self._limit += 1.0 / self._limit
        if self._limit >= self._ceiling():
            self._limit = math.inf
