"""Everything that can go wrong, as few types that carry many facts.

::

    TercetError
    +-- ConfigurationError          a setting, a name or a key is missing or wrong; nothing was sent
    +-- ProviderError               the provider answered, and the answer is no
    |   +-- AuthenticationError     the key is not accepted (401)
    |   +-- PermissionDeniedError   the key may not do this (403)
    |   +-- NotFoundError           no such model or address (404)
    |   +-- BadRequestError         the request itself is wrong (400, 413, 422)
    |   |   +-- ContextLengthError  too long for this model; a larger one may take it
    |   |   +-- UnsupportedError    the model or the wire cannot do what was asked
    |   +-- ContentFilterError      refused for its content
    |   +-- RateLimitError          too many requests or tokens for now (429)
    |   |   +-- QuotaExceededError  no money, no quota: waiting will not help soon (402, 429)
    |   +-- OverloadedError         the provider, or our own admission queue, is full (503, 529)
    |   +-- ServerError             the provider failed (5xx)
    +-- TransportError              no usable answer came
    |   +-- ConnectError            no connection: name, address, TLS, proxy
    |   +-- DeadlineError           one of the clocks ran out; ``clock`` says which
    |   +-- ProtocolError           what came is not HTTP, not SSE, not JSON, or larger than its limit
    |   +-- StreamInterruptedError  the answer began and did not end; ``response`` is what was said
    +-- CircuitOpenError            the breaker is open; nothing was sent
    +-- AllAttemptsFailedError      every target was tried; ``attempts`` has each error

The type answers *whose fault is it, and may I try again*; the attributes carry the facts. The same object travels
from the place that knows the fault up to the caller, and each floor fills in what it knows with :meth:`TercetError.at`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from .responses import ChatResponse

__all__ = [
    "AllAttemptsFailedError",
    "AuthenticationError",
    "BadRequestError",
    "CircuitOpenError",
    "ConfigurationError",
    "ConnectError",
    "ContentFilterError",
    "ContextLengthError",
    "DeadlineError",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "ProtocolError",
    "ProviderError",
    "QuotaExceededError",
    "RateLimitError",
    "ServerError",
    "StreamInterruptedError",
    "TercetError",
    "TransportError",
    "UnsupportedError",
]


class TercetError(Exception):
    """The base of every error that tercet raises on purpose.

    ``message`` is a sentence for a person; ``str()`` gives it alone. The facts are attributes:

    - ``provider``, ``model``: who was asked, None before a target was chosen.
    - ``status``: the HTTP status, None when there was no answer or the error came inside a 200 stream.
    - ``code``: the provider's own word for the failure (``insufficient_quota``, ``overloaded_error``), None if it gave none.
    - ``request_id``: the provider's id of the request, for its support desk.
    - ``retry_after``: seconds the provider asked us to wait, None if it did not say.
    - ``retryable``: whether the same request may succeed on the same target later.
    - ``attempt``: the number of the attempt that failed, from 1; 0 before the first.
    - ``body``: the first 2,000 characters of the provider's answer, as text.
    - ``response``: the answer as far as it was received, None if no token came.
    - ``attempts``: the errors of all the attempts made for the request, oldest first (this one included, if it was one).
    """

    default_retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        retryable: bool | None = None,
        attempt: int = 0,
        body: str = "",
        response: ChatResponse | None = None,
        attempts: Sequence[TercetError] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.model = model
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        self.retryable: bool = self.default_retryable if retryable is None else retryable
        self.attempt = attempt
        self.body: str = body[:2000]
        self.response = response
        self.attempts: tuple[TercetError, ...] = tuple(attempts)

    def at(self, **facts: Any) -> Self:
        """Fill in facts that are still unknown, and return the same object.

        A fact that is already there is kept: whoever is nearer to the fault knows better.
        """
        for name, value in facts.items():
            if not getattr(self, name):
                setattr(self, name, value)
        return self

    def facts(self) -> dict[str, Any]:
        """The known facts as plain values, for logs and ``--json``; never the body, which may echo the request."""
        known: dict[str, Any] = {"error": type(self).__name__, "message": self.message}
        for name in ("provider", "model", "status", "code", "request_id", "retry_after", "attempt"):
            value = getattr(self, name)
            if value:
                known[name] = value
        known["retryable"] = self.retryable
        return known


class ConfigurationError(TercetError):
    """A setting, a name or a key is missing or wrong. Nothing was sent. The message names the value and the way out."""


class ProviderError(TercetError):
    """The provider answered, and the answer is an error."""


class AuthenticationError(ProviderError):
    """The key is not accepted (401)."""


class PermissionDeniedError(ProviderError):
    """The key is valid but may not do this (403)."""


class NotFoundError(ProviderError):
    """No such model, deployment or address (404)."""


class BadRequestError(ProviderError):
    """The request itself is wrong (400, 413, 422): sending it again changes nothing."""


class ContextLengthError(BadRequestError):
    """The request is longer than the model's context window; only a larger model can take it."""


class UnsupportedError(BadRequestError):
    """The model or the wire cannot do what was asked; raised before sending where that is known."""


class ContentFilterError(ProviderError):
    """The provider refused the request or withheld the answer for its content. Never retried."""


class RateLimitError(ProviderError):
    """Too many requests or tokens for now (429). ``retry_after`` says how long, if the provider did."""

    default_retryable = True


class QuotaExceededError(RateLimitError):
    """No money or no quota left (402, or a 429 that says so): another key or provider may help, waiting will not."""

    default_retryable = False


class OverloadedError(ProviderError):
    """The provider (503, 529), or our own admission queue (``status`` is None), is full."""

    default_retryable = True


class ServerError(ProviderError):
    """The provider failed (5xx)."""

    default_retryable = True


class TransportError(TercetError):
    """No usable answer came over the network."""

    default_retryable = True


class ConnectError(TransportError):
    """No connection was made. ``phase`` is one of ``dns``, ``tcp``, ``tls``, ``proxy``, ``process``."""

    def __init__(self, message: str, *, phase: str = "tcp", **facts: Any) -> None:
        super().__init__(message, **facts)
        self.phase = phase


class DeadlineError(TransportError):
    """A clock ran out. ``clock`` is one of ``connect``, ``first_content``, ``idle``, ``total``, ``queue``."""

    def __init__(self, message: str, *, clock: str, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.clock = clock


class ProtocolError(TransportError):
    """What came is not HTTP, SSE or JSON as it should be, or is larger than its limit."""


class StreamInterruptedError(TransportError):
    """The answer began and its end never came. ``response`` holds what was said, with ``finish_reason`` None."""


class CircuitOpenError(TercetError):
    """The breaker of this target is open and nothing was sent. ``retry_after`` is when it will next let a probe pass."""


class AllAttemptsFailedError(TercetError):
    """Every target of the plan was tried, or none may be tried now. ``attempts`` has every error, oldest first."""
