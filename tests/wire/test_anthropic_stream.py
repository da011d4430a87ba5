"""Recorded and written streams of the Messages API become the tokens that a few lines of JSON walking find in them, however they are cut."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tercet.codecs.processor import StreamProcessor
from tercet.codecs.vocabulary import (
    ChatRequest,
    ChatResponse,
    Citation,
    Finish,
    Opaque,
    OpaqueDelta,
    OverloadedError,
    ProtocolError,
    Reasoning,
    ReasoningDelta,
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
from tercet.codecs.wire.anthropic import AnthropicWire
from tercet.codecs.wire.anthropic_events import AnthropicInterpreter

WIRE = AnthropicWire()
ENDS_IN_AN_ERROR = {"anthropic.spliced-message-start": ProtocolError}


def sse(lines: Sequence[str]) -> bytes:
    return "".join(f"event: {json.loads(line)['type']}\ndata: {line}\n\n" for line in lines).encode()


def answers(shared: Path) -> Iterator[tuple[str, list[str]]]:
    """Every recorded answer as the JSON of its events. Some recordings hold several answers, one after the other."""
    folder = shared / "vectors" / "llm-streams"
    for path in sorted(folder.glob("vercel-ai/anthropic.*.chunks.txt")):
        lines = [line for line in path.read_text("utf-8").split("\n") if line]
        yield from _cut(path.name.removesuffix(".chunks.txt"), lines)
    for path in sorted(folder.glob("anthropic-sdk/*")):
        lines = re.findall(r"^data: (.*)$", path.read_text("utf-8"), re.MULTILINE)
        yield from _cut(path.name, lines)


def _cut(name: str, lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    start = 0
    for place, line in enumerate(lines, 1):
        if json.loads(line)["type"] == "message_stop":
            yield (name if start == 0 else f"{name}@{start}"), lines[start:place]
            start = place
    assert start == len(lines), name


def walk(lines: Sequence[str]) -> dict[str, Any]:
    """The whole answer that the events stand for: plain JSON, none of our code."""
    message: dict[str, Any] = {}
    inputs: dict[int, str] = {}
    for line in lines:
        event = json.loads(line)
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                message["content"].append(event["content_block"])
            case "content_block_delta":
                block, delta = message["content"][event["index"]], event["delta"]
                match delta["type"]:
                    case "text_delta" | "thinking_delta":
                        key = delta["type"].removesuffix("_delta")
                        block[key] += delta[key]
                    case "input_json_delta":
                        inputs[event["index"]] = inputs.get(event["index"], "") + delta["partial_json"]
                    case "citations_delta":
                        block.setdefault("citations", []).append(delta["citation"])
                    case "signature_delta":
                        block["signature"] = delta["signature"]
                    case _:
                        block |= {key: value for key, value in delta.items() if key != "type"}
            case "message_delta":
                message |= event["delta"]
                message["usage"] |= event["usage"]
            case _:
                pass
    for index, text in inputs.items():
        if text:
            message["content"][index]["input"] = msgspec.Raw(text.encode())
    return message


def whole(message: Any) -> bytes:
    return msgspec.json.encode(message)


def read(data: bytes, cuts: Sequence[int] = ()) -> list[StreamToken]:
    processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
    tokens: list[StreamToken] = []
    edges = [0, *sorted(cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        tokens += processor.process_chunk(data[start:end])
    tokens += processor.finish()
    assert processor.is_complete
    return tokens


def fault(data: bytes) -> TercetError:
    processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
    try:
        processor.process_chunk(data)
        processor.finish()
        processor.finish()
    except TercetError as error:
        return error
    raise AssertionError("the stream ended well")


def plain(response: ChatResponse) -> Any:
    """The answer with its raw JSON as values: recordings and their whole twins differ in blanks and escapes."""
    value = msgspec.to_builtins(response)
    for part in value["parts"]:
        for key in ("json", "arguments", "signature"):
            raw = part.get(key)
            if raw and not (key == "signature" and part["type"] == "reasoning"):
                part[key] = json.loads(raw) if raw[-1] in "}]" and _is_json(raw) else raw
    return value


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def usage_of(raw: Any) -> Usage:
    read_, written = raw.get("cache_read_input_tokens") or 0, raw.get("cache_creation_input_tokens") or 0
    return Usage(
        raw["input_tokens"] + read_ + written,
        raw["output_tokens"],
        read_,
        written,
        raw.get("output_tokens_details", {}).get("thinking_tokens", 0),
    )


def test_recorded_streams_say_what_a_walk_through_their_json_says(shared: Path) -> None:
    wrong: list[str] = []
    seen = 0
    for name, lines in answers(shared):
        if name in ENDS_IN_AN_ERROR:
            continue
        seen += 1
        response, message = fold(read(sse(lines))), walk(lines)
        blocks = message["content"]
        calls = [block for block in blocks if block["type"] == "tool_use"]
        expected = {
            "text": "".join(block["text"] for block in blocks if block["type"] == "text"),
            "reasoning": "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
            "calls": [
                (call["id"], call["name"], msgspec.json.encode(call["input"]).decode()) for call in calls
            ],
            "citations": [
                citation.get("cited_text")
                for block in blocks
                for citation in block.get("citations") or ()
                if block["type"] == "text"
            ],
            "usage": usage_of(message["usage"]),
            "finish": (message["stop_reason"], message["stop_sequence"], message["id"]),
            "opaque": [
                block["type"]
                for block in blocks
                if block["type"] not in ("text", "thinking", "tool_use", "redacted_thinking")
            ],
        }
        found = {
            "text": response.text,
            "reasoning": response.reasoning,
            "calls": [(call.id, call.name, call.arguments) for call in response.tool_calls],
            "citations": [citation.text for citation in response.citations],
            "usage": response.usage,
            "finish": (response.finish_raw, response.stop_sequence, response.id),
            "opaque": [part.kind for part in response.parts if isinstance(part, Opaque)],
        }
        wrong += [
            f"{name}: {key}: {found[key]!r:.200} != {expected[key]!r:.200}"
            for key in expected
            if found[key] != expected[key]
        ]
    assert not wrong, "\n".join(wrong)
    assert seen >= 60


def test_recorded_streams_that_break_off_give_the_error_of_their_row(shared: Path) -> None:
    recorded = dict(answers(shared))
    for name, error in ENDS_IN_AN_ERROR.items():
        assert type(fault(sse(recorded[name]))) is error, name


def test_a_stream_folds_to_its_whole_twin(shared: Path) -> None:
    wrong: list[str] = []
    for name, lines in answers(shared):
        # The cut arguments of the second are no JSON, so it has no twin.
        if name in ENDS_IN_AN_ERROR or name == "incomplete_partial_json_response.txt":
            continue
        folded, twin = plain(fold(read(sse(lines)))), plain(WIRE.response(whole(walk(lines))))
        if folded != twin:
            wrong.append(f"{name}:\n  {folded}\n  {twin}")
    assert not wrong, "\n".join(wrong)


def test_cuts_newlines_and_comments_change_nothing(shared: Path) -> None:
    chance = random.Random(7)
    wrong: list[str] = []
    for name, lines in answers(shared):
        if name in ENDS_IN_AN_ERROR:
            continue
        data = sse(lines)
        tokens = read(data)
        cuts = [sorted(chance.randrange(len(data)) for _ in range(count)) for count in (1, 7, 40)]
        variants: dict[str, tuple[bytes, Sequence[int]]] = {f"cut at {cut}": (data, cut) for cut in cuts}
        if len(data) < 20_000:
            variants["byte by byte"] = (data, range(1, len(data)))
        variants["CRLF"] = (data.replace(b"\n", b"\r\n"), cuts[2])
        variants["CR"] = (data.replace(b"\n", b"\r"), cuts[1])
        variants["comments"] = (
            b"".join(b": ping\n\n" + event + b"\n\n" for event in data.split(b"\n\n")[:-1]),
            cuts[2],
        )
        variants["no names"] = (re.sub(rb"(?m)^event: .*\n", b"", data), ())
        variants["wrong names"] = (re.sub(rb"(?m)^event: .*$", b"event: message", data), ())
        wrong += [
            f"{name}: {what}" for what, (bytes_, cut) in variants.items() if read(bytes_, cut) != tokens
        ]
    assert not wrong, "\n".join(wrong)


def test_an_answer_that_ends_early_is_never_complete(shared: Path) -> None:
    recorded = dict(answers(shared))
    for name in (
        "anthropic.anthropic-text",
        "tool_use_response.txt",
        "compaction_response.txt",
        "refusal_response.txt",
    ):
        data = sse(recorded[name])
        tokens = read(data)
        for end in range(len(data)):
            processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
            said: list[StreamToken] = []
            try:
                said += processor.process_chunk(data[:end])
                said += processor.finish()
                processor.finish()
            except StreamInterruptedError:
                assert not processor.is_complete
                assert said == tokens[: len(said)]
            else:
                assert processor.is_complete
                assert said == tokens


def test_what_the_provider_signed_goes_back_byte_for_byte(shared: Path) -> None:
    kept = 0
    wrong: list[str] = []
    for name, lines in answers(shared):
        if name in ENDS_IN_AN_ERROR or name == "incomplete_partial_json_response.txt":
            continue
        answer = fold(read(sse(lines)))
        if not answer.parts:
            continue
        body = WIRE.chat(ChatRequest("m", [user("hi"), answer.message]), stream=True).body
        grown = {json.loads(line)["index"] for line in lines if '"content_block_delta"' in line}
        for index, block in enumerate(walk(lines)["content"]):
            if block["type"] in ("text", "tool_use"):
                continue
            raw = whole(block)
            if index not in grown:
                start = next(
                    line
                    for line in lines
                    if '"content_block_start"' in line and json.loads(line)["index"] == index
                )
                raw = re.search(r'"content_block":\s*(\{.*\})\s*\}\s*$', start)[1].encode()  # type: ignore[index]  # it is there
            kept += 1
            if raw not in body:
                wrong.append(f"{name}: block {index} {raw[:200]!r}")
    assert not wrong, "\n".join(wrong)
    assert kept >= 60


def test_calls_return_with_the_members_that_only_the_provider_knows(shared: Path) -> None:
    lines = dict(answers(shared))["tool_use_response.txt"]
    answer = fold(read(sse(lines)))
    body = WIRE.chat(ChatRequest("m", [user("hi"), answer.message]), stream=True).body
    block = json.loads(body)["messages"][1]["content"][1]
    assert block["caller"] == {"type": "direct"}
    assert block["input"] == {"location": "Paris"}


# Written streams --------------------------------------------------------------------------------------------------------

START = '{"type":"message_start","message":{"id":"msg_1","model":"claude-x","usage":{"input_tokens":3,"output_tokens":1}}}'
STOP = '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}'
END = '{"type":"message_stop"}'
FINISH = Finish("stop", "end_turn", None, "msg_1", "claude-x")


def begin(index: int, **block: Any) -> str:
    return json.dumps({"type": "content_block_start", "index": index, "content_block": block})


def delta(index: int, kind: str, **members: Any) -> str:
    return json.dumps({"type": "content_block_delta", "index": index, "delta": {"type": kind, **members}})


def end(index: int) -> str:
    return json.dumps({"type": "content_block_stop", "index": index})


def tokens_of(*lines: str) -> list[StreamToken]:
    """The tokens between the first usage report and the last."""
    tokens = read(sse([START, *lines, STOP, END]))
    assert tokens[0] == UsageReport(Usage(3, 1))
    assert tokens[-2:] == [UsageReport(Usage(3, 5)), FINISH]
    return tokens[1:-2]


def test_text() -> None:
    lines = [begin(0, type="text", text="A"), '{"type":"ping"}', delta(0, "text_delta", text="b"), end(0)]
    assert tokens_of(*lines, begin(1, type="text", text=""), delta(1, "text_delta", text="c"), end(1)) == [
        TextDelta("A", 0),
        TextDelta("b", 0),
        TextDelta("c", 1),
    ]


def test_reasoning_and_its_signature() -> None:
    lines = [begin(0, type="thinking", thinking="", signature=""), delta(0, "thinking_delta", thinking="hm")]
    lines += [
        delta(0, "signature_delta", signature="s1"),
        end(0),
        begin(1, type="redacted_thinking", data="xyz"),
        end(1),
    ]
    lines += [
        begin(2, type="thinking", thinking="", signature=""),
        delta(2, "signature_delta", signature="s2"),
        end(2),
    ]
    tokens = tokens_of(*lines)
    assert tokens == [
        ReasoningDelta("hm", 0),
        ReasoningDelta("", 0, signature="s1", origin="anthropic"),
        ReasoningDelta("", 1, encrypted="xyz", origin="anthropic"),
        ReasoningDelta("", 2, signature="s2", origin="anthropic"),
    ]
    assert fold(tokens).parts == (
        Reasoning("hm", "s1", origin="anthropic"),
        Reasoning("", encrypted="xyz", origin="anthropic"),
        Reasoning("", "s2", origin="anthropic"),
    )


def test_calls_are_counted_and_their_arguments_joined() -> None:
    lines = [
        begin(1, type="tool_use", id="a", name="f", input={}),
        delta(1, "input_json_delta", partial_json=""),
    ]
    lines += [
        delta(1, "input_json_delta", partial_json='{"x"'),
        delta(1, "input_json_delta", partial_json=": 1}"),
        end(1),
    ]
    lines += [begin(2, type="tool_use", id="b", name="g", input={}), end(2)]
    lines += [begin(3, type="tool_use", id="c", name="h", input={"y": 2}, caller={"type": "direct"}), end(3)]
    tokens = tokens_of(*lines)
    assert tokens == [
        ToolCallDelta(0, "a", "f"),
        ToolCallDelta(0, arguments='{"x"'),
        ToolCallDelta(0, arguments=": 1}"),
        ToolCallDelta(1, "b", "g"),
        ToolCallDelta(1, arguments="{}"),
        ToolCallDelta(2, "c", "h", signature='{"caller":{"type": "direct"}}', origin="anthropic"),
        ToolCallDelta(2, arguments='{"y": 2}'),
    ]
    assert fold(tokens).tool_calls[0] == ToolCall("a", "f", '{"x": 1}')


def test_citations_are_tokens_and_stay_with_their_text() -> None:
    cited = {
        "type": "web_search_result_location",
        "url": "u",
        "title": "t",
        "cited_text": "c",
        "encrypted_index": "e",
    }
    page = {"type": "page_location", "document_title": "d", "cited_text": "p", "start_page_number": 1}
    lines = [begin(0, type="text", text="", citations=[]), delta(0, "citations_delta", citation=cited)]
    lines += [delta(0, "text_delta", text="A"), delta(0, "citations_delta", citation=page), end(0)]
    tokens = tokens_of(*lines)
    assert tokens[:3] == [Citation("u", "t", "c"), TextDelta("A", 0), Citation(None, "d", "p")]
    assert json.loads(fold(tokens).parts[0].signature or "") == [cited, page]  # type: ignore[union-attr]  # a Text


def test_server_tools_and_unknown_blocks_are_kept_as_they_came() -> None:
    lines = [begin(0, type="server_tool_use", id="s", name="web_search", input={}, extra=[1, {"a": None}])]
    lines += [
        delta(0, "input_json_delta", partial_json=""),
        delta(0, "input_json_delta", partial_json='{"q" :'),
    ]
    lines += [delta(0, "input_json_delta", partial_json='"x"}'), end(0)]
    lines += [
        begin(1, type="block_of_tomorrow", text="a", rest=1),
        delta(1, "delta_of_tomorrow", text=["b"], rest=2),
    ]
    lines += [delta(1, "text_delta", text="c"), end(1), begin(2, type="compaction", content=None)]
    lines += [delta(2, "compaction_delta", content="all"), end(2)]
    raw = '{"type" : "web_search_tool_result", "content": [ ]}'
    lines += [f'{{"type":"content_block_start","index":3,"content_block":{raw}}}', end(3)]
    assert tokens_of(*lines) == [
        OpaqueDelta(
            "anthropic",
            "server_tool_use",
            '{"type":"server_tool_use","id":"s","name":"web_search","input":{"q" :"x"},"extra":[1, {"a": null}]}',
        ),
        OpaqueDelta("anthropic", "block_of_tomorrow", '{"type":"block_of_tomorrow","text":"c","rest":2}'),
        OpaqueDelta("anthropic", "compaction", '{"type":"compaction","content":"all"}'),
        OpaqueDelta("anthropic", "web_search_tool_result", raw),
    ]


def test_a_server_tool_that_was_cut_off_is_left_out() -> None:
    lines = [
        begin(0, type="server_tool_use", id="s", name="n", input={}),
        delta(0, "input_json_delta", partial_json='{"q'),
    ]
    assert tokens_of(*lines, end(0)) == []
    assert tokens_of(*lines) == []


def test_the_model_that_took_over_is_the_one_that_answered(shared: Path) -> None:
    assert fold(read(sse(dict(answers(shared))["fallback_response.txt"]))).served_model == "claude-sonnet-4-5"


def test_usage_counts_cached_input_and_keeps_what_is_not_repeated() -> None:
    start = START.replace(
        '"input_tokens":3', '"input_tokens":3,"cache_read_input_tokens":10,"cache_creation_input_tokens":20'
    )
    more = STOP.replace(
        '"output_tokens":5',
        '"output_tokens":5,"cache_read_input_tokens":null,"output_tokens_details":{"thinking_tokens":4}',
    )
    tokens = read(sse([start, more, END]))
    assert tokens == [UsageReport(Usage(33, 1, 10, 20)), UsageReport(Usage(33, 5, 10, 20, 4)), FINISH]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause"),
        ("compaction", "pause"),
        ("reason_of_tomorrow", "other"),
    ],
)
def test_stop_reasons(raw: str, reason: str) -> None:
    stop = json.dumps(
        {"type": "message_delta", "delta": {"stop_reason": raw, "stop_sequence": "x"}, "usage": {}}
    )
    finish = read(sse([START, stop, END]))[-1]
    assert finish == Finish(reason, raw, "x", "msg_1", "claude-x")  # type: ignore[arg-type]  # a row of the table


def test_halves_of_characters_are_joined_over_deltas() -> None:
    def piece(text: str) -> str:
        return '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"' + text + '"}}'

    lines = [begin(0, type="text", text=""), piece("a\\ud83d"), piece("\\ude00b"), piece("\\ud83d"), end(0)]
    assert tokens_of(*lines) == [TextDelta("a", 0), TextDelta("😀b", 0), TextDelta("\ufffd", 0)]


def test_unknown_events_fields_and_deltas_are_ignored() -> None:
    lines = ['{"type":"event_of_tomorrow","index":"x","delta":7}', begin(0, type="text", text="A", more=[{}])]
    lines += [
        delta(0, "delta_of_tomorrow", text=["x"]),
        delta(0, "signature_delta", signature="x"),
        end(0),
        end(7),
    ]
    assert tokens_of(*lines, delta(9, "delta_of_tomorrow")) == [TextDelta("A", 0)]


def test_events_after_the_end_are_ignored() -> None:
    assert read(sse([START, STOP, END, START, END]) + b"data: [DONE]\n\n")[-1] == FINISH


def test_a_repeated_message_start_is_ignored() -> None:
    assert read(sse([START, START, STOP, END])) == [
        UsageReport(Usage(3, 1)),
        UsageReport(Usage(3, 5)),
        FINISH,
    ]


def test_the_end_without_a_reason_is_an_end() -> None:
    assert read(sse([START, END]))[-1] == Finish("other", None, None, "msg_1", "claude-x")


@pytest.mark.parametrize(
    "lines",
    [
        [END],
        [STOP],
        [begin(0, type="text", text="")],
        [delta(-1, "text_delta", text="x")],
        [START, delta(0, "text_delta", text="x")],
        [START, begin(0, type="text", text=""), end(0), delta(0, "text_delta", text="x")],
        [START, begin(0, type="text", text=""), delta(0, "thinking_delta", thinking="x")],
        [START, begin(0, type="text", text=""), delta(0, "text_delta", text=None)],
        [START, begin(0, type="tool_use", id="a", name="f", input={}), delta(0, "text_delta", text="x")],
        [START, begin(0, type="tool_use", id=1, name="f", input={})],
        [START, START.replace("msg_1", "msg_2")],
        ['{"type":"message_start"}'],
        ['{"type":"content_block_start","index":0}'],
        ['{"type":7}'],
        ['{"type":"content_block_stop","index":"x"}'],
    ],
)
def test_streams_that_are_not_what_the_api_says(lines: list[str]) -> None:
    data = "".join(f"data: {line}\n\n" for line in lines).encode()
    assert type(fault(data)) is ProtocolError


@pytest.mark.parametrize(
    "data", [b"nonsense", b"[]", b"7", b'{"type":', b'{"type":"ping"', b"\xff", b'{"a":' * 5000]
)
def test_events_that_are_no_objects(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        AnthropicInterpreter().interpret("message_stop", data, [])


def test_what_is_held_back_has_a_limit() -> None:
    interpreter = AnthropicInterpreter(limit=10_000)
    interpreter.interpret("", START.encode(), [])
    interpreter.interpret("", begin(0, type="server_tool_use", id="s", name="n", input={}).encode(), [])
    piece = delta(0, "input_json_delta", partial_json="x" * 3000).encode()
    for _ in range(3):
        interpreter.interpret("", piece, [])
    with pytest.raises(ProtocolError, match="more than 10000 characters"):
        interpreter.interpret("", piece, [])


def test_starts_without_stops_have_the_same_limit() -> None:
    interpreter = AnthropicInterpreter(limit=10_000)
    interpreter.interpret("", START.encode(), [])
    for index in range(156):
        interpreter.interpret("", begin(index, type="text", text="").encode(), [])
    with pytest.raises(ProtocolError, match="more than 10000 characters"):
        interpreter.interpret("", begin(156, type="text", text="").encode(), [])


def test_an_error_event_is_the_typed_error_and_what_was_said_comes_first(shared: Path) -> None:
    cases = json.loads((shared / "vectors" / "llm-error-frames" / "cases.json").read_text("utf-8"))["cases"]
    seen = 0
    for case in cases:
        if case["provider"] != "anthropic" or case["kind"] != "sse-200":
            continue
        seen += 1
        data = "".join(case["chunks"]).encode()
        error = fault(data)
        said = StreamProcessor(WIRE.decoder(), WIRE.interpreter()).process_chunk(data)
        assert type(error) is OverloadedError
        assert (error.code, error.retryable, error.status) == (
            "overloaded_error",
            True,
            None,
        )
        assert fold(said).text == ("Hello" if "mid-stream" in case["name"] else "")
    assert seen == 2


# Whole answers ----------------------------------------------------------------------------------------------------------


def test_a_whole_answer(shared: Path) -> None:
    path = shared / "vectors" / "llm-streams" / "vercel-ai" / "anthropic.anthropic-web-fetch-tool.error.json"
    body = path.read_bytes()
    response = WIRE.response(body)
    assert [type(part) for part in response.parts] == [Text, Opaque, Opaque, Text]
    assert (response.id, response.finish_reason, response.served_model) == (
        "msg_01MT4gZLLHg1yg5d6eo41LJe",
        "stop",
        "claude-sonnet-4-20250514",
    )
    assert response.usage == Usage(1902, 214)


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"type":"message","content":[]}', b"<html>", b'{"content":7,"stop_reason":"x"}'],
)
def test_whole_answers_that_are_none(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        WIRE.response(body)


def test_a_whole_answer_that_is_an_error() -> None:
    with pytest.raises(OverloadedError, match="Overloaded"):
        WIRE.response(b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}')
