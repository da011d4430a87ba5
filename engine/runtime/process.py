"""``ProcessSender``: calls that are answered by a program, run once for each (Claude Code).

The body of the call is a :class:`~tercet.codecs.wire.claude_cli_run.ProgramRun`; the body of the answer is the program's stdout as it comes, and
behind it one line that tells how it ended. What holds:

- Nothing goes through a shell. stdin and file arguments are unnamed files: nothing can block on a full pipe, and nothing stays on the disk.
- A task of the manager's nursery (the *minder*) goes with every program: it reads stderr, of which the last 64 KiB are kept, and it
  stays until the program is gone. So no zombie is left, and no program outlives the manager's block.
- Closing the answer (its reader has what it wants, or was cancelled) sends SIGTERM to the program and everything that it has started, and
  SIGKILL after two seconds. It does not wait: the minder does.
- A reader that is slow stops the program: the pipe is full. That is the backpressure.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import msgspec
import trio

from tercet.adapters.call import HttpCall
from tercet.codecs.vocabulary import ConfigurationError, ConnectError, DeadlineError, ProtocolError
from tercet.codecs.wire.claude_cli_run import PROGRAM_RUN, FileArgument, ProgramExit, ProgramRun

from .transport import Response
from .unframed import unframed_response

__all__ = ["ProcessSender", "open_program"]

_READ_SIZE = 64 * 1024
_STDERR_KEPT = 64 * 1024
_GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL."""
_LAST_WAIT = 5.0
"""Seconds for a killed program to be gone; only one that hangs in the kernel takes longer."""
_STDERR_WAIT = 0.5
"""Seconds that the end of stderr is waited for: something the program started may hold it open after the program has ended."""


async def open_program(
    arguments: Sequence[str],
    stdin: bytes,
    *,
    env: Mapping[str, str],
    stderr: int | IO[bytes],
    pass_fds: Sequence[int] = (),
    own_session: bool = False,
) -> trio.Process:
    """Start a program, its stdin an unnamed file with these bytes, its stdout a pipe. ``own_session``: so that all it starts can be killed with it.

    Raises :class:`ConnectError` (phase ``process``) where it cannot be started, code ``ENOENT`` where there is none. Cancelled, it has
    started nothing.
    """
    more: dict[str, Any] = {"pass_fds": tuple(pass_fds)} if pass_fds else {}
    with tempfile.TemporaryFile() as file:
        file.write(stdin)
        file.seek(0)
        try:
            return await trio.lowlevel.open_process(
                list(arguments),
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=dict(env),
                start_new_session=own_session,
                **more,
            )
        except OSError as error:
            code = errno.errorcode.get(error.errno or 0)
            raise ConnectError(
                f"{arguments[0]} cannot be started: {error.strerror}", phase="process", code=code
            ) from None
        except ValueError:  # the one thing that Popen refuses by itself; its message would show the argument
            raise ConfigurationError(
                f"{arguments[0]} cannot be started: an argument or a variable has a NUL in it"
            ) from None


class ProcessSender:
    """See :class:`~.attempt.Sender`. ``nursery`` becomes the parent of the minders; it has to live as long as the answers.

    ``environ``: what programs inherit, and where their ``PATH`` is; None: that of this process. ``grace``: seconds between SIGTERM and SIGKILL.
    """

    def __init__(
        self, nursery: trio.Nursery, environ: Mapping[str, str] | None = None, *, grace: float = _GRACE
    ) -> None:
        self._nursery = nursery
        self._environ = os.environ if environ is None else environ
        self._grace = grace

    async def send(
        self, call: HttpCall, *, connect_timeout: float = 10.0, accept_encoding: str = "identity"
    ) -> Response:
        """Run the program that the call's origin names; return with the first of what it says.

        ``status`` is 200, or 500 when it failed without a word on stdout; the line that tells how it ended is the body then.
        ``connect_timeout``: seconds for starting it. ``accept_encoding`` means nothing here.

        Raises :class:`ConfigurationError` where there is no such program, :class:`ConnectError` where it cannot be started,
        :class:`DeadlineError` with the clock ``connect``. Cancelled, it kills what it has started.
        """
        if sys.platform == "win32":
            raise ConfigurationError(
                "programs are run on POSIX systems only: their process groups are needed"
            )
        run = PROGRAM_RUN.decode(call.body)
        env = _environment(run, self._environ, call)
        child = None
        with trio.move_on_after(connect_timeout) as scope:
            program = await _find(call.origin.host, env.get("PATH", ""), run.hint)
            child = await self._start(program, run, env)
        if child is None:
            assert scope.cancelled_caught
            raise DeadlineError(
                f"{call.origin.host} was not started within {connect_timeout:g} s", clock="connect"
            )
        try:
            first = await child.receive()
        except BaseException:
            child.close()
            raise
        status = 500 if child.failed_unheard else 200
        return unframed_response(call.origin, child, status=status, first=first)

    async def _start(self, program: str, run: ProgramRun, env: Mapping[str, str]) -> _Child:
        with ExitStack() as files:
            arguments = [program]
            descriptors: list[int] = []
            for argument in run.arguments:
                if isinstance(argument, FileArgument):
                    descriptors.append(_file_with(argument.text, files))
                    arguments.append(f"/dev/fd/{descriptors[-1]}")
                else:
                    arguments.append(argument)
            process = await open_program(
                arguments,
                run.stdin.encode("utf-8", "replace"),
                env=env,
                stderr=subprocess.PIPE,
                pass_fds=descriptors,
                own_session=True,
            )
        # No checkpoint between the start and here: whatever is cancelled now, the minder has it.
        child = _Child(process, self._grace)
        self._nursery.start_soon(child.mind, name=f"tercet minder of {Path(program).name}")
        return child


def _environment(run: ProgramRun, inherited: Mapping[str, str], call: HttpCall) -> dict[str, str]:
    env = {name: value for name, value in inherited.items() if name not in run.unset}
    env.update(run.env)
    headers = {name.lower(): value for name, value in call.headers}
    env.update({variable: headers[name] for name, variable in run.secrets.items() if name in headers})
    return env


async def _find(program: str, path: str, hint: str) -> str:
    found = await trio.to_thread.run_sync(lambda: shutil.which(program, path=path))
    if found is None:
        raise ConfigurationError(f"there is no program {program!r} that could be run. {hint}".rstrip())
    return found


def _file_with(text: str, files: ExitStack) -> int:
    """The descriptor of an unnamed file with this text, open until ``files`` are closed."""
    if not Path("/dev/fd").is_dir():
        raise ConfigurationError(
            "this system has no /dev/fd, by which long arguments are handed over; make the system prompt shorter"
        )
    file = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # the stack closes it, once the program has it
    file.write(text.encode("utf-8", "replace"))
    file.seek(0)  # also flushes
    return file.fileno()


class _Child:
    """A program that runs: a :class:`~.transport.Connection` whose bytes are its stdout, and in the end the line that tells how it ended."""

    def __init__(self, process: trio.Process, grace: float) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._stdout = process.stdout
        self._stderr = process.stderr
        self._grace = grace
        self._tail = bytearray()
        self._stderr_scope = trio.CancelScope()
        self._stderr_ended = trio.Event()
        self._closed = trio.Event()
        self._was_killed = False
        self._is_over = False
        self._is_heard = False
        self._last_byte = b"\n"
        self.failed_unheard = False

    async def send_all(self, data: bytes) -> None:
        """All that it reads it got when it was started."""
        raise trio.ClosedResourceError("a program gets its input when it is started")

    async def receive(self) -> bytes:
        """The next bytes of its stdout; after their end one line with how it ended; then ``b""``. A cancelled call has lost nothing."""
        if self._is_over:
            return b""
        try:
            data = bytes(await self._stdout.receive_some(_READ_SIZE))
        except trio.BrokenResourceError as error:
            raise ProtocolError("the program's output cannot be read") from error
        if data:
            self._is_heard = True
            self._last_byte = data[-1:]
            return data
        code = await self._process.wait()
        with trio.move_on_after(_STDERR_WAIT):
            await self._stderr_ended.wait()
        self._is_over = True
        self.failed_unheard = code != 0 and not self._is_heard
        ended = ProgramExit(code, bytes(self._tail).decode("utf-8", "replace"))
        return (b"" if self._last_byte == b"\n" else b"\n") + msgspec.json.encode(ended) + b"\n"

    def is_stale(self) -> bool:
        """A program answers once."""
        return True

    def close(self) -> None:
        """End it, if it still runs. Never waits; may be called twice."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._stderr_scope.cancel()
        if self._process.returncode is None:
            self._was_killed = True
            self._signal(signal.SIGTERM)

    async def mind(self) -> None:
        """Stay with it until it is gone. Runs in a nursery; cancelled, it ends the program first, within a bounded time."""
        try:
            with self._stderr_scope:
                await self._read_stderr()
            self._stderr_ended.set()
            await self._closed.wait()
        finally:
            self.close()
            with trio.CancelScope(shield=True):
                await self._see_it_gone()

    async def _read_stderr(self) -> None:
        try:
            while data := await self._stderr.receive_some(_READ_SIZE):
                self._tail += data
                del self._tail[:-_STDERR_KEPT]
        except (trio.BrokenResourceError, OSError):
            pass  # nothing more can be told of it than was read

    async def _see_it_gone(self) -> None:
        with trio.move_on_after(self._grace):
            await self._process.wait()
        if self._was_killed:
            # Also where the program itself has gone: something that it started may have been deaf to SIGTERM.
            self._signal(signal.SIGKILL)
        with trio.move_on_after(_LAST_WAIT):
            await self._process.wait()
        await self._stdout.aclose()
        await self._stderr.aclose()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(
                self._process.pid, number
            )  # it leads a group of its own, since it has a session of its own
        except (ProcessLookupError, PermissionError):
            pass  # all of it has gone; macOS says PermissionError for a group of zombies
