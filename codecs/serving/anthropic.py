"""The Messages API as a server speaks it: the mirror of ``wire.anthropic`` and of its :class:`Dialect`. Requests are read in ``anthropic_request``.

``client(server(tokens)) == tokens`` holds for what the API can express, which is: a usage report first, blocks numbered from 0 in their
order, a signature or the citations of a block as its last token, arguments that are not empty, no empty deltas, a usage report before the
finish. Other sequences are served by their meaning: blocks are numbered anew, what a ``Restarted`` voids is left out, usage is zero where
nobody said it. Tokens without a ``Finish`` are an answer that breaks off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import msgspec

from ..vocabulary import (
    ChatRequest,
    ChatResponse,
    Citation,
    Finish,
    FinishReason,
    Model,
    NotFoundError,
    OpaqueDelta,
    Part,
    Reasoning,
    ReasoningDelta,
    Restarted,
    StreamToken,
    Text,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from ..wire.anthropic_body import Dialect, blocks
from .anthropic_request import read_request
from .base import ServedError

__all__ = ["AnthropicServing"]

_RAW_REASON: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "pause": "pause_turn",
    "other": "end_turn",
}
_NO_ID = "msg_0"
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


class AnthropicServing:
    """See :class:`tercet.codecs.serving.base.Serving`. Immutable; one serves any number of requests at once."""

    name = "anthropic"
    content_type = "text/event-stream; charset=utf-8"

    def __init__(self, dialect: Dialect = Dialect()) -> None:  # noqa: B008  # frozen: one for all is safe
        self.dialect = dialect
        self._path = _pattern(dialect.path)
        self._stream_path = _pattern(dialect.stream_path or dialect.path)

    def request(self, method: str, path: str, body: bytes, /) -> tuple[ChatRequest, bool]:
        """A request, and whether it asks for a stream: its body says so, or (on Bedrock) its path."""
        plain = path.partition("?")[0]
        streamed = self._stream_path.fullmatch(plain)
        found = streamed or self._path.fullmatch(plain)
        if found is None or method != "POST":
            raise NotFoundError(f"nothing answers to {method} {plain}", status=404)
        model = unquote(found.groupdict().get("model") or "")
        request, wants_stream = read_request(body, self.dialect, model)
        return request, wants_stream or (streamed is not None and not self.dialect.stream_in_body)

    def stream(self, tokens: Sequence[StreamToken], /, *, model: str) -> Iterator[bytes]:
        """The events of a streamed answer, one piece each."""
        return _Writer(tokens, model, self.dialect).events()

    def response(self, response: ChatResponse, /, *, model: str) -> bytes:
        """A whole answer. Citations without a place of their own are put on the last text."""
        parts = list(response.parts)
        texts = [index for index, part in enumerate(parts) if isinstance(part, Text)]
        if response.citations and texts and not any(_has_citations(parts[index]) for index in texts):
            text = parts[texts[-1]]
            citations = msgspec.json.encode([_citation(citation) for citation in response.citations]).decode()
            parts[texts[-1]] = msgspec.structs.replace(text, signature=citations, origin=self.dialect.origin)
        reason = response.finish_raw
        if reason is None and response.finish_reason is not None:
            reason = _RAW_REASON[response.finish_reason]
        message = _message(response.id, response.served_model or model, response.usage or Usage())
        message |= {
            "content": [block for part in parts for block in self._blocks(part)],
            "stop_reason": reason,
            "stop_sequence": response.stop_sequence,
        }
        return msgspec.json.encode(message)

    def _blocks(self, part: Part) -> list[Any]:
        """A part as a server says it. A client leaves unsigned or foreign reasoning out of its history; a server says what it thinks."""
        if isinstance(part, Reasoning) and part.encrypted is None:
            return [{"type": "thinking", "thinking": part.text, "signature": part.signature or ""}]
        return blocks([part], "assistant", self.dialect)

    def error(self, error: ServedError, /) -> tuple[Mapping[str, str], bytes]:
        """The error envelope; no headers of its own."""
        return {}, msgspec.json.encode(_error(error))

    def stream_error(self, error: ServedError, /) -> bytes:
        """An ``error`` event."""
        return _event(_error(error))

    def models(self, models: Sequence[Model], /) -> bytes:
        """One page with all models."""
        listed = [_model(model) for model in models]
        first, last = (models[0].id, models[-1].id) if models else (None, None)
        return msgspec.json.encode({"data": listed, "has_more": False, "first_id": first, "last_id": last})

    def is_models_request(self, method: str, path: str, /) -> bool:
        """Whether this is a ``GET`` of the list of models, with whatever query."""
        listed = self.dialect.models_path
        return listed is not None and method == "GET" and path.partition("?")[0] == listed.partition("?")[0]


class _Writer:
    """One answer being written. All tokens are known beforehand, so a block can be closed as soon as its last token is out."""

    def __init__(self, tokens: Sequence[StreamToken], model: str, dialect: Dialect) -> None:
        valid = list(tokens)
        for place in range(len(valid) - 1, -1, -1):
            if isinstance(valid[place], Restarted):
                valid = valid[place + 1 :]
                break
        self._tokens = valid
        self._origin = dialect.origin
        self._usage = Usage()
        self._next = 0
        self._open: tuple[str, int, int] | None = None  # kind, the token's number, the block's index
        self._calls: dict[int, int] = {}  # number of the call -> index of its block, while that is open
        self._last = {
            token.index: place for place, token in enumerate(valid) if isinstance(token, ToolCallDelta)
        }
        finishes = [token for token in valid if isinstance(token, Finish)]
        self._id = finishes[-1].response_id if finishes else None
        self._model = (finishes[-1].model if finishes else None) or model
        self._citations = self._cited()

    def _cited(self) -> dict[int, tuple[int, msgspec.Raw]]:
        """Place of a citation's token -> the number of its text and the citation as the provider wrote it: the last token of the
        text has them all."""
        found: dict[int, tuple[int, msgspec.Raw]] = {}
        waiting: list[int] = []
        for place, token in enumerate(self._tokens):
            if isinstance(token, Citation):
                waiting.append(place)
            elif (
                isinstance(token, TextDelta) and token.signature is not None and token.origin == self._origin
            ):
                for at, raw in zip(waiting, _ARRAY.decode(token.signature), strict=False):
                    found[at] = (token.part, raw)
                waiting.clear()
        return found

    def events(self) -> Iterator[bytes]:
        first = self._tokens[0] if self._tokens else None
        if isinstance(first, UsageReport):
            self._usage = first.usage
        message = _message(self._id, self._model, self._usage)
        message |= {"content": [], "stop_reason": None, "stop_sequence": None}
        yield _event({"type": "message_start", "message": message})
        for place, token in enumerate(self._tokens):
            match token:
                case TextDelta():
                    yield from self._text(token)
                case ReasoningDelta():
                    yield from self._reasoning(token)
                case ToolCallDelta():
                    yield from self._call(token, place)
                case Citation():
                    yield from self._cite(token, place)
                case OpaqueDelta():
                    yield from self._stop()
                    yield from self._start("opaque", 0, msgspec.Raw(token.json))
                    yield from self._stop()
                case UsageReport():
                    self._usage = token.usage
                case Finish():
                    yield from self._finish(token)
                case Restarted():
                    pass  # none is left

    def _text(self, token: TextDelta) -> Iterator[bytes]:
        if token.signature is not None and token.origin == self._origin:
            return  # the citations have been written already
        if not token.text:
            return
        yield from self._enter("text", token.part, {"type": "text", "text": ""})
        yield self._delta({"type": "text_delta", "text": token.text})

    def _cite(self, token: Citation, place: int) -> Iterator[bytes]:
        text = {"type": "text", "text": ""}
        number, citation = self._citations.get(place, (None, _citation(token)))
        if number is not None:
            yield from self._enter("text", number, text)
        elif self._open is None or self._open[0] != "text":
            yield from self._start("text", self._next, text)
        yield self._delta({"type": "citations_delta", "citation": citation})

    def _reasoning(self, token: ReasoningDelta) -> Iterator[bytes]:
        if token.encrypted is not None:
            yield from self._start("redacted", 0, {"type": "redacted_thinking", "data": token.encrypted})
            yield from self._stop()
            return
        yield from self._enter("thinking", token.part, {"type": "thinking", "thinking": "", "signature": ""})
        if token.text:
            yield self._delta({"type": "thinking_delta", "thinking": token.text})
        if token.signature is not None:
            yield self._delta({"type": "signature_delta", "signature": token.signature})

    def _call(self, token: ToolCallDelta, place: int) -> Iterator[bytes]:
        if token.index not in self._calls:
            block: dict[str, Any] = {
                "type": "tool_use",
                "id": token.id or "",
                "name": token.name or "",
                "input": {},
            }
            if token.signature is not None and token.origin == self._origin:
                block |= _OBJECT.decode(token.signature)
            yield from self._stop()
            self._calls[token.index] = self._next
            yield _event({"type": "content_block_start", "index": self._next, "content_block": block})
            self._next += 1
        index = self._calls[token.index]
        if token.arguments:
            delta = {"type": "input_json_delta", "partial_json": token.arguments}
            yield _event({"type": "content_block_delta", "index": index, "delta": delta})
        if self._last[token.index] == place:
            yield _event({"type": "content_block_stop", "index": index})

    def _finish(self, token: Finish) -> Iterator[bytes]:
        yield from self._stop()
        reason = _RAW_REASON[token.reason] if token.raw is None else token.raw
        delta = {"stop_reason": reason, "stop_sequence": token.stop_sequence}
        yield _event({"type": "message_delta", "delta": delta, "usage": _usage(self._usage)})
        yield _event({"type": "message_stop"})

    # Blocks that are written one after the other (calls may be interleaved, and are not among them).

    def _enter(self, kind: str, number: int, block: Any) -> Iterator[bytes]:
        if self._open is None or self._open[:2] != (kind, number):
            yield from self._start(kind, number, block)

    def _start(self, kind: str, number: int, block: Any) -> Iterator[bytes]:
        yield from self._stop()
        self._open = (kind, number, self._next)
        yield _event({"type": "content_block_start", "index": self._next, "content_block": block})
        self._next += 1

    def _delta(self, delta: Mapping[str, Any]) -> bytes:
        assert self._open is not None  # every caller has entered its block
        return _event({"type": "content_block_delta", "index": self._open[2], "delta": delta})

    def _stop(self) -> Iterator[bytes]:
        if self._open is not None:
            yield _event({"type": "content_block_stop", "index": self._open[2]})
            self._open = None


def _event(value: Mapping[str, Any]) -> bytes:
    return b"event: " + str(value["type"]).encode() + b"\ndata: " + msgspec.json.encode(value) + b"\n\n"


def _message(identifier: str | None, model: str, usage: Usage) -> dict[str, Any]:
    message = {"id": identifier or _NO_ID, "type": "message", "role": "assistant", "model": model}
    return {**message, "usage": _usage(usage)}


def _usage(usage: Usage) -> dict[str, Any]:
    """The mirror of how the wire counts: here the input is what the cache neither gave nor took."""
    return {
        "input_tokens": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def _citation(citation: Citation) -> dict[str, Any]:
    named: dict[str, Any]
    if citation.url is not None:
        named = {"type": "web_search_result_location", "url": citation.url, "title": citation.title}
    else:
        named = {"type": "char_location", "document_index": 0, "document_title": citation.title}
    return {**named, "cited_text": citation.text or ""}


def _has_citations(part: object) -> bool:
    return isinstance(part, Text) and part.signature is not None


def _error(error: ServedError) -> dict[str, Any]:
    return {"type": "error", "error": {"type": error.code, "message": error.message}}


def _model(model: Model) -> dict[str, Any]:
    listed: dict[str, Any] = {"type": "model", "id": model.id, "display_name": model.name or model.id}
    if model.created is not None:
        listed["created_at"] = datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    limits: dict[str, Any] = {"max_input_tokens": model.context_window, "max_tokens": model.max_output_tokens}
    return listed | {name: value for name, value in limits.items() if value is not None}


def _pattern(template: str) -> re.Pattern[str]:
    before, slot, after = template.partition("{model}")
    return re.compile(re.escape(before) + (r"(?P<model>[^/]+)" if slot else "") + re.escape(after))
