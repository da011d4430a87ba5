"""Anything may come: the outcome is tokens or a typed error, never another exception.

Run as tests (``pytest fuzz``), with more examples by ``--hypothesis-profile`` or ``settings``.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings, strategies as st

from tercet.codecs.processor import StreamProcessor
from tercet.codecs.serving.openai_responses import OpenAIResponsesServing
from tercet.codecs.vocabulary import ChatRequest, Finish, StreamToken, TercetError, fold, user
from tercet.codecs.wire.openai_responses import Dialect, OpenAIResponsesWire

WIRES = [
    OpenAIResponsesWire(),
    OpenAIResponsesWire(Dialect(server_custom_tools=True, origin="x", store=None, cost_paths=("a.b", "c"))),
]
KEYS = st.sampled_from(
    [
        "annotation", "annotations", "arguments", "call_id", "caller", "code", "content", "content_index", "delta", "detail",
        "encrypted_content", "end_index", "error", "file_id", "filename", "id", "image_url", "incomplete_details", "index", "input",
        "input_tokens", "input_tokens_details", "item", "item_id", "message", "model", "name", "output", "output_index",
        "output_tokens", "output_tokens_details", "phase", "reason", "refusal", "response", "role", "start_index", "status",
        "summary", "summary_index", "text", "title", "type", "url", "usage",
    ]
)  # fmt: skip
KINDS = st.sampled_from(
    ["message", "reasoning", "function_call", "custom_tool_call", "web_search_call", "of_tomorrow", "", None]
)
WORDS = st.sampled_from(
    ["", "completed", "incomplete", "failed", "output_text", "refusal", "summary_text", "url_citation"]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    WORDS,
    st.text(max_size=5),
    st.just("\ud83d"),
    st.just("\ude00"),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


def mostly(likely: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What is expected there, and now and then anything."""
    return st.integers(0, 15).flatmap(lambda chance: VALUES if chance == 0 else likely)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={name: mostly(value) for name, value in fields.items()})


TEXT = st.text(max_size=4) | st.sampled_from(["\ud83d", "\ude00", "a\ud83d", "\ude00b"])
IDS = st.sampled_from(["a", "b", "c"])
ANNOTATION = some(url=TEXT, title=TEXT, filename=TEXT, start_index=st.integers(0, 9), index=st.integers(0, 9))
CONTENT = some(
    type=st.sampled_from(["output_text", "refusal", "reasoning_text", "summary_text"]),
    text=TEXT,
    refusal=TEXT,
    annotations=st.lists(ANNOTATION, max_size=2),
)
ITEM = some(
    type=KINDS,
    id=IDS,
    call_id=TEXT,
    name=TEXT,
    arguments=TEXT,
    input=TEXT,
    content=st.lists(mostly(CONTENT), max_size=2),
    summary=st.lists(mostly(CONTENT), max_size=2),
    encrypted_content=TEXT,
    phase=TEXT,
    caller=VALUES,
)
RESPONSE = some(
    id=TEXT,
    model=TEXT,
    status=WORDS,
    output=st.lists(mostly(ITEM), max_size=3),
    usage=some(input_tokens=st.integers(0, 9), output_tokens=st.integers(), input_tokens_details=VALUES),
    error=st.none() | VALUES,
    incomplete_details=st.none() | some(reason=TEXT),
)
INDEX = st.integers(0, 2) | st.none()


def event(*kinds: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    members = {name: mostly(value) for name, value in fields.items()}
    return st.fixed_dictionaries({"type": st.sampled_from(kinds)}, optional=members)


EVENT = st.one_of(
    event("response.created", "response.in_progress", response=RESPONSE),
    event("response.output_item.added", "response.output_item.done", item=ITEM, output_index=INDEX),
    event(
        "response.output_text.delta",
        "response.refusal.delta",
        "response.reasoning_text.delta",
        delta=TEXT,
        output_index=INDEX,
        content_index=INDEX,
    ),
    event("response.reasoning_summary_text.delta", delta=TEXT, output_index=INDEX, summary_index=INDEX),
    event(
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
        "response.shell_call_command.delta",
        delta=TEXT,
        output_index=INDEX,
    ),
    event(
        "response.output_text.annotation.added",
        annotation=ANNOTATION,
        output_index=INDEX,
        content_index=INDEX,
    ),
    event("response.completed", "response.incomplete", "response.failed", response=RESPONSE),
    event("error", "response.error", error=VALUES, code=TEXT, message=TEXT),
    VALUES,
)
EVENTS = st.one_of(
    EVENT.map(lambda value: json.dumps(value).encode()),
    EVENT.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    st.binary(max_size=10),
    st.just(b"[DONE]"),
)


@given(st.sampled_from(WIRES), st.lists(EVENTS, max_size=8), st.sampled_from(["", "error", "message"]))
@settings(max_examples=400, deadline=None)
def test_any_events_give_tokens_or_a_typed_error(wire: OpenAIResponsesWire, events: list[bytes], name: str):
    interpreter = wire.interpreter()
    tokens: list[StreamToken] = []
    try:
        for data in events:
            interpreter.interpret(name, data, tokens)
        interpreter.finish(tokens)
        assert interpreter.is_complete
    except TercetError:
        assert not interpreter.is_complete
    finishes = [token for token in tokens if isinstance(token, Finish)]
    assert len(finishes) == interpreter.is_complete
    msgspec.json.encode(tokens)  # no half characters
    wire.chat(
        ChatRequest("m", [user("hi"), fold(tokens).message]), stream=True
    )  # whatever it is, it can go back


@given(st.sampled_from(WIRES), st.lists(EVENTS, max_size=5), st.lists(st.integers(0, 900), max_size=5))
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_tokens_or_a_typed_error(
    wire: OpenAIResponsesWire, events: list[bytes], cuts: list[int]
):
    data = b"".join(b"data: " + piece + b"\n\n" for piece in events)
    processor = StreamProcessor(wire.decoder(), wire.interpreter())
    places = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    try:
        for start, end in pairwise(places):
            processor.process_chunk(data[start:end])
        if processor.finish() and not processor.is_complete:
            processor.finish()  # tokens come first, the error with the next call
    except TercetError:
        return
    assert processor.is_complete


@given(st.sampled_from(WIRES), EVENTS | RESPONSE.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=300, deadline=None)
def test_any_whole_answer_gives_a_response_or_a_typed_error(wire: OpenAIResponsesWire, body: bytes):
    try:
        assert wire.response(body).is_complete
    except TercetError:
        return


@given(EVENTS)
@settings(max_examples=150, deadline=None)
def test_any_count_is_a_number_or_a_typed_error(body: bytes):
    try:
        assert WIRES[0].token_count(body) >= 0
    except TercetError:
        return


INPUT = some(
    type=st.sampled_from(
        [
            "message",
            "reasoning",
            "function_call",
            "custom_tool_call",
            "function_call_output",
            "custom_tool_call_output",
            "program",
        ]
    ),
    role=st.sampled_from(["system", "developer", "user", "assistant"]),
    content=TEXT
    | st.lists(
        some(
            type=st.sampled_from(
                ["input_text", "output_text", "input_image", "input_file", "input_audio", "x"]
            ),
            text=TEXT,
            image_url=st.sampled_from(["https://x.test", "data:image/png;base64,AA==", "data:,"]),
            file_data=st.sampled_from(["data:application/pdf;base64,AA==", "x"]),
            file_id=TEXT,
            input_audio=VALUES,
        ),
        max_size=2,
    ),
    call_id=TEXT,
    name=TEXT,
    arguments=TEXT,
    input=TEXT,
    output=TEXT | st.lists(some(type=st.just("input_text"), text=TEXT), max_size=2),
    summary=st.lists(CONTENT, max_size=2),
    encrypted_content=TEXT,
    phase=TEXT,
)
REQUEST = st.fixed_dictionaries(
    {"model": mostly(st.just("m")), "input": mostly(TEXT | st.lists(mostly(INPUT), min_size=1, max_size=3))},
    optional={
        "instructions": mostly(TEXT),
        "tools": mostly(st.lists(some(type=st.just("function"), name=IDS, parameters=VALUES), max_size=2)),
        "tool_choice": VALUES,
        "text": VALUES,
        "reasoning": mostly(some(effort=TEXT, summary=TEXT)),
        "stream": VALUES,
    },
)


@given(REQUEST.map(lambda body: json.dumps(body).encode()) | EVENTS)
@settings(max_examples=300, deadline=None)
def test_any_body_is_a_request_or_a_typed_error(body: bytes):
    try:
        request, _ = OpenAIResponsesServing().request("POST", "/v1/responses", body)
    except TercetError:
        return
    try:
        WIRES[0].chat(request, stream=False)
    except TercetError:
        return
