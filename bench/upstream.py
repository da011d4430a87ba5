"""The server that answers, in a process of its own: ``upstream.c`` where there is a compiler, the package's Python one elsewhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tercet.cli.bench_server import DOCUMENTS

HERE = Path(__file__).parent
HEADROOM = 5.0
"""How many times as much CPU a client must use as the server, for the figure to be the client's."""


class Upstream:
    """A running server: its ``port``, what it is written in, and the CPU seconds it has used."""

    def __init__(self, port: int, language: str) -> None:
        self.port = port
        self.language = language

    def base(self, kind: str, *what: object) -> str:
        """The base URL that makes it answer so: ``base("openai", "stream", 200)``."""
        path = "/".join(map(str, (kind, *what)))
        return f"http://127.0.0.1:{self.port}/{path}/v1"

    def cpu(self) -> float:
        """CPU seconds of the server's process so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/cpu") as answer:
            return float(json.load(answer)["cpu"])


@contextmanager
def running(language: str = "c") -> Iterator[Upstream]:
    """Run the server."""
    with tempfile.TemporaryDirectory() as directory:
        command = _compiled(Path(directory)) if language == "c" else None
        made_in = "C" if command else "Python"
        command = command or [sys.executable, "-m", "tercet.cli.bench_server"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Upstream(int(process.stdout.readline()), made_in)
        finally:
            process.stdin.close()
            process.wait(10)
            process.stdout.close()


def _compiled(directory: Path) -> list[str] | None:
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    program = directory / "upstream"
    subprocess.run([compiler, "-O2", "-o", str(program), str(HERE / "upstream.c")], check=True)
    for kind, parts in DOCUMENTS.items():
        for part, data in parts.items():
            (directory / f"{kind}.{part}").write_bytes(data)
    return [str(program), str(directory)]
