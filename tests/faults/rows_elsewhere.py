"""Rows C and R: credentials, and the engine as a whole. None of them is one request with one answer, so they have tests of their own."""

from __future__ import annotations

from .cases import Entry

__all__ = ["ROWS"]


def by(module: str, *names: str, also: tuple[str, ...] = (), left_out: str = "") -> Entry:
    """Tested by these functions of a module of this folder, and ``also`` by others."""
    return Entry(tested_by=(*(f"{module}::{name}" for name in names), *also), left_out=left_out)


_CREDENTIALS = "test_fault_credentials"
_RUNTIME = "test_fault_runtime"
_WAITING = "test_fault_waiting"

ROWS: dict[str, Entry] = {
    "C01": by(_CREDENTIALS, "test_a_token_that_ends_while_requests_queue_is_renewed_when_they_are_sent"),
    "C02": by(_CREDENTIALS, "test_a_token_that_ends_in_mid_stream_does_not_end_the_stream"),
    "C03": by(
        _CREDENTIALS,
        "test_a_failing_token_endpoint_is_not_felt_before_it_must_be",
        left_out="a breaker for the endpoint: without a credential its provider cannot be asked, so the provider's own opens",
    ),
    "C04": by(
        _CREDENTIALS,
        "test_a_revoked_sign_in_is_not_tried_again",
        left_out="an event: health and `inspect` show it",
    ),
    "C05": by(_CREDENTIALS, "test_a_thousand_who_need_a_new_token_make_one_call"),
    "C06": by(_CREDENTIALS, "test_two_processes_do_not_use_up_each_others_refresh_token"),
    "C07": by(
        _CREDENTIALS,
        "test_a_signature_by_a_wrong_clock_is_made_again_by_the_providers",
        "test_a_signature_that_is_wrong_by_any_clock_parks_the_key",
    ),
    "C08": by(
        _CREDENTIALS,
        "test_a_credential_process_that_is_broken_is_a_typed_error",
        "test_a_credential_process_that_hangs_is_left",
        also=(
            "../engine/test_credentials::test_an_answer_has_a_limit",
            "../engine/test_credentials::test_no_instance_metadata_costs_a_second",
        ),
    ),
    "C09": by(_CREDENTIALS, "test_a_key_swapped_under_load_is_not_mixed"),
    "C10": by(_CREDENTIALS, "test_a_key_that_no_header_can_carry_is_refused_unseen"),
    "R01": by(
        _RUNTIME,
        "test_a_thousand_streams_of_33_providers_in_memory",
        "test_a_thousand_streams_of_33_providers_over_sockets",
    ),
    "R02": by(_RUNTIME, "test_a_slow_consumer_stops_the_server_and_is_not_taken_for_silence"),
    "R03": by(
        _RUNTIME,
        "test_a_consumer_that_stops",
        "test_a_stream_that_was_dropped_is_closed_with_the_manager",
    ),
    "R04": by(
        _RUNTIME,
        "test_cancelled_at_any_point_of_the_longer_ways",
        also=(
            f"{_WAITING}::test_a_cancelled_probe_makes_room_for_another",
            "../engine/test_manager::test_cancelled_at_every_point_nothing_is_left",
        ),
    ),
    "R05": by(
        _WAITING,
        "test_a_deadline_in_the_limiters_queue_sends_nothing",
        "test_a_deadline_while_all_places_are_taken",
        "test_a_deadline_in_the_back_off",
        "test_a_deadline_while_a_hedge_is_waited_for",
        "test_a_deadline_in_mid_answer_keeps_what_was_said",
    ),
    "R06": by(_WAITING, "test_a_full_queue_refuses_at_once"),
    "R07": by(
        "test_fault_limits",
        "test_a_bomb_does_not_go_off",
        "test_a_bomb_behind_the_first_token_carries_what_was_said",
    ),
    "R08": by(_RUNTIME, "test_of_two_that_were_asked_one_is_heard"),
    "R09": by(_WAITING, "test_of_a_thousand_callers_two_are_probes"),
    "R10": by(
        _WAITING,
        "test_a_wall_clock_that_jumps_moves_no_timer",
        "test_after_eight_hours_asleep_all_goes_on",
    ),
    "R11": by(_WAITING, "test_when_all_are_down_it_ends_soon_and_says_why"),
    "R12": by(_WAITING, "test_a_flapping_provider_is_asked_more_and_more_seldom"),
    "R13": by(_RUNTIME, "test_a_bug_in_an_adapter_fails_one_request"),
    "R14": by(
        _RUNTIME,
        "test_a_fault_of_the_programs_own_hook_is_logged_and_nothing_more",
        "test_a_fault_of_a_transformer_reaches_its_own_request",
        left_out="a counter: the hook's fault is logged; a transformer's belongs to whoever asked",
    ),
    "R15": by(_RUNTIME, "test_the_end_of_the_program_closes_its_connections"),
}
