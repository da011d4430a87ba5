"""TLS and proxies for the stage: certificates good and bad, an alert in mid-stream, proxies that refuse or cut a tunnel."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import trio
import trustme

from tercet.engine.testing.server import reset_on_close

from .stage import AFTER_THE_FIRST_TOKEN, Play, RawServer, Scene, World, read_request

__all__ = ["cut_the_tunnel", "secured_options"]

_TUNNEL = b"HTTP/1.1 200 Connection established\r\n\r\n"
_REFUSALS = {
    "407": b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
    "502": b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad",
    "503": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
}


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


@cache
def _server(kind: str) -> ssl.SSLContext:
    match kind:
        case "expired":
            ended = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
            certificate = _authority().issue_cert("localhost", not_after=ended)
        case "wrong host":
            certificate = _authority().issue_cert("other.test")
        case "unknown authority":
            certificate = trustme.CA().issue_cert("localhost")
        case _:
            certificate = _authority().issue_cert("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if kind == "self-signed":
        own = trustme.CA()  # the authority's own certificate, shown as the server's
        with own.cert_pem.tempfile() as public, own.private_key_pem.tempfile() as private:
            context.load_cert_chain(public, private)
    else:
        certificate.configure_cert(context)
    return context


@cache
def _client() -> ssl.SSLContext:
    context = ssl.create_default_context()
    _authority().configure_trust(context)
    return context


def secured_options(kind: str, proxy: str | None, play: Play, times: int) -> dict[str, Any]:
    """What ``open_world`` needs for an alder behind TLS of this kind, and behind a proxy; both go wrong ``times`` times."""
    raw: dict[str, RawServer] = {"silent": _silent, "plain": _plain, "alert": partial(_alert, play=play)}
    options: dict[str, Any] = {"tls": _server(kind), "trust": _client()}
    if kind in raw:
        options.update(raw=raw[kind], raw_times=times)
    if proxy is not None:
        options["proxy"] = _Proxy(_REFUSALS.get(proxy, _TUNNEL), times)
    return options


async def _silent(world: World, stream: trio.SocketStream) -> None:
    async def client_leaves() -> None:
        while await stream.receive_some():
            pass

    await world.time.until(client_leaves)


async def _plain(world: World, stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")


async def _alert(world: World, stream: trio.SocketStream, *, play: Play) -> None:
    """Serve one request by ``play``, then send a fatal alert.

    OpenSSL sends one itself, under the session's keys, when it is given a record that it cannot decrypt.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = _server("good").wrap_bio(incoming, outgoing, server_side=True)

    async def flush() -> None:
        if data := outgoing.read():
            await stream.send_all(data)

    async def done(action: Callable[[], Any]) -> Any:
        while True:
            try:
                result = action()
            except ssl.SSLWantReadError:
                await flush()
                data = await stream.receive_some()
                if not data:
                    raise trio.BrokenResourceError("the client has gone") from None
                incoming.write(data)
            else:
                await flush()
                return result

    class Decrypted:
        async def receive_some(self) -> bytes:
            return await done(lambda: tls.read(65536))  # type: ignore[no-any-return]  # bytes: what read gives

    await done(tls.do_handshake)
    world.alder.connections += 1
    request = await read_request(Decrypted(), None)
    assert request is not None
    world.alder.requests.append(request)
    for step in play:
        if step is AFTER_THE_FIRST_TOKEN:
            await world.said.wait()
        else:
            assert isinstance(step, bytes)
            tls.write(step)
            await flush()
    incoming.write(b"\x17\x03\x03\x00\x40" + bytes(64))
    try:
        tls.read(1)
    except ssl.SSLError:
        await flush()
    while await stream.receive_some():
        pass


async def cut_the_tunnel(scene: Scene) -> None:
    """In a play: let the proxy reset the tunnel through which this request came."""
    scene.world.cut.set()


class _Proxy:
    """Gives this answer to the first ``times`` requests for a tunnel, then tunnels. A tunnel is cut when ``world.cut`` is set."""

    def __init__(self, answer: bytes, times: int) -> None:
        self._answer = answer
        self._times = times

    async def __call__(self, world: World, stream: trio.SocketStream) -> None:
        head = await read_request(stream, None)
        if head is None:
            return
        assert head.startswith(b"CONNECT localhost:")
        assert b"proxy-authorization: Basic " in head
        self._times -= 1
        if self._answer is not _TUNNEL and self._times >= 0:
            await stream.send_all(self._answer)
            return
        await stream.send_all(_TUNNEL)
        port = int(head.split(b" ", 2)[1].rpartition(b":")[2])
        cut = world.cut = trio.Event()
        async with await trio.open_tcp_stream("127.0.0.1", port) as upstream, trio.open_nursery() as nursery:
            nursery.start_soon(_pump, stream, upstream, nursery.cancel_scope)
            nursery.start_soon(_pump, upstream, stream, nursery.cancel_scope)
            await cut.wait()
            reset_on_close(stream)
            nursery.cancel_scope.cancel()


async def _pump(source: Any, sink: Any, scope: trio.CancelScope) -> None:
    try:
        while data := await source.receive_some():
            await sink.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # one side has gone
    scope.cancel()
