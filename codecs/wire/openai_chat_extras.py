"""The rarer things in a chat completion: usage, citations, content in chunks, reasoning details.

All of them are walked as plain JSON values, because every service names them in its own way; what is not of the expected type
is passed over. They come once per answer or not at all, so only the speed of ``usage_of`` matters, to requests of a few tokens.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ..vocabulary import Citation, ReasoningDelta, StreamToken, Usage
from .openai_dialect import Dialect
from .shared import as_list, as_object, encode_json
from .surrogates import decode_lenient, whole_text

__all__ = ["annotation", "citations", "content_runs", "details_text", "merged_details", "usage_of"]

_ANY = msgspec.json.Decoder()
_GROWING = ("text", "summary", "thinking")


def usage_of(usage: Mapping[str, Any], dialect: Dialect) -> Usage:
    """A ``usage`` object, read by the dialect's paths. Missing or odd counts are 0, a missing cost is None."""
    prompt = _count(usage, ("prompt_tokens",))
    output = _count(usage, ("completion_tokens",))
    reasoning = _count(usage, dialect.reasoning_paths)
    if dialect.output_excludes_reasoning and _count(usage, ("total_tokens",)) >= prompt + output + reasoning:
        output += reasoning
    cost = _first_number(usage, dialect.cost_paths)
    return Usage(
        prompt,
        output,
        _count(usage, dialect.cached_paths),
        _count(usage, dialect.cache_write_paths),
        reasoning,
        None if cost is None else cost * dialect.cost_scale,
    )


def _count(usage: Mapping[str, Any], paths: tuple[str, ...]) -> int:
    number = _first_number(usage, paths)
    return max(0, int(number)) if number is not None else 0


def _first_number(usage: Mapping[str, Any], paths: tuple[str, ...]) -> float | None:
    """The first path that leads to a number. Exact types: JSON gives no others, and ``isinstance`` of both, for a dozen paths an
    answer, made ``usage_of`` 11 us (CPython 3.11) where it is 4 now."""
    for steps in _steps(paths):
        value: Any = usage
        for step in steps:
            value = value.get(step) if value.__class__ is dict else None
        if value.__class__ is int or value.__class__ is float:
            return value
    return None


@functools.lru_cache(64)
def _steps(paths: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(path.split(".")) for path in paths)


def annotation(entry: Any) -> Citation | None:
    """One of ``annotations``: ``{type: url_citation, url_citation: {url, title, content?, start_index, end_index}}``, or flat."""
    outer = as_object(entry)
    inner = as_object(outer.get("url_citation")) or outer
    if outer.get("type", "url_citation") != "url_citation" or not isinstance(inner.get("url"), str):
        return None
    return Citation(
        whole_text(inner["url"]),
        _text(inner, "title"),
        _text(inner, "content"),
        _offset(inner, "start_index"),
        _offset(inner, "end_index"),
    )


def citations(sources: Mapping[str, bytes]) -> list[Citation]:
    """Sources that stand beside the answer, each address once: Perplexity's ``search_results`` and ``citations``, xAI's ``citations``.

    ``search_results`` come first, because they have titles; ``citations`` are bare addresses, or objects of the same form.
    """
    found: dict[str, Citation] = {}
    for field in ("search_results", "citations"):
        raw = sources.get(field)
        for entry in as_list(decode_lenient(_ANY, raw)) if raw else ():
            item = {"url": entry} if isinstance(entry, str) else as_object(entry)
            url = item.get("url")
            if isinstance(url, str) and url not in found:
                found[url] = Citation(whole_text(url), _text(item, "title"), _text(item, "snippet"))
    return list(found.values())


def content_runs(chunks: list[Any], origin: str) -> Iterator[str | StreamToken]:
    """Content as a list: Mistral's ``text``, ``thinking`` and ``reference`` chunks. Texts are given as strings."""
    for chunk in chunks:
        item = {"type": "text", "text": chunk} if isinstance(chunk, str) else as_object(chunk)
        match item.get("type"):
            case "text":
                yield _piece(item, "text")
            case "thinking":
                thinking = item.get("thinking")
                text = (
                    thinking
                    if isinstance(thinking, str)
                    else "".join(_piece(as_object(part), "text") for part in as_list(thinking))
                )
                signature = _text(item, "signature")
                if text or signature:
                    yield ReasoningDelta(text, signature=signature, origin=origin if signature else None)
            case "reference":  # numbers of the sources that a tool's result had
                for number in as_list(item.get("reference_ids")):
                    yield Citation(title=whole_text(str(number)))
            case _:
                continue


def details_text(raw: bytes) -> str:
    """The readable text of ``reasoning_details``: of ``reasoning.text`` and ``reasoning.summary`` entries."""
    entries = (as_object(entry) for entry in as_list(decode_lenient(_ANY, raw)))
    return "".join(_piece(entry, "text") or _piece(entry, "summary") for entry in entries)


def merged_details(pieces: list[bytes]) -> str:
    """The pieces of a list that was streamed, as one list again; a list that came whole keeps its exact text.

    OpenRouter (reasoning tokens, 2026-11) streams one entry in many pieces that share ``type`` and ``index``; LiteLLM's
    ``thinking_blocks`` have no index, and a ``signature`` closes each. Texts are joined, of other fields the last value counts.
    Entries without text (``reasoning.encrypted``, images) are whole, and kept as they are.
    """
    if len(pieces) == 1:
        return pieces[0].decode("utf-8", "replace")
    merged: list[dict[str, Any]] = []
    for piece in pieces:
        for entry in map(as_object, as_list(decode_lenient(_ANY, piece))):
            before = _continued(merged, entry)
            if before is None:
                merged.append(entry)
                continue
            for name, value in entry.items():
                if name in _GROWING and isinstance(value, str):
                    before[name] = _piece(before, name) + value
                elif value is not None:
                    before[name] = value
    return encode_json(merged).decode()


def _continued(merged: list[dict[str, Any]], entry: dict[str, Any]) -> dict[str, Any] | None:
    if entry in merged:
        return entry
    if not any(name in entry for name in _GROWING):
        return None
    for before in reversed(merged):
        if before.get("type") != entry.get("type") or before.get("index") != entry.get("index"):
            if entry.get("index") is None:
                return None
            continue
        is_closed = (
            entry.get("index") is None
            and before.get("signature")
            and any(_piece(entry, name) for name in _GROWING)
        )
        return None if is_closed else before
    return None


def _piece(item: Mapping[str, Any], field: str) -> str:
    """A text that the next delta may continue: half a character at its end is left for whoever joins them."""
    value = item.get(field)
    return value if isinstance(value, str) else ""


def _text(item: Mapping[str, Any], field: str) -> str | None:
    value = item.get(field)
    return whole_text(value) if isinstance(value, str) else None


def _offset(item: Mapping[str, Any], field: str) -> int | None:
    value = item.get(field)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
