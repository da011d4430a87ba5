"""Newline-delimited JSON: ``NdjsonDecoder`` and ``NdjsonLine`` (Ollama's native API streams so).

Bytes come in as the network cut them, lines go out, not yet decoded. A line ends at LF; a CR before it is dropped; lines of nothing
but spaces, tabs and CR are skipped (some gateways send them to keep a connection alive). JSON has no raw LF inside strings, so a
line is always one whole text; what U+2028 or VT is doing in it is no business of framing.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..vocabulary import ProtocolError
from .events import Buffer
from .limits import Closable

__all__ = ["NdjsonDecoder", "NdjsonLine"]


_BLANK = b" \t\r"


class NdjsonLine(msgspec.Struct, frozen=True, gc=False):
    """One line without its end. ``name`` is always empty: this framing has no event types."""

    data: bytes | memoryview
    name: str = ""


class NdjsonDecoder(Closable):
    """Bytes to :class:`NdjsonLine`.

    ``max_line_size`` (bytes; of the line's end only the LF is not counted) bounds what is held. ``data`` is a view into the chunk where the chunk is
    ``bytes`` and holds the whole line, good for as long as it is kept; other buffers are copied once as they come in.
    """

    __slots__ = ("_max", "_partial")

    def __init__(self, *, max_line_size: int = 16 * 1024 * 1024) -> None:
        super().__init__()
        self._max = max_line_size
        self._partial = bytearray()

    def feed(self, chunk: Buffer, /) -> Iterable[NdjsonLine]:
        """The lines that ``chunk`` completes.

        Past ``max_line_size`` it gives the lines before the fault and then raises :class:`ProtocolError`; every later call raises.
        """
        self._check_open()
        text = chunk if type(chunk) is bytes else bytes(chunk)
        view = memoryview(text)
        lines: list[NdjsonLine] = []
        pos = 0
        try:
            while (end := text.find(b"\n", pos)) >= 0:
                if self._partial:
                    self._keep(text[pos:end])
                    line = bytes(self._partial)
                    self._partial = bytearray()
                    self._add(line, line, 0, len(line), lines)
                else:
                    self._add(text, view, pos, end, lines)
                pos = end + 1
            self._keep(text[pos:])
        except ProtocolError as fault:
            return self._close(lines, fault)
        return lines

    def finish(self) -> Iterable[NdjsonLine]:
        """The bytes have ended: the last line, if no LF has ended it."""
        self._check_open()
        lines: list[NdjsonLine] = []
        line = bytes(self._partial)
        self._forget()
        self._add(line, line, 0, len(line), lines)
        return lines

    def _forget(self) -> None:
        self._partial = bytearray()

    def _add(
        self, text: bytes, source: bytes | memoryview, pos: int, end: int, lines: list[NdjsonLine]
    ) -> None:
        if end - pos > self._max:
            raise self._too_long()
        if text.endswith(b"\r", pos, end):
            end -= 1
        if end > pos and (text[pos] not in _BLANK or text[pos:end].strip(_BLANK)):
            lines.append(NdjsonLine(source[pos:end]))

    def _keep(self, piece: bytes) -> None:
        self._partial += piece
        if len(self._partial) > self._max:
            raise self._too_long()

    def _too_long(self) -> ProtocolError:
        return ProtocolError(f"a line of the stream is longer than {self._max:,} bytes")
