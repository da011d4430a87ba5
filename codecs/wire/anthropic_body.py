"""Requests of Anthropic's Messages API (API reference, page "Create a Message", 2026-11): a :class:`ChatRequest` as a JSON body.

The rules where the two do not look alike:

- Leading system and developer messages become the blocks of ``system``. Later ones stand in their place as messages of role
  ``system`` where the dialect has ``system_turns``; elsewhere they follow the leading ones, as Anthropic's own OpenAI-compatible
  endpoint does it.
- Consecutive turns of one side are one message (the API joins them anyway), tool results first in it, as the API demands. A turn with
  ``extra`` stands alone.
- Thinking, redacted thinking and opaque parts are returned as they came, and only where they came from; unsigned reasoning and that of
  other providers is left out. Empty texts are left out, because the API refuses them; so is a message of which nothing is left.
- Ids of tool calls made by other providers are written with ``_`` for characters the API refuses.
- ``extra`` is merged last, at the top level.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

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
    Text,
    Tool,
    ToolCall,
    ToolResult,
    UnsupportedError,
)
from .shared import split_data_url

__all__ = ["Dialect", "blocks", "body", "count_body", "sampling_fields", "thinking_field"]

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_ID = re.compile(r"[^A-Za-z0-9_-]")
_COUNTED = (
    "model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control",
    "mcp_servers", "context_management", "anthropic_version", "anthropic_beta",
)  # fmt: skip


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between the doors of the Messages API.

    - ``path``, ``stream_path`` (None: the same), ``count_path`` (None: no counting), ``models_path`` (None: no list): behind the
      base URL; ``{model}`` stands for the percent-encoded model id.
    - ``version`` and ``betas``, each in the ``header`` (``anthropic-version``, ``anthropic-beta``) or in the ``body``
      (``anthropic_version``: ``vertex-2023-10-16``, ``bedrock-2023-05-31``; ``anthropic_beta``).
    - ``model_in_body``, ``stream_in_body``: whether the body says them, or the path does.
    - ``max_tokens``: sent when the request has none, because the API insists on one. A thinking budget comes on top of it.
    - ``thinking``: how the model is told to think: ``budget`` (``enabled`` with ``budget_tokens``) or ``adaptive``.
    - ``takes_sampling``: false where ``temperature``, ``top_p`` and ``top_k`` are refused (version ``2026-10-21``).
    - ``system_turns``: whether messages of role ``system`` may stand in the conversation.
    - ``cache_ttl``: ``5m`` or ``1h`` for cache marks; None leaves it to the API (5 minutes).
    - ``origin``: whose signatures these are. Anthropic's own doors share theirs; another vendor's door has its own.
    """

    path: str = "/v1/messages"
    stream_path: str | None = None
    count_path: str | None = "/v1/messages/count_tokens"
    models_path: str | None = "/v1/models?limit=1000"
    version: str | None = "2023-06-01"
    version_in: Literal["header", "body"] = "header"
    betas: tuple[str, ...] = ()
    betas_in: Literal["header", "body"] = "header"
    model_in_body: bool = True
    stream_in_body: bool = True
    max_tokens: int = 8192
    thinking: Literal["budget", "adaptive"] = "budget"
    takes_sampling: bool = True
    system_turns: bool = False
    cache_ttl: str | None = None
    origin: str = "anthropic"


REJECTS = ("seed", "presence_penalty", "frequency_penalty", "verbosity")
"""Fields of a request that the API has no place for."""


def body(request: ChatRequest, dialect: Dialect, *, stream: bool) -> dict[str, Any]:
    """The body of a request, members in a fixed order. Raises :class:`UnsupportedError` for what the API cannot say."""
    for field in REJECTS:
        if getattr(request, field) is not None:
            raise _unsupported(field, getattr(request, field))
    said: dict[str, Any] = {}
    if dialect.model_in_body:
        said["model"] = request.model
    if dialect.version is not None and dialect.version_in == "body":
        said["anthropic_version"] = dialect.version
    if dialect.betas and dialect.betas_in == "body":
        said["anthropic_beta"] = list(dialect.betas)
    thinking = thinking_field(request, dialect)
    default = dialect.max_tokens + (thinking or {}).get("budget_tokens", 0)
    said["max_tokens"] = default if request.max_tokens is None else request.max_tokens
    if thinking is not None:
        said["thinking"] = thinking
    said.update(_output_config(request))
    said.update(sampling_fields(request, dialect, thinking))
    if request.stop:
        said["stop_sequences"] = list(request.stop)
    if request.tools:
        said["tools"] = [_tool(tool, dialect) for tool in request.tools]
    said.update(_tool_choice(request, thinking))
    system, messages = _conversation(request.turns, dialect)
    if not messages:
        raise UnsupportedError(
            "the Messages API needs a user or assistant message with something in it; got none"
        )
    if system:
        said["system"] = system
    said["messages"] = messages
    if request.service_tier is not None:
        said["service_tier"] = request.service_tier
    if request.user is not None:
        said["metadata"] = {"user_id": request.user}
    if stream and dialect.stream_in_body:
        said["stream"] = True
    said.update(request.extra or {})
    return said


def count_body(request: ChatRequest, dialect: Dialect) -> dict[str, Any]:
    """The body that asks for the count: only what the counting endpoint takes, the model always in it."""
    whole = {"model": request.model, **body(request, dialect, stream=False)}
    return {field: value for field, value in whole.items() if field in _COUNTED}


def _unsupported(field: str, value: object, why: str = "") -> UnsupportedError:
    return UnsupportedError(f"the Messages API does not take {field}={value!r}{why and ': '}{why}")


# Options ----------------------------------------------------------------------------------------------------------------


def thinking_field(request: ChatRequest, dialect: Dialect) -> dict[str, Any] | None:
    """The ``thinking`` object that the request's reasoning options ask for; None where nothing is to be said."""
    options = request.reasoning
    if options is None:
        return None
    budget = options.budget_tokens
    if (
        options.enabled is False
        or budget == 0
        or (options.effort == "none" and budget is None and not options.enabled)
    ):
        return {"type": "disabled"}
    if dialect.thinking == "adaptive":
        if budget is not None and budget > 0:
            raise _unsupported(
                "reasoning.budget_tokens", budget, "this model decides by itself; say an effort"
            )
        if options.enabled is None and options.effort is None and budget is None and options.summary is None:
            return None
        thinking = {"type": "adaptive"}
        if options.summary is not None:
            thinking["display"] = "omitted" if options.summary in ("omitted", "none") else "summarized"
        return thinking
    if budget == -1:
        raise _unsupported("reasoning.budget_tokens", budget, "this model needs a number")
    if budget is None:
        if not options.enabled:
            return None
        # The API insists on a number: 8192, but within 80 % of max_tokens, and 1024 is the least it takes.
        room = 8192 if request.max_tokens is None else request.max_tokens * 4 // 5
        budget = max(1024, min(8192, room))
    return {"type": "enabled", "budget_tokens": budget}


def _output_config(request: ChatRequest) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if request.reasoning is not None and request.reasoning.effort not in (None, "none"):
        config["effort"] = request.reasoning.effort
    form = request.response_format
    if form is not None and form.type == "json_object":
        raise _unsupported("response_format.type", "json_object", "give a schema with type 'json_schema'")
    if form is not None and form.type == "json_schema":
        config["format"] = {"type": "json_schema", "schema": form.schema}
    return {"output_config": config} if config else {}


def sampling_fields(
    request: ChatRequest, dialect: Dialect, thinking: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Sampling fields, and the rules of the page "Extended thinking": temperature 1, top_p from 0.95, no top_k."""
    given = {name: getattr(request, name) for name in ("temperature", "top_p", "top_k")}
    given = {name: value for name, value in given.items() if value is not None}
    if not dialect.takes_sampling:
        for name, value in given.items():
            raise _unsupported(name, value, f"version {dialect.version} has no sampling fields")
    temperature, top_p = request.temperature, request.top_p
    if temperature is not None and temperature > 1:
        raise _unsupported("temperature", temperature, "its range is 0 to 1")
    if thinking is not None and thinking["type"] != "disabled":
        if temperature is not None and temperature != 1:
            raise _unsupported("temperature", temperature, "with thinking it has to be 1")
        if top_p is not None and top_p < 0.95:
            raise _unsupported("top_p", top_p, "with thinking it has to be at least 0.95")
        if request.top_k is not None:
            raise _unsupported("top_k", request.top_k, "with thinking it has to be absent")
    return given


def _tool(tool: Tool, dialect: Dialect) -> dict[str, Any]:
    said: dict[str, Any] = {"name": tool.name}
    if tool.description:
        said["description"] = tool.description
    said["input_schema"] = tool.parameters
    if tool.strict is not None:
        said["strict"] = tool.strict
    return _marked(said, tool.cache, dialect)


def _tool_choice(request: ChatRequest, thinking: Mapping[str, Any] | None) -> dict[str, Any]:
    choice = request.tool_choice
    is_single = request.parallel_tool_calls is False
    if choice is None and not (is_single and request.tools):
        return {}
    mode = "auto" if choice is None else choice.mode
    if mode in ("required", "tool") and thinking is not None and thinking["type"] == "enabled":
        raise _unsupported("tool_choice", mode, "with thinking a call cannot be forced")
    said: dict[str, Any] = {"type": "any" if mode == "required" else mode}
    if choice is not None and choice.name is not None:
        said["name"] = choice.name
    if is_single and mode != "none":
        said["disable_parallel_tool_use"] = True
    return {"tool_choice": said}


# Messages ---------------------------------------------------------------------------------------------------------------


def _conversation(turns: Iterable[Message], dialect: Dialect) -> tuple[list[Any], list[dict[str, Any]]]:
    """The blocks of ``system``, and the messages."""
    system: list[Any] = []
    groups: list[tuple[str, list[tuple[bool, Any]], Mapping[str, Any] | None]] = []
    for turn in turns:
        role = {"developer": "system", "tool": "user"}.get(turn.role, turn.role)
        content = _written(turn.parts, role, dialect)
        if not content:
            continue
        if role == "system" and not (groups and dialect.system_turns):
            system += [block for _, block in content]
        elif groups and groups[-1][0] == role and not turn.extra and not groups[-1][2]:
            groups[-1][1].extend(content)
        else:
            groups.append((role, content, turn.extra))
    messages: list[dict[str, Any]] = []
    for role, content, extra in groups:
        content.sort(key=_is_not_result)  # a stable sort: both kinds keep their order
        messages.append({"role": role, "content": [block for _, block in content], **(extra or {})})
    return system, messages


def _is_not_result(item: tuple[bool, Any]) -> bool:
    return not item[0]


def _written(parts: Sequence[Part], role: str, dialect: Dialect) -> list[tuple[bool, Any]]:
    """The blocks of the parts, each with whether it is a tool's result."""
    pairs = ((part, _block(part, role, dialect)) for part in parts)
    return [
        (isinstance(part, ToolResult) or (isinstance(part, Opaque) and part.kind == "tool_result"), block)
        for part, block in pairs
        if block is not None
    ]


def blocks(parts: Sequence[Part], role: str, dialect: Dialect) -> list[Any]:
    """The content blocks of a message of ``role`` (``user``, ``assistant`` or ``system``)."""
    return [block for _, block in _written(parts, role, dialect)]


def _block(part: Part, role: str, dialect: Dialect) -> Any:
    match part:
        case Text():
            return _text(part, dialect)
        case Opaque() if part.origin == dialect.origin:
            return msgspec.Raw(_checked(_OBJECT, part.json, f"the opaque part {part.kind!r}"))
        case Reasoning() if role == "assistant":
            return _reasoning(part, dialect)
        case ToolCall() if role == "assistant":
            return _tool_use(part, dialect)
        case ToolResult() if role == "user":
            return _tool_result(part, dialect)
        case Image() if role == "user":
            return _marked({"type": "image", "source": _image_source(part)}, part.cache, dialect)
        case File() if role == "user":
            return _document(part, dialect)
        case Opaque() | Reasoning():
            return None
        case _:
            raise UnsupportedError(
                f"the Messages API takes no {type(part).__name__} in a message of role {role!r}"
            )


def _marked(block: dict[str, Any], cache: bool, dialect: Dialect) -> dict[str, Any]:
    if cache:
        ttl = {} if dialect.cache_ttl is None else {"ttl": dialect.cache_ttl}
        block["cache_control"] = {"type": "ephemeral", **ttl}
    return block


def _text(part: Text, dialect: Dialect) -> dict[str, Any] | None:
    if not part.text:
        return None
    block: dict[str, Any] = {"type": "text", "text": part.text}
    if part.signature is not None and part.origin == dialect.origin:
        block["citations"] = msgspec.Raw(_checked(_ARRAY, part.signature, "the citations of a text"))
    return _marked(block, part.cache, dialect)


def _reasoning(part: Reasoning, dialect: Dialect) -> dict[str, Any] | None:
    if part.origin != dialect.origin:
        return None
    if part.encrypted is not None:
        return {"type": "redacted_thinking", "data": part.encrypted}
    if part.signature is None:
        return None
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}


def _tool_use(part: ToolCall, dialect: Dialect) -> dict[str, Any]:
    arguments = _checked(
        _OBJECT, part.arguments or "{}", f"the arguments of tool call {part.id!r} ({part.name})"
    )
    block: dict[str, Any] = {"type": "tool_use", "id": _call_id(part.id), "name": part.name}
    block["input"] = msgspec.Raw(arguments)
    if part.signature is not None and part.origin == dialect.origin:
        block.update(
            _OBJECT.decode(_checked(_OBJECT, part.signature, f"the signature of tool call {part.id!r}"))
        )
    return block


def _tool_result(part: ToolResult, dialect: Dialect) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": _call_id(part.tool_call_id)}
    block["content"] = (
        part.content if isinstance(part.content, str) else blocks(part.content, "user", dialect)
    )
    if part.is_error:
        block["is_error"] = True
    return _marked(block, part.cache, dialect)


def _call_id(identifier: str) -> str:
    return _ID.sub("_", identifier)


def _checked(decoder: msgspec.json.Decoder[Any], text: str, what: str) -> bytes:
    """The text as bytes, to be put into the body as it is: so it must be the JSON it claims to be."""
    try:
        data = text.encode()
        decoder.decode(data)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"{what}: not the JSON that belongs there ({error}): {text[:200]!r}") from error
    return data


def _image_source(image: Image) -> dict[str, Any]:
    if image.url is None:
        return _base64(image.media_type or "", image.data or b"")
    data = split_data_url(image.url)
    return {"type": "url", "url": image.url} if data is None else _base64(*data)


def _document(file: File, dialect: Dialect) -> dict[str, Any]:
    data = None if file.data is None else (file.media_type or "", file.data)
    if data is None and file.url is not None:
        data = split_data_url(file.url)
    source: dict[str, Any]
    if file.file_id is not None:
        source = {"type": "file", "file_id": file.file_id}
    elif data is None:
        source = {"type": "url", "url": file.url}
    elif data[0].startswith("image/"):
        return _marked({"type": "image", "source": _base64(*data)}, file.cache, dialect)
    elif data[0] == "application/pdf":
        source = _base64(*data)
    elif data[0].startswith("text/"):
        # The API knows one kind of text; what is written in it (Markdown, CSV) the model sees for itself.
        source = {"type": "text", "media_type": "text/plain", "data": data[1].decode("utf-8", "replace")}
    else:
        raise _unsupported("File.media_type", data[0], "documents are application/pdf or text")
    block = {"type": "document", "source": source}
    if file.name is not None:
        block["title"] = file.name
    return _marked(block, file.cache, dialect)


def _base64(media_type: str, data: bytes) -> dict[str, Any]:
    return {"type": "base64", "media_type": media_type, "data": base64.b64encode(data).decode("ascii")}
