"""Where the reference face does not do as the reference does: each kind of difference as a named rule with its reason.

A recording of the reference and what we did in its place are compared (``comparison``), and each difference is looked up here
(:func:`settle`). A rule is a predicate over the recording, our result and the one difference; it covers nothing but what its reason says. No
rule knows the name of a recording.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from tercet.codecs.vocabulary import (
    ConfigurationError,
    ProviderError,
    StreamInterruptedError,
    TransportError,
)

from .comparison import (
    ABSENT,
    Difference,
    Outcome,
    Played,
    Recording,
    recorded_bytes,
    recorded_results,
    same,
)
from .deviations_aws import is_pseudo_header, signs_itself
from .values import get, parse_json

__all__ = ["RULES", "Rule", "settle"]


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
        recording, theirs, recorded_bytes(recorded["body"]), seen
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
    text = b"".join(map(recorded_bytes, answer["body_chunks"])).decode("utf-8", "replace")
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
        return [recorded_bytes(chunk) for chunk in recording["process"]["response"]["stdout_chunks"]]
    answers = [exchange["response"] for exchange in recording["exchanges"] if "response" in exchange]
    return [recorded_bytes(chunk) for chunk in answers[-1]["body_chunks"]] if answers else []


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
