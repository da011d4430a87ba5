"""Counting tokens without asking the provider: by OpenAI's own tables where they are known and at hand, else by an estimate.

The tables are those of the package ``bpe-openai`` (the extra ``tokens``). They say exactly how OpenAI's models cut a text; what the chat
template adds to each message, and how tools are written into the prompt, is not published, so a whole prompt's count is good to a few
tokens a message. Other vendors' tables are other ones: for their models the estimate is given, which says that it is one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from tercet.codecs.vocabulary import ChatRequest, TokenCount

from .estimate import estimate_tokens, measure

__all__ = ["count_offline", "encoding_of"]

_ENCODINGS = (
    # OpenAI's tiktoken, model.py: the longest beginning that fits counts.
    ("gpt-3.5", "cl100k_base"),
    ("gpt-4", "cl100k_base"),
    ("gpt-4o", "o200k_base"),
    ("gpt-4.1", "o200k_base"),
    ("gpt-4.5", "o200k_base"),
    ("gpt-", "o200k_base"),  # 5 and later, and gpt-oss, whose o200k_harmony differs in special tokens only
    ("chatgpt-4o", "o200k_base"),
    ("codex-", "o200k_base"),
    ("o1", "o200k_base"),
    ("o3", "o200k_base"),
    ("o4", "o200k_base"),
)
_PIECE = 48_000
"""Characters given to the tables at once: they refuse a million, or 200,000 tokens. A cut adds one token at most."""
_PRIMING = 3
"""Every answer begins with ``<|start|>assistant<|message|>`` (OpenAI's cookbook on counting tokens)."""


def count_offline(request: ChatRequest, model: str) -> TokenCount:
    """The prompt's tokens for ``model``, the provider's own id: ``source`` is ``bpe``, or ``estimate`` where there is no table.

    Never raises and sends nothing. The first count loads a table: 0.1 to 0.7 s and 75 MiB; after it a megabyte takes 40 ms.
    """
    name = encoding_of(model)
    count = _counter(name) if name is not None else None
    if count is None:
        return TokenCount(estimate_tokens(request), "estimate")
    size, fixed = measure(request, count)
    return TokenCount(size + fixed + _PRIMING, "bpe")


def encoding_of(model: str) -> str | None:
    """The name of the table that a model cuts texts by; None for models that are not OpenAI's. ``openai/gpt-5`` is ``gpt-5``."""
    name = model.rpartition("/")[2].lower()
    fitting = [(beginning, encoding) for beginning, encoding in _ENCODINGS if name.startswith(beginning)]
    return max(fitting, key=lambda row: len(row[0]))[1] if fitting else None


@cache
def _counter(encoding: str) -> Callable[[str], int] | None:
    """What counts a text's tokens; None where the extra is not installed."""
    try:
        module: Any = import_module("bpe_openai")
    except ModuleNotFoundError:
        return None
    encode = module.get_encoding(encoding).encode_ordinary

    def count(text: str) -> int:
        whole = text.encode("utf-8", "replace").decode()  # half a character has no token
        return sum(len(encode(whole[start : start + _PIECE])) for start in range(0, len(whole), _PIECE))

    return count
