"""What is asked of the index of mailboxes. Nothing here changes it, or waits for somebody who does."""

import json
import math
from collections.abc import Iterator, Sequence

from rcfs.model import FolderRow, MessageRow
from rcfs.store._checksum import proved
from rcfs.store._index_database import IndexDatabase
from rcfs.store._index_schema import checked
from rcfs.store._index_values import Login, MailboxState, Note

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
_ABSENT = (None, None, None)
"""In place of a record that is not there though its folder shows it: never proved, as it is damage."""
_SUMMED = 1000
"""Records whose bytes are summed at a time, in a few milliseconds: searches use the same connection."""


class IndexReader:
    """Questions to the index of one state directory.

    Raises (all methods):
        IndexDamagedError: The database is damaged.
        StoreError: It fails for another reason.
    """

    def __init__(self, database: IndexDatabase) -> None:
        self._database = database

    # Short questions: in the event loop

    def noted(self, topic: str) -> Note | None:
        """What is remembered of `topic`; None when nothing is."""
        row = self._database.sound_one(
            f"SELECT text, noted_s, {checked('notes')} FROM notes WHERE topic = ?",  # noqa: S608
            topic,
            width=2,
        )
        return None if row is None else Note(row[0], row[1])

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
        number, loaded, token, synced_s, revision = row
        return MailboxState(number, account_id, extension_id, bool(loaded), token, synced_s, revision)

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

    # Longer ones: in worker threads

    def records(self, mailbox: int, view: str, name: str) -> Iterator[str]:
        """The records of all messages of a folder, the oldest first, those without a time before them.

        Read one at a time, as of the moment of the first; whoever stops early closes the iterator.
        """
        with self._database.reading() as connection:
            numbers = connection.execute(
                "SELECT p.message FROM folders f JOIN places p USING (folder)"
                " LEFT JOIN messages m USING (message)"
                " WHERE f.mailbox = ? AND f.view = ? AND f.name = ? ORDER BY m.created_s NULLS FIRST, m.id",
                (mailbox, view, name),
            ).fetchall()  # Sorted without the records, which SQLite would hold in memory.
            for number in numbers:
                row = connection.execute(
                    "SELECT raw, raw, raw_crc FROM messages WHERE message = ?", number
                ).fetchone()
                for (raw,) in proved([row or _ABSENT], 1):
                    yield raw

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

    def records_after(self, number: int, limit: int) -> list[tuple[int, int, str]]:
        """(number, number of its mailbox, record) of at most `limit` messages, those after `number`."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT message, mailbox, raw, raw, raw_crc FROM messages WHERE message > ?"
                " ORDER BY message LIMIT ?",
                (number, limit),
            )
            return [(message, mailbox, raw) for message, mailbox, raw in proved(rows, 3)]

    def unseen(self, mailbox: int, listing: int) -> list[int]:
        """The ids of the messages that the listing `listing` (see `IndexWriter.begin`) did not bring."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT id FROM messages WHERE mailbox = ? AND generation < ?", (mailbox, listing)
            )
            return [message_id for (message_id,) in rows]

    def counts(self, account_id: str) -> dict[int, int]:
        """The number of messages of each mailbox that was loaded, by extension."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT extension_id, (SELECT COUNT(*) FROM messages m WHERE m.mailbox = b.mailbox)"
                " FROM mailboxes b WHERE account_id = ? AND loaded",
                (account_id,),
            )
            return dict(rows.fetchall())

    def record_bytes(self, account_id: str, extension_id: int, after: int) -> tuple[int, int | None]:
        """The bytes of the next records of a mailbox, and the message id that they end with.

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
