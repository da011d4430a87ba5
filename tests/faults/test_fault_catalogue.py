"""The catalogue is whole: every row of ``faults.json`` has an entry, every entry is tested, and what is left out is counted."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from .catalogue import ENTRIES

HERE = Path(__file__).parent
ROWS = 128
NOT_APPLICABLE = 0
LEFT_OUT = 13
OTHERWISE = 20
OVER_SOCKETS = 60


@pytest.fixture(scope="module")
def rows(shared: Path) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in json.loads((shared / "faults.json").read_text("utf-8"))}


def functions_of(name: str) -> set[str]:
    """The test functions of a module, by its name relative to this folder."""
    tree = ast.parse((HERE / f"{name}.py").resolve().read_text("utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def runs_over_sockets(reference: str) -> bool:
    """Whether a test of this folder runs over sockets, too: it is parametrised so, or says so."""
    name, _, function = reference.partition("::")
    tree = ast.parse((HERE / f"{name}.py").resolve().read_text("utf-8"))
    source = next(
        ast.unparse(node)
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function
    )
    return "sockets" in source or "@OVER" in source or "open_tcp_listeners" in source


def test_every_row_has_an_entry_and_every_entry_a_row(rows: dict[str, dict[str, Any]]) -> None:
    assert len(rows) == ROWS
    assert sorted(ENTRIES) == sorted(rows)


def test_every_entry_is_tested_or_says_why_not() -> None:
    untested = [
        row for row, entry in ENTRIES.items() if not (entry.cases or entry.tested_by or entry.not_applicable)
    ]
    both = [
        row for row, entry in ENTRIES.items() if entry.not_applicable and (entry.cases or entry.tested_by)
    ]
    assert (untested, both) == ([], [])
    assert sum(bool(entry.not_applicable) for entry in ENTRIES.values()) == NOT_APPLICABLE
    assert sum(bool(entry.left_out) for entry in ENTRIES.values()) == LEFT_OUT


def test_what_is_said_to_be_tested_is_there() -> None:
    missing = [
        f"{row}: {reference}"
        for row, entry in ENTRIES.items()
        for reference in entry.tested_by
        if reference.partition("::")[2] not in functions_of(reference.partition("::")[0])
    ]
    assert missing == []


def test_both_sides_of_the_first_content_are_played(rows: dict[str, dict[str, Any]]) -> None:
    """Where a row says what must happen before the first content and after it, there are cases on both sides (or tests of its own)."""
    missing: list[str] = []
    for row, facts in rows.items():
        entry = ENTRIES[row]
        if not entry.cases:
            continue
        played = {case.when for case in entry.cases}
        wanted = {side for side in ("before", "after") if facts[side] not in ("-", "")}
        if not wanted <= played:
            missing.append(f"{row}: {sorted(wanted - played)}")
    assert missing == []


def test_names_of_cases_are_unique() -> None:
    for row, entry in ENTRIES.items():
        names = [(case.when, case.name) for case in entry.cases]
        assert len(set(names)) == len(names), (row, [name for name in names if names.count(name) > 1])


def test_enough_rows_are_played_over_sockets() -> None:
    over = {
        row
        for row, entry in ENTRIES.items()
        if any("sockets" in case.over for case in entry.cases)
        or any(not name.startswith("..") and runs_over_sockets(name) for name in entry.tested_by)
    }
    assert len(over) >= OVER_SOCKETS


def test_where_the_engine_does_otherwise_it_is_said_and_counted() -> None:
    """Rows with a case that does not do what the row's text says; each says why. The number does not grow by itself."""
    assert sum(any(case.why for case in entry.cases) for entry in ENTRIES.values()) == OTHERWISE
