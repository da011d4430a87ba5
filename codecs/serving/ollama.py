"""Ollama's own API as a server speaks it: the mirror image of ``wire.ollama``.

A line per token; a call of a tool is one line with whole arguments, whatever pieces the tokens brought; counts and the reason stand in the
last line. What this API cannot express is left out: signatures, opaque parts, citations, ``Restarted``, costs, cached tokens. There is
no clock here, so every line says the same time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ..vocabulary import (
    BadRequestError,
    ChatRequest,
    ChatResponse,
    Finish,
    Model,
    NotFoundError,
    Reasoning,
    ReasoningDelta,
    StreamToken,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from ..wire.ollama_body import Dialect
from ..wire.ollama_events import is_made_up_id
from ..wire.shared import encode_json
from .base import ServedError
from .ollama_request import read_request

__all__ = ["OllamaServing"]

_TIME = "1970-01-01T00:00:00Z"
_OWN_REASONS = ("stop", "length", "load", "unload")


class OllamaServing:
    """See ``serving.base.Serving``. ``dialect`` gives the paths."""

    name = "ollama"
    content_type = "application/x-ndjson"

    def __init__(self, dialect: Dialect | None = None) -> None:
        self.dialect: Dialect = Dialect() if dialect is None else dialect

    def request(self, method: str, path: str, body: bytes, /) -> tuple[ChatRequest, bool]:
        """See ``serving.base.Serving``."""
        target = path.partition("?")[0]
        if method != "POST" or target != self.dialect.chat_path:
            raise NotFoundError(f"404 page not found: {method} {target}", status=404)
        return read_request(body)

    def stream(self, tokens: Sequence[StreamToken], /, *, model: str) -> Iterator[bytes]:
        """See ``serving.base.Serving``. Raises :class:`BadRequestError` for a call whose arguments are no JSON object."""
        calls = _whole_calls(tokens)
        usage: Usage | None = None
        for token in tokens:
            match token:
                case TextDelta() if token.text:
                    yield _line(model, {"content": token.text})
                case ReasoningDelta() if token.text:
                    yield _line(model, {"content": "", "thinking": token.text})
                case ToolCallDelta():
                    call = calls.pop(token.index, None)  # at its first piece; the others are in it
                    if call is not None:
                        yield _line(model, {"content": "", "tool_calls": [_call(call)]})
                case UsageReport():
                    usage = token.usage
                case Finish():
                    yield _line(token.model or model, {"content": ""}, _end(token.reason, token.raw, usage))
                case _:
                    pass

    def response(self, response: ChatResponse, /, *, model: str) -> bytes:
        """See ``serving.base.Serving``."""
        message: dict[str, Any] = {"content": response.text}
        thinking = "".join(part.text for part in response.parts if isinstance(part, Reasoning))
        if thinking:
            message["thinking"] = thinking
        if response.tool_calls:
            message["tool_calls"] = [_call(call) for call in response.tool_calls]
        end: Mapping[str, Any] = {"done": False}
        if response.finish_reason is not None:
            end = _end(response.finish_reason, response.finish_raw, response.usage)
        return _line(response.served_model or model, message, end).rstrip(b"\n")

    def error(self, error: ServedError, /) -> tuple[Mapping[str, str], bytes]:
        """``{"error": message}``; Ollama has no codes."""
        return {}, encode_json({"error": error.message})

    def stream_error(self, error: ServedError, /) -> bytes:
        """The same object as a line."""
        return encode_json({"error": error.message}) + b"\n"

    def models(self, models: Sequence[Model], /) -> bytes:
        """``{"models": [...]}``."""
        return encode_json({"models": [{"name": model.id, "model": model.id} for model in models]})

    def is_models_request(self, method: str, path: str, /) -> bool:
        """See ``serving.base.Serving``."""
        return method == "GET" and path.partition("?")[0] == self.dialect.models_path


def _line(model: str, message: Mapping[str, Any], end: Mapping[str, Any] | None = None) -> bytes:
    said = {"model": model, "created_at": _TIME, "message": {"role": "assistant", **message}}
    return encode_json({**said, **({"done": False} if end is None else end)}) + b"\n"


def _end(reason: str, raw: str | None, usage: Usage | None) -> dict[str, Any]:
    usual = "length" if reason == "length" else "unload" if reason == "other" else "stop"
    end: dict[str, Any] = {"done": True, "done_reason": raw if raw in _OWN_REASONS else usual}
    if usage is not None:
        end |= {"prompt_eval_count": usage.input_tokens, "eval_count": usage.output_tokens}
    return end


def _call(call: ToolCall) -> dict[str, Any]:
    parsed: Any = call.parsed()
    if not isinstance(parsed, dict):
        raise BadRequestError(f"the arguments of tool call {call.id!r} ({call.name}) are not a JSON object")
    written: dict[str, Any] = {"function": {"name": call.name, "arguments": _arguments(call)}}
    return written if is_made_up_id(call.id) else {"id": call.id, **written}


def _arguments(call: ToolCall) -> Any:
    """As they were written, unless that was over several lines: a line has to be one line."""
    if call.arguments and not {"\n", "\r"} & set(call.arguments):
        return msgspec.Raw(call.arguments.encode("utf-8", "replace"))
    return call.parsed()


def _whole_calls(tokens: Sequence[StreamToken]) -> dict[int, ToolCall]:
    pieces: dict[int, list[ToolCallDelta]] = {}
    for token in tokens:
        if isinstance(token, ToolCallDelta):
            pieces.setdefault(token.index, []).append(token)
    return {
        index: ToolCall(
            next((piece.id for piece in of_one if piece.id), ""),
            next((piece.name for piece in of_one if piece.name), ""),
            "".join(piece.arguments for piece in of_one),
        )
        for index, of_one in pieces.items()
    }
