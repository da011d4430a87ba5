"""Tokens of other makers for the engine: sign-ins that lie in files (gemini-cli, qwen-code, claude-code), and a program's own source of tokens."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import trio

from tercet.adapters.auth import Credential
from tercet.adapters.auth.oauth_files import Signed, claude_code_token, oauth_file, signed_in
from tercet.adapters.auth.steps import Search
from tercet.adapters.auth.tokens import AccessToken
from tercet.codecs.vocabulary import DeadlineError

from .credentials import REFRESH_EARLY, LoadedCredential
from .searching import Searcher

__all__ = ["PROGRAMS", "OAuthFileSource", "Program", "oauth_file_source", "token_source"]

_log = logging.getLogger("tercet.credentials")
_RENEWAL_SECONDS = 15.0
_LOCK_SECONDS, _LOCK_EVERY = 5.0, 0.05

Program = Literal["gemini-cli", "qwen-code", "claude-code"]
PROGRAMS: Mapping[str, Program] = {
    "oauth:gemini-cli": "gemini-cli",
    "oauth:qwen-code": "qwen-code",
    "oauth:claude-code": "claude-code",
}
"""By ``Profile.auth``."""


class OAuthFileSource(LoadedCredential):
    """The token of another program's sign-in.

    Once begun, a renewal is finished even if whoever asked is cancelled, for 15 seconds at most: the answer may hold the only refresh token that is
    good from now on, and a file that has the old one is a sign-in lost. For the same reason one process renews at a time (a lock beside the
    file, where one can be had); the next finds the new token in the file.
    """

    def __init__(
        self,
        program: Program,
        *,
        path: str | None,
        base_url: str | None,
        environ: Mapping[str, str],
        searcher: Searcher,
        wall: Callable[[], float],
    ) -> None:
        super().__init__(self._sign_in, wall)
        self._program: Program = program
        self._path = path
        self._base_url = base_url
        self._environ = environ
        self._searcher = searcher
        self._now = wall
        self._refused: str | None = None
        self._document: Mapping[str, Any] | None = None

    def invalidate(self, credential: Credential) -> bool:
        """Forget it, and do not take it from the file again."""
        if isinstance(credential, AccessToken):
            self._refused = credential.secret.reveal()
        return super().invalidate(credential)

    async def _sign_in(self) -> Credential:
        with trio.move_on_after(_RENEWAL_SECONDS, shield=True):
            async with _alone(self._lock_path()):
                signed = await self._searcher.find(self._search())
            self._document = signed.document
            if signed.problem is not None:
                _log.warning("a renewed sign-in is kept in memory alone: %s", signed.problem)
            return signed.token
        raise DeadlineError(
            f"the sign-in of {self._program} was not renewed within {_RENEWAL_SECONDS:g} s",
            clock="first_content",
        )

    def _lock_path(self) -> Path | None:
        if self._program == "claude-code":  # its file is only read
            return None
        home = self._environ.get("HOME", "").strip() or self._environ.get("USERPROFILE", "").strip()
        path = Path(self._path or f"{home}/{oauth_file(self._program).path}").expanduser()
        return path.with_name(f".{path.name}.lock")

    def _search(self) -> Search[Signed]:
        now = self._now()
        if self._program == "claude-code":
            return claude_code_token(self._environ, now=now, path=self._path, refused=self._refused)
        return signed_in(
            oauth_file(self._program),
            self._environ,
            now=now,
            path=self._path,
            base_url=self._base_url,
            refused=self._refused,
            remembered=self._document,
        )


@asynccontextmanager
async def _alone(path: Path | None) -> AsyncGenerator[None, None]:
    """While the lock on this file is held. After a few seconds, and where there can be no lock, without it: better than no token."""
    descriptor = None if path is None or sys.platform == "win32" else _opened(path)
    if descriptor is None:
        yield
        return
    import fcntl  # where there is one

    try:
        with trio.move_on_after(_LOCK_SECONDS):
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    await trio.sleep(_LOCK_EVERY)
        yield
    finally:
        os.close(descriptor)  # and with it the lock


def _opened(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (OSError, ValueError):  # no such folder, not writable, no path at all
        return None


def oauth_file_source(
    program: Program,
    *,
    path: str | None = None,
    base_url: str | None = None,
    environ: Mapping[str, str] | None = None,
    searcher: Searcher | None = None,
    wall: Callable[[], float] = time.time,
) -> OAuthFileSource:
    """A source of the token that a program's sign-in left in its file, for ``open_manager(credentials={"qwen-code": ...})``.

    ``path`` replaces the program's own place. ``base_url`` is the provider's, if calls may go where the file says instead (Qwen's
    ``resource_url``). Renewing gemini-cli's takes ``GEMINI_CLI_OAUTH_CLIENT_ID`` and ``..._SECRET`` in ``environ`` (by default ``os.environ``).
    Claude Code's file is only read.
    """
    surroundings = os.environ if environ is None else environ
    return OAuthFileSource(
        program,
        path=path,
        base_url=base_url,
        environ=surroundings,
        searcher=searcher or Searcher(environ=surroundings),
        wall=wall,
    )


def token_source(
    provide: Callable[[], Awaitable[str | tuple[str, float]]],
    *,
    source: str = "the program's token provider",
    held: float = 300.0,
    wall: Callable[[], float] = time.time,
) -> LoadedCredential:
    """A source of bearer tokens that the program gives, such as Microsoft Entra's for Azure::

        provider = azure.identity.get_bearer_token_provider(DefaultAzureCredential(), "https://cognitiveservices.azure.com/.default")
        credentials = {"azure": token_source(lambda: trio.to_thread.run_sync(provider))}

    ``provide`` gives a token, or a token and the Unix time of its end. One without an end is asked for anew after ``held`` seconds: such
    providers keep their own. It is called once for all who wait, and again when a token was refused.
    """

    async def load() -> Credential:
        given = await provide()
        if isinstance(given, str):
            return AccessToken(given, source=source, expires_at=wall() + held + REFRESH_EARLY)
        token, expires_at = given
        return AccessToken(token, source=source, expires_at=expires_at)

    return LoadedCredential(load, wall)
