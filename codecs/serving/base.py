"""What every serving promises: the mirror image of a wire.

The property that ties both: for every sequence of tokens that the API can express,
``client(server(tokens)) == tokens``, whatever the bytes are cut into.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from ..vocabulary import ChatRequest, ChatResponse, Model, StreamToken

__all__ = ["ServedError", "Serving"]


class ServedError(msgspec.Struct, frozen=True):
    """An error to be served: HTTP ``status``, the provider's ``code`` for it, a ``message``."""

    status: int
    code: str
    message: str


class Serving(Protocol):
    """One family of APIs, spoken by a server."""

    name: str
    content_type: str
    """Of a streamed answer; whole answers are ``application/json``."""

    def request(self, method: str, path: str, body: bytes, /) -> tuple[ChatRequest, bool]:
        """A chat request and whether its answer is to be streamed. Raises :class:`BadRequestError` or :class:`NotFoundError`."""
        ...

    def stream(self, tokens: Sequence[StreamToken], /, *, model: str) -> Iterator[bytes]:
        """The bytes of a streamed answer, one piece per event, so that a server can pace or cut them."""
        ...

    def response(self, response: ChatResponse, /, *, model: str) -> bytes:
        """The body of a whole answer."""
        ...

    def error(self, error: ServedError, /) -> tuple[Mapping[str, str], bytes]:
        """Extra headers and the body of an error answer."""
        ...

    def stream_error(self, error: ServedError, /) -> bytes:
        """The event that reports an error inside a stream that began with 200."""
        ...

    def models(self, models: Sequence[Model], /) -> bytes:
        """The body of the list of models."""
        ...

    def is_models_request(self, method: str, path: str, /) -> bool:
        """Whether this request asks for the list of models."""
        ...
