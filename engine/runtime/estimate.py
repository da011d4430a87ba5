"""Token counts where nobody counts for us: an estimate, and marked as one."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tercet.codecs.vocabulary import ChatRequest, File, Image, Part, Reasoning, Text, ToolCall, ToolResult

__all__ = ["estimate_tokens", "measure"]

_PER_MESSAGE = 4
"""Tokens that the chat template adds to a message (OpenAI's cookbook on counting tokens gives 3-4 for its models)."""
_PER_IMAGE = 1000
"""A picture of about a megapixel costs 765 (OpenAI, high detail) to 1,600 (Anthropic) tokens."""


def estimate_tokens(request: ChatRequest) -> int:
    """The prompt's tokens, roughly: four UTF-8 bytes a token (English and code; other scripts come out high, which is the safe
    side for a rate limit), a thousand an image, and the tools' schemas by their length.
    """
    size, fixed = measure(request, lambda text: len(text.encode(errors="replace")))
    return fixed + (size + 3) // 4


def measure(request: ChatRequest, length: Callable[[str], int]) -> tuple[int, int]:
    """How long all texts of the request are together, each measured by ``length``, and the tokens of what is no text.

    Texts are what was said, reasoning, names and arguments of calls, results, and names, descriptions and schemas of the tools.
    """
    size = 0
    fixed = 0
    for message in request.turns:
        fixed += _PER_MESSAGE
        for part in message.parts:
            text, tokens = _text_and_tokens(part)
            size += length(text) if text else 0
            fixed += tokens
    for tool in request.tools:
        schema = msgspec.json.encode(tool.parameters).decode()
        size += length(f"{tool.name} {tool.description} {schema}")
    return size, fixed


def _text_and_tokens(part: Part) -> tuple[str, int]:
    match part:
        case Text(text=text) | Reasoning(text=text):
            return text, 0
        case ToolCall():
            return f"{part.name} {part.arguments}", 0
        case ToolResult(content=str() as text):
            return text, 0
        case ToolResult():
            images = sum(not isinstance(piece, Text) for piece in part.content)
            return "\n".join(
                piece.text for piece in part.content if isinstance(piece, Text)
            ), images * _PER_IMAGE
        case Image():
            return "", _PER_IMAGE
        case File():
            return "", len(part.data or b"") // 4
        case _:
            return part.json, 0
