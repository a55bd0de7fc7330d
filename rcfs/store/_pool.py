"""Connections to one database, shared by worker threads: one for each that uses it now, up to a limit.

A connection for each thread would stay open as long as its thread, and longer: SQLite closes a file only when
no connection of the process holds a lock on it, and in write-ahead mode each connection holds one.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_KEPT = 2
"""Idle connections that stay open. A burst opens more, in 0.2 ms each (measured 2026-11), and closes them
again, so that it leaves no descriptors and page caches behind."""


class ConnectionPool:
    """The connections to one database; any thread may use it."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], most: int) -> None:
        """Opens at most `most` connections with `connect`, whose connections any thread can use."""
        self._connect = connect
        self._seats = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for this thread alone; waits while `most` others have one.

        Raises:
            sqlite3.Error: It cannot be opened.
        """
        with self._seats:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = self._connect()
            try:
                yield connection
            finally:
                self.give(connection)

    def give(self, connection: sqlite3.Connection) -> None:
        """Return a connection to the pool; it may be closed already."""
        with self._lock:
            if not self._closed and len(self._idle) < _KEPT and _is_usable(connection):
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close all connections, those in use as soon as they are returned."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _is_usable(connection: sqlite3.Connection) -> bool:
    """Whether it is open, and not within a transaction that failed."""
    try:
        return not connection.in_transaction
    except sqlite3.ProgrammingError:
        return False
