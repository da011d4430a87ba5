"""``ChatRequest`` to the body of Ollama's ``/api/chat``, and the :class:`Dialect` that says how a server wants it.

The rules where the two do not look alike:

- A message is text with images beside it: texts are joined by line breaks, images stand in ``images`` as bare base64. Ollama fetches
  no URLs, so an image behind one is refused; a ``data:`` URL is taken apart.
- Every tool result is a message of its own, before the rest of its turn. It names its tool (``tool_name``), found by the call it answers.
- The arguments of a call are an object, not text.
- Settings of the sampler stand in ``options`` under names of their own. ``extra`` is merged last, objects into objects, so
  ``extra={"options": {"num_ctx": 32768}, "keep_alive": "10m"}`` adds to them.

Source: Ollama's API reference (docs/api.md) and the types of its server, 2026-11.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import msgspec

from ..vocabulary import (
    BadRequestError,
    ChatRequest,
    File,
    Image,
    Message,
    Part,
    Reasoning,
    ReasoningOptions,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    UnsupportedError,
)
from .ollama_events import is_made_up_id
from .shared import split_data_url

__all__ = ["OPTIONS", "REJECTS", "Dialect", "chat_body"]

REJECTS = ("parallel_tool_calls", "verbosity", "service_tier", "user")
"""Fields of a request that the API has no place for."""

OPTIONS: Mapping[str, str] = {
    "max_tokens": "num_predict",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "seed": "seed",
    "stop": "stop",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
"""Our field -> its name in ``options``."""

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How one server speaks Ollama's own API.

    - ``chat_path``, ``models_path`` (None: no list): behind the base URL.
    - ``options``: sent with every request, below what the request says: ``{"num_ctx": 32768}``. Ollama cuts a prompt that is longer than
      its context without a word, and that context is a few thousand tokens unless told otherwise.
    - ``think_tags``: whether ``<think>`` at the start of the content is reasoning, as models write it whose template Ollama does not parse.
    - ``reasoning_replay``: whether the readable reasoning of earlier answers goes back as ``thinking``. gpt-oss wants it between tool calls.
    """

    chat_path: str = "/api/chat"
    models_path: str | None = "/api/tags"
    options: Mapping[str, Any] = {}
    think_tags: bool = True
    reasoning_replay: Literal["thinking", "none"] = "thinking"


def chat_body(request: ChatRequest, dialect: Dialect, *, stream: bool) -> dict[str, Any]:
    """The body of a request. Raises :class:`UnsupportedError`, naming field and value, for what the API cannot say."""
    for field in REJECTS:
        if getattr(request, field) is not None:
            raise _unsupported(field, getattr(request, field))
    mode = "auto" if request.tool_choice is None else request.tool_choice.mode
    if mode in ("required", "tool"):
        raise _unsupported("tool_choice", mode, "the model alone decides whether it calls a tool")
    body: dict[str, Any] = {
        "model": request.model,
        "messages": _messages(request.turns, dialect),
        "stream": stream,
    }
    if request.tools and mode != "none":
        body["tools"] = [_tool(tool) for tool in request.tools]
    form = request.response_format
    if form is not None and form.type != "text":
        body["format"] = "json" if form.type == "json_object" else form.schema
    think = None if request.reasoning is None else _think(request.reasoning)
    if think is not None:
        body["think"] = think
    given = {name: getattr(request, field) for field, name in OPTIONS.items()}
    options = {**dialect.options, **{name: value for name, value in given.items() if value is not None}}
    if options:
        body["options"] = options
    return _merged(body, request.extra or {})


def _unsupported(field: str, value: object, why: str = "") -> UnsupportedError:
    return UnsupportedError(f"Ollama does not take {field}={value!r}{why and ': '}{why}")


def _think(options: ReasoningOptions) -> bool | str | None:
    """``think``: a switch, or a word that the model knows (gpt-oss: low, medium, high). There is no budget."""
    if options.budget_tokens is not None and options.budget_tokens > 0:
        raise _unsupported("reasoning.budget_tokens", options.budget_tokens, "say an effort, or enabled=True")
    if options.enabled is False or options.budget_tokens == 0 or options.effort == "none":
        return False
    if options.effort is not None:
        return options.effort
    return True if options.enabled or options.budget_tokens == -1 else None


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters
    return {"type": "function", "function": function}


# Messages ---------------------------------------------------------------------------------------------------------------


def _messages(turns: Sequence[Message], dialect: Dialect) -> list[dict[str, Any]]:
    names: dict[str, str] = {}  # id of a call -> the tool it called
    messages: list[dict[str, Any]] = []
    for turn in turns:
        if turn.name is not None:
            raise _unsupported("a message's name", turn.name)
        written: list[dict[str, Any]] = []
        if turn.role == "assistant":
            written.append(_assistant(turn, names, dialect))
        else:
            written += [_result(part, names) for part in turn.parts if isinstance(part, ToolResult)]
            rest = [part for part in turn.parts if not isinstance(part, ToolResult)]
            if rest or not written:
                role = {"developer": "system", "tool": "user"}.get(turn.role, turn.role)
                written.append(_spoken(role, rest))
        written[-1].update(turn.extra or {})
        messages += written
    return messages


def _spoken(role: str, parts: Sequence[Part]) -> dict[str, Any]:
    texts: list[str] = []
    images: list[str] = []
    for part in parts:
        match part:
            case Text():
                texts.append(part.text)
            case Image() | File():
                images.append(_image(part))
            case ToolCall() | ToolResult():
                raise BadRequestError(f"{type(part).__name__} cannot stand in a message of role {role!r}")
            case _:
                pass  # reasoning and opaque parts of another provider's answer
    return _message(role, "\n".join(texts), images)


def _assistant(turn: Message, names: dict[str, str], dialect: Dialect) -> dict[str, Any]:
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    for part in turn.parts:
        match part:
            case Text():
                texts.append(part.text)
            case Reasoning():
                thoughts.append(part.text)
            case ToolCall():
                names[part.id] = part.name
                calls.append(_call(part))
            case Image() | File() | ToolResult():
                raise _unsupported("content of an assistant message", type(part).__name__)
            case _:
                pass  # another provider's own part
    message = _message("assistant", "".join(texts))
    if dialect.reasoning_replay == "thinking" and any(thoughts):
        message["thinking"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return message


def _call(call: ToolCall) -> dict[str, Any]:
    raw = (call.arguments or "{}").encode("utf-8", "replace")
    try:
        _OBJECT.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequestError(
            f"the arguments of tool call {call.id!r} ({call.name}) are not a JSON object: {call.arguments[:200]!r}"
        ) from None
    written: dict[str, Any] = {"function": {"name": call.name, "arguments": msgspec.Raw(raw)}}
    if call.id and not is_made_up_id(call.id):
        written["id"] = call.id
    return written


def _result(result: ToolResult, names: Mapping[str, str]) -> dict[str, Any]:
    content = (Text(result.content),) if isinstance(result.content, str) else tuple(result.content)
    text = "\n".join(part.text for part in content if isinstance(part, Text))
    message = _message("tool", text, [_image(part) for part in content if isinstance(part, Image)])
    name = result.name or names.get(result.tool_call_id)
    if name is not None:
        message["tool_name"] = name
    if result.tool_call_id and not is_made_up_id(result.tool_call_id):
        message["tool_call_id"] = result.tool_call_id
    return message


def _message(role: str, text: str, images: Sequence[str] = ()) -> dict[str, Any]:
    message: dict[str, Any] = {"role": role, "content": text}
    if images:
        message["images"] = list(images)
    return message


def _image(part: Image | File) -> str:
    """The bytes as base64, without a media type: Ollama looks for itself what they are."""
    source = None if part.data is None else (part.media_type or "", part.data)
    if source is None and part.url is not None:
        source = split_data_url(part.url)
    if source is None:
        where = part.url or (part.file_id if isinstance(part, File) else None)
        raise _unsupported(f"{type(part).__name__}.url", where, "it fetches nothing; give the bytes as data")
    if isinstance(part, File) and not source[0].startswith("image/"):
        raise _unsupported("File.media_type", source[0], "it takes images only")
    return base64.b64encode(source[1]).decode("ascii")


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` upon ``base``; where both have an object, their members are merged."""
    merged = dict(base)
    for name, value in over.items():
        before = merged.get(name)
        if isinstance(before, dict) and isinstance(value, Mapping):
            merged[name] = _merged(cast("dict[str, Any]", before), cast("Mapping[str, Any]", value))
        else:
            merged[name] = value
    return merged
