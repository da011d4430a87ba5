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
from tercet.codecs.serving.openai_chat import OpenAIChatServing
from tercet.codecs.vocabulary import Finish, StreamToken, TercetError
from tercet.codecs.wire.openai_chat import Dialect, OpenAIChatWire
from tercet.codecs.wire.openai_errors import error_from_payload

WIRES = [
    OpenAIChatWire(),
    OpenAIChatWire(
        Dialect(think_tags=True, done_marker="optional", origin="x", output_excludes_reasoning=True)
    ),
]
KEYS = st.sampled_from(
    [
        "annotations",
        "arguments",
        "choices",
        "citations",
        "code",
        "completion_tokens",
        "content",
        "cost",
        "data",
        "delta",
        "detail",
        "error",
        "extra_content",
        "finish_reason",
        "function",
        "function_call",
        "id",
        "images",
        "index",
        "innererror",
        "loc",
        "matched_stop",
        "message",
        "metadata",
        "model",
        "msg",
        "name",
        "object",
        "param",
        "prompt_tokens",
        "prompt_tokens_details",
        "raw",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "refusal",
        "request_id",
        "search_results",
        "signature",
        "snippet",
        "status",
        "stop_reason",
        "summary",
        "text",
        "thinking",
        "thinking_blocks",
        "title",
        "tool_calls",
        "total_tokens",
        "type",
        "url",
        "url_citation",
        "usage",
        "x_groq",
        "pricing",
        "context_length",
        "architecture",
        "role",
        "messages",
        "tools",
        "tool_choice",
        "response_format",
        "image_url",
        "max_tokens",
        "stream",
    ]
)
WORDS = st.sampled_from(
    [
        "",
        "stop",
        "error",
        "text",
        "thinking",
        "reference",
        "tool",
        "user",
        "function",
        "<think>",
        "429",
        "url_citation",
    ]
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
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=6)


def maybe(likely: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return likely | VALUES


# Objects that are nearly chunks, with any field of any type.
CALL = st.fixed_dictionaries(
    {},
    optional={
        "index": maybe(st.integers(0, 2)),
        "id": maybe(st.text(max_size=2)),
        "function": maybe(
            st.fixed_dictionaries(
                {}, optional={"name": maybe(WORDS), "arguments": maybe(st.text(max_size=3))}
            )
        ),
        "extra_content": VALUES,
    },
)
DELTA = st.fixed_dictionaries(
    {},
    optional={
        "content": maybe(st.text(max_size=4)),
        "reasoning": maybe(st.text(max_size=4)),
        "reasoning_content": maybe(st.text(max_size=4)),
        "refusal": maybe(st.text(max_size=4)),
        "tool_calls": maybe(st.lists(maybe(CALL), max_size=3)),
        "function_call": VALUES,
        "annotations": maybe(st.lists(VALUES, max_size=2)),
        "reasoning_details": maybe(st.lists(OBJECTS, max_size=2)),
        "thinking_blocks": VALUES,
        "images": VALUES,
    },
)
CHOICE = st.fixed_dictionaries(
    {},
    optional={
        "index": maybe(st.integers(0, 1)),
        "delta": maybe(DELTA),
        "message": maybe(DELTA),
        "finish_reason": maybe(WORDS | st.none()),
        "usage": VALUES,
        "stop_reason": VALUES,
        "matched_stop": VALUES,
    },
)
CHUNK = st.fixed_dictionaries(
    {},
    optional={
        "choices": maybe(st.lists(maybe(CHOICE), max_size=2)),
        "usage": maybe(OBJECTS),
        "error": st.none() | VALUES,
        "x_groq": st.none() | VALUES,
        "citations": maybe(st.lists(VALUES, max_size=2)),
        "search_results": maybe(st.lists(OBJECTS, max_size=2)),
        "id": VALUES,
        "model": VALUES,
    },
)
EVENTS = st.one_of(
    CHUNK.map(lambda chunk: json.dumps(chunk).encode()),
    CHUNK.map(lambda chunk: json.dumps(chunk, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=10),
    st.just(b"[DONE]"),
)


@given(st.sampled_from(WIRES), st.lists(EVENTS, max_size=6), st.sampled_from(["", "error", "message"]))
@settings(max_examples=400, deadline=None)
def test_any_events_give_tokens_or_a_typed_error(wire: OpenAIChatWire, events: list[bytes], name: str):
    interpreter = wire.interpreter()
    tokens: list[StreamToken] = []
    try:
        for event in events:
            interpreter.interpret(name, event, tokens)
        interpreter.finish(tokens)
        assert interpreter.is_complete
    except TercetError:
        assert not interpreter.is_complete
    finishes = [token for token in tokens if isinstance(token, Finish)]
    assert len(finishes) == interpreter.is_complete
    msgspec.json.encode(tokens)  # no half characters


@given(st.sampled_from(WIRES), st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_tokens_or_a_typed_error(wire: OpenAIChatWire, data: bytes, cuts: list[int]):
    processor = StreamProcessor(wire.decoder(), wire.interpreter())
    places = sorted({0, len(data), *cuts})
    try:
        for start, end in pairwise(places):
            processor.process_chunk(data[start:end])
        processor.finish()
    except TercetError:
        return


@given(st.sampled_from(WIRES), EVENTS)
@settings(max_examples=300, deadline=None)
def test_any_whole_answer_gives_a_response_or_a_typed_error(wire: OpenAIChatWire, body: bytes):
    try:
        assert wire.response(body).is_complete
    except TercetError:
        return


@given(
    st.integers(100, 600),
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "x-request-id", "x-should-retry"]),
        st.text(max_size=8),
    ),
    EVENTS,
)
@settings(max_examples=300, deadline=None)
def test_any_failure_is_a_typed_error_with_a_message(status: int, headers: dict[str, str], body: bytes):
    fault = WIRES[0].error(status, headers, body)
    assert str(fault)
    assert fault.status == status


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_any_payload_is_a_typed_error(payload: Any):
    assert str(error_from_payload(payload))


@given(
    st.one_of(
        EVENTS,
        st.fixed_dictionaries(
            {
                "data": st.lists(
                    OBJECTS | st.fixed_dictionaries({"id": WORDS, "pricing": VALUES, "architecture": VALUES}),
                    max_size=3,
                )
            }
        ).map(lambda value: json.dumps(value).encode()),
    )
)
@settings(max_examples=200, deadline=None)
def test_any_list_of_models_is_read_or_a_typed_error(body: bytes):
    try:
        assert all(model.id for model in WIRES[0].models(body))
    except TercetError:
        return


PART = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image_url", "file", "input_audio", "thinking", "x"])},
    optional={"text": VALUES, "image_url": VALUES, "file": VALUES, "input_audio": VALUES, "thinking": VALUES},
)
MESSAGE = st.fixed_dictionaries(
    {"role": maybe(st.sampled_from(["system", "user", "assistant", "tool"]))},
    optional={
        "content": maybe(st.lists(PART, max_size=2)),
        "tool_calls": maybe(st.lists(maybe(CALL), max_size=2)),
        "tool_call_id": maybe(st.just("a")),
        "reasoning_details": VALUES,
    },
)
REQUEST = st.fixed_dictionaries(
    {"model": maybe(st.just("m")), "messages": maybe(st.lists(maybe(MESSAGE), min_size=1, max_size=3))},
    optional={
        "tools": VALUES,
        "tool_choice": VALUES,
        "response_format": VALUES,
        "temperature": VALUES,
        "stop": VALUES,
        "reasoning": VALUES,
        "thinking": VALUES,
        "stream": VALUES,
    },
)


@given(REQUEST.map(lambda body: json.dumps(body).encode()) | EVENTS)
@settings(max_examples=300, deadline=None)
def test_any_body_is_a_request_or_a_typed_error(body: bytes):
    try:
        request, _ = OpenAIChatServing().request("POST", "/v1/chat/completions", body)
    except TercetError:
        return
    try:
        WIRES[0].chat(request, stream=False)
    except TercetError:
        return
