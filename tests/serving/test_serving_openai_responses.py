"""The server's side of the Responses API, against the client's."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from tercet.codecs.processor import StreamProcessor
from tercet.codecs.serving.base import ServedError
from tercet.codecs.serving.openai_responses import OpenAIResponsesServing
from tercet.codecs.vocabulary import (
    BadRequestError,
    ChatRequest,
    ChatResponse,
    Citation,
    File,
    Finish,
    Image,
    Message,
    Model,
    NotFoundError,
    Opaque,
    OpaqueDelta,
    ProtocolError,
    Reasoning,
    ReasoningDelta,
    ReasoningOptions,
    ResponseFormat,
    Restarted,
    StreamInterruptedError,
    StreamToken,
    TercetError,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    ToolResult,
    Usage,
    UsageReport,
    assistant,
    fold,
    system,
    tool_result,
    user,
)
from tercet.codecs.wire.openai_responses import Dialect, OpenAIResponsesWire

WIRE = OpenAIResponsesWire()
SERVING = OpenAIResponsesServing()
OURS = "openai_responses"


def heard(data: bytes, cuts: list[int] | None = None) -> list[StreamToken]:
    """What the client makes of bytes that come cut at the given places."""
    processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts or ())})
    tokens = [token for start, end in pairwise(places) for token in processor.process_chunk(data[start:end])]
    tokens += processor.finish()
    assert processor.is_complete
    return tokens


def said(tokens: list[StreamToken]) -> bytes:
    return b"".join(SERVING.stream(tokens, model="m"))


def written(value: Any) -> str:
    return msgspec.json.encode(value).decode()


# Sequences that the API can express (see the module's docstring).
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
counts = st.integers(0, 10_000)
places = st.none() | counts
cited = st.one_of(
    st.builds(Citation, texts, st.none() | texts, st.none(), places, places),
    st.builds(Citation, st.none(), texts, st.none(), places, places),
)
usages = st.builds(
    UsageReport,
    st.builds(Usage, counts, counts, counts, counts, counts, st.none() | st.floats(0, 10, allow_nan=False)),
)


class Numbers:
    """What has been numbered so far."""

    def __init__(self) -> None:
        self.parts = 0
        self.calls = 0
        self.items = 0


def message(draw: st.DrawFn, seen: Numbers) -> list[StreamToken]:
    phase = draw(st.sampled_from([None, "commentary", "final_answer"]))
    signature, origin = (None, None) if phase is None else (written({"phase": phase}), OURS)
    tokens: list[StreamToken] = []
    for _ in range(draw(st.integers(1, 2))):
        number = seen.parts
        seen.parts += 1
        tokens.append(TextDelta(draw(texts), number, signature, origin))
        more = st.one_of(st.builds(TextDelta, texts, st.just(number)), cited)
        tokens += draw(st.lists(more, max_size=3))
    return tokens


def thought(draw: st.DrawFn, seen: Numbers) -> list[StreamToken]:
    number, name = seen.parts, f"rs-{seen.items}"
    seen.parts += 1
    seen.items += 1
    pieces = draw(st.lists(texts, max_size=3))
    item: dict[str, Any] = {"type": "reasoning", "id": name}
    item["summary"] = [{"type": "summary_text", "text": "".join(pieces)}] if pieces else []
    encrypted = draw(st.none() | texts)
    if encrypted is not None:
        item["encrypted_content"] = encrypted
    closing = ReasoningDelta("", number, written(item), encrypted, name, OURS)
    return [*(ReasoningDelta(piece, number) for piece in pieces), closing]


def calls(draw: st.DrawFn, seen: Numbers) -> list[StreamToken]:
    """One call or two, their arguments interleaved."""
    opened: list[int] = []
    tokens: list[StreamToken] = []
    members = st.sampled_from(
        [None, '{"caller":{"type":"direct"}}', '{"type":"custom_tool_call"}', '{"namespace":"a b"}']
    )
    for _ in range(draw(st.integers(1, 2))):
        signature = draw(members)
        origin = None if signature is None else OURS
        opened.append(seen.calls)
        tokens.append(ToolCallDelta(seen.calls, draw(texts), draw(texts), "", signature, origin))
        seen.calls += 1
        pieces = st.builds(ToolCallDelta, st.sampled_from(opened), arguments=texts)
        tokens += draw(st.lists(pieces, max_size=3))
    return tokens


def opaque(draw: st.DrawFn, seen: Numbers) -> list[StreamToken]:
    kind = draw(st.sampled_from(["web_search_call", "compaction", "of_tomorrow"]))
    item = {"type": kind, "id": f"op-{seen.items}", "x": draw(texts)}
    seen.items += 1
    return [OpaqueDelta(OURS, kind, written(item))]


@st.composite
def answers(draw: st.DrawFn) -> list[StreamToken]:
    seen = Numbers()
    tokens: list[StreamToken] = []
    for block in draw(st.lists(st.sampled_from([message, thought, calls, opaque]), max_size=5)):
        tokens += block(draw, seen)
    tokens += draw(st.lists(usages, max_size=1))
    if draw(st.booleans()):
        reason, raw = ("tool_calls" if seen.calls else "stop"), "completed"
    else:
        reason, raw = draw(
            st.sampled_from(
                [("length", "max_output_tokens"), ("content_filter", "content_filter"), ("other", "steered")]
            )
        )
    tokens.append(Finish(reason, raw, None, draw(texts), draw(texts)))  # type: ignore[arg-type]  # words of the list above
    return tokens


@given(answers(), st.lists(st.integers(0, 20_000), max_size=30))
@settings(max_examples=150, deadline=None)
def test_a_client_hears_what_the_server_said(tokens: list[StreamToken], cuts: list[int]):
    assert heard(said(tokens), cuts) == tokens


@given(answers())
@settings(max_examples=100, deadline=None)
def test_a_whole_answer_means_what_its_stream_means(tokens: list[StreamToken]):
    answer = fold(tokens)
    assert WIRE.response(SERVING.response(answer, model="m")) == answer


@given(answers())
@settings(max_examples=50, deadline=None)
def test_the_last_event_holds_the_whole_answer(tokens: list[StreamToken]):
    *_, last = SERVING.stream(tokens, model="m")
    event = msgspec.json.decode(last.partition(b"data: ")[2], type=dict[str, msgspec.Raw])
    assert WIRE.response(bytes(event["response"])) == fold(tokens)


@given(answers(), st.data())
@settings(max_examples=60, deadline=None)
def test_a_part_of_the_events_is_no_answer(tokens: list[StreamToken], data: st.DataObject):
    pieces = list(SERVING.stream(tokens, model="m"))
    end = data.draw(st.integers(0, len(pieces) - 1))
    with pytest.raises(StreamInterruptedError):
        heard(b"".join(pieces[:end]))


def events_of(tokens: list[StreamToken]) -> list[dict[str, Any]]:
    pieces = list(SERVING.stream(tokens, model="m"))
    assert all(piece.startswith(b"event: ") and piece.endswith(b"\n\n") for piece in pieces)
    events = [json.loads(piece.partition(b"\ndata: ")[2]) for piece in pieces]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [piece.split(b"\n")[0].decode() for piece in pieces] == [
        f"event: {event['type']}" for event in events
    ]
    return events


def test_the_order_of_events_is_openais():
    events = events_of(
        [
            ReasoningDelta("hm"),
            TextDelta("a", 1),
            ToolCallDelta(0, "c", "f"),
            ToolCallDelta(0, arguments="{}"),
            Finish("tool_calls"),
        ]
    )
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_text.delta",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert [event.get("output_index") for event in events[2:-1]] == [0] * 3 + [1] * 6 + [2] * 4
    response = events[-1]["response"]
    assert [item["type"] for item in response["output"]] == ["reasoning", "message", "function_call"]
    assert (response["id"], response["model"], response["status"]) == ("resp_0", "m", "completed")
    assert events[0]["response"]["status"] == "in_progress"


def test_members_that_come_late_are_said_when_the_message_is_done():
    late = TextDelta("", 0, '{"phase":"final_answer"}', OURS)
    tokens = [TextDelta("a"), late, Finish("stop", "completed", None, "i", "m")]
    assert heard(said(tokens)) == tokens


def test_a_citation_before_any_text_has_a_message_of_its_own():
    tokens = [Citation("u"), TextDelta("a"), Finish("stop", "completed", None, "i", "m")]
    assert heard(said(tokens)) == tokens


def test_what_only_another_provider_understands_is_left_out():
    tokens = [
        ReasoningDelta("hm", 0),
        ReasoningDelta("", 0, "signed", None, None, "anthropic"),
        OpaqueDelta("anthropic", "server_tool_use", "{}"),
        TextDelta("a", 0, "thought", "gemini"),
        ToolCallDelta(0, "c", "f", "{}", "thought", "gemini"),
        Finish("tool_calls"),
    ]
    answer = fold(heard(said(tokens)))
    assert [type(part) for part in answer.parts] == [Reasoning, Text, ToolCall]
    assert "thought" not in str(answer)
    assert "signed" not in str(answer)


def test_an_encrypted_part_without_its_item_is_written_as_one():
    part = Reasoning("hm", None, "gAAA", "rs_1", OURS)
    answer = WIRE.response(SERVING.response(ChatResponse((part,), "stop"), model="m"))
    [back] = answer.parts
    assert isinstance(back, Reasoning)
    assert (back.text, back.encrypted, back.id) == ("hm", "gAAA", "rs_1")


def test_tokens_without_a_finish_are_a_stream_that_breaks_off():
    with pytest.raises(StreamInterruptedError):
        heard(said([TextDelta("a"), UsageReport(Usage(1, 1))]))


def test_a_partial_answer_is_served_as_one_in_the_making():
    body = SERVING.response(ChatResponse((Text("a"),)), model="m")
    assert json.loads(body)["status"] == "in_progress"
    assert json.loads(body)["output"][0]["content"][0]["text"] == "a"
    with pytest.raises(ProtocolError):
        WIRE.response(body)


def test_a_restarted_answer_is_served_from_its_restart_on():
    end = Finish("stop", "completed", None, "i", "m")
    tokens = [TextDelta("void"), Restarted("p", "m"), TextDelta("a"), end]
    assert heard(said(tokens)) == tokens[2:]


def test_words_of_other_families_are_said_in_openais():
    def back(finish: Finish) -> tuple[Any, Any]:
        last = heard(said([finish]))[-1]
        assert isinstance(last, Finish)
        return last.reason, last.raw

    assert back(Finish("stop", "end_turn")) == ("stop", "completed")
    assert back(Finish("length", "max_tokens")) == ("length", "max_output_tokens")
    assert back(Finish("pause", "pause_turn")) == ("pause", "pause")
    assert back(Finish("content_filter", "SAFETY")) == ("content_filter", "content_filter")
    assert back(Finish("other", "novel")) == ("other", "novel")
    assert back(Finish("other")) == ("other", "other")


REASONING = '{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"gAAA"}'
SEARCH = '{"id":"ws_1", "type":"web_search_call", "status":"completed"}'
REQUESTS = [
    ChatRequest("m", "hi"),
    ChatRequest(
        "m",
        (
            system("be brief"),
            Message("developer", "very"),
            user(
                (
                    Text("look"),
                    Image("https://x.test/a.png", detail="low"),
                    Image(data=b"\x89", media_type="image/png"),
                )
            ),
            user(
                (
                    File(data=b"%PDF", media_type="application/pdf", name="a.pdf"),
                    File(file_id="f"),
                    File("https://x.test/a.pdf"),
                    File(data=b"R", media_type="audio/wav"),
                )
            ),
            assistant(
                (
                    Reasoning("hm", REASONING, "gAAA", "rs_1", OURS),
                    Text("calling", signature='{"phase":"commentary"}', origin=OURS),
                    Opaque(OURS, "web_search_call", SEARCH),
                    ToolCall("c1", "t", '{"a":1}'),
                    ToolCall("c2", "t", "{}", '{"caller":{"type":"direct"}}', OURS),
                    ToolCall("c3", "sql", "SELECT 1", '{"type":"custom_tool_call"}', OURS),
                )
            ),
            Message("tool", (ToolResult("c1", "one"),)),
            tool_result("c2", "two"),
            Message("tool", (ToolResult("c3", (Text("see"), Image("https://x.test/a.png"))),)),
            assistant("so"),
            Message("user", "and?", extra={"custom": True}),
        ),
        max_tokens=10,
        temperature=0.5,
        top_p=0.5,
        tools=(Tool("t", "does", {"type": "object"}, True), Tool("u")),
        tool_choice=ToolChoice("tool", "t"),
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_schema", {"type": "object"}, "thing", True),
        reasoning=ReasoningOptions("high", summary="auto"),
        verbosity="low",
        service_tier="flex",
        user="u",
        extra={"truncation": "auto"},
    ),
    ChatRequest("m", "hi", tool_choice=ToolChoice("none"), response_format=ResponseFormat("json_object")),
    ChatRequest("m", (system("only this"),), reasoning=ReasoningOptions("none")),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("dialect", [Dialect(), Dialect(instructions=False, user_field="user", store=True)])
def test_a_server_reads_what_the_client_wrote(request_: ChatRequest, stream: bool, dialect: Dialect):
    wire = OpenAIResponsesWire(dialect)
    asked = wire.chat(request_, stream=stream)
    read, is_streamed = SERVING.request(asked.method, f"/v1{asked.path}?a=b", asked.body)
    assert is_streamed is stream
    assert wire.chat(read, stream=stream).body == asked.body
    assert read.turns == request_.turns
    assert read.tools == request_.tools
    for field in ("extra", "reasoning", "response_format", "tool_choice", "user", "max_tokens", "verbosity"):
        assert getattr(read, field) == getattr(request_, field)


def test_what_has_no_place_of_its_own_is_kept_in_extra():
    body = {
        "model": "m",
        "input": "hi",
        "tools": [{"type": "web_search"}, {"type": "function", "name": "f"}],
        "tool_choice": {"type": "web_search"},
        "reasoning": {"effort": "low", "mode": "pro"},
        "previous_response_id": "resp_1",
        "include": ["web_search_call.results"],
    }
    request, _ = SERVING.request("POST", "/responses", json.dumps(body).encode())
    assert request.turns == (user("hi"),)
    assert [tool.name for tool in request.tools] == ["f"]
    assert request.reasoning == ReasoningOptions("low")
    again = json.loads(WIRE.chat(request, stream=False).body)
    for field in ("tools", "tool_choice", "reasoning", "previous_response_id"):
        assert again[field] == body[field]


def test_other_spellings_are_read():
    items = [
        {"role": "user", "content": "plain"},
        {"role": "assistant", "content": "said"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {
            "type": "reasoning",
            "id": "r",
            "content": [{"type": "reasoning_text", "text": "hm"}],
            "summary": [],
        },
        {"type": "item_reference", "id": "msg_1"},
        {"role": "user", "content": [{"type": "input_video", "video": "v"}]},
        {"type": "function_call_output", "call_id": "c", "output": "x", "caller": {"type": "direct"}},
        {"role": "user", "content": [{"type": "input_text", "text": "one"}, {"type": "text", "text": "two"}]},
    ]
    body = msgspec.json.encode({"model": "m", "input": items, "instructions": None})
    turns = SERVING.request("POST", "/responses", body)[0].turns
    assert turns[0] == user("plain")
    assert turns[1].parts == (
        Text("said"),
        Text("no"),
        Reasoning("hm", written(items[3]), None, "r", OURS),
        Opaque(OURS, "item_reference", written(items[4])),
    )
    assert turns[2].parts == (Opaque(OURS, "input_video", '{"type":"input_video","video":"v"}'),)
    assert turns[3] == Message("tool", (ToolResult("c", "x"),), extra={"caller": {"type": "direct"}})
    assert turns[4].parts == (Text("one"), Text("two"))
    kinds = [
        item["type"] for item in json.loads(WIRE.chat(ChatRequest("m", turns), stream=False).body)["input"]
    ]
    assert kinds == ["message", "message", "item_reference", "message", "function_call_output", "message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"model":"m"}',
        b'{"model":"m","input":[]}',
        b'{"model":"","input":"x"}',
        b'{"model":"m","input":[1]}',
        b'{"model":"m","input":[{"role":"robot","content":"x"}]}',
        b'{"model":"m","input":[{"content":"x"}]}',
        b'{"model":"m","input":[{"role":"user","content":[{"text":"x"}]}]}',
        b'{"model":"m","input":[{"role":"user","content":[{"type":"input_text"}]}]}',
        b'{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:x"}]}]}',
        b'{"model":"m","input":[{"role":"user","content":[{"type":"input_file","file_data":"https://x"}]}]}',
        b'{"model":"m","input":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"!","format":"wav"}}]}]}',
        b'{"model":"m","input":[{"type":"function_call_output","call_id":"c","output":[{"type":"input_file","file_id":"f"}]}]}',
        b'{"model":"m","input":"x","temperature":"hot"}',
        b'{"model":"m","input":"x","temperature":9}',
        b'{"model":"m","input":"x","tool_choice":"whatever"}',
        b'{"model":"m","input":"x","tool_choice":{"type":"function"}}',
        b'{"model":"m","input":"x","tools":[{"type":"function"}]}',
        b'{"model":"m","input":"x","text":{"format":{"type":"json_schema"}}}',
        b'{"model":"m","input":"x","x":' + b"[" * 5000,
        b"\xff",
    ],
)
def test_what_is_no_request_is_refused_with_400(body: bytes):
    with pytest.raises(BadRequestError) as caught:
        SERVING.request("POST", "/v1/responses", body)
    assert caught.value.status == 400


def test_other_addresses_and_methods():
    with pytest.raises(NotFoundError):
        SERVING.request("POST", "/v1/chat/completions", b"{}")
    with pytest.raises(BadRequestError) as caught:
        SERVING.request("GET", "/v1/responses", b"")
    assert caught.value.status == 405
    assert SERVING.is_models_request("GET", "/v1/models?limit=1")
    assert not SERVING.is_models_request("POST", "/v1/models")


@pytest.mark.parametrize(
    ("served", "expected"),
    [
        (ServedError(400, "context_length_exceeded", "too long"), "ContextLengthError"),
        (ServedError(400, "whatever", "bad"), "BadRequestError"),
        (ServedError(401, "invalid_api_key", "no"), "AuthenticationError"),
        (ServedError(402, "x", "pay"), "QuotaExceededError"),
        (ServedError(403, "x", "no"), "PermissionDeniedError"),
        (ServedError(404, "model_not_found", "no"), "NotFoundError"),
        (ServedError(429, "rate_limit_exceeded", "slow"), "RateLimitError"),
        (ServedError(429, "insufficient_quota", "pay"), "QuotaExceededError"),
        (ServedError(500, "x", "broke"), "ServerError"),
        (ServedError(503, "x", "full"), "OverloadedError"),
    ],
)
def test_errors_arrive_as_what_they_were(served: ServedError, expected: str):
    headers, body = SERVING.error(served)
    fault = WIRE.error(served.status, headers, body)
    assert (type(fault).__name__, str(fault), fault.code) == (expected, served.message, served.code)
    processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
    with pytest.raises(TercetError) as caught:
        processor.process_chunk(SERVING.stream_error(served))
    assert (type(caught.value).__name__, str(caught.value)) == (expected, served.message)


def test_lists_of_models_arrive():
    models = [Model("a", created=0), Model("b", name="B", context_window=1000, created=7)]
    assert list(WIRE.models(SERVING.models(models))) == models


def test_openais_own_types_take_every_event():
    """Strictly: every required field is there, of the right type."""
    types = pytest.importorskip("openai.types.responses", reason="the OpenAI SDK is not installed")
    pydantic = pytest.importorskip("pydantic")
    tokens = [
        ReasoningDelta("hm"),
        ReasoningDelta("", 0, '{"type":"reasoning","id":"r","summary":[]}', None, "r", OURS),
        TextDelta("a", 1, '{"phase":"commentary"}', OURS),
        Citation("https://x.test", "t", None, 0, 1),
        ToolCallDelta(0, "c0", "f"),
        ToolCallDelta(1, "c1", "g", "", '{"type":"custom_tool_call"}', OURS),
        ToolCallDelta(0, arguments="{}"),
        ToolCallDelta(1, arguments="x"),
        UsageReport(Usage(3, 2, 1, 0, 1)),
        Finish("length", "max_output_tokens", None, "resp_1", "m"),
    ]
    adapter = pydantic.TypeAdapter(types.ResponseStreamEvent)
    for event in events_of(tokens):
        assert adapter.validate_python(event).type == event["type"]
    body = json.loads(SERVING.response(fold(tokens), model="m"))
    assert types.Response.model_validate(body).output_text == "a"
