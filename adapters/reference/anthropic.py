"""The reference's Anthropic handler: Messages API, prompt caching on, the body pretty-printed as its SDK 0.37.0 does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tercet.codecs.framing.sse import SseDecoder
from tercet.codecs.vocabulary import ConfigurationError, ProtocolError

from . import facts
from .actions import Chunk, Conversation, Emit, Read, Reply
from .caching import mark_anthropic
from .errors import anthropic_failure, event_failure, interrupted
from .family import Family
from .http import Request, fetch_with_retries, merge_headers, read_result
from .messages import Message
from .params import cost_anthropic, model_params
from .values import get, is_true, items_of, parse_json, present, stringify, text_of

__all__ = ["AnthropicFamily", "AnthropicStream"]

_MAX_TOKENS = 8192
_LONG_CONTEXT_MODELS = ("claude-sonnet-4-20250514", "claude-sonnet-4-5")
_LONG_CONTEXT = "context-1m-2025-08-07"
_LONG_OUTPUT = "output-128k-2025-02-19"
_PROMPT_CACHING = "prompt-caching-2024-07-31"
_THINKING = "claude-3-7-sonnet-20250219:thinking"
_BOM = b"\xef\xbb\xbf"


class AnthropicFamily(Family):
    """``create_message``, ``complete_prompt``, ``count_tokens`` and ``get_model`` of the reference's ``AnthropicHandler``."""

    def get_model(self) -> dict[str, Any]:
        """``{id, info, betas?, ...params}``."""
        known = facts.models("anthropic")
        model_id = self.options.get("apiModelId")
        if model_id not in known:
            model_id = facts.default_model("anthropic")
        info = known[model_id]
        tier = get(info, "tiers", 0)
        if self._wants_long_context(model_id) and tier:
            info = {**info, **tier}
        return {
            "id": model_id.removesuffix(":thinking"),
            "info": info,
            **present(betas=[_LONG_OUTPUT] if model_id == _THINKING else None),
            **model_params("anthropic", model_id, info, self.options),
        }

    def create_message(
        self, system: str, messages: Sequence[Message], metadata: Mapping[str, Any] | None = None
    ) -> Conversation[None]:
        """Text, reasoning and usage chunks; the last one has the cost of what ``message_start`` counted, as in the reference."""
        model = self.get_model()
        betas = list(model.get("betas", ()))
        if self._wants_long_context(model["id"]):
            betas.append(_LONG_CONTEXT)
        betas.append(_PROMPT_CACHING)
        mark = {"cache_control": {"type": "ephemeral"}}
        body = present(
            model=model["id"],
            max_tokens=model.get("maxTokens", _MAX_TOKENS),
            temperature=model.get("temperature"),
            thinking=model.get("reasoning"),
            system=[{"text": system, "type": "text", **mark}],
            messages=mark_anthropic(messages),
            stream=True,
        )
        yield from self._post("/v1/messages", body, {"anthropic-beta": ",".join(betas)})
        yield from AnthropicStream(model["info"]).run()

    def complete_prompt(self, prompt: str) -> Conversation[str]:
        """The first text of the answer, an empty text when it has none."""
        model = self.get_model()
        body = present(
            model=model["id"],
            max_tokens=_MAX_TOKENS,
            temperature=model.get("temperature"),
            messages=[{"role": "user", "content": prompt}],
            stream=False,
        )
        reply = yield from self._post("/v1/messages", body)
        answer = yield from read_result(reply)
        for block in items_of(get(answer, "content")):
            if get(block, "type") == "text":
                return text_of(block["text"])
        return ""

    def ask_token_count(self, content: Sequence[Mapping[str, Any]]) -> Conversation[int | None]:
        """The provider's own count."""
        body = {"model": self.get_model()["id"], "messages": [{"role": "user", "content": content}]}
        reply = yield from self._post("/v1/messages/count_tokens", body)
        answer = yield from read_result(reply)
        count: int | None = get(answer, "input_tokens")
        return count

    def _wants_long_context(self, model_id: str) -> bool:
        return model_id in _LONG_CONTEXT_MODELS and is_true(self.options.get("anthropicBeta1MContext"))

    def _post(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Conversation[Reply]:
        base = self.options.get("anthropicBaseUrl") or self.env.get("ANTHROPIC_BASE_URL")
        request = Request(
            "POST",
            (base or "https://api.anthropic.com").removesuffix("/") + path,
            merge_headers(
                {"accept": "application/json", "content-type": "application/json", "user-agent": "tercet"},
                self._credentials(),
                {"anthropic-version": "2023-06-01"},
                headers or {},
            ),
            stringify(body, indent=2).encode(),
        )
        return (
            yield from fetch_with_retries(
                request, lambda reply, text: anthropic_failure(reply.status, reply.headers, text)
            )
        )

    def _credentials(self) -> dict[str, str]:
        given = self.options.get("apiKey")
        is_token = self.options.get("anthropicBaseUrl") and self.options.get("anthropicUseAuthToken")
        key = self.env.get("ANTHROPIC_API_KEY") if is_token or given is None else given
        token = given if is_token and given is not None else self.env.get("ANTHROPIC_AUTH_TOKEN")
        if key:
            return {"x-api-key": key}
        if token:
            return {"authorization": f"Bearer {token}"}
        raise ConfigurationError(
            "Could not resolve authentication method. Expected either apiKey or authToken to be set. Or for one of the"
            ' "X-Api-Key" or "Authorization" headers to be explicitly omitted'
        )


class AnthropicStream:
    """The events of one answer. ``info`` are the facts of the model, for the chunk with the cost; without them there is none."""

    def __init__(self, info: Mapping[str, Any] | None) -> None:
        self._info = info
        self._counts = [0, 0, 0, 0]  # input, output, cache writes, cache reads, of message_start
        self._is_done = False

    def run(self) -> Conversation[None]:
        decoder = SseDecoder()
        first: bytes | None = b""
        while not self._is_done:
            data: bytes = yield Read()
            if first is not None:
                # The SDK does not know byte order marks: the first line of such a stream is no field to it, so its event has no name.
                first += data
                if data and _BOM.startswith(first[:3]) and len(first) < 3:
                    continue
                data, first = first.replace(_BOM, b"\xbf", 1) if first.startswith(_BOM) else first, None
            for event in decoder.feed(data) if data else ():
                for chunk in self._chunks(event.name, bytes(event.data).decode("utf-8", "replace")):
                    yield Emit(chunk)
            if not data:
                raise interrupted("message_stop")
        if self._info is not None and any(count > 0 for count in self._counts):
            yield Emit(
                {
                    "type": "usage",
                    "inputTokens": 0,
                    "outputTokens": 0,
                    "totalCost": cost_anthropic(self._info, *self._counts),
                }
            )

    def _chunks(self, name: str, data: str) -> list[Chunk]:
        if self._is_done:
            return []
        if name == "error":
            error = _parsed(data)
            failure = event_failure(get(error, "error"), data)
            failure.message = data
            failure.args = (data,)
            raise failure
        if not name.startswith(("message_", "content_block_")):
            return []
        event = _parsed(data)
        match get(event, "type"):
            case "message_start":
                return [self._started(get(event, "message", "usage"))]
            case "message_delta":
                return [
                    {
                        "type": "usage",
                        "inputTokens": 0,
                        "outputTokens": get(event, "usage", "output_tokens") or 0,
                    }
                ]
            case "content_block_start":
                return _block_started(get(event, "index"), get(event, "content_block"))
            case "content_block_delta":
                return _block_continued(get(event, "delta"))
            case "message_stop":
                self._is_done = True
                return []
            case _:
                return []

    def _started(self, usage: Any) -> Chunk:
        counts = [
            get(usage, name) or 0
            for name in (
                "input_tokens",
                "output_tokens",
                "cache_creation_input_tokens",
                "cache_read_input_tokens",
            )
        ]
        self._counts = [a + b for a, b in zip(self._counts, counts, strict=True)]
        return {
            "type": "usage",
            "inputTokens": counts[0],
            "outputTokens": counts[1],
            **present(cacheWriteTokens=counts[2] or None, cacheReadTokens=counts[3] or None),
        }


def _block_started(index: Any, block: Any) -> list[Chunk]:
    kind = get(block, "type")
    if kind not in ("thinking", "text"):
        return []
    of = "reasoning" if kind == "thinking" else "text"
    gap: list[Chunk] = [{"type": of, "text": "\n"}] if index and index > 0 else []
    return [*gap, {"type": of, **present(text=get(block, kind))}]


def _block_continued(delta: Any) -> list[Chunk]:
    match get(delta, "type"):
        case "thinking_delta":
            return [{"type": "reasoning", **present(text=get(delta, "thinking"))}]
        case "text_delta":
            return [{"type": "text", **present(text=get(delta, "text"))}]
        case _:
            return []


def _parsed(data: str) -> Any:
    try:
        return parse_json(data)
    except ValueError as error:
        raise ProtocolError(f"an event of the stream is not JSON: {error}", body=data) from None
