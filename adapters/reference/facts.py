"""The reference's tables of models (``models.json``), read when first needed.

Source: Roo-Code at commit 9bcd9918 (2025-10-01). They are the reference's facts, not today's: prices and limits here
are what its results were computed with.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

__all__ = ["constant", "default_model", "models", "tables"]


@functools.cache
def _tables() -> dict[str, Any]:
    tables: dict[str, Any] = json.loads(
        resources.files(__name__.rpartition(".")[0]).joinpath("models.json").read_text("utf-8")
    )
    return tables


def models(provider: str) -> dict[str, dict[str, Any]]:
    """The static table of a provider: model id -> facts; empty where the list is fetched."""
    known: dict[str, dict[str, Any]] = _tables()[provider].get("models", {})
    return known


def tables(provider: str) -> dict[str, dict[str, dict[str, Any]]]:
    """The static tables of a provider that has several: name of the table -> model id -> facts."""
    return {name: table["models"] for name, table in _tables()[provider]["tables"].items()}


def default_model(provider: str) -> str:
    """The id the provider falls back to; empty where it has none."""
    return str(_tables()[provider].get("default", ""))


def constant(provider: str, name: str) -> Any:
    """A value that the reference exports beside a provider's table."""
    return _tables()[provider]["constants"][name]
