"""From settings and a model's facts to parameters and prices: the reference's shared rules.

The result of :func:`model_params` is part of what ``get_model`` returns, so it has the reference's names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from .values import is_true, present

__all__ = ["Format", "cost_anthropic", "cost_openai", "model_params"]

Format = Literal["anthropic", "openai", "gemini", "openrouter"]
Facts = Mapping[str, Any]

_ANTHROPIC_MAX_TOKENS = 8192
_CLAUDE_CODE_MAX_TOKENS = 16000
_HYBRID_MAX_TOKENS = 16384
_HYBRID_THINKING_TOKENS = 8192
_MIN_THINKING_TOKENS = 1024
_GEMINI_25_PRO_MIN_THINKING_TOKENS = 128


def model_params(
    form: Format, model_id: str, info: Facts, settings: Facts, default_temperature: float = 0
) -> dict[str, Any]:
    """``{format, maxTokens?, temperature?, reasoningEffort?, reasoningBudget?, verbosity?, reasoning?}``."""
    max_tokens = _max_tokens(form, model_id, info, settings)
    temperature = settings.get("modelTemperature")
    if temperature is None:
        temperature = default_temperature
    budget: float | None = None
    effort: Any = None
    if _uses_budget(info, settings):
        is_25_pro = "gemini-2.5-pro" in model_id
        least = _GEMINI_25_PRO_MIN_THINKING_TOKENS if is_25_pro else _MIN_THINKING_TOKENS
        chosen = settings.get("modelMaxThinkingTokens")
        if chosen is None:
            chosen = least if is_25_pro else _HYBRID_THINKING_TOKENS
        budget = max(min(chosen, math.floor((max_tokens or 0) * 0.8)), least)
        temperature = 1
    elif _uses_effort(info, settings):
        effort = settings.get("reasoningEffort")
        if effort is None:
            effort = info.get("reasoningEffort")
    if (form == "openai" and model_id.startswith(("o1", "o3-mini"))) or (
        form == "openrouter" and model_id == "openai/o1-pro"
    ):
        temperature = None
    return present(
        format=form,
        maxTokens=max_tokens,
        temperature=temperature,
        reasoningEffort=effort,
        reasoningBudget=budget,
        verbosity=settings.get("verbosity"),
        reasoning=_reasoning(form, info, settings, budget, effort),
    )


def _uses_budget(info: Facts, settings: Facts) -> bool:
    if is_true(info.get("requiredReasoningBudget")):
        return True
    return is_true(info.get("supportsReasoningBudget")) and is_true(settings.get("enableReasoningEffort"))


def _uses_effort(info: Facts, settings: Facts) -> bool:
    if settings.get("enableReasoningEffort") is False:
        return False
    if is_true(info.get("supportsReasoningEffort")) and is_true(settings.get("reasoningEffort")):
        return True
    return is_true(info.get("reasoningEffort"))


def _max_tokens(form: Format, model_id: str, info: Facts, settings: Facts) -> int | None:
    if settings.get("apiProvider") == "claude-code":
        return settings.get("claudeCodeMaxOutputTokens") or _CLAUDE_CODE_MAX_TOKENS
    if _uses_budget(info, settings):
        return settings.get("modelMaxTokens") or _HYBRID_MAX_TOKENS
    is_anthropic = (
        "claude" in model_id
        or form == "anthropic"
        or (form == "openrouter" and model_id.startswith("anthropic/"))
    )
    most = info.get("maxTokens")
    if is_anthropic and (is_true(info.get("supportsReasoningBudget")) or not most):
        return _ANTHROPIC_MAX_TOKENS
    if not most:
        return None
    if "gpt-5" in model_id.lower():
        return int(most)
    return int(min(most, math.ceil(info["contextWindow"] * 0.2)))


def _reasoning(
    form: Format, info: Facts, settings: Facts, budget: float | None, effort: Any
) -> dict[str, Any] | None:
    if form == "openai":
        if not _uses_effort(info, settings) or effort == "minimal":
            return None
        return present(reasoning_effort=effort)
    if budget is not None:
        if form == "anthropic":
            return {"type": "enabled", "budget_tokens": budget}
        if form == "gemini":
            return {"thinkingBudget": budget, "includeThoughts": True}
        return {"max_tokens": budget}
    if form == "openrouter" and is_true(effort):
        return {"effort": effort}
    return None


def cost_anthropic(info: Facts, input_: float, output: float, writes: float = 0, reads: float = 0) -> float:
    """US dollars; ``input_`` leaves cached tokens out. The order of the operations is the reference's: its noise must match."""

    def price(name: str) -> float:
        return (info.get(name) or 0) / 1_000_000

    return (
        price("cacheWritesPrice") * writes
        + price("cacheReadsPrice") * reads
        + price("inputPrice") * input_
        + price("outputPrice") * output
    )


def cost_openai(info: Facts, input_: float, output: float, writes: float = 0, reads: float = 0) -> float:
    """US dollars; ``input_`` counts cached tokens in."""
    return cost_anthropic(info, max(0, input_ - writes - reads), output, writes, reads)
