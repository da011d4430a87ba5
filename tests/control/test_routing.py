"""Routes: the order of targets under each strategy."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings, strategies as st

from tercet.engine.control.routing import Route, Strategy, Target, TargetFacts, order

A, B, C = Target("a", "m"), Target("b", "m", weight=2.0), Target("c", "m", "second", weight=0.0)
ALL = (A, B, C)
STRATEGIES: tuple[Strategy, ...] = (
    "priority",
    "weighted",
    "least_latency",
    "least_cost",
    "least_busy",
    "affinity",
)


def half() -> float:
    return 0.5


def test_priority_is_the_listed_order() -> None:
    assert order(Route("r", ALL), {}, half) == [A, B, C]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_open_ones_go_last_and_unwell_ones_before_them(strategy: Strategy) -> None:
    facts = {
        A: TargetFacts(is_open=True),
        B: TargetFacts(is_healthy=False),
        C: TargetFacts(latency=99.0, cost=99.0, in_flight=99),
    }
    assert order(Route("r", ALL, strategy), facts, half, "key") == [C, B, A]
    assert sorted(
        t.provider for t in order(Route("r", ALL, strategy), lambda _: TargetFacts(is_open=True), half)
    ) == ["a", "b", "c"]


def test_weighted_draws_in_proportion_and_zero_last() -> None:
    draw = random.Random(7).random
    orders = [order(Route("r", ALL, "weighted"), {}, draw) for _ in range(3000)]
    firsts = Counter(ordered[0].provider for ordered in orders)
    assert all(ordered[2] == C for ordered in orders)
    assert firsts["b"] / firsts["a"] == pytest.approx(2.0, rel=0.15)


def test_least_of_each_fact() -> None:
    facts = {
        A: TargetFacts(latency=2.0, cost=1.0, in_flight=3),
        B: TargetFacts(latency=1.0, cost=None, in_flight=4),
    }
    pair = (A, B)
    assert order(Route("r", pair, "least_latency"), facts, half) == [B, A]
    assert order(Route("r", pair, "least_cost"), facts, half) == [A, B]
    assert order(Route("r", pair, "least_busy"), facts, half) == [B, A]  # 4 over a weight of 2
    assert order(Route("r", ALL, "least_latency"), facts, half)[0] == C  # unknown: worth finding out
    assert order(Route("r", ALL, "least_busy"), facts, half)[-1] == C


def test_equal_ones_share() -> None:
    draw = random.Random(7).random
    firsts = Counter(order(Route("r", (A, B), "least_busy"), {}, draw)[0].provider for _ in range(3000))
    assert firsts["b"] / firsts["a"] == pytest.approx(2.0, rel=0.15)


def test_affinity_keeps_a_key_on_its_target_and_moves_only_the_keys_of_one_that_goes() -> None:
    targets = tuple(Target(f"p{n}", "m") for n in range(8))
    route, smaller = Route("r", targets, "affinity"), Route("r", targets[:-1], "affinity")
    draw = random.Random(7).random
    keys = [f"user-{n}" for n in range(400)]
    before = {key: order(route, {}, draw, key)[0] for key in keys}
    assert before == {key: order(route, {}, draw, key)[0] for key in keys}
    for key in keys:
        if before[key] != targets[-1]:
            assert order(smaller, {}, draw, key)[0] == before[key]
    assert min(Counter(target.provider for target in before.values()).values()) > 25
    # The hash is the same in every process: this value is written down.
    assert [order(route, {}, draw, key)[0].provider for key in keys[:4]] == ["p5", "p6", "p3", "p0"]


def test_affinity_without_a_key_draws() -> None:
    draw = random.Random(7).random
    assert {order(Route("r", (A, B), "affinity"), {}, draw)[0].provider for _ in range(50)} == {"a", "b"}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.builds(
            Target,
            st.text(max_size=3),
            st.text(max_size=3),
            weight=st.sampled_from([0.0, 0.5, 1.0, 1e9, 1e-300]),
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(STRATEGIES),
    st.randoms(use_true_random=False),
    st.none() | st.text(max_size=5),
)
def test_every_target_comes_once(
    targets: list[Target], strategy: Strategy, chance: random.Random, key: str | None
) -> None:
    def facts(target: Target) -> TargetFacts:
        return TargetFacts(
            chance.random() < 0.5, chance.random() < 0.5, chance.choice([None, 0.1]), chance.randrange(3)
        )

    got = order(Route("r", targets, strategy), facts, chance.random, key)
    assert Counter(got) == Counter(targets)


def test_senseless_routes_are_refused() -> None:
    with pytest.raises(ValueError, match="no targets"):
        Route("r", ())
    with pytest.raises(ValueError, match="weight"):
        Target("a", "m", weight=math.nan)
