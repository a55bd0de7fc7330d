"""Writing to a small database that another process may have locked, without waiting for that process."""

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rcfs.store._sqlite import is_busy

_WAIT_S = 0.05
"""How long a write waits for another process, in seconds; one write takes well under a millisecond."""
_PAUSE_S = 1.0
"""After a lock was not had in time nothing is tried for so long, in seconds: those who write are somebody's
reads, and each of them would wait again."""
_LAST_WAIT_S = 5.0
"""How long the last attempt waits, in seconds, when the database is closed."""
_MOST = 10_000
"""Statements that are kept for later; at 40 requests a minute hours of them."""

Statement = tuple[str, tuple[object, ...]]


class LaterWriter:
    """Executes statements in their order: at once, or with a later one if the database is locked now.

    Any thread may use it. What is not written when the process is killed is lost.
    """

    def __init__(
        self, connection: sqlite3.Connection, on_written: Callable[[Sequence[Statement]], None]
    ) -> None:
        """Writes through `connection`, which is for this alone; `on_written` hears what was written."""
        self._connection = connection
        self._on_written = on_written
        self._lock = threading.Lock()
        self._waiting: deque[Statement] = deque(maxlen=_MOST)
        self._not_before_s = 0.0

    def write(self, statement: str, values: tuple[object, ...]) -> None:
        """Execute a statement, now or later.

        Raises:
            sqlite3.Error: The database fails otherwise than by being locked; what was to be written is lost.
        """
        self._waiting.append((statement, values))
        with self._lock:
            if time.monotonic() >= self._not_before_s:
                self._write(_WAIT_S)

    @contextmanager
    def exclusive(self) -> Iterator[sqlite3.Connection]:
        """The connection, for this thread alone, after all that waits was written.

        Raises:
            sqlite3.Error: The database is locked, or fails otherwise.
        """
        with self._lock:
            self._write(_LAST_WAIT_S)
            yield self._connection

    def close(self) -> None:
        """Execute what is left, and close the connection; never raises."""
        with self._lock:
            try:
                self._write(_LAST_WAIT_S)
            except sqlite3.Error:
                pass  # There is nobody left who could do something about it.
            finally:
                self._connection.close()

    def _write(self, wait_s: float) -> None:
        waiting = list(self._waiting)
        if not waiting:
            return
        try:
            self._connection.execute(f"PRAGMA busy_timeout = {wait_s * 1000:.0f}")
            self._connection.execute("BEGIN IMMEDIATE")
            for statement, values in waiting:
                self._connection.execute(statement, values)
            self._connection.execute("COMMIT")
        except (sqlite3.Error, UnicodeError) as exc:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if isinstance(exc, sqlite3.Error) and is_busy(exc):
                self._not_before_s = time.monotonic() + _PAUSE_S
                return
            self._waiting.clear()
            raise
        for _written in waiting:
            self._waiting.popleft()
        self._on_written(waiting)
