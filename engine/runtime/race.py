"""Two tickets, one winner: the waiting half of hedging (the deciding half is ``control/hedging``)."""

from __future__ import annotations

from collections.abc import Callable

import trio

from tercet.codecs.vocabulary import ChatResponse, TercetError

from .attempt import OpenAnswer
from .ticket import Ticket

__all__ = ["race"]

Answer = OpenAnswer | ChatResponse


async def race(
    first: Ticket, delay: float, make_second: Callable[[], Ticket | None]
) -> tuple[Ticket, Answer, TercetError | None]:
    """Wait for ``first``; after ``delay`` seconds without an answer make a second ticket, and wait for whichever answers first.

    Gives the winner, its answer, and the error of the one that failed meanwhile, if one did. The loser is withdrawn: its connection is closed
    before this returns. Raises the first ticket's error if nobody answers; the second's is put into its ``attempts``.
    ``make_second`` gives a submitted ticket, or None for none after all. Cancelling withdraws both.
    """
    answers: list[tuple[Ticket, Answer]] = []
    failures: dict[Ticket, BaseException] = {}
    second: Ticket | None = None

    async def wait_for(ticket: Ticket) -> None:
        try:
            answer = await ticket.wait()
        except Exception as error:  # noqa: BLE001  # raised outside, where no nursery wraps it into a group
            failures[ticket] = error
            if second is None or len(failures) == 2:
                nursery.cancel_scope.cancel()  # nobody else is running (and the delay need not be waited for)
            return
        if answers:  # both in one tick: the other was first
            _close(answer)
            return
        answers.append((ticket, answer))
        nursery.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for, first)
            await trio.sleep(delay)
            second = make_second()
            if second is not None:
                await wait_for(second)
    except BaseException:  # cancelled from outside while the winner was on its way
        for _, answer in answers:
            _close(answer)
        raise
    failed = failures.get(first)
    other = failures.get(second) if second is not None else None
    if answers:
        winner, answer = answers[0]
        lost = failed or other
        return winner, answer, lost if isinstance(lost, TercetError) else None
    assert failed is not None  # nobody answered and nobody was cancelled: the first has failed
    if isinstance(failed, TercetError) and isinstance(other, TercetError):
        failed.at(attempts=(other,))
    raise failed


def _close(answer: Answer) -> None:
    if isinstance(answer, OpenAnswer):
        answer.abandon()
