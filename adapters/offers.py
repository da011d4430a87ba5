"""What every row of the table offers, cell by cell, and where it does not: why. Read from the row and its dialect, so it cannot say otherwise.

The conformance tests run each cell that is offered against a simulated provider that speaks the row's dialect, and demand that each
that is not offered is refused before anything is sent. ``tercet providers --markdown`` prints the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from tercet.codecs.vocabulary import ChatRequest

from .adapter import Adapter
from .profile import Profile
from .settings import Settings, sample_settings

__all__ = ["ALWAYS", "CELLS", "Offer", "offers", "sample_model"]

ALWAYS = (
    "whole", "stream", "usage", "finish reasons",
    "error 400", "error 401", "error 404", "error 429", "error 500", "error 529", "cut", "stall",
)  # fmt: skip
"""What every provider has, or it could not be a row at all."""
CELLS = (*ALWAYS, "tools", "tool deltas", "reasoning", "images", "models", "tokens", "health")


class Offer(msgspec.Struct, frozen=True):
    """One API of one provider: ``door`` is the pattern of the model ids that it is for, empty for the row's own.

    ``missing`` has the cells that are not offered, each with the place that says so; ``counts`` is who counts tokens: ``provider``, or
    ``offline`` (OpenAI's tables for OpenAI's models, else an estimate).
    """

    provider: str
    door: str
    wire: str
    missing: Mapping[str, str]
    counts: str

    @property
    def name(self) -> str:
        """``vertex`` or ``vertex (claude*)``."""
        return f"{self.provider} ({self.door})" if self.door else self.provider


_SAMPLES = {"bedrock_invoke": "anthropic.claude-sample"}
"""Where the id says whose words are spoken (InvokeModel), not every id will do."""


def sample_model(profile: Profile, door: str = "") -> str:
    """A model id that goes through the door and that no catalog knows."""
    if door:
        return door.replace("*", "sample-model")
    if profile.model_id == "after_slash":
        return "vendor/sample-model"
    return _SAMPLES.get(profile.wire, "sample-model")


def offers(profile: Profile) -> Iterator[Offer]:
    """The row's own API, and one for each of its doors. Raises :class:`ConfigurationError` for a row that cannot work."""
    settings = sample_settings(profile)
    adapter = Adapter(profile, base_url=Settings(profile, settings).base_url(), settings=settings)
    for door in ("", *profile.doors):
        model = sample_model(profile, door)
        wire = adapter.wire_for(model)
        name = profile.doors[door].wire if door else profile.wire
        counted = wire.count_tokens(ChatRequest(model, "How many?")) is not None
        yield Offer(profile.id, door, name, _missing(adapter, model), "provider" if counted else "offline")


def _missing(adapter: Adapter, model: str) -> dict[str, str]:
    wire = adapter.wire_for(model)
    dialect = getattr(wire, "dialect", None)
    rejects = {
        **dict.fromkeys(wire.rejects, "rejects of the dialect"),
        **dict.fromkeys(adapter.profile.rejects, "rejects of the row"),
    }
    missing: dict[str, str] = {}
    for field, cells in (
        ("tools", ("tools", "tool deltas")),
        ("reasoning", ("reasoning",)),
        ("images", ("images",)),
    ):
        if field in rejects:
            missing.update(dict.fromkeys(cells, rejects[field]))
    if getattr(dialect, "reasoning", None) == "none":
        missing.setdefault("reasoning", "reasoning of the dialect")
    if getattr(dialect, "images", True) is False:
        missing.setdefault("images", "images of the dialect")
    if getattr(dialect, "flatten", False):
        missing.setdefault("images", "flatten of the dialect: contents are text")
    if adapter.list_models() is None:
        said = "models_path of the dialect" if hasattr(dialect, "models_path") else "its API"
        missing["models"] = f"{said}: there is no list; the catalog is given"
    if adapter.health_check() is None:
        missing["health"] = "neither a list of models nor health_path; health is judged by the requests"
    return missing
