"""The reference's handler for the language models of an editor (VS Code's Language Model API).

It is no network API: the editor is asked through a bridge (:class:`~tercet.adapters.reference.CallHost`). Messages and parts have the names that
the editor's API has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from tercet.codecs.vocabulary import ProviderError, TercetError

from . import facts
from .actions import CallHost, Chunk, Conversation, Emit, HostPart
from .errors import reworded
from .family import Family, Setup
from .messages import Message
from .values import get, is_list, is_object, items_of, parse_json, stringify, text_of

__all__ = ["VsCodeFamily", "vscode_models"]

_USER, _ASSISTANT = 1, 2
_EXCLUDED = ("claude-3.7-sonnet", "claude-3.7-sonnet-thought")
_NOBODY = {
    "id": "default-lm",
    "name": "Default Language Model",
    "vendor": "vscode",
    "family": "lm",
    "version": "1.0",
    "maxInputTokens": 8192,
}
_LIMITED = "Language model functionality is limited. Please check VS Code configuration."
_WHO = "Roo Code <Language Model API>: "
_Part = dict[str, Any]


class VsCodeFamily(Family):
    """``create_message``, ``complete_prompt``, ``count_tokens`` and ``get_model`` of the reference's ``VsCodeLmHandler``."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._model: Mapping[str, Any] | None = None
        self._stand_in: Iterator[Mapping[str, Any]] = iter(())

    def get_model(self) -> dict[str, Any]:
        """``{id, info}``: the editor's model once it was asked for one, before that what the settings name."""
        found = self._model
        named: Any = found or self.options.get("vsCodeLmModelSelector") or {}
        parts = [named.get(name) for name in ("vendor", "family", "version")]
        model_id = named.get("id") or "/".join(part for part in parts if part) or "vscode-lm"
        if found is None:
            return {"id": model_id, "info": facts.constant("openai", "openAiModelInfoSaneDefaults")}
        info = {
            "maxTokens": -1,
            "contextWindow": max(0, found.get("maxInputTokens") or 0),
            "supportsImages": False,
            "supportsPromptCache": True,
            "inputPrice": 0,
            "outputPrice": 0,
        }
        return {"id": model_id, "info": info}

    def create_message(
        self, system: str, messages: Sequence[Message], metadata: Mapping[str, Any] | None = None
    ) -> Conversation[None]:
        """Text chunks, calls of tools as texts of JSON, then usage by the editor's own counts."""
        model = yield from self._find()
        spoken = [_message(_ASSISTANT, [_text(system)]), *map(_converted, messages)]
        input_ = 0
        for message in spoken:
            input_ += yield from self._count(_countable(message))
        name, vendor = (text_of(model.get(field)) for field in ("name", "vendor"))
        options = {
            "justification": f"Roo Code would like to use '{name}' from '{vendor}', Click 'Allow' to proceed."
        }
        said = ""
        try:
            yield from self._send(spoken, options)
            while (part := (yield from self._next_part())) is not None:
                text = _part_text(part)
                if text is not None:
                    said += text
                    yield Emit({"type": "text", "text": text})
            output = yield from self._count(said)
        except ProviderError as error:
            raise reworded(error, _told(error)) from error
        usage: Chunk = {"type": "usage", "inputTokens": input_, "outputTokens": output}
        yield Emit(usage)

    def complete_prompt(self, prompt: str) -> Conversation[str]:
        """All the text of the reply."""
        said = ""
        try:
            yield from self._find()
            yield from self._send([_message(_USER, [_text(prompt)])], {})
            while (part := (yield from self._next_part())) is not None:
                said += text_of(part["text"]) if "text" in part else ""
        except ProviderError as error:
            raise reworded(error, f"VSCode LM completion error: {error.message}") from error
        return said

    def count_tokens(self, content: Sequence[Mapping[str, Any]]) -> Conversation[int]:
        """The editor's count of the texts; a picture counts as a word, and any failure as nothing."""
        texts = [block.get("text") or "" if block["type"] == "text" else "[IMAGE]" for block in content]
        try:
            yield from self._find()
        except TercetError:
            return 0
        return (yield from self._count("".join(texts)))

    def list_models(self) -> Conversation[Any]:
        """The editor's models, but for those that the reference leaves out."""
        return vscode_models()

    def _find(self) -> Conversation[Mapping[str, Any]]:
        """The first model that the settings' selector finds; a stand-in where it finds none."""
        if self._model is None:
            found = yield CallHost({"select": self.options.get("vsCodeLmModelSelector") or {}})
            first = get(found, 0)
            self._model = first if is_object(first) else _NOBODY
        return self._model

    def _send(self, messages: Sequence[_Part], options: Mapping[str, Any]) -> Conversation[None]:
        self._stand_in = iter(({"text": _LIMITED},))
        if self._model is not _NOBODY:
            yield CallHost({"sendRequest": {"messages": list(messages), "options": options}})

    def _next_part(self) -> Conversation[Mapping[str, Any] | None]:
        if self._model is _NOBODY:
            return next(self._stand_in, None)
        part: Mapping[str, Any] | None = yield HostPart()
        return part

    def _count(self, text: str) -> Conversation[int]:
        """The editor's count of a text, nothing where it fails."""
        if not text or self._model is _NOBODY:
            return 0
        try:
            count = yield CallHost({"countTokens": text})
        except ProviderError:
            return 0
        return count if isinstance(count, int) and count > 0 else 0


def vscode_models() -> Conversation[list[Any]]:
    """The editor's models, but for those that the reference leaves out."""
    found = yield CallHost({"select": {}})
    return [model for model in items_of(found) if get(model, "id") not in _EXCLUDED]


def _told(error: ProviderError) -> str:
    if error.code == "cancelled":
        return f"{_WHO}Request cancelled by user"
    if error.code == "object":
        return f"{_WHO}Response stream error: {stringify(parse_json(error.body), indent=2)}"
    return error.message


def _part_text(part: Mapping[str, Any]) -> str | None:
    """A part of the reply as text; None for one that the reference leaves out."""
    text = part.get("text")
    if text is not None:
        return text if isinstance(text, str) else None
    tool = part.get("tool")
    name, call_id, input_ = (get(tool, field) for field in ("name", "callId", "input"))
    if not (name and isinstance(name, str) and call_id and isinstance(call_id, str)):
        return None
    if not (is_object(input_) or is_list(input_)):
        return None
    return stringify({"type": "tool_call", "name": name, "arguments": input_, "callId": call_id})


def _message(role: int, content: list[_Part]) -> _Part:
    return {"role": role, "content": content}


def _text(value: str) -> _Part:
    return {"part": "LanguageModelTextPart", "value": value}


def _converted(message: Message) -> _Part:
    content: Any = message["content"]
    role = _ASSISTANT if message["role"] == "assistant" else _USER
    if isinstance(content, str):
        return _message(role, [_text(content)])
    blocks = cast("Sequence[Mapping[str, Any]]", content)
    if role == _USER:
        results = [_result(block) for block in blocks if block["type"] == "tool_result"]
        texts = [_text(_shown(block)) for block in blocks if block["type"] in ("text", "image")]
        return _message(role, [*results, *texts])
    calls = [_call(block) for block in blocks if block["type"] == "tool_use"]
    texts = [
        _text(
            "[Image generation not supported by VSCode LM API]" if block["type"] == "image" else block["text"]
        )
        for block in blocks
        if block["type"] in ("text", "image")
    ]
    return _message(role, [*calls, *texts])


def _result(block: Mapping[str, Any]) -> _Part:
    content = block.get("content")
    texts = [content] if isinstance(content, str) else [_shown(item) for item in items_of(content)] or [""]
    return {
        "part": "LanguageModelToolResultPart",
        "callId": block["tool_use_id"],
        "content": [{"value": text} for text in texts],
    }


def _call(block: Mapping[str, Any]) -> _Part:
    return {
        "part": "LanguageModelToolCallPart",
        "callId": block["id"],
        "name": block["name"],
        "input": _as_object(block.get("input")),
    }


def _as_object(value: Any) -> Any:
    """A tool's input; a text is parsed, and is an empty object when it cannot be."""
    if isinstance(value, str):
        try:
            return parse_json(value)
        except ValueError:
            return {}
    return value if is_object(value) else {}


def _shown(block: Mapping[str, Any]) -> str:
    if block["type"] == "image":
        kind = get(block, "source", "type") or "Unknown source-type"
        media = get(block, "source", "media_type") or "unknown media-type"
        return f"[Image ({kind}): {media} not supported by VSCode LM API]"
    return text_of(block.get("text") or "")


def _countable(message: _Part) -> str:
    """The text of a message that is counted."""
    return "".join(map(_countable_part, message["content"]))


def _countable_part(part: _Part) -> str:
    match part["part"]:
        case "LanguageModelToolCallPart":
            return f"{part['name']}{part['callId']}{stringify(part['input']) if part['input'] else ''}"
        case "LanguageModelToolResultPart":
            return "".join((part["callId"], *(item["value"] for item in part["content"])))
        case _:
            return text_of(part["value"])
