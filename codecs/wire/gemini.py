"""The wire of Google's Gemini models: ``generateContent`` and its stream, as the Generative Language API, Vertex AI and Code Assist speak it.

::

    ChatRequest --gemini_body--> {"contents", "systemInstruction", "tools", "generationConfig"}
    event       --gemini_events--> tokens          (SSE, each event a whole GenerateContentResponse, no terminator)
    failure     --gemini_errors--> ProviderError   (google.rpc.Status)

A whole answer goes through the same interpreter as a stream, so both mean the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ..framing.events import Decoder
from ..vocabulary import (
    ChatRequest,
    ChatResponse,
    Folder,
    Model,
    ProtocolError,
    ProviderError,
    StreamInterruptedError,
    StreamToken,
)
from .base import Headers, WireRequest
from .gemini_body import REJECTS, SKIP_SIGNATURE, Dialect, model_path, request_body
from .gemini_errors import error_from_body
from .gemini_events import ORIGIN, GeminiInterpreter
from .gemini_framing import GeminiDecoder
from .shared import encode_json
from .surrogates import decode_lenient

__all__ = ["SKIP_SIGNATURE", "Dialect", "GeminiInterpreter", "GeminiWire"]


class _ListedModel(msgspec.Struct, gc=False, rename="camel"):
    name: str = ""
    display_name: str | None = None
    input_token_limit: int | None = None
    output_token_limit: int | None = None


class _ModelList(msgspec.Struct, gc=False, rename="camel"):
    models: list[_ListedModel] | None = None
    publisher_models: list[_ListedModel] | None = None  # Vertex


class _TokenTotal(msgspec.Struct, gc=False, rename="camel"):
    total_tokens: int | None = None


_MODELS = msgspec.json.Decoder(_ModelList)
_TOTAL = msgspec.json.Decoder(_TokenTotal)


class GeminiWire:
    """See ``wire.base.Wire``. ``dialect`` says which of Google's doors this is."""

    name = ORIGIN
    rejects = REJECTS

    def __init__(self, dialect: Dialect | None = None) -> None:
        self.dialect: Dialect = Dialect() if dialect is None else dialect

    def chat(self, request: ChatRequest, /, *, stream: bool) -> WireRequest:
        """The request for an answer. Raises :class:`UnsupportedError` for what Gemini cannot say (see ``gemini_body``),
        :class:`BadRequestError` for arguments that are no JSON object and for results of calls that nobody made."""
        dialect = self.dialect
        body = request_body(request, dialect)
        if dialect.request_key is not None:
            envelope: dict[str, Any] = {"model": request.model}
            if dialect.project is not None:
                envelope["project"] = dialect.project
            body = {**envelope, dialect.request_key: body}
        path = model_path(dialect.stream_path if stream else dialect.chat_path, request.model)
        return WireRequest("POST", path, encode_json(body))

    def decoder(self) -> Decoder:
        """A decoder for SSE, and for the bare JSON that Google sends instead when things go wrong."""
        return GeminiDecoder()

    def interpreter(self) -> GeminiInterpreter:
        """An interpreter for one answer."""
        return GeminiInterpreter(
            response_key=self.dialect.response_key, finish_at_reason=self.dialect.finish_at_reason
        )

    def response(self, body: bytes, /) -> ChatResponse:
        """A whole answer: one response object, or an array of them (a stream that was asked for without ``alt=sse``)."""
        interpreter = self.interpreter()
        tokens: list[StreamToken] = []
        interpreter.interpret("", body, tokens)
        try:
            interpreter.finish(tokens)
        except StreamInterruptedError as error:
            raise ProtocolError(
                "the answer has no finishReason", body=body[:2000].decode("utf-8", "replace")
            ) from error
        folder = Folder()
        for token in tokens:
            folder.add(token)
        return folder.response()

    def error(self, status: int, headers: Headers, body: bytes, /) -> ProviderError:
        """See ``gemini_errors``."""
        return error_from_body(status, headers, body)

    def list_models(self) -> WireRequest | None:
        """The first page; 1,000 (the API's maximum) hold all of Google's models."""
        path = self.dialect.models_path
        return None if path is None else WireRequest("GET", path)

    def models(self, body: bytes, /) -> Sequence[Model]:
        """The models, without the ``models/`` before their ids; tuned models keep theirs."""
        answer = decode_lenient(_MODELS, body)
        return [
            Model(
                listed.name.removeprefix("publishers/google/").removeprefix("models/"),
                name=listed.display_name,
                context_window=listed.input_token_limit,
                max_output_tokens=listed.output_token_limit,
            )
            for listed in answer.models or answer.publisher_models or ()
            if listed.name
        ]

    def count_tokens(self, request: ChatRequest, /) -> WireRequest | None:
        """The request for ``countTokens``: system text and tools are counted, too."""
        dialect = self.dialect
        if dialect.count_path is None:
            return None
        body = request_body(request, dialect)
        kind = "" if request.model.startswith(("models/", "tunedModels/")) else "models/"
        named = {"model": f"{kind}{request.model}", **body}
        if dialect.request_key is not None:
            body = {dialect.request_key: named}
        elif dialect.count_form == "whole":
            body = {"generateContentRequest": named}
        else:
            counted = ("contents", "systemInstruction", "tools", "generationConfig")
            body = {name: body[name] for name in counted if name in body}
        return WireRequest("POST", model_path(dialect.count_path, request.model), encode_json(body))

    def token_count(self, body: bytes, /) -> int:
        """``totalTokens``. Raises :class:`ProtocolError` if it is not there."""
        total = decode_lenient(_TOTAL, body).total_tokens
        if total is None:
            raise ProtocolError(f"a token count without totalTokens: {body[:200]!r}")
        return total
