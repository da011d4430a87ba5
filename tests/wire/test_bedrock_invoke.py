"""InvokeModel: the bodies of each family of models, and their answers, streamed and whole."""

from __future__ import annotations

import base64
import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tercet.codecs.framing import encode_message
from tercet.codecs.processor import StreamProcessor
from tercet.codecs.vocabulary import (
    ChatRequest,
    ContentFilterError,
    ContextLengthError,
    Finish,
    FinishReason,
    Image,
    OverloadedError,
    ProtocolError,
    Reasoning,
    ReasoningDelta,
    ReasoningOptions,
    ServerError,
    StreamInterruptedError,
    StreamToken,
    TercetError,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    UnsupportedError,
    Usage,
    UsageReport,
    assistant,
    fold,
    system,
    user,
)
from tercet.codecs.wire.anthropic import AnthropicWire
from tercet.codecs.wire.bedrock_invoke import BedrockInvokeWire, Dialect

WIRE = BedrockInvokeWire()
CLAUDE, NOVA, LLAMA = "anthropic.claude-sonnet-4-6", "amazon.nova-lite-v1:0", "meta.llama3-8b-instruct-v1:0"
TALK = [system("be kind"), user("a"), assistant("b"), user("c")]
METRICS = {
    "amazon-bedrock-invocationMetrics": {
        "inputTokenCount": 3,
        "outputTokenCount": 5,
        "invocationLatency": 1,
        "firstByteLatency": 1,
    }
}


def chunk(said: Any) -> bytes:
    data = said if isinstance(said, bytes) else msgspec.json.encode(said)
    headers = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    payload = {"bytes": base64.b64encode(data).decode("ascii"), "p": "abc"}
    return encode_message(headers, msgspec.json.encode(payload))


def outcome(data: bytes, cuts: Sequence[int] = ()) -> tuple[list[StreamToken], TercetError | None]:
    processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
    tokens: list[StreamToken] = []
    try:
        for start, end in itertools.pairwise([0, *sorted(cuts), len(data)]):
            tokens += processor.process_chunk(data[start:end])
        tokens += processor.finish()
        if not processor.is_complete:
            processor.finish()
    except TercetError as error:
        return tokens, error
    return tokens, None


def read(*said: Any) -> list[StreamToken]:
    tokens, error = outcome(b"".join(map(chunk, said)))
    assert error is None, error
    return tokens


def body(model: str, messages: Any = "hi", dialect: Dialect = Dialect(), **fields: Any) -> dict[str, Any]:  # noqa: B008  # frozen: one for all is safe
    return json.loads(
        BedrockInvokeWire(dialect).chat(ChatRequest(model, messages, **fields), stream=True).body
    )


# Requests ---------------------------------------------------------------------------------------------------------------


def test_addresses_and_headers() -> None:
    streamed, whole = (WIRE.chat(ChatRequest(NOVA, "hi"), stream=stream) for stream in (True, False))
    assert streamed.path == "/model/amazon.nova-lite-v1%3A0/invoke-with-response-stream"
    assert whole.path == "/model/amazon.nova-lite-v1%3A0/invoke"
    assert streamed.body == whole.body
    json_ = ("content-type", "application/json")
    assert streamed.headers == (json_, ("x-amzn-bedrock-accept", "application/json"))
    assert whole.headers == (json_, ("accept", "application/json"))


def test_claude_is_asked_in_its_own_words() -> None:
    dialect = Dialect(betas=("b-1",), thinking="adaptive")
    assert body(CLAUDE, TALK, dialect, reasoning=ReasoningOptions(enabled=True), tools=(Tool("f"),)) == {
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["b-1"],
        "max_tokens": 8192,
        "thinking": {"type": "adaptive"},
        "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}],
        "system": [{"type": "text", "text": "be kind"}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "b"}]},
            {"role": "user", "content": [{"type": "text", "text": "c"}]},
        ],
    }


def test_nova_is_asked_in_its_own_words() -> None:
    said = body(
        NOVA,
        [
            system([Text("be", cache=True)]),
            user([Text("a", cache=True), Image(data=b"x", media_type="image/png")]),
        ],
        max_tokens=5,
        top_k=4,
        reasoning=ReasoningOptions(effort="low"),
        tools=(Tool("f"),),
        extra={"inferenceConfig": {"temperature": 0.5}},
    )
    assert said == {
        "schemaVersion": "messages-v1",
        "system": [{"text": "be", "cachePoint": {"type": "default"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"text": "a", "cachePoint": {"type": "default"}},
                    {"image": {"format": "png", "source": {"bytes": "eA=="}}},
                ],
            }
        ],
        "inferenceConfig": {
            "maxTokens": 5,
            "topK": 4,
            "reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"},
            "temperature": 0.5,
        },
        "toolConfig": {
            "tools": [
                {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object", "properties": {}}}}}
            ]
        },
    }


@pytest.mark.parametrize(
    ("model", "field"),
    [
        ("openai.gpt-oss-20b-1:0", "max_completion_tokens"),
        ("qwen.qwen3-32b-v1:0", "max_tokens"),
        ("mistral.mistral-large-2407-v1:0", "max_tokens"),
        ("deepseek.v3-v1:0", "max_tokens"),
    ],
)
def test_openai_s_form(model: str, field: str) -> None:
    said = body(model, TALK, max_tokens=5, reasoning=ReasoningOptions(effort="low"), tools=(Tool("f"),))
    assert said == {
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
        ],
        field: 5,
        "reasoning_effort": "low",
        "tools": [
            {
                "type": "function",
                "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
            }
        ],
    }


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            LLAMA,
            {
                "prompt": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nbe kind<|eot_id|>"
                "<|start_header_id|>user<|end_header_id|>\n\na<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nb<|eot_id|>"
                "<|start_header_id|>user<|end_header_id|>\n\nc<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
                "max_gen_len": 5,
                "temperature": 0.5,
                "top_p": 0.9,
            },
        ),
        (
            "meta.llama4-scout-17b-instruct-v1:0",
            {
                "prompt": "<|begin_of_text|><|header_start|>system<|header_end|>\n\nbe kind<|eot|><|header_start|>user<|header_end|>\n\na<|eot|>"
                "<|header_start|>assistant<|header_end|>\n\nb<|eot|><|header_start|>user<|header_end|>\n\nc<|eot|>"
                "<|header_start|>assistant<|header_end|>\n\n",
                "max_gen_len": 5,
                "temperature": 0.5,
                "top_p": 0.9,
            },
        ),
        (
            "meta.llama2-13b-chat-v1",
            {
                "prompt": "<s>[INST] <<SYS>>\nbe kind\n<</SYS>>\n\na [/INST] b </s><s>[INST] c [/INST]",
                "max_gen_len": 5,
                "temperature": 0.5,
                "top_p": 0.9,
            },
        ),
        (
            "mistral.mistral-7b-instruct-v0:2",
            {
                "prompt": "<s>[INST] be kind\n\na [/INST] b </s>[INST] c [/INST]",
                "max_tokens": 5,
                "temperature": 0.5,
                "top_p": 0.9,
            },
        ),
        (
            "deepseek.r1-v1:0",
            {
                "prompt": "<｜begin▁of▁sentence｜>be kind<｜User｜>a<｜Assistant｜>b<｜end▁of▁sentence｜><｜User｜>c<｜Assistant｜><think>\n",
                "max_tokens": 5,
                "temperature": 0.5,
                "top_p": 0.9,
            },
        ),
        (
            "amazon.titan-text-lite-v1",
            {
                "inputText": "be kind\nUser: a\nBot: b\nUser: c\nBot:",
                "textGenerationConfig": {"maxTokenCount": 5, "temperature": 0.5, "topP": 0.9},
            },
        ),
        (
            "anthropic.claude-v2:1",
            {
                "prompt": "be kind\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:",
                "max_tokens_to_sample": 5,
                "temperature": 0.5,
                "top_p": 0.9,
            },
        ),
        (
            "cohere.command-r-v1:0",
            {
                "message": "c",
                "chat_history": [{"role": "USER", "message": "a"}, {"role": "CHATBOT", "message": "b"}],
                "preamble": "be kind",
                "max_tokens": 5,
                "temperature": 0.5,
                "p": 0.9,
            },
        ),
        (
            "cohere.command-text-v14",
            {
                "prompt": "be kind\nUser: a\nChatbot: b\nUser: c\nChatbot:",
                "max_tokens": 5,
                "temperature": 0.5,
                "p": 0.9,
            },
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_prompts(model: str, expected: dict[str, Any]) -> None:
    assert body(model, TALK, max_tokens=5, temperature=0.5, top_p=0.9) == expected


def test_claude_2_needs_a_number_and_one_message_is_a_plain_prompt() -> None:
    assert body("anthropic.claude-instant-v1") == {
        "prompt": "\n\nHuman: hi\n\nAssistant:",
        "max_tokens_to_sample": 8192,
    }
    assert body("cohere.command-light-text-v14", stop=["x"], top_k=3) == {
        "prompt": "hi",
        "stop_sequences": ["x"],
        "k": 3,
    }


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (LLAMA, "<|eot_id|><|start_header_id|>system<|end_header_id|>"),
        ("meta.llama4-scout-17b-instruct-v1:0", "<|eot|>"),
        ("mistral.mixtral-8x7b-instruct-v0:1", "[/INST] yes </s>"),
        ("deepseek.r1-v1:0", "<｜User｜>"),
        ("anthropic.claude-v2", "x\n\nHuman: y"),
    ],
)
def test_a_text_cannot_put_words_into_another_s_mouth(model: str, text: str) -> None:
    with pytest.raises(UnsupportedError, match="mark of this model's prompt"):
        body(model, text)


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (LLAMA, {"tools": (Tool("f"),)}),
        (LLAMA, {"seed": 1}),
        (LLAMA, {"top_k": 1}),
        (LLAMA, {"stop": ["x"]}),
        (LLAMA, {"reasoning": ReasoningOptions(effort="low")}),
        (LLAMA, {"messages": [user([Image(data=b"x", media_type="image/png")])]}),
        (LLAMA, {"messages": [system("x"), user(" ")]}),
        ("cohere.command-r-v1:0", {"messages": [user("a"), assistant("b")]}),
        ("cohere.command-r-v1:0", {"messages": [user([Image(data=b"x", media_type="image/png")])]}),
        (CLAUDE, {"seed": 1}),
        (CLAUDE, {"verbosity": "low"}),
        ("imported-model", {}),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(model: str, fields: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError):
        body(model, **fields)


def test_the_dialect_says_whose_model_it_is_where_the_id_does_not() -> None:
    arn = "arn:aws:bedrock:us-east-1:1:imported-model/abc"
    assert "max_gen_len" in body(arn, "hi", Dialect(family="llama3"), max_tokens=3)
    assert "max_gen_len" in body(LLAMA, "hi", Dialect(family="claude"), max_tokens=3)


def test_counting() -> None:
    asked = WIRE.count_tokens(ChatRequest(f"eu.{CLAUDE}", "hi", max_tokens=3))
    assert asked is not None
    assert asked.path == f"/model/{CLAUDE}/count-tokens"
    inner = json.loads(base64.b64decode(json.loads(asked.body)["input"]["invokeModel"]["body"]))
    assert inner == body(CLAUDE, max_tokens=3)
    assert WIRE.token_count(b'{"inputTokens":4}') == 4
    assert BedrockInvokeWire(Dialect(count_path=None)).count_tokens(ChatRequest(CLAUDE, "hi")) is None
    assert WIRE.list_models() is None
    assert list(WIRE.models(b"{}")) == []


# Answers ----------------------------------------------------------------------------------------------------------------


def test_claude_s_streams_are_read_as_anthropic_s_own(shared: Path) -> None:
    """The recorded streams of the Messages API, each event in a chunk."""
    chance = random.Random(3)
    wire, wrong, seen = AnthropicWire(), [], 0
    for path in sorted((shared / "vectors" / "llm-streams" / "vercel-ai").glob("anthropic.*.chunks.txt")):
        if "spliced" in path.name:
            continue
        lines = [line for line in path.read_text("utf-8").split("\n") if line]
        end = next(place for place, line in enumerate(lines, 1) if json.loads(line)["type"] == "message_stop")
        seen += 1
        interpreter = wire.interpreter()
        expected: list[StreamToken] = []
        for line in lines[:end]:
            interpreter.interpret("", line.encode(), expected)
        last = json.dumps({**json.loads(lines[end - 1]), **METRICS}).encode()
        data = b"".join(map(chunk, [*(line.encode() for line in lines[: end - 1]), last]))
        cuts = [chance.randrange(len(data)) for _ in range(20)]
        if outcome(data, cuts) != (expected, None):
            wrong.append(path.name)
    assert not wrong
    assert seen >= 25


def test_nova() -> None:
    tokens = read(
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"delta": {"text": "hi"}, "contentBlockIndex": 0}},
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "end_turn"}},
        {
            "metadata": {
                "usage": {"inputTokens": 3, "outputTokens": 5, "cacheReadInputTokenCount": 10},
                "metrics": {},
            },
            **METRICS,
        },
    )
    assert tokens == [TextDelta("hi", 0), UsageReport(Usage(13, 5, 10)), Finish("stop", "end_turn")]
    whole = {
        "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 3, "outputTokens": 5, "cacheReadInputTokenCount": 10},
    }
    assert WIRE.response(json.dumps(whole).encode()) == fold(tokens)


def test_openai_s_form_with_its_reasoning_in_a_tag() -> None:
    def piece(**delta: Any) -> dict[str, Any]:
        return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}

    last = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    tokens = read(
        piece(role="assistant", content=""),
        piece(content="<reas"),
        piece(content="oning>h"),
        piece(content="m</reasoning>s"),
        piece(content="o"),
        {**last, **METRICS},
    )
    assert tokens == [
        ReasoningDelta("h"),
        ReasoningDelta("m"),
        TextDelta("s"),
        TextDelta("o"),
        UsageReport(Usage(3, 5)),
        Finish("stop", "stop", None, "c", "m"),
    ]
    message = {"role": "assistant", "content": "<reasoning>hm</reasoning>so"}
    whole = {
        "id": "c",
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5},
    }
    assert WIRE.response(json.dumps(whole).encode()) == fold(tokens)


def test_a_tag_that_never_closes_is_given_at_the_end() -> None:
    first = {"choices": [{"index": 0, "delta": {"content": "<reasoning>hm</rea"}}]}
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}
    assert fold(read(first, last)).parts == (Reasoning("hm</rea"),)
    tokens, error = outcome(chunk(first))
    assert fold(tokens).parts == (Reasoning("hm</rea"),)
    assert type(error) is StreamInterruptedError


def test_mistral_s_variant_of_openai_s_form() -> None:
    call = {"id": "t", "function": {"name": "f", "arguments": "{}"}}
    tokens = read(
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "stop_reason": None}]},
        {
            "choices": [{"index": 0, "message": {"tool_calls": [call]}, "stop_reason": "tool_calls"}],
            **METRICS,
        },
    )
    response = fold(tokens)
    assert (response.text, response.tool_calls) == ("hi", (ToolCall("t", "f", "{}"),))
    assert (response.finish_reason, response.usage) == ("tool_calls", Usage(3, 5))
    whole = {
        "choices": [
            {"index": 0, "message": {"content": "hi", "tool_calls": [call]}, "stop_reason": "tool_calls"}
        ]
    }
    twin = WIRE.response(json.dumps(whole).encode())
    assert (twin.parts, twin.finish_raw) == (response.parts, "tool_calls")


TEXTS: list[tuple[str, list[dict[str, Any]], dict[str, Any], Usage | None, FinishReason, str]] = [
    (
        "titan",
        [
            {
                "index": 0,
                "inputTextTokenCount": 3,
                "totalOutputTextTokenCount": None,
                "outputText": "Hé",
                "completionReason": None,
            },
            {
                "index": 0,
                "inputTextTokenCount": None,
                "totalOutputTextTokenCount": 5,
                "outputText": "llo",
                "completionReason": "FINISH",
            },
        ],
        {
            "inputTextTokenCount": 3,
            "results": [{"tokenCount": 5, "outputText": "Héllo", "completionReason": "FINISH"}],
        },
        Usage(3, 5),
        "stop",
        "FINISH",
    ),
    (
        "llama",
        [
            {"generation": "Hé", "prompt_token_count": 3, "generation_token_count": 1, "stop_reason": None},
            {
                "generation": "llo",
                "prompt_token_count": None,
                "generation_token_count": 5,
                "stop_reason": "length",
            },
        ],
        {
            "generation": "Héllo",
            "prompt_token_count": 3,
            "generation_token_count": 5,
            "stop_reason": "length",
        },
        Usage(3, 5),
        "length",
        "length",
    ),
    (
        "claude 2",
        [
            {"completion": "Hé", "stop_reason": None, "stop": None},
            {"completion": "llo", "stop_reason": "stop_sequence", "stop": "\n\nHuman:"},
        ],
        {"completion": "Héllo", "stop_reason": "stop_sequence", "stop": "\n\nHuman:"},
        None,
        "stop",
        "stop_sequence",
    ),
    (
        "mistral 7b",
        [
            {"outputs": [{"text": "Hé", "stop_reason": None}]},
            {"outputs": [{"text": "llo", "stop_reason": "stop"}]},
        ],
        {"outputs": [{"text": "Héllo", "stop_reason": "stop"}]},
        None,
        "stop",
        "stop",
    ),
    (
        "command r",
        [
            {"event_type": "text-generation", "text": "Hé", "is_finished": False},
            {"event_type": "citation-generation", "citations": [], "is_finished": False},
            {"event_type": "text-generation", "text": "llo", "is_finished": False},
            {
                "event_type": "stream-end",
                "finish_reason": "COMPLETE",
                "response": {"text": "Héllo"},
                "is_finished": True,
            },
        ],
        {"text": "Héllo", "generation_id": "g", "finish_reason": "COMPLETE", "chat_history": []},
        None,
        "stop",
        "COMPLETE",
    ),
    (
        "command",
        [
            {"text": "Hé", "is_finished": False, "index": 0},
            {"text": "llo", "is_finished": True, "finish_reason": "MAX_TOKENS"},
        ],
        {"generations": [{"text": "Héllo", "finish_reason": "MAX_TOKENS", "id": "g"}]},
        None,
        "length",
        "MAX_TOKENS",
    ),
]


@pytest.mark.parametrize(
    ("stream", "whole", "usage", "reason", "raw"), [row[1:] for row in TEXTS], ids=[row[0] for row in TEXTS]
)
def test_families_of_text(
    stream: list[dict[str, Any]], whole: dict[str, Any], usage: Usage | None, reason: FinishReason, raw: str
) -> None:
    with_metrics = [*stream[:-1], {**stream[-1], **METRICS}]
    tokens = read(*with_metrics)
    sequence = "\n\nHuman:" if raw == "stop_sequence" else None
    assert tokens == [
        TextDelta("Hé"),
        TextDelta("llo"),
        UsageReport(Usage(3, 5)),
        Finish(reason, raw, sequence),
    ]
    twin = WIRE.response(json.dumps(whole).encode())
    assert twin == fold(tokens if usage else [tokens[0], tokens[1], tokens[-1]])
    assert fold(read(*stream)) == twin  # without metrics the model's own counts go
    data = b"".join(map(chunk, with_metrics))
    assert outcome(data, range(1, len(data))) == (tokens, None)
    last = len(data) - len(chunk(with_metrics[-1]))
    for end in range(len(data)):
        found, error = outcome(data[:end])
        assert type(error) is StreamInterruptedError, (end, last, error)
        assert not any(isinstance(token, Finish) for token in found)


def test_deepseek_r1_begins_inside_its_thoughts() -> None:
    tokens = read(
        {"choices": [{"text": "Hm.", "stop_reason": None}]},
        {"choices": [{"text": "\n</thi", "stop_reason": None}]},
        {"choices": [{"text": "nk>\n\nSo.", "stop_reason": None}]},
        {"choices": [{"text": "", "stop_reason": "stop"}], **METRICS},
    )
    assert fold(tokens).parts == (Reasoning("Hm.\n"), Text("\n\nSo."))
    whole = {"choices": [{"text": "Hm.\n</think>\n\nSo.", "stop_reason": "stop"}]}
    assert WIRE.response(json.dumps(whole).encode()).parts == fold(tokens).parts
    imported = BedrockInvokeWire(Dialect(family="deepseek_r1"))
    generated = {"generation": "Hm.</think>So.", "stop_reason": "stop"}
    assert imported.response(json.dumps(generated).encode()).reasoning == "Hm."


def test_command_r_s_calls() -> None:
    whole = {
        "text": "",
        "finish_reason": "COMPLETE",
        "tool_calls": [{"name": "f", "parameters": {"x": 1}}, {"name": "g"}],
        "meta": {"billed_units": {"input_tokens": 3, "output_tokens": 5}},
    }
    response = WIRE.response(json.dumps(whole).encode())
    assert response.tool_calls == (ToolCall("call_0", "f", '{"x":1}'), ToolCall("call_1", "g", "{}"))
    assert (response.finish_reason, response.usage) == ("tool_calls", Usage(3, 5))


@pytest.mark.parametrize(("word", "error"), [("ERROR", ServerError), ("ERROR_LIMIT", ContextLengthError)])
def test_command_r_s_failures(word: str, error: type[TercetError]) -> None:
    end = {"event_type": "stream-end", "finish_reason": word, "is_finished": True}
    assert type(outcome(chunk(end))[1]) is error


def test_halves_of_characters_are_joined() -> None:
    tokens = read(
        b'{"generation":"a\\ud83d","stop_reason":null}',
        b'{"generation":"\\ude00\\ud83d","stop_reason":"stop"}',
    )
    assert fold(tokens).text == "a\U0001f600\ufffd"


def test_the_frame_of_the_sheet(shared: Path) -> None:
    known = json.loads((shared / "providers" / "vectors-eventstream.json").read_text())
    data = bytes.fromhex(known["invoke_chunk"]["hex"])
    tokens, error = outcome(chunk({"type": "message_start", "message": {}}) + data)
    assert type(error) is ProtocolError  # the vector is a single delta: its block was never opened
    assert "content block 0" in error.message
    assert tokens == []


def test_exceptions_and_errors_inside_a_stream() -> None:
    headers = {
        ":exception-type": "modelTimeoutException",
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    failure = encode_message(headers, b'{"message":"slow"}')
    begun = chunk({"generation": "a", "stop_reason": None})
    tokens, error = outcome(begun + failure)
    assert (tokens, type(error)) == ([TextDelta("a")], ServerError)
    whole = chunk({"generation": "a", "stop_reason": "stop"})
    assert outcome(whole + failure)[1] is None
    said = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    assert type(outcome(chunk(said))[1]) is OverloadedError


@pytest.mark.parametrize(
    "data",
    [
        chunk(b"{"),
        chunk({"what": "is this"}),
        chunk([]),
        encode_message({":event-type": "chunk", ":message-type": "event"}, b'{"bytes":"?"}'),
    ],
)
def test_chunks_that_are_no_answers(data: bytes) -> None:
    assert isinstance(outcome(data)[1], ProtocolError)


@pytest.mark.parametrize(
    "whole", [b"", b"{}", b"[]", b'{"generation":"x"}', b'{"what":"is this"}', json.dumps(METRICS).encode()]
)
def test_bodies_that_are_no_answers(whole: bytes) -> None:
    with pytest.raises(ProtocolError):
        WIRE.response(whole)


def test_metrics_alone_are_no_answer() -> None:
    tokens, error = outcome(chunk(METRICS))
    assert (tokens, type(error)) == ([], StreamInterruptedError)


def test_failures_before_the_answer() -> None:
    body_ = b'{"message":"Output blocked by content filtering policy"}'
    assert type(WIRE.error(400, {"x-amzn-errortype": "ValidationException"}, body_)) is ContentFilterError
