"""Scopes: a budget around a block, for everything that is asked inside it and in the tasks started there.

::

    async with manager.scope(tokens=100_000, cost=0.50, max_parallel=8) as scope:
        async with trio.open_nursery() as nursery:
            ...                              # every request in here draws on the scope

The scope travels with the task's context, as trio's tasks inherit it. Scopes nest, and a nested one draws on those around it. When the
budget is used up, everything in the block is cancelled at its next checkpoint, and the block raises :class:`QuotaExceededError`.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Self

import trio

from tercet.codecs.vocabulary import QuotaExceededError, Usage

from ..control import Budget, BudgetSnapshot, Reservation

__all__ = ["Hold", "Scope", "hold_in_scope"]

_current: ContextVar[Scope | None] = ContextVar("tercet scope", default=None)


class Scope:
    """One scope. Made by ``manager.scope``; entered once."""

    def __init__(self, *, tokens: int | None, cost: float | None, max_parallel: int | None) -> None:
        """Raises ValueError for senseless limits."""
        if max_parallel is not None and max_parallel < 1:
            raise ValueError(f"max_parallel is at least 1, or None for no limit; got {max_parallel!r}")
        self.parent: Scope | None = _current.get()
        self.budget: Budget = Budget(
            tokens=tokens, cost=cost, parent=None if self.parent is None else self.parent.budget
        )
        self._places = None if max_parallel is None else trio.Semaphore(max_parallel)
        self._cancel = trio.CancelScope()
        self._is_overdrawn = False
        self._token: Token[Scope | None] | None = None

    async def __aenter__(self) -> Self:
        self._cancel.__enter__()
        self._token = _current.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> bool:
        assert self._token is not None
        _current.reset(self._token)
        # trio's own type for the trace is types.TracebackType; what the interpreter hands over is one
        is_swallowed = self._cancel.__exit__(kind, error, trace)  # type: ignore[arg-type]
        if self._is_overdrawn and (error is None or is_swallowed):
            raise self.error()
        return bool(is_swallowed)

    def snapshot(self) -> BudgetSnapshot:
        """What the scope may use, has used and holds for requests under way."""
        return self.budget.snapshot()

    def error(self) -> QuotaExceededError:
        """The error that says that this scope has no more."""
        scope = self
        while scope.parent is not None and not scope.has_limit:
            scope = scope.parent
        seen = scope.budget.snapshot()
        used = f"{seen.used_tokens} tokens and ${seen.used_cost:.4f} used"
        held = f"{seen.reserved_tokens} tokens and ${seen.reserved_cost:.4f} held for requests under way"
        return QuotaExceededError(
            f"the scope's budget (tokens={seen.tokens}, cost={seen.cost}) has no room: {used}, {held}"
        )

    @property
    def has_limit(self) -> bool:
        """Whether this scope itself limits tokens or cost."""
        seen = self.budget.snapshot()
        return seen.tokens is not None or seen.cost is not None

    def use(self, usage: Usage) -> None:
        """So much was used inside. Cancels this scope, or one around it, if that was too much."""
        self.budget.use(usage.total_tokens, usage.cost or 0.0)
        scope: Scope | None = self
        while scope is not None:
            if scope.budget.is_exhausted and not scope._is_overdrawn:
                scope._is_overdrawn = True
                scope._cancel.cancel()
            scope = scope.parent

    async def take_place(self) -> None:
        """Wait until fewer than ``max_parallel`` are under way, here and in the scopes around, outermost first."""
        if self.parent is not None:
            await self.parent.take_place()
        if self._places is not None:
            try:
                await self._places.acquire()
            except BaseException:
                if self.parent is not None:
                    self.parent.give_place()
                raise

    def give_place(self) -> None:
        """One fewer is under way."""
        if self._places is not None:
            self._places.release()
        if self.parent is not None:
            self.parent.give_place()


class Hold:
    """What one request holds in its scope (nothing, outside of any). Given back once, by ``release``."""

    __slots__ = ("_is_open", "_reservation", "_scope")

    def __init__(self, scope: Scope | None, reservation: Reservation | None) -> None:
        self._scope = scope
        self._reservation = reservation
        self._is_open = True

    def use(self, usage: Usage | None) -> None:
        """An attempt of the request used so much."""
        if self._scope is not None and usage is not None:
            self._scope.use(usage)

    def release(self) -> None:
        """The request is over; a second call does nothing."""
        if self._is_open and self._scope is not None and self._reservation is not None:
            self._is_open = False
            self._scope.budget.release(self._reservation)
            self._scope.give_place()


async def hold_in_scope(tokens: int, cost: float) -> Hold:
    """Hold room for a request in the current scope, waiting for a place. Raises :class:`QuotaExceededError` without room.

    Cancelled while waiting, nothing is held. Outside of any scope it does nothing.
    """
    scope = _current.get()
    if scope is None:
        return Hold(None, None)
    await scope.take_place()
    reservation = scope.budget.reserve(tokens, cost)
    if reservation is None:
        scope.give_place()
        raise scope.error()
    return Hold(scope, reservation)
