"""The ledger of requests: what it promises, and how it keeps a book in a home.

A change is made to the book that this process saw last, and stored. If another process has stored since, the
home refuses it: the ledger then loads the new book and makes the change again. So a process that is alone on
its ledger does not read it back. All state is in the home, so a process may be killed at any moment. Reports
that come while the home is locked wait in `_unstored`, and are made before the next change.
"""

import math
from collections.abc import Callable
from typing import Final, Literal, TypeVar

from rcfs.errors import StoreError
from rcfs.model import Plan, RateHeaders, UsageGroup
from rcfs.quota._book import Book
from rcfs.quota._forecast import Forecast, forecast
from rcfs.quota._home import Home, MemoryHome, Reply
from rcfs.quota._values import GroupState, Slot, Waiting

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
    """

    def __init__(self, home: Home, warn: Callable[[str], None] = lambda _line: None) -> None:
        self._home = home
        self._warn = warn
        self._book = home.new_book()
        self._version: int | None = None
        """Version of the home's book that `_book` equals; None when it may equal none."""
        self._unstored: list[Callable[[Book], None]] = []
        """Reports that could not be stored yet, oldest first."""
        self._look_at_s = -math.inf

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
        is_due = now >= self._look_at_s

        def work(book: Book) -> Slot | float:
            if is_due:
                self._tend(book, now)
            return book.take(self._home.owner, group, waiting, now)

        answer = self._change(work)
        if answer is Reply.LOCKED:
            return now + _AGAIN_S
        if is_due:
            self._look_at_s = now + _LOOK_S
        return answer

    def note_person(self, now: float) -> None:
        """Record that a person lists directories and may soon open a file: bulk work leaves the reserve."""
        self._report(lambda book: book.note_person(now))

    def leave(self, group: UsageGroup) -> None:
        """Give up this process's place: nothing waits for `group` in it any more."""
        self._report(lambda book: book.leave(self._home.owner, group))

    def settle(self, slot: Slot, now: float, headers: RateHeaders | None) -> None:
        """Record that a response other than 429 arrived; `headers` is None if it had no rate headers.

        From now on the slot counts in the group that `headers` name.
        """
        self._report(lambda book: book.settle(slot, now, headers))

    def fail(self, slot: Slot, now: float) -> None:
        """Record that the request ended without response headers, so the server may have counted it.

        It is taken as counted `LINGER_S` from now, because the kernel still sends what was written. In a
        penalty it is taken as refused then, because every request that reaches the server in a penalty
        restarts it.
        """
        self._report(lambda book: book.fail(slot, now))

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
        self._report(lambda book: book.refuse(slot, now, headers, retry_after_s))

    def cancel(self, slot: Slot) -> None:
        """Free the slot at once: the request was never sent, not even partly."""
        self._report(lambda book: book.cancel(slot))

    def sync(self, now: float) -> float:
        """Store the reports that a lock held up; the time to call this again, inf when all are stored.

        Until a report is stored, its slot counts as in flight.
        """
        locked = self._unstored and self._change(_no_change) is Reply.LOCKED
        return now + _AGAIN_S if locked else math.inf

    def states(self, now: float) -> tuple[GroupState, ...]:
        """The state of every group that is configured or was named by a response."""
        if now >= self._look_at_s and self._home.ended(self._current().owners):
            # Only `take` cleans up otherwise, and nobody may call it for hours.
            self._change(lambda book: self._tend(book, now))
        book = self._current()
        book.bound(now)
        return book.states(self._home.owner, now)

    def forecast(self, group: UsageGroup, waiting: Waiting, now: float) -> Forecast:
        """When each of `waiting` will probably be sent, in their order, if no further requests come.

        Requests that wait in other processes are taken into account.
        """
        return forecast(self._current(), self._home.owner, group, waiting, now)

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
        # If the home is locked, the others soon find this process dead, and end its requests.
        self._change(lambda book: book.remove_owner(self._home.owner, now), patient=True)
        self._home.close()

    def _report(self, change: Callable[[Book], None]) -> None:
        """Make `change` now, or before the next one; it is not lost while the process lives."""
        self._unstored.append(change)
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
            for change in self._unstored:
                change(self._book)
            result = work(self._book)
            try:
                reply = self._home.store(self._book, version, patient=patient)
            except StoreError as exc:
                self._continue_in_memory(exc)
                reply = Reply.STORED
            if reply is Reply.STORED:
                self._version = version + 1
                self._unstored.clear()
                return result
            if reply is Reply.LOCKED:
                break
        return Reply.LOCKED

    def _current(self) -> Book:
        """The home's book, for reading only; as this process saw it last if the home is locked."""
        self._load(to_store=False)
        return self._book

    def _load(self, *, to_store: bool) -> bool:
        """Make `_book` equal to the home's book, if need be; False when the home is locked."""
        try:
            held = self._home.load(self._version, to_store=to_store)
        except StoreError as exc:
            self._continue_in_memory(exc)
            return True
        if isinstance(held, Reply):
            return held is Reply.UNCHANGED
        if held.book is not None:
            self._book = held.book
        elif held.lost_s is not None:
            self._book.freeze_everything(held.lost_s)
        # Else the home is new, and what this process knows is all there is.
        self._book.enter(self._home.owner)
        self._version = held.version
        return True

    def _tend(self, book: Book, now: float) -> None:
        """End the requests of dead processes, and cut times that an earlier version let last too long."""
        for owner in self._home.ended(book.owners):
            book.remove_owner(owner, now)
        book.bound(now)

    def _continue_in_memory(self, error: StoreError) -> None:
        """Keep the book in memory after `error` of the home; all other processes then count as dead."""
        self._warn(f"{error}; this process now counts its requests in memory")
        self._home.close()
        self._home = MemoryHome(book=self._book, owner=self._home.owner)
        self._version, self._look_at_s = 0, -math.inf


def _no_change(_book: Book) -> None:
    """Changes nothing, so that the call stores only the unstored reports."""
