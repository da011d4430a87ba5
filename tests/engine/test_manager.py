"""The dispatcher over real HTTP in virtual time: one outcome each, failover, limits, and nothing left behind."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
import trio.testing

import tercet
from tercet.testing import (
    assert_nothing_left,
    call_tool,
    comments_forever,
    cut,
    fail,
    garbage,
    lorem,
    refuse,
    reset,
    say,
    stall,
    stream_error,
    sweep_cancellation,
    think_then,
)

WIRES = ("alder", "birch", "cedar")


def ask(provider: str, text: str = "Hello there, how are you?", **more: Any) -> tercet.ChatRequest:
    return tercet.ChatRequest(f"{provider}:lorem", text, **more)


@pytest.mark.parametrize("provider", WIRES)
async def test_a_whole_answer(open_world: Any, provider: str, autojump_clock: Any) -> None:
    async with open_world() as world:
        answer = await world.manager.chat(ask(provider))
    assert answer.text == "Hello there, how are you?"
    assert (answer.provider, answer.model, answer.finish_reason) == (provider, "lorem", "stop")
    assert answer.usage is not None
    assert answer.usage.cost == pytest.approx(
        (answer.usage.input_tokens + 2 * answer.usage.output_tokens) / 1e6
    )


@pytest.mark.parametrize("provider", WIRES)
async def test_a_stream_and_its_whole_twin_say_the_same(
    open_world: Any, provider: str, autojump_clock: Any
) -> None:
    script = think_then("The answer is 42.", "Let me think about it.")
    async with open_world(**{provider: script}) as world:
        whole = await world.manager.chat(ask(provider))
        async with world.manager.chat_stream(ask(provider)) as stream:
            streamed = await stream.collect()
    assert streamed.text == whole.text == "The answer is 42."
    assert streamed.reasoning == whole.reasoning == "Let me think about it."
    assert (streamed.usage, streamed.finish_reason) == (whole.usage, whole.finish_reason)


@pytest.mark.parametrize("provider", WIRES)
async def test_tools_are_called(open_world: Any, provider: str, autojump_clock: Any) -> None:
    tool = tercet.Tool(
        "weather", "Tells the weather", {"type": "object", "properties": {"city": {"type": "string"}}}
    )
    async with open_world(**{provider: call_tool("weather", {"city": "Graz"})}) as world:
        async with world.manager.chat_stream(ask(provider, tools=(tool,))) as stream:
            answer = await stream.collect()
        [call] = answer.tool_calls
        assert (call.name, call.parsed(), answer.finish_reason) == ("weather", {"city": "Graz"}, "tool_calls")
        follow_up = tercet.ChatRequest(
            f"{provider}:lorem",
            [tercet.user("Weather?"), answer.message, tercet.tool_result(call.id, "sunny")],
            tools=(tool,),
        )
        world.fleet[provider].script = say("It is sunny.")
        assert (await world.manager.chat(follow_up)).text == "It is sunny."
        seen = world.fleet[provider].chats[-1]
        assert [turn.role for turn in seen.turns][:2] == ["user", "assistant"]


async def test_the_ways_to_read_a_stream(open_world: Any, autojump_clock: Any) -> None:
    async with open_world(alder=say("one two three four", pace=0.1)) as world:
        async with world.manager.chat_stream(ask("alder")) as stream:
            assert [piece async for piece in stream.text()] == ["one", " two", " three", " four"]
        async with world.manager.chat_stream(ask("alder")) as stream:
            batches = [batch async for batch in stream.batches()]
        async with world.manager.chat_stream(ask("alder")) as stream:
            tokens = [token async for token in stream]
            assert stream.response.is_complete
        assert [token for batch in batches for token in batch] == tokens
        assert tercet.fold(tokens).text == "one two three four"
        async with world.manager.chat_stream(ask("alder")) as stream:
            first = await stream.__anext__()
            answer = await stream.collect()
        assert isinstance(first, tercet.TextDelta)
        assert answer.text == "one two three four"
        assert answer.provider == "alder"


async def test_a_stream_is_entered_once_and_read_inside(open_world: Any, autojump_clock: Any) -> None:
    async with open_world() as world:
        stream = world.manager.chat_stream(ask("alder"))
        with pytest.raises(tercet.ConfigurationError, match="async with"):
            await stream.__anext__()
        async with stream:
            pass
        with pytest.raises(tercet.ConfigurationError, match="once"):
            await stream.__aenter__()
        await stream.aclose()
        await stream.aclose()


FAULTS_BEFORE = {
    "429": fail(429, retry_after=1),
    "500": fail(500),
    "503": fail(503),
    "529": fail(529),
    "refused": refuse(),
    "cut in the head": cut(after_bytes=10),
    "reset": reset(after_bytes=60),
    "error event": stream_error(after_events=0),
    "nothing said": cut(after_events=0),
}


@pytest.mark.parametrize("fault", FAULTS_BEFORE, ids=str)
@pytest.mark.parametrize("provider", WIRES)
async def test_a_fault_before_the_first_content_is_silent(
    open_world: Any, provider: str, fault: str, autojump_clock: Any
) -> None:
    """Again on the same target, or on the next: the caller sees one whole answer and nothing else."""
    async with open_world(**{provider: [FAULTS_BEFORE[fault], say("all is well")]}) as world:
        async with world.manager.chat_stream(ask(provider)) as stream:
            tokens = [token async for token in stream]
        assert tercet.fold(tokens).text == "all is well"
        assert not any(isinstance(token, tercet.Restarted) for token in tokens)
        assert len(stream.attempts) == 1
        assert stream.attempts[0].provider == provider
        other = WIRES[(WIRES.index(provider) + 1) % 3]
        world.fleet[provider].script = FAULTS_BEFORE[fault]
        world.fleet[other].script = say("from the other one")
        async with world.manager.chat_stream(ask(provider), fallbacks=[f"{other}:lorem"]) as stream:
            answer = await stream.collect()
        assert (answer.text, answer.provider) == ("from the other one", other)
        assert 1 <= len(stream.attempts) <= 3
    assert world.open_connections == 0


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (cut(after_events=3), tercet.StreamInterruptedError),
        (reset(after_events=3), tercet.StreamInterruptedError),
        (stall(after_events=3), tercet.DeadlineError),
        (comments_forever(5.0, after_events=3), tercet.DeadlineError),
        (garbage(b"data: {not json\n\n", after_events=3), tercet.ProtocolError),
        (stream_error(after_events=3), tercet.ServerError),
    ],
    ids=["cut", "reset", "stall", "comments", "garbage", "error event"],
)
@pytest.mark.parametrize("provider", WIRES)
async def test_a_fault_after_content_is_one_typed_error(
    open_world: Any, provider: str, script: Any, expected: type[tercet.TercetError], autojump_clock: Any
) -> None:
    async with open_world(**{provider: lorem(20, fault=script)}) as world:
        said: list[str] = []
        with pytest.raises(expected) as caught:
            async with world.manager.chat_stream(ask(provider)) as stream:
                async for piece in stream.text():
                    said.append(piece)
        error = caught.value
        assert said
        assert error.response is not None
        assert error.response.text == "".join(said)
        assert not error.response.is_complete
        assert (error.provider, error.model) == (provider, "lorem")
        assert len(world.fleet[provider].chats) == 1
    assert world.open_connections == 0


async def test_restart_goes_on_elsewhere_and_says_so(open_world: Any, autojump_clock: Any) -> None:
    async with open_world(alder=lorem(20, fault=cut(after_events=5)), birch=say("the whole answer")) as world:
        async with world.manager.chat_stream(
            ask("alder"), fallbacks=["birch:lorem"], on_interruption="restart"
        ) as stream:
            tokens = [token async for token in stream]
            assert stream.provider == "birch"
        [restart] = [token for token in tokens if isinstance(token, tercet.Restarted)]
        assert (restart.provider, restart.model) == ("birch", "lorem")
        assert tercet.fold(tokens).text == stream.response.text == "the whole answer"
        assert [type(error) for error in stream.attempts] == [tercet.StreamInterruptedError]


async def test_restarts_are_bounded(open_world: Any, autojump_clock: Any) -> None:
    async with open_world(alder=lorem(20, fault=cut(after_events=5))) as world:
        with pytest.raises(tercet.StreamInterruptedError) as caught:
            async with world.manager.chat_stream(ask("alder"), on_interruption="restart") as stream:
                await stream.collect()
        assert len(world.fleet["alder"].chats) == 3
        assert len(caught.value.attempts) == 3
        assert caught.value.response is not None
        assert caught.value.response.text


async def test_a_wrong_request_is_not_repeated(open_world: Any, autojump_clock: Any) -> None:
    async with open_world(alder=fail(400, message="no such field")) as world:
        with pytest.raises(tercet.BadRequestError, match="no such field") as caught:
            await world.manager.chat(ask("alder"), fallbacks=["birch:lorem"])
        assert (caught.value.status, caught.value.provider) == (400, "alder")
        assert len(world.fleet["alder"].chats) == 1
        assert not world.fleet["birch"].chats


async def test_a_refused_key_goes_to_the_next_target_and_is_parked(
    open_world: Any, autojump_clock: Any
) -> None:
    keys = {"alder": "not-the-right-key", "birch": "birch-key-123456"}
    async with open_world(birch=say("hello"), manager={"keys": keys}) as world:
        for _ in range(3):
            assert (await world.manager.chat(ask("alder"), fallbacks=["birch:lorem"])).provider == "birch"
        assert len(world.fleet["alder"].requests) == 1
        with pytest.raises(tercet.AuthenticationError) as caught:
            await world.manager.chat(ask("alder"))
        assert "not-the-right-key" not in f"{caught.value!r}{caught.value.facts()}{caught.value.body}"


async def test_the_second_key_is_used_when_the_first_is_refused(open_world: Any, autojump_clock: Any) -> None:
    keys = {"alder": ["a-revoked-key", "alder-key-123456"]}
    async with open_world(alder=say("hello"), manager={"keys": keys}) as world:
        with pytest.raises(tercet.AuthenticationError):
            await world.manager.chat(ask("alder"))
        assert (await world.manager.chat(ask("alder"))).text == "hello"


async def test_all_attempts_failed_tells_of_each(open_world: Any, autojump_clock: Any) -> None:
    async with open_world(alder=fail(500), birch=fail(529), cedar=fail(503)) as world:
        with pytest.raises(tercet.AllAttemptsFailedError) as caught:
            await world.manager.chat(ask("alder"), fallbacks=["birch:lorem", "cedar:lorem"])
        assert {error.provider for error in caught.value.attempts} == set(WIRES)
        assert len(caught.value.attempts) == 9
        assert caught.value.retryable


async def test_routes_are_tried_in_order(open_world: Any, autojump_clock: Any) -> None:
    routes = {"fast": ["alder:lorem", "birch:lorem"]}
    async with open_world(alder=fail(404), birch=say("birch here"), manager={"routes": routes}) as world:
        assert (await world.manager.chat(tercet.ChatRequest("fast", "hi"))).provider == "birch"


async def test_the_callers_deadline_is_kept(open_world: Any, autojump_clock: Any) -> None:
    """A wait that does not fit is not begun: the error comes at once, not at the deadline."""
    async with open_world(alder=fail(429, retry_after=30)) as world:
        started = trio.current_time()
        with pytest.raises(tercet.RateLimitError):
            with trio.fail_after(10):
                await world.manager.chat(ask("alder"))
        assert trio.current_time() - started < 1
        with trio.move_on_after(5) as scope:
            world.fleet["birch"].script = stall()
            await world.manager.chat(ask("birch"))
        assert scope.cancelled_caught
        assert trio.current_time() - started == pytest.approx(5, abs=0.5)
    assert world.open_connections == 0


async def test_silence_before_the_first_content_is_a_deadline_error(
    open_world: Any, autojump_clock: Any
) -> None:
    clocks = tercet.Clocks(first_content=3.0, whole=7.0)
    policy = tercet.RetryPolicy(max_attempts=1)
    async with open_world(alder=stall(after_events=0), manager={"clocks": clocks, "retry": policy}) as world:
        for seconds, run in (
            (7.0, world.manager.chat),
            (3.0, lambda request: _collect(world.manager, request)),
        ):
            started = trio.current_time()
            with pytest.raises(tercet.DeadlineError) as caught:
                await run(ask("alder"))
            assert caught.value.clock == "first_content"
            assert trio.current_time() - started == pytest.approx(seconds)


async def _collect(manager: tercet.ProviderManager, request: tercet.ChatRequest) -> tercet.ChatResponse:
    async with manager.chat_stream(request) as stream:
        return await stream.collect()


async def test_a_slow_consumer_is_not_idle(open_world: Any, autojump_clock: Any) -> None:
    """The idle clock stands still while our own side is the slow one."""
    async with open_world(alder=lorem(5, pace=1.0), manager={"clocks": tercet.Clocks(idle=2.0)}) as world:
        async with world.manager.chat_stream(ask("alder")) as stream:
            async for _ in stream:
                await trio.sleep(10)
        assert stream.response.is_complete


async def test_a_dead_host_fails_over(open_world: Any, autojump_clock: Any) -> None:
    async with open_world(birch=say("alive")) as world:
        world.fleet.network.dead_hosts.add("alder.simulated.test")
        answer = await world.manager.chat(ask("alder"), fallbacks=["birch:lorem"])
        assert answer.provider == "birch"


async def test_the_breaker_opens_and_the_last_resort_passes_it(open_world: Any, autojump_clock: Any) -> None:
    def breaker() -> tercet.CircuitBreaker:
        return tercet.CircuitBreaker(minimum_calls=4, open_for=30.0)

    policy = tercet.RetryPolicy(max_attempts=1)
    async with open_world(
        alder=fail(500), birch=say("ok"), manager={"make_breaker": breaker, "retry": policy}
    ) as world:
        for _ in range(4):
            await world.manager.chat(ask("alder"), fallbacks=["birch:lorem"])
        assert world.manager.breaker_state("alder") is tercet.BreakerState.OPEN
        asked = len(world.fleet["alder"].chats)
        for _ in range(5):
            assert (await world.manager.chat(ask("alder"), fallbacks=["birch:lorem"])).provider == "birch"
        assert len(world.fleet["alder"].chats) == asked
        with pytest.raises(tercet.ServerError):  # every target is open: the first is asked all the same
            await world.manager.chat(ask("alder"))
        assert len(world.fleet["alder"].chats) == asked + 1
        world.fleet["alder"].script = say("back again")
        await trio.sleep(120)
        assert (await world.manager.chat(ask("alder"), fallbacks=["birch:lorem"])).provider == "alder"


async def test_when_the_breaker_opens_waiting_attempts_go_elsewhere(
    open_world: Any, autojump_clock: Any
) -> None:
    """They have shown nothing yet, so nobody sees the change but by the time it saves."""

    def breaker() -> tercet.CircuitBreaker:
        return tercet.CircuitBreaker(minimum_calls=3, open_for=60.0)

    policy = tercet.RetryPolicy(max_attempts=1)
    async with open_world(
        birch=say("from birch"), manager={"make_breaker": breaker, "retry": policy}
    ) as world:
        world.fleet["alder"].script = stall(after_events=0)
        started = trio.current_time()
        answers: list[tuple[str | None, float]] = []

        async def one() -> None:
            async with world.manager.chat_stream(ask("alder"), fallbacks=["birch:lorem"]) as stream:
                answer = await stream.collect()
            answers.append((answer.provider, trio.current_time() - started))

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(one)
            await trio.testing.wait_all_tasks_blocked(0.001)
            world.fleet["alder"].script = fail(500)
            for _ in range(3):
                nursery.start_soon(one)
        assert [provider for provider, _ in answers] == ["birch"] * 7
        assert max(took for _, took in answers) < 10  # not the 120 s of the first-content clock
    assert world.open_connections == 0


async def test_leaving_early_closes_the_connection(open_world: Any, autojump_clock: Any) -> None:
    async with open_world(alder=lorem(50, pace=1.0)) as world:
        async with world.manager.chat_stream(ask("alder")) as stream:
            async for _ in stream:
                break
        assert world.open_connections == 0
        with pytest.raises(KeyError):
            async with world.manager.chat_stream(ask("alder")) as stream:
                async for _ in stream:
                    raise KeyError("the user's own")
        assert world.open_connections == 0
        with trio.move_on_after(5.5):
            async with world.manager.chat_stream(ask("alder")) as stream:
                async for _ in stream:
                    pass
        assert world.open_connections == 0
        assert world.manager.statistics()["alder"].outcomes["cancelled"] == 3


async def test_a_finished_answer_gives_its_connection_back(open_world: Any, autojump_clock: Any) -> None:
    async with open_world(alder=say("one two")) as world:
        for _ in range(5):
            async with world.manager.chat_stream(ask("alder")) as stream:
                await stream.collect()
        assert world.fleet["alder"].connections == 1


async def test_the_users_own_exception_leaves_as_itself(open_world: Any, autojump_clock: Any) -> None:
    mine = RuntimeError("mine")
    with pytest.raises(RuntimeError) as caught:
        async with tercet.open_manager(environ={}):
            raise mine
    assert caught.value is mine


async def test_a_transformers_crash_reaches_the_user_and_nobody_else(
    open_world: Any, autojump_clock: Any
) -> None:
    class Broken:
        def transform(self, tokens: list[tercet.StreamToken]) -> list[tercet.StreamToken]:
            raise ZeroDivisionError("mine")

        def finish(self) -> list[tercet.StreamToken]:
            return []

    async with open_world() as world:
        with pytest.raises(ZeroDivisionError, match="mine"):
            async with world.manager.chat_stream(ask("alder"), transformers=[Broken()]):
                pass
        assert (await world.manager.chat(ask("alder"))).is_complete
    assert world.open_connections == 0


async def test_a_lane_that_crashes_fails_its_tickets_and_comes_back(
    open_world: Any, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    crashes = [ZeroDivisionError("a bug in the breaker")]

    class Buggy(tercet.CircuitBreaker):
        def try_pass(self, now: float) -> Any:
            if crashes:
                raise crashes.pop()
            return super().try_pass(now)

    with caplog.at_level(logging.CRITICAL):
        async with open_world(
            manager={"make_breaker": Buggy, "retry": tercet.RetryPolicy(max_attempts=1)}
        ) as world:
            with pytest.raises(tercet.TercetError, match="crashed"):
                await world.manager.chat(ask("alder"))
            await trio.sleep(1)
            assert (await world.manager.chat(ask("alder"))).is_complete
            assert (await world.manager.chat(ask("birch"))).is_complete


async def test_too_much_at_once_is_refused(open_world: Any, autojump_clock: Any) -> None:
    admission = tercet.BackpressureController(max_in_flight=2, max_queued=1)
    async with open_world(alder=lorem(3, pace=1.0), manager={"admission": admission}) as world:
        ended: list[str] = []

        async def one(name: str) -> None:
            try:
                await _collect(world.manager, ask("alder"))
                ended.append(name)
            except tercet.OverloadedError as error:
                assert error.status is None
                ended.append(f"{name} refused")

        async with trio.open_nursery() as nursery:
            for name in "abcd":
                nursery.start_soon(one, name)
                await trio.testing.wait_all_tasks_blocked()
        assert sorted(ended) == ["a", "b", "c", "d refused"]
        assert ended[-1] == "c"


async def test_requests_wait_their_turn_at_a_rate_limit(autojump_clock: Any) -> None:
    """The provider counts by fixed windows, our bucket refills smoothly: one 429 teaches the difference, and all get their answer."""
    from tercet.testing import Fleet, RequestsPerMinute, SimulatedProvider

    provider = SimulatedProvider("alder", script=say("ok"), limit=RequestsPerMinute(10))
    async with Fleet(provider).in_memory() as fleet:
        registry = tercet.ProviderRegistry([])
        registry.add(
            tercet.Profile(id="alder", base_url=fleet.base_url("alder"), auth="none", requests_per_minute=10)
        )
        async with tercet.open_manager(registry, environ={}, network=fleet.network) as manager:
            started = trio.current_time()
            async with trio.open_nursery() as nursery:
                for _ in range(25):
                    nursery.start_soon(manager.chat, ask("alder"))
            assert trio.current_time() - started >= 60
            outcomes = manager.statistics()["alder"].outcomes
            assert outcomes["ok"] == 25
            assert outcomes["throttled"] <= 1


async def test_nothing_is_taken_after_the_end_and_drain_waits(open_world: Any, autojump_clock: Any) -> None:
    async with open_world(alder=lorem(4, pace=1.0)) as world:
        answers: list[tercet.ChatResponse] = []

        async def one() -> None:
            answers.append(await _collect(world.manager, ask("alder")))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            await trio.testing.wait_all_tasks_blocked()
            assert await world.manager.drain(within=60)
        assert len(answers) == 1
        with pytest.raises(tercet.ConfigurationError, match="closed"):
            await world.manager.chat(ask("alder"))


async def test_a_stream_left_open_is_closed_with_the_manager(open_world: Any, autojump_clock: Any) -> None:
    async with open_world(alder=lorem(50, pace=1.0), manager={"drain_within": 0.5}) as world:
        stream = world.manager.chat_stream(ask("alder"))
        await stream.__aenter__()
    assert world.open_connections == 0
    with pytest.raises(tercet.ConfigurationError):
        await stream.collect()


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "streamed"])
async def test_cancelled_at_every_point_nothing_is_left(
    open_world: Any, whole: bool, autojump_clock: Any
) -> None:
    """Permits, passes, admissions, connections and tasks come back, whatever the moment."""
    async with open_world(alder=lorem(3, pace=0.5)) as world:
        manager = world.manager
        await _collect(manager, ask("alder"))  # the lane is there, and is not what is being swept

        async def run() -> None:
            if whole:
                await manager.chat(ask("alder"))
            else:
                async with manager.chat_stream(ask("alder")) as stream:
                    async for _ in stream:
                        pass

        async def check() -> None:
            await trio.testing.wait_all_tasks_blocked()
            lane = manager._roster.lanes["alder"]
            assert lane.in_flight == 0
            assert lane.queued == 0
            assert manager._gate.inside == 0
            assert lane.slots[0].limiter.snapshot(trio.current_time()).in_flight == 0
            assert world.fleet.network.open_connections <= 1  # at most one idle one is kept
            assert manager._streams == set()

        assert await sweep_cancellation(run, check=check, every_task=True) > 10


async def test_nothing_is_left_of_anything() -> None:
    """Over real sockets: no task, no socket, no ResourceWarning."""
    from tercet.testing import Fleet, SimulatedProvider

    async with assert_nothing_left():
        async with Fleet(SimulatedProvider("alder", script=lorem(200))).on_loopback() as fleet:
            registry = tercet.ProviderRegistry([])
            registry.add(tercet.Profile(id="alder", base_url=fleet.base_url("alder"), auth="none"))
            async with tercet.open_manager(registry, environ={}) as manager:
                await manager.chat(ask("alder"))
                async with manager.chat_stream(ask("alder")) as stream:
                    async for _ in stream:
                        break
                with trio.CancelScope() as scope:
                    async with manager.chat_stream(ask("alder")) as stream:
                        scope.cancel()
                        async for _ in stream:
                            pass


async def test_a_thousand_streams_at_once() -> None:
    """Over loopback sockets, three wires, no error."""
    from tercet.testing import Fleet, SimulatedProvider

    providers = [
        SimulatedProvider("alder", "openai_chat", lorem(10)),
        SimulatedProvider("birch", "anthropic", lorem(10)),
        SimulatedProvider("cedar", "gemini", lorem(10)),
    ]
    done: list[str] = []
    async with Fleet(*providers).on_loopback() as fleet:
        registry = tercet.ProviderRegistry([])
        for provider in fleet:
            registry.add(
                tercet.Profile(
                    id=provider.name, base_url=fleet.base_url(provider.name), wire=provider.wire, auth="none"
                )
            )
        clocks = tercet.Clocks(connect=60.0)
        async with (
            tercet.open_manager(registry, environ={}, clocks=clocks) as manager,
            trio.open_nursery() as nursery,
        ):

            async def one(name: str) -> None:
                async with manager.chat_stream(ask(name)) as stream:
                    answer = await stream.collect()
                assert len(answer.text.split()) == 10
                done.append(name)

            for number in range(1000):
                nursery.start_soon(one, WIRES[number % 3])
    assert len(done) == 1000


async def test_models_health_tokens_and_capabilities(open_world: Any, autojump_clock: Any) -> None:
    async with open_world() as world:
        for name in WIRES:
            provider = world.manager.provider(name)
            assert isinstance(provider, tercet.AiProvider)
            assert provider.name == name
            assert [model.provider for model in await provider.list_models()] == [name]
            assert (await provider.health_check()).state == "healthy"
            assert provider.capabilities("think").reasoning is True
        assert (await world.manager.count_tokens(ask("alder"))).source == "estimate"
        world.fleet.network.refusing_hosts.add("birch.simulated.test")
        sick = await world.manager.provider("cedar").complete(tercet.CompletionRequest("lorem", "say this"))
        assert sick.text == "say this"
    async with open_world(manager={"keys": {"alder": "wrong-key-12345"}}) as world:
        status = await world.manager.health_check("alder")
        assert status.state == "unhealthy"
        assert status.reasons
        with pytest.raises(tercet.ConfigurationError, match="no key for birch"):
            await world.manager.health_check("birch")
