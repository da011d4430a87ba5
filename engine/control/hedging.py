"""Hedging: when to ask a second target although the first has not failed.

Rules:

1. The second target is asked when the first has shown no content for ``delay`` seconds; without a ``delay``, for as long as ``quantile`` of its
   answers took so far, and not before ``minimum_samples`` of them are known.
2. Hedges cost money: together they stay within ``extra_load`` of all requests and of all their tokens. The first ``burst`` are free, or a program would
   have to wait for fifty requests before it could hedge one.
3. A request that found no budget is not hedged; it is not delayed either.

The idea and the 95th percentile are from "The Tail at Scale" (Dean and Barroso, CACM 2013): hedging there cost 2 % more requests.
"""

from __future__ import annotations

import math

import msgspec

from .metrics import Histogram

__all__ = ["HedgeBudget", "HedgePolicy"]


class HedgePolicy(msgspec.Struct, frozen=True):
    """When to hedge (see the module's rules). Times in seconds. Raises ValueError for senseless numbers."""

    delay: float | None = None
    quantile: float = 0.95
    minimum_samples: int = 20
    extra_load: float = 0.02
    burst: int = 1

    def __post_init__(self) -> None:
        if self.delay is not None and not 0 < self.delay < math.inf:
            raise ValueError(f"HedgePolicy.delay is a number of seconds above 0, or None; got {self.delay!r}")
        if not 0 < self.quantile < 1 or not 0 <= self.extra_load <= 1:
            raise ValueError(
                f"HedgePolicy: quantile lies between 0 and 1, extra_load from 0 to 1; got {self.quantile!r}, {self.extra_load!r}"
            )

    def wait(self, first_content: Histogram) -> float | None:
        """Seconds to wait before the second target is asked; None: do not hedge, too little is known."""
        if self.delay is not None:
            return self.delay
        seen = first_content.snapshot()
        return seen.quantile(self.quantile) if seen.count >= self.minimum_samples else None


class HedgeBudget:
    """Counts requests and hedges, in number and in tokens, and says whether one more hedge is within the policy."""

    __slots__ = ("_hedged_tokens", "_hedges", "_policy", "_requests", "_tokens")

    def __init__(self, policy: HedgePolicy) -> None:
        self._policy = policy
        self._requests = 0
        self._hedges = 0
        self._tokens = 0
        self._hedged_tokens = 0

    @property
    def hedges(self) -> int:
        """How many hedges were made."""
        return self._hedges

    def count(self, tokens: int) -> None:
        """A request of about so many tokens is made."""
        self._requests += 1
        self._tokens += tokens

    def try_hedge(self, tokens: int) -> bool:
        """Whether a second copy of such a request may be sent; if so, it is counted."""
        policy = self._policy
        if self._hedges >= policy.burst:
            if self._hedges + 1 > policy.extra_load * self._requests:
                return False
            if self._hedged_tokens + tokens > policy.extra_load * self._tokens:
                return False
        self._hedges += 1
        self._hedged_tokens += tokens
        return True
