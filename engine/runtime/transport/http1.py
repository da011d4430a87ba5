"""An HTTP/1.1 response out of the pieces that arrive. Nothing here waits.

A :class:`ResponseParser` is made for one response. Feed it what arrived; it has the ``status``, the ``headers`` and the body
bytes as soon as they are there, and knows three things for certain:

- ``has_head``: the final status and all headers are there (1xx answers were skipped);
- ``is_complete``: the message ended as its framing demands (RFC 9112 section 6.3), never because the bytes stopped;
- ``keep_alive``: nothing but this message came, and both sides may use the connection again.

Two parsers do the same work: :class:`HttptoolsParser` (llhttp, C, strict; 0.7-1.8 us an event) is the one that is used,
:class:`H11Parser` (h11, Python; 5.8-8.5 us) is the oracle it is compared with. What is ours is shared by both: the limits, the
rules about headers that frame the body, the content coding. Where the two differ on malformed input is a table in the tests.

Stricter than the RFC on purpose: an obs-fold is refused instead of replaced by spaces (RFC 9112 section 5.2; no server of today
sends one, and llhttp refuses it), a message with both Transfer-Encoding and Content-Length is refused (section 6.1 allows
it), a transfer coding other than ``chunked`` is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NoReturn, Protocol

import h11
import httptools
import msgspec

from tercet.codecs.vocabulary import ProtocolError, StreamInterruptedError

from .content import ContentDecoder

__all__ = [
    "H11Parser",
    "HttptoolsParser",
    "ResponseParser",
    "TransportLimits",
    "parser_class",
]


class TransportLimits(msgspec.Struct, frozen=True, gc=False):
    """How much of a response is taken. Past a limit comes :class:`ProtocolError`.

    ``head_bytes``: status lines and headers, all 1xx answers together; also trailers, and any run of framing bytes without body.
    ``header_count``: fields in the head, and in head and trailers together. ``interim_count``: 1xx answers.
    ``body_bytes``: a body read whole (``Response.read``); a streamed body is bounded by its reader.
    ``inflate_ratio``: bytes one compressed byte may become, once more than 1 MiB came out.
    """

    head_bytes: int = 64 * 1024
    header_count: int = 128
    interim_count: int = 100
    body_bytes: int = 64 * 1024 * 1024
    inflate_ratio: int = 200


class ResponseParser(Protocol):
    """One response, from its bytes."""

    status: int
    http_version: str
    headers: dict[str, str]
    has_head: bool
    is_complete: bool
    keep_alive: bool

    def feed(self, data: bytes | memoryview, /) -> None:
        """Take bytes that arrived; nothing of ``data`` is kept. Raises :class:`ProtocolError`; body bytes in front of the fault
        can still be taken. Bytes after the end of the message only make ``keep_alive`` False."""
        ...

    def take(self) -> bytes:
        """The body bytes since the last call, content coding undone; ``b""`` when there are none now.

        At most 1 MiB at a time is inflated: take until ``b""``. Raises :class:`ProtocolError` for damaged compressed data.
        """
        ...

    def eof(self) -> None:
        """No more bytes will come: ends a close-delimited body, else raises :class:`StreamInterruptedError`."""
        ...


_header_names: dict[bytes, str] = {}  # response field names as they were seen -> lower case


def _response_name(name: bytes) -> str:
    lower = name.decode("latin-1").lower()
    if len(_header_names) < 1024:
        _header_names[name] = lower
    return lower


class _Message:
    """What both parsers share: the head's meaning, the body's pieces, the limits."""

    __slots__ = (
        "_decoder",
        "_field_bytes",
        "_head_bytes",
        "_interims",
        "_is_bodiless",
        "_limits",
        "_overhead",
        "_pieces",
        "_until_close",
        "has_head",
        "headers",
        "http_version",
        "is_complete",
        "keep_alive",
        "status",
    )

    def __init__(self, method: str, limits: TransportLimits) -> None:
        self.status: int = 0
        self.http_version: str = ""
        self.headers: dict[str, str] = {}
        self.has_head: bool = False
        self.is_complete: bool = False
        self.keep_alive: bool = False
        self._is_bodiless = method in {"HEAD", "CONNECT"}  # CONNECT: what follows a 2xx is the tunnel
        self._limits = limits
        self._pieces: list[bytes] = []
        self._decoder: ContentDecoder | None = None
        self._until_close = False
        self._head_bytes = 0  # as they arrived, while the head was incomplete
        self._field_bytes = 0  # of fields that were parsed
        self._interims = 0
        self._overhead = 0

    def _check_start(self, data: bytes | memoryview) -> None:
        """Refuse at the first byte what a parser would take for RTSP or ICE, or would wait on for a line end that never comes."""
        if data[0] != 0x48:  # "H"
            raise ProtocolError("the answer does not begin like HTTP")

    def _take_excess(self, data: bytes | memoryview) -> None:
        """Bytes after the end. Blank lines are tolerated (llhttp skips them unseen); anything else is an answer to nothing."""
        if bytes(data).strip(b"\r\n"):
            self.keep_alive = False

    def _count_interim(self, status: int) -> None:
        self._interims += 1
        if status == 101:
            raise ProtocolError("the server switched protocols (101) without being asked to")
        if self._interims > self._limits.interim_count:
            raise ProtocolError(f"more than {self._limits.interim_count} interim (1xx) answers")

    def _finish_head(self, status: int, version: str, pairs: list[tuple[bytes, bytes]]) -> None:
        """Give the head its meaning (RFC 9112 section 6.3, in its order)."""
        if status < 100:
            raise ProtocolError(f"not an HTTP status: {status}")
        if version not in {"1.1", "1.0"}:
            raise ProtocolError(f"an answer in HTTP/{version[:8]}, not HTTP/1.1")
        headers = self.headers
        known = _header_names
        for name, raw in pairs:
            key = known.get(name) or _response_name(name)
            value = raw.decode("latin-1").strip(" \t")
            if key in headers:
                if (
                    key != "set-cookie"
                ):  # cannot be joined (RFC 9110 section 5.3); nobody here reads a second one
                    headers[key] = f"{headers[key]}, {value}"
            else:
                headers[key] = value
        length = headers.get("content-length")
        coding = headers.get("transfer-encoding")
        if coding is not None:
            if length is not None:
                raise ProtocolError("the answer has both transfer-encoding and content-length")
            if coding.lower() != "chunked":
                raise ProtocolError(
                    f"the answer has a transfer-encoding that was not asked for: {coding[:40]!r}"
                )
        elif length is not None and not (length.isascii() and length.isdecimal() and len(length) < 20):
            raise ProtocolError(f"not a content-length: {length[:40]!r}")
        if status in {204, 304}:
            self._is_bodiless = True
        self._until_close = coding is None and length is None and not self._is_bodiless
        connection = headers.get("connection", "").lower()
        tokens = {token.strip() for token in connection.split(",")} if connection else frozenset[str]()
        if version == "1.1":
            self.keep_alive = "close" not in tokens and not self._until_close
        else:  # a chunked body in a 1.0 message is suspect (RFC 9112 section 6.1)
            self.keep_alive = "keep-alive" in tokens and coding is None and not self._until_close
        encoding = headers.get("content-encoding")
        if encoding and encoding.lower() not in {"identity", "none"} and not self._is_bodiless:
            self._decoder = ContentDecoder(encoding, max_ratio=self._limits.inflate_ratio)
        self.status = status
        self.http_version = version
        self.has_head = True
        if self._is_bodiless:
            self.is_complete = True

    def _check_overhead(self, size: int, *, has_body: bool) -> None:
        """Bytes that brought no body: head, chunk extensions, trailers. Each run of them is bounded like a head."""
        if not self.has_head:
            self._head_bytes += size
            if self._head_bytes > self._limits.head_bytes:
                raise ProtocolError(f"the answer's head is larger than {self._limits.head_bytes} bytes")
        elif has_body:
            self._overhead = 0
        else:
            self._overhead += size
            if self._overhead > self._limits.head_bytes:
                raise ProtocolError(f"more than {self._limits.head_bytes} bytes of framing without any body")

    def take(self) -> bytes:
        pieces = self._pieces
        if not pieces:
            data = b""
        else:
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
        decoder = self._decoder
        if decoder is not None:
            if data or decoder.has_more:
                data = decoder.decode(data)
            if not data and self.is_complete and not decoder.has_more:
                decoder.finish()
        return data

    def _end_by_close(self) -> None:
        if self.is_complete:
            return
        if not self._until_close:
            where = "in the middle of its body" if self.has_head else "before its head was complete"
            raise StreamInterruptedError(f"the server closed the connection {where}")
        self.is_complete = True


class HttptoolsParser(_Message):
    """:class:`ResponseParser` by httptools (llhttp in strict mode).

    llhttp also speaks RTSP and ICE and skips blank lines in front of a status line, so the first byte is looked at here. It calls
    back into this object; ``on_body`` is the list's own ``append``, which saves a Python call for each piece of body.
    """

    __slots__ = ("_failure", "_is_interim", "_llhttp", "_pairs", "on_body")

    def __init__(self, method: str, limits: TransportLimits) -> None:
        super().__init__(method, limits)
        self._pairs: list[tuple[bytes, bytes]] = []
        self._failure: ProtocolError | None = None
        self._is_interim = False
        self.on_body: Callable[[bytes], None] = self._pieces.append
        self._llhttp: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    def feed(self, data: bytes | memoryview, /) -> None:
        if not data:
            return
        llhttp = self._llhttp
        if llhttp is None:
            self._take_excess(data)
            return
        if not self._head_bytes and not self.has_head:
            self._check_start(data)
        count = len(self._pieces)
        try:
            llhttp.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.is_complete:
                raise self._failure or ProtocolError(f"the answer is not valid HTTP/1.1: {error}") from None
            self.keep_alive = False  # the message is whole; what follows it is not ours
        if self.is_complete:
            self._llhttp = None  # it holds our bound methods: a reference cycle per response otherwise
            if self._is_bodiless and self._pieces:
                self._pieces.clear()
                self.keep_alive: bool = False
        else:
            self._check_overhead(len(data), has_body=len(self._pieces) > count)

    def eof(self) -> None:
        self._end_by_close()
        self._llhttp = None

    # Callbacks. An exception in one of them comes out of feed_data as a HttpParserCallbackError, so its reason is kept aside.

    def _fail(self, error: ProtocolError) -> NoReturn:
        self._failure = error
        raise error

    def on_message_begin(self) -> None:
        if self.is_complete:
            self._fail(ProtocolError("a second answer on the connection"))

    def on_header(self, name: bytes, value: bytes) -> None:
        pairs = self._pairs
        self._field_bytes += len(name) + len(value) + 4
        if len(pairs) >= self._limits.header_count:
            self._fail(ProtocolError(f"the answer has more than {self._limits.header_count} headers"))
        if self._field_bytes > self._limits.head_bytes:
            self._fail(ProtocolError(f"the answer's head is larger than {self._limits.head_bytes} bytes"))
        pairs.append((name, value))  # trailers too: counted, never read

    def on_headers_complete(self) -> None:
        llhttp = self._llhttp
        assert llhttp is not None  # it is calling
        status = llhttp.get_status_code()
        try:
            if 100 <= status < 200:
                self._count_interim(status)
                self._is_interim = True
                self._pairs.clear()
            else:
                self._finish_head(status, llhttp.get_http_version(), self._pairs)
        except ProtocolError as error:
            self._fail(error)

    def on_message_complete(self) -> None:
        if self._is_interim:
            self._is_interim = False
        else:
            self.is_complete = True


class H11Parser(_Message):
    """:class:`ResponseParser` by h11: the oracle. h11's own messages quote what arrived, so they are never passed on."""

    __slots__ = ("_fields", "_h11")

    def __init__(self, method: str, limits: TransportLimits) -> None:
        super().__init__(method, limits)
        self._fields = 0
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=limits.head_bytes)
        self._h11.send(
            h11.Request(method="HEAD" if self._is_bodiless else "GET", target="/", headers=[("host", "h")])
        )
        self._h11.send(h11.EndOfMessage())

    def feed(self, data: bytes | memoryview, /) -> None:
        if not data:
            return
        if self.is_complete:
            self._take_excess(data)
            return
        if not self._head_bytes and not self.has_head:
            self._check_start(data)
        count = len(self._pieces)
        try:
            self._h11.receive_data(bytes(data))
            self._read_events()
        except h11.RemoteProtocolError:
            raise ProtocolError("the answer is not valid HTTP/1.1") from None
        if self.is_complete:
            self._take_excess(self._h11.trailing_data[0])
        else:
            self._check_overhead(len(data), has_body=len(self._pieces) > count)

    def eof(self) -> None:
        self._end_by_close()

    def _read_events(self) -> None:
        while True:
            event = self._h11.next_event()
            match event:
                case h11.InformationalResponse():
                    self._count_interim(event.status_code)
                case h11.Response():
                    pairs = list(event.headers)
                    self._count_fields(pairs)
                    self._finish_head(event.status_code, event.http_version.decode("ascii"), pairs)
                case h11.Data():
                    self._pieces.append(bytes(event.data))
                case h11.EndOfMessage():
                    self._count_fields(list(event.headers))
                    self.is_complete = True
                    return
                case _:  # NEED_DATA; PAUSED and ConnectionClosed come only after the end
                    return

    def _count_fields(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self._fields += len(pairs)
        if self._fields > self._limits.header_count:
            raise ProtocolError(f"the answer has more than {self._limits.header_count} headers")
        self._field_bytes += sum(len(name) + len(value) + 4 for name, value in pairs)
        if self._field_bytes > self._limits.head_bytes:
            raise ProtocolError(f"the answer's head is larger than {self._limits.head_bytes} bytes")


def parser_class(kind: Literal["httptools", "h11"]) -> type[HttptoolsParser] | type[H11Parser]:
    """The class of parser with this name."""
    return HttptoolsParser if kind == "httptools" else H11Parser
