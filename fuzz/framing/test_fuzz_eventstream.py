"""The AWS event stream: what is encoded is decoded under every cut, and any bytes give messages or a typed fault."""

from __future__ import annotations

import itertools
import zlib

from hypothesis import given, strategies as st

from tercet.codecs.framing import (
    Byte,
    EventStreamDecoder,
    HeaderValue,
    Int,
    Long,
    Short,
    Timestamp,
    encode_message,
)
from tercet.codecs.vocabulary import ProtocolError


def signed(bits: int) -> st.SearchStrategy[int]:
    return st.integers(min_value=-(1 << bits - 1), max_value=(1 << bits - 1) - 1)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES: st.SearchStrategy[HeaderValue] = st.one_of(
    st.booleans(), signed(8).map(Byte), signed(16).map(Short), signed(32).map(Int), signed(64).map(Long), signed(64).map(Timestamp),
    st.binary(max_size=30), TEXT, st.uuids(),
)  # fmt: skip
HEADERS = st.dictionaries(TEXT.filter(lambda name: 0 < len(name.encode()) < 256), VALUES, max_size=5)
MESSAGES = st.lists(st.tuples(HEADERS, st.binary(max_size=60)), max_size=5)
CUTS = st.lists(st.integers(min_value=0, max_value=1000), max_size=30)
Message = tuple[list[tuple[str, type, HeaderValue]], bytes]


def cut(document: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place for place in places if place < len(document)), len(document)]
    return [document[start:end] for start, end in itertools.pairwise(edges)]


def typed(headers: dict[str, HeaderValue]) -> list[tuple[str, type, HeaderValue]]:
    return [(name, type(value), value) for name, value in headers.items()]


def read(chunks: list[bytes], limit: int = 1 << 20) -> tuple[list[Message], bool]:
    decoder = EventStreamDecoder(max_message_size=limit, max_headers_size=limit)
    messages: list[Message] = []
    try:
        for chunk in chunks:
            for message in decoder.feed(chunk):
                messages.append((typed(message.headers), bytes(message.payload)))  # noqa: PERF401 - keeps what came before a fault
        decoder.finish()
    except ProtocolError:
        return messages, True
    return messages, False


@given(MESSAGES, CUTS)
def test_what_is_encoded_is_decoded(
    messages: list[tuple[dict[str, HeaderValue], bytes]], places: list[int]
) -> None:
    document = b"".join(encode_message(headers, payload) for headers, payload in messages)
    expected = [(typed(headers), payload) for headers, payload in messages]
    assert read(cut(document, places)) == (expected, False)
    assert read([document[pos : pos + 1] for pos in range(len(document))]) == (expected, False)


@given(
    MESSAGES,
    CUTS,
    st.integers(min_value=0, max_value=1000),
    st.integers(min_value=0, max_value=7),
    st.integers(16, 300),
)
def test_a_changed_bit_is_found_at_the_same_place_however_it_is_cut(
    messages: list[tuple[dict[str, HeaderValue], bytes]],
    places: list[int],
    position: int,
    bit: int,
    limit: int,
) -> None:
    document = bytearray(b"".join(encode_message(headers, payload) for headers, payload in messages))
    if position < len(document):
        document[position] ^= 1 << bit
    whole = read([bytes(document)], limit)
    assert read(cut(bytes(document), places), limit) == whole
    assert whole[1] or position >= len(document)


@given(st.binary(max_size=120), st.binary(max_size=20), CUTS)
def test_any_headers_behind_good_checksums(headers: bytes, payload: bytes, places: list[int]) -> None:
    lengths = (16 + len(headers) + len(payload)).to_bytes(4, "big") + len(headers).to_bytes(4, "big")
    document = lengths + zlib.crc32(lengths).to_bytes(4, "big") + headers + payload
    document += zlib.crc32(document).to_bytes(4, "big")
    whole = read([document])
    assert read(cut(document, places)) == whole
    if not whole[1]:
        ((seen, data),) = whole[0]
        assert encode_message({name: value for name, _, value in seen}, data) == document


@given(st.binary(max_size=300), CUTS, st.integers(min_value=16, max_value=300))
def test_any_bytes(document: bytes, places: list[int], limit: int) -> None:
    assert read(cut(document, places), limit) == read([document], limit)
