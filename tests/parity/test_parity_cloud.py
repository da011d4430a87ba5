"""Bedrock, Vertex, Gemini CLI, Claude Code and the editor's models against their recordings; their rules, and what is next to these."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tercet.adapters.auth.sigv4 import (
    AwsCredentials,
    canonical_request,
    payload_hash,
    sign,
    signature,
    string_to_sign,
)
from tercet.adapters.reference.comparison import ABSENT, Played, SeenRequest, compare
from tercet.adapters.reference.deviations import settle
from tercet.cli.parity import check, check_directory, play
from tercet.codecs.vocabulary import ProviderError, StreamInterruptedError

RECORDINGS = Path(__file__).resolve().parent.parent / "recordings"
COUNTS = {
    "anthropic-vertex": (17, 16, 1),
    "bedrock": (61, 2, 59),
    "claude-code": (13, 12, 1),
    "gemini-cli": (13, 12, 1),
    "vertex": (11, 10, 1),
    "vscode-lm": (9, 9, 0),
}
Data = dict[str, Any]


def recording(name: str) -> Data:
    return json.loads((RECORDINGS / f"{name}.json").read_text("utf-8"))


def judged(data: Data, played: Played) -> tuple[list[str], list[str]]:
    left, rules = settle(data, played, compare(data, played))
    return [difference.place for difference in left], rules


@pytest.mark.parametrize("folder", sorted(COUNTS))
def test_every_recording_matches_or_is_declared(folder: str) -> None:
    out = io.StringIO()
    code = check_directory(RECORDINGS / folder, out, as_json=True)
    said = json.loads(out.getvalue())
    assert code == 0, said["files"]
    assert (said["recordings"], said["match"], said["declared"]) == COUNTS[folder]


@pytest.mark.parametrize(
    "name",
    [
        "bedrock/text-stream",
        "bedrock/corrupt-frame-crc",
        "bedrock/exception-mid-stream-model-stream-error",
        "bedrock/thinking-sonnet-45",
        "vertex/thinking-budget",
        "anthropic-vertex/mixed-blocks",
        "gemini-cli/thinking",
        "claude-code/split-json-line",
        "claude-code/truncated-assistant-at-end",
    ],
)
def test_where_the_bytes_are_cut_makes_no_difference(name: str) -> None:
    assert check(recording(name), name, recut=True).differences == []


def test_the_recorded_signatures_are_right_by_our_signer() -> None:
    """The reference signs ``:authority`` over HTTP/2. The same key gives every recorded signature, ARNs and temporary keys included."""
    count = 0
    for path in sorted((RECORDINGS / "bedrock").glob("*.json")):
        data = json.loads(path.read_text("utf-8"))
        options, env = data["options"], data.get("env", {})
        secret = options.get("awsSecretKey") or env.get("AWS_SECRET_ACCESS_KEY") or "test-secret-2"
        for exchange in data["exchanges"]:
            request = exchange["request"]
            headers = dict(request["headers"])
            proof = headers["authorization"]
            if not proof.startswith("AWS4"):
                continue
            scope = proof.split("Credential=")[1].split(",")[0].partition("/")[2]
            names = proof.split("SignedHeaders=")[1].split(",")[0].split(";")
            text = canonical_request(
                "POST",
                headers[":path"],
                "",
                [(name, headers[name]) for name in names],
                payload_hash(request["body"].encode()),
            )
            made = signature(
                string_to_sign(text, headers["x-amz-date"], scope), AwsCredentials("x", secret), scope
            )
            assert made == proof.rpartition("=")[2], path.stem
            count += 1
    assert count == 66


# --- the comparer ----------------------------------------------------------------------------------------------------------------


def test_the_comparer_sees_a_program_that_is_run_otherwise() -> None:
    data = recording("claude-code/text")
    played = play(data)
    assert judged(data, played) == ([], [])
    for field, value, place in (
        ("argv", data["process"]["argv"][1:], "process"),
        ("stdin", "[]", "process"),
        ("env", {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "1"}, "environment"),
    ):
        wrong = copy.deepcopy(data)
        wrong["process"][field] = value
        assert judged(wrong, played) == ([place], []), field
    wrong = copy.deepcopy(data)
    del wrong["process"]
    assert judged(wrong, played) == (["process"], [])
    played.processes.append(played.processes[0])
    assert judged(data, played) == (["process"], [])


def test_the_comparer_sees_an_editor_that_is_asked_otherwise() -> None:
    data = recording("vscode-lm/text")
    played = play(data)
    assert judged(data, played) == ([], [])
    data["vscode_lm_calls"][1]["countTokens"] += "!"
    assert judged(data, played) == (["host calls"], [])
    data = recording("vscode-lm/text")
    played.host_calls.pop()
    assert judged(data, played) == (["host calls"], [])


def test_the_comparer_sees_files_that_differ() -> None:
    data = recording("gemini-cli/expired-token-refresh")
    played = play(data)
    assert judged(data, played) == ([], [])
    played.files[".gemini/oauth_creds.json"] += "\n"
    assert judged(data, played) == (["file"], [])
    del played.files[".gemini/oauth_creds.json"]
    assert judged(data, played) == (["file"], [])


def test_the_comparer_sees_waits_that_differ_in_all() -> None:
    data = recording("bedrock/error-503-serviceunavailableexception")
    played = play(data)
    assert played.sleeps_ms == [50, 100]
    assert judged(data, played) == ([], ["http-1.1"])
    played.sleeps_ms[0] = 60
    assert judged(data, played)[0] == ["waits in all"]
    played.sleeps_ms[:] = [50, 110]
    assert judged(data, played)[0] == ["waits in all", "sleeps_ms"]


def test_the_comparer_takes_a_token_apart() -> None:
    pytest.importorskip("cryptography", reason="signing takes the extra vertex")
    data = recording("vertex/service-account-jwt")
    played = play(data)
    assert judged(data, played) == ([], [])
    for field, value in (("iss", "other@x"), ("exp", 0), ("scope", "all"), ("aud", "https://x")):
        wrong = copy.deepcopy(data)
        wrong["exchanges"][0]["request"]["jwt"]["claims"][field] = value
        assert judged(wrong, played)[0] == ["jwt"], field
    wrong = copy.deepcopy(data)
    wrong["exchanges"][0]["request"]["jwt"]["header"]["alg"] = "none"
    assert judged(wrong, played)[0] == ["jwt"]


def test_a_token_with_another_signature_is_not_taken_for_a_right_one() -> None:
    pytest.importorskip("cryptography", reason="signing takes the extra vertex")
    from tercet.cli.stage import as_recorded

    body = b"grant_type=x&assertion=e30.e30." + b"A" * 342
    seen = as_recorded(SeenRequest("POST", "https://x", (), body))
    assert (seen.jwt, seen.body) == (None, body)


# --- each rule, and what is next to it and not covered ---------------------------------------------------------------------------


def changed(played: Played, change: Callable[[dict[str, str]], bytes | None]) -> Played:
    """The first request with other headers, or another body."""
    seen = played.requests[0]
    headers = dict(seen.headers)
    body = change(headers)
    other = copy.deepcopy(played)
    other.requests[0] = msgspec.structs.replace(
        seen, headers=tuple(headers.items()), body=seen.body if body is None else body
    )
    return other


def signed_anew(headers: dict[str, str], secret: str, *, region: str = "us-east-1", drop: str = "") -> None:
    """Sign a played request of bedrock/text-stream again, otherwise."""
    path = "/model/anthropic.claude-3-5-sonnet-20241022-v2%3A0/converse-stream"
    kept = [
        (name, headers[name]) for name in ("content-type", "x-amz-content-sha256", "host") if name != drop
    ]
    body = recording("bedrock/text-stream")["exchanges"][0]["request"]["body"].encode()
    proof = sign(
        "POST",
        path,
        "",
        kept,
        body,
        AwsCredentials("AKIDEXAMPLE", secret),
        1759320000,
        region=region,
        service="bedrock",
    )
    headers.update(proof)


def test_http_1_1() -> None:
    data = recording("bedrock/text-stream")
    played = play(data)
    assert judged(data, played) == ([], ["http-1.1"])

    def after(change: Callable[[dict[str, str]], bytes | None]) -> list[str]:
        return judged(data, changed(played, change))[0]

    def resigned(**how: Any) -> list[str]:
        return after(lambda headers: signed_anew(headers, **how))

    assert resigned(secret="test-secret-key") == []
    assert resigned(secret="another-secret") == ["header"], "another key"
    assert resigned(secret="test-secret-key", region="eu-west-1") == ["header"], "another region"
    assert resigned(secret="test-secret-key", drop="content-type") == ["header"], "a header not signed"
    assert after(lambda headers: headers.update(authorization=headers["authorization"][:-1] + "0")) == [
        "header"
    ]
    assert after(lambda headers: headers.update(authorization="Bearer x")) == ["header"], "no signature"
    assert after(lambda headers: headers.update(host="evil.example")) == ["header"], "signed for another host"
    assert after(lambda _: b'{"messages":[]}') == ["header", "body"], "signed for another body"
    assert after(lambda headers: headers.update({"x-amz-date": "20251001T120001Z"})) == ["header", "header"]
    assert after(lambda headers: headers.update({"content-type": "text/plain"})) == ["header", "header"]
    assert after(lambda headers: headers.update({"x-extra": "1"})) == ["header"], "a header of ours alone"

    for what, name, value in (
        ("another host", ":authority", "other.example"),
        ("another path", ":path", "/model/x/converse"),
        ("another method", ":method", "PUT"),
        ("plain http", ":scheme", "http"),
        ("a pseudo-header that HTTP/2 has not", ":protocol", "websocket"),
    ):
        wrong = copy.deepcopy(data)
        headers = wrong["exchanges"][0]["request"]["headers"]
        headers[:] = [*(pair for pair in headers if pair[0] != name), [name, value]]
        assert "header" in judged(wrong, played)[0], what
    wrong = copy.deepcopy(data)
    wrong["exchanges"][0]["request"]["http_version"] = "1.1"
    assert judged(wrong, played)[0] == ["header"] * 5, "the reference did not use HTTP/2"
    # The recorded signature must be right, too: else the key, or what is signed, is not what we think it is.
    wrong = copy.deepcopy(data)
    headers = wrong["exchanges"][0]["request"]["headers"]
    headers[-1][1] = headers[-1][1][:-1] + "0"
    assert judged(wrong, played)[0] == ["header"]
    wrong = copy.deepcopy(data)
    del wrong["options"]["awsSecretKey"]
    assert judged(wrong, played)[0] == ["header"], "a key that is not in the recording"


def test_engine_wording_told() -> None:
    data = recording("bedrock/malformed-json-payload")
    played = play(data)
    assert judged(data, played) == ([], ["http-1.1", "engine-wording-told", "engine-wording"])
    other = copy.deepcopy(played)
    other.outcomes[0].yields[1]["text"] = "Error: something else"
    assert judged(data, other)[0] == ["yield"], "a chunk that does not tell the error"
    other = copy.deepcopy(played)
    other.outcomes[0].yields[0]["text"] = "b"
    assert judged(data, other)[0] == ["yield"], "another chunk"
    other = copy.deepcopy(played)
    other.outcomes[0].yields[1]["type"] = "reasoning"
    assert judged(data, other)[0] == ["yield"]
    # Words that are the handler's or the server's are not excused.
    data = recording("bedrock/error-400-validationexception")
    played = play(data)
    assert played.outcomes[0].error is not None
    played.outcomes[0].error.message += "!"
    played.outcomes[0].yields[0]["text"] += "!"
    assert judged(data, played)[0] == ["yield", "message"]


def test_no_probe() -> None:
    data = recording("vertex/adc-well-known-file")
    played = play(data)
    assert judged(data, played) == ([], ["no-probe"])
    other = copy.deepcopy(played)
    other.sleeps_ms[:] = [100]
    assert judged(data, other)[0] == ["sleeps_ms"], "waits of ours"
    for change in (
        lambda wrong: wrong.update(sleeps_ms=[100, 500]),
        lambda wrong: wrong.update(refused_hosts=["oauth2.googleapis.com"]),
        lambda wrong: wrong["options"].pop("vertexProjectId"),
        lambda wrong: wrong.update(files={}),
    ):
        wrong = copy.deepcopy(data)
        change(wrong)
        assert judged(wrong, played)[0] == ["sleeps_ms"]


@pytest.mark.parametrize(
    "name", ["bedrock/text-stream", "bedrock/custom-arn-prompt-router", "claude-code/text"]
)
def test_an_error_behind_a_whole_answer_is_not_excused(name: str) -> None:
    data = recording(name)
    played = play(data)
    played.outcomes[0].error = StreamInterruptedError("the stream ended before its answer did")
    assert judged(data, played)[0] == ["throws"]


@pytest.mark.parametrize(
    "name",
    ["bedrock/rst-stream-mid-stream", "bedrock/empty-stream", "claude-code/truncated-assistant-at-end"],
)
def test_a_cut_stream_is_an_error(name: str) -> None:
    data = recording(name)
    played = play(data)
    left, rules = judged(data, played)
    assert (left, rules[-1]) == ([], "interrupted-stream")
    other = copy.deepcopy(played)
    other.outcomes[0].error = ProviderError("another")
    assert judged(data, other)[0] == ["throws"]
    other = copy.deepcopy(played)
    other.outcomes[0].error = None
    assert judged(data, other)[0] == [], "what the reference does"
    other = copy.deepcopy(played)
    other.outcomes[0].yields.append({"type": "text", "text": "more"})
    assert judged(data, other)[0] == ["yield", "throws"], "text was made up, too"


def test_a_character_that_was_cut_is_whole_in_the_gemini_cli_too() -> None:
    data = recording("gemini-cli/text-stream-split-utf8")
    played = play(data)
    assert judged(data, played) == ([], ["whole-characters"])
    played.outcomes[0].yields[1]["text"] = played.outcomes[0].yields[1]["text"].replace("rld", "rlt")
    assert judged(data, played)[0] == ["yield"]


def test_the_address_of_a_bearer_key_is_no_excuse_for_a_signature() -> None:
    data = recording("bedrock/api-key-bearer")
    played = play(data)
    assert judged(data, played) == ([], ["http-1.1"])
    data["exchanges"][0]["request"]["headers"][-1][1] = "Bearer other"
    assert judged(data, played)[0] == ["header"]
    assert str(compare(data, played)[-1]).endswith("got 'authorization: Bearer test-bearer'")
    assert ABSENT not in str(compare(data, played)[-1])
