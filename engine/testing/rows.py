"""A row of the table, simulated: its own wire in its own dialect, its own key header, behind its own paths.

So any provider that speaks HTTP can be tried without a key, and a program's tests can run against the providers it will really use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from tercet.adapters.adapter import Adapter
from tercet.adapters.profile import Profile
from tercet.codecs.serving.anthropic import AnthropicServing
from tercet.codecs.serving.gemini import GeminiServing
from tercet.codecs.serving.openai_chat import OpenAIChatServing

from .provider import SimulatedProvider, WireName
from .script import Script

__all__ = ["is_simulatable", "sample_environ", "simulated_row"]

_IN_DIALECT: Mapping[str, Callable[[Any], Any]] = {
    "openai_chat": lambda dialect: OpenAIChatServing(dialect=dialect),
    "anthropic": AnthropicServing,
    "gemini": GeminiServing,
}
"""The servings that differ with the row's dialect; the others speak one form."""


def is_simulatable(profile: Profile) -> bool:
    """Whether the row speaks HTTP (a program or an editor's socket is not simulated here)."""
    return profile.base_url.startswith("http")


def sample_environ(profile: Profile) -> dict[str, str]:
    """An environment in which every setting of the row's address has a value."""
    return {
        variables[0]: "sample"
        for name, variables in profile.settings_env.items()
        if name not in profile.settings
    }


def simulated_row(
    adapter: Adapter,
    model: str,
    script: Script | None = None,
    *,
    wire: str | None = None,
    key: str | None = None,
) -> SimulatedProvider:
    """The provider of ``adapter``'s row, answering by ``script`` when asked for ``model``.

    ``wire`` is the one spoken for that model, where it is not the row's own; ``key`` the only key it accepts, None for any.
    """
    profile = adapter.profile
    name = cast("WireName", wire or profile.wire)
    make = _IN_DIALECT.get(name)
    is_open = profile.auth == "none"
    header = "authorization" if profile.key_style == "bearer" else profile.key_style
    dialect: Any = getattr(adapter.wire_for(model), "dialect", None)
    return SimulatedProvider(
        "row",
        name,
        script,
        models=(model.partition("/")[2] if profile.model_id == "after_slash" else model,),
        keys=None if is_open or key is None else {key},
        serving=None if make is None else make(dialect),
        key_header=None if is_open else header,
    )
