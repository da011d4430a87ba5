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

__all__ = ["AuthStyle", "Door", "KeyStyle", "Profile", "Status"]

KeyStyle = Literal["bearer", "x-api-key", "api-key", "x-goog-api-key", "none"]
AuthStyle = Literal[KeyStyle, "aws", "google", "oauth:gemini-cli", "oauth:qwen-code", "oauth:claude-code"]
Status = Literal["active", "gated", "sunset"]

_ID = re.compile(r"[a-z0-9][a-z0-9._-]*")


class Door(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another API of a provider, behind the same base URL and key: what some of its models speak (Claude on Vertex)."""

    wire: str
    dialect: Mapping[str, Any] = {}


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider's row.

    - ``id``: what stands before the colon in ``provider:model``.
    - ``base_url``: scheme, host and path prefix; a trailing slash is ignored.
    - ``wire`` and ``dialect``: the family of its API, and the fields in which it differs from the family (``codecs/wire``).
    - ``doors``: patterns of model ids (``claude*``, as ``fnmatch`` has them; the first that matches counts) that speak another wire.
    - ``dialects``: wires by name that models may ask for by their facts (``Model.wire``), each with the dialect in which this row speaks it.
    - ``settings``: values for the ``{name}`` in ``base_url``, the dialects and ``health_path`` (a project, a region); ``settings_env``:
      the variables that replace each of them. One that is named there and has no value anywhere is asked for in an error.
      ``base_url_for`` has base URLs of their own for some values: ``{"location=global": "https://..."}``.
    - ``auth``: where the key goes; or where credentials are looked for when there is no key: ``aws`` (they sign), ``google``, ``oauth:...`` (the
      sign-in of another program). ``key_env``: the environment variables that may hold the key, first found wins.
      ``auth_env`` names variables whose key goes elsewhere than ``auth`` says (Anthropic's token goes as a bearer).
    - ``key_required``: False where a server may run without one (Ollama).
    - ``base_url_env``: variables that replace the base URL, each with the path to put behind its value (``OLLAMA_HOST`` has none).
    - ``headers``: static headers. ``default_model``: what ``provider:`` without a model means, and the health probe's model.
    - ``catalog``: the catalog file with its models' facts (``adapters/catalog``), by default the one named like the id.
    - ``model_id``: how an id is sent: ``whole``, or only what stands ``after_slash`` (Unbound lists ``vendor/model`` and takes ``model``).
    - ``health_path``: what to GET behind the base URL to see whether host and key are good, where that is cheaper than the list of models.
    - ``rejects``: request fields that none of its models takes; the catalog adds each model's own.
    - ``requests_per_minute``, ``tokens_per_minute``, ``max_concurrency``: known limits; what the provider's headers say replaces them.
    - ``status``: ``active``; ``gated`` (needs an agreement or a sign-in of its own); ``sunset`` (ended). ``notice`` says what one should know: what
      is needed, since when it has ended, what to use instead.
    - ``docs``, ``as_of``: where the facts come from and of what date they are.
    """

    id: str
    base_url: str
    name: str = ""
    wire: str = "openai_chat"
    dialect: Mapping[str, Any] = {}
    doors: Mapping[str, Door] = {}
    dialects: Mapping[str, Mapping[str, Any]] = {}
    auth: AuthStyle = "bearer"
    key_env: Sequence[str] = ()
    auth_env: Mapping[str, KeyStyle] = {}
    key_required: bool = True
    base_url_env: Mapping[str, str] = {}
    settings: Mapping[str, str] = {}
    settings_env: Mapping[str, Sequence[str]] = {}
    base_url_for: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    default_model: str | None = None
    catalog: str | None = None
    model_id: Literal["whole", "after_slash"] = "whole"
    health_path: str | None = None
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
    def key_style(self) -> KeyStyle:
        """How a plain key goes out: a token that stands in for credentials that are looked for is a bearer."""
        match self.auth:
            case "bearer" | "x-api-key" | "api-key" | "x-goog-api-key" | "none":
                return self.auth
            case _:
                return "bearer"

    @property
    def finds_credentials(self) -> bool:
        """Whether credentials are looked for when there is no key."""
        return self.auth != self.key_style

    @property
    def label(self) -> str:
        """The name for people."""
        return self.name or self.id
