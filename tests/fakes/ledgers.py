"""The homes of a ledger, each as several processes see it, for all tests of ledgers."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Protocol

import attrs

from rcfs.model import Plan, UsageGroup
from rcfs.quota import Book, Ledger, MemoryHome
from rcfs.store import SqliteHome, open_ledger

POLL_S = 1.0
"""Longest time in seconds that a process may go without reading the home in memory."""


class Home(Protocol):
    """The home of the ledger of one credential."""

    def open(self, owner: str) -> Ledger:
        """The ledger of the process `owner`, which starts with this call."""
        ...

    def kill(self, owner: str, now: float) -> None:
        """Kill the process `owner` at `now`; its ledger is not used afterwards."""
        ...


class InMemory:
    """One book in memory; deaths are noticed at once."""

    def __init__(self, plans: Mapping[UsageGroup, Plan], _directory: Path) -> None:
        self._book = Book(plans, poll_s=POLL_S)
        self._ledgers: dict[str, Ledger] = {}

    def open(self, owner: str) -> Ledger:
        home = MemoryHome(book=self._book, owner=owner, is_alive=lambda _owner: True)
        ledger = self._ledgers[owner] = Ledger(home)
        return ledger

    def kill(self, owner: str, now: float) -> None:
        # Its pending news must not reach another process.
        ledger = self._ledgers.pop(owner)
        ledger._book = deepcopy(self._book)
        ledger._home = MemoryHome(book=ledger._book, owner=owner, is_alive=lambda _owner: True)
        self._book.remove_owner(owner, now)


@attrs.define
class FakeMachine:
    """A machine, as one process sees it, with clocks that the test sets."""

    boot: str = "first boot"
    owner: str = "me"
    clock: float = 0.0
    wall: float = 1.7e9
    dead: set[str] = attrs.field(factory=set)

    def clock_s(self) -> float:
        return self.clock

    def wall_s(self) -> float:
        return self.wall

    def is_alive(self, owner: str) -> bool:
        return owner not in self.dead


class InFile:
    """A database; a process whose ledger is no longer used is dead."""

    def __init__(self, plans: Mapping[UsageGroup, Plan], directory: Path) -> None:
        self._plans = plans
        self._path = directory / "ledger.sqlite"
        self._dead: set[str] = set()
        self._ledgers: dict[str, Ledger] = {}

    def open(self, owner: str) -> Ledger:
        machine = FakeMachine(owner=owner, dead=self._dead)
        ledger = open_ledger(self._path, "somebody", self._plans, _no_warning, machine)
        self._ledgers[owner] = ledger
        return ledger

    def kill(self, owner: str, now: float) -> None:
        self._dead.add(owner)
        # Like a kill of a process with an open database: later writes fail.
        close_file(self._ledgers.pop(owner))


def close_file(ledger: Ledger) -> None:
    """Close the database of `ledger` under it."""
    assert isinstance(ledger._home, SqliteHome)
    ledger._home._connection.close()


def _no_warning(line: str) -> None:
    raise AssertionError(line)


HOMES: Mapping[str, Callable[[Mapping[UsageGroup, Plan], Path], Home]] = {
    "memory": InMemory,
    "sqlite": InFile,
}
"""Constructors of homes, which take the assumed plans and a directory for the home."""
