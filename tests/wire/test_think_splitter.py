"""``<think>`` at the start of an answer."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from tercet.codecs.wire.think import ThinkSplitter


def split(*pieces: str) -> tuple[str, str]:
    """Reasoning and text."""
    splitter = ThinkSplitter()
    runs = [run for piece in pieces for run in splitter.split(piece)] + splitter.flush()
    assert all(text for _, text in runs)
    return "".join(text for is_reasoning, text in runs if is_reasoning), "".join(
        text for is_reasoning, text in runs if not is_reasoning
    )


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("<think>a</think>b", "a", "b"),
        ("\n <think>a</think>\n\nb", "a", "\n\nb"),
        ("<think>a", "a", ""),
        ("<think>a</thin", "a</thin", ""),
        ("<think></think>b", "", "b"),
        ("<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
        ("a<think>b</think>", "", "a<think>b</think>"),
        ("<thinking>a", "", "<thinking>a"),
        ("<thi", "", "<thi"),
        ("  ", "", "  "),
        ("", "", ""),
    ],
)
def test_the_first_block_is_reasoning_however_it_is_cut(text: str, reasoning: str, answer: str):
    assert split(text) == (reasoning, answer)
    assert split(*text) == (reasoning, answer)


def test_white_space_is_not_held_for_ever():
    splitter = ThinkSplitter()
    runs = [run for _ in range(200) for run in splitter.split(" ")]
    assert runs[0] == (False, " " * 101)
    assert len(runs) == 100
    near, far = " " * 100 + "<think>a", " " * 101 + "<think>a"
    assert split(near) == split(*near) == ("a", "")
    assert split(far) == split(*far) == ("", far)


@given(st.text("<think>/ a", max_size=40), st.lists(st.integers(0, 40)))
@settings(max_examples=200)
def test_cuts_change_nothing(text: str, cuts: list[int]):
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    assert split(*(text[start:end] for start, end in pairwise(places))) == split(text)
