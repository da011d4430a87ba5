"""Base URLs, taken apart once and checked: every fault is a sentence with the URL in it (but never with a password)."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from tercet.codecs.vocabulary import ConfigurationError

from .call import Origin

__all__ = ["parse_base_url"]


def parse_base_url(url: str) -> tuple[Origin, str]:
    """``https://host:port/prefix/`` to its origin and the prefix without its last slash (RFC 3986 section 3).

    A missing scheme is an error with the fix in it. Names are taken in their ASCII form (IDNA).
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"the base URL {_printable(url)!r} is not a URL: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise ConfigurationError(f"a base URL begins with https:// or http://; got {_printable(url)!r}")
    if parts.username or parts.password:
        raise ConfigurationError(
            f"a base URL carries no user or password: {_printable(url)!r}; pass the key as a key"
        )
    if not parts.hostname:
        raise ConfigurationError(f"the base URL {_printable(url)!r} names no host")
    if parts.query or parts.fragment:
        raise ConfigurationError(f"a base URL has no query and no fragment: {_printable(url)!r}")
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    try:
        host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode("ascii")
    except UnicodeError:
        raise ConfigurationError(f"the host of the base URL {_printable(url)!r} is not a name") from None
    return Origin(scheme, host, port or (443 if scheme == "https" else 80)), parts.path.rstrip("/")


def _printable(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else url.rpartition("@")[2]
