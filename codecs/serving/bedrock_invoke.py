"""Bedrock's InvokeModel as a server speaks it: the mirror of ``wire.bedrock_invoke``. The model in the path decides on the family.

Claude, Nova and the models in OpenAI's form are served by the servings of their own APIs, each event put into a ``chunk``; the families
that speak only text by :data:`VOICES`. ``client(server(tokens)) == tokens`` holds for what each of them can express; for text that is: pieces
of text that are not empty, one usage report, a finish with one of the maker's words.

A prompt is read as one user message, whatever conversation was written into it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import msgspec

from ..vocabulary import (
    BadRequestError,
    ChatRequest,
    ChatResponse,
    Finish,
    FinishReason,
    Message,
    Model,
    NotFoundError,
    ProtocolError,
    Restarted,
    StreamToken,
    TextDelta,
    Usage,
    UsageReport,
)
from ..wire.bedrock_invoke_body import CHAT_ORIGIN, Dialect, converse_dialect, messages_dialect
from ..wire.bedrock_models import family_of
from ..wire.shared import as_list, as_object, encode_json
from ..wire.surrogates import decode_lenient
from .anthropic import AnthropicServing
from .base import ServedError
from .bedrock_converse import ConverseWriter, answer_body
from .bedrock_converse_request import read_request as read_converse
from .bedrock_framing import CONTENT_TYPE, error_body, event, exception
from .openai_chat import OpenAIChatServing

__all__ = ["VOICES", "BedrockInvokeServing", "Voice"]

_ANY = msgspec.json.Decoder()
_CHAT = ("openai", "chat", "mistral")
_METRICS = "amazon-bedrock-invocationMetrics"


class Voice(msgspec.Struct, frozen=True):
    """How a family that speaks only text says it.

    ``piece`` makes the object of a stream for a text and a reason (None before the end), ``whole`` that of a whole answer with its usage.
    ``reasons`` are the maker's words. A request has its text in ``prompt``, and ``options`` under these names: in the body, or in ``holder``.
    """

    piece: Callable[[str, str | None], dict[str, Any]]
    whole: Callable[[str, str | None, Usage], dict[str, Any]]
    reasons: Mapping[FinishReason, str]
    prompt: str
    options: Mapping[str, str]
    holder: str | None = None


def _titan(text: str, reason: str | None) -> dict[str, Any]:
    return {"outputText": text, "index": 0, "completionReason": reason}


def _titan_whole(text: str, reason: str | None, usage: Usage) -> dict[str, Any]:
    result = {"tokenCount": usage.output_tokens, "outputText": text, "completionReason": reason}
    return {"inputTextTokenCount": usage.input_tokens, "results": [result]}


def _llama_whole(text: str, reason: str | None, usage: Usage) -> dict[str, Any]:
    counts = {"prompt_token_count": usage.input_tokens, "generation_token_count": usage.output_tokens}
    return {"generation": text, "stop_reason": reason, **counts}


_OPENAI_WORDS: dict[FinishReason, str] = {"stop": "stop", "length": "length"}
_COHERE_WORDS: dict[FinishReason, str] = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "content_filter": "ERROR_TOXIC",
}
_SAMPLING = {"temperature": "temperature", "top_p": "top_p"}

_LLAMA = Voice(
    piece=lambda text, reason: {"generation": text, "stop_reason": reason},
    whole=_llama_whole,
    reasons=_OPENAI_WORDS,
    prompt="prompt",
    options={"max_gen_len": "max_tokens", **_SAMPLING},
)
VOICES: Mapping[str, Voice] = {
    "claude_text": Voice(
        piece=lambda text, reason: {"completion": text, "stop_reason": reason},
        whole=lambda text, reason, usage: {"completion": text, "stop_reason": reason},
        reasons={"stop": "stop_sequence", "length": "max_tokens"},
        prompt="prompt",
        options={
            "max_tokens_to_sample": "max_tokens",
            "top_k": "top_k",
            "stop_sequences": "stop",
            **_SAMPLING,
        },
    ),
    "titan": Voice(
        piece=_titan,
        whole=_titan_whole,
        reasons={"stop": "FINISH", "length": "LENGTH", "content_filter": "CONTENT_FILTERED"},
        prompt="inputText",
        options={
            "maxTokenCount": "max_tokens",
            "temperature": "temperature",
            "topP": "top_p",
            "stopSequences": "stop",
        },
        holder="textGenerationConfig",
    ),
    "llama2": _LLAMA,
    "llama3": _LLAMA,
    "llama4": _LLAMA,
    "mistral_text": Voice(
        piece=lambda text, reason: {"outputs": [{"text": text, "stop_reason": reason}]},
        whole=lambda text, reason, usage: {"outputs": [{"text": text, "stop_reason": reason}]},
        reasons=_OPENAI_WORDS,
        prompt="prompt",
        options={"max_tokens": "max_tokens", "top_k": "top_k", "stop": "stop", **_SAMPLING},
    ),
    "deepseek_r1": Voice(
        piece=lambda text, reason: {"choices": [{"text": text, "stop_reason": reason}]},
        whole=lambda text, reason, usage: {"choices": [{"text": text, "stop_reason": reason}]},
        reasons=_OPENAI_WORDS,
        prompt="prompt",
        options={"max_tokens": "max_tokens", "stop": "stop", **_SAMPLING},
    ),
    "cohere": Voice(
        piece=lambda text, reason: (
            {"event_type": "text-generation", "text": text, "is_finished": False}
            if reason is None
            else {"event_type": "stream-end", "finish_reason": reason, "is_finished": True}
        ),
        whole=lambda text, reason, usage: {
            "text": text,
            "finish_reason": reason,
            "meta": {
                "billed_units": {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
            },
        },
        reasons=_COHERE_WORDS,
        prompt="message",
        options={
            "max_tokens": "max_tokens",
            "temperature": "temperature",
            "p": "top_p",
            "k": "top_k",
            "stop_sequences": "stop",
        },
    ),
    "cohere_text": Voice(
        piece=lambda text, reason: {"text": text, "is_finished": reason is not None, "finish_reason": reason},
        whole=lambda text, reason, usage: {"generations": [{"text": text, "finish_reason": reason}]},
        reasons=_COHERE_WORDS,
        prompt="prompt",
        options={
            "max_tokens": "max_tokens",
            "temperature": "temperature",
            "p": "top_p",
            "k": "top_k",
            "stop_sequences": "stop",
        },
    ),
}
"""Family -> how it speaks."""


class BedrockInvokeServing:
    """See :class:`tercet.codecs.serving.base.Serving`. Immutable; one serves any number of requests at once."""

    name = "bedrock_invoke"
    content_type = CONTENT_TYPE

    def __init__(self, dialect: Dialect = Dialect()) -> None:  # noqa: B008  # frozen: one for all is safe
        self.dialect = dialect
        self._path = _pattern(dialect.path)
        self._stream_path = _pattern(dialect.stream_path)
        self._messages = AnthropicServing(messages_dialect(dialect))
        self._chat = OpenAIChatServing(name=CHAT_ORIGIN)

    def request(self, method: str, path: str, body: bytes, /) -> tuple[ChatRequest, bool]:
        """A request; its path has the model and says whether a stream is wanted."""
        plain = path.partition("?")[0]
        streamed = self._stream_path.fullmatch(plain)
        found = streamed or self._path.fullmatch(plain)
        if found is None or method != "POST":
            raise NotFoundError(f"nothing answers to {method} {plain}", status=404)
        model = unquote(found["model"])
        family = self._family(model)
        if family is None:
            raise NotFoundError(f"no such model: {model}", status=404)
        return self._read(family, plain, body, model), streamed is not None

    def _family(self, model: str) -> str | None:
        return family_of(model) or self.dialect.family

    def _read(self, family: str, path: str, body: bytes, model: str) -> ChatRequest:
        if family == "claude":
            return self._messages.request("POST", path, body)[0]
        try:
            members = as_object(decode_lenient(_ANY, body))
        except ProtocolError as error:
            raise BadRequestError(error.message) from error
        if family in _CHAT:
            return self._chat.request("POST", "/chat/completions", encode_json({"model": model, **members}))[
                0
            ]
        if family == "nova":
            _put_cache_points(members)
            members.pop("schemaVersion", None)
            inference = as_object(members.get("inferenceConfig"))
            fields: dict[str, Any] = {}
            if "topK" in inference:
                fields["inferenceConfig"] = {"topK": inference.pop("topK")}
            if "reasoningConfig" in inference:
                fields["reasoningConfig"] = inference.pop("reasoningConfig")
            if fields:
                members["additionalModelRequestFields"] = fields
            return read_converse(encode_json(members), converse_dialect(self.dialect), model)
        return _read_prompt(VOICES[family], members, model)

    def stream(self, tokens: Sequence[StreamToken], /, *, model: str) -> Iterator[bytes]:
        """The messages of a streamed answer, one piece each."""
        for said in self._objects(tokens, model):
            yield event("chunk", encode_json({"bytes": base64.b64encode(said).decode("ascii")}))

    def _objects(self, tokens: Sequence[StreamToken], model: str) -> Iterator[bytes]:
        family = self._family(model)
        if family == "nova":
            for name, payload in ConverseWriter(tokens, model, CHAT_ORIGIN).events():
                yield encode_json({name: payload})
        elif family in _CHAT or family == "claude" or family is None:
            serving = self._chat if family in _CHAT else self._messages
            for piece in serving.stream(tokens, model=model):
                data = piece.partition(b"data: ")[2].strip()
                if data != b"[DONE]":
                    yield data
        else:
            yield from _told(VOICES[family], tokens)

    def response(self, response: ChatResponse, /, *, model: str) -> bytes:
        """A whole answer."""
        family = self._family(model)
        if family == "nova":
            return encode_json(answer_body(response, model, CHAT_ORIGIN))
        if family in _CHAT:
            return self._chat.response(response, model=model)
        if family == "claude" or family is None:
            return self._messages.response(response, model=model)
        voice = VOICES[family]
        reason = None
        if response.finish_reason is not None:
            reason = _word(voice, response.finish_reason, response.finish_raw)
        return encode_json(voice.whole(response.text, reason, response.usage or Usage()))

    def error(self, error: ServedError, /) -> tuple[Mapping[str, str], bytes]:
        """The type in ``x-amzn-errortype``, the message in the body."""
        return error_body(error)

    def stream_error(self, error: ServedError, /) -> bytes:
        """An exception message."""
        return exception(error)

    def models(self, models: Sequence[Model], /) -> bytes:
        """Nothing: the list is the control plane's."""
        return b"{}"

    def is_models_request(self, method: str, path: str, /) -> bool:
        """Never: the list is the control plane's."""
        return False


def _told(voice: Voice, tokens: Sequence[StreamToken]) -> Iterator[bytes]:
    """The objects of a family that speaks only text: what else there is in the tokens it cannot say."""
    usage = Usage()
    start = max((place + 1 for place, token in enumerate(tokens) if isinstance(token, Restarted)), default=0)
    for token in tokens[start:]:
        match token:
            case TextDelta() if token.text:
                yield encode_json(voice.piece(token.text, None))
            case UsageReport():
                usage = token.usage
            case Finish():
                metrics = {
                    "inputTokenCount": usage.input_tokens
                    - usage.cache_read_tokens
                    - usage.cache_write_tokens,
                    "outputTokenCount": usage.output_tokens,
                    "cacheReadInputTokenCount": usage.cache_read_tokens,
                    "cacheWriteInputTokenCount": usage.cache_write_tokens,
                    "invocationLatency": 0,
                    "firstByteLatency": 0,
                }
                last = voice.piece("", _word(voice, token.reason, token.raw))
                yield encode_json({**last, _METRICS: metrics})
            case _:
                pass


def _word(voice: Voice, reason: FinishReason, raw: str | None) -> str:
    return voice.reasons.get(reason, voice.reasons["stop"]) if raw is None else raw


def _read_prompt(voice: Voice, members: dict[str, Any], model: str) -> ChatRequest:
    prompt = members.pop(voice.prompt, None)
    if not isinstance(prompt, str) or not prompt:
        raise BadRequestError(f"the body has no text in {voice.prompt!r}")
    turns: list[Message] = []
    preamble = members.pop("preamble", None)
    if isinstance(preamble, str):
        turns.append(Message("system", preamble))
    for said in map(as_object, as_list(members.pop("chat_history", None))):
        is_user = said.get("role") == "USER"
        turns.append(Message("user" if is_user else "assistant", str(said.get("message", ""))))
    turns.append(Message("user", prompt))
    holder = members if voice.holder is None else as_object(members.pop(voice.holder, None))
    given = {name: holder.pop(word) for word, name in voice.options.items() if holder.get(word) is not None}
    if voice.holder is not None and holder:
        members[voice.holder] = holder
    try:
        return msgspec.convert(
            {"model": model, "messages": turns, **given, "extra": members or None}, ChatRequest
        )
    except (msgspec.ValidationError, TypeError) as error:
        raise BadRequestError(f"the body is not a request: {error}") from error


def _put_cache_points(members: dict[str, Any]) -> None:
    """Nova's cache points are members of their blocks; Converse's are blocks behind them."""
    for holder in (
        members.get("system"),
        *(as_object(turn).get("content") for turn in as_list(members.get("messages"))),
    ):
        blocks = as_list(holder)
        for place in range(len(blocks) - 1, -1, -1):
            block = as_object(blocks[place])
            if len(block) > 1 and "cachePoint" in block:
                blocks.insert(place + 1, {"cachePoint": block.pop("cachePoint")})


def _pattern(template: str) -> re.Pattern[str]:
    before, _, after = template.partition("{model}")
    return re.compile(re.escape(before) + r"(?P<model>[^/]+)" + re.escape(after))
