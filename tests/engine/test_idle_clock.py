"""The idle clock: every wait ends exactly when it should, and only waits that lasted too long."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from tercet.engine.runtime.idle import IdleClock


class Reading:
    """A response whose reads take the seconds that are told; closing it wakes up the reader, as connections do."""

    def __init__(self, *seconds: float) -> None:
        self._seconds = iter(seconds)
        self._closed = trio.Event()

    async def receive(self) -> bytes:
        with trio.move_on_after(next(self._seconds)):
            await self._closed.wait()
            raise trio.ClosedResourceError
        return b"x"

    def close(self) -> None:
        self._closed.set()


async def reads(clock: Any, *seconds: float) -> tuple[int, float]:
    """How many reads gave something, and when the last one ended."""
    response: Any = Reading(*seconds)
    for number in range(len(seconds)):
        if await clock.receive(response, clock.deadline()) is None:
            return number, trio.current_time()
    return len(seconds), trio.current_time()


async def test_each_of_many_waits_ends_at_its_own_deadline(autojump_clock: trio.testing.MockClock) -> None:
    ends: dict[float, tuple[int, float]] = {}
    start = trio.current_time()

    async with trio.open_nursery() as watches:
        clock = IdleClock(10.0, watches)

        async def late(after: float) -> None:
            await trio.sleep(after)
            ends[after] = await reads(clock, 9.0, 9.5, 30.0)

        async with trio.open_nursery() as readers:
            for after in (0.0, 0.25, 7.0, 29.0):
                readers.start_soon(late, after)
    assert {after: (count, end - start) for after, (count, end) in ends.items()} == {
        after: (2, pytest.approx(after + 28.5)) for after in ends
    }


async def test_the_watch_ends_with_the_last_wait_and_starts_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as watches:
        clock = IdleClock(10.0, watches)
        for _ in range(2):
            assert (await reads(clock, 1.0))[0] == 1
            assert len(watches.child_tasks) == 1
            await trio.sleep(20)
            assert not watches.child_tasks


async def test_whoever_closes_a_response_from_outside_is_not_taken_for_the_clock(
    autojump_clock: trio.testing.MockClock,
) -> None:
    response: Any = Reading(100.0)
    async with trio.open_nursery() as watches:
        clock = IdleClock(10.0, watches)
        async with trio.open_nursery() as nursery:

            async def close() -> None:
                await trio.sleep(1)
                response.close()

            nursery.start_soon(close)
            with pytest.raises(trio.ClosedResourceError):
                await clock.receive(response, clock.deadline())
        watches.cancel_scope.cancel()


async def test_no_patience_means_for_ever(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as watches:
        clock = IdleClock(None, watches)
        assert (await reads(clock, 1e6))[0] == 1
        assert not watches.child_tasks
