"""Credentials that may have to be fetched: where an attempt gets what it proves itself with.

A static key is there. A token or a temporary pair of keys is loaded when first needed and again a little before it expires: once for
all who wait, and by whichever of them comes first; if that one is cancelled the next takes over.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from tercet.adapters.auth import Anonymous, Credential
from tercet.codecs.vocabulary import TercetError

__all__ = ["CredentialSource", "LoadedCredential", "StaticCredential"]

REFRESH_EARLY = 120.0
"""Seconds before its end at which a credential is replaced; the AWS SDKs take five minutes at most, Google's four and a half."""
_USABLE = 30.0
"""Seconds before its end up to which a credential that cannot be replaced is still used."""
_PATIENCE, _PAUSE = 2.0, 10.0
"""Seconds that replacing one that is still usable may take, and those until it is tried again: requests wait for it."""
_log = logging.getLogger("tercet.credentials")


class CredentialSource(Protocol):
    """Gives the credential for the next attempt."""

    async def current(self) -> Credential:
        """The credential to use now. Raises :class:`AuthenticationError` or :class:`ConfigurationError` if there is none to be had."""
        ...

    def invalidate(self, credential: Credential) -> bool:
        """The provider did not accept it. Whether asking again may give another one."""
        ...


class StaticCredential:
    """A key that stays as it is; None for a provider that wants none."""

    def __init__(self, credential: Credential | None) -> None:
        self._credential: Credential = Anonymous() if credential is None else credential

    async def current(self) -> Credential:
        """The key; never waits."""
        return self._credential

    def invalidate(self, credential: Credential) -> bool:
        """There is no other."""
        return False


class LoadedCredential:
    """A credential that ``load`` fetches. ``wall`` tells Unix time, in which ``expires_at`` is given."""

    def __init__(self, load: Callable[[], Awaitable[Credential]], wall: Callable[[], float]) -> None:
        self._load = load
        self._wall = wall
        self._credential: Credential | None = None
        self._not_before = (
            -math.inf
        )  # Unix time before which a usable one is not replaced: trying has just failed
        self._lock = trio.Lock()

    async def current(self) -> Credential:
        """The credential, loaded if there is none or it is about to expire. Cancelling leaves the loading to the next who asks.

        Where it cannot be loaded anew, the old one is used up to 30 seconds before its end.
        """
        if (held := self._fresh()) is not None:
            return held
        async with self._lock:
            held = self._fresh()
            if held is None:
                usable = self._lasting(_USABLE)
                held = self._credential = await (self._load() if usable is None else self._replaced(usable))
            return held

    async def _replaced(self, usable: Credential) -> Credential:
        """A new one, or the usable one where that fails or takes long: nobody is to suffer from an endpoint before they must."""
        with trio.move_on_after(_PATIENCE):
            try:
                return await self._load()
            except TercetError as error:
                _log.warning("the credential from %s is not replaced yet: %s", usable.source, error)
        self._not_before = self._wall() + _PAUSE
        return usable

    def invalidate(self, credential: Credential) -> bool:
        """Forget it, if it is still the one that is held: the next who asks loads another."""
        if self._credential is credential:
            self._credential = None
        return True

    def _fresh(self) -> Credential | None:
        return self._lasting(_USABLE if self._wall() < self._not_before else REFRESH_EARLY)

    def _lasting(self, seconds: float) -> Credential | None:
        """The one that is held, if it lasts longer than this."""
        held = self._credential
        if held is None:
            return None
        expires = math.inf if held.expires_at is None else held.expires_at
        return held if self._wall() < expires - seconds else None
