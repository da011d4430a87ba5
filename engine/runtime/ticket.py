"""A ticket: one attempt that somebody waits for.

The manager's caller makes it, a lane takes it, an attempt task in the lane fulfils it. Whoever waits may be cancelled at any
moment; then the ticket is withdrawn, and ``wait`` does not return before the attempt has let go of everything it held, so that
"the block was left" means "nothing is left".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import trio

from tercet.adapters.adapter import Adapter
from tercet.codecs.processor import StreamTransformer
from tercet.codecs.vocabulary import ChatRequest, ChatResponse, TercetError

from .accounts import AttemptRecord, Phase

if TYPE_CHECKING:
    from .attempt import OpenAnswer

__all__ = ["Ticket"]

_LET_GO_SECONDS = 5.0
_sequence = itertools.count()


class Ticket:
    """One attempt, from being handed to a lane until it is answered, failed or withdrawn."""

    __slots__ = (
        "_ended",
        "_error",
        "_has_ended",
        "_is_running",
        "_order",
        "_result",
        "_waiter",
        "adapter",
        "deadline",
        "enqueued_at",
        "is_forced",
        "is_preempted",
        "is_withdrawn",
        "model",
        "number",
        "patience",
        "record",
        "request",
        "request_number",
        "scope",
        "stream",
        "tokens",
        "transformers",
    )

    def __init__(
        self,
        adapter: Adapter,
        model: str,
        request: ChatRequest,
        *,
        stream: bool,
        number: int,
        request_number: int,
        record: Callable[[AttemptRecord], None],
        priority: int = 0,
        tokens: int = 0,
        deadline: float = math.inf,
        transformers: Sequence[StreamTransformer] = (),
        is_forced: bool = False,
        patience: float = math.inf,
    ) -> None:
        """``number`` counts the request's attempts from 1, ``request_number`` the manager's requests; ``record`` is told of the attempt's
        end. ``tokens`` is the estimate to reserve. ``deadline`` is the caller's, in
        trio's time. ``is_forced`` passes an open breaker: the last resort when every target's breaker is open.
        ``patience`` is the longest wait for a rate limit, in seconds, that is better than the next target.
        """
        self.adapter: Adapter = adapter
        self.model: str = model
        self.request: ChatRequest = request
        self.stream: bool = stream
        self.number: int = number
        self.request_number: int = request_number
        self.record: Callable[[AttemptRecord], None] = record
        self.tokens: int = tokens
        self.deadline: float = deadline
        self.transformers: Sequence[StreamTransformer] = transformers
        self.is_forced: bool = is_forced
        self.patience: float = patience
        self.is_withdrawn: bool = False
        self.is_preempted: bool = False
        self.enqueued_at: float = trio.current_time()
        self.scope: trio.CancelScope | None = None
        self._order = (-priority, next(_sequence))
        self._waiter: trio.lowlevel.Task | None = None
        self._is_running = self._has_ended = False
        self._ended: trio.Event | None = None  # made by who waits for it, which is rare
        self._result: OpenAnswer | ChatResponse | None = None
        self._error: BaseException | None = None

    def __lt__(self, other: Ticket) -> bool:
        return self._order < other._order

    @property
    def phase(self) -> Phase:
        """Where it is: waiting for its turn, asking the provider, or answered."""
        if self.is_settled:
            return "streaming" if self._result is not None else "between attempts"
        return "asking" if self._is_running else "queued"

    @property
    def is_settled(self) -> bool:
        """Whether the answer or the error is there."""
        return self._result is not None or self._error is not None

    # -- the waiting side -----------------------------------------------------------------------------------------------

    async def wait(self) -> OpenAnswer | ChatResponse:
        """The answer. Raises what the attempt failed with. Cancelling withdraws the ticket."""
        if not self.is_settled:
            self._waiter = trio.lowlevel.current_task()
            try:
                await trio.lowlevel.wait_task_rescheduled(self._abort)
            except BaseException:
                # short: a cancelled attempt closes its socket without waiting. The bound is for what nobody thought of
                with trio.move_on_after(_LET_GO_SECONDS, shield=True):
                    await self._let_go()
                raise
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = (
                    None  # the traceback holds this frame, the frame this ticket: break the cycle here
                )
        assert self._result is not None
        return self._result

    def _abort(self, raise_cancel: Any) -> trio.lowlevel.Abort:
        # Withdrawn from this moment on, not from when the waiter runs next: an answer that comes in between must find nobody here
        self._waiter = None
        self.is_withdrawn = True
        if self.scope is not None:
            self.scope.cancel()
        return trio.lowlevel.Abort.SUCCEEDED

    async def _let_go(self) -> None:
        """Wait until the attempt holds nothing any more."""
        if self._is_running and not self._has_ended:
            self._ended = self._ended or trio.Event()
            await self._ended.wait()

    # -- the lane's side ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """The attempt's task was spawned."""
        self._is_running = True

    def end(self) -> None:
        """The attempt's task holds nothing any more."""
        self.scope = None
        self._has_ended = True
        if self._ended is not None:
            self._ended.set()

    def succeed(self, result: OpenAnswer | ChatResponse) -> bool:
        """Hand over the result; False if nobody wants it any more and the attempt must close it."""
        if self.is_withdrawn:
            return False
        self._result = result
        self._wake()
        return True

    def fail(self, error: BaseException) -> None:
        """Hand over the error."""
        if isinstance(error, TercetError):
            error.at(provider=self.adapter.id, model=self.model, attempt=self.number)
        self._error = error
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            trio.lowlevel.reschedule(waiter)
