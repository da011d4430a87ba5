"""No truncated success: a stream ended at every byte is the complete answer or an error that carries what was said.

The bytes are those of a real answer of the fleet, HTTP framing included; the connection is closed after the n-th, for every n.
"""

from __future__ import annotations

from typing import Any

import pytest
import trio

import tercet
from tercet.testing import MemoryNetwork, MemoryStream, cut, origin_of, think_then

WORDS = "One two, three: \U0001f389 \u4f60\u597d."
REASONS = "Well. Let me see."


class Prefix:
    """Serves the first ``length`` bytes of a recorded answer, then closes."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.length = 0

    async def __call__(self, stream: MemoryStream) -> None:
        await stream.receive_some()
        if self.length:
            await stream.send_all(self.answer[: self.length])
        await stream.aclose()


async def recorded(open_world: Any, provider: str) -> bytes:
    """The raw bytes of one streamed answer."""
    taken = bytearray()
    async with open_world(**{provider: think_then(WORDS, REASONS)}) as world:
        network = world.fleet.network
        connect = network.connect

        async def tapped(origin: Any) -> Any:
            connection = await connect(origin)
            receive = connection.stream.receive_some

            async def receive_some(max_bytes: int | None = None) -> bytes:
                data = await receive(max_bytes)
                taken.extend(data)
                return bytes(data)

            connection.stream.receive_some = receive_some
            return connection

        network.connect = tapped
        async with world.manager.chat_stream(tercet.ChatRequest(f"{provider}:lorem", "Say it.")) as stream:
            await stream.collect()
    return bytes(taken)


@pytest.mark.parametrize("provider", ["alder", "birch", "cedar"])
async def test_a_stream_ended_at_every_byte(open_world: Any, provider: str, autojump_clock: Any) -> None:
    answer = await recorded(open_world, provider)
    assert answer.startswith(b"HTTP/1.1 200")
    server = Prefix(answer)
    complete = interrupted = silent = 0
    wires = {"alder": "openai_chat", "birch": "anthropic", "cedar": "gemini"}
    registry = tercet.ProviderRegistry([])
    registry.add(
        tercet.Profile(
            id=provider, base_url="http://cut.test", wire=wires[provider], auth="none", default_model="m"
        )
    )
    retry = tercet.RetryPolicy(max_attempts=1)
    async with MemoryNetwork() as network:
        network.serve(origin_of("http://cut.test"), server)
        async with tercet.open_manager(
            registry,
            environ={},
            network=network,
            retry=retry,
            make_breaker=lambda: tercet.CircuitBreaker(minimum_calls=10**9),
        ) as manager:
            for server.length in range(len(answer) + 1):
                said: list[str] = []
                try:
                    async with manager.chat_stream(tercet.ChatRequest(f"{provider}:m", "Say it.")) as stream:
                        async for token in stream:
                            if isinstance(token, tercet.TextDelta):
                                said.append(token.text)
                except tercet.StreamInterruptedError as error:
                    partial = error.response
                    if partial is None:
                        silent += 1  # before the first content: nothing was said
                        assert not said
                        continue
                    interrupted += 1
                    assert not partial.is_complete
                    assert partial.text == "".join(said)
                    assert WORDS.startswith(partial.text)
                    assert REASONS.startswith(partial.reasoning)
                else:
                    complete += 1
                    assert stream.response.is_complete
                    assert stream.response.text == "".join(said) == WORDS
                    assert stream.response.reasoning == REASONS
        assert network.open_connections == 0
    assert complete >= 1
    assert interrupted > 100
    assert silent > 50
    assert trio.current_time() < 3600


async def test_the_fleet_cuts_where_it_is_told(open_world: Any, autojump_clock: Any) -> None:
    """The tapped answer is what a client gets: a cut behind the last event is complete, one before it is not."""
    async with open_world(alder=think_then(WORDS, REASONS, fault=cut(after_events=3))) as world:
        with pytest.raises(tercet.StreamInterruptedError):
            async with world.manager.chat_stream(tercet.ChatRequest("alder:lorem", "x")) as stream:
                await stream.collect()
