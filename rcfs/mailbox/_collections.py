"""Collections: what is loaded from the platform as a whole, and kept current from then on.

A mailbox is one. Each belongs to an extension or to the company, and has a text as its id: the name of its
kind, its owner and, where an owner has several, which of them (``mailbox/101``, ``calls/company/2026-11``).
What is peculiar to a kind is in its `Kind`: how to ask for it, and how often.

Concurrency: all methods run in the trio thread; per collection there is one load or sync at a time, whoever
asks meanwhile waits for it. A load or sync runs on its own, so a waiter who gives up leaves it alone.
"""

import math
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Protocol

import attrs
import trio

from rcfs.errors import (
    ForbiddenError,
    NotFoundError,
    OfflineError,
    PlatformError,
    RcfsError,
    StoreError,
    UnreachableError,
)
from rcfs.mailbox._freshness import Freshness
from rcfs.model import Priority
from rcfs.transport import Demand, Network, Recorder

_REFUSAL_S = 60.0
"""How long a collection that was refused (CMN-419) stays refused without asking again: a person who was
given the permission meanwhile waits a minute, a program that tries them all again costs nothing."""


class State(Enum):
    """What is known of a collection."""

    UNKNOWN = "unknown"
    """It was never loaded whole."""
    LOADING = "loading"
    """The same, and it is being loaded."""
    REFUSED = "refused"
    """The same, and it was refused less than a minute ago."""
    KNOWN = "known"
    """It was loaded whole, and can be shown. Only such a collection is kept current."""
    NONE = "none"
    """It does not exist, so it is never asked for."""


@attrs.define
class Progress:
    """How far a load is; times in seconds of trio's clock."""

    begun_s: float
    """When it was begun."""
    is_load: bool = False
    """Whether the whole list is read; else it is a sync, which tells nothing of its progress."""
    pages: int = 0
    """Pages that are in the index."""
    records: int = 0
    """Records on them."""
    of_pages: int | None = None
    """How many pages there are; None when the server does not say."""
    of_records: int | None = None
    """How many records there are; the same."""

    def begin(self, now: float) -> None:
        """The list is read from its beginning."""
        self.begun_s, self.is_load, self.pages, self.records = now, True, 0, 0

    def left_s(self, now: float) -> float | None:
        """How long it will still take, at the pace so far; None when nobody can say."""
        if not self.pages or self.of_pages is None:
            return None
        return (now - self.begun_s) / self.pages * max(0, self.of_pages - self.pages)


class Kind(Protocol):
    """What is peculiar to the collections of one kind."""

    def label(self, collection_id: str) -> str:
        """What the queue and messages call it, without an article."""

    def recall(self, collection_id: str) -> tuple[State, float]:
        """What is known without a request: UNKNOWN, KNOWN or NONE, and how many seconds ago it was synced.

        Raises:
            StoreError: The index fails.
        """

    def freshness(self, now: float, synced_ago_s: float) -> Freshness:
        """When to sync one that was synced `synced_ago_s` before `now` (inf for never)."""

    async def update(self, collection_id: str, progress: Progress, demand: Demand) -> State:
        """Loads or syncs it; KNOWN afterwards, or NONE when it turned out not to exist.

        Raises:
            PlatformError: The server refused, failed or could not be reached.
            StoreError: The index fails.
        """

    def settled(self, collection_id: str) -> None:
        """It has become KNOWN or NONE."""


def kind_of(collection_id: str) -> str:
    """The name of the kind of a collection."""
    return collection_id.split("/", maxsplit=1)[0]


def owner_of(collection_id: str) -> int | None:
    """The extension that a collection belongs to; None for one of the company."""
    owner = collection_id.split("/")[1]
    return int(owner) if owner.isdecimal() else None


@attrs.define(eq=False)
class _Job:
    """A load or sync under way."""

    demand: Demand
    progress: Progress
    done: trio.Event = attrs.field(factory=trio.Event)
    failure: RcfsError | None = None


@attrs.define(eq=False)
class _Entry:
    """One collection."""

    freshness: Freshness
    settled: State
    """UNKNOWN, KNOWN or NONE."""
    job: _Job | None = None
    refusal: RcfsError | None = None
    refused_until_s: float = -math.inf

    @property
    def state(self) -> State:
        if self.settled is not State.UNKNOWN:
            return self.settled
        if self.job is not None:
            return State.LOADING
        return State.REFUSED if trio.current_time() < self.refused_until_s else State.UNKNOWN


class Collections:
    """All collections of an account."""

    def __init__(
        self, kinds: Mapping[str, Kind], network: Network, recorder: Recorder, nursery: trio.Nursery
    ) -> None:
        """Makes collections of these kinds, by name, whose loads and syncs run in `nursery`."""
        self._kinds = kinds
        self._network = network
        self._recorder = recorder
        self._nursery = nursery
        self._entries: dict[str, _Entry] = {}
        self._kept: tuple[str, ...] = ()
        self._rescheduled = trio.Event()
        self._settled = trio.Event()

    def state(self, collection_id: str) -> State:
        """What is known of a collection; costs nothing."""
        return self._entry(collection_id).state

    @property
    def known(self) -> frozenset[str]:
        """The collections that are kept current."""
        return frozenset(each for each in self._kept if self._entry(each).settled is State.KNOWN)

    async def wait_settled(self) -> None:
        """Returns when `known` may have changed."""
        await self._settled.wait()

    def keep(self, collection_ids: Iterable[str]) -> None:
        """From now on these collections, once they are known, and no others are synced from time to time."""
        self._kept = tuple(collection_ids)
        self._rescheduled.set()
        self._tell_settled()

    def recall(self, collection_ids: Iterable[str] | None = None) -> None:
        """What the kinds know of these collections, or of all, may be something else than before."""
        for collection_id in self._entries if collection_ids is None else collection_ids:
            self._entry(collection_id).settled = self._recall(collection_id)[0]

    def loads(self) -> list[tuple[str, Progress]]:
        """(collection, progress) of those that are being loaded."""
        return [
            (collection_id, entry.job.progress)
            for collection_id, entry in self._entries.items()
            if entry.job is not None and (entry.job.progress.is_load or entry.settled is not State.KNOWN)
        ]

    def visit(self, collection_id: str) -> None:
        """A person looks: the collection is synced, if what is known is not of just now; nobody waits."""
        entry, now = self._entry(collection_id), trio.current_time()
        if entry.settled is State.NONE:
            return
        before_s = entry.freshness.due_s(now)
        entry.freshness.looked_at(now)
        due_s = entry.freshness.due_s(now)
        if entry.job is None and due_s <= now and not self._network.is_down:
            self._start(collection_id, entry, Priority.METADATA)
        elif due_s < before_s:
            self._rescheduled.set()

    def hint(self, collection_id: str) -> None:
        """The platform says that something happened in it; nothing happens to one that is not known."""
        entry = self._entry(collection_id)
        if entry.settled is State.KNOWN:
            entry.freshness.hinted()
            self._rescheduled.set()

    def listen(self, collection_ids: frozenset[str]) -> None:
        """From now on the platform hints at what happens in these collections, and in no others."""
        for collection_id, entry in self._entries.items():
            entry.freshness.hints_come = collection_id in collection_ids
        self._rescheduled.set()

    def is_hinted(self, collection_id: str) -> bool:
        """Whether the platform hints at what happens in it."""
        return self._entry(collection_id).freshness.hints_come

    async def refresh(self, collection_id: str, priority: Priority = Priority.PERSON) -> None:
        """Loads or syncs a collection now; joins a load or sync that is under way; nothing where it is NONE.

        Raises:
            ForbiddenError: The login may not read it, now or within the last minute.
            PlatformError: The server failed or could not be reached.
        """
        entry = self._entry(collection_id)
        if entry.settled is State.NONE:
            return
        if entry.refusal is not None and trio.current_time() < entry.refused_until_s:
            raise entry.refusal.with_traceback(None)
        job = entry.job or self._start(collection_id, entry, priority)
        job.demand.raise_to(priority)
        await job.done.wait()
        if job.failure is not None:
            raise job.failure.with_traceback(None)

    async def refresh_all(self) -> int:
        """Syncs all collections that are kept current; how many.

        Raises:
            PlatformError: One of them could not be synced; the others were.
        """
        known = self.known
        failures: list[RcfsError] = []

        async def refresh(collection_id: str) -> None:
            try:
                # Not as a person's, because there may be hundreds, and somebody may look into one of them.
                await self.refresh(collection_id, Priority.METADATA)
            except RcfsError as exc:
                failures.append(exc)

        async with trio.open_nursery() as nursery:
            for collection_id in known:
                nursery.start_soon(refresh, collection_id)
        if failures:
            raise failures[0]
        return len(known)

    async def run(self) -> None:
        """Keeps the collections current; runs for as long as the account is used."""
        while True:
            await self._network.wait_up()
            self._rescheduled = trio.Event()
            now, next_s = trio.current_time(), math.inf
            for collection_id in self._kept:
                entry = self._entry(collection_id)
                if entry.settled is State.KNOWN and entry.job is None:
                    due_s = entry.freshness.due_s(now)
                    if due_s <= now:
                        # Paced like read-ahead, because there may be hundreds: a person's visit goes first.
                        self._start(collection_id, entry, Priority.READAHEAD)
                    else:
                        next_s = min(next_s, due_s)
            with trio.move_on_at(next_s):
                await self._rescheduled.wait()

    def _tell_settled(self) -> None:
        self._settled.set()
        self._settled = trio.Event()

    def _entry(self, collection_id: str) -> _Entry:
        entry = self._entries.get(collection_id)
        if entry is None:
            settled, ago_s = self._recall(collection_id)
            freshness = self._kinds[kind_of(collection_id)].freshness(trio.current_time(), ago_s)
            entry = self._entries[collection_id] = _Entry(freshness, settled)
        return entry

    def _recall(self, collection_id: str) -> tuple[State, float]:
        kind = kind_of(collection_id)
        try:
            return self._kinds[kind].recall(collection_id)
        except StoreError as exc:
            self._recorder.fault(kind, str(exc), extension=owner_of(collection_id))
            return State.UNKNOWN, math.inf

    def _start(self, collection_id: str, entry: _Entry, priority: Priority) -> _Job:
        entry.freshness.began(trio.current_time())
        demand = Demand(priority, label=self._kinds[kind_of(collection_id)].label(collection_id))
        entry.job = _Job(demand, Progress(trio.current_time()))
        self._nursery.start_soon(self._run_job, collection_id, entry, entry.job)
        return entry.job

    async def _run_job(self, collection_id: str, entry: _Entry, job: _Job) -> None:
        name, extension_id = kind_of(collection_id), owner_of(collection_id)
        kind = self._kinds[name]
        entry.refusal, entry.refused_until_s = None, -math.inf
        job.failure = PlatformError("the mount is ending")
        try:
            settled = await kind.update(collection_id, job.progress, job.demand)
            job.failure = None
            if entry.settled is not settled:
                entry.settled = settled
                self._tell_settled()
                kind.settled(collection_id)
        except RcfsError as exc:
            job.failure = exc
            if isinstance(exc, UnreachableError):
                entry.freshness.hinted()  # so that it is synced as soon as that is possible
            elif isinstance(exc, ForbiddenError) and job.demand.priority is Priority.CRAWLER:
                # Nobody has asked for it, and nothing is wrong: to most logins most mailboxes are closed.
                self._recorder.note(f"{name} refused", extension=extension_id, code=exc.code)
            elif not isinstance(exc, OfflineError):
                self._recorder.failure(name, exc, extension=extension_id)
            if isinstance(exc, (ForbiddenError, NotFoundError)):
                entry.refusal, entry.refused_until_s = exc, trio.current_time() + _REFUSAL_S
        except Exception as exc:  # noqa: BLE001 - one collection's trouble must not end the mount
            self._recorder.crash(name, exc)
            job.failure = PlatformError(f"the {kind.label(collection_id)} cannot be shown")
        finally:
            entry.job = None
            job.done.set()
            self._rescheduled.set()
