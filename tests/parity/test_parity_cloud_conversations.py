"""Bedrock, Vertex, Gemini CLI, Claude Code and the editor's models without a network: what their recordings do not show."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from tercet.adapters.auth.google_jwt import NO_SIGNER, service_account_claims, signed_jwt
from tercet.adapters.call import HttpCall
from tercet.adapters.reference import (
    CallHost,
    Conversation,
    Draw,
    Emit,
    Exit,
    Exited,
    HostPart,
    Now,
    Read,
    ReadFile,
    ReferenceProvider,
    Reply,
    RunProcess,
    Send,
    Sleep,
    WriteFile,
)
from tercet.adapters.reference.bedrock import to_bedrock
from tercet.adapters.reference.bedrock_cache import message_points, message_tokens, system_tokens
from tercet.adapters.reference.vertex import mark_vertex
from tercet.codecs.framing.eventstream import encode_message
from tercet.codecs.vocabulary import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConnectError,
    ContextLengthError,
    NotFoundError,
    OverloadedError,
    ProtocolError,
    ProviderError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    TercetError,
)

NOW = 1759320000.0  # 2025-10-01T12:00:00Z
MESSAGES = [{"role": "user", "content": "hi"}]
USER = {"type": "authorized_user", "client_id": "id", "client_secret": "s", "refresh_token": "r"}
JSON = {"content-type": "application/json"}


class Answer(msgspec.Struct):
    status: int = 200
    headers: dict[str, str] = {}
    body: Sequence[bytes | TercetError] = ()


def said(value: Any, status: int = 200) -> Answer:
    return Answer(status, JSON, [json.dumps(value).encode()])


class World(msgspec.Struct):
    """What a conversation may ask for, and what it asked."""

    answers: list[Answer | TercetError] = []
    files: dict[str, str] = {}
    output: Sequence[bytes] = ()
    exit: Exited = Exited(0, b"")
    host: list[Any] = []
    now: float = NOW
    calls: list[HttpCall] = []
    chunks: list[dict[str, Any]] = []
    sleeps: list[float] = []
    runs: list[RunProcess] = []
    asked: list[Any] = []
    result: Any = None

    def drive(self, conversation: Conversation[Any]) -> World:
        coming = iter(self.answers)
        body: Any = iter(())
        host = iter(self.host)
        value: Any = None
        failure: Exception | None = None
        try:
            while True:
                action = conversation.throw(failure) if failure else conversation.send(value)
                value = failure = None
                match action:
                    case Send(call):
                        self.calls.append(call)
                        value = next(coming)
                        if isinstance(value, Answer):
                            body = iter(value.body)
                            value = Reply(value.status, value.headers)
                    case Read():
                        value = next(body, b"")
                    case ReadFile(path):
                        value = self.files.get(path, FileNotFoundError(2, "No such file or directory"))
                    case WriteFile(path, text):
                        self.files[path] = text
                    case RunProcess():
                        self.runs.append(action)
                        body = iter(self.output)
                        value = next(host, None)
                    case Exit():
                        value = self.exit
                    case CallHost(call):
                        self.asked.append(call)
                        value = next(host)
                    case HostPart():
                        value = next(host)
                    case Sleep(seconds):
                        self.sleeps.append(seconds)
                    case Now():
                        value = self.now
                    case Draw():
                        value = 0.5
                    case Emit(chunk):
                        self.chunks.append(chunk)
                if isinstance(value, Exception):
                    failure = value
        except StopIteration as end:
            self.result = end.value
        return self


def headers_of(call: HttpCall) -> dict[str, str]:
    return {name.lower(): value for name, value in call.headers}


def texts(world: World) -> list[str]:
    return [chunk["text"] for chunk in world.chunks if chunk["type"] == "text"]


# --- Bedrock ---------------------------------------------------------------------------------------------------------------------

SONNET = "anthropic.claude-3-5-sonnet-20241022-v2:0"


def bedrock(env: Mapping[str, str] | None = None, **options: Any) -> ReferenceProvider:
    given_: dict[str, Any] = {
        "awsAccessKey": "AKID",
        "awsSecretKey": "secret",
        "awsRegion": "us-east-1",
        "apiModelId": SONNET,
    }
    return ReferenceProvider(
        "bedrock",
        {name: value for name, value in {**given_, **options}.items() if value is not None},
        env=env,
    )


def frame(name: str, payload: Any, kind: str = "event") -> bytes:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return encode_message({":message-type": kind, f":{kind}-type": name}, data)


STOP = frame("messageStop", {"stopReason": "end_turn"})


def failed(status: int, name: str, message: str) -> Answer:
    return Answer(
        status,
        {"x-amzn-errortype": name, "x-amzn-requestid": "req"},
        [json.dumps({"message": message}).encode()],
    )


def test_a_message_with_a_tool_is_sent_as_bedrock_takes_it(shared: Path) -> None:
    """The reference's vector, but for its three defects: the call's input as text, a lost text result, an empty picture."""
    vectors = json.loads((shared / "providers/vectors-reference.json").read_text("utf-8"))
    ours = [to_bedrock(message) for message in vectors["input"]]
    theirs = json.loads(
        json.dumps(vectors["bedrock"]).replace('{"$bytes_base64": "iVBORw0KGgo="}', '"iVBORw0KGgo="')
    )
    assert theirs[3]["content"][2]["toolUse"].pop("input").startswith("<lookup>")
    assert ours[3]["content"][2]["toolUse"].pop("input") == {"q": "x", "n": 2}
    assert theirs[4]["content"][1]["toolResult"]["content"].pop(1) == {}
    picture = ours[4]["content"][1]["toolResult"]["content"].pop(1)
    assert picture == {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}}
    assert theirs[6]["content"][0]["toolUse"].pop("input") == "<noop>\n\n</noop>"
    assert ours[6]["content"][0]["toolUse"].pop("input") == {}
    assert theirs[7]["content"][0]["toolResult"].pop("content") == [{"text": ""}]
    assert ours[7]["content"][0]["toolResult"].pop("content") == [{"text": "done"}]
    assert ours == theirs


def test_a_picture_that_bedrock_does_not_take_is_refused_before_anything_is_sent() -> None:
    source = {"type": "base64", "media_type": "image/bmp", "data": "AA=="}
    world = World()
    with pytest.raises(BadRequestError, match="Unsupported image format: bmp"):
        world.drive(
            bedrock().create_message("", [{"role": "user", "content": [{"type": "image", "source": source}]}])
        )
    assert (world.calls, world.chunks) == ([], [])


def test_thinking_that_a_block_starts_with() -> None:
    world = World(
        [
            Answer(
                body=[
                    frame("contentBlockStart", {"contentBlock": {"reasoningContent": {"text": "a"}}}),
                    frame(
                        "contentBlockStart",
                        {"contentBlockIndex": 1, "contentBlock": {"type": "thinking", "thinking": "b"}},
                    ),
                    frame("contentBlockStart", {"contentBlockIndex": 2, "contentBlock": {"type": "text"}}),
                    STOP,
                ]
            )
        ]
    )
    world.drive(bedrock().create_message("", MESSAGES))
    assert [(chunk["type"], chunk["text"]) for chunk in world.chunks] == [
        ("reasoning", "a"),
        ("reasoning", "\n"),
        ("reasoning", "b"),
    ]


@pytest.mark.parametrize(
    ("status", "name", "message", "kind", "text"),
    [
        (400, "ValidationException", "model loading, one moment", BadRequestError, "Model is not ready"),
        (400, "ValidationException", "Internal error of a kind", BadRequestError, "Amazon Bedrock internal"),
        (
            400,
            "ValidationException",
            "x with on-demand throughput isn’t supported.",
            BadRequestError,
            "\n1. Try",
        ),
        (400, "ValidationException", "too many tokens", ContextLengthError, '"Too many tokens"'),
        (404, "ResourceNotFoundException", "Model not found", NotFoundError, "The specified ARN"),
        (403, "AccessDeniedException", "no", ProviderError, "You don't have access"),
        (403, "com.amazon#ExpiredTokenException", "old", AuthenticationError, "Unknown Error: old"),
        (424, "ModelErrorException", "it broke", ServerError, "Unknown Error: it broke"),
    ],
)
def test_failures_are_told_and_raised(
    status: int, name: str, message: str, kind: type[TercetError], text: str
) -> None:
    world = World([failed(status, name, message)])
    with pytest.raises(kind) as caught:
        world.drive(bedrock().create_message("", MESSAGES))
    assert caught.value.message.startswith(text)
    assert (caught.value.status, caught.value.request_id) == (status, "req")
    assert texts(world) == [f"Error: {caught.value.message}"]
    assert world.chunks[-1] == {"type": "usage", "inputTokens": 0, "outputTokens": 0}


def test_throttling_is_handed_on_as_it_is() -> None:
    world = World([failed(429, "ThrottlingException:http://x", "Too fast")] * 3)
    with pytest.raises(RateLimitError, match=r"^Too fast$"):
        world.drive(bedrock().create_message("", MESSAGES))
    assert (world.chunks, world.sleeps, len(world.calls)) == ([], [0.25, 0.5], 3)
    world = World([Answer(body=[frame("throttlingException", {"message": "slow"}, "exception")])])
    with pytest.raises(RateLimitError, match=r"^slow$"):
        world.drive(bedrock().create_message("", MESSAGES))
    assert world.chunks == []
    with pytest.raises(RateLimitError, match=r"^Bedrock completion error: Request was throttled"):
        World([failed(429, "ThrottlingException", "Too fast")] * 3).drive(bedrock().complete_prompt("x"))


def test_a_request_that_failed_for_a_moment_is_sent_again_and_signed_again() -> None:
    broken = ConnectError("refused")
    world = World([broken, failed(503, "ServiceUnavailableException", "later"), Answer(body=[STOP])])
    world.drive(bedrock().create_message("", MESSAGES))
    assert world.sleeps == [0.05, 0.1]
    assert len({headers_of(call)["authorization"] for call in world.calls}) == 1, "the clock stood still"
    world = World([broken] * 3)
    with pytest.raises(ConnectError, match=r"^Unknown Error: refused$"):
        world.drive(bedrock().create_message("", MESSAGES))
    world = World([ProtocolError("not HTTP")])
    with pytest.raises(ProtocolError):
        world.drive(bedrock().create_message("", MESSAGES))
    assert world.sleeps == []


def test_a_stream_that_breaks_off_is_interrupted_and_not_told_as_a_failure() -> None:
    world = World(
        [Answer(body=[frame("contentBlockDelta", {"delta": {"text": "a"}}), StreamInterruptedError("x")])]
    )
    with pytest.raises(StreamInterruptedError):
        world.drive(bedrock().create_message("", MESSAGES))
    assert texts(world) == ["a"]


def test_what_is_wrong_with_a_frame_is_told() -> None:
    for bytes_, text in (
        (b"\x00" * 16, "prelude"),
        (STOP[:-4] + b"\x00\x00\x00\x00", "The message checksum \\("),
        (frame("contentBlockDelta", b"{"), "not JSON"),
    ):
        with pytest.raises(ProtocolError, match=text):
            World([Answer(body=[bytes_])]).drive(bedrock().create_message("", MESSAGES))
    with pytest.raises(ProviderError, match=r"^Unknown Error: plain$"):
        World([Answer(body=[frame("x", b"plain", "exception")])]).drive(
            bedrock().create_message("", MESSAGES)
        )
    with pytest.raises(ProviderError, match=r"^Unknown Error: the answer of status 418 is not JSON$"):
        World([Answer(418, {}, [b"<html>"])]).drive(bedrock().create_message("", MESSAGES))


def test_where_the_keys_come_from() -> None:
    shared_file = (
        "[default]\naws_access_key_id=AKIDD\naws_secret_access_key=d\n[work]\naws_access_key_id=AKIDW\n"
    )
    config = "[profile work]\naws_access_key_id=AKIDOLD\naws_secret_access_key=w\naws_session_token=t%x\n"
    files = {"~/.aws/credentials": shared_file, "~/.aws/config": config}
    none = {"awsAccessKey": None, "awsSecretKey": None}

    def key_of(env: dict[str, str], files: dict[str, str], **options: Any) -> tuple[str, str | None]:
        world = World([said({})], files)
        world.drive(bedrock(env, **{**none, **options}).complete_prompt("x"))
        headers = headers_of(world.calls[0])
        return headers["authorization"].split("=")[1].split("/")[0], headers.get("x-amz-security-token")

    assert key_of({}, files) == ("AKIDD", None)
    assert key_of({"AWS_PROFILE": "work"}, files) == ("AKIDW", "t%x")
    assert key_of({}, files, awsUseProfile=True, awsProfile="work") == ("AKIDW", "t%x")
    assert key_of({"AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "s"}, files) == ("E", None)
    elsewhere = {"AWS_SHARED_CREDENTIALS_FILE": "/x"}
    assert key_of(elsewhere, {"/x": shared_file}) == ("AKIDD", None)
    for broken in ("no section\n", "[default\n", "[default]\naws_access_key_id=A\n"):
        with pytest.raises(ConfigurationError, match="Could not load credentials from any providers"):
            key_of({}, {"~/.aws/credentials": broken})
    with pytest.raises(ConfigurationError, match=r"profile: \[gone\]"):
        key_of({}, files, awsUseProfile=True, awsProfile="gone")


def test_regions_and_addresses() -> None:
    def url(env: Mapping[str, str] | None = None, **options: Any) -> str:
        world = World([said({})])
        world.drive(bedrock(env, **options).complete_prompt("x"))
        return f"{world.calls[0].origin}{world.calls[0].target}"

    host = "https://bedrock-runtime.{}.amazonaws.com/model/"
    for region, prefix in (("us-gov-west-1", "ug."), ("sa-east-1", "sa."), ("me-south-1", "")):
        assert url(awsRegion=region, awsUseCrossRegionInference=True).startswith(
            host.format(region) + prefix + "anthropic"
        )
    assert url({"AWS_REGION": "eu-west-3"}, awsRegion=None).startswith(host.format("eu-west-3"))
    assert url(awsBedrockEndpoint="http://127.0.0.1:9/base/", awsBedrockEndpointEnabled=True).startswith(
        "http://127.0.0.1:9/base/model/"
    )
    arn = "arn:aws:bedrock:eu-west-1::foundation-model/eu." + SONNET
    assert url(awsCustomArn=arn).startswith(host.format("eu-west-1") + "anthropic.claude-3-5-sonnet")
    with pytest.raises(ConfigurationError, match="Region is missing"):
        url(awsRegion=None)


@pytest.mark.parametrize(
    "arn", ["", "arn:aws:s3:::x/y", "arn:aws:bedrock:us-east-1:1:model", "arn:aws:bedrock::1:a/b"]
)
def test_an_arn_that_is_none(arn: str) -> None:
    if arn:
        with pytest.raises(ConfigurationError, match=r"^INVALID_ARN_FORMAT:"):
            bedrock(awsCustomArn=arn)
    else:
        assert bedrock(awsCustomArn=arn).get_model()["id"] == SONNET


def test_models_that_are_not_in_the_table() -> None:
    model = bedrock(apiModelId="my.claude-3-haiku-x").get_model()
    assert (model["id"], model["info"]["maxTokens"]) == ("anthropic.claude-sonnet-4-20250514-v1:0", 4096)
    model = bedrock(apiModelId="my.model", modelMaxTokens=77, awsModelContextWindow=99).get_model()
    assert (model["info"]["maxTokens"], model["info"]["contextWindow"]) == (77, 99)
    assert model["info"]["supportsImages"] is False


def test_thinking_may_be_asked_for_by_a_message() -> None:
    world = World([Answer(body=[STOP])])
    provider = bedrock(apiModelId="anthropic.claude-3-7-sonnet-20250219-v1:0")
    world.drive(provider.create_message("", MESSAGES, {"thinking": {"enabled": True}}))
    fields = json.loads(world.calls[0].body)["additionalModelRequestFields"]
    assert fields == {"thinking": {"type": "enabled", "budget_tokens": 4096}}


def turns(*sizes: int) -> list[dict[str, Any]]:
    """User and assistant by turns; a message of ``n`` words is ``ceil(1.3 n + 10)`` tokens."""
    roles = ("user", "assistant")
    return [{"role": roles[place % 2], "content": "w " * size} for place, size in enumerate(sizes)]


def test_cache_points_move_as_a_conversation_grows() -> None:
    assert message_tokens({"role": "user", "content": "one, two\nthree"}) == math.ceil(
        3 * 1.3 + 0.3 + 0.5 + 10
    )
    assert (
        message_tokens({"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "a"}]}) == 312
    )
    assert message_tokens({"role": "user", "content": ""}) == 0
    assert (system_tokens(""), system_tokens("a b")) == (0, 8)
    assert message_points(turns(9000), (), 4, 1024) == [], "one message alone is not cached"
    assert message_points(turns(9, 9, 9), (), 4, 1024) == [], "too little"
    first = message_points(turns(900, 10, 10), (), 3, 1024)
    assert first == [2]
    longer = turns(900, 10, 10, 10, 10)
    assert message_points(longer, first, 3, 1024) == [2], "too little that is new"
    longer = turns(900, 10, 10, 900, 10)
    assert message_points(longer, first, 3, 1024) == [2, 4], "a point more"
    full = turns(900, 10, 10, 900, 10, 900, 10, 10, 10)
    assert message_points(full, [2, 4, 6], 3, 1024) == [2, 4, 6], "none is left and little is new"
    full = turns(900, 10, 10, 900, 10, 900, 10, 2600, 10)
    assert message_points(full, [2, 4, 6], 3, 1024) == [2, 6, 8], "the two smallest spans become one"
    full = turns(900, 10, 10, 900, 10, 900, 10, 1300, 10)
    assert message_points(full, [2, 4, 6], 3, 1024) == [2, 4, 6], "not worth it"
    assert message_points(turns(900, 10, 2000), [0], 1, 1024) == [0], "one point cannot be merged"
    assert message_points(turns(900, 10, 10), [2, 4], 3, 1024) == [2], "messages were taken away"


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 3000), min_size=1, max_size=12),
    st.lists(st.integers(0, 11), max_size=4, unique=True).map(sorted),
    st.integers(0, 4),
)
def test_cache_points_are_few_in_order_and_on_user_messages(
    sizes: list[int], previous: list[int], free: int
) -> None:
    previous = [place for place in previous if place % 2 == 0][:free]
    points = message_points(turns(*sizes), previous, free, 1024)
    assert points == sorted(set(points))
    assert len(points) <= max(free, len(previous))
    assert all(0 <= place < len(sizes) and place % 2 == 0 for place in points)


# --- Google ----------------------------------------------------------------------------------------------------------------------


def vertex(env: Mapping[str, str] | None = None, **options: Any) -> ReferenceProvider:
    given_ = {"vertexProjectId": "p", "vertexRegion": "us-central1", "apiModelId": "gemini-2.5-flash"}
    return ReferenceProvider("vertex", {**given_, **options}, env=env)


DONE = said({"candidates": [{"content": {"parts": [{"text": "done"}]}}]})
TOKEN = said({"access_token": "tok", "expires_in": 3599})


def test_the_model_says_which_handler_vertex_is() -> None:
    assert vertex(apiModelId="claude-opus-4@20250514").get_model()["format"] == "anthropic"
    assert ReferenceProvider("vertex", {}).get_model()["format"] == "anthropic"
    assert vertex().get_model()["format"] == "gemini"
    for provider in (vertex(), ReferenceProvider("anthropic-vertex", {})):
        assert "gemini-2.5-flash" in World().drive(provider.list_models()).result


def test_only_texts_are_marked_on_vertex(shared: Path) -> None:
    vectors = json.loads((shared / "providers/vectors-reference.json").read_text("utf-8"))
    assert mark_vertex(vectors["input"]) == vectors["cache_vertex_anthropic"]


def test_a_token_is_kept_until_five_minutes_before_its_end() -> None:
    provider = vertex(vertexJsonCredentials=json.dumps(USER))
    world = World([TOKEN, DONE, DONE, TOKEN, DONE])
    world.drive(provider.complete_prompt("x"))
    world.now += 3298
    world.answers = [DONE]
    world.drive(provider.complete_prompt("x"))
    world.now += 2
    world.answers = [TOKEN, DONE]
    world.drive(provider.complete_prompt("x"))
    assert [call.origin.host.split(".")[0] for call in world.calls] == [
        "oauth2",
        "us-central1-aiplatform",
        "us-central1-aiplatform",
        "oauth2",
        "us-central1-aiplatform",
    ]
    assert "tok" not in repr(provider) + repr(provider._handler._tokens)  # type: ignore[attr-defined]  # what must not show


def test_where_google_credentials_come_from() -> None:
    text = json.dumps({**USER, "quota_project_id": "pays"})
    for path, env, options in (
        ("/key.json", {}, {"vertexKeyFile": "/key.json"}),
        ("/env.json", {"GOOGLE_APPLICATION_CREDENTIALS": "/env.json"}, {}),
        ("~/.config/gcloud/application_default_credentials.json", {}, {}),
    ):
        world = World([TOKEN, DONE], {path: text})
        world.drive(vertex(env, **options).complete_prompt("x"))
        assert (world.result, headers_of(world.calls[1])["x-goog-user-project"]) == ("done", "pays")
    with pytest.raises(ConfigurationError, match=r"/gone\.json cannot be read"):
        World().drive(vertex(vertexKeyFile="/gone.json").complete_prompt("x"))
    for wrong in ("[]", "nonsense"):
        with pytest.raises(ConfigurationError, match="not a JSON object"):
            World().drive(vertex(vertexJsonCredentials=wrong).complete_prompt("x"))
    with pytest.raises(ConfigurationError, match="'external_account'"):
        World().drive(vertex(vertexJsonCredentials='{"type": "external_account"}').complete_prompt("x"))


def test_the_metadata_server_is_asked_last() -> None:
    world = World([TOKEN, DONE])
    world.drive(vertex({"GOOGLE_CLOUD_QUOTA_PROJECT": "q"}).complete_prompt("x"))
    assert (world.calls[0].origin.host, headers_of(world.calls[0])["metadata-flavor"]) == (
        "metadata.google.internal",
        "Google",
    )
    assert headers_of(world.calls[1])["x-goog-user-project"] == "q"
    for answer in (ConnectError("no such host"), said({}, 404)):
        with pytest.raises(ConfigurationError, match="Could not load the default credentials"):
            World([answer]).drive(vertex().complete_prompt("x"))


def test_the_token_endpoint_is_asked_again_when_it_fails_by_itself() -> None:
    provider = vertex(vertexJsonCredentials=json.dumps(USER))
    world = World([said({}, 500), ConnectError("x"), said({}, 429), TOKEN, DONE])
    world.drive(provider.complete_prompt("x"))
    assert (world.result, world.sleeps) == ("done", [0.1, 0.5, 1.5])
    with pytest.raises(ServerError):
        World([said({}, 500)] * 4).drive(vertex(vertexJsonCredentials=json.dumps(USER)).complete_prompt("x"))
    world = World([said({"error": {"message": "no", "status": "UNAUTHENTICATED"}}, 401)])
    with pytest.raises(AuthenticationError, match="Gemini completion error: no"):
        world.drive(vertex(vertexJsonCredentials=json.dumps(USER)).complete_prompt("x"))
    assert world.sleeps == []
    with pytest.raises(ConfigurationError, match="did not answer with JSON"):
        World([Answer(200, JSON, [b"<html>"])]).drive(
            vertex(vertexJsonCredentials=json.dumps(USER)).complete_prompt("x")
        )


def test_a_service_account_signs_what_it_says() -> None:
    crypto = pytest.importorskip("cryptography.hazmat.primitives", reason="signing takes the extra vertex")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    claims = service_account_claims("a@b", "scope", "https://t", 10.9)
    assert claims == {"iss": "a@b", "scope": "scope", "aud": "https://t", "exp": 3610, "iat": 10}
    token = signed_jwt(claims, key.private_bytes(*pem).decode(), "kid-1")
    head, body, proof = (_unpadded(part) for part in token.split("."))
    assert (json.loads(head), json.loads(body)) == ({"alg": "RS256", "kid": "kid-1"}, claims)
    key.public_key().verify(
        proof, token.rpartition(".")[0].encode(), padding.PKCS1v15(), crypto.hashes.SHA256()
    )
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(*pem).decode()
    for wrong in ("not a key", other):
        with pytest.raises(ConfigurationError, match="private_key") as caught:
            signed_jwt(claims, wrong)
        assert wrong not in str(caught.value)


def test_without_cryptography_signing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ConfigurationError, match=r"pip install 'tercet\[vertex\]'") as caught:
        signed_jwt({}, "key")
    assert caught.value.code == NO_SIGNER


def _unpadded(part: str) -> bytes:
    import base64

    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


# --- Gemini CLI ------------------------------------------------------------------------------------------------------------------

CREDENTIALS = {
    "access_token": "a",
    "refresh_token": "r",
    "token_type": "Bearer",
    "expiry_date": NOW * 1000 + 1,
}
CLI_FILE = "~/.gemini/oauth_creds.json"


def gemini_cli(env: Mapping[str, str] | None = None, **options: Any) -> ReferenceProvider:
    return ReferenceProvider("gemini-cli", options, env=env)


def cli_world(*answers: Answer | TercetError, **credentials: Any) -> World:
    return World(list(answers), {CLI_FILE: json.dumps({**CREDENTIALS, **credentials})})


def test_a_user_without_a_project_gets_one() -> None:
    tiers = {"allowedTiers": [{"id": "paid"}, {"id": "legacy", "isDefault": True}]}
    made = {"done": True, "response": {"cloudaicompanionProject": {"id": "new"}}}
    world = cli_world(said(tiers), said({"done": False}), said(made), DONE)
    provider = gemini_cli()
    world.drive(provider.complete_prompt("x"))
    assert (world.result, world.sleeps) == ("done", [2.0])
    assert json.loads(world.calls[1].body)["tierId"] == "legacy"
    assert json.loads(world.calls[3].body)["project"] == "new"
    world.answers = [DONE]
    world.drive(provider.complete_prompt("x"))
    assert len(world.calls) == 5, "it is asked for once"


def test_onboarding_that_takes_too_long() -> None:
    world = cli_world(said({}), *[said({"done": False})] * 31)
    with pytest.raises(ProviderError, match="Could not discover project ID"):
        world.drive(gemini_cli().create_message("", MESSAGES))
    assert len(world.sleeps) == 30


def test_a_helper_call_that_is_refused_is_made_once_more() -> None:
    refused = said({"error": {"code": 401, "message": "no"}}, 401)
    world = cli_world(refused, said({"cloudaicompanionProject": "p"}), DONE)
    world.drive(gemini_cli().complete_prompt("x"))
    assert world.result == "done"
    with pytest.raises(AuthenticationError, match="Could not discover project ID"):
        cli_world(refused, refused).drive(gemini_cli().complete_prompt("x"))


def test_a_token_that_has_run_out_takes_the_client_of_the_program_that_signed_in() -> None:
    with pytest.raises(ConfigurationError, match="geminiCliOAuthClientId"):
        cli_world(expiry_date=1).drive(gemini_cli(geminiCliProjectId="p").complete_prompt("x"))
    own = {"geminiCliOAuthClientId": "c", "geminiCliOAuthClientSecret": "s", "geminiCliOAuthPath": "/own"}
    world = World(
        [said({"access_token": "n", "refresh_token": "n2"}), DONE], {"/own": json.dumps(CREDENTIALS)}
    )
    world.now = NOW + 1
    world.drive(gemini_cli(geminiCliProjectId="p", **own).complete_prompt("x"))
    assert json.loads(world.files["/own"]) == {
        "access_token": "n",
        "refresh_token": "n2",
        "token_type": "Bearer",
        "expiry_date": (NOW + 3601) * 1000,
    }


@pytest.mark.parametrize("text", [None, "nonsense", "[]", "{}"])
def test_who_is_not_signed_in_is_told_so(text: str | None) -> None:
    world = World([], {} if text is None else {CLI_FILE: text})
    with pytest.raises(
        ConfigurationError, match=r"^Failed to load OAuth credentials. Please authenticate first: "
    ):
        world.drive(gemini_cli().complete_prompt("x"))


def test_what_goes_wrong_in_a_stream_of_the_gemini_cli() -> None:
    def raised(*answers: Answer) -> str:
        with pytest.raises(TercetError) as caught:
            cli_world(*answers).drive(gemini_cli(geminiCliProjectId="p").create_message("", MESSAGES))
        return caught.value.message

    assert raised(Answer(400, {}, [b"why"])) == 'Bad request: "why"'
    assert raised(Answer(400, {}, [])) == "Bad request: "
    assert raised(Answer(body=[ProtocolError("odd")])) == "Gemini CLI API error: odd"
    assert "finishReason" in raised(Answer(body=[b"data: nonsense\n\n"]))


# --- Claude Code -----------------------------------------------------------------------------------------------------------------


def claude(env: Mapping[str, str] | None = None, **options: Any) -> ReferenceProvider:
    return ReferenceProvider("claude-code", options, env=env)


def lines(*events: Any) -> list[bytes]:
    return [json.dumps(event, separators=(",", ":")).encode() + b"\n" for event in events]


def spoke(text: str, stop: str | None = None) -> dict[str, Any]:
    content = [{"type": "text", "text": text}]
    return {"type": "assistant", "message": {"content": content, "stop_reason": stop, "usage": {}}}


RESULT = {"type": "result", "result": "done", "total_cost_usd": 0.5}


def test_on_windows_the_system_prompt_goes_to_stdin() -> None:
    world = World(output=lines(RESULT))
    world.drive(claude({"OS": "Windows_NT"}).create_message("sys", MESSAGES))
    assert json.loads(world.runs[0].stdin) == {"systemPrompt": "sys", "messages": MESSAGES}
    assert "--system-prompt" not in world.runs[0].argv
    assert "sys" not in repr(world.runs[0])


def test_how_many_tokens_the_program_may_give() -> None:
    for env, options, most in (
        ({}, {}, "16000"),
        ({"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "9"}, {}, "9"),
        ({"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "9"}, {"claudeCodeMaxOutputTokens": 7}, "7"),
    ):
        world = World(output=lines(RESULT))
        world.drive(claude(env, **options).create_message("", MESSAGES))
        assert world.runs[0].env == {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": most}
        assert world.runs[0].argv[0] == "claude"
    assert claude(claudeCodeMaxOutputTokens=7).get_model()["info"]["maxTokens"] == 7
    assert claude(apiModelId="?").get_model()["id"] == "claude-sonnet-4-20250514"


def test_failures_that_the_program_tells_as_text() -> None:
    def raised(text: str) -> TercetError:
        with pytest.raises(TercetError) as caught:
            World(output=lines(spoke(text, "stop_sequence"))).drive(claude().create_message("", MESSAGES))
        return caught.value

    invalid = 'API Error: 404 {"error":{"type":"not_found_error","message":"Invalid model name x"}}'
    assert raised(invalid).message.startswith(invalid + "\n\nAPI keys and subscription plans")
    busy = raised('API Error: 529 {"error":{"type":"overloaded_error","message":"m"}}')
    assert isinstance(busy, OverloadedError)
    assert busy.message == '{"error":{"type":"overloaded_error","message":"m"}}'
    assert raised("API Error: {broken").message == "API Error: {broken"


def test_a_program_that_fails_shows_how_it_was_called() -> None:
    def raised(world: World, program: str = "claude") -> str:
        with pytest.raises(TercetError) as caught:
            world.drive(
                claude(claudeCodePath=program).create_message("it's\u200b\ta \U000e0001 test", MESSAGES)
            )
        return caught.value.message

    text = raised(World(exit=Exited(1, b"")))
    assert text.startswith(
        "Command failed with exit code 1: claude -p --system-prompt 'it'\\''s\\u200b\\ta \\Ue0001 test'"
    )
    assert text.endswith("claude-sonnet-4-20250514")
    assert raised(World(output=lines({"a": 1}), exit=Exited(3, b"bad\n"))).endswith('\n\nbad\n\n{"a":1}')
    assert raised(World(host=[ConnectError("no", phase="process", code="EACCES")])) == "no"
    assert "spawn /x ENOENT" in raised(World(host=[ConnectError("no", phase="process", code="ENOENT")]), "/x")


def test_the_last_line_may_end_without_its_break() -> None:
    (line,) = lines(RESULT)
    world = World(output=[*lines(spoke("a")), line.rstrip(b"\n")])
    world.drive(claude().create_message("", MESSAGES))
    assert world.chunks[-1]["totalCost"] == 0.5
    world = World(output=[b'{"type":"result"}\r\n', b"\n  \n"])
    world.drive(claude().create_message("", MESSAGES))
    assert world.chunks == []


def test_a_line_without_an_end_is_refused() -> None:
    piece = b"x" * 1024 * 1024
    with pytest.raises(ProtocolError, match="a line of more than"):
        World(output=[piece] * 17).drive(claude().create_message("", MESSAGES))


def test_there_are_no_single_prompts() -> None:
    with pytest.raises(ConfigurationError, match="no single prompts"):
        claude().complete_prompt("x")


# --- the editor's models ---------------------------------------------------------------------------------------------------------

GPT = {"id": "gpt", "name": "G", "vendor": "v", "family": "f", "version": "1", "maxInputTokens": 100}


def editor(**options: Any) -> ReferenceProvider:
    return ReferenceProvider("vscode-lm", options)


def test_an_editor_without_models_says_so() -> None:
    provider = editor()
    world = World(host=[[]])
    world.drive(provider.create_message("s", MESSAGES))
    assert texts(world) == ["Language model functionality is limited. Please check VS Code configuration."]
    assert world.chunks[-1] == {"type": "usage", "inputTokens": 0, "outputTokens": 0}
    assert world.asked == [{"select": {}}]
    assert World().drive(provider.complete_prompt("x")).result.startswith("Language model functionality")


def test_counts_that_fail_count_as_nothing() -> None:
    world = World(host=[[GPT], ProviderError("no"), -3, None, {"text": "a"}, None, "many"])
    world.drive(editor().create_message("s", MESSAGES))
    assert world.chunks[-1] == {"type": "usage", "inputTokens": 0, "outputTokens": 0}
    provider = editor()
    image = {"type": "image", "source": {}}
    world = World(host=[[GPT], 7])
    assert world.drive(provider.count_tokens([{"type": "text", "text": "a"}, image])).result == 7
    assert world.asked[-1] == {"countTokens": "a[IMAGE]"}
    assert World(host=[ConnectError("gone")]).drive(editor().count_tokens([])).result == 0


def test_what_is_known_of_an_editors_model() -> None:
    assert editor().get_model()["id"] == "vscode-lm"
    provider = editor(vsCodeLmModelSelector={"vendor": "v", "family": "f"})
    assert provider.get_model()["id"] == "v/f"
    World(host=[[{**GPT, "id": ""}], 1]).drive(provider.count_tokens([{"type": "text", "text": "a"}]))
    model = provider.get_model()
    assert (model["id"], model["info"]["contextWindow"], model["info"]["maxTokens"]) == ("v/f/1", 100, -1)
    assert World(host=[[GPT]]).drive(provider.list_models()).result == [GPT]


def test_tool_calls_whose_input_is_a_text() -> None:
    uses = [
        {"type": "tool_use", "id": "1", "name": "n", "input": '{"a": 1}'},
        {"type": "tool_use", "id": "2", "name": "n", "input": "nonsense"},
        {"type": "image", "source": {}},
    ]
    result = {"type": "tool_result", "tool_use_id": "1"}
    messages = [{"role": "assistant", "content": uses}, {"role": "user", "content": [result]}]
    world = World(host=[[GPT], 1, 1, 1, None, None, 1])
    world.drive(editor().create_message("s", messages))
    _, assistant, user = world.asked[4]["sendRequest"]["messages"]
    assert [part.get("input") for part in assistant["content"]] == [{"a": 1}, {}, None]
    assert assistant["content"][2]["value"] == "[Image generation not supported by VSCode LM API]"
    assert user["content"] == [
        {"part": "LanguageModelToolResultPart", "callId": "1", "content": [{"value": ""}]}
    ]


# --- whatever comes is chunks or a typed error -----------------------------------------------------------------------------------

ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    "",
    "a",
    "thinking",
    "API Error: {}",
    'API Error {"error":5}',
    [],
    {},
    [1],
    {"a": 1},
]
ODD += [{"text": 5}, [{"type": "text"}], [None], [{"type": "text", "text": 3}]]
SEEDS = range(150)
STREAM: list[tuple[str, Any]] = [
    (
        "contentBlockStart",
        {
            "contentBlockIndex": 1,
            "contentBlock": {"type": "thinking", "thinking": "x", "reasoningContent": {"text": "a"}},
            "start": {"text": "a"},
        },
    ),
    ("contentBlockDelta", {"delta": {"text": "a", "reasoningContent": {"text": "b"}}}),
    ("metadata", {"usage": {"inputTokens": 1, "outputTokens": 2, "cacheReadInputTokens": 1}}),
    ("messageStop", {"stopReason": "x"}),
]
WRITTEN: list[Any] = [
    {"type": "system", "subtype": "init", "apiKeySource": "none"},
    spoke('API Error: 1 {"error":{"type":"x","message":"m"}}', "stop"),
    {**spoke("a"), "usage": {"input_tokens": 1, "output_tokens": 2}},
    RESULT,
]
STREAMED = {
    "response": {
        "candidates": [{"content": {"parts": [{"text": "a", "thought": True}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 1},
    }
}
ANSWERED = {
    "output": {"message": {"content": [{"text": "a"}]}},
    "candidates": [{"content": {"parts": [{"text": "a", "thought": False}]}}],
    "content": [{"type": "text", "text": "a"}],
    "access_token": "t",
    "expires_in": 5,
    "error": {"message": "m", "status": "S", "code": "c"},
    "message": "m",
    "code": "x",
    "done": True,
    "cloudaicompanionProject": "p",
    "allowedTiers": [{"id": "x", "isDefault": True}],
    "response": {"cloudaicompanionProject": {"id": "x"}},
}


def spoiled(value: Any, chance: random.Random) -> Any:
    """The value, some of it gone and some of it something else."""
    if chance.random() < 0.15:
        return chance.choice(ODD)
    if isinstance(value, dict):
        return {name: spoiled(item, chance) for name, item in value.items() if chance.random() > 0.05}
    return [spoiled(item, chance) for item in value] if isinstance(value, list) else value


def survives(world: World, conversation: Conversation[Any]) -> None:
    try:
        world.drive(conversation)
    except TercetError as error:
        assert isinstance(error.message, str)
    assert all(isinstance(chunk["type"], str) for chunk in world.chunks)


def test_whatever_bedrock_sends() -> None:
    kinds = ["event"] * 8 + ["exception", "error"]
    for chance in map(random.Random, SEEDS):
        body = [frame(name, spoiled(payload, chance), chance.choice(kinds)) for name, payload in STREAM]
        body.append(chance.randbytes(chance.randrange(1, 20)))
        survives(World([Answer(body=body)]), bedrock().create_message("", MESSAGES))


@pytest.mark.parametrize("status", [200, 400, 403, 429, 500])
def test_whatever_an_endpoint_answers(status: int) -> None:
    key = json.dumps(USER)
    for chance in map(random.Random, SEEDS):

        def answers(count: int, chance: random.Random = chance) -> list[Answer | TercetError]:
            return [said(spoiled(ANSWERED, chance), status) for _ in range(count)]

        survives(World(answers(3)), bedrock().complete_prompt("x"))
        survives(cli_world(*answers(2)), gemini_cli(geminiCliProjectId="p").complete_prompt("x"))
        survives(cli_world(*answers(40)), gemini_cli().complete_prompt("x"))
        survives(World(answers(5)), vertex(vertexJsonCredentials=key).complete_prompt("x"))
        provider = ReferenceProvider("anthropic-vertex", {"vertexJsonCredentials": key})
        survives(World([TOKEN, *answers(3)]), provider.complete_prompt("x"))


def test_whatever_the_program_writes() -> None:
    for chance in map(random.Random, SEEDS):
        output = lines(*(spoiled(event, chance) for event in WRITTEN))
        ended = Exited(chance.randrange(2), b"")
        survives(World(output=output, exit=ended), claude().create_message("", MESSAGES))


def test_whatever_the_gemini_cli_streams() -> None:
    for chance in map(random.Random, SEEDS):
        body = [b"data: " + json.dumps(spoiled(STREAMED, chance)).encode() + b"\n\n" for _ in range(3)]
        survives(
            cli_world(Answer(body=body)), gemini_cli(geminiCliProjectId="p").create_message("", MESSAGES)
        )


@pytest.mark.parametrize("kind", ["service_account", "authorized_user", 5])
def test_whatever_a_key_file_says(kind: Any) -> None:
    whole = {**USER, "quota_project_id": "q", "client_email": "e", "private_key": "k"}
    own = {"geminiCliOAuthClientId": "c", "geminiCliOAuthClientSecret": "s", "geminiCliProjectId": "p"}
    for chance in map(random.Random, SEEDS):
        key = spoiled(whole, chance)
        text = json.dumps({**key, "type": kind} if isinstance(key, dict) else key)
        survives(World([TOKEN, DONE]), vertex(vertexJsonCredentials=text).complete_prompt("x"))
        world = World([TOKEN, DONE], {CLI_FILE: json.dumps(spoiled(CREDENTIALS, chance))})
        survives(world, gemini_cli(**own).complete_prompt("x"))


def test_whatever_the_editor_answers() -> None:
    tool = {"callId": "a", "name": "n", "input": {}}
    for chance in map(random.Random, SEEDS):
        parts = [{"text": spoiled("a", chance)}, {"tool": spoiled(tool, chance)}, {}, None]
        model = {**GPT, "name": spoiled("n", chance)}
        world = World(host=[[model], spoiled(1, chance), 1, None, *parts, spoiled(1, chance)])
        survives(world, editor().create_message("s", MESSAGES))


def test_odd_credentials_files_give_keys_or_a_typed_error(shared: Path) -> None:
    """AWS's own corpus of broken profiles: never a crash, and never half a key."""
    files = sorted((shared / "vectors/aws-config/profile-parser").rglob("*"))
    count = 0
    for file in files:
        if not file.is_file():
            continue
        count += 1
        world = World([said({})], {"~/.aws/credentials": file.read_bytes().decode("utf-8", "replace")})
        survives(world, bedrock(awsAccessKey=None, awsSecretKey=None).complete_prompt("x"))
    assert count >= 40
