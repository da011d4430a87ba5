"""The headers of limits and waits, dialect by dialect, and the tables of three SDKs and of curl."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tercet.adapters.http_dates import parse_http_date, parse_rfc3339
from tercet.adapters.rate_limits import (
    RateLimitState,
    Window,
    parse_rate_limits,
    parse_retry_after,
    should_retry_hint,
)

NOW = 1_696_004_797.0  # Fri, 29 Sep 2023 16:26:37 GMT
EMPTY = Window()

DIALECTS: dict[str, tuple[dict[str, str], RateLimitState | None]] = {
    "openai": (
        {
            "x-ratelimit-limit-requests": "5000",
            "x-ratelimit-remaining-requests": "4999",
            "x-ratelimit-reset-requests": "12ms",
            "x-ratelimit-limit-tokens": "160000",
            "x-ratelimit-remaining-tokens": "159976",
            "x-ratelimit-reset-tokens": "6m0s",
            "x-ratelimit-limit-tokens_usage_based": "160000",
            "x-ratelimit-remaining-tokens_usage_based": "159990",
            "x-ratelimit-remaining-input-images": "0",
        },
        RateLimitState(Window(5000, 4999, 0.012), Window(160_000, 159_976, 360.0)),
    ),
    "groq": (
        {
            "x-ratelimit-limit-requests": "14400",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "2m59.56s",
            "x-ratelimit-limit-tokens": "18000",
            "x-ratelimit-remaining-tokens": "17997",
            "x-ratelimit-reset-tokens": "7.66s",
        },
        RateLimitState(Window(14400, 0, 179.56), Window(18000, 17997, 7.66)),
    ),
    "anthropic": (
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2023-09-29T16:26:38Z",
            "anthropic-ratelimit-tokens-limit": "48000",
            "anthropic-ratelimit-tokens-remaining": "40000",
            "anthropic-ratelimit-tokens-reset": "2023-09-29T18:27:37.5+02:00",
            "anthropic-ratelimit-input-tokens-limit": "40000",
            "anthropic-ratelimit-input-tokens-remaining": "0",
            "anthropic-ratelimit-input-tokens-reset": "2023-09-29T16:26:00Z",
            "anthropic-ratelimit-output-tokens-remaining": "8000",
        },
        RateLimitState(
            Window(50, 49, 1.0), Window(48000, 40000, 60.5), Window(40000, 0, 0.0), Window(None, 8000, None)
        ),
    ),
    "anthropic, a subscription used up": (
        {
            "anthropic-ratelimit-unified-status": "rejected",
            "anthropic-ratelimit-unified-reset": str(int(NOW) + 3600),
            "anthropic-ratelimit-unified-5h-status": "rejected",
            "anthropic-ratelimit-unified-7d-utilization": "0.71",
        },
        RateLimitState(Window(None, 0, 3600.0)),
    ),
    "anthropic, a subscription with room": ({"anthropic-ratelimit-unified-status": "allowed"}, None),
    "cerebras": (
        {
            "x-ratelimit-limit-requests-day": "14400",
            "x-ratelimit-remaining-requests-day": "14399",
            "x-ratelimit-reset-requests-day": "33011.382867574692",
            "x-ratelimit-limit-requests-minute": "30",
            "x-ratelimit-remaining-requests-minute": "29",
            "x-ratelimit-reset-requests-minute": "11.38",
            "x-ratelimit-limit-tokens-minute": "60000",
            "x-ratelimit-remaining-tokens-minute": "50",
            "x-ratelimit-reset-tokens-minute": "26.5",
        },
        RateLimitState(Window(30, 29, 11.38), Window(60000, 50, 26.5)),
    ),
    "mistral": (
        {
            "x-ratelimit-limit-req-minute": "50",
            "x-ratelimit-remaining-req-minute": "49",
            "x-ratelimit-limit-tokens-minute": "50000",
            "x-ratelimit-remaining-tokens-minute": "47300",
            "x-ratelimit-tokens-query-cost": "1300",
        },
        RateLimitState(Window(50, 49), Window(50000, 47300)),
    ),
    "mistral, older": (
        {
            "ratelimitbysize-limit": "500000",
            "ratelimitbysize-remaining": "499000",
            "ratelimitbysize-reset": "47",
        },
        RateLimitState(tokens=Window(500_000, 499_000, 47.0)),
    ),
    "fireworks": (
        {
            "x-ratelimit-limit-tokens-generated": "72000",
            "x-ratelimit-remaining-tokens-generated": "69338",
            "x-ratelimit-limit-tokens-prompt": "7200000",
            "x-ratelimit-remaining-tokens-prompt": "7193993",
            "x-ratelimit-over-limit": "no",
        },
        RateLimitState(input_tokens=Window(7_200_000, 7_193_993), output_tokens=Window(72_000, 69_338)),
    ),
    "azure": (
        {
            "x-ratelimit-remaining-requests": "-1",
            "x-ratelimit-limit-requests": "10",
            "x-ratelimit-remaining-tokens": "9000",
            "x-ratelimit-reset-tokens": "0",
        },
        RateLimitState(Window(10), Window(None, 9000, 0.0)),
    ),
    "openrouter: milliseconds since 1970": (
        {
            "x-ratelimit-limit": "20",
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": str(int(NOW * 1000) + 1500),
        },
        RateLimitState(Window(20, 0, 1.5)),
    ),
    "seconds since 1970": (
        {"x-ratelimit-limit": "20", "x-ratelimit-remaining": "3", "x-ratelimit-reset": str(int(NOW) + 5)},
        RateLimitState(Window(20, 3, 5.0)),
    ),
    "together": (
        {
            "x-ratelimit-limit": "10",
            "x-ratelimit-remaining": "9",
            "x-tokenlimit-limit": "1000",
            "x-tokenlimit-remaining": "7",
        },
        RateLimitState(Window(10, 9), Window(1000, 7)),
    ),
    "an old draft": (
        {"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "98", "ratelimit-reset": "3"},
        RateLimitState(Window(100, 98, 3.0)),
    ),
    "a date as reset": (
        {"x-ratelimit-remaining": "98", "x-ratelimit-reset": "Fri, 29 Sep 2023 16:26:57 GMT"},
        RateLimitState(Window(None, 98, 20.0)),
    ),
    "huggingface": (
        {"ratelimit": '"api";r=999;t=295', "ratelimit-policy": '"fixed window";"api";q=1000;w=300'},
        RateLimitState(Window(1000, 999, 295.0)),
    ),
    "structured, several": (
        {
            "ratelimit": '"day";r=10;t=3600, "burst";r=3;t=2, "size";r=50;qu="tokens"',
            "ratelimit-policy": '"day";q=100;w=86400, "burst";q=5;w=10',
        },
        RateLimitState(Window(5, 3, 2.0), Window(None, 50)),
    ),
    "draft 07": ({"ratelimit": "limit=100, remaining=50, reset=5"}, RateLimitState(Window(100, 50, 5.0))),
    "relative to the provider's own clock": (
        {
            "date": "Fri, 29 Sep 2023 17:26:37 GMT",
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": str(int(NOW) + 3610),
        },
        RateLimitState(Window(None, 0, 10.0)),
    ),
    "of two exhausted windows the longer": (
        {
            "x-ratelimit-remaining-requests-minute": "0",
            "x-ratelimit-reset-requests-minute": "10",
            "x-ratelimit-remaining-requests-day": "0",
            "x-ratelimit-reset-requests-day": "7000",
        },
        RateLimitState(Window(None, 0, 7000.0)),
    ),
    "nothing": ({"content-type": "application/json", "x-request-limit": "5"}, None),
    "rubbish": (
        {
            "x-ratelimit-limit-requests": "many",
            "x-ratelimit-remaining-requests": "\u0661",
            "x-ratelimit-reset-requests": "soon",
            "x-ratelimit-remaining-tokens": "9" * 60,
            "anthropic-ratelimit-unified-status": "?",
            "ratelimit": '"open;r=',
        },
        None,
    ),
    "a reset that makes no sense is unknown": (
        {"x-ratelimit-remaining": "1", "x-ratelimit-reset": "9" * 30},
        RateLimitState(Window(None, 1)),
    ),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_dialects(name: str) -> None:
    headers, wanted = DIALECTS[name]
    got = parse_rate_limits(headers, wall_now=NOW)
    if wanted is None:
        assert got is None
        return
    assert got is not None
    for unit in ("requests", "tokens", "input_tokens", "output_tokens"):
        have, want = getattr(got, unit), getattr(wanted, unit)
        assert (have.limit, have.remaining) == (want.limit, want.remaining), unit
        assert have.reset == pytest.approx(want.reset), unit


def test_durations() -> None:
    for text, seconds in {
        "1s": 1,
        "6m0s": 360,
        "1h2m3s": 3723,
        "20ms": 0.02,
        "1m26.4s": 86.4,
        "1d2h": 93_600,
        "5\u00b5s": 5e-6,
    }.items():
        state = parse_rate_limits({"x-ratelimit-remaining": "1", "x-ratelimit-reset": text}, wall_now=NOW)
        assert state is not None
        assert state.requests.reset == pytest.approx(seconds), text


# --- Retry-After ---------------------------------------------------------------------------------------------

SDK_CAPS = {"openai_python": 120.0, "anthropic_python": 60.0}


def test_the_sdks_tables_agree(shared: Path) -> None:
    """A row whose delay is the SDK's own back-off (0.5 * 2**n, at most 8) is one where the SDK saw no hint, or one beyond its cap.

    The cap is policy (``RetryPolicy.max_retry_after``), so there the parser gives the number and only there it may differ.
    """
    tables = json.loads((shared / "vectors/retry-after/cases.json").read_text())
    wrong: list[str] = []
    for sdk, cap in SDK_CAPS.items():
        for row in tables[sdk]["rows"]:
            got = parse_retry_after({"retry-after": row["retry_after"]}, wall_now=tables[sdk]["now"])
            capped = None if got is not None and got > cap else got
            ignored = row["timeout_s"] in (0.5, 1.0, 2.0, 8)
            if capped != (None if ignored else row["timeout_s"]):
                wrong.append(f"{sdk}: {row['retry_after']!r} gave {got}, the SDK waits {row['timeout_s']}")
    for row in tables["openai_python"]["should_retry_429"]:
        got = parse_retry_after(row["headers"], wall_now=tables["openai_python"]["now"])
        if got is None or (got <= SDK_CAPS["openai_python"]) != row["retry"]:
            wrong.append(f"should_retry_429: {row} gave {got}")
    assert not wrong, "\n".join(wrong)


def test_smithys_table_agrees(shared: Path) -> None:
    table = json.loads((shared / "vectors/retry-after/cases.json").read_text())["smithy_typescript"]
    now = float(int(table["now"]))  # an IMF date has whole seconds
    wrong = []
    for row in table["rows"]:
        headers = {}
        for name, text in row["headers"].items():
            for seconds in (30, 60):
                text = text.replace(
                    f"<now+{seconds}s as IMF-fixdate>", formatdate(now + seconds, usegmt=True)
                )
                iso = datetime.fromtimestamp(now + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
                text = text.replace(f"<now+{seconds}s as ISO 8601>", iso)
            headers[name] = text
        got = parse_retry_after(headers, wall_now=now)
        if got != row["delay_s"]:
            wrong.append(f"{headers} gave {got}, not {row['delay_s']}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "0", "retry-after": "7"}, 7.0),
        ({"retry-after-ms": "rubbish", "retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, None),
        ({"retry-after": "1_000"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "\u0661\u0662"}, None),
        ({"retry-after": "315360000"}, None),
        ({"retry-after": "Friday, 29-Sep-23 16:26:57 GMT"}, 20.0),
        ({"retry-after": "Fri Sep 29 16:26:57 2023"}, 20.0),
        ({"retry-after": "Fri, 29 Sep 2023 17:26:47 GMT", "date": "Fri, 29 Sep 2023 17:26:37 GMT"}, 10.0),
        ({"retry-after": "Fri, 29 Sep 2023 16:26:57 GMT", "date": "rubbish"}, 20.0),
        ({"retry-after": "5, 9, 7"}, 9.0),
        ({"retry-after": "," * 300}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert parse_retry_after(headers, wall_now=NOW) == seconds


def test_should_retry() -> None:
    assert should_retry_hint({"x-should-retry": "true"}) is True
    assert should_retry_hint({"x-should-retry": " False"}) is False
    assert should_retry_hint({"x-should-retry": "maybe"}) is None
    assert should_retry_hint({}) is None


# --- dates ----------------------------------------------------------------------------------------------------


def test_curls_table_of_dates(shared: Path) -> None:
    """The three forms of HTTP are read; of the other rows each is refused or read as curl reads it. Nothing raises."""
    rows = json.loads((shared / "vectors/http-dates/curl_lib517.json").read_text())["cases"]
    got = [(row["text"], parse_http_date(row["text"], wall_now=NOW), row["epoch"]) for row in rows]
    assert [have for _, have, _ in got[:3]] == [784111777.0] * 3
    wrong = [
        f"{text!r} gave {have}, curl {want}" for text, have, want in got if have is not None and have != want
    ]
    assert not wrong, "\n".join(wrong)
    assert len(rows) == 181
    for text, _, _ in got:
        wait = parse_retry_after({"retry-after": text}, wall_now=NOW)
        assert wait is None or wait > 0


def test_dates_that_do_not_exist() -> None:
    assert parse_http_date("Fri, 31 Feb 2023 16:26:57 GMT", wall_now=NOW) is None
    assert parse_http_date("Fri, 29 Sep 2023 24:00:00 GMT", wall_now=NOW) is None
    assert parse_rfc3339("2023-13-01T00:00:00Z") is None
    assert parse_rfc3339("2023-09-29T16:26:37") is None
    assert parse_rfc3339("2023-09-29T16:26:37Z") == NOW
    assert parse_rfc3339("2023-09-29t18:26:37.25+02:00") == NOW + 0.25
    assert parse_rfc3339("2023-09-29 14:26:37-02:00") == NOW


def test_two_digit_years_lie_at_most_fifty_years_ahead() -> None:
    assert parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT", wall_now=NOW) == 784111777.0
    ahead = parse_http_date("Sunday, 06-Nov-39 08:49:37 GMT", wall_now=NOW)
    assert ahead is not None
    assert ahead > NOW


# --- nothing raises -------------------------------------------------------------------------------------------


def names() -> Iterator[str]:
    for headers, _ in DIALECTS.values():
        yield from headers
    yield from (
        "retry-after",
        "retry-after-ms",
        "x-amz-retry-after",
        "ratelimit-policy",
        "date",
        "x-ratelimit-",
        "x-ratelimit-limit-",
    )


values = st.one_of(
    st.text(max_size=40),
    st.sampled_from([value for headers, _ in DIALECTS.values() for value in headers.values()]),
    st.floats().map(str),
    st.integers().map(str),
)


# The first text draws load hypothesis's Unicode tables: slow once, and no fault of the strategy.
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(sorted(set(names()))), values, max_size=12))
def test_whatever_the_headers_hold(headers: dict[str, str]) -> None:
    state = parse_rate_limits(headers, wall_now=NOW)
    if state is not None:
        for window in (state.requests, state.tokens, state.input_tokens, state.output_tokens):
            assert window.remaining is None or window.remaining >= 0
            assert window.limit is None or window.limit >= 0
            assert window.reset is None or 0 <= window.reset <= 366 * 86_400
    hint = parse_retry_after(headers, wall_now=NOW)
    assert hint is None or 0 < hint <= 366 * 86_400
