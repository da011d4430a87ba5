"""The Messages API as a server speaks it: bodies to requests, tokens to events that the client's side reads back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tercet.codecs.processor import StreamProcessor
from tercet.codecs.serving.anthropic import AnthropicServing
from tercet.codecs.serving.base import ServedError
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
    OverloadedError,
    Reasoning,
    ReasoningDelta,
    ReasoningOptions,
    ResponseFormat,
    Restarted,
    StreamInterruptedError,
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
    system,
    user,
)
from tercet.codecs.wire.anthropic import AnthropicWire, Dialect

WIRE = AnthropicWire()
SERVING = AnthropicServing()
FINISH = Finish("tool_calls", "tool_use", None, "msg_1", "claude-x")
TOKENS: list[StreamToken] = [
    UsageReport(Usage(33, 1, 10, 20)),
    ReasoningDelta("hm", 0),
    ReasoningDelta("", 0, signature="s1", origin="anthropic"),
    ReasoningDelta("", 1, encrypted="xyz", origin="anthropic"),
    TextDelta("Look: ", 2),
    Citation("u", "t", "c"),
    TextDelta("it is", 3),
    TextDelta(" so.", 3),
    TextDelta(
        "",
        3,
        signature='[{"type":"web_search_result_location","url":"u","title":"t","cited_text":"c"}]',
        origin="anthropic",
    ),
    OpaqueDelta("anthropic", "server_tool_use", '{"type":"server_tool_use" , "id":"s","input":{"q":1}}'),
    ToolCallDelta(0, "a", "f"),
    ToolCallDelta(0, arguments='{"x"'),
    ToolCallDelta(0, arguments=": 1}"),
    ToolCallDelta(1, "b", "g", signature='{"caller":{"type":"direct"}}', origin="anthropic"),
    ToolCallDelta(1, arguments="{}"),
    UsageReport(Usage(33, 50, 10, 20, 7)),
    FINISH,
]


def back(tokens: Sequence[StreamToken]) -> list[StreamToken]:
    processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
    found: list[StreamToken] = []
    for piece in SERVING.stream(tokens, model="claude-x"):
        found += processor.process_chunk(piece)
    return found + processor.finish()


def test_what_a_server_says_a_client_understands() -> None:
    assert back(TOKENS) == TOKENS


def test_the_bytes_of_a_stream() -> None:
    tokens: list[StreamToken] = [
        UsageReport(Usage(3, 0)),
        TextDelta("é"),
        UsageReport(Usage(3, 1)),
        Finish("stop"),
    ]
    usage = '"usage":{"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":'
    assert [piece.decode() for piece in SERVING.stream(tokens, model="m")] == [
        'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_0","type":"message","role":"assistant","model":"m",'
        + usage
        + '0,"output_tokens_details":{"thinking_tokens":0}},"content":[],"stop_reason":null,"stop_sequence":null}}\n\n',
        'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n',
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"é"}}\n\n',
        'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n',
        'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
        + usage
        + '1,"output_tokens_details":{"thinking_tokens":0}}}\n\n',
        'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ]


def test_tokens_of_other_wires_are_served_by_their_meaning() -> None:
    tokens: list[StreamToken] = [
        TextDelta("void"),
        Restarted("p", "m"),
        ReasoningDelta("hm"),
        TextDelta("a"),
        Citation("u", "t", "c"),
        ToolCallDelta(0, "x", "f", "{"),
        ToolCallDelta(1, "y", "g", "{}"),
        ToolCallDelta(0, arguments="}"),
        TextDelta("b", signature="gemini's", origin="gemini"),
        Finish("length", "MAX_TOKENS"),
    ]
    response = fold(back(tokens))
    assert (response.reasoning, response.text, response.finish_raw) == ("hm", "ab", "MAX_TOKENS")
    assert response.tool_calls == (ToolCall("x", "f", "{}"), ToolCall("y", "g", "{}"))
    assert response.citations == (Citation("u", "t", "c"),)
    assert fold(back([Citation("u"), Finish("other")])).finish_raw == "end_turn"


def test_tokens_without_a_finish_are_an_answer_that_breaks_off() -> None:
    with pytest.raises(StreamInterruptedError):
        back(TOKENS[:5])
    with pytest.raises(StreamInterruptedError):
        back([])


def test_a_whole_answer_comes_back() -> None:
    response = fold(TOKENS)
    assert WIRE.response(SERVING.response(response, model="claude-x")) == response


def test_citations_of_other_wires_are_put_on_the_last_text() -> None:
    response = ChatResponse(
        [Text("a"), Text("b")], "stop", citations=[Citation("u", "t", "c"), Citation(None, "d", "p")]
    )
    body = json.loads(SERVING.response(response, model="m"))
    assert (body["stop_reason"], body["model"]) == ("end_turn", "m")
    assert body["content"][1]["citations"] == [
        {"type": "web_search_result_location", "url": "u", "title": "t", "cited_text": "c"},
        {"type": "char_location", "document_index": 0, "document_title": "d", "cited_text": "p"},
    ]


def test_errors() -> None:
    error = ServedError(529, "overloaded_error", "Overloaded")
    headers, body = SERVING.error(error)
    assert type(WIRE.error(529, headers, body)) is OverloadedError
    processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
    with pytest.raises(OverloadedError, match="Overloaded"):
        processor.process_chunk(SERVING.stream_error(error))


def test_the_list_of_models() -> None:
    models = [
        Model(
            "claude-x", name="Claude X", created=1709164800, context_window=200_000, max_output_tokens=64_000
        ),
        Model("y", name="y"),
    ]
    assert WIRE.models(SERVING.models(models)) == models
    assert json.loads(SERVING.models([]))["data"] == []
    assert SERVING.is_models_request("GET", "/v1/models?limit=1")
    assert not SERVING.is_models_request("POST", "/v1/models")
    assert not AnthropicServing(Dialect(models_path=None)).is_models_request("GET", "/v1/models")


# Requests ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        ChatRequest("m", [user([Text("hi")])], max_tokens=9),
        ChatRequest(
            "m", [system([Text("a"), Text("b", cache=True)]), user([Text("hi", cache=True)])], max_tokens=9
        ),
        ChatRequest(
            "m",
            [
                user([Image(url="https://x"), Image(data=b"\0", media_type="image/png", cache=True)]),
                assistant(
                    [
                        Reasoning("hm", "s", origin="anthropic"),
                        Reasoning(encrypted="x", origin="anthropic"),
                        Text("said", signature='[{"url":"u"}]', origin="anthropic"),
                        Opaque("anthropic", "server_tool_use", '{"type":"server_tool_use" ,"id":"s"}'),
                        ToolCall("a", "f", '{"x" :1}', '{"caller":{"type":"direct"}}', "anthropic"),
                        ToolCall("b", "f", "{}"),
                    ]
                ),
                user(
                    [
                        ToolResult("a", "1"),
                        ToolResult("b", [Text("x"), Image(url="https://x")], is_error=True, cache=True),
                        Opaque(
                            "anthropic",
                            "tool_result",
                            '{"type":"tool_result","tool_use_id":"c","content":[{"type":"document"}]}',
                        ),
                        File(url="https://x", name="n"),
                        File(file_id="f", cache=True),
                        File(data=b"%PDF", media_type="application/pdf"),
                        File(data=b"text", media_type="text/plain"),
                        Opaque(
                            "anthropic",
                            "document",
                            '{"type":"document","source":{"type":"content","content":[]}}',
                        ),
                    ]
                ),
            ],
            max_tokens=9,
        ),
        ChatRequest(
            "m",
            [user([Text("hi")])],
            max_tokens=9,
            temperature=1.0,
            top_p=0.5,
            top_k=4,
            stop=["x"],
            tools=(Tool("f", "d", {"type": "object"}, True, True), Tool("g")),
            tool_choice=ToolChoice("tool", "f"),
            parallel_tool_calls=False,
            response_format=ResponseFormat("json_schema", {"type": "object"}),
            reasoning=ReasoningOptions(effort="high"),
            service_tier="auto",
            user="u",
            extra={"speed": "fast", "container": {"id": "c"}},
        ),
        ChatRequest(
            "m", [user([Text("hi")])], max_tokens=9, tools=(Tool("f"),), tool_choice=ToolChoice("required")
        ),
        ChatRequest(
            "m", [user([Text("hi")])], max_tokens=9, tools=(Tool("f"),), tool_choice=ToolChoice("none")
        ),
        ChatRequest(
            "m",
            [user([Text("hi")])],
            max_tokens=9,
            reasoning=ReasoningOptions(budget_tokens=2000, enabled=True),
        ),
        ChatRequest("m", [user([Text("hi")])], max_tokens=9, reasoning=ReasoningOptions(enabled=False)),
        ChatRequest(
            "m", [Message("user", [Text("hi")], extra={"id": 1}), assistant([Text("pre")])], max_tokens=9
        ),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_a_request_comes_back(request_: ChatRequest, stream: bool) -> None:
    call = WIRE.chat(request_, stream=stream)
    found, is_stream = SERVING.request(call.method, call.path, call.body)
    assert is_stream is stream
    assert WIRE.chat(found, stream=stream) == call
    assert found == request_


def test_what_the_vocabulary_cannot_say_is_kept_in_extra() -> None:
    said: dict[str, Any] = {
        "model": "m",
        "max_tokens": 9,
        "system": "be",
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "user", "content": [{"type": "text", "text": "x", "new": 1}]},
        ],
        "tools": [{"name": "f", "input_schema": {}}, {"type": "web_search_20250305", "name": "web_search"}],
        "tool_choice": {"type": "tool", "name": "web_search"},
        "output_config": {"effort": "low", "new": 1},
        "metadata": {"user_id": "u", "more": 1},
        "thinking": {"type": "between_tools"},
    }
    request, _ = SERVING.request("POST", "/v1/messages?beta=true", json.dumps(said).encode())
    assert request.turns[:2] == (system("be"), user("hi"))
    assert isinstance(request.turns[2].parts[0], Opaque)
    assert [tool.name for tool in request.tools] == ["f"]
    assert request.extra == {
        key: said[key] for key in ("tools", "tool_choice", "output_config", "metadata", "thinking")
    }
    again = json.loads(WIRE.chat(request, stream=False).body)
    assert {key: again[key] for key in said if key not in ("system", "messages")} == {
        key: value for key, value in said.items() if key not in ("system", "messages")
    }


def test_the_paths_of_other_doors() -> None:
    vertex = Dialect(
        path="/x/models/{model}:rawPredict",
        stream_path="/x/models/{model}:streamRawPredict",
        model_in_body=False,
    )
    bedrock = Dialect(
        path="/model/{model}/invoke",
        stream_path="/model/{model}/invoke-with-response-stream",
        model_in_body=False,
        stream_in_body=False,
        version="bedrock-2023-05-31",
        version_in="body",
    )
    for dialect in (vertex, bedrock):
        for stream in (True, False):
            call = AnthropicWire(dialect).chat(
                ChatRequest("a:b@1", [user([Text("x")])], max_tokens=9), stream=stream
            )
            request, is_stream = AnthropicServing(dialect).request(call.method, call.path, call.body)
            assert (request.model, is_stream, request.extra) == ("a:b@1", stream, None)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/messages"), ("POST", "/v1/complete"), ("POST", "/v1/messages/x")]
)
def test_other_paths_are_not_found(method: str, path: str) -> None:
    with pytest.raises(NotFoundError):
        SERVING.request(method, path, b"{}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"model":"m","messages":[]}',
        b'{"model":"m","max_tokens":9,"messages":[]}',
        b'{"model":"m","max_tokens":0,"messages":[{"role":"user","content":"x"}]}',
        b'{"max_tokens":9,"messages":[{"role":"user","content":"x"}]}',
        b'{"model":"m","max_tokens":9,"messages":[{"role":"tool","content":"x"}]}',
        b'{"model":"m","max_tokens":9,"messages":[{"role":"user"}]}',
        b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{}]}]}',
        b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}],"output_config":{"format":7}}',
        b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":'
        b'{"type":"base64","media_type":"image/png","data":"?"}}]}]}',
    ],
)
def test_bodies_that_are_no_requests(body: bytes) -> None:
    with pytest.raises(BadRequestError):
        SERVING.request("POST", "/v1/messages", body)
