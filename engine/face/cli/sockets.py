"""Recorded WebSockets on the stage: the server's side, which says what was recorded when the client has said something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import trio

from tercet.engine.runtime.websocket import FrameReader, accept_of, encode_frame
from tercet.engine.testing import ScriptedServer
from tercet.engine.testing.streams import MemoryStream

__all__ = ["StageServer"]

_TEXT = 0x1
_KEY = b"\r\nsec-websocket-key:"


class StageServer:
    """A handler of connections, each of which has one exchange: a WebSocket where one was recorded in that place, else ``server``'s.

    ``said``: the texts the client sent over the socket of an exchange, by its number.
    """

    def __init__(self, exchanges: Sequence[Mapping[str, Any]], server: ScriptedServer) -> None:
        self.said: dict[int, list[str]] = {}
        self._exchanges = exchanges
        self._server = server

    async def __call__(self, stream: MemoryStream) -> None:
        """Serve one connection."""
        number = len(self._server.requests)
        recorded: Mapping[str, Any] = self._exchanges[number] if number < len(self._exchanges) else {}
        if "websocket" not in recorded:
            await self._server(stream)
            return
        try:
            self._server.requests.append(await _open(stream))
            await self._talk(stream, recorded["websocket"], self.said.setdefault(number, []))
        except trio.BrokenResourceError:
            pass  # the client has closed
        finally:
            await trio.aclose_forcefully(stream)

    async def _talk(self, stream: MemoryStream, recorded: Sequence[tuple[str, str]], said: list[str]) -> None:
        """Play the record. What comes after its end is noted, and the socket closed."""
        reader = FrameReader(are_masked=True)
        lines = iter([*recorded, ("client", "")])
        for who, text in lines:
            if who == "server":
                await stream.send_all(encode_frame(_TEXT, text.encode()))
                continue
            while data := bytes(await stream.receive_some()):
                frames = list(reader.feed(data))
                said.extend(frame.payload.decode() for frame in frames)
                if frames:
                    break
            else:
                return


async def _open(stream: MemoryStream) -> bytes:
    """Answer the opening handshake; the request's bytes."""
    request = b""
    while b"\r\n\r\n" not in request:
        data = bytes(await stream.receive_some())
        if not data:
            raise trio.BrokenResourceError("the client left in its handshake")
        request += data
    place = request.lower().index(_KEY) + len(_KEY)
    key = request[place : request.index(b"\r\n", place)].strip()
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + accept_of(key),
        b"",
        b"",
    ]
    await stream.send_all(b"\r\n".join(lines))
    return request
