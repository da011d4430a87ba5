"""The openai SDK and our chat completions wire, given the same bytes: what they agree on, and each place where they rightly do not."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tercet.codecs.processor import StreamProcessor
from tercet.codecs.serving.base import ServedError
from tercet.codecs.serving.openai_chat import OpenAIChatServing
from tercet.codecs.vocabulary import (
    ChatResponse,
    Citation,
    Finish,
    Model,
    ReasoningDelta,
    StreamToken,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    fold,
)
from tercet.codecs.wire.openai_chat import Dialect, OpenAIChatWire

pytest.importorskip("openai", reason="the openai SDK is not installed (extra 'peers')")

SdkClient = Callable[..., Any]
XAI = Dialect(output_excludes_reasoning=True)
ALSO_OURS = ("moonshotai.moonshotai-stream.chunks.txt",)  # its chunks do not name their object

DIFFERS: dict[tuple[str, str], str] = {
    (
        "xai.xai-text.chunks.txt",
        "output",
    ): "xAI counts reasoning beside the output; ours adds it, as it is billed",
    (
        "xai.xai-tool-call.chunks.txt",
        "output",
    ): "xAI counts reasoning beside the output; ours adds it, as it is billed",
    ("openai-compatible.chat.xai-text.chunks.txt", "output"): "as above",
    ("openai-compatible.chat.xai-tool-call.chunks.txt", "output"): "as above",
    (
        "mistral.mistral-reasoning.chunks.txt",
        "text",
    ): "Mistral's content is a list of parts, which the SDK's field cannot hold",
    ("mistral.mistral-reasoning.chunks.txt", "reasoning"): "as above: the reasoning is in the list",
}
"""File and fact -> why ours is right not to say what the SDK says."""

REFUSED: dict[str, tuple[str, str]] = {
    "deepseek.chat.deepseek-text.chunks.txt": (
        "LengthFinishReasonError",
        "an answer that reached its limit is an answer; ours says so in finish_reason and leaves the choice to the caller",
    ),
    "mistral.mistral-reasoning.chunks.txt": (
        "RuntimeError",
        "the parts of Mistral's content have no index; ours reads them in their order",
    ),
    "mistral.mistral-tool-call.chunks.txt": (
        "TypeError",
        "Mistral's whole tool calls have no index; ours tells them apart by their ids",
    ),
    "openai-compatible.chat.anthropic-fallback-tool-call.sse": (
        "IndexError",
        "its only tool call has index 1, behind a text; ours takes an index as a name, not as a place in a list",
    ),
}
"""File -> what the SDK's accumulator raises for it, and why ours gives the answer."""


def recorded(shared: Path) -> dict[str, bytes]:
    """File name -> the bytes of a stream, of the files whose lines are chunks of chat completions."""
    found: dict[str, bytes] = {}
    for path in sorted((shared / "vectors/llm-streams/vercel-ai").iterdir()):
        text = path.read_text("utf-8")
        if '"chat.completion.chunk"' not in text and path.name not in ALSO_OURS:
            continue
        lines = [line.removeprefix("data: ") for line in text.split("\n")]
        payloads = [line for line in lines if line and line != "[DONE]"]
        found[path.name] = "".join(f"data: {line}\n\n" for line in [*payloads, "[DONE]"]).encode()
    assert len(found) == 24
    return found


def ours(name: str, body: bytes) -> ChatResponse:
    wire = OpenAIChatWire(XAI if "xai" in name else Dialect())
    processor = StreamProcessor(wire.decoder(), wire.interpreter())
    return fold([*processor.process_chunk(body), *processor.finish()])


def facts_of(answer: ChatResponse) -> dict[str, Any]:
    usage = answer.usage
    return {
        "text": answer.text,
        "reasoning": answer.reasoning,
        "calls": [(call.id, call.name, call.arguments) for call in answer.tool_calls],
        "finish": answer.finish_raw,
        "input": usage.input_tokens if usage else None,
        "output": usage.output_tokens if usage else None,
        "cached": usage.cache_read_tokens if usage else None,
        "reasoning tokens": usage.reasoning_tokens if usage else None,
        "id": answer.id,
        "model": answer.served_model,
    }


def usage_facts(usage: Any) -> dict[str, Any]:
    if usage is None:
        return dict.fromkeys(("input", "output", "cached", "reasoning tokens"))
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return {
        "input": usage.prompt_tokens,
        "output": usage.completion_tokens,
        "cached": (prompt and prompt.cached_tokens) or 0,
        "reasoning tokens": (completion and completion.reasoning_tokens) or 0,
    }


def thought(holder: Any) -> str:
    """The SDK has no field for reasoning, but keeps what it does not know."""
    extra = holder.model_extra or {}
    return extra.get("reasoning_content") or extra.get("reasoning") or ""


def joined(chunks: Sequence[Any]) -> dict[str, Any]:
    """What the SDK's typed chunks say, joined as its documentation does it."""
    said: dict[str, Any] = {"text": "", "reasoning": "", "finish": None}
    calls: dict[Any, list[str]] = {}
    usage = None
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            if isinstance(choice.delta.content, str):
                said["text"] += choice.delta.content
            said["reasoning"] += thought(choice.delta)
            for call in choice.delta.tool_calls or ():
                whole = calls.setdefault(call.index, ["", "", ""])
                function = call.function
                whole[0] = whole[0] or call.id or ""
                whole[1] += function.name or ""
                whole[2] += function.arguments or ""
            said["finish"] = choice.finish_reason or said["finish"]
    last = chunks[-1]
    said |= {"calls": [tuple(call) for call in calls.values()], **usage_facts(usage)}
    return {**said, "id": chunks[0].id or last.id, "model": last.model}


def accumulated(chunks: Sequence[Any]) -> dict[str, Any]:
    """What the SDK's own accumulator makes of its chunks."""
    from openai.lib.streaming.chat import ChatCompletionStreamState

    state: Any = ChatCompletionStreamState()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # pydantic's, about fields that are not of the declared type
        for chunk in chunks:
            state.handle_chunk(chunk)
    whole = state.get_final_completion()
    message = whole.choices[0].message
    calls = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()]
    return {
        "text": message.content or "",
        "reasoning": thought(message),
        "calls": calls,
        "finish": whole.choices[0].finish_reason,
        **usage_facts(whole.usage),
    }


def read_by_sdk(sdk_client: SdkClient, body: bytes) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return list(sdk_client("openai", body).chat.completions.create(model="m", messages=[], stream=True))


def disagreements(name: str, own: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    found = []
    for what, value in theirs.items():
        if (own[what] == value) == ((name, what) in DIFFERS):
            found.append(f"{name}: {what}: ours {own[what]!r}, the SDK's {value!r}")
    return found


def test_the_chunks_say_the_same(shared: Path, sdk_client: SdkClient) -> None:
    wrong: list[str] = []
    for name, body in recorded(shared).items():
        wrong += disagreements(name, facts_of(ours(name, body)), joined(read_by_sdk(sdk_client, body)))
    assert not wrong, "\n".join(wrong)


def test_the_accumulators_say_the_same(shared: Path, sdk_client: SdkClient) -> None:
    from openai import OpenAIError

    wrong: list[str] = []
    refused: dict[str, str] = {}
    for name, body in recorded(shared).items():
        try:
            theirs = accumulated(read_by_sdk(sdk_client, body))
        except (OpenAIError, TypeError, RuntimeError, IndexError) as error:
            refused[name] = type(error).__name__
            continue
        wrong += disagreements(name, facts_of(ours(name, body)), theirs)
    assert not wrong, "\n".join(wrong)
    assert refused == {name: error for name, (error, _) in REFUSED.items()}


TOKENS: list[StreamToken] = [
    ReasoningDelta("Hm. "),
    ReasoningDelta("Well."),
    TextDelta("H\u00e9"),
    TextDelta("llo \U0001f389\u2028."),
    Citation("https://example.org/a", "A", start=0, end=2),
    ToolCallDelta(0, "call_a", "f"),
    ToolCallDelta(0, arguments='{"x"'),
    ToolCallDelta(0, arguments=": 1}"),
    ToolCallDelta(1, "call_b", "g", "{}"),
    UsageReport(Usage(33, 12, 10, 0, 5)),
    Finish("tool_calls", "tool_calls", None, "chatcmpl-7", "served"),
]
SERVED = fold(TOKENS)
NOT_IN_A_STREAM = ("id", "model")


def test_the_sdk_reads_the_streams_that_we_serve(sdk_client: SdkClient) -> None:
    body = b"".join(OpenAIChatServing().stream(TOKENS, model="served"))
    chunks = read_by_sdk(sdk_client, body)
    assert joined(chunks) == facts_of(SERVED)
    assert accumulated(chunks) == {
        what: value for what, value in facts_of(SERVED).items() if what not in NOT_IN_A_STREAM
    }
    assert facts_of(ours("served", body)) == facts_of(SERVED)


def test_the_sdk_reads_the_answers_that_we_serve(sdk_client: SdkClient) -> None:
    body = OpenAIChatServing().response(SERVED, model="served")
    whole = sdk_client("openai", body, "application/json").chat.completions.create(model="m", messages=[])
    message = whole.choices[0].message
    assert (message.content, thought(message)) == (SERVED.text, SERVED.reasoning)
    calls = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls]
    assert calls == facts_of(SERVED)["calls"]
    assert usage_facts(whole.usage).items() <= facts_of(SERVED).items()
    assert (whole.id, whole.model, whole.choices[0].finish_reason) == ("chatcmpl-7", "served", "tool_calls")
    assert message.annotations[0].url_citation.url == "https://example.org/a"


def test_the_sdk_raises_the_errors_that_we_serve_inside_a_stream(sdk_client: SdkClient) -> None:
    from openai import APIError

    serving = OpenAIChatServing()
    said = b"".join(list(serving.stream(TOKENS, model="m"))[:4])
    with pytest.raises(APIError, match="slow down"):
        read_by_sdk(
            sdk_client, said + serving.stream_error(ServedError(429, "rate_limit_exceeded", "slow down"))
        )


def test_the_sdk_reads_the_list_of_models_that_we_serve(sdk_client: SdkClient) -> None:
    body = OpenAIChatServing().models([Model("a"), Model("b", context_window=1000)])
    assert [model.id for model in sdk_client("openai", body, "application/json").models.list()] == ["a", "b"]


def test_what_the_sdk_asks_we_understand(sdk_client: SdkClient) -> None:
    """The body that the SDK writes, read by the server's side."""
    client = sdk_client("openai", OpenAIChatServing().response(SERVED, model="m"), "application/json")
    raw = client.chat.completions.with_raw_response.create(
        model="m",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "H\u00e9?"}]},
        ],
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        temperature=0.5,
        max_completion_tokens=7,
        stop=["x"],
    )
    asked = raw.http_response.request
    request, is_streamed = OpenAIChatServing().request(
        asked.method, asked.url.raw_path.decode(), asked.content
    )
    assert (request.model, request.temperature, request.max_tokens, is_streamed) == ("m", 0.5, 7, False)
    assert (tuple(request.stop or ()), [tool.name for tool in request.tools or ()]) == (("x",), ["f"])
    assert [(turn.role, "".join(part.text for part in turn.parts)) for turn in request.turns] == [
        ("system", "Be brief."),
        ("user", "H\u00e9?"),
    ]
