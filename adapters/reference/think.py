"""``<think>`` tags at the start of an answer, told from its text.

The reference's automaton, character by character: an opening tag counts only when its ``<`` is the very first character, or
inside a block that is open (blocks nest; inner tags stay in the text). One space or more may stand after ``<`` or ``</`` and
before ``>``. What might still become a tag is held back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from .actions import Chunk
from .values import text_of

__all__ = ["ThinkSplitter"]


class ThinkSplitter:
    """Pieces of text in, ``text`` and ``reasoning`` chunks out."""

    __slots__ = ("_depth", "_held", "_index", "_is_inside", "_place", "_runs", "_state", "_tag")

    def __init__(self, tag: str = "think") -> None:
        self._tag = tag
        self._state: Literal["text", "open", "close"] = "text"
        self._is_inside = False
        self._depth = 0
        self._index = 0  # how much of the tag's name was seen
        self._place = 0  # how many characters were seen
        self._held: list[str] = []
        self._runs: list[tuple[bool, str]] = []

    def update(self, piece: Iterable[Any]) -> list[Chunk]:
        """The runs that are certain after this piece. A list in place of a text is read as its items' texts."""
        for item in piece:
            self._take(item if isinstance(item, str) else text_of(item))
        return self._pop()

    def final(self) -> list[Chunk]:
        """No more comes: what was held back is text after all."""
        self._collect()
        return self._pop()

    def _take(self, character: str) -> None:
        self._held.append(character)
        self._place += 1
        if self._state == "text":
            if character == "<" and (self._place == 1 or self._is_inside):
                self._state, self._index = "open", 0
            else:
                self._collect()
        elif character == ">" and self._index == len(self._tag):
            if self._state == "open":
                if not self._is_inside:
                    self._held.clear()
                self._depth += 1
                self._is_inside = True
            else:
                self._depth -= 1
                self._is_inside = self._depth > 0
                if not self._is_inside:
                    self._held.clear()
            self._state = "text"
        elif character == "/" and self._index == 0 and self._state == "open":
            self._state = "close"
        elif character == " " and self._index in (0, len(self._tag)):
            pass
        elif self._index < len(self._tag) and self._tag[self._index] == character:
            self._index += 1
        else:
            self._state = "text"
            self._collect()

    def _collect(self) -> None:
        if not self._held:
            return
        text = "".join(self._held)
        self._held.clear()
        if self._runs and self._runs[-1][0] is self._is_inside:
            text = self._runs.pop()[1] + text
        self._runs.append((self._is_inside, text))

    def _pop(self) -> list[Chunk]:
        runs, self._runs = self._runs, []
        return [{"type": "reasoning" if inside else "text", "text": text} for inside, text in runs]
