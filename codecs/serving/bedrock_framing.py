"""How a server of Bedrock's frames what it says: the mirror of ``wire.bedrock_framing``, and the errors of its APIs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..framing.eventstream import encode_message
from ..wire.shared import encode_json
from .base import ServedError

__all__ = ["CONTENT_TYPE", "error_body", "event", "exception"]

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_TYPES: dict[int, str] = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    402: "ServiceQuotaExceededException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}
"""What Bedrock calls the failures of a status (API reference, Converse, 2026-11)."""


def event(name: str, payload: bytes) -> bytes:
    """One event, its headers in the order in which Bedrock sends them."""
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return encode_message(headers, payload)


def exception(error: ServedError) -> bytes:
    """The message that breaks an answer off. Its type begins with a small letter, unlike that of an error before the answer."""
    name = _type(error)
    headers = {
        ":exception-type": name[:1].lower() + name[1:],
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return encode_message(headers, _body(error))


def error_body(error: ServedError) -> tuple[Mapping[str, str], bytes]:
    """The header with the error's type, and the body with its message."""
    return {"x-amzn-errortype": _type(error)}, _body(error)


def _type(error: ServedError) -> str:
    """The code, if it is a type of AWS's; else what Bedrock would say with this status."""
    if error.code.endswith("Exception"):
        return error.code
    usual = "InternalServerException" if error.status >= 500 else "ValidationException"
    return _TYPES.get(error.status, usual)


def _body(error: ServedError) -> bytes:
    said: dict[str, Any] = {"message": error.message}
    return encode_json(said)
