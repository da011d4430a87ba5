"""Conversations of OpenAI native, Mistral and native Ollama without a network: what the recordings do not show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from tercet.adapters.call import HttpCall
from tercet.adapters.reference import Conversation, Draw, Emit, Read, ReferenceProvider, Reply, Send, Sleep
from tercet.adapters.reference.lists import get_models
from tercet.codecs.vocabulary import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConnectError,
    OverloadedError,
    ProtocolError,
    ProviderError,
    RateLimitError,
    StreamInterruptedError,
    TercetError,
    TransportError,
)

MESSAGES = [{"role": "user", "content": "hi"}]
TURNS = [
    {"role": "user", "content": "first"},
    {"role": "assistant", "content": "answer"},
    {
        "role": "user",
        "content": [{"type": "text", "text": "second"}, {"type": "tool_result", "tool_use_id": "t"}],
    },
]
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}


class Answer(msgspec.Struct):
    status: int = 200
    headers: dict[str, str] = {}
    body: Sequence[bytes | TransportError] = ()


class Talk(msgspec.Struct):
    calls: list[HttpCall] = []
    chunks: list[dict[str, Any]] = []
    result: Any = None

    def drive(self, conversation: Conversation[Any], answers: Sequence[Answer | TransportError]) -> Talk:
        coming = iter(answers)
        body = iter(())
        value: Any = None
        failure: TransportError | None = None
        try:
            while True:
                action = conversation.throw(failure) if failure else conversation.send(value)
                value, failure = None, None
                match action:
                    case Send(call):
                        self.calls.append(call)
                        answer = next(coming)
                        if isinstance(answer, TransportError):
                            failure = answer
                        else:
                            body = iter(answer.body)
                            value = Reply(answer.status, answer.headers)
                    case Read():
                        value = next(body, b"")
                        if isinstance(value, TransportError):
                            failure = value
                    case Emit(chunk):
                        self.chunks.append(chunk)
                    case Draw():
                        value = 0.5
                    case _:
                        assert isinstance(action, Sleep)
        except StopIteration as end:
            self.result = end.value
        return self

    def body(self, place: int = -1) -> Any:
        return json.loads(self.calls[place].body)


def sse(*events: Any) -> Answer:
    return Answer(
        headers={"content-type": "text/event-stream"},
        body=[b"data: " + json.dumps(event).encode() + b"\n\n" for event in events],
    )


def lines(*objects: Any) -> Answer:
    return Answer(body=[json.dumps(item).encode() + b"\n" for item in objects])


def as_json(value: Any, status: int = 200) -> Answer:
    return Answer(status, {"content-type": "application/json"}, [json.dumps(value).encode()])


# --- OpenAI native -------------------------------------------------------------------------------------------------------------


def native(**options: Any) -> ReferenceProvider:
    return ReferenceProvider("openai-native", {"openAiNativeApiKey": "sk-secret", **options})


def completed(response_id: str = "resp_1", **fields: Any) -> dict[str, Any]:
    return {"type": "response.completed", "response": {"id": response_id, **fields}}


def texts(talk: Talk) -> list[str]:
    return [part["text"] for message in talk.body()["input"] for part in message["content"]]


def test_a_conversation_goes_on_from_the_last_answer() -> None:
    provider = native()
    first = Talk().drive(provider.create_message("s", MESSAGES), [sse(completed("resp_1"))])
    assert "previous_response_id" not in first.body()
    second = Talk().drive(provider.create_message("s", TURNS), [sse(completed("resp_2"))])
    assert second.body()["previous_response_id"] == "resp_1"
    assert second.body()["instructions"] == "s"
    assert texts(second) == ["second"]
    third = Talk().drive(provider.create_message("s", TURNS), [sse(completed("resp_3"))])
    assert third.body()["previous_response_id"] == "resp_2"
    anew = Talk().drive(provider.create_message("s", MESSAGES), [sse(completed("resp_4"))])
    assert "previous_response_id" not in anew.body(), "a first message begins anew"


def test_the_caller_names_the_answer_to_go_on_from_or_none() -> None:
    provider = native()
    named = Talk().drive(
        provider.create_message("s", MESSAGES, {"previousResponseId": "resp_9", "store": False}),
        [sse(completed("resp_1"))],
    )
    assert (named.body()["previous_response_id"], named.body()["store"]) == ("resp_9", False)
    anew = Talk().drive(
        provider.create_message("s", TURNS, {"suppressPreviousResponseId": True, "store": None}),
        [sse(completed("resp_2"))],
    )
    assert "previous_response_id" not in anew.body()
    assert texts(anew) == ["first", "answer", "second"]
    assert anew.body()["store"] is True


@pytest.mark.parametrize("said", ["Previous response cannot be used", "resp_1 not found"])
def test_an_answer_that_the_server_has_forgotten_is_forgotten(said: str) -> None:
    provider = native()
    Talk().drive(provider.create_message("s", MESSAGES), [sse(completed("resp_1"))])
    refusal = as_json({"error": {"message": said}}, 400)
    talk = Talk().drive(provider.create_message("s", TURNS), [refusal, sse(completed("resp_2"))])
    assert talk.body(0)["previous_response_id"] == "resp_1"
    assert "previous_response_id" not in talk.body()
    assert texts(talk) == ["first", "answer", "second"]


def test_other_refusals_of_an_answers_id_are_errors() -> None:
    for status, said in ((400, "no"), (404, "resp_1 not found")):
        provider = native()
        Talk().drive(provider.create_message("s", MESSAGES), [sse(completed("resp_1"))])
        talk = Talk()
        with pytest.raises(ProviderError):
            talk.drive(provider.create_message("s", TURNS), [as_json({"error": {"message": said}}, status)])
        assert len(talk.calls) == 1
    talk = Talk()
    with pytest.raises(BadRequestError, match=r"^Invalid request to Responses API\..* - x not found$"):
        talk.drive(
            native().create_message("s", MESSAGES), [as_json({"error": {"message": "x not found"}}, 400)]
        )
    assert len(talk.calls) == 1, "without an id nothing is gained by asking again"


def test_a_second_refusal_is_the_result() -> None:
    provider = native()
    Talk().drive(provider.create_message("s", MESSAGES), [sse(completed("resp_1"))])
    refusals = [as_json({"error": {"message": "not found"}}, 400)] * 2
    with pytest.raises(BadRequestError):
        Talk().drive(provider.create_message("s", TURNS), refusals)


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (
            401,
            AuthenticationError,
            "Failed to connect to Responses API: Authentication failed. Please check your",
        ),
        (422, BadRequestError, "Responses API error (422) - no"),
        (
            429,
            RateLimitError,
            "Failed to connect to Responses API: Rate limit exceeded. Please try again later. - no",
        ),
        (
            503,
            OverloadedError,
            "Failed to connect to Responses API: OpenAI service error. Please try again later.",
        ),
    ],
)
def test_refusals_keep_their_kind(status: int, kind: type[ProviderError], text: str) -> None:
    answer = as_json({"error": {"message": "no", "code": "c"}}, status)
    answer.headers["x-should-retry"] = "false"
    answer.headers["x-request-id"] = "req_1"
    with pytest.raises(kind) as caught:
        Talk().drive(native().create_message("s", MESSAGES), [answer])
    assert str(caught.value).startswith(text)
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (status, "c", "req_1")


def test_a_refusal_without_a_body() -> None:
    with pytest.raises(BadRequestError) as caught:
        Talk().drive(native().create_message("s", MESSAGES), [Answer(400)])
    assert str(caught.value) == "Invalid request to Responses API. Please check your input parameters."


def test_a_long_refusal_is_told_whole() -> None:
    said = "x" * 5000
    with pytest.raises(BadRequestError) as caught:
        Talk().drive(native().create_message("s", MESSAGES), [as_json({"error": {"message": said}}, 400)])
    assert str(caught.value).endswith(f" - {said}")


def test_no_connection() -> None:
    talk = Talk()
    with pytest.raises(ConnectError, match=r"^Failed to connect to Responses API: Connection error\.$"):
        talk.drive(native().create_message("s", MESSAGES), [ConnectError("no route", phase="tcp")] * 3)
    assert len(talk.calls) == 3
    with pytest.raises(ConnectError, match=r"^OpenAI Native completion error: Connection error\.$"):
        Talk().drive(native().complete_prompt("p"), [ConnectError("no route", phase="tcp")] * 3)


def test_a_broken_stream_is_not_asked_for_again() -> None:
    delta = b'data: {"type":"response.output_text.delta","delta":"a"}\n\n'
    talk = Talk()
    with pytest.raises(StreamInterruptedError) as caught:
        talk.drive(
            native().create_message("s", MESSAGES), [Answer(body=[delta, StreamInterruptedError("reset")])]
        )
    assert str(caught.value) == "Failed to connect to Responses API: Error processing response stream: reset"
    assert talk.chunks == [{"type": "text", "text": "a"}]
    assert len(talk.calls) == 1
    with pytest.raises(ProtocolError, match="Responses API error: No response body"):
        Talk().drive(native().create_message("s", MESSAGES), [Answer(204)])


@pytest.mark.parametrize(
    ("event", "text", "code"),
    [
        ({"type": "error", "message": "m", "code": "c"}, "Responses API error: m", "c"),
        ({"type": "response.error", "message": "m"}, "Responses API error: m", "response.error"),
        ({"type": "error", "error": {"message": "m", "code": "c"}}, "Responses API error: m", "c"),
        (
            {"type": "response.failed", "response": {"error": {"message": "m", "code": "c"}}},
            "Response failed: m",
            "c",
        ),
    ],
)
def test_an_answer_that_says_it_failed_ends_in_that_failure(
    event: dict[str, Any], text: str, code: str
) -> None:
    with pytest.raises(ProviderError) as caught:
        Talk().drive(native().create_message("s", MESSAGES), [sse(event)])
    assert str(caught.value).endswith(text)
    assert caught.value.code == code


def test_a_failure_in_an_answer_that_is_completed_all_the_same_is_none() -> None:
    talk = Talk().drive(
        native().create_message("s", MESSAGES), [sse({"type": "error", "message": "m"}, completed())]
    )
    assert talk.chunks == []
    with pytest.raises(ProviderError, match=r"m$"):
        answer = sse({"type": "error", "message": "m"})
        Talk().drive(
            native().create_message("s", MESSAGES), [Answer(body=[*answer.body, b"data: [DONE]\n\n"])]
        )


def test_what_tells_that_an_answer_is_whole() -> None:
    for event in (
        completed(),
        {"type": "response.done"},
        {"type": "response.incomplete", "response": {"incomplete_details": {"reason": "max_output_tokens"}}},
    ):
        Talk().drive(native().create_message("s", MESSAGES), [sse(event)])
    Talk().drive(native().create_message("s", MESSAGES), [Answer(body=[b"data: [DONE]\n\n"])])
    with pytest.raises(StreamInterruptedError, match=r"no response.completed"):
        Talk().drive(native().create_message("s", MESSAGES), [sse({"type": "response.created"})])


def test_items_that_come_with_text_in_them() -> None:
    items = (
        {"type": "text", "text": "a"},
        {"type": "reasoning", "text": "b"},
        {
            "type": "message",
            "content": [{"type": "output_text", "text": "c"}, {"type": "text", "text": "d"}, {"type": "x"}],
        },
        {"type": "function_call", "name": "f"},
        {"type": "text", "text": ""},
    )
    events = [{"type": "response.output_item.added", "item": item} for item in items]
    talk = Talk().drive(native().create_message("s", MESSAGES), [sse(*events, completed())])
    assert [(chunk["type"], chunk["text"]) for chunk in talk.chunks] == [
        ("text", "a"),
        ("reasoning", "b"),
        ("text", "c"),
        ("text", "d"),
    ]


def usage_of(usage: dict[str, Any], **options: Any) -> dict[str, Any]:
    tier = options.pop("answered", None)
    event = completed(usage=usage, **({"service_tier": tier} if tier else {}))
    talk = Talk().drive(
        native(apiModelId="gpt-5-2025-08-07", **options).create_message("s", MESSAGES), [sse(event)]
    )
    return talk.chunks[-1]


def test_the_price_is_of_the_tier_that_answered_else_of_the_one_asked_for() -> None:
    usage = {"input_tokens": 1_000_000, "output_tokens": 1_000_000}
    assert usage_of(usage)["totalCost"] == 11.25
    assert usage_of(usage, openAiNativeServiceTier="flex")["totalCost"] == 5.625
    assert usage_of(usage, openAiNativeServiceTier="flex", answered="priority")["totalCost"] == 22.5
    assert usage_of(usage, openAiNativeServiceTier="flex", answered="default")["totalCost"] == 11.25
    assert usage_of(usage, openAiNativeServiceTier="gold")["totalCost"] == 11.25


def test_usage_by_other_names() -> None:
    chunk = usage_of(
        {"input_tokens": 0, "input_tokens_details": {"cached_tokens": 3, "cache_miss_tokens": 4}}
    )
    assert (chunk["inputTokens"], chunk["outputTokens"], chunk["cacheReadTokens"]) == (7, 0, 3)
    chunk = usage_of({"input_tokens": 10, "cache_creation_input_tokens": 2, "cached_tokens": 5})
    assert (chunk["cacheWriteTokens"], chunk["cacheReadTokens"]) == (2, 5)
    assert "reasoningTokens" not in chunk


def test_parameters_of_the_body() -> None:
    def body(**options: Any) -> dict[str, Any]:
        return Talk().drive(native(**options).create_message("s", MESSAGES), [sse(completed())]).body()

    assert body(apiModelId="gpt-5-chat-latest")["temperature"] == 1
    assert body(apiModelId="gpt-4.1", modelTemperature=0.3)["temperature"] == 0.3
    assert "temperature" not in body(apiModelId="o3", modelTemperature=0.3)
    assert body(reasoningEffort="none").get("reasoning") is None
    assert "service_tier" not in body(apiModelId="gpt-4.1", openAiNativeServiceTier="flex")
    assert body(apiModelId="gpt-4.1", openAiNativeServiceTier="priority")["service_tier"] == "priority"
    assert body(apiModelId="gpt-4.1", openAiNativeServiceTier="default")["service_tier"] == "default"


def test_addresses_and_keys_of_openai_native() -> None:
    env = {"OPENAI_BASE_URL": "https://proxy.test/v1/", "OPENAI_ORG_ID": "org"}
    provider = ReferenceProvider("openai-native", {}, env=env)
    call = Talk().drive(provider.complete_prompt("p"), [as_json({})]).calls[0]
    headers = {name.lower(): value for name, value in call.headers}
    assert f"{call.origin}{call.target}" == "https://proxy.test/v1/responses"
    assert (headers["authorization"], headers["openai-organization"]) == ("Bearer not-provided", "org")
    assert "http-referer" not in headers
    with pytest.raises(ConfigurationError, match=r"^API key contains invalid characters\.$"):
        Talk().drive(native(openAiNativeApiKey="sk-\u2713").create_message("s", MESSAGES), [])


def test_single_prompts() -> None:
    message = {
        "type": "message",
        "content": [{"type": "output_text", "text": ""}, {"type": "output_text", "text": "x"}],
    }
    talk = Talk().drive(
        native().complete_prompt("p"), [as_json({"output": [{"type": "reasoning"}, message]})]
    )
    assert talk.result == "x"
    assert Talk().drive(native().complete_prompt("p"), [as_json({})]).result == ""


# --- Mistral -------------------------------------------------------------------------------------------------------------------


def mistral(**options: Any) -> ReferenceProvider:
    return ReferenceProvider("mistral", {"mistralApiKey": "k", **options})


def delta(content: Any, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    choices = [{"index": 0, "delta": {"content": content}, "finish_reason": finish}]
    return {"id": "c", "model": "m", "choices": choices, **fields}


def test_mistrals_messages() -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE]},
        {"role": "assistant", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "r"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
    ]
    talk = Talk().drive(mistral().create_message("s", messages), [sse(delta("", "stop"))])
    assert talk.body()["messages"] == [
        {"role": "system", "content": "s"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ],
        },
        {"role": "assistant", "content": "b\nc", "prefix": False},
        {"role": "assistant", "prefix": False},
    ]


def test_mistrals_thoughts_and_usage() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "t"}, {"type": "text", "text": ""}]},
        {"type": "text", "text": "x"},
        {"type": "reference", "reference_ids": [1]},
    ]
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    talk = Talk().drive(mistral().create_message("s", MESSAGES), [sse(delta(parts, "stop", usage=usage))])
    assert talk.chunks == [
        {"type": "reasoning", "text": "t"},
        {"type": "text", "text": "x"},
        {"type": "usage", "inputTokens": 3, "outputTokens": 4},
    ]


def test_mistrals_end() -> None:
    with pytest.raises(StreamInterruptedError, match="no finish_reason"):
        Talk().drive(mistral().create_message("s", MESSAGES), [sse(delta("a"))])
    answer = sse(delta("a"))
    talk = Talk().drive(
        mistral().create_message("s", MESSAGES),
        [Answer(headers=answer.headers, body=[*answer.body, b"data: [DONE]\n\n", b"data: {\n\n"])],
    )
    assert talk.chunks == [{"type": "text", "text": "a"}]


@pytest.mark.parametrize(
    ("value", "issue"),
    [
        (
            {"id": 1, "model": "m", "choices": []},
            ("string", "number", ["data", "id"], "Expected string, received number"),
        ),
        (
            {"id": "c", "model": None, "choices": []},
            ("string", "null", ["data", "model"], "Expected string, received null"),
        ),
        (
            {"id": "c", "model": "m", "choices": {}},
            ("array", "object", ["data", "choices"], "Expected array, received object"),
        ),
        (
            {"id": "c", "model": True, "choices": []},
            ("string", "boolean", ["data", "model"], "Expected string, received boolean"),
        ),
        ([], ("object", "array", ["data"], "Expected object, received array")),
    ],
)
def test_an_event_of_another_shape_is_an_error_in_the_validators_words(
    value: Any, issue: tuple[Any, ...]
) -> None:
    with pytest.raises(ProviderError) as caught:
        Talk().drive(mistral().create_message("s", MESSAGES), [sse(value)])
    expected, received, path, message = issue
    assert json.loads(str(caught.value)) == [
        {"code": "invalid_type", "expected": expected, "received": received, "path": path, "message": message}
    ]
    assert caught.value.body == json.dumps(value)


def test_mistrals_refusals() -> None:
    answer = Answer(
        429, {"content-type": "application/json", "retry-after": "7"}, [b'{"message":"m","code":"1300"}']
    )
    talk = Talk()
    with pytest.raises(RateLimitError) as caught:
        talk.drive(mistral().create_message("s", MESSAGES), [answer])
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (429, "1300", 7.0)
    assert len(talk.calls) == 1, "Mistral's client does not try again"
    for answer, text in (
        (Answer(502), 'API error occurred: Status 502 Content-Type "" Body ""'),
        (
            Answer(422, {"content-type": "text/plain"}, [b"no"]),
            "API error occurred: Status 422 Content-Type text/plain Body \nno",
        ),
        (
            Answer(422, {"content-type": "application/json"}, [b"{"]),
            "API error occurred: Status 422 Content-Type application/json Body \n{",
        ),
        (
            as_json({"detail": [{"msg": "m", "input": 1}, 2]}, 422),
            'API error occurred: {"detail":[{"msg":"m"},{}]}',
        ),
    ):
        with pytest.raises(ProviderError) as refused:
            Talk().drive(mistral().create_message("s", MESSAGES), [answer])
        assert str(refused.value) == text
    with pytest.raises(ConnectError, match=r"^Unable to make request: no route$"):
        Talk().drive(mistral().create_message("s", MESSAGES), [ConnectError("no route", phase="tcp")])
    with pytest.raises(
        ProtocolError, match=r"^Mistral completion error: the answer says it is JSON and is not"
    ):
        Talk().drive(
            mistral().complete_prompt("p"), [Answer(200, {"content-type": "application/json"}, [b"{"])]
        )


def test_mistrals_models() -> None:
    assert mistral().get_model()["id"] == "codestral-latest"
    unknown = mistral(apiModelId="mistral-next", includeMaxTokens=True)
    assert (unknown.get_model()["id"], unknown.get_model()["maxTokens"]) == ("mistral-next", 256000)
    assert "pixtral-large-latest" in Talk().drive(mistral().list_models(), []).result
    assert "gpt-4.1" in Talk().drive(native().list_models(), []).result


# --- native Ollama -------------------------------------------------------------------------------------------------------------

NO_MODELS = as_json({"models": []})
DONE = {"message": {"content": ""}, "done": True}


def ollama(**options: Any) -> ReferenceProvider:
    return ReferenceProvider("native-ollama", {"ollamaModelId": "m", **options})


@pytest.mark.parametrize(
    ("base", "address"),
    [
        ("", "http://localhost:11434/api/chat"),
        ("http://h:1/", "http://h:1/api/chat"),
        ("http://h", "http://h:80/api/chat"),
        ("https://ollama.com", "https://ollama.com:443/api/chat"),
        ("h", "http://h:11434/api/chat"),
        ("h/base", "http://h:11434/base/api/chat"),
        (":99", "http://127.0.0.1:99/api/chat"),
    ],
)
def test_ollamas_addresses(base: str, address: str) -> None:
    talk = Talk()
    answers = [lines(DONE)] if base in ("h", "h/base", ":99") else [NO_MODELS, lines(DONE)]
    talk.drive(ollama(ollamaBaseUrl=base).create_message("s", MESSAGES), answers)
    call = talk.calls[-1]
    assert f"{call.origin.scheme}://{call.origin.host}:{call.origin.port}{call.target}" == address


def test_an_address_of_ollama_that_is_none() -> None:
    with pytest.raises(ConfigurationError):
        Talk().drive(ollama(ollamaBaseUrl="http://h:port").create_message("s", MESSAGES), [])


def test_ollama_is_not_running() -> None:
    down = ConnectError("refused", phase="tcp")
    talk = Talk()
    with pytest.raises(ConnectError) as caught:
        talk.drive(ollama(ollamaBaseUrl="http://me:pw@h:1/x").create_message("s", MESSAGES), [down, down])
    assert str(caught.value) == "Ollama service is not running at http://h:1/x. Please start Ollama first."
    with pytest.raises(ConnectError, match=r"^Ollama completion error: Ollama service is not running at"):
        Talk().drive(ollama().complete_prompt("p"), [down, down])


def test_ollamas_key_and_options() -> None:
    provider = ollama(ollamaApiKey="sk-1", ollamaNumCtx=4096, modelTemperature=0.2)
    talk = Talk().drive(provider.create_message("s", MESSAGES), [NO_MODELS, lines(DONE)])
    assert all(dict(call.headers)["Authorization"] == "Bearer sk-1" for call in talk.calls)
    assert talk.body()["options"] == {"temperature": 0.2, "num_ctx": 4096}


def test_ollama_stops_at_what_is_done_and_reads_a_last_line_without_its_end() -> None:
    more = {"message": {"content": "more"}}
    talk = Talk().drive(
        ollama().create_message("s", MESSAGES),
        [NO_MODELS, lines({"message": {"content": "<thi"}}, DONE, more)],
    )
    assert talk.chunks == [{"type": "text", "text": "<thi"}]
    last = json.dumps({"message": {"content": "x"}, "done": True, "eval_count": 2}).encode()
    talk = Talk().drive(
        ollama().create_message("s", MESSAGES), [NO_MODELS, Answer(body=[b"5\n", last[:9], last[9:]])]
    )
    assert talk.chunks == [
        {"type": "text", "text": "x"},
        {"type": "usage", "inputTokens": 0, "outputTokens": 2},
    ]


def test_ollamas_refusals() -> None:
    for answer, text in (
        (Answer(500, {}, [b"boom"]), "boom"),
        (Answer(503), "Error 503: Service Unavailable"),
        (Answer(503, {"content-type": "application/json"}, [b"{"]), "Error 503: Service Unavailable"),
    ):
        with pytest.raises(ProviderError) as caught:
            Talk().drive(ollama().create_message("s", MESSAGES), [NO_MODELS, answer])
        assert (str(caught.value), caught.value.status) == (text, answer.status)
    with pytest.raises(ProtocolError, match=r"^Ollama completion error: the answer is not JSON"):
        Talk().drive(ollama().complete_prompt("p"), [NO_MODELS, Answer(body=[b"{"])])


def test_ollamas_models_and_their_facts() -> None:
    tags = as_json(
        {
            "models": [
                {"name": "m", "model": "m:x"},
                {"name": "gone", "model": "gone"},
                {"name": "n", "model": "n"},
            ]
        }
    )
    known = as_json(
        {"model_info": {"a.context_length": 1000}, "capabilities": ["vision"], "details": {"family": "f"}}
    )
    answers = [tags, known, Answer(404), as_json({})]
    provider = ollama()
    assert provider.get_model()["info"]["contextWindow"] == 128000
    found = Talk().drive(provider.list_models(), answers).result
    assert list(found) == ["m", "n"]
    assert (found["m"]["contextWindow"], found["m"]["maxTokens"], found["m"]["supportsImages"]) == (
        1000,
        1000,
        True,
    )
    assert found["m"]["description"] == "Family: f, Context: 1000, Size: undefined"
    assert (found["n"]["contextWindow"], found["n"]["maxTokens"], found["n"]["supportsImages"]) == (
        200000,
        4096,
        False,
    )
    Talk().drive(provider.create_message("s", MESSAGES), [*answers, lines(DONE)])
    assert provider.get_model()["info"]["contextWindow"] == 1000
    assert Talk().drive(get_models({"provider": "ollama"}), [as_json("no")]).result == {}
    assert Talk().drive(get_models({"provider": "ollama"}), [Answer(body=[b"<html>"])]).result == {}


# --- what no server should send ------------------------------------------------------------------------------------------------

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "a", "text"])
)
KEYS = (
    "type",
    "text",
    "content",
    "delta",
    "message",
    "usage",
    "id",
    "service_tier",
    "thinking",
    "error",
    "input_tokens",
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=8,
)
KINDS = (
    "response.output_text.delta",
    "response.refusal.delta",
    "response.output_item.added",
    "response.completed",
    "response.failed",
    "error",
)
FIELDS = ("delta", "item", "response", "usage", "error", "message")


def objects(kinds: Sequence[str], *fields: str, **fixed: Any) -> st.SearchStrategy[dict[str, Any]]:
    kind = {"type": st.sampled_from(kinds)} if kinds else {}
    optional = dict.fromkeys(fields, VALUES)
    return st.fixed_dictionaries(
        {**kind, **{name: st.just(value) for name, value in fixed.items()}}, optional=optional
    )


def tolerated(conversation: Conversation[Any], answers: Sequence[Answer]) -> None:
    try:
        Talk().drive(conversation, answers)
    except TercetError as error:
        assert error.message


@settings(max_examples=150, deadline=None)
@given(objects(KINDS, *FIELDS), objects((), *FIELDS) | VALUES)
def test_whatever_a_responses_server_sends_is_chunks_or_a_typed_error(event: Any, answer: Any) -> None:
    tolerated(native().create_message("s", MESSAGES), [sse(event, completed())])
    tolerated(native().complete_prompt("p"), [as_json(answer)])
    tolerated(native().complete_prompt("p"), [as_json({"output": answer})])
    tolerated(native().create_message("s", MESSAGES), [as_json(answer, 400)])
    tolerated(native().create_message("s", MESSAGES), [sse(completed(usage=answer))])


@settings(max_examples=150, deadline=None)
@given(objects((), "usage", "object", "created", id="c", model="m"), VALUES)
def test_whatever_a_mistral_server_sends_is_chunks_or_a_typed_error(event: Any, value: Any) -> None:
    for choices in (
        value,
        [value],
        [{"delta": value}],
        [{"delta": {"content": value}, "message": {"content": value}}],
    ):
        event["choices"] = choices
        whole = {**event, "object": "o", "created": 1, "usage": {}}
        tolerated(mistral().create_message("s", MESSAGES), [sse(event)])
        tolerated(mistral().complete_prompt("p"), [as_json(whole)])
    tolerated(mistral().create_message("s", MESSAGES), [as_json(value, 422)])
    tolerated(mistral().create_message("s", MESSAGES), [as_json({"detail": value}, 422)])


@settings(max_examples=150, deadline=None)
@given(objects((), "message", "done", "error", "eval_count", "prompt_eval_count", "status") | VALUES, VALUES)
def test_whatever_an_ollama_server_sends_is_chunks_or_a_typed_error(item: Any, value: Any) -> None:
    tolerated(ollama().create_message("s", MESSAGES), [NO_MODELS, lines(item, DONE)])
    tolerated(ollama().complete_prompt("p"), [NO_MODELS, as_json(item)])
    tolerated(ollama().create_message("s", MESSAGES), [NO_MODELS, as_json(item, 500)])
    tags = as_json({"models": [{"name": value, "model": value}]})
    shown = as_json({"model_info": {"a.context_length": value}, "capabilities": value, "details": value})
    tolerated(ollama().list_models(), [tags, shown])
    tolerated(ollama().list_models(), [as_json({"models": value}), *[as_json(item)] * 3])
