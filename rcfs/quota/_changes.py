"""The changes that one process made to the book, kept until no home can forget them any more."""

from collections.abc import Callable
from functools import partial
from operator import attrgetter

import attrs

from rcfs.quota._book import Book
from rcfs.quota._values import Slot


@attrs.define(eq=False)
class _Change:
    """One change."""

    number: int
    """Rises with each change of the process."""
    make: Callable[[Book], object]
    """Makes it in a book."""
    counts_s: float
    """The latest time at which a request or a refusal that it tells of counted; -inf if it tells of none."""


class Changes:
    """The changes of one process, oldest first.

    Args:
        forgets: Whether the home may forget changes, so that they are kept after they were stored.
    """

    def __init__(self, *, forgets: bool) -> None:
        self._forgets = forgets
        self._number = 0
        self._stored = 0
        """Number of the last change that the home has stored."""
        self._changes: list[_Change] = []
        self._held: dict[Slot, _Change] = {}
        """The slots that this process has in flight, each with the change that took it."""

    @property
    def unstored(self) -> bool:
        """Whether a change was not stored yet."""
        return bool(self._changes) and self._changes[-1].number > self._stored

    def add(self, make: Callable[[Book], object], counts_s: float, ended: Slot | None = None) -> None:
        """Keep a change that is to be made; `ended` is the slot that it ends."""
        self._number += 1
        self._changes.append(_Change(self._number, make, counts_s))
        taken = self._held.pop(ended, None) if ended else None
        if taken is not None:
            taken.counts_s = counts_s

    def took(self, slots: list[Slot]) -> None:
        """Keep that `slots` were taken, by the change that was made last."""
        if not self._forgets:
            return
        for slot in slots:
            change = _Change(self._number, partial(_adopt, slot), float("inf"))
            self._changes.append(change)
            self._held[slot] = change

    def begin(self, book: Book, owner: str, now: float) -> None:
        """Make in `book` all changes that it lacks, and count one more, which the caller makes next."""
        known = book.outage.mark(owner) if self._forgets else self._stored
        for change in self._changes:
            if change.number > known:
                change.make(book)
        self._number += 1
        if self._forgets:
            for slot in book.slots_of(owner):
                if slot not in self._held:
                    book.cancel(slot)  # The answer that it was taken for got lost.
            book.outage.note(owner, self._number, book.owners, now)

    def lacks(self, book: Book, owner: str) -> bool:
        """Whether `book` lacks a change of `owner`, this process."""
        return any(change.number > book.outage.mark(owner) for change in self._changes)

    def stored(self, longest_s: float, now: float) -> None:
        """Record that all are stored, and forget those that last counted longer than `longest_s` ago."""
        self._stored = self._number
        if not self._forgets:
            self._changes.clear()
        elif self._changes and min(map(attrgetter("counts_s"), self._changes)) + longest_s < now:
            self._changes = [each for each in self._changes if each.counts_s + longest_s >= now]


def _adopt(slot: Slot, book: Book) -> None:
    book.adopt(slot)
