"""Writes to a small database that wait in memory while another process has it locked."""

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rcfs.store._sqlite import is_busy

_WAIT_S = 0.05
"""Time that a write waits for another process, in seconds; a write takes well under a millisecond."""
_PAUSE_S = 1.0
"""Pause after the lock was not free in time, in seconds: writes happen while users read files, and each read
would wait again."""
_LAST_WAIT_S = 5.0
"""Time that the last attempt waits, in seconds, when the database is closed."""
_MOST = 10_000
"""Statements that wait at most; at 40 requests a minute, four hours of them."""

Statement = tuple[str, tuple[object, ...]]


class LaterWriter:
    """Executes statements in their order: at once, or together with a later one if the database is locked.

    Any thread may use it. Statements that still wait when the process is killed are lost.
    """

    def __init__(
        self, connection: sqlite3.Connection, on_written: Callable[[Sequence[Statement]], None]
    ) -> None:
        """Writes through `connection`, which nothing else uses; `on_written` gets the executed statements."""
        self._connection = connection
        self._on_written = on_written
        self._lock = threading.Lock()
        self._waiting: deque[Statement] = deque(maxlen=_MOST)
        self._not_before_s = 0.0

    def write(self, statement: str, values: tuple[object, ...]) -> None:
        """Execute a statement, now or later.

        Raises:
            sqlite3.Error: The database fails in another way than being locked; the waiting statements are
            lost.
        """
        self.write_all([(statement, values)])

    def write_all(self, statements: Sequence[Statement]) -> None:
        """Execute statements in one transaction, now or later; raises as `write`."""
        self._waiting.extend(statements)
        with self._lock:
            if time.monotonic() >= self._not_before_s:
                self._write(_WAIT_S)

    @contextmanager
    def exclusive(self) -> Iterator[sqlite3.Connection]:
        """The connection, for this thread alone, after all waiting statements.

        Raises:
            sqlite3.Error: The database is locked, or fails otherwise.
        """
        with self._lock:
            self._write(_LAST_WAIT_S)
            yield self._connection

    def close(self) -> None:
        """Execute the waiting statements, and close the connection; never raises."""
        with self._lock:
            try:
                self._write(_LAST_WAIT_S)
            except sqlite3.Error:
                pass  # No caller is left that could react.
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
