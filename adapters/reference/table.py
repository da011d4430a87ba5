"""The reference's handlers, one row each. A new handler of a known family is a row here; its facts are in ``models.json``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from .actions import Chunk
from .anthropic import AnthropicFamily
from .bedrock import BedrockFamily
from .chat import ChatFamily, ChatRow, Facts
from .claude_code import ClaudeCodeFamily
from .clones import clone_rows, openai_table_model, prompt_cache_usage, table_model
from .family import Family, Setup
from .gemini import GeminiFamily
from .gemini_cli import GeminiCliFamily
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
from .qwen_code import QwenCodeFamily
from .responses import ResponsesFamily
from .routers import ROUTER_ROWS
from .row import NEEDS_KEY, plain_usage
from .values import get
from .vertex import AnthropicVertexFamily, vertex_family
from .vscode_lm import VsCodeFamily

__all__ = ["CHAT_ROWS", "handler", "providers"]


def _xai_model(family: ChatFamily) -> dict[str, Any]:
    model = table_model(family)
    return {**model, **model_params("openai", model["id"], model["info"], family.options)}


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
            known_model=openai_table_model,
            usage=prompt_cache_usage,
        ),
        ChatRow(
            provider="groq",
            label="Groq",
            key="groqApiKey",
            needs_key=NEEDS_KEY,
            url="https://api.groq.com/openai/v1",
            known_model=table_model,
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
        *clone_rows(_OPENAI),
        *ROUTER_ROWS,
    )
}
_ALIASES = {"litellm": "lite-llm", "lmstudio": "lm-studio"}  # the reference's settings have them so

_OTHERS: dict[str, Callable[[Setup], Family]] = {
    "anthropic": AnthropicFamily,
    "anthropic-vertex": AnthropicVertexFamily,
    "bedrock": BedrockFamily,
    "claude-code": ClaudeCodeFamily,
    "gemini": GeminiFamily,
    "gemini-cli": GeminiCliFamily,
    "mistral": MistralFamily,
    "native-ollama": OllamaFamily,
    "openai-native": ResponsesFamily,
    "vertex": vertex_family,
    "vscode-lm": VsCodeFamily,
}


def handler(provider: str, setup: Setup) -> Family | None:
    """The handler of a provider, None for a name that has none. Raises ``ConfigurationError`` as its constructor does."""
    row = CHAT_ROWS.get(_ALIASES.get(provider, provider))
    if row is not None:
        return (QwenCodeFamily if row.provider == "qwen-code" else ChatFamily)(row, setup)
    make = _OTHERS.get(provider)
    return make(setup) if make else None


def providers() -> tuple[str, ...]:
    """The names of all providers that have a handler."""
    return tuple(sorted((*CHAT_ROWS, *_OTHERS)))
