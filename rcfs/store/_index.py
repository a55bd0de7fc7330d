"""The index of mailboxes: every message that is known, and in which folders it is shown.

It is what lets a mount come up without the network and list a million messages without holding them in
memory. All messages can be had again from the platform: a damaged index is moved aside and begun anew, with
what is whole in it (see `rcfs.store._index_rescue`). (What cannot be had again has databases of its own: the
learned sizes, which cost a request each, and the archive of purged messages.)
"""

import json
import math
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rcfs.errors import StoreError
from rcfs.filenames import StateFiles
from rcfs.model import FolderRow, MessageRow, NameFolder, ShelvedMessage
from rcfs.store._archive import PurgedArchive
from rcfs.store._checksum import proved, row_checksum
from rcfs.store._forgetting import erase_index_rows
from rcfs.store._index_database import IndexDatabase
from rcfs.store._index_merge import Merge, put_owner, put_transcript
from rcfs.store._index_schema import checked, seal
from rcfs.store._index_values import Login, MailboxState, Note
from rcfs.store._search import SearchIndex

if TYPE_CHECKING:
    from trio import CapacityLimiter

_MOST_THREADS = 4
"""Threads that bring something into the index: one of them writes, the others wait for it."""
_MOST_NUMBERS = (1 << 31) - 1
"""Numbers of mailboxes: four bytes in the database, and for 200 of them one chance in 100,000 of a second one
of the same number, which begins the index anew."""
_VIEWS = """WITH RECURSIVE views (view) AS (
    SELECT min(view) FROM folders WHERE mailbox = ?1
    UNION ALL
    SELECT (SELECT min(view) FROM folders WHERE mailbox = ?1 AND view > views.view)
    FROM views WHERE views.view IS NOT NULL
)"""
"""A skip through the index: a plain DISTINCT would read an entry for every folder."""
_NEWEST = """
    (SELECT max(created_s) FROM folders f WHERE f.mailbox = ?1 AND f.view = views.view),
    (SELECT max(modified_s) FROM folders f WHERE f.mailbox = ?1 AND f.view = views.view)
"""
"""Each reads one entry of its index, too: a mailbox may have ten thousand contacts."""
_LIST_VIEWS = f"{_VIEWS} SELECT view FROM views WHERE view IS NOT NULL"  # noqa: S608
_NEWEST_OF_ALL = (
    f"{_VIEWS}, found (created_s, modified_s) AS (SELECT {_NEWEST} FROM views)"  # noqa: S608
    " SELECT max(created_s), max(modified_s) FROM found"
)
_NEWEST_OF_VIEW = f"SELECT {_NEWEST} FROM (SELECT ?2 AS view) AS views"  # noqa: S608
_FOLDER_COLUMNS = "folder, view, key, name, created_s, modified_s, spoken_bytes"
_HOME_COLUMNS = "h.folder, h.view, h.key, h.name, h.created_s, h.modified_s, h.spoken_bytes"
_MESSAGE_COLUMNS = "m.message, m.mailbox, m.id, m.name, m.created_s, m.modified_s"
_MESSAGE_WIDTH = 6
_FOLDER_WIDTH = 7
_LINK_PROOF = f"{checked('messages', 'm')}, {checked('folders', 'h')}"
_LINK_PROOF_FIRST = len(checked("messages").split(","))
_CHECKED_MESSAGE = f"{_MESSAGE_COLUMNS}, {checked('messages', 'm')}"
_CHECKED_FOLDER = f"{_FOLDER_COLUMNS}, {checked('folders')}"
_SEAL_MAILBOX = f"{seal('mailboxes')} WHERE mailbox = ?"

Touched = set[tuple[str, ...]]
"""Paths relative to the extension's directory that mean something else than before: of views and folders
their listing, times and texts, of messages in a folder everything below, of the empty path everything."""


_SUMMED = 1000
"""Records whose bytes are summed at a time, in a few milliseconds: searches use the same connection."""


class MailboxIndex:
    """The index of one state directory; several processes may share it.

    Raises (all methods):
        IndexDamagedError: The database is damaged.
        StoreError: It fails for another reason.
    """

    def __init__(self, database: IndexDatabase, archive: PurgedArchive) -> None:
        self._database = database
        self._keeps_purged: bool | None = None
        self.archive = archive
        """The records of purged messages that are kept."""
        self.search = SearchIndex(database)
        """Full-text search, and the searches that are kept."""

    @cached_property
    def threads(self) -> "CapacityLimiter":
        """For worker threads that use the index: those that wait for a lock leave the others free."""
        from trio import CapacityLimiter  # noqa: PLC0415 - `rcfs search` does without trio

        return CapacityLimiter(_MOST_THREADS)

    @classmethod
    def open(cls, path: Path, warn: Callable[[str], None]) -> "MailboxIndex":
        """The index in the database `path`, see `IndexDatabase`, with the archive that lies beside it."""
        return cls(IndexDatabase(path, warn), PurgedArchive(StateFiles(path.parent).archive, warn))

    def listen(self, on_damage: Callable[[], None]) -> None:
        """Call `on_damage` when damage is met, in whatever thread that is; somebody should then `renew`."""
        self._database.on_damage = on_damage

    def renew(self) -> bool:
        """Begin anew, if damage was met; see `IndexDatabase.renew`. For worker threads."""
        return self._database.renew()

    @property
    def is_small(self) -> bool:
        """Whether `find_damage` takes so little time that it can be waited for."""
        return self._database.is_small

    def find_damage(self) -> None:
        """Look for damage in all of the index; for worker threads, and a second for 10,000 messages."""
        self._database.find_damage()

    def settle(self) -> None:
        """Give back what the event loop may have used while the index was begun anew; for the event loop."""
        self._database.settle()

    def close(self) -> None:
        """Close the database; nothing may be called afterwards."""
        self._database.close()

    # What holds for the whole index

    @property
    def keeps_purged(self) -> bool:
        """Whether what the platform purges is to be kept, as it was last said to any process.

        It stays with the archive, so that a command that does not say so forgets nothing that another keeps.
        """
        if self._keeps_purged is None:
            self._keeps_purged = self.archive.wanted()
        return self._keeps_purged

    def keep_purged(self, *, keep: bool) -> None:
        """Say whether what the platform purges is to be kept from now on; what is kept stays in any case."""
        self._keeps_purged = keep
        self.archive.want(keep=keep)

    def note(self, topic: str, text: str, at_s: float) -> None:
        """Remember `text` of `topic`, in place of what was remembered; for worker threads."""
        with self._database.transaction() as connection:
            row = (topic, text, float(at_s))
            connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?)", (*row, row_checksum(*row)))

    def noted(self, topic: str) -> Note | None:
        """What is remembered of `topic`; None when nothing is."""
        row = self._database.sound_one(
            f"SELECT text, noted_s, {checked('notes')} FROM notes WHERE topic = ?",  # noqa: S608
            topic,
            width=2,
        )
        return None if row is None else Note(row[0], row[1])

    def forget_account(self, account_id: str) -> None:
        """Erase all that is known of an account, purged messages that were kept included; for worker threads.

        Other processes that have a mailbox of it open find it gone.
        """
        with self._database.transaction() as connection:
            erase_index_rows(connection, account_id)
        self._database.write_anew()
        self.archive.forget_account(account_id)

    # Logins and mailboxes

    def login(self, login: str) -> Login | None:
        """What `login` (a digest of server, app and user) was last allowed to see; None when it is new."""
        row = self._database.sound_one(
            f"SELECT account_id, account_name, extensions, {checked('logins')} FROM logins"  # noqa: S608
            " WHERE login = ?",
            login,
            width=3,
        )
        return None if row is None else Login(row[0], row[1], tuple(json.loads(row[2])))

    def logins(self) -> dict[str, Login]:
        """What each login was last allowed to see."""
        rows = self._database.sound(
            f"SELECT login, account_id, account_name, extensions, {checked('logins')} FROM logins",  # noqa: S608
            width=4,
        )
        return {
            login: Login(account_id, name, tuple(json.loads(seen))) for login, account_id, name, seen in rows
        }

    def save_login(self, login: str, seen: Login) -> None:
        """Remember what `login` is allowed to see; for worker threads."""
        with self._database.transaction() as connection:
            row = (login, seen.account_id, seen.account_name, json.dumps(seen.extensions))
            connection.execute(
                "INSERT OR REPLACE INTO logins VALUES (?, ?, ?, ?, ?)", (*row, row_checksum(*row))
            )

    def mailbox(self, account_id: str, extension_id: int) -> MailboxState | None:
        """What is known of a mailbox; None when nothing ever was."""
        row = self._database.sound_one(
            "SELECT mailbox, loaded, sync_token, synced_s, edition,"  # noqa: S608
            f" {checked('mailboxes')} FROM mailboxes WHERE account_id = ? AND extension_id = ?",
            account_id,
            extension_id,
            width=5,
        )
        if row is None:
            return None
        number, loaded, token, synced_s, edition = row
        return MailboxState(number, account_id, extension_id, bool(loaded), token, synced_s, edition)

    def counts(self, account_id: str) -> dict[int, int]:
        """The number of messages of each mailbox that was loaded, by extension; for worker threads."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT extension_id, (SELECT COUNT(*) FROM messages m WHERE m.mailbox = b.mailbox)"
                " FROM mailboxes b WHERE account_id = ? AND loaded",
                (account_id,),
            )
            return dict(rows.fetchall())

    def record_bytes(self, account_id: str, extension_id: int, after: int) -> tuple[int, int | None]:
        """The bytes of the next records of a mailbox, and the message id that they end with.

        For worker threads.

        Args:
            account_id: Decimal account id.
            extension_id: Whose mailbox.
            after: As the last answer has it, -1 for the first ones; the answer has None for the end.
        """
        with self._database.reading() as connection:
            ((count, size_bytes, last),) = connection.execute(
                "SELECT COUNT(*), COALESCE(SUM(LENGTH(CAST(raw AS BLOB))), 0), MAX(id) FROM ("
                "SELECT id, raw FROM messages WHERE id > ? AND mailbox ="
                " (SELECT mailbox FROM mailboxes WHERE account_id = ? AND extension_id = ?)"
                " ORDER BY id LIMIT ?)",
                (after, account_id, extension_id, _SUMMED),
            )
        return int(size_bytes), int(last) if count == _SUMMED else None

    def begin(self, account_id: str, extension_id: int, own: str = "") -> tuple[int, int]:
        """(number, generation) of a mailbox whose messages are about to be listed whole; for worker threads.

        What the listing brings is `put` with that generation, and what it did not bring is `unseen`. `own` is
        an identity that certainly is the owner's; empty when none is known before the messages are.
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
        generation: int | None = None,
        again: bool = False,
    ) -> Touched:
        """Take over new and changed messages, and forget those with the ids `removed`; for worker threads.

        Of two records of one message the one modified last counts. All of it happens or none.

        Args:
            mailbox: Number of the mailbox.
            messages: In any order.
            name: Names the folders.
            removed: Ids of messages that do not exist any more.
            generation: From `begin` when this is a part of a whole listing; None for a change.
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
                raise StoreError("the mailbox is not in the index, which was begun anew meanwhile")
            merge = Merge(connection, mailbox, present if generation is None else generation, name)
            for message in messages:
                merge.put(message, again=again)
            merge.remove(removed)
            touched = merge.finish()
            if touched:
                connection.execute("UPDATE mailboxes SET edition = edition + 1 WHERE mailbox = ?", (mailbox,))
                connection.execute(_SEAL_MAILBOX, (mailbox,))
            return touched

    def records_after(self, number: int, limit: int) -> list[tuple[int, int, str]]:
        """(number, number of its mailbox, record) of at most `limit` messages, those after `number`.

        For worker threads.
        """
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT message, mailbox, raw, raw, raw_crc FROM messages WHERE message > ?"
                " ORDER BY message LIMIT ?",
                (number, limit),
            )
            return [(message, mailbox, raw) for message, mailbox, raw in proved(rows, 3)]

    def rename_folders(self, name: NameFolder) -> None:
        """Give every folder of every mailbox the name that `name` has for it now; for worker threads."""
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
        """Note an identity that certainly is the owner's of a mailbox that is known; for worker threads."""
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT mailbox FROM mailboxes WHERE account_id = ? AND extension_id = ?",
                (account_id, extension_id),
            ).fetchone()
            if row is not None:
                put_owner(connection, row[0], own)

    def put_transcript(self, mailbox: int, message_id: int, text: str) -> bool:
        """Let searches find a message by what is said in it; for worker threads.

        Returns:
            Whether something has changed: it was not known, and the message is not gone.
        """
        with self._database.transaction() as connection:
            return put_transcript(connection, mailbox, message_id, text)

    def unseen(self, mailbox: int, generation: int) -> list[int]:
        """The ids of the messages that the listing `generation` did not bring; for worker threads."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT id FROM messages WHERE mailbox = ? AND generation < ?", (mailbox, generation)
            )
            return [message_id for (message_id,) in rows]

    def synced(self, mailbox: int, token: str, at_s: float) -> None:
        """The mailbox is complete as of `at_s`, and `token` continues from there; for worker threads."""
        with self._database.transaction() as connection:
            _prove_mailbox(connection, "mailbox = ?", mailbox)
            connection.execute(
                "UPDATE mailboxes SET loaded = 1, sync_token = ?, synced_s = ? WHERE mailbox = ?",
                (token, at_s, mailbox),
            )
            connection.execute(_SEAL_MAILBOX, (mailbox,))

    # What the file system asks: in the event loop

    def views(self, mailbox: int) -> list[str]:
        """The views that have a folder."""
        rows = self._database.all(_LIST_VIEWS, mailbox)
        return [view for (view,) in rows]

    def folders(self, mailbox: int, view: str, after: int, limit: int) -> list[FolderRow]:
        """At most `limit` folders of a view, those after the one with the number `after`."""
        rows = self._database.sound(
            f"SELECT {_CHECKED_FOLDER} FROM folders WHERE mailbox = ? AND view = ? AND folder > ?"  # noqa: S608
            " ORDER BY folder LIMIT ?",
            mailbox,
            view,
            after,
            limit,
            width=_FOLDER_WIDTH,
        )
        return [FolderRow(*row) for row in rows]

    def folder(self, mailbox: int, view: str, name: str) -> FolderRow | None:
        """The folder of a view that is called `name`; an empty name is that of the view itself."""
        row = self._database.sound_one(
            f"SELECT {_CHECKED_FOLDER} FROM folders WHERE mailbox = ? AND view = ? AND name = ?",  # noqa: S608
            mailbox,
            view,
            name,
            width=_FOLDER_WIDTH,
        )
        return None if row is None else FolderRow(*row)

    def times(self, mailbox: int, view: str | None) -> tuple[float | None, float | None]:
        """The newest (creationTime, lastModifiedTime) in a view; in the mailbox when `view` is None."""
        row = (
            self._database.one(_NEWEST_OF_ALL, mailbox)
            if view is None
            else self._database.one(_NEWEST_OF_VIEW, mailbox, view)
        )
        return (None, None) if row is None else (row[0], row[1])

    def messages(self, folder: int, after: int, limit: int) -> list[MessageRow]:
        """At most `limit` messages of a folder, those after the one with the number `after`."""
        # What is shown and not known is damage: hence the outer joins, here and below.
        rows = self._database.sound(
            f"SELECT {_CHECKED_MESSAGE} FROM places p LEFT JOIN messages m USING (message)"  # noqa: S608
            " WHERE p.folder = ? AND p.message > ? ORDER BY p.message LIMIT ?",
            folder,
            after,
            limit,
            width=_MESSAGE_WIDTH,
        )
        return [MessageRow(*row) for row in rows]

    def links(self, folder: int, after: int, limit: int) -> list[tuple[MessageRow, FolderRow]]:
        """The same, each with the folder that holds its directory."""
        rows = self._database.sound(
            f"SELECT {_MESSAGE_COLUMNS}, {_HOME_COLUMNS}, {_LINK_PROOF}"  # noqa: S608
            " FROM places p LEFT JOIN messages m USING (message) LEFT JOIN folders h ON h.folder = m.home"
            " WHERE p.folder = ? AND p.message > ? ORDER BY p.message LIMIT ?",
            folder,
            after,
            limit,
            width=_MESSAGE_WIDTH + _FOLDER_WIDTH,
            first=_LINK_PROOF_FIRST,
        )
        return [(MessageRow(*row[:_MESSAGE_WIDTH]), FolderRow(*row[_MESSAGE_WIDTH:])) for row in rows]

    def message(self, folder: int, message_id: int) -> MessageRow | None:
        """The message with that id, if the folder shows it."""
        row = self._database.sound_one(
            f"SELECT {_CHECKED_MESSAGE} FROM folders f JOIN messages m USING (mailbox)"  # noqa: S608
            " JOIN places p ON p.folder = f.folder AND p.message = m.message WHERE f.folder = ? AND m.id = ?",
            folder,
            message_id,
            width=_MESSAGE_WIDTH,
        )
        return None if row is None else MessageRow(*row)

    def record(self, mailbox: int, message_id: int) -> str | None:
        """The record, as JSON text, of a message; None when it is not known."""
        row = self._database.sound_one(
            "SELECT raw, raw, raw_crc FROM messages WHERE mailbox = ? AND id = ?",
            mailbox,
            message_id,
            width=1,
        )
        return None if row is None else str(row[0])

    def home(self, mailbox: int, message_id: int) -> FolderRow | None:
        """The folder that holds the directory of a message; None when it is not known."""
        row = self._database.sound_one(
            f"SELECT {_CHECKED_FOLDER} FROM folders WHERE folder ="  # noqa: S608
            " (SELECT home FROM messages WHERE mailbox = ? AND id = ?)",
            mailbox,
            message_id,
            width=_FOLDER_WIDTH,
        )
        return None if row is None else FolderRow(*row)

    # Longer questions: in worker threads

    def records(self, mailbox: int, view: str, name: str) -> list[str]:
        """The records of all messages of a folder, the oldest first, those without a time before them."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT m.raw, m.raw, m.raw_crc FROM folders f JOIN places p USING (folder)"
                " LEFT JOIN messages m USING (message)"
                " WHERE f.mailbox = ? AND f.view = ? AND f.name = ? ORDER BY m.created_s NULLS FIRST, m.id",
                (mailbox, view, name),
            )
            return [raw for (raw,) in proved(rows, 1)]

    def records_between(
        self, mailbox: int, view: str, span_s: tuple[float, float] | None = None
    ) -> list[str]:
        """The records of the messages of a view that were created within a span, bounds included.

        Args:
            mailbox: Number of the mailbox.
            view: A view whose folders follow one another in time, as months do.
            span_s: First and last creationTime; None for all messages.
        """
        from_s, until_s = (-math.inf, math.inf) if span_s is None else span_s
        found: list[str] = []
        with self._database.reading() as connection:
            folders = connection.execute(
                "SELECT folder, created_s FROM folders WHERE mailbox = ? AND view = ? ORDER BY created_s",
                (mailbox, view),
            ).fetchall()
            before_s = -math.inf
            for folder, newest_s in folders:
                # Messages without a time are looked at wherever they are.
                if newest_s is None or (newest_s >= from_s and before_s <= until_s):
                    rows = connection.execute(
                        "SELECT m.raw, m.raw, m.raw_crc FROM places p"
                        " LEFT JOIN messages m USING (message)"
                        " WHERE p.folder = ?1 AND ifnull(m.created_s BETWEEN ?2 AND ?3, 1)",
                        (folder, from_s, until_s),
                    )
                    found += [raw for (raw,) in proved(rows, 1)]
                before_s = before_s if newest_s is None else newest_s
        return found

    def known(self, mailbox: int, ids: Sequence[int]) -> dict[int, str]:
        """The records of those of `ids` that are known, by id."""
        found: dict[int, str] = {}
        with self._database.reading() as connection:
            for message_id in ids:
                rows = connection.execute(
                    "SELECT raw, raw, raw_crc FROM messages WHERE mailbox = ? AND id = ?",
                    (mailbox, message_id),
                )
                for (raw,) in proved(rows, 1):
                    found[message_id] = raw
        return found


def _prove_mailbox(connection: sqlite3.Connection, condition: str, *parameters: object) -> int | None:
    """The generation of a mailbox that is about to be changed; None when it is not known.

    Raises:
        DamagedRowError: Its row is not as it was written, which a new checksum would hide.
    """
    rows = connection.execute(
        f"SELECT generation, {checked('mailboxes')} FROM mailboxes WHERE {condition}",  # noqa: S608
        parameters,
    )
    for (generation,) in proved(rows, 1):
        return int(generation)
    return None
