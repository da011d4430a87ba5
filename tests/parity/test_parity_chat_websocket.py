"""The WebSocket client: its frames by the examples of RFC 6455, its handshake and messages over a network in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from hypothesis import given, settings, strategies as st

from tercet.adapters.call import HttpCall, Origin
from tercet.adapters.reference import OpenSocket, ReceiveText, SendText
from tercet.codecs.vocabulary import (
    ConfigurationError,
    ConnectError,
    DeadlineError,
    ProtocolError,
    StreamInterruptedError,
)
from tercet.engine.runtime.reference import ReferenceStream, Surroundings, run
from tercet.engine.runtime.transport import Transport
from tercet.engine.runtime.websocket import (
    MAX_MESSAGE,
    Frame,
    FrameReader,
    WebSocket,
    accept_of,
    encode_frame,
    open_websocket,
)
from tercet.engine.testing import MemoryNetwork

CALL = HttpCall("GET", Origin("http", "localhost", 1234), "/system")
URL = "http://localhost:1234"


# --- frames ----------------------------------------------------------------------------------------------------------------------


def test_the_examples_of_the_specification() -> None:
    """RFC 6455 sections 1.3 and 5.7."""
    assert accept_of(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert encode_frame(1, b"Hello") == bytes.fromhex("810548656c6c6f")
    masked = bytes.fromhex("818537fa213d7f9f4d5158")
    assert encode_frame(1, b"Hello", mask=bytes.fromhex("37fa213d")) == masked
    assert list(FrameReader(are_masked=True).feed(masked)) == [Frame(1, True, b"Hello")]
    pieces = bytes.fromhex("010348656c 80026c6f 890548656c6c6f")
    assert list(FrameReader().feed(pieces)) == [
        Frame(1, False, b"Hel"),
        Frame(0, True, b"lo"),
        Frame(9, True, b"Hello"),
    ]
    assert encode_frame(2, b"x" * 256)[:4] == bytes.fromhex("827e0100")
    assert encode_frame(2, b"x" * 65536)[:10] == bytes.fromhex("827f0000000000010000")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.one_of(st.binary(max_size=300), st.just(b"y" * 65536)), max_size=5),
    st.one_of(st.just(b""), st.binary(min_size=4, max_size=4)),
    st.data(),
)
def test_frames_come_back_however_they_are_cut(
    payloads: list[bytes], mask: bytes, data: st.DataObject
) -> None:
    wire = b"".join(encode_frame(2, payload, mask=mask) for payload in payloads)
    places = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    reader = FrameReader(are_masked=bool(mask))
    cuts = zip([0, *places], [*places, len(wire)], strict=True)
    frames = [frame for a, b in cuts for frame in reader.feed(wire[a:b])]
    assert [frame.payload for frame in frames] == payloads


@pytest.mark.parametrize(
    "wire",
    [
        "c100",  # a reserved bit
        "8180",  # masked, from a server
        "897e0100",  # a control frame that is too long
        "0900",  # a control frame in pieces
        "827f0000000001000001",  # longer than 16 MiB
        "827fffffffffffffffff",
    ],
)
def test_frames_that_break_the_rules(wire: str) -> None:
    with pytest.raises(ProtocolError):
        list(FrameReader().feed(bytes.fromhex(wire)))
    with pytest.raises(ProtocolError):
        list(FrameReader(are_masked=True).feed(encode_frame(1, b"not masked")))


# --- over a network --------------------------------------------------------------------------------------------------------------


def switching(request: bytes, *more: str) -> bytes:
    key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", *more]
    accept = b"Sec-WebSocket-Accept: " + accept_of(key.partition(b":")[2].strip())
    return "\r\n".join(lines).encode() + b"\r\n" + accept + b"\r\n\r\n"


class Server:
    """Answers the handshake with what ``answer`` makes of it, sends ``frames``, and notes the client's frames."""

    def __init__(
        self, *frames: bytes, answer: Callable[[bytes], bytes] = switching, fin: bool = False
    ) -> None:
        self.request = b""
        self.frames: list[Frame] = []
        self._to_send = frames
        self._answer = answer
        self._fin = fin

    async def __call__(self, stream: Any) -> None:
        try:
            self.request = b""
            while b"\r\n\r\n" not in self.request:
                self.request += bytes(await stream.receive_some())
            await stream.send_all(self._answer(self.request) + b"".join(self._to_send))
            if self._fin:
                await stream.aclose()
                return
            reader = FrameReader(are_masked=True)
            while data := bytes(await stream.receive_some()):
                self.frames.extend(reader.feed(data))
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(stream)


async def talk(server: Server, use: Callable[[WebSocket], Any]) -> Any:
    async with MemoryNetwork() as network:
        network.serve(URL, server)
        socket = await open_websocket(network, CALL)
        try:
            return await use(socket)
        finally:
            socket.close()
            socket.close()
            assert network.open_connections == 0


async def test_a_message_each_way(autojump_clock: Any) -> None:
    async def use(socket: WebSocket) -> str:
        await socket.send_text("grüß")
        text = await socket.receive_text()
        await trio.sleep(1)  # what was sent arrives
        return text

    server = Server(
        encode_frame(9, b"ping"),
        encode_frame(10, b"pong of nothing"),
        bytes([0x01, 2]) + b"\xc3\xa4"[:1] + b"\xa4",
        encode_frame(9, b""),
        encode_frame(0, b"b"),
    )
    assert await talk(server, use) == "äb"
    assert [(frame.opcode, frame.payload) for frame in server.frames] == [
        (1, "grüß".encode()),
        (10, b"ping"),
        (10, b""),
    ]
    head = server.request.lower()
    assert head.startswith(b"get /system http/1.1\r\nhost: localhost:1234\r\n")
    assert b"\r\nupgrade: websocket\r\n" in head
    assert b"\r\nsec-websocket-version: 13\r\n" in head


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (encode_frame(8, b"\x03\xe8bye"), StreamInterruptedError),
        (encode_frame(2, b"binary"), ProtocolError),
        (encode_frame(0, b"goes on with nothing"), ProtocolError),
        (encode_frame(1, b"\xff"), ProtocolError),
        (bytes([0x01, 1]) + b"a" + encode_frame(1, b"another begins"), ProtocolError),
    ],
)
async def test_what_is_no_message(frame: bytes, kind: type[Exception], autojump_clock: Any) -> None:
    server = Server(frame)
    with pytest.raises(kind):
        await talk(server, lambda socket: socket.receive_text())


async def test_a_close_is_answered(autojump_clock: Any) -> None:
    server = Server(encode_frame(8, b"\x03\xe8bye"))
    with pytest.raises(StreamInterruptedError, match="closed"):
        await talk(server, lambda socket: socket.receive_text())
    assert server.frames == [Frame(8, True, b"\x03\xe8")]


async def test_an_end_without_a_close(autojump_clock: Any) -> None:
    with pytest.raises(StreamInterruptedError):
        await talk(Server(encode_frame(1, b"cut")[:-1], fin=True), lambda socket: socket.receive_text())


async def test_a_message_in_too_many_pieces(autojump_clock: Any) -> None:
    piece = b"x" * (MAX_MESSAGE // 2 + 1)
    first = bytes([0x01, 127]) + len(piece).to_bytes(8, "big") + piece
    with pytest.raises(ProtocolError, match="longer"):
        await talk(Server(first, encode_frame(0, piece)), lambda socket: socket.receive_text())


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda _: b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ProtocolError),
        (lambda _: b"nonsense\r\n\r\n", ProtocolError),
        (lambda request: switching(request, "Sec-WebSocket-Extensions: permessage-deflate"), ProtocolError),
        (lambda request: switching(request.replace(b"ey:", b"ey: other")), ProtocolError),
        (lambda _: b"", ProtocolError),
    ],
)
async def test_a_server_that_does_not_open(
    answer: Callable[[bytes], bytes], kind: type[Exception], autojump_clock: Any
) -> None:
    async with MemoryNetwork() as network:
        network.serve(URL, Server(answer=answer, fin=True))
        with pytest.raises(kind):
            await open_websocket(network, CALL)
        assert network.open_connections == 0


async def test_no_server_and_a_silent_one(autojump_clock: Any) -> None:
    async with MemoryNetwork() as network:
        with pytest.raises(ConnectError):
            await open_websocket(network, CALL)
        network.dead_hosts.add("localhost")
        with pytest.raises(DeadlineError, match="within 3 s"):
            await open_websocket(network, CALL, connect_timeout=3)
        assert network.open_connections == 0


async def test_a_header_with_a_line_break_is_not_shown(autojump_clock: Any) -> None:
    async with MemoryNetwork() as network:
        network.serve(URL, Server())
        bad = HttpCall("GET", CALL.origin, "/", (("Authorization", "secret\n"),))
        with pytest.raises(ConfigurationError) as caught:
            await open_websocket(network, bad)
        assert "secret" not in str(caught.value)
        assert network.open_connections == 0


async def test_a_conversation_over_a_socket(autojump_clock: Any) -> None:
    def conversation() -> Any:
        yield OpenSocket(CALL)
        yield SendText("hello")
        yield OpenSocket(CALL)  # replaces the first
        return (yield ReceiveText())

    def deaf() -> Any:
        try:
            yield OpenSocket(HttpCall("GET", Origin("http", "nowhere", 1), "/"))
        except ConnectError:
            return "told"

    def too_early() -> Any:
        yield ReceiveText()

    async with MemoryNetwork() as network:
        server = Server(encode_frame(1, b"hi"))
        network.serve(URL, server)
        around = Surroundings(network=network)
        transport = Transport(network)
        assert await run(conversation(), transport, around) == "hi"
        assert network.open_connections == 0
        assert await run(deaf(), transport, around) == "told"
        with pytest.raises(RuntimeError, match="socket"):
            await run(too_early(), transport, around)
        async with ReferenceStream(conversation(), transport, around) as stream:
            with trio.move_on_after(0):
                await stream.__anext__()
        assert network.open_connections == 0
