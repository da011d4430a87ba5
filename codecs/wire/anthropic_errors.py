"""What Anthropic's errors mean: of a failing status, and of an ``error`` event inside a stream that began with 200.

Source: Anthropic's API reference, page "Errors" (2026-11), and recorded answers. The body is
``{"type": "error", "error": {"type", "message", "details": {"error_code"}}, "request_id"}``. In front of the API stand gateways
with envelopes of their own (Google's on Vertex, AWS's on Bedrock): of those the message is read and the status decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from ..vocabulary import (
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
from .base import Headers
from .shared import error_type_of_status, is_context_overflow, masked, request_id, retry_after

__all__ = ["error_in_stream", "error_of_status"]

_BY_KIND: dict[str, type[ProviderError]] = {
    "invalid_request_error": BadRequestError,
    "authentication_error": AuthenticationError,
    "billing_error": QuotaExceededError,
    "permission_error": PermissionDeniedError,
    "not_found_error": NotFoundError,
    "request_too_large": BadRequestError,
    "rate_limit_error": RateLimitError,
    "api_error": ServerError,
    "timeout_error": ServerError,
    "overloaded_error": OverloadedError,
}
# Gateways put these two words on everything; a status that is more exact than they are wins over them.
_CATCH_ALL = {"invalid_request_error": 400, "api_error": 500}
# An empty account is reported as 400 invalid_request_error, not as 402 (seen 2024 to 2026).
_NO_MONEY = re.compile(r"credit balance is too low|reached your specified API usage limits", re.IGNORECASE)


def error_of_status(status: int, headers: Headers, body: bytes) -> ProviderError:
    """The error of a failing answer. ``code`` is ``details.error_code`` where given, else the error's type. Never raises."""
    text = body[:100_000].decode("utf-8", "replace")
    kind, message, code, told_id = _facts(_parsed(body))
    if not message:
        message = " ".join(text.split())[:300] or f"the provider answered with status {status} and no body"
    error = _typed(kind, message, code, status)
    if error is RateLimitError and headers.get("anthropic-ratelimit-unified-status") == "rejected":
        error = (
            QuotaExceededError  # a subscription's window of hours or days: waiting a minute changes nothing
        )
    should_retry = headers.get("x-should-retry")
    return error(
        masked(message),
        status=status,
        code=code or kind,
        request_id=request_id(headers) or told_id,
        retry_after=retry_after(headers),
        retryable={"true": True, "false": False}.get(should_retry or ""),
        body=masked(text[:2500]),
    )


def error_in_stream(data: bytes | memoryview) -> ProviderError:
    """The error that an ``error`` event stands for.

    An unknown type is a :class:`ServerError`: the request had been accepted, so what failed afterwards is the provider.
    """
    body = bytes(data)
    kind, message, code, told_id = _facts(_parsed(body))
    text = body[:10_000].decode("utf-8", "replace")
    error = _typed(kind, message, code, None)
    message = message or f"the provider broke the answer off: {text[:300]}"
    return error(masked(message), code=code or kind, request_id=told_id, body=masked(text[:2500]))


def _typed(kind: str | None, message: str, code: str | None, status: int | None) -> type[ProviderError]:
    error = _BY_KIND.get(kind or "")
    if status is None:
        error = error or ServerError
    elif error is None or _CATCH_ALL.get(kind or "", status) != status:
        error = error_type_of_status(status)
    if error is BadRequestError:
        if _NO_MONEY.search(message):
            return QuotaExceededError
        if status in (None, 400, 413) and is_context_overflow(f"{code} {message}"):
            return ContextLengthError
    return error


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        value: Any = msgspec.json.decode(body)
    except (ValueError, RecursionError):  # msgspec's and Unicode's errors are ValueErrors
        return {}
    if (
        isinstance(value, list) and value
    ):  # Google wraps the envelope into a list where the request was a streaming one
        value = cast("Sequence[Any]", value)[0]
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _facts(body: dict[str, Any]) -> tuple[str | None, str, str | None, str | None]:
    """Type, message, error code and request id, as far as they are there."""
    inner: Any = body.get("error")
    error = cast("dict[str, Any]", inner) if isinstance(inner, dict) else body
    details: Any = error.get("details")
    stable: Any = cast("dict[str, Any]", details).get("error_code") if isinstance(details, dict) else None
    message = _text(error.get("message")) or _text(inner) or _text(error.get("Message")) or ""
    kind = _text(error.get("type")) or _text(error.get("status"))
    return (None if kind == "error" else kind), message, _text(stable), _text(body.get("request_id"))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
