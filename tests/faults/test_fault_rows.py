"""The rows of the fault catalogue that are one request with something going wrong: against the whole engine, in memory and over sockets."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio.testing

from tercet.testing import count_open_sockets, running_tasks

from .cases import Case, play_after, play_before
from .catalogue import ENTRIES
from .secured import secured_options
from .stage import NetworkFault, Over, Play, World, open_world
from .wires import ELSEWHERE, answer, whole, whole_answer

CASES = [(row, case) for row, entry in ENTRIES.items() for case in entry.cases]


def chosen(over: Over) -> Any:
    return pytest.mark.parametrize(
        "case",
        [
            pytest.param(case, id=f"{row} {case.when}: {case.name}")
            for row, case in CASES
            if over in case.over
        ],
    )


def opener(case: Case, over: Over, clock: trio.testing.MockClock) -> Any:
    def open_case(plays: Sequence[Play], times: int = 1_000_000) -> AbstractAsyncContextManager[World]:
        options: dict[str, Any] = dict(case.settings)
        if case.fault is not None:
            options["fault"] = failing(case.fault, times)
        if case.tls is not None:
            options.update(secured_options(case.tls, case.proxy, case.play, times))
        good = (whole(whole_answer(ELSEWHERE)),) if case.way == "whole" else answer(text=ELSEWHERE)
        return open_world(
            over,
            clock,
            plays,
            [good],
            wire=case.wire,
            dialect=dict(case.dialect),
            profile=dict(case.profile),
            ticks=case.ticks,
            **options,
        )

    return open_case


def failing(fault: NetworkFault, times: int) -> NetworkFault:
    count = 0

    async def first_times(world: World, origin: Any) -> None:
        nonlocal count
        count += 1
        if count <= times:
            await fault(world, origin)

    return first_times


@chosen("memory")
async def test_a_row_in_memory(case: Case, autojump_clock: trio.testing.MockClock) -> None:
    play = play_before if case.when == "before" else play_after
    await play(case, opener(case, "memory", autojump_clock))


@chosen("sockets")
async def test_a_row_over_sockets(case: Case, mock_clock: trio.testing.MockClock) -> None:
    play = play_before if case.when == "before" else play_after
    tasks, sockets = running_tasks(), count_open_sockets()
    await play(case, opener(case, "sockets", mock_clock))
    await trio.testing.wait_all_tasks_blocked()
    # without a run of the garbage collector for each of 400: what it would have to close is a warning, and that an error
    assert (running_tasks() - tasks, count_open_sockets() - sockets) == (frozenset(), 0)
