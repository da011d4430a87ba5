"""From an event's bytes to a token: nanoseconds per event, per wire, beside json.loads of the same bytes."""

from __future__ import annotations

import json
from collections.abc import Callable

from tercet.adapters.wires import make_wire
from tercet.cli.bench_server import EVENT
from tercet.codecs.vocabulary import StreamToken

from .measure import Case, Figure, compare, cpu

COUNT = 20_000
EVENTS = {
    "openai_chat": ("", EVENT[6:-2]),
    "anthropic": (
        "content_block_delta",
        b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" token"}}',
    ),
    "gemini": (
        "",
        b'{"candidates":[{"content":{"parts":[{"text":" token"}],"role":"model"},"index":0}],"modelVersion":"gemini-2.5-flash"}',
    ),
}
OPENING = {
    "anthropic": (
        (
            "message_start",
            b'{"type":"message_start","message":{"id":"m","model":"x","role":"assistant","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}',
        ),
        (
            "content_block_start",
            b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
        ),
    ),
}


def run(rounds: int) -> list[Figure]:
    figures: list[Figure] = []
    for name, (event, data) in EVENTS.items():
        cases: dict[str, Case] = {"tercet": _ours(name, event, data), "json.loads alone": _json(data)}
        figures += compare(
            f"decode {name}", cases, rounds=rounds, unit="ns/event", convert=lambda seconds: seconds * 1e9
        )
    return figures


def _ours(name: str, event: str, data: bytes) -> Callable[[], float]:
    wire = make_wire(name, {})

    def work() -> None:
        interpreter = wire.interpreter()
        tokens: list[StreamToken] = []
        for opening in OPENING.get(name, ()):
            interpreter.interpret(*opening, tokens)
        tokens.clear()
        interpret = interpreter.interpret
        for number in range(COUNT):
            interpret(event, data, tokens)
            if number % 50 == 49:
                assert tokens
                tokens.clear()

    return lambda: cpu(work, COUNT)


def _json(data: bytes) -> Callable[[], float]:
    def work() -> None:
        for _ in range(COUNT):
            json.loads(data)

    return lambda: cpu(work, COUNT)
