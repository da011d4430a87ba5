"""The reference's Mistral handler, as Mistral's SDK 1.9.18 sends and checks: keys in its order, no retries, an empty cookie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from tercet.codecs.framing.sse import SseDecoder
from tercet.codecs.vocabulary import (
    BadRequestError,
    ConfigurationError,
    ProtocolError,
    ProviderError,
    TercetError,
    TransportError,
)

from . import facts
from .actions import Chunk, Conversation, Emit, Read, Reply
from .errors import error_class, interrupted, reworded
from .family import Family, Setup
from .http import Request, fetch_once, merge_headers, read_text
from .messages import Message
from .values import (
    get,
    is_list,
    is_object,
    is_true,
    items_of,
    parse_float,
    parse_json,
    present,
    stringify,
    text_of,
)

__all__ = ["MistralFamily", "to_mistral"]

_CODESTRAL = "https://codestral.mistral.ai"
_MISTRAL = "https://api.mistral.ai"
_JSON = "application/json"
_EVENTS = "text/event-stream"
# What the SDK's schemas ask of an answer, in their order: the top level, which is where an error in place of an answer shows.
_CHUNK_SHAPE = (("id", "string"), ("model", "string"), ("choices", "array"))
_ANSWER_SHAPE = (
    ("id", "string"),
    ("object", "string"),
    ("model", "string"),
    ("usage", "object"),
    ("created", "number"),
    ("choices", "array"),
)


class MistralFamily(Family):
    """``create_message``, ``complete_prompt`` and ``get_model`` of the reference's ``MistralHandler``. Raises without a key."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        if not is_true(self.options.get("mistralApiKey")):
            raise ConfigurationError("Mistral API key is required")

    def get_model(self) -> dict[str, Any]:
        """``{id, info, maxTokens?, temperature}``; an unknown id is kept, with the default model's facts."""
        known = facts.models("mistral")
        model_id = self.options.get("apiModelId") or facts.default_model("mistral")
        info = known.get(model_id) or known[facts.default_model("mistral")]
        chosen = self.options.get("modelTemperature")
        return {
            "id": model_id,
            "info": info,
            **present(
                maxTokens=info.get("maxTokens") if is_true(self.options.get("includeMaxTokens")) else None
            ),
            "temperature": facts.constant("mistral", "MISTRAL_DEFAULT_TEMPERATURE")
            if chosen is None
            else chosen,
        }

    def create_message(
        self, system: str, messages: Sequence[Message], metadata: Mapping[str, Any] | None = None
    ) -> Conversation[None]:
        """Text and reasoning chunks, then usage. Errors have the SDK's texts, without a name before them."""
        model = self.get_model()
        body = {
            "model": model["id"],
            "temperature": model["temperature"],
            **present(max_tokens=model.get("maxTokens")),
            "stream": True,
            "messages": [{"content": system, "role": "system"}, *to_mistral(messages)],
        }
        yield from self._post(body, _EVENTS)
        yield from _Stream().run()

    def complete_prompt(self, prompt: str) -> Conversation[str]:
        """The answer's text; of a list of parts, those that are text, joined."""
        model = self.get_model()
        body = {
            "model": model["id"],
            "temperature": model["temperature"],
            "stream": False,
            "messages": [{"content": prompt, "role": "user"}],
        }
        try:
            yield from self._post(body, _JSON)
            answer = yield from _read_answer()
        except TercetError as error:
            raise reworded(error, f"Mistral completion error: {error.message}") from error
        content = get(answer, "choices", 0, "message", "content")
        if is_list(content):
            return "".join(text_of(part.get("text") or "") for part in content if get(part, "type") == "text")
        return content or ""

    def _post(self, body: Mapping[str, Any], accept: str) -> Conversation[None]:
        """Post the body; what comes back is of the type asked for, or an error is raised."""
        base = _MISTRAL
        if text_of(body["model"]).startswith("codestral-"):
            base = self.options.get("mistralCodestralUrl") or _CODESTRAL
        request = Request(
            "POST",
            base.removesuffix("/") + "/v1/chat/completions",
            merge_headers(
                {
                    "Content-Type": _JSON,
                    "Accept": accept,
                    "authorization": f"Bearer {self.options['mistralApiKey']}",
                    "cookie": "",
                    "user-agent": "tercet",
                }
            ),
            stringify(body).encode(),
        )
        try:
            reply = yield from fetch_once(request, _failure)
        except TransportError as error:
            raise reworded(error, f"Unable to make request: {error.message}") from error
        if accept not in reply.headers.get("content-type", ""):
            text = yield from read_text()
            raise _unexpected("Unexpected API response status or content-type", reply, text)


def to_mistral(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Mistral's messages, keys in its SDK's order. Tool blocks are dropped, and a user message that has nothing else."""
    out: list[dict[str, Any]] = []
    for message in messages:
        content: Any = message["content"]
        is_user = message["role"] == "user"
        if not isinstance(content, str):
            blocks = cast("Sequence[Mapping[str, Any]]", content)
            spoken = [block for block in blocks if block["type"] in ("text", "image")]
            if is_user:
                if not spoken:
                    continue
                content = [_part(block) for block in spoken]
            else:
                texts = ["" if block["type"] == "image" else block["text"] for block in spoken]
                content = "\n".join(texts) if spoken else None
        fields = present(content=content)
        out.append(
            {**fields, "role": "user"} if is_user else {**fields, "prefix": False, "role": "assistant"}
        )
    return out


def _part(block: Mapping[str, Any]) -> dict[str, Any]:
    if block["type"] == "text":
        return {"text": block["text"], "type": "text"}
    source = block["source"]
    url = f"data:{text_of(source.get('media_type'))};base64,{text_of(source.get('data'))}"
    return {"image_url": {"url": url}, "type": "image_url"}


class _Stream:
    """The chunks of one streamed answer. Whole is what ended with a finish reason or ``[DONE]``."""

    def __init__(self) -> None:
        self._is_whole = False
        self._is_done = False

    def run(self) -> Conversation[None]:
        decoder = SseDecoder()
        while not self._is_done:
            data: bytes = yield Read()
            for event in decoder.feed(data) if data else ():
                for chunk in self._event(bytes(event.data).decode("utf-8", "replace")):
                    yield Emit(chunk)
                if self._is_done:
                    break
            if not data:
                break
        if not self._is_whole:
            raise interrupted("finish_reason or [DONE]")

    def _event(self, data: str) -> list[Chunk]:
        if data == "[DONE]":
            self._is_done = self._is_whole = True
            return []
        try:
            event = parse_json(data)
        except ValueError as error:
            raise ProtocolError(f"an event of the stream is not JSON: {error}", body=data) from None
        issues = _issues(event, _CHUNK_SHAPE, "data")
        if issues:
            raise ProviderError(issues, code=_code(event), body=data)
        if get(event, "choices", 0, "finish_reason"):
            self._is_whole = True
        chunks = _content(get(event, "choices", 0, "delta", "content"))
        usage = get(event, "usage")
        if is_true(usage):
            chunks.append(
                {
                    "type": "usage",
                    "inputTokens": get(usage, "prompt_tokens") or 0,
                    "outputTokens": get(usage, "completion_tokens") or 0,
                }
            )
        return chunks


def _content(content: Any) -> list[Chunk]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    chunks: list[Chunk] = []
    for part in items_of(content):
        if get(part, "type") == "thinking":
            thoughts = [get(thought, "text") for thought in items_of(get(part, "thinking"))]
            chunks.extend({"type": "reasoning", "text": thought} for thought in thoughts if is_true(thought))
        elif get(part, "type") == "text" and is_true(get(part, "text")):
            chunks.append({"type": "text", "text": part["text"]})
    return chunks


def _read_answer() -> Conversation[Any]:
    text = yield from read_text()
    try:
        answer = parse_json(text)
    except ValueError as error:
        raise ProtocolError(f"the answer says it is JSON and is not: {error}", body=text) from None
    issues = _issues(answer, _ANSWER_SHAPE)
    if issues:
        raise ProtocolError(f"Response validation failed: {issues}", body=text)
    return answer


def _failure(reply: Reply, text: str) -> ProviderError:
    if reply.status == 422 and _JSON in reply.headers.get("content-type", ""):
        return _validation_failure(reply, text)
    return _unexpected("API error occurred", reply, text)


def _validation_failure(reply: Reply, text: str) -> ProviderError:
    """The SDK words a 422 by its ``detail`` alone, and says ``{}`` when there is none at the top."""
    try:
        detail = get(parse_json(text), "detail")
    except ValueError:
        return _unexpected("API error occurred", reply, text)
    known = [
        present(**{name: get(item, name) for name in ("loc", "msg", "type")}) for item in items_of(detail)
    ]
    said = stringify({"detail": known} if is_list(detail) else {})
    return _refused(BadRequestError, f"API error occurred: {said}", reply, text)


def _unexpected(said: str, reply: Reply, text: str) -> ProviderError:
    media_type = reply.headers.get("content-type") or '""'
    body = f"\n{text}" if text else '""'
    message = f"{said}: Status {reply.status} Content-Type {media_type} Body {body}"
    return _refused(error_class(reply.status), message, reply, text)


def _refused(kind: type[ProviderError], message: str, reply: Reply, text: str) -> ProviderError:
    try:
        code = _code(parse_json(text))
    except ValueError:
        code = None
    wait = parse_float(reply.headers.get("retry-after", ""))
    return kind(
        message,
        status=reply.status,
        code=code,
        request_id=reply.headers.get("x-request-id"),
        retry_after=wait if wait >= 0 else None,
        body=text,
    )


def _code(body: Any) -> str | None:
    code = get(body, "code")
    code = get(body, "type") if code is None else code
    return None if code is None else text_of(code)


def _issues(value: Any, shape: Sequence[tuple[str, str]], *path: str) -> str:
    """What is wrong with an answer's top level, worded as the SDK's validator (zod 3) does; an empty text when nothing is."""
    if not is_object(value):
        found = [_issue("object", _type_name(value), path)]
    else:
        found = [
            _issue(wanted, got, (*path, name))
            for name, wanted in shape
            if (got := _type_name(value[name]) if name in value else "undefined") != wanted
        ]
    return stringify(found, 2) if found else ""


def _issue(wanted: str, got: str, path: Sequence[str]) -> dict[str, Any]:
    message = "Required" if got == "undefined" else f"Expected {wanted}, received {got}"
    return {
        "code": "invalid_type",
        "expected": wanted,
        "received": got,
        "path": list(path),
        "message": message,
    }


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (int, float)):
        return "number"
    return "array" if is_list(value) else "object"
