"""Rows S: server-sent events, JSON lines, and the JSON inside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import tercet

from .cases import Case, Entry, fault, fine
from .rows_network import REST, after, before
from .stage import AFTER_THE_FIRST_TOKEN, Scene
from .wires import (
    CHUNKED,
    END,
    WHOLE_TEXT,
    anthropic,
    chat_event,
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
_WIRES = ("openai_chat", "anthropic", "gemini", "ollama", "bedrock_converse")
_LATER = openai.rest + openai.finish + openai.usage + openai.done


def said(name: str, body: bytes, expect: Any, **more: Any) -> Case:
    """An answer with this body, in one piece."""
    return before(name, CHUNKED + chunk(body) + END, expect=expect, **more)


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


def _ended(wire: str, cut: bytes, *, dialect: dict[str, Any] | None = None, **more: Any) -> Case:
    """A whole answer whose last bytes are ``cut``; then the connection is closed."""
    begin, middle, _ = pieces(wire)
    return Case(
        name=more.pop("name"),
        when="before",
        wire=wire,
        dialect=dialect or {},
        play=(stream_head(wire) + chunk(begin + middle + cut) + END,),
        **more,
    )


# Endless --------------------------------------------------------------------------------------------------------------


def _endless(piece: bytes, count: int) -> Callable[[Scene], Any]:
    """``piece`` so many times, in writes of a chunk of 64 KiB."""
    per_write = max(1, 65536 // len(piece))
    block = chunk(piece * per_write)

    async def sending(scene: Scene) -> None:
        for _ in range(count // per_write + 1):
            await scene.stream.send_all(block)

    return sending


async def _for_ever(scene: Scene) -> None:
    """Events without end: sending fails when the client goes."""
    while True:
        await scene.stream.send_all(chunk(openai.rest))
        await scene.time.pass_by(0.01)


_CAP = "the cap is 16 MiB an event, not 8: images come inside events"
_MEBIBYTES_17 = 17 << 20


def _too_large(name: str, *play: Any) -> tuple[Case, Case]:
    return (
        before(name, CHUNKED, *play, expect=fault(Nonsense, again=1, message="larger than"), why=_CAP),
        after(name, *play, expect=fault(Nonsense, message="larger than"), why=_CAP),
    )


# Errors inside a 200 ---------------------------------------------------------------------------------------------------


def _openai_error(message: str, **fields: Any) -> bytes:
    return sse({"error": {"message": message, **fields}})


def _in_stream(
    name: str,
    error: type[tercet.TercetError],
    event: bytes,
    *,
    again: int = 2,
    elsewhere: bool = True,
    signal: str,
    **more: Any,
) -> tuple[Case, Case]:
    expect = {"again": again, "signal": signal, "elsewhere": elsewhere, **more}
    return (
        said(name, event, fault(error, kept=None, **expect)),
        after(name, chunk(event) + END, expect=fault(error, kept=None, **expect)),
    )


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


def _spoken(wire: str, name: str, *events: bytes, expect: Any) -> Case:
    """Events of another wire, in one piece, before the first content."""
    return Case(
        name=name,
        when="before",
        wire=wire,
        play=(stream_head(wire) + chunk(b"".join(events)) + END,),
        expect=expect,
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
_BOM = b"\xef\xbb\xbf"
_UNKNOWN = sse({"object": "chat.completion.heartbeat", "beat": {"deep": [1, 2]}})
_DONE_OPTIONAL = {"done_marker": "optional"}

ROWS: dict[str, Entry] = {
    "S01": Entry(
        cases=tuple(
            Case(
                name=f"a byte at a time, {wire}",
                when="after",
                wire=wire,
                play=(
                    stream_head(wire) + chunk(pieces(wire)[0]),
                    AFTER_THE_FIRST_TOKEN,
                    *(chunk(bytes([byte])) for byte in b"".join(pieces(wire)[1:])),
                    END,
                ),
                expect=fine(),
            )
            for wire in _WIRES
            if wire != "bedrock_converse"  # B01
        ),
        tested_by=(
            "test_fault_vectors::test_an_answer_cut_in_two_anywhere_is_the_same_answer",
            "test_fault_vectors::test_recorded_streams_are_the_same_a_byte_at_a_time",
        ),
    ),
    "S02": Entry(
        cases=(
            *(
                said(name, openai.all.replace(b"\n", ending), fine())
                for name, ending in (("CR", b"\r"), ("CRLF", b"\r\n"))
            ),
            said("a mix", openai.all.replace(b"\n\n", b"\r\n\r", 3).replace(b"\n\n", b"\n\r\n"), fine()),
            after(
                "CRLF, split between CR and LF",
                *(chunk(part) for part in _LATER.replace(b"\n", b"\r\n").split(b"\n")[:-1]),
                END,
                expect=fine(),
            ),
        )
    ),
    "S03": Entry(
        cases=(
            said("at the start", _BOM + openai.all, fine()),
            said("later, in front of a comment", openai.first + _BOM + b": hello\n" + _LATER, fine()),
            said(
                "twice: the second is part of a field's name, so the first event is none",
                _BOM + _BOM + openai.all,
                fine(text=" w\u00f6rld \U0001f389"),
            ),
        ),
    ),
    "S04": Entry(
        cases=(
            before(
                "a million comments",
                CHUNKED,
                _endless(b": ping\n\n", 1_000_000),
                chunk(openai.all) + END,
                expect=fine(),
            ),
            after("a million comments", _endless(b": ping\n\n", 1_000_000), REST + END, expect=fine()),
        ),
        tested_by=("test_fault_limits::test_a_flood_of_comments_is_not_kept",),
    ),
    "S05": Entry(
        cases=_too_large("a line without end", chunk(b"data: "), _endless(b"x" * 65536, _MEBIBYTES_17 >> 16)),
    ),
    "S06": Entry(
        cases=_too_large(
            "data lines without a blank line",
            _endless(b"data: " + b"x" * 1000 + b"\n", _MEBIBYTES_17 // 1000),
        )
    ),
    "S07": Entry(
        cases=(
            said("NUL in an id", b"id: a\x00b\n" + openai.all, fine()),
            said("an id, and an empty one", b"id: 1\n" + openai.first + b"id\n" + _LATER, fine()),
            said(
                "NUL in the data",
                openai.all.replace(b"Hello", b"He\\u0000llo"),
                fine(text=WHOLE_TEXT.replace("He", "He\x00")),
            ),
        )
    ),
    "S08": Entry(
        cases=(
            _ended(
                "openai_chat",
                openai.finish + openai.usage + b"data: [DONE]\n",
                name="behind [DONE]",
                expect=fine(),
            ),
            _ended(
                "openai_chat",
                openai.finish + openai.usage + b"data: [DONE]",
                name="behind [DONE], no line end",
                expect=fine(),
            ),
            _ended("gemini", pieces("gemini")[2][:-1], name="behind the finish", expect=fine()),
            _ended("anthropic", pieces("anthropic")[2][:-1], name="behind message_stop", expect=fine()),
            said("behind half an event", openai.first[:-20], fault(Interrupted, kept=True)),
            after(
                "behind half an event",
                chunk(openai.rest[:-20]) + END,
                expect=fault(Interrupted, said="Hello w\u00f6rld", kept=True),
            ),
        ),
    ),
    "S09": Entry(
        cases=(
            said(
                "events behind [DONE]",
                openai.all + openai.rest + openai.all,
                fine(),
                why="the message's framing was whole, so the connection serves again",
            ),
            said("rubbish behind [DONE]", openai.all + b"\x00\xff{", fine(), why="as above"),
            after("events behind [DONE] for ever", REST, _for_ever, expect=fine(kept=False)),
        )
    ),
    "S10": Entry(
        cases=(
            _ended("openai_chat", openai.finish + openai.usage, name="finish and usage", expect=fine()),
            _ended(
                "openai_chat",
                openai.finish,
                name="finish alone, where [DONE] is not promised",
                dialect=_DONE_OPTIONAL,
                expect=fine(),
            ),
            after("finish and usage", chunk(openai.rest + openai.finish + openai.usage) + END, expect=fine()),
            after(
                "finish alone, where [DONE] is promised",
                chunk(openai.rest + openai.finish) + END,
                expect=fault(Interrupted, said=WHOLE_TEXT, kept=True),
                why="without usage and [DONE] two events are missing that were promised: the stream broke off",
            ),
        ),
    ),
    "S11": Entry(
        cases=(
            said(
                "role only",
                sse({"choices": [{"index": 0, "delta": {"role": "assistant"}}]}),
                fault(Interrupted, kept=True),
            ),
            said("nothing", b": hello\n\n", fault(Interrupted, kept=True)),
            after(
                "in the text", chunk(openai.rest) + END, expect=fault(Interrupted, said=WHOLE_TEXT, kept=True)
            ),
            after(
                "[DONE] without a finish",
                chunk(openai.rest + openai.done) + END,
                expect=fault(Interrupted, said=WHOLE_TEXT, kept=True),
            ),
        ),
    ),
    "S12": Entry(
        cases=(
            said(
                "JSON over several data lines",
                b"".join(
                    b"data: " + line + b"\n"
                    for line in json.dumps(chat_event("Hello"), indent=1).encode().splitlines()
                )
                + b"\n"
                + _LATER,
                fine(),
            ),
        )
    ),
    "S13": Entry(
        cases=(
            *_anthropic_error("overloaded_error", tercet.OverloadedError, "throttled"),
            *_anthropic_error("api_error", tercet.ServerError, "failed"),
            *_anthropic_error("rate_limit_error", tercet.RateLimitError, "throttled"),
            *_anthropic_error(
                "invalid_request_error", tercet.BadRequestError, "rejected", again=0, elsewhere=False
            ),
            *_in_stream(
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
            *_in_stream(
                "a server error",
                tercet.ServerError,
                _openai_error("It failed.", type="server_error"),
                signal="failed",
            ),
            *_in_stream(
                "a rate limit",
                tercet.RateLimitError,
                _openai_error("Slow down.", code="rate_limit_exceeded"),
                signal="throttled",
            ),
            *_in_stream("a text", tercet.ServerError, sse({"error": "it broke"}), signal="failed"),
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
                _endless(b"<p>more</p>", 1_000_000),
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
        cases=(
            *_fine_around("an unknown event", b"event: heartbeat\n" + _UNKNOWN),
            *_fine_around("an unknown field", b"retries: 4\nfoo\n"),
            said("unknown members", openai.all.replace(b'"index"', b'"obfuscation": "x9", "index"'), fine()),
            _spoken(
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
            _spoken("anthropic", "message_start twice", anthropic.start, anthropic.all, expect=fine()),
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
            _spoken(
                "anthropic",
                "a block that was not opened",
                anthropic.start,
                anthropic.events(_DELTA),
                expect=fault(Nonsense, again=1, kept=None),
            ),
            _spoken(
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
            _spoken("ollama", "blank lines", b"\n \n\r\n", b"\n\n".join(pieces("ollama")), expect=fine()),
            _spoken("ollama", "CRLF", b"".join(pieces("ollama")).replace(b"\n", b"\r\n"), expect=fine()),
            _spoken("ollama", "no line end at the end", b"".join(pieces("ollama"))[:-1], expect=fine()),
            _spoken(
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
