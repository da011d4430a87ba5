"""A server inside the measured process, over real sockets: what it sends is decided by the reader's own steps.

Every read gives exactly one piece, whatever else the machine does, so counts (allocations, instructions) are the same in every run. The
server's part is a ``recv`` and a ``send`` of bytes made beforehand, two system calls and a handful of instructions.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import tercet
from tercet.adapters.call import Origin
from tercet.cli.bench_server import DOCUMENTS
from tercet.engine.runtime.transport.sockets import SocketConnection

REQUEST = tercet.ChatRequest("bench:gpt-4o", "Say hello.")
PARTS = DOCUMENTS["openai"]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(PARTS["json"]),
    PARTS["json"],
)
Answers = Callable[[], Iterator[bytes]]


def chunk(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def whole() -> Iterator[bytes]:
    """A JSON answer."""
    yield JSON


def stream(tokens: int, *, cut: bool = False) -> Answers:
    """A stream, one token a read; ``cut`` ends the connection in place of the end of the answer."""
    token, last = chunk(PARTS["token"]), chunk(PARTS["last"]) + b"0\r\n\r\n"

    def answer() -> Iterator[bytes]:
        yield HEAD + token
        for _ in range(tokens - 1):
            yield token
        yield b"" if cut else last

    return answer


class InsideConnection(SocketConnection):
    """Our end of a pair of sockets; the other end answers when we have sent a request, and goes on when we read."""

    __slots__ = ("_answer", "_answers", "_peer")

    def __init__(self, answers: Answers, buffer: memoryview) -> None:
        ours, self._peer = socket.socketpair()
        ours.setblocking(False)
        super().__init__(ours, buffer)
        self._answers = answers
        self._answer: Iterator[bytes] = iter(())

    async def send_all(self, data: bytes) -> None:
        await super().send_all(data)
        self._peer.recv(65536)
        self._answer = self._answers()

    async def receive(self) -> memoryview:
        piece = next(self._answer, None)
        if piece:
            self._peer.send(piece)
        elif piece is not None:
            self._peer.shutdown(socket.SHUT_WR)
        return await super().receive()

    def close(self) -> None:
        super().close()
        self._peer.close()


class InsideNetwork:
    """Answers every connection's requests with ``answers``; ``connects`` counts the connections."""

    make = InsideConnection

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.connects = 0
        self._buffer = memoryview(bytearray(65536))

    async def connect(self, _origin: Origin) -> InsideConnection:
        self.connects += 1
        return self.make(self.answers, self._buffer)


def registry(*names: str) -> tercet.ProviderRegistry:
    """Rows of these names, or ``bench``."""
    known = tercet.ProviderRegistry([])
    for number, name in enumerate(names or ("bench",), start=9):  # an origin of its own each
        known.add(
            tercet.Profile(id=name, base_url=f"http://127.0.0.1:{number}/v1", auth="none", catalog="none")
        )
    return known


async def drink(manager: tercet.ProviderManager, request: tercet.ChatRequest = REQUEST) -> int:
    """Read one stream to its end; how many tokens came."""
    count = 0
    async with manager.chat_stream(request) as answer:
        async for _ in answer:
            count += 1
    return count
