"""Google's errors to ours: one shape over HTTP, inside a stream and inside an array.

::

    {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "...", "details": [
        {"@type": ".../google.rpc.RetryInfo", "retryDelay": "32s"},
        {"@type": ".../google.rpc.QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerDayPerProject..."}]},
        {"@type": ".../google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "metadata": {...}}]}}

The number says less than the words: a bad key is a 400, a request that is too long is a 400, no money and no patience are both a
429. So the details decide first, then the message (only where Google gives no machine-readable word), then the status.

Source: google.rpc.Status and error_details.proto; provider sheet ``gemini`` (2026-11); recorded errors of the public API.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from ..vocabulary import (
    AuthenticationError,
    ContentFilterError,
    ContextLengthError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from .base import Headers
from .shared import as_list, error_type_of_status, is_context_overflow, masked, request_id, retry_after

__all__ = ["STATUS_WORDS", "error_from_body", "error_from_object"]

STATUS_WORDS: Mapping[str, int] = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""google.rpc.Code in JSON, and its HTTP status."""

_KEY_REASONS = (
    "API_KEY_INVALID",
    "ACCESS_TOKEN_EXPIRED",
    "ACCESS_TOKEN_TYPE_UNSUPPORTED",
    "CREDENTIALS_MISSING",
)
_BAD_KEY = re.compile(r"API key (not valid|expired|not found)|pass a valid API key", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"token count .{0,60}but model only supports|exceeds the maximum number of tokens",
    re.IGNORECASE | re.DOTALL,
)
_PLACE_OR_BILLING = re.compile(
    r"location is not supported|not available in your (country|location)|enable billing", re.IGNORECASE
)
_BY_THE_DAY = re.compile(r"per[ _]?day|daily", re.IGNORECASE)
_NO_LIMIT_AT_ALL = re.compile(r"limit: 0\b")
_SECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


def error_from_body(status: int, headers: Headers, body: bytes) -> ProviderError:
    """The error of a failing status. ``body`` may be anything: an array around the object, HTML, nothing at all."""
    found = _error_object(_decoded(body))
    error = error_from_object(found, status=status, body=body[:8000].decode("utf-8", "replace"))
    return error.at(status=status, retry_after=retry_after(headers), request_id=request_id(headers))


def error_from_object(
    found: Mapping[str, Any] | None, *, status: int | None = None, body: str = ""
) -> ProviderError:
    """The error of Google's ``error`` object. Without ``status`` (inside a stream) its own ``code`` or word tells the kind."""
    fields: Mapping[str, Any] = found or {}
    message, word = _text(fields, "message"), _text(fields, "status")
    inner = _error_object(_decoded(message.encode("utf-8", "replace"))) if message[:1] in ("{", "[") else None
    if (
        inner is not None
    ):  # Google's own JavaScript client and some proxies put the whole answer into `message`
        return error_from_object(inner, status=status, body=body)
    details = _details(fields)
    reason = next((_text(detail, "reason") for detail in details if _text(detail, "reason")), "")
    code = fields.get("code")
    kind = _kind(
        status or (code if isinstance(code, int) else STATUS_WORDS.get(word, 500)), message, reason, details
    )
    said = (
        message or word or (f"{kind.__name__} without a message" if found is not None else body.strip()[:300])
    )
    return kind(
        masked(said) or f"HTTP {status} with an empty body",
        code=reason or word or None,
        retry_after=_retry_delay(details, message),
        body=masked(body),
    )


def _kind(status: int, message: str, reason: str, details: list[Mapping[str, Any]]) -> type[ProviderError]:
    if reason in _KEY_REASONS or (status == 400 and _BAD_KEY.search(message)):
        return AuthenticationError
    if status == 429:
        return QuotaExceededError if _is_used_up(message, details) else RateLimitError
    if status == 400:
        if is_context_overflow(message) or _TOO_LONG.search(message):
            return ContextLengthError
        if _PLACE_OR_BILLING.search(message):
            return PermissionDeniedError  # of this key and this place; another provider may well answer
        if reason in ("CONTENT_BLOCKED", "PROHIBITED_CONTENT", "SAFETY"):
            return ContentFilterError
    if status >= 500 and "overloaded" in message.lower():
        return OverloadedError
    kind = error_type_of_status(status)
    return (
        ServerError if kind is ProviderError else kind
    )  # an error inside a 200 stream may carry a number that is no status


def _is_used_up(message: str, details: list[Mapping[str, Any]]) -> bool:
    """Whether waiting a minute will not help. "Check your plan and billing details" stands in both kinds, so it decides nothing."""
    limits: list[str] = []
    for detail in details:
        for violation in as_list(detail.get("violations")):
            if isinstance(violation, dict):
                fields = cast("dict[str, Any]", violation)
                limits.append(_text(fields, "quotaId") + " " + _text(fields, "quotaMetric"))
                if str(fields.get("quotaValue")) == "0":
                    return True
        metadata = detail.get("metadata")
        if isinstance(metadata, dict):
            limits.append(_text(cast("dict[str, Any]", metadata), "quota_limit"))
        if _text(detail, "reason") in ("BILLING_DISABLED", "QUOTA_EXHAUSTED"):
            return True
    return any(_BY_THE_DAY.search(text) for text in (*limits, message)) or bool(
        _NO_LIMIT_AT_ALL.search(message)
    )


def _retry_delay(details: list[Mapping[str, Any]], message: str) -> float | None:
    for detail in details:
        match = _SECONDS.fullmatch(_text(detail, "retryDelay"))
        if match:
            return float(match[1])
    return retry_after({}, message)


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _error_object(answer: Any) -> Mapping[str, Any] | None:
    """``{"error": {...}}`` or the first of an array of them; a bare string or ``{"message": ...}`` counts too."""
    if isinstance(answer, list) and answer:
        answer = as_list(answer)[0]
    if not isinstance(answer, dict):
        return None
    fields = cast("dict[str, Any]", answer)
    error = fields.get("error")
    if isinstance(error, dict):
        return cast("dict[str, Any]", error)
    if isinstance(error, str):
        return {"message": _text(fields, "error_description") or error, "status": error}
    return fields if isinstance(fields.get("message"), str) else None


def _details(fields: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [
        cast("dict[str, Any]", detail)
        for detail in as_list(fields.get("details"))
        if isinstance(detail, dict)
    ]


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
