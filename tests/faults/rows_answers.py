"""Rows P10 to P29: what else providers answer."""

from __future__ import annotations

from typing import Any

import tercet

from .cases import Entry, fault, fine
from .plays import (
    PAGE,
    after,
    before,
    error_event,
    of,
    parked,
    said,
    spoken,
    status,
)
from .wires import (
    END,
    WHOLE_TEXT,
    anthropic,
    chat_event,
    chunk,
    gemini_event,
    head,
    openai,
    sse,
    whole,
    whole_answer,
)

__all__ = ["ROWS"]

RateLimit = tercet.RateLimitError
Quota = tercet.QuotaExceededError


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
                body=of("overloaded", "The model is overloaded."),
                why=_BOTH,
            ),
            *status("503 alone", 503, fault(tercet.OverloadedError, kept=True)),
            *status(
                "429 engine_overloaded_error",
                429,
                fault(tercet.OverloadedError, signal="throttled", kept=True),
                body=of(None, "The engine is overloaded.", type="engine_overloaded_error"),
                why=_BOTH,
            ),
            *status(
                "Z.ai 1305",
                429,
                fault(RateLimit, signal="throttled", kept=True),
                body=of("1305", "Rate limit triggered."),
                why=_BOTH,
            ),
            *error_event(
                "engine overloaded",
                tercet.OverloadedError,
                sse(of("engine_overloaded_error", "The engine is overloaded.")),
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
                    body=PAGE,
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
                body=of("context_length_exceeded", _TOO_LONG),
                why=_LIMITS,
            ),
            *status(
                "413",
                413,
                fault(tercet.ContextLengthError, **_REFUSED),
                body=of(None, "prompt is too long: 9000 tokens > 8192 maximum"),
                why=_LIMITS,
            ),
            *status(
                "Moonshot's words",
                400,
                fault(tercet.ContextLengthError, **_REFUSED),
                body=of(
                    None,
                    "Invalid request: Your request exceeded model token limit: 8192",
                    type="invalid_request_error",
                ),
                ways=("stream",),
            ),
            *error_event(
                "in the stream",
                tercet.ContextLengthError,
                sse(of("CONTEXT_LENGTH_EXCEEDED", "Context length exceeded")),
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
                body=of(None, "no such field", type="invalid_request_error"),
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
            body=of("model_not_found", "The model `x` does not exist."),
        )
    ),
    "P19": Entry(
        cases=(
            *parked(
                "401",
                401,
                of("invalid_api_key", "Incorrect API key provided: sk-alder-key-123456."),
                tercet.AuthenticationError,
            ),
            *parked("403", 403, of(None, "You may not."), tercet.PermissionDeniedError),
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
            *error_event("429", RateLimit, sse(of(429, "Rate limit exceeded")), signal="throttled"),
            *error_event(
                "502, with the provider's own words",
                tercet.ServerError,
                sse(
                    of(
                        502,
                        "Provider returned error",
                        metadata={"provider_name": "X", "raw": "upstream reset"},
                    )
                ),
                message="upstream reset",
            ),
            *error_event("402", Quota, sse(of(402, "Insufficient credits")), again=0, signal="key"),
            *error_event("400", tercet.BadRequestError, sse(of(400, "Provider returned error")), **_REFUSED),
        ),
    ),
    "P22": Entry(
        cases=(
            *(
                before(
                    f"a gateway's error, {way}",
                    whole(of("rate_limit_exceeded", "Slow down.")),
                    way=way,
                    expect=fault(RateLimit, signal="throttled", kept=True),
                )
                for way in ("stream", "whole")
            ),
            *(
                before(
                    f"a numeric code, {way}",
                    whole(of(502, "upstream")),
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
        left_out="the provider's own id is not kept beside the one made for a second call",
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
        left_out="a counter of second ends",
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
