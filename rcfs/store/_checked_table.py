"""Tables whose rows have a checksum: how a row gets it, and how it is compared when the row is read."""

import sqlite3
from collections.abc import Iterable
from typing import Any, Literal

import attrs

from rcfs.store._checksum import FUNCTION, DamagedRowError, row_checksum

Row = tuple[Any, ...]


@attrs.frozen
class CheckedTable:
    """A table with a column that holds the checksum of some others."""

    name: str
    """Name in SQL."""
    columns: tuple[str, ...]
    """The columns that the checksum covers, in their order."""
    real: frozenset[str] = frozenset()
    """The columns that hold real numbers, of which SQLite stores whole ones as integers."""
    number: str = ""
    """Name of the row number, which the checksum does not cover; empty where `columns` has the key."""
    crc: str = "crc"
    """Name of the column that holds the checksum."""
    covers_name: bool = True
    """Whether the checksum covers the table's name, so that no row passes for one of another table."""
    _real_places: tuple[int, ...] = attrs.field(init=False)

    @_real_places.default
    def _find_real_places(self) -> tuple[int, ...]:
        return tuple(place for place, name in enumerate(self.columns) if name in self.real)

    @property
    def checksum(self) -> str:
        """The SQL expression for the checksum that a row must have."""
        name = f"'{self.name}', " if self.covers_name else ""
        return f"{FUNCTION}({name}{', '.join(self.columns)})"

    @property
    def add_checksum(self) -> str:
        """SQL statements that add the checksum to a table without one; the rows in it are believed."""
        return f"ALTER TABLE {self.name} ADD COLUMN {self.crc}; {self.update_checksum};"

    @property
    def update_checksum(self) -> str:
        """The beginning of an SQL statement that gives rows the checksum that they must have."""
        return f"UPDATE {self.name} SET {self.crc} = {self.checksum}"  # noqa: S608 - our own words

    @property
    def row_columns(self) -> str:
        """The columns of `row`, for SQL: those that are covered, and their checksum."""
        return ", ".join((*self.columns, self.crc))

    def listed(self, alias: str = "") -> str:
        """The columns that `verified` expects, for a SELECT: number, covered columns, checksum."""
        prefix = f"{alias}." if alias else ""
        names = (self.number, *self.columns, self.crc)
        return ", ".join(prefix + name for name in names if name)

    def insert(self, conflict: Literal["REPLACE", "IGNORE"] = "REPLACE") -> str:
        """An SQL statement that inserts a `row`; `conflict` says what happens if its key is there already."""
        places = ", ".join("?" * (len(self.columns) + 1))
        return f"INSERT OR {conflict} INTO {self.name} ({self.row_columns}) VALUES ({places})"  # noqa: S608

    def row(self, *values: object) -> Row:
        """The values of a row with their checksum behind them."""
        plain = self._with_reals(values)
        return (*plain, self._checksum(plain))

    def is_sound(self, row: Row) -> bool:
        """Whether a row (see `row`) is still as it was written."""
        return bool(self._checksum(row[:-1]) == row[-1])

    def from_disk(self, stored: Row) -> Row | None:
        """The row that SQL would give for a record on the disk; None if it has another number of columns."""
        row = stored[bool(self.number) :]
        return self._with_reals(row) if len(row) == len(self.columns) + 1 else None

    def _checksum(self, values: Row) -> int:
        return row_checksum(self.name, *values) if self.covers_name else row_checksum(*values)

    def _with_reals(self, values: Row) -> Row:
        row = list(values)
        for place in self._real_places:
            if isinstance(row[place], int):
                row[place] = float(row[place])
        return tuple(row)


def verified(rows: Iterable[Row], *tables: CheckedTable) -> list[Row]:
    """`rows`, each of which begins with the columns that `tables` list (see `CheckedTable.listed`).

    Not for tables whose checksum covers their name.

    Raises:
        DamagedRowError: A row is not as it was written.
    """
    parts, numbers, stop = [], [], -1
    for table in tables:
        start = stop + 1 + bool(table.number)
        stop = start + len(table.columns)
        parts.append((start, stop))
        if table.number:
            numbers.append(start - 1)
    found = list(rows)
    for row in found:
        for start, stop in parts:
            if row_checksum(*row[start:stop]) != row[stop]:
                raise DamagedRowError("the checksum of a row is wrong")
        if not all(type(row[place]) is int for place in numbers):
            raise DamagedRowError("a row has no number, so the schema of its table is damaged")
    return found


def select(connection: sqlite3.Connection, table: CheckedTable, rest: str, *parameters: object) -> list[Row]:
    """The rows of `table` as `CheckedTable.listed` has them; `rest` of the statement chooses and sorts them.

    Raises:
        DamagedRowError: A row is not as it was written.
    """
    query = f"SELECT {table.listed()} FROM {table.name} {rest}"  # noqa: S608 - our own words
    return verified(connection.execute(query, parameters), table)


def look_for_damaged_rows(connection: sqlite3.Connection, tables: Iterable[CheckedTable]) -> None:
    """Compare the checksum of every row of `tables`.

    Raises:
        DamagedRowError: A row is not as it was written.
    """
    for table in tables:
        wrong = f"SELECT 1 FROM {table.name} WHERE {table.checksum} IS NOT {table.crc} LIMIT 1"  # noqa: S608
        if connection.execute(wrong).fetchone() is not None:
            raise DamagedRowError(f"the checksum of a row of {table.name} is wrong")
