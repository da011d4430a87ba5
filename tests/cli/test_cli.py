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


def test_every_row_streams_at_once() -> None:
    told = tercet("demo", "--all")
    assert told.returncode == 0, told.stdout
    rows = lines(tercet("demo", "--all", "--json"))
    assert len({row["provider"] for row in rows}) >= 35
    assert all(row["ended"].startswith("complete, ") for row in rows)


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
    console.print(view.live.get_renderable())
    picture = console.export_text()
    assert "some words" in picture
    assert "one: has begun" in picture


def test_chat_answers() -> None:
    told = tercet("chat", "-m", "simulated:echo", "Hello there")
    assert (told.returncode, told.stdout, told.stderr) == (0, "Hello there\n", "")
    told = tercet("chat", "-m", "simulated:think", "--reasoning", "-", stdin="From a pipe")
    assert told.stdout == "The answer is 42.\n"
    assert "Let me see" in told.stderr
    *tokens, answer = lines(tercet("chat", "--json", "-m", "simulated:echo", "Hello there"))
    assert [token["type"] for token in tokens] == ["text", "text", "usage", "finish"]
    assert answer["type"] == "response"
    assert answer["parts"][0]["text"] == "Hello there"


def test_chat_says_what_is_wrong() -> None:
    told = tercet("chat", "hi")
    assert told.returncode == 2
    assert "OPENAI_API_KEY" in told.stderr
    assert "--model simulated:echo" in told.stderr
    told = tercet("chat", "-m", "opnai:x", "hi")
    assert told.returncode == 2
    assert "did you mean openai" in told.stderr
    dead = ("chat", "-m", "openai:gpt-5.1", "--base-url", "http://127.0.0.1:1/v1", "hi")
    told = tercet(*dead, OPENAI_API_KEY="sk-secret-value")
    assert told.returncode == 1
    assert "refused" in told.stderr
    assert "sk-secret-value" not in told.stderr
    told = tercet("chat", "-m", "simulated:cut", "hi")
    assert told.returncode == 1
    assert told.stdout.startswith("lorem ipsum")
    assert told.stdout.endswith("\n")
    assert "Traceback" not in told.stderr
    [*_, error] = lines(tercet("chat", "--json", "-m", "simulated:busy", "--max-tokens", "5", "hi"))
    assert error["error"] == "RateLimitError"
    assert tercet("chat", "-m", "simulated:echo", "").returncode == 2


@pytest.mark.parametrize(
    "words", [("chat", "-m", "simulated:lorem", "hi"), ("demo", "--plain")], ids=["chat", "demo"]
)
def test_ctrl_c_in_mid_stream(words: tuple[str, ...]) -> None:
    """130, what was said stays, no traceback."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "tercet", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdout.read(5)  # it streams
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error.decode() == ""


def test_help_is_light() -> None:
    program = (
        "import sys, tercet.cli\n"
        "try: tercet.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('trio' in sys.modules, 'msgspec' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "False False"


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["providers"]) == 0
    assert "anthropic" in capsys.readouterr().out
    assert cli.main(["providers", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"openai", "anthropic", "gemini", "simulated"} <= {row["id"] for row in rows}
    assert cli.main(["models", "deepseek"]) == 0
    assert "deepseek-v4-flash" in capsys.readouterr().out
    assert cli.main(["models", "nobody"]) == 2
    assert "no provider 'nobody'" in capsys.readouterr().err
    assert cli.main(["models", "simulated", "--live", "--json"]) == 0
    assert "echo" in capsys.readouterr().out
    assert cli.main([]) == 2
    assert cli.main(["--version"]) == 0


def test_the_doctor_names_variables_and_no_values(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk-a-secret-value")
    assert cli.main(["doctor", "groq", "--offline"]) == 0
    told = capsys.readouterr().out
    assert "GROQ_API_KEY" in told
    assert "a-secret-value" not in told
    monkeypatch.setenv("GROQ_API_KEY", "a key with blanks")
    assert cli.main(["doctor", "groq", "--offline", "--json"]) == 1
    [report] = json.loads(capsys.readouterr().out)["providers"]
    assert "U+0020" in report["problem"]


def test_parity_counts(tmp_path: Path) -> None:
    recordings = Path(__file__).resolve().parent.parent / "recordings" / "groq"
    told = tercet("parity", str(recordings))
    assert told.returncode == 0, told.stdout
    assert "0 differ" in told.stdout.splitlines()[-1]
    assert tercet("parity", str(tmp_path / "nowhere")).returncode != 0
