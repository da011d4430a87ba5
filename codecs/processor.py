"""``StreamProcessor``: chunk of bytes in, list of tokens out.

It joins a framing decoder and a wire's interpreter, and is the only thing the engine feeds. ``StreamTransformer`` is the
place for what a program wants done to every answer; two that are often wanted stand in ``transform``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Protocol, runtime_checkable

from .framing.events import Buffer, Decoder
from .vocabulary import StreamToken, TercetError
from .wire.base import Interpreter

__all__ = ["StreamProcessor", "StreamTransformer"]

_PAIR = attrgetter("name", "data")


@runtime_checkable
class _Splitting(Protocol):
    """A decoder that also gives bare pairs of name and data, faster than events (see ``SseDecoder.split``)."""

    def split(self, chunk: Buffer, /) -> Iterable[tuple[str, bytes | memoryview]]: ...


class StreamTransformer(Protocol):
    """Tokens in, tokens out, one list per read."""

    def transform(self, tokens: list[StreamToken], /) -> list[StreamToken]:
        """Take the tokens of one read, give those to hand out now. May hold some back; may raise :class:`ContentFilterError`."""
        ...

    def finish(self) -> list[StreamToken]:
        """The answer is over (complete or not): give what was held back."""
        ...


class StreamProcessor:
    """Bytes of one streamed answer to tokens.

    ``process_chunk`` raises what the decoder or the interpreter raises, but never instead of tokens: those found before the
    fault in the same chunk are given first, and the error is raised by the next call.
    """

    __slots__ = ("_decoder", "_fault", "_interpreter", "_split", "_transformers")

    def __init__(
        self, decoder: Decoder, parser: Interpreter, transformers: Sequence[StreamTransformer] = ()
    ) -> None:
        self._decoder = decoder
        self._split = _splitter(decoder)
        self._interpreter = parser
        self._transformers = tuple(transformers)
        self._fault: TercetError | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the provider has said that the answer is whole."""
        return self._interpreter.is_complete

    def process_chunk(self, chunk: Buffer) -> list[StreamToken]:
        """The tokens that ``chunk`` completes, in order; often none."""
        if self._fault is not None:
            raise self._fault
        tokens: list[StreamToken] = []
        interpret = self._interpreter.interpret
        try:
            for name, data in self._split(chunk):
                interpret(name, data, tokens)
        except TercetError as fault:
            self._fault = fault
            if not tokens:
                raise
        return self._transformed(tokens) if self._transformers else tokens

    def finish(self) -> list[StreamToken]:
        """The bytes have ended: the last tokens. Raises :class:`StreamInterruptedError` unless the answer is complete."""
        if self._fault is not None:
            raise self._fault
        tokens: list[StreamToken] = []
        try:
            for event in self._decoder.finish():
                self._interpreter.interpret(event.name, event.data, tokens)
            self._interpreter.finish(tokens)
        except TercetError as fault:
            self._fault = fault
            if not tokens:
                raise
        for transformer in self._transformers:
            tokens = transformer.transform(tokens) + transformer.finish()
        return tokens

    def _transformed(self, tokens: list[StreamToken]) -> list[StreamToken]:
        for transformer in self._transformers:
            tokens = transformer.transform(tokens)
        return tokens


def _splitter(decoder: Decoder) -> Callable[[Buffer], Iterable[tuple[str, bytes | memoryview]]]:
    """``decoder.split`` where there is one (measured on 1 KiB reads: 1.6 times as fast as events), else the same made of ``feed``."""
    if isinstance(decoder, _Splitting):
        return decoder.split
    feed = decoder.feed
    return lambda chunk: map(_PAIR, feed(chunk))
