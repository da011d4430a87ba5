"""One request as the reference's HTTP clients make it: redirects, retries with their waits, and bodies.

openai 5.12.2 and @anthropic-ai/sdk 0.37.0 have the same policy: two retries on connection errors and on 408, 409, 429 and
5xx, unless ``x-should-retry`` says otherwise; the wait is ``retry-after-ms``, else ``retry-after`` (seconds or a date) when it is
under a minute, else 0.5 s doubled each time, at most 8 s, less up to a quarter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from tercet.adapters.call import HttpCall, Origin
from tercet.codecs.vocabulary import (
    ConfigurationError,
    DeadlineError,
    ProtocolError,
    ProviderError,
    TransportError,
)

from .actions import Conversation, Draw, Now, Read, Reply, Send, Sleep
from .errors import INVALID_KEY, reworded
from .values import parse_float, parse_json

__all__ = [
    "Failure",
    "Request",
    "fetch",
    "fetch_once",
    "fetch_with_retries",
    "merge_headers",
    "read_result",
    "read_text",
    "reason_phrase",
]

Header = tuple[str, str]
Failure = Callable[[Reply, str], ProviderError]

_MAX_BODY = 64 * 1024 * 1024
_MAX_REDIRECTS = 20
_RETRIES = 2
_OK = range(200, 300)
_REDIRECTS = (301, 302, 303, 307, 308)
_BODY_HEADERS = frozenset({"content-encoding", "content-language", "content-location", "content-type"})
_CREDENTIALS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "api-key", "x-api-key", "x-goog-api-key"}
)
_BAD_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")  # RFC 9110 section 5.5
# WHATWG URL's path percent-encode set, as the reference's URL class has it; what is encoded already stays.
_SAFE_IN_TARGET = "!$%&'()*+,-./:;=?@[\\]^_|~"


class Request(msgspec.Struct, frozen=True):
    """A request before it is bound to a connection. Its repr shows no header values and no body."""

    method: str
    url: str
    headers: tuple[Header, ...] = ()
    body: bytes = b""

    def __repr__(self) -> str:
        return f"<Request {self.method} {self._shown}>"

    @property
    def _shown(self) -> str:
        """The URL without what may be secret in it: user, password and query."""
        scheme, slashes, rest = self.url.partition("?")[0].rpartition("://")
        return scheme + slashes + rest.rpartition("@")[2]

    def call(self) -> HttpCall:
        """The same as an :class:`HttpCall`. Raises ``ConfigurationError`` for a URL or a header that HTTP cannot carry."""
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            raise ConfigurationError(f"{self._shown!r} is not a URL: {error}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(f"{self._shown!r} is not an http or https URL")
        for _, value in self.headers:
            if not _is_field_value(value):
                raise ConfigurationError(INVALID_KEY)
        target = quote(parts.path or "/", safe=_SAFE_IN_TARGET)
        if parts.query:
            target += "?" + quote(parts.query, safe=_SAFE_IN_TARGET)
        scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
        origin = Origin(scheme, parts.hostname, port or (443 if scheme == "https" else 80))
        return HttpCall(self.method, origin, target, self.headers, self.body)

    def redirected(self, status: int, location: str) -> Request:
        """The request that follows (Fetch standard, HTTP-redirect fetch). To another origin it carries no credentials."""
        url = urljoin(self.url, location)
        if urlsplit(url).scheme not in ("http", "https"):
            raise ProtocolError("the answer redirects to something that is not http or https", status=status)
        dropped = frozenset[str]()
        method, body = self.method, self.body
        if (status in (301, 302) and method == "POST") or (status == 303 and method not in ("GET", "HEAD")):
            method, body = "GET", b""
            dropped |= _BODY_HEADERS
        if urlsplit(url)[:2] != urlsplit(self.url)[:2]:
            dropped |= _CREDENTIALS
        kept = tuple(header for header in self.headers if header[0].lower() not in dropped)
        return Request(method, url, kept, body)


def merge_headers(*groups: Mapping[str, str | None]) -> tuple[Header, ...]:
    """Headers in order; a later one replaces an earlier of the same name in any case, and None removes it."""
    merged: dict[str, Header] = {}
    for group in groups:
        for name, value in group.items():
            merged.pop(name.lower(), None)
            if value is not None:
                merged[name.lower()] = (name, value)
    return tuple(merged.values())


def fetch(request: Request) -> Conversation[Reply]:
    """Send, following up to twenty redirects."""
    for _ in range(_MAX_REDIRECTS):
        reply: Reply = yield Send(request.call())
        location = reply.headers.get("location")
        if reply.status not in _REDIRECTS or location is None:
            return reply
        request = request.redirected(reply.status, location)
    raise ProtocolError(f"more than {_MAX_REDIRECTS} redirects")


def fetch_once(request: Request, failure: Failure) -> Conversation[Reply]:
    """Send without retries. Raises what ``failure`` makes of an answer that is not a success."""
    reply = yield from fetch(request)
    if reply.status in _OK:
        return reply
    text = yield from _error_text()
    raise failure(reply, text)


def fetch_with_retries(request: Request, failure: Failure) -> Conversation[Reply]:
    """Send, and send again as the SDKs do. Raises what ``failure`` makes of the last answer, or the last transport error."""
    attempt = 0
    while True:
        is_last = attempt == _RETRIES
        headers: Mapping[str, str] = {}
        try:
            reply = yield from fetch(request)
        except TransportError as error:
            if is_last:
                text = "Request timed out." if isinstance(error, DeadlineError) else "Connection error."
                raise reworded(error, text) from error
        else:
            if reply.status in _OK:
                return reply
            if is_last or not _should_retry(reply):
                text = yield from _error_text()
                raise failure(reply, text)
            headers = reply.headers
        yield from _wait(attempt, headers)
        attempt += 1


def _should_retry(reply: Reply) -> bool:
    said = reply.headers.get("x-should-retry")
    if said in ("true", "false"):
        return said == "true"
    return reply.status in (408, 409, 429) or reply.status >= 500


def _wait(attempt: int, headers: Mapping[str, str]) -> Conversation[None]:
    wait = yield from _asked_wait(headers)
    if not 0 < wait < 60_000:
        chance: float = yield Draw()
        wait = min(0.5 * 2**attempt, 8.0) * (1 - chance * 0.25) * 1000
    yield Sleep(wait / 1000)


def _asked_wait(headers: Mapping[str, str]) -> Conversation[float]:
    """Milliseconds that the server asked for, 0 when it did not say anything usable."""
    in_ms = parse_float(headers.get("retry-after-ms", ""))
    if in_ms and not math.isnan(in_ms):
        return in_ms
    said = headers.get("retry-after", "")
    seconds = parse_float(said)
    if not math.isnan(seconds):
        return seconds * 1000
    try:
        date = parsedate_to_datetime(said)
    except ValueError:
        return 0.0
    at = date.replace(tzinfo=date.tzinfo or UTC)
    now: float = yield Now()
    return (at.timestamp() - now) * 1000


def read_text() -> Conversation[str]:
    """The whole body as text, without a byte order mark. Raises ``ProtocolError`` past 64 MiB."""
    pieces: list[bytes] = []
    size = 0
    while piece := (yield Read()):
        pieces.append(piece)
        size += len(piece)
        if size > _MAX_BODY:
            raise ProtocolError(f"the answer is larger than {_MAX_BODY} bytes")
    return b"".join(pieces).decode("utf-8", "replace").removeprefix("\ufeff")


def read_result(reply: Reply) -> Conversation[Any]:
    """The body as the SDKs give it: JSON parsed, another type as its text, nothing for 204. Raises ``ProtocolError``."""
    if reply.status == 204:
        return None
    text = yield from read_text()
    media_type = reply.headers.get("content-type", "").partition(";")[0].strip()
    if "application/json" not in media_type and not media_type.endswith("+json"):
        return text
    try:
        return parse_json(text)
    except ValueError as error:
        raise ProtocolError(f"the answer says it is JSON and is not: {error}", body=text) from None


def reason_phrase(status: int) -> str:
    """The standard phrase of a status, for texts that show one; the transport does not keep the one that was sent."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _error_text() -> Conversation[str]:
    """The body of an error, as much of it as comes: a broken connection must not hide the status."""
    try:
        return (yield from read_text())
    except TransportError:
        return ""


def _is_field_value(value: str) -> bool:
    return _BAD_VALUE.search(value) is None
