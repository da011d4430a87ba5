"""Newline-delimited JSON: lines however they are cut, blank lines, the last line, the limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tercet.codecs.framing import NdjsonDecoder
from tercet.codecs.vocabulary import ProtocolError

Cuts = Callable[[bytes], Iterator[list[bytes]]]


def read(chunks: list[bytes], **options: Any) -> list[bytes]:
    decoder = NdjsonDecoder(**options)
    lines = [line for chunk in chunks for line in decoder.feed(chunk)]
    lines += decoder.finish()
    assert all(line.name == "" for line in lines)
    return [bytes(line.data) for line in lines]


def test_lines(cuts: Cuts) -> None:
    document = '{"a":1}\n\r\n{"b":"\u2028\x85\x0b\x0c é"}\r\n \t\n\n[2]\n{"last":true}'.encode()
    expected = [b'{"a":1}', '{"b":"\u2028\x85\x0b\x0c é"}'.encode(), b"[2]", b'{"last":true}']
    for chunks in cuts(document):
        assert read(chunks) == expected
        assert read([*chunks, b"\n"]) == expected
        assert read([*chunks, b"\r\n", b" "]) == expected


def test_only_json_white_space_makes_a_line_blank() -> None:
    assert read([b"\x0b\n\x0c\n\xa0\n"]) == [b"\x0b", b"\x0c", b"\xa0"]


def test_data_is_a_view_into_the_chunk() -> None:
    chunk = b"1\n2\n3"
    decoder = NdjsonDecoder()
    lines = [*decoder.feed(chunk), *decoder.feed(b"4\n")]
    assert [isinstance(line.data, memoryview) and line.data.obj is chunk for line in lines] == [
        True,
        True,
        False,
    ]
    assert [bytes(line.data) for line in decoder.feed(bytearray(b"5\n"))] == [b"5"]


def test_the_limit_falls_at_the_same_place_however_the_bytes_are_cut(cuts: Cuts) -> None:
    for chunks in cuts(b"12345\n1234\r\n123456\n1\n"):
        decoder = NdjsonDecoder(max_line_size=5)
        seen: list[bytes] = []
        try:
            for chunk in chunks:
                for line in decoder.feed(chunk):
                    seen.append(bytes(line.data))
        except ProtocolError:
            assert seen == [b"12345", b"1234"]
        else:
            pytest.fail("the long line passed")
        with pytest.raises(ProtocolError, match="longer than 5 bytes"):
            decoder.feed(b"")
        with pytest.raises(ProtocolError):
            decoder.finish()
