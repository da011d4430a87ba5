"""The retry policy and its budget: AWS's published tests, and the table of what each error leads to."""

from __future__ import annotations

import errno
import json
import math
from pathlib import Path
from typing import Any

import pytest

from tercet.codecs.vocabulary import (
    AllAttemptsFailedError,
    AuthenticationError,
    BadRequestError,
    CircuitOpenError,
    ConfigurationError,
    ConnectError,
    ContentFilterError,
    ContextLengthError,
    DeadlineError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProtocolError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    TercetError,
    TransportError,
    UnsupportedError,
)
from tercet.engine.control.outcome import Outcome, OutcomeKind, classify
from tercet.engine.control.retry import (
    Decision,
    FailOver,
    GiveUp,
    Retry,
    RetryBudget,
    RetryPolicy,
)


def decide(
    error: TercetError,
    *,
    policy: RetryPolicy | None = None,
    attempt: int = 1,
    now: float = 0.0,
    deadline: float = math.inf,
    chance: float = 1.0,
    budget: RetryBudget | None = None,
    can_fail_over: bool = True,
) -> Decision:
    return (policy or RetryPolicy()).decide(
        error,
        attempt=attempt,
        now=now,
        deadline=deadline,
        random=lambda: chance,
        budget=budget,
        can_fail_over=can_fail_over,
    )


def local(number: int) -> TercetError:
    try:
        try:
            raise OSError(number, "no more")
        except OSError as cause:
            raise ConnectError("no socket", phase="tcp") from cause
    except ConnectError as error:
        return error


AGAIN, OTHER, LARGER, STOP = "again", "other", "larger", "stop"

# error, whose signal it is, what follows with another target, what follows without one
TABLE: list[tuple[TercetError, OutcomeKind, str, str]] = [
    (ConfigurationError("no key"), OutcomeKind.LOCAL, STOP, STOP),
    (AuthenticationError("401", status=401), OutcomeKind.KEY, OTHER, STOP),
    (PermissionDeniedError("403", status=403), OutcomeKind.KEY, OTHER, STOP),
    (QuotaExceededError("402", status=402), OutcomeKind.KEY, OTHER, STOP),
    (QuotaExceededError("insufficient_quota", status=429), OutcomeKind.KEY, OTHER, STOP),
    (NotFoundError("404", status=404), OutcomeKind.REJECTED, OTHER, STOP),
    (BadRequestError("400", status=400), OutcomeKind.REJECTED, STOP, STOP),
    (BadRequestError("409", status=409, retryable=True), OutcomeKind.REJECTED, AGAIN, AGAIN),
    (ContextLengthError("too long", status=400), OutcomeKind.REJECTED, LARGER, STOP),
    (UnsupportedError("no tools"), OutcomeKind.REJECTED, STOP, STOP),
    (ContentFilterError("refused", status=400), OutcomeKind.REJECTED, STOP, STOP),
    (ContentFilterError("refused", status=400, retryable=True), OutcomeKind.REJECTED, STOP, STOP),
    (RateLimitError("429", status=429), OutcomeKind.THROTTLED, AGAIN, AGAIN),
    (
        RateLimitError("429, x-should-retry: false", status=429, retryable=False),
        OutcomeKind.THROTTLED,
        OTHER,
        STOP,
    ),
    (OverloadedError("529", status=529), OutcomeKind.THROTTLED, AGAIN, AGAIN),
    (OverloadedError("in the stream", code="overloaded_error"), OutcomeKind.THROTTLED, AGAIN, AGAIN),
    (OverloadedError("503", status=503, code="ServerOverloaded"), OutcomeKind.THROTTLED, AGAIN, AGAIN),
    (OverloadedError("503", status=503), OutcomeKind.FAILED, AGAIN, AGAIN),
    (OverloadedError("our queue is full"), OutcomeKind.LOCAL, OTHER, STOP),
    (ServerError("500", status=500), OutcomeKind.FAILED, AGAIN, AGAIN),
    (ServerError("500", status=500, retryable=False), OutcomeKind.FAILED, OTHER, STOP),
    (ServerError("408", status=408), OutcomeKind.REJECTED, AGAIN, AGAIN),
    (ProviderError("520", status=520, retryable=True), OutcomeKind.FAILED, AGAIN, AGAIN),
    (ProviderError("418", status=418), OutcomeKind.REJECTED, OTHER, STOP),
    (ProviderError("402", status=402), OutcomeKind.KEY, OTHER, STOP),
    (ProviderError("429", status=429, retryable=True), OutcomeKind.THROTTLED, AGAIN, AGAIN),
    (ProviderError("in the stream"), OutcomeKind.FAILED, OTHER, STOP),
    (TransportError("gone"), OutcomeKind.FAILED, AGAIN, AGAIN),
    (ConnectError("refused", phase="tcp"), OutcomeKind.FAILED, AGAIN, AGAIN),
    (ConnectError("no such name", phase="dns", retryable=False), OutcomeKind.FAILED, OTHER, STOP),
    (ConnectError("wrong host", phase="tls"), OutcomeKind.FAILED, OTHER, STOP),
    (ConnectError("407", phase="proxy", retryable=False), OutcomeKind.LOCAL, OTHER, STOP),
    (local(errno.EMFILE), OutcomeKind.LOCAL, AGAIN, AGAIN),
    (local(errno.ECONNREFUSED), OutcomeKind.FAILED, AGAIN, AGAIN),
    (DeadlineError("slow", clock="connect"), OutcomeKind.FAILED, AGAIN, AGAIN),
    (DeadlineError("slow", clock="first_content"), OutcomeKind.FAILED, AGAIN, AGAIN),
    (DeadlineError("slow", clock="idle"), OutcomeKind.FAILED, AGAIN, AGAIN),
    (DeadlineError("slow", clock="queue"), OutcomeKind.LOCAL, OTHER, STOP),
    (DeadlineError("slow", clock="total"), OutcomeKind.CANCELLED, STOP, STOP),
    (ProtocolError("html"), OutcomeKind.FAILED, AGAIN, AGAIN),
    (StreamInterruptedError("cut"), OutcomeKind.FAILED, AGAIN, AGAIN),
    (CircuitOpenError("open", retry_after=3.0), OutcomeKind.LOCAL, OTHER, STOP),
    (AllAttemptsFailedError("all"), OutcomeKind.LOCAL, STOP, STOP),
]


def word(decision: Decision) -> str:
    if isinstance(decision, Retry):
        return AGAIN
    if isinstance(decision, FailOver):
        return LARGER if decision.larger_model_only else OTHER
    return STOP


def test_the_table_of_errors() -> None:
    wrong = []
    for error, kind, with_other, alone in TABLE:
        got = (classify(error), word(decide(error)), word(decide(error, can_fail_over=False)))
        if got != (kind, with_other, alone):
            wrong.append(f"{error!r}: {got} is not {(kind, with_other, alone)}")
    assert not wrong, "\n".join(wrong)


def test_what_is_not_ours_is_local_and_what_is_no_exception_is_a_cancellation() -> None:
    assert classify(RuntimeError("a bug")) is OutcomeKind.LOCAL
    assert classify(KeyboardInterrupt()) is OutcomeKind.CANCELLED
    assert classify(GeneratorExit()) is OutcomeKind.CANCELLED


def test_a_ring_of_causes_ends() -> None:
    error, other = ConnectError("a"), ConnectError("b")
    error.__cause__, other.__cause__ = other, error
    assert classify(error) is OutcomeKind.FAILED


def test_an_outcome_is_made_of_an_error() -> None:
    outcome = Outcome.of(RateLimitError("429", retry_after=3.0), duration=2.0)
    assert (outcome.kind, outcome.retry_after, outcome.duration) == (OutcomeKind.THROTTLED, 3.0, 2.0)
    assert Outcome.of(None, first_content=0.5).kind is OutcomeKind.OK
    assert Outcome.of(KeyboardInterrupt()).error is None


def test_attempts_are_counted_per_target() -> None:
    error = ServerError("500", status=500)
    assert isinstance(decide(error, attempt=2), Retry)
    assert isinstance(decide(error, attempt=3), FailOver)
    assert isinstance(decide(error, attempt=3, can_fail_over=False), GiveUp)


@pytest.mark.parametrize("error", [ProtocolError("html"), ConnectError("EAI_AGAIN", phase="dns")])
def test_nonsense_is_tried_once_more(error: TercetError) -> None:
    assert isinstance(decide(error, attempt=1), Retry)
    assert isinstance(decide(error, attempt=2), FailOver)


def test_own_trouble_never_fails_over() -> None:
    assert isinstance(decide(local(errno.EMFILE), attempt=3), GiveUp)


def test_the_wait_doubles_and_is_drawn() -> None:
    policy = RetryPolicy(max_attempts=20)
    error, throttled = ServerError("500", status=500), RateLimitError("429", status=429)
    bounds = [decide(error, policy=policy, attempt=n, can_fail_over=False) for n in range(1, 8)]
    assert bounds == [Retry(0.5), Retry(1.0), Retry(2.0), Retry(4.0), Retry(8.0), Retry(8.0), Retry(8.0)]
    assert decide(throttled, attempt=1) == Retry(1.0)
    assert decide(error, chance=0.5) == Retry(0.25)
    assert decide(error, chance=0.0) == Retry(0.0)
    assert decide(error, policy=RetryPolicy(max_attempts=10**6), attempt=5000, can_fail_over=False) == Retry(
        8.0
    )


def test_retry_after_is_kept_on_throttling_and_503_only() -> None:
    assert decide(RateLimitError("429", status=429, retry_after=20.0), can_fail_over=False) == Retry(20.0)
    assert decide(ServerError("503", status=503, retry_after=20.0), can_fail_over=False) == Retry(20.0)
    assert decide(ServerError("500", status=500, retry_after=20.0)) == Retry(0.5)
    assert decide(RateLimitError("429", status=429, retry_after=0.1)) == Retry(1.0)


def test_with_another_target_at_hand_no_long_wait_is_begun() -> None:
    assert decide(RateLimitError("429", status=429, retry_after=5.0)) == Retry(5.0)
    assert decide(RateLimitError("429", status=429, retry_after=5.5)) == FailOver()
    assert decide(RateLimitError("429", status=429, retry_after=5.5), can_fail_over=False) == Retry(5.5)
    budget = RetryBudget()
    decide(RateLimitError("429", status=429, retry_after=5.5), budget=budget)
    assert budget.tokens == 500


@pytest.mark.parametrize("hint", [60.5, math.inf])
def test_too_long_a_hint_goes_elsewhere(hint: float) -> None:
    error = RateLimitError("429", status=429, retry_after=hint)
    assert decide(error) == FailOver()
    assert isinstance(decide(error, can_fail_over=False), GiveUp)


@pytest.mark.parametrize("hint", [math.nan, -5.0])
def test_a_senseless_hint_is_none(hint: float) -> None:
    assert decide(RateLimitError("429", status=429, retry_after=hint)) == Retry(1.0)


def test_a_wait_that_does_not_fit_is_not_begun() -> None:
    error = RateLimitError("429", status=429, retry_after=4.0)
    assert decide(error, now=100.0, deadline=105.0) == Retry(4.0)
    assert decide(error, now=100.0, deadline=104.0) == FailOver()
    assert isinstance(decide(error, now=100.0, deadline=100.0), GiveUp)


def test_the_budget_is_spent_by_retries_and_by_nothing_else() -> None:
    budget = RetryBudget(20)
    assert decide(ServerError("500", status=500), budget=budget) == Retry(0.5, 14)
    assert decide(ServerError("500", status=500), budget=budget) == FailOver()
    assert decide(RateLimitError("429", status=429), budget=budget) == Retry(1.0, 5)
    assert decide(RateLimitError("429", status=429, retry_after=99.0), budget=budget) == FailOver()
    assert decide(AuthenticationError("401", status=401), budget=budget) == FailOver()
    assert budget.tokens == 1
    budget.pay_back(14)
    budget.pay_back()
    assert budget.tokens == 16
    budget.pay_back(14)
    assert budget.tokens == 20


@pytest.mark.parametrize("make", [lambda: RetryBudget(5, tokens=6), lambda: RetryBudget(5, retry_cost=-1)])
def test_senseless_budgets_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="RetryBudget"):
        make()


@pytest.mark.parametrize(
    "settings", [{"max_attempts": 0}, {"base": -1.0}, {"cap": math.inf}, {"max_retry_after": math.nan}]
)
def test_senseless_policies_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="RetryPolicy"):
        RetryPolicy(**settings)


# --- AWS's tables ---------------------------------------------------------------------------------------------


def aws_error(response: dict[str, Any]) -> TercetError:
    if response.get("error_code") == "Throttling":
        return RateLimitError("throttled", status=response["status_code"])
    return ServerError("failed", status=response["status_code"])


def test_aws_specification_rows(shared: Path) -> None:
    """The eight cases of the standard mode of 2026, with its base of 50 ms and its cap of 20 s."""
    cases = json.loads((shared / "vectors/aws-retry/standard_2026_spec.json").read_text())["cases"]
    wrong: list[str] = []
    for case in cases:
        given = case["given"]
        policy = RetryPolicy(max_attempts=given.get("max_attempts", 3), base=0.05, cap=20.0)
        budget = RetryBudget(500, tokens=given.get("initial_retry_tokens", 500))
        attempt, cost = 1, 0
        for row in case["responses"]:
            expected = row["expected"]
            if row["response"]["status_code"] == 200:
                budget.pay_back(cost)
                got: tuple[str, float | None] = ("success", None)
                attempt, cost = 1, 0
            else:
                error = aws_error(row["response"])
                decision = decide(error, policy=policy, attempt=attempt, budget=budget, can_fail_over=False)
                if isinstance(decision, Retry):
                    got = ("retry_request", decision.delay)
                    attempt, cost = attempt + 1, decision.cost
                else:
                    assert isinstance(decision, GiveUp)
                    reason = (
                        "retry_quota_exceeded" if "budget" in decision.reason else "max_attempts_exceeded"
                    )
                    got = (reason, None)
            wanted = (expected["outcome"], expected.get("delay"))
            if got != wanted or budget.tokens != expected["retry_quota"]:
                wrong.append(f"{case['name']}: {got}, {budget.tokens} left, is not {expected}")
    assert len(cases) == 8
    assert not wrong, "\n".join(wrong)


def test_aws_ladders_of_2026(shared: Path) -> None:
    """The delays and costs of long mixed ladders; the long-poll ladder has the same numbers, its own rule is not one of ours."""
    ladders = json.loads((shared / "vectors/aws-retry/ladders.json").read_text())["v2026"]
    wrong: list[str] = []
    for ladder in ladders:
        budget = RetryBudget(500)
        policy = RetryPolicy(max_attempts=99, base=0.05, cap=20.0)
        for row in ladder["timings"]:
            if row["retry_count"] == 0:
                continue  # the initial token: nothing was tried yet
            error = (
                RateLimitError("429", status=429)
                if row["error_type"] == "THROTTLING"
                else ServerError("500", status=500)
            )
            decision = decide(
                error, policy=policy, attempt=row["retry_count"], budget=budget, can_fail_over=False
            )
            if decision != Retry(pytest.approx(row["delay_ms"] / 1000), row["cost"]):
                wrong.append(f"{ladder['name']}: {decision} is not {row}")
    assert len(ladders) == 3
    assert not wrong, "\n".join(wrong)
