"""Drives the conversations of the reference face over a network.

A conversation (:mod:`tercet.adapters.reference.actions`) says what it wants; here is what waits for it. ``run`` drives one to its end,
:class:`ReferenceStream` hands its chunks out one by one::

    provider = ReferenceProvider("deepseek", {"deepSeekApiKey": key})
    async with ReferenceStream(provider.create_message(system, messages), transport) as stream:
        async for chunk in stream:
            ...
    better = await run(provider.complete_prompt("Improve this prompt: ..."), transport)

The caller's own task does everything. Whatever happens, at any checkpoint, the response under way is closed.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import random
import time
import warnings
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

import msgspec
import trio

from tercet.adapters.call import HttpCall
from tercet.adapters.reference import Action, Chunk, Conversation, Draw, Emit, Now, Read, Reply, Send, Sleep
from tercet.codecs.vocabulary import TransportError

__all__ = ["ReferenceStream", "Surroundings", "o200k_counter", "run"]

T = TypeVar("T")


class _Response(Protocol):
    status: int
    headers: dict[str, str]

    async def receive(self) -> bytes: ...

    def close(self) -> None: ...


class _Transport(Protocol):
    async def send(self, call: HttpCall, /) -> _Response: ...


class Surroundings(msgspec.Struct, frozen=True):
    """What a conversation may ask of the world beside the network: the wall clock (Unix seconds), chance (0 <= x < 1), and time to pass."""

    clock: Callable[[], float] = time.time
    random: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[None]] = trio.sleep


class ReferenceStream(Generic[T]):
    """An operation under way: ``async with`` it, iterate over its chunks; ``result`` is what it returned, once it has ended.

    Iterating raises what the operation raises: tercet's errors with the reference's texts. Each step is a checkpoint where it waits for the
    network or for time. Cancelled or left early, it closes the connection; it cannot be taken up again.
    """

    def __init__(
        self,
        conversation: Conversation[T],
        transport: _Transport,
        surroundings: Surroundings | None = None,
    ) -> None:
        self._conversation = conversation
        self._transport = transport
        self._surroundings = surroundings or Surroundings()
        self._response: _Response | None = None
        self._result: T | None = None
        self._is_ended = False

    @property
    def result(self) -> T | None:
        """What the operation returned; None before its end, and where it returns nothing."""
        return self._result

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        """The next chunk. Raises ``StopAsyncIteration`` at the end."""
        if self._is_ended:
            raise StopAsyncIteration
        value: Any = None
        failure: TransportError | None = None
        try:
            while True:
                action = self._step(value, failure)
                if isinstance(action, Emit):
                    await trio.lowlevel.checkpoint_if_cancelled()
                    return action.chunk
                value, failure = await self._do(action)
        except StopIteration as end:
            self._result = end.value
            self._close()
            raise StopAsyncIteration from None
        except BaseException:
            self._close()
            raise

    async def aclose(self) -> None:
        """End it here. May be called twice; never waits."""
        self._close()

    def _step(self, value: Any, failure: TransportError | None) -> Action:
        if failure is not None:
            return self._conversation.throw(failure)
        return self._conversation.send(value)

    async def _do(self, action: Action) -> tuple[Any, TransportError | None]:
        around = self._surroundings
        match action:
            case Send(call):
                self._leave()
                try:
                    self._response = await self._transport.send(call)
                except TransportError as error:
                    return None, error
                return Reply(self._response.status, self._response.headers), None
            case Read():
                if self._response is None:
                    raise RuntimeError("a conversation read before it sent")
                try:
                    return await self._response.receive(), None
                except TransportError as error:
                    return None, error
            case Sleep(seconds):
                self._leave()
                await around.sleep(seconds)
                return None, None
            case Now():
                return around.clock(), None
            case Draw():
                return around.random(), None
            case Emit():
                return None, None

    def _leave(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def _close(self) -> None:
        self._is_ended = True
        self._leave()
        self._conversation.close()


async def run(
    conversation: Conversation[T],
    transport: _Transport,
    surroundings: Surroundings | None = None,
    *,
    emit: Callable[[Chunk], object] | None = None,
) -> T | None:
    """Drive a conversation to its end and return its result; ``emit`` is given each chunk.

    Raises what the operation raises. Cancelled, it closes the connection.
    """
    async with ReferenceStream(conversation, transport, surroundings) as stream:
        async for chunk in stream:
            if emit is not None:
                emit(chunk)
        return stream.result


def o200k_counter() -> Callable[[str], int] | None:
    """A counter of o200k tokens, for ``ReferenceProvider(count_text=...)``; None when the extra ``tokens`` is not installed.

    Text that looks like a special token counts as the text it is. The tables (some megabytes) are read when a text is first counted.
    """
    return _count_o200k if importlib.util.find_spec("bpe_openai") else None


def _count_o200k(text: str) -> int:
    return len(_o200k_encoder()(text))


@functools.cache
def _o200k_encoder() -> Callable[[str], list[int]]:
    with warnings.catch_warnings():
        # bpe_openai 0.1.4 reads its tables with importlib.resources.open_binary, which Python 3.11 and 3.12 deprecate
        warnings.simplefilter("ignore", DeprecationWarning)
        library: Any = importlib.import_module("bpe_openai")
        encode: Callable[[str], list[int]] = library.get_encoding("o200k_base").encode_ordinary
        encode("")
    return encode
