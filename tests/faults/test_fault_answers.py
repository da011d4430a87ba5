"""Rows P that one answer cannot show alone: every status, larger windows, tool calls, usage. In memory and over sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio.testing

import tercet
from tercet.adapters.catalog import Catalog

from .stage import Play, World, open_world
from .wires import (
    CHUNKED,
    ELSEWHERE,
    END,
    answer,
    chat_event,
    chunk,
    failure,
    openai,
    sse,
    whole,
    whole_answer,
)

GOOD = answer()
OVER = pytest.mark.parametrize("over", ["memory", "sockets"])


@asynccontextmanager
async def opened(
    over: Any, clock: trio.testing.MockClock, *alder: Play, **settings: Any
) -> AsyncIterator[World]:
    clock.autojump_threshold = 0 if over == "memory" else float("inf")
    async with open_world(over, clock, alder, [answer(text=ELSEWHERE)], **settings) as world:
        yield world
        await world.assert_nothing_left()


async def ask(world: World, *fallbacks: str) -> tercet.ChatResponse:
    async with world.manager.chat_stream(world.ask(), fallbacks=fallbacks) as stream:
        response: tercet.ChatResponse = await stream.collect()
    return response


def said(*events: Any) -> Play:
    return (CHUNKED + chunk(sse(*events, "[DONE]")) + END,)


# -- statuses (P15) -----------------------------------------------------------------------------------------------------------


@OVER
async def test_every_status_from_400_to_599_is_one_typed_error(
    over: Any, mock_clock: trio.testing.MockClock
) -> None:
    once = tercet.RetryPolicy(max_attempts=1)
    async with opened(
        over, mock_clock, GOOD, retry=once, make_breaker=lambda: tercet.CircuitBreaker(minimum_calls=10**9)
    ) as world:
        await ask(world)
        [slot] = world.lane.slots
        for status in range(400, 600):
            world.alder.plays = [(failure(status, {}),)]
            slot.limiter = tercet.AdaptiveRateLimiter()
            slot.parked_until = float("-inf")
            with pytest.raises(tercet.ProviderError) as caught:
                await ask(world)
            error = caught.value
            assert error.status == status
            assert error.retryable is (status in (408, 409, 421, 425, 429, 498, 499) or status >= 500), status


# -- too long a prompt (P16) ----------------------------------------------------------------------------------------------------


async def test_too_long_a_prompt_goes_to_a_model_with_a_larger_window(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Not to one of the same size, and not to a smaller one."""
    too_long = failure(400, {"error": {"message": "too long", "code": "context_length_exceeded"}})
    windows = {"lorem": 8_000, "same": 8_000, "small": 4_000, "large": 200_000}
    catalog = Catalog([tercet.Model(name, context_window=size) for name, size in windows.items()])
    async with opened("memory", autojump_clock, (too_long,)) as world:
        for name in ("alder", "birch"):
            monkeypatch.setattr(world.manager.adapter(name), "_catalog", catalog)
        answered = await ask(world, "birch:same", "birch:small", "birch:large")
        assert (answered.provider, answered.model) == ("birch", "large")
        assert len(world.birch.requests) == 1
        with pytest.raises(tercet.ContextLengthError):
            await ask(world, "birch:same", "birch:small")
        assert len(world.birch.requests) == 1
        assert (len(world.alder.requests), world.lane.breaker.snapshot(0.0).failures) == (2, 0)


# -- tool calls (P25, P26) ------------------------------------------------------------------------------------------------------


def call(
    index: Any = None, id: str | None = None, name: str | None = None, arguments: str = ""
) -> dict[str, Any]:  # the API's word
    given = {"index": index, "id": id}
    function = {"name": name, "arguments": arguments}
    return {
        **{key: value for key, value in given.items() if value is not None},
        "type": "function",
        "function": {key: value for key, value in function.items() if value is not None},
    }


def calls(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"tool_calls": list(entries)}, "finish_reason": None}]}


DONE = chat_event(finish="tool_calls")


@OVER
async def test_arguments_that_are_no_json_are_given_as_they_came(
    over: Any, mock_clock: trio.testing.MockClock
) -> None:
    event = calls(call(0, "c1", "f", '{"a": [1, 2'))
    async with opened(over, mock_clock, said(event, DONE)) as world:
        [found] = (await ask(world)).tool_calls
        assert (found.id, found.name, found.arguments) == ("c1", "f", '{"a": [1, 2')
        with pytest.raises(tercet.BadRequestError, match=r'\{"a": \[1, 2'):
            found.parsed()


@OVER
@pytest.mark.parametrize("way", ["stream", "whole"])
async def test_calls_that_share_an_index_stay_apart(
    over: Any, way: str, mock_clock: trio.testing.MockClock
) -> None:
    """Some servers give every call index 0."""
    entries = [call(0, "c1", "f", '{"a": 1}'), call(0, "c2", "g", '{"b": 2}')]
    message = {"role": "assistant", "content": None, "tool_calls": entries}
    body = {**whole_answer(), "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    play = said(*(calls(entry) for entry in entries), DONE) if way == "stream" else (whole(body),)
    async with opened(over, mock_clock, play) as world:
        response = await ask(world) if way == "stream" else await world.manager.chat(world.ask())
        assert [(found.id, found.name, found.parsed()) for found in response.tool_calls] == [
            ("c1", "f", {"a": 1}),
            ("c2", "g", {"b": 2}),
        ]


@OVER
async def test_calls_without_an_id_get_one(over: Any, mock_clock: trio.testing.MockClock) -> None:
    play = said(
        calls(call(0, None, "f", '{"a"')),
        calls(call(0, None, None, ": 1}")),
        calls(call(1, None, "g", "{}")),
        DONE,
    )
    async with opened(over, mock_clock, play) as world:
        found = (await ask(world)).tool_calls
        assert [(entry.name, entry.arguments) for entry in found] == [("f", '{"a": 1}'), ("g", "{}")]
        assert len({entry.id for entry in found}) == 2
        assert all(entry.id for entry in found)


@OVER
async def test_calls_of_one_id_stay_apart(over: Any, mock_clock: trio.testing.MockClock) -> None:
    """Two calls with an index of their own and one id: told apart by the index; the answer to one must not be taken for the other's."""
    play = said(calls(call(0, "c1", "f", '{"a": 1}')), calls(call(1, "c1", "g", '{"b": 2}')), DONE)
    async with opened(over, mock_clock, play) as world:
        found = (await ask(world)).tool_calls
        assert [(entry.name, entry.parsed()) for entry in found] == [("f", {"a": 1}), ("g", {"b": 2})]
        assert len({entry.id for entry in found}) == 2
        assert found[0].id == "c1"


# -- usage (P27) ----------------------------------------------------------------------------------------------------------------


@OVER
@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([(3, 2)], (3, 2)),
        ([(3, 1), (3, 2)], (3, 2)),
        ([(3, 2), (3, 2)], (3, 2)),
        ([], None),
    ],
    ids=["once", "growing", "twice", "missing"],
)
async def test_the_last_usage_counts(
    over: Any, reports: list[tuple[int, int]], expected: Any, mock_clock: trio.testing.MockClock
) -> None:
    events = [
        {"choices": [], "usage": {"prompt_tokens": given, "completion_tokens": taken}}
        for given, taken in reports
    ]
    play = (CHUNKED + chunk(openai.first + openai.finish + sse(*events) + openai.done) + END,)
    async with opened(over, mock_clock, play) as world:
        usage = (await ask(world)).usage
        assert (None if usage is None else (usage.input_tokens, usage.output_tokens)) == expected
        counts = world.manager.statistics()["alder"]
        assert (counts.input_tokens, counts.output_tokens) == (expected or (0, 0))
