"""The one way to open a database of ours: private, marked as ours, of a version that we know, and sound."""

import itertools
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import attrs

from rcfs.private import make_private_directory, make_private_file, reason_of
from rcfs.store._checksum import register
from rcfs.store._sqlite import find_fault, is_damage, transaction

T = TypeVar("T")

SQLITE_SIDE_FILES = ("-wal", "-shm")
"""What SQLite appends to a database's name for its write-ahead log and that log's index."""

LOCK_WAIT_S = 5.0
"""How long a write waits for another process, in seconds; one holds the lock for milliseconds."""
READ_WAIT_S = 0.05
"""How long a question waits, in seconds: only for what a recovery after a crash locks."""
WRITE_AHEAD: Mapping[str, object] = MappingProxyType({"journal_mode": "WAL", "synchronous": "NORMAL"})
"""So that readers and a writer do not wait for each other. With a write-ahead log, NORMAL keeps the database
sound through a power cut, and spares a sync for each change."""


@attrs.frozen
class Format:
    """What tells our databases of one kind from all others."""

    application_id: int
    """What ``PRAGMA application_id`` says."""
    version: int
    """What ``PRAGMA user_version`` of a present one says, at least 1; earlier ones are brought up to it."""


@attrs.frozen
class Damage:
    """What was found at the path of a database that could not be used."""

    fault: str
    """What is wrong with it, for a person."""
    aside: Path
    """Where it lies now."""


def open_database(
    path: Path,
    form: Format,
    connect: Callable[[], T],
    *,
    thorough: bool,
    fault: str | None = None,
    wait_s: float = LOCK_WAIT_S,
) -> tuple[T, Damage | None]:
    """What `connect` makes of the database `path`, and what was there before, if that was damaged.

    The file is created, with its directory, when it is missing (0600, 0700). A database that is damaged,
    foreign, or of a version that this program does not know is moved aside as ``*.damaged``, and `connect`
    gets an empty file; to save what is good in the damaged one, and to tell of it, is the caller's part.

    Args:
        path: Where it lies or shall lie.
        form: What it must be.
        connect: Connects to the path, and calls `migrate`; where it raises an error that `is_damage`, the
            database counts as damaged, and it is called once more.
        thorough: Read every page, and not only the first one; see `find_fault`.
        fault: Why the database is damaged, if that is known already.
        wait_s: How long to wait for a lock, in seconds.

    Raises:
        OSError: The file cannot be created or written.
        sqlite3.Error: It cannot be written.
    """
    make_private_directory(path.absolute().parent)
    make_private_file(path)
    fault = fault or find_fault(
        path,
        application_id=form.application_id,
        version=form.version,
        oldest_version=1,
        timeout_s=wait_s,
        thorough=thorough,
    )
    if fault is None:
        try:
            return connect(), None
        except (sqlite3.Error, UnicodeDecodeError) as exc:
            if not is_damage(exc):
                raise
            fault = reason_of(exc)
    aside = move_database_aside(path)
    make_private_file(path)
    return connect(), Damage(fault, aside)


def move_database_aside(path: Path) -> Path:
    """The new name, ``*.damaged`` or ``*.damaged2`` and so on, of the SQLite database `path`.

    Renamed and not deleted, because what cannot be read may belong to somebody else. Missing files are
    passed over: another process may have done the same a moment ago.

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
    """A connection for any thread, with row checksums; each statement is a transaction unless one is begun.

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
    """Bring a database to the present version, in one transaction; nothing is locked for a present one.

    Args:
        connection: For this thread alone, outside of a transaction.
        form: What the database must be.
        migrations: SQL that brings it from each version to the next, the first one from an empty file. One
            that was published is never changed: what is to be different later comes as another.

    Raises:
        sqlite3.DatabaseError: It is of a version that this program does not know.
    """
    if _version(connection) == form.version:
        return
    with transaction(connection):
        version = _version(connection)  # Another process may have changed it meanwhile.
        if version > form.version:
            raise sqlite3.DatabaseError(f"its format is {version}, and {form.version} is the newest known")
        for migration in migrations[version:]:
            # Not executescript, which would end the transaction.
            for statement in filter(str.strip, migration.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {form.application_id}")
        connection.execute(f"PRAGMA user_version = {form.version}")


def _version(connection: sqlite3.Connection) -> int:
    """The version of a database; 0 of an empty one, whatever it says."""
    ((tables,),) = connection.execute("SELECT COUNT(*) FROM sqlite_master")
    ((version,),) = connection.execute("PRAGMA user_version")
    return int(version) if tables else 0
