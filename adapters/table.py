"""The table of providers: one row each, in the order of the alphabet.

A row names only what differs from the defaults of :class:`Profile` and of its wire's ``Dialect``. Facts about single models
stand in ``catalog``. Facts are of ``as_of`` and from the page in ``docs``.
"""

from __future__ import annotations

from tercet.codecs.vocabulary import ProviderCapabilities

from .profile import Profile

__all__ = ["PROFILES"]

_AS_OF = "2026-11-22"
_FULL = ProviderCapabilities(
    tools=True, reasoning=True, images=True, structured_output=True, prompt_caching=True
)
_COMPATIBLE = {"max_tokens_field": "max_tokens", "done_marker": "optional", "files": "none"}
"""What most services that copy OpenAI's API have in common: the older field, and now and then no ``[DONE]``."""

PROFILES: tuple[Profile, ...] = (
    Profile(
        id="anthropic",
        name="Anthropic",
        base_url="https://api.anthropic.com",
        wire="anthropic",
        auth="x-api-key",
        key_env=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
        auth_env={"ANTHROPIC_AUTH_TOKEN": "bearer"},
        base_url_env={"ANTHROPIC_BASE_URL": ""},
        default_model="claude-sonnet-5",
        capabilities=ProviderCapabilities(
            tools=True,
            reasoning=True,
            images=True,
            files=True,
            structured_output=True,
            prompt_caching=True,
            citations=True,
            count_tokens=True,
        ),
        docs="https://docs.anthropic.com/en/api/messages",
        as_of=_AS_OF,
    ),
    Profile(
        id="deepseek",
        name="DeepSeek",
        base_url="https://api.deepseek.com",
        dialect={
            **_COMPATIBLE,
            "reasoning": "thinking",
            "reasoning_replay": "reasoning_content",
            "reasoning_fields": ("reasoning_content",),
            "json_schema": False,
            "images": False,
        },
        key_env=("DEEPSEEK_API_KEY",),
        default_model="deepseek-v4-flash",
        capabilities=ProviderCapabilities(tools=True, reasoning=True, images=False, prompt_caching=True),
        docs="https://api-docs.deepseek.com",
        as_of=_AS_OF,
    ),
    Profile(
        id="gemini",
        name="Google Gemini",
        base_url="https://generativelanguage.googleapis.com",
        wire="gemini",
        auth="x-goog-api-key",
        key_env=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        default_model="gemini-3.5-flash",
        capabilities=ProviderCapabilities(
            tools=True,
            reasoning=True,
            images=True,
            files=True,
            structured_output=True,
            prompt_caching=True,
            citations=True,
            count_tokens=True,
        ),
        docs="https://ai.google.dev/api/generate-content",
        as_of=_AS_OF,
    ),
    Profile(
        id="groq",
        name="Groq",
        base_url="https://api.groq.com/openai/v1",
        dialect={
            "files": "none",
            "reasoning_fields": ("reasoning",),
            "reasoning_replay": "reasoning",
            "message_names": False,
        },
        key_env=("GROQ_API_KEY",),
        default_model="openai/gpt-oss-120b",
        capabilities=ProviderCapabilities(
            tools=True, reasoning=True, structured_output=True, prompt_caching=True
        ),
        docs="https://console.groq.com/docs/api-reference",
        as_of=_AS_OF,
    ),
    Profile(
        id="mistral",
        name="Mistral",
        base_url="https://api.mistral.ai/v1",
        dialect={
            "max_tokens_field": "max_tokens",
            "stream_options": False,
            "renames": {"seed": "random_seed"},
            "reasoning_replay": "chunks",
            "tool_call_ids": "mistral",
            "tool_result_name": True,
            "tool_strict": False,
            "message_names": False,
            "files": "document_url",
            "prefill": "prefix",
            "rejects": ("top_k", "verbosity", "user"),
        },
        key_env=("MISTRAL_API_KEY",),
        default_model="mistral-medium-latest",
        capabilities=_FULL,
        docs="https://docs.mistral.ai/api",
        as_of=_AS_OF,
    ),
    Profile(
        id="ollama",
        name="Ollama",
        base_url="http://localhost:11434/v1",
        dialect={**_COMPATIBLE, "think_tags": True},
        key_env=("OLLAMA_API_KEY",),
        base_url_env={"OLLAMA_HOST": "/v1"},
        key_required=False,
        capabilities=ProviderCapabilities(tools=True, reasoning=True, images=True, structured_output=True),
        docs="https://github.com/ollama/ollama/blob/main/docs/openai.md",
        as_of=_AS_OF,
    ),
    Profile(
        id="openai",
        name="OpenAI",
        base_url="https://api.openai.com/v1",
        key_env=("OPENAI_API_KEY",),
        base_url_env={"OPENAI_BASE_URL": ""},
        default_model="gpt-5.1",
        capabilities=ProviderCapabilities(
            tools=True, reasoning=True, images=True, files=True, structured_output=True, prompt_caching=True
        ),
        docs="https://platform.openai.com/docs/api-reference/chat",
        as_of=_AS_OF,
    ),
    Profile(
        id="openrouter",
        name="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        dialect={
            "max_tokens_field": "max_tokens",
            "reasoning": "openrouter",
            "reasoning_replay": "reasoning_details",
            "reasoning_fields": ("reasoning",),
            "cache_marks": "parts",
            "files": "file_or_url",
            "origin": "openrouter",
            "rejects": (),
        },
        key_env=("OPENROUTER_API_KEY",),
        default_model="openrouter/auto",
        capabilities=_FULL,
        docs="https://openrouter.ai/docs/api-reference/overview",
        as_of=_AS_OF,
    ),
    Profile(
        id="simulated",
        name="Simulated",
        base_url="http://simulated.invalid/v1",
        auth="none",
        key_required=False,
        default_model="echo",
        capabilities=ProviderCapabilities(tools=True, reasoning=True),
        docs="a provider inside the process, for trying things out: no key, no network",
        as_of=_AS_OF,
    ),
    Profile(
        id="xai",
        name="xAI",
        base_url="https://api.x.ai/v1",
        dialect={
            "reasoning_fields": ("reasoning_content",),
            "output_excludes_reasoning": True,
            "cost_paths": ("cost_in_usd_ticks",),
            "cost_scale": 1e-10,
            "tool_strict": False,
            "message_names": False,
            "files": "none",
        },
        key_env=("XAI_API_KEY",),
        default_model="grok-4.7",
        capabilities=_FULL,
        docs="https://docs.x.ai/docs/api-reference",
        as_of=_AS_OF,
    ),
)
