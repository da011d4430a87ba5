"""The circuit breaker by values: each test states one of its rules."""

from __future__ import annotations

import math

import pytest

from tercet.engine.control.breaker import BreakerState, CircuitBreaker, Pass
from tercet.engine.control.outcome import Outcome, OutcomeKind

OK = Outcome(OutcomeKind.OK, duration=1.0)
FAILED = Outcome(OutcomeKind.FAILED)
UNJUDGED = [
    OutcomeKind.THROTTLED,
    OutcomeKind.REJECTED,
    OutcomeKind.KEY,
    OutcomeKind.LOCAL,
    OutcomeKind.CANCELLED,
]


def never() -> float:
    return 0.0


def pass_of(breaker: CircuitBreaker, now: float = 0.0) -> Pass:
    got = breaker.try_pass(now)
    assert got is not None
    return got


def call(breaker: CircuitBreaker, now: float, outcome: Outcome) -> None:
    breaker.record(pass_of(breaker, now), now, outcome, never)


def opened(now: float = 0.0, **settings: float) -> CircuitBreaker:
    breaker = CircuitBreaker(**{"minimum_calls": 2, **settings})  # type: ignore[arg-type]  # numbers of either kind
    call(breaker, now, FAILED)
    call(breaker, now, FAILED)
    assert breaker.state(now) is BreakerState.OPEN
    return breaker


def test_it_opens_at_the_rate_and_not_before_the_minimum() -> None:
    breaker = CircuitBreaker(minimum_calls=10, failure_rate=0.5)
    for _ in range(5):
        call(breaker, 0.0, OK)
    for _ in range(4):
        call(breaker, 0.0, FAILED)
    assert breaker.state(0.0) is BreakerState.CLOSED
    call(breaker, 0.0, FAILED)
    assert breaker.state(0.0) is BreakerState.OPEN
    assert breaker.try_pass(0.0) is None
    assert breaker.retry_in(1.0) == pytest.approx(4.0)


def test_what_lies_outside_the_window_is_forgotten() -> None:
    breaker = CircuitBreaker(minimum_calls=4, window=60)
    for now in (0.0, 1.0, 2.0):
        call(breaker, now, FAILED)
    call(breaker, 70.0, FAILED)
    facts = breaker.snapshot(70.0)
    assert (facts.state, facts.calls, facts.failures) == (BreakerState.CLOSED, 1, 1)


def test_slow_calls_open_it_too() -> None:
    breaker = CircuitBreaker(minimum_calls=5, slow_call=10.0, slow_rate=0.8)
    call(breaker, 0.0, Outcome(OutcomeKind.OK, first_content=1.0, duration=500.0))
    for _ in range(3):
        call(breaker, 0.0, Outcome(OutcomeKind.OK, first_content=11.0))
    assert breaker.state(0.0) is BreakerState.CLOSED
    call(breaker, 0.0, Outcome(OutcomeKind.OK, duration=11.0))
    assert breaker.state(0.0) is BreakerState.OPEN


@pytest.mark.parametrize("kind", UNJUDGED)
def test_other_outcomes_are_not_judged(kind: OutcomeKind) -> None:
    breaker = CircuitBreaker(minimum_calls=1)
    for _ in range(20):
        call(breaker, 0.0, Outcome(kind, duration=1000.0))
    assert breaker.snapshot(0.0).calls == 0
    assert breaker.state(0.0) is BreakerState.CLOSED


def test_half_open_lets_exactly_the_probes_pass() -> None:
    breaker = opened(half_open_permits=2)
    passes = [breaker.try_pass(5.0) for _ in range(1000)]
    probes = [pass_ for pass_ in passes if pass_ is not None]
    assert len(probes) == 2
    assert all(probe.is_probe for probe in probes)
    assert breaker.retry_in(5.0) == math.inf
    breaker.record(probes[0], 6.0, OK, never)
    assert breaker.try_pass(6.0) is None
    breaker.record(probes[1], 6.0, OK, never)
    assert breaker.state(6.0) is BreakerState.CLOSED


@pytest.mark.parametrize("kind", UNJUDGED)
def test_a_probe_without_judgement_makes_room_for_another(kind: OutcomeKind) -> None:
    breaker = opened(half_open_permits=1)
    probe = pass_of(breaker, 5.0)
    breaker.record(probe, 5.0, Outcome(kind), never)
    assert breaker.state(5.0) is BreakerState.HALF_OPEN
    assert breaker.retry_in(5.0) == 0.0
    assert pass_of(breaker, 5.0).is_probe


def test_a_failed_probe_opens_it_for_twice_as_long_up_to_the_cap() -> None:
    breaker = opened(open_for=5.0, open_cap=12.0)
    now, waits = 0.0, []
    for _ in range(4):
        waits.append(breaker.retry_in(now))
        now += waits[-1]
        call(breaker, now, FAILED)
    assert waits == pytest.approx([5.0, 10.0, 12.0, 12.0])


def test_a_slow_probe_is_a_failed_one() -> None:
    breaker = opened(slow_call=2.0)
    call(breaker, 5.0, Outcome(OutcomeKind.OK, first_content=3.0))
    assert breaker.state(5.0) is BreakerState.OPEN


def test_chance_shortens_an_opening_by_at_most_a_fifth() -> None:
    breaker = CircuitBreaker(minimum_calls=1)
    breaker.record(pass_of(breaker), 0.0, FAILED, lambda: 0.999999)
    assert 4.0 <= breaker.retry_in(0.0) <= 4.001


def test_a_flapping_provider_is_asked_more_and_more_seldom_and_a_quiet_window_forgives() -> None:
    breaker = opened(open_for=5.0, window=60.0, half_open_permits=1)
    call(breaker, 5.0, OK)
    assert breaker.state(5.0) is BreakerState.CLOSED
    call(breaker, 6.0, FAILED)
    call(breaker, 6.0, FAILED)
    assert breaker.retry_in(6.0) == pytest.approx(10.0)
    call(breaker, 16.0, OK)
    call(breaker, 80.0, FAILED)
    call(breaker, 80.0, FAILED)
    assert breaker.retry_in(80.0) == pytest.approx(5.0)


def test_late_results_of_an_earlier_state_are_ignored() -> None:
    breaker = CircuitBreaker(minimum_calls=2)
    early = [pass_of(breaker) for _ in range(20)]
    for pass_ in early[:2]:
        breaker.record(pass_, 0.0, FAILED, never)
    probe = pass_of(breaker, 5.0)
    for pass_ in early[2:10]:
        breaker.record(pass_, 5.0, FAILED, never)
    assert breaker.state(5.0) is BreakerState.HALF_OPEN
    for pass_ in early[10:]:
        breaker.record(pass_, 5.0, OK, never)
    assert breaker.state(5.0) is BreakerState.HALF_OPEN
    assert breaker.snapshot(5.0).probes == 1
    breaker.record(probe, 5.0, OK, never)


def test_a_pass_is_recorded_once() -> None:
    breaker = CircuitBreaker(minimum_calls=2)
    pass_ = pass_of(breaker)
    breaker.record(pass_, 0.0, FAILED, never)
    breaker.record(pass_, 0.0, FAILED, never)
    assert breaker.snapshot(0.0).calls == 1
    with pytest.raises(ValueError, match="another breaker"):
        CircuitBreaker().record(pass_, 0.0, OK, never)


def test_a_probe_that_shows_content_need_not_hold_its_place() -> None:
    breaker = opened(half_open_permits=2)
    first, second = pass_of(breaker, 5.0), pass_of(breaker, 5.0)
    breaker.progress(first, 6.0)
    breaker.progress(first, 6.0)
    assert breaker.snapshot(6.0).probes == 1
    breaker.record(
        first, 7.0, FAILED, never
    )  # ... and is still heard when it breaks before the others are in
    assert breaker.state(7.0) is BreakerState.OPEN
    breaker.progress(second, 7.0)
    assert breaker.state(7.0) is BreakerState.OPEN


def test_a_probe_that_showed_content_gives_its_place_back_once() -> None:
    breaker = opened(half_open_permits=3)
    first, _, third = (pass_of(breaker, 5.0) for _ in range(3))
    breaker.progress(first, 6.0)
    breaker.record(first, 7.0, OK, never)
    assert breaker.snapshot(7.0).probes == 2
    breaker.record(third, 7.0, Outcome(OutcomeKind.CANCELLED), never)
    assert breaker.snapshot(7.0).probes == 1
    pass_of(breaker, 7.0)
    assert breaker.try_pass(7.0) is None


def test_enough_content_closes_it() -> None:
    breaker = opened(half_open_permits=2)
    probes = [pass_of(breaker, 5.0) for _ in range(2)]
    for probe in probes:
        breaker.progress(probe, 6.0)
    assert breaker.state(6.0) is BreakerState.CLOSED
    for probe in probes:
        breaker.record(probe, 600.0, OK, never)
    assert breaker.snapshot(600.0).calls == 0


def test_operators_have_the_last_word() -> None:
    breaker = CircuitBreaker(minimum_calls=1)
    breaker.force_open(0.0)
    assert breaker.try_pass(1e9) is None
    assert breaker.retry_in(1e9) == math.inf
    assert breaker.snapshot(1e9).retry_in is None
    breaker.force_close(1e9)
    call(breaker, 1e9, OK)
    call(breaker, 1e9, FAILED)
    assert breaker.state(1e9) is BreakerState.OPEN


def test_time_that_runs_backwards_stands_still() -> None:
    breaker = opened(100.0)
    assert breaker.retry_in(50.0) == pytest.approx(5.0)
    assert breaker.state(0.0) is BreakerState.OPEN
    assert breaker.state(105.0) is BreakerState.HALF_OPEN


@pytest.mark.parametrize(
    "settings",
    [
        {"window": 0},
        {"open_for": 0},
        {"open_cap": 1},
        {"minimum_calls": 0},
        {"half_open_permits": 0},
        {"failure_rate": 0},
        {"slow_rate": 1.5},
    ],
)
def test_senseless_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="CircuitBreaker"):
        CircuitBreaker(**settings)  # type: ignore[arg-type]  # numbers of either kind
