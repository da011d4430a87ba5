"""A second target is asked when the first takes unusually long; the first to show content wins."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, strategies as st

import tercet
from tercet.engine.control import HedgeBudget, HedgePolicy, Histogram
from tercet.testing import fail, lorem, say, stall, sweep_cancellation


def ask(provider: str = "alder") -> tercet.ChatRequest:
    return tercet.ChatRequest(f"{provider}:lorem", "Hello.", max_tokens=10)


async def both_ways(manager: tercet.ProviderManager, *, stream: bool, **how: Any) -> tercet.ChatResponse:
    if not stream:
        return await manager.chat(ask(), fallbacks=["birch:lorem"], hedged=True, **how)
    async with manager.chat_stream(ask(), fallbacks=["birch:lorem"], hedged=True, **how) as answer:
        return await answer.collect()


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_the_hedge_wins_and_the_loser_is_closed(
    open_world: Any, autojump_clock: Any, stream: bool
) -> None:
    hedge = tercet.HedgePolicy(delay=1.0)
    async with open_world(alder=stall(after_events=0), birch=say("fast"), manager={"hedge": hedge}) as world:
        started = trio.current_time()
        answer = await both_ways(world.manager, stream=stream)
        assert (answer.provider, answer.text) == ("birch", "fast")
        assert trio.current_time() - started == pytest.approx(1.0, abs=0.2)
        assert world.manager.statistics()["alder"].outcomes["cancelled"] == 1
        await trio.testing.wait_all_tasks_blocked()
        assert world.fleet["alder"].open_connections == 0


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_the_first_wins_when_it_is_in_time(open_world: Any, autojump_clock: Any, stream: bool) -> None:
    hedge = tercet.HedgePolicy(delay=1.0)
    async with open_world(alder=say("slow", first_delay=0.9), manager={"hedge": hedge}) as world:
        assert (await both_ways(world.manager, stream=stream)).provider == "alder"
        assert not world.fleet["birch"].chats
        world.fleet["alder"].script = say("slower", first_delay=1.5)
        world.fleet["birch"].script = say("slowest", first_delay=1.5)
        assert (await both_ways(world.manager, stream=stream)).provider == "alder"
        assert len(world.fleet["birch"].chats) == 1


async def test_failures_while_two_are_out(open_world: Any, autojump_clock: Any) -> None:
    settings = {"hedge": tercet.HedgePolicy(delay=1.0, burst=99), "retry": tercet.RetryPolicy(max_attempts=1)}
    late = fail(500)

    async def slow_failure(request: Any, n: int) -> Any:
        await trio.sleep(2)
        return late

    async with open_world(alder=slow_failure, birch=say("ok", first_delay=3), manager=settings) as world:
        assert (await both_ways(world.manager, stream=True)).provider == "birch"
        world.fleet["birch"].script = fail(500)
        world.fleet["alder"].script = say("ok", first_delay=3)
        assert (await both_ways(world.manager, stream=True)).provider == "alder"
        world.fleet["alder"].script = slow_failure
        with pytest.raises(tercet.AllAttemptsFailedError):
            await both_ways(world.manager, stream=True)
        world.fleet["alder"].script = fail(500)
        world.fleet["birch"].script = say("after a quick failure")
        assert (await both_ways(world.manager, stream=True)).provider == "birch"
    assert world.open_connections == 0


async def test_the_budget_and_the_learned_delay(open_world: Any, autojump_clock: Any) -> None:
    async with open_world(alder=lorem(3, first_delay=0.2), birch=say("hedge")) as world:
        for _ in range(25):
            await both_ways(world.manager, stream=True)
        assert not world.fleet["birch"].chats  # nothing was unusual
        world.fleet["alder"].script = lorem(3, first_delay=5)
        providers = [(await both_ways(world.manager, stream=True)).provider for _ in range(10)]
        assert providers.count("birch") == 1  # 2 % of 35 requests, and one is free


async def test_hedging_cancelled_at_every_point(open_world: Any, autojump_clock: Any) -> None:
    hedge = tercet.HedgePolicy(delay=0.5, burst=10**9)
    script = lorem(2, first_delay=0.6)
    async with open_world(alder=script, birch=script, manager={"hedge": hedge}) as world:
        await both_ways(world.manager, stream=True)

        async def run() -> None:
            await both_ways(world.manager, stream=True)

        async def check() -> None:
            await trio.testing.wait_all_tasks_blocked()
            for lane in world.manager._roster.lanes.values():
                assert (lane.in_flight, lane.queued) == (0, 0)
            assert world.manager._gate.inside == 0

        assert await sweep_cancellation(run, check=check, every_task=True) > 20


@given(
    st.lists(st.tuples(st.integers(1, 1000), st.booleans()), max_size=300),
    st.floats(0, 0.5),
    st.integers(0, 3),
)
def test_the_extra_load_is_bounded(steps: list[tuple[int, bool]], extra: float, burst: int) -> None:
    policy = HedgePolicy(extra_load=extra, burst=burst)
    budget = HedgeBudget(policy)
    hedged = 0
    for requests, (tokens, wants) in enumerate(steps, 1):
        budget.count(tokens)
        hedged += wants and budget.try_hedge(tokens)
        assert hedged == budget.hedges
        assert hedged <= max(burst, extra * requests)


def test_the_delay_is_learned() -> None:
    histogram = Histogram((0.1, 1.0, 10.0))
    policy = HedgePolicy(minimum_samples=10)
    for _ in range(9):
        histogram.add(0.05)
    assert policy.wait(histogram) is None
    histogram.add(0.05)
    learned = policy.wait(histogram)
    assert learned is not None
    assert learned <= 0.1
    assert HedgePolicy(delay=3.0).wait(histogram) == 3.0
    with pytest.raises(ValueError, match="delay"):
        HedgePolicy(delay=0)
    with pytest.raises(ValueError, match="quantile"):
        HedgePolicy(quantile=1.0)
