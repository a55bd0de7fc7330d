"""The outbox: what people want to change at RingCentral or to send, until it is settled.

Nothing makes a request of these idempotent. So each wish, an *intent*, is on the disk, also through a power
cut, before the method that keeps it returns, and so is the note that a request for it may be under way.
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

import attrs

from rcfs.filenames import StateFiles
from rcfs.store._book import Book
from rcfs.store._checked_table import CheckedTable
from rcfs.store._forgetting import rewrite
from rcfs.store._small_database import DatabaseKind
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
    "changes may not be made, and messages not be sent: `rcfs outbox` lists what is left, so compare it with"
    " what RingCentral has",
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


class OutboxBook(Book):
    """The intents of one state directory; any thread may use it, and several processes a directory.

    Raises (all methods but `close`):
        StoreError: The database fails.
    """

    @classmethod
    def open(cls, files: StateFiles, warn: Callable[[str], None]) -> Self:
        """The outbox in the state directory of `files`; see `Book` for a damaged one."""
        return cls._opened(_KIND, files.outbox, files, warn)

    def outgoing(self, account_id: str) -> Path:
        """The directory for the files of an account's messages that are not sent yet."""
        return self._files.outgoing(account_id)

    def all(self, account_id: str, kind: str | None = None) -> tuple[Intent, ...]:
        """The intents of an account, of one kind or of all, in their order; damaged ones are left out."""
        query = f"SELECT {_INTENTS.row_columns} FROM intents"  # noqa: S608 - our own words
        query += " WHERE account_id = ? AND (? IS NULL OR kind = ?) ORDER BY rowid"
        with self._reading() as reader:
            rows = reader.execute(query, (account_id, kind, kind)).fetchall()
        return tuple(Intent(*row[:-1]) for row in rows if _INTENTS.is_sound(row))

    def find(self, ids: Sequence[str]) -> tuple[Intent, ...]:
        """The intents with these ids, in any order; missing and damaged ones are left out."""
        query = f"SELECT {_INTENTS.row_columns} FROM intents WHERE id = ?"  # noqa: S608 - our own words
        with self._reading() as reader:
            rows = [row for each in ids for row in reader.execute(query, (each,))]
        return tuple(Intent(*row[:-1]) for row in rows if _INTENTS.is_sound(row))

    def add(self, intents: Sequence[Intent]) -> bool:
        """Keep new intents; False, and none is kept, if the id of one of them is there already."""
        return self.change((), intents)

    def change(self, before: Sequence[Intent], after: Sequence[Intent]) -> bool:
        """Replace `before` by `after` in one transaction; False, and no change, if one of `before` did.

        An intent of `after` with the id of one of `before` takes its place; the others of `after` are new,
        and the others of `before` are forgotten. So a process that has waited for an answer does not
        overwrite what another did meanwhile. A new intent whose id is there already is such a change, too.
        """
        old, new = ({intent.id for intent in intents} for intents in (before, after))
        with self._changing() as connection:
            query = f"SELECT {_INTENTS.row_columns} FROM intents WHERE id = ?"  # noqa: S608 - our own words
            for intent in before:
                if connection.execute(query, (intent.id,)).fetchone() != _row_of(intent):
                    return False
            if any(connection.execute(query, (each,)).fetchone() for each in new - old):
                return False
            removed = [(intent.id,) for intent in before if intent.id not in new]
            connection.executemany("DELETE FROM intents WHERE id = ?", removed)
            update = f"UPDATE intents SET {_OF_ID} WHERE id = ?"  # noqa: S608 - our own words
            changed = [(*_row_of(intent), intent.id) for intent in after if intent.id in old]
            connection.executemany(update, changed)
            added = [_row_of(intent) for intent in after if intent.id not in old]
            connection.executemany(_INTENTS.insert(), added)
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
        with self._writing() as connection:
            connection.execute("DELETE FROM intents WHERE account_id = ?", (account_id,))
            rewrite(connection)


def _row_of(intent: Intent) -> tuple[object, ...]:
    return _INTENTS.row(*attrs.astuple(intent))
