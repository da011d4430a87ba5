"""A fleet of simulated providers, on loopback sockets or in memory.

::

    fleet = Fleet(SimulatedProvider("alpha", script=echo()), SimulatedProvider("beta", "anthropic", say("hello")))

    async with fleet.in_memory(latency=0.02) as running:      # virtual time: run it under MockClock(autojump_threshold=0)
        manager = open_manager(..., network=running.network)   # http://alpha.simulated.test
    async with fleet.on_loopback() as running:                # real TCP on 127.0.0.1, a port for each provider
        httpx.get(running.base_url("alpha") + "/health")

A crash inside a script's callable ends the block and is raised from it, with a note that says which provider asked. What the
block's body raises leaves as itself.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from .network import MemoryNetwork
from .provider import HOST_SUFFIX, FleetEvent, SimulatedProvider
from .supervision import Supervised

__all__ = ["Fleet", "LoopbackFleet", "MemoryFleet"]


class _Providers:
    """The providers by name."""

    def __init__(self, providers: dict[str, SimulatedProvider], log: list[FleetEvent]) -> None:
        self._providers = providers
        self.log = log

    def __getitem__(self, name: str) -> SimulatedProvider:
        provider = self._providers.get(name)
        if provider is None:
            raise KeyError(
                f"no provider {name!r} in this fleet; there are {', '.join(sorted(self._providers))}"
            )
        return provider

    def __iter__(self) -> Iterator[SimulatedProvider]:
        return iter(self._providers.values())

    def __len__(self) -> int:
        return len(self._providers)


class MemoryFleet(_Providers):
    """A fleet that runs in memory. ``network`` reaches it, and only it, unless more origins are served there."""

    def __init__(
        self, providers: dict[str, SimulatedProvider], log: list[FleetEvent], network: MemoryNetwork
    ) -> None:
        super().__init__(providers, log)
        self.network = network

    def base_url(self, name: str) -> str:
        """``http://<name>.simulated.test``: the API's paths go behind it."""
        return f"http://{self[name].name}{HOST_SUFFIX}"


class LoopbackFleet(_Providers):
    """A fleet that listens on 127.0.0.1."""

    def __init__(
        self, providers: dict[str, SimulatedProvider], log: list[FleetEvent], ports: dict[str, int]
    ) -> None:
        super().__init__(providers, log)
        self._ports = ports

    def base_url(self, name: str) -> str:
        """``http://127.0.0.1:<port>``: the API's paths go behind it."""
        return f"http://127.0.0.1:{self._ports[self[name].name]}"


class Fleet(_Providers):
    """Providers that are simulated together. ``log`` has what happened at all of them, in order.

    A fleet may be run several times, one after the other: scripts, counts and records go on where they were.
    """

    def __init__(self, *providers: SimulatedProvider) -> None:
        by_name = {provider.name: provider for provider in providers}
        if len(by_name) != len(providers):
            raise ValueError(f"two providers of one name: {sorted(provider.name for provider in providers)}")
        log: list[FleetEvent] = []
        for provider in providers:
            provider.log = log
            provider.neighbours = by_name
        super().__init__(by_name, log)

    def in_memory(
        self, *, latency: float = 0.0, bandwidth: float = math.inf, buffer_size: int = 65536
    ) -> AbstractAsyncContextManager[MemoryFleet]:
        """Run in memory (see :class:`MemoryNetwork` for the arguments) until the block ends."""
        return self._in_memory(MemoryNetwork(latency=latency, bandwidth=bandwidth, buffer_size=buffer_size))

    def on_loopback(self) -> AbstractAsyncContextManager[LoopbackFleet]:
        """Listen on 127.0.0.1, one free port for each provider, until the block ends. Never under a clock that jumps."""
        return self._on_loopback()

    @asynccontextmanager
    async def _in_memory(self, network: MemoryNetwork) -> AsyncGenerator[MemoryFleet, None]:
        async with network:
            fleet = MemoryFleet(self._providers, self.log, network)
            for provider in self:
                network.serve(fleet.base_url(provider.name), provider.serve)
            yield fleet

    @asynccontextmanager
    async def _on_loopback(self) -> AsyncGenerator[LoopbackFleet, None]:
        async with Supervised() as tasks:
            ports: dict[str, int] = {}
            for provider in self:
                [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
                ports[provider.name] = listener.socket.getsockname()[1]
                tasks.nursery.start_soon(
                    _listen, provider, listener, tasks.nursery, name=f"simulated provider {provider.name}"
                )
            yield LoopbackFleet(self._providers, self.log, ports)


async def _listen(provider: SimulatedProvider, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
    try:
        await trio.serve_listeners(provider.serve, [listener], handler_nursery=nursery)
    finally:
        await trio.aclose_forcefully(listener)
