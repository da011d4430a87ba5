"""What every decoder here does when a limit is passed or the format is broken: give what was whole, raise, stay closed.

The events that a chunk completed before the fault are not lost with it: ``feed`` returns an iterable that gives them and then
raises. Were it to raise at once, what a consumer sees would depend on where the network cut the bytes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import TypeVar

from ..vocabulary import ProtocolError

__all__ = ["Closable"]

T = TypeVar("T")


class Closable(ABC):
    """A decoder that closes for good at its first fault. Only the fault's message is kept: each raise is a new error."""

    __slots__ = ("_fault",)

    def __init__(self) -> None:
        self._fault: str | None = None

    def _check_open(self) -> None:
        if self._fault is not None:
            raise ProtocolError(self._fault)

    def _close(self, events: list[T], fault: ProtocolError) -> Iterable[T]:
        """Free what is held and stay closed; the events found so far, then the fault."""
        self._fault = fault.message
        self._forget()
        if not events:
            raise fault
        return _then_raise(events, fault.message)

    @abstractmethod
    def _forget(self) -> None:
        """Drop every buffer."""


def _then_raise(events: list[T], message: str) -> Iterator[T]:
    yield from events
    raise ProtocolError(message)
