"""The public corpora and every cut, through the whole engine: an answer or one typed error, never a crash, a hang or a silent loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import tercet
from tercet.testing import End

from .stage import Play, World, open_world
from .wires import CHUNKED, END, FIRST, WHOLE_TEXT, answer, chunk, failure, openai, pieces, stream_head

GOOD = answer()
WIRES = ("openai_chat", "anthropic", "gemini", "ollama", "bedrock_converse")
ONCE: dict[str, Any] = {
    "retry": tercet.RetryPolicy(max_attempts=1),
    "make_breaker": lambda: tercet.CircuitBreaker(minimum_calls=10**9),
}


async def outcome(world: World, play: Play, way: str = "stream") -> tercet.ChatResponse | tercet.TercetError:
    """What comes of one request that alder answers with ``play``."""
    world.alder.plays = [play]
    try:
        if way == "whole":
            response: tercet.ChatResponse = await world.manager.chat(world.ask())
            return response
        async with world.manager.chat_stream(world.ask()) as stream:
            async for token in stream:
                if not isinstance(token, tercet.UsageReport):
                    world.said.set()
        return stream.response  # type: ignore[no-any-return]  # of a manager without a type here
    except tercet.TercetError as error:
        return error


# -- HTTP -------------------------------------------------------------------------------------------------------------------


def replies(shared: Path) -> list[bytes]:
    found = [
        bytes.fromhex(case[key])
        for folder, key in (("llhttp-responses", "raw_hex"), ("curl-replies", "reply_hex"))
        for case in json.loads((shared / "vectors" / folder / "cases.json").read_bytes())["cases"]
    ]
    assert len(found) == 73 + 94
    return found


@pytest.mark.parametrize("over", ["memory", "sockets"])
@pytest.mark.parametrize("way", ["stream", "whole"])
async def test_every_reply_of_the_http_corpora_is_an_answer_or_a_typed_error(
    shared: Path, over: Any, way: str, mock_clock: trio.testing.MockClock
) -> None:
    """None of them is an answer of a provider, so each must be a typed error; the engine goes on after it."""
    mock_clock.autojump_threshold = 0 if over == "memory" else float("inf")
    async with open_world(over, mock_clock, [GOOD], [GOOD], **ONCE) as world:
        for reply in replies(shared):
            for ending in ("fin", "reset", "stall"):
                if ending == "stall" and over == "sockets":
                    continue  # the same in memory
                came = await outcome(world, (reply, End(ending)), way)
                assert isinstance(came, tercet.TercetError), (reply, came)
                [slot] = world.lane.slots
                slot.parked_until = float("-inf")  # some are a 401
                slot.limiter._throttled_at = None
        came = await outcome(world, GOOD)
        assert isinstance(came, tercet.ChatResponse)
        await world.assert_nothing_left()


async def test_every_strictly_wrong_reply_is_a_protocol_error(
    shared: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """llhttp's strict corpus says which replies are no HTTP."""
    cases = json.loads((shared / "vectors/llhttp-responses/cases.json").read_bytes())["cases"]
    wrong = [bytes.fromhex(case["raw_hex"]) for case in cases if case["type"] == "response" and case["error"]]
    assert len(wrong) > 15
    found: dict[str, int] = {}
    async with open_world("memory", autojump_clock, [GOOD], [GOOD], **ONCE) as world:
        for reply in wrong:
            came = await outcome(world, (reply, End("fin")))
            assert isinstance(came, tercet.TransportError), reply
            found[type(came).__name__] = found.get(type(came).__name__, 0) + 1
    assert set(found) <= {"ProtocolError", "StreamInterruptedError"}
    assert found["ProtocolError"] >= len(wrong) * 2 // 3


# -- streams ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", WIRES)
async def test_an_answer_cut_in_two_anywhere_is_the_same_answer(
    wire: str, autojump_clock: trio.testing.MockClock
) -> None:
    body = b"".join(pieces(wire))
    async with open_world("memory", autojump_clock, [answer(wire)], [GOOD], wire=wire, **ONCE) as world:
        whole = await outcome(world, answer(wire))
        assert isinstance(whole, tercet.ChatResponse)
        assert whole.text == WHOLE_TEXT
        for at in range(1, len(body)):
            came = await outcome(world, (stream_head(wire) + chunk(body[:at]), chunk(body[at:]) + END))
            assert came == whole, at


@pytest.mark.parametrize(
    ("wire", "name"),
    [
        ("openai_chat", "vercel-ai/deepseek.chat.deepseek-text.chunks.txt"),
        ("openai_chat", "vercel-ai/deepseek.chat.deepseek-tool-call.chunks.txt"),
        ("anthropic", "vercel-ai/anthropic.anthropic-text.chunks.txt"),
        ("anthropic", "vercel-ai/anthropic.anthropic-json-tool.1.chunks.txt"),
        ("anthropic", "anthropic-sdk/tool_use_response.txt"),
        ("anthropic", "anthropic-sdk/refusal_response.txt"),
    ],
)
async def test_recorded_streams_are_the_same_a_byte_at_a_time(
    shared: Path, wire: str, name: str, autojump_clock: trio.testing.MockClock
) -> None:
    data = (shared / "vectors/llm-streams" / name).read_bytes()
    if name.endswith(".chunks.txt"):
        payloads = [line for line in data.split(b"\n") if line]
        data = b"".join(b"data: " + payload.removeprefix(b"data: ") + b"\n\n" for payload in payloads)
        data += openai.done if wire == "openai_chat" and b"[DONE]" not in data else b""
    data = data[:60_000] if len(data) > 60_000 else data
    async with open_world("memory", autojump_clock, [GOOD], [GOOD], wire=wire, **ONCE) as world:
        whole = await outcome(world, (stream_head(wire) + chunk(data) + END,))
        single = b"".join(chunk(bytes([byte])) for byte in data)
        came = await outcome(world, (stream_head(wire) + single + END,))
        assert type(came) is type(whole)
        if isinstance(whole, tercet.ChatResponse):
            assert came == whole
        else:
            assert isinstance(came, tercet.TercetError)
            assert came.response == whole.response


# -- JSON -------------------------------------------------------------------------------------------------------------------


async def test_no_json_that_is_none_is_passed_over(
    shared: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Every n_ file of the JSON test suite as the data of one event, in front of any content and behind it.

    Those that are blank are no data, and those in which only the encoding is wrong are read with U+FFFD, as WHATWG says (S18): then
    the event has nothing in it that the API says.
    """
    suite = shared / "vectors/json-testsuite/test_parsing"
    files = {path.name: path.read_bytes() for path in sorted(suite.iterdir()) if path.name.startswith("n_")}
    assert len(files) > 180
    passed: dict[str, Any] = {}
    async with open_world("memory", autojump_clock, [GOOD], [GOOD], **ONCE) as world:
        for name, data in files.items():
            event = (
                b"".join(b"data: " + line + b"\n" for line in data.replace(b"\r", b"\n").split(b"\n")) + b"\n"
            )
            before = await outcome(world, (CHUNKED + chunk(event + openai.all) + END,))
            after = await outcome(world, (CHUNKED + chunk(openai.first + event) + END,))
            assert isinstance(after, tercet.TransportError)  # if not the event, then the end
            assert after.response is not None
            assert after.response.text == FIRST
            if isinstance(before, tercet.ChatResponse):
                passed[name] = before.text
            else:
                assert isinstance(before, tercet.ProtocolError), name
                assert isinstance(after, tercet.ProtocolError), name
    assert set(passed) <= BLANK, sorted(set(passed) - BLANK)
    assert set(passed.values()) <= {WHOLE_TEXT}


BLANK = {"n_single_space.json", "n_structure_no_data.json"}


# -- frames -----------------------------------------------------------------------------------------------------------------


async def test_every_frame_of_the_corpora_is_an_event_or_a_typed_error(
    shared: Path, autojump_clock: trio.testing.MockClock
) -> None:
    vectors = shared / "vectors/aws-eventstream"
    rust = json.loads((vectors / "smithy-rs/expect.json").read_bytes())
    frames = {
        name: (vectors / "smithy-rs" / name).read_bytes()
        for name in sorted(path.name for path in (vectors / "smithy-rs").iterdir())
        if name != "expect.json"
    }
    assert rust
    cases = json.loads((vectors / "botocore/cases.json").read_bytes())["cases"]
    wire = "bedrock_converse"
    head, (first, rest, last) = stream_head(wire), pieces(wire)
    async with open_world("memory", autojump_clock, [GOOD], [GOOD], wire=wire, **ONCE) as world:

        async def both(frame: bytes) -> tuple[Any, Any]:
            return (
                await outcome(world, (head + chunk(frame + first + rest + last) + END,)),
                await outcome(world, (head + chunk(first + frame + rest + last) + END,)),
            )

        for name, frame in frames.items():
            before, after = await both(frame)
            if name.startswith("valid"):
                assert [before.text, after.text] == [WHOLE_TEXT] * 2, name
            else:
                assert isinstance(before, tercet.ProtocolError), name
                assert isinstance(after, tercet.ProtocolError), name
                assert after.response is not None
                assert after.response.text == FIRST, name
        for case in cases:
            before, after = await both(_frame_of(case))
            is_bad = "expect_error" in case
            for came in (before, after):
                if is_bad:
                    assert isinstance(came, tercet.ProtocolError), case["name"]
                elif case["name"] == "ERROR_EVENT_MESSAGE":
                    assert isinstance(came, tercet.ServerError), case["name"]
                else:
                    assert isinstance(came, tercet.ChatResponse), case["name"]
                    assert came.text == WHOLE_TEXT


def _frame_of(case: dict[str, Any]) -> bytes:
    if "encoded_hex" in case:
        return bytes.fromhex(case["encoded_hex"])
    filling = (
        bytes.fromhex(case["fill_byte"]) if isinstance(case["fill_byte"], str) else bytes([case["fill_byte"]])
    )
    return (
        bytes.fromhex(case["encoded_prefix_hex"])
        + filling * case["fill_count"]
        + bytes.fromhex(case["encoded_suffix_hex"])
    )


async def test_frames_ended_at_any_byte(autojump_clock: trio.testing.MockClock) -> None:
    wire = "bedrock_converse"
    body = b"".join(pieces(wire))
    stop = body.index(b"messageStop") + 60
    fates: list[bool] = []
    async with open_world("memory", autojump_clock, [GOOD], [GOOD], wire=wire, **ONCE) as world:
        for end in range(len(body) + 1):
            came = await outcome(world, (stream_head(wire) + (chunk(body[:end]) if end else b"") + END,))
            if isinstance(came, tercet.ChatResponse):
                assert came.text == WHOLE_TEXT
            else:
                assert isinstance(came, tercet.StreamInterruptedError)
                said = came.response.text if came.response is not None else ""
                assert WHOLE_TEXT.startswith(said)
            fates.append(isinstance(came, tercet.ChatResponse))
    assert fates == sorted(fates)
    assert not any(fates[:stop])
    assert fates[-1]


# -- dates ------------------------------------------------------------------------------------------------------------------


async def test_no_date_of_the_corpus_makes_a_wait_without_end(
    shared: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Retry-After with each of curl's dates: a sensible hint or none, and a wait of at most a minute either way."""
    rows = json.loads((shared / "vectors/http-dates/curl_lib517.json").read_bytes())["cases"]
    texts = [row["text"] for row in rows if "\n" not in row["text"] and "\r" not in row["text"]]
    assert len(texts) > 60
    for text in texts:
        async with open_world(
            "memory", autojump_clock, [failure_with(text), GOOD], [GOOD], wall=lambda: 1_000_000_000.0
        ) as world:
            started = trio.current_time()
            world.alder.plays = [failure_with(text), GOOD]
            try:
                async with world.manager.chat_stream(world.ask()) as stream:
                    await stream.collect()
            except tercet.RateLimitError as error:
                assert error.retry_after is not None
                assert 60 < error.retry_after <= 366 * 86400
            assert trio.current_time() - started <= 61


def failure_with(text: str) -> Play:
    return (failure(429, None, f"retry-after: {text}"),)
