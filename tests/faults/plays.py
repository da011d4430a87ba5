"""Plays that many rows have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tercet

from .cases import Case, Expect, fault
from .stage import AFTER_THE_FIRST_TOKEN, Scene
from .wires import CHUNKED, END, chunk, failure, openai, stream_head

__all__ = [
    "HELLO",
    "PAGE",
    "REST",
    "after",
    "before",
    "endless",
    "error_event",
    "of",
    "parked",
    "said",
    "spoken",
    "status",
]

HELLO = CHUNKED + chunk(openai.first)
REST = chunk(openai.rest + openai.finish + openai.usage + openai.done)
PAGE = b"<!doctype html><title>429</title>429 Too Many Requests"


def before(name: str, *play: Any, **more: Any) -> Case:
    """``play`` is all that alder does."""
    return Case(name=name, when="before", play=play, **more)


def after(name: str, *play: Any, **more: Any) -> Case:
    """``play`` follows on the first token."""
    return Case(name=name, when="after", play=(HELLO, AFTER_THE_FIRST_TOKEN, *play), **more)


def said(name: str, body: bytes, expect: Any, **more: Any) -> Case:
    """An answer with this body, in one piece."""
    return before(name, CHUNKED + chunk(body) + END, expect=expect, **more)


def spoken(wire: str, name: str, *events: bytes, expect: Expect, first: bytes = b"", why: str = "") -> Case:
    """A streamed answer of another wire; ``first`` is what the client has before the rest comes."""
    begin = (stream_head(wire) + chunk(first), AFTER_THE_FIRST_TOKEN) if first else (stream_head(wire),)
    return Case(
        name=name,
        when="after" if first else "before",
        wire=wire,
        play=(*begin, chunk(b"".join(events)) + END),
        expect=expect,
        why=why,
    )


def status(
    name: str,
    number: int,
    expect: Expect,
    *headers: str,
    body: Any = None,
    ways: tuple[str, ...] = ("stream", "whole"),
    **more: Any,
) -> tuple[Case, ...]:
    """An error answer, to a stream and to a whole request."""
    return tuple(
        before(f"{name}, {way}", failure(number, body, *headers), way=way, expect=expect, **more)
        for way in ways
    )


def of(code: str | int | None, message: str = "It is so.", **more: Any) -> dict[str, Any]:
    """An error in OpenAI's shape."""
    return {"error": {"message": message, "code": code, **more}}


def parked(
    name: str,
    number: int,
    body: Any,
    error: type[tercet.TercetError] = tercet.QuotaExceededError,
    *headers: str,
    **more: Any,
) -> tuple[Case, ...]:
    """An error answer that means: not with this key."""
    expect = fault(error, again=0, signal="key", kept=None, at_once=True, facts={"status": number})
    return status(name, number, expect, *headers, body=body, ways=("stream",), **more)


def error_event(name: str, error: type[tercet.TercetError], event: bytes, **expect: Any) -> tuple[Case, ...]:
    """An error event inside a 200, before the first content and after it."""
    outcome = fault(error, **{"kept": None, **expect})
    return (said(name, event, outcome), after(name, chunk(event) + END, expect=outcome))


def endless(piece: bytes, count: int) -> Callable[[Scene], Any]:
    """``piece`` so many times, in writes of a chunk of 64 KiB."""
    per_write = max(1, 65536 // len(piece))
    block = chunk(piece * per_write)

    async def sending(scene: Scene) -> None:
        for _ in range(count // per_write + 1):
            await scene.stream.send_all(block)

    return sending
