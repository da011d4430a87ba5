"""Rows of routers: services that pass a request on to whoever has the model, and tell what they have in a list that is fetched first."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import facts
from .actions import Chunk
from .caching import mark_last_parts, mark_openai_anthropic, mark_openai_gemini, mark_vercel
from .catalogues import requesty_url
from .chat import ChatFamily, app_name, chat_messages, plain_client
from .glama import glama_closing, glama_headers
from .messages import Message
from .openai import openai_usage
from .params import cost_openai, model_params
from .row import ChatRow, Client, Facts, Turn, plain_usage
from .values import get, is_true, present

__all__ = ["ROUTER_ROWS"]

_O3_MINI = "openai/o3-mini"  # takes no temperature
_GPT_5 = re.compile(r"\bgpt-?5(?!\d)", re.IGNORECASE | re.ASCII)
_EFFORTS = ("low", "medium", "high")


def _routed_model(setting: str, default_info: str) -> Callable[[ChatFamily], dict[str, Any]]:
    """The configured model where the list has it, else the default one with the facts the reference keeps of it."""

    def model(family: ChatFamily) -> dict[str, Any]:
        default = facts.default_model(family.row.provider)
        chosen = family.options.get(setting)
        model_id = default if chosen is None else chosen
        info = family.models.get(model_id)
        if info is not None:
            return {"id": model_id, "info": info}
        return {"id": default, "info": facts.constant(family.row.provider, default_info)}

    return model


def _costed(info: Facts, chunk: Chunk, writes: float, reads: float) -> float:
    return cost_openai(info, chunk["inputTokens"], chunk["outputTokens"], writes, reads)


# --- DeepInfra -----------------------------------------------------------------------------------------------------------------


def _deepinfra_model(family: ChatFamily) -> dict[str, Any]:
    chosen = family.options.get("deepInfraModelId")
    model_id = facts.default_model("deepinfra") if chosen is None else chosen
    info = family.models.get(model_id) or facts.constant("deepinfra", "deepInfraDefaultModelInfo")
    return {"id": model_id, "info": info, **model_params("openai", model_id, info, family.options)}


def _deepinfra_client(family: ChatFamily) -> Client:
    labels = {"X-Deepinfra-Source": app_name(family, "roo-code"), "X-Deepinfra-Version": "2025-08-25"}
    return plain_client(family, headers=labels)


def _deepinfra_extras(family: ChatFamily, model: Facts, turn: Turn) -> dict[str, Any]:
    caches = is_true(model["info"].get("supportsPromptCache"))
    return {
        "reasoning_effort": model.get("reasoningEffort"),
        "prompt_cache_key": (turn.metadata.get("taskId") or None) if caches else None,
    }


def _deepinfra_usage(usage: Any, info: Facts) -> Chunk:
    chunk = plain_usage(usage, info)
    writes = get(usage, "prompt_tokens_details", "cache_write_tokens") or 0
    reads = get(usage, "prompt_tokens_details", "cached_tokens") or 0
    return {
        **chunk,
        **present(cacheWriteTokens=writes or None, cacheReadTokens=reads or None),
        "totalCost": _costed(info, chunk, writes, reads),
    }


# --- Glama ---------------------------------------------------------------------------------------------------------------------


def _glama_messages(
    family: ChatFamily, model: Facts, system: str, messages: Sequence[Message]
) -> list[dict[str, Any]]:
    converted = chat_messages(family, model, system, messages)
    if model["id"].startswith("anthropic/claude-3"):
        mark_openai_anthropic(system, converted)
    return converted


# --- LiteLLM -------------------------------------------------------------------------------------------------------------------


def _litellm_messages(
    family: ChatFamily, model: Facts, system: str, messages: Sequence[Message]
) -> list[dict[str, Any]]:
    converted = chat_messages(family, model, system, messages)
    if is_true(family.options.get("litellmUsePromptCache")) and is_true(
        model["info"].get("supportsPromptCache")
    ):
        mark_last_parts(system, converted)
    return converted


def _litellm_limit(family: ChatFamily, model: Facts, turn: Turn | None = None) -> dict[str, Any]:
    field = "max_completion_tokens" if _GPT_5.search(model["id"]) else "max_tokens"
    return {field: model["info"].get("maxTokens") or None}


def _litellm_usage(usage: Any, info: Facts) -> Chunk:
    chunk = plain_usage(usage, info)
    writes = get(usage, "cache_creation_input_tokens") or get(usage, "prompt_cache_miss_tokens") or 0
    reads = (
        get(usage, "prompt_tokens_details", "cached_tokens")
        or get(usage, "cache_read_input_tokens")
        or get(usage, "prompt_cache_hit_tokens")
        or 0
    )
    return {
        **chunk,
        **present(cacheWriteTokens=writes or None, cacheReadTokens=reads or None),
        "totalCost": _costed(info, chunk, writes, reads),
    }


def _litellm_words(message: str, is_stream: bool) -> str:
    return f"LiteLLM {'streaming' if is_stream else 'completion'} error: {message}"


# --- Requesty ------------------------------------------------------------------------------------------------------------------


def _requesty_model(family: ChatFamily) -> dict[str, Any]:
    chosen = family.options.get("requestyModelId")
    model_id = facts.default_model("requesty") if chosen is None else chosen
    info = family.models.get(model_id) or facts.constant("requesty", "requestyDefaultModelInfo")
    return {"id": model_id, "info": info, **model_params("anthropic", model_id, info, family.options)}


def _requesty_client(family: ChatFamily) -> Client:
    return plain_client(family, url=requesty_url(family.options.get("requestyBaseUrl")))


def _requesty_extras(family: ChatFamily, model: Facts, turn: Turn) -> dict[str, Any]:
    effort = model.get("reasoningEffort")
    return {
        "temperature": model.get("temperature"),
        "reasoning_effort": effort if effort in _EFFORTS else None,
        "thinking": model.get("reasoning"),
        "requesty": present(
            trace_id=turn.metadata.get("taskId"), extra=present(mode=turn.metadata.get("mode"))
        ),
    }


def _requesty_prompt(family: ChatFamily, model: Facts) -> dict[str, Any]:
    return {"temperature": model.get("temperature")}


def _requesty_usage(usage: Any, info: Facts) -> Chunk:
    chunk = plain_usage(usage, info)
    writes = get(usage, "prompt_tokens_details", "caching_tokens") or 0
    reads = get(usage, "prompt_tokens_details", "cached_tokens") or 0
    return {
        **chunk,
        "cacheWriteTokens": writes,
        "cacheReadTokens": reads,
        "totalCost": _costed(info, chunk, writes, reads),
    }


# --- Unbound -------------------------------------------------------------------------------------------------------------------


def _unbound_client(family: ChatFamily) -> Client:
    labels = [{"key": "app", "value": app_name(family, "roo-code")}]
    return plain_client(
        family, headers={"X-Unbound-Metadata": json.dumps({"labels": labels}, separators=(",", ":"))}
    )


def _unbound_messages(
    family: ChatFamily, model: Facts, system: str, messages: Sequence[Message]
) -> list[dict[str, Any]]:
    converted = chat_messages(family, model, system, messages)
    if is_true(model["info"].get("supportsPromptCache")):
        if model["id"].startswith("google/"):
            mark_openai_gemini(system, converted)
        elif model["id"].startswith("anthropic/"):
            mark_openai_anthropic(system, converted)
    return converted


def _unbound_extras(family: ChatFamily, model: Facts, turn: Turn) -> dict[str, Any]:
    return _unbound_request(family, model, turn.metadata)


def _unbound_prompt_extras(family: ChatFamily, model: Facts) -> dict[str, Any]:
    return _unbound_request(family, model, {})


def _unbound_request(family: ChatFamily, model: Facts, metadata: Mapping[str, Any]) -> dict[str, Any]:
    parts = model["id"].split("/")
    return {
        "model": parts[1] if len(parts) > 1 else model["id"],
        "unbound_metadata": present(
            originApp=app_name(family, "roo-code"), taskId=metadata.get("taskId"), mode=metadata.get("mode")
        ),
    }


# --- Vercel AI Gateway -----------------------------------------------------------------------------------------------------------


def _vercel_messages(
    family: ChatFamily, model: Facts, system: str, messages: Sequence[Message]
) -> list[dict[str, Any]]:
    converted = chat_messages(family, model, system, messages)
    cached = facts.constant("vercel-ai-gateway", "VERCEL_AI_GATEWAY_PROMPT_CACHING_MODELS")
    if model["id"] in cached and is_true(model["info"].get("supportsPromptCache")):
        mark_vercel(converted)
    return converted


def _vercel_usage(usage: Any, info: Facts) -> Chunk:
    cost = get(usage, "cost")
    return {
        **plain_usage(usage, info),
        **present(
            cacheWriteTokens=get(usage, "cache_creation_input_tokens") or None,
            cacheReadTokens=get(usage, "prompt_tokens_details", "cached_tokens") or None,
        ),
        "totalCost": 0 if cost is None else cost,
    }


ROUTER_ROWS: tuple[ChatRow, ...] = (
    ChatRow(
        provider="deepinfra",
        label="DeepInfra",
        key="deepInfraApiKey",
        base="deepInfraBaseUrl",
        url="https://api.deepinfra.com/v1/openai",
        known_model=_deepinfra_model,
        usage=_deepinfra_usage,
        user_headers=True,
        wraps_stream=False,
        wraps_prompt=0,
        catalogue="deepinfra",
        fetches="keyed",
        no_temperature=_O3_MINI,
        max_field="max_completion_tokens",
        max_when="setting",
        prompt_limit=True,
        prompt_temperature=True,
        order="model messages stream stream_options reasoning_effort prompt_cache_key temperature",
        reasoning="reasoning_content",
        usage_when="last",
        client=_deepinfra_client,
        extras=_deepinfra_extras,
    ),
    ChatRow(
        provider="glama",
        label="Glama",
        key="glamaApiKey",
        url="https://glama.ai/api/gateway/openai/v1",
        known_model=_routed_model("glamaModelId", "glamaDefaultModelInfo"),
        user_headers=True,
        wraps_stream=False,
        catalogue="glama",
        fetches="plain",
        no_temperature=_O3_MINI,
        max_when="anthropic",
        stream_options=False,
        prompt_limit=True,
        prompt_temperature=True,
        order="model max_tokens messages stream temperature",
        prompt_order="model messages temperature max_tokens",
        usage_when="never",
        stream_headers=glama_headers,
        messages=_glama_messages,
        closing=glama_closing,
    ),
    ChatRow(
        provider="lite-llm",
        label="LiteLLM",
        key="litellmApiKey",
        no_key="dummy-key",
        base="litellmBaseUrl",
        url="http://localhost:4000",
        known_model=_routed_model("litellmModelId", "litellmDefaultModelInfo"),
        usage=_litellm_usage,
        user_headers=True,
        wraps_all=True,
        catalogue="litellm",
        fetches="keyed",
        no_temperature=_O3_MINI,
        max_when="never",
        prompt_temperature=True,
        order="model messages stream stream_options max_tokens max_completion_tokens temperature",
        prompt_order="model messages temperature",
        usage_when="last",
        messages=_litellm_messages,
        extras=_litellm_limit,
        prompt_extras=_litellm_limit,
        words=_litellm_words,
    ),
    ChatRow(
        provider="requesty",
        label="Requesty",
        key="requestyApiKey",
        base="requestyBaseUrl",
        url="https://router.requesty.ai/v1",
        known_model=_requesty_model,
        usage=_requesty_usage,
        catalogue="requesty",
        fetches="plain",
        max_when="params",
        prompt_limit=True,
        prompt_role="system",
        order="messages model max_tokens temperature reasoning_effort thinking stream stream_options requesty",
        prompt_order="model max_tokens messages temperature",
        reasoning="reasoning_content",
        usage_when="last",
        client=_requesty_client,
        extras=_requesty_extras,
        prompt_extras=_requesty_prompt,
    ),
    ChatRow(
        provider="unbound",
        label="Unbound",
        key="unboundApiKey",
        url="https://api.getunbound.ai/v1",
        known_model=_routed_model("unboundModelId", "unboundDefaultModelInfo"),
        usage=openai_usage,
        user_headers=True,
        wraps_stream=False,
        catalogue="unbound",
        fetches="keyed",
        no_temperature=_O3_MINI,
        max_when="anthropic",
        stream_options=False,
        prompt_limit=True,
        prompt_temperature=True,
        order="model max_tokens messages stream unbound_metadata temperature",
        prompt_order="model messages unbound_metadata temperature max_tokens",
        client=_unbound_client,
        messages=_unbound_messages,
        extras=_unbound_extras,
        prompt_extras=_unbound_prompt_extras,
    ),
    ChatRow(
        provider="vercel-ai-gateway",
        label="Vercel AI Gateway",
        key="vercelAiGatewayApiKey",
        url="https://ai-gateway.vercel.sh/v1",
        known_model=_routed_model("vercelAiGatewayModelId", "vercelAiGatewayDefaultModelInfo"),
        usage=_vercel_usage,
        user_headers=True,
        wraps_stream=False,
        catalogue="vercel-ai-gateway",
        fetches="plain",
        temperature=0.7,
        no_temperature=_O3_MINI,
        max_field="max_completion_tokens",
        stream_options=False,
        prompt_limit=True,
        prompt_temperature=True,
        prompt_stream=True,
        order="model messages temperature max_completion_tokens stream",
        prompt_order="model messages stream temperature max_completion_tokens",
        messages=_vercel_messages,
    ),
)
