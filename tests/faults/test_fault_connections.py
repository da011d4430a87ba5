"""Rows N04, N06 and N37: addresses in a race, a reset after every byte, kept connections that die."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

import tercet
from tercet.adapters.call import Origin
from tercet.engine.runtime.transport import SocketNetwork
from tercet.engine.runtime.transport.dialing import Address, happy_eyeballs
from tercet.engine.runtime.transport.sockets import SocketConnection
from tercet.testing import End, assert_nothing_left

from .stage import Actor, World, open_world
from .wires import FIRST, WHOLE_TEXT, answer, openai

GOOD = answer()


async def ask(world: World, *fallbacks: str) -> tercet.ChatResponse:
    async with world.manager.chat_stream(world.ask(), fallbacks=fallbacks) as stream:
        response: tercet.ChatResponse = await stream.collect()
    return response


# -- addresses (N04) --------------------------------------------------------------------------------------------------------


class Racing:
    """A network that knows two addresses of a host: the first never answers, the second is ``actor``, at the other end of a socket pair."""

    def __init__(self, actor: Actor, nursery: trio.Nursery) -> None:
        self._actor = actor
        self._nursery = nursery
        self.tried: list[str] = []

    async def connect(self, origin: Origin) -> Any:
        async def attempt(address: Address) -> socket.socket:
            name = str(address[1])
            self.tried.append(name)
            if name == "dead":
                await trio.sleep_forever()
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(_unblocked(theirs)))
            self._nursery.start_soon(self._actor.serve, stream)
            return ours

        addresses: list[Address] = [(socket.AF_INET6, "dead"), (socket.AF_INET, "alive")]
        won, failures = await happy_eyeballs(addresses, attempt)
        assert won is not None
        assert failures == []
        return SocketConnection(won, memoryview(bytearray(65536)))


def _unblocked(sock: socket.socket) -> socket.socket:
    sock.setblocking(False)
    return sock


async def test_a_dead_first_address_costs_nothing_but_the_stagger(mock_clock: trio.testing.MockClock) -> None:
    async with assert_nothing_left():
        actor = Actor([GOOD])
        async with trio.open_nursery() as nursery:
            network = Racing(actor, nursery)
            async with open_world("sockets", mock_clock, [GOOD], [GOOD], network=network) as world:
                actor.world = world

                async def let_the_stagger_pass() -> None:
                    await world.time.pass_by(0.25)

                nursery.start_soon(let_the_stagger_pass)
                assert (await ask(world)).text == WHOLE_TEXT
                assert network.tried == ["dead", "alive"]
                assert trio.current_time() == pytest.approx(0.25)
                outcomes = world.manager.statistics()["alder"].outcomes
                assert (outcomes["ok"], outcomes["failed"]) == (1, 0)
                await world.assert_nothing_left()
            nursery.cancel_scope.cancel()


async def test_a_first_address_that_refuses_is_passed_over(mock_clock: trio.testing.MockClock) -> None:
    """Over TCP, and without any wait: 127.0.0.2 has nobody on the port."""
    async with assert_nothing_left():
        async with open_world("sockets", mock_clock, [GOOD], [GOOD]) as outer:
            port = int(outer.urls["alder"].rpartition(":")[2])

            async def two(host: str, asked: int) -> list[Address]:
                return [(socket.AF_INET, ("127.0.0.2", port)), (socket.AF_INET, ("127.0.0.1", port))]

            async with open_world(
                "sockets", mock_clock, [GOOD], [GOOD], network=SocketNetwork(resolver=two)
            ) as world:
                assert (await ask(world)).text == WHOLE_TEXT
                assert world.manager.statistics()["alder"].outcomes["ok"] == 1
                assert len(outer.alder.requests) == 1
                await world.assert_nothing_left()


# -- a reset after every byte (N06) -----------------------------------------------------------------------------------------

RECORDED = b"".join(step for step in GOOD if isinstance(step, bytes))


@asynccontextmanager
async def resetting(over: Any, clock: Any) -> AsyncIterator[World]:
    settings: dict[str, Any] = {
        "retry": tercet.RetryPolicy(max_attempts=1),
        "make_breaker": lambda: tercet.CircuitBreaker(minimum_calls=10**9),
    }
    async with open_world(over, clock, [GOOD], [GOOD], **settings) as world:
        yield world
        await world.assert_nothing_left()


async def reset_after(world: World, length: int) -> str:
    """What became of an answer that was reset behind ``length`` bytes."""
    world.alder.plays = [(RECORDED[:length], End("reset"))]
    said: list[str] = []
    try:
        async with world.manager.chat_stream(world.ask()) as stream:
            async for token in stream:
                if isinstance(token, tercet.TextDelta):
                    said.append(token.text)
    except tercet.StreamInterruptedError as error:
        if error.response is None:
            assert not said
            return "silent"
        assert not error.response.is_complete
        assert error.response.text == "".join(said)
        assert WHOLE_TEXT.startswith("".join(said))
        return "interrupted"
    assert stream.response.is_complete
    assert "".join(said) == WHOLE_TEXT
    return "whole"


async def test_a_stream_reset_after_any_byte_in_memory(autojump_clock: trio.testing.MockClock) -> None:
    async with resetting("memory", autojump_clock) as world:
        fates = [await reset_after(world, length) for length in range(len(RECORDED) + 1)]
    first = RECORDED.index(openai.first) + len(openai.first)
    assert set(fates[:first]) == {"silent"}
    assert fates == sorted(fates, key=["silent", "interrupted", "whole"].index)
    assert fates.count("interrupted") > 300
    done = RECORDED.index(openai.done) + len(openai.done)
    assert fates[done:] == ["whole"] * (len(RECORDED) + 1 - done)


async def test_a_stream_reset_after_any_byte(mock_clock: trio.testing.MockClock) -> None:
    """Over sockets a reset may take away bytes that were not read yet, so each answer may be shorter than it was sent, and never longer."""
    async with assert_nothing_left(), resetting("sockets", mock_clock) as world:
        fates = [await reset_after(world, length) for length in range(0, len(RECORDED) + 1, 3)]
    order = ["silent", "interrupted", "whole"]
    first = RECORDED.index(openai.first) + len(FIRST)
    for at, fate in enumerate(fates):
        most = (
            "silent" if 3 * at < first else "interrupted" if 3 * at < RECORDED.index(openai.done) else "whole"
        )
        assert order.index(fate) <= order.index(most)
    assert set(fates) == set(order)


# -- kept connections (N37) -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("over", ["memory", "sockets"])
@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_a_kept_connection_that_dies_as_it_is_used_is_replaced_for_free(
    over: Any, how: Any, mock_clock: trio.testing.MockClock
) -> None:
    mock_clock.autojump_threshold = 0 if over == "memory" else float("inf")
    async with assert_nothing_left():
        async with open_world(over, mock_clock, [GOOD, (End(how),), GOOD], [GOOD]) as world:
            assert (await ask(world)).is_complete
            assert (await ask(world, "birch:lorem")).provider == "alder"
            assert len(world.alder.requests) == 3
            assert world.transport.statistics().free_retries == 1
            counts = world.manager.statistics()["alder"]
            assert (counts.attempts, counts.outcomes["ok"], counts.retries) == (2, 2, 0)
            assert world.lane.breaker.snapshot(trio.current_time()).failures == 0
            await world.assert_nothing_left()


@pytest.mark.parametrize("over", ["memory", "sockets"])
async def test_a_kept_connection_that_was_closed_meanwhile_is_not_tried(
    over: Any, mock_clock: trio.testing.MockClock
) -> None:
    mock_clock.autojump_threshold = 0 if over == "memory" else float("inf")
    closed = trio.Event()

    async def close(scene: Any) -> None:
        await trio.aclose_forcefully(scene.stream)
        closed.set()

    async with assert_nothing_left():
        async with open_world(over, mock_clock, [(*GOOD, close), GOOD], [GOOD]) as world:
            assert (await ask(world)).is_complete
            await closed.wait()
            await trio.testing.wait_all_tasks_blocked()
            assert (await ask(world)).is_complete
            assert (len(world.alder.requests), world.alder.connections) == (2, 2)
            assert world.transport.statistics().free_retries == 0
            await world.assert_nothing_left()


@pytest.mark.parametrize("over", ["memory", "sockets"])
async def test_a_fresh_connection_that_dies_is_charged(over: Any, mock_clock: trio.testing.MockClock) -> None:
    mock_clock.autojump_threshold = 0 if over == "memory" else float("inf")
    async with open_world(over, mock_clock, [(End("fin"),), GOOD], [GOOD]) as world:
        assert (await ask(world)).is_complete
        assert world.manager.statistics()["alder"].retries == 1
        assert world.transport.statistics().free_retries == 0
