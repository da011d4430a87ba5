"""Streams recorded from real services, decoded in every way the network may cut them.

The files hold one payload per line, the data of one event each (see their ORIGIN.md for source and licence).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tercet.codecs.processor import StreamProcessor
from tercet.codecs.vocabulary import (
    ChatResponse,
    Citation,
    Finish,
    StreamInterruptedError,
    StreamToken,
    TercetError,
    fold,
)
from tercet.codecs.wire.openai_chat import Dialect, OpenAIChatWire

XAI = Dialect(output_excludes_reasoning=True, cost_paths=("cost_in_usd_ticks",), cost_scale=1e-10)
ALSO_OURS = ("moonshotai.moonshotai-stream.chunks.txt",)  # its chunks do not name their object


@pytest.fixture(scope="module")
def recorded(shared: Path) -> dict[str, list[str]]:
    """File name -> payloads, of the files whose lines are chunks of chat completions."""
    found: dict[str, list[str]] = {}
    for path in sorted((shared / "vectors/llm-streams/vercel-ai").iterdir()):
        text = path.read_text("utf-8")
        if '"chat.completion.chunk"' not in text and path.name not in ALSO_OURS:
            continue
        lines = [line.removeprefix("data: ") for line in text.split("\n")]
        found[path.name] = [line for line in lines if line and line != "[DONE]"]
    assert len(found) == 24
    return found


def wire_of(name: str) -> OpenAIChatWire:
    return OpenAIChatWire(XAI if "xai" in name else Dialect())


def sse(payloads: Iterable[str]) -> bytes:
    return "".join(f"data: {payload}\n\n" for payload in [*payloads, "[DONE]"]).encode()


def decode(wire: OpenAIChatWire, chunks: Iterable[bytes]) -> list[StreamToken]:
    processor = StreamProcessor(wire.decoder(), wire.interpreter())
    tokens = [token for chunk in chunks for token in processor.process_chunk(chunk)]
    tokens += processor.finish()
    assert processor.is_complete
    return tokens


def walk(payloads: list[str]) -> dict[str, Any]:
    """What a few lines of plain Python find in the same chunks."""
    seen: dict[str, Any] = {"text": "", "reasoning": "", "calls": {}, "usage": None, "finish": None}
    for chunk in map(json.loads, payloads):
        seen["usage"] = chunk.get("usage") or seen["usage"]
        for choice in chunk["choices"]:
            delta = choice["delta"]
            content = delta.get("content") or ""
            for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
                if part["type"] == "text":
                    seen["text"] += part["text"]
                else:
                    seen["reasoning"] += "".join(inner["text"] for inner in part["thinking"])
            seen["reasoning"] += delta.get("reasoning_content") or delta.get("reasoning") or ""
            for call in delta.get("tool_calls") or ():
                key = call.get("index", call.get("id"))
                name, arguments = seen["calls"].get(key, ("", ""))
                function = call["function"]
                seen["calls"][key] = (
                    name or function.get("name", ""),
                    arguments + function.get("arguments", ""),
                )
            seen["finish"] = choice.get("finish_reason") or seen["finish"]
    return seen


def compared(name: str, answer: ChatResponse, seen: dict[str, Any]) -> list[str]:
    usage = seen["usage"]
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens", 0) if usage else 0
    output = usage["completion_tokens"] + (reasoning if "xai" in name else 0) if usage else 0
    pairs = {
        "text": (answer.text, seen["text"]),
        "reasoning": (answer.reasoning, seen["reasoning"]),
        "calls": ([(call.name, call.arguments) for call in answer.tool_calls], list(seen["calls"].values())),
        "finish": (answer.finish_raw, seen["finish"]),
        "input": (answer.usage.input_tokens if answer.usage else 0, usage["prompt_tokens"] if usage else 0),
        "output": (answer.usage.output_tokens if answer.usage else 0, output),
        "reasoning tokens": (answer.usage.reasoning_tokens if answer.usage else 0, reasoning),
    }
    return [
        f"{name}: {what}: {got!r} is not {expected!r}"
        for what, (got, expected) in pairs.items()
        if got != expected
    ]


def test_streams_say_what_a_plain_walk_finds(recorded: dict[str, list[str]]):
    wrong: list[str] = []
    for name, payloads in recorded.items():
        answer = fold(decode(wire_of(name), [sse(payloads)]))
        wrong += compared(name, answer, walk(payloads))
        if not (answer.text or answer.reasoning or answer.tool_calls):
            wrong.append(f"{name}: nothing was said")
        if answer.tool_calls and (
            answer.finish_reason != "tool_calls" or not all(call.id for call in answer.tool_calls)
        ):
            wrong.append(f"{name}: {answer.finish_reason}, {answer.tool_calls}")
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
    return random_pieces(
        b": KEEP-ALIVE\n\n" * 50 + data.replace(b"\n\n", b"\n\n: OPENROUTER PROCESSING\n\n:\n")
    )


@pytest.mark.parametrize(
    "cut", [single_bytes, random_pieces, crlf, cr, comment_flood], ids=lambda cut: cut.__name__
)
def test_the_tokens_do_not_depend_on_how_the_bytes_came(
    recorded: dict[str, list[str]], cut: Callable[[bytes], list[bytes]]
):
    wrong = []
    for name, payloads in recorded.items():
        data = sse(payloads[:120])  # of the long ones, the beginning and
        data = sse([*payloads[:120], *payloads[max(120, len(payloads) - 5) :]])  # the end are enough
        expected = decode(wire_of(name), whole(data))
        if decode(wire_of(name), cut(data)) != expected:
            wrong.append(name)
    assert not wrong


def whole_from(data: bytes) -> int:
    """The length from which on the whole events in ``data`` name a finish reason and what was used: then only ``[DONE]`` can be missing."""
    finish = usage = False
    end = 0
    for block in data.split(b"\n\n")[:-2]:
        end += len(block)
        chunk = json.loads(block.removeprefix(b"data: "))
        finish = finish or any(choice.get("finish_reason") for choice in chunk["choices"])
        places = (chunk, chunk.get("x_groq") or {}, *chunk["choices"])
        usage = usage or any(place.get("usage") for place in places)
        if finish and usage:
            return end
        end += 2
    return len(data) + 1


def test_a_stream_that_ends_anywhere_is_complete_or_interrupted(recorded: dict[str, list[str]]):
    wrong = []
    for name, payloads in recorded.items():
        data = sse(payloads)
        whole_end = whole_from(data)
        ends = (
            range(len(data) + 1)
            if len(data) < 4000
            else sorted({*range(len(data) - 300, len(data) + 1), *range(0, len(data), len(data) // 20)})
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
            ended = data[:end].rstrip().endswith(b"[DONE]") or end >= whole_end
            finishes = sum(isinstance(token, Finish) for token in tokens)
            if is_whole != ended or processor.is_complete != ended or finishes != ended:
                wrong.append(f"{name} cut at {end}: complete {is_whole}, {finishes} finishes")
    assert not wrong, "\n".join(wrong[:20])


def test_a_whole_answer_means_what_its_stream_means(recorded: dict[str, list[str]]):
    wrong = []
    for name, payloads in recorded.items():
        if name.startswith("mistral.mistral-reasoning"):
            continue  # its whole twin is a list of chunks; see test_openai_chat_events
        wire = wire_of(name)
        tokens = decode(wire, [sse(payloads)])
        streamed = fold(tokens)
        seen = walk(payloads)
        chunks = [json.loads(payload) for payload in payloads]
        message: dict[str, Any] = {"role": "assistant", "content": seen["text"] or None}
        if seen["reasoning"]:
            message["reasoning_content"] = seen["reasoning"]
        if seen["calls"]:
            called = zip(streamed.tool_calls, seen["calls"].values(), strict=True)
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": name, "arguments": arguments}}
                for call, (name, arguments) in called
            ]
        body = {
            **chunks[-1],
            "id": streamed.id,
            "model": streamed.served_model,
            "choices": [{"index": 0, "message": message, "finish_reason": seen["finish"]}],
        }
        if seen["usage"]:
            body["usage"] = seen["usage"]
        if wire.response(json.dumps(body).encode()) != streamed:
            wrong.append(name)
    assert not wrong


def test_perplexity_names_its_sources_once(recorded: dict[str, list[str]]):
    tokens = decode(OpenAIChatWire(), [sse(recorded["perplexity.perplexity-citations.chunks.txt"])])
    sources = [token for token in tokens if isinstance(token, Citation)]
    assert len(sources) == 7
    assert sources[0].url == "https://populationstat.com/united-states/san-francisco"


def test_deepseek_and_xai_say_what_was_cached_and_paid(recorded: dict[str, list[str]]):
    deepseek = fold(
        decode(OpenAIChatWire(), [sse(recorded["deepseek.chat.deepseek-tool-call.chunks.txt"])])
    ).usage
    assert deepseek is not None
    assert (deepseek.input_tokens, deepseek.cache_read_tokens) == (339, 320)
    xai = fold(decode(OpenAIChatWire(XAI), [sse(recorded["xai.xai-text.chunks.txt"])])).usage
    assert xai is not None
    assert (xai.output_tokens, xai.total_tokens, xai.cache_read_tokens) == (291, 303, 11)
    assert xai.cost == pytest.approx(0.000146625)
