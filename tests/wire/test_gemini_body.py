"""What is sent to Gemini: every field, every kind of part, every refusal, the envelope, models and counts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tercet.codecs.vocabulary import (
    BadRequestError,
    ChatRequest,
    File,
    Image,
    Message,
    Opaque,
    ProtocolError,
    Reasoning,
    ReasoningOptions,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    UnsupportedError,
    assistant,
    system,
    tool_result,
    user,
)
from tercet.codecs.wire.gemini import SKIP_SIGNATURE, Dialect, GeminiWire

WIRE = GeminiWire()
WEATHER = Tool("weather", "Tells it", {"type": "object", "properties": {"city": {"type": "string"}}})


def body(messages: Any = "hi", *, wire: GeminiWire = WIRE, **fields: Any) -> Any:
    return json.loads(wire.chat(ChatRequest("gemini-3", messages, **fields), stream=True).body)


def contents(*messages: Message, **dialect: Any) -> Any:
    return body(list(messages), wire=GeminiWire(Dialect(**dialect)))["contents"]


def said(*parts: Any) -> Any:
    """What becomes of an assistant's parts."""
    return contents(user("q"), assistant(parts), user("go"))[1]["parts"]


# Paths ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-3", "/v1beta/models/gemini-3"),
        ("models/gemini-3", "/v1beta/models/gemini-3"),
        ("tunedModels/my-1", "/v1beta/tunedModels/my-1"),
        ("a/b c:d?e@f", "/v1beta/models/a%2Fb%20c%3Ad%3Fe%40f"),
        ("../x", "/v1beta/models/..%2Fx"),
    ],
)
def test_paths(model: str, path: str) -> None:
    request = ChatRequest(model, "hi")
    assert WIRE.chat(request, stream=True).path == path + ":streamGenerateContent?alt=sse"
    assert WIRE.chat(request, stream=False).path == path + ":generateContent"
    counted = WIRE.count_tokens(request)
    assert counted is not None
    assert counted.path == path + ":countTokens"


def test_the_smallest_request() -> None:
    request = WIRE.chat(ChatRequest("gemini-3", "hi"), stream=False)
    assert request.method == "POST"
    assert json.loads(request.body) == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def test_vertex_and_code_assist_are_dialects() -> None:
    vertex = GeminiWire(
        Dialect(
            chat_path="/v1beta1/projects/p/locations/us/publishers/google/models/{model}:generateContent",
            count_form="plain",
        )
    )
    assert vertex.chat(ChatRequest("g", "hi"), stream=False).path.endswith(
        "/publishers/google/models/g:generateContent"
    )
    assist = GeminiWire(
        Dialect(
            stream_path="/v1internal:streamGenerateContent?alt=sse",
            request_key="request",
            response_key="response",
            project="p",
        )
    )
    request = assist.chat(ChatRequest("g", "hi"), stream=True)
    assert request.path == "/v1internal:streamGenerateContent?alt=sse"
    inner = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    assert json.loads(request.body) == {"model": "g", "project": "p", "request": inner}


# Contents ---------------------------------------------------------------------------------------------------------------


def test_system_messages_come_first_and_neighbours_of_one_role_are_merged() -> None:
    sent = body(
        [
            system("a"),
            Message("developer", "b"),
            user("c"),
            user("d"),
            assistant("e"),
            assistant("f"),
            user("g"),
        ]
    )
    assert sent["systemInstruction"] == {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}
    assert sent["contents"] == [
        {"role": "user", "parts": [{"text": "c"}, {"text": "d"}]},
        {"role": "model", "parts": [{"text": "e"}, {"text": "f"}]},
        {"role": "user", "parts": [{"text": "g"}]},
    ]


def test_empty_text_is_left_out_and_message_extra_is_merged() -> None:
    sent = contents(user("q"), assistant(""), Message("user", "go", extra={"x": 1}))
    assert sent == [
        {"role": "user", "parts": [{"text": "q"}]},
        {"role": "user", "parts": [{"text": "go"}], "x": 1},
    ]


def test_media() -> None:
    sent = contents(
        user(
            (
                Image(data=b"\x00\x01", media_type="image/png"),
                Image(url="data:image/gif;base64,AAE="),
                Image(url="https://x/y/a.JPG?z=1", detail="high"),
                Image(url="https://x/raw", media_type="image/webp"),
                File(url="gs://bucket/doc.pdf"),
                File(data=b"%PDF", media_type="application/pdf", name="doc.pdf"),
                File(file_id="files/abc", media_type="video/mp4"),
                File(file_id="https://elsewhere/files/d"),
            )
        )
    )
    assert sent[0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "AAE="}},
        {"inlineData": {"mimeType": "image/gif", "data": "AAE="}},
        {"fileData": {"fileUri": "https://x/y/a.JPG?z=1", "mimeType": "image/jpeg"}},
        {"fileData": {"fileUri": "https://x/raw", "mimeType": "image/webp"}},
        {"fileData": {"fileUri": "gs://bucket/doc.pdf", "mimeType": "application/pdf"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBERg=="}},
        {
            "fileData": {
                "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc",
                "mimeType": "video/mp4",
            }
        },
        {"fileData": {"fileUri": "https://elsewhere/files/d"}},
    ]


def test_signatures_go_home_only() -> None:
    parts = said(
        Text("a", signature="S1", origin="gemini"),
        Text("", signature="S2", origin="gemini"),
        Text("b", signature="X", origin="anthropic"),
        Text("c", signature="X"),
        Reasoning("thought", "S3", origin="gemini"),
        Reasoning("thought", "X", origin="anthropic"),
        Reasoning("summary"),
        ToolCall("u1", "f", "{}", "S4", "gemini"),
        ToolCall("u2", "f", "{}", "X", "openai"),
        Opaque("gemini", "executableCode", '{"executableCode" : {"code":"1"}}'),
        Opaque("openai", "item", '{"no":1}'),
    )
    assert parts == [
        {"text": "a", "thoughtSignature": "S1"},
        {"text": "", "thoughtSignature": "S2"},
        {"text": "b"},
        {"text": "c"},
        {"text": "thought", "thought": True, "thoughtSignature": "S3"},
        {"functionCall": {"name": "f", "args": {}, "id": "u1"}, "thoughtSignature": "S4"},
        {"functionCall": {"name": "f", "args": {}, "id": "u2"}},
        {"executableCode": {"code": "1"}},
    ]


def test_the_first_unsigned_call_of_a_turn_may_get_the_documented_stand_in() -> None:
    turns = [
        user("q"),
        assistant((Opaque("gemini", "k", '{"functionCall":0}'), ToolCall("a", "f"), ToolCall("b", "f"))),
        Message("tool", (ToolResult("a", "1"), ToolResult("b", "2"))),
        assistant((ToolCall("c", "f", "", "S", "gemini"),)),
        tool_result("c", "3"),
    ]
    sent = contents(*turns, foreign_signature=SKIP_SIGNATURE)
    signatures = [
        [part.get("thoughtSignature") for part in one["parts"]] for one in sent if one["role"] == "model"
    ]
    assert signatures == [[None, SKIP_SIGNATURE, None], ["S"]]
    assert SKIP_SIGNATURE not in json.dumps(contents(*turns))


def test_arguments_pass_with_their_own_bytes() -> None:
    arguments = '{ "n": 1.50, "big": 12345678901234567890123, "u": "\\u00e9" }'
    sent = WIRE.chat(
        ChatRequest("m", [user("q"), assistant((ToolCall("x", "f", arguments),))]), stream=True
    ).body
    assert b'"args":' + arguments.encode() in sent
    assert said(ToolCall("x", "f", ""))[0]["functionCall"]["args"] == {}


@pytest.mark.parametrize("arguments", ["{", "[]", "1", "null", '{"a":1} trailing', '{"a":}'])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    with pytest.raises(BadRequestError, match="not a JSON object"):
        said(ToolCall("x", "f", arguments))


@pytest.mark.parametrize(
    ("content", "is_error", "response"),
    [
        ("sunny", False, {"result": "sunny"}),
        ("", False, {"result": ""}),
        ('{"degrees": 20}', False, {"degrees": 20}),
        ("[1, 2]", False, {"result": "[1, 2]"}),
        ("boom", True, {"error": "boom"}),
        ('{"why": 1}', True, {"error": {"why": 1}}),
    ],
)
def test_tool_results(content: str, is_error: bool, response: Any) -> None:
    sent = contents(
        user("q"), assistant((ToolCall("u1", "weather"),)), tool_result("u1", content, is_error=is_error)
    )
    assert sent[2] == {
        "role": "user",
        "parts": [{"functionResponse": {"name": "weather", "response": response, "id": "u1"}}],
    }


def test_a_result_needs_a_name_from_the_history_or_its_own() -> None:
    assert (
        contents(user("q"), tool_result("zz", "1", name="f"))[0]["parts"][1]["functionResponse"]["name"]
        == "f"
    )
    with pytest.raises(BadRequestError, match="'zz'"):
        contents(user("q"), tool_result("zz", "1"))


def test_ids_of_our_own_making_stay_here_and_results_follow_their_calls() -> None:
    first = (ToolCall("call_0", "f"), ToolCall("call_1", "f"))
    sent = contents(
        user("q"),
        assistant(first),
        tool_result("call_1", "second"),
        tool_result("call_0", "first"),
        assistant((ToolCall("call_0", "g"),)),
        tool_result("call_0", "third"),
        user("thanks"),
    )
    assert sent[2]["parts"] == [
        {"functionResponse": {"name": "f", "response": {"result": "first"}}},
        {"functionResponse": {"name": "f", "response": {"result": "second"}}},
    ]
    assert sent[4]["parts"] == [
        {"functionResponse": {"name": "g", "response": {"result": "third"}}},
        {"text": "thanks"},
    ]
    assert '"id"' not in json.dumps(
        contents(user("q"), assistant((ToolCall("u", "f"),)), tool_result("u", ""), sends_call_ids=False)
    )


def test_images_in_results() -> None:
    turns = (
        user("q"),
        assistant((ToolCall("u", "f"),)),
        Message("tool", (ToolResult("u", (Text("see"), Image(data=b"\x00", media_type="image/png"))),)),
    )
    image = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    answered = {"name": "f", "response": {"result": "see"}, "id": "u"}
    assert contents(*turns)[2]["parts"] == [{"functionResponse": {**answered, "parts": [image]}}]
    assert contents(*turns, result_media="after")[2]["parts"] == [{"functionResponse": answered}, image]


# Tools and settings -----------------------------------------------------------------------------------------------------


def test_generation_config() -> None:
    sent = body(
        max_tokens=5,
        temperature=0.5,
        top_p=0.9,
        top_k=3,
        stop=["x"],
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        service_tier="flex",
        response_format=ResponseFormat("json_schema", {"type": "object"}),
    )
    assert sent["generationConfig"] == {
        "maxOutputTokens": 5,
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 3,
        "stopSequences": ["x"],
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
    }
    assert sent["serviceTier"] == "flex"
    assert body(response_format=ResponseFormat("json_object"))["generationConfig"] == {
        "responseMimeType": "application/json"
    }
    assert "generationConfig" not in body(response_format=ResponseFormat("text"), parallel_tool_calls=True)


def test_tools() -> None:
    declared = {"name": "weather", "description": "Tells it", "parametersJsonSchema": WEATHER.parameters}
    assert body(tools=[WEATHER])["tools"] == [{"functionDeclarations": [declared]}]
    old = body(tools=[Tool("f")], wire=GeminiWire(Dialect(schema_field="parameters")))
    assert old["tools"] == [
        {"functionDeclarations": [{"name": "f", "parameters": {"type": "object", "properties": {}}}]}
    ]


@pytest.mark.parametrize(
    ("choice", "strict", "calling"),
    [
        (None, None, None),
        (None, True, {"mode": "VALIDATED"}),
        (ToolChoice("auto"), None, {"mode": "AUTO"}),
        (ToolChoice("auto"), True, {"mode": "VALIDATED"}),
        (ToolChoice("none"), True, {"mode": "NONE"}),
        (ToolChoice("required"), None, {"mode": "ANY"}),
        (ToolChoice("tool", "f"), None, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_tool_choice(choice: ToolChoice | None, strict: bool | None, calling: Any) -> None:
    sent = body(tools=[Tool("f", strict=strict)], tool_choice=choice)
    assert sent.get("toolConfig") == (None if calling is None else {"functionCallingConfig": calling})


@pytest.mark.parametrize(
    ("options", "dialect", "thinking"),
    [
        (ReasoningOptions(effort="high"), "either", {"thinkingLevel": "high"}),
        (
            ReasoningOptions(effort="low", summary="auto"),
            "level",
            {"thinkingLevel": "low", "includeThoughts": True},
        ),
        (ReasoningOptions(budget_tokens=-1), "either", {"thinkingBudget": -1}),
        (
            ReasoningOptions(budget_tokens=512, enabled=True),
            "budget",
            {"thinkingBudget": 512, "includeThoughts": True},
        ),
        (ReasoningOptions(enabled=True), "either", {"includeThoughts": True}),
        (ReasoningOptions(enabled=True), "budget", {"thinkingBudget": -1, "includeThoughts": True}),
        (ReasoningOptions(enabled=False), "either", {"thinkingBudget": 0}),
        (ReasoningOptions(effort="none"), "budget", {"thinkingBudget": 0}),
        (ReasoningOptions(), "either", None),
    ],
)
def test_thinking(options: ReasoningOptions, dialect: Any, thinking: Any) -> None:
    sent = body(reasoning=options, wire=GeminiWire(Dialect(thinking=dialect)))
    assert sent.get("generationConfig") == (None if thinking is None else {"thinkingConfig": thinking})


@pytest.mark.parametrize(
    ("options", "dialect", "words"),
    [
        (ReasoningOptions(effort="high", budget_tokens=5), "either", "both"),
        (ReasoningOptions(effort="high"), "budget", "effort='high'"),
        (ReasoningOptions(budget_tokens=5), "level", "budget_tokens=5"),
        (ReasoningOptions(enabled=False), "level", "always think"),
    ],
)
def test_thinking_that_cannot_be_said(options: ReasoningOptions, dialect: Any, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words):
        body(reasoning=options, wire=GeminiWire(Dialect(thinking=dialect)))


@pytest.mark.parametrize(
    ("messages", "fields", "words"),
    [
        ("hi", {"user": "u1"}, "user='u1'"),
        ("hi", {"verbosity": "low"}, "verbosity='low'"),
        ("hi", {"parallel_tool_calls": False}, "parallel_tool_calls=False"),
        ([Message("user", "hi", name="bob")], {}, "name='bob'"),
        ([user("hi"), system("late")], {}, "system message after"),
        ([system((Image(url="https://x"),)), user("hi")], {}, "Image"),
        ([system("alone")], {}, "only system"),
    ],
)
def test_what_gemini_cannot_say(messages: Any, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedError, match=words):
        body(messages, **fields)


def test_extra_is_merged_last_and_deeply() -> None:
    sent = body(
        temperature=1.0,
        tools=[WEATHER],
        extra={
            "generationConfig": {"temperature": 0, "responseModalities": ["TEXT"]},
            "safetySettings": [{"category": "HARM", "threshold": "OFF"}],
            "tools": [{"googleSearch": {}}],
        },
    )
    assert sent["generationConfig"] == {"temperature": 0, "responseModalities": ["TEXT"]}
    assert sent["safetySettings"] == [{"category": "HARM", "threshold": "OFF"}]
    assert sent["tools"] == [{"googleSearch": {}}]


def test_halves_of_characters_never_break_a_body() -> None:
    turns = [
        user("a\ud83d"),
        assistant((ToolCall("x", "f", '{"a":"\ud83d"}'), Opaque("gemini", "k", '{"k":"\ud83d"}'))),
        tool_result("x", "\ud83d"),
    ]
    assert body(turns)["contents"][0]["parts"] == [{"text": "a\ufffd"}]


# Models and counts ------------------------------------------------------------------------------------------------------


def test_models() -> None:
    listing = WIRE.list_models()
    assert listing is not None
    assert (listing.method, listing.path) == ("GET", "/v1beta/models?pageSize=1000")
    found = WIRE.models(
        json.dumps(
            {
                "models": [
                    {
                        "name": "models/gemini-3",
                        "displayName": "Gemini 3",
                        "inputTokenLimit": 10,
                        "outputTokenLimit": 5,
                        "x": 1,
                    },
                    {"name": "tunedModels/mine"},
                    {},
                ]
            }
        ).encode()
    )
    assert [(one.id, one.name, one.context_window, one.max_output_tokens) for one in found] == [
        ("gemini-3", "Gemini 3", 10, 5),
        ("tunedModels/mine", None, None, None),
    ]
    vertex = WIRE.models(
        b'{"publisherModels":[{"name":"publishers/google/models/gemini-3","versionId":"001"}]}'
    )
    assert [one.id for one in vertex] == ["gemini-3"]
    assert WIRE.models(b"{}") == []
    assert GeminiWire(Dialect(models_path=None)).list_models() is None
    with pytest.raises(ProtocolError):
        WIRE.models(b"<html>")


def test_counts() -> None:
    request = ChatRequest(
        "gemini-3", [system("s"), user("hi")], tools=[Tool("f")], temperature=1.0, service_tier="flex"
    )
    whole = json.loads(WIRE.chat(request, stream=True).body)
    ways: list[tuple[dict[str, Any], Any]] = [
        ({}, {"generateContentRequest": {"model": "models/gemini-3", **whole}}),
        ({"count_form": "plain"}, {name: whole[name] for name in whole if name != "serviceTier"}),
        ({"request_key": "request"}, {"request": {"model": "models/gemini-3", **whole}}),
    ]
    for dialect, expected in ways:
        counted = GeminiWire(Dialect(**dialect)).count_tokens(request)
        assert counted is not None
        assert json.loads(counted.body) == expected
    assert GeminiWire(Dialect(count_path=None)).count_tokens(request) is None
    assert WIRE.token_count(b'{"totalTokens": 31, "promptTokensDetails": []}') == 31
    for wrong in (b"{}", b"[]", b""):
        with pytest.raises(ProtocolError):
            WIRE.token_count(wrong)
