"""The contract of `Ledger` for one process, with every home that it may have (`tests.fakes.ledgers`)."""

import math

import pytest

from rcfs.model import Plan
from rcfs.quota import (
    CLOCK_DRIFT,
    LINGER_S,
    UNKNOWN_PLAN,
    Book,
    GroupState,
    Slot,
    Waiting,
    hold_s,
)
from tests.fakes.ledger_calls import (
    HEAVY,
    MEDIUM,
    METADATA,
    OTHER,
    WINDOW_S,
    NewLedger,
    ask,
    free_s,
    headers,
    state,
    taken,
)


def test_a_slot_has_its_group_and_time_and_a_unique_id(new_ledger: NewLedger) -> None:
    ledger = new_ledger()
    first, second = taken(ledger, 5.0), taken(ledger, 6.0)
    assert (first.group, first.taken_s) == (MEDIUM, 5.0)
    assert first.id != second.id


def test_a_slot_is_free_one_window_after_the_headers_arrived(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=1)
    slot = taken(ledger, 0.0)
    ledger.settle(slot, 2.5, None)
    assert free_s(ledger, 62.4) == 62.5
    taken(ledger, 62.5)


def test_the_window_of_a_request_that_was_given_up_begins_when_the_kernel_has_surely_sent_it(
    new_ledger: NewLedger,
) -> None:
    ledger = new_ledger(limit=1)
    ledger.fail(taken(ledger, 0.0), 20.0)
    assert free_s(ledger, 79.0) == 80.0 + LINGER_S
    taken(ledger, 80.0 + LINGER_S)


def test_a_request_in_flight_keeps_its_slot_and_frees_one_a_window_from_now_at_best(
    new_ledger: NewLedger,
) -> None:
    ledger = new_ledger(limit=1)
    taken(ledger, 0.0)
    assert state(ledger, 500.0).next_free_s == 60.0
    assert not isinstance(ask(ledger, 500.0), Slot)


def test_a_cancelled_slot_is_free_at_once(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=1)
    ledger.cancel(taken(ledger, 0.0))
    taken(ledger, 0.0)


def test_groups_have_windows_of_their_own(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=1)
    taken(ledger, 0.0)
    taken(ledger, 0.0, HEAVY)


def test_the_first_end_of_a_slot_counts(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=1)
    slot = taken(ledger, 0.0)
    ledger.settle(slot, 1.0, None)
    ledger.fail(slot, 30.0)
    ledger.settle(slot, 30.0, headers(0))
    ledger.cancel(slot)
    assert free_s(ledger, 30.0) == 61.0
    assert state(ledger, 30.0).used == 1


def test_an_unknown_group_starts_small_and_learns(new_ledger: NewLedger) -> None:
    ledger = new_ledger()
    slots = [taken(ledger, 0.0, OTHER) for _ in range(5)]
    assert state(ledger, 0.0, OTHER).next_free_s == hold_s(UNKNOWN_PLAN)
    ledger.settle(slots[0], 1.0, headers(44, limit=50, group=OTHER))
    assert ledger.plan(OTHER).limit == 50
    taken(ledger, 1.0, OTHER)


def test_a_request_that_was_given_up_says_nothing_of_the_time_to_an_answer(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=9)
    answered, lost = taken(ledger, 0.0), taken(ledger, 0.0)
    ledger.settle(answered, 0.5, None)
    ledger.fail(lost, 45.0)
    assert ledger.forecast(MEDIUM, Waiting.only(METADATA, 45.0), 45.0).round_trip_s == 0.5


# Plans that responses teach


def test_headers_without_numbers_teach_nothing(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=2)
    ledger.settle(taken(ledger, 0.0), 1.0, headers())
    assert ledger.plan(MEDIUM) == Plan(2, WINDOW_S)
    assert state(ledger, 1.0).used == 1


def test_a_raised_limit_counts_from_its_response_on(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=1)
    slot = taken(ledger, 0.0)
    assert not isinstance(ask(ledger, 0.9), Slot)
    ledger.settle(slot, 1.0, headers(1, limit=2))
    taken(ledger, 1.0)
    assert free_s(ledger, 1.0) == 61.0


def test_a_lowered_limit_counts_from_its_response_on(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=3)
    slots = [taken(ledger, 0.0) for _ in range(3)]
    for now, slot in enumerate(slots, start=1):
        ledger.settle(slot, float(now), headers(0, limit=2))
    assert (state(ledger, 4.0).used, state(ledger, 4.0).limit) == (3, 2)
    assert free_s(ledger, 61.0) == 62.0
    taken(ledger, 62.0)


def test_a_changed_window_counts_for_slots_already_held(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=2)
    ledger.settle(taken(ledger, 0.0), 0.0, None)
    ledger.settle(taken(ledger, 5.0), 5.0, headers(0, window_s=20.0 * (1 - CLOCK_DRIFT)))
    assert free_s(ledger, 10.0) == 20.0
    taken(ledger, 20.0)


def test_a_slot_counts_in_the_group_that_the_headers_name(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=1)
    slot = taken(ledger, 0.0)
    ledger.settle(slot, 1.0, headers(1, limit=2, group=HEAVY))
    taken(ledger, 1.0)
    assert state(ledger, 1.0, HEAVY).used == 1
    taken(ledger, 1.0, HEAVY)
    assert free_s(ledger, 1.0, HEAVY) == 61.0


# Others who use the bucket


def test_unexplained_use_counts_as_foreign_for_one_window(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=10)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(3))
    assert state(ledger, 1.0).used == 7
    assert state(ledger, 60.9).used == 7
    assert state(ledger, 61.0).used == 0


def test_nothing_remaining_means_no_request_for_one_window(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=10)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(0))
    assert free_s(ledger, 1.0) == 61.0


def test_foreign_use_is_replaced_by_each_response_not_added(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=10)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(5))
    assert state(ledger, 1.0).used == 5
    ledger.settle(taken(ledger, 2.0), 3.0, headers(4))
    assert state(ledger, 3.0).used == 6
    ledger.settle(taken(ledger, 4.0), 5.0, headers(1))
    assert state(ledger, 5.0).used == 9
    ledger.settle(taken(ledger, 6.0), 7.0, headers(6))
    assert state(ledger, 7.0).used == 4


def test_foreign_slots_free_one_window_after_the_response_that_last_proved_them(
    new_ledger: NewLedger,
) -> None:
    ledger = new_ledger(limit=10)
    ledger.settle(taken(ledger, 0.0), 0.0, headers(4))  # 5 of others
    ledger.settle(taken(ledger, 30.0), 30.0, headers(6))  # 2 of others
    assert [state(ledger, now).used for now in (30.0, 59.0, 60.0, 89.0, 90.0)] == [4, 4, 3, 3, 0]


def test_requests_in_flight_may_explain_the_use_so_they_are_not_foreign(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=10)
    first, *_rest = [taken(ledger, 0.0) for _ in range(4)]
    ledger.settle(first, 1.0, headers(6))
    assert state(ledger, 1.0).used == 4


def test_requests_in_flight_do_not_hide_foreign_use_that_was_seen_before(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=10)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(4))  # 5 of others
    first, *_rest = [taken(ledger, 2.0) for _ in range(3)]
    ledger.settle(first, 3.0, headers(3))  # so the police saw just one of the three yet
    assert state(ledger, 3.0).used == 1 + 3 + 5


def test_observations_of_foreign_use_never_add_up(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=20)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(15))  # 4 of others
    first, second, _third = (taken(ledger, 2.0) for _ in range(3))
    ledger.settle(first, 3.0, headers(14))  # 2 of others at least, 4 at most
    ledger.settle(second, 4.0, headers(13))  # 3 at least, 5 at most
    assert [state(ledger, now).used for now in (4.0, 61.0, 63.0, 64.0)] == [4 + 4, 3 + 3, 2 + 3, 1]


def test_slots_freed_while_a_slow_response_was_under_way_are_not_foreign(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=10)
    for _ in range(5):
        ledger.settle(taken(ledger, 0.0), 1.0, headers())
    slow = taken(ledger, 50.0)
    ledger.settle(taken(ledger, 62.0), 63.0, headers())
    ledger.settle(slow, 70.0, headers(4))  # decided before 61 s: six of ours
    assert state(ledger, 70.0).used == 2


def test_a_slow_response_does_not_end_foreign_use_seen_after_it_was_sent(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=10)
    slow = taken(ledger, 0.0)
    ledger.settle(taken(ledger, 1.0), 2.0, headers(3))  # 5 of others
    ledger.settle(slow, 3.0, headers(9))  # decided before they came
    assert state(ledger, 3.0).used == 7


def test_a_failed_request_may_not_have_been_counted_so_others_may_have(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=10)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(6))  # 3 of others
    ledger.fail(taken(ledger, 2.0), 3.0)
    ledger.settle(taken(ledger, 4.0), 5.0, headers(5))  # 3 of others, or 2 and the failed one
    assert state(ledger, 5.0).used == 3 + 3


def test_a_refused_request_was_not_counted_so_others_may_have_been(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=10)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(6))  # 3 of others
    ledger.refuse(taken(ledger, 2.0), 3.0, headers(6), 1.0)
    assert state(ledger, 3.0).used == 2 + 3


def test_a_request_answered_meanwhile_may_have_been_counted_later(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=10)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(6))  # 3 of others
    first, second = taken(ledger, 2.0), taken(ledger, 2.0)
    ledger.settle(first, 3.0, headers())
    ledger.settle(second, 4.0, headers(5))  # 3 of others, if decided before the first arrived
    assert state(ledger, 4.0).used == 3 + 3


def test_the_server_frees_our_slots_before_we_do_so_others_may_use_them(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=10)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(6))  # 3 of others
    ledger.settle(taken(ledger, 60.2), 60.5, headers(6))  # the same 3, if ours arrived at 0 s
    assert state(ledger, 60.5).used == 2 + 3


def test_more_remaining_than_our_own_slots_leave_changes_nothing(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=2)
    taken(ledger, 0.0)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(2))
    assert state(ledger, 1.0).used == 2


def test_a_reset_forgets_learned_plans_and_penalties_and_no_request(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=3)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(0, limit=2, window_s=1000.0))
    ledger.refuse(taken(ledger, 1003.0), 1003.5, None, 3000.0)
    assert state(ledger, 1004.0).is_learned
    assert state(ledger, 1004.0).frozen_for_s > 3000.0
    ledger.reset()
    told = state(ledger, 1004.0)
    assert (told.limit, told.window_s, told.is_learned) == (3, WINDOW_S, False)
    assert (told.used, told.frozen_for_s) == (1, 0.0)
    taken(ledger, 1004.0)


def test_states_tell_all_groups_configured_or_seen(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=2)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(0))
    refused = taken(ledger, 0.0, OTHER)
    ledger.refuse(refused, 1.0, headers(group=OTHER), 9.0)
    assert ledger.states(1.0) == (
        GroupState(MEDIUM, 2, 2, WINDOW_S, 60.0, 0.0, returns_s=(60.0, 60.0), is_learned=True),
        GroupState(HEAVY, 0, 2, WINDOW_S, 0.0, 0.0),
        GroupState(OTHER, 1, 5, 60.0, 10.0, 10.0, returns_s=(hold_s(UNKNOWN_PLAN),), is_learned=True),
    )


def test_states_count_slots_in_flight(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=5)
    for _ in range(2):
        taken(ledger, 1.0)
    ledger.settle(taken(ledger, 1.0), 2.0, headers())
    assert (state(ledger, 3.0).in_flight, state(ledger, 3.0).returns_s) == (2, (59.0,))


def test_asking_again_at_the_given_time_gets_a_slot_despite_rounding(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=3)
    for now in (0.1, 0.7, 1.1):
        ledger.settle(taken(ledger, now), now + 1 / 3, headers())
    now = 1.5
    for _ in range(300):
        told = free_s(ledger, now)
        ledger.settle(taken(ledger, told), told, headers())
        now = told


@pytest.mark.parametrize("counts", [(0, 0, 0, 0, 0), (1, 0, 0, 0), (-1, 1, 0, 0, 0)])
def test_waiting_needs_a_number_for_each_class_and_at_least_one_request(counts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="numbers of waiting requests"):
        Waiting(counts, 0.0)


def test_a_ledger_that_has_stored_all_needs_no_sync(new_ledger: NewLedger) -> None:
    ledger = new_ledger()
    taken(ledger, 0.0)
    assert ledger.sync(0.0) == math.inf


def test_many_requests_are_held_a_window_and_hardly_longer(new_ledger: NewLedger) -> None:
    ledger, ends = new_ledger(limit=500), []
    for number in range(500):
        sent_s = number / 25
        slot = ask(ledger, sent_s)
        assert isinstance(slot, Slot)
        ends.append(sent_s + 0.1)
        ledger.settle(slot, ends[-1], headers(remaining=499 - number))
    now = ends[-1]
    (medium, *_others) = ledger.states(now)
    assert medium.used == 500
    lags = [
        return_s - (end_s + 60 - now) for return_s, end_s in zip(medium.returns_s, sorted(ends), strict=True)
    ]
    assert min(lags) > -1e-6
    assert max(lags) < 60 / 200
    refused = ask(ledger, now)
    assert isinstance(refused, float)
    assert refused < now + 60


def test_the_book_of_a_large_plan_stays_short() -> None:
    book = Book({MEDIUM: Plan(10_000, WINDOW_S)})
    for number in range(1000):
        slot = book.take("only", MEDIUM, Waiting.only(METADATA, number / 100), number / 100)
        assert isinstance(slot, Slot)
        book.settle(slot, number / 100, headers())
    assert len(book.dump()["groups"][MEDIUM]["bucket"]["ended"]) <= 300
    assert book.states("only", 10.0)[0].used == 1000
