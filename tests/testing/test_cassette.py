"""Cassettes: what was recorded plays back the same, cut and broken where one likes; and no secret is in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import tercet
import tercet.testing
from tercet.testing import (
    Cassette,
    CassetteError,
    End,
    Fleet,
    MemoryNetwork,
    RecordingNetwork,
    ReplayNetwork,
    ScriptedExchange,
    ScriptedServer,
    SimulatedProvider,
    UnexpectedRequestError,
    fail,
    reset,
    say,
)

AUTH: dict[str, Any] = {"openai_chat": "bearer", "anthropic": "x-api-key", "gemini": "x-goog-api-key"}
KEY = "sk-very-secret-0123456789"
WIRES = ("alder", "birch", "cedar")
TEXT = "Grüße über äöü und 語."


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


def fleet_of(script: Any) -> Fleet:
    wires: dict[str, Any] = dict(zip(WIRES, AUTH, strict=True))
    return Fleet(*(SimulatedProvider(name, wire, script) for name, wire in wires.items()))


def manager_on(network: Any, key: str = KEY) -> Any:
    registry = tercet.ProviderRegistry([])
    for name, wire in zip(WIRES, AUTH, strict=True):
        registry.add(
            tercet.Profile(
                id=name,
                base_url=f"http://{name}.simulated.test",
                wire=wire,
                auth=AUTH[wire],
                catalog="simulated",
                default_model="lorem",
            )
        )
    return tercet.open_manager(
        registry,
        keys=dict.fromkeys(WIRES, key),
        environ={},
        network=network,
        retry=tercet.RetryPolicy(max_attempts=1),
        random=lambda: 0.5,
    )


async def ask(
    manager: tercet.ProviderManager, provider: str, said: list[str] | None = None
) -> tercet.ChatResponse:
    async with manager.chat_stream(tercet.ChatRequest(f"{provider}:lorem", "a private question")) as stream:
        async for piece in stream.text():
            if said is not None:
                said.append(piece)
        return stream.response


async def recorded(script: Any, *providers: str, fails: bool = False) -> Cassette:
    async with fleet_of(script).in_memory(latency=0.01) as running:
        recording = RecordingNetwork(running.network)
        async with manager_on(recording) as manager:
            for provider in providers:
                if fails:
                    with pytest.raises(tercet.TercetError):
                        await ask(manager, provider)
                else:
                    await ask(manager, provider)
        return recording.cassette()


async def test_what_was_recorded_plays_back(autojump_clock: Any, tmp_path: Path) -> None:
    cassette = await recorded(say(TEXT, pace=0.25), *WIRES, "alder")
    cassette.save(tmp_path / "a.jsonl")
    loaded = Cassette.load(tmp_path / "a.jsonl")
    assert loaded == cassette
    assert len(loaded.exchanges) == 4
    network = ReplayNetwork(loaded)
    async with manager_on(network, "another-key") as manager:
        for provider in (*WIRES, "alder"):
            began = trio.current_time()
            assert (await ask(manager, provider)).text == TEXT
            assert trio.current_time() - began >= 1.0  # the recorded pace
        assert network.is_used_up
        with pytest.raises(UnexpectedRequestError, match=r"no \(further\) answer"):
            await ask(manager, "alder")
    fast = ReplayNetwork(loaded, times=0)
    async with manager_on(fast) as manager:
        began = trio.current_time()
        assert (await ask(manager, "birch")).text == TEXT
        assert trio.current_time() == began


async def test_an_answer_is_cut_everywhere(autojump_clock: Any) -> None:
    for provider in WIRES:
        cassette = await recorded(say(TEXT), provider)
        size = len(cassette.exchanges[0].answer)
        for at in range(0, size + 1, 3):
            async with manager_on(ReplayNetwork(cassette, cut_at=at)) as manager:
                assert (await ask(manager, provider)).text == TEXT, (provider, at)
        async with manager_on(ReplayNetwork(cassette, piece_size=1)) as manager:
            answer = await ask(manager, provider)
            assert (answer.text, answer.finish_reason) == (TEXT, "stop")


@pytest.mark.parametrize("how", ["fin", "reset", "stall"])
async def test_a_fault_is_laid_over_at_every_byte(autojump_clock: Any, how: Any) -> None:
    """Wherever it breaks: an error and a beginning, or the whole answer; never an end that passes for whole."""
    cassette = await recorded(say(TEXT), "birch")
    answer = cassette.exchanges[0].answer
    errors = whole = 0
    for at in range(0, len(answer) + 1, 7):
        said: list[str] = []
        async with manager_on(ReplayNetwork(cassette, end=End(how), end_at=at)) as manager:
            try:
                complete = await ask(manager, "birch", said)
            except tercet.TercetError as error:
                errors += 1
                assert TEXT.startswith("".join(said))
                assert not error.response or not error.response.is_complete
            else:
                whole += 1
                assert complete.text == TEXT
                assert at > answer.rfind(b"message_stop") - 100
    assert errors > 20
    assert whole < 30


async def test_an_end_is_recorded_too(autojump_clock: Any) -> None:
    cassette = await recorded(reset(after_events=4), "alder", fails=True)
    assert cassette.exchanges[0].end == "reset"
    async with manager_on(ReplayNetwork(cassette)) as manager:
        with pytest.raises(tercet.StreamInterruptedError):
            await ask(manager, "alder")


async def test_no_secret_is_in_the_file(autojump_clock: Any) -> None:
    cassette = await recorded(say(TEXT), *WIRES)
    refused = await recorded(fail(401, message=f"Incorrect API key provided: {KEY}."), "alder", fails=True)
    for file in (cassette.dumps(), refused.dumps()):
        assert KEY.encode() not in file
        assert b"a private question" not in file
        for name in (b"authorization", b"x-api-key", b"x-goog-api-key", b"bearer"):
            assert name not in file.lower()
    assert b"Incorrect API key provided: xxxx" in refused.dumps()


async def exchange_by_hand(request: bytes, *answer: bytes) -> Cassette:
    """One exchange of raw bytes, through the recorder."""
    async with MemoryNetwork() as network:
        network.serve("https://api.example.test", ScriptedServer([ScriptedExchange(answer)]))
        recording = RecordingNetwork(network)
        connection = await recording.connect(tercet.testing.origin_of("https://api.example.test"))
        await connection.send_all(request[:20])
        await connection.send_all(request[20:])
        for _ in answer:
            await connection.receive()
        connection.close()
        return recording.cassette()


async def test_cookies_keys_in_queries_and_tokens_are_overwritten(autojump_clock: Any) -> None:
    request = (
        b"POST /v1/x?alt=sse&key=AIza-secret%2B1&other=hidden1 HTTP/1.1\r\nHost: api.example.test\r\nCookie: a=cookie-secret\r\n"
        b"X-Amz-Security-Token: amz-secret\r\nApi-Key: azure-secret\r\nContent-Type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    )
    head = (
        b"HTTP/1.1 100 Continue\r\nX-Auth-Thing: auth-secret\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=jar-secret; Path=/\r\nset-cookie: b=jar-",
        b"secret\r\n  folded-secret\r\nx-ratelimit-remaining-tokens: 12\r\ncontent-length: 99\r\n\r\n",
        b'{"access_token": "oauth-secret", "said": "AIza-secret+1 and azure-secret", "set-cookie": "a word"}',
    )
    cassette = await exchange_by_hand(request, *head)
    [exchange] = cassette.exchanges
    file = cassette.dumps()
    assert b"-secret" not in file
    assert b"hidden1" not in file
    assert b"x-ratelimit-remaining-tokens: 12" in file
    assert b"a word" in file
    assert exchange.target == "/v1/x?alt=sse&key=[removed]&other=[removed]"
    assert [len(read.data) for read in exchange.reads] == [len(piece) for piece in head]
    assert {name for name, _ in exchange.headers} == {"host", "content-type", "content-length"}


async def test_requests_for_tokens_are_not_recorded(autojump_clock: Any) -> None:
    request = b"POST /token HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/x-www-form-urlencoded\r\ncontent-length: 3\r\n\r\na=b"
    cassette = await exchange_by_hand(request, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
    assert cassette.exchanges == ()


async def test_a_recording_has_a_limit(autojump_clock: Any) -> None:
    async with fleet_of(say(TEXT)).in_memory() as running:
        async with manager_on(RecordingNetwork(running.network, limit=300)) as manager:
            with pytest.raises(tercet.TercetError, match="limit"):
                await ask(manager, "birch")


def test_files_that_are_no_cassettes() -> None:
    for data in (
        b"",
        b"{}",
        b"nonsense",
        b'{"cassette": 2}',
        b'{"cassette": 1}\n{"what": "read"}',
        b'{"cassette": 1}\n7',
    ):
        with pytest.raises(CassetteError):
            Cassette.loads(data)
    assert Cassette.loads(b'{"cassette":1}\n') == Cassette(())


async def test_an_origin_that_was_not_recorded(autojump_clock: Any) -> None:
    cassette = await recorded(say(TEXT), "alder")
    async with manager_on(ReplayNetwork(cassette)) as manager:
        with pytest.raises(tercet.ConnectError, match="nothing from"):
            await ask(manager, "cedar")
    with pytest.raises(ValueError, match="at least"):
        ReplayNetwork(cassette, end_at=-1)


async def test_a_waiting_reader_is_told_of_the_close(autojump_clock: Any) -> None:
    cassette = await recorded(say(TEXT), "alder")
    connection = await ReplayNetwork(cassette).connect(
        tercet.testing.origin_of("http://alder.simulated.test")
    )

    async def close_later() -> None:
        await trio.sleep(1)
        connection.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(close_later)
        with pytest.raises(trio.ClosedResourceError):
            await connection.receive()
    assert connection.is_stale()
