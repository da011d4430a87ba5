"""A request to Bedrock as the reference's SDK makes it (aws-sdk-js 3.848.0, retry mode standard), but over HTTP/1.1.

Three tries: on throttling with a wait of up to 500 ms, on other faults that pass with one of up to 100 ms, doubled each time, both times
chance; what ``retry-after`` says has no effect there. Each try is signed anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from configparser import ConfigParser, Error as ConfigParserError
from typing import Any

import msgspec

from tercet.adapters.auth.sigv4 import AwsCredentials, payload_hash, sign
from tercet.adapters.call import HttpCall
from tercet.codecs.vocabulary import ConfigurationError, ProtocolError, ProviderError, TransportError

from .actions import Conversation, Draw, Now, ReadFile, Reply, Send, Sleep
from .bedrock_errors import bedrock_failure
from .http import Request, read_text
from .values import is_true

__all__ = ["BedrockClient"]

_TRIES = 3
_THROTTLED_MS, _FAULT_MS, _MOST_MS = 500, 100, 20_000
_THROTTLING = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_PASSING = frozenset({"TimeoutError", "RequestTimeout", "RequestTimeoutException", "ModelNotReadyException"})
_PASSING_STATUS = frozenset({500, 502, 503, 504})
_NO_CREDENTIALS = "Could not load credentials from any providers"
_PROFILE_FIELDS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


class BedrockClient(msgspec.Struct, frozen=True):
    """Where requests go and who signs them, by the reference's settings. The repr shows nothing: settings hold keys."""

    options: Mapping[str, Any]
    env: Mapping[str, str]
    region: str | None

    def __repr__(self) -> str:
        return f"<BedrockClient {self.region}>"

    def post(self, path: str, body: bytes) -> Conversation[Reply]:
        """Send, and send again as the SDK does. Raises the failure of the last try."""
        request = Request("POST", self._endpoint() + path, (("content-type", "application/json"),), body)
        call = msgspec.structs.replace(request.call(), headers=(*request.headers, ("user-agent", "tercet")))
        credentials = None if self._bearer() else (yield from self._credentials())
        attempt = 0
        while True:
            failure: ProviderError | TransportError
            signed = yield from self._signed(call, credentials)
            try:
                reply: Reply = yield Send(signed)
            except TransportError as error:
                failure = error
            else:
                if reply.status < 300:
                    return reply
                text = yield from _error_text()
                failure = bedrock_failure(reply, text)
            attempt += 1
            if attempt == _TRIES or not _may_pass(failure):
                raise failure
            chance: float = yield Draw()
            base = _THROTTLED_MS if _is_throttling(failure) else _FAULT_MS
            yield Sleep(math.floor(min(_MOST_MS, chance * 2 ** (attempt - 1) * base)) / 1000)

    def _endpoint(self) -> str:
        if not self.region:
            raise ConfigurationError("Region is missing")
        endpoint = self.options.get("awsBedrockEndpoint")
        if endpoint and is_true(self.options.get("awsBedrockEndpointEnabled")):
            return str(endpoint).rstrip("/")
        return f"https://bedrock-runtime.{self.region}.amazonaws.com"

    def _bearer(self) -> str | None:
        if is_true(self.options.get("awsUseApiKey")):
            key: str | None = self.options.get("awsApiKey")
            return key or None
        return None

    def _signed(self, call: HttpCall, credentials: AwsCredentials | None) -> Conversation[HttpCall]:
        if credentials is None:
            bearer = ("authorization", f"Bearer {self._bearer()}")
            return msgspec.structs.replace(call, headers=(*call.headers, bearer))
        at: float = yield Now()
        path, _, query = call.target.partition("?")
        headers = (*call.headers, ("x-amz-content-sha256", payload_hash(call.body)))
        proof = sign(
            call.method,
            path,
            query,
            (("host", call.origin.authority), *headers),
            call.body,
            credentials,
            at,
            region=self.region or "",
            service="bedrock",
        )
        return msgspec.structs.replace(call, headers=(*headers, *proof))

    def _credentials(self) -> Conversation[AwsCredentials]:
        """Those of the settings: a profile, a key; else of the environment, else of the default profile."""
        options, env = self.options, self.env
        if is_true(options.get("awsUseProfile")) and options.get("awsProfile"):
            return (yield from self._profile(options["awsProfile"]))
        if options.get("awsAccessKey") and options.get("awsSecretKey"):
            token = options.get("awsSessionToken") or None
            return AwsCredentials(options["awsAccessKey"], options["awsSecretKey"], token)
        if env.get("AWS_ACCESS_KEY_ID") and env.get("AWS_SECRET_ACCESS_KEY"):
            token = env.get("AWS_SESSION_TOKEN") or None
            return AwsCredentials(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], token)
        try:
            return (yield from self._profile(env.get("AWS_PROFILE") or "default"))
        except ConfigurationError:
            raise ConfigurationError(_NO_CREDENTIALS) from None

    def _profile(self, name: str) -> Conversation[AwsCredentials]:
        """The keys of a profile in the shared files; what the credentials file says comes before what the config file says."""
        config = yield from _sections(self.env.get("AWS_CONFIG_FILE") or "~/.aws/config")
        shared = yield from _sections(self.env.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials")
        in_config = config.get(name if name == "default" else f"profile {name}", {})
        key, secret, token = ({**in_config, **shared.get(name, {})}.get(field) for field in _PROFILE_FIELDS)
        if not key or not secret:
            raise ConfigurationError(
                f"Could not resolve credentials using profile: [{name}] in configuration/credentials file(s)."
            )
        return AwsCredentials(key, secret, token or None)


def _sections(path: str) -> Conversation[dict[str, dict[str, str]]]:
    """An ini file's sections; none where there is no file, or it is broken: no value may come from the wrong profile."""
    try:
        text: str = yield ReadFile(path)
    except OSError:
        return {}
    parser = ConfigParser(default_section="", interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except ConfigParserError:
        return {}
    return {name: dict(parser.items(name)) for name in parser.sections()}


def _error_text() -> Conversation[str]:
    """The body of an error, as much of it as comes: a broken connection must not hide the status."""
    try:
        return (yield from read_text())
    except TransportError:
        return ""


def _may_pass(failure: ProviderError | TransportError) -> bool:
    if isinstance(failure, TransportError):
        return not isinstance(failure, ProtocolError)
    return _is_throttling(failure) or failure.code in _PASSING or failure.status in _PASSING_STATUS


def _is_throttling(failure: ProviderError | TransportError) -> bool:
    return failure.status == 429 or failure.code in _THROTTLING
