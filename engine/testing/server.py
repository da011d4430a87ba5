"""An HTTP/1.1 server over any trio stream, made to misbehave on purpose: the simulated providers stand on it.

One call of :func:`serve_http` serves one connection. Requests come one after the other (keep-alive); each is read whole, within a
limit, and handed to a *service* together with a :class:`Responder`. A streamed answer is chunked, one HTTP chunk per piece. h11
does the framing: where a client speaks rubbish, it gets 400 and the connection is closed; no client can crash the server.

The service's task also does the watching: while it waits (:meth:`Responder.wait`), it reads, so that it notices at once
when the client has gone. Bytes of a next request that come meanwhile are kept for it. A client that half-closes
its side counts as gone, as it does for common web servers.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from typing import Literal

import h11
import msgspec
import trio

from .streams import MemoryStream

__all__ = [
    "ClientGone",
    "HangUp",
    "HttpRequest",
    "LimitReached",
    "Refusal",
    "Responder",
    "Service",
    "reset_on_close",
    "serve_http",
]

Headers = Iterable[tuple[str, str]]
_READ = 65536
_MAX_HEAD = 65536
_MAX_AHEAD = 65536
"""Bytes of following requests that are kept while an answer is being given; past them the server stops reading."""
_MAX_DRAIN = 64 * 1024 * 1024
_DRAIN_SECONDS = 2.0


class HttpRequest(msgspec.Struct, frozen=True):
    """One request, read whole. Header names are lower-case; ``target`` is path and query as they came."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header, by its lower-case name."""
        return next((value for key, value in self.headers if key == name), None)


class ClientGone(Exception):
    """The client has closed or reset the connection before its answer was complete."""


class HangUp(Exception):
    """Raised by a service to end the connection here and now: ``how`` is ``fin`` or ``reset``."""

    def __init__(self, how: Literal["fin", "reset"]) -> None:
        super().__init__(how)
        self.how = how


class LimitReached(Exception):
    """As many bytes were sent as :meth:`Responder.stop_after` allows."""


class Responder:
    """Gives one answer. Every method that sends raises :class:`ClientGone` when the client has gone."""

    def __init__(self, stream: trio.abc.Stream, connection: h11.Connection, method: str) -> None:
        self._stream = stream
        self._connection = connection
        self._has_body = method != "HEAD"  # RFC 9110, section 9.3.2
        self._left: int | None = None
        self._ahead = 0

    def stop_after(self, sent: int) -> None:
        """Let only so many more bytes out, counted as they go over the wire; then raise :class:`LimitReached`, here if it is none."""
        self._left = sent
        if sent <= 0:
            raise LimitReached

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """A complete answer with its ``Content-Length``."""
        await self.begin(status, [*headers, ("content-length", str(len(body)))])
        await self.piece(body)
        await self.end()

    async def begin(self, status: int, headers: Headers) -> None:
        """The head of an answer; chunked unless the headers have a length."""
        head = h11.Response(status_code=status, headers=list(headers))
        await self._send(self._connection.send(head))

    async def piece(self, data: bytes) -> None:
        """One piece of the body, in a chunk of its own."""
        if data and self._has_body:  # an empty chunk would end the body (RFC 9112, section 7.1)
            await self._send(self._connection.send(h11.Data(data=data)))

    async def end(self) -> None:
        """The end of the body."""
        await self._send(self._connection.send(h11.EndOfMessage()))

    async def wait(self, seconds: float) -> None:
        """Wait, for ever with ``math.inf``; raises :class:`ClientGone` as soon as the client goes."""
        if seconds <= 0:
            return
        with trio.move_on_after(seconds):
            while self._ahead < _MAX_AHEAD:
                data = await _receive(self._stream)
                if not data:
                    raise ClientGone
                self._ahead += len(data)
                self._connection.receive_data(data)
            await trio.sleep_forever()

    async def _send(self, data: bytes | None) -> None:
        if not data:  # the end of a body that has a length
            return
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        await _send(self._stream, data)
        if self._left == 0:
            raise LimitReached


Service = Callable[[HttpRequest, Responder], Awaitable[None]]
Refusal = Callable[[int, str], tuple[Headers, bytes]]
"""The answer to what never becomes a request (400, 413): status and message to headers and body."""


async def serve_http(
    stream: trio.abc.Stream, service: Service, refusal: Refusal, *, max_body: int = 32 * 1024 * 1024
) -> None:
    """Serve one connection until it ends, and close it. A request body of more than ``max_body`` bytes is answered with 413.

    Returns when the client closes, when an answer asks for it, or when the service hangs up. What else the service raises
    is raised here. Cancellation closes the connection.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
    try:
        while (request := await _read_request(stream, connection, max_body)) is not None:
            await service(request, Responder(stream, connection, request.method))
            if connection.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
                break  # MUST_CLOSE: "Connection: close" or HTTP/1.0
            connection.start_next_cycle()
    except ClientGone:
        pass
    except _Unacceptable as no:
        await _refuse(stream, connection, refusal, no)
    except HangUp as end:
        if end.how == "reset":
            reset_on_close(stream)
    finally:
        await trio.aclose_forcefully(stream)


class _Unacceptable(Exception):
    """What came is no request that can be served."""

    def __init__(self, status: int, message: str, head: h11.Request | None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.method = head.method.decode("ascii") if head else ""


async def _read_request(
    stream: trio.abc.Stream, connection: h11.Connection, max_body: int
) -> HttpRequest | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            raise _Unacceptable(error.error_status_hint, "the request is not HTTP/1.1", head) from None
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                await _send(stream, connection.send(h11.InformationalResponse(status_code=100, headers=[])))
            data = await _receive(stream)
            if not data and head is None:
                return None  # between two requests, or before one is whole
            connection.receive_data(data)
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > max_body:
                raise _Unacceptable(413, f"the request body is larger than {max_body} bytes", head)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers)
            return HttpRequest(
                head.method.decode("ascii"), head.target.decode("latin-1"), headers, bytes(body)
            )
        else:
            return None  # h11.ConnectionClosed, or PAUSED for a protocol this server does not switch to


async def _refuse(
    stream: trio.abc.Stream, connection: h11.Connection, refusal: Refusal, no: _Unacceptable
) -> None:
    """Answer, then read on for a while: closing with unread bytes would reset the connection under the answer."""
    if connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        return
    headers, body = refusal(no.status, no.message)
    responder = Responder(stream, connection, no.method)
    try:
        await responder.whole(no.status, [*headers, ("connection", "close")], body)
        if isinstance(stream, trio.abc.HalfCloseableStream):
            await stream.send_eof()
        drained = 0
        with trio.move_on_after(_DRAIN_SECONDS):
            while drained < _MAX_DRAIN and (data := await _receive(stream)):
                drained += len(data)
    except (ClientGone, trio.BrokenResourceError):
        pass


async def _send(stream: trio.abc.Stream, data: bytes | None) -> None:
    try:
        await stream.send_all(data or b"")
    except (trio.BrokenResourceError, trio.ClosedResourceError) as gone:
        raise ClientGone from gone


async def _receive(stream: trio.abc.Stream) -> bytes:
    try:
        return bytes(await stream.receive_some(_READ))
    except (trio.BrokenResourceError, trio.ClosedResourceError) as gone:
        raise ClientGone from gone


def reset_on_close(stream: trio.abc.Stream) -> None:
    """Make the close that follows a reset (RST) instead of a FIN; a stream that cannot is just closed."""
    if isinstance(stream, MemoryStream):
        stream.reset()
    elif isinstance(stream, trio.SocketStream):
        # SO_LINGER with a time of 0: close(2) drops the connection (socket(7)). What was sent is already in the peer's
        # receive buffer on loopback.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
