"""Scopes: what a block may use together."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import floats, integers

import tercet
from tercet.engine.control import Budget, Reservation
from tercet.testing import lorem, say, sweep_cancellation


def ask(text: str = "Hello.", **more: Any) -> tercet.ChatRequest:
    return tercet.ChatRequest("alder:lorem", text, **more)


async def test_what_is_asked_inside_is_counted(open_world: Any, autojump_clock: Any) -> None:
    async with open_world(alder=say("one two three")) as world:
        async with world.manager.scope(tokens=1000, cost=1.0) as outer:
            first = await world.manager.chat(ask())
            async with world.manager.scope() as inner, trio.open_nursery() as nursery:
                nursery.start_soon(world.manager.chat, ask())
            assert first.usage is not None
            assert inner.snapshot().used_tokens == first.usage.total_tokens
            seen = outer.snapshot()
            assert seen.used_tokens == 2 * first.usage.total_tokens
            assert seen.used_cost == pytest.approx(2 * (first.usage.cost or 0))
            assert (seen.reserved_tokens, seen.reserved_cost) == (0, 0)
        await world.manager.chat(ask())
        assert outer.snapshot() == seen


async def test_without_room_nothing_is_sent(open_world: Any, autojump_clock: Any) -> None:
    async with open_world(alder=say("ok")) as world, world.manager.scope(tokens=500):
        with pytest.raises(tercet.QuotaExceededError, match="tokens=500"):
            await world.manager.chat(ask(max_tokens=600))
        with pytest.raises(tercet.QuotaExceededError):
            async with world.manager.chat_stream(ask(max_tokens=600)):
                pass
        assert not world.fleet["alder"].chats
        assert (await world.manager.chat(ask(max_tokens=100))).text == "ok"


async def test_exhaustion_cancels_the_siblings(open_world: Any, autojump_clock: Any) -> None:
    """The one that uses the last of it ends; the others are cancelled at their next checkpoint, and the block says why."""
    ended: list[str] = []
    async with open_world(alder=lorem(40), birch=lorem(5, pace=100.0)) as world:

        async def slow() -> None:
            try:
                await world.manager.chat(tercet.ChatRequest("birch:lorem", "Hello."))
            except trio.Cancelled:
                ended.append("cancelled")
                raise

        started = trio.current_time()
        with pytest.raises(tercet.QuotaExceededError):
            async with world.manager.scope(tokens=30) as scope, trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(slow)
                await trio.testing.wait_all_tasks_blocked()
                await world.manager.chat(ask("Hi"))
                ended.append("the last one")
                await trio.sleep_forever()
        # all in one tick, in whatever order trio runs the tasks: what is promised is that each of them happens
        assert sorted(ended) == [*["cancelled"] * 3, "the last one"]
        assert trio.current_time() - started < 1
        assert scope.snapshot().reserved_tokens == 0
        assert world.fleet.network.open_connections <= 1


async def test_max_parallel(open_world: Any, autojump_clock: Any) -> None:
    async with open_world(alder=lorem(3, first_delay=1.0)) as world:
        started = trio.current_time()
        async with world.manager.scope(max_parallel=4), world.manager.scope(max_parallel=2):
            async with trio.open_nursery() as nursery:
                for _ in range(6):
                    nursery.start_soon(world.manager.chat, ask())
        assert trio.current_time() - started == pytest.approx(3.0, abs=0.1)
    with pytest.raises(ValueError, match="max_parallel"):
        world.manager.scope(max_parallel=0)


async def test_scopes_cancelled_at_every_point(open_world: Any, autojump_clock: Any) -> None:
    async with open_world(alder=lorem(2, pace=0.1)) as world:
        await world.manager.chat(ask())
        async with world.manager.scope(tokens=10**6, max_parallel=1) as scope:

            async def run() -> None:
                async with world.manager.scope(max_parallel=1), world.manager.chat_stream(ask()) as stream:
                    await stream.collect()

            async def check() -> None:
                await trio.testing.wait_all_tasks_blocked()
                assert scope.snapshot().reserved_tokens == 0
                assert scope._places is not None
                assert scope._places.value == 1

            assert await sweep_cancellation(run, check=check, every_task=True) > 10


class Budgets(RuleBasedStateMachine):
    """A budget inside another against plain sums."""

    def __init__(self) -> None:
        super().__init__()
        self.outer = Budget(tokens=1000, cost=1.0)
        self.inner = Budget(tokens=400, parent=self.outer)
        self.held: list[tuple[Budget, Reservation]] = []
        self.used: dict[Budget, int] = {self.outer: 0, self.inner: 0}

    def reserved(self, budget: Budget) -> int:
        return sum(r.tokens for owner, r in self.held if owner is budget or budget is self.outer)

    @rule(inner=integers(0, 1), tokens=integers(0, 500), cost=floats(0, 0.2))
    def reserve(self, inner: int, tokens: int, cost: float) -> None:
        budget = self.inner if inner else self.outer
        line = [self.inner, self.outer] if inner else [self.outer]
        limits = {self.outer: 1000, self.inner: 400}
        fits = all(
            self.used[b] + self.reserved(b) + tokens <= limits[b] and self.used[b] < limits[b] for b in line
        )
        got = budget.reserve(tokens, cost)
        if got is not None:
            assert fits
            self.held.append((budget, got))
        elif fits:
            seen = self.outer.snapshot()
            assert seen.used_cost + seen.reserved_cost + cost > 1.0 or seen.used_cost >= 1.0

    @rule(which=integers(0, 50), tokens=integers(0, 300))
    def settle(self, which: int, tokens: int) -> None:
        if not self.held:
            return
        budget, reservation = self.held.pop(which % len(self.held))
        budget.use(tokens, 0.0)
        budget.release(reservation)
        budget.release(reservation)
        self.used[self.outer] += tokens
        if budget is self.inner:
            self.used[self.inner] += tokens

    @invariant()
    def sums_agree(self) -> None:
        for budget in (self.outer, self.inner):
            seen = budget.snapshot()
            assert (seen.used_tokens, seen.reserved_tokens) == (self.used[budget], self.reserved(budget))
            assert budget.is_exhausted == (seen.used_tokens >= (seen.tokens or 0))


TestBudgets = Budgets.TestCase
TestBudgets.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
