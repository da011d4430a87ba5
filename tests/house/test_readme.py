"""The README tells the truth: its Python examples run, its commands are those that CI runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs(number: int, tmp_path: Path) -> None:
    program = tmp_path / "example.py"
    program.write_text(EXAMPLES[number])
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
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


def test_there_are_examples_of_what_matters() -> None:
    text = "".join(EXAMPLES)
    for word in ("trio.run", "move_on_after", "Restarted", "MockClock", "load_toml", "blocking"):
        assert word in text


def test_ci_runs_the_readmes_test_command() -> None:
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert f"{commands[1]} -q" in (ROOT / ".ci" / "run").read_text()
