"""Rows about waiting: rate limits and deadlines, full queues, half-open breakers, clocks that jump, providers that are down. In virtual time."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import tercet
from tercet.testing import End

from .stage import Play, World, open_world
from .wires import CHUNKED, ELSEWHERE, END, FIRST, answer, chunk, failure, openai

GOOD = answer()
ELSE = answer(text=ELSEWHERE)
Clock = trio.testing.MockClock
ONCE = tercet.RetryPolicy(max_attempts=1)


async def ask(world: World, *fallbacks: str) -> tercet.ChatResponse:
    async with world.manager.chat_stream(world.ask(), fallbacks=fallbacks) as stream:
        response: tercet.ChatResponse = await stream.collect()
    return response


def throttled(*headers: str) -> Play:
    return (failure(429, None, *headers),)


# -- P01, P03, P06, P09: limits ---------------------------------------------------------------------------------------------


async def test_a_wait_that_does_not_fit_the_deadline_is_not_begun(autojump_clock: Clock) -> None:
    async with open_world("memory", autojump_clock, [throttled("retry-after: 30"), GOOD], [ELSE]) as world:
        with pytest.raises(tercet.RateLimitError):
            with trio.fail_after(10):
                await ask(world)
        assert (trio.current_time(), len(world.alder.requests)) == (0, 1)
        with trio.fail_after(10):
            assert (await ask(world, "birch:lorem")).provider == "birch"
        assert (trio.current_time(), len(world.alder.requests)) == (0, 1)
        with trio.fail_after(60):
            assert (await ask(world)).provider == "alder"
        assert trio.current_time() == 30
        await world.assert_nothing_left()


async def test_who_comes_while_a_provider_is_cooling_down_goes_to_the_next_target(
    autojump_clock: Clock,
) -> None:
    """The wait is too long for whoever has somewhere else to go, whether it was they or somebody else who was throttled."""
    exhausted = throttled("x-ratelimit-remaining-requests: 0", "x-ratelimit-reset-requests: 50s")
    async with open_world("memory", autojump_clock, [exhausted, GOOD], [ELSE]) as world:
        with pytest.raises(tercet.RateLimitError), trio.fail_after(10):
            await ask(world)
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask, world, "birch:lorem")
        assert trio.current_time() == begun
        assert (len(world.alder.requests), len(world.birch.requests)) == (1, 20)
        assert (await ask(world)).provider == "alder"  # who has nowhere else to go waits
        assert trio.current_time() == pytest.approx(50, abs=1)
        await world.assert_nothing_left()


async def test_a_throttled_provider_is_asked_by_half_as_many(autojump_clock: Clock) -> None:
    """P06: no hint, so the number in flight is halved."""
    asked = 0

    async def eighth(scene: Any) -> None:
        nonlocal asked
        asked += 1
        is_last = asked == 8
        await scene.time.pass_by(1.0)
        for step in throttled() if is_last else GOOD:
            await scene.stream.send_all(step)

    async with open_world("memory", autojump_clock, [(eighth,)], [ELSE]) as world:
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(ask, world)
        [slot] = world.lane.slots
        learned = slot.limiter.snapshot(trio.current_time())
        assert learned.throttled == 1
        assert learned.concurrency_limit is not None
        assert learned.concurrency_limit <= 4
        assert learned.rate is not None  # requests per second, held back from now on
        await world.assert_nothing_left()


async def test_a_key_without_quota_is_left_alone_until_it_has_some(autojump_clock: Clock) -> None:
    """P09."""
    spent = (failure(429, {"error": {"message": "x", "code": "insufficient_quota"}}, "retry-after: 7200"),)
    async with open_world("memory", autojump_clock, [spent, GOOD], [ELSE]) as world:
        for _ in range(5):
            assert (await ask(world, "birch:lorem")).provider == "birch"
        await trio.sleep(7100)
        assert (await ask(world, "birch:lorem")).provider == "birch"
        assert len(world.alder.requests) == 1
        await trio.sleep(101)
        assert (await ask(world, "birch:lorem")).provider == "alder"
        assert world.lane.breaker.snapshot(trio.current_time()).failures == 0


async def test_another_key_takes_over_from_one_without_quota(autojump_clock: Clock) -> None:
    spent = (failure(402),)
    async with open_world(
        "memory", autojump_clock, [spent, GOOD], [ELSE], keys={"alder": ["key-one", "key-two"]}
    ) as world:
        with pytest.raises(tercet.QuotaExceededError):
            await ask(world)
        for _ in range(3):
            assert (await ask(world)).provider == "alder"
        sent = [request.partition(b"Bearer ")[2].partition(b"\r\n")[0] for request in world.alder.requests]
        assert sent == [b"key-one", *[b"key-two"] * 3]


# -- R05: deadlines ---------------------------------------------------------------------------------------------------------


async def test_a_deadline_in_the_limiters_queue_sends_nothing(autojump_clock: Clock) -> None:
    limited = {"requests_per_minute": 1.0}
    async with open_world("memory", autojump_clock, [GOOD], [ELSE], profile=limited) as world:
        await ask(world)
        with pytest.raises(tercet.RateLimitError, match="deadline"), trio.fail_after(5):
            await ask(world)
        assert trio.current_time() == 0
        with trio.fail_after(5):
            assert (await ask(world, "birch:lorem")).provider == "birch"
        assert (trio.current_time(), len(world.alder.requests)) == (0, 1)
        await world.assert_nothing_left()


async def test_a_deadline_while_all_places_are_taken(autojump_clock: Clock) -> None:
    """Nobody knows how long that wait will be, so it is begun, and left at the deadline; nothing was sent for it."""
    slow: Play = (CHUNKED + chunk(openai.first), End("stall"))
    async with open_world(
        "memory",
        autojump_clock,
        [slow],
        [ELSE],
        profile={"max_concurrency": 1},
        clocks=tercet.Clocks(idle=None),
    ) as world:
        async with world.manager.chat_stream(world.ask()) as first:
            await first.__anext__()
            with trio.move_on_after(5) as scope:
                await ask(world)
            assert scope.cancelled_caught
            assert trio.current_time() == 5
            assert len(world.alder.requests) == 1
        await world.assert_nothing_left()


async def test_a_deadline_in_the_back_off(autojump_clock: Clock) -> None:
    async with open_world(
        "memory", autojump_clock, [(End("fin"),), GOOD], [ELSE], random=lambda: 0.999
    ) as world:
        with pytest.raises(tercet.StreamInterruptedError), trio.fail_after(0.4):
            await ask(world)
        assert (trio.current_time(), len(world.alder.requests)) == (0, 1)
        await world.assert_nothing_left()


async def test_a_deadline_while_a_hedge_is_waited_for(autojump_clock: Clock) -> None:
    async with open_world(
        "memory", autojump_clock, [(End("stall"),)], [(End("stall"),)], hedge=tercet.HedgePolicy(delay=2.0)
    ) as world:
        with trio.move_on_after(1) as scope:
            async with world.manager.chat_stream(world.ask(), fallbacks=["birch:lorem"], hedged=True):
                pass
        assert scope.cancelled_caught
        assert (len(world.alder.requests), len(world.birch.requests)) == (1, 0)
        await world.assert_nothing_left()
        assert world.manager.statistics()["alder"].outcomes["cancelled"] == 1


async def test_a_deadline_in_mid_answer_keeps_what_was_said(autojump_clock: Clock) -> None:
    async with open_world(
        "memory",
        autojump_clock,
        [(CHUNKED + chunk(openai.first), End("stall"))],
        [ELSE],
        clocks=tercet.Clocks(),
    ) as world:
        stream = world.manager.chat_stream(world.ask(), fallbacks=["birch:lorem"])
        with pytest.raises(trio.TooSlowError), trio.fail_after(5):
            async with stream:
                await stream.collect()
        assert stream.response.text == FIRST
        assert not stream.response.is_complete
        assert world.birch.requests == []
        await world.assert_nothing_left()
        outcomes = world.manager.statistics()["alder"].outcomes
        assert (outcomes["cancelled"], outcomes["failed"]) == (1, 0)


# -- R06: a full queue --------------------------------------------------------------------------------------------------------


async def test_a_full_queue_refuses_at_once(autojump_clock: Clock) -> None:
    slow: Play = (CHUNKED + chunk(openai.first), End("stall"))
    admission = tercet.BackpressureController(max_in_flight=1, max_queued=0)
    async with open_world("memory", autojump_clock, [slow], [ELSE], admission=admission) as world:
        async with world.manager.chat_stream(world.ask()) as stream:
            await stream.__anext__()
            with pytest.raises(tercet.OverloadedError) as caught:
                await ask(world, "birch:lorem")
            assert (caught.value.status, caught.value.provider) == (None, None)
            assert (len(world.alder.requests), world.birch.requests) == (1, [])
        await world.assert_nothing_left()
        assert world.manager.statistics()["alder"].outcomes["failed"] == 0


# -- R09, R11, R12: providers that are down -----------------------------------------------------------------------------------


def quick_breaker() -> tercet.CircuitBreaker:
    return tercet.CircuitBreaker(minimum_calls=4, open_for=10.0, half_open_permits=2)


async def test_of_a_thousand_callers_two_are_probes(autojump_clock: Clock) -> None:
    """R09."""
    down: Play = (failure(500),)
    async with open_world(
        "memory", autojump_clock, [down], [ELSE], make_breaker=quick_breaker, retry=ONCE
    ) as world:
        for _ in range(4):
            await ask(world, "birch:lorem")
        assert world.lane.state is tercet.BreakerState.OPEN
        await trio.sleep(10)
        before = len(world.alder.requests)
        slow_answer: Play = (lambda scene: scene.time.pass_by(1.0), *GOOD)
        world.alder.plays = [slow_answer]
        answered: list[str | None] = []

        async def one() -> None:
            answered.append((await ask(world, "birch:lorem")).provider)

        async with trio.open_nursery() as nursery:
            for _ in range(1000):
                nursery.start_soon(one)
        assert len(world.alder.requests) - before == 2
        assert (answered.count("alder"), answered.count("birch")) == (2, 998)
        assert world.lane.state is tercet.BreakerState.CLOSED
        await world.assert_nothing_left()


async def test_a_cancelled_probe_makes_room_for_another(autojump_clock: Clock) -> None:
    """R04: half-open permits come back."""
    async with open_world(
        "memory", autojump_clock, [(failure(500),)], [ELSE], make_breaker=quick_breaker, retry=ONCE
    ) as world:
        for _ in range(4):
            await ask(world, "birch:lorem")
        await trio.sleep(10)
        world.alder.plays = [(End("stall"),)]
        for _ in range(3):
            with trio.move_on_after(1):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ask, world)
                    nursery.start_soon(ask, world)
            assert world.lane.breaker.snapshot(trio.current_time()).probes == 0
            assert world.lane.state is tercet.BreakerState.HALF_OPEN
        world.alder.plays = [GOOD]
        for _ in range(2):
            await ask(world)
        assert world.lane.state is tercet.BreakerState.CLOSED


async def test_when_all_are_down_it_ends_soon_and_says_why(autojump_clock: Clock) -> None:
    """R11: bounded attempts, bounded time, causes in order; and a thousand requests do not become three thousand."""
    async with open_world(
        "memory",
        autojump_clock,
        [(failure(500),)],
        [(End("reset"),)],
        make_breaker=lambda: tercet.CircuitBreaker(minimum_calls=10**9),
    ) as world:
        with pytest.raises(tercet.AllAttemptsFailedError) as caught:
            await ask(world, "birch:lorem")
        causes = [(error.provider, type(error).__name__) for error in caught.value.attempts]
        assert causes == [("alder", "ServerError")] * 3 + [("birch", "StreamInterruptedError")] * 3
        assert trio.current_time() < 10
        for _ in range(1000):
            with pytest.raises(tercet.ServerError):
                await ask(world)
        # 500 tokens, 14 a retry: the budget lasts for 35 of them
        assert len(world.alder.requests) == 1001 + 35
        await world.assert_nothing_left()


async def test_a_flapping_provider_is_asked_more_and_more_seldom(autojump_clock: Clock) -> None:
    """R12: ten seconds up, ten seconds down, for twenty minutes, two requests a second: every one is answered."""

    async def flapping(scene: Any) -> None:
        if int(trio.current_time() // 10) % 2:
            scene.stream.reset()
        else:
            for step in GOOD:
                await scene.stream.send_all(step)

    async with open_world(
        "memory",
        autojump_clock,
        [(flapping,)],
        [ELSE],
        make_breaker=lambda: tercet.CircuitBreaker(minimum_calls=4),
    ) as world:
        answered: list[str | None] = []
        openings = 0
        was = tercet.BreakerState.CLOSED
        for _ in range(2400):
            answered.append((await ask(world, "birch:lorem")).provider)
            state = world.lane.state
            openings += state is tercet.BreakerState.OPEN and was is not tercet.BreakerState.OPEN
            was = state
            await trio.sleep(0.5)
        outcomes = world.manager.statistics()["alder"].outcomes
        assert len(answered) == 2400
        assert 3 <= openings <= 30  # of the sixty times that it went down
        assert (
            outcomes["failed"] <= 0.1 * 2400
        )  # without the breaker it were half of the requests, three times each
        await world.assert_nothing_left()


# -- R10: clocks ----------------------------------------------------------------------------------------------------------------


async def test_a_wall_clock_that_jumps_moves_no_timer(mock_clock: Clock) -> None:
    """The wall is set back by an hour while a Retry-After runs, and forward by a day while a stream is read."""
    mock_clock.autojump_threshold = 0
    wall = [1_790_000_000.0]

    async def back(scene: Any) -> None:
        wall[0] -= 3600
        for step in throttled("retry-after: 4"):
            await scene.stream.send_all(step)

    async def forward(scene: Any) -> None:
        wall[0] += 86_400

    long: Play = (CHUNKED + chunk(openai.first), forward, chunk(openai.all[len(openai.first) :]) + END)
    async with open_world(
        "memory", mock_clock, [(back,), long], [ELSE], wall=lambda: wall[0] + trio.current_time()
    ) as world:
        assert (await ask(world)).is_complete
        assert trio.current_time() == 4
        await world.assert_nothing_left()


async def test_after_eight_hours_asleep_all_goes_on(mock_clock: Clock) -> None:
    """What was kept, learned and opened before is too old to count; what waits meets its clock at once."""
    mock_clock.autojump_threshold = 0
    async with open_world(
        "memory",
        mock_clock,
        [GOOD, throttled("retry-after: 20"), GOOD],
        [ELSE],
        retry=ONCE,
    ) as world:
        assert (await ask(world)).is_complete
        with pytest.raises(tercet.RateLimitError):
            await ask(world)
        mock_clock.jump(8 * 3600)
        assert (await ask(world)).is_complete
        assert trio.current_time() < 8 * 3600 + 1
        assert world.alder.connections == 2  # the kept one was too old
        world.alder.plays = [(CHUNKED + chunk(openai.first), End("stall"))]
        async with trio.open_nursery() as nursery:

            async def suspended() -> None:
                await trio.testing.wait_all_tasks_blocked()
                mock_clock.jump(8 * 3600)

            nursery.start_soon(suspended)
            with pytest.raises(tercet.DeadlineError) as caught:
                await ask(world)
        assert caught.value.clock == "idle"
        await world.assert_nothing_left()
