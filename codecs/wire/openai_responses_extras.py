"""The rarer things in an answer of the Responses API: what is remembered of an item, citations, members, usage, failures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..vocabulary import Citation, ProviderError, Usage
from .openai_errors import error_from_payload
from .openai_responses_dialect import Dialect
from .openai_responses_shapes import MEMBERS
from .shared import as_object
from .surrogates import SurrogateJoiner, decode_lenient, whole_text

__all__ = [
    "Call",
    "Growing",
    "Item",
    "Message",
    "Part",
    "Thought",
    "citation",
    "failure",
    "members",
    "usage_of",
]


class Item:
    """An output item between its beginning and its end; this class itself is the one that only the provider understands."""

    __slots__ = ("name",)

    kind = "opaque"

    def __init__(self, name: str) -> None:
        self.name: str = name  # the provider's id


class Growing:
    """A text that comes in pieces: those that were handed out, to be compared with the whole when that comes."""

    __slots__ = ("joiner", "pieces")

    def __init__(self) -> None:
        self.joiner: SurrogateJoiner = SurrogateJoiner()
        self.pieces: list[str] = []

    def rest(self, whole: str) -> str:
        """What the pieces lack of the whole: all of it where no delta came, nothing where the pieces are no beginning of it."""
        said = "".join(self.pieces)
        if len(whole) <= len(said) or not whole.startswith(said):
            return ""
        self.joiner = SurrogateJoiner()  # the half of a character that it may hold is in the rest
        return whole[len(said) :]


class Part:
    """A part of a message. ``signature`` waits for the part's first token."""

    __slots__ = ("citations", "number", "signature", "text")

    def __init__(self, number: int, signature: str | None) -> None:
        self.number: int = number
        self.signature: str | None = signature
        self.text: Growing = Growing()
        self.citations: int = 0


class Message(Item):
    """A message, its parts by content_index."""

    __slots__ = ("parts", "signature")

    kind = "message"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.parts: dict[int, Part] = {}
        self.signature: str | None = None


class Thought(Item):
    """A reasoning item. ``section`` is what spoke last: (0, summary_index) or (1, content_index)."""

    __slots__ = ("joiner", "number", "section")

    kind = "reasoning"

    def __init__(self, name: str, number: int) -> None:
        super().__init__(name)
        self.number: int = number
        self.joiner: SurrogateJoiner = SurrogateJoiner()
        self.section: tuple[int, int] | None = None


class Call(Item):
    """A call of one of the caller's tools."""

    __slots__ = ("arguments", "kind", "number", "signature")

    def __init__(self, name: str, number: int, kind: str, signature: str | None) -> None:
        super().__init__(name)
        self.number: int = number
        self.kind: str = kind
        self.signature: str | None = signature
        self.arguments: Growing = Growing()


def members(raw: bytes, known: tuple[str, ...]) -> str | None:
    """The members of an object beside the known ones, each as it was written, as a JSON object; None if there is none but null."""
    rest = {
        name: value
        for name, value in decode_lenient(MEMBERS, raw).items()
        if name not in known and bytes(value) != b"null"
    }
    return msgspec.json.encode(rest).decode("utf-8", "replace") if rest else None


def citation(annotation: Any) -> Citation | None:
    """One of ``annotations``: ``url_citation``, ``file_citation``, ``container_file_citation``, ``file_path``; None for anything else.

    A cited file has no address: its name (or id) is the title. Offsets are into the text part that it belongs to.
    """
    told = as_object(annotation)
    url = _text(told.get("url"))
    title = _text(told.get("title")) or _text(told.get("filename")) or _text(told.get("file_id"))
    if url is None and title is None:
        return None
    start = _offset(told.get("start_index"))
    return Citation(
        url,
        title,
        None,
        _offset(told.get("index")) if start is None else start,
        _offset(told.get("end_index")),
    )


def usage_of(usage: Mapping[str, Any], dialect: Dialect) -> Usage:
    """A ``usage`` object. Missing or odd counts are 0, a missing cost is None. Output includes reasoning, input what was cached."""
    cost = next(
        (amount for amount in (_number(usage, path) for path in dialect.cost_paths) if amount is not None),
        None,
    )
    return Usage(
        _count(usage, "input_tokens"),
        _count(usage, "output_tokens"),
        _count(usage, "input_tokens_details.cached_tokens"),
        _count(usage, "input_tokens_details.cache_write_tokens"),
        _count(usage, "output_tokens_details.reasoning_tokens"),
        None if cost is None else cost * dialect.cost_scale,
    )


_REFUSED = "content_policy_violation"
_WRONG = "invalid_request_error"
# Codes of ``response.error`` (SDK 3.54, 2026-11) that no other of OpenAI's APIs has, as types that ``openai_errors`` knows.
_CODES: dict[str, str] = {
    "bio_policy": _REFUSED,
    "misalignment_policy_violation": _REFUSED,
    "image_content_policy_violation": _REFUSED,
    "invalid_prompt": _WRONG,
    "data_residency_mismatch": _WRONG,
    "invalid_image": _WRONG,
    "invalid_image_format": _WRONG,
    "invalid_base64_image": _WRONG,
    "invalid_image_url": _WRONG,
    "image_too_large": _WRONG,
    "image_too_small": _WRONG,
    "image_parse_error": _WRONG,
    "invalid_image_mode": _WRONG,
    "image_file_too_large": _WRONG,
    "unsupported_image_media_type": _WRONG,
    "empty_image_file": _WRONG,
    "failed_to_download_image": _WRONG,
    "image_file_not_found": _WRONG,
}


def failure(error: Any, status: Any, body: bytes) -> ProviderError:
    """The typed error of a failed answer: of its ``error`` object, or (cancelled from elsewhere) of its status alone."""
    told = as_object(error)
    if not told:
        said = error if isinstance(error, str) and error else f"the provider ended the answer as {status!r}"
        told = {"message": said, "code": status}
    code = told.get("code")
    kind = _CODES.get(code) if isinstance(code, str) else None
    if kind is not None:
        told = {**told, "type": kind}
    return error_from_payload(
        told if "detail" in told else {"error": told}, body=body[:4000]
    )  # FastAPI's, or OpenAI's


def _text(value: Any) -> str | None:
    return whole_text(value) if isinstance(value, str) and value else None


def _offset(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(usage: Mapping[str, Any], path: str) -> float | None:
    value: Any = usage
    for step in path.split("."):
        value = as_object(value).get(step)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _count(usage: Mapping[str, Any], path: str) -> int:
    number = _number(usage, path)
    return 0 if number is None else max(0, int(number))
