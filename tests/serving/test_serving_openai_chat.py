"""The server's side of chat completions, against the client's."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tercet.codecs.processor import StreamProcessor
from tercet.codecs.serving.base import ServedError
from tercet.codecs.serving.openai_chat import OpenAIChatServing
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
    Prices,
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
from tercet.codecs.wire.openai_chat import Dialect, OpenAIChatWire

WIRE = OpenAIChatWire()
SERVING = OpenAIChatServing()
DETAILS = OpaqueDelta("openai_chat", "reasoning_details", '[{"type":"reasoning.encrypted","data":"x"}]')


def heard(data: bytes, cuts: list[int] | None = None) -> list[StreamToken]:
    """What the client makes of bytes that come cut at the given places."""
    processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts or ())})
    tokens = [token for start, end in pairwise(places) for token in processor.process_chunk(data[start:end])]
    tokens += processor.finish()
    assert processor.is_complete
    return tokens


# Sequences that chat completions can express: reasoning, text and citations in any order, calls that are named when they begin, opaque
# fields right before the finish, usage before them.
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
counts = st.integers(0, 10_000)
words = st.one_of(
    st.builds(TextDelta, texts),
    st.builds(ReasoningDelta, texts),
    st.builds(Citation, texts, st.none() | texts, st.none() | texts, st.none() | counts, st.none() | counts),
)
usages = st.builds(
    UsageReport,
    st.builds(Usage, counts, counts, counts, counts, counts, st.none() | st.floats(0, 10, allow_nan=False)),
)


@st.composite
def answers(draw: st.DrawFn) -> list[StreamToken]:
    tokens: list[StreamToken] = list(draw(st.lists(words, max_size=6)))
    calls = draw(st.integers(0, 3))
    for number in range(calls):
        tokens.append(ToolCallDelta(number, draw(texts), draw(texts), draw(st.just("") | texts)))
        tokens += [
            ToolCallDelta(draw(st.integers(0, number)), arguments=piece)
            for piece in draw(st.lists(texts, max_size=2))
        ]
    tokens += draw(st.lists(usages, max_size=1))
    tokens += draw(st.sampled_from([[], [DETAILS]]))
    raw = draw(
        st.sampled_from(
            ["length", "tool_calls", "content_filter"] if calls else ["stop", "length", "content_filter"]
        )
    )
    stop = draw(st.none() | st.just("END"))
    tokens.append(Finish(raw, raw, stop, draw(texts), draw(texts)))
    return tokens


def _is_expressible(tokens: list[StreamToken]) -> bool:
    """A call with the id of another call of the answer is, on the wire, that call."""
    ids = [token.id for token in tokens if isinstance(token, ToolCallDelta) and token.id is not None]
    return len(set(ids)) == len(ids)


@given(answers().filter(_is_expressible), st.lists(st.integers(0, 5000), max_size=30))
@settings(max_examples=150, deadline=None)
def test_a_client_hears_what_the_server_said(tokens: list[StreamToken], cuts: list[int]):
    data = b"".join(SERVING.stream(tokens, model="m"))
    assert heard(data, cuts) == tokens


@given(answers().filter(_is_expressible))
@settings(max_examples=100, deadline=None)
def test_a_whole_answer_means_what_its_stream_means(tokens: list[StreamToken]):
    order = {ReasoningDelta: 0, TextDelta: 1, ToolCallDelta: 2}
    answer = fold(
        sorted(tokens, key=lambda token: order.get(type(token), 3))
    )  # a whole message has one order
    whole = WIRE.response(SERVING.response(answer, model="m"))
    assert whole == answer


def test_every_event_is_one_piece():
    pieces = list(
        SERVING.stream([TextDelta("a"), UsageReport(Usage(1, 2)), Finish("stop", "stop")], model="m")
    )
    assert all(piece.startswith(b"data: ") and piece.endswith(b"\n\n") for piece in pieces)
    assert pieces[-1] == b"data: [DONE]\n\n"
    chunks = [json.loads(piece[6:]) for piece in pieces[:-1]]
    assert [chunk["choices"][0]["delta"] if chunk["choices"] else "usage" for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "a"},
        {},
        "usage",
    ]
    assert {(chunk["id"], chunk["model"], chunk["object"]) for chunk in chunks} == {
        ("chatcmpl-0", "m", "chat.completion.chunk")
    }


def test_usage_in_the_middle_stays_there():
    tokens = [
        UsageReport(Usage(5, 1)),
        TextDelta("a"),
        UsageReport(Usage(5, 2)),
        Finish("stop", "stop", None, "i", "m"),
    ]
    assert heard(b"".join(SERVING.stream(tokens, model="m"))) == tokens


def test_tokens_without_a_finish_are_a_stream_that_breaks_off():
    said = b"".join(SERVING.stream([TextDelta("a"), UsageReport(Usage(1, 1))], model="m"))
    with pytest.raises(StreamInterruptedError):
        heard(said)


def test_a_restarted_answer_is_served_from_its_restart_on():
    tokens = [TextDelta("void"), Restarted("p", "m"), TextDelta("a"), Finish("stop", "stop", None, "i", "m")]
    assert heard(b"".join(SERVING.stream(tokens, model="m"))) == tokens[2:]


def test_words_of_other_families_are_said_in_openais():
    def reason(finish: Finish) -> Any:
        return heard(b"".join(SERVING.stream([finish], model="m")))[-1]

    assert reason(Finish("stop", "end_turn")).raw == "stop"
    assert reason(Finish("tool_calls", "tool_use")).raw == "tool_calls"
    assert reason(Finish("pause", "pause_turn")).raw == "stop"
    assert reason(Finish("other", "novel")).raw == "novel"
    assert reason(Finish("content_filter", "SAFETY")).reason == "content_filter"


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
                    File(data=b"R", media_type="audio/wav"),
                )
            ),
            assistant(
                (
                    Reasoning("hm"),
                    Text("calling"),
                    ToolCall("c1", "t", '{"a":1}'),
                    ToolCall("c2", "t", "{}", '{"g":1}', "openai_chat"),
                )
            ),
            Message("tool", (ToolResult("c1", "one"),)),
            tool_result("c2", "two"),
            assistant(
                (Text("so"), Opaque("openai_chat", "reasoning_details", '[{"type":"reasoning.encrypted"}]'))
            ),
            Message("user", "and?", name="ann", extra={"custom": True}),
        ),
        max_tokens=10,
        temperature=0.5,
        top_p=0.5,
        stop=("END",),
        seed=3,
        presence_penalty=0.5,
        frequency_penalty=0.25,
        tools=(Tool("t", "does", {"type": "object"}, True), Tool("u")),
        tool_choice=ToolChoice("tool", "t"),
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_schema", {"type": "object"}, "thing", True),
        reasoning=ReasoningOptions("high"),
        verbosity="low",
        service_tier="flex",
        user="u",
        extra={"logit_bias": {"1": 2}},
    ),
    ChatRequest("m", "hi", tool_choice=ToolChoice("none"), response_format=ResponseFormat("json_object")),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("request_", REQUESTS)
def test_a_server_reads_what_the_client_wrote(request_: ChatRequest, stream: bool):
    wire = OpenAIChatWire(Dialect(reasoning_replay="reasoning_content"))
    written = wire.chat(request_, stream=stream)
    read, is_streamed = SERVING.request(written.method, f"/v1{written.path}?a=b", written.body)
    assert is_streamed is stream
    again = wire.chat(read, stream=stream)
    assert json.loads(again.body) == json.loads(written.body)
    assert read.turns == request_.turns
    assert read.tools == request_.tools
    assert (read.extra, read.reasoning, read.response_format) == (
        request_.extra,
        request_.reasoning,
        request_.response_format,
    )


@pytest.mark.parametrize(
    ("style", "options"),
    [
        ("openrouter", ReasoningOptions("high", None, True, "auto")),
        ("openrouter", ReasoningOptions(budget_tokens=9)),
        ("thinking", ReasoningOptions("high", enabled=True)),
        ("thinking", ReasoningOptions(enabled=False)),
        ("thinking_budget", ReasoningOptions(budget_tokens=9, enabled=True)),
        ("enable_thinking", ReasoningOptions(budget_tokens=9, enabled=True)),
        ("enable_thinking", ReasoningOptions(enabled=False)),
    ],
)
def test_a_server_understands_every_way_to_ask_for_reasoning(style: Any, options: ReasoningOptions):
    body = (
        OpenAIChatWire(Dialect(reasoning=style))
        .chat(ChatRequest("m", "hi", reasoning=options), stream=False)
        .body
    )
    assert SERVING.request("POST", "/chat/completions", body)[0].reasoning == options


def test_other_parts_and_marks_are_read():
    content = [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "refusal", "refusal": "no"},
        {"type": "image_url", "image_url": "https://x.test/a.png"},
        {"type": "file_url", "file_url": {"url": "https://x.test/a.pdf"}},
        {"type": "document_url", "document_url": "https://x.test/b.pdf"},
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "signature": "s"},
        {"type": "video_url", "video_url": {"url": "v"}},
    ]
    body = json.dumps(
        {
            "model": "m",
            "messages": [{"role": "user", "content": content}, {"role": "assistant", "content": None}],
            "stop": "x",
            "tool_choice": "any",
        }
    )
    request, _ = SERVING.request("POST", "/chat/completions", body.encode())
    assert request.turns[0].parts == (
        Text("a", cache=True),
        Text("no"),
        Image("https://x.test/a.png"),
        File("https://x.test/a.pdf"),
        File("https://x.test/b.pdf"),
        Reasoning("hm", "s", origin="openai_chat"),
        Opaque("openai_chat", "video_url", '{"type":"video_url","video_url":{"url":"v"}}'),
    )
    assert request.turns[1].parts == ()
    assert (request.stop, request.tool_choice) == (("x",), ToolChoice("required"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"model":"m","messages":[]}',
        b'{"model":"","messages":[{"role":"user","content":"x"}]}',
        b'{"model":"m","messages":"x"}',
        b'{"model":"m","messages":[{"role":"robot","content":"x"}]}',
        b'{"model":"m","messages":[{"role":"tool","content":"x"}]}',
        b'{"model":"m","messages":[{"role":"user","content":[{"text":"x"}]}]}',
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:x"}}]}]}',
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"!","format":"wav"}}]}]}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":"hot"}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":9}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"tool_choice":{"type":"function"}}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema"}}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"x":' + b"[" * 5000,
        b"\xff",
    ],
)
def test_what_is_no_request_is_refused_with_400(body: bytes):
    with pytest.raises(BadRequestError) as caught:
        SERVING.request("POST", "/v1/chat/completions", body)
    assert caught.value.status == 400


def test_other_addresses_and_methods():
    with pytest.raises(NotFoundError):
        SERVING.request("POST", "/v1/embeddings", b"{}")
    with pytest.raises(BadRequestError) as caught:
        SERVING.request("GET", "/v1/chat/completions", b"")
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
        (ServedError(529, "x", "full"), "OverloadedError"),
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
    models = [
        Model("a"),
        Model(
            "b",
            "",
            "B",
            1000,
            100,
            ("text", "image"),
            ("text",),
            (Prices(0.25, 1.0, 0.025, 0.3),),
            ("tools", "reasoning"),
            created=7,
        ),
    ]
    assert list(WIRE.models(SERVING.models(models))) == [Model("a", created=0), models[1]]


def test_a_partial_answer_is_served_without_a_finish_reason():
    body = json.loads(SERVING.response(ChatResponse((Text("a"),)), model="m"))
    assert body["choices"][0]["finish_reason"] is None
    assert "usage" not in body
