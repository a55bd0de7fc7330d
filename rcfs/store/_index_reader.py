"""Questions to the index of mailboxes; none of them changes it, or waits for a process that does."""

import json
import math
from collections.abc import Iterator, Sequence

from rcfs.model import FolderRow, MessageRow, SearchRow
from rcfs.store._call_reader import CallReader
from rcfs.store._checked_table import Row, select, verified
from rcfs.store._index_database import IndexDatabase
from rcfs.store._index_schema import FOLDERS, LOGINS, MAILBOXES, MESSAGES, NOTES, RECORDS, SEARCHES
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
"""Each of them reads one entry of an index, too: a mailbox may have ten thousand contacts."""
_LIST_VIEWS = f"{_VIEWS} SELECT view FROM views WHERE view IS NOT NULL"  # noqa: S608
_NEWEST_OF_ALL = (
    f"{_VIEWS}, found (created_s, modified_s) AS (SELECT {_NEWEST} FROM views)"  # noqa: S608
    " SELECT max(created_s), max(modified_s) FROM found"
)
_NEWEST_OF_VIEW = f"SELECT {_NEWEST} FROM (SELECT ?2 AS view) AS views"  # noqa: S608
_MESSAGE_WIDTH = len(MESSAGES.columns) + 2
"""Columns of a message in an answer: its number, those that are covered, and their checksum."""
_MISSING = (None, None)
"""Stands for a record that is missing although a folder shows it; its checksum never fits."""
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
        self.calls = CallReader(database)
        """Questions about calls and recordings."""

    # Short questions: in the event loop

    def noted(self, topic: str) -> Note | None:
        """The note on `topic`; None if it is missing."""
        rows = self._database.select(NOTES, "WHERE topic = ?", topic)
        return next((Note(text, noted_s) for _topic, text, noted_s, _crc in rows), None)

    def login(self, login: str) -> Login | None:
        """The extensions that `login` (a digest of server, app and user) last saw; None for a new login."""
        rows = self._database.select(LOGINS, "WHERE login = ?", login)
        return _login(rows[0]) if rows else None

    def logins(self) -> dict[str, Login]:
        """The extensions that each login last saw."""
        return {row[0]: _login(row) for row in self._database.select(LOGINS, "")}

    def version(self) -> object:
        """A value that is another one after each change of the index."""
        return self._database.version()

    def mailbox(self, account_id: str, extension_id: int) -> MailboxState | None:
        """The state of a mailbox; None if it was never in the index."""
        rows = self._database.select(
            MAILBOXES, "WHERE account_id = ? AND extension_id = ?", account_id, extension_id
        )
        for number, account, extension, loaded, _listing, token, synced_s, revision, _crc in rows:
            return MailboxState(number, account, extension, bool(loaded), token, synced_s, revision)
        return None

    def views(self, mailbox: int) -> list[str]:
        """The views that have a folder."""
        rows = self._database.all(_LIST_VIEWS, mailbox)
        return [view for (view,) in rows]

    def folders(self, mailbox: int, view: str, after: int, limit: int) -> list[FolderRow]:
        """At most `limit` folders of a view, from the one after number `after` on."""
        rows = self._database.select(
            FOLDERS,
            "WHERE mailbox = ? AND view = ? AND folder > ? ORDER BY folder LIMIT ?",
            mailbox,
            view,
            after,
            limit,
        )
        return list(map(_folder, rows))

    def folder(self, mailbox: int, view: str, name: str) -> FolderRow | None:
        """The folder of a view with this name; the empty name is that of the view itself."""
        rows = self._database.select(
            FOLDERS, "WHERE mailbox = ? AND view = ? AND name = ?", mailbox, view, name
        )
        return _folder(rows[0]) if rows else None

    def times(self, mailbox: int, view: str | None) -> tuple[float | None, float | None]:
        """The newest (creationTime, lastModifiedTime) in a view; in the whole mailbox if `view` is None."""
        rows = (
            self._database.all(_NEWEST_OF_ALL, mailbox)
            if view is None
            else self._database.all(_NEWEST_OF_VIEW, mailbox, view)
        )
        return rows[0][0], rows[0][1]

    def messages(self, folder: int, after: int, limit: int) -> list[MessageRow]:
        """At most `limit` messages of a folder, from the one after number `after` on."""
        # A message that is shown but missing is damage: hence the outer joins, here and below.
        rows = self._database.verified(
            (MESSAGES,),
            f"SELECT {MESSAGES.listed('m')} FROM places p LEFT JOIN messages m USING (message)"  # noqa: S608
            " WHERE p.folder = ? AND p.message > ? ORDER BY p.message LIMIT ?",
            folder,
            after,
            limit,
        )
        return list(map(_message, rows))

    def links(self, folder: int, after: int, limit: int) -> list[tuple[MessageRow, FolderRow]]:
        """The same messages, each with the folder that holds its directory."""
        rows = self._database.verified(
            (MESSAGES, FOLDERS),
            f"SELECT {MESSAGES.listed('m')}, {FOLDERS.listed('h')}"  # noqa: S608
            " FROM places p LEFT JOIN messages m USING (message) LEFT JOIN folders h ON h.folder = m.home"
            " WHERE p.folder = ? AND p.message > ? ORDER BY p.message LIMIT ?",
            folder,
            after,
            limit,
        )
        return [(_message(row), _folder(row[_MESSAGE_WIDTH:])) for row in rows]

    def message(self, folder: int, message_id: int) -> MessageRow | None:
        """The message with this id, if the folder shows it."""
        rows = self._database.verified(
            (MESSAGES,),
            f"SELECT {MESSAGES.listed('m')} FROM folders f JOIN messages m USING (mailbox)"  # noqa: S608
            " JOIN places p ON p.folder = f.folder AND p.message = m.message WHERE f.folder = ? AND m.id = ?",
            folder,
            message_id,
        )
        return _message(rows[0]) if rows else None

    def record(self, mailbox: int, message_id: int) -> str | None:
        """The record of a message, as JSON text; None if the message is not in the index."""
        rows = self._database.select(RECORDS, "WHERE mailbox = ? AND id = ?", mailbox, message_id)
        return str(rows[0][0]) if rows else None

    def home(self, mailbox: int, message_id: int) -> FolderRow | None:
        """The folder that holds the directory of a message; None if the message is not in the index."""
        rows = self._database.select(
            FOLDERS,
            "WHERE folder = (SELECT home FROM messages WHERE mailbox = ? AND id = ?)",
            mailbox,
            message_id,
        )
        return _folder(rows[0]) if rows else None

    def searches(self, account_id: str, after: int, limit: int) -> list[SearchRow]:
        """At most `limit` saved searches of an account, from the one after number `after` on."""
        return self._searches(
            "WHERE account_id = ? AND search > ? ORDER BY search LIMIT ?", account_id, after, limit
        )

    def search(self, account_id: str, name: str) -> SearchRow | None:
        """The saved search with this name; None if it is missing."""
        return next(iter(self._searches("WHERE account_id = ? AND name = ?", account_id, name)), None)

    def _searches(self, rest: str, *parameters: object) -> list[SearchRow]:
        """Saved searches: a damaged one is left out, and lost when the index is replaced."""
        rows = self._database.all(
            f"SELECT {SEARCHES.listed()} FROM searches {rest}",  # noqa: S608 - our own words
            *parameters,
        )
        sound = [row for row in rows if SEARCHES.is_sound(row[1:])]
        if len(sound) < len(rows):
            self._database.report_damaged_row(SEARCHES)
        return [SearchRow(number, name, made_s) for number, _account, name, made_s, _crc in sound]

    # Longer ones: in worker threads

    def owner_of(self, mailbox: int) -> tuple[str, int] | None:
        """(account, extension) of the mailbox with that number; None if it is not in the index."""
        with self._database.reading() as connection:
            rows = select(connection, MAILBOXES, "WHERE mailbox = ?", mailbox)
        return (rows[0][1], rows[0][2]) if rows else None

    def ids_in(self, mailbox: int, view: str, keys: Sequence[str]) -> dict[str, list[int]]:
        """The ids of the messages in those folders of a view that have one of these `keys`, by key."""
        found: dict[str, list[int]] = {}
        with self._database.reading() as connection:
            for key in keys:
                rows = connection.execute(
                    "SELECT m.id FROM folders f JOIN places p USING (folder) JOIN messages m USING (message)"
                    " WHERE f.mailbox = ? AND f.view = ? AND f.key = ? ORDER BY p.message",
                    (mailbox, view, key),
                )
                found[key] = [message_id for (message_id,) in rows]
        return found

    def records(self, mailbox: int, view: str, name: str) -> Iterator[str]:
        """The records of all messages of a folder, oldest first; those without a time precede all others.

        They are read one at a time, all as of the moment of the first. A caller that stops early closes the
        iterator.
        """
        with self._database.reading() as connection:
            numbers = connection.execute(
                "SELECT p.message FROM folders f JOIN places p USING (folder)"
                " LEFT JOIN messages m USING (message)"
                " WHERE f.mailbox = ? AND f.view = ? AND f.name = ? ORDER BY m.created_s NULLS FIRST, m.id",
                (mailbox, view, name),
            ).fetchall()  # Sorted without the records, which SQLite would hold in memory.
            for (number,) in numbers:
                rows = select(connection, RECORDS, "WHERE message = ?", number)
                yield verified(rows or [_MISSING], RECORDS)[0][0]

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
                # Messages without a time may be in any folder.
                if newest_s is None or (newest_s >= from_s and before_s <= until_s):
                    rows = connection.execute(
                        "SELECT m.raw, m.raw_crc FROM places p LEFT JOIN messages m USING (message)"
                        " WHERE p.folder = ?1 AND ifnull(m.created_s BETWEEN ?2 AND ?3, 1)",
                        (folder, from_s, until_s),
                    )
                    found += [raw for raw, _crc in verified(rows, RECORDS)]
                before_s = before_s if newest_s is None else newest_s
        return found

    def known(self, mailbox: int, ids: Sequence[int]) -> dict[int, str]:
        """The records of the messages with these `ids` that are in the index, by id."""
        found: dict[int, str] = {}
        with self._database.reading() as connection:
            for message_id in ids:
                rows = select(connection, RECORDS, "WHERE mailbox = ? AND id = ?", mailbox, message_id)
                for raw, _crc in rows:
                    found[message_id] = raw
        return found

    def records_after(self, number: int, limit: int) -> list[tuple[int, int, str]]:
        """(number, mailbox number, record) of at most `limit` messages, from the one after `number` on."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT raw, raw_crc, message, mailbox FROM messages WHERE message > ?"
                " ORDER BY message LIMIT ?",
                (number, limit),
            )
            return [(message, mailbox, raw) for raw, _crc, message, mailbox in verified(rows, RECORDS)]

    def records_of(self, mailbox: int, after: int, limit: int) -> list[tuple[int, str]]:
        """(id, record) of at most `limit` messages of a mailbox by id, from the id after `after` on."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT raw, raw_crc, id FROM messages WHERE mailbox = ? AND id > ? ORDER BY id LIMIT ?",
                (mailbox, after, limit),
            )
            return [(message_id, raw) for raw, _crc, message_id in verified(rows, RECORDS)]

    def count_of(self, mailbox: int, without: str) -> int:
        """Number of messages of a mailbox, except those whose home is in the view `without`."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT COUNT(*) FROM messages WHERE mailbox = ?1 AND home NOT IN"
                " (SELECT folder FROM folders WHERE mailbox = ?1 AND view = ?2)",
                (mailbox, without),
            )
            return int(rows.fetchone()[0])

    def unseen(self, mailbox: int, listing: int) -> list[int]:
        """The ids of the messages that the listing `listing` (see `IndexWriter.begin`) did not bring."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT id FROM messages WHERE mailbox = ? AND generation < ?", (mailbox, listing)
            )
            return [message_id for (message_id,) in rows]

    def listed(self, mailbox: int, listing: int, until_s: float, without: str) -> int:
        """The number of messages that the listing `listing`, or a later one, has brought.

        Only of those that have no time, or were created at `until_s`, in seconds since 1970 UTC, or before,
        and whose home is not in the view `without`.
        """
        with self._database.reading() as connection:
            ((count,),) = connection.execute(
                "SELECT COUNT(*) FROM messages WHERE mailbox = ?1 AND generation >= ?2"
                " AND (created_s IS NULL OR created_s <= ?3)"
                " AND home NOT IN (SELECT folder FROM folders WHERE mailbox = ?1 AND view = ?4)",
                (mailbox, listing, until_s, without),
            )
            return int(count)

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
        """The bytes of the next records of a mailbox, and the id of the last message among them.

        Args:
            account_id: Decimal account id.
            extension_id: Extension of the mailbox.
            after: The id that the previous answer gave, -1 at first; an answer of None means the end.
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


def _login(row: Row) -> Login:
    _login, account_id, name, extensions, _crc = row
    return Login(account_id, name, tuple(json.loads(extensions)))


def _message(row: Row) -> MessageRow:
    """The message of a row that begins with the columns of `MESSAGES`."""
    return MessageRow(*row[:6])


def _folder(row: Row) -> FolderRow:
    """The folder of a row of `FOLDERS`."""
    number, _mailbox, view, key, name, _folded, created_s, modified_s, spoken_bytes, _crc = row
    return FolderRow(number, view, key, name, created_s, modified_s, spoken_bytes)
