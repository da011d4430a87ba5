"""The gate: who may come in, who waits outside, and when everybody has left.

The decision is the ``BackpressureController``'s; the gate does the waiting, by priority and then first come, first served.
"""

from __future__ import annotations

import heapq
import itertools
import math
from typing import NamedTuple

import trio

from tercet.codecs.vocabulary import ConfigurationError

from ..control import Admission, BackpressureController, Refused

__all__ = ["Admitted", "Gate"]


class _Turn(NamedTuple):
    """An admitted request that waits until fewer are in flight."""

    order: tuple[int, int]
    admission: Admission
    event: trio.Event


class Gate:
    """Lets requests in, and knows when none is inside."""

    def __init__(self, controller: BackpressureController) -> None:
        self._controller = controller
        self._waiting: list[_Turn] = []
        self._turns = itertools.count()
        self._is_draining = False
        self._empty = trio.Event()
        self._empty.set()
        self.inside: int = 0

    async def admit(self, priority: int, size: int) -> Admitted:
        """Come in with ``size`` bytes, waiting while too many are in flight. Raises :class:`OverloadedError` when there is no room to
        wait. Cancelled while waiting, nothing is held."""
        if self._is_draining:
            raise ConfigurationError("the manager is being closed and takes no more requests")
        admission = self._controller.try_admit(trio.current_time(), priority, size)
        if isinstance(admission, Refused):
            raise admission.error()
        self.inside += 1
        if self.inside == 1:
            self._empty = trio.Event()
        admitted = Admitted(self, admission)
        if not admission.is_running:
            turn = _Turn((-priority, next(self._turns)), admission, trio.Event())
            heapq.heappush(self._waiting, turn)
            try:
                await turn.event.wait()
            except BaseException:
                admitted.release()
                raise
        return admitted

    def leave(self, admission: Admission) -> None:
        """Somebody goes: let in whoever waits for the place. Called once, by :class:`Admitted`."""
        now = trio.current_time()
        self._controller.release(admission, now)
        while self._waiting:
            turn = self._waiting[0]
            if turn.admission.is_open and not self._controller.try_start(turn.admission, now):
                break
            turn.event.set()
            heapq.heappop(self._waiting)
        self.inside -= 1
        if self.inside == 0:
            self._empty.set()

    async def drain(self, within: float = math.inf) -> bool:
        """Let nobody in any more and wait at most ``within`` seconds for those inside; True if all have left."""
        self._is_draining = True
        with trio.move_on_after(within):
            await self._empty.wait()
        return self.inside == 0


class Admitted:
    """One admitted request; given back once, by leaving the block or by ``release``."""

    __slots__ = ("_admission", "_gate")

    def __init__(self, gate: Gate, admission: Admission) -> None:
        self._gate = gate
        self._admission: Admission | None = admission

    def __enter__(self) -> Admitted:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def release(self) -> None:
        """Give it back; a second call does nothing."""
        admission, self._admission = self._admission, None
        if admission is not None:
            self._gate.leave(admission)
