"""Rows N01 to N23: names, TCP, silence, TLS, proxies."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import trio

import tercet
from tercet.adapters.call import Origin
from tercet.engine.runtime.transport.dialing import Address, dial
from tercet.testing import End

from .cases import Entry, fault, fine
from .plays import (
    HELLO,
    REST,
    after,
    before,
)
from .secured import cut_the_tunnel
from .stage import Reads, Scene, World
from .wires import CHUNKED, chunk, openai, sse

__all__ = ["ROWS"]

Interrupted = tercet.StreamInterruptedError
_A_MEBIBYTE = {"text": "x" * (1 << 20)}


# What happens to connecting ---------------------------------------------------------------------------------------------


def _no_name(number: int) -> Callable[[World, Origin], Awaitable[None]]:
    async def failing(host: str, port: int) -> list[Address]:
        raise socket.gaierror(number, "no such name")

    async def connecting(world: World, origin: Origin) -> None:
        await dial(origin.host, origin.port, resolver=failing)

    return connecting


async def _hanging_name(world: World, origin: Origin) -> None:
    async def hanging(host: str, port: int) -> list[Address]:
        await world.time.until(trio.sleep_forever)
        return []

    await dial(origin.host, origin.port, resolver=hanging)


async def _refused(world: World, origin: Origin) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can take the port meanwhile
        await dial("127.0.0.1", held.getsockname()[1])


async def _no_descriptors(world: World, origin: Origin) -> None:
    """The process may open no file more, for the length of one connect (it does not wait: the address is known)."""

    async def known(host: str, port: int) -> list[Address]:
        return [(socket.AF_INET, ("127.0.0.1", 9))]

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        await dial("127.0.0.1", 9, resolver=known)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Slow servers -----------------------------------------------------------------------------------------------------------


def drip(data: bytes, every: float) -> Callable[[Scene], Awaitable[None]]:
    """A byte at a time, each in an HTTP chunk of its own."""

    async def dripping(scene: Scene) -> None:
        for byte in data:
            await scene.stream.send_all(chunk(bytes([byte])))
            await scene.time.pass_by(every)

    return dripping


def comments(every: float) -> Callable[[Scene], Awaitable[None]]:
    """Comments for ever (until sending fails because the client has gone)."""

    async def commenting(scene: Scene) -> None:
        while True:
            await scene.stream.send_all(chunk(b": keep-alive\n\n"))
            await scene.time.pass_by(every)

    return commenting


def _clock(name: str, **more: Any) -> Any:
    return fault(tercet.DeadlineError, facts={"clock": name}, **more)


_SLOW = "silence before any content counts as a failed call, which the breaker weighs heavier than a slow one"
_CONNECT = "the connect clock cannot tell a name that hangs from a host that does (N17): it is tried again like any timeout, not once"

ROWS: dict[str, Entry] = {
    "N01": Entry(
        cases=(
            before(
                "no such name",
                fault=_no_name(socket.EAI_NONAME),
                reaches=False,
                expect=fault(tercet.ConnectError, again=0, facts={"phase": "dns", "code": "EAI_NONAME"}),
            ),
            before(
                "the resolver says: try again",
                fault=_no_name(socket.EAI_AGAIN),
                reaches=False,
                expect=fault(tercet.ConnectError, again=1, facts={"phase": "dns", "code": "EAI_AGAIN"}),
            ),
        )
    ),
    "N02": Entry(
        cases=(
            before(
                "the resolver hangs",
                fault=_hanging_name,
                reaches=False,
                expect=_clock("connect"),
                why=_CONNECT,
            ),
        )
    ),
    "N03": Entry(
        cases=(
            before(
                "refused",
                fault=_refused,
                reaches=False,
                expect=fault(tercet.ConnectError, facts={"phase": "tcp", "code": "ECONNREFUSED"}),
            ),
        )
    ),
    "N04": Entry(
        tested_by=(
            "test_fault_connections::test_a_dead_first_address_costs_nothing_but_the_stagger",
            "test_fault_connections::test_a_first_address_that_refuses_is_passed_over",
        )
    ),
    "N05": Entry(
        left_out="that the lost attempt may be billed is logged with the decision only (debug), not told",
        cases=(before("reset", End("reset"), expect=fault(Interrupted)),),
    ),
    "N06": Entry(
        cases=(
            before("in the head", CHUNKED[:40], End("reset"), expect=fault(Interrupted)),
            before("in the first chunk", HELLO[:-20], End("reset"), expect=fault(Interrupted)),
            after("in a chunk", chunk(openai.rest)[:30], End("reset"), expect=fault(Interrupted)),
            after("in a chunk's size", b"4", End("reset"), expect=fault(Interrupted)),
        ),
        tested_by=("test_fault_connections::test_a_stream_reset_after_any_byte",),
    ),
    "N07": Entry(
        cases=(
            before("in the first chunk", HELLO[:-20], End("fin"), expect=fault(Interrupted)),
            after("in a chunk", chunk(openai.rest)[:30], End("fin"), expect=fault(Interrupted)),
            after("behind a chunk", chunk(openai.rest[:20]), End("fin"), expect=fault(Interrupted)),
        ),
    ),
    "N08": Entry(
        cases=(
            before("behind the head", CHUNKED, End("fin"), expect=fault(Interrupted)),
            before("behind a comment", CHUNKED, chunk(b": hello\n\n"), End("fin"), expect=fault(Interrupted)),
            before(
                "behind an event without content",
                CHUNKED,
                chunk(sse({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})),
                End("fin"),
                expect=fault(Interrupted),
            ),
            after("behind the first event", End("fin"), expect=fault(Interrupted)),
            after(
                "behind the last content",
                chunk(openai.rest),
                End("fin"),
                expect=fault(Interrupted, said="Hello w\u00f6rld \U0001f389"),
            ),
            after(
                "behind the finish, before [DONE]",
                chunk(openai.rest + openai.finish),
                End("fin"),
                expect=fault(Interrupted, said="Hello w\u00f6rld \U0001f389"),
            ),
        ),
    ),
    "N09": Entry(
        left_out="a counter of warnings",
        cases=(
            after("reset", REST, End("reset"), expect=fine(kept=False)),
            after("fin", REST, End("fin"), expect=fine(kept=False)),
        ),
    ),
    "N10": Entry(
        cases=(
            before("half-closed", Reads(1024), End("fin"), ask=_A_MEBIBYTE, expect=fault(Interrupted)),
            before("reset", Reads(1024), End("reset"), ask=_A_MEBIBYTE, expect=fault(Interrupted)),
        )
    ),
    "N11": Entry(
        cases=(
            before("streamed", End("stall"), expect=_clock("first_content"), why=_SLOW),
            before("whole", End("stall"), way="whole", expect=_clock("first_content"), why=_SLOW),
        )
    ),
    "N12": Entry(
        cases=(before("silence", CHUNKED, End("stall"), expect=_clock("first_content"), why=_SLOW),)
    ),
    "N13": Entry(
        cases=(
            after("silence", End("stall"), expect=_clock("idle")),
            after("silence in an event", chunk(openai.rest[:30]), End("stall"), expect=_clock("idle")),
        ),
    ),
    "N14": Entry(
        cases=(
            before(
                "a byte at a time",
                CHUNKED,
                drip(openai.first, 1.8),
                expect=_clock("first_content"),
                why=_SLOW,
            ),
            after("a byte at a time", drip(openai.rest, 1.8), expect=_clock("idle")),
        ),
    ),
    "N15": Entry(
        cases=(
            before("comments", CHUNKED, comments(1.0), expect=_clock("first_content"), why=_SLOW),
            after("comments", comments(1.0), expect=_clock("idle")),
        ),
    ),
    "N16": Entry(
        left_out="an alarm of its own: the error says what is wrong with the certificate",
        cases=tuple(
            before(
                kind,
                tls=kind,
                reaches=False,
                over=("sockets",),
                expect=fault(
                    tercet.ConnectError, again=0, facts={"phase": "tls", "retryable": False}, message=message
                ),
            )
            for kind, message in (
                ("expired", "expired"),
                ("wrong host", "[Hh]ostname mismatch"),
                ("self-signed", "self-signed"),
                ("unknown authority", "unable to get local issuer"),
            )
        ),
    ),
    "N17": Entry(
        cases=(
            before(
                "silent in the handshake",
                tls="silent",
                reaches=False,
                over=("sockets",),
                expect=_clock("connect"),
            ),
        )
    ),
    "N18": Entry(
        cases=(
            before(
                "behind the head",
                CHUNKED,
                End("fin"),
                tls="good",
                over=("sockets",),
                expect=fault(Interrupted),
            ),
            after("in the answer", End("fin"), tls="good", over=("sockets",), expect=fault(Interrupted)),
            after(
                "behind the terminal event",
                REST,
                End("fin"),
                tls="good",
                over=("sockets",),
                expect=fine(kept=False),
            ),
        ),
    ),
    "N19": Entry(
        cases=(
            before(
                "alert behind the head", CHUNKED, tls="alert", over=("sockets",), expect=fault(Interrupted)
            ),
            after("alert in the answer", tls="alert", over=("sockets",), expect=fault(Interrupted)),
        ),
    ),
    "N20": Entry(
        cases=(
            before(
                "plain HTTP",
                tls="plain",
                reaches=False,
                over=("sockets",),
                expect=fault(tercet.ConnectError, again=0, facts={"phase": "tls"}),
            ),
        )
    ),
    "N21": Entry(
        cases=(
            before(
                "407",
                tls="good",
                proxy="407",
                reaches=False,
                over=("sockets",),
                expect=fault(
                    tercet.ConnectError,
                    again=0,
                    signal="local",
                    facts={"phase": "proxy", "status": 407, "retryable": False},
                ),
            ),
        )
    ),
    "N22": Entry(
        cases=tuple(
            before(
                status,
                tls="good",
                proxy=status,
                reaches=False,
                over=("sockets",),
                expect=fault(
                    tercet.ConnectError,
                    again=1,
                    signal="local",
                    facts={"phase": "proxy", "status": int(status)},
                ),
                why="proxies have no breaker of their own; the provider behind is not charged",
            )
            for status in ("502", "503")
        )
    ),
    "N23": Entry(
        cases=(
            before(
                "behind the head",
                CHUNKED,
                cut_the_tunnel,
                tls="good",
                proxy="cut",
                over=("sockets",),
                expect=fault(Interrupted),
            ),
            after(
                "in the answer",
                cut_the_tunnel,
                tls="good",
                proxy="cut",
                over=("sockets",),
                expect=fault(Interrupted),
            ),
        ),
    ),
    "N40": Entry(
        cases=(
            before(
                "no descriptor left",
                fault=_no_descriptors,
                reaches=False,
                expect=fault(
                    tercet.ConnectError,
                    signal="local",
                    elsewhere=False,
                    facts={"phase": "tcp", "code": "EMFILE"},
                ),
            ),
        )
    ),
}
