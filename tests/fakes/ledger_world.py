"""Processes on several machines that share a ledger on a server, in virtual time, with all that can go wrong.

Homes and ledgers are the real ones; the server is a model of the scripts of `rcfs.store._server_connection`.
"""

from collections.abc import Callable
from enum import Enum
from functools import partial
from random import Random

import attrs

from rcfs.errors import SharedLedgerError
from rcfs.model import Plan, Priority, UsageGroup
from rcfs.quota import Ledger
from rcfs.store._server_connection import BookUpdate, Held, Lease
from rcfs.store._server_home import ServerHome
from tests.fakes.fleet import Fleet, Process
from tests.fakes.ledgers import FakeMemory
from tests.fakes.police import Police

GROUP = UsageGroup("medium")
MESSAGE_S = 0.02
"""Longest way of a message, in seconds."""


class Loss(Enum):
    """The versions that a server loses when it restarts."""

    NOTHING = "nothing"
    LATEST = "what was stored in its last moments"
    ALL = "everything"


@attrs.define(eq=False)
class Server:
    """The model of the server: one book, and the leases."""

    clock: Callable[[], float]
    run: int = 0
    alive: bool = True
    history: list[tuple[str, int, float, bytes, dict[str, float]]] = attrs.field(factory=list)
    """The latest versions, each with the leases when it was stored; the last one is the present one."""
    leases_s: dict[str, float] = attrs.field(factory=dict)
    stored: Callable[[str], None] = lambda _owner: None

    def restart(self, loss: Loss, dice: Random) -> None:
        self.run, self.alive = self.run + 1, True
        if loss is Loss.ALL:
            self.history, self.leases_s = [], {}
        elif loss is Loss.LATEST and self.history:
            del self.history[len(self.history) - dice.randrange(min(10, len(self.history))) :]
            self.leases_s = dict(self.history[-1][4]) if self.history else {}

    def load(self, owner: str, lease: Lease | None, generation: str, version: int) -> Held:
        self._renew(owner, lease)
        held = self.history[-1] if self.history else ("", 0, 0.0, b"", {})
        is_known = held[:2] == (generation, version)
        book = held[3] if held[1] and not is_known else None
        leases_s = dict(self.leases_s)
        return Held(
            self.clock(),
            is_stored=False,
            generation=held[0],
            version=held[1],
            shift_s=held[2],
            book=book,
            leases_s=leases_s,
            run=str(self.run),
        )

    def store(self, owner: str, lease: Lease | None, update: BookUpdate) -> Held:
        self._renew(owner, lease)
        if update.known != (self.history[-1][:2] if self.history else ("", 0)):
            return self.load(owner, lease, "", 0)
        self.history = [*self.history[-20:], (*update.new, update.shift_s, update.book, dict(self.leases_s))]
        self.stored(owner)
        return Held(self.clock(), is_stored=True)

    def _renew(self, owner: str, lease: Lease | None) -> None:
        if lease is None:
            self.leases_s.pop(owner, None)
        else:
            self.leases_s[owner] = min(lease.until_s, self.clock() + lease.most_s)


@attrs.define(eq=False)
class Link:
    """The way of one process to the server; see `ServerConnection`."""

    world: "World"
    host: int
    owner: str

    def load(self, owner: str, lease: Lease | None, generation: str, version: int) -> Held:
        return self._run(lambda: self.world.server.load(owner, lease, generation, version))

    def store(self, owner: str, lease: Lease | None, update: BookUpdate) -> Held:
        return self._run(lambda: self.world.server.store(owner, lease, update))

    def close(self) -> None:
        pass

    def _run(self, command: Callable[[], Held]) -> Held:
        world, server = self.world, self.world.server
        if not server.alive or self.host in world.cut:
            raise SharedLedgerError("cannot be reached")
        if world.dice.random() >= world.slow:
            return command()
        run = server.run

        def late() -> None:
            if server.alive and server.run == run:
                command()

        # The server executes it, at once or later, and the answer is too late.
        world.fleet.at(world.fleet.now + world.dice.choice([0.0, 0.5, 3.0, 40.0]), late)
        raise SharedLedgerError("does not answer within 1 s")


@attrs.define(eq=False)
class Homes:
    """The homes of the processes; see `tests.fakes.ledgers.Home`."""

    world: "World"
    host: int = 0
    """The machine of the next process."""

    def open(self, owner: str) -> Ledger:
        world = self.world
        machine = world.machines[self.host]
        host = Host(owner, world, machine)
        home = ServerHome(Link(world, self.host, owner), world.plans, host, machine.memory)
        return Ledger(home, world.lines.append)

    def kill(self, owner: str, _now: float) -> None:
        for machine in self.world.machines:
            if any(process.owner == owner for process in machine.processes):
                machine.dead.add(owner)


@attrs.define(eq=False)
class Machine:
    """One machine: its state directory, and which of its processes are dead."""

    memory: FakeMemory = attrs.field(factory=FakeMemory)
    dead: set[str] = attrs.field(factory=set)
    processes: list[Process] = attrs.field(factory=list)


@attrs.define(eq=False)
class Host:
    """A machine as one of its processes sees it; see `rcfs.store.Machine`."""

    owner: str
    world: "World"
    machine: Machine
    boot: str = "boot"

    def clock_s(self) -> float:
        return self.world.fleet.now

    def wall_s(self) -> float:
        return self.world.fleet.now

    def is_alive(self, owner: str) -> bool:
        return owner not in self.machine.dead


class World:
    """See the module.

    Args:
        seed: Decides everything.
        machines: Number of machines; each starts with one process that has bulk work.
        limit: Requests per window.
    """

    def __init__(self, seed: int, machines: int, limit: int) -> None:
        self.dice = Random(seed)
        self.plans = {GROUP: Plan(limit)}
        self.lines: list[str] = []
        self.slow = 0.0
        """The part of the commands that the server answers too late."""
        self.cut: set[int] = set()
        """The machines that cannot reach the server."""
        self.police = Police(self.plans)
        self.server = Server(lambda: self.fleet.now, stored=self._tell)
        self.machines = [Machine() for _ in range(machines)]
        self._homes = Homes(self)
        self.fleet = Fleet(self._homes, self.police, late=lambda: self.dice.uniform(0.0, 0.01))

    def start(self, host: int, work: int) -> Process:
        """A new process on machine `host`, with `work` bulk requests to send."""
        self._homes.host = host
        process = self.fleet.start()
        self.machines[host].processes.append(process)
        self._beat(process)
        self.fleet.submit(process, GROUP, Priority.BULK, work)
        return process

    def kill(self, process: Process) -> None:
        self.fleet.kill(process)

    def end(self, process: Process) -> None:
        """End `process` in an orderly way."""
        process.alive = False
        process.ledger.close(self.fleet.now)
        self._homes.kill(process.owner, self.fleet.now)

    def run(self, until_s: float) -> None:
        self.fleet.run(until_s)

    def _tell(self, owner: str) -> None:
        """Send everyone but `owner` a message that the book has changed."""
        for host, machine in enumerate(self.machines):
            for process in machine.processes:
                if process.owner != owner and process.alive and host not in self.cut:
                    at_s = self.fleet.now + self.dice.uniform(0.0, MESSAGE_S)
                    self.fleet.at(at_s, partial(self._look, process), process)

    def _look(self, process: Process) -> None:
        if not process.stopped:
            process.ledger.refresh(self.fleet.now)

    def _beat(self, process: Process) -> None:
        self._look(process)
        pause_s = 1.0 if process.ledger.outage else 5.0
        self.fleet.at(self.fleet.now + pause_s, lambda: self._beat(process), process)
