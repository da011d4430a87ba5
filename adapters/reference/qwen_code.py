"""Qwen Code: signed in by another program, whose token lies in a file of the home directory, and is renewed there when it runs out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from tercet.codecs.vocabulary import AuthenticationError, ConfigurationError, ProviderError

from . import facts
from .actions import Chunk, Conversation, Now, ReadFile, Reply, WriteFile
from .chat import ChatFamily, sdk_headers
from .errors import error_class
from .http import Request, fetch_once, merge_headers, read_text, reason_phrase
from .row import Client
from .values import get, is_object, is_true, parse_json, stringify, text_of

__all__ = ["QwenCodeFamily", "qwen_model", "qwen_reader"]

_FILE = "~/.qwen/oauth_creds.json"
_TOKEN_URL = "https://chat.qwen.ai/api/v1/oauth2/token"
_CLIENT_ID = (
    "f0304373b74a44d2b584a3fb70ca9e56"  # of the Qwen Code program, public by design (RFC 8252 section 8.5)
)
_BASE = "https://dashscope.aliyuncs.com/compatible-mode/v1"
_BUFFER_MS = 30_000
_TAG = re.compile("</?think>")


class QwenCodeFamily(ChatFamily):
    """The chat family with credentials of its own: read before the first call, renewed when they run out or are refused.

    It is a class and not a hook because it keeps them. Two calls that find them stale at the same time may both renew them.
    """

    _credentials: dict[str, Any] | None = None

    def post(self, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Conversation[Reply]:
        """Send a body with a valid token; one that is refused (401) is renewed, once."""
        credentials = self._credentials or (yield from self._load())
        now: float = yield Now()
        expires: float = credentials.get("expiry_date") or 0
        if now * 1000 >= expires - _BUFFER_MS:
            credentials = yield from self._renewed(credentials)
        self._use(credentials)
        try:
            return (yield from super().post(body, headers))
        except AuthenticationError:
            if self._credentials is credentials:  # else another call has renewed them meanwhile
                self._use((yield from self._renewed(credentials)))
            return (yield from super().post(body, headers))

    def _use(self, credentials: dict[str, Any]) -> None:
        self._credentials = credentials
        base = text_of(credentials.get("resource_url") or _BASE)
        if not base.startswith(("http://", "https://")):
            base = f"https://{base}"
        self.client: Client = Client(
            base if base.endswith("/v1") else f"{base}/v1",
            merge_headers(
                sdk_headers(self.env),
                {"authorization": f"Bearer {credentials.get('access_token')}", "User-Agent": "tercet"},
            ),
        )

    def _path(self) -> str:
        return self.options.get("qwenCodeOauthPath") or _FILE

    def _load(self) -> Conversation[dict[str, Any]]:
        try:
            text: str = yield ReadFile(self._path())
            loaded = parse_json(text)
            if not is_object(loaded):
                raise ValueError("it is not a JSON object")
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"Failed to load Qwen OAuth credentials: {error}") from None
        return loaded

    def _renewed(self, credentials: Mapping[str, Any]) -> Conversation[dict[str, Any]]:
        refresh_token = credentials.get("refresh_token")
        if not is_true(refresh_token):
            raise ConfigurationError("No refresh token available in credentials.")
        form = {
            "grant_type": "refresh_token",
            "refresh_token": text_of(refresh_token),
            "client_id": _CLIENT_ID,
        }
        request = Request(
            "POST",
            _TOKEN_URL,
            merge_headers(
                {
                    "Content-Type": "application/x-www-form-urlencoded",
                    "Accept": "application/json",
                    "User-Agent": "tercet",
                }
            ),
            urlencode(form, quote_via=quote, safe="!'()*").encode(),
        )
        yield from fetch_once(request, _refused)
        text = yield from read_text()
        try:
            answer = parse_json(text)
        except ValueError:
            raise AuthenticationError("Token refresh failed: the answer is not JSON") from None
        if is_true(get(answer, "error")):
            said = f"{text_of(get(answer, 'error'))} - {text_of(get(answer, 'error_description'))}"
            raise AuthenticationError(f"Token refresh failed: {said}")
        now: float = yield Now()
        renewed = {
            **credentials,
            "access_token": get(answer, "access_token"),
            "token_type": get(answer, "token_type"),
            "refresh_token": get(answer, "refresh_token") or refresh_token,
            "expiry_date": int(now * 1000) + round((get(answer, "expires_in") or 0) * 1000),
        }
        try:
            yield WriteFile(self._path(), stringify(renewed, 2))
        except OSError:
            pass  # the token is good for this process all the same
        return renewed


def _refused(reply: Reply, text: str) -> ProviderError:
    said = f"{reply.status} {reason_phrase(reply.status)}. Response: {text}"
    kind = AuthenticationError if reply.status == 400 else error_class(reply.status)  # RFC 6749 section 5.2
    return kind(f"Token refresh failed: {said}", status=reply.status, body=text)


def qwen_model(family: ChatFamily) -> dict[str, Any]:
    """Whatever id the settings name, with the default model's facts where it is not known."""
    chosen = family.options.get("apiModelId")
    model_id = facts.default_model("qwen-code") if chosen is None else chosen
    table = family.table()
    return {"id": model_id, "info": table.get(model_id) or table[facts.default_model("qwen-code")]}


def qwen_reader() -> Callable[[Any], list[Chunk]]:
    """Reads deltas as the reference does: one that repeats the one before and goes on is cumulative, only its rest is new.

    Tags of thoughts are looked for within one delta; of its pieces every second one is a thought.
    """
    last = ""

    def read(delta: Any) -> list[Chunk]:
        nonlocal last
        chunks: list[Chunk] = []
        text = get(delta, "content")
        if isinstance(text, str) and text:
            new, last = text.removeprefix(last), text
            for place, piece in enumerate(_TAG.split(new)):
                if piece:
                    chunks.append({"type": "reasoning" if place % 2 else "text", "text": piece})
        thought = get(delta, "reasoning_content")
        if is_true(thought):
            chunks.append({"type": "reasoning", "text": thought})
        return chunks

    return read
