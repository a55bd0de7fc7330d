"""A home of ledgers on a Redis or Valkey server, which clients on several machines share.

The server holds one book as one value, with a version and a generation (`rcfs.store._server_generation`).
Times in the book are those of the server's clock plus a shift, by which clients undo it when somebody sets
that clock (`ServerClock`).

Each client has a *lease* on the server: the time until which it has promised to be heard. Each of its
commands renews it. `rcfs.quota._outage` says what the others do when it ends. A client on this machine counts
as dead as soon as its process has ended, and so does one of an earlier boot with the same state directory.
"""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Final, Literal, Protocol

import attrs
import msgspec

from rcfs.errors import SharedLedgerError
from rcfs.model import Plan, UsageGroup
from rcfs.quota import ABSENT_S, LONGEST_REQUEST_S, Book, Held, Home, Reply, Stamp, restore_book
from rcfs.store._machine import Machine
from rcfs.store._server_clock import ServerClock
from rcfs.store._server_connection import BookUpdate, Lease
from rcfs.store._server_connection import Held as Answer
from rcfs.store._server_generation import Newer, State, begun

LEASE_S: Final = 30.0
"""How long a client promises to be heard again after a command, in seconds; it sends one every five."""

POLL_S: Final = 1.0
"""Longest time after which a client that waits for a slot asks again, in seconds."""

_PAUSES_S: Final = (*[0.1] * 10, *[0.2] * 10, 0.5, 1.0)
"""Pauses between tries to reach the server, in seconds; the last one repeats. After a restart everyone waits
for the last client that comes back, and most restarts take less than three seconds."""

_CLOCK_DOUBT_S: Final = 5.0
"""How wrong the wall clock of this machine may be before the server tells its own, in seconds."""

_FAR_S: Final = 1e12
"""A time on the server's clock that never comes."""

_SHAPE: Final = Stamp("", 0.0, 0.0)
"""The clock of the server has no boot."""


def peer_names(owners: Collection[str]) -> tuple[str, ...]:
    """The names of clients for people, as host:pid."""
    return tuple(sorted(owner.partition(" ")[0] for owner in owners))


class Memory(Protocol):
    """Remembers on this machine who used a ledger, for a start while its server is out of reach or empty."""

    def shares(self) -> Mapping[str, int]:
        """The clients that used the ledger last, each with the divisor of its share; see `Outage`."""
        ...

    def former(self) -> Collection[str]:
        """Clients of an earlier boot of this machine, which are dead."""
        ...

    def remember(self, shares: Mapping[str, int]) -> None:
        """Keep them for the next start."""
        ...


class Connection(Protocol):
    """The part of `ServerConnection` that a home needs."""

    def load(self, owner: str, lease: Lease | None, generation: str, version: int) -> Answer:
        """See `ServerConnection.load`."""
        ...

    def store(self, owner: str, lease: Lease | None, update: BookUpdate) -> Answer:
        """See `ServerConnection.store`."""
        ...

    def close(self) -> None:
        """See `ServerConnection.close`."""
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
        connection: Connection,
        plans: Mapping[UsageGroup, Plan],
        machine: Machine,
        memory: Memory,
    ) -> None:
        self._connection = connection
        self._plans = plans
        self._machine = machine
        self._memory = memory
        self.clock = ServerClock(machine.wall_s() - machine.clock_s(), _CLOCK_DOUBT_S)
        """The clock of the book; its local times are those of `machine`."""
        self._mine = State()
        """The state that this client has seen."""
        self._base: tuple[str, int] = ("", 0)
        """Generation and version that the server held last."""
        self._next: State | None = None
        """The state to continue from in the next version; None for `_mine`."""
        self._is_whole = True
        """Whether the book that this client saw last awaits nobody."""
        self._run = ""
        self._shift_s = 0.0
        self._leases_s: dict[str, float] = {}
        """The book's time at which the lease of each client ends."""
        self._missing_s: dict[str, float] = {}
        """The book's time since which a client of the book has no lease."""
        self._promised_s = 0.0
        self._newer: Answer | None = None
        """The answer of the server when it refused to store."""
        self._failures = 0
        self._retry_s = 0.0
        self._failure: SharedLedgerError | None = None

    @property
    def forgets(self) -> bool:
        """See `Home.forgets`."""
        return True

    @property
    def promised_s(self) -> float:
        """See `Home.promised_s`."""
        # The clock of a client that never had an answer may be wrong.
        return self._promised_s if self._promised_s else self.now_s() + LEASE_S

    @property
    def start_divisor(self) -> int:
        """See `Home.start_divisor`: that of a dead process of this machine, whose share the others leave."""
        shares = self._memory.shares()
        dead = [divisor for owner, divisor in shares.items() if divisor and self._is_dead(owner)]
        return max(dead, default=0)

    @property
    def owner(self) -> str:
        """See `Home.owner`."""
        return self._machine.owner

    @property
    def retry_s(self) -> float:
        """Local time of the next try, while the server cannot be reached."""
        return self._retry_s

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
            here = (self._mine.generation, known) if known is not None else ("", 0)
            answer = self._asked(lambda lease: self._connection.load(self.owner, lease, *here))
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
        state = self._next or (self._mine if self._mine.token else begun(self._run, was_lost=False))
        new = attrs.evolve(state, version=version + 1)
        place = new.generation, new.version
        update = BookUpdate(self._base, place, self._shift_s, msgspec.json.encode(book.dump()))
        answer = self._asked(
            lambda lease: self._connection.store(self.owner, lease, update),
            ends=self.owner not in book.owners,
        )
        if not answer.is_stored:
            self._newer = answer
            return Reply.OUTDATED
        self._base, self._mine, self._next = place, new, None
        self._saw(book)
        return Reply.STORED

    def ended(self, owners: Collection[str]) -> Collection[str]:
        """See `Home.ended`."""
        now_s = self.now_s()
        others = [owner for owner in owners if owner != self.owner]
        self._missing_s = {
            owner: self._missing_s.get(owner, now_s) for owner in others if owner not in self._leases_s
        }
        return [
            owner
            for owner in others
            if self._is_dead(owner)
            or self._leases_s.get(owner, self._missing_s.get(owner, now_s)) + ABSENT_S < now_s
        ]

    def silent(self, owners: Collection[str]) -> Collection[str]:
        """See `Home.silent`."""
        latest_s = self.clock.latest_s(self._machine.clock_s())
        others = (owner for owner in owners if owner != self.owner)
        return [owner for owner in others if self._leases_s.get(owner, -math.inf) < latest_s]

    def close(self) -> None:
        """See `Home.close`."""
        self._connection.close()

    def _held(self, answer: Answer, known: int | None) -> Held | Literal[Reply.UNCHANGED]:
        """The contents that `answer` tells, for a client that knows version `known`."""
        self._base = answer.generation, answer.version
        self._run, self._next = answer.run, None
        try:
            base = State.read(*self._base)
        except ValueError:
            return self._lost(answer)
        has_restarted = bool(base.token) and base.run != answer.run
        if known is not None and base == self._mine and not has_restarted:
            return Reply.UNCHANGED
        newer = self._mine.newer(base)
        if not base.token or newer is Newer.MINE:
            return self._lost(answer)
        try:
            values = msgspec.json.decode(answer.book or b"")
            book = restore_book(values, _SHAPE, _SHAPE, self._plans, POLL_S)
        except (ValueError, msgspec.DecodeError):
            return self._lost(answer)  # Somebody has written over it.
        lost_s = self.clock.latest_s(self._machine.clock_s())
        if newer is Newer.UNKNOWN:
            book.freeze_everything(lost_s + LONGEST_REQUEST_S)
        self._mine = base
        self._saw(book)
        if has_restarted:
            self._next = base.renewed(self._run, is_whole=self._is_whole)
        return Held(base.version, book, lost_s if has_restarted else None, behind=has_restarted)

    def _lost(self, answer: Answer) -> Held:
        """The contents of a server that holds no book, or less than this client has seen."""
        lost_s = self.clock.latest_s(self._machine.clock_s())
        if self._mine.token:
            self._next = self._mine.renewed(self._run, is_whole=self._is_whole)
            return Held(max(self._mine.version, answer.version), None, lost_s, behind=True)
        shares = self._memory.shares()
        if not answer.version and not shares:
            return Held(0, None)
        self._next = begun(self._run, was_lost=True)
        book = self.new_book()
        book.freeze_everything(lost_s + LONGEST_REQUEST_S)
        # The others may have taken over the shares of this machine's dead since.
        others = [owner for owner in shares if not self._is_dead(owner)]
        for owner in others:
            book.enter(owner)
            book.outage.note(owner, 0, others, lost_s)
        return Held(answer.version, book, lost_s, behind=True)

    def _saw(self, book: Book) -> None:
        self._is_whole = not book.outage.awaited(self.now_s())
        shares = {owner: book.outage.divisors.get(owner, 0) for owner in {*book.owners, self.owner}}
        if shares != self._memory.shares():
            self._memory.remember(shares)

    def _is_dead(self, owner: str) -> bool:
        return owner != self.owner and (not self._machine.is_alive(owner) or owner in self._memory.former())

    def _ping(self) -> None:
        """Find out whether the server answers again, without a new promise, which it may get or not.

        Raises:
            SharedLedgerError: It cannot be used now.
        """
        self._connection.load(self.owner, self._lease(), *self._base)
        self._failures = 0

    def _lease(self) -> Lease:
        """The promise for the next command: a new one, but not while earlier commands failed."""
        if not self.clock.is_known:
            return Lease(_FAR_S, LEASE_S)
        if not self._failures:
            self._promised_s = self.now_s() + LEASE_S
        return Lease(self._promised_s - self._shift_s, LEASE_S)

    def _refuse_early(self) -> None:
        """Raise the latest failure again until it is time for the next try."""
        if self._failure is not None and self._machine.clock_s() < self._retry_s:
            raise self._failure

    def _asked(self, command: Callable[[Lease | None], Answer], *, ends: bool = False) -> Answer:
        """The answer to `command`, after taking note of the server's time and the leases."""
        asked_s = self._machine.clock_s()
        try:
            if self._failures:
                self._ping()
            answer = command(None if ends else self._lease())
        except SharedLedgerError as exc:
            self._retry_s = self._machine.clock_s() + _PAUSES_S[min(self._failures, len(_PAUSES_S) - 1)]
            self._failures, self._failure = self._failures + 1, exc
            self._newer = None
            raise
        answered_s = self._machine.clock_s()
        self._failures, self._failure = 0, None
        if not answer.is_stored:
            self._shift_s = answer.shift_s
        self._shift_s += self.clock.observe(asked_s, answered_s, answer.server_s + self._shift_s)
        if not answer.is_stored:
            self._leases_s = {owner: end_s + self._shift_s for owner, end_s in answer.leases_s.items()}
        return answer
