"""An HTTP/1.1 request as one buffer, head and body. Pure.

What goes into the head is checked here, once for all adapters: a line break in a value would be a second header (or a second
request), and an error must not show the value, which is most often a key.
"""

from __future__ import annotations

import functools
import re

import msgspec

from tercet.adapters.call import HttpCall, Origin
from tercet.codecs.vocabulary import ConfigurationError

__all__ = ["Forward", "check_headers", "encode_request"]


class Forward(msgspec.Struct, frozen=True, gc=False):
    """How a plain-http request goes through a forward proxy: the target in absolute form (RFC 9112 section 3.2.2) behind
    ``prefix``, and the proxy's own headers. The repr shows none of them: they hold the proxy's password.
    """

    prefix: str
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"<Forward {self.prefix}>"


_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_BAD_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")  # RFC 9110 section 5.5, obs-text allowed
_FRAMING = frozenset({"content-length", "transfer-encoding", "host", "accept-encoding", "connection"})
_checked_names: dict[
    str, str
] = {}  # names known to be tokens -> lower case; few in practice, bounded all the same
_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


def _lower_name(name: str) -> str | None:
    """The lower-case name, or None when it is no token."""
    if not _TOKEN.fullmatch(name):
        return None
    if len(_checked_names) < 1024:
        _checked_names[name] = name.lower()
    return name.lower()


def check_headers(headers: tuple[tuple[str, str], ...]) -> None:
    """Raise :class:`ConfigurationError` unless every name is a token and every value fits on its line.

    The message names the header, never its value: a value with a line break is most often a key read from a file.
    """
    for number, (name, value) in enumerate(headers, 1):
        if name not in _checked_names and _lower_name(name) is None:
            raise ConfigurationError(
                f"the name of header {number} has characters that no header name may have"
            )
        if _BAD_VALUE.search(value):
            raise ConfigurationError(
                f"the value of header {name!r} has a line break, a control character or a letter outside Latin-1"
            )


@functools.lru_cache(maxsize=256)
def _authority(origin: Origin) -> str:
    authority = origin.authority
    if not authority.isascii():
        try:
            authority = authority.encode("idna").decode("ascii")
        except UnicodeError:
            raise ConfigurationError(f"not a host name: {origin.host!r}") from None
    if not _is_plain(authority):
        raise ConfigurationError(f"not a host name: {origin.host!r}")
    return authority


def _is_plain(text: str) -> bool:
    """Visible ASCII without spaces. ``isprintable`` is one fast pass; a regular expression costs ten times that."""
    return text.isascii() and text.isprintable() and " " not in text


def encode_request(
    call: HttpCall, *, accept_encoding: str = "identity", forward: Forward | None = None
) -> bytes:
    """The request as one buffer.

    ``Host``, ``Content-Length`` and ``Accept-Encoding`` are added; a ``Host`` or ``Accept-Encoding`` of the caller's own is kept
    instead, a ``Content-Length`` of the caller's own is taken only when it is true. Raises :class:`ConfigurationError`
    for a method, target or header that cannot be sent as it is, and for a ``Transfer-Encoding``.
    """
    method, target, headers, body = call.method, call.target, call.headers, call.body
    if method not in _checked_names and _lower_name(method) is None:
        raise ConfigurationError("the request's method is not a token")
    if not _is_plain(target) or not target.startswith(("/", "*")):
        raise ConfigurationError("the request's target must begin with / and be percent-encoded")
    if forward is not None:
        target = forward.prefix + target
        headers = (*headers, *forward.headers)
    lines = [f"{method} {target} HTTP/1.1\r\nhost: {_authority(call.origin)}"]
    joined = "".join([value for _, value in headers])
    if not (joined.isascii() and joined.isprintable()):  # the one-pass check; the exact one decides
        check_headers(headers)
    has_accept = False
    for name, value in headers:
        lower = _checked_names.get(name)
        if lower is None:
            check_headers(headers)
            lower = name.lower()
        if lower in _FRAMING:
            if lower == "host":
                lines[0] = f"{method} {target} HTTP/1.1"
            elif lower == "accept-encoding":
                has_accept = True
            elif lower == "transfer-encoding":
                raise ConfigurationError("a request body is sent whole: transfer-encoding cannot be set")
            elif lower == "content-length":
                if value != str(len(body)):
                    raise ConfigurationError("the header content-length does not say the body's length")
                continue
        lines.append(f"{name}: {value}")
    if not has_accept:
        lines.append(f"accept-encoding: {accept_encoding}")
    if body or method in _METHODS_WITH_BODY:  # RFC 9110 section 8.6
        lines.append(f"content-length: {len(body)}\r\n\r\n")
    else:
        lines.append("\r\n")
    return "\r\n".join(lines).encode("latin-1") + body
