"""``ProviderRegistry``: ids to rows, and rows with keys to adapters."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from tercet.codecs.vocabulary import ConfigurationError

from .adapter import Adapter, Unsupported
from .auth import find_keys
from .profile import Profile
from .settings import Settings, sample_settings, settings_from
from .table import PROFILES

__all__ = ["ProviderRegistry", "split_model"]


class ProviderRegistry:
    """The providers a program knows: those of the table, and its own. A registry may be shared; it holds no secrets."""

    def __init__(self, profiles: Sequence[Profile] = PROFILES) -> None:
        self._profiles: dict[str, Profile] = {profile.id: profile for profile in profiles}

    def __iter__(self) -> Iterator[Profile]:
        return iter(self._profiles.values())

    def __contains__(self, provider: object) -> bool:
        return provider in self._profiles

    def __len__(self) -> int:
        return len(self._profiles)

    def get(self, provider: str) -> Profile:
        """The row of that id. Raises :class:`ConfigurationError` that lists the near ones."""
        profile = self._profiles.get(provider)
        if profile is None:
            import difflib

            near = difflib.get_close_matches(provider, self._profiles, n=3)
            hint = (
                f"did you mean {' or '.join(near)}?"
                if near
                else f"there are {', '.join(sorted(self._profiles))}"
            )
            raise ConfigurationError(f"there is no provider {provider!r}; {hint}")
        return profile

    def add(self, profile: Profile, *, replace: bool = False) -> None:
        """Add a row. Raises :class:`ConfigurationError` if the id is taken and ``replace`` is not set."""
        if profile.id in self._profiles and not replace:
            raise ConfigurationError(
                f"there is a provider {profile.id!r} already; pass replace=True to put this one in its place"
            )
        # a wrong URL, wire or dialect shows here, not at the first request; what is still to be set may be anything
        settings = sample_settings(profile)
        Adapter(profile, base_url=Settings(profile, settings).base_url(), settings=settings)
        self._profiles[profile.id] = profile

    def load_toml(self, source: str | Path, *, replace: bool = False) -> list[Profile]:
        """Add the rows of a TOML document (text, or the path of a file): one table a provider, its fields those of ``Profile``.

        A table that names a known provider and sets only some fields changes those fields of its row.
        """
        text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"the provider file is not TOML: {error}") from None
        added: list[Profile] = []
        for name, table in tables.items():
            profile = self._from_table(name, table)
            self.add(profile, replace=replace or name in self._profiles)
            added.append(profile)
        return added

    def _from_table(self, name: str, table: Any) -> Profile:
        if not isinstance(table, dict):
            raise ConfigurationError(
                f"the provider file has {name!r} outside a table; write [{name}] and its fields below"
            )
        known = self._profiles.get(name)
        values: dict[str, Any] = msgspec.to_builtins(known) if known is not None else {"id": name}
        said = cast("dict[str, Any]", table)
        if known is not None and isinstance(said.get("settings"), dict):
            said = {**said, "settings": {**known.settings, **said["settings"]}}
        try:
            return msgspec.convert({**values, **said}, Profile)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"provider {name!r}: {error}") from None

    def adapter(
        self,
        provider: str,
        *,
        keys: str | Sequence[str] | None = None,
        environ: Mapping[str, str] | None = None,
        base_url: str | None = None,
        unsupported: Unsupported = "drop",
        headers: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        with_keys: bool = True,
    ) -> Adapter:
        """The adapter of a provider, with its keys from ``keys`` or from ``environ`` (pass ``os.environ``; nothing is read by itself).

        ``settings`` go before what the environment and the row say. ``with_keys=False`` looks for none: the program has credentials of another
        kind. Raises :class:`ConfigurationError` that names what is missing.
        """
        profile = self.get(provider)
        surroundings = environ or {}
        if base_url is None:
            base_url = _base_url_from(profile, surroundings)
        found = find_keys(profile, keys, surroundings) if with_keys else ()
        return Adapter(
            profile,
            keys=found,
            base_url=base_url,
            unsupported=unsupported,
            headers=headers,
            settings={**settings_from(profile, surroundings), **(settings or {})},
        )


def _base_url_from(profile: Profile, environ: Mapping[str, str]) -> str | None:
    for name, path in profile.base_url_env.items():
        value = environ.get(name, "").strip()
        if value:
            scheme = "" if "://" in value else "http://"  # OLLAMA_HOST is host:port
            return f"{scheme}{value.rstrip('/')}{path}"
    return None


def split_model(name: str, registry: ProviderRegistry) -> tuple[str, str]:
    """``provider:model`` (or ``provider/model``) to its two halves; the model may hold more of either sign.

    ``provider:`` alone means the provider's default model. Raises :class:`ConfigurationError` that shows how to write it.
    """
    for separator in (":", "/"):
        provider, found, model = name.partition(separator)
        if found and provider in registry:
            model = model or registry.get(provider).default_model or ""
            if model:
                return provider, model
            raise ConfigurationError(
                f"{name!r} names no model, and {provider} has no default one", provider=provider
            )
    provider, found, _ = name.partition(":")
    if found and "/" not in provider:
        registry.get(provider)
    if name in registry and (default := registry.get(name).default_model):
        return name, default
    raise ConfigurationError(f"{name!r} is neither a route nor 'provider:model', such as 'openai:gpt-5.1'")
