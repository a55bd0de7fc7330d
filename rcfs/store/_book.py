"""Databases in which a change is on the disk, also through a power cut, before its method returns.

No database in memory takes the place of one that cannot be written: what they hold cannot be asked for again.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

from rcfs.errors import NoRoomError, StoreError
from rcfs.filenames import StateFiles
from rcfs.private import reason_of
from rcfs.store._database import READ_WAIT_S
from rcfs.store._small_database import DatabaseKind
from rcfs.store._sqlite import is_full, transaction


class Book:
    """Such a database of a state directory; any thread may use it, and several processes a directory.

    Raises (all methods but `close`):
        StoreError: The database fails.
    """

    def __init__(
        self,
        files: StateFiles,
        name: str,
        connection: sqlite3.Connection,
        reader: sqlite3.Connection,
        watcher: sqlite3.Connection,
    ) -> None:
        """Use `open` instead."""
        self._files = files
        self._name = name
        self._connection = connection
        self._reader = reader
        self._watcher = watcher
        self._lock = threading.Lock()

    @classmethod
    def _opened(cls, kind: DatabaseKind, path: Path, files: StateFiles, warn: Callable[[str], None]) -> Self:
        """The database `path` of that kind, created when missing (0600, 0700).

        A damaged or foreign one is moved aside as ``*.damaged``, and its good rows are copied into a new one;
        `warn` gets a line.
        """
        with _store_errors(f"{kind.name} {path}"):
            connection = kind.open(path, warn, thorough=True)
            with ExitStack() as opened:
                opened.callback(connection.close)
                connection.execute("PRAGMA synchronous = FULL")
                reader = kind.connect(path, READ_WAIT_S)
                opened.callback(reader.close)
                watcher = kind.connect(path, READ_WAIT_S)
                opened.pop_all()
            return cls(files, kind.name, connection, reader, watcher)

    def version(self) -> int:
        """A number that changes with every change of the database, by this process or another.

        For the event loop: it never waits for another thread, and takes some microseconds.
        """
        with _store_errors(self._name):
            ((number,),) = self._watcher.execute("PRAGMA data_version")
            return int(number)

    def close(self) -> None:
        """Close the database; nothing may be called afterwards."""
        with self._lock, suppress(sqlite3.Error):
            self._watcher.close()
            self._reader.close()
            self._connection.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A block in which this thread alone reads."""
        with self._lock, _store_errors(self._name):
            yield self._reader

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A block in which this thread alone changes the database, each statement on its own."""
        with self._lock, _store_errors(self._name):
            yield self._connection

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """As `_writing`, in one transaction."""
        with self._writing() as connection, transaction(connection):
            yield connection


@contextmanager
def _store_errors(subject: str) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as exc:
        kind = NoRoomError if is_full(exc) else StoreError
        raise kind(f"{subject} cannot be used: {reason_of(exc)}") from exc
