"""A WebSocket client (RFC 6455), as much of it as a short exchange of text messages needs: LM Studio tells its models over one.

No extensions, no subprotocols, text messages only. The pure part is :class:`FrameReader` and :func:`encode_frame`; :class:`WebSocket` waits
for bytes over a :class:`~tercet.engine.runtime.transport.Connection`, in the caller's own task.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterator

import h11
import msgspec
import trio

from tercet.adapters.call import HttpCall
from tercet.codecs.vocabulary import DeadlineError, ProtocolError, StreamInterruptedError

from .transport import Connection, Network, check_headers
from .transport.network import BROKEN

__all__ = ["Frame", "FrameReader", "WebSocket", "accept_of", "encode_frame", "open_websocket"]

MAX_MESSAGE = 16 * 1024 * 1024
_ACCEPT_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
_CONTINUATION, _TEXT, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x8, 0x9, 0xA
_MAX_CONTROL = 125
_NORMAL_CLOSURE = (1000).to_bytes(2, "big")


class Frame(msgspec.Struct, frozen=True):
    """One frame, unmasked."""

    opcode: int
    is_final: bool
    payload: bytes


class FrameReader:
    """Bytes in, frames out (section 5.2). ``are_masked``: whether the peer is a client, whose frames must be masked.

    Raises :class:`ProtocolError` for what breaks the rules and for a frame longer than 16 MiB.
    """

    def __init__(self, *, are_masked: bool = False) -> None:
        self._are_masked = are_masked
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[Frame]:
        """The frames that are complete now."""
        self._buffer += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        opcode, size, start = buffer[0] & 0x0F, buffer[1] & 0x7F, 2
        is_final = bool(buffer[0] & 0x80)
        if buffer[0] & 0x70 or bool(buffer[1] & 0x80) is not self._are_masked:
            raise ProtocolError("a WebSocket frame has reserved bits, or a mask where there must be none")
        if opcode >= _CLOSE and (size > _MAX_CONTROL or not is_final):
            raise ProtocolError("a WebSocket control frame is too long or in pieces")
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(buffer) < start:
                return None
            size = int.from_bytes(buffer[2:start], "big")
        if size > MAX_MESSAGE:
            raise ProtocolError(f"a WebSocket frame is longer than {MAX_MESSAGE} bytes")
        mask_size = 4 if self._are_masked else 0
        end = start + mask_size + size
        if len(buffer) < end:
            return None
        payload = bytes(buffer[start + mask_size : end])
        if self._are_masked:
            payload = _masked(payload, bytes(buffer[start : start + mask_size]))
        del buffer[:end]
        return Frame(opcode, is_final, payload)


def encode_frame(opcode: int, payload: bytes, *, mask: bytes = b"") -> bytes:
    """One final frame. ``mask`` has four bytes for what a client sends, none for what a server sends (section 5.3)."""
    size = len(payload)
    masked = 0x80 if mask else 0
    if size < 126:
        length = bytes([masked | size])
    elif size < 1 << 16:
        length = bytes([masked | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([masked | 127]) + size.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + length + mask + (_masked(payload, mask) if mask else payload)


def accept_of(key: bytes) -> bytes:
    """What a server answers to a client's ``Sec-WebSocket-Key`` (section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _ACCEPT_SALT, usedforsecurity=False).digest())


def _masked(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    pad = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")


class WebSocket:
    """An open socket; it owns ``connection``. ``ahead``: bytes that came with the answer to the handshake."""

    def __init__(self, connection: Connection, ahead: bytes = b"") -> None:
        self._connection = connection
        self._reader = FrameReader()
        self._frames = list(self._reader.feed(ahead))

    async def send_text(self, text: str) -> None:
        """Send one message. Raises :class:`StreamInterruptedError` when the connection is broken. Cancelled, close the socket."""
        await self._send(_TEXT, text.encode("utf-8", "replace"))

    async def receive_text(self) -> str:
        """The next message; pings are answered on the way.

        Raises :class:`StreamInterruptedError` when the peer closes or the connection breaks, :class:`ProtocolError` for what is not a
        text message of at most 16 MiB. A cancelled call may have lost a piece of a message: close the socket.
        """
        pieces: list[bytes] = []
        while True:
            frame = await self._receive()
            if frame.opcode == _PING:
                await self._send(_PONG, frame.payload)
            elif frame.opcode == _CLOSE:
                await self._send(_CLOSE, frame.payload[:2])
                raise StreamInterruptedError("the peer closed the WebSocket")
            elif frame.opcode == (_CONTINUATION if pieces else _TEXT):
                pieces.append(frame.payload)
                if sum(map(len, pieces)) > MAX_MESSAGE:
                    raise ProtocolError(f"a WebSocket message is longer than {MAX_MESSAGE} bytes")
                if frame.is_final:
                    return _decoded(b"".join(pieces))
            elif frame.opcode != _PONG:
                raise ProtocolError(f"a WebSocket frame of kind {frame.opcode} where text was expected")

    def close(self) -> None:
        """Close at once, without the closing handshake: nothing is outstanding. Never waits; may be called twice."""
        self._connection.close()

    async def _send(self, opcode: int, payload: bytes) -> None:
        try:
            await self._connection.send_all(encode_frame(opcode, payload, mask=secrets.token_bytes(4)))
        except BROKEN as error:
            raise StreamInterruptedError("the WebSocket's connection broke") from error

    async def _receive(self) -> Frame:
        while not self._frames:
            try:
                data = await self._connection.receive()
            except BROKEN as error:
                raise StreamInterruptedError("the WebSocket's connection broke") from error
            if not data:
                raise StreamInterruptedError("the WebSocket's connection ended without a closing frame")
            self._frames.extend(self._reader.feed(data))
        return self._frames.pop(0)


async def open_websocket(network: Network, call: HttpCall, *, connect_timeout: float = 10.0) -> WebSocket:
    """Connect and do the opening handshake (section 4.1). ``connect_timeout``: seconds for both.

    Raises :class:`ConnectError`, :class:`DeadlineError`, :class:`ProtocolError` when the server does not switch protocols, and
    :class:`StreamInterruptedError`. Cancelled, it leaves nothing open.
    """
    with trio.move_on_after(connect_timeout):
        connection = await network.connect(call.origin)
        try:
            return WebSocket(connection, await _handshake(connection, call))
        except BaseException:
            connection.close()
            raise
    raise DeadlineError(f"no WebSocket to {call.origin} within {connect_timeout:g} s", clock="connect")


async def _handshake(connection: Connection, call: HttpCall) -> bytes:
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    check_headers(call.headers)  # h11 would show a bad one whole in its error
    headers = [
        ("Host", call.origin.authority),
        *call.headers,
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key),
    ]
    client = h11.Connection(h11.CLIENT)
    request = client.send(h11.Request(method="GET", target=call.target, headers=headers)) or b""
    try:
        await connection.send_all(request + (client.send(h11.EndOfMessage()) or b""))
        while (event := client.next_event()) is h11.NEED_DATA:
            client.receive_data(bytes(await connection.receive()))
    except BROKEN as error:
        raise StreamInterruptedError("the connection broke during the WebSocket's handshake") from error
    except h11.RemoteProtocolError as error:
        raise ProtocolError(f"the answer to the WebSocket's handshake is not HTTP: {error}") from None
    if not isinstance(event, h11.InformationalResponse) or event.status_code != 101:
        status = getattr(event, "status_code", None)
        raise ProtocolError("the server does not open a WebSocket", status=status)
    answer = dict(event.headers)
    if (
        answer.get(b"sec-websocket-accept") != accept_of(key.encode())
        or b"sec-websocket-extensions" in answer
    ):
        raise ProtocolError("the server's answer to the WebSocket's handshake is not for us")
    return client.trailing_data[0]


def _decoded(message: bytes) -> str:
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise ProtocolError("a WebSocket message is not UTF-8") from None
