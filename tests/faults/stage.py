"""The stage on which the rows of the fault catalogue are played: a server that does as it is told, a manager that asks it.

An :class:`Actor` serves one provider's connections. A *play* is what it does with one request: bytes to send, pauses, an end, or any
async function; its n-th request gets the n-th play, and the last one again and again. The same plays run in two worlds:

- ``memory``: the in-memory network in virtual time, which jumps whenever all tasks wait (``MockClock`` with ``autojump_threshold=0``);
- ``sockets``: TCP on the loopback. Its clock stands still and is moved by the server's own task, by exactly what the play says and
  only when every task waits and the kernel has nothing to deliver. Nothing sleeps, and nothing depends on how fast the machine is.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import trio
import trio.testing

import tercet
from tercet.adapters.call import Origin
from tercet.engine.runtime.transport import Network, SocketNetwork, proxies_from_environ
from tercet.engine.testing.server import reset_on_close
from tercet.testing import End, MemoryNetwork

__all__ = [
    "AFTER_THE_FIRST_TOKEN",
    "KEYS",
    "Actor",
    "NetworkFault",
    "Over",
    "Pause",
    "Play",
    "RawServer",
    "Reads",
    "Scene",
    "World",
    "open_world",
    "read_request",
]

Over = Literal["memory", "sockets"]
KEYS = {"alder": "sk-alder-key-123456", "birch": "birch-key-123456"}
CLOCKS = tercet.Clocks(connect=2.0, first_content=3.0, idle=2.0, whole=4.0)
_MOST_TICKS = 10_000
_PATIENCE = 5.0


@dataclass(frozen=True)
class Pause:
    """So many seconds pass."""

    seconds: float


@dataclass(frozen=True)
class Reads:
    """First in a play: the server reads only so many bytes of the request before it goes on."""

    count: int


class _Mark:
    pass


AFTER_THE_FIRST_TOKEN = _Mark()
"""In a play: wait until the client's consumer has its first token of content."""

Step = bytes | Pause | Reads | End | _Mark | Callable[["Scene"], Awaitable[None]]
Play = Sequence[Step]


class Time:
    """How time passes in a world."""

    def __init__(self, clock: trio.testing.MockClock, over: Over) -> None:
        self._clock = clock
        self._over = over

    async def pass_by(self, seconds: float) -> None:
        """Let so many seconds pass."""
        if self._over == "memory":
            await trio.sleep(seconds)
        else:
            await trio.testing.wait_all_tasks_blocked()
            self._clock.jump(seconds)
            await trio.lowlevel.checkpoint()

    async def until(self, happened: Callable[[], Awaitable[object]]) -> None:
        """Let time pass until ``happened`` returns."""
        if self._over == "memory":
            await happened()
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.tick)
            await happened()
            nursery.cancel_scope.cancel()

    async def tick(self) -> None:
        """Let time pass, a quarter of a second whenever everybody waits."""
        for _ in range(_MOST_TICKS):
            await self.pass_by(0.25)
        raise AssertionError("the client waits for ever")


@dataclass
class Scene:
    """What a play's function may use: the connection, the time, the client's progress."""

    stream: Any
    time: Time
    world: World


class Actor:
    """Serves the connections of one provider by its plays."""

    def __init__(self, plays: Sequence[Play]) -> None:
        self.plays = list(plays)
        self.requests: list[bytes] = []
        self.connections = 0
        self.world: World | None = None

    async def serve(self, stream: Any) -> None:
        """One connection, to its end."""
        self.connections += 1
        try:
            while True:
                begin = self._next()[:1]
                request = await read_request(
                    stream, begin[0].count if begin and isinstance(begin[0], Reads) else None
                )
                if request is None:
                    return
                play = self._next()  # it may be another one by now
                self.requests.append(request)
                if not await self._play(play, stream):
                    return
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has gone
        finally:
            await trio.aclose_forcefully(stream)

    def _next(self) -> Play:
        return self.plays[min(len(self.requests), len(self.plays) - 1)]

    async def _play(self, play: Play, stream: Any) -> bool:
        """Act; whether the connection goes on."""
        world = self.world
        assert world is not None
        for step in play:
            match step:
                case bytes():
                    await stream.send_all(step)
                case Pause(seconds):
                    await world.time.pass_by(seconds)
                case End(how):
                    await self._end(how, stream, world)
                    return False
                case Reads():
                    pass
                case _Mark():
                    await world.said.wait()
                case _:
                    await step(Scene(stream, world.time, world))
        return True

    async def _end(self, how: str, stream: Any, world: World) -> None:
        async def client_leaves() -> None:
            while await stream.receive_some():
                pass

        if how == "reset":
            reset_on_close(getattr(stream, "transport_stream", stream))
            await trio.aclose_forcefully(stream)
        elif how == "stall":
            await world.time.until(client_leaves)
        else:
            if isinstance(stream, trio.abc.HalfCloseableStream):
                await stream.send_eof()
                await client_leaves()  # closing with unread bytes would reset the connection
            await trio.aclose_forcefully(stream)


async def read_request(stream: Any, limit: int | None) -> bytes | None:
    """One request, head and body; at least ``limit`` bytes of it where that is given. None if the client has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        if limit is not None and len(data) >= limit:
            return data
        chunk = bytes(await stream.receive_some())
        if not chunk:
            return None
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    pieces = [body]
    missing = length - len(body)
    while missing > 0 and (limit is None or len(data) < limit):
        chunk = bytes(await stream.receive_some())
        if not chunk:
            return None
        pieces.append(chunk)
        missing -= len(chunk)
    return head + b"\r\n\r\n" + b"".join(pieces)


@dataclass
class World:
    """A manager, and two providers: ``alder``, at which things go wrong, and ``birch``."""

    over: Over
    time: Time
    alder: Actor
    birch: Actor
    said: trio.Event = field(default_factory=trio.Event)
    manager: Any = None
    memory: MemoryNetwork | None = None
    urls: dict[str, str] = field(default_factory=dict)
    cut: trio.Event = field(default_factory=trio.Event)

    @property
    def lane(self) -> Any:
        """alder's lane."""
        return self.manager._roster.lanes["alder"]

    @property
    def transport(self) -> Any:
        """The transport."""
        return self.manager._roster._transport

    def ask(self, **fields: Any) -> tercet.ChatRequest:
        """A request for alder."""
        self.said = trio.Event()
        return tercet.ChatRequest("alder:lorem", fields.pop("text", "Hi."), **fields)

    async def assert_nothing_left(self) -> None:
        """Permits, passes, places and connections have come back."""
        await trio.testing.wait_all_tasks_blocked()
        now = trio.current_time()
        assert self.manager._gate.inside == 0
        assert self.manager._streams == set()
        for lane in self.manager._roster.lanes.values():
            assert (lane.in_flight, lane.queued) == (0, 0), lane.id
            assert lane.breaker.snapshot(now).probes == 0
            for slot in lane.slots:
                held = slot.limiter.snapshot(now)
                assert held.in_flight == 0
                assert held.reserved == held.settled + held.cancelled
        counts = self.transport.statistics()
        assert counts.open == counts.idle, "a connection is open that is not an idle one"


RawServer = Callable[["World", trio.SocketStream], Awaitable[None]]
"""Serves one connection from its first byte, without the actor's help."""
NetworkFault = Callable[[World, Origin], Awaitable[None]]
"""Stands in front of connecting to alder: raises, hangs, or lets it go on."""


class _Faulty:
    """A network on which connecting to alder may go wrong."""

    def __init__(self, inner: Network, fault: NetworkFault, world: World) -> None:
        self._inner = inner
        self._fault = fault
        self._world = world

    async def connect(self, origin: Origin) -> Any:
        if str(origin) == self._world.urls["alder"]:
            await self._fault(self._world, origin)
        return await self._inner.connect(origin)


@asynccontextmanager
async def open_world(
    over: Over,
    clock: trio.testing.MockClock,
    alder: Sequence[Play],
    birch: Sequence[Play],
    *,
    wire: str = "openai_chat",
    dialect: dict[str, Any] | None = None,
    profile: dict[str, Any] | None = None,
    fault: NetworkFault | None = None,
    tls: ssl.SSLContext | None = None,
    trust: ssl.SSLContext | None = None,
    raw: RawServer | None = None,
    raw_times: int = 1_000_000,
    proxy: RawServer | None = None,
    ticks: bool = False,
    **settings: Any,
) -> AsyncGenerator[World, None]:
    """A world in which alder and birch play these plays.

    ``ticks``: time passes by itself, as it always does in memory. ``fault`` stands in front of connecting to alder. Over sockets only: ``tls`` is alder's server context, ``trust`` what the client trusts;
    ``raw`` serves alder's first ``raw_times`` connections, from their first byte; ``proxy`` serves as the proxy for https. ``settings`` go to ``open_manager``.
    """
    world = World(over, Time(clock, over), Actor(alder), Actor(birch))
    world.alder.world = world.birch.world = world
    ticks = ticks and over == "sockets"
    served = _in_memory(world) if over == "memory" else _on_loopback(world, tls, trust, raw, raw_times, proxy)
    async with served as network:
        registry = tercet.ProviderRegistry([])
        for name in ("alder", "birch"):
            is_alder = name == "alder"
            registry.add(
                tercet.Profile(
                    id=name,
                    base_url=world.urls[name],
                    wire=wire if is_alder else "openai_chat",
                    dialect=(dialect or {}) if is_alder else {},
                    catalog="simulated",
                    **((profile or {}) if is_alder else {}),
                )
            )
        options: dict[str, Any] = {
            "keys": KEYS,
            "environ": {},
            "network": network if fault is None else _Faulty(network, fault, world),
            "clocks": CLOCKS,
            # on the loopback the clock moves only where a play says so: no pause between two attempts
            "random": (lambda: 0.5) if over == "memory" else (lambda: 0.0),
            "drain_within": 0.0,
        }
        async with tercet.open_manager(registry, **{**options, **settings}) as world.manager:
            async with trio.open_nursery() as nursery:
                if ticks:
                    nursery.start_soon(world.time.tick)
                yield world
                nursery.cancel_scope.cancel()
    if world.memory is not None:
        assert world.memory.open_connections == 0


@asynccontextmanager
async def _in_memory(world: World) -> AsyncGenerator[Network, None]:
    async with MemoryNetwork() as network:
        world.memory = network
        for name, actor in (("alder", world.alder), ("birch", world.birch)):
            world.urls[name] = f"http://{name}.test"
            network.serve(world.urls[name], actor.serve)
        yield network


@asynccontextmanager
async def _on_loopback(
    world: World,
    tls: ssl.SSLContext | None,
    trust: ssl.SSLContext | None,
    raw: RawServer | None,
    raw_times: int,
    proxy: RawServer | None,
) -> AsyncGenerator[Network, None]:
    async with trio.open_nursery() as nursery:
        for name, actor in (("alder", world.alder), ("birch", world.birch)):
            [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = listener.socket.getsockname()[1]
            serve: Callable[[trio.SocketStream], Awaitable[None]] = actor.serve
            world.urls[name] = f"http://127.0.0.1:{port}"
            if name == "alder" and tls is not None:
                world.urls[name] = f"https://localhost:{port}"
                serve = _secured(actor, tls)
            if name == "alder" and raw is not None:
                serve = _raw_first(world, raw, raw_times, serve)
            nursery.start_soon(trio.serve_listeners, serve, [listener])

        proxies = None
        if proxy is not None:
            [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = listener.socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, _raw_first(world, proxy), [listener])
            proxies = proxies_from_environ({"https_proxy": f"http://user:proxy-secret@127.0.0.1:{port}"})

        async def loopback(host: str, port: int) -> list[Any]:
            return [(trio.socket.AF_INET, ("127.0.0.1", port))]

        nursery.start_soon(_watch)
        yield SocketNetwork(ssl_context=trust, resolver=loopback, proxies=proxies)
        nursery.cancel_scope.cancel()


async def _watch() -> None:
    """The clock stands still, so a fault that nobody notices would be waited for without end."""
    await trio.testing.wait_all_tasks_blocked(cushion=_PATIENCE)
    raise AssertionError("everybody waits, and nothing will happen any more")


def _secured(actor: Actor, context: ssl.SSLContext) -> Callable[[trio.SocketStream], Awaitable[None]]:
    async def serve(stream: trio.SocketStream) -> None:
        secured = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        try:
            await secured.do_handshake()
        except trio.BrokenResourceError:
            await trio.aclose_forcefully(stream)
        else:
            await actor.serve(secured)

    return serve


def _raw_first(
    world: World,
    raw: RawServer,
    times: int = 1_000_000,
    otherwise: Callable[[trio.SocketStream], Awaitable[None]] | None = None,
) -> Callable[[trio.SocketStream], Awaitable[None]]:
    count = 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal count
        count += 1
        if otherwise is not None and count > times:
            await otherwise(stream)
            return
        try:
            await raw(world, stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has gone
        finally:
            await trio.aclose_forcefully(stream)

    return serve
