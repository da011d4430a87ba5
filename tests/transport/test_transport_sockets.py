"""The transport over real sockets on the loopback: resets, large bodies, TLS and its failures, proxies, and no socket left behind."""

from __future__ import annotations

import datetime
import errno
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
import trustme

from tercet.adapters.call import HttpCall, Origin
from tercet.codecs.vocabulary import ConnectError, DeadlineError, StreamInterruptedError
from tercet.engine.runtime.transport import SocketNetwork, Transport, proxies_from_environ
from tercet.engine.runtime.transport.dialing import Address
from tercet.engine.runtime.transport.sockets import SocketConnection, TlsConnection
from tercet.engine.testing import assert_nothing_left, sweep_cancellation

HEAD = b"HTTP/1.1 200 OK\r\n"
HELLO = HEAD + b"Content-Length: 5\r\n\r\nhello"
Handler = Callable[[Any], Awaitable[None]]


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    async with assert_nothing_left():
        yield


@asynccontextmanager
async def listening(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a port of its own; ``handler`` gets each connection's stream, which is closed after it."""

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                if tls is None:
                    await handler(stream)
                else:
                    secured = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
                    await secured.do_handshake()
                    await handler(secured)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the client has gone

    async with trio.open_nursery() as nursery:
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def read_request(stream: Any) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = await stream.receive_some()
        if not chunk:
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    missing = length - len(body)
    pieces = [body]
    while missing > 0:
        chunk = await stream.receive_some()
        if not chunk:
            return b""
        pieces.append(chunk)
        missing -= len(chunk)
    return head + b"\r\n\r\n" + b"".join(pieces)


def answering(answer: bytes, *, times: int = 1_000_000) -> Handler:
    async def handler(stream: Any) -> None:
        for _ in range(times):
            if not await read_request(stream):
                return
            await stream.send_all(answer)

    return handler


def reset(stream: trio.SocketStream) -> None:
    """Close with RST instead of FIN."""
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


def get(
    port: int, *, scheme: Any = "http", host: str = "127.0.0.1", target: str = "/", **fields: Any
) -> HttpCall:
    return HttpCall(fields.pop("method", "GET"), Origin(scheme, host, port), target, **fields)


@asynccontextmanager
async def transporting(network: SocketNetwork | None = None, **options: Any) -> AsyncIterator[Transport]:
    transport = Transport(network or SocketNetwork(), **options)
    try:
        yield transport
    finally:
        transport.close()
        assert transport.statistics().open == 0


# --- plain TCP -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parser", ["httptools", "h11"])
async def test_connections_are_kept_and_used_again(parser: Any) -> None:
    async with listening(answering(HELLO)) as port, transporting(parser=parser) as transport:
        for _ in range(5):
            assert await (await transport.send(get(port))).read() == b"hello"
        counts = transport.statistics()
        assert (counts.connects, counts.reuses, counts.idle) == (1, 4, 1)


async def test_five_hundred_requests_at_once() -> None:
    async def echo(stream: Any) -> None:
        while request := await read_request(stream):
            body = request.partition(b"\r\n\r\n")[2]
            await stream.send_all(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async with listening(echo) as port, transporting() as transport:

        async def ask(number: int) -> None:
            body = b"%d," % number * (number % 50 + 1)
            for _ in range(3):
                response = await transport.send(get(port, method="POST", body=body))
                assert await response.read() == body

        async with trio.open_nursery() as nursery:
            for number in range(500):
                nursery.start_soon(ask, number)
        counts = transport.statistics()
        assert counts.connects + counts.reuses == 1500
        assert counts.connects <= 500
        assert counts.open == counts.idle


async def test_an_idle_connection_that_was_closed_is_not_tried() -> None:
    async with listening(answering(HELLO, times=1)) as port, transporting() as transport:
        for _ in range(3):
            assert await (await transport.send(get(port))).read() == b"hello"
            await until_readable(transport)
        counts = transport.statistics()
        assert (counts.connects, counts.free_retries) == (3, 0)


async def test_an_idle_connection_that_has_something_to_say_is_not_tried() -> None:
    async def chatty(stream: Any) -> None:
        await read_request(stream)
        await stream.send_all(HELLO)
        await trio.testing.wait_all_tasks_blocked()
        await stream.send_all(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await trio.sleep_forever()

    async with listening(chatty) as port, transporting() as transport:
        assert await (await transport.send(get(port))).read() == b"hello"
        await until_readable(transport)
        response = await transport.send(get(port))
        assert (response.status, response.reused) == (200, False)


async def until_readable(transport: Transport) -> None:
    """Wait until the idle connection was closed or written to by the server."""
    connection: Any = next(iter(transport._pool._idle.values()))[-1][0]
    with trio.fail_after(5):
        await trio.lowlevel.wait_readable(connection._fd)


async def test_a_reset_at_any_byte_is_an_interrupted_stream() -> None:
    answer = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n"
    count = 0

    async def handler(stream: Any) -> None:
        await read_request(stream)
        await stream.send_all(answer[:count])
        await stream.receive_some(1)  # the client has read it all, and says so
        reset(stream)

    async with listening(handler) as port:
        for count in range(1, len(answer)):  # noqa: B007 - the handler reads it
            async with transporting() as transport:
                call = get(port)
                received = b""
                connection: Any = None
                connect = transport._network.connect

                async def noting(origin: Origin, connect: Any = connect) -> Any:
                    nonlocal connection
                    connection = await connect(origin)
                    return Noting(connection)

                transport._network.connect = noting  # type: ignore[method-assign]  # to see what was read
                with pytest.raises(StreamInterruptedError):
                    response = await transport.send(call)
                    while data := await response.receive():
                        received += data
                assert b"helloworld".startswith(received)


class Noting:
    """A connection that tells the server when all of its bytes were read, by sending one more byte."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.close = connection.close
        self.is_stale = connection.is_stale
        self.send_all = connection.send_all

    async def receive(self) -> Any:
        data = bytes(await self.connection.receive())
        try:
            await self.connection.send_all(b"x")
        except OSError:
            pass  # it was told before
        return data


async def test_a_reset_before_any_byte_is_an_interrupted_stream() -> None:
    async def handler(stream: Any) -> None:
        await read_request(stream)
        reset(stream)

    async with listening(handler) as port, transporting() as transport:
        with pytest.raises(StreamInterruptedError, match="without an answer") as caught:
            await transport.send(get(port))
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno == errno.ECONNRESET


async def test_a_large_request_and_a_large_answer() -> None:
    async def echo(stream: Any) -> None:
        body = (await read_request(stream)).partition(b"\r\n\r\n")[2]
        await stream.send_all(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    body = bytes(range(256)) * (32 << 10)
    async with listening(echo) as port, transporting() as transport:
        response = await transport.send(get(port, method="POST", body=body))
        assert await response.read() == body


@pytest.mark.parametrize("ending", ["close", "reset", "stay"])
async def test_an_early_413_is_read_while_eight_megabytes_are_being_sent(ending: str) -> None:
    async def refuse(stream: Any) -> None:
        await stream.receive_some(1000)
        await stream.send_all(
            b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig"
        )
        if ending == "stay":
            await trio.sleep_forever()
        elif ending == "reset":
            reset(stream)

    async with listening(refuse) as port, transporting() as transport:
        with trio.fail_after(10):
            response = await transport.send(get(port, method="POST", body=bytes(8 << 20)))
            assert (response.status, await response.read()) == (413, b"big")
        assert transport.statistics().open == 0


async def test_a_server_that_leaves_in_the_middle_of_a_large_request() -> None:
    async def leave(stream: Any) -> None:
        await stream.receive_some(1000)

    async with listening(leave) as port, transporting() as transport:
        with trio.fail_after(10), pytest.raises(StreamInterruptedError):
            await transport.send(get(port, method="POST", body=bytes(8 << 20)))


async def test_a_fast_sender_does_not_starve_the_others() -> None:
    left, right = socket.socketpair()
    left.setblocking(False)
    right.send(bytes(16 * 100))
    connection = SocketConnection(left, memoryview(bytearray(16)))
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for _ in range(100):
            assert len(await connection.receive()) == 16
        nursery.cancel_scope.cancel()
    assert turns >= 4  # one in 16 reads
    connection.close()
    connection.close()
    right.close()


async def test_closing_a_connection_wakes_up_who_waits_in_it() -> None:
    left, right = socket.socketpair()
    left.setblocking(False)
    connection = SocketConnection(left, memoryview(bytearray(16)))

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await connection.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        connection.close()
    for closed in (connection.receive, lambda: connection.send_all(b"x")):
        with pytest.raises(trio.ClosedResourceError):
            await closed()
    assert connection.is_stale()
    right.close()


async def test_no_socket_to_be_had_is_a_connect_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*args: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    async with transporting() as transport:
        with monkeypatch.context() as patch:
            patch.setattr("tercet.engine.runtime.transport.dialing.socket.socket", none_left)
            with pytest.raises(ConnectError, match="Too many open files") as caught:
                await transport.send(get(9))
        assert caught.value.code == "EMFILE"


# --- TLS -----------------------------------------------------------------------------------------------------------------------

AUTHORITY = trustme.CA()


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


SERVER = server_context(AUTHORITY.issue_cert("localhost", "127.0.0.1"))


async def loopback(host: str, port: int) -> list[Address]:
    """Every name is this machine."""
    return [(socket.AF_INET, ("127.0.0.1", port))]


def tls_network(**options: Any) -> SocketNetwork:
    return SocketNetwork(ssl_context=client_context(), resolver=loopback, **options)


def tls(port: int, **fields: Any) -> HttpCall:
    return get(port, scheme="https", host=fields.pop("host", "localhost"), **fields)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_requests_over_tls_on_one_connection(version: ssl.TLSVersion) -> None:
    context = server_context(AUTHORITY.issue_cert("localhost"))
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["http/1.1"])
    async with listening(answering(HELLO), tls=context) as port, transporting(tls_network()) as transport:
        for _ in range(5):
            assert await (await transport.send(tls(port))).read() == b"hello"
        assert transport.statistics().connects == 1


@pytest.mark.parametrize("piece", [700, 5000, 1 << 20])
async def test_large_bodies_over_tls(piece: int) -> None:
    async def echo(stream: Any) -> None:
        while request := await read_request(stream):
            body = request.partition(b"\r\n\r\n")[2]
            await stream.send_all(HEAD + b"Content-Length: %d\r\n\r\n" % len(body))
            for start in range(0, len(body), piece):
                await stream.send_all(body[start : start + piece])

    body = bytes(range(256)) * (4 << 10)
    async with listening(echo, tls=SERVER) as port, transporting(tls_network()) as transport:
        for _ in range(2):
            response = await transport.send(tls(port, method="POST", body=body))
            assert await response.read() == body
        assert transport.statistics().reuses == 1


async def test_an_early_413_over_tls() -> None:
    async def refuse(stream: Any) -> None:
        await stream.receive_some(1000)
        await stream.send_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await trio.sleep_forever()

    async with listening(refuse, tls=SERVER) as port, transporting(tls_network()) as transport:
        with trio.fail_after(10):
            response = await transport.send(tls(port, method="POST", body=bytes(8 << 20)))
            assert (response.status, await response.read()) == (413, b"big")


@pytest.mark.parametrize(
    ("host", "certificate", "reason"),
    [
        ("127.0.0.1", AUTHORITY.issue_cert("other.test"), "IP address mismatch"),
        ("localhost", AUTHORITY.issue_cert("other.test"), "Hostname mismatch"),
        (
            "localhost",
            trustme.CA().issue_cert("localhost"),
            "unable to get local issuer certificate|self-signed",
        ),
        (
            "localhost",
            AUTHORITY.issue_cert(
                "localhost", not_after=datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
            ),
            "expired",
        ),
    ],
    ids=["wrong-address", "wrong-name", "unknown-authority", "expired"],
)
async def test_a_certificate_that_is_not_accepted_says_why(
    host: str, certificate: trustme.LeafCert, reason: str
) -> None:
    context = server_context(certificate)
    async with listening(answering(HELLO), tls=context) as port, transporting(tls_network()) as transport:
        with pytest.raises(ConnectError, match=reason) as caught:
            await transport.send(tls(port, host=host))
        assert (caught.value.phase, caught.value.retryable) == ("tls", False)


async def test_plain_http_on_a_tls_port_is_a_tls_error() -> None:
    async def plain(stream: Any) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with listening(plain) as port, transporting(tls_network()) as transport:
        with pytest.raises(ConnectError, match="handshake") as caught:
            await transport.send(tls(port))
        assert caught.value.phase == "tls"


@pytest.mark.parametrize("ending", ["fin", "reset"])
async def test_a_server_that_leaves_in_the_handshake_is_a_tls_error(ending: str) -> None:
    async def leave(stream: Any) -> None:
        await stream.receive_some()
        if ending == "reset":
            reset(stream)

    async with listening(leave) as port, transporting(tls_network()) as transport:
        with pytest.raises(ConnectError) as caught:
            await transport.send(tls(port))
        assert caught.value.phase == "tls"


async def test_a_handshake_that_stalls_meets_the_connect_clock() -> None:
    async def silent(stream: Any) -> None:
        await trio.sleep_forever()

    async with listening(silent) as port, transporting(tls_network()) as transport:
        with pytest.raises(DeadlineError) as caught:
            await transport.send(tls(port), connect_timeout=0.05)
        assert caught.value.clock == "connect"


@pytest.mark.parametrize("size", [5, 5000])
@pytest.mark.parametrize("framing", ["length", "close"])
async def test_an_end_without_close_notify_is_no_end(framing: str, size: int) -> None:
    async def rude(stream: Any) -> None:
        await read_request(stream)
        length = b"Content-Length: %d\r\n" % size if framing == "length" else b""
        await stream.send_all(HEAD + length + b"\r\n" + b"x" * size)
        await stream.transport_stream.aclose()

    async with listening(rude, tls=SERVER) as port, transporting(tls_network()) as transport:
        response = await transport.send(tls(port))
        if framing == "length":
            assert await response.read() == b"x" * size
        else:
            with pytest.raises(StreamInterruptedError):
                await response.read()


@pytest.mark.parametrize("size", [5, 5000])
async def test_close_notify_ends_a_body_that_is_delimited_by_it(size: int) -> None:
    async def polite(stream: Any) -> None:
        await read_request(stream)
        await stream.send_all(HEAD + b"\r\n" + b"x" * size)
        await stream.unwrap()  # sends close_notify, and waits for ours; the socket stays open

    async with listening(polite, tls=SERVER) as port, transporting(tls_network()) as transport:
        response = await transport.send(tls(port))
        with trio.fail_after(5):
            assert await response.read() == b"x" * size


async def test_an_idle_tls_connection_is_stale_only_for_a_reason() -> None:
    say = trio.Event()
    said = trio.Event()

    async def handler(stream: Any) -> None:
        await read_request(stream)
        await stream.send_all(HELLO)
        await say.wait()
        await stream.send_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        said.set()
        await trio.sleep_forever()

    async with listening(handler, tls=SERVER) as port:
        network = tls_network()
        connection = await network.connect(Origin("https", "localhost", port))
        assert isinstance(connection, TlsConnection)
        await connection.send_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        received = b""
        while len(received) < len(HELLO):
            received += await connection.receive()
        assert not connection.is_stale()  # session tickets, if any are there, do not count
        say.set()
        await said.wait()
        await trio.lowlevel.wait_readable(connection._fd)
        assert connection.is_stale()
        connection.close()
        assert connection.is_stale()


# --- proxies -------------------------------------------------------------------------------------------------------------------


class TestProxy:
    """An HTTP proxy: tunnels for CONNECT, and forwards requests in absolute form to the port in it."""

    __test__ = False

    def __init__(
        self,
        answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n",
        *,
        broken_after: int | None = None,
    ) -> None:
        self.answer = answer
        self.broken_after = broken_after
        self.heads: list[bytes] = []

    async def __call__(self, stream: Any) -> None:
        if not (head := await read_request(stream)):
            return
        self.heads.append(head)
        method, target, _ = head.split(b" ", 2)
        if method != b"CONNECT":
            await self._forward(stream, target)
            return
        await stream.send_all(self.answer)
        if self.answer.startswith(b"HTTP/1.1 200"):
            upstream = await trio.open_tcp_stream("127.0.0.1", int(target.rpartition(b":")[2]))
            async with upstream, trio.open_nursery() as nursery:
                nursery.start_soon(self._pump, stream, upstream, None, nursery.cancel_scope)
                nursery.start_soon(self._pump, upstream, stream, self.broken_after, nursery.cancel_scope)

    async def _forward(self, stream: Any, target: bytes) -> None:
        port = int(target.split(b"/")[2].rpartition(b":")[2])
        async with await trio.open_tcp_stream("127.0.0.1", port) as upstream:
            await upstream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await stream.send_all(await upstream.receive_some())

    async def _pump(self, source: Any, sink: Any, limit: int | None, scope: trio.CancelScope) -> None:
        count = 0
        try:
            while data := await source.receive_some():
                await sink.send_all(data)
                count += len(data)
                if limit is not None and count > limit:
                    break
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # one side has gone
        scope.cancel()


async def test_an_https_origin_is_reached_through_a_tunnel() -> None:
    proxy = TestProxy()
    async with listening(answering(HELLO), tls=SERVER) as port, listening(proxy) as proxy_port:
        network = tls_network(
            proxies=proxies_from_environ({"https_proxy": f"http://user:secret@127.0.0.1:{proxy_port}"})
        )
        async with transporting(network) as transport:
            for _ in range(2):
                call = tls(port, headers=(("authorization", "Bearer key"),))
                assert await (await transport.send(call)).read() == b"hello"
    assert len(proxy.heads) == 1
    assert proxy.heads[0] == (
        b"CONNECT localhost:%d HTTP/1.1\r\nhost: localhost:%d\r\nproxy-authorization: Basic dXNlcjpzZWNyZXQ=\r\n\r\n"
        % (port, port)
    )


async def test_an_http_origin_is_asked_for_in_absolute_form() -> None:
    proxy = TestProxy()
    async with listening(answering(HELLO)) as port, listening(proxy) as proxy_port:
        network = SocketNetwork(
            proxies=proxies_from_environ({"http_proxy": f"http://user:secret@127.0.0.1:{proxy_port}"})
        )
        async with transporting(network) as transport:
            assert await (await transport.send(get(port, target="/a?b=c"))).read() == b"hello"
    assert proxy.heads[0].startswith(
        b"GET http://127.0.0.1:%d/a?b=c HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n" % (port, port)
    )
    assert b"proxy-authorization: Basic dXNlcjpzZWNyZXQ=\r\n" in proxy.heads[0]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_reached_by_tls(scheme: str) -> None:
    proxy = TestProxy()
    secured = SERVER if scheme == "https" else None
    async with listening(answering(HELLO), tls=secured) as port, listening(proxy, tls=SERVER) as proxy_port:
        network = tls_network(proxies=proxies_from_environ({"all_proxy": f"https://127.0.0.1:{proxy_port}"}))
        async with transporting(network) as transport:
            for _ in range(2):
                assert (
                    await (await transport.send(get(port, scheme=scheme, host="localhost"))).read()
                    == b"hello"
                )


async def test_tls_failures_inside_and_outside_a_tls_proxy_say_why() -> None:
    other = server_context(AUTHORITY.issue_cert("other.test"))
    proxy = TestProxy()
    for proxy_tls, origin_tls in ((other, SERVER), (SERVER, other)):
        async with (
            listening(answering(HELLO), tls=origin_tls) as port,
            listening(proxy, tls=proxy_tls) as proxy_port,
        ):
            network = tls_network(
                proxies=proxies_from_environ({"all_proxy": f"https://127.0.0.1:{proxy_port}"})
            )
            async with transporting(network) as transport:
                with pytest.raises(ConnectError, match="mismatch") as caught:
                    await transport.send(tls(port))
                assert (caught.value.phase, caught.value.retryable) == ("tls", False)


@pytest.mark.parametrize(
    ("answer", "status", "retryable"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n", 407, False),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad", 502, True),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", 403, False),
        (b"SSH-2.0-OpenSSH\r\n", None, True),
        (b"HTTP/1.1 200", None, True),
        (b"", None, True),
    ],
)
async def test_a_proxy_that_gives_no_tunnel_is_a_proxy_error(
    answer: bytes, status: int | None, retryable: bool
) -> None:
    async with listening(TestProxy(answer)) as proxy_port:
        network = tls_network(
            proxies=proxies_from_environ({"https_proxy": f"http://user:secret@127.0.0.1:{proxy_port}"})
        )
        async with transporting(network) as transport:
            with pytest.raises(ConnectError, match="proxy") as caught:
                await transport.send(tls(443))
            assert (caught.value.phase, caught.value.status, caught.value.retryable) == (
                "proxy",
                status,
                retryable,
            )
            assert "secret" not in str(caught.value)


async def test_a_proxy_that_cannot_be_reached_is_a_proxy_error() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, not listening
        network = tls_network(
            proxies=proxies_from_environ({"all_proxy": f"http://127.0.0.1:{held.getsockname()[1]}"})
        )
        async with transporting(network) as transport:
            for call in (tls(443), get(80)):
                with pytest.raises(ConnectError, match="Connection refused") as caught:
                    await transport.send(call)
                assert caught.value.phase == "proxy"


async def test_a_tunnel_that_breaks_is_an_interrupted_stream() -> None:
    endless = HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 50_000
    async with (
        listening(answering(endless), tls=SERVER) as port,
        listening(TestProxy(broken_after=20_000)) as proxy_port,
    ):
        network = tls_network(proxies=proxies_from_environ({"https_proxy": f"http://127.0.0.1:{proxy_port}"}))
        async with transporting(network) as transport:
            response = await transport.send(tls(port))
            with pytest.raises(StreamInterruptedError):
                await response.read()


# --- cancellation at every point -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["plain", "two-addresses", "tls", "tunnel", "tls-in-tls", "large"])
async def test_cancelled_at_any_point_no_socket_stays_open(way: str) -> None:
    secured = SERVER if way in {"tls", "tunnel", "tls-in-tls", "large"} else None

    async def two(host: str, port: int) -> list[Address]:
        await trio.lowlevel.checkpoint()
        return [(socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET, ("127.0.0.1", port))]

    proxy_tls = SERVER if way == "tls-in-tls" else None
    async with (
        listening(answering(HELLO), tls=secured) as port,
        listening(TestProxy(), tls=proxy_tls) as proxy_port,
    ):
        scheme = "https" if way == "tls-in-tls" else "http"
        settings = (
            {"https_proxy": f"{scheme}://127.0.0.1:{proxy_port}"} if way in {"tunnel", "tls-in-tls"} else {}
        )
        network = SocketNetwork(
            ssl_context=client_context(),
            resolver=two if way == "two-addresses" else loopback,
            proxies=proxies_from_environ(settings),
        )
        body = bytes(1 << 20) if way == "large" else b""
        call = get(port, scheme="https" if secured else "http", host="localhost", method="POST", body=body)
        opened: list[Any] = []
        connect = network.connect

        async def noting(origin: Origin) -> Any:
            opened.append(await connect(origin))
            return opened[-1]

        network.connect = noting  # type: ignore[method-assign]  # to see what was opened

        async def scenario() -> None:
            transport = Transport(network)
            try:
                for _ in range(2):
                    async with await transport.send(call) as response:
                        assert await response.receive() == b"hello"
            finally:
                counts = transport.statistics()
                assert counts.open == counts.idle
                transport.close()

        def check() -> None:
            assert all(connection.is_stale() for connection in opened)

        assert await sweep_cancellation(scenario, check=check) >= 3
