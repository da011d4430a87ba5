"""``Adapter``: one provider, ready to be asked. It joins a row, a wire, a key and what the catalog knows of the models.

Pure: it makes :class:`HttpCall` from requests and reads answers. Who authorizes and sends the call, and when, is the engine's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec

from tercet.codecs.processor import StreamProcessor, StreamTransformer
from tercet.codecs.vocabulary import (
    ChatRequest,
    ChatResponse,
    ConfigurationError,
    Image,
    Message,
    Model,
    ProviderCapabilities,
    TercetError,
    ToolResult,
    UnsupportedError,
    Usage,
)
from tercet.codecs.wire import Wire, WireRequest

from .auth import Key
from .call import HttpCall, Origin
from .catalog import Catalog, cost, load_catalog
from .profile import Profile
from .settings import Settings
from .url import parse_base_url
from .wires import make_wire

__all__ = ["Adapter", "Unsupported"]

Unsupported = Literal["drop", "error"]

_USER_AGENT = "tercet/0.1"
_LIST_HEADERS = frozenset({"anthropic-beta"})
_NEVER_DROPPED = frozenset({"tools", "images"})
"""What is never dropped in silence: an answer without them would not be to what was asked."""


class Adapter:
    """A provider as the engine sees it. Holds no connection and no state that changes."""

    def __init__(
        self,
        profile: Profile,
        *,
        keys: Sequence[Key] = (),
        base_url: str | None = None,
        unsupported: Unsupported = "drop",
        headers: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """``base_url`` replaces the row's, ``settings`` its values. ``headers`` go out with every request of this adapter.

        Raises :class:`ConfigurationError` for a base URL, wire or dialect that cannot work, and for a setting that is missing.
        """
        if profile.status == "sunset" and base_url is None:
            raise ConfigurationError(f"{profile.label} has ended. {profile.notice}", provider=profile.id)
        self.profile = profile
        self.keys: tuple[Key, ...] = tuple(keys)
        self._settings = Settings(profile, {**profile.settings, **(settings or {})})
        self.base_url: str = (base_url or self._settings.base_url()).rstrip("/")
        origin, self._prefix = parse_base_url(self.base_url)
        self.origin: Origin = origin
        self.unsupported: Unsupported = unsupported
        self._headers = tuple({"user-agent": _USER_AGENT, **profile.headers, **(headers or {})}.items())
        self._wires: dict[str, Wire] = {}
        self._catalog: Catalog | None = None
        self._dialect = self._settings.dialect(profile.dialect)
        self.wire: Wire = make_wire(profile.wire, self._dialect)
        for door in profile.doors.values():
            make_wire(door.wire, self._settings.dialect(door.dialect))  # a wrong dialect shows here
        for wire, dialect in profile.dialects.items():
            make_wire(wire, self._settings.dialect(dialect))  # and here
        health = profile.health_path
        self._health_path = None if health is None else self._settings.fill(health)

    def __repr__(self) -> str:
        return f"<Adapter {self.profile.id} at {self.base_url}>"

    @property
    def id(self) -> str:
        """The provider's id."""
        return self.profile.id

    @property
    def catalog(self) -> Catalog:
        """What is known of its models; read from disk when first asked for."""
        if self._catalog is None:
            self._catalog = load_catalog(self.profile.catalog or self.profile.id)
        return self._catalog

    # -- asking ---------------------------------------------------------------------------------------------------------

    def chat(self, request: ChatRequest, model: str, *, stream: bool) -> HttpCall:
        """The call that asks ``model`` (the provider's own id). Raises :class:`UnsupportedError` before anything is sent."""
        adapted = self.adapt(request, model)
        return self.call(self.wire_for(model).chat(adapted, stream=stream), request.headers)

    def adapt(self, request: ChatRequest, model: str) -> ChatRequest:
        """The request with the provider's model id, and without what the model is known not to take.

        With ``unsupported="error"`` such a field is an :class:`UnsupportedError` that names it.
        """
        changes: dict[str, Any] = {"model": self._sent_id(model)}
        facts = self.catalog.get(model)
        for field in self._rejected(request, model, facts):
            value = _images(request) if field == "images" else getattr(request, field, None)
            if value is None or value == ():
                continue
            if self.unsupported == "error" or field in _NEVER_DROPPED:
                raise UnsupportedError(
                    f"{self.id}:{model} does not take {field}={value!r}; leave it out, choose another model, "
                    "or open the manager with unsupported='drop'",
                    provider=self.id,
                    model=model,
                )
            changes[field] = None
        return msgspec.structs.replace(request, **changes)

    def _sent_id(self, model: str) -> str:
        return model.partition("/")[2] or model if self.profile.model_id == "after_slash" else model

    def _rejected(self, request: ChatRequest, model: str, facts: Model | None) -> Sequence[str]:
        rejected = [*self.wire_for(model).rejects, *self.profile.rejects]
        if facts is None:
            return rejected
        rejected += facts.rejects
        if facts.rejects_with_reasoning:
            reasoning = request.reasoning
            effort = (reasoning.effort if reasoning else None) or facts.default_effort or "medium"
            off = effort == "none" or (reasoning is not None and reasoning.enabled is False)
            if not off:
                rejected += facts.rejects_with_reasoning
        return rejected

    def list_models(self) -> HttpCall | None:
        """The call for the provider's list of models, or None if it has none."""
        asked = self.wire.list_models()
        return None if asked is None else self.call(asked)

    def health_check(self) -> HttpCall | None:
        """The cheapest call that proves host and key: the row's ``health_path``, else the list of models; None if there is neither."""
        asked = self.wire.list_models()
        if self._health_path is not None:
            headers = () if asked is None else asked.headers  # Anthropic wants its version with everything
            asked = WireRequest("GET", self._health_path, headers=headers)
        return None if asked is None else self.call(asked)

    def count_tokens(self, request: ChatRequest, model: str) -> HttpCall | None:
        """The call that counts a prompt's tokens, or None where the provider cannot."""
        asked = self.wire_for(model).count_tokens(self.adapt(request, model))
        return None if asked is None else self.call(asked, request.headers)

    def call(self, asked: WireRequest, headers: Mapping[str, str] | None = None) -> HttpCall:
        """A wire's request with host and headers, not yet authorized. Later headers of one name replace earlier ones, or join them in a list."""
        merged: dict[str, str] = {}
        if asked.body:
            merged["content-type"] = "application/json"
        for given, value in (*self._headers, *asked.headers, *(headers or {}).items()):
            name = given.lower()
            merged[name] = f"{merged[name]},{value}" if name in _LIST_HEADERS and name in merged else value
        return HttpCall(
            asked.method, self.origin, self._prefix + asked.path, tuple(merged.items()), asked.body
        )

    # -- reading --------------------------------------------------------------------------------------------------------

    def wire_for(self, model: str) -> Wire:
        """The wire in the dialect of this model, and what the catalog overrides for the model.

        It is the one that the model's facts name, if the row speaks that; else that of the model's door; else the row's.
        """
        facts = self.catalog.get(model)
        own: Mapping[str, Any] = {} if facts is None else facts.dialect
        asked = facts.wire if facts is not None and facts.wire in self.profile.dialects else None
        pattern = next((pattern for pattern in self.profile.doors if fnmatchcase(model, pattern)), None)
        if pattern is None and asked is None and not own:
            return self.wire
        slot = repr((asked, pattern, sorted(own.items())))
        wire = self._wires.get(slot)
        if wire is None:
            if asked is not None:
                name, dialect = asked, self._settings.dialect(self.profile.dialects[asked])
            elif pattern is None:
                name, dialect = self.profile.wire, self._dialect
            else:
                door = self.profile.doors[pattern]
                name, dialect = door.wire, self._settings.dialect(door.dialect)
            wire = self._wires[slot] = make_wire(name, {**dialect, **own})
        return wire

    def processor(self, model: str, transformers: Sequence[StreamTransformer] = ()) -> StreamProcessor:
        """A new processor for the bytes of one streamed answer."""
        wire = self.wire_for(model)
        return StreamProcessor(wire.decoder(), wire.interpreter(), transformers)

    def response(self, body: bytes, model: str) -> ChatResponse:
        """A whole answer, with provider, model and cost filled in."""
        answer = self.wire_for(model).response(body)
        usage = None if answer.usage is None else self.priced(answer.usage, model)
        return msgspec.structs.replace(answer, provider=self.id, model=model, usage=usage)

    def error(
        self, status: int, headers: Mapping[str, str], body: bytes, *, model: str | None
    ) -> TercetError:
        """The error that a failing answer stands for, with provider and model filled in."""
        wire = self.wire if model is None else self.wire_for(model)
        return wire.error(status, headers, body).at(provider=self.id, model=model)

    def models(self, body: bytes) -> list[Model]:
        """The provider's own list; what it does not say of a model is filled in from the catalog."""
        return [self._merged(model) for model in self.wire.models(body)]

    def _merged(self, model: Model) -> Model:
        known = self.catalog.get(model.id)
        if known is None:
            return msgspec.structs.replace(model, provider=self.id)
        said = {name: value for name in model.__struct_fields__ if (value := getattr(model, name))}
        return msgspec.structs.replace(known, **{**said, "provider": self.id})

    def token_count(self, body: bytes, model: str) -> int:
        """The answer to ``count_tokens``."""
        return self.wire_for(model).token_count(body)

    def priced(self, usage: Usage, model: str) -> Usage:
        """``usage`` with its cost: what the provider said it cost, else by the catalog's prices, else unknown."""
        if usage.cost is not None:
            return usage
        facts = self.catalog.get(model)
        amount = cost(usage, facts.prices) if facts is not None else None
        return usage if amount is None else msgspec.structs.replace(usage, cost=amount)

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        """What the provider offers; with ``model``, what the catalog knows of that model on top."""
        offered = self.profile.capabilities
        facts = self.catalog.get(model) if model else None
        if facts is None:
            return offered
        changes: dict[str, Any] = {
            "context_window": facts.context_window,
            "max_output_tokens": facts.max_output_tokens,
        }
        for field in ("tools", "images", "reasoning", "prompt_caching", "prefill"):
            if field in facts.accepts:
                changes[field] = True
            elif field in facts.rejects:
                changes[field] = False
        return msgspec.structs.replace(offered, **changes)


def _images(request: ChatRequest) -> tuple[str, ...]:
    """Where the request holds images, in words for an error; empty if nowhere."""
    return tuple(
        f"an image in message {number}" for number, turn in enumerate(request.turns, 1) if _has_image(turn)
    )


def _has_image(turn: Message) -> bool:
    return any(
        isinstance(part, Image)
        or (
            isinstance(part, ToolResult)
            and not isinstance(part.content, str)
            and any(isinstance(piece, Image) for piece in part.content)
        )
        for part in turn.parts
    )
