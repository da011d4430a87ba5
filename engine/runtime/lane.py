"""A lane: the task that stands for one provider.

It owns what is particular to the provider: its breaker, a limiter per key, its retry budget, and a nursery for the attempts.
Tickets come in by ``submit``; they wait in order (by priority, then first come first served), an attempt is started as soon as
the breaker lets it pass and a key's limiter gives a permit, and everything comes back through ``settled``.

The decisions are taken by ``_pump``, which is synchronous: it runs in whoever's task brings news (a new ticket, a permit that came
back), so a ticket that can go goes without a task switch. The lane's own task only sleeps until the limiter says it is worth
looking again, and is the parent of the attempts. If that task crashes, ``supervise`` fails the lane's tickets with a typed
error, logs, and starts it again after a growing pause; other lanes and the user's code do not notice.
"""

from __future__ import annotations

import heapq
import logging
import math
from collections.abc import Callable, Sequence

import trio

from tercet.adapters.adapter import Adapter
from tercet.codecs.vocabulary import (
    AuthenticationError,
    ChatResponse,
    CircuitOpenError,
    DeadlineError,
    RateLimitError,
    TercetError,
)

from ..control import (
    AdaptiveRateLimiter,
    BreakerState,
    CircuitBreaker,
    Clocks,
    HealthMonitor,
    Outcome,
    OutcomeKind,
    Pass,
    Permit,
    ProviderMetrics,
    RetryBudget,
)
from .accounts import LaneView
from .attempt import OpenAnswer, Sender, open_answer, read_whole
from .credentials import CredentialSource
from .settlement import Settlement
from .ticket import Ticket

__all__ = ["KeySlot", "Lane"]

_log = logging.getLogger("tercet.lane")
_RESTART_FIRST, _RESTART_CAP = 0.1, 30.0
_PARK_SECONDS = 60.0
"""How long a key that was refused (401, 402, 403, quota) is left alone, unless the provider named a time."""


class KeySlot:
    """One key of the provider (or none, where it wants none), with its limiter. A refused key is parked for a while."""

    __slots__ = ("clock_offset", "limiter", "parked_because", "parked_until", "source")

    def __init__(self, source: CredentialSource, limiter: AdaptiveRateLimiter) -> None:
        self.source: CredentialSource = source
        self.limiter: AdaptiveRateLimiter = limiter
        self.parked_until: float = -math.inf
        self.clock_offset: float = (
            0.0  # seconds by which the provider's clock is ahead, once it has refused a signature for it
        )
        self.parked_because: TercetError | None = None


class Lane:
    """One provider's lane. Made by the manager, alive while its ``supervise`` task runs."""

    def __init__(
        self,
        adapter: Adapter,
        sender: Sender,
        sources: Sequence[CredentialSource],
        *,
        clocks: Clocks,
        breaker: CircuitBreaker,
        make_limiter: Callable[[], AdaptiveRateLimiter],
        retry_budget: RetryBudget,
        health: HealthMonitor,
        random: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.adapter = adapter
        self.breaker = breaker
        self.retry_budget = retry_budget
        self.slots: tuple[KeySlot, ...] = tuple(KeySlot(source, make_limiter()) for source in sources)
        self.metrics: ProviderMetrics = ProviderMetrics(adapter.id)
        self.in_flight: int = 0
        self._sender = sender
        self._clocks = clocks
        self._health = health
        self._random = random
        self._wall = wall
        self._queue: list[Ticket] = []
        self._running: set[Ticket] = set()
        self._nursery: trio.Nursery | None = None
        self._alarm = trio.CancelScope()  # around the lane's sleep: cancelled to look again earlier
        self._crash: Exception | None = None
        self._closed: TercetError | None = None

    @property
    def id(self) -> str:
        """The provider's id."""
        return self.adapter.id

    @property
    def queued(self) -> int:
        """Tickets waiting for their turn."""
        return sum(not ticket.is_withdrawn for ticket in self._queue)

    # -- tickets --------------------------------------------------------------------------------------------------------

    def submit(self, ticket: Ticket) -> None:
        """Take a ticket. It is answered, failed or withdrawn; never lost. Does not wait."""
        if self._closed is not None:
            ticket.fail(self._closed)
            return
        heapq.heappush(self._queue, ticket)
        self._poke()

    def _poke(self) -> None:
        """Look again, from somebody else's task. A fault in here is the lane's, so it is raised in the lane's own task."""
        try:
            self._pump()
        except Exception as crash:  # noqa: BLE001  # handed to the lane's task, which raises it to its supervisor
            self._crash = crash
            self._alarm.cancel()

    def _pump(self) -> None:
        """Start every ticket that can start now, and set the alarm for the next look."""
        nursery = self._nursery
        if nursery is None:
            return  # not running (yet, or between two lives): the next life pumps first of all
        if not self._queue and self._alarm.deadline == math.inf:
            return  # mostly: an attempt has come back, and nobody waits
        now = trio.current_time()
        wait = math.inf
        while self._queue:
            ticket = self._queue[0]
            if not ticket.is_withdrawn:
                admitted = self._admit(ticket, now)
                if isinstance(admitted, Settlement):
                    ticket.start()
                    self._running.add(ticket)
                    self.in_flight += 1
                    nursery.start_soon(self._attempt, ticket, admitted, name=f"tercet attempt {self.id}")
                elif isinstance(admitted, TercetError):
                    ticket.fail(admitted)
                elif admitted == math.inf or (
                    admitted <= ticket.patience and now + admitted < ticket.deadline
                ):  # inf: until a permit comes back
                    wait = admitted
                    break
                else:
                    ticket.fail(self._too_late(ticket, admitted, now))
            heapq.heappop(self._queue)
        if (
            wait != math.inf or self._alarm.deadline != math.inf
        ):  # setting it costs 5 us, and mostly nothing waits
            self._alarm.deadline = now + wait

    def _admit(self, ticket: Ticket, now: float) -> Settlement | TercetError | float:
        """What the ticket gets now: leave to start, an error, or the seconds until it is worth asking again."""
        pass_ = self.breaker.try_pass(now)
        if pass_ is None and not ticket.is_forced:
            wait = self.breaker.retry_in(now)
            return CircuitOpenError(
                f"the breaker of {self.id} is open after repeated failures",
                retry_after=None if wait == math.inf else wait,
            )
        wait = math.inf
        refused: TercetError | None = None
        for slot in self.slots:
            if slot.parked_until > now:
                refused = slot.parked_because
                continue
            granted = slot.limiter.reserve(now, tokens=ticket.tokens)
            if isinstance(granted, Permit):
                return Settlement(self, slot, granted, pass_, ticket=ticket, wall=self._wall)
            wait = min(wait, granted)
            refused = None
        if pass_ is not None:
            self.breaker.record(pass_, now, Outcome(OutcomeKind.CANCELLED), self._random)
        if wait == math.inf and refused is not None and not self._has_free_slot(now):
            return _copy_of(refused)
        return wait

    def _has_free_slot(self, now: float) -> bool:
        return any(slot.parked_until <= now for slot in self.slots)

    def _too_late(self, ticket: Ticket, wait: float, now: float) -> TercetError:
        left = ticket.deadline - now
        if left > wait:
            return RateLimitError(
                f"{self.id}'s rate limit asks for a wait of {wait:.3g} s, and there is another target",
                retry_after=wait,
            )
        if left <= 0:
            return DeadlineError(
                "the caller's deadline passed while the request waited its turn", clock="queue"
            )
        return RateLimitError(
            f"{self.id}'s rate limit asks for a wait of {wait:.3g} s, and the caller's deadline is in {left:.3g} s",
            retry_after=wait,
        )

    # -- attempts -------------------------------------------------------------------------------------------------------

    async def _attempt(self, ticket: Ticket, settlement: Settlement) -> None:
        """Run one attempt and hand over what became of it. Runs as a task of the lane's nursery."""
        limit = self._clocks.first_content if ticket.stream else self._clocks.whole
        error: BaseException | None = None
        result: OpenAnswer | ChatResponse | None = None
        try:
            with trio.CancelScope(
                deadline=math.inf if limit is None else settlement.started + limit
            ) as scope:
                ticket.scope = scope
                if ticket.is_withdrawn:
                    scope.cancel()
                result = await self._answer(ticket, settlement)
            if scope.cancelled_caught and not ticket.is_withdrawn:
                error = self._cut_short(ticket)
        except TercetError as fault:
            error = fault
        except Exception as bug:  # noqa: BLE001  # a fault of one attempt (a user's transformer, a bug) belongs to whoever asked, not to the lane
            error = bug
        except BaseException:
            if not ticket.is_withdrawn:
                ticket.fail(_closed_error(self.id))
            settlement.settle(None, None)
            raise
        finally:
            self._running.discard(ticket)
            if error is None and result is None:
                settlement.settle(None, None)
            ticket.end()
        self._hand_over(ticket, settlement, error, result)

    def _cut_short(self, ticket: Ticket) -> TercetError:
        """Why an attempt that nobody withdrew was cancelled."""
        if ticket.is_preempted:
            return CircuitOpenError(
                f"the breaker of {self.id} opened while the request waited for its first content"
            )
        what, limit = (
            ("content", self._clocks.first_content) if ticket.stream else ("answer", self._clocks.whole)
        )
        return DeadlineError(f"{self.id} gave no {what} within {limit:g} s", clock="first_content")

    async def _answer(self, ticket: Ticket, settlement: Settlement) -> OpenAnswer | ChatResponse:
        """The answer; once more where the provider refused a credential that can be renewed, or one signed by a wrong clock."""
        source = settlement.credentials
        ask = open_answer if ticket.stream else read_whole
        credential = await source.current()
        try:
            return await ask(ticket, self._sender, credential, self._clocks, settlement)
        except AuthenticationError as error:
            if not (settlement.learn_clock(error) or source.invalidate(credential)):
                raise
        return await ask(ticket, self._sender, await source.current(), self._clocks, settlement)

    def _hand_over(
        self,
        ticket: Ticket,
        settlement: Settlement,
        error: BaseException | None,
        result: OpenAnswer | ChatResponse | None,
    ) -> None:
        if error is not None:
            settlement.settle(error, None)
            if not ticket.is_withdrawn:
                ticket.fail(error)
        elif isinstance(result, OpenAnswer):
            if not ticket.succeed(result):
                result.abandon()
        elif result is not None:
            ticket.succeed(result)  # first: settling may exhaust a scope, and who asked has earned the answer
            settlement.settle(None, result)

    def settled(
        self,
        slot: KeySlot,
        permit: Permit,
        pass_: Pass | None,
        outcome: Outcome,
        *,
        number: int,
        waited: float,
        cost: float | None,
    ) -> None:
        """An attempt has given back what it held (called by its settlement, once): learn, and see who can go now."""
        now = trio.current_time()
        self.in_flight -= 1
        slot.limiter.settle(permit, now, outcome)
        if pass_ is not None:
            self.breaker.record(pass_, now, outcome, self._random)
            if outcome.kind is OutcomeKind.FAILED and self.breaker.state(now) is BreakerState.OPEN:
                self._preempt()
        if outcome.kind is OutcomeKind.KEY:
            slot.parked_until = now + (outcome.retry_after or _PARK_SECONDS)
            slot.parked_because = outcome.error
        self._health.record(self.id, now, outcome)
        self.metrics.record_attempt(outcome, attempt=number, wait=waited, cost=cost)
        self._poke()

    def _preempt(self) -> None:
        """The breaker has opened: attempts that have shown nothing yet are better off at the next target, now."""
        for ticket in self._running:
            if ticket.scope is not None and not ticket.is_forced:
                ticket.is_preempted = True
                ticket.scope.cancel()

    # -- the lane's own task --------------------------------------------------------------------------------------------

    async def supervise(self) -> None:
        """Keep the lane running until cancelled. Tickets that come before it runs wait in the queue."""
        pause = _RESTART_FIRST
        try:
            while True:
                try:
                    await self._run()
                except Exception:  # noqa: BLE001  # whatever it was: logged with its traceback, and the lane starts again
                    _log.exception("the lane of %s crashed; it starts again in %g s", self.id, pause)
                    self._fail_all("the lane crashed; see the log")
                await trio.sleep(pause)
                pause = min(pause * 2, _RESTART_CAP)
        finally:
            self._closed = _closed_error(self.id)
            self._fail_all("the manager was closed")

    async def _run(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._pump()
                while True:
                    await self._sleep()
                    self._pump()
        finally:
            self._nursery = None

    async def _sleep(self) -> None:
        with trio.CancelScope(deadline=self._alarm.deadline) as self._alarm:
            await trio.sleep_forever()
        crash, self._crash = self._crash, None
        if crash is not None:
            raise crash

    def _fail_all(self, why: str) -> None:
        waiting, self._queue = self._queue, []
        for ticket in (*waiting, *self._running):
            if not ticket.is_withdrawn and not ticket.is_settled:
                ticket.fail(TercetError(f"{self.id}: {why}", retryable=True))

    def view(self) -> LaneView:
        """The lane now, for ``inspect``."""
        now = trio.current_time()
        limiters = tuple(slot.limiter.snapshot(now) for slot in self.slots)
        return LaneView(self.id, self.in_flight, self.queued, self.breaker.snapshot(now), limiters)

    @property
    def state(self) -> BreakerState:
        """The breaker's state now."""
        return self.breaker.state(trio.current_time())


def _closed_error(provider: str) -> TercetError:
    return TercetError(f"the manager was closed while {provider} was being asked", provider=provider)


def _copy_of(error: TercetError) -> TercetError:
    """A fresh error with the same facts: an exception object belongs to one raise."""
    copy = type(error)(error.message)
    copy.__dict__.update({**error.__dict__, "response": None, "attempts": ()})
    return copy
