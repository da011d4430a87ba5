"""The driver of the reference face over the real transport and a network in memory."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from tercet.adapters.reference import Read, ReferenceProvider
from tercet.codecs.vocabulary import StreamInterruptedError
from tercet.engine.runtime.reference import ReferenceStream, Surroundings, o200k_counter, run
from tercet.engine.runtime.transport import Transport
from tercet.engine.testing import (
    Delay,
    End,
    MemoryNetwork,
    ScriptedExchange,
    ScriptedServer,
    sweep_cancellation,
)

MESSAGES = [{"role": "user", "content": "hi"}]
AROUND = Surroundings(lambda: 1759320000.0, lambda: 0.5)


def head(status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(text: str) -> bytes:
    return chunk(b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % text.encode())


END = [chunk(b"data: [DONE]\n\n"), b"0\r\n\r\n"]
BUSY = ScriptedExchange([head("503 Busy"), chunk(b"{}"), b"0\r\n\r\n"])
STREAM = ScriptedExchange([head(), event("a"), Delay(1.0), event("b"), *END])


def provider() -> ReferenceProvider:
    return ReferenceProvider("groq", {"groqApiKey": "k"})


def message() -> Any:
    return provider().create_message("", MESSAGES)


async def test_chunks_come_as_they_arrive_and_waits_are_the_references(autojump_clock: Any) -> None:
    async with MemoryNetwork() as network:
        network.serve("https://api.groq.com", ScriptedServer([BUSY, STREAM]))
        transport = Transport(network)
        async with ReferenceStream(message(), transport, AROUND) as stream:
            assert stream.result is None
            times = [(said["text"], trio.current_time()) async for said in stream]
            with pytest.raises(StopAsyncIteration):
                await stream.__anext__()
        assert [text for text, _ in times] == ["a", "b"]
        assert times[0][1] == pytest.approx(0.4375)
        assert times[1][1] == pytest.approx(1.4375)
        transport.close()
        assert network.open_connections == 0


async def test_a_result_and_its_chunks(autojump_clock: Any) -> None:
    answer = chunk(b'{"choices":[{"message":{"content":"better"}}]}')
    whole = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with MemoryNetwork() as network:
        network.serve(
            "https://api.groq.com", ScriptedServer([ScriptedExchange([whole, answer, END[1]]), STREAM])
        )
        transport = Transport(network)
        assert await run(provider().complete_prompt("x"), transport, AROUND) == "better"
        said: list[Any] = []
        assert await run(message(), transport, AROUND, emit=said.append) is None
        assert [one["text"] for one in said] == ["a", "b"]
        transport.close()
        assert network.open_connections == 0


async def test_leaving_early_closes_the_connection(autojump_clock: Any) -> None:
    async with MemoryNetwork() as network:
        network.serve("https://api.groq.com", ScriptedServer([STREAM]))
        async with ReferenceStream(message(), Transport(network), AROUND) as stream:
            async for said in stream:
                assert said["text"] == "a"
                break
            assert network.open_connections == 1
        assert network.open_connections == 0
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()


async def test_a_connection_that_breaks(autojump_clock: Any) -> None:
    async with MemoryNetwork() as network:
        network.serve(
            "https://api.groq.com", ScriptedServer([ScriptedExchange([head(), event("a"), End("reset")])])
        )
        said: list[Any] = []
        with pytest.raises(StreamInterruptedError):
            await run(message(), Transport(network), AROUND, emit=said.append)
        assert [one["text"] for one in said] == ["a"]
        assert network.open_connections == 0


async def test_cancelled_anywhere_it_leaves_nothing_open(autojump_clock: Any) -> None:
    async with MemoryNetwork() as network:
        transport = Transport(network)

        async def once() -> None:
            network.serve("https://api.groq.com", ScriptedServer([BUSY, STREAM]))
            await run(message(), transport, AROUND)

        def check() -> None:
            assert network.open_connections == transport.statistics().idle

        points = await sweep_cancellation(once, check=check)
        assert points > 5
        transport.close()


async def test_a_conversation_that_reads_before_it_sends_is_a_mistake() -> None:
    def wrong() -> Any:
        yield Read()

    with pytest.raises(RuntimeError, match="read before it sent"):
        await run(wrong(), Transport(MemoryNetwork()), AROUND)


def test_the_counter_counts_where_its_library_is() -> None:
    count = o200k_counter()
    if count is None:
        pytest.skip("the extra 'tokens' is not installed")
    assert count("What is in this picture?") == 6
    assert count("<|endoftext|> special") == 8
