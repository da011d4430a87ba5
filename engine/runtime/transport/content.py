"""Content codings: compressed body bytes in, plain bytes out, a bounded piece at a time (RFC 9110 section 8.4).

``gzip`` and ``deflate`` are undone with zlib as the bytes arrive: whatever the sender flushed comes out at once, so a
compressed event stream still streams. Two things must always hold, because a few kilobytes can claim to be gigabytes:

- one call gives at most ``PIECE`` bytes; :attr:`ContentDecoder.has_more` says that a further call without new input has more;
- past ``FREE`` bytes of output, output over input stays below the allowed ratio, or :class:`ProtocolError` is raised.

A ``deflate`` body is a zlib stream (RFC 1950), but enough servers send the bare deflate data (RFC 1951) that both are taken, told
apart by the two header bytes. A gzip body may have several members (RFC 1952 section 2.2); anything else after its end is an error.
"""

from __future__ import annotations

import zlib

from tercet.codecs.vocabulary import ProtocolError

__all__ = ["ContentDecoder"]

PIECE = 1 << 20
FREE = 1 << 20


class ContentDecoder:
    """Undoes one content coding. ``coding`` is the header's value; an unknown one raises :class:`ProtocolError`.

    ``max_ratio`` is how many bytes one compressed byte may become once more than ``FREE`` bytes came out.
    """

    __slots__ = ("_held", "_input", "_is_gzip", "_max_ratio", "_output", "_zlib", "has_more")

    def __init__(self, coding: str, *, max_ratio: int = 200) -> None:
        name = coding.strip().lower()
        if name not in {"gzip", "x-gzip", "deflate"}:
            raise ProtocolError(f"the answer has a content-encoding that was not asked for: {coding[:40]!r}")
        self._is_gzip = name != "deflate"
        self._max_ratio = max_ratio
        self._zlib = (
            zlib.decompressobj(31) if self._is_gzip else None
        )  # 31: gzip header demanded, 32 KiB window
        self._held = b""  # input not consumed yet: the rest behind a full piece, or a first byte that is too little to judge
        self._input = 0
        self._output = 0
        self.has_more: bool = False

    def decode(self, data: bytes) -> bytes:
        """Take more input (or ``b""`` while :attr:`has_more`), give up to ``PIECE`` bytes. Raises :class:`ProtocolError`."""
        self._input += len(data)
        data = self._held + data if self._held else data
        self._held = b""
        if self._zlib is None:
            if len(data) < 2:
                self._held = data
                return b""
            is_zlib = data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0  # RFC 1950 section 2.2
            self._zlib = zlib.decompressobj(15 if is_zlib else -15)
        pieces: list[bytes] = []
        room = PIECE
        while True:
            if self._zlib.eof:
                if not data:
                    break
                if not (self._is_gzip and data[0] == 0x1F):
                    raise ProtocolError("the compressed answer goes on after its end")
                self._zlib = zlib.decompressobj(31)
            try:
                piece = self._zlib.decompress(data, room)
            except zlib.error:
                raise ProtocolError("the answer's compressed data is damaged") from None
            if piece:
                pieces.append(piece)
                room -= len(piece)
            data = self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail
            if not room or not self._zlib.eof:
                break
        self._held = data
        self.has_more = not room  # a full piece: zlib may hold more even when it has consumed all the input
        self._output += PIECE - room
        if self._output > FREE and self._output > self._max_ratio * self._input:
            raise ProtocolError(
                f"the answer inflates more than {self._max_ratio}-fold: refused as a decompression bomb"
            )
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def finish(self) -> None:
        """The body has ended: raises :class:`ProtocolError` when the compressed data has not. No data at all is fine."""
        if self._input and (self._zlib is None or not self._zlib.eof):
            raise ProtocolError("the answer's compressed data is cut off")
