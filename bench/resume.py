"""P9: CPU from the moment at which an answer is found to be cut off to the moment at which the next attempt's request is written."""

from __future__ import annotations

import time

import trio

import tercet
from tercet.adapters.call import Origin

from .inside import REQUEST, InsideConnection, InsideNetwork, registry, stream
from .measure import Figure, interval

TIMES = 50


class _Watch:
    """Notes the CPU between the end of a cut answer and the next request."""

    def __init__(self) -> None:
        self.found: list[float] = []
        self._cut_at: float | None = None

    def received(self, size: int) -> None:
        if not size:
            self._cut_at = time.process_time()

    def sent(self) -> None:
        if self._cut_at is not None:
            self.found.append(time.process_time() - self._cut_at)
            self._cut_at = None


class _Watched(InsideConnection):
    __slots__ = ("watch",)

    watch: _Watch

    async def send_all(self, data: bytes) -> None:
        await super().send_all(data)
        self.watch.sent()

    async def receive(self) -> memoryview:
        data = await super().receive()
        self.watch.received(len(data))
        return data


class _Network(InsideNetwork):
    make = _Watched
    watch: _Watch

    async def connect(self, origin: Origin) -> InsideConnection:
        connection = await super().connect(origin)
        assert isinstance(connection, _Watched)
        connection.watch = self.watch
        return connection


def run() -> list[Figure]:
    """The median of many restarts at another provider: plan, lane, limiter, request. Its connection is a kept one but for the first time."""
    network = _Network(stream(10))
    network.watch = _Watch()

    async def main() -> None:
        async with tercet.open_manager(
            registry("bench", "other"),
            environ={},
            network=network,
            make_breaker=lambda: tercet.CircuitBreaker(minimum_calls=10**9),
        ) as manager:
            for _ in range(TIMES):
                network.answers = stream(10, cut=True)
                async with manager.chat_stream(
                    REQUEST, fallbacks=["other:m"], on_interruption="restart"
                ) as answer:
                    async for _ in answer:
                        network.answers = stream(10)

    trio.run(main)
    values = sorted(seconds * 1000 for seconds in network.watch.found)
    low, high = interval(values)
    note = f"{len(values)} cuts over a pair of sockets; the next provider's connection is a kept one, connecting is not in it"
    middle = values[len(values) // 2]
    label = "CPU from a cut to the next attempt's request"
    return [Figure("resume", label, middle, "ms", low, high, note=note, rounds=values)]
