"""Small things that several wires need: data URLs, JSON bodies, finish reasons, and what a failing status means.

Everything here is a function of its arguments. What is true of one API only stands in that API's module.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import unquote_to_bytes

import msgspec

from ..vocabulary import (
    AuthenticationError,
    BadRequestError,
    FinishReason,
    Image,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from .masking import masked
from .surrogates import whole_text

__all__ = [
    "as_list",
    "as_object",
    "data_url",
    "encode_json",
    "error_type_of_status",
    "finish_reason",
    "image_url",
    "is_context_overflow",
    "masked",
    "request_id",
    "retry_after",
    "split_data_url",
]


def data_url(media_type: str, data: bytes) -> str:
    """``data:<media_type>;base64,<data>`` (RFC 2397)."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"


def split_data_url(url: str) -> tuple[str, bytes] | None:
    """Media type and bytes of a ``data:`` URL, or None if it is another kind of URL.

    Without a media type it is ``text/plain`` (RFC 2397 section 2). Raises :class:`BadRequestError` for base64 that is none.
    """
    if url[:5].lower() != "data:":
        return None
    head, comma, payload = url[5:].partition(",")
    if not comma:
        raise BadRequestError(f"a data: URL without a comma: {url[:60]!r}")
    media_type, semicolon, last = head.rpartition(";")
    if not (semicolon and last.strip().lower() == "base64"):
        return head or "text/plain", unquote_to_bytes(payload)
    try:
        return media_type or "text/plain", base64.b64decode(unquote_to_bytes(payload), validate=True)
    except binascii.Error as error:
        raise BadRequestError(f"a data: URL whose base64 is broken ({error}): {url[:60]!r}") from error


def image_url(image: Image) -> str:
    """The image as one URL: its own, or its bytes as a ``data:`` URL."""
    if image.url is not None:
        return image.url
    return data_url(image.media_type or "", image.data or b"")


def encode_json(value: Any) -> bytes:
    """A request body as JSON. Halves of characters in its strings become U+FFFD: JSON in UTF-8 cannot say them.

    Raises :class:`BadRequestError` for what JSON has no form for (a value in ``extra``, most likely).
    """
    try:
        try:
            return msgspec.json.encode(value)
        except UnicodeEncodeError:
            return msgspec.json.encode(_without_halves(value))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BadRequestError(f"the request cannot be written as JSON: {error}") from error


def _without_halves(value: Any) -> Any:
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, Mapping):
        return {_without_halves(key): _without_halves(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]  # of any kind: JSON
    if isinstance(value, list | tuple):
        return [_without_halves(item) for item in value]  # pyright: ignore[reportUnknownVariableType]  # of any kind: JSON
    return value


def as_object(value: Any) -> dict[str, Any]:
    """A decoded JSON value as an object; an empty one for anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """A decoded JSON value as a list; an empty one for anything else."""
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]  # of any kind: JSON


# Finish reasons ---------------------------------------------------------------------------------------------------------

_FINISH: dict[str, FinishReason] = {
    **dict.fromkeys(("stop", "end_turn", "stop_sequence", "complete", "eos"), "stop"),
    **dict.fromkeys(
        ("length", "max_tokens", "model_length", "max_output_tokens", "model_context_window_exceeded"),
        "length",
    ),
    **dict.fromkeys(("tool_calls", "tool_use", "tool_call", "function_call"), "tool_calls"),
    **dict.fromkeys(
        (
            "content_filter",
            "content_filtered",
            "guardrail_intervened",
            "refusal",
            "safety",
            "recitation",
            "prohibited_content",
            "blocklist",
            "spii",
            "sensitive",
        ),
        "content_filter",
    ),
    **dict.fromkeys(("pause_turn", "pause", "compaction"), "pause"),
}


def finish_reason(raw: str) -> FinishReason:
    """The normalised reason for a provider's word, of whatever family and case; ``other`` for a word nobody knows."""
    return _FINISH.get(raw.lower(), "other")


# Failures ---------------------------------------------------------------------------------------------------------------

_BY_STATUS: dict[int, type[ProviderError]] = {
    401: AuthenticationError,
    402: QuotaExceededError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: ServerError,  # the server did not get the request in time: its side of the story, and worth another try
    409: ServerError,  # a conflict inside the provider (both official SDKs retry it)
    410: NotFoundError,  # a model that was withdrawn (SambaNova, Hugging Face)
    421: ServerError,  # sent to a server that does not answer for this host (RFC 9110 section 15.5.20): another connection may
    425: ServerError,
    429: RateLimitError,
    498: OverloadedError,  # Groq: no flex capacity
    499: ServerError,  # the provider's own proxy hung up
    503: OverloadedError,
    529: OverloadedError,  # Anthropic, OpenRouter
}


def error_type_of_status(status: int) -> type[ProviderError]:
    """What an HTTP status alone says: the error type to raise when the body says nothing better."""
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    if 400 <= status < 500:
        return BadRequestError
    return ServerError if status >= 500 else ProviderError


_OVERFLOW = re.compile(
    r"context[ _](?:length|window)|maximum context|tokens? exceed|too many (?:input |prompt )?tokens?"
    r"|prompt is too long|input is too long|context .{0,40}too long|exceeds? .{0,60}context"
    r"|reduce the length of|input (?:token count|length) .{0,60}exceed|maximum prompt length"
    r"|exceeded model token limit",  # Moonshot
    re.IGNORECASE,
)


def is_context_overflow(message: str) -> bool:
    """Whether an error's text says that the request is longer than the model's window.

    The patterns are those that OpenAI, Anthropic, Google, Cerebras, xAI and vLLM are known to use. Ask this only for a 4xx (or
    an error without a status): 5xx texts mention context, too.
    """
    return _OVERFLOW.search(message) is not None


_REQUEST_IDS = (
    "x-request-id",
    "request-id",
    "apim-request-id",
    "x-generation-id",
    "x-litellm-call-id",
    "x-amzn-requestid",
)


def request_id(headers: Mapping[str, str]) -> str | None:
    """The provider's id of the request, under any of the names that providers use."""
    return next((headers[name] for name in _REQUEST_IDS if headers.get(name)), None)


_LONGEST_WAIT = 366 * 86_400.0
_TRY_AGAIN = re.compile(
    r"(?:try again|retry|retrying) (?:in|after) (?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,9}(?:\.\d{1,9})?)(ms|s))?",
    re.IGNORECASE,
)


def retry_after(headers: Mapping[str, str], message: str = "") -> float | None:
    """Seconds to wait, from ``retry-after-ms``, a numeric ``retry-after``, or "Please try again in 5.289s" in the message.

    A ``retry-after`` that is an HTTP date is left to whoever knows the time. None if nobody said anything usable; more than a year is not.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
            seconds = float(value) * unit
            return seconds if seconds <= _LONGEST_WAIT else None
    found = _TRY_AGAIN.search(message)
    if found is None or not any(found.group(1, 2, 3)):
        return None
    seconds = float(found[3] or 0) * (0.001 if (found[4] or "").lower() == "ms" else 1.0)
    seconds += int(found[1] or 0) * 3600 + int(found[2] or 0) * 60
    return seconds if seconds <= _LONGEST_WAIT else None
