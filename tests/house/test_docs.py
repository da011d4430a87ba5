"""The guides tell the truth: their Python examples run as they stand, and what they name is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tercet
from tercet.adapters.reference.deviations import RULES
from tercet.adapters.wires import WIRES

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = {path.name: path.read_text("utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
EXAMPLES = [
    (name, number, text)
    for name, guide in DOCS.items()
    for number, text in enumerate(re.findall(r"```python\n(.*?)```", guide, re.DOTALL), 1)
]


@pytest.mark.parametrize(("name", "number", "text"), EXAMPLES, ids=[f"{name}-{n}" for name, n, _ in EXAMPLES])
def test_an_example_runs(name: str, number: int, text: str, tmp_path: Path) -> None:
    program = tmp_path / "example.py"
    program.write_text(text, "utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_API_KEY")}
    told = subprocess.run(
        [sys.executable, "-W", "error", str(program)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=60,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert told.stderr == ""


def test_the_guides_are_there_and_have_examples() -> None:
    assert set(DOCS) == {"migration-from-litellm.md", "migration-from-roo-code.md", "wires.md"}
    assert {name for name, _, _ in EXAMPLES} >= {"migration-from-litellm.md", "migration-from-roo-code.md"}


def test_every_wire_has_its_section() -> None:
    sections = set(re.findall(r"^## `(\w+)`$", DOCS["wires.md"], re.MULTILINE))
    assert sections >= set(WIRES)


def test_every_deviation_is_told_with_its_reason() -> None:
    for rule in RULES:
        assert f"| `{rule.name}` | {rule.reason} |" in DOCS["migration-from-roo-code.md"], rule.name


def test_names_of_tercet_in_the_guides_exist() -> None:
    wrong = []
    for name, guide in DOCS.items():
        for said in set(re.findall(r"\btercet\.([A-Za-z_]\w*)", guide)):
            if said not in ("adapters", "codecs", "engine", "testing") and not hasattr(tercet, said):
                wrong.append(f"{name}: tercet.{said}")
    assert not wrong
