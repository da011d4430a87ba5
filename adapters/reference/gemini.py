"""The reference's Gemini handler: generateContent, as Google's SDK 1.3.0 sends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tercet.codecs.framing.sse import SseDecoder
from tercet.codecs.vocabulary import ProtocolError, ProviderError, StreamInterruptedError, TercetError

from . import facts
from .actions import Chunk, Conversation, Emit, Read, Reply
from .errors import error_class, google_failure, interrupted, reworded
from .family import Family
from .http import Request, fetch_once, merge_headers, read_result, reason_phrase
from .messages import Message, to_gemini, to_gemini_parts
from .params import model_params
from .values import get, is_true, items_of, parse_json, present, stringify, text_of

__all__ = ["GeminiFamily", "gemini_failure", "tiered_cost"]

_MAX_STRAY = 64 * 1024
_BLANK_LINES = (b"\n\n", b"\r\r", b"\r\n\r\n")


class GeminiFamily(Family):
    """``create_message``, ``complete_prompt``, ``count_tokens`` and ``get_model`` of the reference's ``GeminiHandler``."""

    table: ClassVar[str] = "gemini"  # whose models it knows

    def get_model(self) -> dict[str, Any]:
        """``{id, info, ...params}``; the ``:thinking`` of an id is cut off."""
        known = facts.models(self.table)
        model_id = self.options.get("apiModelId")
        if model_id not in known:
            model_id = facts.default_model(self.table)
        info = known[model_id]
        params = model_params("gemini", model_id, info, self.options)
        return {"id": model_id.removesuffix(":thinking"), "info": info, **params}

    def create_message(
        self, system: str, messages: Sequence[Message], metadata: Mapping[str, Any] | None = None
    ) -> Conversation[None]:
        """Text and reasoning chunks, then grounding sources and usage where the answer has them."""
        model = self.get_model()
        most = self.options.get("modelMaxTokens")
        config = present(
            temperature=self._temperature(),
            maxOutputTokens=model.get("maxTokens") if most is None else most,
            thinkingConfig=_sorted(model.get("reasoning")),
        )
        body = present(
            contents=to_gemini(messages),
            systemInstruction={"parts": [{"text": system}], "role": "user"},
            tools=self._tools(),
            generationConfig=config,
        )
        try:
            yield from self._post(model["id"], "streamGenerateContent?alt=sse", body)
            yield from _Stream(model["info"]).run()
        except TercetError as error:
            raise reworded(error, f"Gemini generate context stream error: {error.message}") from error

    def complete_prompt(self, prompt: str) -> Conversation[str]:
        """The text of the first candidate, followed by its sources when it was grounded."""
        body = present(
            contents=[{"parts": [{"text": prompt}], "role": "user"}],
            tools=self._tools(),
            generationConfig={"temperature": self._temperature()},
        )
        try:
            reply = yield from self._post(self.get_model()["id"], "generateContent", body)
            answer = yield from read_result(reply)
        except TercetError as error:
            raise reworded(error, f"Gemini completion error: {error.message}") from error
        parts = items_of(get(answer, "candidates", 0, "content", "parts"))
        text = "".join(
            text_of(part["text"]) for part in parts if get(part, "text") and not get(part, "thought")
        )
        sources = _sources(get(answer, "candidates", 0, "groundingMetadata"))
        if sources:
            links = ", ".join(f"[{place}]({source['url']})" for place, source in enumerate(sources, 1))
            text += f"\n\nSources: {links}"
        return text

    def ask_token_count(self, content: Sequence[Mapping[str, Any]]) -> Conversation[int | None]:
        """The provider's own count."""
        body = {"contents": [{"parts": to_gemini_parts(content), "role": "user"}]}
        reply = yield from self._post(self.get_model()["id"], "countTokens", body)
        answer = yield from read_result(reply)
        total: int | None = get(answer, "totalTokens")
        return total

    def _temperature(self) -> float:
        chosen = self.options.get("modelTemperature")
        return 0 if chosen is None else chosen

    def _tools(self) -> list[dict[str, Any]] | None:
        tools: list[dict[str, Any]] = []
        if is_true(self.options.get("enableUrlContext")):
            tools.append({"urlContext": {}})
        if is_true(self.options.get("enableGrounding")):
            tools.append({"googleSearch": {}})
        return tools or None

    def _post(self, model_id: str, verb: str, body: Mapping[str, Any]) -> Conversation[Reply]:
        base = self.options.get("googleGeminiBaseUrl") or "https://generativelanguage.googleapis.com"
        key = self.options.get("geminiApiKey")
        request = Request(
            "POST",
            f"{base.removesuffix('/')}/v1beta/models/{model_id}:{verb}",
            merge_headers(
                {
                    "User-Agent": "tercet",
                    "Content-Type": "application/json",
                    "x-goog-api-key": "not-provided" if key is None else key,
                    "accept": "*/*",
                }
            ),
            stringify(body).encode(),
        )
        return (yield from fetch_once(request, gemini_failure))


def _sorted(fields: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """In the SDK's order, which is the alphabet's."""
    return None if fields is None else {name: fields[name] for name in sorted(fields)}


def gemini_failure(reply: Reply, text: str) -> ProviderError:
    """As Google's SDK words an answer that is not a success."""
    return google_failure(reply.status, reason_phrase(reply.status), reply.headers, text)


class _Stream:
    """The responses of one stream. They come as events; an error may come as bare JSON in place of one."""

    def __init__(self, info: Mapping[str, Any]) -> None:
        self._info = info
        self._usage: Any = None
        self._grounding: Any = None
        self._is_finished = False
        self._stray = bytearray()  # what has come since the last event ended

    def run(self) -> Conversation[None]:
        decoder = SseDecoder()
        while True:
            data: bytes = yield Read()
            for event in decoder.feed(data) if data else ():
                for chunk in self._chunks(bytes(event.data).decode("utf-8", "replace")):
                    yield Emit(chunk)
            if not data:
                break
            self._note(data)
        self._check_end()
        sources = _sources(self._grounding)
        if sources:
            yield Emit({"type": "grounding", "sources": sources})
        if self._usage is not None:
            yield Emit(_usage_chunk(self._usage, self._info))
        if not self._is_finished:
            raise interrupted("finishReason")

    def _chunks(self, data: str) -> list[Chunk]:
        try:
            answer = parse_json(data)
        except ValueError as error:
            raise ProtocolError(f"an event of the stream is not JSON: {error}", body=data) from None
        candidate = get(answer, "candidates", 0)
        if candidate is None and get(answer, "error") is not None:
            raise _stream_failure(answer, data)
        if get(candidate, "finishReason") or get(answer, "promptFeedback", "blockReason"):
            self._is_finished = True
        self._grounding = get(candidate, "groundingMetadata") or self._grounding
        self._usage = get(answer, "usageMetadata") or self._usage
        return [
            {"type": "reasoning" if get(part, "thought") else "text", "text": part["text"]}
            for part in items_of(get(candidate, "content", "parts"))
            if get(part, "text")
        ]

    def _note(self, data: bytes) -> None:
        """Keep what follows the last blank line: at the end it tells an error, or a cut event, from a clean end."""
        self._stray += data
        ends = [place + len(line) for line in _BLANK_LINES if (place := self._stray.rfind(line)) >= 0]
        del self._stray[: max(ends, default=0)]
        del self._stray[:-_MAX_STRAY]

    def _check_end(self) -> None:
        rest = self._stray.decode("utf-8", "replace").strip()
        if not rest:
            return
        try:
            body = parse_json(rest)
        except ValueError:
            body = None
        if get(body, "error") is None:
            raise StreamInterruptedError("Incomplete JSON segment at the end")
        raise _stream_failure(body, rest)


def _stream_failure(body: Any, data: str) -> ProviderError:
    code = get(body, "error", "code")
    status = get(body, "error", "status")
    message = f"got status: {text_of(status)}. {stringify(body)}"
    return error_class(code if isinstance(code, int) else None)(message, code=status, body=data)


def _sources(grounding: Any) -> list[dict[str, str]]:
    webs = [get(chunk, "web") for chunk in items_of(get(grounding, "groundingChunks"))]
    return [{"title": web.get("title") or web["uri"], "url": web["uri"]} for web in webs if get(web, "uri")]


def _usage_chunk(usage: Any, info: Mapping[str, Any]) -> Chunk:
    input_ = get(usage, "promptTokenCount") or 0
    output = get(usage, "candidatesTokenCount") or 0
    reads = get(usage, "cachedContentTokenCount")
    return {
        "type": "usage",
        "inputTokens": input_,
        "outputTokens": output,
        **present(
            cacheReadTokens=reads,
            reasoningTokens=get(usage, "thoughtsTokenCount"),
            totalCost=tiered_cost(info, input_, output, reads or 0),
        ),
    }


def tiered_cost(info: Mapping[str, Any], input_: float, output: float, reads: float) -> float | None:
    """US dollars by the first tier that holds the prompt; None where the model has no prices. Thoughts are not counted."""
    tier = next((tier for tier in items_of(info.get("tiers")) if input_ <= tier["contextWindow"]), None)

    def price(name: str) -> float:
        special = get(tier, name)
        return (info.get(name) or 0) if special is None else special

    if not price("inputPrice") or not price("outputPrice"):
        return None
    paid = price("inputPrice") * ((input_ - reads) / 1_000_000)
    made = price("outputPrice") * (output / 1_000_000)
    cached = price("cacheReadsPrice") * (reads / 1_000_000) if reads > 0 else 0
    return paid + made + cached
