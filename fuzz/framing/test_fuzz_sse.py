"""Server-sent events: every cut gives the same events, both ways agree with the rules, and limits hold for any bytes."""

from __future__ import annotations

import itertools

from hypothesis import given, strategies as st

from tercet.codecs.framing import SseDecoder
from tercet.codecs.vocabulary import ProtocolError

Seen = tuple[list[tuple[str, bytes, str, int | None]], bool]

FRAGMENTS = st.sampled_from(
    [
        b"data: ", b"data:", b"data", b"event: ", b"event:x", b"id: 1", b"id:\0", b"id", b"retry: 12", b"retry:1x", b": c", b":",
        b"\n", b"\n\n", b"\r", b"\r\n", b"x", b"{}", b" ", b"\xef\xbb\xbf", b"\xff", b"data: abc\n\n", b"event: a\ndata: b\n\n",
        b"da", b"foo: bar", "\u2028\x85\x0b".encode(),
    ]
)  # fmt: skip
DOCUMENTS = st.one_of(
    st.lists(st.one_of(FRAGMENTS, st.binary(max_size=8)), max_size=60).map(b"".join), st.binary(max_size=300)
)
CUTS = st.lists(st.integers(min_value=0, max_value=300), max_size=40)


def cut(document: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place for place in places if place < len(document)), len(document)]
    return [document[start:end] for start, end in itertools.pairwise(edges)]


def by_feed(chunks: list[bytes], *, limit: int = 1 << 20, final_block: bool = False) -> Seen:
    decoder = SseDecoder(max_event_size=limit, final_block=final_block)
    events: list[tuple[str, bytes, str, int | None]] = []
    try:
        for chunk in chunks:
            for event in decoder.feed(chunk):
                events.append((event.name, bytes(event.data), event.id, event.retry))  # noqa: PERF401 - keeps what came before a fault
        events += [(event.name, bytes(event.data), event.id, event.retry) for event in decoder.finish()]
    except ProtocolError:
        return events, True
    return events, False


def by_split(chunks: list[bytes], *, limit: int = 1 << 20) -> tuple[list[tuple[str, bytes]], bool]:
    decoder = SseDecoder(max_event_size=limit)
    events: list[tuple[str, bytes]] = []
    try:
        for chunk in chunks:
            for name, data in decoder.split(chunk):
                events.append((name, bytes(data)))
    except ProtocolError:
        return events, True
    return events, False


@given(DOCUMENTS, CUTS, st.booleans())
def test_any_cut_gives_the_same_events(document: bytes, places: list[int], final_block: bool) -> None:
    chunks = cut(document, places)
    whole = by_feed([document], final_block=final_block)
    assert by_feed(chunks, final_block=final_block) == whole
    assert (
        by_feed([document[pos : pos + 1] for pos in range(len(document))], final_block=final_block) == whole
    )
    assert not whole[1]


@given(DOCUMENTS, CUTS)
def test_pairs_are_the_events(document: bytes, places: list[int]) -> None:
    chunks = cut(document, places)
    assert by_split(chunks) == ([event[:2] for event in by_feed(chunks)[0]], False)


@given(DOCUMENTS, CUTS, st.integers(min_value=1, max_value=60))
def test_the_limit_falls_at_the_same_place_and_nothing_given_is_larger(
    document: bytes, places: list[int], limit: int
) -> None:
    chunks = cut(document, places)
    events, failed = by_feed([document], limit=limit)
    assert by_feed(chunks, limit=limit) == (events, failed)
    assert by_split(chunks, limit=limit) == ([event[:2] for event in events], failed)
    assert all(len(data) <= limit for _, data, _, _ in events)


LINES = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=20)
EVENTS = st.lists(
    st.tuples(LINES, st.lists(LINES, min_size=1, max_size=3), LINES.filter(lambda text: "\0" not in text)),
    max_size=8,
)


@given(EVENTS, CUTS, st.sampled_from(["\n", "\r", "\r\n"]))
def test_what_is_written_is_read(
    events: list[tuple[str, list[str], str]], places: list[int], end: str
) -> None:
    document = "".join(
        f"event: {name}{end}id: {last_id}{end}" + "".join(f"data: {line}{end}" for line in lines) + end
        for name, lines, last_id in events
    ).encode()
    expected = [(name, "\n".join(lines).encode(), last_id, None) for name, lines, last_id in events]
    assert by_feed(cut(document, places)) == (expected, False)
