"""The outbox: what people want to change at RingCentral or to send, until it is settled.

Nothing makes a request of these idempotent. So each wish, an *intent*, is on the disk, also through a power
cut, before the method that keeps it returns, and so is the note that a request for it may be under way.
"""

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import attrs

from rcfs.errors import StoreError
from rcfs.filenames import StateFiles
from rcfs.private import reason_of
from rcfs.store._checked_table import CheckedTable
from rcfs.store._database import READ_WAIT_S
from rcfs.store._forgetting import rewrite
from rcfs.store._small_database import DatabaseKind
from rcfs.store._sqlite import transaction
from rcfs.store._turns import turn

_INTENTS = CheckedTable(
    "intents",
    ("id", "account_id", "kind", "state", "created_s", "changed_s", "body"),
    real=frozenset({"created_s", "changed_s"}),
)
_OF_ID = ", ".join(f"{name} = ?" for name in (*_INTENTS.columns, _INTENTS.crc))
_KIND = DatabaseKind(
    "the outbox",
    int.from_bytes(b"rcfo"),
    (_INTENTS,),
    """
    CREATE TABLE IF NOT EXISTS intents (
        id TEXT PRIMARY KEY,
        account_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        state TEXT NOT NULL,
        created_s REAL NOT NULL,
        changed_s REAL NOT NULL,
        body TEXT NOT NULL
    );
    """,
)


@attrs.frozen
class Intent:
    """Something that is to be changed or sent, as a row of the outbox."""

    id: str
    """Unique among all intents."""
    account_id: str
    """The account in which it is to happen."""
    kind: str
    """``change``, ``send``, or another word; it says how to read `state` and `body`."""
    state: str
    """How far it is, in the words of its kind."""
    created_s: float
    """When it was wanted, seconds since the epoch."""
    changed_s: float
    """When `state` changed last, seconds since the epoch."""
    body: str
    """All else, as JSON that the kind knows."""


class OutboxBook:
    """The intents of one state directory; any thread may use it, and several processes a directory.

    Raises (all methods but `close`):
        StoreError: The database fails.
    """

    def __init__(
        self,
        files: StateFiles,
        connection: sqlite3.Connection,
        reader: sqlite3.Connection,
        watcher: sqlite3.Connection,
    ) -> None:
        """Use `open` instead."""
        self._files = files
        self._connection = connection
        self._reader = reader
        self._watcher = watcher
        self._lock = threading.Lock()

    @classmethod
    def open(cls, files: StateFiles, warn: Callable[[str], None]) -> "OutboxBook":
        """The outbox in the state directory of `files`, created when missing (0600, 0700).

        A damaged or foreign database is moved aside as ``*.damaged``, and its good rows are copied into a new
        one; `warn` gets a line. No database in memory takes the place of one that cannot be written: it would
        lose the intents.
        """
        with _store_errors(f"the outbox {files.outbox}"):
            connection = _KIND.open(files.outbox, warn, thorough=True)
            with ExitStack() as opened:
                opened.callback(connection.close)
                connection.execute("PRAGMA synchronous = FULL")
                reader = _KIND.connect(files.outbox, READ_WAIT_S)
                opened.callback(reader.close)
                watcher = _KIND.connect(files.outbox, READ_WAIT_S)
                opened.pop_all()
            return cls(files, connection, reader, watcher)

    def outgoing(self, account_id: str) -> Path:
        """The directory for the files of an account's messages that are not sent yet."""
        return self._files.outgoing(account_id)

    def version(self) -> int:
        """A number that changes with every change of the outbox, by this process or another.

        For the event loop: it never waits for another thread, and takes some microseconds.
        """
        with _store_errors():
            ((number,),) = self._watcher.execute("PRAGMA data_version")
            return int(number)

    def all(self, account_id: str, kind: str | None = None) -> tuple[Intent, ...]:
        """The intents of an account, of one kind or of all, in their order; damaged ones are left out."""
        query = f"SELECT {_INTENTS.row_columns} FROM intents"  # noqa: S608 - our own words
        query += " WHERE account_id = ? AND (? IS NULL OR kind = ?) ORDER BY rowid"
        with self._lock, _store_errors():
            rows = self._reader.execute(query, (account_id, kind, kind)).fetchall()
        return tuple(Intent(*row[:-1]) for row in rows if _INTENTS.is_sound(row))

    def find(self, ids: Sequence[str]) -> tuple[Intent, ...]:
        """The intents with these ids, in any order; missing and damaged ones are left out."""
        query = f"SELECT {_INTENTS.row_columns} FROM intents WHERE id = ?"  # noqa: S608 - our own words
        with self._lock, _store_errors():
            rows = [row for each in ids for row in self._reader.execute(query, (each,))]
        return tuple(Intent(*row[:-1]) for row in rows if _INTENTS.is_sound(row))

    def add(self, intents: Sequence[Intent]) -> bool:
        """Keep new intents; False, and none is kept, if the id of one of them is there already."""
        return self.change((), intents)

    def remove(self, intents: Sequence[Intent]) -> bool:
        """Forget intents; if one of them has changed meanwhile, none is forgotten and the result is False."""
        return self.change(intents, ())

    def change(self, before: Sequence[Intent], after: Sequence[Intent]) -> bool:
        """Replace `before` by `after` in one transaction; False, and no change, if one of `before` did.

        An intent of `after` with the id of one of `before` takes its place; the others of `after` are new,
        and the others of `before` are forgotten. So a process that has waited for an answer does not
        overwrite what another did meanwhile. A new intent whose id is there already is such a change, too.
        """
        old, new = ({intent.id for intent in intents} for intents in (before, after))
        with self._lock, _store_errors(), transaction(self._connection):
            query = f"SELECT {_INTENTS.row_columns} FROM intents WHERE id = ?"  # noqa: S608 - our own words
            for intent in before:
                if self._connection.execute(query, (intent.id,)).fetchone() != _row_of(intent):
                    return False
            if any(self._connection.execute(query, (each,)).fetchone() for each in new - old):
                return False
            removed = [(intent.id,) for intent in before if intent.id not in new]
            self._connection.executemany("DELETE FROM intents WHERE id = ?", removed)
            update = f"UPDATE intents SET {_OF_ID} WHERE id = ?"  # noqa: S608 - our own words
            changed = [(*_row_of(intent), intent.id) for intent in after if intent.id in old]
            self._connection.executemany(update, changed)
            added = [_row_of(intent) for intent in after if intent.id not in old]
            self._connection.executemany(_INTENTS.insert(), added)
        return True

    def turn(self, account_id: str, kind: str) -> AbstractContextManager[bool]:
        """A block in which this process alone sends the intents of one kind of the account, if True.

        It is False while another process, or another book, is in such a block. The kernel ends the block of a
        process that dies.
        """
        return turn(self._files.outbox_lock(account_id, kind))

    def forget_account(self, account_id: str) -> None:
        """Erase the outbox of an account, and the files of its messages."""
        shutil.rmtree(self.outgoing(account_id), ignore_errors=True)
        with self._lock, _store_errors():
            self._connection.execute("DELETE FROM intents WHERE account_id = ?", (account_id,))
            rewrite(self._connection)

    def close(self) -> None:
        """Close the database; nothing may be called afterwards."""
        with self._lock, suppress(sqlite3.Error):
            self._watcher.close()
            self._reader.close()
            self._connection.close()


@contextmanager
def _store_errors(subject: str = "the outbox") -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as exc:
        raise StoreError(f"{subject} cannot be used: {reason_of(exc)}") from exc


def _row_of(intent: Intent) -> tuple[object, ...]:
    return _INTENTS.row(*attrs.astuple(intent))
