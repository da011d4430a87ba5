"""The events of one streamed answer of the Responses API as the reference's chunks, and its usage with the price of the tier it got."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tercet.codecs.framing.sse import SseDecoder
from tercet.codecs.vocabulary import ProtocolError, ProviderError

from .actions import Chunk, Conversation, Emit, Read, Reply
from .errors import event_failure, interrupted, reworded
from .params import cost_openai
from .values import get, is_true, items_of, parse_json, present

__all__ = ["ResponsesStream", "responses_usage"]

_TEXTS = ("response.text.delta", "response.output_text.delta")
_THOUGHTS = (
    "response.reasoning.delta",
    "response.reasoning_text.delta",
    "response.reasoning_summary.delta",
    "response.reasoning_summary_text.delta",
)
_ENDS = ("response.completed", "response.done")
_PRICES = ("inputPrice", "outputPrice", "cacheWritesPrice", "cacheReadsPrice")


class ResponsesStream:
    """One answer. ``tier`` is the service tier that was asked for; ``remember`` is told the answer's id as soon as it is known.

    Whole is what ended with ``response.completed``, ``.done`` or ``.incomplete``, a report of usage, or ``[DONE]``. The
    reference passes over an event that says the answer failed; here the failure is raised once the stream has ended.
    """

    def __init__(self, info: Mapping[str, Any], tier: str | None, remember: Callable[[str], None]) -> None:
        self._info = info
        self._tier = tier
        self._remember = remember
        self._failure: ProviderError | None = None
        self._is_whole = False
        self._is_done = False

    def run(self, reply: Reply) -> Conversation[None]:
        """Read to the end. Raises the answer's own failure, or ``StreamInterruptedError`` when it just stopped."""
        if reply.status in (204, 205):
            raise ProtocolError("Responses API error: No response body")
        decoder = SseDecoder()
        while not self._is_done:
            data: bytes = yield Read()
            for event in decoder.feed(data) if data else ():
                for chunk in self._event(bytes(event.data).decode("utf-8", "replace")):
                    yield Emit(chunk)
                if self._is_done:
                    break
            if not data:
                break
        if self._failure is not None:
            raise self._failure
        if not self._is_whole:
            raise interrupted("response.completed")

    def _event(self, data: str) -> list[Chunk]:
        if data.startswith("[DONE]"):
            self._is_done = self._is_whole = True
            return []
        try:
            event = parse_json(data)
        except ValueError as error:
            raise ProtocolError(f"an event of the stream is not JSON: {error}", body=data) from None
        kind = get(event, "type")
        if is_true(get(event, "error")):
            raise _failed(kind, get(event, "error"), data)
        response_id = get(event, "response", "id")
        if is_true(response_id) and isinstance(response_id, str):
            self._remember(response_id)
        self._tier = get(event, "response", "service_tier") or self._tier
        match kind:
            case "response.failed":
                self._failure = _failed(kind, get(event, "response", "error") or event, data)
            case "error" | "response.error":
                self._failure = _failed(kind, event, data)
            case "response.incomplete":
                self._is_whole = True
            case _:
                return self._content(kind, event)
        return []

    def _content(self, kind: Any, event: Any) -> list[Chunk]:
        delta = get(event, "delta")
        if kind in _TEXTS:
            return [{"type": "text", "text": delta}] if is_true(delta) else []
        if kind in _THOUGHTS:
            return [{"type": "reasoning", "text": delta}] if is_true(delta) else []
        if kind == "response.refusal.delta":
            return [{"type": "text", "text": f"[Refusal] {delta}"}] if is_true(delta) else []
        if kind == "response.output_item.added":
            return _item_chunks(get(event, "item"))
        usage = get(event, "usage")
        if kind in _ENDS:
            self._is_whole = True
            self._failure = None
            usage = get(event, "response", "usage") or usage
        if not is_true(usage):
            return []
        # A report of usage by itself is made when an answer is over; some servers end with nothing else.
        self._is_whole = True
        return [responses_usage(usage, self._info, self._tier)]


def responses_usage(usage: Any, info: Mapping[str, Any], tier: str | None) -> Chunk:
    """The usage chunk. Input counts cached tokens in; the cost, in US dollars, is by the tier's prices where the model has them."""
    details = _first(get(usage, "input_tokens_details"), get(usage, "prompt_tokens_details"))
    cached = _number(get(details, "cached_tokens"))
    missed = _number(get(details, "cache_miss_tokens"))
    input_ = _number(_first(get(usage, "input_tokens"), get(usage, "prompt_tokens")))
    if input_ == 0:
        input_ = cached + missed
    output = _number(_first(get(usage, "output_tokens"), get(usage, "completion_tokens")))
    writes = _number(_first(get(usage, "cache_creation_input_tokens"), get(usage, "cache_write_tokens")))
    reads = _number(
        _first(
            get(usage, "cache_read_input_tokens"),
            get(usage, "cache_read_tokens"),
            get(usage, "cached_tokens"),
            cached,
        )
    )
    thought = get(usage, "output_tokens_details", "reasoning_tokens")
    return {
        "type": "usage",
        "inputTokens": input_,
        "outputTokens": output,
        "cacheWriteTokens": writes,
        "cacheReadTokens": reads,
        **present(reasoningTokens=thought if isinstance(thought, (int, float)) else None),
        "totalCost": cost_openai(_priced(info, tier), input_, output, writes, reads),
    }


def _priced(info: Mapping[str, Any], tier: str | None) -> Mapping[str, Any]:
    """The model's facts with a tier's prices in place of the usual ones."""
    for offered in items_of(info.get("tiers")):
        if tier and get(offered, "name") == tier:
            return {**info, **{name: offered[name] for name in _PRICES if name in offered}}
    return info


def _item_chunks(item: Any) -> list[Chunk]:
    """What an item carries that comes with text in it already."""
    kind, text = get(item, "type"), get(item, "text")
    if kind in ("text", "reasoning"):
        return [{"type": kind, "text": text}] if is_true(text) else []
    if kind != "message":
        return []
    parts = [part for part in items_of(get(item, "content")) if get(part, "type") in ("text", "output_text")]
    return [{"type": "text", "text": part["text"]} for part in parts if is_true(get(part, "text"))]


def _failed(kind: Any, failure: Any, data: str) -> ProviderError:
    error = event_failure(failure, data)
    label = "Response failed" if kind == "response.failed" else "Responses API error"
    return reworded(error, f"{label}: {error.message}")


def _first(*values: Any) -> Any:
    """The first value that is there (``a ?? b ?? c``)."""
    return next((value for value in values if value is not None), None)


def _number(value: Any) -> float:
    return value if isinstance(value, (int, float)) else 0
