"""Where the reference face does not do as the reference does: each kind of difference as a named rule with its reason.

A recording of the reference and what we did in its place are compared (:func:`compare`), and each difference is looked up here
(:func:`settle`). A rule is a predicate over the recording, our result and the one difference; it covers nothing but what its reason says. No
rule knows the name of a recording.

What is not compared at all: headers by which an SDK advertises itself and the machine (``x-stainless-*``, an SDK's ``user-agent``), those
of the HTTP client underneath (``sec-fetch-mode``, ``accept-language``, ``accept-encoding``, ``connection``, ``content-length``), and the order of
JSON keys.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from tercet.codecs.vocabulary import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    TercetError,
    TransportError,
)

from .actions import Chunk
from .deviations_aws import is_pseudo_header, signs_itself
from .values import get, is_list, is_object, parse_json, text_of

__all__ = [
    "ABSENT",
    "RULES",
    "Difference",
    "Outcome",
    "Played",
    "Recording",
    "Rule",
    "SeenProcess",
    "SeenRequest",
    "compare",
    "settle",
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
        if not _same_body(_bytes(recorded.get("body") or ""), request.body):
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


def _bytes(recorded: Any) -> bytes:
    if isinstance(recorded, str):
        return recorded.encode("utf-8", "surrogatepass")
    return base64.b64decode(recorded["b64"])


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("utf-8", "backslashreplace").decode()
    return repr(text) if len(text) <= 160 else repr(text[:160]) + f"... ({len(text)} characters)"


# --- the rules -----------------------------------------------------------------------------------------------------------------


class Rule(msgspec.Struct, frozen=True):
    """A declared deviation. ``covers(recording, played, difference)`` says whether the difference is of this kind."""

    name: str
    reason: str
    covers: Callable[[Recording, Played, Difference], bool]


def settle(
    recording: Recording, played: Played, differences: Sequence[Difference]
) -> tuple[list[Difference], list[str]]:
    """The differences that no rule covers, and the names of the rules that cover the others."""
    open_: list[Difference] = []
    used: dict[str, None] = {}
    for difference in differences:
        name = next((rule.name for rule in RULES if rule.covers(recording, played, difference)), None)
        if name is None:
            open_.append(difference)
        else:
            used[name] = None
    return open_, list(used)


_TERMINAL = re.compile(
    rb'\[DONE\]|"finish_reason":\s*"|"type":\s*"message_stop"|"finishReason":\s*"|"blockReason":\s*"'
    rb'|"type":\s*"response\.(?:completed|done|incomplete|failed)"|"done":\s*true'
    rb'|:event-type\x07\x00\x0bmessageStop|:event-type\x07\x00\x08metadata|\{"type":\s*"result"'
)
_CLOSING_USAGE = re.compile(rb'(?:"choices":\s*\[\]|"type":\s*"[^"]*"),\s*"usage":\s*\{')
_DELTA = re.compile(r'"type":\s*"response\.[a-z_.]+\.delta"')
_COMPLETED = re.compile(rb'"type":\s*"response\.(?:completed|done)"')
_CRASH = re.compile(
    r"Cannot read properties of undefined \(reading '.*'\)|Cannot use 'in' operator to search for .*"
)
_NAMED = re.compile(r".{1,60}? error: ", re.DOTALL)
_CUT_CHARACTER = re.compile("\ufffd+")


def _whole_characters(recording: Recording, _played: Played, difference: Difference) -> bool:
    theirs, ours = difference.expected, difference.got
    if difference.place != "yield" or get(theirs, "type") != get(ours, "type"):
        return False
    cut, whole = get(theirs, "text"), get(ours, "text")
    if not isinstance(cut, str) or not isinstance(whole, str) or "\ufffd" in whole:
        return False
    pattern = "[^\\x00-\\x7f]+".join(map(re.escape, _CUT_CHARACTER.split(cut)))
    chunks = _body_chunks(recording)
    return (
        re.fullmatch(pattern, whole) is not None
        and any("\ufffd" in chunk.decode("utf-8", "replace") for chunk in chunks)
        and "\ufffd" not in b"".join(chunks).decode("utf-8", "replace")
        and same({**theirs, "text": ""}, {**ours, "text": ""})
    )


def _interrupted(recording: Recording, played: Played, difference: Difference) -> bool:
    outcome = _outcome(played, difference)
    result = recorded_results(recording)[max(difference.call - 1, 0)]
    body = b"".join(_body_chunks(recording))
    return (
        difference.place == "throws"
        and difference.expected == ABSENT
        and isinstance(outcome.error, StreamInterruptedError)
        and same(result.get("yields", []), outcome.yields)
        and _TERMINAL.search(body) is None
        and _CLOSING_USAGE.search(body) is None
    )


def _engine_wording(recording: Recording, played: Played, difference: Difference) -> bool:
    throws: Mapping[str, Any] = recorded_results(recording)[max(difference.call - 1, 0)].get("throws") or {}
    error = _outcome(played, difference).error
    if difference.place not in ("message", "class", "code") or not throws.get("runtime_message"):
        return False
    if not isinstance(error, (TransportError, ProviderError, ConfigurationError)) or not error.message:
        return False
    named = _NAMED.match(throws["message"])
    return named is None or error.message.startswith(named.group())


def _engine_wording_told(recording: Recording, played: Played, difference: Difference) -> bool:
    throws: Mapping[str, Any] = recorded_results(recording)[max(difference.call - 1, 0)].get("throws") or {}
    error = _outcome(played, difference).error
    return (
        difference.place == "yield"
        and bool(throws.get("runtime_message"))
        and isinstance(error, (TransportError, ProviderError))
        and same(difference.expected, {"type": "text", "text": f"Error: {throws['message']}"})
        and same(difference.got, {"type": "text", "text": f"Error: {error.message}"})
    )


def _http1(recording: Recording, played: Played, difference: Difference) -> bool:
    if difference.place != "header" or difference.number > len(played.requests):
        return False
    recorded, seen = (
        recording["exchanges"][difference.number - 1]["request"],
        played.requests[difference.number - 1],
    )
    if recorded.get("http_version") != "2":
        return False
    name, _, value = difference.expected.rpartition(": ")
    if name.startswith(":"):
        return bool(difference.got == f"{name}: {ABSENT}") and is_pseudo_header(
            name, value, seen.method, seen.url
        )
    theirs = {name.lower(): value for name, value in recorded["headers"]}
    return difference.expected.startswith("authorization: ") and signs_itself(
        recording, theirs, _bytes(recorded["body"]), seen
    )


def _no_probe(recording: Recording, played: Played, difference: Difference) -> bool:
    hosts = recording.get("refused_hosts", ())
    return (
        difference.place == "sleeps_ms"
        and difference.expected == [100, 500, 1500]
        and difference.got == []
        and "169.254.169.254" in hosts
        and bool(get(recording, "options", "vertexProjectId"))
        and any(path.endswith("/application_default_credentials.json") for path in recording.get("files", {}))
    )


def _crash_on_valid_input(recording: Recording, played: Played, difference: Difference) -> bool:
    result = recorded_results(recording)[max(difference.call - 1, 0)]
    throws: Mapping[str, Any] = result.get("throws") or {}
    if not throws.get("runtime_message") or not _CRASH.fullmatch(throws["message"]):
        return False
    outcome = _outcome(played, difference)
    before = result.get("yields", [])
    is_whole = outcome.error is None and same(before, outcome.yields[: len(before)])
    if not is_whole or _TERMINAL.search(b"".join(_body_chunks(recording))) is None:
        return False
    if difference.place == "throws":
        return bool(difference.got == ABSENT)
    return (
        difference.place == "yield"
        and difference.expected == ABSENT
        and get(difference.got, "type") == "usage"
    )


def _sent_once(recording: Recording, played: Played, difference: Difference) -> bool:
    kept, again = recording["exchanges"][:-1], recording["exchanges"][-1:]
    if not kept or not _is_sent_again(kept[-1]["request"], again[0]["request"]):
        return False
    first, second = kept[-1]["response"], again[0]["response"]
    if len(played.requests) != len(kept) or not _is_result_of(_outcome(played, difference), first):
        return False
    match difference.place:
        case "requests":
            return True
        case "yield":
            return bool(difference.got == ABSENT)
        case "throws":
            return bool(difference.expected == ABSENT)
        case "message" | "status":
            return not same(
                [first["status"], first["body_chunks"]], [second["status"], second["body_chunks"]]
            )
        case _:
            return False


def _is_sent_again(first: Mapping[str, Any], again: Mapping[str, Any]) -> bool:
    """Whether ``again`` is the same body, sent by the reference's own request after its SDK's."""
    accepts = [dict(map(tuple[str, str], request["headers"])).get("Accept") for request in (first, again)]
    base = first["url"].removesuffix("/responses")
    return (
        accepts == ["application/json", "text/event-stream"]
        and base != first["url"]
        and again["url"] in (first["url"], f"{base}/v1/responses")
        and bool(first.get("body"))
        and first["body"] == again.get("body")
    )


def _is_result_of(outcome: Outcome, answer: Mapping[str, Any]) -> bool:
    """Whether the outcome is all that this answer gave before it failed, and its failure."""
    error = outcome.error
    text = b"".join(map(_bytes, answer["body_chunks"])).decode("utf-8", "replace")
    if error is None:
        return False
    if answer["status"] >= 400:
        return error.status == answer["status"] and error.body == text[:2000] and not outcome.yields
    if answer["ends"] == "normal":
        event = re.search(f"^data: {re.escape(error.body)}$", text, re.MULTILINE)
        if not error.body or event is None:
            return False
        text = text[: event.start()]
    elif not isinstance(error, TransportError):
        return False
    return error.status in (None, answer["status"]) and len(outcome.yields) == len(_DELTA.findall(text))


def _swallowed_failure(recording: Recording, played: Played, difference: Difference) -> bool:
    outcome = _outcome(played, difference)
    result = recorded_results(recording)[max(difference.call - 1, 0)]
    error = outcome.error
    if difference.place != "throws" or difference.expected != ABSENT or not isinstance(error, ProviderError):
        return False
    body = b"".join(_body_chunks(recording))
    lines = body.decode("utf-8", "replace").split("\n")
    if not error.body or f"data: {error.body}" not in lines or _COMPLETED.search(body):
        return False
    event = parse_json(error.body)
    said = get(event, "message") or get(event, "response", "error", "message")
    return (
        get(event, "type") in ("error", "response.error", "response.failed")
        and isinstance(said, str)
        and error.message.endswith(f": {said}")
        and same(result.get("yields", []), outcome.yields)
    )


def _cr_lines(recording: Recording, played: Played, difference: Difference) -> bool:
    body = b"".join(_body_chunks(recording))
    result = recorded_results(recording)[max(difference.call - 1, 0)]
    outcome = _outcome(played, difference)
    if difference.place != "yield" or b"\n" in body or outcome.error is not None:
        return False
    try:
        events = [
            parse_json(line[5:])
            for line in body.split(b"\r")
            if line.startswith(b"data:") and line[5:].strip() != b"[DONE]"
        ]
    except ValueError:
        return False
    texts = [get(event, "choices", 0, "delta", "content") for event in events]
    usage = next((event["usage"] for event in reversed(events) if get(event, "usage")), None)
    ours = [chunk for chunk in outcome.yields if chunk["type"] != "usage"]
    found_nothing = all(chunk["type"] == "usage" for chunk in result.get("yields", []))
    return (
        found_nothing
        and "".join(chunk["text"] for chunk in ours) == "".join(text for text in texts if text)
        and [chunk["inputTokens"] for chunk in outcome.yields[len(ours) :]] == [get(usage, "prompt_tokens")]
    )


def _outcome(played: Played, difference: Difference) -> Outcome:
    return played.outcomes[max(difference.call - 1, 0)]


def _body_chunks(recording: Recording) -> list[bytes]:
    """The pieces of the last answer's body."""
    if "process" in recording:
        return [_bytes(chunk) for chunk in recording["process"]["response"]["stdout_chunks"]]
    answers = [exchange["response"] for exchange in recording["exchanges"] if "response" in exchange]
    return [_bytes(chunk) for chunk in answers[-1]["body_chunks"]] if answers else []


RULES: tuple[Rule, ...] = (
    Rule(
        "whole-characters",
        "the reference decodes each chunk of bytes by itself, so a character cut by a border becomes U+FFFD; ours comes out whole",
        _whole_characters,
    ),
    Rule(
        "interrupted-stream",
        "the reference takes the end of the bytes for the end of the answer; without the wire's own sign of an end ours is an error",
        _interrupted,
    ),
    Rule(
        "engine-wording",
        "the text of this error comes from the JavaScript engine or its HTTP client; ours is an error at the same point, in our words",
        _engine_wording,
    ),
    Rule(
        "crash-on-valid-input",
        "the reference reads a field of something that a valid answer may leave out, and dies with a TypeError; ours goes on",
        _crash_on_valid_input,
    ),
    Rule(
        "cr-lines",
        "the reader of Cerebras's streams knows LF alone as the end of a line, so of a stream whose lines end in CR it finds nothing and "
        "says so to nobody; ours reads it as the standard for event streams has it",
        _cr_lines,
    ),
    Rule(
        "sent-once",
        "where OpenAI's SDK fails the reference sends the same body again by itself, which costs twice and repeats text; ours sends it "
        "once, and the first failure is the result",
        _sent_once,
    ),
    Rule(
        "swallowed-failure",
        "the reference passes over the event that says the answer failed and ends as if it had not; ours ends in that failure",
        _swallowed_failure,
    ),
    Rule(
        "engine-wording-told",
        "the reference tells that error in a text chunk too, before it throws it",
        _engine_wording_told,
    ),
    Rule(
        "http-1.1",
        "ours speaks HTTP/1.1 to Bedrock: no pseudo-headers, and the signature is over host in place of :authority and without the "
        "SDK's own headers; both signatures are computed again and must be right, each for its own request",
        _http1,
    ),
    Rule(
        "no-probe",
        "the reference asks Google's metadata server four times for the project that its settings name, and waits between; ours does not ask",
        _no_probe,
    ),
)
