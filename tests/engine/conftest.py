"""A fleet of three wires in memory, and a manager that knows it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import trio.testing

import tercet
from tercet.testing import Fleet, LoopbackFleet, MemoryFleet, SimulatedProvider

AUTH = {"openai_chat": "bearer", "anthropic": "x-api-key", "gemini": "x-goog-api-key"}
KEYS = {"alder": "alder-key-123456", "birch": "birch-key-123456", "cedar": "cedar-key-123456"}


def registry_for(fleet: MemoryFleet | LoopbackFleet) -> tercet.ProviderRegistry:
    """A registry that knows only the fleet's providers."""
    registry = tercet.ProviderRegistry([])
    for provider in fleet:
        registry.add(
            tercet.Profile(
                id=provider.name,
                base_url=fleet.base_url(provider.name),
                wire=provider.wire,
                auth=AUTH[provider.wire],
                catalog="simulated",
                default_model="lorem",
            )
        )
    return registry


def make_fleet(**scripts: Any) -> Fleet:
    """alder, birch and cedar, one wire each, answering by ``scripts``."""
    return Fleet(
        SimulatedProvider("alder", "openai_chat", scripts.get("alder"), keys={KEYS["alder"]}),
        SimulatedProvider("birch", "anthropic", scripts.get("birch"), keys={KEYS["birch"]}),
        SimulatedProvider("cedar", "gemini", scripts.get("cedar"), keys={KEYS["cedar"]}),
    )


class World:
    """A running fleet and a manager for it."""

    def __init__(self, fleet: MemoryFleet, manager: tercet.ProviderManager) -> None:
        self.fleet = fleet
        self.manager = manager

    @property
    def open_connections(self) -> int:
        return self.fleet.network.open_connections


OpenWorld = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    """Virtual time that jumps as soon as all tasks wait."""
    return trio.testing.MockClock(autojump_threshold=0)


@pytest.fixture
def open_world() -> OpenWorld:
    """``async with open_world(alder=script, ..., manager={...}) as world``."""

    @asynccontextmanager
    async def opened(
        *, manager: dict[str, Any] | None = None, latency: float = 0.0, **scripts: Any
    ) -> AsyncGenerator[World, None]:
        async with make_fleet(**scripts).in_memory(latency=latency) as fleet:
            settings: dict[str, Any] = {
                "keys": KEYS,
                "environ": {},
                "network": fleet.network,
                "random": lambda: 0.5,
            }
            async with tercet.open_manager(
                registry_for(fleet), **{**settings, **(manager or {})}
            ) as opened_manager:
                yield World(fleet, opened_manager)

    return opened
