"""The JSON lines of ``claude --print --output-format stream-json`` to tokens.

::

    {"type": "system", "subtype": "init", "apiKeySource", "model", ...}
    {"type": "stream_event", "event": {an event of the Messages API}}     with --include-partial-messages
    {"type": "assistant", "message": {a message of the Messages API}}     one for each block of content
    {"type": "result", "subtype", "is_error", "usage", "total_cost_usd"}  the only evidence of a whole answer
    {"type": "program_exit", "code", "stderr"}                            ours: see ``claude_cli_run``

Events go through the interpreter of the Messages API. A message that was streamed is not told again when it comes whole; without streaming
the whole messages are the answer. Calls of tools are left out: they are Claude Code's own, which it makes itself. What its sub-agents say
(``parent_tool_use_id``) is left out, too, as is every line of another type. Lines that are no JSON objects (warnings) are passed over.

With a subscription (``apiKeySource`` is ``none``) an answer costs nothing; the amount that is named all the same is what it would have cost.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..vocabulary import (
    Citation,
    Finish,
    OpaqueDelta,
    ProtocolError,
    ReasoningDelta,
    StreamInterruptedError,
    StreamToken,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from .anthropic_events import AnthropicInterpreter
from .anthropic_shapes import KIND, MESSAGE, MESSAGE_START, TEXT_BLOCK, MessageShape, UsageShape
from .claude_cli_errors import error_of_exit, error_of_text, is_api_error
from .claude_cli_run import ProgramExit
from .shared import finish_reason
from .surrogates import decode_lenient

__all__ = ["ClaudeCliInterpreter"]

_ABSENT = msgspec.Raw()
_MOST_GARBAGE = 2000  # characters of lines beside the protocol that are kept for an error's text


class _Line(msgspec.Struct, frozen=True):
    type: str = ""
    subtype: str | None = None
    event: msgspec.Raw = _ABSENT
    message: msgspec.Raw = _ABSENT
    parent_tool_use_id: str | None = None
    api_key_source: str | None = msgspec.field(default=None, name="apiKeySource")
    error: Any = None
    is_error: bool | None = None
    result: Any = None
    errors: Any = None
    api_error_status: int | None = None
    stop_reason: str | None = None
    usage: UsageShape | None = None
    total_cost_usd: float | None = None
    code: int = 0
    stderr: str = ""


_LINE = msgspec.json.Decoder(_Line)


class ClaudeCliInterpreter:
    """One run's lines to tokens (see :class:`~tercet.codecs.wire.base.Interpreter`). Complete with a ``result`` that is no error.

    ``origin`` is written on signatures: they are Anthropic's, whoever asked for them.
    """

    __slots__ = (
        "_before", "_current", "_current_id", "_fault", "_finish", "_first_part", "_garbage", "_inner",
        "_is_subscription", "_next_part", "_origin", "_said", "_streamed", "is_complete",
    )  # fmt: skip

    def __init__(self, origin: str = "anthropic") -> None:
        self.is_complete: bool = False
        self._origin = origin
        self._inner: AnthropicInterpreter | None = None
        self._streamed: set[str | None] = set()
        self._finish: Finish | None = None
        self._fault: ProtocolError | None = None
        self._garbage = ""
        self._is_subscription = False
        self._said = False
        # Parts are numbered anew in every message; an answer of several messages numbers them on.
        self._first_part = self._next_part = 0
        self._before = self._current = Usage()
        self._current_id: str | None = None

    def interpret(self, name: str, data: bytes | memoryview, into: list[StreamToken], /) -> None:
        """Append the tokens of one line. Raises the typed error that a line reports.

        Half a line is told of with the next one: if that says that the program crashed, the crash is the news.
        """
        if self.is_complete:
            return
        raw = bytes(data).strip()
        if not raw.startswith(b"{"):
            self._garbage = f"{self._garbage}\n{raw.decode('utf-8', 'replace')}"[-_MOST_GARBAGE:]
            return
        try:
            line = decode_lenient(_LINE, raw)
        except ProtocolError as fault:
            if self._fault is None:
                self._fault = fault
                return
            raise self._fault from fault
        if line.type == "program_exit":
            self._exited(line)
            return
        if self._fault is not None:
            raise self._fault
        match line.type:
            case "stream_event" if line.parent_tool_use_id is None:
                self._event(bytes(line.event), into)
            case "assistant" if line.parent_tool_use_id is None:
                self._assistant(line, into)
            case "result":
                self._result(line, into)
            case "system" if line.subtype == "init":
                self._is_subscription = line.api_key_source == "none"
            case _:
                pass  # tool results, rate limits, hooks, and what may come

    def finish(self, into: list[StreamToken], /) -> None:
        """The bytes have ended. Gives what was held back; raises :class:`StreamInterruptedError` unless there was a ``result``."""
        if self.is_complete:
            return
        self._flush(into)
        if self._fault is not None:
            raise self._fault
        raise StreamInterruptedError("the answer was cut off: Claude Code ended without a result line")

    # Lines --------------------------------------------------------------------------------------------------------------

    def _event(self, event: bytes, into: list[StreamToken]) -> None:
        if decode_lenient(KIND, event).type == "message_start":
            message = decode_lenient(MESSAGE_START, event).message
            self._streamed.add(message.id)
            self._begin(message.id, into)
        inner = self._inner
        if inner is None:
            raise ProtocolError(f"a stream_event before any message_start: {event[:200]!r}")
        found: list[StreamToken] = []
        inner.interpret("", event, found)
        self._take(found, into)

    def _assistant(self, line: _Line, into: list[StreamToken]) -> None:
        raw = bytes(line.message)
        message = decode_lenient(MESSAGE, raw)
        code = line.error if isinstance(line.error, str) and line.error else None
        if message.id in self._streamed and code is None:
            return
        text = _text_of(message)
        if code is not None or (is_api_error(text) and message.stop_reason is not None):
            raise error_of_text(text, code=code)
        self._begin(message.id, into)
        found: list[StreamToken] = []
        AnthropicInterpreter(self._origin).interpret(
            "", b'{"type":"message_start","message":' + raw + b"}", found
        )
        self._take(found, into)
        if message.stop_reason is not None:
            reason = finish_reason(message.stop_reason)
            self._finish = Finish(
                reason, message.stop_reason, message.stop_sequence, message.id, message.model
            )

    def _result(self, line: _Line, into: list[StreamToken]) -> None:
        text = line.result if isinstance(line.result, str) else ""
        if line.is_error or (line.subtype or "").startswith("error"):
            told = text or _joined(line.errors) or f"Claude Code ended with {line.subtype}"
            raise error_of_text(told, status=line.api_error_status, code=line.subtype if not text else None)
        self._flush(into)
        if text and not self._said:
            into.append(TextDelta(text, self._next_part))  # nothing but the result has it
        into.append(UsageReport(self._total(line)))
        ended = self._finish or Finish("stop", line.stop_reason)
        if ended.reason == "tool_calls":  # of tools that were its own, and are not shown
            ended = msgspec.structs.replace(ended, reason="other")
        into.append(ended)
        self.is_complete = True

    def _exited(self, line: _Line) -> None:
        if line.code:
            raise error_of_exit(ProgramExit(line.code, line.stderr), self._garbage)
        if self._fault is not None:
            raise self._fault

    # Messages -----------------------------------------------------------------------------------------------------------

    def _begin(self, message_id: str | None, into: list[StreamToken]) -> None:
        """A message begins, or (whole messages come block by block) goes on."""
        self._flush(into)
        self._first_part = self._next_part
        if message_id is None or message_id != self._current_id:
            self._before, self._current, self._current_id = self._before + self._current, Usage(), message_id
        self._inner = AnthropicInterpreter(self._origin)

    def _flush(self, into: list[StreamToken]) -> None:
        inner, self._inner = self._inner, None
        if inner is None:
            return
        found: list[StreamToken] = []
        try:
            inner.finish(found)
        except StreamInterruptedError:
            pass  # whether the whole answer is complete, the result line says
        self._take(found, into)

    def _take(self, found: list[StreamToken], into: list[StreamToken]) -> None:
        for token in found:
            match token:
                case TextDelta() | ReasoningDelta():
                    part = self._first_part + token.part
                    self._next_part = max(self._next_part, part + 1)
                    self._said = self._said or bool(token.text)
                    into.append(msgspec.structs.replace(token, part=part) if self._first_part else token)
                case OpaqueDelta() | Citation():
                    into.append(token)
                case UsageReport():
                    self._current = token.usage
                    into.append(UsageReport(self._before + self._current))
                case Finish():
                    self._finish = token
                case ToolCallDelta() | _:
                    pass

    def _total(self, line: _Line) -> Usage:
        total = self._before + self._current
        if line.usage is not None:
            reported: list[StreamToken] = []
            shape = MessageShape(usage=line.usage)
            AnthropicInterpreter().interpret(
                "", msgspec.json.encode({"type": "message_start", "message": shape}), reported
            )
            total = next((token.usage for token in reported if isinstance(token, UsageReport)), total)
        cost = 0.0 if self._is_subscription else line.total_cost_usd
        return msgspec.structs.replace(total, cost=cost)


def _text_of(message: MessageShape) -> str:
    blocks = [bytes(block) for block in message.content or ()]
    texts = [
        decode_lenient(TEXT_BLOCK, block).text
        for block in blocks
        if decode_lenient(KIND, block).type == "text"
    ]
    return "".join(text or "" for text in texts)


def _joined(errors: Any) -> str:
    return "; ".join(str(error) for error in errors) if isinstance(errors, list) else ""  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # of any kind: JSON
