"""Token counts where nobody counts for us: an estimate, and marked as one."""

from __future__ import annotations

from tercet.codecs.vocabulary import ChatRequest, File, Image, Reasoning, Text, ToolCall, ToolResult

__all__ = ["estimate_tokens"]

_PER_MESSAGE = 4
"""Tokens that the chat template adds to a message (OpenAI's cookbook on counting tokens gives 3-4 for its models)."""
_PER_IMAGE = 1000
"""A picture of about a megapixel costs 765 (OpenAI, high detail) to 1,600 (Anthropic) tokens."""


def estimate_tokens(request: ChatRequest) -> int:
    """The prompt's tokens, roughly: four UTF-8 bytes a token (English and code; other scripts come out high, which is the safe
    side for a rate limit), a thousand an image, and the tools' schemas by their length.
    """
    size = 0
    fixed = 0
    for message in request.turns:
        fixed += _PER_MESSAGE
        for part in message.parts:
            match part:
                case Text(text=text) | Reasoning(text=text):
                    size += len(text.encode(errors="replace"))
                case ToolCall():
                    size += len(part.name) + len(part.arguments)
                case ToolResult(content=str() as text):
                    size += len(text.encode(errors="replace"))
                case ToolResult():
                    for piece in part.content:
                        if isinstance(piece, Text):
                            size += len(piece.text.encode(errors="replace"))
                        else:
                            fixed += _PER_IMAGE
                case Image():
                    fixed += _PER_IMAGE
                case File():
                    size += len(part.data or b"")
                case _:
                    size += len(part.json)
    for tool in request.tools:
        size += len(tool.name) + len(tool.description) + len(repr(tool.parameters))
    return fixed + (size + 3) // 4
