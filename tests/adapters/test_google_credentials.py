"""Google's application default credentials: which are found, what is asked for them, and what is never shown."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tercet.adapters.auth.google import find_google_credentials, google_credentials_in
from tercet.adapters.auth.steps import Answer, Ask, Pause, ReadFile
from tercet.adapters.auth.tokens import AccessToken
from tercet.adapters.call import HttpCall, Origin
from tercet.codecs.vocabulary import (
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    ProtocolError,
    ServerError,
    TercetError,
)

NOW = 1_759_320_000.0
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
SERVICE = {
    "type": "service_account",
    "project_id": "proj-1",
    "private_key_id": "key-1",
    "private_key": PEM,
    "client_email": "svc@proj-1.iam.example",
    "token_uri": "https://oauth2.googleapis.com/token",
}
USER = {
    "type": "authorized_user",
    "client_id": "cid.apps.example",
    "client_secret": "hush-client",
    "refresh_token": "hush-refresh",
    "quota_project_id": "quota-proj",
}
WELL_KNOWN = "/h/.config/gcloud/application_default_credentials.json"
GRANT = {"access_token": "ya29.hush", "expires_in": 3599, "token_type": "Bearer"}


def answer(status: int, body: Any, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


def run(
    search: Any, files: Mapping[str, str], answers: list[Any], asked: list[Ask] | None = None
) -> AccessToken:
    """Drive a search over made-up files and answers."""
    value: Any = None
    failure: Exception | None = None
    try:
        while True:
            step = search.throw(failure) if failure is not None else search.send(value)
            value, failure = None, None
            match step:
                case ReadFile(path) if path in files:
                    value = files[path]
                case ReadFile():
                    failure = FileNotFoundError(2, "No such file")
                case Pause():
                    pass
                case Ask():
                    if asked is not None:
                        asked.append(step)
                    value = answers.pop(0) if answers else ConnectError("nobody there")
                    if isinstance(value, Exception):
                        value, failure = None, value
                case _:
                    raise AssertionError(step)
    except StopIteration as end:
        token: AccessToken = end.value
        return token


def find(
    environ: Mapping[str, str],
    files: Mapping[str, Any],
    answers: list[Any],
    asked: list[Ask] | None = None,
    **more: Any,
) -> AccessToken:
    texts = {path: value if isinstance(value, str) else json.dumps(value) for path, value in files.items()}
    return run(find_google_credentials(environ, now=NOW, **more), texts, answers, asked)


def form(asked: Ask) -> dict[str, str]:
    return dict(parse_qsl(asked.call.body.decode()))


def part(token: str, number: int) -> dict[str, Any]:
    piece = token.split(".")[number]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(piece + "=" * (-len(piece) % 4)))
    return decoded


def test_a_service_account_signs_for_its_token() -> None:
    asked: list[Ask] = []
    token = find(
        {"GOOGLE_APPLICATION_CREDENTIALS": "/k.json"}, {"/k.json": SERVICE}, [answer(200, GRANT)], asked
    )
    assert (token.secret.reveal(), token.expires_at) == ("ya29.hush", NOW + 3599)
    [exchange] = asked
    assert f"{exchange.call.origin}{exchange.call.target}" == SERVICE["token_uri"]
    fields = form(exchange)
    assert fields["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert part(fields["assertion"], 0) == {"alg": "RS256", "kid": "key-1"}
    assert part(fields["assertion"], 1) == {
        "iss": "svc@proj-1.iam.example",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": "https://oauth2.googleapis.com/token",
        "exp": 1759323600,
        "iat": 1759320000,
    }
    signed, _, signature = fields["assertion"].rpartition(".")
    KEY.public_key().verify(
        base64.urlsafe_b64decode(signature + "=="), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
    )


def test_what_the_reference_sends_for_a_users_login(shared: Path) -> None:
    recorded = json.loads((shared / "parity/vertex/adc-well-known-file.json").read_text())
    request = recorded["exchanges"][0]["request"]
    asked: list[Ask] = []
    [file] = recorded["files"].values()
    token = find({"HOME": "/h"}, {WELL_KNOWN: file}, [answer(200, GRANT)], asked)
    assert f"{asked[0].call.origin}{asked[0].call.target}" == request["url"]
    assert asked[0].call.body.decode() == request["body"]
    call = token.authorize(HttpCall("POST", Origin("https", "x.example", 443), "/"), NOW)
    assert dict(call.headers) == {"authorization": "Bearer ya29.hush", "x-goog-user-project": "quota-proj"}
    moved = find(
        {"HOME": "/h", "GOOGLE_CLOUD_QUOTA_PROJECT": "mine"}, {WELL_KNOWN: file}, [answer(200, GRANT)]
    )
    assert ("x-goog-user-project", "mine") in moved.authorize(call, NOW).headers


def test_the_order_in_which_files_are_looked_for() -> None:
    files = {
        "/arg": USER,
        "/env": USER,
        "/cfg/application_default_credentials.json": USER,
        WELL_KNOWN: USER,
        "C:/r/gcloud/application_default_credentials.json": USER,
    }
    environ = {"HOME": "/h"}

    def source(environ: Mapping[str, str], **more: Any) -> str:
        return find(environ, files, [answer(200, GRANT)], **more).source

    assert source(environ) == "gcloud's application default login"
    assert source({"CLOUDSDK_CONFIG": "/cfg"}) == "gcloud's application default login"
    assert source({"APPDATA": "C:/r"}) == "gcloud's application default login"
    assert source({**environ, "GOOGLE_APPLICATION_CREDENTIALS": "/env"}) == "GOOGLE_APPLICATION_CREDENTIALS"
    assert source({**environ, "GOOGLE_APPLICATION_CREDENTIALS": "/env"}, file="/arg") == "the file /arg"


def test_a_file_that_is_named_and_not_there_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"GOOGLE_APPLICATION_CREDENTIALS names /k\.json"):
        find({"GOOGLE_APPLICATION_CREDENTIALS": "/k.json", "HOME": "/h"}, {WELL_KNOWN: USER}, [])


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("not json", "is not JSON"),
        ("[]", "not a JSON object"),
        ({"type": "external_account"}, "'external_account'"),
        ({**USER, "refresh_token": ""}, "have no refresh_token"),
        ({**SERVICE, "private_key": None}, "have no private_key"),
        ({**SERVICE, "private_key": "hush"}, "not a PEM key"),
        ({**SERVICE, "token_uri": "http://evil.example/token"}, "not https"),
    ],
)
def test_files_that_cannot_be_used(file: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        find({"HOME": "/h"}, {WELL_KNOWN: file}, [])
    assert "hush" not in f"{caught.value!r}"


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    def absent(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ConfigurationError, match=r"tercet\[vertex\]"):
        find({"HOME": "/h"}, {WELL_KNOWN: SERVICE}, [])


def test_a_refused_login_tells_why_and_shows_nothing() -> None:
    refused = answer(
        400, {"error": "invalid_grant", "error_description": "hush-refresh was revoked, says hush-client"}
    )
    with pytest.raises(AuthenticationError, match="invalid_grant") as caught:
        find({"HOME": "/h"}, {WELL_KNOWN: USER}, [refused])
    error = caught.value
    assert (error.status, error.code) == (400, "invalid_grant")
    assert "hush" not in f"{error!r}{error}{error.body}{error.facts()}"
    assert "gcloud auth application-default login" in str(error)


def test_a_token_endpoint_that_fails_is_asked_three_times() -> None:
    asked: list[Ask] = []
    with pytest.raises(ServerError):
        find({"HOME": "/h"}, {WELL_KNOWN: USER}, [answer(503, b"")] * 3, asked)
    assert len(asked) == 3
    with pytest.raises(ConnectError):
        find({"HOME": "/h"}, {WELL_KNOWN: USER}, [])


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", b'{"access_token": 7}'])
def test_an_answer_that_is_no_grant(body: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        find({"HOME": "/h"}, {WELL_KNOWN: USER}, [answer(200, body)])
    assert not caught.value.retryable


# -- the metadata server ----------------------------------------------------------------------------------------------------

FLAVOR = {"metadata_flavor": "Google"}


def test_the_metadata_server_is_asked_directly_and_with_its_header() -> None:
    asked: list[Ask] = []
    token = find(
        {"GCE_METADATA_HOST": "127.0.0.1:8080"},
        {},
        [answer(503, b"", **FLAVOR), answer(200, GRANT, **FLAVOR)],
        asked,
    )
    assert token.source == "the metadata server"
    assert all(exchange.is_direct for exchange in asked)
    call = asked[0].call
    assert (
        f"{call.origin}{call.target}"
        == "http://127.0.0.1:8080/computeMetadata/v1/instance/service-accounts/default/token"
    )
    assert ("metadata-flavor", "Google") in call.headers


@pytest.mark.parametrize(
    ("environ", "answers", "error"),
    [
        ({}, [], ConfigurationError),
        ({}, [answer(200, GRANT)], ConfigurationError),  # somebody else answers for the name
        ({"NO_GCE_CHECK": "true"}, [answer(200, GRANT, **FLAVOR)], ConfigurationError),
        ({}, [answer(404, b"", **FLAVOR)], AuthenticationError),
        ({}, [answer(403, b"", **FLAVOR)], AuthenticationError),
    ],
)
def test_where_there_is_no_metadata_server_or_no_account(
    environ: dict[str, str], answers: list[Any], error: type[TercetError]
) -> None:
    with pytest.raises(error):
        find(environ, {}, list(answers))


def test_a_token_shows_nothing_of_itself() -> None:
    token = run(google_credentials_in(json.dumps(USER), "argument", {}, now=NOW), {}, [answer(200, GRANT)])
    call = token.authorize(HttpCall("GET", Origin("https", "x.example", 443), "/"), NOW)
    assert "hush" not in f"{token!r}{token.secret!r}{call!r}"
