"""The ledger of requests: what it promises, and how it keeps a book in a home.

Each change loads the book unless it is as this process left it, changes it, and stores it if no other process
was faster; else it begins again. Nothing is kept anywhere else, so a process may be killed at any moment.
What was reported while the home was locked waits in `_late`, and comes before whatever is asked next.
"""

import math
from collections.abc import Callable
from typing import Final, Literal, TypeVar

from rcfs.errors import StoreError
from rcfs.model import Plan, RateHeaders, UsageGroup
from rcfs.quota._book import LINGER_S, Book
from rcfs.quota._forecast import Forecast, forecast
from rcfs.quota._home import Home, MemoryHome, Reply
from rcfs.quota._values import GroupState, Slot, Waiting

T = TypeVar("T")

_AGAIN_S: Final = 0.05
"""When to try again where the home is locked, in seconds: a try waits for up to 5 ms, so that is 10 % of the
event loop's time as long as it lasts."""

_MOST_TRIES: Final = 20
"""How often to begin again because others were faster. One of those who try always succeeds, so this is not
reached in practice; whoever does waits as for a lock."""

_LOOK_S: Final = 1.0
"""How often to look whether the other processes are alive: 60 µs each (measured 2026-11)."""


class Ledger:
    """Slots, penalties and learned plans of one credential, and who waits for them.

    Any number of processes may share one, each with a `Ledger` of its own over the same home. The rules
    (`rcfs.quota._book`) hold for all of them together, whenever they start and end, and however.

    A slot ends once, by the first of `settle`, `fail`, `refuse` and `cancel`; later calls for it change
    nothing, except that `refuse` always freezes. Every method is atomic and waits a few milliseconds at
    most; `now` is in seconds, from any origin that all users of the ledger share, and never goes back.

    Args:
        home: Where the book is kept. When it fails, the ledger goes on in memory.
        warn: Gets a line then.
    """

    def __init__(self, home: Home, warn: Callable[[str], None] = lambda _line: None) -> None:
        self._home = home
        self._warn = warn
        self._book = home.new_book()
        self._version: int | None = None
        """Of the home's book that `_book` is; None when they may differ."""
        self._late: list[Callable[[Book], None]] = []
        """What was reported and could not be stored yet, oldest first."""
        self._look_at_s = -math.inf

    def plan(self, group: UsageGroup) -> Plan:
        """The plan of `group` as known now: learned, or else assumed."""
        return self._seen().plan(group)

    def take(self, group: UsageGroup, waiting: Waiting, now: float) -> Slot | float:
        """A slot for the first of the requests that wait in this process, else when to ask again.

        The time is later than `now`: when a slot will be there if nothing else happens, as a slot in
        flight is free one window from `now` at best; or a moment from now, when something may change that
        this process would not hear of. Until then, and a moment more, the process has its place in the
        order, so it is to ask in time, or to `leave`. Somebody who is served and has more waiting is to ask
        again at once.
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
        """A person looks around, and may soon ask for something: background work leaves the reserve."""
        self._report(lambda book: book.note_person(now))

    def leave(self, group: UsageGroup) -> None:
        """Nothing waits for `group` in this process any more, though `take` was told so."""
        self._report(lambda book: book.leave(self._home.owner, group))

    def settle(self, slot: Slot, now: float, headers: RateHeaders | None) -> None:
        """The response headers arrived, and were no 429; None when none of them was a rate header.

        From now on the slot counts in the group that `headers` name.
        """
        self._report(lambda book: book.settle(slot, now, headers))

    def fail(self, slot: Slot, now: float) -> None:
        """The request ended without response headers, so the server may or may not have counted it.

        It is taken as counted now. In a penalty it is taken as refused now, because every request that
        reaches the server in a penalty restarts it.
        """
        self._report(lambda book: book.fail(slot, now))

    def refuse(
        self, slot: Slot, now: float, headers: RateHeaders | None, retry_after_s: float | None
    ) -> None:
        """The response was a 429: freeze the group of `headers`, or everything when there are none.

        Without rate headers the refusal was not the user's limit but one of the account, the address or
        a service (source: "Rate limits" of the API's documentation), so groups never seen are frozen
        too. A freeze is only ever extended: neither a shorter one nor a success ends it early.

        Args:
            slot: The slot of the refused request.
            now: When the response headers arrived.
            headers: Its rate headers; None when it had none.
            retry_after_s: Its ``Retry-After`` in seconds, at least 0; None when absent.
        """
        self._report(lambda book: book.refuse(slot, now, headers, retry_after_s))

    def cancel(self, slot: Slot) -> None:
        """The request was never sent, not even partly: the slot is free at once."""
        self._report(lambda book: book.cancel(slot))

    def sync(self, now: float) -> float:
        """Do what could not be done yet; when to call this again, inf when nothing is left to do.

        A ledger that cannot be reached for a moment keeps what it is told, and counts the slots as in flight
        until it could write that down.
        """
        locked = self._late and self._change(_nothing) is Reply.LOCKED
        return now + _AGAIN_S if locked else math.inf

    def states(self, now: float) -> tuple[GroupState, ...]:
        """All groups that were configured or seen."""
        if now >= self._look_at_s and self._home.ended(self._seen().owners):
            # Nobody may take anything for hours, in which the requests of the dead would seem to go on.
            self._change(lambda book: self._tend(book, now))
        book = self._seen()
        book.bound(now)
        return book.states(self._home.owner, now)

    def forecast(self, group: UsageGroup, waiting: Waiting, now: float) -> Forecast:
        """When each of `waiting` will probably be sent, in their order, if nobody else comes.

        Requests of other processes that are known to wait are taken into account.
        """
        return forecast(self._seen(), self._home.owner, group, waiting, now)

    def reset(self) -> None:
        """Forget what the server told, and every penalty; what was sent still counts.

        For people who know better: a request inside a penalty that the server still keeps restarts it. Waits
        for seconds where the ledger is locked.

        Raises:
            TimeoutError: It stays locked; nothing was changed.
        """
        if self._change(lambda book: book.reset(), patient=True) is Reply.LOCKED:
            raise TimeoutError("another process keeps the ledger locked")

    def close(self, now: float) -> None:
        """The process is done: it waits for nothing, and its requests in flight, if any, have failed.

        Nothing may be called afterwards.
        """
        # Where it is locked, others find this process dead, and end its requests.
        self._change(lambda book: book.remove_owner(self._home.owner, now), patient=True)
        self._home.close()

    def _report(self, change: Callable[[Book], None]) -> None:
        """Make `change`, now or before the next one; it is not lost while the process lives."""
        self._late.append(change)
        self._change(_nothing)

    def _change(self, work: Callable[[Book], T], *, patient: bool = False) -> T | Literal[Reply.LOCKED]:
        """What `work` says when it has changed the book, all that was late before; by then it is stored.

        `work` is called again when another process was faster, so it is to change nothing but the book.
        """
        for _try in range(_MOST_TRIES):
            if not self._load():
                break
            # Until it is stored, what `_book` says is only believed here.
            version, self._version = self._version or 0, None
            for change in self._late:
                change(self._book)
            result = work(self._book)
            try:
                reply = self._home.store(self._book, version, patient=patient)
            except StoreError as exc:
                self._go_on_alone(exc)
                reply = Reply.STORED
            if reply is Reply.STORED:
                self._version = version + 1
                self._late.clear()
                return result
            if reply is Reply.LOCKED:
                break
        return Reply.LOCKED

    def _seen(self) -> Book:
        """The book as it is in the home, for reading only; as last seen where that is locked."""
        self._load()
        return self._book

    def _load(self) -> bool:
        """Make `_book` what the home holds; False when it is locked."""
        try:
            kept = self._home.load(self._version)
        except StoreError as exc:
            self._go_on_alone(exc)
            return True
        if isinstance(kept, Reply):
            return kept is Reply.UNCHANGED
        if kept.book is not None:
            self._book = kept.book
        elif kept.lost_s is not None:
            self._book.freeze_everything(kept.lost_s)
        # Else the home was begun anew, and what this process knows is all there is.
        self._book.enter(self._home.owner)
        self._version = kept.version
        return True

    def _tend(self, book: Book, now: float) -> None:
        """End what dead processes have left in `book`, and what another version believed for too long."""
        for owner in self._home.ended(book.owners):
            book.remove_owner(owner, now + LINGER_S)
        book.bound(now)

    def _go_on_alone(self, error: StoreError) -> None:
        """Keep the book in memory from now on; there all other processes are taken for dead."""
        self._warn(f"{error}; from now on it is kept in memory")
        self._home.close()
        self._home = MemoryHome(book=self._book, owner=self._home.owner)
        self._version, self._look_at_s = 0, -math.inf


def _nothing(_book: Book) -> None:
    """No change but what is late."""
