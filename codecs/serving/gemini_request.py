"""The body of ``generateContent`` to a ``ChatRequest``: what ``wire.gemini_body`` does, read backwards.

Fields that have no word of ours (``safetySettings``, ``cachedContent``, Google's own tools) become ``extra``, so a gateway can hand
them on. Calls and results without ids are paired as Google pairs them: by name, in order.
"""

from __future__ import annotations

import base64
from typing import Any, cast

import msgspec

from ..vocabulary import (
    ChatRequest,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    ReasoningOptions,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from ..wire.gemini_events import ORIGIN, made_up_id

__all__ = ["read_request"]


class _Blob(msgspec.Struct, rename="camel"):
    mime_type: str | None = None
    data: str = ""
    file_uri: str = ""


class _Call(msgspec.Struct):
    name: str
    id: str | None = None
    args: msgspec.Raw = msgspec.Raw(b"")


class _Result(msgspec.Struct):
    name: str
    response: msgspec.Raw
    id: str | None = None
    parts: list[msgspec.Raw] = msgspec.field(default_factory=list[msgspec.Raw])


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    inline_data: _Blob | None = None
    file_data: _Blob | None = None
    function_call: _Call | None = None
    function_response: _Result | None = None


class _Content(msgspec.Struct):
    role: str = "user"
    parts: list[msgspec.Raw] = msgspec.field(default_factory=list[msgspec.Raw])


class _Declaration(msgspec.Struct, rename="camel"):
    name: str
    description: str = ""
    parameters: dict[str, Any] | None = None
    parameters_json_schema: dict[str, Any] | None = None


class _Tool(msgspec.Struct, rename="camel"):
    function_declarations: list[_Declaration] | None = None


class _Calling(msgspec.Struct, rename="camel"):
    mode: str = "AUTO"
    allowed_function_names: list[str] = msgspec.field(default_factory=list[str])


class _ToolConfig(msgspec.Struct, rename="camel"):
    function_calling_config: _Calling | None = None


class _Thinking(msgspec.Struct, rename="camel"):
    thinking_level: str | None = None
    thinking_budget: int | None = None
    include_thoughts: bool = False


class _Config(msgspec.Struct, rename="camel"):
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_output_tokens: int | None = None
    stop_sequences: list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_mime_type: str | None = None
    response_json_schema: dict[str, Any] | None = None
    response_schema: dict[str, Any] | None = None
    thinking_config: _Thinking | None = None


class _Body(msgspec.Struct, rename="camel"):
    contents: list[_Content]
    system_instruction: _Content | None = None
    tools: list[_Tool] = msgspec.field(default_factory=list[_Tool])
    tool_config: _ToolConfig | None = None
    generation_config: _Config = msgspec.field(default_factory=_Config)
    service_tier: str | None = None


_BODY = msgspec.json.Decoder(_Body)
_PART = msgspec.json.Decoder(_Part)
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_KNOWN = {field.encode_name for field in msgspec.structs.fields(_Body)}
_KNOWN_CONFIG = {field.encode_name for field in msgspec.structs.fields(_Config)}


def read_request(body: bytes, model: str, request_key: str | None) -> ChatRequest:
    """The request in ``body``. ``model`` is the path's, empty where the envelope under ``request_key`` names it.

    Raises msgspec's decode errors, ``binascii.Error`` and ``UnicodeDecodeError`` for what is no such body, and
    :class:`BadRequestError` for values that no request may have.
    """
    fields = _FIELDS.decode(body)
    if request_key is not None:
        model = model or msgspec.json.decode(fields.get("model", msgspec.Raw(b'""')), type=str)
        body = bytes(fields.get(request_key, msgspec.Raw(b"{}")))
        fields = _FIELDS.decode(body)
    asked = _BODY.decode(body)
    tools, choice, extra = _tools(asked, fields)
    config = asked.generation_config
    unknown = {
        name: value
        for name, value in msgspec.json.decode(
            fields.get("generationConfig", msgspec.Raw(b"{}")), type=dict[str, Any]
        ).items()
        if name not in _KNOWN_CONFIG
    }
    if unknown:
        extra["generationConfig"] = unknown
    return ChatRequest(
        model,
        _messages(asked),
        max_tokens=config.max_output_tokens,
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=config.top_k,
        stop=config.stop_sequences,
        seed=config.seed,
        presence_penalty=config.presence_penalty,
        frequency_penalty=config.frequency_penalty,
        tools=tools,
        tool_choice=choice,
        response_format=_format(config),
        reasoning=_reasoning(config.thinking_config),
        service_tier=asked.service_tier,
        extra=extra or None,
    )


def _tools(
    asked: _Body, fields: dict[str, msgspec.Raw]
) -> tuple[list[Tool], ToolChoice | None, dict[str, Any]]:
    """Tools, the choice among them, and as ``extra`` what has no word of ours: other fields, Google's own tools."""
    extra = {name: msgspec.json.decode(value) for name, value in fields.items() if name not in _KNOWN}
    calling = asked.tool_config.function_calling_config if asked.tool_config else None
    declared = [one for tool in asked.tools for one in tool.function_declarations or ()]
    if any(tool.function_declarations is None for tool in asked.tools):
        extra["tools"] = msgspec.json.decode(fields["tools"])
    strict = True if calling is not None and calling.mode == "VALIDATED" else None
    tools = [
        Tool(
            one.name,
            one.description,
            one.parameters_json_schema or one.parameters or {"type": "object", "properties": {}},
            strict,
        )
        for one in declared
    ]
    if calling is None or strict:
        return tools, None, extra
    allowed = calling.allowed_function_names
    if calling.mode == "ANY" and len(allowed) == 1:
        return tools, ToolChoice("tool", allowed[0]), extra
    if calling.mode not in ("AUTO", "NONE", "ANY") or allowed:
        extra["toolConfig"] = msgspec.json.decode(fields["toolConfig"])
        return tools, None, extra
    return (
        tools,
        ToolChoice("auto" if calling.mode == "AUTO" else "none" if calling.mode == "NONE" else "required"),
        extra,
    )


def _format(config: _Config) -> ResponseFormat | None:
    schema = config.response_json_schema or config.response_schema
    if schema is not None:
        return ResponseFormat("json_schema", schema)
    return ResponseFormat("json_object") if config.response_mime_type == "application/json" else None


def _reasoning(thinking: _Thinking | None) -> ReasoningOptions | None:
    if thinking is None:
        return None
    summary = "auto" if thinking.include_thoughts else None
    return ReasoningOptions(thinking.thinking_level, thinking.thinking_budget, summary=summary)


def _messages(asked: _Body) -> list[Message]:
    messages: list[Message] = []
    if asked.system_instruction is not None:
        texts = [Text(_PART.decode(raw).text or "") for raw in asked.system_instruction.parts]
        messages.append(Message("system", texts))
    open_calls: list[ToolCall] = []  # not answered yet
    for content in asked.contents:
        is_model = content.role == "model"
        parts: list[Part] = []
        for raw in content.parts:
            part = _part(bytes(raw), sum(isinstance(one, ToolCall) for one in parts), open_calls)
            parts.append(part)
            if isinstance(part, ToolCall):
                open_calls.append(part)
        only_results = bool(parts) and all(isinstance(part, ToolResult) for part in parts)
        messages.append(Message("assistant" if is_model else "tool" if only_results else "user", parts))
    return messages


def _part(raw: bytes, call_number: int, open_calls: list[ToolCall]) -> Part:
    part = _PART.decode(raw)
    signature = part.thought_signature
    origin = ORIGIN if signature is not None else None
    if part.function_call is not None:
        call = part.function_call
        return ToolCall(
            call.id or made_up_id(call_number), call.name, bytes(call.args).decode(), signature, origin
        )
    if part.function_response is not None:
        return _result(part.function_response, open_calls)
    if part.inline_data is not None or part.file_data is not None:
        return _media(part.inline_data or part.file_data or _Blob())
    if part.text is None:
        kind = next(iter(cast("dict[str, Any]", msgspec.json.decode(raw))), "")
        return Opaque(ORIGIN, kind, raw.decode())
    if part.thought:
        return Reasoning(part.text, signature, origin=origin)
    return Text(part.text, signature=signature, origin=origin)


def _media(blob: _Blob) -> Image | File:
    kind: type[Image | File] = Image if (blob.mime_type or "").startswith("image/") else File
    if blob.file_uri:
        return kind(url=blob.file_uri, media_type=blob.mime_type)
    return kind(data=base64.b64decode(blob.data, validate=True), media_type=blob.mime_type)


def _result(result: _Result, open_calls: list[ToolCall]) -> ToolResult:
    """Without an id a result answers the first call of its name that has no answer yet."""
    call = next(
        (one for one in open_calls if (one.id == result.id if result.id else one.name == result.name)), None
    )
    if call is not None:
        open_calls.remove(call)
    call_id = result.id or (call.id if call is not None else "")
    raw = bytes(result.response)
    response = _FIELDS.decode(raw)
    is_error = list(response) == ["error"]
    content = _said(response["error"]) if is_error else raw.decode()
    if list(response) == ["result"]:
        content = _said(response["result"])
    media = [_media(blob) for piece in result.parts if (blob := _PART.decode(piece).inline_data) is not None]
    images = [one for one in media if isinstance(one, Image)]
    if images:
        return ToolResult(call_id, (*((Text(content),) if content else ()), *images), is_error, result.name)
    return ToolResult(call_id, content, is_error, result.name)


def _said(raw: msgspec.Raw) -> str:
    """A JSON string as its text, anything else as JSON."""
    value: Any = msgspec.json.decode(raw)
    return value if isinstance(value, str) else bytes(raw).decode()
