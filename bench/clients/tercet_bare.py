"""tercet's transport alone: the bytes of a request out, the bytes of its answer in, decoded by msgspec."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import msgspec
from worker import Ask, Stream, serve

from tercet.adapters.call import HttpCall, Origin
from tercet.codecs.framing import SseDecoder
from tercet.engine.runtime.transport import SocketNetwork, Transport

BODY = b'{"model":"gpt-4o","messages":[{"role":"user","content":"Say hello."}]}'
JSON = msgspec.json.Decoder()


@asynccontextmanager
async def session(base: str, _connections: int) -> AsyncIterator[tuple[Ask, Stream]]:
    url = urlsplit(base)
    assert url.port is not None
    call = HttpCall(
        "POST",
        Origin("http", "127.0.0.1", url.port),
        url.path + "/chat/completions",
        (("content-type", "application/json"),),
        BODY,
    )
    transport = Transport(SocketNetwork(), max_idle_per_origin=20_000)

    async def ask() -> None:
        response = await transport.send(call, connect_timeout=60)
        JSON.decode(await response.read())

    async def stream(tally: list[int]) -> None:
        decoder = SseDecoder()
        async with await transport.send(call, connect_timeout=60) as response:
            while chunk := await response.receive():
                for event in decoder.feed(chunk):
                    if event.data != b"[DONE]" and JSON.decode(event.data)["choices"][0]["delta"].get(
                        "content"
                    ):
                        tally[0] += 1

    try:
        yield ask, stream
    finally:
        transport.close()


if __name__ == "__main__":
    serve(session, "trio", ("trio", "msgspec", "httptools"))
