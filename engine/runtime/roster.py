"""The roster: the providers in use. Adapters, credentials, senders and lanes, each made when first needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import trio

from tercet.adapters.adapter import Adapter, Unsupported
from tercet.adapters.auth import Credential
from tercet.adapters.call import HttpCall
from tercet.adapters.registry import ProviderRegistry
from tercet.codecs.vocabulary import AuthenticationError, DeadlineError, TercetError

from ..control import (
    AdaptiveRateLimiter,
    BreakerState,
    CircuitBreaker,
    Clocks,
    HealthMonitor,
    RetryBudget,
)
from .attempt import BODY_LIMIT, Sender, check_status
from .credentials import CredentialSource, StaticCredential
from .lane import Lane
from .searching import Searcher
from .sources import default_source

__all__ = ["Roster"]


class Roster:
    """What a manager keeps per provider. ``nursery`` becomes the lanes' parent."""

    def __init__(
        self,
        nursery: trio.Nursery,
        transport: Sender,
        registry: ProviderRegistry,
        *,
        keys: Mapping[str, str | Sequence[str]],
        base_urls: Mapping[str, str],
        settings: Mapping[str, Mapping[str, str]],
        environ: Mapping[str, str],
        senders: Mapping[str, Sender],
        credentials: Mapping[str, CredentialSource],
        searcher: Searcher,
        unsupported: Unsupported,
        clocks: Clocks,
        make_breaker: Callable[[], CircuitBreaker],
        random: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.registry = registry
        self.health: HealthMonitor = HealthMonitor()
        self.lanes: dict[str, Lane] = {}
        self.nursery = nursery
        self._transport = transport
        self._keys = keys
        self._base_urls = base_urls
        self._settings = settings
        self._environ = environ
        self._senders = senders
        self._credentials = credentials
        self._searcher = searcher
        self._unsupported: Unsupported = unsupported
        self._clocks = clocks
        self._make_breaker = make_breaker
        self._random = random
        self._wall = wall
        self._adapters: dict[str, Adapter] = {}
        self._sources: dict[str, tuple[CredentialSource, ...]] = {}

    def adapter(self, provider: str) -> Adapter:
        """The provider's adapter. Raises :class:`ConfigurationError` naming what is missing."""
        adapter = self._adapters.get(provider)
        if adapter is None:
            adapter = self._adapters[provider] = self.registry.adapter(
                provider,
                keys=self._keys.get(provider),
                environ=self._environ,
                base_url=self._base_urls.get(provider),
                settings=self._settings.get(provider),
                unsupported=self._unsupported,
                with_keys=provider not in self._credentials,
            )
        return adapter

    def sources(self, provider: str) -> tuple[CredentialSource, ...]:
        """Where the provider's credentials come from: at least one source."""
        sources = self._sources.get(provider)
        if sources is None:
            sources = self._sources[provider] = self._make_sources(provider)
        return sources

    def _make_sources(self, provider: str) -> tuple[CredentialSource, ...]:
        """The program's own, else its keys, else what the row says."""
        given = self._credentials.get(provider)
        if given is not None:
            return (given,)
        adapter = self.adapter(provider)
        if adapter.keys:
            return tuple(StaticCredential(key) for key in adapter.keys)
        found = default_source(adapter, self._environ, self._searcher, self._wall)
        return (StaticCredential(None) if found is None else found,)

    def sender(self, provider: str) -> Sender:
        """What carries the provider's calls: the sender given for it, else what its address asks for."""
        given = self._senders.get(provider)
        if given is not None:
            return given
        match self.adapter(provider).origin.scheme:
            case "exec":
                from .process import ProcessSender

                return ProcessSender(self.nursery, self._environ)
            case "unix" | "tcp":
                from .bridge import BridgeSender

                return BridgeSender()
            case _:
                return self._transport

    def lane(self, provider: str) -> Lane:
        """The provider's lane, started if it is new. Raises like :meth:`adapter`; does not wait."""
        lane = self.lanes.get(provider)
        if lane is not None:
            return lane
        adapter = self.adapter(provider)
        profile = adapter.profile
        lane = Lane(
            adapter,
            self.sender(provider),
            self.sources(provider),
            clocks=self._clocks,
            breaker=self._make_breaker(),
            make_limiter=lambda: AdaptiveRateLimiter(
                requests_per_minute=profile.requests_per_minute,
                tokens_per_minute=profile.tokens_per_minute,
                max_concurrency=profile.max_concurrency,
            ),
            retry_budget=RetryBudget(),
            health=self.health,
            random=self._random,
            wall=self._wall,
        )
        self.lanes[provider] = lane
        # not nursery.start: a caller cancelled while it waits would take the lane down with it; tickets wait in the queue anyway
        self.nursery.start_soon(lane.supervise, name=f"tercet lane {provider}")
        return lane

    def is_open(self, provider: str) -> bool:
        """Whether the provider's breaker is open now."""
        lane = self.lanes.get(provider)
        return lane is not None and lane.state is BreakerState.OPEN

    async def ask(self, provider: str, call: HttpCall, *, model: str | None = None) -> bytes:
        """One small call beside the streams (lists, counts, probes): the body whole. Raises typed errors.

        No retries, but once with a fresh credential where the provider refused one that can be renewed.
        """
        adapter = self.adapter(provider)
        source = self.sources(provider)[0]
        limit = self._clocks.first_content
        with trio.CancelScope(deadline=math.inf if limit is None else trio.current_time() + limit) as scope:
            try:
                credential = await source.current()
                try:
                    return await self._ask_once(adapter, credential, call, model)
                except AuthenticationError:
                    if not source.invalidate(credential):
                        raise
                return await self._ask_once(adapter, await source.current(), call, model)
            except TercetError as error:
                error.at(provider=provider, model=model)
                raise
        assert scope.cancelled_caught
        raise DeadlineError(
            f"{provider} gave no answer within {limit:g} s", clock="first_content", provider=provider
        )

    async def _ask_once(
        self, adapter: Adapter, credential: Credential, call: HttpCall, model: str | None
    ) -> bytes:
        response = await self.sender(adapter.id).send(
            credential.authorize(call, self._wall()),
            connect_timeout=self._clocks.connect or math.inf,
            accept_encoding="gzip, deflate",
        )
        try:
            await check_status(response, adapter, model, self._wall)
            return await response.read(BODY_LIMIT)
        finally:
            response.close()
