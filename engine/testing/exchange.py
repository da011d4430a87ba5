"""Raw bytes for tests of transports and for recorded answers: what is expected of a request, what is sent back, cut where one likes.

::

    server = ScriptedServer([
        ScriptedExchange([b"HTTP/1.1 200 OK\\r\\n", Delay(2.0), b"content-length: 2\\r\\n\\r\\nok"], expect=b"GET /x HTTP/1.1\\r\\n"),
        ScriptedExchange([b"HTTP/1.1 200 OK\\r\\ncontent-length: 9\\r\\n\\r\\nhal", End("reset")]),
    ])
    network.serve("https://api.example.test", server)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import h11
import msgspec
import trio

from .server import reset_on_close

__all__ = ["Delay", "End", "ScriptedExchange", "ScriptedServer", "UnexpectedRequestError"]


class Delay(msgspec.Struct, frozen=True):
    """A pause of so many seconds of trio's clock."""

    seconds: float


class End(msgspec.Struct, frozen=True):
    """The end of the connection: ``fin``, ``reset``, or ``stall`` (silence until the client closes)."""

    how: Literal["fin", "reset", "stall"] = "fin"


class ScriptedExchange(msgspec.Struct, frozen=True):
    """One request and the bytes of its answer. Each ``bytes`` is one write; in memory it arrives as one read.

    ``expect`` is checked on the request's bytes, head and body: they contain it, or the callable is true for them. Without an :class:`End`
    the connection stays open for the next exchange.
    """

    chunks: Sequence[bytes | Delay | End] = ()
    expect: bytes | Callable[[bytes], bool] | None = None


class UnexpectedRequestError(AssertionError):
    """A request came that no exchange expects. ``request`` has its bytes."""

    def __init__(self, message: str, request: bytes) -> None:
        super().__init__(message)
        self.request = request


class ScriptedServer:
    """A handler of connections that answers the n-th request, on whatever connection it comes, with the n-th exchange.

    ``requests`` has the bytes of every request as it came. A request that is not as expected, or one too many, raises
    :class:`UnexpectedRequestError` out of the network's block.
    """

    def __init__(self, exchanges: Sequence[ScriptedExchange]) -> None:
        self.exchanges: tuple[ScriptedExchange, ...] = tuple(exchanges)
        self.requests: list[bytes] = []

    @property
    def is_used_up(self) -> bool:
        """Whether every exchange has had its request."""
        return len(self.requests) >= len(self.exchanges)

    async def __call__(self, stream: trio.abc.Stream) -> None:
        """Serve one connection."""
        try:
            ahead = b""
            while True:
                request, ahead = await _read_request(stream, ahead)
                if request is None:
                    return
                if not await self._play(self._next(request), stream):
                    return
        except trio.BrokenResourceError:
            pass  # the client has closed, as clients do when they have read enough
        finally:
            await trio.aclose_forcefully(stream)

    def _next(self, request: bytes) -> ScriptedExchange:
        number = len(self.requests)
        self.requests.append(request)
        first_line = request.partition(b"\r\n")[0].decode("latin-1").partition("?")[0]
        if number >= len(self.exchanges):
            raise UnexpectedRequestError(
                f"{number} exchanges were scripted; one more request came: {first_line}", request
            )
        exchange = self.exchanges[number]
        expect = exchange.expect
        if expect is not None and not (expect(request) if callable(expect) else expect in request):
            raise UnexpectedRequestError(
                f"request {number + 1} is not what was expected: {first_line}", request
            )
        return exchange

    async def _play(self, exchange: ScriptedExchange, stream: trio.abc.Stream) -> bool:
        """Send the answer; whether the connection goes on."""
        for chunk in exchange.chunks:
            match chunk:
                case Delay(seconds):
                    await trio.sleep(seconds)
                case End(how):
                    if how == "reset":
                        reset_on_close(stream)
                    elif how == "stall":
                        while await stream.receive_some(65536):
                            pass
                    return False
                case _:
                    await stream.send_all(chunk)
        return True


async def _read_request(stream: trio.abc.Stream, ahead: bytes) -> tuple[bytes | None, bytes]:
    """The bytes of one request, and those that came behind it; None at the end. h11 finds where it ends."""
    reader = h11.Connection(h11.SERVER)
    raw = bytearray(ahead)
    if ahead:  # empty would mean the end
        reader.receive_data(ahead)
    while True:
        event = reader.next_event()
        if event is h11.NEED_DATA:
            data = bytes(await stream.receive_some(65536))
            if not data:
                return None, b""
            raw += data
            reader.receive_data(data)
        elif isinstance(event, h11.EndOfMessage):
            rest, _ = reader.trailing_data
            return bytes(raw[: len(raw) - len(rest)]), rest
