"""What AWS's services answer when they give credentials: their JSON, STS's XML, their times."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from tercet.codecs.vocabulary import ProtocolError, TercetError

from .sigv4 import AwsCredentials
from .steps import Answer, number_in, refusal

__all__ = ["AwsFound", "found_in_json", "found_in_xml", "sts_refusal", "unix_time"]

_ACCOUNT = re.compile(r"arn:[^:]*:[^:]*:[^:]*:(\d+):")


class AwsFound(msgspec.Struct, frozen=True):
    """Credentials, where they were found, the account they belong to where that was said, and the region that is set beside them."""

    credentials: AwsCredentials
    source: str
    account_id: str | None = None
    region: str | None = None


def found_in_json(said: Mapping[str, Any], source: str, *, token: str) -> AwsFound:
    """``AccessKeyId``, ``SecretAccessKey``, ``Expiration`` (ISO 8601 or Unix seconds), and the session token under the name ``token``.

    Raises :class:`ProtocolError` that shows nothing of the answer.
    """
    access, secret, session = said.get("AccessKeyId"), said.get("SecretAccessKey"), said.get(token)
    ends, account = said.get("Expiration"), said.get("AccountId")
    expires = unix_time(ends, source) if isinstance(ends, str) else number_in(said, "Expiration")
    if not isinstance(access, str) or not isinstance(secret, str) or not access or not secret:
        raise ProtocolError(f"{source} gave no AccessKeyId and SecretAccessKey", retryable=False)
    return AwsFound(
        AwsCredentials(
            access,
            secret,
            session if isinstance(session, str) and session else None,
            expires,
        ),
        source,
        str(account) if account else None,
    )


def found_in_xml(body: bytes, source: str) -> AwsFound:
    """STS's answer. It is read with a pattern per field, not as XML: four plain texts are wanted, and entities and schemas are not."""
    text = body.decode("utf-8", "replace")
    fields = {
        "AccessKeyId": _element(text, "AccessKeyId"),
        "SecretAccessKey": _element(text, "SecretAccessKey"),
        "SessionToken": _element(text, "SessionToken"),
        "Expiration": _element(text, "Expiration") or None,
    }
    account = _ACCOUNT.match(_element(text, "Arn"))
    return msgspec.structs.replace(
        found_in_json(fields, source, token="SessionToken"), account_id=account[1] if account else None
    )


def sts_refusal(what: str, answer: Answer, secret: str) -> TercetError:
    """STS's error document as an error, without the token that proved nothing."""
    text = answer.body.decode("utf-8", "replace")
    code = _element(text, "Code") or None
    return refusal(what, answer.status, code, _element(text, "Message"), secrets=[secret])


def _element(text: str, name: str) -> str:
    found = re.search(rf"<{name}>([^<]*)</{name}>", text)
    return html.unescape(found[1]).strip() if found else ""


def unix_time(text: str, source: str) -> float:
    """An ISO 8601 time (``2026-11-23T18:36:00Z``; older tools write ``UTC``) in Unix seconds. Raises :class:`ProtocolError`."""
    try:
        at = datetime.fromisoformat(text.removesuffix("UTC"))
    except ValueError:
        raise ProtocolError(f"{source} gave a time that is none: {text[:40]!r}", retryable=False) from None
    try:
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except OverflowError:
        raise ProtocolError(
            f"{source} gave a time that no clock shows: {text[:40]!r}", retryable=False
        ) from None
