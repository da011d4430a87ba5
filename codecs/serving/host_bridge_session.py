"""One connection of the bridge, from the host's side: bytes in, what is asked out; the rules of ``wire.host_bridge`` kept.

Sans I/O, so it serves a socket, a pipe and a test alike::

    session = HostSession(token)
    for asked in session.receive(chunk):        # ModelsAsked, ChatAsked, CountAsked, CancelAsked
        ...                                     # answer: session.answer(asked.id, line) for each line of a HostBridgeServing
    await send(session.to_send())               # whatever there is to send now: hello, errors, answers
    if session.is_over: ...                     # close the connection once that is sent

Nothing is asked before a hello with the right token was taken; a wrong one, another version and what is not this protocol end the session.
"""

from __future__ import annotations

import hmac

import msgspec

from ..framing.ndjson import NdjsonDecoder
from ..vocabulary import ChatRequest, ConfigurationError, ProtocolError, TercetError
from ..wire.host_bridge import ASK, HELLO_LIMIT, LINE_LIMIT, PROTOCOL, VERSION
from ..wire.shared import encode_json
from .base import ServedError
from .host_bridge import HostBridgeServing

__all__ = ["CancelAsked", "ChatAsked", "CountAsked", "HostSession", "ModelsAsked"]

_SHORTEST_TOKEN = 16


class ModelsAsked(msgspec.Struct, frozen=True):
    """The list of models is wanted."""

    id: int


class ChatAsked(msgspec.Struct, frozen=True):
    """An answer is wanted; ``usage``: with its counts. ``raw`` is the line, for what has no word of ours (``justification``)."""

    id: int
    request: ChatRequest
    usage: bool
    raw: bytes

    def __repr__(self) -> str:
        return f"<ChatAsked {self.id} {self.request.model}>"


class CountAsked(msgspec.Struct, frozen=True):
    """A prompt's tokens are to be counted."""

    id: int
    request: ChatRequest


class CancelAsked(msgspec.Struct, frozen=True):
    """An open request is not wanted any more."""

    id: int


Asked = ModelsAsked | ChatAsked | CountAsked | CancelAsked


class _Line(msgspec.Struct, frozen=True):
    type: str
    id: int | None = None
    close: bool = False
    usage: bool = False
    protocol: str = ""
    version: int | None = None
    token: str = ""


_LINE = msgspec.json.Decoder(_Line)


class HostSession:
    """See the module. ``token`` is the secret, ``host`` the name of the editor, ``max_open`` how many requests may be open at once."""

    def __init__(self, token: str, *, host: str = "tercet", max_open: int = 64) -> None:
        if len(token) < _SHORTEST_TOKEN:
            raise ConfigurationError(f"a bridge's token has at least {_SHORTEST_TOKEN} characters")
        self._token = token.encode("utf-8", "replace")
        self._host = host
        self._max_open = max_open
        self._decoder = NdjsonDecoder(max_line_size=LINE_LIMIT)
        self._before_hello = 0
        self._open: dict[int, bool] = {}  # id -> whether to hang up behind it
        self._out = bytearray()
        self.is_welcome: bool = False
        self.is_over: bool = False

    def __repr__(self) -> str:
        return f"<HostSession {'welcome' if self.is_welcome else 'new'}, {len(self._open)} open>"

    @property
    def open(self) -> tuple[int, ...]:
        """The ids of the requests that are not answered yet."""
        return tuple(self._open)

    def receive(self, chunk: bytes) -> list[Asked]:
        """Take bytes from the client; give what it asks. Never raises: what is wrong is answered, and may end the session."""
        asked: list[Asked] = []
        if self.is_over:
            return asked
        if not self.is_welcome:
            self._before_hello += len(chunk)
        try:
            for line in self._decoder.feed(chunk):
                self._take(bytes(line.data), asked)
                if self.is_over:
                    return asked
        except ProtocolError as error:
            self._end("too_large", error.message)
        if not self.is_welcome and self._before_hello > HELLO_LIMIT:
            self._end("unauthorized", "the first line is a hello with the token")
        return asked

    def to_send(self) -> bytes:
        """What is to be sent now, and not again."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def answer(self, request_id: int, line: bytes, *, is_last: bool) -> None:
        """A line of an answer, made by ``HostBridgeServing(request_id)``; the last one ends the request. After a cancellation: nothing."""
        if request_id in self._open and not self.is_over:
            self._out += line
            if is_last:
                self._close(request_id)

    def fail(self, request_id: int, code: str, message: str) -> None:
        """End an open request with an error."""
        line = HostBridgeServing(request_id).stream_error(ServedError(0, code, message))
        self.answer(request_id, line, is_last=True)

    def _take(self, raw: bytes, asked: list[Asked]) -> None:
        try:
            line = _LINE.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            code = "bad_request" if self.is_welcome else "unauthorized"
            self._end(code, "a line is a JSON object with a type; the first one is a hello with the token")
            return
        if not self.is_welcome:
            self._welcome(line)
        elif line.type == "cancel":
            if line.id in self._open:
                asked.append(CancelAsked(line.id))
                self.fail(line.id, "cancelled", "the request was cancelled")
        elif line.type in ("models", "chat", "count"):
            self._ask(line, raw, asked)
        # Other types are of later versions.

    def _welcome(self, line: _Line) -> None:
        # The token before anything else, and always compared: what is wrong with a stranger's hello is not told.
        is_right = hmac.compare_digest(line.token.encode("utf-8", "replace"), self._token)
        if not is_right or line.type != "hello" or line.protocol != PROTOCOL:
            self._end("unauthorized", "the token is not the one that the editor shows")
        elif line.version != VERSION:
            self._end(
                "version",
                f"this editor speaks version {VERSION} of the bridge, and was asked in version {line.version}",
                version=VERSION,
            )
        else:
            self.is_welcome = True
            self._out += encode_json({"type": "hello", "version": VERSION, "host": self._host}) + b"\n"

    def _ask(self, line: _Line, raw: bytes, asked: list[Asked]) -> None:
        request_id = line.id
        if request_id is None or request_id in self._open:
            self._end("bad_request", f"a request has an id that is not in use; got {request_id}")
            return
        serving = HostBridgeServing(request_id)
        self._open[request_id] = line.close
        if len(self._open) > self._max_open:
            self.fail(request_id, "busy", f"{self._max_open} requests are open already")
        elif line.type == "models":
            asked.append(ModelsAsked(request_id))
        else:
            try:
                request, _ = serving.request(ASK, "/", raw)
            except TercetError as error:
                self.fail(request_id, "bad_request", error.message)
                return
            asked.append(
                ChatAsked(request_id, request, line.usage, raw)
                if line.type == "chat"
                else CountAsked(request_id, request)
            )

    def _close(self, request_id: int) -> None:
        if self._open.pop(request_id):
            self.is_over = True

    def _end(self, code: str, message: str, **more: int) -> None:
        self._out += (
            encode_json({"type": "error", "id": None, "code": code, "message": message, **more}) + b"\n"
        )
        self.is_over = True
