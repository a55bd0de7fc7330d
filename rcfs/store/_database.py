"""Small SQLite databases of one table or two: opened as ours and sound, or begun anew with their good rows.

Every row has a checksum, see `rcfs.store._checksum`. What a disk did to one row costs that row: the
others are read from the damaged file and written into a new one.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import attrs

from rcfs.store._checksum import FUNCTION, register, row_checksum
from rcfs.store._files import make_private_directory, make_private_file, move_database_aside, reason_of
from rcfs.store._salvage import salvaged_rows
from rcfs.store._sqlite import find_fault, is_damage, lenient_text, mark

_LOCK_WAIT_S = 5.0
"""How long to wait for another process that writes, in seconds; a write takes well under a millisecond."""


@attrs.frozen
class CheckedTable:
    """A table whose last column, ``crc``, is the checksum of its name and of the columns before."""

    name: str
    """What it is called."""
    columns: tuple[str, ...]
    """Its columns in their order, without ``crc`` and the row number."""
    real: frozenset[str] = frozenset()
    """Those that hold real numbers, of which SQLite stores whole ones as integers."""
    is_numbered: bool = False
    """Whether the row number is its first column."""

    @property
    def checksum(self) -> str:
        """What SQL calls the checksum that a row must have."""
        return f"{FUNCTION}('{self.name}', {', '.join(self.columns)})"

    @property
    def insert(self) -> str:
        """A statement that adds a row, in place of one with the same key; see `sealed`."""
        names = ", ".join((*self.columns, "crc"))
        places = ", ".join("?" * (len(self.columns) + 1))
        return f"INSERT OR REPLACE INTO {self.name} ({names}) VALUES ({places})"  # noqa: S608 - our own words

    def sealed(self, *values: object) -> tuple[object, ...]:
        """The values of a row, and their checksum."""
        return (*values, row_checksum(self.name, *values))

    def is_sound(self, row: tuple[object, ...]) -> bool:
        """Whether a row, its checksum included, is as it was written."""
        return row_checksum(self.name, *row[:-1]) == row[-1]

    def as_read(self, stored: tuple[object, ...]) -> tuple[object, ...] | None:
        """A row as SQL would give it, of what lies on the disk; None when it cannot be of this table."""
        row = stored[self.is_numbered :]
        if len(row) != len(self.columns) + 1:
            return None
        return tuple(
            float(value) if isinstance(value, int) and name in self.real else value
            for name, value in zip((*self.columns, "crc"), row, strict=True)
        )


@attrs.frozen
class DatabaseKind:
    """What tells our databases of one kind from all others."""

    name: str
    """What is said of one, with the article."""
    application_id: int
    """What ``PRAGMA application_id`` says."""
    version: int
    """What ``PRAGMA user_version`` says; the version before had no checksums, and gets them."""
    tables: tuple[CheckedTable, ...]
    """All tables."""
    schema: str
    """Statements that make what is missing."""

    def open(
        self, path: Path, warn: Callable[[str], None], *, thorough: bool, fault: str | None = None
    ) -> sqlite3.Connection:
        """The database `path`, created with its directory when missing (0600, 0700), for any thread.

        One that is damaged, foreign, or of a version that this program does not know is moved aside as
        ``*.damaged``, and its good rows are in the new one; `warn` gets a line then. `thorough` looks at
        every page and row; `fault` says why it is damaged, if that is known already.

        Raises:
            OSError: It cannot be created or written.
            sqlite3.Error: It cannot be written.
        """
        make_private_directory(path.absolute().parent)
        make_private_file(path)
        fault = fault or find_fault(
            path,
            application_id=self.application_id,
            version=self.version,
            oldest_version=self.version - 1,
            timeout_s=_LOCK_WAIT_S,
            thorough=thorough,
        )
        if fault is None:
            try:
                connection = self._prepared(_connected(path))
                fault = self._unsound_row(connection) if thorough else None
                if fault is None:
                    return connection
                connection.close()
            except (sqlite3.Error, UnicodeDecodeError) as exc:
                if not is_damage(exc):
                    raise
                fault = reason_of(exc)
        aside = move_database_aside(path)
        make_private_file(path)
        connection = self._prepared(_connected(path))
        saved, damaged = self._salvage(aside, connection)
        warn(
            f"{self.name} {path} is unusable ({fault}): moved to {aside.name}, begun anew;"
            f" {saved} good rows of it are saved, at least {damaged} are lost"
            if saved
            else f"{self.name} {path} is unusable ({fault}): moved to {aside.name}, begun anew"
        )
        return connection

    def _unsound_row(self, connection: sqlite3.Connection) -> str | None:
        """What is wrong with a row; None when all are as they were written."""
        for table in self.tables:
            wrong = f"SELECT 1 FROM {table.name} WHERE {table.checksum} IS NOT crc LIMIT 1"  # noqa: S608
            if connection.execute(wrong).fetchone() is not None:
                return f"a row of {table.name} is not as it was written"
        return None

    def _salvage(self, aside: Path, connection: sqlite3.Connection) -> tuple[int, int]:
        """How many rows of the damaged database `aside` were saved, and how many are seen to be damaged."""
        damaged = 0
        good: dict[str, list[tuple[int, tuple[object, ...]]]] = {table.name: [] for table in self.tables}
        with suppress(OSError):
            for rowid, stored in salvaged_rows(aside):
                rows = [(table, table.as_read(stored)) for table in self.tables]
                found = [(table, row) for table, row in rows if row is not None]
                sound = [(table, row) for table, row in found if table.is_sound(row)]
                for table, row in sound:
                    good[table.name].append((rowid, row))
                damaged += bool(found) and not sound
        connection.execute("BEGIN IMMEDIATE")
        for table in self.tables:
            ordered = sorted(good[table.name], key=lambda numbered: numbered[0])
            connection.executemany(table.insert, [row for _rowid, row in ordered])
        connection.execute("COMMIT")
        return sum(map(len, good.values())), damaged

    def connect(self, path: Path, wait_s: float) -> sqlite3.Connection:
        """Another connection, for any thread, to one that is open; it waits for locks for `wait_s` seconds.

        Raises:
            sqlite3.Error: It cannot be opened.
        """
        connection = _connected(path, wait_s=wait_s)
        connection.text_factory = lenient_text
        return connection

    def open_in_memory(self) -> sqlite3.Connection:
        """An empty one in memory, for any thread; others can be attached by their URIs."""
        return self._prepared(_connected(":memory:", uri=True))

    def _prepared(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        try:
            connection.text_factory = lenient_text
            connection.execute("PRAGMA journal_mode = WAL")
            # In WAL mode NORMAL keeps the database sound through a power cut, and spares a sync per change.
            connection.execute("PRAGMA synchronous = NORMAL")
            # Before the tables: a database that has one but no mark is taken for somebody else's.
            ((tables,),) = connection.execute("SELECT COUNT(*) FROM sqlite_master")
            ((version,),) = connection.execute("PRAGMA user_version")
            if tables and version < self.version:
                self._add_checksums(connection)
            mark(connection, application_id=self.application_id, version=self.version)
            connection.executescript(self.schema)
        except (sqlite3.Error, UnicodeDecodeError):
            connection.close()
            raise
        return connection

    def _add_checksums(self, connection: sqlite3.Connection) -> None:
        """Bring one of the version before up to date, in one transaction; all its rows are believed."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            ((version,),) = connection.execute("PRAGMA user_version")
            if version < self.version:  # Another process may have done it meanwhile.
                for table in self.tables:
                    connection.execute(f"ALTER TABLE {table.name} ADD COLUMN crc")
                    connection.execute(f"UPDATE {table.name} SET crc = {table.checksum}")  # noqa: S608
                connection.execute(f"PRAGMA user_version = {self.version}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _connected(name: Path | str, *, wait_s: float = _LOCK_WAIT_S, uri: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(name, timeout=wait_s, isolation_level=None, check_same_thread=False, uri=uri)
    register(connection)
    # What is deleted is overwritten, so that no salvage finds it again.
    connection.execute("PRAGMA secure_delete = ON")
    return connection
