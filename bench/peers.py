"""The peers: which there are, their environments (``bench/.venvs``, made by ``python -m bench setup``), and their processes.

Each peer is pinned in ``bench/peers/NAME.txt`` and lives in a virtual environment of its own, because they do not get on with each other
(the openai SDK and litellm want different versions of one package). Our own clients run in the environment that runs the benchmark.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HERE = Path(__file__).parent
VENVS = HERE / ".venvs"
LOCKS = HERE / "peers"
CLIENTS = HERE / "clients"
NODE = VENVS / "node"

ENVIRONMENTS = {
    "tercet_all": "",
    "tercet_bare": "",
    "tercet_anthropic": "",
    "trio_plain": "plain",
    "trio_h11": "plain",
    "httpx_trio": "httpx",
    "httpx2_trio": "httpx2",
    "aiohttp_asyncio": "aiohttp",
    "openai_sdk": "openai",
    "anthropic_sdk": "anthropic",
    "litellm_sdk": "litellm",
    "any_llm_sdk": "any-llm",
}
"""Of each client's script, the environment it runs in; empty for our own."""
LABELS = {
    "tercet_all": "tercet, everything on",
    "tercet_bare": "tercet's bare transport",
    "tercet_anthropic": "tercet (Anthropic's wire)",
    "trio_plain": "trio.SocketStream, parsed by hand",
    "trio_h11": "trio + h11",
    "httpx_trio": "httpx (trio)",
    "httpx2_trio": "httpx2 (trio)",
    "aiohttp_asyncio": "aiohttp",
    "openai_sdk": "openai SDK",
    "anthropic_sdk": "anthropic SDK",
    "litellm_sdk": "litellm",
    "any_llm_sdk": "any-llm",
}


class ClientError(RuntimeError):
    """A client's process could not do what it was told."""


class Client:
    """A client's process: started once, told what to do by lines of JSON."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self._said = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115  # closed with the process; some peers tell of their own faults at length
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True
        )
        try:
            self.packages: dict[str, str] = self._answer()
        except ClientError:
            self.close()
            raise

    def ask(self, case: str, **arguments: Any) -> dict[str, Any]:
        """Run a case in there. Raises :class:`ClientError` with what went wrong."""
        assert self._process.stdin is not None
        print(json.dumps({"case": case, **arguments}), file=self._process.stdin, flush=True)
        told = self._answer()
        if "error" in told:
            raise ClientError(f"{self.name}: {told['error']}")
        return told

    def seconds(self, case: str, **arguments: Any) -> float:
        """CPU seconds per unit of a case."""
        told = self.ask(case, **arguments)
        return float(told["cpu"]) / float(told["units"])

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._said.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._said.seek(0)
            last = self._said.read().strip().rpartition("\n")[2]
            raise ClientError(f"{self.name}: its process ended: {last}")
        told: dict[str, Any] = json.loads(line)
        return told


class Clients:
    """The processes of a run, started when first asked for; ``missing`` says which peers cannot be had, and why."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._clients: dict[str, Client] = {}
        self.missing: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()

    def get(self, name: str) -> Client | None:
        """The client's process, None if it cannot be had."""
        if name not in self._clients and name not in self.missing:
            try:
                client = Client(name, command(name))
            except (ClientError, FileNotFoundError) as error:
                self.missing[name] = str(error)
                print(f"{name} cannot be had and is left out: {error}", file=sys.stderr)
                return None
            self._clients[name] = client
            self._open.callback(client.close)
        return self._clients.get(name)

    def those(self, names: Iterable[str]) -> dict[str, Client]:
        """Of these clients, those that can be had."""
        found = {name: self.get(name) for name in names}
        return {name: client for name, client in found.items() if client is not None}

    @property
    def packages(self) -> dict[str, dict[str, str]]:
        """The versions in each client's environment."""
        return {name: client.packages for name, client in self._clients.items()}


def command(name: str) -> list[str]:
    """How the client's process is started. Raises :class:`FileNotFoundError` if its environment was not made."""
    if name == "eventsource_parser":
        node = shutil.which("node")
        if node is None or not (NODE / "node_modules" / "eventsource-parser").is_dir():
            raise FileNotFoundError("no node, or no eventsource-parser: run `python -m bench setup`")
        return [node, str(CLIENTS / "eventsource_parser.mjs"), str(NODE)]
    python = Path(sys.executable)
    if ENVIRONMENTS[name]:
        python = VENVS / ENVIRONMENTS[name] / "bin" / "python"
        if not python.exists():
            raise FileNotFoundError(f"no environment {ENVIRONMENTS[name]!r}: run `python -m bench setup`")
    return [str(python), str(CLIENTS / f"{name}.py")]


def setup() -> int:
    """Make every peer's environment from its lock file; the exit code. What cannot be installed is said and left out."""
    failed: list[str] = []
    for lock in sorted(LOCKS.glob("*.txt")):
        where = VENVS / lock.stem
        print(f"{lock.stem}: {where}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(where)], check=True)
        pip = [str(where / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, "--requirement", str(lock)], check=False).returncode:
            failed.append(lock.stem)
    npm = shutil.which("npm")
    if npm is not None:
        NODE.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(LOCKS / "node" / name, NODE / name)
        if subprocess.run([npm, "ci", "--silent"], cwd=NODE, check=False).returncode:
            failed.append("node")
    if failed:
        print(f"not installed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0
