"""What is Cerebras's own in the reference: it has no SDK under it (so no retries), plain texts alone, and usage that is estimated."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tercet.codecs.vocabulary import ProviderError

from . import facts
from .actions import Conversation, Emit, Reply
from .errors import openai_failure, reworded
from .http import merge_headers
from .messages import Message, to_openai
from .row import Client, Closing, Ended, Facts, Turn
from .values import get, is_true, items_of, parse_json, stringify, text_of

if TYPE_CHECKING:
    from .chat import ChatFamily

__all__ = [
    "cerebras_client",
    "cerebras_closing",
    "cerebras_extras",
    "cerebras_failure",
    "cerebras_messages",
    "cerebras_model",
    "cerebras_words",
]

_SENT_AS = {"qwen-3-coder-480b-free": "qwen-3-coder-480b"}
_MAX_LIMIT = 32768
_MAX_TEMPERATURE = 1.5
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
_SPACE = "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_SAID = {
    401: "Cerebras API authentication failed. Please check your API key is valid and not expired.",
    403: "Cerebras API access forbidden. Your API key may not have access to the requested model or feature.",
    429: "Cerebras API rate limit exceeded. Please wait before making another request.",
}


def cerebras_model(family: ChatFamily) -> dict[str, Any]:
    """The id of the settings, as it is sent, with its facts where they are known."""
    chosen = family.options.get("apiModelId") or facts.default_model("cerebras")
    return {"id": _SENT_AS.get(chosen, chosen), "info": family.table().get(chosen, {})}


def cerebras_client(family: ChatFamily) -> Client:
    """A plain ``fetch`` with a key."""
    return Client(
        family.row.url,
        merge_headers({"accept": "*/*", "authorization": f"Bearer {family.key}"}, family.identity),
    )


def cerebras_messages(
    family: ChatFamily, model: Facts, system: str, messages: Sequence[Message]
) -> list[dict[str, Any]]:
    """Every message as text; thoughts are taken out of the assistant's, and messages that have nothing left go."""
    return [{"role": "system", "content": system}, *_texts(messages)]


def cerebras_extras(family: ChatFamily, model: Facts, turn: Turn) -> dict[str, Any]:
    """A limit within the range that is taken; a temperature other than the default, clamped."""
    most, chosen = model["info"].get("maxTokens"), family.options.get("modelTemperature")
    return {
        "max_completion_tokens": most if most and 0 < most <= _MAX_LIMIT else None,
        "temperature": max(0, min(_MAX_TEMPERATURE, chosen)) if chosen else None,
    }


def cerebras_failure(reply: Reply, text: str, is_stream: bool) -> ProviderError:
    """A fixed sentence for the usual statuses; for others what the body says, all of it for the single prompt."""
    error = openai_failure(reply.status, reply.headers, text)
    said = _SAID.get(reply.status)
    if reply.status >= 500:
        said = f"Cerebras API server error ({reply.status}). Please try again later."
    if said is None:
        said = f"Cerebras API Error ({reply.status}): {_message(text, reply.status) if is_stream else text}"
    return reworded(error, said)


def cerebras_words(message: str, is_stream: bool) -> str:
    """The name before whatever went wrong."""
    return f"Cerebras completion error: {message}"


def cerebras_closing(family: ChatFamily, model: Facts, turn: Turn) -> Closing:
    """Usage at the end; a count that did not come is estimated: a token for four characters in, a tenth of the limit out."""
    asked = turn.system + "".join(message["content"] for message in _texts(turn.messages))

    def closing(ended: Ended) -> Conversation[None]:
        input_ = get(ended.usage, "prompt_tokens") or 0
        output = get(ended.usage, "completion_tokens") or 0
        yield Emit(
            {
                "type": "usage",
                "inputTokens": input_ or math.ceil(_length(asked) / 4),
                "outputTokens": output or math.ceil((model["info"].get("maxTokens") or 1000) / 10),
            }
        )

    return closing


def _texts(messages: Sequence[Message]) -> list[dict[str, Any]]:
    texts: list[dict[str, Any]] = []
    for message in to_openai(messages):
        content = _flat(message.get("content"))
        if message["role"] == "assistant":
            content = _THOUGHTS.sub("", content).strip(_SPACE)
        if content.strip(_SPACE):
            texts.append({"role": message["role"], "content": content})
    return texts


def _flat(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = (part.get("text") if part["type"] == "text" else "[Image]" for part in items_of(content))
    return "\n".join(part for part in parts if part)


def _length(text: str) -> int:
    """Characters as JavaScript counts them, in halves of surrogate pairs."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _message(text: str, status: int) -> str:
    try:
        body = parse_json(text)
    except ValueError:
        return text or f"HTTP {status}"
    for said in (get(body, "error", "message"), get(body, "message")):
        if is_true(said):
            return text_of(said)
    return stringify(body)
