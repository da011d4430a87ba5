"""What is read of the events and items of the Responses API: Structs with the few members that matter, and one decoder for each.

What a Struct does not name passes by without a cost. ``Raw`` members are looked at by a second decoder, once their type is known.
The events that matter are one union by ``type``; all others (progress, parts, ``...done``) fail in it and are told apart by ``KIND``.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = [
    "EVENT",
    "ITEM",
    "KIND",
    "KNOWN",
    "MEMBERS",
    "RESPONSE",
    "Annotated",
    "ArgumentsPiece",
    "Completed",
    "ContentShape",
    "Created",
    "EventShape",
    "Failed",
    "Incomplete",
    "InputPiece",
    "ItemAdded",
    "ItemDone",
    "ItemShape",
    "KindShape",
    "RefusalPiece",
    "ResponseShape",
    "SummaryPiece",
    "TextPiece",
    "ThoughtPiece",
]

_NOTHING = msgspec.Raw(b"{}")


class TextPiece(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="response.output_text.delta"):
    """A delta of a text part of a message."""

    delta: str
    output_index: int | None = 0
    content_index: int | None = 0


class RefusalPiece(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="response.refusal.delta"):
    """A delta of a refusal, which is a part of a message too."""

    delta: str
    output_index: int | None = 0
    content_index: int | None = 0


class ThoughtPiece(
    msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="response.reasoning_text.delta"
):
    """A delta of plain reasoning."""

    delta: str
    output_index: int | None = 0
    content_index: int | None = 0


class SummaryPiece(
    msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="response.reasoning_summary_text.delta"
):
    """A delta of a summary of reasoning."""

    delta: str
    output_index: int | None = 0
    summary_index: int | None = 0


class ArgumentsPiece(
    msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="response.function_call_arguments.delta"
):
    """A delta of the arguments of a function call."""

    delta: str
    output_index: int | None = 0


class InputPiece(
    msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="response.custom_tool_call_input.delta"
):
    """A delta of the free text that a custom tool is called with."""

    delta: str
    output_index: int | None = 0


class Annotated(msgspec.Struct, frozen=True, tag_field="type", tag="response.output_text.annotation.added"):
    """A citation of a text part."""

    annotation: Any = None
    output_index: int | None = 0
    content_index: int | None = 0


class ItemAdded(msgspec.Struct, frozen=True, tag_field="type", tag="response.output_item.added"):
    """An item begins."""

    item: msgspec.Raw
    output_index: int | None = 0


class ItemDone(msgspec.Struct, frozen=True, tag_field="type", tag="response.output_item.done"):
    """An item, whole."""

    item: msgspec.Raw
    output_index: int | None = 0


class Created(msgspec.Struct, frozen=True, tag_field="type", tag="response.created"):
    """The answer begins."""

    response: msgspec.Raw = _NOTHING


class Completed(msgspec.Struct, frozen=True, tag_field="type", tag="response.completed"):
    """The answer is whole."""

    response: msgspec.Raw = _NOTHING


class Incomplete(msgspec.Struct, frozen=True, tag_field="type", tag="response.incomplete"):
    """The answer ended before its time, and says why."""

    response: msgspec.Raw = _NOTHING


class Failed(msgspec.Struct, frozen=True, tag_field="type", tag="response.failed"):
    """There will be no answer."""

    response: msgspec.Raw = _NOTHING


EventShape = (
    TextPiece
    | RefusalPiece
    | ThoughtPiece
    | SummaryPiece
    | ArgumentsPiece
    | InputPiece
    | Annotated
    | ItemAdded
    | ItemDone
    | Created
    | Completed
    | Incomplete
    | Failed
)


class KindShape(msgspec.Struct, frozen=True, gc=False):
    """The type of an event or an item, and what an item is called."""

    type: Any = None
    id: Any = None


class ResponseShape(msgspec.Struct, frozen=True):
    """A whole answer, or the frame of a streamed one."""

    id: Any = None
    model: Any = None
    status: Any = None
    output: list[msgspec.Raw] | None = None
    usage: Any = None
    error: Any = None
    incomplete_details: Any = None


class ContentShape(msgspec.Struct, frozen=True):
    """A part of a message (``output_text``, ``refusal``), of reasoning (``reasoning_text``) or of its summary (``summary_text``)."""

    type: Any = None
    text: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None


class ItemShape(msgspec.Struct, frozen=True):
    """What messages, reasoning and calls have between them."""

    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Any = None
    input: Any = None
    content: list[ContentShape] | None = None
    summary: list[ContentShape] | None = None
    encrypted_content: str | None = None


EVENT: msgspec.json.Decoder[EventShape] = msgspec.json.Decoder(EventShape)
KIND = msgspec.json.Decoder(KindShape)
RESPONSE = msgspec.json.Decoder(ResponseShape)
ITEM = msgspec.json.Decoder(ItemShape)
MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
KNOWN = frozenset(str(shape.__struct_config__.tag) for shape in EventShape.__args__)
"""The types of the union."""
