"""Keys: where they come from, how they are kept from being printed, and where they go in a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from tercet.codecs.vocabulary import ConfigurationError

from ..call import HttpCall
from ..profile import KeyStyle, Profile

__all__ = ["Anonymous", "Credential", "Key", "Secret", "find_keys"]


class Credential(Protocol):
    """What proves who sends a call: a key, a token, a pair of keys to sign with."""

    @property
    def source(self) -> str:
        """Where it was found (a variable's name, a file's path), never what it is."""
        ...

    @property
    def expires_at(self) -> float | None:
        """Unix time after which it is not accepted any more; None: never, or unknown."""
        ...

    def authorize(self, call: HttpCall, wall_now: float, /) -> HttpCall:
        """The call with the proof in it. ``wall_now`` is Unix time: signatures carry it."""
        ...


class Anonymous:
    """No credential: for servers that want none."""

    source = "none"
    expires_at: float | None = None

    def authorize(self, call: HttpCall, wall_now: float, /) -> HttpCall:
        """The call as it is."""
        return call


class Secret:
    """A string that does not print itself. ``reveal`` is the only way to its value."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class Key:
    """A key of one provider: its value, how it is sent, and ``source``, the name of where it was found (never the value)."""

    __slots__ = ("_header", "expires_at", "secret", "source", "style")

    def __init__(self, value: str, *, style: KeyStyle, source: str, expires_at: float | None = None) -> None:
        check_key(value, source)
        self.secret: Secret = Secret(value)
        self.style = style
        self.source: str = source
        self.expires_at: float | None = expires_at
        self._header = ("authorization", f"Bearer {value}") if style == "bearer" else (str(style), value)

    def __repr__(self) -> str:
        return f"<Key from {self.source}>"

    def authorize(self, call: HttpCall, wall_now: float, /) -> HttpCall:
        """The call with the header that carries the key."""
        if self.style == "none":
            return call
        return msgspec.structs.replace(call, headers=(*call.headers, self._header))


def find_keys(
    profile: Profile,
    given: str | Sequence[str] | None,
    environ: Mapping[str, str],
    *,
    use_environ: bool = True,
) -> tuple[Key, ...]:
    """The keys of a provider: those ``given``, else the first variable of ``key_env`` that is set and not blank.

    Returns nothing where the provider needs no key, or where its credentials are looked for elsewhere. Raises :class:`ConfigurationError` that
    names the variables looked for.
    """
    if given:
        values = (given,) if isinstance(given, str) else tuple(given)
        return tuple(Key(value, style=profile.key_style, source="argument") for value in values)
    if use_environ:
        for name in profile.key_env:
            value = environ.get(name, "").strip()
            if value:
                return (Key(value, style=profile.auth_env.get(name, profile.key_style), source=name),)
    if profile.key_required and profile.auth != "none" and not profile.finds_credentials:
        looked = f"; looked for {', '.join(profile.key_env)} in the environment" if profile.key_env else ""
        raise ConfigurationError(
            f"no key for {profile.label}{looked}. Set one of them, or pass keys={{{profile.id!r}: '...'}}.",
            provider=profile.id,
        )
    return ()


def check_key(value: str, source: str) -> None:
    """Refuse a key that no header can carry. The message tells where the fault is, never what the key is."""
    if not value:
        raise ConfigurationError(f"the key from {source} is empty")
    for position, character in enumerate(value):
        if not "!" <= character <= "~":
            raise ConfigurationError(
                f"the key from {source} has a character no key has, U+{ord(character):04X}, at position {position + 1} "
                f"of {len(value)}: was it copied with a line end or a typographic quote?"
            )
