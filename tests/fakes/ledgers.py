"""The homes of a ledger, each as several processes see it, for all tests of ledgers."""

import secrets
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Protocol

import attrs

from rcfs.model import Plan, UsageGroup
from rcfs.quota import Book, Ledger, MemoryHome
from rcfs.store import SqliteHome, open_ledger
from rcfs.store._server_connection import BookUpdate, Lease, ServerConnection
from rcfs.store._server_connection import Held as Answer
from rcfs.store._server_home import ServerHome
from tests.fakes.ledger_server import LedgerServer, shared_server

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
        self.plans = dict(plans)
        self._book = Book(plans, poll_s=POLL_S)
        self._ledgers: dict[str, Ledger] = {}

    def open(self, owner: str) -> Ledger:
        home = MemoryHome(book=self._book, owner=owner, is_alive=lambda _owner: True)
        ledger = self._ledgers[owner] = Ledger(home)
        return ledger

    def kill(self, owner: str, now: float) -> None:
        # Its pending news must not reach another process.
        ledger = self._ledgers.pop(owner)
        ledger._replica.home = MemoryHome(owner=owner)
        ledger._replica.book = deepcopy(self._book)
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


@attrs.define
class FakeMemory:
    """The clients of a ledger on a server, as a machine remembers them."""

    known: Mapping[str, int] = attrs.field(factory=dict)
    dead: set[str] = attrs.field(factory=set)

    def shares(self) -> Mapping[str, int]:
        return self.known

    def former(self) -> Collection[str]:
        return self.dead

    def remember(self, shares: Mapping[str, int]) -> None:
        self.known = shares


@attrs.define(eq=False)
class VirtualTime:
    """A connection to a real server, whose clock shows the virtual time of a machine."""

    real: ServerConnection
    machine: FakeMachine

    def load(self, owner: str, lease: Lease | None, generation: str, version: int) -> Answer:
        return self._shifted(self.real.load(owner, lease, generation, version))

    def store(self, owner: str, lease: Lease | None, update: BookUpdate) -> Answer:
        answer = self.real.store(owner, lease, update)
        if answer.is_stored:
            return attrs.evolve(answer, server_s=self.machine.clock - update.shift_s)
        return self._shifted(answer)

    def close(self) -> None:
        self.real.close()

    def _shifted(self, answer: Answer) -> Answer:
        return attrs.evolve(answer, shift_s=self.machine.clock - answer.server_s)


class OnServer:
    """A book on a real server; a process whose ledger is no longer used is dead."""

    def __init__(
        self, plans: Mapping[UsageGroup, Plan], _directory: Path, server: LedgerServer | None = None
    ) -> None:
        self._plans = plans
        self._server = server or shared_server()
        self.name = secrets.token_hex(8)
        self._dead: set[str] = set()
        self._ledgers: dict[str, Ledger] = {}
        self._killed_s = 0.0
        self.memory = FakeMemory()
        self.machines: dict[str, FakeMachine] = {}
        self.lines: list[str] = []
        """The warnings of all ledgers."""

    def open(self, owner: str) -> Ledger:
        machine = self.machines[owner] = FakeMachine(owner=owner, wall=0.0, dead=self._dead)
        connection = ServerConnection(self._server.address, None, self.name)
        home = ServerHome(VirtualTime(connection, machine), self._plans, machine, self.memory)
        ledger = self._ledgers[owner] = Ledger(home, self.lines.append)
        now = max(self._killed_s, *(each._replica.now_s for each in self._ledgers.values()))
        for each in (ledger, *self._ledgers.values()):
            each.refresh(now)  # A new client takes no slot before the others have seen it.
        return ledger

    def kill(self, owner: str, now: float) -> None:
        self._dead.add(owner)
        self._killed_s = now
        self._ledgers.pop(owner)._replica.home.close()

    def set_clock(self, now: float) -> None:
        """Set the boot clock of all processes, and let each hear of the last change, as by a message."""
        for machine in self.machines.values():
            machine.clock = now

    def refresh(self, now: float) -> None:
        """Let each living process look at the home, as it does when it gets a message."""
        self.set_clock(now)
        for ledger in self._ledgers.values():
            ledger.refresh(now)


def close_file(ledger: Ledger) -> None:
    """Close the database of `ledger` under it."""
    assert isinstance(ledger._replica.home, SqliteHome)
    ledger._replica.home._connection.close()


def _no_warning(line: str) -> None:
    raise AssertionError(line)


HOMES: Mapping[str, Callable[[Mapping[UsageGroup, Plan], Path], Home]] = {
    "memory": InMemory,
    "sqlite": InFile,
    "server": OnServer,
}
"""Constructors of homes, which take the assumed plans and a directory for the home."""
