"""Exact sizes that rcfs learned by fetching: they stay when the content is evicted.

Most attachments have no size in their record, and a program that reads a file of unknown size may cut it
short or read nothing. Learning a size costs a request, so rcfs keeps all of them.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from rcfs.errors import StoreError
from rcfs.model import ContentKey
from rcfs.private import reason_of
from rcfs.store._checked_table import CheckedTable
from rcfs.store._database import READ_WAIT_S, SQLITE_SIDE_FILES
from rcfs.store._forgetting import rewrite
from rcfs.store._later import LaterWriter, Statement
from rcfs.store._small_database import DatabaseKind
from rcfs.store._sqlite import is_busy, transaction

_TABLE = CheckedTable("sizes", ("content", "size_bytes"))
_KIND = DatabaseKind(
    "the database of learned sizes",
    int.from_bytes(b"rcfi"),
    (_TABLE,),
    """
    CREATE TABLE IF NOT EXISTS sizes (
        content TEXT PRIMARY KEY,
        size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0)
    ) WITHOUT ROWID
    """,
)

_SUMMED = 1000
"""Sizes that are summed at a time, in about 2 ms: the event loop asks for single sizes in between."""


class SizeIndex:
    """The learned sizes of one state directory; any thread may use it, and several processes a directory.

    No method waits for another process, so the event loop may call `size`.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        reader: sqlite3.Connection,
        warn: Callable[[str], None],
        former: Path | None = None,
    ) -> None:
        """Use `open` instead. For a database in memory, `reader` is the same connection."""
        self._former = former
        self._reader = reader
        self._warn = warn
        self._writer = LaterWriter(connection, self._written)
        self._unwritten: dict[str, int] = {}
        """Sizes that are not in the database yet."""
        self._failed = False
        self._damaged: set[str] = set()
        """Contents whose damaged rows were reported."""

    @classmethod
    def open(cls, path: Path, warn: Callable[[str], None], *, former: Path | None = None) -> "SizeIndex":
        """The index in the SQLite database `path`, created with its directory when missing (0600, 0700).

        A database that is damaged, foreign, or of a version that this program does not know is moved aside
        as ``*.damaged``, and its good rows are copied into a new one. A database that cannot be written is
        read into memory. `warn` gets a line for each.

        Args:
            path: Path of the database.
            warn: Gets one line for each problem.
            former: Path of the database of an earlier version. Its sizes are added each time that the index
                is opened; it is removed as soon as no process of that version uses it.
        """
        try:
            with ExitStack() as opened:
                # Thorough: a page lost unnoticed would cost a request for each size on it, and pages are few.
                connection = _KIND.open(path, warn, thorough=True)
                opened.callback(connection.close)
                if former is not None and former.exists():
                    _copy_former(former, connection, warn)
                reader = _KIND.connect(path, READ_WAIT_S)
                opened.pop_all()
            return cls(connection, reader, warn, former)
        except (OSError, sqlite3.Error, UnicodeDecodeError) as exc:
            warn(
                f"the learned sizes cannot be kept in {path} ({reason_of(exc)}); rcfs forgets them when it"
                " ends"
            )
            connection = _copy_in_memory(*filter(None, (path, former)))
            return cls(connection, connection, warn)

    def size(self, key: ContentKey) -> int | None:
        """The learned size in bytes of one content; None if it is not known, or the database fails."""
        content = str(key)
        unwritten = self._unwritten.get(content)
        if unwritten is not None:
            return unwritten
        try:
            row = self._reader.execute(
                "SELECT content, size_bytes, crc FROM sizes WHERE content = ?", (content,)
            ).fetchone()
        except sqlite3.Error as exc:
            self._tell(exc)
            return None
        if row is None or _TABLE.is_sound(row):
            return None if row is None else int(row[1])
        # Learning it again costs a request; a wrong size would cut the file, an error hide its directory.
        if content not in self._damaged:
            self._damaged.add(content)
            self._warn(
                f"the learned size of {content} is damaged; rcfs learns it again when you open the file"
            )
        return None

    def total(self, account_id: str, after: str = "") -> tuple[int, str]:
        """The sum in bytes of the next learned sizes of an account, and the last content among them.

        Args:
            account_id: Decimal account id.
            after: The content that the previous answer gave, empty at first; an empty answer means the end.
        """
        try:
            # Summed here and not by SQLite: a statement that calls Python for each row holds the lock of its
            # connection while it waits for the interpreter, and the event loop may hold the interpreter while
            # it waits for that lock.
            rows = self._reader.execute(
                "SELECT content, size_bytes, crc FROM sizes WHERE content > ? AND content < ?"
                " ORDER BY content LIMIT ?",
                (after or f"{account_id}/", f"{account_id}0", _SUMMED),
            ).fetchall()
        except sqlite3.Error as exc:
            self._tell(exc)
            return 0, ""
        total_bytes = sum(int(row[1]) for row in rows if _TABLE.is_sound(row))
        return total_bytes, str(rows[-1][0]) if len(rows) == _SUMMED else ""

    def record(self, key: ContentKey, size_bytes: int) -> None:
        """Keep the exact size of the content `key`, at least 0 bytes; a failure is reported.

        While another process has the database locked, the size stays in memory and is written later.
        """
        self.record_all({key: size_bytes})

    def record_all(self, sizes: Mapping[ContentKey, int]) -> None:
        """As `record`, for several contents in one transaction."""
        upsert = (
            "INSERT INTO sizes VALUES (?1, ?2, ?3) ON CONFLICT"
            " DO UPDATE SET size_bytes = ?2, crc = ?3 WHERE size_bytes IS NOT ?2 OR crc IS NOT ?3"
        )
        found = {str(key): size_bytes for key, size_bytes in sizes.items()}
        self._unwritten |= found
        try:
            self._writer.write_all([(upsert, _TABLE.row(*each)) for each in found.items()])
        except (sqlite3.Error, UnicodeDecodeError) as exc:
            self._unwritten.clear()
            self._tell(exc)

    def forget_account(self, account_id: str) -> None:
        """Erase the learned sizes of the contents of an account.

        Raises:
            StoreError: The database fails.
        """
        try:
            with self._writer.exclusive() as connection:
                _erase(connection, account_id)
            if self._former is not None and self._former.exists():
                with closing(_KIND.open(self._former, self._warn, thorough=False)) as former:
                    _erase(former, account_id)
        except (OSError, sqlite3.Error) as exc:
            raise StoreError(f"the learned sizes cannot be erased: {reason_of(exc)}") from exc

    def close(self) -> None:
        """Close the database; nothing may be called afterwards."""
        self._writer.close()
        self._reader.close()

    def _written(self, statements: Sequence[Statement]) -> None:
        for _statement, (content, size_bytes, _crc) in statements:
            if self._unwritten.get(str(content)) == size_bytes:
                self._unwritten.pop(str(content), None)

    def _tell(self, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            self._warn(f"the database of learned sizes cannot be used: {error}")


def _erase(connection: sqlite3.Connection, account_id: str) -> None:
    connection.execute(
        "DELETE FROM sizes WHERE content > ? AND content < ?", (f"{account_id}/", f"{account_id}0")
    )
    rewrite(connection)


def _copy_former(former: Path, connection: sqlite3.Connection, warn: Callable[[str], None]) -> None:
    """Add the sizes of the database `former`, and remove it unless another process uses it.

    A content never changes, nor does its size, so sizes may be added again, and both files may grow at the
    same time. The file is not renamed: a process that has it open would keep using the log of the old name.
    """
    with closing(_KIND.open(former, warn, thorough=True)) as old:
        is_alone = _lock_alone(old)
        with transaction(connection):
            rows = old.execute("SELECT content, size_bytes, crc FROM sizes")
            connection.executemany("INSERT OR IGNORE INTO sizes VALUES (?, ?, ?)", rows)
        if is_alone:
            # Onto the disk, before the only other copy of the sizes is removed.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            for name in ("", *SQLITE_SIDE_FILES):
                former.with_name(former.name + name).unlink(missing_ok=True)


def _lock_alone(connection: sqlite3.Connection) -> bool:
    """Whether this is the only connection to the database; if so, no other works until this is closed."""
    connection.execute("PRAGMA busy_timeout = 0")
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    try:
        # Leaving write-ahead mode takes a lock that fails while any other connection is open.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as exc:
        if not is_busy(exc):
            raise
        connection.execute("PRAGMA locking_mode = NORMAL")
        return False
    return True


def _copy_in_memory(*paths: Path) -> sqlite3.Connection:
    """A database in memory with the sizes in `paths`, databases that cannot be written."""
    connection = _KIND.open_in_memory()
    for path in paths:
        with suppress(sqlite3.Error):
            # Immutable: otherwise SQLite would want to write a log beside it.
            connection.execute("ATTACH ? AS old", (f"{path.absolute().as_uri()}?immutable=1",))
            ((version,),) = connection.execute("PRAGMA old.user_version")
            sound = f"WHERE crc = {_TABLE.checksum}" if version == _KIND.format.version else ""
            connection.execute(
                "INSERT OR IGNORE INTO sizes"  # noqa: S608 - our own words
                f" SELECT content, size_bytes, {_TABLE.checksum} FROM old.sizes {sound}"
            )
        with suppress(sqlite3.Error):
            connection.execute("DETACH old")
    return connection
