"""A network in memory: names, addresses that do not answer, latency and bandwidth, in virtual time.

``MemoryNetwork`` is a ``Network`` as the transport wants it (``connect(origin)`` gives a connection), and a world for tests: every
connection is a pair of in-memory streams, one end for the client, the other for a *handler* that was told to serve that origin. There
is no TLS: an ``https`` origin is served in the clear.

As in the real world a name that nobody serves does not resolve, an origin whose port nobody serves refuses, and a dead host just does
not answer::

    async with MemoryNetwork(latency=0.05) as network:
        network.serve("https://api.example.test", handler)
        transport = Transport(network)
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

import trio

from tercet.adapters.call import Origin
from tercet.codecs.vocabulary import ConnectError

from .streams import MemoryStream, memory_pair
from .supervision import Supervised

__all__ = ["Handler", "MemoryConnection", "MemoryNetwork", "origin_of"]

Handler = Callable[[MemoryStream], Awaitable[None]]
"""Serves one connection. What it raises leaves the network's block."""


def origin_of(url: str) -> Origin:
    """The origin of an ``http`` or ``https`` URL; its path does not matter."""
    parts = urlsplit(url)
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"an origin is http://host or https://host; got {url!r}")
    return Origin(scheme, parts.hostname, parts.port or (443 if scheme == "https" else 80))


class MemoryConnection:
    """The client's end of a connection, as the transport wants it. ``stream`` is the stream underneath."""

    __slots__ = ("_on_close", "stream")

    def __init__(self, stream: MemoryStream, on_close: Callable[[MemoryConnection], None]) -> None:
        self.stream: MemoryStream = stream
        self._on_close = on_close

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all bytes; waits while the buffers are full. Raises ``trio.BrokenResourceError`` when the peer is gone."""
        await self.stream.send_all(data)

    async def receive(self) -> bytes:
        """What the peer wrote in one go; empty at its end. Raises ``trio.BrokenResourceError`` on a reset."""
        return await self.stream.receive_some()

    def is_stale(self) -> bool:
        """Whether an idle connection must not be used again: the peer has closed it, or sent what nobody asked for."""
        return self.stream.is_readable

    def close(self) -> None:
        """Close at once. May be called twice."""
        self.stream.close()
        self._on_close(self)


class MemoryNetwork:
    """Origins and their handlers. Use it as an async context manager: the handlers' tasks live and end with the block.

    ``latency`` is one way, in seconds (connecting takes a round trip); ``bandwidth`` in bytes per second and ``buffer_size`` in bytes are
    those of each direction of each connection.

    ``dead_hosts`` do not answer at all: connecting to them waits until it is cancelled. ``refusing_hosts`` refuse, ``unresolvable_hosts`` do
    not resolve. All three are sets of host names that may be changed at any time; they concern new connections only.
    """

    def __init__(
        self, *, latency: float = 0.0, bandwidth: float = math.inf, buffer_size: int = 65536
    ) -> None:
        self.latency = latency
        self.bandwidth = bandwidth
        self.buffer_size = buffer_size
        self.dead_hosts: set[str] = set()
        self.refusing_hosts: set[str] = set()
        self.unresolvable_hosts: set[str] = set()
        self.connections: int = 0
        self._open: set[MemoryConnection] = set()
        self._handlers: dict[Origin, Handler] = {}
        self._finders: list[Callable[[Origin], Handler | None]] = []
        self._tasks = Supervised()

    @property
    def open_connections(self) -> int:
        """Connections whose client's end is not closed: what is left when all clients are done is a leak."""
        self._open = {connection for connection in self._open if not connection.stream.is_closed}
        return len(self._open)

    def serve(self, origin: str | Origin | Callable[[Origin], bool], handler: Handler) -> None:
        """Let ``handler`` serve an origin (a URL or an :class:`Origin`), or all those for which the callable is true.

        Named origins go first, then the callables in the order they came.
        """
        if isinstance(origin, str):
            self._handlers[origin_of(origin)] = handler
        elif isinstance(origin, Origin):
            self._handlers[origin] = handler
        else:
            is_ours = origin
            self._finders.append(lambda asked: handler if is_ours(asked) else None)

    async def connect(self, origin: Origin) -> MemoryConnection:
        """A connection to whoever serves ``origin``. Raises :class:`ConnectError` with the phase ``dns`` or ``tcp``.

        Takes a round trip; waits for ever for a dead host. Cancelling leaves nothing behind.
        """
        await trio.lowlevel.checkpoint()
        if origin.host in self.dead_hosts:
            await trio.sleep_forever()
        handler = self._find(origin)
        is_known = handler is not None or any(served.host == origin.host for served in self._handlers)
        if origin.host in self.unresolvable_hosts or not (is_known or origin.host in self.refusing_hosts):
            raise ConnectError(f"the name {origin.host!r} does not resolve", phase="dns")
        if self.latency:
            await trio.sleep(2 * self.latency)
        if handler is None or origin.host in self.refusing_hosts:
            raise ConnectError(f"{origin} refuses connections", phase="tcp")
        ours, theirs = memory_pair(
            latency=self.latency, bandwidth=self.bandwidth, buffer_size=self.buffer_size
        )
        self._tasks.nursery.start_soon(_serve, handler, theirs, name=f"handler of {origin}")
        connection = MemoryConnection(ours, self._forget)
        self._open.add(connection)
        self.connections += 1
        return connection

    def _forget(self, connection: MemoryConnection) -> None:
        self._open.discard(connection)

    def _find(self, origin: Origin) -> Handler | None:
        handler = self._handlers.get(origin)
        if handler is None:
            handler = next((found for find in self._finders if (found := find(origin)) is not None), None)
        return handler

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._tasks.__aexit__(kind, error, trace)  # noqa: ASYNC102  # a nursery's own end: it waits for its tasks


async def _serve(handler: Handler, stream: MemoryStream) -> None:
    try:
        await handler(stream)
    finally:
        stream.close()
