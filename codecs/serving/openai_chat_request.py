"""A body of ``POST /chat/completions``, as a server reads it: the mirror image of ``wire.openai_chat_body``.

The spellings of all dialects are understood (``max_tokens`` and ``max_completion_tokens``; ``reasoning_effort``, ``reasoning``,
``thinking``, ``enable_thinking``). Fields nobody here knows go into ``extra``, parts nobody knows become :class:`Opaque`.
"""

from __future__ import annotations

import base64
import binascii
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
from ..wire.shared import as_list, as_object, split_data_url

__all__ = ["read_request"]

_OPAQUE_FIELDS = ("reasoning_details", "thinking_blocks", "images")
_MESSAGE_FIELDS = {
    "role",
    "content",
    "name",
    "tool_calls",
    "tool_call_id",
    "reasoning_content",
    "reasoning",
    *_OPAQUE_FIELDS,
}


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    arguments: str = ""


class _Tool(msgspec.Struct):
    function: _Function
    cache_control: Any = None


class _Call(msgspec.Struct):
    id: str
    function: _Function
    extra_content: Any = None


class _Schema(msgspec.Struct):
    schema: dict[str, Any] | None = None
    name: str = "answer"
    strict: bool | None = None


class _Format(msgspec.Struct):
    type: str
    json_schema: _Schema | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None
    max_tokens: int | None = None
    enabled: bool | None = None
    summary: str | None = None


class _Thinking(msgspec.Struct):
    type: str | None = None
    budget_tokens: int | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Body(msgspec.Struct):
    model: str
    messages: list[dict[str, Any]]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: _Format | None = None
    reasoning_effort: str | None = None
    reasoning: _Reasoning | None = None
    thinking: _Thinking | None = None
    enable_thinking: bool | None = None
    thinking_budget: int | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    user: str | None = None
    stream: bool = False
    stream_options: Any = None


def read_request(body: bytes, origin: str) -> tuple[ChatRequest, bool]:
    """The request and whether its answer is to be streamed. Raises :class:`BadRequestError` (status 400) with what is wrong where."""
    try:
        payload = as_object(msgspec.json.decode(body))
        asked = msgspec.convert(payload, _Body)
        request = _request(asked, payload, origin)
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, or other types
        raise BadRequestError(
            f"the body is not a chat request: {error}", status=400, code="invalid_request_error"
        ) from error
    except BadRequestError as error:
        error.at(status=400, code="invalid_request_error")
        raise
    return request, asked.stream


def _request(asked: _Body, payload: dict[str, Any], origin: str) -> ChatRequest:
    extra = {name: value for name, value in payload.items() if name not in _Body.__struct_fields__}
    return ChatRequest(
        asked.model,
        [_message(message, origin) for message in asked.messages],
        max_tokens=asked.max_tokens if asked.max_completion_tokens is None else asked.max_completion_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        stop=(asked.stop,) if isinstance(asked.stop, str) else asked.stop,
        seed=asked.seed,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        tools=tuple(_tool(tool) for tool in asked.tools or ()),
        tool_choice=_tool_choice(asked.tool_choice),
        parallel_tool_calls=asked.parallel_tool_calls,
        response_format=_format(asked.response_format),
        reasoning=_reasoning(asked),
        verbosity=asked.verbosity,
        service_tier=asked.service_tier,
        user=asked.user,
        extra=extra or None,
    )


def _tool(tool: _Tool) -> Tool:
    function = tool.function
    cache = tool.cache_control is not None
    if function.parameters is None:
        return Tool(function.name, function.description or "", strict=function.strict, cache=cache)
    return Tool(function.name, function.description or "", function.parameters, function.strict, cache)


def _tool_choice(choice: str | dict[str, Any] | None) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, dict):
        return ToolChoice("tool", msgspec.convert(choice.get("function"), _Function).name)
    return msgspec.convert({"mode": "required" if choice == "any" else choice}, ToolChoice)


def _format(form: _Format | None) -> ResponseFormat | None:
    if form is None:
        return None
    schema = form.json_schema or _Schema()
    said = {"type": form.type, "schema": schema.schema, "name": schema.name, "strict": schema.strict}
    return msgspec.convert(said, ResponseFormat)


def _reasoning(asked: _Body) -> ReasoningOptions | None:
    if asked.reasoning is not None:
        said = asked.reasoning
        return ReasoningOptions(said.effort, said.max_tokens, said.enabled, said.summary)
    if asked.thinking is not None:
        return ReasoningOptions(
            asked.reasoning_effort, asked.thinking.budget_tokens, asked.thinking.type != "disabled"
        )
    if asked.enable_thinking is not None:
        return ReasoningOptions(asked.reasoning_effort, asked.thinking_budget, asked.enable_thinking)
    return None if asked.reasoning_effort is None else ReasoningOptions(asked.reasoning_effort)


def _message(payload: dict[str, Any], origin: str) -> Message:
    said = msgspec.convert(payload, _Message)
    extra = {name: value for name, value in payload.items() if name not in _MESSAGE_FIELDS} or None
    content: str | list[Part] = (
        said.content
        if isinstance(said.content, str)
        else [_part(part, origin) for part in said.content or ()]
    )
    if said.role == "tool":
        if said.tool_call_id is None:
            raise BadRequestError("a message of role 'tool' needs tool_call_id")
        held = (
            content
            if isinstance(content, str)
            else [part for part in content if isinstance(part, Text | Image)]
        )
        content = [ToolResult(said.tool_call_id, held, name=said.name)]
        return Message("tool", content, extra=extra)
    if said.role == "assistant":
        content = _answer(said, payload, content, origin)
    return Message(cast(Role, said.role), content, said.name, extra)  # Message checks the role itself


def _answer(
    said: _Message, payload: dict[str, Any], content: str | list[Part], origin: str
) -> str | list[Part]:
    """An assistant's content with its reasoning before it, its calls and opaque fields behind it; a plain text stays a string."""
    thought = said.reasoning_content or said.reasoning
    calls: list[Part] = [
        ToolCall(
            call.id,
            call.function.name,
            call.function.arguments,
            None if call.extra_content is None else msgspec.json.encode(call.extra_content).decode(),
            None if call.extra_content is None else origin,
        )
        for call in said.tool_calls or ()
    ]
    opaque: list[Part] = [
        Opaque(origin, field, msgspec.json.encode(payload[field]).decode())
        for field in _OPAQUE_FIELDS
        if payload.get(field)
    ]
    if isinstance(content, str) and not (thought or calls or opaque):
        return content
    texts: list[Part] = ([Text(content)] if content else []) if isinstance(content, str) else content
    return [*([Reasoning(thought)] if thought else []), *texts, *calls, *opaque]


def _part(part: dict[str, Any], origin: str) -> Part:
    cache = part.get("cache_control") is not None
    match part:
        case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
            return Text(text, cache=cache)
        case {"type": "image_url", "image_url": {"url": str(url), **more}}:
            detail = more.get("detail")
            return _image(url, detail if isinstance(detail, str) else None, cache)
        case {"type": "image_url", "image_url": str(url)}:
            return _image(url, None, cache)
        case {"type": "file", "file": {"file_id": str(file_id)}}:
            return File(file_id=file_id, cache=cache)
        case {"type": "file", "file": {"file_data": str(url), **more}}:
            name = more.get("filename")
            return _file(url, name if isinstance(name, str) else None, cache)
        case {"type": "file_url", "file_url": {"url": str(url)}} | {
            "type": "document_url",
            "document_url": str(url),
        }:
            return _file(url, None, cache)
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(form)}}:
            return File(data=_base64(data), media_type=f"audio/{form}", cache=cache)
        case {"type": "thinking"}:
            texts = [as_object(piece).get("text") for piece in as_list(part.get("thinking"))]
            signature = part.get("signature")
            signed = isinstance(signature, str)
            return Reasoning(
                "".join(text for text in texts if isinstance(text, str)),
                signature if signed else None,
                origin=origin if signed else None,
            )
        case {"type": str(kind)}:
            return Opaque(origin, kind, msgspec.json.encode(part).decode())
        case _:
            raise BadRequestError("a part of a message's content has no type")


def _image(url: str, detail: str | None, cache: bool) -> Image:
    inline = split_data_url(url)
    if inline is None:
        return Image(url, detail=detail, cache=cache)
    return Image(data=inline[1], media_type=inline[0], detail=detail, cache=cache)


def _file(url: str, name: str | None, cache: bool) -> File:
    inline = split_data_url(url)
    if inline is None:
        return File(url, name=name, cache=cache)
    return File(data=inline[1], media_type=inline[0], name=name, cache=cache)


def _base64(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise BadRequestError(f"input_audio.data is not base64: {error}") from error
