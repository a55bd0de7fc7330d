"""The contract of `Ledger` for several processes, with every home that can be shared."""

import pytest

from rcfs.model import Priority, RateHeaders
from rcfs.quota import (
    GRACE_S,
    LINGER_S,
    Ledger,
    Slot,
    Waiting,
)
from tests.fakes.ledger_calls import (
    BULK,
    CRAWLER,
    HEAVY,
    MEDIUM,
    METADATA,
    PERSON,
    READAHEAD,
    NewHome,
    ask,
    free_s,
    headers,
    state,
    taken,
)


@pytest.fixture
def two(new_home: NewHome) -> tuple[Ledger, Ledger]:
    """Two processes on one ledger of ten requests, of which two are the reserve."""
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


def test_a_request_of_a_process_that_closed_its_ledger_may_still_arrive(new_home: NewHome) -> None:
    home = new_home(1)
    first, second = home.open("first"), home.open("second")
    taken(first, 0.0)
    first.close(30.0)
    assert free_s(second, 30.0) == 90.0 + LINGER_S


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
    assert served == [0] * 8 + [1, 0, 1, 0, 1]


def test_the_pace_is_that_of_all_processes_together(two: tuple[Ledger, Ledger]) -> None:
    first, second = two
    for _ in range(8):
        first.settle(taken(first, 0.0, priority=BULK), 0.0, None)
    waits(first, 0.0, BULK)
    # The reserve is sent at the pace: one in 6 s, from 48 s on.
    waits(second, 47.9, BULK)
    taken(second, 48.0, priority=BULK)
    waits(first, 53.9, BULK)
    taken(first, 54.0, priority=BULK)
    waits(second, 59.9, BULK)


def test_a_person_in_one_process_makes_the_others_leave_a_reserve(two: tuple[Ledger, Ledger]) -> None:
    first, second = two
    for _ in range(8):
        first.settle(taken(first, 0.0, priority=BULK), 0.0, None)
    waits(first, 0.0, BULK)
    taken(second, 47.0, priority=PERSON)
    waits(first, 59.9, BULK)
    assert state(first, 59.9).used == 9
    taken(first, 60.0, priority=BULK)  # eight are back, so the reserve stays
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
