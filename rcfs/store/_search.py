"""Full-text search over the index of mailboxes, and the searches that people keep.

What matches is asked anew every time, so a search is always current, and none is ever held in memory: a
listing goes on after the number of the message that it stopped at.
"""

import json
import sqlite3
from collections.abc import Collection, Iterator

import attrs

from rcfs.model import FoundRow, SearchRow
from rcfs.store._checksum import FUNCTION, DamagedRowError, proved, row_checksum
from rcfs.store._index_database import IndexDatabase
from rcfs.store._index_schema import CHECKED, checked
from rcfs.store._query import match_expression

_SNIPPET_WORDS = 16
"""Words of a text that are shown around those that match: a line of a terminal."""
_FOUND = (
    "SELECT m.message, b.extension_id, m.id, m.name, m.created_s, m.modified_s, f.view, f.name,"
    " EXISTS (SELECT 1 FROM messages o WHERE o.id = m.id AND o.message != m.message AND o.name = m.name)"
)
_FOUND_WIDTH = 9
_PROOF = f"{checked('messages', 'm')}, {checked('folders', 'f')}"
_PROOF_FIRST = len(checked("messages").split(","))
_VISIBLE = (
    "b.account_id = :account AND b.loaded AND b.extension_id IN (SELECT value FROM json_each(:extensions))"
)
_SHOWN = "f.view NOT IN (SELECT value FROM json_each(:hidden))"
_SEARCH_WIDTH = 3

MARKS = ("\x02", "\x03")
"""What stands before and after each match in a snippet: control characters, so hardly in a message."""


@attrs.frozen
class Scope:
    """Where to search."""

    account_id: str
    """Decimal account id."""
    extension_ids: tuple[int, ...]
    """In the mailboxes of these extensions, as far as they were loaded."""
    since_s: float | None = None
    """Only messages created then or later, in seconds since 1970 UTC; None for all. One without a time is
    taken for old."""
    types: frozenset[str] = frozenset()
    """Only messages of these types, as the API names them; empty for all."""
    view: str = ""
    """Only what this view shows; empty for all."""
    folder: str = ""
    """Only what this folder of the view shows; empty for all."""
    hidden_views: frozenset[str] = frozenset()
    """Nothing that has its directory in one of these."""


@attrs.frozen
class Hit:
    """One message that was found, with what a person wants to see of it."""

    found: FoundRow
    """Where it is."""
    record: str
    """The record as JSON text."""
    snippet: str
    """A part of its text in which the words that match stand between `MARKS`; may be of several lines, and
    empty for a message without a text."""


class SearchIndex:
    """Searches the index of one state directory.

    Raises (all methods):
        IndexDamagedError: The database is damaged.
        StoreError: It fails for another reason.
    """

    def __init__(self, database: IndexDatabase) -> None:
        self._database = database

    # Searches that are kept. What only reads is quick, and for the event loop.

    def kept(self, account_id: str, after: int, limit: int) -> list[SearchRow]:
        """At most `limit` searches of an account, those after the one with the number `after`."""
        # What is damaged is left out here, and lost when the index is begun anew; the others are not.
        rows = self._database.sound(
            f"SELECT search, name, made_s, {checked('searches')} FROM searches"  # noqa: S608
            " WHERE account_id = ? AND search > ? ORDER BY search LIMIT ?",
            account_id,
            after,
            limit,
            width=_SEARCH_WIDTH,
            lenient=True,
        )
        return [SearchRow(*row) for row in rows]

    def kept_as(self, account_id: str, name: str) -> SearchRow | None:
        """The search that is called `name`."""
        rows = self._database.sound(
            f"SELECT search, name, made_s, {checked('searches')} FROM searches"  # noqa: S608
            " WHERE account_id = ? AND name = ?",
            account_id,
            name,
            width=_SEARCH_WIDTH,
            lenient=True,
        )
        return SearchRow(*rows[0]) if rows else None

    def keep(self, account_id: str, name: str, made_s: float) -> bool:
        """Keep a search from `made_s` on; False when there is one of that name. For worker threads."""
        with self._database.transaction() as connection:
            return _changed(
                connection,
                f"INSERT OR IGNORE INTO searches ({checked('searches')}) VALUES (?, ?, ?, ?)",  # noqa: S608
                account_id,
                name,
                float(made_s),
                row_checksum(account_id, name, float(made_s)),
            )

    def drop(self, account_id: str, name: str) -> bool:
        """Keep a search no longer; False when there is none of that name. For worker threads."""
        with self._database.transaction() as connection:
            return _changed(
                connection, "DELETE FROM searches WHERE account_id = ? AND name = ?", account_id, name
            )

    def rename(self, account_id: str, name: str, new_name: str) -> bool:
        """Call a search `new_name`; False when there is none, or another of that name. For worker threads."""
        with self._database.transaction() as connection:
            return _changed(
                connection,
                # Of one that is damaged the checksum must not be made to fit.
                f"UPDATE OR IGNORE searches SET name = ?3, crc = {FUNCTION}(account_id, ?3, made_s)"  # noqa: S608
                f" WHERE account_id = ?1 AND name = ?2 AND crc = {FUNCTION}({CHECKED['searches']})",
                account_id,
                name,
                new_name,
            )

    # What matches: for worker threads, because it may take long.

    def matches(self, query: str, scope: Scope, after: int, limit: int) -> list[FoundRow]:
        """At most `limit` messages that match, in the order of their numbers, those after `after`.

        Of `scope` only the account and the extensions count.

        Raises:
            ValueError: See `match_expression`.
        """
        return self._found(
            f"{_FOUND}, {_PROOF} FROM words CROSS JOIN messages m ON m.message = words.rowid"
            " JOIN mailboxes b USING (mailbox) JOIN folders f ON f.folder = m.home"
            f" WHERE words MATCH :query AND words.rowid > :after AND {_VISIBLE} AND {_SHOWN}"
            " ORDER BY words.rowid LIMIT :limit",
            query,
            scope,
            after=after,
            limit=limit,
        )

    def matches_with_id(self, query: str, scope: Scope, message_id: int) -> list[FoundRow]:
        """The same of those with that id: one, unless several mailboxes have it."""
        return self._found(
            f"{_FOUND}, {_PROOF} FROM messages m CROSS JOIN words ON words.rowid = m.message"
            " JOIN mailboxes b USING (mailbox) JOIN folders f ON f.folder = m.home"
            f" WHERE words MATCH :query AND m.id = :id AND {_VISIBLE} AND {_SHOWN} ORDER BY m.message",
            query,
            scope,
            id=message_id,
        )

    def newest(self, query: str, scope: Scope, limit: int) -> list[Hit]:
        """At most `limit` messages that match, the newest first.

        Raises:
            ValueError: See `match_expression`.
        """
        expression = match_expression(query)
        with self._database.reading() as connection:
            rows: dict[int, tuple[FoundRow, str]] = {}
            for number in _by_age(connection, expression, scope):
                row = _within(connection, number, scope)
                if row is not None:
                    rows[number] = row
                if len(rows) >= limit:
                    break
            snippets = _snippets(connection, expression, rows)
        return [Hit(found, raw, snippets.get(number, "")) for number, (found, raw) in rows.items()]

    def _found(self, statement: str, query: str, scope: Scope, **values: object) -> list[FoundRow]:
        parameters = {"query": match_expression(query), **_visible(scope), "hidden": _hidden(scope), **values}
        with self._database.reading() as connection:
            rows = proved(connection.execute(statement, parameters), _FOUND_WIDTH, first=_PROOF_FIRST)
        return [FoundRow(*row) for row in rows]


def _visible(scope: Scope) -> dict[str, object]:
    return {"account": scope.account_id, "extensions": json.dumps(scope.extension_ids)}


def _hidden(scope: Scope) -> str:
    return json.dumps(sorted(scope.hidden_views))


def _changed(connection: sqlite3.Connection, statement: str, *values: object) -> bool:
    """Whether the statement has changed something."""
    return connection.execute(statement, values).rowcount > 0


def _by_age(connection: sqlite3.Connection, expression: str, scope: Scope) -> Iterator[int]:
    """The numbers of all messages that match in the mailboxes of `scope`, and are not too old."""
    # All matches are sorted, so only that index is read, and not the messages themselves.
    rows = connection.execute(
        "SELECT m.message FROM words"  # noqa: S608
        " CROSS JOIN messages m INDEXED BY messages_dated ON m.message = words.rowid"
        " WHERE words MATCH :query AND m.mailbox IN"
        f" (SELECT mailbox FROM mailboxes b WHERE {_VISIBLE})"
        " AND (:since IS NULL OR m.created_s >= :since)"
        " ORDER BY m.created_s DESC NULLS LAST, m.message DESC",
        {"query": expression, "since": scope.since_s, **_visible(scope)},
    )
    return (number for (number,) in rows)


def _within(connection: sqlite3.Connection, number: int, scope: Scope) -> tuple[FoundRow, str] | None:
    """A message and its record, if the rest of `scope` has it."""
    rows = connection.execute(
        f"{_FOUND}, m.raw, m.raw_crc, {_PROOF} FROM messages m"  # noqa: S608
        " JOIN mailboxes b USING (mailbox) JOIN folders f ON f.folder = m.home WHERE m.message = :number"
        f" AND {_SHOWN}"
        " AND (NOT :typed OR json_extract(m.raw, '$.type') IN (SELECT value FROM json_each(:types)))"
        " AND (:view = '' OR EXISTS (SELECT 1 FROM places p JOIN folders s USING (folder)"
        " WHERE p.message = m.message AND s.view = :view AND (:folder = '' OR s.name = :folder)))",
        {
            "number": number,
            "typed": bool(scope.types),
            "types": json.dumps(sorted(scope.types)),
            "view": scope.view,
            "folder": scope.folder,
            "hidden": _hidden(scope),
        },
    )
    for *found, raw, raw_crc in proved(rows, _FOUND_WIDTH + 2, first=_PROOF_FIRST):
        if row_checksum(raw) != raw_crc:
            raise DamagedRowError("a record is not as it was written")
        return FoundRow(*found), raw
    return None


def _snippets(connection: sqlite3.Connection, expression: str, numbers: Collection[int]) -> dict[int, str]:
    # The plus keeps the numbers from the full-text search, which would search anew for each of them.
    rows = connection.execute(
        "SELECT rowid, iif(said != '', snippet(words, 0, ?, ?, '…', ?), snippet(words, 2, ?, ?, '…', ?))"
        " FROM words WHERE words MATCH ? AND +rowid IN (SELECT value FROM json_each(?))",
        (*MARKS, _SNIPPET_WORDS, *MARKS, _SNIPPET_WORDS, expression, json.dumps(list(numbers))),
    )
    return dict(rows.fetchall())
