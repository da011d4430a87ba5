"""The server that answers: a process of its own, so that its CPU is not ours.

It writes the same bytes to every request, made beforehand: ``/json`` a whole answer, anything else a streamed one.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context

from .sse import EVENT

TOKENS = 200
_BODY = b'{"id":"chatcmpl-1","object":"chat.completion","created":1759300000,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there."},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13}}'
_JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(_BODY),
    _BODY,
)
_LAST = EVENT.replace(b'"content":" token"', b"").replace(b'"finish_reason":null', b'"finish_reason":"stop"')
_STREAM_BODY = EVENT * TOKENS + _LAST + b"data: [DONE]\n\n"
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(
    _STREAM_BODY
)
_STREAM = _HEAD + _STREAM_BODY


@contextmanager
def running() -> Iterator[int]:
    """Run the server; gives its port."""
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(sender,), daemon=True)
    process.start()
    try:
        yield receiver.recv()
    finally:
        process.terminate()
        process.join()


def _serve(sender: object) -> None:
    import selectors

    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setblocking(False)
    sender.send(listener.getsockname()[1])  # type: ignore[attr-defined]  # a Connection; its class differs by platform
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ, None)
    while True:
        for key, _ in selector.select():
            if key.data is None:
                connection, _ = listener.accept()
                connection.setblocking(True)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(connection, selectors.EVENT_READ, bytearray())
                continue
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            try:
                data = connection.recv(65536)
            except ConnectionError:
                data = b""
            if not data:
                selector.unregister(connection)
                connection.close()
                continue
            key.data.extend(data)
            if _is_whole(key.data):
                answer = _STREAM if b'"stream":true' in key.data else _JSON
                key.data.clear()
                try:
                    connection.sendall(answer)
                except ConnectionError:
                    selector.unregister(connection)
                    connection.close()


def _is_whole(request: bytearray) -> bool:
    head, found, body = request.partition(b"\r\n\r\n")
    if not found:
        return False
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
    return True


def _end_with_parent(parent: int) -> None:
    event = threading.Event()
    while os.getppid() == parent:
        event.wait(1.0)
    os._exit(0)
