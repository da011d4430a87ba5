"""The openai SDK under asyncio, its default HTTP client with a keep-alive pool as large as the crowd (as shipped it keeps 100)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import openai
from openai._streaming import SSEDecoder
from worker import Ask, Stream, serve

MESSAGES: Any = [{"role": "user", "content": "Say hello."}]


@asynccontextmanager
async def session(base: str, connections: int) -> AsyncIterator[tuple[Ask, Stream]]:
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    http = openai.DefaultAsyncHttpxClient(limits=limits)
    async with openai.AsyncOpenAI(
        api_key="none", base_url=base, timeout=600, max_retries=0, http_client=http
    ) as client:

        async def ask() -> None:
            await client.chat.completions.create(model="gpt-4o", messages=MESSAGES)

        async def stream(tally: list[int]) -> None:
            answer = await client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
            async for chunk in answer:
                if chunk.choices[0].delta.content:
                    tally[0] += 1

        yield ask, stream


def sse(file: str, size: int) -> dict[str, float]:
    """The SDK's SSE decoder over the bytes of ``file`` in pieces of ``size``."""
    with open(file, "rb") as source:
        document = source.read()
    chunks = [document[start : start + size] for start in range(0, len(document), size)]
    started = time.process_time()
    events = sum(1 for _ in SSEDecoder().iter_bytes(iter(chunks)))
    return {"cpu": time.process_time() - started, "units": len(document), "events": events}


if __name__ == "__main__":
    serve(session, "asyncio", ("openai", "httpx2", "pydantic"), {"sse": sse})
