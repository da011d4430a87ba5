"""The wire family ``bedrock_converse``: Amazon Bedrock's Converse API, one form of requests and answers for the models of all makers.

The request is written in ``bedrock_converse_body``, the answer read in ``bedrock_converse_events``, a failure in ``bedrock_errors``; streams
are framed as AWS event streams (``bedrock_framing``). A model's id, profile or ARN stands in the path, encoded once as one segment.

Bedrock lists its models at another host (``bedrock.{region}.amazonaws.com``, the control plane), which is no business of a wire: without
``models_path`` there is no list. A gateway that has it behind the same host says ``/foundation-models`` there.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..vocabulary import ChatRequest, ChatResponse, Model, ProviderError, StreamToken, fold
from .base import Headers, WireRequest
from .bedrock_converse_body import REJECTS, Dialect, converse_body, count_body
from .bedrock_converse_events import ConverseInterpreter
from .bedrock_errors import error_of_status
from .bedrock_framing import BedrockDecoder
from .bedrock_models import bare_id, path_segment
from .shared import encode_json
from .surrogates import decode_lenient

__all__ = ["BedrockConverseWire", "Dialect"]


class _Lifecycle(msgspec.Struct, frozen=True, rename="camel"):
    end_of_life_time: str | None = None


class _Model(msgspec.Struct, frozen=True, rename="camel"):
    model_id: str
    model_name: str | None = None
    input_modalities: Sequence[str] = ()
    output_modalities: Sequence[str] = ()
    model_lifecycle: _Lifecycle = _Lifecycle()


class _Models(msgspec.Struct, frozen=True, rename="camel"):
    model_summaries: Sequence[_Model]


class _Count(msgspec.Struct, frozen=True, rename="camel"):
    input_tokens: int


_MODELS = msgspec.json.Decoder(_Models)
_COUNT = msgspec.json.Decoder(_Count)
_JSON = (("content-type", "application/json"),)


class BedrockConverseWire:
    """See :class:`tercet.codecs.wire.base.Wire`. Immutable; one serves any number of answers at once."""

    name = "bedrock_converse"
    rejects = REJECTS

    def __init__(self, dialect: Dialect = Dialect()) -> None:  # noqa: B008  # frozen: one for all is safe
        self.dialect = dialect

    def chat(self, request: ChatRequest, /, *, stream: bool) -> WireRequest:
        """The request's bytes. Whether it asks for a stream is said by its path."""
        path = self.dialect.stream_path if stream else self.dialect.path
        path = path.replace("{model}", path_segment(request.model))
        return WireRequest("POST", path, encode_json(converse_body(request, self.dialect)), _JSON)

    def decoder(self) -> BedrockDecoder:
        """AWS event stream messages."""
        return BedrockDecoder()

    def interpreter(self) -> ConverseInterpreter:
        """A new interpreter, whose opaque tokens carry the dialect's ``origin``."""
        return ConverseInterpreter(self.dialect.origin)

    def response(self, body: bytes, /) -> ChatResponse:
        """A whole answer, read by the same interpreter as a streamed one."""
        tokens: list[StreamToken] = []
        self.interpreter().whole(body, tokens)
        return fold(tokens)

    def error(self, status: int, headers: Headers, body: bytes, /) -> ProviderError:
        """The typed error of a failing answer."""
        return error_of_status(status, headers, body)

    def list_models(self) -> WireRequest | None:
        """The list behind the dialect's ``models_path``; None without one."""
        path = self.dialect.models_path
        return None if path is None else WireRequest("GET", path)

    def models(self, body: bytes, /) -> Sequence[Model]:
        """The answer of ``ListFoundationModels`` (API reference of Bedrock's control plane, 2026-11)."""
        return [
            Model(
                id=model.model_id,
                name=model.model_name,
                input_modalities=tuple(word.lower() for word in model.input_modalities),
                output_modalities=tuple(word.lower() for word in model.output_modalities),
                retires=(model.model_lifecycle.end_of_life_time or "")[:10] or None,
            )
            for model in decode_lenient(_MODELS, body).model_summaries
        ]

    def count_tokens(self, request: ChatRequest, /) -> WireRequest | None:
        """The request that counts; None where the dialect cannot. Counting knows models, not inference profiles."""
        if self.dialect.count_path is None:
            return None
        path = self.dialect.count_path.replace("{model}", path_segment(bare_id(request.model)))
        return WireRequest("POST", path, encode_json(count_body(request, self.dialect)), _JSON)

    def token_count(self, body: bytes, /) -> int:
        """``inputTokens``."""
        return decode_lenient(_COUNT, body).input_tokens
