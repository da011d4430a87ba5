"""The wire family ``ollama``: Ollama's own API, a JSON object a line (``POST /api/chat``, ``GET /api/tags``).

The request is written in ``ollama_body``, the answer read in ``ollama_events``, a failure in ``ollama_errors``. Ollama also speaks OpenAI's
chat completions at ``/v1``; there it takes no context size, no ``keep_alive`` and no level of thinking.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from ..framing.ndjson import NdjsonDecoder
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
from .json_lines import JsonLinesDecoder
from .ollama_body import REJECTS, Dialect, chat_body
from .ollama_errors import error_of_status
from .ollama_events import OllamaInterpreter
from .shared import encode_json
from .surrogates import decode_lenient

__all__ = ["Dialect", "OllamaWire"]

_ACCEPT_LINES = ("accept", "application/x-ndjson")
_ACCEPT_JSON = ("accept", "application/json")
_JSON = ("content-type", "application/json")


class _Listed(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    model: str = ""


class _List(msgspec.Struct, frozen=True):
    models: Sequence[_Listed] | None = None


_MODELS = msgspec.json.Decoder(_List)
_ANY = msgspec.json.Decoder()


class OllamaWire:
    """See :class:`tercet.codecs.wire.base.Wire`. Immutable; one serves any number of answers at once."""

    name = "ollama"
    rejects = REJECTS

    def __init__(self, dialect: Dialect = Dialect()) -> None:  # noqa: B008  # frozen: one for all is safe
        self.dialect = dialect

    def chat(self, request: ChatRequest, /, *, stream: bool) -> WireRequest:
        """The request. Raises :class:`UnsupportedError`, naming field and value."""
        body = encode_json(chat_body(request, self.dialect, stream=stream))
        return WireRequest(
            "POST", self.dialect.chat_path, body, (_JSON, _ACCEPT_LINES if stream else _ACCEPT_JSON)
        )

    def decoder(self) -> JsonLinesDecoder:
        """Lines."""
        return JsonLinesDecoder()

    def interpreter(self) -> OllamaInterpreter:
        """Lines to tokens."""
        return OllamaInterpreter(think_tags=self.dialect.think_tags)

    def response(self, body: bytes, /) -> ChatResponse:
        """A whole answer; also one that was streamed although nobody asked for it. Without ``done`` it is a :class:`ProtocolError`."""
        tokens: list[StreamToken] = []
        interpreter = self.interpreter()
        for line in _lines(body):
            interpreter.interpret("", line, tokens)
        if not interpreter.is_complete:
            raise ProtocolError(f"an answer without done: true: {body[:200].decode('utf-8', 'replace')!r}")
        return fold(tokens)

    def error(self, status: int, headers: Headers, body: bytes, /) -> ProviderError:
        """The typed error of a failing answer. A model that is not there: how to pull it."""
        return error_of_status(status, headers, body)

    def list_models(self) -> WireRequest | None:
        """``GET /api/tags``: the models that were pulled."""
        path = self.dialect.models_path
        return None if path is None else WireRequest("GET", path, headers=(_ACCEPT_JSON,))

    def models(self, body: bytes, /) -> Sequence[Model]:
        """The list. It says nothing of context or abilities; ``/api/show`` would, one request a model. Raises :class:`ProtocolError`."""
        listed = decode_lenient(_MODELS, body).models
        if listed is None:
            raise ProtocolError(f"this is no list of models: {body[:200].decode('utf-8', 'replace')!r}")
        return [Model(model.name or model.model) for model in listed if model.name or model.model]

    def count_tokens(self, request: ChatRequest, /) -> WireRequest | None:
        """None: the API cannot count."""
        return None

    def token_count(self, body: bytes, /) -> int:
        """Raises :class:`ProtocolError`: nothing was asked that could be answered so."""
        raise ProtocolError("Ollama has no endpoint that counts tokens")


def _lines(body: bytes) -> Iterable[bytes | memoryview]:
    try:
        _ANY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        decoder = NdjsonDecoder(max_line_size=len(body) + 1)
        return [line.data for line in (*decoder.feed(body), *decoder.finish())]
    return [body]
