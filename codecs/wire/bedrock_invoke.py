"""The wire family ``bedrock_invoke``: Amazon Bedrock's InvokeModel, where every family of models has its own requests and answers.

The request is written in ``bedrock_invoke_body``, by the family that the model's id names or the dialect's ``family``; the answer shows by
itself whose it is and is read in ``bedrock_invoke_events``. Converse (``bedrock_converse``) speaks to most of the same models in one form and
knows more of them (tools, documents): this wire is for Claude's newest fields, for Titan Text, and for imported models.

A whole answer of the families that count nothing themselves (Mistral 7B, DeepSeek-R1, Cohere) comes without a usage: Bedrock says it in
headers then (``X-Amzn-Bedrock-Input-Token-Count``), which a wire does not see. Their streams have it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import msgspec

from ..vocabulary import ChatRequest, ChatResponse, Model, ProviderError, StreamToken, UnsupportedError, fold
from .base import Headers, WireRequest
from .bedrock_errors import error_of_status
from .bedrock_framing import BedrockDecoder
from .bedrock_invoke_body import WRITERS, Dialect
from .bedrock_invoke_events import InvokeInterpreter
from .bedrock_models import bare_id, family_of, path_segment
from .shared import encode_json
from .surrogates import decode_lenient

__all__ = ["BedrockInvokeWire", "Dialect", "InvokeInterpreter"]


class _Count(msgspec.Struct, frozen=True, rename="camel"):
    input_tokens: int


_COUNT = msgspec.json.Decoder(_Count)
_JSON = ("content-type", "application/json")


class BedrockInvokeWire:
    """See :class:`tercet.codecs.wire.base.Wire`. Immutable; one serves any number of answers at once.

    ``rejects`` has what no family takes. What one family does not take, its writer refuses.
    """

    name = "bedrock_invoke"
    rejects: tuple[str, ...] = ("verbosity",)

    def __init__(self, dialect: Dialect = Dialect()) -> None:  # noqa: B008  # frozen: one for all is safe
        self.dialect = dialect

    def chat(self, request: ChatRequest, /, *, stream: bool) -> WireRequest:
        """The request's bytes. Whether it asks for a stream is said by its path."""
        path = self.dialect.stream_path if stream else self.dialect.path
        accept = ("x-amzn-bedrock-accept", "application/json") if stream else ("accept", "application/json")
        path = path.replace("{model}", path_segment(request.model))
        return WireRequest("POST", path, self._body(request), (_JSON, accept))

    def _body(self, request: ChatRequest) -> bytes:
        for field in self.rejects:
            if getattr(request, field) is not None:
                raise UnsupportedError(
                    f"no model behind InvokeModel takes {field}={getattr(request, field)!r}"
                )
        family = family_of(request.model) or self.dialect.family
        writer = WRITERS.get(family or "")
        if writer is None or family is None:
            raise UnsupportedError(
                f"{request.model!r} does not say what the model's requests look like; set `family` in the dialect "
                f"({', '.join(WRITERS)}), or use the Converse API"
            )
        return encode_json(writer(request, self.dialect, family))

    def decoder(self) -> BedrockDecoder:
        """AWS event stream messages."""
        return BedrockDecoder()

    def interpreter(self) -> InvokeInterpreter:
        """A new interpreter, which finds out by itself whose answer it reads."""
        return InvokeInterpreter(self.dialect)

    def response(self, body: bytes, /) -> ChatResponse:
        """A whole answer, read by the same interpreter as a streamed one."""
        tokens: list[StreamToken] = []
        self.interpreter().whole(body, tokens)
        return fold(tokens)

    def error(self, status: int, headers: Headers, body: bytes, /) -> ProviderError:
        """The typed error of a failing answer."""
        return error_of_status(status, headers, body)

    def list_models(self) -> WireRequest | None:
        """None: the list is at another host (see ``bedrock_converse``)."""
        return None

    def models(self, body: bytes, /) -> Sequence[Model]:
        """None are listed here."""
        return ()

    def count_tokens(self, request: ChatRequest, /) -> WireRequest | None:
        """The request that counts what would be sent; None where the dialect cannot. Counting knows models, not inference profiles."""
        if self.dialect.count_path is None:
            return None
        path = self.dialect.count_path.replace("{model}", path_segment(bare_id(request.model)))
        body = base64.b64encode(self._body(request)).decode("ascii")
        return WireRequest("POST", path, encode_json({"input": {"invokeModel": {"body": body}}}), (_JSON,))

    def token_count(self, body: bytes, /) -> int:
        """``inputTokens``."""
        return decode_lenient(_COUNT, body).input_tokens
