"""Google's errors become ours: whose fault, and may one try again."""

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
    QuotaExceededError,
    RateLimitError,
    ServerError,
    TercetError,
)
from tercet.codecs.wire.gemini import GeminiWire

WIRE = GeminiWire()


def google(status: int, word: str, message: str = "", *details: dict[str, Any]) -> TercetError:
    error = {"code": status, "message": message, "status": word, "details": list(details)}
    return WIRE.error(status, {}, json.dumps({"error": error}).encode())


def quota(quota_id: str, **facts: Any) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": quota_id, **facts}],
    }


def info(reason: str, **metadata: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": metadata}


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "32.5s"}
PLAN = "You exceeded your current quota, please check your plan and billing details."


@pytest.mark.parametrize(
    ("status", "word", "message", "details", "kind"),
    [
        (400, "INVALID_ARGUMENT", "Invalid value", [], BadRequestError),
        (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", [], AuthenticationError),
        (400, "INVALID_ARGUMENT", "?", [info("API_KEY_INVALID")], AuthenticationError),
        (
            400,
            "INVALID_ARGUMENT",
            "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).",
            [],
            ContextLengthError,
        ),
        (
            400,
            "INVALID_ARGUMENT",
            "Unable to submit request because the input token count is 1100000 but model only supports up to 1048576.",
            [],
            ContextLengthError,
        ),
        (
            400,
            "FAILED_PRECONDITION",
            "User location is not supported for the API use.",
            [],
            PermissionDeniedError,
        ),
        (401, "UNAUTHENTICATED", "no credentials", [], AuthenticationError),
        (403, "PERMISSION_DENIED", "blocked", [info("API_KEY_SERVICE_BLOCKED")], PermissionDeniedError),
        (404, "NOT_FOUND", "models/x is not found", [], NotFoundError),
        (429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).", [], RateLimitError),
        (
            429,
            "RESOURCE_EXHAUSTED",
            PLAN,
            [quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"), RETRY],
            RateLimitError,
        ),
        (
            429,
            "RESOURCE_EXHAUSTED",
            PLAN,
            [quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), RETRY],
            QuotaExceededError,
        ),
        (
            429,
            "RESOURCE_EXHAUSTED",
            PLAN,
            [quota("GenerateContentInputTokensPerModelPerMinute", quotaValue="0")],
            QuotaExceededError,
        ),
        (429, "RESOURCE_EXHAUSTED", PLAN + "\n* limit: 0, model: gemini-2.5-pro", [], QuotaExceededError),
        (
            429,
            "RESOURCE_EXHAUSTED",
            "?",
            [info("RATE_LIMIT_EXCEEDED", quota_limit="Gemini25ProRequestsPerDay")],
            QuotaExceededError,
        ),
        (500, "INTERNAL", "An internal error has occurred", [], ServerError),
        (500, "INTERNAL", "The model is overloaded. Please try again later.", [], OverloadedError),
        (503, "UNAVAILABLE", "The service is currently unavailable.", [], OverloadedError),
        (504, "DEADLINE_EXCEEDED", "", [], ServerError),
        (499, "CANCELLED", "", [], ServerError),
    ],
)
def test_kinds(
    status: int, word: str, message: str, details: list[dict[str, Any]], kind: type[TercetError]
) -> None:
    error = google(status, word, message, *details)
    assert type(error) is kind
    assert error.status == status
    assert error.message == (message or word)


def test_facts() -> None:
    error = google(429, "RESOURCE_EXHAUSTED", PLAN, quota("PerMinute"), RETRY)
    assert (error.retry_after, error.code, error.retryable) == (32.5, "RESOURCE_EXHAUSTED", True)
    assert google(400, "INVALID_ARGUMENT", "?", info("API_KEY_INVALID")).code == "API_KEY_INVALID"
    assert google(429, "RESOURCE_EXHAUSTED", "Please retry in 20.04466179s.").retry_after == 20.04466179
    headed = WIRE.error(503, {"retry-after": "7", "x-request-id": "r-1"}, b"")
    assert (headed.retry_after, headed.request_id, headed.message) == (
        7.0,
        "r-1",
        "HTTP 503 with an empty body",
    )


def test_shapes_that_are_not_quite_googles() -> None:
    inner = {"error": {"code": 429, "message": "Resource exhausted.", "status": "RESOURCE_EXHAUSTED"}}
    in_array = WIRE.error(429, {}, json.dumps([inner]).encode())
    nested = WIRE.error(
        429,
        {},
        json.dumps({"error": {"message": json.dumps(inner), "code": 429, "status": "Too Many"}}).encode(),
    )
    assert [type(one) for one in (in_array, nested)] == [RateLimitError, RateLimitError]
    assert nested.message == in_array.message == "Resource exhausted."
    oauth = WIRE.error(400, {}, b'{"error":"invalid_grant","error_description":"Bad Request"}')
    assert (oauth.code, oauth.message) == ("invalid_grant", "Bad Request")
    assert WIRE.error(404, {}, b'{"message":"no route"}').message == "no route"
    html = WIRE.error(502, {}, b"<html>Bad Gateway</html>")
    assert (type(html), html.message) == (ServerError, "<html>Bad Gateway</html>")


def test_keys_in_messages_are_masked() -> None:
    key = "AIza" + "Sy" * 18
    error = google(400, "INVALID_ARGUMENT", f"bad key {key}")
    assert key not in error.message
    assert key not in error.body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"[[]]",
        b"{}",
        b'{"error":null}',
        b'{"error":[]}',
        b'{"error":{"details":[1,{"violations":[2]}]}}',
        b"\xff",
        b"[" * 9999,
    ],
)
def test_no_body_makes_it_raise(body: bytes) -> None:
    for status in (400, 418, 429, 500, 200, 0):
        assert WIRE.error(status, {}, body).message


def test_recorded_errors(shared: Path) -> None:
    frames = json.loads((shared / "vectors" / "llm-error-frames" / "cases.json").read_text())
    expected = {
        "429 RetryInfo 10s": (RateLimitError, 10.0),
        "429 daily quota, no RetryInfo": (QuotaExceededError, None),
        "429 body is a JSON ARRAY around the error": (RateLimitError, None),
    }
    for case in frames if isinstance(frames, list) else frames["cases"]:
        if case["name"] in expected and case["provider"] == "gemini":
            error = WIRE.error(case["status"], case["headers"], case["body"].encode())
            assert (type(error), error.retry_after) == expected.pop(case["name"])
    assert not expected
    cases = json.loads((shared / "vectors" / "llm-errors-recorded" / "cases.json").read_text())
    found = [
        one
        for one in (cases if isinstance(cases, list) else cases["cases"])
        if "googleapis.com" in one["provider_host"]
    ]
    kinds = {404: NotFoundError, 400: BadRequestError}
    for case in found:
        error = WIRE.error(case["status"], case["headers"], json.dumps(case["body"]).encode())
        assert type(error) is kinds[case["status"]]
        assert error.message == case["body"]["error"]["message"]
    assert len(found) >= 4
