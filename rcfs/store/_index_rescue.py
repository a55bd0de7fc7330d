"""What a damaged index still has whole: it is taken over into the new one, and not asked for again.

A mailbox is taken over when all of its rows are as they were written, and loaded again otherwise. Of the
other tables each row counts for itself. The words that searches look through are in pages without checksums:
they are taken as they are for now, and written anew from the records by whoever shows the mailboxes.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from rcfs.store._checksum import row_checksum
from rcfs.store._index_schema import CHECKED, FORM, RESHELVED, checked, find_damage
from rcfs.store._salvage import salvaged_rows
from rcfs.store._sqlite import lenient_text, transaction

_WHOLE = ("mailboxes", "messages", "folders", "places", "parties")
"""Tables of which no row may be missing."""
_TAKEN = {
    "mailboxes": "* FROM old.mailboxes",
    # Which listing has brought a message is in no checksum: none has, as far as the next one is concerned.
    "messages": "message, mailbox, id, name, created_s, modified_s, home, 0, spoken_bytes, raw, crc, raw_crc"
    " FROM old.messages",
    "folders": "* FROM old.folders",
    "places": "t.* FROM old.places t JOIN old.folders USING (folder)",
    "parties": "t.* FROM old.parties t JOIN old.folders USING (folder)",
}
"""What is taken of each of them, of the mailboxes that are whole."""
_LOST_PLACES = (
    "SELECT DISTINCT coalesce(m.mailbox, f.mailbox) FROM old.places p"
    " LEFT JOIN old.messages m USING (message) LEFT JOIN old.folders f USING (folder)"
    " WHERE m.message IS NULL OR f.folder IS NULL"
)
_SEARCH_WIDTH = 4
"""Stored columns of a search: those of the checksum, and the number, which is stored as nothing."""


@attrs.frozen
class Rescued:
    """What became of the rows of a damaged index."""

    mailboxes: int
    """Mailboxes that were taken over whole."""
    lost_searches: int
    """Searches that are seen to be damaged; there may have been more."""
    lost_transcripts: int
    """The same of transcripts, in mailboxes that were taken over."""

    def __str__(self) -> str:
        """For the log."""
        told = [
            f"{self.mailboxes} undamaged mailboxes are kept, other mailboxes load again"
            if self.mailboxes
            else "mailboxes load again"
        ]
        if self.lost_searches:
            told.append(f"at least {self.lost_searches} searches are lost: make them again with mkdir")
        if self.lost_transcripts:
            told.append(f"{self.lost_transcripts} transcripts are not searched until they are read again")
        return "; ".join(told)


def take_over(aside: Path, connection: sqlite3.Connection) -> Rescued:
    """Take what is whole from the damaged index `aside` into the empty one of `connection`."""
    mailboxes = lost_transcripts = 0
    with suppress(sqlite3.Error, UnicodeDecodeError):
        mailboxes, lost_transcripts = _take_mailboxes(aside, connection)
    if mailboxes and not _is_sound(connection):
        for table in (*_WHOLE, "owners", "transcripts", "words", "logins", "notes"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608
        mailboxes = lost_transcripts = 0
    return Rescued(mailboxes, _take_searches(aside, connection), lost_transcripts)


def _is_sound(connection: sqlite3.Connection) -> bool:
    try:
        find_damage(connection)
    except (sqlite3.Error, UnicodeDecodeError):
        return False
    return True


@contextmanager
def _attached(aside: Path, connection: sqlite3.Connection) -> Iterator[None]:
    """The index `aside` as ``old``, in a transaction; bytes that are no text fit no checksum."""
    connection.execute("ATTACH ? AS old", (str(aside),))
    connection.text_factory = lenient_text
    try:
        with transaction(connection):
            yield
    finally:
        connection.text_factory = str
        connection.execute("DETACH old")


def _take_mailboxes(aside: Path, connection: sqlite3.Connection) -> tuple[int, int]:
    """(mailboxes that were taken over, transcripts that were lost), with all that is known besides.

    Raises:
        sqlite3.Error: Too little can be read; nothing was taken over.
    """
    with _attached(aside, connection):
        ((found_id,),) = connection.execute("PRAGMA old.application_id")
        ((version,),) = connection.execute("PRAGMA old.user_version")
        if (found_id, version) != (FORM.application_id, FORM.version):
            return 0, 0
        for table in _WHOLE:
            (verdict,) = connection.execute(f"PRAGMA old.integrity_check({table})").fetchone()
            if verdict != "ok":
                return 0, 0
        damaged = json.dumps(sorted(_damaged_mailboxes(connection)))
        for table, rows in _TAKEN.items():
            connection.execute(
                f"INSERT INTO main.{table} SELECT {rows}"  # noqa: S608
                " WHERE mailbox NOT IN (SELECT value FROM json_each(?))",
                (damaged,),
            )
        ((mailboxes,),) = connection.execute("SELECT COUNT(*) FROM main.mailboxes WHERE loaded")
        _take_rows(connection, "owners", "mailbox IN (SELECT mailbox FROM main.mailboxes)")
        lost = _take_rows(connection, "transcripts", "message IN (SELECT message FROM main.messages)")
        _take_rows(connection, "logins", "TRUE")
        _take_rows(connection, "notes", f"topic IS NOT '{RESHELVED}'")
        _take_words(connection)
    return int(mailboxes), lost


def _damaged_mailboxes(connection: sqlite3.Connection) -> set[int]:
    """The numbers of the mailboxes of which a row is not as it was written."""
    queries = (
        ("mailboxes", "mailbox", "mailboxes"),
        ("messages", "mailbox", "messages"),
        ("folders", "mailbox", "folders"),
        ("parties", "f.mailbox", "parties t JOIN old.folders f USING (folder)"),
    )
    damaged = {number for (number,) in connection.execute(_LOST_PLACES)}
    for table, mailbox, source in queries:
        proof = checked(table, "t" if " t " in source else "")
        rows = connection.execute(f"SELECT {mailbox}, {proof} FROM old.{source}")  # noqa: S608
        damaged |= {number for number, *row, crc in rows if row_checksum(*row) != crc}
    rows = connection.execute("SELECT mailbox, raw, raw_crc FROM old.messages")
    damaged |= {number for number, raw, crc in rows if row_checksum(raw) != crc}
    return damaged


def _take_rows(connection: sqlite3.Connection, table: str, condition: str) -> int:
    """Take the good rows of a table, as far as it can be read; how many were bad."""
    lost = 0
    places = ", ".join("?" * (len(CHECKED[table].split(", ")) + 1))
    insert = f"INSERT OR IGNORE INTO main.{table} ({checked(table)}) VALUES ({places})"  # noqa: S608
    with suppress(sqlite3.Error):
        for row in connection.execute(f"SELECT {checked(table)} FROM old.{table} WHERE {condition}"):  # noqa: S608
            if row_checksum(*row[:-1]) == row[-1]:
                connection.execute(insert, row)
            else:
                lost += 1
    return lost


def _take_words(connection: sqlite3.Connection) -> None:
    """Let searches find what they found, until all is written anew."""
    connection.execute("SAVEPOINT words")
    try:
        connection.execute(
            "INSERT INTO main.words (rowid, said, people, files) SELECT id, c0, c1, c2"
            " FROM old.words_content WHERE id IN (SELECT message FROM main.messages)"
        )
    except sqlite3.Error:
        connection.execute("ROLLBACK TO words")
    connection.execute("RELEASE words")


def _take_searches(aside: Path, connection: sqlite3.Connection) -> int:
    """Take the searches that people keep, which nobody else knows; how many are seen to be damaged."""
    lost = 0
    try:
        rows = _searches_asked_for(aside)
    except (sqlite3.Error, UnicodeDecodeError):
        rows = _searches_on_pages(aside)
    for account_id, name, made_s, crc in rows:
        if row_checksum(account_id, name, made_s) == crc:
            connection.execute(
                f"INSERT OR IGNORE INTO searches ({checked('searches')}) VALUES (?, ?, ?, ?)",  # noqa: S608
                (account_id, name, made_s, crc),
            )
        else:
            lost += 1
    return lost


def _searches_asked_for(aside: Path) -> list[tuple[Any, ...]]:
    """(account, name, time, checksum) of all searches; those of an index without checksums are believed."""
    with closing(sqlite3.connect(aside)) as damaged:
        damaged.text_factory = lenient_text
        columns = {name for _number, name, *_rest in damaged.execute("PRAGMA table_info (searches)")}
        if columns and "crc" not in columns:
            rows = damaged.execute("SELECT account_id, name, made_s FROM searches").fetchall()
            return [(*row, row_checksum(*row)) for row in rows if [type(each) for each in row] == _PLAIN]
        # The plus keeps it from an index, which may lack a row that the table has.
        return damaged.execute(
            "SELECT account_id, name, made_s, crc FROM searches ORDER BY +search"
        ).fetchall()


_PLAIN = [str, str, float]


def _searches_on_pages(aside: Path) -> list[tuple[Any, ...]]:
    found = []
    with suppress(OSError):
        for _rowid, stored in salvaged_rows(aside):
            if len(stored) == _SEARCH_WIDTH + 1 and stored[0] is None:
                _search, account_id, name, made_s, crc = stored
                made_s = float(made_s) if isinstance(made_s, int) else made_s
                if row_checksum(account_id, name, made_s) == crc:
                    found.append((account_id, name, made_s, crc))
    return found
