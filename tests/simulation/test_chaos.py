"""``tercet demo --chaos SEED``: a table, a tree, and an exit code that says whether everything held."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tercet.cli import chaos, main


def test_the_chaos_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--chaos", "7"]) == 0
    told = capsys.readouterr().out
    for word in (
        "After 30 s:",
        "breaker",
        "requests",
        "complete",
        "attempts",
        "failovers",
        "seed 7",
        "Held:",
    ):
        assert word in told
    assert main(["demo", "--chaos", "7", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["requests"] == sum(facts["outcomes"].values()) == 600
    assert facts["violations"] == []
    assert facts["digest"][:16] in told


def test_what_does_not_hold_is_a_failure(monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(plan: Any, **how: Any) -> Any:
        report = chaos.Report(plan.seed)
        report.violations.append("at 1.0: made up")
        return report

    monkeypatch.setattr(chaos, "run_simulation", broken)
    assert main(["demo", "--chaos", "1"]) == 1
    told = capsys.readouterr().out
    assert "violated at 1.0: made up" in told
    assert "Held" not in told
