"""Characters cut in two, and JSON that has them."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from tercet.codecs.vocabulary import ProtocolError
from tercet.codecs.wire.surrogates import SurrogateJoiner, decode_lenient


class Piece(msgspec.Struct):
    text: str | None = None
    raw: msgspec.Raw = msgspec.Raw()


PIECE = msgspec.json.Decoder(Piece)


def joined(*pieces: str) -> list[str]:
    joiner = SurrogateJoiner()
    return [*(joiner.join(piece) for piece in pieces), joiner.flush()]


def test_halves_meet_over_deltas():
    assert joined("a\ud83d", "", "\ude00b") == ["a", "", "\U0001f600b", ""]
    assert joined("\ud83d", "\ude00\ud83d", "\ude00") == ["", "\U0001f600", "\U0001f600", ""]
    assert joined("\ud83d\ude00") == ["\U0001f600", ""]


def test_a_half_alone_becomes_the_replacement_character():
    assert joined("\ud83d", "x") == ["", "\ufffdx", ""]
    assert joined("\ude00x", "\u00e9") == ["\ufffdx", "\u00e9", ""]
    assert joined("\ud83d") == ["", "\ufffd"]


@given(st.text(st.characters(codec="utf-8")), st.data())
@settings(max_examples=150)
def test_any_text_cut_between_any_units_comes_back(text: str, data: st.DataObject):
    units = text.encode("utf-16-le")
    cuts = sorted({0, len(units), *(2 * cut for cut in data.draw(st.lists(st.integers(0, len(units) // 2))))})
    pieces = [units[start:end].decode("utf-16-le", "surrogatepass") for start, end in pairwise(cuts)]
    out = joined(*pieces)
    assert "".join(out) == text
    for piece in out:
        piece.encode()


def test_json_with_halves_is_read():
    assert decode_lenient(PIECE, b'{"text":"a\\ud83d"}').text == "a\ud83d"
    assert decode_lenient(PIECE, memoryview(b'{"text":"\\uDE00"}')).text == "\ude00"
    piece = decode_lenient(PIECE, b'{"text":"\\ud83d\\ude00","raw":[ "\\ud83d" ]}')
    assert (piece.text, bytes(piece.raw)) == ("\U0001f600", b'["\\ud83d"]')


class Outer(msgspec.Struct):
    pieces: list[Piece]
    other: msgspec.Raw = msgspec.Raw()


def test_raw_fields_anywhere_keep_their_escapes():
    data = b'{"pieces":[{"text":"\\ud83d","raw":{"a":1}},{"raw":7},{}],"other":[]}'
    outer = decode_lenient(msgspec.json.Decoder(Outer), data)
    assert [(piece.text, bytes(piece.raw)) for piece in outer.pieces] == [
        ("\ud83d", b'{"a": 1}'),
        (None, b"7"),
        (None, b""),
    ]
    assert bytes(outer.other) == b"[]"


def test_broken_utf8_is_replaced():
    assert decode_lenient(PIECE, b'{"text":"a\xff"}').text == "a\ufffd"
    assert decode_lenient(PIECE, b'{"text":"\xff\\ud83d"}').text == "\ufffd\ud83d"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"text":7}',
        b'{"text":7,"x":"\\ud83d"}',
        b'{"x":"\\ud83d}',
        b'{"x":' + b"[" * 5000,
        b'{"x":"\\ud83d","y":' + b"9" * 5000 + b"}",
        b'\xef\xbb\xbf{"text":"x"}',
    ],
)
def test_everything_else_is_a_protocol_error(data: bytes):
    with pytest.raises(ProtocolError, match="not the JSON that was expected"):
        decode_lenient(PIECE, data)


def test_the_error_shows_the_beginning_only():
    with pytest.raises(ProtocolError) as caught:
        decode_lenient(PIECE, b"x" * 10_000)
    assert 200 < len(str(caught.value)) < 400
