"""What Ollama's failures mean: of a failing status, and of an ``error`` line inside a stream that began with 200.

The body is ``{"error": "a sentence"}`` and nothing more, so the sentence has to be read where the status does not decide. Sources:
Ollama's API reference, section "Errors", and the messages of its server (2026-11).
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ..vocabulary import (
    AuthenticationError,
    BadRequestError,
    ContextLengthError,
    NotFoundError,
    OverloadedError,
    ProviderError,
    RateLimitError,
    ServerError,
    UnsupportedError,
)
from .base import Headers
from .shared import as_object, error_type_of_status, is_context_overflow, masked, request_id, retry_after

__all__ = ["error_in_stream", "error_of_status"]

_MISSING = re.compile(r"model [\"'“]?([^\"'”\s]+?)[\"'”]?,? not found", re.IGNORECASE)
_CANNOT = re.compile(r"does not support|not supported", re.IGNORECASE)
_MEMORY = re.compile(r"requires more (?:system|available|GPU) memory|out of memory", re.IGNORECASE)
# In a stream nothing but the text tells what happened; the cloud models answer for many users, so all of these occur.
_IN_STREAM: tuple[tuple[re.Pattern[str], type[ProviderError]], ...] = (
    (re.compile(r"unauthori[sz]ed|sign in|api key", re.IGNORECASE), AuthenticationError),
    (re.compile(r"rate limit|usage limit|too many requests", re.IGNORECASE), RateLimitError),
    (re.compile(r"server busy|overloaded|maximum pending requests", re.IGNORECASE), OverloadedError),
)


def error_of_status(status: int, headers: Headers, body: bytes) -> ProviderError:
    """The error of a failing answer. Never raises."""
    text = body[:100_000].decode("utf-8", "replace")
    message = _message(body) or " ".join(text.split())[:300]
    message = message or f"Ollama answered with status {status} and no body"
    error = error_type_of_status(status)
    if error is BadRequestError or status == 500:  # the runner's refusals come as 500
        error = _refusal(message) or error
    return error(
        masked(_with_way_out(message, error)),
        status=status,
        request_id=request_id(headers),
        retry_after=retry_after(headers),
        retryable=False if _MEMORY.search(message) else None,
        body=masked(text[:2500]),
    )


def error_in_stream(data: bytes | memoryview) -> ProviderError:
    """The error that an ``error`` line stands for; a :class:`ServerError` where its text says nothing better."""
    body = bytes(data)
    text = body[:10_000].decode("utf-8", "replace")
    message = _message(body) or f"Ollama broke the answer off: {text[:300]}"
    error = _refusal(message)
    if error is None:
        error = next((kind for pattern, kind in _IN_STREAM if pattern.search(message)), ServerError)
    return error(
        masked(_with_way_out(message, error)),
        retryable=False if _MEMORY.search(message) else None,
        body=masked(text[:2500]),
    )


def _refusal(message: str) -> type[ProviderError] | None:
    """What a sentence says against the request itself."""
    if is_context_overflow(message):
        return ContextLengthError
    if _CANNOT.search(message):
        return UnsupportedError
    return NotFoundError if _MISSING.search(message) else None


def _with_way_out(message: str, error: type[ProviderError]) -> str:
    missing = _MISSING.search(message)
    if error is not NotFoundError or missing is None:
        return message
    return f"{message}. Pull it first: ollama pull {missing[1]}"


def _message(body: bytes) -> str:
    try:
        value: Any = msgspec.json.decode(body)
    except (ValueError, RecursionError):  # msgspec's and Unicode's errors are ValueErrors
        return ""
    outer = as_object(value)
    inner = outer.get("error")
    if isinstance(inner, dict):  # gateways in front of it speak OpenAI's shape
        inner = as_object(inner).get("message")
    for text in (inner, outer.get("message")):
        if isinstance(text, str) and text:
            return text
    return ""
