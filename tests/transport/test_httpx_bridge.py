"""The bridges to httpx, both ways, over memory and over real sockets."""

from __future__ import annotations

import gzip
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from tercet.adapters.call import HttpCall, Origin
from tercet.codecs.vocabulary import (
    ConfigurationError,
    ConnectError,
    DeadlineError,
    ProtocolError,
    StreamInterruptedError,
)
from tercet.engine.runtime.transport import SocketNetwork, Transport, TransportLimits
from tercet.engine.runtime.transport.httpx_bridge import HttpxTransport, TercetTransport
from tercet.engine.testing import assert_nothing_left

HEAD = b"HTTP/1.1 200 OK\r\n"
HELLO = HEAD + b"Content-Length: 5\r\nX-A: 1\r\n\r\nhello"
Handler = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[int]:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                await handler(stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the client has gone

    async with trio.open_nursery() as nursery:
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def read_request(stream: trio.SocketStream) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = await stream.receive_some()
        if not chunk:
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    while len(body) < length:
        body += await stream.receive_some()
    return head + b"\r\n\r\n" + body


def answering(answer: bytes, seen: list[bytes] | None = None, *, close: bool = False) -> Handler:
    async def handler(stream: trio.SocketStream) -> None:
        while request := await read_request(stream):
            if seen is not None:
                seen.append(request)
            await stream.send_all(answer)
            if close:
                return

    return handler


async def silent(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


# --- our transport under httpx ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def our_client(**options: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = Transport(SocketNetwork())
    async with httpx.AsyncClient(transport=TercetTransport(transport), **options) as client:
        yield client
    assert transport.statistics().open == 0


async def test_httpx_speaks_through_our_transport() -> None:
    seen: list[bytes] = []
    async with assert_nothing_left(), listening(answering(HELLO, seen)) as port, our_client() as client:
        for _ in range(2):
            response = await client.post(
                f"http://127.0.0.1:{port}/a%20b?c=d", json={"a": 1}, headers={"authorization": "Bearer k"}
            )
            assert (response.status_code, response.text, response.http_version) == (200, "hello", "HTTP/1.1")
            assert response.headers["x-a"] == "1"
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /a%20b?c=d HTTP/1.1\r\n")
    assert body == b'{"a":1}'
    for name in (b"host:", b"content-length:", b"accept-encoding:"):
        assert head.lower().count(b"\r\n" + name) == 1
    assert b"accept-encoding: gzip, deflate\r\n" in head + b"\r\n"


async def test_httpx_reads_streams_and_compressed_bodies() -> None:
    packed = gzip.compress(b"hello" * 100)
    answer = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
    async with assert_nothing_left(), listening(answering(answer)) as port, our_client() as client:
        async with client.stream("GET", f"http://127.0.0.1:{port}/") as response:
            assert b"".join([chunk async for chunk in response.aiter_bytes()]) == b"hello" * 100
        async with client.stream("GET", f"http://127.0.0.1:{port}/"):
            pass  # left unread


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (HEAD + b"Content-Length: 10\r\n\r\nhello", httpx.ReadError),
        (b"garbage", httpx.RemoteProtocolError),
        (b"", httpx.ReadError),
    ],
)
async def test_httpx_gets_its_own_errors(answer: bytes, error: type[Exception]) -> None:
    async with (
        assert_nothing_left(),
        listening(answering(answer, close=True)) as port,
        our_client() as client,
    ):
        with pytest.raises(error):
            await client.get(f"http://127.0.0.1:{port}/")


async def test_httpx_timeouts_hold() -> None:
    async def stalls(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await stream.send_all(HEAD + b"Content-Length: 10\r\n\r\nhello")
        await trio.sleep_forever()

    async with assert_nothing_left(), our_client(timeout=0.05) as client:
        for handler in (silent, stalls):
            async with listening(handler) as port:
                with pytest.raises(httpx.ReadTimeout):
                    await client.get(f"http://127.0.0.1:{port}/")
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:9/")
        with pytest.raises(httpx.LocalProtocolError):
            await client.get("http://127.0.0.1:9/", headers={"x": "a\nb"})
        with pytest.raises(httpx.UnsupportedProtocol):
            await client.get("ftp://127.0.0.1/")


# --- httpx under our interface ------------------------------------------------------------------------------------------------


def call(port: int, **fields: Any) -> HttpCall:
    return HttpCall(
        fields.pop("method", "POST"),
        Origin("http", "127.0.0.1", port),
        fields.pop("target", "/v1?a=b%2Fc"),
        **fields,
    )


async def test_our_interface_over_a_programs_client() -> None:
    seen: list[bytes] = []
    async with listening(answering(HELLO, seen)) as port, httpx.AsyncClient() as client:
        transport = HttpxTransport(client)
        for _ in range(2):
            response = await transport.send(call(port, headers=(("authorization", "Bearer k"),), body=b"{}"))
            assert (response.status, response.http_version, response.headers["x-a"]) == (200, "1.1", "1")
            assert await response.receive() == b"hello"
            assert await response.receive() == b""
            response.close()
        response = await transport.send(call(port), accept_encoding="gzip, deflate")
        assert await response.read() == b"hello"
    assert seen[0].startswith(b"POST /v1?a=b%2Fc HTTP/1.1\r\n")
    assert b"accept-encoding: identity\r\n" in seen[0].lower()
    assert b"accept-encoding: gzip, deflate\r\n" in seen[2].lower()


async def test_compressed_bodies_are_ours_to_inflate() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    answer = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb
    async with listening(answering(answer)) as port, httpx.AsyncClient() as client:
        with pytest.raises(ProtocolError, match="bomb"):
            await (await HttpxTransport(client).send(call(port))).read()
        limited = HttpxTransport(client, limits=TransportLimits(body_bytes=1000, inflate_ratio=10_000))
        with pytest.raises(ProtocolError, match="larger"):
            await (await limited.send(call(port))).read()


async def test_redirects_are_answers() -> None:
    answer = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://other.test/\r\nContent-Length: 0\r\n\r\n"
    async with listening(answering(answer)) as port, httpx.AsyncClient(follow_redirects=True) as client:
        response = await HttpxTransport(client).send(call(port, headers=(("x-api-key", "k"),)))
        assert response.status == 307
        response.close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (HEAD + b"Content-Length: 10\r\n\r\nhello", StreamInterruptedError),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", ProtocolError),
        (b"garbage\r\n\r\n", ProtocolError),
        (b"", StreamInterruptedError),
    ],
)
async def test_errors_are_ours(answer: bytes, error: type[Exception]) -> None:
    async with listening(answering(answer, close=True)) as port, httpx.AsyncClient() as client:
        with pytest.raises(error):
            await (await HttpxTransport(client).send(call(port))).read()


async def test_a_refused_connection_and_a_bad_header_are_ours_too() -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(ConnectError):
            await HttpxTransport(client).send(call(9))
        with pytest.raises(ConfigurationError) as caught:
            await HttpxTransport(client).send(call(9, headers=(("authorization", "sk-secret\n"),)))
        assert "sk-secret" not in str(caught.value)


async def test_the_first_byte_clock_holds() -> None:
    async with listening(silent) as port, httpx.AsyncClient() as client:
        with pytest.raises(DeadlineError) as caught:
            await HttpxTransport(client).send(call(port), first_byte_timeout=0.05)
        assert caught.value.clock == "first_content"


async def test_closed_early_httpx_closes_its_connection() -> None:
    gone = trio.Event()

    async def handler(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await stream.send_all(HEAD + b"Content-Length: 10\r\n\r\nhello")
        try:
            await stream.receive_some()
        finally:
            gone.set()

    async with listening(handler) as port, httpx.AsyncClient() as client:
        response = await HttpxTransport(client).send(call(port))
        assert await response.receive() == b"hello"
        response.close()
        response.close()
        with pytest.raises(trio.ClosedResourceError):
            await response.receive()
        with trio.fail_after(5):
            await gone.wait()


def test_the_package_does_not_load_httpx() -> None:
    code = "import sys, tercet.engine.runtime.transport; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture(autouse=True)
def quiet_httpx() -> None:
    logging.getLogger("httpx").setLevel(logging.WARNING)
