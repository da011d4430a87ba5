"""The retry budget and the admission controller against the plainest of models: a number, and a list."""

from __future__ import annotations

import math

from hypothesis import given, settings, strategies as st
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

from tercet.codecs.vocabulary import (
    BadRequestError,
    ConnectError,
    ContextLengthError,
    OverloadedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    TercetError,
)
from tercet.engine.control.admission import Admission, BackpressureController
from tercet.engine.control.retry import GiveUp, Retry, RetryBudget, RetryPolicy


class BudgetMachine(RuleBasedStateMachine):
    @initialize(capacity=st.integers(0, 100), retry=st.integers(0, 20), throttling=st.integers(0, 20))
    def begin(self, capacity: int, retry: int, throttling: int) -> None:
        self.budget = RetryBudget(capacity, retry_cost=retry, throttling_cost=throttling)
        self.capacity, self.costs = capacity, {False: retry, True: throttling}
        self.level = capacity
        self.spent: list[int] = []

    @rule(is_throttling=st.booleans())
    def spend(self, is_throttling: bool) -> None:
        cost = self.costs[is_throttling]
        got = self.budget.try_spend(is_throttling=is_throttling)
        assert got == (cost if cost <= self.level else None)
        if got is not None:
            self.level -= cost
            self.spent.append(cost)

    @rule()
    def succeed(self) -> None:
        cost = self.spent.pop() if self.spent else 0
        self.budget.pay_back(cost)
        self.level = min(self.capacity, self.level + (cost or 1))

    @invariant()
    def level_agrees(self) -> None:
        assert 0 <= self.budget.tokens == self.level <= self.capacity


class AdmissionMachine(RuleBasedStateMachine):
    admissions: Bundle[Admission] = Bundle("admissions")

    @initialize(
        in_flight=st.none() | st.integers(1, 4),
        queued=st.none() | st.integers(0, 8),
        size=st.none() | st.integers(0, 100),
    )
    def begin(self, in_flight: int | None, queued: int | None, size: int | None) -> None:
        self.limits = tuple(math.inf if limit is None else limit for limit in (in_flight, queued, size))
        self.controller = BackpressureController(max_in_flight=in_flight, max_queued=queued, max_bytes=size)
        self.held: list[Admission] = []
        self.clock = 0.0

    @rule(seconds=st.sampled_from([0.0, 0.1, 3.0, -5.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock += seconds

    @rule(target=admissions, priority=st.integers(-3, 2), size=st.integers(0, 60))
    def admit(self, priority: int, size: int) -> Admission | MultipleResults[Admission]:
        in_flight, queued, most = self.limits
        running = [one for one in self.held if one.is_running]
        waiting = [one for one in self.held if not one.is_running]
        held = sum(one.size for one in self.held)
        share = 2 ** max(-priority, 0)
        runs = len(running) < in_flight and not waiting
        fits_queue = runs or len(waiting) < whole(queued / share)
        fits_bytes = held == 0 or held + size <= whole(most / share)
        got = self.controller.try_admit(self.clock, priority, size)
        assert isinstance(got, Admission) == (fits_queue and fits_bytes), (got, runs)
        if isinstance(got, Admission):
            assert got.is_running == runs
            self.held.append(got)
            return got
        assert got.used >= 0
        assert got.retry_after is None or 0 < got.retry_after < math.inf
        assert isinstance(got.error(), OverloadedError)
        return multiple()

    @rule(admission=admissions)
    def start(self, admission: Admission) -> None:
        running = sum(one.is_running for one in self.held)
        was_running = admission.is_running
        got = self.controller.try_start(admission, self.clock)
        assert got == (admission in self.held and (was_running or running < self.limits[0]))

    @rule(admission=consumes(admissions))
    def release(self, admission: Admission) -> None:
        for _ in range(2):
            self.controller.release(admission, self.clock)
        self.held.remove(admission)

    @invariant()
    def counts_agree(self) -> None:
        facts = self.controller.snapshot(self.clock)
        running = sum(one.is_running for one in self.held)
        assert (facts.in_flight, facts.queued) == (running, len(self.held) - running)
        assert facts.bytes == sum(one.size for one in self.held)
        assert facts.admitted == facts.in_flight + facts.queued + facts.released
        assert facts.in_flight <= self.limits[0]
        assert facts.queued <= self.limits[1]


def whole(amount: float) -> float:
    return amount if amount == math.inf else math.floor(amount)


TestBudget = BudgetMachine.TestCase
TestBudget.settings = settings(stateful_step_count=30)
TestAdmission = AdmissionMachine.TestCase
TestAdmission.settings = settings(stateful_step_count=40)

errors = st.builds(
    lambda make, status, after, retryable: make("?", status=status, retry_after=after, retryable=retryable),
    st.sampled_from(
        [
            BadRequestError,
            ConnectError,
            ContextLengthError,
            OverloadedError,
            QuotaExceededError,
            RateLimitError,
            ServerError,
            StreamInterruptedError,
        ]
    ),
    st.none() | st.integers(400, 599),
    st.none() | st.floats(),
    st.none() | st.booleans(),
)


@given(
    errors,
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1e9),
    st.none() | st.floats(-1, 1000),
    st.booleans(),
    st.integers(0, 100),
)
def test_a_request_ends_after_a_bounded_number_of_bounded_waits(
    error: TercetError, chance: float, now: float, patience: float | None, can_fail_over: bool, tokens: int
) -> None:
    policy = RetryPolicy(max_attempts=4)
    deadline = math.inf if patience is None else now + patience
    budget = RetryBudget(500, tokens=tokens)
    for attempt in range(1, 5):
        left = budget.tokens
        decision = policy.decide(
            error,
            attempt=attempt,
            now=now,
            deadline=deadline,
            random=lambda: chance,
            budget=budget,
            can_fail_over=can_fail_over,
        )
        if not isinstance(decision, Retry):
            assert budget.tokens == left
            assert can_fail_over or isinstance(decision, GiveUp)
            return
        assert 0.0 <= decision.delay <= 60.0
        assert now + decision.delay < deadline
        assert budget.tokens == left - decision.cost >= 0
        now += decision.delay
    raise AssertionError("more attempts than the policy allows")
