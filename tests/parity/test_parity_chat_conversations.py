"""Conversations of the chat family that no recording shows: lists that fail, files, sockets, models nobody knows, names of one's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from tercet.adapters.call import HttpCall
from tercet.adapters.reference import (
    Conversation,
    Draw,
    Emit,
    Now,
    OpenSocket,
    Read,
    ReadFile,
    ReceiveText,
    ReferenceProvider,
    Reply,
    Send,
    SendText,
    Sleep,
    WriteFile,
)
from tercet.adapters.reference.lists import get_models
from tercet.codecs.vocabulary import (
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    ProtocolError,
    ProviderError,
    RateLimitError,
    StreamInterruptedError,
    TercetError,
    TransportError,
)

MESSAGES = [{"role": "user", "content": "hi"}]
NOW = 1759320000.0


class Answer(msgspec.Struct):
    body: Sequence[bytes] = ()
    status: int = 200
    headers: dict[str, str] = msgspec.field(default_factory=lambda: {"content-type": "application/json"})


class World(msgspec.Struct):
    """What conversations ask of: answers in order, files, the lines of a socket; and what they asked."""

    answers: list[Any] = []
    files: dict[str, str] = {}
    socket: list[Any] = []
    calls: list[HttpCall] = []
    chunks: list[dict[str, Any]] = []
    sleeps: list[float] = []
    said: list[str] = []
    is_read_only: bool = False

    def drive(self, conversation: Conversation[Any]) -> Any:
        self.calls, self.chunks, self.sleeps, self.said = [], [], [], []
        body = iter(())
        value: Any = None
        failure: Exception | None = None
        try:
            while True:
                action = conversation.throw(failure) if failure else conversation.send(value)
                value, failure = None, None
                match action:
                    case Send(call):
                        self.calls.append(call)
                        answer = self.answers.pop(0)
                        if isinstance(answer, Exception):
                            failure = answer
                        else:
                            body, value = iter(answer.body), Reply(answer.status, answer.headers)
                    case Read():
                        value = next(body, b"")
                    case Sleep(seconds):
                        self.sleeps.append(seconds)
                    case Now():
                        value = NOW
                    case Draw():
                        value = 0.5
                    case Emit(chunk):
                        self.chunks.append(chunk)
                    case ReadFile(path):
                        if path in self.files:
                            value = self.files[path]
                        else:
                            failure = FileNotFoundError(2, "No such file or directory", path)
                    case WriteFile(path, text):
                        if self.is_read_only:
                            failure = PermissionError(13, "Permission denied", path)
                        else:
                            self.files[path] = text
                    case OpenSocket(call):
                        self.calls.append(call)
                    case SendText(text):
                        self.said.append(text)
                    case ReceiveText():
                        line = self.socket.pop(0)
                        failure, value = (line, None) if isinstance(line, Exception) else (None, line)
        except StopIteration as end:
            return end.value


def told(value: Any, status: int = 200) -> Answer:
    return Answer([json.dumps(value).encode()], status)


def streamed(*events: Any, done: bool = True, **headers: str) -> Answer:
    lines = [
        b"data: " + (event if isinstance(event, bytes) else json.dumps(event).encode()) for event in events
    ]
    return Answer(
        [b"%b\n\n" % line for line in [*lines, *([b"data: [DONE]"] if done else [])]], headers=headers
    )


def delta(text: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text, **more}}]}


def body_of(call: HttpCall) -> dict[str, Any]:
    return json.loads(call.body)


def headers_of(call: HttpCall) -> dict[str, str]:
    return {name.lower(): value for name, value in call.headers}


def provider(name: str, options: Mapping[str, Any] | None = None, **more: Any) -> ReferenceProvider:
    keys = {
        "cerebras": "cerebrasApiKey",
        "chutes": "chutesApiKey",
        "huggingface": "huggingFaceApiKey",
        "io-intelligence": "ioIntelligenceApiKey",
    }
    return ReferenceProvider(name, {keys.get(name, "none"): "k", **(options or {})}, count_text=len, **more)


def message(made: ReferenceProvider, **metadata: Any) -> Conversation[None]:
    return made.create_message("SYS", MESSAGES, metadata)


# --- lists of models -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["glama", "requesty", "vercel-ai-gateway", "lmstudio"])
@pytest.mark.parametrize(
    "answer", [ConnectError("refused"), told({}, 500), Answer([b"<html>"]), told([1, None])]
)
def test_a_list_that_cannot_be_had_is_empty(name: str, answer: Any) -> None:
    world = World([answer], socket=[ConnectError("refused")] * 2)
    assert world.drive(get_models({"provider": name})) == {}


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("litellm", told({}, 401), "LiteLLM models: 401 Unauthorized. Check base URL and API key."),
        (
            "litellm",
            told({"data": 1}),
            "LiteLLM models: Failed to fetch LiteLLM models: Unexpected response format.",
        ),
        (
            "huggingface",
            ConnectError("x"),
            "HuggingFace models: No response from server. Check your internet connection.",
        ),
        ("io-intelligence", told({}, 503), "IO Intelligence models: 503 Service Unavailable"),
        ("unbound", told({}, 429), "Unbound models: Request failed with status code 429"),
    ],
)
def test_a_list_that_cannot_be_had_says_why(name: str, answer: Any, said: str) -> None:
    with pytest.raises(TercetError) as caught:
        World([answer]).drive(get_models({"provider": name, "apiKey": "k"}))
    assert caught.value.message == f"Failed to fetch {said}"
    if isinstance(answer, Answer) and answer.status != 200:
        assert caught.value.status == answer.status


def test_deepinfras_list_is_not_reworded() -> None:
    with pytest.raises(RateLimitError, match=r"^Request failed with status code 429$"):
        World([told({}, 429)]).drive(get_models({"provider": "deepinfra"}))


def test_the_models_of_hugging_face_and_of_each_live_provider() -> None:
    model = {"object": "model", "created": 1, "owned_by": "o"}
    live = {"provider": "a", "status": "live", "context_length": 1000, "pricing": {"input": 1, "output": 2}}
    staging = {"provider": "b", "status": "staging"}
    plain = {"provider": "c", "status": "live"}
    data = [
        {"id": "x/y", **model, "providers": [staging, live, plain]},
        {"id": "x/z", **model, "providers": [plain]},
        {"id": "x/none", **model, "providers": []},
    ]
    found = World([told({"object": "list", "data": data})]).drive(get_models({"provider": "huggingface"}))
    assert list(found) == ["x/y", "x/y:a", "x/y:c", "x/z", "x/z:c"]
    assert found["x/y"] == {
        "maxTokens": 1000,
        "contextWindow": 1000,
        "supportsImages": False,
        "supportsPromptCache": False,
        "supportsComputerUse": False,
        "inputPrice": 1,
        "outputPrice": 2,
        "description": "x/y via HuggingFace",
    }
    assert found["x/y:c"]["description"] == "x/y via c"
    assert (found["x/z"]["contextWindow"], found["x/z"]["maxTokens"]) == (128000, 2048)
    assert "inputPrice" not in found["x/z"]


@pytest.mark.parametrize(
    "wrong", [{"status": "dead"}, {"context_length": None}, {"pricing": {"input": "1"}}, {"provider": 1}]
)
def test_a_provider_of_hugging_face_that_is_none(wrong: dict[str, Any]) -> None:
    provider = {"provider": "a", "status": "live", **wrong}
    data = [{"id": "x", "object": "model", "created": 1, "owned_by": "o", "providers": [provider]}]
    with pytest.raises(ProtocolError, match="Invalid response format from HuggingFace API"):
        World([told({"object": "list", "data": data})]).drive(get_models({"provider": "huggingface"}))


def test_a_chat_goes_on_without_hugging_faces_list_and_asks_for_it_once_an_hour() -> None:
    made = provider("huggingface")
    world = World([ConnectError("refused"), streamed(delta("a"))])
    world.drive(message(made))
    assert [chunk["text"] for chunk in world.chunks] == ["a"]
    world.answers = [told({"object": "list", "data": []}), streamed(delta("a")), streamed(delta("b"))]
    world.drive(message(made))
    world.drive(message(made))
    assert len(world.calls) == 1, "the list is still good"


def test_computer_use_on_an_old_litellm_is_known_by_name() -> None:
    models = [
        {"model_name": name, "litellm_params": {"model": behind}, "model_info": info}
        for name, behind, info in (
            ("old", "anthropic/claude-3-7-sonnet-20250219", {}),
            ("says no", "anthropic/claude-3-7-sonnet-20250219", {"supports_computer_use": False}),
            ("null", "anthropic/claude-3-7-sonnet-20250219", {"supports_computer_use": None}),
            ("other", "x/y", {}),
        )
    ]
    world = World([told({"data": [*models, {"model_name": 1}, {}]})])
    found = world.drive(get_models({"provider": "litellm", "baseUrl": "http://h:1//a///b/"}))
    assert {name: info["supportsComputerUse"] for name, info in found.items()} == {
        "old": True,
        "says no": False,
        "null": False,
        "other": False,
    }
    assert world.calls[0].target == "/a/b/v1/model/info"


def test_lists_are_asked_with_what_the_settings_say() -> None:
    world = World([told({"data": []})])
    world.drive(provider("litellm", {"litellmApiKey": "k", "litellmBaseUrl": "http://h:1"}).list_models())
    assert headers_of(world.calls[0])["authorization"] == "Bearer k"
    assert str(world.calls[0].origin) == "http://h:1"
    world.answers = [told({"data": [{"id": "a/b"}]})]
    listed = world.drive(provider("requesty", {"requestyApiKey": "k"}).list_models())
    assert (listed, headers_of(world.calls[0])["authorization"]) == ({"a/b": {}}, "Bearer k")
    assert "glm-4.5" in world.drive(provider("zai", {"zaiApiLine": "china"}).list_models())
    assert "xai/grok-code-fast-1" in world.drive(provider("roo").list_models())
    assert "qwen3-coder-plus" in world.drive(provider("qwen-code").list_models())


# --- LM Studio -----------------------------------------------------------------------------------------------------------------


def result(number: int, value: Any) -> str:
    return json.dumps({"type": "rpcResult", "callId": number, "result": value})


LET_IN = '{"success":true}'
ON_DISK = {
    "type": "llm",
    "path": "Meta/Llama-3.1/a.gguf",
    "maxContextLength": 9,
    "displayName": "L",
    "vision": True,
}


def test_loaded_models_are_told_even_where_those_on_the_disk_are_not() -> None:
    loaded = {"modelKey": "llama-3.1", "path": "p", "displayName": "L", "contextLength": 4, "vision": False}
    for refused in (ProtocolError("no"), '{"success":false}', "not json"):
        lines = [
            refused,
            LET_IN,
            '{"type":"other"}',
            result(0, [{"instanceReference": "r"}]),
            result(1, loaded),
        ]
        world = World([told({})], socket=lines)
        found = world.drive(get_models({"provider": "lmstudio"}))
        assert {name: info["contextWindow"] for name, info in found.items()} == {"llama-3.1": 4}


@pytest.mark.parametrize(
    "end", [StreamInterruptedError("gone"), '{"type":"rpcError","callId":0}', "{", *[['{"type":"log"}'] * 70]]
)
def test_what_is_loaded_may_not_be_told(end: Any) -> None:
    lines = [
        LET_IN,
        result(0, [ON_DISK, {"type": "llm"}]),
        LET_IN,
        *(end if isinstance(end, list) else [end]),
    ]
    found = World([told({})], socket=lines).drive(get_models({"provider": "lmstudio"}))
    assert list(found) == ["Meta/Llama-3.1/a.gguf"]
    assert found["Meta/Llama-3.1/a.gguf"]["supportsImages"] is True


def test_an_address_that_is_none_gives_no_models() -> None:
    assert World().drive(get_models({"provider": "lmstudio", "baseUrl": "nowhere"})) == {}


def test_lm_studio_counts_before_it_asks() -> None:
    made = ReferenceProvider("lmstudio", {"lmStudioModelId": "m"})
    world = World([streamed(delta("a"))])
    with pytest.raises(ConfigurationError, match="tokenizer"):
        world.drive(message(made))
    assert not world.calls
    world.drive(message(provider("lm-studio")))
    assert world.chunks[-1] == {"type": "usage", "inputTokens": 8, "outputTokens": 2}


def test_a_cut_stream_of_lm_studio_is_told_as_such() -> None:
    world = World([streamed(delta("a"), done=False)])
    with pytest.raises(StreamInterruptedError, match="the stream ended before its answer did"):
        world.drive(message(provider("lm-studio")))
    assert [chunk["type"] for chunk in world.chunks] == ["text", "usage"]


# --- Glama ---------------------------------------------------------------------------------------------------------------------


def test_glama_is_asked_for_usage_ten_times_at_most() -> None:
    not_yet = told({"tokenUsage": {"promptTokens": 1}, "totalCostUsd": None})
    world = World([told([]), streamed(delta("a"), **{"x-completion-request-id": "r"}), *[not_yet] * 10])
    world.drive(message(provider("glama")))
    assert [chunk["type"] for chunk in world.chunks] == ["text"]
    assert (len(world.calls), world.sleeps) == (12, [0.2] * 10)


def test_glama_is_not_asked_for_the_usage_of_a_request_without_a_name() -> None:
    world = World([told([]), streamed(delta("a"))])
    world.drive(message(provider("glama")))
    assert len(world.calls) == 2


# --- Cerebras ------------------------------------------------------------------------------------------------------------------


def test_cerebras_takes_texts_alone() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "x"}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "see"}, image, {"type": "text", "text": ""}]},
        {"role": "assistant", "content": "<think>hm\nhm</think> \n yes <think>open"},
        {"role": "assistant", "content": "<think>nothing else</think>"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "row"}]},
        {"role": "user", "content": " \n"},
    ]
    world = World([streamed(delta("a"))])
    world.drive(provider("cerebras").create_message("S", messages))
    assert body_of(world.calls[0])["messages"] == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "see\n[Image]"},
        {"role": "assistant", "content": "yes <think>open"},
        {"role": "tool", "content": "row"},
    ]
    assert world.chunks[-1]["inputTokens"] == 8  # 30 characters


def test_cerebras_estimates_what_it_is_not_told() -> None:
    world = World([streamed({"choices": [], "usage": {"prompt_tokens": 7}})])
    world.drive(provider("cerebras", {"apiModelId": "nobody-knows-it"}).create_message("🎉🎉", MESSAGES))
    assert world.chunks == [{"type": "usage", "inputTokens": 7, "outputTokens": 100}]
    assert "max_completion_tokens" not in body_of(world.calls[0])
    world.answers = [streamed(delta("a"))]
    world.drive(provider("cerebras").create_message("🎉🎉", MESSAGES))
    assert world.chunks[-1]["inputTokens"] == 2, "a character beyond the BMP counts twice"


@pytest.mark.parametrize(("chosen", "sent"), [(9, 1.5), (-1, 0), (0, None), (0.3, 0.3)])
def test_cerebras_temperatures_have_a_range(chosen: float, sent: float | None) -> None:
    world = World([streamed(delta("a"))])
    world.drive(message(provider("cerebras", {"modelTemperature": chosen})))
    assert body_of(world.calls[0]).get("temperature") == sent


@pytest.mark.parametrize("event", [{"error": {"message": "boom"}}, b"{cut", {"no": "choices"}])
def test_cerebras_does_not_pass_over_an_error(event: Any) -> None:
    """The reference does, and ends as if the answer were whole."""
    world = World([streamed(delta("a"), event, delta("b"))])
    with pytest.raises((ProviderError, ProtocolError), match=r"^Cerebras completion error: "):
        world.drive(message(provider("cerebras")))
    assert [chunk["text"] for chunk in world.chunks] == ["a"]


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [
        (418, b"", "HTTP 418"),
        (422, b'{"error":{"message":"deep"}}', "deep"),
        (422, b'{"a":1}', '{"a":1}'),
        (404, b"plain", "plain"),
    ],
)
def test_what_cerebras_says_is_wrong(status: int, text: bytes, said: str) -> None:
    with pytest.raises(ProviderError) as caught:
        World([Answer([text], status)]).drive(message(provider("cerebras")))
    assert caught.value.message == f"Cerebras completion error: Cerebras API Error ({status}): {said}"
    assert caught.value.status == status


def test_cerebras_has_no_retries() -> None:
    world = World([ConnectError("refused")])
    with pytest.raises(ConnectError, match=r"^Cerebras completion error: refused$"):
        world.drive(message(provider("cerebras")))
    assert not world.sleeps


# --- Qwen Code -----------------------------------------------------------------------------------------------------------------

FILE = "~/.qwen/oauth_creds.json"
GOOD = {
    "access_token": "a",
    "refresh_token": "r",
    "expiry_date": NOW * 1000 + 31_000,
    "resource_url": "q.example",
}
RENEWED = {"access_token": "b", "token_type": "Bearer", "expires_in": 60}
REFUSED = told({"error": {"message": "no"}}, 401)


def qwen_world(answers: list[Any], **changed: Any) -> World:
    return World(answers, {FILE: json.dumps({**GOOD, **changed})})


def test_a_token_is_read_once_and_renewed_when_it_runs_out() -> None:
    made = provider("qwen-code")
    world = qwen_world([streamed(delta("a"))] * 2)
    world.drive(message(made))
    world.files.clear()
    world.drive(message(made))
    assert str(world.calls[0].origin) == "https://q.example"
    assert headers_of(world.calls[0])["authorization"] == "Bearer a"
    world = qwen_world([told(RENEWED), streamed(delta("a"))], expiry_date=NOW * 1000 + 30_000)
    world.drive(message(provider("qwen-code")))
    assert headers_of(world.calls[1])["authorization"] == "Bearer b"
    assert json.loads(world.files[FILE]) == {
        "access_token": "b",
        "refresh_token": "r",
        "token_type": "Bearer",
        "expiry_date": 1759320060000,
        "resource_url": "q.example",
    }


def test_a_token_that_cannot_be_kept_is_used_all_the_same() -> None:
    world = qwen_world([told(RENEWED), streamed(delta("a"))], expiry_date=None)
    world.is_read_only = True
    before = dict(world.files)
    world.drive(message(provider("qwen-code")))
    assert headers_of(world.calls[1])["authorization"] == "Bearer b"
    assert world.files == before


def test_a_token_that_another_call_has_renewed_is_not_renewed_again() -> None:
    made = provider("qwen-code")
    first, second = message(made), message(made)
    world = qwen_world([REFUSED, told(RENEWED), streamed(delta("a"))])
    # The second call is on its way with the old token when the first renews it.
    action = second.send(None)
    while not isinstance(action, Send):
        action = second.send(world.files[FILE] if isinstance(action, ReadFile) else NOW)
    world.drive(first)
    action = second.send(Reply(401, {}))
    while not isinstance(action, Send):
        action = second.send(b"" if isinstance(action, Read) else None)
    assert headers_of(action.call)["authorization"] == "Bearer b"


@pytest.mark.parametrize("text", [None, "[]", "{"])
def test_credentials_that_cannot_be_read(text: str | None) -> None:
    world = World(files={} if text is None else {"/home/me/q.json": text})
    with pytest.raises(ConfigurationError, match=r"^Failed to load Qwen OAuth credentials: "):
        world.drive(message(provider("qwen-code", {"qwenCodeOauthPath": "/home/me/q.json"})))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer([b"<html>"]), "the answer is not JSON"),
        (told({"error": "e", "error_description": "d"}), "e - d"),
        (told({}, 500), "500 Internal Server Error. Response: {}"),
    ],
)
def test_a_token_that_is_not_renewed(answer: Answer, said: str) -> None:
    with pytest.raises(ProviderError, match=r"^Token refresh failed: ") as caught:
        qwen_world([answer], expiry_date=0).drive(message(provider("qwen-code")))
    assert caught.value.message == f"Token refresh failed: {said}"


def test_a_refused_renewal_is_an_authentication_error() -> None:
    with pytest.raises(AuthenticationError):
        qwen_world([told({"error": "invalid_grant"}, 400)], expiry_date=0).drive(
            message(provider("qwen-code"))
        )


def test_cumulative_deltas_and_tags_within_one() -> None:
    texts = ["a", "ab", "ab<think>c", "x</think>f", None]
    world = qwen_world([streamed(*(delta(text) for text in texts), delta("", reasoning_content="r"))])
    world.drive(message(provider("qwen-code")))
    said = [(chunk["type"], chunk["text"]) for chunk in world.chunks]
    assert said == [
        ("text", "a"),
        ("text", "b"),
        ("reasoning", "c"),
        ("text", "x"),
        ("reasoning", "f"),
        ("reasoning", "r"),
    ]


# --- models, keys, names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "model_id"),
    [
        ("chutes", {"apiModelId": "nobody-knows-it"}, "deepseek-ai/DeepSeek-R1-0528"),
        ("io-intelligence", {"ioIntelligenceModelId": "new/model"}, "new/model"),
        ("roo", {"apiModelId": "new/model"}, "new/model"),
        ("deepinfra", {"deepInfraModelId": "new/model"}, "new/model"),
        ("requesty", {"requestyModelId": "new/model"}, "new/model"),
        ("glama", {"glamaModelId": "new/model"}, "anthropic/claude-3-7-sonnet"),
        ("zai", {"zaiApiLine": "china", "apiModelId": "nobody-knows-it"}, "glm-4.5"),
        ("qwen-code", {"apiModelId": "new-model"}, "new-model"),
        ("moonshot", {}, "kimi-k2-0905-preview"),
        ("ollama", {"ollamaModelId": "m"}, "m"),
        ("huggingface", {}, "meta-llama/Llama-3.3-70B-Instruct"),
        ("cerebras", {"apiModelId": "qwen-3-coder-480b-free"}, "qwen-3-coder-480b"),
    ],
)
def test_models_that_the_settings_name(name: str, options: dict[str, Any], model_id: str) -> None:
    model = provider(name, options).get_model()
    assert model["id"] == model_id
    assert model["info"]["contextWindow"] > 0


def test_temperatures_are_among_an_r1_models_facts() -> None:
    assert provider("chutes").get_model()["info"]["temperature"] == 0.6
    other = provider("chutes", {"apiModelId": "unsloth/gemma-3-4b-it"}).get_model()
    assert (other["id"], other["info"]["temperature"]) == ("unsloth/gemma-3-4b-it", 0.5)


@pytest.mark.parametrize(
    ("line", "origin"), [("china", "https://open.bigmodel.cn"), ("international", "https://api.z.ai")]
)
def test_the_lines_of_zai(line: str, origin: str) -> None:
    world = World([streamed(delta("a"))])
    world.drive(message(provider("zai", {"zaiApiLine": line, "zaiApiKey": "k"})))
    assert str(world.calls[0].origin) == origin
    with pytest.raises(ConfigurationError, match="international_coding"):
        provider("zai", {"zaiApiLine": "moon"})


@pytest.mark.parametrize(
    "name", ["chutes", "featherless", "fireworks", "sambanova", "io-intelligence", "huggingface", "cerebras"]
)
def test_keys_that_are_required(name: str) -> None:
    with pytest.raises(ConfigurationError, match="API key is required"):
        ReferenceProvider(name, {})


def test_hugging_face_takes_a_limit_only_where_both_settings_say_so() -> None:
    for options, sent in (
        ({"modelMaxTokens": 5}, None),
        ({"includeMaxTokens": True}, None),
        ({"includeMaxTokens": True, "modelMaxTokens": 5}, 5),
    ):
        world = World([ConnectError("x"), streamed(delta("a"))])
        world.drive(message(provider("huggingface", options)))
        assert body_of(world.calls[1]).get("max_tokens") == sent


def test_unbound_sends_the_second_part_of_an_id() -> None:
    models = {"openai/o3-mini": {}, "plain": {}}
    for chosen, sent in (("openai/o3-mini", "o3-mini"), ("plain", "plain")):
        world = World([told(models), streamed(delta("a"))])
        world.drive(message(provider("unbound", {"unboundModelId": chosen, "modelTemperature": 1})))
        assert body_of(world.calls[1])["model"] == sent
        assert ("temperature" in body_of(world.calls[1])) is (chosen == "plain")


def test_reasoning_parameters_of_requesty() -> None:
    models = {
        "data": [
            {"id": "openai/gpt-5", "supports_reasoning": True, "context_window": 9, "max_output_tokens": 9}
        ]
    }
    world = World([told(models), streamed(delta("a"))])
    world.drive(message(provider("requesty", {"requestyModelId": "openai/gpt-5", "reasoningEffort": "low"})))
    assert body_of(world.calls[1])["reasoning_effort"] == "low"


def test_caching_on_a_litellm_proxy_is_the_settings_choice() -> None:
    model = {
        "model_name": "m",
        "litellm_params": {"model": "m"},
        "model_info": {"supports_prompt_caching": True},
    }
    for chosen in (True, False):
        world = World([told({"data": [model]}), streamed(delta("a"))])
        world.drive(message(provider("litellm", {"litellmModelId": "m", "litellmUsePromptCache": chosen})))
        assert ("cache_control" in world.calls[1].body.decode()) is chosen


def test_routers_take_headers_from_the_settings() -> None:
    world = World([told({}), streamed(delta("a"))])
    world.drive(message(provider("deepinfra", {"openAiHeaders": {"x-deepinfra-source": "mine"}})))
    assert headers_of(world.calls[1])["x-deepinfra-source"] == "mine"


def test_roo_takes_its_address_from_the_environment_and_its_key_from_a_session() -> None:
    made = ReferenceProvider(
        "roo", {"rooSessionToken": "s"}, env={"ROO_CODE_PROVIDER_URL": "http://here:1/v1"}
    )
    world = World([streamed(delta("a", reasoning_content=3))])
    world.drive(message(made, taskId="t"))
    assert str(world.calls[0].origin) == "http://here:1"
    sent = headers_of(world.calls[0])
    assert (sent["authorization"], sent["x-roo-task-id"]) == ("Bearer s", "t")
    assert world.chunks == [{"type": "text", "text": "a"}]


@pytest.mark.parametrize("name", ["glama", "unbound", "deepinfra", "fireworks"])
def test_a_program_with_a_name_of_its_own_does_not_call_itself_otherwise(name: str) -> None:
    made = ReferenceProvider(
        name, {"fireworksApiKey": "k"}, identity={"X-Title": "mine", "User-Agent": "mine/1"}
    )
    world = World([*([] if name == "fireworks" else [told({})]), streamed(delta("a"))])
    world.drive(message(made))
    sent = world.calls[-1]
    assert "roo" not in json.dumps([sent.headers, sent.body.decode()]).lower()
    if name != "fireworks":
        assert "mine" in json.dumps(
            [value for key, value in sent.headers if key.lower().startswith("x-") and key != "X-Title"]
        )


def test_errors_of_a_litellm_stream_all_carry_its_name() -> None:
    world = World([told({"data": []}), streamed(delta("a"), {"error": {"message": "boom"}})])
    with pytest.raises(ProviderError, match=r"^LiteLLM streaming error: boom$"):
        world.drive(message(provider("litellm")))


def test_transport_errors_in_the_middle_are_not_lost() -> None:
    with pytest.raises(TransportError):
        World([told([]), ConnectError("x"), ConnectError("x"), ConnectError("x")]).drive(
            message(provider("glama"))
        )
