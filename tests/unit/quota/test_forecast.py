"""How long a job will take, whatever its size; that it then happens so is seen in `test_fleet`."""

import pytest

from rcfs.model import Plan, Priority, UsageGroup
from rcfs.quota import Book, Ledger, MemoryHome, Scheduler, Slot, Waiting, hold_s

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

    def counted(book: Book, owner: str, group: UsageGroup, waiting: Waiting, now: float) -> Slot | float:
        played.append(take(book, owner, group, waiting, now))
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
