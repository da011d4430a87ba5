"""The wire family ``openai_responses``: OpenAI's Responses API, of OpenAI, Azure, xAI and the servers that copy it.

One :class:`Dialect` per service; the request is written in ``openai_responses_body``, the answer read in ``openai_responses_events``,
a failure in ``openai_errors``, a list of models in ``openai_models``. This module holds them together.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..vocabulary import ChatRequest, ChatResponse, Model, ProtocolError, ProviderError, StreamToken, fold
from .base import Headers, WireRequest
from .json_sse import JsonSseDecoder
from .openai_dialect import Dialect as ListDialect
from .openai_errors import error_from_response
from .openai_models import models_from_list
from .openai_responses_body import count_body, responses_body
from .openai_responses_dialect import Dialect
from .openai_responses_events import ResponsesInterpreter
from .shared import as_object
from .surrogates import decode_lenient

__all__ = ["Dialect", "OpenAIResponsesWire", "ResponsesInterpreter"]

_ANY = msgspec.json.Decoder()
_JSON = ("Content-Type", "application/json")
_ACCEPT_JSON = ("Accept", "application/json")
_OPENAI = Dialect()
_LIST = ListDialect()


class OpenAIResponsesWire:
    """``POST /responses`` and its neighbours (see :class:`~tercet.codecs.wire.base.Wire`).

    ``dialect`` says how the service differs from OpenAI. ``name`` is the wire's name; with ``dialect.origin`` it is what the opaque
    parts of this service's answers are marked with. Immutable; one object serves any number of answers at once.
    """

    __slots__ = ("dialect", "name", "origin")

    def __init__(self, dialect: Dialect = _OPENAI, *, name: str = "openai_responses") -> None:
        self.dialect: Dialect = dialect
        self.name: str = name
        self.origin: str = dialect.origin or name

    def __repr__(self) -> str:
        return f"<OpenAIResponsesWire {self.origin}>"

    @property
    def rejects(self) -> tuple[str, ...]:
        """The dialect's ``rejects``."""
        return self.dialect.rejects

    def chat(self, request: ChatRequest, /, *, stream: bool) -> WireRequest:
        """The request. Its own ``headers`` are the adapter's to add. Raises :class:`UnsupportedError`, naming field and value."""
        body = responses_body(request, self.dialect, self.origin, stream=stream)
        accept = "text/event-stream" if stream else "application/json"
        return WireRequest("POST", self.dialect.path, body, (_JSON, ("Accept", accept)))

    def decoder(self) -> JsonSseDecoder:
        """Server-sent events."""
        return JsonSseDecoder()

    def interpreter(self) -> ResponsesInterpreter:
        """Events to tokens."""
        return ResponsesInterpreter(self.dialect, self.origin)

    def response(self, body: bytes, /) -> ChatResponse:
        """A whole answer, read by the same interpreter as a streamed one."""
        tokens: list[StreamToken] = []
        self.interpreter().whole(body, tokens)
        return fold(tokens)

    def error(self, status: int, headers: Headers, body: bytes, /) -> ProviderError:
        """The error that a failing status and its body stand for. Never raises."""
        return error_from_response(status, headers, body)

    def list_models(self) -> WireRequest | None:
        """``GET /models``."""
        path = self.dialect.models_path
        return None if path is None else WireRequest("GET", path, headers=(_ACCEPT_JSON,))

    def models(self, body: bytes, /) -> Sequence[Model]:
        """The models of a list. Raises :class:`ProtocolError` for what is none."""
        return models_from_list(body, _LIST)

    def count_tokens(self, request: ChatRequest, /) -> WireRequest | None:
        """``POST /responses/input_tokens``; None where the service has none."""
        path = self.dialect.count_path
        if path is None:
            return None
        return WireRequest(
            "POST", path, count_body(request, self.dialect, self.origin), (_JSON, _ACCEPT_JSON)
        )

    def token_count(self, body: bytes, /) -> int:
        """``input_tokens``. Raises :class:`ProtocolError` without it."""
        count = as_object(decode_lenient(_ANY, body)).get("input_tokens")
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise ProtocolError(f"no count of tokens: {body[:200].decode('utf-8', 'replace')!r}")
        return count
