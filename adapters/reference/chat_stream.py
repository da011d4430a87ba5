"""The chunks of one streamed chat completion. Whole is what ended with ``[DONE]``, a finish reason or the closing usage."""

from __future__ import annotations

from typing import Any

from tercet.codecs.framing.sse import SseDecoder
from tercet.codecs.vocabulary import ProtocolError

from .actions import Chunk, Conversation, Emit, Read, Reply
from .errors import event_failure, interrupted
from .row import ChatRow, Ended, Facts
from .think import ThinkSplitter
from .values import get, is_list, is_true, parse_json, text_of

__all__ = ["ChatStream"]


class ChatStream:
    """Reads one answer as ``row`` says; ``splits``: whether ``<think>`` tags are told from its text."""

    def __init__(self, row: ChatRow, info: Facts, *, splits: bool) -> None:
        self._row = row
        self._info = info
        self._splitter = ThinkSplitter() if splits else None
        self._read = row.reader() if row.reader else self._delta
        self._said: list[str] = []  # what the closing wants to know
        self._usage: Any = None
        self._is_whole = False
        self._is_done = False

    def run(self, reply: Reply) -> Conversation[Ended]:
        """Emit chunks to the end of the bytes; whether the answer was whole, :meth:`check` says."""
        if reply.status in (204, 205):
            raise ProtocolError("Attempted to iterate over a response with no body")
        decoder = SseDecoder()
        while not self._is_done:
            data: bytes = yield Read()
            for event in decoder.feed(data) if data else ():
                for chunk in self._event(bytes(event.data).decode("utf-8", "replace"), event.name):
                    yield Emit(chunk)
                if self._is_done:
                    break
            if not data:
                break
        for chunk in self._splitter.final() if self._splitter else ():
            yield Emit(chunk)
        if self._usage is not None and self._row.usage_when == "last":
            yield Emit(self._row.usage(self._usage, self._info))
        return Ended(reply, "".join(self._said), self._usage)

    def check(self) -> None:
        """Raise ``StreamInterruptedError`` when the bytes have ended and the answer has not."""
        if not self._is_whole:
            raise interrupted("finish_reason, usage or [DONE]")

    def _event(self, data: str, name: str) -> list[Chunk]:
        if data.startswith("[DONE]"):
            self._is_done = self._is_whole = True
            return []
        try:
            event = parse_json(data)
        except ValueError as error:
            raise ProtocolError(f"an event of the stream is not JSON: {error}", body=data) from None
        failure = get(event, "error")
        if is_true(failure):
            raise event_failure(failure, data)
        choices = get(event, "choices")
        if not isinstance(choices, list):
            if name == "error":
                raise event_failure(event, data)
            raise ProtocolError("a chunk of the stream has no choices", body=data)
        chunks = self._read(get(choices, 0, "delta"))
        usage = get(event, "usage")
        if get(choices, 0, "finish_reason") or (is_true(usage) and not choices):
            self._is_whole = True
        if is_true(usage):
            self._usage = usage
            if self._row.usage_when == "each":
                chunks.append(self._row.usage(usage, self._info))
        return chunks

    def _delta(self, delta: Any) -> list[Chunk]:
        row = self._row
        text = get(delta, "content")
        chunks: list[Chunk] = []
        if is_true(text):
            if row.closing:
                self._said.append(text_of(text))
            chunks = self._split(text) if self._splitter else [{"type": "text", "text": text}]
        thought = get(delta, row.reasoning) if row.reasoning else None
        if is_true(thought):
            chunks.insert(0 if row.reasoning_first else len(chunks), {"type": "reasoning", "text": thought})
        return chunks

    def _split(self, text: Any) -> list[Chunk]:
        if self._splitter is None or not (isinstance(text, str) or is_list(text)):
            raise ProtocolError(f"the content of a delta is not text: {text_of(text)}")
        return self._splitter.update(text)
