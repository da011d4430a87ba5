"""The command line, as a person meets it: in a process of its own."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tercet import cli


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_KEY", "_TOKEN"))}
    return {**kept, "NO_COLOR": "1", **more}


def tercet(*words: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tercet", *words],
        input=stdin,
        capture_output=True,
        text=True,
        env=environment(**env),
        timeout=60,
        check=False,
    )


def lines(told: subprocess.CompletedProcess[str]) -> list[Any]:
    return [json.loads(line) for line in told.stdout.splitlines()]


def test_the_demo_shows_a_failover_and_succeeds() -> None:
    told = tercet("demo")
    assert told.returncode == 0, told.stderr
    assert "takes over" in told.stdout
    assert "5 of 5 answers complete" in told.stdout
    rows = lines(tercet("demo", "--json"))
    assert [row["state"] for row in rows] == ["complete"] * 5
    assert [row["attempts"] for row in rows] == [1, 1, 1, 2, 2]
    assert {row["provider"] for row in rows} == {"alder", "birch", "cedar"}
    assert all(row["usage"]["cost"] > 0 for row in rows)


def test_the_live_picture_can_be_drawn() -> None:
    demo_live = pytest.importorskip("tercet.cli.demo_live", reason="the extra `rich` is not installed")
    from rich.console import Console

    from tercet.cli.demo import Row

    row = Row("one", "a wish", ["alder:lorem"])
    view = demo_live.LiveView([row])
    row.text, row.state = "some words " * 50, "streaming"
    view.happened(row, "has begun")
    view.changed()
    console = Console(width=80, record=True, file=io.StringIO())
