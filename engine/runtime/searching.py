"""Does what a search for a credential asks of the machine: files, commands, HTTP, time. The decisions are in :mod:`tercet.adapters.auth`.

Credentials are fetched once an hour or so, so nothing is kept between two searches: a connection opened for one is closed with it.
"""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import trio

from tercet.adapters.auth.steps import (
    Answer,
    Ask,
    Exited,
    Pause,
    ReadFile,
    RunProcess,
    Search,
    Step,
    WriteFile,
)
from tercet.codecs.vocabulary import (
    AuthenticationError,
    ConfigurationError,
    DeadlineError,
    ProtocolError,
    TransportError,
)

from .transport import Network, SocketNetwork, Transport, proxies_from_environ

__all__ = ["NO_CREDENTIALS", "Searcher", "read_small", "run_command", "write_private"]

T = TypeVar("T")

NO_CREDENTIALS = "no_credentials"
_FILE_LIMIT = 1024 * 1024
_OUTPUT_LIMIT = 64 * 1024
_BODY_LIMIT = 1024 * 1024
_LAST_WAIT = 5.0  # seconds for a killed process to be gone


class Searcher:
    """Drives searches. ``network`` makes all their connections; without one they go over sockets, through the proxies that ``environ`` names,
    but to the machine's own metadata services directly.

    ``read``, ``write`` and ``run_process`` stand in for the machine's in tests.
    """

    def __init__(
        self,
        network: Network | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        read: Callable[[str], Awaitable[str]] | None = None,
        write: Callable[[str, str], Awaitable[None]] | None = None,
        run_process: Callable[[str, float], Awaitable[Exited]] | None = None,
    ) -> None:
        self._network = network
        self._environ = environ
        self._direct: Network | None = network
        self._read = read or read_small
        self._write = write or write_private
        self._run_process = run_process or run_command

    async def find(self, search: Search[T]) -> T:
        """What the search returns, for a lane: that nothing is configured, or wrongly so, is an :class:`AuthenticationError` with the code
        ``no_credentials`` here. So the request goes on to its next target, and this one is left alone for a while instead of being searched
        for each request. Else as :meth:`run`.
        """
        try:
            return await self.run(search)
        except ConfigurationError as error:
            raise AuthenticationError(error.message, code=NO_CREDENTIALS) from error

    async def run(self, search: Search[T]) -> T:
        """What the search returns. Raises what it raises. Cancelled, it has closed its connection and killed its process."""
        value: Any = None
        failure: OSError | TransportError | None = None
        try:
            while True:
                step = search.throw(failure) if failure is not None else search.send(value)
                value, failure = None, None
                try:
                    value = await self._do(step)
                except (OSError, TransportError) as error:
                    failure = error
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            search.close()

    async def _do(self, step: Step) -> Any:
        match step:
            case ReadFile(path):
                return await self._read(path)
            case WriteFile(path, text):
                return await self._write(path, text)
            case RunProcess(command, seconds):
                return await self._run_process(command, seconds)
            case Ask():
                return await self._ask(step)
            case Pause(seconds):
                return await trio.sleep(seconds)

    async def _ask(self, asked: Ask) -> Answer:
        transport = Transport(self._network_for(asked))
        try:
            with trio.move_on_after(asked.seconds):
                response = await transport.send(asked.call, connect_timeout=asked.seconds)
                async with response:
                    return Answer(response.status, response.headers, await response.read(_BODY_LIMIT))
        finally:
            transport.close()
        raise DeadlineError(
            f"no answer from {asked.call.origin} within {asked.seconds:g} s", clock="first_content"
        )

    def _network_for(self, asked: Ask) -> Network:
        if asked.is_direct:
            if self._direct is None:
                self._direct = SocketNetwork()
            return self._direct
        if self._network is None:
            self._network = SocketNetwork(
                proxies=proxies_from_environ(os.environ if self._environ is None else self._environ)
            )
        return self._network


async def read_small(path: str) -> str:
    """The text of a file of at most 1 MiB; ``~/`` is the home folder. Raises ``OSError``. Cancelled, it leaves the reading to a thread."""

    def read() -> str:
        with _place(path).open("rb") as file:
            data = file.read(_FILE_LIMIT + 1)
        if len(data) > _FILE_LIMIT:
            raise OSError(errno.EFBIG, f"it is larger than {_FILE_LIMIT} bytes", path)
        return data.decode("utf-8-sig", "replace")

    return await trio.to_thread.run_sync(read, abandon_on_cancel=True)


async def write_private(path: str, text: str) -> None:
    """Put a file in place at once, for its owner alone (mode 0600): a file beside it, flushed to the disk, takes its place.

    A link is followed, and stays a link. Raises ``OSError``. Cancelled, it has written the whole file or left the old one.
    """

    def write() -> None:
        target = _place(path).resolve()
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.name}."
        )  # mode 0600 from the start
        try:
            with open(descriptor, "wb") as file:
                file.write(text.encode("utf-8", "replace"))
                file.flush()
                os.fsync(descriptor)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    await trio.to_thread.run_sync(write)


def _place(path: str) -> Path:
    if "\0" in path:
        raise OSError(errno.EINVAL, "it is no path")
    return Path(path).expanduser()


async def run_command(command: str, seconds: float) -> Exited:
    """Run a command line in the shell. It has no input; what it says to stderr is not kept, because errors are shown and it may hold secrets.

    Raises :class:`DeadlineError` after so many seconds, :class:`ProtocolError` where it prints more than 64 KiB, ``OSError`` where there is no
    shell. Cancelled, it is killed.
    """
    process = await trio.lowlevel.open_process(
        command, shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    stdout = process.stdout
    assert stdout is not None  # it was asked for
    try:
        with trio.move_on_after(seconds):
            output = b""
            while data := await stdout.receive_some():
                output += data
                if len(output) > _OUTPUT_LIMIT:
                    raise ProtocolError(
                        f"a credential process printed more than {_OUTPUT_LIMIT} bytes", retryable=False
                    )
            return Exited(await process.wait(), output)
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _LAST_WAIT):
            await process.wait()
            await stdout.aclose()
    raise DeadlineError(
        f"a credential process did not end within {seconds:g} s", clock="total", retryable=False
    )
