"""Idle connections, kept by origin: last in, first out, every operation O(1).

The last one in is the likeliest to be alive, and when traffic falls the others at the bottom grow old and are closed. Pure: the time is
an argument, nothing waits. Connections in use are not the pool's business, so a cancelled request cannot leave a slot taken.
"""

from __future__ import annotations

from collections import deque

from tercet.adapters.call import Origin

from .network import Connection

__all__ = ["IdlePool"]


class IdlePool:
    """``expiry``: seconds a connection may be idle. ``max_per_origin``: how many are kept for one origin.

    Methods return how many connections they closed (or the connection asked for and that count), so that the owner can count.
    """

    __slots__ = ("_expiry", "_idle", "_max", "_next_sweep", "size")

    def __init__(self, *, expiry: float, max_per_origin: int) -> None:
        self._expiry = expiry
        self._max = max_per_origin
        self._idle: dict[Origin, deque[tuple[Connection, float]]] = {}  # oldest left, with the time it came
        self._next_sweep = 0.0
        self.size: int = 0

    def take(self, origin: Origin, now: float) -> tuple[Connection | None, int]:
        """The connection that came last, unless it is too old or stale; those found dead on the way are closed."""
        idle = self._idle.get(origin)
        closed = 0
        while idle:
            connection, since = idle.pop()
            self.size -= 1
            if now - since < self._expiry and not connection.is_stale():
                return connection, closed
            connection.close()
            closed += 1
        return None, closed

    def put(self, origin: Origin, connection: Connection, now: float) -> int:
        """Keep a connection that is ready for the next request; the oldest one makes room when there are too many."""
        closed = self._sweep(now) if now >= self._next_sweep else 0
        idle = self._idle.get(origin)
        if idle is None:
            idle = self._idle[origin] = deque()
        idle.append((connection, now))
        self.size += 1
        if len(idle) > self._max:
            idle.popleft()[0].close()
            self.size -= 1
            closed += 1
        return closed

    def close(self) -> int:
        """Close them all."""
        closed = self.size
        for idle in self._idle.values():
            for connection, _ in idle:
                connection.close()
        self._idle.clear()
        self.size = 0
        return closed

    def _sweep(self, now: float) -> int:
        """Close what is too old, at all origins; at most once per expiry time, so it costs each ``put`` one comparison."""
        self._next_sweep = now + self._expiry
        closed = 0
        for origin in list(self._idle):
            idle = self._idle[origin]
            while idle and now - idle[0][1] >= self._expiry:
                idle.popleft()[0].close()
                closed += 1
            if not idle:
                del self._idle[origin]
        self.size -= closed
        return closed
