"""A :class:`ChatRequest` as the JSON body of ``POST /responses`` (OpenAI's API reference and its Python SDK 3.54, 2026-11).

A conversation is a list of *items*. A turn becomes as many as it takes: its texts a ``message``, each call a ``function_call``, each
result a ``function_call_output``, in the order of the parts. What the API gave and only the API understands goes back as the bytes it
was, and only where it came from (see ``openai_responses_events``): reasoning items, opaque items, members such as ``phase``.

Messages and calls go without their ids: the API looks for what it has stored under them, and with ``store`` off there is nothing.
``is_error`` of a result has no field: the model reads it from the text. Cache marks and names of messages have no place and are left
out; everything else that cannot be said raises :class:`UnsupportedError` with field and value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

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
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    UnsupportedError,
)
from .openai_responses_dialect import Dialect
from .shared import data_url, encode_json, image_url
from .surrogates import decode_lenient

__all__ = ["count_body", "responses_body"]

_PLAIN_FIELDS = ("temperature", "top_p", "parallel_tool_calls", "service_tier")
_COUNTED = (
    "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "text", "truncation",
    "conversation", "previous_response_id", "personality",
)  # fmt: skip
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCRYPTED = "reasoning.encrypted_content"
_LONGEST_ID = 64  # "Invalid 'input[2].call_id': string too long. Expected a string with maximum length 64"
_CUSTOM = "custom_tool_call"


def responses_body(request: ChatRequest, dialect: Dialect, origin: str, *, stream: bool) -> bytes:
    """The body. Raises :class:`UnsupportedError` for what this service cannot be told, naming field and value."""
    body = _asked(request, dialect, origin)
    if request.max_tokens is not None:
        body["max_output_tokens"] = request.max_tokens
    for field in _PLAIN_FIELDS:
        value = getattr(request, field)
        if value is not None:
            body[field] = value
    if request.user is not None:
        body[dialect.user_field] = request.user
    if dialect.store is not None:
        body["store"] = dialect.store
    if _wants_encrypted(request, dialect, origin):
        body["include"] = [_ENCRYPTED]
    if stream:
        body["stream"] = True
    if request.extra:
        body.update(request.extra)
    return encode_json(body)


def count_body(request: ChatRequest, dialect: Dialect, origin: str) -> bytes:
    """The body that asks for the count of input tokens: only what the counting endpoint takes."""
    body = _asked(request, dialect, origin)
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    body.update(request.extra or {})
    return encode_json({name: value for name, value in body.items() if name in _COUNTED})


def _asked(request: ChatRequest, dialect: Dialect, origin: str) -> dict[str, Any]:
    """What the model sees of a request."""
    for field in dialect.rejects:
        value = getattr(request, field)
        if value is not None and value != ():
            raise _unsupported(field, value)
    body: dict[str, Any] = {"model": request.model}
    turns = request.turns
    instructions, begin = _instructions(turns) if dialect.instructions else ("", 0)
    if instructions:
        body["instructions"] = instructions
    body["input"] = _Writer(dialect, origin).items(turns[begin:])
    if request.tools:
        body["tools"] = [_tool(request, index, dialect) for index in range(len(request.tools))]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice)
    text: dict[str, Any] = {}
    if request.response_format is not None:
        text["format"] = _format(request)
    if request.verbosity is not None:
        text["verbosity"] = request.verbosity
    if text:
        body["text"] = text
    reasoning = _reasoning(request.reasoning)
    if reasoning:
        body["reasoning"] = reasoning
    return body


def _unsupported(field: str, value: object) -> UnsupportedError:
    return UnsupportedError(
        f"the Responses API does not take {field}; got {value!r:.200}", code="unsupported_parameter"
    )


# Options ----------------------------------------------------------------------------------------------------------------


def _tool(request: ChatRequest, index: int, dialect: Dialect) -> dict[str, Any]:
    tool = request.tools[index]
    written: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description:
        written["description"] = tool.description
    written["parameters"] = tool.parameters
    if dialect.tool_strict:
        # Not said, it means strict here, which makes every parameter a required one; on every other API of the world it does not.
        written["strict"] = bool(tool.strict)
    return written


def _tool_choice(choice: ToolChoice) -> Any:
    return {"type": "function", "name": choice.name} if choice.mode == "tool" else choice.mode


def _format(request: ChatRequest) -> dict[str, Any]:
    form = request.response_format
    assert form is not None  # asked only then
    if form.schema is None:
        return {"type": form.type}
    written: dict[str, Any] = {"type": form.type, "name": form.name, "schema": form.schema}
    if form.strict is not None:
        written["strict"] = form.strict
    return written


def _is_off(options: ReasoningOptions) -> bool:
    return options.enabled is False or options.effort == "none" or options.budget_tokens == 0


def _reasoning(options: ReasoningOptions | None) -> dict[str, Any]:
    if options is None:
        return {}
    if options.budget_tokens:
        raise _unsupported("reasoning.budget_tokens", options.budget_tokens)
    said = {"effort": "none" if _is_off(options) else options.effort, "summary": options.summary}
    return {name: value for name, value in said.items() if value is not None}


def _wants_encrypted(request: ChatRequest, dialect: Dialect, origin: str) -> bool:
    if dialect.store or dialect.encrypted_reasoning == "never":
        return False
    if dialect.encrypted_reasoning == "always":
        return True
    if request.reasoning is not None:
        return not _is_off(request.reasoning)
    parts = (part for turn in request.turns for part in turn.parts)
    return any(isinstance(part, Reasoning) and part.encrypted and part.origin == origin for part in parts)


# Items ------------------------------------------------------------------------------------------------------------------


def _instructions(turns: Sequence[Message]) -> tuple[str, int]:
    """The text of the leading system messages, and how many they are. A request of nothing else keeps them as its input."""
    texts: list[str] = []
    for turn in turns:
        if turn.role != "system" or turn.extra or not all(isinstance(part, Text) for part in turn.parts):
            break
        texts.append(turn.text)
    return ("\n\n".join(texts), len(texts)) if len(texts) < len(turns) else ("", 0)


class _Writer:
    """Writes the items of one request."""

    def __init__(self, dialect: Dialect, origin: str) -> None:
        self._dialect = dialect
        self._origin = origin
        self._custom: set[str] = (
            set()
        )  # the ids of calls of custom tools, whose results have a type of their own
        self._written: list[Any] = []

    def items(self, turns: Sequence[Message]) -> list[Any]:
        for turn in turns:
            if turn.role == "assistant":
                self._assistant(turn)
            else:
                self._others(turn)
        return self._written

    def _message(
        self, role: str, content: list[Any], turn: Message, more: dict[str, Any] | None = None
    ) -> None:
        if content:
            item = {"type": "message", "role": role, "content": content}
            self._written.append({**item, **(more or {}), **(turn.extra or {})})

    def _assistant(self, turn: Message) -> None:
        """Texts that follow each other are one message, unless what they go back with differs (``phase``)."""
        texts: list[Text] = []
        for part in turn.parts:
            item: Any = None
            match part:
                case Text():
                    if texts and self._own(texts[-1]) != self._own(part):
                        self._texts(texts, turn)
                        texts = []
                    texts.append(part)
                    continue
                case Reasoning():
                    item = self._reasoning(part)
                case ToolCall():
                    item = self._call(part)
                case Opaque():
                    if part.origin == self._origin:
                        item = _checked(part.json, f"the opaque part {part.kind!r}")
                case Image() | File() | ToolResult():
                    raise _unsupported("content of an assistant message", type(part).__name__)
            if item is not None:
                self._texts(texts, turn)
                texts = []
                self._written.append(item)
        self._texts(texts, turn)

    def _texts(self, texts: list[Text], turn: Message) -> None:
        content = [{"type": "output_text", "text": text.text} for text in texts if text.text]
        if content:
            more = _members(self._own(texts[0]), "the signature of a text")
            self._message("assistant", content, turn, more)

    def _own(self, part: Text | ToolCall) -> str | None:
        return part.signature if part.origin == self._origin else None

    def _others(self, turn: Message) -> None:
        """Results first, as they answer the turn before; then what the user says with them."""
        if turn.role == "tool" and isinstance(turn.content, str):
            raise BadRequestError(
                "a message of role 'tool' holds ToolResult parts, which say what call they answer; got a string"
            )
        content: list[Any] = []
        for part in turn.parts:
            match part:
                case ToolResult() if turn.role in ("tool", "user"):
                    item = self._result(part)
                    self._written.append({**item, **(turn.extra or {})} if turn.role == "tool" else item)
                case Opaque() if part.origin == self._origin and not part.kind.startswith("input_"):
                    self._written.append(_checked(part.json, f"the opaque part {part.kind!r}"))
                case Reasoning():
                    pass
                case _:
                    if turn.role == "tool":
                        raise BadRequestError(
                            f"a message of role 'tool' holds ToolResult parts only; got {type(part).__name__}"
                        )
                    written = self._part(part)
                    if written is not None:
                        content.append(written)
        role = self._dialect.system_role or turn.role if turn.role in ("system", "developer") else "user"
        self._message(role, content, turn)

    def _part(self, part: Part) -> Any:
        match part:
            case Text():
                return {"type": "input_text", "text": part.text} if part.text else None
            case Image():
                written = {"type": "input_image", "image_url": image_url(part)}
                return written if part.detail is None else {**written, "detail": part.detail}
            case File():
                return _file(part)
            case Opaque():
                return (
                    _checked(part.json, f"the opaque part {part.kind!r}")
                    if part.origin == self._origin
                    else None
                )
            case _:
                raise BadRequestError(f"{type(part).__name__} cannot stand in a message of this role")

    def _reasoning(self, part: Reasoning) -> Any:
        replay = self._dialect.reasoning_replay
        if part.origin != self._origin or replay == "none":
            return None
        if replay == "encrypted" and part.encrypted is None and self._dialect.store is False:
            return None  # "Item with id 'rs_...' not found. Items are not persisted when `store` is set to false."
        if part.signature is not None:
            return _checked(part.signature, "the signature of a reasoning")
        item: dict[str, Any] = {"type": "reasoning"}
        if part.id is not None:
            item["id"] = part.id
        item["summary"] = [{"type": "summary_text", "text": part.text}] if part.text else []
        if part.encrypted is not None:
            item["encrypted_content"] = part.encrypted
        return item

    def _call(self, call: ToolCall) -> dict[str, Any]:
        more = _members(self._own(call), f"the signature of tool call {call.id!r}")
        call_id = _call_id(call.id)
        if more.get("type") == msgspec.Raw(b'"custom_tool_call"'):
            self._custom.add(call_id)
            return {"type": _CUSTOM, "call_id": call_id, "name": call.name, "input": call.arguments, **more}
        item = {"type": "function_call", "call_id": call_id, "name": call.name}
        return {**item, "arguments": call.arguments or "{}", **more}

    def _result(self, result: ToolResult) -> dict[str, Any]:
        call_id = _call_id(result.tool_call_id)
        kind = _CUSTOM if call_id in self._custom else "function_call"
        output: Any = result.content
        if not isinstance(output, str):
            if all(isinstance(part, Text) for part in output):
                output = "\n".join(part.text for part in output if isinstance(part, Text))
            else:
                output = [written for written in map(self._part, output) if written is not None]
        return {"type": f"{kind}_output", "call_id": call_id, "output": output}


def _file(file: File) -> dict[str, Any]:
    media_type = file.media_type or ""
    if file.file_id is not None:
        return {"type": "input_file", "file_id": file.file_id}
    if file.data is not None and media_type.startswith("audio/"):
        form = media_type.removeprefix("audio/").removeprefix("x-")
        data = data_url("", file.data).partition(",")[2]
        audio = {"data": data, "format": {"mpeg": "mp3", "wave": "wav"}.get(form, form)}
        return {"type": "input_audio", "input_audio": audio}
    written: dict[str, Any] = {"type": "input_file"}
    if file.url is not None and not file.url.startswith("data:"):
        return {**written, "file_url": file.url}
    # The API refuses file_data without a name, and reads the kind of the file from the name's end.
    named = file.name or ("file.pdf" if media_type in ("", "application/pdf") else "file.txt")
    return {**written, "filename": named, "file_data": file.url or data_url(media_type, file.data or b"")}


def _call_id(call_id: str) -> str:
    """The id, or where another provider's is longer than this API takes, one that stands for it, the same each time."""
    if len(call_id) <= _LONGEST_ID:
        return call_id
    return "call_" + hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def _checked(text: str, what: str) -> msgspec.Raw:
    """The text, to be put into the body as it is: so it must be the JSON object it claims to be."""
    return _object(text, what)[0]


def _members(signature: str | None, what: str) -> dict[str, Any]:
    return {} if signature is None else dict(_object(signature, what)[1])


def _object(text: str, what: str) -> tuple[msgspec.Raw, dict[str, msgspec.Raw]]:
    """Escaped halves of characters may stand in it: the provider wrote them, and gets them back."""
    try:
        data = text.encode()
        return msgspec.Raw(data), decode_lenient(_OBJECT, data)
    except (ValueError, ProtocolError) as error:
        raise BadRequestError(
            f"{what}: not the JSON object that belongs there ({error}): {text[:200]!r}"
        ) from error
