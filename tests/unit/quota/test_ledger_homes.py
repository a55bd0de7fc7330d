"""A ledger over a home that is locked, overtaken by other processes, damaged, or gone.

The home here holds text, as one on a server would. `test_ledger_contract` has the promises of every ledger.
"""

import json
from collections.abc import Callable, Collection
from pathlib import Path
from random import Random
from typing import Literal

import attrs
import pytest

from rcfs.errors import StoreError
from rcfs.model import Plan, Priority, UsageGroup
from rcfs.quota import (
    LINGER_S,
    Book,
    Held,
    Home,
    Ledger,
    Reply,
    Slot,
    Stamp,
    Waiting,
    restore_book,
)
from tests.fakes.fleet import Fleet
from tests.fakes.police import Police

MEDIUM = UsageGroup("medium")
PLANS = {MEDIUM: Plan(2)}
ONE = Waiting.only(Priority.METADATA, 0.0)
STAMP = Stamp("boot", 0.0, 0.0)

Locked = Literal[Reply.LOCKED]


@attrs.define
class Server:
    """Holds one text, and its version."""

    text: str = ""
    version: int = 0
    dead: set[str] = attrs.field(factory=set)


@attrs.define(eq=False)
class ServerHome(Home):
    """The home that one process has on the server."""

    server: Server
    name: str = "me"
    plans: dict[UsageGroup, Plan] = attrs.field(factory=lambda: PLANS)
    load_fails: Callable[[], Locked | None] = lambda: None
    store_fails: Callable[[], Literal[Reply.LOCKED, Reply.OUTDATED] | None] = lambda: None
    looks: int = 0
    stored: int = 0

    @property
    def owner(self) -> str:
        return self.name

    def new_book(self) -> Book:
        return Book(self.plans, poll_s=1.0)

    def load(self, known: int | None, *, to_store: bool) -> Held | Literal[Reply.UNCHANGED, Reply.LOCKED]:
        if self.load_fails():
            return Reply.LOCKED
        if to_store and known is not None:
            return Reply.UNCHANGED
        self.looks += 1
        if known == self.server.version:
            return Reply.UNCHANGED
        if not self.server.version:
            return Held(0, None)
        return Held(
            self.server.version, restore_book(json.loads(self.server.text), STAMP, STAMP, self.plans, 1.0)
        )

    def store(
        self, book: Book, version: int, *, patient: bool
    ) -> Literal[Reply.STORED, Reply.OUTDATED, Reply.LOCKED]:
        assert not patient or version >= 0
        failure = self.store_fails()
        if failure is not None:
            return failure
        if version != self.server.version:
            return Reply.OUTDATED
        self.server.text, self.server.version = json.dumps(book.dump()), version + 1
        self.stored += 1
        return Reply.STORED

    def ended(self, owners: Collection[str]) -> Collection[str]:
        return self.server.dead & set(owners)

    def close(self) -> None:
        pass


def taken(ledger: Ledger, now: float) -> Slot:
    slot = ledger.take(MEDIUM, ONE, now)
    assert isinstance(slot, Slot), slot
    return slot


def used(ledger: Ledger, now: float) -> int:
    return ledger.states(now)[0].used


def broken() -> Locked | None:
    raise StoreError("the server is gone")


def test_a_locked_home_gives_no_slot_and_a_cancel_waits_for_it() -> None:
    server = Server()
    home = ServerHome(server)
    ledger, other = Ledger(home), Ledger(ServerHome(server, "other"))
    slot = taken(ledger, 0.0)
    home.store_fails = lambda: Reply.LOCKED
    again_s = ledger.take(MEDIUM, ONE, 1.0)
    assert not isinstance(again_s, Slot)
    assert 1.0 < again_s < 1.2
    assert (used(ledger, 1.0), used(other, 1.0)) == (1, 1)
    ledger.cancel(slot)
    assert (used(ledger, 1.0), used(other, 1.0)) == (1, 1), "the slot counts until the cancel is stored"
    assert 1.0 < ledger.sync(1.0) < 1.2
    with pytest.raises(TimeoutError):
        ledger.reset()
    home.store_fails = lambda: None
    assert ledger.sync(1.2) == float("inf")
    assert used(other, 1.2) == 0
    taken(ledger, 1.2)
    taken(ledger, 1.2)


def test_a_home_that_is_locked_for_reading_gives_no_slot() -> None:
    home = ServerHome(Server(), load_fails=lambda: Reply.LOCKED)
    ledger = Ledger(home)
    assert not isinstance(ledger.take(MEDIUM, ONE, 0.0), Slot)
    assert home.stored == 0
    assert ledger.plan(MEDIUM) == PLANS[MEDIUM]


def test_a_process_that_is_alone_does_not_read_its_book_back() -> None:
    home = ServerHome(Server())
    ledger = Ledger(home)
    slot = taken(ledger, 0.0)
    ledger.settle(slot, 1.0, None)
    taken(ledger, 1.0)
    assert (home.looks, home.stored) == (1, 3)


def test_a_change_that_another_process_overtook_is_made_again_on_its_book() -> None:
    server = Server()
    home = ServerHome(server)
    ledger, faster = Ledger(home), Ledger(ServerHome(server, "faster"))
    overtaken: list[Slot] = []

    def overtake() -> None:
        if not overtaken:
            overtaken.append(taken(faster, 0.0))

    home.store_fails = overtake
    slot = taken(ledger, 0.0)
    assert slot.id != overtaken[0].id
    assert used(ledger, 0.0) == used(faster, 0.0) == 2


def test_a_process_that_is_always_overtaken_waits_as_for_a_lock() -> None:
    home = ServerHome(Server(), store_fails=lambda: Reply.OUTDATED)
    ledger = Ledger(home)
    again_s = ledger.take(MEDIUM, ONE, 1.0)
    assert not isinstance(again_s, Slot)
    assert 1.0 < again_s < 1.2


@pytest.mark.parametrize("failing", ["load_fails", "store_fails"])
def test_a_ledger_whose_home_fails_continues_in_memory_and_takes_the_others_for_dead(failing: str) -> None:
    server, lines = Server(), list[str]()
    home = ServerHome(server)
    ledger, other = Ledger(home, lines.append), Ledger(ServerHome(server, "other"))
    taken(other, 0.0)
    slot = taken(ledger, 1.0)
    setattr(home, failing, broken)
    ledger.settle(slot, 2.0, None)
    assert lines == ["the server is gone; this process now counts its requests in memory"]
    assert not isinstance(ledger.take(MEDIUM, ONE, 3.0), Slot)
    (state,) = ledger.states(3.0)
    assert (state.in_flight, state.used) == (0, 2)
    assert max(state.returns_s) == pytest.approx(60.06 + LINGER_S, abs=0.01)
    taken(ledger, 63.0)
    assert len(lines) == 1


def test_random_locks_and_overtaking_lose_nothing(tmp_path: Path) -> None:
    """Four processes, against the police."""
    dice = Random(1)
    plans = {MEDIUM: Plan(40)}

    @attrs.frozen
    class Homes:
        server: Server

        def open(self, owner: str) -> Ledger:
            return Ledger(
                ServerHome(
                    self.server,
                    owner,
                    plans,
                    load_fails=lambda: Reply.LOCKED if dice.random() < 0.02 else None,
                    store_fails=lambda: dice.choice([Reply.LOCKED, Reply.OUTDATED, *[None] * 8]),
                ),
                pytest.fail,
            )

        def kill(self, owner: str, _now: float) -> None:
            self.server.dead.add(owner)

    police = Police(plans)
    fleet = Fleet(Homes(Server()), police, late=lambda: dice.uniform(0.0, 0.01))
    for _ in range(4):
        fleet.submit(fleet.start(), MEDIUM, Priority.BULK, 60)
    fleet.at(70.0, lambda: fleet.kill(fleet.processes[0]))
    fleet.run(900.0)
    assert all(process.ended == process.submitted for process in fleet.processes[1:])
    assert police.violations == []
    assert {state.used for state in fleet.processes[1].ledger.states(1000.0)} == {0}
