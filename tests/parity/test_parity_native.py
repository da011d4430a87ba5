"""OpenAI native, Mistral and native Ollama against the recordings, and the rules that declare what OpenAI native does not copy."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tercet.adapters.reference.comparison import Played, compare
from tercet.adapters.reference.deviations import settle
from tercet.cli.parity import check, play
from tercet.codecs.vocabulary import ProtocolError, ProviderError, StreamInterruptedError

RECORDINGS = Path(__file__).resolve().parent.parent / "recordings"


def recording(name: str) -> dict[str, Any]:
    return json.loads((RECORDINGS / f"{name}.json").read_text("utf-8"))


def judged(data: dict[str, Any], played: Played) -> tuple[list[str], list[str]]:
    left, rules = settle(data, played, compare(data, played))
    return [difference.place for difference in left], rules


@pytest.mark.parametrize(
    ("folder", "match", "declared"), [("openai-native", 34, 20), ("mistral", 20, 4), ("native-ollama", 20, 1)]
)
def test_no_difference_is_left_however_the_answers_are_cut(folder: str, match: int, declared: int) -> None:
    paths = sorted((RECORDINGS / folder).glob("*.json"))
    reports = [check(json.loads(path.read_text("utf-8")), path.name, recut=True) for path in paths]
    assert not [line for report in reports for line in report.differences]
    assert [report.status for report in reports].count("match") == match
    assert [report.status for report in reports].count("declared") == declared
    assert len(reports) == match + declared


def test_bodies_are_the_references_to_the_byte() -> None:
    wrong = []
    for folder in ("openai-native", "mistral", "native-ollama"):
        for path in sorted((RECORDINGS / folder).glob("*.json")):
            data = json.loads(path.read_text("utf-8"))
            played = play(data)
            exchanges = data["exchanges"]
            if "sent-once" in judged(data, played)[1]:
                exchanges = exchanges[:-1]
            bodies = [exchange["request"].get("body") or "" for exchange in exchanges]
            if [request.body for request in played.requests] != [body.encode() for body in bodies]:
                wrong.append(path.stem)
    assert not wrong


Change = Callable[[dict[str, Any], Played], None]


def changed(name: str, change: Change) -> list[str]:
    """The places of the differences left when a recording, or what we did in its place, is changed."""
    data = recording(name)
    played = play(data)
    assert judged(data, played)[0] == []
    wrong, other = copy.deepcopy(data), copy.deepcopy(played)
    change(wrong, other)
    return judged(wrong, other)[0]


def again(data: dict[str, Any]) -> dict[str, Any]:
    return data["exchanges"][-1]["request"]


def set_header(request: dict[str, Any], name: str, value: str) -> None:
    request["headers"] = [[key, value if key == name else old] for key, old in request["headers"]]


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("another body", lambda data, _: again(data).update(body='{"model":"gpt-4.1","input":[]}')),
        ("no body", lambda data, _: again(data).update(body="")),
        ("another address", lambda data, _: again(data).update(url="https://api.openai.com/v2/responses")),
        ("another host", lambda data, _: again(data).update(url="https://a.example/v1/responses")),
        ("the SDK's own retry", lambda data, _: set_header(again(data), "Accept", "application/json")),
        ("two more requests", lambda data, _: data["exchanges"].append(data["exchanges"][-1])),
        ("no request at all", lambda _, played: played.requests.clear()),
    ],
)
def test_sent_once_wants_the_same_body_by_the_references_own_request(what: str, change: Change) -> None:
    assert "requests" in changed("openai-native/error-400", change), what


def test_sent_once_wants_the_first_answers_failure() -> None:
    name = "openai-native/sdk-error-then-sse-fallback-ok"

    def error(played: Played) -> ProviderError:
        found = played.outcomes[0].error
        assert isinstance(found, ProviderError)
        return found

    def silent(_: Any, played: Played) -> None:
        played.outcomes[0].error = None

    def another_status(_: Any, played: Played) -> None:
        error(played).status = 500

    def another_body(_: Any, played: Played) -> None:
        error(played).body = "{}"

    def text_from_nowhere(_: Any, played: Played) -> None:
        played.outcomes[0].yields.append({"type": "text", "text": "made up"})

    for change in (silent, another_status, another_body, text_from_nowhere):
        assert "requests" in changed(name, change), change.__name__


def test_sent_once_wants_all_that_the_first_answer_said_and_no_more() -> None:
    def lost(_: Any, played: Played) -> None:
        del played.outcomes[0].yields[-1]

    def repeated(_: Any, played: Played) -> None:
        played.outcomes[0].yields.append({"type": "text", "text": "fallback par"})

    def altered(_: Any, played: Played) -> None:
        played.outcomes[0].yields[0] = {"type": "text", "text": "pa"}

    name = "openai-native/connection-reset-mid-stream"
    assert changed(name, lost) == ["requests", "yield", "yield"]
    assert changed(name, repeated) == ["requests"]
    assert changed(name, altered) == ["yield"]
    assert changed("openai-native/malformed-json-event", lost)[:2] == ["requests", "yield"]
    assert changed("openai-native/error-event-with-error-object", lost)[:2] == ["requests", "yield"]


def test_sent_once_wants_an_error_that_the_first_answer_shows() -> None:
    def of_another_event(_: Any, played: Played) -> None:
        played.outcomes[0].error = ProviderError("something", body='{"type":"other"}')

    def without_evidence(_: Any, played: Played) -> None:
        played.outcomes[0].error = ProtocolError("an event of the stream is not JSON")

    for name in ("openai-native/malformed-json-event", "openai-native/error-event-with-error-object"):
        for change in (of_another_event, without_evidence):
            assert "requests" in changed(name, change), (name, change.__name__)

    def not_of_the_transport(_: Any, played: Played) -> None:
        played.outcomes[0].error = ProviderError("no")

    assert "requests" in changed("openai-native/connection-reset-mid-stream", not_of_the_transport)


def test_sent_once_excuses_no_wording_when_both_answers_said_the_same() -> None:
    def reworded(_: Any, played: Played) -> None:
        assert played.outcomes[0].error is not None
        played.outcomes[0].error.message += "!"

    for name in ("error-400", "error-503", "error-404text", "base-url-error-falls-back-to-fetch"):
        assert changed(f"openai-native/{name}", reworded) == ["message"]


def test_swallowed_failure() -> None:
    def another_text(_: Any, played: Played) -> None:
        assert played.outcomes[0].error is not None
        played.outcomes[0].error.message = "Response failed: no"

    def no_evidence(_: Any, played: Played) -> None:
        assert played.outcomes[0].error is not None
        played.outcomes[0].error.body = ""

    def interrupted(_: Any, played: Played) -> None:
        played.outcomes[0].error = StreamInterruptedError("model crashed")

    def lost(_: Any, played: Played) -> None:
        del played.outcomes[0].yields[-1]

    def completed(data: dict[str, Any], _: Any) -> None:
        data["exchanges"][0]["response"]["body_chunks"].append('data: {"type":"response.completed"}\n\n')

    def expected(data: dict[str, Any], _: Any) -> None:
        data["throws"] = {"name": "Error", "class": "Error", "message": "another"}

    for name in ("openai-native/failed-event", "openai-native/error-event-mid-stream"):
        data = recording(name)
        assert judged(data, play(data)) == ([], ["swallowed-failure"])
        assert changed(name, another_text) == ["throws"]
        assert changed(name, no_evidence) == ["throws"]
        assert changed(name, completed) == ["throws"]
        assert changed(name, lost) == ["yield", "throws"]
        assert changed(name, expected) == ["message"]
    # An answer that says it failed did not just stop.
    assert changed("openai-native/failed-event", interrupted) == ["throws"]


@pytest.mark.parametrize(
    "name",
    [
        "openai-native/text-stream",
        "openai-native/usage-absent",
        "openai-native/usage-on-response-done-top-level",
        "openai-native/usage-standalone-event",
        "mistral/text-stream",
        "native-ollama/text-stream",
    ],
)
def test_an_error_at_the_end_of_a_whole_answer_is_not_excused(name: str) -> None:
    def interrupt(_: Any, played: Played) -> None:
        played.outcomes[0].error = StreamInterruptedError("the stream ended before its answer did")

    assert changed(name, interrupt) == ["throws"]


def test_the_clients_error_attribute_is_compared_unless_it_repeats_the_message() -> None:
    def another_error(data: dict[str, Any], _: Any) -> None:
        data["throws"]["error"] = "other"

    assert changed("native-ollama/error-401-json-message", another_error) == ["error"]
    assert changed("native-ollama/error-404", another_error) == ["error"]
