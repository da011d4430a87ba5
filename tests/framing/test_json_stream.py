"""JSON in pieces: the JSON test suite, values and their parts under every cut, paths, limits, and the partial value."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tercet.codecs.framing import JsonStreamParser
from tercet.codecs.vocabulary import ProtocolError

Cuts = Callable[[bytes], Iterator[list[bytes]]]


def read(pieces: list[Any], items: Any = None, **limits: Any) -> tuple[list[Any], bool]:
    """The values, and whether the text was JSON to its end."""
    parser = JsonStreamParser(items, **limits)
    values: list[Any] = []
    try:
        for piece in pieces:
            values += parser.feed(piece)
        values += parser.finish()
    except ProtocolError:
        return values, False
    return values, True


# What the suite leaves open (i_) and what is done here: white space and nesting are JSON's, strings keep the grammar and lose what is
# not Unicode to U+FFFD, numbers beyond a float's range are refused.
REFUSED = {
    "i_number_huge_exp.json", "i_number_neg_int_huge_exp.json", "i_number_pos_double_huge_exp.json",
    "i_number_real_neg_overflow.json", "i_number_real_pos_overflow.json", "i_string_UTF-16LE_with_BOM.json",
    "i_string_utf16BE_no_BOM.json", "i_string_utf16LE_no_BOM.json", "i_structure_UTF-8_BOM_empty_object.json",
}  # fmt: skip


def test_the_json_test_suite(shared: Path, cuts: Cuts) -> None:
    """One text is one value: y_ gives exactly one, n_ gives a fault, or (``[][]``, an empty text) not exactly one. No row deviates."""
    folder = os.fsencode(shared / "vectors/json-testsuite/test_parsing")
    wrong: list[str] = []
    names = sorted(os.listdir(folder))
    for name in names:
        text = Path(os.fsdecode(os.path.join(folder, name))).read_bytes()
        outcomes = [read(chunks) for chunks in cuts(text)]
        values, is_json = outcomes[0]
        if any(repr(outcome) != repr(outcomes[0]) for outcome in outcomes):  # repr: -0.0 and 0 are equal
            wrong.append(f"{name!r}: depends on the cut")
        accepted = is_json and len(values) == 1
        shown = os.fsdecode(name)
        expected = shown not in REFUSED if shown.startswith("i_") else shown.startswith("y_")
        if accepted != expected:
            wrong.append(f"{shown!r}: {values!r:.100}")
        if shown.startswith("y_") and values != [json.loads(text)]:
            wrong.append(f"{shown!r}: {values!r:.100} is not what json.loads gives")
    assert not wrong, "\n".join(wrong)
    assert len(names) == 318


def some_value(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.randrange(8 if depth < 4 else 5)
    if kind == 0:
        return chance.choice([0, 1, -2, 3.5, 1e10, 12345678901234567890123])
    if kind == 1:
        return chance.choice([True, False, None])
    if kind < 5:
        return some_text(chance)
    if kind < 7:
        return {some_text(chance): some_value(chance, depth + 1) for _ in range(chance.randrange(4))}
    return [some_value(chance, depth + 1) for _ in range(chance.randrange(4))]


def some_text(chance: random.Random) -> str:
    return "".join(chance.choices('ab"\\\n€😀é\u2028 /', k=chance.randrange(6)))


def written(chance: random.Random, value: Any) -> str:
    return json.dumps(value, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, 1]))


def test_values_one_after_another_and_items_and_paths(cuts: Cuts) -> None:
    chance = random.Random(7)
    for _ in range(150):
        values = [some_value(chance) for _ in range(chance.randrange(4))]
        texts = [written(chance, value) for value in values]
        for chunks in cuts("\n".join(texts).encode()):
            assert read(chunks) == (values, True)
        array = "[" + ",\n".join(texts) + "]"
        for chunks in cuts(array.encode()):
            assert read(chunks) == ([values], True)
            assert read(chunks, ()) == (values, True)
        inner = f'{{"c": {{"b": [2]}}, "b": {array}, "d": [3]}}'
        around = f'{{"x": [{array}, {{"a": {{"b": [1]}}}}], "a": {inner}, "b": [4]}}'
        for chunks in cuts(around.encode()):
            assert read(chunks, ("a", "b")) == (values, True)
            assert read(chunks, ("a", "nowhere")) == ([], True)


def test_text_in_pieces_of_str() -> None:
    text = '{"a": "é😀", "b": [1, null]}'
    assert read(list(text)) == ([{"a": "é😀", "b": [1, None]}], True)
    assert read(['"\ud83d"']) == (["\ufffd"], True)


def test_items_come_as_soon_as_they_are_whole() -> None:
    parser = JsonStreamParser(())
    assert parser.feed(b'[{"a": 1}') == [{"a": 1}]
    assert parser.feed(b",\r\n2, ") == [2]
    assert parser.feed(b"3") == []
    assert parser.feed(b"]") == [3]
    assert parser.feed(b' "not in an array" ') == ["not in an array"]
    assert parser.finish() == []


@pytest.mark.parametrize("text", [b"{", b"[1,", b'"a', b'{"a"', b"tru", b"-", b"1e", b'["\\u00'])
def test_the_end_inside_a_value(text: bytes, cuts: Cuts) -> None:
    for chunks in cuts(text):
        parser = JsonStreamParser()
        for chunk in chunks:
            assert parser.feed(chunk) == []
        for call in (parser.finish, parser.finish, parser.partial):
            with pytest.raises(ProtocolError):
                call()
        with pytest.raises(ProtocolError):
            parser.feed(b"1")


def test_values_before_a_fault_are_given_and_the_next_call_raises() -> None:
    parser = JsonStreamParser()
    assert parser.feed(b'{"a":1} {"b":2} }') == [{"a": 1}, {"b": 2}]
    with pytest.raises(ProtocolError, match="not JSON"):
        parser.feed(b"")
    parser = JsonStreamParser()
    assert parser.feed(b"1 [}") == [1]
    with pytest.raises(ProtocolError, match="not JSON"):
        parser.finish()


def test_depth(cuts: Cuts) -> None:
    deep = b"[" * 512 + b"]" * 512
    assert read([deep])[1]
    for chunks in cuts(b"[" + deep + b"]"):
        assert read(chunks) == ([], False)
        assert read(chunks, ("a",)) == ([], False)
        assert read(chunks, max_depth=513)[1]
    assert read([b"[" * 100_000]) == ([], False)


def test_size_is_of_one_value(cuts: Cuts) -> None:
    for chunks in cuts(b'["123456", "1234567"]'):
        assert read(chunks, (), max_size=8) == (["123456"], False)
        assert read(chunks, (), max_size=9) == (["123456", "1234567"], True)
        assert read(chunks, None, max_size=9) == ([], False)
        assert read(chunks, ("a",), max_size=8) == ([], False)
    for text in (b'"' + b"x" * 2000, b"1" * 2000, b"[" + b" " * 2000, b'{"' + b"k" * 2000):
        for chunks in cuts(text):
            assert read(chunks, max_size=1000) == ([], False)
            assert read(chunks, max_size=2100) == read(chunks)


def test_white_space_and_skipped_values_are_not_held() -> None:
    parser = JsonStreamParser(("rows",), max_size=100)
    for _ in range(1000):
        assert parser.feed(b"\n" * 1000) == []
    assert parser.feed(b'{"skipped": [') == []
    for _ in range(1000):
        assert parser.feed(b'{"a": [1, 2, "three"]},' * 10) == []
    assert parser.feed(b'null], "rows": [4, 5') == [4]
    assert parser.feed(b"]}") == [5]
    assert parser.finish() == []


def test_numbers_no_python_can_hold_are_a_typed_fault() -> None:
    for text in (b"1" * 5000, b"[1e999]", b"-1e999 "):
        assert read([text]) == ([], False)
    parser = JsonStreamParser()
    parser.feed(b"[1e999,")
    with pytest.raises(ProtocolError):
        parser.partial()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", None),
        (b"  ", None),
        (b"12", None),
        (b"tru", None),
        (b"true", True),
        (b"12 ", 12),
        (b"{", {}),
        (b"[", []),
        (b'"', ""),
        (b'{"a', {}),
        (b'{"a"', {}),
        (b'{"a":', {}),
        (b'{"a": ', {}),
        (b'{"a":1', {}),
        (b'{"a":1,', {"a": 1}),
        (b'{"a":tr', {}),
        (b'{"a":true', {"a": True}),
        (b'{"a":true,"b', {"a": True}),
        (b'{"a":[1,{"b":"x', {"a": [1, {"b": "x"}]}),
        (b'{"a":[1,{"b":"x"},', {"a": [1, {"b": "x"}]}),
        (b'["a\\', ["a"]),
        (b'["a\\\\', ["a\\"]),
        (b'["a\\n', ["a\n"]),
        (b'["a\\u00e', ["a"]),
        (b'["a\\u00e9', ["aé"]),
        (b'["a\\ud83d', ["a"]),
        (b'["a\\ud83d\\', ["a"]),
        (b'["a\\ud83d\\ude0', ["a"]),
        (b'["a\\ud83d\\ude00', ["a😀"]),
        (b'["a\\\\ud83d', ["a\\ud83d"]),
        (b'["\\ud83d', [""]),
        (b'["a\xc3', ["a"]),
        (b'["a\xf0\x9f\x98', ["a"]),
        (b'["a\xf0\x9f\x98\x80', ["a😀"]),
        (b'{"a":1} ', {"a": 1}),
        (b'{"a":1} [', []),
        (b'{"a":1} 2', None),
    ],
)
def test_partial(text: bytes, expected: Any) -> None:
    for step in (len(text) or 1, 1):
        parser = JsonStreamParser()
        for pos in range(0, len(text), step):
            parser.feed(text[pos : pos + step])
            parser.partial()
        assert parser.partial() == expected


def test_partial_of_items_is_the_unfinished_item() -> None:
    parser = JsonStreamParser(("rows",))
    parser.feed(b'{"rows": [{"a": 1}, {"b": "x')
    assert parser.partial() == {"b": "x"}
    parser.feed(b'yz"}, ')
    assert parser.partial() == {"b": "xyz"}


def grows_into(partial: Any, whole: Any) -> bool:
    """Whether ``partial`` is ``whole`` with things missing at its end."""
    if isinstance(partial, str):
        return isinstance(whole, str) and whole.startswith(partial)
    if isinstance(partial, list):
        return isinstance(whole, list) and len(partial) <= len(whole) and all(map(grows_into, partial, whole))
    if isinstance(partial, dict):
        return isinstance(whole, dict) and all(
            key in whole and grows_into(partial[key], whole[key]) for key in partial
        )
    return bool(partial == whole)


def test_partial_grows_into_the_whole_at_every_byte() -> None:
    chance = random.Random(11)
    for _ in range(100):
        value = {"root": some_value(chance)}
        text = written(chance, value).encode()
        parser = JsonStreamParser()
        for pos in range(len(text)):
            given = parser.feed(text[pos : pos + 1])
            partial = parser.partial()
            assert grows_into({} if partial is None else partial, value), (text[: pos + 1], partial)
        assert given == [value]
        assert parser.partial() == value
