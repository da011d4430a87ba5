"""What a simulated provider answers: values, made before the test runs.

A *script* is one of

- a :class:`Reply` or a fault: every request is answered so;
- a sequence of them: one per chat request, the last one repeats;
- a callable ``(ChatRequest, n) -> Reply | fault`` (or an async one), ``n`` counting the provider's chat requests from 1.
  Callables may stand in a sequence too. An async one is not cancelled when its client leaves.

A fault says what goes wrong. Alone in a script it happens to a few words of nonsense; inside a :class:`Reply` it happens to
that reply. ``after_events=k`` is the place behind the k-th event of the streamed answer (0: behind the head), ``after_bytes=n`` is
n bytes further, as they go over the wire, chunk framing included; without ``after_events`` bytes are counted from the
first byte of the status line, so that a loop over ``n`` breaks an answer at each of its bytes. A place behind the
end of the answer is never reached: the answer is whole. Where a reply has a ``pace``, its fault comes when the next event would.

A whole (not streamed) answer has no events. There a fault behind a later event falls in the middle of the body, so that a script
of faults means the same to both kinds of requests.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

import msgspec

from tercet.codecs.serving.base import ServedError
from tercet.codecs.vocabulary import (
    ChatRequest,
    Finish,
    FinishReason,
    ReasoningDelta,
    StreamToken,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)

__all__ = [
    "Answer",
    "Break",
    "Failure",
    "Fault",
    "Insert",
    "Reply",
    "Script",
    "StreamError",
    "StreamFault",
    "call_tool",
    "comments_forever",
    "cut",
    "echo",
    "fail",
    "garbage",
    "lorem",
    "refuse",
    "reset",
    "say",
    "stall",
    "stream_error",
    "think_then",
    "truncate",
]


class Failure(msgspec.Struct, frozen=True):
    """An error status instead of an answer, in the wire's own shape.

    ``code`` and ``message`` default to what such a provider says with this status. ``retry_after`` is sent as it is given:
    seconds, or any text (a date, nonsense). ``body`` replaces the error's JSON (an HTML page of a gateway).
    """

    status: int
    code: str | None = None
    message: str | None = None
    retry_after: float | str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None


class Break(msgspec.Struct, frozen=True):
    """The answer breaks off: ``fin`` (connection closed), ``reset`` (RST), ``stall`` (silence until the client closes), ``end`` (the
    HTTP body ends properly, its meaning does not).
    """

    how: Literal["fin", "reset", "stall", "end"]
    after_events: int | None = None
    after_bytes: int = 0

    def __post_init__(self) -> None:
        if self.how == "end" and (self.after_events is None or self.after_bytes):
            raise ValueError(
                "an HTTP body can end properly between two events only; give after_events, and no after_bytes"
            )


class Insert(msgspec.Struct, frozen=True):
    """Bytes between two events. With ``every`` (seconds) they are repeated for ever and the answer never goes on."""

    data: bytes
    after_events: int = 0
    every: float | None = None


class StreamError(msgspec.Struct, frozen=True):
    """An error event inside a stream that began with 200; a whole answer is the error instead."""

    error: ServedError
    after_events: int = 0


StreamFault = Break | Insert | StreamError
Fault = Failure | StreamFault


class Reply(msgspec.Struct, frozen=True):
    """One answer. Give ``tokens``, or ``text``, which is said word by word.

    A :class:`Finish` is added where ``tokens`` have none, so an answer is complete unless ``fault`` breaks it; with ``text``
    a usage is reported too. ``first_delay`` (seconds) comes behind the head and before the first event, ``pace`` (seconds) between two
    events; a whole answer waits as long as its stream would have taken. ``headers`` are added to the answer's.
    """

    tokens: tuple[StreamToken, ...] = ()
    text: str = ""
    pace: float = 0.0
    first_delay: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 200
    fault: StreamFault | None = None

    def said_to(self, request: ChatRequest) -> tuple[StreamToken, ...]:
        """The tokens of the answer to ``request``, finish included."""
        if not self.tokens:
            return _spoken(self.text, request)
        if any(isinstance(token, Finish) for token in self.tokens):
            return self.tokens
        reason: FinishReason = (
            "tool_calls" if any(isinstance(token, ToolCallDelta) for token in self.tokens) else "stop"
        )
        return (*self.tokens, Finish(reason))


Answer = Reply | Fault
Writer = Callable[[ChatRequest, int], Answer | Awaitable[Answer]]
Script = Answer | Writer | Sequence[Answer | Writer]


def step(script: Script, n: int) -> Answer | Writer:
    """What ``script`` has for its ``n``-th chat request (from 1)."""
    if callable(script) or isinstance(script, Answer):
        return script
    return script[min(n, len(script)) - 1]


def as_reply(answer: Reply | StreamFault) -> Reply:
    """A fault alone happens to a few words of nonsense."""
    return answer if isinstance(answer, Reply) else Reply(text=_lorem_words(8), fault=answer)


# ---- ready scripts


def say(text: str, **how: Any) -> Reply:
    """Says ``text``, word by word. ``how`` are fields of :class:`Reply`, such as ``pace``."""
    return Reply(text=text, **how)


def lorem(words: int, **how: Any) -> Reply:
    """Says so many words of nonsense, the same every time."""
    return Reply(text=_lorem_words(words), **how)


def echo(**how: Any) -> Callable[[ChatRequest, int], Reply]:
    """Says back the text of the last user message, word by word."""

    def answer(request: ChatRequest, n: int) -> Reply:
        asked = [turn.text for turn in request.turns if turn.role == "user"]
        return Reply(text=asked[-1] if asked else "", **how)

    return answer


def call_tool(name: str, arguments: str | dict[str, Any], *, id: str = "call_1", **how: Any) -> Reply:  # noqa: A002  # it is the API's own word
    """Calls one tool, its arguments (JSON text, or a dict to be written as such) in two pieces."""
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    middle = len(text) // 2
    tokens = (
        ToolCallDelta(0, id=id, name=name, arguments=text[:middle]),
        ToolCallDelta(0, arguments=text[middle:]),
        UsageReport(Usage(input_tokens=1, output_tokens=max(1, _count(text)))),
        Finish("tool_calls"),
    )
    return Reply(tokens=tokens, **how)


def think_then(text: str, reasoning: str, **how: Any) -> Reply:
    """Reasons first, then says ``text``, both word by word."""
    thoughts, words = _words(reasoning), _words(text)
    usage = Usage(input_tokens=1, output_tokens=len(thoughts) + len(words), reasoning_tokens=len(thoughts))
    tokens: tuple[StreamToken, ...] = (
        *(ReasoningDelta(piece) for piece in thoughts),
        *(TextDelta(piece) for piece in words),
        UsageReport(usage),
        Finish("stop"),
    )
    return Reply(tokens=tokens, **how)


# ---- faults


def fail(
    status: int,
    *,
    code: str | None = None,
    message: str | None = None,
    retry_after: float | str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes | None = None,
) -> Failure:
    """An error answer (see :class:`Failure`)."""
    return Failure(status, code, message, retry_after, headers, body)


def cut(*, after_events: int | None = None, after_bytes: int = 0) -> Break:
    """The connection is closed (FIN) at that place."""
    return Break("fin", after_events, after_bytes)


def reset(*, after_events: int | None = None, after_bytes: int = 0) -> Break:
    """The connection is reset (RST) at that place."""
    return Break("reset", after_events, after_bytes)


def stall(*, after_events: int | None = None, after_bytes: int = 0) -> Break:
    """Nothing more is sent from that place on, and the connection stays open until the client closes it."""
    return Break("stall", after_events, after_bytes)


def truncate(*, after_events: int) -> Break:
    """The HTTP body ends there as if all had been said: no finish, no terminal event, but a clean end."""
    return Break("end", after_events)


def refuse() -> Break:
    """The connection is closed when the request has been read, before any byte of an answer."""
    return Break("fin")


def garbage(data: bytes = b"\x00\xff{garbage\n\n", *, after_events: int = 0) -> Insert:
    """Bytes that are no event, inside a well-formed HTTP body. The answer goes on behind them."""
    return Insert(data, after_events)


def comments_forever(every: float, *, after_events: int = 0, data: bytes = b": keep-alive\n\n") -> Insert:
    """A comment every so many seconds, and no event any more."""
    return Insert(data, after_events, every)


def stream_error(
    message: str = "The server had an error while processing your request.",
    *,
    after_events: int = 0,
    status: int = 500,
    code: str = "server_error",
) -> StreamError:
    """An error event inside a stream that began with 200."""
    return StreamError(ServedError(status, code, message), after_events)


# ---- words

_LOREM = [
    "lorem",
    "ipsum",
    "dolor",
    "sit",
    "amet",
    "consectetur",
    "adipiscing",
    "elit",
    "sed",
    "do",
    "eiusmod",
    "tempor",
    "incididunt",
    "ut",
    "labore",
    "et",
    "dolore",
    "magna",
    "aliqua",
]
_WORD = re.compile(r"\s*\S+|\s+\Z")


def _lorem_words(count: int) -> str:
    return " ".join(_LOREM[i % len(_LOREM)] for i in range(count))


def _words(text: str) -> list[str]:
    """The words, each with the white space before it; joined they are the text."""
    return _WORD.findall(text)


def _count(text: str) -> int:
    return len(_words(text))


def _spoken(text: str, request: ChatRequest) -> tuple[StreamToken, ...]:
    words = _words(text)
    usage = Usage(input_tokens=sum(_count(turn.text) for turn in request.turns), output_tokens=len(words))
    return (*(TextDelta(word) for word in words), UsageReport(usage), Finish("stop"))
