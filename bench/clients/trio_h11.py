"""trio.SocketStream with h11 for HTTP, lines by hand for SSE, msgspec."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import h11
import msgspec
import trio
from trio_plain import BODY, CHUNK
from worker import Ask, Stream, serve

JSON = msgspec.json.Decoder()


@asynccontextmanager
async def session(base: str, _connections: int) -> AsyncIterator[tuple[Ask, Stream]]:
    url = urlsplit(base)
    assert url.port is not None
    port = url.port
    target = url.path + "/chat/completions"
    idle: list[tuple[trio.SocketStream, h11.Connection]] = []

    async def send(body: bytes) -> tuple[trio.SocketStream, h11.Connection]:
        if idle:
            sock, http = idle.pop()
            http.start_next_cycle()
        else:
            made = await trio.open_tcp_stream("127.0.0.1", port)
            assert isinstance(made, trio.SocketStream)
            sock, http = made, h11.Connection(h11.CLIENT)
        headers = [
            ("host", f"127.0.0.1:{port}"),
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
        ]
        data = http.send(h11.Request(method="POST", target=target, headers=headers)) or b""
        data += http.send(h11.Data(data=body)) or b""
        data += http.send(h11.EndOfMessage()) or b""
        await sock.send_all(data)
        return sock, http

    async def body(sock: trio.SocketStream, http: h11.Connection) -> AsyncIterator[bytes]:
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await sock.receive_some(65536))
            elif isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                idle.append((sock, http))
                return

    async def ask() -> None:
        sock, http = await send(BODY % b"false")
        pieces = [piece async for piece in body(sock, http)]
        JSON.decode(b"".join(pieces))

    async def stream(tally: list[int]) -> None:
        sock, http = await send(BODY % b"true")
        text = b""
        async for piece in body(sock, http):
            blocks = (text + piece).split(b"\n\n")
            text = blocks.pop()
            for block in blocks:
                if block != b"data: [DONE]" and CHUNK.decode(block[6:]).choices[0].delta.content:
                    tally[0] += 1

    try:
        yield ask, stream
    finally:
        for sock, _ in idle:
            sock.socket.close()


if __name__ == "__main__":
    serve(session, "trio", ("trio", "h11", "msgspec"))
