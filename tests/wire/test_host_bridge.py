"""The bridge to an editor: both sides of the protocol, without a connection."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tercet.codecs.processor import StreamProcessor
from tercet.codecs.serving.base import ServedError
from tercet.codecs.serving.host_bridge import HostBridgeServing
from tercet.codecs.serving.host_bridge_session import (
    CancelAsked,
    ChatAsked,
    CountAsked,
    HostSession,
    ModelsAsked,
)
from tercet.codecs.vocabulary import (
    AuthenticationError,
    BadRequestError,
    ChatRequest,
    Citation,
    ConfigurationError,
    ContextLengthError,
    File,
    Finish,
    Image,
    Message,
    Model,
    NotFoundError,
    Opaque,
    OverloadedError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    Reasoning,
    ReasoningDelta,
    ReasoningOptions,
    ResponseFormat,
    ServerError,
    StreamInterruptedError,
    StreamToken,
    TercetError,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    ToolResult,
    UnsupportedError,
    Usage,
    UsageReport,
    assistant,
    fold,
    system,
    tool_result,
    user,
)
from tercet.codecs.wire.host_bridge import (
    ASK,
    HELLO_LIMIT,
    LINE_LIMIT,
    Dialect,
    HostBridgeWire,
    hello_line,
    is_refusal,
    read_hello,
)
from tercet.codecs.wire.host_bridge_body import REJECTS
from tercet.codecs.wire.host_bridge_events import CODES

WIRE = HostBridgeWire()
SERVING = HostBridgeServing()
TOKEN = "a-token-of-the-editor"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def sent(request: ChatRequest, **dialect: Any) -> dict[str, Any]:
    asked = HostBridgeWire(Dialect(**dialect)).chat(request, stream=True)
    assert asked.method == ASK
    assert b"\n" not in asked.body
    return json.loads(asked.body)


def lines(*shapes: Any) -> bytes:
    return b"".join(json.dumps(shape, ensure_ascii=False).encode() + b"\n" for shape in shapes)


def heard(data: bytes, size: int | None = None) -> list[StreamToken]:
    processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
    step = size or len(data) or 1
    tokens = [
        token for at in range(0, len(data), step) for token in processor.process_chunk(data[at : at + step])
    ]
    return tokens + processor.finish()


# Requests ---------------------------------------------------------------------------------------------------------------


def test_the_least_that_can_be_asked() -> None:
    assert sent(ChatRequest("gpt-4o", "Hello"), justification="why") == {
        "type": "chat",
        "id": 1,
        "close": True,
        "model": "gpt-4o",
        "justification": "why",
        "usage": True,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    }
    assert sent(ChatRequest("m", "Hello"), counts=False)["usage"] is False
    assert sent(ChatRequest("m", "Hello", extra={"x": 1}))["x"] == 1


def test_a_conversation() -> None:
    turns = [
        system("Be brief."),
        Message("user", "Weather?", name="Ann"),
        assistant(
            [
                Reasoning("hm"),
                Text("See."),
                ToolCall("t1", "weather", '{\n"city": "Graz"}'),
                Opaque("x", "y", "{}"),
            ]
        ),
        user([Text("And?"), ToolResult("t1", [Text("sunny"), Text("warm")])]),
        tool_result("t2", "late"),
        user([Text("")]),
    ]
    assert sent(ChatRequest("m", turns))["messages"] == [
        {"role": "assistant", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}], "name": "Ann"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "See."},
                {"type": "tool_call", "call_id": "t1", "name": "weather", "input": {"city": "Graz"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "call_id": "t1",
                    "content": [{"type": "text", "text": "sunny"}, {"type": "text", "text": "warm"}],
                },
                {"type": "text", "text": "And?"},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "call_id": "t2", "content": [{"type": "text", "text": "late"}]}
            ],
        },
    ]
    assert sent(ChatRequest("m", turns), system_role="user")["messages"][0]["role"] == "user"


def test_tools_and_options() -> None:
    tools = (Tool("f", "does", SCHEMA), Tool("g"))

    def told(choice: ToolChoice | None) -> tuple[list[str], str | None]:
        line = sent(ChatRequest("m", "Hello", tools=tools, tool_choice=choice))
        return [tool["name"] for tool in line.get("tools", ())], line.get("tool_mode")

    assert told(None) == told(ToolChoice("auto")) == (["f", "g"], "auto")
    assert told(ToolChoice("none")) == ([], None)
    assert told(ToolChoice("required")) == (["f", "g"], "required")
    assert told(ToolChoice("tool", "g")) == (["g"], "required")
    line = sent(ChatRequest("m", "Hello", tools=tools, max_tokens=5, temperature=0.5, top_p=0.5, stop=["x"]))
    assert line["tools"][0] == {"name": "f", "description": "does", "input_schema": SCHEMA}
    assert line["options"] == {"max_tokens": 5, "temperature": 0.5, "top_p": 0.5, "stop": ["x"]}


@pytest.mark.parametrize("field", REJECTS)
def test_what_the_api_has_no_place_for_is_refused_by_name(field: str) -> None:
    value: dict[str, Any] = {
        "response_format": ResponseFormat("json_object"),
        "reasoning": ReasoningOptions(effort="low"),
        "parallel_tool_calls": True,
        "verbosity": "low",
        "service_tier": "flex",
        "user": "u",
    }
    assert field in WIRE.rejects
    with pytest.raises(UnsupportedError, match=field):
        sent(ChatRequest("m", "Hello", **{field: value.get(field, 1)}))


@pytest.mark.parametrize(
    "part",
    [
        Image(url="https://a.test/a.png"),
        File(file_id="x"),
        ToolResult("t", [Image(url="https://a.test/a.png")]),
    ],
)
def test_images_and_files_are_refused(part: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"Image|File"):
        sent(ChatRequest("m", [user([part])]))


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(BadRequestError, match="not a JSON object"):
        sent(ChatRequest("m", [assistant([ToolCall("a", "f", "[1]")])]))
    with pytest.raises(BadRequestError, match="cannot stand"):
        sent(ChatRequest("m", [user([ToolCall("a", "f")])]))
    with pytest.raises(BadRequestError, match="cannot stand"):
        sent(ChatRequest("m", [assistant([ToolResult("a")])]))
    with pytest.raises(UnsupportedError, match="got none"):
        sent(ChatRequest("m", [user("")]))
    with pytest.raises(BadRequestError, match=r"a line of the bridge takes 16,777,216") as caught:
        sent(ChatRequest("m", "x" * LINE_LIMIT))
    assert caught.value.code == "too_large"


@pytest.mark.parametrize(
    "request_",
    [
        ChatRequest("m", "Hello"),
        ChatRequest(
            "m",
            [
                Message("user", [Text("a")], "Ann"),
                assistant([Text("b"), ToolCall("t", "f", '{"a":1}')]),
                user([ToolResult("t", "c"), Text("d")]),
            ],
            tools=(Tool("f", "does", SCHEMA),),
            tool_choice=ToolChoice("required"),
            max_tokens=5,
            temperature=0.5,
            top_p=0.25,
            stop=("x",),
        ),
    ],
)
def test_a_request_is_read_back(request_: ChatRequest) -> None:
    asked = WIRE.chat(request_, stream=True)
    back, is_streamed = SERVING.request(asked.method, asked.path, asked.body)
    assert is_streamed
    assert [turn.parts for turn in back.turns] == [turn.parts for turn in request_.turns]
    for field in ("model", "tools", "tool_choice", "max_tokens", "temperature", "top_p", "stop"):
        assert getattr(back, field) == getattr(request_, field)


# Answers ----------------------------------------------------------------------------------------------------------------

TOKENS: list[StreamToken] = [
    ReasoningDelta("hm"),
    TextDelta("Hello, "),
    TextDelta("wörld 🎉\u2028"),
    ToolCallDelta(0, "t1", "f", '{ "a" : 1 }'),
    ToolCallDelta(1, "t2", "g", "{}"),
    UsageReport(Usage(26, 7)),
    Finish("tool_calls", "tool_calls", model="gpt-4o-2024"),
]


def test_an_answer_however_it_is_cut() -> None:
    pieces = list(SERVING.stream(TOKENS, model="m"))
    assert len(pieces) == len(TOKENS) - 1
    data = b"".join(pieces)
    for size in (None, 1, 2, 3, 7, 64):
        assert heard(data, size) == TOKENS
    assert WIRE.response(data) == fold(TOKENS)
    assert WIRE.response(SERVING.response(fold(TOKENS), model="m")).text == fold(TOKENS).text


def test_an_answer_that_ends_at_any_byte_is_whole_or_interrupted() -> None:
    data = b"".join(SERVING.stream(TOKENS, model="m"))
    for at in range(len(data)):
        processor = StreamProcessor(WIRE.decoder(), WIRE.interpreter())
        tokens = processor.process_chunk(data[:at])
        try:
            tokens += processor.finish()
            tokens += [] if processor.is_complete else processor.finish()
        except StreamInterruptedError:
            assert tokens == TOKENS[: len(tokens)]
        else:
            assert data[at:] == b"\n"
            assert tokens == TOKENS


def test_what_an_editor_may_leave_out() -> None:
    assert heard(lines({"type": "end", "id": 1})) == [Finish("stop")]
    call = {"type": "tool_call", "id": 1, "name": "f"}
    assert heard(lines(call, {"type": "end", "id": 1})) == [
        ToolCallDelta(0, "call_0", "f"),
        Finish("tool_calls"),
    ]
    assert heard(lines({"type": "end", "id": 1, "reason": "length", "usage": {}})) == [
        UsageReport(Usage()),
        Finish("length", "length"),
    ]


def test_other_requests_and_later_types_pass_by() -> None:
    data = lines(
        {"type": "text", "id": 2, "text": "not ours"},
        {"type": "end", "id": 2},
        {"type": "hologram", "id": 1, "x": {}},
        {"type": "text", "id": 1, "text": "ours", "more": []},
        {"type": "end", "id": 1},
        {"type": "text", "id": 1, "text": "too late"},
    )
    assert fold(heard(data)).text == "ours"


def test_halves_of_characters_are_joined() -> None:
    data = b'{"type":"text","id":1,"text":"a\\ud83d"}\n{"type":"text","id":1,"text":"\\ude00"}\n{"type":"end","id":1}\n'
    assert fold(heard(data)).text == "a😀"


def test_no_end_is_no_answer() -> None:
    for data in (b"", lines({"type": "text", "id": 1, "text": "a"})):
        with pytest.raises(StreamInterruptedError, match="end"):
            heard(data)
        with pytest.raises(ProtocolError, match="end"):
            WIRE.response(data)


CODE_ERRORS = {
    "unauthorized": AuthenticationError,
    "version": ConfigurationError,
    "bad_request": BadRequestError,
    "too_large": BadRequestError,
    "not_found": NotFoundError,
    "no_permission": PermissionDeniedError,
    "blocked": RateLimitError,
    "context_length": ContextLengthError,
    "busy": OverloadedError,
    "cancelled": StreamInterruptedError,
    "internal": ServerError,
    "of tomorrow": ServerError,
}


@pytest.mark.parametrize("code", CODE_ERRORS)
def test_an_error_line_has_its_type(code: str) -> None:
    assert set(CODES) == set(CODE_ERRORS) - {"of tomorrow"}
    raw = lines({"type": "error", "id": 1, "code": code, "message": "it is so", "retry_after": 3})
    for fail in (heard, WIRE.response, WIRE.models, WIRE.token_count):
        with pytest.raises(TercetError, match="it is so") as caught:
            fail(raw)
        assert type(caught.value) is CODE_ERRORS[code]
        assert (caught.value.code, caught.value.retry_after) == (code, 3)
    assert type(WIRE.error(500, {}, raw)) is CODE_ERRORS[code]
    assert is_refusal(raw)


def test_errors_of_all_kinds() -> None:
    with pytest.raises(ContextLengthError):
        heard(lines({"type": "error", "id": None, "message": "Message exceeds token limit: too many tokens"}))
    with pytest.raises(ServerError, match="failed with internal"):
        heard(lines({"type": "error", "retry_after": -1}))
    for body in (b"", b"x", b"[]", b"\xff"):
        assert isinstance(WIRE.error(500, {}, body), TercetError)
        assert not is_refusal(body)
    error = SERVING.error(ServedError(429, "x", "slow"))[1]
    assert type(WIRE.error(500, {}, error)) is RateLimitError


def test_lists_and_counts() -> None:
    listed = {
        "id": "copilot-gpt-4o",
        "name": "GPT-4o",
        "vendor": "copilot",
        "family": "gpt-4o",
        "max_input_tokens": 63000,
    }
    [model] = WIRE.models(lines({"type": "models", "id": 1, "models": [listed, {"id": ""}]}))
    assert model == Model("copilot-gpt-4o", name="GPT-4o", context_window=63000)
    assert [model.id for model in WIRE.models(SERVING.models([Model("a"), Model("b")]))] == ["a", "b"]
    assert WIRE.token_count(SERVING.count(26)) == 26
    for raw in (
        b"",
        lines({"type": "models"}),
        lines({"type": "count", "tokens": -1}),
        lines({"type": "end"}),
        b"x\n",
    ):
        for parse in (WIRE.models, WIRE.token_count):
            with pytest.raises(ProtocolError):
                parse(raw)
    asked = WIRE.count_tokens(ChatRequest("m", "Hello"))
    assert asked is not None
    assert json.loads(asked.body)["type"] == "count"


def test_what_the_api_cannot_express_is_left_out() -> None:
    tokens: list[StreamToken] = [
        Citation("https://a"),
        TextDelta(""),
        ReasoningDelta(""),
        Finish("other", "odd"),
    ]
    assert heard(b"".join(SERVING.stream(tokens, model="m"))) == [Finish("other", "odd")]
    with pytest.raises(BadRequestError):
        list(SERVING.stream([ToolCallDelta(0, "a", "f", "[1]")], model="m"))


# Hello ------------------------------------------------------------------------------------------------------------------


def test_hello_is_understood() -> None:
    session = HostSession(TOKEN, host="VS Code")
    assert session.receive(hello_line(TOKEN)) == []
    assert read_hello(session.to_send()).host == "VS Code"
    assert session.is_welcome
    assert TOKEN not in repr(session)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", ProtocolError),
        (b"\x00\xff\n", ProtocolError),
        (b"", ProtocolError),
        (lines({"type": "text"}), ProtocolError),
        (lines({"type": "hello"}), ConfigurationError),
        (lines({"type": "hello", "version": 2}), ConfigurationError),
        (lines({"type": "error", "code": "unauthorized", "message": "no"}), AuthenticationError),
        (lines({"type": "error", "code": "version", "version": 2}), ConfigurationError),
    ],
)
def test_another_hello_is_refused(line: bytes, kind: type[TercetError]) -> None:
    with pytest.raises(kind) as caught:
        read_hello(line)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "line",
    [
        hello_line("a-token-of-the-editoR"),
        hello_line(""),
        hello_line("ü" * 30),
        lines({"type": "hello", "protocol": "tercet-bridge", "version": 1}),
        lines({"type": "hello", "protocol": "other", "version": 1, "token": TOKEN}),
        lines({"type": "chat", "id": 1, "token": TOKEN}),
        lines({"type": "models", "id": 1}),
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"x" * (HELLO_LIMIT + 1),
        b"\xff\n",
        b"7\n",
    ],
)
def test_a_stranger_is_told_one_thing_only(line: bytes) -> None:
    session = HostSession(TOKEN)
    assert session.receive(line + lines({"type": "models", "id": 1})) == []
    assert session.is_over
    [told] = [json.loads(one) for one in session.to_send().splitlines()]
    assert (told["type"], told["code"]) == ("error", "unauthorized")
    assert session.receive(hello_line(TOKEN)) == []
    assert session.to_send() == b""


def test_another_version_is_told_ours() -> None:
    session = HostSession(TOKEN)
    session.receive(lines({"type": "hello", "protocol": "tercet-bridge", "version": 9, "token": TOKEN}))
    told = json.loads(session.to_send())
    assert (told["code"], told["version"], session.is_over) == ("version", 1, True)


def test_a_short_token_is_none() -> None:
    with pytest.raises(ConfigurationError, match="16"):
        HostSession("short")


# Sessions ---------------------------------------------------------------------------------------------------------------


def greeted() -> HostSession:
    session = HostSession(TOKEN, max_open=3)
    session.receive(hello_line(TOKEN))
    session.to_send()
    return session


def chat(request_id: int, **more: Any) -> dict[str, Any]:
    message = {"role": "user", "content": [{"type": "text", "text": "a"}]}
    return {"type": "chat", "id": request_id, "model": "m", "messages": [message], **more}


def test_several_requests_share_a_connection() -> None:
    session = greeted()
    asked = session.receive(
        lines(chat(7, usage=True), {"type": "models", "id": 8}, {**chat(9), "type": "count"})
    )
    assert isinstance(asked[0], ChatAsked)
    assert asked[0].usage
    assert "m" in repr(asked[0])
    assert isinstance(asked[1], ModelsAsked)
    assert isinstance(asked[2], CountAsked)
    assert session.open == (7, 8, 9)
    session.answer(8, HostBridgeServing(8).models([]), is_last=True)
    session.answer(7, HostBridgeServing(7).line("text", text="a"), is_last=False)
    assert [json.loads(one)["id"] for one in session.to_send().splitlines()] == [8, 7]
    assert session.open == (7, 9)
    assert not session.is_over


def test_a_request_may_close_the_connection() -> None:
    session = greeted()
    session.receive(lines(chat(1, close=True)))
    assert not session.is_over
    session.answer(1, HostBridgeServing().line("end"), is_last=True)
    assert session.is_over
    session.answer(1, b"more", is_last=True)
    assert b"more" not in session.to_send()


def test_cancelling() -> None:
    session = greeted()
    session.receive(lines(chat(1), chat(2)))
    assert session.receive(lines({"type": "cancel", "id": 1}, {"type": "cancel", "id": 5})) == [
        CancelAsked(1)
    ]
    told = json.loads(session.to_send())
    assert (told["id"], told["code"]) == (1, "cancelled")
    session.answer(1, b"late", is_last=False)
    assert session.to_send() == b""
    assert session.open == (2,)


@pytest.mark.parametrize(
    "line", [b"x\n", b"[]\n", b'{"type":7}\n', lines({"type": "chat"}), lines(chat(1), chat(1))]
)
def test_what_is_not_the_protocol_ends_the_connection(line: bytes) -> None:
    session = greeted()
    session.receive(line)
    told = json.loads(session.to_send().splitlines()[-1])
    assert (told["code"], told["id"], session.is_over) == ("bad_request", None, True)


@pytest.mark.parametrize(
    "more",
    [
        {"messages": []},
        {"messages": 7},
        {"messages": [{"role": "king", "content": []}]},
        {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
        {"model": ""},
        {"tools": [{}]},
        {"options": {"temperature": "hot"}},
        {"options": {"temperature": 9}},
    ],
)
def test_a_request_that_cannot_be_ends_only_itself(more: dict[str, Any]) -> None:
    session = greeted()
    assert session.receive(lines(chat(1, **more))) == []
    told = json.loads(session.to_send())
    assert (told["code"], told["id"], session.is_over, session.open) == ("bad_request", 1, False, ())


def test_too_many_requests_are_refused() -> None:
    session = greeted()
    assert len(session.receive(lines(*(chat(n) for n in range(5))))) == 3
    assert {json.loads(one)["code"] for one in session.to_send().splitlines()} == {"busy"}
    assert session.open == (0, 1, 2)


def test_a_line_without_an_end_is_refused() -> None:
    session = greeted()
    for _ in range(17):
        session.receive(b"x" * 1024 * 1024)
    assert json.loads(session.to_send())["code"] == "too_large"
    assert session.is_over


wild = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "id",
                    "text",
                    "call_id",
                    "name",
                    "input",
                    "reason",
                    "model",
                    "usage",
                    "models",
                    "tokens",
                    "code",
                    "message",
                    "retry_after",
                    "version",
                    "token",
                    "messages",
                    "role",
                    "content",
                    "tools",
                    "options",
                    "close",
                    "protocol",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
kinds = st.sampled_from(
    ["hello", "models", "chat", "count", "cancel", "text", "reasoning", "tool_call", "end", "error"]
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.just("type"), kinds).flatmap(
            lambda base: wild.map(lambda x: {**base, **x} if isinstance(x, dict) else x)
        ),
        max_size=4,
    )
)
def test_any_lines_are_understood_or_refused_by_name(shapes: list[Any]) -> None:
    data = lines(*shapes)
    for parse in (heard, WIRE.response, WIRE.models, WIRE.token_count, read_hello):
        try:
            parse(data)
        except TercetError:
            pass
    session = greeted()
    for asked in session.receive(data):
        if not isinstance(asked, CancelAsked):
            session.fail(asked.id, "internal", "no")
    for line in session.to_send().splitlines():
        json.loads(line)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_understood_or_refused(data: bytes, is_welcome: bool) -> None:
    session = greeted() if is_welcome else HostSession(TOKEN)
    session.receive(data + b"\n")
    session.to_send()
    try:
        heard(data)
    except TercetError:
        pass
