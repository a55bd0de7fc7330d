"""The home of a ledger: the place that holds one book, and replaces it by compare-and-set.

A home need not wait, lock or repeat: it answers that it is locked, or that another process was faster, and
the ledger decides what follows. Homes that hold text store `Book.dump`, and read it with `restore_book`.
"""

import math
from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import Any, Literal, Protocol

import attrs

from rcfs.model import PRIOR_PLANS, Plan, UsageGroup
from rcfs.quota._book import Book


class Reply(Enum):
    """A home's answer other than a book."""

    UNCHANGED = "the home still holds the version that the caller knows"
    STORED = "the book was replaced"
    OUTDATED = "another process has replaced the book; load it and try again"
    LOCKED = "another process keeps the home locked; try again in a moment"


@attrs.frozen
class Held:
    """The book that a home holds, and the number of its version."""

    version: int
    """Rises by one with each change; 0 when nothing was ever stored."""
    book: Book | None
    """The book, which the caller may change; None when the home holds no intact book."""
    lost_s: float | None = None
    """Without a book: the latest time at which a lost one may have been written; None when none was lost."""
    behind: bool = False
    """Whether the home may have forgotten changes since `lost_s`. Without a book it has forgotten some that
    this process has seen, and which it is to store again."""


class Home(Protocol):
    """Holds the book of one credential for any number of processes; each process has its own `Home` object.

    Methods return within a few milliseconds, or those of a home on a server within a few seconds. They raise
    StoreError when the home fails for good, and SharedLedgerError when it cannot be used for now; such a home
    raises it at once until it is time for the next try.
    """

    @property
    def forgets(self) -> bool:
        """Whether the home may forget changes that it stored, or be out of reach for a time."""
        return False

    @property
    def promised_s(self) -> float:
        """Until when this process has promised to be heard; only for homes that `forgets`."""
        return math.inf

    @property
    def start_divisor(self) -> int:
        """The share of a process that never reached a home that `forgets`: 1 divided by this, none if 0."""
        return 1

    def silent(self, owners: Collection[str]) -> Collection[str]:  # noqa: ARG002 - those that it can see
        """Those of the other `owners` that were not heard as long as they had promised."""
        return ()

    @property
    def owner(self) -> str:
        """The name of this process; no other process has it."""
        ...

    def new_book(self) -> Book:
        """An empty book."""
        ...

    def load(self, known: int | None, *, to_store: bool) -> Held | Literal[Reply.UNCHANGED, Reply.LOCKED]:
        """The contents, or `Reply.UNCHANGED` if the home still holds version `known`.

        Args:
            known: The version that the caller has; None to load in any case.
            to_store: Whether `store` comes next. As `store` detects a newer version itself, the home need
                not look for one now, unless it was replaced as a whole, as a file that was moved aside.
        """
        ...

    def store(
        self, book: Book, version: int, *, patient: bool
    ) -> Literal[Reply.STORED, Reply.OUTDATED, Reply.LOCKED]:
        """Replace version `version` by `book`, which survives this process and has the next version.

        Args:
            book: The new book.
            version: The version that `book` was made from; `Reply.OUTDATED` if the home holds another one.
            patient: Whether to wait some seconds for a lock.
        """
        ...

    def ended(self, owners: Collection[str]) -> Collection[str]:
        """Those of `owners` whose processes have ended; `Ledger` asks once a second."""
        ...

    def close(self) -> None:
        """Release the home; no method is called afterwards."""
        ...


class MemoryHome(Home):
    """A book in memory, for one event loop; it is never locked, and ends with the process.

    Args:
        plans: The plan assumed of each group until a response tells it.
        book: The book; None for a new one. Homes that share a book are like processes.
        owner: See `Home.owner`.
        is_alive: Whether the process with this name runs. By default none but `owner` does.
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
        """See `Home.new_book`; here it is the book that the home holds."""
        return self._book

    def load(
        self,
        known: int | None,
        *,
        to_store: bool,  # noqa: ARG002 - there is nothing to save
    ) -> Held | Literal[Reply.UNCHANGED, Reply.LOCKED]:
        """See `Home.load`; the book is always the same object, so one version number is enough."""
        return Held(1, self._book) if known is None else Reply.UNCHANGED

    def store(
        self,
        book: Book,  # noqa: ARG002 - the ledger has changed the very object that the home holds
        version: int,  # noqa: ARG002 - no process can have replaced it
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
    """A moment on both clocks of a machine."""

    boot: str
    """Id of the boot that `clock_s` counts from; no two boots have the same."""
    clock_s: float
    """Seconds since that boot; nobody can set this clock. All times in a book are read from it."""
    wall_s: float
    """Seconds since 1970 UTC by the wall clock, which anybody may have set."""


def restore_book(
    values: Mapping[str, Any], written: Stamp, now: Stamp, plans: Mapping[UsageGroup, Plan], poll_s: float
) -> Book:
    """The book that was dumped as `values` at `written`; `plans` and `poll_s` as in `Book`.

    The times of a book of an earlier boot are translated by the wall clock. If that clock is wrong, they are
    at least not later than 0: this boot's clock began at 0, and everything in the book happened before.

    Raises:
        ValueError: `values` are not those of a book.
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
        # These processes were running when the machine went down, and a power cut loses the last writes.
        book.freeze_everything(0.0)
        for owner in book.owners:
            book.remove_owner(owner, 0.0)
    return book
