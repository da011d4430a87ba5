"""The server's side of Gemini: what a client sent is read back, what a server says is understood."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tercet.codecs.processor import StreamProcessor
from tercet.codecs.serving.base import ServedError
from tercet.codecs.serving.gemini import GeminiServing
from tercet.codecs.vocabulary import (
    AuthenticationError,
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
    OverloadedError,
    Reasoning,
    ReasoningDelta,
    ReasoningOptions,
    ResponseFormat,
    Restarted,
    StreamToken,
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
    user,
)
from tercet.codecs.wire.gemini import Dialect, GeminiWire

WIRE = GeminiWire()
SERVING = GeminiServing()
ASSIST = Dialect(
    stream_path="/v1internal:streamGenerateContent?alt=sse",
    chat_path="/v1internal:generateContent",
    request_key="request",
    response_key="response",
    project="p",
)
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def heard(pieces: list[bytes], wire: GeminiWire = WIRE) -> list[StreamToken]:
    processor = StreamProcessor(wire.decoder(), wire.interpreter())
    tokens = [token for piece in pieces for token in processor.process_chunk(piece)]
    return tokens + processor.finish()


def read(
    request: ChatRequest, *, stream: bool = True, dialect: Dialect | None = None
) -> tuple[ChatRequest, bool]:
    sent = GeminiWire(dialect).chat(request, stream=stream)
    return GeminiServing(dialect).request(sent.method, sent.path, sent.body)


TOKENS: list[StreamToken] = [
    ReasoningDelta("hm"),
    TextDelta("Hello"),
    TextDelta("", 1, "S", "gemini"),
    OpaqueDelta("gemini", "executableCode", '{"executableCode" : {"code":"1"}}'),
    ToolCallDelta(0, "call_0", "f", '{ "a" : 1.0 }', "S2", "gemini"),
    ToolCallDelta(1, "u1", "g", ""),
    Citation("https://a", "A"),
    Citation("https://b", None, "Hello", 0, 5),
    UsageReport(Usage(10, 7, cache_read_tokens=2, reasoning_tokens=3)),
    Finish("tool_calls", "STOP", response_id="r", model="gemini-3"),
]


def test_a_stream_is_understood() -> None:
    pieces = list(SERVING.stream(TOKENS, model="gemini-3"))
    assert len(pieces) == len(TOKENS)
    assert all(piece.startswith(b"data: {") and piece.endswith(b"}\r\n\r\n") for piece in pieces)
    assert heard(pieces) == TOKENS
    assert heard(list(GeminiServing(ASSIST).stream(TOKENS, model="gemini-3")), GeminiWire(ASSIST)) == TOKENS


def test_the_model_asked_for_is_the_model_named() -> None:
    event = json.loads(next(iter(SERVING.stream([TextDelta("a")], model="m")))[6:])
    assert event == {
        "candidates": [{"content": {"parts": [{"text": "a"}], "role": "model"}, "index": 0}],
        "modelVersion": "m",
    }


def test_pieces_of_a_call_become_one_call() -> None:
    tokens: list[StreamToken] = [
        ToolCallDelta(0, "a", "f", '{"x"'),
        UsageReport(Usage(1)),
        ToolCallDelta(1, "b", "g", ""),
        ToolCallDelta(0, arguments=":1}"),
        ToolCallDelta(1, arguments="{}"),
        Finish("tool_calls", "tool_use"),
    ]
    assert heard(list(SERVING.stream(tokens, model="m"))) == [
        ToolCallDelta(0, "a", "f", '{"x":1}'),
        UsageReport(Usage(1)),
        ToolCallDelta(1, "b", "g", "{}"),
        Finish("tool_calls", "STOP", model="m"),
    ]


def test_what_the_api_cannot_say_is_left_out() -> None:
    tokens: list[StreamToken] = [
        Restarted("p", "m"),
        TextDelta("a", signature="X", origin="anthropic"),
        TextDelta("", signature="X", origin="anthropic"),
        ReasoningDelta(encrypted="X", origin="openai"),
        OpaqueDelta("openai", "item", "{}"),
        Citation(title="no address"),
        Finish("content_filter", "refusal"),
    ]
    assert heard(list(SERVING.stream(tokens, model="m"))) == [
        TextDelta("a"),
        Finish("content_filter", "SAFETY", model="m"),
    ]


@pytest.mark.parametrize("arguments", ["[1]", "{", "1"])
def test_a_call_without_an_object_cannot_be_served(arguments: str) -> None:
    with pytest.raises(BadRequestError):
        list(SERVING.stream([ToolCallDelta(0, "a", "f", arguments)], model="m"))


def test_whole_answers() -> None:
    answer = fold(TOKENS)
    served = WIRE.response(SERVING.response(answer, model="gemini-3"))
    assert set(served.citations) == set(answer.citations)
    assert msgspec.structs.replace(served, citations=answer.citations) == answer
    assert (
        GeminiWire(ASSIST).response(GeminiServing(ASSIST).response(answer, model="m")).parts == answer.parts
    )
    plain = ChatResponse((Text("a"), Text(""), Opaque("openai", "k", "{}")), "length", "length")
    assert json.loads(SERVING.response(plain, model="m")) == {
        "candidates": [
            {"content": {"parts": [{"text": "a"}], "role": "model"}, "index": 0, "finishReason": "MAX_TOKENS"}
        ],
        "modelVersion": "m",
    }


@pytest.mark.parametrize("dialect", [None, ASSIST])
@pytest.mark.parametrize("stream", [True, False])
def test_a_request_comes_back_as_it_was_meant(dialect: Dialect | None, stream: bool) -> None:
    request = ChatRequest(
        "gemini-3/x",
        [
            Message("system", (Text("be brief"),)),
            Message(
                "user",
                (
                    Text("q"),
                    Image(data=b"\x00", media_type="image/png"),
                    File(url="gs://b/c.pdf", media_type="application/pdf"),
                ),
            ),
            Message(
                "assistant",
                (
                    Reasoning("t", "S0", origin="gemini"),
                    Text("", signature="S", origin="gemini"),
                    ToolCall("call_0", "f", '{"a" : 1}', "S2", "gemini"),
                    ToolCall("call_1", "f", "{}"),
                    ToolCall("u1", "g", "{}"),
                    Opaque("gemini", "executableCode", '{"executableCode":{"code":"1"}}'),
                ),
            ),
            Message(
                "tool",
                (
                    ToolResult("call_0", "sunny", name="f"),
                    ToolResult("call_1", '{"deep": [1]}', name="f"),
                    ToolResult(
                        "u1",
                        (Text("see"), Image(data=b"\x01", media_type="image/png")),
                        is_error=True,
                        name="g",
                    ),
                ),
            ),
            Message("assistant", (Text("done"),)),
            Message("user", (Text("more"),)),
        ],
        max_tokens=9,
        temperature=0.5,
        top_p=0.5,
        top_k=4,
        stop=["x"],
        seed=1,
        presence_penalty=0.5,
        frequency_penalty=0.5,
        tools=[Tool("f", "does", SCHEMA), Tool("g")],
        tool_choice=ToolChoice("tool", "f"),
        response_format=ResponseFormat("json_schema", SCHEMA),
        reasoning=ReasoningOptions(effort="low", summary="auto"),
        service_tier="flex",
        extra={"safetySettings": [1], "generationConfig": {"responseModalities": ["TEXT"]}},
    )
    got, was_stream = read(request, stream=stream, dialect=dialect)
    assert was_stream is stream
    assert msgspec.to_builtins(got) == msgspec.to_builtins(request)


@pytest.mark.parametrize(
    ("fields", "back"),
    [
        ({"tool_choice": ToolChoice("none")}, {}),
        ({"tool_choice": ToolChoice("required")}, {}),
        ({"tool_choice": ToolChoice("auto")}, {}),
        ({"tools": [Tool("f", strict=True)]}, {}),
        ({"response_format": ResponseFormat("json_object")}, {}),
        ({"reasoning": ReasoningOptions(budget_tokens=5)}, {}),
        ({"extra": {"toolConfig": {"retrievalConfig": {"x": 1}}}}, {"extra": None}),
    ],
)
def test_smaller_requests(fields: dict[str, Any], back: dict[str, Any]) -> None:
    request = ChatRequest("m", [Message("user", (Text("hi"),))], **fields)
    got, _ = read(request)
    for name, value in {**fields, **back}.items():
        assert getattr(got, name) == (list(value) if isinstance(value, list) else value)


def test_googles_own_tools_and_odd_modes_pass_as_extra() -> None:
    sent = {
        "contents": [{"parts": [{"text": "hi"}]}],
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": SCHEMA}]}, {"googleSearch": {}}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}},
    }
    got, _ = SERVING.request("POST", "/v1beta/models/m:generateContent", json.dumps(sent).encode())
    assert got.tools == [Tool("f", "", SCHEMA)]
    assert got.extra == {"tools": sent["tools"], "toolConfig": sent["toolConfig"]}
    assert json.loads(WIRE.chat(got, stream=False).body)["tools"] == sent["tools"]


def test_paths() -> None:
    body = WIRE.chat(ChatRequest("m", "hi"), stream=True).body
    for path, model in (
        ("/v1beta/models/a%2Fb:generateContent", "a/b"),
        ("/v1beta/tunedModels/t:generateContent", "tunedModels/t"),
    ):
        assert SERVING.request("POST", path, body)[0].model == model
    for method, path in (
        ("GET", "/v1beta/models/m:generateContent"),
        ("POST", "/v1/models/m:generateContent"),
        ("POST", "/v1beta/models/m:embedContent"),
    ):
        with pytest.raises(NotFoundError):
            SERVING.request(method, path, body)
    for query in ("", "?alt=json", "?key=x"):
        with pytest.raises(BadRequestError, match="alt=sse"):
            SERVING.request("POST", "/v1beta/models/m:streamGenerateContent" + query, body)
    assert SERVING.is_models_request("GET", "/v1beta/models?pageSize=1")
    assert not SERVING.is_models_request("POST", "/v1beta/models")
    assert not SERVING.is_models_request("GET", "/v1beta/models/m")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"contents":[]}',
        b'{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"!"}}]}]}',
        b'{"contents":[{"parts":[{"functionCall":{}}]}]}',
        b'{"contents":[{"parts":[1]}]}',
        b'{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"maxOutputTokens":"x"}}',
        b'{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"temperature":9}}',
        b'{"contents":[{"parts":[{"functionResponse":{"name":"f","response":[]}}]}]}',
        b'{"contents":[{"parts":[{"inlineData":{}}]}]}',
        b"[" * 9999,
        b"\xff",
    ],
)
def test_bodies_that_are_none(body: bytes) -> None:
    with pytest.raises(BadRequestError):
        SERVING.request("POST", "/v1beta/models/m:generateContent", body)


def test_errors_are_understood() -> None:
    for status, code, kind in (
        (400, "API_KEY_INVALID", AuthenticationError),
        (401, "UNAUTHENTICATED", AuthenticationError),
        (503, "", OverloadedError),
        (404, "NOT_FOUND", NotFoundError),
    ):
        _, body = SERVING.error(ServedError(status, code, "said"))
        error = WIRE.error(status, {}, body)
        assert (type(error), error.message) == (kind, "said")
    assert json.loads(SERVING.error(ServedError(418, "", "tea"))[1]) == {
        "error": {"code": 418, "message": "tea", "status": "UNKNOWN"}
    }
    with pytest.raises(OverloadedError, match="busy"):
        heard([SERVING.stream_error(ServedError(503, "UNAVAILABLE", "busy"))])


def test_models_are_understood() -> None:
    models = [
        Model("gemini-3", name="Gemini 3", context_window=10, max_output_tokens=5),
        Model("tunedModels/mine"),
    ]
    assert WIRE.models(SERVING.models(models)) == models


def test_an_answer_of_ours_in_the_next_request() -> None:
    request = ChatRequest("m", [user("q"), assistant(fold(TOKENS).parts), Message("user", (Text("go"),))])
    said = [
        part for part in fold(TOKENS).parts if not isinstance(part, Reasoning)
    ]  # unsigned thoughts stay here
    said[-1] = ToolCall("u1", "g", "{}")  # empty arguments are sent as an object
    assert read(request)[0].turns[1].parts == tuple(said)
