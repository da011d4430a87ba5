"""OpenAI's chat completions, as most of the world speaks them: one wire, and a :class:`Dialect` per service.

Requests are written by ``openai_chat_body``, answers read by ``openai_chat_events``, failures by ``openai_errors``, lists of models
by ``openai_models``. This module holds them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from ..vocabulary import (
    ChatRequest,
    ChatResponse,
    Model,
    ProtocolError,
    ProviderError,
    StreamToken,
    fold,
)
from .base import Headers, WireRequest
from .json_sse import JsonSseDecoder
from .openai_chat_body import chat_body, count_body
from .openai_chat_events import ChatInterpreter
from .openai_dialect import Dialect
from .openai_errors import error_from_response
from .openai_models import models_from_list
from .shared import as_object
from .surrogates import decode_lenient

__all__ = ["Dialect", "OpenAIChatWire"]

_ANY = msgspec.json.Decoder()
_JSON = ("Content-Type", "application/json")
_OPENAI = Dialect()


class OpenAIChatWire:
    """``POST /chat/completions`` and its neighbours (see :class:`~tercet.codecs.wire.base.Wire`).

    ``dialect`` says how the service differs from OpenAI. ``name`` is the wire's name; with ``dialect.origin`` it is what the opaque
    parts of this service's answers are marked with. Immutable; one object serves any number of answers at once.
    """

    __slots__ = ("dialect", "name", "origin")

    def __init__(self, dialect: Dialect = _OPENAI, *, name: str = "openai_chat") -> None:
        self.dialect: Dialect = dialect
        self.name: str = name
        self.origin: str = dialect.origin or name

    def __repr__(self) -> str:
        return f"<OpenAIChatWire {self.origin}>"

    @property
    def rejects(self) -> tuple[str, ...]:
        """The dialect's ``rejects``."""
        return self.dialect.rejects

    def chat(self, request: ChatRequest, /, *, stream: bool) -> WireRequest:
        """The request. Its own ``headers`` are the adapter's to add. Raises :class:`UnsupportedError`, naming field and value."""
        body = chat_body(request, self.dialect, self.origin, stream=stream)
        accept = "text/event-stream" if stream else "application/json"
        path = self.dialect.chat_path.replace("{model}", quote(request.model, safe=""))
        return WireRequest("POST", path, body, (_JSON, ("Accept", accept)))

    def decoder(self) -> JsonSseDecoder:
        """Server-sent events."""
        return JsonSseDecoder()

    def interpreter(self) -> ChatInterpreter:
        """Chunks to tokens."""
        return ChatInterpreter(self.dialect, self.origin)

    def response(self, body: bytes, /) -> ChatResponse:
        """A whole answer, read as one large chunk. Raises the error that the body reports, and :class:`ProtocolError`."""
        tokens: list[StreamToken] = []
        interpreter = ChatInterpreter(self.dialect, self.origin, whole=True)
        interpreter.interpret("", body, tokens)
        interpreter.finish_whole(tokens)
        return fold(tokens)

    def error(self, status: int, headers: Headers, body: bytes, /) -> ProviderError:
        """The error that a failing status and its body stand for. Never raises."""
        return error_from_response(status, headers, body)

    def list_models(self) -> WireRequest | None:
        """``GET /models``."""
        path = self.dialect.models_path
        return None if path is None else WireRequest("GET", path, headers=(("Accept", "application/json"),))

    def models(self, body: bytes, /) -> Sequence[Model]:
        """The models of a list. Raises :class:`ProtocolError` for what is none."""
        return models_from_list(body, self.dialect)

    def count_tokens(self, request: ChatRequest, /) -> WireRequest | None:
        """The request that counts, where the service has one (Moonshot)."""
        path = self.dialect.count_path
        if path is None:
            return None
        return WireRequest(
            "POST",
            path,
            count_body(request, self.dialect, self.origin),
            (_JSON, ("Accept", "application/json")),
        )

    def token_count(self, body: bytes, /) -> int:
        """``data.total_tokens`` (Moonshot's token estimate, 2026-11), or ``total_tokens``. Raises :class:`ProtocolError` without it."""
        payload = as_object(decode_lenient(_ANY, body))
        count = as_object(payload.get("data")).get("total_tokens", payload.get("total_tokens"))
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise ProtocolError(f"no count of tokens: {body[:200].decode('utf-8', 'replace')!r}")
        return count
