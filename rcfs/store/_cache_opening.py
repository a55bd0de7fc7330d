"""Opening a cache directory in any state: new, damaged, read-only, or on a full disk."""

import contextlib
import os
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from rcfs.errors import StoreError
from rcfs.filenames import CacheFiles
from rcfs.private import make_private_directory, reason_of
from rcfs.store._cache_database import FORM, LOCK_WAIT_S, ODD_SETTINGS, Timeout
from rcfs.store._checksum import DamagedRowError
from rcfs.store._database import open_database
from rcfs.store._table import ChunkTable

_SMALL_BYTES = 2 << 20
"""A database of this size, with some 5,000 chunks, is checked whole in 20 ms (see `find_fault`)."""
_MEMORY_DIRECTORY = "/dev/shm"  # noqa: S108 - only ever used through TemporaryDirectory
"""Linux keeps its files in memory, so it can be written when the disk is full."""


def open_table(
    directory: Path,
    warn: Callable[[str], None],
    wall_clock: Callable[[], float],
    *,
    thorough: bool = False,
    fault: str | None = None,
) -> ChunkTable:
    """The database of the cache `directory`, both created when missing; a damaged database is rebuilt.

    Args:
        directory: An absolute path.
        warn: Gets one line if a database was moved aside.
        wall_clock: Seconds since 1970 UTC.
        thorough: Check every page, which is done for a small database in any case.
        fault: The damage, if it is known already.

    Raises:
        StoreError: The directory cannot be created or written; the text names it and the reason.
    """
    # diskcache expands what looks like an environment variable, and would go elsewhere than we do.
    if os.path.expandvars(str(directory)) != str(directory):
        raise _unusable(directory, "its path has the name of an environment variable after a $; rename it")
    files = CacheFiles(directory)
    database = files.database
    try:
        make_private_directory(files.chunks)
        is_small = not database.exists() or database.stat().st_size <= _SMALL_BYTES
        (table, adopted), damage = open_database(
            database,
            FORM,
            partial(_reconciled, directory, wall_clock),
            thorough=thorough or is_small,
            fault=fault,
            wait_s=LOCK_WAIT_S,
        )
    except (OSError, sqlite3.Error) as exc:
        raise _unusable(directory, reason_of(exc)) from exc
    if damage is not None:
        warn(
            f"the cache database {database} is unusable ({damage.fault}); rcfs moved it to"
            f" {damage.aside.name}, and made a new one from {adopted} chunks"
        )
    return table


def open_read_only(directory: Path, wall_clock: Callable[[], float]) -> ChunkTable:
    """A table for reading the value files in `directory`; its database is a temporary one.

    SQLite cannot read a database in write-ahead mode in a directory that it cannot write, so the rows are
    built from the headers of the value files, in about 30 µs each.

    Raises:
        StoreError: There are no value files, they cannot be read, or no directory in memory can be created.
    """
    memory = _MEMORY_DIRECTORY if os.access(_MEMORY_DIRECTORY, os.W_OK) else None
    try:
        scratch = TemporaryDirectory(prefix="rcfs-cache-", dir=memory)
        with contextlib.ExitStack() as stack:
            stack.callback(scratch.cleanup)
            CacheFiles(Path(scratch.name)).chunks.symlink_to(CacheFiles(directory).chunks)
            table = ChunkTable(Path(scratch.name), wall_clock, scratch)
            table.reconcile()
            stack.pop_all()
    except (OSError, sqlite3.Error) as exc:
        raise _unusable(directory, reason_of(exc)) from exc
    return table


def _unusable(directory: Path, reason: str) -> StoreError:
    """The error for a cache `directory` that cannot be used, with the reason."""
    return StoreError(f"the cache directory {directory} cannot be used: {reason}")


def _reconciled(directory: Path, wall_clock: Callable[[], float]) -> tuple[ChunkTable, int]:
    """The database of the cache, and the number of value files that were added to it."""
    try:
        table = ChunkTable(directory, wall_clock)
        return table, _reconcile(table)
    except ODD_SETTINGS as exc:
        raise DamagedRowError(str(exc)) from exc


def _reconcile(table: ChunkTable) -> int:
    # A process that holds the lock now has reconciled the same table.
    with contextlib.suppress(Timeout):
        return table.reconcile()
    return 0
