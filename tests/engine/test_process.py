"""Providers that are programs: a fake ``claude``, run by the manager. Real processes, real pipes, real time."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

import tercet
from tercet.adapters.call import HttpCall, Origin
from tercet.codecs.wire.claude_cli_run import EXEC, FileArgument, ProgramExit, ProgramRun
from tercet.engine.runtime.process import ProcessSender
from tercet.testing import assert_nothing_left, sweep_cancellation

PROGRAM = r"""
import json, os, signal, subprocess, sys, time
here = os.path.dirname(os.path.abspath(__file__))
plans = json.load(open(os.path.join(here, "plans.json")))
stdin = sys.stdin.read()
files = [open(name).read() for name in sys.argv if name.startswith("/dev/fd/")]
with open(os.path.join(here, "seen.jsonl"), "a") as seen:
    known = {"pid": os.getpid(), "argv": sys.argv[1:], "stdin": stdin, "env": dict(os.environ), "files": files}
    seen.write(json.dumps(known) + "\n")
count = sum(1 for _ in open(os.path.join(here, "seen.jsonl")))
for what, value in plans[min(count, len(plans)) - 1]:
    if what == "out":
        sys.stdout.write(value); sys.stdout.flush()
    elif what == "err":
        sys.stderr.write(value); sys.stderr.flush()
    elif what == "exit":
        sys.exit(value)
    elif what == "kill":
        os.kill(os.getpid(), value)
    elif what == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif what == "child":
        child = subprocess.Popen([sys.executable, "-c", "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        child.stdout.readline()
        open(os.path.join(here, "child.pid"), "w").write(str(child.pid))
    elif what == "sleep":
        time.sleep(value)
    elif what == "flood":
        try:
            while True:
                sys.stdout.write(value); sys.stdout.flush()
        except BrokenPipeError:
            os._exit(0)
"""

Step = tuple[str, Any]
LONG = ("sleep", 600)


def line(**shape: Any) -> Step:
    return ("out", json.dumps(shape, ensure_ascii=False) + "\n")


def event(kind: str, **more: Any) -> Step:
    return line(type="stream_event", event={"type": kind, **more})


INIT = line(type="system", subtype="init", apiKeySource="none", session_id="s")
START = event(
    "message_start",
    message={"id": "m1", "model": "claude-x", "usage": {"input_tokens": 3, "output_tokens": 1}},
)
BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
RESULT = line(
    type="result",
    subtype="success",
    is_error=False,
    result="x",
    total_cost_usd=0.1,
    usage={"input_tokens": 3, "output_tokens": 2},
)
END = [
    event("content_block_stop", index=0),
    event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2}),
    event("message_stop"),
    RESULT,
]


def text(piece: str) -> Step:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})


GOOD: list[Step] = [INIT, START, BLOCK, text("Hello, "), text("wörld 🎉"), *END]


class Claude:
    """The fake program: what it will do, and what it saw."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "claude"
        self.path.write_text(f"#!{sys.executable}\n{PROGRAM}")
        self.path.chmod(0o755)
        self.plan(GOOD)

    def plan(self, *plans: list[Step]) -> None:
        """One plan a run; the last one counts for all that follow."""
        (self.folder / "plans.json").write_text(json.dumps(plans))

    @property
    def seen(self) -> list[dict[str, Any]]:
        path = self.folder / "seen.jsonl"
        return [json.loads(one) for one in path.read_text().splitlines()] if path.exists() else []

    @property
    def grandchild(self) -> int:
        return int((self.folder / "child.pid").read_text())

    @asynccontextmanager
    async def manager(self, **settings: Any) -> AsyncGenerator[tercet.ProviderManager, None]:
        environ = {"ANTHROPIC_API_KEY": "inherited-key-1", "HOME": str(self.folder), "PATH": ""}
        given = {
            "environ": environ,
            "random": lambda: 0.5,
            "retry": tercet.RetryPolicy(max_attempts=1),
            **settings,
        }
        base_urls = {"claude-code": f"exec://{self.path}"}
        async with tercet.open_manager(base_urls=base_urls, **given) as manager:
            yield manager


@pytest.fixture
def claude(tmp_path: Path) -> Claude:
    return Claude(tmp_path)


@pytest.fixture(autouse=True)
def _no_children() -> Iterator[None]:
    """After every test: no child that runs, and none that nobody has waited for."""
    yield
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def ask(messages: Any = "Hi", **more: Any) -> tercet.ChatRequest:
    return tercet.ChatRequest("claude-code:sonnet", messages, **more)


def is_running(pid: int) -> bool:
    """Whether a process that is no child of ours runs; a zombie that its parent has not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def wait_gone(pid: int) -> None:
    """Wait until a process that is no child of ours has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with trio.fail_after(20):
        await trio.lowlevel.wait_readable(descriptor)
    os.close(descriptor)


async def test_an_answer_as_it_comes_and_whole(claude: Claude) -> None:
    async with claude.manager() as manager:
        async with manager.chat_stream(ask()) as stream:
            tokens = [token async for token in stream]
        whole = await manager.chat(ask())
    assert [token.text for token in tokens if isinstance(token, tercet.TextDelta)] == ["Hello, ", "wörld 🎉"]
    assert stream.response.text == whole.text == "Hello, wörld 🎉"
    assert stream.response.usage == whole.usage == tercet.Usage(3, 2, cost=0.0)
    assert (whole.finish_reason, whole.served_model, whole.provider) == ("stop", "claude-x", "claude-code")


async def test_what_the_program_is_given(claude: Claude) -> None:
    long = "Be careful. " * 4000
    async with claude.manager() as manager:
        await manager.chat(ask([tercet.system(long), tercet.user("Hi; $(rm -rf /) `x` 'y'")], max_tokens=7))
        await manager.chat(ask([tercet.system("-n brief"), tercet.user("ü" * 300_000)]))
    first, second = claude.seen
    assert first["files"] == [long]
    assert first["stdin"] == "Hi; $(rm -rf /) `x` 'y'"
    assert "--include-partial-messages" not in first["argv"]
    assert first["argv"][first["argv"].index("--tools") + 1] == ""
    assert first["env"]["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "7"
    assert "ANTHROPIC_API_KEY" not in first["env"]
    assert first["env"]["HOME"] == str(claude.folder)
    assert second["argv"][second["argv"].index("--system-prompt") + 1] == "-n brief"
    assert len(second["stdin"]) == 300_000


async def test_a_key_that_was_given_goes_into_its_environment(claude: Claude) -> None:
    async with claude.manager(keys={"claude-code": "given-key-123456"}) as manager:
        await manager.chat(ask())
    assert claude.seen[0]["env"]["ANTHROPIC_API_KEY"] == "given-key-123456"
    assert not any("given-key" in argument for argument in claude.seen[0]["argv"])


async def test_health_and_lists(claude: Claude) -> None:
    claude.plan(
        [("out", "2.1.238 (Claude Code)\n")],
        [("out", "2.1.238 (Claude Code)\n")],
        [("err", "no node\n"), ("exit", 127)],
    )
    async with claude.manager() as manager:
        assert [model.id for model in await manager.list_models("claude-code")] == ["sonnet", "opus", "haiku"]
        assert (await manager.health_check("claude-code")).is_healthy
        sick = await manager.health_check("claude-code")
        assert sick.state == "unhealthy"
        assert "no node" in sick.reasons[0]
    assert claude.seen[0]["argv"] == ["--version"]


async def test_no_such_program(claude: Claude) -> None:
    async with tercet.open_manager(
        environ={"PATH": str(claude.folder)}, base_urls={"claude-code": "exec://claud"}
    ) as manager:
        with pytest.raises(tercet.ConfigurationError, match=r"no program 'claud'.*npm install") as caught:
            await manager.chat(ask())
    assert caught.value.provider == "claude-code"
    async with tercet.open_manager(environ={"PATH": str(claude.folder)}) as manager:
        assert (await manager.chat(ask())).text == "Hello, wörld 🎉"  # found on the PATH


async def test_a_program_that_cannot_be_started(claude: Claude) -> None:
    claude.path.write_text("#!/nowhere/python\n")
    async with claude.manager() as manager:
        with pytest.raises(tercet.ConnectError, match="cannot be started") as caught:
            await manager.chat(ask())
    assert (caught.value.phase, caught.value.code) == ("process", "ENOENT")
    claude.path.write_text("\x7fELF nonsense")
    async with claude.manager() as manager:
        with pytest.raises(tercet.ConnectError, match="cannot be started"):
            await manager.chat(ask())


async def test_a_nul_in_an_argument_is_no_crash(claude: Claude) -> None:
    async with claude.manager() as manager:
        with pytest.raises(tercet.ConfigurationError, match="NUL"):
            await manager.chat(tercet.ChatRequest("claude-code:so\0nnet", "Hi"))


FAILURES: list[tuple[list[Step], type[tercet.TercetError], str]] = [
    ([("err", "fatal: not logged in\n"), ("exit", 2)], tercet.AuthenticationError, "not logged in"),
    ([INIT, ("err", "fatal: not logged in\n"), ("exit", 2)], tercet.AuthenticationError, "not logged in"),
    (
        [INIT, START, BLOCK, text("Hel"), ("err", "boom"), ("exit", 1)],
        tercet.ServerError,
        "exited with code 1: boom",
    ),
    ([INIT, START, BLOCK, text("Hel"), ("kill", signal.SIGKILL)], tercet.ServerError, "signal 9"),
    ([INIT, START, BLOCK, text("Hel"), ("out", '{"type":"stream_ev')], tercet.ProtocolError, "stream_ev"),
    ([INIT, START, BLOCK, text("Hel")], tercet.StreamInterruptedError, "result"),
    ([("exit", 0)], tercet.StreamInterruptedError, "result"),
    ([("exit", 3)], tercet.ServerError, "code 3"),
    ([("err", "x" * 300_000 + "the last words"), ("exit", 1)], tercet.ServerError, "the last words"),
    ([("err", "error: unknown option '--tools'"), ("exit", 1)], tercet.ConfigurationError, "claude update"),
    (
        [
            line(type="result", subtype="success", is_error=True, result="API Error: 529 Overloaded"),
            ("exit", 1),
        ],
        tercet.OverloadedError,
        "529",
    ),
]


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize(("plan", "kind", "words"), FAILURES)
async def test_failures_have_their_types(
    claude: Claude, plan: list[Step], kind: type[tercet.TercetError], words: str, is_stream: bool
) -> None:
    claude.plan(plan)
    async with claude.manager() as manager:
        with pytest.raises(tercet.TercetError, match=words) as caught:
            if is_stream:
                async with manager.chat_stream(ask()) as stream:
                    await stream.collect()
            else:
                await manager.chat(ask())
    error = caught.value
    assert type(error) is kind or (not is_stream and type(error) is tercet.ProtocolError)
    assert error.provider == "claude-code"
    if is_stream and text("Hel") in plan:
        assert error.response is not None
        assert error.response.text == "Hel"


async def test_a_failure_before_the_first_content_is_silent(claude: Claude) -> None:
    claude.plan([INIT, ("err", "oops"), ("exit", 1)], GOOD)
    async with claude.manager(retry=tercet.RetryPolicy(max_attempts=2)) as manager:
        async with manager.chat_stream(ask()) as stream:
            answer = await stream.collect()
    assert answer.text == "Hello, wörld 🎉"
    assert len(stream.attempts) == 1


async def test_leaving_early_ends_the_program(claude: Claude) -> None:
    claude.plan([INIT, START, BLOCK, text("one"), LONG])
    async with assert_nothing_left(), claude.manager() as manager:
        async with manager.chat_stream(ask()) as stream:
            async for token in stream:
                if isinstance(token, tercet.TextDelta):
                    break
    assert not is_running(claude.seen[0]["pid"])


async def test_the_users_own_error_ends_the_program_and_leaves_as_itself(claude: Claude) -> None:
    claude.plan([INIT, START, BLOCK, text("one"), LONG])
    with pytest.raises(ZeroDivisionError):
        async with claude.manager() as manager:
            async with manager.chat_stream(ask()) as stream:
                async for _ in stream:
                    1 / 0
    assert not is_running(claude.seen[0]["pid"])


async def test_the_end_of_the_managers_block_ends_the_program(claude: Claude) -> None:
    claude.plan([INIT, START, BLOCK, text("one"), LONG])
    async with trio.open_nursery() as nursery:
        begun = trio.Event()

        async def read(manager: tercet.ProviderManager) -> None:
            with pytest.raises(tercet.TercetError, match="closed"):
                async with manager.chat_stream(ask()) as stream:
                    begun.set()
                    await stream.collect()

        async with claude.manager(drain_within=0) as manager:
            nursery.start_soon(read, manager)
            await begun.wait()
    assert not is_running(claude.seen[0]["pid"])


async def test_a_silent_program_runs_into_the_clock(claude: Claude) -> None:
    claude.plan([INIT, LONG])
    async with claude.manager(clocks=tercet.Clocks(first_content=0.5)) as manager:
        with pytest.raises(tercet.DeadlineError) as caught:
            async with manager.chat_stream(ask()):
                pass
    assert caught.value.clock == "first_content"


async def test_what_is_deaf_is_killed_with_all_it_has_started(claude: Claude) -> None:
    claude.plan([("deaf", None), ("child", None), INIT, START, BLOCK, text("one"), LONG])
    async with trio.open_nursery() as nursery:
        sender = ProcessSender(nursery, {}, grace=0.05)
        async with tercet.open_manager(
            base_urls={"claude-code": f"exec://{claude.path}"}, environ={}, senders={"claude-code": sender}
        ) as manager:
            async with manager.chat_stream(ask()) as stream:
                assert await anext(stream)
        # the sender's nursery waits for the minder
    assert not is_running(claude.seen[0]["pid"])
    await wait_gone(claude.grandchild)


async def test_a_child_that_hears_goes_with_its_program(claude: Claude) -> None:
    claude.plan([("child", None), INIT, START, BLOCK, text("one"), LONG])
    async with claude.manager() as manager:
        async with manager.chat_stream(ask()) as stream:
            assert await anext(stream)
    await wait_gone(claude.grandchild)


async def test_something_that_holds_stderr_open_holds_nobody_up(claude: Claude) -> None:
    """The program ends well and leaves a child behind that keeps its stderr: the answer ends all the same."""
    keeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    script = f"import subprocess, json, os\np = subprocess.Popen({keeper!r}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)\n"
    script += (
        "open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'child.pid'), 'w').write(str(p.pid))\n"
    )
    script += "".join(f"print({value.rstrip()!r})\n" for _, value in GOOD)
    claude.path.write_text(f"#!{sys.executable}\n{script}")
    async with claude.manager() as manager:
        assert (await manager.chat(ask())).text == "Hello, wörld 🎉"
    os.kill(claude.grandchild, signal.SIGKILL)


async def test_a_slow_reader_stops_the_program(claude: Claude) -> None:
    """The pipe fills, and the program waits: what it could write is bounded by the pipe, not by our memory."""
    claude.plan([INIT, START, BLOCK, ("flood", text("x" * 1000)[1])])
    async with claude.manager() as manager:
        async with manager.chat_stream(ask()) as stream:
            for _ in range(1000):
                await anext(stream)
            assert len(stream.response.text) < 2_000_000
    assert not is_running(claude.seen[0]["pid"])


async def test_many_at_once(claude: Claude) -> None:
    answers: list[str] = []
    async with claude.manager() as manager, trio.open_nursery() as nursery:

        async def one() -> None:
            answers.append((await manager.chat(ask())).text)

        for _ in range(12):
            nursery.start_soon(one)
    assert answers == ["Hello, wörld 🎉"] * 12


async def test_cancellation_anywhere_leaves_nothing(claude: Claude) -> None:
    claude.plan([INIT, START, BLOCK, text("one"), text(" two"), *END])
    async with assert_nothing_left(), claude.manager() as manager:

        async def stream() -> None:
            async with manager.chat_stream(ask()) as answer:
                async for _ in answer:
                    pass

        async def whole() -> None:
            await manager.chat(ask())

        assert await sweep_cancellation(stream) > 4
        assert await sweep_cancellation(stream, every_task=True) > 10
        assert await sweep_cancellation(whole) >= 1  # the caller's task waits once, for its lane


async def test_cancellation_at_every_step_of_every_task(claude: Claude) -> None:
    """The sender alone: cancelled while the program is looked for, started, read, waited for."""

    async def use() -> None:
        async with trio.open_nursery() as nursery:
            sender = ProcessSender(nursery, {})
            response = await sender.send(call(claude.path))
            assert b"program_exit" in await response.read()

    assert await sweep_cancellation(use, every_task=True) > 10


def call(path: Path, *arguments: str | FileArgument, **run: Any) -> HttpCall:
    body = msgspec.json.encode(ProgramRun(arguments, **run))
    return HttpCall(EXEC, Origin("exec", str(path), 0), "/", (("X-Api-Key", "k1"),), body)


async def test_the_last_line_tells_how_it_ended(claude: Claude) -> None:
    claude.plan([("out", "half a line"), ("err", "e" * 70_000 + "!"), ("exit", 3)])
    async with trio.open_nursery() as nursery:
        sender = ProcessSender(nursery, {"A": "1", "B": "2"})
        response = await sender.send(
            call(
                claude.path, "x", FileArgument("ü"), env={"C": "3"}, unset=("B",), secrets={"x-api-key": "K"}
            )
        )
        assert (response.status, response.headers["content-type"]) == (200, "application/x-ndjson")
        said, _, last = (await response.read()).rpartition(b"half a line\n")
        assert said == b""
        ended = msgspec.json.decode(last, type=ProgramExit)
        assert (ended.code, len(ended.stderr), ended.stderr[-2:]) == (3, 65536, "e!")
        with pytest.raises(trio.ClosedResourceError):
            await response.receive()
    [seen] = claude.seen
    assert {name: seen["env"].get(name) for name in "ABCK"} == {"A": "1", "B": None, "C": "3", "K": "k1"}
    assert seen["files"] == ["ü"]


async def test_starting_has_a_clock(claude: Claude) -> None:
    async with trio.open_nursery() as nursery:
        with pytest.raises(tercet.DeadlineError) as caught:
            await ProcessSender(nursery, {}).send(call(claude.path), connect_timeout=0)
    assert caught.value.clock == "connect"
    assert claude.seen == []


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("exec://claude", "exec://claude"),
        ("exec:///opt/claude", "exec:///opt/claude"),
        ("tcp://[::1]:80", "tcp://[::1]:80"),
    ],
)
def test_addresses_that_are_no_http(url: str, printed: str) -> None:
    profile = tercet.Profile(id="x", base_url=url, wire="claude_cli")
    adapter = tercet.Adapter(profile)
    assert str(adapter.origin) == printed
    assert str(adapter.origin) in repr(adapter.chat(tercet.ChatRequest("x:m", "secret"), "m", stream=True))


@pytest.mark.parametrize(
    "url",
    [
        "exec://",
        "unix://run/x",
        "unix://",
        "tcp://example.test:80",
        "tcp://127.0.0.1",
        "tcp://10.0.0.1:5",
        "ftp://x",
    ],
)
def test_addresses_that_cannot_be(url: str) -> None:
    with pytest.raises(tercet.ConfigurationError):
        tercet.Adapter(tercet.Profile(id="x", base_url=url, wire="claude_cli"))
