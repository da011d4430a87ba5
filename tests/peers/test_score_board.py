"""Who tells the truth when an answer breaks off: tercet and the SDKs, asked by loopback, told the same.

For each wire and fault a simulated provider on 127.0.0.1 answers; tercet asks it, then the SDK in two ways: its chunks, joined, and its
accumulator. ``-s`` prints the board. What is asserted: tercet raises a typed error with what was said, every time, and every peer has an outcome
(a peer's outcome is written down, not judged: another version may do better).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import trio

import tercet
from tercet.codecs.serving.openai_chat import OpenAIChatServing
from tercet.codecs.vocabulary import StreamToken
from tercet.testing import (
    Fleet,
    LoopbackFleet,
    SimulatedProvider,
    StreamFault,
    cut,
    say,
    stall,
    stream_error,
    truncate,
)

openai = pytest.importorskip("openai", reason="the openai SDK is not installed (extra 'peers')")
anthropic = pytest.importorskip("anthropic", reason="the anthropic SDK is not installed (extra 'peers')")

WORDS = "One two three four five six seven eight nine ten."
PATIENCE = 0.3
"""Seconds that everybody waits for a stalled answer: as the SDKs' ``timeout`` and as our clocks."""

WIRES: tuple[Any, ...] = ("openai_chat", "openai_responses", "anthropic")
FAULTS: dict[str, Callable[[], StreamFault]] = {
    "connection closed": lambda: cut(after_events=6),
    "clean end, no terminal event": lambda: truncate(after_events=6),
    "error event inside a 200": lambda: stream_error(after_events=6),
    "stall": lambda: stall(after_events=6),
}
ONLY_DONE = "[DONE], but no finish reason"
Outcome = tuple[str, str]
"""``raised`` or ``returned``, and what."""


class AlwaysDone(OpenAIChatServing):
    """A proxy that writes ``[DONE]`` when its upstream has broken off."""

    def stream(self, tokens: Sequence[StreamToken], /, *, model: str) -> Iterator[bytes]:
        yield from itertools.islice(super().stream(tokens, model=model), 6)
        yield b"data: [DONE]\n\n"


def said_by_chunks(wire: str, client: Any) -> tuple[str, str | None]:
    """The text and the finish reason, from the SDK's stream of chunks."""
    text, finish = "", None
    asked = [{"role": "user", "content": "Count."}]
    if wire == "openai_chat":
        for chunk in client.chat.completions.create(model="m", messages=asked, stream=True):
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
    elif wire == "openai_responses":
        for event in client.responses.create(model="m", input="Count.", stream=True):
            text += event.delta if event.type == "response.output_text.delta" else ""
            finish = event.response.status if event.type == "response.completed" else finish
    else:
        for event in client.messages.create(model="m", messages=asked, max_tokens=99, stream=True):
            text += event.delta.text if event.type == "content_block_delta" else ""
            finish = event.delta.stop_reason if event.type == "message_delta" else finish
    return text, finish


def said_by_accumulator(wire: str, client: Any) -> tuple[str, str | None]:
    """The same from the SDK's own accumulator."""
    asked = [{"role": "user", "content": "Count."}]
    if wire == "openai_chat":
        with client.chat.completions.stream(model="m", messages=asked) as stream:
            choice = stream.get_final_completion().choices[0]
        return choice.message.content, choice.finish_reason
    if wire == "openai_responses":
        with client.responses.stream(model="m", input="Count.") as stream:
            response = stream.get_final_response()
        return response.output_text, response.status
    with client.messages.stream(model="m", messages=asked, max_tokens=99) as stream:
        message = stream.get_final_message()
    return message.content[0].text, message.stop_reason


def outcome_of_sdk(
    wire: str, base_url: str, read: Callable[[str, Any], tuple[str, str | None]], is_stalled: bool
) -> Outcome:
    """Ask in this thread. Anything that the SDK raises is an answer to our question."""
    sdk, kind = (anthropic, "Anthropic") if wire == "anthropic" else (openai, "OpenAI")
    timeout = PATIENCE if is_stalled else 20
    with getattr(sdk, kind)(api_key="not-a-key", base_url=base_url, max_retries=0, timeout=timeout) as client:
        try:
            text, finish = read(wire, client)
        except (
            openai.OpenAIError,
            anthropic.AnthropicError,
            RuntimeError,
            ValueError,
            AssertionError,
            OSError,
            *_http_errors(),
        ) as error:
            return "raised", type(error).__name__
    return "returned", f"{text!r}, finish {finish}"


def _http_errors() -> tuple[type[Exception], ...]:
    """Errors of the HTTP clients below, which some versions let through."""
    import httpx

    found: list[type[Exception]] = [httpx.HTTPError]
    try:
        import httpx2
    except ImportError:
        return tuple(found)
    return (*found, httpx2.HTTPError)


async def outcome_of_tercet(fleet: LoopbackFleet, provider: SimulatedProvider, is_stalled: bool) -> Outcome:
    registry = tercet.ProviderRegistry([])
    registry.add(
        tercet.Profile(
            id=provider.name, wire=provider.wire, auth="none", base_url=fleet.base_url(provider.name)
        )
    )
    clocks = tercet.Clocks(idle=PATIENCE) if is_stalled else tercet.Clocks()
    async with tercet.open_manager(registry, environ={}, clocks=clocks) as manager:
        request = tercet.ChatRequest(f"{provider.name}:m", "Count.", max_tokens=99)
        try:
            async with manager.chat_stream(request) as stream:
                await stream.collect()
        except tercet.TercetError as error:
            assert error.response is not None
            assert not error.response.is_complete
            assert error.response.text
            assert WORDS.startswith(error.response.text)
            return "raised", type(error).__name__
    return "returned", f"{stream.response.text!r}, finish {stream.response.finish_raw}"


async def test_who_tells_the_truth() -> None:
    providers = {
        (wire, fault): SimulatedProvider(f"w{WIRES.index(wire)}f{number}", wire, say(WORDS, fault=make()))
        for wire in WIRES
        for number, (fault, make) in enumerate(FAULTS.items())
    }
    providers["openai_chat", ONLY_DONE] = SimulatedProvider(
        "done", "openai_chat", say(WORDS), serving=AlwaysDone()
    )
    board: list[tuple[str, str, dict[str, Outcome]]] = []
    async with Fleet(*providers.values()).on_loopback() as fleet:
        for (wire, fault), provider in providers.items():
            base_url = fleet.base_url(provider.name)
            is_stalled = fault == "stall"
            row = {"tercet": await outcome_of_tercet(fleet, provider, is_stalled)}
            sdk = "anthropic" if wire == "anthropic" else "openai"
            for way, read in (("chunks", said_by_chunks), ("accumulated", said_by_accumulator)):
                row[f"{sdk} SDK, {way}"] = await trio.to_thread.run_sync(
                    outcome_of_sdk, wire, base_url, read, is_stalled
                )
            board.append((wire, fault, row))
    print("\n" + rendered(board))
    assert len(board) == 13
    for wire, fault, row in board:
        assert len(row) == 3, (wire, fault)
        assert row["tercet"][0] == "raised", (wire, fault, row["tercet"])
        assert all(what for _, what in row.values()), (wire, fault, row)


def rendered(board: list[tuple[str, str, dict[str, Outcome]]]) -> str:
    """The board for a reader: one line per wire, fault and who was asked."""
    lines: list[str] = []
    for wire, fault, row in board:
        lines.append(f"{wire}: {fault}")
        for who, (how, what) in row.items():
            verdict = "told the truth" if how == "raised" else "TRUNCATED, RETURNED AS AN ANSWER"
            lines.append(f"    {who:28} {verdict:34} {what}")
    raised: dict[str, list[bool]] = {}
    for _, _, row in board:
        for who, (how, _) in row.items():
            raised.setdefault(who, []).append(how == "raised")
    lines += [f"{who:32} {sum(told):2} of {len(told):2} told" for who, told in raised.items()]
    return "\n".join(lines)
