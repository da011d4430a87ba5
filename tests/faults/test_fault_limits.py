"""Rows S04 and R07: a flood is not kept, and a bomb does not go off."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio
import trio.testing

import tercet

from .stage import AFTER_THE_FIRST_TOKEN, Play, open_world
from .wires import CHUNKED, END, FIRST, answer, chunk, head, openai

GOOD = answer()
MIB = 1 << 20


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """No more than so many bytes are allocated at any one time."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < size, f"{(peak - before) / MIB:.1f} MiB"


async def read(world: Any) -> tercet.ChatResponse:
    async with world.manager.chat_stream(world.ask()) as stream:
        async for token in stream:
            if not isinstance(token, tercet.UsageReport):
                world.said.set()
    response: tercet.ChatResponse = stream.response
    return response


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_flood_of_comments_is_not_kept(when: str, autojump_clock: trio.testing.MockClock) -> None:
    flood = chunk(b": ping\n\n" * 1024)  # 8 KiB

    async def flooding(scene: Any) -> None:
        for _ in range(128):  # a MiB; a million comments are in the rows, where nobody counts each allocation
            await scene.stream.send_all(flood)

    if when == "before":
        play: Play = (CHUNKED, flooding, chunk(openai.all) + END)
    else:
        rest = openai.all[len(openai.first) :]
        play = (CHUNKED + chunk(openai.first), AFTER_THE_FIRST_TOKEN, flooding, chunk(rest) + END)
    async with open_world("memory", autojump_clock, [GOOD, play], [GOOD]) as world:
        await read(world)  # what is loaded when first needed is loaded
        with at_most(MIB // 4):
            assert (await read(world)).is_complete
        await world.assert_nothing_left()


# -- bombs (R07) --------------------------------------------------------------------------------------------------------------


def _gzip_bomb(mebibytes: int) -> bytes:
    return gzip.compress(bytes(mebibytes * MIB), 9)


def _deflate_bomb(mebibytes: int) -> bytes:
    return zlib.compress(bytes(mebibytes * MIB), 9)


def _nested(mebibytes: int) -> bytes:
    return gzip.compress(_gzip_bomb(mebibytes), 9)


def _hidden(mebibytes: int) -> bytes:
    """A bomb behind an innocent event."""
    return gzip.compress(openai.first) + _gzip_bomb(mebibytes)


@pytest.mark.parametrize("over", ["memory", "sockets"])
@pytest.mark.parametrize("way", ["stream", "whole"])
@pytest.mark.parametrize(
    ("coding", "make"),
    [("gzip", _gzip_bomb), ("deflate", _deflate_bomb), ("gzip, gzip", _nested)],
    ids=["gzip", "deflate", "nested"],
)
async def test_a_bomb_does_not_go_off(
    over: Any, way: str, coding: str, make: Callable[[int], bytes], mock_clock: trio.testing.MockClock
) -> None:
    mock_clock.autojump_threshold = 0 if over == "memory" else float("inf")
    bomb = make(200)
    # 200-fold is still allowed for what one read of 64 KiB holds: far below the 64 MiB that a whole answer may have
    allowed = 8 * MIB if way == "stream" else 16 * MIB
    media_type = "text/event-stream" if way == "stream" else "application/json"
    play = (head(200, f"content-type: {media_type}", f"content-encoding: {coding}") + chunk(bomb) + END,)
    once = tercet.RetryPolicy(max_attempts=1)
    async with open_world(over, mock_clock, [GOOD, play], [GOOD], retry=once) as world:
        await read(world)
        with at_most(allowed), pytest.raises(tercet.ProtocolError):
            if way == "stream":
                await read(world)
            else:
                await world.manager.chat(world.ask())
        assert world.manager.statistics()["alder"].outcomes["failed"] == 1
        assert world.lane.breaker.snapshot(trio.current_time()).failures == 1
        await world.assert_nothing_left()


async def test_a_bomb_behind_the_first_token_carries_what_was_said(
    autojump_clock: trio.testing.MockClock,
) -> None:
    play = (
        head(200, "content-type: text/event-stream", "content-encoding: gzip") + chunk(_hidden(200)) + END,
    )
    async with open_world("memory", autojump_clock, [GOOD, play], [GOOD]) as world:
        await read(world)
        with at_most(8 * MIB), pytest.raises(tercet.ProtocolError) as caught:
            await read(world)
        assert caught.value.response is not None
        assert caught.value.response.text == FIRST
        assert world.lane.breaker.snapshot(trio.current_time()).failures == 1
        await world.assert_nothing_left()
