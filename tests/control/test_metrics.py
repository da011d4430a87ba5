"""Counters, histograms, clocks and back-off."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from tercet.codecs.vocabulary import ProviderError, ServerError
from tercet.engine.control.backoff import MIN_WAIT, full_jitter, grown, worth_waiting
from tercet.engine.control.clocks import Clocks
from tercet.engine.control.metrics import Histogram, HistogramSnapshot, ProviderMetrics
from tercet.engine.control.outcome import Outcome, OutcomeKind


def test_an_attempt_is_counted() -> None:
    metrics = ProviderMetrics("p")
    outcome = Outcome(OutcomeKind.OK, first_content=0.5, duration=2.5, input_tokens=10, output_tokens=100)
    metrics.record_attempt(outcome, wait=0.02, cost=0.25)
    metrics.record_attempt(Outcome.of(ServerError("500", status=500), duration=1.0), attempt=2)
    facts = metrics.snapshot()
    assert (facts.attempts, facts.retries, facts.input_tokens, facts.output_tokens, facts.cost) == (
        2,
        1,
        10,
        100,
        0.25,
    )
    assert (facts.outcomes["ok"], facts.outcomes["failed"], facts.outcomes["key"]) == (1, 1, 0)
    assert facts.causes == {"ServerError 500": 1}
    assert facts.success_rate == 0.5
    assert (facts.first_content.count, facts.duration.count, facts.wait.count) == (1, 2, 1)
    assert facts.tokens_per_second.mean == 50.0
    assert facts.latency == metrics.latency == 0.5


def test_a_snapshot_does_not_change_and_can_be_written_down() -> None:
    metrics = ProviderMetrics("p")
    before = metrics.snapshot()
    metrics.record_attempt(Outcome(OutcomeKind.OK, first_content=1.0))
    assert before.attempts == 0
    assert before.outcomes["ok"] == 0
    assert before.success_rate is None
    assert b'"provider":"p"' in msgspec.json.encode(metrics.snapshot())


def test_latency_follows() -> None:
    metrics = ProviderMetrics("p")
    for _ in range(50):
        metrics.record_attempt(Outcome(OutcomeKind.OK, first_content=4.0))
    metrics.record_attempt(Outcome(OutcomeKind.OK, first_content=9.0))
    assert metrics.latency == pytest.approx(5.0)


def test_causes_are_bounded() -> None:
    metrics = ProviderMetrics("p")
    for status in range(300, 900):
        metrics.record_attempt(Outcome.of(ProviderError("?", status=status)))
    facts = metrics.snapshot()
    assert len(facts.causes) == 65
    assert sum(facts.causes.values()) == 600
    assert facts.causes["other"] == 536


def test_quantiles() -> None:
    histogram = Histogram((1.0, 2.0, 4.0))
    assert histogram.snapshot().quantile(0.5) is None
    assert histogram.snapshot().mean is None
    for value in (0.5, 1.0, 1.5, 2.0, 3.0, 100.0, -1.0, math.nan, math.inf):
        histogram.add(value)
    facts = histogram.snapshot()
    assert list(facts.counts) == [2, 2, 1, 1]
    assert facts.quantile(0.0) == 0.0
    assert facts.quantile(0.5) == 1.5
    assert facts.quantile(1.0) == 4.0


def test_histograms_add_up() -> None:
    one, two = Histogram((1.0,)), Histogram((1.0,))
    one.add(0.5)
    two.add(3.0)
    assert one.snapshot() + two.snapshot() == HistogramSnapshot((1.0,), (1, 1), 3.5)
    with pytest.raises(ValueError, match="different bounds"):
        _ = one.snapshot() + Histogram((2.0,)).snapshot()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=50))
def test_quantiles_rise_and_stay_within_the_bounds(values: list[float]) -> None:
    histogram = Histogram((0.1, 1.0, 10.0, 100.0))
    for value in values:
        histogram.add(value)
    facts = histogram.snapshot()
    assert facts.count == len(values)
    got = [facts.quantile(part / 20) or 0.0 for part in range(21)]
    assert got == sorted(got)
    assert 0.0 <= got[0] <= got[-1] <= 100.0


def test_clocks() -> None:
    assert (Clocks().connect, Clocks().first_content, Clocks().idle) == (10.0, 120.0, 60.0)
    assert Clocks(connect=None).connect is None
    for value in (0, -1.0, math.nan):
        with pytest.raises(ValueError, match=r"Clocks\.idle"):
            Clocks(idle=value)


@settings(max_examples=150, deadline=None)
@given(st.integers(-5, 5000), st.floats(0, 100), st.floats(0, 1000), st.floats(0, 1, exclude_max=True))
def test_backoff_stays_within_its_bounds(count: int, base: float, cap: float, chance: float) -> None:
    assert 0.0 <= full_jitter(count, base, cap, lambda: chance) <= grown(count, base, cap) <= cap
    assert grown(count, base, cap) <= grown(count + 1, base, cap)


def test_a_wait_is_long_enough_for_a_clock_or_none() -> None:
    assert worth_waiting(-1.0) == 0.0
    assert worth_waiting(1e-15) == MIN_WAIT
    assert worth_waiting(2.0) == 2.0
    assert worth_waiting(math.inf) == math.inf
