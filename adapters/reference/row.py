"""One handler of the chat completions family as data: :class:`ChatRow`. The rows stand in ``table.py``, ``clones.py`` and ``routers.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from tercet.codecs.vocabulary import ProviderError

from .actions import Chunk, Conversation, Reply
from .messages import Message
from .values import get

if TYPE_CHECKING:
    from .chat import ChatFamily

__all__ = ["NEEDS_KEY", "ChatRow", "Client", "Closing", "Ended", "Facts", "Turn", "plain_usage"]

Facts: TypeAlias = Mapping[str, Any]

NEEDS_KEY = "API key is required"


class Client(msgspec.Struct, frozen=True):
    """Where requests go and what they carry: the SDK's client of a handler. ``query`` is appended to every URL."""

    url: str
    headers: tuple[tuple[str, str], ...]
    query: str = ""
    has_model_in_path: bool = False
    path: str = "/chat/completions"

    def __repr__(self) -> str:
        return f"<Client {self.url.partition('?')[0]}>"


class Turn(msgspec.Struct, frozen=True):
    """What a message asks: the system prompt, the messages, and what the caller says of the task (``taskId``, ``mode``)."""

    system: str
    messages: Sequence[Message]
    metadata: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<Turn {len(self.messages)} messages>"


class Ended(msgspec.Struct, frozen=True):
    """A stream at its end: the head of the answer, its text as it came, its last usage."""

    reply: Reply
    text: str
    usage: Any

    def __repr__(self) -> str:
        return f"<Ended {self.reply.status}>"


Closing: TypeAlias = Callable[[Ended], Conversation[None]]


def plain_usage(usage: Any, info: Facts) -> Chunk:
    """The two counts alone."""
    return {
        "type": "usage",
        "inputTokens": get(usage, "prompt_tokens") or 0,
        "outputTokens": get(usage, "completion_tokens") or 0,
    }


class ChatRow(msgspec.Struct, frozen=True, kw_only=True):
    """One handler as data.

    ``label``: its name in error texts; ``wraps_stream``, ``wraps_prompt``: whether, and how often, errors get it; ``wraps_all``: errors in the
    middle of a stream, too. ``key``, ``base``: the settings of key and address; without a key ``no_key`` is sent, or where ``needs_key``
    says what to say, nothing is made. ``url_suffix``: what follows the address. ``sends_identity``: whether the reference names itself;
    ``user_headers``: whether the settings may add headers. ``retries``: whether the client under it tries again.

    ``catalogue``: the fetcher of its list of models. ``fetches``: whether a call asks for the list first: ``plain``, ``keyed`` (with the
    key), or ``loosely`` (and goes on without it); a list is good for ``catalogue_seconds``.

    ``temperature``: the default; ``r1_temperature`` that of R1 models, whose ids have ``r1`` in them and whose messages are R1's;
    ids that begin with ``no_temperature`` get none. ``max_field`` and ``max_when``: how the limit goes into the body (``info``: what the
    model's facts say; ``anthropic``: so for Anthropic's models alone; ``always``: the setting, else the facts; ``setting``: so where the settings include it;
    ``chosen``: the setting alone, where they include it; ``params``: what the parameters say). ``effort``: whether reasoning parameters are sent. ``prompt_limit``, ``prompt_effort``,
    ``prompt_temperature``, ``prompt_stream``: whether the single prompt carries them (the last: ``stream: false``), too; ``prompt_role``: whose words it is. ``stream_options``:
    whether usage is asked for. ``order``, ``prompt_order``: the order of a body's fields where it is not the usual one.

    Of a chunk: ``reasoning`` is the field of a delta read as reasoning, ``reasoning_first`` its place; ``splits_think``: whether
    ``<think>`` tags are looked for (``r1``: in what R1 models say); ``usage_when``: a usage chunk for each event that has one, for the last, or never.

    Hooks: ``settings`` (one handler's put in place of another's), ``known_model``, ``fetched_model`` (a conversation, for those that ask the
    network for more than a list), ``table`` (its models where they are not the one table of its name), ``client``, ``stream_headers``,
    ``messages``, ``extras`` and ``prompt_extras`` (more of the body), ``reader`` (makes a reader of deltas), ``usage``, ``closing`` (what comes
    after the stream; called before it), ``words`` (the text of an error, of its own and whether it was streamed), ``failure`` (of an
    answer that is not a success), ``takes_over`` (another way to stream, None to go on as usual).
    """

    provider: str
    label: str
    key: str
    url: str
    known_model: Callable[[ChatFamily], dict[str, Any]]
    usage: Callable[[Any, Facts], Chunk] = plain_usage
    base: str = ""
    url_suffix: str = ""
    no_key: str = "not-provided"
    needs_key: str = ""
    sends_identity: bool = True
    user_headers: bool = False
    retries: bool = True
    wraps_stream: bool = True
    wraps_prompt: int = 1
    wraps_all: bool = False
    catalogue: str = ""
    fetches: Literal["no", "plain", "keyed", "loosely"] = "no"
    catalogue_seconds: float = 300.0
    temperature: float | None = 0
    no_temperature: str = ""
    r1: str = ""
    r1_temperature: float | None = None
    max_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    max_when: Literal["info", "anthropic", "always", "setting", "chosen", "params", "never"] = "info"
    effort: bool = False
    stream_options: bool = True
    prompt_limit: bool = False
    prompt_effort: bool = False
    prompt_temperature: bool = False
    prompt_stream: bool = False
    prompt_role: Literal["user", "system"] = "user"
    order: str = ""
    prompt_order: str = ""
    reasoning: str = ""
    reasoning_first: bool = False
    splits_think: bool | Literal["r1"] = False
    usage_when: Literal["each", "last", "never"] = "each"
    settings: Callable[[Facts], Facts] | None = None
    fetched_model: Callable[[ChatFamily], Conversation[dict[str, Any]]] | None = None
    table: Callable[[ChatFamily], Mapping[str, dict[str, Any]]] | None = None
    client: Callable[[ChatFamily], Client] | None = None
    stream_headers: Callable[[ChatFamily, Turn], dict[str, str]] | None = None
    messages: Callable[[ChatFamily, Facts, str, Sequence[Message]], list[dict[str, Any]]] | None = None
    extras: Callable[[ChatFamily, Facts, Turn], dict[str, Any]] | None = None
    prompt_extras: Callable[[ChatFamily, Facts], dict[str, Any]] | None = None
    reader: Callable[[], Callable[[Any], list[Chunk]]] | None = None
    closing: Callable[[ChatFamily, Facts, Turn], Closing] | None = None
    words: Callable[[str, bool], str] | None = None
    failure: Callable[[Reply, str, bool], ProviderError] | None = None
    takes_over: Callable[..., Conversation[None] | None] | None = None
