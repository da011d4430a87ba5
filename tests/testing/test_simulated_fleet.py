"""Simulated providers, asked over real HTTP by h11 and by raw bytes: three wires, in memory and on loopback, whole, streamed and broken."""

# what is raised leaves the fleet's block: that is the thing tested

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import h11
import hypothesis.strategies as st
import msgspec
import pytest
import trio
import trio.testing
from hypothesis import given, settings

from tercet.codecs.vocabulary import ChatRequest, Finish, TextDelta, UsageReport
from tercet.testing import (
    Fleet,
    LoopbackFleet,
    MemoryFleet,
    Reply,
    RequestsPerMinute,
    Script,
    SimulatedProvider,
    assert_nothing_left,
    call_tool,
    comments_forever,
    cut,
    deterministic_scheduling,
    echo,
    fail,
    garbage,
    key_id,
    lorem,
    origin_of,
    refuse,
    reset,
    say,
    stall,
    stream_error,
    sweep_cancellation,
    think_then,
    truncate,
)

WIRES = ("openai_chat", "anthropic", "gemini")
AnyFleet = MemoryFleet | LoopbackFleet


class Got(msgspec.Struct):
    """One answer: how it ended, and when each piece of its body came."""

    status: int = 0
    headers: dict[str, str] = {}
    pieces: list[tuple[float, bytes]] = []
    end: str = ""

    @property
    def body(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON of the events, whichever wire it is; ``[DONE]`` left out."""
        data = [line[6:] for line in self.body.replace(b"\r", b"").split(b"\n") if line.startswith(b"data: ")]
        return [json.loads(line) for line in data if line != b"[DONE]"]

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.pieces]


async def connect(fleet: AnyFleet, name: str) -> trio.abc.Stream:
    if isinstance(fleet, MemoryFleet):
        return (await fleet.network.connect(origin_of(fleet.base_url(name)))).stream
    origin = origin_of(fleet.base_url(name))
    return await trio.open_tcp_stream(origin.host, origin.port)


def chat(
    wire: str, text: str = "hi there you", *, stream: bool = True, model: str = "m-1"
) -> tuple[str, bytes]:
    """Target and body of a chat request, written by hand."""
    messages = [{"role": "user", "content": text}]
    match wire:
        case "openai_chat":
            target, body = "/v1/chat/completions", {"model": model, "messages": messages, "stream": stream}
        case "anthropic":
            target = "/v1/messages"
            body = {"model": model, "messages": messages, "stream": stream, "max_tokens": 9}
        case _:
            how = "streamGenerateContent?alt=sse" if stream else "generateContent"
            target = f"/v1beta/models/{model}:{how}"
            body = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    return target, json.dumps(body).encode()


async def ask(
    stream: trio.abc.Stream,
    target: str,
    body: bytes | None = None,
    *,
    headers: Sequence[tuple[str, str]] = (),
    host: str = "h",
) -> Got:
    """One request on an open connection, and what came of it."""
    client = h11.Connection(h11.CLIENT)
    got = Got(headers={}, pieces=[])
    fields = [("host", host), *headers]
    if body is not None:
        fields.append(("content-length", str(len(body))))
    method = "GET" if body is None else "POST"
    out = client.send(h11.Request(method=method, target=target, headers=fields)) or b""
    if body is not None:
        out += client.send(h11.Data(data=body)) or b""
    await stream.send_all(out + (client.send(h11.EndOfMessage()) or b""))
    try:
        while True:
            event = client.next_event()
            if event is h11.NEED_DATA:
                client.receive_data(bytes(await stream.receive_some(65536)))
            elif isinstance(event, h11.Response):
                got.status = event.status_code
                got.headers = {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h11.Data):
                got.pieces.append((trio.current_time(), bytes(event.data)))
            elif isinstance(event, h11.EndOfMessage):
                got.end = "whole"
                return got
            else:
                got.end = "fin"
                return got
    except h11.RemoteProtocolError:
        got.end = "fin"
    except trio.BrokenResourceError:
        got.end = "reset"
    return got


async def ask_once(fleet: AnyFleet, name: str, target: str, body: bytes | None = None, **how: Any) -> Got:
    stream = await connect(fleet, name)
    async with stream:
        return await ask(stream, target, body, **how)


def said(wire: str, got: Got) -> str:
    """The text of a streamed answer."""
    match wire:
        case "openai_chat":
            deltas = [choice["delta"] for event in got.events for choice in event.get("choices", ())]
            return "".join(delta.get("content") or "" for delta in deltas)
        case "anthropic":
            return "".join(event["delta"].get("text", "") for event in got.events if "delta" in event)
        case _:
            parts = [
                part
                for event in got.events
                for candidate in event.get("candidates", ())
                for part in candidate.get("content", {}).get("parts", ())
            ]
            return "".join(part.get("text", "") for part in parts)


def whole_text(wire: str, got: Got) -> str:
    """The text of a whole answer."""
    answer = json.loads(got.body)
    match wire:
        case "openai_chat":
            return answer["choices"][0]["message"]["content"]
        case "anthropic":
            return answer["content"][0]["text"]
        case _:
            return answer["candidates"][0]["content"]["parts"][0]["text"]


def is_finished(got: Got) -> bool:
    """Whether the stream had its wire's terminal event."""
    ends = (b"data: [DONE]", b'"message_stop"', b'"finishReason":"STOP"')
    return any(end in got.body for end in ends)


@asynccontextmanager
async def running(where: str, *providers: SimulatedProvider) -> AsyncIterator[AnyFleet]:
    fleet = Fleet(*providers)
    if where == "memory":
        async with fleet.in_memory() as in_memory:
            yield in_memory
    else:
        async with fleet.on_loopback() as on_loopback:
            yield on_loopback


everywhere = pytest.mark.parametrize("where", ["memory", "loopback"])
every_wire = pytest.mark.parametrize("wire", WIRES)


# ---- answers


@everywhere
@every_wire
async def test_an_echo_streamed_and_whole_on_one_connection(wire: Any, where: str) -> None:
    provider = SimulatedProvider("p", wire)
    async with assert_nothing_left(), running(where, provider) as fleet:
        stream = await connect(fleet, "p")
        async with stream:
            streamed = await ask(stream, *chat(wire))
            whole = await ask(stream, *chat(wire, stream=False))
        assert (streamed.status, streamed.end, said(wire, streamed)) == (200, "whole", "hi there you")
        assert streamed.headers["content-type"].startswith("text/event-stream")
        assert streamed.headers["transfer-encoding"] == "chunked"
        assert is_finished(streamed)
        assert (whole.status, whole.end, whole_text(wire, whole)) == (200, "whole", "hi there you")
        assert whole.headers["content-type"] == "application/json"
        assert [seen.is_streamed for seen in provider.requests] == [True, False]
        assert [request.turns[0].text for request in provider.chats] == ["hi there you"] * 2
        assert provider.connections == 1
        await trio.testing.wait_all_tasks_blocked()
        if where == "memory":  # a socket's close takes the kernel's time
            assert provider.open_connections == 0
    assert (provider.open_connections, provider.closed_early) == (0, 0)


@every_wire
async def test_usage_reasoning_and_tools_are_said_in_the_wire(wire: Any) -> None:
    script = [think_then("so it is", "let me think"), call_tool("look", {"place": "here"}), lorem(3)]
    async with Fleet(SimulatedProvider("p", wire, script)).in_memory() as fleet:
        thought = await ask_once(fleet, "p", *chat(wire))
        called = await ask_once(fleet, "p", *chat(wire))
        words = await ask_once(fleet, "p", *chat(wire))
        again = await ask_once(fleet, "p", *chat(wire))
    assert b" think" in thought.body
    assert b"look" in called.body
    assert b"here" in called.body
    assert said(wire, words) == "lorem ipsum dolor"
    assert again.body == words.body  # the last one repeats
    assert any(
        field in words.body for field in (b"completion_tokens", b"output_tokens", b"candidatesTokenCount")
    )


@every_wire
async def test_models_health_and_unknown_places(wire: Any) -> None:
    provider = SimulatedProvider("p", wire, models=["m-1", "m-2"])
    models = "/v1beta/models" if wire == "gemini" else "/v1/models"
    async with Fleet(provider).in_memory() as fleet:
        listed = await ask_once(fleet, "p", models)
        assert listed.status == 200
        assert b"m-1" in listed.body
        assert b"m-2" in listed.body
        assert (await ask_once(fleet, "p", "/health")).body == b'{"status":"ok"}'
        unknown = await ask_once(fleet, "p", *chat(wire, model="m-3"))
        assert unknown.status == 404
        assert "error" in json.loads(unknown.body)
        assert (await ask_once(fleet, "p", "/nowhere")).status == 404
        wrong = await ask_once(fleet, "p", chat(wire)[0], b"{]")
        assert wrong.status == 400
        assert "error" in json.loads(wrong.body)
    assert [seen.chat is not None for seen in provider.requests] == [False, False, True, False, False]


# ---- keys, limits, records


@every_wire
async def test_keys_are_checked_and_never_kept(wire: Any) -> None:
    name, prefix = {
        "openai_chat": ("Authorization", "Bearer "),
        "anthropic": ("X-Api-Key", ""),
        "gemini": ("x-goog-api-key", ""),
    }[wire]
    provider = SimulatedProvider("p", wire, keys={"sk-right"})
    async with Fleet(provider).in_memory() as fleet:
        answers = [
            await ask_once(fleet, "p", *chat(wire), headers=headers)
            for headers in ([(name, prefix + "sk-right")], [(name, prefix + "sk-wrong")], [])
        ]
        await ask_once(fleet, "p", "/v1/models?key=sk-right&pageSize=1")
    assert [got.status for got in answers] == [200, 401, 401]
    assert "error" in json.loads(answers[1].body)
    assert [seen.key_id for seen in provider.requests[:3]] == [key_id("sk-right"), key_id("sk-wrong"), None]
    assert provider.requests[3].target == "/v1/models?key=[removed]&pageSize=1"
    assert "sk-" not in repr(provider.requests) + repr(provider) + repr(provider.log)


async def test_a_rate_limit_counts_a_minute_of_virtual_time(autojump_clock: trio.testing.MockClock) -> None:
    provider = SimulatedProvider("p", script=say("ok"), limit=RequestsPerMinute(2))
    async with Fleet(provider).in_memory() as fleet:
        first = await ask_once(fleet, "p", *chat("openai_chat"))
        assert first.headers["x-ratelimit-limit-requests"] == "2"
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        await trio.sleep(20)
        assert (await ask_once(fleet, "p", *chat("openai_chat"))).status == 200
        refused = await ask_once(fleet, "p", *chat("openai_chat"))
        assert (refused.status, refused.headers["retry-after"]) == (429, "40")
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert json.loads(refused.body)["error"]["code"] == "rate_limit_exceeded"
        await trio.sleep(40)
        assert (await ask_once(fleet, "p", *chat("openai_chat"))).status == 200


async def test_a_limit_of_nothing_admits_nothing() -> None:
    async with Fleet(SimulatedProvider("p", limit=RequestsPerMinute(0))).in_memory() as fleet:
        refused = await ask_once(fleet, "p", *chat("openai_chat"))
    assert (refused.status, refused.headers["retry-after"]) == (429, "60")


async def test_the_host_header_chooses_among_neighbours() -> None:
    alpha, beta = SimulatedProvider("alpha", script=say("a")), SimulatedProvider("beta", script=say("b"))
    async with Fleet(alpha, beta).in_memory() as fleet:
        for host in ("alpha.simulated.test", "beta.simulated.test:80", "elsewhere.test"):
            await ask_once(fleet, "alpha", *chat("openai_chat"), host=host)
    assert (len(alpha.requests), len(beta.requests)) == (2, 1)


# ---- pace


async def test_pace_and_first_delay_are_exact(autojump_clock: trio.testing.MockClock) -> None:
    script = say("one two", pace=0.25, first_delay=2.0, headers=(("x-served-by", "us"),))
    provider = SimulatedProvider("p", script=script)
    async with Fleet(provider).in_memory(latency=0.125) as fleet:
        streamed = await ask_once(fleet, "p", *chat("openai_chat"))
        # connect: a round trip; there and back: another one; then the role, two words, the finish, the usage, [DONE]
        start = 0.25 + 0.25 + 2.0
        assert streamed.times == [start + 0.25 * n for n in range(6)]
        assert streamed.headers["x-served-by"] == "us"
        before = trio.current_time()
        whole = await ask_once(fleet, "p", *chat("openai_chat", stream=False))
        assert whole.times[0] - before == start + 0.25 * 5


async def test_a_client_that_leaves_is_noticed_at_once(autojump_clock: trio.testing.MockClock) -> None:
    provider = SimulatedProvider("p", script=lorem(1000, pace=1.0))
    async with Fleet(provider).in_memory() as fleet:
        stream = await connect(fleet, "p")
        with trio.move_on_after(2.5):
            await ask(stream, *chat("openai_chat"))
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert (provider.closed_early, provider.open_connections) == (1, 0)
        assert trio.current_time() == 2.5
    assert [event.what for event in provider.log] == [
        "connect",
        "request",
        "answer 200",
        "client gone",
        "disconnect",
    ]


async def test_backpressure_reaches_the_provider(autojump_clock: trio.testing.MockClock) -> None:
    provider = SimulatedProvider("p", script=lorem(5000))
    async with Fleet(provider).in_memory(buffer_size=1024) as fleet:
        stream = await connect(fleet, "p")
        target, body = chat("openai_chat")
        head = f"POST {target} HTTP/1.1\r\nhost: h\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        await stream.send_all(head + body)
        await trio.sleep(3600)
        assert [event.what for event in provider.log] == ["connect", "request", "answer 200"]
        received = 0
        while b"[DONE]" not in (data := await stream.receive_some()):
            received += len(data)
        assert received > 100 * 1024
        await stream.aclose()


# ---- faults


@everywhere
@every_wire
@pytest.mark.parametrize("fault", [cut, reset], ids=["cut", "reset"])
async def test_an_answer_can_break_behind_any_event(wire: Any, where: str, fault: Callable[..., Any]) -> None:
    async with assert_nothing_left(), running(where, SimulatedProvider("p", wire)) as fleet:
        intact = await ask_once(fleet, "p", *chat(wire))
        for events in range(len(intact.pieces) + 1):
            fleet["p"].script = Reply(text="hi there you", fault=fault(after_events=events))
            got = await ask_once(fleet, "p", *chat(wire))
            assert got.status == 200
            assert got.end == {cut: "fin", reset: "reset"}[fault]
            assert got.body == b"".join(piece for _, piece in intact.pieces[:events])
        fleet["p"].script = Reply(text="hi there you", fault=fault(after_events=len(intact.pieces) + 1))
        assert (await ask_once(fleet, "p", *chat(wire))).body == intact.body


@every_wire
async def test_an_answer_can_break_behind_any_byte(wire: Any) -> None:
    provider = SimulatedProvider("p", wire)
    async with Fleet(provider).in_memory() as fleet:

        async def raw_answer() -> bytes:
            async with await connect(fleet, "p") as stream:
                target, body = chat(wire)
                head = f"POST {target} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
                await stream.send_all(head.encode() + body)
                received = b""
                while data := await stream.receive_some():
                    received += data
                return received

        intact = await raw_answer()
        for count in range(0, len(intact) + 1, 7):
            provider.script = Reply(text="hi there you", fault=cut(after_bytes=count))
            assert await raw_answer() == intact[:count]
        provider.script = Reply(text="hi there you", fault=cut(after_events=2, after_bytes=5))
        broken = await raw_answer()
        assert intact.startswith(broken)
        provider.script = Reply(text="hi there you", fault=cut(after_events=2))
        assert len(broken) == len(await raw_answer()) + 5


@everywhere
async def test_refused_before_any_byte(where: str) -> None:
    async with running(where, SimulatedProvider("p", script=[refuse(), say("now")])) as fleet:
        got = await ask_once(fleet, "p", *chat("openai_chat"))
        assert (got.status, got.end) == (0, "fin")
        assert said("openai_chat", await ask_once(fleet, "p", *chat("openai_chat"))) == "now"


@pytest.mark.parametrize(
    ("fault", "status", "pieces"),
    [(stall(), 0, 0), (stall(after_events=0), 200, 0), (stall(after_events=3), 200, 3)],
)
async def test_a_stall_lasts_until_the_client_leaves(
    fault: Any, status: int, pieces: int, autojump_clock: trio.testing.MockClock
) -> None:
    provider = SimulatedProvider("p", script=fault)
    async with assert_nothing_left(), Fleet(provider).in_memory() as fleet:
        stream = await connect(fleet, "p")
        target, body = chat("openai_chat")
        client_got: list[bytes] = []
        with trio.move_on_after(86400) as patience:
            head = f"POST {target} HTTP/1.1\r\nhost: h\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            await stream.send_all(head + body)
            while data := await stream.receive_some():
                client_got.append(bytes(data))
        assert patience.cancelled_caught
        assert len(client_got) == pieces + (status != 0)
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert (provider.closed_early, provider.open_connections) == (1, 0)


@every_wire
async def test_a_truncated_stream_ends_cleanly_and_says_no_finish(wire: Any) -> None:
    async with Fleet(SimulatedProvider("p", wire, truncate(after_events=3))).in_memory() as fleet:
        got = await ask_once(fleet, "p", *chat(wire))
        assert (got.end, len(got.pieces), is_finished(got)) == ("whole", 3, False)


@every_wire
async def test_garbage_and_error_events_inside_a_stream(wire: Any) -> None:
    script = [
        Reply(text="a b c", fault=garbage(b"\xff\xfenonsense\n\n", after_events=2)),
        Reply(
            text="a b c", fault=stream_error("it broke", after_events=2, status=503, code="overloaded_error")
        ),
    ]
    async with Fleet(SimulatedProvider("p", wire, script)).in_memory() as fleet:
        littered = await ask_once(fleet, "p", *chat(wire))
        assert littered.pieces[2][1] == b"\xff\xfenonsense\n\n"
        assert is_finished(littered)
        failed = await ask_once(fleet, "p", *chat(wire))
        assert (failed.end, len(failed.pieces), is_finished(failed)) == ("whole", 3, False)
        assert failed.events[-1]["error"]["message"] == "it broke"


async def test_comments_that_never_end(autojump_clock: trio.testing.MockClock) -> None:
    provider = SimulatedProvider("p", script=comments_forever(10, after_events=1))
    async with Fleet(provider).in_memory() as fleet:
        stream = await connect(fleet, "p")
        got: list[bytes] = []
        with trio.move_on_after(65):
            target, body = chat("openai_chat")
            await stream.send_all(
                f"POST {target} HTTP/1.1\r\nhost: h\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            )
            await stream.send_all(body)
            while True:
                got.append(bytes(await stream.receive_some()))
        assert sum(b": keep-alive" in data for data in got) == 7
        await stream.aclose()


@every_wire
async def test_faults_happen_to_whole_answers_too(wire: Any) -> None:
    request = chat(wire, stream=False)
    provider = SimulatedProvider("p", wire, say("hi"))
    async with Fleet(provider).in_memory() as fleet:
        intact = await ask_once(fleet, "p", *request)

        async def broken(fault: Any) -> Got:
            provider.script = Reply(text="hi", fault=fault)
            return await ask_once(fleet, "p", *request)

        for fault in (cut(after_events=2), reset(after_events=2)):
            got = await broken(fault)
            assert got.end in ("fin", "reset")
            assert got.body == intact.body[: len(intact.body) // 2]
            assert got.headers["content-length"] == intact.headers["content-length"]
        assert (await broken(cut(after_events=0))).body == b""
        assert (await broken(cut(after_bytes=3))).status == 0
        cropped = await broken(truncate(after_events=2))
        assert (cropped.end, cropped.body) == ("whole", intact.body[: len(intact.body) // 2])
        assert (await broken(garbage(b"<html>"))).body == b"<html>" + intact.body
        error = await broken(stream_error("it broke", status=500))
        assert error.status == 500
        assert json.loads(error.body)["error"]["message"] == "it broke"


@every_wire
async def test_failures_come_in_the_shape_of_the_wire(wire: Any) -> None:
    script = [
        fail(429, retry_after=7),
        fail(529),
        fail(502, body=b"<h1>Bad gateway</h1>"),
        fail(500, message="own"),
    ]
    async with Fleet(SimulatedProvider("p", wire, script)).in_memory() as fleet:
        throttled, overloaded, page, own = [await ask_once(fleet, "p", *chat(wire)) for _ in script]
    assert (throttled.status, throttled.headers["retry-after"]) == (429, "7")
    error = json.loads(throttled.body)["error"]
    word = {"openai_chat": "code", "anthropic": "type", "gemini": "status"}[wire]
    expected = {
        "openai_chat": "rate_limit_exceeded",
        "anthropic": "rate_limit_error",
        "gemini": "RESOURCE_EXHAUSTED",
    }
    assert error[word] == expected[wire]
    assert overloaded.status == 529
    assert (page.status, page.headers["content-type"], page.body) == (
        502,
        "text/html",
        b"<h1>Bad gateway</h1>",
    )
    assert json.loads(own.body)["error"]["message"] == "own"


# ---- scripts


async def test_scripts_may_be_callables_and_wait(autojump_clock: trio.testing.MockClock) -> None:
    async def slow(request: ChatRequest, n: int) -> Reply:
        await trio.sleep(5)
        return say(f"{n} {request.model}")

    provider = SimulatedProvider("p", script=[echo(), slow])
    async with Fleet(provider).in_memory() as fleet:
        assert said("openai_chat", await ask_once(fleet, "p", *chat("openai_chat"))) == "hi there you"
        assert said("openai_chat", await ask_once(fleet, "p", *chat("openai_chat"))) == "2 m-1"
        assert trio.current_time() == 5
        provider.script = [say("new"), say("newer")]
        assert said("openai_chat", await ask_once(fleet, "p", *chat("openai_chat"))) == "new"


def broken_script(request: ChatRequest, n: int) -> Reply:
    raise LookupError("no such line in the play")


@everywhere
async def test_a_crash_in_a_script_leaves_the_block(where: str) -> None:
    with pytest.raises(LookupError, match="no such line") as caught:
        async with running(where, SimulatedProvider("p", script=broken_script)) as fleet:
            await ask_once(fleet, "p", *chat("openai_chat"))
            await trio.sleep_forever()
    assert caught.value.__notes__ == [
        "raised by the script of the simulated provider 'p', asked for its answer 1"
    ]


@everywhere
async def test_what_the_test_raises_leaves_as_itself(where: str) -> None:
    with pytest.raises(ZeroDivisionError):
        async with running(where, SimulatedProvider("p", script=stall())) as fleet:
            stream = await connect(fleet, "p")
            async with stream:
                await stream.send_all(b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n")
                await stream.receive_some()
                raise ZeroDivisionError


def test_replies_are_values_and_complete() -> None:
    request = ChatRequest("m", "three words here")
    tokens = Reply(text=" a  b ").said_to(request)
    assert "".join(token.text for token in tokens if isinstance(token, TextDelta)) == " a  b "
    assert isinstance(tokens[-1], Finish)
    assert isinstance(tokens[-2], UsageReport)
    assert (tokens[-2].usage.input_tokens, tokens[-2].usage.output_tokens) == (3, 3)
    assert Reply(tokens=(TextDelta("x"),)).said_to(request)[-1] == Finish("stop")
    assert call_tool("f", "{}").said_to(request)[-1] == Finish("tool_calls")
    assert say("x", pace=1) == Reply(text="x", pace=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SimulatedProvider("Has Blanks"), "part of a host name"),
        (lambda: SimulatedProvider("p", script=[]), "empty sequence"),
        (lambda: Fleet(SimulatedProvider("p"), SimulatedProvider("p")), "two providers of one name"),
        (lambda: truncate(after_events=None), "between two events"),  # type: ignore[arg-type]  # the point
    ],
)
def test_mistakes_are_refused_when_they_are_made(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


async def test_a_fleet_names_those_it_has() -> None:
    async with Fleet(SimulatedProvider("a"), SimulatedProvider("b")).in_memory() as fleet:
        with pytest.raises(KeyError, match="there are a, b"):
            fleet.base_url("c")
        assert [provider.name for provider in fleet] == ["a", "b"]
        assert len(fleet) == 2


# ---- clients that misbehave


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01 this is TLS\r\n\r\n", b"400"),
        (b"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ncontent-length: x\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nhost: h\r\nx: " + b"y" * 70000, b"431"),
        (b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5000\r\n\r\n" + b"z" * 5000, b"413"),
        (b"HEAD /nowhere HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", b"404"),
        (b"POST /v1/chat/completions HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}", b"400"),
    ],
)
@everywhere
async def test_bad_requests_are_answered(where: str, sent: bytes, status: bytes) -> None:
    provider = SimulatedProvider("p", max_body=4096)
    async with running(where, provider) as fleet:
        async with await connect(fleet, "p") as stream:
            await stream.send_all(sent)
            if isinstance(stream, trio.abc.HalfCloseableStream) and status in (b"431", b"413"):
                await stream.send_eof()
            answer = b""
            while data := await stream.receive_some(65536):
                answer += data
                if isinstance(stream, trio.abc.HalfCloseableStream) and status == b"400":
                    break
            assert answer.startswith(b"HTTP/1.1 " + status)
        assert (await ask_once(fleet, "p", "/health")).status == 200


async def test_a_client_may_wait_for_100_continue() -> None:
    async with Fleet(SimulatedProvider("p")).in_memory() as fleet, await connect(fleet, "p") as stream:
        target, body = chat("openai_chat", stream=False)
        head = f"POST {target} HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: {len(body)}\r\n\r\n"
        await stream.send_all(head.encode())
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 100")
        await stream.send_all(body)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")


async def test_requests_that_ride_along_are_answered_in_turn(autojump_clock: trio.testing.MockClock) -> None:
    provider = SimulatedProvider("p", script=say("x", pace=1.0))
    async with Fleet(provider).in_memory() as fleet, await connect(fleet, "p") as stream:
        target, body = chat("openai_chat")
        one = f"POST {target} HTTP/1.1\r\nhost: h\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
        await stream.send_all(one)
        await trio.sleep(0.5)
        await stream.send_all(one + one)
        answers = b""
        while answers.count(b"0\r\n\r\n") < 3:
            answers += await stream.receive_some()
        assert answers.count(b"HTTP/1.1 200") == 3


@settings(max_examples=100, deadline=None)
@given(
    junk=st.lists(
        st.sampled_from(
            [
                b"POST /v1/chat/completions HTTP/1.1\r\n",
                b"host: h\r\n",
                b"content-length: 7\r\n",
                b"transfer-encoding: chunked\r\n",
                b"\r\n",
                b"7\r\n",
                b"0\r\n\r\n",
                b'{"model":"m","messages":[{"role":"user","content":"x"}]}',
                b"GET /v1/models HTTP/1.1\r\n",
                b"\x00\xff",
            ]
        )
        | st.binary(max_size=40),
        max_size=12,
    ),
    wire=st.sampled_from(WIRES),
)
def test_no_bytes_of_a_client_crash_a_provider(junk: list[bytes], wire: Any) -> None:
    async def main() -> None:
        async with Fleet(SimulatedProvider("p", wire, max_body=256)).in_memory() as fleet:
            stream = await connect(fleet, "p")
            try:
                for piece in junk:
                    await stream.send_all(piece)
                with trio.move_on_after(10):
                    while await stream.receive_some():
                        pass
            except trio.BrokenResourceError:
                pass
            await stream.aclose()
            assert (await ask_once(fleet, "p", "/health")).status == 200

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


# ---- the whole


def simulate(seed: int) -> list[tuple[float, str, int, str]]:
    """Thirty clients, three providers, faults and pauses; the log of what happened."""
    script: Script = [
        say("a b c", pace=0.125),
        fail(503),
        lorem(20, pace=0.5, fault=reset(after_events=7)),
        echo(first_delay=1.0),
        say("x", fault=stall(after_events=2)),
    ] * 3
    fleet = Fleet(*(SimulatedProvider(wire.replace("_", "-"), wire, list(script)) for wire in WIRES))

    async def client(running: MemoryFleet, wire: str) -> None:
        with trio.move_on_after(9):
            await ask_once(running, wire.replace("_", "-"), *chat(wire))

    async def main() -> None:
        async with fleet.in_memory(latency=0.25, bandwidth=4096, buffer_size=512) as running:
            async with trio.open_nursery() as nursery:
                for n in range(30):
                    nursery.start_soon(client, running, WIRES[n % 3])
            await trio.testing.wait_all_tasks_blocked()

    with deterministic_scheduling(seed):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return [(event.at, event.provider, event.connection, event.what) for event in fleet.log]


def test_the_same_seed_gives_the_same_log() -> None:
    first = simulate(1)
    assert first == simulate(1)
    assert first != simulate(2)
    assert (
        sum(what == "connect" for *_, what in first) == sum(what == "disconnect" for *_, what in first) == 30
    )


@pytest.mark.parametrize(
    "fault", [None, stall(after_events=3), cut(after_events=3)], ids=["whole", "stall", "cut"]
)
async def test_a_client_cancelled_at_any_checkpoint_leaves_nothing(
    fault: Any, autojump_clock: trio.testing.MockClock
) -> None:
    provider = SimulatedProvider("p", script=Reply(text="a b", pace=1.0, fault=fault))
    async with assert_nothing_left(), Fleet(provider).in_memory(latency=0.5) as fleet:

        async def client() -> None:
            stream = await connect(fleet, "p")
            with trio.move_on_after(20):
                async with stream:
                    await ask(stream, *chat("openai_chat"))

        async def check() -> None:
            await trio.sleep(30)
            assert provider.open_connections == 0

        assert await sweep_cancellation(client, check=check) > 5
