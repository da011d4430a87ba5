"""``AiProvider``: one provider, as a program that wants just one sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

import msgspec

from tercet.codecs.vocabulary import (
    ChatRequest,
    ChatResponse,
    CompletionRequest,
    CompletionResponse,
    HealthStatus,
    Model,
    ProviderCapabilities,
    TokenCount,
)

from .stream import TokenStream

if TYPE_CHECKING:
    from .manager import ProviderManager

__all__ = ["AiProvider", "ManagedProvider"]

_R = TypeVar("_R", ChatRequest, CompletionRequest)


@runtime_checkable
class AiProvider(Protocol):
    """What every provider offers. The manager's providers have it; a program's own may be written to it.

    Every ``async`` method may be cancelled at any checkpoint and leaves nothing behind. Errors are those of the tree in
    ``vocabulary/errors``. ``model`` in requests is the provider's own id, or ``provider:model``.
    """

    @property
    def name(self) -> str:
        """The provider's id."""
        ...

    async def health_check(self) -> HealthStatus:
        """Ask the provider the cheapest thing that proves key and host. Never raises for a sick provider: the status says it."""
        ...

    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        """One prompt, one text."""
        ...

    def complete_stream(self, request: CompletionRequest) -> TokenStream:
        """One prompt, its text as it comes."""
        ...

    async def chat(self, request: ChatRequest) -> ChatResponse:
        """One whole answer."""
        ...

    def chat_stream(self, request: ChatRequest) -> TokenStream:
        """One answer as it comes."""
        ...

    async def list_models(self) -> list[Model]:
        """The provider's own list, with what the catalog knows merged in."""
        ...

    async def count_tokens(self, request: ChatRequest) -> TokenCount:
        """The prompt's tokens: counted by the provider if it can, else estimated and marked so."""
        ...

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        """What the provider, or one of its models, offers."""
        ...


class ManagedProvider:
    """One provider of a manager, as an :class:`AiProvider`."""

    def __init__(self, manager: ProviderManager, provider: str) -> None:
        self._manager = manager
        self._id = provider

    def __repr__(self) -> str:
        return f"<provider {self._id}>"

    @property
    def name(self) -> str:
        """The provider's id."""
        return self._id

    async def health_check(self) -> HealthStatus:
        """See :class:`AiProvider`."""
        return await self._manager.health_check(self._id)

    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        """See :class:`AiProvider`."""
        return await self._manager.complete(self._named(request))

    def complete_stream(self, request: CompletionRequest) -> TokenStream:
        """See :class:`AiProvider`."""
        return self._manager.complete_stream(self._named(request))

    async def chat(self, request: ChatRequest) -> ChatResponse:
        """See :class:`AiProvider`."""
        return await self._manager.chat(self._named(request))

    def chat_stream(self, request: ChatRequest) -> TokenStream:
        """See :class:`AiProvider`."""
        return self._manager.chat_stream(self._named(request))

    async def list_models(self) -> list[Model]:
        """See :class:`AiProvider`."""
        return await self._manager.list_models(self._id)

    async def count_tokens(self, request: ChatRequest) -> TokenCount:
        """See :class:`AiProvider`."""
        return await self._manager.count_tokens(self._named(request))

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        """See :class:`AiProvider`."""
        return self._manager.capabilities(f"{self._id}:{model}" if model else self._id)

    def _named(self, request: _R) -> _R:
        """The request with this provider's id before its model, unless it is there already."""
        if request.model.partition(":")[0] == self._id:
            return request
        return msgspec.structs.replace(request, model=f"{self._id}:{request.model}")
