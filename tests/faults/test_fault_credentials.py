"""Rows C (and P19): credentials that end, are refused, rotated, slow or broken."""

from __future__ import annotations

import datetime
import email.utils
import itertools
import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import trio
import trio.testing

import tercet
from tercet.adapters.auth import Credential, Key
from tercet.engine.runtime.credentials import LoadedCredential
from tercet.engine.runtime.searching import Searcher
from tercet.testing import assert_nothing_left

from .stage import Play, World, open_world, read_request
from .wires import ELSEWHERE, END, answer, chat_event, chunk, failure, head, openai, sse, whole

NOW = 1_790_000_000.0
GOOD = answer()
REFUSED: Play = (failure(401, {"error": {"message": "expired", "code": "invalid_api_key"}}),)


def wall() -> float:
    """A wall clock that goes with trio's."""
    return NOW + trio.current_time()


class Endpoint:
    """Gives tokens ``token-1``, ``token-2``, ... each good for ``lasts`` seconds; what is in ``trouble`` happens first."""

    def __init__(self, *, lasts: float = 3600.0, takes: float = 0.0) -> None:
        self.lasts = lasts
        self.takes = takes
        self.begun = 0
        self.numbers = itertools.count(1)
        self.trouble: list[BaseException | None] = []

    async def load(self) -> Credential:
        self.begun += 1
        await trio.sleep(self.takes)
        if self.trouble and (trouble := self.trouble.pop(0)) is not None:
            raise trouble
        token = f"token-{next(self.numbers)}"
        return Key(token, style="bearer", source="the endpoint", expires_at=wall() + self.lasts)

    def source(self) -> LoadedCredential:
        return LoadedCredential(self.load, wall)


def tokens_sent(world: World) -> list[str]:
    """The bearer tokens that alder saw."""
    return [
        request.partition(b"authorization: Bearer ")[2].partition(b"\r\n")[0].decode()
        for request in world.alder.requests
    ]


def opened(clock: Any, alder: list[Play], endpoint: Endpoint, **more: Any) -> Any:
    return open_world(
        "memory",
        clock,
        alder,
        [answer(text=ELSEWHERE)],
        credentials={"alder": endpoint.source()},
        wall=wall,
        **more,
    )


async def ask(world: World, *fallbacks: str) -> tercet.ChatResponse:
    async with world.manager.chat_stream(world.ask(), fallbacks=fallbacks) as stream:
        response: tercet.ChatResponse = await stream.collect()
    return response


async def test_a_refused_credential_is_renewed_once(autojump_clock: Any) -> None:
    endpoint = Endpoint()
    async with opened(autojump_clock, [REFUSED, GOOD], endpoint) as world:
        assert (await ask(world)).is_complete
        assert tokens_sent(world) == ["token-1", "token-2"]
        assert world.lane.metrics.snapshot().outcomes["ok"] == 1  # one attempt
        await world.assert_nothing_left()
    async with opened(autojump_clock, [REFUSED], Endpoint()) as world:
        assert (await ask(world, "birch:lorem")).provider == "birch"
        assert tokens_sent(world) == ["token-1", "token-2"]
        [slot] = world.lane.slots
        assert slot.parked_until > trio.current_time()
        assert world.lane.breaker.snapshot(trio.current_time()).failures == 0


async def test_a_refused_key_is_parked(autojump_clock: Any) -> None:
    """For a minute nothing is sent with it; then it is tried again."""
    async with open_world("memory", autojump_clock, [REFUSED, GOOD], [answer(text=ELSEWHERE)]) as world:
        for _ in range(3):
            assert (await ask(world, "birch:lorem")).provider == "birch"
        assert len(world.alder.requests) == 1
        await trio.sleep(61)
        assert (await ask(world, "birch:lorem")).provider == "alder"


async def test_a_token_that_ends_while_requests_queue_is_renewed_when_they_are_sent(
    autojump_clock: Any,
) -> None:
    """C01: twenty requests wait for one place; the token lasts for three of them."""
    endpoint = Endpoint(lasts=121.0 + 30.0)  # replaced 120 s before its end: used for 31 s
    slow: Play = (head(200, "content-type: text/event-stream"), _pause(10.0), chunk(openai.all) + END)
    async with opened(
        autojump_clock,
        [slow],
        endpoint,
        profile={"max_concurrency": 1},
        clocks=tercet.Clocks(first_content=1000.0),
    ) as world:
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask, world)
        sent = tokens_sent(world)
        assert len(sent) == 20
        assert sent == sorted(sent, key=lambda token: int(token.partition("-")[2]))
        assert {sent.count(token) for token in sent} == {4}  # at 0, 10, 20 and 30 s
        assert endpoint.begun == 5


def _pause(seconds: float) -> Callable[[Any], Any]:
    async def pausing(scene: Any) -> None:
        await scene.time.pass_by(seconds)

    return pausing


async def test_a_token_that_ends_in_mid_stream_does_not_end_the_stream(autojump_clock: Any) -> None:
    """C02."""
    endpoint = Endpoint(lasts=125.0)
    long: Play = (
        head(200, "content-type: text/event-stream") + chunk(openai.first),
        *(step for _ in range(200) for step in (_pause(1.0), chunk(sse(chat_event("x"))))),
        chunk(openai.finish + openai.usage + openai.done) + END,
    )
    async with opened(autojump_clock, [long, GOOD], endpoint) as world:
        assert (await ask(world)).text == "Hello" + "x" * 200
        assert trio.current_time() >= 200
        assert (await ask(world)).is_complete
        assert tokens_sent(world) == ["token-1", "token-2"]


@pytest.mark.parametrize("trouble", ["5xx", "silence"])
async def test_a_failing_token_endpoint_is_not_felt_before_it_must_be(
    autojump_clock: Any, trouble: str
) -> None:
    """C03: the old token is used while it lasts; then the error is the endpoint's, typed, and the next target answers.

    There is no breaker for the endpoint: without a credential its provider cannot be asked, so the provider's own opens.
    """
    endpoint = Endpoint(lasts=200.0)
    async with opened(autojump_clock, [GOOD], endpoint, retry=tercet.RetryPolicy(max_attempts=1)) as world:
        await ask(world)
        await trio.sleep(100)  # 100 s before its end: due
        if trouble == "5xx":
            endpoint.trouble = [tercet.ServerError("the endpoint is down", status=503)] * 100
        else:
            endpoint.takes = 1e6
        before = endpoint.begun
        for _ in range(5):
            await ask(world)
        assert set(tokens_sent(world)) == {"token-1"}
        assert endpoint.begun == before + 1  # tried once, and not again for every request
        await trio.sleep(80)  # less than 30 s are left
        with pytest.raises(tercet.TercetError) as caught:
            await ask(world)
        assert isinstance(caught.value, tercet.ServerError if trouble == "5xx" else tercet.DeadlineError)
        assert (await ask(world, "birch:lorem")).provider == "birch"
        assert set(tokens_sent(world)) == {"token-1"}
        endpoint.trouble, endpoint.takes = [], 0.0
        assert (await ask(world)).is_complete
        assert tokens_sent(world)[-1] == "token-2"
        await world.assert_nothing_left()


async def test_a_revoked_sign_in_is_not_tried_again(autojump_clock: Any) -> None:
    """C04."""
    endpoint = Endpoint()
    endpoint.trouble = [tercet.AuthenticationError("the sign-in has ended", code="invalid_grant")] * 100
    async with opened(autojump_clock, [GOOD], endpoint) as world:
        for _ in range(5):
            assert (await ask(world, "birch:lorem")).provider == "birch"
        assert endpoint.begun == 1
        assert world.alder.requests == []
        with pytest.raises(tercet.AuthenticationError) as caught:
            await ask(world)
        assert caught.value.code == "invalid_grant"
        assert endpoint.begun == 1
        await world.assert_nothing_left()


async def test_a_thousand_who_need_a_new_token_make_one_call(autojump_clock: Any) -> None:
    """C05, and whoever makes it may be cancelled: the next takes over."""
    endpoint = Endpoint(takes=1.0)
    async with opened(autojump_clock, [GOOD], endpoint) as world:
        scopes: list[trio.CancelScope] = []
        done: list[tercet.ChatResponse] = []

        async def one() -> None:
            with trio.CancelScope() as scope:
                scopes.append(scope)
                done.append(await ask(world))

        async with trio.open_nursery() as nursery:
            for _ in range(1000):
                nursery.start_soon(one)
            await trio.sleep(0.5)
            assert endpoint.begun == 1
            scopes[0].cancel()
            for scope in scopes[1:10]:
                scope.cancel()
        assert len(done) == 990
        assert endpoint.begun <= 2  # the first one's, and that of whoever took over
        assert len(set(tokens_sent(world))) == 1
        await world.assert_nothing_left()


async def test_a_key_swapped_under_load_is_not_mixed(autojump_clock: Any) -> None:
    """C09: streams under way end with the key they began with; what is sent after the swap has the new one."""
    current = ["old-key"]

    async def load() -> Credential:
        return Key(current[0], style="bearer", source="config")

    source = LoadedCredential(load, wall)
    long: Play = (
        head(200, "content-type: text/event-stream") + chunk(openai.first),
        _pause(1.5),
        chunk(openai.rest),
        _pause(1.5),
        chunk(openai.finish + openai.usage + openai.done) + END,
    )
    async with open_world("memory", autojump_clock, [long], [GOOD], credentials={"alder": source}) as world:
        done: list[str] = []

        async def one(key: str) -> None:
            assert (await ask(world)).is_complete
            done.append(key)

        async with trio.open_nursery() as nursery:
            for _ in range(500):
                nursery.start_soon(one, "old-key")
            await trio.sleep(0.5)
            held = await source.current()
            current[0] = "new-key"
            source.invalidate(held)
            for _ in range(500):
                nursery.start_soon(one, "new-key")
        assert done.count("old-key") == done.count("new-key") == 500
        sent = tokens_sent(world)
        assert sent == ["old-key"] * 500 + ["new-key"] * 500


@pytest.mark.parametrize(
    "key",
    [
        "sk-half\n-key",
        "sk-\u201cquoted\u201d",
        "sk with blanks",
        "sk-\x00",
        "\ufeffsk-bom",
        "sk-\r\nx: y",
        " ",
    ],
)
async def test_a_key_that_no_header_can_carry_is_refused_unseen(autojump_clock: Any, key: str) -> None:
    """C10."""
    async with open_world("memory", autojump_clock, [GOOD], [GOOD], keys={"alder": key}) as world:
        with pytest.raises(tercet.ConfigurationError) as caught:
            await ask(world)
        for piece in (key, "half", "quoted", "blanks"):
            assert piece.strip() == "" or piece not in f"{caught.value!r}{caught.value.facts()}"
        assert world.alder.connections == 0


# -- C07: clocks that disagree ------------------------------------------------------------------------------------------------


class StrictClock:
    """Serves Converse streams to calls that were signed within five minutes of its own time, ``ahead`` seconds from ours."""

    def __init__(self, ahead: float, code: str) -> None:
        self.ahead = ahead
        self.code = code
        self.refused = 0

    async def __call__(self, scene: Any) -> None:
        request = scene.world.alder.requests[-1]
        signed = request.lower().partition(b"x-amz-date: ")[2].partition(b"\r\n")[0].decode().upper()
        at = datetime.datetime.strptime(signed, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC).timestamp()
        now = wall() + self.ahead
        if abs(at - now) <= 300:
            for step in answer("bedrock_converse"):
                await scene.stream.send_all(step)
            return
        self.refused += 1
        date = email.utils.formatdate(now, usegmt=True)
        body = {"message": "Signature expired: it is now earlier than it was."}
        await scene.stream.send_all(failure(403, body, f"x-amzn-errortype: {self.code}", f"date: {date}"))


@pytest.mark.parametrize("ahead", [600.0, -600.0, 86_400.0, 0.0])
@pytest.mark.parametrize("code", ["InvalidSignatureException", "RequestTimeTooSkewed"])
async def test_a_signature_by_a_wrong_clock_is_made_again_by_the_providers(
    ahead: float, code: str, autojump_clock: Any
) -> None:
    server = StrictClock(ahead, code)
    source = tercet.aws_source(
        access_key="AKIDEXAMPLE", secret_key="hush-hush", region="us-east-1", environ={}, wall=wall
    )
    async with open_world(
        "memory",
        autojump_clock,
        [(server,)],
        [answer(text=ELSEWHERE)],
        wire="bedrock_converse",
        credentials={"alder": source},
        wall=wall,
    ) as world:
        for _ in range(3):
            assert (await ask(world, "birch:lorem")).provider == "alder"
        assert server.refused == (1 if ahead else 0)  # learned once
        outcomes = world.manager.statistics()["alder"].outcomes
        assert (outcomes["ok"], outcomes["key"], outcomes["failed"]) == (3, 0, 0)
        await world.assert_nothing_left()


async def test_a_signature_that_is_wrong_by_any_clock_parks_the_key(autojump_clock: Any) -> None:
    """The dates agree, so it is the key: nothing is sent twice."""
    refusal = {"message": "The request signature we calculated does not match."}
    date = email.utils.formatdate(NOW, usegmt=True)
    play: Play = (failure(403, refusal, "x-amzn-errortype: InvalidSignatureException", f"date: {date}"),)
    source = tercet.aws_source(
        access_key="AKIDEXAMPLE", secret_key="hush-hush", region="us-east-1", environ={}, wall=wall
    )
    async with open_world(
        "memory",
        autojump_clock,
        [play],
        [answer(text=ELSEWHERE)],
        wire="bedrock_converse",
        credentials={"alder": source},
        wall=wall,
    ) as world:
        assert (await ask(world, "birch:lorem")).provider == "birch"
        assert len(world.alder.requests) == 1
        assert world.manager.statistics()["alder"].outcomes["key"] == 1


# -- C06: two processes, one sign-in -------------------------------------------------------------------------------------------

CHILD = """
import sys, trio, tercet
from tercet.adapters.call import Origin
from tercet.engine.runtime.searching import Searcher
from tercet.engine.runtime.transport import SocketNetwork

class Here:
    async def connect(self, origin):
        return await SocketNetwork().connect(Origin("http", "127.0.0.1", int(sys.argv[2])))

async def main():
    source = tercet.oauth_file_source("qwen-code", path=sys.argv[1], environ={}, searcher=Searcher(Here()))
    print("ready", flush=True)
    await trio.to_thread.run_sync(sys.stdin.readline)
    for _ in range(20):
        credential = await source.current()
        print(credential.secret.reveal(), flush=True)

trio.run(main)
"""


class RotatingEndpoint:
    """Takes each refresh token once; the tokens it gives have ended when they arrive."""

    def __init__(self) -> None:
        self.valid = "refresh-0"
        self.granted = 0
        self.refused = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            request = await read_request(stream, None)
            assert request is not None
            fields = dict(parse_qsl(request.partition(b"\r\n\r\n")[2].decode()))
            if fields["refresh_token"] != self.valid:
                self.refused += 1
                await stream.send_all(whole({"error": "invalid_grant"}, 400))
                return
            self.granted += 1
            self.valid = f"refresh-{self.granted}"
            grant = {"access_token": f"access-{self.granted}", "refresh_token": self.valid, "expires_in": 1}
            await stream.send_all(whole(grant))


async def test_two_processes_do_not_use_up_each_others_refresh_token(tmp_path: Path) -> None:
    path = tmp_path / "oauth_creds.json"
    path.write_text(json.dumps({"access_token": "old", "refresh_token": "refresh-0", "expiry_date": 1000}))
    endpoint = RotatingEndpoint()
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    printed: list[str] = []

    ready = [trio.Event(), trio.Event()]

    async def child(number: int) -> None:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-c", CHILD, str(path), str(port)],
            stdin=-1,
            stdout=-1,
            cwd=Path(__file__).parent,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        async with process.stdin, process.stdout:
            data = b""
            while more := await process.stdout.receive_some():
                data += more
                if data == b"ready\n":
                    ready[number].set()
                    await ready[1 - number].wait()  # both begin at once
                    await process.stdin.send_all(b"go\n")
            assert await process.wait() == 0
            printed.extend(data.decode().split()[1:])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, endpoint.serve, [listener])
        with trio.fail_after(60):
            async with trio.open_nursery() as children:
                children.start_soon(child, 0)
                children.start_soon(child, 1)
        nursery.cancel_scope.cancel()
    assert (endpoint.granted, endpoint.refused) == (40, 0)
    assert len(set(printed)) == 40
    kept = json.loads(path.read_text())
    assert kept["refresh_token"] == endpoint.valid
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# -- C08: sources that are broken ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        "yes hush-output",
        "echo hush-output",
        "echo '{\"Version\": 7}'",
        "exit 3",
        "no-such-program-of-hush",
        "printf '\\377\\376'",
        'echo \'{"Version": 1, "AccessKeyId": 7}\'',
    ],
    ids=["endless", "no JSON", "version", "exit code", "no program", "no text", "no key"],
)
async def test_a_credential_process_that_is_broken_is_a_typed_error(
    command: str, tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    """The next target answers, nothing is sent to the first, and what the program printed is not shown."""
    (tmp_path / "config").write_text(f"[profile p]\nregion = us-east-1\ncredential_process = {command}\n")
    environ = {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "HOME": str(tmp_path),
    }
    source = tercet.aws_source(profile="p", environ=environ)
    async with assert_nothing_left():
        async with open_world(
            "sockets",
            mock_clock,
            [answer("bedrock_converse")],
            [answer(text=ELSEWHERE)],
            wire="bedrock_converse",
            credentials={"alder": source},
        ) as world:
            assert (await ask(world, "birch:lorem")).provider == "birch"
            assert world.alder.connections == 0
            with pytest.raises(tercet.TercetError) as caught:
                await ask(world)
            error = caught.value
            assert isinstance(
                error, tercet.AuthenticationError | tercet.ProtocolError | tercet.TransportError
            )
            assert "hush-output" not in f"{error!r}{error.facts()}{error.body}"
            await world.assert_nothing_left()


async def test_a_credential_process_that_hangs_is_left(autojump_clock: Any) -> None:
    """Its time is bounded, also by the attempt's own clock."""
    asked: list[float] = []

    async def run_process(command: str, seconds: float) -> Any:
        asked.append(seconds)
        with trio.fail_after(seconds):
            await trio.sleep_forever()

    async def read(path: str) -> str:
        await trio.lowlevel.checkpoint()
        if path.endswith("config"):
            return "[profile p]\nregion = us-east-1\ncredential_process = hang\n"
        raise FileNotFoundError(2, "No such file")

    searcher = Searcher(read=read, run_process=run_process)
    source = tercet.aws_source(profile="p", environ={"HOME": "/h"}, searcher=searcher, wall=wall)
    async with open_world(
        "memory",
        autojump_clock,
        [answer("bedrock_converse")],
        [answer(text=ELSEWHERE)],
        wire="bedrock_converse",
        credentials={"alder": source},
        retry=tercet.RetryPolicy(max_attempts=1),
    ) as world:
        assert (await ask(world, "birch:lorem")).provider == "birch"
        assert trio.current_time() <= 4  # the clock of the first content stands at three
        assert asked
        assert max(asked) <= 60
        assert world.alder.connections == 0
        await world.assert_nothing_left()
