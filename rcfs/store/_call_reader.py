"""Questions about the calls in the index; none of them changes it, or waits for a process that does."""

import json
import sqlite3
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter

from rcfs.model import CallMonth, RecordingRow
from rcfs.store._call_recordings import name_checksum
from rcfs.store._call_schema import CALL_MONTHS, CALLS, RECORDINGS, TEXTS
from rcfs.store._call_texts import CallTexts, unpacked
from rcfs.store._checked_table import Row, select, verified
from rcfs.store._checksum import DamagedRowError
from rcfs.store._index_database import IndexDatabase

_THIS_LOG = "account_id = ? AND owner = ? AND month = ?"
_LOG = f"(SELECT log FROM call_months WHERE {_THIS_LOG})"  # noqa: S608 - our own words
_ORDERED = (
    f"SELECT p.started_s, p.call, {TEXTS.listed('c')}"  # noqa: S608
    " FROM call_places p LEFT JOIN calls c ON c.call = p.call"
    f" WHERE p.log = {_LOG} ORDER BY p.started_s, p.call"
)
"""Calls with their texts: a call that is missing is damage, hence the outer join."""
_LOCATED = (
    f"SELECT {RECORDINGS.listed('r')}, {CALL_MONTHS.listed('l')}"  # noqa: S608
    " FROM {joined} LEFT JOIN call_months l ON l.log = r.log"
)
"""Recordings with their logs: a recording without a log is damage, hence the outer join."""
_OLDEST_RECORDING = (
    "SELECT min(started_s) FROM recordings JOIN call_months USING (log)"
    " WHERE account_id = ? AND month IN (SELECT value FROM json_each(?))"
)
_RECORDING_WIDTH = len(RECORDINGS.columns) + 2
_MISSING: Row = (None, None)
"""Stands for the texts of a call that is missing although a log shows it; their checksum never fits."""
_AT_ONCE = 500
"""Calls that are read in one question where the index may change between two of them."""


class CallReader:
    """Questions about the calls and recordings of one state directory.

    An owner is the internal id of an extension, or `rcfs.model.COMPANY`. A month is a text such as 2026-11.

    Raises (all methods):
        IndexDamagedError: The database is damaged.
        StoreError: It fails for another reason.
    """

    def __init__(self, database: IndexDatabase) -> None:
        self._database = database

    # Short questions: in the event loop

    def month(self, account_id: str, owner: int, month: str) -> CallMonth | None:
        """A month of the call log of an owner; None if the index knows nothing of it."""
        rows = self._database.select(CALL_MONTHS, f"WHERE {_THIS_LOG}", account_id, owner, month)
        return _call_month(rows[0]) if rows else None

    def months(self, account_id: str, owner: int) -> dict[str, CallMonth]:
        """The months of which the index has calls, or that were loaded; newest first."""
        condition = "account_id = ? AND owner = ? AND (calls OR loaded)"
        rows = self._database.select(CALL_MONTHS, f"WHERE {condition} ORDER BY month DESC", account_id, owner)
        return {row[3]: _call_month(row) for row in rows}

    def recordings(
        self, account_id: str, owner: int, month: str, after: int, limit: int
    ) -> list[RecordingRow]:
        """At most `limit` recordings of a month, from the one after number `after` on."""
        rows = self._database.select(
            RECORDINGS,
            f"WHERE log = {_LOG} AND recording > ? ORDER BY recording LIMIT ?",
            *(account_id, owner, month, after, limit),
        )
        return [recording_row(row, owner, month) for row in rows]

    def recording(self, account_id: str, owner: int, month: str, name: str) -> RecordingRow | None:
        """The recording of a month with this name; None if there is no such recording."""
        rows = self._database.select(
            RECORDINGS,
            f"WHERE log = {_LOG} AND named = ? AND name = ?",
            *(account_id, owner, month, name_checksum(name), name),
        )
        return recording_row(rows[0], owner, month) if rows else None

    def recording_by_id(self, account_id: str, recording_id: str) -> RecordingRow | None:
        """A recording with this id; the first one if the records of several calls have it."""
        found = self._located(
            "recordings r", "WHERE r.id = ? AND l.account_id = ? ORDER BY recording", recording_id, account_id
        )
        return found[0] if found else None

    def links(self, folder: int, after: int, limit: int) -> list[RecordingRow]:
        """At most `limit` recordings that a folder holds links to, from the one after number `after` on."""
        return self._located(
            "recording_links k LEFT JOIN recordings r USING (recording)",
            "WHERE k.folder = ? AND k.recording > ? ORDER BY k.recording LIMIT ?",
            *(folder, after, limit),
        )

    def link(self, folder: int, name: str) -> RecordingRow | None:
        """The recording with this name that a folder holds a link to; None if there is no such link."""
        found = self._located(
            "folders f JOIN mailboxes b USING (mailbox) JOIN call_months o"
            " ON o.account_id = b.account_id AND o.owner = b.extension_id"
            " JOIN recordings r ON r.log = o.log JOIN recording_links k"
            " ON k.folder = f.folder AND k.recording = r.recording",
            "WHERE f.folder = ? AND r.named = ? AND r.name = ?",
            *(folder, name_checksum(name), name),
        )
        return found[0] if found else None

    def raw(self, call: int) -> str | None:
        """The record of a call, as JSON text; None if the call is not in the index."""
        rows = self._database.select(TEXTS, "WHERE call = ?", call)
        return unpacked(rows[0][0]).raw if rows else None

    def _located(self, joined: str, rest: str, *parameters: object) -> list[RecordingRow]:
        query = f"{_LOCATED.format(joined=joined)} {rest}"
        rows = self._database.verified((RECORDINGS, CALL_MONTHS), query, *parameters)
        return [located_row(row) for row in rows]

    # Longer ones: in worker threads

    def lines(self, account_id: str, owner: int, month: str) -> Iterator[str]:
        """The lines of a month as CSV, ordered by (start, id of the call); no time counts as 1970-01-01.

        They are read one at a time, all as of the moment of the first. A caller that stops early closes the
        iterator.
        """
        return self._in_order(account_id, owner, month, lambda texts: texts.line)

    def records(self, account_id: str, owner: int, month: str) -> Iterator[str]:
        """The records of a month as JSON texts, in the order of `lines` and read like these."""
        return self._in_order(account_id, owner, month, lambda texts: texts.raw)

    def labelled(self, account_id: str, extension_id: int) -> Iterator[str]:
        """The records of the calls whose line depends on a message of an extension.

        The caller may write into the index between two of them. A call that leaves it meanwhile is left out.
        """
        return self._records_of(
            "SELECT call FROM calls WHERE message_extension = ? AND account_id = ? ORDER BY call",
            *(extension_id, account_id),
        )

    def all_of(self, account_id: str, extension_id: int) -> Iterator[str]:
        """The records of the calls in the logs of an extension, and of its recordings; as `labelled`."""
        logs = "(SELECT log FROM call_months WHERE account_id = ?1 AND owner = ?2)"
        return self._records_of(
            f"SELECT call FROM call_places WHERE log IN {logs}"  # noqa: S608
            f" UNION SELECT call FROM recordings WHERE log IN {logs} ORDER BY call",
            *(account_id, extension_id),
        )

    def records_after(self, number: int, limit: int) -> list[tuple[int, str, str]]:
        """(number, account id, record) of at most `limit` calls, from the one after `number` on."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {CALLS.listed()}, {TEXTS.listed()} FROM calls WHERE call > ?"  # noqa: S608
                " ORDER BY call LIMIT ?",
                (number, limit),
            )
            return [(row[0], row[1], unpacked(row[-2]).raw) for row in verified(rows, CALLS, TEXTS)]

    def all_months(self, account_id: str) -> dict[tuple[int, str], CallMonth]:
        """The months of all owners, by owner and month: as `month`, but one question for thousands."""
        with self._database.reading() as connection:
            rows = select(connection, CALL_MONTHS, "WHERE account_id = ?", account_id)
        return {(row[2], row[3]): _call_month(row) for row in rows}

    def oldest_recording_s(self, account_id: str, months: Iterable[str]) -> float | None:
        """The start of the oldest recording in these months; None without any that has a time."""
        with self._database.reading() as connection:
            ((oldest_s,),) = connection.execute(_OLDEST_RECORDING, (account_id, json.dumps(sorted(months))))
        return None if oldest_s is None else float(oldest_s)

    def _in_order(
        self, account_id: str, owner: int, month: str, part: Callable[[CallTexts], str]
    ) -> Iterator[str]:
        with self._database.reading() as connection:
            places = connection.execute(_ORDERED, (account_id, owner, month))
            for _started_s, same in groupby(places, itemgetter(0)):
                # Only their numbers are kept: a hostile server may send a million calls without a time.
                numbers, place = array("q"), _MISSING
                for place in same:
                    numbers.append(place[1])
                if len(numbers) == 1:
                    yield part(_unpacked([place[2:]]))
                    continue
                for number in _by_id(connection, numbers):
                    yield part(_unpacked(select(connection, TEXTS, "WHERE call = ?", number)))

    def _records_of(self, query: str, *parameters: object) -> Iterator[str]:
        with self._database.reading() as connection:
            numbers = array("q", (number for (number,) in connection.execute(query, parameters)))
        for start in range(0, len(numbers), _AT_ONCE):
            with self._database.reading() as connection:
                rows = [
                    row
                    for number in numbers[start : start + _AT_ONCE]
                    for row in select(connection, TEXTS, "WHERE call = ?", number)
                ]
            for packed, _crc in rows:
                yield unpacked(packed).raw


def _call_month(row: Row) -> CallMonth:
    loaded, _listing, synced_s, revision, calls, recordings, csv_bytes, json_bytes, modified_s = row[4:13]
    return CallMonth(bool(loaded), synced_s, revision, calls, recordings, csv_bytes, json_bytes, modified_s)


def recording_row(row: Row, owner: int, month: str) -> RecordingRow:
    """The recording of a row that begins with the columns of `RECORDINGS`."""
    number, _log, call, _place, recording_id, name, _named, started_s, duration_s, uri, gone = row[:11]
    return RecordingRow(
        number, recording_id, call, owner, month, name, started_s, duration_s, uri, bool(gone)
    )


def located_row(row: Row) -> RecordingRow:
    """The recording of a row with the columns of `RECORDINGS`, and those of its log behind them."""
    _log, _account_id, owner, month = row[_RECORDING_WIDTH : _RECORDING_WIDTH + 4]
    return recording_row(row, owner, month)


def _by_id(connection: sqlite3.Connection, numbers: Iterable[int]) -> list[int]:
    """The calls that began at the same time, ordered by their ids."""
    ids: list[tuple[str, int]] = []
    for number in numbers:
        rows = select(connection, CALLS, "WHERE call = ?", number)
        if not rows:
            raise DamagedRowError("a log shows a call that is missing")
        ids.append((rows[0][2], number))
    return [number for _id, number in sorted(ids)]


def _unpacked(rows: list[Row]) -> CallTexts:
    """The texts in the only one of `rows`.

    Raises:
        DamagedRowError: They are not as they were written, or missing.
    """
    return unpacked(verified(rows or [_MISSING], TEXTS)[0][0])
