"""The AWS event stream (``application/vnd.amazon.eventstream``): ``EventStreamDecoder``, ``EventStreamMessage``, ``encode_message``.

A message, all numbers big-endian (smithy.io, "Amazon Event Stream Specification")::

    total length     4 bytes   of the whole message
    headers length   4 bytes
    prelude CRC      4 bytes   CRC-32 (as in gzip) of the 8 bytes before
    headers          name length 1, name, type 1, value; repeated
    payload          total - headers - 16 bytes
    message CRC      4 bytes   CRC-32 of everything before

What must always hold: no length is believed before the prelude's CRC is checked and the limits allow it, so nothing is allocated for
a message that will be refused; no message is handed on before its own CRC is checked; after a fault nothing more is believed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from uuid import UUID

import msgspec

from ..vocabulary import ProtocolError
from .events import Buffer
from .limits import Closable

__all__ = [
    "Byte",
    "EventStreamDecoder",
    "EventStreamMessage",
    "HeaderValue",
    "Int",
    "Long",
    "Short",
    "Timestamp",
    "encode_message",
]


class Byte(int):
    """A header value of type 2: 8 bits, signed."""


class Short(int):
    """A header value of type 3: 16 bits, signed."""


class Int(int):
    """A header value of type 4: 32 bits, signed."""


class Long(int):
    """A header value of type 5: 64 bits, signed. A plain ``int`` is encoded as this."""


class Timestamp(int):
    """A header value of type 8: milliseconds since 1970-01-01T00:00Z, 64 bits, signed."""


HeaderValue = bool | int | bytes | str | UUID
"""What a header can hold. Numbers are decoded as the subclasses of ``int`` above, so that they encode to what they were."""

_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_LENGTH = struct.Struct(">H")
_PRELUDE_SIZE = 12
_FRAME_SIZE = 16  # prelude and message CRC: the smallest message
_TRUE, _FALSE, _BYTES, _STRING, _UUID = 0, 1, 6, 7, 9
_NUMBERS: dict[int, tuple[type[int], struct.Struct]] = {
    2: (Byte, struct.Struct(">b")),
    3: (Short, struct.Struct(">h")),
    4: (Int, struct.Struct(">i")),
    5: (Long, struct.Struct(">q")),
    8: (Timestamp, struct.Struct(">q")),
}
_NUMBER_TYPES = {kind: (number, packing) for number, (kind, packing) in _NUMBERS.items()}


class EventStreamMessage(msgspec.Struct, frozen=True):
    """One message: its headers by name, and its payload (a view where the whole message lay inside one ``bytes`` chunk)."""

    headers: dict[str, HeaderValue]
    payload: bytes | memoryview = b""

    @property
    def name(self) -> str:
        """``:event-type``, or ``:exception-type``, or ``:error-code``, whichever is there; empty if none is."""
        return self._text(":event-type") or self._text(":exception-type") or self._text(":error-code")

    @property
    def data(self) -> bytes | memoryview:
        """The payload."""
        return self.payload

    @property
    def message_type(self) -> str:
        """``event``, ``exception`` or ``error``; empty if the message does not say."""
        return self._text(":message-type")

    def _text(self, name: str) -> str:
        value = self.headers.get(name)
        return value if isinstance(value, str) else ""


class EventStreamDecoder(Closable):
    """Bytes to :class:`EventStreamMessage`.

    ``max_message_size`` and ``max_headers_size`` are in bytes; the defaults are the specification's 24 MiB and 128 KiB.
    """

    __slots__ = ("_headers", "_headers_bytes", "_held", "_max_headers", "_max_message", "_need")

    def __init__(
        self, *, max_message_size: int = 24 * 1024 * 1024, max_headers_size: int = 128 * 1024
    ) -> None:
        super().__init__()
        self._max_message = max_message_size
        self._max_headers = max_headers_size
        self._held = bytearray()
        self._need = _PRELUDE_SIZE  # so many bytes must be there before another look at them
        # A stream repeats the same few headers on every message: not decoding them again halves a message's 2 us.
        self._headers_bytes = b""
        self._headers: dict[str, HeaderValue] = {}

    def feed(self, chunk: Buffer, /) -> Iterable[EventStreamMessage]:
        """The messages that ``chunk`` completes.

        A checksum that does not match, a broken header or a length beyond its limit raises :class:`ProtocolError`, after the messages
        before it were given; every later call raises.
        """
        self._check_open()
        if self._held or len(chunk) < self._need:
            self._held += chunk
            if len(self._held) < self._need:
                return ()
            text = bytes(self._held)
            self._held = bytearray()
        else:
            text = chunk if type(chunk) is bytes else bytes(chunk)
        messages: list[EventStreamMessage] = []
        pos = 0
        self._need = _PRELUDE_SIZE
        try:
            while len(text) - pos >= _PRELUDE_SIZE:
                total, headers_size = self._prelude(text, pos)
                if len(text) - pos < total:
                    self._need = total
                    break
                messages.append(self._message(text, pos, total, headers_size))
                pos += total
        except ProtocolError as fault:
            return self._close(messages, fault)
        self._held += memoryview(text)[pos:]
        return messages

    def finish(self) -> Iterable[EventStreamMessage]:
        """The bytes have ended: nothing more can come. Raises :class:`ProtocolError` if they ended inside a message."""
        self._check_open()
        if self._held:
            size = len(self._held)
            return self._close([], ProtocolError(f"the event stream ended {size:,} bytes into a message"))
        return ()

    def _forget(self) -> None:
        self._held = bytearray()

    def _prelude(self, text: bytes, pos: int) -> tuple[int, int]:
        total, headers_size, crc = _PRELUDE.unpack_from(text, pos)
        if zlib.crc32(memoryview(text)[pos : pos + 8]) != crc:
            raise ProtocolError("the prelude of an event stream message does not match its checksum")
        if total > self._max_message:
            raise ProtocolError(
                f"an event stream message of {total:,} bytes is larger than {self._max_message:,} bytes"
            )
        if headers_size > self._max_headers:
            raise ProtocolError(
                f"event stream headers of {headers_size:,} bytes are larger than {self._max_headers:,} bytes"
            )
        if total < _FRAME_SIZE + headers_size:
            raise ProtocolError(
                f"an event stream message of {total} bytes cannot hold headers of {headers_size} bytes"
            )
        return total, headers_size

    def _message(self, text: bytes, pos: int, total: int, headers_size: int) -> EventStreamMessage:
        view = memoryview(text)
        end = pos + total - 4
        if zlib.crc32(view[pos:end]) != _CRC.unpack_from(text, end)[0]:
            raise ProtocolError("an event stream message does not match its checksum")
        start = pos + _PRELUDE_SIZE
        headers_bytes = text[start : start + headers_size]
        if headers_bytes != self._headers_bytes:
            self._headers = _decode_headers(headers_bytes)
            self._headers_bytes = headers_bytes
        return EventStreamMessage(self._headers.copy(), view[start + headers_size : end])


def encode_message(headers: Mapping[str, HeaderValue], payload: bytes | memoryview = b"") -> bytes:
    """One message. A header's type follows from its value's: ``bool``, ``Byte``, ``Short``, ``Int``, ``Long`` or ``int``,
    ``Timestamp``, ``bytes``, ``str``, ``UUID``.

    Raises ValueError for a name that is empty or longer than 255 bytes, a number out of its range, a value longer than 65,535 bytes.
    """
    encoded = b"".join(_encode_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", _FRAME_SIZE + len(encoded) + len(payload), len(encoded))
    message = b"".join((prelude, _CRC.pack(zlib.crc32(prelude)), encoded, payload))
    return message + _CRC.pack(zlib.crc32(message))


def _decode_headers(data: bytes) -> dict[str, HeaderValue]:
    headers: dict[str, HeaderValue] = {}
    pos = 0
    try:
        while pos < len(data):
            size = data[pos]
            if size == 0:
                raise ProtocolError("an event stream header has no name")
            name = str(_cut(data, pos + 1, size), "utf-8")
            if name in headers:
                raise ProtocolError(f"the event stream header {name!r} comes twice in one message")
            headers[name], pos = _decode_value(data, pos + 1 + size)
    except (IndexError, struct.error) as error:
        raise ProtocolError("an event stream header is cut off") from error
    except UnicodeDecodeError as error:
        raise ProtocolError("an event stream header is not UTF-8") from error
    return headers


def _decode_value(data: bytes, pos: int) -> tuple[HeaderValue, int]:
    kind = data[pos]
    pos += 1
    if kind in (_STRING, _BYTES):
        (size,) = _LENGTH.unpack_from(data, pos)
        value = _cut(data, pos + 2, size)
        return (str(value, "utf-8") if kind == _STRING else value), pos + 2 + size
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, pos
    if kind == _UUID:
        return UUID(bytes=_cut(data, pos, 16)), pos + 16
    if kind in _NUMBERS:
        make, packing = _NUMBERS[kind]
        return make(packing.unpack_from(data, pos)[0]), pos + packing.size
    raise ProtocolError(f"an event stream header has the unknown type {kind}")


def _cut(data: bytes, pos: int, size: int) -> bytes:
    """``size`` bytes at ``pos``; IndexError where a slice would silently give fewer."""
    if pos + size > len(data):
        raise IndexError(pos)
    return data[pos : pos + size]


def _encode_header(name: str, value: HeaderValue) -> bytes:
    encoded = name.encode()
    if not 0 < len(encoded) < 256:
        raise ValueError(f"the name of an event stream header is 1 to 255 bytes long: {name!r}")
    try:
        return bytes((len(encoded),)) + encoded + _encode_value(value)
    except struct.error as error:
        raise ValueError(f"the value of the event stream header {name!r} is out of range") from error


def _encode_value(value: HeaderValue) -> bytes:
    match value:
        case bool():
            return bytes((_TRUE if value else _FALSE,))
        case str():
            text = value.encode()
            return bytes((_STRING,)) + _LENGTH.pack(len(text)) + text
        case bytes():
            return bytes((_BYTES,)) + _LENGTH.pack(len(value)) + value
        case UUID():
            return bytes((_UUID,)) + value.bytes
        case int():
            number, packing = _NUMBER_TYPES.get(type(value), _NUMBER_TYPES[Long])
            return bytes((number,)) + packing.pack(value)
