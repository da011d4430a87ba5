"""What all families of handlers have: settings, environment, and token counts.

A family is a group of the reference's handlers that speak one wire; what differs between its members is data.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from tercet.codecs.vocabulary import ConfigurationError, TercetError

from .actions import Conversation
from .messages import Message
from .values import get

__all__ = ["IDENTITY", "NO_TOKENIZER", "Family", "Setup", "TextCounter"]

NO_TOKENIZER = "no_tokenizer"
TextCounter = Callable[[str], int]

IDENTITY: Mapping[str, str] = {
    "HTTP-Referer": "https://github.com/RooVetGit/Roo-Cline",
    "X-Title": "Roo Code",
    "User-Agent": "RooCode/3.28.14",
}
_FUDGE = 1.5
_UNKNOWN_IMAGE = 300


class Setup(msgspec.Struct, frozen=True):
    """What a handler is made of. The repr shows nothing: settings hold keys.

    ``options`` are the reference's settings; ``env`` the environment variables it may read; ``identity`` the headers by which it
    names itself (``HTTP-Referer``, ``X-Title``, ``User-Agent``); ``count_text`` gives the o200k tokens of a text.
    """

    options: Mapping[str, Any]
    env: Mapping[str, str]
    identity: Mapping[str, str]
    count_text: TextCounter | None

    def __repr__(self) -> str:
        return "<Setup>"


class Family(ABC):
    """The operations that every handler has. Each gives a conversation; nothing happens until it is driven."""

    def __init__(self, setup: Setup) -> None:
        self.options: Mapping[str, Any] = setup.options
        self.env: Mapping[str, str] = setup.env
        self.identity: Mapping[str, str] = setup.identity
        self._count_text = setup.count_text

    @abstractmethod
    def get_model(self) -> dict[str, Any]:
        """The model the settings name and its parameters, as far as they are known without asking the network."""

    @abstractmethod
    def create_message(
        self, system: str, messages: Sequence[Message], metadata: Mapping[str, Any] | None = None
    ) -> Conversation[None]:
        """Stream an answer: emits chunks."""

    @abstractmethod
    def complete_prompt(self, prompt: str) -> Conversation[str]:
        """One prompt, one text."""

    def list_models(self) -> Conversation[Any] | None:
        """The handler's own list of models; None where the table or a fetcher of its name has it."""
        return None

    def count_tokens(self, content: Sequence[Mapping[str, Any]]) -> Conversation[int]:
        """The provider's own count where it has one and it answers, else o200k tokens and half as many again."""
        try:
            asked = yield from self.ask_token_count(content)
        except TercetError:
            asked = None
        return self.estimate_tokens(content) if asked is None else asked

    def ask_token_count(self, content: Sequence[Mapping[str, Any]]) -> Conversation[int | None]:
        """The provider's count; None where it has no way to count."""
        yield from ()
        return None

    def estimate_tokens(self, content: Sequence[Mapping[str, Any]]) -> int:
        """The reference's local count. Raises ``ConfigurationError`` without a ``count_text`` for texts."""
        total = 0.0
        for block in content:
            if get(block, "type") == "text":
                text = block.get("text") or ""
                if text and self._count_text is None:
                    raise ConfigurationError(
                        "counting tokens takes a tokenizer: install tercet[tokens] or give count_text",
                        code=NO_TOKENIZER,
                    )
                total += self._count_text(text) if text and self._count_text else 0
            elif get(block, "type") == "image":
                data = get(block, "source", "data")
                total += math.ceil(math.sqrt(len(data))) if isinstance(data, str) else _UNKNOWN_IMAGE
        return math.ceil(total * _FUDGE)
