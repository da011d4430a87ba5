"""A manager asks simulated Bedrock: both APIs over real HTTP in memory, streamed and whole, with a bearer key."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio.testing

import tercet
from tercet.codecs.wire.bedrock_models import PROFILE_PREFIXES
from tercet.testing import (
    Fleet,
    Reply,
    SimulatedProvider,
    call_tool,
    cut,
    fail,
    say,
    stream_error,
    think_then,
    truncate,
)

KEY = "bedrock-api-key-abcdef123456"
MODELS = {
    "bedrock_converse": "eu.anthropic.claude-sonnet-4-6",
    "bedrock_invoke": "meta.llama3-8b-instruct-v1:0",
}
WIRES = tuple(MODELS)


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


@asynccontextmanager
async def opened(
    wire: Any, script: Any, **settings: Any
) -> AsyncGenerator[tuple[tercet.ProviderManager, SimulatedProvider], None]:
    """The row of Bedrock at the address of a simulated one; the key is found in the environment."""
    provider = SimulatedProvider("bedrock", wire, script, keys={KEY})
    async with Fleet(provider).in_memory() as fleet:
        row = "bedrock" if wire == "bedrock_converse" else "bedrock-invoke"
        profile = msgspec.structs.replace(tercet.ProviderRegistry().get(row), id="bedrock")
        environ = {
            "AWS_BEARER_TOKEN_BEDROCK": KEY,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": fleet.base_url("bedrock"),
        }
        given: dict[str, Any] = {"environ": environ, "network": fleet.network, "random": lambda: 0.5}
        async with tercet.open_manager(
            tercet.ProviderRegistry([profile]), **{**given, **settings}
        ) as manager:
            yield manager, provider
        assert fleet.network.open_connections == 0


def request(wire: str, **fields: Any) -> tercet.ChatRequest:
    return tercet.ChatRequest(f"bedrock:{MODELS[wire]}", "How are you?", **fields)


@pytest.mark.parametrize("wire", WIRES)
async def test_an_answer_streamed_and_whole(wire: str, autojump_clock: trio.testing.MockClock) -> None:
    async with opened(wire, say("I am fine, thank you.")) as (manager, provider):
        asked = request(wire, max_tokens=50)
        async with manager.chat_stream(asked) as stream:
            tokens = [token async for token in stream]
        whole = await manager.chat(asked)
    assert stream.response.text == whole.text == "I am fine, thank you."
    assert stream.response.finish_reason == whole.finish_reason == "stop"
    assert isinstance(tokens[-1], tercet.Finish)
    usage = stream.response.usage
    assert usage is not None
    assert (usage.output_tokens, usage.cost is not None) == (5, True)
    assert whole.usage == usage
    end = {
        "bedrock_converse": ("converse-stream", "converse"),
        "bedrock_invoke": ("invoke-with-response-stream", "invoke"),
    }[wire]
    assert [seen.target for seen in provider.requests] == [
        f"/model/{MODELS[wire].replace(':', '%3A')}/{door}" for door in end
    ]
    assert [chat.max_tokens for chat in provider.chats] == [50, 50]


async def test_reasoning_and_tools(autojump_clock: trio.testing.MockClock) -> None:
    script = [think_then("So.", "Hm, hm."), call_tool("look", {"at": "it"})]
    async with opened("bedrock_converse", script) as (manager, _):
        asked = request("bedrock_converse", tools=(tercet.Tool("look"),))
        async with manager.chat_stream(asked) as stream:
            first = await stream.collect()
        second = await manager.chat(asked)
    assert (first.reasoning, first.text) == ("Hm, hm.", "So.")
    assert [(call.name, call.parsed()) for call in second.tool_calls] == [("look", {"at": "it"})]
    assert second.finish_reason == "tool_calls"


@pytest.mark.parametrize("wire", WIRES)
async def test_failures_come_as_types(wire: str, autojump_clock: trio.testing.MockClock) -> None:
    once = tercet.RetryPolicy(max_attempts=1)
    rows: list[tuple[Any, type[tercet.TercetError]]] = [
        (fail(400), tercet.BadRequestError),
        (fail(403), tercet.PermissionDeniedError),
        (fail(404), tercet.NotFoundError),
        (fail(429), tercet.RateLimitError),
        (fail(500), tercet.ServerError),
        (fail(503), tercet.OverloadedError),
        (stream_error(after_events=0), tercet.ServerError),
        (stream_error(after_events=2), tercet.ServerError),
        (truncate(after_events=2), tercet.StreamInterruptedError),
        (cut(after_events=2, after_bytes=30), tercet.StreamInterruptedError),
    ]
    for script, error in rows:
        async with opened(wire, script, retry=once) as (manager, _):
            with pytest.raises(tercet.TercetError) as caught:
                async with manager.chat_stream(request(wire)) as stream:
                    await stream.collect()
            raised = caught.value
            leaf = raised.attempts[-1] if isinstance(raised, tercet.AllAttemptsFailedError) else raised
            assert type(leaf) is error, (script, raised)


async def test_a_wrong_key_is_an_authentication_error(autojump_clock: trio.testing.MockClock) -> None:
    settings = {"keys": {"bedrock": "another-key-123456"}, "retry": tercet.RetryPolicy(max_attempts=1)}
    async with opened("bedrock_converse", Reply(text="x"), **settings) as (manager, _):
        with pytest.raises(tercet.TercetError) as caught:
            await manager.chat(request("bedrock_converse"))
    raised = caught.value
    leaf = raised.attempts[-1] if isinstance(raised, tercet.AllAttemptsFailedError) else raised
    assert type(leaf) is tercet.AuthenticationError
    assert "another-key" not in f"{raised} {raised.facts()} {leaf.body}"


async def test_an_answer_without_its_metadata_is_complete(autojump_clock: trio.testing.MockClock) -> None:
    words = Reply(
        text="I am fine.", fault=truncate(after_events=6)
    )  # start, three words, the block's stop, the message's stop
    async with opened("bedrock_converse", words) as (manager, _):
        async with manager.chat_stream(request("bedrock_converse")) as stream:
            answer = await stream.collect()
    assert (answer.text, answer.finish_reason, answer.usage) == ("I am fine.", "stop", None)


# The rows ---------------------------------------------------------------------------------------------------------------


def test_the_region_fills_the_address() -> None:
    registry = tercet.ProviderRegistry()
    addresses = {
        "": "https://bedrock-runtime.us-east-1.amazonaws.com",
        "eu-central-1": "https://bedrock-runtime.eu-central-1.amazonaws.com",
        "cn-north-1": "https://bedrock-runtime.cn-north-1.amazonaws.com.cn",
    }
    for row in ("bedrock", "bedrock-invoke"):
        for region, address in addresses.items():
            assert registry.adapter(row, environ={"AWS_REGION": region}).base_url == address
        both = {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-west-2"}
        assert (
            registry.adapter(row, environ=both).base_url == "https://bedrock-runtime.eu-west-1.amazonaws.com"
        )
        with pytest.raises(tercet.ConfigurationError, match="region"):
            registry.adapter(row, environ={"AWS_REGION": "evil.test/"})


def test_a_key_is_a_bearer_wherever_it_comes_from() -> None:
    registry = tercet.ProviderRegistry()
    for adapter in (
        registry.adapter("bedrock", environ={"AWS_BEARER_TOKEN_BEDROCK": KEY}),
        registry.adapter("bedrock", keys=KEY),
    ):
        call = adapter.chat(tercet.ChatRequest("x", "hi"), "amazon.nova-lite-v1:0", stream=True)
        assert ("authorization", f"Bearer {KEY}") in adapter.keys[0].authorize(call, 0.0).headers
    assert registry.adapter("bedrock", environ={}).keys == ()  # then AWS's own credentials are looked for


def test_the_catalog_knows_models_by_all_their_names() -> None:
    adapter = tercet.ProviderRegistry().adapter("bedrock", environ={})
    known = adapter.catalog.get("anthropic.claude-sonnet-5")
    assert known is not None
    assert known.dialect == {"thinking": "adaptive"}
    names = [f"{prefix}.anthropic.claude-sonnet-5" for prefix in PROFILE_PREFIXES]
    names += [f"arn:aws:bedrock:us-east-1:1:inference-profile/{names[0]}"]
    names += ["arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-5"]
    for name in names:
        assert adapter.catalog.get(name) == msgspec.structs.replace(known, id=name)
    assert adapter.catalog.get("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc") is None
    assert adapter.catalog.get("mars.anthropic.claude-sonnet-5") is None


def test_every_model_of_the_catalog_can_be_asked_through_both_doors() -> None:
    registry = tercet.ProviderRegistry()
    asked = tercet.ChatRequest(
        "x", [tercet.user([tercet.Text("hi", cache=True)])], max_tokens=5, temperature=0.5
    )
    for row in ("bedrock", "bedrock-invoke"):
        adapter = registry.adapter(row, environ={})
        for model in adapter.catalog:
            assert adapter.chat(asked, model.id, stream=True).body
