"""The ledger of requests: what one process asks and reports, and what it promises."""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Final

import attrs

from rcfs.model import Plan, Priority, RateHeaders, UsageGroup
from rcfs.quota._book import Book
from rcfs.quota._forecast import Forecast, forecast
from rcfs.quota._home import Home, Reply
from rcfs.quota._replica import Replica
from rcfs.quota._values import GroupState, Share, Sharing, Slot, Waiting

_AGAIN_S: Final = 0.05
"""Pause before the next try when the home is locked, in seconds: a try takes up to 5 ms, so a lock costs 10 %
of the event loop's time while it lasts."""

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
        self._replica = Replica(home, warn)
        self._gathers = gathers
        self._patience_s = patience_s
        self._store_at_s = -math.inf
        """When `sync` stores the reports that wait for the next change."""
        self._look_at_s = -math.inf
        """When to check again whether the other processes are alive."""

    def watch(self, changed: Callable[[], None]) -> None:
        """See `SlotLedger.watch`; a home on this machine is asked again often enough."""

    def sharing(self) -> Sharing | None:
        """See `SlotLedger.sharing`."""
        return None

    def plan(self, group: UsageGroup) -> Plan:
        """The plan of `group`: learned from responses, or else assumed."""
        return self._replica.current().plan(group)

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
        self._replica.now_s = now
        is_due = now >= self._look_at_s

        def work(book: Book) -> Mapping[UsageGroup, Grant]:
            if is_due:
                self._replica.tend(book, now)
            return {group: self._granted(book, group, each, now, most) for group, each in waiting.items()}

        grants = self._replica.change(work)
        if grants is Reply.LOCKED:
            return dict.fromkeys(waiting, Grant((), now + _AGAIN_S))
        if is_due:
            self._look_at_s = now + _LOOK_S
        self._replica.took([slot for grant in grants.values() for slot in grant.slots])
        return grants

    def note_person(self, now: float) -> None:
        """Record that a person lists directories and may soon open a file: bulk work leaves the reserve."""
        self._replica.now_s = now
        self._report(lambda book: book.note_person(now))

    def leave(self, group: UsageGroup) -> None:
        """Give up this process's place: nothing waits for `group` in it any more."""
        self._report(lambda book: book.leave(self._replica.owner, group))

    def settle(self, slot: Slot, now: float, headers: RateHeaders | None) -> None:
        """Record that a response other than 429 arrived; `headers` is None if it had no rate headers.

        From now on the slot counts in the group that `headers` name.
        """
        self._replica.now_s = now
        waits = self._patience_s > 0 and self._replica.book.expects(slot, headers)
        if waits and not self._replica.has_unstored:
            self._store_at_s = now + self._patience_s
        self._report(lambda book: book.settle(slot, now, self._news(headers, now)), now, slot, waits=waits)

    def fail(self, slot: Slot, now: float) -> None:
        """Record that the request ended without response headers, so the server may have counted it.

        It is taken as counted `LINGER_S` from now, because the kernel still sends what was written. In a
        penalty it is taken as refused then, because every request that reaches the server in a penalty
        restarts it.
        """
        self._replica.now_s = now
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
        self._replica.now_s = now
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
        if self._replica.apart is not None or not self._replica.has_unstored:
            return math.inf
        if now < self._store_at_s:
            return self._store_at_s
        return math.inf if self._replica.store() else now + _AGAIN_S

    def refresh(self, now: float) -> None:
        """Look at the home: end an outage when it is over, and tell the others that this process is there.

        For a home that `forgets`, to be called when its book has changed, and every few seconds.
        """
        self._replica.now_s = now
        if self._replica.is_outdated():
            self._replica.change(lambda book: self._replica.tend(book, now))

    def earliest_s(self, waiting: Mapping[UsageGroup, Waiting], now: float) -> float:
        """When the first of `waiting` could have a slot, as the book was seen last; inf in an outage."""
        if self._replica.apart is not None:
            return math.inf
        book = self._replica.book.copy()
        answers = [self._taken(book, group, each, now) for group, each in waiting.items()]
        return min((now if isinstance(each, Slot) else each for each in answers), default=math.inf)

    @property
    def outage(self) -> str:
        """Why the ledger cannot reach its home now, in one line; empty if it can."""
        return self._replica.apart.reason if self._replica.apart else ""

    @property
    def owner(self) -> str:
        """The name of this process in the book."""
        return self._replica.owner

    @property
    def book(self) -> Book:
        """The book as this process saw it last, for reading only."""
        return self._replica.book

    def states(self, now: float) -> tuple[GroupState, ...]:
        """The state of every group that is configured or was named by a response."""
        if now >= self._look_at_s and self._replica.home.ended(self._replica.current().owners):
            # Only `take` cleans up otherwise, and nobody may call it for hours.
            self._replica.change(lambda book: self._replica.tend(book, now))
        book = self._replica.current()
        book.bound(now)
        return book.states(self._replica.owner, now, self.shares(now))

    def forecast(self, group: UsageGroup, waiting: Waiting, now: float) -> Forecast:
        """When each of `waiting` will probably be sent, in their order, if no further requests come.

        Requests that wait in other processes are taken into account.
        """
        book = self._replica.current()
        share = self._replica.share(book, group, now)
        return forecast(book, self._replica.owner, group, waiting, now, share)

    def shares(self, now: float) -> Mapping[UsageGroup, Share]:
        """The part of each limit that this process may use because of an outage."""
        book = self._replica.book
        return {group: self._replica.share(book, group, now) for group in book.groups}

    @property
    def part(self) -> float:
        """The part of each limit that this process uses while it cannot reach its home; 1 while it can."""
        return 1.0 if self._replica.apart is None else self._replica.apart.part

    def silenced_until_s(self, now: float) -> float:
        """Until when, at most, this process sends nothing because of an outage; `now` if it may send."""
        apart = self._replica.apart
        return max(now, self._replica.book.outage.awaited_until_s if apart is None else apart.begin_s)

    def awaited(self, now: float) -> Collection[str]:
        """The processes that must be heard before anybody sends: the home may have lost their changes."""
        return self._replica.book.outage.awaited(now) if self._replica.apart is None else ()

    def reset(self) -> None:
        """Forget learned plans and all penalties; requests that were sent still count.

        Only a user may decide this, because a request during a penalty that the server still counts restarts
        that penalty. Waits some seconds for a lock.

        Raises:
            TimeoutError: The ledger stays locked; nothing was changed.
        """
        if self._replica.change(lambda book: book.reset(), patient=True) is Reply.LOCKED:
            raise TimeoutError("another process has locked the quota ledger")

    def close(self, now: float) -> None:
        """End this process's part: it waits for nothing, and its requests in flight count as failed.

        No method may be called afterwards.
        """
        self._replica.now_s = now
        # If the home is locked, the others soon find this process dead, and end its requests.
        self._replica.change(lambda book: book.remove_owner(self._replica.owner, now), patient=True)
        self._replica.home.close()

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

    def _taken(self, book: Book, group: UsageGroup, waiting: Waiting, now: float) -> Slot | float:
        """See `Book.take`; nothing beyond the share of this process."""
        share = self._replica.share(book, group, now)
        if share.from_s > now:
            return min(share.from_s, now + _LOOK_S)
        if share.is_held:
            return now + _LOOK_S
        if share.every_s:
            # No reserve can be kept of a single slot.
            waiting = Waiting.only(min(waiting.first, Priority.METADATA), waiting.since_s)
        left = share.left
        if self._replica.apart is not None:
            # The slots that answers show others to use are a part of what is left to them.
            left = max(0, left - book.foreign(group, now))
        return book.take(self._replica.owner, group, waiting, now, left=left)

    def _news(self, headers: RateHeaders | None, at_s: float) -> RateHeaders | None:
        """`headers` that came at `at_s`, without what remained if that is too old to tell of others."""
        if headers is None or self._replica.now_s <= at_s + _NEWS_S:
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
        """Make `change` now, or before the next one if it `waits`; see `Replica.report`."""
        self._replica.report(change, counts_s, ended)
        if not (self._gathers or waits):
            self._replica.store()
