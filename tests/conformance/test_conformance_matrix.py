"""The matrix: every row of the table, every cell. What is offered works against a server that speaks the row's dialect, at the row's own
address, with its own key header; what is not offered is refused before anything is sent, and the row says where that is written.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

import tercet
from tercet.adapters.offers import ALWAYS, CELLS, Offer
from tercet.testing import (
    Reply,
    ScriptedExchange,
    call_tool,
    cut,
    fail,
    lorem,
    say,
    stall,
    think_then,
    truncate,
)

Cell = Callable[[Any, Offer], Awaitable[None]]
WEATHER = tercet.Tool(
    "weather", "The weather of a town.", {"type": "object", "properties": {"town": {"type": "string"}}}
)
PIXEL = tercet.Image(data=b"\x89PNG\r\n\x1a\n" + bytes(range(64)), media_type="image/png")
PICTURE = [tercet.Message("user", [tercet.Text("what is it?"), PIXEL])]

# How each dialect is asked to reason; the first that it does not refuse counts.
REASONING = (
    tercet.ReasoningOptions(effort="low"),
    tercet.ReasoningOptions(enabled=True),
    tercet.ReasoningOptions(budget_tokens=2048),
)
COUNTED = {
    "openai_chat": {"data": {"total_tokens": 42}},
    "openai_responses": {"input_tokens": 42},
    "anthropic": {"input_tokens": 42},
    "gemini": {"totalTokens": 42},
    "bedrock_converse": {"inputTokens": 42},
    "bedrock_invoke": {"inputTokens": 42},
}
ERRORS: dict[int, type[tercet.TercetError]] = {
    400: tercet.BadRequestError,
    401: tercet.AuthenticationError,
    404: tercet.NotFoundError,
    429: tercet.RateLimitError,
    500: tercet.ServerError,
    529: tercet.OverloadedError,
}
UNSAID = {
    "ollama": {
        "cached tokens": "prompt_eval_count is all there is (Ollama's API page, 2026-11)",
        "content_filter": "done_reason is stop, length, load or unload",
    },
    "bedrock_converse": {"error 529": "AWS names its errors; what it has no name for is an internal error"},
    "bedrock_invoke": {"error 529": "AWS names its errors; what it has no name for is an internal error"},
}
"""What an API has no words for, so that no answer can say it."""


def json_answer(value: Any) -> bytes:
    body = json.dumps(value).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )


async def whole(open_row: Any, offer: Offer) -> None:
    async with open_row(offer, say("one two three")) as row:
        answer = await row.manager.chat(row.request())
        assert (answer.text, answer.finish_reason) == ("one two three", "stop")
        assert (answer.provider, answer.model) == (offer.provider, row.model)
        [asked] = row.provider.chats
        assert [(turn.role, turn.text) for turn in asked.turns] == [("user", "hello")]


async def stream(open_row: Any, offer: Offer) -> None:
    async with open_row(offer, say("one two three")) as row:
        tokens, answer = await row.read(row.request())
        assert [token.text for token in tokens if isinstance(token, tercet.TextDelta)] == [
            "one",
            " two",
            " three",
        ]
        assert (answer.text, answer.is_complete) == ("one two three", True)
        assert row.provider.requests[-1].is_streamed


async def usage(open_row: Any, offer: Offer) -> None:
    used = tercet.Usage(input_tokens=11, output_tokens=7, cache_read_tokens=3, reasoning_tokens=2)
    reply = Reply(tokens=(tercet.TextDelta("x"), tercet.UsageReport(used), tercet.Finish("stop")))
    async with open_row(offer, reply) as row:
        _, streamed = await row.read(row.request())
        answer = await row.manager.chat(row.request())
        for found in (streamed.usage, answer.usage):
            assert found is not None
            cached = 0 if "cached tokens" in UNSAID.get(offer.wire, {}) else 3
            assert (found.input_tokens, found.output_tokens, found.cache_read_tokens) == (11, 7, cached)


async def finish_reasons(open_row: Any, offer: Offer) -> None:
    for reason in sorted({"stop", "length", "content_filter"} - set(UNSAID.get(offer.wire, {}))):
        async with open_row(offer, Reply(tokens=(tercet.TextDelta("x"), tercet.Finish(reason)))) as row:
            _, streamed = await row.read(row.request())
            answer = await row.manager.chat(row.request())
            assert (streamed.finish_reason, answer.finish_reason) == (reason, reason)


def error(status: int) -> Cell:
    async def cell(open_row: Any, offer: Offer) -> None:
        meant = tercet.ServerError if f"error {status}" in UNSAID.get(offer.wire, {}) else ERRORS[status]
        async with open_row(offer, fail(status, message="no")) as row:
            with pytest.raises(meant) as raised:
                await row.manager.chat(row.request())
            assert (raised.value.status, raised.value.provider) == (status, offer.provider)
            with pytest.raises(meant):
                await row.read(row.request())

    return cell


async def cut_off(open_row: Any, offer: Offer) -> None:
    for fault in (cut(after_events=6), truncate(after_events=6)):
        async with open_row(offer, lorem(8, fault=fault)) as row:
            with pytest.raises(tercet.StreamInterruptedError) as raised:
                await row.read(row.request())
            assert raised.value.response is not None
            assert "lorem ipsum dolor sit amet consectetur".startswith(raised.value.response.text)
            assert raised.value.response.text


async def stalled(open_row: Any, offer: Offer) -> None:
    async with open_row(offer, lorem(8, fault=stall(after_events=6)), clocks=tercet.Clocks(idle=30)) as row:
        with pytest.raises(tercet.DeadlineError) as raised:
            await row.read(row.request())
        assert raised.value.clock == "idle"


async def tools(open_row: Any, offer: Offer) -> None:
    async with open_row(offer, call_tool("weather", {"town": "Ghent"})) as row:
        answer = await row.manager.chat(row.request(tools=(WEATHER,)))
        [call] = answer.tool_calls
        assert (call.name, json.loads(call.arguments), answer.finish_reason) == (
            "weather",
            {"town": "Ghent"},
            "tool_calls",
        )
        assert [tool.name for tool in row.provider.chats[-1].tools] == ["weather"]
        # and the result goes back
        row.provider.script = say("rain")
        turns = [tercet.user("hello"), answer.message, tercet.tool_result(call.id, "rain", name="weather")]
        assert (await row.manager.chat(row.request(turns, tools=(WEATHER,)))).text == "rain"
        results = [
            part
            for turn in row.provider.chats[-1].turns
            for part in turn.parts
            if isinstance(part, tercet.ToolResult)
        ]
        assert len(results) == 1


async def tool_deltas(open_row: Any, offer: Offer) -> None:
    async with open_row(offer, call_tool("weather", {"town": "Ghent"})) as row:
        tokens, answer = await row.read(row.request(tools=(WEATHER,)))
        deltas = [token for token in tokens if isinstance(token, tercet.ToolCallDelta)]
        assert [delta.name for delta in deltas if delta.name] == ["weather"]
        assert json.loads("".join(delta.arguments for delta in deltas)) == {"town": "Ghent"}
        assert answer.finish_reason == "tool_calls"


async def reasoning(open_row: Any, offer: Offer) -> None:
    async with open_row(offer, think_then("yes", "let me see")) as row:
        for options in REASONING:
            try:
                tokens, answer = await row.read(row.request(reasoning=options))
                break
            except tercet.UnsupportedError:
                continue
        else:
            raise AssertionError("no way to ask for reasoning")
        assert row.provider.chats[-1].reasoning is not None
        assert (answer.reasoning, answer.text) == ("let me see", "yes")
        assert any(isinstance(token, tercet.ReasoningDelta) for token in tokens)
        again = await row.manager.chat(row.request(reasoning=options))
        assert (again.reasoning, again.text) == ("let me see", "yes")


async def images(open_row: Any, offer: Offer) -> None:
    async with open_row(offer, say("a pixel")) as row:
        await row.manager.chat(row.request(PICTURE))
        seen = [part for part in row.provider.chats[-1].turns[-1].parts if isinstance(part, tercet.Image)]
        assert [image.data for image in seen] == [PIXEL.data]


async def models(open_row: Any, offer: Offer) -> None:
    own = msgspec.structs.replace(offer, door="", wire=tercet.ProviderRegistry().get(offer.provider).wire)
    async with open_row(own) as row:  # a door has no list of its own
        listed = await row.manager.list_models(offer.provider)
        assert [model.id for model in listed] == list(row.provider.models)
        assert all(model.provider == offer.provider for model in listed)


async def tokens(open_row: Any, offer: Offer) -> None:
    if offer.counts == "offline":
        async with open_row(offer) as row:
            counted = await row.manager.count_tokens(row.request("how many?"))
            assert (counted.source, counted.tokens > 0) == ("estimate", True)
            assert row.provider.requests == []
        return
    async with open_row(offer) as row:
        call = row.adapter.count_tokens(row.request("how many?"), row.model)
    expect = f"POST {call.target} HTTP/1.1\r\n".encode()
    async with open_row(
        offer, answers=[ScriptedExchange([json_answer(COUNTED[offer.wire])], expect=expect)]
    ) as row:
        assert await row.manager.count_tokens(row.request("how many?")) == tercet.TokenCount(42, "provider")


async def health(open_row: Any, offer: Offer) -> None:
    async with open_row(offer) as row:
        call = row.adapter.health_check()
        key = row.provider._key_header.encode() + b": "
    expect = [f"{call.method} {call.target} HTTP/1.1\r\n".encode()]
    if row.adapter.keys:
        expect.append(key)
    exchange = ScriptedExchange(
        [json_answer({})], expect=lambda request: all(part in request for part in expect)
    )
    async with open_row(offer, answers=[exchange]) as row:
        status = await row.manager.health_check(offer.provider)
        assert (status.state, status.provider) == ("healthy", offer.provider)
    async with open_row(offer) as row:
        row.provider.keys = frozenset()  # nothing is accepted any more
        status = await row.manager.health_check(offer.provider)
        assert (status.state, len(status.reasons)) == ("unhealthy", 1)


WORKS: dict[str, Cell] = {
    "whole": whole,
    "stream": stream,
    "usage": usage,
    "finish reasons": finish_reasons,
    **{f"error {status}": error(status) for status in ERRORS},
    "cut": cut_off,
    "stall": stalled,
    "tools": tools,
    "tool deltas": tool_deltas,
    "reasoning": reasoning,
    "images": images,
    "models": models,
    "tokens": tokens,
    "health": health,
}


async def refused_tools(open_row: Any, offer: Offer) -> None:
    async with open_row(offer) as row:
        with pytest.raises(tercet.UnsupportedError, match="tools"):
            await row.manager.chat(row.request(tools=(WEATHER,)))
        assert row.provider.requests == []


async def refused_reasoning(open_row: Any, offer: Offer) -> None:
    async with open_row(offer, unsupported="error") as row:
        with pytest.raises(tercet.UnsupportedError, match="reasoning"):
            await row.manager.chat(row.request(reasoning=tercet.ReasoningOptions(effort="low")))
        assert row.provider.requests == []


async def refused_images(open_row: Any, offer: Offer) -> None:
    async with open_row(offer) as row:
        with pytest.raises(tercet.UnsupportedError, match=r"[Ii]mage"):
            await row.manager.chat(row.request(PICTURE))
        assert row.provider.requests == []


async def no_list(open_row: Any, offer: Offer) -> None:
    async with open_row(offer) as row:
        assert await row.manager.list_models(offer.provider) == list(row.adapter.catalog)
        assert row.provider.requests == []


async def no_probe(open_row: Any, offer: Offer) -> None:
    async with open_row(offer) as row:
        assert (await row.manager.health_check(offer.provider)).state == "unknown"
        assert row.provider.requests == []


REFUSED: dict[str, Cell] = {
    "tools": refused_tools,
    "tool deltas": refused_tools,
    "reasoning": refused_reasoning,
    "images": refused_images,
    "models": no_list,
    "health": no_probe,
}


@pytest.mark.parametrize("cell", CELLS)
async def test_every_cell_works_or_is_refused(
    open_row: Any, offer: Offer, cell: str, autojump_clock: object
) -> None:
    await (REFUSED if cell in offer.missing else WORKS)[cell](open_row, offer)


def test_what_speaks_no_http_is_tested_elsewhere(elsewhere: Mapping[str, str]) -> None:
    root = Path(__file__).parents[2]
    for provider, place in elsewhere.items():
        assert provider in tercet.ProviderRegistry()
        assert (root / place).is_file(), place


def test_every_cell_is_explained(offer: Offer) -> None:
    assert set(WORKS) == set(CELLS)
    assert set(offer.missing) <= set(REFUSED)
    assert not set(offer.missing) & set(ALWAYS)
    assert all(offer.missing.values())
