"""Rows S13 to S25: what the events of a stream say."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import tercet

from .cases import Case, Entry, fault, fine
from .plays import (
    REST,
    after,
    before,
    endless,
    error_event,
    said,
    spoken,
)
from .stage import AFTER_THE_FIRST_TOKEN
from .wires import (
    END,
    WHOLE_TEXT,
    anthropic,
    chunk,
    head,
    lines,
    ollama_line,
    openai,
    pieces,
    sse,
    stream_head,
    whole,
    whole_answer,
)

__all__ = ["ROWS"]

Nonsense = tercet.ProtocolError
Interrupted = tercet.StreamInterruptedError
_LATER = openai.rest + openai.finish + openai.usage + openai.done


def both(
    name: str, bad: bytes, *, expect: Callable[..., Any], after_text: str = "Hello", **more: Any
) -> tuple[Case, Case]:
    """``bad`` as the first thing said, and behind the first token; the body ends properly after it."""
    return (
        said(name, bad, expect(), **more),
        after(name, chunk(bad) + END, expect=expect(said=after_text), **more),
    )


def _fine_around(name: str, between: bytes, **more: Any) -> tuple[Case, Case]:
    """``between`` stands in front of the answer, and behind its first token: it changes nothing."""
    return (
        said(name, between + openai.all, fine(**more)),
        after(name, chunk(between) + REST + END, expect=fine(**more)),
    )


def _openai_error(message: str, **fields: Any) -> bytes:
    return sse({"error": {"message": message, **fields}})


def _anthropic_error(
    kind: str, error: type[tercet.TercetError], signal: str, **more: Any
) -> tuple[Case, Case]:
    event = anthropic.events({"type": "error", "error": {"type": kind, "message": "It is so."}})
    expect = {"signal": signal, "kept": None, **more}
    opening = stream_head("anthropic") + chunk(anthropic.opening)
    return (
        Case(
            name=kind,
            when="before",
            wire="anthropic",
            play=(opening + chunk(event) + END,),
            expect=fault(error, **expect),
        ),
        Case(
            name=kind,
            when="after",
            wire="anthropic",
            play=(opening + chunk(anthropic.first), AFTER_THE_FIRST_TOKEN, chunk(event) + END),
            expect=fault(error, **expect),
        ),
    )


def _anthropic_after(name: str, *events: bytes, expect: Any) -> Case:
    return Case(
        name=name,
        when="after",
        wire="anthropic",
        play=(
            stream_head("anthropic") + chunk(anthropic.opening + anthropic.first),
            AFTER_THE_FIRST_TOKEN,
            chunk(b"".join(events)) + END,
        ),
        expect=expect,
    )


def _ollama_after(name: str, *sent: bytes, expect: Any) -> Case:
    return Case(
        name=name,
        when="after",
        wire="ollama",
        play=(stream_head("ollama") + chunk(lines(ollama_line("Hello"))), AFTER_THE_FIRST_TOKEN, *sent),
        expect=expect,
    )


_DELTA = {"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "lost"}}
_DEEP = b'data: {"choices":' + b"[" * 100_000 + b"\n\n"
_NUMBER = (
    b'data: {"choices":[{"index":0,"delta":{"content":null}}],"usage":{"prompt_tokens":'
    + b"9" * 5000
    + b"}}\n\n"
)
_NAN = b'data: {"choices":[{"index":0,"delta":{"content":NaN}}]}\n\n'
_SURROGATE = b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}\n\n'
_UNKNOWN = sse({"object": "chat.completion.heartbeat", "beat": {"deep": [1, 2]}})

ROWS: dict[str, Entry] = {
    "S13": Entry(
        cases=(
            *_anthropic_error("overloaded_error", tercet.OverloadedError, "throttled"),
            *_anthropic_error("api_error", tercet.ServerError, "failed"),
            *_anthropic_error("rate_limit_error", tercet.RateLimitError, "throttled"),
            *_anthropic_error(
                "invalid_request_error", tercet.BadRequestError, "rejected", again=0, elsewhere=False
            ),
            *error_event(
                "event: error, OpenAI's shape",
                tercet.ServerError,
                b"event: error\n" + _openai_error("The server had an error.", type="server_error"),
                signal="failed",
            ),
            Case(
                name="the only event, without its blank line",
                when="before",
                wire="anthropic",
                play=(
                    stream_head("anthropic")
                    + chunk(
                        anthropic.events(
                            {"type": "error", "error": {"type": "overloaded_error", "message": "O"}}
                        )[:-1]
                    )
                    + END,
                ),
                expect=fault(tercet.OverloadedError, signal="throttled", kept=None),
            ),
        ),
    ),
    "S14": Entry(
        cases=(
            *error_event(
                "a server error",
                tercet.ServerError,
                _openai_error("It failed.", type="server_error"),
                signal="failed",
            ),
            *error_event(
                "a rate limit",
                tercet.RateLimitError,
                _openai_error("Slow down.", code="rate_limit_exceeded"),
                signal="throttled",
            ),
            *error_event("a text", tercet.ServerError, sse({"error": "it broke"}), signal="failed"),
        ),
    ),
    "S15": Entry(
        cases=(
            before("an answer", whole(whole_answer()), expect=fine()),
            before(
                "an answer behind blanks",
                whole(b"\n \n" + json.dumps(whole_answer()).encode(), 200, "content-type: application/json"),
                expect=fine(),
            ),
            before(
                "an error",
                whole({"error": {"message": "Slow down.", "code": "rate_limit_exceeded"}}),
                expect=fault(tercet.RateLimitError, signal="throttled", kept=True),
            ),
            before(
                "half an answer",
                whole(json.dumps(whole_answer()).encode()[:40], 200, "content-type: application/json"),
                expect=fault(Nonsense, again=1, kept=True),
            ),
            before(
                "a stream under a wrong name",
                head(200, "content-type: application/json") + chunk(openai.all) + END,
                expect=fine(),
            ),
        )
    ),
    "S16": Entry(
        cases=(
            before(
                "a gateway's page",
                whole(
                    b"<html>" + b"<p>Bad gateway: key sk-alder-key-123456</p>" * 100,
                    200,
                    "content-type: text/html",
                ),
                expect=fault(Nonsense, again=1, kept=None, message="text/html"),
            ),
            before(
                "a gateway's page, whole",
                whole(
                    b"<html>" + b"<p>Bad gateway: key sk-alder-key-123456</p>" * 100,
                    200,
                    "content-type: text/html",
                ),
                way="whole",
                expect=fault(Nonsense, again=1, kept=None, message="text/html"),
            ),
            before(
                "a page without end",
                head(200, "content-type: text/html") + chunk(b"<html>"),
                endless(b"<p>more</p>", 1_000_000),
                expect=fault(Nonsense, again=1, kept=None, message="text/html"),
            ),
        )
    ),
    "S17": Entry(
        cases=tuple(
            before(name, head(200, *headers) + chunk(openai.all) + END, expect=fine())
            for name, headers in (
                ("text/plain", ("content-type: text/plain",)),
                ("no content-type", ()),
                ("charset=latin-1", ("content-type: text/event-stream; charset=iso-8859-1",)),
                ("application/octet-stream", ("content-type: application/octet-stream",)),
            )
        )
    ),
    "S18": Entry(
        left_out="a counter of replaced bytes",
        cases=(
            said(
                "in the first event",
                openai.all.replace(b"Hello", b"Hel\xfflo"),
                fine(text=WHOLE_TEXT.replace("Hello", "Hel\ufffdlo")),
            ),
            after(
                "later",
                chunk(_LATER.replace(b" w", b" \xc3\x28w")) + END,
                expect=fine(text=WHOLE_TEXT.replace(" w", " \ufffd(w")),
            ),
        ),
    ),
    "S19": Entry(
        cases=(
            *both(
                "JSON cut, with a key in it",
                b'data: {"choices":[{"delta":{"content":"your key is sk-alder-key-123456\n\n',
                expect=lambda **more: fault(Nonsense, again=1, kept=None, message="sk-\\*\\*\\*", **more),
            ),
            *both(
                "JSON cut",
                b'data: {"choices":[{"ind\n\n',
                expect=lambda **more: fault(Nonsense, again=1, kept=None, **more),
            ),
            *both(
                "garbage",
                b"data: \x00\x01 not json\n\n",
                expect=lambda **more: fault(Nonsense, again=1, kept=None, **more),
            ),
            *both(
                "another type",
                b"data: [1, 2]\n\n",
                expect=lambda **more: fault(Nonsense, again=1, kept=None, **more),
            ),
        ),
        tested_by=("test_fault_vectors::test_no_json_that_is_none_is_passed_over",),
    ),
    "S20": Entry(
        cases=(
            *both(
                "nested 100,000 deep",
                _DEEP,
                expect=lambda **more: fault(Nonsense, again=1, kept=None, **more),
            ),
            *both("NaN", _NAN, expect=lambda **more: fault(Nonsense, again=1, kept=None, **more)),
            *both(
                "a number of 5,000 digits",
                _NUMBER,
                expect=lambda **more: fault(Nonsense, again=1, kept=None, **more),
            ),
            said(
                "half a pair",
                _SURROGATE + openai.all,
                fine(text="\ufffd" + WHOLE_TEXT),
                why="providers cut pairs between two deltas: a half whose other half never comes becomes U+FFFD",
            ),
        ),
        tested_by=("test_fault_vectors::test_no_json_that_is_none_is_passed_over",),
    ),
    "S21": Entry(
        left_out="unknown members are not kept: tokens hold what the API says",
        cases=(
            *_fine_around("an unknown event", b"event: heartbeat\n" + _UNKNOWN),
            *_fine_around("an unknown field", b"retries: 4\nfoo\n"),
            said("unknown members", openai.all.replace(b'"index"', b'"obfuscation": "x9", "index"'), fine()),
            spoken(
                "anthropic",
                "ping and tomorrow's event",
                anthropic.events({"type": "ping"}, {"type": "tomorrow", "x": 1}),
                anthropic.all,
                expect=fine(),
            ),
        ),
    ),
    "S22": Entry(
        cases=(
            said(
                "a delta twice: the wire has no number, so it is said twice",
                openai.first + openai.all,
                fine(text="Hello" + WHOLE_TEXT),
            ),
            spoken("anthropic", "message_start twice", anthropic.start, anthropic.all, expect=fine()),
            _anthropic_after(
                "message_start again",
                anthropic.start,
                anthropic.rest,
                anthropic.stop,
                anthropic.end,
                expect=fine(),
            ),
            _anthropic_after(
                "another answer's message_start",
                anthropic.start.replace(b'"m1"', b'"m2"'),
                anthropic.rest,
                expect=fault(Nonsense, kept=None),
            ),
        ),
    ),
    "S23": Entry(
        cases=(
            spoken(
                "anthropic",
                "a block that was not opened",
                anthropic.start,
                anthropic.events(_DELTA),
                expect=fault(Nonsense, again=1, kept=None),
            ),
            spoken(
                "anthropic",
                "no message_start",
                anthropic.block,
                anthropic.first,
                expect=fault(Nonsense, again=1, kept=None),
            ),
            _anthropic_after(
                "a block that was not opened", anthropic.events(_DELTA), expect=fault(Nonsense, kept=None)
            ),
        ),
    ),
    "S24": Entry(
        cases=(
            spoken("ollama", "blank lines", b"\n \n\r\n", b"\n\n".join(pieces("ollama")), expect=fine()),
            spoken("ollama", "CRLF", b"".join(pieces("ollama")).replace(b"\n", b"\r\n"), expect=fine()),
            spoken("ollama", "no line end at the end", b"".join(pieces("ollama"))[:-1], expect=fine()),
            spoken(
                "ollama",
                "two values on a line",
                b"".join(pieces("ollama")).replace(b"\n", b"", 1),
                expect=fault(Nonsense, again=1, kept=None),
            ),
            _ollama_after(
                "no line end at the end", chunk(b"".join(pieces("ollama")[1:])[:-1]), END, expect=fine()
            ),
            _ollama_after(
                "two values on a line",
                chunk(b"".join(pieces("ollama")[1:]).replace(b"\n", b"", 1)),
                END,
                expect=fault(Nonsense, kept=None),
            ),
            _ollama_after(
                "ended without done",
                chunk(pieces("ollama")[1]),
                END,
                expect=fault(Interrupted, said=WHOLE_TEXT, kept=True),
            ),
        ),
    ),
    "S25": Entry(
        cases=tuple(
            before(
                f"10,000 line ends, {way}",
                head(200, "content-type: application/json") + chunk(b"\n" * 10_000),
                chunk(json.dumps(whole_answer()).encode()) + END,
                way=way,
                expect=fine(),
            )
            for way in ("whole", "stream")
        )
    ),
}
