"""``BridgeSender``: calls that are answered by an editor, over a local connection (``codecs.wire.host_bridge`` tells the protocol).

A connection a call: hello with the token, the request's line, then the lines of the answer until the host hangs up. Closing the response closes
the connection, and that cancels the request in the editor. The reader's own task does everything; there is no other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from tercet.adapters.call import HttpCall, Origin
from tercet.codecs.vocabulary import (
    ConfigurationError,
    ConnectError,
    DeadlineError,
    ProtocolError,
    StreamInterruptedError,
)
from tercet.codecs.wire.host_bridge import HELLO_LIMIT, LINE_LIMIT, hello_line, is_refusal, read_hello

from .transport import Connection, Response, StreamConnection
from .unframed import unframed_response

__all__ = ["BridgeSender", "connect_locally"]


class BridgeSender:
    """See :class:`~.attempt.Sender`. ``connect`` makes a connection to an origin (``unix`` or ``tcp``); tests give their own.

    Keeps nothing: one may serve any number of calls, and need not be closed.
    """

    def __init__(self, connect: Callable[[Origin], Awaitable[Connection]] | None = None) -> None:
        self._connect = connect or connect_locally

    async def send(
        self, call: HttpCall, *, connect_timeout: float = 10.0, accept_encoding: str = "identity"
    ) -> Response:
        """Say hello, ask, and return with the first line of the answer. ``status`` is 500 when that is an error, else 200.

        The token is what the call's ``authorization`` header carries. ``connect_timeout``: seconds until the editor has said hello, too.
        ``accept_encoding`` means nothing here. Raises :class:`ConnectError`, :class:`DeadlineError` with the clock ``connect``,
        :class:`ProtocolError` for what is no bridge, :class:`ConfigurationError` for another version, :class:`AuthenticationError`
        for a wrong token, :class:`StreamInterruptedError`. Cancelled, it closes the connection.
        """
        token = _token(call)
        lines = None
        with trio.move_on_after(connect_timeout) as scope:
            connection = await self._connect(call.origin)
            lines = await _greet(connection, token, call.origin)
        if lines is None:
            assert scope.cancelled_caught
            raise DeadlineError(
                f"the editor at {call.origin} did not say hello within {connect_timeout:g} s", clock="connect"
            )
        try:
            await lines.send(call.body + b"\n")
            first = await lines.next(LINE_LIMIT)
        except BaseException:
            lines.connection.close()
            raise
        status = 500 if is_refusal(first) else 200
        return unframed_response(call.origin, lines.connection, status=status, first=first + lines.rest())


def _token(call: HttpCall) -> str:
    for name, value in call.headers:
        scheme, _, token = value.partition(" ")
        if name.lower() == "authorization" and scheme.lower() == "bearer" and token:
            return token
    raise ConfigurationError(
        "the bridge to an editor needs the token that its extension shows; there is none"
    )


async def _greet(connection: Connection, token: str, origin: Origin) -> _Lines:
    lines = _Lines(connection, origin)
    try:
        await lines.send(hello_line(token))
        read_hello(await lines.next(HELLO_LIMIT))
    except BaseException:
        connection.close()
        raise
    return lines


class _Lines:
    """The lines of a connection, for as long as they are read one by one."""

    def __init__(self, connection: Connection, origin: Origin) -> None:
        self.connection = connection
        self._origin = origin
        self._data = bytearray()

    async def send(self, line: bytes) -> None:
        try:
            await self.connection.send_all(line)
        except (OSError, trio.BrokenResourceError):
            # The host has hung up, perhaps after it said why: what it said is read, and if that is nothing, the reading tells.
            return

    async def next(self, limit: int) -> bytes:
        """The next line with its end; what there is of it where the connection ends before."""
        while (end := self._data.find(b"\n")) < 0:
            if len(self._data) > limit:
                raise ProtocolError(f"the editor sent a line of more than {limit:,} bytes")
            try:
                data = await self.connection.receive()
            except (OSError, trio.BrokenResourceError) as error:
                raise StreamInterruptedError(
                    f"the connection to the editor at {self._origin} broke"
                ) from error
            if not data:
                if not self._data:
                    raise StreamInterruptedError(f"the editor at {self._origin} hung up without a word")
                return self.rest()
            self._data += data
        line = bytes(self._data[: end + 1])
        del self._data[: end + 1]
        return line

    def rest(self) -> bytes:
        """What was read beyond the last line."""
        rest = bytes(self._data)
        self._data.clear()
        return rest


async def connect_locally(origin: Origin) -> Connection:
    """A connection to a Unix socket, or to a port of this machine. Raises :class:`ConnectError`; cancelled, it leaves nothing open."""
    try:
        if origin.scheme == "unix":
            return StreamConnection(await trio.open_unix_socket(origin.host))
        return StreamConnection(await trio.open_tcp_stream(origin.host, origin.port))
    except OSError as error:
        raise ConnectError(
            f"no editor answers at {origin} ({error.strerror or type(error).__name__}): is it open, with its extension running?"
        ) from error
