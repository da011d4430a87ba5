"""Sign-ins of other programs that lie in a file of the home folder, as searches (:mod:`.steps`).

``gemini-cli`` and ``qwen-code`` keep an access token, a refresh token and a time in ``oauth_creds.json``. The token is used while it lasts,
renewed when it has ended or was refused, and the file is put back with all else that was in it, so that the program itself stays
signed in. ``claude-code``'s file is read and never changed: only Claude Code renews it.

Another process may renew the file meanwhile: it is read again before each renewal, and a token in it that is newer than the one
refused is taken as it is. Qwen gives a new refresh token each time and forgets the old one; where the file could not be written,
the newest is remembered (:class:`Signed` ``document``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from tercet.codecs.vocabulary import AuthenticationError, ConfigurationError, ProtocolError
from tercet.codecs.wire.shared import as_object

from .steps import Answer, Ask, Search, WriteFile, json_object, number_in, read_file
from .tokens import AccessToken, Grant, granted, token_call

__all__ = ["OAuthFile", "Signed", "claude_code_token", "oauth_file", "signed_in"]

_EARLY = 30.0
"""Seconds before its end at which a token is renewed: Qwen Code's own figure (2025-10)."""
_SECONDS = 10.0


class OAuthFile(msgspec.Struct, frozen=True):
    """What is particular to one program's file.

    ``path`` is below the home folder. ``client_id`` is the program's public id where it has one (RFC 8252 section 8.5: an installed program has no
    secrets), ``client_env`` the variables of id and secret; without a second one there is no secret. ``grant_first``: whether
    ``grant_type`` is the first or the last field, as the program sends it.
    """

    name: str
    path: str
    token_url: str
    client_id: str | None
    client_env: tuple[str, ...]
    sign_in: str
    grant_first: bool


_FILES = {
    "gemini-cli": OAuthFile(
        name="gemini-cli",
        path=".gemini/oauth_creds.json",
        token_url="https://oauth2.googleapis.com/token",
        client_id=None,
        client_env=("GEMINI_CLI_OAUTH_CLIENT_ID", "GEMINI_CLI_OAUTH_CLIENT_SECRET"),
        sign_in="Sign in with gemini-cli",
        grant_first=False,
    ),
    "qwen-code": OAuthFile(
        name="qwen-code",
        path=".qwen/oauth_creds.json",
        token_url="https://chat.qwen.ai/api/v1/oauth2/token",
        client_id="f0304373b74a44d2b584a3fb70ca9e56",
        client_env=("QWEN_CODE_OAUTH_CLIENT_ID",),
        sign_in="Sign in with Qwen Code, or set DASHSCOPE_API_KEY",
        grant_first=True,
    ),
}
_CLAUDE_PATH = ".claude/.credentials.json"


def oauth_file(name: Literal["gemini-cli", "qwen-code"]) -> OAuthFile:
    """What is known of a program's file."""
    return _FILES[name]


class Signed(msgspec.Struct, frozen=True):
    """A token, the document it stands in, and why that could not be put back into its file, if it could not. The repr shows nothing."""

    token: AccessToken
    document: Mapping[str, Any]
    problem: str | None = None

    def __repr__(self) -> str:
        return f"<Signed by {self.token.source}>"


def signed_in(
    file: OAuthFile,
    environ: Mapping[str, str],
    *,
    now: float,
    path: str | None = None,
    base_url: str | None = None,
    refused: str | None = None,
    remembered: Mapping[str, Any] | None = None,
) -> Search[Signed]:
    """The token of a program's sign-in, renewed where it must be.

    ``now`` is Unix time. ``path`` replaces the usual one. ``base_url`` is the provider's, to be replaced by the one the file names; None leaves
    calls where they go. ``refused`` is a token that was not accepted although it should last. ``remembered`` is the last document.
    Raises :class:`ConfigurationError` where nobody is signed in, :class:`AuthenticationError` where the sign-in has ended.
    """
    where = path or _path(environ, file.path, file.name)
    text = yield from read_file(where, f"the sign-in of {file.name}")
    if text is None:
        raise ConfigurationError(f"there is no sign-in of {file.name} at {where}. {file.sign_in}")
    held = _newest(_document(text, where), remembered)
    token, expires = held.get("access_token"), _expiry(held)
    if isinstance(token, str) and token and token != refused and (expires is None or now < expires - _EARLY):
        return Signed(_token(held, token, expires, where, base_url), held)
    grant = yield from _renew(file, environ, held, where, now)
    kept = {
        **held,
        "access_token": grant.access_token,
        "refresh_token": grant.refresh_token or held.get("refresh_token"),
        "token_type": grant.token_type,
    }
    if grant.expires_at is None:
        kept.pop("expiry_date", None)
    else:
        kept["expiry_date"] = int(grant.expires_at * 1000)
    problem = None
    try:
        yield WriteFile(where, json.dumps(kept, indent=2, ensure_ascii=False))
    except OSError as error:
        problem = f"{where} cannot be written: {error.strerror or 'it failed'}"
    return Signed(_token(kept, grant.access_token, grant.expires_at, where, base_url), kept, problem)


def _renew(
    file: OAuthFile, environ: Mapping[str, str], held: Mapping[str, Any], where: str, now: float
) -> Search[Grant]:
    again = held.get("refresh_token")
    if not isinstance(again, str) or not again:
        raise AuthenticationError(
            f"the sign-in of {file.name} has ended, and {where} has no refresh token. {file.sign_in}"
        )
    client = [environ.get(name, "").strip() for name in file.client_env]
    client[0] = client[0] or file.client_id or ""
    missing = [name for name, value in zip(file.client_env, client, strict=True) if not value]
    if missing:
        raise ConfigurationError(
            f"the token of {file.name} has ended, and renewing it takes the program's OAuth client: set {' and '.join(missing)}"
        )
    grant = ("grant_type", "refresh_token")
    fields = [("refresh_token", again), *zip(("client_id", "client_secret"), client, strict=False)]
    fields = [grant, *fields] if file.grant_first else [*fields, grant]
    # asked once: a second try with a refresh token that was used up, its answer lost, would end the sign-in
    answer: Answer = yield Ask(token_call(file.token_url, fields), _SECONDS)
    secrets = [again, *client[1:]]
    return granted(answer, f"renewing the sign-in of {file.name}", now, secrets=secrets, way_out=file.sign_in)


def _token(
    held: Mapping[str, Any], value: str, expires: float | None, where: str, base_url: str | None
) -> AccessToken:
    there = held.get("resource_url")
    base_urls = None
    if base_url is not None and isinstance(there, str) and there.strip():
        base_urls = (base_url, _resource(there.strip(), where))
    return AccessToken(value, source=where, expires_at=expires, base_urls=base_urls)


def _resource(url: str, where: str) -> str:
    """Qwen's ``resource_url``: ``portal.qwen.ai`` is ``https://portal.qwen.ai/v1``."""
    scheme, mark, _ = url.partition("://")
    if mark and scheme != "https":
        raise ConfigurationError(f"the resource_url in {where} is not https: the token would go in the clear")
    whole = (url if mark else f"https://{url}").rstrip("/")
    return whole if whole.endswith("/v1") else f"{whole}/v1"


def _newest(held: dict[str, Any], remembered: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The file's document, or the one remembered where it lasts longer: it could not be written then."""
    if remembered is not None and (_expiry(remembered) or 0) > (_expiry(held) or 0):
        return remembered
    return held


def _expiry(held: Mapping[str, Any]) -> float | None:
    """``expiry_date`` in Unix seconds; the file has milliseconds."""
    value = number_in(held, "expiry_date")
    return None if value is None else value / 1000


def claude_code_token(
    environ: Mapping[str, str], *, now: float, path: str | None = None, refused: str | None = None
) -> Search[Signed]:
    """The token of Claude Code's sign-in, as it is. Raises as :func:`signed_in`; an ended one only Claude Code renews."""
    folder = environ.get("CLAUDE_CONFIG_DIR", "").strip()
    where = path or (f"{folder}/.credentials.json" if folder else _path(environ, _CLAUDE_PATH, "claude-code"))
    text = yield from read_file(where, "the sign-in of Claude Code")
    if text is None:
        raise ConfigurationError(f"there is no sign-in of Claude Code at {where}. Run 'claude' and sign in")
    document = _document(text, where)
    held = as_object(document.get("claudeAiOauth"))
    token, ends = held.get("accessToken"), number_in(held, "expiresAt")
    expires = None if ends is None else ends / 1000
    if not isinstance(token, str) or not token:
        raise ConfigurationError(f"{where} has no sign-in. Run 'claude' and sign in")
    if token == refused or (expires is not None and now >= expires - _EARLY):
        raise AuthenticationError(f"the sign-in in {where} has ended. Run 'claude' to renew it")
    return Signed(AccessToken(token, source=where, expires_at=expires), document)


def _document(text: str, where: str) -> dict[str, Any]:
    try:
        return json_object(text, where)
    except ProtocolError as error:
        raise ConfigurationError(error.message) from None


def _path(environ: Mapping[str, str], below: str, name: str) -> str:
    home = environ.get("HOME", "").strip() or environ.get("USERPROFILE", "").strip()
    if not home:
        raise ConfigurationError(f"the sign-in of {name} lies in the home folder, and HOME is not set")
    return f"{home}/{below}"
