"""What is read of Bedrock's answers (Converse, ConverseStream): Structs with the few members that matter, and one decoder for each.

What a Struct does not name passes by without a cost. ``Raw`` members are looked at by a second decoder, once their kind is known.
Members that the model itself fills in (``additionalModelResponseFields``) may be of any type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

__all__ = [
    "ANSWER",
    "BLOCK",
    "BLOCK_START",
    "CITATION",
    "CITED_TEXT",
    "DELTA",
    "INDEX",
    "LOOSE_DELTA",
    "MEMBERS",
    "MESSAGE_STOP",
    "METADATA",
    "REASONING",
    "STRING",
    "TOOL_START",
    "TOOL_USE",
    "Answer",
    "Block",
    "BlockStart",
    "Citation",
    "CitedText",
    "Delta",
    "DeltaEvent",
    "Index",
    "Location",
    "LooseDelta",
    "Message",
    "MessageStop",
    "Metadata",
    "Output",
    "PromptRouter",
    "ReasoningBlock",
    "ReasoningPiece",
    "ReasoningText",
    "SourceText",
    "ToolPiece",
    "ToolStart",
    "ToolUse",
    "Trace",
    "UsageShape",
    "WebLocation",
]


class ToolPiece(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A piece of the arguments of a call."""

    input: str = ""


class ReasoningPiece(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A piece of reasoning: text, its signature, or what stands for withheld reasoning (base64)."""

    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class Delta(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The deltas that are read on the hot path; of another kind all members are None."""

    text: str | None = None
    tool_use: ToolPiece | None = None
    reasoning_content: ReasoningPiece | None = None


class DeltaEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """``contentBlockDelta``."""

    delta: Delta = Delta()
    content_block_index: int = 0


class LooseDelta(msgspec.Struct, frozen=True, rename="camel"):
    """A delta of another kind: citations, results of the provider's own tools, images."""

    delta: dict[str, msgspec.Raw] = {}
    content_block_index: int = 0


class BlockStart(msgspec.Struct, frozen=True, rename="camel"):
    """``contentBlockStart``: sent for tool calls, results of the provider's own tools and images; texts begin with their first delta."""

    start: dict[str, msgspec.Raw] = {}
    content_block_index: int = 0


class ToolStart(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The start of a call. With a ``type`` it is a call of the provider's own tool."""

    tool_use_id: str = ""
    name: str = ""
    type: str | None = None


class Index(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """``contentBlockStop``."""

    content_block_index: int = 0


class MessageStop(msgspec.Struct, frozen=True, rename="camel"):
    """``messageStop``."""

    stop_reason: str | None = None
    additional_model_response_fields: Any = None


class UsageShape(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Counts. The names of the cache's differ between Converse and Nova's own API."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_read_input_token_count: int | None = None
    cache_write_input_token_count: int | None = None


class PromptRouter(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Which model a prompt router has chosen."""

    invoked_model_id: str | None = None


class Trace(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What happened on the way."""

    prompt_router: PromptRouter | None = None


class Metadata(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """``metadata``, the last event."""

    usage: UsageShape | None = None
    trace: Trace | None = None


class Message(msgspec.Struct, frozen=True, rename="camel"):
    """The message of a whole answer."""

    content: Sequence[msgspec.Raw] = ()


class Output(msgspec.Struct, frozen=True, rename="camel"):
    """What a whole answer holds."""

    message: Message | None = None


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """A whole answer."""

    output: Output | None = None
    stop_reason: str | None = None
    additional_model_response_fields: Any = None
    usage: UsageShape | None = None
    trace: Trace | None = None


class Block(msgspec.Struct, frozen=True, rename="camel"):
    """A block of a whole answer, of the kinds that are read; of another kind nothing is set."""

    text: str | None = None
    tool_use: msgspec.Raw = msgspec.Raw()
    reasoning_content: msgspec.Raw = msgspec.Raw()
    citations_content: msgspec.Raw = msgspec.Raw()


class ToolUse(msgspec.Struct, frozen=True, rename="camel"):
    """A whole call."""

    tool_use_id: str = ""
    name: str = ""
    type: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"{}")


class ReasoningText(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Readable reasoning."""

    text: str = ""
    signature: str | None = None


class ReasoningBlock(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A whole block of reasoning."""

    reasoning_text: ReasoningText | None = None
    redacted_content: str | None = None


class SourceText(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A piece of text."""

    text: str = ""


class CitedText(msgspec.Struct, frozen=True, rename="camel"):
    """A whole text with its sources."""

    content: Sequence[SourceText] = ()
    citations: Sequence[msgspec.Raw] = ()


class WebLocation(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A page."""

    url: str | None = None


class Location(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Where a source stands. Places inside documents are left out: they point into the document, not into the answer."""

    web: WebLocation | None = None


class Citation(msgspec.Struct, frozen=True, rename="camel"):
    """One source."""

    title: str | None = None
    source: str | None = None
    source_content: Sequence[SourceText] | None = None
    location: Location | None = None


DELTA = msgspec.json.Decoder(DeltaEvent)
LOOSE_DELTA = msgspec.json.Decoder(LooseDelta)
BLOCK_START = msgspec.json.Decoder(BlockStart)
TOOL_START = msgspec.json.Decoder(ToolStart)
INDEX = msgspec.json.Decoder(Index)
MESSAGE_STOP = msgspec.json.Decoder(MessageStop)
METADATA = msgspec.json.Decoder(Metadata)
ANSWER = msgspec.json.Decoder(Answer)
BLOCK = msgspec.json.Decoder(Block)
TOOL_USE = msgspec.json.Decoder(ToolUse)
REASONING = msgspec.json.Decoder(ReasoningBlock)
CITED_TEXT = msgspec.json.Decoder(CitedText)
CITATION = msgspec.json.Decoder(Citation)
MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
STRING = msgspec.json.Decoder(str)
