"""What the reference's OpenAI handler does beside the plain row: Azure's doors, R1 and simple formats, o-series, no streaming.

The DeepSeek handler (and others to come) is this one with its settings put in place of OpenAI's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from . import facts
from .actions import Chunk, Conversation, Emit
from .caching import mark_last_two
from .chat import ChatFamily, Client, Facts, Turn, sdk_headers
from .http import merge_headers
from .messages import Message, to_openai, to_r1, to_simple
from .params import model_params
from .row import plain_usage
from .values import get, is_true, present

__all__ = [
    "as_openai",
    "openai_client",
    "openai_messages",
    "openai_model",
    "openai_stream_extras",
    "openai_takes_over",
    "openai_usage",
]

_AZURE_INFERENCE_VERSION = "2024-05-01-preview"
_R1_TEMPERATURE = 0.6


def openai_model(family: ChatFamily) -> dict[str, Any]:
    """Whatever id the settings name, with the user's own facts or modest defaults."""
    options = family.options
    model_id = options.get("openAiModelId") or ""
    info = options.get("openAiCustomModelInfo") or facts.constant("openai", "openAiModelInfoSaneDefaults")
    return {"id": model_id, "info": info, **model_params("openai", model_id, info, options)}


def as_openai(*, key: str, base: str, url: str, default_model: str) -> Callable[[Facts], Facts]:
    """Settings of a handler that is the OpenAI handler underneath: always streamed, always with a limit."""

    def settings(options: Facts) -> Facts:
        return {
            **options,
            "openAiApiKey": options.get(key),
            "openAiModelId": default_model if options.get("apiModelId") is None else options["apiModelId"],
            "openAiBaseUrl": url if options.get(base) is None else options[base],
            "openAiStreamingEnabled": True,
            "includeMaxTokens": True,
        }

    return settings


def openai_client(family: ChatFamily) -> Client:
    """The address's host tells Azure OpenAI and Azure AI Inference from all others."""
    row, options = family.row, family.options
    base = options.get(row.base)
    key = options.get(row.key)
    key = row.no_key if key is None else key
    host = _host(base)
    is_inference = host.endswith(".services.ai.azure.com")
    is_azure = not is_inference and (
        host == "azure.com" or host.endswith(".azure.com") or is_true(options.get("openAiUseAzure"))
    )
    version = options.get("azureApiVersion")
    query = ""
    if is_inference:
        query = "?" + urlencode({"api-version": version or _AZURE_INFERENCE_VERSION})
    elif is_azure:
        query = "?" + urlencode(
            {"api-version": version or facts.constant("openai", "azureOpenAiDefaultApiVersion")}
        )
    return Client(
        url=base or row.url,
        headers=merge_headers(
            sdk_headers(family.env),
            {"api-key": key} if is_azure else {"authorization": f"Bearer {key}"},
            family.identity,
            options.get("openAiHeaders") or {},
        ),
        query=query,
        has_model_in_path=is_azure,
        path="/models/chat/completions" if is_inference else "/chat/completions",
    )


def openai_messages(
    family: ChatFamily, model: Facts, system: str, messages: Sequence[Message]
) -> list[dict[str, Any]]:
    """R1 format for reasoners, plain text for Ark and where the settings ask for it, else the usual with cache marks."""
    if _is_r1(family, model["id"]):
        return to_r1([{"role": "user", "content": system}, *messages])
    first: dict[str, Any] = {"role": "system", "content": system}
    if ".volces.com" in (family.options.get(family.row.base) or "") or is_true(
        family.options.get("openAiLegacyFormat")
    ):
        return [first, *to_simple(messages)]
    converted = [first, *to_openai(messages)]
    if is_true(model["info"].get("supportsPromptCache")):
        first["content"] = [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]
        mark_last_two(converted)
    return converted


def openai_stream_extras(family: ChatFamily, model: Facts, turn: Turn) -> dict[str, Any]:
    """A default temperature for reasoners; no ``stream_options`` for xAI's host."""
    extras: dict[str, Any] = {}
    if family.options.get("modelTemperature") is None and _is_r1(family, model["id"]):
        extras["temperature"] = _R1_TEMPERATURE
    if _is_xai(family):
        extras["stream_options"] = None
    return extras


def openai_takes_over(
    family: ChatFamily, model: Facts, system: str, messages: Sequence[Message]
) -> Conversation[None] | None:
    """The o-series (by a substring of the id) and answers that are not streamed."""
    streams = family.options.get("openAiStreamingEnabled")
    streams = True if streams is None else is_true(streams)
    is_o_series = any(name in model["id"] for name in ("o1", "o3", "o4"))
    if not is_o_series and streams:
        return None
    if is_o_series:
        developer = {"role": "developer", "content": f"Formatting re-enabled\n{system}"}
        sent = [developer, *to_openai(messages)]
    elif _is_r1(family, model["id"]):
        sent = to_r1([{"role": "user", "content": system}, *messages])
    else:
        convert = to_simple if is_true(family.options.get("openAiLegacyFormat")) else to_openai
        sent = [{"role": "user", "content": system}, *convert(messages)]
    body = present(
        model=model["id"],
        messages=sent,
        reasoning_effort=model["info"].get("reasoningEffort") if is_o_series else None,
        **family.limit(model),
    )
    return _o_series_stream(family, body, model) if streams else _whole(family, body, model)


def openai_usage(usage: Any, info: Facts) -> Chunk:
    """Cached tokens only where they stand at the top level; a 0 counts as absent."""
    return {
        **plain_usage(usage, info),
        **present(
            cacheWriteTokens=get(usage, "cache_creation_input_tokens") or None,
            cacheReadTokens=get(usage, "cache_read_input_tokens") or None,
        ),
    }


def _o_series_stream(family: ChatFamily, body: Mapping[str, Any], model: Facts) -> Conversation[None]:
    streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
    if _is_xai(family):
        del streamed["stream_options"]
    row = msgspec.structs.replace(
        family.row, splits_think=False, reasoning="", usage_when="each", usage=plain_usage
    )
    yield from family.stream(streamed, model["info"], row)


def _whole(family: ChatFamily, body: Mapping[str, Any], model: Facts) -> Conversation[None]:
    answer = yield from family.complete(body, times=1)
    yield Emit({"type": "text", "text": get(answer, "choices", 0, "message", "content") or ""})
    yield Emit(family.row.usage(get(answer, "usage"), model["info"]))


def _is_r1(family: ChatFamily, model_id: str) -> bool:
    return "deepseek-reasoner" in model_id or is_true(family.options.get("openAiR1FormatEnabled"))


def _is_xai(family: ChatFamily) -> bool:
    return "x.ai" in _host(family.options.get(family.row.base))


def _host(url: str | None) -> str:
    try:
        return urlsplit(url or "").netloc.rpartition("@")[2]
    except ValueError:
        return ""
