"""What every wire promises: one family of provider APIs, as a client speaks it.

A wire is a plain immutable object made from its *dialect*: a Struct of values (names of fields, paths, switches) that a
provider's row fills in. It knows nothing of keys, hosts, sockets or clocks. It writes requests and reads answers::

    ChatRequest --chat()--> WireRequest          (method, path, body; the adapter adds host and key)
    event       --Interpreter.interpret()--> tokens
    whole body  --response()--> ChatResponse     (through the same interpreter)
    status+body --error()--> ProviderError

``model`` in a request handed to a wire is the provider's own id: the adapter has cut ``provider:`` off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from ..framing.events import Decoder
from ..vocabulary import ChatRequest, ChatResponse, Model, StreamToken, TercetError

__all__ = ["Headers", "Interpreter", "Wire", "WireRequest"]

Headers = Mapping[str, str]
"""Response headers: lower-case names; several of one name are joined with ', '."""


class WireRequest(msgspec.Struct, frozen=True):
    """A request without its host and its key. ``path`` begins with ``/`` and goes behind the provider's base URL, query included."""

    method: str
    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class Interpreter(Protocol):
    """The events of one answer to tokens. Made anew for every answer.

    ``is_complete`` turns true on the wire's own terminal evidence and on nothing else: the end of the bytes proves nothing.
    A half of a surrogate pair at the end of a delta is held back until its other half comes, so no token carries half a character.
    """

    is_complete: bool

    def interpret(self, name: str, data: bytes | memoryview, into: list[StreamToken], /) -> None:
        """Append the tokens of one event to ``into``.

        Raises the typed error that an error event stands for (without provider and model: the engine fills them in), and
        :class:`ProtocolError` for an event that is not what the API says. What was appended before the raise stands.
        Unknown event types and fields are ignored. Exactly one ``Finish`` is given per answer, as soon as the answer is known to
        be complete, which may be as late as ``finish``.
        """
        ...

    def finish(self, into: list[StreamToken], /) -> None:
        """The bytes have ended. Appends what was held back; raises :class:`StreamInterruptedError` unless ``is_complete``."""
        ...


class Wire(Protocol):
    """One family of APIs."""

    name: str

    @property
    def rejects(self) -> Sequence[str]:
        """Fields of :class:`ChatRequest` that the API has no place for: ``chat`` raises :class:`UnsupportedError` for them."""
        ...

    def chat(self, request: ChatRequest, /, *, stream: bool) -> WireRequest:
        """The request's bytes. Raises :class:`UnsupportedError` for what this API cannot say, naming field and value."""
        ...

    def decoder(self) -> Decoder:
        """A new decoder for the bytes of a streamed answer."""
        ...

    def interpreter(self) -> Interpreter:
        """A new interpreter for the events of a streamed answer."""
        ...

    def response(self, body: bytes, /) -> ChatResponse:
        """A whole (not streamed) answer. Raises like ``Interpreter.interpret``; an answer without a finish is a ProtocolError."""
        ...

    def error(self, status: int, headers: Headers, body: bytes, /) -> TercetError:
        """The error that a failing status and its body stand for. Never raises, whatever the body is."""
        ...

    def list_models(self) -> WireRequest | None:
        """The request for the provider's list of models, or None if it has none."""
        ...

    def models(self, body: bytes, /) -> Sequence[Model]:
        """The answer to ``list_models``."""
        ...

    def count_tokens(self, request: ChatRequest, /) -> WireRequest | None:
        """The request that counts a prompt's tokens, or None if the API cannot."""
        ...

    def token_count(self, body: bytes, /) -> int:
        """The answer to ``count_tokens``."""
        ...
