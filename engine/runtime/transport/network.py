"""Connections and where they come from: the two interfaces that the transport stands on, and the real network.

A :class:`Connection` moves bytes. A :class:`Network` makes connections to an origin. :class:`SocketNetwork` is the real one: TCP by
happy eyeballs, TLS, proxies. :class:`StreamConnection` makes a connection out of any :class:`trio.abc.Stream`: memory streams in tests.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol, cast

import trio

from tercet.adapters.call import Origin
from tercet.codecs.vocabulary import ConnectError, TransportError

from .dialing import Resolver, dial, resolve
from .http1 import HttptoolsParser, TransportLimits
from .proxy import Proxy, ProxyMap, connect_request
from .request import Forward
from .sockets import SocketConnection, TlsConnection, has_pending_input

__all__ = ["BROKEN", "Connection", "Network", "SocketNetwork", "StreamConnection", "default_ssl_context"]

READ_BUFFER = 64 * 1024
BROKEN = (OSError, trio.BrokenResourceError)


class Connection(Protocol):
    """Bytes to and from one peer.

    ``send_all`` and ``receive`` may run in two tasks at once, each in one at a time. When the connection is broken, both raise one of
    ``BROKEN``: :class:`OSError` (sockets) or :class:`trio.BrokenResourceError` (trio's streams). They raise
    :class:`trio.ClosedResourceError` when :meth:`close` was called before or meanwhile.
    """

    async def send_all(self, data: bytes) -> None:
        """Send all of ``data``. When cancelled, any part of it may have been sent."""
        ...

    async def receive(self) -> bytes | memoryview:
        """The next bytes, empty at the end (FIN). A view is good until the next await. A cancelled call has lost nothing."""
        ...

    def is_stale(self) -> bool:
        """Whether an idle connection must not be used again: closed, or readable although nothing was asked. Never waits."""
        ...

    def close(self) -> None:
        """Close now. Never waits; may be called twice."""
        ...


class Network(Protocol):
    """Where connections come from.

    A network may also have a method ``forward_for(origin) -> Forward | None``, asked once for each origin: how requests are to be
    written when they go through a forward proxy.
    """

    async def connect(self, origin: Origin) -> Connection:
        """A fresh connection, TLS included. Raises :class:`ConnectError`; a cancelled call leaves nothing open. The caller sets
        the deadline."""
        ...


class StreamConnection:
    """A connection over any trio stream.

    Trio streams close with an await, and a connection must not: ``close`` is how to close this one at once. By default it is found for
    what trio itself makes: memory streams, sockets, stapled streams, and TLS over any of them. ``is_stale`` likewise: a socket is asked, a
    memory stream cannot be and counts as fresh, unless a function is given.
    """

    __slots__ = ("_close", "_is_open", "_is_stale", "_stream")

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        close: Callable[[], None] | None = None,
        is_stale: Callable[[], bool] | None = None,
    ) -> None:
        self._stream = stream
        self._close = close or _closer_of(stream)
        self._is_stale = is_stale or _stale_check_of(stream)
        self._is_open = True

    async def send_all(self, data: bytes) -> None:
        """Send all of ``data``; always a checkpoint."""
        await self._stream.send_all(data)

    async def receive(self) -> bytes:
        """The next bytes, ``b""`` at the end; always a checkpoint."""
        return bytes(await self._stream.receive_some(READ_BUFFER))

    def is_stale(self) -> bool:
        """What the function given says; closed is stale."""
        return not self._is_open or self._is_stale()

    def close(self) -> None:
        """Close the stream at once."""
        if self._is_open:
            self._is_open = False
            self._close()


def _closer_of(stream: Any) -> Callable[[], None]:
    while isinstance(stream, trio.SSLStream):
        stream = cast("Any", stream).transport_stream
    if isinstance(stream, trio.SocketStream):
        return stream.socket.close
    if isinstance(stream, trio.StapledStream):
        send, receive = cast("Any", stream).send_stream, cast("Any", stream).receive_stream
        halves = (_closer_of(send), _closer_of(receive))

        def close_both() -> None:
            for close in halves:
                close()

        return close_both
    close = getattr(stream, "close", None)  # memory streams have it
    if close is None:
        raise TypeError(f"{type(stream).__name__} has no close() that does not wait: pass close=")
    return cast("Callable[[], None]", close)


def _stale_check_of(stream: Any) -> Callable[[], bool]:
    while isinstance(stream, trio.SSLStream):
        stream = cast("Any", stream).transport_stream
    if isinstance(stream, trio.SocketStream):
        descriptor = stream.socket.fileno()
        return lambda: has_pending_input(descriptor)
    return lambda: False


def default_ssl_context() -> ssl.SSLContext:
    """The system's certificate authorities, host names checked, TLS 1.2 or later, ALPN ``http/1.1``. 2 MiB and 20 ms each: share it."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


class SocketNetwork:
    """The real network. One object for a whole engine, used from one trio run at a time.

    ``ssl_context``: yours, as it is; by default :func:`default_ssl_context`, made at the first https connection and shared by all.
    ``proxies``: from :func:`proxies_from_environ`; None connects directly. ``resolver``: ``(host, port) -> [(family, address)]``, async.

    All connections share one read buffer of 64 KiB.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        proxies: ProxyMap | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self._ssl_context = ssl_context
        self._proxies = proxies or ProxyMap()
        self._resolver = resolver or resolve
        self._buffer = memoryview(bytearray(READ_BUFFER))

    def forward_for(self, origin: Origin) -> Forward | None:
        """How requests for a plain-http origin are written for its proxy; None without one, and for https, which is tunnelled."""
        proxy = self._proxies.proxy_for(origin)
        return None if proxy is None or origin.scheme == "https" else proxy.forward(origin)

    async def connect(self, origin: Origin) -> Connection:
        """Connect, through the proxy if there is one, and do the TLS handshake.

        Raises :class:`ConnectError`, its ``phase`` says where: ``dns``, ``tcp``, ``tls``, ``proxy``. A certificate that is not
        accepted is not ``retryable``. Cancelled anywhere, it leaves no socket open.
        """
        proxy = self._proxies.proxy_for(origin)
        if proxy is not None:
            return await self._connect_by(proxy, origin)
        sock = await dial(origin.host, origin.port, resolver=self._resolver)
        if origin.scheme == "http":
            return SocketConnection(sock, self._buffer)
        return await self._start_tls(sock, origin)

    async def _connect_by(self, proxy: Proxy, origin: Origin) -> Connection:
        via = proxy.origin
        try:
            sock = await dial(via.host, via.port, resolver=self._resolver)
        except ConnectError as error:
            error.phase = "proxy"
            raise
        if via.scheme == "https":
            return await self._connect_by_tls(sock, proxy, origin)
        if origin.scheme == "http":
            return SocketConnection(sock, self._buffer)
        connection = SocketConnection(sock, self._buffer)
        try:
            await _open_tunnel(connection, proxy, origin)
        except BaseException:
            connection.close()
            raise
        return await self._start_tls(sock, origin)

    async def _connect_by_tls(self, sock: socket.socket, proxy: Proxy, origin: Origin) -> Connection:
        """TLS to the proxy, and for https a second TLS inside. An SSLSocket cannot carry another one; trio's streams can, and the
        few who have such a proxy do not miss the microseconds."""
        try:
            stream: trio.SSLStream[Any] = self._wrap(
                trio.SocketStream(trio.socket.from_stdlib_socket(sock)), proxy.origin
            )
            await _shake_hands(stream, proxy.origin)
            if origin.scheme == "https":
                await _open_tunnel(StreamConnection(stream), proxy, origin)
                stream = self._wrap(stream, origin)
                await _shake_hands(stream, origin)
        except BaseException:
            sock.close()
            raise
        return StreamConnection(stream)

    def _wrap(self, stream: Any, origin: Origin) -> trio.SSLStream[Any]:
        # https_compatible: close does not wait for the peer's close_notify
        return trio.SSLStream(stream, self._context(), server_hostname=origin.host, https_compatible=True)

    async def _start_tls(self, sock: socket.socket, origin: Origin) -> TlsConnection:
        """Takes ``sock`` over: closed on any failure."""
        tls: ssl.SSLSocket | None = None
        try:
            # SSLEOFError instead of b"" for an end without close_notify: see TlsConnection
            tls = self._context().wrap_socket(
                sock, server_hostname=origin.host, do_handshake_on_connect=False, suppress_ragged_eofs=False
            )
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await trio.lowlevel.wait_readable(tls)
                except ssl.SSLWantWriteError:
                    await trio.lowlevel.wait_writable(tls)
        except (OSError, ValueError) as error:  # ValueError: a host that cannot be a server name
            (tls or sock).close()
            raise _tls_error(error, origin) from error
        except BaseException:
            (tls or sock).close()
            raise
        return TlsConnection(tls, self._buffer)

    def _context(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = default_ssl_context()
        return self._ssl_context


def _tls_error(error: BaseException, origin: Origin) -> ConnectError:
    """Say what was wrong in the words of the certificate check, or of OpenSSL."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectError(
            f"the certificate of {origin} is not accepted: {error.verify_message}",
            phase="tls",
            code=f"X509_V_ERR_{error.verify_code}",
            retryable=False,
        )
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "the connection was closed").replace("_", " ").lower()
        return ConnectError(
            f"the TLS handshake with {origin} failed: {reason}", phase="tls", code=error.reason
        )
    return ConnectError(f"the TLS handshake with {origin} failed: {error}", phase="tls")


async def _shake_hands(stream: trio.SSLStream[Any], origin: Origin) -> None:
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        # trio hides the reason in the suppressed context
        reason = error.__cause__ or error.__context__ or error
        raise _tls_error(reason, origin) from error


async def _open_tunnel(connection: Connection, proxy: Proxy, origin: Origin) -> None:
    """Ask the proxy for a tunnel. Raises :class:`ConnectError` with the phase ``proxy`` and, when it answered, its status."""
    parser = HttptoolsParser("CONNECT", TransportLimits(head_bytes=16 * 1024))
    try:
        await connection.send_all(connect_request(origin, proxy))
        while not parser.has_head:
            data = await connection.receive()
            if data:
                parser.feed(data)
            else:
                parser.eof()
    except (*BROKEN, TransportError, UnicodeError) as error:
        raise ConnectError(
            f"the proxy {proxy.origin} gave no tunnel to {origin}: {error}", phase="proxy"
        ) from error
    status = parser.status
    if not 200 <= status < 300:
        why = "it wants other credentials" if status == 407 else f"it answered {status}"
        raise ConnectError(
            f"the proxy {proxy.origin} gave no tunnel to {origin}: {why}",
            phase="proxy",
            status=status,
            retryable=status >= 500,
        )
