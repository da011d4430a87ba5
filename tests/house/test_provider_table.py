"""The README's table of providers is what the rows say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tercet import cli

README = Path(__file__).resolve().parent.parent.parent / "README.md"


def test_the_table_is_generated(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["providers", "--markdown"]) == 0
    table = capsys.readouterr().out.strip()
    told = README.read_text().split("<!-- tercet providers --markdown -->")
    assert len(told) == 3
    assert told[1].strip() == table
