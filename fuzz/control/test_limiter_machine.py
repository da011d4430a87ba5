"""The limiter against a plain model: what is out, what came back, what may have been sent in a minute.

Whatever the order of reservations, answers, headers, leases and jumps of the clock:

- permits are conserved, and no count is ever negative;
- ``reserve`` never returns 0 and never asks for a wait the clock cannot notice;
- with nothing in flight, waiting as told leads to a permit within a few steps (unless there is no capacity at all);
- the configured number in flight is never passed, nor the configured rate plus one bucket.
"""

from __future__ import annotations

import math

import msgspec
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from tercet.adapters.rate_limits import RateLimitState, Window
from tercet.engine.control.limiter import AdaptiveRateLimiter, Lease, LimiterSnapshot, Permit
from tercet.engine.control.outcome import Outcome, OutcomeKind

counts = st.none() | st.integers(0, 2000)
windows = st.builds(Window, counts, counts, st.none() | st.floats(0, 100))
states = st.builds(RateLimitState, windows, windows, windows, windows)
outcomes = st.builds(
    Outcome,
    st.sampled_from(OutcomeKind),
    retry_after=st.none() | st.sampled_from([0.0, -1.0, 1e-15, 0.5, 30.0, 1e9, math.inf, math.nan]),
    input_tokens=st.integers(0, 500),
    output_tokens=st.integers(0, 500),
)
steps = st.sampled_from([0.0, 1e-9, 0.01, 0.5, 1.0, 7.0, 61.0, 400.0, -50.0])
amounts = st.sampled_from([0, 1, 10, 100, 1000, 10**7])
MAX_STEPS = 6


class LimiterMachine(RuleBasedStateMachine):
    permits: Bundle[Permit] = Bundle("permits")
    leases: Bundle[Lease] = Bundle("leases")

    @initialize(
        requests=st.none() | st.sampled_from([0.0, 0.5, 60.0, 6000.0]),
        tokens=st.none() | st.sampled_from([0.0, 600.0, 60_000.0]),
        concurrency=st.none() | st.integers(0, 5),
        burst=st.sampled_from([0.0, 1.0, 60.0]),
        start=st.sampled_from([0.0, 5.0, 3e8]),
    )
    def begin(
        self,
        requests: float | None,
        tokens: float | None,
        concurrency: int | None,
        burst: float,
        start: float,
    ) -> None:
        self.limiter = AdaptiveRateLimiter(
            requests_per_minute=requests,
            tokens_per_minute=tokens,
            max_concurrency=concurrency,
            burst_seconds=burst,
        )
        self.requests, self.tokens, self.concurrency, self.burst = requests, tokens, concurrency, burst
        self.clock = start  # what the limiter is told, which may jump back
        self.latest = start  # the latest it was told
        self.out: list[Permit] = []
        self.held: list[Lease] = []
        self.has_been_leased = False
        self.reserved = self.settled = self.cancelled = 0
        self.sent: list[float] = []

    @rule(seconds=steps)
    def time_passes(self, seconds: float) -> None:
        self.clock = max(self.clock + seconds, 0.0)

    @rule(target=permits, tokens=amounts)
    def reserve(self, tokens: int) -> Permit | MultipleResults[Permit]:
        self.told()
        before = self.limiter.snapshot(self.clock)
        got = self.limiter.reserve(self.clock, tokens=tokens)
        if isinstance(got, Permit):
            limit = before.concurrency_limit
            assert limit is None or before.in_flight < limit
            self.out.append(got)
            self.reserved += 1
            self.sent.append(self.latest)
            return got
        assert got > 0
        assert self.clock + got > self.clock
        assert self.limiter.snapshot(self.clock) == before, "a refusal changed something"
        return multiple()

    @rule(permit=consumes(permits), outcome=outcomes, limits=st.none() | states)
    def settle(self, permit: Permit, outcome: Outcome, limits: RateLimitState | None) -> None:
        self.told()
        self.limiter.settle(permit, self.clock, outcome, limits)
        if permit in self.out:
            self.out.remove(permit)
            self.settled += 1

    @rule(permit=consumes(permits))
    def cancel(self, permit: Permit) -> None:
        self.told()
        self.limiter.cancel(permit, self.clock)
        if permit in self.out:
            self.out.remove(permit)
            self.cancelled += 1
            self.sent.pop()  # one of them was never sent; which one does not matter to the count

    @rule(tokens=amounts)
    def reserve_and_cancel(self, tokens: int) -> None:
        self.told()
        before = self.limiter.snapshot(self.clock)
        got = self.limiter.reserve(self.clock, tokens=tokens)
        if isinstance(got, Permit):
            self.limiter.cancel(got, self.clock)
            self.reserved += 1
            self.cancelled += 1
            after = self.limiter.snapshot(self.clock)
            same = msgspec.structs.replace(after, reserved=before.reserved, cancelled=before.cancelled)
            assert rounded(same) == rounded(before)

    @rule(permit=permits, outcome=outcomes)
    def settle_and_settle_again(self, permit: Permit, outcome: Outcome) -> None:
        self.settle(permit, outcome, None)
        before = self.limiter.snapshot(self.clock)
        self.limiter.settle(permit, self.clock, outcome)
        self.limiter.cancel(permit, self.clock)
        assert self.limiter.snapshot(self.clock) == before

    @rule(limits=states, permit=st.none() | permits)
    def observe(self, limits: RateLimitState, permit: Permit | None) -> None:
        self.told()
        self.limiter.observe(limits, self.clock, permit)

    @rule(
        target=leases,
        requests=st.sampled_from([0.0, 60.0]),
        concurrency=st.integers(0, 3),
        seconds=st.sampled_from([0.0, 5.0, math.inf]),
    )
    def grant(self, requests: float, concurrency: int, seconds: float) -> Lease:
        self.told()
        self.has_been_leased = True
        lease = self.limiter.grant(
            self.clock, requests_per_minute=requests, max_concurrency=concurrency, until=self.latest + seconds
        )
        self.held.append(lease)
        return lease

    @rule(lease=leases)
    def revoke(self, lease: Lease) -> None:
        self.told()
        self.limiter.revoke(lease, self.clock)
        if lease in self.held:
            self.held.remove(lease)

    @rule(tokens=amounts)
    def waiting_as_told_leads_to_a_permit(self, tokens: int) -> None:
        self.told()
        for permit in self.out:
            self.limiter.settle(permit, self.clock, Outcome(OutcomeKind.LOCAL))
        self.settled += len(self.out)
        self.out.clear()
        for _ in range(MAX_STEPS):
            got = self.limiter.reserve(self.clock, tokens=tokens)
            if isinstance(got, Permit):
                self.limiter.cancel(got, self.clock)
                self.reserved += 1
                self.cancelled += 1
                return
            if got == math.inf:
                held = [lease for lease in self.held if lease.until > self.latest]
                is_shut = (
                    self.concurrency is not None
                    and self.concurrency + sum(lease.max_concurrency for lease in held) == 0
                )
                is_still = (
                    self.requests is not None
                    and self.requests + sum(lease.requests_per_minute for lease in held) == 0
                )
                assert is_shut or is_still or self.tokens == 0, self.limiter.snapshot(self.clock)
                return
            self.clock = max(self.clock, self.latest) + got
            self.told()
        raise AssertionError(f"no permit after {MAX_STEPS} waits: {self.limiter.snapshot(self.clock)}")

    @invariant()
    def counts_agree(self) -> None:
        facts = self.limiter.snapshot(self.clock)
        self.told()
        assert facts.in_flight == len(self.out) >= 0
        assert (facts.reserved, facts.settled, facts.cancelled) == (
            self.reserved,
            self.settled,
            self.cancelled,
        )
        assert facts.reserved == facts.settled + facts.cancelled + facts.in_flight
        for value in (
            facts.requests_available,
            facts.tokens_available,
            facts.requests_remaining,
            facts.tokens_remaining,
        ):
            assert value is None or 0 <= value < math.inf
        assert 0 <= facts.cooldown <= 3600
        assert facts.rate is None or 0.5 <= facts.rate < math.inf
        assert facts.concurrency_limit is None or facts.concurrency_limit >= (
            0 if self.concurrency == 0 else 1
        )
        held = [lease for lease in self.held if lease.until > self.latest]
        assert facts.leases == len(held)
        assert (self.limiter.next_wakeup(self.clock) == 0.0) or self.limiter.next_wakeup(self.clock) > 0.0

    @invariant()
    def the_configured_rate_is_kept(self) -> None:
        if self.requests is None or self.has_been_leased:
            return
        capacity = max(self.requests / 60.0 * self.burst, 1.0 if self.requests else 0.0)
        in_a_minute = [at for at in self.sent if at > self.latest - 60.0]
        assert len(in_a_minute) <= capacity + self.requests + 1e-6

    def told(self) -> None:
        self.latest = max(self.latest, self.clock)


def rounded(facts: LimiterSnapshot) -> dict[str, object]:
    """The facts without the last digits: taking out and putting back a large amount may lose them."""
    known = msgspec.structs.asdict(facts)
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in known.items()}


TestLimiter = LimiterMachine.TestCase
TestLimiter.settings = settings(stateful_step_count=30)
