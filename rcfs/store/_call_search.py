"""Full-text search of calls and recordings, for `rcfs.store.SearchIndex`.

A call that matches is found as its recordings, each under its owner; a call without recordings is found as
the call log of its first extension in the scope, or else of the company. All rows of a call have numbers next
to each other.
"""

import json
import sqlite3
from collections.abc import Iterator

from rcfs.model import CALLS_VIEW, COMPANY, LOG_ENDINGS, RECORDINGS_VIEW, FoundRow, RecordingRow
from rcfs.store._call_reader import located_row
from rcfs.store._call_recordings import MOST_RECORDINGS
from rcfs.store._call_schema import CALL_MONTHS, CALLS, RECORDINGS, TEXTS
from rcfs.store._call_texts import unpacked
from rcfs.store._checked_table import Row, select, verified
from rcfs.store._checksum import DamagedRowError
from rcfs.store._search_values import CALL_TYPE, RECORDING_TYPE, Scope

FIRST_NUMBER = 1 << 40
"""Messages have smaller numbers: an index with that number of rows would take a petabyte."""
_NUMBERS = 1 << MOST_RECORDINGS.bit_length()
"""Numbers of each call: one for each of its recordings."""
_MATCHES = "SELECT rowid FROM call_words WHERE call_words MATCH ? AND rowid >= ? ORDER BY rowid"
_MATCHES_ITSELF = "SELECT 1 FROM call_words WHERE call_words MATCH ? AND rowid = ?"
# The plus keeps SQLite from looking for each log of the scope, once for each match.
_BY_AGE = (
    "SELECT DISTINCT w.rowid, p.started_s FROM call_words w"
    " CROSS JOIN call_places p INDEXED BY call_places_of ON p.call = w.rowid"
    " WHERE call_words MATCH :query AND +p.log IN (SELECT log FROM call_months WHERE account_id = :account"
    " AND owner IN (SELECT value FROM json_each(:owners))) AND (:since IS NULL OR p.started_s >= :since)"
    " ORDER BY p.started_s DESC, w.rowid DESC"
)
_RECORDINGS = (
    f"SELECT {RECORDINGS.listed('r')}, {CALL_MONTHS.listed('l')}, r.place FROM recordings r"  # noqa: S608
    " LEFT JOIN call_months l ON l.log = r.log WHERE r.call = ? ORDER BY r.place"
)
_LOGS = (
    f"SELECT {CALL_MONTHS.listed('l')} FROM call_places p LEFT JOIN call_months l USING (log)"  # noqa: S608
    " WHERE p.call = ?"
)
_IN_FOLDER = (
    "SELECT 1 FROM recording_links k JOIN folders f USING (folder) WHERE k.recording = ? AND f.view = ?"
    " AND (?3 = '' OR f.name = ?3)"
)


class CallMatches:
    """The recordings and calls of a scope that match one query, within a transaction that reads."""

    def __init__(self, connection: sqlite3.Connection, expression: str, scope: Scope) -> None:
        """`expression` is one of FTS5's MATCH."""
        self._connection = connection
        self._expression = expression
        self._scope = scope
        self._owners = frozenset(scope.extension_ids)

    def after(self, number: int, limit: int) -> list[FoundRow]:
        """At most `limit` matches, from the one after `number` on."""
        found: list[FoundRow] = []
        if not self._is_wanted:
            return found
        first = max(0, number + 1 - FIRST_NUMBER) // _NUMBERS
        for (call,) in self._connection.execute(_MATCHES, (self._expression, first)):
            found += [row for row in self._of(call) if row.number > number]
            if len(found) >= limit:
                break
        return found[:limit]

    def with_id(self, call_or_recording: str) -> list[FoundRow]:
        """The matches that are this recording, or a recording of this call, or the call itself."""
        rows = self._connection.execute(
            "SELECT call, id FROM calls WHERE id = ?1 UNION SELECT call, '' FROM recordings WHERE id = ?1",
            (call_or_recording,),
        ).fetchall()
        calls = {call: bool(call_id) for call, call_id in sorted(rows)}
        found: list[FoundRow] = []
        for call, is_whole in calls.items():
            if self._is_match(call):
                only = None if is_whole else call_or_recording
                found += self._of(call, only)
        return found

    def newest(self) -> Iterator[tuple[FoundRow, str]]:
        """All matches that the bounds of the scope allow, newest call first, each with its record."""
        scope = self._scope
        if not self._is_wanted or not self._has_wanted_type:
            return
        parameters = {
            "query": self._expression,
            "account": scope.account_id,
            "owners": json.dumps(sorted(self._owners)),
            "since": scope.since_s,
        }
        for call, _started_s in self._connection.execute(_BY_AGE, parameters):
            for found in self._of(call):
                if self._is_in_bounds(found, call):
                    yield found, self._record(call)

    def _is_match(self, call: int) -> bool:
        parameters = (self._expression, call)
        return self._connection.execute(_MATCHES_ITSELF, parameters).fetchone() is not None

    @property
    def _is_wanted(self) -> bool:
        return not self._scope.hidden_views >= {CALLS_VIEW, RECORDINGS_VIEW}

    @property
    def _has_wanted_type(self) -> bool:
        return not self._scope.types or bool(self._scope.types & {CALL_TYPE, RECORDING_TYPE})

    def _of(self, call: int, only: str | None = None) -> list[FoundRow]:
        """The rows of a call that are in the scope; of its recordings only the one with the id `only`."""
        recordings = verified(self._connection.execute(_RECORDINGS, (call,)), RECORDINGS, CALL_MONTHS)
        if not recordings:
            return [] if CALLS_VIEW in self._scope.hidden_views else list(self._found_call(call))
        found = []
        for row in recordings if RECORDINGS_VIEW not in self._scope.hidden_views else ():
            recording, account_id = located_row(row), row[-len(CALL_MONTHS.columns) - 2]
            is_in_scope = account_id == self._scope.account_id and recording.owner in self._owners
            if is_in_scope and only in (None, recording.id):
                found.append(_found_recording(recording, _number(call, row[-1])))
        return found

    def _found_call(self, call: int) -> Iterator[FoundRow]:
        rows = verified(self._connection.execute(_LOGS, (call,)), CALL_MONTHS)
        logs = sorted(
            (owner == COMPANY, owner, month)
            for _log, account_id, owner, month, *_others in rows
            if account_id == self._scope.account_id and owner in self._owners
        )
        for _is_company, owner, month in logs[:1]:
            row = self._row(call)
            started_s, name = row[3], month + LOG_ENDINGS[0]
            link = unpacked(row[-2]).name
            yield FoundRow(_number(call, 0), owner, 0, name, started_s, started_s, CALLS_VIEW, "", link=link)

    def _is_in_bounds(self, found: FoundRow, call: int) -> bool:
        scope = self._scope
        kind = CALL_TYPE if found.view == CALLS_VIEW else RECORDING_TYPE
        if scope.types and kind not in scope.types:
            return False
        if scope.view in ("", found.view):
            shown = found.folder or found.name
            return scope.folder in ("", shown)
        if kind == CALL_TYPE:
            return False
        rows = select(self._connection, RECORDINGS, "WHERE call = ? AND name = ?", call, found.name)
        return any(
            self._connection.execute(_IN_FOLDER, (row[0], scope.view, scope.folder)).fetchone()
            for row in rows
        )

    def _record(self, call: int) -> str:
        return unpacked(self._row(call)[-2]).raw

    def _row(self, call: int) -> Row:
        rows = verified(
            self._connection.execute(
                f"SELECT {CALLS.listed()}, {TEXTS.listed()} FROM calls WHERE call = ?",  # noqa: S608
                (call,),
            ),
            CALLS,
            TEXTS,
        )
        if not rows:
            raise DamagedRowError("a call is missing")
        return rows[0]


def _number(call: int, place: int) -> int:
    return FIRST_NUMBER + call * _NUMBERS + place


def _found_recording(row: RecordingRow, number: int) -> FoundRow:
    return FoundRow(number, row.owner, 0, row.name, row.started_s, row.started_s, RECORDINGS_VIEW, row.month)
