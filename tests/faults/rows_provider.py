"""Rows P: what providers answer."""

from __future__ import annotations

import email.utils
from typing import Any

import tercet

from .cases import Case, Entry, Expect, fault, fine
from .rows_network import after, before
from .rows_streams import said
from .stage import AFTER_THE_FIRST_TOKEN
from .wires import (
    END,
    WHOLE_TEXT,
    anthropic,
    chat_event,
    chunk,
    failure,
    gemini_event,
    head,
    openai,
    sse,
    stream_head,
    whole,
    whole_answer,
)

__all__ = ["ROWS"]

RateLimit = tercet.RateLimitError
Quota = tercet.QuotaExceededError
NOW = 1_790_000_000.0  # 2026-09-21T14:13:20Z
_FROZEN = {"wall": lambda: NOW}


def status(
    name: str,
    number: int,
    expect: Expect,
    *headers: str,
    body: Any = None,
    ways: tuple[str, ...] = ("stream", "whole"),
    **more: Any,
) -> tuple[Case, ...]:
    """An error answer, to a stream and to a whole request."""
    return tuple(
        before(f"{name}, {way}", failure(number, body, *headers), way=way, expect=expect, **more)
        for way in ways
    )


def throttled(
    name: str, *headers: str, after: float | None, body: Any = None, **more: Any
) -> tuple[Case, ...]:
    """A 429 that asks for ``after`` seconds."""
    # (an idle connection is kept for 30 s)
    expect = {"signal": "throttled", "kept": None, "facts": {"status": 429, "retry_after": after}}
    options = {name: more.pop(name) for name in ("wire", "settings", "why") if name in more}
    return status(
        name, 429, fault(RateLimit, **expect, **more), *headers, body=body, ways=("stream",), **options
    )


def _date(seconds: float) -> str:
    return email.utils.formatdate(NOW + seconds, usegmt=True)


_HTML = b"<!doctype html><title>429</title>429 Too Many Requests"
_OWN = {
    "after": None,
    "wait": (0.4, 2.5),
}  # full jitter: half of the first bound of a second, or what the learned rate asks for


def _google(
    status_word: str, code: int, message: str = "It is so.", *details: dict[str, Any]
) -> dict[str, Any]:
    return {"error": {"code": code, "status": status_word, "message": message, "details": list(details)}}


def _of(code: str | int | None, message: str = "It is so.", **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "code": code, **more}}


def _key(
    name: str, number: int, body: Any, error: type[tercet.TercetError] = Quota, *headers: str, **more: Any
) -> tuple[Case, ...]:
    """An answer that means: not with this key."""
    expect = fault(error, again=0, signal="key", kept=None, at_once=True, facts={"status": number})
    return status(name, number, expect, *headers, body=body, ways=("stream",), **more)


def _event(name: str, error: type[tercet.TercetError], event: bytes, **expect: Any) -> tuple[Case, ...]:
    """An error event inside a 200, before the first content and after it."""
    outcome = fault(error, **{"kept": None, **expect})
    return (said(name, event, outcome), after(name, chunk(event) + END, expect=outcome))


def spoken(wire: str, name: str, *events: bytes, expect: Expect, first: bytes = b"", why: str = "") -> Case:
    """A streamed answer of another wire; ``first`` is what the client has before the rest comes."""
    begin = (stream_head(wire) + chunk(first), AFTER_THE_FIRST_TOKEN) if first else (stream_head(wire),)
    return Case(
        name=name,
        when="after" if first else "before",
        wire=wire,
        play=(*begin, chunk(b"".join(events)) + END),
        expect=expect,
        why=why,
    )


_SCREENED = {
    "error": {
        "message": "The response was filtered.",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"hate": {"filtered": True}},
        },
    }
}
_REFUSED = {"again": 0, "elsewhere": False, "signal": "rejected", "kept": None}
_EMPTY = "a provider that says it has finished has answered: an empty answer is one (a turn that had nothing to add)"
_LIMITS = "the error says it in its message; it has no fields for limit and size"
_BOTH = "throttling teaches the limiter alone, so that a busy provider is asked less and not shut out (429 and 529 are no sign of ill health)"
_AS_SAID = "the provider ended its answer, so it is whole: the arguments are given as they came, and `ToolCall.parsed` raises"
_TOO_LONG = (
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
)
_CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1'}}


def _delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


ROWS: dict[str, Entry] = {
    "P01": Entry(
        cases=(
            *throttled("a second", "retry-after: 1", after=1.0, wait=(1.0, 1.5)),
            *throttled(
                "30 s: the next target does not wait for it",
                "retry-after: 30",
                after=30.0,
                wait=(30.0, 31.0),
                at_once=True,
            ),
            *throttled("120 s: more than the cap", "retry-after: 120", after=120.0, again=0, at_once=True),
        ),
        tested_by=("test_fault_waiting::test_a_wait_that_does_not_fit_the_deadline_is_not_begun",),
    ),
    "P02": Entry(
        cases=(
            *throttled(
                "IMF-fixdate", f"retry-after: {_date(2)}", after=2.0, wait=(2.0, 2.5), settings=_FROZEN
            ),
            *throttled(
                "RFC 850",
                "retry-after: Monday, 21-Sep-26 14:13:23 GMT",
                after=3.0,
                wait=(3.0, 3.5),
                settings=_FROZEN,
            ),
            *throttled(
                "asctime",
                "retry-after: Mon Sep 21 14:13:24 2026",
                after=4.0,
                wait=(4.0, 4.5),
                settings=_FROZEN,
            ),
            *throttled("past", f"retry-after: {_date(-60)}", settings=_FROZEN, **_OWN),
            *throttled("rubbish", "retry-after: next Tuesday or so", **_OWN),
            *throttled(
                "by the provider's own clock",
                f"date: {_date(3600)}",
                f"retry-after: {_date(3602)}",
                after=2.0,
                settings=_FROZEN,
            ),
        ),
        tested_by=("test_fault_vectors::test_no_date_of_the_corpus_makes_a_wait_without_end",),
    ),
    "P03": Entry(
        cases=(
            *throttled(
                "retry-after-ms", "retry-after-ms: 1500", "retry-after: 2", after=1.5, wait=(1.5, 2.0)
            ),
            *throttled(
                "1m26.4s",
                "x-ratelimit-remaining-tokens: 0",
                "x-ratelimit-reset-tokens: 1m26.4s",
                after=None,
                wait=(86.0, 88.0),
            ),
            *throttled(
                "825ms",
                "x-ratelimit-remaining-requests: 0",
                "x-ratelimit-reset-requests: 825ms",
                after=None,
                wait=(0.8, 1.5),
            ),
            *throttled(
                "the longer of two exhausted windows",
                "x-ratelimit-remaining-requests: 0",
                "x-ratelimit-reset-requests: 2s",
                "x-ratelimit-remaining-tokens: 0",
                "x-ratelimit-reset-tokens: 7s",
                after=None,
                wait=(7.0, 8.0),
            ),
            *throttled(
                "an epoch",
                "x-ratelimit-remaining: 0",
                f"x-ratelimit-reset: {int(NOW) + 9}",
                after=None,
                wait=(9.0, 10.0),
                settings=_FROZEN,
            ),
            *throttled(
                "RFC 3339",
                "anthropic-ratelimit-requests-remaining: 0",
                "anthropic-ratelimit-requests-reset: 2026-09-21T14:13:31Z",
                after=None,
                wait=(11.0, 12.0),
                settings=_FROZEN,
            ),
            *throttled(
                "float seconds",
                "x-ratelimit-remaining-requests-minute: 0",
                "x-ratelimit-reset-requests-minute: 3.25",
                after=None,
                wait=(3.2, 4.0),
            ),
        ),
    ),
    "P04": Entry(
        cases=(
            *throttled(
                "RetryInfo",
                after=34.07,
                wait=(34.0, 35.0),
                wire="gemini",
                body=_google(
                    "RESOURCE_EXHAUSTED",
                    429,
                    "Slow down.",
                    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"},
                ),
                at_once=True,
            ),
            *throttled(
                "an array around the error",
                after=2.0,
                wait=(2.0, 2.5),
                wire="gemini",
                body=[
                    _google(
                        "RESOURCE_EXHAUSTED",
                        429,
                        "Slow down.",
                        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2s"},
                    )
                ],
            ),
        )
    ),
    "P05": Entry(
        cases=throttled(
            "in the text",
            after=5.289,
            wait=(5.2, 6.0),
            body=_of(
                "rate_limit_exceeded",
                "Rate limit reached for model `x`. Please try again in 5.289s. Visit https://x.test.",
            ),
            at_once=True,
        )
    ),
    "P06": Entry(
        cases=(
            *throttled("no hint", **_OWN),
            *throttled("a page", "content-type: text/html", body=_HTML, **_OWN),
        ),
        tested_by=("test_fault_waiting::test_a_throttled_provider_is_asked_by_half_as_many",),
    ),
    "P07": Entry(
        cases=tuple(
            case
            for value in (
                "0",
                "-1",
                "inf",
                "nan",
                "1e999",
                "1_000",
                "\u0663\u0660",
                "315360000000",
                "",
                "1,,",
                "soon",
            )
            for case in throttled(
                repr(value),
                "retry-after: " + value.encode().decode("latin-1"),
                **(_OWN if value != "1,," else {"after": 1.0}),
            )
        )
        + throttled("10 years", "retry-after: 315360000", **_OWN)
        + throttled(
            "a year less a day: more than the cap",
            f"retry-after: {364 * 86400}",
            after=364 * 86400.0,
            again=0,
            at_once=True,
        ),
    ),
    "P08": Entry(
        cases=(
            before(
                "streamed",
                head(200, "content-type: text/event-stream", "retry-after: 30") + chunk(openai.all) + END,
                expect=fine(),
            ),
            before("whole", whole(whole_answer(), 200, "retry-after: 30"), way="whole", expect=fine()),
        )
    ),
    "P09": Entry(
        cases=(
            *_key(
                "429 insufficient_quota", 429, _of("insufficient_quota", "You exceeded your current quota.")
            ),
            *_key("402", 402, _of(None, "Payment required.")),
            *_key("Z.ai 1113", 429, _of("1113", "Your account is in arrears.")),
            *_key("Z.ai 1308", 429, _of("1308", "Usage limit reached for 5 hours.")),
            *_key(
                "Gemini's daily quota",
                429,
                _google(
                    "RESOURCE_EXHAUSTED",
                    429,
                    "Quota exceeded.",
                    {
                        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                        "violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}],
                    },
                ),
                wire="gemini",
            ),
            *_key(
                "a subscription's limit",
                429,
                {
                    "type": "error",
                    "error": {
                        "type": "rate_limit_error",
                        "message": "This request would exceed your account's rate limit.",
                    },
                },
                Quota,
                "anthropic-ratelimit-unified-status: rejected",
                f"anthropic-ratelimit-unified-reset: {int(NOW) + 7200}",
                "retry-after: 7200",
                wire="anthropic",
                settings=_FROZEN,
            ),
            *_event(
                "in the stream",
                Quota,
                sse(_of("insufficient_quota", "You exceeded your current quota.", type="insufficient_quota")),
                again=0,
                signal="key",
            ),
        ),
        tested_by=("test_fault_waiting::test_a_key_without_quota_is_left_alone_until_it_has_some",),
    ),
    "P10": Entry(
        cases=(
            *status(
                "true on a 400",
                400,
                fault(tercet.BadRequestError, signal="rejected", kept=True),
                "x-should-retry: true",
            ),
            *status("false on a 500", 500, fault(tercet.ServerError, again=0), "x-should-retry: false"),
            *status("rubbish on a 500", 500, fault(tercet.ServerError, kept=True), "x-should-retry: maybe"),
        )
    ),
    "P11": Entry(
        cases=(
            *status(
                "529",
                529,
                fault(tercet.OverloadedError, signal="throttled", kept=True),
                body={"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
                wire="anthropic",
                ways=("stream",),
                why=_BOTH,
            ),
            *status(
                "503 that says overloaded",
                503,
                fault(tercet.OverloadedError, signal="throttled", kept=True),
                body=_of("overloaded", "The model is overloaded."),
                why=_BOTH,
            ),
            *status("503 alone", 503, fault(tercet.OverloadedError, kept=True)),
            *status(
                "429 engine_overloaded_error",
                429,
                fault(tercet.OverloadedError, signal="throttled", kept=True),
                body=_of(None, "The engine is overloaded.", type="engine_overloaded_error"),
                why=_BOTH,
            ),
            *status(
                "Z.ai 1305",
                429,
                fault(RateLimit, signal="throttled", kept=True),
                body=_of("1305", "Rate limit triggered."),
                why=_BOTH,
            ),
            *_event(
                "engine overloaded",
                tercet.OverloadedError,
                sse(_of("engine_overloaded_error", "The engine is overloaded.")),
                signal="throttled",
            ),
        ),
    ),
    "P12": Entry(
        cases=(
            *status(
                "20 s",
                503,
                fault(
                    tercet.OverloadedError,
                    signal="throttled",
                    kept=True,
                    facts={"retry_after": 20.0},
                    wait=(20.0, 21.0),
                    at_once=True,
                ),
                body={"error": "Model x/y is currently loading", "estimated_time": 20.0},
            ),
            *status(
                "longer than the cap",
                503,
                fault(
                    tercet.OverloadedError,
                    signal="throttled",
                    kept=True,
                    again=0,
                    facts={"retry_after": 500.0},
                    at_once=True,
                ),
                body={"error": "Model x/y is currently loading", "estimated_time": 500},
            ),
        )
    ),
    "P13": Entry(
        cases=tuple(
            case
            for number in (500, 502, 504)
            for case in (
                *status(str(number), number, fault(tercet.ServerError, kept=True, facts={"status": number})),
                *status(
                    f"{number}, a page",
                    number,
                    fault(tercet.ServerError, kept=True),
                    "content-type: text/html",
                    body=_HTML,
                ),
            )
        )
    ),
    "P14": Entry(
        cases=tuple(
            case
            for number in (408, 409, 425)
            for case in status(str(number), number, fault(tercet.ServerError, signal="rejected", kept=True))
        )
    ),
    "P15": Entry(
        cases=(
            *status("498", 498, fault(tercet.OverloadedError, kept=True), ways=("stream",)),
            *(
                case
                for number in (499, *range(520, 528), 530, 505, 599)
                for case in status(
                    str(number), number, fault(tercet.ServerError, kept=True), ways=("stream",)
                )
            ),
            *(
                case
                for number in (405, 418, 431, 451, 470)
                for case in status(
                    str(number), number, fault(tercet.BadRequestError, **_REFUSED), ways=("stream",)
                )
            ),
        ),
        tested_by=("test_fault_answers::test_every_status_from_400_to_599_is_one_typed_error",),
    ),
    "P16": Entry(
        cases=(
            *status(
                "400",
                400,
                fault(tercet.ContextLengthError, **_REFUSED),
                body=_of("context_length_exceeded", _TOO_LONG),
                why=_LIMITS,
            ),
            *status(
                "413",
                413,
                fault(tercet.ContextLengthError, **_REFUSED),
                body=_of(None, "prompt is too long: 9000 tokens > 8192 maximum"),
                why=_LIMITS,
            ),
            *status(
                "Moonshot's words",
                400,
                fault(tercet.ContextLengthError, **_REFUSED),
                body=_of(
                    None,
                    "Invalid request: Your request exceeded model token limit: 8192",
                    type="invalid_request_error",
                ),
                ways=("stream",),
            ),
            *_event(
                "in the stream",
                tercet.ContextLengthError,
                sse(_of("CONTEXT_LENGTH_EXCEEDED", "Context length exceeded")),
                **_REFUSED,
            ),
        ),
        tested_by=("test_fault_answers::test_too_long_a_prompt_goes_to_a_model_with_a_larger_window",),
    ),
    "P17": Entry(
        cases=(
            *status(
                "400",
                400,
                fault(tercet.BadRequestError, **_REFUSED),
                body=_of(None, "no such field", type="invalid_request_error"),
            ),
            *status(
                "422",
                422,
                fault(tercet.BadRequestError, **_REFUSED),
                body={"detail": [{"loc": ["body", "x"], "msg": "no"}]},
            ),
        )
    ),
    "P18": Entry(
        cases=status(
            "404",
            404,
            fault(tercet.NotFoundError, again=0, signal="rejected", kept=None, at_once=True),
            body=_of("model_not_found", "The model `x` does not exist."),
        )
    ),
    "P19": Entry(
        cases=(
            *_key(
                "401",
                401,
                _of("invalid_api_key", "Incorrect API key provided: sk-alder-key-123456."),
                tercet.AuthenticationError,
            ),
            *_key("403", 403, _of(None, "You may not."), tercet.PermissionDeniedError),
        ),
        tested_by=(
            "test_fault_credentials::test_a_refused_credential_is_renewed_once",
            "test_fault_credentials::test_a_refused_key_is_parked",
        ),
    ),
    "P20": Entry(
        cases=(
            said(
                "OpenAI, the finish reason",
                sse(chat_event(WHOLE_TEXT), chat_event(finish="content_filter")) + openai.usage + openai.done,
                fine(finish="content_filter"),
            ),
            after(
                "OpenAI, the finish reason",
                chunk(openai.rest + sse(chat_event(finish="content_filter")) + openai.usage + openai.done)
                + END,
                expect=fine(finish="content_filter"),
            ),
            *status(
                "Azure, 400 with an inner error",
                400,
                fault(tercet.ContentFilterError, **_REFUSED),
                body=_SCREENED,
            ),
            spoken(
                "gemini",
                "Gemini, the prompt",
                sse({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}),
                expect=fault(tercet.ContentFilterError, **_REFUSED),
            ),
            spoken(
                "gemini",
                "Gemini, the answer",
                sse(gemini_event(" w\u00f6rld \U0001f389", "SAFETY")),
                first=sse(gemini_event("Hello")),
                expect=fine(finish="content_filter"),
            ),
            spoken(
                "anthropic",
                "Anthropic refuses",
                anthropic.rest,
                anthropic.stop.replace(b"end_turn", b"refusal"),
                anthropic.end,
                first=anthropic.opening + anthropic.first,
                expect=fine(finish="content_filter"),
            ),
        ),
    ),
    "P21": Entry(
        cases=(
            *_event("429", RateLimit, sse(_of(429, "Rate limit exceeded")), signal="throttled"),
            *_event(
                "502, with the provider's own words",
                tercet.ServerError,
                sse(
                    _of(
                        502,
                        "Provider returned error",
                        metadata={"provider_name": "X", "raw": "upstream reset"},
                    )
                ),
                message="upstream reset",
            ),
            *_event("402", Quota, sse(_of(402, "Insufficient credits")), again=0, signal="key"),
            *_event("400", tercet.BadRequestError, sse(_of(400, "Provider returned error")), **_REFUSED),
        ),
    ),
    "P22": Entry(
        cases=(
            *(
                before(
                    f"a gateway's error, {way}",
                    whole(_of("rate_limit_exceeded", "Slow down.")),
                    way=way,
                    expect=fault(RateLimit, signal="throttled", kept=True),
                )
                for way in ("stream", "whole")
            ),
            *(
                before(
                    f"a numeric code, {way}",
                    whole(_of(502, "upstream")),
                    way=way,
                    expect=fault(tercet.ServerError, kept=True),
                )
                for way in ("stream", "whole")
            ),
            *(
                before(
                    f"base_resp, {way}",
                    whole(
                        {
                            "id": "",
                            "choices": None,
                            "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"},
                        }
                    ),
                    way=way,
                    expect=fault(Quota, again=0, signal="key", kept=True),
                )
                for way in ("stream", "whole")
            ),
            before(
                "base_resp that says success",
                whole({**whole_answer(), "base_resp": {"status_code": 0, "status_msg": ""}}),
                way="whole",
                expect=fine(),
            ),
        )
    ),
    "P23": Entry(
        cases=(
            said(
                "no choices",
                sse({"id": "r1", "choices": []}) + openai.done,
                fault(tercet.StreamInterruptedError, kept=True),
            ),
            before(
                "204",
                head(204, "content-type: text/event-stream", framing=None),
                expect=fault(tercet.StreamInterruptedError, kept=True),
            ),
            before(
                "an empty body",
                head(200, "content-type: text/event-stream", framing="content-length: 0"),
                expect=fault(tercet.StreamInterruptedError, kept=True),
            ),
            before(
                "204, whole",
                head(204, framing=None),
                way="whole",
                expect=fault(tercet.ProtocolError, again=1, kept=True),
            ),
            before(
                "no choices, whole",
                whole({"id": "r1", "choices": []}),
                way="whole",
                expect=fault(tercet.ProtocolError, again=1, kept=True),
            ),
            before(
                "nothing, whole",
                whole({}),
                way="whole",
                expect=fault(tercet.ProtocolError, again=1, kept=True),
            ),
            said(
                "a finish without content",
                openai.finish + openai.usage + openai.done,
                fine(text=""),
                why=_EMPTY,
            ),
        )
    ),
    "P24": Entry(
        cases=(
            said("length", openai.all.replace(b'"stop"', b'"length"'), fine(finish="length")),
            after(
                "length",
                chunk(
                    (openai.rest + openai.finish + openai.usage + openai.done).replace(b'"stop"', b'"length"')
                )
                + END,
                expect=fine(finish="length"),
            ),
            spoken(
                "anthropic",
                "max_tokens",
                anthropic.opening,
                anthropic.first,
                anthropic.rest,
                anthropic.stop.replace(b"end_turn", b"max_tokens"),
                anthropic.end,
                expect=fine(finish="length"),
            ),
            spoken(
                "gemini",
                "MAX_TOKENS",
                sse(gemini_event(WHOLE_TEXT, "MAX_TOKENS")),
                expect=fine(finish="length"),
            ),
        ),
    ),
    "P25": Entry(
        cases=(
            spoken(
                "gemini",
                "MALFORMED_FUNCTION_CALL",
                sse(gemini_event(None, "MALFORMED_FUNCTION_CALL")),
                expect=fine(text="", finish="other"),
                why=_AS_SAID,
            ),
            spoken(
                "gemini",
                "MALFORMED_FUNCTION_CALL",
                sse(gemini_event(None, "MALFORMED_FUNCTION_CALL")),
                first=sse(gemini_event("Hello")),
                expect=fine(text="Hello", finish="other"),
            ),
            said(
                "arguments never closed",
                sse(_delta(tool_calls=[_CALL]), chat_event(finish="tool_calls")) + openai.usage + openai.done,
                fine(text="", finish="tool_calls"),
                why=_AS_SAID,
            ),
            after(
                "arguments never closed",
                chunk(
                    sse(_delta(tool_calls=[_CALL]), chat_event(finish="tool_calls"))
                    + openai.usage
                    + openai.done
                )
                + END,
                expect=fine(text="Hello", finish="tool_calls"),
                why=_AS_SAID,
            ),
        ),
        tested_by=("test_fault_answers::test_arguments_that_are_no_json_are_given_as_they_came",),
    ),
    "P26": Entry(
        tested_by=(
            "test_fault_answers::test_calls_that_share_an_index_stay_apart",
            "test_fault_answers::test_calls_without_an_id_get_one",
            "test_fault_answers::test_calls_of_one_id_stay_apart",
        ),
    ),
    "P27": Entry(
        cases=(
            said("in a trailing chunk with no choices", openai.all, fine()),
            said("missing", openai.first + openai.rest + openai.finish + openai.done, fine()),
            after(
                "twice",
                chunk(openai.rest + openai.finish + openai.usage + openai.usage + openai.done) + END,
                expect=fine(),
            ),
        ),
        tested_by=("test_fault_answers::test_the_last_usage_counts",),
    ),
    "P28": Entry(
        cases=tuple(
            case
            for name, event in (
                ("null delta", {"choices": [{"index": 0, "delta": None}]}),
                ("null content", _delta(content=None)),
                ("role only", _delta(role="assistant")),
                ("no choices at all", {"id": "r1"}),
                ("null choices", {"choices": None}),
                ("an empty choice", {"choices": [{}]}),
            )
            for case in (
                said(name, sse(event) + openai.all, fine()),
                after(
                    name,
                    chunk(sse(event) + openai.rest + openai.finish + openai.usage + openai.done) + END,
                    expect=fine(),
                ),
            )
        ),
    ),
    "P29": Entry(
        cases=(
            said("[DONE] twice", openai.all + openai.done, fine()),
            said("text behind [DONE]", openai.all + openai.first, fine()),
            after(
                "message_stop twice",
                chunk(openai.rest + openai.finish + openai.usage + openai.done + openai.done) + END,
                expect=fine(),
            ),
            spoken(
                "anthropic",
                "message_stop twice, and text behind it",
                anthropic.all,
                anthropic.first,
                anthropic.end,
                expect=fine(),
            ),
            spoken(
                "anthropic",
                "message_stop twice, and text behind it",
                anthropic.rest,
                anthropic.stop,
                anthropic.end,
                anthropic.first,
                anthropic.end,
                first=anthropic.opening + anthropic.first,
                expect=fine(),
            ),
        ),
    ),
}
