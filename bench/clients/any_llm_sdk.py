"""any-llm under asyncio, its openai provider, with its client made once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from any_llm import AnyLLM
from worker import Ask, Stream, serve

MESSAGES: Any = [{"role": "user", "content": "Say hello."}]


@asynccontextmanager
async def session(base: str, _connections: int) -> AsyncIterator[tuple[Ask, Stream]]:
    client = AnyLLM.create("openai", api_key="none", api_base=base, timeout=600, max_retries=0)

    async def ask() -> None:
        await client.acompletion(model="gpt-4o", messages=MESSAGES)

    async def stream(tally: list[int]) -> None:
        answer: Any = await client.acompletion(model="gpt-4o", messages=MESSAGES, stream=True)
        async for chunk in answer:
            if chunk.choices[0].delta.content:
                tally[0] += 1

    yield ask, stream


if __name__ == "__main__":
    serve(session, "asyncio", ("any-llm-sdk", "openai", "httpx2"))
