"""The exports that were asked for: their periods, task ids, states and archives.

No request lists message store reports, so a task whose id is lost is lost, and its archives with it. Hence
every change is on the disk, also through a power cut, before the method that makes it returns.
"""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Self

from rcfs.filenames import StateFiles
from rcfs.model import (
    ContentKey,
    DatasetKey,
    Export,
    ExportArchive,
    ExportKind,
    ExportQuery,
    ExportState,
    ReportKey,
)
from rcfs.store._book import Book
from rcfs.store._checked_table import CheckedTable, Row
from rcfs.store._forgetting import rewrite
from rcfs.store._small_database import DatabaseKind
from rcfs.store._turns import turn

_MOST_DURATIONS = 20
"""Durations that are kept of each kind: enough for a median, and few enough to follow a change."""
_EXPORTS = CheckedTable(
    "exports",
    (
        *("id", "account_id", "kind", "name", "from_s", "to_s", "types", "contacts", "chats"),
        *("task_id", "state", "asked_s", "since_s", "next_look_s", "archives", "problem"),
    ),
    real=frozenset({"from_s", "to_s", "asked_s", "since_s", "next_look_s"}),
)
_DURATIONS = CheckedTable(
    "durations", ("account_id", "kind", "took_s", "ended_s"), real=frozenset({"took_s", "ended_s"})
)
_IF_UNCHANGED = "WHERE id = ? AND task_id = ? AND state = ? AND asked_s = ?"
"""The export whose values `_present` gives, unless it has changed since."""
_KIND = DatabaseKind(
    "the list of exports",
    int.from_bytes(b"rcfx"),
    (_EXPORTS, _DURATIONS),
    """
    CREATE TABLE IF NOT EXISTS exports (
        id TEXT PRIMARY KEY,
        account_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        from_s REAL NOT NULL,
        to_s REAL NOT NULL,
        types TEXT NOT NULL,
        contacts TEXT NOT NULL,
        chats TEXT NOT NULL,
        task_id TEXT NOT NULL,
        state TEXT NOT NULL,
        asked_s REAL NOT NULL,
        since_s REAL NOT NULL,
        next_look_s REAL NOT NULL,
        archives TEXT NOT NULL,
        problem TEXT NOT NULL,
        UNIQUE (account_id, kind, name)
    );
    CREATE TABLE IF NOT EXISTS durations (
        account_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        took_s REAL NOT NULL,
        ended_s REAL NOT NULL
    );
    """,
)


class ExportBook(Book):
    """The exports of one state directory; any thread may use it, and several processes a directory.

    Raises (all methods but `close`):
        StoreError: The database fails.
    """

    @classmethod
    def open(cls, files: StateFiles, warn: Callable[[str], None]) -> Self:
        """The exports in the state directory of `files`; see `Book` for damaged ones."""
        return cls._opened(_KIND, files.exports, files, warn)

    def all(self, account_id: str) -> tuple[Export, ...]:
        """The exports of an account, in the order in which they were wanted; damaged rows are left out."""
        query = f"SELECT {_EXPORTS.row_columns} FROM exports WHERE account_id = ? ORDER BY rowid"  # noqa: S608
        with self._reading() as reader:
            rows = reader.execute(query, (account_id,)).fetchall()
        found = (_export_from(row) for row in rows if _EXPORTS.is_sound(row))
        return tuple(export for export in found if export is not None)

    def add(self, account_id: str, export: Export) -> Export:
        """Keep a new export; an earlier one with the same kind and name stays, and is the result."""
        query = f"SELECT {_EXPORTS.row_columns} FROM exports"  # noqa: S608
        query += " WHERE account_id = ? AND kind = ? AND name = ?"
        of_name = (account_id, export.query.kind.value, export.query.name)
        with self._changing() as connection:
            for row in connection.execute(query, of_name).fetchall():
                earlier = _export_from(row) if _EXPORTS.is_sound(row) else None
                if earlier is not None:
                    return earlier
            connection.execute(_EXPORTS.insert(), _row_of(account_id, export))
        return export

    def change(self, account_id: str, before: Export, after: Export) -> bool:
        """Replace `before` by `after`, which has the same id; False if `before` is not its present value.

        So a process that has waited for an answer does not overwrite what another did meanwhile.
        """
        row = _row_of(account_id, after)
        sets = ", ".join(f"{name} = ?" for name in (*_EXPORTS.columns, _EXPORTS.crc))
        update = f"UPDATE exports SET {sets} {_IF_UNCHANGED}"  # noqa: S608
        with self._changing() as connection:
            return connection.execute(update, (*row, *_present(before))).rowcount == 1

    def remove(self, export_id: str) -> bool:
        """Forget an export; False if no export has this id."""
        with self._writing() as connection:
            deleted = connection.execute("DELETE FROM exports WHERE id = ?", (export_id,))
            return deleted.rowcount == 1

    def withdraw(self, export: Export) -> bool:
        """Forget an export unless another process has asked for it meanwhile; False if one has."""
        delete = f"DELETE FROM exports {_IF_UNCHANGED}"  # noqa: S608
        with self._writing() as connection:
            return connection.execute(delete, _present(export)).rowcount == 1

    def add_duration(self, account_id: str, kind: ExportKind, took_s: float, ended_s: float) -> None:
        """Remember how long a completed export took, from the request to its end, and when it ended."""
        delete = (
            "DELETE FROM durations WHERE account_id = ? AND kind = ? AND rowid NOT IN"
            " (SELECT rowid FROM durations WHERE account_id = ? AND kind = ? ORDER BY ended_s DESC LIMIT ?)"
        )
        of_kind = (account_id, kind.value)
        with self._changing() as connection:
            connection.execute(_DURATIONS.insert(), _DURATIONS.row(*of_kind, took_s, ended_s))
            connection.execute(delete, (*of_kind, *of_kind, _MOST_DURATIONS))

    def durations(self, account_id: str, kind: ExportKind) -> tuple[float, ...]:
        """How long the latest completed exports of a kind took, in seconds, in any order."""
        query = f"SELECT {_DURATIONS.row_columns} FROM durations WHERE account_id = ? AND kind = ?"  # noqa: S608
        with self._reading() as reader:
            rows = reader.execute(query, (account_id, kind.value)).fetchall()
        return tuple(row[2] for row in rows if _DURATIONS.is_sound(row))

    def turn(self, account_id: str) -> AbstractContextManager[bool]:
        """A block in which this process alone asks the platform about exports of the account, if True.

        It is False while another process, or another book, is in such a block.
        """
        return turn(self._files.exports_lock(account_id))

    def forget_account(self, account_id: str) -> None:
        """Erase the exports of an account."""
        with self._writing() as connection:
            for table in ("exports", "durations"):
                connection.execute(f"DELETE FROM {table} WHERE account_id = ?", (account_id,))  # noqa: S608
            rewrite(connection)


def _present(export: Export) -> Row:
    return export.id, export.task_id, export.state.value, export.asked_s


def _row_of(account_id: str, export: Export) -> Row:
    query = export.query
    return _EXPORTS.row(
        export.id,
        account_id,
        query.kind.value,
        query.name,
        query.from_s,
        query.to_s,
        json.dumps(query.types),
        json.dumps(query.contacts),
        json.dumps(query.chats),
        export.task_id,
        export.state.value,
        export.asked_s,
        export.since_s,
        export.next_look_s,
        json.dumps([(each.number, str(each.key), each.size_bytes, each.uri) for each in export.archives]),
        export.problem,
    )


def _export_from(row: Row) -> Export | None:
    """The export of a sound row; None if another version of rcfs wrote it, with other words."""
    fields = dict(zip(_EXPORTS.columns, row, strict=False))
    try:
        query = ExportQuery(
            ExportKind(fields["kind"]),
            fields["from_s"],
            fields["to_s"],
            tuple(json.loads(fields["types"])),
            tuple(json.loads(fields["contacts"])),
            tuple(json.loads(fields["chats"])),
        )
        return Export(
            id=fields["id"],
            query=query,
            task_id=fields["task_id"],
            state=ExportState(fields["state"]),
            asked_s=fields["asked_s"],
            since_s=fields["since_s"],
            next_look_s=fields["next_look_s"],
            archives=tuple(_archive_from(*each) for each in json.loads(fields["archives"])),
            problem=fields["problem"],
        )
    except (TypeError, ValueError):
        return None


def _archive_from(number: int, key_text: str, size_bytes: int | None, uri: str) -> ExportArchive:
    key = ContentKey.parse(key_text)
    if not isinstance(key, (ReportKey, DatasetKey)):
        raise ValueError(f"{key_text!r} is no archive")
    return ExportArchive(number, key, size_bytes, uri)
