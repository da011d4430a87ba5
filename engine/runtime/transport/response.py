"""One exchange on one connection, from the caller's side: :class:`Response`.

:class:`~tercet.engine.runtime.transport.transport.Transport` makes it, has it :meth:`Response.exchange` the request for a head, and hands it out.
From then on whoever has it reads the body in its own task, and closes it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

import trio

from tercet.adapters.call import Origin
from tercet.codecs.vocabulary import DeadlineError, ProtocolError, StreamInterruptedError, TransportError

from .http1 import ResponseParser, TransportLimits
from .network import BROKEN, Connection

__all__ = ["Release", "Response"]

SMALL_REQUEST = 64 * 1024

Release = Callable[[Origin, Connection, bool], None]  # the last one: whether the connection can serve again


class Response:
    """One answer. Made by ``Transport.send``; ``status`` and ``headers`` are there, the body is read as it comes.

    ``headers``: names in lower case, values of repeated fields joined with ``", "`` (of ``set-cookie`` the first is kept). They describe
    what was sent: with a ``content-encoding``, ``content-length`` is the compressed size, while the body is given inflated.
    ``http_version``: ``"1.1"`` or ``"1.0"``. ``reused``: whether the connection had served before.

    The connection goes back to the pool the moment the message is complete. Until then the response owns it: close the response, or use
    it as ``async with``. One task at a time may read.
    """

    __slots__ = (
        "_connection",
        "_failure",
        "_is_closed",
        "_is_unsent",
        "_limits",
        "_origin",
        "_parser",
        "_release",
        "headers",
        "http_version",
        "is_unanswered",
        "reused",
        "status",
    )

    def __init__(
        self,
        origin: Origin,
        connection: Connection,
        parser: ResponseParser,
        release: Release,
        limits: TransportLimits,
        *,
        reused: bool,
    ) -> None:
        self._origin = origin
        self._connection: Connection | None = connection
        self._parser = parser
        self._release = release
        self._limits = limits
        self._failure: TransportError | None = None
        self._is_unsent = False  # a part of the request was not sent: the connection cannot be used again
        self._is_closed = False
        self.is_unanswered = True  # not one byte came
        self.reused = reused
        self.status = 0
        self.headers: dict[str, str] = parser.headers
        self.http_version = ""

    def __repr__(self) -> str:
        return f"<Response {self.status} from {self._origin}>"

    async def receive(self) -> bytes:
        """The body bytes of the next read, content coding undone; ``b""`` at the end of the body, and every time after it.

        Waits only when no bytes are there; a wait is a checkpoint, and a connection that never makes one wait has a full checkpoint every
        16 reads. Raises :class:`StreamInterruptedError` when the connection ends before the body does, and :class:`ProtocolError` for bytes
        that are no HTTP; what came before the fault is handed out first, however it was cut, and every later call raises the same error.
        :class:`trio.ClosedResourceError` after :meth:`close`. A cancelled call has lost nothing.
        """
        parser = self._parser
        while True:
            if self._is_closed:
                raise trio.ClosedResourceError("this response was closed")
            try:
                data = parser.take()
            except ProtocolError as error:
                self._fail(error)
                raise
            if data:
                return data
            if self._failure is not None:
                raise self._failure
            if parser.is_complete:
                return b""
            await self._read()
            if parser.is_complete:
                self._let_go(is_reusable=parser.keep_alive and not self._is_unsent)

    async def read(self, limit: int | None = None) -> bytes:
        """The whole body, at most ``limit`` bytes (default: the transport's ``body_bytes``), and close.

        Raises as :meth:`receive`, and :class:`ProtocolError` when the body is larger. Cancelled or failed, it closes the connection.
        """
        limit = self._limits.body_bytes if limit is None else limit
        pieces: list[bytes] = []
        size = 0
        try:
            while data := await self.receive():
                pieces.append(data)
                size += len(data)
                if size > limit:
                    raise ProtocolError(f"the answer's body is larger than {limit} bytes", status=self.status)
        finally:
            self.close()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Close the connection, unless the message is complete and the connection was given back. Never waits; may be called twice."""
        self._is_closed = True
        self._let_go(is_reusable=False)

    async def aclose(self) -> None:
        """As :meth:`close`, for those who want something to await; not a checkpoint."""
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def exchange(self, data: bytes, seconds: float | None) -> TransportError | None:
        """The transport's half, called once: send the request ``data`` and read until the head is there.

        Gives the failure instead of raising it, because the transport looks at it first. Raises :class:`DeadlineError` when the
        head is not there after ``seconds``; then, and when cancelled, the transport closes.
        """
        failure: TransportError | None = None
        if seconds is None:
            failure = await self._exchange(data)
        else:
            with trio.move_on_after(seconds) as scope:
                failure = await self._exchange(data)
            if scope.cancelled_caught:
                raise DeadlineError(
                    f"no answer from {self._origin} within {seconds:g} s", clock="first_content"
                )
        if failure is None:
            parser = self._parser
            self.status = parser.status
            self.http_version = parser.http_version
            if parser.is_complete:
                self._let_go(is_reusable=parser.keep_alive and not self._is_unsent)
        return failure

    async def _exchange(self, data: bytes) -> TransportError | None:
        connection = self._connection
        assert connection is not None  # nobody else has this response yet
        if len(data) > SMALL_REQUEST:
            return await self._exchange_large(connection, data)
        try:
            await connection.send_all(data)
        except BROKEN as error:
            # The server may have answered before it closed: that is read; else the socket is at its end and does not make us wait.
            self._is_unsent = True
            return _caused_by(await self._read_head(), error)
        return await self._read_head()

    async def _exchange_large(self, connection: Connection, data: bytes) -> TransportError | None:
        """Send in a second task, read in this one. Nothing but Cancelled may leave the nursery: it would come wrapped in a group."""
        broken: Exception | None = None
        self._is_unsent = True

        async def push() -> None:
            nonlocal broken
            try:
                await connection.send_all(data)
            except BROKEN as error:
                broken = error
            except trio.ClosedResourceError:
                pass  # reading failed and closed the connection
            else:
                self._is_unsent = False

        async with trio.open_nursery() as nursery:
            nursery.start_soon(push)
            failure = await self._read_head()
            if failure is not None or self._parser.status >= 300:
                nursery.cancel_scope.cancel()
        return _caused_by(failure, broken)

    async def _read_head(self) -> TransportError | None:
        while not self._parser.has_head:
            await self._read()
            if self._failure is not None and not self._parser.has_head:
                return self._failure
        return None

    async def _read(self) -> None:
        """Read once and parse. A failure is kept, not raised: body bytes in front of it come first."""
        connection = self._connection
        assert (
            connection is not None
        )  # it is let go only when complete, failed or closed, and all three were looked at
        parser = self._parser
        try:
            data = await connection.receive()
            if data:
                self.is_unanswered = False
                parser.feed(data)
            else:
                parser.eof()
        except BROKEN as error:
            where = "without an answer" if self.is_unanswered else "in the middle of its answer"
            reason = (isinstance(error, OSError) and error.strerror) or type(error).__name__
            failure = StreamInterruptedError(f"the connection to {self._origin} broke {where}: {reason}")
            failure.__cause__ = error
            self._fail(failure)
        except (ProtocolError, StreamInterruptedError) as failure:
            self._fail(failure)

    def _fail(self, failure: TransportError) -> None:
        self._failure = failure.at(status=self._parser.status or None)
        self._let_go(is_reusable=False)

    def _let_go(self, *, is_reusable: bool) -> None:
        connection = self._connection
        if connection is not None:
            self._connection = None
            self._release(self._origin, connection, is_reusable)


def _caused_by(failure: TransportError | None, cause: Exception | None) -> TransportError | None:
    if failure is not None and failure.__cause__ is None:
        failure.__cause__ = cause
    return failure
