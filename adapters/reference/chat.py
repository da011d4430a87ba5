"""Chat completions: one wire, many of the reference's handlers. What differs between them stands in a :class:`ChatRow`.

The order of a streaming call: the model (some must ask the network for its facts), the body, the request with the SDK's retries,
then chunk after chunk of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from tercet.codecs.framing.sse import SseDecoder
from tercet.codecs.vocabulary import ConfigurationError, ProtocolError, TercetError

from .actions import Chunk, Conversation, Emit, Now, Read, Reply
from .errors import event_failure, interrupted, openai_failure, wrapped
from .family import Family, Setup
from .http import Request, fetch_with_retries, merge_headers, read_result
from .messages import Message, to_openai
from .think import ThinkSplitter
from .values import get, is_list, is_true, parse_json, present, stringify, text_of

__all__ = ["ChatFamily", "ChatRow", "Client", "Facts", "chat_messages", "plain_client", "sdk_headers"]

Facts = Mapping[str, Any]

_FETCHED_FOR = 300.0  # seconds
# The order of a body's fields on the wire; no API asks for it, but so the bytes are the reference's.
_ORDER = (
    "model",
    "max_tokens",
    "temperature",
    "top_p",
    "messages",
    "stream",
    "stream_options",
    "provider",
    "transforms",
    "reasoning",
    "reasoning_effort",
    "max_completion_tokens",
)


class Client(msgspec.Struct, frozen=True):
    """Where requests go and what they carry: the SDK's client of a handler. ``query`` is appended to every URL."""

    url: str
    headers: tuple[tuple[str, str], ...]
    query: str = ""
    has_model_in_path: bool = False
    path: str = "/chat/completions"

    def __repr__(self) -> str:
        return f"<Client {self.url.partition('?')[0]}>"


class ChatRow(msgspec.Struct, frozen=True, kw_only=True):
    """One handler as data.

    ``label``: its name in error texts; ``wraps_stream``, ``wraps_prompt``: whether, and how often, errors get it. ``key``, ``base``: the settings of key and address;
    without a key ``no_key`` is sent, or where that is empty nothing is made. ``sends_identity``: whether the reference names itself.
    ``temperature``: the default. ``max_field`` and ``max_when``: how the limit goes into the body (``info``: what the model table
    says; ``setting``: only where the settings include it). ``effort``: whether reasoning parameters are sent.
    ``prompt_limit``, ``prompt_effort``: whether the single prompt carries them too.

    Of a chunk: ``reasoning`` is the field of a delta read as reasoning, ``reasoning_first`` its place; ``splits_think``: whether
    ``<think>`` tags are looked for; ``usage_when``: a usage chunk for each event that has one, or for the last.

    Hooks: ``settings`` (one handler's put in place of another's), ``known_model``, ``fetched_model`` (a conversation, for those that ask the network), ``client``, ``messages``, ``extras`` (more of the body),
    ``usage``, ``takes_over`` (another way to stream, None to go on as usual).
    """

    provider: str
    label: str
    key: str
    url: str
    known_model: Callable[[ChatFamily], dict[str, Any]]
    usage: Callable[[Any, Facts], Chunk]
    base: str = ""
    no_key: str = "not-provided"
    sends_identity: bool = True
    wraps_stream: bool = True
    wraps_prompt: int = 1
    temperature: float | None = 0
    max_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    max_when: Literal["info", "setting", "never"] = "info"
    effort: bool = False
    prompt_limit: bool = False
    prompt_effort: bool = False
    reasoning: str = ""
    reasoning_first: bool = False
    splits_think: bool = False
    usage_when: Literal["each", "last"] = "each"
    settings: Callable[[Facts], Facts] | None = None
    fetched_model: Callable[[ChatFamily], Conversation[dict[str, Any]]] | None = None
    client: Callable[[ChatFamily], Client] | None = None
    messages: Callable[[ChatFamily, Facts, str, Sequence[Message]], list[dict[str, Any]]] | None = None
    extras: Callable[[ChatFamily, Facts], dict[str, Any]] | None = None
    prompt_extras: Callable[[ChatFamily, Facts], dict[str, Any]] | None = None
    takes_over: Callable[..., Conversation[None] | None] | None = None


class ChatFamily(Family):
    """A handler of the chat completions family, by its row. Raises ``ConfigurationError`` where a key is required and missing."""

    def __init__(self, row: ChatRow, setup: Setup) -> None:
        super().__init__(setup)
        self.row = row
        if row.settings:
            self.options = row.settings(self.options)
        if not row.no_key and not is_true(self.options.get(row.key)):
            raise ConfigurationError("API key is required")
        self.client = (row.client or plain_client)(self)
        self._fetched: dict[str, tuple[float, Any]] = {}  # what was fetched, and until when it is good

    def get_model(self) -> dict[str, Any]:
        """``{id, info, ...params}`` as far as it is known without the network."""
        return self.row.known_model(self)

    def create_message(
        self, system: str, messages: Sequence[Message], metadata: Mapping[str, Any] | None = None
    ) -> Conversation[None]:
        """Text, reasoning and usage chunks, as this handler gives them."""
        row = self.row
        model = yield from self._model()
        other = row.takes_over(self, model, system, messages) if row.takes_over else None
        if other is not None:
            yield from other
            return
        build = row.messages or chat_messages
        body = present(
            model=model["id"],
            temperature=self.temperature(),
            messages=build(self, model, system, messages),
            stream=True,
            stream_options={"include_usage": True},
            **self.limit(model["info"]),
        )
        if row.effort:
            body.update(model.get("reasoning", {}))
        if row.extras:
            body = present(**{**body, **row.extras(self, model)})
        yield from self.stream(body, model["info"])

    def complete_prompt(self, prompt: str) -> Conversation[str]:
        """The first choice's text, an empty text when it has none."""
        row = self.row
        model = yield from self._model()
        body = {"model": model["id"], "messages": [{"role": "user", "content": prompt}]}
        if row.prompt_limit:
            body.update(self.limit(model["info"]))
        if row.prompt_effort:
            body.update(model.get("reasoning", {}))
        if row.prompt_extras:
            body = present(**{**body, **row.prompt_extras(self, model)})
        answer = yield from self.complete(body, times=row.wraps_prompt)
        return get(answer, "choices", 0, "message", "content") or ""

    def cached(self, name: str, fetching: Conversation[Any]) -> Conversation[Any]:
        """What ``fetching`` returned at most five minutes ago, else what it returns now."""
        now: float = yield Now()
        until, value = self._fetched.get(name, (now, None))
        if until <= now:
            value = yield from fetching
            self._fetched[name] = (now + _FETCHED_FOR, value)
        return value

    def _model(self) -> Conversation[dict[str, Any]]:
        fetched = self.row.fetched_model
        return (yield from fetched(self)) if fetched else self.row.known_model(self)

    def temperature(self) -> float | None:
        """The setting, else the handler's default."""
        chosen = self.options.get("modelTemperature")
        return self.row.temperature if chosen is None else chosen

    def limit(self, info: Facts) -> dict[str, Any]:
        """The field of the body that bounds the answer, if one is sent."""
        row = self.row
        if row.max_when == "setting":
            if self.options.get("includeMaxTokens") is not True:
                return {}
            return present(**{row.max_field: self.options.get("modelMaxTokens") or info.get("maxTokens")})
        return present(**{row.max_field: info.get("maxTokens")}) if row.max_when == "info" else {}

    def complete(self, body: Mapping[str, Any], *, times: int) -> Conversation[Any]:
        """Post the body and read the whole answer. Its errors carry the handler's name so many times."""
        try:
            reply = yield from self._post(body)
            return (yield from read_result(reply))
        except TercetError as error:
            raise self._named(error, times) from error

    def stream(self, body: Mapping[str, Any], info: Facts, row: ChatRow | None = None) -> Conversation[None]:
        """Post the body and emit what comes. An error of the request carries the handler's name where the row says so."""
        try:
            reply = yield from self._post(body)
        except TercetError as error:
            raise self._named(error, int(self.row.wraps_stream)) from error
        yield from ChatStream(row or self.row, info).run(reply)

    def _post(self, body: Mapping[str, Any]) -> Conversation[Reply]:
        client = self.client
        path = (
            f"/deployments/{text_of(body['model'])}{client.path}" if client.has_model_in_path else client.path
        )
        request = Request(
            "POST",
            client.url.removesuffix("/") + path + client.query,
            merge_headers(dict(client.headers), {"content-type": "application/json"}),
            stringify({name: body[name] for name in sorted(body, key=_place)}).encode(),
        )
        return (
            yield from fetch_with_retries(
                request, lambda reply, text: openai_failure(reply.status, reply.headers, text)
            )
        )

    def _named(self, error: TercetError, times: int) -> TercetError:
        for _ in range(times):
            error = wrapped(error, self.row.label)
        return error


class ChatStream:
    """The chunks of one streamed answer. Whole is what ended with ``[DONE]``, a finish reason or the closing usage."""

    def __init__(self, row: ChatRow, info: Facts) -> None:
        self._row = row
        self._info = info
        self._splitter = ThinkSplitter() if row.splits_think else None
        self._usage: Any = None
        self._is_whole = False
        self._is_done = False

    def run(self, reply: Reply) -> Conversation[None]:
        """Read to the end. Raises ``StreamInterruptedError`` when the bytes end and the answer has not."""
        if reply.status in (204, 205):
            raise ProtocolError("Attempted to iterate over a response with no body")
        decoder = SseDecoder()
        while not self._is_done:
            data: bytes = yield Read()
            for event in decoder.feed(data) if data else ():
                for chunk in self._event(bytes(event.data).decode("utf-8", "replace"), event.name):
                    yield Emit(chunk)
                if self._is_done:
                    break
            if not data:
                break
        for chunk in self._splitter.final() if self._splitter else ():
            yield Emit(chunk)
        if self._usage is not None and self._row.usage_when == "last":
            yield Emit(self._row.usage(self._usage, self._info))
        if not self._is_whole:
            raise interrupted("finish_reason, usage or [DONE]")

    def _event(self, data: str, name: str) -> list[Chunk]:
        if data.startswith("[DONE]"):
            self._is_done = self._is_whole = True
            return []
        try:
            event = parse_json(data)
        except ValueError as error:
            raise ProtocolError(f"an event of the stream is not JSON: {error}", body=data) from None
        failure = get(event, "error")
        if is_true(failure):
            raise event_failure(failure, data)
        choices = get(event, "choices")
        if not isinstance(choices, list):
            if name == "error":
                raise event_failure(event, data)
            raise ProtocolError("a chunk of the stream has no choices", body=data)
        chunks = self._delta(get(choices, 0, "delta"))
        usage = get(event, "usage")
        if get(choices, 0, "finish_reason") or (is_true(usage) and not choices):
            self._is_whole = True
        if is_true(usage):
            self._usage = usage
            if self._row.usage_when == "each":
                chunks.append(self._row.usage(usage, self._info))
        return chunks

    def _delta(self, delta: Any) -> list[Chunk]:
        row = self._row
        text = get(delta, "content")
        chunks: list[Chunk] = []
        if is_true(text):
            chunks = self._split(text) if self._splitter else [{"type": "text", "text": text}]
        thought = get(delta, row.reasoning) if row.reasoning else None
        if is_true(thought):
            chunks.insert(0 if row.reasoning_first else len(chunks), {"type": "reasoning", "text": thought})
        return chunks

    def _split(self, text: Any) -> list[Chunk]:
        if self._splitter is None or not (isinstance(text, str) or is_list(text)):
            raise ProtocolError(f"the content of a delta is not text: {text_of(text)}")
        return self._splitter.update(text)


def _place(name: str) -> int:
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


def plain_client(family: ChatFamily) -> Client:
    """The SDK's client with the row's address and key."""
    row = family.row
    base = family.options.get(row.base) if row.base else None
    key = family.options.get(row.key)
    return Client(
        base or row.url,
        merge_headers(
            sdk_headers(family.env),
            {"authorization": f"Bearer {row.no_key if key is None else key}"},
            family.identity if row.sends_identity else {"User-Agent": "tercet"},
        ),
    )


def sdk_headers(env: Mapping[str, str]) -> dict[str, str | None]:
    """What the OpenAI SDK adds by itself and a provider may read."""
    return {
        "Accept": "application/json",
        "OpenAI-Organization": env.get("OPENAI_ORG_ID"),
        "OpenAI-Project": env.get("OPENAI_PROJECT_ID"),
    }


def chat_messages(
    family: ChatFamily, model: Facts, system: str, messages: Sequence[Message]
) -> list[dict[str, Any]]:
    """The system prompt as a message of its own, then the others."""
    return [{"role": "system", "content": system}, *to_openai(messages)]
