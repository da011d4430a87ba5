"""The reference's two handlers for Vertex AI: Gemini's models by Google's SDK 1.3.0, Claude's by Anthropic's Vertex SDK 0.37.0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tercet.codecs.vocabulary import ConfigurationError, TercetError

from . import facts
from .actions import Conversation, Reply
from .anthropic import AnthropicStream
from .errors import anthropic_failure, reworded
from .family import Family, Setup
from .gemini import GeminiFamily, gemini_failure
from .google_auth import GoogleTokens
from .http import Request, fetch_once, fetch_with_retries, merge_headers, read_result
from .messages import Message
from .params import model_params
from .values import get, is_true, items_of, present, stringify, text_of

__all__ = ["AnthropicVertexFamily", "GeminiVertexFamily", "mark_vertex", "vertex_family"]

_MAX_TOKENS = 8192
_VERSION = "vertex-2023-10-16"
_MARK = {"cache_control": {"type": "ephemeral"}}


def vertex_family(setup: Setup) -> Family:
    """The handler for the model that the settings name: Anthropic's for Claude, else Gemini's."""
    is_claude = str(setup.options.get("apiModelId") or facts.default_model("vertex")).startswith("claude")
    return AnthropicVertexFamily(setup) if is_claude else GeminiVertexFamily(setup)


class GeminiVertexFamily(GeminiFamily):
    """``VertexHandler`` of the reference: the Gemini handler at another address. An id it does not know is sent as its default's."""

    table: ClassVar[str] = "vertex"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._tokens = GoogleTokens(self.options, self.env)

    def _post(self, model_id: str, verb: str, body: Mapping[str, Any]) -> Conversation[Reply]:
        if any("urlContext" in tool for tool in items_of(body.get("tools"))):
            raise ConfigurationError("urlContext parameter is not supported in Vertex AI.")
        project, region = (
            self.options.get(name) or "not-provided" for name in ("vertexProjectId", "vertexRegion")
        )
        host = "aiplatform.googleapis.com" if region == "global" else f"{region}-aiplatform.googleapis.com"
        place = f"projects/{project}/locations/{region}/publishers/google/models/{model_id}"
        proof = yield from self._tokens.headers()
        request = Request(
            "POST",
            f"https://{host}/v1beta1/{place}:{verb}",
            merge_headers(
                {"User-Agent": "tercet", "Content-Type": "application/json"}, proof, {"accept": "*/*"}
            ),
            stringify(body).encode(),
        )
        return (yield from fetch_once(request, gemini_failure))


class AnthropicVertexFamily(Family):
    """``create_message``, ``complete_prompt`` and ``get_model`` of the reference's ``AnthropicVertexHandler``."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._tokens = GoogleTokens(self.options, self.env)

    def get_model(self) -> dict[str, Any]:
        """``{id, info, ...params}``; the ``:thinking`` of an id is cut off."""
        known = facts.models("vertex")
        model_id = self.options.get("apiModelId")
        if model_id not in known:
            model_id = facts.default_model("vertex")
        info = known[model_id]
        params = model_params("anthropic", model_id, info, self.options)
        return {"id": model_id.removesuffix(":thinking"), "info": info, **params}

    def create_message(
        self, system: str, messages: Sequence[Message], metadata: Mapping[str, Any] | None = None
    ) -> Conversation[None]:
        """Text, reasoning and usage chunks; no chunk with the cost."""
        model = self.get_model()
        is_cached = is_true(model["info"].get("supportsPromptCache"))
        body = present(
            max_tokens=model.get("maxTokens", _MAX_TOKENS),
            temperature=model.get("temperature"),
            thinking=model.get("reasoning"),
            system=[{"text": system, "type": "text", **_MARK}] if is_cached else system,
            messages=mark_vertex(messages) if is_cached else list(messages),
            stream=True,
        )
        yield from self._post(model["id"], "streamRawPredict", body)
        yield from AnthropicStream(None).run()

    def complete_prompt(self, prompt: str) -> Conversation[str]:
        """The text of the answer's first block; empty when that is not a text."""
        model = self.get_model()
        is_cached = is_true(model["info"].get("supportsPromptCache"))
        content = [{"type": "text", "text": prompt, **_MARK}] if is_cached else prompt
        body = present(
            max_tokens=model.get("maxTokens", _MAX_TOKENS),
            temperature=model.get("temperature"),
            thinking=model.get("reasoning"),
            messages=[{"role": "user", "content": content}],
            stream=False,
        )
        try:
            reply = yield from self._post(model["id"], "rawPredict", body)
            answer = yield from read_result(reply)
        except TercetError as error:
            raise reworded(error, f"Vertex completion error: {error.message}") from error
        block = get(answer, "content", 0)
        return text_of(get(block, "text") or "") if get(block, "type") == "text" else ""

    def list_models(self) -> Conversation[Any]:
        """The table of all models on Vertex AI."""
        yield from ()
        return facts.models("vertex")

    def _post(self, model_id: str, verb: str, body: Mapping[str, Any]) -> Conversation[Reply]:
        project = self.options.get("vertexProjectId") or "not-provided"
        region = self.options.get("vertexRegion") or "us-east5"
        place = f"projects/{project}/locations/{region}/publishers/anthropic/models/{model_id}"
        proof = yield from self._tokens.headers()
        request = Request(
            "POST",
            f"https://{region}-aiplatform.googleapis.com/v1/{place}:{verb}",
            merge_headers(
                {"accept": "application/json", "content-type": "application/json", "user-agent": "tercet"},
                proof,
            ),
            stringify({**body, "anthropic_version": _VERSION}, indent=2).encode(),
        )
        return (
            yield from fetch_with_retries(
                request, lambda reply, text: anthropic_failure(reply.status, reply.headers, text)
            )
        )


def mark_vertex(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages, copied: the last text of each of the last two user messages is marked; nothing but texts may be."""
    users = [place for place, message in enumerate(messages) if message["role"] == "user"]
    out = [dict(message) for message in messages]
    for place in users[-2:]:
        content: Any = out[place]["content"]
        if isinstance(content, str):
            out[place]["content"] = [{"type": "text", "text": content, **_MARK}]
            continue
        blocks: list[dict[str, Any]] = [*content]
        texts = [number for number, block in enumerate(blocks) if block["type"] == "text"]
        if texts:
            blocks[texts[-1]] = {**blocks[texts[-1]], **_MARK}
        out[place]["content"] = blocks
    return out
