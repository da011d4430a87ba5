"""A body of the Converse API to a :class:`ChatRequest`: the mirror of ``wire.bedrock_converse_body``.

Nothing is lost on the way: blocks that the vocabulary has no part for become opaque parts, fields it has no name for and tools that are
no functions (the provider's own) go into ``extra``, with which the wire writes the same body again.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from ..vocabulary import (
    BadRequestError,
    ChatRequest,
    File,
    Image,
    Message,
    Opaque,
    Part,
    ProtocolError,
    Reasoning,
    ReasoningOptions,
    ResponseFormat,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from ..wire.bedrock_converse_body import Dialect, media_formats
from ..wire.bedrock_models import family_of
from ..wire.shared import as_object
from ..wire.surrogates import decode_lenient

__all__ = ["message_parts", "read_request", "reasoning_of_thinking"]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What has a member that no part of ours has is not read as that part."""


class _S3(_Strict, frozen=True):
    uri: str


class _Source(_Strict, frozen=True):
    bytes: str | None = None
    s3_location: _S3 | None = None


class _Media(_Strict, frozen=True):
    format: str
    source: _Source
    name: str | None = None


class _Call(_Strict, frozen=True):
    tool_use_id: str
    name: str
    input: msgspec.Raw


class _Result(_Strict, frozen=True):
    tool_use_id: str
    content: Sequence[msgspec.Raw]
    status: str = "success"


class _SourceText(_Strict, frozen=True):
    text: str


class _CitedText(_Strict, frozen=True):
    content: Sequence[_SourceText]
    citations: msgspec.Raw


class _ReasoningText(_Strict, frozen=True):
    text: str
    signature: str | None = None


class _Reasoning(_Strict, frozen=True):
    reasoning_text: _ReasoningText | None = None
    redacted_content: str | None = None


class _CachePoint(_Strict, frozen=True):
    type: str
    ttl: str | None = None


class _Schema(_Strict, frozen=True):
    json: Mapping[str, Any]


class _Tool(_Strict, frozen=True):
    name: str
    input_schema: _Schema
    description: str = ""
    strict: bool | None = None


class _Inference(msgspec.Struct, frozen=True, rename="camel"):
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: Sequence[str] | None = None


class _ToolConfig(msgspec.Struct, frozen=True, rename="camel"):
    tools: Sequence[dict[str, msgspec.Raw]] = ()
    tool_choice: Mapping[str, Mapping[str, Any]] | None = None


class _Tier(msgspec.Struct, frozen=True):
    type: str


class _Turn(msgspec.Struct, frozen=True):
    role: str
    content: Sequence[msgspec.Raw]


class _Body(msgspec.Struct, frozen=True, rename="camel"):
    messages: Sequence[msgspec.Raw]
    system: Sequence[msgspec.Raw] = ()
    inference_config: _Inference = _Inference()
    tool_config: _ToolConfig | None = None
    additional_model_request_fields: Mapping[str, Any] | None = None
    output_config: Mapping[str, Any] | None = None
    service_tier: _Tier | None = None


_KNOWN = (
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "additionalModelRequestFields",
    "outputConfig",
    "serviceTier",
)
_THINKING = ("type", "budget_tokens", "display")
_INFERENCE = ("maxTokens", "temperature", "topP", "stopSequences")

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BODY = msgspec.json.Decoder(_Body)
_TURN = msgspec.json.Decoder(_Turn)
_TEXT = msgspec.json.Decoder(str)
_MEDIA = msgspec.json.Decoder(_Media)
_CALL = msgspec.json.Decoder(_Call)
_RESULT = msgspec.json.Decoder(_Result)
_CITED = msgspec.json.Decoder(_CitedText)
_REASONING = msgspec.json.Decoder(_Reasoning)
_CACHE_POINT = msgspec.json.Decoder(_CachePoint)
_TOOL = msgspec.json.Decoder(_Tool)
_ANY = msgspec.json.Decoder()
_MEDIA_TYPES = {place: media_type for media_type, place in reversed(list(media_formats().items()))}


def read_request(body: bytes, dialect: Dialect, model: str) -> ChatRequest:
    """The request in ``body`` for the path's ``model``. Raises :class:`BadRequestError` with a sentence that says what is wrong."""
    try:
        given = decode_lenient(_BODY, body)
        members = decode_lenient(_MEMBERS, body)
        return _request(given, members, dialect, model)
    except ProtocolError as error:
        raise BadRequestError(error.message) from error


def _request(given: _Body, members: Mapping[str, msgspec.Raw], dialect: Dialect, model: str) -> ChatRequest:
    extra = {name: _value(raw) for name, raw in members.items() if name not in _KNOWN}
    turns = [_turn(raw, dialect) for raw in given.messages]
    if given.system:
        turns.insert(0, Message("system", message_parts(given.system, "system", dialect)))
    inference = as_object(_value(members.get("inferenceConfig", msgspec.Raw(b"{}"))))
    more_inference = {name: value for name, value in inference.items() if name not in _INFERENCE}
    if more_inference:
        extra["inferenceConfig"] = more_inference
    tools, choice = _tools(given.tool_config)
    if tools is None:
        extra["toolConfig"] = _value(members["toolConfig"])
    fields = dict(given.additional_model_request_fields or {})
    family = family_of(model) or dialect.family
    top_k = _top_k(fields, family)
    config = dict(given.output_config or {})
    form = _format(config.pop("textFormat", None))
    reasoning = _reasoning(fields, config, family)
    if dialect.betas and fields.get("anthropic_beta") == list(dialect.betas):
        del fields["anthropic_beta"]
    if fields:
        extra["additionalModelRequestFields"] = fields
    if config:
        extra["outputConfig"] = config
    return ChatRequest(
        model,
        turns,
        max_tokens=given.inference_config.max_tokens,
        temperature=given.inference_config.temperature,
        top_p=given.inference_config.top_p,
        top_k=top_k,
        stop=given.inference_config.stop_sequences,
        tools=tools or (),
        tool_choice=choice,
        response_format=form,
        reasoning=reasoning,
        service_tier=None if given.service_tier is None else given.service_tier.type,
        extra=extra or None,
    )


def _value(raw: msgspec.Raw) -> Any:
    return decode_lenient(_ANY, bytes(raw))


# Options ----------------------------------------------------------------------------------------------------------------


def _tools(config: _ToolConfig | None) -> tuple[tuple[Tool, ...] | None, ToolChoice | None]:
    """The functions and the choice; None for the tools where one of them is no function, or the choice cannot be said."""
    if config is None:
        return (), None
    tools: list[Tool] = []
    for entry in config.tools:
        if "toolSpec" in entry:
            tool = decode_lenient(_TOOL, bytes(entry["toolSpec"]))
            tools.append(Tool(tool.name, tool.description, tool.input_schema.json, tool.strict))
        elif "cachePoint" in entry and tools:
            tools[-1] = msgspec.structs.replace(tools[-1], cache=True)
        else:
            return None, None
    for word, value in (config.tool_choice or {}).items():
        name = value.get("name")
        if word == "any":
            return tuple(tools), ToolChoice("required")
        if word == "tool" and any(tool.name == name for tool in tools):
            return tuple(tools), ToolChoice("tool", name)
        if word != "auto":
            return None, None
        return tuple(tools), ToolChoice()
    return tuple(tools), None


def _top_k(fields: dict[str, Any], family: str | None) -> int | None:
    """Take ``top_k`` out of where its family has it."""
    if family == "nova":
        inner = dict(as_object(fields.get("inferenceConfig")))
        value = inner.pop("topK", None)
        if isinstance(value, int):
            fields.pop("inferenceConfig")
            if inner:
                fields["inferenceConfig"] = inner
            return value
        return None
    name = {"claude": "top_k", "mistral": "top_k", "cohere": "k"}.get(family or "", "")
    value = fields.get(name)
    return fields.pop(name) if isinstance(value, int) else None


def _format(form: Any) -> ResponseFormat | None:
    if form is None:
        return None
    inner = as_object(as_object(as_object(form).get("structure")).get("jsonSchema"))
    text, name = inner.get("schema"), inner.get("name", "answer")
    schema = as_object(decode_lenient(_ANY, text.encode("utf-8", "replace"))) if isinstance(text, str) else {}
    if not schema or not isinstance(name, str):
        raise BadRequestError(f"outputConfig.textFormat takes a JSON schema; got {form!r:.200}")
    return ResponseFormat("json_schema", schema, name)


def _reasoning(fields: dict[str, Any], config: dict[str, Any], family: str | None) -> ReasoningOptions | None:
    """Take out of both what tells the model how to think."""
    effort = config.pop("effort", None)
    effort = effort if isinstance(effort, str) else None
    if family == "claude":
        thinking = as_object(fields.get("thinking"))
        if thinking.get("type") in ("enabled", "adaptive", "disabled") and not set(thinking) - set(_THINKING):
            return reasoning_of_thinking(fields.pop("thinking"), effort)
    elif family == "nova" and "reasoningConfig" in fields:
        said = as_object(fields.pop("reasoningConfig"))
        word = said.get("maxReasoningEffort")
        return ReasoningOptions(
            word if isinstance(word, str) else None, enabled=said.get("type") != "disabled"
        )
    elif family == "openai" and isinstance(fields.get("reasoning_effort"), str):
        effort = fields.pop("reasoning_effort")
    return None if effort is None else ReasoningOptions(effort=effort)


def reasoning_of_thinking(thinking: Mapping[str, Any], effort: str | None) -> ReasoningOptions:
    """Claude's ``thinking`` object."""
    if thinking.get("type") == "disabled":
        return ReasoningOptions(effort=effort, enabled=False)
    budget, display = thinking.get("budget_tokens"), thinking.get("display")
    return ReasoningOptions(
        effort=effort,
        budget_tokens=budget if isinstance(budget, int) else None,
        enabled=True,
        summary="auto" if display == "summarized" else display if isinstance(display, str) else None,
    )


# Messages ---------------------------------------------------------------------------------------------------------------


def _turn(raw: msgspec.Raw, dialect: Dialect) -> Message:
    turn = decode_lenient(_TURN, bytes(raw))
    if turn.role not in ("user", "assistant", "system"):
        raise BadRequestError(f"messages: a role is user or assistant; got {turn.role!r}")
    role = cast("Role", turn.role)
    members = decode_lenient(_MEMBERS, bytes(raw))
    extra = {name: _value(value) for name, value in members.items() if name not in ("role", "content")}
    return Message(role, message_parts(turn.content, role, dialect), extra=extra or None)


def message_parts(blocks: Sequence[msgspec.Raw], role: str, dialect: Dialect) -> list[Part]:
    """The parts of a message's blocks; an opaque one for whatever has members that no part of ours has."""
    parts: list[Part] = []
    for raw in blocks:
        data = bytes(raw)
        members = decode_lenient(_MEMBERS, data)
        if len(members) != 1:
            raise BadRequestError(f"a content block has exactly one member; got {sorted(members)}")
        ((kind, value),) = members.items()
        if kind == "cachePoint" and _mark(parts, bytes(value), dialect):
            continue
        try:
            part = _known_part(kind, role, bytes(value), dialect)
        except ProtocolError:
            part = None
        parts.append(Opaque(dialect.origin, kind, data.decode("utf-8", "replace")) if part is None else part)
    return parts


def _mark(parts: list[Part], data: bytes, dialect: Dialect) -> bool:
    """Mark the last part for the cache, if that says the same as this ``cachePoint``."""
    try:
        point = decode_lenient(_CACHE_POINT, data)
    except ProtocolError:
        return False
    last = parts[-1] if parts else None
    if point.ttl != dialect.cache_ttl or not isinstance(last, Text | Image | File | ToolResult) or last.cache:
        return False
    parts[-1] = msgspec.structs.replace(last, cache=True)
    return True


def _known_part(kind: str, role: str, data: bytes, dialect: Dialect) -> Part | None:
    match kind, role:
        case "text", _:
            return Text(decode_lenient(_TEXT, data))
        case "citationsContent", _:
            cited = decode_lenient(_CITED, data)
            text, citations = "".join(piece.text for piece in cited.content), bytes(cited.citations)
            return Text(text, signature=citations.decode("utf-8", "replace"), origin=dialect.origin)
        case "image", "user" | "assistant":
            return _image(decode_lenient(_MEDIA, data))
        case "document" | "video" | "audio", "user" | "assistant":
            return _file(kind, decode_lenient(_MEDIA, data))
        case "toolResult", "user":
            return _result(data, dialect)
        case "toolUse", "assistant":
            call = decode_lenient(_CALL, data)
            return ToolCall(call.tool_use_id, call.name, bytes(call.input).decode("utf-8", "replace"))
        case "reasoningContent", "assistant":
            return _reasoning_part(decode_lenient(_REASONING, data), dialect)
        case _:
            return None


def _reasoning_part(block: _Reasoning, dialect: Dialect) -> Reasoning | None:
    if block.redacted_content is not None:
        return Reasoning(encrypted=block.redacted_content, origin=dialect.origin)
    if block.reasoning_text is None:
        return None
    return Reasoning(block.reasoning_text.text, block.reasoning_text.signature, origin=dialect.origin)


def _image(block: _Media) -> Image | None:
    media_type = _MEDIA_TYPES.get(("image", block.format))
    if block.source.s3_location is not None:
        return Image(url=block.source.s3_location.uri) if _is_named_so(block) else None
    if media_type is None or block.source.bytes is None:
        return None
    return Image(data=_bytes(block.source.bytes), media_type=media_type)


def _file(kind: str, block: _Media) -> File | None:
    media_type = _MEDIA_TYPES.get((kind, block.format))
    if block.source.s3_location is not None:
        return File(url=block.source.s3_location.uri, name=block.name) if _is_named_so(block) else None
    if media_type is None or block.source.bytes is None:
        return None
    return File(data=_bytes(block.source.bytes), media_type=media_type, name=block.name)


def _is_named_so(block: _Media) -> bool:
    """Whether the address in S3 says the format, as the wire will read it there."""
    location = block.source.s3_location
    return location is not None and location.uri.lower().endswith(f".{block.format}")


def _bytes(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:  # a ValueError for letters that are not ASCII
        raise BadRequestError(f"source.bytes is not base64: {error}") from error
    return data


def _result(data: bytes, dialect: Dialect) -> ToolResult | None:
    block = decode_lenient(_RESULT, data)
    content: list[Text | Image] = []
    for part in message_parts(block.content, "user", dialect):
        if not isinstance(part, Text | Image):
            return None
        content.append(part)
    said: str | list[Text | Image] = content
    if not content:
        said = ""
    elif len(content) == 1 and isinstance(first := content[0], Text) and first == Text(first.text):
        said = first.text
    return ToolResult(block.tool_use_id, said, block.status == "error")
