"""OpenAI's chat completions, as a server speaks them.

Chunks are built from one prefix per answer and the JSON of the delta. The order is OpenAI's: a chunk with the role, the deltas,
the chunk with the finish reason, usage (where it was the last thing said before the finish) in a chunk without choices, ``[DONE]``.
Nothing here has a clock: ``created`` is 0. With a :class:`Dialect` the answers are those of a service that speaks it: where reasoning
stands, where usage says what, what prices are for.

What chat completions have no words for is left out: signatures of text, numbers of parts, opaque parts of other wires. An answer
that was restarted is served from its restart on; tokens without ``Finish`` make a stream that just stops, as a broken one does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ..vocabulary import (
    BadRequestError,
    ChatRequest,
    ChatResponse,
    Citation,
    Finish,
    FinishReason,
    Model,
    NotFoundError,
    Opaque,
    OpaqueDelta,
    ReasoningDelta,
    Restarted,
    StreamToken,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from ..wire.openai_dialect import Dialect
from ..wire.shared import encode_json
from .base import ServedError
from .openai_chat_request import read_request

__all__ = ["OpenAIChatServing"]

_OPENAI = Dialect()
_DONE = b"data: [DONE]\n\n"
_OPAQUE_KINDS = ("reasoning_details", "thinking_blocks", "images")
_WORDS: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "pause": "stop",
    "other": "stop",
}
_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


class OpenAIChatServing:
    """A server's side of the wire ``openai_chat`` (see :class:`~tercet.codecs.serving.base.Serving`).

    ``name`` is the origin of the opaque parts that requests bring back; by default the dialect's.
    """

    content_type = "text/event-stream"

    def __init__(self, *, name: str | None = None, dialect: Dialect = _OPENAI) -> None:
        self.name: str = name or dialect.origin or "openai_chat"
        self.dialect = dialect

    def request(self, method: str, path: str, body: bytes, /) -> tuple[ChatRequest, bool]:
        """A chat request and whether it asks for a stream. Raises :class:`BadRequestError` or :class:`NotFoundError`."""
        place = path.partition("?")[0]
        if not place.endswith("/chat/completions"):
            raise NotFoundError(f"there is nothing at {place}", status=404, code="not_found_error")
        if method != "POST":
            raise BadRequestError(f"{place} takes POST; got {method}", status=405, code="method_not_allowed")
        return read_request(body, self.name)

    def stream(self, tokens: Sequence[StreamToken], /, *, model: str) -> Iterator[bytes]:
        """The bytes of a streamed answer, one piece per event."""
        tokens = _after_restart(tokens)
        finish = next((token for token in tokens if isinstance(token, Finish)), Finish("stop"))
        head = encode_json(
            {"id": finish.response_id or "chatcmpl-0", "object": "chat.completion.chunk", "created": 0}
        )
        head = b"data: " + head[:-1] + b',"model":' + encode_json(finish.model or model)
        yield _chunk(head, {"role": "assistant", "content": ""})
        usage: Usage | None = None
        is_thinking = False
        for token in tokens:
            if isinstance(token, Finish):
                if is_thinking:
                    yield _chunk(head, {"content": "</think>"})
                yield _chunk(head, {}, _word(token), token.stop_sequence)
                if usage is not None:
                    yield self._usage_chunk(head, usage)
                yield _DONE
                return
            if usage is not None:
                yield self._usage_chunk(head, usage)
                usage = None
            if isinstance(token, UsageReport):
                usage = token.usage
                continue
            delta = self._delta(token)
            if delta and self.dialect.think_tags and is_thinking != isinstance(token, ReasoningDelta):
                is_thinking = not is_thinking
                yield _chunk(head, {"content": "<think>" if is_thinking else "</think>"})
            if delta:
                yield _chunk(head, delta)
        if usage is not None:
            yield self._usage_chunk(head, usage)

    def response(self, response: ChatResponse, /, *, model: str) -> bytes:
        """The body of a whole answer."""
        message: dict[str, Any] = {"role": "assistant", "content": response.text or None}
        if response.reasoning:
            said = self._thought(response.reasoning)
            if self.dialect.think_tags:
                said = {"content": f"<think>{response.reasoning}</think>{response.text}"}
            elif isinstance(said.get("content"), list) and response.text:
                said["content"] = [*said["content"], {"type": "text", "text": response.text}]
            message.update(said)
        calls = [part for part in response.parts if isinstance(part, ToolCall)]
        if calls:
            message["tool_calls"] = [
                self._call(call.id, call.name, call.arguments, call.signature, call.origin) for call in calls
            ]
        if response.citations:
            message["annotations"] = [_annotation(citation) for citation in response.citations]
        for part in response.parts:
            if isinstance(part, Opaque) and part.origin == self.name and part.kind in _OPAQUE_KINDS:
                message[part.kind] = msgspec.Raw(part.json)
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": None}
        if response.finish_reason is not None:
            choice["finish_reason"] = _word(Finish(response.finish_reason, response.finish_raw))
        if response.stop_sequence is not None:
            choice["stop_reason"] = response.stop_sequence
        body: dict[str, Any] = {
            "id": response.id or "chatcmpl-0",
            "object": "chat.completion",
            "created": 0,
            "model": response.served_model or model,
            "choices": [choice],
        }
        if response.usage is not None:
            body["usage"] = _usage(response.usage, self.dialect)
        return encode_json(body)

    def error(self, error: ServedError, /) -> tuple[Mapping[str, str], bytes]:
        """No extra headers, and OpenAI's error object."""
        return {}, _error(error)

    def stream_error(self, error: ServedError, /) -> bytes:
        """The error object as an event."""
        return b"data: " + _error(error) + b"\n\n"

    def models(self, models: Sequence[Model], /) -> bytes:
        """OpenAI's list, with the windows, prices and modalities that routers add."""
        return encode_json({"object": "list", "data": [_model(model, self.dialect) for model in models]})

    def is_models_request(self, method: str, path: str, /) -> bool:
        """``GET .../models``, or what the dialect has for it."""
        listed = self.dialect.models_path
        if listed is None or method != "GET":
            return False
        return path.partition("?")[0].endswith(listed.partition("?")[0])

    def _delta(self, token: StreamToken) -> dict[str, Any]:
        match token:
            case TextDelta():
                return {"content": token.text} if token.text else {}
            case ReasoningDelta():
                return self._thought(token.text) if token.text else {}
            case ToolCallDelta():
                call = self._call(token.id, token.name, token.arguments, token.signature, token.origin)
                return {"tool_calls": [{"index": token.index, **call}]}
            case Citation():
                return {"annotations": [_annotation(token)]}
            case OpaqueDelta() if token.origin == self.name and token.kind in _OPAQUE_KINDS:
                return {token.kind: msgspec.Raw(token.json)}
            case _:
                return {}

    def _thought(self, text: str) -> dict[str, Any]:
        """A piece of reasoning where this dialect has it."""
        if self.dialect.think_tags:
            return {"content": text}
        if self.dialect.reasoning_replay == "chunks":
            return {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]}
        return {self.dialect.reasoning_fields[0]: text}

    def _usage_chunk(self, head: bytes, usage: Usage) -> bytes:
        return head + b',"choices":[],"usage":' + encode_json(_usage(usage, self.dialect)) + b"}\n\n"

    def _call(
        self, call_id: str | None, name: str | None, arguments: str, signature: str | None, origin: str | None
    ) -> dict[str, Any]:
        call: dict[str, Any] = {"type": "function", "function": {"arguments": arguments}}
        if call_id is not None:
            call["id"] = call_id
        if name is not None:
            call["function"]["name"] = name
        if signature is not None and origin == self.name:
            call["extra_content"] = msgspec.Raw(signature)
        return call


def _after_restart(tokens: Sequence[StreamToken]) -> Sequence[StreamToken]:
    for place in range(len(tokens) - 1, -1, -1):
        if isinstance(tokens[place], Restarted):
            return tokens[place + 1 :]
    return tokens


def _chunk(head: bytes, delta: dict[str, Any], reason: str | None = None, stop: str | None = None) -> bytes:
    choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": reason}
    if stop is not None:
        choice["stop_reason"] = stop  # as vLLM does
    return head + b',"choices":[' + encode_json(choice) + b"]}\n\n"


def _word(finish: Finish) -> str:
    """OpenAI's word for a finish reason; a word that no family has is passed on as it is."""
    if finish.reason == "other" and finish.raw:
        return finish.raw
    return finish.raw if finish.raw in ("function_call", "refusal") else _WORDS[finish.reason]


def _usage(usage: Usage, dialect: Dialect) -> dict[str, Any]:
    apart = usage.reasoning_tokens if dialect.output_excludes_reasoning else 0
    said: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens - apart,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
    if usage.cost is not None:
        said[dialect.cost_paths[0]] = usage.cost / dialect.cost_scale
    return said


def _annotation(citation: Citation) -> dict[str, Any]:
    said = {
        "url": citation.url or "",
        "title": citation.title,
        "content": citation.text,
        "start_index": citation.start,
        "end_index": citation.end,
    }
    return {
        "type": "url_citation",
        "url_citation": {name: value for name, value in said.items() if value is not None},
    }


def _error(error: ServedError) -> bytes:
    kind = _TYPES.get(error.status, "server_error" if error.status >= 500 else "invalid_request_error")
    return encode_json({"error": {"message": error.message, "type": kind, "param": None, "code": error.code}})


def _model(model: Model, dialect: Dialect) -> dict[str, Any]:
    said: dict[str, Any] = {
        "id": model.id,
        "object": "model",
        "created": model.created or 0,
        "owned_by": model.provider or "tercet",
    }
    if model.name is not None:
        said["name"] = model.name
    if model.context_window is not None:
        said["context_length"] = model.context_window
    if model.max_output_tokens is not None:
        said["max_completion_tokens"] = model.max_output_tokens
    if model.input_modalities or model.output_modalities:
        said["architecture"] = {
            "input_modalities": model.input_modalities,
            "output_modalities": model.output_modalities,
        }
    if model.prices:
        first = model.prices[0]
        listed = {
            "prompt": first.input,
            "completion": first.output,
            "input_cache_read": first.cache_read,
            "input_cache_write": first.cache_write,
        }
        unit = 1e6 if dialect.price_unit == "token" else 1.0
        said["pricing"] = {name: str(price / unit) for name, price in listed.items() if price is not None}
    if model.accepts:
        said["supported_parameters"] = model.accepts
    return said
