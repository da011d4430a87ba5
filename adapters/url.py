"""Base URLs, taken apart once and checked: every fault is a sentence with the URL in it (but never with a password)."""

from __future__ import annotations

import ipaddress
from typing import Literal
from urllib.parse import urlsplit

from tercet.codecs.vocabulary import ConfigurationError

from .call import Origin

__all__ = ["parse_base_url"]


def parse_base_url(url: str) -> tuple[Origin, str]:
    """``https://host:port/prefix/`` to its origin and the prefix without its last slash (RFC 3986 section 3).

    A missing scheme is an error with the fix in it. Names are taken in their ASCII form (IDNA). ``exec://program``, ``unix:///path`` and
    ``tcp://127.0.0.1:port`` are for providers that are no HTTP service; ``tcp`` reaches this machine only, because it is not encrypted.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme in ("exec", "unix"):
        if not rest or "\0" in rest or (scheme == "unix" and not rest.startswith("/")):
            raise ConfigurationError(
                f"the base URL {url!r} needs a {'program' if scheme == 'exec' else 'path'} behind ://"
            )
        return Origin("exec" if scheme == "exec" else "unix", rest, 0), ""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"the base URL {_printable(url)!r} is not a URL: {error}") from None
    if parts.scheme == "tcp":
        return _local(url, parts.hostname or "", port), ""
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
    kind: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    try:
        host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode("ascii")
    except UnicodeError:
        raise ConfigurationError(f"the host of the base URL {_printable(url)!r} is not a name") from None
    return Origin(kind, host, port or (443 if kind == "https" else 80)), parts.path.rstrip("/")


def _local(url: str, host: str, port: int | None) -> Origin:
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback or not port:
        raise ConfigurationError(
            f"a tcp:// address is a port of this machine, such as tcp://127.0.0.1:4711; got {_printable(url)!r}"
        )
    return Origin("tcp", host, port)


def _printable(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else url.rpartition("@")[2]
