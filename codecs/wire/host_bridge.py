"""The wire family ``host_bridge``: the language models of an editor, through a small extension that runs in it.

VS Code's language models (``vscode.lm``) can be asked only from inside its extension host. This module is the client's side of a protocol that
an extension speaks to programs beside the editor. What follows is the whole protocol, **tercet-bridge version 1**, for whoever writes one.

Transport
---------
The extension, the *host*, listens on a Unix socket (``unix:///run/user/1000/tercet.sock``, mode 600) or a TCP port of the loopback interface
(``tcp://127.0.0.1:4711``); a pair of pipes does as well. A socket in the file system is better where others use the machine: a port can be
taken by anyone before the host takes it. Both sides send lines: one JSON object in UTF-8 and a line feed, at most 16 MiB; empty lines mean
nothing. Every line has a ``type``. A member or a type that a side does not know is ignored: that is how the protocol grows. What is no
JSON object, or has a member of a wrong type, ends the connection (``bad_request``).

Hello
-----
The client speaks first, and nothing else before it is answered. The host gives it 10 seconds and 4 KiB for that. ::

    -> {"type": "hello", "protocol": "tercet-bridge", "version": 1, "token": "..."}
    <- {"type": "hello", "version": 1, "host": "VS Code 1.106"}

The token is a secret that the extension makes (at least 16 characters, of a cryptographic source) and shows to its user, or writes to a file
for its user alone. The host compares it in constant time, before it looks at anything else. A wrong one is answered with the error
``unauthorized``, as is anything else that comes before it; another version with ``version`` and the host's own in ``version``. Then the host
hangs up.

Requests
--------
Each has an ``id``, a number that is in use for no other request of the connection; all lines that answer it carry it. Up to 64 may be open.
With ``"close": true`` the host hangs up when it has answered it; that is what tercet does, one connection a request. ::

    -> {"type": "models", "id": 1}
    <- {"type": "models", "id": 1, "models": [{"id", "name", "vendor", "family", "version", "max_input_tokens"}]}

    -> {"type": "count", "id": 1, "model", "messages"}
    <- {"type": "count", "id": 1, "tokens": 26}

    -> {"type": "chat", "id": 1, "model", "messages", "tools", "tool_mode", "options", "justification", "usage"}
    <- {"type": "text", "id": 1, "text": "Hel"}                                      LanguageModelTextPart, as they come
    <- {"type": "reasoning", "id": 1, "text": "..."}                                 where the host has that
    <- {"type": "tool_call", "id": 1, "call_id", "name", "input": {}}                LanguageModelToolCallPart
    <- {"type": "end", "id": 1, "reason": "stop", "model", "usage": {"input_tokens", "output_tokens"}}

- ``model`` is an ``id`` of the list; a host may understand a ``family`` or ``vendor/family`` as well, and takes the first that matches.
- ``messages``: ``{"role": "user" | "assistant", "name"?, "content": [part]}``. A part is ``{"type": "text", "text"}``,
  ``{"type": "tool_call", "call_id", "name", "input"}`` or ``{"type": "tool_result", "call_id", "content": [text parts]}``.
- ``tools``: ``{"name", "description", "input_schema"}``; ``tool_mode``: ``auto`` or ``required`` (``LanguageModelChatToolMode``).
- ``options`` become ``modelOptions``, ``justification`` the sentence that the user is shown.
- ``usage: true`` asks for counts by the model's own ``countTokens``. ``reason`` and ``model`` are given where the host knows them.
- ``end`` is the only evidence that an answer is whole. The end of the bytes is none.

Cancelling
----------
``{"type": "cancel", "id": 1}`` cancels a request (the ``CancellationToken`` of its call); the host answers with an ``error`` of the code
``cancelled``, unless the request has ended meanwhile. A connection that ends cancels all that it has asked. That is how tercet does it.

Errors
------
``{"type": "error", "id", "code", "message", "retry_after"?}`` ends a request; without an ``id`` (or with null) it ends the connection.

====================  ====================================================================================
``unauthorized``      the token is wrong
``version``           the host speaks another version
``bad_request``       not this protocol, or a request that cannot be
``too_large``         a line is longer than the limit
``not_found``         no such model (``LanguageModelError.NotFound``)
``no_permission``     the user has not allowed it (``LanguageModelError.NoPermissions``)
``blocked``           a limit or quota is used up (``LanguageModelError.Blocked``); ``retry_after`` in seconds
``context_length``    the prompt is too long for the model
``busy``              too many requests are open
``cancelled``         the request was cancelled, by the client or in the editor
``internal``          everything else
====================  ====================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence

from ..framing.ndjson import NdjsonDecoder
from ..vocabulary import (
    BadRequestError,
    ChatRequest,
    ChatResponse,
    ConfigurationError,
    Model,
    ProtocolError,
    ServerError,
    StreamToken,
    TercetError,
    fold,
)
from .base import Headers, WireRequest
from .host_bridge_body import REJECTS, REQUEST_ID, Dialect, chat_line, count_line
from .host_bridge_events import LINE, HostInterpreter, Line, error_of_line
from .json_lines import JsonLinesDecoder
from .shared import encode_json, masked
from .surrogates import decode_lenient

__all__ = [
    "ASK",
    "HELLO_LIMIT",
    "LINE_LIMIT",
    "PROTOCOL",
    "VERSION",
    "Dialect",
    "HostBridgeWire",
    "hello_line",
    "is_refusal",
    "read_hello",
]

PROTOCOL = "tercet-bridge"
VERSION = 1
LINE_LIMIT = 16 * 1024 * 1024
"""Bytes of a line, on either side."""
HELLO_LIMIT = 4096
"""Bytes of a hello."""
ASK = "ASK"
"""The method of a request that goes over a bridge."""


def hello_line(token: str) -> bytes:
    """The client's first line."""
    return encode_json({"type": "hello", "protocol": PROTOCOL, "version": VERSION, "token": token}) + b"\n"


def read_hello(line: bytes) -> Line:
    """The host's first line. Raises the error that it tells, :class:`ConfigurationError` for another version, :class:`ProtocolError`."""
    try:
        told = decode_lenient(LINE, line)
    except ProtocolError as error:
        raise ProtocolError(
            f"what answers there is no bridge to an editor: {line[:100].decode('utf-8', 'replace')!r}",
            retryable=False,
        ) from error
    if told.type == "error":
        raise error_of_line(told, line)
    if told.type != "hello":
        raise ProtocolError(f"the editor's first line is a {told.type!r}, and no hello", retryable=False)
    if told.version != VERSION:
        raise ConfigurationError(
            f"the editor's extension speaks version {told.version} of the bridge, and this tercet version {VERSION}: "
            "update the older one",
            code="version",
        )
    return told


def is_refusal(line: bytes) -> bool:
    """Whether the first line of an answer is an error."""
    try:
        return decode_lenient(LINE, line).type == "error"
    except ProtocolError:
        return False


class HostBridgeWire:
    """See :class:`tercet.codecs.wire.base.Wire`. Immutable; one serves any number of answers at once."""

    name = "host_bridge"
    rejects = REJECTS

    def __init__(self, dialect: Dialect = Dialect()) -> None:  # noqa: B008  # frozen: one for all is safe
        self.dialect = dialect

    def chat(self, request: ChatRequest, /, *, stream: bool) -> WireRequest:
        """The request's line, without its end. Answers always come in pieces. Raises :class:`UnsupportedError`, naming field and value."""
        return _asked(encode_json(chat_line(request, self.dialect)))

    def decoder(self) -> JsonLinesDecoder:
        """Lines."""
        return JsonLinesDecoder(max_line_size=LINE_LIMIT)

    def interpreter(self) -> HostInterpreter:
        """Lines to tokens."""
        return HostInterpreter()

    def response(self, body: bytes, /) -> ChatResponse:
        """All lines of an answer at once. Without ``end`` it is a :class:`ProtocolError`."""
        tokens: list[StreamToken] = []
        interpreter = self.interpreter()
        for line in _lines(body):
            interpreter.interpret("", line, tokens)
        if not interpreter.is_complete:
            raise ProtocolError(f"an answer without an end line: {body[-200:].decode('utf-8', 'replace')!r}")
        return fold(tokens)

    def error(self, status: int, headers: Headers, body: bytes, /) -> TercetError:
        """The error of a request that was refused at once: ``body`` begins with its ``error`` line."""
        line = body.partition(b"\n")[0]
        try:
            return error_of_line(decode_lenient(LINE, line), line)
        except ProtocolError:
            text = masked(line[:300].decode("utf-8", "replace"))
            return ServerError(f"the editor failed: {text}", body=text)

    def list_models(self) -> WireRequest | None:
        """``models``."""
        return _asked(encode_json({"type": "models", "id": REQUEST_ID, "close": True}))

    def models(self, body: bytes, /) -> Sequence[Model]:
        """The editor's models. Raises the error that was told, and :class:`ProtocolError`."""
        listed = self._answer(body, "models").models
        if listed is None:
            raise ProtocolError("a list of models without models")
        return [
            Model(model.id, name=model.name, context_window=model.max_input_tokens)
            for model in listed
            if model.id
        ]

    def count_tokens(self, request: ChatRequest, /) -> WireRequest | None:
        """``count``: the model's own tokenizer."""
        return _asked(encode_json(count_line(request, self.dialect)))

    def token_count(self, body: bytes, /) -> int:
        """The count. Raises the error that was told, and :class:`ProtocolError`."""
        count = self._answer(body, "count").tokens
        if count is None or count < 0:
            raise ProtocolError("a count without tokens")
        return count

    def _answer(self, body: bytes, kind: str) -> Line:
        for raw in _lines(body):
            line = decode_lenient(LINE, raw)
            if line.type == "error":
                raise error_of_line(line, bytes(raw))
            if line.type == kind:
                return line
        raise ProtocolError(f"an answer without a {kind} line: {body[:200].decode('utf-8', 'replace')!r}")


def _asked(line: bytes) -> WireRequest:
    if len(line) > LINE_LIMIT:
        raise BadRequestError(
            f"the request is {len(line):,} bytes long, and a line of the bridge takes {LINE_LIMIT:,}",
            code="too_large",
        )
    return WireRequest(ASK, "/", line)


def _lines(body: bytes) -> list[bytes | memoryview]:
    decoder = NdjsonDecoder(max_line_size=len(body) + 1)
    return [line.data for line in (*decoder.feed(body), *decoder.finish())]
