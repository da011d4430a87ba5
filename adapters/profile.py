"""``Profile``: what can be said about a provider as data. A provider is a row of these values (``table``).

A user's own service is one more row, in Python or in TOML::

    registry.add(Profile(id="acme", base_url="https://llm.acme.example/v1", key_env=("ACME_KEY",)))

    [acme]
    base_url = "https://llm.acme.example/v1"
    key_env = ["ACME_KEY"]
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from tercet.codecs.vocabulary import ConfigurationError, ProviderCapabilities

__all__ = ["AuthStyle", "Profile", "Status"]

AuthStyle = Literal["bearer", "x-api-key", "api-key", "x-goog-api-key", "none"]
Status = Literal["active", "gated", "sunset"]

_ID = re.compile(r"[a-z0-9][a-z0-9._-]*")


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider's row.

    - ``id``: what stands before the colon in ``provider:model``.
    - ``base_url``: scheme, host and path prefix; a trailing slash is ignored.
    - ``wire`` and ``dialect``: the family of its API, and the fields in which it differs from the family (``codecs/wire``).
    - ``auth``: where the key goes. ``key_env``: the environment variables that may hold it, first found wins.
      ``auth_env`` names variables whose key goes elsewhere than ``auth`` says (Anthropic's token goes as a bearer).
    - ``key_required``: False where a server may run without one (Ollama).
    - ``base_url_env``: variables that replace the base URL, each with the path to put behind its value (``OLLAMA_HOST`` has none).
    - ``headers``: static headers. ``default_model``: what ``provider:`` without a model means, and the health probe's model.
    - ``catalog``: the catalog file with its models' facts (``adapters/catalog``), by default the one named like the id.
    - ``rejects``: request fields that none of its models takes; the catalog adds each model's own.
    - ``requests_per_minute``, ``tokens_per_minute``, ``max_concurrency``: known limits; what the provider's headers say replaces them.
    - ``status``: ``active``; ``gated`` (needs an agreement); ``sunset`` (ended: ``notice`` says when and what to use instead).
    - ``docs``, ``as_of``: where the facts come from and of what date they are.
    """

    id: str
    base_url: str
    name: str = ""
    wire: str = "openai_chat"
    dialect: Mapping[str, Any] = {}
    auth: AuthStyle = "bearer"
    key_env: Sequence[str] = ()
    auth_env: Mapping[str, AuthStyle] = {}
    key_required: bool = True
    base_url_env: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    default_model: str | None = None
    catalog: str | None = None
    rejects: Sequence[str] = ()
    capabilities: ProviderCapabilities = ProviderCapabilities()
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    max_concurrency: int | None = None
    status: Status = "active"
    notice: str = ""
    docs: str = ""
    as_of: str = ""

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ConfigurationError(
                f"a provider's id is lower-case letters, digits, '.', '_' and '-'; got {self.id!r}",
                provider=self.id,
            )

    @property
    def label(self) -> str:
        """The name for people."""
        return self.name or self.id
