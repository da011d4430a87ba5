"""The wire family ``anthropic``: the Messages API of Anthropic, of Claude on Vertex and Bedrock, and of the doors that others built like it.

One :class:`Dialect` per door; the request is written in ``anthropic_body``, the answer read in ``anthropic_events``, a failure in
``anthropic_errors``. Sources: Anthropic's API reference, its SDKs and recorded answers, 2025-10 to 2026-11.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

from ..vocabulary import ChatRequest, ChatResponse, Model, ProviderError, StreamToken, fold
from .anthropic_body import REJECTS, Dialect, body, count_body
from .anthropic_errors import error_of_status
from .anthropic_events import AnthropicInterpreter
from .base import Headers, WireRequest
from .json_sse import JsonSseDecoder
from .shared import encode_json
from .surrogates import decode_lenient

__all__ = ["AnthropicInterpreter", "AnthropicWire", "Dialect"]


class _Model(msgspec.Struct, frozen=True):
    id: str
    display_name: str | None = None
    created_at: str | None = None
    retires_at: str | None = None
    max_input_tokens: int | None = None
    max_tokens: int | None = None


class _Models(msgspec.Struct, frozen=True):
    data: Sequence[_Model]


class _Count(msgspec.Struct, frozen=True):
    input_tokens: int


_MODELS = msgspec.json.Decoder(_Models)
_COUNT = msgspec.json.Decoder(_Count)


class AnthropicWire:
    """See :class:`tercet.codecs.wire.base.Wire`. Immutable; one serves any number of answers at once."""

    name = "anthropic"
    rejects = REJECTS

    def __init__(self, dialect: Dialect = Dialect()) -> None:  # noqa: B008  # frozen: one for all is safe
        self.dialect = dialect

    def chat(self, request: ChatRequest, /, *, stream: bool) -> WireRequest:
        """The request's bytes. Headers of the request itself are left to the adapter, which knows which to join with the betas."""
        dialect = self.dialect
        path = (dialect.stream_path if stream else None) or dialect.path
        return self._request(
            "POST", _path(path, request.model), encode_json(body(request, dialect, stream=stream))
        )

    def decoder(self) -> JsonSseDecoder:
        """Server-sent events. A last event without its blank line counts if its JSON is whole (an ``error`` may end so)."""
        return JsonSseDecoder()

    def interpreter(self) -> AnthropicInterpreter:
        """A new interpreter, whose opaque tokens carry the dialect's ``origin``."""
        return AnthropicInterpreter(self.dialect.origin)

    def response(self, body: bytes, /) -> ChatResponse:
        """A whole answer, read by the same interpreter as a streamed one."""
        tokens: list[StreamToken] = []
        self.interpreter().whole(body, tokens)
        return fold(tokens)

    def error(self, status: int, headers: Headers, body: bytes, /) -> ProviderError:
        """The typed error of a failing answer."""
        return error_of_status(status, headers, body)

    def list_models(self) -> WireRequest | None:
        """``GET /v1/models``; None where the dialect has no list."""
        return None if self.dialect.models_path is None else self._request("GET", self.dialect.models_path)

    def models(self, body: bytes, /) -> Sequence[Model]:
        """The list of models. Limits and dates of retirement stand in it since 2026."""
        return [
            Model(
                id=model.id,
                name=model.display_name,
                context_window=model.max_input_tokens,
                max_output_tokens=model.max_tokens,
                retires=model.retires_at and model.retires_at[:10],
                created=_epoch(model.created_at),
            )
            for model in decode_lenient(_MODELS, body).data
        ]

    def count_tokens(self, request: ChatRequest, /) -> WireRequest | None:
        """The request that counts; None where the dialect cannot."""
        if self.dialect.count_path is None:
            return None
        path = _path(self.dialect.count_path, request.model)
        return self._request("POST", path, encode_json(count_body(request, self.dialect)))

    def token_count(self, body: bytes, /) -> int:
        """``input_tokens``, cached or not."""
        return decode_lenient(_COUNT, body).input_tokens

    def _request(self, method: str, path: str, body: bytes = b"") -> WireRequest:
        dialect = self.dialect
        headers = [("content-type", "application/json")] if body else []
        if dialect.version is not None and dialect.version_in == "header":
            headers.append(("anthropic-version", dialect.version))
        if dialect.betas and dialect.betas_in == "header":
            headers.append(("anthropic-beta", ",".join(dialect.betas)))
        return WireRequest(method, path, body, tuple(headers))


def _path(template: str, model: str) -> str:
    return template.replace("{model}", quote(model, safe="@"))


def _epoch(text: str | None) -> int | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
