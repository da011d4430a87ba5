"""An editor as a provider: the manager, the bridge's sender and a simulated host, in memory and over real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import tercet
from tercet.adapters.call import HttpCall, Origin
from tercet.codecs.wire.host_bridge import ASK, HELLO_LIMIT, LINE_LIMIT, hello_line
from tercet.engine.runtime.bridge import BridgeSender
from tercet.engine.runtime.transport import StreamConnection
from tercet.engine.testing.bridge_host import SimulatedHost
from tercet.testing import (
    MemoryStream,
    assert_nothing_left,
    call_tool,
    cut,
    fail,
    garbage,
    memory_pair,
    reset,
    say,
    stall,
    stream_error,
    sweep_cancellation,
    truncate,
)

TOKEN = "a-token-of-the-editor"
TOOL = tercet.Tool(
    "weather", "Tells the weather", {"type": "object", "properties": {"city": {"type": "string"}}}
)
Serve = Callable[[MemoryStream], Awaitable[object]]


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


class World:
    def __init__(self, host: SimulatedHost, manager: tercet.ProviderManager) -> None:
        self.host = host
        self.manager = manager


@asynccontextmanager
async def world(
    script: Any = None, *, token: str = TOKEN, serve: Serve | None = None, **settings: Any
) -> AsyncGenerator[World, None]:
    """A manager whose bridge leads to a host in memory."""
    host = SimulatedHost(TOKEN, script)
    async with trio.open_nursery() as nursery:

        async def connect(origin: Origin) -> StreamConnection:
            await trio.lowlevel.checkpoint()
            ours, theirs = memory_pair()
            nursery.start_soon(serve or host.serve, theirs)
            return StreamConnection(ours)

        given = {"environ": {"TERCET_BRIDGE_TOKEN": token}, "random": lambda: 0.5, **settings}
        async with tercet.open_manager(senders={"vscode-llm": BridgeSender(connect)}, **given) as manager:
            yield World(host, manager)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


def ask(messages: Any = "Hello there, how are you?", **more: Any) -> tercet.ChatRequest:
    return tercet.ChatRequest("vscode-llm:gpt-4o", messages, **more)


async def test_an_answer_as_it_comes_and_whole(autojump_clock: Any) -> None:
    async with world(say("one two three", pace=0.1)) as here:
        async with here.manager.chat_stream(ask()) as stream:
            pieces = [piece async for piece in stream.text()]
        whole = await here.manager.chat(ask())
    assert pieces == ["one", " two", " three"]
    assert whole.text == stream.response.text == "one two three"
    assert whole.usage == stream.response.usage
    assert (whole.finish_reason, whole.provider, whole.model) == ("stop", "vscode-llm", "gpt-4o")
    assert here.host.connections == 2
    assert here.host.open_connections == here.host.cancelled == 0


async def test_tools_are_called(autojump_clock: Any) -> None:
    async with world([call_tool("weather", {"city": "Graz"}), say("It is sunny.")]) as here:
        async with here.manager.chat_stream(ask(tools=(TOOL,))) as stream:
            answer = await stream.collect()
        [call] = answer.tool_calls
        assert (call.name, call.parsed(), answer.finish_reason) == ("weather", {"city": "Graz"}, "tool_calls")
        turns = [
            tercet.system("Be brief."),
            tercet.user("Weather?"),
            answer.message,
            tercet.tool_result(call.id, "sunny"),
        ]
        assert (await here.manager.chat(ask(turns, tools=(TOOL,)))).text == "It is sunny."
    seen = here.host.chats[-1]
    assert [turn.role for turn in seen.turns] == ["assistant", "user", "assistant", "user"]
    assert seen.tools == (TOOL,)


async def test_lists_counts_and_health(autojump_clock: Any) -> None:
    async with world() as here:
        assert [model.id for model in await here.manager.list_models("vscode-llm")] == ["gpt-4o"]
        assert await here.manager.count_tokens(ask("one two three")) == tercet.TokenCount(3, "provider")
        assert (await here.manager.health_check("vscode-llm")).is_healthy


async def test_a_wrong_token(autojump_clock: Any) -> None:
    async with world(token="another-token-altogether") as here:
        with pytest.raises(tercet.AuthenticationError, match="token") as caught:
            await here.manager.chat(ask())
        assert (await here.manager.health_check("vscode-llm")).state == "unhealthy"
    assert "another-token" not in f"{caught.value!r}{caught.value.facts()}{caught.value.body}"
    assert here.host.chats == []


async def test_no_token(autojump_clock: Any) -> None:
    async with world(token="") as here:
        with pytest.raises(tercet.ConfigurationError, match="TERCET_BRIDGE_TOKEN"):
            await here.manager.chat(ask())
    call = HttpCall(ASK, Origin("tcp", "127.0.0.1", 1), "/", (("authorization", "Basic eA=="),), b"{}")
    with pytest.raises(tercet.ConfigurationError, match="token"):
        await BridgeSender().send(call)


async def test_no_such_model(autojump_clock: Any) -> None:
    async with world() as here:
        with pytest.raises(tercet.NotFoundError, match="gpt-9"):
            async with here.manager.chat_stream(tercet.ChatRequest("vscode-llm:gpt-9", "Hi")):
                pass
        with pytest.raises(tercet.NotFoundError):
            await here.manager.chat(tercet.ChatRequest("vscode-llm:gpt-9", "Hi"))


@pytest.mark.parametrize(
    "fault",
    [
        fail(500),
        fail(503),
        fail(429),
        cut(after_events=0),
        reset(after_events=0),
        stream_error(after_events=0),
    ],
    ids=str,
)
async def test_a_fault_before_the_first_content_is_silent(fault: Any, autojump_clock: Any) -> None:
    async with world([fault, say("all is well")]) as here:
        async with here.manager.chat_stream(ask()) as stream:
            answer = await stream.collect()
    assert answer.text == "all is well"
    assert len(stream.attempts) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (cut(after_events=2), tercet.StreamInterruptedError),
        (truncate(after_events=2), tercet.StreamInterruptedError),
        (stall(after_events=2), tercet.DeadlineError),
        (stream_error(after_events=2), tercet.ServerError),
        (garbage(b"\x00{garbage\n", after_events=2), tercet.ProtocolError),
        (garbage(b"[]\n", after_events=2), tercet.ProtocolError),
    ],
    ids=str,
)
async def test_a_fault_after_content_carries_what_was_said(
    fault: Any, kind: Any, autojump_clock: Any
) -> None:
    async with world(say("one two three four", fault=fault)) as here:
        with pytest.raises(kind) as caught:
            async with here.manager.chat_stream(ask()) as stream:
                await stream.collect()
    assert caught.value.response is not None
    assert caught.value.response.text == "one two"
    assert here.host.open_connections == 0


async def test_leaving_early_cancels_the_request_in_the_editor(autojump_clock: Any) -> None:
    async with world(say("one two three four", pace=60)) as here:
        async with here.manager.chat_stream(ask()) as stream:
            assert await anext(stream)
        await trio.testing.wait_all_tasks_blocked()
        assert here.host.cancelled == 1
        assert here.host.open_connections == 0


async def test_cancellation_anywhere_leaves_nothing(autojump_clock: Any) -> None:
    async with assert_nothing_left(), world(say("one two three", pace=0.1)) as here:

        async def stream() -> None:
            async with here.manager.chat_stream(ask()) as answer:
                async for _ in answer:
                    pass

        async def whole() -> None:
            await here.manager.chat(ask())

        async def check() -> None:
            await trio.testing.wait_all_tasks_blocked()
            assert here.host.open_connections == 0

        assert await sweep_cancellation(stream, check=check) > 4
        assert await sweep_cancellation(stream, check=check, every_task=True) > 20
        assert await sweep_cancellation(whole, check=check, every_task=True) > 10


def speaks(*said: bytes, then: str = "close") -> Serve:
    """A host that reads once and says something each time, whatever it was told."""

    async def serve(stream: MemoryStream) -> None:
        async with stream:
            for piece in said:
                await stream.receive_some()
                await stream.send_all(piece)
            if then == "stay":
                await trio.sleep_forever()

    return serve


HELLO = b'{"type":"hello","version":1}\n'


@pytest.mark.parametrize(
    ("serve", "kind", "words"),
    [
        (speaks(), tercet.StreamInterruptedError, "without a word"),
        (speaks(b"HTTP/1.1 400 Bad Request\r\n\r\n"), tercet.ProtocolError, "no bridge"),
        (speaks(b"\x00\x01\x02"), tercet.ProtocolError, "no bridge"),
        (speaks(b"x" * (HELLO_LIMIT + 1), then="stay"), tercet.ProtocolError, "4,096"),
        (speaks(b'{"type":"hello","version":2}\n'), tercet.ConfigurationError, "version 2.*update"),
        (speaks(b'{"type":"error","code":"version","message":"old"}\n'), tercet.ConfigurationError, "old"),
        (speaks(HELLO), tercet.StreamInterruptedError, "without a word"),
        (speaks(HELLO, b'{"type":"te'), tercet.StreamInterruptedError, "end line"),
        (speaks(HELLO, b"garbage\n"), tercet.ProtocolError, "not the JSON"),
        (
            speaks(HELLO, b'{"type":"error","code":"blocked","message":"quota"}\n'),
            tercet.RateLimitError,
            "quota",
        ),
        (speaks(b"", then="stay"), tercet.DeadlineError, "hello within 3 s"),
        (speaks(HELLO, b"", then="stay"), tercet.DeadlineError, "within 7 s"),
    ],
)
async def test_hosts_that_are_none(
    serve: Serve, kind: type[tercet.TercetError], words: str, autojump_clock: Any
) -> None:
    clocks = tercet.Clocks(connect=3, first_content=7)
    async with world(serve=serve, clocks=clocks, retry=tercet.RetryPolicy(max_attempts=1)) as here:
        with pytest.raises(kind, match=words):
            async with here.manager.chat_stream(ask()):
                pass


async def test_lines_that_never_end_are_refused(autojump_clock: Any) -> None:
    async def serve(stream: MemoryStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(HELLO)
            await stream.receive_some()
            with pytest.raises(trio.BrokenResourceError):
                while True:
                    await stream.send_all(b"x" * 65536)

    async with world(serve=serve, retry=tercet.RetryPolicy(max_attempts=1)) as here:
        with pytest.raises(tercet.ProtocolError, match=f"{LINE_LIMIT:,}"):
            await here.manager.chat(ask())


async def test_an_error_that_came_before_the_request_was_read_is_told(autojump_clock: Any) -> None:
    """The host hangs up while we still send: what it said first is the news."""

    async def serve(stream: MemoryStream) -> None:
        await stream.receive_some()
        await stream.send_all(HELLO + b'{"type":"error","code":"busy","message":"too many"}\n')
        await stream.send_eof()
        await trio.sleep(1)
        stream.close()

    async with world(serve=serve, retry=tercet.RetryPolicy(max_attempts=1)) as here:
        with pytest.raises(tercet.OverloadedError, match="too many"):
            await here.manager.chat(ask("x" * 1_000_000))


async def test_the_protocol_line_by_line(autojump_clock: Any) -> None:
    """Several requests on one connection, cancelled one by one: what our own sender does not use is served all the same."""
    host = SimulatedHost(TOKEN, say("one two three", pace=10))
    ours, theirs = memory_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(host.serve, theirs)
        lines = Lines(ours)
        await ours.send_all(hello_line(TOKEN))
        assert (await lines.next())["type"] == "hello"
        message = {"role": "user", "content": [{"type": "text", "text": "a b"}]}
        chat = {"type": "chat", "model": "gpt-4o", "messages": [message]}
        await lines.send({**chat, "id": 1})
        await lines.send({**chat, "id": 2})
        assert {(await lines.next())["id"] for _ in range(2)} == {1, 2}
        await lines.send({"type": "cancel", "id": 1})
        assert await lines.next() == {
            "type": "error",
            "id": 1,
            "code": "cancelled",
            "message": "the request was cancelled",
        }
        await lines.send({**chat, "id": 3, "type": "count"})
        assert await lines.next() == {"type": "count", "id": 3, "tokens": 2}
        kinds = [(await lines.next())["type"] for _ in range(3)]
        assert kinds == ["text", "text", "end"]
        await lines.send({"type": "models", "id": 4, "close": True})
        assert (await lines.next())["models"][0]["id"] == "gpt-4o"
        assert await ours.receive_some() == b""
    assert host.cancelled == 1


class Lines:
    def __init__(self, stream: MemoryStream) -> None:
        self.stream = stream
        self.data = b""

    async def send(self, shape: dict[str, Any]) -> None:
        await self.stream.send_all(json.dumps(shape).encode() + b"\n")

    async def next(self) -> dict[str, Any]:
        while b"\n" not in self.data:
            received = await self.stream.receive_some()
            assert received
            self.data += received
        line, _, self.data = self.data.partition(b"\n")
        shape: dict[str, Any] = json.loads(line)
        return shape


@pytest.mark.parametrize("scheme", ["tcp", "unix"])
async def test_real_sockets(scheme: str, tmp_path: Path) -> None:
    host = SimulatedHost(TOKEN, say("one two three"))
    async with assert_nothing_left(), trio.open_nursery() as nursery:
        if scheme == "tcp":
            [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            address = f"tcp://127.0.0.1:{listener.socket.getsockname()[1]}"
        else:
            sock = trio.socket.socket(trio.socket.AF_UNIX)
            await sock.bind(str(tmp_path / "bridge.sock"))
            sock.listen()
            listener = trio.SocketListener(sock)
            address = f"unix://{tmp_path}/bridge.sock"
        nursery.start_soon(trio.serve_listeners, host.serve, [listener])
        environ = {"TERCET_BRIDGE": address, "TERCET_BRIDGE_TOKEN": TOKEN}
        async with tercet.open_manager(environ=environ) as manager:
            assert (await manager.chat(ask())).text == "one two three"
            async with manager.chat_stream(ask()) as stream:
                assert (await stream.collect()).text == "one two three"
            assert (await manager.health_check("vscode-llm")).is_healthy
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("address", ["unix:///nowhere/at/all.sock", "tcp://127.0.0.1:1"])
async def test_nobody_there(address: str) -> None:
    retry = tercet.RetryPolicy(max_attempts=1)
    async with tercet.open_manager(
        environ={"TERCET_BRIDGE_TOKEN": TOKEN}, base_urls={"vscode-llm": address}, retry=retry
    ) as manager:
        with pytest.raises(tercet.ConnectError, match=f"no editor answers at {address}"):
            await manager.chat(ask())
