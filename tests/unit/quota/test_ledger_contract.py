"""The contract of `Ledger`, for every home that a ledger may have (`tests.fakes.ledgers`)."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from rcfs.model import LONGEST_S, MOST_REQUESTS, Plan, Priority, RateHeaders, UsageGroup
from rcfs.quota import (
    CLOCK_DRIFT,
    GRACE_S,
    LINGER_S,
    MOST_GROUPS,
    UNKNOWN_PLAN,
    Book,
    GroupState,
    Ledger,
    Slot,
    Waiting,
    hold_s,
)
from tests.fakes.ledgers import HOMES, Home

MEDIUM = UsageGroup("medium")
HEAVY = UsageGroup("heavy")
OTHER = UsageGroup("never seen")
PERSON, METADATA, READAHEAD, BULK, CRAWLER = Priority

WINDOW_S = 60 * (1 - CLOCK_DRIFT)
"""So that a slot is held for 60 s."""

NewHome = Callable[..., Home]
NewLedger = Callable[..., Ledger]


@pytest.fixture(params=HOMES)
def new_home(request: pytest.FixtureRequest, tmp_path: Path) -> NewHome:
    def make(limit: int = 3, window_s: float = WINDOW_S, penalty_s: float = 60.0) -> Home:
        plans = {MEDIUM: Plan(limit, window_s, penalty_s), HEAVY: Plan(2, WINDOW_S)}
        return HOMES[request.param](plans, tmp_path)

    return make


@pytest.fixture
def new_ledger(new_home: NewHome) -> NewLedger:
    def make(limit: int = 3, window_s: float = WINDOW_S, penalty_s: float = 60.0) -> Ledger:
        return new_home(limit, window_s, penalty_s).open("only")

    return make


def headers(
    remaining: int | None = None,
    *,
    limit: int | None = None,
    window_s: float | None = None,
    group: UsageGroup = MEDIUM,
) -> RateHeaders:
    return RateHeaders(group, limit, remaining, window_s)


def ask(
    ledger: Ledger, now: float, group: UsageGroup = MEDIUM, priority: Priority = METADATA
) -> Slot | float:
    """The ledger's answer to one request."""
    answer = ledger.take(group, Waiting.only(priority, now), now)
    assert isinstance(answer, Slot) or answer > now
    return answer


def taken(ledger: Ledger, now: float, group: UsageGroup = MEDIUM, priority: Priority = METADATA) -> Slot:
    slot = ask(ledger, now, group, priority)
    assert isinstance(slot, Slot), slot
    return slot


def free_s(ledger: Ledger, now: float, group: UsageGroup = MEDIUM) -> float:
    """When a request is admitted that asks again at the times it gets; it is never sent."""
    assert not isinstance(ask(ledger, now, group), Slot)
    for _ in range(400):
        answer = ask(ledger, now, group)
        if isinstance(answer, Slot):
            ledger.cancel(answer)
            return now
        now = answer
    raise AssertionError("it is never admitted")


def state(ledger: Ledger, now: float, group: UsageGroup = MEDIUM) -> GroupState:
    return next(state for state in ledger.states(now) if state.group == group)


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


def test_a_slot_is_free_one_window_after_the_request_failed(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=1)
    ledger.fail(taken(ledger, 0.0), 20.0)
    assert free_s(ledger, 79.0) == 80.0
    taken(ledger, 80.0)


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


# Penalties


@pytest.mark.parametrize(
    ("retry_after_s", "penalty_s", "thaw_s"),
    [(45.0, 60.0, 56.0), (0.0, 60.0, 11.0), (None, 60.0, 71.0), (None, 5.0, 41.0), (None, 300.0, 311.0)],
)
def test_a_429_freezes_its_group(
    new_ledger: NewLedger, retry_after_s: float | None, penalty_s: float, thaw_s: float
) -> None:
    ledger = new_ledger(limit=9, penalty_s=penalty_s)
    ledger.refuse(taken(ledger, 9.0), 10.0, headers(), retry_after_s)
    assert free_s(ledger, 10.0) == thaw_s
    assert free_s(ledger, thaw_s - 0.1) == thaw_s
    taken(ledger, thaw_s)
    taken(ledger, 10.0, HEAVY)


def test_a_429_without_rate_headers_freezes_groups_never_seen_too(new_ledger: NewLedger) -> None:
    ledger = new_ledger()
    ledger.refuse(taken(ledger, 0.0), 1.0, None, None)
    assert [free_s(ledger, 2.0, group) for group in (MEDIUM, HEAVY, OTHER)] == [62.0, 62.0, 62.0]
    taken(ledger, 62.0, OTHER)


def test_a_429_freezes_the_group_of_its_headers_not_the_one_it_was_taken_for(new_ledger: NewLedger) -> None:
    ledger = new_ledger()
    ledger.refuse(taken(ledger, 0.0), 1.0, headers(group=HEAVY), 60.0)
    assert free_s(ledger, 1.0, HEAVY) == 62.0
    taken(ledger, 1.0)


def test_a_later_429_extends_the_freeze_and_never_shortens_it(new_ledger: NewLedger) -> None:
    ledger = new_ledger()
    first, second, third = (taken(ledger, 0.0) for _ in range(3))
    ledger.refuse(first, 1.0, headers(), 60.0)
    ledger.refuse(second, 5.0, headers(), 60.0)
    assert free_s(ledger, 6.0) == 66.0
    ledger.refuse(third, 7.0, headers(), 1.0)
    assert free_s(ledger, 8.0) == 66.0


def test_a_success_in_flight_does_not_unfreeze(new_ledger: NewLedger) -> None:
    ledger = new_ledger()
    first, second = taken(ledger, 0.0), taken(ledger, 0.0)
    ledger.refuse(first, 1.0, headers(), 60.0)
    ledger.settle(second, 2.0, headers(2))
    assert free_s(ledger, 3.0) == 62.0


def test_after_a_freeze_the_window_counts_again(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=2)
    slow, refused = taken(ledger, 0.0), taken(ledger, 0.0)
    ledger.refuse(refused, 1.0, headers(), 9.0)
    ledger.settle(slow, 5.0, headers())
    assert free_s(ledger, 5.0) == 61.0


def test_a_429_frees_its_slot_like_any_other_response(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=2)
    ledger.refuse(taken(ledger, 0.0), 1.0, headers(), 3.0)
    assert state(ledger, 60.9).used == 1
    assert state(ledger, 61.0).used == 0


def test_a_429_teaches_like_any_other_response(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=9)
    ledger.refuse(taken(ledger, 0.0), 1.0, headers(0, limit=4), 3.0)
    assert ledger.plan(MEDIUM).limit == 4
    assert free_s(ledger, 5.0) == 61.0


def test_a_429_for_a_slot_already_ended_still_freezes(new_ledger: NewLedger) -> None:
    ledger = new_ledger()
    slot = taken(ledger, 0.0)
    ledger.settle(slot, 1.0, headers())
    ledger.refuse(slot, 1.0, headers(), 60.0)
    assert free_s(ledger, 1.0) == 62.0


@pytest.mark.parametrize("refusal", [headers(), None])
def test_a_request_lost_in_a_penalty_may_have_restarted_it(
    new_ledger: NewLedger, refusal: RateHeaders | None
) -> None:
    ledger = new_ledger(limit=9)
    refused, lost, lost_later = (taken(ledger, 0.0) for _ in range(3))
    ledger.refuse(refused, 1.0, refusal, 60.0)
    ledger.fail(lost, 20.0)
    assert free_s(ledger, 20.0) == 81.0
    ledger.fail(lost_later, 81.0)
    taken(ledger, 81.0)


@pytest.mark.parametrize("wait_s", [31_536_000.0, 1e17])
@pytest.mark.parametrize("refusal", [headers(), None])
def test_no_pause_is_longer_than_an_hour(
    new_ledger: NewLedger, refusal: RateHeaders | None, wait_s: float
) -> None:
    ledger = new_ledger()
    ledger.refuse(taken(ledger, 0.0), 1.0, refusal, wait_s)
    assert state(ledger, 1.0).frozen_for_s == LONGEST_S + 1.0
    taken(ledger, 1.0 + LONGEST_S + 1.0)


@pytest.mark.parametrize("window_s", [31_536_000.0, 1e17])
def test_no_window_is_longer_than_an_hour(new_ledger: NewLedger, window_s: float) -> None:
    ledger = new_ledger(limit=1)
    ledger.settle(taken(ledger, 0.0), 1.0, headers(0, window_s=window_s))
    assert state(ledger, 1.0).window_s == LONGEST_S
    assert LONGEST_S < state(ledger, 1.0).next_free_s < LONGEST_S * 1.01


@pytest.mark.parametrize("remaining", [0, 10**18 - 1, 10**18])
def test_no_limit_takes_all_memory(new_ledger: NewLedger, remaining: int) -> None:
    ledger = new_ledger()
    ledger.settle(taken(ledger, 0.0), 1.0, headers(remaining, limit=10**18))
    assert state(ledger, 1.0).limit == MOST_REQUESTS
    assert 1 <= state(ledger, 1.0).used <= MOST_REQUESTS


def test_a_new_group_in_each_answer_does_not_grow_the_book(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=1000)
    for number in range(300):
        ledger.settle(taken(ledger, 0.0), 1.0, headers(group=UsageGroup(f"group {number}")))
        ledger.refuse(taken(ledger, 1.0), 1.0, headers(group=UsageGroup(f"odd {number}")), 9.0)
    states = ledger.states(1.0)
    assert len(states) == MOST_GROUPS + 1
    assert sum(each.used for each in states) == 600, "each request counts somewhere"
    answer = ledger.take(UsageGroup("one more"), Waiting.only(PERSON, 1.0), 1.0)
    assert isinstance(answer, float), "a group beyond them is frozen with the rest"


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


# Several processes


@pytest.fixture
def two(new_home: NewHome) -> tuple[Ledger, Ledger]:
    """Two processes on one ledger of ten requests, of which one is the reserve."""
    home = new_home(10)
    return home.open("first"), home.open("second")


def waits(ledger: Ledger, now: float, priority: Priority) -> float:
    answer = ask(ledger, now, priority=priority)
    assert not isinstance(answer, Slot)
    return answer


def test_all_processes_share_the_window_the_plan_and_the_penalty(new_home: NewHome) -> None:
    home = new_home(2)
    first, second = home.open("first"), home.open("second")
    slots = [taken(first, 0.0), taken(second, 0.0)]
    assert slots[0].id != slots[1].id
    waits(first, 0.0, PERSON)
    first.settle(slots[0], 1.0, headers(limit=4))
    assert second.plan(MEDIUM).limit == 4
    third = taken(second, 1.0)
    second.refuse(third, 2.0, headers(), 60.0)
    assert state(first, 2.0).frozen_for_s == 61.0
    waits(first, 2.0, PERSON)


def test_learned_plans_and_requests_outlive_their_process(new_home: NewHome) -> None:
    home = new_home(3)
    first = home.open("first")
    first.settle(taken(first, 0.0), 1.0, headers(0, limit=2))
    first.refuse(taken(first, 0.0, HEAVY), 1.0, headers(group=HEAVY), 60.0)
    home.kill("first", 2.0)
    second = home.open("second")
    assert (state(second, 2.0).used, state(second, 2.0).limit) == (2, 2)
    assert free_s(second, 2.0) == 61.0
    assert free_s(second, 3.0, HEAVY) == 62.0


def test_a_request_of_a_killed_process_counts_for_a_window_from_when_that_is_noticed(
    new_home: NewHome,
) -> None:
    home = new_home(1)
    taken(home.open("first"), 0.0)
    home.kill("first", 30.0)
    second = home.open("second")
    assert free_s(second, 30.0) == 90.0 + LINGER_S


def test_requests_of_a_killed_process_end_when_others_only_read_the_states(new_home: NewHome) -> None:
    home = new_home(10)
    first, second = home.open("first"), home.open("second")
    taken(first, 0.0)
    home.kill("first", 30.0)
    assert state(second, 31.0).in_flight == 0
    assert state(second, 93.0 + LINGER_S).used == 0


def test_a_request_of_a_process_killed_in_a_penalty_may_have_restarted_it(new_home: NewHome) -> None:
    home = new_home(9)
    first = home.open("first")
    refused, _lost = taken(first, 0.0), taken(first, 0.0)
    first.refuse(refused, 1.0, headers(), 60.0)
    home.kill("first", 20.0)
    assert free_s(home.open("second"), 20.0) == 81.0 + LINGER_S


@pytest.mark.parametrize("refusal", [headers(), None])
def test_a_request_of_a_killed_process_may_restart_a_penalty_that_began_after_its_death(
    new_home: NewHome, refusal: RateHeaders | None
) -> None:
    home = new_home(9)
    first, second = home.open("first"), home.open("second")
    refused, _on_its_way = taken(second, 0.0), taken(first, 0.0)
    home.kill("first", 1.0)
    second.cancel(taken(second, 1.0))  # now the death has been noticed
    second.refuse(refused, 2.0, refusal, 60.0)
    assert free_s(second, 3.0) == 1.0 + LINGER_S + 61.0


def test_a_request_of_another_process_is_not_taken_for_foreign_use(two: tuple[Ledger, Ledger]) -> None:
    first, second = two
    first.settle(taken(first, 0.0), 1.0, headers(9))
    taken(first, 1.0)
    second.settle(taken(second, 1.0), 2.0, headers(7))
    assert state(second, 2.0).used == 3


@pytest.mark.parametrize(
    ("urgent", "patient"), [(PERSON, METADATA), (PERSON, BULK), (METADATA, CRAWLER), (READAHEAD, BULK)]
)
def test_a_slot_that_another_process_needs_more_urgently_is_left_to_it(
    new_home: NewHome, urgent: Priority, patient: Priority
) -> None:
    home = new_home(2)
    first, second = home.open("first"), home.open("second")
    first.settle(taken(first, 0.0), 0.0, None)
    first.settle(taken(first, 0.0), 30.0, None)
    now = 59.5
    waits(first, now, patient)
    waits(second, now, urgent)
    waits(first, 60.0, patient)  # though one slot is free
    background = urgent > METADATA
    slot = taken(second, 90.0 if background else 60.0, priority=urgent)
    assert slot.owner == "second"


@pytest.mark.parametrize("urgent", [PERSON, METADATA])
def test_a_process_that_does_not_ask_again_delays_others_only_briefly(
    new_home: NewHome, urgent: Priority
) -> None:
    home = new_home(1)
    first, second = home.open("first"), home.open("second")
    first.settle(taken(first, 0.0), 0.0, None)
    assert waits(second, 59.5, urgent) == 60.0
    waits(first, 60.0, BULK)
    waits(first, 60.0 + GRACE_S / 2, BULK)
    taken(first, 60.0 + GRACE_S, priority=BULK)


def test_a_process_that_has_left_delays_nobody(new_home: NewHome) -> None:
    home = new_home(1)
    first, second = home.open("first"), home.open("second")
    first.settle(taken(first, 0.0), 0.0, None)
    waits(second, 59.5, PERSON)
    second.leave(MEDIUM)
    taken(first, 60.0)


def test_as_many_slots_are_left_as_are_needed_more_urgently(new_home: NewHome) -> None:
    home = new_home(3)
    first, second = home.open("first"), home.open("second")
    for _ in range(3):
        first.settle(taken(first, 0.0), 0.0, None)
    assert not isinstance(second.take(MEDIUM, Waiting.only(PERSON, 50.0, 2), 59.5), Slot)
    taken(first, 60.0)
    waits(first, 60.0, METADATA)
    assert isinstance(second.take(MEDIUM, Waiting.only(PERSON, 50.0, 2), 60.0), Slot)
    taken(second, 60.0, priority=PERSON)


@pytest.mark.parametrize("priority", [PERSON, METADATA])
def test_among_equals_of_two_processes_the_oldest_goes_first(new_home: NewHome, priority: Priority) -> None:
    home = new_home(1)
    old, new = home.open("a"), home.open("b")
    old.settle(taken(old, 0.0), 0.0, None)
    waits(old, 59.1, priority)
    waits(new, 59.2, priority)
    assert not isinstance(new.take(MEDIUM, Waiting.only(priority, 59.2), 60.0), Slot)
    assert isinstance(old.take(MEDIUM, Waiting.only(priority, 59.1), 60.0), Slot)


def test_background_work_of_processes_takes_turns_however_much_each_has(
    two: tuple[Ledger, Ledger],
) -> None:
    counts = {0: 1000, 1: 3}
    served: list[int] = []
    asks = {0: 0.0, 1: 0.0}
    while counts[1]:
        number = min(asks, key=lambda number: asks[number])
        now = asks[number]
        answer = two[number].take(MEDIUM, Waiting.only(BULK, float(number), counts[number]), now)
        if isinstance(answer, Slot):
            two[number].settle(answer, now, None)
            counts[number] -= 1
            served.append(number)
        else:
            asks[number] = answer
    assert served == [0] * 9 + [1, 0, 1, 0, 1]


def test_the_pace_is_that_of_all_processes_together(two: tuple[Ledger, Ledger]) -> None:
    first, second = two
    for _ in range(9):
        first.settle(taken(first, 0.0, priority=BULK), 0.0, None)
    waits(first, 0.0, BULK)
    # The reserve is sent at the pace: one in 6 s, from 54 s on.
    waits(second, 53.9, BULK)
    taken(second, 54.0, priority=BULK)
    waits(first, 59.9, BULK)


def test_a_person_in_one_process_makes_the_others_leave_a_reserve(two: tuple[Ledger, Ledger]) -> None:
    first, second = two
    for _ in range(9):
        first.settle(taken(first, 0.0, priority=BULK), 0.0, None)
    waits(first, 0.0, BULK)
    taken(second, 50.0, priority=PERSON)
    waits(first, 59.9, BULK)
    assert state(first, 59.9).used == 10
    taken(first, 60.0, priority=BULK)  # nine are back, so the reserve stays
    assert state(first, 60.0).used == 2


def test_states_count_requests_in_other_processes(two: tuple[Ledger, Ledger]) -> None:
    first, second = two
    for _ in range(10):
        taken(first, 0.0)
    second.take(MEDIUM, Waiting((2, 0, 0, 7, 0), 0.0), 1.0)
    assert state(first, 1.0).elsewhere == (2, 0, 0, 7, 0)
    assert state(second, 1.0).elsewhere == (0, 0, 0, 0, 0)
    assert state(first, 1.0, HEAVY).elsewhere == (0, 0, 0, 0, 0)
    second.leave(MEDIUM)
    assert state(first, 1.0).elsewhere == (0, 0, 0, 0, 0)


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
