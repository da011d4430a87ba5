"""The reference's handlers, one row each. A new handler of a known family is a row here; its facts are in ``models.json``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from . import facts
from .actions import Chunk
from .anthropic import AnthropicFamily
from .bedrock import BedrockFamily
from .chat import ChatFamily, ChatRow, Facts
from .family import Family, Setup
from .gemini import GeminiFamily
from .mistral import MistralFamily
from .ollama import OllamaFamily
from .openai import (
    as_openai,
    openai_client,
    openai_messages,
    openai_model,
    openai_stream_extras,
    openai_takes_over,
    openai_usage,
)
from .openrouter import (
    openrouter_extras,
    openrouter_fetched_model,
    openrouter_messages,
    openrouter_model,
    openrouter_prompt_extras,
    openrouter_usage,
)
from .params import cost_openai, model_params
from .responses import ResponsesFamily
from .row import NEEDS_KEY, plain_usage
from .values import get, present

__all__ = ["CHAT_ROWS", "handler", "providers"]


def _table_model(provider: str) -> Callable[[ChatFamily], dict[str, Any]]:
    """The configured id where the table has it, else the default one."""

    def model(family: ChatFamily) -> dict[str, Any]:
        known = facts.models(provider)
        model_id = family.options.get("apiModelId")
        if model_id not in known:
            model_id = facts.default_model(provider)
        return {"id": model_id, "info": known[model_id]}

    return model


def _xai_model(family: ChatFamily) -> dict[str, Any]:
    model = _table_model("xai")(family)
    return {**model, **model_params("openai", model["id"], model["info"], family.options)}


def _deepseek_model(family: ChatFamily) -> dict[str, Any]:
    known = facts.models("deepseek")
    model_id = family.options["openAiModelId"]
    info = known.get(model_id) or known[facts.default_model("deepseek")]
    return {"id": model_id, "info": info, **model_params("openai", model_id, info, family.options)}


def _deepseek_usage(usage: Any, info: Facts) -> Chunk:
    return {
        **plain_usage(usage, info),
        **present(
            cacheWriteTokens=get(usage, "prompt_tokens_details", "cache_miss_tokens"),
            cacheReadTokens=get(usage, "prompt_tokens_details", "cached_tokens"),
        ),
    }


def _groq_usage(usage: Any, info: Facts) -> Chunk:
    chunk = plain_usage(usage, info)
    reads = get(usage, "prompt_tokens_details", "cached_tokens") or 0
    cost = cost_openai(info, chunk["inputTokens"], chunk["outputTokens"], 0, reads)
    return {**chunk, "cacheWriteTokens": 0, "cacheReadTokens": reads, "totalCost": cost}


def _xai_usage(usage: Any, info: Facts) -> Chunk:
    reads = get(usage, "prompt_tokens_details", "cached_tokens") or get(usage, "cache_read_input_tokens") or 0
    writes = get(usage, "cache_creation_input_tokens") or 0
    return {**plain_usage(usage, info), "cacheReadTokens": reads, "cacheWriteTokens": writes}


_OPENAI = ChatRow(
    provider="openai",
    label="OpenAI",
    key="openAiApiKey",
    base="openAiBaseUrl",
    url="https://api.openai.com/v1",
    known_model=openai_model,
    usage=openai_usage,
    wraps_prompt=2,
    max_field="max_completion_tokens",
    max_when="setting",
    effort=True,
    prompt_limit=True,
    reasoning="reasoning_content",
    splits_think=True,
    usage_when="last",
    client=openai_client,
    messages=openai_messages,
    extras=openai_stream_extras,
    takes_over=openai_takes_over,
)


CHAT_ROWS: dict[str, ChatRow] = {
    row.provider: row
    for row in (
        _OPENAI,
        msgspec.structs.replace(
            _OPENAI,
            provider="deepseek",
            settings=as_openai(
                key="deepSeekApiKey",
                base="deepSeekBaseUrl",
                url="https://api.deepseek.com",
                default_model="deepseek-chat",
            ),
            known_model=_deepseek_model,
            usage=_deepseek_usage,
        ),
        ChatRow(
            provider="groq",
            label="Groq",
            key="groqApiKey",
            needs_key=NEEDS_KEY,
            url="https://api.groq.com/openai/v1",
            known_model=_table_model("groq"),
            usage=_groq_usage,
            wraps_stream=False,
            temperature=0.5,
        ),
        ChatRow(
            provider="xai",
            label="xAI",
            key="xaiApiKey",
            url="https://api.x.ai/v1",
            known_model=_xai_model,
            usage=_xai_usage,
            effort=True,
            prompt_effort=True,
            reasoning="reasoning_content",
        ),
        ChatRow(
            provider="openrouter",
            label="OpenRouter",
            key="openRouterApiKey",
            base="openRouterBaseUrl",
            url="https://openrouter.ai/api/v1",
            known_model=openrouter_model,
            usage=openrouter_usage,
            max_when="never",
            reasoning="reasoning",
            reasoning_first=True,
            usage_when="last",
            fetched_model=openrouter_fetched_model,
            messages=openrouter_messages,
            extras=openrouter_extras,
            prompt_extras=openrouter_prompt_extras,
        ),
    )
}

_OTHERS: dict[str, Callable[[Setup], Family]] = {
    "anthropic": AnthropicFamily,
    "bedrock": BedrockFamily,
    "gemini": GeminiFamily,
    "mistral": MistralFamily,
    "native-ollama": OllamaFamily,
    "openai-native": ResponsesFamily,
}


def handler(provider: str, setup: Setup) -> Family | None:
    """The handler of a provider, None for a name that has none. Raises ``ConfigurationError`` as its constructor does."""
    row = CHAT_ROWS.get(provider)
    if row is not None:
        return ChatFamily(row, setup)
    make = _OTHERS.get(provider)
    return make(setup) if make else None


def providers() -> tuple[str, ...]:
    """The names of all providers that have a handler."""
    return tuple(sorted((*CHAT_ROWS, *_OTHERS)))
