"""Rows N24 to N39: what comes is not the HTTP that was hoped for."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import tercet
from tercet.testing import End

from .cases import Case, Entry, fault, fine
from .plays import (
    REST,
    after,
    before,
)
from .stage import AFTER_THE_FIRST_TOKEN, Scene
from .wires import CHUNKED, END, answer, chunk, failure, head, openai, whole, whole_answer

__all__ = ["ROWS"]

Nonsense = tercet.ProtocolError
Interrupted = tercet.StreamInterruptedError
SSE = "content-type: text/event-stream"
_PAGE = b"<!doctype html><html><title>Please sign in</title><body>" + b"Welcome to the hotel. " * 50
_TWICE = (
    "the policy tries nonsense once more on the same target, whatever kind of nonsense (as N33 and S16 ask)"
)


def _redirect(status: int, where: str) -> Callable[[Scene], Any]:
    async def redirecting(scene: Scene) -> None:
        await scene.stream.send_all(
            failure(status, None, f"location: {scene.world.urls[where]}/v1/elsewhere")
        )

    return redirecting


def _redirects(where: str, *statuses: int) -> tuple[Case, ...]:
    return tuple(
        before(
            f"{status} {way}",
            _redirect(status, where),
            way=way,
            expect=fault(
                Nonsense,
                again=0,
                signal="rejected",
                facts={"status": status, "retryable": False},
                message="redirect",
            ),
        )
        for status in statuses
        for way in ("stream", "whole")
    )


# Compression ------------------------------------------------------------------------------------------------------------


def _flushed(coding: str, *pieces: bytes) -> list[bytes]:
    """Each piece compressed and flushed, so that it can be read at once."""
    compressor = zlib.compressobj(wbits={"gzip": 31, "deflate": 15, "raw": -15}[coding])
    flushed = [compressor.compress(piece) + compressor.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
    flushed[-1] += compressor.flush()
    return flushed


def _compressed_head(coding: str) -> bytes:
    return head(200, SSE, f"content-encoding: {coding}")


def _coded(coding: str) -> Case:
    """The first event can be read while the second does not exist yet."""
    first, rest = _flushed(coding, openai.first, openai.all[len(openai.first) :])
    named = "deflate" if coding == "raw" else coding
    return Case(
        name=coding,
        when="after",
        play=(_compressed_head(named) + chunk(first), AFTER_THE_FIRST_TOKEN, chunk(rest) + END),
        expect=fine(),
    )


def _after_gzip(name: str, *play: Any) -> Case:
    first = _flushed("gzip", openai.first, b"x" * 100)[0]
    return Case(
        name=name,
        when="after",
        play=(_compressed_head("gzip") + chunk(first), AFTER_THE_FIRST_TOKEN, *play),
        expect=fault(Nonsense, message="compressed", kept=True),
    )


_GZIPPED = gzip.compress(openai.all)
_DAMAGED = _GZIPPED[:10] + b"\xff" * 40
_MEMBERS = gzip.compress(openai.first) + gzip.compress(openai.all[len(openai.first) :])

ROWS: dict[str, Entry] = {
    "N24": Entry(
        cases=tuple(
            before(
                f"a portal's page, {way}",
                whole(_PAGE, 200, "content-type: text/html; charset=utf-8"),
                way=way,
                expect=fault(Nonsense, again=1, kept=None, message="text/html|not JSON|sign in"),
            )
            for way in ("stream", "whole")
        )
    ),
    "N25": Entry(cases=_redirects("birch", 307, 308)),
    "N26": Entry(cases=_redirects("birch", 301, 302, 303)),
    "N27": Entry(cases=_redirects("alder", 307, 302)),
    "N28": Entry(
        cases=(
            before(
                "100, 103, 103, 200",
                b"HTTP/1.1 100 Continue\r\n\r\n",
                b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n" * 2,
                *answer(),
                expect=fine(),
            ),
            before(
                "103 and 200 in one piece",
                b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + whole(whole_answer()),
                way="whole",
                expect=fine(),
            ),
        )
    ),
    "N29": Entry(
        cases=(
            before("150 times 100", b"HTTP/1.1 100 Continue\r\n\r\n" * 150, expect=fault(Nonsense, again=1)),
        )
    ),
    "N30": Entry(
        cases=(
            before(
                "nothing said",
                head(200, SSE, framing="content-length: 1000") + b": hello\n\n" * 100,
                End("fin"),
                expect=fault(Interrupted),
            ),
            before(
                "whole",
                head(200, "content-type: application/json", framing="content-length: 5000") + b'{"id":"r1"',
                End("fin"),
                way="whole",
                expect=fault(Interrupted),
            ),
            Case(
                name="without the terminal event",
                when="after",
                play=(
                    head(200, SSE, framing="content-length: 1000") + openai.first,
                    AFTER_THE_FIRST_TOKEN,
                    b": hello\n\n" * 50,
                    End("fin"),
                ),
                expect=fault(Interrupted),
            ),
            Case(
                name="behind the terminal event",
                when="after",
                play=(
                    head(200, SSE, framing=f"content-length: {len(openai.all) + 100}") + openai.first,
                    AFTER_THE_FIRST_TOKEN,
                    openai.all[len(openai.first) :],
                    End("fin"),
                ),
                expect=fine(kept=False),
            ),
        ),
    ),
    "N31": Entry(
        cases=(
            before(
                "cut in the first event",
                head(200, SSE, framing="content-length: 10") + openai.all,
                expect=fault(Interrupted),
                why="the bytes in front of the cut are an answer that breaks off: interrupted, which the row's text says too",
            ),
            Case(
                name="cut behind the first event",
                when="after",
                play=(
                    head(200, SSE, framing=f"content-length: {len(openai.first)}") + openai.all,
                    AFTER_THE_FIRST_TOKEN,
                ),
                expect=fault(Interrupted),
                why="as before the first content",
            ),
        ),
    ),
    "N32": Entry(
        cases=(
            before(
                "both",
                head(200, SSE, "content-length: 5") + chunk(openai.all) + END,
                expect=fault(Nonsense, again=1),
                why=_TWICE,
            ),
            before(
                "two lengths",
                head(200, SSE, "content-length: 5", framing="content-length: 6") + b"hello!",
                expect=fault(Nonsense, again=1),
                why=_TWICE,
            ),
        ),
        tested_by=("test_fault_vectors::test_every_reply_of_the_http_corpora_is_an_answer_or_a_typed_error",),
    ),
    "N33": Entry(
        cases=tuple(
            case
            for name, bad in (
                ("no size", b"zz\r\nhello\r\n"),
                ("a size too large", b"fffffffffffffffff\r\nhello\r\n"),
                ("a chunk that goes on", b"5\r\nhello there\r\n"),
                ("a negative size", b"-5\r\nhello\r\n"),
            )
            for case in (
                before(name, CHUNKED + bad, expect=fault(Nonsense, again=1)),
                after(name, bad, expect=fault(Nonsense)),
            )
        ),
        tested_by=("test_fault_vectors::test_every_reply_of_the_http_corpora_is_an_answer_or_a_typed_error",),
    ),
    "N34": Entry(
        cases=(
            before(
                "100,000 chunks of a byte",
                CHUNKED,
                b"".join(chunk(bytes([byte])) for byte in b": \n\n" * 24_900 + openai.all) + END,
                expect=fine(),
            ),
            after(
                "a write for each byte",
                *(bytes([byte]) for byte in REST + END),
                expect=fine(),
            ),
        ),
    ),
    "N35": Entry(
        cases=(
            *(_coded(coding) for coding in ("gzip", "deflate", "raw")),
            *(
                before(
                    coding,
                    _compressed_head(coding) + chunk(b"\x00" * 50) + END,
                    expect=fault(Nonsense, again=1, message="not asked for"),
                    why=f"{coding} is never offered (no decoder among the dependencies), so it is a typed error and not read as text",
                )
                for coding in ("br", "zstd")
            ),
            before("gzip", _compressed_head("gzip") + chunk(_GZIPPED) + END, expect=fine()),
        )
    ),
    "N36": Entry(
        cases=(
            before(
                "cut off",
                _compressed_head("gzip") + chunk(_GZIPPED[:30]) + END,
                expect=fault(Nonsense, again=1, kept=True),
            ),
            before(
                "damaged",
                _compressed_head("gzip") + chunk(_DAMAGED) + END,
                expect=fault(Nonsense, again=1, kept=True),
            ),
            before(
                "damaged, whole",
                whole(_DAMAGED, 200, "content-encoding: gzip", "content-type: application/json"),
                way="whole",
                expect=fault(Nonsense, again=1, kept=True),
            ),
            before("two members", _compressed_head("gzip") + chunk(_MEMBERS) + END, expect=fine()),
            _after_gzip("cut off", END),
            _after_gzip("damaged", chunk(b"\xff" * 40) + END),
        ),
    ),
    "N37": Entry(
        tested_by=(
            "test_fault_connections::test_a_kept_connection_that_dies_as_it_is_used_is_replaced_for_free",
            "test_fault_connections::test_a_kept_connection_that_was_closed_meanwhile_is_not_tried",
        )
    ),
    "N38": Entry(
        cases=(
            *(
                before(
                    f"421, {way}",
                    failure(421),
                    way=way,
                    expect=fault(tercet.ServerError, signal="rejected", facts={"status": 421}),
                    why="421 is an answer, so it counts as an attempt; the next one has a connection of its own",
                )
                for way in ("stream", "whole")
            ),
            before(
                "connection: close",
                head(200, SSE, "connection: close") + chunk(openai.all) + END,
                expect=fine(kept=False),
            ),
        ),
        left_out="GOAWAY is a frame of HTTP/2, which tercet does not speak",
    ),
    "N39": Entry(
        cases=tuple(
            before(name, head(200, SSE, *headers) + END, expect=fault(Nonsense, again=1), why=why)
            for name, headers, why in (
                (
                    "a header of a MiB",
                    ("x-long: " + "a" * (1 << 20),),
                    "the cap is 64 KiB, not 16: Azure's and gateways' cookies",
                ),
                ("10,000 headers", tuple(f"x-{n}: a" for n in range(10_000)), ""),
                ("200 headers", tuple(f"x-{n}: a" for n in range(200)), ""),
            )
        )
        + (
            before(
                "a status line without end",
                b"HTTP/1.1 200 " + b"a" * (1 << 20),
                expect=fault(Nonsense, again=1),
            ),
        )
    ),
}
