"""What an entry of the catalogue is, and how it is played.

A row of ``faults.json`` has an *entry*: cases (data: what the server does, what must come of it), tests of its own elsewhere in this
folder (``tested_by``), or ``not_applicable`` with the reason. A case stands before the first content or after it.

Before, a case is played in three acts, each in a world of its own:

- once: it happens to the first request only. Whoever asked sees a whole answer (if the fault may be tried again), or one typed error.
- always: it happens every time and nobody else can be asked. One typed error, after so many attempts and not one more.
- elsewhere: it happens every time, and there is another target.

After, in two: ``raise`` (one typed error that carries what was said; nobody else is asked) and ``restart``. In every act the signals are
counted where they are felt (breaker, limiter, key, metrics), and nothing may be left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
import trio

import tercet

from .stage import NetworkFault, Over, Play, World
from .wires import ELSEWHERE, FIRST, WHOLE_TEXT, answer, whole, whole_answer

__all__ = ["Case", "Entry", "Expect", "OpenCase", "fault", "fine", "play_after", "play_before"]

When = Literal["before", "after"]
OpenCase = Callable[..., AbstractAsyncContextManager[World]]
"""Opens a world for a case: takes alder's plays."""


@dataclass(frozen=True)
class Expect:
    """What must come of a fault.

    ``error``: the type, None for no fault at all; ``facts`` are attributes of it, ``message`` a pattern found in it.
    ``again``: how many more times alder is asked while it goes on failing. ``elsewhere``: whether the next target is asked (before the
    first content), or a restart goes on there (after it). ``signal``: whose signal an attempt is, in the words of the metrics.
    ``text``: the whole answer; ``said``: what an interrupted one carries. ``kept``: whether the connection serves again (None: either is right).
    ``wait``: the seconds that pass before the second attempt; ``at_once``: the next target is asked without any wait (virtual time).
    """

    error: type[tercet.TercetError] | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""
    again: int = 2
    elsewhere: bool = True
    signal: str = "failed"
    text: str = WHOLE_TEXT
    said: str = FIRST
    kept: bool | None = False
    wait: tuple[float, float] | None = None
    at_once: bool = False
    finish: str = "stop"


def fault(error: type[tercet.TercetError], **more: Any) -> Expect:
    """It is an error."""
    return Expect(error, **more)


def fine(text: str = WHOLE_TEXT, **more: Any) -> Expect:
    """It is none: one attempt, one whole answer."""
    return Expect(None, text=text, **{"again": 0, "signal": "ok", "kept": True, **more})


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way in which a row's fault can happen.

    ``play``: what alder does (see ``stage``); ``fault``: what happens to connecting to it instead. ``way``: the client streams, or
    asks for a whole answer. ``reaches``: whether the request gets as far as the server. ``why`` says, where the engine does otherwise
    than the row's text, what it does and for which reason.
    """

    name: str
    when: When
    expect: Expect
    play: Play = ()
    fault: NetworkFault | None = None
    wire: str = "openai_chat"
    dialect: Mapping[str, Any] = field(default_factory=dict)
    profile: Mapping[str, Any] = field(default_factory=dict)
    way: Literal["stream", "whole"] = "stream"
    over: tuple[Over, ...] = ("memory", "sockets")
    ask: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    good: Play | None = None
    reaches: bool = True
    tls: str | None = None
    proxy: str | None = None
    why: str = ""

    @property
    def ticks(self) -> bool:
        """Whether somebody waits for time to pass: a throttled attempt is not repeated at once."""
        return self.expect.signal == "throttled"

    @property
    def good_play(self) -> Play:
        """alder's answer when nothing is wrong."""
        if self.good is not None:
            return self.good
        return (whole(whole_answer()),) if self.way == "whole" else answer(self.wire)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row's entry. ``tested_by``: ``test module::test function`` for what is no single request.

    ``left_out``: what of the row tercet has nothing for, and why.
    """

    cases: tuple[Case, ...] = ()
    tested_by: tuple[str, ...] = ()
    not_applicable: str = ""
    left_out: str = ""


async def _ask(world: World, case: Case, *fallbacks: str) -> tuple[tercet.ChatResponse, Any]:
    """The answer; where it was streamed, the attempts that failed before it."""
    request = world.ask(**case.ask)
    if case.way == "whole":
        return await world.manager.chat(request, fallbacks=fallbacks), None
    async with world.manager.chat_stream(request, fallbacks=fallbacks) as stream:
        async for token in stream:
            if not isinstance(token, tercet.UsageReport):
                world.said.set()
    assert not any(isinstance(part, tercet.Restarted) for part in stream.response.parts)
    return stream.response, stream.attempts


def _plays(case: Case, *then: Play) -> list[Play]:
    """What alder does: the fault, then something else. Where connecting is at fault there is nothing else it could do but answer."""
    return [case.play, *then] if case.play else [case.good_play]


async def play_before(case: Case, open_case: OpenCase) -> None:
    """The three acts of a case before the first content."""
    expect = case.expect
    if expect.error is None:
        await _no_fault(case, open_case)
        return
    async with open_case(_plays(case, case.good_play), times=1) as world:
        started = trio.current_time()
        if expect.again:
            response, attempts = await _ask(world, case)
            assert (response.text, response.is_complete) == (expect.text, True)
            if attempts is not None:
                assert [type(error) for error in attempts] == [expect.error]
                _check_facts(case, attempts[0])
            if case.reaches:
                assert len(world.alder.requests) == 2
                assert expect.kept is None or world.alder.connections == (1 if expect.kept else 2)
            _check_outcomes(world, {expect.signal: 1, "ok": 1})
            assert _outcome(world)["retries"] == 1
            if expect.wait is not None and world.over == "memory":
                assert expect.wait[0] <= trio.current_time() - started <= expect.wait[1]
        else:
            with pytest.raises(expect.error) as caught:
                await _ask(world, case)
            _check_facts(case, caught.value)
        await world.assert_nothing_left()
    async with open_case(_plays(case)) as world:
        with pytest.raises(expect.error) as caught:
            await _ask(world, case)
        error = caught.value
        assert type(error) is expect.error
        _check_facts(case, error)
        assert (error.provider, error.model) == ("alder", "lorem")
        assert error.response is None or not error.response.parts
        assert len(error.attempts) == expect.again + 1
        assert error.attempt == expect.again + 1
        if case.reaches:
            assert len(world.alder.requests) == expect.again + 1
        _check_signal(world, expect.signal, expect.again + 1)
        await world.assert_nothing_left()
    async with open_case(_plays(case)) as world:
        started = trio.current_time()
        if expect.elsewhere:
            response, attempts = await _ask(world, case, "birch:lorem")
            assert not expect.at_once or trio.current_time() == started
            assert (response.text, response.provider) == (ELSEWHERE, "birch")
            assert attempts is None or {type(failed) for failed in attempts} == {expect.error}
            assert len(world.birch.requests) == 1
        else:
            with pytest.raises(expect.error):
                await _ask(world, case, "birch:lorem")
            assert world.birch.requests == []
        await world.assert_nothing_left()


async def _no_fault(case: Case, open_case: OpenCase) -> None:
    async with open_case(_plays(case, case.good_play)) as world:
        response, attempts = await _ask(world, case, "birch:lorem")
        assert (response.text, response.provider) == (case.expect.text, "alder")
        assert response.finish_reason == case.expect.finish
        assert attempts in ((), None)
        assert len(world.alder.requests) == 1
        _check_signal(world, "ok", 1)
        await world.assert_nothing_left()
        await _check_connection(world, case)


async def play_after(case: Case, open_case: OpenCase) -> None:
    """The two acts of a case after the first content."""
    expect = case.expect
    if expect.error is None:
        await _no_fault(case, open_case)
        return
    async with open_case(_plays(case, case.good_play), times=1) as world:
        with pytest.raises(expect.error) as caught:
            await _ask(world, case, "birch:lorem")
        error = caught.value
        assert type(error) is expect.error
        _check_facts(case, error)
        assert error.response is not None
        assert error.response.text == expect.said
        assert not error.response.is_complete
        assert (error.provider, error.model) == ("alder", "lorem")
        assert (len(world.alder.requests), world.birch.requests) == (1, [])
        _check_signal(world, expect.signal, 1)
        await world.assert_nothing_left()
        await _check_connection(world, case)
    async with open_case(_plays(case)) as world:
        tokens: list[tercet.StreamToken] = []

        async def read() -> None:
            async with world.manager.chat_stream(
                world.ask(**case.ask), fallbacks=["birch:lorem"], on_interruption="restart"
            ) as stream:
                async for token in stream:
                    tokens.append(token)
                    if not isinstance(token, tercet.UsageReport):
                        world.said.set()

        if expect.elsewhere:
            await read()
            [position] = [at for at, token in enumerate(tokens) if isinstance(token, tercet.Restarted)]
            assert tercet.fold(tokens[:position]).text == expect.said
            assert (tercet.fold(tokens).text, tercet.fold(tokens).is_complete) == (ELSEWHERE, True)
        else:
            with pytest.raises(expect.error):
                await read()
            assert world.birch.requests == []
        assert len(world.alder.requests) == 1
        await world.assert_nothing_left()


async def _check_connection(world: World, case: Case) -> None:
    """Whether the connection on which it happened serves the next request."""
    if case.expect.kept is None or case.expect.signal == "key":
        return
    before = world.alder.connections
    response, _ = await _ask(world, case)
    assert response.is_complete
    assert world.alder.connections - before == (0 if case.expect.kept else 1)


def _check_facts(case: Case, error: tercet.TercetError) -> None:
    for name, value in case.expect.facts.items():
        found = getattr(error, name)
        assert found == (pytest.approx(value) if isinstance(value, float) else value), (name, found)
    assert re.search(case.expect.message, str(error)), str(error)
    for secret in ("alder-key", "proxy-secret"):
        assert secret not in f"{error!r}{error.body}{error.facts()}"


def _outcome(world: World) -> dict[str, Any]:
    counts = world.manager.statistics()["alder"]
    return {"outcomes": counts.outcomes, "retries": counts.retries}


def _check_outcomes(world: World, expected: dict[str, int]) -> None:
    found = {kind: count for kind, count in _outcome(world)["outcomes"].items() if count}
    assert found == expected


def _check_signal(world: World, signal: str, count: int) -> None:
    """The signal is felt where it belongs, and nowhere else."""
    _check_outcomes(world, {signal: count})
    now = trio.current_time()
    lane = world.lane
    breaker = lane.breaker.snapshot(now)
    [slot] = lane.slots
    limiter = slot.limiter.snapshot(now)
    felt = {
        "breaker": (breaker.failures, breaker.calls),
        "limiter": limiter.throttled,
        "key": slot.parked_until > now,
    }
    assert felt == {
        "breaker": (count if signal == "failed" else 0, count if signal in ("failed", "ok") else 0),
        "limiter": count if signal == "throttled" else 0,
        "key": signal == "key",
    }
