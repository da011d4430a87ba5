"""IAM Identity Center (SSO): from the token that ``aws sso login`` left in its cache to credentials of a role.

The token lies in ``~/.aws/sso/cache/<sha1 of the session's name, or of the start URL>.json``. One of a session is renewed with its refresh
token (SSO OIDC CreateToken) and put back into the cache, as the AWS CLI does; an older one ends, and then someone must log in again.
("IAM Identity Center credential provider", AWS SDKs' reference guide, read 2026-11.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec

from tercet.codecs.vocabulary import AuthenticationError, ConfigurationError, ProtocolError, TercetError
from tercet.codecs.wire.shared import as_object

from .aws_config import AwsSettings
from .aws_profiles import Sso
from .aws_results import AwsFound, found_in_json, unix_time
from .keys import Secret
from .steps import Search, WriteFile, ask, call_to, json_object, number_in, read_file, refusal

__all__ = ["SsoToken", "sso_credentials", "sso_token"]

_LAST = 253_402_300_799.0  # the end of the year 9999, where ISO 8601 ends
_EARLY = 300.0
"""Seconds before its end at which a token is renewed; botocore takes 15 minutes, smithy-rs 5."""


class SsoToken(msgspec.Struct, frozen=True):
    """The token of a login, and the Unix time of its end."""

    token: Secret
    expires_at: float


def sso_credentials(settings: AwsSettings, wanted: Sso, now: float) -> Search[AwsFound]:
    """Credentials of the role that the profile names. Raises :class:`AuthenticationError` where the login has ended."""
    if not wanted.account_id or not wanted.role_name:
        raise ConfigurationError(
            f"the AWS profile {settings.profile!r} has no sso_account_id and no sso_role_name: it gives an access token instead of credentials"
        )
    login = yield from sso_token(settings, wanted, now)
    query = urlencode({"account_id": wanted.account_id, "role_name": wanted.role_name})
    base = settings.endpoint("sso", "portal.sso", wanted.region)
    token = login.token.reveal()
    url = f"{base.rstrip('/')}/federation/credentials?{query}"
    answer = yield from ask(call_to("GET", url, [("x-amz-sso_bearer_token", token)]))
    what = f"the SSO role {wanted.role_name} of the profile {settings.profile}"
    if answer.status != 200:
        raise refusal(what, answer.status, None, "", way_out=_log_in(settings))
    said = as_object(json_object(answer.body, f"the answer for {what}").get("roleCredentials"))
    ends = number_in(said, "expiration")
    if ends is None:
        raise ProtocolError(f"the answer for {what} has no credentials that end", retryable=False)
    fields = {
        "AccessKeyId": said.get("accessKeyId"),
        "SecretAccessKey": said.get("secretAccessKey"),
        "SessionToken": said.get("sessionToken"),
        "Expiration": ends / 1000,
        "AccountId": wanted.account_id,
    }
    return found_in_json(fields, what, token="SessionToken")


def sso_token(settings: AwsSettings, wanted: Sso, now: float) -> Search[SsoToken]:
    """The token in the cache, renewed if it is about to end and can be."""
    home = settings.variable("HOME") or settings.variable("USERPROFILE")
    name = hashlib.sha1((wanted.session or wanted.start_url).encode(), usedforsecurity=False).hexdigest()
    path = f"{home or '~'}/.aws/sso/cache/{name}.json"
    text = yield from read_file(path, "the SSO token")
    if text is None:
        raise AuthenticationError(f"there is no SSO token at {path}. {_log_in(settings)}")
    held = json_object(text, f"the SSO token {path}")
    token = _token(held, path)
    if now < token.expires_at - _EARLY:
        return token
    try:
        renewed = yield from _renew(settings, wanted, held, path, now)
    except TercetError:
        if now < token.expires_at:
            return token  # good for a while yet
        raise
    if renewed is not None:
        return renewed
    if now < token.expires_at:
        return token
    raise AuthenticationError(
        f"the SSO login of the profile {settings.profile} has ended. {_log_in(settings)}"
    )


def _token(held: Mapping[str, Any], path: str) -> SsoToken:
    token, expires = held.get("accessToken"), held.get("expiresAt")
    if not isinstance(token, str) or not isinstance(expires, str):
        raise ProtocolError(f"the SSO token {path} has no accessToken and expiresAt", retryable=False)
    return SsoToken(Secret(token), unix_time(expires, f"the SSO token {path}"))


def _renew(
    settings: AwsSettings, wanted: Sso, held: Mapping[str, Any], path: str, now: float
) -> Search[SsoToken | None]:
    """A new token by the refresh token, put into the cache; None where the cache has not what it takes."""
    needed = {name: held.get(name) for name in ("clientId", "clientSecret", "refreshToken")}
    registered = held.get("registrationExpiresAt")
    if wanted.session is None or not all(isinstance(value, str) and value for value in needed.values()):
        return None
    if isinstance(registered, str) and now >= unix_time(registered, f"the SSO token {path}"):
        return None
    body = msgspec.json.encode({"grantType": "refresh_token", **needed})
    base = settings.endpoint("sso_oidc", "oidc", wanted.region)
    call = call_to("POST", f"{base.rstrip('/')}/token", [("content-type", "application/json")], body)
    answer = yield from ask(call)
    what = f"renewing the SSO login of the profile {settings.profile}"
    if answer.status != 200:
        raise refusal(what, answer.status, None, "", way_out=_log_in(settings))
    said = json_object(answer.body, f"the answer to {what}")
    token, lasts = said.get("accessToken"), number_in(said, "expiresIn")
    if not isinstance(token, str) or not token or lasts is None:
        raise ProtocolError(f"the answer to {what} has no accessToken and expiresIn", retryable=False)
    until = now + lasts
    kept = {
        **held,
        "accessToken": token,
        "expiresAt": datetime.fromtimestamp(min(until, _LAST), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if isinstance(said.get("refreshToken"), str):
        kept["refreshToken"] = said["refreshToken"]
    try:
        yield WriteFile(path, msgspec.json.encode(kept).decode())
    except OSError:
        pass  # a cache that cannot be written: the token is good all the same
    return SsoToken(Secret(token), until)


def _log_in(settings: AwsSettings) -> str:
    return f"Run 'aws sso login --profile {settings.profile}'"
