"""``tercet providers`` and ``tercet models``: what is known, as tables."""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import sys
from collections.abc import Sequence

import msgspec

import tercet
from tercet.adapters.catalog import load_catalog
from tercet.adapters.offers import ALWAYS, Offer, offers

from .output import code_of, print_error, print_json, print_table

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Print the list; the exit code."""
    try:
        if options.command == "providers":
            return _markdown() if options.markdown else _providers(options)
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
        header = ("PROVIDER", "STATUS", "WIRE", "KEY FOUND IN", "VARIABLES", "ADDRESS")
        narrow = sys.stdout.isatty() and shutil.get_terminal_size().columns < _WIDE
        columns = 4 if narrow else len(header)
        print_table(header[:columns], [row[:columns] for row in rows])
    return 0


_WIDE = 180
"""Columns of a terminal that shows variables and addresses without folding; ``--json`` has them in any case."""
_COLUMNS = ("tools", "reasoning", "images", "models", "health")


def _markdown() -> int:
    """What every row offers, for the README; the same for everyone, so nothing of this machine's environment is in it."""
    registry = tercet.ProviderRegistry()
    everything = [offer for profile in registry for offer in offers(profile)]
    print(f"| provider | status | wire | {' | '.join(_COLUMNS)} | caching | citations | tokens | key |")
    print("|" + " --- |" * (len(_COLUMNS) + 7))
    for offer in everything:
        profile = registry.get(offer.provider)
        name = f"[{profile.label}]({profile.docs})" if profile.docs.startswith("https://") else profile.label
        shown = f"`{offer.provider}:` {name}" if not offer.door else f"`{offer.provider}:{offer.door}`"
        marks = " | ".join("-" if column in offer.missing else "yes" for column in _COLUMNS)
        keys = ", ".join(f"`{variable}`" for variable in profile.key_env) or "none"
        offered = profile.capabilities
        more = " | ".join("yes" if has else "-" for has in (offered.prompt_caching, offered.citations))
        print(f"| {shown} | {profile.status} | {offer.wire} | {marks} | {more} | {offer.counts} | {keys} |")
    print()
    print(f"Every row has: {', '.join(ALWAYS)}.")
    reasons = [line for offer in everything for line in _reasons(offer)]
    if reasons:
        print("\nNot offered, and what in the row says so:\n")
        print("\n".join(reasons))
    notices = [
        f"- `{profile.id}` ({profile.status}): {profile.notice}" for profile in registry if profile.notice
    ]
    print("\nTo know:\n")
    print("\n".join(notices))
    return 0


def _reasons(offer: Offer) -> list[str]:
    return [f"- `{offer.name}`, {cell}: {why}" for cell, why in offer.missing.items() if cell in _COLUMNS]


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
        if options.provider:
            chosen = [registry.get(options.provider)]
        else:  # a catalog that several share is shown once, under its own name
            chosen = [profile for profile in registry if profile.catalog in (None, profile.id)]
        models = [
            msgspec.structs.replace(model, provider=profile.id)
            for profile in chosen
            for model in load_catalog(profile.catalog or profile.id)
        ]
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
            _retires(model),
        )
        for model in models
    ]
    print_table(("MODEL", "CONTEXT", "OUTPUT", "$/M IN", "$/M OUT", "TAKES", "RETIRES"), rows)
    return 0


async def _live(registry: tercet.ProviderRegistry, provider: str) -> list[tercet.Model]:
    async with tercet.open_manager(registry) as manager:
        return await manager.list_models(provider)


def _retires(model: tercet.Model) -> str:
    if model.retires is None:
        return ""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return f"retired {model.retires}" if model.retires <= today else model.retires


def _count(tokens: int | None) -> str:
    if tokens is None:
        return "-"
    return (
        f"{tokens / 1e6:g}M" if tokens >= 1_000_000 and tokens % 100_000 == 0 else f"{round(tokens / 1000)}k"
    )


def _price(model: tercet.Model, side: str) -> str:
    value = getattr(model.prices[0], side) if model.prices else None
    return "-" if value is None else f"{value:g}"
