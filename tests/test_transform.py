"""The content filter and the token accumulator: the same text however it is cut, nothing reordered, nothing unbounded."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

import pytest

from tercet.codecs.framing import SseDecoder
from tercet.codecs.processor import StreamProcessor, StreamTransformer
from tercet.codecs.transform import ContentFilter, TokenAccumulator
from tercet.codecs.vocabulary import (
    Citation,
    ConfigurationError,
    ContentFilterError,
    Finish,
    ReasoningDelta,
    Restarted,
    StreamToken,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    fold,
)


def texts(*pieces: str, part: int = 0) -> list[StreamToken]:
    return [TextDelta(piece, part) for piece in pieces]


def through(transformer: StreamTransformer, *reads: Sequence[StreamToken]) -> list[StreamToken]:
    return [token for read in reads for token in transformer.transform(list(read))] + transformer.finish()


def said(tokens: Sequence[StreamToken]) -> str:
    return "".join(token.text for token in tokens if isinstance(token, TextDelta | ReasoningDelta))


FILTERS: list[tuple[Any, dict[str, Any], str]] = [
    (["secret", "SECRETLY", "etc"], {}, "x secret y Secretly z et cetc secre"),
    (["aa", "aaa", "ab"], {}, "aaaaabaaab"),
    (["abc", "cd"], {}, "abcd abccd"),
    (["ß", "straße"], {}, "STRASSE Straße ss ẞ"),
    (["σας"], {}, "ΣΑΣ Σας. σασ"),
    (["Abc"], {"ignore_case": False}, "abc Abc ABC"),
    (re.compile(r"\bcat\b"), {"max_length": 5}, "cat concat cats cat, cat"),
    (re.compile(r"\d{3}-\d{4}"), {"max_length": 8}, "call 555-1234 or 55-12345 or 555-12345"),
    (re.compile(r"(?<=key )\w{4}"), {"max_length": 8}, "key abcd keyabcd a key wxyz"),
    (re.compile("x*"), {"max_length": 3}, "a xx b xxx c"),
    ([re.compile("b+", re.IGNORECASE), "abba"], {"max_length": 4}, "abba cabba bBbB abb"),
    (lambda text: [match.span() for match in re.finditer("no", text)], {"max_length": 2}, "no nno n o noon"),
]


@pytest.mark.parametrize(("forbidden", "options", "text"), FILTERS)
def test_a_match_is_found_however_the_text_is_cut(forbidden: Any, options: dict[str, Any], text: str) -> None:
    whole = said(through(ContentFilter(forbidden, replacement="#", **options), texts(text)))
    assert "#" in whole
    chance = random.Random(len(text))
    for longest in (1, 1, 2, 3, 5, 9):
        pieces: list[str] = []
        pos = 0
        while pos < len(text):
            size = chance.randint(1, longest)
            pieces.append(text[pos : pos + size])
            pos += size
        reads = [texts(piece) for piece in pieces] if chance.random() < 0.5 else [texts(*pieces)]
        assert said(through(ContentFilter(forbidden, replacement="#", **options), *reads)) == whole, pieces
        with pytest.raises(ContentFilterError):
            through(ContentFilter(forbidden, **options), *reads)


def test_what_is_replaced() -> None:
    content_filter = ContentFilter(["secret", "SECRETLY"], replacement="[...]")
    assert (
        said(through(content_filter, texts("A SEC", "ret is told sec", "retly; secre")))
        == "A [...] is told [...]; secre"
    )


def test_only_what_may_begin_a_match_is_held_back() -> None:
    content_filter = ContentFilter(["secret"], replacement="#")
    assert content_filter.transform(texts("hello")) == texts("hello")
    assert content_filter.transform(texts(" sec")) == texts(" ")
    assert content_filter.transform(texts("tor")) == texts("sector")
    with_pattern = ContentFilter(re.compile("abc"), replacement="#", max_length=3)
    assert with_pattern.transform(texts("hello")) == texts("hel")
    assert with_pattern.transform(texts("!")) == texts("l")
    assert with_pattern.finish() == texts("o!")


def test_raising_is_for_good_and_says_nothing_of_the_text() -> None:
    content_filter = ContentFilter("secret")
    assert content_filter.transform(texts("a sec")) == texts("a ")
    for call in (
        lambda: content_filter.transform(texts("ret")),
        lambda: content_filter.transform(texts("b")),
        content_filter.finish,
    ):
        with pytest.raises(ContentFilterError, match="content filter forbids") as caught:
            call()
        assert caught.value.code == "content_filter"
        assert "secret" not in str(caught.value)


def test_runs_do_not_flow_together_and_nothing_else_is_reordered() -> None:
    call = ToolCallDelta(0, "id", "name", "secret")
    finish = Finish("stop")
    tokens: list[StreamToken] = [
        ReasoningDelta("sec"), TextDelta("ret"), TextDelta("sec"), TextDelta("ret", part=1), TextDelta("s"), call, TextDelta("se"), finish,
    ]  # fmt: skip
    given = through(ContentFilter("secret", replacement="#"), tokens)
    assert given == [
        ReasoningDelta("sec"), TextDelta("ret"), TextDelta("sec"), TextDelta("ret", part=1), TextDelta("s"), call, TextDelta("se"), finish,
    ]  # fmt: skip


def test_reports_and_citations_do_not_hide_a_match() -> None:
    report, citation = UsageReport(Usage()), Citation("https://example.com")
    tokens: list[StreamToken] = [TextDelta("a sec"), report, citation, TextDelta("ret b")]
    assert through(ContentFilter("secret", replacement="#"), tokens) == [
        TextDelta("a "), report, citation, TextDelta("# b"),
    ]  # fmt: skip


def test_reasoning_can_be_left_alone() -> None:
    tokens: list[StreamToken] = [ReasoningDelta("secret"), TextDelta("secret")]
    assert through(ContentFilter("secret", replacement="#", reasoning=False), tokens) == [
        ReasoningDelta("secret"),
        TextDelta("#"),
    ]


def test_what_is_void_is_dropped() -> None:
    restarted = Restarted("p", "m")
    tokens: list[StreamToken] = [TextDelta("sec"), restarted, TextDelta("ret")]
    assert through(ContentFilter("secret"), tokens) == [restarted, TextDelta("ret")]


def test_signatures_pass() -> None:
    tokens: list[StreamToken] = [
        ReasoningDelta("a sec", id="r1", origin="w"), ReasoningDelta("ret", signature="s", origin="w"), TextDelta("x", signature="t"),
    ]  # fmt: skip
    kept, filtered = fold(tokens), fold(through(ContentFilter("secret", replacement="#"), tokens))
    assert filtered.reasoning == "a #"
    assert [(p.signature, p.origin) for p in filtered.parts] == [(p.signature, p.origin) for p in kept.parts]  # type: ignore[union-attr]  # both parts have them


@pytest.mark.parametrize(
    ("forbidden", "options"),
    [
        ([], {}),
        ([""], {}),
        (re.compile("a"), {}),
        (lambda text: [], {}),
        (re.compile("a"), {"max_length": 0}),
    ],
)
def test_filters_that_cannot_be(forbidden: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        ContentFilter(forbidden, **options)


def test_pieces_are_between_min_and_max() -> None:
    chance = random.Random(5)
    for _ in range(200):
        low = chance.randint(1, 10)
        high = low + chance.randint(0, 10)
        words = ["x" * chance.randint(0, 25) for _ in range(20)]
        given = through(TokenAccumulator(low, high), *([TextDelta(word)] for word in words))
        assert said(given) == "".join(words)
        sizes = [len(token.text) for token in given if isinstance(token, TextDelta)]
        assert all(low <= size <= high for size in sizes[:-1])
        assert all(0 < size <= high for size in sizes)


def test_other_tokens_keep_their_place() -> None:
    report, finish, call = UsageReport(Usage()), Finish("stop"), ToolCallDelta(0, arguments="{")
    signed = ReasoningDelta("c", signature="s")
    tokens: list[StreamToken] = [
        ReasoningDelta("a"), ReasoningDelta("b"), signed, TextDelta("d"), TextDelta("e"), report, TextDelta("f"), TextDelta("g", part=1),
        TextDelta("h", part=1), call, TextDelta(""), finish,
    ]  # fmt: skip
    assert through(TokenAccumulator(100, 200), tokens[:4], tokens[4:]) == [
        ReasoningDelta("ab"), signed, TextDelta("de"), report, TextDelta("f"), TextDelta("gh", part=1), call, finish,
    ]  # fmt: skip
    assert fold(through(TokenAccumulator(2, 3), tokens)) == fold(tokens)


@pytest.mark.parametrize(("low", "high"), [(0, 5), (5, 4), (-1, -1)])
def test_accumulators_that_cannot_be(low: int, high: int) -> None:
    with pytest.raises(ConfigurationError):
        TokenAccumulator(low, high)


class Letters:
    """An interpreter to which every event is text."""

    is_complete = True

    def interpret(self, name: str, data: bytes | memoryview, into: list[StreamToken], /) -> None:
        into.append(TextDelta(bytes(data).decode()))

    def finish(self, into: list[StreamToken], /) -> None:
        into.append(Finish("stop"))


def test_both_in_a_processor() -> None:
    transformers = (ContentFilter("secret", replacement="#"), TokenAccumulator(4, 8))
    processor = StreamProcessor(SseDecoder(), Letters(), transformers)
    tokens = processor.process_chunk(b"data: my\n\ndata:  sec\n\n") + processor.process_chunk(
        b"data: ret is\n\ndata:  out\n\n"
    )
    tokens += processor.finish()
    assert tokens == [*texts("my # i", "s out"), Finish("stop")]  # the filter held the s
