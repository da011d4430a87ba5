"""Two bridges to httpx, and the only module that imports it.

:class:`TercetTransport` puts our transport under an ``httpx.AsyncClient``: for code that wants httpx's interface (model lists, token
refresh, a program's own requests) on our connections. :class:`HttpxTransport` goes the other way: it gives the ``send`` of our transport over
a client that the program made, for its hooks, mounts and certificates.

What httpx does that must not happen here (seen with httpx 0.28.1): it follows redirects with ``x-api-key`` to another host, so they are off;
it inflates a compressed read in one piece of any size, so the raw bytes are taken and inflated by our own decoder. It logs the URL of every request,
query and all, at INFO, which cannot be turned off from here: silence the logger ``httpx`` where a key is in the query.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import httpx
import trio

from tercet.adapters.call import HttpCall, Origin
from tercet.codecs.vocabulary import (
    ConfigurationError,
    ConnectError,
    DeadlineError,
    ProtocolError,
    StreamInterruptedError,
    TransportError,
)

from .content import ContentDecoder
from .http1 import TransportLimits
from .network import Connection
from .request import check_headers
from .response import Response
from .transport import Transport

__all__ = ["HttpxTransport", "TercetTransport"]

CLOSE_SECONDS = 5.0


# --- our transport under httpx ------------------------------------------------------------------------------------------------


class TercetTransport(httpx.AsyncBaseTransport):
    """``httpx.AsyncClient(transport=TercetTransport(transport))``.

    The client's ``connect`` and ``read`` timeouts hold (``read`` for the head and for each read of the body); ``pool`` and ``write`` have no
    meaning here. A request body is read whole before it is sent. Errors come as httpx's own, with ours as their cause. Closing the client
    closes the idle connections of ``transport``.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; the response is streamed."""
        call = _call_of(request, await request.aread())
        timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
        connect, read = timeouts.get("connect"), timeouts.get("read")
        try:
            response = await self._transport.send(
                call,
                connect_timeout=float("inf") if connect is None else connect,
                first_byte_timeout=read,
                accept_encoding="gzip, deflate",
            )
        except (TransportError, ConfigurationError) as error:
            raise _httpx_error(error, request) from error
        # the body is given inflated: httpx must not try again
        headers = [(name, value) for name, value in response.headers.items() if name != "content-encoding"]
        if len(headers) != len(response.headers):
            headers = [(name, value) for name, value in headers if name != "content-length"]
        return httpx.Response(
            response.status,
            headers=headers,
            stream=_Body(response, read, request),
            request=request,
            extensions={"http_version": f"HTTP/{response.http_version}".encode()},
        )

    async def aclose(self) -> None:
        """Close the idle connections."""
        self._transport.close()


class _Body(httpx.AsyncByteStream):
    """The body as httpx reads it; an iterator by class, so there is no generator to be left half-way."""

    def __init__(self, response: Response, seconds: float | None, request: httpx.Request) -> None:
        self._response = response
        self._seconds = float("inf") if seconds is None else seconds
        self._request = request

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        data = b""
        try:
            with trio.move_on_after(self._seconds) as scope:
                data = await self._response.receive()
        except TransportError as error:
            raise _httpx_error(error, self._request) from error
        if scope.cancelled_caught:
            raise httpx.ReadTimeout(f"nothing came for {self._seconds:g} s", request=self._request)
        if not data:
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        self._response.close()


# Ours to write: httpx's own offer of encodings names br and zstd where it finds their modules, and our transport frames the body itself.
_NOT_FORWARDED = frozenset({b"content-length", b"transfer-encoding", b"accept-encoding", b"connection"})


def _call_of(request: httpx.Request, body: bytes) -> HttpCall:
    url = request.url
    scheme: Literal["http", "https"]
    if url.scheme == "https":
        scheme = "https"
    elif url.scheme == "http":
        scheme = "http"
    else:
        raise httpx.UnsupportedProtocol(f"not an http or https address: {url.scheme!r}", request=request)
    origin = Origin(scheme, url.raw_host.decode("ascii"), url.port or (443 if scheme == "https" else 80))
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in request.headers.raw
        if name.lower() not in _NOT_FORWARDED
    )
    return HttpCall(request.method, origin, url.raw_path.decode("ascii"), headers, body)


def _httpx_error(error: TransportError | ConfigurationError, request: httpx.Request) -> httpx.TransportError:
    kind: type[httpx.TransportError]
    if isinstance(error, ConnectError):
        kind = httpx.ProxyError if error.phase == "proxy" else httpx.ConnectError
    elif isinstance(error, DeadlineError):
        kind = httpx.ConnectTimeout if error.clock == "connect" else httpx.ReadTimeout
    elif isinstance(error, StreamInterruptedError):
        kind = httpx.ReadError
    elif isinstance(error, ConfigurationError):
        kind = httpx.LocalProtocolError
    else:
        kind = httpx.RemoteProtocolError
    return kind(error.message, request=request)


# --- httpx under our interface ------------------------------------------------------------------------------------------------


class HttpxTransport:
    """``send`` of :class:`~tercet.engine.runtime.transport.transport.Transport` over a program's own ``httpx.AsyncClient``.

    The client stays the program's: it is not closed here. Costs ten times the CPU of our own transport, or more. Its pool is httpx's: a request that is
    cancelled under trio may keep one of its slots for good (httpcore 1.0.9).
    """

    def __init__(self, client: httpx.AsyncClient, *, limits: TransportLimits | None = None) -> None:
        self._client = client
        self._limits = limits or TransportLimits()

    async def send(
        self,
        call: HttpCall,
        *,
        connect_timeout: float = 10.0,
        first_byte_timeout: float | None = None,
        accept_encoding: str = "identity",
    ) -> Response:
        """As ``Transport.send``, the same errors included; the response's ``reused`` is always False. Cancelled, it leaves nothing open
        that httpx closes."""
        check_headers(call.headers)  # before httpx, whose message would show the value
        origin = call.origin
        url = httpx.URL(
            scheme=origin.scheme, host=origin.host, port=origin.port, raw_path=call.target.encode("ascii")
        )
        headers = httpx.Headers(call.headers)
        headers.setdefault("accept-encoding", accept_encoding)
        timeout = httpx.Timeout(None, connect=connect_timeout)
        request = self._client.build_request(
            call.method, url, headers=headers, content=call.body, timeout=timeout
        )
        try:
            with trio.move_on_after(
                float("inf") if first_byte_timeout is None else first_byte_timeout
            ) as scope:
                answer = await self._client.send(request, stream=True, follow_redirects=False)
                return self._wrap(answer, call)
        except httpx.HTTPError as error:
            raise _tercet_error(error, origin) from error
        assert scope.cancelled_caught
        raise DeadlineError(f"no answer from {origin} within {first_byte_timeout:g} s", clock="first_content")

    def _wrap(self, answer: httpx.Response, call: HttpCall) -> Response:
        connection = _HttpxBody(answer, call.origin)
        return Response.opened(
            call.origin, connection, _BodyParser(answer, self._limits), self._limits, _close
        )


def _close(origin: Origin, connection: Connection, is_reusable: bool) -> None:
    connection.close()


class _HttpxBody:
    """The undecoded body of an httpx response as a :class:`Connection`: only read, and closed."""

    def __init__(self, answer: httpx.Response, origin: Origin) -> None:
        self._answer = answer
        self._origin = origin
        self._chunks = answer.aiter_raw()
        self._is_open = True

    async def send_all(self, data: bytes) -> None:
        raise trio.ClosedResourceError("the request was sent by httpx")

    async def receive(self) -> bytes:
        try:
            async for chunk in self._chunks:
                if chunk:
                    return chunk
        except httpx.HTTPError as error:
            raise _tercet_error(error, self._origin, begun=True) from error
        return b""

    def is_stale(self) -> bool:
        return True

    def close(self) -> None:
        """httpx closes only with an await: it is done by a task of its own, which ends after at most ``CLOSE_SECONDS``."""
        if self._is_open:
            self._is_open = False
            if not self._answer.is_closed:
                trio.lowlevel.spawn_system_task(self._aclose)

    async def _aclose(self) -> None:
        with trio.move_on_after(CLOSE_SECONDS):
            try:
                await self._answer.aclose()
                # httpx and httpcore read through five generators, one in the other. Left half-way, they are the garbage collector's; asked to
                # go on, they end one after the other with the error of the closed connection.
                async for _ in self._chunks:
                    pass
            except (httpx.HTTPError, RuntimeError):
                pass  # RuntimeError: httpx's for a closed stream or client. Nobody is left who could be told


class _BodyParser:
    """A :class:`ResponseParser` for a body that httpx has freed of its framing: only the content coding is left to undo."""

    def __init__(self, answer: httpx.Response, limits: TransportLimits) -> None:
        self.status = answer.status_code
        self.http_version = answer.http_version.removeprefix("HTTP/")
        self.headers: dict[str, str] = {}
        for name, value in answer.headers.multi_items():
            if name not in self.headers:
                self.headers[name] = value
            elif name != "set-cookie":
                self.headers[name] += f", {value}"
        self.has_head = True
        self.is_complete = False
        self.keep_alive = False
        coding = self.headers.get("content-encoding", "identity")
        self._decoder = (
            None if coding == "identity" else ContentDecoder(coding, max_ratio=limits.inflate_ratio)
        )
        self._data = b""

    def feed(self, data: bytes | memoryview, /) -> None:
        self._data += data

    def take(self) -> bytes:
        data, self._data = self._data, b""
        decoder = self._decoder
        if decoder is not None:
            if data or decoder.has_more:
                data = decoder.decode(data)
            if not data and self.is_complete and not decoder.has_more:
                decoder.finish()
        return data

    def eof(self) -> None:
        self.is_complete = True


def _tercet_error(error: httpx.HTTPError, origin: Origin, *, begun: bool = False) -> TransportError:
    """The same fault in our words. Of httpx's own message only a failed connection's is told: others can quote what was sent."""
    name = type(error).__name__
    if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        return DeadlineError(f"no connection to {origin} in time ({name})", clock="connect")
    if isinstance(error, httpx.TimeoutException):
        return DeadlineError(
            f"no answer from {origin} in time ({name})", clock="idle" if begun else "first_content"
        )
    if isinstance(error, httpx.ConnectError | httpx.ProxyError | httpx.UnsupportedProtocol):
        phase = "proxy" if isinstance(error, httpx.ProxyError) else "tcp"
        return ConnectError(f"no connection to {origin} ({name}: {error})", phase=phase)
    if isinstance(error, httpx.RemoteProtocolError):
        text = str(
            error
        )  # h11's for an end before its time: "peer closed connection ...", "Server disconnected ..."
        if "peer closed" not in text and "disconnected" not in text:
            return ProtocolError(f"the answer from {origin} is not valid HTTP/1.1")
    return StreamInterruptedError(f"the connection to {origin} broke ({name})")
