"""AWS credentials for the engine: found by the chain, kept while they last, found again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tercet.adapters.auth import Credential
from tercet.codecs.vocabulary import ConfigurationError

from .credentials import LoadedCredential
from .searching import Searcher

if TYPE_CHECKING:
    from tercet.adapters.auth.sigv4 import AwsCredentials

__all__ = ["AwsSource", "aws_source"]


class AwsSource(LoadedCredential):
    """Temporary credentials are found again when they end or are refused; long-term ones when they are refused, for the request after it."""

    def invalidate(self, credential: Credential) -> bool:
        """Forget it. Another one is likely only where it was temporary."""
        return super().invalidate(credential) and credential.expires_at is not None


def aws_source(
    *,
    access_key: str | None = None,
    secret_key: str | None = None,
    session_token: str | None = None,
    profile: str | None = None,
    region: str | None = None,
    service: str = "bedrock",
    environ: Mapping[str, str] | None = None,
    searcher: Searcher | None = None,
    wall: Callable[[], float] = time.time,
) -> AwsSource:
    """A source of what the default chain finds, for ``open_manager(credentials={"bedrock": aws_source(profile="work")})``.

    ``access_key`` and ``secret_key`` (and ``session_token``) are taken as they are. ``profile`` and ``region`` go before the environment and the
    files; ``environ`` replaces ``os.environ``. Nothing is read before the first request. Raises :class:`ConfigurationError` for half a pair.
    """
    surroundings = os.environ if environ is None else environ
    driver = searcher or Searcher(environ=surroundings)
    given = _given(access_key, secret_key, session_token)

    async def load() -> Credential:
        # the chain, and what signs, are loaded when there is something to sign
        from tercet.adapters.auth.aws_chain import find_aws_credentials
        from tercet.adapters.auth.aws_credential import AwsCredential

        if given is not None:
            place = region or surroundings.get("AWS_REGION") or surroundings.get("AWS_DEFAULT_REGION")
            return AwsCredential(given, region=place, service=service)
        search = find_aws_credentials(surroundings, now=wall(), profile=profile, region=region)
        found = await driver.find(search)
        return AwsCredential(found.credentials, region=found.region, service=service, source=found.source)

    return AwsSource(load, wall)


def _given(
    access_key: str | None, secret_key: str | None, session_token: str | None
) -> AwsCredentials | None:
    if access_key is None and secret_key is None:
        return None
    if access_key is None or secret_key is None:
        raise ConfigurationError("access_key and secret_key go together: one of them was not given")
    from tercet.adapters.auth.sigv4 import AwsCredentials

    return AwsCredentials(access_key, secret_key, session_token)
