"""The contract of `Ledger` after a 429, and its bounds on what a server may claim, with every home."""

import pytest

from rcfs.model import LONGEST_S, MOST_REQUESTS, RateHeaders, UsageGroup
from rcfs.quota import (
    LINGER_S,
    MOST_GROUPS,
    Waiting,
)
from tests.fakes.ledger_calls import HEAVY, MEDIUM, OTHER, PERSON, NewLedger, free_s, headers, state, taken


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
    assert free_s(ledger, 20.0) == 81.0 + LINGER_S
    ledger.fail(lost_later, 81.0 + LINGER_S)
    taken(ledger, 81.0 + LINGER_S)


@pytest.mark.parametrize("refusal", [headers(), None])
def test_a_request_may_restart_a_penalty_that_began_after_it_was_given_up(
    new_ledger: NewLedger, refusal: RateHeaders | None
) -> None:
    ledger = new_ledger(limit=9)
    refused, lost = taken(ledger, 0.0), taken(ledger, 0.0)
    ledger.fail(lost, 10.0)
    ledger.refuse(refused, 11.0, refusal, 60.0)
    assert free_s(ledger, 12.0) == 10.0 + LINGER_S + 61.0


def test_a_request_given_up_just_before_a_penalty_ends_may_restart_it(
    new_ledger: NewLedger,
) -> None:
    ledger = new_ledger(limit=9)
    refused, lost = taken(ledger, 0.0), taken(ledger, 0.0)
    ledger.refuse(refused, 1.0, headers(), 60.0)
    ledger.fail(lost, 61.0)
    assert free_s(ledger, 61.0) == 61.0 + LINGER_S + 61.0


def test_a_request_that_was_never_sent_prolongs_no_penalty(new_ledger: NewLedger) -> None:
    ledger = new_ledger(limit=9)
    refused, unsent = taken(ledger, 0.0), taken(ledger, 0.0)
    ledger.refuse(refused, 1.0, headers(), 60.0)
    ledger.cancel(unsent)
    assert free_s(ledger, 20.0) == 62.0


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
