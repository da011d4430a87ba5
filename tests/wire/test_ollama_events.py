"""What Ollama's own API answers: lines to tokens, whole answers, failures, the list of models."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tercet.codecs.processor import StreamProcessor
from tercet.codecs.vocabulary import (
    AuthenticationError,
    BadRequestError,
    ContextLengthError,
    Finish,
    NotFoundError,
    OverloadedError,
    ProtocolError,
    RateLimitError,
    ReasoningDelta,
    ServerError,
    StreamInterruptedError,
    StreamToken,
    TercetError,
    TextDelta,
    ToolCallDelta,
    UnsupportedError,
    Usage,
    UsageReport,
    fold,
)
from tercet.codecs.wire.ollama import Dialect, OllamaWire

WIRE = OllamaWire()


def line(message: dict[str, Any] | None = None, **more: Any) -> bytes:
    said: dict[str, Any] = {"model": "m", "created_at": "2026-11-22T00:00:00.5Z"}
    if message is not None:
        said["message"] = {"role": "assistant", "content": "", **message}
    return json.dumps({**said, "done": False, **more}, ensure_ascii=False).encode() + b"\n"


END = line({}, done=True, done_reason="stop", total_duration=5, prompt_eval_count=26, eval_count=290)
FULL = b"".join(
    [
        line({"thinking": "Let me"}),
        line({"thinking": " see…"}),
        line({"content": "Hel"}),
        line({"content": "lo, wörld 🎉"}),
        line({"content": "\n你好\u2028"}),
        line(
            {
                "tool_calls": [
                    {"id": "c9", "function": {"index": 0, "name": "f", "arguments": {"a": [1, "ü"]}}}
                ]
            }
        ),
        line({"tool_calls": [{"function": {"name": "g", "arguments": {}}}]}),
        END,
    ]
)
TOKENS: list[StreamToken] = [
    ReasoningDelta("Let me"),
    ReasoningDelta(" see…"),
    TextDelta("Hel"),
    TextDelta("lo, wörld 🎉"),
    TextDelta("\n你好\u2028"),
    ToolCallDelta(0, "c9", "f", '{"a": [1, "ü"]}'),
    ToolCallDelta(1, "call_1", "g", "{}"),
    UsageReport(Usage(26, 290)),
    Finish("tool_calls", "stop", model="m"),
]


def heard(chunks: list[bytes], wire: OllamaWire = WIRE) -> list[StreamToken]:
    processor = StreamProcessor(wire.decoder(), wire.interpreter())
    tokens = [token for chunk in chunks for token in processor.process_chunk(chunk)]
    return tokens + processor.finish()


def test_an_answer_with_everything() -> None:
    assert heard([FULL]) == TOKENS


def test_however_the_bytes_are_cut() -> None:
    assert heard([FULL[at : at + 1] for at in range(len(FULL))]) == TOKENS
    for size in (2, 3, 7, 64, 100):
        assert heard([FULL[at : at + size] for at in range(0, len(FULL), size)]) == TOKENS
    for at in range(len(FULL)):
        assert heard([FULL[:at], FULL[at:]]) == TOKENS


def test_an_answer_that_ends_at_any_byte_is_whole_or_interrupted() -> None:
    for at in range(len(FULL)):
        processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
        tokens = processor.process_chunk(FULL[:at])
        try:
            tokens += processor.finish()
            if not processor.is_complete:
                tokens += processor.finish()
        except StreamInterruptedError:
            assert not processor.is_complete
            assert tokens == TOKENS[: len(tokens)]
        else:
            assert tokens == TOKENS
            assert FULL[at:] == b"\n"  # all of the last line is there


def test_a_stream_means_what_its_whole_twin_says() -> None:
    whole = {
        "model": "m",
        "message": {
            "role": "assistant",
            "content": "Hello, wörld 🎉\n你好\u2028",
            "thinking": "Let me see…",
            "tool_calls": [
                {"id": "c9", "function": {"name": "f", "arguments": {"a": [1, "ü"]}}},
                {"function": {"name": "g", "arguments": {}}},
            ],
        },
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 26,
        "eval_count": 290,
    }
    answer = WIRE.response(json.dumps(whole, ensure_ascii=False).encode())
    assert answer == fold(TOKENS)
    assert WIRE.response(json.dumps(whole, indent=2).encode()).text == answer.text
    assert WIRE.response(FULL) == answer  # streamed, although nobody asked for it


def test_only_done_is_evidence() -> None:
    with pytest.raises(StreamInterruptedError, match="done"):
        heard([line({"content": "Hello"})])
    with pytest.raises(StreamInterruptedError):
        heard([])
    with pytest.raises(ProtocolError, match="without done"):
        WIRE.response(line({"content": "Hello"}))
    assert heard([END, line({"content": "more"})]) == heard([END])


@pytest.mark.parametrize(
    ("raw", "reason"), [("stop", "stop"), ("length", "length"), ("load", "other"), (None, "stop")]
)
def test_why_it_ended(raw: str | None, reason: str) -> None:
    [finish] = heard([line({}, done=True, **({"done_reason": raw} if raw else {}))])
    assert finish == Finish(reason, raw, model="m")  # type: ignore[arg-type]  # the parameters are literals


def test_a_call_that_was_cut_off_is_no_call_to_make() -> None:
    answer = fold(
        heard(
            [
                line({"tool_calls": [{"function": {"name": "f", "arguments": {}}}]}),
                line({}, done=True, done_reason="length"),
            ]
        )
    )
    assert answer.finish_reason == "length"


def test_counts_may_be_missing() -> None:
    assert heard([line({}, done=True, eval_count=3)])[0] == UsageReport(Usage(0, 3))
    assert heard([line({}, done=True, prompt_eval_count=-1, eval_count=3)])[0] == UsageReport(Usage(0, 3))
    assert isinstance(heard([line({}, done=True)])[0], Finish)


def test_content_of_the_last_line_counts() -> None:
    tokens = heard([line({"content": "all"}, done=True, done_reason="stop")])
    assert tokens == [TextDelta("all"), Finish("stop", "stop", model="m")]


def test_think_tags_are_reasoning_unless_the_row_says_no() -> None:
    lines = [line({"content": piece}) for piece in ("<th", "ink>k", "</think>", "done")] + [END]
    assert fold(heard(lines)).reasoning == "k"
    assert fold(heard(lines)).text == "done"
    plain = fold(heard(lines, OllamaWire(Dialect(think_tags=False))))
    assert (plain.reasoning, plain.text) == ("", "<think>k</think>done")
    assert fold(heard([line({"content": "<thi"}), END])).text == "<thi"


def test_halves_of_characters_are_joined() -> None:
    first, second = b'{"message":{"content":"a\\ud83d"}}\n', b'{"message":{"content":"\\ude00"}}\n'
    assert fold(heard([first, second, END])).text == "a😀"
    assert fold(heard([first, END])).text == "a\ufffd"


def test_arguments_as_text_are_taken_too() -> None:
    call = {"function": {"name": "f", "arguments": '{"a":1}'}}
    [token, *_] = heard([line({"tool_calls": [call, {"function": None}, {}]}), END])
    assert token == ToolCallDelta(0, "call_0", "f", '{"a":1}')


ERRORS: list[tuple[str, type[TercetError]]] = [
    ("an error was encountered while running the model: unexpected EOF", ServerError),
    ("model 'x:7b' not found", NotFoundError),
    ("unauthorized", AuthenticationError),
    ("server busy, please try again.  maximum pending requests exceeded", OverloadedError),
    ("you have reached your hourly usage limit", RateLimitError),
    ("the input length exceeds the context length", ContextLengthError),
    ('"llama2" does not support tools', UnsupportedError),
]


@pytest.mark.parametrize(("text", "kind"), ERRORS)
def test_an_error_line_ends_the_answer_with_its_type(text: str, kind: type[TercetError]) -> None:
    processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
    assert processor.process_chunk(line({"content": "a"}) + json.dumps({"error": text}).encode() + b"\n")
    with pytest.raises(kind, match=text[:10]) as caught:
        processor.process_chunk(END)
    assert caught.value.status is None
    assert not processor.is_complete


STATUSES: list[tuple[int, Any, type[TercetError], str]] = [
    (404, {"error": "model 'llama3.1:8b' not found"}, NotFoundError, "ollama pull llama3.1:8b"),
    (404, {"error": 'model "qwen3" not found, try pulling it first'}, NotFoundError, "ollama pull qwen3$"),
    (404, "404 page not found", NotFoundError, "404 page not found"),
    (400, {"error": "registry.ollama.ai/library/gemma:2b does not support tools"}, UnsupportedError, "tools"),
    (400, {"error": "the input length exceeds the context length"}, ContextLengthError, "context"),
    (400, {"error": "invalid options: num_ctx"}, BadRequestError, "num_ctx"),
    (401, {"error": "unauthorized"}, AuthenticationError, "unauthorized"),
    (401, {"message": "who are you"}, AuthenticationError, "who are you"),
    (429, {"error": {"message": "slow down", "type": "x"}}, RateLimitError, "slow down"),
    (500, {"error": "llama runner process has terminated: exit status 2"}, ServerError, "terminated"),
    (503, {"error": "server busy, please try again."}, OverloadedError, "busy"),
    (502, "<html>bad gateway</html>", ServerError, "bad gateway"),
    (500, "", ServerError, "status 500 and no body"),
]


@pytest.mark.parametrize(("status", "body", "kind", "words"), STATUSES)
def test_a_failing_status(status: int, body: Any, kind: type[TercetError], words: str) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    error = WIRE.error(status, {"retry-after": "3", "x-request-id": "r1"}, raw)
    assert type(error) is kind
    with pytest.raises(kind, match=words):
        raise error
    assert (error.status, error.request_id, error.retry_after) == (status, "r1", 3.0)


def test_a_model_that_does_not_fit_is_not_asked_again() -> None:
    body = b'{"error":"model requires more system memory (9.1 GiB) than is available (7.2 GiB)"}'
    assert WIRE.error(500, {}, body).retryable is False
    assert WIRE.error(500, {}, b'{"error":"oops"}').retryable is True


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"null",
        b"7",
        b'"x"',
        b"{",
        b'{"message":7}',
        b'{"message":{"content":{}}}',
        b'{"message":{"tool_calls":[1]}}',
        b'{"done":"yes"}',
        b"data: {}",
        b"<html>",
    ],
)
def test_what_is_no_line_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        WIRE.interpreter().interpret("", data, [])


def test_unknown_members_pass_by() -> None:
    tokens: list[StreamToken] = []
    WIRE.interpreter().interpret(
        "", b'{"x":1,"message":{"content":"a","images":null,"y":{}},"logprobs":[1]}', tokens
    )
    assert tokens == [TextDelta("a")]
    WIRE.interpreter().interpret("", b"{}", tokens)
    assert len(tokens) == 1


def test_the_list_of_models() -> None:
    body = {"models": [{"name": "llama3.1:8b", "model": "llama3.1:8b", "size": 1}, {"model": "qwen3"}, {}]}
    assert [model.id for model in WIRE.models(json.dumps(body).encode())] == ["llama3.1:8b", "qwen3"]
    for other in (b"{}", b"[]", b"x"):
        with pytest.raises(ProtocolError):
            WIRE.models(other)
    with pytest.raises(ProtocolError):
        WIRE.token_count(b"{}")


def test_recorded_answers(shared: Path) -> None:
    """The streams of the reference's recordings: the same text, the same counts, and failures where it failed."""
    wrong: list[str] = []
    for path in sorted((shared / "parity" / "native-ollama").glob("*.json")):
        recording = json.loads(path.read_text())
        chats = [one for one in recording["exchanges"] if one["request"]["url"].endswith("/api/chat")]
        if recording["call"]["kind"] != "createMessage" or not chats:
            continue
        reply = chats[-1]["response"]
        chunks = [chunk.encode() for chunk in reply["body_chunks"]]
        if reply["status"] != 200:
            if not isinstance(WIRE.error(reply["status"], {}, b"".join(chunks)), TercetError):
                wrong.append(f"{path.stem}: no error")
            continue
        try:
            answer = fold(heard(chunks))
        except TercetError as error:
            if (
                "throws" not in recording and path.stem != "malformed-json-line"
            ):  # a line may not be lost in silence
                wrong.append(f"{path.stem}: {error}")
            continue
        texts = "".join(one.get("text", "") for one in recording["yields"] if one["type"] == "text")
        usage = [one for one in recording["yields"] if one["type"] == "usage"]
        counts = (usage[0]["inputTokens"], usage[0]["outputTokens"]) if usage else (0, 0)
        given = answer.usage or Usage()
        if "throws" in recording or (answer.text, (given.input_tokens, given.output_tokens)) != (
            texts,
            counts,
        ):
            wrong.append(f"{path.stem}: {answer}")
    assert wrong == []


def test_pairs_of_cuts() -> None:
    """Two cuts at once, over the part with the multi-byte characters."""
    head, tail = FULL[: FULL.index(b"Hel")], FULL[FULL.index("你".encode()) + 3 :]
    middle = FULL[len(head) : len(FULL) - len(tail)]
    for first in range(0, len(middle), 3):
        for second in range(first, len(middle), 7):
            cuts = [0, first, second, len(middle)]
            assert heard([head, *(middle[a:b] for a, b in pairwise(cuts)), tail]) == TOKENS
