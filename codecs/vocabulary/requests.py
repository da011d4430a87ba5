"""What can be asked: messages, tools and the two request types.

Names are OpenAI's where OpenAI has one. Nothing has a default that is sent: a field left at None is absent from the body,
except where a wire's API insists on it (Anthropic's ``max_tokens``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from .errors import BadRequestError
from .parts import Part, Text, ToolResult

__all__ = [
    "ChatRequest",
    "CompletionRequest",
    "Message",
    "ReasoningOptions",
    "ResponseFormat",
    "Role",
    "Tool",
    "ToolChoice",
    "assistant",
    "system",
    "tool_result",
    "user",
]

Role = Literal["system", "developer", "user", "assistant", "tool"]
_ROLES = ("system", "developer", "user", "assistant", "tool")


class Message(msgspec.Struct, frozen=True):
    """One turn. ``content`` is text or a sequence of parts; tool results may stand in ``tool`` or ``user`` messages.

    ``extra`` is merged into the message object as the wire writes it, for fields tercet does not know.
    """

    role: Role
    content: str | Sequence[Part]
    name: str | None = None
    extra: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.role not in _ROLES:
            raise BadRequestError(f"a message's role is one of {', '.join(_ROLES)}; got {self.role!r}")
        if not isinstance(self.content, str):
            msgspec.structs.force_setattr(self, "content", tuple(self.content))

    @property
    def parts(self) -> tuple[Part, ...]:
        """The content as parts; a plain string is one :class:`Text`, an empty string none."""
        if isinstance(self.content, str):
            return (Text(self.content),) if self.content else ()
        return tuple(self.content)

    @property
    def text(self) -> str:
        """The text parts, joined."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, Text))


def system(content: str | Sequence[Part]) -> Message:
    """A message of role ``system``."""
    return Message("system", content)


def user(content: str | Sequence[Part]) -> Message:
    """A message of role ``user``."""
    return Message("user", content)


def assistant(content: str | Sequence[Part]) -> Message:
    """A message of role ``assistant``: history, or (last in the list, where the model allows it) a prefill."""
    return Message("assistant", content)


def tool_result(
    tool_call_id: str, content: str, *, is_error: bool = False, name: str | None = None
) -> Message:
    """A message of role ``tool`` with one result in it."""
    return Message("tool", (ToolResult(tool_call_id, content, is_error=is_error, name=name),))


class Tool(msgspec.Struct, frozen=True):
    """A function the model may call. ``parameters`` is a JSON Schema object; ``strict`` asks for exact adherence to it."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = msgspec.field(
        default_factory=lambda: {"type": "object", "properties": {}}
    )
    strict: bool | None = None
    cache: bool = False


class ToolChoice(msgspec.Struct, frozen=True):
    """Whether the model must call a tool: ``auto``, ``none``, ``required`` (any), or ``tool`` with ``name``."""

    mode: Literal["auto", "none", "required", "tool"] = "auto"
    name: str | None = None

    def __post_init__(self) -> None:
        if (self.mode == "tool") != (self.name is not None):
            raise BadRequestError(
                f"ToolChoice takes a name with mode 'tool' and only then; got {self.mode!r}, {self.name!r}"
            )


class ResponseFormat(msgspec.Struct, frozen=True):
    """The form of the answer: ``text``, ``json_object``, or ``json_schema`` with ``schema`` (and a ``name`` for it)."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    schema: Mapping[str, Any] | None = None
    name: str = "answer"
    strict: bool | None = None

    def __post_init__(self) -> None:
        if (self.type == "json_schema") != (self.schema is not None):
            raise BadRequestError(
                f"ResponseFormat takes a schema with type 'json_schema' and only then; got type {self.type!r}"
            )


class ReasoningOptions(msgspec.Struct, frozen=True):
    """How much the model should think: ``effort`` (a word) or ``budget_tokens``; ``enabled=False`` switches it off.

    ``summary`` asks for readable reasoning where that is an option (``auto``, ``concise``, ``detailed``).
    Effort words differ per model (``none``, ``minimal``, ``low``, ``medium``, ``high``, ``xhigh``, ``max``); they are sent as given.
    """

    effort: str | None = None
    budget_tokens: int | None = None
    enabled: bool | None = None
    summary: str | None = None

    def __post_init__(self) -> None:
        if self.budget_tokens is not None and self.budget_tokens < -1:
            raise BadRequestError(
                f"reasoning.budget_tokens is a count of tokens, 0 (off) or -1 (dynamic); got {self.budget_tokens}"
            )


class ChatRequest(msgspec.Struct, frozen=True):
    """One chat request.

    ``model`` is ``provider:model`` (``provider/model`` is understood too), or the name of a route of the manager.
    ``messages`` may be a string: one user message. ``extra`` is merged into the top level of the body last, so it can add
    a provider's own field or override one. ``headers`` go out with this request only.
    ``metadata`` never leaves the process: it is for the caller's own accounting.
    """

    model: str
    messages: str | Sequence[Message]
    max_tokens: int | None = msgspec.field(default=None)
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: Sequence[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    tools: Sequence[Tool] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning: ReasoningOptions | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    user: str | None = None
    extra: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None
    metadata: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        messages = (
            (Message("user", self.messages),) if isinstance(self.messages, str) else tuple(self.messages)
        )
        msgspec.structs.force_setattr(self, "messages", messages)
        if not self.model:
            raise BadRequestError(
                "ChatRequest.model is empty; say 'provider:model', such as 'openai:gpt-5.1'"
            )
        if not messages:
            raise BadRequestError("ChatRequest.messages is empty; a request needs at least one message")
        _check_range("max_tokens", self.max_tokens, 1, None)
        _check_range("temperature", self.temperature, 0, 2)
        _check_range("top_p", self.top_p, 0, 1)
        _check_range("top_k", self.top_k, 0, None)
        _check_range("presence_penalty", self.presence_penalty, -2, 2)
        _check_range("frequency_penalty", self.frequency_penalty, -2, 2)
        if isinstance(self.stop, str):
            msgspec.structs.force_setattr(self, "stop", (self.stop,))
        names = [tool.name for tool in self.tools]
        if len(set(names)) != len(names):
            raise BadRequestError(f"ChatRequest.tools has two tools of one name: {sorted(names)}")
        if (
            self.tool_choice is not None
            and self.tool_choice.name is not None
            and self.tool_choice.name not in names
        ):
            raise BadRequestError(
                f"tool_choice names {self.tool_choice.name!r}, which is not among the tools {names}"
            )

    @property
    def turns(self) -> tuple[Message, ...]:
        """The messages, always as a tuple of :class:`Message`."""
        assert not isinstance(self.messages, str)  # __post_init__ made a tuple of it
        return tuple(self.messages)


class CompletionRequest(msgspec.Struct, frozen=True):
    """One prompt, one text back. Sent as a chat of a single user message (with ``system`` before it, if given)."""

    model: str
    prompt: str
    system: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: Sequence[str] | None = None
    seed: int | None = None
    extra: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None
    metadata: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.prompt:
            raise BadRequestError("CompletionRequest.prompt is empty")

    def to_chat(self) -> ChatRequest:
        """The chat request that asks the same."""
        messages = [user(self.prompt)] if self.system is None else [system(self.system), user(self.prompt)]
        return ChatRequest(
            self.model,
            messages,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            stop=self.stop,
            seed=self.seed,
            extra=self.extra,
            headers=self.headers,
            metadata=self.metadata,
        )


def _check_range(field: str, value: float | None, low: float, high: float | None) -> None:
    if value is None or (value >= low and (high is None or value <= high)):
        return
    allowed = f"at least {low}" if high is None else f"between {low} and {high}"
    raise BadRequestError(f"ChatRequest.{field} is {allowed}; got {value!r}")
