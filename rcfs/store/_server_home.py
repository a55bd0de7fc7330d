"""A home of ledgers on a Redis or Valkey server, which clients on several machines share.

The server holds one book as one value, with a version and a *generation*, a random text that changes when
clients notice that the server has forgotten something. Times in the book are those of the server's clock plus
a shift, by which clients undo it when somebody sets that clock (`ServerClock`).

Each client has a *lease* on the server, which each of its commands renews. When the lease ends, the client
counts as dead. A client on this machine counts as dead as soon as its process has ended.
"""

import secrets
from collections.abc import Callable, Collection, Mapping
from typing import Final, Literal, Protocol

import msgspec

from rcfs.errors import SharedLedgerError
from rcfs.model import LedgerAddress, Plan, UsageGroup
from rcfs.quota import Book, Held, Home, Reply, Stamp, restore_book
from rcfs.store._machine import Machine
from rcfs.store._server_clock import ServerClock
from rcfs.store._server_connection import Held as Answer
from rcfs.store._server_connection import ServerConnection

LEASE_S: Final = 90.0
"""How long a client counts as living after its latest command, in seconds. A client that cannot reach the
ledger, but can reach RingCentral, has given up all its requests by then: a request has 10 s for its
connection, and 60 s for the headers of its answer."""

POLL_S: Final = 1.0
"""Longest time after which a client that waits for a slot asks again, in seconds."""

_PAUSES_S: Final = (0.1, 0.2, 0.5, 1.0)
"""Pauses between tries to reach the server, in seconds; the last one repeats."""

_CLOCK_DOUBT_S: Final = 5.0
"""How wrong the wall clock of this machine may be before the server tells its own, in seconds."""

_SHAPE: Final = Stamp("", 0.0, 0.0)
"""The clock of the server has no boot."""


def peer_names(owners: Collection[str]) -> tuple[str, ...]:
    """The names of clients for people, as host:pid."""
    return tuple(sorted(owner.partition(" ")[0] for owner in owners))


class Memory(Protocol):
    """Remembers on this machine that a ledger was used, for a start while its server is out of reach."""

    def parties(self) -> int:
        """The number of clients that used the ledger last; 0 if it was never used from here."""
        ...

    def remember(self, parties: int) -> None:
        """Keep the number for the next start."""
        ...


class ServerHome(Home):
    """The home that one client has on the server; for one thread at a time, except `close`.

    Args:
        connection: The server.
        plans: The plan of each group until a response tells another.
        machine: The machine it runs on; its `owner` is unique among all clients.
        memory: What this machine remembers.
    """

    def __init__(
        self,
        connection: ServerConnection,
        plans: Mapping[UsageGroup, Plan],
        machine: Machine,
        memory: Memory,
    ) -> None:
        self.connection = connection
        self._plans = plans
        self._machine = machine
        self._memory = memory
        self.clock = ServerClock(machine.wall_s() - machine.clock_s(), _CLOCK_DOUBT_S)
        """The clock of the book; its local times are those of `machine`."""
        self._generation, self._version = "", 0
        """Of the book that this client knows; empty and 0 for none."""
        self._next_generation = ""
        """The generation to store; empty for the same one."""
        self._base: tuple[str, int] = ("", 0)
        """Generation and version that the server held last."""
        self._shift_s = 0.0
        self._leases_s: dict[str, float] = {}
        """Local time at which the lease of each client ends."""
        self._missing_s: dict[str, float] = {}
        """Local time since which a client of the book has no lease."""
        self._newer: Answer | None = None
        """The answer of the server when it refused to store."""
        self._failures = 0
        self._retry_s = 0.0
        self._failure: SharedLedgerError | None = None

    @property
    def address(self) -> LedgerAddress:
        """Where the server is."""
        return self.connection.address

    @property
    def forgets(self) -> bool:
        """See `Home.forgets`."""
        return True

    @property
    def parties(self) -> int:
        """See `Home.parties`."""
        return max(1, self._memory.parties())

    @property
    def owner(self) -> str:
        """See `Home.owner`."""
        return self._machine.owner

    def now_s(self) -> float:
        """The book's time for a request, in seconds; see `ServerClock`."""
        return self.clock.earliest_s(self._machine.clock_s())

    def new_book(self) -> Book:
        """See `Home.new_book`."""
        return Book(self._plans, poll_s=POLL_S)

    def load(self, known: int | None, *, to_store: bool) -> Held | Literal[Reply.UNCHANGED, Reply.LOCKED]:
        """See `Home.load`."""
        self._refuse_early()
        if to_store and known is not None:
            return Reply.UNCHANGED
        answer, self._newer = self._newer, None
        if answer is None:
            here = (self._generation, known) if known is not None else ("", 0)
            answer = self._asked(lambda: self.connection.load(self.owner, LEASE_S, *here))
        return self._held(answer, known)

    def store(
        self,
        book: Book,
        version: int,
        *,
        patient: bool,  # noqa: ARG002 - there are no locks
    ) -> Literal[Reply.STORED, Reply.OUTDATED, Reply.LOCKED]:
        """See `Home.store`."""
        self._refuse_early()
        generation = self._next_generation or self._base[0] or secrets.token_hex(8)
        text = msgspec.json.encode(book.dump())
        is_here = self.owner in book.owners
        new, known = (generation, version + 1), self._base
        answer = self._asked(
            lambda: self.connection.store(
                self.owner, LEASE_S if is_here else 0.0, known, new, self._shift_s, text
            )
        )
        if not answer.is_stored:
            self._newer = answer
            return Reply.OUTDATED
        self._base = self._generation, self._version = new
        self._next_generation = ""
        self._remember(book)
        return Reply.STORED

    def ended(self, owners: Collection[str]) -> Collection[str]:
        """See `Home.ended`."""
        now_s = self._machine.clock_s()
        others = [owner for owner in owners if owner != self.owner]
        self._missing_s = {
            owner: self._missing_s.get(owner, now_s) for owner in others if owner not in self._leases_s
        }
        return [
            owner
            for owner in others
            if not self._machine.is_alive(owner)
            or self._leases_s.get(owner, self._missing_s.get(owner, now_s) + LEASE_S) < now_s
        ]

    def close(self) -> None:
        """See `Home.close`."""
        self.connection.close()

    def _held(self, answer: Answer, known: int | None) -> Held | Literal[Reply.UNCHANGED]:
        """The contents that `answer` tells, for a client that knows version `known`."""
        base = answer.generation, answer.version
        mine = self._generation, self._version
        self._base = base
        if known is not None and base == mine:
            return Reply.UNCHANGED
        # The server has forgotten what this client saw, and no other client has noticed that before.
        behind = mine[1] > 0 and (not base[1] or (base[0] == mine[0] and base[1] < mine[1]))
        if behind:
            self._next_generation = secrets.token_hex(8)
            return Held(max(base[1], mine[1]), None, behind=True)
        if not base[1]:
            lost = self._memory.parties() > 0
            return Held(0, None, self.clock.latest_s(self._machine.clock_s()) if lost else None)
        try:
            values = msgspec.json.decode(answer.book or b"")
            book = restore_book(values, _SHAPE, _SHAPE, self._plans, POLL_S)
        except (ValueError, msgspec.DecodeError):
            # Somebody has written over it: as if it were lost.
            self._next_generation = secrets.token_hex(8)
            return Held(base[1], None, self.clock.latest_s(self._machine.clock_s()))
        self._generation, self._version = base
        self._remember(book)
        return Held(base[1], book)

    def _remember(self, book: Book) -> None:
        parties = len({*book.owners, self.owner})
        if parties != self._memory.parties():
            self._memory.remember(parties)

    def _refuse_early(self) -> None:
        """Raise the latest failure again until it is time for the next try."""
        if self._failure is not None and self._machine.clock_s() < self._retry_s:
            raise self._failure

    def _asked(self, command: Callable[[], Answer]) -> Answer:
        """The answer to `command`, after taking note of the server's time and the leases."""
        asked_s = self._machine.clock_s()
        try:
            answer = command()
        except SharedLedgerError as exc:
            self._retry_s = self._machine.clock_s() + _PAUSES_S[min(self._failures, len(_PAUSES_S) - 1)]
            self._failures, self._failure = self._failures + 1, exc
            self._newer = None
            raise
        answered_s = self._machine.clock_s()
        self._failures, self._failure = 0, None
        if not answer.is_stored:
            self._shift_s = answer.shift_s
            self._leases_s = {
                owner: answered_s + end_s - answer.server_s for owner, end_s in answer.leases_s.items()
            }
        self._shift_s += self.clock.observe(asked_s, answered_s, answer.server_s + self._shift_s)
        return answer
