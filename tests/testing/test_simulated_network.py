"""Streams and the network in memory: exact virtual times, back-pressure, ends and resets, names and refusals, raw exchanges."""

# what is raised leaves a whole block: that is the thing tested

from __future__ import annotations

import pytest
import trio
import trio.testing

from tercet.adapters.call import Origin
from tercet.codecs.vocabulary import ConnectError
from tercet.testing import (
    Delay,
    End,
    MemoryNetwork,
    MemoryStream,
    ScriptedExchange,
    ScriptedServer,
    UnexpectedRequestError,
    memory_pair,
    origin_of,
)


@pytest.fixture
def virtual_clock(autojump_clock: trio.testing.MockClock) -> trio.testing.MockClock:
    return autojump_clock


async def test_memory_pair_is_a_half_closeable_stream() -> None:
    async def make() -> tuple[MemoryStream, MemoryStream]:
        return memory_pair()

    async def make_clogged() -> tuple[MemoryStream, MemoryStream]:
        a, b = memory_pair(buffer_size=1)
        await a.send_all(b"x")
        await b.send_all(b"x")
        return a, b

    await trio.testing.check_half_closeable_stream(make, make_clogged)


async def test_each_write_is_one_read() -> None:
    a, b = memory_pair()
    await a.send_all(b"one")
    await a.send_all(b"two!")
    assert await b.receive_some() == b"one"
    assert await b.receive_some(3) == b"two"
    assert await b.receive_some() == b"!"


async def test_a_full_buffer_stops_the_writer() -> None:
    a, b = memory_pair(buffer_size=10)
    sent: list[int] = []

    async def write() -> None:
        for n in range(5):
            await a.send_all(b"x" * 6)
            sent.append(n)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()
        assert sent == [0]  # six bytes are in, and four of the next six
        received = 0
        while received < 30:
            received += len(await b.receive_some())
    assert sent == [0, 1, 2, 3, 4]


async def test_latency_and_bandwidth_are_exact(virtual_clock: trio.testing.MockClock) -> None:
    a, b = memory_pair(latency=0.5, bandwidth=1024)
    await a.send_all(bytes(1024))
    await a.send_all(bytes(512))
    await a.send_eof()
    arrivals: list[tuple[float, int]] = []
    while data := await b.receive_some():
        arrivals.append((trio.current_time(), len(data)))
    assert arrivals == [(1.5, 1024), (2.0, 512)]
    assert trio.current_time() == 2.0


async def test_reset_comes_behind_what_was_sent() -> None:
    a, b = memory_pair()
    await a.send_all(b"half")
    a.reset()
    assert await b.receive_some() == b"half"
    for _ in range(2):
        with pytest.raises(trio.BrokenResourceError):
            await b.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await b.send_all(b"x")
    with pytest.raises(trio.ClosedResourceError):
        await a.send_all(b"x")


async def test_a_cancelled_read_loses_nothing(virtual_clock: trio.testing.MockClock) -> None:
    a, b = memory_pair(latency=2)
    await a.send_all(b"late")
    with trio.move_on_after(1):
        await b.receive_some()
    assert await b.receive_some() == b"late"
    assert trio.current_time() == 2


@pytest.mark.parametrize(
    "wrong", [{"latency": -1.0}, {"bandwidth": 0.0}, {"buffer_size": 0}], ids=lambda wrong: next(iter(wrong))
)
def test_wrong_measures_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="latency is at least 0"):
        memory_pair(**wrong)  # type: ignore[arg-type]  # the point of the test


# ---- the network


async def talk(stream: MemoryStream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data.upper())


async def test_connections_reach_their_handler() -> None:
    async with MemoryNetwork() as network:
        network.serve("https://named.test", talk)
        network.serve(lambda origin: origin.host.endswith(".many.test"), talk)
        for url in ("https://named.test/v1", "http://a.many.test:8080", "http://b.many.test"):
            connection = await network.connect(origin_of(url))
            await connection.send_all(b"hello")
            assert await connection.receive() == b"HELLO"
            assert network.open_connections == 1
            connection.close()
            connection.close()
        assert (network.connections, network.open_connections) == (3, 0)


async def test_an_idle_connection_is_stale_when_the_server_has_closed_it() -> None:
    async def say_and_leave(stream: MemoryStream) -> None:
        await stream.receive_some()

    async with MemoryNetwork() as network:
        network.serve("http://short.test", say_and_leave)
        connection = await network.connect(origin_of("http://short.test"))
        assert not connection.is_stale()
        await connection.send_all(b"bye")
        await trio.testing.wait_all_tasks_blocked()
        assert connection.is_stale()
        assert await connection.receive() == b""
        connection.close()


async def test_names_ports_and_dead_hosts(virtual_clock: trio.testing.MockClock) -> None:
    async with MemoryNetwork(latency=0.25) as network:
        network.serve("http://up.test", talk)
        with pytest.raises(ConnectError, match="does not resolve") as dns:
            await network.connect(Origin("http", "nobody.test", 80))
        assert dns.value.phase == "dns"
        with pytest.raises(ConnectError, match="refuses") as tcp:
            await network.connect(Origin("http", "up.test", 81))
        assert tcp.value.phase == "tcp"
        assert trio.current_time() == 0.5  # a refusal takes a round trip

        network.refusing_hosts.add("up.test")
        with pytest.raises(ConnectError, match="refuses"):
            await network.connect(origin_of("http://up.test"))
        network.refusing_hosts.clear()
        network.unresolvable_hosts.add("up.test")
        with pytest.raises(ConnectError, match="does not resolve"):
            await network.connect(origin_of("http://up.test"))
        network.unresolvable_hosts.clear()
        network.dead_hosts.add("up.test")
        with trio.move_on_after(100) as patience:
            await network.connect(origin_of("http://up.test"))
        assert patience.cancelled_caught
        network.dead_hosts.clear()
        (await network.connect(origin_of("http://up.test"))).close()
        assert network.connections == 1


async def test_what_the_body_raises_leaves_as_itself() -> None:
    with pytest.raises(KeyError) as caught:
        async with MemoryNetwork() as network:
            network.serve("http://up.test", talk)
            await network.connect(origin_of("http://up.test"))
            raise KeyError("mine")
    assert caught.value.args == ("mine",)


async def test_a_group_that_the_body_raises_stays_a_group() -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with MemoryNetwork():
            raise ExceptionGroup("mine", [KeyError("a")])
    assert caught.value.message == "mine"


async def test_what_a_handler_raises_ends_the_block() -> None:
    async def crash(stream: MemoryStream) -> None:
        raise LookupError("handler")

    with pytest.raises(LookupError, match="handler"):
        async with MemoryNetwork() as network:
            network.serve("http://up.test", crash)
            await network.connect(origin_of("http://up.test"))
            await trio.sleep_forever()


async def test_both_errors_are_raised_when_there_are_two() -> None:
    async def crash(stream: MemoryStream) -> None:
        raise LookupError("handler")

    with pytest.raises(BaseExceptionGroup) as caught:
        async with MemoryNetwork() as network:
            network.serve("http://up.test", crash)
            await network.connect(origin_of("http://up.test"))
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("body")
    assert {type(error) for error in caught.value.exceptions} == {LookupError, KeyError}


async def test_a_cancelled_block_ends_cancelled() -> None:
    with trio.CancelScope() as scope:
        async with MemoryNetwork() as network:
            network.serve("http://up.test", talk)
            await network.connect(origin_of("http://up.test"))
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_connecting_outside_of_the_block_says_so() -> None:
    network = MemoryNetwork()
    network.serve("http://up.test", talk)
    with pytest.raises(RuntimeError, match="inside its 'async with' block"):
        await network.connect(origin_of("http://up.test"))


@pytest.mark.parametrize("url", ["ftp://x.test", "x.test", "http://"])
def test_what_is_no_origin_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="an origin is"):
        origin_of(url)


# ---- raw exchanges

ASK = b"POST /v1 HTTP/1.1\r\nHost: up.test\r\nContent-Length: 4\r\n\r\nbody"


async def test_exchanges_are_played_in_order(virtual_clock: trio.testing.MockClock) -> None:
    server = ScriptedServer(
        [
            ScriptedExchange(
                [b"HTTP/1.1 200 OK\r\n", Delay(2), b"content-length: 0\r\n\r\n"], expect=b"POST /v1 "
            ),
            ScriptedExchange(
                [b"HTTP/1.1 200", End("reset")], expect=lambda raw: raw.endswith(b"\r\n\r\nbody")
            ),
            ScriptedExchange([End()]),
            ScriptedExchange([b"silence", End("stall")]),
        ]
    )
    async with MemoryNetwork() as network:
        network.serve("http://up.test", server)
        first = await network.connect(origin_of("http://up.test"))
        await first.send_all(ASK + ASK[:20])  # the beginning of the next request rides along
        assert await first.receive() == b"HTTP/1.1 200 OK\r\n"
        assert await first.receive() == b"content-length: 0\r\n\r\n"
        assert trio.current_time() == 2
        await first.send_all(ASK[20:])
        assert await first.receive() == b"HTTP/1.1 200"
        with pytest.raises(trio.BrokenResourceError):
            await first.receive()
        second = await network.connect(origin_of("http://up.test"))
        await second.send_all(ASK)
        assert await second.receive() == b""
        third = await network.connect(origin_of("http://up.test"))
        await third.send_all(ASK)
        assert await third.receive() == b"silence"
        with trio.move_on_after(1000) as patience:
            await third.receive()
        assert patience.cancelled_caught
        assert server.is_used_up
        assert server.requests == [ASK] * 4


@pytest.mark.parametrize(
    ("exchanges", "message"),
    [
        ([], "0 exchanges were scripted"),
        ([ScriptedExchange([], expect=b"GET ")], "request 1 is not what was expected: POST /v1"),
    ],
)
async def test_an_unexpected_request_fails_the_test(exchanges: list[ScriptedExchange], message: str) -> None:
    with pytest.raises(UnexpectedRequestError, match=message) as caught:
        async with MemoryNetwork() as network:
            network.serve("http://up.test", ScriptedServer(exchanges))
            connection = await network.connect(origin_of("http://up.test"))
            await connection.send_all(ASK)
            await connection.receive()
            await trio.sleep_forever()
    assert caught.value.request == ASK
