"""What a message is made of.

A part is one piece of content: text, an image, a file, a call of a tool, a tool's result, a piece of reasoning, or
something of the provider's own that only the provider understands (:class:`Opaque`).

``origin`` names the wire that produced a part with opaque data (signatures, encrypted reasoning). A wire sends such data
back byte for byte, and only where it came from: one provider's signature is another provider's "400 Bad Request".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from .errors import BadRequestError

__all__ = ["File", "Image", "Opaque", "Part", "Reasoning", "Text", "ToolCall", "ToolResult"]


class Text(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """Text.

    ``cache`` marks the end of a prefix that the provider should cache (Anthropic's ``cache_control``; ignored by providers
    that cache by themselves). ``signature`` is opaque (Gemini's ``thoughtSignature``), returned untouched to ``origin``.
    """

    text: str
    cache: bool = False
    signature: str | None = None
    origin: str | None = None


class Image(msgspec.Struct, frozen=True, tag_field="type", tag="image"):
    """An image: either ``url`` (http, https; a ``data:`` URL is taken apart by the wire) or ``data`` with ``media_type``.

    ``detail`` is OpenAI's (``low``, ``high``, ``auto``) and sent only where it exists.
    """

    url: str | None = None
    data: bytes | None = None
    media_type: str | None = None
    detail: str | None = None
    cache: bool = False

    def __post_init__(self) -> None:
        _one_source("Image", self.url, self.data, self.media_type)


class File(msgspec.Struct, frozen=True, tag_field="type", tag="file"):
    """A document: ``url``, or ``data`` with ``media_type``, or ``file_id`` (a file the provider already has)."""

    url: str | None = None
    data: bytes | None = None
    media_type: str | None = None
    file_id: str | None = None
    name: str | None = None
    cache: bool = False

    def __post_init__(self) -> None:
        if self.file_id is None:
            _one_source("File", self.url, self.data, self.media_type)


class ToolCall(msgspec.Struct, frozen=True, tag_field="type", tag="tool_call"):
    """The model's call of a tool. ``arguments`` is JSON text exactly as the model wrote it (empty means ``{}``)."""

    id: str
    name: str
    arguments: str = ""
    signature: str | None = None
    origin: str | None = None

    def parsed(self) -> Any:
        """The arguments as Python values. Raises :class:`BadRequestError` if the model wrote no valid JSON."""
        try:
            return msgspec.json.decode(self.arguments or "{}")
        except msgspec.DecodeError as error:
            raise BadRequestError(
                f"the arguments of tool call {self.id!r} ({self.name}) are not JSON: {self.arguments[:200]!r}"
            ) from error


class ToolResult(msgspec.Struct, frozen=True, tag_field="type", tag="tool_result"):
    """What a tool answered. ``name`` is the tool's name; wires that need it (Gemini) look it up from the call when absent."""

    tool_call_id: str
    content: str | Sequence[Text | Image] = ""
    is_error: bool = False
    name: str | None = None
    cache: bool = False


class Reasoning(msgspec.Struct, frozen=True, tag_field="type", tag="reasoning"):
    """The model's reasoning: readable ``text``, and what the provider wants back with it.

    ``signature`` proves the text (Anthropic, Gemini); ``encrypted`` stands for text that is withheld (Anthropic's redacted
    blocks, OpenAI's encrypted content); ``id`` is the provider's id of the item.
    """

    text: str = ""
    signature: str | None = None
    encrypted: str | None = None
    id: str | None = None
    origin: str | None = None


class Opaque(msgspec.Struct, frozen=True, tag_field="type", tag="opaque"):
    """Something of the provider's own, as raw JSON text: a server tool's block, a compaction, ``reasoning_details``.

    ``kind`` is the provider's name for it. It is returned byte for byte to ``origin`` and left out everywhere else.
    """

    origin: str
    kind: str
    json: str


Part = Text | Image | File | ToolCall | ToolResult | Reasoning | Opaque


def _one_source(what: str, url: str | None, data: bytes | None, media_type: str | None) -> None:
    if (url is None) == (data is None):
        raise BadRequestError(
            f"{what} takes exactly one of url and data; got url={url!r} and {len(data or b'')} bytes of data"
        )
    if data is not None and not media_type:
        raise BadRequestError(f"{what} with data needs media_type, such as 'image/png'")
