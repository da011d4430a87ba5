"""The transport over streams in memory, on a clock that jumps: exchanges, reuse, faults, deadlines, cancellation at every point."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tercet.adapters.call import HttpCall, Origin
from tercet.codecs.vocabulary import (
    ConfigurationError,
    DeadlineError,
    ProtocolError,
    StreamInterruptedError,
    TransportError,
)
from tercet.engine.runtime.transport import StreamConnection, Transport, TransportLimits
from tercet.engine.testing import sweep_cancellation

ORIGIN = Origin("http", "api.test", 80)
CALL = HttpCall("POST", ORIGIN, "/v1/chat", (("authorization", "Bearer key"),), b'{"a":1}')
HEAD = b"HTTP/1.1 200 OK\r\n"
HELLO = HEAD + b"Content-Length: 5\r\n\r\nhello"

Handler = Callable[[trio.abc.Stream, int], Awaitable[None]]


class Net:
    """A network whose servers are functions: each connection's other end is given to ``handler`` with its number, from 1."""

    def __init__(self, nursery: trio.Nursery, handler: Handler, pair: Callable[[], Any]) -> None:
        self.nursery = nursery
        self.handler = handler
        self.pair = pair
        self.connections: list[StreamConnection] = []
        self.streams: list[Any] = []

    async def connect(self, origin: Origin) -> StreamConnection:
        await trio.lowlevel.checkpoint()
        ours, theirs = self.pair()
        connection = StreamConnection(ours)
        self.connections.append(connection)
        self.streams.append(ours)
        self.nursery.start_soon(self._serve, theirs, len(self.connections))
        return connection

    async def _serve(self, stream: trio.abc.Stream, number: int) -> None:
        async with stream:
            try:
                await self.handler(stream, number)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the client has gone

    @property
    def open(self) -> int:
        return sum(not connection.is_stale() for connection in self.connections)


@asynccontextmanager
async def serving(
    handler: Handler, *, pair: Callable[[], Any] = trio.testing.memory_stream_pair, **options: Any
) -> AsyncIterator[tuple[Transport, Net]]:
    async with trio.open_nursery() as nursery:
        net = Net(nursery, handler, pair)
        transport = Transport(net, **options)
        yield transport, net
        transport.close()
        nursery.cancel_scope.cancel()
        assert transport.statistics().open == 0
        assert net.open == 0


async def read_request(stream: trio.abc.Stream) -> bytes:
    """One request with its body; ``b""`` at the end of the stream."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = await stream.receive_some()
        if not chunk:
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    while len(body) < length:
        chunk = await stream.receive_some()
        if not chunk:
            return b""
        body += chunk
    return head + b"\r\n\r\n" + body


def answering(*answers: bytes) -> Handler:
    """Give the answers in turn, the last one again and again; ``b""`` closes."""

    async def handler(stream: trio.abc.Stream, number: int) -> None:
        for turn in range(1000):
            if not await read_request(stream):
                return
            answer = answers[min(turn, len(answers) - 1)]
            if not answer:
                return
            await stream.send_all(answer)

    return handler


def once(answer: bytes) -> Handler:
    """Answer one request, and close."""

    async def handler(stream: trio.abc.Stream, number: int) -> None:
        await read_request(stream)
        await stream.send_all(answer)

    return handler


async def read_all(response: Any) -> bytes:
    pieces: list[bytes] = []
    while data := await response.receive():
        pieces.append(data)
    return b"".join(pieces)


# --- exchanges and reuse -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parser", ["httptools", "h11"])
async def test_requests_are_answered_on_one_connection(parser: Any) -> None:
    seen: list[bytes] = []

    async def handler(stream: trio.abc.Stream, number: int) -> None:
        while request := await read_request(stream):
            seen.append(request)
            await stream.send_all(HELLO)

    async with serving(handler, parser=parser) as (transport, _):
        for turn in range(3):
            response = await transport.send(CALL)
            assert (response.status, response.http_version, response.reused) == (200, "1.1", turn > 0)
            assert response.headers == {"content-length": "5"}
            assert await response.receive() == b"hello"
            assert await response.receive() == b""
            assert await response.receive() == b""
            response.close()
            response.close()
        counts = transport.statistics()
        assert (counts.open, counts.idle, counts.connects, counts.reuses, counts.free_retries) == (
            1,
            1,
            1,
            2,
            0,
        )
    assert seen[0].startswith(b"POST /v1/chat HTTP/1.1\r\nhost: api.test\r\n")
    assert seen[0].endswith(b'\r\n\r\n{"a":1}')


async def test_the_body_streams_as_it_comes() -> None:
    go_on = trio.Event()

    async def handler(stream: trio.abc.Stream, number: int) -> None:
        await read_request(stream)
        await stream.send_all(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await go_on.wait()
        await stream.send_all(b"3\r\ntwo\r\n5\r\nthree\r\n")
        await stream.send_all(b"0\r\n\r\n")

    async with serving(handler) as (transport, _), await transport.send(CALL) as response:
        assert await response.receive() == b"one"
        go_on.set()
        assert await read_all(response) == b"twothree"


async def test_the_last_connection_in_is_the_first_out() -> None:
    async def handler(stream: trio.abc.Stream, number: int) -> None:
        while await read_request(stream):
            await stream.send_all(HEAD + b"X-Connection: %d\r\nContent-Length: 1\r\n\r\n" % number)
            await stream.send_all(b"x")

    async with serving(handler) as (transport, _):
        first = [await transport.send(CALL) for _ in range(3)]
        for index in (1, 0, 2):
            assert await first[index].read() == b"x"
        second = [await transport.send(CALL) for _ in range(3)]
        assert [response.headers["x-connection"] for response in second] == ["3", "1", "2"]
        for response in second:
            response.close()


async def test_an_answer_to_head_has_no_body() -> None:
    head = HttpCall("HEAD", ORIGIN, "/")
    async with serving(answering(HEAD + b"Content-Length: 5\r\n\r\n")) as (transport, _):
        for _ in range(2):
            assert await (await transport.send(head)).read() == b""
        assert transport.statistics().reuses == 1


async def test_interim_answers_are_skipped() -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + HELLO
    async with serving(answering(answer)) as (transport, _):
        response = await transport.send(CALL)
        assert (response.status, await response.read()) == (200, b"hello")


async def test_compressed_bodies_are_read_as_text() -> None:
    packed = gzip.compress(b"hello" * 1000)
    answer = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
    async with serving(answering(answer)) as (transport, _):
        response = await transport.send(CALL, accept_encoding="gzip, deflate")
        assert await response.read() == b"hello" * 1000
        assert transport.statistics().idle == 1


async def test_old_idle_connections_are_closed(autojump_clock: trio.testing.MockClock) -> None:
    async with serving(answering(HELLO), keepalive_expiry=30) as (transport, net):
        await (await transport.send(CALL)).read()
        await trio.sleep(29)
        assert (await transport.send(CALL)).reused
        await trio.sleep(31)
        assert not (await transport.send(CALL)).reused
        assert len(net.connections) == 2
        assert transport.statistics().open == 1


async def test_idle_connections_of_other_origins_are_swept(autojump_clock: trio.testing.MockClock) -> None:
    async with serving(answering(HELLO), keepalive_expiry=30) as (transport, _):
        for port in range(80, 90):
            await (await transport.send(HttpCall("GET", Origin("http", "api.test", port), "/"))).read()
        assert transport.statistics().idle == 10
        await trio.sleep(31)
        await (await transport.send(CALL)).read()
        assert transport.statistics().idle == 1
        assert transport.statistics().open == 1


async def test_no_more_connections_are_kept_than_allowed() -> None:
    async def slow(stream: trio.abc.Stream, number: int) -> None:
        await read_request(stream)
        await stream.send_all(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        await trio.lowlevel.checkpoint()
        await stream.send_all(b"0\r\n\r\n")
        await trio.sleep_forever()

    async with serving(slow, max_idle_per_origin=2) as (transport, _):
        responses = [await transport.send(CALL) for _ in range(5)]
        assert transport.statistics().open == 5
        for response in responses:
            await response.read()
        assert transport.statistics().idle == 2
        assert transport.statistics().open == 2


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        HELLO + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
        HELLO + b"garbage",
    ],
)
async def test_a_connection_is_not_used_again_when_it_must_not_be(answer: bytes) -> None:
    async with serving(answering(answer)) as (transport, net):
        for _ in range(2):
            response = await transport.send(CALL)
            assert not response.reused
            assert await response.read() == b"hello"
        assert len(net.connections) == 2
        assert net.open == 0


async def test_an_answer_closed_before_its_end_closes_the_connection() -> None:
    async with serving(answering(HEAD + b"Content-Length: 10\r\n\r\nhello")) as (transport, net):
        response = await transport.send(CALL)
        assert await response.receive() == b"hello"
        response.close()
        assert net.open == 0
        with pytest.raises(trio.ClosedResourceError):
            await response.receive()
        await response.aclose()


async def test_closing_wakes_up_a_reader() -> None:
    async with serving(answering(HEAD + b"Content-Length: 10\r\n\r\n")) as (transport, _):
        response = await transport.send(CALL)
        async with trio.open_nursery() as nursery:

            async def reader() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await response.receive()

            nursery.start_soon(reader)
            await trio.testing.wait_all_tasks_blocked()
            response.close()


async def test_a_closed_transport_keeps_nothing() -> None:
    async with serving(answering(HELLO)) as (transport, net):
        await (await transport.send(CALL)).read()
        transport.close()
        assert net.open == 0
        assert await (await transport.send(CALL)).read() == b"hello"
        assert net.open == 0
        assert transport.statistics().open == 0
        transport.close()


# --- dead connections ----------------------------------------------------------------------------------------------------------


async def test_a_dead_idle_connection_is_replaced_once_for_free() -> None:
    # memory streams cannot be asked whether they are stale, so the request goes out and meets the end of the stream
    async with serving(answering(HELLO, b"")) as (transport, net):
        await (await transport.send(CALL)).read()
        response = await transport.send(CALL)
        assert not response.reused
        assert await response.read() == b"hello"
        assert transport.statistics().free_retries == 1
        assert len(net.connections) == 2


async def test_a_connection_known_to_be_stale_is_not_tried() -> None:
    async with serving(answering(HELLO)) as (transport, net):
        await (await transport.send(CALL)).read()
        net.connections[0].close()
        assert not (await transport.send(CALL)).reused
        assert transport.statistics().free_retries == 0


async def test_a_fresh_connection_that_dies_is_an_error() -> None:
    async def handler(stream: trio.abc.Stream, number: int) -> None:
        await read_request(stream)
        if number == 1:
            await stream.send_all(HELLO)
            await read_request(stream)

    async with serving(handler) as (transport, net):
        await (await transport.send(CALL)).read()
        with pytest.raises(StreamInterruptedError, match="without an answer"):
            await transport.send(CALL)
        assert transport.statistics().free_retries == 1
        assert len(net.connections) == 2


async def test_a_reused_connection_that_has_begun_to_answer_is_not_replaced() -> None:
    async def half(stream: trio.abc.Stream, number: int) -> None:
        await read_request(stream)
        await stream.send_all(HELLO)
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 2")

    async with serving(half) as (transport, _):
        await (await transport.send(CALL)).read()
        with pytest.raises(StreamInterruptedError, match="before its head was complete"):
            await transport.send(CALL)
        assert transport.statistics().free_retries == 0


# --- faults --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "body", "error"),
    [
        (HEAD + b"Content-Length: 10\r\n\r\nhello", b"hello", StreamInterruptedError),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"hello", StreamInterruptedError),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhello", b"hello", StreamInterruptedError),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n", b"hello", ProtocolError),
        (HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"hello")[:-2], b"hello", ProtocolError),
        (HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"hello") + b"x", b"", ProtocolError),
    ],
)
async def test_what_came_before_a_fault_is_given_first_and_the_fault_stays(
    answer: bytes, body: bytes, error: type[TransportError]
) -> None:
    async with serving(once(answer)) as (transport, net):
        response = await transport.send(CALL)
        received = b""
        with pytest.raises(error) as first:
            while data := await response.receive():
                received += data
        assert received == body
        for _ in range(2):
            with pytest.raises(error) as again:
                await response.receive()
            assert again.value is first.value
        assert first.value.status == 200
        response.close()
        assert net.open == 0


async def test_a_broken_connection_in_mid_body_is_an_interrupted_stream() -> None:
    async with serving(answering(HEAD + b"Content-Length: 10\r\n\r\nhello")) as (transport, net):
        response = await transport.send(CALL)

        async def broken(limit: int | None = None) -> bytes:
            raise trio.BrokenResourceError("made up")

        net.streams[0].receive_stream.receive_some = broken
        assert await response.receive() == b"hello"
        with pytest.raises(StreamInterruptedError, match="in the middle"):
            await response.receive()


async def test_a_body_larger_than_the_limit_is_refused() -> None:
    async with serving(answering(HELLO), limits=TransportLimits(body_bytes=5)) as (transport, net):
        assert await (await transport.send(CALL)).read() == b"hello"
        with pytest.raises(ProtocolError, match="larger than 4 bytes"):
            await (await transport.send(CALL)).read(4)
        endless = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"5\r\nhello\r\n" * 3
        net.handler = answering(endless)
        transport.close()
        with pytest.raises(ProtocolError, match="larger than 5 bytes"):
            await (await transport.send(CALL)).read()
        assert net.open == 0


async def test_a_call_that_cannot_be_written_opens_no_connection() -> None:
    async with serving(answering(HELLO)) as (transport, net):
        with pytest.raises(ConfigurationError):
            await transport.send(HttpCall("GET", ORIGIN, "no slash"))
        assert net.connections == []


# --- deadlines -----------------------------------------------------------------------------------------------------------------


async def test_connecting_has_its_clock(autojump_clock: trio.testing.MockClock) -> None:
    class Dead:
        async def connect(self, origin: Origin) -> StreamConnection:
            await trio.sleep_forever()
            raise AssertionError

    transport = Transport(Dead())
    start = trio.current_time()
    with pytest.raises(DeadlineError, match=r"api\.test") as caught:
        await transport.send(CALL, connect_timeout=7)
    assert caught.value.clock == "connect"
    assert trio.current_time() - start == 7
    assert transport.statistics().open == 0


async def test_the_first_byte_has_its_clock(autojump_clock: trio.testing.MockClock) -> None:
    async def silent(stream: trio.abc.Stream, number: int) -> None:
        await read_request(stream)
        await trio.sleep_forever()

    async with serving(silent) as (transport, net):
        start = trio.current_time()
        with pytest.raises(DeadlineError) as caught:
            await transport.send(CALL, first_byte_timeout=3)
        assert caught.value.clock == "first_content"
        assert trio.current_time() - start == 3
        assert net.open == 0
        net.handler = answering(HELLO)
        assert await (await transport.send(CALL, first_byte_timeout=3)).read() == b"hello"


async def test_a_call_in_a_cancelled_scope_sends_nothing() -> None:
    seen: list[bytes] = []

    async def handler(stream: trio.abc.Stream, number: int) -> None:
        while request := await read_request(stream):
            seen.append(request)
            await stream.send_all(HELLO)

    async with serving(handler) as (transport, _):
        await (await transport.send(CALL)).read()
        with trio.CancelScope() as scope:
            scope.cancel()
            await transport.send(CALL)
        assert scope.cancelled_caught
        await trio.testing.wait_all_tasks_blocked()
        assert len(seen) == 1
        assert transport.statistics().idle == 1


async def test_a_cancelled_receive_has_lost_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async def slow(stream: trio.abc.Stream, number: int) -> None:
        await read_request(stream)
        await stream.send_all(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for number in range(10):
            await trio.sleep(1)
            await stream.send_all(b"1\r\n%d\r\n" % number)
        await stream.send_all(b"0\r\n\r\n")

    async with serving(slow) as (transport, _):
        response = await transport.send(CALL)
        received = b""
        for _ in range(100):
            with trio.move_on_after(0.3):
                data = await response.receive()
                received += data
                if not data:
                    break
        assert received == b"0123456789"
        assert transport.statistics().idle == 1


# --- large requests and early answers ------------------------------------------------------------------------------------------

LARGE = HttpCall("POST", ORIGIN, "/v1/chat", (), bytes(8 << 20))


async def test_a_large_request_is_sent_whole() -> None:
    async with serving(answering(HELLO), pair=trio.testing.lockstep_stream_pair) as (transport, _):
        for _ in range(2):
            assert await (await transport.send(LARGE)).read() == b"hello"
        assert transport.statistics().reuses == 1


async def test_an_early_refusal_stops_the_sending(autojump_clock: trio.testing.MockClock) -> None:
    async def refuse(stream: trio.abc.Stream, number: int) -> None:
        await stream.receive_some(1000)
        await stream.send_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\n\r\n")
        await stream.send_all(b"too large")
        await trio.sleep_forever()  # reads nothing more

    async with serving(refuse, pair=trio.testing.lockstep_stream_pair) as (transport, net):
        with trio.fail_after(10):
            response = await transport.send(LARGE)
        assert (response.status, await response.read()) == (413, b"too large")
        assert net.open == 0  # half a request was sent on it


async def test_an_early_success_waits_until_all_is_sent(autojump_clock: trio.testing.MockClock) -> None:
    received = 0

    async def eager(stream: trio.abc.Stream, number: int) -> None:
        nonlocal received
        received += len(await stream.receive_some(1000))
        await stream.send_all(b"HTTP/1.1 100 Continue\r\n\r\n")
        await stream.send_all(HELLO)
        while received < len(LARGE.body) + 100:
            received += len(await stream.receive_some())

    async with serving(eager, pair=trio.testing.lockstep_stream_pair) as (transport, _):
        with trio.fail_after(10):
            response = await transport.send(LARGE)
            assert await response.read() == b"hello"
    assert received > len(LARGE.body)


async def test_a_server_that_ends_in_the_middle_of_the_request_is_an_interrupted_stream(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def leave(stream: Any, number: int) -> None:
        await stream.receive_some(1000)
        await stream.send_eof()
        await trio.sleep_forever()

    async with serving(leave, pair=trio.testing.lockstep_stream_pair) as (transport, net):
        with trio.fail_after(10), pytest.raises(StreamInterruptedError):
            await transport.send(LARGE)
        assert net.open == 0


@pytest.mark.parametrize("call", [CALL, LARGE], ids=["small", "large"])
async def test_an_answer_is_read_although_sending_failed(call: HttpCall) -> None:
    async with serving(answering(HELLO)) as (transport, net):

        async def refuse(stream: Any, number: int) -> None:
            await stream.send_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy")
            stream.receive_stream.close()
            await trio.sleep_forever()

        net.handler = refuse
        connect = net.connect

        async def connect_late(origin: Origin) -> StreamConnection:
            connection = await connect(origin)
            await trio.testing.wait_all_tasks_blocked()
            return connection

        net.connect = connect_late  # type: ignore[method-assign]  # so that the server is done before we send
        response = await transport.send(call)
        assert net.open == 0  # the answer was whole, and the request was not
        assert (response.status, await response.read()) == (503, b"busy")


async def test_the_reason_why_sending_failed_is_kept() -> None:
    async def leave(stream: trio.abc.Stream, number: int) -> None:
        return

    async with serving(leave) as (transport, net):
        connect = net.connect

        async def connect_late(origin: Origin) -> StreamConnection:
            connection = await connect(origin)
            await trio.testing.wait_all_tasks_blocked()
            return connection

        net.connect = connect_late  # type: ignore[method-assign]  # so that the server is gone before we send
        with pytest.raises(StreamInterruptedError, match="without an answer") as caught:
            await transport.send(CALL)
        assert isinstance(caught.value.__cause__, trio.BrokenResourceError)


# --- cancellation at every point -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", [trio.testing.memory_stream_pair, trio.testing.lockstep_stream_pair])
async def test_cancelled_at_any_point_nothing_stays_open(pair: Callable[[], Any]) -> None:
    async def handler(stream: trio.abc.Stream, number: int) -> None:
        while request := await read_request(stream):
            if request.startswith(b"GET /stream"):
                await stream.send_all(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
                for _ in range(3):
                    await stream.send_all(b"5\r\nhello\r\n")
                await stream.send_all(b"0\r\n\r\n")
            elif request.startswith(b"GET /die"):
                return
            else:
                await stream.send_all(HELLO)

    async with trio.open_nursery() as nursery:
        net = Net(nursery, handler, pair)
        transports: list[Transport] = []

        async def scenario() -> None:
            transport = Transport(net)
            transports.append(transport)
            try:
                await (await transport.send(CALL)).read()
                async with await transport.send(HttpCall("GET", ORIGIN, "/stream")) as response:
                    assert await read_all(response) == b"hello" * 3
                async with await transport.send(
                    HttpCall("GET", ORIGIN, "/stream"), first_byte_timeout=100
                ) as response:
                    await response.receive()
                with pytest.raises(StreamInterruptedError):
                    await transport.send(HttpCall("GET", ORIGIN, "/die"))
                await (await transport.send(HttpCall("POST", ORIGIN, "/large", (), bytes(100_000)))).read()
            finally:
                counts = transport.statistics()
                assert counts.open == counts.idle
                transport.close()

        def check() -> None:
            assert net.open == 0
            assert transports[-1].statistics().open == 0

        points = await sweep_cancellation(scenario, check=check)
        assert points > 15
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


# --- the public vectors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parser", ["httptools", "h11"])
async def test_no_reply_of_the_corpora_makes_it_hang_or_raise_what_is_not_ours(
    parser: Any, shared: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replies = [
        bytes.fromhex(case[key])
        for folder, key in (("llhttp-responses", "raw_hex"), ("curl-replies", "reply_hex"))
        for case in json.loads((shared / "vectors" / folder / "cases.json").read_bytes())["cases"]
    ]
    replies += [
        reply.replace(b"%CR", b"").replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for reply in replies
    ]
    assert len(replies) == 2 * (73 + 94)
    for reply in replies:
        for stays_open in (False, True):

            async def handler(
                stream: trio.abc.Stream, number: int, reply: bytes = reply, stays: bool = stays_open
            ) -> None:
                await read_request(stream)
                for start in range(0, len(reply), 50):
                    await stream.send_all(reply[start : start + 50])
                if stays:
                    await trio.sleep_forever()

            async with serving(handler, parser=parser) as (transport, _):
                with trio.move_on_after(60):
                    try:
                        response = await transport.send(CALL, first_byte_timeout=20)
                        async with response:
                            with trio.move_on_after(20):
                                await response.read()
                    except TransportError:
                        pass
                    continue
                pytest.fail(f"hangs: {reply!r}")
