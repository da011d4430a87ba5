"""Gemini under random input: what a server says is what a client hears, and nothing makes either raise an error of no name."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings, strategies as st

from tercet.codecs.processor import StreamProcessor
from tercet.codecs.serving.gemini import GeminiServing
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
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageReport,
    assistant,
    fold,
    user,
)
from tercet.codecs.wire.gemini import Dialect, GeminiWire
from tercet.codecs.wire.gemini_arguments import PartialArg, PartialArguments
from tercet.codecs.wire.gemini_events import finish_reason_of, made_up_id

WIRE = GeminiWire()
ENVELOPE = Dialect(request_key="request", response_key="response", finish_at_reason=True)

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
signatures = st.text("ABCabc+/=", min_size=1, max_size=8)
numbers = st.integers(0, 10**6)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, values, max_size=3)


@st.composite
def canonical_tokens(draw: st.DrawFn) -> list[StreamToken]:
    """A sequence as the wire itself would give it: signed parts have numbers of their own, calls are whole, usage changes."""
    tokens: list[StreamToken] = []
    part, is_fresh, calls = 0, True, 0
    usage: Usage | None = None
    cited: set[Citation] = set()
    for kind in draw(
        st.lists(st.sampled_from(["text", "reasoning", "call", "opaque", "citation", "usage"]), max_size=12)
    ):
        if kind in ("text", "reasoning"):
            delta = TextDelta if kind == "text" else ReasoningDelta
            signature = draw(st.none() | signatures)
            if signature is None:
                tokens.append(delta(draw(texts), part))
                is_fresh = False
                continue
            part += 0 if is_fresh else 1
            tokens.append(delta(draw(st.just("") | texts), part, signature=signature, origin="gemini"))
            part, is_fresh = part + 1, True
        elif kind == "call":
            arguments = draw(st.just("") | st.builds(json.dumps, objects, indent=st.none() | st.just(1)))
            signature = draw(st.none() | signatures)
            call_id = draw(st.just(made_up_id(calls)) | st.text("xyz0", min_size=1, max_size=5))
            name = draw(st.text("abc_", min_size=1, max_size=8))
            tokens.append(
                ToolCallDelta(calls, call_id, name, arguments, signature, "gemini" if signature else None)
            )
            calls += 1
        elif kind == "opaque":
            name = draw(st.sampled_from(["executableCode", "hologram"]))
            tokens.append(OpaqueDelta("gemini", name, json.dumps({name: draw(objects)})))
        elif kind == "citation":
            span = draw(st.tuples(st.none() | texts, st.none() | numbers, st.none() | numbers))
            citation = Citation(draw(texts), draw(st.none() | texts), *span)
            if citation not in cited:
                cited.add(citation)
                tokens.append(citation)
        else:
            reasoning = draw(numbers)
            new = Usage(
                draw(numbers),
                reasoning + draw(numbers),
                cache_read_tokens=draw(numbers),
                reasoning_tokens=reasoning,
            )
            if new != usage:
                usage = new
                tokens.append(UsageReport(new))
    raw = draw(
        st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "OTHER", "MALFORMED_FUNCTION_CALL", "CONTINUATION"])
    )
    reason = finish_reason_of(raw, has_calls=calls > 0)
    tokens.append(Finish(reason, raw, response_id=draw(st.none() | texts), model=draw(texts)))
    return tokens


def heard(wire: GeminiWire, pieces: list[bytes]) -> list[StreamToken]:
    processor = StreamProcessor(wire.decoder(), wire.interpreter())
    tokens = [token for piece in pieces for token in processor.process_chunk(piece)]
    return tokens + processor.finish()


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    cuts = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[a:b] for a, b in pairwise(cuts)]


@settings(max_examples=150, deadline=None)
@given(canonical_tokens(), st.lists(st.integers(0, 10**6), max_size=12), st.booleans())
def test_a_client_hears_what_a_server_says(
    tokens: list[StreamToken], places: list[int], enveloped: bool
) -> None:
    dialect = ENVELOPE if enveloped else Dialect()
    stream = b"".join(GeminiServing(dialect).stream(tokens, model="m"))
    assert heard(GeminiWire(dialect), cut(stream, places)) == tokens


@settings(max_examples=60, deadline=None)
@given(canonical_tokens(), st.integers(0, 10**6))
def test_a_cut_answer_is_complete_or_interrupted(tokens: list[StreamToken], place: int) -> None:
    stream = b"".join(GeminiServing().stream(tokens, model="m"))
    processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
    got: list[StreamToken] = []
    try:
        got += processor.process_chunk(stream[: place % len(stream)])
        got += processor.finish()
        got += [] if processor.is_complete else processor.finish()
    except StreamInterruptedError:
        assert got == tokens[: len(got)]
        assert not processor.is_complete
    else:
        assert got == tokens


@settings(max_examples=100, deadline=None)
@given(canonical_tokens())
def test_an_answer_goes_back_with_everything_opaque(tokens: list[StreamToken]) -> None:
    answer = fold(tokens)
    request = ChatRequest("m", [user("q"), assistant(answer.parts), user("go")])
    sent = WIRE.chat(request, stream=True)
    back, _ = GeminiServing().request(sent.method, sent.path, sent.body)
    kept = (
        [part for part in back.turns[1].parts if getattr(part, "origin", None)]
        if len(back.turns) == 3
        else []
    )
    opaque = [part for part in answer.parts if getattr(part, "origin", None)]
    assert kept == [
        msgspec.structs.replace(part, arguments="{}")
        if isinstance(part, ToolCall) and not part.arguments
        else part
        for part in opaque
    ]


keys = st.sampled_from(
    [
        "candidates",
        "content",
        "parts",
        "text",
        "thought",
        "thoughtSignature",
        "functionCall",
        "name",
        "id",
        "args",
        "partialArgs",
        "jsonPath",
        "stringValue",
        "willContinue",
        "finishReason",
        "index",
        "usageMetadata",
        "promptTokenCount",
        "promptFeedback",
        "blockReason",
        "error",
        "code",
        "message",
        "status",
        "details",
        "groundingMetadata",
        "groundingChunks",
        "groundingSupports",
        "segment",
        "web",
        "uri",
        "citationMetadata",
        "citations",
        "response",
        "contents",
        "role",
        "functionResponse",
        "inlineData",
        "fileData",
        "data",
        "mimeType",
        "tools",
        "functionDeclarations",
        "toolConfig",
        "generationConfig",
    ]
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
wild = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)


def near_answers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    part = st.dictionaries(keys, inner, max_size=3)
    candidate = st.fixed_dictionaries(
        {"content": st.fixed_dictionaries({"parts": st.lists(part, max_size=3)})},
        optional={"finishReason": inner, "groundingMetadata": inner},
    )
    return st.fixed_dictionaries(
        {"candidates": st.lists(candidate, max_size=2)},
        optional={"usageMetadata": inner, "promptFeedback": inner, "error": inner},
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(wild | near_answers(wild), max_size=4), st.booleans())
def test_any_json_is_understood_or_refused_by_name(events: list[Any], enveloped: bool) -> None:
    wire = GeminiWire(ENVELOPE if enveloped else Dialect())
    interpreter = wire.interpreter()
    tokens: list[StreamToken] = []
    try:
        for event in events:
            interpreter.interpret("", json.dumps(event).encode(), tokens)
        interpreter.finish(tokens)
    except TercetError:
        pass
    assert sum(isinstance(token, Finish) for token in tokens) == (
        1 if interpreter.is_complete and isinstance(tokens[-1], Finish) else 0
    )
    for event in events:
        raw = json.dumps(event).encode()
        assert isinstance(wire.error(429, {}, raw), TercetError)
        for parse in (wire.response, wire.models, wire.token_count):
            try:
                parse(raw)
            except TercetError:
                pass


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_any_bytes_are_understood_or_refused_by_name(stream: bytes, places: list[int]) -> None:
    try:
        heard(WIRE, cut(b"data: " + stream + b"\r\n\r\n{" + stream, places))
    except TercetError:
        pass


@settings(max_examples=150, deadline=None)
@given(wild, st.booleans())
def test_any_request_is_read_or_refused_by_name(body: Any, wrapped: bool) -> None:
    asked = {"contents": [{"role": "user", "parts": [body]}], "tools": body} if wrapped else body
    try:
        GeminiServing().request("POST", "/v1beta/models/m:generateContent", json.dumps(asked).encode())
    except TercetError:
        pass


def placed(value: Any, path: str) -> list[tuple[str, Any]]:
    """The leaves of a value with their places, in the document's order."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in placed(inner, f"{path}[{quoted(key)}]")]
    if isinstance(value, list):
        return [leaf for at, inner in enumerate(value) for leaf in placed(inner, f"{path}[{at}]")]
    return [(path, value)]


def quoted(key: str) -> str:
    return "'" + key.replace("\\", "\\\\").replace("'", "\\'") + "'"


full = st.recursive(
    st.none() | st.booleans() | st.integers(0, 99) | texts,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3) | st.dictionaries(texts, inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(texts, full, min_size=1, max_size=4), st.integers(0, 5))
def test_streamed_arguments_are_the_object_they_came_from(value: dict[str, Any], at: int) -> None:
    arguments = PartialArguments()
    text = ""
    for path, leaf in placed(value, "$"):
        field = {str: "stringValue", bool: "boolValue", type(None): "nullValue"}.get(
            type(leaf), "numberValue"
        )
        halves = [leaf[:at], leaf[at:]] if isinstance(leaf, str) else [leaf]
        for half in halves:
            text += arguments.write(
                msgspec.json.decode(json.dumps({"jsonPath": path, field: half}), type=PartialArg)
            )
    assert json.loads(text + arguments.close()) == value
