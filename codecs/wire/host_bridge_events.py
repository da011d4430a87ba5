"""The lines that a host sends: to tokens, to the list of models, to a count, to typed errors. The protocol is told in ``host_bridge``."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..vocabulary import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ContextLengthError,
    Finish,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
    ReasoningDelta,
    ServerError,
    StreamInterruptedError,
    StreamToken,
    TercetError,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from .host_bridge_body import REQUEST_ID
from .shared import finish_reason, is_context_overflow, masked
from .surrogates import SurrogateJoiner, decode_lenient, whole_text

__all__ = ["CODES", "LINE", "HostInterpreter", "Line", "ListedModel", "error_of_line"]

CODES: dict[str, type[TercetError]] = {
    "unauthorized": AuthenticationError,
    "version": ConfigurationError,
    "bad_request": BadRequestError,
    "too_large": BadRequestError,
    "not_found": NotFoundError,
    "no_permission": PermissionDeniedError,
    "blocked": RateLimitError,
    "context_length": ContextLengthError,
    "busy": OverloadedError,
    "cancelled": StreamInterruptedError,
    "internal": ServerError,
}
"""The codes of ``error`` lines. An unknown one is a :class:`ServerError`."""

_ABSENT = msgspec.Raw()


class ListedModel(msgspec.Struct, frozen=True):
    """A model in the answer to ``models``."""

    id: str
    name: str | None = None
    vendor: str | None = None
    family: str | None = None
    version: str | None = None
    max_input_tokens: int | None = None


class _Counts(msgspec.Struct, frozen=True, gc=False):
    input_tokens: int = 0
    output_tokens: int = 0


class Line(msgspec.Struct, frozen=True):
    """A line from the host, whatever its type: members that a type does not have are None."""

    type: str = ""
    id: int | None = None
    text: str | None = None
    call_id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _ABSENT
    reason: str | None = None
    model: str | None = None
    usage: _Counts | None = None
    models: Sequence[ListedModel] | None = None
    tokens: int | None = None
    code: str | None = None
    message: str | None = None
    retry_after: float | None = None
    version: int | None = None
    host: str | None = None


LINE = msgspec.json.Decoder(Line)


def error_of_line(line: Line, raw: bytes) -> TercetError:
    """The error that an ``error`` line stands for."""
    code = line.code or "internal"
    message = masked(whole_text(line.message or "")) or f"the editor failed with {code}"
    kind = CODES.get(code, ServerError)
    if kind in (BadRequestError, ServerError) and is_context_overflow(message):
        kind = ContextLengthError
    after = line.retry_after if line.retry_after is not None and line.retry_after >= 0 else None
    return kind(message, code=code, retry_after=after, body=masked(raw[:2000].decode("utf-8", "replace")))


class HostInterpreter:
    """One answer's lines to tokens (see :class:`~tercet.codecs.wire.base.Interpreter`). Complete with ``end``.

    Lines that carry another request's id are that request's, and ignored here; so are types that are not known.
    """

    __slots__ = ("_calls", "_said", "_thought", "is_complete")

    def __init__(self) -> None:
        self.is_complete: bool = False
        self._said = SurrogateJoiner()
        self._thought = SurrogateJoiner()
        self._calls = 0

    def interpret(self, name: str, data: bytes | memoryview, into: list[StreamToken], /) -> None:
        """Append the tokens of one line. Raises the typed error of an ``error`` line, :class:`ProtocolError` for what is no line of ours."""
        if self.is_complete:
            return
        line = decode_lenient(LINE, data)
        if line.id not in (REQUEST_ID, None):
            return
        match line.type:
            case "text":
                self._add(TextDelta, self._said.join(line.text or ""), into)
            case "reasoning":
                self._add(ReasoningDelta, self._thought.join(line.text or ""), into)
            case "tool_call":
                arguments = bytes(line.input).decode("utf-8", "replace")
                call_id, called = whole_text(line.call_id or ""), whole_text(line.name or "")
                into.append(
                    ToolCallDelta(
                        self._calls, call_id or f"call_{self._calls}", called, whole_text(arguments)
                    )
                )
                self._calls += 1
            case "end":
                self._complete(line, into)
            case "error":
                raise error_of_line(line, bytes(data))
            case _:
                pass

    def finish(self, into: list[StreamToken], /) -> None:
        """The bytes have ended. Gives what was held back; raises :class:`StreamInterruptedError` unless ``end`` was said."""
        if self.is_complete:
            return
        self._flush(into)
        raise StreamInterruptedError("the answer was cut off: the editor hung up without an end line")

    def _add(self, kind: type[TextDelta | ReasoningDelta], text: str, into: list[StreamToken]) -> None:
        if text:
            into.append(kind(text))

    def _complete(self, line: Line, into: list[StreamToken]) -> None:
        self._flush(into)
        if line.usage is not None:
            into.append(UsageReport(Usage(max(line.usage.input_tokens, 0), max(line.usage.output_tokens, 0))))
        usual = "tool_calls" if self._calls else "stop"  # VS Code's API tells no reason
        into.append(Finish(finish_reason(line.reason or usual), line.reason, model=line.model))
        self.is_complete = True

    def _flush(self, into: list[StreamToken]) -> None:
        self._add(ReasoningDelta, self._thought.flush(), into)
        self._add(TextDelta, self._said.flush(), into)
