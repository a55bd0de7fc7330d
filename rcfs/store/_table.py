"""The rows of the cache's database: the value file of each key, and the order in which contents are evicted.

Each value has a row (see `rcfs.store._cache_database`); the rows of one content have the same `tag`. This
file has the statements on these rows: reading and evicting by content, writing so that a SIGKILL leaves no
file uncounted, and rebuilding the rows from the value files.

A SIGKILL may leave two things behind. Rows without a file (evicting removes files before the commit) count
too much until a read finds them. Files that the table `Spare` names are removed by the next write of any
process, before it adds anything. So the cap holds without a repair.

The database is disposable. rcfs does not sync it to the disk, so a write costs no more than its file; if a
power cut garbles the database, `reconcile` rebuilds the rows from the headers of the files.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Container, Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from rcfs.store._cache_database import CacheDatabase
from rcfs.store._disk import FILE_OF_BYTES, is_value_name, new_value_name
from rcfs.store._keys import parse_value_key, split_info
from rcfs.store._value import DamagedValueError, allocated_bytes, peek_key

_MOST_USES = 1000
"""Uses that wait to be written while the table is locked; losing some only makes the order worse."""

_USE_STEP_S = 0.001
"""Step between two uses while the clock is behind the last one written, in seconds: a double tells them apart
for the next 30,000 years, and contents are not used more often than that for long."""
_NEVER_S = 1e12
"""Later than any clock shows: the year 33,658. A damaged time, text included, sorts behind it."""

Value = tuple[str, bytes | bytearray]
"""The key of a value in the cache, perhaps `with_info`, and its payload."""


@attrs.frozen
class Entry:
    """One row, with the file of a value. A damaged database may have any values here, so all are checked."""

    rowid: int
    """SQLite's row number."""
    key: object
    """The key, a text if the database is sound."""
    mode: object
    """diskcache's mode number; rcfs only uses that of a file of bytes."""
    filename: object
    """Name of the value file."""


class ChunkTable(CacheDatabase):
    """The rows of one cache directory; may be used from any thread, and by several processes."""

    def __init__(
        self,
        directory: Path,
        wall_clock: Callable[[], float],
        scratch: TemporaryDirectory[str] | None = None,
    ) -> None:
        """See `CacheDatabase`; `wall_clock` tells the times of use."""
        super().__init__(directory, scratch)
        self.wall_clock = wall_clock
        """Seconds since 1970 UTC."""
        self._uses: dict[str, None] = {}
        self._path = directory
        # Value files that may exist without a row: those that the next write will create, and those that the
        # last write replaced.
        self._sql_retry("CREATE TABLE IF NOT EXISTS Spare (filename TEXT)")
        self.entries("")  # A table with other columns fails here, and not in a read.
        self._release()

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

    def fingerprint_below(self, prefix: str) -> str:
        """A digest of the rows of the contents that `tags_below` gives, and of the sizes of their files."""
        hasher = blake2b(digest_size=16)
        select = "SELECT key, filename, size FROM Cache WHERE tag > ? AND tag < ? ORDER BY tag, key"
        for key, filename, size in self._sql(select, (f"{prefix}/", f"{prefix}0")):
            try:
                found: object = (self.disk.chunk_directory / str(filename)).stat().st_size
            except (OSError, ValueError):
                found = None
            hasher.update(ascii((key, filename, size, found)).encode())
        return hasher.hexdigest()

    def sizes(self) -> dict[object, int]:
        """Bytes on the disk of each content, by tag."""
        return dict(self._sql("SELECT tag, SUM(size) FROM Cache GROUP BY tag").fetchall())

    def count_contents(self) -> int:
        """The number of contents that have at least one row."""
        return int(self._sql("SELECT COUNT(DISTINCT tag) FROM Cache").fetchone()[0])

    def value_bytes(self) -> int:
        """Bytes on the disk of all value files; triggers keep the sum."""
        return int(self._sql("SELECT CAST(value AS INTEGER) FROM Settings WHERE key = 'size'").fetchone()[0])

    def overhead_bytes(self) -> int:
        """Bytes on the disk of directories and databases, those moved aside included."""
        total = allocated_bytes(self._path.stat().st_size) + allocated_bytes(
            self.disk.chunk_directory.stat().st_size
        )
        with os.scandir(self._path) as found:
            for file in found:
                with contextlib.suppress(FileNotFoundError):
                    if file.is_file(follow_symlinks=False):
                        total += allocated_bytes(file.stat(follow_symlinks=False).st_size)
        return total

    def spare_count(self) -> int:
        """The number of values that the next `write` may have: those for whose files names are committed."""
        return max(2, int(self._sql("SELECT COUNT(*) FROM Spare").fetchone()[0]))

    def reserve(self, count: int) -> None:
        """Commit the names of `count` files (2 or more) for the next `write`."""
        with self.transact():
            self._clear_spare()
            self._choose_spare((), count)

    def _clear_spare(self) -> list[str]:
        """The names that were committed for new files; what a SIGKILL left of such files is removed."""
        rows = self._sql("SELECT filename FROM Spare").fetchall()
        names = [name for (name,) in rows if self._is_free(name)]
        for name in names:
            self.disk.remove(name)
        return names

    def write(self, values: Sequence[Value], *, next_values: int = 2) -> list[object]:
        """Store `values`: at most `spare_count`, so that a SIGKILL leaves no file uncounted.

        The caller has begun a transaction. It removes the replaced files after the commit: with a SIGKILL
        before the commit, the keys would be left without a file. The previous write has committed the names
        of the new files; this one commits those of the next `next_values` (2 or more).

        Returns:
            The names of the replaced files.

        Raises:
            OSError: A file cannot be written; no file is left.
        """
        spare = self._clear_spare()
        spare += [new_value_name() for _ in range(len(values) - len(spare))]
        written: list[tuple[str, str, int]] = []
        try:
            for (key, payload), name in zip(values, spare, strict=False):
                written.append((split_info(key)[0], name, self.disk.write(name, key, payload)))
        except OSError:
            self.disk.remove_uncommitted()
            raise
        used_s = self._next_use_s()
        linked = [self._link(key, name, size, used_s) for key, name, size in written]
        replaced = [filename for filename in linked if filename is not None]
        self._choose_spare(replaced, next_values)
        return replaced

    def _link(self, key: str, name: str, size: int, used_s: float) -> object:
        """Make the file `name` the value of `key`; the name of its previous file, None if it had none."""
        tag = key.rpartition("#")[0]
        replaced = self.entry(key)
        upsert = (
            "INSERT INTO Cache (key, raw, store_time, access_time, tag, size, mode, filename)"
            " VALUES (?, 1, ?, ?, ?, ?, ?, ?) ON CONFLICT (key, raw) DO UPDATE SET"
            " store_time = excluded.store_time, access_time = excluded.access_time, tag = excluded.tag,"
            " size = excluded.size, mode = excluded.mode, filename = excluded.filename, value = NULL"
        )
        self._sql(upsert, (key, used_s, used_s, tag, size, FILE_OF_BYTES, name))
        return replaced.filename if replaced is not None else None

    def _choose_spare(self, replaced: Iterable[object], count: int = 2) -> None:
        """Write down the names of the next `count` files, and of the files `replaced`, to be removed."""
        self._sql("DELETE FROM Spare")
        names = (*(new_value_name() for _ in range(count)), *replaced)
        self._sql(f"INSERT INTO Spare VALUES {'(?), ' * (len(names) - 1)}(?)", names)  # noqa: S608

    def _is_free(self, name: object) -> bool:
        """Whether `name` is that of a value file, and no row has it."""
        if not is_value_name(name):
            return False
        if not self.disk.path(name).exists():
            return True
        # A slow scan, but rare: after a SIGKILL, or with a database older than the files.
        return self._sql("SELECT 1 FROM Cache WHERE filename = ?", (name,)).fetchone() is None

    def touch_content(self, tag: str) -> bool:
        """Mark the content `tag` as used now, or later if the table is locked; whether it is there.

        One row is enough: for `coldest_content` a content is as recent as its most recent row.
        """
        if self._sql("SELECT 1 FROM Cache WHERE tag = ? LIMIT 1", (tag,)).fetchone() is None:
            return False
        self.note_use(tag)
        self.write_uses_now()
        return True

    @property
    def waiting_uses(self) -> int:
        """Number of the uses that are not written yet."""
        return len(self._uses)

    def note_use(self, tag: str) -> None:
        """Mark the content `tag` as used now; it is written with the next use, or before an eviction."""
        self._uses.pop(tag, None)
        self._uses[tag] = None

    def write_uses_now(self) -> None:
        """Write the uses that are not written yet, unless the table is locked."""
        self._sql("PRAGMA busy_timeout = 0")
        try:
            self.write_uses()
        except sqlite3.OperationalError:
            while len(self._uses) > _MOST_USES:  # Locked or full: the next use tries again.
                self._uses.pop(next(iter(self._uses)), None)
        finally:
            self._sql(f"PRAGMA busy_timeout = {int(self.timeout * 1000)}")

    def write_uses(self) -> None:
        """Write the uses that are not written yet."""
        update = (
            "UPDATE Cache SET access_time = ? WHERE rowid = (SELECT rowid FROM Cache WHERE tag = ? LIMIT 1)"
        )
        for tag in list(self._uses):
            self._sql(update, (self._next_use_s(), tag))
            self._uses.pop(tag, None)

    def _next_use_s(self) -> float:
        """The time to write for a use that happens now: later than all that were written.

        With the clock alone, after it was set back by a year, contents used from then on would be evicted
        first.
        """
        newest = "SELECT access_time FROM Cache WHERE access_time < ? ORDER BY access_time DESC LIMIT 1"
        row = self._sql(newest, (_NEVER_S,)).fetchone()
        now_s = self.wall_clock()
        return max(now_s, row[0] + _USE_STEP_S) if row is not None else now_s

    def coldest_content(self, *, besides: Container[object]) -> tuple[object] | None:
        """The tag of the least recently used content that is not in `besides`; None if all are.

        It is in a tuple, because a tampered row may have the tag None and must be evicted, too.
        """
        oldest = "SELECT tag FROM Cache ORDER BY access_time"
        level = (
            "UPDATE Cache SET access_time = (SELECT MAX(access_time) FROM Cache WHERE tag IS ?1)"
            " WHERE tag IS ?1 AND access_time < (SELECT MAX(access_time) FROM Cache WHERE tag IS ?1)"
        )
        while True:
            with contextlib.closing(self._sql(oldest)) as rows:  # which come one by one, by an index
                row: tuple[object] | None = next((each for each in rows if each[0] not in besides), None)
            # If the content has a newer row, all of its rows get that row's time, once per use and content;
            # then the search is repeated.
            if row is None or self._sql(level, row).rowcount == 0:
                return row

    def discard_content(self, tag: object) -> int:
        """Remove the content `tag`; the bytes of disk that this frees."""
        with self.transact():
            rows = self._sql("SELECT filename, size FROM Cache WHERE tag IS ?", (tag,)).fetchall()
            self._sql("DELETE FROM Cache WHERE tag IS ?", (tag,))
            for filename, _size in rows:
                self.disk.remove(filename)
        return sum(size for _filename, size in rows if isinstance(size, int))

    def forget(self, entry: Entry) -> None:
        """Remove one value, unless its row has another file by now; best effort."""
        with contextlib.suppress(sqlite3.OperationalError):
            self._sql("DELETE FROM Cache WHERE rowid = ? AND filename IS ?", (entry.rowid, entry.filename))
        self.disk.remove(entry.filename)

    def restore(self, entry: Entry) -> bool:
        """Replace a row by one that fits the header of its file, which names another key.

        False if the file is damaged; then row and file are removed.
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
        """Remove all contents except `besides`, and if none is left, all value files without a row.

        Returns:
            The bytes of disk that this frees.
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
        """Make rows and value files agree; the number of files that got a row.

        A file without a row (its writer was killed before the commit, or the database was lost) gets one if
        its header fits and no other file has its key; otherwise it is removed. Of two files of one key either
        will do, because contents never change. A row without a file is removed. A row that contradicts
        itself, or has another size than its file, is rebuilt from the file. Payloads are not read: loading
        checks them, and 10 GiB would take a minute.

        If rows and files agree already, as they usually do, nothing is locked. Writers write their files
        within a transaction, so under the lock no file is still waiting for its row.

        Raises:
            ValueError: The database contradicts itself, so files might be removed only because it lost rows.
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
            raise ValueError("its integrity check fails")
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
                    # The file gets a new row below; that does not count as a new file.
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

    def _adopt(self, name: str) -> bool:
        """Make a row for the value file `name`; False if it is damaged, or its key has another file."""
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
        # The time of writing replaces that of the last use, which only the lost row had.
        written_s = status.st_mtime
        size = allocated_bytes(status.st_size)
        values = (key, written_s, written_s, parsed[0], size, FILE_OF_BYTES, name)
        return bool(self._sql(insert, values).rowcount == 1)

    def _value_names(self) -> set[str]:
        with os.scandir(self.disk.chunk_directory) as found:
            return {file.name for file in found if is_value_name(file.name)}


def _is_plausible(size: object, key: object, tag: object, stored_s: object, used_s: object) -> bool:
    """Whether the columns of a row may be as they were written."""
    return (
        isinstance(size, int)
        and isinstance(key, str)
        and key.rpartition("#")[0] == tag
        and isinstance(stored_s, float)
        and isinstance(used_s, float)
        and 0 <= stored_s <= used_s < _NEVER_S
    )
