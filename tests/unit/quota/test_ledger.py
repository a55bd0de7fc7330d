import pytest

from rcfs.model import Plan, RateHeaders, UsageGroup
from rcfs.quota import GroupState, Ledger, MemoryLedger, Slot

MEDIUM = UsageGroup("medium")
HEAVY = UsageGroup("heavy")
OTHER = UsageGroup("never seen")


def a_ledger(limit: int = 3, window_s: float = 60.0, penalty_s: float = 60.0) -> MemoryLedger:
    return MemoryLedger({MEDIUM: Plan(limit, window_s, penalty_s), HEAVY: Plan(2)})


def headers(
    remaining: int | None = None,
    *,
    limit: int | None = None,
    window_s: float | None = None,
    group: UsageGroup = MEDIUM,
) -> RateHeaders:
    return RateHeaders(group, limit, remaining, window_s)


def taken(ledger: Ledger, now: float, group: UsageGroup = MEDIUM) -> Slot:
    slot = ledger.take(group, now)
    assert isinstance(slot, Slot), slot
    return slot


def state(ledger: Ledger, now: float, group: UsageGroup = MEDIUM) -> GroupState:
    return next(state for state in ledger.states(now) if state.group == group)


def test_a_slot_says_what_it_is() -> None:
    ledger = a_ledger()
    first, second = taken(ledger, 5.0), taken(ledger, 6.0)
    assert (first.group, first.taken_s) == (MEDIUM, 5.0)
    assert first.id != second.id


def test_a_slot_is_free_one_window_after_the_headers_arrived() -> None:
    ledger = a_ledger(limit=1)
    slot = taken(ledger, 0.0)
    ledger.settle(slot, 2.5, None)
    assert ledger.take(MEDIUM, 62.4) == 62.5
    taken(ledger, 62.5)


def test_a_slot_is_free_one_window_after_the_request_failed() -> None:
    ledger = a_ledger(limit=1)
    ledger.fail(taken(ledger, 0.0), 20.0)
    assert ledger.take(MEDIUM, 79.0) == 80.0
    taken(ledger, 80.0)


def test_a_request_in_flight_keeps_its_slot_and_frees_one_a_window_from_now_at_best() -> None:
    ledger = a_ledger(limit=1)
    taken(ledger, 0.0)
    assert ledger.take(MEDIUM, 500.0) == 560.0


def test_a_cancelled_slot_is_free_at_once() -> None:
    ledger = a_ledger(limit=1)
    ledger.cancel(taken(ledger, 0.0))
    taken(ledger, 0.0)


def test_spare_slots_are_left_and_the_wait_is_for_enough_of_them() -> None:
    ledger = a_ledger(limit=3)
    for now in (0.0, 10.0, 20.0):
        ledger.settle(taken(ledger, now), now, None)
    assert ledger.take(MEDIUM, 30.0) == 60.0
    assert ledger.take(MEDIUM, 30.0, spare=1) == 70.0
    assert ledger.take(MEDIUM, 60.0, spare=1) == 70.0
    assert isinstance(ledger.take(MEDIUM, 70.0, spare=1), Slot)


def test_more_spare_than_there_are_slots_is_asked_again_a_window_later() -> None:
    assert a_ledger(limit=3).take(MEDIUM, 7.0, spare=3) == 67.0


def test_groups_have_windows_of_their_own() -> None:
    ledger = a_ledger(limit=1)
    taken(ledger, 0.0)
    taken(ledger, 0.0, HEAVY)


def test_the_first_end_of_a_slot_counts() -> None:
    ledger = a_ledger(limit=1)
    slot = taken(ledger, 0.0)
    ledger.settle(slot, 1.0, None)
    ledger.fail(slot, 30.0)
    ledger.settle(slot, 30.0, headers(0))
    ledger.cancel(slot)
    assert ledger.take(MEDIUM, 30.0) == 61.0
    assert state(ledger, 30.0).used == 1


def test_an_unknown_group_starts_small_and_learns() -> None:
    ledger = a_ledger()
    slots = [taken(ledger, 0.0, OTHER) for _ in range(5)]
    assert ledger.take(OTHER, 0.0) == 60.0
    ledger.settle(slots[0], 1.0, headers(44, limit=50, group=OTHER))
    assert ledger.plan(OTHER).limit == 50
    taken(ledger, 1.0, OTHER)


# What responses teach


def test_headers_without_numbers_teach_nothing() -> None:
    ledger = a_ledger(limit=2)
    ledger.settle(taken(ledger, 0.0), 1.0, headers())
    assert ledger.plan(MEDIUM) == Plan(limit=2)
    assert state(ledger, 1.0).used == 1


def test_a_raised_limit_counts_from_its_response_on() -> None:
    ledger = a_ledger(limit=1)
    slot = taken(ledger, 0.0)
    assert ledger.take(MEDIUM, 0.9) == 60.9
    ledger.settle(slot, 1.0, headers(1, limit=2))
    taken(ledger, 1.0)
    assert ledger.take(MEDIUM, 1.0) == 61.0


def test_a_lowered_limit_counts_from_its_response_on() -> None:
    ledger = a_ledger(limit=3)
    slots = [taken(ledger, 0.0) for _ in range(3)]
    for now, slot in enumerate(slots, start=1):
        ledger.settle(slot, float(now), headers(0, limit=2))
    assert (state(ledger, 4.0).used, state(ledger, 4.0).limit) == (3, 2)
    assert ledger.take(MEDIUM, 61.0) == 62.0
    taken(ledger, 62.0)


def test_a_changed_window_counts_for_slots_already_held() -> None:
    ledger = a_ledger(limit=2)
    ledger.settle(taken(ledger, 0.0), 0.0, None)
    ledger.settle(taken(ledger, 5.0), 5.0, headers(0, window_s=20.0))
    assert ledger.take(MEDIUM, 10.0) == 20.0
    taken(ledger, 20.0)


def test_a_slot_counts_in_the_group_that_the_headers_name() -> None:
    ledger = a_ledger(limit=1)
    slot = taken(ledger, 0.0)
    ledger.settle(slot, 1.0, headers(1, limit=2, group=HEAVY))
    taken(ledger, 1.0)
    assert state(ledger, 1.0, HEAVY).used == 1
    taken(ledger, 1.0, HEAVY)
    assert ledger.take(HEAVY, 1.0) == 61.0


# Others who use the bucket


def test_unexplained_use_counts_as_foreign_for_one_window() -> None:
    ledger = a_ledger(limit=10)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(3))
    assert state(ledger, 1.0).used == 7
    assert state(ledger, 60.9).used == 7
    assert state(ledger, 61.0).used == 0


def test_nothing_remaining_means_no_request_for_one_window() -> None:
    ledger = a_ledger(limit=10)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(0))
    assert ledger.take(MEDIUM, 1.0) == 61.0


def test_foreign_use_is_replaced_by_each_response_not_added() -> None:
    ledger = a_ledger(limit=10)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(5))
    assert state(ledger, 1.0).used == 5
    ledger.settle(taken(ledger, 2.0), 3.0, headers(4))
    assert state(ledger, 3.0).used == 6
    ledger.settle(taken(ledger, 4.0), 5.0, headers(1))
    assert state(ledger, 5.0).used == 9
    ledger.settle(taken(ledger, 6.0), 7.0, headers(6))
    assert state(ledger, 7.0).used == 4


def test_foreign_slots_free_one_window_after_the_response_that_last_proved_them() -> None:
    ledger = a_ledger(limit=10)
    ledger.settle(taken(ledger, 0.0), 0.0, headers(4))  # 5 of others
    ledger.settle(taken(ledger, 30.0), 30.0, headers(6))  # 2 of others
    assert [state(ledger, now).used for now in (30.0, 59.0, 60.0, 89.0, 90.0)] == [4, 4, 3, 3, 0]


def test_requests_in_flight_may_explain_the_use_so_they_are_not_foreign() -> None:
    ledger = a_ledger(limit=10)
    first, *_rest = [taken(ledger, 0.0) for _ in range(4)]
    ledger.settle(first, 1.0, headers(6))
    assert state(ledger, 1.0).used == 4


def test_requests_in_flight_do_not_hide_foreign_use_that_was_seen_before() -> None:
    ledger = a_ledger(limit=10)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(4))  # 5 of others
    first, *_rest = [taken(ledger, 2.0) for _ in range(3)]
    ledger.settle(first, 3.0, headers(3))  # so the police saw just one of the three yet
    assert state(ledger, 3.0).used == 1 + 3 + 5


def test_observations_of_foreign_use_never_add_up() -> None:
    ledger = a_ledger(limit=20)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(15))  # 4 of others
    first, second, _third = (taken(ledger, 2.0) for _ in range(3))
    ledger.settle(first, 3.0, headers(14))  # 2 of others at least, 4 at most
    ledger.settle(second, 4.0, headers(13))  # 3 at least, 5 at most
    assert [state(ledger, now).used for now in (4.0, 61.0, 63.0, 64.0)] == [4 + 4, 3 + 3, 2 + 3, 1]


def test_slots_freed_while_a_slow_response_was_under_way_are_not_foreign() -> None:
    ledger = a_ledger(limit=10)
    for _ in range(5):
        ledger.settle(taken(ledger, 0.0), 1.0, headers())
    slow = taken(ledger, 50.0)
    ledger.settle(taken(ledger, 62.0), 63.0, headers())
    ledger.settle(slow, 70.0, headers(4))  # decided before 61 s: six of ours
    assert state(ledger, 70.0).used == 2


def test_a_slow_response_does_not_end_foreign_use_seen_after_it_was_sent() -> None:
    ledger = a_ledger(limit=10)
    slow = taken(ledger, 0.0)
    ledger.settle(taken(ledger, 1.0), 2.0, headers(3))  # 5 of others
    ledger.settle(slow, 3.0, headers(9))  # decided before they came
    assert state(ledger, 3.0).used == 7


def test_a_failed_request_may_not_have_been_counted_so_others_may_have() -> None:
    ledger = a_ledger(limit=10)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(6))  # 3 of others
    ledger.fail(taken(ledger, 2.0), 3.0)
    ledger.settle(taken(ledger, 4.0), 5.0, headers(5))  # 3 of others, or 2 and the failed one
    assert state(ledger, 5.0).used == 3 + 3


def test_a_refused_request_was_not_counted_so_others_may_have_been() -> None:
    ledger = a_ledger(limit=10)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(6))  # 3 of others
    ledger.refuse(taken(ledger, 2.0), 3.0, headers(6), 1.0)
    assert state(ledger, 3.0).used == 2 + 3


def test_a_request_answered_meanwhile_may_have_been_counted_later() -> None:
    ledger = a_ledger(limit=10)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(6))  # 3 of others
    first, second = taken(ledger, 2.0), taken(ledger, 2.0)
    ledger.settle(first, 3.0, headers())
    ledger.settle(second, 4.0, headers(5))  # 3 of others, if decided before the first arrived
    assert state(ledger, 4.0).used == 3 + 3


def test_the_server_frees_our_slots_before_we_do_so_others_may_use_them() -> None:
    ledger = a_ledger(limit=10)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(6))  # 3 of others
    ledger.settle(taken(ledger, 60.2), 60.5, headers(6))  # the same 3, if ours arrived at 0 s
    assert state(ledger, 60.5).used == 2 + 3


def test_more_remaining_than_the_own_count_changes_nothing() -> None:
    ledger = a_ledger(limit=2)
    taken(ledger, 0.0)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(2))
    assert state(ledger, 1.0).used == 2


# Penalties


@pytest.mark.parametrize(
    ("retry_after_s", "penalty_s", "thaw_s"),
    [(45.0, 60.0, 56.0), (0.0, 60.0, 11.0), (None, 60.0, 71.0), (None, 5.0, 41.0), (None, 300.0, 311.0)],
)
def test_a_429_freezes_its_group(retry_after_s: float | None, penalty_s: float, thaw_s: float) -> None:
    ledger = a_ledger(limit=9, penalty_s=penalty_s)
    ledger.refuse(taken(ledger, 9.0), 10.0, headers(), retry_after_s)
    assert ledger.take(MEDIUM, 10.0) == thaw_s
    assert ledger.take(MEDIUM, thaw_s - 0.1) == thaw_s
    taken(ledger, thaw_s)
    taken(ledger, 10.0, HEAVY)


def test_a_429_without_rate_headers_freezes_groups_never_seen_too() -> None:
    ledger = a_ledger()
    ledger.refuse(taken(ledger, 0.0), 1.0, None, None)
    assert [ledger.take(group, 2.0) for group in (MEDIUM, HEAVY, OTHER)] == [62.0, 62.0, 62.0]
    taken(ledger, 62.0, OTHER)


def test_a_429_freezes_the_group_of_its_headers_not_the_one_it_was_taken_for() -> None:
    ledger = a_ledger()
    ledger.refuse(taken(ledger, 0.0), 1.0, headers(group=HEAVY), 60.0)
    assert ledger.take(HEAVY, 1.0) == 62.0
    taken(ledger, 1.0)


def test_a_later_429_extends_the_freeze_and_never_shortens_it() -> None:
    ledger = a_ledger()
    first, second, third = (taken(ledger, 0.0) for _ in range(3))
    ledger.refuse(first, 1.0, headers(), 60.0)
    ledger.refuse(second, 5.0, headers(), 60.0)
    assert ledger.take(MEDIUM, 6.0) == 66.0
    ledger.refuse(third, 7.0, headers(), 1.0)
    assert ledger.take(MEDIUM, 8.0) == 66.0


def test_a_success_in_flight_does_not_unfreeze() -> None:
    ledger = a_ledger()
    first, second = taken(ledger, 0.0), taken(ledger, 0.0)
    ledger.refuse(first, 1.0, headers(), 60.0)
    ledger.settle(second, 2.0, headers(2))
    assert ledger.take(MEDIUM, 3.0) == 62.0


def test_after_a_freeze_the_window_is_what_the_slots_say() -> None:
    ledger = a_ledger(limit=2)
    slow, refused = taken(ledger, 0.0), taken(ledger, 0.0)
    ledger.refuse(refused, 1.0, headers(), 9.0)
    ledger.settle(slow, 5.0, headers())
    assert ledger.take(MEDIUM, 5.0) == 61.0


def test_a_429_frees_its_slot_like_any_other_response() -> None:
    ledger = a_ledger(limit=2)
    ledger.refuse(taken(ledger, 0.0), 1.0, headers(), 3.0)
    assert state(ledger, 60.9).used == 1
    assert state(ledger, 61.0).used == 0


def test_a_429_teaches_like_any_other_response() -> None:
    ledger = a_ledger(limit=9)
    ledger.refuse(taken(ledger, 0.0), 1.0, headers(0, limit=4), 3.0)
    assert ledger.plan(MEDIUM).limit == 4
    assert ledger.take(MEDIUM, 5.0) == 61.0


def test_a_429_for_a_slot_already_ended_still_freezes() -> None:
    ledger = a_ledger()
    slot = taken(ledger, 0.0)
    ledger.settle(slot, 1.0, headers())
    ledger.refuse(slot, 1.0, headers(), 60.0)
    assert ledger.take(MEDIUM, 1.0) == 62.0


@pytest.mark.parametrize("refusal", [headers(), None])
def test_a_request_lost_in_a_penalty_may_have_restarted_it(refusal: RateHeaders | None) -> None:
    ledger = a_ledger(limit=9)
    refused, lost, lost_later = (taken(ledger, 0.0) for _ in range(3))
    ledger.refuse(refused, 1.0, refusal, 60.0)
    ledger.fail(lost, 20.0)
    assert ledger.take(MEDIUM, 20.0) == 81.0
    ledger.fail(lost_later, 81.0)
    taken(ledger, 81.0)


def test_states_tell_all_groups_configured_or_seen() -> None:
    ledger = a_ledger(limit=2)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(0))
    refused = taken(ledger, 0.0, OTHER)
    ledger.refuse(refused, 1.0, headers(group=OTHER), 9.0)
    assert ledger.states(1.0) == (
        GroupState(MEDIUM, used=2, limit=2, window_s=60.0, next_free_s=60.0, frozen_for_s=0.0),
        GroupState(HEAVY, used=0, limit=2, window_s=60.0, next_free_s=0.0, frozen_for_s=0.0),
        GroupState(OTHER, used=1, limit=5, window_s=60.0, next_free_s=10.0, frozen_for_s=10.0),
    )


def test_a_long_run_forgets_what_has_left_the_window() -> None:
    ledger = a_ledger(limit=5, window_s=1.0)
    for now in range(1000):
        ledger.settle(taken(ledger, float(now)), float(now), headers(4))
    assert len(ledger._bucket(MEDIUM)._ended) <= 2


def test_asking_again_at_the_time_told_gets_a_slot_however_the_sums_round() -> None:
    ledger = a_ledger(limit=3)
    for now in (0.1, 0.7, 1.1):
        ledger.settle(taken(ledger, now), now + 1 / 3, headers())
    now = 1.5
    for _ in range(300):
        told = ledger.take(MEDIUM, now)
        assert isinstance(told, float)
        assert told > now
        ledger.settle(taken(ledger, told), told, headers())
        now = told
