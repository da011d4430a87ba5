"""What everything is said in: requests, messages, parts, tools, tokens, usage, models, the error tree."""

from .errors import (
    AllAttemptsFailedError as AllAttemptsFailedError,
    AuthenticationError as AuthenticationError,
    BadRequestError as BadRequestError,
    CircuitOpenError as CircuitOpenError,
    ConfigurationError as ConfigurationError,
    ConnectError as ConnectError,
    ContentFilterError as ContentFilterError,
    ContextLengthError as ContextLengthError,
    DeadlineError as DeadlineError,
    NotFoundError as NotFoundError,
    OverloadedError as OverloadedError,
    PermissionDeniedError as PermissionDeniedError,
    ProtocolError as ProtocolError,
    ProviderError as ProviderError,
    QuotaExceededError as QuotaExceededError,
    RateLimitError as RateLimitError,
    ServerError as ServerError,
    StreamInterruptedError as StreamInterruptedError,
    TercetError as TercetError,
    TransportError as TransportError,
    UnsupportedError as UnsupportedError,
)
from .models import (
    HealthState as HealthState,
    HealthStatus as HealthStatus,
    Model as Model,
    Prices as Prices,
    ProviderCapabilities as ProviderCapabilities,
)
from .parts import (
    File as File,
    Image as Image,
    Opaque as Opaque,
    Part as Part,
    Reasoning as Reasoning,
    Text as Text,
    ToolCall as ToolCall,
    ToolResult as ToolResult,
)
from .requests import (
    ChatRequest as ChatRequest,
    CompletionRequest as CompletionRequest,
    Message as Message,
    ReasoningOptions as ReasoningOptions,
    ResponseFormat as ResponseFormat,
    Role as Role,
    Tool as Tool,
    ToolChoice as ToolChoice,
    assistant as assistant,
    system as system,
    tool_result as tool_result,
    user as user,
)
from .responses import (
    ChatResponse as ChatResponse,
    CompletionResponse as CompletionResponse,
    Folder as Folder,
    fold as fold,
    unfold as unfold,
)
from .tokens import (
    Citation as Citation,
    Finish as Finish,
    FinishReason as FinishReason,
    OpaqueDelta as OpaqueDelta,
    ReasoningDelta as ReasoningDelta,
    Restarted as Restarted,
    StreamToken as StreamToken,
    TextDelta as TextDelta,
    ToolCallDelta as ToolCallDelta,
    UsageReport as UsageReport,
)
from .usage import (
    TokenCount as TokenCount,
    Usage as Usage,
)
