"""Bytes to events: server-sent events, newline-delimited JSON, the AWS event stream; and JSON that arrives in pieces.

``events`` says what every decoder promises; ``limits`` is what they do when a promise cannot be kept.
"""

from .events import (
    Buffer as Buffer,
    Decoder as Decoder,
    Event as Event,
)
from .eventstream import (
    Byte as Byte,
    EventStreamDecoder as EventStreamDecoder,
    EventStreamMessage as EventStreamMessage,
    HeaderValue as HeaderValue,
    Int as Int,
    Long as Long,
    Short as Short,
    Timestamp as Timestamp,
    encode_message as encode_message,
)
from .json_stream import JsonStreamParser as JsonStreamParser
from .ndjson import (
    NdjsonDecoder as NdjsonDecoder,
    NdjsonLine as NdjsonLine,
)
from .sse import (
    SseDecoder as SseDecoder,
    SseEvent as SseEvent,
)
