from functools import partial
from itertools import pairwise

import pytest

from rcfs.model import Plan, Priority, RateHeaders, UsageGroup
from rcfs.quota import (
    CLOCK_DRIFT,
    PRESENCE_S,
    Book,
    Idle,
    Ledger,
    MemoryHome,
    Scheduler,
    Send,
    Slot,
    Ticket,
    Waiting,
    WaitUntil,
)
from tests.fakes.police import Police, World

MEDIUM = UsageGroup("medium")
HEAVY = UsageGroup("heavy")
PERSON, METADATA, READAHEAD, BULK, CRAWLER = Priority

WINDOW_S = 60 * (1 - CLOCK_DRIFT)
"""So that a slot is held for 60 s."""

PLANS = {MEDIUM: Plan(40, WINDOW_S), HEAVY: Plan(10, WINDOW_S)}


class CountingLedger(Ledger):
    """Counts the slots that were asked for."""

    takes = 0

    def take(self, group: UsageGroup, waiting: Waiting, now: float) -> Slot | float:
        self.takes += 1
        return super().take(group, waiting, now)


def a_scheduler(limit: int = 40) -> tuple[Scheduler, Ledger]:
    ledger = Ledger(MemoryHome({MEDIUM: Plan(limit, WINDOW_S), HEAVY: Plan(10, WINDOW_S)}))
    return Scheduler(ledger), ledger


def sends(scheduler: Scheduler, now: float) -> list[Send]:
    """Everything that may be sent now."""
    result = []
    while isinstance(decision := scheduler.next(now), Send):
        result.append(decision)
    return result


def tickets(scheduler: Scheduler, now: float) -> list[Ticket]:
    return [send.ticket for send in sends(scheduler, now)]


def wait_s(scheduler: Scheduler, now: float) -> float:
    decision = scheduler.next(now)
    assert isinstance(decision, WaitUntil), decision
    return decision.at_s


def submit(scheduler: Scheduler, count: int, priority: Priority, now: float = 0.0) -> list[Ticket]:
    return [scheduler.submit(MEDIUM, priority, now) for _ in range(count)]


def a_world(limit: int = 40) -> tuple[World, Scheduler, Police]:
    plans = {MEDIUM: Plan(limit, WINDOW_S)}
    ledger, police = Ledger(MemoryHome(plans)), Police(plans)
    scheduler = Scheduler(ledger)
    return World(scheduler, ledger, police), scheduler, police


# Order


def test_nothing_waits() -> None:
    scheduler, _ = a_scheduler()
    assert scheduler.next(0.0) == Idle()
    assert scheduler.queue(0.0) == ()


def test_a_send_names_the_ticket_and_its_slot() -> None:
    scheduler, ledger = a_scheduler(limit=1)
    ticket = scheduler.submit(MEDIUM, BULK, 3.0)
    decision = scheduler.next(4.0)
    assert isinstance(decision, Send)
    assert decision.ticket is ticket
    assert (decision.slot.group, decision.slot.taken_s) == (MEDIUM, 4.0)
    assert scheduler.next(4.0) == Idle()
    ledger.cancel(decision.slot)
    assert isinstance(ledger.take(MEDIUM, Waiting.only(METADATA, 4.0), 4.0), Slot)


def test_the_order_is_class_then_submission() -> None:
    scheduler, _ = a_scheduler()
    order = [BULK, METADATA, CRAWLER, PERSON, READAHEAD, BULK, PERSON, METADATA]
    submitted = [scheduler.submit(MEDIUM, priority, 0.0) for priority in order]
    assert tickets(scheduler, 0.0) == [submitted[i] for i in (3, 6, 1, 7, 4, 0, 5, 2)]


def test_a_lower_class_never_passes_a_higher_one_that_waits() -> None:
    scheduler, ledger = a_scheduler(limit=2)
    for now in (0.0, 10.0):
        slot = ledger.take(MEDIUM, Waiting.only(METADATA, now), now)
        assert isinstance(slot, Slot)
        ledger.settle(slot, now, None)
    bulk, metadata, person = (scheduler.submit(MEDIUM, p, 20.0) for p in (BULK, METADATA, PERSON))
    assert wait_s(scheduler, 20.0) == 60.0
    [send] = sends(scheduler, 60.0)
    assert send.ticket is person
    ledger.settle(send.slot, 60.0, None)
    assert wait_s(scheduler, 60.0) == 70.0
    [send] = sends(scheduler, 70.0)
    assert send.ticket is metadata
    ledger.settle(send.slot, 70.0, None)
    assert tickets(scheduler, 130.0) == [bulk]


def test_groups_do_not_block_each_other() -> None:
    scheduler, ledger = a_scheduler(limit=1)
    ledger.take(MEDIUM, Waiting.only(METADATA, 0.0), 0.0)
    scheduler.submit(MEDIUM, PERSON, 0.0)
    crawler = scheduler.submit(HEAVY, CRAWLER, 0.0)
    assert tickets(scheduler, 0.0) == [crawler]


def test_the_most_urgent_of_all_groups_goes_first() -> None:
    scheduler, _ = a_scheduler()
    bulk = scheduler.submit(MEDIUM, BULK, 0.0)
    person = scheduler.submit(HEAVY, PERSON, 0.0)
    assert tickets(scheduler, 0.0) == [person, bulk]


def test_the_wait_is_that_of_the_group_that_is_free_first() -> None:
    scheduler, ledger = a_scheduler(limit=1)
    for group, now in ((MEDIUM, 7.0), (HEAVY, 5.0)):
        while isinstance(slot := ledger.take(group, Waiting.only(METADATA, 0.0), 0.0), Slot):
            ledger.settle(slot, now, None)
        scheduler.submit(group, PERSON, now)
    assert wait_s(scheduler, 8.0) == 65.0


def test_a_freeze_stops_persons_too() -> None:
    scheduler, ledger = a_scheduler()
    scheduler.submit(MEDIUM, PERSON, 0.0)
    [send] = sends(scheduler, 0.0)
    ledger.refuse(send.slot, 1.0, RateHeaders(MEDIUM), 60.0)
    scheduler.submit(MEDIUM, PERSON, 2.0)
    assert wait_s(scheduler, 2.0) == 62.0
    assert len(sends(scheduler, 62.0)) == 1


def test_a_promoted_ticket_goes_by_its_submission_in_the_new_class() -> None:
    scheduler, _ = a_scheduler()
    first, promoted, person = (scheduler.submit(MEDIUM, p, 0.0) for p in (BULK, BULK, PERSON))
    scheduler.promote(promoted, PERSON)
    assert promoted.priority is PERSON
    assert tickets(scheduler, 0.0) == [promoted, person, first]


def test_a_promotion_never_lowers_and_does_not_bring_back() -> None:
    scheduler, _ = a_scheduler()
    ticket = scheduler.submit(MEDIUM, METADATA, 0.0)
    scheduler.promote(ticket, BULK)
    assert ticket.priority is METADATA
    assert tickets(scheduler, 0.0) == [ticket]
    scheduler.promote(ticket, PERSON)
    assert ticket.priority is METADATA
    assert scheduler.next(0.0) == Idle()


def test_a_withdrawn_ticket_is_not_sent_and_may_be_withdrawn_again() -> None:
    scheduler, _ = a_scheduler()
    first, second, third = submit(scheduler, 3, BULK)
    scheduler.withdraw(second)
    scheduler.withdraw(second)
    assert tickets(scheduler, 0.0) == [first, third]
    scheduler.withdraw(first)
    assert scheduler.next(0.0) == Idle()


def test_the_queue_lists_waiting_requests() -> None:
    scheduler, _ = a_scheduler()
    oldest = scheduler.submit(MEDIUM, BULK, 1.0)
    later = scheduler.submit(MEDIUM, BULK, 2.0)
    person = scheduler.submit(HEAVY, PERSON, 4.0)
    bulk, urgent = scheduler.queue(5.0)
    assert (bulk.group, bulk.priority, bulk.waiting, bulk.elsewhere) == (MEDIUM, BULK, 2, 0)
    assert [expected.ticket for expected in bulk.expected] == [oldest, later]
    assert [expected.ticket for expected in urgent.expected] == [person]
    scheduler.withdraw(oldest)
    assert [expected.ticket for expected in scheduler.queue(5.0)[0].expected] == [later]


def test_one_call_looks_at_one_ticket_of_each_group() -> None:
    ledger = CountingLedger(MemoryHome(PLANS))
    scheduler = Scheduler(ledger)
    for group in (MEDIUM, HEAVY):
        for _ in range(PLANS[group].limit):
            ledger.take(group, Waiting.only(METADATA, 0.0), 0.0)
        for _ in range(5000):
            scheduler.submit(group, BULK, 0.0)
    ledger.takes = 0
    wait_s(scheduler, 0.0)
    assert ledger.takes == 2


# Reserve and pace


@pytest.mark.parametrize(
    ("limit", "burst"), [(40, 36), (10, 8), (5, 4), (20, 18), (2, 1), (1, 1), (1000, 900), (50, 45)]
)
def test_background_work_bursts_down_to_the_reserve(limit: int, burst: int) -> None:
    scheduler, _ = a_scheduler(limit)
    submit(scheduler, 2000, BULK)
    assert len(sends(scheduler, 0.0)) == burst


@pytest.mark.parametrize("priority", [PERSON, METADATA])
def test_persons_and_metadata_use_every_slot_without_pace(priority: Priority) -> None:
    scheduler, _ = a_scheduler()
    submit(scheduler, 100, priority)
    assert len(sends(scheduler, 0.0)) == 40


@pytest.mark.parametrize("priority", [READAHEAD, BULK, CRAWLER])
def test_each_background_class_leaves_the_reserve(priority: Priority) -> None:
    scheduler, _ = a_scheduler()
    submit(scheduler, 100, priority)
    assert len(sends(scheduler, 0.0)) == 36


def test_a_person_who_comes_after_a_burst_gets_a_reserved_slot_at_once() -> None:
    scheduler, _ = a_scheduler()
    submit(scheduler, 100, BULK)
    sends(scheduler, 0.0)
    for now in (1.0, 2.0, 3.0, 4.0):
        [person] = submit(scheduler, 1, PERSON, now)
        assert tickets(scheduler, now) == [person]


def test_the_reserve_of_a_burst_is_sent_evenly_just_before_its_slots_come_back() -> None:
    world, scheduler, police = a_world()
    submit(scheduler, 1000, BULK)
    world.run(200.0)
    times = [sent.at_s for sent in world.sent]
    assert times[35:42] == pytest.approx([0.0, 54.0, 55.5, 57.0, 58.5, 60.2, 61.5])
    assert all(later - earlier <= 1.7 + 1e-9 for earlier, later in pairwise(times[36:]))
    assert police.violations == []


def test_paced_work_is_an_even_share_of_the_window_apart() -> None:
    world, scheduler, _ = a_world(limit=10)
    submit(scheduler, 1000, BULK)
    world.run(600.0)
    times = [sent.at_s for sent in world.sent][9:]
    # A turn that waits for a slot is up to a round trip late; the next one is not.
    assert all(5.8 - 1e-9 <= later - earlier <= 6.2 + 1e-9 for earlier, later in pairwise(times))
    assert 6.0 <= (times[-1] - times[0]) / (len(times) - 1) <= 6.03


def test_work_that_was_not_held_up_for_a_window_may_burst_again() -> None:
    world, scheduler, _ = a_world()
    submit(scheduler, 38, BULK)
    world.run(1000.0)
    assert [sent.at_s for sent in world.sent][35:] == [0.0, 54.0, 55.5]
    # It was held up last until 55.5 s, so it is paced until 115.5 s.
    for time_s, count in ((115.4, 3), (300.0, 38)):
        world.at(time_s, partial(submit, scheduler, count, BULK, time_s))
    world.run(400.0)
    late = [sent.at_s for sent in world.sent][38:]
    assert late[:3] == pytest.approx([115.4, 116.9, 118.4])
    assert late[3:39] == [300.0] * 36


def test_work_slower_than_the_pace_is_never_held_up() -> None:
    world, scheduler, _ = a_world()
    for n in range(1000):
        world.at(2.0 * n, lambda: submit(scheduler, 1, BULK, world.now))
    world.run(5000.0)
    assert [sent.at_s for sent in world.sent] == [2.0 * n for n in range(1000)]


def test_after_a_freeze_background_work_is_paced() -> None:
    scheduler, ledger = a_scheduler()
    submit(scheduler, 1, PERSON)
    [send] = sends(scheduler, 0.0)
    ledger.refuse(send.slot, 0.0, RateHeaders(MEDIUM), 299.0)
    submit(scheduler, 100, BULK, 1.0)
    assert wait_s(scheduler, 1.0) == PRESENCE_S  # the reserve is given up: worth asking
    assert wait_s(scheduler, PRESENCE_S) == 300.0
    assert len(sends(scheduler, 300.0)) == 1
    assert wait_s(scheduler, 300.0) == 301.5


def test_background_work_leaves_the_reserve_while_a_person_is_present() -> None:
    world, scheduler, _ = a_world()
    submit(scheduler, 10_000, BULK)
    world.at(300.0, lambda: submit(scheduler, 1, PERSON, 300.0))
    world.run(300.0 + PRESENCE_S)
    times = [sent.at_s for sent in world.sent if sent.ticket.priority is BULK]
    # Five slots must come free before one may be used: the reserve and the one.
    assert 300.0 + 4 * 1.5 < next(time_s for time_s in times if time_s > 300.0) < 300.0 + 6 * 1.7
    settled = [time_s for time_s in times if time_s > 370.0]
    assert all(later - earlier >= 60 / 36 - 1e-9 for earlier, later in pairwise(settled))


def test_the_reserve_is_used_when_no_person_was_present_for_a_while() -> None:
    scheduler, ledger = a_scheduler(limit=2)
    submit(scheduler, 1, PERSON)
    [send] = sends(scheduler, 0.0)
    ledger.settle(send.slot, 0.0, None)
    submit(scheduler, 2, BULK)
    assert wait_s(scheduler, 0.0) == 60.0
    [send] = sends(scheduler, 60.0)
    assert wait_s(scheduler, 60.0) == PRESENCE_S  # both slots or the end of the presence
    assert wait_s(scheduler, PRESENCE_S - 0.1) == PRESENCE_S
    assert len(sends(scheduler, PRESENCE_S)) == 1


def test_a_person_who_gave_up_still_counts_as_present() -> None:
    scheduler, ledger = a_scheduler(limit=2)
    submit(scheduler, 2, BULK)
    [send] = sends(scheduler, 0.0)
    ledger.settle(send.slot, 0.0, None)
    other = ledger.take(MEDIUM, Waiting.only(METADATA, 0.0), 0.0)
    assert isinstance(other, Slot)
    ledger.settle(other, 10.0, None)
    assert wait_s(scheduler, 10.0) == 30.0
    [person] = submit(scheduler, 1, PERSON, 20.0)
    assert wait_s(scheduler, 20.0) == 60.0
    scheduler.withdraw(person)
    assert wait_s(scheduler, 60.0) == 70.0  # both slots, as one is the reserve


def test_withdrawing_the_last_ticket_of_a_group_gives_up_the_process_place() -> None:
    book = Book({MEDIUM: Plan(1, WINDOW_S)}, poll_s=1.0)
    homes = (MemoryHome(book=book, owner=owner, is_alive=lambda _owner: True) for owner in "ab")
    first, second = (Scheduler(Ledger(home)) for home in homes)
    submit(first, 1, PERSON)
    sends(first, 0.0)
    [one, two] = submit(second, 2, PERSON, 1.0)
    wait_s(second, 1.0)
    [state] = book.states("a", 1.0)
    assert state.elsewhere == (2, 0, 0, 0, 0)
    second.withdraw(one)
    wait_s(second, 1.0)
    second.withdraw(two)
    [state] = book.states("a", 1.0)
    assert state.elsewhere == (0, 0, 0, 0, 0)


def test_a_ledger_with_unstored_reports_is_asked_again() -> None:
    class Late(Ledger):
        def sync(self, now: float) -> float:
            return now + 0.05

    scheduler = Scheduler(Late(MemoryHome({MEDIUM: Plan(40)})))
    assert scheduler.next(3.0) == WaitUntil(3.05)
    submit(scheduler, 41, PERSON, 3.0)
    sends(scheduler, 3.0)
    assert wait_s(scheduler, 3.0) == 3.05


def test_a_promoted_ticket_makes_a_person_present_when_it_is_sent() -> None:
    scheduler, ledger = a_scheduler(limit=2)
    held = ledger.take(MEDIUM, Waiting.only(METADATA, 0.0), 0.0)
    assert isinstance(held, Slot)
    [ticket, _] = submit(scheduler, 2, BULK)
    assert wait_s(scheduler, 0.0) == 30.0  # the reserve is given up before the other slot comes back
    scheduler.promote(ticket, PERSON)
    [send] = sends(scheduler, 1.0)
    ledger.settle(send.slot, 1.0, None)
    ledger.cancel(held)
    assert wait_s(scheduler, 30.0) == 61.0


@pytest.mark.parametrize("limit", [10, 40])
def test_a_person_waits_an_interval_at_most_and_not_at_all_while_present(limit: int) -> None:
    world, scheduler, police = a_world(limit)
    submit(scheduler, 10_000, BULK)
    arrivals = [500.0 * n + 0.37 * n for n in range(1, 10)]
    visit = max(2, limit // 10)
    for arrival_s in arrivals:
        # First one file out of nowhere, then, while present, as many at once as the reserve has.
        world.at(arrival_s, lambda: submit(scheduler, 1, PERSON, world.now))
        world.at(arrival_s + 60.0, lambda: submit(scheduler, visit, PERSON, world.now))
    world.run(5000.0)
    waits = [sent.at_s - sent.ticket.submitted_s for sent in world.sent if sent.ticket.priority is PERSON]
    firsts = waits[:: visit + 1]
    assert len(firsts) == len(arrivals)
    assert max(firsts) <= 60.0 / limit + 0.2 + 1e-9
    assert [wait for i, wait in enumerate(waits) if i % (visit + 1)] == [0.0] * visit * len(arrivals)
    assert police.violations == []


@pytest.mark.parametrize("limit", [10, 40])
def test_a_person_who_has_listed_a_directory_does_not_wait(limit: int) -> None:
    world, scheduler, police = a_world(limit)
    submit(scheduler, 10_000, BULK)
    arrivals = [500.0 * n + 0.37 * n for n in range(1, 10)]
    for arrival_s in arrivals:
        world.at(arrival_s, world.meet)
        # A slot comes free within an interval and a round trip.
        opens_s = arrival_s + 60.0 / limit + 0.2
        world.at(opens_s, lambda: submit(scheduler, 1, PERSON, world.now))
    world.run(5000.0)
    waits = [sent.at_s - sent.ticket.submitted_s for sent in world.sent if sent.ticket.priority is PERSON]
    assert waits == [0.0] * len(arrivals)
    assert police.violations == []


@pytest.mark.parametrize("limit", [10, 40])
@pytest.mark.parametrize("sequential", [False, True])
def test_steady_throughput_is_at_least_98_percent_of_the_limit(limit: int, *, sequential: bool) -> None:
    plans = {MEDIUM: Plan(limit, WINDOW_S)}
    ledger, police = Ledger(MemoryHome(plans)), Police(plans)
    scheduler = Scheduler(ledger)

    def one_more(_: Ticket | None = None) -> None:
        submit(scheduler, 1, BULK, world.now)

    world = World(scheduler, ledger, police, done=one_more)
    for _ in range(1 if sequential else 1000):
        one_more()
    world.run(3600.0)
    assert 0.98 * 60 * limit <= len(world.sent) <= 60 * limit
    assert police.violations == []


@pytest.mark.parametrize(("limit", "others"), [(40, 36), (10, 8)])
def test_throughput_with_a_person_present_is_all_except_the_reserve(limit: int, others: int) -> None:
    world, scheduler, _ = a_world(limit)
    submit(scheduler, 10_000, BULK)
    for n in range(40):
        world.at(100.0 * n, lambda: submit(scheduler, 1, PERSON, world.now))
    world.run(3600.0)
    bulk = sum(sent.ticket.priority is BULK for sent in world.sent)
    assert bulk <= 60 * others
    assert 0.98 * 60 * others <= len(world.sent), "what a person sends is not sent besides"
