"""What went wrong in Claude Code, as far as its texts tell.

Failures come as sentences: in a synthetic assistant message (``API Error: 401 {"type":"error",...}``), in a ``result`` line whose ``is_error``
is true (its ``subtype`` says ``success`` all the same), or on stderr with an exit code. Where the API's own error stands in the sentence, that
decides; then the status; then the words. Sources: recorded runs (2025-10) and reports of 2.1.x (2026-11).
"""

from __future__ import annotations

import re

import msgspec

from ..vocabulary import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ContextLengthError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    TercetError,
)
from .anthropic_errors import error_in_stream, error_of_status
from .claude_cli_run import ProgramExit
from .shared import error_type_of_status, is_context_overflow, masked

__all__ = ["error_of_exit", "error_of_text", "is_api_error"]

_API_ERROR = re.compile(r"\s*API Error(?::|\s|$)")
_STATUS = re.compile(r"\s*API Error:?\s*\(?([45]\d\d)\b")
# The words that an assistant message's ``error`` member is known to hold.
_BY_CODE: dict[str, type[ProviderError]] = {
    "authentication_failed": AuthenticationError,
    "oauth_org_not_allowed": PermissionDeniedError,
    "billing_error": QuotaExceededError,
    "rate_limit": RateLimitError,
    "overloaded": OverloadedError,
    "invalid_request": BadRequestError,
    "model_not_found": NotFoundError,
    "max_output_tokens": BadRequestError,
    "server_error": ServerError,
}
_BY_WORDS: tuple[tuple[re.Pattern[str], type[ProviderError]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (
            r"invalid (?:api key|bearer token)|run /login|failed to authenticate|not logged in"
            r"|oauth (?:token|session)|could not resolve authentication|authentication_error",
            AuthenticationError,
        ),
        (
            r"usage limit|limit reached|hit your .{0,20}limit|credit balance|out of .{0,20}usage",
            QuotaExceededError,
        ),
        (
            r"invalid model name|issue with the selected model|model .{0,80}(?:not exist|not found)",
            NotFoundError,
        ),
        (r"overloaded", OverloadedError),
        (r"rate.?limit|too many requests", RateLimitError),
    )
)
_TOO_OLD = re.compile(r"unknown option|unknown argument", re.IGNORECASE)
_SIGN_IN = "Sign in (run `claude`, then /login), or give a key: keys={'claude-code': '...'}"


def is_api_error(text: str) -> bool:
    """Whether a message of the assistant is no answer but the report of a failure."""
    return _API_ERROR.match(text) is not None


def error_of_text(text: str, *, status: int | None = None, code: str | None = None) -> ProviderError:
    """The error that a sentence stands for. ``status`` and ``code`` as far as the line named them."""
    found = _STATUS.match(text)
    if status is None and found is not None:
        status = int(found[1])
    body = _json_in(text) if is_api_error(text) else None
    if body is not None:
        error = error_in_stream(body) if status is None else error_of_status(status, {}, body)
        return error.at(code=code)
    kind = _BY_CODE.get(code or "")
    if kind is None and status is not None:
        kind = error_type_of_status(status)
    if kind is None or kind in (BadRequestError, ServerError):
        kind = _by_words(text) or kind
    return _told(kind or ServerError, text, status=status, code=code)


def error_of_exit(ended: ProgramExit, said: str = "") -> TercetError:
    """The error of a program that ended without an answer. ``said``: what stood on its stdout beside the protocol."""
    last_words = " ".join(f"{said} {ended.stderr}".split())
    how = f"exited with code {ended.code}" if ended.code >= 0 else f"was ended by signal {-ended.code}"
    text = f"Claude Code {how}{': ' if last_words else ''}{last_words[-1000:]}"
    facts = {"code": f"exit_{ended.code}", "body": masked(ended.stderr[-2000:])}
    if _TOO_OLD.search(last_words):
        return ConfigurationError(
            masked(f"{text}. This Claude Code does not know the options we need: update it (claude update)."),
            code=facts["code"],
            body=facts["body"],
        )
    return _told(_by_words(last_words) or ServerError, text, code=facts["code"], body=facts["body"])


def _told(
    kind: type[ProviderError],
    text: str,
    *,
    status: int | None = None,
    code: str | None = None,
    body: str = "",
) -> ProviderError:
    message = masked(" ".join(text.split())[:1500]) or "Claude Code failed and did not say why"
    if kind is AuthenticationError:
        message = f"{message}. {_SIGN_IN}"
    elif kind is NotFoundError:
        message = f"{message}. Keys and subscriptions allow different models: is this one in your plan?"
    return kind(message, status=status, code=code, body=body)


def _by_words(text: str) -> type[ProviderError] | None:
    if is_context_overflow(text):
        return ContextLengthError
    return next((kind for pattern, kind in _BY_WORDS if pattern.search(text)), None)


def _json_in(text: str) -> bytes | None:
    """The API's own error, if it stands in the sentence."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    body = text[start : end + 1].encode("utf-8", "replace")
    try:
        msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return None
    return body
