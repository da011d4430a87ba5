"""Bedrock's failures: from an answer, or from an exception inside a stream, to an error; and the reference's texts for them.

The reference tells its user most failures in words of its own, chosen by what the message and the exception's name contain. What it
takes for throttling it hands on as it is, for its caller to try again.
"""

from __future__ import annotations

from typing import Any, Literal

from tercet.codecs.vocabulary import (
    AuthenticationError,
    BadRequestError,
    ContextLengthError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    TercetError,
)

from .actions import Reply
from .errors import error_class
from .values import get, parse_json, text_of

__all__ = ["bedrock_failure", "described", "stream_failure"]

Kind = Literal[
    "SERVICE_QUOTA_EXCEEDED",
    "MODEL_NOT_READY",
    "TOO_MANY_TOKENS",
    "INTERNAL_SERVER_ERROR",
    "ON_DEMAND_NOT_SUPPORTED",
    "NOT_FOUND",
    "ACCESS_DENIED",
    "THROTTLING",
    "GENERIC",
]

_CLASSES: dict[str, type[ProviderError]] = {
    "AccessDeniedException": PermissionDeniedError,
    "ExpiredTokenException": AuthenticationError,
    "IncompleteSignatureException": AuthenticationError,
    "InternalServerException": ServerError,
    "InvalidSignatureException": AuthenticationError,
    "ModelErrorException": ServerError,
    "ModelNotReadyException": OverloadedError,
    "ModelStreamErrorException": ServerError,
    "ModelTimeoutException": ServerError,
    "ResourceNotFoundException": NotFoundError,
    "ServiceQuotaExceededException": QuotaExceededError,
    "ServiceUnavailableException": OverloadedError,
    "ThrottlingException": RateLimitError,
    "UnrecognizedClientException": AuthenticationError,
    "ValidationException": BadRequestError,
}

# The order is the reference's, and the first that fits wins.
_PATTERNS: dict[Kind, tuple[str, ...]] = {
    "SERVICE_QUOTA_EXCEEDED": ("service quota exceeded", "service quota", "quota exceeded for model"),
    "MODEL_NOT_READY": (
        "model not ready",
        "model is not ready",
        "provisioned throughput not ready",
        "model loading",
    ),
    "TOO_MANY_TOKENS": (
        "too many tokens",
        "token limit exceeded",
        "context length",
        "maximum context length",
    ),
    "INTERNAL_SERVER_ERROR": ("internal server error", "internal error", "server error", "service error"),
    "ON_DEMAND_NOT_SUPPORTED": ("with on-demand throughput isn’t supported.",),
    "NOT_FOUND": ("not found", "does not exist"),
    "ACCESS_DENIED": ("access", "denied", "permission"),
    "THROTTLING": (
        "throttl",
        "rate",
        "limit",
        "bedrock is unable to process your request",
        "please wait",
        "quota exceeded",
        "service unavailable",
        "busy",
        "overloaded",
        "too many requests",
        "request limit",
        "concurrent requests",
    ),
}

_TEXTS: dict[Kind, str] = {
    "SERVICE_QUOTA_EXCEEDED": """Service quota exceeded. This error indicates you've reached AWS service limits.

Please try:
1. Contact AWS support to request a quota increase
2. Reduce request frequency temporarily
3. Check your Amazon Bedrock quotas in the AWS console
4. Consider using a different model or region with available capacity

""",
    "MODEL_NOT_READY": """Model is not ready or still loading. This can happen with:
1. Provisioned throughput models that are still initializing
2. Custom models that are being loaded
3. Models that are temporarily unavailable

Please try:
1. Wait a few minutes and retry
2. Check the model status in Amazon Bedrock console
3. Verify the model is properly provisioned

""",
    "TOO_MANY_TOKENS": """"Too many tokens" error detected.
Possible Causes:
1. Input exceeds model's context window limit
2. Rate limiting (too many tokens per minute)
3. Quota exceeded for token usage
4. Other token-related service limitations

Suggestions:
1. Reduce the size of your input
2. Split your request into smaller chunks
3. Use a model with a larger context window
4. If rate limited, reduce request frequency
5. Check your Amazon Bedrock quotas and limits

""",
    "INTERNAL_SERVER_ERROR": """Amazon Bedrock internal server error. This is a temporary service issue.

Please try:
1. Retry the request after a brief delay
2. If the error persists, check AWS service health
3. Contact AWS support if the issue continues

""",
    "ON_DEMAND_NOT_SUPPORTED": """
1. Try enabling cross-region inference in settings.
2. Or, create an inference profile and then leverage the "Use custom ARN..." option of the model selector in settings.""",
    "NOT_FOUND": """The specified ARN does not exist or is invalid. Please check:

1. The ARN format is correct (arn:aws:bedrock:region:account-id:resource-type/resource-name)
2. The model exists in the specified region
3. The account ID in the ARN is correct""",
    "ACCESS_DENIED": """You don't have access to the model specified.

Please verify:
1. Try cross-region inference if you're using a foundation model
2. If using an ARN, verify the ARN is correct and points to a valid model
3. Your AWS credentials have permission to access this model (check IAM policies)
4. The region in the ARN matches the region where the model is deployed
5. If using a provisioned model, ensure it's active and not in a failed state""",
    "THROTTLING": """Request was throttled or rate limited. Please try:
1. Reducing the frequency of requests
2. If using a provisioned model, check its throughput settings
3. Contact AWS support to request a quota increase if needed

""",
}


def described(error: TercetError) -> tuple[bool, str]:
    """Whether the reference takes it for throttling, and its text for it."""
    kind = _kind(error)
    return kind == "THROTTLING", _TEXTS.get(kind) or f"Unknown Error: {error.message}"


def bedrock_failure(reply: Reply, text: str) -> ProviderError:
    """An answer that is not a success: named by ``x-amzn-errortype``, or by its body."""
    request_id = reply.headers.get("x-amzn-requestid")
    try:
        body: Any = parse_json(text) if text else {}
    except ValueError:
        return error_class(reply.status)(
            f"the answer of status {reply.status} is not JSON",
            status=reply.status,
            request_id=request_id,
            body=text,
        )
    name = reply.headers.get("x-amzn-errortype") or get(body, "code") or get(body, "__type")
    code = _plain_name(text_of(name)) if name else str(reply.status)
    message = get(body, "message") or get(body, "Message") or "UnknownError"
    return _failure(code, text_of(message), reply.status, request_id, text)


def stream_failure(name: str, payload: bytes | memoryview) -> ProviderError:
    """An exception that came as an event: ``internalServerException`` and its JSON."""
    text = bytes(payload).decode("utf-8", "replace")
    try:
        message = get(parse_json(text), "message")
    except ValueError:
        message = text
    code = name[:1].upper() + name[1:]
    return _failure(code, text_of(message or "UnknownError"), None, None, text)


def _failure(code: str, message: str, status: int | None, request_id: str | None, body: str) -> ProviderError:
    kind = _CLASSES.get(code) or error_class(status)
    if kind is BadRequestError and any(part in message.lower() for part in _PATTERNS["TOO_MANY_TOKENS"]):
        kind = ContextLengthError
    return kind(message, status=status, code=code, request_id=request_id, body=body)


def _kind(error: TercetError) -> Kind:
    name = error.code or ""
    if error.status == 429 or name == "ThrottlingException":
        return "THROTTLING"
    said = (error.message.lower(), name.lower())
    for kind, patterns in _PATTERNS.items():
        if any(pattern in text for pattern in patterns for text in said):
            return kind
    return "GENERIC"


def _plain_name(name: str) -> str:
    """``com.amazon#Name:http://...`` is ``Name``."""
    return name.partition(",")[0].partition(":")[0].rpartition("#")[2]
