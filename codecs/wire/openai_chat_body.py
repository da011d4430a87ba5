"""A :class:`ChatRequest` as the JSON body of ``POST /chat/completions``.

Facts: OpenAI's API reference (chat completions, 2026-11), and the pages of the services whose :class:`Dialect` differs. What the
caller did not say is not sent. What the service cannot be told raises :class:`UnsupportedError` with field and value, because a
field left out in silence is an answer to another question.

Tool results become messages of role ``tool``, which must follow the calls they answer without anything between; their images
cannot stand there and move into the user message behind them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
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
    Reasoning,
    ReasoningOptions,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    UnsupportedError,
)
from .openai_dialect import Dialect
from .shared import data_url, encode_json, image_url

__all__ = ["chat_body", "count_body"]

_PLAIN_FIELDS = (
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "parallel_tool_calls",
    "verbosity",
    "service_tier",
    "user",
)
_CACHE = {"type": "ephemeral"}
_NINE = re.compile(r"[A-Za-z0-9]{9}")
_IMAGE_BELOW = "(see following user message for image)"


def chat_body(request: ChatRequest, dialect: Dialect, origin: str, *, stream: bool) -> bytes:
    """The body. Raises :class:`UnsupportedError` for what this service cannot be told, naming field and value."""
    for field in dialect.rejects:
        value = getattr(request, field)
        if value is not None and value != ():
            raise unsupported(field, value)
    body: dict[str, Any] = {"model": request.model, "messages": _Writer(request, dialect, origin).messages()}
    if request.max_tokens is not None:
        body[dialect.max_tokens_field] = request.max_tokens
    for field in _PLAIN_FIELDS:
        value = getattr(request, field)
        if value is not None:
            body[field] = value
    if request.stop is not None:
        body["stop"] = list(request.stop)
    if request.tools:
        body["tools"] = [_tool(request, index, dialect) for index in range(len(request.tools))]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice, dialect)
    if request.response_format is not None:
        body["response_format"] = _response_format(request, dialect)
    if request.reasoning is not None:
        _say_reasoning(body, request.reasoning, dialect)
    if stream:
        body["stream"] = True
        if dialect.stream_options:
            body["stream_options"] = {"include_usage": True}
    for name, other in dialect.renames.items():
        if name in body:
            body[other] = body.pop(name)
    if request.extra:
        body.update(request.extra)
    return encode_json(body)


def count_body(request: ChatRequest, dialect: Dialect, origin: str) -> bytes:
    """Model and messages alone, for services that count tokens."""
    return encode_json({"model": request.model, "messages": _Writer(request, dialect, origin).messages()})


def unsupported(field: str, value: object) -> UnsupportedError:
    """The error for a field that the service does not take."""
    return UnsupportedError(
        f"this API does not take {field}; got {value!r:.200}", code="unsupported_parameter"
    )


def _tool(request: ChatRequest, index: int, dialect: Dialect) -> dict[str, Any]:
    tool = request.tools[index]
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters
    if tool.strict is not None and dialect.tool_strict:
        function["strict"] = tool.strict
    written: dict[str, Any] = {"type": "function", "function": function}
    if tool.cache and dialect.cache_marks == "parts":
        written["cache_control"] = _CACHE
    return written


def _tool_choice(choice: ToolChoice, dialect: Dialect) -> Any:
    if choice.mode not in dialect.tool_choices:
        raise unsupported("tool_choice", choice.name or choice.mode)
    return {"type": "function", "function": {"name": choice.name}} if choice.mode == "tool" else choice.mode


def _response_format(request: ChatRequest, dialect: Dialect) -> dict[str, Any]:
    form = request.response_format
    assert form is not None  # asked only then
    if form.schema is None:
        return {"type": form.type}
    if not dialect.json_schema:
        raise unsupported("response_format", form.type)
    schema: dict[str, Any] = {"name": form.name, "schema": form.schema}
    if form.strict is not None:
        schema["strict"] = form.strict
    return {"type": "json_schema", "json_schema": schema}


def _say_reasoning(body: dict[str, Any], options: ReasoningOptions, dialect: Dialect) -> None:
    style = dialect.reasoning
    off = options.enabled is False or options.effort == "none" or options.budget_tokens == 0
    if style == "none":
        raise unsupported("reasoning", options)
    if options.summary is not None and style != "openrouter":
        raise unsupported("reasoning.summary", options.summary)
    if options.budget_tokens and style in ("effort", "thinking"):
        raise unsupported("reasoning.budget_tokens", options.budget_tokens)
    if options.effort not in (None, "none") and style in ("thinking_budget", "enable_thinking"):
        raise unsupported("reasoning.effort", options.effort)
    if style == "effort":
        effort = "none" if off else options.effort
        if effort is not None:
            body["reasoning_effort"] = effort
    elif style == "openrouter":
        said = {
            "effort": options.effort,
            "max_tokens": options.budget_tokens,
            "enabled": options.enabled,
            "summary": options.summary,
        }
        body["reasoning"] = {name: value for name, value in said.items() if value is not None}
    elif style == "thinking":
        body["thinking"] = {"type": "disabled" if off else "enabled"}
        if options.effort is not None and not off:
            body["reasoning_effort"] = options.effort
    elif style == "thinking_budget":
        thinking: dict[str, Any] = {"type": "disabled" if off else "enabled"}
        if options.budget_tokens and not off:
            thinking["budget_tokens"] = options.budget_tokens
        body["thinking"] = thinking
    else:
        body["enable_thinking"] = not off
        if options.budget_tokens and not off:
            body["thinking_budget"] = options.budget_tokens


class _Writer:
    """Writes the messages of one request."""

    def __init__(self, request: ChatRequest, dialect: Dialect, origin: str) -> None:
        self._turns = request.turns
        self._dialect = dialect
        self._origin = origin
        self._marks = dialect.cache_marks == "parts"
        self._images: list[Image] = []  # of tool results, waiting for the next user message
        self._tool_names: dict[str, str] = {}
        self._written: list[dict[str, Any]] = []

    def messages(self) -> list[dict[str, Any]]:
        for turn in self._turns:
            if turn.role == "assistant":
                self._put_images()
                self._put(self._assistant(turn), turn)
            elif turn.role in ("system", "developer"):
                self._put_images()
                self._put({"role": self._system_role(turn), "content": self._content(turn.content)}, turn)
            else:
                self._user_or_tool(turn)
        self._put_images()
        prefill = self._dialect.prefill
        if prefill is not None and self._written and self._written[-1]["role"] == "assistant":
            self._written[-1][prefill] = True
        return self._written

    def _put(self, message: dict[str, Any], turn: Message | None = None) -> None:
        if turn is not None:
            if turn.name is not None and self._dialect.message_names:
                message["name"] = turn.name
            if turn.extra:
                message.update(turn.extra)
        last = self._written[-1] if self._written else None
        if (
            self._dialect.alternate
            and last is not None
            and last["role"] == message["role"] in ("system", "user", "assistant")
        ):
            _merge(last, message)
        else:
            self._written.append(message)

    def _put_images(self) -> None:
        if self._images:
            images, self._images = self._images, []
            self._put({"role": "user", "content": self._content(images)})

    def _system_role(self, turn: Message) -> str:
        if self._dialect.alternate and any(message["role"] != "system" for message in self._written):
            return "user"  # a system message is taken at the start only
        return self._dialect.system_role or turn.role

    def _user_or_tool(self, turn: Message) -> None:
        if isinstance(turn.content, str):
            if turn.role == "tool":
                raise BadRequestError(
                    "a message of role 'tool' holds ToolResult parts, which say what call they answer; got a string"
                )
            if not self._images:
                self._put({"role": "user", "content": turn.content}, turn)
                return
        rest: list[Part] = []
        results = 0
        for part in turn.parts:
            if isinstance(part, ToolResult):
                results += 1
                self._put(self._tool_message(part), turn if turn.role == "tool" else None)
            else:
                rest.append(part)
        if turn.role == "tool":
            if rest:
                raise BadRequestError(
                    f"a message of role 'tool' holds ToolResult parts only; got {type(rest[0]).__name__}"
                )
            return
        if rest or not results:
            images, self._images = self._images, []
            self._put({"role": "user", "content": self._content([*images, *rest])}, turn)

    def _tool_message(self, result: ToolResult) -> dict[str, Any]:
        # There is no field for is_error: the model reads it from the text.
        message: dict[str, Any] = {"role": "tool", "tool_call_id": self._call_id(result.tool_call_id)}
        if self._dialect.tool_result_name:
            name = result.name or self._tool_names.get(result.tool_call_id)
            if name:
                message["name"] = name
        content: Any = result.content
        if not isinstance(content, str):
            texts = [part for part in content if isinstance(part, Text)]
            images = [part for part in content if isinstance(part, Image)]
            self._images += images
            if images:
                texts.append(Text(_IMAGE_BELOW))
            if self._dialect.tool_results == "parts":
                content = [self._text(part) for part in texts]
            else:
                content = "\n".join(part.text for part in texts)
        if result.cache and self._marks and self._dialect.tool_results == "parts":
            content = [{"type": "text", "text": content}] if isinstance(content, str) else content
            if content:
                content[-1]["cache_control"] = _CACHE
        message["content"] = content
        return message

    def _assistant(self, turn: Message) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant"}
        texts: list[Text] = []
        thoughts: list[Reasoning] = []
        calls: list[dict[str, Any]] = []
        for part in turn.parts:
            match part:
                case Text():
                    texts.append(part)
                case ToolCall():
                    calls.append(self._call(part))
                case Reasoning():
                    thoughts.append(part)
                case Opaque():
                    if part.origin == self._origin:
                        message[part.kind] = msgspec.Raw(part.json)
                case Image() | File() | ToolResult():
                    raise unsupported("content of an assistant message", type(part).__name__)
        chunks = self._thinking_chunks(thoughts)
        if chunks or (self._marks and any(text.cache for text in texts) and not self._dialect.flatten):
            message["content"] = [*chunks, *(self._text(text) for text in texts)]
        elif texts or not calls:
            message["content"] = "".join(text.text for text in texts)
        if calls:
            message["tool_calls"] = calls
        self._replay_reasoning(message, thoughts)
        return message

    def _replay_reasoning(self, message: dict[str, Any], thoughts: list[Reasoning]) -> None:
        field = self._dialect.reasoning_replay
        if field not in ("reasoning_content", "reasoning"):
            return
        text = "".join(thought.text for thought in thoughts)
        if not text and "tool_calls" in message:
            text = self._dialect.reasoning_placeholder or ""
        if text:
            message[field] = text

    def _thinking_chunks(self, thoughts: list[Reasoning]) -> list[dict[str, Any]]:
        if self._dialect.reasoning_replay != "chunks":
            return []
        chunks: list[dict[str, Any]] = []
        for thought in thoughts:
            chunk: dict[str, Any] = {"type": "thinking", "thinking": [{"type": "text", "text": thought.text}]}
            if thought.signature is not None and thought.origin == self._origin:
                chunk["signature"] = thought.signature
            chunks.append(chunk)
        return chunks

    def _call(self, call: ToolCall) -> dict[str, Any]:
        self._tool_names[call.id] = call.name
        written: dict[str, Any] = {
            "id": self._call_id(call.id),
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments or "{}"},
        }
        if call.signature is not None and call.origin == self._origin:
            written["extra_content"] = msgspec.Raw(call.signature)
        return written

    def _call_id(self, call_id: str) -> str:
        if self._dialect.tool_call_ids == "any" or _NINE.fullmatch(call_id):
            return call_id
        digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()
        return digest[:9]

    def _content(self, content: str | Iterable[Part]) -> Any:
        if isinstance(content, str):
            return content
        parts = tuple(content)
        if self._dialect.flatten:
            for part in parts:
                if not isinstance(part, Text | Reasoning | Opaque):
                    raise unsupported("content", type(part).__name__)
            return "\n".join(part.text for part in parts if isinstance(part, Text))
        if not parts:
            return ""
        if len(parts) == 1 and isinstance(parts[0], Text) and not (parts[0].cache and self._marks):
            return parts[0].text
        written = [self._part(part) for part in parts]
        return [part for part in written if part is not None]

    def _part(self, part: Part) -> Any:
        match part:
            case Text():
                return self._text(part)
            case Image():
                return self._image(part)
            case File():
                return self._marked(self._file(part), part.cache)
            case Opaque():
                return msgspec.Raw(part.json) if part.origin == self._origin else None
            case Reasoning():
                return None
            case ToolCall() | ToolResult():
                raise BadRequestError(f"{type(part).__name__} cannot stand in a message of this role")

    def _text(self, text: Text) -> dict[str, Any]:
        return self._marked({"type": "text", "text": text.text}, text.cache)

    def _image(self, image: Image) -> dict[str, Any]:
        if not self._dialect.images:
            raise unsupported("content", "Image")
        source = {"url": image_url(image)}
        if image.detail is not None:
            source["detail"] = image.detail
        return self._marked({"type": "image_url", "image_url": source}, image.cache)

    def _file(self, file: File) -> dict[str, Any]:
        style = self._dialect.files
        if style == "none":
            raise unsupported("content", "File")
        media_type = file.media_type or ""
        if style in ("file_url", "document_url"):
            if file.file_id is not None:
                raise unsupported("File.file_id", file.file_id)
            url = file.url or data_url(media_type, file.data or b"")
            return {"type": style, style: {"url": url} if style == "file_url" else url}
        if file.file_id is not None:
            return {"type": "file", "file": {"file_id": file.file_id}}
        if file.data is not None and media_type.startswith("audio/"):
            form = media_type.removeprefix("audio/").removeprefix("x-")
            data = data_url("", file.data).partition(",")[2]
            return {
                "type": "input_audio",
                "input_audio": {"data": data, "format": {"mpeg": "mp3", "wave": "wav"}.get(form, form)},
            }
        if file.url is not None and style == "file" and not file.url.startswith("data:"):
            raise unsupported("File.url", file.url)
        inner: dict[str, Any] = {"file_data": file.url or data_url(media_type, file.data or b"")}
        if file.name is not None:
            inner["filename"] = file.name
        return {"type": "file", "file": inner}

    def _marked(self, part: dict[str, Any], cache: bool) -> dict[str, Any]:
        if cache and self._marks:
            part["cache_control"] = _CACHE
        return part


def _merge(into: dict[str, Any], message: dict[str, Any]) -> None:
    """Join two messages of one role: strings with a line break, else as lists of parts. Other fields of the later one win."""
    first, second = into.get("content") or "", message.get("content") or ""
    if isinstance(first, str) and isinstance(second, str):
        content: Any = "\n".join(text for text in (first, second) if text)
    else:
        content = [*_as_parts(first), *_as_parts(second)]
    calls = [*into.get("tool_calls", ()), *message.get("tool_calls", ())]
    into.update(message)
    into["content"] = content
    if calls:
        into["tool_calls"] = calls


def _as_parts(content: str | list[Any]) -> list[Any]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content
