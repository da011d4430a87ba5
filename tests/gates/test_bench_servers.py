"""The servers that the measurements are made against: the C one and the package's own say the same bytes; and ``tercet bench``."""

from __future__ import annotations

import http.client
import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tercet import fold
from tercet.adapters.wires import make_wire
from tercet.cli.bench_server import DOCUMENTS, EVENT
from tercet.codecs.processor import StreamProcessor

ROOT = Path(__file__).resolve().parents[2]
PATHS = (
    "openai/json",
    "anthropic/json",
    "openai/stream/3",
    "anthropic/stream/70",
    "openai/paced/1000/4",
    "nothing",
)


@pytest.fixture(scope="module")
def upstream() -> Any:
    sys.path.insert(0, str(ROOT))
    try:
        return importlib.import_module("bench.upstream")
    finally:
        sys.path.remove(str(ROOT))


def ask(port: int, path: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(
            "POST", f"/{path}/v1/chat/completions", b"{}", {"content-type": "application/json"}
        )
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_both_servers_say_the_same(upstream: Any) -> None:
    with upstream.running("c") as fast, upstream.running("python") as plain:
        assert (fast.language, plain.language) == ("C", "Python")
        for path in PATHS:
            assert ask(fast.port, path) == ask(plain.port, path), path


def test_the_servers_count_their_own_cpu(upstream: Any) -> None:
    with upstream.running("python") as server:
        assert server.cpu() > 0


@pytest.mark.parametrize(("kind", "wire"), [("openai", "openai_chat"), ("anthropic", "anthropic")])
def test_what_they_say_is_a_whole_answer(upstream: Any, kind: str, wire: str) -> None:
    with upstream.running("python") as server:
        _, _, body = ask(server.port, f"{kind}/stream/5")
        _, _, paced = ask(server.port, f"{kind}/paced/1000/5")
    assert body == paced
    spoken = make_wire(wire, {})
    processor = StreamProcessor(spoken.decoder(), spoken.interpreter())
    answer = fold([*processor.process_chunk(body), *processor.finish()])
    assert answer.text == " token" * 5
    assert answer.is_complete
    assert spoken.response(DOCUMENTS[kind]["json"]).text == "Hello there."


def test_an_event_is_of_the_size_that_is_said() -> None:
    assert len(EVENT) == 244


def test_tercet_bench_prints_figures_beside_goals() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "tercet", "bench", "sse", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [line["goal"] for line in lines] == [100, 400, 750]
    assert all(line["figure"] > 0 and line["is_least"] for line in lines)
