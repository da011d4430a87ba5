"""The reference's error texts, on tercet's error types.

The reference's texts come from the SDKs it is built on (openai 5.12.2, @anthropic-ai/sdk 0.37.0), and most of its handlers put
a name before them. The types and the attributes are tercet's: where the reference loses the status on the way, we keep it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from tercet.codecs.vocabulary import (
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    TercetError,
)

from .values import get, is_true, parse_float, parse_json, stringify, text_of

__all__ = [
    "INVALID_KEY",
    "anthropic_failure",
    "error_class",
    "event_failure",
    "google_failure",
    "interrupted",
    "openai_failure",
    "reworded",
    "wrapped",
]

E = TypeVar("E", bound=TercetError)

INVALID_KEY = "API key contains invalid characters."

_CLASSES: dict[int, type[ProviderError]] = {
    401: AuthenticationError,
    402: QuotaExceededError,
    403: PermissionDeniedError,
    404: NotFoundError,
    429: RateLimitError,
    503: OverloadedError,
    529: OverloadedError,
}


def error_class(status: int | None) -> type[ProviderError]:
    """The type for an answer's status."""
    if status is None:
        return ProviderError
    found = _CLASSES.get(status)
    if found is not None:
        return found
    if status >= 500:
        return ServerError
    return BadRequestError if status >= 400 else ProviderError


def openai_failure(status: int, headers: Mapping[str, str], text: str) -> ProviderError:
    """As the OpenAI SDK words an answer that is not a success: the status and the message of the body's ``error``."""
    body = _parsed(text)
    error = get(body, "error")
    message = _sdk_message(status, error, None if is_true(body) else text)
    return _failure(message, status, headers, text, error)


def anthropic_failure(status: int, headers: Mapping[str, str], text: str) -> ProviderError:
    """As Anthropic's SDK words it: the status and the whole body as JSON."""
    body = _parsed(text)
    message = _sdk_message(status, body, None if is_true(body) else text)
    return _failure(message, status, headers, text, get(body, "error"))


def google_failure(status: int, reason: str, headers: Mapping[str, str], text: str) -> ProviderError:
    """As Google's SDK words it: ``got status: 400 Bad Request. {...}``, the body as JSON or made into JSON."""
    if "application/json" in headers.get("content-type", ""):
        body = _parsed(text)
    else:
        body = {"error": {"message": text, "code": status, "status": reason}}
    message = f"got status: {status} {reason}. {stringify(body)}"
    return _failure(message, status, headers, text, get(body, "error"))


def event_failure(error: Any, data: str) -> ProviderError:
    """An error object that came inside a stream of status 200: its message alone."""
    return ProviderError(_sdk_message(None, error, None), code=_code(error), body=data)


def interrupted(what: str) -> StreamInterruptedError:
    """The stream ended without the wire's own sign that the answer is whole; ``what`` names the sign."""
    return StreamInterruptedError(f"the stream ended before its answer did: no {what}")


def wrapped(error: E, label: str) -> E:
    """The same error, its text prefixed as the reference's handlers do."""
    if error.message == INVALID_KEY:
        return error
    return reworded(error, f"{label} completion error: {error.message}")


def reworded(error: E, message: str) -> E:
    """An error of the same type with the same facts and another text."""
    new = type(error).__new__(type(error))
    new.__dict__.update(error.__dict__)
    new.message = message
    new.args = (message,)
    return new


def _failure(message: str, status: int, headers: Mapping[str, str], text: str, error: Any) -> ProviderError:
    kind = error_class(status)
    code = _code(error)
    if kind is RateLimitError and code == "insufficient_quota":
        kind = QuotaExceededError
    return kind(
        message,
        status=status,
        code=code,
        request_id=headers.get("x-request-id") or headers.get("request-id"),
        retry_after=_seconds(headers.get("retry-after")),
        body=text,
    )


def _seconds(retry_after: str | None) -> float | None:
    seconds = parse_float(retry_after) if retry_after else -1.0
    return seconds if seconds >= 0 else None


def _code(error: Any) -> str | None:
    code = get(error, "code")
    if code is None:
        code = get(error, "type")
    return None if code is None else text_of(code)


def _sdk_message(status: int | None, error: Any, text: str | None) -> str:
    message = get(error, "message")
    said: str | None
    if is_true(message):
        said = message if isinstance(message, str) else stringify(message)
    elif is_true(error):
        said = stringify(error)
    else:
        said = text
    if status is not None:
        return f"{status} {said}" if said else f"{status} status code (no body)"
    return said or "(no status code or body)"


def _parsed(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return None
