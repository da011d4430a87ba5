"""Server-sent events whose data is JSON, as LLM providers send them, and the two ways in which such a stream may end.

Some services close the connection right behind the last line, without the blank line that ends its event, so that event has to
be taken. But a stream that breaks off ends in the middle of an event just as well. What is whole JSON (or the ``[DONE]`` of
OpenAI's family) was sent whole; half a document is dropped, so that a broken stream is *interrupted*, and no protocol error.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..framing.sse import SseDecoder, SseEvent

__all__ = ["JsonSseDecoder"]

_ANY = msgspec.json.Decoder()


class JsonSseDecoder(SseDecoder):
    """An :class:`SseDecoder` that takes a last event without its blank line if its data is whole. Limits are in bytes."""

    __slots__ = ()

    def __init__(self, *, max_event_size: int = 16 * 1024 * 1024) -> None:
        super().__init__(max_event_size=max_event_size, final_block=True)

    def finish(self) -> Iterable[SseEvent]:
        """The bytes have ended: the last event, if it is whole."""
        return [event for event in super().finish() if _is_whole(event.data)]


def _is_whole(data: bytes | memoryview) -> bool:
    try:
        _ANY.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return bytes(data[:8]).strip() == b"[DONE]"
    return True
