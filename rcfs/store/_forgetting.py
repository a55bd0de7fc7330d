"""Erasing from this disk: the rows of one account, whole databases, or a content cache.

Deleting rows only marks their pages as free, and a full-text index keeps deleted words until its segments are
merged. So after the rows are deleted, the whole database is rewritten.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from rcfs.filenames import CacheFiles
from rcfs.store._call_texts import unpacked
from rcfs.store._checksum import DamagedRowError
from rcfs.store._database import SQLITE_SIDE_FILES

_MAILBOXES = "(SELECT mailbox FROM mailboxes WHERE account_id = :account)"
_MESSAGES = f"(SELECT message FROM messages WHERE mailbox IN {_MAILBOXES})"  # noqa: S608
_FOLDERS = f"(SELECT folder FROM folders WHERE mailbox IN {_MAILBOXES})"  # noqa: S608
_LOGS = "(SELECT log FROM call_months WHERE account_id = :account)"
_RECORDINGS = f"(SELECT recording FROM recordings WHERE log IN {_LOGS})"  # noqa: S608
_INDEX_ROWS = (
    ("recording_links", f"recording IN {_RECORDINGS}"),
    ("recordings", f"log IN {_LOGS}"),
    ("call_places", f"log IN {_LOGS}"),
    ("calls", "account_id = :account"),
    ("call_months", "account_id = :account"),
    ("words", f"rowid IN {_MESSAGES}"),
    ("transcripts", f"message IN {_MESSAGES}"),
    ("places", f"folder IN {_FOLDERS}"),
    ("parties", f"folder IN {_FOLDERS}"),
    ("folders", f"mailbox IN {_MAILBOXES}"),
    ("messages", f"mailbox IN {_MAILBOXES}"),
    ("owners", f"mailbox IN {_MAILBOXES}"),
    ("mailboxes", "account_id = :account"),
    ("searches", "account_id = :account"),
    # A topic names its account behind the first space, as "mailbox 1/101" does, or ends with its login.
    ("notes", "topic LIKE '% ' || :account || '/%' OR topic LIKE '% ' || :account"),
    ("notes", "EXISTS (SELECT 1 FROM logins WHERE account_id = :account AND topic LIKE '% ' || login)"),
    ("logins", "account_id = :account"),
)
"""Tables of the index, and the condition for the rows of an account; tables that lead to others come last."""


def erase_index_rows(connection: sqlite3.Connection, account_id: str) -> None:
    """Delete all rows of an account from the index of mailboxes; within a transaction."""
    _erase_call_words(connection, account_id)
    for table, condition in _INDEX_ROWS:
        connection.execute(f"DELETE FROM {table} WHERE {condition}", {"account": account_id})  # noqa: S608
    for words in ("words", "call_words"):
        connection.execute(f"INSERT INTO {words} ({words}) VALUES ('optimize')")  # noqa: S608


def _erase_call_words(connection: sqlite3.Connection, account_id: str) -> None:
    """Delete the words of the calls of an account.

    The full-text index keeps no texts, so it cannot delete the words of a call that is damaged or missing. So
    it is emptied, and gets the words of all other accounts again.
    """
    connection.execute("INSERT INTO call_words (call_words) VALUES ('delete-all')")
    rows = connection.execute("SELECT call, texts FROM calls WHERE account_id != ? AND worded", (account_id,))
    damaged: list[tuple[int]] = []
    for call, texts in rows:
        try:
            people = unpacked(texts).people
        except DamagedRowError:
            damaged.append((call,))
        else:
            connection.execute("INSERT INTO call_words (rowid, people) VALUES (?, ?)", (call, people))
    connection.executemany("UPDATE calls SET worded = 0 WHERE call = ?", damaged)


def rewrite(connection: sqlite3.Connection) -> None:
    """Rewrite the database without the free pages, which still hold deleted rows; outside of a transaction.

    Raises:
        sqlite3.Error: The disk is full, or another process keeps the database busy.
    """
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def erase_database(path: Path) -> None:
    """Remove the database `path`, its side files, and its copies that were moved aside as damaged.

    Raises:
        OSError: A file cannot be removed.
    """
    for name in ("", *SQLITE_SIDE_FILES):
        path.with_name(path.name + name).unlink(missing_ok=True)
    for copy in path.parent.glob(f"{path.name}.damaged*"):
        copy.unlink(missing_ok=True)


def erase_cache(directory: Path) -> None:
    """Remove a content cache that nobody has open; the directory stays if other files are in it.

    Raises:
        OSError: A file cannot be removed.
    """
    files = CacheFiles(directory)
    erase_database(files.database)
    for path in (files.pins, files.claims):
        path.unlink(missing_ok=True)
    for path in _entries(files.chunks):
        path.unlink(missing_ok=True)
    for emptied in (files.chunks, directory):
        with contextlib.suppress(OSError):
            emptied.rmdir()


def _entries(directory: Path) -> Iterator[Path]:
    try:
        yield from directory.iterdir()
    except FileNotFoundError:
        return
