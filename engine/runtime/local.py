"""What a conversation asks of the machine it runs on: files and child processes.

A child's stdin and stderr are unnamed files, not pipes: then nothing can block on a full pipe, and one task that reads stdout is
enough. Nothing of it is left on the disk when the program ends.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO

import trio

from tercet.adapters.reference import Exited, RunProcess
from tercet.codecs.vocabulary import ConfigurationError, ProtocolError

from .process import open_program

__all__ = ["ChildProcess", "read_file", "start_process", "write_file"]

_MAX_FILE = 16 * 1024 * 1024
_MAX_STDERR = 64 * 1024
_READ_SIZE = 64 * 1024
_LAST_WAIT = 5.0  # seconds for a killed child to be gone


async def read_file(path: str) -> str:
    """A file's text. ``~/`` is the home folder. Raises ``OSError``, and ``ConfigurationError`` for one over 16 MiB."""

    def read() -> bytes:
        with Path(path).expanduser().open("rb") as file:
            return file.read(_MAX_FILE + 1)

    data = await trio.to_thread.run_sync(read)
    if len(data) > _MAX_FILE:
        raise ConfigurationError(f"{path} is larger than {_MAX_FILE} bytes")
    return data.decode("utf-8", "replace")


async def write_file(path: str, text: str) -> None:
    """Put a file in place at once, for its owner alone (mode 600). Raises ``OSError``.

    Cancelled, it has either written the whole file or left the old one.
    """

    def write() -> None:
        target = Path(path).expanduser()
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with open(descriptor, "wb") as file:
                file.write(text.encode("utf-8", "surrogatepass"))
            Path(name).replace(target)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise

    await trio.to_thread.run_sync(write)


class ChildProcess:
    """A program that runs, its stdout read like the body of an answer.

    ``close`` kills it and does not wait; ``aclose`` waits until it is gone, at most five seconds, whatever is cancelled.
    """

    def __init__(self, process: trio.Process, stderr: IO[bytes]) -> None:
        self._process = process
        self._stderr = stderr

    async def receive(self) -> bytes:
        """The next bytes of its stdout, ``b""`` at its end."""
        if self._process.stdout is None:
            return b""
        try:
            return bytes(await self._process.stdout.receive_some(_READ_SIZE))
        except trio.BrokenResourceError as error:
            raise ProtocolError("the program's output cannot be read") from error

    async def wait(self) -> Exited:
        """How it ended, once it has."""
        code = await self._process.wait()
        self._stderr.seek(0)
        return Exited(code, self._stderr.read(_MAX_STDERR))

    def close(self) -> None:
        """Kill it, if it still runs."""
        if self._process.returncode is None:
            self._process.kill()

    async def aclose(self) -> None:
        """Kill it, if it still runs, and wait until it is gone."""
        self.close()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _LAST_WAIT):
            await self._process.wait()
            if self._process.stdout is not None:
                await self._process.stdout.aclose()
        self._stderr.close()


async def start_process(wanted: RunProcess) -> ChildProcess:
    """Start a program. Raises ``ConnectError`` (phase ``process``) where it cannot be started, code ``ENOENT`` where there is none."""
    stderr = tempfile.TemporaryFile()  # noqa: SIM115 - the child process keeps it until it is closed
    try:
        process = await open_program(
            wanted.argv, wanted.stdin, env={**os.environ, **wanted.env}, stderr=stderr
        )
    except BaseException:
        stderr.close()
        raise
    return ChildProcess(process, stderr)
