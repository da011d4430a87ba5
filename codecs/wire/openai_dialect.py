"""By what the services that speak OpenAI's chat completions differ, as values: a provider's row fills in a :class:`Dialect`.

The defaults are OpenAI's own API as of 2026-11. Facts about single *models* (who takes a temperature, who thinks) are not here:
they are data of the catalogue, and the adapter applies them before a request reaches the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

__all__ = ["Dialect"]


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One service's way of speaking. Every field has a default, so a row names only what differs.

    Addresses: ``chat_path`` (``{model}`` stands for the percent-encoded id: Azure's deployments), ``models_path`` (None: no list),
    ``count_path`` (Moonshot's ``/tokenizers/estimate-token-count``).

    Requests:

    - ``max_tokens_field``; ``renames`` gives other names to other fields (``{"seed": "random_seed"}``).
    - ``stream_options``: whether usage is asked for in streams. Mistral answers 422 to the field, others send usage anyway.
    - ``system_role``: what becomes of ``system`` and ``developer`` messages; None leaves each as the caller wrote it.
    - ``reasoning``: how :class:`ReasoningOptions` are said. ``effort``: ``reasoning_effort``. ``openrouter``: ``reasoning{effort,
      max_tokens, enabled}``. ``thinking``: ``thinking{type}`` and ``reasoning_effort`` (DeepSeek, Z.ai, Doubao). ``thinking_budget``:
      ``thinking{type, budget_tokens}`` (LiteLLM, Requesty). ``enable_thinking``: ``enable_thinking``, ``thinking_budget`` (DashScope).
      ``none``: refused.
    - ``reasoning_replay``: how the reasoning of earlier answers goes back: as a ``reasoning_content`` or ``reasoning`` text, as the
      untouched ``reasoning_details``, as Mistral's ``thinking`` chunks inside the content, or not at all.
    - ``reasoning_placeholder``: sent as ``reasoning_content`` where a message with tool calls has none (Moonshot wants one).
    - ``cache_marks``: ``parts`` puts ``cache_control`` on marked parts; ``none`` leaves marks out (the service caches by itself).
    - ``rejects``: fields of :class:`ChatRequest` that the service does not take: using one raises ``UnsupportedError``.
    - ``json_schema``: whether ``response_format`` may be a schema. ``tool_choices``: which of the four modes exist.
    - ``tool_results``: ``string``, or ``parts`` (a list of text parts where the caller gave one, or marked it for the cache).
    - ``tool_result_name``: tool messages carry the tool's ``name``. ``tool_call_ids``: ``mistral`` turns ids that are not nine
      letters or digits into such, the same each time.
    - ``tool_strict``, ``message_names``: whether ``strict`` of a tool and ``name`` of a message are sent.
    - ``files``: ``file`` (OpenAI: data or id), ``file_or_url`` (OpenRouter), ``file_url`` (Perplexity), ``document_url`` (Mistral), ``none``.
    - ``images``: whether messages may hold images. ``flatten``: every content becomes one string (Cerebras).
    - ``alternate``: one system message first, then user and assistant in turn: neighbours of one role are merged (Perplexity).
    - ``prefill``: the field that marks a final assistant message as the beginning of the answer (``prefix``, ``partial``).

    Answers:

    - ``reasoning_fields``: which delta fields hold reasoning, first non-empty one first (some servers send the same text in two).
    - ``think_tags``: ``<think>`` at the start of the content is reasoning.
    - ``done_marker``: ``required``: only ``[DONE]`` completes a stream, or its clean end after a finish reason and usage. ``optional``: after
      a finish reason its clean end does, too.
    - ``cached_paths``, ``cache_write_paths``, ``reasoning_paths``, ``cost_paths``: where usage says what; the first number counts.
      ``cost_scale``: dollars per unit of cost.
    - ``output_excludes_reasoning``: ``completion_tokens`` leaves reasoning out while ``total_tokens`` has it (xAI).
    - ``price_unit``: what prices in the list of models are for.

    ``origin`` names this service on the opaque data of its answers, so that it goes back here and nowhere else; None: the wire's name.
    """

    origin: str | None = None

    chat_path: str = "/chat/completions"
    models_path: str | None = "/models"
    count_path: str | None = None

    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    renames: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    stream_options: bool = True
    system_role: Literal["system", "developer", "user"] | None = None
    reasoning: Literal["effort", "openrouter", "thinking", "thinking_budget", "enable_thinking", "none"] = (
        "effort"
    )
    reasoning_replay: Literal["reasoning_content", "reasoning", "reasoning_details", "chunks", "none"] = (
        "none"
    )
    reasoning_placeholder: str | None = None
    cache_marks: Literal["parts", "none"] = "none"
    rejects: tuple[str, ...] = ("top_k",)
    json_schema: bool = True
    tool_choices: tuple[str, ...] = ("auto", "none", "required", "tool")
    tool_results: Literal["string", "parts"] = "string"
    tool_result_name: bool = False
    tool_call_ids: Literal["any", "mistral"] = "any"
    tool_strict: bool = True
    message_names: bool = True
    files: Literal["file", "file_or_url", "file_url", "document_url", "none"] = "file"
    images: bool = True
    flatten: bool = False
    alternate: bool = False
    prefill: str | None = None

    reasoning_fields: tuple[Literal["reasoning_content", "reasoning"], ...] = (
        "reasoning_content",
        "reasoning",
    )
    think_tags: bool = False
    done_marker: Literal["required", "optional"] = "required"
    cached_paths: tuple[str, ...] = (
        "prompt_tokens_details.cached_tokens",
        "cached_tokens",
        "prompt_cache_hit_tokens",
        "cache_read_input_tokens",
    )
    cache_write_paths: tuple[str, ...] = (
        "prompt_tokens_details.cache_write_tokens",
        "prompt_tokens_details.caching_tokens",
        "cache_creation_input_tokens",
    )
    reasoning_paths: tuple[str, ...] = ("completion_tokens_details.reasoning_tokens", "reasoning_tokens")
    cost_paths: tuple[str, ...] = ("cost", "cost.total_cost", "estimated_cost")
    cost_scale: float = 1.0
    output_excludes_reasoning: bool = False
    price_unit: Literal["token", "million"] = "token"
