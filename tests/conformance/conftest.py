"""A row of the table, its own API simulated in memory at its own address, and a manager that knows nothing else."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import trio.testing

import tercet
from tercet.adapters.offers import Offer, offers, sample_model
from tercet.testing import (
    MemoryNetwork,
    ScriptedExchange,
    ScriptedServer,
    SimulatedProvider,
    sample_environ,
    simulated_row,
)

KEY = "row-key-123456"
ELSEWHERE = {"claude-code": "tests/wire/test_claude_cli.py", "vscode-llm": "tests/engine/test_bridge.py"}
"""Rows that speak no HTTP (a program's standard input and output, a local socket), and where they are tested instead."""


class Row:
    """One offer of one row, running."""

    def __init__(
        self, offer: Offer, manager: tercet.ProviderManager, provider: SimulatedProvider, model: str
    ) -> None:
        self.offer = offer
        self.manager = manager
        self.provider = provider
        self.model = model

    @property
    def adapter(self) -> tercet.Adapter:
        return self.manager.adapter(self.offer.provider)

    def request(self, messages: Any = "hello", **fields: Any) -> tercet.ChatRequest:
        return tercet.ChatRequest(f"{self.offer.provider}:{self.model}", messages, **fields)

    async def read(self, request: tercet.ChatRequest) -> tuple[list[tercet.StreamToken], tercet.ChatResponse]:
        """All tokens of a streamed answer, and what they mean."""
        async with self.manager.chat_stream(request) as stream:
            tokens = [token async for token in stream]
        return tokens, stream.response


OpenRow = Callable[..., AbstractAsyncContextManager[Row]]


def all_offers() -> list[Offer]:
    return [offer for profile in tercet.ProviderRegistry() for offer in offers(profile)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "offer" in metafunc.fixturenames:
        chosen = [offer for offer in all_offers() if offer.provider not in ELSEWHERE]
        metafunc.parametrize("offer", chosen, ids=[offer.name for offer in chosen])


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


@pytest.fixture
def open_row() -> OpenRow:
    """``async with open_row(offer, script) as row``. ``answers`` are raw exchanges that replace the simulated provider."""

    @asynccontextmanager
    async def opened(
        offer: Offer,
        script: Any = None,
        *,
        answers: Sequence[ScriptedExchange] | None = None,
        profile: tercet.Profile | None = None,
        **settings: Any,
    ) -> AsyncGenerator[Row, None]:
        profile = profile or tercet.ProviderRegistry().get(offer.provider)
        registry = tercet.ProviderRegistry([profile])
        model = sample_model(profile, offer.door)
        environ = sample_environ(profile)
        base_urls: Mapping[str, str] = {}
        if profile.base_url.endswith(".invalid/v1"):  # the provider inside the process answers there
            base_urls = {profile.id: "http://row.test/v1"}
        adapter = registry.adapter(profile.id, keys=KEY, environ=environ, base_url=base_urls.get(profile.id))
        is_open = profile.auth == "none"
        provider = simulated_row(adapter, model, script, wire=offer.wire, key=KEY)
        async with MemoryNetwork() as network:
            network.serve(adapter.origin, provider.serve if answers is None else ScriptedServer(answers))
            async with tercet.open_manager(
                registry,
                keys={} if is_open else {profile.id: KEY},
                environ=environ,
                base_urls=base_urls,
                network=network,
                random=lambda: 0.5,
                retry=tercet.RetryPolicy(max_attempts=1),
                **settings,
            ) as manager:
                yield Row(offer, manager, provider, model)
        assert network.open_connections == 0

    return opened


@pytest.fixture
def elsewhere() -> Mapping[str, str]:
    return ELSEWHERE
