"""The whole engine against random faults, in virtual time: whatever happens, what must hold holds; and the same seed gives the same run.

``TERCET_SIM_SEED=7`` runs that seed alone, ``TERCET_SIM_REQUESTS=20000`` so many requests. A failure names its seed.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

import tercet
from tercet.codecs.processor import StreamProcessor
from tercet.engine.runtime import journey
from tercet.engine.runtime.gate import Gate
from tercet.engine.runtime.journey import Journey
from tercet.engine.runtime.settlement import Settlement
from tercet.engine.runtime.stream import TokenStream
from tercet.engine.runtime.transport import Response
from tercet.engine.testing.simulation import Report, run_simulation
from tercet.engine.testing.weather import PROVIDERS, Weather, plan

REQUESTS_A_RUN = 250
CALM_FROM = 20.0
RECOVERY = 10.0


def seeds(runs: int) -> list[int]:
    named = os.environ.get("TERCET_SIM_SEED")
    if named is not None:
        return [int(named)]
    requests = int(os.environ.get("TERCET_SIM_REQUESTS", str(runs * REQUESTS_A_RUN)))
    return list(range(1, 1 + max(1, requests // REQUESTS_A_RUN)))


def told(report: Report) -> str:
    many = len(report.violations)
    shown = "\n".join(report.violations[:5])
    return f"seed {report.seed} (TERCET_SIM_SEED={report.seed} repeats it): {many} violations:\n{shown}"


@pytest.mark.parametrize("seed", seeds(7))
def test_whatever_happens_every_request_ends_once_and_says_the_truth(seed: int) -> None:
    report = run_simulation(plan(seed, REQUESTS_A_RUN))
    assert not report.violations, told(report)
    assert len(report.ended) == REQUESTS_A_RUN
    assert len(report.records) > 50  # else nothing was tried


@pytest.mark.parametrize("seed", seeds(2))
def test_when_the_faults_stop_the_answers_come_back(seed: int) -> None:
    """Of the requests made from ten seconds after the last fault on, 95 % get their whole answer within ten seconds; default breakers."""
    drawn = plan(seed, 400, calm_from=CALM_FROM, patient=True, refuse_keys=False, breaker={})
    report = run_simulation(drawn)
    assert not report.violations, told(report)
    assert report.complete_rate(CALM_FROM + RECOVERY, within=10.0) >= 0.95, told(report)


@pytest.mark.parametrize("how_long", [10.0, 60.0])
def test_after_a_total_outage_the_answers_come_back(how_long: float) -> None:
    """Every provider fails every request, until none does: open breakers keep nobody waiting for long."""
    drawn = plan(3, round((how_long + 30) * 4), a_second=4, patient=True, breaker={})
    out = (Weather(0.0, 1.0, ("500", "503", "refuse")), Weather(how_long, 0.0, ()))
    report = run_simulation(msgspec.structs.replace(drawn, weather=dict.fromkeys(PROVIDERS, out)))
    assert not report.violations, told(report)
    assert report.openings >= len(PROVIDERS)
    assert report.complete_rate(how_long + RECOVERY, within=10.0) >= 0.95, told(report)


def every(nth: int) -> Callable[[], bool]:
    numbers = itertools.count(1)
    return lambda: next(numbers) % nth == 0


def take_any_end_for_whole(patch: pytest.MonkeyPatch) -> None:
    finish = StreamProcessor.finish

    def forgiving(self: Any) -> Any:
        try:
            return finish(self)
        except tercet.StreamInterruptedError:
            return [tercet.Finish("stop")]

    patch.setattr(StreamProcessor, "finish", forgiving)


def lose_a_token(patch: pytest.MonkeyPatch) -> None:
    taken, is_lost = TokenStream._taken, every(200)

    def losing(self: Any, tokens: Any) -> Any:
        return [tercet.TextDelta("") if is_lost() else token for token in taken(self, tokens)]

    patch.setattr(TokenStream, "_taken", losing)


def double_a_token(patch: pytest.MonkeyPatch) -> None:
    taken, is_doubled = TokenStream._taken, every(200)
    patch.setattr(
        TokenStream,
        "_taken",
        lambda self, tokens: [*(tokens[:1] if is_doubled() else []), *taken(self, tokens)],
    )


def restart_without_a_word(patch: pytest.MonkeyPatch) -> None:
    taken = TokenStream._taken
    patch.setattr(
        TokenStream,
        "_taken",
        lambda self, tokens: [t for t in taken(self, tokens) if not isinstance(t, tercet.Restarted)],
    )


def forget_to_settle(patch: pytest.MonkeyPatch) -> None:
    settle, is_forgotten = Settlement.settle, every(150)
    patch.setattr(Settlement, "settle", lambda self, *how: None if is_forgotten() else settle(self, *how))


def forget_to_leave(patch: pytest.MonkeyPatch) -> None:
    leave, is_forgotten = Gate.leave, every(100)
    patch.setattr(Gate, "leave", lambda self, admission: None if is_forgotten() else leave(self, admission))


def forget_a_record(patch: pytest.MonkeyPatch) -> None:
    record, is_forgotten = Journey._record, every(100)
    patch.setattr(Journey, "_record", lambda self, told: None if is_forgotten() else record(self, told))


def forget_to_close(patch: pytest.MonkeyPatch) -> None:
    close, is_forgotten = Response.close, every(20)
    patch.setattr(Response, "close", lambda self: None if is_forgotten() else close(self))


def raise_something_untyped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(journey, "AllAttemptsFailedError", lambda *said, **facts: tercet.TercetError("oh"))


SABOTAGE = [
    take_any_end_for_whole,
    lose_a_token,
    double_a_token,
    restart_without_a_word,
    forget_to_settle,
    forget_to_leave,
    forget_a_record,
    forget_to_close,
    raise_something_untyped,
]


@pytest.mark.parametrize("sabotage", SABOTAGE, ids=lambda sabotage: sabotage.__name__)
def test_what_is_broken_is_noticed(sabotage: Callable[[pytest.MonkeyPatch], None], monkeypatch: Any) -> None:
    """The checks have teeth: an engine that was broken on purpose does not pass."""
    sabotage(monkeypatch)
    assert any(run_simulation(plan(seed, REQUESTS_A_RUN)).violations for seed in (3, 5, 8))


RUN_ONE = """
import sys
from tercet.engine.testing.simulation import run_simulation
from tercet.engine.testing.weather import PROVIDERS, Weather, plan
print(run_simulation(plan(int(sys.argv[1]), 60)).digest)
"""


def test_the_same_seed_is_the_same_run_in_every_process() -> None:
    def digest(hash_seed: str) -> str:
        environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            [sys.executable, "-c", RUN_ONE, "11"],
            env=environ,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    assert len(digest("1")) == 65
    assert digest("1") == digest("2")


def test_another_seed_is_another_run() -> None:
    assert run_simulation(plan(1, 20)).digest != run_simulation(plan(2, 20)).digest
