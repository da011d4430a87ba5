"""``ReferenceProvider``: a provider as the TypeScript reference has it, from that program's own settings.

It is for code and settings that come from Roo-Code (2025-10-01): the same defaults, caching marks, chunks and error texts. What
it does not copy is in :mod:`tercet.adapters.reference.deviations`. It sends nothing: each method gives a *conversation*
(:mod:`tercet.adapters.reference.actions`), and :mod:`tercet.engine.runtime.reference` drives it over a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tercet.codecs.vocabulary import ConfigurationError

from . import facts
from .actions import Conversation
from .family import IDENTITY, Setup, TextCounter
from .lists import get_models, get_openai_models
from .messages import Message
from .openrouter import generate_image
from .table import handler, providers

__all__ = ["ReferenceProvider"]


class ReferenceProvider:
    """One handler of the reference.

    ``provider`` is the reference's name for it, ``options`` its settings object, ``env`` the environment variables it may read
    (none by default). ``identity`` are the headers by which the reference names itself; give your own to name yourself.
    ``count_text`` gives the o200k tokens of a text, for local counts.

    Raises ``ConfigurationError`` for an unknown provider, and where the reference's constructor throws.
    """

    def __init__(
        self,
        provider: str,
        options: Mapping[str, Any],
        *,
        env: Mapping[str, str] | None = None,
        identity: Mapping[str, str] = IDENTITY,
        count_text: TextCounter | None = None,
    ) -> None:
        self.provider = provider
        self._options = options
        self._identity = identity
        found = handler(provider, Setup(options, env or {}, identity, count_text))
        if found is None:
            raise ConfigurationError(
                f"the reference face has no provider {provider!r}; it has {', '.join(providers())}"
            )
        self._handler = found

    def __repr__(self) -> str:
        return f"<ReferenceProvider {self.provider}>"

    def get_model(self) -> dict[str, Any]:
        """``{id, info, ...}``: the model and its parameters, without asking the network."""
        return self._handler.get_model()

    def create_message(
        self, system: str, messages: Sequence[Message], metadata: Mapping[str, Any] | None = None
    ) -> Conversation[None]:
        """Stream an answer. Emits chunks: ``text``, ``reasoning``, ``usage``, ``grounding``, with the reference's fields.

        The conversation raises what the handler throws, as tercet's error types with the reference's texts, and
        ``StreamInterruptedError`` for an answer whose end never came.
        """
        return self._handler.create_message(system, messages, metadata)

    def complete_prompt(self, prompt: str) -> Conversation[str]:
        """One prompt, one text. Raises like :meth:`create_message`."""
        return self._handler.complete_prompt(prompt)

    def count_tokens(self, content: Sequence[Mapping[str, Any]]) -> Conversation[int]:
        """Tokens of a list of blocks: the provider's count where it has one, else o200k tokens times 1.5, rounded up."""
        return self._handler.count_tokens(content)

    def list_models(self) -> Conversation[Any]:
        """``{id: facts}``, or a list of ids for plain OpenAI-compatible servers; from the table where the reference has one."""
        if self.provider == "openai":
            return get_openai_models(
                self._options.get("openAiBaseUrl"),
                self._options.get("openAiApiKey"),
                self._options.get("openAiHeaders"),
                identity=self._identity,
            )
        own = self._handler.list_models()
        if own is not None:
            return own
        known = facts.models(self.provider)
        return _at_once(known) if known else get_models({"provider": self.provider})

    def generate_image(
        self, prompt: str, model: str, api_key: str, input_image: str | None = None
    ) -> Conversation[dict[str, Any]]:
        """OpenRouter's image generation: ``{success, imageData, imageFormat}`` or ``{success: False, error}``."""
        if self.provider != "openrouter":
            raise ConfigurationError(
                f"the reference generates images with openrouter, not with {self.provider}"
            )
        return generate_image(prompt, model, api_key, input_image, identity=self._identity)


def _at_once(value: Any) -> Conversation[Any]:
    yield from ()
    return value
