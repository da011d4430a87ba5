"""What is sent to Ollama's own API."""

from __future__ import annotations

import base64
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
from tercet.codecs.wire.ollama import Dialect, OllamaWire

PNG = b"\x89PNG\r\n\x1a\n"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def sent(request: ChatRequest, *, stream: bool = True, **dialect: Any) -> dict[str, Any]:
    return json.loads(OllamaWire(Dialect(**dialect)).chat(request, stream=stream).body)


def messages(*turns: Message, **dialect: Any) -> list[dict[str, Any]]:
    return sent(ChatRequest("m", turns), **dialect)["messages"]


def test_the_least_that_can_be_asked() -> None:
    asked = OllamaWire().chat(ChatRequest("llama3.1:8b", "Hello"), stream=True)
    assert (asked.method, asked.path) == ("POST", "/api/chat")
    assert dict(asked.headers)["accept"] == "application/x-ndjson"
    assert json.loads(asked.body) == {
        "model": "llama3.1:8b",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
    }
    whole = OllamaWire().chat(ChatRequest("m", "Hello"), stream=False)
    assert json.loads(whole.body)["stream"] is False
    assert dict(whole.headers)["accept"] == "application/json"


def test_settings_of_the_sampler_stand_in_options() -> None:
    request = ChatRequest(
        "m",
        "Hello",
        max_tokens=7,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        seed=1,
        stop=["a", "b"],
        presence_penalty=0.1,
        frequency_penalty=0.2,
    )
    assert sent(request)["options"] == {
        "num_predict": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "seed": 1,
        "stop": ["a", "b"],
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
    }


def test_extra_adds_to_options_and_a_row_may_set_some() -> None:
    request = ChatRequest(
        "m", "Hello", temperature=0.5, extra={"options": {"num_ctx": 8192}, "keep_alive": "10m"}
    )
    body = sent(request, options={"num_ctx": 4096, "num_gpu": 1, "temperature": 1})
    assert body["options"] == {"num_ctx": 8192, "num_gpu": 1, "temperature": 0.5}
    assert body["keep_alive"] == "10m"


@pytest.mark.parametrize(
    ("options", "think"),
    [
        (ReasoningOptions(enabled=True), True),
        (ReasoningOptions(enabled=False), False),
        (ReasoningOptions(enabled=False, effort="high"), False),
        (ReasoningOptions(effort="high"), "high"),
        (ReasoningOptions(effort="none"), False),
        (ReasoningOptions(budget_tokens=0), False),
        (ReasoningOptions(budget_tokens=-1), True),
        (ReasoningOptions(), None),
        (ReasoningOptions(summary="auto"), None),
    ],
)
def test_how_much_to_think(options: ReasoningOptions, think: bool | str | None) -> None:
    assert sent(ChatRequest("m", "Hello", reasoning=options)).get("think") == think


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (ResponseFormat(), None),
        (ResponseFormat("json_object"), "json"),
        (ResponseFormat("json_schema", SCHEMA), SCHEMA),
    ],
)
def test_the_form_of_the_answer(form: ResponseFormat, said: Any) -> None:
    assert sent(ChatRequest("m", "Hello", response_format=form)).get("format") == said


def test_tools_and_their_choice() -> None:
    tool = Tool("weather", "Tells it", SCHEMA, strict=True)
    written = {
        "type": "function",
        "function": {"name": "weather", "description": "Tells it", "parameters": SCHEMA},
    }
    assert sent(ChatRequest("m", "Hello", tools=(tool,)))["tools"] == [written]
    auto = ChatRequest("m", "Hello", tools=(tool,), tool_choice=ToolChoice("auto"))
    assert sent(auto)["tools"] == [written]
    none = ChatRequest("m", "Hello", tools=(tool,), tool_choice=ToolChoice("none"))
    assert "tools" not in sent(none)
    forced = ChatRequest("m", "Hello", tools=(tool,), tool_choice=ToolChoice("tool", "weather"))
    with pytest.raises(UnsupportedError, match="tool_choice='tool'"):
        sent(forced)


def test_images_stand_beside_the_text_without_their_type() -> None:
    data = base64.b64encode(PNG).decode()
    turn = user(
        [
            Text("What"),
            Image(data=PNG, media_type="image/png"),
            Text("is this?"),
            Image(url=f"data:image/png;base64,{data}"),
            File(data=PNG, media_type="image/png"),
        ]
    )
    assert messages(turn) == [{"role": "user", "content": "What\nis this?", "images": [data] * 3}]


@pytest.mark.parametrize(
    ("part", "word"),
    [
        (Image(url="https://example.test/a.png"), "https://example.test/a.png"),
        (File(file_id="f1"), "f1"),
        (File(data=b"%PDF", media_type="application/pdf"), "application/pdf"),
    ],
)
def test_what_it_cannot_look_at_is_refused(part: Any, word: str) -> None:
    with pytest.raises(UnsupportedError, match=word):
        messages(user([part]))


def test_a_conversation_with_tools() -> None:
    turns = [
        Message("developer", "Be brief."),
        user("Weather in Graz?"),
        assistant(
            [
                Reasoning("I should look."),
                Text("Let me "),
                Text("see."),
                ToolCall("abc", "weather", '{"city" : "Graz"}'),
                ToolCall("call_1", "clock"),
                Opaque("anthropic", "x", "{}"),
            ]
        ),
        tool_result("abc", "sunny"),
        user([ToolResult("call_1", [Text("12:00"), Image(data=PNG, media_type="image/png")]), Text("Well?")]),
        tool_result("unknown", "lost"),
    ]
    assert messages(*turns) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Graz?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "thinking": "I should look.",
            "tool_calls": [
                {"function": {"name": "weather", "arguments": {"city": "Graz"}}, "id": "abc"},
                {"function": {"name": "clock", "arguments": {}}},
            ],
        },
        {"role": "tool", "content": "sunny", "tool_name": "weather", "tool_call_id": "abc"},
        {
            "role": "tool",
            "content": "12:00",
            "images": [base64.b64encode(PNG).decode()],
            "tool_name": "clock",
        },
        {"role": "user", "content": "Well?"},
        {"role": "tool", "content": "lost", "tool_call_id": "unknown"},
    ]
    assert "thinking" not in messages(*turns, reasoning_replay="none")[2]


def test_a_turns_own_extra_goes_into_its_message() -> None:
    assert messages(Message("user", "Hello", extra={"x": 1})) == [
        {"role": "user", "content": "Hello", "x": 1}
    ]


def test_an_empty_turn_is_an_empty_message() -> None:
    assert messages(system(""), user("Hello"))[0] == {"role": "system", "content": ""}


@pytest.mark.parametrize(
    ("field", "value"),
    [("parallel_tool_calls", False), ("verbosity", "low"), ("service_tier", "flex"), ("user", "u1")],
)
def test_what_the_api_has_no_place_for_is_refused_by_name(field: str, value: Any) -> None:
    assert field in OllamaWire.rejects
    with pytest.raises(UnsupportedError, match=f"{field}={value!r}"):
        sent(ChatRequest("m", "Hello", **{field: value}))


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="budget_tokens=1000"):
        sent(ChatRequest("m", "Hello", reasoning=ReasoningOptions(budget_tokens=1000)))
    with pytest.raises(UnsupportedError, match="'Ann'"):
        messages(Message("user", "Hello", name="Ann"))
    with pytest.raises(BadRequestError, match=r"not a JSON object: '\[1\]'"):
        messages(assistant([ToolCall("a", "f", "[1]")]))
    with pytest.raises(BadRequestError, match="ToolCall cannot stand"):
        messages(user([ToolCall("a", "f")]))
    with pytest.raises(UnsupportedError, match="File"):
        messages(assistant([File(file_id="x")]))


def test_lists_and_counts() -> None:
    wire = OllamaWire()
    asked = wire.list_models()
    assert asked is not None
    assert (asked.method, asked.path) == ("GET", "/api/tags")
    assert OllamaWire(Dialect(models_path=None)).list_models() is None
    assert wire.count_tokens(ChatRequest("m", "Hello")) is None
