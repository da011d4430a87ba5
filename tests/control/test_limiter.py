"""The limiter by values: each test states one of its rules."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import pytest

from tercet.adapters.rate_limits import RateLimitState, Window
from tercet.engine.control.bucket import Bucket
from tercet.engine.control.cubic import CubicRate
from tercet.engine.control.limiter import AdaptiveRateLimiter, Permit
from tercet.engine.control.outcome import Outcome, OutcomeKind

OK = Outcome(OutcomeKind.OK)
THROTTLED = Outcome(OutcomeKind.THROTTLED)


def permit_of(limiter: AdaptiveRateLimiter, now: float = 0.0, tokens: int = 0) -> Permit:
    got = limiter.reserve(now, tokens=tokens)
    assert isinstance(got, Permit), f"has to wait {got} s"
    return got


def wait_of(limiter: AdaptiveRateLimiter, now: float = 0.0, tokens: int = 0) -> float:
    got = limiter.reserve(now, tokens=tokens)
    assert isinstance(got, float)
    assert got > 0
    return got


def test_without_limits_everything_goes() -> None:
    limiter = AdaptiveRateLimiter()
    permits = [permit_of(limiter, 0.0, 10**9) for _ in range(1000)]
    assert limiter.snapshot(0.0).in_flight == 1000
    for permit in permits:
        limiter.settle(permit, 1.0, OK)
    facts = limiter.snapshot(1.0)
    assert (facts.in_flight, facts.reserved, facts.settled) == (0, 1000, 1000)
    assert facts.concurrency_limit is None


def test_a_full_minute_goes_at_once_and_then_one_by_one() -> None:
    limiter = AdaptiveRateLimiter(requests_per_minute=60)
    for _ in range(60):
        limiter.settle(permit_of(limiter), 0.0, OK)
    assert wait_of(limiter) == pytest.approx(1.0)
    limiter.settle(permit_of(limiter, 1.0), 1.0, OK)
    assert wait_of(limiter, 1.0) == pytest.approx(1.0)


def test_a_small_burst_spreads_the_rate() -> None:
    limiter = AdaptiveRateLimiter(requests_per_minute=60, burst_seconds=2)
    limiter.settle(permit_of(limiter), 0.0, OK)
    limiter.settle(permit_of(limiter), 0.0, OK)
    assert wait_of(limiter) == pytest.approx(1.0)


def test_tokens_are_corrected_to_what_was_used() -> None:
    limiter = AdaptiveRateLimiter(tokens_per_minute=6000)
    permit = permit_of(limiter, tokens=5000)
    assert limiter.snapshot(0.0).tokens_available == 1000
    limiter.settle(permit, 0.0, Outcome(OutcomeKind.OK, input_tokens=100, output_tokens=400))
    assert limiter.snapshot(0.0).tokens_available == 5500


def test_a_debt_is_paid_before_anything_goes() -> None:
    limiter = AdaptiveRateLimiter(tokens_per_minute=6000)
    permit = permit_of(limiter, tokens=6000)
    limiter.settle(permit, 0.0, Outcome(OutcomeKind.OK, input_tokens=7000))
    assert limiter.snapshot(0.0).tokens_available == 0
    assert wait_of(limiter, tokens=1000) == pytest.approx(
        20.0
    )  # 1,000 of debt and 1,000 wanted at 100 a second


@pytest.mark.parametrize(
    "kind", [OutcomeKind.THROTTLED, OutcomeKind.REJECTED, OutcomeKind.KEY, OutcomeKind.LOCAL]
)
def test_a_refusal_used_no_tokens(kind: OutcomeKind) -> None:
    limiter = AdaptiveRateLimiter(tokens_per_minute=6000)
    limiter.settle(permit_of(limiter, tokens=5000), 0.0, Outcome(kind))
    assert limiter.snapshot(0.0).tokens_available == 6000


@pytest.mark.parametrize("kind", [OutcomeKind.FAILED, OutcomeKind.CANCELLED])
def test_a_broken_answer_may_have_used_what_was_reserved(kind: OutcomeKind) -> None:
    limiter = AdaptiveRateLimiter(tokens_per_minute=6000)
    limiter.settle(permit_of(limiter, tokens=5000), 0.0, Outcome(kind))
    assert limiter.snapshot(0.0).tokens_available == 1000


def test_larger_than_the_bucket_goes_when_it_is_full() -> None:
    limiter = AdaptiveRateLimiter(tokens_per_minute=6000)
    limiter.settle(permit_of(limiter, tokens=3000), 0.0, Outcome(OutcomeKind.OK, input_tokens=3000))
    wait = wait_of(limiter, 0.0, tokens=50_000)
    assert wait == pytest.approx(30.0)
    permit_of(limiter, wait, tokens=50_000)


def test_concurrency_waits_for_a_release_and_not_for_time() -> None:
    limiter = AdaptiveRateLimiter(max_concurrency=2)
    first, _ = permit_of(limiter), permit_of(limiter)
    assert wait_of(limiter) == math.inf
    assert limiter.next_wakeup(0.0) == math.inf
    limiter.settle(first, 0.0, OK)
    assert limiter.next_wakeup(0.0) == 0.0
    permit_of(limiter)


def test_cancelled_is_as_if_never_reserved() -> None:
    limiter = AdaptiveRateLimiter(requests_per_minute=60, tokens_per_minute=6000, max_concurrency=3)
    limiter.observe(RateLimitState(requests=Window(10, 5, 60.0), tokens=Window(1000, 500, 60.0)), 0.0)
    before = limiter.snapshot(0.0)
    permit = permit_of(limiter, tokens=400)
    assert limiter.snapshot(0.0).tokens_remaining == 100
    limiter.cancel(permit, 0.0)
    after = limiter.snapshot(0.0)
    assert (after.reserved, after.cancelled) == (1, 1)
    for name in (
        "in_flight",
        "requests_available",
        "tokens_available",
        "requests_remaining",
        "tokens_remaining",
    ):
        assert getattr(after, name) == getattr(before, name), name


def test_a_permit_comes_back_once() -> None:
    limiter = AdaptiveRateLimiter(max_concurrency=1)
    permit = permit_of(limiter)
    limiter.settle(permit, 0.0, OK)
    limiter.settle(permit, 0.0, THROTTLED)
    limiter.cancel(permit, 0.0)
    facts = limiter.snapshot(0.0)
    assert (facts.in_flight, facts.settled, facts.cancelled, facts.throttled) == (0, 1, 0, 0)
    with pytest.raises(ValueError, match="another limiter"):
        AdaptiveRateLimiter().settle(permit, 0.0, OK)


def test_retry_after_stops_everything_until_then() -> None:
    limiter = AdaptiveRateLimiter()
    limiter.settle(permit_of(limiter), 0.0, Outcome(OutcomeKind.THROTTLED, retry_after=20.0))
    assert wait_of(limiter, 5.0) == pytest.approx(15.0)
    permit_of(limiter, 20.0)
    assert limiter.snapshot(20.0).rate is None  # the provider said how long: no law of our own on top


def test_a_retry_after_is_believed_up_to_a_bound() -> None:
    limiter = AdaptiveRateLimiter(max_cooldown=30)
    limiter.settle(permit_of(limiter), 0.0, Outcome(OutcomeKind.THROTTLED, retry_after=math.inf))
    assert wait_of(limiter) == 30.0


def test_retry_after_on_a_success_is_no_throttle() -> None:
    limiter = AdaptiveRateLimiter()
    limiter.settle(permit_of(limiter), 0.0, Outcome(OutcomeKind.OK, retry_after=20.0))
    permit_of(limiter)


def test_throttling_halves_what_may_be_in_flight_once_for_all_that_was_out() -> None:
    limiter = AdaptiveRateLimiter(max_concurrency=16)
    permits = [permit_of(limiter) for _ in range(16)]
    for permit in permits[:4]:
        limiter.settle(permit, 0.0, Outcome(OutcomeKind.THROTTLED, retry_after=1.0))
    assert limiter.snapshot(0.0).concurrency_limit == 8
    for permit in permits[4:]:
        limiter.settle(permit, 1.0, OK)
    assert limiter.snapshot(1.0).concurrency_limit == 8  # they were sent before the cut


def test_success_lets_the_number_in_flight_grow_one_by_one() -> None:
    limiter = AdaptiveRateLimiter(max_concurrency=16)
    permits = [permit_of(limiter) for _ in range(16)]
    for permit in permits:
        limiter.settle(permit, 0.0, Outcome(OutcomeKind.THROTTLED, retry_after=1.0))
    limits = [8]
    for _ in range(6):
        for permit in [permit_of(limiter, 1.0) for _ in range(limits[-1])]:
            limiter.settle(permit, 1.0, OK)
        limits.append(limiter.snapshot(1.0).concurrency_limit or 0)
    assert all(0 <= later - earlier <= 1 for earlier, later in itertools.pairwise(limits)), limits
    assert 10 <= limits[-1] <= 14
    for _ in range(100):
        limiter.settle(permit_of(limiter, 1.0), 1.0, OK)
    assert (
        limiter.snapshot(1.0).concurrency_limit == limits[-1]
    )  # one at a time is no use of it, so no growth


def test_the_cut_stops_at_one_and_time_lifts_it() -> None:
    limiter = AdaptiveRateLimiter(max_concurrency=4, forget_after=300)
    now = 0.0
    for _ in range(10):
        permit = permit_of(limiter, now)
        limiter.settle(permit, now, Outcome(OutcomeKind.THROTTLED, retry_after=1.0))
        now += 1.0
    assert limiter.snapshot(now).concurrency_limit == 1
    assert limiter.snapshot(now + 300).concurrency_limit == 4


def test_without_any_hint_the_cubic_law_paces() -> None:
    limiter = AdaptiveRateLimiter()
    limiter.settle(permit_of(limiter), 0.0, THROTTLED)
    assert limiter.snapshot(0.0).rate == 0.5
    assert wait_of(limiter) == pytest.approx(2.0)
    permit_of(limiter, 2.0)
    assert limiter.snapshot(400.0).rate is None


def test_what_the_headers_say_is_left_binds_until_the_reset() -> None:
    limiter = AdaptiveRateLimiter()
    permit = permit_of(limiter)
    limiter.settle(permit, 0.0, OK, RateLimitState(requests=Window(100, 2, 10.0)))
    permit_of(limiter)
    permit_of(limiter)
    assert wait_of(limiter, 4.0) == pytest.approx(6.0)
    permit_of(limiter, 10.0)


def test_what_was_reserved_after_the_answered_request_is_subtracted() -> None:
    limiter = AdaptiveRateLimiter()
    first = permit_of(limiter, tokens=100)
    for _ in range(3):
        permit_of(limiter, tokens=100)
    limiter.observe(RateLimitState(Window(100, 10, 60.0), Window(1000, 900, 60.0)), 0.0, first)
    facts = limiter.snapshot(0.0)
    assert (facts.requests_remaining, facts.tokens_remaining) == (7, 600)


def test_an_older_answer_only_lowers_what_a_newer_one_said() -> None:
    limiter = AdaptiveRateLimiter()
    first, second = permit_of(limiter), permit_of(limiter)
    limiter.observe(RateLimitState(Window(100, 10, 60.0)), 0.0, second)
    limiter.observe(RateLimitState(Window(100, 90, 60.0)), 0.0, first)
    assert limiter.snapshot(0.0).requests_remaining == 10
    limiter.observe(RateLimitState(Window(100, 5, 60.0)), 0.0, first)
    assert limiter.snapshot(0.0).requests_remaining == 4


def test_cancelling_what_the_count_did_not_include_adds_nothing() -> None:
    limiter = AdaptiveRateLimiter()
    first, second = permit_of(limiter, tokens=100), permit_of(limiter, tokens=100)
    limiter.observe(RateLimitState(Window(100, 10, 60.0), Window(1000, 900, 60.0)), 0.0, second)
    limiter.cancel(first, 0.0)  # reserved before the count was made, so never subtracted from it
    facts = limiter.snapshot(0.0)
    assert (facts.requests_remaining, facts.tokens_remaining) == (10, 900)


def test_exhausted_without_a_reset_is_believed_for_a_second() -> None:
    limiter = AdaptiveRateLimiter()
    limiter.observe(RateLimitState(input_tokens=Window(100, 0)), 0.0)
    assert wait_of(limiter, tokens=1) == pytest.approx(1.0)
    permit_of(limiter, 1.0, tokens=1)


def test_a_limit_of_zero_lets_nothing_through_until_its_reset() -> None:
    limiter = AdaptiveRateLimiter()
    limiter.observe(RateLimitState(Window(0, 0, 30.0)), 0.0)
    assert wait_of(limiter) == 30.0


def test_more_than_a_whole_window_waits_for_a_full_one() -> None:
    limiter = AdaptiveRateLimiter()
    limiter.observe(RateLimitState(tokens=Window(1000, 1000, 30.0)), 0.0)
    permit_of(limiter, tokens=5000)
    assert wait_of(limiter, tokens=5000) == 30.0


def test_exhausted_windows_explain_a_throttle() -> None:
    limiter = AdaptiveRateLimiter()
    limiter.settle(permit_of(limiter), 0.0, THROTTLED, RateLimitState(Window(10, 0, 5.0)))
    assert limiter.snapshot(0.0).rate is None
    assert wait_of(limiter) == 5.0


def test_leases_add_capacity_and_take_it_away() -> None:
    limiter = AdaptiveRateLimiter(requests_per_minute=0, max_concurrency=0)
    assert wait_of(limiter) == math.inf
    lease = limiter.grant(0.0, requests_per_minute=60, max_concurrency=2)
    other = limiter.grant(0.0, max_concurrency=1, until=5.0)
    assert wait_of(limiter) == pytest.approx(1.0)  # a grant mints no tokens
    permit = permit_of(limiter, 1.0)
    assert limiter.snapshot(1.0).concurrency_limit == 3
    assert limiter.snapshot(5.0).concurrency_limit == 2
    limiter.revoke(lease, 5.0)
    limiter.revoke(lease, 5.0)
    limiter.revoke(other, 5.0)
    assert wait_of(limiter, 100.0) == math.inf
    limiter.settle(permit, 101.0, OK)
    assert limiter.snapshot(101.0).in_flight == 0


def test_a_bucket_fills_at_a_leases_rate_only_until_it_ends() -> None:
    limiter = AdaptiveRateLimiter(requests_per_minute=6, burst_seconds=600)
    for _ in range(60):
        limiter.settle(permit_of(limiter), 0.0, OK)
    limiter.grant(0.0, requests_per_minute=54, until=10.0)
    assert limiter.snapshot(20.0).requests_available == pytest.approx(10 * 1.0 + 10 * 0.1)


def test_two_equal_leases_are_two() -> None:
    limiter = AdaptiveRateLimiter(max_concurrency=0)
    leases = [limiter.grant(0.0, max_concurrency=1) for _ in range(2)]
    limiter.revoke(leases[0], 0.0)
    limiter.revoke(leases[0], 0.0)
    assert limiter.snapshot(0.0).concurrency_limit == 1


def test_time_that_runs_backwards_stands_still() -> None:
    limiter = AdaptiveRateLimiter(requests_per_minute=60, burst_seconds=1)
    limiter.settle(permit_of(limiter, 100.0), 50.0, OK)
    assert wait_of(limiter, 0.0) == pytest.approx(1.0)
    permit_of(limiter, 101.0)


def test_a_wait_is_never_too_short_for_the_clock() -> None:
    now = 3.0e8
    limiter = AdaptiveRateLimiter()
    limiter.settle(permit_of(limiter, now), now, Outcome(OutcomeKind.THROTTLED, retry_after=1e-12))
    got = limiter.reserve(now, tokens=0)
    assert isinstance(got, Permit) or now + got > now


@pytest.mark.parametrize(
    "setting",
    [
        {"requests_per_minute": -1},
        {"tokens_per_minute": math.inf},
        {"max_concurrency": -1},
        {"concurrency_cut": 1},
    ],
)
def test_senseless_settings_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="AdaptiveRateLimiter"):
        AdaptiveRateLimiter(**setting)  # type: ignore[arg-type]  # the values are of either kind
    with pytest.raises(ValueError, match="grant"):
        AdaptiveRateLimiter().grant(0.0, requests_per_minute=-1)


def test_a_bucket_does_not_lose_to_a_clock_that_runs_backwards() -> None:
    bucket = Bucket(1.0, 10.0, 100.0, level=5.0)
    assert bucket.level(90.0) == 5.0
    assert bucket.level(101.0) == 6.0
    bucket.put_back(100.0, 101.0)
    assert bucket.level(101.0) == 10.0


# --- the cubic law against the tables of the AWS SDKs -------------------------------------------------------------


def test_the_published_sending_rates(shared: Path) -> None:
    table = json.loads((shared / "vectors/aws-retry/adaptive_cubic.json").read_text())
    law = CubicRate(0.0)
    for row in table["client_sending_rates"]:
        law.update(row["t"], throttled=row["throttled"])
        assert law.measured_rate == pytest.approx(row["measured_tx_rate"], abs=1e-9), row
        assert law.fill_rate == pytest.approx(row["fill_rate"], abs=1e-9), row


@pytest.mark.parametrize(
    "name", ["test_calculated_rate_with_throttles", "test_calculated_rate_with_successes"]
)
def test_the_published_curves(shared: Path, name: str) -> None:
    table = json.loads((shared / "vectors/aws-retry/adaptive_cubic.json").read_text())
    law = CubicRate(0.0)
    law.throttle(5.0, 10.0)
    rate = math.nan
    for row in table[name]:
        if row["throttled"]:
            rate *= table["constants"]["BETA"]
            law.throttle(row["t"], rate)
        else:
            rate = law.target(row["t"])
        assert rate == pytest.approx(row["calculated_rate"], abs=1e-9), row
