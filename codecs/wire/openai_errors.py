"""Errors in OpenAI's shape, and in the many shapes of those who say they speak it.

::

    {"error": {"message", "type", "param", "code"}}        OpenAI, Azure, Groq, DeepSeek, OpenRouter (code a number, metadata)
    {"error": "text", "code": "text"}                      xAI, Hugging Face, Ollama
    {"message", "type", "param", "code"}                   Cerebras, Mistral ("object": "error")
    {"detail": "text" | [{"loc", "msg"}] | {"error"}}      FastAPI: Mistral 422, DeepInfra, Perplexity
    [{"error": {...}}]                                     Google's doors
    {"base_resp": {"status_code", "status_msg"}}           MiniMax, with status 200
    {"error": "text", "estimated_time": 20.0}              Hugging Face, while a model is loaded
    <html>, plain text, nothing                            whatever stands in front

The provider's *words* (code, type) decide first, then its text, then the HTTP status: one status stands for too many things
(429 is both "slow down" and "no money left", 400 is both a bug of ours and a prompt that is too long). Inside a 200 stream
there is no status at all, only the words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
    UnsupportedError,
)
from .shared import (
    as_list,
    as_object,
    encode_json,
    error_type_of_status,
    is_context_overflow,
    masked,
    request_id,
    retry_after,
)
from .surrogates import whole_text

__all__ = ["error_from_payload", "error_from_response"]

_NO_HEADERS: Mapping[str, str] = {}
_LONGEST_LOADING = 86_400.0

# MiniMax's error codes (API reference, page "Error Codes", 2026-11); all others are its own trouble.
_BASE_RESP: dict[int, type[ProviderError]] = {
    1002: RateLimitError,
    1004: AuthenticationError,
    1008: QuotaExceededError,
    1026: ContentFilterError,
    1027: ContentFilterError,
    1039: RateLimitError,
    1041: RateLimitError,
    2013: BadRequestError,
    2045: RateLimitError,
    2049: AuthenticationError,
    2056: QuotaExceededError,
}

_WORDS: dict[str, type[ProviderError]] = {
    **{f"base_resp {code}": kind for code, kind in _BASE_RESP.items()},
    **dict.fromkeys(
        ("context_length_exceeded", "context_window_exceeded", "model_context_window_exceeded"),
        ContextLengthError,
    ),
    **dict.fromkeys(
        (
            "insufficient_quota",
            "exceeded_current_quota_error",  # Moonshot
            "insufficient_balance",
            "insufficient_credits",
            "insufficient_funds",
            "billing_error",
            "billing_hard_limit_reached",
            "payment_required",
            "arrearage",  # Alibaba
            "accountoverdueerror",  # Volcengine
            "1113",  # Z.ai: no balance
            "1308",  # Z.ai: the plan's quota is used up
        ),
        QuotaExceededError,
    ),
    **dict.fromkeys(
        (
            "content_filter",
            "content_policy_violation",
            "content_policy",
            "moderation_blocked",
            "responsibleaipolicyviolation",
            "data_inspection_failed",  # Alibaba
            "sensitivecontentdetected",  # Volcengine
            "1301",  # Z.ai
        ),
        ContentFilterError,
    ),
    **dict.fromkeys(
        (
            "model_not_found",
            "not_found",
            "not_found_error",
            "resource_not_found_error",
            "deploymentnotfound",
            "modelnotopen",
            "model_decommissioned",
            "invalid_model",
        ),
        NotFoundError,
    ),
    **dict.fromkeys(
        ("unsupported_parameter", "unsupported_value", "unsupported_country_region_territory"),
        UnsupportedError,
    ),
    **dict.fromkeys(
        (
            "invalid_api_key",
            "authentication_error",
            "authenticationerror",
            "invalid_authentication_error",
            "incorrect_api_key_error",
            "unauthorized",
            "unauthenticated",
            "1000",
            "1001",
            "1002",
            "1003",
            "1004",
        ),
        AuthenticationError,
    ),
    **dict.fromkeys(
        ("permission_denied", "permission_error", "permission_denied_error", "access_denied"),
        PermissionDeniedError,
    ),
    **dict.fromkeys(
        (
            "rate_limit_exceeded",
            "rate_limit_error",
            "rate_limit_reached_error",
            "too_many_requests",
            "requests_limit_exceeded",
            "resource_exhausted",
            "throttling",
            "1302",
            "1303",
            "1305",
        ),
        RateLimitError,
    ),
    **dict.fromkeys(
        (
            "overloaded",
            "overloaded_error",
            "engine_overloaded_error",
            "provider_overloaded",
            "provider_unavailable",
            "server_overloaded",
            "serveroverloaded",
            "insufficient_system_resource",
            "capacity_exceeded",
            "slow_down",
            "service_unavailable",
        ),
        OverloadedError,
    ),
    **dict.fromkeys(
        (
            "server_error",
            "api_error",
            "internal_error",
            "internal_server_error",
            "internalserviceerror",
            "1234",
        ),
        ServerError,
    ),
    **dict.fromkeys(
        (
            "invalid_request_error",
            "bad_request",
            "badrequesterror",
            "invalid_value",
            "invalidparameter",
            "invalid_request",
            "invalid_argument",
        ),
        BadRequestError,
    ),
}

# Texts, asked in this order, for errors whose words say nothing or only "invalid request".
_TEXTS: tuple[tuple[re.Pattern[str], type[ProviderError]], ...] = (
    (
        re.compile(
            r"insufficient (?:account )?(?:balance|credits?|funds|quota)|exceeded your current quota|out of credits|no credits"
            r"|(?:not|n't) have (?:enough|any|sufficient) (?:credits|balance)|spending limit|monthly included credits|used all available credits",
            re.IGNORECASE,
        ),
        QuotaExceededError,
    ),
    (
        re.compile(r"incorrect api key|invalid api key|api key (?:is )?(?:not valid|invalid)", re.IGNORECASE),
        AuthenticationError,
    ),
    (
        re.compile(
            r"unsupported (?:parameter|value)|(?:is|are|was|were)?(?: not|n't) supported (?:with|by|for|in) (?:this|the) model"
            r"|this model (?:does not|doesn't) support|does not support .{1,60}with this model",
            re.IGNORECASE,
        ),
        UnsupportedError,
    ),
)
# Only where no status speaks (inside a stream).
_STREAM_TEXTS: tuple[tuple[re.Pattern[str], type[ProviderError]], ...] = (
    (re.compile(r"overload|at capacity|temporarily unavailable", re.IGNORECASE), OverloadedError),
    (re.compile(r"rate.?limit|too many requests", re.IGNORECASE), RateLimitError),
)


def error_from_response(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """The error that a failing status and its body stand for. Never raises, whatever the body is."""
    try:
        payload: Any = msgspec.json.decode(body)
    except (ValueError, RecursionError):  # no JSON, or no UTF-8
        payload = None
    return error_from_payload(payload, status=status, headers=headers, body=body)


def error_from_payload(
    payload: Any, *, status: int | None = None, headers: Mapping[str, str] = _NO_HEADERS, body: bytes = b""
) -> ProviderError:
    """The error that a decoded JSON value stands for; ``status`` is None for one that came inside a 200 stream.

    ``retryable`` follows the type, unless the header ``x-should-retry`` knows better (openai-python obeys it, too). ``code`` is the
    provider's own word: its code, else its type.
    """
    text = masked(body.decode("utf-8", "replace"))
    facts = _Facts(payload)
    message = masked(whole_text(facts.message)) or _described(status, text)
    kind = _kind(facts, status)
    should = headers.get("x-should-retry")
    return kind(
        message,
        status=status,
        code=facts.code,
        request_id=request_id(headers) or facts.request_id,
        retry_after=retry_after(headers, message) or facts.loaded_in,
        retryable=should == "true" if should in ("true", "false") else None,
        body=text,
    )


class _Facts:
    """What the many shapes have in common."""

    __slots__ = ("code", "loaded_in", "message", "number", "param", "reasons", "request_id", "words")

    def __init__(self, payload: Any) -> None:
        outer = as_object(payload[0] if isinstance(payload, list) and payload else payload)
        error = outer.get("error")
        inner = as_object(error) or as_object(outer.get("detail")) or outer
        if isinstance(inner.get("error"), dict):  # {"detail": {"error": {...}}}
            inner = as_object(inner["error"])
        base = as_object(outer.get("base_resp"))
        if base.get("status_code"):  # MiniMax, with status 200
            inner = {"code": f"base_resp {base['status_code']}", "message": base.get("status_msg")}
        metadata = as_object(inner.get("metadata"))
        named = [
            inner.get("code"),
            metadata.get("error_type"),
            inner.get("status"),
            inner.get("type"),
            outer.get("code"),
            outer.get("type"),
        ]
        self.words = [
            str(word).lower() for word in named if isinstance(word, str | int) and not isinstance(word, bool)
        ]
        self.code = next((whole_text(word) for word in named if isinstance(word, str) and word), None)
        self.number = next(
            (number for number in (_number(word) for word in named) if number is not None), None
        )
        self.loaded_in = _loading_time(outer.get("estimated_time"))
        if self.loaded_in is not None:
            self.code = self.code or "model_loading"
        self.param = inner.get("param")
        self.reasons = (
            metadata.get("reasons")
            or metadata.get("flagged_input")
            or as_object(inner.get("innererror")).get("content_filter_result")
        )
        self.request_id = (
            whole_text(outer["request_id"]) if isinstance(outer.get("request_id"), str) else None
        )
        said = (
            inner.get("message")
            or (error if isinstance(error, str) else None)
            or inner.get("error")
            or _detail(outer.get("detail"))
        )
        said = (
            _detail(as_object(said).get("detail")) or said
        )  # Mistral: a message with FastAPI's detail in it
        self.message = said if isinstance(said, str) else "" if said is None else _short(said)
        raw = metadata.get("raw")
        if raw:  # OpenRouter: "Provider returned error", and what the provider really said
            self.message += f" ({metadata.get('provider_name', 'upstream')}: {raw if isinstance(raw, str) else _short(raw)})"[
                :1000
            ]


def _loading_time(seconds: Any) -> float | None:
    """The seconds until a model is loaded (Hugging Face); None for what is no such time."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return float(seconds) if 0 < seconds < _LONGEST_LOADING else None


def _kind(facts: _Facts, status: int | None) -> type[ProviderError]:
    known = [_WORDS[word] for word in facts.words if word in _WORDS]
    known += [
        RateLimitError for word in facts.words if word.startswith(("ratelimitexceeded", "throttling."))
    ]  # Volcengine, Alibaba
    exact = next((kind for kind in known if kind not in (BadRequestError, ServerError)), None)
    number = status if status is not None else facts.number
    if facts.reasons and number in (400, 403, None):
        return ContentFilterError
    if number == 413 and exact is RateLimitError:
        return ContextLengthError  # Groq: one request larger than the tokens per minute: waiting does not help, another model may
    if exact is not None and not (number == 402 and exact is RateLimitError):
        if exact is RateLimitError and _TEXTS[0][0].search(facts.message):
            return QuotaExceededError
        return exact
    speaks_of_request = number is None or number in (400, 413, 422) or BadRequestError in known
    if (
        speaks_of_request
        and facts.param not in ("max_tokens", "max_completion_tokens")
        and is_context_overflow(facts.message)
    ):
        return ContextLengthError
    if number is None or number < 500:
        for pattern, kind in _TEXTS:
            if pattern.search(facts.message):
                return kind
    if status is None:
        for pattern, kind in _STREAM_TEXTS:
            if pattern.search(facts.message):
                return kind
    if number is not None and number >= 400:
        return error_type_of_status(number)
    return known[0] if known else ServerError if status is None else ProviderError


def _described(status: int | None, text: str) -> str:
    where = "inside the stream" if status is None else f"with status {status}"
    title = re.search(r"<title[^>]*>([^<]{1,200})", text, re.IGNORECASE)
    said = title[1] if title else text
    said = " ".join(said.split())[:300]
    return (
        f"the provider answered {where}: {said}"
        if said
        else f"the provider answered {where} and an empty body"
    )


def _number(word: Any) -> int | None:
    """A code that is an HTTP status (OpenRouter, Azure as a string, Google)."""
    if isinstance(word, str) and word.isascii() and word.isdigit() and len(word) == 3:
        word = int(word)
    return word if isinstance(word, int) and not isinstance(word, bool) and 400 <= word < 600 else None


def _detail(detail: Any) -> Any:
    """FastAPI's ``detail``: a text, or a list of what is wrong where."""
    if not isinstance(detail, list):
        return detail
    lines: list[str] = []
    for entry in as_list(detail):
        item = as_object(entry)
        place = ".".join(str(step) for step in as_list(item.get("loc")))
        lines.append(f"{place}: {item.get('msg', '')}" if item else str(entry))
    return "; ".join(lines)


def _short(value: Any) -> str:
    try:
        return encode_json(value).decode()[:300]
    except BadRequestError:  # nested too deep to be written
        return ""
