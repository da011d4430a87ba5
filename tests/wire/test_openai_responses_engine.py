"""The Responses API through the engine: a fleet that speaks it, a manager, and models that have no other API."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio.testing

import tercet
from tercet.codecs.vocabulary import ReasoningDelta
from tercet.testing import (
    Fleet,
    Reply,
    SimulatedProvider,
    call_tool,
    cut,
    say,
    stream_error,
    think_then,
    truncate,
)

KEY = "responses-key-123456"
CODEX = "gpt-5.1-codex"


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


@asynccontextmanager
async def world(
    script: Any = None, *, row: str = "openai-responses", **settings: Any
) -> AsyncGenerator[tuple[tercet.ProviderManager, SimulatedProvider]]:
    """A manager that knows the row, at a simulated address."""
    provider = SimulatedProvider("openai", "openai_responses", script, keys={KEY})
    async with Fleet(provider).in_memory() as fleet:
        chosen: dict[str, Any] = {
            "keys": {row: KEY},
            "base_urls": {row: f"{fleet.base_url('openai')}/v1"},
            "environ": {},
            "network": fleet.network,
            "random": lambda: 0.5,
        }
        async with tercet.open_manager(**{**chosen, **settings}) as manager:
            yield manager, provider
        assert fleet.network.open_connections == 0


def ask(text: Any = "hello there", **fields: Any) -> tercet.ChatRequest:
    return tercet.ChatRequest("openai-responses:gpt-5.1", text, **fields)


async def test_a_whole_answer(autojump_clock: Any):
    async with world() as (manager, provider):
        answer = await manager.chat(
            ask(reasoning=tercet.ReasoningOptions("low", summary="auto"), stop=("x",))
        )
    assert (answer.text, answer.finish_reason) == ("hello there", "stop")
    assert (answer.provider, answer.model) == ("openai-responses", "gpt-5.1")
    assert answer.usage is not None
    assert answer.usage.cost is not None
    [seen] = provider.requests
    assert seen.target == "/v1/responses"
    assert seen.chat is not None
    assert seen.chat.reasoning == tercet.ReasoningOptions("low", summary="auto")
    assert seen.chat.stop is None  # the API has no such field, and the manager was not told to mind


async def test_a_streamed_answer(autojump_clock: Any):
    async with world(think_then("The answer is 42.", "Let me think.")) as (manager, provider):
        async with manager.chat_stream(ask()) as stream:
            tokens = [token async for token in stream]
        whole = await manager.chat(ask())
    assert tercet.fold(tokens).text == whole.text == "The answer is 42."
    assert stream.response.reasoning == whole.reasoning == "Let me think."
    assert (stream.response.usage, stream.response.finish_reason) == (whole.usage, "stop")
    assert [request.is_streamed for request in provider.requests] == [True, False]


async def test_a_tool_is_called_and_answered_and_the_reasoning_goes_back(autojump_clock: Any):
    item = '{"id":"rs_9","type":"reasoning","summary":[],"encrypted_content":"gAAA"}'
    thought = ReasoningDelta("", 0, item, "gAAA", "rs_9", "openai_responses")
    calling = call_tool("weather", {"city": "Graz"})
    script = [Reply(tokens=(thought, *calling.tokens)), say("It is sunny.")]
    tool = tercet.Tool("weather", "Tells the weather", {"type": "object"})
    async with world(script) as (manager, provider):
        async with manager.chat_stream(ask("Weather?", tools=(tool,))) as stream:
            answer = await stream.collect()
        [call] = answer.tool_calls
        assert (call.name, call.parsed(), answer.finish_reason) == ("weather", {"city": "Graz"}, "tool_calls")
        turns = [tercet.user("Weather?"), answer.message, tercet.tool_result(call.id, "sunny")]
        assert (await manager.chat(ask(turns, tools=(tool,)))).text == "It is sunny."
        asked, said, told = provider.chats[-1].turns
        assert [turn.role for turn in (asked, said, told)] == ["user", "assistant", "tool"]
        assert said.parts[0] == tercet.Reasoning("", item, "gAAA", "rs_9", "openai_responses")
        assert said.parts[1:] == answer.tool_calls


@pytest.mark.parametrize("fault", [cut(after_events=6), cut(after_bytes=3000), truncate(after_events=6)])
async def test_an_answer_that_breaks_off(autojump_clock: Any, fault: Any):
    async with world(say("one two three four five six seven eight", fault=fault)) as (manager, _):
        with pytest.raises(tercet.StreamInterruptedError) as caught:
            async with manager.chat_stream(ask()) as stream:
                async for _token in stream:
                    pass
    assert caught.value.response is not None
    assert "one two three".startswith(caught.value.response.text[:9])
    assert not caught.value.response.is_complete


async def test_an_error_before_the_first_word_is_tried_again(autojump_clock: Any):
    script = [stream_error(after_events=4), say("better now")]
    async with world(script) as (manager, provider):
        async with manager.chat_stream(ask()) as stream:
            assert (await stream.collect()).text == "better now"
    assert len(provider.requests) == 2


async def test_models_that_have_only_responses_are_asked_there(autojump_clock: Any):
    """The row ``openai`` speaks chat completions, but not to these."""
    async with world(row="openai") as (manager, provider):
        request = tercet.ChatRequest(f"openai:{CODEX}", "hello")
        assert (await manager.chat(request)).text == "hello"
        async with manager.chat_stream(request) as stream:
            assert (await stream.collect()).text == "hello"
        assert {seen.target for seen in provider.requests} == {"/v1/responses"}
        with pytest.raises(tercet.NotFoundError):  # this server has no chat completions
            await manager.chat(tercet.ChatRequest("openai:gpt-5.1", "hello"))


def call_of(
    row: str, model: str, registry: tercet.ProviderRegistry | None = None, **fields: Any
) -> tuple[str, dict[str, Any]]:
    adapter = (registry or tercet.ProviderRegistry()).adapter(
        row, keys=KEY, environ={"AZURE_OPENAI_RESOURCE": "acme"}
    )
    call = adapter.chat(tercet.ChatRequest(f"{row}:{model}", "hi", **fields), model, stream=False)
    return f"{call.origin}{call.target}", json.loads(call.body)


def test_facts_name_the_wire_of_a_model():
    address, body = call_of("openai", CODEX)
    assert address == "https://api.openai.com/v1/responses"
    assert body["include"] == ["reasoning.encrypted_content"]
    assert call_of("openai", "gpt-5.1")[0] == "https://api.openai.com/v1/chat/completions"
    assert call_of("azure", CODEX)[0] == "https://acme.openai.azure.com/openai/v1/responses"
    assert call_of("azure", "my-deployment")[0] == "https://acme.openai.azure.com/openai/v1/chat/completions"
    address, body = call_of("openai-responses", "gpt-4.1")
    assert address == "https://api.openai.com/v1/responses"
    assert "include" not in body


def test_every_model_without_chat_completions_has_its_wire():
    catalog = tercet.ProviderRegistry().adapter("openai", keys=KEY).catalog
    only = {model.id for model in catalog if "chat_completions" in model.rejects}
    assert only
    assert {model.id for model in catalog if model.wire is not None} == only
    assert {model.wire for model in catalog if model.id in only} == {"openai_responses"}


def test_what_one_wire_cannot_say_the_other_may():
    assert call_of("openai", "gpt-5.1", stop=("x",))[1]["stop"] == ["x"]
    assert "stop" not in call_of("openai", CODEX, stop=("x",))[1]
    adapter = tercet.ProviderRegistry().adapter("openai", keys=KEY, unsupported="error")
    with pytest.raises(tercet.UnsupportedError, match="stop"):
        adapter.chat(tercet.ChatRequest("m", "hi", stop=("x",)), CODEX, stream=False)


def test_a_row_that_does_not_speak_the_named_wire_speaks_its_own():
    registry = tercet.ProviderRegistry()
    registry.add(tercet.Profile(id="gateway", base_url="https://gate.test/v1", catalog="openai"))
    assert call_of("gateway", CODEX, registry)[0] == "https://gate.test/v1/chat/completions"
    adapter = registry.adapter("gateway", keys=KEY)
    assert adapter.wire_for(CODEX) is adapter.wire


@pytest.mark.parametrize("dialects", [{"openai_responses": {"nonsense": 1}}, {"nonsense": {}}])
def test_a_wrong_dialect_shows_when_the_row_is_added(dialects: dict[str, Any]):
    profile = tercet.Profile(id="gateway", base_url="https://gate.test/v1", dialects=dialects)
    with pytest.raises(tercet.ConfigurationError, match="nonsense"):
        tercet.ProviderRegistry().add(profile)


def test_the_row_counts_tokens_where_the_api_does():
    adapter = tercet.ProviderRegistry().adapter("openai-responses", keys=KEY)
    call = adapter.count_tokens(tercet.ChatRequest("m", "hi", seed=3), "gpt-5.1")
    assert call is not None
    assert call.target == "/v1/responses/input_tokens"
    assert adapter.token_count(b'{"input_tokens":3}', "gpt-5.1") == 3
    assert (
        adapter.error(429, {}, b'{"error":{"code":"insufficient_quota"}}', model=CODEX).provider
        == "openai-responses"
    )
