"""Connections over non-blocking sockets, plain and TLS: no stream objects in between, one shared read buffer.

Both classes are a :class:`~tercet.engine.runtime.transport.network.Connection`. The buffer is shared by all connections of a
:class:`~tercet.engine.runtime.transport.network.SocketNetwork`: a read fills it and hands out a view, which is good until the
next await, because then another task may read. Measured: 138 KB requested per read with ``recv(65536)`` become 5 KB.

Reading waits first and reads then: after a request, and between the tokens of a stream, the data is not there yet, and a read
that fails costs 1.3 us on top of the wait. Only a read that filled its buffer is followed by one that does not wait, and each
sixteenth of those in a row is a full checkpoint, so that a fast sender cannot starve the other tasks.
"""

from __future__ import annotations

import select
import socket
import ssl

import trio

__all__ = ["SocketConnection", "TlsConnection", "has_pending_input"]

READS_PER_CHECKPOINT = 16


def has_pending_input(descriptor: int) -> bool:
    """Whether a read on the socket with this descriptor would not block: data, FIN or an error is there. Never waits.

    ``poll`` takes 0.5 us, a peek that raises ``BlockingIOError`` 1.2 us (CPython 3.11); ``select`` cannot take descriptors above
    1023 on POSIX, and is for Windows, which has no ``poll``.
    """
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([descriptor], [], [], 0)[0])


class SocketConnection:
    """Plain TCP. Owns ``sock``, which must be connected and non-blocking; reads into ``buffer``.

    ``send_all`` and ``receive`` raise :class:`OSError` when the connection is broken and :class:`trio.ClosedResourceError` when
    :meth:`close` was called meanwhile. A cancelled ``receive`` has lost nothing; a cancelled ``send_all`` may have sent any part.
    """

    __slots__ = ("_buffer", "_fd", "_has_more", "_is_open", "_reads", "_socket")

    def __init__(self, sock: socket.socket, buffer: memoryview) -> None:
        self._socket = sock
        self._fd = sock.fileno()
        self._buffer = buffer
        self._is_open = True
        self._has_more = False
        self._reads = 0

    async def send_all(self, data: bytes) -> None:
        """Send all of ``data``. Waits only when the socket's buffer is full; no checkpoint else (the answer's wait is one)."""
        self._check_open()
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            await self._send_rest(memoryview(data)[sent:])

    async def _send_rest(self, rest: memoryview) -> None:
        while rest:
            await trio.lowlevel.wait_writable(self._fd)
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                continue

    async def receive(self) -> memoryview:
        """The bytes of the next read, empty at FIN; the view is good until the next await."""
        self._check_open()
        if not self._has_more:
            await trio.lowlevel.wait_readable(self._fd)
        else:
            await self._breathe()
        while True:
            try:
                count = self._socket.recv_into(self._buffer)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._fd)
                continue
            self._has_more = count == len(self._buffer)
            return self._buffer[:count]

    async def _breathe(self) -> None:
        self._reads += 1
        if self._reads % READS_PER_CHECKPOINT:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await trio.lowlevel.checkpoint()
        self._check_open()  # the checkpoint let others run

    def is_stale(self) -> bool:
        """Whether an idle connection must not be used again: it was closed, or something came that nobody asked for."""
        return not self._is_open or has_pending_input(self._fd)

    def close(self) -> None:
        """Close now, without waiting; wakes up a task that waits in here. May be called twice."""
        if self._is_open:
            self._is_open = False
            if trio.lowlevel.in_trio_run():
                trio.lowlevel.notify_closing(self._fd)
            self._socket.close()

    def _check_open(self) -> None:
        if not self._is_open:
            raise trio.ClosedResourceError("this connection was closed")


class TlsConnection(SocketConnection):
    """TLS by a non-blocking :class:`ssl.SSLSocket` whose handshake is done (35 us a record, against 64 for ``trio.SSLStream``).

    One read of TLS gives one record. A record of 1 KiB or more mostly has others behind it, so reading goes on until the buffer is
    full or nothing is there; a smaller one, the usual event of a stream, is handed out at once, without a read that fails.

    A connection that ends without ``close_notify`` raises :class:`ssl.SSLEOFError` (an :class:`OSError`): a body that is
    delimited by the close could have been cut by anyone (RFC 9112 section 9.8).
    """

    __slots__ = ("_failure", "_tls")

    def __init__(self, sock: ssl.SSLSocket, buffer: memoryview) -> None:
        super().__init__(sock, buffer)
        self._tls = sock
        self._failure: OSError | None = None

    async def send_all(self, data: bytes) -> None:
        """As for plain TCP, in pieces of 64 KiB: TLS takes a piece whole or not at all, and a retry must offer the same bytes."""
        self._check_open()
        if len(data) <= 65536:
            await self._send_piece(data)
            return
        view = memoryview(data)
        for start in range(0, len(data), 65536):
            await self._send_piece(view[start : start + 65536])
            await trio.lowlevel.checkpoint_if_cancelled()

    async def _send_piece(self, piece: bytes | memoryview) -> None:
        while piece:
            try:
                piece = piece[self._tls.send(piece) :]
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self._fd)

    async def receive(self) -> memoryview:
        """The bytes of the next records that are there, empty at the peer's ``close_notify``; good until the next await."""
        self._check_open()
        if self._failure is not None:
            raise self._failure
        if self._has_more:
            await self._breathe()
        else:
            await trio.lowlevel.wait_readable(self._fd)
        while True:
            try:
                count = self._tls.recv_into(self._buffer)
            except ssl.SSLWantReadError:  # half a record, or a session ticket
                await trio.lowlevel.wait_readable(self._fd)
                continue
            self._has_more = False
            if count >= 1024:
                count = self._fill(count)
            if not self._has_more:
                self._has_more = count == len(self._buffer) or self._tls.pending() > 0
            return self._buffer[:count]

    def _fill(self, count: int) -> int:
        """Read more records behind ``count`` bytes. An end or a failure is left to the next read, which then must not wait: the
        kernel has nothing more to report."""
        buffer = self._buffer
        try:
            while count < len(buffer):
                more = self._tls.recv_into(buffer[count:])
                if not more:
                    self._has_more = True
                    break
                count += more
        except ssl.SSLWantReadError:
            pass
        except OSError as error:
            self._failure = error
            self._has_more = True
        return count

    def is_stale(self) -> bool:
        """As for plain TCP; a session ticket or a key update that arrived meanwhile is taken in, and does not count."""
        if not self._is_open:
            return True
        if not has_pending_input(self._fd):
            return False
        try:
            self._tls.recv_into(self._buffer[:1])
        except ssl.SSLWantReadError:
            return False
        except OSError:
            pass
        return True

    def close(self) -> None:
        """Close now. ``close_notify`` is sent if there is room for it (RFC 8446 section 6.1); the peer's is not waited for."""
        if self._is_open:
            try:
                self._tls.unwrap()
            except (OSError, ValueError):  # it always wants to read the peer's; ValueError: never connected
                pass
        super().close()
