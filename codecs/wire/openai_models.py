"""The list of models as OpenAI gives it, and as the services that say more give it.

OpenAI's is ``{"data": [{id, created, owned_by}]}``. Routers add windows, limits, prices and modalities, each under its own names:
they are tables here, read first come first served. Also taken: a bare list, ``{"models": [...]}``, an object of id -> facts (Unbound),
and LiteLLM's ``{model_name, model_info}``. Entries that are known not to chat (embeddings, images) are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ..vocabulary import Model, Prices, ProtocolError
from .openai_dialect import Dialect
from .openai_errors import error_from_payload
from .shared import as_list, as_object
from .surrogates import decode_lenient

__all__ = ["models_from_list"]

_ANY = msgspec.json.Decoder()

_CONTEXT = (
    "context_length",  # OpenRouter, Fireworks, SambaNova, Featherless
    "context_window",  # Groq, Vercel, Requesty
    "max_context_length",  # Mistral, LM Studio
    "max_model_len",  # vLLM: Chutes, IO Intelligence
    "max_input_tokens",  # LiteLLM
    "contextWindow",  # Unbound
    "maxTokensInput",  # Glama
)
_OUTPUT = ("max_completion_tokens", "max_output_tokens", "max_tokens", "maxTokens", "maxTokensOutput")
_PRICES: dict[str, tuple[str, ...]] = {
    "input": ("prompt", "input", "input_price", "input_tokens", "input_cost_per_token", "inputTokenPrice"),
    "output": (
        "completion",
        "output",
        "output_price",
        "output_tokens",
        "output_cost_per_token",
        "outputTokenPrice",
    ),
    "cache_read": (
        "input_cache_read",
        "cached_price",
        "cache_read_tokens",
        "cache_read_input_token_cost",
        "cacheReadPrice",
        "cacheRead",
    ),
    "cache_write": (
        "input_cache_write",
        "caching_price",
        "cache_creation_input_token_cost",
        "cacheWritePrice",
        "cacheWrite",
    ),
}
# OpenRouter's supported_parameters in our words.
_PARAMETERS = {
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "parallel_tool_calls": "parallel_tool_calls",
    "response_format": "response_format",
    "structured_outputs": "response_format",
    "reasoning": "reasoning",
    "reasoning_effort": "reasoning",
    "verbosity": "verbosity",
}


def models_from_list(body: bytes, dialect: Dialect) -> Sequence[Model]:
    """The models of a list, in its order. Raises :class:`ProtocolError` for what is no list, and the error that a body reports."""
    payload: Any = decode_lenient(_ANY, body)
    outer = as_object(payload)
    if outer.get("error"):
        raise error_from_payload(payload, body=body)
    entries: list[Any]
    if isinstance(payload, list):
        entries = as_list(payload)
    elif isinstance(outer.get("data"), list) or isinstance(outer.get("models"), list):
        entries = as_list(outer.get("data")) or as_list(outer.get("models"))
    elif outer and all(isinstance(facts, dict) for facts in outer.values()):
        entries = [{"id": name, **facts} for name, facts in outer.items()]
    else:
        raise ProtocolError(f"this is no list of models: {body[:200].decode('utf-8', 'replace')!r}")
    found = (_model(as_object(entry), dialect) for entry in entries)
    return [model for model in found if model is not None]


def _model(entry: dict[str, Any], dialect: Dialect) -> Model | None:
    name = _text(entry, "id") or _text(entry, "model_name")
    capabilities = as_object(entry.get("capabilities"))
    chats = capabilities.get("completion_chat") is not False and entry.get("supports_chat") is not False
    if name is None or not chats or entry.get("type") in ("embedding", "embeddings", "image"):
        return None
    top = as_object(entry.get("top_provider"))
    places = (entry, as_object(entry.get("model_info")), as_object(entry.get("metadata")), top)
    return Model(
        name,
        name=_text(entry, "name") or _text(entry, "display_name"),
        context_window=_whole_number(places, _CONTEXT),
        max_output_tokens=_whole_number((top, *places[:3]), _OUTPUT),
        input_modalities=_modalities(entry, "input_modalities")
        or (("text", "image") if _sees(entry, capabilities) else ()),
        output_modalities=_modalities(entry, "output_modalities"),
        prices=_prices(places, dialect),
        accepts=tuple(
            dict.fromkeys(
                _PARAMETERS[word]
                for word in as_list(entry.get("supported_parameters"))
                if isinstance(word, str) and word in _PARAMETERS
            )
        ),
        retires=_text(entry, "deprecation") or _text(entry, "expiration_date"),
        created=entry["created"] if isinstance(entry.get("created"), int) else None,
    )


def _modalities(entry: dict[str, Any], field: str) -> tuple[str, ...]:
    words = as_list(as_object(entry.get("architecture")).get(field)) or as_list(entry.get(field))
    return tuple(word for word in words if isinstance(word, str))


def _sees(entry: dict[str, Any], capabilities: dict[str, Any]) -> bool:
    said = (
        capabilities.get("vision"),
        entry.get("supports_vision"),
        entry.get("supports_image_input"),
        entry.get("supportsImages"),
    )
    return True in said or "vision" in as_list(entry.get("tags"))


def _prices(places: Sequence[dict[str, Any]], dialect: Dialect) -> tuple[Prices, ...]:
    tables = [as_object(place.get(field)) for place in places for field in ("pricing", "pricePerToken")]
    scale = 1e6 if dialect.price_unit == "token" else 1.0
    found: dict[str, float] = {}
    for kind, names in _PRICES.items():
        for table in (*tables, *places):
            price = next(
                (price for price in (_price(table.get(name)) for name in names) if price is not None), None
            )
            if price is not None:
                found[kind] = round(price * scale, 9)  # 2.5e-07 * 1e6 is 0.25, not 0.24999999999999997
                break
    return (msgspec.convert(found, Prices),) if found else ()


def _price(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        price = float(value)
    except ValueError:
        return None
    return price if 0 <= price < 1e6 else None  # OpenRouter says -1 for "it depends"


def _whole_number(places: Sequence[dict[str, Any]], names: tuple[str, ...]) -> int | None:
    for place in places:
        for name in names:
            value = place.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
    return None


def _text(entry: dict[str, Any], field: str) -> str | None:
    value = entry.get(field)
    return value if isinstance(value, str) and value else None
