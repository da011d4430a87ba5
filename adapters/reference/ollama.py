"""The reference's native Ollama handler: ``/api/chat``, a JSON object a line, and the list of models, which it fetches before each call."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

from tercet.codecs.framing.ndjson import NdjsonDecoder
from tercet.codecs.vocabulary import (
    ConfigurationError,
    ConnectError,
    ProtocolError,
    ProviderError,
    StreamInterruptedError,
    TercetError,
)

from . import facts
from .actions import Chunk, Conversation, Emit, Read, Reply
from .errors import error_class, reworded
from .family import Family, Setup
from .http import Request, fetch_once, merge_headers, read_text, reason_phrase
from .messages import Message
from .think import ThinkSplitter
from .values import get, is_object, is_true, items_of, parse_json, present, stringify, text_of

__all__ = ["OllamaFamily", "ollama_models", "to_ollama"]

_URL = "http://localhost:11434"
_PORT = 11434
_R1_TEMPERATURE = 0.6
_HAS_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


class OllamaFamily(Family):
    """``create_message``, ``complete_prompt`` and ``get_model`` of the reference's ``NativeOllamaHandler``."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._models: dict[str, dict[str, Any]] = {}

    def get_model(self) -> dict[str, Any]:
        """``{id, info}``; the facts are the server's, once a call has fetched them."""
        model_id = self.options.get("ollamaModelId") or ""
        info = self._models.get(model_id) or facts.constant("openai", "openAiModelInfoSaneDefaults")
        return {"id": model_id, "info": info}

    def list_models(self) -> Conversation[Any]:
        """The server's models with their facts; none when it does not answer."""
        return ollama_models(
            {"baseUrl": self.options.get("ollamaBaseUrl"), "apiKey": self.options.get("ollamaApiKey")}
        )

    def create_message(
        self, system: str, messages: Sequence[Message], metadata: Mapping[str, Any] | None = None
    ) -> Conversation[None]:
        """Text chunks, reasoning where the text begins with think tags, then usage where the server counts."""
        self._models = yield from self.list_models()
        model_id = self.get_model()["id"]
        yield from self._post(
            model_id, [{"role": "system", "content": system}, *to_ollama(messages)], stream=True
        )
        try:
            yield from _Stream().run()
        except TercetError as error:
            raise reworded(error, f"Ollama stream processing error: {error.message}") from error

    def complete_prompt(self, prompt: str) -> Conversation[str]:
        """The answer's text, think tags and all."""
        try:
            self._models = yield from self.list_models()
            yield from self._post(self.get_model()["id"], [{"role": "user", "content": prompt}], stream=False)
            text = yield from read_text()
        except TercetError as error:
            raise reworded(error, f"Ollama completion error: {error.message}") from error
        try:
            answer = parse_json(text)
        except ValueError as error:
            raise ProtocolError(
                f"Ollama completion error: the answer is not JSON: {error}", body=text
            ) from None
        return get(answer, "message", "content") or ""

    def _post(
        self, model_id: str, messages: Sequence[Mapping[str, Any]], *, stream: bool
    ) -> Conversation[None]:
        chosen = self.options.get("modelTemperature")
        if chosen is None:
            chosen = _R1_TEMPERATURE if "deepseek-r1" in model_id.lower() else 0
        body = {
            "model": model_id,
            "messages": messages,
            "stream": stream,
            "options": present(temperature=chosen, num_ctx=self.options.get("ollamaNumCtx")),
        }
        base = self.options.get("ollamaBaseUrl") or _URL
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "tercet"}
        request = Request(
            "POST",
            f"{_address(base)}/api/chat",
            merge_headers(headers, _authorization(self.options.get("ollamaApiKey"))),
            stringify(body).encode(),
        )
        try:
            yield from fetch_once(request, _failure)
        except ConnectError as error:
            raise reworded(
                error, f"Ollama service is not running at {_shown(base)}. Please start Ollama first."
            ) from error


def ollama_models(wanted: Mapping[str, Any]) -> Conversation[dict[str, dict[str, Any]]]:
    """``{name: facts}`` of ``{"baseUrl", "apiKey"}``, by one request for the names and one for each; what does not answer is left out."""
    found: dict[str, dict[str, Any]] = {}
    base = wanted.get("baseUrl") or _URL
    key = wanted.get("apiKey")
    try:
        listed = yield from _ask(f"{base}/api/tags", key)
    except TercetError:
        return found
    for model in items_of(get(listed, "models")):
        try:
            shown = yield from _ask(f"{base}/api/show", key, {"model": get(model, "model")})
        except TercetError:
            continue
        found[text_of(get(model, "name"))] = _facts(shown)
    return found


def _ask(url: str, key: Any, body: Mapping[str, Any] | None = None) -> Conversation[Any]:
    """As axios does it: no retries."""
    headers = {
        "Accept": "application/json, text/plain, */*",
        "Content-Type": None if body is None else "application/json",
        "User-Agent": "tercet",
    }
    request = Request(
        "GET" if body is None else "POST",
        url,
        merge_headers(headers, _authorization(key)),
        b"" if body is None else stringify(body).encode(),
    )
    yield from fetch_once(request, _failure)
    text = yield from read_text()
    try:
        return parse_json(text)
    except ValueError as error:
        raise ProtocolError(f"the answer is not JSON: {error}", body=text) from None


def _facts(shown: Any) -> dict[str, Any]:
    info = get(shown, "model_info")
    names = list(cast("Mapping[str, Any]", info)) if is_object(info) else []
    context = next((info[name] for name in names if "context_length" in name), None)
    context = context if isinstance(context, (int, float)) else None
    family, size = (text_of(get(shown, "details", name)) for name in ("family", "parameter_size"))
    return {
        **facts.constant("ollama", "ollamaDefaultModelInfo"),
        "description": f"Family: {family}, Context: {text_of(context)}, Size: {size}",
        "supportsPromptCache": True,
        "supportsImages": "vision" in items_of(get(shown, "capabilities")),
        "supportsComputerUse": False,
        **present(contextWindow=context or None, maxTokens=context or None),
    }


def to_ollama(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Ollama's messages: each tool result is a user message of its own, before the rest; images stand beside the text."""
    out: list[dict[str, Any]] = []
    for message in messages:
        content = message["content"]
        if isinstance(content, str):
            out.append({"role": message["role"], "content": content})
            continue
        blocks = cast("Sequence[Mapping[str, Any]]", content)
        spoken = [block for block in blocks if block["type"] in ("text", "image")]
        if message["role"] == "user":
            out.extend(_result(block) for block in blocks if block["type"] == "tool_result")
            if spoken:
                text = "\n".join(block["text"] for block in spoken if block["type"] == "text")
                out.append({"role": "user", "content": text, **_images(spoken)})
        elif message["role"] == "assistant":
            texts = ["" if block["type"] == "image" else block["text"] for block in spoken]
            out.append({"role": "assistant", "content": "\n".join(texts)})
    return out


def _result(block: Mapping[str, Any]) -> dict[str, Any]:
    content: Any = block.get("content")
    if isinstance(content, str):
        return {"role": "user", "content": content}
    items = cast("Sequence[Mapping[str, Any]]", content or ())
    texts = [
        "(see following user message for image)" if item["type"] == "image" else item["text"]
        for item in items
    ]
    return {"role": "user", **_images(items), "content": "\n".join(texts)}


def _images(blocks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = [
        block["source"]["data"]
        for block in blocks
        if block["type"] == "image" and get(block, "source", "type") == "base64"
    ]
    return present(images=found or None)


class _Stream:
    """The objects of one streamed answer, up to the one that says ``done``. A line that is not JSON is passed over, as in the reference."""

    def __init__(self) -> None:
        self._splitter = ThinkSplitter()
        self._counts: dict[str, Any] = {}
        self._is_done = False

    def run(self) -> Conversation[None]:
        decoder = NdjsonDecoder()
        while not self._is_done:
            data: bytes = yield Read()
            for line in decoder.feed(data) if data else decoder.finish():
                for chunk in self._line(bytes(line.data)):
                    yield Emit(chunk)
                if self._is_done:
                    break
            if not data:
                break
        if not self._is_done:
            raise StreamInterruptedError("Did not receive done or success response in stream.")
        for chunk in self._splitter.final():
            yield Emit(chunk)
        input_, output = (self._counts.get(name) or 0 for name in ("prompt_eval_count", "eval_count"))
        if input_ > 0 or output > 0:
            yield Emit({"type": "usage", "inputTokens": input_, "outputTokens": output})

    def _line(self, data: bytes) -> list[Chunk]:
        try:
            message = parse_json(data)
        except ValueError:
            return []
        if not is_object(message):
            return []
        if "error" in message:
            raise ProviderError(
                _said(message["error"]) or "the server gave an error without a text",
                body=data.decode("utf-8", "replace"),
            )
        for name in ("prompt_eval_count", "eval_count"):
            if isinstance(message.get(name), (int, float)):
                self._counts[name] = message[name]
        self._is_done = is_true(message.get("done")) or message.get("status") == "success"
        text = get(message, "message", "content")
        return self._splitter.update(text) if isinstance(text, str) and text else []


def _address(base: str) -> str:
    """The address as Ollama's client reads it: without a scheme it is http, and then without a port Ollama's own."""
    has_scheme = _HAS_SCHEME.match(base) is not None
    if not has_scheme:
        base = "http://" + (f"127.0.0.1{base}" if base.startswith(":") else base)
    base = base.removesuffix("/")
    try:
        has_port = urlsplit(base).port is not None
    except ValueError as error:
        raise ConfigurationError(f"the address of Ollama is not a URL: {error}") from None
    if has_scheme or has_port:
        return base
    host, slash, path = base.removeprefix("http://").partition("/")
    return f"http://{host}:{_PORT}{slash}{path}"


def _shown(base: str) -> str:
    """The address without user and password."""
    scheme, separator, rest = base.rpartition("://")
    authority, slash, path = rest.partition("/")
    return scheme + separator + authority.rpartition("@")[2] + slash + path


def _authorization(key: Any) -> dict[str, str | None]:
    return {"Authorization": f"Bearer {key}" if is_true(key) else None}


def _failure(reply: Reply, text: str) -> ProviderError:
    said: Any = text
    if "application/json" in reply.headers.get("content-type", ""):
        try:
            said = get(parse_json(text), "error")
        except ValueError:
            said = None
    message = _said(said) or f"Error {reply.status}: {reason_phrase(reply.status)}"
    return error_class(reply.status)(message, status=reply.status, body=text)


def _said(error: Any) -> str:
    """The text of an ``error`` field: as it stands, or as JSON where it is not a text."""
    return error if isinstance(error, str) else stringify(error) if is_true(error) else ""
