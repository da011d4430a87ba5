"""aiohttp under asyncio (its parser is C), lines by hand for SSE, json."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from worker import Ask, Stream, serve

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}


@asynccontextmanager
async def session(base: str, connections: int) -> AsyncIterator[tuple[Ask, Stream]]:
    timeout = aiohttp.ClientTimeout(total=600)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections), timeout=timeout
    ) as client:
        url = base + "/chat/completions"

        async def ask() -> None:
            async with client.post(url, json=BODY) as response:
                await response.json()

        async def stream(tally: list[int]) -> None:
            async with client.post(url, json={**BODY, "stream": True}) as response:
                async for line in response.content:
                    data = line.strip().removeprefix(b"data: ")
                    if data and data != b"[DONE]" and json.loads(data)["choices"][0]["delta"].get("content"):
                        tally[0] += 1

        yield ask, stream


if __name__ == "__main__":
    serve(session, "asyncio", ("aiohttp",))
