"""tercet: a trio-native engine for talking to LLM providers: dispatch, stream, limit, fail over, account.

::

    async with tercet.open_manager() as manager:
        async with manager.chat_stream(tercet.ChatRequest("anthropic:claude-sonnet-5", "Hello!")) as stream:
            async for piece in stream.text():
                print(piece, end="", flush=True)

Importing this module does nothing but define the names below; each is loaded when first used (PEP 562), so that a program pays for
what it uses and ``tercet --help`` need not import trio.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING, Any as _Any

if _TYPE_CHECKING:
    from tercet.adapters import Adapter as Adapter, Profile as Profile, ProviderRegistry as ProviderRegistry
    from tercet.codecs.framing import (
        EventStreamDecoder as EventStreamDecoder,
        JsonStreamParser as JsonStreamParser,
        NdjsonDecoder as NdjsonDecoder,
        SseDecoder as SseDecoder,
    )
    from tercet.codecs.processor import (
        StreamProcessor as StreamProcessor,
        StreamTransformer as StreamTransformer,
    )
    from tercet.codecs.transform import ContentFilter as ContentFilter, TokenAccumulator as TokenAccumulator
    from tercet.codecs.vocabulary import (
        AllAttemptsFailedError as AllAttemptsFailedError,
        AuthenticationError as AuthenticationError,
        BadRequestError as BadRequestError,
        ChatRequest as ChatRequest,
        ChatResponse as ChatResponse,
        CircuitOpenError as CircuitOpenError,
        Citation as Citation,
        CompletionRequest as CompletionRequest,
        CompletionResponse as CompletionResponse,
        ConfigurationError as ConfigurationError,
        ConnectError as ConnectError,
        ContentFilterError as ContentFilterError,
        ContextLengthError as ContextLengthError,
        DeadlineError as DeadlineError,
        File as File,
        Finish as Finish,
        HealthStatus as HealthStatus,
        Image as Image,
        Message as Message,
        Model as Model,
        NotFoundError as NotFoundError,
        Opaque as Opaque,
        OpaqueDelta as OpaqueDelta,
        OverloadedError as OverloadedError,
        PermissionDeniedError as PermissionDeniedError,
        Prices as Prices,
        ProtocolError as ProtocolError,
        ProviderCapabilities as ProviderCapabilities,
        ProviderError as ProviderError,
        QuotaExceededError as QuotaExceededError,
        RateLimitError as RateLimitError,
        Reasoning as Reasoning,
        ReasoningDelta as ReasoningDelta,
        ReasoningOptions as ReasoningOptions,
        ResponseFormat as ResponseFormat,
        Restarted as Restarted,
        ServerError as ServerError,
        StreamInterruptedError as StreamInterruptedError,
        StreamToken as StreamToken,
        TercetError as TercetError,
        Text as Text,
        TextDelta as TextDelta,
        TokenCount as TokenCount,
        Tool as Tool,
        ToolCall as ToolCall,
        ToolCallDelta as ToolCallDelta,
        ToolChoice as ToolChoice,
        ToolResult as ToolResult,
        TransportError as TransportError,
        UnsupportedError as UnsupportedError,
        Usage as Usage,
        UsageReport as UsageReport,
        assistant as assistant,
        fold as fold,
        system as system,
        tool_result as tool_result,
        user as user,
    )
    from tercet.engine.control import (
        AdaptiveRateLimiter as AdaptiveRateLimiter,
        BackpressureController as BackpressureController,
        BreakerState as BreakerState,
        CircuitBreaker as CircuitBreaker,
        Clocks as Clocks,
        HealthMonitor as HealthMonitor,
        HedgePolicy as HedgePolicy,
        ProviderMetrics as ProviderMetrics,
        RetryPolicy as RetryPolicy,
        Route as Route,
        Target as Target,
    )
    from tercet.engine.runtime import (
        AiProvider as AiProvider,
        AttemptRecord as AttemptRecord,
        Inspection as Inspection,
        ProviderManager as ProviderManager,
        TokenStream as TokenStream,
        aws_source as aws_source,
        google_source as google_source,
        httpx_sender as httpx_sender,
        oauth_file_source as oauth_file_source,
        open_manager as open_manager,
        token_source as token_source,
    )

    __version__: str

_HOMES = {
    "tercet.adapters": "Adapter Profile ProviderRegistry",
    "tercet.codecs.framing": "EventStreamDecoder JsonStreamParser NdjsonDecoder SseDecoder",
    "tercet.codecs.processor": "StreamProcessor StreamTransformer",
    "tercet.codecs.transform": "ContentFilter TokenAccumulator",
    "tercet.codecs.vocabulary": (
        "AllAttemptsFailedError AuthenticationError BadRequestError ChatRequest ChatResponse CircuitOpenError Citation "
        "CompletionRequest CompletionResponse ConfigurationError ConnectError ContentFilterError ContextLengthError "
        "DeadlineError File Finish HealthStatus Image Message Model NotFoundError Opaque OpaqueDelta OverloadedError "
        "PermissionDeniedError Prices ProtocolError ProviderCapabilities ProviderError QuotaExceededError RateLimitError "
        "Reasoning ReasoningDelta ReasoningOptions ResponseFormat Restarted ServerError StreamInterruptedError StreamToken "
        "TercetError Text TextDelta TokenCount Tool ToolCall ToolCallDelta ToolChoice ToolResult TransportError "
        "UnsupportedError Usage UsageReport assistant fold system tool_result user"
    ),
    "tercet.engine.control": (
        "AdaptiveRateLimiter BackpressureController BreakerState CircuitBreaker Clocks HealthMonitor HedgePolicy ProviderMetrics "
        "RetryPolicy Route Target"
    ),
    "tercet.engine.runtime": (
        "AiProvider AttemptRecord Inspection ProviderManager TokenStream aws_source google_source httpx_sender oauth_file_source "
        "open_manager token_source"
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "Adapter",
    "AdaptiveRateLimiter",
    "AiProvider",
    "AllAttemptsFailedError",
    "AttemptRecord",
    "AuthenticationError",
    "BackpressureController",
    "BadRequestError",
    "BreakerState",
    "ChatRequest",
    "ChatResponse",
    "CircuitBreaker",
    "CircuitOpenError",
    "Citation",
    "Clocks",
    "CompletionRequest",
    "CompletionResponse",
    "ConfigurationError",
    "ConnectError",
    "ContentFilter",
    "ContentFilterError",
    "ContextLengthError",
    "DeadlineError",
    "EventStreamDecoder",
    "File",
    "Finish",
    "HealthMonitor",
    "HealthStatus",
    "HedgePolicy",
    "Image",
    "Inspection",
    "JsonStreamParser",
    "Message",
    "Model",
    "NdjsonDecoder",
    "NotFoundError",
    "Opaque",
    "OpaqueDelta",
    "OverloadedError",
    "PermissionDeniedError",
    "Prices",
    "Profile",
    "ProtocolError",
    "ProviderCapabilities",
    "ProviderError",
    "ProviderManager",
    "ProviderMetrics",
    "ProviderRegistry",
    "QuotaExceededError",
    "RateLimitError",
    "Reasoning",
    "ReasoningDelta",
    "ReasoningOptions",
    "ResponseFormat",
    "Restarted",
    "RetryPolicy",
    "Route",
    "ServerError",
    "SseDecoder",
    "StreamInterruptedError",
    "StreamProcessor",
    "StreamToken",
    "StreamTransformer",
    "Target",
    "TercetError",
    "Text",
    "TextDelta",
    "TokenAccumulator",
    "TokenCount",
    "TokenStream",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolChoice",
    "ToolResult",
    "TransportError",
    "UnsupportedError",
    "Usage",
    "UsageReport",
    "__version__",
    "assistant",
    "aws_source",
    "fold",
    "google_source",
    "httpx_sender",
    "oauth_file_source",
    "open_manager",
    "system",
    "token_source",
    "tool_result",
    "user",
]


def __getattr__(name: str) -> _Any:
    home = _HOME_OF.get(name)
    if home is not None:
        value = getattr(_import_module(home), name)
    elif name == "__version__":
        from importlib.metadata import version

        value = version("tercet")
    else:
        raise AttributeError(f"module 'tercet' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
