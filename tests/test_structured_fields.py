"""RFC 9651: every row of the working group's own parse tests."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tercet.adapters.structured_fields import (
    Date,
    Member,
    Token,
    parse_dictionary,
    parse_item,
    parse_list,
)

FILES = ("item", "dictionary", "list", "param-list", "param-dict", "number", "date", "token", "string")


def as_json(value: Any) -> Any:
    """A parsed value in the notation of the test files."""
    if isinstance(value, Member):
        return [as_json(value.value), [[key, as_json(of)] for key, of in value.parameters.items()]]
    if isinstance(value, dict):
        return [[key, as_json(member)] for key, member in value.items()]
    if isinstance(value, list):
        return [as_json(member) for member in value]
    if isinstance(value, Token):
        return {"__type": "token", "value": str(value)}
    if isinstance(value, Date):
        return {"__type": "date", "value": int(value)}
    if isinstance(value, bytes):
        return {"__type": "binary", "value": base64.b32encode(value).decode()}
    return value


def test_every_row_of_the_working_groups_tests(shared: Path) -> None:
    parse = {"item": parse_item, "list": parse_list, "dictionary": parse_dictionary}
    wrong: list[str] = []
    count = 0
    for name in FILES:
        for row in json.loads((shared / "vectors/http-structured-fields" / f"{name}.json").read_text()):
            count += 1
            text = ", ".join(row["raw"])
            try:
                got = as_json(parse[row["header_type"]](text))
            except ValueError:
                if not row.get("must_fail") and not row.get("can_fail"):
                    wrong.append(f"{name}: {row['name']}: refused {row['raw']}")
                continue
            if row.get("must_fail"):
                wrong.append(f"{name}: {row['name']}: accepted {row['raw']} as {got}")
            elif got != row["expected"]:
                wrong.append(f"{name}: {row['name']}: {got} is not {row['expected']}")
    assert not wrong, "\n".join(wrong)
    assert count == 150


@pytest.mark.parametrize(
    "text", ["a, b,", "(1 2", "(1(2))", "a;=1", ":a:", "?2", '%"x"', "1.", "1.2345", "\u0661"]
)
def test_a_mistake_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="structured field"):
        parse_list(text)
