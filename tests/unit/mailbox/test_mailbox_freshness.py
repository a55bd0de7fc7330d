"""When a mailbox is synced: single moments, then random days."""

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcfs.mailbox._freshness import Freshness, SyncPolicy

POLL_S, IDLE_POLL_S = SyncPolicy().poll_s, SyncPolicy().idle_poll_s


def run(
    box: Freshness, *, until_s: float, looks: Sequence[float], hints: Sequence[float] = ()
) -> list[float]:
    """When syncs are sent by a loop that does as it is told, where looks and hints come at these times."""
    events = sorted([(at_s, False) for at_s in looks] + [(at_s, True) for at_s in hints])
    now, sent = 0.0, list[float]()
    while True:
        due_s = max(box.due_s(now), now)
        if events and events[0][0] <= due_s:
            now, is_hint = events.pop(0)
            if is_hint:
                box.hinted()
            else:
                box.looked_at(now)
        elif due_s <= until_s:
            now = due_s
            box.began(now)
            sent.append(now)
        else:
            return sent


def test_a_collection_that_was_never_synced_is_due_at_once() -> None:
    assert Freshness(100.0, math.inf, SyncPolicy()).due_s(100.0) <= 100.0


@pytest.mark.parametrize(("age_s", "at_once"), [(0.0, False), (POLL_S - 0.1, False), (POLL_S, True)])
def test_a_look_at_a_stale_collection_syncs_at_once(age_s: float, at_once: bool) -> None:
    box = Freshness(100.0, age_s, SyncPolicy())
    box.looked_at(100.0)
    assert (box.due_s(100.0) <= 100.0) == at_once


def test_a_hint_syncs_at_once_however_fresh_it_is() -> None:
    box = Freshness(100.0, 0.0, SyncPolicy())
    assert box.due_s(100.0) > 100.0
    box.hinted()
    assert box.due_s(100.0) <= 100.0
    box.began(100.0)
    assert box.due_s(100.0) > 100.0, "once"


def test_a_watched_collection_is_synced_every_minute() -> None:
    looks = [second + 0.5 for second in range(600)]
    sent = run(Freshness(0.0, 0.0, SyncPolicy()), until_s=600.0, looks=looks)
    assert sent == [60.0 * minute for minute in range(1, 11)]


def test_an_unseen_collection_is_synced_less_and_less_often() -> None:
    sent = run(Freshness(0.0, 0.0, SyncPolicy()), until_s=86_400.0, looks=[0.0])
    gaps = [later - earlier for earlier, later in pairwise(sent)]
    assert sent[0] == POLL_S
    assert gaps == sorted(gaps)
    assert gaps[-1] == IDLE_POLL_S
    assert len(sent) == pytest.approx(86_400 / IDLE_POLL_S, rel=0.1)


def test_a_collection_that_nobody_ever_saw_is_synced_at_the_idle_interval() -> None:
    assert Freshness(100.0, 5.0, SyncPolicy()).due_s(100.0) == 95.0 + IDLE_POLL_S


moments = st.lists(st.floats(0, 7200) | st.integers(0, 120).map(float), max_size=300)


@given(moments, st.floats(0, 2000))
def test_looks_never_cost_more_than_one_a_minute(looks: list[float], age_s: float) -> None:
    sent = run(Freshness(0.0, age_s, SyncPolicy()), until_s=7200.0, looks=looks)
    assert all(later - earlier >= POLL_S - 1e-6 for earlier, later in pairwise([-age_s, *sent]))
    # And nobody who looks sees what is older than a minute and the time of a sync.
    for look_s in looks:
        if look_s < 7100.0:
            newest_s = max([at_s for at_s in sent if at_s <= look_s + 60.0], default=-age_s)
            assert look_s - newest_s <= 60.0


@given(moments, moments)
def test_hints_cost_one_sync_a_minute_and_a_burst(looks: list[float], hints: list[float]) -> None:
    freshness = Freshness(0.0, 0.0, SyncPolicy())
    freshness.hints_come = True
    sent = run(freshness, until_s=7200.0, looks=looks, hints=hints)
    for first, start_s in enumerate(sent):
        for last in range(first, len(sent)):
            assert last - first + 1 <= 3 + 1 + (sent[last] - start_s) / POLL_S + 1e-6
    for hint_s in hints:
        if hint_s < 7100.0:
            assert any(hint_s <= at_s <= hint_s + POLL_S + 1e-6 for at_s in sent)


def test_a_hint_does_not_pay_for_refreshing_by_hand() -> None:
    freshness = Freshness(0.0, 0.0, SyncPolicy())
    for _refresh in range(100):
        freshness.began(0.0)
    freshness.hinted()
    assert freshness.due_s(0.0) == POLL_S


def test_with_hints_polling_is_slow_and_a_look_syncs_only_what_is_a_minute_old() -> None:
    freshness = Freshness(0.0, 0.0, SyncPolicy())
    freshness.hints_come = True
    freshness.looked_at(POLL_S)
    assert freshness.due_s(POLL_S) == IDLE_POLL_S
    freshness.looked_at(POLL_S + 1)
    assert freshness.due_s(POLL_S + 1) <= POLL_S + 1
    freshness.began(POLL_S + 1)
    freshness.hinted()
    assert freshness.due_s(POLL_S + 2) <= POLL_S + 2


def test_without_a_burst_hints_cost_one_sync_per_interval() -> None:
    freshness = Freshness(0.0, 0.0, SyncPolicy(300.0, 3600.0, burst=0))
    freshness.hints_come = True
    sent = run(freshness, until_s=3000.0, looks=[], hints=[10.0 * count for count in range(300)])
    assert sent == [300.0 * count for count in range(1, 11)]


def test_a_collection_that_no_longer_changes_is_synced_only_after_a_look() -> None:
    freshness = Freshness(0.0, math.inf, SyncPolicy(300.0, math.inf))
    freshness.began(0.0)
    assert run(freshness, until_s=86_400.0, looks=[]) == []
    assert run(freshness, until_s=90_000.0, looks=[86_400.0])[:1] == [86_400.0]
