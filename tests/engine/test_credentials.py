"""Credentials that are fetched and renewed: once for all who wait, in mid-flight before anything was said, and never shown."""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import trio
import trio.testing

import tercet
from tercet.adapters.auth import Anonymous, Credential, Key
from tercet.adapters.auth.steps import Ask, Exited, Pause, ReadFile, call_to
from tercet.adapters.call import HttpCall
from tercet.engine.runtime.credentials import LoadedCredential
from tercet.engine.runtime.oauth import OAuthFileSource
from tercet.engine.runtime.searching import Searcher, read_small, run_command, write_private
from tercet.engine.runtime.transport import Response, SocketNetwork, Transport
from tercet.engine.testing.server import HttpRequest, Responder, serve_http
from tercet.testing import Fleet, MemoryFleet, MemoryNetwork, SimulatedProvider, say, sweep_cancellation

NOW = 1_759_320_000.0
QWEN = "/h/.qwen/oauth_creds.json"
HOME = {"HOME": "/h"}


def wall() -> float:
    """A wall clock that goes with trio's."""
    return NOW + trio.current_time()


def held(**changes: Any) -> str:
    facts = {
        "access_token": "hush-old",
        "refresh_token": "hush-refresh",
        "token_type": "Bearer",
        "expiry_date": 1000,
    }
    return json.dumps({**facts, **changes})


class Files:
    """Files in memory: a thread would let a clock that jumps run away."""

    def __init__(self, **files: str) -> None:
        self.texts: dict[str, str] = files
        self.is_locked = False
        self.reads = 0

    async def read(self, path: str) -> str:
        self.reads += 1
        await trio.lowlevel.checkpoint()
        if path not in self.texts:
            raise FileNotFoundError(2, "No such file")
        return self.texts[path]

    async def write(self, path: str, text: str) -> None:
        await trio.lowlevel.checkpoint()
        if self.is_locked:
            raise PermissionError(13, "Permission denied")
        self.texts[path] = text


class TokenEndpoint:
    """Gives ``hush-new-1``, ``hush-new-2``, ... to the refresh token it gave last; takes ``delay`` seconds."""

    def __init__(self, *, delay: float = 0.0, lasts: float = 3600.0, rotates: bool = True) -> None:
        self.delay = delay
        self.lasts = lasts
        self.rotates = rotates
        self.refresh_token = "hush-refresh"
        self.asked: list[dict[str, str]] = []

    async def serve(self, stream: trio.abc.Stream) -> None:
        async def service(request: HttpRequest, responder: Responder) -> None:
            fields = dict(parse_qsl(request.body.decode()))
            self.asked.append(fields)
            await trio.sleep(self.delay)
            if fields.get("refresh_token") != self.refresh_token:
                await responder.whole(400, [], b'{"error": "invalid_grant"}')
                return
            number = len(self.asked)
            if self.rotates:
                self.refresh_token = f"hush-refresh-{number}"
            grant = {
                "access_token": f"hush-new-{number}",
                "refresh_token": self.refresh_token,
                "expires_in": self.lasts,
            }
            await responder.whole(200, [("content-type", "application/json")], json.dumps(grant).encode())

        await serve_http(stream, service, lambda status, message: ([], message.encode()))


class World:
    """A provider whose sign-in is Qwen Code's, its token endpoint, its file."""

    def __init__(self, fleet: MemoryFleet, endpoint: TokenEndpoint, files: Files) -> None:
        self.fleet = fleet
        self.endpoint = endpoint
        self.files = files
        self.searcher = Searcher(fleet.network, read=files.read, write=files.write)

    def source(self, **more: Any) -> OAuthFileSource:
        return tercet.oauth_file_source("qwen-code", environ=HOME, searcher=self.searcher, wall=wall, **more)

    @asynccontextmanager
    async def manager(
        self, *, known: tercet.ProviderRegistry | None = None, **more: Any
    ) -> AsyncGenerator[tercet.ProviderManager, None]:
        settings: dict[str, Any] = {
            "environ": {},
            "network": self.fleet.network,
            "random": lambda: 0.5,
            "wall": wall,
            "credentials": {"alder": self.source()},
            **more,
        }
        async with tercet.open_manager(known or registry(self.fleet), **settings) as manager:
            yield manager


def registry(fleet: MemoryFleet, auth: Any = "oauth:qwen-code", **more: Any) -> tercet.ProviderRegistry:
    found = tercet.ProviderRegistry([])
    found.add(
        tercet.Profile(
            id="alder",
            base_url=fleet.base_url("alder"),
            auth=auth,
            catalog="simulated",
            default_model="lorem",
            **more,
        )
    )
    return found


@asynccontextmanager
async def open_world(
    *, keys: set[str] | None, endpoint: TokenEndpoint | None = None, files: Files | None = None
) -> AsyncGenerator[World, None]:
    provider = SimulatedProvider("alder", "openai_chat", say("hello there"), keys=keys)
    endpoint = endpoint or TokenEndpoint()
    async with Fleet(provider).in_memory() as fleet:
        fleet.network.serve("https://chat.qwen.ai", endpoint.serve)
        yield World(fleet, endpoint, files or Files(**{QWEN: held()}))
        assert fleet.network.open_connections == 0


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    """Virtual time that jumps as soon as all tasks wait."""
    return trio.testing.MockClock(autojump_threshold=0)


ASK = tercet.ChatRequest("alder:lorem", "Hello?")


# -- once for all who wait --------------------------------------------------------------------------------------------------


class Loader:
    """Loads a key after ``delay`` seconds, good for ``lasts`` seconds."""

    def __init__(self, *, delay: float = 1.0, lasts: float = 3600.0) -> None:
        self.delay = delay
        self.lasts = lasts
        self.begun = 0
        self.done = 0

    async def __call__(self) -> Credential:
        self.begun += 1
        await trio.sleep(self.delay)
        self.done += 1
        return Key(f"hush-{self.done}", style="bearer", source="test", expires_at=wall() + self.lasts)


async def test_a_hundred_waiters_are_served_by_one_load(autojump_clock: Any) -> None:
    loader = Loader()
    source = LoadedCredential(loader, wall)
    found: list[Credential] = []

    async def wait() -> None:
        found.append(await source.current())

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(wait)
    assert (loader.begun, loader.done) == (1, 1)
    assert len({id(credential) for credential in found}) == 1
    assert len(found) == 100


async def test_when_the_first_waiter_is_cancelled_the_next_takes_over(autojump_clock: Any) -> None:
    loader = Loader()
    source = LoadedCredential(loader, wall)
    found: list[Credential] = []

    async def wait(scope: trio.CancelScope) -> None:
        with scope:
            found.append(await source.current())

    first = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, first)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(99):
            nursery.start_soon(wait, trio.CancelScope())
        await trio.sleep(0.5)
        first.cancel()
    assert (loader.begun, loader.done) == (2, 1)
    assert len(found) == 99


async def test_a_credential_is_loaded_again_before_it_ends_and_after_it_was_refused(
    autojump_clock: Any,
) -> None:
    loader = Loader(lasts=600.0)
    source = LoadedCredential(loader, wall)
    first = await source.current()
    await trio.sleep(400)
    assert await source.current() is first
    await trio.sleep(100)
    second = await source.current()
    assert second is not first
    assert source.invalidate(first)
    assert await source.current() is second
    assert source.invalidate(second)
    assert await source.current() is not second


async def test_a_failed_load_is_tried_again_by_the_next(autojump_clock: Any) -> None:
    failures = [tercet.ConnectError("gone")]

    async def load() -> Credential:
        await trio.lowlevel.checkpoint()
        if failures:
            raise failures.pop()
        return Anonymous()

    source = LoadedCredential(load, wall)
    with pytest.raises(tercet.ConnectError):
        await source.current()
    assert isinstance(await source.current(), Anonymous)


async def test_a_sign_in_is_renewed_once_even_when_whoever_began_is_cancelled(autojump_clock: Any) -> None:
    """The old refresh token is used up with the first request: a second one would end the sign-in."""
    async with open_world(keys=None, endpoint=TokenEndpoint(delay=2.0)) as world:
        source = world.source()
        found: list[Credential] = []

        async def wait(scope: trio.CancelScope) -> None:
            with scope:
                found.append(await source.current())

        first = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, first)
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(99):
                nursery.start_soon(wait, trio.CancelScope())
            await trio.sleep(1.0)
            first.cancel()
        assert len(world.endpoint.asked) == 1
        assert len(found) == 100  # the renewal was finished before its task was cancelled
        assert {credential.expires_at for credential in found} == {NOW + 3600}
        kept = json.loads(world.files.texts[QWEN])
        assert (kept["access_token"], kept["refresh_token"]) == ("hush-new-1", "hush-refresh-1")
        assert kept["expiry_date"] == (NOW + 3600) * 1000


async def test_a_token_endpoint_that_says_nothing_is_left(autojump_clock: Any) -> None:
    async with open_world(keys=None, endpoint=TokenEndpoint(delay=1e6)) as world:
        with pytest.raises(tercet.DeadlineError, match=r"chat\.qwen\.ai"):
            await world.source().current()
        assert trio.current_time() == 10.0


async def test_cancelled_at_any_point_a_sign_in_is_not_lost(autojump_clock: Any) -> None:
    """What the file has is always what the endpoint will take, although each renewal uses the old token up."""
    async with open_world(keys=None, endpoint=TokenEndpoint(delay=0.1)) as world:

        async def run() -> None:
            await world.source().current()

        def check() -> None:
            assert json.loads(world.files.texts[QWEN])["refresh_token"] == world.endpoint.refresh_token
            assert world.fleet.network.open_connections == 0
            world.files.texts[QWEN] = held(refresh_token=world.endpoint.refresh_token)

        assert await sweep_cancellation(run, check=check, every_task=True) > 10


# -- in mid-flight ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_token_that_ends_in_mid_flight_is_renewed_and_the_attempt_repeated(
    autojump_clock: Any, streamed: bool
) -> None:
    """401 before anything was said: one renewal, one repetition, and the caller sees one whole answer of one attempt."""
    files = Files(**{QWEN: held(expiry_date=(NOW + 3000) * 1000)})
    async with open_world(keys={"hush-new-1"}, files=files) as world:
        async with world.manager() as manager:
            if streamed:
                async with manager.chat_stream(ASK) as stream:
                    tokens = [token async for token in stream]
                assert stream.attempts == ()
                answer = tercet.fold(tokens)
            else:
                answer = await manager.chat(ASK)
            assert answer.text == "hello there"
            assert (await manager.chat(ASK)).text == "hello there"
        assert len(world.endpoint.asked) == 1
        assert len(world.fleet["alder"].requests) == 3


async def test_a_hundred_requests_refused_together_renew_once(autojump_clock: Any) -> None:
    files = Files(**{QWEN: held(expiry_date=(NOW + 3000) * 1000)})
    async with open_world(keys={"hush-new-1"}, files=files, endpoint=TokenEndpoint(delay=0.5)) as world:
        async with world.manager() as manager:
            answers: list[str] = []

            async def ask() -> None:
                answers.append((await manager.chat(ASK)).text)

            async with trio.open_nursery() as nursery:
                for _ in range(100):
                    nursery.start_soon(ask)
        assert answers == ["hello there"] * 100
        assert len(world.endpoint.asked) == 1


async def test_a_token_that_is_refused_twice_is_an_error_after_one_renewal(autojump_clock: Any) -> None:
    files = Files(**{QWEN: held(expiry_date=(NOW + 3000) * 1000)})
    async with open_world(keys={"another"}, files=files) as world:
        async with world.manager() as manager:
            with pytest.raises(tercet.AuthenticationError) as caught:
                await manager.chat(ASK)
        assert (len(world.endpoint.asked), len(world.fleet["alder"].requests)) == (1, 2)
        assert "hush" not in f"{caught.value!r}{caught.value.body}{caught.value.facts()}"


async def test_lists_of_models_renew_too(autojump_clock: Any) -> None:
    files = Files(**{QWEN: held(expiry_date=(NOW + 3000) * 1000)})
    async with open_world(keys={"hush-new-1"}, files=files) as world:
        async with world.manager() as manager:
            assert [model.id for model in await manager.list_models("alder")] == ["simulated"]
        assert len(world.endpoint.asked) == 1


async def test_a_sign_in_that_has_ended_says_so_and_nothing_is_sent(autojump_clock: Any) -> None:
    async with open_world(keys=None, files=Files(**{QWEN: held(refresh_token="hush-used-up")})) as world:
        async with world.manager() as manager:
            with pytest.raises(tercet.AuthenticationError, match="invalid_grant") as caught:
                await manager.chat(ASK)
            assert caught.value.provider == "alder"
        assert world.fleet["alder"].requests == []


async def test_where_no_credentials_are_found_the_next_target_answers(autojump_clock: Any) -> None:
    """And the search is not made again for each request: the key is parked like a refused one."""
    async with open_world(keys={"the-key"}, files=Files()) as world:
        known = registry(world.fleet)
        known.add(tercet.Profile(id="birch", base_url=world.fleet.base_url("alder"), catalog="simulated"))
        async with world.manager(known=known, keys={"birch": "the-key"}) as manager:
            for _ in range(3):
                answer = await manager.chat(ASK, fallbacks=["birch:lorem"])
                assert answer.provider == "birch"
            with pytest.raises(tercet.AuthenticationError, match="no sign-in of qwen-code") as caught:
                await manager.chat(ASK)
            assert caught.value.code == "no_credentials"
        assert world.files.reads == 1


async def test_the_row_says_where_credentials_are_looked_for() -> None:
    """No key is asked for beforehand; a key that is given wins. On the real clock: it reads real files."""
    async with open_world(keys=None) as world:
        async with world.manager(credentials=None, environ={"HOME": "/nowhere"}) as manager:
            with pytest.raises(
                tercet.AuthenticationError, match=r"no sign-in of qwen-code at /nowhere/\.qwen"
            ):
                await manager.chat(ASK)
        async with world.manager(credentials=None, environ={}, keys={"alder": "hush-key"}) as manager:
            assert (await manager.chat(ASK)).text == "hello there"
        assert world.endpoint.asked == []


# -- other kinds ------------------------------------------------------------------------------------------------------------


class Spy:
    """Sends, and remembers the calls."""

    def __init__(self, fleet: MemoryFleet) -> None:
        self.transport = Transport(fleet.network)
        self.calls: list[HttpCall] = []

    async def send(
        self, call: HttpCall, *, connect_timeout: float = 10.0, accept_encoding: str = "identity"
    ) -> Response:
        self.calls.append(call)
        return await self.transport.send(
            call, connect_timeout=connect_timeout, accept_encoding=accept_encoding
        )


async def sent_with(
    environ: Mapping[str, str], auth: Any, credentials: Any = None, **more: Any
) -> tuple[HttpCall, Spy]:
    async with open_world(keys=None) as world:
        spy = Spy(world.fleet)
        settings: dict[str, Any] = {
            "environ": environ,
            "network": world.fleet.network,
            "senders": {"alder": spy},
            "wall": wall,
        }
        async with tercet.open_manager(
            registry(world.fleet, auth, **more), credentials=credentials, **settings
        ) as manager:
            assert (await manager.chat(ASK)).text == "hello there"
        spy.transport.close()
        return spy.calls[-1], spy


AWS = {"AWS_ACCESS_KEY_ID": "AKIAHUSH", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_REGION": "eu-west-1"}


async def test_a_row_that_signs_finds_keys_in_the_environment(autojump_clock: Any) -> None:
    call, _ = await sent_with({**AWS, "AWS_SESSION_TOKEN": "hush-session"}, "aws")
    headers = dict(call.headers)
    assert headers["authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKIAHUSH/20251001/eu-west-1/bedrock/aws4_request, "
    )
    assert headers["x-amz-security-token"] == "hush-session"
    assert headers["x-amz-date"] == "20251001T120000Z"


class Deaf:
    """Remembers the calls, and cannot send them."""

    def __init__(self) -> None:
        self.calls: list[HttpCall] = []

    async def send(
        self, call: HttpCall, *, connect_timeout: float = 10.0, accept_encoding: str = "identity"
    ) -> Response:
        self.calls.append(call)
        await trio.lowlevel.checkpoint()
        raise tercet.ConnectError("nobody is there", retryable=False)


async def test_the_row_of_bedrock_signs_for_its_own_region(autojump_clock: Any) -> None:
    deaf = Deaf()
    async with tercet.open_manager(environ=AWS, senders={"bedrock": deaf}, wall=wall) as manager:
        with pytest.raises(tercet.ConnectError):
            await manager.chat(tercet.ChatRequest("bedrock:anthropic.claude-x-v1:0", "Hello?"))
    [call] = deaf.calls
    assert call.origin.host == "bedrock-runtime.eu-west-1.amazonaws.com"
    assert "/20251001/eu-west-1/bedrock/aws4_request" in dict(call.headers)["authorization"]


def test_metadata_services_are_asked_around_the_proxy() -> None:
    searcher = Searcher(environ={"http_proxy": "http://proxy.example:3128"})
    call = call_to("GET", "http://169.254.169.254/latest/api/token")
    straight = searcher._network_for(Ask(call, 1.0, is_direct=True))
    usual = searcher._network_for(Ask(call, 1.0))
    assert isinstance(straight, SocketNetwork)
    assert isinstance(usual, SocketNetwork)
    assert straight.forward_for(call.origin) is None
    assert usual.forward_for(call.origin) is not None


async def test_an_api_key_for_bedrock_wins_and_needs_no_signature(autojump_clock: Any) -> None:
    environ = {**AWS, "AWS_BEARER_TOKEN_BEDROCK": "hush-bearer"}
    call, _ = await sent_with(environ, "aws", key_env=("AWS_BEARER_TOKEN_BEDROCK",))
    headers = dict(call.headers)
    assert headers["authorization"] == "Bearer hush-bearer"
    assert "x-amz-date" not in headers


async def test_what_the_program_gives_goes_before_keys_and_environment(autojump_clock: Any) -> None:
    given = tercet.aws_source(
        access_key="AKIAGIVEN", secret_key="hush", region="us-west-2", environ={}, wall=wall
    )
    call, _ = await sent_with({**AWS, "SOME_KEY": "hush"}, "aws", {"alder": given}, key_env=("SOME_KEY",))
    assert "Credential=AKIAGIVEN/20251001/us-west-2/bedrock/" in dict(call.headers)["authorization"]
    with pytest.raises(tercet.ConfigurationError, match="go together"):
        tercet.aws_source(access_key="AKIA")


async def test_long_term_keys_are_not_tried_again_at_once(autojump_clock: Any) -> None:
    source = tercet.aws_source(environ=AWS, wall=wall)
    credential = await source.current()
    assert not source.invalidate(credential)
    assert await source.current() is not credential


async def test_google_finds_its_metadata_server(autojump_clock: Any) -> None:
    async with open_world(keys={"ya29.hush"}) as world:

        async def metadata(stream: trio.abc.Stream) -> None:
            async def service(request: HttpRequest, responder: Responder) -> None:
                assert request.header("metadata-flavor") == "Google"
                await responder.whole(
                    200, [("metadata-flavor", "Google")], b'{"access_token": "ya29.hush", "expires_in": 900}'
                )

            await serve_http(stream, service, lambda status, message: ([], message.encode()))

        world.fleet.network.serve("http://metadata.google.internal", metadata)
        async with tercet.open_manager(
            registry(world.fleet, "google"), environ={}, network=world.fleet.network, wall=wall
        ) as manager:
            assert (await manager.chat(ASK)).text == "hello there"
        info = tercet.google_source(info='{"type": "external_account"}', environ={})
        with pytest.raises(tercet.AuthenticationError, match="'external_account'"):
            await info.current()


async def test_a_program_gives_tokens_such_as_entras(autojump_clock: Any) -> None:
    given: list[str] = []

    async def provide() -> str:
        await trio.sleep(1)
        given.append(f"hush-entra-{len(given)}")
        return given[-1]

    source = tercet.token_source(provide, wall=wall)
    call, _ = await sent_with({}, "api-key", {"alder": source})
    assert dict(call.headers)["authorization"] == "Bearer hush-entra-0"
    await source.current()
    assert len(given) == 1
    await trio.sleep(301)
    await source.current()
    assert len(given) == 2

    async def with_end() -> tuple[str, float]:
        await trio.lowlevel.checkpoint()
        return "hush-entra", NOW + 10_000

    credential = await tercet.token_source(with_end, wall=wall).current()
    assert credential.expires_at == NOW + 10_000
    call, _ = await sent_with({}, "api-key", None, key_env=("K",), key_required=False)
    assert "authorization" not in dict(call.headers)


async def test_no_instance_metadata_costs_a_second(autojump_clock: Any) -> None:
    async with MemoryNetwork() as network:
        network.dead_hosts.add("169.254.169.254")
        source = tercet.aws_source(environ={}, searcher=Searcher(network), wall=wall)
        with pytest.raises(tercet.AuthenticationError, match="no AWS credentials were found"):
            await source.current()
        assert trio.current_time() == 1.0


# -- the machine ------------------------------------------------------------------------------------------------------------


async def test_a_file_is_put_back_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "creds.json"
    await write_private(str(path), "one")
    path.chmod(0o644)
    await write_private(str(path), "two \N{PARTY POPPER}")
    assert await read_small(str(path)) == "two \N{PARTY POPPER}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["creds.json"]
    link = tmp_path / "link.json"
    link.symlink_to(path)
    await write_private(str(link), "three")
    assert link.is_symlink()
    assert path.read_text() == "three"


@pytest.mark.parametrize("fails", ["fsync", "replace"])
async def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    path = tmp_path / "creds.json"
    path.write_text("old")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if fails == "fsync" else Path, fails, full)
    with pytest.raises(OSError, match="No space"):
        await write_private(str(path), "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["creds.json"]


async def test_the_whole_way_with_a_real_file(tmp_path: Path) -> None:
    """Read, renewed over HTTP, put back with what else was in it."""
    path = tmp_path / ".qwen" / "oauth_creds.json"
    path.parent.mkdir()
    path.write_text(held(note="kept"))
    async with open_world(keys=None) as world:
        searcher = Searcher(world.fleet.network)
        source = tercet.oauth_file_source(
            "qwen-code", environ={"HOME": str(tmp_path)}, searcher=searcher, wall=lambda: NOW
        )
        credential = await source.current()
    assert credential.source == str(path)
    kept = json.loads(path.read_text())
    assert (kept["access_token"], kept["note"], kept["expiry_date"]) == (
        "hush-new-1",
        "kept",
        (NOW + 3600) * 1000,
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_files_that_are_no_credentials(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"x" * (1024 * 1024 + 1))
    with pytest.raises(OSError, match="larger than"):
        await read_small(str(big))
    with pytest.raises(OSError, match="no path"):
        await read_small("/a\0b")
    marked = tmp_path / "marked"
    marked.write_bytes(b"\xef\xbb\xbf{}")
    assert await read_small(str(marked)) == "{}"


async def test_commands_run_in_the_shell_with_limits() -> None:
    assert await run_command("printf a | tr a b; exit 3", 60.0) == Exited(3, b"b")
    assert (await run_command("cat; echo hush >&2", 60.0)).stdout == b""
    with pytest.raises(tercet.ProtocolError, match="more than"):
        await run_command("yes hush", 60.0)
    with pytest.raises(tercet.DeadlineError, match="did not end within 0 s"):
        await run_command("sleep 100", 0.0)
    with trio.CancelScope() as scope:
        scope.cancel()
        await run_command("sleep 100", 60.0)
    assert scope.cancelled_caught


async def test_a_search_is_told_of_failures_and_closed_when_cancelled(autojump_clock: Any) -> None:
    closed: list[str] = []

    def search() -> Any:
        try:
            try:
                yield ReadFile("/none")
            except FileNotFoundError:
                closed.append("no file")
            yield Pause(1e9)
        finally:
            closed.append("closed")

    files = Files()
    with trio.move_on_after(1) as scope:
        await Searcher(MemoryNetwork(), read=files.read).run(search())
    assert scope.cancelled_caught
    assert closed == ["no file", "closed"]


async def test_an_answer_has_a_limit(autojump_clock: Any) -> None:
    async def endless(stream: trio.abc.Stream) -> None:
        async def service(request: HttpRequest, responder: Responder) -> None:
            await responder.whole(200, [], b"x" * (1024 * 1024 + 1))

        await serve_http(stream, service, lambda status, message: ([], message.encode()))

    def search() -> Any:
        yield Ask(call_to("GET", "http://x.example/"), 60.0)

    async with MemoryNetwork() as network:
        network.serve("http://x.example", endless)
        with pytest.raises(tercet.ProtocolError, match="larger than"):
            await Searcher(network).run(search())


# -- nothing is shown -------------------------------------------------------------------------------------------------------


async def test_no_secret_in_logs_reprs_or_errors(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The file cannot be written, the token is refused, the sign-in ends: everything that is said about it is searched."""
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    files = Files(**{QWEN: held(expiry_date=(NOW + 3000) * 1000)})
    files.is_locked = True
    async with open_world(keys={"hush-new-1"}, files=files) as world:
        source = world.source()
        async with world.manager(credentials={"alder": source}) as manager:
            assert (await manager.chat(ASK)).text == "hello there"
            credential = await source.current()
            said += [repr(credential), repr(source), repr(manager), credential.source]
            world.fleet["alder"].keys = frozenset()
            world.endpoint.refresh_token = "gone"
            with pytest.raises(tercet.TercetError) as caught:
                await manager.chat(ASK)
            errors: list[BaseException] = [caught.value]
            while errors:
                error = errors.pop()
                said += [repr(error), str(error), repr(vars(error))]
                errors += [other for other in (error.__cause__, error.__context__) if other is not None]
    assert any("kept in memory alone" in record.message for record in caplog.records)
    said += [record.getMessage() + repr(record.args) for record in caplog.records]
    assert not any("hush" in text for text in said)
