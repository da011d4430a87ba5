"""Names of wires to wires: loaded when first needed, made once per dialect."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

import msgspec

from tercet.codecs.vocabulary import ConfigurationError
from tercet.codecs.wire import Wire

__all__ = ["WIRES", "make_wire"]

WIRES: Mapping[str, tuple[str, str]] = {
    "openai_chat": ("tercet.codecs.wire.openai_chat", "OpenAIChatWire"),
    "openai_responses": ("tercet.codecs.wire.openai_responses", "OpenAIResponsesWire"),
    "anthropic": ("tercet.codecs.wire.anthropic", "AnthropicWire"),
    "gemini": ("tercet.codecs.wire.gemini", "GeminiWire"),
    "ollama": ("tercet.codecs.wire.ollama", "OllamaWire"),
    "bedrock_converse": ("tercet.codecs.wire.bedrock_converse", "BedrockConverseWire"),
    "bedrock_invoke": ("tercet.codecs.wire.bedrock_invoke", "BedrockInvokeWire"),
    "claude_cli": ("tercet.codecs.wire.claude_cli", "ClaudeCliWire"),
    "host_bridge": ("tercet.codecs.wire.host_bridge", "HostBridgeWire"),
}
"""Wire name -> module and class. The module also has ``Dialect``, the Struct that the class is made from."""


def make_wire(name: str, dialect: Mapping[str, Any]) -> Wire:
    """A wire speaking ``dialect``. Raises :class:`ConfigurationError` naming an unknown wire or an unknown or wrong field."""
    place = WIRES.get(name)
    if place is None:
        raise ConfigurationError(f"there is no wire {name!r}; there are {', '.join(WIRES)}")
    module = import_module(place[0])
    known: tuple[str, ...] = module.Dialect.__struct_fields__
    unknown = sorted(set(dialect) - set(known))
    if unknown:
        raise ConfigurationError(
            f"the dialect of wire {name!r} has no field {unknown[0]!r}; it has {', '.join(known)}"
        )
    try:
        values = msgspec.convert(dict(dialect), module.Dialect)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"the dialect of wire {name!r}: {error}") from None
    return cast("Wire", getattr(module, place[1])(values))
