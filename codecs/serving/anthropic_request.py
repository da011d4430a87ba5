"""A body of the Messages API to a :class:`ChatRequest`: the mirror of ``wire.anthropic_body``.

Nothing is lost on the way: blocks that the vocabulary has no part for become opaque parts, fields it has no name for and tools that are
no functions (the server's own: web search, code execution) go into ``extra``, with which the wire writes the same body again.
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
from ..wire.anthropic_body import Dialect
from ..wire.surrogates import decode_lenient

__all__ = ["read_request"]


class _Source(msgspec.Struct, frozen=True, gc=False):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None


class _TextBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    text: str
    citations: msgspec.Raw = msgspec.Raw(b"null")
    cache_control: Mapping[str, Any] | None = None


class _MediaBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    source: _Source
    title: str | None = None
    cache_control: Mapping[str, Any] | None = None


class _ResultBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    tool_use_id: str
    content: str | Sequence[msgspec.Raw] = ""
    is_error: bool = False
    cache_control: Mapping[str, Any] | None = None


class _ThinkingBlock(msgspec.Struct, frozen=True, gc=False):
    thinking: str
    signature: str


class _RedactedBlock(msgspec.Struct, frozen=True, gc=False):
    data: str


class _Call(msgspec.Struct, frozen=True):
    id: str
    name: str
    input: msgspec.Raw


class _Tool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    input_schema: Mapping[str, Any]
    description: str = ""
    type: str = "custom"
    strict: bool | None = None
    cache_control: Mapping[str, Any] | None = None


class _Choice(msgspec.Struct, frozen=True, gc=False):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool = False


class _Thinking(msgspec.Struct, frozen=True, gc=False):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class _Kind(msgspec.Struct, frozen=True, gc=False):
    type: str


class _Turn(msgspec.Struct, frozen=True):
    role: str
    content: str | Sequence[msgspec.Raw]


class _Body(msgspec.Struct, frozen=True):
    max_tokens: int
    messages: Sequence[msgspec.Raw]
    model: str = ""
    stream: bool = False
    system: str | Sequence[msgspec.Raw] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: Sequence[str] | None = None
    tools: Sequence[msgspec.Raw] = ()
    tool_choice: _Choice | None = None
    thinking: _Thinking | None = None
    output_config: Mapping[str, Any] | None = None
    service_tier: str | None = None
    metadata: Mapping[str, Any] | None = None


_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BODY = msgspec.json.Decoder(_Body)
_TURN = msgspec.json.Decoder(_Turn)
_KIND = msgspec.json.Decoder(_Kind)
_TEXT = msgspec.json.Decoder(_TextBlock)
_MEDIA = msgspec.json.Decoder(_MediaBlock)
_RESULT = msgspec.json.Decoder(_ResultBlock)
_THINKING = msgspec.json.Decoder(_ThinkingBlock)
_REDACTED = msgspec.json.Decoder(_RedactedBlock)
_CALL = msgspec.json.Decoder(_Call)
_TOOL = msgspec.json.Decoder(_Tool)
_ANY = msgspec.json.Decoder(cast("type[Any]", Any))  # Any is no type, but a decoder takes it


def read_request(body: bytes, dialect: Dialect, model: str = "") -> tuple[ChatRequest, bool]:
    """The request in ``body``, and whether it asks for a stream. ``model`` is the path's, where the body has none.

    Raises :class:`BadRequestError` with a sentence that says what is wrong with the body.
    """
    try:
        given = decode_lenient(_BODY, body)
        members = decode_lenient(_MEMBERS, body)
        return _request(given, members, dialect, model), given.stream
    except ProtocolError as error:
        raise BadRequestError(error.message) from error


def _request(given: _Body, members: Mapping[str, msgspec.Raw], dialect: Dialect, model: str) -> ChatRequest:
    known = {*_Body.__struct_fields__, "anthropic_version"}
    extra = {name: _value(raw) for name, raw in members.items() if name not in known}
    turns = [_turn(raw, dialect) for raw in given.messages]
    if isinstance(given.system, str):
        turns.insert(0, Message("system", given.system))
    elif given.system:
        turns.insert(0, Message("system", [_part(raw, "system", dialect) for raw in given.system]))
    tools = [_tool(raw) for raw in given.tools]
    functions = tuple(tool for tool in tools if tool is not None)
    if len(functions) < len(tools):
        extra["tools"] = _value(members["tools"])
    choice = given.tool_choice
    if choice is not None and not _is_sayable(choice, functions):
        choice, extra["tool_choice"] = None, _value(members["tool_choice"])
    config = dict(given.output_config or {})
    effort, form = config.pop("effort", None), _format(config.pop("format", None))
    if config:
        extra["output_config"] = given.output_config
    metadata = dict(given.metadata or {})
    user = metadata.pop("user_id", None)
    if metadata:
        extra["metadata"] = given.metadata
    if given.thinking is not None and given.thinking.type not in ("enabled", "adaptive", "disabled"):
        extra["thinking"] = _value(members["thinking"])
    return ChatRequest(
        given.model or model,
        turns,
        max_tokens=given.max_tokens,
        temperature=given.temperature,
        top_p=given.top_p,
        top_k=given.top_k,
        stop=given.stop_sequences,
        tools=functions,
        tool_choice=None if choice is None else _tool_choice(choice),
        parallel_tool_calls=False if choice is not None and choice.disable_parallel_tool_use else None,
        response_format=form,
        reasoning=_reasoning(given.thinking, effort if isinstance(effort, str) else None),
        service_tier=given.service_tier,
        user=user if isinstance(user, str) else None,
        extra=extra or None,
    )


def _value(raw: msgspec.Raw) -> Any:
    return decode_lenient(_ANY, bytes(raw))


# Options ----------------------------------------------------------------------------------------------------------------


def _tool(raw: msgspec.Raw) -> Tool | None:
    """The function, or None for a tool that is none."""
    try:
        tool = decode_lenient(_TOOL, bytes(raw))
    except ProtocolError:
        return None
    if tool.type != "custom":
        return None
    return Tool(tool.name, tool.description, tool.input_schema, tool.strict, tool.cache_control is not None)


def _is_sayable(choice: _Choice, tools: Sequence[Tool]) -> bool:
    if choice.type == "tool":
        return any(tool.name == choice.name for tool in tools)
    return choice.type in ("auto", "any", "none")


def _tool_choice(choice: _Choice) -> ToolChoice:
    match choice.type:
        case "any":
            return ToolChoice("required")
        case "tool":
            return ToolChoice("tool", choice.name)
        case "none":
            return ToolChoice("none")
        case _:
            return ToolChoice()


def _format(form: Any) -> ResponseFormat | None:
    if form is None:
        return None
    named = cast("dict[str, Any]", form) if isinstance(form, dict) else {}
    schema: Any = named.get("schema")
    if not isinstance(schema, dict):
        raise BadRequestError(
            f"output_config.format takes a type 'json_schema' and a schema; got {named!r:.200}"
        )
    return ResponseFormat("json_schema", cast("dict[str, Any]", schema))


def _reasoning(thinking: _Thinking | None, effort: str | None) -> ReasoningOptions | None:
    if thinking is None:
        return None if effort is None else ReasoningOptions(effort=effort)
    if thinking.type == "disabled":
        return ReasoningOptions(effort=effort, enabled=False)
    summary = {"summarized": "auto"}.get(thinking.display or "", thinking.display)
    return ReasoningOptions(
        effort=effort, budget_tokens=thinking.budget_tokens, enabled=True, summary=summary
    )


# Messages ---------------------------------------------------------------------------------------------------------------


def _turn(raw: msgspec.Raw, dialect: Dialect) -> Message:
    turn = decode_lenient(_TURN, bytes(raw))
    if turn.role not in ("user", "assistant", "system"):
        raise BadRequestError(f"messages: a role is user or assistant; got {turn.role!r}")
    role = cast("Role", turn.role)
    members = decode_lenient(_MEMBERS, bytes(raw))
    extra = {name: _value(value) for name, value in members.items() if name not in ("role", "content")}
    if isinstance(turn.content, str):
        return Message(role, turn.content, extra=extra or None)
    return Message(role, [_part(block, role, dialect) for block in turn.content], extra=extra or None)


def _part(raw: msgspec.Raw, role: str, dialect: Dialect) -> Part:
    """The part of a block; an opaque one for whatever has members that no part of ours has."""
    data = bytes(raw)
    kind = decode_lenient(_KIND, data).type
    try:
        part = _known_part(kind, role, data, dialect)
    except ProtocolError:
        part = None
    return Opaque(dialect.origin, kind, data.decode("utf-8", "replace")) if part is None else part


def _known_part(kind: str, role: str, data: bytes, dialect: Dialect) -> Part | None:
    match kind, role:
        case "text", _:
            return _text(data, dialect)
        case "image", "user":
            block = decode_lenient(_MEDIA, data)
            return None if block.title is not None else _image(block)
        case "document", "user":
            return _document(decode_lenient(_MEDIA, data))
        case "tool_result", "user":
            return _result(data, dialect)
        case "tool_use", "assistant":
            return _call(data, dialect)
        case "thinking", "assistant":
            thought = decode_lenient(_THINKING, data)
            return Reasoning(thought.thinking, thought.signature, origin=dialect.origin)
        case "redacted_thinking", "assistant":
            return Reasoning(encrypted=decode_lenient(_REDACTED, data).data, origin=dialect.origin)
        case _:
            return None


def _text(data: bytes, dialect: Dialect) -> Text:
    block = decode_lenient(_TEXT, data)
    is_marked = block.cache_control is not None
    citations = bytes(block.citations).decode("utf-8", "replace")
    if citations in ("null", "[]"):
        return Text(block.text, is_marked)
    return Text(block.text, is_marked, citations, dialect.origin)


def _image(block: _MediaBlock) -> Image | None:
    is_marked, source = block.cache_control is not None, block.source
    if source.type == "url" and source.url is not None:
        return Image(url=source.url, cache=is_marked)
    if source.type == "base64" and source.media_type:
        return Image(data=_bytes(source), media_type=source.media_type, cache=is_marked)
    return None


def _document(block: _MediaBlock) -> File | None:
    is_marked, source = block.cache_control is not None, block.source
    match source:
        case _Source(type="url", url=str(url)):
            return File(url=url, name=block.title, cache=is_marked)
        case _Source(type="file", file_id=str(file_id)):
            return File(file_id=file_id, name=block.title, cache=is_marked)
        case _Source(type="base64", media_type=str(media_type)) if media_type:
            return File(data=_bytes(source), media_type=media_type, name=block.title, cache=is_marked)
        case _Source(type="text", media_type=str(media_type), data=str(text)) if media_type:
            return File(data=text.encode(), media_type=media_type, name=block.title, cache=is_marked)
        case _:
            return None


def _bytes(source: _Source) -> bytes:
    try:
        return base64.b64decode(source.data or "", validate=True)
    except (binascii.Error, ValueError) as error:  # a ValueError for letters that are not ASCII
        raise BadRequestError(f"source.data is not base64: {error}") from error


def _result(data: bytes, dialect: Dialect) -> ToolResult | None:
    block = decode_lenient(_RESULT, data)
    content: str | list[Text | Image] = ""
    if isinstance(block.content, str):
        content = block.content
    else:
        content = []
        for raw in block.content:
            part = _part(raw, "user", dialect)
            if not isinstance(part, Text | Image):
                return None
            content.append(part)
    return ToolResult(block.tool_use_id, content, block.is_error, cache=block.cache_control is not None)


def _call(data: bytes, dialect: Dialect) -> ToolCall:
    call = decode_lenient(_CALL, data)
    members = decode_lenient(_MEMBERS, data)
    more = {name: raw for name, raw in members.items() if name not in ("type", "id", "name", "input")}
    signature = msgspec.json.encode(more).decode() if more else None
    arguments = bytes(call.input).decode("utf-8", "replace")
    return ToolCall(call.id, call.name, arguments, signature, dialect.origin if more else None)
