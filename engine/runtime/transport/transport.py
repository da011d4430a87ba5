"""The HTTP/1.1 client: an :class:`~tercet.adapters.call.HttpCall` goes out, a :class:`Response` comes back as soon as its head is there.

The caller's own task does everything: no pump, no queue, no background task, and no cancel scope but those asked for. What holds at
every checkpoint: a cancelled ``send`` has closed its connection; a cancelled ``receive`` has lost nothing; ``Response.close`` never waits;
a connection is used again only when the message on it was whole, both sides agreed to keep it, and nothing else came.

**Free retry.** A kept connection may die just as it is used: the server's FIN crosses our request. If no byte of an answer came on a
*reused* connection, the request is sent once more on a fresh one, uncharged; ``statistics().free_retries`` counts it. The fresh one's
failure is final. RFC 9110 section 9.2.2 wants this only for requests that were not acted upon: a server that closes an idle connection has
not read it, and the other case, a server that dies while it answers the first request after an idle time, costs at worst a second completion.

**Early answers.** A server may answer while a large body is still being sent (413, RFC 9112 section 9.5). Above 64 KiB, which is what the
sockets' buffers on both sides swallow anyway, sending runs in a second task while this one reads; an answer of 300 or above stops the
sending, and the connection is closed after it. When sending fails, an answer that is there is still read.

**Cost.** CPU of the client's process for one JSON request (337 bytes out, 453 back, decoded with msgspec) over kept connections on the loopback,
the server a process of its own; ``time.process_time`` over 20 requests of each task (httpx: 3) after one for warming up, the best of five runs (httpx,
h11: of two), one after the other on CPython 3.11, two busy cores:

=====================  =========  =========  ======
us a request           1,000      100        1 task
=====================  =========  =========  ======
send, wait, recv_into  15
this transport         46         29         45
 with first_byte_...   63
 with h11              107
httpx 0.28.1           2,990                 698
=====================  =========  =========  ======

What a waiting request holds decides at 1,000: making the parser at the first byte instead of before the wait saved 15 of 55 us, all of them the
garbage collector's.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import trio

from tercet.adapters.call import HttpCall, Origin
from tercet.codecs.vocabulary import DeadlineError, TransportError

from .http1 import TransportLimits, parser_class
from .network import Connection, Network
from .pool import IdlePool
from .request import encode_request
from .response import Response

__all__ = ["Transport", "TransportStatistics"]


class TransportStatistics(msgspec.Struct, frozen=True):
    """Counts of a transport: connections ``open`` now and how many of them are ``idle``; since the start, ``connects``, ``reuses`` and
    ``free_retries`` (reused connections that turned out dead and were replaced)."""

    open: int
    idle: int
    connects: int
    reuses: int
    free_retries: int


class Transport:
    """HTTP/1.1 over the connections of ``network``.

    ``keepalive_expiry``: seconds an idle connection is kept (trio's clock). ``max_idle_per_origin``: how many; a crowd that is larger connects anew
    all the time (1,000 tasks in a closed loop made 0.6 connects a request with 256, which cost 73 us a request, 14 to 117 in seven paired rounds). ``parser``: ``"httptools"``, or
    ``"h11"``, the oracle, at twice the CPU a request. Use one object for all origins, from one trio run.
    """

    def __init__(
        self,
        network: Network,
        *,
        parser: Literal["httptools", "h11"] = "httptools",
        limits: TransportLimits | None = None,
        keepalive_expiry: float = 30.0,
        max_idle_per_origin: int = 1024,
    ) -> None:
        self._network = network
        self._parser_class = parser_class(parser)
        self.limits: TransportLimits = limits or TransportLimits()
        self._pool = IdlePool(expiry=keepalive_expiry, max_per_origin=max_idle_per_origin)
        self._forward_for = getattr(network, "forward_for", None)
        self._is_open = True
        self._open = 0
        self._connects = 0
        self._reuses = 0
        self._free_retries = 0

    async def send(
        self,
        call: HttpCall,
        *,
        connect_timeout: float = 10.0,
        first_byte_timeout: float | None = None,
        accept_encoding: str = "identity",
    ) -> Response:
        """Send the request and wait for the head of its answer, whatever its status; redirects are answers like any other.

        ``connect_timeout``: seconds for a fresh connection, TLS and proxy included. ``first_byte_timeout``: seconds from then until the
        head is complete (anew for the connection that replaces a dead one); None leaves that to the caller's own cancel scope, which is cheaper than a second one. ``accept_encoding``:
        ``"identity"`` for streams; ``"gzip, deflate"`` for bodies that are read whole. Compressed answers are inflated in any case.

        Raises :class:`ConfigurationError` for a call that cannot be written, :class:`ConnectError`, :class:`DeadlineError` with the clock
        ``connect`` or ``first_content``, :class:`ProtocolError`, and :class:`StreamInterruptedError` when the connection ended without an answer.
        Cancelled, it closes its connection; a call whose scope is cancelled already sends nothing.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        origin = call.origin
        forward = (
            self._forward_for(origin) if self._forward_for is not None and origin.scheme == "http" else None
        )
        data = encode_request(call, accept_encoding=accept_encoding, forward=forward)
        connection, closed = self._pool.take(origin, trio.current_time())
        self._open -= closed
        is_reused = connection is not None
        while True:
            if connection is None:
                connection = await self._connect(origin, connect_timeout)
            response = Response(
                origin,
                connection,
                self._parser_class,
                call.method,
                limits=self.limits,
                release=self._release,
                reused=is_reused,
            )
            try:
                if first_byte_timeout is None:
                    await response.write(data)
                    failure = await response.read_head()
                else:
                    failure = await _exchange(response, data, origin, first_byte_timeout)
            except BaseException:
                response.close()
                raise
            if failure is None:
                self._reuses += is_reused
                return response
            response.close()
            if not (is_reused and response.is_unanswered):
                raise failure
            self._free_retries += 1
            connection, is_reused = None, False

    def close(self) -> None:
        """Close the idle connections, and keep none from now on. Answers under way go on. May be called twice; never waits."""
        self._is_open = False
        self._open -= self._pool.close()

    def statistics(self) -> TransportStatistics:
        """The counts now."""
        return TransportStatistics(
            self._open, self._pool.size, self._connects, self._reuses, self._free_retries
        )

    async def _connect(self, origin: Origin, seconds: float) -> Connection:
        with trio.move_on_after(seconds) as scope:
            connection = await self._network.connect(origin)
            self._open += 1
            self._connects += 1
            return connection
        assert scope.cancelled_caught
        raise DeadlineError(f"no connection to {origin} within {seconds:g} s", clock="connect")

    def _release(self, origin: Origin, connection: Connection, is_reusable: bool) -> None:
        """Take a connection back: into the pool, or closed."""
        if is_reusable and self._is_open:
            self._open -= self._pool.put(origin, connection, trio.current_time())
        else:
            connection.close()
            self._open -= 1


async def _exchange(response: Response, data: bytes, origin: Origin, seconds: float) -> TransportError | None:
    failure: TransportError | None = None
    with trio.move_on_after(seconds) as scope:
        await response.write(data)
        failure = await response.read_head()
    if scope.cancelled_caught:
        raise DeadlineError(f"no answer from {origin} within {seconds:g} s", clock="first_content")
    return failure
