"""The anthropic SDK and our Messages wire, given the same bytes: what they agree on, and each place where they rightly do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tercet.codecs.processor import StreamProcessor
from tercet.codecs.serving.anthropic import AnthropicServing
from tercet.codecs.serving.base import ServedError
from tercet.codecs.vocabulary import (
    ChatResponse,
    Citation,
    Finish,
    Model,
    Opaque,
    OpaqueDelta,
    Reasoning,
    ReasoningDelta,
    StreamToken,
    TercetError,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    fold,
)
from tercet.codecs.wire.anthropic import AnthropicWire

pytest.importorskip("anthropic", reason="the anthropic SDK is not installed (extra 'peers')")

SdkClient = Callable[..., Any]
WIRE = AnthropicWire()

DIFFERS: dict[tuple[str, str], str] = {
    (
        "fallback_response.txt",
        "model",
    ): "ours names the model that the fallback block says went on; so does beta.messages",
    ("anthropic.anthropic-fallback.chunks.txt#0", "model"): "as above",
}
"""Stream and fact -> why ours is right not to say what the SDK's ``messages`` says. ``beta.messages`` differs nowhere."""

OURS_REFUSES: dict[str, tuple[str, str]] = {
    "anthropic.spliced-message-start.chunks.txt#0": (
        "ProtocolError",
        "two answers were spliced into one; the SDK appends the blocks of both, and a tool would be called twice",
    ),
}
"""Stream -> the error that is ours, and why, where the SDK gives an answer."""


def recorded(shared: Path) -> dict[str, bytes]:
    """Name -> the bytes of one answer's stream."""
    found: dict[str, bytes] = {}
    for path in sorted((shared / "vectors/llm-streams").glob("*/*")):
        text = path.read_text("utf-8")
        if '"message_start"' not in text:
            continue
        if path.parent.name == "anthropic-sdk":
            found[path.name] = path.read_bytes()
            continue
        number, body = 0, b""
        for line in filter(None, text.split("\n")):
            kind = json.loads(line)["type"]
            body += f"event: {kind}\ndata: {line}\n\n".encode()
            if kind == "message_stop":
                found[f"{path.name}#{number}"] = body
                number, body = number + 1, b""
        assert not body, path.name
    assert len(found) == 61
    return found


def ours(body: bytes) -> ChatResponse:
    processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
    return fold([*processor.process_chunk(body), *processor.finish(), *processor.finish()])


def facts_of(answer: ChatResponse) -> dict[str, Any]:
    usage = answer.usage
    thoughts = [part for part in answer.parts if isinstance(part, Reasoning)]
    return {
        "text": answer.text,
        "thinking": [(part.text, part.signature or "") for part in thoughts if part.encrypted is None],
        "redacted": [part.encrypted for part in thoughts if part.encrypted is not None],
        "calls": [(call.id, call.name, parsed(call.arguments)) for call in answer.tool_calls],
        "others": [part.kind for part in answer.parts if isinstance(part, Opaque)],
        "cited": [cited.text for cited in answer.citations],
        "finish": (answer.finish_raw, answer.stop_sequence),
        "id": answer.id,
        "model": answer.served_model,
        "input": usage and usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        "cached": usage and (usage.cache_read_tokens, usage.cache_write_tokens),
        "output": usage and usage.output_tokens,
        "reasoning tokens": usage and usage.reasoning_tokens,
    }


def parsed(arguments: str) -> Any:
    """The arguments as values; of arguments that broke off, the beginning that can be read (as the SDK does)."""
    from jiter import from_json

    return from_json(arguments.encode(), partial_mode=True) if arguments else {}


OWN_BLOCKS = ("text", "thinking", "redacted_thinking", "tool_use")


def sdk_facts(message: Any) -> dict[str, Any]:
    blocks, usage = message.content, message.usage
    details = usage.output_tokens_details if hasattr(usage, "output_tokens_details") else None
    return {
        "text": "".join(block.text for block in blocks if block.type == "text"),
        "thinking": [(block.thinking, block.signature) for block in blocks if block.type == "thinking"],
        "redacted": [block.data for block in blocks if block.type == "redacted_thinking"],
        "calls": [(block.id, block.name, block.input) for block in blocks if block.type == "tool_use"],
        "others": [block.type for block in blocks if block.type not in OWN_BLOCKS],
        "cited": [
            cited.cited_text for block in blocks if block.type == "text" for cited in block.citations or ()
        ],
        "finish": (message.stop_reason, message.stop_sequence),
        "id": message.id,
        "model": message.model,
        "input": usage.input_tokens,
        "cached": (usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0),
        "output": usage.output_tokens,
        "reasoning tokens": (details and details.thinking_tokens) or 0,
    }


def read_by_sdk(sdk_client: SdkClient, body: bytes, *, beta: bool) -> Any:
    """What the SDK's accumulator makes of the stream."""
    client = sdk_client("anthropic", body)
    messages = client.beta.messages if beta else client.messages
    with messages.stream(model="m", messages=[], max_tokens=5) as stream:
        return stream.get_final_message()


@pytest.mark.parametrize("beta", [False, True], ids=["messages", "beta.messages"])
def test_the_accumulators_say_the_same(shared: Path, sdk_client: SdkClient, beta: bool) -> None:
    wrong: list[str] = []
    refused: dict[str, str] = {}
    for name, body in recorded(shared).items():
        theirs = sdk_facts(read_by_sdk(sdk_client, body, beta=beta))
        try:
            own = facts_of(ours(body))
        except TercetError as error:
            refused[name] = type(error).__name__
            continue
        for what, value in theirs.items():
            if (own[what] == value) == (not beta and (name, what) in DIFFERS):
                wrong.append(f"{name}: {what}: ours {own[what]!r}, the SDK's {value!r}"[:600])
    assert not wrong, "\n".join(wrong)
    assert refused == {name: error for name, (error, _) in OURS_REFUSES.items()}


TOKENS: list[StreamToken] = [
    UsageReport(Usage(33, 1, 10, 20)),
    ReasoningDelta("hm", 0),
    ReasoningDelta("", 0, signature="s1", origin="anthropic"),
    ReasoningDelta("", 1, encrypted="xyz", origin="anthropic"),
    TextDelta("H\u00e9llo ", 2),
    Citation("https://example.org", "t", "c"),
    TextDelta("\U0001f389.", 3),
    OpaqueDelta(
        "anthropic",
        "server_tool_use",
        '{"type":"server_tool_use","id":"s","name":"web_search","input":{"q":1}}',
    ),
    ToolCallDelta(0, "a", "f"),
    ToolCallDelta(0, arguments='{"x"'),
    ToolCallDelta(0, arguments=": 1}"),
    ToolCallDelta(1, "b", "g"),
    UsageReport(Usage(33, 50, 10, 20, 7)),
    Finish("tool_calls", "tool_use", None, "msg_1", "served"),
]
SERVED = fold(TOKENS)


@pytest.mark.parametrize("beta", [False, True], ids=["messages", "beta.messages"])
def test_the_sdk_reads_the_streams_that_we_serve(sdk_client: SdkClient, beta: bool) -> None:
    body = b"".join(AnthropicServing().stream(TOKENS, model="served"))
    own = facts_of(SERVED)
    assert sdk_facts(read_by_sdk(sdk_client, body, beta=beta)) == own
    assert facts_of(ours(body)) == own


def test_the_sdk_reads_the_answers_that_we_serve(sdk_client: SdkClient) -> None:
    body = AnthropicServing().response(SERVED, model="served")
    message = sdk_client("anthropic", body, "application/json").messages.create(
        model="m", messages=[], max_tokens=5
    )
    assert sdk_facts(message) == facts_of(SERVED)


def test_the_sdk_raises_the_errors_that_we_serve_inside_a_stream(sdk_client: SdkClient) -> None:
    from anthropic import APIStatusError

    serving = AnthropicServing()
    said = b"".join(list(serving.stream(TOKENS, model="m"))[:4])
    with pytest.raises(APIStatusError, match="busy"):
        read_by_sdk(
            sdk_client, said + serving.stream_error(ServedError(529, "overloaded_error", "busy")), beta=False
        )


def test_the_sdk_reads_the_list_of_models_that_we_serve(sdk_client: SdkClient) -> None:
    body = AnthropicServing().models([Model("a"), Model("b")])
    assert [model.id for model in sdk_client("anthropic", body, "application/json").models.list()] == [
        "a",
        "b",
    ]


def test_what_the_sdk_asks_we_understand(sdk_client: SdkClient) -> None:
    """The body that the SDK writes, read by the server's side."""
    client = sdk_client("anthropic", AnthropicServing().response(SERVED, model="m"), "application/json")
    raw = client.messages.with_raw_response.create(
        model="m",
        system="Be brief.",
        messages=[{"role": "user", "content": [{"type": "text", "text": "H\u00e9?"}]}],
        tools=[{"name": "f", "input_schema": {"type": "object"}}],
        max_tokens=7,
        stop_sequences=["x"],
    )
    asked = raw.http_response.request
    request, is_streamed = AnthropicServing().request(
        asked.method, asked.url.raw_path.decode(), asked.content
    )
    assert (request.model, request.max_tokens, is_streamed) == ("m", 7, False)
    assert (tuple(request.stop or ()), [tool.name for tool in request.tools or ()]) == (("x",), ["f"])
    assert [(turn.role, "".join(part.text for part in turn.parts)) for turn in request.turns] == [
        ("system", "Be brief."),
        ("user", "H\u00e9?"),
    ]
