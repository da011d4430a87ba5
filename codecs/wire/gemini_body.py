"""``ChatRequest`` to the body of ``generateContent``, and the :class:`Dialect` that says how a provider wants it.

What has no word in this API raises :class:`UnsupportedError` with the field and its value: ``user``, ``verbosity``, a message's
``name``, ``parallel_tool_calls=False``, a system message after the conversation has begun. What only hints (``Image.detail``,
``File.name``, cache marks: Google caches by itself) is left out. Reasoning without a signature is left out, too: summaries of
thoughts are for people, and cost input tokens.

Sources: provider sheets ``gemini``, ``vertex``, ``gemini-cli`` and ``current`` (2026-11); Google's thought signatures and function
calling guides.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast
from urllib.parse import quote, urlsplit

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
    Text,
    Tool,
    ToolCall,
    ToolResult,
    UnsupportedError,
)
from .gemini_events import ORIGIN, is_made_up_id
from .shared import split_data_url

__all__ = ["REJECTS", "SKIP_SIGNATURE", "Dialect", "model_path", "request_body"]

REJECTS = ("user", "verbosity")
"""Fields of a request that the API has no place for."""

SKIP_SIGNATURE = "skip_thought_signature_validator"
"""Google's documented stand-in for the signature of a call that its model did not make."""


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How one provider speaks Gemini. The defaults are the Generative Language API's.

    - ``stream_path``, ``chat_path``, ``count_path``, ``models_path``: ``{model}`` is replaced by the id as one path segment;
      None for ``count_path`` or ``models_path`` where there is none.
    - ``request_key``, ``response_key``, ``project``: the envelope of Code Assist, ``{"model", "project", "request": {...}}`` and
      ``{"response": {...}}``. ``project`` is left out while it is None.
    - ``thinking``: which words the models know. ``level`` is ``thinkingLevel`` (Gemini 3 and later), ``budget`` is
      ``thinkingBudget`` (2.5); the other one is refused. ``either`` sends what the caller said. Both in one request are always refused.
    - ``sends_call_ids``: whether ``functionCall`` and ``functionResponse`` carry the ids that the API gave (never those we made up).
    - ``foreign_signature``: what to sign the first call of a turn with that has no signature (:data:`SKIP_SIGNATURE`), because Gemini
      3 answers 400 without one; None to send it unsigned.
    - ``result_media``: whether images in a tool's result stand ``inside`` the ``functionResponse`` (Gemini 3) or ``after`` it.
    - ``schema_field``: ``parametersJsonSchema`` (JSON Schema) or ``parameters`` (the older OpenAPI subset).
    - ``count_form``: ``whole`` counts a ``generateContentRequest`` with tools and system text, ``plain`` (Vertex) has no such wrapper.
    - ``file_prefix``: put before a ``file_id`` that is not a URI.
    - ``finish_at_reason``: the answer ends with its finish reason, not with its bytes (see ``gemini_events``).
    """

    stream_path: str = "/v1beta/models/{model}:streamGenerateContent?alt=sse"
    chat_path: str = "/v1beta/models/{model}:generateContent"
    count_path: str | None = "/v1beta/models/{model}:countTokens"
    models_path: str | None = "/v1beta/models?pageSize=1000"
    request_key: str | None = None
    response_key: str | None = None
    project: str | None = None
    thinking: Literal["either", "level", "budget"] = "either"
    sends_call_ids: bool = True
    foreign_signature: str | None = None
    result_media: Literal["inside", "after"] = "inside"
    schema_field: Literal["parametersJsonSchema", "parameters"] = "parametersJsonSchema"
    count_form: Literal["whole", "plain"] = "whole"
    file_prefix: str = "https://generativelanguage.googleapis.com/v1beta/"
    finish_at_reason: bool = False


def model_path(template: str, model: str) -> str:
    """The path for a model. ``models/x`` is understood as ``x``, and ``tunedModels/x`` takes the place of ``models/{model}``."""
    kind, slash, rest = model.partition("/")
    if slash and kind in ("models", "tunedModels"):
        template, model = template.replace("models/{model}", f"{kind}/{{model}}"), rest
    return template.replace("{model}", quote(model, safe=""))


def request_body(request: ChatRequest, dialect: Dialect) -> dict[str, Any]:
    """The request as ``generateContent`` takes it, without an envelope; ``extra`` is merged last, objects into objects."""
    _refuse(request)
    system, groups = _grouped(request.turns)
    if not groups:
        raise UnsupportedError("messages: Gemini answers a user's turn, and there are only system messages")
    body: dict[str, Any] = {"contents": _contents(groups, dialect)}
    if system:
        body["systemInstruction"] = {"role": "user", "parts": system}
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool, dialect) for tool in request.tools]}]
    calling = _calling(request)
    if calling:
        body["toolConfig"] = {"functionCallingConfig": calling}
    config = _generation_config(request, dialect)
    if config:
        body["generationConfig"] = config
    if request.service_tier is not None:
        body["serviceTier"] = request.service_tier
    return _merged(body, request.extra or {})


def _refuse(request: ChatRequest) -> None:
    for field in REJECTS:
        value = getattr(request, field)
        if value is not None:
            raise UnsupportedError(f"{field}={value!r}: the Gemini API has no such field")
    if request.parallel_tool_calls is False:
        raise UnsupportedError(
            "parallel_tool_calls=False: the Gemini API cannot forbid several calls in one turn"
        )


# Contents ---------------------------------------------------------------------------------------------------------------


class _Group(msgspec.Struct):
    """Consecutive turns of one role: one content."""

    role: str
    parts: list[Part]
    extra: dict[str, Any]


def _grouped(turns: Sequence[Message]) -> tuple[list[dict[str, str]], list[_Group]]:
    """The system instruction's parts, and the turns with neighbours of one role merged (Gemini wants them to take turns)."""
    system: list[dict[str, str]] = []
    groups: list[_Group] = []
    for turn in turns:
        if turn.name is not None:
            raise UnsupportedError(f"a message's name={turn.name!r}: the Gemini API has no such field")
        if turn.role in ("system", "developer"):
            if groups:
                raise UnsupportedError(
                    f"a {turn.role} message after the conversation has begun: Gemini has one instruction, before it"
                )
            system += [{"text": _system_text(part)} for part in turn.parts]
            continue
        role = "model" if turn.role == "assistant" else "user"
        if groups and groups[-1].role == role:
            groups[-1].parts += turn.parts
        else:
            groups.append(_Group(role, list(turn.parts), {}))
        groups[-1].extra.update(turn.extra or {})
    return system, groups


def _system_text(part: Part) -> str:
    if isinstance(part, Text):
        return part.text
    raise UnsupportedError(
        f"a system message with a part of type {type(part).__name__}: Gemini's instruction is text"
    )


def _contents(groups: list[_Group], dialect: Dialect) -> list[dict[str, Any]]:
    calls: dict[
        str, tuple[int, str]
    ] = {}  # id -> its number and its name; made-up ids come again, the last one counts
    contents: list[dict[str, Any]] = []
    for group in groups:
        for part in group.parts:
            if isinstance(part, ToolCall):
                calls[part.id] = (len(calls), part.name)
        parts = [
            piece for part in _in_call_order(group.parts, calls) for piece in _pieces(part, calls, dialect)
        ]
        if group.role == "model" and dialect.foreign_signature is not None:
            first = next(
                (piece for piece in parts if isinstance(piece, dict) and "functionCall" in piece), None
            )
            if first is not None:  # of parallel calls only the first one is signed
                first.setdefault("thoughtSignature", dialect.foreign_signature)
        if parts:
            contents.append({"role": group.role, "parts": parts, **group.extra})
    return contents


def _in_call_order(parts: list[Part], calls: Mapping[str, tuple[int, str]]) -> list[Part]:
    """The results in the order of their calls: without ids Google tells two results of one function apart only by that."""
    results = iter(
        sorted(
            (part for part in parts if isinstance(part, ToolResult)),
            key=lambda result: calls.get(result.tool_call_id, (0, ""))[0],
        )
    )
    return [next(results) if isinstance(part, ToolResult) else part for part in parts]


def _pieces(
    part: Part, calls: Mapping[str, tuple[int, str]], dialect: Dialect
) -> list[dict[str, Any] | msgspec.Raw]:
    """What one of our parts becomes: usually one of theirs, none for what they do not want to see."""
    match part:
        case Text():
            signed = _signed({"text": part.text}, part.signature, part.origin)
            return [signed] if part.text or len(signed) > 1 else []
        case Image() | File():
            return [_media(part, dialect)]
        case ToolCall():
            call: dict[str, Any] = {"name": part.name, "args": _arguments(part)}
            if dialect.sends_call_ids and part.id and not is_made_up_id(part.id):
                call["id"] = part.id
            return [_signed({"functionCall": call}, part.signature, part.origin)]
        case ToolResult():
            return _result(part, calls, dialect)
        case Reasoning():
            signed = _signed({"text": part.text, "thought": True}, part.signature, part.origin)
            return [signed] if len(signed) > 2 else []
        case Opaque():
            return [msgspec.Raw(part.json.encode("utf-8", "replace"))] if part.origin == ORIGIN else []


def _signed(piece: dict[str, Any], signature: str | None, origin: str | None) -> dict[str, Any]:
    if signature is not None and origin == ORIGIN:
        piece["thoughtSignature"] = signature
    return piece


_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _arguments(call: ToolCall) -> msgspec.Raw:
    raw = (call.arguments or "{}").encode("utf-8", "replace")
    if not _is_object(raw):
        raise BadRequestError(
            f"the arguments of tool call {call.id!r} ({call.name}) are not a JSON object: {call.arguments[:200]!r}"
        )
    return msgspec.Raw(raw)


def _is_object(raw: bytes) -> bool:
    try:
        _OBJECT.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _result(
    part: ToolResult, calls: Mapping[str, tuple[int, str]], dialect: Dialect
) -> list[dict[str, Any] | msgspec.Raw]:
    name = part.name or calls.get(part.tool_call_id, (0, ""))[1]
    if not name:
        raise BadRequestError(
            f"a tool result answers call {part.tool_call_id!r}, which no message before it makes; give ToolResult.name"
        )
    content = (Text(part.content),) if isinstance(part.content, str) else part.content
    text = "".join(piece.text for piece in content if isinstance(piece, Text))
    response: dict[str, Any] = {"name": name, "response": _answer(text, part.is_error)}
    if dialect.sends_call_ids and part.tool_call_id and not is_made_up_id(part.tool_call_id):
        response["id"] = part.tool_call_id
    media = [_media(piece, dialect) for piece in content if isinstance(piece, Image)]
    if media and dialect.result_media == "inside":
        response["parts"] = media
        media = []
    return [{"functionResponse": response}, *media]


def _answer(text: str, is_error: bool) -> Any:
    """``response`` must be an object. ``error`` in it is Google's word for a failure, ``result`` ours for bare text."""
    raw = text.encode("utf-8", "replace")
    value: Any = msgspec.Raw(raw) if _is_object(raw) else text
    if is_error:
        return {"error": value}
    return value if isinstance(value, msgspec.Raw) else {"result": text}


_MEDIA_TYPES = {  # Vertex wants a type with every URI; a table of our own, because `mimetypes` reads the machine's files
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "mp4": "video/mp4",
}


def _media(part: Image | File, dialect: Dialect) -> dict[str, Any]:
    if part.data is not None:
        return _inline(part.media_type or "", part.data)
    url = part.url
    if url is None:
        file_id = part.file_id if isinstance(part, File) else None
        url = file_id if file_id and "://" in file_id else f"{dialect.file_prefix}{file_id}"
    data = split_data_url(url)
    if data is not None:
        return _inline(*data)
    location: dict[str, Any] = {"fileUri": url}
    media_type = part.media_type or _MEDIA_TYPES.get(urlsplit(url).path.rpartition(".")[2].lower())
    if media_type is not None:
        location["mimeType"] = media_type
    return {"fileData": location}


def _inline(media_type: str, data: bytes) -> dict[str, Any]:
    return {"inlineData": {"mimeType": media_type, "data": base64.b64encode(data).decode("ascii")}}


# Tools and settings -----------------------------------------------------------------------------------------------------


def _declaration(tool: Tool, dialect: Dialect) -> dict[str, Any]:
    declared: dict[str, Any] = {"name": tool.name}
    if tool.description:
        declared["description"] = tool.description
    declared[dialect.schema_field] = tool.parameters
    return declared


def _calling(request: ChatRequest) -> dict[str, Any]:
    """``VALIDATED`` is Google's word for "call if you like, but adhere to the schema"; ``ANY`` adheres to it anyway."""
    choice = request.tool_choice
    is_strict = any(tool.strict for tool in request.tools)
    if choice is None:
        return {"mode": "VALIDATED"} if is_strict else {}
    if choice.mode == "tool":
        return {"mode": "ANY", "allowedFunctionNames": [choice.name]}
    modes = {"auto": "VALIDATED" if is_strict else "AUTO", "none": "NONE", "required": "ANY"}
    return {"mode": modes[choice.mode]}


def _generation_config(request: ChatRequest, dialect: Dialect) -> dict[str, Any]:
    config: dict[str, Any] = {
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "maxOutputTokens": request.max_tokens,
        "stopSequences": list(request.stop) if request.stop else None,
        "seed": request.seed,
        "presencePenalty": request.presence_penalty,
        "frequencyPenalty": request.frequency_penalty,
    }
    form = request.response_format
    if form is not None and form.type != "text":
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = form.schema
    if request.reasoning is not None:
        config["thinkingConfig"] = _thinking(request.reasoning, dialect) or None
    return {name: value for name, value in config.items() if value is not None}


def _thinking(options: ReasoningOptions, dialect: Dialect) -> dict[str, Any]:
    """``thinkingConfig``. Thoughts are included when readable reasoning was asked for (``summary``, or ``enabled=True``).

    Off is a budget of 0 where budgets are known (2.5 Flash takes it, 2.5 Pro and Gemini 3 refuse it themselves); levels have no off.
    """
    is_off = options.enabled is False or options.effort == "none"
    budget = 0 if is_off and options.budget_tokens is None else options.budget_tokens
    if budget is None and dialect.thinking == "budget" and options.enabled:
        budget = -1  # dynamic: 2.5 Flash-Lite does not think unless told to
    level = None if is_off else options.effort
    if level is not None and dialect.thinking == "budget":
        raise UnsupportedError(
            f"reasoning.effort={level!r}: these models take reasoning.budget_tokens, not an effort"
        )
    if budget is not None and dialect.thinking == "level":
        if is_off:
            raise UnsupportedError(
                "reasoning off: these models always think; reasoning.effort='minimal' is the least"
            )
        raise UnsupportedError(
            f"reasoning.budget_tokens={budget}: these models take reasoning.effort, not a budget"
        )
    if budget is not None and level is not None:
        raise UnsupportedError(
            f"reasoning.effort={level!r} with budget_tokens={budget}: Gemini refuses both together"
        )
    thinking: dict[str, Any] = {}
    if level is not None:
        thinking["thinkingLevel"] = level
    if budget is not None:
        thinking["thinkingBudget"] = budget
    if options.summary is not None or options.enabled:
        thinking["includeThoughts"] = True
    return thinking


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` upon ``base``; where both have an object, their fields are merged. Lists are replaced."""
    merged = dict(base)
    for name, value in over.items():
        before = merged.get(name)
        if isinstance(before, dict) and isinstance(value, Mapping):
            merged[name] = _merged(cast("dict[str, Any]", before), cast("Mapping[str, Any]", value))
        else:
            merged[name] = value
    return merged
