"""``tercet providers`` and ``tercet models``: what is known, as tables."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

import msgspec

import tercet
from tercet.adapters.catalog import load_catalog

from .output import code_of, print_error, print_json, print_table

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Print the list; the exit code."""
    try:
        if options.command == "providers":
            return _providers(options)
        return _models(options)
    except tercet.TercetError as error:
        print_error(error, as_json=options.json)
        return code_of(error)


def _providers(options: argparse.Namespace) -> int:
    registry = tercet.ProviderRegistry()
    rows: list[Sequence[str]] = []
    for profile in registry:
        source = key_source(profile)
        if options.json:
            facts = msgspec.to_builtins(profile)
            print_json({**facts, "key_found_in": source})
            continue
        key = source or ("not needed" if not profile.key_required else "-")
        rows.append(
            (
                profile.id,
                profile.status,
                profile.wire,
                key,
                ", ".join(profile.key_env) or "-",
                profile.base_url,
            )
        )
    if not options.json:
        print_table(("PROVIDER", "STATUS", "WIRE", "KEY FOUND IN", "VARIABLES", "ADDRESS"), rows)
    return 0


def key_source(profile: tercet.Profile) -> str | None:
    """The environment variable that holds a key of this provider, or None."""
    return next((name for name in profile.key_env if os.environ.get(name, "").strip()), None)


def _models(options: argparse.Namespace) -> int:
    registry = tercet.ProviderRegistry()
    if options.live:
        if not options.provider:
            raise tercet.ConfigurationError(
                "--live asks one provider; say which: tercet models PROVIDER --live"
            )
        import trio

        models = trio.run(_live, registry, options.provider)
    else:
        chosen = [registry.get(options.provider)] if options.provider else list(registry)
        models = [model for profile in chosen for model in load_catalog(profile.catalog or profile.id)]
    if options.json:
        for model in models:
            print_json(msgspec.to_builtins(model))
        return 0
    if not models:
        print("no model is known beforehand; ask the provider itself with --live")
        return 0
    rows = [
        (
            f"{model.provider}:{model.id}",
            _count(model.context_window),
            _count(model.max_output_tokens),
            _price(model, "input"),
            _price(model, "output"),
            " ".join(model.accepts),
            model.retires or "",
        )
        for model in models
    ]
    print_table(("MODEL", "CONTEXT", "OUTPUT", "$/M IN", "$/M OUT", "TAKES", "RETIRES"), rows)
    return 0


async def _live(registry: tercet.ProviderRegistry, provider: str) -> list[tercet.Model]:
    async with tercet.open_manager(registry) as manager:
        return await manager.list_models(provider)


def _count(tokens: int | None) -> str:
    if tokens is None:
        return "-"
    return (
        f"{tokens / 1e6:g}M" if tokens >= 1_000_000 and tokens % 100_000 == 0 else f"{round(tokens / 1000)}k"
    )


def _price(model: tercet.Model, side: str) -> str:
    value = getattr(model.prices[0], side) if model.prices else None
    return "-" if value is None else f"{value:g}"
