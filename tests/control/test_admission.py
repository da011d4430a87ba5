"""Back-pressure: what is taken on and what is refused."""

from __future__ import annotations

import pytest

from tercet.codecs.vocabulary import OverloadedError
from tercet.engine.control.admission import (
    Admission,
    BackpressureController,
    Refused,
)
from tercet.engine.control.outcome import OutcomeKind, classify


def admitted(
    controller: BackpressureController, now: float = 0.0, priority: int = 0, size: int = 0
) -> Admission:
    got = controller.try_admit(now, priority, size)
    assert isinstance(got, Admission), got
    return got


def refused(
    controller: BackpressureController, now: float = 0.0, priority: int = 0, size: int = 0
) -> Refused:
    got = controller.try_admit(now, priority, size)
    assert isinstance(got, Refused), got
    return got


def test_running_then_queued_then_refused() -> None:
    controller = BackpressureController(max_in_flight=1, max_queued=1)
    first, second = admitted(controller), admitted(controller)
    assert (first.is_running, second.is_running) == (True, False)
    refusal = refused(controller)
    assert (refusal.reason, refusal.limit, refusal.used, refusal.retry_after) == ("queue", 1, 1, None)
    assert not controller.try_start(second, 0.0)
    controller.release(first, 1.0)
    assert controller.try_start(second, 1.0)
    assert controller.try_start(second, 1.0)
    facts = controller.snapshot(1.0)
    assert (facts.in_flight, facts.queued, facts.admitted, facts.refused, facts.released) == (1, 0, 2, 1, 1)


def test_a_newcomer_does_not_overtake() -> None:
    controller = BackpressureController(max_in_flight=1, max_queued=5)
    first, second = admitted(controller), admitted(controller)
    controller.release(first, 0.0)
    assert not admitted(controller).is_running
    assert controller.try_start(second, 0.0)


def test_release_is_counted_once() -> None:
    controller = BackpressureController()
    admission = admitted(controller, size=10)
    controller.release(admission, 0.0)
    controller.release(admission, 0.0)
    facts = controller.snapshot(0.0)
    assert (facts.in_flight, facts.bytes, facts.released) == (0, 0, 1)
    assert not controller.try_start(admission, 0.0)
    with pytest.raises(ValueError, match="another controller"):
        BackpressureController().release(admission, 0.0)


def test_bytes_are_limited_but_one_large_thing_passes_alone() -> None:
    controller = BackpressureController(max_bytes=100)
    large = admitted(controller, size=500)
    assert refused(controller, size=1).reason == "bytes"
    controller.release(large, 0.0)
    admitted(controller, size=60)
    admitted(controller, size=40)
    assert refused(controller, size=1).reason == "bytes"


def test_the_less_urgent_is_refused_first() -> None:
    controller = BackpressureController(max_in_flight=1, max_queued=8)
    admitted(controller)
    for priority, room in ((-2, 2), (-1, 2), (0, 4)):
        for _ in range(room):
            admitted(controller, priority=priority)
        assert refused(controller, priority=priority).priority == priority
    assert refused(controller, priority=5).limit == 8
    assert refused(controller, priority=-1000).limit == 0


def test_when_to_come_back_is_guessed_from_releases() -> None:
    controller = BackpressureController(max_in_flight=3, max_queued=0)
    held = [admitted(controller) for _ in range(3)]
    controller.release(held[0], 10.0)
    controller.release(held[1], 12.0)
    controller.release(held[2], 5.0)  # time ran backwards: nothing is learned
    held = [admitted(controller, 12.0) for _ in range(3)]
    refusal = refused(controller, 12.0)
    assert refusal.retry_after == pytest.approx(2.0)
    error = refusal.error()
    assert isinstance(error, OverloadedError)
    assert error.retry_after == refusal.retry_after
    assert classify(error) is OutcomeKind.LOCAL


def test_without_limits_everything_is_taken() -> None:
    controller = BackpressureController(max_in_flight=None, max_queued=None, max_bytes=None)
    assert all(admitted(controller, priority=-9, size=10**12).is_running for _ in range(100))


@pytest.mark.parametrize("setting", ["max_in_flight", "max_queued", "max_bytes"])
def test_senseless_settings_are_refused(setting: str) -> None:
    with pytest.raises(ValueError, match=setting):
        BackpressureController(**{setting: -1})
    with pytest.raises(ValueError, match="max_in_flight"):
        BackpressureController(max_in_flight=0)
