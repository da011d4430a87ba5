"""The host's side of the bridge (see ``wire.host_bridge``): lines to requests, tokens to lines.

:class:`HostBridgeServing` knows single lines. What a whole connection may say, and in which order, is ``host_bridge_session``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ..vocabulary import (
    BadRequestError,
    ChatRequest,
    ChatResponse,
    Finish,
    Message,
    Model,
    NotFoundError,
    Part,
    ReasoningDelta,
    StreamToken,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    ToolResult,
    Usage,
    UsageReport,
    unfold,
)
from ..wire.host_bridge import ASK
from ..wire.host_bridge_body import OPTIONS, REQUEST_ID
from ..wire.host_bridge_events import CODES
from ..wire.shared import encode_json
from .base import ServedError

__all__ = ["HostBridgeServing"]


class _Piece(msgspec.Struct, frozen=True):
    text: str = ""


class _Part(msgspec.Struct, frozen=True):
    type: str
    text: str = ""
    call_id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")
    content: list[_Piece] | None = None


class _Message(msgspec.Struct, frozen=True):
    role: str
    content: list[_Part]
    name: str | None = None


class _Tool(msgspec.Struct, frozen=True):
    name: str
    description: str = ""
    input_schema: dict[str, Any] | None = None


class _Options(msgspec.Struct, frozen=True):
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] | None = None


class _Asked(msgspec.Struct, frozen=True):
    type: str
    model: str = ""
    messages: list[_Message] | None = None
    tools: list[_Tool] | None = None
    tool_mode: str = "auto"
    options: _Options | None = None


_ASKED = msgspec.json.Decoder(_Asked)
_BY_STATUS = {
    400: "bad_request",
    401: "unauthorized",
    403: "no_permission",
    404: "not_found",
    413: "too_large",
    429: "blocked",
    503: "busy",
    529: "busy",
}


class HostBridgeServing:
    """See ``serving.base.Serving``. ``request_id`` is the id of the request that the lines answer."""

    name = "host_bridge"
    content_type = "application/x-ndjson"

    def __init__(self, request_id: int = REQUEST_ID) -> None:
        self._id = request_id

    def request(self, method: str, path: str, body: bytes, /) -> tuple[ChatRequest, bool]:
        """A ``chat`` or ``count`` line. Answers are always streamed."""
        asked = _read(body)
        if method != ASK or asked.type not in ("chat", "count"):
            raise NotFoundError(f"no chat: {method} {asked.type!r}", code="bad_request")
        options = asked.options or _Options()
        fields = {name: getattr(options, name) for name in OPTIONS}
        tools = tuple(_tool(tool) for tool in asked.tools or ())
        choice = ToolChoice("required") if asked.tool_mode == "required" else None
        messages = [_message(message) for message in asked.messages or ()]
        return ChatRequest(asked.model, messages, tools=tools, tool_choice=choice, **fields), True

    def stream(self, tokens: Sequence[StreamToken], /, *, model: str) -> Iterator[bytes]:
        """See ``serving.base.Serving``. Raises :class:`BadRequestError` for a call whose arguments are no JSON object."""
        calls = _whole_calls(tokens)
        usage: Usage | None = None
        for token in tokens:
            match token:
                case TextDelta() if token.text:
                    yield self.line("text", text=token.text)
                case ReasoningDelta() if token.text:
                    yield self.line("reasoning", text=token.text)
                case ToolCallDelta():
                    call = calls.pop(token.index, None)  # at its first piece; the others are in it
                    if call is not None:
                        yield self.line("tool_call", call_id=call.id, name=call.name, input=_input(call))
                case UsageReport():
                    usage = token.usage
                case Finish():
                    yield self._end(token, usage)
                case _:
                    pass

    def response(self, response: ChatResponse, /, *, model: str) -> bytes:
        """All the lines of an answer."""
        return b"".join(self.stream(unfold(response), model=model))

    def error(self, error: ServedError, /) -> tuple[Mapping[str, str], bytes]:
        """The ``error`` line of a request that is refused."""
        return {}, self.stream_error(error)

    def stream_error(self, error: ServedError, /) -> bytes:
        """The same line, in the middle of an answer."""
        code = error.code if error.code in CODES else _BY_STATUS.get(error.status, "internal")
        return self.line("error", code=code, message=error.message)

    def models(self, models: Sequence[Model], /) -> bytes:
        """The answer to ``models``."""
        listed = [
            {"id": model.id, "name": model.name or model.id, "max_input_tokens": model.context_window}
            for model in models
        ]
        return self.line("models", models=listed)

    def count(self, tokens: int) -> bytes:
        """The answer to ``count``."""
        return self.line("count", tokens=tokens)

    def is_models_request(self, method: str, path: str, /) -> bool:
        """Never by method and path: here the line says what is asked (see ``host_bridge_session``)."""
        return False

    def line(self, kind: str, **members: Any) -> bytes:
        """A line of this request."""
        return encode_json({"type": kind, "id": self._id, **members}) + b"\n"

    def _end(self, finish: Finish, usage: Usage | None) -> bytes:
        end: dict[str, Any] = {"reason": finish.raw or finish.reason}
        if finish.model is not None:
            end["model"] = finish.model
        if usage is not None:
            end["usage"] = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        return self.line("end", **end)


def _read(body: bytes) -> _Asked:
    try:
        return _ASKED.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(f"not a request of the bridge: {error}", code="bad_request") from error


def _tool(tool: _Tool) -> Tool:
    if tool.input_schema is None:
        return Tool(tool.name, tool.description)
    return Tool(tool.name, tool.description, tool.input_schema)


def _message(message: _Message) -> Message:
    if message.role not in ("user", "assistant"):
        raise BadRequestError(f"a role is user or assistant; got {message.role!r}", code="bad_request")
    parts = [_part(part) for part in message.content]
    return Message("assistant" if message.role == "assistant" else "user", parts, message.name)


def _part(part: _Part) -> Part:
    match part.type:
        case "text":
            return Text(part.text)
        case "tool_call":
            return ToolCall(part.call_id, part.name, bytes(part.input).decode("utf-8", "replace"))
        case "tool_result":
            pieces = tuple(Text(piece.text) for piece in part.content or ())
            return ToolResult(part.call_id, pieces[0].text if len(pieces) == 1 else pieces)
        case _:
            raise BadRequestError(f"there is no part of type {part.type!r}", code="bad_request")


def _input(call: ToolCall) -> Any:
    parsed: Any = call.parsed()
    if not isinstance(parsed, dict):
        raise BadRequestError(f"the arguments of tool call {call.id!r} ({call.name}) are not a JSON object")
    if call.arguments and not {"\n", "\r"} & set(call.arguments):
        return msgspec.Raw(call.arguments.encode("utf-8", "replace"))
    return call.parsed()


def _whole_calls(tokens: Sequence[StreamToken]) -> dict[int, ToolCall]:
    pieces: dict[int, list[ToolCallDelta]] = {}
    for token in tokens:
        if isinstance(token, ToolCallDelta):
            pieces.setdefault(token.index, []).append(token)
    return {
        index: ToolCall(
            next((piece.id for piece in of_one if piece.id), ""),
            next((piece.name for piece in of_one if piece.name), ""),
            "".join(piece.arguments for piece in of_one),
        )
        for index, of_one in pieces.items()
    }
