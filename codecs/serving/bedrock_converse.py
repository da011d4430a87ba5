"""Bedrock's Converse API as a server speaks it: the mirror of ``wire.bedrock_converse`` and of its :class:`Dialect`. Requests are read in
``bedrock_converse_request``.

``client(server(tokens)) == tokens`` holds for what the API can express, which is: blocks numbered from 0 in their order, the citations of
a text or a block's withheld reasoning as its last token, arguments that are not empty, no empty deltas, one usage report right before
the finish, a finish without an id whose reason fits its word and the calls. Other sequences are served by their meaning: blocks are
numbered anew, what a ``Restarted`` voids is left out, of several usage reports the last counts. Tokens without a ``Finish`` are an answer
that breaks off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
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
    Opaque,
    OpaqueDelta,
    Part,
    Reasoning,
    ReasoningDelta,
    Restarted,
    StreamToken,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from ..wire.bedrock_converse_body import Dialect
from ..wire.shared import encode_json
from .base import ServedError
from .bedrock_converse_request import read_request
from .bedrock_framing import CONTENT_TYPE, error_body, event, exception

__all__ = ["BedrockConverseServing", "ConverseWriter", "answer_body"]

_RAW_REASON: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "content_filtered",
    "pause": "end_turn",
    "other": "end_turn",
}
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LATENCY = {"latencyMs": 0}


class BedrockConverseServing:
    """See :class:`tercet.codecs.serving.base.Serving`. Immutable; one serves any number of requests at once."""

    name = "bedrock_converse"
    content_type = CONTENT_TYPE

    def __init__(self, dialect: Dialect = Dialect()) -> None:  # noqa: B008  # frozen: one for all is safe
        self.dialect = dialect
        self._path = _pattern(dialect.path)
        self._stream_path = _pattern(dialect.stream_path)

    def request(self, method: str, path: str, body: bytes, /) -> tuple[ChatRequest, bool]:
        """A request; its path has the model and says whether a stream is wanted."""
        plain = path.partition("?")[0]
        streamed = self._stream_path.fullmatch(plain)
        found = streamed or self._path.fullmatch(plain)
        if found is None or method != "POST":
            raise NotFoundError(f"nothing answers to {method} {plain}", status=404)
        return read_request(body, self.dialect, unquote(found["model"])), streamed is not None

    def stream(self, tokens: Sequence[StreamToken], /, *, model: str) -> Iterator[bytes]:
        """The messages of a streamed answer, one piece each."""
        for name, payload in ConverseWriter(tokens, model, self.dialect.origin).events():
            yield event(name, encode_json(payload))

    def response(self, response: ChatResponse, /, *, model: str) -> bytes:
        """A whole answer."""
        return encode_json(answer_body(response, model, self.dialect.origin))

    def error(self, error: ServedError, /) -> tuple[Mapping[str, str], bytes]:
        """The type in ``x-amzn-errortype``, the message in the body."""
        return error_body(error)

    def stream_error(self, error: ServedError, /) -> bytes:
        """An exception message."""
        return exception(error)

    def models(self, models: Sequence[Model], /) -> bytes:
        """The answer of ``ListFoundationModels``."""
        return encode_json({"modelSummaries": [_model(model) for model in models]})

    def is_models_request(self, method: str, path: str, /) -> bool:
        """Whether this is a ``GET`` of the list of models, with whatever query; at the control plane's path where the dialect has none."""
        listed = self.dialect.models_path or "/foundation-models"
        return method == "GET" and path.partition("?")[0] == listed


class ConverseWriter:
    """One answer being written, as names and payloads of events: Nova's own API frames the same ones in another way.

    All tokens are known beforehand, so a block can be closed as soon as its last token is out.
    """

    def __init__(self, tokens: Sequence[StreamToken], model: str, origin: str) -> None:
        valid = list(tokens)
        for place in range(len(valid) - 1, -1, -1):
            if isinstance(valid[place], Restarted):
                valid = valid[place + 1 :]
                break
        self._tokens = valid
        self._model = model
        self._origin = origin
        self._next = 0
        self._open: tuple[str, int, int] | None = None  # kind, the token's number, the block's index
        self._calls: dict[int, int] = {}  # number of the call -> index of its block
        self._last = {
            token.index: place for place, token in enumerate(valid) if isinstance(token, ToolCallDelta)
        }
        reports = [token.usage for token in valid if isinstance(token, UsageReport)]
        self._usage = reports[-1] if reports else None
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

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events in order."""
        yield "messageStart", {"role": "assistant"}
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
                    yield from self._opaque(token)
                case Finish():
                    yield from self._finish(token)
                case UsageReport() | Restarted():
                    pass  # the usage comes last; no Restarted is left

    def _text(self, token: TextDelta) -> Iterator[tuple[str, dict[str, Any]]]:
        if token.signature is not None and token.origin == self._origin:
            return  # the citations have been written already
        if token.text:
            yield from self._enter("text", token.part)
            yield self._delta({"text": token.text})

    def _cite(self, token: Citation, place: int) -> Iterator[tuple[str, dict[str, Any]]]:
        number, citation = self._citations.get(place, (None, _citation(token)))
        if number is not None:
            yield from self._enter("text", number)
        elif self._open is None or self._open[0] != "text":
            yield from self._begin("text", self._next)
        yield self._delta({"citation": citation})

    def _reasoning(self, token: ReasoningDelta) -> Iterator[tuple[str, dict[str, Any]]]:
        if token.encrypted is not None:
            yield from self._begin("redacted", 0)
            yield self._delta({"reasoningContent": {"redactedContent": token.encrypted}})
            yield from self._stop()
            return
        yield from self._enter("reasoning", token.part)
        if token.text:
            yield self._delta({"reasoningContent": {"text": token.text}})
        if token.signature is not None:
            yield self._delta({"reasoningContent": {"signature": token.signature}})

    def _call(self, token: ToolCallDelta, place: int) -> Iterator[tuple[str, dict[str, Any]]]:
        if token.index not in self._calls:
            yield from self._stop()
            self._calls[token.index] = self._next
            start = {"toolUse": {"toolUseId": token.id or "", "name": token.name or ""}}
            yield "contentBlockStart", {"start": start, "contentBlockIndex": self._next}
            self._next += 1
        index = self._calls[token.index]
        if token.arguments:
            delta = {"toolUse": {"input": token.arguments}}
            yield "contentBlockDelta", {"delta": delta, "contentBlockIndex": index}
        if self._last[token.index] == place:
            yield "contentBlockStop", {"contentBlockIndex": index}

    def _opaque(self, token: OpaqueDelta) -> Iterator[tuple[str, dict[str, Any]]]:
        """A block of our own as its start, with the input of a call behind it. Other wires' blocks have no place here."""
        if token.origin != self._origin:
            return
        yield from self._stop()
        for kind, raw in _MEMBERS.decode(token.json).items():
            start: Any = raw
            pieces: msgspec.Raw | None = None
            if kind == "toolUse":
                start = _MEMBERS.decode(raw)
                pieces = start.pop("input", None)
            yield "contentBlockStart", {"start": {kind: start}, "contentBlockIndex": self._next}
            if pieces is not None:
                delta = {"toolUse": {"input": bytes(pieces).decode("utf-8", "replace")}}
                yield "contentBlockDelta", {"delta": delta, "contentBlockIndex": self._next}
            yield "contentBlockStop", {"contentBlockIndex": self._next}
            self._next += 1

    def _finish(self, token: Finish) -> Iterator[tuple[str, dict[str, Any]]]:
        yield from self._stop()
        yield "messageStop", _stop_members(token.reason, token.raw, token.stop_sequence, is_stream=True)
        more = _usage_members(self._usage, token.model, self._model)
        if more:
            yield "metadata", more

    # Blocks that are written one after the other (calls may be interleaved, and are not among them).

    def _enter(self, kind: str, number: int) -> Iterator[tuple[str, dict[str, Any]]]:
        if self._open is None or self._open[:2] != (kind, number):
            yield from self._begin(kind, number)

    def _begin(self, kind: str, number: int) -> Iterator[tuple[str, dict[str, Any]]]:
        yield from self._stop()
        self._open = (kind, number, self._next)
        self._next += 1

    def _delta(self, delta: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        assert self._open is not None  # every caller has entered its block
        return "contentBlockDelta", {"delta": delta, "contentBlockIndex": self._open[2]}

    def _stop(self) -> Iterator[tuple[str, dict[str, Any]]]:
        if self._open is not None:
            yield "contentBlockStop", {"contentBlockIndex": self._open[2]}
            self._open = None


def answer_body(response: ChatResponse, model: str, origin: str) -> dict[str, Any]:
    """A whole answer. Citations without a place of their own are put on the last text."""
    parts = list(response.parts)
    texts = [index for index, part in enumerate(parts) if isinstance(part, Text)]
    if response.citations and texts and not any(_is_cited(parts[index], origin) for index in texts):
        citations = encode_json([_citation(citation) for citation in response.citations]).decode()
        parts[texts[-1]] = msgspec.structs.replace(parts[texts[-1]], signature=citations, origin=origin)
    content = [block for part in parts for block in _blocks(part, origin)]
    body: dict[str, Any] = {"output": {"message": {"role": "assistant", "content": content}}}
    if response.finish_reason is not None:
        body |= _stop_members(
            response.finish_reason, response.finish_raw, response.stop_sequence, is_stream=False
        )
    return body | _usage_members(response.usage, response.served_model, model)


def _blocks(part: Part, origin: str) -> list[Any]:
    """A part as a server says it. A client leaves unsigned or foreign reasoning out of its history; a server says what it thinks."""
    match part:
        case Text() if _is_cited(part, origin):
            citations = msgspec.Raw((part.signature or "").encode())
            return [{"citationsContent": {"content": [{"text": part.text}], "citations": citations}}]
        case Text() if part.text:
            return [{"text": part.text}]
        case Reasoning(encrypted=str(encrypted)):
            return [{"reasoningContent": {"redactedContent": encrypted}}]
        case Reasoning():
            signature = {} if part.signature is None else {"signature": part.signature}
            return [{"reasoningContent": {"reasoningText": {"text": part.text, **signature}}}]
        case ToolCall():
            given = msgspec.Raw((part.arguments or "{}").encode())
            return [{"toolUse": {"toolUseId": part.id, "name": part.name, "input": given}}]
        case Opaque() if part.origin == origin:
            return [msgspec.Raw(part.json.encode())]
        case _:
            return []


def _is_cited(part: object, origin: str) -> bool:
    return isinstance(part, Text) and part.signature is not None and part.origin == origin


def _stop_members(
    reason: FinishReason, raw: str | None, stop_sequence: str | None, *, is_stream: bool
) -> dict[str, Any]:
    members: dict[str, Any] = {"stopReason": _RAW_REASON[reason] if raw is None else raw}
    if stop_sequence is not None:
        found = {"stop_sequence": stop_sequence}
        members["additionalModelResponseFields"] = {"delta": found} if is_stream else found
    return members


def _usage_members(usage: Usage | None, served: str | None, model: str) -> dict[str, Any]:
    """The mirror of how the wire counts: here the input is what the cache neither gave nor took."""
    members: dict[str, Any] = {}
    if usage is not None:
        counts: dict[str, int] = {
            "inputTokens": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
            "outputTokens": usage.output_tokens,
            "totalTokens": usage.total_tokens,
        }
        if usage.cache_read_tokens or usage.cache_write_tokens:
            counts["cacheReadInputTokens"] = usage.cache_read_tokens
            counts["cacheWriteInputTokens"] = usage.cache_write_tokens
        members = {"usage": counts, "metrics": _LATENCY}
    if served is not None and served != model:
        members["trace"] = {"promptRouter": {"invokedModelId": served}}
    return members


def _citation(citation: Citation) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if citation.title is not None:
        said["title"] = citation.title
    if citation.text is not None:
        said["sourceContent"] = [{"text": citation.text}]
    if citation.url is not None:
        said["location"] = {"web": {"url": citation.url}}
    return said


def _model(model: Model) -> dict[str, Any]:
    listed: dict[str, Any] = {
        "modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{model.id}",
        "modelId": model.id,
        "modelName": model.name or model.id,
        "inputModalities": [word.upper() for word in model.input_modalities or ("text",)],
        "outputModalities": [word.upper() for word in model.output_modalities or ("text",)],
    }
    if model.retires is not None:
        listed["modelLifecycle"] = {"status": "ACTIVE", "endOfLifeTime": f"{model.retires}T00:00:00Z"}
    return listed


def _pattern(template: str) -> re.Pattern[str]:
    before, _, after = template.partition("{model}")
    return re.compile(re.escape(before) + r"(?P<model>[^/]+)" + re.escape(after))
