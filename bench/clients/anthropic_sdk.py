"""The anthropic SDK under asyncio, its default HTTP client with a keep-alive pool as large as the crowd."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import httpx2
from worker import Ask, Stream, serve

MESSAGES: Any = [{"role": "user", "content": "Say hello."}]


@asynccontextmanager
async def session(base: str, connections: int) -> AsyncIterator[tuple[Ask, Stream]]:
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    http = anthropic.DefaultAsyncHttpxClient(limits=limits)
    base = base.removesuffix("/v1")
    async with anthropic.AsyncAnthropic(
        api_key="none", base_url=base, timeout=600, max_retries=0, http_client=http
    ) as client:

        async def ask() -> None:
            await client.messages.create(model="claude-sonnet-5", max_tokens=1000, messages=MESSAGES)

        async def stream(tally: list[int]) -> None:
            answer = await client.messages.create(
                model="claude-sonnet-5", max_tokens=1000, messages=MESSAGES, stream=True
            )
            async for event in answer:
                if event.type == "content_block_delta":
                    tally[0] += 1

        yield ask, stream


if __name__ == "__main__":
    serve(session, "asyncio", ("anthropic", "httpx2", "pydantic"))
