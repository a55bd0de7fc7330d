"""Small SQLite databases of one table or two: opened as ours and sound, or begun anew with their good rows.

Every row has a checksum, see `rcfs.store._checksum`. What a disk did to one row costs that row: the
others are read from the damaged file and written into a new one.
"""

import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import attrs

from rcfs.store._checksum import FUNCTION, DamagedRowError, row_checksum
from rcfs.store._database import LOCK_WAIT_S, WRITE_AHEAD, Format, connect, migrate, open_database
from rcfs.store._salvage import salvaged_rows
from rcfs.store._sqlite import lenient_text, transaction

_PRAGMAS = {**WRITE_AHEAD, "secure_delete": "ON"}
"""What is deleted is overwritten, so that no salvage finds it again."""


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
    def seal(self) -> str:
        """Statements that add the checksum, and believe all rows that are there."""
        update = f"UPDATE {self.name} SET crc = {self.checksum};"  # noqa: S608 - our own words
        return f"ALTER TABLE {self.name} ADD COLUMN crc; {update}"

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
    tables: tuple[CheckedTable, ...]
    """All tables."""
    schema: str
    """Statements that make them as the first version had them: without checksums."""

    @property
    def form(self) -> Format:
        """What a database of this kind must be: of the version with checksums."""
        return Format(self.application_id, 2)

    def open(self, path: Path, warn: Callable[[str], None], *, thorough: bool) -> sqlite3.Connection:
        """The database `path`, see `open_database`, for any thread; of a damaged one the good rows.

        `warn` gets a line when it was damaged; `thorough` looks at every page and row.

        Raises:
            OSError: It cannot be created or written.
            sqlite3.Error: It cannot be written.
        """
        connection, damage = open_database(
            path, self.form, partial(self._prepared, path, thorough=thorough), thorough=thorough
        )
        if damage is not None:
            saved, damaged = self._salvage(damage.aside, connection)
            told = (
                f"{self.name} {path} is unusable ({damage.fault}): moved to {damage.aside.name}, begun anew"
            )
            rows = f"; {saved} good rows of it are saved, at least {damaged} are lost" if saved else ""
            warn(told + rows)
        return connection

    def open_in_memory(self) -> sqlite3.Connection:
        """An empty one in memory, for any thread; others can be attached by their URIs."""
        return self._prepared(":memory:", uri=True)

    def connect(self, path: Path | str, wait_s: float, *, uri: bool = False) -> sqlite3.Connection:
        """Another connection, for any thread, to one that is open; it waits for locks for `wait_s` seconds.

        Raises:
            sqlite3.Error: It cannot be opened.
        """
        connection = connect(path, wait_s=wait_s, pragmas=_PRAGMAS, uri=uri)
        connection.text_factory = lenient_text
        return connection

    def _prepared(self, path: Path | str, *, thorough: bool = False, uri: bool = False) -> sqlite3.Connection:
        with ExitStack() as opened:
            connection = self.connect(path, LOCK_WAIT_S, uri=uri)
            opened.callback(connection.close)
            migrate(connection, self.form, (self.schema, "".join(table.seal for table in self.tables)))
            for table in self.tables if thorough else ():
                wrong = f"SELECT 1 FROM {table.name} WHERE {table.checksum} IS NOT crc LIMIT 1"  # noqa: S608
                if connection.execute(wrong).fetchone() is not None:
                    raise DamagedRowError(f"a row of {table.name} is not as it was written")
            opened.pop_all()
        return connection

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
        with transaction(connection):
            for table in self.tables:
                ordered = sorted(good[table.name], key=lambda numbered: numbered[0])
                connection.executemany(table.insert, [row for _rowid, row in ordered])
        return sum(map(len, good.values())), damaged
