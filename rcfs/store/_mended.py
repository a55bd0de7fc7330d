"""The cache's database, which is reopened when it fails, and rebuilt if that does not help."""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from rcfs.errors import StoreError
from rcfs.private import reason_of
from rcfs.store._cache_database import ODD_SETTINGS, Timeout
from rcfs.store._cache_opening import open_table
from rcfs.store._sqlite import first_error, is_damage
from rcfs.store._table import ChunkTable

T = TypeVar("T")

_LOCKED_PAUSE_S = 10.0
"""Pause in writing after the lock was not free in time, in seconds: otherwise each chunk of a large content
would wait again for a process that was stopped while it held the lock."""
_RECOVERY_INTERVAL_S = 60.0
"""Time between two attempts to mend the database, in seconds: a failing disk needs mending again and
again."""


class MendedTable:
    """The table of one cache directory; any thread may use it."""

    def __init__(
        self,
        table: ChunkTable,
        directory: Path,
        warn: Callable[[str], None],
        tell: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        """Takes over `table`; `warn` gets a line each time that it is rebuilt, `tell` each other failure."""
        self.present = table
        """The table in use."""
        self.lock = threading.RLock()
        """Held by the one thread of this process that writes; taken before SQLite's lock of all processes."""
        self._directory = directory
        self._warn = warn
        self._tell = tell
        self._clock = clock
        self._locked_until_s = 0.0
        self._recover_from_s = 0.0

    @property
    def is_writable(self) -> bool:
        """Whether writing may succeed now."""
        return not self.present.read_only and self._clock() >= self._locked_until_s

    def close(self) -> None:
        """Close the table; nothing may be called afterwards."""
        with self.lock:
            self.present.dispose()

    def attempt(self, work: Callable[[ChunkTable], T], otherwise: T) -> T:
        """The result of `work`, or `otherwise` if the database fails and cannot be mended."""
        remedies = iter((self._reopen, self._rebuild))
        while True:
            table = self.present
            try:
                with table.session():
                    try:
                        return work(table)
                    except (sqlite3.Error, OSError, *ODD_SETTINGS):
                        table.abandon()
                        raise
            except Timeout:
                self._locked_until_s = self._clock() + _LOCKED_PAUSE_S
                self._tell(
                    f"the cache in {self._directory} is locked by another process, or its disk fails;"
                    f" rcfs tries again in {_LOCKED_PAUSE_S:.0f} s"
                )
                return otherwise
            except (sqlite3.Error, OSError, *ODD_SETTINGS) as exc:
                error = first_error(exc)
            remedy = next(remedies, None)
            if remedy is None or not _may_be_mended(error) or not remedy(table, error):
                self._tell(f"the cache in {self._directory} cannot be used: {reason_of(error)}")
                return otherwise

    def _reopen(self, broken: ChunkTable, _error: Exception) -> bool:
        """Reopen the database, which rebuilds a damaged one; whether `broken` has been replaced."""
        with self.lock:
            if self.present is not broken:
                return True
            if self._clock() < self._recover_from_s:
                return False
            self._recover_from_s = self._clock() + _RECOVERY_INTERVAL_S
            return self._replace(broken, fault=None)

    def _rebuild(self, broken: ChunkTable, error: Exception) -> bool:
        """Rebuild the database, if reopening did not help: its schema may be sound, but not ours."""
        with self.lock:
            return self.present is not broken or self._replace(broken, fault=reason_of(error))

    def _replace(self, broken: ChunkTable, fault: str | None) -> bool:
        try:
            self.present = open_table(
                self._directory, self._warn, broken.wall_clock, thorough=True, fault=fault
            )
        except StoreError:
            return False
        broken.dispose()
        return True


def _may_be_mended(error: Exception) -> bool:
    """Whether reopening the database may end `error`: damage, or files that somebody removed."""
    if isinstance(error, sqlite3.Error):
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        return is_damage(error) or code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR)
    return isinstance(error, (FileNotFoundError, *ODD_SETTINGS))
