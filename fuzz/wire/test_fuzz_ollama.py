"""Ollama's API under random input: what a server says is what a client hears, and nothing makes either raise an error of no name."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import given, settings, strategies as st

from tercet.codecs.processor import StreamProcessor
from tercet.codecs.serving.ollama import OllamaServing
from tercet.codecs.vocabulary import (
    Finish,
    ReasoningDelta,
    StreamInterruptedError,
    StreamToken,
    TercetError,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    fold,
)
from tercet.codecs.wire.ollama import Dialect, OllamaWire

WIRE = OllamaWire(Dialect(think_tags=False))
SERVING = OllamaServing()

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
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
    """A sequence as the wire itself would give it: calls are whole, counts come before the end."""
    tokens: list[StreamToken] = []
    calls = 0
    for kind in draw(st.lists(st.sampled_from(["text", "reasoning", "call"]), max_size=12)):
        if kind == "text":
            tokens.append(TextDelta(draw(texts)))
        elif kind == "reasoning":
            tokens.append(ReasoningDelta(draw(texts)))
        else:
            call_id = draw(st.just(f"call_{calls}") | st.text("xyz0", min_size=1, max_size=5))
            name = draw(st.text("abc_", min_size=1, max_size=8))
            tokens.append(ToolCallDelta(calls, call_id, name, json.dumps(draw(objects))))
            calls += 1
    if draw(st.booleans()):
        tokens.append(UsageReport(Usage(draw(numbers), draw(numbers))))
    raw = draw(st.sampled_from(["stop", "length", "load"]))
    reason: Any = {"stop": "tool_calls" if calls else "stop", "load": "other"}.get(raw, raw)
    tokens.append(Finish(reason, raw, model=draw(texts)))
    return tokens


def heard(pieces: list[bytes], wire: OllamaWire = WIRE) -> list[StreamToken]:
    processor = StreamProcessor(wire.decoder(), wire.interpreter())
    tokens = [token for piece in pieces for token in processor.process_chunk(piece)]
    return tokens + processor.finish()


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    cuts = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[a:b] for a, b in pairwise(cuts)]


@settings(max_examples=150, deadline=None)
@given(canonical_tokens(), st.lists(st.integers(0, 10**6), max_size=12))
def test_a_client_hears_what_a_server_says(tokens: list[StreamToken], places: list[int]) -> None:
    stream = b"".join(SERVING.stream(tokens, model="m"))
    assert heard(cut(stream, places)) == tokens
    assert fold(heard(cut(stream, places), OllamaWire())).tool_calls == fold(tokens).tool_calls


@settings(max_examples=100, deadline=None)
@given(canonical_tokens())
def test_a_whole_answer_says_the_same(tokens: list[StreamToken]) -> None:
    answer = fold(tokens)
    back = WIRE.response(SERVING.response(answer, model="m"))
    assert (back.text, back.reasoning, back.tool_calls) == (answer.text, answer.reasoning, answer.tool_calls)
    assert (back.finish_reason, back.usage) == (answer.finish_reason, answer.usage)


@settings(max_examples=100, deadline=None)
@given(canonical_tokens(), st.integers(0, 10**6))
def test_a_cut_answer_is_complete_or_interrupted(tokens: list[StreamToken], place: int) -> None:
    stream = b"".join(SERVING.stream(tokens, model="m"))
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


keys = st.sampled_from(
    [
        "model",
        "message",
        "content",
        "thinking",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "id",
        "done",
        "done_reason",
        "prompt_eval_count",
        "eval_count",
        "error",
        "models",
        "role",
        "images",
        "tool_name",
        "tool_call_id",
        "messages",
        "tools",
        "format",
        "think",
        "options",
        "stream",
        "temperature",
        "num_predict",
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


@settings(max_examples=200, deadline=None)
@given(st.lists(wild | st.dictionaries(keys, wild, max_size=5), max_size=4))
def test_any_json_is_understood_or_refused_by_name(lines: list[Any]) -> None:
    interpreter = OllamaWire().interpreter()
    tokens: list[StreamToken] = []
    try:
        for line in lines:
            interpreter.interpret("", json.dumps(line).encode(), tokens)
        interpreter.finish(tokens)
    except TercetError:
        pass
    assert sum(isinstance(token, Finish) for token in tokens) == int(interpreter.is_complete)
    for line in lines:
        raw = json.dumps(line).encode()
        assert isinstance(WIRE.error(429, {}, raw), TercetError)
        for parse in (WIRE.response, WIRE.models, WIRE.token_count):
            try:
                parse(raw)
            except TercetError:
                pass


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_any_bytes_are_understood_or_refused_by_name(stream: bytes, places: list[int]) -> None:
    try:
        heard(cut(stream + b"\n{" + stream, places))
    except TercetError:
        pass


@settings(max_examples=200, deadline=None)
@given(wild, st.booleans(), keys)
def test_any_request_is_read_or_refused_by_name(body: Any, wrapped: bool, key: str) -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": "a"}], key: body} if wrapped else body
    try:
        SERVING.request("POST", "/api/chat", json.dumps(asked).encode())
    except TercetError:
        pass
