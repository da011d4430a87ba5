"""One exchange on one connection, from the caller's side: :class:`Response`.

:class:`~tercet.engine.runtime.transport.transport.Transport` makes it, lets it :meth:`Response.write` the request and :meth:`Response.read_head`, and hands it out.
From then on whoever has it reads the body in its own task, and closes it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

import trio

from tercet.adapters.call import Origin
from tercet.codecs.vocabulary import ProtocolError, StreamInterruptedError, TransportError

from .http1 import ResponseParser, TransportLimits
from .network import BROKEN, Connection

__all__ = ["Release", "Response"]

SMALL_REQUEST = 64 * 1024

Release = Callable[[Origin, Connection, bool], None]  # the last one: whether the connection can serve again


class _Nothing:
    """The parser of an answer of which no byte has come."""

    status = 0
    http_version = ""
    headers: dict[str, str] = {}  # noqa: RUF012 - never written
    has_head = False
    is_complete = False
    keep_alive = False

    def feed(self, data: bytes | memoryview, /) -> None:
        raise AssertionError("the real parser is made with the first byte")

    def take(self) -> bytes:
        return b""

    def eof(self) -> None:
        raise StreamInterruptedError("the server closed the connection without an answer")


NOTHING = _Nothing()


class Response:
    """One answer. Made by ``Transport.send``; ``status`` and ``headers`` are there, the body is read as it comes.

    ``headers``: names in lower case, values of repeated fields joined with ``", "`` (of ``set-cookie`` the first is kept). They describe
    what was sent: with a ``content-encoding``, ``content-length`` is the compressed size, while the body is given inflated.
    ``http_version``: ``"1.1"`` or ``"1.0"``. ``reused``: whether the connection had served before.

    The connection goes back to the pool the moment the message is complete. Until then the response owns it: close the response, or use
    it as ``async with``. One task at a time may read.
    """

    __slots__ = (
        "_broken",
        "_connection",
        "_failure",
        "_is_closed",
        "_is_unsent",
        "_is_writing",
        "_limits",
        "_make_parser",
        "_method",
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
        make_parser: Callable[[str, TransportLimits], ResponseParser],
        method: str,
        *,
        limits: TransportLimits,
        release: Release,
        reused: bool,
    ) -> None:
        self._origin = origin
        self._connection: Connection | None = connection
        self._make_parser = make_parser
        self._method = method
        self._parser: ResponseParser = NOTHING
        self._limits = limits
        self._release = release
        self._failure: TransportError | None = None
        self._broken: Exception | None = None  # why sending failed
        self._is_unsent = False  # a part of the request was not sent: the connection cannot be used again
        self._is_writing = False  # a second task is still sending: the connection must stay
        self._is_closed = False
        self.is_unanswered: bool = True  # not one byte came
        self.reused: bool = reused
        self.status: int = 0
        self.headers: dict[str, str] = NOTHING.headers
        self.http_version: str = ""

    @classmethod
    def opened(
        cls,
        origin: Origin,
        connection: Connection,
        parser: ResponseParser,
        limits: TransportLimits,
        release: Release,
    ) -> Self:
        """A response whose head was read by someone else; ``parser`` has it, and takes the body."""
        response = cls(
            origin,
            connection,
            lambda _method, _limits: parser,
            "",
            limits=limits,
            release=release,
            reused=False,
        )
        response._parser = parser
        response.is_unanswered = False
        response.status = parser.status
        response.headers = parser.headers
        response.http_version = parser.http_version
        return response

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
                self._parser = NOTHING  # damaged compressed data: nothing of it can follow
                self._fail(error)
                raise
            if data:
                return data
            if self._failure is not None:
                raise self._failure
            if parser.is_complete:
                return b""
            connection = self._connection
            # it is let go only when complete, failed or closed, and all three were looked at
            assert connection is not None
            try:
                received = await connection.receive()
            except BROKEN as error:
                self._break(error)
                continue
            self._take_in(received)
            if parser.is_complete:
                self._finish()

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

    # --- the transport's half ----------------------------------------------------------------------------------------------
    #
    # First write(), then read_head(), each once. Failures are given, not raised, because the transport looks at them first. The two are
    # called one after the other and the parser is made only when bytes came: a request that waits holds three coroutines and this
    # object. With a thousand of them waiting, each further object costs the garbage collector 1-2 us a request.

    async def write(self, data: bytes) -> None:
        """Send the request. A failure is kept for :meth:`read_head`, which finds out whether an answer is there all the same."""
        connection = self._connection
        assert connection is not None  # nobody else has this response yet
        if len(data) > SMALL_REQUEST:
            await self._write_large(connection, data)
            return
        try:
            await connection.send_all(data)
        except BROKEN as error:
            self._is_unsent = True
            self._broken = error

    async def _write_large(self, connection: Connection, data: bytes) -> None:
        """Send in a second task, read the head in this one. Nothing but Cancelled may leave the nursery: it would be wrapped in a group."""
        self._is_unsent = self._is_writing = True

        async def push() -> None:
            try:
                await connection.send_all(data)
            except BROKEN as error:
                self._broken = error
            except trio.ClosedResourceError:
                pass  # reading failed, and closed the connection
            else:
                self._is_unsent = False

        async with trio.open_nursery() as nursery:
            nursery.start_soon(push)
            failure = await self.read_head()
            if failure is not None or self.status >= 300:
                nursery.cancel_scope.cancel()
        self._is_writing = False

    async def read_head(self) -> TransportError | None:
        """Read until the head is there; give the failure if it does not come."""
        connection = self._connection
        while not self._parser.has_head:
            if self._failure is not None:
                if self._failure.__cause__ is None:
                    self._failure.__cause__ = self._broken
                return self._failure
            # it is let go only when complete or failed, and both were looked at
            assert connection is not None
            try:
                data = await connection.receive()
            except BROKEN as error:
                self._break(error)
            else:
                self._take_in(data)
        parser = self._parser
        self.status = parser.status
        self.http_version = parser.http_version
        self.headers = parser.headers
        if parser.is_complete and not self._is_writing:
            self._finish()
        return None

    def _take_in(self, data: bytes | memoryview) -> None:
        """Parse what was read. A failure is kept, not raised: body bytes in front of it come first."""
        try:
            if not data:
                self._parser.eof()
                return
            if self.is_unanswered:
                self.is_unanswered = False
                self._parser = self._make_parser(self._method, self._limits)
            self._parser.feed(data)
        except (ProtocolError, StreamInterruptedError) as failure:
            self._fail(failure)

    def _break(self, error: Exception) -> None:
        where = "without an answer" if self.is_unanswered else "in the middle of its answer"
        reason = (isinstance(error, OSError) and error.strerror) or type(error).__name__
        failure = StreamInterruptedError(f"the connection to {self._origin} broke {where}: {reason}")
        failure.__cause__ = error
        self._fail(failure)

    def _finish(self) -> None:
        """The message is complete: the connection can serve again, if both sides are done with it."""
        parser = self._parser
        is_misdirected = parser.status == 421  # RFC 9110 section 15.5.20: another connection may do better
        self._let_go(is_reusable=parser.keep_alive and not self._is_unsent and not is_misdirected)

    def _fail(self, failure: TransportError) -> None:
        self._failure = failure.at(status=self.status or self._parser.status or None)
        self._let_go(is_reusable=False)

    def _let_go(self, *, is_reusable: bool) -> None:
        connection = self._connection
        if connection is not None:
            self._connection = None
            self._release(self._origin, connection, is_reusable)
