"""Small SQLite databases of one table or two: opened as ours and sound, or moved aside and begun anew."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import attrs

from rcfs.store._files import make_private_directory, make_private_file, move_database_aside
from rcfs.store._sqlite import find_fault, lenient_text, mark

_LOCK_WAIT_S = 5.0
"""How long to wait for another process that writes, in seconds; a write takes well under a millisecond."""


@attrs.frozen
class DatabaseKind:
    """What tells our databases of one kind from all others."""

    name: str
    """What is said of one, with the article."""
    application_id: int
    """What ``PRAGMA application_id`` says."""
    version: int
    """What ``PRAGMA user_version`` says."""
    schema: str
    """Statements that make what is missing."""

    def open(self, path: Path, warn: Callable[[str], None], *, thorough: bool) -> sqlite3.Connection:
        """The database `path`, created with its directory when missing (0600, 0700), for any thread.

        One that is damaged, foreign, or of a version that this program does not know is moved aside as
        ``*.damaged``; `warn` gets a line then. `thorough` looks at every page.

        Raises:
            OSError: It cannot be created or written.
            sqlite3.Error: It cannot be written.
        """
        make_private_directory(path.absolute().parent)
        make_private_file(path)
        fault = find_fault(
            path,
            application_id=self.application_id,
            version=self.version,
            timeout_s=_LOCK_WAIT_S,
            thorough=thorough,
        )
        if fault is not None:
            aside = move_database_aside(path)
            warn(f"{self.name} {path} is unusable ({fault}): moved to {aside.name}, begun anew")
            make_private_file(path)
        return self._prepared(_connected(path))

    def connect(self, path: Path, wait_s: float) -> sqlite3.Connection:
        """Another connection, for any thread, to one that is open; it waits for locks for `wait_s` seconds.

        Raises:
            sqlite3.Error: It cannot be opened.
        """
        connection = _connected(path, wait_s=wait_s)
        connection.text_factory = lenient_text
        return connection

    def open_in_memory(self) -> sqlite3.Connection:
        """An empty one in memory, for any thread; others can be attached by their URIs."""
        return self._prepared(_connected(":memory:", uri=True))

    def _prepared(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        try:
            connection.text_factory = lenient_text
            connection.execute("PRAGMA journal_mode = WAL")
            # In WAL mode NORMAL keeps the database sound through a power cut, and spares a sync per change.
            connection.execute("PRAGMA synchronous = NORMAL")
            # Before the tables: a database that has one but no mark is taken for somebody else's.
            mark(connection, application_id=self.application_id, version=self.version)
            connection.executescript(self.schema)
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def _connected(name: Path | str, *, wait_s: float = _LOCK_WAIT_S, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(name, timeout=wait_s, isolation_level=None, check_same_thread=False, uri=uri)
