"""``ChatRequest`` to the ``chat`` and ``count`` lines of the host bridge, and the :class:`Dialect`. The protocol is told in ``host_bridge``.

An editor's language model API knows two roles and three kinds of parts, so:

- ``system`` and ``developer`` messages become messages of ``Dialect.system_role``, where they stand.
- In a user's turn the tool results come first, as models want them. Reasoning and other providers' opaque parts are left out.
- Images and files are refused, and so is every setting that the API has no word for. What it hands on to the model unread stands in ``options``.

Source: the Language Model API of VS Code (``vscode.lm``, 1.95 and later).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from ..vocabulary import (
    BadRequestError,
    ChatRequest,
    File,
    Image,
    Message,
    Part,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    UnsupportedError,
)

__all__ = ["OPTIONS", "REJECTS", "REQUEST_ID", "Dialect", "chat_line", "count_line"]

REJECTS = (
    "top_k",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "parallel_tool_calls",
    "response_format",
    "reasoning",
    "verbosity",
    "service_tier",
    "user",
)
"""Fields of a request that the API has no place for."""

OPTIONS = ("max_tokens", "temperature", "top_p", "stop")
"""Fields that the editor hands on to the model as ``modelOptions``; models that do not know them ignore them."""

REQUEST_ID = 1
"""We ask once a connection."""

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How the editor is asked.

    - ``system_role``: whose words the system prompt becomes; the API has no role for it. ``assistant`` is what Roo-Code sends.
    - ``justification``: what the editor shows the user who is asked to allow the use of a model.
    - ``counts``: whether the host is asked to count what was used (it costs it a call for each message).
    """

    system_role: Literal["assistant", "user"] = "assistant"
    justification: str = "A program beside the editor asks its language model (tercet)."
    counts: bool = True


def chat_line(request: ChatRequest, dialect: Dialect) -> dict[str, Any]:
    """The request, members in a fixed order; ``extra`` is merged last. Raises :class:`UnsupportedError`, naming field and value."""
    for field in REJECTS:
        if getattr(request, field) is not None:
            raise _unsupported(field, getattr(request, field))
    line: dict[str, Any] = {
        "type": "chat",
        "id": REQUEST_ID,
        "close": True,
        "model": request.model,
        "justification": dialect.justification,
        "usage": dialect.counts,
        "messages": _messages(request.turns, dialect),
    }
    tools, mode = _tools(request)
    if tools:
        line["tools"] = [_tool(tool) for tool in tools]
        line["tool_mode"] = mode
    options = {name: value for name in OPTIONS if (value := getattr(request, name)) is not None}
    if options:
        line["options"] = options
    line.update(request.extra or {})
    return line


def count_line(request: ChatRequest, dialect: Dialect) -> dict[str, Any]:
    """The request to count a prompt's tokens."""
    return {
        "type": "count",
        "id": REQUEST_ID,
        "close": True,
        "model": request.model,
        "messages": _messages(request.turns, dialect),
    }


def _unsupported(field: str, value: object, why: str = "") -> UnsupportedError:
    return UnsupportedError(f"the editor's language models do not take {field}={value!r}{why and ': '}{why}")


def _tools(request: ChatRequest) -> tuple[Sequence[Tool], str]:
    choice = request.tool_choice
    if choice is None or choice.mode == "auto":
        return request.tools, "auto"
    if choice.mode == "none":
        return (), "auto"
    if (
        choice.mode == "tool"
    ):  # there is no such mode; but one that has to be called, and is the only one, is the same
        return [tool for tool in request.tools if tool.name == choice.name], "required"
    return request.tools, "required"


def _tool(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}


def _messages(turns: Sequence[Message], dialect: Dialect) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for turn in turns:
        role = "assistant" if turn.role == "assistant" else "user"
        if turn.role in ("system", "developer"):
            role = dialect.system_role
        results = [part for part in turn.parts if isinstance(part, ToolResult)]
        rest = [part for part in turn.parts if not isinstance(part, ToolResult)]
        content = [written for part in (*results, *rest) if (written := _part(part, turn.role)) is not None]
        if not content:
            continue
        message: dict[str, Any] = {"role": role, "content": content}
        if turn.name is not None:
            message["name"] = turn.name
        message.update(turn.extra or {})
        messages.append(message)
    if not messages:
        raise UnsupportedError("the editor's language models need a message with something in it; got none")
    return messages


def _part(part: Part, role: str) -> dict[str, Any] | None:
    match part:
        case Text():
            return {"type": "text", "text": part.text} if part.text else None
        case ToolCall() if role == "assistant":
            return {"type": "tool_call", "call_id": part.id, "name": part.name, "input": _input(part)}
        case ToolResult() if role in ("user", "tool"):
            content = (Text(part.content),) if isinstance(part.content, str) else part.content
            return {
                "type": "tool_result",
                "call_id": part.tool_call_id,
                "content": [_text(piece) for piece in content],
            }
        case Image() | File():
            raise _unsupported("content", type(part).__name__)
        case ToolCall() | ToolResult():
            raise BadRequestError(f"{type(part).__name__} cannot stand in a message of role {role!r}")
        case _:
            return None


def _text(part: Text | Image) -> dict[str, str]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    raise _unsupported("content of a tool result", "Image")


def _input(call: ToolCall) -> msgspec.Raw:
    raw = (call.arguments or "{}").encode("utf-8", "replace")
    try:
        _OBJECT.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequestError(
            f"the arguments of tool call {call.id!r} ({call.name}) are not a JSON object: {call.arguments[:200]!r}"
        ) from None
    if b"\n" in raw or b"\r" in raw:  # a line has to be one line
        raw = msgspec.json.encode(msgspec.json.decode(raw))
    return msgspec.Raw(raw)
