"""Small SQLite databases of one or two checked tables: a damaged one is replaced by one with its good rows.

Every row has a checksum, see `rcfs.store._checksum`. If a disk damages one row, only that row is lost: the
others are read from the damaged file and written into a new one.
"""

import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import attrs

from rcfs.store._checked_table import CheckedTable, Row, look_for_damaged_rows
from rcfs.store._database import LOCK_WAIT_S, WRITE_AHEAD, Format, connect, migrate, open_database
from rcfs.store._salvage import salvaged_rows
from rcfs.store._sqlite import lenient_text, transaction

_PRAGMAS = {**WRITE_AHEAD, "secure_delete": "ON"}
"""SQLite overwrites deleted rows, so that no salvage finds them again."""


@attrs.frozen
class DatabaseKind:
    """The format of one of the small databases: its name, its number and its tables."""

    name: str
    """Name for messages, with the article."""
    application_id: int
    """Value of ``PRAGMA application_id``."""
    tables: tuple[CheckedTable, ...]
    """All tables."""
    schema: str
    """SQL statements that create the tables as in the first version: without checksums."""
    loss: str = ""
    """The consequence of lost rows, as a part of a sentence; empty if rcfs can ask for them again."""

    @property
    def format(self) -> Format:
        """The version with checksums, as `open_database` needs it."""
        return Format(self.application_id, 2)

    def open(self, path: Path, warn: Callable[[str], None], *, thorough: bool) -> sqlite3.Connection:
        """A connection to the database `path` for any thread; see `open_database` for damaged ones.

        `warn` gets a line if it was damaged; with `thorough`, every page and row is checked.

        Raises:
            OSError: It cannot be created or written.
            sqlite3.Error: It cannot be written.
        """
        connection, damage = open_database(
            path, self.format, partial(self._prepared, path, thorough=thorough), thorough=thorough
        )
        if damage is not None:
            saved, damaged = self._salvage(damage.aside, connection)
            rows = f" with its {saved} good rows; at least {damaged} are lost" if saved else ""
            loss = f"; {self.loss}" if self.loss and (damaged or not saved) else ""
            warn(
                f"{self.name} {path} is unusable ({damage.fault}); rcfs moved it to {damage.aside.name}, and"
                f" made a new one{rows}{loss}"
            )
        return connection

    def open_in_memory(self) -> sqlite3.Connection:
        """An empty database in memory, for any thread; others can be attached by their URIs."""
        return self._prepared(":memory:", uri=True)

    def connect(self, path: Path | str, wait_s: float, *, uri: bool = False) -> sqlite3.Connection:
        """Another connection to an open database, for any thread; it waits `wait_s` seconds for a lock.

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
            migrate(
                connection, self.format, (self.schema, "".join(table.add_checksum for table in self.tables))
            )
            if thorough:
                look_for_damaged_rows(connection, self.tables)
            opened.pop_all()
        return connection

    def _salvage(self, aside: Path, connection: sqlite3.Connection) -> tuple[int, int]:
        """Save the good rows of the damaged database `aside`.

        Returns:
            The number of rows that were saved, and of those that are certainly lost.
        """
        damaged = 0
        good: dict[str, list[tuple[int, Row]]] = {table.name: [] for table in self.tables}
        with suppress(OSError):
            for rowid, stored in salvaged_rows(aside):
                rows = [(table, table.from_disk(stored)) for table in self.tables]
                found = [(table, row) for table, row in rows if row is not None]
                sound = [(table, row) for table, row in found if table.is_sound(row)]
                for table, row in sound:
                    good[table.name].append((rowid, row))
                damaged += bool(found) and not sound
        with transaction(connection):
            for table in self.tables:
                ordered = sorted(good[table.name], key=lambda numbered: numbered[0])
                connection.executemany(table.insert(), [row for _rowid, row in ordered])
        return sum(map(len, good.values())), damaged
