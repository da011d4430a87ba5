"""Events of the Responses API to tokens: values in, values out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tercet.codecs.vocabulary import (
    AuthenticationError,
    BadRequestError,
    Citation,
    ContentFilterError,
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
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    fold,
)
from tercet.codecs.wire.openai_responses import Dialect, OpenAIResponsesWire, ResponsesInterpreter

OURS = "openai_responses"
Events = list[dict[str, Any]]


def told(event: Any) -> bytes:
    return json.dumps(event).encode()


def read(events: Events, dialect: Dialect = Dialect()) -> list[StreamToken]:  # noqa: B008  # frozen: one for all is safe
    """The tokens of events, up to their end; a stream that has no end raises."""
    interpreter = OpenAIResponsesWire(dialect).interpreter()
    tokens: list[StreamToken] = []
    for event in events:
        interpreter.interpret("", told(event), tokens)
    interpreter.finish(tokens)
    assert interpreter.is_complete
    return tokens


def added(item: dict[str, Any], at: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": at, "item": item}


def done(item: dict[str, Any], at: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": at, "item": item}


def delta(kind: str, text: str, at: int = 0, **more: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "output_index": at, "delta": text, **more}


def text(piece: str, at: int = 0, part: int = 0) -> dict[str, Any]:
    return delta("output_text", piece, at, content_index=part)


def end(kind: str = "completed", **response: Any) -> dict[str, Any]:
    return {
        "type": f"response.{kind}",
        "response": {"id": "resp_1", "model": "m", "status": kind, **response},
    }


def message(*content: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "role": "assistant",
        "content": list(content),
        **more,
    }


def output_text(said: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    return {"type": "output_text", "text": said, "annotations": list(annotations)}


STOP = Finish("stop", "completed", None, "resp_1", "m")
CALLED = Finish("tool_calls", "completed", None, "resp_1", "m")


# Text -------------------------------------------------------------------------------------------------------------------


def test_text():
    events = [added(message()), text("a"), text("b"), done(message(output_text("ab"))), end()]
    assert read(events) == [TextDelta("a"), TextDelta("b"), STOP]


def test_text_that_no_delta_brought_comes_when_its_item_is_done():
    assert read([added(message()), done(message(output_text("ab"))), end()]) == [TextDelta("ab"), STOP]
    assert read([done(message(output_text("ab"))), end()]) == [TextDelta("ab"), STOP]


def test_the_rest_of_a_text_comes_when_its_item_is_done():
    assert read([added(message()), text("a"), done(message(output_text("abc"))), end()]) == [
        TextDelta("a"),
        TextDelta("bc"),
        STOP,
    ]


def test_a_text_that_was_changed_afterwards_is_not_said_twice():
    assert read([text("a [1]"), done(message(output_text("a with a long footnote"))), end()]) == [
        TextDelta("a [1]"),
        STOP,
    ]


def test_an_answer_without_events_of_items_is_taken_from_the_last_one():
    assert read([end(output=[message(output_text("ab"))])]) == [TextDelta("ab"), STOP]


def test_an_item_that_was_never_done_is_finished_by_the_last_event():
    events = [added(message()), text("a"), end(output=[message(output_text("ab"))])]
    assert read(events) == [TextDelta("a"), TextDelta("b"), STOP]
    assert read([added(message()), text("a"), end(output=[])]) == [TextDelta("a"), STOP]


def test_parts_are_numbered_as_they_appear():
    events = [
        added(message()),
        text("a"),
        text("b", part=1),
        done(message(output_text("a"), output_text("b"))),
        text("c", at=4),
        done(message(output_text("c")) | {"id": "msg_2"}, at=4),
        end(),
    ]
    assert read(events) == [TextDelta("a", 0), TextDelta("b", 1), TextDelta("c", 2), STOP]


def test_an_index_that_is_null_is_the_first():
    events = [
        text("a") | {"output_index": None, "content_index": None},
        done(message(output_text("a"))),
        end(),
    ]
    assert read(events) == [TextDelta("a"), STOP]


def test_members_of_a_message_come_with_the_first_token_of_each_part():
    item = message(phase="commentary", role="assistant")
    events = [added(item), text("a"), text("b"), text("c", part=1), end()]
    signature = '{"phase":"commentary"}'
    assert read(events) == [
        TextDelta("a", 0, signature, OURS),
        TextDelta("b", 0),
        TextDelta("c", 1, signature, OURS),
        STOP,
    ]


def test_members_that_are_known_only_at_the_end():
    events = [
        added(message(phase=None)),
        text("a"),
        done(message(output_text("a"), phase="final_answer")),
        end(),
    ]
    assert read(events) == [TextDelta("a"), TextDelta("", 0, '{"phase":"final_answer"}', OURS), STOP]


def test_a_refusal_is_text_that_ends_as_filtered():
    refused = {"type": "refusal", "refusal": "I will not."}
    finish = Finish("content_filter", "completed", None, "resp_1", "m")
    streamed = [delta("refusal", "I will", content_index=0), delta("refusal", " not.", content_index=0)]
    assert read([*streamed, done(message(refused)), end()]) == [
        TextDelta("I will"),
        TextDelta(" not."),
        finish,
    ]
    assert read([done(message(refused)), end()]) == [TextDelta("I will not."), finish]


def test_citations_are_given_once():
    url = {"type": "url_citation", "url": "https://x.test", "title": "X", "start_index": 0, "end_index": 2}
    file = {"type": "file_citation", "file_id": "f", "filename": "a.pdf", "index": 7}
    place = {"type": "response.output_text.annotation.added", "output_index": 0, "content_index": 0}
    tokens = [Citation("https://x.test", "X", None, 0, 2), Citation(None, "a.pdf", None, 7)]
    events = [text("ab"), {**place, "annotation": url}, done(message(output_text("ab", url, file))), end()]
    assert read(events) == [TextDelta("ab"), *tokens, STOP]


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ({"type": "container_file_citation", "file_id": "f", "start_index": 1, "end_index": 2}, Citation(None, "f", None, 1, 2)),
        ({"type": "file_path", "file_id": "f", "index": 1}, Citation(None, "f", None, 1)),
        ({"type": "url_citation", "url": "u", "start_index": "x", "end_index": True}, Citation("u")),
        ({"type": "of_tomorrow"}, None),
        ({"url": ""}, None),
        (None, None),
        ("text", None),
    ],
)  # fmt: skip
def test_kinds_of_citations(annotation: Any, expected: Citation | None):
    place = {"type": "response.output_text.annotation.added", "output_index": 0, "content_index": 0}
    found = [
        token for token in read([{**place, "annotation": annotation}, end()]) if isinstance(token, Citation)
    ]
    assert found == ([] if expected is None else [expected])


# Reasoning --------------------------------------------------------------------------------------------------------------


def closing(item: dict[str, Any], number: int = 0) -> ReasoningDelta:
    return ReasoningDelta("", number, json.dumps(item), item.get("encrypted_content"), item.get("id"), OURS)


def test_a_summary_and_what_goes_back():
    parts = [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}]
    item = {"id": "rs_1", "type": "reasoning", "summary": parts, "encrypted_content": "gAAA"}
    events = [
        added({"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "g"}),
        delta("reasoning_summary_text", "on", summary_index=0),
        delta("reasoning_summary_text", "e", summary_index=0),
        delta("reasoning_summary_text", "two", summary_index=1),
        done(item),
        text("a", 1),
        end(),
    ]
    tokens = read(events)
    assert tokens == [
        ReasoningDelta("on"),
        ReasoningDelta("e"),
        ReasoningDelta("\n\ntwo"),
        closing(item),
        TextDelta("a", 1),
        STOP,
    ]
    whole = read([done(item), text("a", 1), end()])
    assert fold(whole) == fold(tokens)
    [reasoning, _] = fold(tokens).parts
    assert reasoning.signature == json.dumps(item)  # type: ignore[union-attr]  # it is a reasoning


def test_plain_reasoning_and_a_summary_of_it():
    item = {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "s"}, {"type": "summary_text", "text": ""}],
        "content": [{"type": "reasoning_text", "text": "c"}],
    }
    events = [
        delta("reasoning_summary_text", "s", summary_index=0),
        delta("reasoning_summary_text", "", summary_index=1),
        delta("reasoning_text", "c", content_index=0),
        done(item),
        end(),
    ]
    assert read(events) == [ReasoningDelta("s"), ReasoningDelta("\n\nc"), closing(item), STOP]
    assert read([done(item), end()]) == [ReasoningDelta("s\n\nc"), closing(item), STOP]


def test_reasoning_that_is_withheld_altogether():
    item = {"id": "rs_1", "type": "reasoning", "summary": []}
    assert read([added(item), done(item), end()]) == [closing(item), STOP]


# Calls ------------------------------------------------------------------------------------------------------------------


def call(arguments: str = "", number: int = 1, **more: Any) -> dict[str, Any]:
    item = {
        "type": "function_call",
        "id": f"fc_{number}",
        "call_id": f"call_{number}",
        "name": "f",
        "status": "x",
    }
    return {**item, "arguments": arguments, **more}


def test_calls_are_told_apart_by_their_place():
    events = [
        added(call(number=1), 0),
        added(call(number=2), 1),
        delta("function_call_arguments", '{"a"', 0),
        delta("function_call_arguments", "{", 1, item_id="fc_1"),  # ids may lie
        delta("function_call_arguments", ":1}", 0),
        delta("function_call_arguments", "}", 1),
        done(call('{"a":1}', 1), 0),
        done(call("{}", 2), 1),
        end(),
    ]
    assert read(events) == [
        ToolCallDelta(0, "call_1", "f"),
        ToolCallDelta(1, "call_2", "f"),
        ToolCallDelta(0, arguments='{"a"'),
        ToolCallDelta(1, arguments="{"),
        ToolCallDelta(0, arguments=":1}"),
        ToolCallDelta(1, arguments="}"),
        CALLED,
    ]


def test_arguments_that_no_delta_brought():
    expected = [ToolCallDelta(0, "call_1", "f"), ToolCallDelta(0, arguments='{"a":1}'), CALLED]
    assert read([added(call()), done(call('{"a":1}')), end()]) == expected
    assert read([done(call('{"a":1}')), end()]) == expected
    assert read([added(call('{"a":1}')), done(call('{"a":1}')), end()]) == expected
    assert read([added(call()), end(output=[call('{"a":1}')])]) == expected
    assert read([end(output=[call('{"a":1}')])]) == expected


def test_arguments_as_an_object():
    tokens = read([done({**call(), "arguments": {"a": 1}}), end()])
    assert tokens[1] == ToolCallDelta(0, arguments='{"a":1}')


def test_deltas_of_a_call_that_nobody_announced_wait_for_its_end():
    events = [delta("function_call_arguments", "{}", 3), done(call("{}"), 3), end()]
    assert read(events) == [ToolCallDelta(0, "call_1", "f"), ToolCallDelta(0, arguments="{}"), CALLED]


def test_a_call_without_an_id_gets_one():
    item = {"type": "function_call", "name": "f", "arguments": ""}
    assert read([done({**item, "id": "fc_1"}), end()])[0] == ToolCallDelta(0, "fc_1", "f")
    assert read([done(item), end()])[0] == ToolCallDelta(0, "call_0", "f")


def test_what_a_call_has_beside_its_arguments():
    caller = {"caller": {"type": "program", "caller_id": "call_0"}}
    signature = '{"caller":{"type": "program", "caller_id": "call_0"}}'
    events = [
        added(call(**caller)),
        delta("function_call_arguments", "{}"),
        done(call("{}", **caller)),
        end(),
    ]
    assert read(events)[0] == ToolCallDelta(0, "call_1", "f", "", signature, OURS)
    late = read([added(call()), done(call("{}", **caller)), end()])
    assert late[2] == ToolCallDelta(0, signature=signature, origin=OURS)


CUSTOM = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": "sql", "input": ""}


def test_a_custom_tool_is_called_with_free_text():
    said = {**CUSTOM, "input": "SELECT 1", "status": "completed"}
    tokens = [
        ToolCallDelta(0, "call_1", "sql", "", '{"type":"custom_tool_call"}', OURS),
        ToolCallDelta(0, arguments="SELECT "),
        ToolCallDelta(0, arguments="1"),
        CALLED,
    ]
    pieces = [delta("custom_tool_call_input", "SELECT "), delta("custom_tool_call_input", "1")]
    events = [added({**CUSTOM, "type": "custom_tool_call"}), *pieces, done(said), end()]
    assert fold(read(events)) == fold(tokens)
    assert [token.arguments for token in read(events)[1:-1]] == ["SELECT ", "1"]  # type: ignore[union-attr]  # calls


def test_a_custom_tool_of_the_services_own_is_opaque():
    said = {**CUSTOM, "input": "x"}
    events = [added(CUSTOM), delta("custom_tool_call_input", "x"), done(said), end()]
    opaque = OpaqueDelta(OURS, "custom_tool_call", json.dumps(said))
    assert read(events, Dialect(server_custom_tools=True)) == [opaque, STOP]


# What is the provider's own ------------------------------------------------------------------------------------------------


def test_other_items_are_kept_as_they_were_written():
    raw = b'{"type":"of_tomorrow" , "id":"x_1","n":1.0,"s":"\\u00e9"}'
    interpreter = OpenAIResponsesWire(Dialect(origin="azure_responses")).interpreter()
    tokens: list[StreamToken] = []
    interpreter.interpret(
        "", b'{"type":"response.output_item.added","output_index":0,"item":{"type":"of_tomorrow"}}', tokens
    )
    interpreter.interpret(
        "", b'{"type":"response.of_tomorrow.delta","output_index":0,"delta":{"a":1}}', tokens
    )
    interpreter.interpret(
        "", b'{"type":"response.output_item.done","output_index":0,"item":' + raw + b"}", tokens
    )
    assert tokens == [OpaqueDelta("azure_responses", "of_tomorrow", raw.decode())]


def test_items_that_are_done_twice_count_once():
    item = {"type": "web_search_call", "id": "ws_1"}
    assert len(read([done(item), done(item), done(item, 1), end(output=[item])])) == 2


def test_a_server_that_gives_every_item_the_same_place():
    events = [
        added({"type": "reasoning", "id": "rs_1"}),
        delta("reasoning_text", "hm", content_index=0),
        added(message()),
        text("a"),
        done(message(output_text("a"))),
        end(),
    ]
    assert read(events) == [ReasoningDelta("hm"), TextDelta("a", 1), STOP]


# The end ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("max_output_tokens", "length"),
        ("content_filter", "content_filter"),
        ("steered", "other"),
        ("max_messages", "other"),
        (None, "other"),
    ],
)
@pytest.mark.parametrize("kind", ["incomplete", "completed"])
def test_an_answer_that_ends_before_its_time(reason: str | None, expected: str, kind: str):
    last = end(kind, status="incomplete", incomplete_details=None if reason is None else {"reason": reason})
    last["response"]["status"] = "incomplete"
    *_, finish = read([added(call()), delta("function_call_arguments", '{"a'), last])
    assert finish == Finish(expected, reason or "incomplete", None, "resp_1", "m")  # type: ignore[arg-type]  # a word of the list


def test_usage_comes_right_before_the_finish():
    usage = {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 17,
        "cost_in_usd_ticks": 5,
    }
    paid = Dialect(cost_paths=("cost_in_usd_ticks",), cost_scale=0.5)
    assert read([end(usage=usage)], paid) == [UsageReport(Usage(10, 7, 4, 2, 5, 2.5)), STOP]
    assert read([end(usage={"input_tokens": "x", "output_tokens": None})]) == [UsageReport(Usage()), STOP]
    assert read([end(usage=None)]) == [STOP]


def test_what_comes_after_the_end_is_ignored():
    interpreter = OpenAIResponsesWire().interpreter()
    tokens: list[StreamToken] = []
    interpreter.interpret("", told(end()), tokens)
    for late in (b"[DONE]", told(text("a")), b"nonsense", told({"type": "error"})):
        interpreter.interpret("", late, tokens)
    interpreter.finish(tokens)
    assert tokens == [STOP]


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b"  ",
        b"[DONE]",
        b" [DONE] ",
        b'{"type":"response.queued","response":{}}',
        b'{"type":"response.in_progress","response":{"id":"another"}}',
        b'{"type":"response.content_part.added","part":{"type":"output_text","text":"a"}}',
        b'{"type":"response.output_text.done","text":"a"}',
        b'{"type":"keepalive","sequence_number":3}',
        b'{"type":"response.audio.delta","delta":{}}',
        b'{"a":1}',
        b"{}",
    ],
)
def test_what_proves_nothing_and_says_nothing(event: bytes):
    interpreter = OpenAIResponsesWire().interpreter()
    tokens: list[StreamToken] = []
    interpreter.interpret("", event, tokens)
    with pytest.raises(StreamInterruptedError):
        interpreter.finish(tokens)
    assert tokens == []


def test_halves_of_characters_are_joined_or_replaced():
    pieces = [text("a\ud83d"), text("\ude00b"), text("c\ud83d")]
    assert read([added(message()), *pieces, done(message()), end()]) == [
        TextDelta("a"),
        TextDelta("😀b"),
        TextDelta("c"),
        TextDelta("\ufffd"),
        STOP,
    ]
    assert read([added(message()), *pieces[:1], done(message(output_text("a😀b"))), end()]) == [
        TextDelta("a"),
        TextDelta("😀b"),
        STOP,
    ]
    thoughts = [delta("reasoning_text", piece, content_index=0) for piece in ("\ud83d", "\ude00", "\ud83d")]
    assert read([*thoughts, end()])[:2] == [ReasoningDelta("😀"), ReasoningDelta("\ufffd")]
    argued = [delta("function_call_arguments", piece) for piece in ('"\ud83d', '\ude00"', "\ud83d")]
    said = "".join(token.arguments for token in read([added(call()), *argued, end()])[:-1])  # type: ignore[union-attr]  # calls
    assert said == '"😀"\ufffd'


def test_a_stream_that_breaks_off_gives_what_it_held():
    interpreter = OpenAIResponsesWire().interpreter()
    tokens: list[StreamToken] = []
    interpreter.interpret("", told(text("a\ud83d")), tokens)
    with pytest.raises(StreamInterruptedError):
        interpreter.finish(tokens)
    assert tokens == [TextDelta("a"), TextDelta("\ufffd")]


# Failures ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("server_error", ServerError),
        ("vector_store_timeout", ServerError),
        ("rate_limit_exceeded", RateLimitError),
        ("context_length_exceeded", ContextLengthError),
        ("invalid_prompt", BadRequestError),
        ("image_too_large", BadRequestError),
        ("image_content_policy_violation", ContentFilterError),
        ("bio_policy", ContentFilterError),
        ("misalignment_policy_violation", ContentFilterError),
        ("of_tomorrow", ServerError),
    ],
)
def test_a_failed_response_is_its_error(code: str, kind: type[ProviderError]):
    error = {"code": code, "message": "it went wrong"}
    frames = [
        end("failed", error=error),
        end("completed", error=error),
        {"type": "error", "error": error},
        {"type": "error", **error, "param": None, "sequence_number": 3},
        {"type": "response.error", "error": error},
        {"error": error},
    ]
    for frame in frames:
        with pytest.raises(ProviderError) as caught:
            read([text("a"), frame])
        assert (type(caught.value), caught.value.code, str(caught.value)) == (kind, code, "it went wrong")
        assert caught.value.status is None


def test_tokens_and_usage_before_a_failure_stand():
    interpreter = OpenAIResponsesWire().interpreter()
    tokens: list[StreamToken] = []
    interpreter.interpret("", told(text("a")), tokens)
    with pytest.raises(ServerError, match="'failed'"):
        interpreter.interpret("", told(end("failed", error=None, usage={"input_tokens": 3})), tokens)
    assert tokens == [TextDelta("a"), UsageReport(Usage(3))]
    assert not interpreter.is_complete


def test_an_event_that_is_named_error_is_one():
    interpreter = OpenAIResponsesWire().interpreter()
    with pytest.raises(AuthenticationError):
        interpreter.interpret(
            "error", b'{"message":"Incorrect API key provided","code":"invalid_api_key"}', []
        )


def test_other_shapes_of_errors():
    for frame, kind in (
        ({"detail": "overloaded"}, OverloadedError),
        ({"message": "no", "code": "server_error"}, ServerError),
        ({"error": "it broke"}, ServerError),
    ):
        with pytest.raises(kind):
            read([frame])


def test_an_answer_that_was_cancelled():
    with pytest.raises(ServerError, match="cancelled") as caught:
        OpenAIResponsesWire().response(b'{"status":"cancelled","output":[]}')
    assert caught.value.code == "cancelled"


# What is no answer --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "events",
    [
        [1],
        ["text"],
        [[]],
        [None],
        [{"type": "response.output_text.delta", "delta": 1}],
        [{"type": "response.output_text.delta"}],
        [{"type": "response.output_text.delta", "delta": "a", "output_index": "x"}],
        [{"type": "response.output_item.done", "item": None}],
        [{"type": "response.output_item.done", "item": {}}],
        [{"type": "response.output_item.done", "item": {"type": 3}}],
        [{"type": "response.output_item.done", "item": {"type": "message", "content": [1]}}],
        [{"type": "response.completed", "response": 1}],
        [{"type": "response.completed", "response": {"output": {}}}],
        [added(call()), text("a")],
        [added(message()), delta("reasoning_text", "a", content_index=0)],
        [added(message()), delta("function_call_arguments", "a")],
        [added({"type": "web_search_call"}), text("a")],
    ],
)
def test_what_the_api_would_not_say(events: list[Any]):
    with pytest.raises(ProtocolError):
        read(events)


def test_a_second_answer_inside_the_first():
    first = {"type": "response.created", "response": {"id": "resp_1"}}
    assert read([first, first, end()]) == [STOP]
    with pytest.raises(ProtocolError, match="second answer"):
        read([first, text("a"), {"type": "response.created", "response": {"id": "resp_2"}}])


def test_what_is_remembered_has_a_limit():
    interpreter = ResponsesInterpreter(Dialect(), OURS, limit=1000)
    with pytest.raises(ProtocolError, match="1000"):
        for at in range(1000):
            interpreter.interpret("", told(added({"type": "x"}, at)), [])
    interpreter = ResponsesInterpreter(Dialect(), OURS, limit=1000)
    interpreter.interpret("", told(added(call())), [])
    with pytest.raises(ProtocolError, match="1000"):
        for _ in range(1000):
            interpreter.interpret("", told(delta("function_call_arguments", "12345678")), [])
    interpreter = ResponsesInterpreter(Dialect(), OURS, limit=1000)
    for _ in range(2000):  # a long text is not what is meant
        interpreter.interpret("", told(text("12345678")), [])


# Whole answers ------------------------------------------------------------------------------------------------------------


def test_a_whole_answer():
    body = {
        "id": "resp_1",
        "object": "response",
        "model": "m",
        "status": "completed",
        "error": None,
        "output": [message(output_text("ab")), call("{}")],
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }
    answer = OpenAIResponsesWire().response(told(body))
    assert (answer.text, answer.finish_reason, answer.id, answer.served_model) == (
        "ab",
        "tool_calls",
        "resp_1",
        "m",
    )
    assert [(made.id, made.name, made.arguments) for made in answer.tool_calls] == [("call_1", "f", "{}")]
    assert answer.usage == Usage(1, 2)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"<html>",
        b'{"output":[]}',
        b'{"status":"queued","output":[]}',
        b'{"status":"in_progress"}',
    ],
)
def test_what_is_no_whole_answer(body: bytes):
    with pytest.raises(ProtocolError):
        OpenAIResponsesWire().response(body)


def test_a_whole_answer_that_is_an_error():
    with pytest.raises(RateLimitError):
        OpenAIResponsesWire().response(b'{"error":{"code":"rate_limit_exceeded","message":"slow"}}')
    with pytest.raises(ServerError):
        OpenAIResponsesWire().response(
            b'{"status":"failed","error":{"code":"server_error","message":"x"},"output":[]}'
        )
