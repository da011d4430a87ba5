"""Whatever bytes come, the HTTP layer answers or refuses: no foreign exception, nothing that depends on the cuts, bounded output."""

from __future__ import annotations

import zlib

import h11
from hypothesis import given, strategies as st

from tercet.adapters.call import HttpCall, Origin
from tercet.codecs.vocabulary import ConfigurationError, ProtocolError, StreamInterruptedError
from tercet.engine.runtime.transport import (
    ContentDecoder,
    H11Parser,
    HttptoolsParser,
    TransportLimits,
    encode_request,
    proxies_from_environ,
)

LIMITS = TransportLimits(head_bytes=4096, header_count=20)

GRAMMAR = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n",
        b"HTTP/1.1 304 Not Modified\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n",
        b"HTTP/1.1 ",
        b"429 Too Many\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 05\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length:\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Connection: close\r\n",
        b"Connection: keep-alive\r\n",
        b"Connection: upgrade\r\nUpgrade: x\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Content-Encoding: deflate\r\n",
        b"X: y\r\n",
        b" folded\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"hello",
        b"5\r\nhello\r\n",
        b"5;a=b\r\nhello\r\n",
        b"0\r\n\r\n",
        b"0\r\nT: v\r\n\r\n",
        b"ffffffffffffffff\r\n",
        zlib.compress(b"hello" * 10, wbits=31),
        zlib.compress(b"hello" * 10),
        b"\x00",
        b":",
        b" ",
    ]
)
ANSWERS = st.lists(st.one_of(GRAMMAR, GRAMMAR, GRAMMAR, st.binary(max_size=6)), max_size=14).map(b"".join)
METHODS = st.sampled_from(["GET", "HEAD", "CONNECT"])


def parse(
    kind: type[HttptoolsParser] | type[H11Parser], method: str, chunks: list[bytes]
) -> tuple[int, dict[str, str], bytes, bool, bool, str]:
    """Status, headers, body, complete, kept alive, error."""
    parser = kind(method, LIMITS)
    body = b""
    error = ""
    try:
        try:
            for chunk in chunks:
                parser.feed(chunk)
                while data := parser.take():
                    body += data
            parser.eof()
        finally:
            while data := parser.take():
                body += data
    except (ProtocolError, StreamInterruptedError) as failure:
        error = type(failure).__name__
    complete = parser.is_complete and not error
    headers = dict(parser.headers) if parser.has_head else {}
    if "transfer-encoding" in headers:
        headers["transfer-encoding"] = headers["transfer-encoding"].lower()  # as h11 does
    return parser.status, headers, body, complete, complete and parser.keep_alive, error


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    chunks: list[bytes] = []
    position = 0
    while position < len(data):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(data[position : position + size])
        position += size
    return chunks


@given(ANSWERS, METHODS, st.lists(st.integers(1, 30), min_size=1, max_size=8))
def test_no_bytes_make_a_parser_do_anything_but_answer_or_refuse(
    answer: bytes, method: str, sizes: list[int]
) -> None:
    for kind in (HttptoolsParser, H11Parser):
        whole = parse(kind, method, [answer])
        pieces = parse(kind, method, cut(answer, sizes))
        assert whole[:3] == pieces[:3]
        assert bool(whole[5]) is bool(pieces[5])
        assert whole[3] == pieces[3]


@given(ANSWERS, METHODS)
def test_what_the_strict_parser_takes_the_oracle_reads_alike(answer: bytes, method: str) -> None:
    strict = parse(HttptoolsParser, method, [answer])
    if not strict[3]:
        return
    oracle = parse(H11Parser, method, [answer])
    if oracle[5]:
        # h11 does not skip blank lines in front of a second status line, behind a 1xx answer
        assert answer.count(b"HTTP/1.1 ") > 1, (strict, oracle)
    else:
        assert strict[:5] == oracle[:5]


@given(
    st.binary(max_size=400),
    st.lists(st.integers(1, 60), min_size=1, max_size=8),
    st.sampled_from(["gzip", "deflate"]),
)
def test_compressed_data_comes_out_as_it_went_in(data: bytes, sizes: list[int], coding: str) -> None:
    packed = zlib.compress(data, wbits=31 if coding == "gzip" else 15)
    decoder = ContentDecoder(coding)
    assert b"".join([decoder.decode(chunk) for chunk in cut(packed, sizes)]) == data
    decoder.finish()


@given(
    st.one_of(st.binary(max_size=200), st.binary(max_size=100).map(zlib.compress)),
    st.sampled_from(["gzip", "deflate"]),
)
def test_any_compressed_data_is_bounded_or_refused(data: bytes, coding: str) -> None:
    decoder = ContentDecoder(coding)
    try:
        piece = decoder.decode(data)
        while decoder.has_more:
            assert len(piece) <= 1 << 20
            piece = decoder.decode(b"")
        decoder.finish()
    except ProtocolError:
        pass


TEXT = st.text(st.characters(max_codepoint=0x200), max_size=20)


@given(
    st.one_of(st.sampled_from(["GET", "POST"]), TEXT),
    st.one_of(st.just("/v1"), TEXT.map("/{}".format)),
    st.lists(st.tuples(st.one_of(st.just("x-a"), TEXT), TEXT), max_size=4),
    st.binary(max_size=30),
)
def test_a_request_is_refused_or_read_as_exactly_one(
    method: str, target: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    try:
        data = encode_request(HttpCall(method, Origin("http", "h.test", 80), target, tuple(headers), body))
    except ConfigurationError:
        return
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    request = server.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target) == (method.encode(), target.encode())
    assert len(list(request.headers)) <= len(headers) + 3
    received = b""
    while isinstance(event := server.next_event(), h11.Data):
        received += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert received == body
    assert server.trailing_data[0] == b""


@given(
    st.dictionaries(
        st.sampled_from(["http_proxy", "HTTPS_PROXY", "all_proxy", "no_proxy", "REQUEST_METHOD"]),
        st.one_of(TEXT, TEXT.map("http://u:{}@h:1".format), st.text("*.,:/[]0123456789abc ", max_size=20)),
        max_size=4,
    ),
    st.sampled_from(["h.test", "127.0.0.1", "::1", "ü.test"]),
)
def test_any_proxy_settings_are_used_or_refused(environ: dict[str, str], host: str) -> None:
    try:
        proxies = proxies_from_environ(environ)
    except ConfigurationError:
        return
    proxies.proxy_for(Origin("https", host, 443))
    proxies.proxy_for(Origin("http", host, 80))
