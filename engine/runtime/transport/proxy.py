"""Proxies: which one to take for an origin, and the CONNECT request that opens a tunnel through it. All of it pure.

``proxies_from_environ(environ)`` reads the settings that curl and most programs share, from a mapping that the caller hands in:

- ``https_proxy`` for https origins, ``http_proxy`` for http ones, ``all_proxy`` for both; the lower-case name wins over the upper-case
  one. ``HTTP_PROXY`` in capitals is not read where ``REQUEST_METHOD`` is set: in a CGI program a client's ``Proxy:`` header ends up
  there (CVE-2016-5385).
- ``no_proxy``: names, addresses and networks that are reached directly, separated by commas or blanks. ``*`` is everything. A name covers
  its subdomains, with or without a leading dot; ``10.0.0.0/8`` is a network, for origins that are addresses; ``host:8080`` is that
  port only.

A proxy is ``http://`` or ``https://`` (TLS to the proxy), with user and password in front of the host if it wants them. They become
``Proxy-Authorization: Basic`` and are in no repr and no error.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from typing import Literal
from urllib.parse import unquote, urlsplit

import msgspec

from tercet.adapters.call import Origin
from tercet.codecs.vocabulary import ConfigurationError

from .request import Forward

__all__ = ["Proxy", "ProxyMap", "connect_request", "parse_proxy", "proxies_from_environ"]


class Proxy(msgspec.Struct, frozen=True, gc=False):
    """An HTTP proxy. ``authorization`` is the value of ``Proxy-Authorization``, empty for none; the repr does not show it."""

    origin: Origin
    authorization: str = ""

    def __repr__(self) -> str:
        return f"<Proxy {self.origin}{' with credentials' if self.authorization else ''}>"

    def forward(self, origin: Origin) -> Forward:
        """How plain-http requests for ``origin`` go through this proxy."""
        headers = (("proxy-authorization", self.authorization),) if self.authorization else ()
        return Forward(prefix=str(origin), headers=headers)


class ProxyMap(msgspec.Struct, frozen=True):
    """The proxies for both schemes, and where none is used."""

    http: Proxy | None = None
    https: Proxy | None = None
    no_proxy: tuple[str, ...] = ()

    def proxy_for(self, origin: Origin) -> Proxy | None:
        """The proxy to take for ``origin``, None for a direct connection."""
        proxy = self.https if origin.scheme == "https" else self.http
        if proxy is None or any(_covers(rule, origin) for rule in self.no_proxy):
            return None
        return proxy


def parse_proxy(url: str, *, setting: str) -> Proxy:
    """A proxy from its URL. A URL without a scheme is ``http://``. The port is 80 or 443 unless it is given.

    Raises :class:`ConfigurationError`, which names ``setting`` and never shows the value: it may hold a password.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"{setting} is not the address of a proxy") from None
    scheme: Literal["http", "https"]
    if parts.scheme == "http":
        scheme = "http"
    elif parts.scheme == "https":
        scheme = "https"
    else:
        raise ConfigurationError(
            f"{setting} names a proxy of the kind {parts.scheme!r}; http and https proxies can be used"
        )
    if not host:
        raise ConfigurationError(f"{setting} is not the address of a proxy: it has no host")
    authorization = ""
    if parts.username is not None:
        userinfo = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(userinfo.encode()).decode(
            "ascii"
        )  # UTF-8: RFC 7617 section 2.1
    return Proxy(Origin(scheme, host, port or (443 if scheme == "https" else 80)), authorization)


def proxies_from_environ(environ: Mapping[str, str]) -> ProxyMap:
    """The proxy settings of an environment (pass ``os.environ``). An empty value is no setting.

    Raises :class:`ConfigurationError` for one that cannot be used: to go without it would send requests around the proxy.
    """

    def find(name: str) -> tuple[str, str]:
        for spelling in (name, name.upper()):
            value = environ.get(spelling, "").strip()
            if value and not (spelling == "HTTP_PROXY" and "REQUEST_METHOD" in environ):
                return spelling, value
        return name, ""

    def proxy(name: str) -> Proxy | None:
        for candidate in (name, "all_proxy"):
            setting, value = find(candidate)
            if value:
                return parse_proxy(value, setting=setting)
        return None

    rules = find("no_proxy")[1].replace(",", " ").split()
    return ProxyMap(
        http=proxy("http_proxy"), https=proxy("https_proxy"), no_proxy=tuple(rule.lower() for rule in rules)
    )


def _covers(rule: str, origin: Origin) -> bool:
    """Whether one entry of ``no_proxy`` covers the origin."""
    if rule == "*":
        return True
    host = origin.host.lower().rstrip(".")
    address = _address(host)
    if address is not None and "/" in rule:
        try:
            return address in ipaddress.ip_network(rule, strict=False)
        except ValueError:
            return False
    name, port = _split_port(rule)
    if port and port != str(origin.port):
        return False
    if address is not None:
        return address == _address(name)
    name = name.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith("." + name))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _split_port(rule: str) -> tuple[str, str]:
    """``host:port``, ``[v6]:port``, ``v6`` without a port."""
    if rule.startswith("["):
        name, _, port = rule[1:].partition("]")
        return name, port.removeprefix(":")
    if rule.count(":") == 1:
        name, _, port = rule.partition(":")
        return name, port
    return rule, ""


def connect_request(origin: Origin, proxy: Proxy) -> bytes:
    """The request that asks ``proxy`` for a tunnel to ``origin`` (RFC 9110 section 9.3.6), credentials included."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    if not host.isascii():
        host = host.encode("idna").decode("ascii")
    authority = f"{host}:{origin.port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"host: {authority}"]
    if proxy.authorization:
        lines.append(f"proxy-authorization: {proxy.authorization}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")
