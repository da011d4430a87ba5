"""Requests of Bedrock's InvokeModel: each family of models has a body of its own (User Guide, "Inference request parameters and response
fields for foundation models", 2026-11).

``WRITERS`` has them all: a function from a request to the body's members. Families that speak an API of their own (Claude, Nova, OpenAI's
chat completions) are written by that API's module; the others take a prompt or a short list of turns, and refuse what they have no
place for. ``extra`` is merged last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NoReturn

import msgspec

from ..vocabulary import ChatRequest, Text, UnsupportedError
from .anthropic_body import Dialect as MessagesDialect, body as messages_body
from .bedrock_converse_body import CachePlace, Dialect as ConverseDialect, converse_body, merged_extra
from .bedrock_invoke_prompts import PROMPTS
from .openai_chat_body import chat_body
from .openai_dialect import Dialect as ChatDialect

__all__ = [
    "CHAT_ORIGIN",
    "WRITERS",
    "Dialect",
    "Writer",
    "chat_dialect",
    "converse_dialect",
    "messages_dialect",
]

CHAT_ORIGIN = "bedrock"
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between the models behind InvokeModel; a model's row in the catalog overrides it.

    - ``path``, ``stream_path``, ``count_path`` (None: no counting): behind the base URL; ``{model}`` stands for the percent-encoded id.
    - ``family``: how the model's bodies look, where its id does not say (imported models, ARNs): see ``bedrock_models``.
    - Of Claude: ``version``, ``betas``, ``max_tokens`` (when the request has none), ``thinking``, ``takes_sampling``, ``system_turns``,
      ``cache_ttl``, ``origin`` as in ``anthropic_body``.
    - Of Nova: ``cache_points`` as in ``bedrock_converse_body``.
    - ``think_tag``: the tag around reasoning at the beginning of an answer in OpenAI's form (gpt-oss says ``<reasoning>``).
    """

    path: str = "/model/{model}/invoke"
    stream_path: str = "/model/{model}/invoke-with-response-stream"
    count_path: str | None = "/model/{model}/count-tokens"
    family: str | None = None
    version: str = "bedrock-2023-05-31"
    betas: tuple[str, ...] = ()
    max_tokens: int = 8192
    thinking: Literal["budget", "adaptive"] = "budget"
    takes_sampling: bool = True
    system_turns: bool = False
    cache_ttl: str | None = None
    cache_points: tuple[CachePlace, ...] = ("system", "messages")
    think_tag: str = "reasoning"
    origin: str = "anthropic"


def messages_dialect(dialect: Dialect) -> MessagesDialect:
    """Claude's part: everything is in the path and in the body."""
    return MessagesDialect(
        path=dialect.path,
        stream_path=dialect.stream_path,
        count_path=None,
        models_path=None,
        version=dialect.version,
        version_in="body",
        betas=dialect.betas,
        betas_in="body",
        model_in_body=False,
        stream_in_body=False,
        max_tokens=dialect.max_tokens,
        thinking=dialect.thinking,
        takes_sampling=dialect.takes_sampling,
        system_turns=dialect.system_turns,
        cache_ttl=dialect.cache_ttl,
        origin=dialect.origin,
    )


def converse_dialect(dialect: Dialect) -> ConverseDialect:
    """Nova's part: its own API is what Converse was made of."""
    return ConverseDialect(
        path=dialect.path,
        stream_path=dialect.stream_path,
        family="nova",
        cache_points=dialect.cache_points,
        cache_ttl=dialect.cache_ttl,
    )


def chat_dialect(family: str) -> ChatDialect:
    """OpenAI's form, as the models of several makers take it."""
    return ChatDialect(
        origin=CHAT_ORIGIN,
        max_tokens_field="max_completion_tokens" if family == "openai" else "max_tokens",
        stream_options=False,
        done_marker="optional",
        rejects=("service_tier",),
        message_names=False,
        files="none",
    )


Writer = Callable[[ChatRequest, Dialect, str], dict[str, Any]]
"""A request, the dialect and the family to the body's members. Raises :class:`UnsupportedError` for what the family cannot be told."""


def _claude(request: ChatRequest, dialect: Dialect, family: str) -> dict[str, Any]:
    return messages_body(request, messages_dialect(dialect), stream=False)


def _nova(request: ChatRequest, dialect: Dialect, family: str) -> dict[str, Any]:
    """Converse's body, but the model's own fields stand among the others, and cache points are members of their texts."""
    bare = msgspec.structs.replace(request, extra=None)
    said = converse_body(bare, converse_dialect(dialect))
    more = said.pop("additionalModelRequestFields", {})
    inference = {**said.pop("inferenceConfig", {}), **more.pop("inferenceConfig", {}), **more}
    if inference:
        said["inferenceConfig"] = inference
    for holder in (said.get("system", []), *(message["content"] for message in said["messages"])):
        _move_cache_points(holder)
    return merged_extra({"schemaVersion": "messages-v1", **said}, request.extra)


def _move_cache_points(blocks: list[Any]) -> None:
    for place in range(len(blocks) - 1, 0, -1):
        point = blocks[place].get("cachePoint") if isinstance(blocks[place], dict) else None
        if point is not None and isinstance(blocks[place - 1], dict):
            blocks[place - 1]["cachePoint"] = point
            del blocks[place]


def _chat(request: ChatRequest, dialect: Dialect, family: str) -> dict[str, Any]:
    """OpenAI's body without the model, which stands in the path, and without ``stream``, which the path says."""
    said: dict[str, Any] = dict(
        _MEMBERS.decode(chat_body(request, chat_dialect(family), CHAT_ORIGIN, stream=False))
    )
    del said["model"]
    return said


_PROMPT_FIELDS = ("max_tokens", "temperature", "top_p", "top_k", "stop")
_TAKEN_ELSEWHERE = {"model", "messages", "extra", "headers", "metadata", *_PROMPT_FIELDS}


def _prompt(fields: Mapping[str, str], *, holder: str = "prompt", options: str | None = None) -> Writer:
    """A writer for a family that takes a prompt in ``holder``; ``fields`` names its options, which stand in ``options``, if anywhere."""

    def write(request: ChatRequest, dialect: Dialect, family: str) -> dict[str, Any]:
        given = _options(request, fields)
        said: dict[str, Any] = {holder: PROMPTS[family].prompt(request.turns)}
        if options is None:
            said |= given
        elif given:
            said[options] = given
        return merged_extra(said, request.extra)

    return write


def _options(request: ChatRequest, fields: Mapping[str, str]) -> dict[str, Any]:
    """The options under the family's names. Raises :class:`UnsupportedError` for every other field that the request has."""
    given: dict[str, Any] = {}
    for name in request.__struct_fields__:
        value = getattr(request, name)
        if value is None or value == () or name in _TAKEN_ELSEWHERE - set(_PROMPT_FIELDS):
            continue
        if name not in fields:
            _refuse(name, value)
        given[fields[name]] = list(value) if name == "stop" else value
    return given


def _refuse(field: str, value: object) -> NoReturn:
    raise UnsupportedError(
        f"this model's own API on Bedrock does not take {field}={value!r:.200}; Converse, or `extra`, may"
    )


def _claude_text(request: ChatRequest, dialect: Dialect, family: str) -> dict[str, Any]:
    said = _CLAUDE_TEXT(request, dialect, family)
    said.setdefault("max_tokens_to_sample", dialect.max_tokens)  # the API insists on it
    return said


def _cohere(request: ChatRequest, dialect: Dialect, family: str) -> dict[str, Any]:
    """Command R: what is asked now stands apart from what was said before."""
    given = _options(request, _COHERE_FIELDS)
    system: list[str] = []
    told: list[tuple[str, str]] = []
    for turn in request.turns:
        role = {"developer": "system", "tool": "user"}.get(turn.role, turn.role)
        for part in turn.parts:
            if not isinstance(part, Text):
                raise UnsupportedError(
                    f"Command R on Bedrock is told texts, and no {type(part).__name__}; use the Converse API"
                )
        if role == "system":
            system.append(turn.text)
        elif told and told[-1][0] == role:
            told[-1] = (role, f"{told[-1][1]}\n\n{turn.text}")
        else:
            told.append((role, turn.text))
    if not told or told[-1][0] != "user":
        raise UnsupportedError("Command R on Bedrock answers to a user message, which has to be the last")
    said: dict[str, Any] = {"message": told[-1][1]}
    if told[:-1]:
        names = {"user": "USER", "assistant": "CHATBOT"}
        said["chat_history"] = [{"role": names[role], "message": text} for role, text in told[:-1]]
    if system:
        said["preamble"] = "\n\n".join(system)
    return merged_extra({**said, **given}, request.extra)


_COHERE_FIELDS = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "p",
    "top_k": "k",
    "stop": "stop_sequences",
}
_LLAMA_FIELDS = {"max_tokens": "max_gen_len", "temperature": "temperature", "top_p": "top_p"}
_LLAMA = _prompt(_LLAMA_FIELDS)
_CLAUDE_TEXT = _prompt(
    {
        "max_tokens": "max_tokens_to_sample",
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
        "stop": "stop_sequences",
    }
)

WRITERS: Mapping[str, Writer] = {
    "claude": _claude,
    "claude_text": _claude_text,
    "nova": _nova,
    "titan": _prompt(
        {
            "max_tokens": "maxTokenCount",
            "temperature": "temperature",
            "top_p": "topP",
            "stop": "stopSequences",
        },
        holder="inputText",
        options="textGenerationConfig",
    ),
    "llama2": _LLAMA,
    "llama3": _LLAMA,
    "llama4": _LLAMA,
    "deepseek_r1": _prompt(
        {"max_tokens": "max_tokens", "temperature": "temperature", "top_p": "top_p", "stop": "stop"}
    ),
    "mistral_text": _prompt(
        {
            "max_tokens": "max_tokens",
            "temperature": "temperature",
            "top_p": "top_p",
            "top_k": "top_k",
            "stop": "stop",
        }
    ),
    "mistral": _chat,
    "openai": _chat,
    "chat": _chat,
    "cohere": _cohere,
    "cohere_text": _prompt(_COHERE_FIELDS),
}
"""Family -> how its body is written."""
