"""Sign-ins of other programs: read, renewed and put back as those programs do, and nothing of them is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tercet.adapters.auth.oauth_files import Signed, claude_code_token, oauth_file, signed_in
from tercet.adapters.auth.steps import Answer, Ask, ReadFile, WriteFile
from tercet.adapters.call import HttpCall, Origin
from tercet.codecs.vocabulary import (
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    ServerError,
    TercetError,
)

NOW = 1_759_320_000.0
HOME = {"HOME": "/h"}
CLIENT = {"GEMINI_CLI_OAUTH_CLIENT_ID": "the-id", "GEMINI_CLI_OAUTH_CLIENT_SECRET": "hush-client"}
QWEN = "/h/.qwen/oauth_creds.json"
GEMINI = "/h/.gemini/oauth_creds.json"
DASHSCOPE = "https://dashscope.aliyuncs.com/compatible-mode/v1"


class World:
    """Files that can be read and, unless ``is_locked``, written, and answers to be given."""

    def __init__(
        self, files: Mapping[str, str], answers: list[Any] | None = None, *, is_locked: bool = False
    ) -> None:
        self.files = dict(files)
        self.answers = list(answers or [])
        self.asked: list[HttpCall] = []
        self.is_locked = is_locked

    def run(self, search: Any) -> Signed:
        value: Any = None
        failure: Exception | None = None
        try:
            while True:
                step = search.throw(failure) if failure is not None else search.send(value)
                value, failure = None, None
                match step:
                    case ReadFile(path) if path in self.files:
                        value = self.files[path]
                    case ReadFile():
                        failure = FileNotFoundError(2, "No such file")
                    case WriteFile() if self.is_locked:
                        failure = PermissionError(13, "Permission denied")
                    case WriteFile(path, text):
                        self.files[path] = text
                    case Ask(call):
                        self.asked.append(call)
                        answer = self.answers.pop(0) if self.answers else ConnectError("nobody there")
                        value, failure = (None, answer) if isinstance(answer, Exception) else (answer, None)
                    case _:
                        raise AssertionError(step)
        except StopIteration as end:
            signed: Signed = end.value
            return signed


def answer(status: int, body: Mapping[str, Any]) -> Answer:
    return Answer(status, {}, json.dumps(body).encode())


def held(**changes: Any) -> str:
    facts = {
        "access_token": "hush-access",
        "refresh_token": "hush-refresh",
        "token_type": "Bearer",
        "expiry_date": 1000,
        "id_token": "kept",
    }
    return json.dumps({**facts, **changes})


@pytest.mark.parametrize(
    "recording",
    [
        "gemini-cli/expired-token-refresh",
        "gemini-cli/refresh-fails",
        "qwen-code/expired-token-refresh",
        "qwen-code/refresh-within-30s-buffer",
        "qwen-code/refresh-error-in-200",
        "qwen-code/refresh-fails-400",
        "qwen-code/401-refresh-retry",
        "qwen-code/401-twice",
        "qwen-code/no-refresh-token",
        "qwen-code/bad-creds-json",
    ],
)
def test_renewals_as_they_were_recorded(shared: Path, recording: str) -> None:
    """The same request to the token endpoint, the same file afterwards, a failure where the reference fails."""
    case = json.loads((shared / f"parity/{recording}.json").read_text())
    name = case["provider"]
    renewals = [exchange for exchange in case["exchanges"] if exchange["request"]["url"].endswith("/token")]
    answers = [
        Answer(of["response"]["status"], {}, "".join(of["response"]["body_chunks"]).encode())
        for of in renewals
    ]
    world = World({f"/h/{path}": text for path, text in case["files"].items()}, answers)
    client = {
        "GEMINI_CLI_OAUTH_CLIENT_ID": "<gemini-cli-oauth-client-id>",
        "GEMINI_CLI_OAUTH_CLIENT_SECRET": "<gemini-cli-oauth-client-secret>",
    }
    refused = "qwen-access" if "401" in recording else None
    search = signed_in(oauth_file(name), {**HOME, **client}, now=NOW, refused=refused)
    fails = not renewals or any(status in recording for status in ("fails", "error"))
    if fails:
        with pytest.raises(TercetError) as caught:
            world.run(search)
        assert not any(
            secret in f"{caught.value!r}{caught.value.body}"
            for secret in ("-refresh'", "gcli-", "qwen-refresh")
        )
    else:
        world.run(search)
    assert [f"{call.origin}{call.target}" for call in world.asked] == [
        of["request"]["url"] for of in renewals
    ]
    for call, exchange in zip(world.asked, renewals, strict=True):
        assert call.body.decode().replace("%3C", "<").replace("%3E", ">") == exchange["request"]["body"]
    for path, text in case.get("files_after", case["files"]).items():
        assert world.files[f"/h/{path}"] == text


def test_a_token_that_lasts_is_used_as_it_is() -> None:
    world = World({GEMINI: held(expiry_date=(NOW + 31) * 1000)})
    signed = world.run(signed_in(oauth_file("gemini-cli"), HOME, now=NOW))
    assert (signed.token.secret.reveal(), signed.token.expires_at) == ("hush-access", NOW + 31)
    world = World({GEMINI: held(expiry_date=None)})
    assert world.run(signed_in(oauth_file("gemini-cli"), HOME, now=NOW)).token.expires_at is None
    assert world.asked == []


def test_a_token_that_was_refused_is_renewed_unless_someone_else_has() -> None:
    lasting = held(expiry_date=(NOW + 3000) * 1000)
    world = World({QWEN: lasting}, [answer(200, {"access_token": "new", "expires_in": 60})])
    search = signed_in(oauth_file("qwen-code"), HOME, now=NOW, refused="hush-access")
    assert world.run(search).token.secret.reveal() == "new"
    world = World({QWEN: lasting})
    search = signed_in(oauth_file("qwen-code"), HOME, now=NOW, refused="an-older-one")
    assert world.run(search).token.secret.reveal() == "hush-access"
    assert world.asked == []


def test_what_else_is_in_the_file_is_kept_and_a_new_refresh_token_taken() -> None:
    world = World(
        {GEMINI: held()}, [answer(200, {"access_token": "new", "expires_in": 3600, "refresh_token": "newer"})]
    )
    world.run(signed_in(oauth_file("gemini-cli"), {**HOME, **CLIENT}, now=NOW))
    assert json.loads(world.files[GEMINI]) == {
        "access_token": "new",
        "refresh_token": "newer",
        "token_type": "Bearer",
        "expiry_date": 1759323600000,
        "id_token": "kept",
    }


def test_a_file_that_cannot_be_written_is_remembered() -> None:
    grant = {"access_token": "new", "expires_in": 60, "refresh_token": "newer"}
    world = World({QWEN: held()}, [answer(200, grant), answer(200, grant)], is_locked=True)
    signed = world.run(signed_in(oauth_file("qwen-code"), HOME, now=NOW))
    assert signed.problem == f"{QWEN} cannot be written: Permission denied"
    again = signed_in(oauth_file("qwen-code"), HOME, now=NOW + 60, remembered=signed.document)
    world.run(again)
    assert b"refresh_token=newer" in world.asked[1].body


def test_a_renewal_is_not_tried_twice() -> None:
    world = World({QWEN: held()}, [ConnectError("gone"), answer(200, {"access_token": "new"})])
    with pytest.raises(ConnectError):
        world.run(signed_in(oauth_file("qwen-code"), HOME, now=NOW))
    assert len(world.asked) == 1


@pytest.mark.parametrize(
    ("environ", "files", "answers", "error", "says"),
    [
        (HOME, {}, [], ConfigurationError, "there is no sign-in of gemini-cli at /h/.gemini"),
        ({}, {}, [], ConfigurationError, "HOME is not set"),
        (HOME, {GEMINI: "{hush"}, [], ConfigurationError, "is not JSON"),
        (
            HOME,
            {GEMINI: held()},
            [],
            ConfigurationError,
            "set GEMINI_CLI_OAUTH_CLIENT_ID and GEMINI_CLI_OAUTH_CLIENT_SECRET",
        ),
        (HOME, {GEMINI: held(refresh_token="")}, [], AuthenticationError, "has no refresh token"),
        (
            {**HOME, **CLIENT},
            {GEMINI: held()},
            [answer(401, {"error": "invalid_client", "error_description": "hush-client? hush-refresh?"})],
            AuthenticationError,
            "invalid_client",
        ),
        ({**HOME, **CLIENT}, {GEMINI: held()}, [answer(500, {})], ServerError, "refused with 500"),
    ],
)
def test_sign_ins_that_do_not_work(
    environ: Mapping[str, str],
    files: Mapping[str, str],
    answers: list[Any],
    error: type[TercetError],
    says: str,
) -> None:
    with pytest.raises(error, match=says) as caught:
        World(files, answers).run(signed_in(oauth_file("gemini-cli"), environ, now=NOW))
    assert "hush" not in f"{caught.value!r}{caught.value}{caught.value.body}{caught.value.facts()}"


@pytest.mark.parametrize(
    ("resource", "goes_to"),
    [
        ("portal.qwen.ai", "https://portal.qwen.ai/v1/chat/completions"),
        ("https://dash.example/api/v1", "https://dash.example/api/v1/chat/completions"),
        ("https://dash.example/api/", "https://dash.example/api/v1/chat/completions"),
        (None, f"{DASHSCOPE}/chat/completions"),
    ],
)
def test_qwen_says_where_its_token_is_good(resource: str | None, goes_to: str) -> None:
    world = World({QWEN: held(expiry_date=(NOW + 3000) * 1000, resource_url=resource)})
    call = HttpCall(
        "POST", Origin("https", "dashscope.aliyuncs.com", 443), "/compatible-mode/v1/chat/completions"
    )
    signed = world.run(signed_in(oauth_file("qwen-code"), HOME, now=NOW, base_url=DASHSCOPE))
    moved = signed.token.authorize(call, NOW)
    assert f"{moved.origin}{moved.target}" == goes_to
    stays = world.run(signed_in(oauth_file("qwen-code"), HOME, now=NOW))
    assert stays.token.authorize(call, NOW).origin == call.origin


def test_a_token_does_not_go_where_it_would_be_read() -> None:
    for resource in ("http://portal.qwen.ai", "https://user:hush@x.example", "https://x.example/?a=1"):
        world = World({QWEN: held(expiry_date=(NOW + 3000) * 1000, resource_url=resource)})
        with pytest.raises(ConfigurationError) as caught:
            world.run(signed_in(oauth_file("qwen-code"), HOME, now=NOW, base_url=DASHSCOPE))
        assert "hush" not in str(caught.value)


# -- Claude Code ------------------------------------------------------------------------------------------------------------

CLAUDE = "/h/.claude/.credentials.json"


def test_claude_codes_sign_in_is_read_and_never_written() -> None:
    document = json.dumps(
        {
            "claudeAiOauth": {
                "accessToken": "hush-access",
                "refreshToken": "hush-refresh",
                "expiresAt": (NOW + 100) * 1000,
            }
        }
    )
    world = World({CLAUDE: document, "/c/.credentials.json": document})
    signed = world.run(claude_code_token(HOME, now=NOW))
    assert (signed.token.secret.reveal(), signed.token.expires_at, signed.token.source) == (
        "hush-access",
        NOW + 100,
        CLAUDE,
    )
    assert (
        world.run(claude_code_token({"CLAUDE_CONFIG_DIR": "/c"}, now=NOW)).token.source
        == "/c/.credentials.json"
    )
    for search in (
        claude_code_token(HOME, now=NOW + 80),
        claude_code_token(HOME, now=NOW, refused="hush-access"),
    ):
        with pytest.raises(AuthenticationError, match="Run 'claude'") as caught:
            world.run(search)
        assert "hush" not in str(caught.value)
    assert world.files[CLAUDE] == document
    assert world.asked == []
    for nothing in ({}, {CLAUDE: "{}"}, {CLAUDE: '{"claudeAiOauth": 1}'}, {CLAUDE: "x"}):
        with pytest.raises(ConfigurationError):
            World(nothing).run(claude_code_token(HOME, now=NOW))


def test_nothing_of_a_sign_in_is_shown() -> None:
    world = World({GEMINI: held()}, [answer(200, {"access_token": "hush-new", "expires_in": 60})])
    search = signed_in(oauth_file("gemini-cli"), {**HOME, **CLIENT}, now=NOW)
    signed = world.run(search)
    written = WriteFile(GEMINI, world.files[GEMINI])
    shown = f"{signed!r}{signed.token!r}{world.asked!r}{written!r}{Ask(world.asked[0], 1.0)!r}{answer(200, {'a': 'hush'})!r}"
    assert "hush" not in shown
