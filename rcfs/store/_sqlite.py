"""Errors of SQLite and what they mean, transactions, and checks of a database before its use."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_BENIGN_CODES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
"""Primary result codes whose cause lies outside of the file, which may be good.

Source: https://www.sqlite.org/rescode.html. All others (CORRUPT, NOTADB, and ERROR, which a missing table or
column gives) mean that the file is not as rcfs wrote it.
"""


def is_damage(error: sqlite3.Error | UnicodeDecodeError) -> bool:
    """Whether `error` means that the database is damaged, and not locked, full, read-only or unreachable."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # Raised by Python, which could not decode a damaged text.
        return isinstance(error, (sqlite3.OperationalError, UnicodeDecodeError))
    # The low byte is the primary code; an extended one keeps its detail above it.
    return code & 0xFF not in _BENIGN_CODES


def is_full(error: Exception) -> bool:
    """Whether `error` means that the disk has no room, or the user's share of it is used up."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_FULL


def is_busy(error: sqlite3.Error) -> bool:
    """Whether `error` means that another connection or process holds a lock."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commits all statements of the block or none; the lock is taken at the beginning.

    Raises:
        sqlite3.Error: The lock is not free in time, or the changes cannot be written.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # Some errors have ended it already.
            connection.execute("ROLLBACK")
        raise


def lenient_text(data: bytes) -> str:
    """The text of a column; bytes that are no UTF-8 become U+FFFD instead of an error for all rows."""
    return data.decode(errors="replace")


def first_error(error: Exception) -> Exception:
    """The first error in a transaction, if `error` comes from the ROLLBACK after it.

    After some errors, such as a full disk, SQLite has rolled back by itself, and the ROLLBACK fails.
    """
    while isinstance(error, sqlite3.Error) and isinstance(error.__context__, sqlite3.Error):
        error = error.__context__
    return error


def find_fault(
    path: Path,
    *,
    application_id: int,
    version: int,
    timeout_s: float,
    thorough: bool,
) -> str | None:
    """The reason why the database `path` must not be used; None if it is empty, or ours and sound.

    Args:
        path: An existing file.
        application_id: Value that ``PRAGMA application_id`` must have if there is a table.
        version: The newest ``PRAGMA user_version`` that is accepted if there is a table.
        timeout_s: Time to wait for a lock, in seconds.
        thorough: Read every page and compare the indices with their tables, instead of reading the first
            page; 0.6 s for 200,000 values, measured 2026-11.

    Raises:
        sqlite3.Error: It cannot be read, though it may be sound; see `is_damage`.
    """
    try:
        with closing(sqlite3.connect(path, timeout=timeout_s, isolation_level=None)) as connection:
            ((tables,),) = connection.execute("SELECT COUNT(*) FROM sqlite_master")
            ((found_id,),) = connection.execute("PRAGMA application_id")
            ((found_version,),) = connection.execute("PRAGMA user_version")
            if tables and found_id != application_id:
                return "it belongs to another program"
            if tables and not 1 <= found_version <= version:
                return f"its format is {found_version}, which this version of rcfs does not know"
            if thorough:
                # Not quick_check, which does not notice that an index lacks a row; the next write would fail.
                ((verdict,),) = connection.execute("PRAGMA integrity_check(1)")
                if verdict != "ok":
                    return "its integrity check fails"
    except sqlite3.Error as exc:
        if not is_damage(exc):
            raise
        return str(exc)
    except UnicodeDecodeError:  # From the message of an error that quotes a damaged schema.
        return "its schema is damaged"
    return None
