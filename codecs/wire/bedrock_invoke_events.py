"""The answers of Bedrock's InvokeModel to tokens: events ``chunk`` with one object of the model's own in each, or such an object alone.

Whose object it is shows in its members, so no one has to say which model was asked (imported models and ARNs do not tell). What has an
API of its own is read by that API's interpreter: Claude's Messages, Nova's Converse, OpenAI's chat completions; the others, which speak
only text, by :class:`_TextReader`.

The last object of a stream carries ``amazon-bedrock-invocationMetrics``: the counts of models that do not count themselves, and the sign
that nothing follows. A stream is complete with the model's own evidence (``message_stop``, ``messageStop``, a stop reason), not by it.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import msgspec

from ..vocabulary import (
    ContextLengthError,
    Finish,
    FinishReason,
    ProtocolError,
    ProviderError,
    ReasoningDelta,
    ServerError,
    StreamInterruptedError,
    StreamToken,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from .anthropic_events import AnthropicInterpreter
from .bedrock_converse_events import ConverseInterpreter
from .bedrock_errors import error_in_stream
from .bedrock_framing import failure_name
from .bedrock_invoke_body import CHAT_ORIGIN, Dialect, chat_dialect
from .bedrock_invoke_shapes import CHUNK, FAMILIES, METRICS, Metrics, Piece
from .openai_chat_events import ChatInterpreter
from .shared import as_list, as_object, encode_json, finish_reason
from .surrogates import SurrogateJoiner, decode_lenient, whole_text
from .think import ThinkSplitter

__all__ = ["InvokeInterpreter"]

_ANY = msgspec.json.Decoder()
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_METRICS_NAME = "amazon-bedrock-invocationMetrics"
_NOVA = (
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
)
_MESSAGES = ("message", "message_start", "content_block_start", "content_block_delta", "error", "ping")

_REASONS: dict[str, FinishReason] = {
    "finish": "stop",  # Titan: both spellings are in its page
    "finished": "stop",
    "stop_criteria_met": "stop",
    "error_toxic": "content_filter",  # Cohere
}
_FAILURES: dict[str, type[ProviderError]] = {"error": ServerError, "error_limit": ContextLengthError}
"""Cohere's words for answers that failed: "the generation failed", "the context is too big"."""


class _Reader(Protocol):
    """Reads the objects of one family."""

    @property
    def is_complete(self) -> bool:
        """Whether the model has said that the answer is whole."""
        ...

    def read(self, data: bytes, metrics: Metrics | None, into: list[StreamToken], /) -> None:
        """The tokens of one object of a stream."""
        ...

    def whole(self, body: bytes, into: list[StreamToken], /) -> None:
        """The tokens of a whole answer."""
        ...

    def finish(self, into: list[StreamToken], /) -> None:
        """The bytes have ended."""
        ...


class InvokeInterpreter:
    """One answer's events to tokens; see :class:`tercet.codecs.wire.base.Interpreter`."""

    __slots__ = ("_dialect", "_reader", "is_complete")

    def __init__(self, dialect: Dialect) -> None:
        self.is_complete: bool = False
        self._dialect = dialect
        self._reader: _Reader | None = None

    def interpret(self, name: str, data: bytes | memoryview, into: list[StreamToken], /) -> None:
        """Append the tokens of one event. Raises the error that an exception stands for, unless the answer was whole before it."""
        if name != "chunk":
            failure = failure_name(name)
            if failure is not None and not self.is_complete:
                raise error_in_stream(failure, data)
            return
        said = decode_lenient(CHUNK, data).data
        metrics = decode_lenient(METRICS, said).metrics if b"invocationMetrics" in said else None
        if self._reader is None:
            self._reader = _reader_of(said, self._dialect)
            if self._reader is None:
                return
        self._reader.read(said, metrics, into)
        self.is_complete = self._reader.is_complete

    def finish(self, into: list[StreamToken], /) -> None:
        """The bytes have ended. Appends what was held back; raises :class:`StreamInterruptedError` unless the answer is whole."""
        if self._reader is None:
            raise StreamInterruptedError(
                "the answer was cut off: the stream ended before the model said anything"
            )
        self._reader.finish(into)
        self.is_complete = self._reader.is_complete

    def whole(self, body: bytes, into: list[StreamToken]) -> None:
        """A whole answer. One that does not say why it ended is a :class:`ProtocolError`."""
        reader = _reader_of(body, self._dialect)
        if reader is None:
            raise ProtocolError(f"an answer that says nothing: {body[:200].decode('utf-8', 'replace')!r}")
        reader.whole(body, into)


def _reader_of(data: bytes, dialect: Dialect) -> _Reader | None:
    """Who reads objects like this one; None for one that says nothing but the metrics. Raises :class:`ProtocolError` for an unknown kind."""
    value = decode_lenient(_ANY, data)
    members = as_object(value)
    if members.get("type") in _MESSAGES and "choices" not in members:
        return _MessagesReader(dialect.origin)
    if "output" in members or any(name in members for name in _NOVA):
        return _NovaReader()
    if "choices" in members and not _has_texts(members["choices"]):
        return _ChatReader(dialect.think_tag)
    for name, decoder in FAMILIES:
        if name in members:
            is_inside = name == "choices" or dialect.family == "deepseek_r1"
            return _TextReader(decoder, ThinkSplitter(is_inside=True) if is_inside else None)
    if isinstance(value, dict) and not set(members) - {_METRICS_NAME}:
        return None
    raise ProtocolError(f"an answer of a kind that is not known: {data[:200].decode('utf-8', 'replace')!r}")


def _has_texts(value: Any) -> bool:
    choices = as_list(value)
    return bool(choices) and "text" in as_object(choices[0])


def _usage(metrics: Metrics) -> Usage:
    """Bedrock's counts in ours: its input is what the cache neither gave nor took."""
    read, write = metrics.cache_read_input_token_count or 0, metrics.cache_write_input_token_count or 0
    return Usage(
        (metrics.input_token_count or 0) + read + write, metrics.output_token_count or 0, read, write
    )


class _MessagesReader:
    """Claude's Messages. It counts for itself, so the metrics add nothing."""

    def __init__(self, origin: str) -> None:
        self._messages = AnthropicInterpreter(origin)

    @property
    def is_complete(self) -> bool:
        """With ``message_stop``."""
        return self._messages.is_complete

    def read(self, data: bytes, metrics: Metrics | None, into: list[StreamToken], /) -> None:
        """One event."""
        self._messages.interpret("", data, into)

    def whole(self, body: bytes, into: list[StreamToken], /) -> None:
        """A message."""
        self._messages.whole(body, into)

    def finish(self, into: list[StreamToken], /) -> None:
        """The end."""
        self._messages.finish(into)


class _NovaReader:
    """Nova's own API: Converse's events, each as the one member of an object that is named like it."""

    def __init__(self) -> None:
        self._converse = ConverseInterpreter(CHAT_ORIGIN)

    @property
    def is_complete(self) -> bool:
        """With ``messageStop``."""
        return self._converse.is_complete

    def read(self, data: bytes, metrics: Metrics | None, into: list[StreamToken], /) -> None:
        """The events of one object; one."""
        for name, raw in decode_lenient(_MEMBERS, data).items():
            if name in _NOVA:
                self._converse.interpret(name, bytes(raw), into)

    def whole(self, body: bytes, into: list[StreamToken], /) -> None:
        """Converse's answer."""
        self._converse.whole(body, into)

    def finish(self, into: list[StreamToken], /) -> None:
        """The end."""
        self._converse.finish(into)


class _ChatReader:
    """OpenAI's chat completions, without ``[DONE]``: the metrics stand at the end. Reasoning may stand in a tag before the content.

    Mistral's models say ``stop_reason`` for ``finish_reason`` here, and ``message`` for ``delta`` in streams.
    """

    def __init__(self, tag: str) -> None:
        self._dialect = chat_dialect("chat")
        self._chat = ChatInterpreter(self._dialect, CHAT_ORIGIN)
        self._think = ThinkSplitter(tag)
        self._has_usage = False

    @property
    def is_complete(self) -> bool:
        """With a finish reason, and the metrics or the end behind it."""
        return self._chat.is_complete

    def read(self, data: bytes, metrics: Metrics | None, into: list[StreamToken], /) -> None:
        """One chunk."""
        found: list[StreamToken] = []
        try:
            self._chat.interpret("", _as_chunk(data, "delta"), found)
            if metrics is not None:
                if not self._has_usage and not any(isinstance(token, UsageReport) for token in found):
                    found.append(UsageReport(_usage(metrics)))
                self._chat.interpret("", b"[DONE]", found)
        finally:
            self._split(found, into)

    def whole(self, body: bytes, into: list[StreamToken], /) -> None:
        """A chat completion."""
        chat = ChatInterpreter(self._dialect, CHAT_ORIGIN, whole=True)
        found: list[StreamToken] = []
        chat.interpret("", _as_chunk(body, "message"), found)
        chat.finish_whole(found)
        self._split(found, into)

    def finish(self, into: list[StreamToken], /) -> None:
        """The end."""
        found: list[StreamToken] = []
        try:
            self._chat.finish(found)
        finally:
            self._split(found, into)
            if not self._chat.is_complete:
                self._flush(into)

    def _split(self, found: list[StreamToken], into: list[StreamToken]) -> None:
        for token in found:
            if isinstance(token, TextDelta):
                into.extend(_runs(self._think.split(token.text)))
                continue
            if isinstance(token, Finish | ToolCallDelta):
                self._flush(into)
            self._has_usage = self._has_usage or isinstance(token, UsageReport)
            into.append(token)

    def _flush(self, into: list[StreamToken]) -> None:
        into.extend(_runs(self._think.flush()))


def _runs(runs: list[tuple[bool, str]]) -> list[StreamToken]:
    return [ReasoningDelta(text) if is_reasoning else TextDelta(text) for is_reasoning, text in runs if text]


def _as_chunk(data: bytes, holder: str) -> bytes:
    """The object as OpenAI would have written it; ``holder`` is where what is said has to stand. Few chunks need a change."""
    other = "message" if holder == "delta" else "delta"
    if b'"stop_reason"' not in data and f'"{other}"'.encode() not in data:
        return data
    value = as_object(decode_lenient(_ANY, data))
    for choice in as_list(value.get("choices")):
        if not isinstance(choice, dict):
            continue
        named = cast("dict[str, Any]", choice)
        if named.get("finish_reason") is None and isinstance(named.get("stop_reason"), str):
            named["finish_reason"] = named.pop("stop_reason")
        if other in named and named.get(holder) is None:
            named[holder] = named.pop(other)
    return encode_json(value)


class _TextReader:
    """A family that speaks only text, in objects that a :class:`Piece` reads. Complete with a stop reason.

    ``Finish`` waits for the metrics, so that usage comes before it, or for the end. Counts of the model's own go where there are none.
    """

    def __init__(self, decoder: msgspec.json.Decoder[Piece], think: ThinkSplitter | None) -> None:
        self.is_complete: bool = False
        self._decoder = decoder
        self._think = think
        self._join = SurrogateJoiner()
        self._calls = 0
        self._stop: str | None = None
        self._stop_sequence: str | None = None
        self._counts: list[int | None] = [None, None]
        self._is_over = False

    def read(self, data: bytes, metrics: Metrics | None, into: list[StreamToken], /) -> None:
        """One object."""
        if self._is_over:
            return
        if not self.is_complete:
            piece = decode_lenient(self._decoder, data)
            self._take(piece, data, into)
        if metrics is not None and self.is_complete:
            self._end(_usage(metrics), into)

    def whole(self, body: bytes, into: list[StreamToken], /) -> None:
        """A whole answer."""
        self._take(decode_lenient(self._decoder, body), body, into)
        if not self.is_complete:
            raise ProtocolError(f"an answer without a stop reason: {body[:200].decode('utf-8', 'replace')!r}")
        self.finish(into)

    def finish(self, into: list[StreamToken], /) -> None:
        """The end. What was held back is given first."""
        if self._is_over:
            return
        if not self.is_complete:
            self._flush(into)
            raise StreamInterruptedError("the answer was cut off: the stream ended without a stop reason")
        given, written = self._counts
        usage = None if given is None and written is None else Usage(given or 0, written or 0)
        self._end(usage, into)

    def _take(self, piece: Piece, data: bytes, into: list[StreamToken]) -> None:
        self._say(self._join.join(piece.said), into)
        for call in piece.calls:
            members = as_object(call)
            name = members.get("name")
            arguments = encode_json(members.get("parameters") or {}).decode()
            into.append(
                ToolCallDelta(
                    self._calls,
                    f"call_{self._calls}",
                    whole_text(name) if isinstance(name, str) else "",
                    arguments,
                )
            )
            self._calls += 1
        self._counts = [
            known if count is None else count for known, count in zip(self._counts, piece.counts, strict=True)
        ]
        if not piece.stop:
            return
        failure = _FAILURES.get(piece.stop.lower())
        if failure is not None:
            raise failure(
                f"the model ended the answer with {piece.stop!r}",
                code=piece.stop,
                body=data[:2500].decode("utf-8", "replace"),
            )
        self._stop = whole_text(piece.stop)
        sequence = piece.stop_sequence
        self._stop_sequence = None if sequence is None else whole_text(sequence)
        self.is_complete = True

    def _say(self, text: str, into: list[StreamToken]) -> None:
        if text:
            into.extend(_runs([(False, text)] if self._think is None else self._think.split(text)))

    def _flush(self, into: list[StreamToken]) -> None:
        self._say(self._join.flush(), into)
        if self._think is not None:
            into.extend(_runs(self._think.flush()))

    def _end(self, usage: Usage | None, into: list[StreamToken]) -> None:
        assert self._stop is not None  # complete with it
        self._flush(into)
        if usage is not None:
            into.append(UsageReport(usage))
        reason = _REASONS.get(self._stop.lower()) or finish_reason(self._stop)
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        into.append(Finish(reason, self._stop, self._stop_sequence))
        self._is_over = True
