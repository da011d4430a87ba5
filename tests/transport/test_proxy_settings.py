"""Which proxy is taken for which origin, from the settings that curl and others share."""

from __future__ import annotations

import pytest

from tercet.adapters.call import Origin
from tercet.codecs.vocabulary import ConfigurationError
from tercet.engine.runtime.transport import Proxy, proxies_from_environ
from tercet.engine.runtime.transport.proxy import connect_request, parse_proxy

HTTP = Origin("http", "api.example.com", 80)
HTTPS = Origin("https", "api.example.com", 443)


def at(proxy: Proxy | None) -> str | None:
    return None if proxy is None else str(proxy.origin)


@pytest.mark.parametrize(
    ("environ", "http", "https"),
    [
        ({}, None, None),
        ({"HTTPS_PROXY": ""}, None, None),
        ({"HTTPS_PROXY": "http://p:3128"}, None, "http://p:3128"),
        ({"HTTP_PROXY": "http://p:3128"}, "http://p:3128", None),
        ({"ALL_PROXY": "p:3128"}, "http://p:3128", "http://p:3128"),
        ({"ALL_PROXY": "http://a", "HTTPS_PROXY": "http://b"}, "http://a", "http://b"),
        ({"https_proxy": "http://lower", "HTTPS_PROXY": "http://upper"}, None, "http://lower"),
        ({"https_proxy": "https://p"}, None, "https://p"),
        ({"https_proxy": "http://[::1]:3128"}, None, "http://[::1]:3128"),
        ({"HTTP_PROXY": "http://p", "REQUEST_METHOD": "GET"}, None, None),
        ({"http_proxy": "http://p", "REQUEST_METHOD": "GET"}, "http://p", None),
        (
            {"ALL_PROXY": "socks5://s", "HTTP_PROXY": "http://p", "HTTPS_PROXY": "http://q"},
            "http://p",
            "http://q",
        ),
    ],
)
def test_the_settings_name_the_proxies(environ: dict[str, str], http: str | None, https: str | None) -> None:
    proxies = proxies_from_environ(environ)
    assert at(proxies.proxy_for(HTTP)) == http
    assert at(proxies.proxy_for(HTTPS)) == https


@pytest.mark.parametrize(
    ("rules", "host", "port", "direct"),
    [
        ("*", "api.example.com", 443, True),
        ("example.com", "example.com", 443, True),
        ("example.com", "api.example.com", 443, True),
        (".example.com", "api.example.com", 443, True),
        (".example.com", "example.com", 443, True),
        ("*.example.com", "api.example.com", 443, True),
        ("EXAMPLE.com", "Api.Example.COM", 443, True),
        ("example.com", "api.example.com.", 443, True),
        ("example.com", "notexample.com", 443, False),
        ("api.example.com", "example.com", 443, False),
        ("a.test, b.test  c.test", "c.test", 443, True),
        ("example.com:8443", "api.example.com", 8443, True),
        ("example.com:8443", "api.example.com", 443, False),
        ("127.0.0.1", "127.0.0.1", 443, True),
        ("127.0.0.1", "127.0.0.2", 443, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.5/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.0.0.0/8", "ten.example", 443, False),
        ("10.0.0.0/99", "10.1.2.3", 443, False),
        ("::1", "::1", 443, True),
        ("0:0:0:0:0:0:0:1", "::1", 443, True),
        ("[::1]:8080", "::1", 8080, True),
        ("[::1]:8080", "::1", 8081, False),
        ("fd00::/8", "fd12::1", 443, True),
        (".", "api.example.com", 443, False),
        ("", "api.example.com", 443, False),
    ],
)
def test_no_proxy_says_what_is_reached_directly(rules: str, host: str, port: int, direct: bool) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        proxies = proxies_from_environ({"https_proxy": "http://p", name: rules})
        assert (proxies.proxy_for(Origin("https", host, port)) is None) is direct


def test_credentials_become_a_header_and_are_shown_nowhere() -> None:
    proxies = proxies_from_environ({"ALL_PROXY": "http://us%40er:p%3Ass@proxy:3128"})
    proxy = proxies.proxy_for(HTTPS)
    assert proxy is not None
    assert proxy.authorization == "Basic dXNAZXI6cDpzcw=="
    for text in (repr(proxy), repr(proxies), str(proxy)):
        assert "dXNA" not in text
        assert "p%3Ass" not in text
    request = connect_request(HTTPS, proxy)
    assert request == (
        b"CONNECT api.example.com:443 HTTP/1.1\r\nhost: api.example.com:443\r\nproxy-authorization: Basic dXNAZXI6cDpzcw==\r\n\r\n"
    )
    assert proxy.forward(HTTP).prefix == "http://api.example.com"


@pytest.mark.parametrize(
    "value",
    ["socks5://user:secret@p:1080", "http://user:secret@", "http://user:secret@p:port", "http://[:secret"],
)
def test_a_setting_that_cannot_be_used_is_an_error_that_does_not_show_it(value: str) -> None:
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught:
        proxies_from_environ({"HTTPS_PROXY": value})
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_tunnel_to_an_address_of_the_sixth_version_is_bracketed() -> None:
    proxy = parse_proxy("p", setting="here")
    assert connect_request(Origin("https", "::1", 443), proxy).startswith(b"CONNECT [::1]:443 HTTP/1.1\r\n")
    assert connect_request(Origin("https", "bücher.example", 443), proxy).startswith(
        b"CONNECT xn--bcher-kva.example:443 "
    )
