"""A measured client's process: it does what it is told by lines of JSON on standard input, and tells the CPU it took.

Every client is a script that hands ``serve`` one function, its *session*: an async context manager that takes a base URL and how many
connections it may keep (for those that want to be told), and gives two functions, ``ask()`` (one whole answer) and ``stream(tally)`` (one streamed answer; adds one to ``tally[0]`` for each piece of text).
What is measured, and how, stands here and is the same for all. Only the standard library and the client's own loop are imported: the
script runs in the client's own environment.

``cpu`` is ``time.process_time`` of this process between the moment at which every task has had its first answer (so that connections are
made, and code is warm) and the end.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version
from typing import Any

Ask = Callable[[], Awaitable[object]]
Stream = Callable[[list[int]], Awaitable[object]]
Session = Callable[[str, int], AbstractAsyncContextManager[tuple[Ask, Stream]]]
_BATCH = 200
"""Streams that are begun together: a crowd that connects at once overflows the listener's backlog."""


class TrioLoop:
    """Tasks and events of trio."""

    def __init__(self) -> None:
        import trio

        self.event = trio.Event
        self.sleep = trio.sleep
        self.run = trio.run
        self._trio = trio

    async def gather(self, work: Callable[[], Awaitable[object]], tasks: int) -> None:
        async with self._trio.open_nursery() as nursery:
            for _ in range(tasks):
                nursery.start_soon(work)

    async def beside(self, main: Callable[[Any], Awaitable[None]]) -> None:
        """Run ``main(start)``; what it started is cancelled when it ends."""
        async with self._trio.open_nursery() as nursery:
            await main(nursery.start_soon)
            nursery.cancel_scope.cancel()


class AsyncioLoop:
    """The same of asyncio."""

    def __init__(self) -> None:
        import asyncio

        self.event = asyncio.Event
        self.sleep = asyncio.sleep
        self._asyncio = asyncio

    def run(self, main: Callable[..., Any], *args: Any) -> Any:
        return self._asyncio.run(main(*args))

    async def gather(self, work: Callable[[], Any], tasks: int) -> None:
        await self._asyncio.gather(*(work() for _ in range(tasks)))

    async def beside(self, main: Callable[[Any], Awaitable[None]]) -> None:
        started: list[Any] = []

        def start(work: Callable[..., Any], *args: Any) -> None:
            started.append(self._asyncio.get_running_loop().create_task(work(*args)))

        await main(start)
        for task in started:
            task.cancel()
        await self._asyncio.gather(*started, return_exceptions=True)


class Measurer:
    """The cases, for one session in one loop."""

    def __init__(self, session: Session, loop: Any) -> None:
        self._session = session
        self._loop = loop

    def dispatch(self, base: str, tasks: int, each: int, connections: int | None = None) -> dict[str, float]:
        """``tasks`` in a closed loop, ``each`` whole answers for every one of them, over as many connections or those said."""

        async def main() -> dict[str, float]:
            async with self._session(base, connections or tasks) as (ask, _):
                return await self._crowd(ask, tasks, each)

        return self._loop.run(main)

    def tokens(self, base: str, tasks: int, each: int) -> dict[str, float]:
        """The same with streamed answers; ``units`` are pieces of text."""

        async def main() -> dict[str, float]:
            async with self._session(base, tasks) as (_, stream):
                tally = [0]

                async def ask() -> None:
                    await stream(tally)

                told = await self._crowd(ask, tasks, each)
                return {**told, "units": tally[0] * each / (each + 1)}  # each task had one more, unmeasured

        return self._loop.run(main)

    async def _crowd(self, ask: Ask, tasks: int, each: int) -> dict[str, float]:
        waiting = tasks
        go = self._loop.event()
        started = wall = 0.0

        async def one() -> None:
            nonlocal waiting, started, wall
            await ask()
            waiting -= 1
            if not waiting:
                gc.collect()
                wall = time.monotonic()
                started = time.process_time()
                go.set()
            await go.wait()
            for _ in range(each):
                await ask()

        await self._loop.gather(one, tasks)
        cpu = time.process_time() - started
        return {"cpu": cpu, "wall": time.monotonic() - wall, "units": tasks * each}

    def paced(self, base: str, streams: int, seconds: float) -> dict[str, float]:
        """Hold ``streams`` open that go on by themselves; the CPU and the tokens of ``seconds`` once all have begun.

        ``kib`` is what each added to the process's memory (resident set), in KiB.
        """
        told: dict[str, float] = {}

        async def main() -> None:
            async with self._session(base, streams) as (_, stream):

                async def measure(start: Any) -> None:
                    before = _resident()
                    tallies = [[0] for _ in range(streams)]
                    for first in range(0, streams, _BATCH):
                        batch = tallies[first : first + _BATCH]
                        for tally in batch:
                            start(stream, tally)
                        while not all(tally[0] for tally in batch):
                            await self._loop.sleep(0.02)
                    await self._loop.sleep(1.0)
                    gc.collect()
                    kib = (_resident() - before) / 1024 / streams
                    count = sum(tally[0] for tally in tallies)
                    wall = time.monotonic()
                    cpu = time.process_time()
                    await self._loop.sleep(seconds)
                    cpu = time.process_time() - cpu
                    wall = time.monotonic() - wall
                    told.update(cpu=cpu, wall=wall, units=sum(tally[0] for tally in tallies) - count, kib=kib)

                await self._loop.beside(measure)

        self._loop.run(main)
        return told


def _resident() -> int:
    """Bytes in memory now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def serve(
    session: Session, loop: str, packages: tuple[str, ...], more: dict[str, Callable[..., Any]] | None = None
) -> None:
    """Say hello with the versions of ``packages``, then answer each line of standard input."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    measurer = Measurer(session, TrioLoop() if loop == "trio" else AsyncioLoop())
    cases: dict[str, Callable[..., Any]] = {
        "dispatch": measurer.dispatch,
        "tokens": measurer.tokens,
        "paced": measurer.paced,
        **(more or {}),
    }
    sys.stdout, answers = sys.stderr, sys.stdout  # some libraries print
    print(json.dumps({name: version(name) for name in packages}), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        case = cases[asked.pop("case")]
        try:
            told = case(**asked)
        except BaseException as error:  # noqa: BLE001  # whatever it was, the parent says so beside the figure
            told = {"error": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps(told), file=answers, flush=True)
