"""Ledgers whose server is killed, forgets, or loses answers, against the police, in virtual time.

The server is real; the clocks of the machines are the fleet's. `test_remote_ledger` has what takes real time.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis

from rcfs.errors import SharedLedgerError
from rcfs.model import Plan, Priority, UsageGroup
from rcfs.quota import ABSENT_S, FREEZE_MARGIN_S, LINGER_S, LONGEST_REQUEST_S, Ledger, Slot, Waiting
from rcfs.store._server_connection import ServerConnection
from rcfs.store._server_home import LEASE_S
from tests.fakes.fleet import Fleet, Process
from tests.fakes.ledger_server import LedgerServer
from tests.fakes.ledgers import OnServer
from tests.fakes.police import Police, Trip

MEDIUM = UsageGroup("medium")
METADATA, BULK = Priority.METADATA, Priority.BULK
ONE = Waiting.only(METADATA, 0.0)
ALONE_S = LEASE_S + LONGEST_REQUEST_S + 60.0 + LINGER_S
"""When a process that cannot reach the server begins to use its share, at the earliest."""
PERSISTENT = ("--appendonly", "yes")
LONG = os.environ.get("RCFS_LONG") == "1"


@pytest.fixture
def directory() -> Iterator[Path]:
    with TemporaryDirectory(prefix="rcfs-outage-") as path:  # the path of a socket is short
        yield Path(path)


@pytest.fixture
def server(directory: Path) -> Iterator[LedgerServer]:
    server = LedgerServer(directory)
    server.start()
    yield server
    server.kill()


class Trial:
    """Processes that always have bulk work, on one server, and the police."""

    def __init__(self, server: LedgerServer, limit: int = 40, processes: int = 5, seed: int = 1) -> None:
        self.plans = {MEDIUM: Plan(limit)}
        self.server = server
        self.home = OnServer(self.plans, server.directory, server)
        self.police = Police(self.plans)
        self.dice = Random(seed)
        self.fleet = Fleet(
            self.home,
            self.police,
            travel=lambda _: Trip(self.dice.uniform(0.0, 0.2), self.dice.uniform(0.0, 0.2)),
            late=lambda: self.dice.uniform(0.0, 0.005),
        )
        self.fleet.done = self._one_more
        for _ in range(processes):
            self.start()
        self._beat()

    def _one_more(self, process: Process, _ticket: object) -> None:
        self.fleet.submit(process, MEDIUM, BULK)

    def start(self) -> None:
        process = self.fleet.start()
        self.home.set_clock(self.fleet.now)
        process.ledger.refresh(self.fleet.now)
        self.fleet.submit(process, MEDIUM, BULK, 60)

    def kill(self, process: Process) -> None:
        self.fleet.kill(process)

    def _beat(self) -> None:
        self.home.refresh(self.fleet.now)
        self.fleet.at(self.fleet.now + 1.0, self._beat)

    def sent(self, until_s: float) -> int:
        """The number of requests that are sent until then."""
        before = len(self.fleet.requests)
        self.fleet.run(until_s)
        return len(self.fleet.requests) - before

    def end_server(self) -> None:
        """Kill the server; the messages of all changes have arrived."""
        self.home.refresh(self.fleet.now)
        self.server.kill()


@pytest.mark.parametrize("options", [(), PERSISTENT], ids=["forgetful", "persistent"])
def test_an_outage_costs_no_429_and_little_of_the_quota(directory: Path, options: tuple[str, ...]) -> None:
    server = LedgerServer(directory, options)
    server.start()
    trial = Trial(server, processes=3)
    try:
        assert trial.sent(60.0) >= 3
        assert trial.sent(120.0) >= 0.97 * 40
        trial.end_server()
        assert trial.sent(120.0 + ALONE_S) == 0, "the others may have the server"
        trial.sent(330.0)
        assert trial.sent(390.0) >= 0.9 * 39
        assert all("1/3 of each limit" in line for line in trial.home.lines)
        assert len(trial.home.lines) == 3
        server.start()
        trial.sent(450.0)
        assert trial.sent(510.0) >= 0.95 * 40
        assert trial.police.violations == []
        assert not any(process.ledger.outage for process in trial.fleet.processes)
    finally:
        server.kill()


def test_a_server_that_forgets_everything_or_goes_back_costs_no_429(server: LedgerServer) -> None:
    trial = Trial(server, processes=3)
    trial.sent(60.0)
    client = redis.Redis(unix_socket_path=server.address.path)
    client.flushall()
    trial.sent(90.0)
    key = f"{{rcfs:{trial.home.name}}}:book"
    former: dict[Any, Any] = client.hgetall(key)
    trial.sent(110.0)
    client.hset(key, mapping=former)
    assert trial.sent(170.0) >= 0.95 * 40
    assert trial.police.violations == []
    assert client.hget(key, "generation") != former[b"generation"]


@pytest.mark.parametrize("seed", range(6 if LONG else 1))
def test_random_kills_of_clients_and_of_the_server_cost_no_429(server: LedgerServer, seed: int) -> None:
    trial = Trial(server, processes=3, seed=seed)
    fleet, dice = trial.fleet, trial.dice

    def trouble() -> None:
        fleet.at(fleet.now + dice.uniform(5.0, 40.0), trouble)
        if server.process is None:
            server.start()
        elif dice.random() < 0.4:
            trial.end_server()
        else:
            fleet.kill(dice.choice([process for process in fleet.processes if process.alive]))
            trial.start()

    fleet.at(30.0, trouble)
    fleet.run(3600.0 if LONG else 300.0)
    assert trial.police.violations == []
    assert len(fleet.requests) >= (0.6 * 60 if LONG else 0.4 * 5) * 40


def test_more_processes_than_slots_take_turns_in_an_outage(server: LedgerServer) -> None:
    trial = Trial(server, limit=2, processes=5)
    trial.sent(1.0)
    trial.end_server()
    trial.sent(ALONE_S)
    assert trial.sent(ALONE_S + 760.0) >= 8
    assert {request.process.owner for request in trial.fleet.requests} == {
        process.owner for process in trial.fleet.processes
    }
    assert trial.police.violations == []


def test_a_forecast_in_an_outage_counts_the_share(server: LedgerServer) -> None:
    trial = Trial(server, processes=4)
    trial.sent(30.0)
    ledger, waiting = trial.fleet.processes[0].ledger, Waiting.only(BULK, 30.0, 50)
    assert (ledger.shares(30.0)[MEDIUM].left, ledger.part) == (0, 1)
    trial.end_server()
    trial.sent(230.0)
    sent_s = ledger.forecast(MEDIUM, waiting, 230.0).sent_s(49)
    assert (ledger.part, [state.left for state in ledger.states(230.0)]) == (0.25, [30])
    assert sent_s - 230.0 > 4 * 60.0, "at most ten in each minute are this process's"


def test_a_change_whose_answer_got_lost_is_made_once(
    server: LedgerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = OnServer({MEDIUM: Plan(9)}, server.directory, server)
    ledger, other = home.open("one"), home.open("other")
    slot = taken(ledger, 0.0)
    taken(other, 0.0)
    store = ServerConnection.store

    def lose(*arguments: Any) -> None:
        store(*arguments)
        raise SharedLedgerError("the answer is lost")

    with monkeypatch.context() as patched:
        patched.setattr(ServerConnection, "store", lose)
        ledger.settle(slot, 1.0, None)
    assert ledger.outage == "the answer is lost"
    home.refresh(2.0)
    assert not ledger.outage
    assert [state.used for state in other.states(2.0)] == [2]
    home.refresh(2.5)
    with monkeypatch.context() as patched:
        patched.setattr(ServerConnection, "store", lose)
        assert not isinstance(ledger.take(MEDIUM, ONE, 3.0), Slot)
    home.refresh(5.0)
    second = taken(ledger, 5.0)
    assert [state.used for state in other.states(5.0)] == [3], "the slot that nobody has was given back"
    ledger.cancel(second)
    assert [state.used for state in other.states(5.0)] == [2]


def test_a_client_that_dies_without_a_trace_loses_its_slots_when_its_lease_ends(server: LedgerServer) -> None:
    home = OnServer({MEDIUM: Plan(2)}, server.directory, server)
    ledger, dead = home.open("one"), home.open("dead")
    taken(ledger, 0.0)
    taken(dead, 0.0)
    client, key = redis.Redis(unix_socket_path=server.address.path), f"{{rcfs:{home.name}}}:leases"
    lease_s = (client.zscore(key, "dead") or 0.0) / 1000 - client.time()[0]
    assert 0.0 < lease_s < LEASE_S + 2.0
    assert ledger.states(10.0)[0].in_flight == 2
    client.zadd(key, {"dead": client.time()[0] * 1000 - 1})
    ledger.refresh(20.0)
    assert ledger.states(20.0)[0].in_flight == 1
    assert ledger.states(20.0)[0].returns_s == pytest.approx([LONGEST_REQUEST_S + LINGER_S + 40.06], abs=0.01)
    assert "dead" in ledger.book.owners, "the other has its share"
    client.zadd(key, {"dead": (client.time()[0] - ABSENT_S) * 1000 - 1})
    ledger.refresh(21.0)
    ledger.refresh(22.0)
    assert "dead" not in ledger.book.owners


def test_a_start_without_the_server_waits_a_window_and_takes_over_the_share_of_a_dead_one(
    server: LedgerServer,
) -> None:
    server.kill()
    home = OnServer({MEDIUM: Plan(40)}, server.directory, server)
    home.memory.known = dict.fromkeys("abcd", 4)
    home._dead.add("a")  # on this machine
    ledger = home.open("one")
    many = Waiting.only(METADATA, 0.0, 40)
    assert ledger.take_many({MEDIUM: many}, 0.0)[MEDIUM].slots == ()
    assert ledger.take_many({MEDIUM: many}, ALONE_S - 6.0)[MEDIUM].slots == ()
    now = ALONE_S + FREEZE_MARGIN_S + 1.0
    slots = ledger.take_many({MEDIUM: many}, now)[MEDIUM].slots
    assert len(slots) == 10
    server.start()
    home.refresh(now + 1.0)
    other = home.open("other")
    assert other.states(now + 1.0)[0].used == 10
    for slot in slots:
        ledger.settle(slot, now + 2.0, None)
    assert other.states(now + 2.0)[0].in_flight == 0


def test_a_value_that_is_no_book_counts_as_lost(server: LedgerServer) -> None:
    home = OnServer({MEDIUM: Plan(2)}, server.directory, server)
    client = redis.Redis(unix_socket_path=server.address.path)
    client.hset(
        f"{{rcfs:{home.name}}}:book", mapping={"generation": "x", "version": 7, "shift": 0, "book": "no"}
    )
    ledger = home.open("one")
    assert not isinstance(ledger.take(MEDIUM, ONE, 0.0), Slot)
    assert ledger.states(0.0)[0].frozen_for_s > 0.0


def test_a_reset_by_a_process_that_has_done_nothing_else_is_stored_whole(server: LedgerServer) -> None:
    home = OnServer({MEDIUM: Plan(9)}, server.directory, server)
    ledger = home.open("one")
    ledger.refuse(taken(ledger, 0.0), 1.0, None, 600.0)
    home.open("resets").reset()
    assert [state.frozen_for_s for state in ledger.states(2.0)] == [0.0]


def taken(ledger: Ledger, now: float) -> Slot:
    slot = ledger.take(MEDIUM, ONE, now)
    assert isinstance(slot, Slot), slot
    return slot
