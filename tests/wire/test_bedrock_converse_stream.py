"""Recorded and written ConverseStream answers become the tokens that a few lines of JSON walking find in them, however they are cut."""

from __future__ import annotations

import base64
import itertools
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tercet.codecs.framing import encode_message
from tercet.codecs.processor import StreamProcessor
from tercet.codecs.vocabulary import (
    BadRequestError,
    ChatRequest,
    ChatResponse,
    Citation,
    ContextLengthError,
    Finish,
    Model,
    OpaqueDelta,
    OverloadedError,
    ProtocolError,
    RateLimitError,
    Reasoning,
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
from tercet.codecs.wire.bedrock_converse import BedrockConverseWire, Dialect
from tercet.codecs.wire.bedrock_converse_events import ConverseInterpreter

WIRE = BedrockConverseWire()


def frame(name: str, payload: Any) -> bytes:
    data = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return encode_message(headers, data)


def failure(name: str, payload: Any) -> bytes:
    headers = {
        ":exception-type": name,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return encode_message(headers, msgspec.json.encode(payload))


def frames(lines: Sequence[str]) -> list[bytes]:
    """One frame for each line ``{"contentBlockDelta": {...}}``: how the SDKs show events, and how they were recorded."""
    events = [msgspec.json.decode(line, type=dict[str, msgspec.Raw]) for line in lines]
    return [frame(name, bytes(payload)) for event in events for name, payload in event.items()]


def answers(shared: Path) -> Iterator[tuple[str, list[str]]]:
    """Every recorded answer as the JSON of its events. Some recordings hold several, one after the other."""
    for path in sorted(
        (shared / "vectors" / "llm-streams" / "vercel-ai").glob("amazon-bedrock.*.chunks.txt")
    ):
        start, name = 0, path.name.removesuffix(".chunks.txt")
        lines = [line for line in path.read_text("utf-8").split("\n") if line]
        ends = [place for place, line in enumerate(lines, 1) if "messageStop" in line]
        # the metadata of recorded answers comes behind the stop, that of written ones in front of it
        ends = [place + 1 if lines[place:] and "metadata" in lines[place] else place for place in ends]
        for end in ends:
            yield (name if start == 0 else f"{name}@{start}"), lines[start:end]
            start = end
        assert start == len(lines), name


def walk(lines: Sequence[str]) -> dict[str, Any]:
    """The whole answer that the events stand for: plain JSON, none of our code."""
    blocks: dict[int, dict[str, Any]] = {}
    answer: dict[str, Any] = {}
    for line in lines:
        ((name, event),) = json.loads(line).items()
        match name:
            case "contentBlockStart":
                tool = event["start"].get("toolUse")
                if tool:
                    blocks[event["contentBlockIndex"]] = {"toolUse": {**tool, "input": ""}}
            case "contentBlockDelta":
                delta = event["delta"]
                block = blocks.setdefault(event["contentBlockIndex"], {})
                if "text" in delta:
                    block["text"] = block.get("text", "") + delta["text"]
                elif "toolUse" in delta:
                    block["toolUse"]["input"] += delta["toolUse"]["input"]
                else:
                    thought = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})
                    for key, value in delta["reasoningContent"].items():
                        thought["reasoningText"][key] = thought["reasoningText"].get(key, "") + value
            case "messageStop":
                answer["stopReason"] = event["stopReason"]
            case "metadata":
                answer["usage"] = event["usage"]
            case _:
                pass
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = msgspec.Raw((block["toolUse"]["input"] or "{}").encode())
    answer["output"] = {"message": {"role": "assistant", "content": [blocks[at] for at in sorted(blocks)]}}
    return answer


def usage_of(answer: dict[str, Any]) -> Usage | None:
    usage = answer.get("usage")
    return None if usage is None else Usage(usage["inputTokens"], usage["outputTokens"])


def read(data: bytes, cuts: Sequence[int] = ()) -> list[StreamToken]:
    processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
    tokens: list[StreamToken] = []
    for start, end in itertools.pairwise([0, *sorted(cuts), len(data)]):
        tokens += processor.process_chunk(data[start:end])
    tokens += processor.finish()
    assert processor.is_complete
    return tokens


def outcome(data: bytes) -> tuple[list[StreamToken], TercetError | None]:
    processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
    tokens: list[StreamToken] = []
    try:
        tokens += processor.process_chunk(data)
        tokens += processor.finish()
        if not processor.is_complete:
            processor.finish()
    except TercetError as error:
        return tokens, error
    return tokens, None


def fault(data: bytes) -> TercetError:
    error = outcome(data)[1]
    assert error is not None, "the stream ended well"
    return error


def test_recorded_streams_say_what_a_walk_through_their_json_says(shared: Path) -> None:
    wrong: list[str] = []
    seen = 0
    for name, lines in answers(shared):
        seen += 1
        response, answer = fold(read(b"".join(frames(lines)))), walk(lines)
        blocks = answer["output"]["message"]["content"]
        expected = {
            "text": "".join(block.get("text", "") for block in blocks),
            "reasoning": "".join(
                block["reasoningContent"]["reasoningText"]["text"]
                for block in blocks
                if "reasoningContent" in block
            ),
            "signatures": [
                block["reasoningContent"]["reasoningText"].get("signature")
                for block in blocks
                if "reasoningContent" in block
            ],
            "calls": [
                (call["toolUseId"], call["name"], bytes(call["input"]).decode())
                for block in blocks
                if (call := block.get("toolUse"))
            ],
            "usage": usage_of(answer),
            "finish": answer["stopReason"],
        }
        found = {
            "text": response.text,
            "reasoning": response.reasoning,
            "signatures": [part.signature for part in response.parts if isinstance(part, Reasoning)],
            "calls": [(call.id, call.name, call.arguments) for call in response.tool_calls],
            "usage": response.usage,
            "finish": response.finish_raw,
        }
        wrong += [
            f"{name}: {key}: {found[key]!r:.200} != {expected[key]!r:.200}"
            for key in expected
            if found[key] != expected[key]
        ]
    assert not wrong, "\n".join(wrong)
    assert seen >= 12


def test_a_stream_folds_to_its_whole_twin(shared: Path) -> None:
    wrong: list[str] = []
    for name, lines in answers(shared):
        folded = fold(read(b"".join(frames(lines))))
        twin = WIRE.response(msgspec.json.encode(walk(lines)))
        # the whole form numbers no parts, so what differs is nothing
        if folded != twin:
            wrong.append(f"{name}:\n  {folded}\n  {twin}")
    assert not wrong, "\n".join(wrong)


def test_cuts_change_nothing(shared: Path) -> None:
    chance = random.Random(7)
    wrong: list[str] = []
    for name, lines in answers(shared):
        data = b"".join(frames(lines))
        tokens = read(data)
        cuts = [sorted(chance.randrange(len(data)) for _ in range(count)) for count in (1, 7, 40)]
        wrong += [f"{name}: cut at {cut}" for cut in cuts if read(data, cut) != tokens]
        if read(data, range(1, len(data))) != tokens:
            wrong.append(f"{name}: byte by byte")
    assert not wrong, "\n".join(wrong)


def test_an_answer_that_ends_at_any_byte_is_whole_or_interrupted(shared: Path) -> None:
    wrong: list[str] = []
    for name, lines in answers(shared):
        pieces = frames(lines)
        data, whole = b"".join(pieces), read(b"".join(pieces))
        stop = next(place for place, line in enumerate(lines, 1) if "messageStop" in line)
        is_whole_from = sum(map(len, pieces[:stop]))
        for end in range(len(data)):
            tokens, error = outcome(data[:end])
            if end < is_whole_from:
                right = type(error) is StreamInterruptedError and not any(
                    isinstance(token, Finish) for token in tokens
                )
            else:
                right = error is None and fold(tokens).parts == fold(whole).parts and tokens[-1] == whole[-1]
            if not right:
                wrong.append(f"{name}: ended after {end} of {len(data)} bytes: {error!r}, {tokens[-2:]!r}")
    assert not wrong, "\n".join(wrong[:20])


def test_a_flipped_bit_is_a_protocol_error_and_nothing_after_it_is_believed(shared: Path) -> None:
    _, lines = next(answers(shared))
    pieces = frames(lines)
    data = b"".join(pieces)
    for place in range(0, len(data), 7):
        broken = bytearray(data)
        broken[place] ^= 0x10
        tokens, error = outcome(bytes(broken))
        if error is None:  # behind the stop, what is broken is only the usage
            raise AssertionError(place)
        assert isinstance(error, ProtocolError | StreamInterruptedError), (place, error)
        assert not any(isinstance(token, Finish) for token in tokens)


# Written streams --------------------------------------------------------------------------------------------------------

STOP = frame("messageStop", {"stopReason": "end_turn"})
METADATA = frame(
    "metadata",
    {
        "usage": {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8},
        "metrics": {"latencyMs": 1},
        "p": "abc",
    },
)


def delta(index: int, **members: Any) -> bytes:
    return frame("contentBlockDelta", {"contentBlockIndex": index, "delta": members, "p": "abcdefgh"})


def start(index: int, **members: Any) -> bytes:
    return frame("contentBlockStart", {"contentBlockIndex": index, "start": members})


def stop(index: int) -> bytes:
    return frame("contentBlockStop", {"contentBlockIndex": index})


def tokens_of(*pieces: bytes) -> list[StreamToken]:
    return read(b"".join(pieces))


def test_usage_comes_before_the_finish_which_waits_for_it() -> None:
    interpreter = WIRE.interpreter()
    processor = StreamProcessor(WIRE.decoder(), interpreter)
    assert processor.process_chunk(delta(0, text="hi")) == [TextDelta("hi", 0)]
    assert not processor.is_complete
    assert processor.process_chunk(STOP) == []
    assert processor.is_complete
    assert processor.process_chunk(METADATA) == [
        UsageReport(Usage(3, 5)),
        Finish("stop", "end_turn"),
    ]
    assert processor.process_chunk(METADATA + STOP + delta(1, text="late")) == []
    assert processor.finish() == []


def test_without_metadata_the_end_of_the_bytes_gives_the_finish() -> None:
    assert tokens_of(delta(0, text="hi"), STOP) == [TextDelta("hi", 0), Finish("stop", "end_turn")]


def test_what_comes_behind_the_stop_cannot_unsay_the_answer() -> None:
    late = failure("internalServerException", {"message": "metrics"})
    assert tokens_of(delta(0, text="hi"), STOP, late) == [TextDelta("hi", 0), Finish("stop", "end_turn")]


def test_the_caches_counts_are_part_of_the_input() -> None:
    usage = {"inputTokens": 3, "outputTokens": 5, "cacheReadInputTokens": 10, "cacheWriteInputTokens": 20}
    tokens = tokens_of(STOP, frame("metadata", {"usage": usage}))
    assert tokens[0] == UsageReport(Usage(33, 5, 10, 20))


def test_all_kinds_of_blocks() -> None:
    citation = {
        "title": "Doc",
        "sourceContent": [{"text": "so"}, {"text": " it is"}],
        "location": {"web": {"url": "https://x"}},
    }
    page = {"source": "s3://x", "location": {"documentPage": {"documentIndex": 0, "start": 1, "end": 2}}}
    tokens = tokens_of(
        frame("messageStart", {"role": "assistant"}),
        delta(0, reasoningContent={"text": "hm"}),
        delta(0, reasoningContent={"text": "m"}),
        delta(0, reasoningContent={"signature": "sig/1+="}),
        stop(0),
        delta(1, reasoningContent={"redactedContent": "AAEC/w=="}),
        stop(1),
        delta(2, text="It is"),
        delta(2, citation=citation),
        delta(2, text=" so."),
        delta(2, citation=page),
        stop(2),
        start(3, toolUse={"toolUseId": "t1", "name": "f"}),
        delta(3, toolUse={"input": '{"x"'}),
        delta(3, toolUse={"input": ": 1}"}),
        stop(3),
        start(4, toolUse={"toolUseId": "t2", "name": "g"}),
        delta(4, toolUse={"input": ""}),
        stop(4),
        frame("messageStop", {"stopReason": "tool_use"}),
        METADATA,
    )
    raw = f"[{json.dumps(citation, separators=(',', ':'))},{json.dumps(page, separators=(',', ':'))}]"
    assert tokens == [
        ReasoningDelta("hm", 0),
        ReasoningDelta("m", 0),
        ReasoningDelta("", 0, signature="sig/1+=", origin="bedrock"),
        ReasoningDelta("", 1, encrypted="AAEC/w==", origin="bedrock"),
        TextDelta("It is", 2),
        Citation("https://x", "Doc", "so it is"),
        TextDelta(" so.", 2),
        Citation("s3://x", None, None),
        TextDelta("", 2, signature=raw, origin="bedrock"),
        ToolCallDelta(0, "t1", "f"),
        ToolCallDelta(0, arguments='{"x"'),
        ToolCallDelta(0, arguments=": 1}"),
        ToolCallDelta(1, "t2", "g"),
        ToolCallDelta(1, arguments="{}"),
        UsageReport(Usage(3, 5)),
        Finish("tool_calls", "tool_use"),
    ]


def test_withheld_reasoning_in_pieces_is_the_base64_of_all_its_bytes() -> None:
    tokens = tokens_of(
        delta(0, reasoningContent={"redactedContent": base64.b64encode(b"a").decode()}),
        delta(0, reasoningContent={"redactedContent": base64.b64encode(b"bc").decode()}),
        STOP,
    )
    assert tokens[0] == ReasoningDelta("", 0, encrypted=base64.b64encode(b"abc").decode(), origin="bedrock")


def test_what_is_not_ours_to_understand_is_kept_as_a_block_of_the_next_request() -> None:
    tokens = tokens_of(
        start(0, toolUse={"toolUseId": "s", "name": "nova_grounding", "type": "server_tool_use"}),
        delta(0, toolUse={"input": '{"q":'}),
        delta(0, toolUse={"input": " 1}"}),
        stop(0),
        start(1, toolResult={"toolUseId": "s", "type": "r", "status": "success"}),
        delta(1, toolResult=[{"text": "a"}]),
        delta(1, toolResult=[{"json": {"n": 1.5}}]),
        stop(1),
        start(2, image={"format": "png"}),
        delta(2, image={"source": {"bytes": base64.b64encode(b"\x01").decode()}}),
        delta(2, image={"source": {"bytes": base64.b64encode(b"\x02").decode()}}),
        stop(2),
        start(3, future={"a": [1], "b": "x"}),
        delta(3, future={"a": [2], "b": "y", "c": None}),
        delta(4, later={"k": 1}),
        STOP,
    )
    assert tokens[:-1] == [
        OpaqueDelta(
            "bedrock",
            "toolUse",
            '{"toolUse":{"toolUseId":"s","name":"nova_grounding","type":"server_tool_use","input":{"q": 1}}}',
        ),
        OpaqueDelta(
            "bedrock",
            "toolResult",
            '{"toolResult":{"toolUseId":"s","type":"r","status":"success","content":[{"text":"a"},{"json":{"n":1.5}}]}}',
        ),
        OpaqueDelta("bedrock", "image", '{"image":{"format":"png","source":{"bytes":"AQI="}}}'),
        OpaqueDelta("bedrock", "future", '{"future":{"a":[1,2],"b":"xy","c":null}}'),
        OpaqueDelta("bedrock", "later", '{"later":{"k":1}}'),
    ]


def test_the_provider_s_own_call_that_broke_off_is_not_given_back() -> None:
    tokens = tokens_of(
        start(0, toolUse={"toolUseId": "s", "name": "x", "type": "server_tool_use"}),
        delta(0, toolUse={"input": '{"q":'}),
        frame("messageStop", {"stopReason": "max_tokens"}),
    )
    assert tokens == [Finish("length", "max_tokens")]


@pytest.mark.parametrize(
    ("raw", "calls", "reason"),
    [
        ("end_turn", 0, "stop"),
        ("end_turn", 1, "tool_calls"),
        ("tool_use", 1, "tool_calls"),
        ("tool_use", 0, "stop"),
        ("stop_sequence", 0, "stop"),
        ("max_tokens", 1, "length"),
        ("model_context_window_exceeded", 0, "length"),
        ("guardrail_intervened", 0, "content_filter"),
        ("content_filtered", 0, "content_filter"),
        ("malformed_tool_use", 0, "other"),
        ("malformed_model_output", 0, "other"),
        ("of tomorrow", 0, "other"),
    ],
)
def test_stop_reasons(raw: str, calls: int, reason: str) -> None:
    pieces = [start(index, toolUse={"toolUseId": "t", "name": "f"}) for index in range(calls)]
    finish = tokens_of(*pieces, frame("messageStop", {"stopReason": raw}))[-1]
    assert finish == Finish(reason, raw)  # type: ignore[arg-type]  # a row of the table


def test_the_stop_sequence_and_the_router_s_choice_are_told() -> None:
    fields: dict[str, Any] = {"delta": {"stop_sequence": "END"}}
    trace = {"promptRouter": {"invokedModelId": "arn:aws:bedrock:us-east-1::foundation-model/x"}}
    finish = tokens_of(
        frame("messageStop", {"stopReason": "stop_sequence", "additionalModelResponseFields": fields}),
        frame("metadata", {"trace": trace}),
    )[-1]
    assert finish == Finish(
        "stop", "stop_sequence", "END", None, "arn:aws:bedrock:us-east-1::foundation-model/x"
    )
    whole = {
        "output": {"message": {"content": []}},
        "stopReason": "stop_sequence",
        "additionalModelResponseFields": {"stop_sequence": "END"},
    }
    assert WIRE.response(json.dumps(whole).encode()).stop_sequence == "END"


def test_halves_of_characters_are_joined_over_deltas() -> None:
    tokens = tokens_of(
        frame("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"a\\ud83d"}}'),
        frame("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"\\ude00b"}}'),
        frame("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"\\ud83d"}}'),
        stop(0),
        STOP,
    )
    assert "".join(token.text for token in tokens if isinstance(token, TextDelta)) == "a\U0001f600b\ufffd"
    whole = b'{"output":{"message":{"content":[{"text":"a\\ud83d"}]}},"stopReason":"end_turn"}'
    assert WIRE.response(whole).text == "a\ufffd"


def test_a_block_of_another_kind_ends_the_one_before_it() -> None:
    tokens = tokens_of(delta(0, reasoningContent={"text": "hm"}), delta(0, text="so"), STOP)
    assert fold(tokens).parts == (Reasoning("hm"), Text("so"))


@pytest.mark.parametrize(
    "piece",
    [
        delta(0, toolUse={"input": "{}"}),
        frame("contentBlockDelta", b"{"),
        frame("contentBlockDelta", {"contentBlockIndex": "0", "delta": {"text": "x"}}),
        frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": 7}}),
        frame("metadata", {"usage": {"inputTokens": "3"}}),
    ],
)
def test_events_that_are_not_what_the_api_says(piece: bytes) -> None:
    assert isinstance(fault(piece), ProtocolError)


def test_what_is_held_back_is_limited() -> None:
    interpreter = ConverseInterpreter(limit=1000)
    payload = msgspec.json.encode(
        {"contentBlockIndex": 0, "delta": {"reasoningContent": {"redactedContent": "A" * 400}}}
    )
    interpreter.interpret("contentBlockDelta", payload, [])
    interpreter.interpret("contentBlockDelta", payload, [])
    with pytest.raises(ProtocolError, match="more than 1000"):
        interpreter.interpret("contentBlockDelta", payload, [])


@pytest.mark.parametrize(
    ("name", "message", "error"),
    [
        ("throttlingException", "Too many requests", RateLimitError),
        ("internalServerException", "x", ServerError),
        ("modelStreamErrorException", "x", ServerError),
        ("serviceUnavailableException", "x", OverloadedError),
        ("validationException", "x", BadRequestError),
        ("validationException", "Input is too long for requested model.", ContextLengthError),
        ("modelTimeoutException", "x", ServerError),
        ("exceptionOfTomorrow", "x", ServerError),
    ],
)
def test_exceptions_in_the_stream(name: str, message: str, error: type[TercetError]) -> None:
    tokens, found = outcome(delta(0, text="begun") + failure(name, {"message": message}))
    assert tokens == [TextDelta("begun", 0)]
    assert type(found) is error
    assert (found.message, found.code, found.status) == (message, name, None)


def test_what_the_model_itself_answered_decides() -> None:
    said = {"message": "m", "originalStatusCode": 429, "originalMessage": "slow down"}
    assert type(fault(failure("modelStreamErrorException", said))) is RateLimitError


def test_an_error_that_the_service_does_not_model() -> None:
    headers = {
        ":message-type": "error",
        ":error-code": "InternalError",
        ":error-message": "An internal server error occurred",
    }
    error = fault(encode_message(headers))
    assert (type(error), error.code, error.message) == (
        ServerError,
        "InternalError",
        "An internal server error occurred",
    )


def test_the_exception_frames_of_the_vectors(shared: Path) -> None:
    expected = {
        "internalServerException": ServerError,
        "modelStreamErrorException": ServerError,
        "serviceUnavailableException": OverloadedError,
        "throttlingException": RateLimitError,
        "validationException": BadRequestError,
    }
    cases = json.loads((shared / "vectors" / "llm-error-frames" / "cases.json").read_text())
    cases = cases if isinstance(cases, list) else cases["cases"]
    seen = 0
    for case in cases:
        if case["kind"] == "eventstream-200":
            seen += 1
            error = fault(bytes.fromhex(case["frame_hex"]))
            assert type(error) is expected[case["name"].split()[-1]], case["name"]
            assert error.message.startswith("Modeled exception: ")
    assert seen == 5


def test_the_frames_of_the_sheet(shared: Path) -> None:
    known = json.loads((shared / "providers" / "vectors-eventstream.json").read_text())
    tokens = read(bytes.fromhex(known["converse_text_delta"]["hex"]) + STOP)
    assert tokens[0] == TextDelta("Hi", 0)
    error = fault(bytes.fromhex(known["exception_throttling"]["hex"]))
    assert (type(error), error.message) == (RateLimitError, "Too many requests")


# Whole answers ----------------------------------------------------------------------------------------------------------


def test_a_whole_answer_with_all_kinds_of_blocks() -> None:
    body = (
        b'{"metrics":{"latencyMs":1},"output":{"message":{"role":"assistant","content":['
        b'{"reasoningContent":{"reasoningText":{"text":"hm","signature":"s="}}},'
        b'{"reasoningContent":{"redactedContent":"AAEC"}},'
        b'{"text":"Look: "},'
        b'{"citationsContent":{"content":[{"text":"so"}],"citations":[{"title":"t", "source":"u"}]}},'
        b'{"toolUse":{"toolUseId":"a","name":"f","input":{"x": 1.0}}},'
        b'{"toolUse" : {"toolUseId":"b","name":"g","input":{},"type":"server_tool_use"}},'
        b'{"image":{"format":"png","source":{"bytes":"AQI="}}}'
        b']}},"stopReason":"tool_use","usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3}}'
    )
    response = WIRE.response(body)
    assert response.parts[:2] == (
        Reasoning("hm", "s=", origin="bedrock"),
        Reasoning(encrypted="AAEC", origin="bedrock"),
    )
    assert response.parts[2:4] == (
        Text("Look: "),
        Text("so", signature='[{"title":"t", "source":"u"}]', origin="bedrock"),
    )
    assert response.citations == (Citation("u", "t", None),)
    assert response.tool_calls == (ToolCall("a", "f", '{"x": 1.0}'),)
    assert [part.json for part in response.parts[5:]] == [  # type: ignore[union-attr]  # the two opaque ones
        '{"toolUse" : {"toolUseId":"b","name":"g","input":{},"type":"server_tool_use"}}',
        '{"image":{"format":"png","source":{"bytes":"AQI="}}}',
    ]
    assert (response.finish_reason, response.usage) == ("tool_calls", Usage(1, 2))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"message":"x"}',
        b'{"output":{"message":{"role":"assistant","content":[]}}}',
        b'{"stopReason":"end_turn"}',
        b"<html>",
    ],
)
def test_bodies_that_are_no_answers(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        WIRE.response(body)


# Byte-exact returns -----------------------------------------------------------------------------------------------------


def returned(response: ChatResponse) -> list[Any]:
    """The blocks in which the answer goes back."""
    call = WIRE.chat(
        ChatRequest("anthropic.claude-x", [user("?"), response.message, user("on")]), stream=True
    )
    return json.loads(call.body)["messages"][1]["content"]


def test_what_came_goes_back_as_it_came() -> None:
    blocks: list[Mapping[str, Any]] = [
        {"reasoningContent": {"reasoningText": {"text": "hm é", "signature": "EqQ/+b=="}}},
        {"reasoningContent": {"redactedContent": "AAEC/w=="}},
        {"text": "said"},
        {
            "citationsContent": {
                "content": [{"text": "so"}],
                "citations": [{"title": "t", "location": {"web": {"url": "u"}}}],
            }
        },
        {"toolUse": {"toolUseId": "a", "name": "f", "input": {"x": 1.0, "y": "é"}}},
        {"toolUse": {"toolUseId": "b", "name": "g", "type": "server_tool_use", "input": {"q": [1]}}},
        {"toolResult": {"toolUseId": "b", "type": "t", "content": [{"json": {"a": 1}}]}},
        {"future": {"k": [1, 2.5, None]}},
    ]
    body = {"output": {"message": {"content": blocks}}, "stopReason": "tool_use"}
    assert returned(WIRE.response(json.dumps(body).encode())) == blocks
    streamed = tokens_of(
        delta(0, reasoningContent={"text": "hm é"}),
        delta(0, reasoningContent={"signature": "EqQ/+b=="}),
        delta(1, reasoningContent={"redactedContent": "AAEC/w=="}),
        stop(1),
        delta(2, text="said"),
        delta(3, text="so"),
        delta(3, citation={"title": "t", "location": {"web": {"url": "u"}}}),
        stop(3),
        start(4, toolUse={"toolUseId": "a", "name": "f"}),
        delta(4, toolUse={"input": '{"x": 1.0, "y": "é"}'}),
        start(5, toolUse={"toolUseId": "b", "name": "g", "type": "server_tool_use"}),
        delta(5, toolUse={"input": '{"q": [1]}'}),
        start(6, toolResult={"toolUseId": "b", "type": "t"}),
        delta(6, toolResult=[{"json": {"a": 1}}]),
        start(7, future={"k": [1, 2.5, None]}),
        frame("messageStop", {"stopReason": "tool_use"}),
    )
    assert returned(fold(streamed)) == blocks


def test_other_origins_do_not_get_it() -> None:
    response = fold(
        [
            ReasoningDelta("hm", 0),
            ReasoningDelta("", 0, signature="s", origin="anthropic"),
            TextDelta("x", 1),
            OpaqueDelta("gemini", "k", "{}"),
            Finish("stop"),
        ]
    )
    assert returned(response) == [{"text": "x"}]


# Lists and counts -------------------------------------------------------------------------------------------------------


def test_the_list_of_models_is_another_host_s_business_unless_the_dialect_has_a_path() -> None:
    assert WIRE.list_models() is None
    listed = BedrockConverseWire(Dialect(models_path="/foundation-models")).list_models()
    assert listed is not None
    assert (listed.method, listed.path) == ("GET", "/foundation-models")
    body = {
        "modelSummaries": [
            {
                "modelArn": "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
                "modelId": "amazon.nova-lite-v1:0",
                "modelName": "Nova Lite",
                "inputModalities": ["TEXT", "IMAGE"],
                "outputModalities": ["TEXT"],
                "modelLifecycle": {"status": "LEGACY", "endOfLifeTime": "2027-01-31T00:00:00Z"},
            },
            {"modelArn": "a", "modelId": "b"},
        ]
    }
    assert WIRE.models(json.dumps(body).encode()) == [
        Model(
            "amazon.nova-lite-v1:0",
            name="Nova Lite",
            input_modalities=("text", "image"),
            output_modalities=("text",),
            retires="2027-01-31",
        ),
        Model("b"),
    ]


def test_counting() -> None:
    request = ChatRequest("us.anthropic.claude-x-v1:0", "hi", max_tokens=5, temperature=0.5)
    asked = WIRE.count_tokens(request)
    assert asked is not None
    assert asked.path == "/model/anthropic.claude-x-v1%3A0/count-tokens"
    assert json.loads(asked.body) == {
        "input": {"converse": {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}}
    }
    assert WIRE.token_count(b'{"inputTokens":12}') == 12
    assert BedrockConverseWire(Dialect(count_path=None)).count_tokens(request) is None
