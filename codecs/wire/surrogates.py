"""Characters that a provider cut in two.

JSON writes a character beyond U+FFFF as two escapes, ``\\ud83d\\ude00``. Providers that cut their text by UTF-16 units (JavaScript
does) put one half at the end of one delta and the other at the start of the next. Neither half is text: ``str.encode`` refuses
it, and msgspec refuses the JSON. So an interpreter decodes with :func:`decode_lenient` and passes each kind of text through a
:class:`SurrogateJoiner` of its own: no token ever carries half a character.
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

import msgspec

from ..vocabulary import ProtocolError
from .masking import masked

__all__ = ["SurrogateJoiner", "decode_lenient", "whole_text"]

T = TypeVar("T")

_HALF = re.compile("[\ud800-\udfff]")
# msgspec's words for a Raw field: "Expected `raw`, got `array` - at `$.choices[0].delta.details`" (0.19, 0.22)
_RAW_EXPECTED = re.compile(r"Expected `raw`, got `\w+` - at `\$([^`]+)`")
_STEP = re.compile(r"\[[^\]]*\]|[^.\[\]]+")
_MOST_RAW_FIELDS = 32
_ESCAPED_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


class SurrogateJoiner:
    """Joins the halves of a character over the deltas of one part.

    ``join`` returns what may be handed out now; a high half at the very end waits for the next delta. A half that has no other
    half becomes U+FFFD, as a UTF-8 decoder would make of it.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: str = ""

    def join(self, text: str) -> str:
        """The text with halves joined, possibly empty. ASCII (most deltas) passes untouched: 60 ns a call."""
        if text.isascii() and not self._held:
            return text
        return self._join(text)

    def flush(self) -> str:
        """No more text will come: U+FFFD for a half that still waits, else an empty string."""
        held, self._held = self._held, ""
        return "\ufffd" if held else ""

    def _join(self, text: str) -> str:
        if not text:
            return text
        text = self._held + text
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        else:
            self._held = ""
        return whole_text(text)


def whole_text(text: str) -> str:
    """A text that has no continuation (a name, a title), with its halves joined or, alone, U+FFFD."""
    if text.isascii() or _HALF.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def decode_lenient(decoder: msgspec.json.Decoder[T], data: bytes | memoryview) -> T:
    """Decode one JSON document, letting halves of surrogate pairs and broken UTF-8 pass.

    What msgspec takes costs what msgspec costs. What it refuses is tried again: bytes that are not UTF-8 become U+FFFD (as WHATWG
    HTML 9.2.6 decodes an event stream), escaped halves stay in the strings for a :class:`SurrogateJoiner` (and stay escaped in
    ``msgspec.Raw`` fields). Raises :class:`ProtocolError` with the first 200 characters for
    anything else: no JSON, other types than the Struct names, or nested too deep for the interpreter's stack.
    """
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as refusal:
        return _decode_again(decoder, bytes(data), refusal)


def _decode_again(decoder: msgspec.json.Decoder[T], data: bytes, refusal: Exception) -> T:
    text = data.decode("utf-8", "replace")
    cause: Exception = refusal
    try:
        if isinstance(refusal, UnicodeDecodeError):
            return decode_lenient(decoder, text.encode())
        if not isinstance(refusal, RecursionError | msgspec.ValidationError) and _ESCAPED_HALF.search(data):
            return _convert(decoder, json.loads(text))
    except (ValueError, RecursionError) as again:  # both libraries' decode errors are ValueErrors
        cause = again
    raise ProtocolError(
        f"not the JSON that was expected ({cause}): {masked(text[:300])[:200]!r}"
    ) from refusal


def _convert(decoder: msgspec.json.Decoder[T], value: Any) -> T:
    for _ in range(_MOST_RAW_FIELDS):
        try:
            return msgspec.convert(value, type=decoder.type)
        except msgspec.ValidationError as error:
            found = _RAW_EXPECTED.search(str(error))
            if found is None:
                raise
            _make_raw(value, _STEP.findall(found[1]))
    return msgspec.convert(value, type=decoder.type)


def _make_raw(value: Any, path: list[str]) -> None:
    """Write what stands at the path (of every item, where it is a list's or a dict's) as raw JSON.

    msgspec converts a dict to a Struct, but nothing to ``Raw`` except a ``Raw``.
    """
    step, *rest = path
    steps: list[Any] = [step]
    if step.startswith("["):
        steps = list(value) if isinstance(value, dict) else list(range(len(value)))  # pyright: ignore[reportUnknownArgumentType]  # of any kind: JSON
    elif not (isinstance(value, dict) and step in value):
        return
    for place in steps:
        if rest:
            _make_raw(value[place], rest)
        elif not isinstance(value[place], msgspec.Raw):
            value[place] = msgspec.Raw(json.dumps(value[place]))
