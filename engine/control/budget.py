"""A tree of budgets: what a part of a program may use together, in tokens and in dollars.

Rules:

1. A child draws on its parents: whatever it reserves or uses counts in every budget above it.
2. A request reserves its estimate before it is sent and settles what it really used after; what was used counts even where it was not reserved
   (estimates are estimates), so a budget may end a little overdrawn, never by more than what was under way.
3. A reservation is taken in all budgets of the line or in none. It fits where used + reserved + wanted stays within the limit.
4. A budget is exhausted when what was *used* has reached a limit. It stays so: nothing gives tokens back.
5. Reservations are given back exactly once; a second time is ignored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

__all__ = ["Budget", "BudgetSnapshot", "Reservation"]


class BudgetSnapshot(msgspec.Struct, frozen=True):
    """A budget's numbers; None is no limit. Costs in US dollars."""

    tokens: int | None
    cost: float | None
    used_tokens: int
    used_cost: float
    reserved_tokens: int
    reserved_cost: float


class Reservation:
    """Room held for one request. Hand it to ``release`` of the budget that gave it."""

    __slots__ = ("cost", "is_open", "tokens")

    def __init__(self, tokens: int, cost: float) -> None:
        self.tokens: int = tokens
        self.cost: float = cost
        self.is_open: bool = True


class Budget:
    """One budget. ``tokens`` and ``cost`` are its limits, None for none; ``parent`` the budget it draws on."""

    __slots__ = (
        "_cost",
        "_parent",
        "_reserved_cost",
        "_reserved_tokens",
        "_tokens",
        "_used_cost",
        "_used_tokens",
    )

    def __init__(
        self, *, tokens: int | None = None, cost: float | None = None, parent: Budget | None = None
    ) -> None:
        """Raises ValueError for a limit below 0."""
        if (tokens is not None and tokens < 0) or (cost is not None and not 0 <= cost < math.inf):
            raise ValueError(f"a budget's limits are at least 0; got tokens={tokens!r}, cost={cost!r}")
        self._tokens = math.inf if tokens is None else tokens
        self._cost = math.inf if cost is None else cost
        self._parent = parent
        self._used_tokens = 0
        self._used_cost = 0.0
        self._reserved_tokens = 0
        self._reserved_cost = 0.0

    def reserve(self, tokens: int, cost: float) -> Reservation | None:
        """Hold room for a request of about so many tokens and dollars; None where this budget or one above has none."""
        if not all(budget._has_room(tokens, cost) for budget in self._line()):
            return None
        for budget in self._line():
            budget._reserved_tokens += tokens
            budget._reserved_cost += cost
        return Reservation(tokens, cost)

    def release(self, reservation: Reservation) -> None:
        """Give the room back, whatever was used."""
        if reservation.is_open:
            reservation.is_open = False
            for budget in self._line():
                budget._reserved_tokens -= reservation.tokens
                budget._reserved_cost -= reservation.cost

    def use(self, tokens: int, cost: float) -> None:
        """So much was really used."""
        for budget in self._line():
            budget._used_tokens += tokens
            budget._used_cost += cost

    @property
    def is_exhausted(self) -> bool:
        """Whether this budget itself is used up (one above may be without this one being so)."""
        return self._used_tokens >= self._tokens or self._used_cost >= self._cost

    def snapshot(self) -> BudgetSnapshot:
        """The numbers now."""
        return BudgetSnapshot(
            None if self._tokens == math.inf else int(self._tokens),
            None if self._cost == math.inf else self._cost,
            self._used_tokens,
            self._used_cost,
            self._reserved_tokens,
            self._reserved_cost,
        )

    def _line(self) -> Iterator[Budget]:
        budget: Budget | None = self
        while budget is not None:
            yield budget
            budget = budget._parent

    def _has_room(self, tokens: int, cost: float) -> bool:
        return (
            self._used_tokens + self._reserved_tokens + tokens <= self._tokens
            and self._used_cost + self._reserved_cost + cost <= self._cost
            and not self.is_exhausted
        )
