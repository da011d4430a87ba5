"""The clients that are compared, as functions that make ``count`` requests, ``parallel`` at a time."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import httpx
import trio

import tercet

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}
REQUEST = tercet.ChatRequest("bench:gpt-4o", "Say hello.")
Asker = Callable[[], Awaitable[int]]


def registry(port: int) -> tercet.ProviderRegistry:
    known = tercet.ProviderRegistry([])
    known.add(tercet.Profile(id="bench", base_url=f"http://127.0.0.1:{port}/v1", auth="none", catalog="none"))
    return known


async def crowd(ask: Asker, count: int, parallel: int) -> int:
    """``parallel`` tasks in a closed loop, ``count`` requests in all; the sum of what they give."""
    left = count
    total = 0

    async def one() -> None:
        nonlocal left, total
        while left > 0:
            left -= 1
            total += await ask()

    async with trio.open_nursery() as nursery:
        for _ in range(parallel):
            nursery.start_soon(one)
    return total


def with_tercet(port: int, count: int, parallel: int, *, stream: bool) -> int:
    async def main() -> int:
        async with tercet.open_manager(
            registry(port), environ={}, clocks=tercet.Clocks(connect=60)
        ) as manager:

            async def whole() -> int:
                return len((await manager.chat(REQUEST)).parts)

            async def streamed() -> int:
                tokens = 0
                async with manager.chat_stream(REQUEST) as answer:
                    async for _ in answer:
                        tokens += 1
                return tokens

            return await crowd(streamed if stream else whole, count, parallel)

    return trio.run(main)


def with_transport(port: int, count: int, parallel: int) -> int:
    """Our transport alone: the bytes of a JSON request out, the bytes of its answer in."""
    from tercet.adapters.call import HttpCall, Origin
    from tercet.engine.runtime.transport import SocketNetwork, Transport

    body = json.dumps(BODY).encode()
    call = HttpCall(
        "POST",
        Origin("http", "127.0.0.1", port),
        "/v1/chat/completions",
        (("content-type", "application/json"),),
        body,
    )

    async def main() -> int:
        transport = Transport(SocketNetwork())

        async def ask() -> int:
            response = await transport.send(call, connect_timeout=60)
            return len(json.loads(await response.read())["choices"])

        try:
            return await crowd(ask, count, parallel)
        finally:
            transport.close()

    return trio.run(main)


def with_httpx(port: int, count: int, parallel: int, *, stream: bool) -> int:
    """httpx under trio, with httpx-sse for streams."""

    async def main() -> int:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(limits=limits, timeout=60) as client:
            url = f"http://127.0.0.1:{port}/v1/chat/completions"

            async def whole() -> int:
                response = await client.post(url, json=BODY)
                return len(response.json()["choices"])

            async def streamed() -> int:
                from httpx_sse import aconnect_sse

                tokens = 0
                async with aconnect_sse(client, "POST", url, json={**BODY, "stream": True}) as source:
                    async for event in source.aiter_sse():
                        if event.data == "[DONE]":
                            break
                        tokens += len(json.loads(event.data)["choices"])
                return tokens

            return await crowd(streamed if stream else whole, count, parallel)

    return trio.run(main)
