"""The database of the index of mailboxes: how it is opened, read, written, and replaced when it is damaged.

Concurrency: writes go through one connection and a lock, in worker threads (`transaction`). Short questions
go through another connection, in the event loop (`all`): tens of microseconds each, and never held up by a
writer, because the database is in write-ahead mode. Long questions have a few connections of their own, in
worker threads (`reading`): no writer of any process waits for them, and they wait for no writer, nor for each
other.
"""

import math
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rcfs.errors import NoRoomError, StoreError
from rcfs.private import reason_of
from rcfs.store._checked_table import CheckedTable, Row, verified
from rcfs.store._checksum import DamagedRowError
from rcfs.store._database import LOCK_WAIT_S, READ_WAIT_S, Damage, connect, migrate, open_database
from rcfs.store._forgetting import rewrite
from rcfs.store._index_rescue import rescue
from rcfs.store._index_schema import FORM, MIGRATIONS, find_damage
from rcfs.store._pool import ConnectionPool
from rcfs.store._sqlite import is_damage, is_full, transaction

_SMALL_BYTES = 8 << 20
"""An index of this size, with some 5,000 messages, is checked whole in about 0.1 s (measured 2026-11)."""
_CHECKS_WORDS = (3, 44)
"""From this version on, SQLite's integrity check includes full-text indices (release notes, 2023-11)."""
_WORDS_BYTES = 256 << 20
"""Earlier versions have a command for it, which holds up writers: in an index of this size, with some 200,000
messages, for 2 s of the 5 s that they wait (7 µs a message, measured 2026-11)."""
_MOST_READERS = 4
"""Long questions at the same time. A mount asks its searches one after the other."""
_MEMORY_DIRECTORY = "/dev/shm"  # noqa: S108 - only ever used through TemporaryDirectory


class IndexDamagedError(StoreError):
    """The database is damaged; the next time that it is opened, a new one replaces it."""


class IndexDatabase:
    """The database of one state directory; several processes may share it."""

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        """Opens the database `path`, created with its directory when missing (0600, 0700).

        A database that is damaged, foreign or newer than this program is moved aside as ``*.damaged``. If
        `path` cannot be written, a database in a temporary directory is used. `warn` gets a line for each.

        Raises:
            StoreError: No directory can hold it.
        """
        self._path = path
        self._warn = warn
        self._scratch: TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()
        self._damaged = False
        self._fault = ""
        self._damage: Damage | None = None
        """A database that was moved aside, and whose good rows have not been copied yet."""
        self._retired: list[sqlite3.Connection] = []
        self.on_damage: Callable[[], None] = lambda: None
        """Called in any thread when damage is found; the owner should then `renew` the database."""
        self._open_somewhere()

    def close(self) -> None:
        """Close the database; nothing may be called afterwards."""
        with self._lock:
            self._close()
        self.close_retired()
        if self._scratch is not None:
            self._scratch.cleanup()

    def renew(self) -> bool:
        """Replace the database, if damage was found since the last call; whether it was. For worker threads.

        The event loop may ask questions meanwhile; afterwards it has to call `close_retired`.

        The damaged database is moved aside, unless another process has done so: then its new one is used.
        Mailboxes whose rows are all good keep their numbers; all other numbers become invalid.

        Raises:
            StoreError: No directory can hold a new one.
        """
        with self._lock:
            if not self._damaged:
                return False
            self._close()
            is_ours = False
            with suppress(OSError):  # Another process is replacing it.
                is_ours = _identity(self._path) == self._file
            self._open_somewhere(self._fault if is_ours else None)
            self._damaged = False
            return True

    def close_retired(self) -> None:
        """Close the connections that the event loop used before `renew`; for the event loop."""
        while self._retired:
            self._retired.pop().close()

    def one(self, query: str, *parameters: object) -> tuple[Any, ...] | None:
        """The first row of the answer to a short question; for the event loop."""
        rows = self.all(query, *parameters)
        return rows[0] if rows else None

    def all(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """All rows of the answer to a short question; for the event loop.

        Raises:
            IndexDamagedError: The database is damaged.
            StoreError: It fails for another reason.
        """
        reader = self._reader
        try:  # A context manager costs half as much as the question.
            return reader.execute(query, parameters).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as exc:
            raise self._store_error(exc, is_present=reader is self._reader) from exc

    def version(self) -> object:
        """A value that is another one after each commit; for the event loop. It takes a few microseconds.

        Raises:
            StoreError: As `all`.
        """
        # SQLite tells a connection of the commits of all others, and this one makes none.
        return self._reader, self.one("PRAGMA data_version")

    def select(self, table: CheckedTable, rest: str, *parameters: object) -> list[Row]:
        """The rows of `table`, see `CheckedTable.listed`; `rest` of the statement chooses and sorts them."""
        query = f"SELECT {table.listed()} FROM {table.name} {rest}"  # noqa: S608 - our own words
        return self.verified((table,), query, *parameters)

    def verified(self, tables: tuple[CheckedTable, ...], query: str, *parameters: object) -> list[Row]:
        """The answer to a short question, whose columns begin with those of `tables`; see `verified`."""
        reader = self._reader
        rows = self.all(query, *parameters)
        try:
            return verified(rows, *tables)
        except DamagedRowError as exc:
            raise self._store_error(exc, is_present=reader is self._reader) from exc

    def report_damaged_row(self, table: CheckedTable) -> None:
        """Tell the listener that a row of `table` is damaged."""
        self._store_error(DamagedRowError(f"a row of {table.name} is damaged"), is_present=True)

    @property
    def is_small(self) -> bool:
        """Whether `find_damage` takes so little time that the start of a mount can wait for it."""
        return self._size_bytes() <= _SMALL_BYTES

    def _size_bytes(self) -> float:
        """Size of the database; infinite if it cannot be read."""
        try:
            return self._path.stat().st_size
        except OSError:
            return math.inf

    def find_damage(self) -> None:
        """Check every page and row; for a worker thread, and a second for 10,000 messages.

        Raises:
            IndexDamagedError: The database is damaged.
            StoreError: It cannot be read.
        """
        with self.reading() as connection:
            find_damage(connection)
        if sqlite3.sqlite_version_info < _CHECKS_WORDS and self._size_bytes() <= _WORDS_BYTES:
            with self.transaction() as connection:  # It changes nothing, but takes the lock.
                for words in ("words", "call_words"):
                    connection.execute(f"INSERT INTO {words} ({words}) VALUES ('integrity-check')")  # noqa: S608

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The writing connection, for this thread alone, in a transaction that ends with the block.

        Raises:
            IndexDamagedError: The database is damaged.
            StoreError: It fails for another reason.
        """
        with self._lock, self._store_errors(self._pool), transaction(self._writer):
            yield self._writer

    def rewrite(self) -> None:
        """Rewrite the database, so that no deleted row is left in it; for worker threads.

        Raises:
            StoreError: It cannot be done: the disk is full, or another process keeps the database busy.
        """
        with self._lock, self._store_errors(self._pool):
            rewrite(self._writer)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for this thread alone that must only be read from; it waits for no writer.

        Raises:
            IndexDamagedError: The database is damaged.
            StoreError: It fails for another reason.
        """
        pool = self._pool
        with self._store_errors(pool), pool.connection() as connection:
            connection.execute("BEGIN")  # Takes no lock; all answers are as of one moment.
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _close(self) -> None:
        self._pool.close()
        self._writer.close()
        self._retired.append(self._reader)  # which the event loop may use at this moment

    def _open_somewhere(self, fault: str | None = None) -> None:
        """Open the database at its path, or one in a temporary directory; see `open_database`."""
        try:
            self._open(fault)
        except (OSError, sqlite3.Error, UnicodeDecodeError) as exc:
            self._warn(
                f"the index cannot be kept in {self._path} ({reason_of(exc)}); rcfs forgets it when it ends"
            )
        else:
            return
        try:
            self._scratch = TemporaryDirectory(
                prefix="rcfs-index-", dir=_MEMORY_DIRECTORY if Path(_MEMORY_DIRECTORY).is_dir() else None
            )
            self._path = Path(self._scratch.name, self._path.name)
            self._open()
        except (OSError, sqlite3.Error, UnicodeDecodeError) as exc:
            raise StoreError(f"there is no room for an index ({reason_of(exc)}); free disk space") from exc

    def _open(self, fault: str | None = None) -> None:
        with ExitStack() as opened:
            writer, damage = open_database(
                self._path, FORM, partial(_connect_writer, self._path), thorough=False, fault=fault
            )
            opened.callback(writer.close)
            self._damage = damage or self._damage
            if self._damage is not None:
                aside = self._damage.aside
                rescued = rescue(aside, writer)
                self._warn(
                    f"the index {self._path} is unusable ({self._damage.fault}); rcfs moved it to"
                    f" {aside.name}, made a new one, {rescued}"
                )
                self._damage = None
            reader = connect(self._path, wait_s=READ_WAIT_S)
            opened.pop_all()
        self._writer, self._reader = writer, reader
        self._pool = ConnectionPool(partial(connect, self._path, wait_s=READ_WAIT_S), _MOST_READERS)
        self._file = _identity(self._path)

    @contextmanager
    def _store_errors(self, pool: ConnectionPool) -> Iterator[None]:
        """Turns errors of SQLite into ours; damage is told, unless `pool` has been replaced meanwhile."""
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as exc:
            raise self._store_error(exc, is_present=pool is self._pool) from exc

    def _store_error(self, error: sqlite3.Error | UnicodeDecodeError, *, is_present: bool) -> StoreError:
        """Our error for one of SQLite; if the present database is damaged, the listener is told."""
        if not is_damage(error):
            kind = NoRoomError if is_full(error) else StoreError
            return kind(f"the index {self._path} cannot be used: {reason_of(error)}")
        if is_present:
            self._fault = reason_of(error)
            self._damaged = True
            self.on_damage()
        return IndexDamagedError(f"the index {self._path} is damaged: {reason_of(error)}")


def _connect_writer(path: Path) -> sqlite3.Connection:
    """A connection to the database, after migrating it, with SQLite's own settings.

    A page cache larger than SQLite's 2 MB made no difference at a million messages (2 to 64 MB, measured
    2026-11). The database is not mapped into memory: a failing disk would then kill the mount (SIGBUS). The
    log stays at 10 MB, because a page of messages is one transaction and readers' questions are short.
    """
    with ExitStack() as opened:
        connection = connect(path, wait_s=LOCK_WAIT_S)
        opened.callback(connection.close)
        migrate(connection, FORM, MIGRATIONS)
        opened.pop_all()
    return connection


def _identity(path: Path) -> tuple[int, int]:
    """The device and inode numbers, which tell a file from another one of the same name."""
    found = path.stat()
    return found.st_dev, found.st_ino
