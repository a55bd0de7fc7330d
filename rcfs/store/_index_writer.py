"""What changes the index of mailboxes: each method is one transaction, in a worker thread."""

import json
import secrets
import sqlite3
from collections.abc import Iterable, Sequence

from rcfs.errors import StoreError
from rcfs.model import NameFolder, ShelvedMessage
from rcfs.store._checksum import proved, row_checksum
from rcfs.store._forgetting import erase_index_rows
from rcfs.store._index_database import IndexDatabase
from rcfs.store._index_merge import Merge, put_owner, put_transcript
from rcfs.store._index_schema import checked, seal
from rcfs.store._index_values import Login

_MOST_NUMBERS = (1 << 31) - 1
"""Numbers of mailboxes: four bytes in the database, and for 200 of them one chance in 100,000 of a second one
of the same number, which begins the index anew."""
_SEAL_MAILBOX = f"{seal('mailboxes')} WHERE mailbox = ?"

ChangedPaths = set[tuple[str, ...]]
"""Paths relative to the extension's directory that mean something else than before: of views and folders
their listing, times and texts, of messages in a folder everything below, of the empty path everything."""


class IndexWriter:
    """Changes to the index of one state directory.

    Raises (all methods):
        IndexDamagedError: The database is damaged.
        StoreError: It fails for another reason.
    """

    def __init__(self, database: IndexDatabase) -> None:
        self._database = database

    def note(self, topic: str, text: str, at_s: float) -> None:
        """Remember `text` of `topic`, in place of what was remembered."""
        with self._database.transaction() as connection:
            row = (topic, text, float(at_s))
            connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?)", (*row, row_checksum(*row)))

    def save_login(self, login: str, seen: Login) -> None:
        """Remember what `login` is allowed to see."""
        with self._database.transaction() as connection:
            row = (login, seen.account_id, seen.account_name, json.dumps(seen.extensions))
            connection.execute(
                "INSERT OR REPLACE INTO logins VALUES (?, ?, ?, ?, ?)", (*row, row_checksum(*row))
            )

    def begin(self, account_id: str, extension_id: int, own: str = "") -> tuple[int, int]:
        """(number, listing) of a mailbox whose messages are about to be listed whole.

        A mailbox counts its listings. What this one brings is `put` with its number, and what it did not
        bring is `IndexReader.unseen`. `own` is an identity that certainly is the owner's; empty when none is
        known before the messages are.
        """
        with self._database.transaction() as connection:
            _prove_mailbox(connection, "account_id = ? AND extension_id = ?", account_id, extension_id)
            row = connection.execute(
                "INSERT INTO mailboxes (mailbox, account_id, extension_id, generation) VALUES (?, ?, ?, 1)"
                " ON CONFLICT (account_id, extension_id) DO UPDATE SET generation = generation + 1"
                " RETURNING mailbox, generation",
                # Not counted up: a number of an index that was given up must not be another's in the next.
                (secrets.randbelow(_MOST_NUMBERS) + 1, account_id, extension_id),
            ).fetchone()
            connection.execute(_SEAL_MAILBOX, (row[0],))
            if own:
                put_owner(connection, row[0], own)
        return row[0], row[1]

    def put(
        self,
        mailbox: int,
        messages: Iterable[ShelvedMessage],
        name: NameFolder,
        *,
        removed: Sequence[int] = (),
        listing: int | None = None,
        again: bool = False,
    ) -> ChangedPaths:
        """Take over new and changed messages, and forget those with the ids `removed`.

        Of two records of one message the one modified last counts. All of it happens or none.

        Args:
            mailbox: Number of the mailbox.
            messages: In any order.
            name: Names the folders.
            removed: Ids of messages that do not exist any more.
            listing: From `begin` when this is a part of a whole listing; None for a change.
            again: Whether messages that are known as they are, are taken over all the same: they are shown
                otherwise than before.

        Returns:
            What means something else than before.

        Raises:
            StoreError: The index fails, or was begun anew since the mailbox got its number.
        """
        with self._database.transaction() as connection:
            present = _prove_mailbox(connection, "mailbox = ?", mailbox)
            if present is None:
                raise StoreError("the mailbox is not in the index, because rcfs has replaced a damaged one")
            merge = Merge(connection, mailbox, present if listing is None else listing, name)
            for message in messages:
                merge.put(message, again=again)
            merge.remove(removed)
            changed = merge.finish()
            if changed:
                connection.execute("UPDATE mailboxes SET edition = edition + 1 WHERE mailbox = ?", (mailbox,))
                connection.execute(_SEAL_MAILBOX, (mailbox,))
            return changed

    def rename_folders(self, name: NameFolder) -> None:
        """Give every folder of every mailbox the name that `name` has for it now."""
        with self._database.transaction() as connection:
            for (mailbox,) in connection.execute("SELECT mailbox FROM mailboxes").fetchall():
                _prove_mailbox(connection, "mailbox = ?", mailbox)
                merge = Merge(connection, mailbox, 0, name)
                merge.rename_all()
                if merge.finish():
                    connection.execute(
                        "UPDATE mailboxes SET edition = edition + 1 WHERE mailbox = ?", (mailbox,)
                    )
                    connection.execute(_SEAL_MAILBOX, (mailbox,))

    def put_owner(self, account_id: str, extension_id: int, own: str) -> None:
        """Note an identity that certainly is the owner's of a mailbox that is known."""
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT mailbox FROM mailboxes WHERE account_id = ? AND extension_id = ?",
                (account_id, extension_id),
            ).fetchone()
            if row is not None:
                put_owner(connection, row[0], own)

    def put_transcript(self, mailbox: int, message_id: int, text: str) -> bool:
        """Let searches find a message by what is said in it.

        Returns:
            Whether something has changed: it was not known, and the message is not gone.
        """
        with self._database.transaction() as connection:
            return put_transcript(connection, mailbox, message_id, text)

    def synced(self, mailbox: int, token: str, at_s: float) -> None:
        """The mailbox is complete as of `at_s`, and `token` continues from there."""
        with self._database.transaction() as connection:
            _prove_mailbox(connection, "mailbox = ?", mailbox)
            connection.execute(
                "UPDATE mailboxes SET loaded = 1, sync_token = ?, synced_s = ? WHERE mailbox = ?",
                (token, at_s, mailbox),
            )
            connection.execute(_SEAL_MAILBOX, (mailbox,))

    def forget_account(self, account_id: str) -> None:
        """Erase all that the index knows of an account."""
        with self._database.transaction() as connection:
            erase_index_rows(connection, account_id)
        self._database.write_anew()


def _prove_mailbox(connection: sqlite3.Connection, condition: str, *parameters: object) -> int | None:
    """The last listing of a mailbox that is about to be changed; None when it is not known.

    Raises:
        DamagedRowError: Its row is not as it was written, which a new checksum would hide.
    """
    rows = connection.execute(
        f"SELECT generation, {checked('mailboxes')} FROM mailboxes WHERE {condition}",  # noqa: S608
        parameters,
    )
    for (listing,) in proved(rows, 1):
        return int(listing)
    return None
