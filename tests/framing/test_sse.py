"""Server-sent events by the vectors of WPT, LaunchDarkly and eventsource-parser, whole and cut, and by their limits."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tercet.codecs.framing import SseDecoder
from tercet.codecs.processor import StreamProcessor
from tercet.codecs.vocabulary import ProtocolError, StreamToken, TextDelta

Cuts = Callable[[bytes], Iterator[list[bytes]]]


def read(chunks: list[bytes], **options: Any) -> tuple[list[tuple[str, bytes, str, int | None]], SseDecoder]:
    decoder = SseDecoder(**options)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    events += decoder.finish()
    return [(event.name, bytes(event.data), event.id, event.retry) for event in events], decoder


def read_pairs(chunks: list[bytes]) -> list[tuple[str, bytes]]:
    decoder = SseDecoder()
    return [(name, bytes(data)) for chunk in chunks for name, data in decoder.split(chunk)]


def by_the_book(document: bytes) -> tuple[list[tuple[str, bytes, str, int | None]], str, int | None]:
    """WHATWG HTML 9.2.6 read aloud, for a whole document: events, last event id, reconnection time."""
    lines = (
        document.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[:-1]
    )
    events: list[tuple[str, bytes, str, int | None]] = []
    data: list[bytes] = []
    name = last_id = last_id_buffer = ""
    retry: int | None = None
    block_retry: int | None = None
    for line in lines:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            last_id = last_id_buffer
            if data:
                events.append((name, b"\n".join(data), last_id, block_retry))
            data, name, block_retry = [], "", None
        elif field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"id" and b"\0" not in value:
            last_id_buffer = value.decode("utf-8", "replace")
        elif field == b"retry" and value and all(0x30 <= byte <= 0x39 for byte in value):
            retry = block_retry = int(value)
    return events, last_id, retry


def expected_of(case: dict[str, Any]) -> list[tuple[str, bytes, str]]:
    return [
        ("" if event["type"] == "message" else event["type"], event["data"].encode(), event["last_event_id"])
        for event in case["expected_events"]
    ]


def test_wpt(shared: Path, cuts: Cuts) -> None:
    cases = json.loads((shared / "vectors/sse-wpt/cases.json").read_bytes())["cases"]
    wrong: list[str] = []
    compared = 0
    for case in cases:
        if case.get("expected_connection") == "fail":
            continue  # a test of the content type, which is the transport's to check
        compared += 1
        for chunks in cuts(bytes.fromhex(case["body_hex"])):
            events, decoder = read(chunks)
            if [event[:3] for event in events] != expected_of(case):
                wrong.append(f"{case['name']} {chunks}: {events}")
            if "expected_retry_ms" in case and decoder.retry != case["expected_retry_ms"]:
                wrong.append(f"{case['name']} {chunks}: retry {decoder.retry}")
    assert not wrong, "\n".join(wrong)
    assert compared == 27


def test_launchdarkly(shared: Path, cuts: Cuts) -> None:
    cases = json.loads((shared / "vectors/sse-launchdarkly/cases.json").read_bytes())["cases"]
    wrong: list[str] = []
    for case in cases:
        as_recorded = [bytes.fromhex(chunk) for chunk in case["chunks_hex"]]
        for chunks in (as_recorded, *cuts(b"".join(as_recorded))):
            events, _ = read(chunks)
            if [event[:3] for event in events] != expected_of(case):
                wrong.append(f"{case['name']} {chunks}: {events}")
    assert not wrong, "\n".join(wrong)
    assert len(cases) == 91


def eventsource_parser_streams(case: dict[str, Any]) -> list[list[bytes]]:
    """The chunks of one case; each ``reset`` begins another stream.

    Of bytes written as Latin-1, the feeds that cannot be Latin-1 were text.
    """
    bytes_as_text = case["feeds_are_bytes_as_latin1"]
    streams: list[list[bytes]] = [[]]
    for feed in case["feeds"]:
        if "reset" in feed:
            streams.append([])
        else:
            text = feed["text"] + feed.get("then_repeat_char", "") * feed.get("count", 0)
            as_bytes = bytes_as_text and all(ord(character) < 256 for character in text)
            streams[-1] += [text.encode("latin-1" if as_bytes else "utf-8")] * feed.get("repeat", 1)
    return streams


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() if len(data) > 20_000 else data.decode()


def test_eventsource_parser(shared: Path, cuts: Cuts) -> None:
    """Event by event. Its errors and comments have no counterpart here; its ids are the block's, ours persist."""
    cases = json.loads((shared / "vectors/sse-eventsource-parser/cases.json").read_bytes())["cases"]
    wrong: list[str] = []
    compared = 0
    for case in cases:
        if case["config"]["maxBufferSize"] is not None:
            continue  # see test_eventsource_parser_limits
        compared += 1
        (stream, *_) = eventsource_parser_streams(case)
        output = case["reference_output"]
        expected = [
            (entry["event"] or "", entry.get("data_sha256", entry.get("data")))
            for entry in output
            if entry["type"] == "event"
        ]
        last = {entry["type"]: entry["value"] for entry in output if entry["type"] in ("id", "retry")}
        for chunks in (stream, *cuts(b"".join(stream))):
            events, decoder = read(chunks)
            if [(name, digest(data)) for name, data, _, _ in events] != expected:
                wrong.append(f"{case['name']} in {len(chunks)} chunks: {events!r:.300}")
            if (decoder.last_event_id, decoder.retry) != (last.get("id", ""), last.get("retry")):
                wrong.append(f"{case['name']}: {decoder.last_event_id!r} {decoder.retry!r}")
    assert not wrong, "\n".join(wrong)
    assert compared == 44


# What eventsource-parser counts (characters it has buffered, without field names) is not what is counted here (bytes of the block's
# field lines), so these rows are compared with a limit that stands to ours as theirs to theirs. The reason is beside each.
LIMITS: dict[str, int] = {
    "maxBufferSize: discards unterminated unknown fields without buffering": 16,
    "maxBufferSize: discards invalid lines as soon as their field name cannot become valid": 16,
    "maxBufferSize: preserves split valid fields while discarding invalid lines": 16,
    "maxBufferSize: triggers on pending fragment overflow (no terminator)": 24,
    "maxBufferSize: discards unterminated comments when no onComment callback exists": 16,
    "discarded unterminated comments consume crlf as one line terminator": 18,  # two lines of nine bytes, which they count as 3 + 3
    "maxBufferSize: triggers on data buffer overflow (no blank line)": 64,  # 13 bytes a line; they count 7, and 1 for its LF
    "maxBufferSize: feed throws after overflow, until reset": 11,  # "data: hello" fits, which they count as 5
    "maxBufferSize: not triggered when events dispatch within the limit": 64,
}
NO_EVENTS_HERE = "maxBufferSize: preserves unterminated comments when onComment callback exists"  # comments are not handed on


def test_eventsource_parser_limits(shared: Path) -> None:
    cases = json.loads((shared / "vectors/sse-eventsource-parser/cases.json").read_bytes())["cases"]
    limited = {case["name"]: case for case in cases if case["config"]["maxBufferSize"] is not None}
    assert limited.keys() == LIMITS.keys() | {NO_EVENTS_HERE}
    for name, limit in LIMITS.items():
        seen: list[str] = []
        for stream in eventsource_parser_streams(limited[name]):
            decoder = SseDecoder(max_event_size=limit)
            for chunk in stream:
                try:
                    seen += [bytes(event.data).decode() for event in decoder.feed(chunk)]
                except ProtocolError:
                    seen.append("fault")
        expected = [
            entry["data"] if entry["type"] == "event" else "fault"
            for entry in limited[name]["reference_output"]
        ]
        assert seen == expected, name


FRAGMENTS = [
    b"data: ", b"data:", b"data", b"event: ", b"event:x", b"id: 1", b"id:\0", b"id", b"retry: 12", b"retry:1x", b"retry",
    b": c", b":", b"\n", b"\n", b"\n\n", b"\r", b"\r\n", b"x", b"{}", b" ", b"\xef\xbb\xbf", b"\xff", b"data: abc\n\n",
    b"event: a\ndata: b\n\n", b"da", b"foo: bar", "\u2028\x85\x0b".encode(),
]  # fmt: skip


def test_fast_and_slow_agree_with_the_book() -> None:
    """One generator of documents feeds the rules read aloud, events and pairs; cut so that both ways are taken."""
    chance = random.Random(20_240_601)
    for _ in range(4000):
        document = b"".join(chance.choices(FRAGMENTS, k=chance.randrange(30)))
        events, last_id, retry = by_the_book(document)
        size = chance.choice((len(document) + 1, 1, 2, 7, 20))
        chunks = [document[pos : pos + size] for pos in range(0, len(document), size)]
        seen, decoder = read(chunks)
        assert (seen, decoder.last_event_id, decoder.retry) == (events, last_id, retry), chunks
        assert read_pairs(chunks) == [event[:2] for event in events], chunks


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize(
    "block", [b"data: %d%s%s", b"event: e%d%sdata: x%s%s", b"id: %d%sdata: x%s%s", b": %d%sdata: x%s%s"]
)
def test_runs_of_one_kind(block: bytes, end: bytes, cuts: Cuts) -> None:
    """What the fast ways are for, with every line end."""
    document = b"".join(block % (number, *[end] * (block.count(b"%s"))) for number in range(200))
    expected, _, _ = by_the_book(document)
    for chunks in cuts(document):
        assert read(chunks)[0] == expected
        assert read_pairs(chunks) == [event[:2] for event in expected]


@pytest.mark.parametrize("limit", [1, 5, 9, 20, 40])
def test_the_limit_falls_at_the_same_place_however_the_bytes_are_cut(limit: int, cuts: Cuts) -> None:
    chance = random.Random(limit)
    for _ in range(150):
        document = b"".join(chance.choices(FRAGMENTS, k=chance.randrange(30)))
        seen: set[tuple[tuple[tuple[str, bytes], ...], bool]] = set()
        for chunks in cuts(document):
            for method in ("feed", "split"):
                seen.add(read_limited(chunks, limit, method))
        assert len(seen) == 1, (document, seen)


def read_limited(chunks: list[bytes], limit: int, method: str) -> tuple[tuple[tuple[str, bytes], ...], bool]:
    decoder = SseDecoder(max_event_size=limit)
    events: list[tuple[str, bytes]] = []
    try:
        for chunk in chunks:
            if method == "feed":
                for event in decoder.feed(chunk):
                    events.append((event.name, bytes(event.data)))
            else:
                for name, data in decoder.split(chunk):
                    events.append((name, bytes(data)))
    except ProtocolError:
        return tuple(events), True
    return tuple(events), False


def test_events_before_the_limit_are_given_then_it_raises_and_stays_closed() -> None:
    for method in ("feed", "split"):
        decoder = SseDecoder(max_event_size=20)
        given = iter(getattr(decoder, method)(b"data: 1\n\ndata: 2\n\ndata: " + b"x" * 20))
        assert [next(given), next(given)]
        with pytest.raises(ProtocolError, match="larger than 20 bytes"):
            next(given)
        for call in (decoder.feed, decoder.split):
            with pytest.raises(ProtocolError):
                call(b"data: 3\n\n")
        with pytest.raises(ProtocolError):
            decoder.finish()


def test_no_flood_is_kept() -> None:
    """A million comments, an endless comment, an endless unknown field: nothing is held. A million data lines: the limit."""
    decoder = SseDecoder(max_event_size=1000)
    for _ in range(1000):
        assert list(decoder.feed(b": ping\n" * 1000)) == []
    for start in (b":", b"\nunknown: ", b"\ndatax"):
        decoder.feed(start)
        for _ in range(1000):
            assert list(decoder.feed(b"x" * 1000)) == []
    with pytest.raises(ProtocolError):
        decoder.feed(b"\n" + b"data\n" * 1_000_000)


def test_large_events_pass_below_the_limit(cuts: Cuts) -> None:
    document = b"event: big\ndata: " + b"x" * 300_000 + b"\ndata: " + b"y" * 300_000 + b"\n\n"
    for chunks in cuts(document):
        ((name, data, _, _),), _ = read(chunks, max_event_size=600_022)
        assert name == "big"
        assert data == b"x" * 300_000 + b"\n" + b"y" * 300_000
        with pytest.raises(ProtocolError):
            read(chunks, max_event_size=600_000)


def test_data_is_a_view_into_the_chunk() -> None:
    chunk = b"data: one\n\nevent: e\ndata: two\n\n: c\ndata:three\n\ndata: fo"
    decoder = SseDecoder()
    events = [*decoder.feed(chunk), *decoder.feed(b"ur\n\n")]
    assert [bytes(event.data) for event in events] == [b"one", b"two", b"three", b"four"]
    assert [isinstance(event.data, memoryview) and event.data.obj is chunk for event in events] == [
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("make", [bytearray, memoryview])
def test_any_buffer_may_be_fed_and_changed_after(make: Callable[[bytes], Any]) -> None:
    source = bytearray(b"data: one\n\ndata: tw")
    decoder = SseDecoder()
    (event,) = decoder.feed(make(source) if make is bytearray else memoryview(source))
    source[:] = b"?" * len(source)
    assert bytes(event.data) == b"one"
    assert [bytes(event.data) for event in decoder.feed(memoryview(b"-o\n\n")[1:])] == [b"two"]


@pytest.mark.parametrize(
    "tail", [b"data: last", b"data: last\n", b"data: last\r", b"data: last\r\n", b"id: 7\ndata: last"]
)
def test_the_unfinished_block(tail: bytes, cuts: Cuts) -> None:
    """Discarded, as WHATWG says; with ``final_block`` dispatched, because LLM servers forget the last blank line."""
    for chunks in cuts(b"data: first\n\n" + tail):
        events, decoder = read(chunks)
        assert [data for _, data, _, _ in events] == [b"first"]
        assert decoder.last_event_id == ""
        events, _ = read(chunks, final_block=True)
        assert [data for _, data, _, _ in events] == [b"first", b"last"]


def test_final_block_does_not_repeat_what_was_dispatched() -> None:
    assert [data for _, data, _, _ in read([b"data: a\n\n"], final_block=True)[0]] == [b"a"]
    assert read([b"\xef\xbb"], final_block=True)[0] == []


def test_retry_takes_digits_alone_and_not_too_many() -> None:
    for text, expected in (
        (b"10", 10), (b"0" * 5000 + b"7", 7), (b"9" * 5000, None), (b"+1", None), ("\u0661".encode(), None), (b"", None),
    ):  # fmt: skip
        events, decoder = read([b"retry: " + text + b"\ndata: x\n\n"])
        assert events[0][3] == decoder.retry == expected


def test_names_and_ids_decode_with_replacement_and_data_passes_as_bytes() -> None:
    events, _ = read([b"event: \xff\nid: \xc3\ndata: \xfe\n\n"])
    assert events == [("\ufffd", b"\xfe", "\ufffd", None)]


class Collector:
    """An interpreter that makes a text of every event."""

    is_complete = False

    def interpret(self, name: str, data: bytes | memoryview, into: list[StreamToken], /) -> None:
        into.append(TextDelta(f"{name}={bytes(data).decode()}"))

    def finish(self, into: list[StreamToken], /) -> None:
        into.append(TextDelta("end"))


def test_the_processor_reads_pairs_and_gives_tokens_before_the_fault() -> None:
    processor = StreamProcessor(SseDecoder(max_event_size=20), Collector())
    assert processor.process_chunk(b"data: a\n\nevent: n\nda") == [TextDelta("=a")]
    assert processor.process_chunk(b"ta: b\n\ndata: c\n\ndata: " + b"x" * 20) == [
        TextDelta("n=b"),
        TextDelta("=c"),
    ]
    with pytest.raises(ProtocolError):
        processor.process_chunk(b"")
    with pytest.raises(ProtocolError):
        processor.finish()
