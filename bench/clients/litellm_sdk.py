"""litellm under asyncio, its OpenAI-compatible provider, as shipped."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = (
    "True"  # else it asks the network for prices while it is imported
)
os.environ["REPEATED_STREAMING_CHUNK_LIMIT"] = (
    "1000000000"  # our tokens are all the same, which it takes for a fault of the model
)

import litellm
from worker import Ask, Stream, serve

MESSAGES: Any = [{"role": "user", "content": "Say hello."}]
litellm.telemetry = False
litellm.suppress_debug_info = True


@asynccontextmanager
async def session(base: str, _connections: int) -> AsyncIterator[tuple[Ask, Stream]]:
    async def ask() -> None:
        await litellm.acompletion(
            model="openai/gpt-4o",
            messages=MESSAGES,
            api_base=base,
            api_key="none",
            timeout=600,
            max_retries=0,
        )

    async def stream(tally: list[int]) -> None:
        answer: Any = await litellm.acompletion(
            model="openai/gpt-4o",
            messages=MESSAGES,
            api_base=base,
            api_key="none",
            timeout=600,
            max_retries=0,
            stream=True,
        )
        async for chunk in answer:
            if chunk.choices[0].delta.content:
                tally[0] += 1

    yield ask, stream


if __name__ == "__main__":
    serve(session, "asyncio", ("litellm", "openai", "httpx", "aiohttp"))
