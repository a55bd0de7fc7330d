"""Collections: lists that rcfs loads whole from the platform and then keeps current.

A mailbox is a collection. Each belongs to an extension or to the company, and its id is a text: the name of
its kind, its owner and, where an owner has several of a kind, which of them (``mailbox/101``,
``calls/company/2026-11``). How the collections of a kind are loaded, and how often they are synced, is in
their `Kind`. See `rcfs.model.collection_of`.

Concurrency: all methods run in the trio thread. Each collection has at most one load or sync at a time, and
later callers join it. A load or sync does not depend on its callers: it continues when they give up.
"""

import math
from collections.abc import Callable, Iterable
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
from rcfs.mailbox._allowance import Allowances
from rcfs.mailbox._freshness import Freshness, SyncPolicy
from rcfs.model import Plan, Priority, UsageGroup, kind_of, owner_of
from rcfs.transport import Network, Recorder, RequestOptions

_REFUSAL_S = 60.0
"""How long rcfs remembers that the platform refused a collection (CMN-419). A person who was just given the
permission waits a minute; a program that tries one collection after the other costs no further request."""


class State(Enum):
    """How much rcfs knows of a collection."""

    UNKNOWN = "unknown"
    """It was never loaded."""
    LOADING = "loading"
    """Its first load is under way."""
    REFUSED = "refused"
    """It was never loaded, and the platform refused it less than a minute ago."""
    LOADED = "loaded"
    """It was loaded whole, can be shown, and is kept current."""
    ABSENT = "absent"
    """It does not exist, or rcfs can never see it, so rcfs does not ask for it."""


@attrs.define
class Progress:
    """How far a load is; times are in seconds of trio's clock."""

    begun_s: float
    """When the load or sync began."""
    is_load: bool = False
    """Whether the whole list is read; False for a sync, which has no progress."""
    is_asked: bool = False
    """Whether somebody wants the present state, so that a recent sync of another process is not enough."""
    pages: int = 0
    """Pages that are in the index."""
    records: int = 0
    """Records on those pages."""
    requests: int = 0
    """Requests that a sync of a kind that counts them has sent so far, without repetitions."""
    of_pages: int | None = None
    """Pages of the whole list; None when the server does not say."""
    of_records: int | None = None
    """Records of the whole list; None when the server does not say."""

    def begin(self, now: float) -> None:
        """Notes that a load reads the list from its beginning."""
        self.begun_s, self.is_load, self.pages, self.records = now, True, 0, 0

    def left_s(self, now: float) -> float | None:
        """How long the rest takes at the pace so far; None when that is not known."""
        if not self.pages or self.of_pages is None:
            return None
        return (now - self.begun_s) / self.pages * max(0, self.of_pages - self.pages)


class Kind(Protocol):
    """How the collections of one kind are loaded and synced."""

    def label(self, collection_id: str) -> str:
        """Name of a collection for the queue and for messages, without an article."""

    def policy(self, collection_id: str) -> SyncPolicy:
        """How often a collection is synced."""

    def recall(self, collection_id: str) -> tuple[State, float]:
        """(UNKNOWN, LOADED or ABSENT; seconds since the last sync, inf for never), as the index knows it.

        Raises:
            StoreError: The index fails.
        """

    async def update(self, collection_id: str, progress: Progress, options: RequestOptions) -> State:
        """Loads or syncs a collection; LOADED afterwards, or ABSENT when it turns out not to exist.

        Raises:
            PlatformError: The server refused, failed or could not be reached.
            StoreError: The index fails.
        """

    def on_changed(self, collection_id: str) -> None:
        """Called when a collection has become LOADED or ABSENT."""


@attrs.define(eq=False)
class _Job:
    """A load or sync under way."""

    options: RequestOptions
    progress: Progress
    done: trio.Event = attrs.field(factory=trio.Event)
    failure: RcfsError | None = None


@attrs.define(eq=False)
class _Entry:
    freshness: Freshness
    recalled: State
    """UNKNOWN, LOADED or ABSENT: what the kind knows."""
    job: _Job | None = None
    refusal: RcfsError | None = None
    refused_until_s: float = -math.inf

    @property
    def state(self) -> State:
        if self.recalled is not State.UNKNOWN:
            return self.recalled
        if self.job is not None:
            return State.LOADING
        return State.REFUSED if trio.current_time() < self.refused_until_s else State.UNKNOWN


class Collections:
    """All collections of an account."""

    def __init__(
        self,
        network: Network,
        recorder: Recorder,
        nursery: trio.Nursery,
        plan_of: Callable[[UsageGroup], Plan],
    ) -> None:
        """Begins without kinds; runs loads and syncs in `nursery`. `plan_of` gives the limits of a group."""
        self._network = network
        self._recorder = recorder
        self._nursery = nursery
        self._kinds: dict[str, Kind] = {}
        self._entries: dict[str, _Entry] = {}
        self._allowances = Allowances(plan_of)
        self._kept: dict[str, tuple[str, ...]] = {}
        self._rescheduled = trio.Event()
        self._changed = trio.Event()

    def add(self, name: str, kind: Kind) -> None:
        """Adds the kind of the collections whose ids begin with `name`."""
        self._kinds[name] = kind

    def state(self, collection_id: str) -> State:
        """How much rcfs knows of a collection; sends no request."""
        return self._entry(collection_id).state

    def loaded(self, *kinds: str) -> frozenset[str]:
        """The collections of these kinds that are kept current."""
        kept = (each for kind in kinds for each in self._kept.get(kind, ()))
        return frozenset(each for each in kept if self.state(each) is State.LOADED)

    async def wait_loaded(self, kinds: tuple[str, ...], known: frozenset[str]) -> frozenset[str]:
        """Waits until `loaded` of these kinds is neither `known` nor empty, and returns it."""
        while (loaded := self.loaded(*kinds)) in (known, frozenset()):
            await self._changed.wait()
        return loaded

    def keep(self, kind: str, collection_ids: Iterable[str]) -> None:
        """Keeps these collections current once they are loaded, and no others of their kind."""
        self._kept[kind] = tuple(collection_ids)
        self._rescheduled.set()
        self._tell_changed()

    def recall(self, collection_ids: Iterable[str] | None = None) -> None:
        """Asks the kinds again what they know of these collections, or of all."""
        for collection_id in self._entries if collection_ids is None else collection_ids:
            self._entry(collection_id).recalled = self._recall(collection_id)[0]

    def loads(self, kind: str) -> list[tuple[str, Progress]]:
        """(collection id, progress) of the loads of a kind that are under way."""
        return [
            (collection_id, entry.job.progress)
            for collection_id, entry in self._entries.items()
            if kind_of(collection_id) == kind
            and entry.job is not None
            and (entry.job.progress.is_load or entry.recalled is not State.LOADED)
        ]

    def visit(self, collection_id: str, priority: Priority = Priority.METADATA) -> None:
        """Starts a sync of a collection that somebody looks at, in that class, unless its last is recent."""
        entry, now = self._entry(collection_id), trio.current_time()
        if entry.recalled is State.ABSENT:
            return
        before_s = entry.freshness.due_s(now)
        entry.freshness.looked_at(now)
        due_s = entry.freshness.due_s(now)
        if entry.job is not None:
            entry.job.options.raise_to(priority)  # It may wait behind dozens of others.
        elif due_s <= now and not self._network.is_down:
            self._start(collection_id, entry, priority)
        elif due_s < before_s:
            self._rescheduled.set()

    async def settle(self, collection_id: str) -> None:
        """Returns when no load or sync of a collection is under way, also after it failed."""
        job = self._entry(collection_id).job
        if job is not None:
            await job.done.wait()

    def hint(self, collection_id: str) -> None:
        """Syncs a loaded collection, because the platform says that something happened in it."""
        entry = self._entry(collection_id)
        if entry.recalled is State.LOADED:
            entry.freshness.hinted()
            self._rescheduled.set()

    def doubt(self, collection_id: str) -> None:
        """Syncs a loaded collection before its time, because the platform may have failed to hint."""
        self._entry(collection_id).freshness.doubted()
        self._rescheduled.set()

    def listen(self, collection_ids: frozenset[str]) -> None:
        """Takes note that the platform sends hints about these collections, and about no others."""
        for collection_id, entry in self._entries.items():
            entry.freshness.hints_come = collection_id in collection_ids
        self._rescheduled.set()

    def is_hinted(self, collection_id: str) -> bool:
        """Whether the platform sends hints about a collection."""
        return self._entry(collection_id).freshness.hints_come

    async def refresh(self, collection_id: str, priority: Priority = Priority.PERSON) -> None:
        """Loads or syncs a collection now; does nothing if it is ABSENT.

        It joins a load under way. After a sync under way another one begins, because the answer to the first
        may be older than what the caller has just heard of.

        Raises:
            ForbiddenError: The platform refused the collection, now or less than a minute ago.
            PlatformError: The server failed or could not be reached.
        """
        entry = self._entry(collection_id)
        if entry.recalled is State.ABSENT:
            return
        if entry.refusal is not None and trio.current_time() < entry.refused_until_s:
            raise entry.refusal.with_traceback(None)
        if entry.job is not None and entry.recalled is State.LOADED:
            await self._wait(entry.job, priority)
        await self._wait(entry.job or self._start(collection_id, entry, priority), priority)

    @staticmethod
    async def _wait(job: _Job, priority: Priority) -> None:
        job.progress.is_asked = True
        job.options.raise_to(priority)
        await job.done.wait()
        if job.failure is not None:
            raise job.failure.with_traceback(None)

    async def refresh_all(self) -> int:
        """Syncs all collections that are kept current; returns their number.

        Raises:
            PlatformError: At least one of them could not be synced; the others were.
        """
        loaded = self._all_loaded()
        failures: list[RcfsError] = []

        async def refresh(collection_id: str) -> None:
            try:
                # Not in a person's class: there may be hundreds, and a person may wait for one of them.
                await self.refresh(collection_id, Priority.METADATA)
            except RcfsError as exc:
                failures.append(exc)

        async with trio.open_nursery() as nursery:
            for collection_id in loaded:
                nursery.start_soon(refresh, collection_id)
        if failures:
            raise failures[0]
        return len(loaded)

    async def run(self) -> None:
        """Keeps the collections current until it is cancelled.

        Those that nobody looks at share allowances, see `rcfs.mailbox._allowance`.
        """
        while True:
            await self._network.wait_up()
            self._rescheduled = trio.Event()
            now, next_s = trio.current_time(), math.inf
            unseen: list[tuple[Freshness, str]] = []
            for collection_id in self._all_loaded():
                entry = self._entry(collection_id)
                if entry.job is None:
                    due_s = entry.freshness.due_s(now)
                    if due_s > now:
                        next_s = min(next_s, due_s)
                    elif entry.freshness.is_seen(now):
                        self._start(collection_id, entry, Priority.READAHEAD)
                    else:
                        unseen.append((entry.freshness, collection_id))
            allowed, allowed_s = self._allowances.spend(unseen, now)
            for collection_id in allowed:
                entry = self._entry(collection_id)
                # By time alone they come last, behind bulk work. After days without a sync hundreds of them
                # become loads, of up to a dozen requests each.
                is_hinted = entry.freshness.is_hinted
                self._start(collection_id, entry, Priority.READAHEAD if is_hinted else Priority.CRAWLER)
            with trio.move_on_at(min(next_s, allowed_s)):
                await self._rescheduled.wait()

    def _all_loaded(self) -> frozenset[str]:
        return self.loaded(*self._kept)

    def _tell_changed(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _entry(self, collection_id: str) -> _Entry:
        entry = self._entries.get(collection_id)
        if entry is None:
            recalled, ago_s = self._recall(collection_id)
            policy = self._kinds[kind_of(collection_id)].policy(collection_id)
            freshness = Freshness(trio.current_time(), ago_s, policy)
            entry = self._entries[collection_id] = _Entry(freshness, recalled)
        return entry

    def _recall(self, collection_id: str) -> tuple[State, float]:
        kind = kind_of(collection_id)
        try:
            return self._kinds[kind].recall(collection_id)
        except StoreError as exc:
            self._recorder.fault(kind, str(exc), extension=owner_of(collection_id) or None)
            return State.UNKNOWN, math.inf

    def _start(self, collection_id: str, entry: _Entry, priority: Priority) -> _Job:
        entry.freshness.began(trio.current_time())
        options = RequestOptions(priority, label=self._kinds[kind_of(collection_id)].label(collection_id))
        entry.job = _Job(options, Progress(trio.current_time()))
        self._nursery.start_soon(self._run_job, collection_id, entry, entry.job)
        return entry.job

    async def _run_job(self, collection_id: str, entry: _Entry, job: _Job) -> None:
        name, extension_id = kind_of(collection_id), owner_of(collection_id) or None
        kind = self._kinds[name]
        entry.refusal, entry.refused_until_s = None, -math.inf
        job.failure = PlatformError("the mount is ending")
        try:
            recalled = await kind.update(collection_id, job.progress, job.options)
            job.failure = None
            if entry.recalled is not recalled:
                entry.recalled = recalled
                self._tell_changed()
                kind.on_changed(collection_id)
        except RcfsError as exc:
            job.failure = exc
            if isinstance(exc, UnreachableError):
                entry.freshness.hinted()  # so that it is synced as soon as the server answers
            elif (
                isinstance(exc, ForbiddenError)
                and job.options.priority is Priority.CRAWLER
                and entry.recalled is State.UNKNOWN
            ):
                # No fault: most logins may not read most mailboxes, and nobody waits for this one.
                self._recorder.note(f"{name} refused", extension=extension_id, code=exc.code)
            elif not isinstance(exc, OfflineError):
                self._recorder.failure(name, exc, extension=extension_id)
            if isinstance(exc, (ForbiddenError, NotFoundError)):
                entry.refusal, entry.refused_until_s = exc, trio.current_time() + _REFUSAL_S
        except Exception as exc:  # noqa: BLE001 - a fault in one collection must not end the mount
            self._recorder.crash(name, exc)
            job.failure = PlatformError(
                f"unexpected error while rcfs loaded the {kind.label(collection_id)}; see the log"
            )
        finally:
            entry.job = None
            job.done.set()
            self._rescheduled.set()
