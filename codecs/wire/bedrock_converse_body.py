"""Requests of Bedrock's Converse API (API reference, page "Converse", and the service model of 2023-09-30 as of 2026-11): a
:class:`ChatRequest` as a JSON body.

The rules where the two do not look alike:

- Leading system and developer messages become ``system``. Later ones stand in their place as messages of role ``system`` where the
  dialect has ``system_turns``; elsewhere they follow the leading ones.
- Consecutive turns of one side are one message (the API wants them to alternate), tool results first in it. A turn with ``extra``
  stands alone.
- Marks for the cache are blocks of their own behind what they mark (``cachePoint``).
- Blank texts are left out, because the API refuses them; so is a message of which nothing is left.
- Reasoning and opaque blocks are returned as they came, and only where they came from; unsigned reasoning is left out.
- Ids of tool calls made by other providers are written with ``_`` for characters the API refuses, and shortened to its 64.
- A document needs a name of few kinds of characters; the extension goes, other characters become ``-``, a nameless one is numbered.
- What only some models take (``top_k``, how they are told to think) goes into ``additionalModelRequestFields``, by the model's family.
- ``extra`` is merged last, at the top level; where both sides have an object, its members are joined and those of ``extra`` win.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NoReturn

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
from .anthropic_body import Dialect as MessagesDialect, sampling_fields, thinking_field
from .bedrock_models import family_of
from .shared import split_data_url

__all__ = ["REJECTS", "Dialect", "converse_body", "count_body", "media_formats", "merged_extra"]

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_ID = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_ID = 64
_COUNTED = ("messages", "system", "toolConfig", "additionalModelRequestFields")

_FORMATS: dict[str, tuple[str, str]] = {
    "image/png": ("image", "png"),
    "image/jpeg": ("image", "jpeg"),
    "image/jpg": ("image", "jpeg"),
    "image/gif": ("image", "gif"),
    "image/webp": ("image", "webp"),
    "application/pdf": ("document", "pdf"),
    "text/csv": ("document", "csv"),
    "application/msword": ("document", "doc"),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ("document", "docx"),
    "application/vnd.ms-excel": ("document", "xls"),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ("document", "xlsx"),
    "text/html": ("document", "html"),
    "text/plain": ("document", "txt"),
    "text/markdown": ("document", "md"),
    "video/x-matroska": ("video", "mkv"),
    "video/quicktime": ("video", "mov"),
    "video/mp4": ("video", "mp4"),
    "video/webm": ("video", "webm"),
    "video/x-flv": ("video", "flv"),
    "video/mpeg": ("video", "mpeg"),
    "video/x-ms-wmv": ("video", "wmv"),
    "video/3gpp": ("video", "three_gp"),
    "audio/mpeg": ("audio", "mp3"),
    "audio/opus": ("audio", "opus"),
    "audio/wav": ("audio", "wav"),
    "audio/aac": ("audio", "aac"),
    "audio/flac": ("audio", "flac"),
    "audio/mp4": ("audio", "mp4"),
    "audio/ogg": ("audio", "ogg"),
    "audio/webm": ("audio", "webm"),
}


def media_formats() -> Mapping[str, tuple[str, str]]:
    """Media type -> the block it goes into and the API's word for its format."""
    return _FORMATS


_TOP_K: dict[str, tuple[str, ...]] = {
    "claude": ("top_k",),
    "mistral": ("top_k",),
    "cohere": ("k",),
    "nova": ("inferenceConfig", "topK"),
}
"""Where a family takes ``top_k`` (User Guide, "Inference request parameters", 2026-11); the others have no place for it."""

CachePlace = Literal["system", "messages", "tools"]


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between the models behind Converse; a model's row in the catalog overrides it.

    - ``path``, ``stream_path``, ``count_path`` (None: no counting), ``models_path`` (None: no list; the list of Bedrock's own models is at
      another host): behind the base URL; ``{model}`` stands for the percent-encoded model id.
    - ``family``: whose model it is, where its id does not say (ARNs of application inference profiles); see ``bedrock_models``.
    - ``thinking``: how Claude is told to think: ``budget`` (``enabled`` with ``budget_tokens``) or ``adaptive``.
    - ``betas``: names for Claude's ``anthropic_beta``.
    - ``system_turns``: whether messages of role ``system`` may stand in the conversation.
    - ``cache_points``: where the model takes marks for the cache; elsewhere they are left out. ``cache_ttl``: ``5m`` or ``1h`` for them;
      None leaves it to the API.
    - ``origin``: whose signatures these are.
    """

    path: str = "/model/{model}/converse"
    stream_path: str = "/model/{model}/converse-stream"
    count_path: str | None = "/model/{model}/count-tokens"
    models_path: str | None = None
    family: str | None = None
    thinking: Literal["budget", "adaptive"] = "budget"
    betas: tuple[str, ...] = ()
    system_turns: bool = False
    cache_points: tuple[CachePlace, ...] = ("system", "messages", "tools")
    cache_ttl: str | None = None
    origin: str = "bedrock"


REJECTS = (
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "verbosity",
    "user",
    "parallel_tool_calls",
)
"""Fields of a request that the API has no place for."""


def converse_body(request: ChatRequest, dialect: Dialect) -> dict[str, Any]:
    """The body of a request, members in a fixed order. Raises :class:`UnsupportedError` for what the API cannot say."""
    for field in REJECTS:
        if getattr(request, field) is not None:
            _refuse(field, getattr(request, field))
    family = family_of(request.model) or dialect.family
    writer = _Writer(dialect)
    system, messages = writer.conversation(request.turns)
    if not messages:
        raise UnsupportedError(
            "the Converse API needs a user or assistant message with something in it; got none"
        )
    said: dict[str, Any] = {"messages": messages}
    if system:
        said["system"] = system
    inference, more = _inference(request), _additional(request, family, dialect)
    if inference:
        said["inferenceConfig"] = inference
    tools = _tool_config(request, dialect)
    if tools:
        said["toolConfig"] = tools
    if more:
        said["additionalModelRequestFields"] = more
    output = _output_config(request, family)
    if output:
        said["outputConfig"] = output
    if request.service_tier is not None:
        said["serviceTier"] = {"type": request.service_tier}
    return merged_extra(said, request.extra)


def count_body(request: ChatRequest, dialect: Dialect) -> dict[str, Any]:
    """The body that asks for the count of a prompt's tokens."""
    whole = converse_body(request, dialect)
    return {"input": {"converse": {name: whole[name] for name in _COUNTED if name in whole}}}


def merged_extra(said: dict[str, Any], extra: Mapping[str, Any] | None) -> dict[str, Any]:
    """``said`` with the members of ``extra``; of two objects of one name the members."""
    for name, value in (extra or {}).items():
        before = said.get(name)
        said[name] = {**before, **value} if isinstance(before, dict) and isinstance(value, Mapping) else value  # pyright: ignore[reportUnknownVariableType]  # of any kind: JSON
    return said


def _refuse(field: str, value: object, why: str = "") -> NoReturn:
    raise UnsupportedError(f"the Converse API does not take {field}={value!r:.200}{why and ': '}{why}")


# Options ----------------------------------------------------------------------------------------------------------------


def _inference(request: ChatRequest) -> dict[str, Any]:
    if request.temperature is not None and request.temperature > 1:
        _refuse("temperature", request.temperature, "its range is 0 to 1")
    given = {
        "maxTokens": request.max_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
        "stopSequences": list(request.stop) if request.stop else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _additional(request: ChatRequest, family: str | None, dialect: Dialect) -> dict[str, Any]:
    """What goes through to the model as it is."""
    more: dict[str, Any] = {}
    if family == "claude":
        if dialect.betas:
            more["anthropic_beta"] = list(dialect.betas)
        rules = MessagesDialect(thinking=dialect.thinking)
        thinking = thinking_field(request, rules)
        sampling_fields(request, rules, thinking)  # raises where the model would refuse them beside thinking
        if thinking is not None:
            more["thinking"] = thinking
    else:
        more.update(_reasoning(request, family))
    if request.top_k is not None:
        place = _TOP_K.get(family or "")
        if place is None:
            _refuse("top_k", request.top_k, "no field of this model is known for it; `extra` may say it")
        value: Any = request.top_k
        for name in reversed(place):
            value = {name: value}
        more.update(value)
    return more


def _reasoning(request: ChatRequest, family: str | None) -> dict[str, Any]:
    """How models that are not Claude are told to think, as far as ``outputConfig.effort`` does not say it."""
    options = request.reasoning
    if options is None:
        return {}
    if options.budget_tokens is not None and options.budget_tokens > 0:
        _refuse("reasoning.budget_tokens", options.budget_tokens, "this model is told an effort, if anything")
    if options.summary is not None:
        _refuse("reasoning.summary", options.summary)
    is_off = options.enabled is False or options.budget_tokens == 0
    if family == "nova":
        if is_off or options.effort == "none":
            return {"reasoningConfig": {"type": "disabled"}}
        effort = {} if options.effort is None else {"maxReasoningEffort": options.effort}
        return {"reasoningConfig": {"type": "enabled", **effort}}
    if is_off:
        _refuse("reasoning.enabled", False, "no field of this model is known for it; `extra` may say it")
    if family == "openai" and options.effort is not None:
        return {"reasoning_effort": options.effort}
    return {}


def _output_config(request: ChatRequest, family: str | None) -> dict[str, Any]:
    config: dict[str, Any] = {}
    form = request.response_format
    if form is not None and form.type == "json_object":
        _refuse("response_format.type", "json_object", "give a schema with type 'json_schema'")
    if form is not None and form.type == "json_schema":
        schema = {"schema": msgspec.json.encode(form.schema).decode(), "name": form.name}
        config["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": schema}}
    effort = None if request.reasoning is None else request.reasoning.effort
    if effort not in (None, "none") and family not in ("nova", "openai"):
        config["effort"] = effort
    return config


def _tool_config(request: ChatRequest, dialect: Dialect) -> dict[str, Any]:
    choice = request.tool_choice
    if choice is not None and choice.mode == "none" and request.tools:
        _refuse("tool_choice", "none", "leave the tools out instead")
    if not request.tools:
        return {}
    tools: list[dict[str, Any]] = []
    for tool in request.tools:
        tools.append({"toolSpec": _tool(tool)})
        tools += _cache_point(tool.cache, "tools", dialect)
    said: dict[str, Any] = {"tools": tools}
    if choice is not None:
        word = "any" if choice.mode == "required" else choice.mode
        said["toolChoice"] = {word: {} if choice.name is None else {"name": choice.name}}
    return said


def _tool(tool: Tool) -> dict[str, Any]:
    said: dict[str, Any] = {"name": tool.name}
    if tool.description:
        said["description"] = tool.description
    said["inputSchema"] = {"json": tool.parameters}
    if tool.strict is not None:
        said["strict"] = tool.strict
    return said


def _cache_point(is_marked: bool, place: CachePlace, dialect: Dialect) -> list[dict[str, Any]]:
    if not is_marked or place not in dialect.cache_points:
        return []
    ttl = {} if dialect.cache_ttl is None else {"ttl": dialect.cache_ttl}
    return [{"cachePoint": {"type": "default", **ttl}}]


# Messages ---------------------------------------------------------------------------------------------------------------


class _Writer:
    """The messages of one request. It counts the documents: each needs a name."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._documents = 0

    def conversation(self, turns: Iterable[Message]) -> tuple[list[Any], list[dict[str, Any]]]:
        """The blocks of ``system``, and the messages."""
        system: list[Any] = []
        groups: list[tuple[str, list[tuple[bool, Any]], Mapping[str, Any] | None]] = []
        for turn in turns:
            role = {"developer": "system", "tool": "user"}.get(turn.role, turn.role)
            content = self._written(turn.parts, role)
            if not content:
                continue
            if role == "system" and not (groups and self._dialect.system_turns):
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

    def _written(self, parts: Sequence[Part], role: str) -> list[tuple[bool, Any]]:
        """The blocks of the parts, each with whether it is a tool's result."""
        place: CachePlace = "system" if role == "system" else "messages"
        written: list[tuple[bool, Any]] = []
        for part in parts:
            block = self._block(part, role)
            if block is None:
                continue
            is_result = isinstance(part, ToolResult) or (
                isinstance(part, Opaque) and part.kind == "toolResult" and role == "user"
            )
            is_marked = isinstance(part, Text | Image | File | ToolResult) and part.cache
            written += [
                (is_result, found) for found in (block, *_cache_point(is_marked, place, self._dialect))
            ]
        return written

    def _block(self, part: Part, role: str) -> Any:
        origin = self._dialect.origin
        match part:
            case Text():
                return self._text(part)
            case Opaque() if part.origin == origin:
                return msgspec.Raw(_checked(_OBJECT, part.json, f"the opaque part {part.kind!r}"))
            case Reasoning() if role == "assistant":
                return self._reasoning(part)
            case ToolCall() if role == "assistant":
                what = f"the arguments of tool call {part.id!r} ({part.name})"
                arguments = msgspec.Raw(_checked(_OBJECT, part.arguments or "{}", what))
                return {"toolUse": {"toolUseId": _call_id(part.id), "name": part.name, "input": arguments}}
            case ToolResult() if role == "user":
                return self._tool_result(part)
            case Image() if role in ("user", "assistant"):
                return self._image(part)
            case File() if role in ("user", "assistant"):
                return self._file(part)
            case Opaque() | Reasoning():
                return None
            case _:
                raise UnsupportedError(
                    f"the Converse API takes no {type(part).__name__} in a message of role {role!r}"
                )

    def _text(self, part: Text) -> dict[str, Any] | None:
        if not part.text.strip():
            return None
        if part.signature is not None and part.origin == self._dialect.origin:
            citations = msgspec.Raw(_checked(_ARRAY, part.signature, "the citations of a text"))
            return {"citationsContent": {"content": [{"text": part.text}], "citations": citations}}
        return {"text": part.text}

    def _reasoning(self, part: Reasoning) -> dict[str, Any] | None:
        if part.origin != self._dialect.origin:
            return None
        if part.encrypted is not None:
            return {"reasoningContent": {"redactedContent": part.encrypted}}
        if part.signature is None:
            return None
        return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}

    def _tool_result(self, part: ToolResult) -> dict[str, Any]:
        parts = (Text(part.content),) if isinstance(part.content, str) else part.content
        content = [block for item in parts if (block := self._block(item, "user")) is not None]
        said: dict[str, Any] = {"toolUseId": _call_id(part.tool_call_id), "content": content}
        if part.is_error:  # only Claude and Nova take a status, so success is not said
            said["status"] = "error"
        return {"toolResult": said}

    def _image(self, image: Image) -> dict[str, Any]:
        data = None if image.data is None else (image.media_type or "", image.data)
        kind, media = self._media("Image", data, image.url)
        if kind != "image":
            _refuse("Image.media_type", image.media_type, "images are png, jpeg, gif or webp")
        return {"image": media}

    def _file(self, file: File) -> dict[str, Any]:
        if file.file_id is not None:
            _refuse("File.file_id", file.file_id, "Bedrock keeps no files; give data, or an s3:// URL")
        data = None if file.data is None else (file.media_type or "", file.data)
        kind, media = self._media("File", data, file.url)
        if kind != "document":
            return {kind: media}
        self._documents += 1
        name = _document_name(file.name) or f"document-{self._documents}"
        return {"document": {"format": media["format"], "name": name, "source": media["source"]}}

    def _media(
        self, what: str, data: tuple[str, bytes] | None, url: str | None
    ) -> tuple[str, dict[str, Any]]:
        """The kind of block that something goes into, with its format and source."""
        if url is not None and url[:5].lower() == "s3://":
            ending = url.rpartition(".")[2].lower()
            known = {word: (kind, word) for kind, word in _FORMATS.values()} | {"jpg": ("image", "jpeg")}
            if ending not in known:
                _refuse(f"{what}.url", url, "its ending names no format that the API knows")
            kind, word = known[ending]
            return kind, {"format": word, "source": {"s3Location": {"uri": url}}}
        if data is None and url is not None:
            data = split_data_url(url)
        if data is None:
            _refuse(f"{what}.url", url, "Bedrock fetches from s3:// only; give the data")
        media_type = data[0].partition(";")[0].strip().lower()
        if media_type not in _FORMATS:
            _refuse(f"{what}.media_type", data[0], f"it takes {', '.join(_FORMATS)}")
        kind, word = _FORMATS[media_type]
        return kind, {"format": word, "source": {"bytes": base64.b64encode(data[1]).decode("ascii")}}


def _is_not_result(item: tuple[bool, Any]) -> bool:
    return not item[0]


def _call_id(identifier: str) -> str:
    """An id that the API takes. Two that differ stay different: what is cut off is replaced by its hash."""
    written = _ID.sub("_", identifier)
    if len(written) <= _LONGEST_ID:
        return written
    digest = hashlib.sha256(identifier.encode("utf-8", "replace")).hexdigest()[:20]
    return f"{written[: _LONGEST_ID - 21]}_{digest}"


def _document_name(name: str | None) -> str:
    """The name in letters, digits, hyphens, parentheses, square brackets and single blanks; its extension is the format's business."""
    stem = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", name or "")
    plain = re.sub(r"[^A-Za-z0-9\s()\[\]-]", "-", stem)
    return re.sub(r"\s+", " ", plain).strip()[:200]


def _checked(decoder: msgspec.json.Decoder[Any], text: str, what: str) -> bytes:
    """The text as bytes, to be put into the body as it is: so it must be the JSON it claims to be."""
    try:
        data = text.encode()
        decoder.decode(data)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"{what}: not the JSON that belongs there ({error}): {text[:200]!r}") from error
    return data
