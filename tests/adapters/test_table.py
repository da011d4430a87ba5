"""The rows of the table, checked against the providers' pages: where a request goes, how the key goes with it, what is sent."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

import tercet
from tercet.adapters.call import HttpCall
from tercet.adapters.offers import offers
from tercet.adapters.table import PROFILES

KEY = "a-key-of-sixteen"
ENVIRON = {
    "AZURE_OPENAI_RESOURCE": "acme",
    "GOOGLE_CLOUD_PROJECT": "acme-llm",
}

# Where a streamed request for the model goes, and the header that carries the key: written down from the providers' sheets, not from the table.
ADDRESSES = {
    "anthropic": ("claude-sonnet-5", "https://api.anthropic.com/v1/messages", "x-api-key"),
    "azure": ("gpt-5.1", "https://acme.openai.azure.com/openai/v1/chat/completions", "api-key"),
    "azure-classic": (
        "my gpt",
        "https://acme.openai.azure.com/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21",
        "api-key",
    ),
    "cerebras": ("gpt-oss-120b", "https://api.cerebras.ai/v1/chat/completions", "bearer"),
    "chutes": ("m", "https://llm.chutes.ai/v1/chat/completions", "bearer"),
    "deepinfra": ("m", "https://api.deepinfra.com/v1/openai/chat/completions", "bearer"),
    "deepseek": ("deepseek-v4-pro", "https://api.deepseek.com/chat/completions", "bearer"),
    "doubao": ("ep-1", "https://ark.cn-beijing.volces.com/api/v3/chat/completions", "bearer"),
    "featherless": ("m", "https://api.featherless.ai/v1/chat/completions", "bearer"),
    "fireworks": (
        "accounts/fireworks/models/m",
        "https://api.fireworks.ai/inference/v1/chat/completions",
        "bearer",
    ),
    "gemini": (
        "gemini-3.5-flash",
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse",
        "x-goog-api-key",
    ),
    "gemini-cli": (
        "gemini-2.5-pro",
        "https://cloudcode-pa.googleapis.com/v1internal:streamGenerateContent?alt=sse",
        "bearer",
    ),
    "glama": ("openai/gpt-4o", "https://gateway.glama.ai/v1/chat/completions", "bearer"),
    "groq": ("openai/gpt-oss-120b", "https://api.groq.com/openai/v1/chat/completions", "bearer"),
    "huggingface": ("org/m:fastest", "https://router.huggingface.co/v1/chat/completions", "bearer"),
    "io-intelligence": ("m", "https://api.intelligence.io.solutions/api/v1/chat/completions", "bearer"),
    "litellm": ("m", "http://localhost:4000/chat/completions", "bearer"),
    "lm-studio": ("m", "http://localhost:1234/v1/chat/completions", "bearer"),
    "mistral": ("mistral-large-4", "https://api.mistral.ai/v1/chat/completions", "bearer"),
    "moonshot": ("kimi-k3", "https://api.moonshot.ai/v1/chat/completions", "bearer"),
    "openai": ("gpt-5.1", "https://api.openai.com/v1/chat/completions", "bearer"),
    "openrouter": ("a/b", "https://openrouter.ai/api/v1/chat/completions", "bearer"),
    "perplexity": ("sonar-pro", "https://api.perplexity.ai/chat/completions", "bearer"),
    "qwen-code": (
        "qwen3-coder-plus",
        "https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions",
        "bearer",
    ),
    "requesty": ("a/b", "https://router.requesty.ai/v1/chat/completions", "bearer"),
    "roo": ("a/b", "https://api.roocode.com/proxy/v1/chat/completions", "bearer"),
    "sambanova": ("m", "https://api.sambanova.ai/v1/chat/completions", "bearer"),
    "unbound": ("a/b", "https://api.getunbound.ai/v1/chat/completions", "bearer"),
    "vercel-ai-gateway": ("a/b", "https://ai-gateway.vercel.sh/v1/chat/completions", "bearer"),
    "vertex": (
        "gemini-3.5-flash",
        "https://aiplatform.googleapis.com/v1beta1/projects/acme-llm/locations/global/publishers/google/models/"
        "gemini-3.5-flash:streamGenerateContent?alt=sse",
        "bearer",
    ),
    "xai": ("grok-4.7", "https://api.x.ai/v1/chat/completions", "bearer"),
    "zai": ("glm-5.3", "https://api.z.ai/api/paas/v4/chat/completions", "bearer"),
}


def adapter_of(provider: str, environ: dict[str, str] | None = None, **how: Any) -> tercet.Adapter:
    return tercet.ProviderRegistry().adapter(
        provider, keys=KEY, environ=ENVIRON if environ is None else environ, **how
    )


def asked(provider: str, model: str, messages: Any = "hello", **fields: Any) -> HttpCall:
    adapter = adapter_of(provider, **fields.pop("how", {}))
    call = adapter.chat(tercet.ChatRequest(f"{provider}:{model}", messages, **fields), model, stream=True)
    return adapter.keys[0].authorize(call, 0.0)


def body_of(provider: str, model: str, messages: Any = "hello", **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(asked(provider, model, messages, **fields).body)
    return body


@pytest.mark.parametrize("provider", ADDRESSES)
def test_a_request_goes_to_the_providers_address_with_its_key(provider: str) -> None:
    model, address, style = ADDRESSES[provider]
    call = asked(provider, model)
    assert f"{call.origin}{call.target}" == address
    headers = dict(call.headers)
    carried = headers["authorization"] if style == "bearer" else headers[style]
    assert carried == (f"Bearer {KEY}" if style == "bearer" else KEY)
    assert sum(KEY in value for value in headers.values()) == 1
    assert KEY not in repr(call)


def test_the_rows_are_in_order_and_say_where_their_facts_are_from() -> None:
    ids = [profile.id for profile in PROFILES]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)
    for profile in PROFILES:
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", profile.as_of), profile.id
        assert profile.docs.startswith("https://") or profile.id == "simulated", profile.id
        assert profile.name, profile.id
        assert profile.status == "active" or profile.notice, profile.id
        assert profile.key_env or not profile.key_required, profile.id


def test_what_a_row_says_it_can_is_what_its_dialect_can() -> None:
    wrong: list[str] = []
    for profile in PROFILES:
        for offer in offers(profile):
            said = profile.capabilities
            for cell in ("tools", "reasoning", "images"):
                if (getattr(said, cell) is True and cell in offer.missing) or (
                    getattr(said, cell) is False and cell not in offer.missing
                ):
                    wrong.append(
                        f"{offer.name}: capabilities.{cell} is {getattr(said, cell)}, the dialect says otherwise"
                    )
            if not offer.door and said.count_tokens != (offer.counts == "provider"):
                wrong.append(
                    f"{offer.name}: capabilities.count_tokens is {said.count_tokens}, tokens are counted {offer.counts}"
                )
            if said.list_models == ("models" in offer.missing):
                wrong.append(f"{offer.name}: capabilities.list_models is {said.list_models}")
    assert wrong == []


def test_default_models_are_known_and_have_not_retired() -> None:
    for profile in PROFILES:
        facts = tercet.ProviderRegistry([profile])
        adapter = facts.adapter(profile.id, keys=KEY, environ=ENVIRON)
        if profile.default_model is None or not len(adapter.catalog):
            continue
        model = adapter.catalog.get(profile.default_model)
        assert model is not None, (profile.id, profile.default_model)
        assert model.retires is None or model.retires > profile.as_of, (profile.id, model.retires)


# Settings and addresses ---------------------------------------------------------------------------------------------------


def test_azure_wants_to_know_its_resource_and_says_every_way_on() -> None:
    with pytest.raises(tercet.ConfigurationError) as raised:
        adapter_of("azure", {})
    for way in (
        "AZURE_OPENAI_ENDPOINT",
        "AZURE_OPENAI_RESOURCE",
        "base_urls={'azure': 'https://NAME.openai.azure.com/openai/v1'}",
    ):
        assert way in raised.value.message
    given = adapter_of("azure", {}, base_url="https://acme.services.ai.azure.com/openai/v1")
    assert given.origin.host == "acme.services.ai.azure.com"
    endpoint = adapter_of("azure", {"AZURE_OPENAI_ENDPOINT": "https://acme.openai.azure.com/"})
    assert endpoint.base_url == "https://acme.openai.azure.com/openai/v1"


def test_azures_api_version_and_entra_tokens_come_from_the_environment() -> None:
    registry = tercet.ProviderRegistry()
    environ = {
        **ENVIRON,
        "OPENAI_API_VERSION": "2025-04-01-preview",
        "AZURE_OPENAI_AD_TOKEN": "entra-token-1",
    }
    adapter = registry.adapter("azure-classic", environ=environ)
    call = adapter.list_models()
    assert call is not None
    assert call.target == "/openai/models?api-version=2025-04-01-preview"
    [key] = adapter.keys
    assert ("authorization", "Bearer entra-token-1") in key.authorize(call, 0.0).headers


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
    ],
)
def test_vertex_has_a_host_for_each_location(location: str, host: str) -> None:
    adapter = adapter_of("vertex", {"GOOGLE_CLOUD_PROJECT": "acme-llm", "GOOGLE_CLOUD_LOCATION": location})
    assert adapter.origin.host == host
    call = adapter.chat(tercet.ChatRequest("x", "hello"), "gemini-3.5-flash", stream=False)
    assert f"/locations/{location}/publishers/google/models/gemini-3.5-flash:generateContent" in call.target


def test_vertex_has_a_door_for_claude_and_one_for_other_publishers() -> None:
    claude = asked("vertex", "claude-sonnet-4-5@20250929")
    assert claude.target == (
        "/v1/projects/acme-llm/locations/global/publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict"
    )
    body = json.loads(claude.body)
    assert body["anthropic_version"] == "vertex-2023-10-16"
    assert "model" not in body
    assert "anthropic-version" not in dict(claude.headers)
    other = asked("vertex", "meta/llama-4-maverick-17b-128e-instruct-maas")
    assert other.target == "/v1/projects/acme-llm/locations/global/endpoints/openapi/chat/completions"
    assert json.loads(other.body)["model"] == "meta/llama-4-maverick-17b-128e-instruct-maas"
    counted = adapter_of("vertex").count_tokens(tercet.ChatRequest("x", "hello"), "claude-sonnet-5")
    assert counted is not None
    assert counted.target.endswith("/publishers/anthropic/models/count-tokens:rawPredict")
    assert json.loads(counted.body)["model"] == "claude-sonnet-5"


def test_a_missing_project_is_asked_for_by_name() -> None:
    with pytest.raises(tercet.ConfigurationError, match="needs its project: set GOOGLE_CLOUD_PROJECT"):
        adapter_of("gemini-cli", {})
    with pytest.raises(tercet.ConfigurationError, match="needs its project"):
        adapter_of("vertex", {})
    assert adapter_of("vertex", {}, settings={"project": "p"}).origin.host == "aiplatform.googleapis.com"


@pytest.mark.parametrize("value", ["a/b", "evil.example#", "x@y", "", "a b", "..", "?"])
def test_a_setting_cannot_become_another_host(value: str) -> None:
    with pytest.raises(tercet.ConfigurationError, match="resource is letters"):
        adapter_of("azure", {}, settings={"resource": value})


def test_zais_lines_are_settings() -> None:
    for line, address in (
        ("international", "https://api.z.ai/api/paas/v4"),
        ("international_coding", "https://api.z.ai/api/coding/paas/v4"),
        ("china", "https://open.bigmodel.cn/api/paas/v4"),
        ("china_coding", "https://open.bigmodel.cn/api/coding/paas/v4"),
    ):
        assert adapter_of("zai", settings={"line": line}).base_url == address


def test_health_is_asked_where_it_is_cheapest() -> None:
    cheaper = {
        "anthropic": "/v1/models?limit=1",
        "deepseek": "/user/balance",
        "gemini": "/v1beta/models?pageSize=1",
        "litellm": "/health/liveliness",
        "moonshot": "/v1/users/me/balance",
        "openrouter": "/api/v1/key",
        "perplexity": "/v1/models",
        "vercel-ai-gateway": "/v1/credits",
        "xai": "/v1/api-key",
    }
    for provider, target in cheaper.items():
        call = adapter_of(provider).health_check()
        assert call is not None
        assert (call.method, call.target) == ("GET", target)
    call = adapter_of("anthropic").health_check()
    assert call is not None
    assert "anthropic-version" in dict(call.headers)


# What single providers want -----------------------------------------------------------------------------------------------

THINK = tercet.ReasoningOptions(enabled=True)
LOW = tercet.ReasoningOptions(effort="low")


@pytest.mark.parametrize(
    ("provider", "options", "said"),
    [
        ("openai", LOW, {"reasoning_effort": "low"}),
        ("moonshot", LOW, {"reasoning_effort": "low"}),
        ("zai", THINK, {"thinking": {"type": "enabled"}}),
        ("doubao", tercet.ReasoningOptions(enabled=False), {"thinking": {"type": "disabled"}}),
        ("deepseek", LOW, {"thinking": {"type": "enabled"}, "reasoning_effort": "low"}),
        (
            "qwen-code",
            tercet.ReasoningOptions(enabled=True, budget_tokens=512),
            {"enable_thinking": True, "thinking_budget": 512},
        ),
        ("openrouter", LOW, {"reasoning": {"effort": "low"}}),
        ("vercel-ai-gateway", tercet.ReasoningOptions(budget_tokens=512), {"reasoning": {"max_tokens": 512}}),
    ],
)
def test_each_is_asked_to_reason_in_its_own_words(
    provider: str, options: tercet.ReasoningOptions, said: dict[str, Any]
) -> None:
    body = body_of(provider, "vendor/model", reasoning=options)
    fields = ("reasoning", "reasoning_effort", "thinking", "enable_thinking", "thinking_budget")
    assert {field: body[field] for field in fields if field in body} == said


def test_the_limit_goes_in_the_field_that_each_knows() -> None:
    older = {
        profile.id
        for profile in PROFILES
        if profile.wire == "openai_chat" and "max_tokens" in body_of(profile.id, "a/b", max_tokens=5)
    }
    newer = {profile.id for profile in PROFILES if profile.wire == "openai_chat"} - older
    assert newer >= {
        "azure",
        "azure-classic",
        "cerebras",
        "deepinfra",
        "groq",
        "openai",
        "vercel-ai-gateway",
        "xai",
    }
    assert older >= {"deepseek", "doubao", "mistral", "moonshot", "perplexity", "sambanova", "zai"}


def test_who_is_not_asked_for_usage_in_streams() -> None:
    silent = {
        profile.id
        for profile in PROFILES
        if profile.wire == "openai_chat" and "stream_options" not in body_of(profile.id, "a/b")
    }
    assert silent >= {
        "cerebras",
        "glama",
        "lm-studio",
        "mistral",
        "perplexity",
        "unbound",
        "vercel-ai-gateway",
    }
    assert not silent & {"openai", "azure", "groq", "xai", "deepseek", "openrouter", "moonshot", "zai"}


def test_perplexity_gets_turns_that_alternate_and_no_tools() -> None:
    turns = [
        tercet.system("s"),
        tercet.user("one"),
        tercet.user("two"),
        tercet.assistant("three"),
        tercet.user("four"),
    ]
    body = body_of("perplexity", "sonar-pro", turns, stop=("x",), seed=1)
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
    assert body["messages"][1]["content"] == "one\ntwo"
    assert not {"stop", "seed", "stream_options"} & set(body)
    with pytest.raises(tercet.UnsupportedError, match="does not take tools"):
        body_of("perplexity", "sonar-pro", tools=(tercet.Tool("f", ""),))


def test_kimi_gets_its_reasoning_back_or_a_space() -> None:
    called = tercet.Message("assistant", [tercet.ToolCall("c1", "f", "{}")])
    thought = tercet.Message("assistant", [tercet.Reasoning("hm"), tercet.ToolCall("c2", "f", "{}")])
    turns = [tercet.user("go"), called, tercet.tool_result("c1", "1"), thought, tercet.tool_result("c2", "2")]
    messages = body_of("moonshot", "kimi-k3", turns, tools=(tercet.Tool("f", ""),))["messages"]
    assert [message.get("reasoning_content") for message in messages if message["role"] == "assistant"] == [
        " ",
        "hm",
    ]
    with pytest.raises(tercet.UnsupportedError, match="required"):
        body_of(
            "moonshot", "kimi-k3", tools=(tercet.Tool("f", ""),), tool_choice=tercet.ToolChoice("required")
        )


def test_a_beginning_of_the_answer_is_marked_where_the_service_has_a_mark() -> None:
    turns = [tercet.user("go"), tercet.assistant("Once upon")]
    assert body_of("moonshot", "kimi-k3", turns)["messages"][-1]["partial"] is True
    assert body_of("mistral", "mistral-large-4", turns)["messages"][-1]["prefix"] is True
    assert set(body_of("openai", "gpt-4.1", turns)["messages"][-1]) == {"role", "content"}


def test_cerebras_gets_text_but_its_models_that_see_get_images() -> None:
    parts = tercet.Message("user", [tercet.Text("a"), tercet.Text("b")])
    assert body_of("cerebras", "gpt-oss-120b", [parts])["messages"][0]["content"] == "a\nb"
    picture = tercet.Message("user", [tercet.Text("a"), tercet.Image("https://e.test/x.png")])
    with pytest.raises(tercet.UnsupportedError):
        body_of("cerebras", "gpt-oss-120b", [picture])
    assert body_of("cerebras", "gemma-4-31b", [picture])["messages"][0]["content"][1]["type"] == "image_url"


def test_unbound_takes_what_stands_behind_the_slash() -> None:
    assert body_of("unbound", "anthropic/claude-x")["model"] == "claude-x"
    assert body_of("unbound", "plain")["model"] == "plain"
    assert body_of("openrouter", "anthropic/claude-x")["model"] == "anthropic/claude-x"


def test_code_assist_wraps_the_request() -> None:
    body = body_of("gemini-cli", "gemini-2.5-pro")
    assert (body["model"], body["project"], list(body["request"])) == (
        "gemini-2.5-pro",
        "acme-llm",
        ["contents"],
    )


def test_prices_in_lists_of_models_are_per_token_or_per_million() -> None:
    deepinfra = b'{"data":[{"id":"m","metadata":{"context_length":8192,"pricing":{"input_tokens":0.4,"output_tokens":1.6}}}]}'
    [model] = adapter_of("deepinfra").models(deepinfra)
    assert (model.context_window, model.prices[0].input, model.prices[0].output) == (8192, 0.4, 1.6)
    unbound = b'{"a/b":{"maxTokens":100,"contextWindow":"x","inputTokenPrice":"3.0","outputTokenPrice":"15"}}'
    [model] = adapter_of("unbound").models(unbound)
    assert (model.id, model.prices[0].input, model.prices[0].output) == ("a/b", 3.0, 15.0)
    litellm = (
        b'{"data":[{"model_name":"m","litellm_params":{"model":"x"},"model_info":{"max_input_tokens":9,"input_cost_per_token":1e-6,'
        b'"output_cost_per_token":2e-6}}]}'
    )
    [model] = adapter_of("litellm").models(litellm)
    assert (model.id, model.context_window, model.prices[0].output) == ("m", 9, 2.0)
