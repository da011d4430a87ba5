"""The reference's Bedrock handler: Converse and ConverseStream.

What it does wrong on valid input is not copied: there, a message with a tool call dies before it is sent, because the call's input goes out as
text where Bedrock takes an object; a tool result that is a text loses it, and a picture in one comes out empty. Here an
object, the text and the picture are sent. A stream that ends before ``messageStop`` (or the ``metadata`` behind it) is an error.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from tercet.adapters.auth.sigv4 import path_segment
from tercet.codecs.framing.eventstream import EventStreamDecoder, EventStreamMessage
from tercet.codecs.vocabulary import BadRequestError, ProtocolError, StreamInterruptedError, TercetError

from .actions import Chunk, Conversation, Emit, Read, Reply
from .bedrock_cache import cache_point, message_points, system_tokens
from .bedrock_client import BedrockClient
from .bedrock_errors import described, stream_failure
from .bedrock_models import bedrock_model, parse_arn, takes_long_context
from .errors import interrupted, reworded
from .family import Family, Setup
from .http import read_result
from .messages import Message
from .values import get, is_true, items_of, parse_json, present, stringify

__all__ = ["BedrockFamily", "to_bedrock"]

_IMAGES = ("png", "jpeg", "gif", "webp")
_LONG_CONTEXT = "context-1m-2025-08-07"
_THINKING_TOKENS = 4096


class BedrockFamily(Family):
    """``create_message``, ``complete_prompt`` and ``get_model`` of the reference's ``AwsBedrockHandler``."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        arn_text = self.options.get("awsCustomArn")
        arn = parse_arn(arn_text) if arn_text else None
        region = arn.region if arn else self.options.get("awsRegion") or self.env.get("AWS_REGION")
        self._model = bedrock_model(self.options, arn, region)
        self._client = BedrockClient(self.options, self.env, region)
        self._points: dict[str, list[int]] = {}  # conversation -> where its cache points were last

    def get_model(self) -> dict[str, Any]:
        """``{id, info, ...params}``."""
        return self._model

    def create_message(
        self, system: str, messages: Sequence[Message], metadata: Mapping[str, Any] | None = None
    ) -> Conversation[None]:
        """Text, reasoning and usage chunks. What fails is told in a text chunk too, before it is raised, but for throttling."""
        body = self._body(system, messages, metadata or {})
        try:
            yield from self._post("converse-stream", body)
            yield from _Stream().run()
        except StreamInterruptedError:
            raise
        except TercetError as error:
            is_throttling, text = described(error)
            if is_throttling:
                raise
            yield Emit({"type": "text", "text": f"Error: {text}"})
            yield Emit({"type": "usage", "inputTokens": 0, "outputTokens": 0})
            raise reworded(error, text) from error

    def complete_prompt(self, prompt: str) -> Conversation[str]:
        """The text of the answer's first block; empty when that is not a text."""
        body = {
            "inferenceConfig": self._inference(),
            "messages": [{"content": [{"text": prompt}], "role": "user"}],
        }
        try:
            reply = yield from self._post("converse", body)
            answer = yield from read_result(reply)
        except TercetError as error:
            _, text = described(error)
            raise reworded(error, f"Bedrock completion error: {text}") from error
        text = get(answer, "output", "message", "content", 0, "text")
        return text if isinstance(text, str) and text.strip() else ""

    def _post(self, verb: str, body: Mapping[str, Any]) -> Conversation[Reply]:
        path = f"/model/{path_segment(self._model['id'])}/{verb}"
        return (yield from self._client.post(path, stringify(body).encode()))

    def _inference(self) -> dict[str, Any]:
        most = self._model.get("maxTokens") or self._model["info"]["maxTokens"]
        return {"maxTokens": most, "temperature": self._model["temperature"]}

    def _body(self, system: str, messages: Sequence[Message], metadata: Mapping[str, Any]) -> dict[str, Any]:
        """The request, its keys in the SDK's order, which is the alphabet's."""
        system_blocks, converted = self._cached(system, messages)
        return present(
            additionalModelRequestFields=self._extra_fields(metadata) or None,
            inferenceConfig=self._inference(),
            messages=converted,
            system=system_blocks,
        )

    def _extra_fields(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        budget = self._model.get("reasoningBudget")  # there where the settings ask for thinking
        wanted = budget or is_true(get(metadata, "thinking", "enabled"))
        if wanted and is_true(self._model["info"].get("supportsReasoningBudget")):
            budget = get(metadata, "thinking", "maxTokens") or budget or _THINKING_TOKENS
            fields["thinking"] = {"type": "enabled", "budget_tokens": budget}
        if takes_long_context(self._model["id"], self.options):
            fields["anthropic_beta"] = [_LONG_CONTEXT]
        return fields

    def _cached(
        self, system: str, messages: Sequence[Message]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The system blocks and the messages, with their cache points where these are wanted and can be."""
        blocks: list[dict[str, Any]] = [{"text": system}] if system else []
        converted = [to_bedrock(message) for message in messages]
        info = self._model["info"]
        fields = items_of(info.get("cachableFields"))
        is_on = is_true(self.options.get("awsUsePromptCache")) and is_true(info.get("supportsPromptCache"))
        if not is_on or not fields or not messages:
            return blocks, converted
        free: int = info["maxCachePoints"]
        minimum: int = info["minTokensPerCachePoint"]
        if system and "system" in fields and system_tokens(system) >= minimum:
            blocks.append(cache_point())
            free -= 1
        if "messages" in fields:
            name = _conversation_name(messages[0])
            points = message_points(messages, self._points.get(name, ()), free, minimum)
            self._points[name] = points
            for place in points:
                converted[place]["content"].append(cache_point())
        return blocks, converted


def to_bedrock(message: Message) -> dict[str, Any]:
    """A message of Converse. Raises ``BadRequestError`` for a picture in a format that it does not take."""
    content: Any = message["content"]
    if isinstance(content, str):
        return {"content": [{"text": content}], "role": message["role"]}
    blocks = cast("Sequence[Mapping[str, Any]]", content)
    return {"content": [_block(block) for block in blocks], "role": message["role"]}


def _block(block: Mapping[str, Any]) -> dict[str, Any]:
    match block["type"]:
        case "text":
            return {"text": block.get("text") or ""}
        case "image":
            return _image(block["source"])
        case "tool_use":
            use: dict[str, Any] = {
                "input": block.get("input") or {},
                "name": block["name"],
                "toolUseId": block["id"],
            }
            return {"toolUse": use}
        case "tool_result":
            said: Any = block.get("content")
            items: list[Any] = [{"type": "text", "text": said}] if isinstance(said, str) else items_of(said)
            result = [
                _image(item["source"]) if item["type"] == "image" else {"text": item.get("text") or ""}
                for item in items
            ]
            return {
                "toolResult": {
                    "content": result or [{"text": ""}],
                    "status": "success",
                    "toolUseId": block["tool_use_id"],
                }
            }
        case _:
            return {"text": "[Unknown Block Type]"}


def _image(source: Mapping[str, Any]) -> dict[str, Any]:
    form = source["media_type"].partition("/")[2]
    if form not in _IMAGES:
        raise BadRequestError(f"Unsupported image format: {form}")
    return {"image": {"format": form, "source": {"bytes": source["data"]}}}


def _conversation_name(first: Message) -> str:
    content = first["content"]
    return f"{first['role']}_{content[:20] if isinstance(content, str) else 'complex_content'}"


class _Stream:
    """The events of one answer."""

    def __init__(self) -> None:
        self._is_finished = False
        self._held = (
            bytearray()
        )  # what has come of messages that are not whole yet, for the text of a wrong checksum

    def run(self) -> Conversation[None]:
        decoder = EventStreamDecoder()
        while data := (yield Read()):
            self._held += data
            try:
                for message in decoder.feed(data):
                    del self._held[: int.from_bytes(self._held[:4], "big")]
                    for chunk in self._chunks(message):
                        yield Emit(chunk)
            except ProtocolError as error:
                raise reworded(error, _checksum_text(self._held) or error.message) from error
        if not self._is_finished:
            raise interrupted("messageStop")

    def _chunks(self, message: EventStreamMessage) -> list[Chunk]:
        if message.message_type in ("exception", "error"):
            raise stream_failure(message.name, message.payload)
        try:
            event = parse_json(message.payload)
        except ValueError as error:
            raise ProtocolError(f"an event of the stream is not JSON: {error}") from None
        match message.name:
            case "contentBlockStart":
                return _started(event)
            case "contentBlockDelta":
                return _continued(get(event, "delta"))
            case "messageStop":
                self._is_finished = True
                return []
            case "metadata":
                self._is_finished = True
                return _usage(get(event, "usage"))
            case _:
                return []


def _started(event: Any) -> list[Chunk]:
    block = get(event, "contentBlock") or get(event, "content_block")
    text = get(event, "start", "text")
    if block is None:
        return [{"type": "text", "text": text}] if text else []
    gap: list[Chunk] = [{"type": "reasoning", "text": "\n"}] if get(event, "contentBlockIndex") else []
    if get(block, "reasoningContent"):
        said = get(block, "reasoningContent", "text") or ""
        return [*gap, {"type": "reasoning", "text": said}]
    if get(block, "type") == "thinking":
        said = get(block, "thinking")
        return [*gap, *([{"type": "reasoning", "text": said}] if said else [])]
    return []


def _continued(delta: Any) -> list[Chunk]:
    thought = get(delta, "reasoningContent", "text")
    if thought:
        return [{"type": "reasoning", "text": thought}]
    text = get(delta, "text")
    return [{"type": "text", "text": text}] if text else []


def _usage(usage: Any) -> list[Chunk]:
    if usage is None:
        return []

    def cached(side: str) -> int:
        return get(usage, f"{side}InputTokens") or get(usage, f"{side}InputTokenCount") or 0

    return [
        {
            "type": "usage",
            "inputTokens": get(usage, "inputTokens") or 0,
            "outputTokens": get(usage, "outputTokens") or 0,
            "cacheReadTokens": cached("cacheRead"),
            "cacheWriteTokens": cached("cacheWrite"),
        }
    ]


def _checksum_text(frame: bytearray) -> str | None:
    """The SDK's words where a message's checksum is wrong; None where something else is."""
    size = int.from_bytes(frame[:4], "big")
    if not 16 <= size <= len(frame) or zlib.crc32(frame[:8]) != int.from_bytes(frame[8:12], "big"):
        return None
    said = int.from_bytes(frame[size - 4 : size], "big")
    counted = zlib.crc32(frame[: size - 4])
    if said == counted:
        return None
    return f"The message checksum ({counted}) did not match the expected value of {said}"
