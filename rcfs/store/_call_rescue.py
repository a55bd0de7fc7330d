"""Calls of a damaged index that are still good: they are copied into the new index and not requested again.

A call is copied if its row and those of its recordings are as they were written. A log is copied with the
sums of the copied calls; if these differ from the sums it had, calls are missing and it loads again. Links to
recordings are copied where their folder is. The words for searches are not copied: the mount puts them, and
missing links, into the index when it shelves all calls again.
"""

import json
import sqlite3

from rcfs.store._call_schema import CALL_MONTHS, CALLS, RECORDINGS, SUMS, TEXTS
from rcfs.store._checked_table import CheckedTable

CALL_TABLES = ("recording_links", "recordings", "call_places", "calls", "call_months")
"""The tables of calls; those that need others come first."""
_CALL_COLUMNS = f"call, {CALLS.row_columns}, {TEXTS.row_columns}"
_COPIED = {
    "call_months": "* FROM old.call_months WHERE log NOT IN (SELECT value FROM json_each(:logs))",
    "calls": f"{_CALL_COLUMNS} FROM old.calls"  # noqa: S608 - our own words
    " WHERE call NOT IN (SELECT value FROM json_each(:calls))",
    # With 0 for the number of the listing, the next listing has to bring the call.
    "call_places": "log, started_s, call, 0 FROM old.call_places"
    " WHERE log IN (SELECT log FROM main.call_months) AND call IN (SELECT call FROM main.calls)",
    "recordings": "* FROM old.recordings WHERE call IN (SELECT call FROM main.calls)",
    "recording_links": "* FROM old.recording_links WHERE"
    " recording IN (SELECT recording FROM main.recordings) AND folder IN (SELECT folder FROM main.folders)",
}
"""The rows of each table that are copied, in this order."""
_UNPLACED = "DELETE FROM calls WHERE call NOT IN (SELECT call FROM call_places)"
_SUMMED = f"""
UPDATE call_months AS m SET loaded = 0, revision = m.revision + 1, calls = s.calls,
    recordings = s.recordings, csv_bytes = s.csv_bytes, json_bytes = s.json_bytes
FROM ({SUMS}) AS s WHERE s.log = m.log AND (m.calls, m.recordings, m.csv_bytes, m.json_bytes)
    IS NOT (s.calls, s.recordings, s.csv_bytes, s.json_bytes)
RETURNING log
"""  # noqa: S608
_SHOWS_NOTHING = (
    "folder NOT IN (SELECT folder FROM main.places)"
    " AND folder NOT IN (SELECT folder FROM main.recording_links)"
)


def copy_calls(connection: sqlite3.Connection) -> int:
    """Copy the good calls of the index attached as ``old``; the number of logs that stay loaded.

    Raises:
        sqlite3.Error: Too little can be read.
    """
    if all(_is_whole(connection, table) for table in CALL_TABLES):
        logs = _damaged(connection, CALL_MONTHS, "log")
        calls = _damaged(connection, CALLS, "call") | _damaged(connection, TEXTS, "call")
        calls |= _damaged(connection, RECORDINGS, "call") | _calls_without(connection, logs)
        parameters = {"logs": json.dumps(sorted(logs)), "calls": json.dumps(sorted(calls))}
        for table, rows in _COPIED.items():
            if table == "recordings":
                connection.execute(_UNPLACED)
            columns = f" ({_CALL_COLUMNS})" if table == "calls" else ""
            connection.execute(f"INSERT INTO main.{table}{columns} SELECT {rows}", parameters)
        changed = connection.execute(_SUMMED).fetchall()
        connection.executemany(f"{CALL_MONTHS.update_checksum} WHERE log = ?", changed)
    remove_empty_folders(connection)
    ((loaded,),) = connection.execute("SELECT COUNT(*) FROM main.call_months WHERE loaded")
    return int(loaded)


def remove_all_calls(connection: sqlite3.Connection) -> None:
    """Remove all calls that were copied, because they contradict each other."""
    for table in CALL_TABLES:
        connection.execute(f"DELETE FROM main.{table}")  # noqa: S608
    remove_empty_folders(connection)


def remove_empty_folders(connection: sqlite3.Connection) -> None:
    """Remove the folders that showed only recordings, none of which was copied."""
    for table in ("parties", "folders"):
        connection.execute(f"DELETE FROM main.{table} WHERE {_SHOWS_NOTHING}")  # noqa: S608


def _is_whole(connection: sqlite3.Connection, table: str) -> bool:
    (verdict,) = connection.execute(f"PRAGMA old.integrity_check({table})").fetchone()
    return bool(verdict == "ok")


def _damaged(connection: sqlite3.Connection, table: CheckedTable, number: str) -> set[int]:
    """The values of the column `number` in the damaged rows of a table."""
    rows = connection.execute(f"SELECT {number}, {table.row_columns} FROM old.{table.name}")  # noqa: S608
    return {found for found, *row in rows if not table.is_sound(tuple(row))}


def _calls_without(connection: sqlite3.Connection, logs: set[int]) -> set[int]:
    """The calls with a recording in one of `logs`, or in a log that is missing."""
    rows = connection.execute(
        "SELECT call FROM old.recordings WHERE log IN (SELECT value FROM json_each(?))"
        " OR log NOT IN (SELECT log FROM old.call_months)",
        (json.dumps(sorted(logs)),),
    )
    return {call for (call,) in rows}
