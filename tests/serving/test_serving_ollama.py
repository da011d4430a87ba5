"""The server's side of Ollama's API: what a client sent is read back, what a server says is understood."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tercet.codecs.processor import StreamProcessor
from tercet.codecs.serving.base import ServedError
from tercet.codecs.serving.ollama import OllamaServing
from tercet.codecs.vocabulary import (
    BadRequestError,
    ChatRequest,
    ChatResponse,
    Citation,
    Finish,
    Image,
    Message,
    Model,
    NotFoundError,
    OpaqueDelta,
    OverloadedError,
    Reasoning,
    ReasoningDelta,
    ReasoningOptions,
    ResponseFormat,
    Restarted,
    ServerError,
    StreamToken,
    TercetError,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    Usage,
    UsageReport,
    assistant,
    fold,
    system,
    user,
)
from tercet.codecs.wire.ollama import OllamaWire

WIRE = OllamaWire()
SERVING = OllamaServing()
PNG = b"\x89PNG\r\n\x1a\n"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOKENS: list[StreamToken] = [
    ReasoningDelta("hm"),
    TextDelta("Hello "),
    TextDelta("wörld 🎉\n\u2028"),
    ToolCallDelta(0, "u1", "f", '{ "a" : 1.0 }'),
    ToolCallDelta(1, "call_1", "g", "{}"),
    UsageReport(Usage(10, 7)),
    Finish("tool_calls", "stop", model="qwen3"),
]


def heard(pieces: list[bytes]) -> list[StreamToken]:
    processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
    tokens = [token for piece in pieces for token in processor.process_chunk(piece)]
    return tokens + processor.finish()


def read(request: ChatRequest, *, stream: bool = True) -> tuple[ChatRequest, bool]:
    sent = WIRE.chat(request, stream=stream)
    return SERVING.request(sent.method, sent.path, sent.body)


def read_raw(body: Any) -> ChatRequest:
    return SERVING.request("POST", "/api/chat", json.dumps(body).encode())[0]


def test_a_stream_is_understood() -> None:
    pieces = list(SERVING.stream(TOKENS, model="qwen3"))
    assert len(pieces) == len(TOKENS) - 1  # the counts stand in the last line
    assert all(piece.endswith(b"}\n") and piece.count(b"\n") == 1 for piece in pieces)
    assert heard(pieces) == TOKENS


def test_a_whole_answer_says_the_same() -> None:
    answer = fold(TOKENS)
    assert WIRE.response(SERVING.response(answer, model="x")) == answer
    assert json.loads(SERVING.response(answer, model="x"))["model"] == "qwen3"
    assert json.loads(SERVING.response(ChatResponse((Text("a"),)), model="x"))["done"] is False


def test_pieces_of_a_call_become_one_call_on_one_line() -> None:
    tokens: list[StreamToken] = [
        ToolCallDelta(0, "a", "f", '{\n  "x"'),
        ToolCallDelta(1, "b", "g"),
        ToolCallDelta(0, arguments=": 1\n}"),
        Finish("tool_calls", "tool_use"),
    ]
    got = heard(list(SERVING.stream(tokens, model="m")))
    assert got == [
        ToolCallDelta(0, "a", "f", '{"x":1}'),
        ToolCallDelta(1, "b", "g", "{}"),
        Finish("tool_calls", "stop", model="m"),
    ]


def test_arguments_that_are_no_object_cannot_be_said() -> None:
    for arguments in ("[1]", "{", "7"):
        with pytest.raises(BadRequestError):
            list(SERVING.stream([ToolCallDelta(0, "a", "f", arguments)], model="m"))


def test_what_the_api_cannot_express_is_left_out() -> None:
    tokens: list[StreamToken] = [
        TextDelta("", 1, "S", "gemini"),
        ReasoningDelta("", signature="S", origin="anthropic"),
        OpaqueDelta("x", "y", "{}"),
        Citation("https://a"),
        Restarted("a", "b"),
        Finish("content_filter", "safety", response_id="r"),
    ]
    assert heard(list(SERVING.stream(tokens, model="m"))) == [Finish("stop", "stop", model="m")]


@pytest.mark.parametrize(
    ("finish", "raw", "back"),
    [("length", "max_tokens", "length"), ("other", None, "other"), ("other", "load", "other")],
)
def test_why_it_ended(finish: Any, raw: str | None, back: str) -> None:
    [token] = heard(list(SERVING.stream([Finish(finish, raw)], model="m")))
    assert isinstance(token, Finish)
    assert token.reason == back


def test_a_request_is_read_back() -> None:
    request = ChatRequest(
        "llama3.1:8b",
        [
            system("Be brief."),
            user([Text("What is this?"), Image(data=PNG, media_type="image/png")]),
            assistant([Reasoning("hm"), Text("See."), ToolCall("u1", "f", '{"a":"b"}')]),
            Message("tool", (ToolResult("u1", "ok", name="f"),)),
            Message(
                "tool", (ToolResult("u2", [Text("look"), Image(data=PNG, media_type="image/png")], name="g"),)
            ),
            user("go"),
        ],
        max_tokens=5,
        temperature=0.5,
        top_p=0.25,
        top_k=3,
        seed=4,
        stop=("x",),
        presence_penalty=0.5,
        frequency_penalty=0.25,
        tools=(Tool("f", "does", SCHEMA),),
        response_format=ResponseFormat("json_schema", SCHEMA),
        reasoning=ReasoningOptions(effort="high"),
        extra={"options": {"num_ctx": 9}, "keep_alive": -1},
    )
    back, is_streamed = read(request)
    assert is_streamed
    assert back == request
    assert read(request, stream=False) == (request, False)


@pytest.mark.parametrize(
    "request_",
    [
        ChatRequest("m", "Hello", reasoning=ReasoningOptions(enabled=True)),
        ChatRequest("m", "Hello", reasoning=ReasoningOptions(enabled=False)),
        ChatRequest("m", "Hello", response_format=ResponseFormat("json_object")),
        ChatRequest("m", [assistant([ToolCall("call_0", "f", "{}")])]),
    ],
)
def test_more_requests_are_read_back(request_: ChatRequest) -> None:
    assert read(request_)[0] == request_


def test_a_stream_is_the_default() -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "a"}]}).encode()
    assert SERVING.request("POST", "/api/chat?x=1", body)[1] is True


def test_results_without_ids_find_their_calls() -> None:
    call = {"function": {"name": "f", "arguments": {}}}
    other = {"function": {"name": "g", "arguments": {}}}
    request = read_raw(
        {
            "model": "m",
            "messages": [
                {"role": "assistant", "tool_calls": [call, other, call]},
                {"role": "tool", "content": "1", "tool_name": "g"},
                {"role": "tool", "content": "2", "tool_name": "f"},
                {"role": "tool", "content": "3"},
                {"role": "tool", "content": "4"},
            ],
        }
    )
    ids = [part.id for part in request.turns[0].parts if isinstance(part, ToolCall)]
    answered = [
        part.tool_call_id for turn in request.turns[1:] for part in turn.parts if isinstance(part, ToolResult)
    ]
    assert ids == ["call_0", "call_1", "call_2"]
    assert answered == ["call_1", "call_0", "call_2", ""]


def test_an_endless_answer_stays_an_option() -> None:
    request = read_raw(
        {"model": "m", "messages": [{"role": "user", "content": "a"}], "options": {"num_predict": -1}}
    )
    assert (request.max_tokens, request.extra) == (None, {"options": {"num_predict": -1}})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"model": "m"},
        {"model": "m", "messages": []},
        {"model": "", "messages": [{"role": "user", "content": "a"}]},
        {"model": "m", "messages": [{"role": "king", "content": "a"}]},
        {"model": "m", "messages": [{"role": "user", "content": "a", "images": ["%%"]}]},
        {"model": "m", "messages": [{"role": "user", "content": "a"}], "format": 7},
        {"model": "m", "messages": [{"role": "user", "content": "a"}], "options": {"temperature": "hot"}},
        {"model": "m", "messages": [{"role": "user", "content": "a"}], "options": {"temperature": 9}},
        {"model": "m", "messages": [{"role": "user", "content": "a"}], "options": {"num_predict": "x"}},
        {"model": "m", "messages": [{"role": "user", "content": "a"}], "options": {"stop": 7}},
        [],
        7,
    ],
)
def test_what_is_no_request_is_refused(body: Any) -> None:
    with pytest.raises(BadRequestError):
        read_raw(body)


def test_other_places_are_not_found() -> None:
    for method, path in (("GET", "/api/chat"), ("POST", "/api/generate")):
        with pytest.raises(NotFoundError):
            SERVING.request(method, path, b"{}")
    assert SERVING.is_models_request("GET", "/api/tags")
    assert not SERVING.is_models_request("POST", "/api/tags")


def test_errors_and_lists_are_understood() -> None:
    headers, body = SERVING.error(ServedError(503, "x", "server busy"))
    error = WIRE.error(503, headers, body)
    assert (type(error), str(error)) == (OverloadedError, "server busy")
    processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
    with pytest.raises(ServerError, match="it broke"):
        processor.process_chunk(SERVING.stream_error(ServedError(500, "x", "it broke")))
    assert [model.id for model in WIRE.models(SERVING.models([Model("a"), Model("b:1")]))] == ["a", "b:1"]


def test_every_refusal_has_a_name() -> None:
    for raw in (b"", b"\xff", b"{", b'{"model":1}', b"[" * 100_000):
        with pytest.raises(TercetError):
            SERVING.request("POST", "/api/chat", raw)
