"""httpx under trio, httpx-sse for streams, json."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from httpx_sse import aconnect_sse
from worker import Ask, Stream, serve

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}


@asynccontextmanager
async def session(base: str, connections: int) -> AsyncIterator[tuple[Ask, Stream]]:
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(limits=limits, timeout=600) as client:
        url = base + "/chat/completions"

        async def ask() -> None:
            (await client.post(url, json=BODY)).json()

        async def stream(tally: list[int]) -> None:
            async with aconnect_sse(client, "POST", url, json={**BODY, "stream": True}) as source:
                async for event in source.aiter_sse():
                    if event.data != "[DONE]" and json.loads(event.data)["choices"][0]["delta"].get(
                        "content"
                    ):
                        tally[0] += 1

        yield ask, stream


if __name__ == "__main__":
    serve(session, "trio", ("httpx", "httpcore", "h11", "trio", "httpx-sse"))
