"""``HttpCall``: one HTTP request, ready to be sent. Adapters make it, the transport sends it."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["HttpCall", "Origin"]


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where a connection goes: connections are kept and reused per origin. ``host`` is a name or an address, without brackets.

    Some providers are behind no HTTP: ``exec`` is a program (``host`` is its name or path, ``port`` 0), ``unix`` a socket in the file system
    (``host`` is its path) and ``tcp`` a port of this machine. The engine sends their calls by other means (``runtime/process``,
    ``runtime/bridge``), which read of the call's target and headers only what they need.
    """

    scheme: Literal["http", "https", "exec", "unix", "tcp"]
    host: str
    port: int

    def __str__(self) -> str:
        if self.scheme in ("exec", "unix"):
            return f"{self.scheme}://{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        is_usual = (self.scheme, self.port) in (("https", 443), ("http", 80))
        return f"{self.scheme}://{host}" if is_usual else f"{self.scheme}://{host}:{self.port}"

    @property
    def authority(self) -> str:
        """The value of the ``Host`` header."""
        return str(self).partition("://")[2]


class HttpCall(msgspec.Struct, frozen=True, gc=False):
    """One HTTP/1.1 request. ``target`` is path and query exactly as they go on the wire (percent-encoded).

    ``headers`` are checked (no CR, LF, NUL; names are tokens) where the call is made; ``Host`` and ``Content-Length`` are
    added by the transport. The repr shows no header values and no body: they hold keys and people's words.
    """

    method: str
    origin: Origin
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def __repr__(self) -> str:
        path = self.target.partition("?")[0]  # a query may carry a key
        return f"<HttpCall {self.method} {self.origin}{path} ({len(self.headers)} headers, {len(self.body)} bytes)>"
