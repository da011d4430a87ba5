"""Where the reference puts Bedrock's cache points, and how it keeps them where they are from turn to turn.

A cache point is a block of its own (``{"cachePoint": {"type": "default"}}``) behind what is to be cached. The system prompt may have one, and
user messages the others, where the messages up to it (from the point before, or the start) hold enough tokens by an estimate. Points
placed in an earlier turn stay; when there is none left, the two neighbouring spans that are smallest together become one, if the new
messages hold at least a fifth more than these.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .messages import Message
from .values import get, items_of

__all__ = ["cache_point", "message_points", "message_tokens", "system_tokens"]

_WORD, _PUNCTUATION, _NEWLINE = 1.3, 0.3, 0.5  # tokens
_MESSAGE, _SYSTEM, _IMAGE = 10, 5, 300
_MARKS = re.compile(r"""[.,!?;:()\[\]{}"'`]""")
_WORDS = re.compile(
    "[^\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]+"
)  # but what ECMA-262 calls white space
_WORTH_MERGING = 1.2


def cache_point() -> dict[str, Any]:
    """The block that marks the end of what is cached."""
    return {"cachePoint": {"type": "default"}}


def system_tokens(system: str) -> int:
    """An estimate of a system prompt's tokens."""
    return math.ceil(_text_tokens(system) + _SYSTEM) if system else 0


def message_tokens(message: Message) -> int:
    """An estimate of a message's tokens."""
    content = message.get("content")
    if not content:
        return 0
    if isinstance(content, str):
        return math.ceil(_text_tokens(content) + _MESSAGE)
    return math.ceil(sum(map(_block_tokens, items_of(content))) + _MESSAGE)


def message_points(
    messages: Sequence[Message], previous: Sequence[int], free: int, minimum: int
) -> list[int]:
    """The places of the messages that end with a cache point.

    ``previous`` are those of the turn before, ``free`` how many points messages may have, ``minimum`` the tokens that a point needs.
    """
    if len(messages) <= 1:
        return []
    tokens = [message_tokens(message) for message in messages]
    last = len(messages) - 1
    if not previous:
        return _first_points(messages, tokens, free, minimum)
    kept = [place for place in previous if place <= last]
    fresh = previous[-1] + 1
    fresh_tokens = sum(tokens[fresh:])
    if fresh_tokens < minimum:
        return kept
    if free <= len(previous):
        merged = _merged(tokens, previous, fresh_tokens)
        if merged is None:
            return kept
        kept = [place for place in merged if place <= last]
        if len(kept) >= free:
            return kept
    point = _last_user(messages, tokens, fresh, previous, minimum)
    return kept if point is None else [*kept, point]


def _first_points(messages: Sequence[Message], tokens: Sequence[int], free: int, minimum: int) -> list[int]:
    points: list[int] = []
    start = 0
    while start < len(messages) and len(points) < free:
        point = _last_user(messages, tokens, start, (), minimum)
        if point is None:
            break
        points.append(point)
        start = point + 1
    return points


def _last_user(
    messages: Sequence[Message], tokens: Sequence[int], start: int, previous: Sequence[int], minimum: int
) -> int | None:
    """The last user message from ``start`` on, if what lies between the point before and it is worth caching."""
    if start >= len(messages) - 1:
        return None
    users = [place for place in range(start, len(messages)) if messages[place]["role"] == "user"]
    if not users:
        return None
    before = max((place for place in previous if place < start), default=-1)
    return users[-1] if sum(tokens[before + 1 : users[-1] + 1]) >= minimum else None


def _merged(tokens: Sequence[int], previous: Sequence[int], fresh_tokens: int) -> list[int] | None:
    """The points without the one between the two smallest neighbouring spans; None where that is not worth it."""
    if len(previous) < 2:
        return None
    starts = [0, *(place + 1 for place in previous[:-1])]
    spans = [sum(tokens[start : place + 1]) for start, place in zip(starts, previous, strict=True)]
    pairs = [spans[place] + spans[place + 1] for place in range(len(spans) - 1)]
    smallest = min(range(len(pairs)), key=pairs.__getitem__)
    if fresh_tokens < pairs[smallest] * _WORTH_MERGING:
        return None
    return [*previous[:smallest], *previous[smallest + 1 :]]


def _block_tokens(block: Mapping[str, Any]) -> float:
    match get(block, "type"):
        case "text":
            return _text_tokens(block.get("text") or "")
        case "image":
            return _IMAGE
        case _:
            return 0


def _text_tokens(text: str) -> float:
    words = len(_WORDS.findall(text))
    return words * _WORD + len(_MARKS.findall(text)) * _PUNCTUATION + text.count("\n") * _NEWLINE
