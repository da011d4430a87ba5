"""``ProviderManager``: the dispatcher. A request comes in, a plan of targets is made, lanes are asked in turn.

The only loop of the engine stands here (``_dispatch``): an attempt that fails before its first content comes back with its error,
``RetryPolicy`` says "again", "the next target" or "give up", and everything else follows from that.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import os
import random as _random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import trio

from tercet.adapters.adapter import Adapter, Unsupported
from tercet.adapters.auth import Key
from tercet.adapters.call import HttpCall
from tercet.adapters.registry import ProviderRegistry, split_model
from tercet.codecs.processor import StreamTransformer
from tercet.codecs.vocabulary import (
    AllAttemptsFailedError,
    ChatRequest,
    ChatResponse,
    CompletionRequest,
    CompletionResponse,
    ConfigurationError,
    DeadlineError,
    HealthStatus,
    Model,
    ProviderCapabilities,
    TercetError,
    TokenCount,
)

from ..control import (
    AdaptiveRateLimiter,
    Admission,
    BackpressureController,
    BreakerState,
    CircuitBreaker,
    Clocks,
    FailOver,
    GiveUp,
    HealthMonitor,
    MetricsSnapshot,
    Refused,
    Retry,
    RetryBudget,
    RetryPolicy,
    Route,
    Target,
    TargetFacts,
    order,
)
from .attempt import BODY_LIMIT, OpenAnswer, Sender, check_status
from .estimate import estimate_tokens
from .lane import Lane
from .provider import ManagedProvider
from .simulated import SimulatedInside
from .stream import OnInterruption, TokenStream
from .ticket import Ticket
from .transport import Network, SocketNetwork, Transport, proxies_from_environ

__all__ = ["ProviderManager", "open_manager"]

_log = logging.getLogger("tercet.manager")
_PROBE_SECONDS = 10.0


class ProviderManager:
    """Talks to all providers. Made by :func:`open_manager`; usable inside its block, from any task."""

    def __init__(
        self,
        nursery: trio.Nursery,
        transport: Sender,
        *,
        registry: ProviderRegistry,
        keys: Mapping[str, str | Sequence[str]],
        base_urls: Mapping[str, str],
        environ: Mapping[str, str],
        routes: Mapping[str, Route],
        retry: RetryPolicy,
        clocks: Clocks,
        make_breaker: Callable[[], CircuitBreaker],
        unsupported: Unsupported,
        admission: BackpressureController,
        senders: Mapping[str, Sender],
        random: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.registry = registry
        self._nursery = nursery
        self._transport = transport
        self._keys = keys
        self._base_urls = base_urls
        self._environ = environ
        self._routes = dict(routes)
        self._retry = retry
        self._clocks = clocks
        self._make_breaker = make_breaker
        self._unsupported: Unsupported = unsupported
        self._admission = admission
        self._senders = senders
        self._random = random
        self._wall = wall
        self._health = HealthMonitor()
        self._lanes: dict[str, Lane] = {}
        self._adapters: dict[str, Adapter] = {}
        self._streams: set[TokenStream] = set()
        self._pending = 0
        self._waiting: list[_Turn] = []
        self._turns = itertools.count()
        self._idle = trio.Event()
        self._idle.set()
        self._is_draining = False

    # -- asking ---------------------------------------------------------------------------------------------------------

    async def chat(
        self, request: ChatRequest, *, fallbacks: Sequence[str] = (), priority: int = 0
    ) -> ChatResponse:
        """One whole answer. ``fallbacks`` are more targets (``provider:model``) to try after ``request.model``, in order.

        Raises one typed error: the target's own if there was one target, else :class:`AllAttemptsFailedError`. Cancelling it closes
        the connection before the cancellation goes on.
        """
        with await self._admit(request, priority):
            answer = await self._dispatch(self._journey(request, fallbacks, priority, stream=False))
        assert isinstance(answer, ChatResponse)
        return answer

    def chat_stream(
        self,
        request: ChatRequest,
        *,
        fallbacks: Sequence[str] = (),
        on_interruption: OnInterruption = "raise",
        priority: int = 0,
        transformers: Sequence[StreamTransformer] = (),
    ) -> TokenStream:
        """One answer as it comes. Nothing is sent before the stream is entered (``async with``).

        ``on_interruption`` says what happens when an answer breaks off after its first token was handed out: ``raise`` (an error
        with ``.response``), or ``restart``: the next attempt begins anew and a ``Restarted`` token says that what came before is void.
        ``transformers`` see the tokens of every read (a restart uses the same objects again).
        """
        if on_interruption not in ("raise", "restart"):
            raise ConfigurationError(f"on_interruption is 'raise' or 'restart'; got {on_interruption!r}")
        admission: list[_Admitted] = []
        journey = self._journey(request, fallbacks, priority, transformers, stream=True)

        async def dispatch(after: TercetError | None) -> OpenAnswer:
            if not admission:
                admission.append(await self._admit(request, priority))
            answer = await self._dispatch(journey, after)
            assert isinstance(answer, OpenAnswer)
            return answer

        def closed(stream: TokenStream) -> None:
            self._streams.discard(stream)
            for held in admission:
                held.release()

        stream = TokenStream(
            dispatch, journey.failed, clocks=self._clocks, on_interruption=on_interruption, closed=closed
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

    async def list_models(self, provider: str) -> list[Model]:
        """The provider's own list of models, with what the catalog knows merged in. Raises the provider's typed error."""
        adapter = self.adapter(provider)
        call = adapter.list_models(_first(adapter.keys))
        if call is None:
            return list(adapter.catalog)
        return adapter.models(await self._ask(adapter, call))

    async def count_tokens(self, request: ChatRequest) -> TokenCount:
        """The tokens of a prompt for ``request.model``: by the provider's own endpoint, else an estimate marked as such."""
        target = self._targets(request.model, ())[0]
        adapter = self.adapter(target.provider)
        call = adapter.count_tokens(request, target.model, _first(adapter.keys))
        if call is None:
            return TokenCount(estimate_tokens(request), "estimate")
        return TokenCount(adapter.token_count(await self._ask(adapter, call, model=target.model)), "provider")

    async def health_check(self, provider: str) -> HealthStatus:
        """Ask the provider for its models (the cheapest call that proves key and host), within 10 s.

        A sick provider is no exception: the status says what is wrong. Only a configuration that cannot be asked with raises.
        """
        adapter = self.adapter(provider)
        call = adapter.list_models(_first(adapter.keys))
        started = trio.current_time()
        if call is None:
            return self.health(provider)
        try:
            with trio.fail_after(_PROBE_SECONDS):
                await self._ask(adapter, call)
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
        return self._health.status(provider, trio.current_time())

    def breaker_state(self, provider: str) -> BreakerState:
        """The state of the provider's circuit breaker."""
        lane = self._lanes.get(provider)
        return BreakerState.CLOSED if lane is None else lane.state

    def statistics(self) -> dict[str, MetricsSnapshot]:
        """Counts and histograms of everything so far, by provider; those never asked are left out."""
        return {provider: lane.metrics.snapshot() for provider, lane in self._lanes.items()}

    def add_route(self, route: Route) -> None:
        """Add or replace a route: a name that stands for several targets."""
        for target in route.targets:
            self.registry.get(target.provider)
        self._routes[route.name] = route

    def adapter(self, provider: str) -> Adapter:
        """The provider's adapter, made on first use. Raises :class:`ConfigurationError` naming what is missing."""
        adapter = self._adapters.get(provider)
        if adapter is None:
            adapter = self._adapters[provider] = self.registry.adapter(
                provider,
                keys=self._keys.get(provider),
                environ=self._environ,
                base_url=self._base_urls.get(provider),
                unsupported=self._unsupported,
            )
        return adapter

    # -- the loop -------------------------------------------------------------------------------------------------------

    async def _dispatch(
        self, journey: _Journey, after: TercetError | None = None
    ) -> OpenAnswer | ChatResponse:
        """Ask until somebody answers. ``after`` is the error of an answer that broke off in the middle: go on behind it."""
        if after is not None:
            await self._go_on(journey, after, has_shown_content=True)
        while True:
            target = journey.target
            try:
                lane = await self._lane(target.provider)
                ticket = journey.ticket(lane.adapter)
                lane.submit(ticket)
                answer = await ticket.wait()
            except TercetError as error:
                await self._go_on(journey, error)
            else:
                lane.retry_budget.pay_back(journey.owed)
                journey.owed = 0
                return answer

    async def _go_on(self, journey: _Journey, error: TercetError, *, has_shown_content: bool = False) -> None:
        """After a failed attempt: wait before the next one, or move on to the next target. Raises the outcome if that was the last.

        An answer that broke off in the middle goes to the next target at once, where there is one: this one has shown what it can.
        """
        target = journey.target
        journey.failed.append(error.at(provider=target.provider, model=target.model))
        lane = self._lanes.get(target.provider)
        if lane is None:  # it could not be made: no key, a wrong address
            if not journey.has_next:
                raise _outcome(journey.failed)
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
                    raise _outcome(journey.failed)
            case GiveUp():
                raise _outcome(journey.failed)

    def _skip_to_larger(self, journey: _Journey, adapter: Adapter, model: str) -> bool:
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
    ) -> _Journey:
        targets = self._targets(request.model, fallbacks)
        is_forced = all(self._is_open(target.provider) for target in targets)
        return _Journey(request, targets, priority, transformers, stream=stream, is_forced=is_forced)

    def _targets(self, model: str, fallbacks: Sequence[str]) -> list[Target]:
        route = self._routes.get(model)
        if route is not None:
            targets = list(order(route, self._facts, self._random))
        else:
            targets = [Target(*split_model(model, self.registry))]
        return [*targets, *(Target(*split_model(name, self.registry)) for name in fallbacks)]

    def _facts(self, target: Target) -> TargetFacts:
        lane = self._lanes.get(target.provider)
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

    def _is_open(self, provider: str) -> bool:
        lane = self._lanes.get(provider)
        return lane is not None and lane.state is BreakerState.OPEN

    async def _lane(self, provider: str) -> Lane:
        lane = self._lanes.get(provider)
        if lane is not None:
            return lane
        adapter = self.adapter(provider)
        profile = adapter.profile
        lane = Lane(
            adapter,
            self._senders.get(provider, self._transport),
            clocks=self._clocks,
            breaker=self._make_breaker(),
            make_limiter=lambda: AdaptiveRateLimiter(
                requests_per_minute=profile.requests_per_minute,
                tokens_per_minute=profile.tokens_per_minute,
                max_concurrency=profile.max_concurrency,
            ),
            retry_budget=RetryBudget(),
            health=self._health,
            random=self._random,
            wall=self._wall,
        )
        self._lanes[provider] = lane
        await self._nursery.start(lane.supervise, name=f"tercet lane {provider}")
        return lane

    async def _ask(self, adapter: Adapter, call: HttpCall, *, model: str | None = None) -> bytes:
        """One small call beside the streams (lists, counts, probes): no retries, the body whole."""
        sender = self._senders.get(adapter.id, self._transport)
        limit = self._clocks.first_content
        with trio.CancelScope(deadline=math.inf if limit is None else trio.current_time() + limit) as scope:
            try:
                response = await sender.send(call, connect_timeout=self._clocks.connect or math.inf)
                try:
                    await check_status(response, adapter, model, self._wall)
                    return await response.read(BODY_LIMIT)
                finally:
                    response.close()
            except TercetError as error:
                error.at(provider=adapter.id, model=model)
                raise
        assert scope.cancelled_caught
        raise DeadlineError(
            f"{adapter.id} gave no answer within {limit:g} s", clock="first_content", provider=adapter.id
        )

    # -- admission and end ----------------------------------------------------------------------------------------------

    async def _admit(self, request: ChatRequest, priority: int) -> _Admitted:
        """Take the request on, waiting while too many are in flight. Raises :class:`OverloadedError` when there is no room to wait."""
        if self._is_draining:
            raise ConfigurationError("the manager is being closed and takes no more requests")
        size = sum(len(message.text) for message in request.turns)
        admission = self._admission.try_admit(trio.current_time(), priority, size)
        if isinstance(admission, Refused):
            raise admission.error()
        admitted = _Admitted(self, admission)
        if not admission.is_running:
            turn = _Turn((-priority, next(self._turns)), admission, trio.Event())
            heapq.heappush(self._waiting, turn)
            try:
                await turn.event.wait()
            except BaseException:
                admitted.release()
                raise
        return admitted

    def _entered(self) -> None:
        self._pending += 1
        if self._pending == 1:
            self._idle = trio.Event()

    def _left(self, admission: Admission) -> None:
        now = trio.current_time()
        self._admission.release(admission, now)
        while self._waiting:
            turn = self._waiting[0]
            if turn.admission.is_open and not self._admission.try_start(turn.admission, now):
                break
            turn.event.set()
            heapq.heappop(self._waiting)
        self._pending -= 1
        if self._pending == 0:
            self._idle.set()

    async def drain(self, within: float = math.inf) -> bool:
        """Take no more requests and wait at most ``within`` seconds for those under way; True if all have ended."""
        self._is_draining = True
        with trio.move_on_after(within):
            await self._idle.wait()
        return self._pending == 0

    def _abandon_streams(self) -> None:
        for stream in tuple(self._streams):
            stream.abandon()


class _Journey:
    """One request on its way: the targets, where it is, what failed so far. A stream keeps it over restarts."""

    __slots__ = (
        "_is_forced",
        "_position",
        "_priority",
        "_request",
        "_stream",
        "_targets",
        "_tokens",
        "_transformers",
        "attempt",
        "failed",
        "owed",
    )

    def __init__(
        self,
        request: ChatRequest,
        targets: Sequence[Target],
        priority: int,
        transformers: Sequence[StreamTransformer],
        *,
        stream: bool,
        is_forced: bool,
    ) -> None:
        self._request = request
        self._targets = targets
        self._priority = priority
        self._transformers = transformers
        self._stream = stream
        self._is_forced = is_forced
        self._tokens = estimate_tokens(request) + (request.max_tokens or 0)
        self._position = 0
        self.attempt = 0
        self.owed = 0
        self.failed: list[TercetError] = []

    @property
    def target(self) -> Target:
        """The target that is asked now."""
        return self._targets[self._position]

    @property
    def has_next(self) -> bool:
        """Whether there is a target behind this one."""
        return self._position + 1 < len(self._targets)

    def move_on(self) -> None:
        """To the next target."""
        self._position += 1
        self.attempt = self.owed = 0

    def ticket(self, adapter: Adapter) -> Ticket:
        """The ticket of the next attempt at the current target. When every breaker is open, the first target is asked all the same."""
        self.attempt += 1
        return Ticket(
            adapter,
            self.target.model,
            self._request,
            stream=self._stream,
            number=len(self.failed) + 1,
            priority=self._priority,
            tokens=self._tokens,
            deadline=trio.current_effective_deadline(),
            transformers=self._transformers,
            is_forced=self._is_forced and self._position == 0,
        )


class _Turn(NamedTuple):
    """An admitted request that waits until fewer are in flight."""

    order: tuple[int, int]
    admission: Admission
    event: trio.Event


class _Admitted:
    """One admitted request; given back once, by leaving the block or by ``release``."""

    __slots__ = ("_admission", "_manager")

    def __init__(self, manager: ProviderManager, admission: Admission) -> None:
        self._manager = manager
        self._admission: Admission | None = admission
        manager._entered()  # the manager's own count of requests under way

    def __enter__(self) -> _Admitted:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def release(self) -> None:
        """Give it back; a second call does nothing."""
        admission, self._admission = self._admission, None
        if admission is not None:
            self._manager._left(admission)  # as above


@asynccontextmanager
async def open_manager(
    registry: ProviderRegistry | None = None,
    *,
    keys: Mapping[str, str | Sequence[str]] | None = None,
    base_urls: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    routes: Mapping[str, Sequence[str]] | Sequence[Route] = (),
    retry: RetryPolicy | None = None,
    clocks: Clocks | None = None,
    make_breaker: Callable[[], CircuitBreaker] = CircuitBreaker,
    unsupported: Unsupported = "drop",
    admission: BackpressureController | None = None,
    network: Network | None = None,
    senders: Mapping[str, Sender] | None = None,
    drain_within: float = 5.0,
    random: Callable[[], float] = _random.random,
    wall: Callable[[], float] = time.time,
) -> AsyncIterator[ProviderManager]:
    """A manager for the length of the block: ``async with tercet.open_manager() as manager``.

    - ``keys``: provider -> key (or several); without one, the usual environment variables are looked at (``environ`` replaces
      ``os.environ``; ``{}`` looks nowhere).
    - ``base_urls``: provider -> another base URL.
    - ``routes``: name -> targets (``"fast": ["groq:...", "openai:..."]``), or :class:`Route` objects.
    - ``retry``, ``clocks``, ``make_breaker``, ``admission``: how patient to be, see ``engine/control``.
    - ``unsupported``: what to do with a field that a model is known not to take: ``drop`` it or raise an ``error``.
    - ``network``: how connections are made (tests pass the fleet's); ``senders``: provider -> a transport of its own
      (an ``httpx.AsyncClient`` by ``tercet.httpx_sender``).
    - ``drain_within``: seconds that requests of other tasks get to finish when the block ends well. When it ends with an
      exception or is cancelled they are cancelled at once.

    The user's own exception leaves the block as itself, not inside a group.
    """
    surroundings = os.environ if environ is None else environ
    registry = registry or ProviderRegistry()
    real = network or SocketNetwork(proxies=proxies_from_environ(surroundings))
    raised: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            transport = Transport(SimulatedInside(real, nursery))
            manager = ProviderManager(
                nursery,
                transport,
                registry=registry,
                keys=keys or {},
                base_urls=base_urls or {},
                environ=surroundings,
                routes=_routes(routes, registry),
                retry=retry or RetryPolicy(),
                clocks=clocks or Clocks(),
                make_breaker=make_breaker,
                unsupported=unsupported,
                admission=admission or BackpressureController(max_in_flight=10_000),
                senders=senders or {},
                random=random,
                wall=wall,
            )
            try:
                yield manager
                await manager.drain(drain_within)
            except BaseException as error:
                raised = error
                raise
            finally:
                manager._abandon_streams()  # the other half of this function
                transport.close()
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if raised is None or _only_leaf(group) is not raised:
            raise
    if raised is not None:
        raise raised


def _routes(
    routes: Mapping[str, Sequence[str]] | Sequence[Route], registry: ProviderRegistry
) -> dict[str, Route]:
    if not isinstance(routes, Mapping):
        return {route.name: route for route in routes}
    made: dict[str, Route] = {}
    for name, targets in routes.items():
        if isinstance(targets, str) or not targets:
            raise ConfigurationError(
                f"route {name!r} needs a list of 'provider:model' names; got {targets!r}"
            )
        made[name] = Route(name, [Target(*split_model(target, registry)) for target in targets])
    return made


def _only_leaf(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        if len(error.exceptions) != 1:
            return None
        error = error.exceptions[0]
    return error


def _outcome(failed: Sequence[TercetError]) -> TercetError:
    """The one error for the caller: the attempt's own where only one target was tried, else all of them in one."""
    if not failed:
        return AllAttemptsFailedError("there was no target to try")
    last = failed[-1]
    tried = {(error.provider, error.model) for error in failed}
    if len(tried) == 1:
        return last.at(attempts=tuple(failed))
    told = "; ".join(f"{error.provider}:{error.model}: {error.message}" for error in failed)
    return AllAttemptsFailedError(
        f"no target answered: {told}",
        attempts=failed,
        attempt=len(failed),
        retry_after=min((e.retry_after for e in failed if e.retry_after is not None), default=None),
        retryable=any(error.retryable for error in failed),
    )


def _window(adapter: Adapter, model: str) -> int | None:
    facts = adapter.catalog.get(model)
    return facts.context_window if facts is not None else None


def _first(keys: Sequence[Key]) -> Key | None:
    return keys[0] if keys else None
