"""Requests of the Converse API: what a ChatRequest becomes, and what the API has no words for."""

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
from tercet.codecs.wire.bedrock_converse import BedrockConverseWire, Dialect
from tercet.codecs.wire.bedrock_models import PROFILE_PREFIXES, bare_id, family_of

CLAUDE, NOVA = "anthropic.claude-sonnet-4-6", "amazon.nova-2-lite-v1:0"
PNG = b"\x89PNG"


def said(request: ChatRequest, dialect: Dialect = Dialect()) -> dict[str, Any]:  # noqa: B008  # frozen: one for all is safe
    return json.loads(BedrockConverseWire(dialect).chat(request, stream=True).body)


def content(*parts: Any, role: Any = "user", dialect: Dialect = Dialect()) -> list[Any]:  # noqa: B008  # frozen: one for all is safe
    messages = said(ChatRequest(CLAUDE, [user("?"), Message(role, parts)]), dialect)["messages"]
    return [block for block in messages[-1]["content"] if block != {"text": "?"}]


# Addresses --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "segment"),
    [
        ("anthropic.claude-sonnet-4-6", "anthropic.claude-sonnet-4-6"),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", "us.anthropic.claude-3-7-sonnet-20250219-v1%3A0"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-x",
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude-x",
        ),
        ("a/../b?c#d e%2F", "a%2F..%2Fb%3Fc%23d%20e%252F"),
    ],
)
def test_a_model_is_one_segment_of_the_path(model: str, segment: str) -> None:
    wire = BedrockConverseWire()
    streamed, whole = (wire.chat(ChatRequest(model, "hi"), stream=stream) for stream in (True, False))
    assert streamed.path == f"/model/{segment}/converse-stream"
    assert whole.path == f"/model/{segment}/converse"
    assert streamed.body == whole.body
    assert streamed.headers == (("content-type", "application/json"),)
    assert streamed.method == "POST"


@pytest.mark.parametrize(
    ("model", "bare", "family"),
    [
        ("anthropic.claude-x", "anthropic.claude-x", "claude"),
        ("global.anthropic.claude-x", "anthropic.claude-x", "claude"),
        ("us-gov.anthropic.claude-x", "anthropic.claude-x", "claude"),
        ("anthropic.claude-v2:1", "anthropic.claude-v2:1", "claude_text"),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
            "amazon.nova-lite-v1:0",
            "nova",
        ),
        (
            "arn:aws-us-gov:bedrock:us-gov-west-1:1:inference-profile/us-gov.meta.llama3-8b",
            "meta.llama3-8b",
            "llama3",
        ),
        (
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc",
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc",
            None,
        ),
        ("usage.model", "usage.model", None),
    ],
)
def test_what_stands_in_front_of_an_id(model: str, bare: str, family: str | None) -> None:
    assert (bare_id(model), family_of(model)) == (bare, family)


def test_every_prefix_of_a_profile_is_cut_off() -> None:
    assert {bare_id(f"{prefix}.amazon.nova-lite-v1:0") for prefix in PROFILE_PREFIXES} == {
        "amazon.nova-lite-v1:0"
    }


# Messages ---------------------------------------------------------------------------------------------------------------


def test_a_conversation() -> None:
    request = ChatRequest(
        CLAUDE,
        [
            system("be"),
            Message("developer", "kind"),
            user("a"),
            user([Text("b"), Text("  "), Text("")]),
            assistant([Text("c"), ToolCall("t1", "f", '{"x": 1}'), ToolCall("t 2", "g")]),
            Message("tool", [Text("by the way"), ToolResult("t1", "one", is_error=True)]),
            tool_result("t 2", ""),
            system("later"),
            assistant("  "),
            user("d"),
        ],
    )
    assert said(request) == {
        "system": [{"text": "be"}, {"text": "kind"}, {"text": "later"}],
        "messages": [
            {"role": "user", "content": [{"text": "a"}, {"text": "b"}]},
            {
                "role": "assistant",
                "content": [
                    {"text": "c"},
                    {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"x": 1}}},
                    {"toolUse": {"toolUseId": "t_2", "name": "g", "input": {}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "t1", "content": [{"text": "one"}], "status": "error"}},
                    {"toolResult": {"toolUseId": "t_2", "content": []}},
                    {"text": "by the way"},
                    {"text": "d"},
                ],
            },
        ],
    }


def test_system_messages_in_their_place_where_the_dialect_has_them() -> None:
    request = ChatRequest(CLAUDE, [system("a"), user("b"), system("c"), user("d")])
    body = said(request, Dialect(system_turns=True))
    assert body["system"] == [{"text": "a"}]
    assert [turn["role"] for turn in body["messages"]] == ["user", "system", "user"]


def test_a_turn_with_extra_stands_alone() -> None:
    body = said(ChatRequest(CLAUDE, [user("a"), Message("user", "b", extra={"new": 1}), user("c")]))
    assert [turn.get("new") for turn in body["messages"]] == [None, 1, None]


def test_media() -> None:
    encoded = base64.b64encode(PNG).decode()
    image = {"image": {"format": "png", "source": {"bytes": encoded}}}
    assert content(
        Image(data=PNG, media_type="image/png"),
        Image(url=f"data:image/PNG;base64,{encoded}"),
        Image(url="s3://bucket/x.JPG"),
        File(data=PNG, media_type="image/png"),
        File(data=b"v", media_type="video/mp4; codecs=x"),
        File(data=b"%PDF", media_type="application/pdf", name="My  report_v2 (final) [1].pdf"),
        File(data=b"a,b", media_type="text/csv"),
        File(data=b"x", media_type="text/markdown", name=".?"),
        File(url="s3://bucket/notes.txt", name="notes"),
    ) == [
        image,
        image,
        {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/x.JPG"}}}},
        image,
        {"video": {"format": "mp4", "source": {"bytes": "dg=="}}},
        {"document": {"format": "pdf", "name": "My report-v2 (final) [1]", "source": {"bytes": "JVBERg=="}}},
        {"document": {"format": "csv", "name": "document-2", "source": {"bytes": "YSxi"}}},
        {"document": {"format": "md", "name": "--", "source": {"bytes": "eA=="}}},
        {
            "document": {
                "format": "txt",
                "name": "notes",
                "source": {"s3Location": {"uri": "s3://bucket/notes.txt"}},
            }
        },
    ]


@pytest.mark.parametrize(
    "part",
    [
        Image(url="https://example.test/x.png"),
        Image(data=b"x", media_type="image/tiff"),
        Image(data=b"x", media_type="application/pdf"),
        Image(url="s3://bucket/nothing"),
        File(file_id="f"),
        File(url="https://example.test/x.pdf"),
        File(data=b"x", media_type="application/zip"),
        ToolCall("a", "f"),
    ],
)
def test_parts_that_a_user_cannot_say(part: Any) -> None:
    with pytest.raises(UnsupportedError):
        content(part)


def test_results_with_pictures() -> None:
    result = ToolResult("a", [Text("x"), Text(" "), Image(data=PNG, media_type="image/png")])
    assert content(result)[0]["toolResult"]["content"] == [
        {"text": "x"},
        {"image": {"format": "png", "source": {"bytes": base64.b64encode(PNG).decode()}}},
    ]


def test_marks_for_the_cache() -> None:
    request = ChatRequest(
        CLAUDE,
        [
            system([Text("a", cache=True)]),
            user([Text("b", cache=True), Text("c")]),
            assistant([ToolCall("t", "f")]),
            user([ToolResult("t", "x", cache=True), Text("", cache=True)]),
        ],
        tools=(Tool("f", cache=True), Tool("g")),
    )
    point = {"cachePoint": {"type": "default"}}
    body = said(request)
    assert body["system"] == [{"text": "a"}, point]
    assert body["messages"][0]["content"] == [{"text": "b"}, point, {"text": "c"}]
    assert body["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": "t", "content": [{"text": "x"}]}},
        point,
    ]
    assert [next(iter(tool)) for tool in body["toolConfig"]["tools"]] == [
        "toolSpec",
        "cachePoint",
        "toolSpec",
    ]
    long = said(request, Dialect(cache_ttl="1h"))
    assert long["system"][1] == {"cachePoint": {"type": "default", "ttl": "1h"}}
    none = json.dumps(said(request, Dialect(cache_points=())))
    assert "cachePoint" not in none
    nova = said(request, Dialect(cache_points=("system", "messages")))
    assert len(nova["toolConfig"]["tools"]) == 2


def test_reasoning_goes_back_only_where_it_came_from() -> None:
    parts = (
        Reasoning("hm", "s+/=", origin="bedrock"),
        Reasoning(encrypted="AAEC", origin="bedrock"),
        Reasoning("unsigned", origin="bedrock"),
        Reasoning("hm", "s", origin="anthropic"),
        Opaque("bedrock", "future", '{"future": 1.0}'),
        Opaque("gemini", "x", "{}"),
        Text("x"),
    )
    assert content(*parts, role="assistant") == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s+/="}}},
        {"reasoningContent": {"redactedContent": "AAEC"}},
        {"future": 1.0},
        {"text": "x"},
    ]
    call = BedrockConverseWire().chat(ChatRequest(CLAUDE, [user("?"), assistant(parts)]), stream=True)
    assert b'{"future": 1.0}' in call.body  # byte for byte


def test_ids_of_calls_are_made_to_fit_and_stay_different() -> None:
    long = ["x" * 90 + end for end in "ab"]
    calls = content(*(ToolCall(identifier, "f") for identifier in long), role="assistant")
    ids = [call["toolUse"]["toolUseId"] for call in calls]
    results = content(*(ToolResult(identifier, "r") for identifier in long))
    assert [result["toolResult"]["toolUseId"] for result in results] == ids
    assert len(set(ids)) == 2
    assert all(len(identifier) == 64 for identifier in ids)


@pytest.mark.parametrize(
    "part",
    [
        ToolCall("a", "f", "[1]"),
        ToolCall("a", "f", '{"x"'),
        Opaque("bedrock", "future", '{"future"'),
        Text("x", signature="{}", origin="bedrock"),
    ],
)
def test_json_that_is_none_is_refused_before_it_is_sent(part: Any) -> None:
    with pytest.raises(BadRequestError):
        content(part, role="assistant")


# Options ----------------------------------------------------------------------------------------------------------------


def options(model: str = CLAUDE, dialect: Dialect = Dialect(), **fields: Any) -> dict[str, Any]:  # noqa: B008  # frozen: one for all is safe
    body = said(ChatRequest(model, "hi", **fields), dialect)
    del body["messages"]
    return body


def test_nothing_is_sent_that_was_not_said() -> None:
    assert options() == {}


def test_options() -> None:
    assert options(max_tokens=5, temperature=0.0, top_p=0.5, stop=["x"], service_tier="flex") == {
        "inferenceConfig": {"maxTokens": 5, "temperature": 0.0, "topP": 0.5, "stopSequences": ["x"]},
        "serviceTier": {"type": "flex"},
    }


def test_tools() -> None:
    tools = (Tool("f", "does", {"type": "object"}, strict=True), Tool("g"))
    assert options(tools=tools)["toolConfig"] == {
        "tools": [
            {
                "toolSpec": {
                    "name": "f",
                    "description": "does",
                    "inputSchema": {"json": {"type": "object"}},
                    "strict": True,
                }
            },
            {"toolSpec": {"name": "g", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
        ]
    }
    choices = {
        mode: options(tools=tools, tool_choice=ToolChoice(mode, name))["toolConfig"]["toolChoice"]  # type: ignore[arg-type]  # rows of a table
        for mode, name in (("auto", None), ("required", None), ("tool", "f"))
    }
    assert choices == {"auto": {"auto": {}}, "required": {"any": {}}, "tool": {"tool": {"name": "f"}}}
    assert options(tool_choice=ToolChoice("none")) == {}
    with pytest.raises(UnsupportedError, match="leave the tools out"):
        options(tools=tools, tool_choice=ToolChoice("none"))


def test_schemas() -> None:
    form = ResponseFormat("json_schema", {"type": "object"}, "thing")
    assert options(response_format=form) == {
        "outputConfig": {
            "textFormat": {
                "type": "json_schema",
                "structure": {"jsonSchema": {"schema": '{"type":"object"}', "name": "thing"}},
            }
        }
    }
    with pytest.raises(UnsupportedError):
        options(response_format=ResponseFormat("json_object"))


@pytest.mark.parametrize(
    ("model", "reasoning", "expected"),
    [
        (CLAUDE, ReasoningOptions(budget_tokens=2000), {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2000}}}),
        (CLAUDE, ReasoningOptions(enabled=False), {"additionalModelRequestFields": {"thinking": {"type": "disabled"}}}),
        (CLAUDE, ReasoningOptions(effort="high"), {"outputConfig": {"effort": "high"}}),
        (NOVA, ReasoningOptions(effort="low"), {"additionalModelRequestFields": {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}}),
        (NOVA, ReasoningOptions(enabled=True), {"additionalModelRequestFields": {"reasoningConfig": {"type": "enabled"}}}),
        (NOVA, ReasoningOptions(effort="none"), {"additionalModelRequestFields": {"reasoningConfig": {"type": "disabled"}}}),
        ("openai.gpt-oss-20b-1:0", ReasoningOptions(effort="low"), {"additionalModelRequestFields": {"reasoning_effort": "low"}}),
        ("zai.glm-5", ReasoningOptions(effort="low"), {"outputConfig": {"effort": "low"}}),
    ],
)  # fmt: skip
def test_reasoning(model: str, reasoning: ReasoningOptions, expected: dict[str, Any]) -> None:
    assert options(model, reasoning=reasoning) == expected


def test_claude_s_dialect() -> None:
    dialect = Dialect(thinking="adaptive", betas=("b-1",))
    assert options(dialect=dialect, reasoning=ReasoningOptions(enabled=True, effort="max")) == {
        "additionalModelRequestFields": {"anthropic_beta": ["b-1"], "thinking": {"type": "adaptive"}},
        "outputConfig": {"effort": "max"},
    }
    profile = "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"
    assert options(profile, Dialect(family="claude"), top_k=4) == {
        "additionalModelRequestFields": {"top_k": 4}
    }


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (CLAUDE, {"top_k": 4}),
        ("mistral.mistral-large-3-675b-instruct", {"top_k": 4}),
        ("cohere.command-r-v1:0", {"k": 4}),
        (NOVA, {"inferenceConfig": {"topK": 4}}),
    ],
)
def test_top_k_by_family(model: str, expected: dict[str, Any]) -> None:
    assert options(model, top_k=4) == {"additionalModelRequestFields": expected}


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (CLAUDE, {"seed": 1}),
        (CLAUDE, {"user": "u"}),
        (CLAUDE, {"verbosity": "low"}),
        (CLAUDE, {"parallel_tool_calls": False}),
        (CLAUDE, {"presence_penalty": 0.5}),
        (CLAUDE, {"temperature": 1.5}),
        (CLAUDE, {"temperature": 0.5, "reasoning": ReasoningOptions(budget_tokens=2000)}),
        ("meta.llama3-8b-instruct-v1:0", {"top_k": 4}),
        ("meta.llama3-8b-instruct-v1:0", {"reasoning": ReasoningOptions(budget_tokens=2000)}),
        ("meta.llama3-8b-instruct-v1:0", {"reasoning": ReasoningOptions(enabled=False)}),
        (NOVA, {"reasoning": ReasoningOptions(effort="low", summary="auto")}),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(model: str, fields: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError):
        options(model, **fields)


def test_a_conversation_of_nothing_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="got none"):
        said(ChatRequest(CLAUDE, [system("x"), user(" ")]))


def test_extra_joins_objects_and_wins() -> None:
    guard = {"guardrailIdentifier": "g", "guardrailVersion": "1", "trace": "enabled"}
    extra = {
        "guardrailConfig": guard,
        "additionalModelRequestFields": {"anthropic_beta": ["x"]},
        "inferenceConfig": {"maxTokens": 7},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
    }
    body = options(max_tokens=5, temperature=0.5, top_k=4, extra=extra)
    assert body == {
        "inferenceConfig": {"maxTokens": 7, "temperature": 0.5},
        "additionalModelRequestFields": {"top_k": 4, "anthropic_beta": ["x"]},
        "guardrailConfig": guard,
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
    }
