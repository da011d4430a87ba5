"""What failing answers mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tercet.codecs.vocabulary import TercetError
from tercet.codecs.wire.openai_chat import OpenAIChatWire
from tercet.codecs.wire.openai_errors import error_from_payload


def error(status: int, body: Any = b"", **headers: str) -> TercetError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return OpenAIChatWire().error(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, data
    )


def kind(fault: TercetError) -> str:
    return type(fault).__name__


# (host of the path, status, a word of the body) -> type, in the order of the file
RECORDED = [
    ("/v2/embed", "NotFoundError"),
    ("/v1beta/models/nonexistent-model:countTokens", "NotFoundError"),
    ("/v1beta/models/nonexistent-model:batchEmbedContents", "NotFoundError"),
    ("/v1/embeddings", "NotFoundError"),
    ("/v1/embeddings", "BadRequestError"),
    ("/v1/responses", "NotFoundError"),
    ("/v1/messages", "NotFoundError"),
    ("/model/us.amazon.nova-micro-v1%3AO/converse", "BadRequestError"),
    ("/v1beta/models/gemini-3.6-flahs:generateContent", "NotFoundError"),
    ("/openai/v1/chat/completions", "NotFoundError"),
    ("/v1/chat/completions", "NotFoundError"),
    ("/v1/messages/count_tokens", "NotFoundError"),
    ("/v1/messages", "UnsupportedError"),
    ("/model/us.anthropic.claude-sonnet-4-20250514-v1:0/count-tokens", "BadRequestError"),
    ("/model/anthropic.claude-sonnet-4-20250514-v1:0/count-tokens", "BadRequestError"),
    ("/responses", "BadRequestError"),
    ("/openai/v1/chat/completions", "NotFoundError"),
    ("/openai/v1/chat/completions", "BadRequestError"),
    ("/openai/v1/chat/completions", "BadRequestError"),
    (
        "/v1beta1/projects/PROJECT/locations/global/publishers/google/models/gemini-3-flash-preview:generateContent",
        "BadRequestError",
    ),
    ("/v1/chat/completions", "BadRequestError"),
    ("/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse", "UnsupportedError"),
    ("/model/us.amazon.nova-2-lite-v1%3A0/converse", "BadRequestError"),
    ("/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse", "UnsupportedError"),
    ("/v1/responses", "BadRequestError"),
    ("/v1/responses", "BadRequestError"),
    ("/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse", "BadRequestError"),
    ("/v1/responses", "BadRequestError"),
    ("/v1/chat/completions", "UnsupportedError"),
    ("/v1/chat/completions", "UnsupportedError"),
    ("/v1/chat/completions", "UnsupportedError"),
    ("/v1/responses", "BadRequestError"),
    ("/v1/responses", "BadRequestError"),
    ("/api/v1/chat/completions", "RateLimitError"),
]

FRAMES = {
    "context length in a 200 stream": "ContextLengthError",
    "responses error event, flat": "RateLimitError",
    "response.error": "OverloadedError",
    "numeric code in an error chunk": "RateLimitError",
    "overloaded in mid-stream": "OverloadedError",
    "overloaded as first event (no blank line at the end)": "OverloadedError",
    "529 overloaded": "OverloadedError",
    "429 RetryInfo 10s": "RateLimitError",
    "429 daily quota, no RetryInfo": "RateLimitError",
    "429 body is a JSON ARRAY around the error": "RateLimitError",
    "429 delay only in the message text": "RateLimitError",
    "429 as an HTML page without Retry-After": "RateLimitError",
}


def test_recorded_errors_have_their_types(shared: Path):
    cases = json.loads((shared / "vectors/llm-errors-recorded/cases.json").read_text())["cases"]
    found = [(case["path"], kind(error(case["status"], case["body"]))) for case in cases]
    assert found == RECORDED


def test_literal_error_frames_have_their_types(shared: Path):
    cases = json.loads((shared / "vectors/llm-error-frames/cases.json").read_text())["cases"]
    found: dict[str, str] = {}
    for case in cases:
        if case["name"] not in FRAMES:
            continue
        if case["kind"] == "http":
            found[case["name"]] = kind(error(case["status"], case["body"].encode()))
        else:
            lines = [line for line in "".join(case["chunks"]).splitlines() if line.startswith("data:")]
            found[case["name"]] = kind(error_from_payload(json.loads(lines[-1][5:])))
    assert found == FRAMES


def test_a_legacy_parameter_is_unsupported(shared: Path):
    path = shared / "vectors/llm-streams/vercel-ai/openai.chat.reasoning-model-legacy-parameter-error.json"
    fault = error(400, path.read_bytes())
    assert (kind(fault), fault.code) == ("UnsupportedError", "unsupported_parameter")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (
            400,
            {
                "error": {
                    "message": "This model's maximum context length is 8192 tokens.",
                    "code": "context_length_exceeded",
                }
            },
            "ContextLengthError",
        ),
        (
            400,
            {"error": {"message": "Please reduce the length of the messages or completion."}},
            "ContextLengthError",
        ),
        (400, {"message": "prompt is too long: 200001 tokens > 200000 maximum"}, "ContextLengthError"),
        (
            413,
            {
                "error": {
                    "message": "Request too large ... on tokens per minute (TPM)",
                    "code": "rate_limit_exceeded",
                }
            },
            "ContextLengthError",
        ),
        (
            400,
            {"error": {"message": "max_tokens exceeds the maximum context", "param": "max_tokens"}},
            "BadRequestError",
        ),
        (500, {"error": {"message": "context length lookup failed"}}, "ServerError"),
        (
            429,
            {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}},
            "QuotaExceededError",
        ),
        (
            429,
            {
                "error": {
                    "message": "You exceeded your current quota, please check",
                    "type": "rate_limit_error",
                }
            },
            "QuotaExceededError",
        ),
        (429, {"error": {"type": "exceeded_current_quota_error", "message": "x"}}, "QuotaExceededError"),
        (402, {"error": {"message": "Insufficient Balance"}}, "QuotaExceededError"),
        (400, {"error": {"message": "Insufficient Balance"}}, "QuotaExceededError"),
        (
            403,
            {"error": "Your team has used all available credits or reached its spending limit"},
            "QuotaExceededError",
        ),
        (429, {"error": {"code": "1113", "message": "x"}}, "QuotaExceededError"),
        (429, {"error": {"code": "1302", "message": "x"}}, "RateLimitError"),
        (429, {"error": {"type": "engine_overloaded_error", "message": "x"}}, "OverloadedError"),
        (400, {"error": {"code": "content_filter", "message": "x", "innererror": {}}}, "ContentFilterError"),
        (
            403,
            {
                "error": {
                    "code": 403,
                    "message": "x",
                    "metadata": {"reasons": ["violence"], "flagged_input": "..."},
                }
            },
            "ContentFilterError",
        ),
        (
            400,
            {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: x."},
            "AuthenticationError",
        ),
        (404, {"error": {"code": "DeploymentNotFound", "message": "x"}}, "NotFoundError"),
        (401, {"detail": "Unauthorized"}, "AuthenticationError"),
        (422, {"detail": [{"loc": ["body", "messages", 0], "msg": "field required"}]}, "BadRequestError"),
        (400, {"detail": {"error": "no"}}, "BadRequestError"),
        (400, {"detail": {"error": {"message": "no", "code": "content_filter"}}}, "ContentFilterError"),
        (403, {"error": {"message": "no"}}, "PermissionDeniedError"),
        (410, {"error": "model gone"}, "NotFoundError"),
        (408, b"", "ServerError"),
        (409, b"", "ServerError"),
        (498, b"", "OverloadedError"),
        (503, b"<html><head><title>503 Service Unavailable</title></head></html>", "OverloadedError"),
        (524, b"error code: 524", "ServerError"),
        (529, b"", "OverloadedError"),
        (418, b"[]", "BadRequestError"),
        (302, b"", "ProviderError"),
    ],
)
def test_statuses_and_words(status: int, body: Any, expected: str):
    fault = error(status, body)
    assert kind(fault) == expected
    assert fault.status == status
    assert str(fault)


@pytest.mark.parametrize("status", [408, 409, 429, 498, 500, 502, 503, 529])
def test_what_may_be_tried_again(status: int):
    assert error(status).retryable
    assert not error(status, x_should_retry="false").retryable
    assert not error(400).retryable
    assert error(400, x_should_retry="true").retryable
    assert not error(429, {"error": {"code": "insufficient_quota", "message": "x"}}).retryable


def test_the_facts_are_kept():
    fault = error(
        429,
        {"error": {"message": "Slow down", "code": "rate_limit_exceeded"}},
        x_request_id="req_1",
        retry_after="7",
    )
    assert (str(fault), fault.code, fault.request_id, fault.retry_after) == (
        "Slow down",
        "rate_limit_exceeded",
        "req_1",
        7.0,
    )
    assert fault.body.startswith('{"error"')
    assert (
        error(400, {"type": "error", "request_id": "req_2", "error": {"message": "x"}}).request_id == "req_2"
    )


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({"retry_after_ms": "250"}, "", 0.25),
        ({"retry_after_ms": "soon", "retry_after": "1.5"}, "", 1.5),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, "", None),
        ({"retry_after": "-1"}, "", None),
        ({}, "Please try again in 5.289s. Visit", 5.289),
        ({}, "Please try again in 2m59.56s.", 179.56),
        ({}, "Please try again in 1h2m.", 3720.0),
        ({}, "Please try again in 320ms.", 0.32),
        ({}, "Please try again in a while.", None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], message: str, seconds: float | None):
    waited = error(429, {"error": {"message": message}}, **headers).retry_after
    assert waited == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the provider answered with status 500 and an empty body"),
        (b"<html><title>502 Bad\n Gateway</title>", "the provider answered with status 500: 502 Bad Gateway"),
        (b"upstream  is\ngone", "the provider answered with status 500: upstream is gone"),
        (
            b'{"error":{"message":"Provider returned error","metadata":{"provider_name":"Z","raw":"busy"}}}',
            "Provider returned error (Z: busy)",
        ),
        (b'{"detail":[{"loc":["body",0],"msg":"missing"},"odd"]}', "body.0: missing; odd"),
        (b'{"error":{"message":{"nested":1}}}', '{"nested":1}'),
        (b'{"object":"error","message":{"detail":[{"loc":["body","x"],"msg":"extra"}]}}', "body.x: extra"),
    ],
)
def test_messages_are_sentences(body: bytes, message: str):
    assert str(error(500, body)) == message


def test_keys_are_not_repeated():
    fault = error(
        401, {"error": {"message": "Incorrect API key provided: sk-proj-abcdefgh12345678. Bearer abcdefghij"}}
    )
    assert "abcdefgh" not in str(fault) + fault.body
    assert "sk-***" in str(fault)


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe",
        b"[" * 10000,
        b"null",
        b"[null]",
        b'"x"',
        b"17",
        b'{"error":[{}]}',
        b'{"error":{"code":{},"metadata":[],"innererror":7}}',
    ],
)
def test_no_body_can_break_it(body: bytes):
    assert kind(error(500, body)) == "ServerError"
    assert kind(error_from_payload(None)) == "ServerError"
