"""Values as JavaScript writes and reads them. The expected texts are what V8 prints for these literals (ECMA-262)."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tercet.adapters.reference.values import (
    get,
    is_true,
    number_text,
    parse_float,
    parse_json,
    stringify,
    text_of,
)

NUMBERS: list[tuple[float, str]] = [
    (0, "0"),
    (-0.0, "0"),
    (1.0, "1"),
    (-1.5, "-1.5"),
    (0.1, "0.1"),
    (0.1 + 0.2, "0.30000000000000004"),
    (1e-6, "0.000001"),
    (1e-7, "1e-7"),
    (1.5e-7, "1.5e-7"),
    (5.000000000000001e-07, "5.000000000000001e-7"),
    (123456.789, "123456.789"),
    (1e16, "10000000000000000"),
    (1e20, "100000000000000000000"),
    (123456789012345680000.0, "123456789012345680000"),
    (1e21, "1e+21"),
    (1.25e21, "1.25e+21"),
    (2**53, "9007199254740992"),
    (2**53 + 1, "9007199254740992"),
    (1.7976931348623157e308, "1.7976931348623157e+308"),
    (5e-324, "5e-324"),
    (math.nan, "NaN"),
    (-math.inf, "-Infinity"),
]


def test_numbers() -> None:
    assert [(value, number_text(value)) for value, _ in NUMBERS[:-2]] == NUMBERS[:-2]
    assert [number_text(value) for value, _ in NUMBERS[-2:]] == [text for _, text in NUMBERS[-2:]]


@settings(max_examples=200, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back(value: float) -> None:
    assert float(number_text(value)) == value


def test_stringify() -> None:
    value = {
        "b": [1.0, None, True, {}],
        "10": "ten",
        "2": "two",
        "a": "é\u2028\x7f\n\x00 \ud83c end",
        "x": [],
    }
    assert stringify(value) == (
        '{"2":"two","10":"ten","b":[1,null,true,{}],"a":"é\u2028\x7f\\n\\u0000 \\ud83c end","x":[]}'
    )
    assert stringify("\ud83c" + "\udf89") == '"🎉"'
    assert stringify({"a": [1, {"b": []}], "c": {}}, indent=2) == (
        '{\n  "a": [\n    1,\n    {\n      "b": []\n    }\n  ],\n  "c": {}\n}'
    )


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )
)
def test_what_is_written_is_the_json_that_json_reads(value: Any) -> None:
    assert json.loads(stringify(value)) == value
    assert json.loads(stringify(value, indent=2)) == value


def test_parse_json() -> None:
    assert parse_json("9007199254740993") == 9007199254740992
    assert parse_json('["\\ud83c", 1e400]') == ["\ud83c", math.inf]
    assert parse_json("1" * 500) == math.inf
    for bad in ("NaN", "[1,]", "'a'", "", '"\n"', "[" * 100_000):
        with pytest.raises(ValueError):  # noqa: PT011  # ValueError is the promise, its text is the standard library's
            parse_json(bad)


def test_truth_text_and_floats() -> None:
    assert [is_true(value) for value in (None, False, 0, math.nan, "", [], {}, "0", 0.5)] == [
        *[False] * 5,
        *[True] * 4,
    ]
    assert text_of([{"a": 1}, None, [1, "x"]]) == "[object Object],,1,x"
    assert parse_float(" 12.5abc") == 12.5
    assert parse_float(".5e1") == 5
    assert math.isnan(parse_float("soon"))
    assert math.isnan(parse_float(None))
    assert get({"a": [{"b": 1}]}, "a", 0, "b") == 1
    assert get({"a": [{"b": 1}]}, "a", 1, "b") is None
    assert get("text", "length") is None
