"""Requests as the wire writes them."""

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
from tercet.codecs.wire.openai_chat import Dialect, OpenAIChatWire

PNG = b"\x89PNG"
PNG_URL = "data:image/png;base64,iVBORw=="


def body(request: ChatRequest, *, stream: bool = False, **dialect: Any) -> dict[str, Any]:
    return json.loads(OpenAIChatWire(Dialect(**dialect)).chat(request, stream=stream).body)


def messages(*turns: Message, **dialect: Any) -> list[dict[str, Any]]:
    return body(ChatRequest("m", turns), **dialect)["messages"]


def test_a_small_request_sends_only_what_was_said():
    request = OpenAIChatWire().chat(ChatRequest("gpt", "hi"), stream=False)
    assert (request.method, request.path) == ("POST", "/chat/completions")
    assert request.headers == (("Content-Type", "application/json"), ("Accept", "application/json"))
    assert request.body == b'{"model":"gpt","messages":[{"role":"user","content":"hi"}]}'


def test_a_stream_asks_for_usage_where_the_service_takes_that():
    request = OpenAIChatWire().chat(ChatRequest("gpt", "hi"), stream=True)
    assert ("Accept", "text/event-stream") in request.headers
    assert json.loads(request.body)["stream_options"] == {"include_usage": True}
    mistral = body(ChatRequest("m", "hi"), stream=True, stream_options=False)
    assert mistral["stream"] is True
    assert "stream_options" not in mistral


def test_every_plain_field_has_its_place():
    request = ChatRequest(
        "m",
        "hi",
        max_tokens=5,
        temperature=0.5,
        top_p=0.25,
        stop="END",
        seed=7,
        presence_penalty=1,
        frequency_penalty=-1,
        parallel_tool_calls=False,
        verbosity="low",
        service_tier="flex",
        user="u1",
        extra={"temperature": 0.75, "logit_bias": {"1": 2}},
        metadata={"secret": "stays here"},
    )
    written = body(request)
    del written["messages"]
    assert written == {
        "model": "m",
        "max_completion_tokens": 5,
        "temperature": 0.75,
        "top_p": 0.25,
        "stop": ["END"],
        "seed": 7,
        "presence_penalty": 1,
        "frequency_penalty": -1,
        "parallel_tool_calls": False,
        "verbosity": "low",
        "service_tier": "flex",
        "user": "u1",
        "logit_bias": {"1": 2},
    }
    other = body(request, max_tokens_field="max_tokens", renames={"seed": "random_seed", "user": "user_id"})
    assert other["max_tokens"] == 5
    assert other["random_seed"] == 7
    assert other["user_id"] == "u1"
    assert not {"max_completion_tokens", "seed", "user"} & other.keys()


def test_tools_and_their_choice():
    weather = Tool("weather", "Looks outside.", {"type": "object"}, strict=True, cache=True)
    plain = Tool("noop")
    request = ChatRequest("m", "hi", tools=(weather, plain), tool_choice=ToolChoice("tool", "weather"))
    written = body(request)
    assert written["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "Looks outside.",
                "parameters": {"type": "object"},
                "strict": True,
            },
        },
        {
            "type": "function",
            "function": {"name": "noop", "parameters": {"type": "object", "properties": {}}},
        },
    ]
    assert written["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    routed = body(request, cache_marks="parts", tool_strict=False)["tools"][0]
    assert routed["cache_control"] == {"type": "ephemeral"}
    assert "strict" not in routed["function"]
    assert (
        body(ChatRequest("m", "hi", tools=(plain,), tool_choice=ToolChoice("required")))["tool_choice"]
        == "required"
    )


def test_response_formats():
    schema = {"type": "object"}
    asked = ChatRequest("m", "hi", response_format=ResponseFormat("json_schema", schema, "thing", True))
    assert body(asked)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "thing", "schema": schema, "strict": True},
    }
    assert body(ChatRequest("m", "hi", response_format=ResponseFormat("json_object")), json_schema=False)[
        "response_format"
    ] == {"type": "json_object"}
    with pytest.raises(UnsupportedError, match="response_format; got 'json_schema'"):
        body(asked, json_schema=False)


@pytest.mark.parametrize(
    ("style", "options", "expected"),
    [
        ("effort", ReasoningOptions("high"), {"reasoning_effort": "high"}),
        ("effort", ReasoningOptions(enabled=False), {"reasoning_effort": "none"}),
        ("effort", ReasoningOptions(enabled=True), {}),
        (
            "openrouter",
            ReasoningOptions("high", summary="auto"),
            {"reasoning": {"effort": "high", "summary": "auto"}},
        ),
        (
            "openrouter",
            ReasoningOptions(budget_tokens=99, enabled=True),
            {"reasoning": {"max_tokens": 99, "enabled": True}},
        ),
        ("thinking", ReasoningOptions("max"), {"thinking": {"type": "enabled"}, "reasoning_effort": "max"}),
        ("thinking", ReasoningOptions("none"), {"thinking": {"type": "disabled"}}),
        ("thinking", ReasoningOptions(enabled=False), {"thinking": {"type": "disabled"}}),
        (
            "thinking_budget",
            ReasoningOptions(budget_tokens=99),
            {"thinking": {"type": "enabled", "budget_tokens": 99}},
        ),
        ("thinking_budget", ReasoningOptions(budget_tokens=0), {"thinking": {"type": "disabled"}}),
        (
            "enable_thinking",
            ReasoningOptions(budget_tokens=99),
            {"enable_thinking": True, "thinking_budget": 99},
        ),
        ("enable_thinking", ReasoningOptions(enabled=False), {"enable_thinking": False}),
    ],
)
def test_reasoning_is_asked_for_in_the_services_words(
    style: str, options: ReasoningOptions, expected: dict[str, Any]
):
    written = body(ChatRequest("m", "hi", reasoning=options), reasoning=style)
    assert {name: value for name, value in written.items() if name not in ("model", "messages")} == expected


@pytest.mark.parametrize(
    ("style", "options", "named"),
    [
        ("none", ReasoningOptions("low"), "reasoning"),
        ("effort", ReasoningOptions(budget_tokens=99), "reasoning.budget_tokens"),
        ("effort", ReasoningOptions("low", summary="auto"), "reasoning.summary"),
        ("thinking_budget", ReasoningOptions("low"), "reasoning.effort"),
    ],
)
def test_reasoning_that_cannot_be_said_is_refused(style: str, options: ReasoningOptions, named: str):
    with pytest.raises(UnsupportedError, match=rf"does not take {named};"):
        body(ChatRequest("m", "hi", reasoning=options), reasoning=style)


def test_fields_the_service_rejects_are_refused_by_name_and_value():
    with pytest.raises(UnsupportedError, match="top_k; got 40"):
        body(ChatRequest("m", "hi", top_k=40))
    assert body(ChatRequest("m", "hi", top_k=40), rejects=())["top_k"] == 40
    with pytest.raises(UnsupportedError, match="stop"):
        body(ChatRequest("m", "hi", stop=["x"]), rejects=("stop", "tools"))
    with pytest.raises(UnsupportedError, match="tool_choice; got 'required'"):
        body(
            ChatRequest("m", "hi", tools=(Tool("t"),), tool_choice=ToolChoice("required")),
            tool_choices=("auto", "none"),
        )


def test_contents_of_a_user_message():
    turn = user(
        (
            Text("look", cache=True),
            Image("https://x.test/a.png", detail="low"),
            Image(data=PNG, media_type="image/png"),
            File(data=b"%PDF", media_type="application/pdf", name="a.pdf"),
            File(file_id="file-1"),
            File(data=b"RIFF", media_type="audio/x-wav"),
            Reasoning("never sent by a user"),
            Opaque("openai_chat", "video_url", '{"type":"video_url","video_url":{"url":"v"}}'),
            Opaque("elsewhere", "video_url", "{}"),
        )
    )
    written = messages(turn)
    assert written == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": PNG_URL}},
                {
                    "type": "file",
                    "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"},
                },
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                {"type": "video_url", "video_url": {"url": "v"}},
            ],
        }
    ]
    marked = messages(turn, cache_marks="parts")[0]["content"]
    assert marked[0] == {"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}}
    assert all("cache_control" not in part for part in marked[1:])


def test_files_by_address_where_the_service_takes_them():
    turn = user((File("https://x.test/a.pdf"),))
    with pytest.raises(UnsupportedError, match=r"File\.url; got 'https://x.test/a.pdf'"):
        messages(turn)
    with pytest.raises(UnsupportedError, match="File"):
        messages(turn, files="none")
    assert messages(turn, files="file_or_url")[0]["content"] == [
        {"type": "file", "file": {"file_data": "https://x.test/a.pdf"}}
    ]
    assert messages(turn, files="file_url")[0]["content"] == [
        {"type": "file_url", "file_url": {"url": "https://x.test/a.pdf"}}
    ]
    assert messages(turn, files="document_url")[0]["content"] == [
        {"type": "document_url", "document_url": "https://x.test/a.pdf"}
    ]


def test_system_and_developer_messages():
    turns = (system("a"), Message("developer", "b"), user("c"))
    assert [turn["role"] for turn in messages(*turns)] == ["system", "developer", "user"]
    assert [turn["role"] for turn in messages(*turns, system_role="system")] == ["system", "system", "user"]


def test_an_assistant_message_with_calls_and_its_results():
    picture = ToolResult("c2", (Text("seen"), Image(data=PNG, media_type="image/png")))
    written = messages(
        user("go"),
        assistant(
            (
                Reasoning("hm"),
                Text("I "),
                Text("look."),
                ToolCall("c1", "weather", '{"a":1}'),
                ToolCall("c2", "camera"),
            )
        ),
        Message("tool", (ToolResult("c1", "sunny"), picture)),
        user("thanks"),
    )
    assert written[1:] == [
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"a":1}'}},
                {"id": "c2", "type": "function", "function": {"name": "camera", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "c2", "content": "seen\n(see following user message for image)"},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": PNG_URL}},
                {"type": "text", "text": "thanks"},
            ],
        },
    ]


def test_images_of_results_stand_behind_all_results_of_a_turn_even_at_the_end():
    image = Image(data=PNG, media_type="image/png")
    written = messages(
        assistant((ToolCall("a", "t"), ToolCall("b", "t"))),
        Message("tool", (ToolResult("a", (image,)),)),
        tool_result("b", "two"),
    )
    assert [turn["role"] for turn in written] == ["assistant", "tool", "tool", "user"]
    assert "content" not in written[0]
    assert written[3]["content"] == [{"type": "image_url", "image_url": {"url": PNG_URL}}]


def test_tool_results_in_a_user_message_come_before_its_words():
    written = messages(user((Text("and now?"), ToolResult("a", "one"))))
    assert [turn["role"] for turn in written] == ["tool", "user"]
    assert written[1]["content"] == "and now?"


def test_a_tool_message_without_results_is_a_mistake():
    with pytest.raises(BadRequestError, match="ToolResult"):
        messages(Message("tool", "sunny"))
    with pytest.raises(BadRequestError, match="got Text"):
        messages(Message("tool", (Text("sunny"),)))
    with pytest.raises(UnsupportedError, match="Image"):
        messages(assistant((Image("https://x.test/a.png"),)))


def test_results_as_parts_with_a_mark():
    turn = Message("tool", (ToolResult("a", "one", cache=True),))
    assert messages(turn)[0]["content"] == "one"
    assert messages(turn, tool_results="parts", cache_marks="parts")[0]["content"] == [
        {"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}}
    ]
    several = Message("tool", (ToolResult("a", (Text("1"), Text("2"))),))
    assert messages(several)[0]["content"] == "1\n2"
    assert messages(several, tool_results="parts")[0]["content"] == [
        {"type": "text", "text": "1"},
        {"type": "text", "text": "2"},
    ]


def test_mistrals_tool_messages():
    turns = (assistant((ToolCall("call_long_id", "weather"),)), tool_result("call_long_id", "sunny"))
    written = messages(*turns, tool_call_ids="mistral", tool_result_name=True)
    call_id = written[0]["tool_calls"][0]["id"]
    assert len(call_id) == 9
    assert call_id.isalnum()
    assert written[1] == {"role": "tool", "tool_call_id": call_id, "name": "weather", "content": "sunny"}
    kept = messages(assistant((ToolCall("gSIMJiOkT", "weather"),)), tool_call_ids="mistral")
    assert kept[0]["tool_calls"][0]["id"] == "gSIMJiOkT"


def test_earlier_reasoning_goes_back_as_the_service_wants_it():
    thought = Reasoning("hm", signature="sig", origin="openai_chat")
    turn = assistant((thought, Text("yes"), ToolCall("a", "t")))
    assert "reasoning_content" not in messages(turn)[0]
    assert messages(turn, reasoning_replay="reasoning_content")[0]["reasoning_content"] == "hm"
    assert messages(turn, reasoning_replay="reasoning")[0]["reasoning"] == "hm"
    assert messages(turn, reasoning_replay="chunks")[0]["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "signature": "sig"},
        {"type": "text", "text": "yes"},
    ]
    foreign = messages(turn, reasoning_replay="chunks", origin="mistral")[0]["content"][0]
    assert "signature" not in foreign
    bare = assistant((ToolCall("a", "t"),))
    assert "reasoning_content" not in messages(bare, reasoning_replay="reasoning_content")[0]
    assert (
        messages(bare, reasoning_replay="reasoning_content", reasoning_placeholder=" ")[0][
            "reasoning_content"
        ]
        == " "
    )


def test_opaque_parts_go_back_byte_for_byte_and_only_to_where_they_came_from():
    details = '[{"type":"reasoning.encrypted",  "data":"\\u00e9=="}]'
    turn = assistant(
        (
            Text("yes"),
            Opaque("openrouter", "reasoning_details", details),
            ToolCall("a", "t", "", '{"google":{"s":1}}', "openrouter"),
        )
    )
    request = ChatRequest("m", (turn,))
    there = OpenAIChatWire(Dialect(origin="openrouter")).chat(request, stream=False).body
    assert f'"reasoning_details":{details}'.encode() in there
    assert b'"extra_content":{"google":{"s":1}}' in there
    elsewhere = OpenAIChatWire().chat(request, stream=False).body
    assert b"reasoning_details" not in elsewhere
    assert b"extra_content" not in elsewhere


def test_names_extras_and_prefill():
    turns = (Message("user", "hi", name="ann", extra={"custom": 1}), assistant("Well"))
    first, last = messages(*turns, prefill="prefix")
    assert first == {"role": "user", "content": "hi", "name": "ann", "custom": 1}
    assert last == {"role": "assistant", "content": "Well", "prefix": True}
    assert "name" not in messages(*turns, message_names=False)[0]
    assert "prefix" not in messages(*turns, user("go on"), prefill="prefix")[1]


def test_alternation_merges_neighbours():
    turns = (
        system("s1"),
        system("s2"),
        user("a"),
        user((Text("b"), Image("https://x.test/i"))),
        system("late"),
        assistant("c"),
        assistant("d"),
    )
    assert messages(*turns, alternate=True) == [
        {"role": "system", "content": "s1\ns2"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "text", "text": "b"},
                {"type": "image_url", "image_url": {"url": "https://x.test/i"}},
                {"type": "text", "text": "late"},
            ],
        },
        {"role": "assistant", "content": "c\nd"},
    ]


def test_flattened_contents_are_strings():
    assert messages(user((Text("a"), Text("b"))), flatten=True) == [{"role": "user", "content": "a\nb"}]
    with pytest.raises(UnsupportedError, match="Image"):
        messages(user((Image("https://x.test/i"),)), flatten=True)
    with pytest.raises(UnsupportedError, match="Image"):
        messages(user((Image("https://x.test/i"),)), images=False)


def test_text_with_half_a_character_can_be_sent():
    assert messages(user("a\ud83d"), user("\ud83d\ude00"))[0]["content"] == "a\ufffd"
    with pytest.raises(BadRequestError, match="JSON"):
        body(ChatRequest("m", "hi", extra={"x": object()}))


def test_empty_messages_have_empty_content():
    assert messages(user(()), assistant(())) == [
        {"role": "user", "content": ""},
        {"role": "assistant", "content": ""},
    ]


def test_counting_tokens_where_the_service_can():
    wire = OpenAIChatWire(Dialect(count_path="/tokenizers/estimate-token-count"))
    request = wire.count_tokens(ChatRequest("kimi", "hi", max_tokens=3))
    assert request is not None
    assert (request.method, request.path) == ("POST", "/tokenizers/estimate-token-count")
    assert json.loads(request.body) == {"model": "kimi", "messages": [{"role": "user", "content": "hi"}]}
    assert wire.token_count(b'{"data":{"total_tokens":9}}') == 9
    assert OpenAIChatWire().count_tokens(ChatRequest("m", "hi")) is None
