"""What to do after a failed attempt: the same target again, another one, or give up.

Rules:

1. A failure that another try cannot mend is not tried again: a wrong request, refused content, something unsupported.
2. A failure of this target or key alone goes to the next target: a refused key, an empty account, an unknown model, an open breaker, a full queue. Too long
   a prompt goes only to a target with a larger context.
3. Everything else is tried again here, if the error says it is ``retryable`` (the provider's own ``x-should-retry`` has set that): at most ``max_attempts``
   times per target; once only for answers that were nonsense and names that did not resolve; never after TLS refused.
4. The wait is drawn between 0 and a bound that doubles (full jitter). Throttled answers have a larger base. A Retry-After counts on throttling answers
   and 503 only; then the wait is never shorter than it asks.
5. A wait that asks for more than ``max_retry_after``, or that would not end before the deadline, is not begun. While there is another target, neither is one longer
   than ``max_wait_before_failover``.
6. Each retry costs tokens of a budget shared by all requests: when most requests fail, retries stop before they become a storm. Success pays back.
7. Where "again here" is not allowed for any of these reasons, the next target is tried, or the request given up if there is none. A fail-over costs no budget: the
   number of targets bounds it. Our own trouble (a setting, no file descriptors) never fails over: it should be seen, and the next
   target would need the same.

The budget and its numbers are those of the AWS SDKs' standard mode of 2026 (500 tokens, a retry costs 14 or, throttled, 5); the other defaults are those of the
OpenAI and Anthropic SDKs (0.5 s doubling to 8 s, hints of up to a minute).
"""

from __future__ import annotations

import math
from typing import TypeAlias

import msgspec

from tercet.codecs.vocabulary import (
    AuthenticationError,
    BadRequestError,
    CircuitOpenError,
    ConnectError,
    ContentFilterError,
    ContextLengthError,
    DeadlineError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProtocolError,
    QuotaExceededError,
    TercetError,
)

from .backoff import Random, full_jitter
from .outcome import OutcomeKind, classify

__all__ = ["Decision", "FailOver", "GiveUp", "Retry", "RetryBudget", "RetryPolicy"]


class Retry(msgspec.Struct, frozen=True, gc=False):
    """Try the same target again after ``delay`` seconds. ``cost`` was taken from the budget; hand it to ``RetryBudget.pay_back`` on success."""

    delay: float
    cost: int = 0


class FailOver(msgspec.Struct, frozen=True, gc=False):
    """Try the next target now; with ``larger_model_only``, the next whose model has a larger context window."""

    larger_model_only: bool = False


class GiveUp(msgspec.Struct, frozen=True, gc=False):
    """Raise the error. ``reason`` says why nothing more is tried."""

    reason: str


Decision: TypeAlias = Retry | FailOver | GiveUp


class RetryBudget:
    """A bucket of tokens that retries empty and successes fill.

    Rules: a retry takes ``retry_cost`` (``throttling_cost`` after a throttled answer), or is refused when that is not there; a success returns what its last retry
    took, or 1 if there was none; the level stays between 0 and ``capacity``. Time plays no part.
    """

    __slots__ = ("_capacity", "_retry_cost", "_throttling_cost", "_tokens")

    def __init__(
        self,
        capacity: int = 500,
        *,
        tokens: int | None = None,
        retry_cost: int = 14,
        throttling_cost: int = 5,
    ) -> None:
        """``tokens`` is the level at the start, full if not given. Raises ValueError for negative numbers."""
        start = capacity if tokens is None else tokens
        if not 0 <= start <= capacity or retry_cost < 0 or throttling_cost < 0:
            raise ValueError(
                f"RetryBudget: 0 <= tokens <= capacity and costs of at least 0; got {start}, {capacity}, {retry_cost}, {throttling_cost}"
            )
        self._capacity = capacity
        self._tokens = start
        self._retry_cost = retry_cost
        self._throttling_cost = throttling_cost

    @property
    def tokens(self) -> int:
        """What is left."""
        return self._tokens

    def try_spend(self, *, is_throttling: bool) -> int | None:
        """Take a retry's cost out and return it; None, and nothing taken, if there is not enough."""
        cost = self._throttling_cost if is_throttling else self._retry_cost
        if cost > self._tokens:
            return None
        self._tokens -= cost
        return cost

    def pay_back(self, cost: int = 0) -> None:
        """A request succeeded whose last retry cost this much (0: it needed none). Also returns the cost of a retry that was never made."""
        self._tokens = min(self._capacity, self._tokens + (cost if cost > 0 else 1))


class RetryPolicy(msgspec.Struct, frozen=True):
    """How often and how patiently one target is tried. Times in seconds.

    ``max_attempts`` is per target, the first included. ``base`` and ``throttling_base`` are the bounds of the first wait, doubled each time up to ``cap``.
    ``max_retry_after`` is the longest wait a provider may ask for; with another target at hand no wait above ``max_wait_before_failover`` is begun. Raises ValueError for senseless numbers.
    """

    max_attempts: int = 3
    base: float = 0.5
    throttling_base: float = 1.0
    cap: float = 8.0
    max_retry_after: float = 60.0
    max_wait_before_failover: float = 5.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError(f"RetryPolicy.max_attempts is at least 1; got {self.max_attempts}")
        for name in ("base", "throttling_base", "cap", "max_retry_after", "max_wait_before_failover"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(
                    f"RetryPolicy.{name} is a finite number of seconds, at least 0; got {value!r}"
                )

    def decide(
        self,
        error: TercetError,
        *,
        attempt: int,
        now: float,
        deadline: float,
        random: Random,
        budget: RetryBudget | None,
        can_fail_over: bool,
    ) -> Decision:
        """What follows on the failure ``error`` of this target's attempt number ``attempt`` (from 1).

        ``deadline`` is the instant by which the caller wants an answer (``inf`` for none). The budget is spent only where the answer is :class:`Retry`.
        """
        if now >= deadline or (isinstance(error, DeadlineError) and error.clock == "total"):
            return GiveUp("the deadline has passed")
        if isinstance(error, ContextLengthError):
            return _elsewhere(can_fail_over, "the prompt is too long for the model", larger_model_only=True)
        if _is_of_the_request(error):
            return GiveUp("another try would end the same way")
        kind = classify(error)
        can_fail_over = can_fail_over and not _is_own_trouble(error, kind)
        refused = self._refuses(error, attempt)
        if refused is not None:
            return _elsewhere(can_fail_over, refused)
        is_throttling = kind is OutcomeKind.THROTTLED or isinstance(error, OverloadedError)
        hint = error.retry_after if is_throttling or error.status == 503 else None
        if hint is not None and hint > self.max_retry_after:
            return _elsewhere(
                can_fail_over, f"the provider asks for {hint:g} s, more than {self.max_retry_after:g} s"
            )
        base = self.throttling_base if is_throttling else self.base
        delay = full_jitter(attempt, base, self.cap, random)
        if hint is not None and hint > delay:
            delay = hint
        if can_fail_over and delay > self.max_wait_before_failover:
            return FailOver()
        if now + delay >= deadline:
            return _elsewhere(can_fail_over, f"a wait of {delay:.3g} s would pass the deadline")
        if budget is None:
            return Retry(delay)
        cost = budget.try_spend(is_throttling=is_throttling)
        if cost is None:
            return _elsewhere(can_fail_over, "the retry budget is spent")
        return Retry(delay, cost)

    def _refuses(self, error: TercetError, attempt: int) -> str | None:
        """Why this target is not tried again, None if it is."""
        if _is_of_this_target(error):
            return "trying this target again would not help"
        if not error.retryable:
            return "the error is not retryable"
        allowed = self.max_attempts
        if isinstance(error, ConnectError) and error.phase == "tls":
            allowed = 1
        elif isinstance(error, ProtocolError) or (
            isinstance(error, ConnectError) and error.phase in ("dns", "proxy")
        ):
            allowed = min(allowed, 2)
        return f"{attempt} attempts were made" if attempt >= allowed else None


def _elsewhere(can_fail_over: bool, reason: str, *, larger_model_only: bool = False) -> Decision:
    return FailOver(larger_model_only) if can_fail_over else GiveUp(reason)


def _is_of_the_request(error: TercetError) -> bool:
    # The provider's own x-should-retry (it made the error retryable) is believed over the status, except for refused content.
    if isinstance(error, ContentFilterError):
        return True
    if isinstance(error, BadRequestError):
        return not error.retryable
    return False


def _is_of_this_target(error: TercetError) -> bool:
    if isinstance(error, QuotaExceededError | AuthenticationError | PermissionDeniedError | NotFoundError):
        return not error.retryable
    if isinstance(error, OverloadedError):
        return error.status is None and error.code is None  # our own queue is full; another lane's may not be
    return isinstance(error, CircuitOpenError) or (
        isinstance(error, DeadlineError) and error.clock == "queue"
    )


def _is_own_trouble(error: TercetError, kind: OutcomeKind) -> bool:
    if kind is not OutcomeKind.LOCAL or isinstance(error, DeadlineError | OverloadedError | CircuitOpenError):
        return False
    return not (
        isinstance(error, ConnectError) and error.phase == "proxy"
    )  # another provider may need no proxy
