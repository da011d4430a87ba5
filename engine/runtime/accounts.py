"""What is written down about every attempt, and the picture of what is going on now.

One :class:`AttemptRecord` is written per attempt that was admitted to a provider, whatever became of it: it is made where the attempt
gives back what it held, which happens exactly once. A request refused before (by the gate, a breaker, a limiter) writes none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from tercet.codecs.vocabulary import Usage

from ..control import BreakerSnapshot, LimiterSnapshot

__all__ = ["AttemptRecord", "Inspection", "LaneView", "Phase", "RequestView"]

Phase = Literal["queued", "asking", "streaming", "between attempts"]


class AttemptRecord(msgspec.Struct, frozen=True):
    """One attempt, ended. Times in seconds, ``started`` is Unix time.

    ``request`` numbers the manager's requests, ``attempt`` the request's attempts, both from 1. ``outcome`` is one of ``ok``, ``throttled``,
    ``failed``, ``rejected``, ``key``, ``local``, ``cancelled``; ``cause`` the error's type (empty when there was none), ``status`` its HTTP status.
    ``waited`` was spent in the lane's queue; ``first_content`` is None if none came. ``usage`` is what the provider reported until then, cost
    included; None if it reported nothing (an answer that broke off, mostly), which does not mean that it will not be billed.
    """

    request: int
    attempt: int
    provider: str
    model: str
    outcome: str
    cause: str
    status: int | None
    started: float
    waited: float
    duration: float
    first_content: float | None
    usage: Usage | None
    metadata: Mapping[str, object] | None = None


class RequestView(msgspec.Struct, frozen=True):
    """A request under way: who is asked, in which phase it is, for how many seconds, and the attempts that have ended."""

    request: int
    target: str
    phase: Phase
    age: float
    attempts: Sequence[AttemptRecord]


class LaneView(msgspec.Struct, frozen=True):
    """One provider's lane: tickets in flight and queued, its breaker, and a limiter per key, in the order of the keys."""

    provider: str
    in_flight: int
    queued: int
    breaker: BreakerSnapshot
    limiters: Sequence[LimiterSnapshot]


class Inspection(msgspec.Struct, frozen=True):
    """Everything that goes on in a manager at one moment, consistent: nothing runs while it is taken."""

    requests: Sequence[RequestView]
    lanes: Sequence[LaneView]
