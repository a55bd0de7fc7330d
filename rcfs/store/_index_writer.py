"""Changes to the index of mailboxes: each method is one transaction, in a worker thread."""

import json
import sqlite3
from collections.abc import Iterable, Sequence

from rcfs.errors import StoreError
from rcfs.model import NameFolder, ShelvedMessage
from rcfs.store._call_writer import CallWriter
from rcfs.store._forgetting import erase_index_rows
from rcfs.store._index_changes import ChangedPaths
from rcfs.store._index_database import IndexDatabase
from rcfs.store._index_folders import add_owner
from rcfs.store._index_mailboxes import check_mailbox, count_change, random_number, update_checksum
from rcfs.store._index_merge import Merge, put_transcript
from rcfs.store._index_schema import LOGINS, NOTES, SEARCHES
from rcfs.store._index_values import Login


class IndexWriter:
    """Changes to the index of one state directory.

    Raises (all methods):
        IndexDamagedError: The database is damaged.
        StoreError: It fails for another reason.
    """

    def __init__(self, database: IndexDatabase) -> None:
        self._database = database
        self.calls = CallWriter(database)
        """Changes to calls and recordings."""

    def note(self, topic: str, text: str, at_s: float) -> None:
        """Keep `text` as the note on `topic`, in place of an earlier one."""
        with self._database.transaction() as connection:
            connection.execute(NOTES.insert(), NOTES.row(topic, text, at_s))

    def save_login(self, login: str, seen: Login) -> None:
        """Keep what `login` sees of its account."""
        row = LOGINS.row(login, seen.account_id, seen.account_name, json.dumps(seen.extensions))
        with self._database.transaction() as connection:
            connection.execute(LOGINS.insert(), row)

    def begin(self, account_id: str, extension_id: int, own: str = "") -> tuple[int, int]:
        """Begin to list a whole mailbox.

        Args:
            account_id: Decimal account id.
            extension_id: Extension of the mailbox.
            own: An identity that certainly is the owner's; empty if none is known before the messages are.

        Returns:
            The number of the mailbox, and that of the listing. The messages of the listing are `put` with the
            latter; those that the listing did not bring are `IndexReader.unseen`.
        """
        with self._database.transaction() as connection:
            check_mailbox(connection, "account_id = ? AND extension_id = ?", account_id, extension_id)
            mailbox, listing = connection.execute(
                "INSERT INTO mailboxes (mailbox, account_id, extension_id, generation) VALUES (?, ?, ?, 1)"
                " ON CONFLICT (account_id, extension_id) DO UPDATE SET generation = generation + 1"
                " RETURNING mailbox, generation",
                (random_number(), account_id, extension_id),
            ).fetchone()
            update_checksum(connection, mailbox)
            if own:
                add_owner(connection, mailbox, own)
        return mailbox, listing

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
        """Put new and changed messages into the index, and remove those with the ids `removed`.

        Of two records of one message, the one modified last counts.

        Args:
            mailbox: Number of the mailbox.
            messages: In any order.
            name: Names the folders.
            removed: Ids of messages that no longer exist.
            listing: From `begin` when this is a part of a whole listing; None for a change.
            again: Whether to put messages again that are in the index unchanged, because the rules of
                shelving have changed.

        Raises:
            StoreError: The index fails, or was replaced after the mailbox got its number.
        """
        with self._database.transaction() as connection:
            present = check_mailbox(connection, "mailbox = ?", mailbox)
            if present is None:
                raise StoreError("rcfs has replaced the damaged index, so the mailbox loads again")
            merge = Merge(connection, mailbox, present if listing is None else listing, name)
            for message in messages:
                merge.put(message, again=again)
            merge.remove(removed)
            return _finished(connection, mailbox, merge)

    def rename_folders(self, name: NameFolder) -> None:
        """Give every folder of every mailbox the name that `name` has for it now."""
        with self._database.transaction() as connection:
            for (mailbox,) in connection.execute("SELECT mailbox FROM mailboxes").fetchall():
                check_mailbox(connection, "mailbox = ?", mailbox)
                merge = Merge(connection, mailbox, 0, name)
                merge.folders.rename_all()
                _finished(connection, mailbox, merge)

    def put_owner(self, account_id: str, extension_id: int, own: str) -> None:
        """Keep an identity that certainly is the owner's of a mailbox, if the mailbox is in the index."""
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT mailbox FROM mailboxes WHERE account_id = ? AND extension_id = ?",
                (account_id, extension_id),
            ).fetchone()
            if row is not None:
                add_owner(connection, row[0], own)

    def put_transcript(self, mailbox: int, message_id: int, text: str) -> bool:
        """Let searches find a message by the words that are spoken in it.

        Returns:
            Whether the index has changed: the message is in it, and had no transcript or another one.
        """
        with self._database.transaction() as connection:
            return put_transcript(connection, mailbox, message_id, text)

    def synced(self, mailbox: int, token: str, at_s: float) -> None:
        """Mark the mailbox as complete as of `at_s`; the next sync continues from `token`."""
        with self._database.transaction() as connection:
            check_mailbox(connection, "mailbox = ?", mailbox)
            connection.execute(
                "UPDATE mailboxes SET loaded = 1, sync_token = ?, synced_s = ? WHERE mailbox = ?",
                (token, at_s, mailbox),
            )
            update_checksum(connection, mailbox)

    def save_search(self, account_id: str, name: str, made_s: float) -> bool:
        """Save a search that was made at `made_s`; False if a search has this name already."""
        with self._database.transaction() as connection:
            row = SEARCHES.row(account_id, name, made_s)
            return connection.execute(SEARCHES.insert("IGNORE"), row).rowcount > 0

    def remove_search(self, account_id: str, name: str) -> bool:
        """Remove a saved search; False if no search has this name."""
        with self._database.transaction() as connection:
            delete = "DELETE FROM searches WHERE account_id = ? AND name = ?"
            return connection.execute(delete, (account_id, name)).rowcount > 0

    def rename_search(self, account_id: str, name: str, new_name: str) -> bool:
        """Rename a saved search; False if no search has this name, or another one has the new name."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                f"SELECT {SEARCHES.row_columns} FROM searches WHERE account_id = ? AND name = ?",  # noqa: S608
                (account_id, name),
            ).fetchall()
            if not rows or not SEARCHES.is_sound(rows[0]):  # A new checksum would hide the damage.
                return False
            *_name, crc = SEARCHES.row(account_id, new_name, rows[0][2])
            return (
                connection.execute(
                    "UPDATE OR IGNORE searches SET name = ?, crc = ? WHERE account_id = ? AND name = ?",
                    (new_name, crc, account_id, name),
                ).rowcount
                > 0
            )

    def forget_account(self, account_id: str) -> None:
        """Erase all that the index holds of an account."""
        with self._database.transaction() as connection:
            erase_index_rows(connection, account_id)
        self._database.rewrite()


def _finished(connection: sqlite3.Connection, mailbox: int, merge: Merge) -> ChangedPaths:
    """The paths that `merge` changed, after its last writes; if there are any, the revision is counted up."""
    changed = merge.finish()
    if changed:
        count_change(connection, mailbox)
    return changed
