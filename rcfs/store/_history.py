"""The record of fetches: when, and for whom, each content was fetched, and which crawler was refused it last.

It tells where the requests went. There is nothing in it of a message but its ids. It is bounded, and not
worth an exception: what fails is told once, and everything else goes on.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import attrs

from rcfs.errors import StoreError
from rcfs.model import ContentKey
from rcfs.private import reason_of
from rcfs.store._checked import CheckedTable, DatabaseKind
from rcfs.store._checksum import DamagedRowError
from rcfs.store._database import READ_WAIT_S
from rcfs.store._forgetting import write_anew
from rcfs.store._later import LaterWriter

MOST_ENTRIES = 100_000
"""Entries kept of each kind: at 40 a minute more than 41 hours of work without a pause, in about 10 MB."""
_TRIM_EVERY = 1000
"""Entries of one process after which the oldest are looked for; so there may be so many more meanwhile."""
_SMALL_BYTES = 2 << 20
"""A record of that size, of some 10,000 fetches, is looked at whole when it is opened."""
_FETCHES = CheckedTable(
    "fetches",
    ("content", "at_s", "program", "priority", "requests", "size_bytes"),
    real=frozenset({"at_s"}),
    is_numbered=True,
)
_REFUSALS = CheckedTable("refusals", ("content", "at_s", "program"), real=frozenset({"at_s"}))
_KIND = DatabaseKind(
    "the record of fetches",
    int.from_bytes(b"rcfh"),
    (_FETCHES, _REFUSALS),
    """
    CREATE TABLE IF NOT EXISTS fetches (
        id INTEGER PRIMARY KEY,
        content TEXT NOT NULL,
        at_s REAL NOT NULL,
        program TEXT NOT NULL,
        priority TEXT NOT NULL,
        requests INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL
    );
    CREATE INDEX IF NOT EXISTS fetches_by_content ON fetches (content);
    CREATE TABLE IF NOT EXISTS refusals (
        content TEXT PRIMARY KEY,
        at_s REAL NOT NULL,
        program TEXT NOT NULL
    );
    """,
)


@attrs.frozen
class FetchRecord:
    """One content that was fetched whole."""

    key: ContentKey
    """Which."""
    at_s: float
    """When it was whole, in seconds since 1970 UTC."""
    program: str
    """Name of the program for which it was asked for first; empty when unknown."""
    priority: str
    """Class of the request in the end, in lower case."""
    requests: int
    """Requests that it took, repetitions included; those that were redirected count once."""
    size_bytes: int
    """Size of the content."""


@attrs.frozen
class Refusal:
    """A crawler that was refused a content."""

    key: ContentKey
    """Which."""
    at_s: float
    """When, in seconds since 1970 UTC."""
    program: str
    """Name of the crawler."""


class FetchHistory:
    """The record of one state directory; any thread may use it, and several processes a directory."""

    def __init__(
        self, connection: sqlite3.Connection, reader: sqlite3.Connection, warn: Callable[[str], None]
    ) -> None:
        """See `open`, which is how to get one; of a database in memory `reader` is the same connection."""
        self._reader = reader
        self._warn = warn
        self._lock = threading.Lock()
        self._writer = LaterWriter(connection, lambda _written: None)
        self._failed = False
        self._writes = 0

    @classmethod
    def open(cls, path: Path, warn: Callable[[str], None]) -> "FetchHistory":
        """The record in the SQLite database `path`, created with its directory when missing (0600, 0700).

        One that is damaged or foreign is moved aside as ``*.damaged``; one that cannot be written is replaced
        by one in memory. `warn` gets a line for each.
        """
        try:
            is_small = not path.exists() or path.stat().st_size <= _SMALL_BYTES
            connection = _KIND.open(path, warn, thorough=is_small)
            return cls(connection, _KIND.connect(path, READ_WAIT_S), warn)
        except (OSError, sqlite3.Error) as exc:
            warn(f"the fetch history cannot be kept in {path}: {reason_of(exc)}")
            connection = _KIND.open_in_memory()
            return cls(connection, connection, warn)

    def add(self, fetch: FetchRecord) -> None:
        """Note a fetch; the oldest go when there are too many."""
        values = (
            str(fetch.key),
            float(fetch.at_s),
            fetch.program,
            fetch.priority,
            fetch.requests,
            fetch.size_bytes,
        )
        self._write(_FETCHES.insert, _FETCHES.sealed(*values))

    def refuse(self, refusal: Refusal) -> None:
        """Note a refusal, in place of an earlier one of the same content."""
        self._write(
            _REFUSALS.insert,
            _REFUSALS.sealed(str(refusal.key), float(refusal.at_s), refusal.program),
        )

    def fetches(self, keys: Iterable[ContentKey]) -> dict[ContentKey, list[FetchRecord]]:
        """The fetches of each of `keys` that has some, the oldest first; empty when the database fails."""
        found = {key: [FetchRecord(key, *row) for row in self._read(_FETCHES, key, "id")] for key in keys}
        return {key: fetches for key, fetches in found.items() if fetches}

    def refusals(self, keys: Iterable[ContentKey]) -> dict[ContentKey, Refusal]:
        """The last refusal of each of `keys` that has one; empty when the database fails."""
        return {key: Refusal(key, *row) for key in keys for row in self._read(_REFUSALS, key, "content")}

    def forget_account(self, account_id: str) -> None:
        """Erase what was noted of the contents of an account.

        Raises:
            StoreError: The database fails.
        """
        try:
            with self._writer.exclusive() as connection:
                for table in ("fetches", "refusals"):
                    connection.execute(
                        f"DELETE FROM {table} WHERE content > ? AND content < ?",  # noqa: S608
                        (f"{account_id}/", f"{account_id}0"),
                    )
                write_anew(connection)
        except sqlite3.Error as exc:
            raise StoreError(f"the fetch history fails: {reason_of(exc)}") from exc

    def close(self) -> None:
        """Close the database; nothing may be called afterwards."""
        self._writer.close()
        self._reader.close()

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        try:
            self._writer.write(statement, values)
            with self._lock:
                # With the first one, too: a process may end before it has written as many.
                due = self._writes % _TRIM_EVERY == 0
                self._writes += 1
            if due:
                self._trim()
        except sqlite3.Error as exc:
            self._tell(exc)

    def _trim(self) -> None:
        self._writer.write(
            "DELETE FROM fetches WHERE id <= (SELECT MAX(id) FROM fetches) - ?", (MOST_ENTRIES,)
        )
        self._writer.write(
            "DELETE FROM refusals WHERE at_s <"
            " (SELECT at_s FROM refusals ORDER BY at_s DESC LIMIT 1 OFFSET ?)",
            (MOST_ENTRIES - 1,),
        )

    def _read(self, table: CheckedTable, key: ContentKey, order: str) -> list[tuple[Any, ...]]:
        """The sound rows of a content, without the content."""
        names = ", ".join(table.columns)
        select = f"SELECT {names}, crc FROM {table.name} WHERE content = ? ORDER BY {order}"  # noqa: S608
        try:
            rows = self._reader.execute(select, (str(key),)).fetchall()
        except sqlite3.Error as exc:
            self._tell(exc)
            return []
        sound = [row[1:-1] for row in rows if row[0] == str(key) and table.is_sound(row)]
        if len(sound) < len(rows):
            self._tell(DamagedRowError("rows of it are damaged, and left out"))
        return sound

    def _tell(self, error: sqlite3.Error) -> None:
        if not self._failed:
            self._failed = True
            self._warn(f"the fetch history fails: {error}")
