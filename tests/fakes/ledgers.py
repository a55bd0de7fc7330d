"""The homes that a ledger may have, each as several processes see it: one list for all that test ledgers."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Protocol

import attrs

from rcfs.model import Plan, UsageGroup
from rcfs.quota import LINGER_S, Book, Ledger, MemoryHome
from rcfs.store import SqliteHome, open_ledger

POLL_S = 1.0
"""How long a process may go without asking, in the home in memory."""


class Home(Protocol):
    """Where the ledger of one credential is kept."""

    def open(self, owner: str) -> Ledger:
        """The ledger as the process `owner` sees it, which starts with this."""
        ...

    def kill(self, owner: str, now: float) -> None:
        """The process `owner` is dead from `now` on; its ledger is not used any more."""
        ...


class InMemory:
    """A book that is passed around; a death is noticed at once."""

    def __init__(self, plans: Mapping[UsageGroup, Plan], _directory: Path) -> None:
        self._book = Book(plans, poll_s=POLL_S)
        self._ledgers: dict[str, Ledger] = {}

    def open(self, owner: str) -> Ledger:
        home = MemoryHome(book=self._book, owner=owner, is_alive=lambda _owner: True)
        ledger = self._ledgers[owner] = Ledger(home)
        return ledger

    def kill(self, owner: str, now: float) -> None:
        # What it has left to say is for no other process.
        ledger = self._ledgers.pop(owner)
        ledger._book = deepcopy(self._book)
        ledger._home = MemoryHome(book=ledger._book, owner=owner, is_alive=lambda _owner: True)
        self._book.remove_owner(owner, now + LINGER_S)


@attrs.define
class FakeMachine:
    """A machine whose clocks stand where the test puts them, as one process sees it."""

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
    """A database; a process whose ledger is not used any more is dead."""

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
        # What a kill does to an open database: nothing is written any more.
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
"""Each makes a home from the assumed plans and a directory of its own."""
