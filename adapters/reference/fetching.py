"""What all fetchers of model lists share: one GET as axios makes it, prices, and the words for a list that could not be had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tercet.codecs.vocabulary import ProtocolError, ProviderError, TercetError, TransportError

from .actions import Conversation
from .errors import openai_failure, reworded
from .http import Request, fetch_once, merge_headers, read_text, reason_phrase
from .values import is_list, is_object, is_true, parse_float, parse_json

__all__ = ["Models", "get_json", "is_url", "not_fetched", "objects", "price"]

Models = dict[str, dict[str, Any]]


def get_json(url: str, headers: Mapping[str, str | None] | None = None) -> Conversation[Any]:
    """GET as axios does it: no retries, an answer that is not a success raises, text that is not JSON stays text."""
    request = Request(
        "GET",
        url,
        merge_headers({"Accept": "application/json, text/plain, */*", "User-Agent": "tercet"}, headers or {}),
    )
    try:
        yield from fetch_once(request, lambda reply, text: openai_failure(reply.status, reply.headers, text))
    except ProviderError as error:
        raise reworded(error, f"Request failed with status code {error.status}") from error
    text = yield from read_text()
    try:
        return parse_json(text)
    except ValueError:
        return text


def not_fetched(
    error: TercetError, what: str, *, on_status: str = "", on_silence: str = "Check your internet connection."
) -> TercetError:
    """The error as the reference words it: ``Failed to fetch X models: ...``, what helps being said at its end."""
    said = error.message
    if isinstance(error, ProviderError) and error.status is not None:
        said = f"{error.status} {reason_phrase(error.status)}{on_status}"
    elif isinstance(error, TransportError) and not isinstance(error, ProtocolError):
        said = f"No response from server. {on_silence}"
    return reworded(error, f"Failed to fetch {what} models: {said}")


def price(per_token: Any) -> float | None:
    """US dollars per million tokens, of a price per token, a number or a text; None for an absent or empty one."""
    return parse_float(per_token) * 1_000_000 if is_true(per_token) else None


def objects(value: Any, *texts: str) -> list[dict[str, Any]]:
    """The objects of a JSON array that have a text in each of these fields, none of anything else."""
    found = [item for item in value if is_object(item)] if is_list(value) else []
    return [item for item in found if all(isinstance(item.get(name), str) for name in texts)]


def is_url(text: str) -> bool:
    """Whether a text is an absolute URL."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path))
