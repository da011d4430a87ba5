"""What a ChatRequest looks like as a body of the Messages API."""

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
from tercet.codecs.wire.anthropic import AnthropicWire, Dialect

VERTEX = Dialect(
    path="/v1/projects/p/locations/r/publishers/anthropic/models/{model}:rawPredict",
    stream_path="/v1/projects/p/locations/r/publishers/anthropic/models/{model}:streamRawPredict",
    count_path="/v1/projects/p/locations/r/publishers/anthropic/models/count-tokens:rawPredict",
    models_path=None,
    version="vertex-2023-10-16",
    version_in="body",
    betas=("b-1", "b-2"),
    model_in_body=False,
)
BEDROCK = Dialect(
    path="/model/{model}/invoke",
    stream_path="/model/{model}/invoke-with-response-stream",
    count_path=None,
    version="bedrock-2023-05-31",
    version_in="body",
    betas=("b-1",),
    betas_in="body",
    model_in_body=False,
    stream_in_body=False,
)
ADAPTIVE = Dialect(thinking="adaptive")


def body(messages: Any = "hi", dialect: Dialect = Dialect(), *, stream: bool = False, **options: Any) -> Any:  # noqa: B008  # frozen
    return json.loads(
        AnthropicWire(dialect).chat(ChatRequest("claude-x", messages, **options), stream=stream).body
    )


def content(*parts: Any, role: str = "user", dialect: Dialect = Dialect()) -> Any:  # noqa: B008  # frozen
    return body([Message(role, parts)], dialect)["messages"][0]["content"]  # type: ignore[arg-type]  # a role of the tests' choosing


def test_the_smallest_request_says_only_what_the_api_insists_on() -> None:
    assert body() == {
        "model": "claude-x",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    }
    assert body(stream=True)["stream"] is True


def test_path_and_headers() -> None:
    call = AnthropicWire(Dialect(betas=("b-1", "b-2"))).chat(ChatRequest("claude-x", "hi"), stream=True)
    assert (call.method, call.path) == ("POST", "/v1/messages")
    assert call.headers == (
        ("content-type", "application/json"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "b-1,b-2"),
    )


def test_vertex_has_the_model_in_the_path_and_the_version_in_the_body() -> None:
    wire = AnthropicWire(VERTEX)
    request = ChatRequest("claude-sonnet-4@20250514", "hi")
    call = wire.chat(request, stream=True)
    assert call.path.endswith("/models/claude-sonnet-4@20250514:streamRawPredict")
    assert wire.chat(request, stream=False).path.endswith("@20250514:rawPredict")
    said = json.loads(call.body)
    assert (said["anthropic_version"], said["stream"], "model" in said) == ("vertex-2023-10-16", True, False)
    assert dict(call.headers)["anthropic-beta"] == "b-1,b-2"
    count = wire.count_tokens(request)
    assert count is not None
    assert json.loads(count.body)["model"] == "claude-sonnet-4@20250514"
    assert wire.list_models() is None


def test_bedrock_has_everything_in_path_and_body() -> None:
    wire = AnthropicWire(BEDROCK)
    call = wire.chat(ChatRequest("arn:aws:x/y-v1:0", "hi"), stream=True)
    assert call.path == "/model/arn%3Aaws%3Ax%2Fy-v1%3A0/invoke-with-response-stream"
    assert call.headers == (("content-type", "application/json"),)
    said = json.loads(call.body)
    assert said["anthropic_version"] == "bedrock-2023-05-31"
    assert said["anthropic_beta"] == ["b-1"]
    assert not {"model", "stream"} & said.keys()
    assert wire.count_tokens(ChatRequest("m", "hi")) is None


def test_leading_system_messages_become_system_and_later_ones_follow_them() -> None:
    turns = [system("a"), Message("developer", [Text("b", cache=True)]), user("hi"), system("c"), user("ho")]
    said = body(turns)
    marked = {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}
    assert said["system"] == [{"type": "text", "text": "a"}, marked, {"type": "text", "text": "c"}]
    assert [block["text"] for block in said["messages"][0]["content"]] == ["hi", "ho"]


def test_later_system_messages_stay_in_their_place_where_the_model_takes_them() -> None:
    said = body([system("a"), user("hi"), system("c"), user("ho")], Dialect(system_turns=True))
    assert said["system"] == [{"type": "text", "text": "a"}]
    assert [message["role"] for message in said["messages"]] == ["user", "system", "user"]


def test_tool_results_of_several_messages_stand_first_in_one() -> None:
    turns = [
        user("go"),
        assistant([ToolCall("a", "f", '{"x" : 1.0}'), ToolCall("b", "g")]),
        tool_result("a", "1"),
        user([Text("and"), ToolResult("b", [Text("no")], is_error=True, cache=True)]),
    ]
    said = body(turns)["messages"]
    assert [message["role"] for message in said] == ["user", "assistant", "user"]
    assert said[1]["content"][1] == {"type": "tool_use", "id": "b", "name": "g", "input": {}}
    assert said[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "1"},
        {
            "type": "tool_result",
            "tool_use_id": "b",
            "content": [{"type": "text", "text": "no"}],
            "is_error": True,
            "cache_control": {"type": "ephemeral"},
        },
        {"type": "text", "text": "and"},
    ]


def test_arguments_are_sent_byte_for_byte() -> None:
    arguments = '{ "x" : 1.50,\n "y":"\\u00e9\\/" , "x":2}'
    call = AnthropicWire().chat(ChatRequest("m", [assistant([ToolCall("a", "f", arguments)])]), stream=False)
    assert arguments.encode() in call.body


@pytest.mark.parametrize("arguments", ['{"x": ', "[]", '"text"', "{} {}", "nul"])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    with pytest.raises(BadRequestError, match="tool call 'a'"):
        body([assistant([ToolCall("a", "f", arguments)])])


def test_ids_of_other_providers_are_made_acceptable_on_both_sides() -> None:
    said = body([user("x"), assistant([ToolCall("functions.f:0", "f")]), tool_result("functions.f:0", "1")])[
        "messages"
    ]
    assert said[1]["content"][0]["id"] == said[2]["content"][0]["tool_use_id"] == "functions_f_0"


def test_images() -> None:
    base64 = {"type": "base64", "media_type": "image/png", "data": "AAE="}
    assert content(Image(url="https://x/y.png")) == [
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
    ]
    assert content(Image(data=b"\0\1", media_type="image/png")) == [{"type": "image", "source": base64}]
    assert content(Image(url="data:image/png;base64,AAE="))[0]["source"] == base64
    assert content(Image(url="https://x/y.png", cache=True))[0]["cache_control"] == {"type": "ephemeral"}


def test_documents() -> None:
    assert content(File(url="https://x/y.pdf", name="y")) == [
        {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}, "title": "y"}
    ]
    assert content(File(file_id="file_1"))[0]["source"] == {"type": "file", "file_id": "file_1"}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}
    assert content(File(data=b"%PDF", media_type="application/pdf"))[0]["source"] == pdf
    assert content(File(url="data:application/pdf;base64,JVBERg=="))[0]["source"] == pdf
    text = {"type": "text", "media_type": "text/plain", "data": "# é"}
    assert content(File(data="# é".encode(), media_type="text/markdown"))[0]["source"] == text
    assert content(File(data=b"\0", media_type="image/png"))[0]["type"] == "image"
    with pytest.raises(UnsupportedError, match="application/zip"):
        content(File(data=b"PK", media_type="application/zip"))


@pytest.mark.parametrize(
    ("part", "role"),
    [
        (Image(url="https://x"), "assistant"),
        (File(file_id="f"), "system"),
        (ToolCall("a", "f"), "user"),
        (ToolResult("a", "1"), "assistant"),
    ],
)
def test_parts_in_the_wrong_role_are_refused(part: Any, role: str) -> None:
    with pytest.raises(UnsupportedError, match=role):
        content(part, role=role)


def test_opaque_data_returns_only_to_where_it_came_from() -> None:
    block = '{"type": "server_tool_use" , "id":"s", "input":{"q":1}}'
    parts: list[Part] = [
        Reasoning("think", "sig", origin="anthropic"),
        Reasoning(encrypted="xyz", origin="anthropic"),
        Opaque("anthropic", "server_tool_use", block),
        Reasoning("think", "sig", origin="gemini"),
        Reasoning("think", origin="anthropic"),
        Reasoning("think"),
        Opaque("openai", "x", "{}"),
        Text("", origin=None),
        Text("said", signature='[{"url" :"u"}]', origin="anthropic"),
        Text("said", signature="gemini's", origin="gemini"),
    ]
    call = AnthropicWire().chat(ChatRequest("m", [assistant(parts)]), stream=False)
    assert block.encode() in call.body
    assert json.loads(call.body)["messages"][0]["content"] == [
        {"type": "thinking", "thinking": "think", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xyz"},
        json.loads(block),
        {"type": "text", "text": "said", "citations": [{"url": "u"}]},
        {"type": "text", "text": "said"},
    ]
    foreign = json.loads(
        AnthropicWire(Dialect(origin="other")).chat(ChatRequest("m", [assistant(parts)]), stream=False).body
    )
    assert [block["type"] for block in foreign["messages"][0]["content"]] == ["text", "text"]


def test_opaque_parts_that_are_no_json_are_refused() -> None:
    with pytest.raises(BadRequestError, match="opaque part 'x'"):
        content(Opaque("anthropic", "x", '{"a":1}, {'))


def test_messages_of_which_nothing_is_left_are_left_out() -> None:
    assert len(body([user("hi"), assistant([Reasoning("x")]), user("ho")])["messages"]) == 1
    with pytest.raises(UnsupportedError, match="needs a user or assistant message"):
        body([system("only")])


def test_a_turn_with_extra_stands_alone() -> None:
    said = body([user("a"), Message("user", "b", extra={"id": 1}), user("c")])["messages"]
    assert [message.get("id") for message in said] == [None, 1, None]


def test_cache_marks_may_have_a_time_to_live() -> None:
    assert content(Text("x", cache=True), dialect=Dialect(cache_ttl="1h"))[0]["cache_control"] == {
        "type": "ephemeral",
        "ttl": "1h",
    }


def test_tools() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "number"}}}
    said = body(tools=[Tool("f", "does f", schema, strict=True, cache=True), Tool("g")])["tools"]
    assert said == [
        {
            "name": "f",
            "description": "does f",
            "input_schema": schema,
            "strict": True,
            "cache_control": {"type": "ephemeral"},
        },
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
    ]


@pytest.mark.parametrize(
    ("choice", "parallel", "said"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("auto"), None, {"type": "auto"}),
        (ToolChoice("required"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice("tool", "f"), None, {"type": "tool", "name": "f"}),
        (ToolChoice("none"), False, {"type": "none"}),
    ],
)
def test_tool_choice(choice: ToolChoice | None, parallel: bool | None, said: Any) -> None:
    assert (
        body(tools=[Tool("f")], tool_choice=choice, parallel_tool_calls=parallel).get("tool_choice") == said
    )


@pytest.mark.parametrize(
    ("options", "thinking", "effort"),
    [
        (ReasoningOptions(), None, None),
        (ReasoningOptions(budget_tokens=2000), {"type": "enabled", "budget_tokens": 2000}, None),
        (ReasoningOptions(enabled=True), {"type": "enabled", "budget_tokens": 8192}, None),
        (ReasoningOptions(enabled=False, effort="low"), {"type": "disabled"}, "low"),
        (ReasoningOptions(budget_tokens=0), {"type": "disabled"}, None),
        (ReasoningOptions(effort="none"), {"type": "disabled"}, None),
        (ReasoningOptions(effort="high"), None, "high"),
    ],
)
def test_reasoning_with_a_budget(options: ReasoningOptions, thinking: Any, effort: str | None) -> None:
    said = body(reasoning=options)
    assert said.get("thinking") == thinking
    assert said.get("output_config", {}).get("effort") == effort
    assert said["max_tokens"] == 8192 + (thinking or {}).get("budget_tokens", 0)


def test_a_budget_of_ours_leaves_room_in_max_tokens() -> None:
    options = ReasoningOptions(enabled=True)
    assert body(reasoning=options, max_tokens=4000)["thinking"]["budget_tokens"] == 3200
    assert body(reasoning=options, max_tokens=100)["thinking"]["budget_tokens"] == 1024


@pytest.mark.parametrize(
    ("options", "thinking"),
    [
        (ReasoningOptions(), None),
        (ReasoningOptions(enabled=True), {"type": "adaptive"}),
        (ReasoningOptions(effort="max"), {"type": "adaptive"}),
        (ReasoningOptions(budget_tokens=-1), {"type": "adaptive"}),
        (ReasoningOptions(summary="auto"), {"type": "adaptive", "display": "summarized"}),
        (ReasoningOptions(enabled=True, summary="omitted"), {"type": "adaptive", "display": "omitted"}),
        (ReasoningOptions(enabled=False), {"type": "disabled"}),
    ],
)
def test_adaptive_reasoning(options: ReasoningOptions, thinking: Any) -> None:
    assert body(dialect=ADAPTIVE, reasoning=options).get("thinking") == thinking


def test_structured_output() -> None:
    schema = {"type": "object"}
    form = ResponseFormat("json_schema", schema)
    said = body(response_format=form, reasoning=ReasoningOptions(effort="low"))
    assert said["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": schema}}
    assert "output_config" not in body(response_format=ResponseFormat("text"))


@pytest.mark.parametrize(
    ("dialect", "options", "field", "value"),
    [
        (Dialect(), {"seed": 7}, "seed", "7"),
        (Dialect(), {"presence_penalty": 0.5}, "presence_penalty", "0.5"),
        (Dialect(), {"frequency_penalty": 0.5}, "frequency_penalty", "0.5"),
        (Dialect(), {"verbosity": "low"}, "verbosity", "low"),
        (Dialect(), {"temperature": 1.5}, "temperature", "1.5"),
        (Dialect(), {"response_format": ResponseFormat("json_object")}, "response_format", "json_object"),
        (Dialect(), {"temperature": 0.5, "reasoning": ReasoningOptions(budget_tokens=2000)}, "temperature", "0.5"),
        (ADAPTIVE, {"temperature": 0.5, "reasoning": ReasoningOptions(effort="low")}, "temperature", "0.5"),
        (Dialect(), {"top_p": 0.9, "reasoning": ReasoningOptions(enabled=True)}, "top_p", "0.9"),
        (Dialect(), {"top_k": 4, "reasoning": ReasoningOptions(enabled=True)}, "top_k", "4"),
        (Dialect(), {"tool_choice": ToolChoice("required"), "reasoning": ReasoningOptions(enabled=True)}, "tool_choice", "required"),
        (Dialect(), {"reasoning": ReasoningOptions(budget_tokens=-1)}, "budget_tokens", "-1"),
        (ADAPTIVE, {"reasoning": ReasoningOptions(budget_tokens=9)}, "budget_tokens", "9"),
        (Dialect(takes_sampling=False), {"top_p": 1.0}, "top_p", "1.0"),
    ],
)  # fmt: skip
def test_what_the_api_cannot_say_is_refused_by_field_and_value(
    dialect: Dialect, options: Any, field: str, value: str
) -> None:
    with pytest.raises(UnsupportedError) as caught:
        body(dialect=dialect, **options)
    assert field in str(caught.value)
    assert value in str(caught.value)


def test_the_other_fields_and_extra_last() -> None:
    said = body(
        max_tokens=5,
        temperature=1,
        top_p=0.5,
        top_k=3,
        stop=["x"],
        user="u",
        service_tier="auto",
        reasoning=ReasoningOptions(enabled=False),
        extra={"speed": "fast", "max_tokens": 6},
    )
    assert {key: said[key] for key in ("max_tokens", "temperature", "top_p", "top_k", "stop_sequences")} == {
        "max_tokens": 6,
        "temperature": 1,
        "top_p": 0.5,
        "top_k": 3,
        "stop_sequences": ["x"],
    }
    assert (said["metadata"], said["service_tier"], said["speed"]) == ({"user_id": "u"}, "auto", "fast")


def test_counting_asks_with_the_prompt_alone() -> None:
    wire = AnthropicWire()
    request = ChatRequest(
        "m",
        [system("s"), user("hi")],
        temperature=0.5,
        max_tokens=9,
        stop=["x"],
        tools=[Tool("f")],
        extra={"speed": "fast"},
    )
    call = wire.count_tokens(request)
    assert call is not None
    assert call.path == "/v1/messages/count_tokens"
    assert set(json.loads(call.body)) == {"model", "system", "messages", "tools"}
    assert wire.token_count(b'{"input_tokens": 14}') == 14


def test_the_list_of_models() -> None:
    wire = AnthropicWire()
    call = wire.list_models()
    assert call is not None
    assert (call.method, call.path, call.body) == ("GET", "/v1/models?limit=1000", b"")
    old, new, odd = wire.models(
        b'{"data":[{"type":"model","id":"claude-3","display_name":"Claude 3","created_at":"2024-02-29T00:00:00Z"},'
        b'{"id":"claude-9","max_input_tokens":1000000,"max_tokens":128000,"retires_at":"2027-11-30T00:00:00Z"},'
        b'{"id":"odd","created_at":"long ago"}],"has_more":false}'
    )
    assert (old.id, old.name, old.created, old.context_window) == ("claude-3", "Claude 3", 1709164800, None)
    assert (new.context_window, new.max_output_tokens, new.retires) == (1_000_000, 128_000, "2027-11-30")
    assert odd.created is None
