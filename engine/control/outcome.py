"""What became of one attempt, and whose fault it was.

Rules ("signals stay apart"):

1. 429 and 529, and whatever says "too much" in other words, are THROTTLED: they teach the limiter and nobody else.
2. 5xx, a broken transport, nonsense instead of an answer and silence are FAILED: they teach the breaker.
3. 401, 402, 403 and a used-up quota are KEY: they park that key.
4. Every other 4xx is REJECTED: the request's own fault. 408, 409, 421 and 425 go here too: they may be tried again, but
   say nothing of the provider's health. So does a redirect, which is not followed: the address is wrong, not whoever answered there.
5. What went wrong on our side (settings, bugs, a full queue, no file descriptors, our own proxy) is LOCAL, and what nobody waits for any
   more is CANCELLED. Neither is counted against anybody.
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Iterator

import msgspec

from tercet.codecs.vocabulary import (
    AuthenticationError,
    BadRequestError,
    ConnectError,
    ContentFilterError,
    DeadlineError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProtocolError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    TercetError,
    TransportError,
)

__all__ = ["Outcome", "OutcomeKind", "classify"]


class OutcomeKind(enum.Enum):
    """Whose signal an outcome is. See the module's rules."""

    OK = "ok"
    THROTTLED = "throttled"
    FAILED = "failed"
    REJECTED = "rejected"
    KEY = "key"
    LOCAL = "local"
    CANCELLED = "cancelled"


class Outcome(msgspec.Struct, frozen=True):
    """One attempt, ended. All times in seconds.

    ``retry_after`` is what the provider asked for, None if nothing. ``first_content`` is the time from sending to the first token
    with content, None if none came. ``duration`` is the whole attempt. The tokens are what was used, 0 where unknown.
    """

    kind: OutcomeKind
    error: TercetError | None = None
    retry_after: float | None = None
    first_content: float | None = None
    duration: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0

    @classmethod
    def of(
        cls,
        error: BaseException | None,
        *,
        first_content: float | None = None,
        duration: float = 0.0,
        input_tokens: int = 0,
        output_tokens: int = 0,
    ) -> Outcome:
        """The outcome that ``error`` stands for (None: it went well), with its kind and its retry-after."""
        kind = OutcomeKind.OK if error is None else classify(error)
        known = error if isinstance(error, TercetError) else None
        retry_after = None if known is None else known.retry_after
        return cls(kind, known, retry_after, first_content, duration, input_tokens, output_tokens)


_TRANSIENT_STATUSES = frozenset({408, 409, 421, 425})
_THROTTLING_STATUSES = frozenset({429, 529})
_KEY_STATUSES = frozenset({401, 402, 403})
_THROTTLING_WORDS = ("overload", "throttl", "capacity", "not_ready", "notready", "loading")
"""Parts of the codes with which providers say "too much right now" under other statuses: ``overloaded_error`` (Anthropic), ``engine_overloaded``
(Moonshot), ``ServerOverloaded`` (Doubao), ``ThrottlingException`` and ``ModelNotReadyException`` (Bedrock), ``model_loading`` (Hugging Face)."""
_LOCAL_ERRNOS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENETDOWN, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL}
)


def classify(error: BaseException) -> OutcomeKind:
    """The kind of an attempt that ended with ``error``. Never raises.

    An exception that is no ``Exception`` (trio's ``Cancelled``, ``KeyboardInterrupt``) is CANCELLED; an ``Exception`` that is not ours is a
    bug of ours, so LOCAL.
    """
    if not isinstance(error, Exception):
        return OutcomeKind.CANCELLED
    if isinstance(error, TransportError):
        return _classify_transport(error)
    if isinstance(error, ProviderError):
        return _classify_answer(error)
    return OutcomeKind.LOCAL


def _classify_transport(error: TransportError) -> OutcomeKind:
    if isinstance(error, DeadlineError):
        if error.clock == "total":
            return OutcomeKind.CANCELLED  # the caller's own patience: the answer may have been on its way
        return OutcomeKind.LOCAL if error.clock == "queue" else OutcomeKind.FAILED
    if isinstance(error, ConnectError) and error.phase == "proxy":
        return OutcomeKind.LOCAL  # our own proxy refused: says nothing of the provider behind it
    if isinstance(error, ProtocolError) and error.status is not None and 300 <= error.status < 400:
        return OutcomeKind.REJECTED
    return OutcomeKind.LOCAL if _is_out_of_resources(error) else OutcomeKind.FAILED


def _classify_answer(error: ProviderError) -> OutcomeKind:
    status = error.status
    if isinstance(error, QuotaExceededError | AuthenticationError | PermissionDeniedError):
        return OutcomeKind.KEY
    if isinstance(error, RateLimitError) or status in _THROTTLING_STATUSES:
        return OutcomeKind.THROTTLED
    if (
        isinstance(error, BadRequestError | NotFoundError | ContentFilterError)
        or status in _TRANSIENT_STATUSES
    ):
        return OutcomeKind.REJECTED
    if isinstance(error, OverloadedError):
        if status is None and error.code is None:
            return OutcomeKind.LOCAL  # our own admission queue was full
        return OutcomeKind.THROTTLED if _says_too_much(error.code) else OutcomeKind.FAILED
    if isinstance(error, ServerError):
        return OutcomeKind.FAILED
    if status in _KEY_STATUSES:
        return OutcomeKind.KEY
    return OutcomeKind.REJECTED if status is not None and status < 500 else OutcomeKind.FAILED


def _says_too_much(code: str | None) -> bool:
    lowered = (code or "").lower()
    return any(word in lowered for word in _THROTTLING_WORDS)


def _is_out_of_resources(error: BaseException) -> bool:
    return any(isinstance(cause, OSError) and cause.errno in _LOCAL_ERRNOS for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    # Under trio the true reason often sits in the suppressed __context__. Bounded: a chain of causes can be made a ring.
    current: BaseException | None = error
    for _ in range(16):
        if current is None:
            return
        yield current
        current = current.__cause__ or current.__context__
