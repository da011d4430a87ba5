"""Whatever files and services hold, a search ends in a credential or in one of tercet's errors, and the error shows no secret."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings, strategies as st

from tercet.adapters.auth.aws_chain import find_aws_credentials
from tercet.adapters.auth.google import find_google_credentials
from tercet.adapters.auth.oauth_files import claude_code_token, oauth_file, signed_in
from tercet.adapters.auth.steps import Answer, Ask, Exited, ReadFile, RunProcess
from tercet.codecs.vocabulary import ConnectError, TercetError

NOW = 1_759_320_000.0
SECRET = "hush-hush"

WORDS = [
    "",
    "x y",
    "\n",
    "2026-01-01T00:00:00Z",
    "9999-12-31T23:59:59-12:00",
    "0001-01-01T00:00:00+14:00",
    "Success",
]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**400),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(WORDS),
)
NAMES = st.sampled_from(
    [
        "access_token",
        "refresh_token",
        "token_type",
        "expiry_date",
        "expires_in",
        "resource_url",
        "error",
        "error_description",
        "claudeAiOauth",
        "accessToken",
        "expiresAt",
        "refreshToken",
        "clientId",
        "clientSecret",
        "registrationExpiresAt",
        "expiresIn",
        "roleCredentials",
        "accessKeyId",
        "secretAccessKey",
        "sessionToken",
        "expiration",
        "AccessKeyId",
        "SecretAccessKey",
        "Token",
        "SessionToken",
        "Expiration",
        "AccountId",
        "Code",
        "Version",
        "type",
        "private_key",
        "client_email",
        "token_uri",
        "client_id",
        "client_secret",
        "quota_project_id",
    ]
)
OBJECTS = st.dictionaries(
    NAMES,
    st.one_of(LEAVES, st.dictionaries(NAMES, LEAVES, max_size=6), st.lists(LEAVES, max_size=2)),
    max_size=10,
)
TEXTS = st.one_of(
    OBJECTS.map(json.dumps), st.sampled_from(["", "[]", "{", "null", "\x00", '"', "<Code></Code>"])
)
KINDS = st.sampled_from(["service_account", "authorized_user"])
ECHOES = st.sampled_from(
    [
        json.dumps({"error": f"no {SECRET}", "error_description": f"{SECRET} it was"}),
        json.dumps({"error": SECRET}),
        f"<Error><Code>{SECRET}</Code><Message>not {SECRET}</Message></Error>",
        SECRET,
    ]
)
"""What a service says that repeats the secret it was sent."""
STATUSES = st.sampled_from([200, 200, 200, 302, 400, 401, 403, 404, 500])
PLAIN = st.lists(st.tuples(STATUSES, TEXTS), max_size=4)
ANSWERS = st.lists(st.tuples(STATUSES, st.one_of(TEXTS, ECHOES)), max_size=4)
CONFIG = """[default]
sso_session = s
sso_account_id = 1
sso_role_name = r
[profile p]
credential_process = it
[sso-session s]
sso_region = eu-west-1
sso_start_url = https://x.example
"""


def finish(search: Any, text: str, answers: list[tuple[int, str]]) -> None:
    """Drive a search over one text for all files and commands; every outcome but a crash is good."""
    value: Any = None
    failure: Exception | None = None
    try:
        for _ in range(100):
            step = search.throw(failure) if failure is not None else search.send(value)
            value, failure = None, None
            match step:
                case ReadFile(path):
                    value = (
                        CONFIG
                        if path.endswith("/config")
                        else ""
                        if path.endswith(".aws/credentials")
                        else text
                    )
                case RunProcess():
                    value = Exited(0, text.encode())
                case Ask() if answers:
                    status, body = answers.pop(0)
                    value = Answer(status, {"metadata-flavor": "Google"}, body.encode())
                case Ask():
                    failure = ConnectError("nobody there")
                case _:
                    pass
        raise AssertionError("the search does not end")
    except StopIteration as end:
        assert SECRET not in repr(end.value)
    except TercetError as error:
        assert SECRET not in f"{error!r}{error.body}"


SIGNED = {"HOME": "/h", "GEMINI_CLI_OAUTH_CLIENT_ID": "id", "GEMINI_CLI_OAUTH_CLIENT_SECRET": SECRET}


@settings(max_examples=150, deadline=None)
@given(TEXTS, PLAIN, ANSWERS)
def test_sign_ins_in_files(text: str, plain: list[tuple[int, str]], answers: list[tuple[int, str]]) -> None:
    held = json.dumps({"access_token": SECRET, "refresh_token": SECRET, "expiry_date": 1})
    for name in ("gemini-cli", "qwen-code"):
        file = oauth_file(name)  # type: ignore[arg-type]  # both are names of programs
        for document, given_answers in ((text, plain), (held, answers)):
            search = signed_in(file, SIGNED, now=NOW, base_url="https://x.example/v1")
            finish(search, document, list(given_answers))
    finish(claude_code_token(SIGNED, now=NOW), text, [])


@settings(max_examples=150, deadline=None)
@given(OBJECTS, KINDS, PLAIN, ANSWERS)
def test_googles_files(
    facts: dict[str, Any], kind: str, plain: list[tuple[int, str]], answers: list[tuple[int, str]]
) -> None:
    whole = {"type": "authorized_user", "client_id": "id", "client_secret": SECRET, "refresh_token": SECRET}
    for document, given_answers in ((facts, plain), ({"type": kind, **facts}, plain), (whole, answers)):
        finish(find_google_credentials({"HOME": "/h"}, now=NOW), json.dumps(document), list(given_answers))
    finish(find_google_credentials({}, now=NOW), "", list(plain))


@settings(max_examples=150, deadline=None)
@given(TEXTS, PLAIN, ANSWERS)
def test_the_chain_of_aws(text: str, plain: list[tuple[int, str]], answers: list[tuple[int, str]]) -> None:
    token = {"accessToken": SECRET, "expiresAt": "2080-01-01T00:00:00Z"}
    ended = {
        **token,
        "expiresAt": "2020-01-01T00:00:00Z",
        "clientId": "i",
        "clientSecret": SECRET,
        "refreshToken": SECRET,
    }
    cases: list[tuple[dict[str, str], str, list[tuple[int, str]]]] = [
        ({"HOME": "/h"}, text, plain),
        ({"HOME": "/h"}, json.dumps(token), answers),
        ({"HOME": "/h"}, json.dumps(ended), answers),
        ({"HOME": "/h", "AWS_PROFILE": "p"}, text, plain),
        ({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"}, text, plain),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/t", "AWS_ROLE_ARN": "arn:aws:iam::1:role/r"}, SECRET, answers),
        ({}, text, plain),
        ({}, text, [(200, "t"), (200, "role"), *plain]),
    ]
    for environ, file, given_answers in cases:
        finish(find_aws_credentials(environ, now=NOW), file, list(given_answers))
