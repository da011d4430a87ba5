"""Rows S01 to S12: bytes to events, and how a stream ends."""

from __future__ import annotations

import json
from typing import Any

import tercet

from .cases import Case, Entry, fault, fine
from .plays import (
    REST,
    after,
    before,
    endless,
    said,
)
from .stage import AFTER_THE_FIRST_TOKEN, Scene
from .wires import (
    CHUNKED,
    END,
    WHOLE_TEXT,
    chat_event,
    chunk,
    openai,
    pieces,
    sse,
    stream_head,
)

__all__ = ["ROWS"]

Nonsense = tercet.ProtocolError
Interrupted = tercet.StreamInterruptedError
_WIRES = ("openai_chat", "anthropic", "gemini", "ollama", "bedrock_converse")
_LATER = openai.rest + openai.finish + openai.usage + openai.done


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


def _bytes(data: bytes) -> list[bytes]:
    return [chunk(bytes([byte])) for byte in data]


_BOM = b"\xef\xbb\xbf"
_DONE_OPTIONAL = {"done_marker": "optional"}

ROWS: dict[str, Entry] = {
    "S01": Entry(
        cases=tuple(
            case
            for wire in _WIRES
            if wire != "bedrock_converse"  # B01
            for case in (
                Case(
                    name=f"a byte at a time, {wire}",
                    when="before",
                    wire=wire,
                    play=(stream_head(wire), *_bytes(b"".join(pieces(wire))), END),
                    expect=fine(),
                ),
                Case(
                    name=f"a byte at a time, {wire}",
                    when="after",
                    wire=wire,
                    play=(
                        stream_head(wire) + chunk(pieces(wire)[0]),
                        AFTER_THE_FIRST_TOKEN,
                        *_bytes(b"".join(pieces(wire)[1:])),
                        END,
                    ),
                    expect=fine(),
                ),
            )
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
                endless(b": ping\n\n", 1_000_000),
                chunk(openai.all) + END,
                expect=fine(),
            ),
            after("a million comments", endless(b": ping\n\n", 1_000_000), REST + END, expect=fine()),
        ),
        tested_by=("test_fault_limits::test_a_flood_of_comments_is_not_kept",),
    ),
    "S05": Entry(
        cases=_too_large("a line without end", chunk(b"data: "), endless(b"x" * 65536, _MEBIBYTES_17 >> 16)),
    ),
    "S06": Entry(
        cases=_too_large(
            "data lines without a blank line",
            endless(b"data: " + b"x" * 1000 + b"\n", _MEBIBYTES_17 // 1000),
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
        left_out="a counter of what came behind the end",
        cases=(
            said(
                "events behind [DONE]",
                openai.all + openai.rest + openai.all,
                fine(),
                why="the message's framing was whole, so the connection serves again",
            ),
            said("rubbish behind [DONE]", openai.all + b"\x00\xff{", fine(), why="as above"),
            after("events behind [DONE] for ever", REST, _for_ever, expect=fine(kept=False)),
        ),
    ),
    "S10": Entry(
        left_out="a warning",
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
}
