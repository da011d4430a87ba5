"""What a program may want done to every answer: ``ContentFilter`` and ``TokenAccumulator``, two :class:`StreamTransformer`.

Tokens in, tokens out, one list per read. Both hold back a bounded piece of text and give it up at ``finish``; neither knows a clock.
A *run* is the text of one part: deltas of one kind (text or reasoning) and one part number. What is held back always belongs to one
run, and is given before anything of the next.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable

import msgspec

from .vocabulary import (
    Citation,
    ConfigurationError,
    ContentFilterError,
    ReasoningDelta,
    Restarted,
    StreamToken,
    TextDelta,
    UsageReport,
)

__all__ = ["ContentFilter", "TokenAccumulator"]

Spans = Callable[[str], Iterable[tuple[int, int]]]


class ContentFilter:
    """Keeps forbidden text out of an answer, also where it lies across tokens.

    ``forbidden`` is any mixture of strings, compiled patterns and functions, or one of them. A string is found as it is, in any case
    unless ``ignore_case`` is False. A function takes text and gives the (start, end) of what is forbidden in it. ``max_length`` is
    how many characters one match of a pattern or function may span, what it looks at around the match included; it must be given for
    these, because only the caller knows it.

    With ``replacement`` each match is replaced by it, without it the first match raises :class:`ContentFilterError` (and every call
    after that): what came before the match in the same read is then not handed out either. Matches are taken from left to right, the
    longest first, and are the same however the answer was cut into tokens.

    At most ``max_length - 1`` characters are held back; with strings alone, only the end of the text that could begin one of them.
    :class:`UsageReport` and :class:`Citation` may overtake them: they have no place in the text. Arguments of tool calls are not
    looked at, nor is reasoning if ``reasoning`` is False.
    """

    __slots__ = (
        "_fold",
        "_is_closed",
        "_like",
        "_literal",
        "_longest_prefix",
        "_max_length",
        "_patterns",
        "_pos",
        "_prefixes",
        "_reasoning",
        "_replacement",
        "_text",
    )

    def __init__(
        self,
        forbidden: str | re.Pattern[str] | Spans | Iterable[str | re.Pattern[str] | Spans],
        *,
        replacement: str | None = None,
        max_length: int | None = None,
        ignore_case: bool = True,
        reasoning: bool = True,
    ) -> None:
        given = (
            [forbidden] if isinstance(forbidden, str | re.Pattern) or callable(forbidden) else list(forbidden)
        )
        self._fold = _fold if ignore_case else str
        literals = {self._fold(item) for item in given if isinstance(item, str)}
        self._patterns = [item for item in given if not isinstance(item, str)]
        if not given or "" in literals:
            raise ConfigurationError("a content filter takes at least one pattern, and none may be empty")
        if self._patterns and (max_length is None or max_length < 1):
            raise ConfigurationError(
                "a content filter with patterns or functions takes max_length, of 1 or more"
            )
        self._max_length = max_length if self._patterns and max_length else 1
        # Alternatives are tried in their order, so the longest goes first.
        ordered = sorted(literals, key=len, reverse=True)
        self._literal = re.compile("|".join(map(re.escape, ordered))) if ordered else None
        self._prefixes = {text[:size] for text in ordered for size in range(1, len(text))}
        self._longest_prefix = len(ordered[0]) - 1 if ordered else 0
        self._replacement = replacement
        self._reasoning = reasoning
        self._is_closed = False
        # Undecided text begins at `_pos`; what stands before it was given, and is kept for patterns that look behind.
        self._text = ""
        self._pos = 0
        self._like: TextDelta | ReasoningDelta | None = None

    def transform(self, tokens: list[StreamToken], /) -> list[StreamToken]:
        """The tokens of one read without what is forbidden. Raises :class:`ContentFilterError` if there is no replacement."""
        given: list[StreamToken] = []
        for token in tokens:
            if isinstance(token, TextDelta) or (isinstance(token, ReasoningDelta) and self._reasoning):
                self._add(token, given)
            else:
                if isinstance(token, Restarted):
                    self._forget()  # void, like everything before it
                elif not isinstance(token, UsageReport | Citation):
                    self._flush(given)
                given.append(token)
        return given

    def finish(self) -> list[StreamToken]:
        """What was held back. Raises like ``transform``."""
        given: list[StreamToken] = []
        self._flush(given)
        return given

    def _add(self, token: TextDelta | ReasoningDelta, given: list[StreamToken]) -> None:
        like = self._like
        if like is not None and (type(like) is not type(token) or like.part != token.part):
            self._flush(given)
        self._like = token
        self._text += token.text
        text = self._decided(len(self._text) - self._undecided())
        if text == token.text:
            given.append(token)
        elif text or _is_more_than_text(token):
            given.append(msgspec.structs.replace(token, text=text))

    def _flush(self, given: list[StreamToken]) -> None:
        text = self._decided(len(self._text))
        if text and self._like is not None:
            given.append(type(self._like)(text=text, part=self._like.part))
        self._forget()

    def _forget(self) -> None:
        self._text = ""
        self._pos = 0
        self._like = None

    def _undecided(self) -> int:
        """How many characters at the end may belong to a match whose end, or whose longer form, is still to come."""
        held = self._max_length - 1
        if self._prefixes:
            text = self._fold(self._text[self._pos :])
            for start in range(max(0, len(text) - self._longest_prefix), len(text) - held):
                if text[start:] in self._prefixes:
                    return len(text) - start
        return min(held, len(self._text) - self._pos)

    def _decided(self, stop: int) -> str:
        """The text up to ``stop`` with its matches replaced; a match that begins before ``stop`` is taken whole."""
        if self._is_closed:
            raise _refusal()
        pieces: list[str] = []
        for start, end in self._matches(stop):
            if self._replacement is None:
                self._is_closed = True
                self._forget()
                raise _refusal()
            pieces += (self._text[self._pos : start], self._replacement)
            self._pos = end
        if stop > self._pos:
            pieces.append(self._text[self._pos : stop])
            self._pos = stop
        behind = max(0, self._pos - self._max_length) if self._patterns else self._pos
        self._text = self._text[behind:]
        self._pos -= behind
        return "".join(pieces)

    def _matches(self, stop: int) -> list[tuple[int, int]]:
        """From left to right, each beginning at or after the end of the one before; the longest of those that begin together."""
        sources = [_finder(item, self._text) for item in self._patterns]
        if self._literal is not None:
            sources.append(_finder(self._literal, self._fold(self._text)))
        matches: list[tuple[int, int]] = []
        pos = self._pos
        # A source is asked again only when its match has been passed: each goes over the text once.
        ahead = [source(pos) for source in sources]
        while found := [span for span in ahead if span is not None and span[0] < stop]:
            matches.append(min(found, key=lambda span: (span[0], -span[1])))
            pos = matches[-1][1]
            ahead = [
                source(pos) if span is not None and span[0] < pos else span
                for source, span in zip(sources, ahead, strict=True)
            ]
        return matches


class TokenAccumulator:
    """Joins small deltas into pieces of at least ``min_chars`` and at most ``max_chars`` characters.

    For consumers to whom each token costs something: a database row, a message to a browser. Text and reasoning are joined within
    their run; a piece is smaller than ``min_chars`` only where its run ends or another token follows, and such a token (a tool call,
    a usage report, a delta with a signature) is given unchanged and in its place. Cuts at ``max_chars`` fall between code points.
    """

    __slots__ = ("_held", "_like", "_max", "_min")

    def __init__(self, min_chars: int, max_chars: int) -> None:
        if not 1 <= min_chars <= max_chars:
            raise ConfigurationError(
                f"a token accumulator takes 1 <= min_chars <= max_chars, not {min_chars} and {max_chars}"
            )
        self._min = min_chars
        self._max = max_chars
        self._held = ""
        self._like: TextDelta | ReasoningDelta | None = None

    def transform(self, tokens: list[StreamToken], /) -> list[StreamToken]:
        """The tokens of one read, joined with what was held back; never raises."""
        given: list[StreamToken] = []
        for token in tokens:
            if not isinstance(token, TextDelta | ReasoningDelta) or _is_more_than_text(token):
                self._flush(given)
                given.append(token)
                continue
            like = self._like
            if like is not None and (type(like) is not type(token) or like.part != token.part):
                self._flush(given)
            self._like = token
            text = self._held + token.text
            start = 0
            while len(text) - start >= self._min:
                given.append(msgspec.structs.replace(token, text=text[start : start + self._max]))
                start += self._max
            self._held = text[start:]
        return given

    def finish(self) -> list[StreamToken]:
        """What was held back: one token, or none."""
        given: list[StreamToken] = []
        self._flush(given)
        return given

    def _flush(self, given: list[StreamToken]) -> None:
        if self._held and self._like is not None:
            given.append(msgspec.structs.replace(self._like, text=self._held))
        self._held = ""
        self._like = None


def _finder(item: re.Pattern[str] | Spans, text: str) -> Callable[[int], tuple[int, int] | None]:
    """What gives the first match of ``item`` in ``text`` at or after a position; matches of nothing do not count."""
    if isinstance(item, re.Pattern):

        def search(pos: int) -> tuple[int, int] | None:
            while pos < len(text) and (match := item.search(text, pos)) is not None:
                if match.end() > match.start():
                    return match.span()
                pos = match.end() + 1
            return None

        return search
    spans = sorted((span for span in item(text) if span[0] < span[1]), key=lambda span: (span[0], -span[1]))

    def look_up(pos: int) -> tuple[int, int] | None:
        index = bisect_left(spans, pos, key=lambda span: span[0])
        return spans[index] if index < len(spans) else None

    return look_up


def _is_more_than_text(token: TextDelta | ReasoningDelta) -> bool:
    """Whether the token carries a signature, an id or opaque data."""
    return token != type(token)(text=token.text, part=token.part)


def _fold(text: str) -> str:
    """The text without case, character for character: what ``casefold`` makes longer (ß) stays as it is."""
    folded = text.casefold()
    if len(folded) == len(text):
        return folded
    return "".join(
        one if len(one) == 1 else character for character in text for one in (character.casefold(),)
    )


def _refusal() -> ContentFilterError:
    return ContentFilterError(
        "the answer contains text that the content filter forbids", code="content_filter"
    )
