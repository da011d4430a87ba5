"""A :class:`~.transport.Response` without HTTP: for answers that come from a program's stdout or a local socket.

Everything behind it (attempts, token streams, the reading of error bodies) is the same as for an answer over HTTP. The body is what the
connection gives until its end.
"""

from __future__ import annotations

from tercet.adapters.call import Origin

from .transport import Connection, Response, TransportLimits

__all__ = ["unframed_response"]

_LIMITS = TransportLimits()


class _Body:
    """The parser of a body that has no framing at all (see ``transport.http1.ResponseParser``)."""

    http_version = ""
    has_head = True
    keep_alive = False

    def __init__(self, status: int, first: bytes) -> None:
        self.status = status
        self.headers = {"content-type": "application/x-ndjson"}
        self.is_complete = False
        self._data = first

    def feed(self, data: bytes | memoryview, /) -> None:
        self._data += data

    def take(self) -> bytes:
        data, self._data = self._data, b""
        return data

    def eof(self) -> None:
        self.is_complete = True


def unframed_response(
    origin: Origin, connection: Connection, *, status: int = 200, first: bytes = b""
) -> Response:
    """An answer whose body is ``first`` and then all that ``connection`` gives. The response owns the connection and closes it."""
    return Response.opened(origin, connection, _Body(status, first), _LIMITS, _close)


def _close(origin: Origin, connection: Connection, is_reusable: bool) -> None:
    connection.close()
