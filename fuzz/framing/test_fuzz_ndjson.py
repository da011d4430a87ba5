"""Newline-delimited JSON: every cut gives the same lines, what is written is read, and the limit holds for any bytes."""

from __future__ import annotations

import itertools
import json

from hypothesis import given, strategies as st

from tercet.codecs.framing import NdjsonDecoder
from tercet.codecs.vocabulary import ProtocolError

DOCUMENTS = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from([b"\n", b"\r\n", b"\r", b" ", b"\t", b"\x0b", b"{}", b"1", "\u2028".encode()]),
        max_size=60,
    ).map(b"".join),
)
CUTS = st.lists(st.integers(min_value=0, max_value=200), max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def cut(document: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place for place in places if place < len(document)), len(document)]
    return [document[start:end] for start, end in itertools.pairwise(edges)]


def read(chunks: list[bytes], limit: int = 1 << 20) -> tuple[list[bytes], bool]:
    decoder = NdjsonDecoder(max_line_size=limit)
    lines: list[bytes] = []
    try:
        for chunk in chunks:
            for line in decoder.feed(chunk):
                lines.append(bytes(line.data))  # noqa: PERF401 - keeps what came before a fault
        lines += [bytes(line.data) for line in decoder.finish()]
    except ProtocolError:
        return lines, True
    return lines, False


@given(DOCUMENTS, CUTS, st.integers(min_value=1, max_value=250))
def test_any_cut_gives_the_same_lines_and_the_same_fault(
    document: bytes, places: list[int], limit: int
) -> None:
    lines, failed = read([document], limit)
    assert read(cut(document, places), limit) == (lines, failed)
    assert read([document[pos : pos + 1] for pos in range(len(document))], limit) == (lines, failed)
    assert all(0 < len(line) <= limit and b"\n" not in line for line in lines)


@given(st.lists(VALUES, max_size=8), CUTS, st.sampled_from(["\n", "\r\n", "\n\n", "\r\n \n"]), st.booleans())
def test_what_is_written_is_read(values: list[object], places: list[int], end: str, is_ended: bool) -> None:
    document = end.join(json.dumps(value, ensure_ascii=False) for value in values) + (end if is_ended else "")
    lines, failed = read(cut(document.encode(), places))
    assert ([json.loads(line) for line in lines], failed) == (values, False)
