"""The record of fetches: when and for which program rcfs fetched each content, and which crawlers it refused.

It explains where the requests went. It holds the ids of messages, and nothing else of them. It is bounded.
A failure is reported once and raises nothing, because a mount works without the record.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import attrs

from rcfs.errors import StoreError
from rcfs.model import ContentKey
from rcfs.private import reason_of
from rcfs.store._checked_table import CheckedTable, Row
from rcfs.store._checksum import DamagedRowError
from rcfs.store._database import READ_WAIT_S
from rcfs.store._forgetting import rewrite
from rcfs.store._later import LaterWriter
from rcfs.store._small_database import DatabaseKind

MOST_ENTRIES = 100_000
"""Entries kept of each kind: at 40 a minute more than 41 hours of work without a pause, in about 10 MB."""
_TRIM_EVERY = 1000
"""Entries of one process after which it deletes the oldest ones: there may be as many more until then."""
_SMALL_BYTES = 2 << 20
"""A database of this size, with some 10,000 fetches, is checked whole when it is opened."""
_COMMA = ", "
_FETCHES = CheckedTable(
    "fetches",
    ("content", "at_s", "program", "priority", "requests", "size_bytes"),
    real=frozenset({"at_s"}),
    number="id",
)
_REFUSALS = CheckedTable("refusals", ("content", "at_s", "program"), real=frozenset({"at_s"}))
_KIND = DatabaseKind(
    "the fetch history",
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
    """Key of the content."""
    at_s: float
    """Time when all of it had arrived, in seconds since 1970 UTC."""
    program: str
    """Name of the program that opened it first; empty if unknown."""
    priority: str
    """Last class of the request, in lower case."""
    requests: int
    """Requests sent for it, repetitions included; a redirected request counts once."""
    size_bytes: int
    """Size of the content."""
    remark: str = ""
    """How it came, such as "from the shared store"; empty if there is nothing to say."""

    @classmethod
    def of(
        cls, key: ContentKey, at_s: float, program: str, priority: str, requests: int, size_bytes: int
    ) -> "FetchRecord":
        """The record of a row, in which the remark follows the class behind a comma."""
        priority, _comma, remark = priority.partition(_COMMA)
        return cls(key, at_s, program, priority, requests, size_bytes, remark)


@attrs.frozen
class Refusal:
    """A content that rcfs did not fetch for a crawler."""

    key: ContentKey
    """Key of the content."""
    at_s: float
    """Time of the refusal, in seconds since 1970 UTC."""
    program: str
    """Name of the crawler."""


class FetchHistory:
    """The record of one state directory; any thread may use it, and several processes a directory."""

    def __init__(
        self, connection: sqlite3.Connection, reader: sqlite3.Connection, warn: Callable[[str], None]
    ) -> None:
        """Use `open` instead. For a database in memory, `reader` is the same connection."""
        self._reader = reader
        self._warn = warn
        self._lock = threading.Lock()
        self._writer = LaterWriter(connection, lambda _written: None)
        self._failed = False
        self._writes = 0

    @classmethod
    def open(cls, path: Path, warn: Callable[[str], None]) -> "FetchHistory":
        """The record in the SQLite database `path`, created with its directory when missing (0600, 0700).

        A damaged or foreign database is moved aside as ``*.damaged``. If `path` cannot be written, a database
        in memory is used. `warn` gets a line for each.
        """
        try:
            is_small = not path.exists() or path.stat().st_size <= _SMALL_BYTES
            connection = _KIND.open(path, warn, thorough=is_small)
            return cls(connection, _KIND.connect(path, READ_WAIT_S), warn)
        except (OSError, sqlite3.Error) as exc:
            warn(
                f"the fetch history cannot be kept in {path} ({reason_of(exc)}); rcfs forgets it when it ends"
            )
            connection = _KIND.open_in_memory()
            return cls(connection, connection, warn)

    def add(self, fetch: FetchRecord) -> None:
        """Record a fetch; the oldest ones are deleted when there are too many."""
        priority = _COMMA.join(filter(None, (fetch.priority, fetch.remark)))
        values = (fetch.at_s, fetch.program, priority, fetch.requests, fetch.size_bytes)
        self._write(_FETCHES, _FETCHES.row(str(fetch.key), *values))

    def refuse(self, refusal: Refusal) -> None:
        """Record a refusal, in place of an earlier one of the same content."""
        self._write(_REFUSALS, _REFUSALS.row(str(refusal.key), refusal.at_s, refusal.program))

    def fetches(self, keys: Iterable[ContentKey]) -> dict[ContentKey, list[FetchRecord]]:
        """The fetches of each of `keys` that has some, oldest first; empty if the database fails."""
        found = {key: [FetchRecord.of(key, *row) for row in self._read(_FETCHES, key, "id")] for key in keys}
        return {key: fetches for key, fetches in found.items() if fetches}

    def refusals(self, keys: Iterable[ContentKey]) -> dict[ContentKey, Refusal]:
        """The last refusal of each of `keys` that has one; empty if the database fails."""
        return {key: Refusal(key, *row) for key in keys for row in self._read(_REFUSALS, key, "content")}

    def forget_account(self, account_id: str) -> None:
        """Erase the fetches and refusals of an account.

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
                rewrite(connection)
        except sqlite3.Error as exc:
            raise StoreError(f"the fetch history cannot be erased: {reason_of(exc)}") from exc

    def close(self) -> None:
        """Close the database; nothing may be called afterwards."""
        self._writer.close()
        self._reader.close()

    def _write(self, table: CheckedTable, row: Row) -> None:
        try:
            self._writer.write(table.insert(), row)
            with self._lock:
                # Also with the first one: a process may end before it has written that many.
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

    def _read(self, table: CheckedTable, key: ContentKey, order: str) -> list[Row]:
        """The good rows of a content, without its key."""
        query = f"SELECT {table.row_columns} FROM {table.name} WHERE content = ?"  # noqa: S608
        try:
            rows = self._reader.execute(f"{query} ORDER BY {order}", (str(key),)).fetchall()
        except sqlite3.Error as exc:
            self._tell(exc)
            return []
        sound = [row[1:-1] for row in rows if row[0] == str(key) and table.is_sound(row)]
        if len(sound) < len(rows):
            self._tell(DamagedRowError("rcfs leaves out damaged rows"))
        return sound

    def _tell(self, error: sqlite3.Error) -> None:
        if not self._failed:
            self._failed = True
            self._warn(f"the fetch history is incomplete: {error}")
