"""Which source of credentials a provider has when nobody gave one: its row says (``Profile.auth``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tercet.adapters.adapter import Adapter

from .credentials import CredentialSource
from .searching import Searcher

__all__ = ["default_source"]


def default_source(
    adapter: Adapter, environ: Mapping[str, str], searcher: Searcher, wall: Callable[[], float]
) -> CredentialSource | None:
    """The source for a provider without keys; None where there is nothing to look for. What it needs is imported here, when it is needed."""
    match adapter.profile.auth:
        case "aws":
            from .aws import aws_source

            return aws_source(environ=environ, searcher=searcher, wall=wall)
        case "google":
            from .google import google_source

            return google_source(environ=environ, searcher=searcher, wall=wall)
        case "oauth:gemini-cli" | "oauth:qwen-code" | "oauth:claude-code" as auth:
            from .oauth import PROGRAMS, oauth_file_source

            # an address that somebody chose stays; else calls go where the sign-in says
            is_own = adapter.base_url == adapter.profile.base_url
            return oauth_file_source(
                PROGRAMS[auth],
                base_url=adapter.base_url if is_own else None,
                environ=environ,
                searcher=searcher,
                wall=wall,
            )
        case _:
            return None
