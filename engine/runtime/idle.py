"""The idle clock: ends reads in which nothing came for too long. One task for all streams instead of a cancel scope for every read.

A read that waits is noted with its deadline, and forgotten when it ends: two dictionary operations. The watch sleeps until the earliest
deadline that it knows. No later read can have an earlier one, because all of a manager's streams have the same patience; so nothing has to
wake it, and each wait ends exactly when it should. When it wakes and nobody waits it ends, and the next read starts another.

A closed connection wakes up whoever reads it (see ``Connection``), so that the watch needs no hold on the reader's task.

Counted (CPython 3.11): of a token that comes alone, from the socket to the caller, a cancel scope for each read took 25 of 95
allocations and 51,000 of 168,000 instructions.
"""

from __future__ import annotations

import math

import trio

from .transport import Response

__all__ = ["IdleClock"]


class IdleClock:
    """``seconds``: how long a read may wait, None for ever. ``nursery``: where the watch runs."""

    def __init__(self, seconds: float | None, nursery: trio.Nursery) -> None:
        self.seconds = seconds
        self._nursery = nursery
        self._waiting: dict[Response, float] = {}
        self._is_watched = False

    def deadline(self) -> float:
        """When a wait that begins now has lasted too long."""
        return math.inf if self.seconds is None else trio.current_time() + self.seconds

    async def receive(self, response: Response, deadline: float) -> bytes | None:
        """A read; None if nothing came before the deadline: then the response is closed. Raises what the read raises."""
        if deadline == math.inf:
            return await response.receive()
        waiting = self._waiting
        waiting[response] = deadline
        if not self._is_watched:
            self._is_watched = True
            self._nursery.start_soon(self._watch, name="tercet idle clock")
        try:
            return await response.receive()
        except trio.ClosedResourceError:
            if response in waiting:
                raise
            return None
        finally:
            waiting.pop(response, None)

    async def _watch(self) -> None:
        try:
            while self._waiting:
                await trio.sleep_until(min(self._waiting.values()))
                now = trio.current_time()
                for response, deadline in tuple(self._waiting.items()):
                    if deadline <= now:
                        del self._waiting[response]
                        response.close()
        finally:
            self._is_watched = False
