"""A body of ``POST /responses``, as a server reads it: the mirror image of ``wire.openai_responses_body``.

Items of one side become one turn: messages of the assistant, its reasoning, its calls and whatever else is the provider's own are the
parts of an assistant message, in their order. Fields nobody here knows go into ``extra``, and so do those of which only a part can be said
otherwise (hosted tools); ``store``, ``include`` and the like are the dialect's affair and are passed over.
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
from ..wire.shared import as_object, split_data_url

__all__ = ["read_request"]

_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_MESSAGE = ("id", "type", "status", "role", "content")
_TEXTS = ("input_text", "output_text", "text", "refusal")


class _Format(msgspec.Struct):
    type: str
    schema: dict[str, Any] | None = None
    name: str = "answer"
    strict: bool | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None
    summary: str | None = None


class _Tool(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Body(msgspec.Struct):
    model: str
    input: str | list[msgspec.Raw]
    instructions: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    user: str | None = None
    stream: bool = False
    store: Any = None
    include: Any = None
    stream_options: Any = None


class _Item(msgspec.Struct):
    type: str = "message"
    role: str | None = None
    content: str | list[dict[str, Any]] | None = None
    id: str | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    input: str = ""
    output: str | list[dict[str, Any]] = ""
    summary: list[dict[str, Any]] | None = None
    encrypted_content: str | None = None


class _Kind(msgspec.Struct):
    type: str = "message"


_BODY = msgspec.json.Decoder(_Body)
_ITEM = msgspec.json.Decoder(_Item)
_KIND = msgspec.json.Decoder(_Kind)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_KNOWN_ITEMS = ("message", "reasoning", "function_call", "custom_tool_call", *_OUTPUTS)


def read_request(body: bytes, origin: str) -> tuple[ChatRequest, bool]:
    """The request and whether its answer is to be streamed. Raises :class:`BadRequestError` (status 400) with what is wrong where."""
    try:
        payload = as_object(msgspec.json.decode(body))
        asked = _BODY.decode(body)
        request = _request(asked, payload, origin)
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, or other types
        raise BadRequestError(
            f"the body is no request for a response: {error}", status=400, code="invalid_request_error"
        ) from error
    except BadRequestError as error:
        error.at(status=400, code="invalid_request_error")
        raise
    return request, asked.stream


def _request(asked: _Body, payload: dict[str, Any], origin: str) -> ChatRequest:
    extra = {name: value for name, value in payload.items() if name not in _Body.__struct_fields__}
    functions = [tool for tool in asked.tools or () if tool.get("type", "function") == "function"]
    if len(functions) != len(asked.tools or ()):
        extra["tools"] = asked.tools
    choice = asked.tool_choice
    if isinstance(choice, dict) and choice.get("type") != "function":
        extra["tool_choice"], choice = choice, None
    if set(as_object(payload.get("reasoning"))) - set(_Reasoning.__struct_fields__):
        extra["reasoning"] = payload["reasoning"]
    text = asked.text or _Text()
    reasoning = asked.reasoning
    return ChatRequest(
        asked.model,
        _Reader(asked, origin).turns(),
        max_tokens=asked.max_output_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        tools=tuple(_tool(tool) for tool in functions),
        tool_choice=_tool_choice(choice),
        parallel_tool_calls=asked.parallel_tool_calls,
        response_format=_format(text.format),
        reasoning=None
        if reasoning is None
        else ReasoningOptions(reasoning.effort, summary=reasoning.summary),
        verbosity=text.verbosity,
        service_tier=asked.service_tier,
        user=asked.user if asked.safety_identifier is None else asked.safety_identifier,
        extra=extra or None,
    )


def _tool(payload: dict[str, Any]) -> Tool:
    tool = msgspec.convert(payload, _Tool)
    strict = tool.strict or None  # a client that does not care says false, because nothing means true here
    if tool.parameters is None:
        return Tool(tool.name, tool.description or "", strict=strict)
    return Tool(tool.name, tool.description or "", tool.parameters, strict)


def _tool_choice(choice: str | dict[str, Any] | None) -> ToolChoice | None:
    if choice is None:
        return None
    said = {"mode": choice} if isinstance(choice, str) else {"mode": "tool", "name": choice.get("name")}
    return msgspec.convert(said, ToolChoice)


def _format(form: _Format | None) -> ResponseFormat | None:
    if form is None:
        return None
    said = {"type": form.type, "schema": form.schema, "name": form.name, "strict": form.strict}
    return msgspec.convert(said, ResponseFormat)


class _Reader:
    """Reads the items of one request."""

    def __init__(self, asked: _Body, origin: str) -> None:
        self._asked = asked
        self._origin = origin
        self._turns: list[Message] = []
        self._answer: list[Part] = []  # of the assistant, while its items follow each other

    def turns(self) -> list[Message]:
        asked = self._asked
        if asked.instructions:
            self._turns.append(Message("system", asked.instructions))
        if isinstance(asked.input, str):
            self._turns.append(Message("user", asked.input))
        else:
            for raw in asked.input:
                self._item(bytes(raw))
        self._close()
        return self._turns

    def _close(self) -> None:
        if self._answer:
            self._turns.append(Message("assistant", _plain(self._answer)))
            self._answer = []

    def _item(self, raw: bytes) -> None:
        kind = _KIND.decode(raw).type
        if kind not in _KNOWN_ITEMS:
            self._answer.append(Opaque(self._origin, kind, raw.decode()))
            return
        item = _ITEM.decode(raw)
        match kind:
            case "message":
                self._message(item, raw)
            case "reasoning":
                self._answer.append(self._reasoning(item, raw))
            case "function_call" | "custom_tool_call":
                arguments = item.arguments if kind == "function_call" else item.input
                known = (
                    "id",
                    "status",
                    "call_id",
                    "name",
                    "arguments" if kind == "function_call" else "input",
                )
                signature = _members(raw, (*known, "type") if kind == "function_call" else known)
                origin = self._origin if signature else None
                self._answer.append(ToolCall(item.call_id, item.name, arguments, signature, origin))
            case _:
                self._close()
                output = item.output
                content = output if isinstance(output, str) else self._output(output)
                extra = _members(raw, ("id", "type", "status", "call_id", "output"))
                result = ToolResult(item.call_id, content)
                self._turns.append(
                    Message("tool", (result,), extra=None if extra is None else msgspec.json.decode(extra))
                )

    def _message(self, item: _Item, raw: bytes) -> None:
        content = item.content or ""
        more = _members(raw, _MESSAGE)
        if item.role == "assistant":
            texts = [content] if isinstance(content, str) else [_text_of(part) for part in content]
            origin = self._origin if more else None
            self._answer += [Text(text, signature=more, origin=origin) for text in texts]
            return
        self._close()
        parts = content if isinstance(content, str) else [self._part(part) for part in content]
        extra = None if more is None else msgspec.json.decode(more)
        self._turns.append(
            Message(cast(Role, item.role), _plain(parts), extra=extra)
        )  # Message checks the role

    def _reasoning(self, item: _Item, raw: bytes) -> Reasoning:
        content = item.content if isinstance(item.content, list) else []
        text = "\n\n".join(filter(None, map(_text_of, (*(item.summary or ()), *content))))
        return Reasoning(text, raw.decode(), item.encrypted_content, item.id, self._origin)

    def _output(self, output: list[dict[str, Any]]) -> tuple[Text | Image, ...]:
        held: list[Text | Image] = []
        for part in map(self._part, output):
            if not isinstance(part, Text | Image):
                raise BadRequestError(
                    f"the output of a tool holds texts and images; got {type(part).__name__}"
                )
            held.append(part)
        return tuple(held)

    def _part(self, part: dict[str, Any]) -> Part:
        match part:
            case {"type": str(kind)} if kind in _TEXTS:
                return Text(_text_of(part))
            case {"type": "input_image", "image_url": str(url)}:
                inline = split_data_url(url)
                detail = part.get("detail")
                detail = detail if isinstance(detail, str) else None
                if inline is None:
                    return Image(url, detail=detail)
                return Image(data=inline[1], media_type=inline[0], detail=detail)
            case {"type": "input_file", "file_id": str(file_id)}:
                return File(file_id=file_id)
            case {"type": "input_file", "file_url": str(url)}:
                return File(url)
            case {"type": "input_file", "file_data": str(url)}:
                inline = split_data_url(url)
                name = part.get("filename")
                if inline is None:
                    raise BadRequestError(f"input_file.file_data is no data: URL: {url[:60]!r}")
                return File(
                    data=inline[1], media_type=inline[0], name=name if isinstance(name, str) else None
                )
            case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(form)}}:
                return File(data=_base64(data), media_type=f"audio/{form}")
            case {"type": str(kind)}:
                return Opaque(self._origin, kind, msgspec.json.encode(part).decode())
            case _:
                raise BadRequestError("a part of a message's content has no type")


def _text_of(part: dict[str, Any]) -> str:
    text = part.get("refusal" if part.get("type") == "refusal" else "text")
    if not isinstance(text, str):
        raise BadRequestError(f"a part of type {part.get('type')!r} without text")
    return text


def _plain(parts: str | list[Part]) -> str | list[Part]:
    """A content of one text and nothing else as a string."""
    if (
        not isinstance(parts, str)
        and len(parts) == 1
        and isinstance(parts[0], Text)
        and not parts[0].signature
    ):
        return parts[0].text
    return parts


def _members(raw: bytes, known: tuple[str, ...]) -> str | None:
    rest = {name: value for name, value in _MEMBERS.decode(raw).items() if name not in known}
    return msgspec.json.encode(rest).decode() if rest else None


def _base64(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise BadRequestError(f"input_audio.data is not base64: {error}") from error
