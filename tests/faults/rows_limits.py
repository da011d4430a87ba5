"""Rows P01 to P09: throttled, and out of money."""

from __future__ import annotations

import email.utils
from typing import Any

import tercet

from .cases import Case, Entry, fault, fine
from .plays import (
    PAGE,
    before,
    error_event,
    of,
    parked,
    status,
)
from .wires import (
    END,
    chunk,
    head,
    openai,
    sse,
    whole,
    whole_answer,
)

__all__ = ["ROWS"]

RateLimit = tercet.RateLimitError
Quota = tercet.QuotaExceededError
NOW = 1_790_000_000.0  # 2026-09-21T14:13:20Z
_FROZEN = {"wall": lambda: NOW}


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


_OWN = {
    "after": None,
    "wait": (0.4, 2.5),
}  # full jitter: half of the first bound of a second, or what the learned rate asks for


def _google(
    status_word: str, code: int, message: str = "It is so.", *details: dict[str, Any]
) -> dict[str, Any]:
    return {"error": {"code": code, "status": status_word, "message": message, "details": list(details)}}


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
            body=of(
                "rate_limit_exceeded",
                "Rate limit reached for model `x`. Please try again in 5.289s. Visit https://x.test.",
            ),
            at_once=True,
        )
    ),
    "P06": Entry(
        cases=(
            *throttled("no hint", **_OWN),
            *throttled("a page", "content-type: text/html", body=PAGE, **_OWN),
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
            *parked(
                "429 insufficient_quota", 429, of("insufficient_quota", "You exceeded your current quota.")
            ),
            *parked("402", 402, of(None, "Payment required.")),
            *parked("Z.ai 1113", 429, of("1113", "Your account is in arrears.")),
            *parked("Z.ai 1308", 429, of("1308", "Usage limit reached for 5 hours.")),
            *parked(
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
            *parked(
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
            *error_event(
                "in the stream",
                Quota,
                sse(of("insufficient_quota", "You exceeded your current quota.", type="insufficient_quota")),
                again=0,
                signal="key",
            ),
        ),
        tested_by=("test_fault_waiting::test_a_key_without_quota_is_left_alone_until_it_has_some",),
    ),
}
