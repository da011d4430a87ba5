"""A row's ``{name}``: places in addresses and paths that a project, a region or a resource fills in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tercet.codecs.vocabulary import ConfigurationError

from .profile import Profile

__all__ = ["Settings", "sample_settings", "settings_from"]

_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
"""No slash, no ``?``, no ``@``: a value fills its place and cannot become another host or path."""


def settings_from(profile: Profile, environ: Mapping[str, str]) -> dict[str, str]:
    """The row's values, replaced by the first variable of each that is set and not blank."""
    values = dict(profile.settings)
    for name, variables in profile.settings_env.items():
        found = next((value for variable in variables if (value := environ.get(variable, "").strip())), None)
        if found is not None:
            values[name] = found
    return values


def sample_settings(profile: Profile) -> dict[str, str]:
    """A value for every setting: the row's own, else one that only shows that the row can be filled in."""
    return {**dict.fromkeys(profile.settings_env, "sample"), **profile.settings}


class Settings:
    """The values of one adapter. ``{model}`` and other names that are none of the row's settings stay as they are."""

    def __init__(self, profile: Profile, values: Mapping[str, str]) -> None:
        """Raises :class:`ConfigurationError` for a value that could not stand in an address, naming it."""
        self._profile = profile
        self._names = {*profile.settings, *profile.settings_env}
        self._values = {name: value for name, value in values.items() if name in self._names}
        for name, value in self._values.items():
            if not _VALUE.fullmatch(value):
                raise ConfigurationError(
                    f"{profile.label}: {name} is letters, digits, '.', '_', ':' and '-'; got {value!r}",
                    provider=profile.id,
                )

    def base_url(self) -> str:
        """The row's base URL, or the one it has for these values."""
        for condition, url in self._profile.base_url_for.items():
            name, _, value = condition.partition("=")
            if self._values.get(name) == value:
                return self.fill(url)
        return self.fill(self._profile.base_url)

    def fill(self, text: str) -> str:
        """``text`` with its places filled. Raises :class:`ConfigurationError` that says which value is missing, and how to give it."""
        for name in self._names:
            place = f"{{{name}}}"
            if place in text:
                text = text.replace(place, self._value(name))
        return text

    def dialect(self, dialect: Mapping[str, Any]) -> dict[str, Any]:
        """A dialect with the places in its paths filled."""
        return {
            field: self.fill(value) if isinstance(value, str) else value for field, value in dialect.items()
        }

    def _value(self, name: str) -> str:
        value = self._values.get(name)
        if value is not None:
            return value
        profile = self._profile
        ways = [f"set {' or '.join(profile.settings_env[name])}"] if profile.settings_env.get(name) else []
        if f"{{{name}}}" in profile.base_url:
            ways = [f"set {variable}" for variable in profile.base_url_env] + ways
            ways.append(
                f"pass base_urls={{{profile.id!r}: '{profile.base_url.replace(f'{{{name}}}', 'NAME')}'}}"
            )
        ways.append(f"give the row [{profile.id}] settings = {{{name} = '...'}}")
        raise ConfigurationError(
            f"{profile.label} needs its {name}: {', or '.join(ways)}", provider=profile.id
        )
