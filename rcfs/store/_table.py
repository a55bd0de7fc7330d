"""The cache's database: which value file holds which key, and whose turn it is to go.

diskcache keeps a row per value, with the values of one content tied together by its `tag`. What it lacks is
added here on its own schema (that of 5.6): asking and evicting by content instead of by value, writing so
that a SIGKILL leaves nothing uncounted, and mending the database from the value files. Its own culling is
off: it would run after the write, not before.

What a SIGKILL may leave behind: rows whose files are gone (evicting removes files before it is committed),
which count too much, and are found out by whoever opens them; and files that the table `Spare` names, which
the next write of any process removes before it adds anything. So the cap holds with no repair.

The database is disposable. Nothing in it is synced to the disk, so that a write costs no more than the file
it describes; when a power cut garbles it, `reconcile` writes it anew from the headers of the files.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import attrs
import diskcache
from diskcache.core import MODE_BINARY

from rcfs.filenames import CacheFiles
from rcfs.store._database import Format, connect
from rcfs.store._disk import BytesDisk, is_value_name, new_value_name
from rcfs.store._keys import parse_value_key
from rcfs.store._pool import ConnectionPool
from rcfs.store._seats import share_of_descriptors
from rcfs.store._sqlite import is_busy, lenient_text
from rcfs.store._value import DamagedValueError, allocated_bytes, peek_key

FORM = Format(int.from_bytes(b"rcfc"), 1)
"""What tells a cache's database from all others. Its version is that of the keys and value files; a directory
with another one is begun anew."""

ODD_SETTINGS = (AttributeError, TypeError, ValueError)
"""What diskcache raises when its table of settings holds what it never wrote."""

LOCK_WAIT_S = 2.0
"""How long a write waits for another process, in seconds. One holds the lock for about 1 ms; one that was
stopped while holding it may never let go, and what waits here is somebody's read."""
_MOST_CONNECTIONS = 16
"""Threads that work on the table at the same time: eight that look, four that store, and some for status and
pins. Fewer where the process may open fewer than 512 files: each connection has three."""
_MOST_USES = 1000
"""Uses that are noted later because the table is locked now; what is lost only makes the order worse."""

_USE_STEP_S = 0.001
"""Between two uses while the clock lags behind those noted, in seconds: a double tells them apart for the
next 30,000 years, and a content is not used more often than that for long."""
_NEVER_S = 1e12
"""No clock says so: the year 33,658. What a failing disk made of a time, text included, sorts behind it."""

_LOG_PAGES = 64
"""Pages of the write-ahead log before it is folded into the database. SQLite's 1000 would let it grow to
4 MB, which the cap would have to leave free; unsynced, folding often costs next to nothing."""
_PAGE_BYTES = 4096
_CACHE_PAGES = 512
"""Pages that each connection keeps in memory: 2 MiB, SQLite's own default. diskcache's is 32 MiB."""
_PRAGMAS: Mapping[str, int] = MappingProxyType(
    {
        # Nothing is synced, see above.
        "synchronous": 0,
        "cache_size": _CACHE_PAGES,
        "wal_autocheckpoint": _LOG_PAGES,
        "journal_size_limit": _LOG_PAGES * _PAGE_BYTES,
        # Pages that are mapped and then lost (a failing disk, a file cut by hand) kill with SIGBUS.
        "mmap_size": 0,
    }
)
"""What holds for one connection only, and not for the database."""

_IF_MISSING = "INSERT OR IGNORE"
_SETTING_WRITES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "INSERT OR REPLACE INTO": ("key", "value"),
        f"{_IF_MISSING} INTO": ("key", "value"),
        "UPDATE": ("value", "key"),
    }
)
"""How diskcache's statements that write a setting begin, and the order of their parameters."""
_OPEN_STEP_S = 0.001
"""Between two attempts to write a setting, in seconds; diskcache's own."""


@attrs.frozen
class Entry:
    """One row: where the value of a key lies. As the database says, so nothing of it is to be trusted."""

    rowid: int
    """SQLite's row number."""
    key: object
    """Text of the key, if the database is sound."""
    mode: object
    """diskcache's mode number: only that of a file of bytes is ever used."""
    filename: object
    """Name of the value file."""


class ChunkTable(diskcache.Cache):  # type: ignore[misc]  # diskcache has no type hints
    """The database of one cache directory; may be used from any thread, and by several processes.

    Every method may raise sqlite3.Error, those that write also diskcache.Timeout for a lock not had in time.
    """

    def __init__(self, directory: Path, scratch: "TemporaryDirectory[str] | None" = None) -> None:
        """Open or create the database in `directory`.

        Args:
            directory: Where the database and the directory of the value files lie.
            scratch: The same directory, if it is one to be thrown away after use.
        """
        self._pool = ConnectionPool(self._connect, share_of_descriptors(32, _MOST_CONNECTIONS))
        self._uses: dict[str, None] = {}
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
        # Value files that may be there without a row: those that the next write will make, and those that the
        # last write replaced.
        self._sql_retry("CREATE TABLE IF NOT EXISTS Spare (filename TEXT)")
        self.scratch = scratch
        self._path = directory
        self.entries("")  # A table with other columns fails here, and not in somebody's read.

        self._release()

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Lends this thread a connection, with which everything within the block works.

        Without it, diskcache keeps one open for each thread; so does this class outside of a session.

        Raises:
            sqlite3.Error: None can be opened.
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
        """How diskcache writes its settings when it is opened: here nothing that is as it should be.

        A process that holds the lock would else keep others from opening the directory.
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
        """Give this thread's connection to whoever needs one next."""
        connection = getattr(self._local, "con", None)
        if connection is not None:
            self._local.con = None
            self._pool.give(connection)

    def relax(self) -> None:
        """Close the connections that nobody uses at this moment."""
        self._pool.relax()

    def close(self) -> None:
        """Close this thread's connection, if it has one."""
        connection = getattr(self._local, "con", None)
        self._local.con = None
        if connection is not None:
            connection.close()

    @property
    def disk(self) -> BytesDisk:
        """Where and how the values lie."""
        disk: BytesDisk = self._disk
        return disk

    @property
    def read_only(self) -> bool:
        """Whether what is written would be lost: the real directory could not be written."""
        return self.scratch is not None

    def entries(self, tag: str) -> list[Entry]:
        """The rows of the content `tag`, in no particular order; takes no lock."""
        select = "SELECT rowid, key, mode, filename FROM Cache WHERE tag = ?"
        return [Entry(*row) for row in self._sql(select, (tag,)).fetchall()]

    def entry(self, key: str) -> Entry | None:
        """The row of `key`; takes no lock."""
        select = "SELECT rowid, key, mode, filename FROM Cache WHERE key = ? AND raw = 1"
        return next((Entry(*row) for row in self._sql(select, (key,)).fetchall()), None)

    def tags_below(self, prefix: str) -> list[str]:
        """The contents whose keys begin with `prefix` and a slash, such as those of one message."""
        # Not LIKE, which no index helps; "0" is the character after the slash.
        select = "SELECT DISTINCT tag FROM Cache WHERE tag > ? AND tag < ?"
        return [tag for (tag,) in self._sql(select, (f"{prefix}/", f"{prefix}0")).fetchall()]

    def sizes(self) -> dict[object, int]:
        """What the values of each content take on the disk, in bytes, by tag."""
        return dict(self._sql("SELECT tag, SUM(size) FROM Cache GROUP BY tag").fetchall())

    def count_contents(self) -> int:
        """How many contents have at least one value here."""
        return int(self._sql("SELECT COUNT(DISTINCT tag) FROM Cache").fetchone()[0])

    def value_bytes(self) -> int:
        """What all value files take on the disk, in bytes; kept by triggers, so it costs one look."""
        return int(self._sql("SELECT CAST(value AS INTEGER) FROM Settings WHERE key = 'size'").fetchone()[0])

    def overhead_bytes(self) -> int:
        """What directories and databases, those moved aside included, take on the disk, in bytes."""
        total = allocated_bytes(self._path.stat().st_size) + allocated_bytes(
            self.disk.chunk_directory.stat().st_size
        )
        with os.scandir(self._path) as found:
            for file in found:
                with contextlib.suppress(FileNotFoundError):
                    if file.is_file(follow_symlinks=False):
                        total += allocated_bytes(file.stat(follow_symlinks=False).st_size)
        return total

    def write(self, values: Sequence[tuple[str, bytes | bytearray]], *, tag: str) -> list[object]:
        """Store keys with their values, one or two, of the content `tag`; the names of the files replaced.

        To be called within a transaction, after which the caller removes those files: before the commit, a
        SIGKILL would leave the keys with nothing. The names of the new ones were committed by the write
        before.

        Raises:
            OSError: A file cannot be written; nothing is left of any.
        """
        spare = [
            name for (name,) in self._sql("SELECT filename FROM Spare").fetchall() if self._is_free(name)
        ]
        for name in spare:
            self.disk.remove(name)
        spare += [new_value_name() for _ in range(len(values) - len(spare))]
        written: list[tuple[str, str, int]] = []
        try:
            for (key, payload), name in zip(values, spare, strict=False):
                written.append((key, name, self.disk.write(name, key, payload)))
        except OSError:
            self.disk.remove_uncommitted()
            raise
        linked = [self._link(key, name, size, tag) for key, name, size in written]
        replaced = [filename for filename in linked if filename is not None]
        self._choose_spare(replaced)
        return replaced

    def _link(self, key: str, name: str, size: int, tag: str) -> object:
        """Make the file `name` the value of `key`; the name of the file before, None when there was none."""
        replaced = self.entry(key)
        upsert = (
            "INSERT INTO Cache (key, raw, store_time, access_time, tag, size, mode, filename)"
            " VALUES (?, 1, ?, ?, ?, ?, ?, ?) ON CONFLICT (key, raw) DO UPDATE SET"
            " store_time = excluded.store_time, access_time = excluded.access_time, tag = excluded.tag,"
            " size = excluded.size, mode = excluded.mode, filename = excluded.filename, value = NULL"
        )
        used_s = self._next_use_s()
        self._sql(upsert, (key, used_s, used_s, tag, size, MODE_BINARY, name))
        return replaced.filename if replaced is not None else None

    def _choose_spare(self, replaced: Iterable[object]) -> None:
        """Note the names of the next two files, and that the files `replaced` are about to go."""
        self._sql("DELETE FROM Spare")
        for name in (new_value_name(), new_value_name(), *replaced):
            self._sql("INSERT INTO Spare VALUES (?)", (name,))

    def _is_free(self, name: object) -> bool:
        """Whether `name` is a value file's, and of none that has a row."""
        if not is_value_name(name):
            return False
        if not self.disk.path(name).exists():
            return True
        # Seldom, for the scan takes a while: after a SIGKILL, or when the database is older than the files.
        return self._sql("SELECT 1 FROM Cache WHERE filename = ?", (name,)).fetchone() is None

    def touch_content(self, tag: str) -> bool:
        """Note that the content `tag` was used just now, later if that is locked; whether it is there.

        One row is enough: `coldest_content` takes a content to be as recent as its most recent row.
        """
        if self._sql("SELECT 1 FROM Cache WHERE tag = ? LIMIT 1", (tag,)).fetchone() is None:
            return False
        self._uses[tag] = None
        self._sql("PRAGMA busy_timeout = 0")
        try:
            self.note_uses()
        except sqlite3.OperationalError:
            while len(self._uses) > _MOST_USES:  # Locked or full: it is noted later.
                self._uses.pop(next(iter(self._uses)), None)
        finally:
            self._sql(f"PRAGMA busy_timeout = {int(LOCK_WAIT_S * 1000)}")
        return True

    def note_uses(self) -> None:
        """Write down the uses that are not noted yet."""
        update = (
            "UPDATE Cache SET access_time = ? WHERE rowid = (SELECT rowid FROM Cache WHERE tag = ? LIMIT 1)"
        )
        for tag in list(self._uses):
            self._sql(update, (self._next_use_s(), tag))
            self._uses.pop(tag, None)

    def _next_use_s(self) -> float:
        """The time to note for a use that happens now: after all that were noted, whatever the clock says.

        With the bare clock, a step back by a year would make everything used since the first to go.
        """
        newest = "SELECT access_time FROM Cache WHERE access_time < ? ORDER BY access_time DESC LIMIT 1"
        row = self._sql(newest, (_NEVER_S,)).fetchone()
        return max(time.time(), row[0] + _USE_STEP_S) if row is not None else time.time()

    def coldest_content(self, *, besides: Container[object]) -> tuple[object] | None:
        """The tag of the content whose last use is longest ago, `besides` left out; None if there is none.

        A tuple of one, because a doctored row may have no tag, and must go all the same.
        """
        oldest = "SELECT tag FROM Cache ORDER BY access_time"
        level = (
            "UPDATE Cache SET access_time = (SELECT MAX(access_time) FROM Cache WHERE tag IS ?1)"
            " WHERE tag IS ?1 AND access_time < (SELECT MAX(access_time) FROM Cache WHERE tag IS ?1)"
        )
        while True:
            with contextlib.closing(self._sql(oldest)) as rows:  # which come one by one, by an index
                row: tuple[object] | None = next((each for each in rows if each[0] not in besides), None)
            # Rows of a content that was used since its oldest row are brought up to its newest one; that is
            # done once per use and content, and leaves the row that was found at the right place.
            if row is None or self._sql(level, row).rowcount == 0:
                return row

    def discard_content(self, tag: object) -> int:
        """Remove the content `tag`; how many bytes of disk that frees."""
        with self.transact():
            rows = self._sql("SELECT filename, size FROM Cache WHERE tag IS ?", (tag,)).fetchall()
            self._sql("DELETE FROM Cache WHERE tag IS ?", (tag,))
            for filename, _size in rows:
                self.disk.remove(filename)
        return sum(size for _filename, size in rows if isinstance(size, int))

    def forget(self, entry: Entry) -> None:
        """Remove one value, unless its row has come to mean another file; best effort."""
        with contextlib.suppress(sqlite3.OperationalError):
            self._sql("DELETE FROM Cache WHERE rowid = ? AND filename IS ?", (entry.rowid, entry.filename))
        self.disk.remove(entry.filename)

    def restore(self, entry: Entry) -> bool:
        """Make the row of a value anew as its file says, of which it says that it is another's.

        False when the file is no good; then both are removed.
        """
        try:
            self.disk.open_unchecked(entry.mode, entry.filename).check().close()
        except (OSError, TypeError, DamagedValueError):
            self.forget(entry)
            return False
        self._sql("DELETE FROM Cache WHERE rowid = ? AND filename IS ?", (entry.rowid, entry.filename))
        if not self._adopt(str(entry.filename)):
            self.disk.remove(entry.filename)
        return True

    def empty(self, *, besides: Container[object] = ()) -> int:
        """Remove all contents but `besides`; how many bytes of disk that frees.

        Unless something is left, also all value files that no row knows.
        """
        freed = 0
        with self.transact():
            tags = [tag for (tag,) in self._sql("SELECT DISTINCT tag FROM Cache").fetchall()]
            if any(tag in besides for tag in tags):
                return sum(self.discard_content(tag) for tag in tags if tag not in besides)
            self._sql("DELETE FROM Cache")
            for name in self._value_names():
                path = self.disk.path(name)
                with contextlib.suppress(OSError):
                    size = path.stat().st_size
                    path.unlink()
                    freed += allocated_bytes(size)
        return freed

    def reconcile(self) -> int:
        """Make rows and value files agree again; how many files were taken in.

        A file without a row (its writer was killed before it committed, or the database was lost) is taken
        in when its header fits and its key is not there already, else removed; of two files of one key
        either will do, for contents never change. A row without a file is removed. Payloads are not read:
        whoever loads them checks them anyway, and 10 GiB would take a minute.

        Every writer writes its file within a transaction, so under the lock no file is merely about to get
        its row. When they agree already, which is the rule, nothing is locked. A row that contradicts itself,
        or whose size is not its file's, is made anew from the file.

        Raises:
            ValueError: The database contradicts itself, and would take the files of lost rows for needless.
        """
        select = "SELECT filename, size, key, tag, store_time, access_time FROM Cache"
        found = self._sql(select).fetchall()
        listed_bytes = sum(row[1] for row in found if isinstance(row[1], int))
        if (
            {row[0] for row in found} == self._value_names()
            and listed_bytes == self.value_bytes()
            and all(_is_plausible(*row[1:]) for row in found)
        ):
            return 0
        ((verdict,),) = self._sql("PRAGMA integrity_check(1)")
        if verdict != "ok":
            raise ValueError("its pages contradict each other")
        adopted = 0
        with self.transact():
            names = self._value_names()
            rows: dict[int, object] = {}
            for rowid, filename, *said in self._sql(select.replace("SELECT", "SELECT rowid,", 1)).fetchall():
                if filename not in names:
                    self._sql("DELETE FROM Cache WHERE rowid = ?", (rowid,))
                elif _is_plausible(*said) and said[0] == self._allocated_bytes(filename):
                    rows[rowid] = filename
                else:
                    # Counted as none that was taken in, unless the file is no good either.
                    self._sql("DELETE FROM Cache WHERE rowid = ?", (rowid,))
                    adopted -= 1
            for name in names.difference(rows.values()):
                if self._adopt(name):
                    adopted += 1
                elif not self.read_only:
                    self.disk.remove(name)
            self._choose_spare(())
            self._sql(
                "UPDATE Settings SET value = (SELECT COALESCE(SUM(size), 0) FROM Cache) WHERE key = 'size'"
            )
        return adopted

    def _allocated_bytes(self, filename: object) -> int:
        try:
            return allocated_bytes(self.disk.path(filename).stat().st_size)
        except OSError:
            return -1

    def abandon(self) -> None:
        """End a transaction that failed in its COMMIT, which diskcache leaves open; never raises.

        The connection stays if it can: on a disk that is full or read-only no other one could be opened, and
        nothing would be read any more.
        """
        try:
            if self._con.in_transaction:
                self._sql("ROLLBACK")
        except (sqlite3.Error, *ODD_SETTINGS):
            self.close()

    def dispose(self) -> None:
        """Close all connections, those in use when they are given back, and remove what was scratch."""
        self.close()
        self._pool.close()
        if self.scratch is not None:
            self.scratch.cleanup()

    def _adopt(self, name: str) -> bool:
        """Make a row for the value file `name`; False when it is no good, or its key has another file."""
        path = self.disk.path(name)
        try:
            key = peek_key(path)
            status = path.stat()
        except (OSError, DamagedValueError):
            return False
        parsed = parse_value_key(key)
        if parsed is None:
            return False
        insert = (
            "INSERT OR IGNORE INTO Cache (key, raw, store_time, access_time, tag, size, mode, filename)"
            " VALUES (?, 1, ?, ?, ?, ?, ?, ?)"
        )
        # The time of writing stands in for that of the last use, which only the lost row knew.
        written_s = status.st_mtime
        size = allocated_bytes(status.st_size)
        values = (key, written_s, written_s, parsed[0], size, MODE_BINARY, name)
        return bool(self._sql(insert, values).rowcount == 1)

    def _value_names(self) -> set[str]:
        with os.scandir(self.disk.chunk_directory) as found:
            return {file.name for file in found if is_value_name(file.name)}


def _is_plausible(size: object, key: object, tag: object, stored_s: object, used_s: object) -> bool:
    """Whether what a row says of its file may be what was written."""
    return (
        isinstance(size, int)
        and isinstance(key, str)
        and key.rpartition("#")[0] == tag
        and isinstance(stored_s, float)
        and isinstance(used_s, float)
        and 0 <= stored_s <= used_s < _NEVER_S
    )
