"""The adapter: what a model is known not to take is dropped or refused, by data; headers, costs, merged facts."""

from __future__ import annotations

import json
from typing import Any

import pytest

import tercet

KEY = "a-key-of-sixteen"
PICTURE = tercet.Message("user", [tercet.Text("what?"), tercet.Image("https://e.test/x.png")])


def adapter_of(provider: str, **how: Any) -> tercet.Adapter:
    environ = {"GOOGLE_CLOUD_PROJECT": "acme-llm", "AZURE_OPENAI_RESOURCE": "acme"}
    return tercet.ProviderRegistry().adapter(provider, keys=KEY, environ=environ, **how)


def body_of(
    provider: str, model: str, messages: Any = "hello", how: Any = None, **fields: Any
) -> dict[str, Any]:
    call = adapter_of(provider, **(how or {})).chat(
        tercet.ChatRequest("x", messages, **fields), model, stream=False
    )
    body: dict[str, Any] = json.loads(call.body)
    return body


# Rules of the models' generations -----------------------------------------------------------------------------------------

EFFORT = tercet.ReasoningOptions(effort="high")
OFF = tercet.ReasoningOptions(effort="none")


@pytest.mark.parametrize(
    ("target", "fields", "sent", "left_out"),
    [
        # OpenAI: reasoning models take no temperature while they reason; those whose default is not to reason do
        ("openai:gpt-5", {"temperature": 0.5, "top_p": 0.9}, {}, {"temperature", "top_p"}),
        ("openai:gpt-5.1", {"temperature": 0.5}, {"temperature": 0.5}, set()),
        ("openai:gpt-5.1", {"temperature": 0.5, "reasoning": EFFORT}, {"reasoning_effort": "high"}, {"temperature"}),
        ("openai:gpt-5.1", {"temperature": 0.5, "reasoning": OFF}, {"temperature": 0.5, "reasoning_effort": "none"}, set()),
        ("openai:gpt-4.1", {"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}, set()),
        ("openai:gpt-6.2-sol", {"temperature": 0.5, "presence_penalty": 1.0}, {}, {"temperature", "presence_penalty"}),
        ("azure:gpt-5", {"temperature": 0.5}, {}, {"temperature"}),
        ("azure:my-deployment", {"temperature": 0.5}, {"temperature": 0.5}, set()),
        # Anthropic: no sampling fields from Opus 4.7 and Sonnet 5 on
        ("anthropic:claude-sonnet-5", {"temperature": 0.5, "top_k": 5}, {}, {"temperature", "top_k"}),
        ("anthropic:claude-sonnet-4-5", {"temperature": 0.5, "top_k": 5}, {"temperature": 0.5, "top_k": 5}, set()),
        ("anthropic:claude-sonnet-5", {"seed": 1}, {}, {"seed"}),
        ("vertex:claude-sonnet-5", {"temperature": 0.5}, {}, {"temperature"}),
        ("vertex:claude-sonnet-4-5", {"temperature": 0.5}, {"temperature": 0.5}, set()),
        # Kimi's reasoning models, and xAI's
        ("moonshot:kimi-k3", {"temperature": 0.5}, {}, {"temperature"}),
        ("moonshot:moonshot-v1-8k", {"temperature": 0.5}, {"temperature": 0.5}, set()),
        ("xai:grok-4.7", {"stop": ("x",), "presence_penalty": 1.0}, {}, {"stop", "presence_penalty"}),
        # OpenAI's API has no top_k; OpenRouter passes it on
        ("openai:gpt-4.1", {"top_k": 5}, {}, {"top_k"}),
        ("openrouter:a/b", {"top_k": 5}, {"top_k": 5}, set()),
    ],
)  # fmt: skip
def test_what_a_model_does_not_take_is_left_out_or_refused(
    target: str, fields: dict[str, Any], sent: dict[str, Any], left_out: set[str]
) -> None:
    provider, _, model = target.partition(":")
    body = body_of(provider, model, **fields)
    assert {name: body.get(name) for name in sent} == sent
    assert not left_out & set(body)
    if left_out:
        with pytest.raises(tercet.UnsupportedError) as raised:
            body_of(provider, model, how={"unsupported": "error"}, **fields)
        assert any(f"{name}=" in raised.value.message for name in left_out)
        assert (raised.value.provider, raised.value.model) == (provider, model)
    else:
        assert body_of(provider, model, how={"unsupported": "error"}, **fields) == body


@pytest.mark.parametrize(
    "target", ["gemini:gemini-3.5-flash", "vertex:gemini-3.5-flash", "gemini:gemini-flash-latest"]
)
def test_gemini_3_is_told_a_level_and_gemini_2_5_a_budget(target: str) -> None:
    provider, _, model = target.partition(":")
    config = body_of(provider, model, reasoning=EFFORT)["generationConfig"]
    assert config["thinkingConfig"] == {"thinkingLevel": "high"}
    with pytest.raises(tercet.UnsupportedError, match="budget_tokens"):
        body_of(provider, model, reasoning=tercet.ReasoningOptions(budget_tokens=1024))
    older = body_of(provider, "gemini-2.5-pro", reasoning=tercet.ReasoningOptions(budget_tokens=1024))
    assert older["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 1024}
    with pytest.raises(tercet.UnsupportedError, match="effort"):
        body_of(provider, "gemini-2.5-pro", reasoning=EFFORT)


def test_gemini_3_gets_calls_of_other_models_with_googles_stand_in_for_a_signature() -> None:
    turns = [
        tercet.user("go"),
        tercet.Message("assistant", [tercet.ToolCall("c1", "f", "{}")]),
        tercet.tool_result("c1", "1", name="f"),
    ]
    contents = body_of("gemini", "gemini-3.5-flash", turns, tools=(tercet.Tool("f", ""),))["contents"]
    assert contents[1]["parts"][0]["thoughtSignature"] == "skip_thought_signature_validator"
    contents = body_of("gemini", "gemini-2.5-pro", turns, tools=(tercet.Tool("f", ""),))["contents"]
    assert "thoughtSignature" not in contents[1]["parts"][0]


@pytest.mark.parametrize("provider", ["anthropic", "vertex"])
def test_claude_thinks_by_budget_or_adaptively(provider: str) -> None:
    newer = body_of(provider, "claude-sonnet-5", reasoning=EFFORT)
    assert newer["thinking"]["type"] == "adaptive"
    assert newer["output_config"] == {"effort": "high"}
    older = body_of(provider, "claude-haiku-4-5", reasoning=tercet.ReasoningOptions(budget_tokens=2048))
    assert older["thinking"] == {"type": "enabled", "budget_tokens": 2048}


def test_later_system_messages_stand_in_their_place_where_the_model_takes_them() -> None:
    turns = [
        tercet.user("one"),
        tercet.assistant("two"),
        tercet.system("now in French"),
        tercet.user("three"),
    ]
    newer = body_of("anthropic", "claude-sonnet-5", turns)
    assert [message["role"] for message in newer["messages"]] == ["user", "assistant", "system", "user"]
    older = body_of("anthropic", "claude-haiku-4-5", turns)
    assert [message["role"] for message in older["messages"]] == ["user", "assistant", "user"]
    assert older["system"]


def test_tools_and_images_are_never_dropped_in_silence() -> None:
    profile = tercet.Profile(
        id="blind", base_url="https://blind.test/v1", rejects=("tools", "images", "seed"), key_required=False
    )
    adapter = tercet.ProviderRegistry([profile]).adapter("blind")
    with pytest.raises(tercet.UnsupportedError, match="does not take tools"):
        adapter.chat(tercet.ChatRequest("x", "hello", tools=(tercet.Tool("f", ""),)), "m", stream=False)
    with pytest.raises(tercet.UnsupportedError, match="an image in message 2"):
        adapter.chat(tercet.ChatRequest("x", [tercet.system("s"), PICTURE]), "m", stream=False)
    shown = tercet.tool_result("c", [tercet.Text("see"), tercet.Image("https://e.test/x.png")])
    with pytest.raises(tercet.UnsupportedError, match="an image in message 1"):
        adapter.chat(tercet.ChatRequest("x", [shown]), "m", stream=False)
    body = json.loads(adapter.chat(tercet.ChatRequest("x", "hello", seed=1), "m", stream=False).body)
    assert "seed" not in body


# Doors, headers, facts ----------------------------------------------------------------------------------------------------


def test_a_door_speaks_its_own_wire_in_both_directions() -> None:
    adapter = adapter_of("vertex")
    assert adapter.wire_for("claude-sonnet-5").name == "anthropic"
    assert adapter.wire_for("claude-sonnet-5") is adapter.wire_for("claude-sonnet-5")
    assert adapter.wire_for("gemini-2.5-pro").name == "gemini"
    refused = b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}'
    assert isinstance(adapter.error(529, {}, refused, model="claude-sonnet-5"), tercet.OverloadedError)
    whole = b'{"id":"m","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}'
    answer = adapter.response(whole, "claude-sonnet-5")
    assert (answer.text, answer.provider) == ("hi", "vertex")
    assert answer.usage is not None
    assert answer.usage.cost == pytest.approx((1 * 2 + 1 * 10) / 1e6)
    assert adapter.token_count(b'{"input_tokens":7}', "claude-sonnet-5") == 7
    assert adapter.token_count(b'{"totalTokens":8}', "gemini-2.5-pro") == 8


def test_a_wrong_dialect_behind_a_door_shows_at_once() -> None:
    with pytest.raises(tercet.ConfigurationError, match="no field 'pathh'"):
        tercet.ProviderRegistry([]).load_toml(
            '[acme]\nbase_url = "https://acme.test"\n[acme.doors."claude*"]\nwire = "anthropic"\ndialect = {pathh = "/x"}'
        )


def test_headers_of_row_adapter_and_request_in_that_order() -> None:
    profile = tercet.Profile(
        id="acme", base_url="https://acme.test/v1", headers={"X-Team": "row", "x-a": "1"}, key_required=False
    )
    adapter = tercet.ProviderRegistry([profile]).adapter("acme", headers={"x-team": "adapter"})
    asked = tercet.ChatRequest("acme:m", "hi", headers={"X-Team": "request", "x-b": "2"})
    headers = dict(adapter.chat(asked, "m", stream=False).headers)
    assert (headers["x-team"], headers["x-a"], headers["x-b"]) == ("request", "1", "2")
    assert len(headers) == len({name.lower() for name in headers})


def test_betas_of_a_request_join_those_of_the_row() -> None:
    asked = tercet.ChatRequest("x", "hi", headers={"Anthropic-Beta": "b-2"})
    profile = tercet.Profile(
        id="acme",
        base_url="https://acme.test",
        wire="anthropic",
        dialect={"betas": ["b-1"]},
        key_required=False,
    )
    adapter = tercet.ProviderRegistry([profile]).adapter("acme")
    assert dict(adapter.chat(asked, "m", stream=False).headers)["anthropic-beta"] == "b-1,b-2"


def test_the_providers_list_is_completed_from_the_catalog() -> None:
    adapter = adapter_of("openai")
    listed = adapter.models(b'{"data":[{"id":"gpt-5.1","created":5},{"id":"gpt-new"}]}')
    known, unknown = listed
    assert (known.created, known.provider, known.context_window is not None) == (5, "openai", True)
    assert (unknown.id, unknown.provider, unknown.context_window) == ("gpt-new", "openai", None)


def test_cost_is_the_providers_own_or_the_catalogs_or_unknown() -> None:
    adapter = adapter_of("openai")
    used = tercet.Usage(input_tokens=1_000_000, output_tokens=0)
    assert adapter.priced(used, "gpt-4.1").cost == pytest.approx(2.0)
    assert adapter.priced(tercet.Usage(1, 1, cost=0.5), "gpt-4.1").cost == 0.5
    assert adapter.priced(used, "nobody-knows-it").cost is None


def test_capabilities_are_the_rows_and_what_the_catalog_knows_of_the_model() -> None:
    row = adapter_of("moonshot").capabilities()
    model = adapter_of("moonshot").capabilities("kimi-k3")
    assert (row.context_window, model.context_window, model.images) == (None, 1048576, True)
    assert adapter_of("anthropic").capabilities("claude-sonnet-5").prefill is False
    assert adapter_of("anthropic").capabilities("claude-haiku-4-5").prefill is True


def test_a_provider_that_has_ended_is_refused_unless_an_address_is_given() -> None:
    profile = tercet.Profile(
        id="gone",
        base_url="https://gone.test/v1",
        status="sunset",
        notice="It ended in 2025.",
        key_required=False,
    )
    registry = tercet.ProviderRegistry([profile])
    with pytest.raises(tercet.ConfigurationError, match=r"gone has ended\. It ended in 2025"):
        registry.adapter("gone")
    assert registry.adapter("gone", base_url="https://back.test/v1").origin.host == "back.test"
