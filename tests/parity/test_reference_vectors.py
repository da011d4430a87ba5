"""The reference's pure functions: what they returned for inputs of our own is in ``providers/vectors-reference.json``."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tercet.adapters.reference.caching import mark_openai_anthropic, mark_openai_gemini
from tercet.adapters.reference.messages import to_gemini, to_openai, to_r1, to_simple
from tercet.adapters.reference.params import cost_anthropic, cost_openai, model_params
from tercet.adapters.reference.think import ThinkSplitter


@pytest.fixture(scope="module")
def vectors(shared: Path) -> dict[str, Any]:
    path = shared / "providers" / "vectors-reference.json"
    if not path.exists():
        pytest.skip("no vectors of the reference's functions")
    return json.loads(path.read_text("utf-8"))


def test_message_conversions(vectors: dict[str, Any]) -> None:
    messages = vectors["input"]
    before = copy.deepcopy(messages)
    system_and = [{"role": "user", "content": "SYSTEM"}, *messages]
    assert to_openai(messages) == vectors["oai"]
    assert to_r1(system_and) == vectors["r1"]
    assert to_simple(messages) == vectors["simple"]
    assert to_gemini(messages) == vectors["gemini"]
    assert messages == before, "a conversion changed what it was given"


def test_cache_marks(vectors: dict[str, Any]) -> None:
    def converted() -> list[dict[str, Any]]:
        return [{"role": "system", "content": "SYSTEM"}, *to_openai(vectors["input"])]

    anthropic = converted()
    mark_openai_anthropic("SYSTEM", anthropic)
    assert anthropic == vectors["cache_oai_anthropic"]
    gemini = converted()
    mark_openai_gemini("SYSTEM", gemini, every=2)
    assert gemini == vectors["cache_oai_gemini_frequency_2"]


def test_costs_to_the_last_bit(vectors: dict[str, Any]) -> None:
    model = vectors["cost"]["model"]
    for case in vectors["cost"]["cases"]:
        counts = (case["input"], case["output"], case["cacheWrites"], case["cacheReads"])
        assert cost_anthropic(model, *counts) == case["anthropic"]
        assert cost_openai(model, *counts) == case["openai"]


def test_model_parameters(vectors: dict[str, Any]) -> None:
    wrong = []
    for row in vectors["params"]:
        got = model_params(
            row["format"], row["modelId"], row["model"], row["settings"], row["defaultTemperature"]
        )
        if got != row["result"]:
            wrong.append((row["modelId"], row["settings"], row["result"], got))
    assert not wrong
    assert len(vectors["params"]) >= 20


def test_think_splitter(vectors: dict[str, Any]) -> None:
    for row in vectors["think_splitter"]:
        splitter = ThinkSplitter()
        assert [splitter.update(piece) for piece in row["pieces"]] == row["updates"], row["pieces"]
        assert splitter.final() == row["final"], row["pieces"]


def _joined(pieces: list[str]) -> list[tuple[str, str]]:
    splitter = ThinkSplitter()
    chunks = [chunk for piece in pieces for chunk in splitter.update(piece)] + splitter.final()
    runs: list[tuple[str, str]] = []
    for chunk in chunks:
        if runs and runs[-1][0] == chunk["type"]:
            runs[-1] = (chunk["type"], runs[-1][1] + chunk["text"])
        else:
            runs.append((chunk["type"], chunk["text"]))
    return runs


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(["<think>", "</think>", "< think >", "<", ">", "/", "t", "hink", " ", "🤔", "a\n"])
    ),
    st.data(),
)
def test_the_splitter_does_not_see_where_a_text_was_cut(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    assert _joined(pieces) == _joined([text])
