"""Lists of models, as the reference's fetchers get them: one GET, parsed into its model facts.

A fetcher is a conversation that returns ``{id: facts}``, or for plain OpenAI-compatible servers a list of ids. Which failures are
swallowed (an empty list) and which are raised differs per fetcher, as in the reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tercet.codecs.vocabulary import ConfigurationError, TercetError

from . import facts
from .actions import Conversation
from .catalogues import CATALOGUES
from .family import IDENTITY
from .fetching import Models, get_json, is_url, objects, price
from .http import merge_headers
from .ollama import ollama_models
from .values import get, is_list, present

__all__ = ["get_model_endpoints", "get_models", "get_openai_models"]

_OPENROUTER = "https://openrouter.ai/api/v1"
_MODEL_PARAMETERS = ("max_tokens", "temperature", "reasoning", "include_reasoning")
# What the reference corrects in OpenRouter's own facts.
_OPENROUTER_CORRECTIONS: dict[str, dict[str, Any]] = {
    "anthropic/claude-3.7-sonnet": {
        "maxTokens": 8192,
        "supportsReasoningBudget": False,
        "supportsReasoningEffort": False,
    },
    "anthropic/claude-3.7-sonnet:thinking": {"maxTokens": 128000},
    "anthropic/claude-opus-4.1": {"maxTokens": 8192},
    "openrouter/horizon-alpha": {"maxTokens": 32768},
    "openrouter/horizon-beta": {"maxTokens": 32768},
}


def get_models(wanted: Mapping[str, Any], *, identity: Mapping[str, str] = IDENTITY) -> Conversation[Models]:
    """The models of a router: ``{"provider": name, ...}``. Raises ``ConfigurationError`` for a name without a fetcher."""
    name = wanted["provider"]
    if name in CATALOGUES:
        return (yield from CATALOGUES[name](wanted, identity))
    if name not in _FETCHERS:
        raise ConfigurationError(f"Unknown provider: {name}")
    return (yield from _FETCHERS[name](wanted))


def get_openai_models(
    base_url: str | None = None,
    api_key: str | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    identity: Mapping[str, str],
) -> Conversation[list[str]]:
    """The ids of an OpenAI-compatible server, each once; an empty list for whatever goes wrong."""
    base = (base_url or "").strip()
    if not is_url(base):
        return []
    sent = merge_headers(identity, headers or {}, {"Authorization": f"Bearer {api_key}"} if api_key else {})
    try:
        answer = yield from get_json(f"{base}/models", dict(sent))
    except TercetError:
        return []
    data = get(answer, "data")
    return list(dict.fromkeys(get(model, "id") for model in data)) if is_list(data) else []


def get_model_endpoints(wanted: Mapping[str, Any]) -> Conversation[Models]:
    """The endpoints of one OpenRouter model, by tag or provider's name; none for another router or without an endpoint."""
    model_id = wanted.get("modelId")
    if wanted.get("router") != "openrouter" or not model_id or not wanted.get("endpoint"):
        return {}
    found: Models = {}
    try:
        answer = yield from get_json(f"{_OPENROUTER}/models/{model_id}/endpoints")
    except TercetError:
        return found
    data = get(answer, "data")
    architecture = get(data, "architecture")
    if "image" in (get(architecture, "output_modalities") or ()):
        return found
    for endpoint in objects(get(data, "endpoints")):
        name = endpoint.get("tag")
        found[endpoint.get("provider_name", "") if name is None else name] = _openrouter_facts(
            get(data, "id"), endpoint, architecture, endpoint.get("max_completion_tokens"), None
        )
    return found


def _openrouter_models(wanted: Mapping[str, Any]) -> Conversation[Models]:
    found: Models = {}
    try:
        answer = yield from get_json(f"{_OPENROUTER}/models")
    except TercetError:
        return found
    for model in objects(get(answer, "data"), "id"):
        architecture = model.get("architecture")
        if "image" in (get(architecture, "output_modalities") or ()):
            continue
        found[model["id"]] = _openrouter_facts(
            model["id"],
            model,
            architecture,
            get(model, "top_provider", "max_completion_tokens"),
            model.get("supported_parameters") or [],
        )
    return found


def _openrouter_facts(
    model_id: Any, model: Mapping[str, Any], architecture: Any, most: Any, parameters: Sequence[str] | None
) -> dict[str, Any]:
    pricing = model.get("pricing")
    context = model.get("context_length")
    reads = price(get(pricing, "input_cache_read"))
    known = present(
        maxTokens=most or math.ceil((context or 0) * 0.2),
        contextWindow=context,
        supportsImages="image" in (get(architecture, "input_modalities") or ()),
        supportsPromptCache=reads is not None,
        inputPrice=price(get(pricing, "prompt")),
        outputPrice=price(get(pricing, "completion")),
        cacheWritesPrice=price(get(pricing, "input_cache_write")),
        cacheReadsPrice=reads,
        description=model.get("description"),
        supportsReasoningEffort=None if parameters is None else "reasoning" in parameters,
        supportedParameters=None
        if parameters is None
        else [name for name in parameters if name in _MODEL_PARAMETERS],
    )
    for fact, ids in (
        ("supportsComputerUse", "OPEN_ROUTER_COMPUTER_USE_MODELS"),
        ("supportsReasoningBudget", "OPEN_ROUTER_REASONING_BUDGET_MODELS"),
        ("requiredReasoningBudget", "OPEN_ROUTER_REQUIRED_REASONING_BUDGET_MODELS"),
    ):
        if model_id in facts.constant("openrouter", ids):
            known[fact] = True
    return {**known, **_OPENROUTER_CORRECTIONS.get(model_id, {})}


_FETCHERS: dict[str, Callable[[Mapping[str, Any]], Conversation[Models]]] = {
    "ollama": ollama_models,
    "openrouter": _openrouter_models,
}
