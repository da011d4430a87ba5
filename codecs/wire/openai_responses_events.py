"""The events of the Responses API to tokens (OpenAI's API reference, "Streaming events", and its Python SDK 3.54, 2026-11).

::

    response.created
      response.output_item.added, deltas of its parts ..., response.output_item.done       for each item
    response.completed | response.incomplete | response.failed                             the only evidence of an end

An *item* is a message, a piece of reasoning, a call of a tool, or something of the provider's own: a search, a program, a compaction,
whatever tomorrow brings. Deltas name their item by ``output_index`` (ids are not the same in all events everywhere: GitHub's door
makes new ones, recorded 2026-08). ``[DONE]`` is tolerated and proves nothing. A whole answer is the ``response`` object alone, and its
items go through the same code as a ``done`` event's, so that what no delta said is taken from there.

What only the provider understands goes back as it came, and so is kept as raw JSON text with the dialect's origin on it:

- a reasoning item, whole, as the ``signature`` of its reasoning (``id`` and ``encrypted`` are there for the eye);
- members of a message beside its content, such as ``phase``, as the ``signature`` of its texts: a JSON object;
- members of a call beside id, name and arguments (``caller``, ``namespace``), as its ``signature``: a JSON object, which for a
  custom tool's call (free text where a function's has JSON) also has ``"type":"custom_tool_call"``;
- every other item, whole, as an :class:`OpaqueDelta`.
"""

from __future__ import annotations

from typing import Any, NoReturn

import msgspec

from ..vocabulary import (
    Finish,
    OpaqueDelta,
    ProtocolError,
    ReasoningDelta,
    StreamInterruptedError,
    StreamToken,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from .openai_responses_dialect import Dialect
from .openai_responses_extras import (
    Call,
    Growing,
    Item,
    Message,
    Part,
    Thought,
    citation,
    failure,
    members,
    usage_of,
)
from .openai_responses_shapes import (
    EVENT,
    ITEM,
    KIND,
    KNOWN,
    RESPONSE,
    Annotated,
    ArgumentsPiece,
    Completed,
    ContentShape,
    Created,
    EventShape,
    Failed,
    Incomplete,
    InputPiece,
    ItemAdded,
    ItemDone,
    ItemShape,
    RefusalPiece,
    ResponseShape,
    SummaryPiece,
    TextPiece,
    ThoughtPiece,
)
from .shared import as_list, as_object, encode_json, finish_reason
from .surrogates import decode_lenient, whole_text

__all__ = ["ResponsesInterpreter"]

_decode = EVENT.decode
_ANY = msgspec.json.Decoder()
_HELD_LIMIT = 32 * 1024 * 1024
_BREAK = "\n\n"


class ResponsesInterpreter:
    """One answer's events to tokens; see :class:`~tercet.codecs.wire.base.Interpreter`.

    Parts are numbered as they appear: each text part of each message, each reasoning item. Parts of a summary are set apart by a blank
    line. What has to be remembered until the end of an item is limited to ``limit`` bytes per answer; past it :class:`ProtocolError`.

    The common event, 227 bytes with one piece of text, costs two thirds of what a chunk of chat completions does (``timeit``, best of 7
    times 50,000, CPython 3.11, both in one run on a busy core), half of it the decode.

    A second ``response.created`` with another id is another answer spliced into the first, of which nothing can be believed any more:
    :class:`ProtocolError`. Events after the end are ignored.
    """

    __slots__ = (
        "_calls", "_dialect", "_done", "_has_items", "_has_refused", "_held", "_hot_content", "_hot_join", "_hot_note",
        "_hot_number", "_hot_output", "_id", "_items", "_limit", "_model", "_origin", "_ours", "_parts", "is_complete",
    )  # fmt: skip

    def __init__(self, dialect: Dialect, origin: str, *, limit: int = _HELD_LIMIT) -> None:
        self.is_complete: bool = False
        self._dialect = dialect
        self._origin = origin
        self._limit = limit
        self._ours = (
            ("function_call",) if dialect.server_custom_tools else ("function_call", "custom_tool_call")
        )
        self._held = 0
        self._id: str | None = None
        self._model: str | None = None
        self._items: dict[int, Item] = {}  # those that are open, by output_index
        self._done: set[str] = set()  # the ids of those that are not any more
        self._has_items = False
        self._has_refused = False
        self._calls = 0
        self._parts = 0
        # The text part that spoke last: all that the hot path needs.
        self._hot_output: int | None = -1
        self._hot_content: int | None = -1
        self._hot_number = 0
        hot = Growing()
        self._hot_join, self._hot_note = hot.joiner.join, hot.pieces.append

    def interpret(self, name: str, data: bytes | memoryview, into: list[StreamToken], /) -> None:
        """Append the tokens of one event. ``name`` is used only where the JSON has no ``type``."""
        if self.is_complete:
            return
        try:
            event = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            other = self._reread(name, data)
            if other is None:
                return
            event = other
        if (
            type(event) is TextPiece
            and event.output_index == self._hot_output
            and event.content_index == self._hot_content
        ):
            text = self._hot_join(event.delta)
            if text:
                self._hot_note(text)
                into.append(TextDelta(text, self._hot_number))
            return
        match event:
            case TextPiece():
                self._text_piece(event, into)
            case SummaryPiece():
                self._think(event.output_index, (0, event.summary_index or 0), event.delta, into)
            case ThoughtPiece():
                self._think(event.output_index, (1, event.content_index or 0), event.delta, into)
            case ArgumentsPiece() | InputPiece():
                self._argue(event.output_index or 0, event.delta, into)
            case ItemAdded():
                self._add(event.output_index or 0, bytes(event.item), into)
            case ItemDone():
                self._finish_item(event.output_index or 0, bytes(event.item), into)
            case Annotated():
                part = self._part(self._message(event.output_index, into), event.content_index)
                self._cite(part, event.annotation, into)
            case RefusalPiece():
                self._has_refused = True
                self._text_piece(event, into)
            case Created():
                self._start(decode_lenient(RESPONSE, bytes(event.response)))
            case Completed() | Incomplete() | Failed():
                self._end(event, data, into)

    def finish(self, into: list[StreamToken], /) -> None:
        """The bytes have ended. Gives the half of a character that was held back, as U+FFFD."""
        if self.is_complete:
            return
        self._close_all(None, into)
        raise StreamInterruptedError(
            "the answer was cut off: the stream ended without response.completed, response.incomplete or response.failed"
        )

    def whole(self, body: bytes, into: list[StreamToken]) -> None:
        """A whole answer. One that is still in the making (``background``), or that says no status, is a :class:`ProtocolError`."""
        response = decode_lenient(RESPONSE, body)
        if not response.error and response.status not in ("completed", "incomplete", "failed", "cancelled"):
            raise ProtocolError(
                f"an answer whose status is {response.status!r}: {body[:200].decode('utf-8', 'replace')!r}"
            )
        self._settle(response, "response.completed", body, into)

    # The answer ---------------------------------------------------------------------------------------------------------

    def _start(self, response: ResponseShape) -> None:
        started = whole_text(response.id) if isinstance(response.id, str) else None
        if self._id is not None and started != self._id:
            raise ProtocolError(
                f"the provider began a second answer ({started}) inside the first ({self._id})"
            )
        self._id = started

    def _end(
        self, event: Completed | Incomplete | Failed, data: bytes | memoryview, into: list[StreamToken]
    ) -> None:
        kind = str(event.__struct_config__.tag)
        self._settle(decode_lenient(RESPONSE, bytes(event.response)), kind, bytes(data), into)

    def _settle(self, response: ResponseShape, kind: str, body: bytes, into: list[StreamToken]) -> None:
        """The end, as the ``response`` object tells it; ``kind`` is the event that brought it."""
        if not self._has_items:
            for index, item in enumerate(response.output or ()):
                self._finish_item(index, bytes(item), into)
        self._close_all(response, into)
        usage = as_object(response.usage)
        if usage:
            into.append(UsageReport(usage_of(usage, self._dialect)))
        if kind == "response.failed" or response.error or response.status in ("failed", "cancelled"):
            raise failure(response.error, response.status, body)
        self._id = whole_text(response.id) if isinstance(response.id, str) else self._id
        self._model = whole_text(response.model) if isinstance(response.model, str) else self._model
        if kind == "response.incomplete" or response.status == "incomplete":
            told = as_object(response.incomplete_details).get("reason")
            raw = whole_text(told) if isinstance(told, str) and told else "incomplete"
            reason = finish_reason(raw)
        else:
            raw = "completed"
            reason = "content_filter" if self._has_refused else "tool_calls" if self._calls else "stop"
        into.append(Finish(reason, raw, None, self._id, self._model))
        self.is_complete = True

    # Text ---------------------------------------------------------------------------------------------------------------

    def _text_piece(self, event: TextPiece | RefusalPiece, into: list[StreamToken]) -> None:
        part = self._part(self._message(event.output_index, into), event.content_index)
        self._say(part, part.text.joiner.join(event.delta), into)
        if part.signature is None:  # it has been given; from here on the short way will do
            self._hot_output, self._hot_content = event.output_index, event.content_index
            self._hot_number = part.number
            self._hot_join, self._hot_note = part.text.joiner.join, part.text.pieces.append

    def _message(self, index: int | None, into: list[StreamToken]) -> Message:
        """The message that is open there. Small servers begin one without saying so."""
        item = self._items.get(index or 0)
        if item is None:
            item = self._open(index or 0, Message(""), into)
        if not isinstance(item, Message):
            raise ProtocolError(f"a delta of text in output item {index}, which is no message")
        return item

    def _part(self, message: Message, content_index: int | None) -> Part:
        part = message.parts.get(content_index or 0)
        if part is None:
            self._hold(64)
            part = message.parts[content_index or 0] = Part(self._parts, message.signature)
            self._parts += 1
        return part

    def _say(self, part: Part, text: str, into: list[StreamToken]) -> None:
        if text:
            part.text.pieces.append(text)
            signature, part.signature = part.signature, None
            into.append(TextDelta(text, part.number, signature, self._origin if signature else None))

    def _cite(self, part: Part, annotation: Any, into: list[StreamToken]) -> None:
        part.citations += 1
        cited = citation(annotation)
        if cited is not None:
            into.append(cited)

    def _finish_message(
        self, message: Message, shape: ItemShape, raw: bytes, into: list[StreamToken]
    ) -> None:
        signature = members(raw, ("id", "type", "status", "role", "content"))
        for index, content in enumerate(shape.content or ()):
            if content.type == "refusal":
                self._has_refused = True
            text = content.text or content.refusal or ""
            annotations = content.annotations or ()
            if index not in message.parts and not text and not annotations:
                continue
            part = self._part(message, index)
            self._say(part, part.text.rest(whole_text(text)), into)
            for annotation in annotations[part.citations :]:
                self._cite(part, annotation, into)
        self._close(message, into)
        if signature is not None and signature != message.signature and message.parts:
            last = max(part.number for part in message.parts.values())
            into.append(TextDelta("", last, signature, self._origin))

    # Reasoning ----------------------------------------------------------------------------------------------------------

    def _think(
        self, index: int | None, section: tuple[int, int], delta: str, into: list[StreamToken]
    ) -> None:
        item = self._items.get(index or 0)
        if item is None:
            item = self._open(index or 0, self._thought(""), into)
        if not isinstance(item, Thought):
            raise ProtocolError(f"a delta of reasoning in output item {index}, which is no reasoning")
        text = item.joiner.join(delta)
        if not text:
            return
        if item.section is not None and item.section != section:
            text = _BREAK + text
        item.section = section
        into.append(ReasoningDelta(text, item.number))

    def _thought(self, name: str) -> Thought:
        self._parts += 1
        return Thought(name, self._parts - 1)

    def _finish_thought(
        self, thought: Thought, shape: ItemShape, raw: bytes, into: list[StreamToken]
    ) -> None:
        self._close(thought, into)
        if thought.section is None:
            text = _BREAK.join(
                text for text in map(_text, (*(shape.summary or ()), *(shape.content or ()))) if text
            )
            if text:
                into.append(ReasoningDelta(text, thought.number))
        encrypted = None if shape.encrypted_content is None else whole_text(shape.encrypted_content)
        name = None if shape.id is None else whole_text(shape.id)
        signature = raw.decode("utf-8", "replace")
        into.append(ReasoningDelta("", thought.number, signature, encrypted, name, self._origin))

    # Calls --------------------------------------------------------------------------------------------------------------

    def _call(self, kind: str, name: str, raw: bytes, into: list[StreamToken]) -> Call:
        """A call begins, by its name. Its arguments come in deltas, or when it is done: what the beginning says of them is not final."""
        shape = decode_lenient(ITEM, raw)
        call = Call(name, self._calls, kind, _call_members(kind, raw))
        self._calls += 1
        call_id = whole_text(shape.call_id or shape.id or "") or f"call_{call.number}"
        origin = self._origin if call.signature else None
        into.append(
            ToolCallDelta(call.number, call_id, whole_text(shape.name or ""), "", call.signature, origin)
        )
        return call

    def _argue(self, index: int, delta: str, into: list[StreamToken]) -> None:
        item = self._items.get(index)
        if isinstance(item, Call):
            self._append(item, item.arguments.joiner.join(delta), into)
        elif isinstance(item, Message | Thought):
            raise ProtocolError(f"a delta of arguments in output item {index}, which is no call")
        # Else it is a call of the provider's own, or one that nobody announced: when it is done, it is said whole.

    def _append(self, call: Call, text: str, into: list[StreamToken]) -> None:
        if text:
            self._hold(len(text))
            call.arguments.pieces.append(text)
            into.append(ToolCallDelta(call.number, arguments=text))

    def _finish_call(self, call: Call, shape: ItemShape, raw: bytes, into: list[StreamToken]) -> None:
        given = shape.input if call.kind == "custom_tool_call" else shape.arguments
        final = (
            ""
            if given is None
            else whole_text(given)
            if isinstance(given, str)
            else encode_json(given).decode()
        )
        self._append(call, call.arguments.rest(final), into)
        self._close(call, into)
        signature = _call_members(call.kind, raw)
        if signature is not None and signature != call.signature:
            into.append(ToolCallDelta(call.number, signature=signature, origin=self._origin))

    # Items --------------------------------------------------------------------------------------------------------------

    def _open(self, index: int, item: Item, into: list[StreamToken]) -> Item:
        before = self._items.get(index)
        if before is not None:  # a server that counts wrong, or forgot to say that the other one is done
            self._close(before, into)
        self._hold(64)
        self._has_items = True
        self._items[index] = item
        return item

    def _add(self, index: int, raw: bytes, into: list[StreamToken]) -> None:
        kind, name = self._kind(raw)
        if kind == "message":
            message = Message(name)
            message.signature = members(raw, ("id", "type", "status", "role", "content"))
            self._open(index, message, into)
        elif kind == "reasoning":
            self._open(index, self._thought(name), into)
        elif kind in self._ours:
            self._open(index, self._call(kind, name, raw, into), into)
        else:
            self._open(index, Item(name), into)

    def _finish_item(self, index: int, raw: bytes, into: list[StreamToken]) -> None:
        kind, name = self._kind(raw)
        if name and name in self._done:
            return
        item = self._items.get(index)
        if item is None or item.kind != (kind if kind in ("message", "reasoning", *self._ours) else "opaque"):
            self._add(index, raw, into)
            item = self._items[index]
        del self._items[index]
        if name:
            self._hold(len(name))
            self._done.add(name)
        match item:
            case Message():
                self._finish_message(item, decode_lenient(ITEM, raw), raw, into)
            case Thought():
                self._finish_thought(item, decode_lenient(ITEM, raw), raw, into)
            case Call():
                self._finish_call(item, decode_lenient(ITEM, raw), raw, into)
            case _:
                into.append(OpaqueDelta(self._origin, kind, raw.decode("utf-8", "replace")))

    def _kind(self, raw: bytes) -> tuple[str, str]:
        """Type and id of an item."""
        shape = decode_lenient(KIND, raw)
        if not isinstance(shape.type, str) or not shape.type:
            raise ProtocolError(f"an output item without a type: {raw[:200].decode('utf-8', 'replace')!r}")
        return whole_text(shape.type), shape.id if isinstance(shape.id, str) else ""

    def _close(self, item: Item, into: list[StreamToken]) -> None:
        """No more deltas will come for it: give the halves of characters that it holds."""
        if isinstance(item, Message):
            self._hot_output = -1
            for part in item.parts.values():
                self._say(part, part.text.joiner.flush(), into)
        elif isinstance(item, Thought):
            held = item.joiner.flush()
            if held:
                into.append(ReasoningDelta(held, item.number))
        elif isinstance(item, Call):
            self._append(item, item.arguments.joiner.flush(), into)

    def _close_all(self, response: ResponseShape | None, into: list[StreamToken]) -> None:
        """The answer is over. Items that never were done are finished by what the ``response`` has of them."""
        if not self._items:
            return
        told: dict[str, bytes] = {}
        for raw in as_list(response.output if response is not None else None):
            done = bytes(raw)
            told[self._kind(done)[1]] = done
        for index, item in tuple(self._items.items()):
            if item.name and item.name in told:
                self._finish_item(index, told[item.name], into)
            else:
                self._close(self._items.pop(index), into)

    def _hold(self, count: int) -> None:
        self._held += count
        if self._held > self._limit:
            raise ProtocolError(f"the answer makes us remember more than {self._limit} bytes of its items")

    # What is rare -------------------------------------------------------------------------------------------------------

    def _reread(self, name: str, data: bytes | memoryview) -> EventShape | None:
        """An event that is not of the union: halves of characters, an event that is not needed here, or a failure."""
        if not bytes(data[:64]).strip() and not bytes(data).strip():
            return None
        if bytes(data[:16]).strip() == b"[DONE]":
            return None
        told = decode_lenient(KIND, data).type
        kind = told if isinstance(told, str) else name
        if kind in KNOWN:
            return decode_lenient(EVENT, data)
        if kind in ("error", "response.error"):
            self._fail(data)
        if told is None:
            payload = as_object(decode_lenient(_ANY, data))
            if "error" in payload or "detail" in payload or ("message" in payload and "code" in payload):
                self._fail(data)
        return None

    def _fail(self, data: bytes | memoryview) -> NoReturn:
        """``{type: error, code, message, param}`` (the reference), or with an ``error`` object inside (recorded 2025-11)."""
        payload = as_object(decode_lenient(_ANY, data))
        payload.pop("type", None)
        raise failure(payload.get("error") or payload, None, bytes(data))


def _text(content: ContentShape) -> str:
    return whole_text(content.text or "")


def _call_members(kind: str, raw: bytes) -> str | None:
    known = ("id", "status", "call_id", "name", "arguments" if kind == "function_call" else "input")
    return members(raw, known if kind == "custom_tool_call" else (*known, "type"))
