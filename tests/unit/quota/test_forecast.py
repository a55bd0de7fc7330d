"""How long a job will take, whatever its size; that it then happens so is seen in `test_fleet`."""

from typing import Any

import pytest

from rcfs.model import Plan, Priority, UsageGroup
from rcfs.quota import Book, Ledger, MemoryHome, Scheduler, Slot, Waiting, hold_s, joint_wait_s

MEDIUM, HEAVY = UsageGroup("medium"), UsageGroup("heavy")
PLANS = {MEDIUM: Plan(40), HEAVY: Plan(10)}
BULK = Priority.BULK


def sent(ledger: Ledger, group: UsageGroup, round_trip_s: float) -> None:
    slot = ledger.take(group, Waiting.only(Priority.METADATA, 0.0), 0.0)
    assert isinstance(slot, Slot)
    ledger.settle(slot, round_trip_s, None)


@pytest.mark.parametrize("group", [MEDIUM, HEAVY])
def test_the_end_of_600_000_requests_is_known_after_playing_two_hundred(
    group: UsageGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[Slot | float] = []
    take = Book.take

    def counted(*arguments: Any, **more: Any) -> Slot | float:
        played.append(take(*arguments, **more))
        return played[-1]

    monkeypatch.setattr(Book, "take", counted)
    scheduler = Scheduler(Ledger(MemoryHome(PLANS)))
    end_s = scheduler.answered_s(group, BULK, 600_000, 0.0)
    assert end_s == pytest.approx(600_000 / PLANS[group].limit * hold_s(PLANS[group]), rel=0.001)
    assert len(played) < 1000
    assert scheduler.queue(0.0) == ()


def test_what_waits_already_comes_first() -> None:
    scheduler = Scheduler(Ledger(MemoryHome(PLANS)))
    alone_s = scheduler.answered_s(MEDIUM, BULK, 300, 0.0)
    for _ in range(100):
        scheduler.submit(MEDIUM, BULK, 0.0)
    assert scheduler.answered_s(MEDIUM, BULK, 200, 0.0) == alone_s
    [*_others, last] = scheduler.queue(0.0)[0].expected
    assert scheduler.answered_s(MEDIUM, BULK, 0, 0.0) == last.wait_s


def test_where_nothing_waits_nothing_is_to_come() -> None:
    assert Scheduler(Ledger(MemoryHome(PLANS))).answered_s(MEDIUM, BULK, 0, 0.0) == 0.0


def test_the_round_trip_of_a_group_that_sent_nothing_yet_is_that_of_the_others() -> None:
    ledger = Ledger(MemoryHome(PLANS))
    sent(ledger, HEAVY, 3.0)
    scheduler = Scheduler(ledger)
    assert scheduler.answered_s(MEDIUM, BULK, 1, 3.0) == 3.0
    sent(ledger, MEDIUM, 1.0)
    assert scheduler.answered_s(MEDIUM, BULK, 1, 3.0) == 1.0


def test_several_logins_share_what_waits_for_all_of_them() -> None:
    schedulers = [Scheduler(Ledger(MemoryHome({MEDIUM: Plan(limit)}))) for limit in (40, 40, 10)]
    alone_s = schedulers[0].answered_s(MEDIUM, BULK, 9000, 0.0)
    joint_s = joint_wait_s([each.outlook(MEDIUM, BULK, 9000, 0.0) for each in schedulers])
    assert joint_s == pytest.approx(alone_s * 40 / 90, rel=0.01)
    for each in schedulers:
        for _ in range(4000):
            each.submit(MEDIUM, BULK, 0.0)
    assert joint_wait_s([each.outlook(MEDIUM, BULK, 5000, 0.0) for each in schedulers]) == joint_s


def test_a_login_in_a_penalty_leaves_the_work_to_the_others() -> None:
    ledgers = [Ledger(MemoryHome(PLANS)) for _ in range(2)]
    slot = ledgers[0].take(MEDIUM, Waiting.only(BULK, 0.0), 0.0)
    assert isinstance(slot, Slot)
    ledgers[0].refuse(slot, 0.0, None, 3000.0)
    outlooks = [Scheduler(each).outlook(MEDIUM, BULK, 400, 0.0) for each in ledgers]
    assert joint_wait_s(outlooks) == pytest.approx(outlooks[1].answered_s, rel=0.01)


def test_one_login_or_nothing_to_wait_for() -> None:
    scheduler = Scheduler(Ledger(MemoryHome(PLANS)))
    outlook = scheduler.outlook(MEDIUM, BULK, 100, 0.0)
    assert joint_wait_s([outlook]) == scheduler.answered_s(MEDIUM, BULK, 100, 0.0)
    assert joint_wait_s([scheduler.outlook(MEDIUM, BULK, 0, 0.0)] * 2) == 0.0
