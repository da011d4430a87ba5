"""A server that answers like a provider, for measuring: a process of its own, so that its CPU is not the client's.

It computes nothing while it answers: the bytes are made beforehand. What it sends stands in the path, so that a client is told by its base
URL alone (``http://127.0.0.1:PORT/openai/stream/200/v1``). ``KIND`` is ``openai`` or ``anthropic``:

- ``/KIND/json/...``: a whole answer;
- ``/KIND/stream/N/...``: a stream of N tokens at once, in HTTP chunks of 8 KiB, as a proxy sends what has piled up;
- ``/KIND/paced/MICROSECONDS/N/...``: a stream of N tokens, one a period, each an HTTP chunk and a write of its own;
- ``/KIND/cut/N/...``: N tokens, then the connection ends;
- ``/cpu``: ``{"cpu": seconds}`` that this process has used.

``python -m tercet.cli.bench_server`` prints its port and ends with its standard input.
"""

from __future__ import annotations

import heapq
import json
import selectors
import socket
import sys
import threading
import time
from functools import lru_cache

__all__ = ["DOCUMENTS", "EVENT", "main"]

EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1759300000,"model":"gpt-4o","system_fingerprint":"fp_1",'
    b'"choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}],"usage":null,"pad":"xxxxxx"}\n\n'
)
"""A token of OpenAI's, 244 bytes."""
_OPENAI_JSON = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1759300000,"model":"gpt-4o","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"Hello there."},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13}}'
)
_ANTHROPIC_JSON = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5","content":[{"type":"text","text":"Hello there."}],'
    b'"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":3}}'
)


def _event(name: str, data: str) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()


DOCUMENTS: dict[str, dict[str, bytes]] = {
    "openai": {
        "json": _OPENAI_JSON,
        "first": b"",
        "token": EVENT,
        "last": EVENT.replace(b'"content":" token"', b"").replace(
            b'"finish_reason":null', b'"finish_reason":"stop"'
        )
        + b"data: [DONE]\n\n",
    },
    "anthropic": {
        "json": _ANTHROPIC_JSON,
        "first": _event(
            "message_start",
            '{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5",'
            '"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":1}}}',
        )
        + _event(
            "content_block_start",
            '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
        ),
        "token": _event(
            "content_block_delta",
            '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" token"}}',
        ),
        "last": _event("content_block_stop", '{"type":"content_block_stop","index":0}')
        + _event(
            "message_delta",
            '{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":3}}',
        )
        + _event("message_stop", '{"type":"message_stop"}'),
    },
}
"""Of each kind: the whole answer, and a stream's beginning, token and end."""

_PIECE = 8192
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""


def _whole(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )


@lru_cache(64)
def _stream(kind: str, tokens: int) -> bytes:
    parts = DOCUMENTS[kind]
    body = parts["first"] + parts["token"] * tokens + parts["last"]
    pieces = [_chunk(body[start : start + _PIECE]) for start in range(0, len(body), _PIECE)]
    return b"".join((_STREAM_HEAD, *pieces, b"0\r\n\r\n"))


class _Client:
    """One connection: what came of its request, what has still to be sent, and its paced stream if it has one."""

    __slots__ = ("asked", "closes", "kind", "left", "outgoing", "period", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.asked = bytearray()
        self.outgoing = b""
        self.closes = False
        self.kind = ""
        self.period = 0.0
        self.left = 0


class _Server:
    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ, None)
        self._due: list[tuple[float, int, _Client]] = []
        self._count = 0

    def run(self) -> None:
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            for key, mask in self._selector.select(wait):
                client = key.data
                if client is None:
                    self._accept()
                elif mask & selectors.EVENT_READ:
                    self._read(client)
                else:
                    self._send(client, b"")
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                due, number, client = heapq.heappop(self._due)
                self._tick(client)
                if client.left:
                    heapq.heappush(self._due, (due + client.period, number, client))

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(sock, selectors.EVENT_READ, _Client(sock))

    def _read(self, client: _Client) -> None:
        try:
            data = client.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(client)
            return
        client.asked += data
        if _is_whole(client.asked):
            path = bytes(client.asked.split(b" ", 2)[1]).decode()
            client.asked.clear()
            self._answer(client, path.strip("/").split("/"))

    def _answer(self, client: _Client, path: list[str]) -> None:
        match path:
            case ["cpu"]:
                self._send(client, _whole(json.dumps({"cpu": time.process_time()}).encode()))
            case [kind, "json", *_]:
                self._send(client, _whole(DOCUMENTS[kind]["json"]))
            case [kind, "stream", tokens, *_]:
                self._send(client, _stream(kind, int(tokens)))
            case [kind, "cut", tokens, *_]:
                parts = DOCUMENTS[kind]
                client.closes = True
                self._send(
                    client, _STREAM_HEAD + _chunk(parts["first"]) + _chunk(parts["token"]) * int(tokens)
                )
            case [kind, "paced", period, tokens, *_]:
                client.kind, client.period, client.left = kind, int(period) / 1e6, int(tokens)
                self._send(client, _STREAM_HEAD + _chunk(DOCUMENTS[kind]["first"]))
                self._tick(client)
                if client.left:
                    self._count += 1  # the streams' phases are spread evenly, whenever they began
                    phase = self._count * 0.6180339887 % 1
                    heapq.heappush(self._due, (time.monotonic() + phase * client.period, self._count, client))
            case _:
                self._send(client, b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")

    def _tick(self, client: _Client) -> None:
        if client.left:
            client.left -= 1
            parts = DOCUMENTS[client.kind]
            end = b"" if client.left else _chunk(parts["last"]) + b"0\r\n\r\n"
            self._send(client, _chunk(parts["token"]) + end)

    def _send(self, client: _Client, data: bytes) -> None:
        data = client.outgoing + data
        try:
            sent = client.sock.send(data) if data else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(client)
            return
        waits = bool(client.outgoing)
        client.outgoing = data[sent:]
        if client.outgoing and not waits:
            self._selector.modify(client.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, client)
        elif waits and not client.outgoing:
            self._selector.modify(client.sock, selectors.EVENT_READ, client)
        if client.closes and not client.outgoing:
            self._close(client)

    def _close(self, client: _Client) -> None:
        client.left = 0
        if client.sock.fileno() >= 0:
            self._selector.unregister(client.sock)
            client.sock.close()


def _is_whole(request: bytearray) -> bool:
    head, found, body = bytes(request).partition(b"\r\n\r\n")
    if not found:
        return False
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
    return True


def _end_with(stream: object) -> None:
    import os

    stream.read()  # type: ignore[attr-defined]  # standard input: it ends when whoever started us does
    os._exit(0)


def main() -> None:
    """Serve on a free port of 127.0.0.1 until standard input ends; the port is the first line printed."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setblocking(False)
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=_end_with, args=(sys.stdin,), daemon=True).start()
    _Server(listener).run()


if __name__ == "__main__":
    main()
