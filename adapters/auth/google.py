"""Google's application default credentials, as a search (:mod:`.steps`): a token for ``https://www.googleapis.com/auth/cloud-platform``.

1. the file that the program names, else ``GOOGLE_APPLICATION_CREDENTIALS``: a service account's key, or a user's refresh token;
2. the file that ``gcloud auth application-default login`` leaves (``~/.config/gcloud/application_default_credentials.json``, on Windows under
   ``%APPDATA%``; ``CLOUDSDK_CONFIG`` names another folder);
3. the metadata server of a machine, a container or a function of Google's (``GCE_METADATA_HOST``; ``NO_GCE_CHECK=true``: do not ask).

From "How Application Default Credentials works" and google-auth's behaviour (read 2026-11). A file that is named and cannot be used is an
error; what is not there is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tercet.codecs.vocabulary import ConfigurationError, ProtocolError, TransportError

from .google_jwt import CLOUD_PLATFORM, service_account_claims, signed_jwt
from .steps import Search, ask, ask_nearby, call_to, json_object, read_file, refusal
from .tokens import AccessToken, granted, token_call

__all__ = ["find_google_credentials", "google_credentials_in"]

_TOKEN_URL = "https://oauth2.googleapis.com/token"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_METADATA_HOST = "metadata.google.internal"
_METADATA_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"
_METADATA_SECONDS = 3.0
_WAYS = (
    "Set GOOGLE_APPLICATION_CREDENTIALS to a service account's key file, run 'gcloud auth application-default login', "
    "or pass a token as the key"
)


def find_google_credentials(
    environ: Mapping[str, str], *, now: float, file: str | None = None, scope: str = CLOUD_PLATFORM
) -> Search[AccessToken]:
    """The first credentials there are. ``now`` is Unix time, ``file`` a path that the program names.

    Raises :class:`ConfigurationError`, :class:`AuthenticationError` where Google refuses, :class:`TransportError` where it does not answer.
    """
    for path, source, is_named in _files(environ, file):
        text = yield from read_file(path, f"the Google credentials of {source}")
        if text is not None:
            return (yield from google_credentials_in(text, source, environ, now=now, scope=scope))
        if is_named:
            raise ConfigurationError(f"{source} names {path}, and there is no such file")
    return (yield from _metadata(environ, now))


def _files(environ: Mapping[str, str], file: str | None) -> list[tuple[str, str, bool]]:
    """The files to look into: path, where the path is from, and whether somebody named it."""
    if file:
        return [(file, f"the file {file}", True)]
    if named := environ.get("GOOGLE_APPLICATION_CREDENTIALS", "").strip():
        return [(named, "GOOGLE_APPLICATION_CREDENTIALS", True)]
    folder = environ.get("CLOUDSDK_CONFIG", "").strip()
    if not folder and (roaming := environ.get("APPDATA", "").strip()):
        folder = f"{roaming}/gcloud"
    if not folder and (home := environ.get("HOME", "").strip()):
        folder = f"{home}/.config/gcloud"
    return (
        [(f"{folder}/application_default_credentials.json", "gcloud's application default login", False)]
        if folder
        else []
    )


def google_credentials_in(
    text: str, source: str, environ: Mapping[str, str], *, now: float, scope: str = CLOUD_PLATFORM
) -> Search[AccessToken]:
    """A token by the JSON of a credentials file. Raises :class:`ConfigurationError` for a kind of file that is not read here."""
    try:
        said = json_object(text, "it")
    except ProtocolError as error:
        raise ConfigurationError(
            f"the Google credentials of {source} cannot be read: {error.message}"
        ) from None
    match said.get("type"):
        case "service_account":
            url = _field(said, "token_uri", source, _TOKEN_URL)
            secret = _field(said, "private_key", source)
            claims = service_account_claims(_field(said, "client_email", source), scope, url, now)
            key_id = said.get("private_key_id")
            proof = signed_jwt(claims, secret, key_id if isinstance(key_id, str) else None)
            fields = [("grant_type", _JWT_BEARER), ("assertion", proof)]
            secrets = [proof]
        case "authorized_user":
            url = _TOKEN_URL
            names = ("refresh_token", "client_id", "client_secret")
            fields = [(name, _field(said, name, source)) for name in names]
            secrets = [fields[0][1], fields[2][1]]
            fields.append(("grant_type", "refresh_token"))
        case kind:
            raise ConfigurationError(
                f"the Google credentials of {source} are of the type {str(kind)[:40]!r}; a service account's key and a user's login are "
                "read here. For another kind give open_manager a source of tokens: credentials={'vertex': token_source(...)}"
            )
    answer = yield from ask(token_call(url, fields))
    grant = granted(answer, f"a Google token by {source}", now, secrets=secrets, way_out=_WAYS)
    quota = environ.get("GOOGLE_CLOUD_QUOTA_PROJECT", "").strip() or said.get("quota_project_id")
    extra = [("x-goog-user-project", quota)] if isinstance(quota, str) and quota else []
    return AccessToken(grant.access_token, source=source, expires_at=grant.expires_at, extra=extra)


def _field(said: Mapping[str, Any], name: str, source: str, default: str | None = None) -> str:
    value = said.get(name, default)
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"the Google credentials of {source} have no {name}")
    return value


def _metadata(environ: Mapping[str, str], now: float) -> Search[AccessToken]:
    """The metadata server's token. What answers without ``Metadata-Flavor: Google`` is somebody else: some networks answer for every name."""
    nothing = ConfigurationError(f"no Google credentials were found: no file, no metadata server. {_WAYS}")
    if environ.get("NO_GCE_CHECK", "").strip().lower() == "true":
        raise nothing
    host = environ.get("GCE_METADATA_HOST", "").strip() or _METADATA_HOST
    call = call_to("GET", f"http://{host}{_METADATA_PATH}", [("metadata-flavor", "Google")])
    try:
        answer = yield from ask_nearby(call, seconds=_METADATA_SECONDS)
    except TransportError:
        raise nothing from None
    if answer.headers.get("metadata-flavor") != "Google":
        raise nothing
    what = f"a token of the metadata server {host}"
    if answer.status == 404:
        raise refusal(what, 404, None, "", way_out="Has this machine a service account?")
    grant = granted(answer, what, now)
    return AccessToken(grant.access_token, source="the metadata server", expires_at=grant.expires_at)
