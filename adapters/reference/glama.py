"""Glama's usage: it is not in the stream, so the reference asks for it afterwards, several times if it must."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tercet.codecs.vocabulary import TercetError

from .actions import Conversation, Emit, Sleep
from .chat import ChatFamily, app_name
from .fetching import get_json
from .row import Closing, Ended, Facts, Turn
from .values import get, is_true, parse_float, present

__all__ = ["glama_closing", "glama_headers"]

_REQUESTS = "https://glama.ai/api/gateway/v1/completion-requests"
_ATTEMPTS = 10
_PAUSE = 0.2  # seconds


def glama_headers(family: ChatFamily, turn: Turn) -> dict[str, str]:
    """A label with the program's name."""
    labels = [{"key": "app", "value": app_name(family, "vscode.RooVeterinaryInc.roo-cline")}]
    return {"X-Glama-Metadata": json.dumps({"labels": labels}, separators=(",", ":"))}


def glama_closing(family: ChatFamily, model: Facts, turn: Turn) -> Closing:
    """Ask for the request's tokens and cost until they are there, at most ten times. Failures leave the usage out."""

    def closing(ended: Ended) -> Conversation[None]:
        request_id = ended.reply.headers.get("x-completion-request-id")
        if not request_id:
            return
        for _ in range(_ATTEMPTS):
            try:
                said = yield from get_json(
                    f"{_REQUESTS}/{request_id}", {"Authorization": f"Bearer {family.key}"}
                )
            except TercetError:
                return
            tokens = get(said, "tokenUsage")
            if is_true(tokens) and is_true(get(said, "totalCostUsd")):
                yield Emit(_usage(tokens, said))
                return
            yield Sleep(_PAUSE)

    return closing


def _usage(tokens: Any, said: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "usage",
        **present(
            cacheWriteTokens=get(tokens, "cacheCreationInputTokens"),
            cacheReadTokens=get(tokens, "cacheReadInputTokens"),
            inputTokens=get(tokens, "promptTokens"),
            outputTokens=get(tokens, "completionTokens"),
            totalCost=parse_float(said["totalCostUsd"]),
        ),
    }
