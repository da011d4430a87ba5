"""``generateContent`` as a server speaks it: the mirror image of ``wire.gemini``.

Events are separated by CRLF CRLF, as Google's are, and each is a whole response object with one part in it, ``modelVersion`` and
``responseId``. A function call is one event with whole arguments, whatever pieces the tokens brought. Usage and the finish reason
are events of their own. What this API cannot express is left out: other origins' opaque parts and signatures, ``Restarted``,
a cost, cache writes.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from ..vocabulary import (
    BadRequestError,
    ChatRequest,
    ChatResponse,
    Citation,
    Finish,
    Model,
    NotFoundError,
    Opaque,
    OpaqueDelta,
    Part,
    Reasoning,
    ReasoningDelta,
    StreamToken,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from ..wire.gemini_body import Dialect
from ..wire.gemini_errors import STATUS_WORDS
from ..wire.gemini_events import ORIGIN, finish_reason_of, is_made_up_id
from ..wire.shared import encode_json
from .base import ServedError
from .gemini_request import read_request

__all__ = ["GeminiServing"]


class GeminiServing:
    """See ``serving.base.Serving``. ``dialect`` gives the paths and the envelope; the rest of it is the client's affair."""

    name = ORIGIN
    content_type = "text/event-stream"

    def __init__(self, dialect: Dialect | None = None) -> None:
        self.dialect: Dialect = Dialect() if dialect is None else dialect
        self._stream_path = _pattern(self.dialect.stream_path)
        self._chat_path = _pattern(self.dialect.chat_path)

    def request(self, method: str, path: str, body: bytes, /) -> tuple[ChatRequest, bool]:
        """See ``serving.base.Serving``. A stream without ``alt=sse`` is refused: Google would send a JSON array piece by piece."""
        target, _, query = path.partition("?")
        found = self._stream_path.fullmatch(target)
        is_stream = found is not None
        found = found or self._chat_path.fullmatch(target)
        if method != "POST" or found is None:
            raise NotFoundError(f"no such method: {method} {target}", status=404, code="NOT_FOUND")
        if is_stream and parse_qs(query).get("alt") != ["sse"]:
            raise BadRequestError("a stream is served with alt=sse only", status=400, code="INVALID_ARGUMENT")
        groups = found.groupdict()
        model = unquote(groups.get("model") or "")
        if groups.get("kind") == "tunedModels":
            model = f"tunedModels/{model}"
        try:
            return read_request(body, model, self.dialect.request_key), is_stream
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, binascii.Error) as error:
            raise BadRequestError(
                f"Invalid JSON payload received: {error}", status=400, code="INVALID_ARGUMENT"
            ) from error

    def stream(self, tokens: Sequence[StreamToken], /, *, model: str) -> Iterator[bytes]:
        """See ``serving.base.Serving``. Raises :class:`BadRequestError` for a call whose arguments are no JSON object."""
        finish = next((token for token in tokens if isinstance(token, Finish)), None)
        names = _names(finish.model if finish else None, finish.response_id if finish else None, model)
        calls = _whole_calls(tokens)
        for token in tokens:
            answer: dict[str, Any] = {}
            match token:
                case TextDelta():
                    piece = _piece(Text(token.text, signature=token.signature, origin=token.origin))
                    answer = _candidate([piece] if piece is not None else [])
                case ReasoningDelta():
                    piece = _piece(Reasoning(token.text, token.signature, origin=token.origin))
                    answer = _candidate([piece] if piece is not None else [])
                case ToolCallDelta():
                    call = calls.pop(token.index, None)  # at its first piece; the others are in it
                    answer = _candidate([_piece(call)] if call is not None else [])
                case OpaqueDelta():
                    piece = _piece(Opaque(token.origin, token.kind, token.json))
                    answer = _candidate([piece] if piece is not None else [])
                case Citation():
                    answer = (
                        {"candidates": [{"index": 0, "groundingMetadata": _grounding([token])}]}
                        if token.url
                        else {}
                    )
                case UsageReport():
                    answer = {"usageMetadata": _counts(token.usage)}
                case Finish():
                    reason = _reason(token.reason, token.raw)
                    answer = _candidate([{"text": ""}], finishReason=reason)
                case _:
                    continue
            if answer:
                yield self._event({**answer, **names})

    def response(self, response: ChatResponse, /, *, model: str) -> bytes:
        """See ``serving.base.Serving``."""
        pieces = [piece for part in response.parts if (piece := _piece(part)) is not None]
        candidate: dict[str, Any] = {"content": {"parts": pieces, "role": "model"}, "index": 0}
        if response.finish_reason is not None:
            candidate["finishReason"] = _reason(response.finish_reason, response.finish_raw)
        if any(citation.url for citation in response.citations):
            candidate["groundingMetadata"] = _grounding(response.citations)
        answer: dict[str, Any] = {"candidates": [candidate]}
        if response.usage is not None:
            answer["usageMetadata"] = _counts(response.usage)
        return self._body({**answer, **_names(response.served_model, response.id, model)})

    def error(self, error: ServedError, /) -> tuple[Mapping[str, str], bytes]:
        """``google.rpc.Status``. A ``code`` that is not one of its words stands as the reason of an ``ErrorInfo``."""
        return {}, encode_json(_status(error))

    def stream_error(self, error: ServedError, /) -> bytes:
        """The same object as an event; errors have no envelope."""
        return b"data: " + encode_json(_status(error)) + b"\r\n\r\n"

    def models(self, models: Sequence[Model], /) -> bytes:
        """``{"models": [...]}``."""
        return encode_json({"models": [_listed(model) for model in models]})

    def is_models_request(self, method: str, path: str, /) -> bool:
        """See ``serving.base.Serving``."""
        listed = self.dialect.models_path
        return method == "GET" and listed is not None and path.partition("?")[0] == listed.partition("?")[0]

    def _body(self, answer: dict[str, Any]) -> bytes:
        key = self.dialect.response_key
        return encode_json(answer if key is None else {key: answer})

    def _event(self, answer: dict[str, Any]) -> bytes:
        # Arguments and opaque parts keep the whitespace they came with; line ends in it need a `data:` each.
        lines = self._body(answer).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        return b"data: " + b"\r\ndata: ".join(lines) + b"\r\n\r\n"


def _pattern(template: str) -> re.Pattern[str]:
    path = re.escape(template.partition("?")[0])
    path = path.replace(re.escape("models/{model}"), r"(?P<kind>models|tunedModels)/(?P<model>[^/:]+)")
    return re.compile(path.replace(re.escape("{model}"), r"(?P<model>[^/:]+)"))


# What is said -----------------------------------------------------------------------------------------------------------


def _names(served_model: str | None, response_id: str | None, model: str) -> dict[str, str]:
    names = {"modelVersion": served_model or model}
    if response_id is not None:
        names["responseId"] = response_id
    return names


def _candidate(pieces: list[Any], **facts: str) -> dict[str, Any]:
    return (
        {"candidates": [{"content": {"parts": pieces, "role": "model"}, **facts, "index": 0}]}
        if pieces
        else {}
    )


def _piece(part: Part) -> Any:
    """One of their parts, None for what this API has no word for."""
    piece: dict[str, Any]
    match part:
        case Text():
            piece = {"text": part.text}
        case Reasoning():
            piece = {"text": part.text, "thought": True}
        case ToolCall():
            call: dict[str, Any] = {"name": part.name}
            if part.arguments:
                call["args"] = _checked(part)
            if part.id and not is_made_up_id(part.id):
                call["id"] = part.id
            piece = {"functionCall": call}
        case Opaque():
            return msgspec.Raw(part.json.encode("utf-8", "replace")) if part.origin == ORIGIN else None
        case _:
            return None
    if part.signature is not None and part.origin == ORIGIN:
        piece["thoughtSignature"] = part.signature
    elif not isinstance(part, ToolCall) and not part.text:
        return None
    return piece


def _checked(call: ToolCall) -> msgspec.Raw:
    if not isinstance(call.parsed(), dict):
        raise BadRequestError(f"the arguments of tool call {call.id!r} ({call.name}) are not a JSON object")
    return msgspec.Raw(call.arguments.encode("utf-8", "replace"))


def _whole_calls(tokens: Sequence[StreamToken]) -> dict[int, ToolCall]:
    deltas: dict[int, list[ToolCallDelta]] = {}
    for token in tokens:
        if isinstance(token, ToolCallDelta):
            deltas.setdefault(token.index, []).append(token)
    return {
        index: ToolCall(
            next((one.id for one in pieces if one.id), ""),
            next((one.name for one in pieces if one.name), ""),
            "".join(one.arguments for one in pieces),
            next((one.signature for one in pieces if one.signature), None),
            next((one.origin for one in pieces if one.origin), None),
        )
        for index, pieces in deltas.items()
    }


def _grounding(citations: Sequence[Citation]) -> dict[str, Any]:
    chunks: list[dict[str, Any]] = []
    supports: list[dict[str, Any]] = []
    for citation in citations:
        if citation.url is None:
            continue
        segment = {
            name: value
            for name, value in (
                ("startIndex", citation.start),
                ("endIndex", citation.end),
                ("text", citation.text),
            )
            if value is not None
        }
        if segment:
            supports.append({"segment": segment, "groundingChunkIndices": [len(chunks)]})
        web = {"uri": citation.url, "title": citation.title}
        chunks.append({"web": {name: value for name, value in web.items() if value is not None}})
    return {"groundingChunks": chunks, "groundingSupports": supports}


def _counts(usage: Usage) -> dict[str, int]:
    counts = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "totalTokenCount": usage.total_tokens,
    }
    if usage.cache_read_tokens:
        counts["cachedContentTokenCount"] = usage.cache_read_tokens
    if usage.reasoning_tokens:
        counts["thoughtsTokenCount"] = usage.reasoning_tokens
    return counts


_REASONS = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "pause": "CONTINUATION",
    "other": "OTHER",
}


def _reason(reason: str, raw: str | None) -> str:
    """Google's own word if that is where the answer came from, else the one that means the same."""
    if (
        raw is not None
        and raw.isupper()
        and finish_reason_of(raw, has_calls=reason == "tool_calls") == reason
    ):
        return raw
    return _REASONS[reason]


_WORDS = {400: "INVALID_ARGUMENT", 409: "ABORTED", 500: "INTERNAL"}  # where several words share a number


def _status(error: ServedError) -> dict[str, Any]:
    known = error.code in STATUS_WORDS
    word = next((word for word, status in STATUS_WORDS.items() if status == error.status), "UNKNOWN")
    status = {
        "code": error.status,
        "message": error.message,
        "status": error.code if known else _WORDS.get(error.status, word),
    }
    if error.code and not known:
        reason = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": error.code,
            "domain": "googleapis.com",
        }
        return {"error": {**status, "details": [reason]}}
    return {"error": status}


def _listed(model: Model) -> dict[str, Any]:
    listed = {
        "name": model.id if model.id.startswith("tunedModels/") else f"models/{model.id}",
        "displayName": model.name,
        "inputTokenLimit": model.context_window,
        "outputTokenLimit": model.max_output_tokens,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }
    return {name: value for name, value in listed.items() if value is not None}
