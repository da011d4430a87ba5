"""The chat family's recordings, and the comparer where only they need it: messages over a WebSocket, lines that end in CR."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tercet.adapters.reference.caching import mark_last_parts, mark_vercel
from tercet.adapters.reference.comparison import Played, compare
from tercet.adapters.reference.deviations import settle
from tercet.adapters.reference.messages import to_openai
from tercet.adapters.reference.table import providers
from tercet.cli.parity import check, check_directory, play
from tercet.codecs.vocabulary import StreamInterruptedError

RECORDINGS = Path(__file__).resolve().parent.parent / "recordings"
FOLDERS = {
    "cerebras": 27,
    "chutes": 10,
    "deepinfra": 13,
    "doubao": 8,
    "featherless": 9,
    "fireworks": 9,
    "glama": 11,
    "huggingface": 9,
    "io-intelligence": 11,
    "lite-llm": 17,
    "lm-studio": 13,
    "moonshot": 8,
    "ollama": 9,
    "qwen-code": 15,
    "requesty": 16,
    "roo": 9,
    "sambanova": 8,
    "unbound": 13,
    "vercel-ai-gateway": 12,
    "zai": 11,
}


def recording(name: str) -> dict[str, Any]:
    return json.loads((RECORDINGS / f"{name}.json").read_text("utf-8"))


def judged(data: dict[str, Any], played: Played) -> tuple[list[str], list[str]]:
    left, rules = settle(data, played, compare(data, played))
    return [difference.place for difference in left], rules


@pytest.mark.parametrize(("folder", "count"), FOLDERS.items())
def test_every_recording_of(folder: str, count: int) -> None:
    out = io.StringIO()
    code = check_directory(RECORDINGS / folder, out)
    assert code == 0, out.getvalue()
    assert f"of {count} match" in out.getvalue()
    assert folder in providers()


def test_where_the_bytes_are_cut_makes_no_difference() -> None:
    names = [
        "cerebras/think-tags-split",
        "cerebras/text-stream-split-cr",
        "chutes/r1-temperature-override",
        "glama/usage-polled-until-ready",
        "lm-studio/error-mid-stream",
        "lm-studio/get-models-websocket",
        "qwen-code/repeated-delta-dropped",
        "requesty/model-coding-claude-4-sonnet",
        "roo/reasoning-empty-string",
    ]
    wrong = {}
    for name in names:
        report = check(recording(name), name, recut=True)
        if report.status == "differ":
            wrong[name] = report.differences
    assert not wrong


def test_bodies_are_the_references_to_the_byte() -> None:
    wrong = []
    for folder in FOLDERS:
        for path in sorted((RECORDINGS / folder).glob("*.json")):
            data = json.loads(path.read_text("utf-8"))
            bodies = [exchange["request"].get("body") or "" for exchange in data["exchanges"]]
            sent = [request.body for request in play(data).requests]
            if sent != [body.encode("utf-8", "surrogatepass") for body in bodies]:
                wrong.append(f"{folder}/{path.stem}")
    assert not wrong


def test_the_comparer_sees_what_is_said_over_a_websocket() -> None:
    name = "lm-studio/get-models-websocket"
    played = play(recording(name))
    assert judged(recording(name), played) == ([], [])

    def changed(number: int, text: str, place: int = 0) -> list[str]:
        data = recording(name)
        data["exchanges"][number]["websocket"][place][1] = text
        return judged(data, played)[0]

    hello = '{"authVersion":1,"clientIdentifier":"<random>","clientPasskey":"<random>"}'
    assert changed(1, hello) == []
    assert changed(1, hello.replace('Identifier":"<random>"', 'Identifier":"me"')) == ["messages"]
    assert changed(1, hello.replace('"authVersion":1,', "")) == ["messages"]
    assert changed(2, '{"type":"rpcCall","endpoint":"listLoaded","callId":1}', 2) == ["messages"]
    data = recording(name)
    del data["exchanges"][2]["websocket"][-2:]
    assert judged(data, played)[0] == ["messages"], "one more was sent than was recorded"
    data = recording(name)
    data["exchanges"][1]["request"]["url"] = "ws://localhost:1234/llm"
    data["exchanges"][1]["request"]["headers"].append(["X-Key", "k"])
    assert judged(data, played)[0] == ["url", "header"]
    unsaid = copy.deepcopy(played)
    unsaid.requests[2] = type(unsaid.requests[2])(
        "GET", unsaid.requests[2].url, unsaid.requests[2].headers, b""
    )
    assert judged(recording(name), unsaid)[0] == ["messages"]


def test_what_a_scripted_socket_does_not_expect_ends_it() -> None:
    data = recording("lm-studio/get-models-websocket")
    del data["exchanges"][2]["websocket"][-2:]  # the answer to listLoaded is the last thing it says
    played = play(data)
    assert judged(data, played)[0] == ["messages", "returns"]
    assert len(played.requests[2].messages) == 3


def test_cr_lines() -> None:
    name = "cerebras/text-stream-split-cr"
    played = play(recording(name))
    assert judged(recording(name), played) == ([], ["cr-lines"])
    other = copy.deepcopy(played)
    other.outcomes[0].yields[0] = {"type": "text", "text": "Hal"}
    assert judged(recording(name), other)[0] == ["yield"] * 6, "another text"
    other = copy.deepcopy(played)
    other.outcomes[0].yields[-1] = {"type": "usage", "inputTokens": 1, "outputTokens": 340}
    assert judged(recording(name), other)[0] == ["yield"] * 6, "another usage"
    other = copy.deepcopy(played)
    other.outcomes[0].error = StreamInterruptedError("the stream ended before its answer did")
    assert judged(recording(name), other)[0] == ["yield"] * 6 + ["throws"], "an error at its end"
    lf = recording(name)
    body = lf["exchanges"][0]["response"]["body_chunks"][0]
    lf["exchanges"][0]["response"]["body_chunks"][0] = body.replace("\r", "\r\n")
    assert judged(lf, played)[0] == ["yield"] * 6, "lines the reference can read"
    told = recording(name)
    told["yields"].insert(0, {"type": "text", "text": "Hel"})
    assert judged(told, played)[0] == ["yield"] * 5, "the reference found something"


def test_cache_marks_of_the_vercel_gateway(shared: Path) -> None:
    vectors = json.loads((shared / "providers" / "vectors-reference.json").read_text("utf-8"))
    messages = [{"role": "system", "content": "SYSTEM"}, *to_openai(vectors["input"])]
    mark_vercel(messages)
    assert messages == vectors["cache_oai_vercel"]


def test_cache_marks_where_nothing_can_be_marked() -> None:
    mark = {"type": "ephemeral"}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "one"},
        {"role": "user", "content": [{"type": "text", "text": ""}]},
        {"role": "user", "content": ""},
    ]
    mark_vercel(messages)
    assert messages[0] == {"role": "system", "content": "s", "cache_control": mark}
    assert [message["content"] for message in messages[1:]] == ["one", [{"type": "text", "text": ""}], ""]


def test_cache_marks_of_litellm() -> None:
    mark = {"type": "ephemeral"}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,x"}}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "second"},
        {"role": "tool", "tool_call_id": "t", "content": "r"},
        {"role": "user", "content": [{"type": "text", "text": "look"}, dict(image)]},
    ]
    mark_last_parts("s", messages)
    assert messages[0]["content"] == [{"type": "text", "text": "s", "cache_control": mark}]
    assert messages[1]["content"] == "first"
    assert messages[3]["content"] == [{"type": "text", "text": "second", "cache_control": mark}]
    assert messages[5]["content"] == [{"type": "text", "text": "look"}, {**image, "cache_control": mark}]
