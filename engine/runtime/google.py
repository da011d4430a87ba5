"""Google credentials for the engine: application default credentials, or a file that the program names."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

from tercet.adapters.auth import Credential

from .credentials import LoadedCredential
from .searching import Searcher

__all__ = ["google_source"]


def google_source(
    *,
    file: str | None = None,
    info: str | None = None,
    environ: Mapping[str, str] | None = None,
    searcher: Searcher | None = None,
    wall: Callable[[], float] = time.time,
) -> LoadedCredential:
    """A source of access tokens, for ``open_manager(credentials={"vertex": google_source(file="key.json")})``.

    ``file`` is the path of a service account's key or a user's login, ``info`` the JSON of one; without them it is what application default
    credentials are. ``environ`` replaces ``os.environ``. Nothing is read before the first request.
    """
    surroundings = os.environ if environ is None else environ
    driver = searcher or Searcher(environ=surroundings)

    async def load() -> Credential:
        from tercet.adapters.auth.google import find_google_credentials, google_credentials_in

        now = wall()
        if info is not None:
            return await driver.find(google_credentials_in(info, "argument", surroundings, now=now))
        return await driver.find(find_google_credentials(surroundings, now=now, file=file))

    return LoadedCredential(load, wall)
