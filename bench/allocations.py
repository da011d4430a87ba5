"""P7: how often CPython's allocators are asked for something, and for how many bytes: counted by a few lines of C.

``alloc -> free -> alloc`` of the same small object counts each time, so these are calls, not memory: what the free lists and arenas give
out again at once costs no memory, but a few nanoseconds each.
"""

from __future__ import annotations

import ctypes
import gc
import shutil
import socket
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import trio

import tercet
from tercet.adapters.wires import make_wire
from tercet.codecs.processor import StreamProcessor

from .inside import PARTS, InsideNetwork, drink, registry, stream
from .measure import Figure, single


@dataclass
class Count:
    """Calls of malloc, calloc and realloc; the bytes they asked for; the largest of them."""

    calls: int
    bytes: int
    largest: int


class Counter:
    """The counter. Raises :class:`FileNotFoundError` where there is no compiler or no Python headers."""

    def __init__(self) -> None:
        compiler, include = shutil.which("cc"), sysconfig.get_paths()["include"]
        if compiler is None or not Path(include, "Python.h").exists():
            raise FileNotFoundError("counting allocations needs a C compiler and Python's headers")
        with tempfile.TemporaryDirectory() as directory:
            library = Path(directory, "counter.so")
            source = Path(__file__).parent / "counter.c"
            command = [compiler, "-O2", "-shared", "-fPIC", f"-I{include}", "-o", str(library), str(source)]
            subprocess.run(command, check=True)
            self._library = ctypes.PyDLL(str(library))

    def count(self, work: Callable[[], object]) -> Count:
        """What ``work`` asks for."""
        out = (ctypes.c_ulonglong * 3)()
        gc.collect()
        self._library.counter_start()
        try:
            work()
        finally:
            self._library.counter_stop(out)
        return Count(*out)

    def per(self, work: Callable[[int], object], few: int = 200, many: int = 1200) -> tuple[float, float]:
        """Calls and bytes of one more unit of ``work(units)``: the difference of two runs, so that what is done once drops out."""
        work(few)
        low, high = self.count(lambda: work(few)), self.count(lambda: work(many))
        return (high.calls - low.calls) / (many - few), (high.bytes - low.bytes) / (many - few)


def decoding(events: int) -> None:
    """Parse and decode ``events``, 16 to a read."""
    wire = make_wire("openai_chat", {})
    processor = StreamProcessor(wire.decoder(), wire.interpreter())
    chunk = PARTS["token"] * 16
    for _ in range(events // 16):
        processor.process_chunk(chunk)


def decoding_single(events: int) -> None:
    """The same, one event a read."""
    wire = make_wire("openai_chat", {})
    processor = StreamProcessor(wire.decoder(), wire.interpreter())
    chunk = PARTS["token"]
    for _ in range(events):
        processor.process_chunk(chunk)


def whole_way(tokens: int) -> None:
    """One stream through the manager, one token a read, read from a socket under trio."""

    async def main() -> None:
        async with tercet.open_manager(
            registry(), environ={}, network=InsideNetwork(stream(tokens))
        ) as manager:
            await drink(manager)

    trio.run(main)


def run() -> list[Figure]:
    """P7, for one event more."""
    try:
        counter = Counter()
    except FileNotFoundError as error:
        print(f"allocations are left out: {error}")
        return []
    decoded, _ = counter.per(decoding, 160, 1600)
    alone, _ = counter.per(decoding_single)
    calls, asked = counter.per(whole_way)
    waiting, _ = counter.per(waiting_only)
    suite = "allocations"
    return [
        single(suite, "parse and decode", decoded, "calls/event", "16 events a read"),
        single(suite, "parse and decode, one event a read", alone, "calls/event"),
        single(
            suite, "end to end", calls, "calls/event", "one event a read, the server in the process included"
        ),
        single(suite, "end to end: asked for a read", asked / 1024, "KiB"),
        single(suite, "of it trio's wait_readable and a recv", waiting, "calls/event"),
    ]


def waiting_only(reads: int) -> None:
    """What trio takes for a read that waits."""

    async def main() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        buffer = bytearray(65536)
        with ours, theirs:
            for _ in range(reads):
                theirs.send(PARTS["token"])
                await trio.lowlevel.wait_readable(ours)
                ours.recv_into(buffer)

    trio.run(main)
