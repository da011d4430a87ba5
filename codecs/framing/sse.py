"""Server-sent events: ``SseDecoder`` and ``SseEvent``, by the whole of WHATWG HTML 9.2.6 ("Interpreting an event stream").

Bytes come in as the network cut them, events go out. What must always hold:

- The events do not depend on where the bytes were cut; nor does the fault, if a limit is passed.
- A line ends at CR, LF or CRLF, and at nothing else: U+2028, U+0085 and VT occur inside JSON.
- Nothing is held beyond ``max_event_size``. Comments and unknown fields are dropped as they come, however long they are.
- Data is handed on as bytes: whether it is UTF-8 is for the JSON decoder to say. Names and ids are decoded with U+FFFD.

How it goes fast. A block is what stands between two blank lines. Nearly all blocks in the world are ``data: X`` or ``event: N`` and
``data: X``, whole inside one chunk: :meth:`SseDecoder._blocks` takes those with two searches each, after checking that each is
exactly that. Everything else (cut blocks, comments, ids, several data lines) goes line by line through :meth:`SseDecoder._lines`,
which is the rules written down. CR needs no third way: a chunk that has one is rewritten with LF first, which is exact.

Measured in MB/s of CPU time: CPython 3.11, one core of a shared AMD EPYC, best of 25 passes over 1 MB of 244-byte events, each event
looked at once by a ``for``::

    reads of            64 B   1 KiB   16 KiB
    data: X    feed      118     345      770   views, events
               split     100     540    1,700   copies, pairs
    event: N,  feed       70     216      740
    data: X    split      64     200      650
    data: X    feed       97     200      335   with CRLF
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import repeat
from operator import attrgetter

import msgspec

from ..vocabulary import ProtocolError
from .events import Buffer
from .limits import Closable

__all__ = ["SseDecoder", "SseEvent"]

_BOM = b"\xef\xbb\xbf"
_LF = 10
_CR = 13
_COLON = 58
_PAIR = attrgetter("name", "data")
_FIELDS = (b"data:", b"event:", b"id:", b"retry:")
_DIGITS = re.compile(rb"0*([0-9]{1,18})")


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One event.

    ``name`` is the event's type, empty where the stream gave none (the DOM calls that ``message``). ``data`` is the data lines
    joined by LF. ``id`` is the last event id as it stood when the event ended, so it persists from event to event. ``retry`` is the
    reconnection time in milliseconds if this block set one.
    """

    name: str
    data: bytes | memoryview
    id: str = ""
    retry: int | None = None


class SseDecoder(Closable):
    """Bytes to :class:`SseEvent`.

    ``last_event_id`` is what a reconnect would send as ``Last-Event-ID``; ``retry`` the last reconnection time in milliseconds, None
    if the stream set none. ``max_event_size`` (bytes) bounds the field lines of one block, names and values together.

    ``final_block`` says what the end of the bytes means for a block that no blank line has ended. WHATWG discards it, and so does
    the default; many providers end without the last blank line, so LLM clients set it and let the wire judge the data.

    Views: an event's ``data`` is a view into the chunk where the chunk is ``bytes`` without CR and holds the whole line; it is good
    for as long as it is kept (it keeps the chunk alive). A ``bytearray`` or ``memoryview`` is copied once as it comes in: a view has
    no ``find``, and views into a ``bytearray`` would forbid its owner to resize it.
    """

    __slots__ = (
        "_after_cr",
        "_at_start",
        "_data",
        "_final_block",
        "_head",
        "_id",
        "_max",
        "_name",
        "_partial",
        "_retry",
        "_unsettled",
        "_used",
        "last_event_id",
        "retry",
    )

    def __init__(self, *, max_event_size: int = 16 * 1024 * 1024, final_block: bool = False) -> None:
        super().__init__()
        self.last_event_id: str = ""
        self.retry: int | None = None
        self._max = max_event_size
        self._final_block = final_block
        # The stream's first bytes may be a BOM, cut anywhere; the byte after a CR that ended a chunk may be its LF.
        self._at_start = True
        self._after_cr = False
        self._unsettled = True
        self._head = b""
        # The line whose end has not come; b":" stands for one that will be ignored.
        self._partial = bytearray()
        # The block so far; `_used` counts the bytes of its field lines, and is 0 exactly when it has none.
        self._used = 0
        self._name = ""
        self._id = ""
        self._retry: int | None = None
        self._data: bytes | memoryview | bytearray | None = None

    def feed(self, chunk: Buffer, /) -> Iterable[SseEvent]:
        """The events that ``chunk`` completes, with views for data.

        Past ``max_event_size`` it gives the events before the fault and then raises :class:`ProtocolError`; every later call raises.
        """
        if self._fault is not None:
            self._check_open()
        if type(chunk) is not bytes or self._unsettled or _CR in chunk:
            chunk = self._settle(chunk)
        return self._feed(chunk)

    def split(self, chunk: Buffer, /) -> Iterable[tuple[str, bytes | memoryview]]:
        """``feed`` for those who want no more than names and data: the same events as pairs.

        This is what :class:`StreamProcessor` calls. A chunk of nothing but ``data: X`` blocks is split by one ``bytes.split``, which
        copies the data; copying 236 bytes costs less than a view of them, and a pair less than a Struct: see the numbers above.
        """
        if self._fault is not None:
            self._check_open()
        if type(chunk) is not bytes or self._unsettled or _CR in chunk:
            chunk = self._settle(chunk)
        cut = -1 if self._used else chunk.rfind(b"\n\n")
        if cut >= 0 and (run := self._run(chunk, cut)):
            pairs = zip(repeat(""), run)
            try:
                self._rest(chunk, cut + 2)
            except ProtocolError as fault:
                return self._close(list(pairs), fault)
            return pairs
        events = self._feed(chunk)
        return map(_PAIR, events) if events else ()

    def _feed(self, text: bytes) -> Iterable[SseEvent]:
        events: list[SseEvent] = []
        try:
            if _LF not in text:
                self._keep(text)
                return ()
            source = memoryview(text)
            pos = self._rest_of_block(text, source, events) if self._used or self._partial else 0
            cut = text.rfind(b"\n\n", pos)
            if cut >= 0:
                self._blocks(text, source, pos, cut + 2, events)
                pos = cut + 2
            self._rest(text, pos)
        except ProtocolError as fault:
            return self._close(events, fault)
        return events

    def finish(self) -> Iterable[SseEvent]:
        """The bytes have ended. The unfinished block is discarded, or with ``final_block`` ended as if by a blank line."""
        self._check_open()
        events: list[SseEvent] = []
        try:
            if self._final_block:
                self._lines(b"\n\n", b"\n\n", 0, 2, events)
        except ProtocolError as fault:
            return self._close(events, fault)
        self._forget()
        return events

    def _forget(self) -> None:
        self._head = b""
        self._partial = bytearray()
        self._used = 0
        self._name = ""
        self._id = self.last_event_id
        self._retry = None
        self._data = None

    def _settle(self, chunk: Buffer) -> bytes:
        """The chunk as ``bytes`` without BOM and CR.

        CRLF, then CR, to LF is exact for every mixture of them, as long as a CR and an LF in two chunks are seen as one end.
        """
        text = bytes(chunk)
        if self._at_start:
            text = self._head + text
            if len(text) < len(_BOM) and _BOM.startswith(text):
                self._head = text
                return b""
            self._at_start = False
            self._head = b""
            text = text.removeprefix(_BOM)
        if self._after_cr and text:
            self._after_cr = False
            text = text.removeprefix(b"\n")
        if _CR in text:
            self._after_cr = text.endswith(b"\r")
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._unsettled = self._after_cr
        return text

    def _rest_of_block(self, text: bytes, source: memoryview, events: list[SseEvent]) -> int:
        """Finish the block that an earlier chunk began; where the next begins."""
        end = text.find(b"\n")
        partial = self._partial
        if (
            text.startswith(b"\n\n", end)
            and partial.startswith(b"data: ")
            and self._data is None
            and self._used + len(partial) + end <= self._max
        ):  # nearly every cut block: its one data line was cut, and ends it
            data = b"".join((partial, text[:end]))[6:]
            self._partial = bytearray()
            if self._used:
                self._data = data
                self._dispatch(events)
            else:
                events.append(SseEvent("", data, self.last_event_id))
            return end + 2
        cut = text.find(b"\n\n")
        if cut >= 0:
            self._lines(text, source, 0, cut + 2, events)
            return cut + 2
        self._lines(text, text, 0, len(text), events)  # copies: the block goes on in the next chunk
        return len(text)

    def _rest(self, text: bytes, pos: int) -> None:
        """Keep the beginning of a block: no blank line is in it, so it completes no event."""
        if text.find(b"\n", pos) >= 0:
            self._lines(text, text, pos, len(text), [])
        elif pos < len(text):
            self._keep(text[pos:])

    def _run(self, text: bytes, cut: int) -> list[bytes]:
        """The data of the blocks in ``text[:cut]`` if every one is a single ``data: X``, else an empty list."""
        block = b"".join((self._partial, text[:cut])) if self._partial else text[:cut]
        if not block.startswith(b"data: ") or len(block) > self._max:
            return []
        run = block.split(b"\n\ndata: ")
        run[0] = run[0][6:]
        for data in run:
            if _LF in data:  # more than one line, or another kind of block
                return []
        if self._partial:
            self._partial = bytearray()
        return run

    def _blocks(
        self, text: bytes, source: bytes | memoryview, pos: int, stop: int, events: list[SseEvent]
    ) -> None:
        """Whole blocks in ``text[pos:stop]``, which ends with a blank line; nothing is held of an earlier block."""
        if stop - pos > self._max:
            self._lines(text, source, pos, stop, events)
            return
        find, startswith, add = text.find, text.startswith, events.append
        while pos < stop:
            if startswith(b"data: ", pos):
                name, following, begin = "", b"\n\ndata: ", pos + 6
            else:
                name, following, begin = _named(text, pos)
            if begin:
                last_id = self.last_event_id
                width = len(following)
                end = find(b"\n", begin)
                while startswith(following, end, stop):
                    add(SseEvent(name, source[begin:end], last_id))
                    begin = end + width
                    end = find(b"\n", begin)
                if startswith(b"\n\n", end):
                    add(SseEvent(name, source[begin:end], last_id))
                    pos = end + 2
                    continue
                pos = begin - width + 2
            cut = find(b"\n\n", pos, stop)
            end = cut + 2 if cut >= 0 else stop
            self._lines(text, source, pos, end, events)
            pos = end

    def _lines(
        self, text: bytes, source: bytes | memoryview, pos: int, stop: int, events: list[SseEvent]
    ) -> None:
        """The rules, a line at a time: ``text[pos:stop]``, of which an unfinished last line is kept."""
        find = text.find
        while pos < stop:
            end = find(b"\n", pos, stop)
            if end < 0:
                self._keep(text[pos:stop])
                return
            if self._partial:
                line = b"".join((self._partial, text[pos:end]))
                self._partial.clear()
                self._line(line, line, 0, len(line))
            elif end == pos:
                self._dispatch(events)
            else:
                self._line(text, source, pos, end)
            pos = end + 1

    def _line(self, text: bytes, source: bytes | memoryview, pos: int, end: int) -> None:
        """One line that is not blank."""
        if text.startswith(b"data: ", pos):
            self._grow(end - pos)
            self._add_data(source[pos + 6 : end])
            return
        colon = text.find(b":", pos, end)
        if colon < 0:
            colon = end
        begin = colon + 2 if text.startswith(b": ", colon) else min(colon + 1, end)
        field, value = text[pos:colon], text[begin:end]
        match field:
            case b"data":
                self._add_data(source[begin:end])
            case b"event":
                self._name = str(value, "utf-8", "replace")
            case b"id":
                if 0 not in value:
                    self._id = str(value, "utf-8", "replace")
            case b"retry":
                # Eighteen digits are thirty million years; int() of an endless run of them would be an attack on us.
                if digits := _DIGITS.fullmatch(value):
                    self.retry = self._retry = int(digits[1])
            case _:
                return  # a comment (the name is empty) or an unknown field
        self._grow(end - pos)

    def _add_data(self, value: bytes | memoryview) -> None:
        data = self._data
        if data is None:
            self._data = value
            return
        if not isinstance(data, bytearray):
            data = self._data = bytearray(data)
        data += b"\n"
        data += value

    def _dispatch(self, events: list[SseEvent]) -> None:
        self.last_event_id = self._id
        data = self._data
        if data is not None:
            whole = bytes(data) if isinstance(data, bytearray) else data
            events.append(SseEvent(self._name, whole, self._id, self._retry))
            self._data = None
        self._name = ""
        self._retry = None
        self._used = 0

    def _keep(self, piece: bytes) -> None:
        """Keep the beginning of a line, unless the line will be ignored."""
        partial = self._partial
        if len(partial) > 5:  # the longest name and its colon: it is a field
            partial += piece
        elif partial and partial[0] == _COLON:
            return
        else:
            partial += piece
            if not partial.startswith(_FIELDS):
                if not any(field.startswith(partial) for field in _FIELDS):
                    self._partial = bytearray(b":")
                return
        if self._used + len(partial) > self._max:
            self._grow(len(partial))

    def _grow(self, size: int) -> None:
        self._used += size
        if self._used > self._max:
            raise ProtocolError(f"an event of the stream is larger than {self._max:,} bytes")


def _named(text: bytes, pos: int) -> tuple[str, bytes, int]:
    """Of a block that starts ``event: N``, ``data: ``: the name, what the next such block starts with, where the data begins.

    Begins at 0 for any other block.
    """
    if text.startswith(b"event: ", pos):
        end = text.find(b"\n", pos)
        if text.startswith(b"\ndata: ", end):
            return str(text[pos + 7 : end], "utf-8", "replace"), b"\n\n" + text[pos : end + 7], end + 7
    return "", b"", 0
