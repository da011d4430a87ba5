"""AWS's own description of the service, as botocore ships it: what our Structs read exists there, and botocore reads what we serve."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tercet.codecs.serving.base import ServedError
from tercet.codecs.serving.bedrock_converse import BedrockConverseServing
from tercet.codecs.serving.bedrock_invoke import BedrockInvokeServing
from tercet.codecs.vocabulary import (
    ChatRequest,
    File,
    Finish,
    Image,
    Reasoning,
    ReasoningDelta,
    ReasoningOptions,
    ResponseFormat,
    StreamToken,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    ToolResult,
    Usage,
    UsageReport,
    assistant,
    fold,
    system,
    user,
)
from tercet.codecs.wire import bedrock_converse_shapes as shapes
from tercet.codecs.wire.bedrock_converse import BedrockConverseWire

pytest.importorskip("botocore", reason="botocore is not installed (extra 'peers')")

TOKENS: list[StreamToken] = [
    ReasoningDelta("hm", 0),
    ReasoningDelta("", 0, signature="sig", origin="bedrock"),
    ReasoningDelta("", 1, encrypted="AAEC", origin="bedrock"),
    TextDelta("hé", 2),
    ToolCallDelta(0, "t", "f"),
    ToolCallDelta(0, arguments='{"x":1}'),
    UsageReport(Usage(33, 5, 10, 20)),
    Finish("tool_calls", "tool_use"),
]


@pytest.fixture(scope="module")
def service() -> Any:
    import botocore.session

    return botocore.session.Session().get_service_model("bedrock-runtime")


def members(shape: type[msgspec.Struct]) -> set[str]:
    return set(shape.__struct_encode_fields__)


def test_every_member_that_we_read_is_in_the_service_model(service: Any) -> None:
    rows = {
        "ContentBlockDeltaEvent": shapes.DeltaEvent,
        "ContentBlockDelta": shapes.Delta,
        "ToolUseBlockDelta": shapes.ToolPiece,
        "ReasoningContentBlockDelta": shapes.ReasoningPiece,
        "ContentBlockStartEvent": shapes.BlockStart,
        "ToolUseBlockStart": shapes.ToolStart,
        "ContentBlockStopEvent": shapes.Index,
        "MessageStopEvent": shapes.MessageStop,
        "ConverseStreamMetadataEvent": shapes.Metadata,
        "ConverseStreamTrace": shapes.Trace,
        "PromptRouterTrace": shapes.PromptRouter,
        "ConverseResponse": shapes.Answer,
        "ConverseOutput": shapes.Output,
        "Message": shapes.Message,
        "ContentBlock": shapes.Block,
        "ToolUseBlock": shapes.ToolUse,
        "ReasoningContentBlock": shapes.ReasoningBlock,
        "ReasoningTextBlock": shapes.ReasoningText,
        "CitationsContentBlock": shapes.CitedText,
        "CitationsDelta": shapes.Citation,
        "CitationSourceContentDelta": shapes.SourceText,
        "WebLocation": shapes.WebLocation,
        "CitationLocation": shapes.Location,
    }
    wrong = [
        f"{name} has no {sorted(members(shape) - set(service.shape_for(name).members))}"
        for name, shape in rows.items()
        if members(shape) - set(service.shape_for(name).members)
    ]
    # the other two names are those of Nova's own API
    usage = members(shapes.UsageShape) - set(service.shape_for("TokenUsage").members)
    assert usage == {"cacheReadInputTokenCount", "cacheWriteInputTokenCount"}
    assert wrong == []


def test_every_event_and_exception_is_known_to_the_interpreter(service: Any) -> None:
    events = service.operation_model("ConverseStream").output_shape.members["stream"].members
    known = {
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    }
    assert {name for name in events if not name.endswith("Exception")} == known
    paths = {
        name: service.operation_model(name).http["requestUri"] for name in ("Converse", "ConverseStream")
    }
    assert paths == {
        "Converse": "/model/{modelId}/converse",
        "ConverseStream": "/model/{modelId}/converse-stream",
    }


def test_what_we_write_is_valid_by_the_service_model(service: Any) -> None:
    from botocore.validate import ParamValidator

    request = ChatRequest(
        "anthropic.claude-x",
        [
            system([Text("be", cache=True)]),
            user(
                [
                    Text("see"),
                    Image(data=b"x", media_type="image/png"),
                    Image(url="s3://b/x.png"),
                    File(data=b"x", media_type="application/pdf", name="a.pdf"),
                    File(data=b"x", media_type="video/3gpp"),
                    File(data=b"x", media_type="audio/mpeg"),
                ]
            ),
            assistant(
                [
                    Reasoning("hm", "s", origin="bedrock"),
                    Reasoning(encrypted="AAEC", origin="bedrock"),
                    Text("so", signature='[{"title":"t"}]', origin="bedrock"),
                    ToolCall("t", "f", '{"x":1}'),
                ]
            ),
            user([ToolResult("t", [Text("r"), Image(data=b"x", media_type="image/gif")], is_error=True)]),
        ],
        max_tokens=5,
        temperature=1.0,
        top_p=0.99,
        stop=["x"],
        tools=(Tool("f", "d", strict=True, cache=True),),
        tool_choice=ToolChoice("tool", "f"),
        response_format=ResponseFormat("json_schema", {"type": "object"}),
        reasoning=ReasoningOptions(effort="high"),
        service_tier="flex",
        extra={
            "guardrailConfig": {
                "guardrailIdentifier": "g",
                "guardrailVersion": "1",
                "streamProcessingMode": "sync",
            }
        },
    )
    wire = BedrockConverseWire()
    said = json.loads(wire.chat(request, stream=True).body)
    report = ParamValidator().validate(
        {"modelId": "m", **said}, service.operation_model("ConverseStream").input_shape
    )
    assert not report.has_errors(), report.generate_report()
    asked = wire.count_tokens(request)
    assert asked is not None
    report = ParamValidator().validate(
        {"modelId": "m", **json.loads(asked.body)}, service.operation_model("CountTokens").input_shape
    )
    assert not report.has_errors(), report.generate_report()


def events_by_botocore(data: bytes, shape: Any) -> list[dict[str, Any]]:
    """What boto3 hands out for these bytes."""
    from botocore.eventstream import EventStreamBuffer
    from botocore.parsers import EventStreamJSONParser

    buffer = EventStreamBuffer()
    buffer.add_data(data)
    parser = EventStreamJSONParser()
    return [parser.parse(message.to_response_dict(), shape) for message in buffer]


def test_botocore_reads_what_we_serve(service: Any) -> None:
    shape = service.operation_model("ConverseStream").output_shape.members["stream"]
    serving = BedrockConverseServing()
    events = events_by_botocore(b"".join(serving.stream(TOKENS, model="m")), shape)
    assert [next(iter(event)) for event in events] == [
        "messageStart",
        "contentBlockDelta",
        "contentBlockDelta",
        "contentBlockStop",
        "contentBlockDelta",
        "contentBlockStop",
        "contentBlockDelta",
        "contentBlockStop",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    assert events[4]["contentBlockDelta"]["delta"] == {
        "reasoningContent": {"redactedContent": b"\x00\x01\x02"}
    }
    assert events[6]["contentBlockDelta"] == {"delta": {"text": "hé"}, "contentBlockIndex": 2}
    assert events[11] == {"messageStop": {"stopReason": "tool_use"}}
    assert events[12]["metadata"]["usage"] == {
        "inputTokens": 3,
        "outputTokens": 5,
        "totalTokens": 38,
        "cacheReadInputTokens": 10,
        "cacheWriteInputTokens": 20,
    }


def test_botocore_reads_the_errors_that_we_serve(service: Any) -> None:
    from botocore.eventstream import EventStreamBuffer
    from botocore.parsers import create_parser

    serving = BedrockConverseServing()
    error = ServedError(429, "", "slow down")
    buffer = EventStreamBuffer()
    buffer.add_data(serving.stream_error(error))
    response = next(iter(buffer)).to_response_dict()
    assert (response["status_code"], response["headers"][":exception-type"]) == (400, "throttlingException")
    headers, body = serving.error(error)
    parsed = create_parser("rest-json").parse(
        {"status_code": 429, "headers": dict(headers), "body": body},
        service.operation_model("Converse").output_shape,
    )
    assert parsed["Error"] == {"Message": "slow down", "Code": "ThrottlingException"}


def test_botocore_reads_whole_answers_and_chunks(service: Any) -> None:
    from botocore.parsers import create_parser

    body = BedrockConverseServing().response(fold(TOKENS), model="m")
    parsed = create_parser("rest-json").parse(
        {"status_code": 200, "headers": {}, "body": body}, service.operation_model("Converse").output_shape
    )
    assert parsed["stopReason"] == "tool_use"
    assert [next(iter(block)) for block in parsed["output"]["message"]["content"]] == [
        "reasoningContent",
        "reasoningContent",
        "text",
        "toolUse",
    ]
    shape = service.operation_model("InvokeModelWithResponseStream").output_shape.members["body"]
    data = b"".join(
        BedrockInvokeServing().stream(TOKENS[3:4] + TOKENS[6:], model="meta.llama3-8b-instruct-v1:0")
    )
    said = [json.loads(event["chunk"]["bytes"]) for event in events_by_botocore(data, shape)]
    assert said[0] == {"generation": "hé", "stop_reason": None}
