"""Signature Version 4 against the suites of AWS, botocore and smithy-rs, and against botocore itself."""

from __future__ import annotations

import importlib.util
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tercet.adapters.auth.sigv4 import (
    AwsCredentials,
    amz_date,
    canonical_request,
    path_segment,
    payload_hash,
    sign,
    signature,
    string_to_sign,
)
from tercet.codecs.vocabulary import ConfigurationError

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
EXAMPLE = AwsCredentials("AKIDEXAMPLE", SECRET)
Headers = list[tuple[str, str]]


def parse_request(text: str) -> tuple[str, str, str, Headers, bytes]:
    """Method, path, query, headers and body of a request as the suites write it; folded lines are kept in their value."""
    head, _, body = text.partition("\n\n")
    first, *lines = head.rstrip("\n").split("\n")
    method, target = first.removesuffix(" HTTP/1.1").split(" ", 1)
    path, _, query = target.partition("?")
    headers: Headers = []
    for line in lines:
        if line.startswith(" "):
            name, value = headers[-1]
            headers[-1] = (name, f"{value}\n{line}")
        else:
            name, _, value = line.partition(":")
            headers.append((name, value))
    return method, path, query, headers, body.encode()


def unix(stamp: str) -> float:
    return datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()


def unix_of(headers: Headers, default: float) -> float:
    for name, value in headers:
        if name.lower() == "x-amz-date":
            return datetime.strptime(value.strip(), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    return default


def proof_of(headers: tuple[tuple[str, str], ...]) -> str:
    return dict(headers)["authorization"]


def c_auth_cases(shared: Path) -> Iterator[tuple[Path, dict[str, Any], AwsCredentials]]:
    for folder in sorted((shared / "vectors/aws-sigv4/aws-c-auth-v4").iterdir()):
        context = json.loads((folder / "context.json").read_text("utf-8"))
        given = context["credentials"]
        yield (
            folder,
            context,
            AwsCredentials(given["access_key_id"], given["secret_access_key"], given.get("token")),
        )


def test_headers_are_signed_as_in_the_suite_of_aws(shared: Path) -> None:
    wrong: list[str] = []
    count = 0
    for folder, context, credentials in c_auth_cases(shared):
        count += 1
        method, path, query, headers, body = parse_request((folder / "request.txt").read_text("utf-8"))
        if context["sign_body"]:
            headers.append(("x-amz-content-sha256", payload_hash(body)))
        if context.get("omit_session_token"):
            # The token is set after signing: for the signature there is none.
            credentials = AwsCredentials(credentials.access_key, credentials.secret_key.reveal())
        at = unix(context["timestamp"])
        got = sign(
            method,
            path,
            query,
            headers,
            body,
            credentials,
            at,
            region=context["region"],
            service=context["service"],
            normalize_path=context["normalize"],
        )
        expected = (folder / "header-signed-request.txt").read_text("utf-8")
        line = next(line for line in expected.split("\n") if line.startswith("Authorization:"))
        signed = [*headers, *(header for header in got if header[0] != "authorization")]
        request = canonical_request(
            method, path, query, signed, payload_hash(body), normalize_path=context["normalize"]
        )
        scope = f"{amz_date(at)[:8]}/{context['region']}/{context['service']}/aws4_request"
        checks = (
            (proof_of(got), line.removeprefix("Authorization:")),
            (request, (folder / "header-canonical-request.txt").read_text("utf-8").rstrip("\n")),
            (
                string_to_sign(request, amz_date(at), scope),
                (folder / "header-string-to-sign.txt").read_text("utf-8").rstrip("\n"),
            ),
        )
        wrong += [f"{folder.name}: {ours!r} is not {theirs!r}" for ours, theirs in checks if ours != theirs]
    assert not wrong, "\n".join(wrong)
    assert count == 38


def test_queries_are_signed_as_in_the_suite_of_aws(shared: Path) -> None:
    """We send no signed queries; the pieces that a signature is made of do them all the same."""
    wrong: list[str] = []
    for folder, context, credentials in c_auth_cases(shared):
        method, path, query, headers, body = parse_request((folder / "request.txt").read_text("utf-8"))
        stamp = amz_date(unix(context["timestamp"]))
        scope = f"{stamp[:8]}/{context['region']}/{context['service']}/aws4_request"
        names = ";".join(sorted({name.lower() for name, _ in headers}))
        fields = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{credentials.access_key}/{scope}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(context["expiration_in_seconds"]),
            "X-Amz-SignedHeaders": names,
        }
        if credentials.session_token is not None and not context.get("omit_session_token"):
            fields["X-Amz-Security-Token"] = credentials.session_token.reveal()
        full = "&".join(
            [*([query] if query else []), *(f"{k}={quote(v, safe='')}" for k, v in fields.items())]
        )
        request = canonical_request(
            method, path, full, headers, payload_hash(body), normalize_path=context["normalize"]
        )
        ours = (request, signature(string_to_sign(request, stamp, scope), credentials, scope))
        theirs = tuple(
            (folder / name).read_text("utf-8").strip()
            for name in ("query-canonical-request.txt", "query-signature.txt")
        )
        if ours != theirs:
            wrong.append(f"{folder.name}: {ours} is not {theirs}")
    assert not wrong, "\n".join(wrong)


def test_headers_are_signed_as_in_the_suite_of_botocore(shared: Path) -> None:
    wrong: list[str] = []
    count = 0
    for file in sorted((shared / "vectors/aws-sigv4/botocore-aws4_testsuite").rglob("*.req")):
        count += 1
        method, path, query, headers, body = parse_request(file.read_text("utf-8"))
        # The suite does not say in its requests that the credentials have a token; its canonical requests do.
        lines = file.with_suffix(".creq").read_text("utf-8").split("\n")
        tokens = [line.partition(":")[2] for line in lines if line.startswith("x-amz-security-token:")]
        token = tokens[0] if tokens else None
        credentials = AwsCredentials("AKIDEXAMPLE", SECRET, token)
        got = sign(
            method,
            path,
            query,
            headers,
            body,
            credentials,
            unix_of(headers, 0),
            region="us-east-1",
            service="service",
        )
        expected = file.with_suffix(".authz").read_text("utf-8").strip()
        if proof_of(got) != expected:
            wrong.append(f"{file.stem}: {proof_of(got)} is not {expected}")
    assert not wrong, "\n".join(wrong)
    assert count == 34


def test_a_path_is_encoded_again_as_in_smithy(shared: Path) -> None:
    wrong: list[str] = []
    folders = sorted((shared / "vectors/aws-sigv4/smithy-rs-extra").iterdir())
    for folder in folders:
        method, path, query, headers, body = parse_request((folder / "request.txt").read_text("utf-8"))
        expected = (folder / "header-canonical-request.txt").read_text("utf-8").rstrip("\n")
        stamp = next(line for line in expected.split("\n") if line.startswith("x-amz-date:"))
        signed = [("host", dict(headers)["Host"]), ("x-amz-date", stamp.removeprefix("x-amz-date:"))]
        got = canonical_request(method, path, query, signed, payload_hash(body))
        if got != expected:
            wrong.append(f"{folder.name}: {got!r} is not {expected!r}")
    assert not wrong, "\n".join(wrong)
    assert len(folders) == 2


def test_bedrock_requests_are_signed_as_recorded(shared: Path) -> None:
    wrong: list[str] = []
    vectors = json.loads((shared / "providers/vectors-sigv4.json").read_text("utf-8"))
    for vector in vectors:
        url = urlsplit(vector["url"])
        sent = {name.lower(): value for name, value in vector["sent_headers"].items()}
        got = dict(
            sign(
                "POST",
                url.path,
                url.query,
                [("Content-Type", sent["content-type"]), ("host", url.netloc), ("Accept", "*/*")],
                vector["body"].encode(),
                AwsCredentials("AKIDEXAMPLE", SECRET, vector["session_token"]),
                unix("2025-01-02T03:04:05Z"),
                region="us-east-1",
                service="bedrock",
            )
        )
        wrong += [f"{url.path}: {name}: {value}" for name, value in got.items() if sent[name] != value]
        if len(got) != (3 if vector["session_token"] else 2):
            wrong.append(f"{url.path}: {sorted(got)}")
    assert vectors
    assert not wrong, "\n".join(wrong)


@pytest.mark.skipif(
    not importlib.util.find_spec("botocore"), reason="botocore is not installed (extra peers)"
)
def test_bedrock_requests_are_signed_as_botocore_signs_them() -> None:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    chance = random.Random(4)
    ids = [
        "anthropic.claude-sonnet-4-20250514-v1:0",
        "us.amazon.nova-pro-v1:0",
        "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/a1b2c3d4e5f6",
        "arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:provisioned-model/x~y_z.0",
        "odd id/with space+plus%41",
    ]
    wrong: list[str] = []
    for round_ in range(60):
        model = chance.choice(ids)
        verb = chance.choice(("converse", "converse-stream", "invoke", "count-tokens"))
        region = chance.choice(("us-east-1", "eu-central-1", "ap-southeast-2"))
        token = chance.choice((None, "AQoDYXdzEXAMPLETOKEN//w=="))
        body = chance.randbytes(chance.randrange(200))
        query = chance.choice(("", "a=1&a-b=2&a=0", "x=%20y&b=%2F"))
        path = f"/model/{path_segment(model)}/{verb}"
        host = f"bedrock-runtime.{region}.amazonaws.com"
        url = f"https://{host}{path}" + (f"?{query}" if query else "")
        request = AWSRequest("POST", url, headers={"Content-Type": "application/json"}, data=body)
        signer = SigV4Auth(Credentials("AKIDEXAMPLE", SECRET, token), "bedrock", region)
        signer.add_auth(request)
        theirs = request.headers
        at = unix_of([("x-amz-date", theirs["X-Amz-Date"])], 0)
        got = sign(
            "POST",
            path,
            query,
            [("content-type", "application/json"), ("host", host)],
            body,
            AwsCredentials("AKIDEXAMPLE", SECRET, token),
            at,
            region=region,
            service="bedrock",
        )
        if proof_of(got) != theirs["Authorization"]:
            wrong.append(f"{round_}: {url}: {proof_of(got)} is not {theirs['Authorization']}")
    assert not wrong, "\n".join(wrong)


def test_an_arn_is_one_segment() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-v2:0"
    assert "/" not in path_segment(arn)
    assert (
        path_segment(arn)
        == "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude-v2%3A0"
    )


def test_a_hash_may_stand_for_the_body() -> None:
    common: Any = (EXAMPLE, 0.0)
    given = [("host", "h")]
    whole = sign("POST", "/", "", given, b"{}", *common, region="r", service="s")
    assert sign("POST", "/", "", given, payload_hash(b"{}"), *common, region="r", service="s") == whole
    assert sign("POST", "/", "", given, b"{ }", *common, region="r", service="s") != whole


def test_what_may_change_on_the_way_is_not_signed() -> None:
    plain = [("host", "h"), ("content-type", "application/json")]
    changing = [("User-Agent", "x"), ("Accept", "*/*"), ("connection", "close"), ("Authorization", "old")]
    one = sign("GET", "/", "", plain, b"", EXAMPLE, 0, region="r", service="s")
    assert sign("GET", "/", "", [*plain, *changing], b"", EXAMPLE, 0, region="r", service="s") == one


def test_without_a_host_nothing_is_signed() -> None:
    with pytest.raises(ConfigurationError, match="host"):
        sign("GET", "/", "", [("content-type", "x")], b"", EXAMPLE, 0, region="r", service="s")


def test_credentials_do_not_print_themselves() -> None:
    credentials = AwsCredentials("AKIDEXAMPLE", SECRET, "token-value", 12.0)
    for shown in (repr(credentials), str(credentials), repr(credentials.secret_key), f"{credentials!r}"):
        assert SECRET not in shown
        assert "AKIDEXAMPLE" not in shown
        assert "token-value" not in shown
    assert credentials == AwsCredentials("AKIDEXAMPLE", SECRET, "token-value", 12.0)
    assert credentials != EXAMPLE
    assert len({credentials, EXAMPLE, AwsCredentials("AKIDEXAMPLE", SECRET)}) == 2


@pytest.mark.parametrize("bad", ["", "with space", "line\nend", "typo\u201c"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(bad: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AwsCredentials(bad, SECRET)
    assert not bad or bad not in str(caught.value)
    with pytest.raises(ConfigurationError):
        AwsCredentials("AKID", "")
