"""The cancel sweep, repeatable scheduling, and the check that nothing is left."""

# what is raised leaves a whole block: that is the thing tested

from __future__ import annotations

import random
import socket

import pytest
import trio
import trio.lowlevel
import trio.testing

from tercet.testing import (
    assert_nothing_left,
    cancel_at,
    count_checkpoints,
    count_open_sockets,
    deterministic_scheduling,
    sweep_cancellation,
)

# ---- the sweep


async def three_steps() -> None:
    for _ in range(3):
        await trio.lowlevel.checkpoint()


async def test_every_checkpoint_is_tried_once() -> None:
    done: list[int] = []

    async def work() -> None:
        count = 0
        try:
            for _ in range(3):
                await trio.lowlevel.checkpoint()
                count += 1
        finally:
            done.append(count)

    assert await sweep_cancellation(work) == 3
    assert done == [0, 1, 2, 3]
    assert await count_checkpoints(three_steps) == 3


async def test_cancel_at_stops_there_and_nowhere_else() -> None:
    steps: list[str] = []

    async def work() -> None:
        steps.append("a")
        await trio.lowlevel.checkpoint()
        steps.append("b")
        await trio.sleep_forever()

    points = await cancel_at(2, work)
    assert steps == ["a", "b"]
    assert points >= 2
    assert await cancel_at(99, three_steps) == 3


async def test_waits_are_points_in_virtual_time(autojump_clock: trio.testing.MockClock) -> None:
    async def work() -> None:
        await trio.sleep(3600)
        await trio.sleep(3600)

    assert await sweep_cancellation(work) == 2
    assert trio.current_time() == 3600 + 7200  # cancelled at once, after the first sleep, and never


async def test_the_steps_of_child_tasks_are_points_and_those_of_others_are_not() -> None:
    async def child() -> None:
        await three_steps()

    async def work() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)

    async def stranger() -> None:
        while True:
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stranger)
        assert await count_checkpoints(work) == 4  # three of the child, and the parent's wait for it
        assert await sweep_cancellation(work) == 4
        nursery.cancel_scope.cancel()


async def test_code_that_survives_a_cancel_is_swept_to_its_end() -> None:
    async def work() -> None:
        with trio.CancelScope(shield=True):
            await three_steps()

    assert await sweep_cancellation(work) == 3


async def test_the_check_runs_after_every_run() -> None:
    checked: list[int] = []

    async def check() -> None:
        checked.append(len(checked))

    assert await sweep_cancellation(three_steps, check=check) == 3
    assert checked == [0, 1, 2, 3]
    assert await sweep_cancellation(three_steps, check=lambda: checked.append(0)) == 3


async def test_a_fault_found_says_at_which_point() -> None:
    permits = 1

    async def leaky() -> None:
        nonlocal permits
        await trio.lowlevel.checkpoint()
        permits -= 1
        await trio.lowlevel.checkpoint()
        permits += 1

    def check() -> None:
        assert permits == 1, "a permit was lost"

    with pytest.raises(AssertionError, match="a permit was lost") as caught:
        await sweep_cancellation(leaky, check=check)
    assert caught.value.__notes__ == ["in the run that was cancelled at point 2"]


async def test_a_sweep_without_an_end_is_given_up() -> None:
    async def endless() -> None:
        while True:
            await trio.lowlevel.checkpoint()

    with pytest.raises(RuntimeError, match="no end after 20 points"):
        await sweep_cancellation(endless, max_points=20)


# ---- scheduling


def order_of_tasks(seed: int) -> list[int]:
    order: list[int] = []

    async def step(n: int) -> None:
        for _ in range(3):
            await trio.lowlevel.checkpoint()
            order.append(n)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for n in range(20):
                nursery.start_soon(step, n)

    with deterministic_scheduling(seed):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return order


def test_one_seed_one_order() -> None:
    assert order_of_tasks(1) == order_of_tasks(1)
    assert order_of_tasks(1) != order_of_tasks(2)


def test_what_was_before_is_restored() -> None:
    run = trio._core._run  # type: ignore[attr-defined]  # private, and the thing under test
    before = (run._ALLOW_DETERMINISTIC_SCHEDULING, run._r.getstate())
    with deterministic_scheduling(5):
        assert run._ALLOW_DETERMINISTIC_SCHEDULING is True
        assert run._r.random() == random.Random(5).random()
    assert (run._ALLOW_DETERMINISTIC_SCHEDULING, run._r.getstate()) == before


# ---- leaks


async def test_a_clean_block_passes() -> None:
    async with assert_nothing_left(), trio.open_nursery() as nursery:
        nursery.start_soon(three_steps)


async def test_a_task_left_behind_is_named() -> None:
    async with trio.open_nursery() as nursery:
        with pytest.raises(AssertionError, match=r"left behind: the task .*sleep_forever"):
            async with assert_nothing_left():
                nursery.start_soon(trio.sleep_forever)
        nursery.cancel_scope.cancel()


async def test_an_open_socket_is_counted() -> None:
    before = count_open_sockets()
    with pytest.raises(AssertionError, match="1 open sockets"):
        async with assert_nothing_left():
            held = socket.socket()
    assert count_open_sockets() == before + 1
    held.close()
    assert count_open_sockets() == before


async def test_what_the_collector_had_to_close_is_told() -> None:
    with pytest.raises(AssertionError, match="unclosed <socket"):
        async with assert_nothing_left():
            lost = [socket.socket()]
            lost.append(lost)  # type: ignore[arg-type]  # a cycle: only the collector ends it
            del lost


async def test_the_error_of_the_block_goes_first() -> None:
    async with trio.open_nursery() as nursery:
        with pytest.raises(KeyError):
            async with assert_nothing_left():
                nursery.start_soon(trio.sleep_forever)
                raise KeyError
        nursery.cancel_scope.cancel()
