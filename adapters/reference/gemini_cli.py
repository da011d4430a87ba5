"""The reference's Gemini CLI handler (as of 2025-06): Google's Code Assist API, signed in by another program.

The token lies in a file of the home folder, and is renewed there when it has run out. Renewing it takes the OAuth client of the program that
signed in; it comes from the settings (``geminiCliOAuthClientId``, ``geminiCliOAuthClientSecret``) or the environment
(``GEMINI_CLI_OAUTH_CLIENT_ID``, ``GEMINI_CLI_OAUTH_CLIENT_SECRET``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tercet.codecs.framing.sse import SseDecoder
from tercet.codecs.vocabulary import (
    ConfigurationError,
    ProviderError,
    StreamInterruptedError,
    TercetError,
    TransportError,
)

from . import facts
from .actions import Chunk, Conversation, Emit, Now, Read, ReadFile, Sleep, WriteFile
from .errors import interrupted, reworded
from .family import Family, Setup
from .google_auth import TOKEN_URL, Ask, ask_google, refresh_form
from .http import read_text
from .messages import Message, to_gemini
from .params import model_params
from .values import get, is_object, items_of, parse_json, present, stringify, text_of

__all__ = ["GeminiCliFamily"]

_API = "https://cloudcode-pa.googleapis.com/v1internal:"
_FILE = "~/.gemini/oauth_creds.json"
_ANY_PROJECT = "default"
_METADATA = {
    "ideType": "IDE_UNSPECIFIED",
    "platform": "PLATFORM_UNSPECIFIED",
    "pluginType": "GEMINI",
    "duetProject": _ANY_PROJECT,
}
_POLLS = 30
_POLL_SECONDS = 2.0
_TEMPERATURE = 0.7
_MAX_TOKENS = 8192
_LIFETIME = 3600.0  # seconds, where the token endpoint does not say
_RATE_LIMITED = "Rate limit exceeded. Free tier limits have been reached."
_NO_PROJECT = "Could not discover project ID. Make sure you're authenticated with 'gemini auth'."
_TIMEOUT = "Onboarding operation timed out after 60 seconds. Please try again later."


class GeminiCliFamily(Family):
    """``create_message``, ``complete_prompt`` and ``get_model`` of the reference's ``GeminiCliHandler``."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._credentials: Mapping[str, Any] | None = None
        self._project: str | None = self.options.get("geminiCliProjectId") or None

    def get_model(self) -> dict[str, Any]:
        """``{id, info, ...params}``; the ``:thinking`` of an id is cut off."""
        known = facts.models("gemini-cli")
        model_id = text_of(self.options.get("apiModelId")).removesuffix(":thinking")
        if model_id not in known:
            model_id = facts.default_model("gemini-cli")
        info = known[model_id]
        # Then there was no lower minimum for the thinking of gemini-2.5-pro: the rules are those of any other name.
        return {"id": model_id, "info": info, **model_params("gemini", "gemini-cli", info, self.options)}

    def create_message(
        self, system: str, messages: Sequence[Message], metadata: Mapping[str, Any] | None = None
    ) -> Conversation[None]:
        """Text and reasoning chunks, then usage, free of charge."""
        model = self.get_model()
        most = self.options.get("modelMaxTokens")
        spoken = [{"role": said["role"], "parts": said["parts"]} for said in to_gemini(messages)]
        config = present(
            temperature=self._temperature(),
            maxOutputTokens=model.get("maxTokens", _MAX_TOKENS) if most is None else most,
            thinkingConfig=model.get("reasoning"),
        )
        request = {
            "contents": [{"role": "user", "parts": [{"text": system}]}, *spoken],
            "generationConfig": config,
        }
        token = yield from self._signed_in()
        project = yield from self._find_project()
        body = {"model": model["id"], "project": project, "request": request}
        try:
            yield from ask_google(_ask("streamGenerateContent?alt=sse", body, token, is_stream=True))
            yield from _Stream().run()
        except StreamInterruptedError:
            raise
        except TercetError as error:
            raise reworded(error, _stream_text(error)) from error

    def complete_prompt(self, prompt: str) -> Conversation[str]:
        """The text of the first candidate, without its thoughts. An answer inside ``response`` is not looked for, as in the reference."""
        token = yield from self._signed_in()
        project = yield from self._find_project()
        request = {
            "contents": [{"role": "user", "parts": [{"text": prompt}]}],
            "generationConfig": {"temperature": self._temperature()},
        }
        body = {"model": self.get_model()["id"], "project": project, "request": request}
        try:
            answer = yield from _answer(_ask("generateContent", body, token))
        except TercetError as error:
            raise reworded(error, f"Gemini CLI completion error: {error.message}") from error
        parts = items_of(get(answer, "candidates", 0, "content", "parts"))
        return "".join(
            text_of(part["text"]) for part in parts if get(part, "text") and not get(part, "thought")
        )

    def _temperature(self) -> float:
        chosen = self.options.get("modelTemperature")
        return _TEMPERATURE if chosen is None else chosen

    def _signed_in(self) -> Conversation[str]:
        """A token that has not run out."""
        path = self.options.get("geminiCliOAuthPath") or _FILE
        if self._credentials is None:
            self._credentials = yield from _load(path)
        now: float = yield Now()
        known = self._credentials
        until = known.get("expiry_date")
        if not isinstance(until, (int, float)) or until < now * 1000:
            try:
                self._credentials = known = yield from self._renewed(known, now)
            except (ProviderError, TransportError) as error:
                raise reworded(error, f"Failed to refresh OAuth token: Error: {error.message}") from error
            yield WriteFile(path, stringify(known, indent=2))
        return text_of(known["access_token"])

    def _renewed(self, known: Mapping[str, Any], now: float) -> Conversation[Mapping[str, Any]]:
        client, secret = (
            self.options.get(setting) or self.env.get(variable)
            for setting, variable in (
                ("geminiCliOAuthClientId", "GEMINI_CLI_OAUTH_CLIENT_ID"),
                ("geminiCliOAuthClientSecret", "GEMINI_CLI_OAUTH_CLIENT_SECRET"),
            )
        )
        if not client or not secret:
            raise ConfigurationError(
                "the token of gemini-cli has run out, and renewing it takes the OAuth client of the program that signed in: "
                "set geminiCliOAuthClientId and geminiCliOAuthClientSecret"
            )
        form = refresh_form(text_of(known.get("refresh_token")), client, secret)
        answer = yield from _answer(Ask(TOKEN_URL, "application/x-www-form-urlencoded", form))
        lifetime = get(answer, "expires_in")
        seconds = lifetime if isinstance(lifetime, (int, float)) else _LIFETIME
        return {
            "access_token": text_of(get(answer, "access_token")),
            "refresh_token": get(answer, "refresh_token") or known.get("refresh_token"),
            "token_type": get(answer, "token_type") or "Bearer",
            "expiry_date": int((now + seconds) * 1000),
        }

    def _find_project(self) -> Conversation[str]:
        """The project of the settings, else the one that Code Assist has for this user, or makes for him."""
        if self._project is None:
            try:
                self._project = yield from self._discovered()
            except (ProviderError, TransportError) as error:
                raise reworded(error, _NO_PROJECT) from error
        return self._project

    def _discovered(self) -> Conversation[str]:
        body = {"cloudaicompanionProject": _ANY_PROJECT, "metadata": _METADATA}
        answer = yield from self._call("loadCodeAssist", body)
        if project := get(answer, "cloudaicompanionProject"):
            return text_of(project)
        tiers = items_of(get(answer, "allowedTiers"))
        tier = next((get(tier, "id") for tier in tiers if get(tier, "isDefault")), None)
        body = {"tierId": tier or "free-tier", **body}
        for _ in range(_POLLS):
            answer = yield from self._call("onboardUser", body)
            if get(answer, "done"):
                break
            yield Sleep(_POLL_SECONDS)
        else:
            answer = yield from self._call("onboardUser", body)
            if not get(answer, "done"):
                raise ProviderError(_TIMEOUT)
        return text_of(get(answer, "response", "cloudaicompanionProject", "id") or _ANY_PROJECT)

    def _call(self, method: str, body: Mapping[str, Any]) -> Conversation[Any]:
        """One of the helper calls; a token that is refused is looked at again, once."""
        for is_last in (False, True):
            token = yield from self._signed_in()
            try:
                return (yield from _answer(_ask(method, body, token, accept="application/json")))
            except ProviderError as error:
                if error.status != 401 or is_last:
                    raise
        return None


def _ask(
    method: str, body: Mapping[str, Any], token: str, *, accept: str = "*/*", is_stream: bool = False
) -> Ask:
    data = stringify(body).encode()
    return Ask(_API + method, "application/json", data, accept=accept, token=token, is_stream=is_stream)


def _answer(ask: Ask) -> Conversation[Any]:
    yield from ask_google(ask)
    text = yield from read_text()
    try:
        return parse_json(text)
    except ValueError:
        return text


def _load(path: str) -> Conversation[Mapping[str, Any]]:
    try:
        text: str = yield ReadFile(path)
        value = parse_json(text)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"Failed to load OAuth credentials. Please authenticate first: {error}"
        ) from None
    if not is_object(value) or not value.get("access_token"):
        raise ConfigurationError(
            f"Failed to load OAuth credentials. Please authenticate first: {path} has no token"
        )
    return value


def _stream_text(error: TercetError) -> str:
    if error.status == 429:
        return _RATE_LIMITED
    if error.status == 400:
        return f"Bad request: {stringify(error.body) if error.body else error.message}"
    return f"Gemini CLI API error: {error.message}"


class _Stream:
    """The answers of one stream, each alone or inside ``response``. The first finish reason ends it."""

    def __init__(self) -> None:
        self._usage: Any = None
        self._is_finished = False

    def run(self) -> Conversation[None]:
        decoder = SseDecoder()
        while not self._is_finished:
            data: bytes = yield Read()
            for event in decoder.feed(data) if data else ():
                for chunk in self._chunks(bytes(event.data)):
                    yield Emit(chunk)
            if not data:
                break
        if self._usage is not None:
            yield Emit(_usage_chunk(self._usage))
        if not self._is_finished:
            raise interrupted("finishReason")

    def _chunks(self, data: bytes) -> list[Chunk]:
        try:
            answer = parse_json(data)
        except ValueError:
            return []
        if self._is_finished:
            return []
        answer = get(answer, "response") or answer
        candidate = get(answer, "candidates", 0)
        self._usage = get(answer, "usageMetadata") or self._usage
        self._is_finished = bool(get(candidate, "finishReason"))
        return [
            {"type": "reasoning" if get(part, "thought") is True else "text", "text": part["text"]}
            for part in items_of(get(candidate, "content", "parts"))
            if get(part, "text")
        ]


def _usage_chunk(usage: Any) -> Chunk:
    return {
        "type": "usage",
        "inputTokens": get(usage, "promptTokenCount") or 0,
        "outputTokens": get(usage, "candidatesTokenCount") or 0,
        **present(
            cacheReadTokens=get(usage, "cachedContentTokenCount"),
            reasoningTokens=get(usage, "thoughtsTokenCount"),
        ),
        "totalCost": 0,
    }
