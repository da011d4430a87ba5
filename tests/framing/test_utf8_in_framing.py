"""Broken UTF-8 inside events: every case of utf8tests byte by byte is what it is whole, and no neighbour is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tercet.codecs.framing import JsonStreamParser, NdjsonDecoder, SseDecoder

Cuts = Callable[[bytes], Iterator[list[bytes]]]


def cases(shared: Path) -> Iterator[tuple[str, bytes, bytes]]:
    """(number, bytes, the bytes with each fault replaced by U+FFFD)."""
    for line in (shared / "vectors/utf8/utf8tests.txt").read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        number, kind, *rest = (column.strip() for column in line.split(":", 2 if ":valid:" in line else -1))
        if kind == "valid":
            yield number, rest[0].encode(), rest[0].encode()
        elif kind == "valid hex":
            yield number, bytes.fromhex(rest[0]), bytes.fromhex(rest[0])
        else:
            yield number, bytes.fromhex(rest[0]), bytes.fromhex(rest[2])


def test_utf8(shared: Path, cuts: Cuts) -> None:
    wrong: list[str] = []
    seen = 0
    for number, raw, replaced in cases(shared):
        if b"\n" in raw or b"\r" in raw:
            continue
        seen += 1
        text = replaced.decode()
        if raw.decode("utf-8", "replace") != text:
            wrong.append(f"{number}: Python replaces otherwise")
        for chunks in cuts(b"event: " + raw + b"\nid: " + raw + b"\ndata: " + raw + b"\n\ndata: next\n\n"):
            decoder = SseDecoder()
            events = [
                (event.name, event.id, bytes(event.data)) for chunk in chunks for event in decoder.feed(chunk)
            ]
            last_id = "" if b"\0" in raw else text
            if events != [(text, last_id, raw), ("", last_id, b"next")]:
                wrong.append(f"{number} as SSE in {len(chunks)} chunks: {events}")
        for chunks in cuts(b"." + raw + b"\nnext\n"):
            lines_decoder = NdjsonDecoder()
            lines = [bytes(line.data) for chunk in chunks for line in lines_decoder.feed(chunk)]
            if lines != [b"." + raw, b"next"]:
                wrong.append(f"{number} as NDJSON: {lines}")
        if min(raw, default=0) < 0x20 or b'"' in raw or b"\\" in raw:
            continue
        for chunks in cuts(b'["' + raw + b'","next"]'):
            parser = JsonStreamParser()
            values = [value for chunk in chunks for value in parser.feed(chunk)]
            if values != [[text, "next"]]:
                wrong.append(f"{number} as JSON: {values}")
    assert not wrong, "\n".join(wrong)
    assert seen > 100
