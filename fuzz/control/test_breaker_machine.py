"""The breaker against a list of everything that was judged since it last closed.

- It opens exactly when the list says so, and for no longer than its cap.
- It never gives more probes than it may, and never one while open; asking in vain always comes with a wait.
- Waiting as told leads to a pass; results of an earlier state, and outcomes that are not judged, change nothing.
"""

from __future__ import annotations

import math

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

from tercet.engine.control.breaker import BreakerState, CircuitBreaker, Pass
from tercet.engine.control.outcome import Outcome, OutcomeKind

WINDOW, OPEN_FOR, CAP, SLOW = 10.0, 2.0, 9.0, 3.0
JUDGED = (OutcomeKind.OK, OutcomeKind.FAILED)
# Half-open with some probes in and some out is where the rules meet: most draws lead there.
kinds = st.sampled_from([*JUDGED * 4, *OutcomeKind])
times = st.sampled_from([0.0, 0.0, 2.9, 3.1])
chances = st.floats(0, 1, exclude_max=True)


class BreakerMachine(RuleBasedStateMachine):
    passes: Bundle[Pass] = Bundle("passes")

    @initialize(minimum=st.integers(1, 4), permits=st.integers(1, 3), start=st.sampled_from([0.0, 3e8]))
    def begin(self, minimum: int, permits: int, start: float) -> None:
        self.breaker = CircuitBreaker(
            window=WINDOW,
            minimum_calls=minimum,
            failure_rate=0.5,
            slow_call=SLOW,
            slow_rate=0.75,
            open_for=OPEN_FOR,
            open_cap=CAP,
            half_open_permits=permits,
        )
        self.minimum, self.permits = minimum, permits
        self.clock = self.latest = start
        self.judged: list[tuple[float, bool, bool]] = []
        self.probes: list[Pass] = []
        self.shown: list[Pass] = []
        self.successes = 0
        self.state = BreakerState.CLOSED
        self.is_forced = False
        self.waits: list[float] = []

    def look(self) -> BreakerState:
        """The state after the clock has moved on; the model follows time's one own change."""
        self.latest = max(self.latest, self.clock)
        state = self.breaker.state(self.clock)
        if state is not self.state:
            assert (self.state, state) == (BreakerState.OPEN, BreakerState.HALF_OPEN)
            assert not self.is_forced
            self.enter(state)
        return state

    def enter(self, state: BreakerState) -> None:
        self.state = state
        self.judged.clear()
        self.probes.clear()
        self.shown.clear()
        self.successes = 0
        self.is_forced = False

    @rule(seconds=st.sampled_from([0.0, 1e-12, 0.4, 1.0, 1.9, 5.0, 30.0, -20.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock = max(self.clock + seconds, 0.0)

    @rule(target=passes)
    def ask(self) -> Pass | MultipleResults[Pass]:
        state = self.look()
        wait = self.breaker.retry_in(self.clock)
        got = self.breaker.try_pass(self.clock)
        has_slot = len(self.probes) + self.successes < self.permits
        assert (got is not None) == (
            state is BreakerState.CLOSED or (state is BreakerState.HALF_OPEN and has_slot)
        )
        assert (wait == 0.0) == (got is not None)
        if got is None:
            assert self.latest + wait > self.latest
            return multiple()
        assert got.is_probe == (state is BreakerState.HALF_OPEN)
        if got.is_probe:
            self.probes.append(got)
        return got

    @rule(kind=kinds, took=times, chance=chances)
    def call(self, kind: OutcomeKind, took: float, chance: float) -> None:
        got = self.ask()
        if isinstance(got, Pass):
            self.record(got, kind, took, chance)

    @rule(pass_=consumes(passes), kind=kinds, took=times, chance=chances)
    def record(self, pass_: Pass, kind: OutcomeKind, took: float, chance: float) -> None:
        state = self.look()
        is_late = not pass_.is_open or (
            pass_ not in self.probes + self.shown if pass_.is_probe else state is not BreakerState.CLOSED
        )
        is_late = is_late or (not pass_.is_probe and pass_.generation != self.generation())
        self.breaker.record(pass_, self.clock, Outcome(kind, duration=took), lambda: chance)
        is_bad = kind is OutcomeKind.FAILED or took > SLOW
        after = self.breaker.state(self.clock)
        if is_late or kind not in JUDGED:
            assert after is state
            if not is_late and pass_.is_probe:
                self.drop(pass_)
            return
        if pass_.is_probe:
            self.successes += pass_ in self.probes and not is_bad
            self.drop(pass_)
            is_done = self.successes >= self.permits
            wanted = (
                BreakerState.OPEN if is_bad else BreakerState.CLOSED if is_done else BreakerState.HALF_OPEN
            )
        else:
            self.judged.append((self.latest, kind is OutcomeKind.FAILED, took > SLOW))
            wanted = BreakerState.OPEN if self.is_too_bad() else BreakerState.CLOSED
        assert after is wanted
        if after is not state:
            self.enter(after)
            if after is BreakerState.OPEN:
                wait = self.breaker.retry_in(self.clock)
                assert 0.8 * OPEN_FOR * (1 - 1e-6) <= wait <= CAP * (1 + 1e-6)

    @rule(pass_=passes)
    def show_content(self, pass_: Pass) -> None:
        self.look()
        self.breaker.progress(pass_, self.clock)
        if pass_ in self.probes and self.latest - pass_.given_at <= SLOW:
            self.probes.remove(pass_)
            self.shown.append(pass_)
            self.successes += 1
            if self.successes >= self.permits:
                self.enter(BreakerState.CLOSED)
        assert self.breaker.state(self.clock) is self.state

    @rule(pass_=passes)
    def record_twice(self, pass_: Pass) -> None:
        self.record(pass_, OutcomeKind.CANCELLED, 0.0, 0.5)
        before = self.breaker.snapshot(self.clock)
        self.breaker.record(pass_, self.clock, Outcome(OutcomeKind.FAILED), lambda: 0.5)
        self.breaker.progress(pass_, self.clock)
        assert self.breaker.snapshot(self.clock) == before

    @rule(chance=chances)
    def trouble(self, chance: float) -> None:
        for _ in range(self.minimum):
            self.call(OutcomeKind.FAILED, 0.0, chance)

    @rule(is_open=st.booleans(), is_meant=st.sampled_from([True, False, False, False]))
    def force(self, is_open: bool, is_meant: bool) -> None:
        if not is_meant:
            return
        self.look()
        if is_open:
            self.breaker.force_open(self.clock)
            self.enter(BreakerState.OPEN)
            self.is_forced = True
        else:
            self.breaker.force_close(self.clock)
            self.enter(BreakerState.CLOSED)

    @rule()
    def waiting_as_told_leads_to_a_pass(self) -> None:
        self.look()
        wait = self.breaker.retry_in(self.clock)
        if wait == math.inf:
            assert self.is_forced or self.probes
            return
        for _ in range(3):
            self.clock = self.latest + wait
            self.look()
            wait = self.breaker.retry_in(self.clock)
            if wait == 0.0:
                return
        raise AssertionError("waited three times in vain")

    @invariant()
    def facts_agree(self) -> None:
        state = self.look()
        facts = self.breaker.snapshot(self.clock)
        assert facts.state is state
        assert facts.probes == len(self.probes) <= self.permits
        assert min(facts.calls, facts.failures, facts.slow_calls, facts.openings) >= 0
        if state is BreakerState.CLOSED:
            recent = self.recent()
            assert (facts.calls, facts.failures, facts.slow_calls) == (
                len(recent),
                sum(failed for _, failed, _ in recent),
                sum(slow for _, _, slow in recent),
            )

    def drop(self, pass_: Pass) -> None:
        (self.probes if pass_ in self.probes else self.shown).remove(pass_)

    def recent(self) -> list[tuple[float, bool, bool]]:
        tenth = WINDOW / 10
        oldest = math.floor(self.latest / tenth) - 10
        return [row for row in self.judged if math.floor(row[0] / tenth) > oldest]

    def is_too_bad(self) -> bool:
        recent = self.recent()
        failures, slow = sum(row[1] for row in recent), sum(row[2] for row in recent)
        return len(recent) >= self.minimum and (failures >= 0.5 * len(recent) or slow >= 0.75 * len(recent))

    def generation(self) -> int:
        """Which state it is in by number: a pass given now would carry it."""
        if self.breaker.state(self.clock) is not BreakerState.CLOSED:
            return -1
        given = self.breaker.try_pass(self.clock)
        assert given is not None
        return given.generation


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(stateful_step_count=40)
