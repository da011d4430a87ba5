"""Lines of JSON, and the two ways in which such a stream may end.

Some servers leave out the line end behind the last line, so that line has to be taken. But a stream that breaks off ends in the middle
of a line just as well. What is whole JSON was sent whole; half a document is dropped, so that a broken stream is *interrupted*, and no
protocol error (as ``json_sse`` does it).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..framing.ndjson import NdjsonDecoder, NdjsonLine

__all__ = ["JsonLinesDecoder"]

_ANY = msgspec.json.Decoder()


class JsonLinesDecoder(NdjsonDecoder):
    """An :class:`NdjsonDecoder` that takes a last line without its end only if it is whole. Limits are in bytes."""

    __slots__ = ()

    def finish(self) -> Iterable[NdjsonLine]:
        """The bytes have ended: the last line, if it is whole."""
        return [line for line in super().finish() if _is_whole(line.data)]


def _is_whole(data: bytes | memoryview) -> bool:
    try:
        _ANY.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
