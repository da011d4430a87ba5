"""OpenAI's Responses API, as a server speaks it: the mirror of ``wire.openai_responses``. Requests are read in ``openai_responses_request``.

``client(server(tokens)) == tokens`` holds for what the API can express, which is: parts numbered from 0 in their order; the members of a
message (``phase``) on the first token of each of its parts; citations behind the text they belong to; a reasoning part closed by a token
without text that has the item, its id and its encrypted content; a call begun by a token with id, name and no arguments; usage right
before the finish. Other sequences are served by their meaning: parts are numbered anew, what a ``Restarted`` voids is left out, and so is
what only another provider understands. Tokens without a ``Finish`` are an answer that breaks off. Nothing here has a clock:
``created_at`` is 0.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ..vocabulary import (
    BadRequestError,
    ChatRequest,
    ChatResponse,
    Citation,
    Finish,
    FinishReason,
    Model,
    NotFoundError,
    OpaqueDelta,
    ReasoningDelta,
    Restarted,
    StreamToken,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    unfold,
)
from ..wire.shared import encode_json
from .base import ServedError
from .openai_chat import OpenAIChatServing
from .openai_responses_request import read_request

__all__ = ["OpenAIResponsesServing"]

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CUSTOM = "custom_tool_call"
_REASONS: dict[FinishReason, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
    "pause": "pause",
}


class OpenAIResponsesServing:
    """A server's side of the wire ``openai_responses`` (see :class:`~tercet.codecs.serving.base.Serving`).

    ``name`` is the origin of the opaque parts that requests bring back and answers hold.
    """

    content_type = "text/event-stream; charset=utf-8"

    def __init__(self, *, name: str = "openai_responses") -> None:
        self.name = name
        self._chat = OpenAIChatServing(name=name)  # lists and errors are the same

    def request(self, method: str, path: str, body: bytes, /) -> tuple[ChatRequest, bool]:
        """A request and whether it asks for a stream. Raises :class:`BadRequestError` or :class:`NotFoundError`."""
        place = path.partition("?")[0]
        if not place.endswith("/responses"):
            raise NotFoundError(f"there is nothing at {place}", status=404, code="not_found_error")
        if method != "POST":
            raise BadRequestError(f"{place} takes POST; got {method}", status=405, code="method_not_allowed")
        return read_request(body, self.name)

    def stream(self, tokens: Sequence[StreamToken], /, *, model: str) -> Iterator[bytes]:
        """The events of a streamed answer, one piece each."""
        return _Writer(tokens, model, self.name).events()

    def response(self, response: ChatResponse, /, *, model: str) -> bytes:
        """A whole answer: the ``response`` that its stream would end with. Citations without a place are put on the last text."""
        tokens = unfold(response)
        cited = [token for token in tokens if isinstance(token, Citation)]
        others = [token for token in tokens if not isinstance(token, Citation)]
        place = max((at for at, token in enumerate(others, 1) if isinstance(token, TextDelta)), default=0)
        return _Writer([*others[:place], *cited, *others[place:]], model, self.name).body()

    def error(self, error: ServedError, /) -> tuple[Mapping[str, str], bytes]:
        """No extra headers, and OpenAI's error object."""
        return self._chat.error(error)

    def stream_error(self, error: ServedError, /) -> bytes:
        """An ``error`` event, in the form that OpenAI's servers were seen to send (2025-11)."""
        _, body = self._chat.error(error)
        told = _MEMBERS.decode(body)["error"]
        return _event({"type": "error", "sequence_number": 0, "error": told})

    def models(self, models: Sequence[Model], /) -> bytes:
        """OpenAI's list, with the windows, prices and modalities that routers add."""
        return self._chat.models(models)

    def is_models_request(self, method: str, path: str, /) -> bool:
        """``GET .../models``."""
        return self._chat.is_models_request(method, path)


class _Part:
    """A part of a message: its number among the tokens, which a citation does not know, and what was said in it."""

    def __init__(self, number: int | None) -> None:
        self.number = number
        self.pieces: list[str] = []
        self.citations: list[dict[str, Any]] = []

    def written(self) -> dict[str, Any]:
        return {"type": "output_text", "annotations": self.citations, "text": "".join(self.pieces)}


class _Message:
    """A message that is being written."""

    def __init__(self, index: int, members: Mapping[str, Any]) -> None:
        self.index = index
        self.members = members
        self.parts: list[_Part] = []

    def written(self, status: str) -> dict[str, Any]:
        item = {"id": f"msg_{self.index}", "type": "message", "status": status, "role": "assistant"}
        content = [] if status == "in_progress" else [part.written() for part in self.parts]
        return {**item, "content": content, **self.members}


class _Thought:
    """A reasoning item that is being written."""

    def __init__(self, index: int, number: int) -> None:
        self.index = index
        self.number = number
        self.pieces: list[str] = []


class _Call:
    """A call that is being written."""

    def __init__(self, index: int, token: ToolCallDelta, members: dict[str, Any]) -> None:
        self.index = index
        self.is_custom = members.get("type") == msgspec.Raw(b'"custom_tool_call"')
        self.members = members
        self.id = token.id or f"call_{token.index}"
        self.name = token.name or ""
        self.pieces: list[str] = []

    @property
    def item_id(self) -> str:
        return f"{'ctc' if self.is_custom else 'fc'}_{self.index}"

    def written(self, status: str) -> dict[str, Any]:
        custom = self.is_custom
        item = {"id": self.item_id, "type": _CUSTOM if custom else "function_call"}
        said = {"input" if custom else "arguments": "".join(self.pieces)}
        return {**item, "status": status, **said, "call_id": self.id, "name": self.name, **self.members}


class _Writer:
    """One answer being written. All tokens are known beforehand, so a call is done as soon as its last token is out."""

    def __init__(self, tokens: Sequence[StreamToken], model: str, origin: str) -> None:
        valid = list(tokens)
        for place in range(len(valid) - 1, -1, -1):
            if isinstance(valid[place], Restarted):
                valid = valid[place + 1 :]
                break
        self._tokens = valid
        self._origin = origin
        self._sequence = -1
        self._open: _Message | _Thought | None = None
        self._calls: dict[int, _Call] = {}
        self._last = {
            token.index: place for place, token in enumerate(valid) if isinstance(token, ToolCallDelta)
        }
        self._items = 0
        self._done: dict[int, Any] = {}
        finish = next((token for token in valid if isinstance(token, Finish)), Finish("stop"))
        self.response: dict[str, Any] = {
            "id": finish.response_id or "resp_0",
            "object": "response",
            "created_at": 0,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "model": finish.model or model,
            "output": [],
            "parallel_tool_calls": True,  # this and the next two are required, and say nothing of the answer
            "tool_choice": "auto",
            "tools": [],
            "usage": None,
        }

    def events(self) -> Iterator[bytes]:
        yield self._event("response.created", response=self.response)
        yield self._event("response.in_progress", response=self.response)
        for place, token in enumerate(self._tokens):
            match token:
                case TextDelta():
                    yield from self._text(token)
                case ReasoningDelta():
                    yield from self._reason(token)
                case ToolCallDelta():
                    yield from self._call(token, place)
                case Citation():
                    yield from self._cite(token)
                case OpaqueDelta() if token.origin == self._origin:
                    yield from self._close()
                    index = self._items
                    self._items += 1
                    yield self._added(index, msgspec.Raw(token.json))
                    yield self._item_done(index, msgspec.Raw(token.json))
                case UsageReport():
                    self.response["usage"] = _usage(token.usage)
                case Finish():
                    yield from self._finish(token)
                    return
                case _:
                    pass  # opaque parts of other providers

    def body(self) -> bytes:
        """The ``response`` object that the stream ends with, or would end with, if it had an end."""
        for _ in self.events():
            pass  # what counts is what it has gathered by then
        for _ in self._close():
            pass
        self.response["output"] = self._output()
        return encode_json(self.response)

    def _finish(self, token: Finish) -> Iterator[bytes]:
        yield from self._close()
        kind = "completed" if token.reason in ("stop", "tool_calls") else "incomplete"
        self.response["status"] = kind
        if kind == "incomplete":
            self.response["incomplete_details"] = {
                "reason": _REASONS.get(token.reason) or token.raw or token.reason
            }
        self.response["output"] = self._output()
        yield self._event(f"response.{kind}", response=self.response)

    def _output(self) -> list[Any]:
        return [self._done[index] for index in sorted(self._done)]

    # Messages -----------------------------------------------------------------------------------------------------------

    def _text(self, token: TextDelta) -> Iterator[bytes]:
        own = token.signature if token.origin == self._origin else None
        members: Mapping[str, Any] = {} if own is None else _MEMBERS.decode(own)
        message = self._open
        last = message.parts[-1] if isinstance(message, _Message) else None
        if isinstance(message, _Message) and last is not None and last.number in (None, token.part):
            last.number = token.part
            if own is not None:  # members that came late are said when the message is done
                message.members = members
        elif token.text or own is not None:
            if not isinstance(message, _Message) or message.members != members:
                message = yield from self._open_message(members)
            last = yield from self._open_part(message, token.part)
        if token.text and isinstance(message, _Message) and last is not None:
            last.pieces.append(token.text)
            place = {"output_index": message.index, "content_index": len(message.parts) - 1}
            yield self._event(
                "response.output_text.delta",
                item_id=f"msg_{message.index}",
                **place,
                delta=token.text,
                logprobs=[],
            )

    def _cite(self, token: Citation) -> Iterator[bytes]:
        message = self._open
        if not isinstance(message, _Message):
            message = yield from self._open_message({})
            yield from self._open_part(message, None)
        part = message.parts[-1]
        part.citations.append(_annotation(token))
        place = {"output_index": message.index, "content_index": len(message.parts) - 1}
        yield self._event(
            "response.output_text.annotation.added",
            item_id=f"msg_{message.index}",
            **place,
            annotation_index=len(part.citations) - 1,
            annotation=part.citations[-1],
        )

    def _open_message(self, members: Mapping[str, Any]) -> Generator[bytes, None, _Message]:
        yield from self._close()
        message = _Message(self._items, members)
        self._items += 1
        self._open = message
        yield self._added(message.index, message.written("in_progress"))
        return message

    def _open_part(self, message: _Message, number: int | None) -> Generator[bytes, None, _Part]:
        part = _Part(number)
        message.parts.append(part)
        yield self._event(
            "response.content_part.added",
            item_id=f"msg_{message.index}",
            output_index=message.index,
            content_index=len(message.parts) - 1,
            part=part.written(),
        )
        return part

    # Reasoning and calls ------------------------------------------------------------------------------------------------

    def _reason(self, token: ReasoningDelta) -> Iterator[bytes]:
        thought = self._open
        if not token.text and token.origin != self._origin:
            return  # what closes another provider's reasoning
        if not isinstance(thought, _Thought) or thought.number != token.part:
            yield from self._close()
            thought = self._open = _Thought(self._items, token.part)
            self._items += 1
            yield self._added(thought.index, _reasoning(thought, None))
        if token.text:
            thought.pieces.append(token.text)
            yield self._event(
                "response.reasoning_summary_text.delta",
                item_id=f"rs_{thought.index}",
                output_index=thought.index,
                summary_index=0,
                delta=token.text,
            )
        if token.origin == self._origin:
            self._open = None
            yield self._item_done(thought.index, _reasoning(thought, token))

    def _call(self, token: ToolCallDelta, place: int) -> Iterator[bytes]:
        own = (
            {}
            if token.signature is None or token.origin != self._origin
            else _MEMBERS.decode(token.signature)
        )
        call = self._calls.get(token.index)
        if call is None:
            yield from self._close()
            call = self._calls[token.index] = _Call(self._items, token, own)
            self._items += 1
            yield self._added(call.index, call.written("in_progress"))
        else:
            call.members = own or call.members
        kind = "custom_tool_call_input" if call.is_custom else "function_call_arguments"
        if token.arguments:
            call.pieces.append(token.arguments)
            yield self._event(
                f"response.{kind}.delta", item_id=call.item_id, output_index=call.index, delta=token.arguments
            )
        if self._last[token.index] == place:
            said = {"input" if call.is_custom else "arguments": "".join(call.pieces)}
            yield self._event(f"response.{kind}.done", item_id=call.item_id, output_index=call.index, **said)
            yield self._item_done(call.index, call.written("completed"))

    # Events -------------------------------------------------------------------------------------------------------------

    def _close(self) -> Iterator[bytes]:
        """The item that is open is done. (Calls may be interleaved, and close themselves.)"""
        item, self._open = self._open, None
        if isinstance(item, _Message):
            for at, part in enumerate(item.parts):
                place = {"item_id": f"msg_{item.index}", "output_index": item.index, "content_index": at}
                yield self._event(
                    "response.output_text.done", **place, text="".join(part.pieces), logprobs=[]
                )
                yield self._event("response.content_part.done", **place, part=part.written())
            yield self._item_done(item.index, item.written("completed"))
        elif item is not None:
            yield self._item_done(item.index, _reasoning(item, None))

    def _added(self, index: int, item: Any) -> bytes:
        return self._event("response.output_item.added", output_index=index, item=item)

    def _item_done(self, index: int, item: Any) -> bytes:
        self._done[index] = item
        return self._event("response.output_item.done", output_index=index, item=item)

    def _event(self, kind: str, **members: Any) -> bytes:
        self._sequence += 1
        return _event({"type": kind, "sequence_number": self._sequence, **members})


def _event(event: Mapping[str, Any]) -> bytes:
    return b"event: " + str(event["type"]).encode() + b"\ndata: " + encode_json(event) + b"\n\n"


def _reasoning(thought: _Thought, closing: ReasoningDelta | None) -> Any:
    """The item: as the closing token has it, or as far as it was said."""
    if closing is not None and closing.signature is not None:
        return msgspec.Raw(closing.signature)
    text = "".join(thought.pieces)
    item: dict[str, Any] = {
        "id": f"rs_{thought.index}" if closing is None or closing.id is None else closing.id,
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text}] if text else [],
    }
    if closing is not None and closing.encrypted is not None:
        item["encrypted_content"] = closing.encrypted
    return item


def _annotation(citation: Citation) -> dict[str, Any]:
    """Of an address, or of a file, whose name is the title. What was cited has no field."""
    offsets = {"start_index": citation.start, "end_index": citation.end}
    if citation.url is not None:
        named = {"type": "url_citation", "url": citation.url, "title": citation.title}
    else:
        named = {"type": "container_file_citation", "filename": citation.title or ""}
    return {name: value for name, value in {**named, **offsets}.items() if value is not None}


def _usage(usage: Usage) -> dict[str, Any]:
    said: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
    if usage.cost is not None:
        said["cost"] = usage.cost
    return said
