"""The driver of conversations on a real machine: files, and programs that run, fail, linger and are cancelled."""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from tercet.adapters.reference import (
    Conversation,
    Emit,
    Exit,
    Exited,
    Read,
    ReadFile,
    ReferenceProvider,
    RunProcess,
    WriteFile,
)
from tercet.codecs.vocabulary import ConfigurationError, ConnectError, ProviderError
from tercet.engine.runtime import local
from tercet.engine.runtime.local import read_file, start_process, write_file
from tercet.engine.runtime.reference import ReferenceStream, Surroundings, run
from tercet.engine.runtime.transport import Transport
from tercet.engine.testing import MemoryNetwork

MESSAGES = [{"role": "user", "content": "hi"}]
FAKE = """#!{python}
import json, os, sys
said = json.loads(sys.stdin.read())
sys.stderr.write("warming up\\n")
for event in (
    {{"type": "system", "subtype": "init", "apiKeySource": "x"}},
    {{"type": "assistant", "message": {{"stop_reason": None, "usage": {{"input_tokens": len(said)}},
      "content": [{{"type": "text", "text": "{{}} {{}}".format(sys.argv[3], os.environ["CLAUDE_CODE_MAX_OUTPUT_TOKENS"])}}]}}}},
    {{"type": "result", "result": "", "total_cost_usd": 1}},
):
    print(json.dumps(event), flush=True)
"""


def transport() -> Transport:
    return Transport(MemoryNetwork())


def program(code: str, stdin: bytes = b"") -> RunProcess:
    return RunProcess((sys.executable, "-c", code), stdin, {"TERCET_TEST": "1"})


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_files_are_there_at_once_for_their_owner_alone(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError):
        await read_file("~/.x/y.json")
    await write_file("~/.x/y.json", "{} é")
    await write_file("~/.x/y.json", "{}")
    assert await read_file("~/.x/y.json") == "{}"
    assert stat.S_IMODE((tmp_path / ".x/y.json").stat().st_mode) == 0o600
    assert names(tmp_path / ".x") == ["y.json"], "nothing else is left there"
    with pytest.raises(IsADirectoryError):
        await write_file("~/.x", "z")
    assert names(tmp_path) == [".x"]


async def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(local, "_MAX_FILE", 10)
    (tmp_path / "f").write_text("x" * 11)
    with pytest.raises(ConfigurationError, match="larger than 10 bytes"):
        await read_file(str(tmp_path / "f"))


async def test_a_conversation_gets_its_files_and_their_failures(tmp_path: Path) -> None:
    def talk() -> Conversation[str]:
        try:
            yield ReadFile(str(tmp_path / "f"))
        except FileNotFoundError:
            yield WriteFile(str(tmp_path / "f"), "made")
        return (yield ReadFile(str(tmp_path / "f")))

    assert await run(talk(), transport()) == "made"


async def test_a_program_is_read_like_an_answer() -> None:
    code = "import os, sys; print(len(sys.stdin.read()), os.environ['TERCET_TEST']); sys.stderr.write('e'); sys.exit(3)"

    def talk() -> Conversation[tuple[bytes, Exited]]:
        yield program(code, b"x" * 300_000)
        said = b""
        while data := (yield Read()):
            said += data
        return said, (yield Exit())

    assert await run(talk(), transport()) == (b"300000 1\n", Exited(3, b"e"))


async def test_a_program_that_is_left_is_killed_and_gone() -> None:
    children: list[local.ChildProcess] = []

    async def start(wanted: RunProcess) -> local.ChildProcess:
        children.append(await start_process(wanted))
        return children[-1]

    def talk() -> Conversation[None]:
        yield program("import time\nprint('a', flush=True)\ntime.sleep(600)")
        yield Read()
        yield Emit({"type": "text", "text": "a"})
        yield Read()

    around = Surroundings(start=start)
    async with ReferenceStream(talk(), transport(), around) as stream:
        assert await stream.__anext__() == {"type": "text", "text": "a"}
    with trio.CancelScope() as scope:
        await run(talk(), transport(), around, emit=lambda _: scope.cancel())
    assert scope.cancelled_caught
    assert len(children) == 2
    for child in children:
        assert child._process.returncode == -9
        await child.aclose()


async def test_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("text")
    for path, code in ((tmp_path / "gone", "ENOENT"), (plain, "EACCES")):
        with pytest.raises(ConnectError) as caught:
            await start_process(RunProcess((str(path),), b"", {}))
        assert (caught.value.phase, caught.value.code) == ("process", code)


async def test_claude_code_runs_what_the_settings_name(tmp_path: Path) -> None:
    fake = tmp_path / "claude"
    fake.write_text(FAKE.format(python=sys.executable))
    fake.chmod(0o700)
    provider = ReferenceProvider("claude-code", {"claudeCodePath": str(fake), "claudeCodeMaxOutputTokens": 5})
    said: list[Any] = []
    await run(provider.create_message("the system", MESSAGES), transport(), emit=said.append)
    assert said[0] == {"type": "text", "text": "the system 5"}
    assert (said[1]["inputTokens"], said[1]["totalCost"]) == (1, 1)
    gone = ReferenceProvider("claude-code", {"claudeCodePath": str(tmp_path / "gone")})
    with pytest.raises(ConnectError, match="Claude Code executable"):
        await run(gone.create_message("", MESSAGES), transport())


class Editor:
    """A bridge that answers."""

    def __init__(self) -> None:
        self.parts: list[Any] = [{"text": "a"}, None]

    async def call(self, call: Any, /) -> Any:
        await trio.lowlevel.checkpoint()
        if "select" in call:
            return [{"id": "m", "name": "M", "vendor": "v"}]
        if "countTokens" in call:
            raise ProviderError("not now")
        return None

    async def next_part(self) -> Any:
        await trio.lowlevel.checkpoint()
        return self.parts.pop(0)


async def test_an_editor_is_asked_through_a_bridge() -> None:
    provider = ReferenceProvider("vscode-lm", {})
    with pytest.raises(ConfigurationError, match="Surroundings"):
        await run(provider.create_message("", MESSAGES), transport())
    said: list[Any] = []
    await run(
        provider.create_message("", MESSAGES), transport(), Surroundings(host=Editor()), emit=said.append
    )
    assert said == [{"type": "text", "text": "a"}, {"type": "usage", "inputTokens": 0, "outputTokens": 0}]


async def test_a_conversation_that_asks_out_of_turn_is_told_so() -> None:
    def talk() -> Conversation[None]:
        yield Exit()

    with pytest.raises(RuntimeError, match="before it ran one"):
        await run(talk(), transport())
