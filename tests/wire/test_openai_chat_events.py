"""Each kind of event, one by one, and what ends an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tercet.codecs.processor import StreamProcessor
from tercet.codecs.vocabulary import (
    AuthenticationError,
    Citation,
    ContextLengthError,
    Finish,
    OpaqueDelta,
    OverloadedError,
    ProtocolError,
    ProviderError,
    RateLimitError,
    ReasoningDelta,
    ServerError,
    StreamInterruptedError,
    StreamToken,
    TercetError,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageReport,
    fold,
)
from tercet.codecs.wire.openai_chat import Dialect, OpenAIChatWire

DONE = b"[DONE]"


def chunk(delta: Any = None, finish: str | None = None, **fields: Any) -> bytes:
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return json.dumps({"id": "r1", "model": "m1", "choices": [choice], **fields}).encode()


STOP = chunk(finish="stop")
FINISH = Finish("stop", "stop", None, "r1", "m1")


def tokens_of(*events: bytes, name: str = "", **dialect: Any) -> list[StreamToken]:
    """The tokens of a complete answer."""
    interpreter = OpenAIChatWire(Dialect(**dialect)).interpreter()
    tokens: list[StreamToken] = []
    for event in events:
        interpreter.interpret(name, event, tokens)
    interpreter.finish(tokens)
    assert interpreter.is_complete
    return tokens


def said(*deltas: Any, **dialect: Any) -> list[StreamToken]:
    """The tokens of deltas, without the finish."""
    tokens = tokens_of(*(chunk(delta) for delta in deltas), STOP, DONE, **dialect)
    assert tokens[-1] == FINISH or isinstance(tokens[-1], Finish)
    return tokens[:-1]


def fault_of(*events: bytes, name: str = "", **dialect: Any) -> TercetError:
    with pytest.raises(TercetError) as caught:
        tokens_of(*events, name=name, **dialect)
    return caught.value


def test_content_is_text():
    assert said(
        {"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo"}, {"content": None}, None
    ) == [
        TextDelta("Hel"),
        TextDelta("lo"),
    ]


def test_views_are_read_like_bytes():
    assert tokens_of(memoryview(chunk({"content": "a"})), memoryview(STOP), memoryview(DONE)) == [
        TextDelta("a"),
        FINISH,
    ]


def test_halves_of_characters_are_joined_in_every_kind_of_text():
    call = {"index": 0, "function": {"arguments": "\ud83d"}}
    tokens = said(
        {"reasoning_content": "r\ud83d"},
        {"reasoning_content": "\ude00"},
        {"content": "a\ud83d"},
        {"content": ""},
        {"content": "\ude00b"},
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "t", "arguments": ""}}]},
        {"tool_calls": [call]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "\ude00"}}]},
        {"content": "\ud83d"},
    )
    assert tokens == [
        ReasoningDelta("r"),
        ReasoningDelta("\U0001f600"),
        TextDelta("a"),
        TextDelta("\U0001f600b"),
        ToolCallDelta(0, "c", "t"),
        ToolCallDelta(0, arguments="\U0001f600"),
        TextDelta("\ufffd"),
    ]


def test_broken_utf8_inside_a_text_is_replaced():
    assert tokens_of(chunk({"content": "aXb"}).replace(b"X", b"\xff"), STOP, DONE)[0] == TextDelta("a\ufffdb")


def test_reasoning_has_two_names_and_is_read_once():
    assert said(
        {"reasoning_content": "a"}, {"reasoning": "b"}, {"reasoning": "c", "reasoning_content": "c"}
    ) == [
        ReasoningDelta("a"),
        ReasoningDelta("b"),
        ReasoningDelta("c"),
    ]
    assert said(
        {"reasoning_content": "a", "reasoning": "b", "content": "x"}, reasoning_fields=("reasoning",)
    ) == [
        ReasoningDelta("b"),
        TextDelta("x"),
    ]


def test_think_tags_are_split_where_the_service_leaves_them_in():
    pieces = ["\n<th", "ink>so", " so</thi", "nk>", "\nyes <think>"]
    deltas = [{"content": piece} for piece in pieces]
    assert "".join(token.text for token in said(*deltas) if isinstance(token, TextDelta)) == "".join(pieces)
    assert said(*deltas, think_tags=True) == [
        ReasoningDelta("so"),
        ReasoningDelta(" so"),
        TextDelta("\nyes <think>"),
    ]
    assert said({"content": "<thi"}, think_tags=True) == [TextDelta("<thi")]


def test_refusal_is_text_and_a_filtered_finish():
    tokens = tokens_of(chunk({"refusal": "I can"}), chunk({"refusal": "not."}), STOP, DONE)
    assert tokens == [
        TextDelta("I can"),
        TextDelta("not."),
        Finish("content_filter", "stop", None, "r1", "m1"),
    ]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("sensitive", "content_filter"),
        ("model_length", "length"),
        ("model_context_window_exceeded", "length"),
        ("eos", "stop"),
        ("something new", "other"),
    ],
)
def test_finish_reasons(raw: str, reason: str):
    (token,) = tokens_of(chunk(finish=raw), DONE)
    assert isinstance(token, Finish)
    assert (token.reason, token.raw) == (reason, raw)


def test_stop_sequences_of_vllm_and_sglang():
    def stopped(**fields: Any) -> Finish:
        event = json.dumps(
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", **fields}]}
        ).encode()
        token = tokens_of(event, DONE)[-1]
        assert isinstance(token, Finish)
        return token

    assert stopped(stop_reason="END").stop_sequence == "END"
    assert stopped(matched_stop="END").stop_sequence == "END"
    assert stopped(matched_stop=151645).stop_sequence is None
    assert stopped(stop_reason="end_turn").stop_sequence is None


def test_tool_calls_by_index():
    tokens = said(
        {
            "tool_calls": [
                {"index": 1, "id": "a", "type": "function", "function": {"name": "one", "arguments": ""}}
            ]
        },
        {"tool_calls": [{"index": 1, "id": "", "function": {"name": "", "arguments": '{"x"'}}]},
        {
            "tool_calls": [
                {"index": 2, "id": "b", "function": {"name": "two", "arguments": "{}"}},
                {"index": 1, "function": {"arguments": ":1}"}},
            ]
        },
    )
    assert tokens == [
        ToolCallDelta(0, "a", "one"),
        ToolCallDelta(0, arguments='{"x"'),
        ToolCallDelta(1, "b", "two", "{}"),
        ToolCallDelta(0, arguments=":1}"),
    ]


def test_tool_calls_without_an_index_are_told_apart_by_id_and_name():
    whole = {
        "tool_calls": [
            {"id": "a", "function": {"name": "t", "arguments": "{}"}},
            {"id": "b", "function": {"name": "t", "arguments": "[]"}},
        ]
    }
    assert said(whole) == [ToolCallDelta(0, "a", "t", "{}"), ToolCallDelta(1, "b", "t", "[]")]
    pieces = [
        {"id": "a", "function": {"name": "t", "arguments": "{"}},
        {"function": {"arguments": "}"}},
        {"id": "a", "function": {"arguments": " "}},
    ]
    assert said(*({"tool_calls": [piece]} for piece in pieces)) == [
        ToolCallDelta(0, "a", "t", "{"),
        ToolCallDelta(0, arguments="}"),
        ToolCallDelta(0, arguments=" "),
    ]


def test_calls_that_all_have_index_0_are_told_apart():
    whole = [
        {"index": 0, "id": "a", "function": {"name": "t", "arguments": "1"}},
        {"index": 0, "id": "b", "function": {"name": "t", "arguments": "2"}},
    ]
    tokens = said(
        {"tool_calls": whole[:1]},
        {"tool_calls": whole[1:]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "3"}}]},
    )
    assert tokens == [
        ToolCallDelta(0, "a", "t", "1"),
        ToolCallDelta(1, "b", "t", "2"),
        ToolCallDelta(1, arguments="3"),
    ]


def test_calls_without_an_id_get_one_and_a_late_id_replaces_it():
    assert said({"tool_calls": [{"index": 0, "function": {"name": "t"}}]}) == [
        ToolCallDelta(0, "call_0", "t")
    ]
    tokens = said(
        {"tool_calls": [{"index": 0, "function": {"name": "t"}}]},
        {"tool_calls": [{"index": 0, "id": "late"}]},
    )
    assert fold(tokens).tool_calls == (ToolCall("late", "t"),)


def test_arguments_as_an_object_become_text():
    assert said({"tool_calls": [{"id": "a", "function": {"name": "t", "arguments": {"x": 1}}}]}) == [
        ToolCallDelta(0, "a", "t", '{"x":1}')
    ]


def test_gemini_signatures_on_calls_are_kept():
    call = '{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"t","arguments":"{}"},"extra_content":{"google":  {}}}]}}]}'
    assert tokens_of(call.encode(), STOP, DONE, origin="vertex")[0] == ToolCallDelta(
        0, "a", "t", "{}", '{"google":  {}}', "vertex"
    )


def test_the_old_function_call():
    assert said(
        {"function_call": {"name": "t", "arguments": ""}}, {"function_call": {"arguments": "{}"}}
    ) == [
        ToolCallDelta(0, "call_0", "t"),
        ToolCallDelta(0, arguments="{}"),
    ]


def test_a_stop_with_tool_calls_is_a_call():
    call = chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "t", "arguments": "{}"}}]})
    assert tokens_of(call, STOP, DONE)[-1] == Finish("tool_calls", "stop", None, "r1", "m1")


def test_a_blank_finish_reason_counts_with_tool_calls_only():
    call = chunk(
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "t", "arguments": "{}"}}]}, finish=""
    )
    assert tokens_of(call, DONE)[-1] == Finish("tool_calls", "")
    assert isinstance(fault_of(chunk({"content": "a"}, finish=""), DONE), StreamInterruptedError)
    assert tokens_of(chunk({"content": "a"}, finish=""), STOP, DONE) == [TextDelta("a"), FINISH]


def test_only_the_first_choice_is_the_answer():
    other = {"index": 1, "delta": {"content": "no"}, "finish_reason": "stop"}
    both = [other, {"index": 0, "delta": {"content": "yes"}}]
    assert tokens_of(
        json.dumps({"choices": [other]}).encode(), json.dumps({"choices": both}).encode(), STOP, DONE
    ) == [TextDelta("yes"), FINISH]


def test_usage_comes_before_the_finish_and_is_not_repeated():
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    report = UsageReport(Usage(9, 5, 4, 0, 3))
    last = json.dumps({"choices": [], "usage": usage}).encode()
    assert tokens_of(STOP, last, DONE) == [report, FINISH]
    assert tokens_of(chunk({"content": "a"}, usage=None), chunk(finish="stop", usage=usage), last, DONE) == [
        TextDelta("a"),
        report,
        FINISH,
    ]
    growing = [chunk({"content": "a"}, usage={"prompt_tokens": 9, "completion_tokens": n}) for n in (1, 2)]
    assert tokens_of(*growing, STOP, DONE) == [
        TextDelta("a"),
        UsageReport(Usage(9, 1)),
        TextDelta("a"),
        UsageReport(Usage(9, 2)),
        FINISH,
    ]


@pytest.mark.parametrize(
    ("usage", "dialect", "expected"),
    [
        ({"prompt_cache_hit_tokens": 7}, {}, Usage(9, 5, 7)),
        ({"cached_tokens": 7}, {}, Usage(9, 5, 7)),
        ({"cache_read_input_tokens": 7, "cache_creation_input_tokens": 2}, {}, Usage(9, 5, 7, 2)),
        (
            {"prompt_tokens_details": {"cached_tokens": 7, "cache_write_tokens": 2}, "cost": 0.5},
            {},
            Usage(9, 5, 7, 2, cost=0.5),
        ),
        ({"prompt_tokens_details": None, "reasoning_tokens": 1}, {}, Usage(9, 5, reasoning_tokens=1)),
        ({"cost": {"total_cost": 0.25}}, {}, Usage(9, 5, cost=0.25)),
        (
            {
                "total_tokens": 34,
                "completion_tokens_details": {"reasoning_tokens": 20},
                "cost_in_usd_ticks": 5_000_000_000,
            },
            {"output_excludes_reasoning": True, "cost_paths": ("cost_in_usd_ticks",), "cost_scale": 1e-10},
            Usage(9, 25, reasoning_tokens=20, cost=0.5),
        ),
        (
            {"total_tokens": 14, "completion_tokens_details": {"reasoning_tokens": 2}},
            {"output_excludes_reasoning": True},
            Usage(9, 5, reasoning_tokens=2),
        ),
        ({"prompt_tokens": "many", "completion_tokens": -1, "cost": True}, {}, Usage(0, 0)),
    ],
)
def test_usage_in_the_words_of_many(usage: dict[str, Any], dialect: dict[str, Any], expected: Usage):
    event = json.dumps(
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5, **usage}}
    ).encode()
    assert tokens_of(STOP, event, DONE, **dialect)[0] == UsageReport(expected)


def test_usage_in_the_choice_and_in_x_groq():
    in_choice = {
        "choices": [
            {
                "index": 0,
                "delta": {},
                "finish_reason": "stop",
                "usage": {"prompt_tokens": 1, "completion_tokens": 2},
            }
        ]
    }
    assert tokens_of(json.dumps(in_choice).encode(), DONE)[0] == UsageReport(Usage(1, 2))
    assert tokens_of(
        chunk(finish="stop", x_groq={"usage": {"prompt_tokens": 1, "completion_tokens": 2}}), DONE
    )[0] == UsageReport(Usage(1, 2))
    assert (
        said({"content": "a"})[0] == tokens_of(chunk({"content": "a"}, x_groq={"id": "req"}), STOP, DONE)[0]
    )


def test_citations_beside_the_answer_come_once_at_its_end():
    found = [{"title": "A", "url": "https://a", "snippet": "s"}]
    event = chunk({"content": "x"}, citations=["https://a", "https://b"], search_results=found)
    assert tokens_of(event, event, STOP, DONE) == [
        TextDelta("x"),
        TextDelta("x"),
        Citation("https://a", "A", "s"),
        Citation("https://b"),
        FINISH,
    ]


def test_each_list_of_sources_is_the_last_of_its_kind():
    first = chunk({"content": "x"}, citations=["https://a"])
    last = chunk(finish="stop", search_results=[{"url": "https://b"}], citations=None)
    assert tokens_of(first, last, DONE)[1:3] == [Citation("https://b"), Citation("https://a")]


def test_opaque_data_has_a_limit():
    event = b'{"choices":[{"delta":{"images":["' + b"x" * 9_000_000 + b'"]}}]}'
    fault = fault_of(*[event] * 8)
    assert isinstance(fault, ProtocolError)
    assert "bytes of images" in str(fault)


def test_annotations_are_citations():
    noted = {
        "type": "url_citation",
        "url_citation": {"url": "https://a", "title": "A", "content": "c", "start_index": 1, "end_index": 5},
    }
    flat = {"type": "url_citation", "url": "https://b", "title": 7}
    assert said({"annotations": [noted, flat, {"type": "file"}, "odd", None]}) == [
        Citation("https://a", "A", "c", 1, 5),
        Citation("https://b"),
    ]


def test_mistrals_content_chunks():
    content = [
        {
            "type": "thinking",
            "thinking": [{"type": "text", "text": "so"}],
            "closed": True,
            "signature": "sig",
        },
        {"type": "text", "text": "yes"},
        {"type": "reference", "reference_ids": [1, 2]},
        {"type": "image_url", "image_url": "x"},
        17,
    ]
    assert said({"content": content}, origin="mistral") == [
        ReasoningDelta("so", signature="sig", origin="mistral"),
        TextDelta("yes"),
        Citation(title="1"),
        Citation(title="2"),
    ]


def test_reasoning_details_are_merged_and_given_once_at_the_end():
    deltas = [
        {
            "reasoning": "a",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "a", "index": 0, "format": "anthropic-claude-v1"}
            ],
        },
        {
            "reasoning": "b",
            "reasoning_details": [{"type": "reasoning.text", "text": "b", "index": 0, "signature": None}],
        },
        {"reasoning_details": [{"type": "reasoning.text", "text": "", "signature": "s", "index": 0}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "e", "index": 1}]},
        {"content": "x", "reasoning_details": []},
    ]
    *words, opaque = said(*deltas, origin="openrouter")
    assert words == [ReasoningDelta("a"), ReasoningDelta("b"), TextDelta("x")]
    assert isinstance(opaque, OpaqueDelta)
    assert (opaque.origin, opaque.kind) == ("openrouter", "reasoning_details")
    assert json.loads(opaque.json) == [
        {
            "type": "reasoning.text",
            "text": "ab",
            "index": 0,
            "format": "anthropic-claude-v1",
            "signature": "s",
        },
        {"type": "reasoning.encrypted", "data": "e", "index": 1},
    ]


def test_the_text_of_details_is_read_where_there_is_no_other():
    details = [
        {"reasoning_details": [{"type": "reasoning.summary", "summary": piece, "index": 0}]}
        for piece in ("a", "b")
    ]
    assert said(*details)[:-1] == [ReasoningDelta("a"), ReasoningDelta("b")]
    assert said({"reasoning": "ab"}, *details)[:-1] == [ReasoningDelta("ab")]


def test_thinking_blocks_end_with_their_signature():
    blocks = [
        {"type": "thinking", "thinking": "a"},
        {"type": "thinking", "thinking": "b"},
        {"type": "thinking", "thinking": "", "signature": "1"},
    ]
    blocks += [{"type": "thinking", "thinking": "c"}, {"type": "redacted_thinking", "data": "d"}]
    (opaque,) = said(*({"thinking_blocks": [block]} for block in blocks))
    assert isinstance(opaque, OpaqueDelta)
    assert json.loads(opaque.json) == [
        {"type": "thinking", "thinking": "ab", "signature": "1"},
        {"type": "thinking", "thinking": "c"},
        {"type": "redacted_thinking", "data": "d"},
    ]


def test_details_that_came_whole_keep_their_exact_text():
    event = b'{"choices":[{"delta":{"content":"x","reasoning_details":[ {"type":"reasoning.encrypted","data":"\\u003d"} ]}}]}'
    assert tokens_of(event, STOP, DONE)[1] == OpaqueDelta(
        "openai_chat", "reasoning_details", '[ {"type":"reasoning.encrypted","data":"\\u003d"} ]'
    )


# Errors inside a stream -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "name", "expected", "message"),
    [
        (
            b'{"error":{"message":"Context length exceeded","code":"CONTEXT_LENGTH_EXCEEDED"}}',
            "",
            ContextLengthError,
            "Context length exceeded",
        ),
        (
            b'{"error":{"message":"Slow down","code":429},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}',
            "",
            RateLimitError,
            "Slow down",
        ),
        (b'{"error":"no worker is up"}', "", ServerError, "no worker is up"),
        (
            b'{"error":{"message":"bad","type":"invalid_request_error","code":"x"}}',
            "error",
            ProviderError,
            "bad",
        ),
        (
            b'{"message":"The model is overloaded","code":"overloaded"}',
            "error",
            OverloadedError,
            "The model is overloaded",
        ),
        (
            b'{"object":"error","message":"Unauthorized","type":"authentication_error","code":null}',
            "",
            AuthenticationError,
            "Unauthorized",
        ),
        (b'{"detail":"Rate limit"}', "", RateLimitError, "Rate limit"),
        (
            b'{"choices":[],"x_groq":{"id":"r","error":"over capacity: overloaded"}}',
            "",
            OverloadedError,
            "over capacity: overloaded",
        ),
        (chunk(finish="error"), "", ServerError, "the provider ended the answer with finish_reason 'error'"),
        (
            chunk(finish="insufficient_system_resource"),
            "",
            OverloadedError,
            "finish_reason 'insufficient_system_resource'",
        ),
        (chunk(finish="network_error"), "", ServerError, "finish_reason 'network_error'"),
    ],
)
def test_errors_inside_a_stream(event: bytes, name: str, expected: type[TercetError], message: str):
    fault = fault_of(event, name=name)
    assert isinstance(fault, expected)
    assert message in str(fault)
    assert fault.status is None


def test_tokens_before_an_error_stand():
    interpreter = OpenAIChatWire().interpreter()
    tokens: list[StreamToken] = []
    interpreter.interpret("", chunk({"content": "a"}), tokens)
    with pytest.raises(ServerError):
        interpreter.interpret("", b'{"error":{"message":"broke"}}', tokens)
    assert tokens == [TextDelta("a")]


@pytest.mark.parametrize(
    "event",
    [
        b'"text"',
        b"17",
        b"null",
        b"[]",
        b"{",
        b'{"choices":7}',
        b'{"choices":[{"delta":{"content":7}}]}',
        b'{"choices":[{"finish_reason":{}}]}',
        b"<html>",
        b"[DONE",
        b"[" * 5000,
    ],
)
def test_what_is_no_chunk_is_a_protocol_error(event: bytes):
    assert isinstance(fault_of(event), ProtocolError)


@pytest.mark.parametrize(
    "event",
    [
        b"{}",
        b'{"choices":[]}',
        b'{"choices":null}',
        b'{"choices":[{}]}',
        b'{"choices":[{"delta":null}]}',
        b'{"prompt_filter_results":[]}',
        b"",
        b"  ",
        b'{"error":null}',
        b'{"error":{}}',
    ],
)
def test_events_that_say_nothing_are_passed_over(event: bytes):
    assert tokens_of(event, STOP, event, DONE, event) == [FINISH]


# What completes an answer -----------------------------------------------------------------------------------------------


def test_done_without_a_finish_reason_is_not_complete():
    fault = fault_of(chunk({"content": "a"}), DONE)
    assert isinstance(fault, StreamInterruptedError)
    assert "no finish reason" in str(fault)


def test_a_finish_reason_without_done_completes_only_where_the_service_sends_none():
    assert isinstance(fault_of(chunk({"content": "a"}), STOP), StreamInterruptedError)
    assert tokens_of(chunk({"content": "a"}), STOP, done_marker="optional") == [TextDelta("a"), FINISH]
    assert isinstance(fault_of(chunk({"content": "a"}), done_marker="optional"), StreamInterruptedError)
    assert isinstance(fault_of(done_marker="optional"), StreamInterruptedError)


def test_nothing_after_done_counts():
    assert tokens_of(STOP, DONE, chunk({"content": "late"}), DONE, b"rubbish") == [FINISH]


def test_an_interrupted_stream_gives_what_was_held_back():
    interpreter = OpenAIChatWire(Dialect(think_tags=True)).interpreter()
    tokens: list[StreamToken] = []
    interpreter.interpret("", chunk({"content": "<think>a</thi"}, citations=["https://a"]), tokens)
    with pytest.raises(StreamInterruptedError):
        interpreter.finish(tokens)
    assert tokens == [ReasoningDelta("a"), ReasoningDelta("</thi"), Citation("https://a")]


def test_a_processor_cut_at_every_byte_is_complete_or_interrupted():
    data = b"".join(
        b"data: " + event + b"\n\n"
        for event in (chunk({"content": "h\u00e9"}), chunk({"reasoning": "r"}), STOP, DONE)
    )
    wire = OpenAIChatWire()
    for end in range(len(data) + 1):
        processor = StreamProcessor(wire.decoder(), wire.interpreter())
        tokens: list[StreamToken] = []
        try:
            tokens += processor.process_chunk(data[:end])
            tokens += processor.finish()
            tokens += [] if processor.is_complete else processor.finish()
        except StreamInterruptedError:
            assert not processor.is_complete
        else:
            assert processor.is_complete
        ended = data[:end].rstrip().endswith(DONE)
        assert processor.is_complete is ended
        assert sum(isinstance(token, Finish) for token in tokens) == ended


# Whole answers ----------------------------------------------------------------------------------------------------------


def test_a_whole_answer():
    details = '[{"type":"reasoning.text","text":"hm" }]'
    body = (
        '\n\n{"id":"r1","model":"m1","choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","content":"Let me see.",'
        f'"reasoning":"hm","reasoning_details":{details},"tool_calls":[{{"id":"a","type":"function","function":{{"name":"t","arguments":"{{}}"}}}}],'
        '"annotations":[{"type":"url_citation","url_citation":{"url":"https://a"}}]}}],"usage":{"prompt_tokens":3,"completion_tokens":4}}'
    )
    answer = OpenAIChatWire(Dialect(origin="openrouter")).response(body.encode())
    assert answer.reasoning == "hm"
    assert answer.text == "Let me see."
    assert answer.tool_calls == (ToolCall("a", "t", "{}"),)
    assert answer.citations == (Citation("https://a"),)
    assert answer.usage == Usage(3, 4)
    assert (answer.finish_reason, answer.id, answer.served_model) == ("tool_calls", "r1", "m1")
    assert f'"reasoning_details":{details}'.encode() in _sent_back(answer.message)


def _sent_back(message: Any) -> bytes:
    from tercet.codecs.vocabulary import ChatRequest

    return OpenAIChatWire(Dialect(origin="openrouter")).chat(ChatRequest("m", (message,)), stream=False).body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<html>",
        b'{"choices":[]}',
        b'{"choices":[{"message":{"content":"a"},"finish_reason":null}]}',
        b"[DONE]",
    ],
)
def test_a_whole_answer_without_a_finish_is_a_protocol_error(body: bytes):
    with pytest.raises(ProtocolError):
        OpenAIChatWire().response(body)


def test_an_error_in_a_whole_answer_is_raised():
    with pytest.raises(OverloadedError, match="busy"):
        OpenAIChatWire().response(b'{"error":{"message":"busy","code":503}}')
