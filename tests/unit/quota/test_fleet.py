"""Several processes on one ledger, in virtual time."""

from collections import Counter
from collections.abc import Callable
from itertools import chain, repeat
from pathlib import Path
from random import Random

import pytest

from rcfs.model import Plan, Priority, UsageGroup
from rcfs.quota import Scheduler
from tests.fakes.fleet import Fleet, Process, Request
from tests.fakes.ledgers import HOMES
from tests.fakes.police import Fate, Police, Trip

GROUP = UsageGroup("medium")
PERSON, METADATA, READAHEAD, BULK, CRAWLER = Priority
TRIP = Trip(0.1, 0.1)
LATE_S = 0.002
"""How late a process is woken: a busy machine's timer."""

NewFleet = Callable[[int], tuple[Fleet, Police]]


@pytest.fixture
def new_fleet(tmp_path: Path) -> NewFleet:
    return lambda limit: a_fleet("memory", limit, tmp_path)


@pytest.fixture(params=HOMES)
def new_fleet_anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> NewFleet:
    return lambda limit: a_fleet(request.param, limit, tmp_path)


def a_fleet(home: str, limit: int, directory: Path) -> tuple[Fleet, Police]:
    plans = {GROUP: Plan(limit)}
    police = Police(plans)
    dice = Random(limit)
    fleet = Fleet(
        HOMES[home](plans, directory), police, travel=lambda _: TRIP, late=lambda: dice.uniform(0, LATE_S)
    )
    return fleet, police


def by_process(requests: list[Request]) -> Counter[str]:
    return Counter(request.process.owner for request in requests)


def keep_busy(fleet: Fleet, process: Process, count: int) -> None:
    """Keep `count` bulk requests of `process` waiting or in flight, forever."""
    fleet.submit(process, GROUP, BULK, count)

    def one_more(process: Process, _ticket: object) -> None:
        fleet.submit(process, GROUP, BULK)

    fleet.done = one_more


@pytest.mark.parametrize("limit", [10, 40])
@pytest.mark.parametrize("depths", [(1000,), (1000, 1000), (1, 1000), (1, 1)])
def test_an_hour_of_bulk_work_uses_at_least_98_percent_of_the_budget(
    new_fleet: NewFleet, limit: int, depths: tuple[int, ...]
) -> None:
    fleet, police = new_fleet(limit)
    for depth in depths:
        keep_busy(fleet, fleet.start(), depth)
    fleet.run(3600.0)
    assert 0.98 * 60 * limit <= len(fleet.requests) <= 60 * limit
    assert police.violations == []


def test_the_file_costs_no_throughput(tmp_path: Path) -> None:
    fleet, police = a_fleet("sqlite", 40, tmp_path)
    for _ in range(2):
        keep_busy(fleet, fleet.start(), 1000)
    fleet.run(600.0)
    # An hour of the same is seen in memory; the rules are the same book's.
    assert 0.98 * 10 * 40 <= len(fleet.requests) <= 10 * 40
    assert police.violations == []


@pytest.mark.parametrize("depths", [(1000, 30), (5, 1000, 100)])
def test_processes_share_evenly_whatever_they_have_queued(
    new_fleet: NewFleet, depths: tuple[int, ...]
) -> None:
    fleet, police = new_fleet(40)
    for depth in depths:
        keep_busy(fleet, fleet.start(), depth)
    fleet.run(120.0)
    begun = len(fleet.requests)
    fleet.run(1320.0)
    shares = by_process(fleet.requests[begun:])
    even = 20 * 40 / len(depths)
    assert all(0.95 * even <= shares[process.owner] <= 1.05 * even for process in fleet.processes), shares
    assert police.violations == []


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("limit", [10, 40])
def test_a_person_among_a_thousand_bulk_files_waits_for_no_more_than_the_reserve_promises(
    new_fleet: NewFleet, limit: int, *, apart: bool
) -> None:
    """Up to a tenth of the limit a minute (4 of 40): at once."""
    fleet, police = new_fleet(limit)
    copying = fleet.start()
    reading = fleet.start() if apart else copying
    fleet.submit(copying, GROUP, BULK, 1000)
    a_minute = limit // 10
    for minute in range(10):
        for number in range(a_minute):
            fleet.at(
                300.0 + 60 * minute + 13.3 * number,
                lambda: fleet.submit(reading, GROUP, PERSON),
                reading,
            )
    fleet.run(1000.0)
    waits_s = waits(fleet.requests)
    assert len(waits_s) == 10 * a_minute
    # The first comes out of nowhere: an interval of the pace. From then on the reserve is there.
    assert waits_s[0] <= 60 / limit + 0.3
    assert max(waits_s[1:]) <= 0.1
    assert police.violations == []


@pytest.mark.parametrize("apart", [False, True])
def test_a_person_who_never_stops_reading_waits_two_seconds_at_most(
    new_fleet: NewFleet, *, apart: bool
) -> None:
    fleet, police = new_fleet(40)
    copying = fleet.start()
    reading = fleet.start() if apart else copying
    fleet.submit(copying, GROUP, BULK, 1000)

    def read_on(process: Process, ticket: object) -> None:
        if process is reading and ticket in tickets:
            open_one()

    def open_one() -> None:
        tickets.extend(fleet.submit(reading, GROUP, PERSON))

    tickets: list[object] = []
    fleet.done = read_on
    fleet.at(300.0, open_one, reading)
    fleet.run(900.0)
    waits_s = waits(fleet.requests)
    assert len(waits_s) >= 0.95 * 10 * 40
    assert max(waits_s) <= 2.0
    assert police.violations == []


def waits(requests: list[Request]) -> list[float]:
    """Seconds that each request of a person waited for its slot."""
    return [
        request.slot.taken_s - request.ticket.submitted_s
        for request in requests
        if request.ticket.priority is PERSON
    ]


def test_a_stopped_process_delays_others_by_a_moment_only(new_fleet: NewFleet) -> None:
    fleet, police = new_fleet(40)
    for _ in range(2):
        keep_busy(fleet, fleet.start(), 1000)
    fleet.at(600.0, lambda: fleet.stop(fleet.processes[0]))
    fleet.run(600.0)
    begun = len(fleet.requests)
    fleet.run(4200.0)
    assert len(fleet.requests) - begun >= 0.98 * 60 * 40
    assert police.violations == []


def test_a_killed_process_costs_what_it_had_in_flight_and_no_429(new_fleet_anywhere: NewFleet) -> None:
    fleet, police = new_fleet_anywhere(40)
    keep_busy(fleet, fleet.start(), 1000)
    for minute in range(1, 11):

        def restart() -> None:
            fleet.kill(fleet.processes[-1])
            keep_busy(fleet, fleet.start(), 1000)

        fleet.at(30.0 * minute, restart)
    fleet.run(600.0)
    assert len(fleet.requests) >= 0.9 * 10 * 40
    assert police.violations == []


def test_requests_that_the_kernel_sends_for_a_dead_process_count(new_fleet_anywhere: NewFleet) -> None:
    """Killed just after it wrote all its requests, of which the server sees the last 4.9 s later."""
    fleet, police = new_fleet_anywhere(10)
    trips = chain([Trip(4.9, 0.1)] * 10, repeat(Trip(0.01, 0.01)))
    fleet.travel = lambda _: next(trips)
    killed = fleet.start()
    fleet.submit(killed, GROUP, PERSON, 10)
    fleet.kill(killed)
    fleet.submit(fleet.start(), GROUP, PERSON, 30)
    fleet.run(300.0)
    assert len(fleet.requests) == 40
    assert police.violations == []


def test_requests_that_the_kernel_sends_for_a_living_process_that_gave_them_up_count(
    new_fleet_anywhere: NewFleet,
) -> None:
    """Given up after 45 s of silence; the server sees them 4.9 s later."""
    fleet, police = new_fleet_anywhere(10)
    trips = chain([Trip(45.0, 4.9, Fate.LATE)] * 10, repeat(Trip(0.01, 0.01)))
    fleet.travel = lambda _: next(trips)
    fleet.submit(fleet.start(), GROUP, PERSON, 40)
    fleet.run(400.0)
    assert len(fleet.requests) == 40
    assert police.violations == []


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("person", [False, True])
def test_the_forecast_comes_true(new_fleet: NewFleet, others: int, *, person: bool) -> None:
    """Within 5 % and a second: 300 files, in the middle of a copy that others share."""
    fleet, _police = new_fleet(40)
    mine = fleet.start()
    for _ in range(others):
        fleet.submit(fleet.start(), GROUP, BULK, 200)
    fleet.submit(mine, GROUP, BULK, 300)
    fleet.run(70.0)
    if person:
        fleet.submit(mine, GROUP, PERSON)
    fleet.run(72.0)
    now = fleet.now
    [state] = [state for state in mine.scheduler.queue(now) if state.priority is BULK]
    assert (state.elsewhere > 0) == bool(others)
    told_s = {expected.ticket.seq: now + expected.wait_s for expected in state.expected}
    fleet.run(3000.0)
    sent_s = {
        request.ticket.seq: request.slot.taken_s for request in fleet.requests if request.process is mine
    }
    assert len(told_s) > 100
    for seq, expected_s in told_s.items():
        assert abs(expected_s - sent_s[seq]) <= 1.0 + 0.05 * (sent_s[seq] - now)


def test_a_forecast_of_what_nobody_has_asked_for_yet(new_fleet_anywhere: NewFleet) -> None:
    fleet, _police = new_fleet_anywhere(10)
    scheduler: Scheduler = fleet.start().scheduler
    times_s = scheduler.forecast(GROUP, BULK, 1000, 0.0)
    assert len(times_s) == 1000
    assert times_s[:9] == [0.0] * 8 + [pytest.approx(48.0, abs=0.1)]
    assert times_s[-1] == pytest.approx(6000.0, rel=0.02)
    assert scheduler.forecast(GROUP, PERSON, 1, 0.0) == [0.0]
