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
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

if _TYPE_CHECKING:
    from tercet.adapters import Adapter as Adapter
    from tercet.adapters import Profile as Profile
    from tercet.adapters import ProviderRegistry as ProviderRegistry
    from tercet.codecs.framing import EventStreamDecoder as EventStreamDecoder
    from tercet.codecs.framing import JsonStreamParser as JsonStreamParser
    from tercet.codecs.framing import NdjsonDecoder as NdjsonDecoder
    from tercet.codecs.framing import SseDecoder as SseDecoder
    from tercet.codecs.processor import StreamProcessor as StreamProcessor
    from tercet.codecs.processor import StreamTransformer as StreamTransformer
    from tercet.codecs.transform import ContentFilter as ContentFilter
    from tercet.codecs.transform import TokenAccumulator as TokenAccumulator
    from tercet.codecs.vocabulary import AllAttemptsFailedError as AllAttemptsFailedError
    from tercet.codecs.vocabulary import AuthenticationError as AuthenticationError
    from tercet.codecs.vocabulary import BadRequestError as BadRequestError
    from tercet.codecs.vocabulary import ChatRequest as ChatRequest
    from tercet.codecs.vocabulary import ChatResponse as ChatResponse
    from tercet.codecs.vocabulary import CircuitOpenError as CircuitOpenError
    from tercet.codecs.vocabulary import Citation as Citation
    from tercet.codecs.vocabulary import CompletionRequest as CompletionRequest
    from tercet.codecs.vocabulary import CompletionResponse as CompletionResponse
    from tercet.codecs.vocabulary import ConfigurationError as ConfigurationError
    from tercet.codecs.vocabulary import ConnectError as ConnectError
    from tercet.codecs.vocabulary import ContentFilterError as ContentFilterError
    from tercet.codecs.vocabulary import ContextLengthError as ContextLengthError
    from tercet.codecs.vocabulary import DeadlineError as DeadlineError
    from tercet.codecs.vocabulary import File as File
    from tercet.codecs.vocabulary import Finish as Finish
    from tercet.codecs.vocabulary import HealthStatus as HealthStatus
    from tercet.codecs.vocabulary import Image as Image
    from tercet.codecs.vocabulary import Message as Message
    from tercet.codecs.vocabulary import Model as Model
    from tercet.codecs.vocabulary import NotFoundError as NotFoundError
    from tercet.codecs.vocabulary import Opaque as Opaque
    from tercet.codecs.vocabulary import OpaqueDelta as OpaqueDelta
    from tercet.codecs.vocabulary import OverloadedError as OverloadedError
    from tercet.codecs.vocabulary import PermissionDeniedError as PermissionDeniedError
    from tercet.codecs.vocabulary import Prices as Prices
    from tercet.codecs.vocabulary import ProtocolError as ProtocolError
    from tercet.codecs.vocabulary import ProviderCapabilities as ProviderCapabilities
    from tercet.codecs.vocabulary import ProviderError as ProviderError
    from tercet.codecs.vocabulary import QuotaExceededError as QuotaExceededError
    from tercet.codecs.vocabulary import RateLimitError as RateLimitError
    from tercet.codecs.vocabulary import Reasoning as Reasoning
    from tercet.codecs.vocabulary import ReasoningDelta as ReasoningDelta
    from tercet.codecs.vocabulary import ReasoningOptions as ReasoningOptions
    from tercet.codecs.vocabulary import ResponseFormat as ResponseFormat
    from tercet.codecs.vocabulary import Restarted as Restarted
    from tercet.codecs.vocabulary import ServerError as ServerError
    from tercet.codecs.vocabulary import StreamInterruptedError as StreamInterruptedError
    from tercet.codecs.vocabulary import StreamToken as StreamToken
    from tercet.codecs.vocabulary import TercetError as TercetError
    from tercet.codecs.vocabulary import Text as Text
    from tercet.codecs.vocabulary import TextDelta as TextDelta
    from tercet.codecs.vocabulary import TokenCount as TokenCount
    from tercet.codecs.vocabulary import Tool as Tool
    from tercet.codecs.vocabulary import ToolCall as ToolCall
    from tercet.codecs.vocabulary import ToolCallDelta as ToolCallDelta
    from tercet.codecs.vocabulary import ToolChoice as ToolChoice
    from tercet.codecs.vocabulary import ToolResult as ToolResult
    from tercet.codecs.vocabulary import TransportError as TransportError
    from tercet.codecs.vocabulary import UnsupportedError as UnsupportedError
    from tercet.codecs.vocabulary import Usage as Usage
    from tercet.codecs.vocabulary import UsageReport as UsageReport
    from tercet.codecs.vocabulary import assistant as assistant
    from tercet.codecs.vocabulary import fold as fold
    from tercet.codecs.vocabulary import system as system
    from tercet.codecs.vocabulary import tool_result as tool_result
    from tercet.codecs.vocabulary import user as user
    from tercet.engine.control import AdaptiveRateLimiter as AdaptiveRateLimiter
    from tercet.engine.control import BackpressureController as BackpressureController
    from tercet.engine.control import BreakerState as BreakerState
    from tercet.engine.control import CircuitBreaker as CircuitBreaker
    from tercet.engine.control import Clocks as Clocks
    from tercet.engine.control import HealthMonitor as HealthMonitor
    from tercet.engine.control import ProviderMetrics as ProviderMetrics
    from tercet.engine.control import RetryPolicy as RetryPolicy
    from tercet.engine.control import Route as Route
    from tercet.engine.control import Target as Target
    from tercet.engine.runtime import AiProvider as AiProvider
    from tercet.engine.runtime import ProviderManager as ProviderManager
    from tercet.engine.runtime import TokenStream as TokenStream
    from tercet.engine.runtime import httpx_sender as httpx_sender
    from tercet.engine.runtime import open_manager as open_manager

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
        "AdaptiveRateLimiter BackpressureController BreakerState CircuitBreaker Clocks HealthMonitor ProviderMetrics "
        "RetryPolicy Route Target"
    ),
    "tercet.engine.runtime": "AiProvider ProviderManager TokenStream httpx_sender open_manager",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [*sorted(_HOME_OF), "__version__"]  # noqa: PLE0604  # names are strings, made from the table above


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
