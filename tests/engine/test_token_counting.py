"""Counting tokens: by the provider, by OpenAI's tables for OpenAI's models, else by an estimate; ``source`` says which."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import tercet
from tercet.engine.runtime import tokens
from tercet.engine.runtime.estimate import estimate_tokens
from tercet.engine.runtime.tokens import count_offline, encoding_of


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-5.1", "o200k_base"),
        ("gpt-4.1-mini", "o200k_base"),
        ("gpt-4o-mini", "o200k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("o3-pro", "o200k_base"),
        ("openai/gpt-oss-120b", "o200k_base"),
        ("accounts/fireworks/models/gpt-oss-20b", "o200k_base"),
        ("GPT-5", "o200k_base"),
        ("claude-sonnet-5", None),
        ("kimi-k3", None),
        ("olmo-2", None),
    ],
)
def test_the_tables_are_for_openais_models(model: str, encoding: str | None) -> None:
    assert encoding_of(model) == encoding


def test_openais_tables_count_exactly() -> None:
    pytest.importorskip("bpe_openai", reason="the extra 'tokens' is not installed")
    text = "hello world, hello world"
    one = count_offline(tercet.ChatRequest("x", text), "gpt-5.1")
    two = count_offline(tercet.ChatRequest("x", text + text), "gpt-5.1")
    assert (one.source, one.is_estimated) == ("bpe", True)
    assert (one.tokens, two.tokens - one.tokens) == (
        5 + 4 + 3,
        5,
    )  # 5 for the text, 4 for its message, 3 before the answer


def test_long_texts_and_half_characters_are_counted_too() -> None:
    pytest.importorskip("bpe_openai", reason="the extra 'tokens' is not installed")
    long = (
        "hello world, hello world. " * 60_000
    )  # 1.5 million characters: the tables take less than a million at once
    counted = count_offline(tercet.ChatRequest("x", long), "gpt-5.1")
    short = count_offline(tercet.ChatRequest("x", long[: 26 * 100]), "gpt-5.1")
    assert counted.tokens == pytest.approx(600 * short.tokens, rel=0.05)
    assert count_offline(tercet.ChatRequest("x", "a\ud800b"), "gpt-5.1").tokens > 0
    assert (
        count_offline(tercet.ChatRequest("x", "<|endoftext|>"), "gpt-5.1").tokens > 1
    )  # text, not a control token


@pytest.fixture
def without_tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "bpe_openai", None)
    tokens._counter.cache_clear()
    yield
    tokens._counter.cache_clear()


def test_without_the_extra_an_estimate_is_given(without_tables: None) -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("bpe_openai")
    request = tercet.ChatRequest("x", "hello world, hello world")
    assert count_offline(request, "gpt-5.1") == tercet.TokenCount(estimate_tokens(request), "estimate")


def test_the_estimate_grows_with_everything_that_is_sent() -> None:
    bare = [tercet.user("hello")]
    size = estimate_tokens(tercet.ChatRequest("x", bare))
    more: list[dict[str, Any]] = [
        {"messages": [*bare, tercet.assistant("a longer answer")]},
        {"messages": [tercet.Message("user", [tercet.Text("hello"), tercet.Image("https://e.test/x.png")])]},
        {
            "messages": [
                tercet.Message(
                    "user", [tercet.Text("hello"), tercet.File(data=b"x" * 400, media_type="text/plain")]
                )
            ]
        },
        {
            "messages": [
                *bare,
                tercet.Message("assistant", [tercet.ToolCall("c", "f", '{"a": 1}')]),
                tercet.tool_result("c", "42"),
            ]
        },
        {
            "messages": [
                *bare,
                tercet.Message(
                    "assistant", [tercet.Reasoning("hm, hm"), tercet.Opaque("o", "k", '{"a": 1}')]
                ),
            ]
        },
        {"messages": bare, "tools": (tercet.Tool("weather", "The weather of a town."),)},
    ]
    for fields in more:
        assert estimate_tokens(tercet.ChatRequest("x", **fields)) > size, fields
    shown = tercet.tool_result("c", [tercet.Text("see"), tercet.Image("https://e.test/x.png")])
    assert estimate_tokens(tercet.ChatRequest("x", [shown])) > 1000
    assert estimate_tokens(tercet.ChatRequest("x", "\u00e9" * 40)) > estimate_tokens(
        tercet.ChatRequest("x", "e" * 40)
    )


async def test_the_manager_counts_by_the_tables_where_the_provider_does_not() -> None:
    pytest.importorskip("bpe_openai", reason="the extra 'tokens' is not installed")
    async with tercet.open_manager(keys={"openai": "a-key-of-sixteen"}, environ={}) as manager:
        counted = await manager.count_tokens(tercet.ChatRequest("openai:gpt-5.1", "hello world, hello world"))
    assert counted == tercet.TokenCount(12, "bpe")
