"""Full-text search over the index of mailboxes.

Every search reads the index again, so its result is always current and never held in memory: the next page
of a listing continues after the number of the last message.
"""

import heapq
import json
import math
import sqlite3
from collections.abc import Callable, Collection, Iterator
from itertools import islice

from rcfs.model import FoundRow
from rcfs.store._call_search import FIRST_NUMBER, CallMatches
from rcfs.store._checked_table import Row, verified
from rcfs.store._index_database import IndexDatabase
from rcfs.store._index_schema import FOLDERS, MESSAGES, RECORDS
from rcfs.store._query import match_expression
from rcfs.store._search_values import MARKS, Hit, Scope

_SNIPPET_WORDS = 16
"""Words of a text that are shown around those that match: a line of a terminal."""
_FOUND = f"{MESSAGES.listed('m')}, {FOLDERS.listed('f')}"
_MORE = (
    "b.extension_id,"
    " EXISTS (SELECT 1 FROM messages o WHERE o.id = m.id AND o.message != m.message AND o.name = m.name)"
)
_VISIBLE = (
    "b.account_id = :account AND b.loaded AND b.extension_id IN (SELECT value FROM json_each(:extensions))"
)
_SHOWN = "f.view NOT IN (SELECT value FROM json_each(:hidden))"


class SearchIndex:
    """Searches in the index of one state directory, for worker threads: a search may take long.

    Raises (all methods):
        ValueError: The query cannot be read, see `match_expression`.
        IndexDamagedError: The database is damaged.
        StoreError: It fails for another reason.
    """

    def __init__(self, database: IndexDatabase) -> None:
        self._database = database

    def matches(self, query: str, scope: Scope, after: int, limit: int) -> list[FoundRow]:
        """At most `limit` matches, by number, from the one after number `after` on: messages, then calls.

        Only the account, the extensions and the hidden views of `scope` count.
        """
        found = [] if after >= FIRST_NUMBER else self._messages(query, scope, after, limit)
        if len(found) < limit:
            with self._database.reading() as connection:
                calls = CallMatches(connection, match_expression(query), scope)
                found += calls.after(max(after, FIRST_NUMBER - 1), limit - len(found))
        return found

    def _messages(self, query: str, scope: Scope, after: int, limit: int) -> list[FoundRow]:
        return self._found(
            f"SELECT {_FOUND}, {_MORE} FROM words CROSS JOIN messages m ON m.message = words.rowid"  # noqa: S608
            " JOIN mailboxes b USING (mailbox) JOIN folders f ON f.folder = m.home"
            f" WHERE words MATCH :query AND words.rowid > :after AND {_VISIBLE} AND {_SHOWN}"
            " ORDER BY words.rowid LIMIT :limit",
            query,
            scope,
            after=after,
            limit=limit,
        )

    def matches_with_id(self, query: str, scope: Scope, message_id: int) -> list[FoundRow]:
        """The messages with this id that match: at most one, unless several mailboxes have the message."""
        return self._found(
            f"SELECT {_FOUND}, {_MORE} FROM messages m CROSS JOIN words ON words.rowid = m.message"  # noqa: S608
            " JOIN mailboxes b USING (mailbox) JOIN folders f ON f.folder = m.home"
            f" WHERE words MATCH :query AND m.id = :id AND {_VISIBLE} AND {_SHOWN} ORDER BY m.message",
            query,
            scope,
            id=message_id,
        )

    def calls_with_id(self, query: str, scope: Scope, call_or_recording: str) -> list[FoundRow]:
        """The matches that are the recording with this id, or belong to the call with this id.

        Only the account, the extensions and the hidden views of `scope` count.
        """
        with self._database.reading() as connection:
            return CallMatches(connection, match_expression(query), scope).with_id(call_or_recording)

    def newest(
        self, query: str, scope: Scope, limit: int, accepts: Callable[[FoundRow, str], bool] | None = None
    ) -> list[Hit]:
        """At most `limit` matches, newest first.

        Args:
            query: Words to look for.
            scope: Its bounds.
            limit: Largest number of matches.
            accepts: Whether to keep a match in the scope, by its place and its record; None to keep all.
        """
        expression = match_expression(query)
        with self._database.reading() as connection:
            matches = heapq.merge(
                _messages_by_age(connection, expression, scope),
                CallMatches(connection, expression, scope).newest(),
                key=_age,
            )
            kept = (match for match in matches if accepts is None or accepts(*match))
            rows = list(islice(kept, limit))
            numbers = [found.number for found, _raw in rows if found.number < FIRST_NUMBER]
            snippets = _snippets(connection, expression, numbers)
        return [Hit(found, raw, snippets.get(found.number, "")) for found, raw in rows]

    def _found(self, statement: str, query: str, scope: Scope, **values: object) -> list[FoundRow]:
        parameters = {"query": match_expression(query), **_visible(scope), "hidden": _hidden(scope), **values}
        with self._database.reading() as connection:
            rows = verified(connection.execute(statement, parameters), MESSAGES, FOLDERS)
        return list(map(_found, rows))


def _found(row: Row) -> FoundRow:
    """The message of a row that has `_FOUND` at its beginning and `_MORE` at its end."""
    number, _mailbox, message_id, name, created_s, modified_s, _home, _spoken_bytes, _crc = row[:9]
    _folder, _mailbox, view, _key, folder_name = row[9:14]
    extension_id, is_ambiguous = row[-2:]
    return FoundRow(
        number, extension_id, message_id, name, created_s, modified_s, view, folder_name, is_ambiguous
    )


def _visible(scope: Scope) -> dict[str, object]:
    return {"account": scope.account_id, "extensions": json.dumps(scope.extension_ids)}


def _hidden(scope: Scope) -> str:
    return json.dumps(sorted(scope.hidden_views))


def _age(match: tuple[FoundRow, str]) -> tuple[float, int]:
    """A sort key: newest first, without a time last."""
    found, _raw = match
    return (math.inf if found.created_s is None else -found.created_s, -found.number)


def _messages_by_age(
    connection: sqlite3.Connection, expression: str, scope: Scope
) -> Iterator[tuple[FoundRow, str]]:
    """All messages that match and are in the scope, with their records, newest first."""
    for number in _by_age(connection, expression, scope):
        row = _in_scope(connection, number, scope)
        if row is not None:
            yield row


def _by_age(connection: sqlite3.Connection, expression: str, scope: Scope) -> Iterator[int]:
    """The numbers of all messages that match in the mailboxes of `scope` and are new enough, newest first."""
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


def _in_scope(connection: sqlite3.Connection, number: int, scope: Scope) -> tuple[FoundRow, str] | None:
    """A message and its record; None if its type, its view or its folder is out of `scope`."""
    rows = connection.execute(
        f"SELECT {_FOUND}, {RECORDS.listed('m')}, {_MORE} FROM messages m"  # noqa: S608
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
    for row in verified(rows, MESSAGES, FOLDERS, RECORDS):
        return _found(row), row[-4]
    return None


def _snippets(connection: sqlite3.Connection, expression: str, numbers: Collection[int]) -> dict[int, str]:
    # The plus keeps the numbers from the full-text search, which would search again for each of them.
    rows = connection.execute(
        "SELECT rowid, iif(said != '', snippet(words, 0, ?, ?, '…', ?), snippet(words, 2, ?, ?, '…', ?))"
        " FROM words WHERE words MATCH ? AND +rowid IN (SELECT value FROM json_each(?))",
        (*MARKS, _SNIPPET_WORDS, *MARKS, _SNIPPET_WORDS, expression, json.dumps(list(numbers))),
    )
    return dict(rows.fetchall())
