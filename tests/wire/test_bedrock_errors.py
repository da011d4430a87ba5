"""Failing answers of Bedrock: each of AWS's types is the error that says whose fault it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tercet.codecs.vocabulary import (
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    ContextLengthError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from tercet.codecs.wire.bedrock_converse import BedrockConverseWire

WIRE = BedrockConverseWire()


@pytest.mark.parametrize(
    ("status", "kind", "message", "error", "is_retryable"),
    [
        (400, "ValidationException", "bad", BadRequestError, False),
        (400, "ValidationException", "Input is too long for requested model.", ContextLengthError, False),
        (400, "ValidationException", "The model returned the following errors: prompt is too long: 205000 tokens > 200000 maximum", ContextLengthError, False),
        (400, "ValidationException", "Too many input tokens. Max input tokens: 4096, request input token count: 9000", ContextLengthError, False),
        (400, "ValidationException", "The model returned the following errors: Input Tokens Exceeded: Number of input tokens exceeds maximum length", ContextLengthError, False),
        (400, "ValidationException", "The provided model identifier is invalid.", NotFoundError, False),
        (400, "ValidationException", "Output blocked by content filtering policy", ContentFilterError, False),
        (400, "ServiceQuotaExceededException", "quota", QuotaExceededError, False),
        (403, "AccessDeniedException", "You don't have access to the model with the specified model ID.", PermissionDeniedError, False),
        (403, "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid.", AuthenticationError, False),
        (403, "UnrecognizedClientException", "The security token included in the request is invalid.", AuthenticationError, False),
        (403, "ExpiredTokenException", "The security token included in the request is expired", AuthenticationError, False),
        (403, "InvalidSignatureException", "Signature expired", AuthenticationError, False),
        (404, "ResourceNotFoundException", "no model", NotFoundError, False),
        (408, "ModelTimeoutException", "slow", ServerError, True),
        (424, "ModelErrorException", "x", ServerError, False),
        (424, "ModelStreamErrorException", "x", ServerError, True),
        (429, "ThrottlingException", "Too many tokens, please wait before trying again.", RateLimitError, True),
        (429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", QuotaExceededError, False),
        (429, "ModelNotReadyException", "loading", OverloadedError, True),
        (500, "InternalServerException", "x", ServerError, True),
        (503, "ServiceUnavailableException", "Bedrock is unable to process your request.", OverloadedError, True),
        (418, "TeapotException", "x", BadRequestError, False),
        (502, "", "x", ServerError, True),
    ],
)  # fmt: skip
def test_types(status: int, kind: str, message: str, error: type[ProviderError], is_retryable: bool) -> None:
    headers = {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/x/", "x-amzn-requestid": "r-1"}
    found = WIRE.error(status, headers, json.dumps({"message": message}).encode())
    assert type(found) is error
    assert (found.message, found.status, found.code, found.request_id) == (
        message,
        status,
        kind or None,
        "r-1",
    )
    assert found.retryable is is_retryable


def test_the_type_may_stand_in_the_body() -> None:
    body = b'{"__type":"com.amazon.coral.service#UnrecognizedClientException","Message":"who?"}'
    found = WIRE.error(400, {}, body)
    assert (type(found), found.code, found.message) == (
        AuthenticationError,
        "UnrecognizedClientException",
        "who?",
    )


def test_what_the_model_itself_answered_decides() -> None:
    body = b'{"message":"m","originalStatusCode":400,"resourceName":"r"}'
    assert type(WIRE.error(424, {"x-amzn-errortype": "ModelErrorException"}, body)) is BadRequestError


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Bedrock answered with status 500 and no body"),
        (b"<html>\n  <b>Oops</b>", "<html> <b>Oops</b>"),
        (b'{"message":7}', '{"message":7}'),
        (b"\xff" * 3, "\ufffd" * 3),
        (b"[" * 100_000, "[" * 300),
    ],
)
def test_bodies_that_say_nothing(body: bytes, message: str) -> None:
    found = WIRE.error(500, {}, body)
    assert (type(found), found.message, found.code) == (ServerError, message, None)


def test_keys_are_cut_out() -> None:
    found = WIRE.error(403, {}, b'{"message":"Invalid API Key: Bearer ABSKQmVkcm9ja0FQSUtleS"}')
    assert "ABSK" not in found.message + found.body


def test_recorded_failures(shared: Path) -> None:
    cases = json.loads((shared / "vectors" / "llm-errors-recorded" / "cases.json").read_text())
    cases = cases if isinstance(cases, list) else cases["cases"]
    seen = 0
    for case in cases:
        if "bedrock" not in case.get("provider_host", ""):
            continue
        seen += 1
        found = WIRE.error(case["status"], case["headers"], json.dumps(case["body"]).encode())
        expected = NotFoundError if "identifier is invalid" in found.message else BadRequestError
        assert type(found) is expected, case["source_file"]
        assert found.message == case["body"]["message"]
    assert seen >= 6
