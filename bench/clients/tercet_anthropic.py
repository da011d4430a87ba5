"""tercet, everything on, over Anthropic's wire: what the anthropic SDK is compared with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from worker import Ask, Stream, serve

import tercet

REQUEST = tercet.ChatRequest("bench:claude-sonnet-5", "Say hello.", max_tokens=1000)


@asynccontextmanager
async def session(base: str, _connections: int) -> AsyncIterator[tuple[Ask, Stream]]:
    known = tercet.ProviderRegistry([])
    known.add(tercet.Profile(id="bench", wire="anthropic", base_url=base, auth="none", catalog="none"))
    async with tercet.open_manager(known, environ={}, clocks=tercet.Clocks(connect=60)) as manager:

        async def ask() -> None:
            await manager.chat(REQUEST)

        async def stream(tally: list[int]) -> None:
            async with manager.chat_stream(REQUEST) as answer:
                async for token in answer:
                    if type(token) is tercet.TextDelta:
                        tally[0] += 1

        yield ask, stream


if __name__ == "__main__":
    serve(session, "trio", ("trio", "msgspec", "httptools"))
