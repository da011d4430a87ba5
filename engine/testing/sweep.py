"""Cancellation at every point: run the same code again and again, and cancel it each time one checkpoint later.

A *point* is a moment at which the code under test, or a task that it has started in a nursery of its own, gives up control:
a checkpoint, or a wait. trio delivers a cancellation exactly there. Tasks of nurseries that were opened outside
(the lanes of a manager, a fleet's servers) run, but their steps are not points.

The points are counted by an instrument of trio's run loop, so nothing in the code under test has to know. They are the same
in every run only if the scheduling is: sweep over an in-memory network under ``MockClock``, and inside ``deterministic_scheduling`` where
the order of tasks matters.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

import trio

from .supervision import Noted

__all__ = ["cancel_at", "count_checkpoints", "sweep_cancellation"]

AsyncFunction = Callable[[], Awaitable[object]]


async def sweep_cancellation(
    function: AsyncFunction,
    *,
    check: Callable[[], Awaitable[object] | object] | None = None,
    every_task: bool = False,
    max_points: int = 10_000,
) -> int:
    """Run ``function`` once for each of its points, cancelled there, and a last time to its end. Gives the number of points.

    ``every_task`` makes a point of every step of every task of the run (a manager's lanes, a fleet's servers): ``function`` itself is
    cancelled then, at the moment when that task gave up control. ``check`` (sync or async) is called after every run, to say what must hold whatever happened. What ``function`` or ``check`` raises is
    raised, with a note saying at which point it was cancelled. Raises RuntimeError when there is no end after ``max_points``.
    """
    for k in range(1, max_points + 2):
        with Noted(f"in the run that was cancelled at point {k}"):
            points = await cancel_at(k, function, every_task=every_task)
            if check is not None and inspect.isawaitable(checking := check()):
                await checking
        if points < k:
            return k - 1
    raise RuntimeError(f"no end after {max_points} points of cancellation")


async def count_checkpoints(function: AsyncFunction) -> int:
    """The number of points in one run of ``function``."""
    return await cancel_at(None, function)


async def cancel_at(k: int | None, function: AsyncFunction, *, every_task: bool = False) -> int:
    """Run ``function`` in this task and cancel it at its ``k``-th point (from 1; None: never). Gives the number of points.

    ``every_task``: see :func:`sweep_cancellation`. A result below ``k`` means that it came to its end before. What ``function`` raises is raised.
    """
    scope = trio.CancelScope()
    counter = _PointCounter(trio.lowlevel.current_task(), scope, k, every_task)
    with scope:
        trio.lowlevel.add_instrument(counter)
        try:
            await function()
        finally:
            trio.lowlevel.remove_instrument(counter)
    return counter.points


class _PointCounter(trio.abc.Instrument):
    """Counts the points of ``task`` and of the tasks below it, and cancels ``scope`` at the ``k``-th."""

    def __init__(
        self, task: trio.lowlevel.Task, scope: trio.CancelScope, k: int | None, every_task: bool
    ) -> None:
        self._task = task
        self._outside = frozenset(task.child_nurseries)
        self._scope = scope
        self._k = k
        self._every_task = every_task
        self._exited: trio.lowlevel.Task | None = None
        self.points = 0

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        self._exited = task  # its last step gives up control for good, and is no point

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._exited or not (self._every_task or self._is_ours(task)):
            return
        self.points += 1
        if self.points == self._k:
            self._scope.cancel()

    def _is_ours(self, task: trio.lowlevel.Task) -> bool:
        while task is not self._task:
            nursery = task.parent_nursery
            if nursery is None or nursery in self._outside:
                return False
            task = nursery.parent_task
        return True
