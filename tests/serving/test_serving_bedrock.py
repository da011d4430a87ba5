"""Bedrock's APIs as a server speaks them: bodies to requests, tokens to messages that the client's side reads back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tercet.codecs.processor import StreamProcessor
from tercet.codecs.serving.base import ServedError, Serving
from tercet.codecs.serving.bedrock_converse import BedrockConverseServing
from tercet.codecs.serving.bedrock_invoke import VOICES, BedrockInvokeServing
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
    RateLimitError,
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
    UnsupportedError,
    Usage,
    UsageReport,
    assistant,
    fold,
    system,
    user,
)
from tercet.codecs.wire import Wire
from tercet.codecs.wire.bedrock_converse import BedrockConverseWire, Dialect
from tercet.codecs.wire.bedrock_invoke import BedrockInvokeWire, Dialect as InvokeDialect

CLAUDE, NOVA, CHAT = "eu.anthropic.claude-x", "amazon.nova-x", "openai.gpt-oss-x"
WIRE, SERVING = BedrockConverseWire(), BedrockConverseServing()
INVOKE, INVOKE_SERVING = BedrockInvokeWire(), BedrockInvokeServing()
TOKENS: list[StreamToken] = [
    ReasoningDelta("hm", 0),
    ReasoningDelta("", 0, signature="s1", origin="bedrock"),
    ReasoningDelta("", 1, encrypted="AAEC", origin="bedrock"),
    TextDelta("Look: ", 2),
    Citation("u", "t", "c"),
    TextDelta("so.", 2),
    TextDelta(
        "",
        2,
        signature='[{"title":"t","sourceContent":[{"text":"c"}],"location":{"web":{"url":"u"}}}]',
        origin="bedrock",
    ),
    OpaqueDelta("bedrock", "image", '{"image":{"format":"png", "source":{"bytes":"AQI="}}}'),
    OpaqueDelta(
        "bedrock",
        "toolUse",
        '{"toolUse":{"toolUseId":"s","name":"x","type":"server_tool_use","input":{"q": 1}}}',
    ),
    ToolCallDelta(0, "a", "f"),
    ToolCallDelta(0, arguments='{"x"'),
    ToolCallDelta(0, arguments=": 1}"),
    ToolCallDelta(1, "b", "g"),
    ToolCallDelta(1, arguments="{}"),
    UsageReport(Usage(33, 50, 10, 20)),
    Finish("tool_calls", "tool_use", "END", None, "router-choice"),
]


def back(
    tokens: Sequence[StreamToken], wire: Wire = WIRE, serving: Serving = SERVING, model: str = "m"
) -> list[StreamToken]:
    processor = StreamProcessor(wire.decoder(), wire.interpreter())
    found: list[StreamToken] = []
    for piece in serving.stream(tokens, model=model):
        found += processor.process_chunk(piece)
    return found + processor.finish()


def invoked(tokens: Sequence[StreamToken], model: str) -> list[StreamToken]:
    return back(tokens, INVOKE, INVOKE_SERVING, model)


# Converse ---------------------------------------------------------------------------------------------------------------


def test_what_a_server_says_a_client_understands() -> None:
    assert back(TOKENS) == TOKENS


def test_tokens_of_other_wires_are_served_by_their_meaning() -> None:
    tokens: list[StreamToken] = [
        TextDelta("void"),
        Restarted("p", "m"),
        UsageReport(Usage(1, 1)),
        ReasoningDelta("hm"),
        TextDelta("a"),
        Citation("u", "t", "c"),
        ToolCallDelta(0, "x", "f", "{"),
        ToolCallDelta(1, "y", "g", "{}"),
        ToolCallDelta(0, arguments="}"),
        OpaqueDelta("gemini", "k", '{"a":1}'),
        TextDelta("b", signature="gemini's", origin="gemini"),
        UsageReport(Usage(3, 7)),
        Finish("length", "MAX_TOKENS", None, "id", "m"),
    ]
    response = fold(back(tokens))
    assert (response.reasoning, response.text, response.finish_raw) == ("hm", "ab", "MAX_TOKENS")
    assert response.tool_calls == (ToolCall("x", "f", "{}"), ToolCall("y", "g", "{}"))
    assert response.citations == (Citation("u", "t", "c"),)
    assert (response.usage, response.id, response.served_model) == (Usage(3, 7), None, None)
    assert fold(back([Citation("u"), Finish("other")])).finish_raw == "end_turn"


def test_tokens_without_a_finish_are_an_answer_that_breaks_off() -> None:
    for tokens in ([], TOKENS[:5]):
        with pytest.raises(StreamInterruptedError):
            back(tokens)


def test_a_whole_answer_comes_back() -> None:
    response = fold(TOKENS)
    assert WIRE.response(SERVING.response(response, model="m")) == response


def test_citations_of_other_wires_are_put_on_the_last_text() -> None:
    response = ChatResponse(
        [Text("a"), Text("b")], "stop", citations=[Citation("u", "t", "c"), Citation(None, "d")]
    )
    content = json.loads(SERVING.response(response, model="m"))["output"]["message"]["content"]
    assert content[1]["citationsContent"]["citations"] == [
        {"title": "t", "sourceContent": [{"text": "c"}], "location": {"web": {"url": "u"}}},
        {"title": "d"},
    ]
    assert WIRE.response(SERVING.response(response, model="m")).citations == tuple(response.citations)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ServedError(429, "", "slow down"), RateLimitError),
        (ServedError(503, "server_error", "busy"), OverloadedError),
        (ServedError(400, "ValidationException", "bad"), BadRequestError),
    ],
)
@pytest.mark.parametrize(("wire", "serving"), [(WIRE, SERVING), (INVOKE, INVOKE_SERVING)])
def test_errors(wire: Wire, serving: Serving, error: ServedError, kind: type[Exception]) -> None:
    headers, body = serving.error(error)
    assert type(wire.error(error.status, headers, body)) is kind
    processor = StreamProcessor(wire.decoder(), wire.interpreter())
    with pytest.raises(kind, match=error.message):
        processor.process_chunk(serving.stream_error(error))


def test_the_list_of_models() -> None:
    models = [
        Model(
            "a",
            name="A",
            input_modalities=("text", "image"),
            output_modalities=("text",),
            retires="2027-01-31",
        ),
        Model("b", name="b", input_modalities=("text",), output_modalities=("text",)),
    ]
    assert WIRE.models(SERVING.models(models)) == models
    assert SERVING.is_models_request("GET", "/foundation-models?byProvider=x")
    assert not SERVING.is_models_request("POST", "/foundation-models")
    assert not INVOKE_SERVING.is_models_request("GET", "/foundation-models")
    assert INVOKE.models(INVOKE_SERVING.models(models)) == ()


REQUESTS = [
    ChatRequest(CLAUDE, [user([Text("hi")])]),
    ChatRequest(CLAUDE, [system([Text("a"), Text("b", cache=True)]), user([Text("hi", cache=True)])]),
    ChatRequest(
        CLAUDE,
        [
            user(
                [
                    Image(data=b"\0", media_type="image/png", cache=True),
                    Image(url="s3://b/x.png"),
                    File(data=b"%PDF", media_type="application/pdf", name="doc"),
                    File(data=b"v", media_type="video/mp4"),
                    File(url="s3://b/x.csv", name="x"),
                    Opaque("bedrock", "guardContent", '{"guardContent" : {"text":{"text":"x"}}}'),
                    Opaque("bedrock", "cachePoint", '{"cachePoint":{"type":"default","ttl":"1h"}}'),
                ]
            ),
            assistant(
                [
                    Reasoning("hm", "s", origin="bedrock"),
                    Reasoning(encrypted="AAEC", origin="bedrock"),
                    Text("said", signature='[{"title":"t"}]', origin="bedrock"),
                    Opaque(
                        "bedrock",
                        "toolUse",
                        '{"toolUse":{"toolUseId":"s","name":"x","input":{},"type":"server_tool_use"}}',
                    ),
                    ToolCall("a", "f", '{"x" :1}'),
                ]
            ),
            user(
                [
                    ToolResult(
                        "a", [Text("x"), Image(data=b"\0", media_type="image/gif")], is_error=True, cache=True
                    ),
                    ToolResult("b", "one"),
                    ToolResult("c", ""),
                    Opaque(
                        "bedrock", "toolResult", '{"toolResult":{"toolUseId":"c","content":[{"json":{}}]}}'
                    ),
                ]
            ),
        ],
    ),
    ChatRequest(
        CLAUDE,
        [user([Text("hi")])],
        max_tokens=9,
        temperature=0.5,
        top_p=0.5,
        top_k=4,
        stop=["x"],
        tools=(Tool("f", "d", {"type": "object"}, True, True), Tool("g")),
        tool_choice=ToolChoice("tool", "f"),
        response_format=ResponseFormat("json_schema", {"type": "object"}),
        reasoning=ReasoningOptions(effort="high"),
        service_tier="flex",
        extra={
            "guardrailConfig": {"guardrailIdentifier": "g"},
            "additionalModelRequestFields": {"new": 1},
            "inferenceConfig": {"newer": 2},
            "outputConfig": {"newest": 3},
        },
    ),
    ChatRequest(CLAUDE, [user([Text("hi")])], tools=(Tool("f"),), tool_choice=ToolChoice("required")),
    ChatRequest(CLAUDE, [user([Text("hi")])], tools=(Tool("f"),), tool_choice=ToolChoice()),
    ChatRequest(CLAUDE, [user([Text("hi")])], reasoning=ReasoningOptions(budget_tokens=2000, enabled=True)),
    ChatRequest(CLAUDE, [user([Text("hi")])], reasoning=ReasoningOptions(enabled=False)),
    ChatRequest(CLAUDE, [Message("user", [Text("hi")], extra={"id": 1}), assistant([Text("pre")])]),
    ChatRequest(NOVA, [user([Text("hi")])], top_k=3, reasoning=ReasoningOptions("low", enabled=True)),
    ChatRequest(NOVA, [user([Text("hi")])], reasoning=ReasoningOptions(enabled=False)),
    ChatRequest(CHAT, [user([Text("hi")])], reasoning=ReasoningOptions("low")),
    ChatRequest("cohere.command-r-x", [user([Text("hi")])], top_k=3),
]


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("stream", [True, False])
def test_a_request_comes_back(request_: ChatRequest, stream: bool) -> None:
    call = WIRE.chat(request_, stream=stream)
    found, is_stream = SERVING.request(call.method, call.path, call.body)
    assert is_stream is stream
    assert WIRE.chat(found, stream=stream) == call
    assert found == request_


def test_betas_of_the_dialect_are_not_said_twice() -> None:
    dialect = Dialect(betas=("b-1",), thinking="adaptive", cache_ttl="1h")
    request = ChatRequest(
        CLAUDE, [user([Text("hi", cache=True)])], reasoning=ReasoningOptions(enabled=True, summary="auto")
    )
    call = BedrockConverseWire(dialect).chat(request, stream=True)
    assert BedrockConverseServing(dialect).request(call.method, call.path, call.body) == (request, True)


def test_what_the_vocabulary_cannot_say_is_kept() -> None:
    said: dict[str, Any] = {
        "messages": [
            {
                "role": "user",
                "content": [{"text": "x"}, {"image": {"format": "tiff", "source": {"bytes": "AA=="}}}],
            },
            {"role": "assistant", "content": [{"reasoningContent": {}}, {"toolUse": {"toolUseId": "a"}}]},
        ],
        "toolConfig": {
            "tools": [{"systemTool": {"name": "nova_grounding"}}],
            "toolChoice": {"tool": {"name": "x"}},
        },
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2000, "new": 1}},
        "promptVariables": {"a": {"text": "b"}},
    }
    request, _ = SERVING.request("POST", f"/model/{CLAUDE}/converse", json.dumps(said).encode())
    assert [part.kind for turn in request.turns for part in turn.parts if isinstance(part, Opaque)] == [
        "image",
        "reasoningContent",
        "toolUse",
    ]
    again = json.loads(WIRE.chat(request, stream=False).body)
    assert again == said


def test_a_name_that_is_an_arn() -> None:
    arn = "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-x"
    call = WIRE.chat(ChatRequest(arn, "hi"), stream=True)
    assert SERVING.request("POST", call.path, call.body)[0].model == arn


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/model/m/converse"),
        ("POST", "/model/m/x"),
        ("POST", "/model/a/b/converse"),
        ("POST", "/v1/messages"),
    ],
)
def test_other_paths_are_not_found(method: str, path: str) -> None:
    for serving in (SERVING, INVOKE_SERVING):
        with pytest.raises(NotFoundError):
            serving.request(method, path, b"{}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"{}",
        b'{"messages":[]}',
        b'{"messages":[{"role":"tool","content":[{"text":"x"}]}]}',
        b'{"messages":[{"role":"user","content":"x"}]}',
        b'{"messages":[{"role":"user","content":[{}]}]}',
        b'{"messages":[{"role":"user","content":[{"text":"x","image":{}}]}]}',
        b'{"messages":[{"role":"user","content":[{"text":"x"}]}],"inferenceConfig":{"maxTokens":0}}',
        b'{"messages":[{"role":"user","content":[{"text":"x"}]}],"outputConfig":{"textFormat":7}}',
        b'{"messages":[{"role":"user","content":[{"image":{"format":"png","source":{"bytes":"?"}}}]}]}',
        b'{"messages":[{"role":"user","content":[{"text":"x"}]}],"toolConfig":{"tools":[{"toolSpec":{}}]}}',
    ],
)
def test_bodies_that_are_no_requests(body: bytes) -> None:
    with pytest.raises(BadRequestError):
        SERVING.request("POST", "/model/m/converse", body)


# InvokeModel ------------------------------------------------------------------------------------------------------------


def test_claude_behind_invoke_comes_back() -> None:
    tokens: list[StreamToken] = [
        UsageReport(Usage(33, 1, 10, 20)),
        ReasoningDelta("hm", 0),
        ReasoningDelta("", 0, signature="s1", origin="anthropic"),
        TextDelta("x", 1),
        ToolCallDelta(0, "a", "f"),
        ToolCallDelta(0, arguments="{}"),
        UsageReport(Usage(33, 50, 10, 20, 7)),
        Finish("tool_calls", "tool_use", None, "msg_1", "claude-x"),
    ]
    assert invoked(tokens, CLAUDE) == tokens
    response = fold(tokens)
    assert INVOKE.response(INVOKE_SERVING.response(response, model=CLAUDE)) == response


def test_nova_behind_invoke_comes_back() -> None:
    tokens = [token for token in TOKENS if not (isinstance(token, Finish))]
    tokens.append(Finish("tool_calls", "tool_use"))
    assert invoked(tokens, NOVA) == tokens
    response = fold(tokens)
    assert INVOKE.response(INVOKE_SERVING.response(response, model=NOVA)) == response


def test_openai_s_form_behind_invoke_comes_back() -> None:
    tokens: list[StreamToken] = [
        ReasoningDelta("hm"),
        TextDelta("x"),
        ToolCallDelta(0, "a", "f", "{}"),
        UsageReport(Usage(33, 50)),
        Finish("tool_calls", "tool_calls", None, "c", "m"),
    ]
    assert invoked(tokens, CHAT) == tokens
    response = fold(tokens)
    assert INVOKE.response(INVOKE_SERVING.response(response, model=CHAT)) == response


MODELS = {
    "claude_text": "anthropic.claude-v2",
    "titan": "amazon.titan-text-x",
    "llama2": "meta.llama2-x",
    "llama3": "us.meta.llama3-x",
    "llama4": "meta.llama4-x",
    "mistral_text": "mistral.mistral-7b-x",
    "deepseek_r1": "deepseek.r1-x",
    "cohere": "cohere.command-r-x",
    "cohere_text": "cohere.command-text-x",
}


@pytest.mark.parametrize("family", VOICES)
def test_a_family_of_text_behind_invoke_comes_back(family: str) -> None:
    model, voice = MODELS[family], VOICES[family]
    prefix: list[StreamToken] = []
    if family == "deepseek_r1":
        prefix = [TextDelta("hm</think>")]
    for reason, raw in voice.reasons.items():
        spoken: list[StreamToken] = [
            *prefix,
            TextDelta("a"),
            TextDelta("b"),
            UsageReport(Usage(3, 5)),
            Finish(reason, raw),
        ]
        heard: list[StreamToken] = [ReasoningDelta("hm"), *spoken[1:]] if prefix else spoken
        assert invoked(spoken, model) == heard
        whole = INVOKE.response(INVOKE_SERVING.response(fold(spoken), model=model))
        assert (whole.parts, whole.finish_reason, whole.finish_raw) == (fold(heard).parts, reason, raw)
    assert (
        fold(
            invoked([TextDelta("x"), Restarted("p", "m"), TextDelta("a"), Finish("other")], model)
        ).finish_raw
        == (voice.reasons["stop"])
    )


@pytest.mark.parametrize("family", VOICES)
def test_a_prompt_comes_back_as_one_message(family: str) -> None:
    model = MODELS[family]
    fields = {"max_tokens": 5, "temperature": 0.5, "top_p": 0.25}
    call = INVOKE.chat(ChatRequest(model, "hello", **fields, extra={"new": 1}), stream=True)  # type: ignore[arg-type]  # a row of values
    request, is_stream = INVOKE_SERVING.request(call.method, call.path, call.body)
    assert is_stream
    assert "hello" in request.turns[-1].text
    assert (request.model, request.max_tokens, request.temperature, request.top_p) == (model, 5, 0.5, 0.25)
    assert request.extra == {"new": 1}


def test_command_r_s_conversation_comes_back() -> None:
    request = ChatRequest(
        "cohere.command-r-x", [system("be"), user("a"), assistant("b"), user("c")], top_k=3, stop=["x"]
    )
    call = INVOKE.chat(request, stream=False)
    assert INVOKE_SERVING.request(call.method, call.path, call.body) == (request, False)


@pytest.mark.parametrize(
    "request_",
    [
        ChatRequest(CLAUDE, [system([Text("a", cache=True)]), user([Text("hi")])], max_tokens=9),
        ChatRequest(
            NOVA,
            [system([Text("a", cache=True)]), user([Text("hi", cache=True), Text("on")])],
            max_tokens=9,
            top_k=3,
            reasoning=ReasoningOptions("low", enabled=True),
            tools=(Tool("f"),),
        ),
        ChatRequest(CHAT, [system("be"), user("hi")], max_tokens=9, tools=(Tool("f"),), seed=1),
    ],
)
def test_a_request_behind_invoke_comes_back(request_: ChatRequest) -> None:
    call = INVOKE.chat(request_, stream=True)
    assert INVOKE_SERVING.request(call.method, call.path, call.body) == (request_, True)


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("meta.llama3-x", b"{}"),
        ("meta.llama3-x", b'{"prompt":7}'),
        ("meta.llama3-x", b'{"prompt":"x","max_gen_len":"y"}'),
        ("meta.llama3-x", b'{"prompt":"x","max_gen_len":0}'),
        ("meta.llama3-x", b"{"),
        (NOVA, b"{}"),
        (CHAT, b"{}"),
        (CLAUDE, b"{}"),
    ],
)
def test_bodies_that_are_no_requests_behind_invoke(model: str, body: bytes) -> None:
    with pytest.raises(BadRequestError):
        INVOKE_SERVING.request("POST", f"/model/{model}/invoke", body)


def test_an_unknown_model_is_not_found_unless_the_dialect_names_its_family() -> None:
    with pytest.raises(NotFoundError):
        INVOKE_SERVING.request("POST", "/model/unknown/invoke", b'{"prompt":"x"}')
    named = BedrockInvokeServing(InvokeDialect(family="llama3"))
    assert named.request("POST", "/model/unknown/invoke", b'{"prompt":"x"}')[0].turns == (user("x"),)
    with pytest.raises(UnsupportedError):
        INVOKE.chat(ChatRequest("unknown", "x"), stream=True)
