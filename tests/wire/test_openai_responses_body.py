"""A request as the Responses API wants it: input, expected body."""

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
    Part,
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
from tercet.codecs.wire.openai_responses import Dialect, OpenAIResponsesWire

OURS = "openai_responses"
BARE = Dialect(store=None, encrypted_reasoning="never")


def body_of(messages: Any, dialect: Dialect = BARE, *, stream: bool = False, **fields: Any) -> dict[str, Any]:
    asked = OpenAIResponsesWire(dialect).chat(ChatRequest("m", messages, **fields), stream=stream)
    body: dict[str, Any] = json.loads(asked.body)
    return body


def items_of(messages: Any, dialect: Dialect = BARE) -> list[Any]:
    items: list[Any] = body_of(messages, dialect)["input"]
    return items


def message(role: str, *content: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(content), **more}


def said(text: str) -> dict[str, Any]:
    return {"type": "input_text", "text": text}


def answered(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text}


def test_the_least_request():
    asked = OpenAIResponsesWire().chat(ChatRequest("m", "hi"), stream=False)
    assert (asked.method, asked.path) == ("POST", "/responses")
    assert dict(asked.headers) == {"Content-Type": "application/json", "Accept": "application/json"}
    assert json.loads(asked.body) == {"model": "m", "input": [message("user", said("hi"))], "store": False}


def test_a_stream_says_so():
    asked = OpenAIResponsesWire().chat(ChatRequest("m", "hi"), stream=True)
    assert ("Accept", "text/event-stream") in asked.headers
    assert json.loads(asked.body)["stream"] is True


def test_every_option_has_its_place():
    body = body_of(
        "hi",
        max_tokens=100,
        temperature=0.5,
        top_p=0.9,
        tools=(Tool("t", "does it", {"type": "object"}, True), Tool("u")),
        tool_choice=ToolChoice("required"),
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_schema", {"type": "object"}, "thing", True),
        verbosity="low",
        reasoning=ReasoningOptions("high", summary="auto"),
        service_tier="flex",
        user="someone",
        extra={"truncation": "auto", "temperature": 0.6},
    )
    assert body == {
        "model": "m",
        "input": [message("user", said("hi"))],
        "tools": [
            {"type": "function", "name": "t", "description": "does it", "parameters": {"type": "object"}, "strict": True},
            {"type": "function", "name": "u", "parameters": {"type": "object", "properties": {}}, "strict": False},
        ],
        "tool_choice": "required",
        "text": {
            "format": {"type": "json_schema", "name": "thing", "schema": {"type": "object"}, "strict": True},
            "verbosity": "low",
        },
        "reasoning": {"effort": "high", "summary": "auto"},
        "max_output_tokens": 100,
        "temperature": 0.6,
        "top_p": 0.9,
        "parallel_tool_calls": False,
        "service_tier": "flex",
        "safety_identifier": "someone",
        "truncation": "auto",
    }  # fmt: skip


def test_other_values_of_options():
    assert body_of("x", Dialect(user_field="user"), user="u")["user"] == "u"
    assert (
        "strict" not in body_of("x", Dialect(tool_strict=False), tools=(Tool("t", strict=True),))["tools"][0]
    )
    choice = body_of("x", tools=(Tool("t"),), tool_choice=ToolChoice("tool", "t"))["tool_choice"]
    assert choice == {"type": "function", "name": "t"}
    for form in ("text", "json_object"):
        assert body_of("x", response_format=ResponseFormat(form))["text"] == {"format": {"type": form}}  # type: ignore[arg-type]  # a word of the list


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (ReasoningOptions("xhigh"), {"effort": "xhigh"}),
        (ReasoningOptions(summary="detailed"), {"summary": "detailed"}),
        (ReasoningOptions(enabled=False), {"effort": "none"}),
        (ReasoningOptions("none"), {"effort": "none"}),
        (ReasoningOptions(budget_tokens=0), {"effort": "none"}),
        (ReasoningOptions(enabled=True), None),
        (None, None),
    ],
)
def test_reasoning(options: ReasoningOptions | None, expected: Any):
    assert body_of("x", reasoning=options).get("reasoning") == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stop", ("x",)),
        ("seed", 1),
        ("presence_penalty", 0.5),
        ("frequency_penalty", 0.5),
        ("top_k", 3),
        ("reasoning", ReasoningOptions(budget_tokens=100)),
    ],
)
def test_what_the_api_cannot_be_told_is_refused(field: str, value: Any):
    with pytest.raises(UnsupportedError, match=field) as caught:
        body_of("x", **{field: value})
    assert caught.value.code == "unsupported_parameter"


def test_a_dialect_may_refuse_less():
    body_of("x", Dialect(rejects=()), top_k=3)


THOUGHT = '{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"gAAA"}'
HISTORY = (user("x"), assistant((Reasoning("", THOUGHT, "gAAA", "rs_1", OURS),)))


@pytest.mark.parametrize(
    ("dialect", "messages", "options", "expected"),
    [
        (Dialect(), "x", None, False),  # a model that does not reason answers 400 to it
        (Dialect(), "x", ReasoningOptions("low"), True),
        (Dialect(), "x", ReasoningOptions(summary="auto"), True),
        (Dialect(), "x", ReasoningOptions("none"), False),
        (Dialect(), HISTORY, None, True),
        (Dialect(), HISTORY, ReasoningOptions("none"), False),
        (Dialect(origin="other"), HISTORY, None, False),
        (Dialect(encrypted_reasoning="always"), "x", None, True),
        (Dialect(encrypted_reasoning="never"), "x", ReasoningOptions("low"), False),
        (Dialect(store=True), "x", ReasoningOptions("low"), False),
        (Dialect(store=None), "x", ReasoningOptions("low"), True),
    ],
)
def test_encrypted_reasoning_is_asked_for_where_it_is_needed(
    dialect: Dialect, messages: Any, options: ReasoningOptions | None, expected: bool
):
    body = body_of(messages, dialect, reasoning=options)
    assert body.get("include") == (["reasoning.encrypted_content"] if expected else None)
    assert body.get("store") == dialect.store


def test_leading_system_messages_are_the_instructions():
    turns = (
        system("one"),
        system((Text("two"), Text("!"))),
        Message("developer", "three"),
        user("x"),
        system("late"),
    )
    body = body_of(turns)
    assert body["instructions"] == "one\n\ntwo!"
    assert body["input"] == [
        message("developer", said("three")),
        message("user", said("x")),
        message("system", said("late")),
    ]


def test_system_messages_may_stay_items():
    body = body_of((system("one"), user("x")), Dialect(instructions=False, system_role="developer"))
    assert "instructions" not in body
    assert body["input"] == [message("developer", said("one")), message("user", said("x"))]


def test_nothing_but_a_system_message_is_input():
    body = body_of((system("one"),))
    assert "instructions" not in body
    assert body["input"] == [message("system", said("one"))]


def test_a_system_message_with_more_than_text_is_an_item():
    turn = Message("system", "one", extra={"mark": 1})
    body = body_of((turn, user("x")))
    assert "instructions" not in body
    assert body["input"][0] == message("system", said("one"), mark=1)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Text("a"), {"type": "input_text", "text": "a"}),
        (Image("https://x.test/a.png"), {"type": "input_image", "image_url": "https://x.test/a.png"}),
        (
            Image(data=b"\x89P", media_type="image/png", detail="high"),
            {"type": "input_image", "image_url": "data:image/png;base64,iVA=", "detail": "high"},
        ),
        (File(file_id="file-1"), {"type": "input_file", "file_id": "file-1"}),
        (File("https://x.test/a.pdf"), {"type": "input_file", "file_url": "https://x.test/a.pdf"}),
        (
            File(data=b"%PDF", media_type="application/pdf", name="a.pdf"),
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
        ),
        (
            File("data:application/pdf;base64,JVBERg=="),
            {
                "type": "input_file",
                "filename": "file.pdf",
                "file_data": "data:application/pdf;base64,JVBERg==",
            },
        ),
        (
            File(data=b"a", media_type="text/plain"),
            {"type": "input_file", "filename": "file.txt", "file_data": "data:text/plain;base64,YQ=="},
        ),
        (
            File(data=b"R", media_type="audio/mpeg"),
            {"type": "input_audio", "input_audio": {"data": "Ug==", "format": "mp3"}},
        ),
        (Opaque(OURS, "input_video", '{"type": "input_video"}'), {"type": "input_video"}),
    ],
)
def test_parts_of_what_a_user_says(part: Part, expected: dict[str, Any]):
    assert items_of((user((part,)),)) == [message("user", expected)]


def test_a_conversation_with_tools():
    turns = (
        user("weather?"),
        assistant((Text("I look"), ToolCall("c1", "w", '{"a":1}'), ToolCall("c2", "w"))),
        Message("tool", (ToolResult("c1", "sunny"),)),
        tool_result("c2", "rain"),
        assistant("so so"),
    )
    assert items_of(turns) == [
        message("user", said("weather?")),
        message("assistant", answered("I look")),
        {"type": "function_call", "call_id": "c1", "name": "w", "arguments": '{"a":1}'},
        {"type": "function_call", "call_id": "c2", "name": "w", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        {"type": "function_call_output", "call_id": "c2", "output": "rain"},
        message("assistant", answered("so so")),
    ]


def test_results_come_before_what_the_user_says_with_them():
    turn = user((Text("see"), ToolResult("c", (Text("one"), Text("two"))), Image("https://x.test/a.png")))
    assert items_of((turn,)) == [
        {"type": "function_call_output", "call_id": "c", "output": "one\ntwo"},
        message("user", said("see"), {"type": "input_image", "image_url": "https://x.test/a.png"}),
    ]


def test_images_stand_in_a_tools_output():
    result = ToolResult("c", (Text("see"), Image(data=b"\x89P", media_type="image/png")))
    [item] = items_of((Message("tool", (result,)),))
    assert item["output"] == [said("see"), {"type": "input_image", "image_url": "data:image/png;base64,iVA="}]


def test_a_custom_tools_call_is_answered_as_such():
    call = ToolCall("c", "sql", "SELECT 1", '{"type":"custom_tool_call"}', OURS)
    assert items_of((assistant((call,)), tool_result("c", "1"))) == [
        {"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "SELECT 1"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "1"},
    ]


def test_ids_of_other_providers_that_are_too_long_are_replaced_on_both_sides():
    long = "call_" + "x" * 60
    call, result = items_of((assistant((ToolCall(long, "w"),)), tool_result(long, "r")))
    assert call["call_id"] == result["call_id"] != long
    assert len(call["call_id"]) <= 64


def test_messages_are_apart_where_their_phases_differ():
    phase = '{"phase":"commentary"}'
    turn = assistant(
        (
            Text("a", signature=phase, origin=OURS),
            Text("b", signature=phase, origin=OURS),
            Text("c", signature='{"phase":"final_answer"}', origin=OURS),
            Text("d"),
            Text("e", signature="thought", origin="gemini"),
            Text(""),
        )
    )
    assert items_of((turn,)) == [
        message("assistant", answered("a"), answered("b"), phase="commentary"),
        message("assistant", answered("c"), phase="final_answer"),
        message("assistant", answered("d"), answered("e")),
    ]


RAW = '{ "id":"rs_1", "type":"reasoning", "summary":[ ], "encrypted_content":"gAA\\/A", "n":1.0 }'
SEARCH = '{"type":"web_search_call" ,"id":"ws_1","x":"\\u00e9"}'


def test_items_go_back_byte_for_byte_in_their_order():
    turn = assistant(
        (
            Reasoning("hm", RAW, "gAA/A", "rs_1", OURS),
            Text("a"),
            Opaque(OURS, "web_search_call", SEARCH),
            Text("b"),
        )
    )
    body = OpenAIResponsesWire().chat(ChatRequest("m", (turn,)), stream=False).body.decode()
    a, b = (json.dumps(message("assistant", answered(text)), separators=(",", ":")) for text in "ab")
    assert f'"input":[{RAW},{a},{SEARCH},{b}]' in body


def test_what_is_not_ours_stays_here():
    turn = assistant(
        (
            Reasoning("hm", "sig", None, None, "anthropic"),
            Reasoning("plain"),
            Text("a", signature="thought", origin="gemini"),
            ToolCall("c", "f", "{}", '{"thought_signature":"x"}', "gemini"),
            Opaque("anthropic", "server_tool_use", "{}"),
        )
    )
    others = user((Opaque("anthropic", "document", "{}"), Reasoning("hm"), Text("x")))
    assert items_of((turn, others)) == [
        message("assistant", answered("a")),
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        message("user", said("x")),
    ]


@pytest.mark.parametrize(
    ("dialect", "encrypted", "goes"),
    [
        (Dialect(), "gAAA", True),
        (Dialect(), None, False),  # nothing is stored under its id
        (Dialect(store=True), None, True),
        (Dialect(store=None), None, True),
        (Dialect(reasoning_replay="all"), None, True),
        (Dialect(reasoning_replay="none", store=True), "gAAA", False),
    ],
)
def test_reasoning_goes_back_where_it_is_known_again(dialect: Dialect, encrypted: str | None, goes: bool):
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    part = Reasoning("", json.dumps(item), encrypted, "rs_1", OURS)
    assert items_of((user("x"), assistant((part,))), dialect)[1:] == ([item] if goes else [])


def test_a_reasoning_made_by_hand_is_written_as_an_item():
    by_hand = Reasoning("hm", None, "gAAA", "rs_1", OURS)
    assert items_of((assistant((by_hand, Reasoning("", None, "gAAB", None, OURS))),)) == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "gAAA",
        },
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAB"},
    ]


def test_answers_to_the_providers_own_calls_are_items_in_any_turn():
    output = Opaque(OURS, "local_shell_call_output", '{"type":"local_shell_call_output","id":"x"}')
    expected = {"type": "local_shell_call_output", "id": "x"}
    assert items_of((user((output, Text("go on"))),)) == [expected, message("user", said("go on"))]
    assert items_of((Message("tool", (output,)),)) == [expected]


def test_extra_of_a_message():
    turns = (
        Message("user", "x", name="ann", extra={"status": "completed"}),
        Message("assistant", (Text("a"), ToolCall("c", "f")), extra={"phase": "commentary"}),
        Message("tool", (ToolResult("c", "r"),), extra={"caller": {"type": "direct"}}),
    )
    items = items_of(turns)
    assert items[0] == message("user", said("x"), status="completed")
    assert items[1] == message("assistant", answered("a"), phase="commentary")
    assert "phase" not in items[2]
    assert items[3]["caller"] == {"type": "direct"}


def test_turns_with_nothing_in_them_are_left_out():
    assert items_of((user("x"), assistant(""), user(()))) == [message("user", said("x"))]


@pytest.mark.parametrize(
    "turn",
    [
        Message("tool", "text"),
        Message("tool", (ToolResult("c", "r"), Text("x"))),
        user((ToolCall("c", "f"),)),
        system((ToolResult("c", "r"),)),
        assistant((Opaque(OURS, "x", "no json"),)),
        assistant((Opaque(OURS, "x", "[]"),)),
        assistant((Reasoning("", "[", "e", None, OURS),)),
        assistant((Text("a", signature="1", origin=OURS),)),
        assistant((ToolCall("c", "f", "", "nonsense", OURS),)),
        assistant((Opaque(OURS, "x", '{"a":"\ud83d"}'),)),
    ],
)
def test_what_cannot_be_a_turn_is_refused(turn: Message):
    with pytest.raises(BadRequestError):
        items_of((turn,))


@pytest.mark.parametrize("part", [Image("https://x.test"), File(file_id="f"), ToolResult("c", "r")])
def test_what_an_assistant_cannot_have_said(part: Part):
    with pytest.raises(UnsupportedError):
        items_of((assistant((part,)),))


def test_half_characters_do_not_break_the_body():
    assert items_of("a\ud83d") == [message("user", said("a\ufffd"))]


def test_counting_asks_only_what_the_endpoint_takes():
    wire = OpenAIResponsesWire()
    request = ChatRequest(
        "m",
        (system("s"), user("x")),
        max_tokens=5,
        temperature=1,
        tools=(Tool("t"),),
        parallel_tool_calls=True,
        reasoning=ReasoningOptions("low"),
        user="u",
        extra={"truncation": "auto", "metadata": {}},
    )
    asked = wire.count_tokens(request)
    assert asked is not None
    assert (asked.method, asked.path) == ("POST", "/responses/input_tokens")
    body = json.loads(asked.body)
    assert sorted(body) == [
        "input",
        "instructions",
        "model",
        "parallel_tool_calls",
        "reasoning",
        "tools",
        "truncation",
    ]
    assert wire.token_count(b'{"object":"response.input_tokens","input_tokens":11}') == 11
    assert OpenAIResponsesWire(Dialect(count_path=None)).count_tokens(request) is None
    for wrong in (
        b"{}",
        b"[]",
        b'{"input_tokens":"x"}',
        b'{"input_tokens":true}',
        b'{"input_tokens":-1}',
        b"<html>",
    ):
        with pytest.raises(ProtocolError):
            wire.token_count(wrong)


def test_the_list_of_models():
    wire = OpenAIResponsesWire()
    asked = wire.list_models()
    assert asked is not None
    assert (asked.method, asked.path) == ("GET", "/models")
    [model] = wire.models(b'{"object":"list","data":[{"id":"gpt-5.1","created":7,"owned_by":"openai"}]}')
    assert (model.id, model.created) == ("gpt-5.1", 7)
    assert OpenAIResponsesWire(Dialect(models_path=None)).list_models() is None


def test_a_wire_says_what_it_is():
    wire = OpenAIResponsesWire(Dialect(origin="azure_responses"))
    assert (wire.name, wire.origin, repr(wire)) == (
        OURS,
        "azure_responses",
        "<OpenAIResponsesWire azure_responses>",
    )
    assert wire.rejects == ("stop", "seed", "presence_penalty", "frequency_penalty", "top_k")
