"""The quota ledger that all processes of one user share, in an SQLite file.

One row holds the book of one credential (`rcfs.quota.Book`) as JSON. Each change is a transaction: lock,
read the row unless it is as this process wrote it, change the book, write it, unlock. Nothing is kept
anywhere else, so a process may be killed at any moment.

Times in a book are of the machine's boot clock, which all processes share and nobody can set. A row of an
earlier boot is translated by the wall clock, within what cannot be wrong: it was written before this boot.
"""

import math
import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from rcfs.errors import StoreError
from rcfs.model import Plan, RateHeaders, UsageGroup
from rcfs.private import make_private_directory, make_private_file, reason_of
from rcfs.quota import LINGER_S, Book, GroupState, Ledger, MemoryLedger, Slot, Waiting, forecast
from rcfs.store._database import SQLITE_SIDE_FILES, move_database_aside
from rcfs.store._machine import Machine
from rcfs.store._sqlite import find_fault, is_busy, lenient_text, mark

T = TypeVar("T")

_APPLICATION_ID = int.from_bytes(b"rcfq")
_SCHEMA_VERSION = 1
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS books (
        credential TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        boot TEXT NOT NULL,
        clock_s REAL NOT NULL,
        wall_s REAL NOT NULL,
        book TEXT NOT NULL,
        checksum INTEGER NOT NULL
    )
"""
_UPSERT = """
    INSERT INTO books VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (credential) DO UPDATE
    SET version = ?2, boot = ?3, clock_s = ?4, wall_s = ?5, book = ?6, checksum = ?7
"""
_ROW: Final = "row"
"""Where a book repeats the other columns of its row, so that its checksum is also theirs."""
_OPEN_WAIT_S: Final = 5.0
"""How long to wait for another process when the file is opened or closed, in seconds."""

_LOCK_WAIT_S: Final = 0.005
"""How long to wait for another process in the event loop, in seconds: ten transactions of 0.2 ms (measured
2026-11) and more; what takes longer is a process that was stopped."""

_AGAIN_S: Final = 0.05
"""When to try again after that, in seconds: 10 % of the event loop's time as long as it lasts."""

_POLL_S: Final = 1.0
"""How long a waiting process may go without looking what the others did: freed a slot unused, left, died."""

_LOOK_S: Final = 1.0
"""How often to look whether the other processes are alive: 60 µs each (measured 2026-11)."""

_FORGET_S: Final = 30 * 86400.0
"""When the book of a credential that nobody uses is dropped; demos have a new one each time."""


class SqliteLedger(Ledger):
    """A `Ledger` for one event loop and any number of processes; use `open_ledger`."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        credential: str,
        plans: Mapping[UsageGroup, Plan],
        warn: Callable[[str], None],
        machine: Machine,
    ) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._path = path
        self._credential = credential
        self._plans = plans
        self._warn = warn
        self._machine = machine
        self._book: Book | None = None
        self._version: int | None = None
        """Of the row that `_book` is; None when they may differ."""
        self._late: list[Callable[[Book], None]] = []
        """What was reported while the database was locked, oldest first."""
        self._look_at_s = -math.inf
        self._is_bounded = False
        """Whether the book holds nothing any more that an earlier version believed of a server."""
        self._inode = path.stat().st_ino

    # The ledger's methods

    def plan(self, group: UsageGroup) -> Plan:
        """See `Ledger.plan`."""
        return self._seen().plan(group)

    def take(self, group: UsageGroup, waiting: Waiting, now: float) -> Slot | float:
        """See `Ledger.take`."""
        owner = self._machine.owner

        def change(book: Book) -> Slot | float:
            if now >= self._look_at_s:
                self._bury_dead(book, now)
            self._bound(book, now)
            return book.take(owner, group, waiting, now)

        if now >= self._look_at_s:
            self._follow_file()
        try:
            return self._change(change)
        except TimeoutError:
            return now + _AGAIN_S

    def meet(self, now: float) -> None:
        """See `Ledger.meet`."""
        self._report(lambda book: book.meet(now))

    def leave(self, group: UsageGroup) -> None:
        """See `Ledger.leave`."""
        self._report(lambda book: book.leave(self._machine.owner, group))

    def settle(self, slot: Slot, now: float, headers: RateHeaders | None) -> None:
        """See `Ledger.settle`."""
        self._report(lambda book: book.settle(slot, now, headers))

    def fail(self, slot: Slot, now: float) -> None:
        """See `Ledger.fail`."""
        self._report(lambda book: book.fail(slot, now))

    def refuse(
        self, slot: Slot, now: float, headers: RateHeaders | None, retry_after_s: float | None
    ) -> None:
        """See `Ledger.refuse`."""
        self._report(lambda book: book.refuse(slot, now, headers, retry_after_s))

    def cancel(self, slot: Slot) -> None:
        """See `Ledger.cancel`."""
        self._report(lambda book: book.cancel(slot))

    def sync(self, now: float) -> float:
        """See `Ledger.sync`."""
        if self._late:
            try:
                self._change(lambda _book: None)
            except TimeoutError:
                return now + _AGAIN_S
        return math.inf

    def states(self, now: float) -> tuple[GroupState, ...]:
        """See `Ledger.states`."""
        if now >= self._look_at_s and self._dead(self._seen()):
            # Nobody may take anything for hours, in which the requests of the dead would seem to go on.
            with suppress(TimeoutError):
                self._change(lambda book: self._bury_dead(book, now))
        book = self._seen()
        self._bound(book, now)
        return book.states(self._machine.owner, now)

    def forecast(self, group: UsageGroup, waiting: Waiting, now: float) -> Sequence[float]:
        """See `Ledger.forecast`."""
        return forecast(self._seen(), self._machine.owner, group, waiting, now)

    def reset(self) -> None:
        """See `Ledger.reset`."""
        if self._connection is not None:
            self._connection.execute(f"PRAGMA busy_timeout = {_OPEN_WAIT_S * 1000:.0f}")
        self._change(lambda book: book.reset())
        if self._connection is not None:
            self._connection.execute(f"PRAGMA busy_timeout = {_LOCK_WAIT_S * 1000:.0f}")

    def close(self, now: float) -> None:
        """See `Ledger.close`."""
        if self._connection is None:
            return
        self._connection.execute(f"PRAGMA busy_timeout = {_OPEN_WAIT_S * 1000:.0f}")
        with suppress(TimeoutError):  # then others find this process dead, and end its requests
            self._change(lambda book: book.bury(self._machine.owner, now))
        if self._connection is not None:
            self._close()

    # Transactions

    def _change(self, work: Callable[[Book], T]) -> T:
        """What `work` makes of the book, all that was late applied before; when this returns it is written.

        Raises:
            TimeoutError: Another process holds the lock; nothing was changed.
        """
        if self._connection is not None:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                self._read()
            except sqlite3.Error as exc:
                if is_busy(exc):
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise TimeoutError from exc
                self._go_on_alone(exc)
        book, done = self._known(), False
        try:
            for change in self._late:
                change(book)
            result = work(book)
            done = True
        finally:
            if not done and self._connection is not None:
                self._version = None
                self._connection.execute("ROLLBACK")
        if self._connection is not None:
            try:
                self._write(book)
                self._connection.execute("COMMIT")
            except sqlite3.Error as exc:
                self._go_on_alone(exc)
        self._late.clear()
        return result

    def _report(self, change: Callable[[Book], None]) -> None:
        """Apply `change`, now or with the next transaction; it is not lost while the process lives."""
        self._late.append(change)
        with suppress(TimeoutError):
            self._change(lambda _book: None)

    def _seen(self) -> Book:
        """The book as it is in the file, for reading only; as last seen when that cannot be read."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._read()
        return self._known()

    def _known(self) -> Book:
        """The book as last seen."""
        if self._book is None:
            self._book = Book(self._plans, poll_s=_POLL_S)
        return self._book

    def _read(self) -> None:
        """Make `_book` what the row says, unless it is that already.

        Raises:
            sqlite3.Error: It cannot be read.
        """
        assert self._connection is not None  # noqa: S101 - the callers have asked
        select = "SELECT version FROM books WHERE credential = ?"
        row = self._connection.execute(select, (self._credential,)).fetchone()
        if row is not None and row[0] == self._version:
            return
        if row is not None:
            columns = "version, boot, clock_s, wall_s, book, checksum"
            select = f"SELECT {columns} FROM books WHERE credential = ?"  # noqa: S608 - our own words
            version, *rest = self._connection.execute(select, (self._credential,)).fetchone()
            self._book, self._version = self._loaded(*rest), version
        elif self._book is None:
            self._book = self._known()
            aside = list(self._path.parent.glob(f"{self._path.name}.damaged*"))
            if aside:
                self._book.mistrust(self._written_s(aside))
        # Else the file was removed and begun anew, and what this process knows is all there is.
        self._known().enter(self._machine.owner)

    def _loaded(self, boot: str, clock_s: float, wall_s: float, text: str, checksum: int) -> Book:
        try:
            if zlib.crc32(text.encode()) != checksum:
                raise ValueError("its checksum is wrong")
            document = msgspec.json.decode(text)
            # Earlier versions wrote none.
            if document.get(_ROW, row := [self._credential, boot, clock_s, wall_s]) != row:
                raise ValueError("its row is not as it was written")
            if boot == self._machine.boot:
                return Book.load(document, self._plans, poll_s=_POLL_S)
            age_s = max(0.0, self._machine.wall_s() - wall_s)
            # The boot clock began at 0, and whatever was done before its beginning was over then.
            shift_s = min(self._machine.clock_s() - age_s, 0.0) - clock_s
            book = Book.load(document, self._plans, poll_s=_POLL_S, shift_s=shift_s)
        except (AttributeError, LookupError, TypeError, ValueError, msgspec.DecodeError) as exc:
            self._warn(f"the quota ledger {self._path} is damaged ({exc}): begun anew, after a pause")
            book = Book(self._plans, poll_s=_POLL_S)
            book.mistrust(self._written_s([self._path]))
            return book
        if book.owners:
            # The machine went down under them: a power cut loses what was written last.
            book.mistrust(0.0)
        for owner in book.owners:
            book.bury(owner, 0.0)
        return book

    def _write(self, book: Book) -> None:
        """Make the row what `book` says.

        Raises:
            sqlite3.Error: It cannot be written.
        """
        assert self._connection is not None  # noqa: S101 - the callers have asked
        version = (self._version or 0) + 1
        row = (self._credential, self._machine.boot, self._machine.clock_s(), self._machine.wall_s())
        text = msgspec.json.encode({**book.dump(), _ROW: row}).decode()
        credential, *times = row
        self._connection.execute(_UPSERT, (credential, version, *times, text, zlib.crc32(text.encode())))
        self._version = version

    # Trouble

    def _bury_dead(self, book: Book, now: float) -> None:
        """End what dead processes have left in `book`."""
        self._look_at_s = now + _LOOK_S
        for owner in self._dead(book):
            book.bury(owner, now + LINGER_S)

    def _bound(self, book: Book, now: float) -> None:
        if not self._is_bounded:
            book.bound(now)
            self._is_bounded = True

    def _dead(self, book: Book) -> list[str]:
        """The owners in `book` whose processes have ended without a word."""
        others = (owner for owner in book.owners if owner != self._machine.owner)
        return [owner for owner in others if not self._machine.is_alive(owner)]

    def _go_on_alone(self, error: sqlite3.Error) -> None:
        """Keep the book in memory from now on, because the file fails."""
        self._warn(f"the quota ledger {self._path} fails ({error}); from now on it is kept in memory")
        book = self._known()
        for owner in book.owners:
            if owner != self._machine.owner:
                book.bury(owner, self._machine.clock_s() + LINGER_S)
        self._close()

    def _close(self) -> None:
        assert self._connection is not None  # noqa: S101 - the callers have asked
        with suppress(sqlite3.Error):
            self._connection.close()
        self._connection = None

    def _follow_file(self) -> None:
        """Use the file that has the name now, if another process has moved ours aside."""
        if self._connection is None:
            return
        try:
            if self._path.exists() and self._path.stat().st_ino == self._inode:
                return
            connection = _open_file(self._path, self._machine, self._warn, _LOCK_WAIT_S)
        except (OSError, sqlite3.Error):
            return  # The old file is still a good ledger; the next look may find another.
        self._connection.close()
        self._connection, self._version, self._is_bounded = connection, None, False
        self._inode = self._path.stat().st_ino

    def _written_s(self, paths: Sequence[Path]) -> float:
        """When one of these databases was last written, on the boot clock; now when in doubt."""
        files = [path.with_name(path.name + side) for path in paths for side in ("", *SQLITE_SIDE_FILES)]
        newest_s = max((path.stat().st_mtime for path in files if path.exists()), default=math.inf)
        return self._machine.clock_s() - max(0.0, self._machine.wall_s() - newest_s)


def open_ledger(
    path: Path,
    credential: str,
    plans: Mapping[UsageGroup, Plan],
    warn: Callable[[str], None],
    machine: Machine,
) -> SqliteLedger | MemoryLedger:
    """The ledger of `credential` in the SQLite database `path`, created with its directory (0600, 0700).

    One that is damaged, foreign, or of a version that this program does not know is moved aside as
    ``*.damaged`` and begun anew. What it said is lost then, so nothing is sent until one window and penalty
    after it was last written. One that cannot be written is replaced by one in memory.

    Args:
        path: Where it is.
        credential: A name that tells nobody anything; see `rcfs.platform.identity`.
        plans: What is assumed of each group until a response says otherwise.
        warn: Gets a line when something is wrong.
        machine: Where it runs.
    """
    try:
        connection = _open_file(path, machine, warn, _OPEN_WAIT_S)
        return SqliteLedger(connection, path, credential, plans, warn, machine)
    except (OSError, sqlite3.Error) as exc:
        warn(f"the quota cannot be kept in {path} ({reason_of(exc)}); other processes do not know of it")
        return MemoryLedger(plans)


def credentials_in_ledger(path: Path) -> Sequence[str]:
    """The names of all credentials of the ledger `path`, the one used last first; none where no file is.

    Raises:
        StoreError: It cannot be read.
    """
    if not path.exists():
        return ()
    try:
        with closing(sqlite3.connect(path, timeout=_OPEN_WAIT_S)) as connection:
            rows = connection.execute("SELECT credential FROM books ORDER BY wall_s DESC").fetchall()
    except sqlite3.Error as exc:
        raise StoreError(f"the quota ledger {path} cannot be read ({exc})") from exc
    return tuple(str(name) for (name,) in rows)


def _open_file(
    path: Path, machine: Machine, warn: Callable[[str], None], wait_s: float
) -> sqlite3.Connection:
    make_private_directory(path.absolute().parent)
    make_private_file(path)
    fault = find_fault(
        path,
        application_id=_APPLICATION_ID,
        version=_SCHEMA_VERSION,
        timeout_s=wait_s,
        thorough=True,  # a few pages
    )
    if fault is not None:
        aside = move_database_aside(path)
        warn(
            f"the quota ledger {path} is unusable ({fault}): moved to {aside.name}, begun anew, after a pause"
        )
        make_private_file(path)
    connection = sqlite3.connect(path, timeout=wait_s, isolation_level=None)
    connection.text_factory = lenient_text  # What is no text fits no checksum.
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # In WAL mode NORMAL keeps the database sound through a power cut, and spares a sync for each change.
        connection.execute("PRAGMA synchronous = NORMAL")
        # Before the table: a database that has one but no mark is taken for somebody else's.
        mark(connection, application_id=_APPLICATION_ID, version=_SCHEMA_VERSION)
        connection.execute(_SCHEMA)
        connection.execute(f"PRAGMA busy_timeout = {_LOCK_WAIT_S * 1000:.0f}")
        _forget_unused(connection, machine)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _forget_unused(connection: sqlite3.Connection, machine: Machine) -> None:
    """Drop the books that nobody has used for long; another time when another process writes now."""
    try:
        unused = connection.execute(
            "SELECT credential, wall_s, book FROM books WHERE wall_s < ?", (machine.wall_s() - _FORGET_S,)
        ).fetchall()
        for credential, wall_s, text in unused:
            if _is_written_at(wall_s, text):
                connection.execute("DELETE FROM books WHERE credential = ?", (credential,))
    except sqlite3.Error as exc:
        if not is_busy(exc):
            raise


def _is_written_at(wall_s: float, text: str) -> bool:
    """Whether a book was written then: a damaged time must not make it look unused."""
    try:
        return bool(msgspec.json.decode(text).get(_ROW, (wall_s,))[-1] == wall_s)
    except (AttributeError, LookupError, TypeError, ValueError):
        return False
