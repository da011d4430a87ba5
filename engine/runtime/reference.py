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
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

import msgspec
import trio

from tercet.adapters.call import HttpCall
from tercet.adapters.reference import (
    Action,
    CallHost,
    Chunk,
    Conversation,
    Draw,
    Emit,
    Exit,
    Exited,
    HostPart,
    LocalAction,
    Now,
    OpenSocket,
    Read,
    ReadFile,
    ReceiveText,
    Reply,
    RunProcess,
    Send,
    SendText,
    Sleep,
    WriteFile,
)
from tercet.codecs.vocabulary import ConfigurationError, ProviderError, TransportError

from .local import read_file, start_process, write_file
from .transport import Network, SocketNetwork
from .websocket import WebSocket, open_websocket

__all__ = ["Host", "Program", "ReferenceStream", "Surroundings", "o200k_counter", "run"]

T = TypeVar("T")


class _Response(Protocol):
    status: int
    headers: dict[str, str]

    async def receive(self) -> bytes: ...

    def close(self) -> None: ...


class _Transport(Protocol):
    async def send(self, call: HttpCall, /) -> _Response: ...


class Program(Protocol):
    """A program that runs: its stdout like the body of an answer, and how it ended."""

    async def receive(self) -> bytes:
        """The next bytes of its stdout, ``b""`` at its end."""
        ...

    async def wait(self) -> Exited:
        """How it ended, once it has."""
        ...

    def close(self) -> None:
        """Kill it; does not wait."""
        ...

    async def aclose(self) -> None:
        """Kill it, and wait until it is gone."""
        ...


class Host(Protocol):
    """The editor that has language models of its own: a bridge to it, which a program that runs beside one may give."""

    async def call(self, call: Mapping[str, Any], /) -> Any:
        """The answer to ``select`` or ``countTokens``; None for ``sendRequest``. Raises ``ProviderError``."""
        ...

    async def next_part(self) -> Mapping[str, Any] | None:
        """The next part of the reply to the last ``sendRequest``, None at its end. Raises ``ProviderError``."""
        ...


class Surroundings(msgspec.Struct, frozen=True):
    """What a conversation may ask of the world beside the network: the wall clock (Unix seconds), chance (0 <= x < 1), time to pass,
    files, programs, the editor it runs in (none by default), and the network for WebSockets (by default the machine's own).
    """

    clock: Callable[[], float] = time.time
    random: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[None]] = trio.sleep
    read_file: Callable[[str], Awaitable[str]] = read_file
    write_file: Callable[[str, str], Awaitable[None]] = write_file
    start: Callable[[RunProcess], Awaitable[Program]] = start_process
    host: Host | None = None
    network: Network | None = None


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
        self._response: _Response | Program | None = None
        self._programs: list[Program] = []
        self._socket: WebSocket | None = None
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
        failure: Exception | None = None
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
        """End it here. May be called twice; waits only for a program that was killed to be gone."""
        self._close()
        while self._programs:
            await self._programs.pop().aclose()

    def _step(self, value: Any, failure: Exception | None) -> Action:
        if failure is not None:
            return self._conversation.throw(failure)
        return self._conversation.send(value)

    async def _do(self, action: Action) -> tuple[Any, Exception | None]:
        """What an action gives: its result, or the failure that the conversation is told of."""
        around = self._surroundings
        try:
            match action:
                case Send(call):
                    self._leave()
                    response = await self._transport.send(call)
                    self._response = response
                    return Reply(response.status, response.headers), None
                case Read():
                    if self._response is None:
                        raise RuntimeError("a conversation read before it sent")
                    return await self._response.receive(), None
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
                case ReadFile(path):
                    return await around.read_file(path), None
                case WriteFile(path, text):
                    await around.write_file(path, text)
                    return None, None
                case OpenSocket() | SendText() | ReceiveText():
                    return await self._do_socket(action), None
                case RunProcess() | Exit() | CallHost() | HostPart():
                    return await self._do_local(action), None
        except (TransportError, ProviderError, OSError) as error:
            return None, error

    async def _do_socket(self, action: OpenSocket | SendText | ReceiveText) -> str | None:
        """What is done with a WebSocket. There is one at a time."""
        if isinstance(action, OpenSocket):
            self._hang_up()
            self._socket = await open_websocket(self._surroundings.network or SocketNetwork(), action.call)
            return None
        if self._socket is None:
            raise RuntimeError("a conversation used a socket before it opened one")
        if isinstance(action, ReceiveText):
            return await self._socket.receive_text()
        await self._socket.send_text(action.text)
        return None

    async def _do_local(self, action: LocalAction) -> Any:
        """What is asked of a program on this machine, or of the editor."""
        match action:
            case RunProcess():
                self._leave()
                program = await self._surroundings.start(action)
                self._programs.append(program)
                self._response = program
                return None
            case Exit():
                if not self._programs:
                    raise RuntimeError("a conversation waited for a program before it ran one")
                return await self._programs[-1].wait()
            case CallHost(call):
                return await self._host().call(call)
            case HostPart():
                return await self._host().next_part()

    def _host(self) -> Host:
        if self._surroundings.host is None:
            raise ConfigurationError(
                "these models live in an editor: give Surroundings(host=...), a bridge to the one to ask"
            )
        return self._surroundings.host

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _leave(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def _close(self) -> None:
        self._is_ended = True
        self._leave()
        self._hang_up()
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
