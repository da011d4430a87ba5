"""Every attempt is written down once, whatever became of it; and what goes on can be looked at."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import tercet
from tercet.testing import cut, fail, lorem, say, stall, sweep_cancellation


def ask(provider: str = "alder", **more: Any) -> tercet.ChatRequest:
    return tercet.ChatRequest(f"{provider}:lorem", "Hello.", **more)


async def test_a_record_for_each_attempt(open_world: Any, autojump_clock: Any) -> None:
    records: list[tercet.AttemptRecord] = []
    retry = tercet.RetryPolicy(max_attempts=2)
    settings = {"on_attempt": records.append, "retry": retry, "wall": lambda: 1e9 + trio.current_time()}
    async with open_world(alder=fail(500), birch=say("one two"), manager=settings) as world:
        request = ask(metadata={"team": "blue"})
        async with world.manager.chat_stream(request, fallbacks=["birch:lorem"]) as stream:
            await stream.collect()
        told = [(r.request, r.attempt, r.provider, r.outcome, r.cause, r.status) for r in records]
        assert told == [
            (1, 1, "alder", "failed", "ServerError", 500),
            (1, 2, "alder", "failed", "ServerError", 500),
            (1, 3, "birch", "ok", "", None),
        ]
        last = records[-1]
        assert last.usage == stream.response.usage == stream.total_usage
        assert last.usage is not None
        assert last.usage.cost
        assert last.first_content is not None
        assert last.metadata == {"team": "blue"}
        assert last.started + last.duration <= 1e9 + trio.current_time()


async def test_what_a_broken_answer_used_is_kept(open_world: Any, autojump_clock: Any) -> None:
    """Anthropic reports the prompt's tokens first: they are counted although the answer breaks off and another is given."""
    records: list[tercet.AttemptRecord] = []
    async with open_world(
        birch=lorem(9, fault=cut(after_events=6)), alder=say("whole"), manager={"on_attempt": records.append}
    ) as world:
        async with world.manager.chat_stream(
            ask("birch"), fallbacks=["alder:lorem"], on_interruption="restart"
        ) as stream:
            await stream.collect()
        broken, whole = records
        assert (broken.outcome, broken.cause) == ("failed", "StreamInterruptedError")
        assert broken.usage is not None
        assert whole.usage is not None
        assert stream.total_usage.input_tokens == broken.usage.input_tokens + whole.usage.input_tokens
        assert stream.response.usage == whole.usage


async def test_records_are_conserved_under_cancellation(open_world: Any, autojump_clock: Any) -> None:
    """As many records as the provider saw requests, at whatever moment the caller leaves."""
    records: list[tercet.AttemptRecord] = []
    async with open_world(alder=lorem(3, pace=0.5), manager={"on_attempt": records.append}) as world:
        await world.manager.chat(ask())

        async def run() -> None:
            async with world.manager.chat_stream(ask()) as stream:
                await stream.collect()

        async def check() -> None:
            await trio.testing.wait_all_tasks_blocked()
            assert len(records) >= len(world.fleet["alder"].chats)
            assert len({(record.request, record.attempt) for record in records}) == len(records)

        assert await sweep_cancellation(run, check=check, every_task=True) > 10
        assert {record.outcome for record in records} == {"ok", "cancelled"}


async def test_a_crash_in_the_bookkeeping_is_its_own(
    open_world: Any, autojump_clock: Any, caplog: Any
) -> None:
    def broken(record: tercet.AttemptRecord) -> None:
        raise ZeroDivisionError("mine")

    async with open_world(alder=say("fine"), manager={"on_attempt": broken}) as world:
        assert (await world.manager.chat(ask())).text == "fine"
    assert "on_attempt failed" in caplog.text


async def test_inspect_shows_what_goes_on(open_world: Any, autojump_clock: Any) -> None:
    async with open_world(alder=stall(after_events=0), birch=lorem(9, pace=1.0)) as world:
        manager = world.manager
        assert manager.inspect().requests == ()

        async def stream_from(provider: str) -> None:
            async with manager.chat_stream(ask(provider)) as stream:
                await stream.collect()

        with trio.move_on_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream_from, "alder")
                nursery.start_soon(stream_from, "birch")
                await trio.sleep(2.5)
                seen = manager.inspect()
                assert {view.target: view.phase for view in seen.requests} == {
                    "alder:lorem": "asking",
                    "birch:lorem": "streaming",
                }
                assert all(view.age == pytest.approx(2.5) for view in seen.requests)
                assert {lane.provider: lane.in_flight for lane in seen.lanes} == {"alder": 1, "birch": 1}
                await trio.sleep_forever()
        after = manager.inspect()
        assert after.requests == ()
        assert [lane.in_flight for lane in after.lanes] == [0, 0]
