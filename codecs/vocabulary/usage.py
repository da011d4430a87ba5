"""How much was used, in one unit for all providers."""

from __future__ import annotations

import msgspec

__all__ = ["TokenCount", "Usage"]


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens used by one request, and what they cost.

    ``input_tokens`` is the whole prompt, *including* what was read from or written to a cache (``cache_read_tokens``,
    ``cache_write_tokens`` are parts of it). ``output_tokens`` is everything generated, *including* ``reasoning_tokens``.
    Providers count differently (Anthropic's input excludes cached tokens, Gemini's candidates exclude thoughts): the wires
    convert. ``cost`` is in US dollars, None if unknown. ``is_estimated`` says that the counts are ours, not the provider's.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost: float | None = None
    is_estimated: bool = False

    @property
    def total_tokens(self) -> int:
        """Input plus output."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        """The sum of two requests; an unknown cost does not erase a known one."""
        cost = self.cost if other.cost is None else (self.cost or 0.0) + other.cost
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            cost,
            self.is_estimated or other.is_estimated,
        )


class TokenCount(msgspec.Struct, frozen=True, gc=False):
    """The answer of ``count_tokens``: ``source`` is ``provider``, ``bpe`` (offline tables) or ``estimate``."""

    tokens: int
    source: str

    @property
    def is_estimated(self) -> bool:
        """Whether the provider itself did not count."""
        return self.source != "provider"
