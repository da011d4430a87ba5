"""Health: what is said of a provider, and who is told to probe it."""

from __future__ import annotations

import pytest

from tercet.codecs.vocabulary import AuthenticationError, ServerError
from tercet.engine.control.health import HealthMonitor
from tercet.engine.control.outcome import Outcome, OutcomeKind

OK = Outcome(OutcomeKind.OK, first_content=0.5)
FAILED = Outcome.of(ServerError("the prompt was: secret", status=502))
THROTTLED = Outcome(OutcomeKind.THROTTLED)
KEY = Outcome.of(AuthenticationError("401", status=401))


def monitor_of(*outcomes: Outcome) -> HealthMonitor:
    monitor = HealthMonitor()
    for outcome in outcomes:
        monitor.record("p", 0.0, outcome)
    return monitor


def test_nothing_known() -> None:
    status = HealthMonitor().status("p", 0.0)
    assert (status.state, status.reasons, status.checked_at) == ("unknown", (), None)


def test_well() -> None:
    status = monitor_of(OK).status("p", 1.0)
    assert (status.state, status.latency, status.checked_at) == ("healthy", 0.5, 0.0)


def test_failures_in_a_row_are_unhealthy_and_name_the_last_without_its_words() -> None:
    status = monitor_of(*[OK] * 50, *[FAILED] * 5).status("p", 0.0)
    assert status.state == "unhealthy"
    assert status.reasons == ("5 failures in a row, the last: ServerError 502",)


def test_a_part_failed_or_throttled_is_degraded() -> None:
    assert monitor_of(*[OK] * 3, FAILED).status("p", 0.0).reasons == (
        "25% of recent answers failed, the last: ServerError 502",
    )
    status = monitor_of(OK, THROTTLED).status("p", 0.0)
    assert (status.state, status.reasons) == ("degraded", ("50% of recent answers were throttled",))
    assert monitor_of(*[OK] * 4, FAILED).status("p", 0.0).state == "healthy"


def test_a_refused_key_is_unhealthy_until_a_success() -> None:
    monitor = monitor_of(OK, KEY)
    assert monitor.status("p", 1e6).reasons == ("the key was refused: AuthenticationError 401",)
    monitor.record("p", 1e6, OK)
    assert monitor.status("p", 1e6).state == "healthy"


@pytest.mark.parametrize("kind", [OutcomeKind.LOCAL, OutcomeKind.CANCELLED])
def test_local_and_cancelled_show_nothing(kind: OutcomeKind) -> None:
    assert monitor_of(Outcome(kind)).status("p", 0.0).state == "unknown"


def test_a_rejected_request_shows_life() -> None:
    assert monitor_of(*[FAILED] * 5, Outcome(OutcomeKind.REJECTED)).status("p", 0.0).state == "degraded"
    assert monitor_of(Outcome(OutcomeKind.REJECTED)).status("p", 0.0).state == "healthy"


def test_trouble_fades_to_unknown() -> None:
    monitor = monitor_of(OK, FAILED)
    assert monitor.status("p", 60.0).state == "degraded"
    assert monitor.status("p", 1000.0).state == "unknown"


def test_one_of_many_is_told_to_probe() -> None:
    monitor = HealthMonitor()
    assert [monitor.should_probe("p", 0.0) for _ in range(1000)].count(True) == 1
    assert not monitor.should_probe("p", 59.0)
    assert monitor.should_probe("p", 60.0)


def test_traffic_makes_probes_needless_and_trouble_makes_them_frequent() -> None:
    monitor = monitor_of(OK)
    assert not monitor.should_probe("p", 59.0)
    sick = monitor_of(*[FAILED] * 5)
    assert not sick.should_probe("p", 14.0)
    assert sick.should_probe("p", 15.0)
    assert not sick.should_probe("p", 29.0)


def test_time_that_runs_backwards_stands_still() -> None:
    monitor = HealthMonitor()
    monitor.record("p", 100.0, OK)
    monitor.record("p", 50.0, FAILED)
    assert monitor.status("p", 0.0).checked_at == 100.0


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        HealthMonitor(half_life=0)
