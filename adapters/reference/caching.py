"""Where the reference puts its marks for prompt caches. All change the messages they are given, which must be the caller's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .messages import Message

__all__ = [
    "mark_anthropic",
    "mark_last_parts",
    "mark_last_two",
    "mark_openai_anthropic",
    "mark_openai_gemini",
    "mark_vercel",
]

_EVERY_TENTH = 10


def mark_anthropic(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages of Anthropic's wire, copied: the last block of each of the last two user messages is marked."""
    users = [place for place, message in enumerate(messages) if message["role"] == "user"]
    out = [dict(message) for message in messages]
    for place in users[-2:]:
        content: Any = out[place]["content"]
        blocks: list[dict[str, Any]] = (
            [{"type": "text", "text": content}] if isinstance(content, str) else [*content]
        )
        if blocks:
            blocks[-1] = {**blocks[-1], "cache_control": _mark()}
        out[place]["content"] = blocks
    return out


def mark_openai_anthropic(system: str, messages: list[dict[str, Any]]) -> None:
    """The system prompt and the last text of each of the last two user messages; all user messages become lists of parts."""
    messages[0] = _marked_system(system)
    _as_lists(messages)
    mark_last_two(messages)


def mark_openai_gemini(system: str, messages: list[dict[str, Any]], every: int = _EVERY_TENTH) -> None:
    """The system prompt and the last text of every tenth user message; all user messages become lists of parts."""
    messages[0] = _marked_system(system)
    _as_lists(messages)
    users = [message for message in messages if message["role"] == "user"]
    for message in users[every - 1 :: every]:
        _mark_last_text(message)


def mark_last_two(messages: list[dict[str, Any]]) -> None:
    """The last text of each of the last two user messages; only these become lists of parts."""
    users = [message for message in messages if message["role"] == "user"][-2:]
    _as_lists(users)
    for message in users:
        _mark_last_text(message)


def mark_last_parts(system: str, messages: list[dict[str, Any]]) -> None:
    """The system prompt and the last part, of any kind, of each of the last two user messages; only these become lists of parts."""
    messages[0] = _marked_system(system)
    users = [message for message in messages if message["role"] == "user"][-2:]
    _as_lists(users)
    for message in users:
        if message["content"]:
            message["content"][-1]["cache_control"] = _mark()


def mark_vercel(messages: list[dict[str, Any]]) -> None:
    """The system prompt as a message, and the last text, unless it is empty, of each of the last two user messages."""
    messages[0]["cache_control"] = _mark()
    users = [message for message in messages if message["role"] == "user"][-2:]
    _as_lists([message for message in users if message["content"]])
    for message in users:
        texts = [part for part in message["content"] if part["type"] == "text"]
        if texts and texts[-1]["text"]:
            texts[-1]["cache_control"] = _mark()


def _mark() -> dict[str, str]:
    return {"type": "ephemeral"}


def _marked_system(system: str) -> dict[str, Any]:
    return {"role": "system", "content": [{"type": "text", "text": system, "cache_control": _mark()}]}


def _as_lists(messages: Sequence[dict[str, Any]]) -> None:
    for message in messages:
        if message["role"] == "user" and isinstance(message["content"], str):
            message["content"] = [{"type": "text", "text": message["content"]}]


def _mark_last_text(message: dict[str, Any]) -> None:
    texts: list[dict[str, Any]] = [part for part in message["content"] if part["type"] == "text"]
    if not texts:
        texts = [{"type": "text", "text": "..."}]
        message["content"].append(texts[0])
    texts[-1]["cache_control"] = _mark()
