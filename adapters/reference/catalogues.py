"""Lists of models of routers and services, each parsed into the reference's model facts.

A fetcher is given what is wanted (``apiKey``, ``baseUrl``) and the headers by which a program names itself. Which failures give an
empty list and which are raised differs, as in the reference.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar
from urllib.parse import urljoin, urlsplit, urlunsplit

import msgspec

from tercet.codecs.vocabulary import AuthenticationError, ProtocolError, TercetError

from . import facts
from .actions import Conversation
from .errors import reworded
from .fetching import Models, get_json, is_url, not_fetched, objects, price
from .lm_studio import lm_studio_models
from .values import get, is_list, is_object, is_true, parse_float, present, text_of

__all__ = ["CATALOGUES", "requesty_url"]

Wanted: TypeAlias = Mapping[str, Any]
Identity: TypeAlias = Mapping[str, str]
Fetcher: TypeAlias = Callable[[Wanted, Identity], Conversation[Models]]
T = TypeVar("T")

_DEEPINFRA = "https://api.deepinfra.com/v1/openai"
_GLAMA = "https://glama.ai/api/gateway/v1"
_LITELLM = "http://localhost:4000"
_REQUESTY = "https://router.requesty.ai/v1"
_UNBOUND = "https://api.getunbound.ai/models"
_VERCEL = "https://ai-gateway.vercel.sh/v1"
_IO_INTELLIGENCE_LIMIT = 32768
_IO_INTELLIGENCE_CONTEXT = 8192
_IO_INTELLIGENCE_EYES = frozenset(
    {
        "Qwen/Qwen2.5-VL-32B-Instruct",
        "meta-llama/Llama-3.2-90B-Vision-Instruct",
        "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8",
    }
)
# The reference asks as a browser would.
_BROWSER = {
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-User": "?1",
    "Priority": "u=0, i",
    "Pragma": "no-cache",
    "Cache-Control": "no-cache",
}
_ANTHROPIC_LIMIT = 8192
_ANTHROPIC_HAIKU_LIMIT = 4096
_WHOLE = re.compile(r"\s*([+-]?[0-9]+)")


def _bearer(wanted: Wanted) -> dict[str, str]:
    key = wanted.get("apiKey")
    return {"Authorization": f"Bearer {key}"} if key else {}


def _deepinfra(wanted: Wanted, identity: Identity) -> Conversation[Models]:
    base = wanted.get("baseUrl") or _DEEPINFRA
    answer = yield from get_json(f"{base.removesuffix('/')}/models", {**identity, **_bearer(wanted)})
    found: Models = {}
    for model in objects(get(answer, "data"), "id"):
        about: dict[str, Any] = model.get("metadata") or {}
        tags: Sequence[str] = about.get("tags") or ()
        context = _number(about.get("context_length"), 8192)
        found[model["id"]] = present(
            maxTokens=_number(about.get("max_tokens"), math.ceil(context * 0.2)),
            contextWindow=context,
            supportsImages="vision" in tags,
            supportsPromptCache="prompt_cache" in tags,
            inputPrice=get(about, "pricing", "input_tokens"),
            outputPrice=get(about, "pricing", "output_tokens"),
            cacheReadsPrice=get(about, "pricing", "cache_read_tokens"),
            description=about.get("description"),
        )
    return found


def _glama(wanted: Wanted, identity: Identity) -> Conversation[Models]:
    found: Models = {}
    try:
        answer = yield from get_json(f"{_GLAMA}/models")
    except TercetError:
        return found
    for model in objects(answer, "id"):
        able = model.get("capabilities")
        info = present(
            contextWindow=model.get("maxTokensInput"),
            supportsImages=None if able is None else "input:image" in able,
            supportsComputerUse=None if able is None else "computer_use" in able,
            supportsPromptCache=None if able is None else "caching" in able,
            inputPrice=price(get(model, "pricePerToken", "input")),
            outputPrice=price(get(model, "pricePerToken", "output")),
            cacheWritesPrice=price(get(model, "pricePerToken", "cacheWrite")),
            cacheReadsPrice=price(get(model, "pricePerToken", "cacheRead")),
        )
        if "maxTokensOutput" in model:  # null stays null
            info = {"maxTokens": model["maxTokensOutput"], **info}
        found[model["id"]] = info
    return found


class _Pricing(msgspec.Struct):
    input: int | float
    output: int | float


class _Provider(msgspec.Struct):
    provider: str
    status: Literal["live", "staging", "error"]
    context_length: int | float | msgspec.UnsetType = msgspec.UNSET
    pricing: _Pricing | msgspec.UnsetType = msgspec.UNSET


class _HuggingFaceModel(msgspec.Struct):
    id: str
    object: Literal["model"]
    created: int | float
    owned_by: str
    providers: list[_Provider]


class _HuggingFaceList(msgspec.Struct):
    object: str
    data: list[_HuggingFaceModel]


def _huggingface(wanted: Wanted, identity: Identity) -> Conversation[Models]:
    try:
        answer = yield from get_json(facts.constant("huggingface", "HUGGINGFACE_API_URL"), _BROWSER)
        listed = _as(_HuggingFaceList, answer, "HuggingFace")
    except TercetError as error:
        raise not_fetched(error, "HuggingFace") from error
    found: Models = {}
    for model in listed.data:
        if model.providers:
            found[model.id] = _huggingface_facts(model, None)
        for provider in model.providers:
            if provider.status == "live":
                found[f"{model.id}:{provider.provider}"] = _huggingface_facts(model, provider)
    return found


def _huggingface_facts(model: _HuggingFaceModel, chosen: _Provider | None) -> dict[str, Any]:
    asked = [*([chosen] if chosen else []), *model.providers]
    default: int = facts.constant("huggingface", "HUGGINGFACE_DEFAULT_CONTEXT_WINDOW")
    context = next((one.context_length for one in asked if one.context_length), default)
    prices = next((one.pricing for one in asked if isinstance(one.pricing, _Pricing)), None)
    return present(
        maxTokens=min(context, facts.constant("huggingface", "HUGGINGFACE_DEFAULT_MAX_TOKENS")),
        contextWindow=context,
        supportsImages=False,
        supportsPromptCache=False,
        supportsComputerUse=False,
        inputPrice=None if prices is None else prices.input,
        outputPrice=None if prices is None else prices.output,
        description=f"{model.id} via {chosen.provider if chosen else 'HuggingFace'}",
    )


class _IoModel(msgspec.Struct):
    id: str
    object: Literal["model"]
    created: int | float
    owned_by: str


class _IoList(msgspec.Struct):
    object: Literal["list"]
    data: list[_IoModel]


def _io_intelligence(wanted: Wanted, identity: Identity) -> Conversation[Models]:
    what = "IO Intelligence"
    try:
        if not wanted.get("apiKey"):
            raise AuthenticationError("IO Intelligence API key is required")
        url = facts.constant("io-intelligence", "ioIntelligenceDefaultBaseUrl") + "/models"
        answer = yield from get_json(url, {"Content-Type": "application/json", **_bearer(wanted)})
        listed = _as(_IoList, answer, what)
    except TercetError as error:
        raise not_fetched(error, what) from error
    known = facts.models("io-intelligence")
    found: Models = {}
    for model in listed.data:
        context = get(known, model.id, "contextWindow") or _IO_INTELLIGENCE_CONTEXT
        found[model.id] = {
            "maxTokens": min(math.ceil(context * 0.2), _IO_INTELLIGENCE_LIMIT),
            "contextWindow": context,
            "supportsImages": model.id in _IO_INTELLIGENCE_EYES,
            "supportsPromptCache": False,
            "supportsComputerUse": False,
            "description": f"{model.id} via IO Intelligence",
        }
    return found


def _litellm(wanted: Wanted, identity: Identity) -> Conversation[Models]:
    try:
        answer = yield from get_json(
            _litellm_url(wanted.get("baseUrl") or _LITELLM),
            {"Content-Type": "application/json", **identity, **_bearer(wanted)},
        )
        if not is_list(get(answer, "data")):
            raise ProtocolError("Failed to fetch LiteLLM models: Unexpected response format.")
    except TercetError as error:
        raise not_fetched(
            error,
            "LiteLLM",
            on_status=". Check base URL and API key.",
            on_silence="Check LiteLLM server status and base URL.",
        ) from error
    found: Models = {}
    for model in objects(answer["data"], "model_name"):
        name, about = model["model_name"], model.get("model_info")
        behind = get(model, "litellm_params", "model")
        if name and is_object(about) and is_true(behind):
            found[name] = _litellm_facts(name, about, text_of(behind))
    return found


def _litellm_url(base: str) -> str:
    parts = urlsplit(base)
    path = re.sub("/+", "/", parts.path.rstrip("/"))
    return urlunsplit(parts._replace(path=f"{path}/v1/model/info"))


def _litellm_facts(name: str, about: Mapping[str, Any], behind: str) -> dict[str, Any]:
    uses_computer = about.get("supports_computer_use")
    if "supports_computer_use" not in about:
        uses_computer = behind.endswith(tuple(facts.constant("lite-llm", "LITELLM_COMPUTER_USE_MODELS")))
    return present(
        maxTokens=about.get("max_tokens") or 8192,
        contextWindow=about.get("max_input_tokens") or 200000,
        supportsImages=is_true(about.get("supports_vision")),
        supportsComputerUse=is_true(uses_computer),
        supportsPromptCache=is_true(about.get("supports_prompt_caching")),
        inputPrice=price(about.get("input_cost_per_token")),
        outputPrice=price(about.get("output_cost_per_token")),
        cacheWritesPrice=price(about.get("cache_creation_input_token_cost")),
        cacheReadsPrice=price(about.get("cache_read_input_token_cost")),
        description=f"{name} via LiteLLM proxy",
    )


def requesty_url(base: str | None) -> str:
    """Requesty's address, or the one in the settings where it is a URL."""
    return base if base is not None and is_url(base) else _REQUESTY


def _requesty(wanted: Wanted, identity: Identity) -> Conversation[Models]:
    found: Models = {}
    try:
        answer = yield from get_json(
            urljoin(requesty_url(wanted.get("baseUrl")), "v1/models"), _bearer(wanted)
        )
    except TercetError:
        return found
    for model in objects(get(answer, "data"), "id"):
        model_id, reasons = model["id"], model.get("supports_reasoning")
        found[model_id] = present(
            maxTokens=model.get("max_output_tokens"),
            contextWindow=model.get("context_window"),
            supportsPromptCache=model.get("supports_caching"),
            supportsImages=model.get("supports_vision"),
            supportsComputerUse=model.get("supports_computer_use"),
            supportsReasoningBudget=reasons
            and _has_any(model_id, "claude", "coding/gemini-2.5", "vertex/gemini-2.5"),
            supportsReasoningEffort=reasons and _has_any(model_id, "openai", "google/gemini-2.5"),
            inputPrice=price(model.get("input_price")),
            outputPrice=price(model.get("output_price")),
            description=model.get("description"),
            cacheWritesPrice=price(model.get("caching_price")),
            cacheReadsPrice=price(model.get("cached_price")),
        )
    return found


def _unbound(wanted: Wanted, identity: Identity) -> Conversation[Models]:
    try:
        answer = yield from get_json(_UNBOUND, _bearer(wanted))
    except TercetError as error:
        raise reworded(error, f"Failed to fetch Unbound models: {error.message}") from error
    found: Models = {}
    for model_id, model in answer.items() if is_object(answer) else ():
        most = _whole(get(model, "maxTokens"))
        if model_id.startswith("anthropic/") and most != _ANTHROPIC_HAIKU_LIMIT:
            most = _ANTHROPIC_LIMIT
        found[model_id] = present(
            maxTokens=most,
            contextWindow=_whole(get(model, "contextWindow")) or 0,
            supportsImages=_or_false(get(model, "supportsImages")),
            supportsPromptCache=_or_false(get(model, "supportsPromptCaching")),
            supportsComputerUse=_or_false(get(model, "supportsComputerUse")),
            inputPrice=_per_million(get(model, "inputTokenPrice")),
            outputPrice=_per_million(get(model, "outputTokenPrice")),
            cacheWritesPrice=_per_million(get(model, "cacheWritePrice")),
            cacheReadsPrice=_per_million(get(model, "cacheReadPrice")),
        )
    return found


def _vercel(wanted: Wanted, identity: Identity) -> Conversation[Models]:
    found: Models = {}
    try:
        answer = yield from get_json(f"{_VERCEL}/models")
    except TercetError:
        return found
    for model in objects(get(answer, "data"), "id"):
        if model.get("type") != "language":
            continue
        model_id, prices = model["id"], model.get("pricing")
        writes, reads = price(get(prices, "input_cache_write")), price(get(prices, "input_cache_read"))
        acts = model_id in facts.constant("vercel-ai-gateway", "VERCEL_AI_GATEWAY_VISION_AND_TOOLS_MODELS")
        sees = model_id in facts.constant("vercel-ai-gateway", "VERCEL_AI_GATEWAY_VISION_ONLY_MODELS")
        found[model_id] = present(
            maxTokens=model.get("max_tokens"),
            contextWindow=model.get("context_window"),
            supportsImages=sees or acts,
            supportsComputerUse=acts,
            supportsPromptCache=writes is not None and reads is not None,
            inputPrice=price(get(prices, "input")),
            outputPrice=price(get(prices, "output")),
            cacheWritesPrice=writes,
            cacheReadsPrice=reads,
            description=model.get("description"),
        )
    return found


def _as(kind: type[T], answer: Any, what: str) -> T:
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError:
        raise ProtocolError(f"Invalid response format from {what} API") from None


def _number(value: Any, default: float) -> float:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else default


def _has_any(model_id: str, *parts: str) -> bool:
    return any(part in model_id for part in parts)


def _or_false(value: Any) -> Any:
    return False if value is None else value


def _whole(value: Any) -> int | None:
    """``parseInt`` of what is there; None for what is not."""
    found = _WHOLE.match(text_of(value)) if is_true(value) else None
    return int(found[1]) if found else None


def _per_million(value: Any) -> float | None:
    return parse_float(value) if is_true(value) else None


CATALOGUES: dict[str, Fetcher] = {
    "deepinfra": _deepinfra,
    "glama": _glama,
    "huggingface": _huggingface,
    "io-intelligence": _io_intelligence,
    "litellm": _litellm,
    "lmstudio": lm_studio_models,
    "requesty": _requesty,
    "unbound": _unbound,
    "vercel-ai-gateway": _vercel,
}
