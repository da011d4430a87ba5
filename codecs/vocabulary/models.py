"""Facts about models, providers and their health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

__all__ = ["HealthState", "HealthStatus", "Model", "Prices", "ProviderCapabilities"]


class Prices(msgspec.Struct, frozen=True, gc=False):
    """US dollars per million tokens; None is unknown. ``above`` is the prompt length from which this tier applies."""

    input: float | None = None
    output: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None
    above: int = 0


class Model(msgspec.Struct, frozen=True):
    """What is known of a model. A None or empty field is unknown, not "no".

    ``accepts`` and ``rejects`` name request fields (``temperature``, ``tools``, ``reasoning``, ``images``, ``prefill`` ...) that
    the model is known to take or to answer with an error; ``rejects_with_reasoning`` those it refuses while it reasons.
    ``efforts`` are the words it knows for ``reasoning.effort``, ``default_effort`` the one it uses when none is sent.
    ``dialect`` overrides fields of its provider's wire dialect (how thinking is asked for differs between generations).
    ``wire`` names the only wire that the model is spoken to by, where that is not its provider's usual one (``openai_responses``).
    ``retires`` is the announced day (ISO 8601). ``source`` and ``as_of`` say where the facts come from and of what date they are.
    """

    id: str
    provider: str = ""
    name: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    input_modalities: Sequence[str] = ()
    output_modalities: Sequence[str] = ()
    prices: Sequence[Prices] = ()
    accepts: Sequence[str] = ()
    rejects: Sequence[str] = ()
    rejects_with_reasoning: Sequence[str] = ()
    efforts: Sequence[str] = ()
    default_effort: str | None = None
    dialect: Mapping[str, Any] = {}
    wire: str | None = None
    retires: str | None = None
    created: int | None = None
    source: str | None = None
    as_of: str | None = None


class ProviderCapabilities(msgspec.Struct, frozen=True):
    """What a provider (or one of its models) offers. None is unknown."""

    streaming: bool = True
    tools: bool | None = None
    reasoning: bool | None = None
    images: bool | None = None
    files: bool | None = None
    structured_output: bool | None = None
    prompt_caching: bool | None = None
    citations: bool | None = None
    prefill: bool | None = None
    count_tokens: bool = False
    list_models: bool = True
    context_window: int | None = None
    max_output_tokens: int | None = None


HealthState = Literal["healthy", "degraded", "unhealthy", "unknown"]


class HealthStatus(msgspec.Struct, frozen=True):
    """How a provider is doing: ``state`` and the ``reasons`` for it; ``latency`` of the last probe or first content, in seconds."""

    provider: str
    state: HealthState = "unknown"
    reasons: Sequence[str] = ()
    latency: float | None = None
    checked_at: float | None = None

    @property
    def is_healthy(self) -> bool:
        """Whether there is no known reason to avoid this provider."""
        return self.state in ("healthy", "unknown")
