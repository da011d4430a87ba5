"""``open_manager``: a manager for the length of a block."""

from __future__ import annotations

import os
import random as _random
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import trio

from tercet.adapters.adapter import Unsupported
from tercet.adapters.registry import ProviderRegistry, split_model
from tercet.codecs.vocabulary import ConfigurationError

from ..control import BackpressureController, CircuitBreaker, Clocks, HedgePolicy, RetryPolicy, Route, Target
from .accounts import AttemptRecord
from .attempt import Sender
from .credentials import CredentialSource
from .gate import Gate
from .manager import ProviderManager
from .roster import Roster
from .searching import Searcher
from .simulated import SimulatedInside
from .transport import Network, SocketNetwork, Transport, proxies_from_environ

__all__ = ["open_manager"]


@asynccontextmanager
async def open_manager(
    registry: ProviderRegistry | None = None,
    *,
    keys: Mapping[str, str | Sequence[str]] | None = None,
    credentials: Mapping[str, CredentialSource] | None = None,
    base_urls: Mapping[str, str] | None = None,
    settings: Mapping[str, Mapping[str, str]] | None = None,
    environ: Mapping[str, str] | None = None,
    routes: Mapping[str, Sequence[str]] | Sequence[Route] = (),
    retry: RetryPolicy | None = None,
    hedge: HedgePolicy | None = None,
    clocks: Clocks | None = None,
    make_breaker: Callable[[], CircuitBreaker] = CircuitBreaker,
    unsupported: Unsupported = "drop",
    admission: BackpressureController | None = None,
    network: Network | None = None,
    senders: Mapping[str, Sender] | None = None,
    on_attempt: Callable[[AttemptRecord], None] | None = None,
    drain_within: float = 5.0,
    random: Callable[[], float] = _random.random,
    wall: Callable[[], float] = time.time,
) -> AsyncGenerator[ProviderManager, None]:
    """A manager for the length of the block: ``async with tercet.open_manager() as manager``.

    - ``keys``: provider -> key (or several); without one, the usual environment variables are looked at (``environ`` replaces
      ``os.environ``; ``{}`` looks nowhere).
    - ``credentials``: provider -> a source of credentials that change (``aws_source``, ``google_source``, ``oauth_file_source``, ``token_source``, or
      the program's own); it goes before keys. Rows that look for credentials by themselves (AWS, Google) need none.
    - ``base_urls``: provider -> another base URL. ``settings``: provider -> what its address needs to be told (a region, a project, a
      deployment's resource): ``{"vertex": {"project": "p", "location": "eu"}}``.
    - ``routes``: name -> targets (``"fast": ["groq:...", "openai:..."]``), or :class:`Route` objects.
    - ``retry``, ``hedge``, ``clocks``, ``make_breaker``, ``admission``: how patient to be, see ``engine/control``.
    - ``unsupported``: what to do with a field that a model is known not to take: ``drop`` it or raise an ``error``.
    - ``network``: how connections are made (tests pass the fleet's); ``senders``: provider -> a transport of its own
      (an ``httpx.AsyncClient`` by ``tercet.httpx_sender``).
    - ``on_attempt``: called with an :class:`AttemptRecord` at the end of every attempt, whatever became of it: who, how long, how
      it ended, tokens, cost. It must not wait; what it raises is logged.
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
            roster = Roster(
                nursery,
                transport,
                registry,
                keys=keys or {},
                base_urls=base_urls or {},
                settings=settings or {},
                environ=surroundings,
                senders=senders or {},
                credentials=credentials or {},
                searcher=Searcher(network, environ=surroundings),
                unsupported=unsupported,
                clocks=clocks or Clocks(),
                make_breaker=make_breaker,
                random=random,
                wall=wall,
            )
            manager = ProviderManager(
                roster,
                Gate(admission or BackpressureController(max_in_flight=10_000)),
                routes=_routes(routes, registry),
                retry=retry or RetryPolicy(),
                hedge=hedge or HedgePolicy(),
                clocks=clocks or Clocks(),
                random=random,
                wall=wall,
                on_attempt=on_attempt,
            )
            try:
                yield manager
                await manager.drain(drain_within)
            except BaseException as error:
                raised = error
                raise
            finally:
                manager.abandon_streams()  # the other half of this function
                transport.close()
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        others = group.split(lambda leaf: leaf is raised)[1]
        if others is not None:
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
