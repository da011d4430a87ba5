"""``tercet bench``: what the installed package costs on this machine, beside the goals it was built for. No peers; under half a minute.

``dispatch``: CPU of a JSON request, a thousand tasks in a closed loop, with everything on and by the bare transport. ``tokens``: CPU of a
token of a thousand streams at once. ``sse``: the event decoder alone. ``memory``: open streams, and what is left of two hundred thousand tokens.

Figures are CPU time of this process. Providers answer from a process of their own (:mod:`.bench_server`). The suite with peers, intervals
and counts is the project's ``python -m bench``.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

import msgspec
import trio

import tercet
from tercet.adapters.call import HttpCall, Origin
from tercet.codecs.framing import SseDecoder
from tercet.engine.runtime.transport import SocketNetwork, Transport

from .bench_server import EVENT
from .output import print_json, print_table

__all__ = ["run"]

_TASKS, _EACH, _TOKENS = 1000, 5, 100
_REQUEST = tercet.ChatRequest("bench:gpt-4o", "Say hello.")
_BODY = b'{"model":"gpt-4o","messages":[{"role":"user","content":"Say hello."}]}'


class Line(msgspec.Struct, frozen=True):
    """A figure and its goal: at most ``goal``, or at least where ``is_least``."""

    name: str
    figure: float
    unit: str
    goal: float
    is_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the figure keeps to the goal."""
        return self.figure >= self.goal if self.is_least else self.figure <= self.goal


def run(options: argparse.Namespace) -> int:
    """Measure, print, and give exit code 0: a missed goal is news, not a failure (machines differ)."""
    lines = _SUITES[options.suite]()
    if options.json:
        for line in lines:
            print_json({**msgspec.to_builtins(line), "is_met": line.is_met})
        return 0
    rows = [
        (
            line.name,
            f"{line.figure:.3g} {line.unit}",
            f"{'>=' if line.is_least else '<='} {line.goal:g}",
            "met" if line.is_met else "missed",
        )
        for line in lines
    ]
    print_table(("", "MEASURED", "GOAL", ""), rows)
    return 0


def _dispatch() -> list[Line]:
    with _server() as port:
        everything = _per_request(lambda: _with_manager(port, "json", _chat, _TASKS, _EACH))
        bare = _per_request(lambda: _with_transport(port))
    return [
        Line("a JSON request, 1,000 tasks, everything on", everything, "us", 120),
        Line("of it over the bare transport", everything - bare, "us", 50),
    ]


def _tokens() -> list[Line]:
    with _server() as port:
        cpu = min(_with_manager(port, f"stream/{_TOKENS}", _drink, _TASKS, 1) for _ in range(2))
    return [Line("a token, 1,000 unpaced streams", cpu / (_TASKS * _TOKENS) * 1e6, "us", 5)]


def _sse() -> list[Line]:
    document = EVENT * 8000
    lines: list[Line] = []
    for size, goal in ((64, 100), (1024, 400), (16384, 750)):
        pieces = [document[start : start + size] for start in range(0, len(document), size)]
        best = min(_decode(pieces) for _ in range(5))
        lines.append(
            Line(f"SSE in reads of {size} B", len(document) / best / 1e6, "MB/s", goal, is_least=True)
        )
    return lines


def _decode(pieces: list[bytes]) -> float:
    decoder = SseDecoder()
    started = time.process_time()
    count = sum(1 for piece in pieces for _ in decoder.split(piece))
    cpu = time.process_time() - started
    assert count == 8000, count
    return cpu


def _memory() -> list[Line]:
    lines: list[Line] = []
    with _server() as port:
        kib = trio.run(_hold, port, 1000)
        if kib is not None:
            lines.append(Line("an open stream, of 1,000", kib, "KiB", 8))
        lines.append(Line("blocks kept a token, over 200,000", trio.run(_kept, port), "blocks", 0.001))
    return lines


_SUITES: dict[str, Callable[[], list[Line]]] = {
    "dispatch": _dispatch,
    "tokens": _tokens,
    "sse": _sse,
    "memory": _memory,
}


# -- the work -------------------------------------------------------------------------------------------------------------


def _per_request(measure: Callable[[], float]) -> float:
    return min(measure() for _ in range(2)) / (_TASKS * _EACH) * 1e6


async def _chat(manager: tercet.ProviderManager) -> None:
    await manager.chat(_REQUEST)


async def _drink(manager: tercet.ProviderManager) -> int:
    count = 0
    async with manager.chat_stream(_REQUEST) as stream:
        async for _ in stream:
            count += 1
    return count


def _registry(port: int, what: str) -> tercet.ProviderRegistry:
    known = tercet.ProviderRegistry([])
    url = f"http://127.0.0.1:{port}/openai/{what}/v1"
    known.add(tercet.Profile(id="bench", base_url=url, auth="none", catalog="none"))
    return known


def _with_manager(
    port: int,
    what: str,
    ask: Callable[[tercet.ProviderManager], Awaitable[object]],
    tasks: int,
    each: int,
) -> float:
    async def main() -> float:
        clocks = tercet.Clocks(connect=60)
        async with tercet.open_manager(_registry(port, what), environ={}, clocks=clocks) as manager:
            return await _crowd(lambda: ask(manager), tasks, each)

    return trio.run(main)


def _with_transport(port: int) -> float:
    call = HttpCall(
        "POST",
        Origin("http", "127.0.0.1", port),
        "/openai/json/v1/chat/completions",
        (("content-type", "application/json"),),
        _BODY,
    )

    async def main() -> float:
        transport = Transport(SocketNetwork())

        async def ask() -> None:
            response = await transport.send(call, connect_timeout=60)
            msgspec.json.decode(await response.read())

        try:
            return await _crowd(ask, _TASKS, _EACH)
        finally:
            transport.close()

    return trio.run(main)


async def _crowd(ask: Callable[[], Awaitable[object]], tasks: int, each: int) -> float:
    """CPU seconds of ``tasks`` that ask ``each`` times in a closed loop, once every one of them has had an answer."""
    waiting = tasks
    started = 0.0
    go = trio.Event()

    async def one() -> None:
        nonlocal waiting, started
        await ask()
        waiting -= 1
        if not waiting:
            gc.collect()
            started = time.process_time()
            go.set()
        await go.wait()
        for _ in range(each):
            await ask()

    async with trio.open_nursery() as nursery:
        for _ in range(tasks):
            nursery.start_soon(one)
    return time.process_time() - started


async def _hold(port: int, streams: int) -> float | None:
    """KiB of memory that each of ``streams`` open streams takes; None where the system does not tell."""
    async with tercet.open_manager(_registry(port, "paced/3600000000/2"), environ={}) as manager:

        async def hold(begun: trio.Semaphore) -> None:
            async with manager.chat_stream(_REQUEST) as stream:
                begun.release()
                async for _ in stream:
                    pass

        async def begin(nursery: trio.Nursery, count: int) -> None:
            begun = trio.Semaphore(0)
            for _ in range(count):
                nursery.start_soon(hold, begun)
            for _ in range(count):
                await begun.acquire()

        async with trio.open_nursery() as nursery:
            await begin(nursery, 20)
            before = _resident()
            for _ in range(0, streams, 200):
                await begin(nursery, 200)
            after = _resident()
            nursery.cancel_scope.cancel()
    return None if before is None or after is None else (after - before) / 1024 / streams


async def _kept(port: int) -> float:
    """Blocks of memory that are left of a token, when its stream is over."""
    async with tercet.open_manager(_registry(port, "stream/1000"), environ={}) as manager:
        for _ in range(10):
            await _drink(manager)
        gc.collect()
        before, count = sys.getallocatedblocks(), 0
        while count < 200_000:
            count += await _drink(manager)
        gc.collect()
        return (sys.getallocatedblocks() - before) / count


def _resident() -> int | None:
    gc.collect()
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


@contextmanager
def _server() -> Generator[int, None, None]:
    """The server's process; gives its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tercet.cli.bench_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()
