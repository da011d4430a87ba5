"""JSON in pieces: every cut gives the same values and the same fault, ``json`` agrees, and the partial value always grows."""

from __future__ import annotations

import itertools
import json
from typing import Any

from hypothesis import given, strategies as st

from tercet.codecs.framing import JsonStreamParser
from tercet.codecs.vocabulary import ProtocolError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)
FRAGMENTS = [
    b"{", b"}", b"[", b"]", b":", b",", b'"', b'"a"', b"\\", b"\\u", b"\\ud83d", b"\\ude00", b"\\n", b"1", b"-", b"0", b".", b"e", b"true",
    b"nul", b"null", b" ", b"\n", b"\xc3", b"\xa9", b"\x00", b'"items":', b"[1,2]",
]  # fmt: skip
DOCUMENTS = st.one_of(st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(b"".join), st.binary(max_size=60))
CUTS = st.lists(st.integers(min_value=0, max_value=200), max_size=30)
ITEMS = st.sampled_from([None, (), ("items",)])


def cut(document: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place for place in places if place < len(document)), len(document)]
    return [document[start:end] for start, end in itertools.pairwise(edges)]


def read(chunks: list[bytes], items: Any = None, **limits: int) -> tuple[str, bool]:
    """The values as ``repr`` (so that 0, 0.0 and False differ) and whether there was a fault. Looks at every partial value."""
    parser = JsonStreamParser(items, **limits)
    values: list[Any] = []
    try:
        for chunk in chunks:
            values += parser.feed(chunk)
        values += parser.finish()
    except ProtocolError:
        return repr(values), True
    return repr(values), False


@given(DOCUMENTS, CUTS, ITEMS, st.integers(min_value=1, max_value=6), st.integers(min_value=5, max_value=80))
def test_any_cut_gives_the_same_values_and_the_same_fault(
    document: bytes, places: list[int], items: Any, depth: int, size: int
) -> None:
    whole = read([document], items, max_depth=depth, max_size=size)
    assert read(cut(document, places), items, max_depth=depth, max_size=size) == whole
    bytewise = [document[pos : pos + 1] for pos in range(len(document))]
    assert read(bytewise, items, max_depth=depth, max_size=size) == whole


def is_one_json_text(document: bytes) -> bool:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(document.decode("utf-8", "replace"), parse_constant=refuse)
    except ValueError:
        return False
    return True


@given(DOCUMENTS)
def test_json_agrees(document: bytes) -> None:
    """What ``json`` takes as one text gives one value and no fault; what it refuses gives a fault, or not one value."""
    parser = JsonStreamParser()
    values: list[Any] = []
    try:
        values += parser.feed(document)
        values += parser.finish()
    except ProtocolError:
        values = []
    expected = is_one_json_text(document) and not document.startswith(b"\xef\xbb\xbf")
    assert (len(values) == 1) == expected


@given(DOCUMENTS, CUTS, ITEMS)
def test_partial_never_fails_before_the_text_does(document: bytes, places: list[int], items: Any) -> None:
    parser = JsonStreamParser(items)
    for chunk in cut(document, places):
        try:
            parser.feed(chunk)
        except ProtocolError:
            return
        try:
            parser.partial()
        except ProtocolError:
            try:
                parser.feed(b"")
            except ProtocolError:
                return
            assert b"e" in document  # a number too large for a float; everything else is checked as it comes


def grows_into(partial: Any, whole: Any) -> bool:
    if isinstance(partial, str):
        return isinstance(whole, str) and whole.startswith(partial)
    if isinstance(partial, list):
        return isinstance(whole, list) and len(partial) <= len(whole) and all(map(grows_into, partial, whole))
    if isinstance(partial, dict):
        return isinstance(whole, dict) and all(
            key in whole and grows_into(partial[key], whole[key]) for key in partial
        )
    return bool(partial == whole)


@given(VALUES, CUTS, st.booleans(), st.sampled_from([None, 1]))
def test_partial_grows_into_what_was_written(
    value: Any, places: list[int], ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps([value], ensure_ascii=ascii_only, indent=indent).encode()
    parser = JsonStreamParser()
    given_values: list[Any] = []
    for chunk in cut(text, places):
        given_values += parser.feed(chunk)
        partial = parser.partial()
        assert grows_into([] if partial is None else partial, [value])
    assert given_values == [[value]]
    assert parser.partial() == [value]


@given(st.lists(VALUES, max_size=5), CUTS, st.booleans())
def test_items_of_what_was_written(values: list[Any], places: list[int], ascii_only: bool) -> None:
    array = json.dumps(values, ensure_ascii=ascii_only)
    assert read(cut(array.encode(), places), ()) == (repr(values), False)
    around = json.dumps(
        {"before": values, "items": values, "after": {"items": values}}, ensure_ascii=ascii_only
    ).encode()
    assert read(cut(around, places), ("items",)) == (repr(values), False)
