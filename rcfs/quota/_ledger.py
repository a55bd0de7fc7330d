"""The ledger of requests: what it promises, and how it keeps a book in a home.

A change is made to the book that this process saw last, and stored. If another process has stored since, the
home refuses it: the ledger then loads the new book and makes the change again. So a process that is alone on
its ledger does not read it back. All state is in the home, so a process may be killed at any moment. Reports
that come while the home is locked wait in `_changes`, and are made before the next change.

While a home on a server cannot be reached, the ledger waits until it may use the share of this process
(`rcfs.quota._outage`). When the home is back, its book counts again, and the changes that it lacks are made
in it.
"""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Final, Literal, TypeVar

import attrs

from rcfs.errors import SharedLedgerError, StoreError
from rcfs.model import Plan, Priority, RateHeaders, UsageGroup
from rcfs.quota._apart import Apart
from rcfs.quota._book import Book
from rcfs.quota._changes import Changes
from rcfs.quota._forecast import Forecast, forecast
from rcfs.quota._home import Home, MemoryHome, Reply
from rcfs.quota._outage import LONGEST_REQUEST_S
from rcfs.quota._values import GroupState, Share, Sharing, Slot, Waiting

T = TypeVar("T")

_AGAIN_S: Final = 0.05
"""Pause before the next try when the home is locked, in seconds: a try takes up to 5 ms, so a lock costs 10 %
of the event loop's time while it lasts."""

_MOST_TRIES: Final = 20
"""How often to repeat a change because other processes were faster. One of them always succeeds, so this is
not reached in practice; a process that reaches it waits as for a lock."""

_LOOK_S: Final = 1.0
"""How often to check whether the other processes are alive, in seconds: it takes 60 µs for each (measured
2026-11)."""


_NEWS_S: Final = 1.0
"""How long after an answer the requests that remained tell of others, in seconds. A change that is made again
after an outage meets a book that has the requests of others, which it had counted as unknown."""


@attrs.frozen
class Grant:
    """The answer to the requests that wait for one group."""

    slots: tuple[Slot, ...]
    """The slots that the first of them have now."""
    ask_s: float
    """When to ask again for the others; inf without others."""


class Ledger:
    """Slots, penalties and learned plans of one credential, and the processes that wait for slots.

    Any number of processes may share one, each with a `Ledger` of its own over the same home. The rules
    (`rcfs.quota._book`) hold for all of them together, however and whenever they start and end.

    A slot ends once, by the first of `settle`, `fail`, `refuse` and `cancel`; later calls for it change
    nothing, except that `refuse` always freezes. Every method is atomic and waits a few milliseconds at
    most; `now` is in seconds, from any origin that all users of the ledger share, and never goes back.

    Args:
        home: Where the book is kept. If it fails, the ledger continues in memory.
        warn: Is called with one line in that case.
        gathers: Whether reports wait for the next `take_many` or `sync`, which store them with one change.
        patience_s: How long a report may wait for the next change if it tells the others nothing new: until
            then they count the request as in flight, which never lets them send earlier.
    """

    def __init__(
        self,
        home: Home,
        warn: Callable[[str], None] = lambda _line: None,
        *,
        gathers: bool = False,
        patience_s: float = 0.0,
    ) -> None:
        self._home = home
        self._warn = warn
        self._book = home.new_book()
        self._version: int | None = None
        """Version of the home's book that `_book` equals; None when it may equal none."""
        self._gathers = gathers
        self._patience_s = patience_s
        self._store_at_s = -math.inf
        """When `sync` stores the reports that wait for the next change."""
        self._changes = Changes(forgets=home.forgets)
        """The reports that could not be stored yet, and all that the home may forget."""
        self._look_at_s = -math.inf
        self._now_s = 0.0
        """The latest time that the ledger was told; 0 before the first."""
        self._has_stored = False
        """Whether this process has ever stored a book in the home."""
        self._divisor = 0
        """The share of this process, as it stored it last; see `Outage`."""
        self._is_known = False
        """Whether the home's book names this process among those that use it."""
        self._apart: Apart | None = None
        """Its knowledge while it cannot reach its home; None while it can."""

    def watch(self, changed: Callable[[], None]) -> None:
        """See `SlotLedger.watch`; a home on this machine is asked again often enough."""

    def sharing(self) -> Sharing | None:
        """See `SlotLedger.sharing`."""
        return None

    def plan(self, group: UsageGroup) -> Plan:
        """The plan of `group`: learned from responses, or else assumed."""
        return self._current().plan(group)

    def take(self, group: UsageGroup, waiting: Waiting, now: float) -> Slot | float:
        """A slot for the first of the requests that wait in this process, else the time to ask again.

        That time is later than `now`. It is when a slot becomes free if nothing else happens (a slot in
        flight: one window from `now` at best), or earlier, because this process does not hear what others
        do. Until shortly after it the process keeps its place in the order, so it must ask in time, or
        `leave`. A process that gets a slot and has more requests must ask again at once.
        """
        grant = self.take_many({group: waiting}, now, most=1)[group]
        return grant.slots[0] if grant.slots else grant.ask_s

    def take_many(
        self, waiting: Mapping[UsageGroup, Waiting], now: float, *, most: int | None = None
    ) -> Mapping[UsageGroup, Grant]:
        """As `take`, with one change of the book: all slots that those that wait may have now.

        Args:
            waiting: The requests of this process that wait for each group.
            now: The time.
            most: Most slots of each group; None for as many as wait.
        """
        self._now_s = now
        is_due = now >= self._look_at_s

        def work(book: Book) -> Mapping[UsageGroup, Grant]:
            if is_due:
                self._tend(book, now)
            return {group: self._granted(book, group, each, now, most) for group, each in waiting.items()}

        grants = self._change(work)
        if grants is Reply.LOCKED:
            return dict.fromkeys(waiting, Grant((), now + _AGAIN_S))
        if is_due:
            self._look_at_s = now + _LOOK_S
        self._changes.took([slot for grant in grants.values() for slot in grant.slots])
        return grants

    def note_person(self, now: float) -> None:
        """Record that a person lists directories and may soon open a file: bulk work leaves the reserve."""
        self._now_s = now
        self._report(lambda book: book.note_person(now))

    def leave(self, group: UsageGroup) -> None:
        """Give up this process's place: nothing waits for `group` in it any more."""
        self._report(lambda book: book.leave(self._home.owner, group))

    def settle(self, slot: Slot, now: float, headers: RateHeaders | None) -> None:
        """Record that a response other than 429 arrived; `headers` is None if it had no rate headers.

        From now on the slot counts in the group that `headers` name.
        """
        self._now_s = now
        waits = self._patience_s > 0 and self._book.expects(slot, headers)
        if waits and not self._changes.unstored:
            self._store_at_s = now + self._patience_s
        self._report(lambda book: book.settle(slot, now, self._news(headers, now)), now, slot, waits=waits)

    def fail(self, slot: Slot, now: float) -> None:
        """Record that the request ended without response headers, so the server may have counted it.

        It is taken as counted `LINGER_S` from now, because the kernel still sends what was written. In a
        penalty it is taken as refused then, because every request that reaches the server in a penalty
        restarts it.
        """
        self._now_s = now
        self._report(lambda book: book.fail(slot, now), now, slot)

    def refuse(
        self, slot: Slot, now: float, headers: RateHeaders | None, retry_after_s: float | None
    ) -> None:
        """Record a 429: the group of `headers` is frozen, or every group if there are no rate headers.

        Without rate headers the refusal was not the user's limit but one of the account, the address or
        a service (source: "Rate limits" of the API's documentation), so groups never seen are frozen
        too. A freeze is only ever extended: neither a shorter one nor a success ends it early.

        Args:
            slot: The slot of the refused request.
            now: When the response headers arrived.
            headers: The rate headers; None without any.
            retry_after_s: Its ``Retry-After`` in seconds, at least 0; None when absent.
        """
        self._now_s = now
        self._report(
            lambda book: book.refuse(slot, now, self._news(headers, now), retry_after_s),
            now + (retry_after_s or 0.0),
            slot,
        )

    def cancel(self, slot: Slot) -> None:
        """Free the slot at once: the request was never sent, not even partly."""
        self._report(lambda book: book.cancel(slot), ended=slot)

    def sync(self, now: float) -> float:
        """Store the reports that wait or were held up; the time to call this again, inf when all are stored.

        Until a report is stored, its slot counts as in flight.
        """
        if self._apart is not None or not self._changes.unstored:
            return math.inf
        if now < self._store_at_s:
            return self._store_at_s
        return now + _AGAIN_S if self._change(_no_change) is Reply.LOCKED else math.inf

    def refresh(self, now: float) -> None:
        """Look at the home: end an outage when it is over, and tell the others that this process is there.

        For a home that `forgets`, to be called when its book has changed, and every few seconds.
        """
        self._now_s = now
        owner, book = self._home.owner, self._current()
        told = self._is_known and book.outage.is_noted(owner, book.owners)
        if self._apart is None and (
            not told
            or self._changes.lacks(book, owner)
            or self._home.ended(book.owners)
            or any(map(book.slots_of, self._home.silent(book.owners)))
        ):
            self._change(lambda book: self._tend(book, now))

    def earliest_s(self, waiting: Mapping[UsageGroup, Waiting], now: float) -> float:
        """When the first of `waiting` could have a slot, as the book was seen last; inf in an outage."""
        if self._apart is not None:
            return math.inf
        book = self._book.copy()
        answers = [self._taken(book, group, each, now) for group, each in waiting.items()]
        return min((now if isinstance(each, Slot) else each for each in answers), default=math.inf)

    @property
    def outage(self) -> str:
        """Why the ledger cannot reach its home now, in one line; empty if it can."""
        return self._apart.reason if self._apart else ""

    @property
    def owner(self) -> str:
        """The name of this process in the book."""
        return self._home.owner

    @property
    def book(self) -> Book:
        """The book as this process saw it last, for reading only."""
        return self._book

    def states(self, now: float) -> tuple[GroupState, ...]:
        """The state of every group that is configured or was named by a response."""
        if now >= self._look_at_s and self._home.ended(self._current().owners):
            # Only `take` cleans up otherwise, and nobody may call it for hours.
            self._change(lambda book: self._tend(book, now))
        book = self._current()
        book.bound(now)
        return book.states(self._home.owner, now, self.shares(now))

    def forecast(self, group: UsageGroup, waiting: Waiting, now: float) -> Forecast:
        """When each of `waiting` will probably be sent, in their order, if no further requests come.

        Requests that wait in other processes are taken into account.
        """
        book = self._current()
        return forecast(book, self._home.owner, group, waiting, now, self._share(book, group, now))

    def shares(self, now: float) -> Mapping[UsageGroup, Share]:
        """The part of each limit that this process may use because of an outage."""
        return {group: self._share(self._book, group, now) for group in self._book.groups}

    @property
    def part(self) -> float:
        """The part of each limit that this process uses while it cannot reach its home; 1 while it can."""
        return 1.0 if self._apart is None else self._apart.part

    def silenced_until_s(self, now: float) -> float:
        """Until when, at most, this process sends nothing because of an outage; `now` if it may send."""
        apart = self._apart
        return max(now, self._book.outage.awaited_until_s if apart is None else apart.begin_s)

    def awaited(self, now: float) -> Collection[str]:
        """The processes that must be heard before anybody sends: the home may have lost their changes."""
        return self._book.outage.awaited(now) if self._apart is None else ()

    def reset(self) -> None:
        """Forget learned plans and all penalties; requests that were sent still count.

        Only a user may decide this, because a request during a penalty that the server still counts restarts
        that penalty. Waits some seconds for a lock.

        Raises:
            TimeoutError: The ledger stays locked; nothing was changed.
        """
        if self._change(lambda book: book.reset(), patient=True) is Reply.LOCKED:
            raise TimeoutError("another process has locked the quota ledger")

    def close(self, now: float) -> None:
        """End this process's part: it waits for nothing, and its requests in flight count as failed.

        No method may be called afterwards.
        """
        self._now_s = now
        # If the home is locked, the others soon find this process dead, and end its requests.
        self._change(lambda book: book.remove_owner(self._home.owner, now), patient=True)
        self._home.close()

    def _granted(
        self, book: Book, group: UsageGroup, waiting: Waiting | None, now: float, most: int | None
    ) -> Grant:
        """The slots that `waiting` may have now, taken from `book`."""
        slots: list[Slot] = []
        while waiting is not None and len(slots) != most:
            answer = self._taken(book, group, waiting, now)
            if not isinstance(answer, Slot):
                return Grant(tuple(slots), answer)
            slots.append(answer)
            waiting = waiting.without_first()
        return Grant(tuple(slots), math.inf)

    def _share(self, book: Book, group: UsageGroup, now: float) -> Share:
        """The part of the limit of `group` that this process may use."""
        plan = book.plan(group)
        if self._apart is not None:
            return self._apart.share(group, plan, now)
        return book.outage.share(self._home.owner, plan.limit, self._home.silent(book.owners))

    def _taken(self, book: Book, group: UsageGroup, waiting: Waiting, now: float) -> Slot | float:
        """See `Book.take`; nothing beyond the share of this process."""
        share, apart = self._share(book, group, now), self._apart
        if share.from_s > now:
            return min(share.from_s, now + _LOOK_S)
        if share.is_held:
            return now + _LOOK_S
        if share.every_s:
            # No reserve can be kept of a single slot.
            waiting = Waiting.only(min(waiting.first, Priority.METADATA), waiting.since_s)
        if apart is None:
            return book.take(self._home.owner, group, waiting, now, left=share.left)
        # The slots that answers show others to use are a part of what is left to them.
        left = max(0, share.left - book.foreign(group, now))
        answer = book.take(self._home.owner, group, waiting, now, left=left)
        if isinstance(answer, Slot):
            apart.sent_s[group] = now
        return answer

    def _news(self, headers: RateHeaders | None, at_s: float) -> RateHeaders | None:
        """`headers` that came at `at_s`, without what remained if that is too old to tell of others."""
        if headers is None or self._now_s <= at_s + _NEWS_S:
            return headers
        return attrs.evolve(headers, remaining=None)

    def _report(
        self,
        change: Callable[[Book], None],
        counts_s: float = -math.inf,
        ended: Slot | None = None,
        *,
        waits: bool = False,
    ) -> None:
        """Make `change` now, or before the next one if it `waits`; the process does not lose it."""
        self._changes.add(change, counts_s, ended)
        if not (self._gathers or waits):
            self._change(_no_change)

    def _change(self, work: Callable[[Book], T], *, patient: bool = False) -> T | Literal[Reply.LOCKED]:
        """The result of `work`, which changes the book after all unstored reports; by then it is stored.

        `work` is called again if another process was faster, so it must change nothing but the book.
        """
        for _try in range(_MOST_TRIES):
            if not self._load(to_store=True):
                break
            # Until the change is stored, `_book` equals no version of the home's.
            version, self._version = self._version or 0, None
            result = self._changed(work)
            if self._apart is not None:
                return result
            try:
                reply = self._home.store(self._book, version, patient=patient)
            except SharedLedgerError as exc:
                self._part(exc)
                return self._changed(work)
            except StoreError as exc:
                self._continue_in_memory(exc)
                reply = Reply.STORED
            if reply is Reply.STORED:
                self._version = version + 1
                self._has_stored = self._is_known = True
                self._divisor = self._book.outage.divisors.get(self._home.owner, 0)
                self._changes.stored(self._book.longest_s, self._now_s)
                return result
            if reply is Reply.LOCKED:
                break
        return Reply.LOCKED

    def _changed(self, work: Callable[[Book], T]) -> T:
        """The result of `work` on `_book`, in which all earlier changes were made before."""
        self._changes.begin(self._book, self._home.owner, self._now_s)
        return work(self._book)

    def _current(self) -> Book:
        """The home's book, for reading only; as this process saw it last if the home is locked."""
        self._load(to_store=False)
        return self._book

    def _load(self, *, to_store: bool) -> bool:
        """Make `_book` equal to the home's book, if need be; False when the home is locked."""
        try:
            held = self._home.load(self._version, to_store=to_store)
        except SharedLedgerError as exc:
            self._part(exc)
            return True
        except StoreError as exc:
            self._continue_in_memory(exc)
            return True
        if isinstance(held, Reply):
            return held is Reply.UNCHANGED
        owner, apart = self._home.owner, self._apart
        self._is_known = held.book is not None and owner in held.book.owners
        self._apart = None
        if held.book is not None:
            self._book = held.book
        elif held.behind and apart is not None and apart.base is not None:
            self._book = apart.base
        elif held.lost_s is not None and not held.behind:
            self._book.freeze_everything(held.lost_s)
        # Else what this process knows is all there is.
        if held.behind and held.lost_s is not None:
            others = [other for other in self._book.owners if other != owner]
            self._book.outage.await_all(others, held.lost_s + LONGEST_REQUEST_S + self._book.longest_s)
        if owner not in self._book.owners:
            if self._home.forgets:
                self._book.outage.join(owner, self._book.owners)
            self._book.enter(owner)
        self._version = held.version
        return True

    def _part(self, error: SharedLedgerError) -> None:
        """Continue with what this process knows, after `error` of the home; nothing if it does so already."""
        if self._apart is not None:
            return
        owner, now, book = self._home.owner, self._now_s, self._book
        base, divisor, place = None, self._home.start_divisor, 0
        if self._has_stored:
            # The change that failed may be stored, or not.
            divisors = self._divisor, book.outage.divisors.get(owner, 0)
            base, divisor = book.copy(), max(divisors) if all(divisors) else 0
            place = sorted({*book.owners, owner}).index(owner)
            for other in book.owners:
                if other != owner:
                    book.silence(other, now)
        self._version = None
        begin_s = self._home.promised_s + LONGEST_REQUEST_S + book.longest_s
        self._apart = Apart(str(error), base, divisor, place, begin_s)
        share = f"uses 1/{divisor} of each limit" if divisor else "sends nothing"
        self._warn(f"{error}; until it is back, rcfs waits {begin_s - now:.0f} s, and then {share}")

    def _tend(self, book: Book, now: float) -> None:
        """End the requests of dead processes, and cut times that an earlier version let last too long."""
        for owner in self._home.ended(book.owners):
            book.remove_owner(owner, now)
        for owner in self._home.silent(book.owners):
            book.silence(owner, now)
        book.bound(now)

    def _continue_in_memory(self, error: StoreError) -> None:
        """Keep the book in memory after `error` of the home; all other processes then count as dead."""
        self._warn(f"{error}; this process now counts its requests in memory")
        self._home.close()
        self._home = MemoryHome(book=self._book, owner=self._home.owner)
        self._version, self._look_at_s = 0, -math.inf


def _no_change(_book: Book) -> None:
    """Changes nothing, so that the call stores only the unstored reports."""
