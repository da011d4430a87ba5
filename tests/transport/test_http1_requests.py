"""Requests as bytes, and what is refused before anything is sent."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given, settings, strategies as st

from tercet.adapters.call import HttpCall, Origin
from tercet.codecs.vocabulary import ConfigurationError
from tercet.engine.runtime.transport import Forward, check_headers, encode_request

ORIGIN = Origin("https", "api.example.com", 443)
SECRET = "sk-very-secret"


def call(**changes: object) -> HttpCall:
    fields: dict[str, object] = {
        "method": "POST",
        "origin": ORIGIN,
        "target": "/v1/chat",
        "headers": (),
        "body": b"{}",
    }
    return HttpCall(**(fields | changes))  # type: ignore[arg-type]  # a table of fields


def test_a_request_is_one_buffer() -> None:
    data = encode_request(
        call(headers=(("Authorization", "Bearer x"), ("content-type", "application/json")), body=b'{"a":1}')
    )
    assert data == (
        b"POST /v1/chat HTTP/1.1\r\nhost: api.example.com\r\nAuthorization: Bearer x\r\ncontent-type: application/json\r\n"
        b'accept-encoding: identity\r\ncontent-length: 7\r\n\r\n{"a":1}'
    )


def test_a_get_has_no_length_and_an_empty_post_has() -> None:
    assert b"content-length" not in encode_request(call(method="GET", body=b""))
    assert b"content-length: 0\r\n\r\n" in encode_request(call(method="POST", body=b""))
    assert encode_request(call(method="GET", body=b"")).endswith(b"identity\r\n\r\n")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (Origin("http", "127.0.0.1", 11434), b"127.0.0.1:11434"),
        (Origin("http", "localhost", 80), b"localhost"),
        (Origin("https", "localhost", 80), b"localhost:80"),
        (Origin("https", "::1", 8443), b"[::1]:8443"),
        (Origin("https", "bücher.example", 443), b"xn--bcher-kva.example"),
    ],
)
def test_the_host_header_names_the_origin(origin: Origin, host: bytes) -> None:
    assert b"\r\nhost: " + host + b"\r\n" in encode_request(call(origin=origin))


def test_the_callers_own_host_and_encoding_are_kept_once() -> None:
    data = encode_request(
        call(headers=(("Host", "signed.example"), ("Accept-Encoding", "gzip"), ("Content-Length", "2")))
    )
    assert data.lower().count(b"\r\nhost:") == 1
    assert b"Host: signed.example" in data
    assert data.lower().count(b"accept-encoding") == 1
    assert data.lower().count(b"content-length") == 1


def test_a_forward_proxy_gets_the_absolute_form_and_its_own_header() -> None:
    forward = Forward("http://api.example.com", (("proxy-authorization", "Basic eDp5"),))
    data = encode_request(call(), forward=forward)
    assert data.startswith(b"POST http://api.example.com/v1/chat HTTP/1.1\r\n")
    assert b"proxy-authorization: Basic eDp5\r\n" in data
    assert "eDp5" not in repr(forward)


@pytest.mark.parametrize(
    "value", [f"{SECRET}\n", f"{SECRET}\r\nx-evil: 1", f"\0{SECRET}", f"{SECRET}\x7f", f"{SECRET}€"]
)
def test_a_value_that_does_not_fit_on_its_line_is_refused_without_showing_it(value: str) -> None:
    for refuse in (lambda h: encode_request(call(headers=h)), check_headers):
        with pytest.raises(ConfigurationError, match="authorization") as caught:
            refuse((("authorization", value),))
        assert SECRET not in str(caught.value)
        assert SECRET not in repr(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "ä", f"{SECRET}\n"])
def test_a_name_that_is_no_token_is_refused_without_showing_it(name: str) -> None:
    with pytest.raises(ConfigurationError, match="header 2") as caught:
        check_headers((("ok", ""), (name, "value")))
    assert SECRET not in str(caught.value)
    with pytest.raises(ConfigurationError):
        encode_request(call(headers=(("ok", ""), (name, "value"))))


def test_values_that_are_unusual_but_allowed_pass() -> None:
    data = encode_request(call(headers=(("x-tab", "a\tb"), ("x-latin", "é"), ("x-empty", ""))))
    assert b"x-tab: a\tb\r\nx-latin: \xe9\r\nx-empty: \r\n" in data


@pytest.mark.parametrize(
    "changes",
    [
        {"target": ""},
        {"target": "v1"},
        {"target": "/a b"},
        {"target": "/a\r\nx: y"},
        {"target": "/ä"},
        {"target": "https://other.example/"},
        {"method": ""},
        {"method": "GET /"},
        {"method": "G\r\n"},
        {"headers": (("transfer-encoding", "chunked"),)},
        {"headers": (("content-length", "3"),)},
        {"headers": (("Content-Length", "+2"),)},
        {"origin": Origin("http", "a b", 80)},
        {"origin": Origin("http", "a\r\nx: y", 80)},
        {"origin": Origin("http", "ü" * 100, 80)},
    ],
)
def test_what_cannot_be_sent_as_it_is_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        encode_request(call(**changes))


@given(
    st.lists(
        st.tuples(
            st.text("abcXYZ-_09", min_size=1, max_size=10).map("x-{}".format),
            st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30),
        ),
        max_size=8,
    ),
    st.binary(max_size=200),
)
@settings(max_examples=100, deadline=None)
def test_another_parser_reads_back_what_was_written(headers: list[tuple[str, str]], body: bytes) -> None:
    server = h11.Connection(h11.SERVER)
    server.receive_data(encode_request(call(headers=tuple(headers), body=body)))
    request = server.next_event()
    assert isinstance(request, h11.Request)
    found = [(name.decode(), value.decode()) for name, value in request.headers if name.startswith(b"x-")]
    assert found == [(name.lower(), value) for name, value in headers]
    received = b""
    while isinstance(event := server.next_event(), h11.Data):
        received += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert received == body
