"""The archive: records of purged messages that the user keeps, and that the platform no longer has.

rcfs can fetch all else in the index of mailboxes again, so it replaces a damaged index; the records of purged
messages have their own file, from which a new index gets them. It is opened for each question, because there
are few: when messages are purged, and when a mailbox is loaded whole.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from rcfs.errors import StoreError
from rcfs.private import reason_of
from rcfs.store._checked_table import CheckedTable
from rcfs.store._forgetting import rewrite
from rcfs.store._small_database import DatabaseKind
from rcfs.store._sqlite import is_damage

_RECORDS = CheckedTable("records", ("account_id", "extension_id", "id", "raw"))
_CHOICE = CheckedTable("wishes", ("keep",))
_KIND = DatabaseKind(
    "the archive of purged messages",
    int.from_bytes(b"rcfa"),
    (_RECORDS, _CHOICE),
    """
    CREATE TABLE IF NOT EXISTS records (
        account_id TEXT NOT NULL, extension_id INTEGER NOT NULL, id INTEGER NOT NULL, raw TEXT NOT NULL,
        PRIMARY KEY (account_id, extension_id, id)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS wishes (keep INTEGER NOT NULL);
    """,
)


class PurgedArchive:
    """The archive of one state directory; any thread may use it, and several processes a directory.

    Raises (all methods):
        StoreError: It cannot be read or written.
    """

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        """Uses the database `path`, which is created with the first record or choice.

        A damaged or foreign database is moved aside as ``*.damaged``, and its good records are copied into a
        new one; `warn` gets a line then.
        """
        self._path = path
        self._warn = warn
        self._suspect = True
        """Whether to check every page and row when opening it: the first time, and after damage was found."""

    def keeps_purged(self) -> bool:
        """Whether to keep purged messages, as a user last chose in any process."""
        # If damage has destroyed the choice but left records, a user chose to keep them.
        query = "SELECT COALESCE((SELECT keep FROM wishes), EXISTS (SELECT 1 FROM records))"
        return any(keep for (keep,) in self._all(query))

    def keep_purged(self, *, keep: bool) -> None:
        """Choose whether to keep purged messages from now on."""
        if keep != self.keeps_purged():
            with self._opened() as connection, connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("DELETE FROM wishes")
                connection.execute(_CHOICE.insert(), _CHOICE.row(int(keep)))

    def keep(self, account_id: str, extension_id: int, records: Mapping[int, str]) -> None:
        """Keep `records`, JSON text by the id of the message, in place of earlier ones."""
        with self._opened() as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                _RECORDS.insert(),
                [
                    _RECORDS.row(account_id, extension_id, message_id, raw)
                    for message_id, raw in records.items()
                ],
            )

    def records(self, account_id: str, extension_id: int) -> dict[int, str]:
        """The kept records of a mailbox, by id."""
        rows = self._all(
            "SELECT id, raw, account_id, extension_id, id, raw, crc FROM records"
            " WHERE account_id = ? AND extension_id = ?",
            account_id,
            extension_id,
        )
        return {message_id: raw for message_id, raw, *proof in rows if _RECORDS.is_sound(tuple(proof))}

    def count(self, account_id: str | None = None) -> int:
        """The number of kept records, of one account or of all."""
        if account_id is None:
            return int(self._all("SELECT COUNT(*) FROM records")[0][0]) if self._path.exists() else 0
        return len(self._all("SELECT 1 FROM records WHERE account_id = ?", account_id))

    def forget_account(self, account_id: str) -> None:
        """Erase the records of an account for good."""
        if not self._path.exists():
            return
        with self._opened() as connection:
            connection.execute("DELETE FROM records WHERE account_id = ?", (account_id,))
            rewrite(connection)

    def _all(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        if not self._path.exists():
            return []
        try:
            with self._opened() as connection:
                return connection.execute(query, parameters).fetchall()
        except StoreError:
            if not self._suspect:
                raise
        with self._opened() as connection:  # Opening it replaced the damaged database.
            return connection.execute(query, parameters).fetchall()

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(_KIND.open(self._path, self._warn, thorough=self._suspect)) as connection:
                self._suspect = False
                yield connection
        except (OSError, sqlite3.Error) as exc:
            self._suspect = isinstance(exc, sqlite3.Error) and is_damage(exc)
            raise StoreError(f"the archive of purged messages cannot be used: {reason_of(exc)}") from exc
