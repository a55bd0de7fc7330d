"""Rows of a damaged index that are still good: they are copied into the new index and not requested again.

A mailbox is copied if all of its rows are as they were written; otherwise it is loaded again.
`rcfs.store._call_rescue` has the rules for calls. In the other tables each row counts for itself. The pages
of the full-text index have no checksums: they are copied as they are, and the mount then rewrites the
full-text index from the records.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import attrs

from rcfs.store._call_rescue import copy_calls, remove_all_calls
from rcfs.store._checked_table import CheckedTable, Row
from rcfs.store._index_schema import (
    FOLDERS,
    FORM,
    LOGINS,
    MAILBOXES,
    MESSAGES,
    NOTES,
    OWNERS,
    PARTIES,
    RECORDS,
    RESHELVED,
    SEARCHES,
    TRANSCRIPTS,
    find_damage,
)
from rcfs.store._salvage import salvaged_rows
from rcfs.store._sqlite import lenient_text, transaction

T = TypeVar("T")

_WHOLE = ("mailboxes", "messages", "folders", "places", "parties")
"""Tables of which no row of a copied mailbox may be missing."""
_COPIED = {
    "mailboxes": "* FROM old.mailboxes",
    # The number of the listing is in no checksum. With 0, the next listing has to bring the message.
    "messages": "message, mailbox, id, name, created_s, modified_s, home, 0, spoken_bytes, raw, crc, raw_crc"
    " FROM old.messages",
    "folders": "* FROM old.folders",
    "places": "t.* FROM old.places t JOIN old.folders USING (folder)",
    "parties": "t.* FROM old.parties t JOIN old.folders USING (folder)",
}
"""The columns of each of these tables that are copied for mailboxes whose rows are all good."""
_LOST_PLACES = (
    "SELECT DISTINCT coalesce(m.mailbox, f.mailbox) FROM old.places p"
    " LEFT JOIN old.messages m USING (message) LEFT JOIN old.folders f USING (folder)"
    " WHERE m.message IS NULL OR f.folder IS NULL"
)


@attrs.frozen
class Rescued:
    """How many rows of a damaged index were copied and lost."""

    mailboxes: int
    """Mailboxes that were copied."""
    call_logs: int
    """Months of call logs that were copied whole."""
    lost_searches: int
    """Saved searches that were seen to be damaged; there may have been more."""
    lost_transcripts: int
    """Transcripts of copied mailboxes that were seen to be damaged."""

    def __str__(self) -> str:
        """The text for the log."""
        told = [
            f"and kept {self.mailboxes} undamaged mailboxes; the others load again"
            if self.mailboxes
            else "and loads all mailboxes again"
        ]
        if self.call_logs:
            told.append(f"{self.call_logs} months of call logs are kept")
        if self.lost_searches:
            told.append(f"at least {self.lost_searches} searches are lost; make them again with mkdir")
        if self.lost_transcripts:
            told.append(f"searches skip {self.lost_transcripts} transcripts until you read them again")
        return "; ".join(told)


def rescue(aside: Path, connection: sqlite3.Connection) -> Rescued:
    """Copy the good rows of the damaged index `aside` into the empty one of `connection`."""
    mailboxes, lost_transcripts = _copied(aside, connection, _copy_mailboxes, (0, 0))
    call_logs = _copied(aside, connection, copy_calls, 0)
    if not _is_sound(connection):
        remove_all_calls(connection)
        call_logs = 0
    if not _is_sound(connection):
        for table in (*_WHOLE, "owners", "transcripts", "words", "logins", "notes"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608
        mailboxes = lost_transcripts = 0
    return Rescued(mailboxes, call_logs, _copy_searches(aside, connection), lost_transcripts)


def _copied(
    aside: Path, connection: sqlite3.Connection, copy: Callable[[sqlite3.Connection], T], none: T
) -> T:
    """The result of `copy`, with the damaged index attached as ``old``; `none` if nothing could be copied."""
    try:
        with _attached(aside, connection):
            return copy(connection) if _has_present_format(connection) else none
    except (sqlite3.Error, UnicodeDecodeError):
        return none


def _is_sound(connection: sqlite3.Connection) -> bool:
    try:
        find_damage(connection)
    except (sqlite3.Error, UnicodeDecodeError):
        return False
    return True


@contextmanager
def _attached(aside: Path, connection: sqlite3.Connection) -> Iterator[None]:
    """Attaches the index `aside` as ``old``, within a transaction. Bytes that are no text fit no checksum."""
    connection.execute("ATTACH ? AS old", (str(aside),))
    connection.text_factory = lenient_text
    try:
        with transaction(connection):
            yield
    finally:
        connection.text_factory = str
        connection.execute("DETACH old")


def _has_present_format(connection: sqlite3.Connection) -> bool:
    ((found_id,),) = connection.execute("PRAGMA old.application_id")
    ((version,),) = connection.execute("PRAGMA old.user_version")
    return bool((found_id, version) == (FORM.application_id, FORM.version))


def _copy_mailboxes(connection: sqlite3.Connection) -> tuple[int, int]:
    """The number of mailboxes that were copied, and that of the transcripts that were lost.

    Raises:
        sqlite3.Error: Too little can be read.
    """
    for table in _WHOLE:
        (verdict,) = connection.execute(f"PRAGMA old.integrity_check({table})").fetchone()
        if verdict != "ok":
            return 0, 0
    damaged = json.dumps(sorted(_damaged_mailboxes(connection)))
    for table, rows in _COPIED.items():
        connection.execute(
            f"INSERT INTO main.{table} SELECT {rows}"  # noqa: S608
            " WHERE mailbox NOT IN (SELECT value FROM json_each(?))",
            (damaged,),
        )
    ((mailboxes,),) = connection.execute("SELECT COUNT(*) FROM main.mailboxes WHERE loaded")
    _copy_rows(connection, OWNERS, "mailbox IN (SELECT mailbox FROM main.mailboxes)")
    lost = _copy_rows(connection, TRANSCRIPTS, "message IN (SELECT message FROM main.messages)")
    _copy_rows(connection, LOGINS, "TRUE")
    _copy_rows(connection, NOTES, f"topic IS NOT '{RESHELVED}'")
    _copy_words(connection)
    return int(mailboxes), lost


def _damaged_mailboxes(connection: sqlite3.Connection) -> set[int]:
    """The numbers of the mailboxes that have a damaged row."""
    damaged = {number for (number,) in connection.execute(_LOST_PLACES)}
    for table in (MAILBOXES, MESSAGES, RECORDS, FOLDERS, PARTIES):
        mailbox = "old.folders.mailbox" if table is PARTIES else "t.mailbox"
        join = " JOIN old.folders USING (folder)" if table is PARTIES else ""
        columns = ", ".join(f"t.{column}" for column in (*table.columns, table.crc))
        rows = connection.execute(f"SELECT {mailbox}, {columns} FROM old.{table.name} t{join}")  # noqa: S608
        damaged |= {number for number, *row in rows if not table.is_sound(tuple(row))}
    return damaged


def _copy_rows(connection: sqlite3.Connection, table: CheckedTable, condition: str) -> int:
    """Copy the good rows of a table until reading fails; the number of bad rows."""
    lost = 0
    query = f"SELECT {table.row_columns} FROM old.{table.name} WHERE {condition}"  # noqa: S608
    with suppress(sqlite3.Error):
        for row in connection.execute(query):
            if table.is_sound(row):
                connection.execute(table.insert("IGNORE"), row)
            else:
                lost += 1
    return lost


def _copy_words(connection: sqlite3.Connection) -> None:
    """Copy the full-text index as it is: it serves until it is rewritten."""
    connection.execute("SAVEPOINT words")
    try:
        connection.execute(
            "INSERT INTO main.words (rowid, said, people, files) SELECT id, c0, c1, c2"
            " FROM old.words_content WHERE id IN (SELECT message FROM main.messages)"
        )
    except sqlite3.Error:
        connection.execute("ROLLBACK TO words")
    connection.execute("RELEASE words")


def _copy_searches(aside: Path, connection: sqlite3.Connection) -> int:
    """Copy the good saved searches, which exist nowhere else; the number of those seen to be damaged."""
    lost = 0
    try:
        rows = _queried_searches(aside)
    except (sqlite3.Error, UnicodeDecodeError):
        rows = _salvaged_searches(aside)
    for row in rows:
        if SEARCHES.is_sound(row):
            connection.execute(SEARCHES.insert("IGNORE"), row)
        else:
            lost += 1
    return lost


def _queried_searches(aside: Path) -> list[Row]:
    """The rows of all saved searches; those of an index without checksums get one."""
    with closing(sqlite3.connect(aside)) as damaged:
        damaged.text_factory = lenient_text
        columns = {name for _number, name, *_rest in damaged.execute("PRAGMA table_info (searches)")}
        if columns and "crc" not in columns:
            rows = damaged.execute("SELECT account_id, name, made_s FROM searches").fetchall()
            return [SEARCHES.row(*row) for row in rows if [type(value) for value in row] == [str, str, float]]
        # The plus keeps it from an index, which may lack a row that the table has.
        return damaged.execute(
            "SELECT account_id, name, made_s, crc FROM searches ORDER BY +search"
        ).fetchall()


def _salvaged_searches(aside: Path) -> list[Row]:
    """The good rows of saved searches that are found on the pages."""
    found: list[Row] = []
    with suppress(OSError):
        for _rowid, stored in salvaged_rows(aside):
            row = SEARCHES.from_disk(stored)
            if row is not None and SEARCHES.is_sound(row):
                found.append(row)
    return found
