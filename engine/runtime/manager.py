"""``ProviderManager``: the dispatcher. A request comes in, a plan of targets is made, lanes are asked in turn.

The only loop of the engine stands here (``_dispatch``): an attempt that fails before its first content comes back with its error,
``RetryPolicy`` says "again", "the next target" or "give up", and everything else follows from that.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Mapping, Sequence

import trio

from tercet.adapters.adapter import Adapter
from tercet.adapters.registry import ProviderRegistry, split_model
from tercet.codecs.processor import StreamTransformer
from tercet.codecs.vocabulary import (
    ChatRequest,
    ChatResponse,
    CompletionRequest,
    CompletionResponse,
    ConfigurationError,
    HealthStatus,
    Model,
    ProviderCapabilities,
    TercetError,
    TokenCount,
    Usage,
)

from ..control import (
    BreakerState,
    Clocks,
    FailOver,
    GiveUp,
    HedgeBudget,
    HedgePolicy,
    MetricsSnapshot,
    Retry,
    RetryPolicy,
    Route,
    Target,
    TargetFacts,
    order,
)
from .accounts import AttemptRecord, Inspection
from .attempt import OpenAnswer
from .gate import Admitted, Gate
from .idle import IdleClock
from .journey import Journey, outcome_of
from .lane import Lane
from .provider import ManagedProvider
from .race import race
from .roster import Roster
from .scope import Hold, Scope, hold_in_scope
from .stream import OnInterruption, TokenStream
from .ticket import Ticket
from .tokens import count_offline

__all__ = ["ProviderManager"]

_log = logging.getLogger("tercet.manager")
_PROBE_SECONDS = 10.0


class ProviderManager:
    """Talks to all providers. Made by :func:`open_manager`; usable inside its block, from any task."""

    def __init__(
        self,
        roster: Roster,
        gate: Gate,
        *,
        routes: Mapping[str, Route],
        retry: RetryPolicy,
        hedge: HedgePolicy,
        clocks: Clocks,
        random: Callable[[], float],
        wall: Callable[[], float],
        on_attempt: Callable[[AttemptRecord], None] | None,
    ) -> None:
        self.registry: ProviderRegistry = roster.registry
        self._roster = roster
        self._gate = gate
        self._routes = dict(routes)
        self._retry = retry
        self._hedge = hedge
        self._hedge_budget = HedgeBudget(hedge)
        self._idle = IdleClock(clocks.idle, roster.nursery)
        self._random = random
        self._wall = wall
        self._on_attempt = on_attempt
        self._numbers = itertools.count(1)
        self._under_way: set[Journey] = set()
        self._streams: set[TokenStream] = set()

    # -- asking ---------------------------------------------------------------------------------------------------------

    async def chat(
        self,
        request: ChatRequest,
        *,
        fallbacks: Sequence[str] = (),
        priority: int = 0,
        hedged: bool = False,
    ) -> ChatResponse:
        """One whole answer. ``fallbacks`` are more targets (``provider:model``) to try after ``request.model``, in order.
        ``hedged`` allows the next target to be asked, too, when this one takes unusually long: only for requests that may run twice.

        Raises one typed error: the target's own if there was one target, else :class:`AllAttemptsFailedError`. Cancelling it closes
        the connection before the cancellation goes on.
        """
        with await self._gate.admit(priority, _size(request)):
            journey = self._journey(request, fallbacks, priority, stream=False, hedged=hedged)
            journey.hold = await self._hold(journey)
            self._under_way.add(journey)
            try:
                answer = await self._dispatch(journey)
            finally:
                self._under_way.discard(journey)
                journey.hold.release()
        assert isinstance(answer, ChatResponse)
        return answer

    def chat_stream(
        self,
        request: ChatRequest,
        *,
        fallbacks: Sequence[str] = (),
        on_interruption: OnInterruption = "raise",
        priority: int = 0,
        hedged: bool = False,
        transformers: Sequence[StreamTransformer] = (),
    ) -> TokenStream:
        """One answer as it comes. Nothing is sent before the stream is entered (``async with``).

        ``on_interruption`` says what happens when an answer breaks off after its first token was handed out: ``raise`` (an error
        with ``.response``), or ``restart``: the next attempt begins anew and a ``Restarted`` token says that what came before is void.
        ``hedged``: see :meth:`chat`. ``transformers`` see the tokens of every read (a restart uses the same objects again).
        """
        if on_interruption not in ("raise", "restart"):
            raise ConfigurationError(f"on_interruption is 'raise' or 'restart'; got {on_interruption!r}")
        admission: list[Admitted] = []
        journey = self._journey(request, fallbacks, priority, transformers, stream=True, hedged=hedged)

        async def dispatch(after: TercetError | None) -> OpenAnswer:
            if not admission:
                admission.append(await self._gate.admit(priority, _size(request)))
                journey.hold = await self._hold(journey)
                self._under_way.add(journey)
            answer = await self._dispatch(journey, after)
            assert isinstance(answer, OpenAnswer)
            return answer

        def closed(stream: TokenStream) -> None:
            self._streams.discard(stream)
            self._under_way.discard(journey)
            journey.hold.release()
            for held in admission:
                held.release()

        stream = TokenStream(
            dispatch, journey, idle=self._idle, on_interruption=on_interruption, closed=closed
        )
        self._streams.add(stream)
        return stream

    async def complete(
        self, request: CompletionRequest, *, fallbacks: Sequence[str] = (), priority: int = 0
    ) -> CompletionResponse:
        """One prompt, one text. Raises like :meth:`chat`."""
        return CompletionResponse.of(
            await self.chat(request.to_chat(), fallbacks=fallbacks, priority=priority)
        )

    def complete_stream(
        self,
        request: CompletionRequest,
        *,
        fallbacks: Sequence[str] = (),
        on_interruption: OnInterruption = "raise",
        priority: int = 0,
        transformers: Sequence[StreamTransformer] = (),
    ) -> TokenStream:
        """One prompt, its text as it comes. See :meth:`chat_stream`."""
        return self.chat_stream(
            request.to_chat(),
            fallbacks=fallbacks,
            on_interruption=on_interruption,
            priority=priority,
            transformers=transformers,
        )

    def scope(
        self, *, tokens: int | None = None, cost: float | None = None, max_parallel: int | None = None
    ) -> Scope:
        """A budget for everything asked inside ``async with manager.scope(...)``, in whatever task: ``tokens`` (prompts and answers),
        ``cost`` (US dollars, as far as prices are known), ``max_parallel`` requests at a time. Scopes nest. See ``runtime/scope``.
        """
        return Scope(tokens=tokens, cost=cost, max_parallel=max_parallel)

    async def list_models(self, provider: str) -> list[Model]:
        """The provider's own list of models, with what the catalog knows merged in. Raises the provider's typed error."""
        adapter = self.adapter(provider)
        call = adapter.list_models()
        if call is None:
            return list(adapter.catalog)
        return adapter.models(await self._roster.ask(provider, call))

    async def count_tokens(self, request: ChatRequest) -> TokenCount:
        """The tokens of a prompt for ``request.model``: by the provider's own endpoint, else as :mod:`tokens` can (``source`` says how)."""
        target = self._targets(request.model, ())[0]
        adapter = self.adapter(target.provider)
        call = adapter.count_tokens(request, target.model)
        if call is None:
            return await trio.to_thread.run_sync(count_offline, request, target.model)
        body = await self._roster.ask(target.provider, call, model=target.model)
        return TokenCount(adapter.token_count(body, target.model), "provider")

    async def health_check(self, provider: str) -> HealthStatus:
        """Ask the provider the cheapest thing that proves key and host (often its list of models), within 10 s.

        A sick provider is no exception: the status says what is wrong. Only a configuration that cannot be asked with raises.
        """
        call = self.adapter(provider).health_check()
        started = trio.current_time()
        if call is None:
            return self.health(provider)
        try:
            with trio.fail_after(_PROBE_SECONDS):
                await self._roster.ask(provider, call)
        except (TercetError, trio.TooSlowError) as error:
            reason = (
                f"no answer within {_PROBE_SECONDS:g} s"
                if isinstance(error, trio.TooSlowError)
                else str(error)
            )
            return HealthStatus(provider, "unhealthy", (reason,), checked_at=self._wall())
        latency = trio.current_time() - started
        return HealthStatus(provider, "healthy", latency=latency, checked_at=self._wall())

    # -- facts ----------------------------------------------------------------------------------------------------------

    def provider(self, provider: str) -> ManagedProvider:
        """One provider, as an ``AiProvider``. Raises :class:`ConfigurationError` if it is unknown or has no key."""
        self.adapter(provider)
        return ManagedProvider(self, provider)

    def capabilities(self, model: str) -> ProviderCapabilities:
        """What ``provider:model`` (or ``provider``) offers, as far as the row and the catalog know."""
        if model in self.registry:
            return self.adapter(model).capabilities()
        provider, model_id = split_model(model, self.registry)
        return self.adapter(provider).capabilities(model_id)

    def health(self, provider: str) -> HealthStatus:
        """How the provider did lately, from the requests that went to it; nothing is sent."""
        return self._roster.health.status(provider, trio.current_time())

    def breaker_state(self, provider: str) -> BreakerState:
        """The state of the provider's circuit breaker."""
        lane = self._roster.lanes.get(provider)
        return BreakerState.CLOSED if lane is None else lane.state

    def statistics(self) -> dict[str, MetricsSnapshot]:
        """Counts and histograms of everything so far, by provider; those never asked are left out."""
        return {provider: lane.metrics.snapshot() for provider, lane in self._roster.lanes.items()}

    def inspect(self) -> Inspection:
        """What is going on now: every request under way with its attempts, every lane with its breaker and limiters."""
        requests = sorted(self._under_way, key=lambda journey: journey.number)
        return Inspection(
            tuple(journey.view() for journey in requests),
            tuple(lane.view() for lane in self._roster.lanes.values()),
        )

    def add_route(self, route: Route) -> None:
        """Add or replace a route: a name that stands for several targets."""
        for target in route.targets:
            self.registry.get(target.provider)
        self._routes[route.name] = route

    def adapter(self, provider: str) -> Adapter:
        """The provider's adapter, made on first use. Raises :class:`ConfigurationError` naming what is missing."""
        return self._roster.adapter(provider)

    async def drain(self, within: float = math.inf) -> bool:
        """Take no more requests and wait at most ``within`` seconds for those under way; True if all have ended."""
        return await self._gate.drain(within)

    def abandon_streams(self) -> None:
        """Close every stream that is still open, at once. Whoever reads one gets a typed error."""
        for stream in tuple(self._streams):
            stream.abandon()

    def _written_down(self, record: AttemptRecord) -> None:
        if self._on_attempt is not None:
            try:
                self._on_attempt(record)
            except Exception:  # noqa: BLE001  # the program's own bookkeeping: its fault must not undo the attempt's settlement
                _log.exception("on_attempt failed for %r", record)

    # -- the loop -------------------------------------------------------------------------------------------------------

    async def _dispatch(
        self, journey: Journey, after: TercetError | None = None
    ) -> OpenAnswer | ChatResponse:
        """Ask until somebody answers. ``after`` is the error of an answer that broke off in the middle: go on behind it."""
        if after is not None:
            await self._go_on(journey, after, has_shown_content=True)
        while True:
            target = journey.target
            try:
                lane = self._roster.lane(target.provider)
                ticket = journey.ticket(lane.adapter)
                lane.submit(ticket)
                answer = await (self._race(journey, lane, ticket) if journey.is_hedged else ticket.wait())
            except TercetError as error:
                await self._go_on(journey, error)
            else:
                lane.retry_budget.pay_back(journey.owed)
                journey.owed = 0
                return answer

    async def _hold(self, journey: Journey) -> Hold:
        """Room for the request in the scope it is made in, if it is made in one: its estimate, at the first target's prices."""
        target = journey.target
        try:
            adapter = self.adapter(target.provider)
        except ConfigurationError:
            return await hold_in_scope(
                journey.tokens, 0.0
            )  # dispatching says what is missing, or goes to the next target
        priced = adapter.priced(
            Usage(input_tokens=journey.input_tokens, output_tokens=journey.output_limit), target.model
        )
        return await hold_in_scope(journey.tokens, priced.cost or 0.0)

    async def _race(self, journey: Journey, lane: Lane, ticket: Ticket) -> OpenAnswer | ChatResponse:
        """Wait for the ticket's answer, with a second one at the next target when it takes too long and the budget has room."""
        self._hedge_budget.count(journey.tokens)
        delay = self._hedge.wait(lane.metrics.first_content) if journey.is_hedgeable else None
        if delay is None:
            return await ticket.wait()

        def make_second() -> Ticket | None:
            try:
                other = self._roster.lane(journey.next_target.provider)
            except ConfigurationError:
                return None
            if other.state is not BreakerState.CLOSED or not self._hedge_budget.try_hedge(journey.tokens):
                return None
            second = journey.hedge(other.adapter)
            other.submit(second)
            return second

        winner, answer, lost = await race(ticket, delay, make_second)
        if lost is not None:
            journey.failed.append(lost)
        if winner is not ticket:
            journey.won_by_hedge()
        return answer

    async def _go_on(self, journey: Journey, error: TercetError, *, has_shown_content: bool = False) -> None:
        """After a failed attempt: wait before the next one, or move on to the next target. Raises the outcome if that was the last.

        An answer that broke off in the middle goes to the next target at once, where there is one: this one has shown what it can.
        """
        target = journey.target
        journey.failed.append(error.at(provider=target.provider, model=target.model))
        lane = self._roster.lanes.get(target.provider)
        if lane is None:  # it could not be made: no key, a wrong address
            if not journey.has_next:
                raise outcome_of(journey.failed)
            journey.move_on()
            return
        decision = self._retry.decide(
            error,
            attempt=journey.attempt,
            now=trio.current_time(),
            deadline=trio.current_effective_deadline(),
            random=self._random,
            budget=lane.retry_budget,
            can_fail_over=journey.has_next,
        )
        _log.debug("%s:%s attempt %d: %s; %s", lane.id, target.model, journey.attempt, error, decision)
        if isinstance(decision, Retry) and has_shown_content and journey.has_next:
            lane.retry_budget.pay_back(decision.cost)
            decision = FailOver()
        match decision:
            case Retry(delay=delay, cost=cost):
                journey.owed = cost
                await trio.sleep(delay)
            case FailOver(larger_model_only=larger):
                journey.move_on()
                if larger and not self._skip_to_larger(journey, lane.adapter, target.model):
                    raise outcome_of(journey.failed)
            case GiveUp():
                raise outcome_of(journey.failed)

    def _skip_to_larger(self, journey: Journey, adapter: Adapter, model: str) -> bool:
        """Go on to a target whose model takes more than this one (or may: its window is unknown); False if there is none."""
        window = _window(adapter, model)
        while True:
            target = journey.target
            try:
                other = _window(self.adapter(target.provider), target.model)
            except ConfigurationError:
                other = 0
            if other is None or window is None or other > window:
                return True
            if not journey.has_next:
                return False
            journey.move_on()

    def _journey(
        self,
        request: ChatRequest,
        fallbacks: Sequence[str],
        priority: int,
        transformers: Sequence[StreamTransformer] = (),
        *,
        stream: bool,
        hedged: bool,
    ) -> Journey:
        targets = self._targets(request.model, fallbacks)
        is_forced = all(self._roster.is_open(target.provider) for target in targets)
        return Journey(
            request,
            targets,
            priority,
            transformers,
            stream=stream,
            is_forced=is_forced,
            is_hedged=hedged,
            patience=self._retry.max_wait_before_failover,
            number=next(self._numbers),
            on_attempt=self._written_down,
        )

    def _targets(self, model: str, fallbacks: Sequence[str]) -> list[Target]:
        route = self._routes.get(model)
        if route is not None:
            targets = list(order(route, self._facts, self._random))
        else:
            targets = [Target(*split_model(model, self.registry))]
        return [*targets, *(Target(*split_model(name, self.registry)) for name in fallbacks)]

    def _facts(self, target: Target) -> TargetFacts:
        lane = self._roster.lanes.get(target.provider)
        if lane is None:
            return TargetFacts()
        return TargetFacts(
            is_open=lane.state is BreakerState.OPEN,
            in_flight=lane.in_flight + lane.queued,
            is_healthy=self.health(target.provider).is_healthy,
            latency=lane.metrics.latency,
            cost=self._cost(lane.adapter, target.model),
        )

    @staticmethod
    def _cost(adapter: Adapter, model: str) -> float | None:
        facts = adapter.catalog.get(model)
        if facts is None or not facts.prices or facts.prices[0].output is None:
            return None
        return (facts.prices[0].input or 0.0) + facts.prices[0].output


def _window(adapter: Adapter, model: str) -> int | None:
    facts = adapter.catalog.get(model)
    return facts.context_window if facts is not None else None


def _size(request: ChatRequest) -> int:
    """About how many bytes a request holds: its text."""
    return sum(len(message.text) for message in request.turns)
