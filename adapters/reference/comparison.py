"""A recording of the reference beside what we did in its place: every difference between them.

What is not compared at all: headers by which an SDK advertises itself and the machine (``x-stainless-*``, an SDK's ``user-agent``), those
of the HTTP client underneath (``sec-fetch-mode``, ``accept-language``, ``accept-encoding``, ``connection``, ``content-length``), and the order of
JSON keys. Which differences are meant is said by ``deviations``.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from tercet.codecs.vocabulary import (
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    RateLimitError,
    ServerError,
    TercetError,
    TransportError,
)

from .actions import Chunk
from .values import get, is_list, is_object, parse_json, text_of

__all__ = [
    "ABSENT",
    "Difference",
    "Outcome",
    "Played",
    "Recording",
    "SeenProcess",
    "SeenRequest",
    "compare",
    "recorded_bytes",
    "recorded_results",
    "same",
]

Recording: TypeAlias = Mapping[str, Any]
ABSENT = "(nothing)"


class SeenRequest(msgspec.Struct, frozen=True):
    """One request as it went over the wire. ``headers`` have lower-case names; ``jwt`` is what a signed token in the body says.

    ``messages`` are the texts that were sent over the WebSocket it opened.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    jwt: Mapping[str, Any] | None = None
    messages: tuple[str, ...] = ()


class SeenProcess(msgspec.Struct, frozen=True):
    """One program as it was started: its arguments without its own name, its input, and all of its environment."""

    argv: tuple[str, ...]
    stdin: str
    env: Mapping[str, str]


class Outcome(msgspec.Struct):
    """What one call gave: its chunks, what it returned, the error that ended it."""

    yields: list[Chunk]
    returns: Any = None
    error: TercetError | None = None


class Played(msgspec.Struct):
    """What playing a recording gave: requests in order, one outcome per call, waits in milliseconds.

    ``processes`` are the programs that were run, ``host_calls`` what the editor was asked, ``files`` the files after it.
    """

    requests: list[SeenRequest]
    outcomes: list[Outcome]
    sleeps_ms: list[float]
    processes: list[SeenProcess] = msgspec.field(default_factory=list[SeenProcess])
    host_calls: list[Any] = msgspec.field(default_factory=list[Any])
    files: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class Difference(msgspec.Struct, frozen=True):
    """One thing that is not as recorded. ``place`` is its kind, ``number`` which request or chunk, ``call`` which call."""

    place: str
    expected: Any
    got: Any
    call: int = 0
    number: int = 0

    def __str__(self) -> str:
        numbered = self.place in ("yield", "method", "url", "header", "body", "messages")
        where = f"{self.place} {self.number}" if numbered else self.place
        where = f"call {self.call}: {where}" if self.call else where
        return f"{where}: expected {_short(self.expected)}, got {_short(self.got)}"


# --- the comparison ------------------------------------------------------------------------------------------------------------

_CLIENT_HEADERS = frozenset(
    {
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "accept-encoding",
        "accept-language",
        "sec-fetch-mode",
        "keep-alive",
        "sec-websocket-key",
        "sec-websocket-extensions",
    }
)
_SDK_HEADER = re.compile(r"x-stainless-.*|x-goog-api-client|x-amz-user-agent|amz-sdk-.*")
_SDK_AGENT = re.compile(
    r"(OpenAI|AzureOpenAI|Anthropic|AnthropicVertex)/JS .*|aws-sdk-js/.*|google-api-nodejs-client/.*|axios/.*|node|google-genai-sdk/.*|mistral-client-typescript/.*|ollama-js/.*"
)

_LEAST_RECORDED_MS = 100  # shorter timers are not in the recordings

_Kinds: TypeAlias = tuple[type[TercetError], ...]
_CLASSES: dict[str, _Kinds] = {
    "BadRequestError": (BadRequestError,),
    "UnprocessableEntityError": (BadRequestError,),
    "ConflictError": (BadRequestError,),
    "AuthenticationError": (AuthenticationError,),
    "PermissionDeniedError": (PermissionDeniedError,),
    "NotFoundError": (NotFoundError,),
    "RateLimitError": (RateLimitError,),
    "InternalServerError": (ServerError, OverloadedError),
    "APIConnectionError": (TransportError, ProviderError),
    "APIError": (ProviderError,),
}


def compare(recording: Recording, played: Played) -> list[Difference]:
    """Everything in which ``played`` is not as recorded."""
    return [
        *_compare_requests(recording, played.requests),
        *_compare_calls(recording, played),
        *_compare_sleeps(recording, played.sleeps_ms),
        *_compare_machine(recording, played),
    ]


def _compare_requests(recording: Recording, seen: Sequence[SeenRequest]) -> Iterator[Difference]:
    exchanges = recording["exchanges"]
    if len(exchanges) != len(seen):
        yield Difference("requests", len(exchanges), len(seen))
    for number, (exchange, request) in enumerate(zip(exchanges, seen, strict=False), 1):
        recorded = exchange["request"]
        if recorded["method"] != request.method:
            yield Difference("method", recorded["method"], request.method, number=number)
        if recorded["url"] != request.url:
            yield Difference("url", recorded["url"], request.url, number=number)
        expected = {name.lower(): value for name, value in recorded["headers"]}
        got = dict(request.headers)
        for name in sorted(expected.keys() | got.keys()):
            if _means_something(name, expected.get(name)) and expected.get(name) != got.get(name):
                values = [f"{name}: {side.get(name, ABSENT)}" for side in (expected, got)]
                yield Difference("header", values[0], values[1], number=number)
        if "jwt" in recorded and not same(recorded["jwt"], request.jwt):
            yield Difference("jwt", recorded["jwt"], request.jwt, number=number)
        if not _same_body(recorded_bytes(recorded.get("body") or ""), request.body):
            yield Difference(
                "body",
                recorded.get("body") or "",
                request.body.decode("utf-8", "replace"),
                number=number,
            )
        said = [text for who, text in exchange.get("websocket", ()) if who == "client"]
        if not _same_messages(said, request.messages):
            yield Difference("messages", said, list(request.messages), number=number)


def _same_messages(expected: Sequence[str], got: Sequence[str]) -> bool:
    return len(expected) == len(got) and all(
        _alike(parse_json(a), parse_json(b)) for a, b in zip(expected, got, strict=True)
    )


def _alike(expected: Any, got: Any) -> bool:
    """Whether they are the same, where ``<random>`` stands for any text that is not empty."""
    if expected == "<random>":
        return isinstance(got, str) and got != ""
    if is_object(expected) and is_object(got):
        return expected.keys() == got.keys() and all(_alike(expected[name], got[name]) for name in expected)
    return same(expected, got)


def _means_something(name: str, recorded: str | None) -> bool:
    if name in _CLIENT_HEADERS or _SDK_HEADER.fullmatch(name):
        return False
    return name != "user-agent" or (recorded is not None and _SDK_AGENT.fullmatch(recorded) is None)


def _compare_calls(recording: Recording, played: Played) -> Iterator[Difference]:
    results = recorded_results(recording)
    for number, (expected, outcome) in enumerate(zip(results, played.outcomes, strict=True)):
        call = number + 1 if "results" in recording else 0
        yields = expected.get("yields", [])
        for place in range(max(len(yields), len(outcome.yields))):
            ours = outcome.yields[place] if place < len(outcome.yields) else ABSENT
            theirs = yields[place] if place < len(yields) else ABSENT
            if not same(theirs, ours):
                yield Difference("yield", theirs, ours, call, place + 1)
        if "returns" in expected and not same(_plain(expected["returns"]), outcome.returns):
            yield Difference("returns", expected["returns"], outcome.returns, call)
        yield from _compare_errors(recording, expected.get("throws"), outcome.error, call)


def _compare_errors(
    recording: Recording, expected: Any, got: TercetError | None, call: int
) -> Iterator[Difference]:
    if expected is None or got is None:
        if expected is not None or got is not None:
            said = ABSENT if got is None else f"{type(got).__name__}: {got}"
            yield Difference("throws", ABSENT if expected is None else expected["message"], said, call)
        return
    if expected["message"] != got.message:
        yield Difference("message", expected["message"], got.message, call)
    kinds = _CLASSES.get(expected["class"])
    if kinds and not isinstance(got, kinds):
        yield Difference("class", expected["class"], type(got).__name__, call)
    status = expected.get("status")
    if status is None and got.status is not None:
        status = recording["exchanges"][-1]["response"][
            "status"
        ]  # wrapped: the reference lost it, we kept it
    if status != got.status:
        yield Difference("status", status, got.status, call)
    code = expected.get("code")
    if code is not None and text_of(code) != got.code:
        yield Difference("code", code, got.code, call)
    request_id = expected.get("requestID", expected.get("request_id"))
    if ("requestID" in expected or "request_id" in expected) and request_id != got.request_id:
        yield Difference("request id", request_id, got.request_id, call)
    # Ollama's client repeats the message there; all others put the answer's error object.
    repeats = expected.get("error") == expected["message"]
    if "error" in expected and not repeats and not _has_error(got.body, expected["error"]):
        yield Difference("error", expected["error"], got.body, call)


def _has_error(body: str, expected: Any) -> bool:
    try:
        parsed = parse_json(body)
    except ValueError:
        return False
    return same(parsed, expected) or same(get(parsed, "error"), expected)


def _compare_sleeps(recording: Recording, got: Sequence[float]) -> Iterator[Difference]:
    expected = recording.get("sleeps_ms", [])
    throws: Mapping[str, Any] = recording.get("throws") or {}
    total = get(throws, "$metadata", "totalRetryDelay")
    if total is not None and total != sum(got):
        yield Difference("waits in all", total, sum(got))
    got = [wait for wait in got if wait >= _LEAST_RECORDED_MS]
    same_waits = len(expected) == len(got) and all(
        math.isclose(a, b, abs_tol=1e-6) for a, b in zip(expected, got, strict=True)
    )
    if not same_waits:
        yield Difference("sleeps_ms", expected, list(got))


def _compare_machine(recording: Recording, played: Played) -> Iterator[Difference]:
    """What was asked of the machine and of the editor: a program, files, models."""
    program = recording.get("process")
    if program is not None or played.processes:
        theirs = None if program is None else [program["argv"], program["stdin"]]
        ours = [[list(seen.argv), seen.stdin] for seen in played.processes]
        if ours != [theirs]:
            yield Difference("process", [theirs], ours)
        elif program is not None:
            env = {name: played.processes[0].env.get(name) for name in program["env"]}
            if env != program["env"]:
                yield Difference("environment", program["env"], env)
    if recording.get("vscode_lm_calls", []) != played.host_calls:
        yield Difference("host calls", recording.get("vscode_lm_calls", []), played.host_calls)
    for path, text in recording.get("files_after", {}).items():
        if played.files.get(path) != text:
            yield Difference("file", text, played.files.get(path))


def recorded_results(recording: Recording) -> list[Mapping[str, Any]]:
    """What each call of a recording gave."""
    results: list[Mapping[str, Any]] = recording.get("results", [recording])
    return results


def same(a: Any, b: Any) -> bool:
    """Equality of JSON values: numbers by value, booleans apart from numbers, keys in any order."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a == b
    if is_object(a) and is_object(b):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if is_list(a) and is_list(b):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and bool(a == b)


def _same_body(expected: bytes, got: bytes) -> bool:
    if expected == got:
        return True
    try:
        return same(parse_json(expected), parse_json(got))
    except ValueError:
        return False


def _plain(value: Any) -> Any:
    """A recorded value without the marks for what JSON lacks."""
    if is_object(value):
        if value.keys() == {"$undefined"}:
            return None
        if value.keys() == {"$number"}:
            return float(value["$number"])
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if is_list(value) else value


def recorded_bytes(recorded: Any) -> bytes:
    if isinstance(recorded, str):
        return recorded.encode("utf-8", "surrogatepass")
    return base64.b64decode(recorded["b64"])


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("utf-8", "backslashreplace").decode()
    return repr(text) if len(text) <= 160 else repr(text[:160]) + f"... ({len(text)} characters)"
