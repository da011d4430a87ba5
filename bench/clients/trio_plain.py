"""What a careful person writes by hand: trio.SocketStream, a few lines of HTTP and SSE, msgspec. No timeouts, no limits, no retries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import msgspec
import trio
from worker import Ask, Stream, serve

BODY = b'{"model":"gpt-4o","messages":[{"role":"user","content":"Say hello."}],"stream":%s}'


class Delta(msgspec.Struct, gc=False):
    content: str | None = None


class Choice(msgspec.Struct, gc=False):
    delta: Delta
    finish_reason: str | None = None


class Chunk(msgspec.Struct, gc=False):
    choices: list[Choice]


JSON = msgspec.json.Decoder()
CHUNK = msgspec.json.Decoder(Chunk)


@asynccontextmanager
async def session(base: str, _connections: int) -> AsyncIterator[tuple[Ask, Stream]]:
    url = urlsplit(base)
    assert url.port is not None
    port = url.port
    whole, streamed = (
        b"POST %s/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
        % (url.path.encode(), port, len(body), body)
        for body in (BODY % b"false", BODY % b"true")
    )
    idle: list[trio.SocketStream] = []

    async def connection() -> trio.SocketStream:
        if idle:
            return idle.pop()
        made = await trio.open_tcp_stream("127.0.0.1", port)
        assert isinstance(made, trio.SocketStream)
        return made

    async def head(sock: trio.SocketStream) -> tuple[bytes, bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await sock.receive_some(65536)
        fields, _, rest = data.partition(b"\r\n\r\n")
        return fields.lower(), rest

    async def ask() -> None:
        sock = await connection()
        await sock.send_all(whole)
        fields, body = await head(sock)
        length = int(fields.partition(b"content-length:")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += await sock.receive_some(65536)
        JSON.decode(body)
        idle.append(sock)

    async def stream(tally: list[int]) -> None:
        sock = await connection()
        try:
            await sock.send_all(streamed)
            _, data = await head(sock)
            text = b""
            is_over = False
            while True:
                while True:  # the HTTP chunks
                    size, found, rest = data.partition(b"\r\n")
                    if not found:
                        break
                    length = int(size, 16)
                    if len(rest) < length + 2:
                        break
                    is_over = not length
                    text += rest[:length]
                    data = rest[length + 2 :]
                blocks = text.split(b"\n\n")
                text = blocks.pop()
                for block in blocks:
                    if block != b"data: [DONE]" and CHUNK.decode(block[6:]).choices[0].delta.content:
                        tally[0] += 1
                if is_over:
                    idle.append(sock)
                    return
                data += await sock.receive_some(65536)
        except BaseException:
            sock.socket.close()
            raise

    try:
        yield ask, stream
    finally:
        for sock in idle:
            sock.socket.close()


if __name__ == "__main__":
    serve(session, "trio", ("trio", "msgspec"))
