"""One simulated provider: a script behind a real HTTP API of one of three wire families.

It reads requests and writes answers through ``codecs.serving``, so what a client gets is what the real API would say: streamed or
whole, errors in the family's own shape, the list of models. It remembers what it was asked, without the secrets.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec
import trio

from tercet.codecs.serving.base import ServedError, Serving
from tercet.codecs.vocabulary import BadRequestError, ChatRequest, Model, NotFoundError, fold

from .script import (
    Answer,
    Break,
    Failure,
    Insert,
    Reply,
    Script,
    StreamError,
    StreamFault,
    as_reply,
    echo,
    step,
)
from .server import ClientGone, HangUp, HttpRequest, LimitReached, Responder, serve_http
from .supervision import Noted

__all__ = ["FleetEvent", "RequestsPerMinute", "SeenRequest", "SimulatedProvider", "WireName", "key_id"]

WireName = Literal[
    "openai_chat", "openai_responses", "anthropic", "gemini", "ollama", "bedrock_converse", "bedrock_invoke"
]
Headers = Iterable[tuple[str, str]]

HOST_SUFFIX = ".simulated.test"
_KEY_HEADERS: dict[WireName, str] = {
    "openai_chat": "authorization",
    "openai_responses": "authorization",
    "anthropic": "x-api-key",
    "gemini": "x-goog-api-key",
    "ollama": "authorization",
    "bedrock_converse": "authorization",
    "bedrock_invoke": "authorization",
}
_SECRET_NAME = re.compile(r"auth|key|token|secret|cookie")
_SECRET_QUERY = re.compile(r"([?&](?:key|api[-_]key|access_token)=)[^&#]*")
_REMOVED = "[removed]"

# What the real providers call their failures (error pages of OpenAI and Anthropic, read in 2026-11). Google's word follows from the status.
_CODES: dict[WireName, dict[int, str]] = {
    "openai_chat": {
        401: "invalid_api_key",
        402: "insufficient_quota",
        403: "permission_denied",
        404: "model_not_found",
        429: "rate_limit_exceeded",
        503: "service_unavailable",
    },
    "anthropic": {
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        504: "timeout_error",
        529: "overloaded_error",
    },
    "gemini": {},
    "ollama": {},
}
_OTHER_CODES: dict[WireName, tuple[str, str]] = {
    "openai_chat": ("invalid_request_error", "server_error"),
    "openai_responses": ("invalid_request_error", "server_error"),
    "anthropic": ("invalid_request_error", "api_error"),
    "gemini": ("", ""),
    "ollama": ("", ""),
}
_CODES["openai_responses"] = _CODES["openai_chat"]  # one page of errors for both
_CODES["bedrock_converse"] = _CODES["bedrock_invoke"] = {}  # AWS's types follow from the status
_OTHER_CODES["bedrock_converse"] = _OTHER_CODES["bedrock_invoke"] = ("", "")


class RequestsPerMinute(msgspec.Struct, frozen=True):
    """At most ``limit`` chat requests in any 60 seconds of trio's clock; more are answered with 429 and ``Retry-After``."""

    limit: int


class SeenRequest(msgspec.Struct, frozen=True):
    """A request that came in. Keys are removed from ``headers`` and ``target``; ``key_id`` tells keys apart (see :func:`key_id`).

    ``chat`` is None where it was no chat request, or none that could be read. ``at`` is trio's time, in seconds.
    """

    at: float
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    key_id: str | None = None
    chat: ChatRequest | None = None
    is_streamed: bool = False


class FleetEvent(msgspec.Struct, frozen=True):
    """One line of the log: at which of trio's seconds, which provider, ``what`` happened.

    ``what`` is ``connect``, ``request``, ``answer 200`` (the status that was begun), ``done``, ``fault``, ``client gone``, ``disconnect``.
    ``connection`` counts the provider's connections from 1.
    """

    at: float
    provider: str
    connection: int
    what: str


def key_id(key: str) -> str:
    """Eight hexadecimal digits that stand for a key: enough to compare with, useless to call with."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


class SimulatedProvider:
    """A provider of the family ``wire`` that answers by ``script`` (see ``script``), an echo by default. ``serving`` speaks a dialect of the
    family, where the plain form is not wanted; ``key_header`` names the header that holds the key, if it is not the family's.

    ``models`` are the ids that it lists and accepts; without any it lists ``simulated`` and accepts every id. ``keys`` are the keys it
    accepts, None for any and none; another is answered with 401. ``limit`` adds a rate limit. ``GET /health`` is answered with 200.

    Counts: ``connections`` (ever), ``open_connections`` (now), ``closed_early`` (answers that the client did not wait for).
    ``requests`` has all that came in, ``chats`` the chat requests among them, ``log`` what happened in order. In a fleet, ``neighbours`` are the
    providers that a request may ask for by its ``Host`` header, whichever it is connected to.
    """

    def __init__(
        self,
        name: str,
        wire: WireName = "openai_chat",
        script: Script | None = None,
        *,
        models: Sequence[str] = (),
        keys: Collection[str] | None = None,
        limit: RequestsPerMinute | None = None,
        max_body: int = 32 * 1024 * 1024,
        serving: Serving | None = None,
        key_header: str | None = None,
    ) -> None:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
            raise ValueError(
                f"a provider's name is part of a host name: a-z, 0-9 and '-' inside; got {name!r}"
            )
        self.name = name
        self.wire: WireName = wire
        self.script = echo() if script is None else script
        self.models: tuple[str, ...] = tuple(models)
        self.keys: frozenset[str] | None = None if keys is None else frozenset(keys)
        self.requests: list[SeenRequest] = []
        self.log: list[FleetEvent] = []
        self.neighbours: Mapping[str, SimulatedProvider] = {}
        self.connections: int = 0
        self.open_connections: int = 0
        self.closed_early: int = 0
        self._serving = _serving(wire) if serving is None else serving
        self._key_header = (key_header or _KEY_HEADERS[wire]).lower()
        self._window = _Window(limit) if limit else None
        self._max_body = max_body
        self._asked = 0

    def __repr__(self) -> str:
        return f"<SimulatedProvider {self.name!r} {self.wire}, {len(self.requests)} requests>"

    @property
    def script(self) -> Script:
        """What it answers. A new script may be set at any time; a sequence then begins with its first."""
        return self._script

    @script.setter
    def script(self, script: Script) -> None:
        try:
            step(script, 1)
        except IndexError:
            raise ValueError(f"the script of {self.name!r} is an empty sequence") from None
        self._script: Script = script
        self._steps = 0

    @property
    def chats(self) -> tuple[ChatRequest, ...]:
        """The chat requests that could be read, in order."""
        return tuple(seen.chat for seen in self.requests if seen.chat is not None)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one connection, and close it. Raises what a script's callable raises, with a note that says which."""
        self.connections += 1
        self.open_connections += 1
        number = self.connections
        self._note(number, "connect")

        async def service(request: HttpRequest, responder: Responder) -> None:
            await self._by_host(request)._answer(request, responder, number)

        try:
            await serve_http(stream, service, self._refusal, max_body=self._max_body)
        finally:
            self.open_connections -= 1
            self._note(number, "disconnect")

    def _by_host(self, request: HttpRequest) -> SimulatedProvider:
        """Whom the ``Host`` header names, if it is one of the fleet; else whoever was connected to."""
        host = (request.header("host") or "").partition(":")[0]
        return (
            self.neighbours.get(host.removesuffix(HOST_SUFFIX), self) if host.endswith(HOST_SUFFIX) else self
        )

    def _note(self, connection: int, what: str) -> None:
        self.log.append(FleetEvent(trio.current_time(), self.name, connection, what))

    async def _answer(self, request: HttpRequest, responder: Responder, number: int) -> None:
        self._note(number, "request")
        try:
            await self._route(request, _Voice(responder, lambda what: self._note(number, what)))
        except ClientGone:
            self.closed_early += 1
            self._note(number, "client gone")
            raise
        except HangUp:
            self._note(number, "fault")
            raise
        self._note(number, "done")

    async def _route(self, request: HttpRequest, voice: _Voice) -> None:
        seen, refused = self._see(request)
        if (request.method, request.target) == ("GET", "/health"):
            await voice.whole(200, _JSON, b'{"status":"ok"}')
        elif self.keys is not None and self._key(request) not in self.keys:
            await self._fail(voice, Failure(401, message="Incorrect API key provided."))
        elif self._serving.is_models_request(request.method, request.target):
            models = [Model(id) for id in self.models or ("simulated",)]  # noqa: A001  # the API's own word
            await voice.whole(200, _JSON, self._serving.models(models))
        elif seen.chat is None:
            await self._fail(voice, refused)
        elif self.models and seen.chat.model not in self.models:
            await self._fail(voice, Failure(404, message=f"The model {seen.chat.model!r} does not exist."))
        elif (wait := self._window.wait(trio.current_time()) if self._window else 0) > 0:
            headers = tuple(self._limit_headers())
            await self._fail(
                voice, Failure(429, message="Rate limit reached.", retry_after=wait, headers=headers)
            )
        else:
            await self._chat(seen.chat, seen.is_streamed, voice)

    def _see(self, request: HttpRequest) -> tuple[SeenRequest, Failure]:
        """Remember a request; the failure says why it is no chat request, if it is none."""
        chat, is_streamed, refused = None, False, Failure(404)
        try:
            chat, is_streamed = self._serving.request(request.method, request.target, request.body)
        except (BadRequestError, NotFoundError) as error:
            usual = 404 if isinstance(error, NotFoundError) else 400
            refused = Failure(error.status or usual, message=error.message)
        key = self._key(request)
        seen = SeenRequest(
            trio.current_time(),
            request.method,
            _SECRET_QUERY.sub(rf"\1{_REMOVED}", request.target),
            tuple(
                (name, _REMOVED if _SECRET_NAME.search(name) else value) for name, value in request.headers
            ),
            key_id(key) if key else None,
            chat,
            is_streamed,
        )
        self.requests.append(seen)
        return seen, refused

    def _key(self, request: HttpRequest) -> str | None:
        value = request.header(self._key_header)
        if self._key_header == "authorization" and value is not None:
            scheme, _, value = value.partition(" ")
            return value if scheme.lower() == "bearer" else None
        return value

    async def _chat(self, chat: ChatRequest, is_streamed: bool, voice: _Voice) -> None:
        self._asked += 1
        with self._blame():
            answer = await self._ask_script(chat, self._asked)
        if isinstance(answer, Failure):
            await self._fail(voice, answer)
            return
        reply = as_reply(answer)
        with self._blame():  # a wire may be unable to say it: Gemini's arguments of a tool call are an object
            pieces = list(self._serving.stream(reply.said_to(chat), model=chat.model))
        headers = [*self._limit_headers(), *reply.headers]
        try:
            if is_streamed:
                await self._stream(
                    reply, pieces, [("content-type", self._serving.content_type), *headers], voice
                )
            else:
                await voice.responder.wait(reply.first_delay + reply.pace * (len(pieces) - 1))
                await self._whole(reply, chat, [*_JSON, *headers], voice)
        except LimitReached:
            await _break(reply.fault, voice)

    def _blame(self) -> Noted:
        return Noted(
            f"raised by the script of the simulated provider {self.name!r}, asked for its answer {self._asked}"
        )

    async def _ask_script(self, chat: ChatRequest, n: int) -> Answer:
        self._steps += 1
        answer = step(self._script, self._steps)
        if not callable(answer):
            return answer
        given = answer(chat, n)
        return await given if inspect.isawaitable(given) else given

    async def _stream(self, reply: Reply, pieces: list[bytes], headers: Headers, voice: _Voice) -> None:
        _limit(reply.fault, None, voice)
        await voice.begin(reply.status, headers)
        await voice.responder.wait(reply.first_delay)
        for sent, piece in enumerate(pieces):
            if sent:
                await voice.responder.wait(reply.pace)
            if not await self._interrupt(reply.fault, sent, voice):
                return
            await voice.responder.piece(piece)
        if await self._interrupt(reply.fault, len(pieces), voice):
            await voice.responder.end()

    async def _interrupt(self, fault: StreamFault | None, sent: int, voice: _Voice) -> bool:
        """Let happen what the fault has for this place, behind ``sent`` events; False: the answer is over."""
        match fault:
            case Break("end", after) if after == sent:
                await voice.responder.end()
                return False
            case StreamError(error, after) if after == sent:
                await voice.responder.piece(self._serving.stream_error(error))
                await voice.responder.end()
                return False
            case Insert(after_events=after) if after == sent:
                await _insert(fault, voice)
            case _:
                _limit(fault, sent, voice)
        return True

    async def _whole(self, reply: Reply, chat: ChatRequest, headers: Headers, voice: _Voice) -> None:
        body = self._serving.response(fold(reply.said_to(chat)), model=chat.model)
        half = len(body) // 2
        match reply.fault:
            case StreamError(error):
                await self._fail(voice, Failure(error.status, error.code, error.message))
            case Insert():
                await voice.begin(reply.status, headers)
                await _insert(reply.fault, voice)
                await voice.responder.piece(body)
                await voice.responder.end()
            case Break("end"):
                await voice.whole(reply.status, headers, body[:half])
            case Break(after_events=int(events)):
                said = half if events else 0
                await voice.begin(reply.status, [*headers, ("content-length", str(len(body)))])
                await voice.responder.piece(body[:said])
                voice.responder.stop_after(reply.fault.after_bytes)
                await voice.responder.piece(body[said:])
                await voice.responder.end()
            case _:
                _limit(reply.fault, None, voice)
                await voice.whole(reply.status, headers, body)

    async def _fail(self, voice: _Voice, failure: Failure) -> None:
        headers, body = self._refusal(failure.status, failure.message, failure.code)
        extra = list(failure.headers)
        if failure.retry_after is not None:
            extra.append(("retry-after", str(failure.retry_after)))
        if failure.body is not None:
            own_type = any(name.lower() == "content-type" for name, _ in extra)
            headers, body = ([] if own_type else [("content-type", "text/html")]), failure.body
        await voice.whole(failure.status, [*headers, *extra], body)

    def _refusal(self, status: int, message: str | None, code: str | None = None) -> tuple[Headers, bytes]:
        """An error in the wire's own shape."""
        usual = _CODES[self.wire].get(status, _OTHER_CODES[self.wire][status >= 500])
        error = ServedError(status, code or usual, message or f"The simulated provider fails with {status}.")
        headers, body = self._serving.error(error)
        return [
            *_JSON,
            *((name, value) for name, value in headers.items() if name.lower() != "content-type"),
        ], body

    def _limit_headers(self) -> Iterator[tuple[str, str]]:
        """OpenAI's rate-limit headers (rate limits guide, 2026-11); the other families get ``Retry-After`` alone."""
        if self._window is None or self.wire not in ("openai_chat", "openai_responses"):
            return
        left, reset = self._window.left(trio.current_time())
        yield "x-ratelimit-limit-requests", str(self._window.limit)
        yield "x-ratelimit-remaining-requests", str(left)
        yield "x-ratelimit-reset-requests", f"{reset:g}s"


_JSON = [("content-type", "application/json")]


class _Voice:
    """A responder that writes the log when an answer begins."""

    def __init__(self, responder: Responder, note: Callable[[str], None]) -> None:
        self.responder = responder
        self.note = note

    async def begin(self, status: int, headers: Headers) -> None:
        self.note(f"answer {status}")
        await self.responder.begin(status, headers)

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        self.note(f"answer {status}")
        await self.responder.whole(status, headers, body)


class _Window:
    """The times of the requests admitted in the last minute."""

    def __init__(self, limit: RequestsPerMinute) -> None:
        self.limit = limit.limit
        self._times: deque[float] = deque()

    def left(self, now: float) -> tuple[int, float]:
        """How many more are admitted now, and the seconds until all are forgotten."""
        while self._times and self._times[0] <= now - 60:
            self._times.popleft()
        return self.limit - len(self._times), (self._times[-1] + 60 - now if self._times else 0.0)

    def wait(self, now: float) -> int:
        """Admit a request and give 0, or the whole seconds after which one will be admitted."""
        left, _ = self.left(now)
        if left > 0:
            self._times.append(now)
            return 0
        return max(1, math.ceil(self._times[0] + 60 - now)) if self._times else 60


def _limit(fault: StreamFault | None, sent: int | None, voice: _Voice) -> None:
    """At the place where a break begins to count bytes, set the limit; LimitReached is raised here or by a later write."""
    if isinstance(fault, Break) and fault.after_events == sent:
        voice.responder.stop_after(fault.after_bytes)


async def _insert(fault: Insert, voice: _Voice) -> None:
    await voice.responder.piece(fault.data)
    while fault.every is not None:
        await voice.responder.wait(fault.every)
        await voice.responder.piece(fault.data)


async def _break(fault: StreamFault | None, voice: _Voice) -> None:
    assert isinstance(fault, Break)  # nothing else sets a limit
    if fault.how == "stall":
        voice.note("fault")
        await voice.responder.wait(math.inf)
    raise HangUp("reset" if fault.how == "reset" else "fin")


def _serving(wire: WireName) -> Serving:
    """The server's side of a wire. Imported here so that a test that simulates one family loads one."""
    match wire:
        case "openai_chat":
            from tercet.codecs.serving.openai_chat import OpenAIChatServing

            return OpenAIChatServing()
        case "openai_responses":
            from tercet.codecs.serving.openai_responses import OpenAIResponsesServing

            return OpenAIResponsesServing()
        case "anthropic":
            from tercet.codecs.serving.anthropic import AnthropicServing

            return AnthropicServing()
        case "gemini":
            from tercet.codecs.serving.gemini import GeminiServing

            return GeminiServing()
        case "ollama":
            from tercet.codecs.serving.ollama import OllamaServing

            return OllamaServing()
        case "bedrock_converse":
            from tercet.codecs.serving.bedrock_converse import BedrockConverseServing

            return BedrockConverseServing()
        case "bedrock_invoke":
            from tercet.codecs.serving.bedrock_invoke import BedrockInvokeServing

            return BedrockInvokeServing()
