"""AWS Signature Version 4: from a request to the headers that prove who sends it.

What goes in is the request as its bytes will be sent (path and query percent-encoded already, the exact body) and the time; what comes out are
the headers to set beside the given ones. Nothing here reads a clock, a file or the environment.

The source is AWS's "Create a signed AWS API request" (IAM User Guide, read 2026-08), checked against AWS's own signing test suite, botocore's
and smithy-rs's. The path is encoded again for the signature, as for every service but S3: what is sent as ``%3A`` is signed as
``%253A``. A model id or an ARN is one segment of a path: :func:`path_segment` encodes it, once, ``/`` included.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes

from tercet.codecs.vocabulary import ConfigurationError

from .keys import Secret

__all__ = [
    "AwsCredentials",
    "amz_date",
    "canonical_request",
    "path_segment",
    "payload_hash",
    "sign",
    "signature",
    "string_to_sign",
]

Header = tuple[str, str]

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-_.~"  # beside letters and digits, RFC 3986 section 2.3
_BLANKS = re.compile(r"[ \t\r\n]+")
_ADDED = frozenset({"x-amz-date", "x-amz-security-token", "authorization"})
# What a client or a proxy on the way may change; a service must not be told that it did not (botocore and smithy leave them out too).
_NEVER_SIGNED = _ADDED | {
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "expect",
    "from",
    "keep-alive",
    "max-forwards",
    "pragma",
    "proxy-authorization",
    "proxy-connection",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-amzn-trace-id",
}


class AwsCredentials:
    """An access key, with a session token when it is temporary. ``expires_at`` is in Unix seconds, None when it does not expire.

    The repr shows nothing of it. Raises :class:`ConfigurationError` for a key or a token that no header can carry.
    """

    __slots__ = ("access_key", "expires_at", "secret_key", "session_token")

    def __init__(
        self,
        access_key: str,
        secret_key: str,
        session_token: str | None = None,
        expires_at: float | None = None,
    ) -> None:
        for name, value in (("access key", access_key), ("session token", session_token or "-")):
            if not value or any(not "!" <= character <= "~" for character in value):
                raise ConfigurationError(
                    f"the AWS {name} is empty or has a character that no header can carry"
                )
        if not secret_key:
            raise ConfigurationError("the AWS secret access key is empty")
        self.access_key: str = access_key
        self.secret_key: Secret = Secret(secret_key)
        self.session_token: Secret | None = Secret(session_token) if session_token else None
        self.expires_at: float | None = expires_at

    def __repr__(self) -> str:
        kind = "temporary" if self.session_token is not None else "long-term"
        return f"<AwsCredentials {kind}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AwsCredentials) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return self.access_key, self.secret_key, self.session_token, self.expires_at


def sign(  # noqa: PLR0917 - a request in the order it has on the wire, who signs it, and when
    method: str,
    raw_path: str,
    raw_query: str,
    headers: Iterable[Header],
    payload: bytes | str,
    credentials: AwsCredentials,
    at: float,
    *,
    region: str,
    service: str,
    normalize_path: bool = True,
) -> tuple[Header, ...]:
    """The headers to set: ``x-amz-date``, ``x-amz-security-token`` for temporary credentials, ``authorization``.

    ``raw_path`` and ``raw_query`` (without its ``?``) are as they will be sent. ``headers`` must have ``host``; all of them are signed but
    those that may change on the way, and those of the three above, which the result replaces. ``payload`` is the body, or the
    hex SHA-256 of it. ``at`` is in Unix seconds. ``normalize_path`` takes dot segments and doubled slashes out of what is signed.
    Raises :class:`ConfigurationError` without a ``host``.
    """
    stamp = amz_date(at)
    set_: list[Header] = [("x-amz-date", stamp)]
    if credentials.session_token is not None:
        set_.append(("x-amz-security-token", credentials.session_token.reveal()))
    signed = [header for header in headers if header[0].lower() not in _NEVER_SIGNED]
    if not any(name.lower() == "host" for name, _ in signed):
        raise ConfigurationError("a request to AWS is signed together with its host, and it has none")
    signed += set_
    digest = payload if isinstance(payload, str) else payload_hash(payload)
    request = canonical_request(method, raw_path, raw_query, signed, digest, normalize_path=normalize_path)
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    proof = signature(string_to_sign(request, stamp, scope), credentials, scope)
    names = ";".join(sorted({name.lower() for name, _ in signed}))
    set_.append(
        (
            "authorization",
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={proof}",
        )
    )
    return tuple(set_)


def path_segment(text: str) -> str:
    """A model id or an ARN as one segment of a path: everything but ``A-Z a-z 0-9 - _ . ~`` encoded, ``/`` and ``:`` too."""
    return quote(text, safe=_UNRESERVED)


def payload_hash(body: bytes) -> str:
    """What ``x-amz-content-sha256`` says of a body."""
    return hashlib.sha256(body).hexdigest()


def amz_date(at: float) -> str:
    """``at`` (Unix seconds) as ``x-amz-date`` has it: ``20150830T123600Z``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")


def canonical_request(
    method: str,
    raw_path: str,
    raw_query: str,
    headers: Sequence[Header],
    digest: str,
    *,
    normalize_path: bool = True,
) -> str:
    """The text that stands for a request. All ``headers`` given are in it; ``digest`` is the hash of the body."""
    path = _without_dots(raw_path) if normalize_path else raw_path
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(_BLANKS.sub(" ", value).strip(" "))
    lines = [f"{name}:{','.join(values[name])}\n" for name in sorted(values)]
    return "\n".join(
        (
            method,
            quote(path or "/", safe="/" + _UNRESERVED),
            _canonical_query(raw_query),
            "".join(lines),
            ";".join(sorted(values)),
            digest,
        )
    )


def string_to_sign(request: str, stamp: str, scope: str) -> str:
    """What is signed: ``request`` is the canonical one, ``scope`` is ``20150830/us-east-1/bedrock/aws4_request``."""
    return "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()))


def signature(text: str, credentials: AwsCredentials, scope: str) -> str:
    """The signature of a string to sign, in hex. The key is derived through the parts of the scope."""
    key = b"AWS4" + credentials.secret_key.reveal().encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _without_dots(path: str) -> str:
    """RFC 3986 section 5.2.4, and one slash for many."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")


def _canonical_query(raw: str) -> str:
    """Each name and value decoded and encoded as AWS wants it, sorted by name, then by value (as encoded)."""
    pairs = [pair.partition("=") for pair in raw.split("&") if pair]
    encoded = sorted((_encoded(name), _encoded(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _encoded(part: str) -> str:
    return quote(unquote_to_bytes(part), safe=_UNRESERVED)
