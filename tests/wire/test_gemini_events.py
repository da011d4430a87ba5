"""What a Gemini answer means: parts, signatures, streamed arguments, usage, citations, ends. Then every recorded stream."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tercet.codecs.processor import StreamProcessor
from tercet.codecs.vocabulary import (
    ChatRequest,
    ChatResponse,
    Citation,
    ContentFilterError,
    Finish,
    Opaque,
    OpaqueDelta,
    OverloadedError,
    ProtocolError,
    QuotaExceededError,
    ReasoningDelta,
    ServerError,
    StreamInterruptedError,
    StreamToken,
    TercetError,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageReport,
    fold,
    user,
)
from tercet.codecs.wire.gemini import Dialect, GeminiWire
from tercet.codecs.wire.gemini_arguments import PartialArg, PartialArguments
from tercet.codecs.wire.gemini_framing import GeminiDecoder

WIRE = GeminiWire()
ENVELOPED = GeminiWire(Dialect(request_key="request", response_key="response", finish_at_reason=True))
STOP = {
    "candidates": [
        {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "STOP", "index": 0}
    ]
}


def parts(*found: dict[str, Any], **facts: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(found), "role": "model"}, "index": 0, **facts}]}


def call(**fields: Any) -> dict[str, Any]:
    return parts({"functionCall": fields})


def interpret(*events: dict[str, Any], wire: GeminiWire = WIRE) -> list[StreamToken]:
    interpreter = wire.interpreter()
    tokens: list[StreamToken] = []
    for event in events:
        interpreter.interpret("", json.dumps(event).encode(), tokens)
    interpreter.finish(tokens)
    return tokens


def sse(*payloads: str, end: str = "\r\n\r\n") -> bytes:
    return "".join(f"data: {payload}{end}" for payload in payloads).encode()


def run(pieces: list[bytes], wire: GeminiWire = WIRE) -> tuple[list[StreamToken], TercetError | None]:
    """All tokens, and the error if one ended them, as the engine would read them."""
    processor = StreamProcessor(wire.decoder(), wire.interpreter())
    tokens: list[StreamToken] = []
    try:
        for piece in pieces:
            tokens += processor.process_chunk(piece)
        tokens += processor.finish()
        if not processor.is_complete:
            processor.finish()
    except TercetError as error:
        return tokens, error
    return tokens, None


def merged(tokens: list[StreamToken]) -> ChatResponse:
    return fold(tokens)


# Parts ------------------------------------------------------------------------------------------------------------------


def test_text_and_thoughts() -> None:
    assert interpret(
        parts({"text": "Hm", "thought": True}), parts({"text": "Hello"}), parts({"text": "!"}), STOP
    ) == [
        ReasoningDelta("Hm"),
        TextDelta("Hello"),
        TextDelta("!"),
        Finish("stop", "STOP"),
    ]


def test_a_signed_part_is_never_merged_with_an_unsigned_one() -> None:
    tokens = interpret(
        parts({"text": "a"}),
        parts({"text": "b", "thoughtSignature": "S1"}),
        parts({"text": "c"}),
        parts({"text": "", "thoughtSignature": "S2"}, finishReason="STOP"),
    )
    assert tokens == [
        TextDelta("a"),
        TextDelta("b", 1, "S1", "gemini"),
        TextDelta("c", 2),
        TextDelta("", 3, "S2", "gemini"),
        Finish("stop", "STOP"),
    ]
    assert fold(tokens).parts == (
        Text("a"),
        Text("b", signature="S1", origin="gemini"),
        Text("c"),
        Text("", signature="S2", origin="gemini"),
    )


def test_calls_come_whole_with_their_own_bytes() -> None:
    interpreter = WIRE.interpreter()
    tokens: list[StreamToken] = []
    interpreter.interpret(
        "",
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{ "n" : 1.50e3,"u":"\\u00e9" }},'
        b'"thoughtSignature":"S"},{"functionCall":{"name":"g","id":"x1"}}]},"finishReason":"STOP"}]}',
        tokens,
    )
    interpreter.finish(tokens)
    assert tokens == [
        ToolCallDelta(0, "call_0", "f", '{ "n" : 1.50e3,"u":"\\u00e9" }', "S", "gemini"),
        ToolCallDelta(1, "x1", "g", ""),
        Finish("tool_calls", "STOP"),
    ]


def test_streamed_arguments_are_handed_out_as_they_come() -> None:
    tokens = interpret(
        call(name="cook", id="c9", willContinue=True),
        call(
            partialArgs=[{"jsonPath": "$.steps[0]", "stringValue": "Bo", "willContinue": True}],
            willContinue=True,
        ),
        call(partialArgs=[{"jsonPath": "$.steps[0]", "stringValue": "il"}], willContinue=True),
        call(willContinue=True),
        call(partialArgs=[{"jsonPath": "$.steps[1]", "stringValue": "Eat"}], willContinue=True),
        call(
            partialArgs=[
                {"jsonPath": "$.minutes", "numberValue": 12},
                {"jsonPath": "$.x", "boolValue": False},
            ],
            willContinue=True,
        ),
        call(),
        call(name="next", args={"a": 1}),
        STOP,
    )
    assert tokens == [
        ToolCallDelta(0, "c9", "cook", ""),
        ToolCallDelta(0, arguments='{"steps":["Bo'),
        ToolCallDelta(0, arguments="il"),
        ToolCallDelta(0, arguments='","Eat'),
        ToolCallDelta(0, arguments='"],"minutes":12,"x":false'),
        ToolCallDelta(0, arguments="}"),
        ToolCallDelta(1, "call_1", "next", '{"a": 1}'),
        Finish("tool_calls", "STOP"),
    ]


def test_a_streamed_call_without_its_last_piece_ends_with_the_next_call_or_the_finish() -> None:
    begun = call(name="f", willContinue=True)
    piece = call(partialArgs=[{"jsonPath": "$.a", "stringValue": "x"}], willContinue=True)
    answer = fold(interpret(begun, piece, begun, piece, STOP))
    assert [one.arguments for one in answer.tool_calls] == ['{"a":"x"}', '{"a":"x"}']


def test_a_streamed_call_may_end_with_whole_arguments_or_none() -> None:
    answer = fold(
        interpret(
            call(name="f", willContinue=True),
            call(args={"a": 1}),
            call(name="g", willContinue=True),
            call(),
            STOP,
        )
    )
    assert [one.arguments for one in answer.tool_calls] == ['{"a": 1}', ""]


def test_arguments_without_a_call_are_an_error() -> None:
    with pytest.raises(ProtocolError, match="no name"):
        interpret(call(args={"a": 1}))
    assert interpret(call(), STOP) == [Finish("stop", "STOP")]


def test_what_is_neither_text_nor_call_is_kept_as_it_came() -> None:
    raw = b'{"executableCode": {"language":"PYTHON",  "code":"print(1)"}, "thoughtSignature":"S"}'
    event = (
        b'{"candidates":[{"content":{"parts":[{"text":"a"},'
        + raw
        + b',{"thought":true},{},{"hologram":[1.0]}]}}]}'
    )
    tokens: list[StreamToken] = []
    WIRE.interpreter().interpret("", event, tokens)
    assert tokens == [
        TextDelta("a"),
        OpaqueDelta("gemini", "executableCode", raw.decode()),
        OpaqueDelta("gemini", "hologram", '{"hologram":[1.0]}'),
    ]


def test_a_signature_alone_is_kept() -> None:
    assert interpret(parts({"thoughtSignature": "S"}), STOP)[0] == OpaqueDelta(
        "gemini", "thoughtSignature", '{"thoughtSignature": "S"}'
    )


def test_only_the_first_candidate_is_read() -> None:
    other = {"index": 1, "content": {"parts": [{"text": "no"}]}, "finishReason": "STOP"}
    mine = {
        "content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "aQ=="}}, {"text": "yes"}]}
    }
    tokens: list[StreamToken] = []
    interpreter = WIRE.interpreter()
    interpreter.interpret("", json.dumps({"candidates": [other, mine]}).encode(), tokens)
    interpreter.interpret("", json.dumps({"candidates": [other]}).encode(), tokens)
    assert tokens == [
        OpaqueDelta("gemini", "inlineData", '{"inlineData": {"mimeType": "image/png", "data": "aQ=="}}'),
        TextDelta("yes"),
    ]
    assert not interpreter.is_complete


def test_characters_cut_in_two_are_joined() -> None:
    events = [
        b'{"candidates":[{"content":{"parts":[{"text":"a\\ud83d"}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"text":"\\ude00b\\ud83d"}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"text":"t","thought":true}]},"finishReason":"STOP"}]}',
    ]
    for wrap in (b"%s", b'{"response":%s}'):
        interpreter = (WIRE if wrap == b"%s" else ENVELOPED).interpreter()
        tokens: list[StreamToken] = []
        for event in events:
            interpreter.interpret("", wrap % event, tokens)
        interpreter.finish(tokens)
        assert tokens == [
            TextDelta("a"),
            TextDelta("\U0001f600b"),
            TextDelta("\ufffd"),
            ReasoningDelta("t"),
            Finish("stop", "STOP"),
        ]


# Usage, citations, ends -------------------------------------------------------------------------------------------------


def test_usage_is_ours_and_comes_when_it_changes() -> None:
    counts = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 7,
        "thoughtsTokenCount": 30,
        "toolUsePromptTokenCount": 5,
        "totalTokenCount": 142,
    }
    tokens = interpret(
        {"usageMetadata": {"trafficType": "ON_DEMAND"}},
        {**parts({"text": "a"}), "usageMetadata": counts},
        {**parts({"text": "b"}), "usageMetadata": counts},
        STOP,
        {"usageMetadata": {**counts, "candidatesTokenCount": 8}},
        {"usageMetadata": {"trafficType": "ON_DEMAND"}},
    )
    assert tokens == [
        TextDelta("a"),
        UsageReport(Usage(105, 37, cache_read_tokens=40, reasoning_tokens=30)),
        TextDelta("b"),
        UsageReport(Usage(105, 38, cache_read_tokens=40, reasoning_tokens=30)),
        Finish("stop", "STOP"),
    ]


def test_citations_of_both_kinds_each_once() -> None:
    grounding = {
        "groundingChunks": [
            {"web": {"uri": "https://a", "title": "A"}},
            {"web": {"title": "nowhere"}},
            {"retrievedContext": {"uri": "gs://b", "text": "..."}},
            {"maps": {"uri": "https://c"}},
        ],
        "groundingSupports": [
            {"segment": {"endIndex": 5, "text": "hello"}, "groundingChunkIndices": [0, 1, 9]}
        ],
    }
    cited = {"citations": [{"startIndex": 1, "endIndex": 2, "uri": "https://d", "license": "mit"}]}
    sources = {"citationSources": [{"startIndex": 3, "endIndex": 4, "uri": "https://e"}]}
    tokens = interpret(
        parts({"text": "hello"}, groundingMetadata=grounding, citationMetadata=cited),
        parts({"text": ""}, groundingMetadata=grounding, citationMetadata=sources),
        parts({"text": ""}, groundingMetadata=None, finishReason="STOP"),
    )
    assert tokens[1:-1] == [
        Citation("https://a", "A", "hello", None, 5),
        Citation("gs://b"),
        Citation("https://c"),
        Citation("https://d", None, None, 1, 2),
        Citation("https://e", None, None, 3, 4),
    ]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
        ("CONTINUATION", "pause"),
        ("MALFORMED_FUNCTION_CALL", "other"),
        ("MISSING_THOUGHT_SIGNATURE", "other"),
        ("LANGUAGE", "other"),
        ("NOT_YET_INVENTED", "other"),
    ],
)
def test_finish_reasons(raw: str, reason: str) -> None:
    assert interpret({"candidates": [{"finishReason": raw}]}) == [Finish(reason, raw)]  # type: ignore[arg-type]  # reason is a FinishReason
    with_call = interpret(call(name="f"), {"candidates": [{"finishReason": raw}]})
    assert with_call[-1] == Finish("tool_calls" if reason == "stop" else reason, raw)  # type: ignore[arg-type]  # as above


def test_finish_names_the_answer() -> None:
    event = {**STOP, "modelVersion": "gemini-9", "responseId": "r1"}
    assert interpret(event) == [Finish("stop", "STOP", response_id="r1", model="gemini-9")]


def test_an_unspecified_reason_is_no_end() -> None:
    with pytest.raises(StreamInterruptedError):
        interpret(parts({"text": "a"}, finishReason="FINISH_REASON_UNSPECIFIED"))


def test_complete_from_the_finish_reason_on_and_finished_once() -> None:
    interpreter = WIRE.interpreter()
    tokens: list[StreamToken] = []
    interpreter.interpret("", json.dumps(parts({"text": "a"})).encode(), tokens)
    assert not interpreter.is_complete
    interpreter.interpret("", json.dumps(STOP).encode(), tokens)
    assert interpreter.is_complete
    assert tokens == [TextDelta("a")]
    interpreter.finish(tokens)
    interpreter.finish(tokens)
    interpreter.interpret("", json.dumps(parts({"text": "late"})).encode(), tokens)
    assert tokens == [TextDelta("a"), Finish("stop", "STOP")]


def test_code_assist_ends_at_the_finish_reason() -> None:
    tokens = interpret(
        {"response": parts({"text": "a"}), "traceId": "t"},
        {"response": {**STOP, "usageMetadata": {"promptTokenCount": 1}}},
        {"response": parts({"text": "late"})},
        wire=ENVELOPED,
    )
    assert tokens == [TextDelta("a"), UsageReport(Usage(1)), Finish("stop", "STOP")]
    assert interpret(STOP, wire=ENVELOPED) == [Finish("stop", "STOP")]
    with pytest.raises(OverloadedError):
        interpret({"error": {"code": 503, "message": "busy"}}, wire=ENVELOPED)


def test_a_blocked_prompt_is_an_error_and_its_usage_is_known() -> None:
    tokens: list[StreamToken] = []
    blocked = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": "no"},
        "usageMetadata": {"promptTokenCount": 3},
    }
    with pytest.raises(ContentFilterError, match="PROHIBITED_CONTENT") as caught:
        WIRE.interpreter().interpret("", json.dumps(blocked).encode(), tokens)
    assert caught.value.code == "PROHIBITED_CONTENT"
    assert tokens == [UsageReport(Usage(3))]
    assert interpret({"promptFeedback": {"safetyRatings": []}}, STOP) == [Finish("stop", "STOP")]


def test_errors_inside_a_stream() -> None:
    with pytest.raises(OverloadedError, match="try later") as caught:
        interpret(
            parts({"text": "a"}), {"error": {"code": 503, "message": "try later", "status": "UNAVAILABLE"}}
        )
    assert (caught.value.code, caught.value.status) == ("UNAVAILABLE", None)
    with pytest.raises(QuotaExceededError):
        interpret({"error": {"status": "RESOURCE_EXHAUSTED", "message": "requests per day"}})
    with pytest.raises(ServerError, match="odd"):
        interpret({"error": "odd"})


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"nonsense", b'{"candidates":5}', b'{"candidates":[{"content":[]}]}', b"[1]", b"[" * 100_000],
)
def test_what_is_no_answer_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        WIRE.interpreter().interpret("", data, [])


# Whole answers ----------------------------------------------------------------------------------------------------------


def test_a_whole_answer() -> None:
    body = {
        **parts({"text": "Hi"}, finishReason="STOP"),
        "usageMetadata": {"promptTokenCount": 2},
        "modelVersion": "m",
        "responseId": "r",
    }
    answer = WIRE.response(json.dumps(body).encode())
    assert answer == ChatResponse((Text("Hi"),), "stop", "STOP", usage=Usage(2), id="r", served_model="m")
    assert ENVELOPED.response(json.dumps({"response": body}).encode()) == answer


def test_a_whole_answer_may_be_an_array_of_events() -> None:
    assert (
        WIRE.response(
            json.dumps([parts({"text": "H"}), parts({"text": "i"}, finishReason="STOP")]).encode()
        ).text
        == "Hi"
    )
    with pytest.raises(OverloadedError):
        WIRE.response(b'[{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}]')


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"<html>", b'{"candidates":[{"content":{"parts":[{"text":"cut"}]}}]}']
)
def test_a_whole_answer_without_an_end_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        WIRE.response(body)


# Streamed arguments -----------------------------------------------------------------------------------------------------


def written(*values: tuple[str, Any]) -> str:
    arguments = PartialArguments()
    text = ""
    for path, value in values:
        field = {str: "stringValue", bool: "boolValue", type(None): "nullValue"}.get(
            type(value), "numberValue"
        )
        text += arguments.write(
            msgspec.json.decode(json.dumps({"jsonPath": path, field: value}), type=PartialArg)
        )
    return text + arguments.close()


def test_places_become_json() -> None:
    assert json.loads(
        written(
            ("$.a", "x"),
            ("$['b c'].d", 1),
            ("$['b c'].e[0][0]", None),
            ("$['b c'].e[0][1]", True),
            ('$["f\\"g"]', 0.5),
        )
    ) == {
        "a": "x",
        "b c": {"d": 1, "e": [[None, True]]},
        'f"g': 0.5,
    }
    assert written() == ""
    assert json.loads(written(("$.a", 'quote " and \u2028'), ("$.a", "more"))) == {
        "a": 'quote " and \u2028more'
    }
    assert written(("$.n", 12345678901234567890)) == '{"n":12345678901234567890}'


@pytest.mark.parametrize(
    "paths",
    [
        ("$.a", "$.b", "$.a"),
        ("$.a[1]",),
        ("$.a[0]", "$.a[0]"),
        ("$.a", "$.a.b"),
        ("$.a.b", "$.a"),
        ("$.a.b", "$.a[0]"),
        ("$[0]",),
    ],
)
def test_a_place_that_was_left_cannot_be_written_again(paths: tuple[str, ...]) -> None:
    with pytest.raises(ProtocolError, match="streamed arguments"):
        written(*((path, 1) for path in paths))


@pytest.mark.parametrize(
    "path", ["", "$", "a", "$.", "$..a", "$.*", "$.a[*]", "$.a[", "$.a b]", "$" + "[0]" * 200, "$.a" * 200]
)
def test_a_path_that_names_no_place(path: str) -> None:
    with pytest.raises(ProtocolError, match="path"):
        written((path, 1))


# Framing ----------------------------------------------------------------------------------------------------------------


def events_of(*pieces: bytes) -> list[bytes]:
    decoder = GeminiDecoder()
    found = [bytes(event.data) for piece in pieces for event in decoder.feed(piece)]
    return found + [bytes(event.data) for event in decoder.finish()]


def test_bare_json_after_the_last_event_is_an_event() -> None:
    stream = b'data: {"a":1}\r\n\r\n{"error":\n{"code":503}}'
    assert events_of(stream) == [b'{"a":1}', b'{"error":\n{"code":503}}']
    assert events_of(*[bytes([byte]) for byte in stream]) == events_of(stream)
    assert events_of(b'[{"a":1}', b"]") == [b'[{"a":1}]']
    assert events_of(b'{"error"') == []


def test_the_last_event_counts_without_its_blank_line_if_it_is_whole() -> None:
    assert events_of(b'data: {"a":1}') == [b'{"a":1}']
    assert events_of(b'data: {"a":{"b":1}') == []


@pytest.mark.parametrize("way", ["feed", "split"])
def test_a_bare_document_has_a_limit(way: str) -> None:
    decoder = GeminiDecoder(max_event_size=10)
    take = getattr(decoder, way)
    assert list(take(b"data: 1\n\n[12345")) != []
    with pytest.raises(ProtocolError, match="larger than 10"):
        list(take(b"12345"))
    with pytest.raises(ProtocolError, match="larger than 10"):
        list(take(b"6"))
    late = GeminiDecoder(max_event_size=10)
    events = iter(late.feed(b"data: 1\n\n[1234567890"))
    assert bytes(next(events).data) == b"1"  # what was whole before the fault is given first
    with pytest.raises(ProtocolError, match="larger than 10"):
        next(events)


def test_a_bare_error_in_a_stream_is_the_error_it_says() -> None:
    stream = (
        sse(json.dumps(parts({"text": "partial"})))
        + b'{"error":{"code":503,"message":"bare","status":"UNAVAILABLE"}}'
    )
    tokens, error = run([stream])
    assert tokens == [TextDelta("partial")]
    assert isinstance(error, OverloadedError)


# Recorded streams -------------------------------------------------------------------------------------------------------


def recorded(shared: Path) -> dict[str, list[str]]:
    folder = shared / "vectors" / "llm-streams" / "vercel-ai"
    found = sorted(path for path in folder.glob("google.google-*.chunks.txt"))
    assert len(found) >= 9
    return {path.name: [line for line in path.read_text().split("\n") if line.strip()] for path in found}


def put(target: dict[str, Any], path: str, value: Any) -> None:
    """The walk's own idea of a JSON path: no code shared with the wire."""
    steps: list[Any] = [int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]$]+", path)]
    here: Any = target
    for step, after in zip(steps, [*steps[1:], None], strict=True):
        missing = len(here) <= step if isinstance(here, list) else step not in here
        if after is None:
            old = None if missing else here[step]
            new = old + value if isinstance(old, str) and isinstance(value, str) else value
            here.append(new) if isinstance(here, list) and missing else here.__setitem__(step, new)
        else:
            if missing:
                fresh: Any = [] if isinstance(after, int) else {}
                here.append(fresh) if isinstance(here, list) else here.__setitem__(step, fresh)
            here = here[step]


def walk(lines: list[str]) -> dict[str, Any]:
    """Text, reasoning, calls, signatures and usage of a recorded stream, read as plain JSON."""
    said: dict[str, Any] = {"text": "", "reasoning": "", "calls": [], "signatures": [], "usage": {}}
    for line in lines:
        event = json.loads(line)
        if "promptTokenCount" in event.get("usageMetadata", {}):
            said["usage"] = event["usageMetadata"]
        for part in event["candidates"][0].get("content", {}).get("parts", []):
            if "thoughtSignature" in part:
                said["signatures"].append(part["thoughtSignature"])
            said["reasoning" if part.get("thought") else "text"] += part.get("text", "")
            function = part.get("functionCall")
            if function and "name" in function:
                said["calls"].append((function["name"], function.get("args", {})))
            for arg in (function or {}).get("partialArgs", []):
                value = next(arg[key] for key in ("stringValue", "numberValue", "boolValue") if key in arg)
                put(said["calls"][-1][1], arg["jsonPath"], value)
    return said


def heard(answer: ChatResponse) -> dict[str, Any]:
    assert answer.usage is not None
    return {
        "text": answer.text,
        "reasoning": answer.reasoning,
        "calls": [(one.name, json.loads(one.arguments or "{}")) for one in answer.tool_calls],
        "signatures": [part.signature for part in answer.parts if getattr(part, "signature", None)],
        "usage": answer.usage,
    }


def test_recorded_streams_say_what_their_json_says(shared: Path) -> None:
    wrong: list[str] = []
    for name, lines in recorded(shared).items():
        tokens, error = run([sse(*lines)])
        expected = walk(lines)
        usage = expected["usage"]
        expected["usage"] = Usage(
            usage["promptTokenCount"],
            usage["totalTokenCount"] - usage["promptTokenCount"],
            reasoning_tokens=usage["thoughtsTokenCount"],
        )
        got = heard(fold(tokens))
        last = tokens[-1]
        if error is not None or got != expected or not isinstance(last, Finish):
            wrong.append(f"{name}: {error}\n  {got}\n  {expected}")
        elif (
            last.reason != ("tool_calls" if expected["calls"] else "stop")
            or not last.model
            or not last.response_id
        ):
            wrong.append(f"{name}: {last}")
        if sum(isinstance(token, Finish) for token in tokens) != 1:
            wrong.append(f"{name}: not exactly one Finish")
    assert not wrong, "\n".join(wrong)


def test_recorded_streams_do_not_depend_on_cuts_line_ends_or_comments(shared: Path) -> None:
    seed = random.Random(7)
    for name, lines in recorded(shared).items():
        whole, error = run([sse(*lines)])
        assert error is None, name
        stream = sse(*lines)
        ways = {
            "bytes": [stream[at : at + 1] for at in range(len(stream))],
            "LF": [sse(*lines, end="\n\n")],
            "CR": [sse(*lines, end="\r\r")],
            "comments": [
                b": keep\r\n\r\n".join([b"", *stream.split(b"\r\n\r\n")]).replace(
                    b"\r\n\r\n: keep", b"\r\n\r\n:x\r\n: keep"
                )
            ],
            "no last blank line": [sse(*lines).rstrip()],
        }
        for number in range(10):
            cuts = sorted(seed.randrange(len(stream)) for _ in range(20))
            ways[f"random {number}"] = [
                stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)
            ]
        ways["comments"] = [
            b"".join(
                b": keep-alive\r\n" * 50 + b"\r\n" + event + b"\r\n\r\n"
                for event in stream.split(b"\r\n\r\n")
            )
        ]
        for way, pieces in ways.items():
            assert run(pieces) == (whole, None), f"{name}, {way}"


def test_a_recorded_stream_cut_anywhere_is_complete_or_interrupted(shared: Path) -> None:
    wrong: list[str] = []
    for name, lines in recorded(shared).items():
        stream = sse(*lines)
        whole, _ = run([stream])
        evidence = stream.rindex(b'"finishReason"')
        step = max(
            1, len(stream) // 1500
        )  # every byte of most; the largest in steps, its last event at every byte
        places = sorted({*range(0, len(stream), step), *range(max(0, len(stream) - 1200), len(stream) + 1)})
        for at in places:
            tokens, error = run([stream[:at]])
            complete = error is None and tokens == whole
            interrupted = isinstance(error, StreamInterruptedError) and not any(
                isinstance(one, Finish) for one in tokens
            )
            if not (complete or interrupted) or (complete and at < evidence):
                wrong.append(f"{name} at {at}: {error!r}")
        assert run([stream])[1] is None
    assert not wrong, "\n".join(wrong[:20])


def test_a_recorded_stream_means_what_its_whole_twin_means(shared: Path) -> None:
    for name, lines in recorded(shared).items():
        tokens, _ = run([sse(*lines)])
        events = [json.loads(line) for line in lines]
        assert WIRE.response(("[" + ",".join(lines) + "]").encode()) == fold(tokens), name
        if any("partialArgs" in line for line in lines):
            continue  # streamed arguments exist in streams only
        whole = events[-1]
        whole["candidates"][0]["content"]["parts"] = [
            part for event in events for part in event["candidates"][0]["content"]["parts"]
        ]
        twin = WIRE.response(json.dumps(whole, separators=(",", ":")).encode())
        assert twin == fold(tokens), name


def test_a_recorded_answer_goes_back_with_every_signature_on_its_part(shared: Path) -> None:
    for name, lines in recorded(shared).items():
        answer = fold(run([sse(*lines)])[0])
        body = json.loads(
            WIRE.chat(ChatRequest("m", [user("q"), answer.message, user("more")]), stream=True).body
        )
        sent = body["contents"][1]["parts"]
        expected = walk(lines)
        assert [part["thoughtSignature"] for part in sent if "thoughtSignature" in part] == expected[
            "signatures"
        ], name
        assert [
            (one["functionCall"]["name"], one["functionCall"]["args"])
            for one in sent
            if "functionCall" in one
        ] == expected["calls"], name
        assert (
            "".join(part.get("text", "") for part in sent if not part.get("thought")) == expected["text"]
        ), name
        signed = [(set(part) - {"thoughtSignature"}).pop() for part in sent if "thoughtSignature" in part]
        assert signed == ["functionCall" if expected["calls"] else "text"], name


def test_recorded_error_frames_of_streams(shared: Path) -> None:
    cases = json.loads((shared / "vectors" / "llm-error-frames" / "cases.json").read_text())
    seen = 0
    for case in cases if isinstance(cases, list) else cases["cases"]:
        if case["provider"] == "gemini" and case["kind"] == "sse-200":
            tokens, error = run([chunk.encode() for chunk in case["chunks"]])
            assert error is None
            assert tokens == [TextDelta("No"), Finish("content_filter", "PROHIBITED_CONTENT")]
            seen += 1
    assert seen


def test_opaque_parts_go_back_byte_for_byte() -> None:
    raw = '{"codeExecutionResult" : {"outcome":"OUTCOME_OK","output":"1\\n"}, "thoughtSignature":"S"}'
    event = (
        '{"candidates":[{"content":{"parts":['
        + raw
        + ',{"functionCall":{"name":"f","args":{"x" : 1.0}}}]},"finishReason":"STOP"}]}'
    )
    answer = WIRE.response(event.encode())
    assert answer.parts == (
        Opaque("gemini", "codeExecutionResult", raw),
        ToolCall("call_0", "f", '{"x" : 1.0}'),
    )
    body = WIRE.chat(ChatRequest("m", [user("q"), answer.message]), stream=False).body
    assert raw.encode() in body
    assert b'{"functionCall":{"name":"f","args":{"x" : 1.0}}}' in body
