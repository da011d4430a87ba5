"""Routes: one name for several targets, and the order in which to try them.

Rules:

1. ``order`` returns every target of the route exactly once. Nothing is dropped: when all breakers are open, the best of a bad lot is still tried (the
   "panic" rule of load balancers).
2. Whatever the strategy says, targets that are known to be unwell come after the others, and those whose breaker is open after these.
3. ``priority``: as listed. ``weighted``: drawn at random, in proportion to the weights. ``least_latency``, ``least_cost``, ``least_busy``: by that fact; equal ones in
   a weighted random order, so that nobody stampedes. ``affinity``: the same key finds the same target, on every machine, and when a target goes only its keys move
   (weighted rendezvous hashing); without a key as ``weighted``.
4. A latency that is not known yet counts as the best (or nobody would ever learn it), a cost that is not known as the worst.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from .backoff import Random

__all__ = ["Facts", "Route", "Strategy", "Target", "TargetFacts", "order"]

Strategy = Literal["priority", "weighted", "least_latency", "least_cost", "least_busy", "affinity"]


class Target(msgspec.Struct, frozen=True):
    """Where a request can go. ``key_name`` names one of several keys of the provider; ``weight`` is its share under the strategies that draw."""

    provider: str
    model: str
    key_name: str | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"Target.weight is a finite number, at least 0; got {self.weight!r}")


class Route(msgspec.Struct, frozen=True):
    """A name for targets that can stand in for each other. Raises ValueError without any."""

    name: str
    targets: Sequence[Target]
    strategy: Strategy = "priority"

    def __post_init__(self) -> None:
        if not self.targets:
            raise ValueError(f"Route {self.name!r} has no targets")


class TargetFacts(msgspec.Struct, frozen=True):
    """What is known of a target now. ``latency`` is the smoothed time to first content in seconds, ``cost`` dollars for this request (or any other measure that
    is the same for all); None is unknown."""

    is_open: bool = False
    is_healthy: bool = True
    latency: float | None = None
    in_flight: int = 0
    cost: float | None = None


Facts: TypeAlias = Mapping[Target, TargetFacts] | Callable[[Target], TargetFacts]

_NOTHING_KNOWN = TargetFacts()


def order(route: Route, facts: Facts, random: Random, affinity_key: str | None = None) -> list[Target]:
    """The route's targets, the first to be tried first. A target that the facts do not know is taken for well and idle."""
    known = [(target, _known(facts, target)) for target in route.targets]
    rank = _ranking(route.strategy, random, affinity_key)
    ranked = sorted(known, key=lambda pair: (pair[1].is_open, not pair[1].is_healthy, rank(*pair)))
    return [target for target, _ in ranked]


def _known(facts: Facts, target: Target) -> TargetFacts:
    if callable(facts):
        return facts(target)
    return facts.get(target, _NOTHING_KNOWN)


_Rank: TypeAlias = Callable[[Target, TargetFacts], tuple[float, float]]


def _ranking(strategy: Strategy, random: Random, affinity_key: str | None) -> _Rank:
    """Ranks sort upwards: the smallest is tried first. The sort is stable, so equal ranks keep the listed order."""

    def drawn(target: Target) -> float:
        return _draw(random(), target.weight)

    if strategy == "priority":
        return lambda target, of: (0.0, 0.0)
    if strategy == "least_latency":
        return lambda target, of: (of.latency or 0.0, drawn(target))
    if strategy == "least_cost":
        return lambda target, of: (math.inf if of.cost is None else of.cost, drawn(target))
    if strategy == "least_busy":
        return lambda target, of: (_load(target, of), drawn(target))
    if strategy == "affinity" and affinity_key is not None:
        return lambda target, of: (_draw(_hashed(affinity_key, target), target.weight), 0.0)
    return lambda target, of: (drawn(target), 0.0)


def _load(target: Target, facts: TargetFacts) -> float:
    return facts.in_flight / target.weight if target.weight > 0 else math.inf


def _draw(chance: float, weight: float) -> float:
    # Exponential waiting times with the weights as rates (Efraimidis and Spirakis): the order of the draws is a weighted order without replacement.
    return -math.log(1.0 - chance) / weight if weight > 0 else math.inf


def _hashed(key: str, target: Target) -> float:
    # Not hash(): that differs from process to process. The weight is left out, so that changing it moves no more keys than it must.
    name = "\0".join((key, target.provider, target.model, target.key_name or ""))
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2.0**53  # 53 bits, what a float holds: below 1 for sure
