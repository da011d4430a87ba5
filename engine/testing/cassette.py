"""Cassettes: exchanges with a real provider, recorded as the bytes came (and played back by ``replay``).

::

    recording = RecordingNetwork(SocketNetwork())
    async with tercet.open_manager(network=recording) as manager:
        ...                                            # asks the real provider
    recording.cassette().save(Path("poem.jsonl"))

    network = ReplayNetwork(Cassette.load(Path("poem.jsonl")))     # later, under MockClock

The file has one JSON object a line. The first is ``{"cassette": 1}``, the version. Every other has ``exchange``, the number of the exchange it
belongs to, ``at``, the seconds since the recording began, and ``what``:

- ``request``: ``connection`` (its number), ``origin``, ``method``, ``target``, ``headers`` (names and values), ``body_bytes`` (its size)
- ``read``: what one read of the connection gave, as ``text`` where it is UTF-8, else as ``base64``
- ``fin`` or ``reset``: the provider closed or broke the connection there; without one of them it stayed open

Secrets cannot get in, by construction:

1. Of a request only the headers in ``SAFE_HEADERS`` and the query values in ``SAFE_QUERY`` are kept, and no body: what is not known to be
   harmless is not written.
2. Of an answer's head the values of headers with ``cookie``, ``auth``, ``key``, ``token`` or ``secret`` in their names are overwritten with ``x``, byte for
   byte, so that every cut stays where it was.
3. Every value that was left out of a request (a key) is overwritten in answers, too, should the provider repeat it.
4. Exchanges whose request is no JSON are not recorded: so tokens are asked for (form-encoded, RFC 6749 section 4.1.3). In JSON answers the values
   of ``access_token`` and its like are overwritten.

3 and 4 find what stands in the answer's bytes in one piece: not inside a compressed body, which whole answers may have. A stream is asked for
uncompressed.

What people asked is not in the file; what the model answered is.
"""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

import h11
import msgspec
import trio

from tercet.adapters.call import Origin
from tercet.codecs.vocabulary import TransportError

from ..runtime.transport.network import BROKEN, Connection, Network

__all__ = [
    "Cassette",
    "CassetteError",
    "RecordedExchange",
    "RecordedRead",
    "RecordingNetwork",
    "safe_target",
]

SAFE_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "anthropic-beta",
        "anthropic-version",
        "content-length",
        "content-type",
        "host",
        "openai-beta",
        "user-agent",
    }
)
"""Headers of requests that are written down; of all others not even the name."""
SAFE_QUERY = frozenset({"alt", "api-version", "beta", "limit", "pageSize"})
"""Query parameters whose values are written down; of all others only the name."""

_BODY_LIMIT = 64 * 1024 * 1024
_SECRET_HEADER = re.compile(rb"^[^:\r\n]*(?:auth|cookie|key|secret|token(?!s))[^:\r\n]*:", re.IGNORECASE)
_SECRET_FIELD = re.compile(
    rb'"(?:access_?token|refresh_?token|id_?token|client_?secret|session_?token|secret_?access_?key|api_?key)"\s*:\s*"((?:[^"\\]|\\.)*)"',
    re.IGNORECASE,
)
_SHORTEST_SECRET = 6
"""Shorter values are no keys; overwriting every "1" of an answer would help nobody."""


class CassetteError(TransportError):
    """A recording that grew past its limit, or a file that is no cassette."""


class RecordedRead(msgspec.Struct, frozen=True):
    """What one read gave, ``at`` seconds after the recording began."""

    at: float
    data: bytes


class RecordedExchange(msgspec.Struct, frozen=True):
    """One request and the reads of its answer. ``end`` is how the provider left the connection."""

    connection: int
    origin: str
    at: float
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body_bytes: int
    reads: tuple[RecordedRead, ...] = ()
    end: Literal["open", "fin", "reset"] = "open"
    ended_at: float = 0.0

    @property
    def answer(self) -> bytes:
        """All bytes of the answer, head and framing included."""
        return b"".join(read.data for read in self.reads)


class Cassette(msgspec.Struct, frozen=True):
    """Exchanges in the order in which they were asked for."""

    exchanges: tuple[RecordedExchange, ...]

    def dumps(self) -> bytes:
        """The file's bytes."""
        lines: list[dict[str, Any]] = [{"cassette": 1}]
        for number, exchange in enumerate(self.exchanges, 1):
            facts = msgspec.to_builtins(exchange)
            kept = ("connection", "origin", "method", "target", "headers", "body_bytes")
            about: dict[str, Any] = {name: facts[name] for name in kept}
            lines.append({"exchange": number, "at": exchange.at, "what": "request", **about})
            lines += (
                {"exchange": number, "at": read.at, "what": "read", **_written(read.data)}
                for read in exchange.reads
            )
            if exchange.end != "open":
                lines.append({"exchange": number, "at": exchange.ended_at, "what": exchange.end})
        return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)

    @staticmethod
    def loads(data: bytes) -> Cassette:
        """A cassette from its file's bytes. Raises :class:`CassetteError` for anything else."""
        try:
            head, *lines = [msgspec.json.decode(line) for line in data.splitlines()]
            if head != {"cassette": 1}:
                raise CassetteError(
                    f'a cassette begins with {{"cassette": 1}}; this file with {str(head)[:60]}'
                )
            found: dict[int, dict[str, Any]] = {}
            for line in lines:
                number, what = line.pop("exchange"), line.pop("what")
                if what == "request":
                    found[number] = {**line, "reads": []}
                elif what == "read":
                    found[number]["reads"].append(RecordedRead(line["at"], _read(line)))
                else:
                    found[number].update(end=what, ended_at=line["at"])
            return Cassette(tuple(msgspec.convert(exchange, RecordedExchange) for exchange in found.values()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CassetteError(f"this is no cassette: {error}") from error

    def save(self, path: Path) -> None:
        """Write the file."""
        path.write_bytes(self.dumps())

    @staticmethod
    def load(path: Path) -> Cassette:
        """Read a file. Raises OSError, or :class:`CassetteError` if it is no cassette."""
        return Cassette.loads(path.read_bytes())


def _written(data: bytes) -> dict[str, str]:
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _read(line: dict[str, Any]) -> bytes:
    text = line.get("text")
    return text.encode() if isinstance(text, str) else base64.b64decode(line["base64"], validate=True)


# ---- recording


class RecordingNetwork:
    """A network that passes everything on to ``network`` and writes down what comes back.

    ``limit`` is in bytes of answers, altogether; past it a read raises :class:`CassetteError`. One exchange after the other on a connection,
    as the transport does it; requests are not pipelined.
    """

    def __init__(self, network: Network, *, limit: int = _BODY_LIMIT) -> None:
        self._network = network
        self._left = limit
        self._numbers = itertools.count(1)
        self._takes: list[_Take] = []
        self._secrets: set[bytes] = set()
        self._began: float | None = None

    def forward_for(self, origin: Origin) -> Any:
        """What the network underneath says."""
        ask = getattr(self._network, "forward_for", None)
        return None if ask is None else ask(origin)

    async def connect(self, origin: Origin) -> Connection:
        """A connection of the network underneath, listened to. Raises and is cancelled as that one is."""
        return _RecordingConnection(self, await self._network.connect(origin), origin, next(self._numbers))

    def cassette(self) -> Cassette:
        """What was recorded until now, without secrets; exchanges that are under way as far as they have come."""
        known = [
            secret
            for secret in sorted(self._secrets, key=len, reverse=True)
            if len(secret) >= _SHORTEST_SECRET
        ]
        return Cassette(tuple(take.exchange(known) for take in self._takes if take.is_kept))

    def now(self) -> float:
        """Seconds since the recording began, with its first request."""
        now = trio.current_time()
        if self._began is None:
            self._began = now
        return now - self._began

    def begin(self, connection: int, origin: Origin) -> _Take:
        """A request begins. Called by the connections."""
        take = _Take(self.now(), connection, origin, self._secrets)
        self._takes.append(take)
        return take

    def count(self, size: int) -> None:
        """So many bytes of an answer have come. Called by the connections."""
        self._left -= size
        if self._left < 0:
            raise CassetteError("the recording has grown past its limit of bytes", retryable=False)


class _Take:
    """One exchange while it is recorded. The request's bytes are read by h11 and thrown away."""

    def __init__(self, at: float, connection: int, origin: Origin, secrets: set[bytes]) -> None:
        self.has_answer: bool = False
        self._at = at
        self._connection = connection
        self._origin = origin
        self._secrets = secrets
        self._reader: h11.Connection | None = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body_bytes = 0
        self._reads: list[RecordedRead] = []
        self._end: Literal["open", "fin", "reset"] = "open"
        self._ended_at = 0.0

    @property
    def is_kept(self) -> bool:
        """Whether it is written down: the request was read, and asks for no token."""
        if self._request is None:
            return False
        types = [value for name, value in self._request.headers if name == b"content-type"]
        return all(value.startswith(b"application/json") for value in types)

    def sent(self, data: bytes) -> None:
        """A piece of the request."""
        if self._reader is None:
            return
        try:
            self._reader.receive_data(data)
            while (event := self._reader.next_event()) is not h11.NEED_DATA and event is not h11.PAUSED:
                if isinstance(event, h11.Request):
                    self._request = event
                    self._secrets.update(_secrets_of(event))
                elif isinstance(event, h11.Data):
                    self._body_bytes += len(event.data)
        except h11.ProtocolError:  # not a request: nothing of it is kept
            self._reader = self._request = None

    def came(self, at: float, data: bytes) -> None:
        """One read of the answer."""
        self.has_answer = True
        self._reads.append(RecordedRead(at, data))

    def ended(self, at: float, how: Literal["fin", "reset"]) -> None:
        """The provider has left."""
        self.has_answer = True
        self._end, self._ended_at = how, at

    def exchange(self, secrets: Iterable[bytes]) -> RecordedExchange:
        """Without secrets."""
        assert self._request is not None
        clean = _cleaned(b"".join(read.data for read in self._reads), secrets)
        ends = list(itertools.accumulate(len(read.data) for read in self._reads))
        reads = (
            RecordedRead(read.at, clean[end - len(read.data) : end])
            for read, end in zip(self._reads, ends, strict=True)
        )
        headers = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in self._request.headers)
        return RecordedExchange(
            self._connection,
            str(self._origin),
            self._at,
            self._request.method.decode("latin-1"),
            safe_target(self._request.target.decode("latin-1")),
            tuple((name, value) for name, value in headers if name in SAFE_HEADERS),
            self._body_bytes,
            tuple(reads),
            self._end,
            self._ended_at,
        )


class _RecordingConnection:
    def __init__(self, network: RecordingNetwork, inner: Connection, origin: Origin, number: int) -> None:
        self._network = network
        self._inner = inner
        self._origin = origin
        self._number = number
        self._take: _Take | None = None

    async def send_all(self, data: bytes) -> None:
        if self._take is None or self._take.has_answer:
            self._take = self._network.begin(self._number, self._origin)
        self._take.sent(bytes(data))
        await self._inner.send_all(data)

    async def receive(self) -> bytes | memoryview:
        try:
            data = await self._inner.receive()
        except BROKEN:
            if self._take is not None:
                self._take.ended(self._network.now(), "reset")
            raise
        if self._take is not None:
            if len(data):
                self._network.count(len(data))
                self._take.came(self._network.now(), bytes(data))
            else:
                self._take.ended(self._network.now(), "fin")
        return data

    def is_stale(self) -> bool:
        return self._inner.is_stale()

    def close(self) -> None:
        self._inner.close()


def _secrets_of(request: h11.Request) -> Iterable[bytes]:
    """The values that are not written down."""
    for name, value in request.headers:
        if name.decode("latin-1") not in SAFE_HEADERS:
            yield value
            yield value.rpartition(b" ")[2]  # behind "Bearer "
    for parameter, raw in _query(request.target.decode("latin-1")):
        if parameter not in SAFE_QUERY:
            yield raw.encode("latin-1")
            yield unquote(raw).encode()


def _query(target: str) -> list[tuple[str, str]]:
    """Names and raw values."""
    query = target.partition("?")[2]
    return [(name, value) for name, _, value in (piece.partition("=") for piece in query.split("&") if piece)]


def safe_target(target: str) -> str:
    """A request's target as it is written down."""
    kept = [f"{name}={value if name in SAFE_QUERY else '[removed]'}" for name, value in _query(target)]
    path = target.partition("?")[0]
    return f"{path}?{'&'.join(kept)}" if kept else path


def _cleaned(answer: bytes, secrets: Iterable[bytes]) -> bytes:
    """The answer with its secrets overwritten, of the same length."""
    clean = bytearray(answer)
    _clean_heads(clean)
    for secret in secrets:
        at = clean.find(secret)
        while at >= 0:
            _overwrite(clean, at, at + len(secret))
            at = clean.find(secret, at)
    for found in _SECRET_FIELD.finditer(bytes(clean)):
        _overwrite(clean, *found.span(1))
    return bytes(clean)


def _clean_heads(answer: bytearray) -> None:
    """Overwrite the secret headers of the answer's head, and of interim answers (1xx) before it."""
    at, is_secret = 0, False
    is_interim = answer.startswith((b"HTTP/1.1 1", b"HTTP/1.0 1"))
    while at < len(answer):
        end = answer.find(b"\n", at)
        end = len(answer) if end < 0 else end
        line = bytes(answer[at:end]).rstrip(b"\r")
        if not line:
            if not is_interim:
                return
            is_interim = answer[end + 1 :].startswith((b"HTTP/1.1 1", b"HTTP/1.0 1"))
        elif line[:1] in b" \t":  # goes on with the header before (RFC 9112, section 5.2)
            if is_secret:
                _overwrite(answer, at + 1, at + len(line))
        else:
            named = _SECRET_HEADER.match(line)
            is_secret = named is not None
            if named is not None:
                _overwrite(answer, at + named.end(), at + len(line))
        at = end + 1


def _overwrite(data: bytearray, start: int, end: int) -> None:
    data[start:end] = b"x" * (end - start)
