"""Properties of the Messages wire over made-up input: what a server says a client understands, and nothing but typed errors comes out."""

from __future__ import annotations

import itertools
import json
from typing import Any

from hypothesis import given, settings, strategies as st

from tercet.codecs.processor import StreamProcessor
from tercet.codecs.serving.anthropic import AnthropicServing
from tercet.codecs.vocabulary import (
    Citation,
    Finish,
    OpaqueDelta,
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

WIRE = AnthropicWire()
SERVING = AnthropicServing()
EXAMPLES = settings(max_examples=150, deadline=None)

# What JSON in UTF-8 can say: everything but halves of characters, which become U+FFFD on the way (tested by values).
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
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
    return UsageReport(Usage(fresh + read + written, draw(COUNT), read, written, draw(COUNT)))


def cited(kind: int, words: tuple[str, str, str]) -> tuple[Citation, dict[str, Any]]:
    url, title, text = words
    if kind == 0:
        return Citation(url, title, text), {
            "type": "w",
            "url": url,
            "title": title,
            "cited_text": text,
            "encrypted_index": "e",
        }
    return Citation(None, title, text), {
        "type": "p",
        "document_title": title,
        "cited_text": text,
        "start_page_number": kind,
    }


@st.composite
def canonical(draw: st.DrawFn) -> list[StreamToken]:
    """Token sequences that the API can express: see ``codecs.serving.anthropic``."""
    tokens: list[StreamToken] = [draw(usages())]
    calls = 0
    for part in range(draw(st.integers(0, 5))):
        match draw(st.sampled_from(["text", "thinking", "redacted", "call", "opaque"])):
            case "text":
                pieces: list[StreamToken] = [
                    TextDelta(text, part) for text in draw(st.lists(TEXT, min_size=1, max_size=3))
                ]
                sources = [
                    cited(*row)
                    for row in draw(
                        st.lists(st.tuples(st.integers(0, 2), st.tuples(TEXT, TEXT, TEXT)), max_size=2)
                    )
                ]
                for citation, _ in sources:
                    pieces.append(citation)
                tokens += draw(st.permutations(pieces)) if len(sources) == 1 else pieces
                if sources:
                    raw = (
                        "[" + ",".join(json.dumps(source, ensure_ascii=False) for _, source in sources) + "]"
                    )
                    tokens.append(TextDelta("", part, signature=raw, origin="anthropic"))
            case "thinking":
                tokens += [ReasoningDelta(text, part) for text in draw(st.lists(TEXT, max_size=3))]
                tokens.append(ReasoningDelta("", part, signature=draw(TEXT), origin="anthropic"))
            case "redacted":
                tokens.append(ReasoningDelta("", part, encrypted=draw(TEXT), origin="anthropic"))
            case "call":
                more = draw(st.none() | st.dictionaries(st.sampled_from(["caller", "new"]), JSON, min_size=1))
                signature = (
                    more if more is None else json.dumps(more, ensure_ascii=False, separators=(",", ":"))
                )
                tokens.append(
                    ToolCallDelta(
                        calls,
                        draw(TEXT),
                        draw(TEXT),
                        signature=signature,
                        origin="anthropic" if more else None,
                    )
                )
                tokens += [
                    ToolCallDelta(calls, arguments=text)
                    for text in draw(st.lists(TEXT, min_size=1, max_size=3))
                ]
                calls += 1
            case kind:
                block = {"type": kind, **draw(st.dictionaries(TEXT, JSON, max_size=3)), "type_of": kind}
                tokens.append(
                    OpaqueDelta("anthropic", str(block["type"]), json.dumps(block))
                    if block["type"] == kind
                    else draw(usages())
                )
    if isinstance(tokens[-1], UsageReport) and len(tokens) > 1:
        tokens.pop()
    reason, raw = draw(
        st.sampled_from(
            [("stop", "end_turn"), ("length", "max_tokens"), ("other", "new"), ("pause", "pause_turn")]
        )
    )
    end = Finish(reason, raw, draw(st.none() | TEXT), draw(TEXT), draw(TEXT))  # type: ignore[arg-type]  # a row of the table
    return [*tokens, draw(usages()), end]


def read(data: bytes, cuts: list[int]) -> list[StreamToken]:
    processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
    tokens: list[StreamToken] = []
    edges = [0, *sorted(cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        tokens += processor.process_chunk(data[start:end])
    return tokens + processor.finish()


@EXAMPLES
@given(canonical(), st.data())
def test_what_a_server_says_a_client_understands_at_any_cut(
    tokens: list[StreamToken], data: st.DataObject
) -> None:
    stream = b"".join(SERVING.stream(tokens, model="m"))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    assert read(stream, cuts) == tokens


@EXAMPLES
@given(canonical())
def test_a_whole_answer_is_the_fold_of_its_stream(tokens: list[StreamToken]) -> None:
    # Arguments of calls are any text in a stream, but must be an object in a whole answer.
    spoken = [token for token in tokens if not isinstance(token, ToolCallDelta)]
    response = fold(spoken)
    assert WIRE.response(SERVING.response(response, model="m")) == response


EVENT_TYPES = [
    "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop", "ping", "error",
]  # fmt: skip
BLOCK_TYPES = ["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "fallback", "new"]
DELTA_TYPES = [
    "text_delta",
    "thinking_delta",
    "signature_delta",
    "input_json_delta",
    "citations_delta",
    "compaction_delta",
    "new",
]
INDEX = st.integers(0, 2) | JSON


def members(**known: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={name: value | JSON for name, value in known.items()})


BLOCK = members(
    type=st.sampled_from(BLOCK_TYPES), text=TEXT, thinking=TEXT, signature=TEXT, data=TEXT, id=TEXT, name=TEXT, input=JSON,
    citations=st.lists(JSON, max_size=2), to=members(model=TEXT),
)  # fmt: skip
DELTA = members(
    type=st.sampled_from(DELTA_TYPES), text=TEXT, thinking=TEXT, signature=TEXT, partial_json=TEXT, citation=members(url=TEXT),
    stop_reason=TEXT, stop_sequence=TEXT, content=TEXT,
)  # fmt: skip
USAGE = members(
    input_tokens=COUNT,
    output_tokens=COUNT,
    cache_read_input_tokens=COUNT,
    output_tokens_details=members(thinking_tokens=COUNT),
)
MESSAGE = members(id=TEXT, model=TEXT, content=st.lists(BLOCK, max_size=2), stop_reason=TEXT, usage=USAGE)
EVENT = members(
    type=st.sampled_from(EVENT_TYPES), index=INDEX, content_block=BLOCK, delta=DELTA, message=MESSAGE, usage=USAGE,
    error=members(type=TEXT, message=TEXT, details=members(error_code=TEXT)),
)  # fmt: skip


def outcome(events: list[bytes]) -> None:
    """Interpret until the end or an error, which has to be one of ours; then what was said has to fold and to be sendable."""
    interpreter = WIRE.interpreter()
    tokens: list[StreamToken] = []
    try:
        for event in events:
            interpreter.interpret("", event, tokens)
        interpreter.finish(tokens)
    except TercetError:
        pass
    else:
        assert interpreter.is_complete
    assert sum(isinstance(token, Finish) for token in tokens) == interpreter.is_complete
    fold(tokens)
    for token in tokens:
        if isinstance(token, OpaqueDelta):
            json.loads(token.json)


@EXAMPLES
@given(st.lists(EVENT, max_size=8), st.booleans())
def test_any_events_give_tokens_or_a_typed_error(events: list[dict[str, Any]], is_started: bool) -> None:
    begin = [b'{"type":"message_start","message":{}}'] if is_started else []
    outcome(begin + [json.dumps(event).encode() for event in events])


@EXAMPLES
@given(st.lists(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()), max_size=4))
def test_any_bytes_give_tokens_or_a_typed_error(events: list[bytes]) -> None:
    outcome(events)


@EXAMPLES
@given(
    st.integers(0, 999),
    st.dictionaries(TEXT, TEXT, max_size=2),
    st.binary(max_size=80) | EVENT.map(lambda value: json.dumps(value).encode()),
)
def test_any_failing_answer_gives_a_typed_error(status: int, headers: dict[str, str], body: bytes) -> None:
    error = WIRE.error(status, headers, body)
    assert error.status == status
    assert str(error)


@EXAMPLES
@given(MESSAGE.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=80))
def test_any_body_is_an_answer_or_a_typed_error(body: bytes) -> None:
    for read_body in (WIRE.response, WIRE.models, WIRE.token_count):
        try:
            read_body(body)
        except TercetError:
            pass


REQUEST = members(
    model=TEXT, max_tokens=st.integers(1, 9), stream=st.booleans(), system=TEXT, temperature=st.floats(0, 1), tools=st.lists(BLOCK, max_size=2),
    tool_choice=members(type=st.sampled_from(["auto", "any", "tool", "none"]), name=TEXT), thinking=members(type=TEXT, budget_tokens=COUNT),
    output_config=members(effort=TEXT, format=JSON), metadata=members(user_id=TEXT),
    messages=st.lists(members(role=st.sampled_from(["user", "assistant"]), content=TEXT | st.lists(BLOCK, max_size=2)), max_size=3),
)  # fmt: skip


@EXAMPLES
@given(REQUEST.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=80))
def test_any_request_is_understood_or_refused(body: bytes) -> None:
    try:
        request, stream = SERVING.request("POST", "/v1/messages", body)
    except TercetError:
        return
    try:
        WIRE.chat(request, stream=stream)
    except TercetError:
        pass  # understood, but not what a client of ours would send
