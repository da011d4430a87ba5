"""Conversations of the reference face without a network: actions out, their results in. What the recordings do not show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tercet.adapters.call import HttpCall
from tercet.adapters.reference import (
    IDENTITY,
    Conversation,
    Draw,
    Emit,
    Now,
    Read,
    ReferenceProvider,
    Reply,
    Send,
    Sleep,
)
from tercet.adapters.reference.http import Request
from tercet.codecs.vocabulary import (
    BadRequestError,
    ConfigurationError,
    ConnectError,
    DeadlineError,
    OverloadedError,
    ProtocolError,
    QuotaExceededError,
    RateLimitError,
    StreamInterruptedError,
    TransportError,
)

NOW = 1759320000.0  # 2025-10-01T12:00:00Z
MESSAGES = [{"role": "user", "content": "hi"}]


class Answer(msgspec.Struct):
    status: int = 200
    headers: dict[str, str] = {}
    body: Sequence[bytes | TransportError] = ()


class Talk(msgspec.Struct):
    calls: list[HttpCall] = []
    chunks: list[dict[str, Any]] = []
    sleeps: list[float] = []
    result: Any = None

    def drive(
        self, conversation: Conversation[Any], answers: Sequence[Answer | TransportError], now: float = NOW
    ) -> Talk:
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
                    case Sleep(seconds):
                        self.sleeps.append(seconds)
                    case Now():
                        value = now
                    case Draw():
                        value = 0.5
                    case Emit(chunk):
                        self.chunks.append(chunk)
        except StopIteration as end:
            self.result = end.value
        return self


def sse(*events: Any) -> list[bytes]:
    return [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events] + [b"data: [DONE]\n\n"]


def delta(text: str) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}}]}


HELLO = Answer(body=sse(delta("hello")))


def openai(**options: Any) -> ReferenceProvider:
    return ReferenceProvider("openai", {"openAiApiKey": "sk-secret", "openAiModelId": "m", **options})


def headers_of(call: HttpCall) -> dict[str, str]:
    return {name.lower(): value for name, value in call.headers}


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "0", "retry-after": "3"}, 3.0),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": "59"}, 59.0),
        ({"retry-after": "60"}, 0.4375),
        ({"retry-after": "0"}, 0.4375),
        ({"retry-after": "-1"}, 0.4375),
        ({"retry-after": "Wed, 01 Oct 2025 12:00:07 GMT"}, 7.0),
        ({"retry-after": "Wed, 01 Oct 2025 11:59:00 GMT"}, 0.4375),
        ({"retry-after": "soon"}, 0.4375),
        ({}, 0.4375),
    ],
)
def test_how_long_a_retry_waits(headers: dict[str, str], wait: float) -> None:
    talk = Talk().drive(openai().create_message("", MESSAGES), [Answer(429, headers), HELLO])
    assert talk.sleeps == [wait]
    assert talk.chunks == [{"type": "text", "text": "hello"}]


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_what_is_tried_again(status: int) -> None:
    talk = Talk().drive(openai().create_message("", MESSAGES), [Answer(status), Answer(status), HELLO])
    assert len(talk.calls) == 3
    assert talk.sleeps == [0.4375, 0.875]


@pytest.mark.parametrize("answer", [Answer(400), Answer(404), Answer(500, {"x-should-retry": "false"})])
def test_what_is_not_tried_again(answer: Answer) -> None:
    talk = Talk()
    with pytest.raises(Exception, match=r"OpenAI completion error: \d+ status code \(no body\)"):
        talk.drive(openai().create_message("", MESSAGES), [answer])
    assert talk.sleeps == []


def test_transport_errors_are_tried_again_and_then_named() -> None:
    for error, text in (
        (ConnectError("no route", phase="tcp"), "OpenAI completion error: Connection error."),
        (DeadlineError("too slow", clock="connect"), "OpenAI completion error: Request timed out."),
    ):
        talk = Talk()
        with pytest.raises(type(error)) as caught:
            talk.drive(openai().create_message("", MESSAGES), [error] * 3)
        assert str(caught.value) == text
        assert len(talk.calls) == 3
    assert caught.value.__cause__ is not None


def test_an_answer_keeps_its_facts_under_the_handlers_name() -> None:
    body = b'{"error":{"message":"no money","type":"insufficient_quota","code":"insufficient_quota"}}'
    answer = Answer(429, {"x-should-retry": "false", "x-request-id": "req_7", "retry-after": "5"}, [body])
    with pytest.raises(QuotaExceededError) as caught:
        Talk().drive(openai().create_message("", MESSAGES), [answer])
    error = caught.value
    assert str(error) == "OpenAI completion error: 429 no money"
    assert (error.status, error.code, error.request_id, error.retry_after) == (
        429,
        "insufficient_quota",
        "req_7",
        5.0,
    )
    assert not error.retryable
    with pytest.raises(RateLimitError):
        Talk().drive(
            openai().create_message("", MESSAGES),
            [Answer(429, {"x-should-retry": "false"}, [b'{"error":"x"}'])],
        )


def test_the_status_is_told_when_the_body_of_an_error_breaks_off() -> None:
    broken = Answer(503, {"x-should-retry": "false"}, [b'{"err', StreamInterruptedError("reset")])
    with pytest.raises(OverloadedError, match=r"^OpenAI completion error: 503 status code \(no body\)$"):
        Talk().drive(openai().create_message("", MESSAGES), [broken])


def test_a_redirect_to_another_host_carries_no_credentials() -> None:
    for provider, options in (
        ("openai", {"openAiApiKey": "sk-secret", "openAiModelId": "m"}),
        ("openai", {"openAiApiKey": "sk-secret", "openAiModelId": "m", "openAiUseAzure": True}),
        ("anthropic", {"apiKey": "sk-secret"}),
        ("gemini", {"geminiApiKey": "sk-secret"}),
    ):
        talk = Talk()
        conversation = ReferenceProvider(provider, options).complete_prompt("hi")
        talk.drive(conversation, [Answer(307, {"location": "https://elsewhere.test/x"}), Answer(204)])
        first, second = talk.calls
        assert "sk-secret" in repr(first.headers)
        assert "sk-secret" not in repr(second.headers)
        assert str(second.origin) == "https://elsewhere.test"
        assert (second.method, second.body) == ("POST", first.body)


def test_a_redirect_at_home_keeps_them_and_302_becomes_get() -> None:
    talk = Talk().drive(
        openai().create_message("", MESSAGES), [Answer(302, {"location": "../other?a=b"}), HELLO]
    )
    second = talk.calls[1]
    assert (second.method, second.target, second.body) == ("GET", "/v1/other?a=b", b"")
    assert headers_of(second)["authorization"] == "Bearer sk-secret"
    assert "content-type" not in headers_of(second)


def test_redirects_end() -> None:
    with pytest.raises(ProtocolError):
        Talk().drive(openai().create_message("", MESSAGES), [Answer(307, {"location": "/again"})] * 60)
    with pytest.raises(ProtocolError):
        Talk().drive(
            openai().create_message("", MESSAGES), [Answer(301, {"location": "file:///etc/passwd"})] * 3
        )


def test_a_key_that_http_cannot_carry() -> None:
    for key in ("sk-\u2713", "sk-\n", "a\x00b"):
        talk = Talk()
        with pytest.raises(ConfigurationError, match=r"^API key contains invalid characters\.$") as caught:
            talk.drive(openai(openAiApiKey=key).create_message("", MESSAGES), [])
        assert not talk.calls
        assert key not in repr(caught.value)


def test_an_address_that_is_none() -> None:
    for url in ("not a url", "ftp://host/x", "http://host:port/"):
        with pytest.raises(ConfigurationError):
            Talk().drive(openai(openAiBaseUrl=url).create_message("", MESSAGES), [])


def test_nothing_secret_is_shown() -> None:
    provider = openai()
    request = Request("GET", "https://user:sk-secret@host/x?key=sk-secret", (("authorization", "sk-secret"),))
    talk = Talk().drive(provider.complete_prompt("hi"), [Answer(204)])
    shown = (provider, request, provider._handler, provider._handler.client, talk.calls[0])
    assert "sk-secret" not in "".join(map(repr, shown))
    with pytest.raises(ConfigurationError) as caught:
        Request("GET", "ftp://user:sk-secret@host/x?key=sk-secret").call()
    assert "sk-secret" not in str(caught.value)


def test_targets_are_percent_encoded() -> None:
    talk = Talk().drive(
        openai(
            openAiBaseUrl="https://h/ä b/v1", openAiUseAzure=True, openAiModelId="my model"
        ).complete_prompt("x"),
        [Answer(204)],
    )
    assert talk.calls[0].target == (
        "/%C3%A4%20b/v1/deployments/my%20model/chat/completions?api-version=2024-08-01-preview"
    )


def test_an_answer_that_ends_without_its_sign_is_an_error_after_what_was_said() -> None:
    talk = Talk()
    with pytest.raises(StreamInterruptedError):
        talk.drive(openai().create_message("", MESSAGES), [Answer(body=sse(delta("<think>hm"))[:-1])])
    assert talk.chunks == [{"type": "reasoning", "text": "hm"}]
    finished = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    assert Talk().drive(openai().create_message("", MESSAGES), [Answer(body=sse(finished)[:-1])]).chunks == []


def test_a_connection_that_breaks_is_told_as_it_is() -> None:
    broken = Answer(body=[*sse(delta("a"))[:-1], StreamInterruptedError("reset by peer")])
    with pytest.raises(StreamInterruptedError, match=r"^reset by peer$"):
        Talk().drive(openai().create_message("", MESSAGES), [broken])
    gemini = ReferenceProvider("gemini", {})
    with pytest.raises(
        StreamInterruptedError, match=r"^Gemini generate context stream error: reset by peer$"
    ):
        Talk().drive(gemini.create_message("", MESSAGES), [broken])


def test_an_error_event_of_gemini_is_an_error() -> None:
    event = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
    with pytest.raises(OverloadedError, match="got status: UNAVAILABLE"):
        Talk().drive(
            ReferenceProvider("gemini", {}).create_message("", MESSAGES), [Answer(body=sse(event)[:-1])]
        )


def test_openrouter_keeps_what_it_fetched_for_five_minutes() -> None:
    provider = ReferenceProvider("openrouter", {"openRouterApiKey": "k", "openRouterModelId": "a/b"})
    models = Answer(
        body=[json.dumps({"data": [{"id": "a/b", "context_length": 1000, "pricing": {}}]}).encode()]
    )
    first = Talk().drive(provider.create_message("", MESSAGES), [models, HELLO])
    assert [call.method for call in first.calls] == ["GET", "POST"]
    assert json.loads(first.calls[1].body)["max_tokens"] == 200
    again = Talk().drive(provider.create_message("", MESSAGES), [HELLO], now=NOW + 299)
    assert [call.method for call in again.calls] == ["POST"]
    later = Talk().drive(provider.create_message("", MESSAGES), [models, HELLO], now=NOW + 300)
    assert [call.method for call in later.calls] == ["GET", "POST"]


def test_images() -> None:
    provider = ReferenceProvider("openrouter", {})
    url = "data:image/png;base64,AAAA"
    body = json.dumps({"choices": [{"message": {"images": [{"image_url": {"url": url}}]}}]}).encode()
    talk = Talk().drive(provider.generate_image("p", "m", "k", url), [Answer(body=[body])])
    assert talk.result == {"success": True, "imageData": url, "imageFormat": "png"}
    assert json.loads(talk.calls[0].body)["messages"][0]["content"][1]["image_url"] == {"url": url}
    for answer, error in (
        (ConnectError("no route"), "no route"),
        (Answer(body=[b"<html>"]), "the answer is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (Answer(body=[b'{"error":{"message":"nope"}}']), "Failed to generate image: nope"),
        (Answer(body=[b'{"choices":[{"message":{"images":[{}]}}]}']), "Invalid image data in response"),
    ):
        assert Talk().drive(provider.generate_image("p", "m", "k"), [answer]).result["error"] == error
    with pytest.raises(ConfigurationError):
        openai().generate_image("p", "m", "k")


def test_local_token_counts() -> None:
    # o200k counts of these texts by bpe-openai 0.1.4
    counts = {"What is in this picture?": 6, "Answer in one word.": 5, "<|endoftext|> special": 8}
    provider = ReferenceProvider("openai", {}, count_text=counts.__getitem__)

    def count(*content: dict[str, Any]) -> int:
        return Talk().drive(provider.count_tokens(content), []).result

    image = {"type": "image", "source": {"type": "base64", "data": "x" * 120}}
    assert count() == 0
    assert count({"type": "text", "text": "<|endoftext|> special"}, {"type": "tool_use", "input": {}}) == 12
    assert (
        count(
            {"type": "text", "text": "What is in this picture?"},
            image,
            {"type": "text", "text": "Answer in one word."},
        )
        == 33
    )
    assert count({"type": "image", "source": {"type": "url"}}) == 450
    with pytest.raises(ConfigurationError, match=r"tercet\[tokens\]"):
        Talk().drive(openai().count_tokens([{"type": "text", "text": "x"}]), [])


def test_names_and_identity() -> None:
    with pytest.raises(ConfigurationError, match="it has anthropic, "):
        ReferenceProvider("nobody", {})
    mine = {"HTTP-Referer": "https://me.test", "X-Title": "Me", "User-Agent": "me/1"}
    provider = ReferenceProvider("xai", {"xaiApiKey": "k"}, identity=mine)
    sent = headers_of(Talk().drive(provider.complete_prompt("x"), [Answer(204)]).calls[0])
    assert {name: sent[name.lower()] for name in mine} == mine
    sent = headers_of(Talk().drive(openai().complete_prompt("x"), [Answer(204)]).calls[0])
    assert {name: sent[name.lower()] for name in IDENTITY} == IDENTITY


def test_the_environment_is_what_is_handed_over() -> None:
    env = {
        "ANTHROPIC_API_KEY": "from-env",
        "ANTHROPIC_BASE_URL": "https://proxy.test/",
        "OPENAI_ORG_ID": "org",
    }
    call = (
        Talk().drive(ReferenceProvider("anthropic", {}, env=env).complete_prompt("x"), [Answer(204)]).calls[0]
    )
    assert headers_of(call)["x-api-key"] == "from-env"
    assert f"{call.origin}{call.target}" == "https://proxy.test/v1/messages"
    with pytest.raises(ConfigurationError, match="Could not resolve authentication method"):
        Talk().drive(ReferenceProvider("anthropic", {}).complete_prompt("x"), [])
    provider = ReferenceProvider("groq", {"groqApiKey": "k"}, env=env)
    sent = headers_of(Talk().drive(provider.complete_prompt("x"), [Answer(204)]).calls[0])
    assert sent["openai-organization"] == "org"


def test_lists_of_models() -> None:
    static = Talk().drive(ReferenceProvider("groq", {"groqApiKey": "k"}).list_models(), [])
    assert "moonshotai/kimi-k2-instruct-0905" in static.result
    assert not static.calls
    own = openai(openAiBaseUrl="https://h.test/v1")
    assert Talk().drive(own.list_models(), [Answer(body=[b'{"data":[{"id":"a"},{"id":"a"}]}'])]).result == [
        "a"
    ]
    assert Talk().drive(own.list_models(), [Answer(500)]).result == []
    assert Talk().drive(openai().list_models(), []).result == []
    fetched = Talk().drive(ReferenceProvider("openrouter", {}).list_models(), [ConnectError("down")])
    assert fetched.result == {}


def test_unsendable_blocks_are_refused_before_anything_is_sent() -> None:
    talk = Talk()
    content = [{"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}]
    with pytest.raises(BadRequestError, match=r"^Unsupported image source type$"):
        talk.drive(
            ReferenceProvider("gemini", {}).create_message("", [{"role": "user", "content": content}]), []
        )
    assert not talk.calls


def test_a_body_has_a_limit() -> None:
    piece = b" " * (8 * 1024 * 1024)
    with pytest.raises(ProtocolError, match="larger than"):
        Talk().drive(openai().complete_prompt("x"), [Answer(200, {}, [piece] * 9)])
