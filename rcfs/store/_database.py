"""Opening of rcfs's SQLite databases: private, marked as ours, migrated, and moved aside if damaged."""

import itertools
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import attrs

from rcfs.private import make_private_directory, make_private_file, reason_of
from rcfs.store._checksum import register
from rcfs.store._sqlite import find_fault, is_busy, is_damage, transaction

T = TypeVar("T")

SQLITE_SIDE_FILES = ("-wal", "-shm")
"""Suffixes of the files that SQLite puts beside a database: the write-ahead log and its index."""

LOCK_WAIT_S = 5.0
"""Time that a write waits for another process, in seconds; a process holds the lock for milliseconds."""
_AGAIN_S = 0.005
"""Time between two attempts to open a database, in seconds."""
READ_WAIT_S = 0.05
"""Time that a question waits for a lock, in seconds: only the recovery after a crash takes one."""
WRITE_AHEAD: Mapping[str, object] = MappingProxyType({"journal_mode": "WAL", "synchronous": "NORMAL"})
"""With a write-ahead log, readers and a writer do not wait for each other; NORMAL then keeps the database
sound through a power cut, and saves a sync for each change."""


@attrs.frozen
class Format:
    """The marks of one kind of database."""

    application_id: int
    """Value of ``PRAGMA application_id``."""
    version: int
    """Value of ``PRAGMA user_version`` for the present version, at least 1; earlier ones are migrated."""


@attrs.frozen
class Damage:
    """A database that could not be used."""

    fault: str
    """The reason, for a message."""
    aside: Path
    """Its path now."""


def open_database(
    path: Path,
    form: Format,
    connect: Callable[[], T],
    *,
    thorough: bool,
    fault: str | None = None,
    wait_s: float = LOCK_WAIT_S,
) -> tuple[T, Damage | None]:
    """The result of `connect` for the database `path`, and the damaged one that it replaces, if any.

    The file is created, with its directory, when it is missing (0600, 0700). A database that is damaged,
    foreign, or of a version that this program does not know is moved aside as ``*.damaged``, and `connect`
    gets an empty file. The caller saves the good rows of the damaged one, and reports the damage.

    Args:
        path: Path of the database.
        form: Its format.
        connect: Connects to the path, and calls `migrate`. If it raises an error that `is_damage`, the
            database counts as damaged, and `connect` is called once more.
        thorough: Check every page, and not only the first one; see `find_fault`.
        fault: The damage, if it is known already.
        wait_s: Time to wait for a lock, in seconds.

    Raises:
        OSError: The file cannot be created or written.
        sqlite3.Error: It cannot be written.
    """
    make_private_directory(path.absolute().parent)
    make_private_file(path)
    look = partial(
        find_fault,
        path,
        application_id=form.application_id,
        version=form.version,
        timeout_s=wait_s,
        thorough=thorough,
    )
    fault = fault or _unlocked(look, wait_s)
    if fault is None:
        try:
            return _unlocked(connect, wait_s), None
        except (sqlite3.Error, UnicodeDecodeError) as exc:
            if not is_damage(exc):
                raise
            fault = reason_of(exc)
    aside = move_database_aside(path)
    make_private_file(path)
    return _unlocked(connect, wait_s), Damage(fault, aside)


def _unlocked(work: Callable[[], T], wait_s: float) -> T:
    """The result of `work`, which is repeated while it is refused because of a lock, for `wait_s` seconds.

    SQLite itself does not wait while another process gives a new database its write-ahead log, so that of
    several processes that start together some would fail.
    """
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            return work()
        except sqlite3.Error as exc:
            if not is_busy(exc) or time.monotonic() > deadline_s:
                raise
        time.sleep(_AGAIN_S)


def move_database_aside(path: Path) -> Path:
    """Rename the SQLite database `path` to ``*.damaged``, ``*.damaged2`` and so on; its new path.

    It is not deleted, because it may belong to another program. Missing files are skipped: another process
    may have renamed them a moment ago.

    Raises:
        OSError: The directory cannot be written.
    """
    names = (
        path.with_name(f"{path.name}.damaged{number if number > 1 else ''}") for number in itertools.count(1)
    )
    target = next(name for name in names if not name.exists())
    for side in ("", *SQLITE_SIDE_FILES):
        source = path.with_name(path.name + side)
        if source.exists():
            source.rename(target.with_name(target.name + side))
    return target


def connect(
    name: Path | str, *, wait_s: float, pragmas: Mapping[str, object] = WRITE_AHEAD, uri: bool = False
) -> sqlite3.Connection:
    """A connection for any thread, with `row_checksum`; each statement commits unless a transaction is begun.

    Raises:
        sqlite3.Error: It cannot be opened.
    """
    connection = sqlite3.connect(name, timeout=wait_s, isolation_level=None, check_same_thread=False, uri=uri)
    try:
        register(connection)
        for pragma, value in pragmas.items():
            connection.execute(f"PRAGMA {pragma} = {value}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def migrate(connection: sqlite3.Connection, form: Format, migrations: Sequence[str]) -> None:
    """Bring a database to the present version, in one transaction; a present one is not locked.

    Args:
        connection: For this thread alone, outside of a transaction.
        form: Format of the database.
        migrations: SQL that brings it from each version to the next, the first one from an empty file. A
            published migration never changes: later changes are further migrations.

    Raises:
        sqlite3.DatabaseError: It is of a version that this program does not know.
    """
    if _version(connection) == form.version:
        return
    with transaction(connection):
        version = _version(connection)  # Another process may have changed it meanwhile.
        if version > form.version:
            raise sqlite3.DatabaseError(f"its format is {version}, which this version of rcfs does not know")
        for migration in migrations[version:]:
            # Not executescript, which would end the transaction.
            for statement in filter(str.strip, migration.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {form.application_id}")
        connection.execute(f"PRAGMA user_version = {form.version}")


def _version(connection: sqlite3.Connection) -> int:
    """The version of a database; 0 if it has no tables."""
    ((tables,),) = connection.execute("SELECT COUNT(*) FROM sqlite_master")
    ((version,),) = connection.execute("PRAGMA user_version")
    return int(version) if tables else 0
