"""One request on its way through its targets, and the one error that comes of it if nobody answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import trio

from tercet.adapters.adapter import Adapter
from tercet.codecs.processor import StreamTransformer
from tercet.codecs.vocabulary import AllAttemptsFailedError, ChatRequest, TercetError, Usage

from ..control import Target
from .accounts import AttemptRecord, RequestView
from .estimate import estimate_tokens
from .scope import Hold
from .ticket import Ticket

__all__ = ["Journey", "outcome_of"]


class Journey:
    """One request on its way: the targets, where it is, what failed so far. A stream keeps it over restarts."""

    __slots__ = (
        "_current",
        "_is_forced",
        "_last_number",
        "_on_attempt",
        "_patience",
        "_position",
        "_priority",
        "_request",
        "_stream",
        "_targets",
        "_tokens",
        "_transformers",
        "attempt",
        "failed",
        "hold",
        "input_tokens",
        "is_hedged",
        "number",
        "output_limit",
        "owed",
        "records",
        "started",
    )

    def __init__(
        self,
        request: ChatRequest,
        targets: Sequence[Target],
        priority: int,
        transformers: Sequence[StreamTransformer],
        *,
        stream: bool,
        is_forced: bool,
        is_hedged: bool,
        patience: float,
        number: int,
        on_attempt: Callable[[AttemptRecord], None],
    ) -> None:
        self.is_hedged: bool = is_hedged
        self.number: int = number
        self.started: float = trio.current_time()
        self.records: list[AttemptRecord] = []
        self._on_attempt = on_attempt
        self._patience = patience
        self._current: Ticket | None = None
        self._request = request
        self._targets = targets
        self._priority = priority
        self._transformers = transformers
        self._stream = stream
        self._is_forced = is_forced
        self.input_tokens: int = estimate_tokens(request)
        self.output_limit: int = request.max_tokens or 0
        self._tokens = self.input_tokens + self.output_limit
        self.hold: Hold = Hold(None, None)
        self._position = 0
        self._last_number = 0
        self.attempt: int = 0
        self.owed: int = 0
        self.failed: list[TercetError] = []

    @property
    def target(self) -> Target:
        """The target that is asked now."""
        return self._targets[self._position]

    @property
    def has_next(self) -> bool:
        """Whether there is a target behind this one."""
        return self._position + 1 < len(self._targets)

    def move_on(self) -> None:
        """To the next target."""
        self._position += 1
        self.attempt = self.owed = 0

    @property
    def next_target(self) -> Target:
        """The target behind this one; there is one if ``has_next``."""
        return self._targets[self._position + 1]

    @property
    def tokens(self) -> int:
        """The estimate of the request's tokens, the answer's limit included."""
        return self._tokens

    @property
    def is_hedgeable(self) -> bool:
        """Whether a second copy may run beside the first: there is a target for it, and no transformer would see both answers."""
        return self.has_next and not self._transformers

    def ticket(self, adapter: Adapter) -> Ticket:
        """The ticket of the next attempt at the current target. When every breaker is open, the first target is asked all the same."""
        self.attempt += 1
        return self._ticket(adapter, self.target, is_forced=self._is_forced and self._position == 0)

    def hedge(self, adapter: Adapter) -> Ticket:
        """A second ticket, for the next target, while the first is still out."""
        return self._ticket(adapter, self.next_target, is_forced=False)

    def won_by_hedge(self) -> None:
        """The hedge answered first: the journey stands at its target now."""
        self.move_on()
        self.attempt = 1

    def view(self) -> RequestView:
        """The request now, for ``inspect``."""
        current = self._current
        return RequestView(
            self.number,
            f"{self.target.provider}:{self.target.model}",
            "queued" if current is None else current.phase,
            trio.current_time() - self.started,
            tuple(self.records),
        )

    @property
    def usage(self) -> Usage:
        """What all attempts that have ended used together, as far as the providers said."""
        return sum((record.usage for record in self.records if record.usage is not None), Usage())

    def _record(self, record: AttemptRecord) -> None:
        self.records.append(record)
        self.hold.use(record.usage)
        self._on_attempt(record)

    def _ticket(self, adapter: Adapter, target: Target, *, is_forced: bool) -> Ticket:
        # two tickets may be out at once (a hedge), and a target that could not be asked has failed without any
        self._last_number = max(self._last_number, len(self.failed)) + 1
        ticket = self._current = Ticket(
            adapter,
            target.model,
            self._request,
            stream=self._stream,
            number=self._last_number,
            request_number=self.number,
            record=self._record,
            priority=self._priority,
            tokens=self._tokens,
            deadline=trio.current_effective_deadline(),
            transformers=self._transformers,
            is_forced=is_forced,
            patience=self._patience if self.has_next else math.inf,
        )
        return ticket


def outcome_of(failed: Sequence[TercetError]) -> TercetError:
    """The one error for the caller: the attempt's own where only one target was tried, else all of them in one."""
    if not failed:
        return AllAttemptsFailedError("there was no target to try")
    last = failed[-1]
    tried = {(error.provider, error.model) for error in failed}
    if len(tried) == 1:
        return last.at(attempts=tuple(failed))
    told = "; ".join(f"{error.provider}:{error.model}: {error.message}" for error in failed)
    return AllAttemptsFailedError(
        f"no target answered: {told}",
        attempts=failed,
        attempt=len(failed),
        retry_after=min((e.retry_after for e in failed if e.retry_after is not None), default=None),
        retryable=any(error.retryable for error in failed),
    )
