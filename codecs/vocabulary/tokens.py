"""What a stream hands out: the union :data:`StreamToken`.

A stream is a sequence of deltas, then :class:`UsageReport` (anywhere, each replaces the one before), then one
:class:`Finish`. :class:`Restarted` voids everything before it. ``fold`` (``responses``) is what a stream means.

``part`` numbers the content parts of one answer: deltas of one kind with one number belong to one part. Wires whose API
has no such number leave it 0 and the parts are told apart by the change of kind.

The Structs hold only atoms, so ``gc=False`` keeps the collector from ever looking at them.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from .usage import Usage

__all__ = [
    "Citation",
    "Finish",
    "FinishReason",
    "OpaqueDelta",
    "ReasoningDelta",
    "Restarted",
    "StreamToken",
    "TextDelta",
    "ToolCallDelta",
    "UsageReport",
]

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "pause", "other"]


class TextDelta(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="text"):
    """A piece of the answer's text. ``signature`` (Gemini) belongs to the part, not to the piece."""

    text: str
    part: int = 0
    signature: str | None = None
    origin: str | None = None


class ReasoningDelta(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="reasoning"):
    """A piece of reasoning, or (with empty text) the opaque data that closes a reasoning part."""

    text: str = ""
    part: int = 0
    signature: str | None = None
    encrypted: str | None = None
    id: str | None = None
    origin: str | None = None


class ToolCallDelta(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="tool_call"):
    """A piece of the ``index``-th tool call: ``id`` and ``name`` come with the first, ``arguments`` are fragments to join."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    signature: str | None = None
    origin: str | None = None


class Citation(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="citation"):
    """A source of the answer. ``start`` and ``end`` are offsets into the answer's text, in the provider's unit, if given."""

    url: str | None = None
    title: str | None = None
    text: str | None = None
    start: int | None = None
    end: int | None = None


class OpaqueDelta(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="opaque"):
    """A whole part of the provider's own, to be returned untouched in the next request (see ``parts.Opaque``)."""

    origin: str
    kind: str
    json: str


class UsageReport(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="usage"):
    """What was used so far, cumulative: the last report counts."""

    usage: Usage


class Restarted(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="restarted"):
    """Another attempt has taken over: everything received before this token is void."""

    provider: str
    model: str
    reason: str = ""


class Finish(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="finish"):
    """The end. ``reason`` is normalised, ``raw`` is the provider's word for it.

    ``response_id`` and ``model`` are the provider's id of the answer and the model that it says gave it.
    """

    reason: FinishReason
    raw: str | None = None
    stop_sequence: str | None = None
    response_id: str | None = None
    model: str | None = None


StreamToken = (
    TextDelta | ReasoningDelta | ToolCallDelta | Citation | OpaqueDelta | UsageReport | Restarted | Finish
)
CONTENT_TOKENS = (TextDelta, ReasoningDelta, ToolCallDelta, Citation, OpaqueDelta)
"""What commits an attempt: the first of these handed to the caller ends silent failover."""
