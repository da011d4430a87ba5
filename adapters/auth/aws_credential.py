"""``AwsCredential``: keys of AWS as a credential that signs calls (SigV4)."""

from __future__ import annotations

import msgspec

from tercet.codecs.vocabulary import ConfigurationError

from ..call import HttpCall
from .aws_config import region_of_host
from .sigv4 import AwsCredentials, sign

__all__ = ["AwsCredential"]


class AwsCredential:
    """Keys that sign a call for one region and one service.

    A signature is good only where it says. So the region in the host's name (``bedrock-runtime.eu-central-1.amazonaws.com``) wins;
    ``region`` is for hosts that name none (a proxy, a private endpoint). The repr shows where the keys were found, and nothing of them.
    """

    __slots__ = ("_credentials", "region", "service", "source")

    def __init__(
        self,
        credentials: AwsCredentials,
        *,
        region: str | None = None,
        service: str = "bedrock",
        source: str = "argument",
    ) -> None:
        self._credentials = credentials
        self.region: str | None = region
        self.service: str = service
        self.source: str = source

    def __repr__(self) -> str:
        return f"<AwsCredential for {self.service} from {self.source}>"

    @property
    def expires_at(self) -> float | None:
        """Unix time after which AWS does not accept them any more; None for long-term keys."""
        return self._credentials.expires_at

    def authorize(self, call: HttpCall, wall_now: float, /) -> HttpCall:
        """The call with ``x-amz-date``, ``authorization`` and, for temporary keys, ``x-amz-security-token``.

        ``wall_now`` is Unix time; AWS accepts five minutes of difference. Raises :class:`ConfigurationError` where no region is known.
        """
        region = region_of_host(call.origin.host) or self.region
        if region is None:
            raise ConfigurationError(
                f"a call to {call.origin} is signed for a region, and none is known: set AWS_REGION"
            )
        path, _, query = call.target.partition("?")
        headers = (("host", call.origin.authority), *call.headers)
        signed = sign(
            call.method,
            path,
            query,
            headers,
            call.body,
            self._credentials,
            wall_now,
            region=region,
            service=self.service,
        )
        replaced = {name for name, _ in signed}
        kept = tuple(header for header in call.headers if header[0].lower() not in replaced)
        return msgspec.structs.replace(call, headers=(*kept, *signed))
