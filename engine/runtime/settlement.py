"""What an attempt holds, and its giving back: exactly once, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import trio

from tercet.adapters.http_dates import parse_http_date
from tercet.adapters.rate_limits import parse_rate_limits
from tercet.codecs.vocabulary import AuthenticationError, ChatResponse, TercetError

from ..control import Outcome, OutcomeKind, Pass, Permit, classify
from .accounts import AttemptRecord
from .ticket import Ticket

if TYPE_CHECKING:
    from .credentials import CredentialSource
    from .lane import KeySlot, Lane

__all__ = ["Settlement"]

_CLOCK_CODES = frozenset(
    {"InvalidSignatureException", "RequestTimeTooSkewed", "RequestExpired", "RequestTimeTooSkewedException"}
)
"""With which AWS refuses a signature of another time than its own (it takes five minutes)."""
_CLOCK_TOLERANCE = 60.0


class Settlement:
    """The permit and the breaker pass of one attempt, with the times and limits to be learned from.

    Made when the attempt is admitted. ``settle`` gives everything back and tells limiter, breaker, health and metrics; a second
    call does nothing.
    """

    __slots__ = (
        "_date",
        "_first_content",
        "_lane",
        "_pass",
        "_permit",
        "_slot",
        "_ticket",
        "is_settled",
        "started",
        "wall",
    )

    def __init__(
        self,
        lane: Lane,
        slot: KeySlot,
        permit: Permit,
        pass_: Pass | None,
        *,
        ticket: Ticket,
        wall: Callable[[], float],
    ) -> None:
        """``wall`` tells Unix time."""
        self._lane = lane
        self._slot = slot
        self._permit = permit
        self._pass = pass_
        self._ticket = ticket
        self._first_content: float | None = None
        self._date: str | None = None
        self.started: float = trio.current_time()
        self.wall: Callable[[], float] = wall
        self.is_settled: bool = False

    def observe(self, headers: Mapping[str, str]) -> None:
        """The head of the answer has come: learn at once what it says about limits."""
        self._date = headers.get("date")
        limits = parse_rate_limits(headers, wall_now=self.wall())
        if limits is not None:
            self._slot.limiter.observe(limits, trio.current_time(), self._permit)

    def first_content(self) -> None:
        """The first content has come now."""
        now = trio.current_time()
        self._first_content = now - self.started
        if self._pass is not None:
            self._lane.breaker.progress(self._pass, now)

    @property
    def credentials(self) -> CredentialSource:
        """Where the attempt gets its credential."""
        return self._slot.source

    def signing_time(self) -> float:
        """Unix time by the provider's clock, as far as that is known to be another one."""
        return self.wall() + self._slot.clock_offset

    def learn_clock(self, error: AuthenticationError) -> bool:
        """Whether a signature was refused because our clock is wrong, by the ``Date`` of the answer: then the provider's time is used from
        now on, and the same credential may be accepted."""
        if error.code not in _CLOCK_CODES or self._date is None:
            return False
        now = self.wall()
        date = parse_http_date(self._date, wall_now=now)
        if date is None or abs(date - now - self._slot.clock_offset) < _CLOCK_TOLERANCE:
            return False
        self._slot.clock_offset = date - now
        return True

    @property
    def time_to_first_content(self) -> float | None:
        """Seconds from admission to the first content, None if none came."""
        return self._first_content

    def settle(self, error: BaseException | None, answer: ChatResponse | None) -> None:
        """The attempt is over: with ``error``, with a complete ``answer``, or (neither) left by its caller. A partial answer
        may come with either; its usage is written down."""
        if self.is_settled:
            return
        self.is_settled = True
        usage = answer.usage if answer is not None else None
        kind = OutcomeKind.CANCELLED
        if error is not None:
            kind = classify(error)
        elif answer is not None and answer.is_complete:
            kind = OutcomeKind.OK
        known = error if isinstance(error, TercetError) else None
        duration = trio.current_time() - self.started
        outcome = Outcome(
            kind,
            known,
            known.retry_after if known is not None else None,
            self._first_content,
            duration,
            usage.input_tokens if usage is not None else 0,
            usage.output_tokens if usage is not None else 0,
        )
        ticket = self._ticket
        waited = self.started - ticket.enqueued_at
        cost = usage.cost if usage is not None else None
        self._lane.settled(
            self._slot, self._permit, self._pass, outcome, number=ticket.number, waited=waited, cost=cost
        )
        ticket.record(
            AttemptRecord(
                ticket.request_number,
                ticket.number,
                self._lane.id,
                ticket.model,
                kind.value,
                "" if error is None else type(error).__name__,
                known.status if known is not None else None,
                self.wall() - duration,
                waited,
                duration,
                self._first_content,
                usage,
                ticket.request.metadata,
            )
        )
