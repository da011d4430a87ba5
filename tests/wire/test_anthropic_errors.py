"""Failing answers of the Messages API, recorded and written, become typed errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tercet.codecs.vocabulary import (
    AuthenticationError,
    BadRequestError,
    ContextLengthError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from tercet.codecs.wire.anthropic import AnthropicWire
from tercet.codecs.wire.anthropic_errors import error_in_stream

WIRE = AnthropicWire()


def envelope(kind: str, message: str = "no", **more: Any) -> bytes:
    return json.dumps(
        {"type": "error", "error": {"type": kind, "message": message, **more}, "request_id": "req_1"}
    ).encode()


@pytest.mark.parametrize(
    ("status", "kind", "error", "retryable"),
    [
        (400, "invalid_request_error", BadRequestError, False),
        (401, "authentication_error", AuthenticationError, False),
        (402, "billing_error", QuotaExceededError, False),
        (403, "permission_error", PermissionDeniedError, False),
        (404, "not_found_error", NotFoundError, False),
        (409, "conflict_error", ServerError, True),
        (413, "request_too_large", BadRequestError, False),
        (429, "rate_limit_error", RateLimitError, True),
        (500, "api_error", ServerError, True),
        (504, "timeout_error", ServerError, True),
        (529, "overloaded_error", OverloadedError, True),
        (401, "invalid_request_error", AuthenticationError, False),
        (529, "api_error", OverloadedError, True),
        (503, "overloaded_error", OverloadedError, True),
        (429, "error_of_tomorrow", RateLimitError, True),
    ],
)
def test_types_by_kind_and_status(
    status: int, kind: str, error: type[ProviderError], retryable: bool
) -> None:
    found = WIRE.error(status, {}, envelope(kind))
    assert type(found) is error
    assert (found.status, found.code, found.retryable, found.request_id, str(found)) == (
        status,
        kind,
        retryable,
        "req_1",
        "no",
    )


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("prompt is too long: 200251 tokens > 199999 maximum", ContextLengthError),
        ("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000", ContextLengthError),
        ("Your credit balance is too low to access the Anthropic API.", QuotaExceededError),
        ("You have reached your specified API usage limits.", QuotaExceededError),
        ("max_tokens: Field required", BadRequestError),
    ],
)
def test_what_hides_behind_a_bad_request(message: str, error: type[ProviderError]) -> None:
    assert type(WIRE.error(400, {}, envelope("invalid_request_error", message))) is error


def test_the_stable_code_and_the_headers() -> None:
    headers = {"request-id": "req_2", "retry-after": "7", "x-should-retry": "false"}
    found = WIRE.error(429, headers, envelope("rate_limit_error", details={"error_code": "tier_limit"}))
    assert (found.code, found.request_id, found.retry_after, found.retryable) == (
        "tier_limit",
        "req_2",
        7.0,
        False,
    )
    assert WIRE.error(400, {"x-should-retry": "true"}, envelope("invalid_request_error")).retryable


@pytest.mark.parametrize(
    ("status", "body", "error", "message"),
    [
        (
            429,
            b'[{"error":{"code":429,"message":"Quota","status":"RESOURCE_EXHAUSTED","details":[]}}]',
            RateLimitError,
            "Quota",
        ),
        (403, b'{"message":"not yours"}', PermissionDeniedError, "not yours"),
        (502, b"<html>bad gateway</html>", ServerError, "<html>bad gateway</html>"),
        (500, b"", ServerError, "the provider answered with status 500 and no body"),
        (400, b'{"error":"just text"}', BadRequestError, "just text"),
        (400, b"[" * 100_000, BadRequestError, "[" * 300),
        (418, b"\xff\xfe", BadRequestError, "\ufffd\ufffd"),
        (
            404,
            b'{"error":{"type":7,"message":[]},"request_id":{}}',
            NotFoundError,
            '{"error":{"type":7,"message":[]},"request_id":{}}',
        ),
    ],
)
def test_other_envelopes_are_read_by_status(
    status: int, body: bytes, error: type[ProviderError], message: str
) -> None:
    found = WIRE.error(status, {}, body)
    assert type(found) is error
    assert str(found) == message


def test_keys_do_not_reach_the_error() -> None:
    secret = "abcdefghij0123456789"
    found = WIRE.error(401, {}, envelope("authentication_error", f"invalid x-api-key: sk-ant-{secret}"))
    assert "invalid x-api-key" in str(found)
    assert secret not in f"{found} {found.body} {found.facts()}"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("overloaded_error", OverloadedError),
        ("rate_limit_error", RateLimitError),
        ("api_error", ServerError),
        ("timeout_error", ServerError),
        ("billing_error", QuotaExceededError),
        ("invalid_request_error", BadRequestError),
        ("error_of_tomorrow", ServerError),
    ],
)
def test_errors_inside_a_stream(kind: str, error: type[ProviderError]) -> None:
    found = error_in_stream(envelope(kind))
    assert type(found) is error
    assert (found.status, found.code, found.request_id) == (None, kind, "req_1")


def test_recorded_failures(shared: Path) -> None:
    cases = json.loads((shared / "vectors" / "llm-errors-recorded" / "cases.json").read_text("utf-8"))[
        "cases"
    ]
    found = [
        WIRE.error(case["status"], case["headers"], json.dumps(case["body"]).encode())
        for case in cases
        if case["provider_host"] == "api.anthropic.com"
    ]
    assert [(type(error), error.code) for error in found] == [
        (NotFoundError, "not_found_error"),
        (NotFoundError, "not_found_error"),
        (BadRequestError, "invalid_request_error"),
    ]
    assert all(error.request_id and error.request_id.startswith("req_") for error in found)
