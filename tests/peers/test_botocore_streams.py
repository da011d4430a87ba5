"""botocore's own event stream against ours: every kind of header, messages cut anywhere, and what our servers write for all of Bedrock's failures.

Signatures, the service model and the contents of Converse are compared with botocore in ``tests/adapters/test_sigv4.py`` and
``tests/wire/test_bedrock_service_model.py``; here is what they leave.
"""

from __future__ import annotations

import base64
import json
import random
import string
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from tercet.adapters.auth.sigv4 import AwsCredentials, sign
from tercet.codecs.framing.eventstream import (
    Byte,
    EventStreamDecoder,
    HeaderValue,
    Int,
    Long,
    Short,
    Timestamp,
    encode_message,
)
from tercet.codecs.processor import StreamProcessor
from tercet.codecs.serving.base import ServedError
from tercet.codecs.serving.bedrock_converse import BedrockConverseServing
from tercet.codecs.serving.bedrock_invoke import BedrockInvokeServing
from tercet.codecs.vocabulary import (
    Finish,
    ProtocolError,
    ProviderError,
    StreamToken,
    TextDelta,
    Usage,
    UsageReport,
)
from tercet.codecs.wire.bedrock_converse import BedrockConverseWire
from tercet.codecs.wire.bedrock_invoke import BedrockInvokeWire

pytest.importorskip("botocore", reason="botocore is not installed (extra 'peers')")


def read_by_botocore(pieces: list[bytes]) -> list[tuple[dict[str, Any], bytes]]:
    from botocore.eventstream import EventStreamBuffer

    buffer, found = EventStreamBuffer(), []
    for piece in pieces:
        buffer.add_data(piece)
        found += [(message.headers, message.payload) for message in buffer]
    return found


def value_of(chance: random.Random) -> HeaderValue:
    bits = chance.choice((8, 16, 32, 64))
    number = chance.randrange(-(1 << bits - 1), 1 << bits - 1)
    return chance.choice(
        (
            True,
            False,
            {8: Byte, 16: Short, 32: Int, 64: Long}[bits](number),
            Timestamp(chance.randrange(1 << 45)),
            chance.randbytes(chance.randrange(40)),
            "".join(chance.choices("aé\u2028\U0001f389 z", k=chance.randrange(30))),
            UUID(bytes=chance.randbytes(16)),
        )
    )


def as_botocore_has_it(value: HeaderValue) -> Any:
    """botocore leaves UUIDs as their bytes; every other value is what ours is."""
    return value.bytes if isinstance(value, UUID) else value


def test_botocore_reads_every_kind_of_header_that_we_write_cut_anywhere() -> None:
    chance = random.Random(7)
    for _ in range(60):
        names = [
            "".join(chance.choices(string.ascii_letters + ":-", k=chance.randrange(1, 40))) for _ in range(5)
        ]
        said = [
            ({name: value_of(chance) for name in names}, chance.randbytes(chance.randrange(300)))
            for _ in range(4)
        ]
        data = b"".join(encode_message(headers, payload) for headers, payload in said)
        cuts = sorted(chance.sample(range(len(data)), 6))
        pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        theirs = read_by_botocore(pieces)
        assert theirs == [
            ({name: as_botocore_has_it(value) for name, value in headers.items()}, payload)
            for headers, payload in said
        ]
        decoder = EventStreamDecoder()
        own = [
            (message.headers, bytes(message.payload)) for piece in pieces for message in decoder.feed(piece)
        ]
        assert own == said


def test_both_refuse_a_flipped_bit() -> None:
    """Each bit of a message: where botocore raises, so do we, and neither hands on a changed message."""
    from botocore.eventstream import ParserError

    message = encode_message({":event-type": "a", "n": Int(5)}, b"payload")
    for place in range(len(message) * 8):
        changed = bytearray(message)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(ParserError):
            read_by_botocore([bytes(changed)])
        with pytest.raises(ProtocolError):
            EventStreamDecoder().feed(bytes(changed))


FAILURES = {
    400: "validationException",
    403: "accessDeniedException",
    404: "resourceNotFoundException",
    408: "modelTimeoutException",
    424: "modelErrorException",
    429: "throttlingException",
    500: "internalServerException",
    503: "serviceUnavailableException",
}
UNMODELLED = (
    "accessDeniedException",
    "resourceNotFoundException",
    "modelTimeoutException",
    "modelErrorException",
)
"""What Bedrock says before an answer, and by its service model never inside one (``modelTimeoutException`` only of InvokeModel's)."""
TOKENS: list[StreamToken] = [TextDelta("Hé"), UsageReport(Usage(1, 1)), Finish("stop", "end_turn")]


@pytest.mark.parametrize(
    "serving", [BedrockConverseServing(), BedrockInvokeServing()], ids=["converse", "invoke"]
)
def test_botocore_raises_every_failure_that_we_serve_inside_a_stream(serving: Any) -> None:
    import botocore.session
    from botocore.eventstream import EventStream
    from botocore.exceptions import EventStreamError
    from botocore.parsers import EventStreamJSONParser

    wire = BedrockConverseWire() if isinstance(serving, BedrockConverseServing) else BedrockInvokeWire()
    operation, member, model = (
        ("ConverseStream", "stream", "m")
        if isinstance(serving, BedrockConverseServing)
        else ("InvokeModelWithResponseStream", "body", "meta.llama3-8b-instruct-v1:0")
    )
    service = botocore.session.Session().get_service_model("bedrock-runtime")
    shape = service.operation_model(operation).output_shape.members[member]
    for status, name in FAILURES.items():
        said = next(iter(serving.stream(TOKENS, model=model))) + serving.stream_error(
            ServedError(status, "", "so it is")
        )

        class Raw:
            def stream(self, data: bytes = said) -> Any:
                return iter([data])

        with pytest.raises(EventStreamError) as caught:
            list(EventStream(Raw(), shape, EventStreamJSONParser(), operation))
        if name in shape.members:
            assert caught.value.response["Error"] == {"Code": name, "Message": "so it is"}
        else:  # the service does not model it in a stream: botocore raises, but has no words for it
            assert name in UNMODELLED
        processor = StreamProcessor(wire.decoder(), wire.interpreter())
        with pytest.raises(ProviderError, match="so it is"):
            processor.process_chunk(said)
            processor.finish()


def test_control_plane_requests_are_signed_as_botocore_signs_them() -> None:
    """What Bedrock's other doors ask: GETs without a body, queries, other services' names."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    wrong: list[str] = []
    chance = random.Random(11)
    for service, host, path in (
        ("bedrock", "bedrock.us-east-1.amazonaws.com", "/foundation-models"),
        ("bedrock", "bedrock.eu-west-1.amazonaws.com", "/inference-profiles"),
        ("sts", "sts.us-east-1.amazonaws.com", "/"),
        ("execute-api", "vpce-0a1b.execute-api.eu-west-1.vpce.amazonaws.com", "/prod/model"),
    ):
        for method in ("GET", "POST"):
            for _ in range(4):
                names = chance.sample(("byOutputModality", "maxResults", "nextToken", "a-b", "a", "A"), 3)
                values = ("TEXT", "1000", "x/y=z+ \u00e9", "")
                query = "&".join(
                    f"{name}={quote(value, safe='-_.~')}"
                    for name, value in zip(names, chance.sample(values, 3), strict=True)
                )
                body = b"" if method == "GET" else b"Action=AssumeRole&Version=2011-06-15"
                request = AWSRequest(method, f"https://{host}{path}?{query}", data=body)
                SigV4Auth(
                    Credentials("AKIDEXAMPLE", "secret/key+", "token=="), service, "eu-west-1"
                ).add_auth(request)
                stamp = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
                own = sign(
                    method,
                    path,
                    query,
                    [("host", host)],
                    body,
                    AwsCredentials("AKIDEXAMPLE", "secret/key+", "token=="),
                    stamp.replace(tzinfo=UTC).timestamp(),
                    region="eu-west-1",
                    service=service,
                )
                proof = {name.lower(): value for name, value in own}["authorization"]
                if proof != request.headers["Authorization"]:
                    wrong.append(
                        f"{method} {host}{path}?{query}: {proof} is not {request.headers['Authorization']}"
                    )
    assert not wrong, "\n".join(wrong)


def test_what_an_invoke_server_streams_is_json_for_botocore() -> None:
    said = b"".join(BedrockInvokeServing().stream(TOKENS, model="anthropic.claude-sonnet-4"))
    events = [json.loads(payload) for _, payload in read_by_botocore([said])]
    kinds = [json.loads(base64.b64decode(event["bytes"]))["type"] for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
