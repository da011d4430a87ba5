"""What comes back, and ``fold``: the meaning of a stream of tokens as one answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from .parts import Opaque, Part, Reasoning, Text, ToolCall
from .requests import Message
from .tokens import (
    Citation,
    Finish,
    FinishReason,
    OpaqueDelta,
    ReasoningDelta,
    Restarted,
    StreamToken,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from .usage import Usage

__all__ = ["ChatResponse", "CompletionResponse", "Folder", "fold", "unfold"]


class ChatResponse(msgspec.Struct, frozen=True):
    """One answer: its parts in order, and the facts about it.

    ``finish_reason`` is None exactly when the answer is not complete (a partial answer on an error).
    ``provider`` and ``model`` say who gave it; ``served_model`` is what the provider itself calls the model.
    """

    parts: Sequence[Part] = ()
    finish_reason: FinishReason | None = None
    finish_raw: str | None = None
    stop_sequence: str | None = None
    usage: Usage | None = None
    citations: Sequence[Citation] = ()
    id: str | None = None
    served_model: str | None = None
    provider: str | None = None
    model: str | None = None
    request_id: str | None = None

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def reasoning(self) -> str:
        """The readable reasoning, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Reasoning))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls, in order."""
        return tuple(part for part in self.parts if isinstance(part, ToolCall))

    @property
    def message(self) -> Message:
        """The answer as an assistant message, to be put into the next request unchanged."""
        return Message("assistant", self.parts)

    @property
    def is_complete(self) -> bool:
        """Whether the provider said that this is the whole answer."""
        return self.finish_reason is not None


class CompletionResponse(msgspec.Struct, frozen=True):
    """The answer to a :class:`CompletionRequest`; ``chat`` is the same answer with everything in it."""

    text: str
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    provider: str | None = None
    model: str | None = None
    chat: ChatResponse | None = None

    @classmethod
    def of(cls, chat: ChatResponse) -> CompletionResponse:
        """The text of a chat answer."""
        return cls(chat.text, chat.finish_reason, chat.usage, chat.provider, chat.model, chat)


_RUN = 256


class _Open:
    """A part that still grows. Adding strings one by one would be quadratic: pieces are joined into runs of 256, runs at the end.

    Without the runs an answer that is still open holds an object for every token, 63 bytes for six of text; with them it holds the
    text (CPython 3.11; a token costs 30 to 50 ns more to add).
    """

    __slots__ = ("encrypted", "id", "kind", "name", "origin", "part", "pieces", "runs", "signature")

    def __init__(self, kind: str, part: int) -> None:
        self.kind = kind
        self.part = part
        self.pieces: list[str] = []
        self.runs: list[str] = []
        self.signature: str | None = None
        self.encrypted: str | None = None
        self.id: str | None = None
        self.name: str | None = None
        self.origin: str | None = None

    def add(self, text: str) -> None:
        self.pieces.append(text)
        if len(self.pieces) >= _RUN:
            self.join()

    def join(self) -> None:
        self.runs.append("".join(self.pieces))
        self.pieces.clear()

    def close(self) -> Part:
        text = join_surrogates("".join((*self.runs, *self.pieces)))
        if self.kind == "text":
            return Text(text, signature=self.signature, origin=self.origin)
        if self.kind == "reasoning":
            return Reasoning(text, self.signature, self.encrypted, self.id, self.origin)
        return ToolCall(self.id or "", self.name or "", text, self.signature, self.origin)


class Folder:
    """Folds tokens into an answer as they come. ``add`` is cheap; ``response`` may be asked at any time.

    Kept apart from ``fold`` because a stream folds while it is being read, so that an error can carry what was said.
    """

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._parts: list[_Open | Opaque] = []
        self._calls: dict[int, _Open] = {}
        self._citations: list[Citation] = []
        self._usage: Usage | None = None
        self._finish: Finish | None = None

    @property
    def usage(self) -> Usage | None:
        """The last usage report."""
        return self._usage

    @property
    def has_content(self) -> bool:
        """Whether anything was said so far."""
        return bool(self._parts) or bool(self._citations)

    def add(self, token: StreamToken) -> None:
        """Take one token. After :class:`Restarted` everything before it is forgotten."""
        kind = type(token)
        if kind is TextDelta:
            self._add_text(token)  # type: ignore[arg-type]  # `kind is` narrows faster than isinstance, but not for mypy
            return
        match token:
            case ReasoningDelta():
                part = self._open("reasoning", token.part)
                part.add(token.text)
                part.signature = _joined(part.signature, token.signature)
                part.encrypted = _joined(part.encrypted, token.encrypted)
                part.id = token.id or part.id
                part.origin = token.origin or part.origin
            case ToolCallDelta():
                call = self._calls.get(token.index)
                if call is None:
                    call = self._calls[token.index] = _Open("tool_call", token.index)
                    self._parts.append(call)
                call.id = token.id or call.id
                call.name = token.name or call.name
                call.add(token.arguments)
                call.signature = token.signature or call.signature
                call.origin = token.origin or call.origin
            case Citation():
                self._citations.append(token)
            case OpaqueDelta():
                self._parts.append(Opaque(token.origin, token.kind, token.json))
            case UsageReport():
                self._usage = token.usage
            case Restarted():
                self._clear()
            case Finish():
                self._finish = token
            case TextDelta():
                self._add_text(token)

    def _add_text(self, token: TextDelta) -> None:
        part = self._open("text", token.part)
        pieces = part.pieces
        pieces.append(token.text)  # `add`, without the call
        if len(pieces) >= _RUN:
            part.join()
        if token.signature is not None:
            part.signature = token.signature
            part.origin = token.origin

    def _open(self, kind: str, number: int) -> _Open:
        last = self._parts[-1] if self._parts else None
        if isinstance(last, _Open) and last.kind == kind and last.part == number:
            return last
        part = _Open(kind, number)
        self._parts.append(part)
        return part

    def response(
        self, *, provider: str | None = None, model: str | None = None, request_id: str | None = None
    ) -> ChatResponse:
        """The answer so far; complete exactly if :class:`Finish` has come."""
        finish = self._finish
        parts = [part.close() if isinstance(part, _Open) else part for part in self._parts]
        return ChatResponse(
            parts=tuple(part for part in parts if part not in _EMPTY),
            finish_reason=finish.reason if finish else None,
            finish_raw=finish.raw if finish else None,
            stop_sequence=finish.stop_sequence if finish else None,
            usage=self._usage,
            citations=tuple(self._citations),
            id=finish.response_id if finish else None,
            served_model=finish.model if finish else None,
            provider=provider,
            model=model,
            request_id=request_id,
        )


_EMPTY = (Text(""), Reasoning(""))


def fold(tokens: Iterable[StreamToken]) -> ChatResponse:
    """The answer that a sequence of tokens stands for."""
    folder = Folder()
    for token in tokens:
        folder.add(token)
    return folder.response()


def unfold(response: ChatResponse) -> list[StreamToken]:
    """The shortest stream that folds to this answer: one delta a part. For providers that answer whole where a stream was asked for."""
    tokens: list[StreamToken] = []
    calls = 0
    for number, part in enumerate(response.parts):
        match part:
            case Text():
                tokens.append(TextDelta(part.text, number, part.signature, part.origin))
            case Reasoning():
                tokens.append(
                    ReasoningDelta(part.text, number, part.signature, part.encrypted, part.id, part.origin)
                )
            case ToolCall():
                tokens.append(
                    ToolCallDelta(calls, part.id, part.name, part.arguments, part.signature, part.origin)
                )
                calls += 1
            case Opaque():
                tokens.append(OpaqueDelta(part.origin, part.kind, part.json))
            case _:
                raise TypeError(f"an answer holds no {type(part).__name__}")
    tokens += response.citations
    if response.usage is not None:
        tokens.append(UsageReport(response.usage))
    if response.finish_reason is not None:
        tokens.append(
            Finish(
                response.finish_reason,
                response.finish_raw,
                response.stop_sequence,
                response.id,
                response.served_model,
            )
        )
    return tokens


def join_surrogates(text: str) -> str:
    """Join surrogate pairs whose halves came in two deltas (``\\ud83d`` + ``\\ude00``), as UTF-16 does; others stay.

    Some providers cut their JSON strings between the two ``\\u`` escapes of one character.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return text


def _joined(before: str | None, piece: str | None) -> str | None:
    if piece is None:
        return before
    return piece if before is None else before + piece
