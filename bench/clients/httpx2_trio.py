"""httpx2 under trio, lines by hand for SSE, json."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from worker import Ask, Stream, serve

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}


@asynccontextmanager
async def session(base: str, connections: int) -> AsyncIterator[tuple[Ask, Stream]]:
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx2.AsyncClient(limits=limits, timeout=600) as client:
        url = base + "/chat/completions"

        async def ask() -> None:
            (await client.post(url, json=BODY)).json()

        async def stream(tally: list[int]) -> None:
            async with client.stream("POST", url, json={**BODY, "stream": True}) as response:
                async for line in response.aiter_lines():
                    data = line.removeprefix("data: ")
                    if data and data != "[DONE]" and json.loads(data)["choices"][0]["delta"].get("content"):
                        tally[0] += 1

        yield ask, stream


if __name__ == "__main__":
    serve(session, "trio", ("httpx2", "trio"))
