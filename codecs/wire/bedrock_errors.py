"""What Bedrock's failures mean: of a failing status, and of an exception inside a stream that began with 200.

An error is named by its type: in the header ``x-amzn-errortype`` (cut at ``:``), or as ``__type`` in the body (behind a ``#``), or, in a
stream, as the message's ``:exception-type``, there with a small first letter. The body says ``message``, now and then ``Message``.
Sources: Amazon Bedrock API reference (Converse, InvokeModel, "Common errors") and User Guide ("Troubleshooting API error codes"),
2026-11; recorded answers.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ..vocabulary import (
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
from .base import Headers
from .shared import as_object, error_type_of_status, is_context_overflow, masked, request_id, retry_after

__all__ = ["error_in_stream", "error_of_status"]

_BY_TYPE: dict[str, type[ProviderError]] = {
    "accessdenied": PermissionDeniedError,
    "optinrequired": PermissionDeniedError,
    "notauthorized": PermissionDeniedError,
    "unrecognizedclient": AuthenticationError,
    "expiredtoken": AuthenticationError,
    "invalidclienttokenid": AuthenticationError,
    "invalidsignature": AuthenticationError,
    "incompletesignature": AuthenticationError,
    "missingauthenticationtoken": AuthenticationError,
    "requestexpired": AuthenticationError,
    "requesttimetooskewed": AuthenticationError,
    "validation": BadRequestError,
    "servicequotaexceeded": QuotaExceededError,
    "resourcenotfound": NotFoundError,
    "throttling": RateLimitError,
    "throttled": RateLimitError,
    "toomanyrequests": RateLimitError,
    "modelnotready": OverloadedError,
    "serviceunavailable": OverloadedError,
    "modeltimeout": ServerError,
    "modelerror": ServerError,
    "modelstreamerror": ServerError,
    "internalserver": ServerError,
    "internalfailure": ServerError,
}
"""Types without ``Exception``, ``Error`` and capitals."""

_TAIL = re.compile(r"(?:exception|error)$")
# AccessDeniedException is said of people who may not, and of keys that are no keys (bearer keys, 2025).
_NO_KEY = re.compile(
    r"api key|security token|signature|authentication failed|credentials? (?:is|are) not|bearer token",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"model identifier is invalid|could ?n[o']t (?:resolve|find) the .*model", re.IGNORECASE
)
_FILTERED = re.compile(
    r"blocked by (?:our )?content filter|content filtering policy|guardrail policy", re.IGNORECASE
)
_PER_DAY = re.compile(r"per day|daily", re.IGNORECASE)
# "Too many input tokens" and "input is too long" are in the common list; these are Titan's, Llama's and Nova's.
_TOO_LONG = re.compile(
    r"maximum context length|max(?:imum)? input tokens?|input tokens exceeded|maximum prompt length",
    re.IGNORECASE,
)


def error_of_status(status: int, headers: Headers, body: bytes) -> ProviderError:
    """The error of a failing answer; ``code`` is AWS's type. Never raises."""
    text = body[:100_000].decode("utf-8", "replace")
    parsed = _parsed(body)
    kind = (headers.get("x-amzn-errortype") or _text(parsed.get("__type")) or "").partition(":")[0]
    kind = kind.rpartition("#")[2].strip()
    message = _message(parsed)
    error, is_retryable = _typed(kind, message, status, parsed)
    if not message:
        message = " ".join(text.split())[:300] or f"Bedrock answered with status {status} and no body"
    return error(
        masked(message),
        status=status,
        code=kind or None,
        request_id=request_id(headers),
        retry_after=retry_after(headers),
        retryable=is_retryable,
        body=masked(text[:2500]),
    )


def error_in_stream(kind: str, data: bytes | memoryview) -> ProviderError:
    """The error that an exception event stands for.

    An unknown type is a :class:`ServerError`: the request had been accepted, so what failed afterwards is the provider.
    """
    body = bytes(data)
    parsed = _parsed(body)
    message = _message(parsed)
    text = body[:10_000].decode("utf-8", "replace")
    error, is_retryable = _typed(kind, message, None, parsed)
    message = message or f"Bedrock broke the answer off with {kind or 'an unnamed error'}: {text[:300]}"
    return error(masked(message), code=kind or None, retryable=is_retryable, body=masked(text[:2500]))


def _typed(
    kind: str, message: str, status: int | None, body: dict[str, Any]
) -> tuple[type[ProviderError], bool | None]:
    """The type, and whether to try again where the type alone does not say."""
    bare = _TAIL.sub("", kind.lower())
    error = _BY_TYPE.get(bare)
    if error is None:
        error = ServerError if status is None else error_type_of_status(status)
    is_retryable = None
    if bare in ("modelerror", "modelstreamerror"):
        # What the model itself said is nearer to the fault. A ModelErrorException without it is not retried by the SDKs either.
        original = body.get("originalStatusCode")
        if isinstance(original, int) and 400 <= original < 600:
            error = error_type_of_status(original)
        elif bare == "modelerror":
            is_retryable = False
    if error is PermissionDeniedError and _NO_KEY.search(message):
        return AuthenticationError, None
    if error is RateLimitError and _PER_DAY.search(message):
        return QuotaExceededError, None
    if error is BadRequestError:
        if is_context_overflow(message) or _TOO_LONG.search(message):
            return ContextLengthError, None
        if _NO_MODEL.search(message):
            return NotFoundError, None
        if _FILTERED.search(message):
            return ContentFilterError, None
    return error, is_retryable


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        return as_object(msgspec.json.decode(body))
    except (ValueError, RecursionError):  # msgspec's and Unicode's errors are ValueErrors
        return {}


def _message(body: dict[str, Any]) -> str:
    names = ("message", "Message", "originalMessage")
    return next((text for name in names if (text := _text(body.get(name)))), "")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
