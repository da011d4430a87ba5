"""Responses streams recorded from real services, decoded in every way the network may cut them.

The files hold one payload per line, the data of one event each (see their ORIGIN.md for source and licence). Some hold several answers,
one after the other: each is a stream of its own here.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from itertools import pairwise
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
    Message,
    Opaque,
    OverloadedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    Reasoning,
    StreamInterruptedError,
    StreamToken,
    TercetError,
    Text,
    ToolCall,
    fold,
    tool_result,
    user,
)
from tercet.codecs.wire.openai_responses import Dialect, OpenAIResponsesWire

XAI = Dialect(server_custom_tools=True, cost_paths=("cost_in_usd_ticks",), cost_scale=1e-10)
FAILED = "openai.responses.openai-error.1.chunks.txt"
BROKEN = "openai.responses.parallel-tool-call-wrapper.1.chunks.txt"
"""Its first and its last line were cut where they were taken from."""

Turn = tuple[str, list[str]]


@pytest.fixture(scope="module")
def recorded(shared: Path) -> list[Turn]:
    """Name and payloads of every complete answer."""
    found: list[Turn] = []
    files = 0
    for path in sorted((shared / "vectors/llm-streams/vercel-ai").glob("*.chunks.txt")):
        lines = [line for line in path.read_text("utf-8").split("\n") if line]
        if not any('"response.created"' in line for line in lines) or path.name in (FAILED, BROKEN):
            continue
        files += 1
        turns: list[list[str]] = []
        for line in lines:
            if '"type":"response.created"' in line:
                turns.append([])
            turns[-1].append(line)
        found += [(f"{path.name}#{number}", turn) for number, turn in enumerate(turns)]
    assert (files, len(found)) == (47, 54)
    return found


def wire_of(name: str) -> OpenAIResponsesWire:
    return OpenAIResponsesWire(XAI if name.startswith("xai.") else Dialect())


def sse(payloads: Iterable[str]) -> bytes:
    """As OpenAI sends it: the event's name is its type."""
    return "".join(
        f"event: {json.loads(payload)['type']}\ndata: {payload}\n\n" for payload in payloads
    ).encode()


def decode(wire: OpenAIResponsesWire, chunks: Iterable[bytes]) -> list[StreamToken]:
    processor = StreamProcessor(wire.decoder(), wire.interpreter())
    tokens = [token for chunk in chunks for token in processor.process_chunk(chunk)]
    tokens += processor.finish()
    assert processor.is_complete
    return tokens


def raw(payload: str, member: str) -> str:
    """A member of an object, as it was written."""
    return bytes(msgspec.json.decode(payload, type=dict[str, msgspec.Raw])[member]).decode()


def walk(name: str, payloads: list[str]) -> dict[str, Any]:
    """What a few lines of plain Python find in the same events."""
    ours = ("function_call",) if name.startswith("xai.") else ("function_call", "custom_tool_call")
    texts: dict[tuple[int, int], str] = {}
    thoughts: dict[int, dict[int, str]] = {}
    seen: dict[str, Any] = {"calls": {}, "returned": [], "cited": [], "phases": []}
    for payload, event in ((payload, json.loads(payload)) for payload in payloads):
        at = event.get("output_index", 0)
        match event["type"]:
            case "response.output_text.delta":
                key = (at, event["content_index"])
                texts[key] = texts.get(key, "") + event["delta"]
            case "response.output_text.done":  # two recordings were shortened by hand: there it has more
                key = (at, event["content_index"])
                if event["text"].startswith(texts.get(key, "")):
                    texts[key] = event["text"]
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                part = event.get("summary_index", event.get("content_index"))
                thoughts.setdefault(at, {}).setdefault(part, "")
                thoughts[at][part] += event["delta"]
            case "response.output_text.annotation.added":
                said = event["annotation"]
                seen["cited"].append((said.get("url"), said.get("title") or said.get("filename")))
            case "response.output_item.done":
                item = event["item"]
                if item["type"] in ours:
                    said = item["arguments" if item["type"] == "function_call" else "input"]
                    seen["calls"][at] = (item["call_id"], item["name"], said)
                elif item["type"] != "message":
                    seen["returned"].append(raw(payload, "item"))
                elif "phase" in item:
                    seen["phases"].append(item["phase"])
            case "response.completed":
                seen["response"] = event["response"]
    seen["text"] = "".join(texts.values())
    seen["reasoning"] = "".join("\n\n".join(parts.values()) for parts in thoughts.values())
    return seen


def kept(answer: ChatResponse) -> list[str]:
    """The raw items that an answer keeps for its provider."""
    texts = (
        part.signature if isinstance(part, Reasoning) else part.json if isinstance(part, Opaque) else None
        for part in answer.parts
    )
    return [text for text in texts if text is not None]


def phases(answer: ChatResponse) -> list[Any]:
    texts = (part.signature for part in answer.parts if isinstance(part, Text) and part.signature)
    return [json.loads(signature)["phase"] for signature in texts]


def compared(name: str, answer: ChatResponse, seen: dict[str, Any]) -> list[str]:
    usage, told = answer.usage, seen["response"]["usage"]
    assert usage is not None
    pairs = {
        "text": (answer.text, seen["text"]),
        "reasoning": (answer.reasoning, seen["reasoning"]),
        "calls": (
            [(call.id, call.name, call.arguments) for call in answer.tool_calls],
            list(seen["calls"].values()),
        ),
        "items": (kept(answer), seen["returned"]),
        "citations": ([(cited.url, cited.title) for cited in answer.citations], seen["cited"]),
        "phases": (phases(answer), seen["phases"]),
        "finish": (
            (answer.finish_raw, answer.finish_reason),
            ("completed", "tool_calls" if seen["calls"] else "stop"),
        ),
        "who": ((answer.id, answer.served_model), (seen["response"]["id"], seen["response"]["model"])),
        "input": (usage.input_tokens, told["input_tokens"]),
        "output": (usage.output_tokens, told["output_tokens"]),
        "total": (usage.total_tokens, told["total_tokens"]),
        "cached": (usage.cache_read_tokens, told["input_tokens_details"]["cached_tokens"]),
        "reasoning tokens": (usage.reasoning_tokens, told["output_tokens_details"]["reasoning_tokens"]),
    }
    return [
        f"{name}: {what}: {got!r} is not {expected!r}"
        for what, (got, expected) in pairs.items()
        if got != expected
    ]


def test_streams_say_what_a_plain_walk_finds(recorded: list[Turn]):
    wrong: list[str] = []
    for name, payloads in recorded:
        answer = fold(decode(wire_of(name), [sse(payloads)]))
        wrong += compared(name, answer, walk(name, payloads))
        if not answer.parts:
            wrong.append(f"{name}: nothing was said")
    assert not wrong, "\n".join(wrong)


def whole(data: bytes) -> list[bytes]:
    return [data]


def single_bytes(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def random_pieces(data: bytes) -> list[bytes]:
    rng = random.Random(len(data))
    cuts = sorted({0, len(data), *(rng.randrange(len(data)) for _ in range(200))})
    return [data[start:end] for start, end in pairwise(cuts)]


def crlf(data: bytes) -> list[bytes]:
    return random_pieces(data.replace(b"\n", b"\r\n"))


def cr(data: bytes) -> list[bytes]:
    return random_pieces(data.replace(b"\n", b"\r"))


def comment_flood(data: bytes) -> list[bytes]:
    return random_pieces(b": KEEP-ALIVE\n\n" * 50 + data.replace(b"\n\n", b"\n\n: PROCESSING\n\n:\n"))


def without_names(data: bytes) -> list[bytes]:
    lines = [line for line in data.split(b"\n") if not line.startswith(b"event: ")]
    return [b"\n".join(lines) + b"data: [DONE]\n\n"]


def shortened(payloads: list[str]) -> list[str]:
    """Of the long ones, the beginning and the end are enough."""
    return [*payloads[:100], *payloads[max(100, len(payloads) - 6) :]]


@pytest.mark.parametrize(
    "cut",
    [single_bytes, random_pieces, crlf, cr, comment_flood, without_names],
    ids=lambda cut: cut.__name__,
)
def test_the_tokens_do_not_depend_on_how_the_bytes_came(
    recorded: list[Turn], cut: Callable[[bytes], list[bytes]]
):
    wrong = []
    for name, payloads in recorded:
        data = sse(shortened(payloads))
        if len(data) > 300_000 and cut is single_bytes:
            continue  # pictures: the other cuts have them
        if decode(wire_of(name), cut(data)) != decode(wire_of(name), whole(data)):
            wrong.append(name)
    assert not wrong


def test_a_stream_that_ends_anywhere_is_complete_or_interrupted(recorded: list[Turn]):
    wrong = []
    for name, payloads in recorded:
        data = sse(shortened(payloads))
        last = len(data) - 2  # from here on its last event is whole
        ends = (
            range(len(data) + 1)
            if len(data) < 5000
            else sorted({*range(len(data) - 40, len(data) + 1), *range(0, len(data), len(data) // 20)})
        )
        for end in ends:
            wire = wire_of(name)
            processor = StreamProcessor(wire.decoder(), wire.interpreter())
            tokens: list[StreamToken] = []
            try:
                tokens += processor.process_chunk(data[:end])
                tokens += processor.finish()
                tokens += [] if processor.is_complete else processor.finish()
                is_whole = True
            except StreamInterruptedError:
                is_whole = False
            except TercetError as fault:
                wrong.append(f"{name} cut at {end}: {fault!r}")
                continue
            finishes = sum(isinstance(token, Finish) for token in tokens)
            if is_whole != (end >= last) or processor.is_complete != is_whole or finishes != is_whole:
                wrong.append(f"{name} cut at {end} of {len(data)}: complete {is_whole}, {finishes} finishes")
    assert not wrong, "\n".join(wrong[:20])


REWRITTEN = {
    # What is encrypted was encrypted anew for the last event; both can be sent back.
    "openai.responses.openai-compaction.1.chunks.txt#0": "encrypted",
    "openai.responses.programmatic-tool-calling.1.chunks.txt#0": "encrypted",
    "azure.azure-reasoning-encrypted-content.1.chunks.txt#0": "encrypted",
    "openai.responses.openai-reasoning-encrypted-content.1.chunks.txt#0": "encrypted",
    # A text of the last event is longer by hand.
    "openai.responses.openai-shell-container.1.chunks.txt#0": "longer",
    # Every event has new ids.
    "openai.responses.github-copilot-id-rotation.1.chunks.txt#0": "ids",
    # Searches that were done in another order than they were begun in.
    "xai.responses.xai-x-search-tool.chunks.txt#0": "order",
}


def readable(answer: ChatResponse) -> list[Any]:
    """What a person could compare."""
    return [
        part.text
        if isinstance(part, Text | Reasoning)
        else part.kind
        if isinstance(part, Opaque)
        else (part.id, part.name, part.arguments)
        if isinstance(part, ToolCall)
        else part
        for part in answer.parts
    ]


def test_a_whole_answer_means_what_its_stream_means(recorded: list[Turn]):
    """The ``response`` of the last event is what a request without a stream is answered with."""
    wrong = []
    for name, payloads in recorded:
        wire = wire_of(name)
        streamed = fold(decode(wire, [sse(payloads)]))
        twin = wire.response(raw(payloads[-1], "response").encode())
        if REWRITTEN.get(name) == "longer":
            is_same = readable(twin)[:-1] == readable(streamed)[:-1]
        elif REWRITTEN.get(name) == "order":
            is_same = sorted(kept(twin)) == sorted(kept(streamed)) and twin.text == streamed.text
        elif name in REWRITTEN:
            is_same = readable(twin) == readable(streamed)
        else:
            is_same = twin == streamed
        assert (twin == streamed) == (name not in REWRITTEN), name
        facts = ("finish_reason", "finish_raw", "usage", "citations", "served_model")
        if not is_same or any(getattr(twin, fact) != getattr(streamed, fact) for fact in facts):
            wrong.append(name)
    assert not wrong


def input_of(wire: OpenAIResponsesWire, messages: list[Message]) -> list[str]:
    body = wire.chat(ChatRequest("m", messages), stream=True).body
    items = msgspec.json.decode(body, type=dict[str, msgspec.Raw])["input"]
    return [bytes(item).decode() for item in msgspec.json.decode(bytes(items), type=list[msgspec.Raw])]


def test_items_go_back_as_the_bytes_they_were_and_only_where_they_came_from(recorded: list[Turn]):
    wrong = []
    stored = Dialect(store=None)
    for name, payloads in recorded:
        xai = name.startswith("xai.")
        dialect = msgspec.structs.replace(XAI, store=None) if xai else stored
        answer = fold(decode(OpenAIResponsesWire(dialect), [sse(payloads)]))
        seen = walk(name, payloads)
        results = [tool_result(call.id, "done") for call in answer.tool_calls]
        history = [user("hi"), answer.message, *results]
        written = input_of(OpenAIResponsesWire(dialect), history)
        if [item for item in written if item in seen["returned"]] != seen["returned"]:
            wrong.append(f"{name}: not all items went back, or not in their order")
        if [json.loads(item)["phase"] for item in written if '"phase"' in item] != seen["phases"]:
            wrong.append(f"{name}: the phases are lost")
        texts = [
            json.loads(item)["content"]
            for item in written
            if '"output_text"' in item and item not in seen["returned"]
        ]
        if "".join(part["text"] for content in texts for part in content) != seen["text"]:
            wrong.append(f"{name}: the text is lost")
        calls = [
            json.loads(item)
            for item in written
            if item not in seen["returned"] and ('"function_call"' in item or '"custom_tool_call"' in item)
        ]
        said = [(call["call_id"], call["name"], call.get("arguments", call.get("input"))) for call in calls]
        if said != list(seen["calls"].values()):
            wrong.append(f"{name}: {said} is not what was called")
        outputs = [json.loads(item) for item in written if '_output","call_id"' in item]
        kinds = [(f"{call['type']}_output", call["call_id"], "done") for call in calls]
        if [tuple(output.values()) for output in outputs if output.get("output") == "done"] != kinds:
            wrong.append(f"{name}: {outputs} does not answer {calls}")
        elsewhere = input_of(OpenAIResponsesWire(Dialect(origin="elsewhere", store=None)), history)
        if any(item in seen["returned"] or '"phase"' in item for item in elsewhere):
            wrong.append(f"{name}: an item went to another provider")
        without = [
            json.loads(item)["type"]
            for item in input_of(OpenAIResponsesWire(XAI if xai else Dialect()), history)
        ]
        encrypted = sum(isinstance(part, Reasoning) and part.encrypted is not None for part in answer.parts)
        if without.count("reasoning") != encrypted:
            wrong.append(
                f"{name}: {without}, of which {encrypted} can be known again by a service that stores nothing"
            )
    assert not wrong, "\n".join(wrong)


def test_what_calls_have_beside_their_arguments_goes_back(recorded: list[Turn]):
    turns = dict(recorded)
    wire = OpenAIResponsesWire()
    answer = fold(decode(wire, [sse(turns["openai.responses.programmatic-tool-calling.1.chunks.txt#0"])]))
    [call] = [json.loads(item) for item in input_of(wire, [answer.message]) if '"function_call"' in item]
    assert call["caller"] == {"type": "program", "caller_id": "call_voPdoCqf8APY4DMpam3bdmxq"}
    answer = fold(decode(wire, [sse(turns["openai.responses.openai-tool-search.1.chunks.txt#0"])]))
    [call] = [json.loads(item) for item in input_of(wire, [answer.message]) if '"function_call"' in item]
    assert call["namespace"] == "get_weather"


def test_an_error_inside_a_stream_is_that_error(shared: Path):
    """``error`` comes first, ``response.failed`` repeats it; each is enough."""
    lines = (shared / "vectors/llm-streams/vercel-ai" / FAILED).read_text("utf-8").split("\n")
    wire = OpenAIResponsesWire()
    for payloads in (lines, [*lines[:2], lines[3]]):
        with pytest.raises(QuotaExceededError) as caught:
            decode(wire, [sse(payloads)])
        assert caught.value.code == "insufficient_quota"
        assert caught.value.status is None
        assert not caught.value.retryable
    with pytest.raises(QuotaExceededError):
        wire.response(raw(lines[3], "response").encode())


def test_a_recording_that_was_cut_is_no_answer(shared: Path):
    lines = (shared / "vectors/llm-streams/vercel-ai" / BROKEN).read_text("utf-8").split("\n")
    wire = OpenAIResponsesWire()
    data = "".join(f"data: {line}\n\n" for line in lines[1:-2]).encode()
    processor = StreamProcessor(wire.decoder(), wire.interpreter())
    [call] = fold(processor.process_chunk(data)).tool_calls
    assert (call.id, call.name) == ("call_parallel", "parallel")
    with pytest.raises(StreamInterruptedError):
        processor.finish()


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("responses error event, flat", RateLimitError, "rate_limit_exceeded"),
        ("response.error", OverloadedError, None),
    ],
)
def test_frames_of_errors_that_were_reported(
    shared: Path, name: str, kind: type[ProviderError], code: str | None
):
    cases = json.loads((shared / "vectors/llm-error-frames/cases.json").read_text())["cases"]
    [case] = [case for case in cases if case["name"] == name]
    with pytest.raises(kind) as caught:
        decode(OpenAIResponsesWire(), [chunk.encode() for chunk in case["chunks"]])
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("openai.responses.openai-error.1.json", "QuotaExceededError"),
        ("openai.responses.reasoning-model-temperature-error.json", "UnsupportedError"),
    ],
)
def test_recorded_failures(shared: Path, file: str, kind: str):
    body = (shared / "vectors/llm-streams/vercel-ai" / file).read_bytes()
    fault = OpenAIResponsesWire().error(429 if "openai-error" in file else 400, {}, body)
    assert type(fault).__name__ == kind


def test_xai_says_what_was_paid(recorded: list[Turn]):
    payloads = dict(recorded)["xai.responses.xai-image-generation-tool.1.chunks.txt#0"]
    usage = fold(decode(OpenAIResponsesWire(XAI), [sse(payloads)])).usage
    assert usage is not None
    assert usage.cost == pytest.approx(0.0000123456)


def test_citations_have_their_places(recorded: list[Turn]):
    turns = dict(recorded)
    tokens = decode(OpenAIResponsesWire(), [sse(turns["azure.azure-web-search-preview-tool.1.chunks.txt#0"])])
    [cited] = [token for token in tokens if isinstance(token, Citation)]
    assert (cited.start, cited.end) == (458, 577)
    tokens = decode(OpenAIResponsesWire(), [sse(turns["azure.openai-file-search-tool.1.chunks.txt#0"])])
    first = next(token for token in tokens if isinstance(token, Citation))
    assert first == Citation(title="ai.pdf", start=154)
