"""The reference face against the recordings of the reference, and the comparer against results that are wrong on purpose."""

from __future__ import annotations

import argparse
import copy
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tercet.adapters.reference.comparison import ABSENT, Difference, Played, compare
from tercet.adapters.reference.deviations import RULES, settle
from tercet.cli.parity import check, check_directory, play, run
from tercet.codecs.vocabulary import ProviderError, StreamInterruptedError

RECORDINGS = Path(__file__).resolve().parent.parent / "recordings"


def recording(name: str) -> dict[str, Any]:
    return json.loads((RECORDINGS / f"{name}.json").read_text("utf-8"))


def judged(name: str, played: Played, data: dict[str, Any] | None = None) -> tuple[list[str], list[str]]:
    data = data or recording(name)
    left, rules = settle(data, played, compare(data, played))
    return [difference.place for difference in left], rules


def test_every_recording_matches_or_is_declared() -> None:
    out = io.StringIO()
    code = check_directory(RECORDINGS, out)
    print(out.getvalue())
    assert code == 0, out.getvalue()
    assert out.getvalue().rstrip().endswith(", 0 differ")


def test_bodies_are_the_references_to_the_byte() -> None:
    wrong = []
    for path in sorted(RECORDINGS.rglob("*.json")):
        data = json.loads(path.read_text("utf-8"))
        bodies = [exchange["request"].get("body") or "" for exchange in data["exchanges"]]
        sent = [request.body for request in play(data).requests]
        # What the reference sends twice we send once: how many there are is the comparer's affair.
        if sent != [body.encode("utf-8", "surrogatepass") for body in bodies[: len(sent)]]:
            wrong.append(path.stem)
    assert not wrong


def test_where_the_bytes_are_cut_makes_no_difference() -> None:
    names = [
        "openai/text-stream",
        "openai/think-tag-char-by-char",
        "openai/error-mid-stream-event",
        "anthropic/thinking-stream",
        "anthropic/text-stream-bom",
        "anthropic/error-event-mid-stream",
        "gemini/text-stream",
        "gemini/error-mid-stream-bare-json",
        "gemini/incomplete-last-event",
        "openrouter/text-stream-split-utf8",
    ]
    wrong = {}
    for name in names:
        report = check(recording(name), name, recut=True)
        if report.status == "differ":
            wrong[name] = report.differences
    assert not wrong


def test_the_report_as_json_and_the_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "openai"
    folder.mkdir()
    good = recording("openai/text-stream")
    bad = copy.deepcopy(good)
    bad["yields"][0]["text"] = "Hal"
    (folder / "good.json").write_text(json.dumps(good))
    (folder / "not-a-recording.json").write_text("{}")
    options = argparse.Namespace(directory=str(tmp_path), recut=False, json=True)
    assert run(options) == 0
    (folder / "bad.json").write_text(json.dumps(bad))
    capsys.readouterr()
    assert run(options) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["recordings"], said["match"], said["differ"]) == (2, 1, 1)
    assert said["files"][0]["differences"] == [
        "yield 1: expected \"{'type': 'text', 'text': 'Hal'}\", got \"{'type': 'text', 'text': 'Hel'}\""
    ]
    assert run(argparse.Namespace(directory=str(tmp_path / "none"), recut=False, json=False)) == 2
    (tmp_path / "empty").mkdir()
    assert check_directory(tmp_path / "empty", io.StringIO()) == 2


def with_header(data: dict[str, Any], name: str, value: str | None) -> None:
    headers = data["exchanges"][0]["request"]["headers"]
    headers[:] = [[key, old] for key, old in headers if key.lower() != name]
    if value is not None:
        headers.append([name, value])


def mutate(data: dict[str, Any], what: str) -> None:
    request = data["exchanges"][0]["request"]
    match what:
        case "authorization" | "http-referer" | "user-agent" | "content-type":
            with_header(data, what, "another")
        case "an unknown header":
            with_header(data, "x-routing", "eu")
        case "a missing header":
            with_header(data, "x-title", None)
        case "method":
            request["method"] = "PUT"
        case "url":
            request["url"] += "?a=1"
        case "body":
            body = json.loads(request["body"])
            body["temperature"] = 0.5
            request["body"] = json.dumps(body)
        case "a body's extra field":
            request["body"] = json.dumps({**json.loads(request["body"]), "user": None})
        case "yield":
            data["yields"][2]["text"] += "!"
        case "a missing yield":
            del data["yields"][-1]
        case "an extra yield":
            data["yields"].append({"type": "text", "text": ""})
        case "a count":
            data["yields"][-1]["inputTokens"] += 1
        case "a field of a yield":
            data["yields"][-1]["cacheReadTokens"] = 0
        case "requests":
            data["exchanges"].append(data["exchanges"][0])
        case "sleeps":
            data["sleeps_ms"] = [437.5]
        case "throws":
            data["throws"] = {"name": "Error", "class": "Error", "message": "no"}


@pytest.mark.parametrize(
    ("what", "place"),
    [
        ("authorization", "header"),
        ("http-referer", "header"),
        ("user-agent", "header"),
        ("content-type", "header"),
        ("an unknown header", "header"),
        ("a missing header", "header"),
        ("method", "method"),
        ("url", "url"),
        ("body", "body"),
        ("a body's extra field", "body"),
        ("yield", "yield"),
        ("a missing yield", "yield"),
        ("an extra yield", "yield"),
        ("a count", "yield"),
        ("a field of a yield", "yield"),
        ("requests", "requests"),
        ("sleeps", "sleeps_ms"),
        ("throws", "throws"),
    ],
)
def test_the_comparer_sees(what: str, place: str) -> None:
    played = play(recording("openai/text-stream"))
    assert judged("openai/text-stream", played) == ([], [])
    wrong = recording("openai/text-stream")
    mutate(wrong, what)
    assert judged("", played, wrong) == ([place], [])


def test_the_comparer_sees_errors_that_differ() -> None:
    name = "groq/error-429"
    played = play(recording(name))
    assert judged(name, played) == ([], [])
    for field, value, place in (
        ("message", "429 Rate limit reached", "message"),
        ("class", "AuthenticationError", "class"),
        ("status", 500, "status"),
        ("code", "other", "code"),
        ("requestID", "req_1", "request id"),
        ("error", {"message": "other"}, "error"),
    ):
        wrong = recording(name)
        wrong["throws"][field] = value
        assert judged("", played, wrong) == ([place], []), field
    wrong = recording(name)
    del wrong["throws"]
    assert judged("", played, wrong) == (["throws"], [])


def test_the_comparer_sees_results_that_differ() -> None:
    name = "openai/complete-prompt"
    wrong = recording(name)
    wrong["returns"] = "Better prompt"
    assert judged("", play(recording(name)), wrong) == (["returns"], [])


def test_numbers_compare_by_value_and_booleans_do_not() -> None:
    data = recording("openai/text-stream")
    played = play(data)
    body = json.loads(data["exchanges"][0]["request"]["body"])
    data["exchanges"][0]["request"]["body"] = json.dumps({**body, "temperature": 0.0})
    assert judged("", played, data) == ([], [])
    data["exchanges"][0]["request"]["body"] = json.dumps({**body, "temperature": False})
    assert judged("", played, data) == (["body"], [])


def test_each_rule_has_a_name_and_a_reason_and_is_used() -> None:
    used: set[str] = set()
    for path in sorted(RECORDINGS.rglob("*.json")):
        used.update(check(json.loads(path.read_text("utf-8")), path.name).rules)
    assert used == {rule.name for rule in RULES}
    assert all(len(rule.reason) > 40 for rule in RULES)


# --- each rule, and what is next to it and not covered ------------------------------------------------------------------------


def test_whole_characters() -> None:
    name = "gemini/text-stream-split-seven"
    played = play(recording(name))
    assert judged(name, played) == ([], ["whole-characters"])

    def changed(place: int, text: str) -> tuple[list[str], list[str]]:
        other = copy.deepcopy(played)
        other.outcomes[0].yields[place] = {"type": "text", "text": text}
        return judged(name, other)

    whole = played.outcomes[0].yields[1]["text"]
    assert changed(1, whole.replace("rld", "rlt"))[0] == ["yield"], "another letter"
    assert changed(1, whole.replace("ö", "o"))[0] == ["yield"], "a letter that cannot have been cut"
    assert changed(1, whole.replace("ö", ""))[0] == ["yield"], "a letter lost"
    assert changed(1, "w\ufffdrld")[0] == ["yield"], "cut here, too"
    assert changed(0, "Hol")[0] == ["yield"], "where nothing was cut"
    # The same chunks from a stream that was cut between characters are not excused.
    uncut = recording(name)
    body = "".join(recording("gemini/text-stream-split-whole")["exchanges"][0]["response"]["body_chunks"])
    uncut["exchanges"][0]["response"]["body_chunks"] = [body]
    assert judged("", played, uncut)[0] == ["yield", "yield"]


def test_interrupted_stream() -> None:
    name = "openai/truncated-last-event"
    played = play(recording(name))
    assert judged(name, played) == ([], ["interrupted-stream"])
    other = copy.deepcopy(played)
    other.outcomes[0].error = ProviderError("something else")
    assert judged(name, other)[0] == ["throws"], "another error"
    other = copy.deepcopy(played)
    other.outcomes[0].yields.clear()
    assert judged(name, other)[0] == ["yield", "throws"], "text was lost, too"
    # An error at the end of a whole answer is not excused.
    whole = play(recording("openai/text-stream"))
    whole.outcomes[0].error = StreamInterruptedError("the stream ended before its answer did")
    assert judged("openai/text-stream", whole)[0] == ["throws"]


def test_engine_wording() -> None:
    name = "gemini/malformed-json-event"
    played = play(recording(name))
    assert judged(name, played) == ([], ["engine-wording"])
    other = copy.deepcopy(played)
    assert other.outcomes[0].error is not None
    other.outcomes[0].error.message = "an event of the stream is not JSON"
    assert judged(name, other)[0] == ["message"], "without the handler's own words"
    other = copy.deepcopy(played)
    other.outcomes[0].error = None
    assert judged(name, other)[0] == ["throws"], "no error at all"
    other = copy.deepcopy(played)
    other.outcomes[0].yields.append({"type": "text", "text": "more"})
    assert judged(name, other)[0] == ["yield"], "an error at another point"
    # An error whose words are the handler's or the server's is not excused.
    name = "openai/error-400"
    played = play(recording(name))
    assert played.outcomes[0].error is not None
    played.outcomes[0].error.message += "!"
    assert judged(name, played)[0] == ["message"]


def test_crash_on_valid_input() -> None:
    name = "openrouter/usage-chunk-empty-choices"
    played = play(recording(name))
    assert judged(name, played) == ([], ["crash-on-valid-input"])
    other = copy.deepcopy(played)
    other.outcomes[0].yields.append({"type": "text", "text": "made up"})
    assert judged(name, other)[0] == ["yield"], "text that the answer does not have"
    other = copy.deepcopy(played)
    other.outcomes[0].yields[0] = {"type": "text", "text": "b"}
    assert judged(name, other)[0] == ["yield", "yield", "throws"], "what came before differs"
    cut = recording(name)
    del cut["exchanges"][-1]["response"]["body_chunks"][-1]
    assert judged("", played, cut)[0] == ["yield", "throws"], "an answer that was not whole"
    other_crash = recording(name)
    other_crash["throws"]["message"] = "Unexpected token '<'"
    assert judged("", played, other_crash)[0] == ["yield", "throws"], "an input that was not valid"


def test_a_difference_reads_as_a_sentence() -> None:
    difference = Difference("header", "a: 1", f"a: {ABSENT}", number=2)
    assert str(difference) == "header 2: expected 'a: 1', got 'a: (nothing)'"
    long = str(Difference("returns", "x" * 500, "\ud83c", call=3))
    assert long.startswith("call 3: returns: expected '" + "x" * 160 + "'... (500 characters)")
