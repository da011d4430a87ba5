"""Run a :class:`Plan` against the real engine, in memory and in virtual time, and check what must hold for every request.

Real are the manager, its lanes, streams, codecs and the HTTP transport; the providers, the network and the clock are simulated. The same plan
gives the same run: the report's ``digest`` is the hash of all that happened, in order.

Checked for every request: it ends in exactly one way (complete, one typed error, cancelled, left by its caller); a complete answer is what
the provider's script says; of a broken one no piece is lost or doubled, and a restart voids what came before. Checked at the end: nothing is
in flight, held or open, and every admitted attempt has its record.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable
from random import Random
from typing import Literal

import msgspec
import trio
import trio.testing

from tercet.adapters.profile import Profile
from tercet.adapters.registry import ProviderRegistry
from tercet.codecs.vocabulary import (
    ChatRequest,
    ChatResponse,
    QuotaExceededError,
    Restarted,
    StreamToken,
    TercetError,
    TextDelta,
)

from ..control import BackpressureController, BreakerState, CircuitBreaker, Clocks, HedgePolicy, Outcome, Pass
from ..runtime.accounts import AttemptRecord, Inspection
from ..runtime.manager import ProviderManager
from ..runtime.opening import open_manager
from ..runtime.scope import Scope
from .determinism import deterministic_scheduling
from .fleet import Fleet, MemoryFleet
from .provider import SimulatedProvider
from .script import Answer, Script
from .weather import PROVIDERS, Plan, Wish, answer_in, said_by

__all__ = ["Ended", "Report", "run_simulation"]

_AUTH: dict[str, Literal["x-api-key", "x-goog-api-key"]] = {
    "anthropic": "x-api-key",
    "gemini": "x-goog-api-key",
}
_CLOCKS = Clocks(connect=2.0, first_content=5.0, idle=4.0, whole=15.0)
_PATIENCE = 900.0
"""Seconds of virtual time after the last request in which everything has to end: every wait of the engine is bounded by far less."""


class Ended(msgspec.Struct, frozen=True):
    """How one request ended: ``complete``, ``left``, ``cancelled`` or the error's type."""

    wish: Wish
    outcome: str
    at: float


class Report(msgspec.Struct):
    """What came of a run. ``violations`` are sentences; none means that everything held."""

    seed: int
    ended: list[Ended] = []
    records: list[AttemptRecord] = []
    violations: list[str] = []
    restarts: int = 0
    openings: int = 0
    digest: str = ""
    picture: Inspection | None = None
    seconds: float = 0.0

    @property
    def outcomes(self) -> Counter[str]:
        """How many requests ended in which way."""
        return Counter(one.outcome for one in self.ended)

    @property
    def failovers(self) -> int:
        """Requests that were asked of more than one provider."""
        asked: dict[int, set[str]] = {}
        for record in self.records:
            asked.setdefault(record.request, set()).add(record.provider)
        return sum(len(providers) > 1 for providers in asked.values())

    def complete_rate(self, since: float, *, within: float = math.inf) -> float:
        """The part of the patient requests made after ``since`` that got their whole answer ``within`` so many seconds; 1 if there were none."""
        asked = [one for one in self.ended if one.wish.at >= since and one.wish.is_patient]
        whole = [one for one in asked if one.outcome == "complete" and one.at - one.wish.at <= within]
        return len(whole) / len(asked) if asked else 1.0


def run_simulation(plan: Plan, *, picture_at: float = math.inf) -> Report:
    """Run the plan in a trio run of its own. ``picture_at`` is when ``inspect()`` is taken once. What the engine lets escape is a violation."""
    with deterministic_scheduling(plan.seed):
        clock = trio.testing.MockClock(autojump_threshold=0)
        return trio.run(_World(plan, picture_at).run, clock=clock)


class _World:
    """One run."""

    def __init__(self, plan: Plan, picture_at: float) -> None:
        self._plan = plan
        self._picture_at = picture_at
        self._report = Report(plan.seed)
        self._random = Random(f"run {plan.seed}")  # a simulation is to be repeated, not to be unguessable
        self._breakers: list[_CountingBreaker] = []
        self._under_way: dict[int, Wish] = {}
        self._history = hashlib.sha256()

    async def run(self) -> Report:
        report = self._report
        providers = [SimulatedProvider(name, wire, self._script(name)) for name, wire in PROVIDERS.items()]
        fleet = Fleet(*providers)
        async with fleet.in_memory(latency=self._plan.latency, buffer_size=self._plan.buffer_size) as running:
            async with open_manager(
                _registry(running),
                keys={name: f"key-of-{name}-{self._plan.seed}" for name in PROVIDERS},
                environ={},
                network=running.network,
                clocks=_CLOCKS,
                hedge=HedgePolicy(delay=1.0, extra_load=0.1, burst=5),
                admission=BackpressureController(max_in_flight=60, max_queued=300),
                make_breaker=self._breaker,
                on_attempt=report.records.append,
                random=self._random.random,
                wall=lambda: 1.7e9 + trio.current_time(),
            ) as manager:
                await self._traffic(manager, running)
                await self._check_manager(manager)
            self._expect(
                running.network.open_connections == 0, "connections are open after the manager's end"
            )
            await trio.sleep(5)  # the providers notice that their clients have gone
            for provider in providers:
                self._expect(
                    provider.open_connections == 0, f"{provider.name} has open connections at the end"
                )
        for event in (*fleet.log, *report.ended, *report.records, report.seconds):
            self._history.update(repr(event).encode())
        report.openings = sum(breaker.opened for breaker in self._breakers)
        report.digest = self._history.hexdigest()
        return report

    # ---- the providers' side

    def _script(self, name: str) -> Script:
        random = Random(f"{name} {self._plan.seed}")  # as above

        def answer(request: ChatRequest, n: int) -> Answer:
            number = int(request.turns[-1].text.split()[-1])
            return answer_in(self._plan.weather_at(name, trio.current_time()), name, number, random)

        return answer

    async def _hosts(self, fleet: MemoryFleet) -> None:
        """Hosts die and come back as their weather says."""
        network = fleet.network
        states = {
            "dead": network.dead_hosts,
            "refusing": network.refusing_hosts,
            "unresolvable": network.unresolvable_hosts,
        }
        changes = sorted({period.start for periods in self._plan.weather.values() for period in periods})
        for at in changes:
            await trio.sleep_until(at)
            for name in PROVIDERS:
                host = f"{name}.simulated.test"
                for hosts in states.values():
                    hosts.discard(host)
                state = self._plan.weather_at(name, at).host
                if state != "up":
                    states[state].add(host)

    def _breaker(self) -> CircuitBreaker:
        breaker = _CountingBreaker(**self._plan.breaker)  # type: ignore[arg-type]  # names and numbers, as the plan has them
        self._breakers.append(breaker)
        return breaker

    # ---- the callers' side

    async def _traffic(self, manager: ProviderManager, fleet: MemoryFleet) -> None:
        plan = self._plan
        with trio.move_on_at(plan.ends + _PATIENCE) as patience:
            async with trio.open_nursery() as background:
                background.start_soon(self._hosts, fleet)
                background.start_soon(self._take_picture, manager)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._shared, manager)
                    await self._drive(
                        manager, nursery, (wish for wish in plan.wishes if wish.pool != "shared")
                    )
                self._report.seconds = trio.current_time()
                background.cancel_scope.cancel()
        if patience.cancelled_caught:
            self._violated(
                f"after {_PATIENCE:g} s these have not ended: {sorted(self._under_way)}; {manager.inspect()}"
            )

    async def _drive(self, manager: ProviderManager, nursery: trio.Nursery, wishes: Iterable[Wish]) -> None:
        for wish in wishes:
            await trio.sleep_until(wish.at)
            nursery.start_soon(self._ask, manager, wish)

    async def _shared(self, manager: ProviderManager) -> None:
        """Some callers share a scope that lets three of them ask at a time."""
        async with manager.scope(max_parallel=3, tokens=10**9) as scope, trio.open_nursery() as nursery:
            await self._drive(manager, nursery, (wish for wish in self._plan.wishes if wish.pool == "shared"))
        self._check_scope(scope, "the shared scope")

    async def _take_picture(self, manager: ProviderManager) -> None:
        await trio.sleep_until(self._picture_at)
        self._report.picture = manager.inspect()

    async def _ask(self, manager: ProviderManager, wish: Wish) -> None:
        self._under_way[wish.number] = wish
        limit = math.inf if wish.deadline is None else wish.deadline
        outcome = "cancelled"
        with trio.move_on_after(limit) as scope:
            async with trio.open_nursery() as nursery:
                if wish.cancel_after is not None:
                    nursery.start_soon(_cancel_after, scope, wish.cancel_after)
                outcome = await self._outcome(manager, wish)
                nursery.cancel_scope.cancel()
        if scope.cancelled_caught:
            outcome = "cancelled"
        del self._under_way[wish.number]
        self._report.ended.append(Ended(wish, outcome, trio.current_time()))

    async def _outcome(self, manager: ProviderManager, wish: Wish) -> str:
        try:
            match wish.pool:
                case "narrow":
                    return await self._scoped(manager, wish, manager.scope(max_parallel=1))
                case "tight":
                    return await self._scoped(manager, wish, manager.scope(tokens=420))
                case "empty":
                    return await self._scoped(manager, wish, manager.scope(tokens=1))
                case _:
                    return await self._asked(manager, wish)
        except TercetError as error:
            return type(error).__name__
        except Exception as escaped:  # noqa: BLE001  # whatever it is, it is what the simulation looks for: told with its seed
            self._violated(f"request {wish.number} ended with {escaped!r}")
            return type(escaped).__name__

    async def _scoped(self, manager: ProviderManager, wish: Wish, scope: Scope) -> str:
        outcome = "cancelled"
        try:
            async with scope:
                outcome = await self._asked(manager, wish)
        finally:
            self._check_scope(scope, f"request {wish.number}")
        return outcome

    async def _asked(self, manager: ProviderManager, wish: Wish) -> str:
        request = ChatRequest(f"{wish.targets[0]}:lorem", f"request {wish.number}", max_tokens=410)
        fallbacks = [f"{name}:lorem" for name in wish.targets[1:]]
        if wish.is_streamed:
            return await self._read(manager, wish, request, fallbacks)
        try:
            answer = await manager.chat(
                request, fallbacks=fallbacks, priority=wish.priority, hedged=wish.is_hedged
            )
        except TercetError as error:
            self._check_error(wish, error)
            raise
        self._check_whole(wish, answer)
        return "complete"

    async def _read(
        self, manager: ProviderManager, wish: Wish, request: ChatRequest, fallbacks: list[str]
    ) -> str:
        text = ""
        tokens = 0
        try:
            async with manager.chat_stream(
                request,
                fallbacks=fallbacks,
                on_interruption=wish.on_interruption,
                priority=wish.priority,
                hedged=wish.is_hedged,
            ) as stream:
                async for token in stream:
                    text = self._next(wish, text, token)
                    tokens += 1
                    said = said_by(stream.provider or "nobody", wish.number)
                    self._expect(
                        said.startswith(text),
                        f"request {wish.number}: {stream.provider} was to say {said!r}, not {text!r}",
                    )
                    if wish.leave_after is not None and tokens > wish.leave_after:
                        return "left"
                    if wish.slowness:
                        await trio.sleep(wish.slowness)
                answer = stream.response
        except TercetError as error:
            self._check_error(wish, error)
            if tokens and not isinstance(error, QuotaExceededError):
                heard = None if error.response is None else error.response.text
                self._expect(
                    heard == text, f"request {wish.number}: {text!r} was heard, its error has {heard!r}"
                )
            raise
        self._expect(
            answer.text == text,
            f"request {wish.number}: {text!r} was handed out, the answer is {answer.text!r}",
        )
        self._check_whole(wish, answer)
        return "complete"

    def _next(self, wish: Wish, text: str, token: StreamToken) -> str:
        if isinstance(token, Restarted):
            self._report.restarts += 1
            self._expect(wish.on_interruption == "restart", f"request {wish.number} restarted unasked")
            return ""
        return text + token.text if isinstance(token, TextDelta) else text

    # ---- what must hold

    def _check_whole(self, wish: Wish, answer: ChatResponse) -> None:
        expected = said_by(answer.provider or "nobody", wish.number)
        self._expect(
            answer.text == expected, f"request {wish.number}: {answer.text!r} passes for {expected!r}"
        )
        self._expect(
            answer.finish_reason == "stop", f"request {wish.number} ended with {answer.finish_reason!r}"
        )
        self._expect(
            answer.provider in wish.targets, f"request {wish.number} was answered by {answer.provider}"
        )

    def _check_error(self, wish: Wish, error: TercetError) -> None:
        self._expect(
            type(error) is not TercetError, f"request {wish.number} ended with an untyped error: {error}"
        )
        if error.response is not None:
            self._expect(
                not error.response.is_complete, f"request {wish.number} failed with a complete answer"
            )

    def _check_scope(self, scope: Scope, whose: str) -> None:
        seen = scope.snapshot()
        self._expect(
            seen.reserved_tokens == 0 and seen.reserved_cost == 0, f"{whose}: the scope still holds {seen}"
        )

    async def _check_manager(self, manager: ProviderManager) -> None:
        seen = manager.inspect()
        self._expect(not seen.requests, f"requests are under way at the end: {seen.requests}")
        written = Counter(record.provider for record in self._report.records)
        numbers = Counter((record.request, record.attempt) for record in self._report.records)
        twice = [number for number, times in numbers.items() if times > 1]
        self._expect(not twice, f"attempts that bear the same number: {twice[:5]}")
        for lane in seen.lanes:
            who = lane.provider
            self._expect(
                lane.in_flight == 0 and lane.queued == 0,
                f"{who}: {lane.in_flight} in flight, {lane.queued} queued at the end",
            )
            self._expect(lane.breaker.probes == 0, f"{who}: {lane.breaker.probes} probes are out at the end")
            for limiter in lane.limiters:
                self._expect(limiter.in_flight == 0, f"{who}: {limiter.in_flight} permits are out at the end")
            settled = sum(limiter.settled for limiter in lane.limiters)
            self._expect(
                written[who] == settled,
                f"{who}: {settled} attempts were settled, {written[who]} written down",
            )
        self._expect(len(self._report.ended) == len(self._plan.wishes), "not every request has ended once")
        self._expect(await manager.drain(0), "the gate is not empty at the end")

    def _expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self._violated(otherwise)

    def _violated(self, what: str) -> None:
        self._report.violations.append(f"at {trio.current_time():.6f}: {what}")


class _CountingBreaker(CircuitBreaker):
    """A breaker that counts how often it opened."""

    opened = 0

    def record(self, pass_: Pass, now: float, outcome: Outcome, random: Callable[[], float]) -> None:
        before = self.state(now)
        super().record(pass_, now, outcome, random)
        self.opened += before is not BreakerState.OPEN and self.state(now) is BreakerState.OPEN


def _registry(fleet: MemoryFleet) -> ProviderRegistry:
    registry = ProviderRegistry([])
    for provider in fleet:
        registry.add(
            Profile(
                id=provider.name,
                base_url=fleet.base_url(provider.name),
                wire=provider.wire,
                auth=_AUTH.get(provider.wire, "bearer"),
                catalog="simulated",
                default_model="lorem",
            )
        )
    return registry


async def _cancel_after(scope: trio.CancelScope, seconds: float) -> None:
    await trio.sleep(seconds)
    scope.cancel()
