"""What every decoder in this folder promises.

``feed(chunk)`` takes the bytes as they arrived and yields the events that are complete; ``finish()`` is told that no more
will come and yields what the format allows to end there. Both yield :class:`Event`. A decoder never waits, and never keeps
more than its limits allow: past a limit it raises :class:`ProtocolError` and stays closed, so every later call raises too.

All framings speak of one thing: a ``name`` and ``data``. SSE has the event's type and its data, NDJSON no name and a line,
the AWS event stream the ``:event-type`` (or ``:exception-type``) and the payload. So one kind of interpreter serves all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

__all__ = ["Buffer", "Decoder", "Event"]

Buffer = bytes | bytearray | memoryview


class Event(Protocol):
    """One event. ``data`` may be a view into the chunk that was fed: it is good until the next ``feed``."""

    @property
    def name(self) -> str:
        """The event's type; an empty string where the framing has none."""
        ...

    @property
    def data(self) -> bytes | memoryview:
        """The payload."""
        ...


class Decoder(Protocol):
    """Bytes to events."""

    def feed(self, chunk: Buffer, /) -> Iterable[Event]:
        """Take a chunk, give the events that it completes. Raises :class:`ProtocolError` past a limit."""
        ...

    def finish(self) -> Iterable[Event]:
        """No more bytes will come: give what the format allows to end without its terminator."""
        ...
