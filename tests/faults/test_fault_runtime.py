"""Rows R about the engine itself: a thousand streams, slow and vanishing consumers, cancellation anywhere, hedges, bugs, interrupts."""

from __future__ import annotations

import gc
import logging
import math
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import tercet
from tercet.testing import (
    End,
    Fleet,
    SimulatedProvider,
    assert_nothing_left,
    deterministic_scheduling,
    lorem,
    sweep_cancellation,
)

from .stage import AFTER_THE_FIRST_TOKEN, Play, World, open_world, read_request
from .wires import CHUNKED, ELSEWHERE, END, WHOLE_TEXT, answer, chat_event, chunk, failure, openai, sse

GOOD = answer()
ELSE = answer(text=ELSEWHERE)
Clock = trio.testing.MockClock
ONCE = tercet.RetryPolicy(max_attempts=1)
REST = chunk(openai.all[len(openai.first) :]) + END


async def ask(world: World, *fallbacks: str, **how: Any) -> tercet.ChatResponse:
    async with world.manager.chat_stream(world.ask(), fallbacks=fallbacks, **how) as stream:
        response: tercet.ChatResponse = await stream.collect()
    return response


# -- R01: many at once ----------------------------------------------------------------------------------------------------------


def fleet_of(count: int, **how: Any) -> Fleet:
    return Fleet(*(SimulatedProvider(f"p{number}", script=lorem(8, **how)) for number in range(count)))


def registry_of(fleet: Any, **facts: Any) -> tercet.ProviderRegistry:
    registry = tercet.ProviderRegistry([])
    for provider in fleet:
        registry.add(
            tercet.Profile(id=provider.name, base_url=fleet.base_url(provider.name), auth="none", **facts)
        )
    return registry


async def thousand(manager: tercet.ProviderManager) -> list[str]:
    """A thousand streams, over 33 providers in turn; the providers, in the order in which they ended."""
    done: list[str] = []

    async def one(name: str) -> None:
        async with manager.chat_stream(tercet.ChatRequest(f"{name}:x", "Hello.")) as stream:
            assert len((await stream.collect()).text.split()) == 8
        done.append(name)

    async with trio.open_nursery() as nursery:
        for number in range(1000):
            nursery.start_soon(one, f"p{number % 33}")
    return done


async def test_a_thousand_streams_of_33_providers_in_memory(autojump_clock: Clock) -> None:
    """All complete, and none has to wait until another one's are done."""
    async with fleet_of(33, pace=0.1).in_memory(latency=0.02) as fleet:
        async with tercet.open_manager(
            registry_of(fleet, max_concurrency=5), environ={}, network=fleet.network
        ) as manager:
            done = await thousand(manager)
            assert trio.current_time() < 60
        assert fleet.network.open_connections == 0
    assert Counter(done) == Counter(f"p{number % 33}" for number in range(1000))
    for start in range(0, 33 * 5 * 5, 33 * 5):  # wave by wave, each provider has its five places
        assert set(Counter(done[start : start + 33 * 5]).values()) == {5}


async def test_a_thousand_streams_of_33_providers_over_sockets() -> None:
    async with fleet_of(33).on_loopback() as fleet:
        async with tercet.open_manager(
            registry_of(fleet), environ={}, clocks=tercet.Clocks(connect=60.0)
        ) as manager:
            done = await thousand(manager)
            assert all(counts.outcomes["ok"] == counts.attempts for counts in manager.statistics().values())
    assert Counter(done) == Counter(f"p{number % 33}" for number in range(1000))


# -- R02, R03: consumers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("over", ["memory", "sockets"])
async def test_a_slow_consumer_stops_the_server_and_is_not_taken_for_silence(
    over: Any, mock_clock: Clock
) -> None:
    mock_clock.autojump_threshold = 0 if over == "memory" else float("inf")
    sent = 0
    event = sse(chat_event("word " * 200))  # about 1 KiB
    block = chunk(event * 64)

    async def flood(scene: Any) -> None:
        nonlocal sent
        for _ in range(512):  # 40 MiB and more
            await scene.stream.send_all(block)
            sent += len(block)
        await scene.stream.send_all(chunk(openai.finish + openai.usage + openai.done) + END)

    async with open_world(over, mock_clock, [(CHUNKED, flood)], [ELSE]) as world:
        async with world.manager.chat_stream(world.ask()) as stream:
            await stream.__anext__()
            await trio.testing.wait_all_tasks_blocked()
            at_first = sent
            assert at_first < (512 << 10 if over == "memory" else 16 << 20)
            for _ in range(5):  # an event every ten seconds; the idle clock stands at two
                await world.time.pass_by(10.0)
                await stream.__anext__()
            assert sent - at_first <= len(block) * 2
            answered = await stream.collect()
        assert answered.is_complete
        assert sent == len(block) * 512
        assert world.manager.statistics()["alder"].outcomes["ok"] == 1
        await world.assert_nothing_left()


@pytest.mark.parametrize("over", ["memory", "sockets"])
@pytest.mark.parametrize("how", ["break", "aclose", "raise"])
async def test_a_consumer_that_stops(over: Any, how: str, mock_clock: Clock) -> None:
    mock_clock.autojump_threshold = 0 if over == "memory" else float("inf")
    left = trio.Event()

    async def until_left(scene: Any) -> None:
        while await scene.stream.receive_some():
            pass
        left.set()

    async with open_world(over, mock_clock, [(CHUNKED + chunk(openai.first), until_left)], [ELSE]) as world:
        stream = world.manager.chat_stream(world.ask())
        if how == "aclose":
            await stream.__aenter__()
            await stream.__anext__()
            await stream.aclose()
        elif how == "break":
            async with stream:
                async for _ in stream:
                    break
        else:
            with pytest.raises(KeyError):
                async with stream:
                    async for _ in stream:
                        raise KeyError("the consumer's own")
        await left.wait()
        outcomes = world.manager.statistics()["alder"].outcomes
        assert (outcomes["cancelled"], outcomes["failed"]) == (1, 0)
        assert world.lane.breaker.snapshot(trio.current_time()).calls == 0
        await world.assert_nothing_left()


async def test_a_stream_that_was_dropped_is_closed_with_the_manager(mock_clock: Clock) -> None:
    """The manager holds it, so there is nothing for the garbage collector to find."""
    async with assert_nothing_left():
        async with open_world(
            "sockets", mock_clock, [(CHUNKED + chunk(openai.first), End("stall"))], [ELSE]
        ) as world:
            stream = world.manager.chat_stream(world.ask())
            await stream.__aenter__()
            del stream
            gc.collect()
            assert world.lane.in_flight == 1


# -- R04: cancelled anywhere ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plays", "how"),
    [
        ([(End("reset"),), (failure(503),), GOOD], {}),
        ([(failure(500),)], {"fallbacks": ["birch:lorem"]}),
        (
            [(CHUNKED + chunk(openai.first), AFTER_THE_FIRST_TOKEN, End("reset"))],
            {"fallbacks": ["birch:lorem"], "on_interruption": "restart"},
        ),
        ([(lambda scene: scene.time.pass_by(1.5), *GOOD)], {"fallbacks": ["birch:lorem"], "hedged": True}),
    ],
    ids=["retry", "fail over", "restart", "hedge"],
)
def test_cancelled_at_any_point_of_the_longer_ways(plays: list[Play], how: dict[str, Any]) -> None:
    """Retries, fail-overs, restarts and hedges: whatever the moment, all comes back and nobody is charged."""

    async def main() -> None:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, trio.testing.MockClock)
        async with open_world(
            "memory",
            clock,
            plays,
            [ELSE],
            hedge=tercet.HedgePolicy(delay=1.0, burst=10**6),
            make_breaker=lambda: tercet.CircuitBreaker(minimum_calls=10**9),
        ) as world:
            async with world.manager.chat_stream(tercet.ChatRequest("birch:lorem", "Hi.")) as stream:
                await stream.collect()  # the lane is there, and is not what is being swept

            async def run() -> None:
                world.alder.requests.clear()
                try:
                    async with world.manager.chat_stream(world.ask(), **how) as stream:
                        async for token in stream:
                            if not isinstance(token, tercet.UsageReport):
                                world.said.set()
                except tercet.TercetError:
                    # an attempt failed just as it was cancelled: its error is as good an end
                    if trio.current_effective_deadline() != -math.inf:
                        raise

            points = await sweep_cancellation(run, check=world.assert_nothing_left, every_task=True)
            assert points > 15
            await world.assert_nothing_left()

    with deterministic_scheduling(1):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


# -- R08: hedges --------------------------------------------------------------------------------------------------------------------


def _late(seconds: float, *play: Any) -> Play:
    return (lambda scene: scene.time.pass_by(seconds), *play)


@pytest.mark.parametrize(
    ("alder", "birch", "winner", "outcomes"),
    [
        (_late(1.5, *GOOD), _late(1.0, *ELSE), "alder", {"cancelled": 0, "failed": 0}),
        (_late(2.9, *GOOD), ELSE, "birch", {"cancelled": 1, "failed": 0}),
        ((End("stall"),), ELSE, "birch", {"cancelled": 1, "failed": 0}),
        (_late(1.2, End("reset")), _late(0.5, *ELSE), "birch", {"cancelled": 0, "failed": 1}),
        (_late(1.5, *GOOD), (failure(500),), "alder", {"cancelled": 0, "failed": 0}),
        (_late(1.5, *GOOD), (End("stall"),), "alder", {"cancelled": 0, "failed": 0}),
    ],
    ids=[
        "both answer",
        "the second is faster",
        "the first stalls",
        "the first fails",
        "the second fails",
        "the second stalls",
    ],
)
async def test_of_two_that_were_asked_one_is_heard(
    alder: Play, birch: Play, winner: str, outcomes: dict[str, int], autojump_clock: Clock
) -> None:
    hedge = tercet.HedgePolicy(delay=1.0, burst=99)
    async with open_world("memory", autojump_clock, [alder], [birch], hedge=hedge, retry=ONCE) as world:
        response = await ask(world, "birch:lorem", hedged=True)
        assert response.provider == winner
        assert response.text == (WHOLE_TEXT if winner == "alder" else ELSEWHERE)
        assert response.usage is not None
        assert response.usage.output_tokens == 2  # one answer's, not two
        found = world.manager.statistics()
        assert {kind: found["alder"].outcomes[kind] for kind in outcomes} == outcomes
        loser = found["birch" if winner == "alder" else "alder"]
        assert (loser.outcomes["ok"], loser.output_tokens) == (0, 0)
        await world.assert_nothing_left()


# -- R13, R14: bugs -----------------------------------------------------------------------------------------------------------------


async def test_a_bug_in_an_adapter_fails_one_request(
    autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reaches whoever asked, as itself, before the first content and after it; nobody else notices, and no provider is charged."""
    slow: Play = (CHUNKED + chunk(openai.first), AFTER_THE_FIRST_TOKEN, REST)
    async with open_world("memory", autojump_clock, [slow], [ELSE]) as world:
        adapter = world.manager.adapter("alder")
        chat, processor = adapter.chat, adapter.processor
        others: list[tercet.ChatResponse] = []

        async def other() -> None:
            async with world.manager.chat_stream(tercet.ChatRequest("birch:lorem", "Hi.")) as stream:
                others.append(await stream.collect())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            with monkeypatch.context() as patch:
                patch.setattr(adapter, "chat", lambda *args, **how: 1 // 0)
                for way in ("stream", "whole"):
                    with pytest.raises(ZeroDivisionError):
                        await (
                            ask(world, "birch:lorem") if way == "stream" else world.manager.chat(world.ask())
                        )
            assert adapter.chat == chat

            class Buggy:
                is_complete = False
                reads = 0

                def __init__(self, inner: Any) -> None:
                    self._inner = inner

                def process_chunk(self, data: bytes) -> Any:
                    self.reads += 1
                    if self.reads > 1:
                        raise ZeroDivisionError("in mid-answer")
                    return self._inner.process_chunk(data)

            with monkeypatch.context() as patch:
                patch.setattr(adapter, "processor", lambda *args: Buggy(processor(*args)))
                with pytest.raises(ZeroDivisionError, match="mid-answer"):
                    async with world.manager.chat_stream(world.ask()) as stream:
                        async for _ in stream:
                            world.said.set()
        assert len(others) == 1
        counts = world.manager.statistics()["alder"]
        assert counts.outcomes["failed"] == 0
        assert counts.outcomes["local"] == 2
        assert world.lane.breaker.snapshot(trio.current_time()).calls == 0
        async with world.manager.chat_stream(world.ask()) as stream:
            async for _ in stream:
                world.said.set()
        assert stream.response.is_complete
        await world.assert_nothing_left()


async def test_a_fault_of_the_programs_own_hook_is_logged_and_nothing_more(
    autojump_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """R14: the hook is told of every attempt; what it raises is its own business."""
    told: list[Any] = []

    def hook(record: Any) -> None:
        told.append(record)
        raise ZeroDivisionError("in the hook")

    with caplog.at_level(logging.CRITICAL, logger="tercet"):
        async with open_world(
            "memory", autojump_clock, [(failure(500),), GOOD], [ELSE], on_attempt=hook
        ) as world:
            for _ in range(3):
                assert (await ask(world)).is_complete
            assert len(told) == 4
            assert world.manager.statistics()["alder"].attempts == 4
            await world.assert_nothing_left()


async def test_a_fault_of_a_transformer_reaches_its_own_request(autojump_clock: Clock) -> None:
    class Broken:
        def __init__(self, after: int) -> None:
            self.left = after

        def transform(self, tokens: list[tercet.StreamToken]) -> list[tercet.StreamToken]:
            self.left -= 1
            if self.left < 0:
                raise ZeroDivisionError("in the transformer")
            return tokens

        def finish(self) -> list[tercet.StreamToken]:
            return []

    play: Play = (CHUNKED + chunk(openai.first), AFTER_THE_FIRST_TOKEN, REST)
    async with open_world("memory", autojump_clock, [play], [ELSE]) as world:
        for after in (0, 1):
            with pytest.raises(ZeroDivisionError):
                async with world.manager.chat_stream(world.ask(), transformers=[Broken(after)]) as stream:
                    async for _ in stream:
                        world.said.set()
            await world.assert_nothing_left()
        assert world.manager.statistics()["alder"].outcomes["failed"] == 0


# -- R15: the end of the program ------------------------------------------------------------------------------------------------------

CHILD = """
import sys, trio, tercet

async def main():
    registry = tercet.ProviderRegistry([])
    registry.add(tercet.Profile(id="alder", base_url=sys.argv[1], auth="none"))
    async with tercet.open_manager(registry, environ={}) as manager:
        async with manager.chat_stream(tercet.ChatRequest("alder:x", "Hi.")) as stream:
            async for token in stream:
                print("said", flush=True)
                if sys.argv[2] == "crash":
                    raise RuntimeError("the program's own")

trio.run(main)
"""


@pytest.mark.parametrize("how", ["interrupt", "crash"])
async def test_the_end_of_the_program_closes_its_connections(how: str) -> None:
    said, left = trio.Event(), trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await read_request(stream, None)
            await stream.send_all(CHUNKED + chunk(openai.first))
            try:
                while await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass
            left.set()

    async def listen(process: trio.Process) -> None:
        assert process.stdout is not None
        while data := await process.stdout.receive_some():
            if b"said" in data:
                said.set()

    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        process = await trio.lowlevel.open_process(
            [sys.executable, "-c", CHILD, url, how],
            stdout=-1,
            stderr=-1,
            env=os.environ,
            cwd=Path(__file__).parent,
        )
        nursery.start_soon(listen, process)
        with trio.fail_after(60):
            await said.wait()
            if how == "interrupt":
                process.send_signal(signal.SIGINT)
            await left.wait()
            assert process.stderr is not None
            told = b""
            while data := await process.stderr.receive_some():
                told += data
            code = await process.wait()
        assert code != 0
        assert (b"KeyboardInterrupt" if how == "interrupt" else b"RuntimeError: the program's own") in told
        assert b"ResourceWarning" not in told
        await process.stderr.aclose()
        nursery.cancel_scope.cancel()
