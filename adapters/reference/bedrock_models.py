"""Which model a Bedrock request goes to, and what is known of it: ids, regions and ARNs, as the reference reads them.

The prefixes of regions and the table are the reference's (2025-10-01): ``ap-`` is ``apac.``, and an id it does not know is sent as its
default model's, with limits guessed from the name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from tercet.codecs.vocabulary import ConfigurationError

from . import facts
from .params import model_params
from .values import is_true

__all__ = ["Arn", "base_model_id", "bedrock_model", "parse_arn", "takes_long_context"]

DEFAULT_TEMPERATURE = 0.3
_LONG_CONTEXT = 1_000_000
_ARN = re.compile(r"arn:aws:(?:bedrock|sagemaker):([^:]+):([^:]*):([^/]+)/([A-Za-z0-9_.\-:]+)")
_NO_ARN = "INVALID_ARN_FORMAT:Invalid ARN format. ARN should follow the Amazon Bedrock ARN pattern."
# What a name tells, first match in this order; prices are never guessed.
_LIMITS = {
    "claude-4": 8192,
    "claude-3-7": 8192,
    "claude-3-5": 8192,
    "claude-3-opus": 4096,
    "claude-3-haiku": 4096,
}
_CLAUDE = {"contextWindow": 200_000, "supportsImages": True, "supportsPromptCache": True}
_OTHER = {
    "maxTokens": 4096,
    "contextWindow": 128_000,
    "supportsImages": False,
    "supportsPromptCache": False,
}


class Arn(msgspec.Struct, frozen=True):
    """The parts of a model's ARN; ``kind`` is ``foundation-model``, ``inference-profile``, ``default-prompt-router``, ..."""

    text: str
    region: str
    kind: str
    model_id: str


def parse_arn(text: str) -> Arn:
    """An ARN's parts, its model's id without the prefix of a region. Raises ``ConfigurationError``."""
    match = _ARN.fullmatch(text)
    if match is None:
        raise ConfigurationError(_NO_ARN)
    return Arn(text, match[1], match[3], base_model_id(match[4]))


def base_model_id(model_id: str) -> str:
    """The id without the prefix of a region (``us.``, ``eu.``, ``apac.``, ...)."""
    for _, prefix in facts.constant("bedrock", "AWS_INFERENCE_PROFILE_MAPPING"):
        if model_id.startswith(prefix):
            return model_id.removeprefix(prefix)
    return model_id


def takes_long_context(model_id: str, options: Mapping[str, Any]) -> bool:
    """Whether the setting for a million tokens of context is on and the model is one of those that have it."""
    known: list[str] = facts.constant("bedrock", "BEDROCK_1M_CONTEXT_MODEL_IDS")
    return base_model_id(model_id) in known and is_true(options.get("awsBedrock1MContext"))


def bedrock_model(options: Mapping[str, Any], arn: Arn | None, region: str | None) -> dict[str, Any]:
    """``{id, info, ...params}``. Raises ``ConfigurationError`` where no model is named."""
    if arn is not None:
        model_id, info = _lookup(arn.model_id, arn.kind, options)
        model_id = model_id if arn.kind == "foundation-model" else arn.text
    else:
        chosen = options.get("apiModelId")
        if not chosen:
            raise ConfigurationError("bedrock is not told which model to use: set apiModelId or awsCustomArn")
        model_id, info = _lookup(chosen, "", options)
        if is_true(options.get("awsUseCrossRegionInference")) and region:
            model_id = _region_prefix(region) + model_id
    if takes_long_context(model_id, options):
        info = {**info, "contextWindow": _LONG_CONTEXT}
    settings = {**options, "modelTemperature": options.get("modelTemperature") or DEFAULT_TEMPERATURE}
    return {"id": model_id, "info": info, **model_params("anthropic", model_id, info, settings)}


def _lookup(model_id: str, kind: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    known = facts.models("bedrock")
    base = base_model_id(model_id)
    if base in known:
        found, info = base, dict(known[base])
    elif "router" in kind:
        found = str(facts.constant("bedrock", "bedrockDefaultPromptRouterModelId"))
        info = dict(known[found])
    else:
        found = facts.default_model("bedrock")
        info = {**known[found], **_guessed(model_id)}
    for name, setting in (("maxTokens", "modelMaxTokens"), ("contextWindow", "awsModelContextWindow")):
        wanted = options.get(setting)
        if wanted and wanted > 0:
            info[name] = wanted
    return found, info


def _guessed(model_id: str) -> dict[str, Any]:
    name = model_id.lower()
    most = next((limit for part, limit in _LIMITS.items() if part in name), None)
    return _OTHER if most is None else {"maxTokens": most, **_CLAUDE}


def _region_prefix(region: str) -> str:
    pairs: list[list[str]] = facts.constant("bedrock", "AWS_INFERENCE_PROFILE_MAPPING")
    return next((prefix for start, prefix in pairs if region.startswith(start)), "")
