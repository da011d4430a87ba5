"""Properties of the Bedrock wires over made-up input: what a server says a client understands, and nothing but typed errors comes out."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

from hypothesis import given, settings, strategies as st

from tercet.codecs.framing import encode_message
from tercet.codecs.processor import StreamProcessor
from tercet.codecs.serving.bedrock_converse import BedrockConverseServing
from tercet.codecs.serving.bedrock_invoke import VOICES, BedrockInvokeServing
from tercet.codecs.vocabulary import (
    ChatRequest,
    Citation,
    Finish,
    OpaqueDelta,
    ReasoningDelta,
    StreamInterruptedError,
    StreamToken,
    TercetError,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    fold,
    user,
)
from tercet.codecs.wire import Wire
from tercet.codecs.wire.bedrock_converse import BedrockConverseWire
from tercet.codecs.wire.bedrock_invoke import BedrockInvokeWire

WIRE, SERVING = BedrockConverseWire(), BedrockConverseServing()
INVOKE, INVOKE_SERVING = BedrockInvokeWire(), BedrockInvokeServing()
EXAMPLES = settings(max_examples=150, deadline=None)
MODELS = {
    "claude_text": "anthropic.claude-v2",
    "titan": "amazon.titan-text-x",
    "llama2": "meta.llama2-x",
    "llama3": "meta.llama3-x",
    "llama4": "meta.llama4-x",
    "mistral_text": "mistral.mistral-7b-x",
    "cohere": "cohere.command-r-x",
    "cohere_text": "cohere.command-text-x",
}

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
BLOB = st.binary(min_size=1, max_size=9).map(lambda data: base64.b64encode(data).decode())
COUNT = st.integers(0, 10_000)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def usages(draw: st.DrawFn) -> UsageReport:
    fresh, read, written = draw(COUNT), draw(COUNT), draw(COUNT)
    return UsageReport(Usage(fresh + read + written, draw(COUNT), read, written))


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@st.composite
def canonical(draw: st.DrawFn) -> list[StreamToken]:
    """Token sequences that the API can express: see ``codecs.serving.bedrock_converse``."""
    tokens: list[StreamToken] = []
    calls = 0
    for part in range(draw(st.integers(0, 5))):
        match draw(st.sampled_from(["text", "reasoning", "redacted", "call", "server", "future"])):
            case "text":
                tokens += [TextDelta(text, part) for text in draw(st.lists(TEXT, min_size=1, max_size=3))]
                sources: list[Any] = []
                for url, title, text in draw(st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=2)):
                    web = {"location": {"web": {"url": url}}}
                    sources.append({"title": title, "sourceContent": [{"text": text}], **web})
                    tokens.append(Citation(url, title, text))
                if sources:
                    tokens.append(TextDelta("", part, signature=compact(sources), origin="bedrock"))
            case "reasoning":
                tokens += [ReasoningDelta(text, part) for text in draw(st.lists(TEXT, max_size=3))]
                tokens.append(ReasoningDelta("", part, signature=draw(TEXT), origin="bedrock"))
            case "redacted":
                tokens.append(ReasoningDelta("", part, encrypted=draw(BLOB), origin="bedrock"))
            case "call":
                tokens.append(ToolCallDelta(calls, draw(TEXT), draw(TEXT)))
                pieces = draw(st.lists(TEXT, min_size=1, max_size=3))
                tokens += [ToolCallDelta(calls, arguments=text) for text in pieces]
                calls += 1
            case "server":
                given = draw(st.dictionaries(TEXT, JSON, max_size=2))
                block = {
                    "toolUseId": draw(TEXT),
                    "name": draw(TEXT),
                    "type": "server_tool_use",
                    "input": given,
                }
                tokens.append(OpaqueDelta("bedrock", "toolUse", compact({"toolUse": block})))
            case kind:
                tokens.append(OpaqueDelta("bedrock", kind, compact({kind: draw(JSON)})))
    ends = [("length", "max_tokens"), ("other", "new"), ("content_filter", "guardrail_intervened")]
    reason, raw = draw(
        st.sampled_from([*ends, ("tool_calls", "tool_use") if calls else ("stop", "end_turn")])
    )
    end = Finish(reason, raw, draw(st.none() | TEXT), None, draw(st.none() | TEXT))  # type: ignore[arg-type]  # a row of the table
    return [*tokens, draw(usages()), end]


def read(wire: Wire, data: bytes, cuts: list[int]) -> list[StreamToken]:
    processor = StreamProcessor(wire.decoder(), wire.interpreter())
    tokens: list[StreamToken] = []
    for start, end in itertools.pairwise([0, *sorted(cuts), len(data)]):
        tokens += processor.process_chunk(data[start:end])
    return tokens + processor.finish()


@EXAMPLES
@given(canonical(), st.data())
def test_what_a_server_says_a_client_understands_at_any_cut(
    tokens: list[StreamToken], data: st.DataObject
) -> None:
    stream = b"".join(SERVING.stream(tokens, model=""))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    assert read(WIRE, stream, cuts) == tokens


@EXAMPLES
@given(canonical(), st.data())
def test_a_stream_that_ends_anywhere_is_whole_or_interrupted(
    tokens: list[StreamToken], data: st.DataObject
) -> None:
    pieces = list(SERVING.stream(tokens, model=""))
    stream = b"".join(pieces)
    end = data.draw(st.integers(0, len(stream)))
    is_whole = end >= len(stream) - len(pieces[-1])
    try:
        found = read(WIRE, stream[:end], [])
    except StreamInterruptedError:
        assert not is_whole
    else:
        assert is_whole
        assert fold(found).parts == fold(tokens).parts


@EXAMPLES
@given(canonical())
def test_a_whole_answer_is_the_fold_of_its_stream(tokens: list[StreamToken]) -> None:
    # Arguments of calls are any text in a stream, but must be an object in a whole answer.
    spoken = [token for token in tokens if not isinstance(token, ToolCallDelta)]
    if any(isinstance(token, Finish) and token.reason == "tool_calls" for token in spoken):
        spoken[-1] = Finish("stop", "end_turn")
    response = fold(spoken)
    assert WIRE.response(SERVING.response(response, model="")) == response


@EXAMPLES
@given(canonical())
def test_nova_says_the_same_in_its_own_frames(tokens: list[StreamToken]) -> None:
    stream = b"".join(INVOKE_SERVING.stream(tokens, model="amazon.nova-x"))
    assert fold(read(INVOKE, stream, [])) == fold(tokens)


@EXAMPLES
@given(st.sampled_from(sorted(MODELS)), st.lists(TEXT, min_size=1, max_size=4), usages(), st.data())
def test_families_of_text_say_what_was_said(
    family: str, texts: list[str], usage: UsageReport, data: st.DataObject
) -> None:
    reason, raw = data.draw(st.sampled_from(sorted(VOICES[family].reasons.items())))
    tokens: list[StreamToken] = [*map(TextDelta, texts), usage, Finish(reason, raw)]
    stream = b"".join(INVOKE_SERVING.stream(tokens, model=MODELS[family]))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    assert read(INVOKE, stream, cuts) == tokens


# Anything ---------------------------------------------------------------------------------------------------------------

NAMES = [
    "messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "initial-response",
    "exception:throttlingException", "validationException", "error:InternalError", "",
]  # fmt: skip


def members(**known: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={name: value | JSON for name, value in known.items()})


CITATION = members(
    title=TEXT,
    source=TEXT,
    sourceContent=st.lists(members(text=TEXT), max_size=2),
    location=members(web=members(url=TEXT)),
)
TOOL = members(toolUseId=TEXT, name=TEXT, type=TEXT, input=TEXT | JSON)
REASONING = members(
    text=TEXT, signature=TEXT, redactedContent=BLOB, reasoningText=members(text=TEXT, signature=TEXT)
)
BLOCK = members(
    text=TEXT, toolUse=TOOL, reasoningContent=REASONING, citation=CITATION, toolResult=st.lists(members(text=TEXT), max_size=2),
    image=members(format=TEXT, source=members(bytes=BLOB)), citationsContent=members(content=st.lists(members(text=TEXT), max_size=2),
    citations=st.lists(CITATION, max_size=2)), future=JSON,
)  # fmt: skip
EVENT = members(
    contentBlockIndex=st.integers(0, 2), start=BLOCK, delta=BLOCK, stopReason=st.sampled_from(["end_turn", "tool_use"]) | TEXT,
    additionalModelResponseFields=members(delta=members(stop_sequence=TEXT)), message=TEXT,
    usage=members(inputTokens=COUNT, outputTokens=COUNT), trace=members(promptRouter=members(invokedModelId=TEXT)),
)  # fmt: skip
METRICS = members(inputTokenCount=COUNT, outputTokenCount=COUNT)
CHOICE = members(
    text=TEXT,
    stop_reason=TEXT,
    finish_reason=TEXT,
    index=COUNT,
    delta=members(content=TEXT, tool_calls=JSON),
    message=members(content=TEXT),
)
OBJECT = members(
    type=st.sampled_from(["message_start", "message_stop", "message", "content_block_delta"]), message=JSON, completion=TEXT, stop_reason=TEXT,
    outputText=TEXT, completionReason=TEXT, generation=TEXT, outputs=st.lists(CHOICE, max_size=2), choices=st.lists(CHOICE, max_size=2),
    text=TEXT, event_type=TEXT, finish_reason=TEXT, is_finished=st.booleans(), results=st.lists(members(outputText=TEXT), max_size=2),
    messageStop=EVENT, contentBlockDelta=EVENT, metadata=EVENT,
) | st.tuples(METRICS).map(lambda row: {"amazon-bedrock-invocationMetrics": row[0], "generation": "x", "stop_reason": "stop"})  # fmt: skip


def outcome(wire: Wire, events: list[tuple[str, bytes]]) -> None:
    """Interpret until the end or an error, which has to be one of ours; then what was said has to fold and to be sendable."""
    interpreter = wire.interpreter()
    tokens: list[StreamToken] = []
    try:
        for name, event in events:
            interpreter.interpret(name, event, tokens)
        interpreter.finish(tokens)
    except TercetError:
        assert not any(isinstance(token, Finish) for token in tokens) or interpreter.is_complete
    else:
        assert interpreter.is_complete
        assert sum(isinstance(token, Finish) for token in tokens) == 1
    response = fold(tokens)
    for token in tokens:
        if isinstance(token, OpaqueDelta):
            json.loads(token.json)
    try:
        WIRE.chat(ChatRequest("anthropic.claude-x", [user("?"), response.message]), stream=True)
    except TercetError:
        pass  # arguments of a call that are no object


@EXAMPLES
@given(st.lists(st.tuples(st.sampled_from(NAMES), EVENT | JSON), max_size=8))
def test_any_events_give_tokens_or_a_typed_error(events: list[tuple[str, Any]]) -> None:
    outcome(WIRE, [(name, json.dumps(event).encode()) for name, event in events])


@EXAMPLES
@given(st.lists(OBJECT | JSON, max_size=6))
def test_any_chunks_give_tokens_or_a_typed_error(events: list[Any]) -> None:
    encoded = [base64.b64encode(json.dumps(event).encode()).decode() for event in events]
    outcome(INVOKE, [("chunk", json.dumps({"bytes": data}).encode()) for data in encoded])


@EXAMPLES
@given(st.lists(st.tuples(st.sampled_from([*NAMES, "chunk"]), st.binary(max_size=60)), max_size=4))
def test_any_payloads_give_tokens_or_a_typed_error(events: list[tuple[str, bytes]]) -> None:
    outcome(WIRE, events)
    outcome(INVOKE, events)


@EXAMPLES
@given(
    st.dictionaries(
        st.sampled_from([":message-type", ":event-type", ":exception-type", ":error-code", ":error-message"]),
        TEXT | COUNT | st.binary(max_size=5),
    ),
    st.binary(max_size=60),
)
def test_any_message_gives_tokens_or_a_typed_error(headers: dict[str, Any], payload: bytes) -> None:
    for wire in (WIRE, INVOKE):
        try:
            read(wire, encode_message(headers, payload), [])
        except TercetError:
            pass


@EXAMPLES
@given(
    st.integers(0, 999),
    st.dictionaries(TEXT | st.just("x-amzn-errortype"), TEXT, max_size=2),
    st.binary(max_size=80) | members(message=TEXT, __type=TEXT).map(lambda value: json.dumps(value).encode()),
)
def test_any_failing_answer_gives_a_typed_error(status: int, headers: dict[str, str], body: bytes) -> None:
    error = WIRE.error(status, headers, body)
    assert error.status == status
    assert str(error)


ANSWER = members(
    output=members(message=members(content=st.lists(BLOCK, max_size=3))),
    stopReason=TEXT,
    usage=members(inputTokens=COUNT),
)


@EXAMPLES
@given((ANSWER | OBJECT | JSON).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=80))
def test_any_body_is_an_answer_or_a_typed_error(body: bytes) -> None:
    for read_body in (
        WIRE.response,
        WIRE.models,
        WIRE.token_count,
        INVOKE.response,
        INVOKE.models,
        INVOKE.token_count,
    ):
        try:
            read_body(body)
        except TercetError:
            pass


CONTENT = st.lists(
    st.sampled_from(
        ["text", "image", "toolUse", "toolResult", "cachePoint", "reasoningContent", "document", "new"]
    ).flatmap(lambda kind: st.fixed_dictionaries({kind: BLOCK | TOOL | TEXT | JSON})),
    max_size=3,
)
REQUEST = members(
    messages=st.lists(members(role=st.sampled_from(["user", "assistant"]), content=CONTENT), max_size=3), system=CONTENT,
    inferenceConfig=members(maxTokens=COUNT, temperature=st.floats(0, 1), topK=COUNT, reasoningConfig=JSON),
    toolConfig=members(tools=st.lists(members(toolSpec=members(name=TEXT, inputSchema=members(json=JSON))), max_size=2), toolChoice=members(any=JSON, tool=members(name=TEXT))),
    additionalModelRequestFields=members(thinking=members(type=TEXT, budget_tokens=COUNT), top_k=COUNT, reasoning_effort=TEXT),
    outputConfig=members(effort=TEXT, textFormat=JSON), serviceTier=members(type=TEXT), prompt=TEXT, inputText=TEXT, message=TEXT,
    max_gen_len=COUNT, textGenerationConfig=JSON, chat_history=JSON, max_tokens=COUNT,
)  # fmt: skip


@EXAMPLES
@given(
    REQUEST.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=80),
    st.sampled_from([*MODELS.values(), "amazon.nova-x", "openai.gpt-oss-x", "anthropic.claude-x", "unknown"]),
    st.sampled_from(["converse", "converse-stream", "invoke", "invoke-with-response-stream"]),
)
def test_any_request_is_understood_or_refused(body: bytes, model: str, door: str) -> None:
    serving, wire = (SERVING, WIRE) if door.startswith("converse") else (INVOKE_SERVING, INVOKE)
    try:
        request, stream = serving.request("POST", f"/model/{model}/{door}", body)
    except TercetError:
        return
    assert stream == door.endswith("stream")
    try:
        wire.chat(request, stream=stream)
    except TercetError:
        pass  # understood, but not what a client of ours would send
