"""Clients of the official SDKs that read given bytes instead of a network."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

_CLIENTS = {
    "openai": ("OpenAI", "http://peer.invalid/v1"),
    "anthropic": ("Anthropic", "http://peer.invalid"),
}


def _http_client(sdk: Any, body: bytes, content_type: str) -> Any:
    """An HTTP client of the SDK's own kind (httpx, or its successor) whose every answer is ``body``."""
    base = next(
        kind for kind in sdk.DefaultHttpxClient.__mro__ if kind.__module__.split(".")[0] != sdk.__name__
    )
    http = importlib.import_module(base.__module__.split(".")[0])
    answer = {"headers": {"content-type": content_type}, "content": body}
    return http.Client(transport=http.MockTransport(lambda request: http.Response(200, **answer)))


@pytest.fixture
def sdk_client() -> Iterator[Callable[..., Any]]:
    """``sdk_client("openai", body)``: a client of that SDK, without retries, to which every answer is ``body``."""
    opened: list[Any] = []

    def make(name: str, body: bytes, content_type: str = "text/event-stream") -> Any:
        sdk = pytest.importorskip(name, reason=f"the {name} SDK is not installed (extra 'peers')")
        http = _http_client(sdk, body, content_type)
        opened.append(http)
        kind, base_url = _CLIENTS[name]
        return getattr(sdk, kind)(api_key="not-a-key", base_url=base_url, http_client=http, max_retries=0)

    yield make
    for http in opened:
        http.close()
