"""Reasoning inside the text: ``<think>...</think>`` at the start of an answer, as open models write it.

Servers that do not parse it hand it on as content. A :class:`ThinkSplitter` takes the pieces of one answer and says of each run
whether it is reasoning. A tag may come in any number of pieces; what could still become a tag is held back.
"""

from __future__ import annotations

__all__ = ["ThinkSplitter"]

_MOST_SPACE = (
    100  # characters of white space before the tag: an answer of white space alone is not held for ever
)


class ThinkSplitter:
    """Splits one answer. A ``<think>`` counts only at the very start (white space may stand before it), once.

    Tags are removed, everything else is kept as it came, the line breaks after ``</think>`` included. ``tag`` is the word between
    the angles (``reasoning`` for gpt-oss on Bedrock); ``is_inside`` says that the answer begins behind the opening tag, because the
    prompt had it (DeepSeek-R1 on Bedrock).
    """

    __slots__ = ("_close", "_held", "_open", "_state")

    def __init__(self, tag: str = "think", *, is_inside: bool = False) -> None:
        self._open = f"<{tag}>"
        self._close = f"</{tag}>"
        self._state: str = "thinking" if is_inside else "start"
        self._held: str = ""

    def split(self, text: str) -> list[tuple[bool, str]]:
        """The runs that are certain now: (is it reasoning, its text). No run is empty."""
        if self._state == "text":
            return [(False, text)] if text else []
        text = self._held + text
        self._held = ""
        if self._state == "start":
            bare = text.lstrip()
            is_near = len(text) - len(bare) <= _MOST_SPACE
            if is_near and len(bare) < len(self._open) and self._open.startswith(bare):
                self._held = text
                return []
            if not is_near or not bare.startswith(self._open):
                self._state = "text"
                return [(False, text)]
            self._state = "thinking"
            text = bare[len(self._open) :]
        inside, close, after = text.partition(self._close)
        if close:
            self._state = "text"
            return [run for run in ((True, inside), (False, after)) if run[1]]
        keep = _tail_that_may_close(text, self._close)
        self._held = text[len(text) - keep :]
        sure = text[: len(text) - keep]
        return [(True, sure)] if sure else []

    def flush(self) -> list[tuple[bool, str]]:
        """The answer has ended: what was held back was no tag after all."""
        held, self._held = self._held, ""
        return [(self._state == "thinking", held)] if held else []


def _tail_that_may_close(text: str, close: str) -> int:
    for length in range(min(len(text), len(close) - 1), 0, -1):
        if close.startswith(text[-length:]):
            return length
    return 0
