"""Ollama's own API from end to end: a manager, real HTTP in memory, a simulated server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio.testing

import tercet
from tercet.testing import (
    Fleet,
    MemoryFleet,
    SimulatedProvider,
    assert_nothing_left,
    call_tool,
    cut,
    fail,
    garbage,
    reset,
    say,
    stall,
    stream_error,
    sweep_cancellation,
    think_then,
)

TOOL = tercet.Tool(
    "weather", "Tells the weather", {"type": "object", "properties": {"city": {"type": "string"}}}
)


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


@asynccontextmanager
async def world(
    script: Any = None, **provider: Any
) -> AsyncGenerator[tuple[MemoryFleet, tercet.ProviderManager], None]:
    registry = tercet.ProviderRegistry([])
    async with Fleet(SimulatedProvider("oak", "ollama", script, **provider)).in_memory() as fleet:
        registry.add(
            tercet.Profile(
                id="oak",
                base_url=fleet.base_url("oak"),
                wire="ollama",
                key_required=False,
                catalog="simulated",
            )
        )
        async with tercet.open_manager(
            registry, environ={}, network=fleet.network, keys={"oak": "oak-key-12345"}, random=lambda: 0.5
        ) as manager:
            yield fleet, manager


def ask(text: Any = "Hello there, how are you?", **more: Any) -> tercet.ChatRequest:
    return tercet.ChatRequest("oak:llama3.1:8b", text, **more)


async def test_a_stream_and_its_whole_twin_say_the_same(autojump_clock: Any) -> None:
    async with world(think_then("The answer is 42.", "Let me think about it."), keys={"oak-key-12345"}) as (
        _,
        manager,
    ):
        whole = await manager.chat(ask())
        async with manager.chat_stream(ask()) as stream:
            streamed = await stream.collect()
    assert streamed.text == whole.text == "The answer is 42."
    assert streamed.reasoning == whole.reasoning == "Let me think about it."
    assert (streamed.usage, streamed.finish_reason) == (whole.usage, "stop")
    assert streamed.model == "llama3.1:8b"


async def test_tools_are_called(autojump_clock: Any) -> None:
    async with world(call_tool("weather", {"city": "Graz"})) as (fleet, manager):
        async with manager.chat_stream(ask(tools=(TOOL,))) as stream:
            answer = await stream.collect()
        [call] = answer.tool_calls
        assert (call.name, call.parsed(), answer.finish_reason) == ("weather", {"city": "Graz"}, "tool_calls")
        fleet["oak"].script = say("It is sunny.")
        turns = [tercet.user("Weather?"), answer.message, tercet.tool_result(call.id, "sunny")]
        assert (await manager.chat(ask(turns, tools=(TOOL,)))).text == "It is sunny."
        [result] = fleet["oak"].chats[-1].turns[-1].parts
        assert isinstance(result, tercet.ToolResult)
        assert (result.name, result.content) == ("weather", "sunny")


@pytest.mark.parametrize(
    "fault",
    [
        fail(500),
        fail(503),
        fail(429, retry_after=1),
        reset(after_bytes=60),
        stream_error(after_events=0),
        cut(after_events=0),
    ],
    ids=str,
)
async def test_a_fault_before_the_first_content_is_silent(fault: Any, autojump_clock: Any) -> None:
    async with world([fault, say("all is well")]) as (_, manager):
        async with manager.chat_stream(ask()) as stream:
            answer = await stream.collect()
    assert answer.text == "all is well"
    assert len(stream.attempts) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (cut(after_events=2), tercet.StreamInterruptedError),
        (cut(after_events=2, after_bytes=20), tercet.StreamInterruptedError),
        (reset(after_events=2), tercet.StreamInterruptedError),
        (stall(after_events=2), tercet.DeadlineError),
        (stream_error(after_events=2), tercet.ServerError),
        (garbage(after_events=2), tercet.ProtocolError),
    ],
    ids=str,
)
async def test_a_fault_after_content_carries_what_was_said(
    fault: Any, kind: Any, autojump_clock: Any
) -> None:
    async with world(say("one two three four", fault=fault)) as (_, manager):
        with pytest.raises(kind) as caught:
            async with manager.chat_stream(ask()) as stream:
                await stream.collect()
    assert caught.value.response is not None
    assert caught.value.response.text == "one two"


async def test_a_model_that_was_not_pulled(autojump_clock: Any) -> None:
    script = fail(404, message="model 'llama3.1:8b' not found")
    async with world(script) as (_, manager):
        with pytest.raises(tercet.NotFoundError, match=r"ollama pull llama3\.1:8b"):
            await manager.chat(ask())


async def test_lists_and_health(autojump_clock: Any) -> None:
    async with world(models=["a:1b", "b:2b"]) as (_, manager):
        assert [model.id for model in await manager.list_models("oak")] == ["a:1b", "b:2b"]
        assert (await manager.health_check("oak")).is_healthy
        assert (await manager.count_tokens(ask())).is_estimated


async def test_cancellation_anywhere_leaves_nothing(autojump_clock: Any) -> None:
    async with assert_nothing_left(), world(think_then("a b", "c d")) as (fleet, manager):

        async def read() -> None:
            async with manager.chat_stream(ask()) as stream:
                async for _ in stream:
                    pass

        def check() -> None:
            assert fleet.network.open_connections <= 1  # an idle one may be kept

        assert await sweep_cancellation(read, check=check) > 5
