"""The openai SDK and our Responses wire, given the same bytes: what they agree on, and each place where they rightly do not."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tercet.codecs.processor import StreamProcessor
from tercet.codecs.serving.base import ServedError
from tercet.codecs.serving.openai_responses import OpenAIResponsesServing
from tercet.codecs.vocabulary import (
    ChatResponse,
    Finish,
    QuotaExceededError,
    ReasoningDelta,
    StreamToken,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    fold,
)
from tercet.codecs.wire.openai_responses import Dialect, OpenAIResponsesWire

pytest.importorskip("openai", reason="the openai SDK is not installed (extra 'peers')")

SdkClient = Callable[..., Any]
XAI = Dialect(server_custom_tools=True)
FAILED = "openai.responses.openai-error.1.chunks.txt"
BROKEN = "openai.responses.parallel-tool-call-wrapper.1.chunks.txt"
"""Its first and its last line were cut where they were taken from."""

_BY_HAND = "the recording was shortened by hand, so its events contradict each other; "
DIFFERS: dict[tuple[str, str], str] = {
    ("openai.responses.openai-shell-container.1.chunks.txt#0", "text"): _BY_HAND
    + "ours says what was streamed, the SDK what the last event repeats",
    ("openai.responses.openai-phase.1.chunks.txt#0", "deltas"): _BY_HAND
    + "ours adds what output_text.done has more than the deltas",
}
"""Answer and fact -> why ours is right not to say what the SDK's last event says."""

REFUSED: dict[str, tuple[str, str]] = {
    "openai.responses.github-copilot-id-rotation.1.chunks.txt#0": (
        "RuntimeError",
        "GitHub's proxy gives every event new ids; ours goes by the output's index and takes the last",
    ),
    "openai.responses.openai-client-tool-search.1.chunks.txt#0": (
        "RuntimeError",
        "the item's call_id is another when it is done than when it was added; ours goes by the output's index",
    ),
}
"""Answer -> what the SDK's accumulator raises for it, and why ours gives the answer."""


def sse(payloads: Sequence[str]) -> bytes:
    return "".join(f"event: {json.loads(text)['type']}\ndata: {text}\n\n" for text in payloads).encode()


def recorded(shared: Path) -> dict[str, bytes]:
    """Name -> the bytes of one answer's stream."""
    found: dict[str, bytes] = {}
    for path in sorted((shared / "vectors/llm-streams/vercel-ai").glob("*.chunks.txt")):
        lines = [line for line in path.read_text("utf-8").split("\n") if line]
        if not any('"response.created"' in line for line in lines) or path.name in (FAILED, BROKEN):
            continue
        turns: list[list[str]] = []
        for line in lines:
            if '"type":"response.created"' in line:
                turns.append([])
            turns[-1].append(line)
        found |= {f"{path.name}#{number}": sse(turn) for number, turn in enumerate(turns)}
    assert len(found) == 54
    return found


def ours(name: str, body: bytes) -> ChatResponse:
    wire = OpenAIResponsesWire(XAI if name.startswith("xai.") else Dialect())
    processor = StreamProcessor(wire.decoder(), wire.interpreter())
    return fold([*processor.process_chunk(body), *processor.finish()])


def facts_of(answer: ChatResponse) -> dict[str, Any]:
    usage = answer.usage
    return {
        "text": answer.text,
        "reasoning": answer.reasoning,
        "calls": [(call.id, call.name, call.arguments) for call in answer.tool_calls],
        "cited": [cited.url for cited in answer.citations],
        "finish": answer.finish_raw,
        "id": answer.id,
        "model": answer.served_model,
        "input": usage and usage.input_tokens,
        "output": usage and usage.output_tokens,
        "cached": usage and usage.cache_read_tokens,
        "reasoning tokens": usage and usage.reasoning_tokens,
    }


def called(item: Any) -> tuple[str, str, str]:
    return item.call_id, item.name, item.arguments if item.type == "function_call" else item.input


def sdk_facts(name: str, response: Any) -> dict[str, Any]:
    """What the SDK's own ``Response`` says."""
    own_kinds = ("function_call",) if name.startswith("xai.") else ("function_call", "custom_tool_call")
    thoughts = [item for item in response.output if item.type == "reasoning"]
    texts = [part for item in response.output if item.type == "message" for part in item.content]
    usage = response.usage
    return {
        "text": response.output_text,
        "reasoning": "".join(
            "\n\n".join(part.text for part in item.summary or item.content or ()) for item in thoughts
        ),
        "calls": [called(item) for item in response.output if item.type in own_kinds],
        "cited": [
            getattr(cited, "url", None)
            for part in texts
            if part.type == "output_text"
            for cited in part.annotations
        ],
        "finish": response.status,
        "id": response.id,
        "model": response.model,
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cached": usage.input_tokens_details.cached_tokens,
        "reasoning tokens": usage.output_tokens_details.reasoning_tokens,
    }


def read_by_sdk(sdk_client: SdkClient, body: bytes) -> list[Any]:
    return list(sdk_client("openai", body).responses.create(model="m", input=[], stream=True))


def accumulated(sdk_client: SdkClient, body: bytes) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # pydantic's, about xAI's own tools
        with sdk_client("openai", body).responses.stream(model="m", input=[]) as stream:
            return stream.get_final_response()


def disagreements(name: str, own: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    return [
        f"{name}: {what}: ours {own[what]!r}, the SDK's {value!r}"[:600]
        for what, value in theirs.items()
        if (own[what] == value) == ((name, what) in DIFFERS)
    ]


def test_the_last_event_says_what_we_say(shared: Path, sdk_client: SdkClient) -> None:
    wrong: list[str] = []
    for name, body in recorded(shared).items():
        last = read_by_sdk(sdk_client, body)[-1].response
        wrong += disagreements(name, facts_of(ours(name, body)), sdk_facts(name, last))
    assert not wrong, "\n".join(wrong)


def test_the_accumulator_says_what_we_say(shared: Path, sdk_client: SdkClient) -> None:
    wrong: list[str] = []
    refused: dict[str, str] = {}
    for name, body in recorded(shared).items():
        try:
            theirs = accumulated(sdk_client, body)
        except RuntimeError as error:
            refused[name] = type(error).__name__
            continue
        wrong += disagreements(name, facts_of(ours(name, body)), sdk_facts(name, theirs))
    assert not wrong, "\n".join(wrong)
    assert refused == {name: error for name, (error, _) in REFUSED.items()}


def test_the_deltas_say_the_same(shared: Path, sdk_client: SdkClient) -> None:
    """The SDK's typed deltas of text, joined, are our text."""
    wrong: list[str] = []
    for name, body in recorded(shared).items():
        events = read_by_sdk(sdk_client, body)
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        if (text == ours(name, body).text) == ((name, "deltas") in DIFFERS):
            wrong.append(f"{name}: {text!r}"[:300])
    assert not wrong, "\n".join(wrong)


def test_both_raise_for_an_error_in_the_stream(shared: Path, sdk_client: SdkClient) -> None:
    from openai import APIError

    text = (shared / "vectors/llm-streams/vercel-ai" / FAILED).read_text("utf-8")
    body = sse([line for line in text.split("\n") if line])
    with pytest.raises(APIError, match="exceeded your current quota"):
        read_by_sdk(sdk_client, body)
    with pytest.raises(QuotaExceededError, match="exceeded your current quota"):
        ours(FAILED, body)


TOKENS: list[StreamToken] = [
    ReasoningDelta("Hm.", 0),
    TextDelta("H\u00e9", 1),
    TextDelta("llo \U0001f389\u2028.", 1),
    ToolCallDelta(0, "call_a", "f"),
    ToolCallDelta(0, arguments='{"x"'),
    ToolCallDelta(0, arguments=": 1}"),
    ToolCallDelta(1, "call_b", "g"),
    ToolCallDelta(1, arguments="{}"),
    UsageReport(Usage(33, 12, 10, 0, 5)),
    Finish("tool_calls", "completed", None, "resp_7", "served"),
]
SERVED = fold(TOKENS)


def test_the_sdk_reads_the_streams_that_we_serve(sdk_client: SdkClient) -> None:
    body = b"".join(OpenAIResponsesServing().stream(TOKENS, model="served"))
    own = facts_of(SERVED)
    assert sdk_facts("served", read_by_sdk(sdk_client, body)[-1].response) == own
    assert sdk_facts("served", accumulated(sdk_client, body)) == own
    assert facts_of(ours("served", body)) == own


def test_the_sdk_reads_the_answers_that_we_serve(sdk_client: SdkClient) -> None:
    body = OpenAIResponsesServing().response(SERVED, model="served")
    response = sdk_client("openai", body, "application/json").responses.create(model="m", input="x")
    assert sdk_facts("served", response) == facts_of(SERVED)


def test_the_sdk_raises_or_tells_the_errors_that_we_serve_inside_a_stream(sdk_client: SdkClient) -> None:
    """The SDK raises for ``error`` events, and tells ``response.failed`` as an event: either way the answer is no success."""
    from openai import APIError

    serving = OpenAIResponsesServing()
    said = b"".join(list(serving.stream(TOKENS, model="m"))[:6])
    body = said + serving.stream_error(ServedError(429, "rate_limit_exceeded", "slow down"))
    try:
        kinds = [event.type for event in read_by_sdk(sdk_client, body)]
    except APIError as error:
        assert "slow down" in str(error)  # one of two right outcomes
    else:
        assert kinds[-1] in ("error", "response.failed")
        assert "response.completed" not in kinds
