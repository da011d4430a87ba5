"""What a conversation asks of whoever drives it.

An operation of the reference face (a message, a prompt, a list of models) is a *conversation*: a generator that yields actions
and is sent their results. It opens no socket and reads no clock; a driver does that (:mod:`tercet.engine.runtime.reference`
over a network, a test over a list).

======================  ===========================================================================
yielded                 sent back
======================  ===========================================================================
``Send(call)``          a :class:`Reply`: status and headers are there, the body is not. It replaces the reply before it
``Read()``              the next bytes of the reply's body, its content coding undone; ``b""`` when it has ended as HTTP says it must
``Sleep(s)``            None, after ``s`` seconds
``Emit(chunk)``         None; the chunk is the caller's
``Now()``               the wall clock, Unix seconds
``Draw()``              a random number, 0 <= x < 1
``ReadFile(p)``         the text of a file; a path that begins with ``~/`` is under the home directory
``WriteFile(p, text)``  None; the file has that text and can be read by its owner alone
``OpenSocket(call)``    None: a WebSocket is open (RFC 6455). It replaces the one before it
``SendText(text)``      None
``ReceiveText()``       the next text message of the socket
``RunProcess(...)``     None, once the program runs; after it ``Read()`` gives what it writes. It replaces the reply
``Exit()``              an :class:`Exited`, once the program has ended
``CallHost(call)``      what the editor answers
``HostPart()``          the next part of the editor's reply, None at its end
======================  ===========================================================================

``Send``, ``Read`` and what is done with a socket may be answered by a :class:`~tercet.codecs.vocabulary.TransportError` thrown into
the conversation, what is done with files by an :class:`OSError`.
``RunProcess`` may be answered by a :class:`~tercet.codecs.vocabulary.ConnectError` with phase ``process``, whose code is ``ENOENT``
where there is no such program; the two of the editor by a :class:`~tercet.codecs.vocabulary.ProviderError`, whose code is
``cancelled`` for a cancelled request and ``object`` for a thrown value that is no error (the body is its JSON).
The value the generator returns is the operation's result.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, TypeAlias, TypeVar

import msgspec

from tercet.adapters.call import HttpCall

__all__ = [
    "Action",
    "CallHost",
    "Chunk",
    "Conversation",
    "Draw",
    "Emit",
    "Exit",
    "Exited",
    "HostPart",
    "LocalAction",
    "Now",
    "OpenSocket",
    "Read",
    "ReadFile",
    "ReceiveText",
    "Reply",
    "RunProcess",
    "Send",
    "SendText",
    "Sleep",
    "WriteFile",
]

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


class ReadFile(msgspec.Struct, frozen=True, gc=False):
    """Read a file's text."""

    path: str


class WriteFile(msgspec.Struct, frozen=True, gc=False):
    """Give a file this text. The repr does not show it: such files hold tokens."""

    path: str
    text: str

    def __repr__(self) -> str:
        return f"<WriteFile {self.path}>"


class OpenSocket(msgspec.Struct, frozen=True, gc=False):
    """Open a WebSocket with this GET request; what the protocol wants in its headers is added."""

    call: HttpCall


class SendText(msgspec.Struct, frozen=True, gc=False):
    """Send one text message over the socket. The repr does not show it."""

    text: str

    def __repr__(self) -> str:
        return f"<SendText {len(self.text)} characters>"


class ReceiveText(msgspec.Struct, frozen=True, gc=False):
    """Wait for the socket's next text message."""


class RunProcess(msgspec.Struct, frozen=True):
    """Start a program: ``argv`` with the program's name or path first, all of ``stdin``, and ``env`` on top of what it inherits.

    The repr shows the program alone.
    """

    argv: tuple[str, ...]
    stdin: bytes
    env: Mapping[str, str]

    def __repr__(self) -> str:
        return f"<RunProcess {self.argv[0]}>"


class Exit(msgspec.Struct, frozen=True, gc=False):
    """Wait until the program has ended."""


class Exited(msgspec.Struct, frozen=True):
    """How a program ended: its exit code (less than zero for a signal) and what it wrote to stderr, at most 64 KiB."""

    code: int
    stderr: bytes


class CallHost(msgspec.Struct, frozen=True):
    """Ask the editor: ``{"select": selector}``, ``{"countTokens": text}`` or ``{"sendRequest": {"messages", "options"}}``."""

    call: Mapping[str, Any]


class HostPart(msgspec.Struct, frozen=True, gc=False):
    """Wait for the next part of the reply to ``sendRequest``: ``{"text"}``, ``{"tool": {"callId", "name", "input"}}`` or another."""


LocalAction: TypeAlias = RunProcess | Exit | CallHost | HostPart
Action: TypeAlias = (
    Send
    | Read
    | Sleep
    | Emit
    | Now
    | Draw
    | ReadFile
    | WriteFile
    | OpenSocket
    | SendText
    | ReceiveText
    | LocalAction
)
Conversation: TypeAlias = Generator[Action, Any, T]
