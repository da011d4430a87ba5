"""A TCP connection in memory, in virtual time: two ends, bounded buffers, latency, bandwidth, FIN and RST.

What differs from ``trio.testing.memory_stream_pair``: the buffer is bounded, so a reader that does not read stops the writer; a write
arrives ``latency`` seconds later, paced by ``bandwidth``; each write is received on its own (never joined with the next), so
a test knows exactly how the bytes were cut; and a connection can be reset.

Time is trio's clock, so under ``MockClock`` a slow network costs nothing.
"""

from __future__ import annotations

import math
import operator
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager

import trio

__all__ = ["MemoryStream", "memory_pair"]

_FIN = b""


class _Way:
    """One direction of a connection. Items are ``(when it arrives, bytes)``; ``_FIN`` ends it, None is a reset."""

    __slots__ = (
        "bandwidth",
        "capacity",
        "free_at",
        "held",
        "is_abandoned",
        "is_ended",
        "items",
        "latency",
        "readers",
        "writers",
    )

    def __init__(self, latency: float, bandwidth: float, capacity: int) -> None:
        self.latency: float = latency
        self.bandwidth: float = bandwidth
        self.capacity: int = capacity
        self.items: deque[tuple[float, bytes | None]] = deque()
        self.held: int = 0
        self.free_at: float = -math.inf
        self.is_ended: bool = False  # the writer has said that nothing more comes
        self.is_abandoned: bool = False  # the reader has gone: writing is an error from now on
        self.readers: trio.lowlevel.ParkingLot = trio.lowlevel.ParkingLot()
        self.writers: trio.lowlevel.ParkingLot = trio.lowlevel.ParkingLot()

    def put(self, data: bytes | None) -> None:
        sent = max(trio.current_time(), self.free_at) + (len(data) / self.bandwidth if data else 0.0)
        self.free_at = sent
        self.held += len(data) if data else 0
        self.items.append((sent + self.latency, data))
        self.readers.unpark_all()

    def end(self, mark: bytes | None) -> None:
        if not self.is_ended:
            self.is_ended = True
            self.put(mark)

    def take(self, max_bytes: int) -> bytes | None:
        """The first item, or its first ``max_bytes``. FIN and reset stay where they are: every later read finds them too."""
        at, data = self.items[0]
        if not data:
            return data
        if len(data) > max_bytes:
            self.items[0] = (at, data[max_bytes:])
            data = data[:max_bytes]
        else:
            self.items.popleft()
        self.held -= len(data)
        self.writers.unpark_all()
        return data

    def abandon(self) -> None:
        self.is_abandoned = True
        self.items.clear()
        self.held = 0
        self.writers.unpark_all()
        self.readers.unpark_all()


class MemoryStream(trio.abc.HalfCloseableStream):
    """One end of a connection in memory (see :func:`memory_pair`).

    Every method is cancellable at any of its waits; a cancelled ``receive_some`` loses nothing, a cancelled ``send_all`` has
    sent an unknown part. Raises what a trio socket stream raises: ``BrokenResourceError`` when the peer has reset or closed,
    ``ClosedResourceError`` when this end is closed, ``BusyResourceError`` when two tasks do the same at once.
    """

    def __init__(self, incoming: _Way, outgoing: _Way) -> None:
        self._in = incoming
        self._out = outgoing
        self._is_closed = False
        self._is_sending = False
        self._is_receiving = False

    @property
    def is_closed(self) -> bool:
        """Whether this end was closed or has reset the connection."""
        return self._is_closed

    @property
    def is_readable(self) -> bool:
        """Whether a read would give something at once: bytes, the end, or a reset. On an idle connection each means "stale"."""
        return self._is_closed or bool(self._in.items and self._in.items[0][0] <= trio.current_time())

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all bytes; waits while the buffer is full."""
        with self._sending():
            await trio.lowlevel.checkpoint()
            rest = memoryview(data)
            while rest:
                room = await self._wait_for_room()
                self._out.put(bytes(rest[:room]))
                rest = rest[room:]

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room in the buffer."""
        with self._sending():
            await trio.lowlevel.checkpoint()
            await self._wait_for_room()

    @contextmanager
    def _sending(self) -> Generator[None, None, None]:
        if self._is_sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        self._check_sending()
        self._is_sending = True
        try:
            yield
        finally:
            self._is_sending = False

    async def _wait_for_room(self) -> int:
        while True:
            self._check_sending()
            if (room := self._out.capacity - self._out.held) > 0:
                return room
            await self._out.writers.park()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The next write of the peer, or its first ``max_bytes``; empty when the peer has said that nothing more comes."""
        if self._is_receiving:
            raise trio.BusyResourceError("another task is receiving on this stream")
        if max_bytes is not None and operator.index(max_bytes) < 1:
            raise ValueError(f"max_bytes is at least 1; got {max_bytes}")
        self._is_receiving = True
        try:
            await trio.lowlevel.checkpoint()
            while not self._is_closed:
                if not self._in.items:
                    await self._in.readers.park()
                elif (at := self._in.items[0][0]) > trio.current_time():
                    with trio.move_on_at(at):
                        await self._in.readers.park()
                else:
                    data = self._in.take(max_bytes or self._in.capacity)
                    if data is None:
                        raise trio.BrokenResourceError("the peer has reset the connection")
                    return data
            raise trio.ClosedResourceError("this stream is closed")
        finally:
            self._is_receiving = False

    async def send_eof(self) -> None:
        """Say that nothing more comes (FIN); receiving goes on."""
        self._check_closed()
        if self._is_sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        self._out.end(_FIN)
        await trio.lowlevel.checkpoint()

    def reset(self) -> None:
        """Break the connection (RST): the peer gets what was sent before, then an error. Closes this end."""
        self._leave(None)

    def close(self) -> None:
        """Close this end at once: the peer gets what was sent, then the end."""
        self._leave(_FIN)

    async def aclose(self) -> None:
        """``close``, then a checkpoint."""
        self.close()
        await trio.lowlevel.checkpoint()

    def _leave(self, mark: bytes | None) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._out.end(mark)
            self._in.abandon()
            self._out.writers.unpark_all()

    def _check_closed(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("this stream is closed")

    def _check_sending(self) -> None:
        self._check_closed()
        if self._out.is_ended:
            raise trio.ClosedResourceError("send_eof was called on this stream")
        if self._out.is_abandoned:
            raise trio.BrokenResourceError("the peer has closed the connection")


def memory_pair(
    *, latency: float = 0.0, bandwidth: float = math.inf, buffer_size: int = 65536
) -> tuple[MemoryStream, MemoryStream]:
    """Two connected ends. ``latency`` in seconds one way, ``bandwidth`` in bytes per second and ``buffer_size`` in bytes for each way.

    The buffer holds what is under way and what waits to be read, as the two socket buffers of a TCP connection do.
    """
    if latency < 0 or bandwidth <= 0 or buffer_size < 1:
        raise ValueError(
            f"latency is at least 0, bandwidth above 0, buffer_size at least 1; got {latency}, {bandwidth}, {buffer_size}"
        )
    there, back = _Way(latency, bandwidth, buffer_size), _Way(latency, bandwidth, buffer_size)
    return MemoryStream(back, there), MemoryStream(there, back)
