"""Where a ledger is kept: a home holds one book, which a ledger reads, and replaces if nobody else has.

A home need not wait, lock or repeat: it says that it is locked, or that another process was faster, and the
ledger decides what follows. Homes that hold text write `Book.dump` down, and read it with `restore_book`.
"""

from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import Any, Literal, Protocol

import attrs

from rcfs.model import PRIOR_PLANS, Plan, UsageGroup
from rcfs.quota._book import Book


class Reply(Enum):
    """What a home says when it has no book to give."""

    UNCHANGED = "it still holds the version that is known"
    STORED = "the book was replaced"
    OUTDATED = "another process has replaced the book; load it and try again"
    LOCKED = "another process keeps the home locked; try again in a moment"


@attrs.frozen
class Kept:
    """What a home holds."""

    version: int
    """Rises by one with each change; 0 when nothing was ever stored."""
    book: Book | None
    """The book, which the caller may change; None when there is none that can be believed."""
    lost_s: float | None = None
    """When there is none: until when something may have been written that is lost; None when nothing was."""


class Home(Protocol):
    """Keeps the book of one credential for any number of processes, each with an object of its own.

    Methods return within a few milliseconds. They raise StoreError when the home fails for good.
    """

    @property
    def owner(self) -> str:
        """The name of this process, which no other has."""
        ...

    def new_book(self) -> Book:
        """An empty book."""
        ...

    def load(self, known: int | None) -> Kept | Literal[Reply.UNCHANGED, Reply.LOCKED]:
        """What the home holds, unless that is version `known`; None to load it in any case."""
        ...

    def store(
        self, book: Book, version: int, *, patient: bool
    ) -> Literal[Reply.STORED, Reply.OUTDATED, Reply.LOCKED]:
        """Put `book` in the place of `version`; it then has the next version, and survives this process.

        Args:
            book: What to keep.
            version: What `load` said; `Reply.OUTDATED` when the home holds another one now.
            patient: Whether to wait for seconds when the home is locked.
        """
        ...

    def ended(self, owners: Collection[str]) -> Collection[str]:
        """Those of `owners` whose processes have ended; `Ledger` asks once a second."""
        ...

    def close(self) -> None:
        """Nothing is called afterwards."""
        ...


class MemoryHome(Home):
    """A book in memory, for one event loop; it is never locked, and forgotten with the process.

    Args:
        plans: What is assumed of each group until a response says otherwise.
        book: The book; None for a new one. Homes that share one are like processes.
        owner: See `Home.owner`.
        is_alive: Whether the process with this name runs; by default no other process can be in this memory.
    """

    def __init__(
        self,
        plans: Mapping[UsageGroup, Plan] = PRIOR_PLANS,
        *,
        book: Book | None = None,
        owner: str = "",
        is_alive: Callable[[str], bool] = lambda _owner: False,
    ) -> None:
        self._book = Book(plans) if book is None else book
        self._owner = owner
        self._is_alive = is_alive

    @property
    def owner(self) -> str:
        """See `Home.owner`."""
        return self._owner

    def new_book(self) -> Book:
        """See `Home.new_book`; it is the one that is kept here."""
        return self._book

    def load(self, known: int | None) -> Kept | Literal[Reply.UNCHANGED, Reply.LOCKED]:
        """See `Home.load`; it is always the same object, so one version number does for all."""
        return Kept(1, self._book) if known is None else Reply.UNCHANGED

    def store(
        self,
        book: Book,  # noqa: ARG002 - it is the one that is kept here
        version: int,  # noqa: ARG002 - nobody else can have changed it
        *,
        patient: bool,  # noqa: ARG002 - there is no lock
    ) -> Literal[Reply.STORED, Reply.OUTDATED, Reply.LOCKED]:
        """See `Home.store`."""
        return Reply.STORED

    def ended(self, owners: Collection[str]) -> Collection[str]:
        """See `Home.ended`."""
        return [owner for owner in owners if owner != self._owner and not self._is_alive(owner)]

    def close(self) -> None:
        """See `Home.close`."""


@attrs.frozen
class Stamp:
    """A moment, as the clocks of a home tell it."""

    boot: str
    """What `clock_s` counts from; differs between any two boots."""
    clock_s: float
    """Seconds since then; nobody can set this clock. All times in a book are of it."""
    wall_s: float
    """Seconds since 1970 UTC, as somebody has set them."""


def restore_book(
    values: Mapping[str, Any], written: Stamp, now: Stamp, plans: Mapping[UsageGroup, Plan], poll_s: float
) -> Book:
    """The book whose `Book.dump` was `values` when it was `written`; `plans` and `poll_s` as in `Book`.

    A book of an earlier boot is translated by the wall clock, within what cannot be wrong: the clock of this
    boot began at 0, and whatever was done before was over then.

    Raises:
        ValueError: They are not those of a book.
    """
    shift_s = 0.0
    if written.boot != now.boot:
        age_s = max(0.0, now.wall_s - written.wall_s)
        shift_s = min(now.clock_s - age_s, 0.0) - written.clock_s
    try:
        book = Book.load(values, plans, poll_s=poll_s, shift_s=shift_s)
    except (AttributeError, LookupError, TypeError) as exc:
        raise ValueError(str(exc)) from exc
    if written.boot != now.boot and book.owners:
        # The machine went down under them: a power cut loses what was written last.
        book.freeze_everything(0.0)
        for owner in book.owners:
            book.remove_owner(owner, 0.0)
    return book
