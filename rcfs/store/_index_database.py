"""The database of the index of mailboxes: where it is opened, and what becomes of it when it is damaged.

Concurrency: what writes, and what may take long, goes through one connection and a lock, in worker threads
(`transaction`). Short questions go through another one, in the event loop (`all`): tens of microseconds each,
and never held up by a writer, because the database is in write-ahead mode. Long questions that change nothing
have a few others, in worker threads (`reading`): none of them holds up a writer or waits for one, whichever
process that is, and a long search does not keep a short question waiting.
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

from rcfs.errors import StoreError
from rcfs.private import reason_of
from rcfs.store._checksum import DamagedRowError, is_proved, proved
from rcfs.store._database import LOCK_WAIT_S, READ_WAIT_S, Damage, connect, migrate, open_database
from rcfs.store._forgetting import write_anew
from rcfs.store._index_rescue import take_over
from rcfs.store._index_schema import FORM, MIGRATIONS, find_damage
from rcfs.store._pool import ConnectionPool
from rcfs.store._sqlite import is_damage, transaction

_SMALL_BYTES = 8 << 20
"""An index of that size, of some 5,000 messages, is looked at whole in about 0.1 s (measured 2026-11)."""
_LOOKS_AT_WORDS = (3, 44)
"""From this version on SQLite's look at a database includes its full-text index (release notes, 2023-11)."""
_WORDS_BYTES = 256 << 20
"""Before that, a command does it which holds up writers: in an index of that size, of some 200,000 messages,
for 2 s of the 5 s that they wait (7 µs a message, measured 2026-11)."""
_MOST_READERS = 4
"""Long questions at the same time; a search is one of them, of which a mount asks one after the other."""
_MEMORY_DIRECTORY = "/dev/shm"  # noqa: S108 - only ever used through TemporaryDirectory


class IndexDamagedError(StoreError):
    """The database is damaged; opened anew, it will be begun anew."""


class IndexDatabase:
    """The database of one state directory; several processes may share it."""

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        """Opens the database `path`, created with its directory when missing (0600, 0700).

        One that is damaged, foreign or newer than this program is moved aside as ``*.damaged``; where it
        cannot be written, one in a temporary directory takes its place. `warn` gets a line for each.

        Raises:
            StoreError: There is no place for it at all.
        """
        self._path = path
        self._warn = warn
        self._scratch: TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()
        self._damaged = False
        self._fault = ""
        self._damage: Damage | None = None
        """What was moved aside, and has not been taken over yet."""
        self._retired: list[sqlite3.Connection] = []
        self.on_damage: Callable[[], None] = lambda: None
        """Called when damage is met, in whatever thread that is; somebody should then `renew`."""
        self._open_somewhere()

    def close(self) -> None:
        """Close the database; nothing may be called afterwards."""
        with self._lock:
            self._close()
        self.settle()
        if self._scratch is not None:
            self._scratch.cleanup()

    def renew(self) -> bool:
        """Begin anew, if damage was met since the last time; whether it was. For worker threads.

        The event loop may ask meanwhile; when this has returned, it is to call `settle`.

        The damaged database is moved aside, unless another process has done so: then its new one is used.
        Mailboxes that are whole keep their numbers; all others that were given out are of nothing any more.

        Raises:
            StoreError: There is no place for a new one.
        """
        with self._lock:
            if not self._damaged:
                return False
            self._close()
            is_ours = False
            with suppress(OSError):  # Another process is at it.
                is_ours = _identity(self._path) == self._file
            self._open_somewhere(self._fault if is_ours else None)
            self._damaged = False
            return True

    def settle(self) -> None:
        """Close what the event loop asked before `renew`; for the event loop."""
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
            raise self._plain_error(exc, present=reader is self._reader) from exc

    def sound(
        self, query: str, *parameters: object, width: int, first: int = 0, lenient: bool = False
    ) -> list[tuple[Any, ...]]:
        """The same, of which the first `width` columns are wanted; what follows them proves them.

        That is `rcfs.store._index_schema.checked` of one table, or of two, the `first` of so many columns.
        With `lenient`, a damaged row is told and left out, instead of being an error for all.
        """
        reader = self._reader
        rows = self.all(query, *parameters)
        try:
            return proved(rows, width, first=first)
        except DamagedRowError as exc:
            error = self._plain_error(exc, present=reader is self._reader)
            if not lenient:
                raise error from exc
        return [row[:width] for row in rows if is_proved(row, width)]

    def sound_one(self, query: str, *parameters: object, width: int) -> tuple[Any, ...] | None:
        """The first row of what `sound` gives."""
        rows = self.sound(query, *parameters, width=width)
        return rows[0] if rows else None

    @property
    def is_small(self) -> bool:
        """Whether `find_damage` takes so little time that it can be waited for."""
        return self._size_bytes() <= _SMALL_BYTES

    def _size_bytes(self) -> float:
        """Size of the database; infinite when it cannot be told."""
        try:
            return self._path.stat().st_size
        except OSError:
            return math.inf

    def find_damage(self) -> None:
        """Look at all there is; for a worker thread. Damage is told as always.

        Raises:
            StoreError: It cannot be looked at.
        """
        with self.reading() as connection:
            find_damage(connection)
        if sqlite3.sqlite_version_info < _LOOKS_AT_WORDS and self._size_bytes() <= _WORDS_BYTES:
            with self.transaction() as connection:  # A command that changes nothing, but takes the lock.
                connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The writing connection, for this thread alone, in a transaction that ends with the block.

        Raises:
            IndexDamagedError: The database is damaged.
            StoreError: It fails for another reason.
        """
        with self._lock, self._plain_errors(self._pool), transaction(self._writer):
            yield self._writer

    def write_anew(self) -> None:
        """Write the database anew, so that nothing of what was deleted is left in it; for worker threads.

        Raises:
            StoreError: It cannot be done: the disk is full, or another process keeps the database busy.
        """
        with self._lock, self._plain_errors(self._pool):
            write_anew(self._writer)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for this thread alone that must only be read from, beside whoever writes.

        Raises:
            IndexDamagedError: The database is damaged.
            StoreError: It fails for another reason.
        """
        pool = self._pool
        with self._plain_errors(pool), pool.connection() as connection:
            connection.execute("BEGIN")  # Takes no lock: all that is asked is as of one moment.
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
                f"the index cannot be kept in {self._path} ({reason_of(exc)}); it is forgotten at the end"
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
            raise StoreError(f"there is no room for an index: {reason_of(exc)}") from exc

    def _open(self, fault: str | None = None) -> None:
        with ExitStack() as opened:
            writer, damage = open_database(
                self._path, FORM, partial(_connect_writer, self._path), thorough=False, fault=fault
            )
            opened.callback(writer.close)
            self._damage = damage or self._damage
            if self._damage is not None:
                aside = self._damage.aside
                rescued = take_over(aside, writer)
                self._warn(
                    f"the index {self._path} is unusable ({self._damage.fault}):"
                    f" moved to {aside.name}, {rescued}"
                )
                self._damage = None
            reader = connect(self._path, wait_s=READ_WAIT_S)
            opened.pop_all()
        self._writer, self._reader = writer, reader
        self._pool = ConnectionPool(partial(connect, self._path, wait_s=READ_WAIT_S), _MOST_READERS)
        self._file = _identity(self._path)

    @contextmanager
    def _plain_errors(self, pool: ConnectionPool) -> Iterator[None]:
        """Turns errors of SQLite into ours, and tells of damage, unless `pool` was given up meanwhile."""
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as exc:
            raise self._plain_error(exc, present=pool is self._pool) from exc

    def _plain_error(self, error: sqlite3.Error | UnicodeDecodeError, *, present: bool) -> StoreError:
        """Our error for one of SQLite; tells of damage, if it is of the `present` database."""
        if not is_damage(error):
            return StoreError(f"the index of mailboxes fails: {reason_of(error)}")
        if present:
            self._fault = reason_of(error)
            self._damaged = True
            self.on_damage()
        return IndexDamagedError(f"the index of mailboxes is damaged: {reason_of(error)}")


def _connect_writer(path: Path) -> sqlite3.Connection:
    """A connection with SQLite's own settings, to the present version.

    More memory for pages than its 2 MB made no difference at a million messages (2 to 64 MB, measured
    2026-11). The database is not mapped into memory: a disk that fails would then kill the mount (SIGBUS).
    The log stays at 10 MB: a page of messages is one transaction, and the questions of readers are short.
    """
    with ExitStack() as opened:
        connection = connect(path, wait_s=LOCK_WAIT_S)
        opened.callback(connection.close)
        migrate(connection, FORM, MIGRATIONS)
        opened.pop_all()
    return connection


def _identity(path: Path) -> tuple[int, int]:
    """What tells a file from another of the same name."""
    found = path.stat()
    return found.st_dev, found.st_ino
