"""Whether a signature of ours is right where it is not the recorded one.

The reference talks HTTP/2 to Bedrock and signs ``:authority``, its SDK's own headers and the length of the body; over HTTP/1.1 ``host`` stands in
for ``:authority``, and the SDK's headers are not sent. So the two signatures differ, and what can be checked is that each is right for the
request it is on: both are computed again, from the secret key in the recording.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tercet.adapters.auth.sigv4 import (
    AwsCredentials,
    canonical_request,
    payload_hash,
    sign,
    signature,
    string_to_sign,
)

if TYPE_CHECKING:
    from .comparison import SeenRequest

__all__ = ["is_pseudo_header", "signs_itself"]

Headers = Mapping[str, str]

_PROOF = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})"
)
_ONLY_THERE = {
    ":authority",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "content-length",
    "x-amz-user-agent",
}
_SECRET_IN_FILE = re.compile(r"aws_access_key_id\s*=\s*(\S+)\s+aws_secret_access_key\s*=\s*(\S+)")


def is_pseudo_header(name: str, value: str, method: str, url: str) -> bool:
    """Whether it is one of HTTP/2's, and says what the HTTP/1.1 request to ``url`` says in its first line and its ``host``."""
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    said = {":authority": parts.netloc, ":method": method, ":path": path, ":scheme": parts.scheme}
    return said.get(name) == value


def signs_itself(
    recording: Mapping[str, Any], recorded: Headers, recorded_body: bytes, seen: SeenRequest
) -> bool:
    """Whether both signatures are right, each for its own request, by the same key, in the same scope, over the same headers else."""
    headers = dict(seen.headers)
    theirs, ours = (_PROOF.fullmatch(side.get("authorization", "")) for side in (recorded, headers))
    if theirs is None or ours is None or theirs.group(1, 2) != ours.group(1, 2):
        return False
    names = set(theirs[3].split(";"))
    if set(ours[3].split(";")) != names - _ONLY_THERE | {"host"} or ":authority" not in names:
        return False
    secret = _secret(recording, ours[1])
    if secret is None:
        return False
    credentials = AwsCredentials(ours[1], secret, headers.get("x-amz-security-token"))
    parts = urlsplit(seen.url)
    _, region, service, _ = ours[2].split("/")
    again = sign(
        seen.method,
        parts.path,
        parts.query,
        [(name, headers[name]) for name in ours[3].split(";") if name in headers],
        seen.body,
        credentials,
        _unix(headers["x-amz-date"]),
        region=region,
        service=service,
    )
    request = canonical_request(
        seen.method,
        parts.path,
        parts.query,
        [(name, recorded[name]) for name in sorted(names)],
        payload_hash(recorded_body),
    )
    text = string_to_sign(request, recorded["x-amz-date"], theirs[2])
    return (
        dict(again)["authorization"] == ours.group() and signature(text, credentials, theirs[2]) == theirs[4]
    )


def _secret(recording: Mapping[str, Any], access_key: str) -> str | None:
    """The secret key that belongs to ``access_key`` in the recording's settings, environment or files."""
    options: Mapping[str, Any] = recording.get("options", {})
    env: Mapping[str, str] = recording.get("env", {})
    pairs = [
        (options.get("awsAccessKey"), options.get("awsSecretKey")),
        (env.get("AWS_ACCESS_KEY_ID"), env.get("AWS_SECRET_ACCESS_KEY")),
    ]
    for text in recording.get("files", {}).values():
        pairs += _SECRET_IN_FILE.findall(text)
    return next((secret for key, secret in pairs if key == access_key), None)


def _unix(stamp: str) -> float:
    return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
