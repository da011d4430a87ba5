"""Access tokens of Google's clouds, as the reference's libraries get them (google-auth-library 9.15.1, gtoken 7).

Credentials are what a key file holds: a service account (a signed statement for a token) or a user (a refresh token for one). They come from the
settings, from a file that the settings or ``GOOGLE_APPLICATION_CREDENTIALS`` name, from the well-known file, else a token comes from the
metadata server of the machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from tercet.adapters.auth.google_jwt import CLOUD_PLATFORM, service_account_claims, signed_jwt
from tercet.codecs.vocabulary import ConfigurationError, ProviderError, TransportError

from .actions import Conversation, Now, ReadFile, Reply, Send, Sleep
from .errors import error_class
from .http import Request, merge_headers, read_text
from .values import get, is_object, parse_json, text_of

__all__ = ["Ask", "GoogleTokens", "ask_google", "google_client_failure", "refresh_form"]

TOKEN_URL = "https://oauth2.googleapis.com/token"
_JWT_TOKEN_URL = "https://www.googleapis.com/oauth2/v4/token"  # gtoken's, whatever the key file says
_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_METADATA = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"
_WELL_KNOWN = "~/.config/gcloud/application_default_credentials.json"
_WAITS = (0.1, 0.5, 1.5)  # seconds; gaxios
_EAGER = 300.0  # seconds before its end in which a token is asked for anew
_NO_CREDENTIALS = (
    "Could not load the default credentials. Browse to https://cloud.google.com/docs/authentication/getting-started "
    "for more information."
)


class Ask(msgspec.Struct, frozen=True):
    """A POST of Google's client libraries. ``is_stream``: the answer is read piece by piece, and an error's text is its whole body."""

    url: str
    content_type: str
    body: bytes
    accept: str = "*/*"
    token: str | None = None
    is_stream: bool = False

    def __repr__(self) -> str:
        return f"<Ask {self.url}>"


def ask_google(ask: Ask) -> Conversation[Reply]:
    """Send once. Raises what the libraries make of an answer that is not a success."""
    headers = {"Content-Type": ask.content_type, "User-Agent": "tercet", "Accept": ask.accept}
    proof = {} if ask.token is None else {"Authorization": f"Bearer {ask.token}"}
    request = Request("POST", ask.url, merge_headers(headers, proof), ask.body)
    reply: Reply = yield Send(request.call())
    if reply.status < 300:
        return reply
    try:
        text = yield from read_text()
    except TransportError:
        text = ""
    raise google_client_failure(reply, text, is_stream=ask.is_stream)


def google_client_failure(reply: Reply, text: str, *, is_stream: bool = False) -> ProviderError:
    """An answer that is not a success: the body's ``error``, where that is a text, or its message; else the body."""
    try:
        body = None if is_stream else parse_json(text)
    except ValueError:
        body = None
    error = get(body, "error")
    message = error if isinstance(error, str) else get(error, "message")
    code = error if isinstance(error, str) else get(error, "status")
    return error_class(reply.status)(
        text_of(message) if message is not None else text,
        status=reply.status,
        code=code if isinstance(code, str) else None,
        body=text,
    )


def refresh_form(refresh_token: str, client_id: str, client_secret: str) -> bytes:
    """The form that asks for a token by a refresh token."""
    return urlencode(
        {
            "refresh_token": refresh_token,
            "client_id": client_id,
            "client_secret": client_secret,
            "grant_type": "refresh_token",
        }
    ).encode()


class GoogleTokens:
    """The token of one set of credentials, kept until five minutes before its end. The repr shows nothing."""

    def __init__(self, options: Mapping[str, Any], env: Mapping[str, str]) -> None:
        self._options = options
        self._env = env
        self._credentials: Mapping[str, Any] | None = None
        self._token = ""
        self._until = -math.inf

    def __repr__(self) -> str:
        return "<GoogleTokens>"

    def headers(self) -> Conversation[dict[str, str]]:
        """``Authorization``, and the project that pays where the credentials name one.

        Raises ``ConfigurationError`` without usable credentials, and the failures of the token endpoint.
        """
        now: float = yield Now()
        if now >= self._until:
            answer = yield from self._ask(now)
            self._token = text_of(get(answer, "access_token"))
            lifetime = get(answer, "expires_in")
            self._until = now + (lifetime if isinstance(lifetime, (int, float)) else 0) - _EAGER
        pays = get(self._credentials, "quota_project_id") or self._env.get("GOOGLE_CLOUD_QUOTA_PROJECT")
        return {
            "Authorization": f"Bearer {self._token}",
            **({"x-goog-user-project": text_of(pays)} if pays else {}),
        }

    def _ask(self, now: float) -> Conversation[Any]:
        if self._credentials is None:
            self._credentials = yield from self._load()
        known = self._credentials
        form = "application/x-www-form-urlencoded"
        match known.get("type"):
            case "service_account":
                email = _field(known, "client_email")
                claims = service_account_claims(email, CLOUD_PLATFORM, _JWT_TOKEN_URL, now)
                proof = {
                    "grant_type": _JWT_GRANT,
                    "assertion": signed_jwt(claims, _field(known, "private_key")),
                }
                ask = Ask(_JWT_TOKEN_URL, form, urlencode(proof).encode(), accept="application/json")
            case "authorized_user":
                body = refresh_form(
                    *(_field(known, name) for name in ("refresh_token", "client_id", "client_secret"))
                )
                ask = Ask(TOKEN_URL, form, body)
            case None:
                return (yield from _metadata_token())
            case other:
                raise ConfigurationError(f"Google credentials of the type {other!r} are not known here")
        return (yield from _with_retries(ask))

    def _load(self) -> Conversation[Mapping[str, Any]]:
        """What a key file says; empty where there is none."""
        given = self._options.get("vertexJsonCredentials")
        if given:
            return _parsed(given, "vertexJsonCredentials")
        path = self._options.get("vertexKeyFile") or self._env.get("GOOGLE_APPLICATION_CREDENTIALS")
        try:
            text: str = yield ReadFile(path or _WELL_KNOWN)
        except OSError as error:
            if path:
                raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
            return {}
        return _parsed(text, path or _WELL_KNOWN)


def _parsed(text: str, where: str) -> Mapping[str, Any]:
    try:
        value = parse_json(text)
    except ValueError:
        value = None
    if not is_object(value):
        raise ConfigurationError(f"the Google credentials in {where} are not a JSON object")
    return value


def _field(credentials: Mapping[str, Any], name: str) -> str:
    value = credentials.get(name)
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"the Google credentials have no {name}")
    return value


def _with_retries(ask: Ask) -> Conversation[Any]:
    """A token, asked for up to four times where the endpoint fails on its own account."""
    for wait in (*_WAITS, None):
        try:
            yield from ask_google(ask)
            return parse_json((yield from read_text()))
        except (ProviderError, TransportError) as error:
            if wait is None or (
                error.status is not None and error.status not in (408, 429) and error.status < 500
            ):
                raise
        except ValueError:
            raise ConfigurationError(f"{ask.url} did not answer with JSON") from None
        yield Sleep(wait)
    return None


def _metadata_token() -> Conversation[Any]:
    """A token from the machine's own metadata server, where it has one."""
    request = Request("GET", _METADATA, (("Metadata-Flavor", "Google"), ("User-Agent", "tercet")))
    try:
        reply: Reply = yield Send(request.call())
        text = yield from read_text()
    except TransportError:
        raise ConfigurationError(_NO_CREDENTIALS) from None
    if reply.status != 200:
        raise ConfigurationError(_NO_CREDENTIALS)
    return _parsed(text, "the metadata server's answer")
