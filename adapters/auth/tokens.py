"""Access tokens (OAuth 2.0): as a credential, and the exchange that gives one (RFC 6749 sections 4.1.4, 5 and 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from tercet.codecs.vocabulary import ConfigurationError, ProtocolError

from ..call import HttpCall
from ..url import parse_base_url
from .keys import Key
from .steps import Answer, call_to, json_object, number_in, refusal

__all__ = ["AccessToken", "Grant", "granted", "token_call"]

Field = tuple[str, str]


class AccessToken(Key):
    """A token that goes out as ``Authorization: Bearer``.

    ``extra`` are headers that go with it (Google's quota project). ``base_urls``, the adapter's base URL and the one where this
    token is good, moves calls from the one to the other: Qwen tells each user where.
    """

    __slots__ = ("_extra", "_move")

    def __init__(
        self,
        value: str,
        *,
        source: str,
        expires_at: float | None = None,
        extra: Sequence[Field] = (),
        base_urls: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(value, style="bearer", source=source, expires_at=expires_at)
        self._extra = tuple(extra)
        self._move = (parse_base_url(base_urls[0]), parse_base_url(base_urls[1])) if base_urls else None

    def __repr__(self) -> str:
        return f"<AccessToken from {self.source}>"

    def authorize(self, call: HttpCall, wall_now: float, /) -> HttpCall:
        """The call with the token, where the token is good."""
        call = super().authorize(call, wall_now)
        if self._extra:
            names = {name for name, _ in self._extra}
            kept = tuple(header for header in call.headers if header[0] not in names)
            call = msgspec.structs.replace(call, headers=(*kept, *self._extra))
        if self._move is None:
            return call
        (origin, prefix), (new_origin, new_prefix) = self._move
        if call.origin != origin or not call.target.startswith(prefix):
            return call
        target = new_prefix + call.target.removeprefix(prefix)
        return msgspec.structs.replace(call, origin=new_origin, target=target)


class Grant(msgspec.Struct, frozen=True):
    """What a token endpoint gave. The repr shows nothing of it. ``expires_at`` is Unix time, None where it did not say."""

    access_token: str
    expires_at: float | None
    refresh_token: str | None = None
    token_type: str = "Bearer"

    def __repr__(self) -> str:
        return "<Grant>"


def token_call(url: str, fields: Sequence[Field]) -> HttpCall:
    """The call to a token endpoint. Raises :class:`ConfigurationError` for one that would be asked in the clear."""
    headers = (("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json"))
    call = call_to("POST", url, headers, urlencode(fields).encode())
    if call.origin.scheme != "https":
        raise ConfigurationError(
            f"the token endpoint {call.origin} is not https: a secret would go in the clear"
        )
    return call


def granted(
    answer: Answer, what: str, now: float, *, secrets: Sequence[str] = (), way_out: str = ""
) -> Grant:
    """The tokens in an answer. ``now``, from before the call, is what ``expires_in`` counts from.

    Raises :class:`AuthenticationError` with the endpoint's code (``invalid_grant``), :class:`ServerError`, or :class:`ProtocolError`;
    none of them shows one of ``secrets``. An ``error`` under status 200 is one too (Qwen, 2025-10).
    """
    said: dict[str, Any] = {}
    try:
        said = json_object(answer.body, f"the answer to {what}")
    except ProtocolError:
        if answer.status == 200:
            raise
    error = said.get("error")
    if answer.status != 200 or error:
        code = error if isinstance(error, str) else None
        told = said.get("error_description")
        raise refusal(
            what,
            answer.status,
            code,
            told if isinstance(told, str) else "",
            secrets=secrets,
            way_out=way_out,
        )
    token, again, kind = (said.get(name) for name in ("access_token", "refresh_token", "token_type"))
    lasts = number_in(said, "expires_in")
    if not isinstance(token, str) or not token:
        raise ProtocolError(f"the answer to {what} has no access_token", retryable=False)
    return Grant(
        token,
        None if lasts is None else now + lasts,
        again if isinstance(again, str) and again else None,
        kind if isinstance(kind, str) and kind else "Bearer",
    )
