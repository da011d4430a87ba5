"""The two response parsers: what they say of good and bad answers, that it does not depend on the cuts, and that they agree."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings, strategies as st

from tercet.codecs.vocabulary import ProtocolError, StreamInterruptedError
from tercet.engine.runtime.transport import H11Parser, HttptoolsParser, TransportLimits

PARSERS = [HttptoolsParser, H11Parser]
OK = b"HTTP/1.1 200 OK\r\n"


class Outcome(NamedTuple):
    status: int
    headers: dict[str, str] | None
    body: bytes
    complete: bool
    keep_alive: bool
    error: str | None


def cut(data: bytes, step: int | None) -> Iterator[bytes]:
    step = step or max(len(data), 1)
    for start in range(0, len(data), step):
        yield data[start : start + step]


def parse(
    kind: type[HttptoolsParser] | type[H11Parser],
    chunks: Iterator[bytes] | list[bytes],
    *,
    method: str = "GET",
    limits: TransportLimits | None = None,
    eof: bool = True,
) -> Outcome:
    """What a transport would make of it: bytes in front of a fault are kept, the first fault ends it."""
    parser = kind(method, limits or TransportLimits())
    body: list[bytes] = []
    error: str | None = None

    def take() -> None:
        while data := parser.take():
            body.append(data)

    try:
        try:
            for chunk in chunks:
                parser.feed(chunk)
                take()
            if eof:
                parser.eof()
            take()
        except (ProtocolError, StreamInterruptedError) as failure:
            error = type(failure).__name__
            take()
    except ProtocolError:  # the compressed data in front of the fault was damaged, too
        error = "ProtocolError"
    complete = parser.is_complete and error is None
    headers = dict(parser.headers)
    if "transfer-encoding" in headers:
        headers["transfer-encoding"] = headers["transfer-encoding"].lower()  # as h11 does
    return Outcome(
        parser.status,
        headers if parser.has_head else None,
        b"".join(body),
        complete,
        parser.keep_alive and complete,
        error,
    )


def parse_all_ways(data: bytes, *, method: str = "GET", eof: bool = True) -> Outcome:
    """Both parsers, whole and cut: one outcome."""
    outcomes = {
        (kind.__name__, step): parse(kind, cut(data, step), method=method, eof=eof)
        for kind in PARSERS
        for step in (None, 1, 2, 7)
    }
    assert len({repr(outcome) for outcome in outcomes.values()}) == 1, outcomes
    return outcomes["HttptoolsParser", None]


# --- good answers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "method", "status", "body", "keep_alive"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", "GET", 200, b"hello", True),
        (OK + b"content-length: 0\r\n\r\n", "POST", 200, b"", True),
        (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi", "GET", 200, b"hi", False),
        (OK + b"Connection: Keep-Alive, CLOSE\r\nContent-Length: 2\r\n\r\nhi", "GET", 200, b"hi", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "GET", 200, b"hi", False),
        (
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
            "GET",
            200,
            b"hi",
            True,
        ),
        (OK + b"\r\nto the end", "GET", 200, b"to the end", False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "GET", 200, b"hello", True),
        (OK + b"Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", "GET", 200, b"", True),
        (
            OK
            + b'Transfer-Encoding: chunked\r\n\r\n5;a=b;c="d"\r\nhello\r\nA\r\n0123456789\r\n0\r\nT: v\r\nU: w\r\n\r\n',
            "GET",
            200,
            b"hello0123456789",
            True,
        ),
        (OK + b"Content-Length: 5\r\n\r\n", "HEAD", 200, b"", True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", "HEAD", 200, b"", True),
        (OK + b"\r\n", "HEAD", 200, b"", True),
        (OK + b"\r\n", "CONNECT", 200, b"", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "GET", 204, b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", "GET", 304, b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx", "GET", 200, b"x", True),
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
            + OK
            + b"Content-Length: 1\r\n\r\nx",
            "GET",
            200,
            b"x",
            True,
        ),
        (b"HTTP/1.1 429\r\nContent-Length: 0\r\n\r\n", "GET", 429, b"", True),
        (OK + b"Content-Encoding: none\r\nContent-Length: 1\r\n\r\nx", "GET", 200, b"x", True),
        # what follows the message is not ours: the connection cannot be used again
        (
            OK + b"Content-Length: 2\r\n\r\nhi" + OK + b"Content-Length: 4\r\n\r\nEVIL",
            "GET",
            200,
            b"hi",
            False,
        ),
        (OK + b"Content-Length: 2\r\n\r\nhi and more", "GET", 200, b"hi", False),
        (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi and more", "GET", 200, b"hi", False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 2", "GET", 200, b"", False),
        (OK + b"Content-Length: 4\r\n\r\nbody", "HEAD", 200, b"", False),
        (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "GET", 204, b"", False),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nbody", "GET", 304, b"", False),
        # blank lines after it are harmless
        (OK + b"Content-Length: 2\r\n\r\nhi\r\n\r\n", "GET", 200, b"hi", True),
    ],
)
def test_an_answer_is_read_by_its_framing(
    data: bytes, method: str, status: int, body: bytes, keep_alive: bool
) -> None:
    outcome = parse_all_ways(data, method=method)
    assert outcome._replace(headers=None) == Outcome(status, None, body, True, keep_alive, None)


def test_headers_are_lower_case_stripped_and_joined() -> None:
    outcome = parse_all_ways(
        OK
        + b"X-A: 1\r\nx-a:\t2 \r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX-Empty:\r\nX-Latin: \xe9\r\nContent-Length: 0\r\n\r\n"
    )
    assert outcome.headers == {
        "x-a": "1, 2",
        "set-cookie": "a=1",
        "x-empty": "",
        "x-latin": "é",
        "content-length": "0",
    }


def test_headers_of_interim_answers_and_trailers_are_not_headers() -> None:
    outcome = parse_all_ways(
        b"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n"
        + OK
        + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Late: 1\r\n\r\n"
    )
    assert outcome.headers == {"transfer-encoding": "chunked"}


# --- bad answers ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"\r\n\r\n" + OK + b"\r\n",
        b"RTSP/1.0 200 OK\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",  # a TLS alert
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/0.9 200 OK\r\n\r\n",
        b"HTTP/1.1 099 Odd\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nbytes",
        OK + b"No colon\r\n\r\n",
        OK + b"A : b\r\n\r\n",
        OK + b"A: \x00\r\n\r\n",
        OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        OK + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: +1\r\n\r\na",
        OK + b"Content-Length: 0x1\r\n\r\na",
        OK + b"Content-Length: 99999999999999999999999\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: xchunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Content-Encoding: br\r\nContent-Length: 1\r\n\r\nx",
        OK + b"Content-Encoding: gzip, gzip\r\nContent-Length: 1\r\n\r\nx",
    ],
)
def test_what_is_not_an_answer_is_a_protocol_error(data: bytes) -> None:
    outcome = parse_all_ways(data)
    assert outcome.error == "ProtocolError"
    assert outcome.body == b""


def test_an_obs_fold_is_refused() -> None:
    data = OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n"
    for step in (None, 1):
        assert parse(HttptoolsParser, cut(data, step)).error == "ProtocolError"
    assert parse(H11Parser, [data]).headers == {
        "a": "b c",
        "content-length": "0",
    }  # the oracle joins, as the RFC would have it


@pytest.mark.parametrize(
    "bad", [b"zz\r\n", b"-1\r\n", b"\r\n", b"5\r\nhelloXX0\r\n\r\n", b"fffffffffffffffffffff\r\n"]
)
def test_a_bad_chunk_is_an_error_behind_the_good_ones(bad: bytes) -> None:
    outcome = parse_all_ways(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" + bad)
    assert outcome.error == "ProtocolError"
    assert outcome.body == (b"abchello" if b"hello" in bad else b"abc")


@pytest.mark.parametrize("secret", [b"sk-very-secret-0123456789"])
@pytest.mark.parametrize("kind", PARSERS)
def test_a_parse_error_does_not_quote_what_came(kind: type[HttptoolsParser], secret: bytes) -> None:
    parser = kind("GET", TransportLimits())
    with pytest.raises(ProtocolError) as caught:
        parser.feed(OK + b"Bad Header" + secret + b": x\r\n\r\n")
    assert secret.decode() not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


# --- the end of the bytes is no end of the message -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: 5\r\n\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n"
        + OK
        + b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n",
        OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"hello" * 100),
    ],
)
def test_cut_off_anywhere_it_is_never_complete(data: bytes) -> None:
    whole = parse_all_ways(data)
    assert whole.complete
    for kind in PARSERS:
        for length in range(len(data)):
            outcome = parse(kind, [data[:length]])
            if b"gzip" in data and length == data.index(b"\r\n\r\n") + 4:
                continue  # closed before any of the body: an empty close-delimited body
            assert outcome.error is not None, (kind, length)
            assert not outcome.keep_alive
            assert whole.body.startswith(outcome.body)


# --- limits --------------------------------------------------------------------------------------------------------------------

SMALL = TransportLimits(head_bytes=1000, header_count=5, interim_count=3)


@pytest.mark.parametrize("kind", PARSERS)
@pytest.mark.parametrize("step", [None, 1, 64])
@pytest.mark.parametrize(
    "data",
    [
        OK + b"A: " + b"x" * 3000,
        OK + b"A: " + b"x" * 3000 + b"\r\n\r\n",
        OK + b"x" * 3000,
        b"HTTP/1.1 200 " + b"x" * 3000,
        OK + b"".join(b"h%d: v\r\n" % number for number in range(6)) + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 4 + OK,
        OK + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 3000,
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nT: " + b"x" * 3000,
        OK
        + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
        + b"".join(b"t%d: v\r\n" % number for number in range(6))
        + b"\r\n",
    ],
)
def test_every_buffer_has_its_limit(kind: type[HttptoolsParser], step: int | None, data: bytes) -> None:
    assert parse(kind, cut(data, step), limits=SMALL, eof=False).error == "ProtocolError"


@pytest.mark.parametrize("kind", PARSERS)
def test_many_small_chunks_are_within_the_limits(kind: type[HttptoolsParser]) -> None:
    data = OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;ext=abc\r\nx\r\n" * 5000 + b"0\r\n\r\n"
    assert parse(kind, cut(data, 11), limits=SMALL) == parse(kind, cut(data, 4096), limits=SMALL)
    assert parse(kind, cut(data, 11), limits=SMALL).body == b"x" * 5000


# --- content codings -----------------------------------------------------------------------------------------------------------

TEXT = b'data: {"delta": "hello"}\n\n' * 50


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        (b"gzip", gzip.compress(TEXT)),
        (b"x-gzip", gzip.compress(TEXT)),
        (b"GZIP", gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:])),
        (b"deflate", zlib.compress(TEXT)),
        (b"deflate", raw_deflate(TEXT)),
    ],
)
def test_compressed_bodies_are_inflated_however_they_are_cut(coding: bytes, packed: bytes) -> None:
    head = OK + b"Content-Encoding: " + coding + b"\r\nContent-Length: %d\r\n\r\n" % len(packed)
    outcome = parse_all_ways(head + packed)
    assert outcome.body == TEXT
    assert outcome.keep_alive
    for place in range(len(packed) + 1):
        pieces = [head, packed[:place], packed[place:]]
        assert parse(HttptoolsParser, pieces).body == TEXT


def test_a_flushed_compressed_stream_comes_out_at_once() -> None:
    parser = HttptoolsParser("GET", TransportLimits())
    parser.feed(OK + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
    packer = zlib.compressobj(wbits=31)
    for number in range(5):
        event = b"data: %d\n\n" % number
        packed = packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH)
        parser.feed(b"%x\r\n" % len(packed) + packed + b"\r\n")
        assert parser.take() == event


@pytest.mark.parametrize(
    "packed",
    [gzip.compress(TEXT) + b"junk", gzip.compress(TEXT)[:-4], b"\x1f\x8bnonsense", b"x", zlib.compress(TEXT)],
)
def test_damaged_compressed_data_is_a_protocol_error(packed: bytes) -> None:
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    for kind in PARSERS:
        for step in (None, 1, 5):
            assert parse(kind, cut(head + packed, step)).error == "ProtocolError"


def test_a_decompression_bomb_is_refused_early() -> None:
    packed = gzip.compress(bytes(200_000_000), 9)
    parser = HttptoolsParser("GET", TransportLimits())
    parser.feed(OK + b"Content-Encoding: gzip\r\n\r\n")
    taken = 0
    with pytest.raises(ProtocolError, match="bomb"):
        for chunk in cut(packed, 4096):
            parser.feed(chunk)
            while piece := parser.take():
                assert len(piece) <= 1 << 20
                taken += len(piece)
    assert taken <= 1 << 21


def test_a_large_honest_body_passes_in_bounded_pieces() -> None:
    text = b"".join(b'{"id": %d, "text": "some words"}\n' % number for number in range(200_000))
    packed = gzip.compress(text)
    parser = HttptoolsParser("GET", TransportLimits())
    parser.feed(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed)
    assert parser.is_complete
    pieces: list[bytes] = []
    while piece := parser.take():
        pieces.append(piece)
    assert b"".join(pieces) == text
    assert max(map(len, pieces)) <= 1 << 20
    assert len(pieces) > 3


# --- the public vectors --------------------------------------------------------------------------------------------------------

# Where h11 takes what llhttp in strict mode refuses, or says otherwise what is wrong with it. By the name of the case.
KNOWN_DIFFERENCES = {
    "bare LF": "h11 takes a lone LF for a line end (RFC 9112 section 2.2 allows it); llhttp refuses it",
    "HTTP 100 first, then 400": "a blank line in front of the second status line: llhttp skips it, h11 refuses",
    "Trailing space on chunked body": "a blank after the chunk size: llhttp refuses, h11 skips it",
    "No extension after semicolon": "an empty chunk extension: llhttp refuses, h11 skips it",
    "Unbalanced chunk extensions quoting": "h11 does not look into chunk extensions",
    "test1267 HTTP GET with an invalid HTTP/1 response line start (CRLF)": "a line HTTPr: as the row below",
    "Invalid space after start line": "h11 waits for the head's end before it judges, so the end of the bytes comes first",
}


def vectors(shared: Path) -> list[tuple[str, bytes]]:
    llhttp = json.loads((shared / "vectors/llhttp-responses/cases.json").read_bytes())["cases"]
    curl = json.loads((shared / "vectors/curl-replies/cases.json").read_bytes())["cases"]
    found = [(case["name"], bytes.fromhex(case["raw_hex"])) for case in llhttp]
    found += [(f"{case['test']} {case['name']}", bytes.fromhex(case["reply_hex"])) for case in curl]
    # curl's test server puts in the line ends when it sends: for %CR, or for all line ends of a file without CR
    restored = [(name, data.replace(b"%CR", b"\r")) for name, data in found if b"%CR" in data]
    restored += [
        (name, data.replace(b"\n", b"\r\n"))
        for name, data in found[len(llhttp) :]
        if b"\r" not in data and b"%CR" not in data
    ]
    return found + [(f"{name} (CRLF)", data) for name, data in restored]


def has_bare_lf(data: bytes) -> bool:
    return b"\n" in data.replace(b"\r\n", b"")


def test_the_parsers_agree_on_all_public_vectors_or_a_row_says_why_not(shared: Path) -> None:
    wrong: list[str] = []
    used: set[str] = set()
    cases = vectors(shared)
    for name, data in cases:
        for method in ("GET", "HEAD"):
            outcomes = [
                parse(kind, cut(data, step), method=method) for kind in PARSERS for step in (None, 1, 3, 16)
            ]
            wrong += [
                f"{name}: depends on the cuts: {mine}"
                for mine in (outcomes[:4], outcomes[4:])
                if len({repr(outcome) for outcome in mine}) > 1
            ]
            if repr(outcomes[0]) != repr(outcomes[4]):
                row = "bare LF" if has_bare_lf(data) else name
                used.add(row)
                if row not in KNOWN_DIFFERENCES:
                    wrong.append(f"{name}: {outcomes[0]} != {outcomes[4]}")
    assert not wrong, "\n".join(wrong)
    assert len(cases) > 200
    assert used == set(KNOWN_DIFFERENCES), "a row that no case needs any more"


def test_strict_llhttp_rows_are_refused(shared: Path) -> None:
    cases = json.loads((shared / "vectors/llhttp-responses/cases.json").read_bytes())["cases"]
    rows = [
        case
        for case in cases
        if case["type"] == "response" and case["error"] not in {None, "CLOSED_CONNECTION"}
    ]
    assert len(rows) > 10
    for case in rows:
        outcome = parse(HttptoolsParser, [bytes.fromhex(case["raw_hex"])])
        assert outcome.error == "ProtocolError", case["name"]


def test_replies_that_curl_refuses_are_typed_errors(shared: Path) -> None:
    # 8 weird reply, 18 partial file, 56 receive failure, 61 bad encoding
    not_for_us = {
        "test1479",  # the second of two replies is the bad one
        "test580",  # several Location headers: no redirect is followed here
    }
    cases = json.loads((shared / "vectors/curl-replies/cases.json").read_bytes())["cases"]
    rows = [case for case in cases if case["curl_exit"] in {8, 18, 56, 61} and case["test"] not in not_for_us]
    assert len(rows) > 8
    for case in rows:
        outcome = parse(HttptoolsParser, [bytes.fromhex(case["reply_hex"])])
        assert outcome.error is not None, case["test"]


# --- chance --------------------------------------------------------------------------------------------------------------------

TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABC-_0123456789", min_size=1, max_size=12).map(
    lambda name: f"x-{name}"
)
VALUE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """The bytes of a well-formed answer, and its body."""
    status = draw(st.sampled_from([200, 201, 204, 304, 400, 429, 500, 503]))
    headers = draw(st.lists(st.tuples(TOKEN, VALUE), max_size=6))
    body = draw(st.binary(max_size=300))
    head = b"".join(b"%s: %s\r\n" % (name.encode(), value.encode()) for name, value in headers)
    start = b"HTTP/1.1 %d Reason\r\n" % status
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" * draw(st.integers(0, 2))
    if status in {204, 304}:
        return interim + start + head + b"\r\n", b""
    if draw(st.booleans()):
        return interim + start + head + b"Content-Length: %d\r\n\r\n" % len(body) + body, body
    chunks = b""
    rest = body
    while rest:
        size = draw(st.integers(1, len(rest)))
        chunks += (
            b"%x%s\r\n" % (size, draw(st.sampled_from([b"", b";a=b", b';a="b"']))) + rest[:size] + b"\r\n"
        )
        rest = rest[size:]
    return interim + start + head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", body


@given(answers(), st.lists(st.integers(1, 40), min_size=1, max_size=20))
@settings(max_examples=150, deadline=None)
def test_any_good_answer_is_read_whole_under_any_cut(answer: tuple[bytes, bytes], sizes: list[int]) -> None:
    data, body = answer
    chunks: list[bytes] = []
    position = 0
    while position < len(data):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(data[position : position + size])
        position += size
    outcomes = [parse(kind, pieces, eof=False) for kind in PARSERS for pieces in ([data], chunks)]
    assert len({repr(outcome) for outcome in outcomes}) == 1
    assert outcomes[0].body == body
    assert outcomes[0].complete
    assert outcomes[0].keep_alive
