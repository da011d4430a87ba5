"""The lines of an answer of Ollama's ``/api/chat`` to tokens.

A line is ``{model, created_at, message: {role, content, thinking, tool_calls}, done}``; the last one has ``done: true``, why
(``done_reason``) and the counts. A whole answer is one such line with everything in it, and goes through the same interpreter. A line
``{"error": ...}`` ends the answer, whatever status it began with.

Tool calls come whole, one object each. Only newer servers (0.12 and later) give them ids; a call without one gets ``call_<n>``, a made-up
id that is never sent back.

Source: Ollama's API reference (docs/api.md), section "Generate a chat completion", 2026-11.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ..vocabulary import (
    Finish,
    FinishReason,
    ReasoningDelta,
    StreamInterruptedError,
    StreamToken,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from .ollama_errors import error_in_stream
from .surrogates import SurrogateJoiner, decode_lenient, whole_text
from .think import ThinkSplitter

__all__ = ["OllamaInterpreter", "is_made_up_id", "made_up_id"]

_ABSENT = msgspec.Raw()
_MADE_UP = re.compile(r"call_\d{1,4}")


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: msgspec.Raw = _ABSENT


class _Call(msgspec.Struct, gc=False):
    id: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _Line(msgspec.Struct, gc=False):
    message: _Message | None = None
    done: bool | None = None
    done_reason: str | None = None
    model: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: Any = None


_LINE = msgspec.json.Decoder(_Line)
_STRING = msgspec.json.Decoder(str)
_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length"}


def made_up_id(number: int) -> str:
    """The id of an answer's ``number``-th call where the server gave none."""
    return f"call_{number}"


def is_made_up_id(call_id: str) -> bool:
    """Whether an id is one of ours. They begin anew in every answer, so they are never sent."""
    return _MADE_UP.fullmatch(call_id) is not None


class OllamaInterpreter:
    """One answer's lines to tokens (see :class:`~tercet.codecs.wire.base.Interpreter`). Complete with ``done: true``.

    ``think_tags``: take ``<think>`` at the start of the content for reasoning. Lines after the last one are ignored.
    """

    __slots__ = ("_calls", "_said", "_splitter", "_thought", "is_complete")

    def __init__(self, *, think_tags: bool = True) -> None:
        self.is_complete: bool = False
        self._splitter = ThinkSplitter() if think_tags else None
        self._said = SurrogateJoiner()
        self._thought = SurrogateJoiner()
        self._calls = 0

    def interpret(self, name: str, data: bytes | memoryview, into: list[StreamToken], /) -> None:
        """Append the tokens of one line. Raises the typed error of an ``error`` line, :class:`ProtocolError` for what is no such line."""
        if self.is_complete:
            return
        line = decode_lenient(_LINE, data)
        if line.error is not None:
            raise error_in_stream(data)
        message = line.message
        if message is not None:
            if message.thinking:
                self._think(self._thought.join(message.thinking), into)
            if message.content:
                self._say(self._said.join(message.content), into)
            for call in message.tool_calls or ():
                self._call(call, into)
        if line.done:
            self._complete(line, into)

    def finish(self, into: list[StreamToken], /) -> None:
        """The bytes have ended. Gives what was held back; raises :class:`StreamInterruptedError` unless ``done`` was said."""
        if self.is_complete:
            return
        self._flush(into)
        raise StreamInterruptedError("the answer was cut off: the stream ended without done: true")

    def _think(self, text: str, into: list[StreamToken]) -> None:
        if text:
            into.append(ReasoningDelta(text))

    def _say(self, text: str, into: list[StreamToken]) -> None:
        if self._splitter is None:
            if text:
                into.append(TextDelta(text))
            return
        for is_reasoning, run in self._splitter.split(text):
            into.append(ReasoningDelta(run) if is_reasoning else TextDelta(run))

    def _call(self, call: _Call, into: list[StreamToken]) -> None:
        function = call.function or _Function()
        raw = bytes(function.arguments)
        # An object, by the reference; servers that copy the API have been seen to send OpenAI's JSON text.
        arguments = decode_lenient(_STRING, raw) if raw[:1] == b'"' else raw.decode("utf-8", "replace")
        call_id = whole_text(call.id) if call.id else made_up_id(self._calls)
        name = whole_text(function.name or "")
        into.append(ToolCallDelta(self._calls, call_id, name, whole_text(arguments)))
        self._calls += 1

    def _complete(self, line: _Line, into: list[StreamToken]) -> None:
        self._flush(into)
        if line.prompt_eval_count is not None or line.eval_count is not None:
            # The prompt's count is missing where the server had all of it in its cache (seen up to 0.6).
            usage = Usage(max(line.prompt_eval_count or 0, 0), max(line.eval_count or 0, 0))
            into.append(UsageReport(usage))
        raw = line.done_reason
        reason: FinishReason = "stop" if raw is None else _REASONS.get(raw, "other")
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        into.append(Finish(reason, raw, model=line.model))
        self.is_complete = True

    def _flush(self, into: list[StreamToken]) -> None:
        self._think(self._thought.flush(), into)
        self._say(self._said.flush(), into)
        if self._splitter is not None:
            for is_reasoning, run in self._splitter.flush():
                into.append(ReasoningDelta(run) if is_reasoning else TextDelta(run))
