"""The SQLite databases that a forked process has inherited open.

SQLite keeps one table of locks for all connections of a process to a file. A fork copies the table, but not
the locks: they belong to the parent. So a connection that the child opens relies on a shared lock that nobody
holds for it, and when the parent closes its last connection, it deletes the log that the child writes to
(seen 2026-11). The child cannot reset the table, but it can take the locks that the table says it has.

Source: fcntl(2); https://www.sqlite.org/howtocorrupt.html, "Carrying an open database file across a fork()";
the positions are in SQLite's os.h (SHARED_FIRST) and os_unix.c (UNIX_SHM_DMS).
"""

import fcntl
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_SHARED_AT, _SHARED_BYTES = 0x40000002, 510
"""The lock of each connection to a database with a write-ahead log."""
_LIVE_AT = 128
"""The lock of each connection in the ``-shm`` file: the log must not be deleted."""
_SHM = "-shm"


def lock_inherited(directories: Iterable[Path]) -> None:
    """Takes the shared locks of all databases below `directories` that this process has open.

    Call it right after the fork, and again after opening databases: a process loses its locks of a file when
    it closes any descriptor of it.
    """
    inside = tuple(f"{directory.resolve()}/" for directory in directories)
    open_files: dict[str, int] = {}
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the descriptor of the listing itself
            path = str(link.readlink())
            if path.startswith(inside):
                open_files[path] = int(link.name)
    for path, descriptor in open_files.items():
        database = open_files.get(path.removesuffix(_SHM))
        if path.endswith(_SHM) and database is not None:
            with suppress(OSError):  # held exclusively by a process that closes the database
                fcntl.lockf(database, fcntl.LOCK_SH | fcntl.LOCK_NB, _SHARED_BYTES, _SHARED_AT)
                fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, _LIVE_AT)
