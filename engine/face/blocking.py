"""``tercet.blocking``: the same manager for scripts, notebooks and programs that do not run trio.

::

    from tercet import blocking, ChatRequest

    with blocking.open_manager() as manager:
        print(manager.chat(ChatRequest("openai:gpt-5.1", "Hello!")).text)
        with manager.chat_stream(ChatRequest("openai:gpt-5.1", "And again?")) as stream:
            for piece in stream.text():
                print(piece, end="", flush=True)

A trio run in a thread of its own does the work (anyio's blocking portal); every call here waits for it. The manager may be used from
several threads at once. In a program that runs trio, use ``tercet.open_manager`` itself.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from tercet.codecs.vocabulary import (
    ChatRequest,
    ChatResponse,
    CompletionRequest,
    CompletionResponse,
    HealthStatus,
    Model,
    StreamToken,
    TextDelta,
    TokenCount,
)
from tercet.engine.runtime import ProviderManager, TokenStream, open_manager as _open_manager

__all__ = ["BlockingManager", "BlockingStream", "open_manager"]


class BlockingStream:
    """One streamed answer, inside its ``with`` block. Iterate over it for tokens, or over ``text()``."""

    def __init__(self, portal: BlockingPortal, stream: TokenStream) -> None:
        self._portal = portal
        self._stream = stream

    def __iter__(self) -> Iterator[StreamToken]:
        """The tokens as they come. Raises what the stream raises."""
        while True:
            try:
                batch = self._portal.call(self._stream.next_batch)
            except StopAsyncIteration:
                return
            yield from batch

    def text(self) -> Iterator[str]:
        """The text alone, piece by piece."""
        return (token.text for token in self if isinstance(token, TextDelta) and token.text)

    def collect(self) -> ChatResponse:
        """Read to the end and return the whole answer."""
        return self._portal.call(self._stream.collect)

    @property
    def response(self) -> ChatResponse:
        """The answer as received so far."""
        return self._stream.response


class BlockingManager:
    """A :class:`tercet.ProviderManager` whose methods wait. Their arguments and errors are the same."""

    def __init__(self, portal: BlockingPortal, manager: ProviderManager) -> None:
        self._portal = portal
        self._manager = manager

    def chat(self, request: ChatRequest, **how: Any) -> ChatResponse:
        """One whole answer."""
        return self._portal.call(partial(self._manager.chat, request, **how))

    def complete(self, request: CompletionRequest, **how: Any) -> CompletionResponse:
        """One prompt, one text."""
        return self._portal.call(partial(self._manager.complete, request, **how))

    @contextmanager
    def chat_stream(self, request: ChatRequest, **how: Any) -> Generator[BlockingStream, None, None]:
        """One answer as it comes: entering the block sends the request, leaving it closes the connection."""
        stream = self._portal.call(partial(_made, partial(self._manager.chat_stream, request, **how)))
        with self._portal.wrap_async_context_manager(stream):
            yield BlockingStream(self._portal, stream)

    def list_models(self, provider: str) -> list[Model]:
        """The provider's own list of models."""
        return self._portal.call(self._manager.list_models, provider)

    def count_tokens(self, request: ChatRequest) -> TokenCount:
        """The tokens of a prompt."""
        return self._portal.call(self._manager.count_tokens, request)

    def health_check(self, provider: str) -> HealthStatus:
        """Ask the provider the cheapest thing that proves key and host."""
        return self._portal.call(self._manager.health_check, provider)


@contextmanager
def open_manager(**settings: Any) -> Generator[BlockingManager, None, None]:
    """A manager in a trio thread for the length of the block. Takes what ``tercet.open_manager`` takes."""
    with start_blocking_portal(backend="trio") as portal:
        opening = portal.call(partial(_made, partial(_open_manager, **settings)))
        with portal.wrap_async_context_manager(opening) as manager:
            yield BlockingManager(portal, manager)


async def _made(make: partial[Any]) -> Any:  # noqa: ASYNC124  # async so that it runs in the trio thread
    """Call it in the trio thread: streams and managers look at trio's clock when they are made."""
    return make()
