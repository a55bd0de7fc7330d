"""The part of the cache's database that is diskcache's; only this file and `_disk` know diskcache.

From diskcache (5.6) come the two tables (Cache with a row for each value, and Settings), their indices, the
triggers that count values and bytes, `transact`, and the opening of the database. rcfs's own are the value
files (`_disk`: bytes and never a pickle, each with its key and a checksum), the connections (a few for all
threads, where diskcache keeps one for each), opening without a lock if all settings are right, and every
statement on rows (`_table`). rcfs uses no other method of diskcache: no get, set, cull, check or expire.

The reasons (tried 2026-11): under the policy that evicts the least recently used value, `get` writes the time
of use, so a reader waited 60 s for a process that held the lock, and then failed. `set` removes old values
after it has written the new one, so the cap does not hold in between (0.85 MiB over it). It removes values
and not contents: of a content of 8 chunks, 2 were left, and reading it costs a request again. `check` deletes
files without a row, which rcfs adopts.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import diskcache

from rcfs.filenames import CacheFiles
from rcfs.store._database import SQLITE_SIDE_FILES, Format, connect
from rcfs.store._disk import BytesDisk
from rcfs.store._pool import ConnectionPool
from rcfs.store._seats import share_of_descriptors
from rcfs.store._sqlite import is_busy, lenient_text

Timeout: type[Exception] = diskcache.Timeout
"""Raised by a transaction if the lock is not free in time."""
FORM = Format(int.from_bytes(b"rcfc"), 1)
"""The format of a cache's database. Its version is that of the keys and value files; a database of another
version is moved aside."""

ODD_SETTINGS = (AttributeError, TypeError, ValueError)
"""Raised by diskcache if its table of settings holds values that it never wrote."""

LOCK_WAIT_S = 2.0
"""Time that a write waits for another process, in seconds. A process holds the lock for about 1 ms. One that
was stopped while holding it may never release it, and a user's read waits here."""
_MOST_CONNECTIONS = 16
"""Threads that use the table at the same time: eight that read, four that store, and some for status and
pins. Fewer where the process may open fewer than 512 files: each connection has three."""
_LOG_PAGES = 64
"""Pages of the write-ahead log before it is folded into the database. SQLite's 1000 would let it grow to
4 MB, which the cap would have to leave free; unsynced, folding often costs next to nothing."""
_PAGE_BYTES = 4096
_LOG_BYTES = 2 * _LOG_PAGES * _PAGE_BYTES
"""Size of the log from which on a write shortens it: folding alone does not while others always read, and
the cap must leave the log free."""
_FOLD_WAIT_S = 0.05
"""Longest wait for those who read, in seconds; a read takes less than 1 ms."""
_CACHE_PAGES = 512
"""Pages that each connection keeps in memory: 2 MiB, SQLite's own default. diskcache's is 32 MiB."""
_PRAGMAS: Mapping[str, int] = MappingProxyType(
    {
        # Nothing is synced, see `rcfs.store._table`.
        "synchronous": 0,
        "cache_size": _CACHE_PAGES,
        "wal_autocheckpoint": _LOG_PAGES,
        "journal_size_limit": _LOG_PAGES * _PAGE_BYTES,
        # Pages that are mapped and then lost (a failing disk, a file cut by hand) kill with SIGBUS.
        "mmap_size": 0,
    }
)
"""Settings of a connection, which the database does not keep."""

_IF_MISSING = "INSERT OR IGNORE"
_SETTING_WRITES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "INSERT OR REPLACE INTO": ("key", "value"),
        f"{_IF_MISSING} INTO": ("key", "value"),
        "UPDATE": ("value", "key"),
    }
)
"""Beginnings of diskcache's statements that write a setting, and the order of their parameters."""
_OPEN_STEP_S = 0.001
"""Time between two attempts to write a setting, in seconds; diskcache's own value."""


class CacheDatabase(diskcache.Cache):  # type: ignore[misc]  # diskcache has no type hints
    """The database of one cache directory; may be used from any thread, and by several processes.

    Every method may raise sqlite3.Error, those that write also `Timeout`.
    """

    def __init__(self, directory: Path, scratch: TemporaryDirectory[str] | None = None) -> None:
        """Open or create the database in `directory`.

        Args:
            directory: The directory of the database, and of the directory of the value files.
            scratch: The same directory, if it is to be deleted after use.
        """
        self._pool = ConnectionPool(self._connect, share_of_descriptors(32, _MOST_CONNECTIONS))
        super().__init__(
            str(directory),
            timeout=LOCK_WAIT_S,
            disk=BytesDisk,
            eviction_policy="least-recently-used",
            cull_limit=0,
            statistics=0,
            tag_index=1,
            disk_min_file_size=0,
            sqlite_application_id=FORM.application_id,
            sqlite_user_version=FORM.version,
            # Free pages are used again; giving them back would move others at each eviction.
            sqlite_auto_vacuum=0,
            **{f"sqlite_{pragma}": value for pragma, value in _PRAGMAS.items()},
        )
        self.scratch = scratch
        self._log_bound_bytes = _LOG_BYTES

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Lends this thread a connection for all statements within the block.

        Outside of a session, each thread keeps a connection open, as with diskcache.

        Raises:
            sqlite3.Error: No connection can be opened.
        """
        if getattr(self._local, "con", None) is not None:
            yield
            return
        with self._pool.connection() as connection:
            self._local.con = connection
            try:
                yield
            finally:
                self._local.con = None

    def shorten_log(self) -> None:
        """Fold the log into the database and empty it, if it is too long; not within a transaction.

        If a reader does not end in time, such as a process that was stopped, the next try comes when the log
        has doubled.
        """
        log = Path(f"{CacheFiles(Path(self.directory)).database}{SQLITE_SIDE_FILES[0]}")
        try:
            size_bytes = log.stat().st_size
        except FileNotFoundError:
            return
        if size_bytes <= self._log_bound_bytes:
            return
        self._sql(f"PRAGMA busy_timeout = {_FOLD_WAIT_S * 1000:.0f}")
        try:
            is_blocked, _pages, _folded = self._sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self._sql(f"PRAGMA busy_timeout = {self.timeout * 1000:.0f}")
        self._log_bound_bytes = 2 * size_bytes if is_blocked else _LOG_BYTES

    @property
    def _con(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "con", None)
        if connection is None:
            connection = self._local.con = self._connect()
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = connect(CacheFiles(Path(self.directory)).database, wait_s=self.timeout, pragmas=_PRAGMAS)
        connection.text_factory = lenient_text
        return connection

    @property
    def _sql_retry(self) -> Callable[..., sqlite3.Cursor]:
        """Executes diskcache's statements while it opens; a setting that is right already is not written.

        Otherwise a process that holds the lock would keep others from opening the directory.
        """
        run: Callable[..., sqlite3.Cursor] = self._sql

        def execute(statement: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
            order = _SETTING_WRITES.get(statement.split("Settings", maxsplit=1)[0].strip())
            if order is not None:
                setting = dict(zip(order, parameters, strict=True))
                select = "SELECT value FROM Settings WHERE key = ?"
                found = run(select, (setting["key"],)).fetchone()
                if found is not None and (found[0] == setting["value"] or statement.startswith(_IF_MISSING)):
                    return run("SELECT 1")
            deadline_s = time.monotonic() + LOCK_WAIT_S
            while True:
                try:
                    return run(statement, parameters)
                except sqlite3.OperationalError as exc:
                    if not is_busy(exc) or time.monotonic() > deadline_s:
                        raise
                    time.sleep(_OPEN_STEP_S)

        return execute

    def _release(self) -> None:
        """Return this thread's connection to the pool."""
        connection = getattr(self._local, "con", None)
        if connection is not None:
            self._local.con = None
            self._pool.give(connection)

    def close(self) -> None:
        """Close this thread's connection, if it has one."""
        connection = getattr(self._local, "con", None)
        self._local.con = None
        if connection is not None:
            connection.close()

    @property
    def disk(self) -> BytesDisk:
        """The value files."""
        disk: BytesDisk = self._disk
        return disk

    @property
    def read_only(self) -> bool:
        """Whether writes would be lost, because the real directory cannot be written."""
        return self.scratch is not None

    def abandon(self) -> None:
        """End a transaction that failed in its COMMIT, which diskcache leaves open; never raises.

        The connection stays open if possible: on a disk that is full or read-only no other one could be
        opened, and reads would fail.
        """
        try:
            if self._con.in_transaction:
                self._sql("ROLLBACK")
        except (sqlite3.Error, *ODD_SETTINGS):
            self.close()

    def dispose(self) -> None:
        """Close all connections, those in use when they are returned, and delete a temporary directory."""
        self.close()
        self._pool.close()
        if self.scratch is not None:
            self.scratch.cleanup()
