"""What a conversation asks of whoever drives it.

An operation of the reference face (a message, a prompt, a list of models) is a *conversation*: a generator that yields actions
and is sent their results. It opens no socket and reads no clock; a driver does that (:mod:`tercet.engine.runtime.reference`
over a network, a test over a list).

==============  ===================================================================================
yielded         sent back
==============  ===================================================================================
``Send(call)``  a :class:`Reply`: status and headers are there, the body is not. It replaces the reply before it
``Read()``      the next bytes of the reply's body, its content coding undone; ``b""`` when it has ended as HTTP says it must
``Sleep(s)``    None, after ``s`` seconds
``Emit(chunk)``  None; the chunk is the caller's
``Now()``       the wall clock, Unix seconds
``Draw()``      a random number, 0 <= x < 1
==============  ===================================================================================

``Send`` and ``Read`` may be answered by a :class:`~tercet.codecs.vocabulary.TransportError` thrown into the conversation.
The value the generator returns is the operation's result.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, TypeAlias, TypeVar

import msgspec

from tercet.adapters.call import HttpCall

__all__ = ["Action", "Chunk", "Conversation", "Draw", "Emit", "Now", "Read", "Reply", "Send", "Sleep"]

Chunk: TypeAlias = dict[str, Any]
T = TypeVar("T")


class Send(msgspec.Struct, frozen=True, gc=False):
    """Send the request and wait for the status line and the headers of its answer."""

    call: HttpCall


class Reply(msgspec.Struct, frozen=True):
    """The head of an answer. Names of headers are lower-case."""

    status: int
    headers: Mapping[str, str]


class Read(msgspec.Struct, frozen=True, gc=False):
    """Wait for the next bytes of the body."""


class Sleep(msgspec.Struct, frozen=True, gc=False):
    """Wait for so many seconds."""

    seconds: float


class Emit(msgspec.Struct, frozen=True):
    """Hand a chunk to the caller: ``{"type": "text" | "reasoning" | "usage" | "grounding", ...}``."""

    chunk: Chunk


class Now(msgspec.Struct, frozen=True, gc=False):
    """Tell the wall clock."""


class Draw(msgspec.Struct, frozen=True, gc=False):
    """Draw a random number."""


Action: TypeAlias = Send | Read | Sleep | Emit | Now | Draw
Conversation: TypeAlias = Generator[Action, Any, T]
