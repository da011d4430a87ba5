"""The body of Ollama's ``/api/chat`` to a ``ChatRequest``: what ``wire.ollama_body`` does, read backwards.

What has no word of ours (``keep_alive``, ``options.num_ctx``) becomes ``extra``, so a gateway can hand it on. Results without an id are
given to the calls before them as Ollama's templates read them: by the tool's name, in order.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from ..vocabulary import (
    BadRequestError,
    ChatRequest,
    Image,
    Message,
    Part,
    Reasoning,
    ReasoningOptions,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from ..wire.ollama_body import OPTIONS
from ..wire.ollama_events import made_up_id
from ..wire.shared import as_object

__all__ = ["read_request"]


class _Function(msgspec.Struct, frozen=True):
    name: str = ""
    description: str = ""
    parameters: dict[str, Any] | None = None
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


class _Call(msgspec.Struct, frozen=True):
    function: _Function
    id: str | None = None


class _Message(msgspec.Struct, frozen=True):
    role: str
    content: str = ""
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[_Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class _ToolShape(msgspec.Struct, frozen=True):
    function: _Function


class _Options(msgspec.Struct, frozen=True):
    """Those that have a word of ours."""

    num_predict: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] | str | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


class _Body(msgspec.Struct, frozen=True):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    tools: list[_ToolShape] | None = None
    format: Any = None
    think: bool | str | None = None
    options: _Options | None = None


_BODY = msgspec.json.Decoder(_Body)
_ANY = msgspec.json.Decoder()
_ROLES = ("system", "user", "assistant", "tool")
_SIGNATURES = ((b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))


def read_request(body: bytes) -> tuple[ChatRequest, bool]:
    """The request, and whether its answer is to be streamed (by default it is). Raises :class:`BadRequestError`."""
    try:
        asked = _BODY.decode(body)
        given: dict[str, Any] = as_object(_ANY.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(f"invalid request: {error}", status=400) from error
    options = as_object(given.get("options"))
    fields: dict[str, Any] = {}
    for field, name in OPTIONS.items():
        value: Any = getattr(asked.options, name, None)
        if value is not None and not (field == "max_tokens" and value < 1):  # num_predict -1: without an end
            fields[field] = value
            del options[name]
    extra = {name: value for name, value in given.items() if name not in _Body.__struct_fields__}
    if options:
        extra["options"] = options
    request = ChatRequest(
        asked.model,
        _messages(asked.messages),
        tools=tuple(_tool(tool.function) for tool in asked.tools or ()),
        response_format=_format(asked.format),
        reasoning=_reasoning(asked.think),
        extra=extra or None,
        **fields,
    )
    return request, asked.stream is not False


def _messages(shapes: list[_Message]) -> list[Message]:
    open_calls: list[ToolCall] = []
    count = 0
    messages: list[Message] = []
    for shape in shapes:
        if shape.role not in _ROLES:
            raise BadRequestError(f"invalid role {shape.role!r}", status=400)
        parts: list[Part] = []
        if shape.thinking:
            parts.append(Reasoning(shape.thinking))
        images = [_image(data) for data in shape.images or ()]
        if shape.role == "tool":
            answered = _answered(shape, open_calls)
            content: str | list[Text | Image] = [Text(shape.content), *images] if images else shape.content
            messages.append(Message("tool", (ToolResult(answered, content, name=shape.tool_name),)))
            continue
        if shape.content or not (shape.tool_calls or images):
            parts.append(Text(shape.content))
        parts += images
        for call in shape.tool_calls or ():
            made = ToolCall(
                call.id or made_up_id(count), call.function.name, bytes(call.function.arguments).decode()
            )
            count += 1
            open_calls.append(made)
            parts.append(made)
        is_plain = len(parts) == 1 and isinstance(parts[0], Text)
        role: Any = shape.role  # one of the four
        messages.append(Message(role, shape.content if is_plain else parts))
    return messages


def _answered(shape: _Message, open_calls: list[ToolCall]) -> str:
    """The id of the call that a result answers."""
    if shape.tool_call_id is not None:
        return shape.tool_call_id
    for call in open_calls:
        if shape.tool_name in (None, call.name):
            open_calls.remove(call)
            return call.id
    return ""


def _image(data: str) -> Image:
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequestError(f"an image is not base64: {error}", status=400) from error
    media_type = next((kind for start, kind in _SIGNATURES if raw.startswith(start)), "image/webp")
    return Image(data=raw, media_type=media_type)


def _tool(function: _Function) -> Tool:
    if function.parameters is None:
        return Tool(function.name, function.description)
    return Tool(function.name, function.description, function.parameters)


def _format(form: Any) -> ResponseFormat | None:
    if form in (None, ""):
        return None
    if form == "json":
        return ResponseFormat("json_object")
    if isinstance(form, dict):
        return ResponseFormat("json_schema", as_object(form))
    raise BadRequestError(f'invalid format {form!r}; expected "json" or a JSON schema', status=400)


def _reasoning(think: bool | str | None) -> ReasoningOptions | None:
    if think is None:
        return None
    return ReasoningOptions(enabled=think) if isinstance(think, bool) else ReasoningOptions(effort=think)
