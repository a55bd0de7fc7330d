"""The book of a home, as one process sees and changes it.

A change is made to the book that this process saw last, and stored. If another process has stored since, the
home refuses it: the new book is then loaded, and the change made again. So a process that is alone on its
home does not read it back. All state is in the home, so a process may be killed at any moment. Reports that
come while the home is locked wait in `_changes`, and are made before the next change.

While a home on a server cannot be reached, the process waits until it may use its share, and goes by what it
knows (`rcfs.quota._outage`). When the home is back, its book counts again, and the changes that it lacks are
made in it.
"""

from collections.abc import Callable
from typing import Final, Literal, TypeVar

from rcfs.errors import SharedLedgerError, StoreError
from rcfs.model import UsageGroup
from rcfs.quota._apart import Apart
from rcfs.quota._book import Book
from rcfs.quota._changes import Changes
from rcfs.quota._home import Held, Home, MemoryHome, Reply
from rcfs.quota._outage import LONGEST_REQUEST_S
from rcfs.quota._values import Share, Slot

T = TypeVar("T")

_MOST_TRIES: Final = 20
"""How often to repeat a change because other processes were faster. One of them always succeeds, so this is
not reached in practice; a process that reaches it waits as for a lock."""


class Replica:
    """See the module; every method is atomic.

    Args:
        home: Where the book is kept. If it fails for good, the book continues in memory.
        warn: Is called with one line in that case, and when an outage begins.

    Attributes:
        home: Where the book is kept now.
        book: The book as this process saw it last, with its own changes; for reading only.
        now_s: The latest time that the process was told; 0 before the first.
        apart: The knowledge of the process while it cannot reach its home; None while it can.
    """

    def __init__(self, home: Home, warn: Callable[[str], None]) -> None:
        self.home = home
        self.book = home.new_book()
        self.now_s = 0.0
        self.apart: Apart | None = None
        self._warn = warn
        self._version: int | None = None
        """Version of the home's book that `book` equals; None when it may equal none."""
        self._changes = Changes(forgets=home.forgets)
        """The reports that could not be stored yet, and all that the home may forget."""
        self._has_stored = False
        """Whether this process has ever stored a book in the home."""
        self._divisor = 0
        """The share of this process, as it stored it last; see `Outage`."""
        self._is_known = False
        """Whether the home's book names this process among those that use it."""

    @property
    def owner(self) -> str:
        """The name of this process in the book."""
        return self.home.owner

    @property
    def has_unstored(self) -> bool:
        """Whether a report was not stored yet."""
        return self._changes.unstored

    def current(self) -> Book:
        """The home's book, for reading only; as this process saw it last if the home is locked."""
        self._load(to_store=False)
        return self.book

    def report(self, make: Callable[[Book], None], counts_s: float, ended: Slot | None) -> None:
        """Keep a change for the next `change`, which stores it; this process does not lose it.

        Args:
            make: Makes it in a book.
            counts_s: The latest time at which a request or a refusal that it tells of counted; -inf if none.
            ended: The slot that it ends.
        """
        self._changes.add(make, counts_s, ended)

    def took(self, slots: list[Slot]) -> None:
        """Keep that the last change took `slots`."""
        self._changes.took(slots)

    def change(self, work: Callable[[Book], T], *, patient: bool = False) -> T | Literal[Reply.LOCKED]:
        """The result of `work`, which changes the book after all unstored reports; by then it is stored.

        Args:
            work: Is called again if another process was faster, so it must change nothing but the book.
            patient: Whether to wait some seconds for a lock.
        """
        for _try in range(_MOST_TRIES):
            if not self._load(to_store=True):
                break
            # Until the change is stored, `book` equals no version of the home's.
            version, self._version = self._version or 0, None
            result = self._changed(work)
            if self.apart is not None:
                return result
            try:
                reply = self.home.store(self.book, version, patient=patient)
            except SharedLedgerError as exc:
                self._part(exc)
                return self._changed(work)
            except StoreError as exc:
                self._continue_in_memory(exc)
                reply = Reply.STORED
            if reply is Reply.STORED:
                self._version = version + 1
                self._has_stored = self._is_known = True
                self._divisor = self.book.outage.divisors.get(self.owner, 0)
                self._changes.stored(self.book.longest_s, self.now_s)
                return result
            if reply is Reply.LOCKED:
                break
        return Reply.LOCKED

    def store(self) -> bool:
        """Store all reports; False if the home is locked."""
        return self.change(lambda _book: True) is not Reply.LOCKED

    def tend(self, book: Book, now: float) -> None:
        """End the requests of dead processes, and cut times that an earlier version let last too long."""
        for owner in self.home.ended(book.owners):
            book.remove_owner(owner, now)
        for owner in self.home.silent(book.owners):
            book.silence(owner, now)
        book.bound(now)

    def is_outdated(self) -> bool:
        """Whether a book on a server lacks what this process has to tell, or has to be tended."""
        book = self.current()
        if self.apart is not None:
            return False
        return (
            not (self._is_known and book.outage.is_noted(self.owner, book.owners))
            or self._changes.lacks(book, self.owner)
            or bool(self.home.ended(book.owners))
            or any(map(book.slots_of, self.home.silent(book.owners)))
        )

    def share(self, book: Book, group: UsageGroup, now: float) -> Share:
        """The part of the limit of `group` in `book` that this process may use."""
        plan = book.plan(group)
        if self.apart is not None:
            return self.apart.share(plan, now)
        return book.outage.share(self.owner, plan.limit, self.home.silent(book.owners))

    def _changed(self, work: Callable[[Book], T]) -> T:
        """The result of `work` on `book`, in which all earlier changes were made before."""
        self._changes.begin(self.book, self.owner, self.now_s)
        return work(self.book)

    def _load(self, *, to_store: bool) -> bool:
        """Make `book` equal to the home's book, if need be; False when the home is locked."""
        try:
            held = self.home.load(self._version, to_store=to_store)
        except SharedLedgerError as exc:
            self._part(exc)
            return True
        except StoreError as exc:
            self._continue_in_memory(exc)
            return True
        if isinstance(held, Reply):
            return held is Reply.UNCHANGED
        self._accept(held)
        return True

    def _accept(self, held: Held) -> None:
        """Go by what the home holds, and end an outage."""
        owner, apart = self.owner, self.apart
        self._is_known = held.book is not None and owner in held.book.owners
        self.apart = None
        if held.book is not None:
            self.book = held.book
        elif held.behind and apart is not None and apart.base is not None:
            self.book = apart.base
        elif held.lost_s is not None and not held.behind:
            self.book.freeze_everything(held.lost_s)
        # Else what this process knows is all there is.
        if held.behind and held.lost_s is not None:
            others = [other for other in self.book.owners if other != owner]
            self.book.outage.await_all(others, held.lost_s + LONGEST_REQUEST_S + self.book.longest_s)
        if owner not in self.book.owners:
            if self.home.forgets:
                self.book.outage.join(owner, self.book.owners)
            self.book.enter(owner)
        self._version = held.version

    def _part(self, error: SharedLedgerError) -> None:
        """Continue with what this process knows, after `error` of the home; nothing if it does so already."""
        if self.apart is not None:
            return
        owner, book = self.owner, self.book
        base, divisor, place = None, self.home.start_divisor, 0
        if self._has_stored:
            # The change that failed may be stored, or not.
            divisors = self._divisor, book.outage.divisors.get(owner, 0)
            base, divisor = book.copy(), max(divisors) if all(divisors) else 0
            place = sorted({*book.owners, owner}).index(owner)
        self._version = None
        begin_s = self.home.promised_s + LONGEST_REQUEST_S + book.longest_s
        self.apart = Apart(str(error), base, divisor, place, begin_s)
        share = f"uses 1/{divisor} of each limit" if divisor else "sends nothing"
        self._warn(f"{error}; until it is back, rcfs waits {begin_s - self.now_s:.0f} s, and then {share}")

    def _continue_in_memory(self, error: StoreError) -> None:
        """Keep the book in memory after `error` of the home; all other processes then count as dead."""
        self._warn(f"{error}; this process now counts its requests in memory")
        self.home.close()
        self.home = MemoryHome(book=self.book, owner=self.owner)
        self._version = 0
