"""``ReplayNetwork``: a cassette played back, in virtual time, whole or cut anew or broken off.

::

    network = ReplayNetwork(Cassette.load(Path("poem.jsonl")), cut_at=77, end=End("reset"), end_at=500)
    async with tercet.open_manager(network=network, keys=...) as manager:
        ...                                            # any key will do
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import h11
import trio

from tercet.adapters.call import Origin
from tercet.codecs.vocabulary import ConnectError

from ..runtime.transport.network import Connection
from .cassette import Cassette, RecordedExchange, RecordedRead, safe_target
from .exchange import End, UnexpectedRequestError
from .network import origin_of

__all__ = ["ReplayNetwork"]


class ReplayNetwork:
    """A network that answers as recorded: the n-th request for a method and target of an origin gets the n-th answer recorded for it.

    ``times`` stretches the recorded waits (0: none at all). ``piece_size`` cuts the answers anew, into reads of so many bytes; ``cut_at`` makes a cut
    before that byte of every answer, so a loop over it cuts everywhere. ``end`` breaks each answer off before its byte ``end_at``, as a provider
    does that closes, resets or falls silent there. A request that was not recorded, or once too often, raises :class:`UnexpectedRequestError`;
    an origin that was not recorded raises :class:`ConnectError`, as a name that nobody knows.
    """

    def __init__(
        self,
        cassette: Cassette,
        *,
        times: float = 1.0,
        piece_size: int | None = None,
        cut_at: int | None = None,
        end: End | None = None,
        end_at: int = 0,
    ) -> None:
        """Raises ValueError for a negative place or size."""
        if (
            not 0 <= times < math.inf
            or (piece_size is not None and piece_size < 1)
            or (cut_at or 0) < 0
            or end_at < 0
        ):
            raise ValueError(
                f"times, cut_at and end_at are at least 0, piece_size at least 1; got {times}, {cut_at}, {end_at}, {piece_size}"
            )
        self._waiting = list(cassette.exchanges)
        self._origins = {origin_of(exchange.origin) for exchange in cassette.exchanges}
        self._times = times
        self._piece_size = piece_size
        self._cut_at = cut_at
        self._end = end
        self._end_at = end_at

    @property
    def is_used_up(self) -> bool:
        """Whether every exchange was played."""
        return not self._waiting

    async def connect(self, origin: Origin) -> Connection:
        """A connection to the cassette; takes no time."""
        await trio.lowlevel.checkpoint()
        if origin not in self._origins:
            raise ConnectError(f"the cassette has nothing from {origin}", phase="dns")
        return _ReplayConnection(self, origin)

    def find(self, origin: Origin, request: h11.Request) -> list[RecordedRead | End]:
        """What comes for a request, at which seconds after it. Called by the connections."""
        method, target = request.method.decode("latin-1"), safe_target(request.target.decode("latin-1"))
        for exchange in self._waiting:
            if (origin_of(exchange.origin), exchange.method, exchange.target) == (origin, method, target):
                self._waiting.remove(exchange)
                return self._played(exchange)
        raise UnexpectedRequestError(
            f"the cassette has no (further) answer to {method} {origin}{target}", b""
        )

    def _played(self, exchange: RecordedExchange) -> list[RecordedRead | End]:
        reads = [
            RecordedRead((read.at - exchange.at) * self._times, read.data)
            for read in _recut(exchange.reads, self._piece_size, self._cut_at)
        ]
        if self._end is not None and self._end_at <= len(exchange.answer):
            return [*_recut(_until(reads, self._end_at), None, None), self._end]
        last: list[RecordedRead | End] = [] if exchange.end == "open" else [End(exchange.end)]
        return [*reads, *last]


def _until(reads: Sequence[RecordedRead], size: int) -> list[RecordedRead]:
    """The reads of the first ``size`` bytes."""
    kept: list[RecordedRead] = []
    for read in reads:
        kept.append(RecordedRead(read.at, read.data[:size]))
        size -= len(read.data)
        if size <= 0:
            break
    return kept


def _recut(reads: Sequence[RecordedRead], piece_size: int | None, cut_at: int | None) -> list[RecordedRead]:
    """The same bytes in other pieces; each piece comes when its last byte did. None is empty."""
    ends = list(itertools.accumulate(len(read.data) for read in reads))
    whole = b"".join(read.data for read in reads)
    cuts = set(ends) if piece_size is None else set(range(piece_size, len(whole), piece_size)) | {len(whole)}
    if cut_at is not None and 0 < cut_at < len(whole):
        cuts.add(cut_at)
    cut: list[RecordedRead] = []
    start, number = 0, 0
    for end in sorted(cuts - {0}):
        while ends[number] < end:
            number += 1
        cut.append(RecordedRead(reads[number].at, whole[start:end]))
        start = end
    return cut


class _ReplayConnection:
    def __init__(self, network: ReplayNetwork, origin: Origin) -> None:
        self._network = network
        self._origin = origin
        self._reader = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._coming: list[RecordedRead | End] = []
        self._asked_at = 0.0
        self._news = trio.Event()
        self._is_closed = False

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self._check_open()
        self._reader.receive_data(bytes(data))
        while (event := self._reader.next_event()) is not h11.NEED_DATA and event is not h11.PAUSED:
            if isinstance(event, h11.Request):
                self._request = event
            elif isinstance(event, h11.EndOfMessage):
                assert self._request is not None
                self._coming = self._network.find(self._origin, self._request)
                self._asked_at = trio.current_time()
                self._reader = h11.Connection(h11.SERVER)  # ready for the next request
                self._wake()
                break

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint()
        while True:
            self._check_open()
            wait = self._until_next()
            if wait <= 0:
                return self._next()
            self._news = trio.Event()
            with trio.move_on_after(wait):
                await self._news.wait()

    def _until_next(self) -> float:
        match self._coming:
            case [RecordedRead(at=at), *_]:
                return self._asked_at + at - trio.current_time()
            case [End(how="stall")] | []:
                return math.inf
            case _:
                return 0.0

    def _next(self) -> bytes:
        match self._coming[0]:
            case RecordedRead(data=data):
                del self._coming[0]
                return data
            case End(how="reset"):
                raise trio.BrokenResourceError("the provider has reset the connection, as recorded")
            case _:
                return b""

    def _check_open(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("this connection is closed")

    def _wake(self) -> None:
        self._news.set()

    def is_stale(self) -> bool:
        return self._is_closed or bool(self._coming)

    def close(self) -> None:
        self._is_closed = True
        self._wake()
