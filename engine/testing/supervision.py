"""Errors of services, told to the test as they are: a nursery whose tasks end with the block, and notes on exceptions.

A plain nursery waits for its tasks and wraps what the body raised into a group. A test wants neither: its servers
are to stop when it ends, and ``pytest.raises`` is to see the exception that was raised.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

import trio

__all__ = ["Noted", "Supervised"]


class Supervised:
    """Tasks in the background of an ``async with`` block. They are cancelled when the block ends.

    What a task raises cancels the block and is raised from it. One exception, the block's or a task's, is raised as itself; several
    are raised as a group.
    """

    def __init__(self) -> None:
        self._nursery: trio.Nursery | None = None
        self._manager: AbstractAsyncContextManager[trio.Nursery] | None = None

    @property
    def nursery(self) -> trio.Nursery:
        """The nursery of the tasks, inside the block."""
        if self._nursery is None:
            raise RuntimeError("this serves inside its 'async with' block only")
        return self._nursery

    async def __aenter__(self) -> Self:
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._manager is not None
        self.nursery.cancel_scope.cancel()
        try:
            return await self._manager.__aexit__(kind, error, trace)  # noqa: ASYNC102  # a nursery's own end
        except BaseExceptionGroup as group:
            # One level only: a group below is what the body or a task itself raised.
            alone, *others = group.exceptions
            if others:
                raise
            if alone is error:
                return False  # the interpreter goes on raising it, with its own traceback
            raise alone from alone.__cause__
        finally:
            self._nursery = None


class Noted:
    """Adds a note to what is raised inside."""

    def __init__(self, note: str) -> None:
        self._note = note

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            error.add_note(self._note)
