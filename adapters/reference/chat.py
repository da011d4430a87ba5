"""Chat completions: one wire, many of the reference's handlers. What differs between them stands in a :class:`ChatRow`.

The order of a streaming call: the model (some must ask the network for its facts), the body, the request with the SDK's retries,
then chunk after chunk of the answer, and for some what comes after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tercet.codecs.vocabulary import ConfigurationError, ProviderError, TercetError

from . import facts
from .actions import Conversation, Now, Reply
from .chat_stream import ChatStream
from .errors import openai_failure, reworded, wrapped
from .family import IDENTITY, Family, Setup
from .http import Request, fetch_once, fetch_with_retries, merge_headers, read_result
from .lists import get_models
from .messages import Message, to_openai, to_r1
from .row import ChatRow, Client, Closing, Facts, Turn
from .values import get, is_true, present, stringify, text_of

__all__ = [
    "ChatFamily",
    "ChatRow",
    "Client",
    "Facts",
    "Turn",
    "app_name",
    "chat_messages",
    "plain_client",
    "sdk_headers",
]

_FETCHED_FOR = 300.0  # seconds
# The order of a body's fields on the wire; no API asks for it, but so the bytes are the reference's.
_ORDER = (
    "model max_tokens temperature top_p messages stream stream_options provider transforms reasoning"
    " reasoning_effort max_completion_tokens"
)


class ChatFamily(Family):
    """A handler of the chat completions family, by its row. Raises ``ConfigurationError`` where a key is required and missing."""

    def __init__(self, row: ChatRow, setup: Setup) -> None:
        super().__init__(setup)
        self.row = row
        if row.settings:
            self.options: Facts = row.settings(self.options)
        key = self.options.get(row.key)
        if row.needs_key and not is_true(key):
            raise ConfigurationError(row.needs_key)
        self.key: str = row.no_key if key is None else key
        self.models: Mapping[str, Facts] = {}  # the list, where calls fetch it
        self.client: Client = (row.client or plain_client)(self)
        self._fetched: dict[str, tuple[float, Any]] = {}  # what was fetched, and until when it is good

    def get_model(self) -> dict[str, Any]:
        """``{id, info, ...params}`` as far as it is known without the network."""
        return self.row.known_model(self)

    def list_models(self) -> Conversation[Any] | None:
        """The list of the row's fetcher or table; None where the facts of its name are all there is."""
        row = self.row
        if row.catalogue:
            return get_models(self._wanted(self.options.get(row.key)), identity=self.identity)
        return _at_once(row.table(self)) if row.table else None

    def create_message(
        self, system: str, messages: Sequence[Message], metadata: Mapping[str, Any] | None = None
    ) -> Conversation[None]:
        """Text, reasoning and usage chunks, as this handler gives them."""
        row = self.row
        turn = Turn(system, messages, metadata or {})
        model = yield from self._model()
        other = row.takes_over(self, model, system, messages) if row.takes_over else None
        if other is not None:
            yield from other
            return
        build = row.messages or chat_messages
        body = present(
            model=model["id"],
            temperature=self.temperature(model),
            messages=build(self, model, system, messages),
            stream=True,
            stream_options={"include_usage": True} if row.stream_options else None,
            **self.limit(model),
        )
        if row.effort:
            body.update(model.get("reasoning", {}))
        if row.extras:
            body = present(**{**body, **row.extras(self, model, turn)})
        yield from self.stream(
            body,
            model["info"],
            headers=row.stream_headers(self, turn) if row.stream_headers else {},
            closing=row.closing(self, model, turn) if row.closing else None,
        )

    def complete_prompt(self, prompt: str) -> Conversation[str]:
        """The first choice's text, an empty text when it has none."""
        row = self.row
        model = yield from self._model()
        body = {"model": model["id"], "messages": [{"role": row.prompt_role, "content": prompt}]}
        if row.prompt_stream:
            body["stream"] = False
        if row.prompt_limit:
            body.update(self.limit(model))
        if row.prompt_temperature:
            body.update(present(temperature=self.temperature(model)))
        if row.prompt_effort:
            body.update(model.get("reasoning", {}))
        if row.prompt_extras:
            body = present(**{**body, **row.prompt_extras(self, model)})
        answer = yield from self.complete(body, times=row.wraps_prompt)
        return get(answer, "choices", 0, "message", "content") or ""

    def cached(
        self, name: str, fetching: Conversation[Any], seconds: float = _FETCHED_FOR
    ) -> Conversation[Any]:
        """What ``fetching`` returned at most so many seconds ago (five minutes by default), else what it returns now."""
        now: float = yield Now()
        until, value = self._fetched.get(name, (now, None))
        if until <= now:
            value = yield from fetching
            self._fetched[name] = (now + seconds, value)
        return value

    def table(self) -> Mapping[str, dict[str, Any]]:
        """The models that the reference knows of this handler."""
        return self.row.table(self) if self.row.table else facts.models(self.row.provider)

    def is_r1(self, model_id: str) -> bool:
        """Whether the model is one of the row's R1 models."""
        return bool(self.row.r1) and self.row.r1 in model_id

    def temperature(self, model: Facts) -> float | None:
        """The setting, else the handler's default; None where none is sent."""
        row = self.row
        if row.no_temperature and model["id"].startswith(row.no_temperature):
            return None
        chosen: float | None = self.options.get("modelTemperature")
        if chosen is not None:
            return chosen
        is_r1 = row.r1_temperature is not None and self.is_r1(model["id"])
        return row.r1_temperature if is_r1 else row.temperature

    def limit(self, model: Facts) -> dict[str, Any]:
        """The field of the body that bounds the answer, if one is sent."""
        row = self.row
        chosen, included = self.options.get("modelMaxTokens"), self.options.get("includeMaxTokens")
        most = model["info"].get("maxTokens")
        match row.max_when:
            case "info":
                pass
            case "anthropic":
                most = most if model["id"].startswith("anthropic/") else None
            case "always":
                most = chosen or most
            case "setting":
                most = (chosen or most) if included is True else None
            case "chosen":
                most = (chosen or None) if is_true(included) else None
            case "params":
                most = model.get("maxTokens")
            case "never":
                most = None
        return present(**{row.max_field: most})

    def complete(self, body: Mapping[str, Any], *, times: int) -> Conversation[Any]:
        """Post the body and read the whole answer. Its errors carry the handler's name so many times."""
        try:
            reply = yield from self.post(body)
            return (yield from read_result(reply))
        except TercetError as error:
            raise self._named(error, times, is_stream=False) from error

    def stream(
        self,
        body: Mapping[str, Any],
        info: Facts,
        row: ChatRow | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        closing: Closing | None = None,
    ) -> Conversation[None]:
        """Post the body and emit what comes. An error of the request carries the handler's name where the row says so.

        Raises ``StreamInterruptedError`` for an answer whose end never came, after ``closing``.
        """
        row = row or self.row
        splits = self.is_r1(body["model"]) if row.splits_think == "r1" else row.splits_think
        answer = ChatStream(row, info, splits=splits)
        try:
            reply = yield from self.post(body, headers)
        except TercetError as error:
            raise self._named(error, int(row.wraps_stream), is_stream=True) from error
        try:
            ended = yield from answer.run(reply)
        except TercetError as error:
            if not row.wraps_all:
                raise
            raise self._named(error, 1, is_stream=True) from error
        if closing is not None:
            yield from closing(ended)
        answer.check()

    def post(self, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Conversation[Reply]:
        """Send a body; raises for an answer that is not a success."""
        client, row = self.client, self.row
        is_stream = body.get("stream") is True
        order = ((not is_stream and row.prompt_order) or row.order or _ORDER).split()
        path = (
            f"/deployments/{text_of(body['model'])}{client.path}" if client.has_model_in_path else client.path
        )
        ordered = {name: body[name] for name in order if name in body}
        request = Request(
            "POST",
            client.url.removesuffix("/") + path + client.query,
            merge_headers(dict(client.headers), {"content-type": "application/json"}, headers or {}),
            stringify({**ordered, **body}).encode(),
        )

        def failure(reply: Reply, text: str) -> ProviderError:
            if row.failure:
                return row.failure(reply, text, is_stream)
            return openai_failure(reply.status, reply.headers, text)

        return (yield from (fetch_with_retries if row.retries else fetch_once)(request, failure))

    def _model(self) -> Conversation[dict[str, Any]]:
        row = self.row
        if row.fetches != "no":
            wanted = self._wanted(self.key if row.fetches == "keyed" else None)
            fetching = get_models(wanted, identity=self.identity)
            try:
                self.models = yield from self.cached("models", fetching, row.catalogue_seconds)
            except TercetError:
                if row.fetches != "loosely":
                    raise
        return (yield from row.fetched_model(self)) if row.fetched_model else row.known_model(self)

    def _wanted(self, key: str | None) -> dict[str, Any]:
        return {
            "provider": self.row.catalogue,
            **present(apiKey=key, baseUrl=self.options.get(self.row.base)),
        }

    def _named(self, error: TercetError, times: int, *, is_stream: bool) -> TercetError:
        if self.row.words:
            return reworded(error, self.row.words(error.message, is_stream))
        for _ in range(times):
            error = wrapped(error, self.row.label)
        return error


def app_name(family: Family, theirs: str) -> str:
    """By which name a program calls itself in labels: the reference by ``theirs``, others by their title."""
    return theirs if family.identity is IDENTITY else family.identity.get("X-Title", "tercet")


def plain_client(
    family: ChatFamily, *, url: str | None = None, headers: Mapping[str, str] | None = None
) -> Client:
    """The SDK's client with the row's address (or ``url``), its key, and ``headers``."""
    row = family.row
    return Client(
        url or (family.options.get(row.base) or row.url) + row.url_suffix,
        merge_headers(
            sdk_headers(family.env),
            {"authorization": f"Bearer {family.key}"},
            family.identity if row.sends_identity else {"User-Agent": "tercet"},
            headers or {},
            (family.options.get("openAiHeaders") or {}) if row.user_headers else {},
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
    """The system prompt as a message of its own, then the others; for R1 models all as R1 wants them."""
    if family.is_r1(model["id"]):
        return to_r1([{"role": "user", "content": system}, *messages])
    return [{"role": "system", "content": system}, *to_openai(messages)]


def _at_once(value: Any) -> Conversation[Any]:
    yield from ()
    return value
