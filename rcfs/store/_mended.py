"""The cache's database, which is opened anew when it fails, and rebuilt when that does not help."""

import sqlite3
import threading
import time
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
"""After a lock was not had in time nothing is written for so long, in seconds: else each chunk of a large
content would wait again for a process that was stopped while it held the lock."""
_RECOVERY_INTERVAL_S = 60.0
"""At most one attempt to mend the database in so many seconds: on a failing disk there is no end to it."""


class MendedTable:
    """The table of one cache directory; any thread may use it."""

    def __init__(
        self,
        table: ChunkTable,
        directory: Path,
        warn: Callable[[str], None],
        tell: Callable[[str], None],
    ) -> None:
        """Takes over `table`; `warn` gets a line each time that it is rebuilt, `tell` why something fails."""
        self.present = table
        """The present one."""
        self.lock = threading.RLock()
        """Held by whoever writes: one at a time of this process, before SQLite's lock of all processes."""
        self._directory = directory
        self._warn = warn
        self._tell = tell
        self._locked_until_s = 0.0
        self._recover_from_s = 0.0

    @property
    def is_writable(self) -> bool:
        """Whether to write has a chance now."""
        return not self.present.read_only and time.monotonic() >= self._locked_until_s

    def close(self) -> None:
        """Close it; nothing may be called afterwards."""
        with self.lock:
            self.present.dispose()

    def attempt(self, work: Callable[[ChunkTable], T], otherwise: T) -> T:
        """The result of `work`, or `otherwise` when the database fails and cannot be mended either."""
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
                self._locked_until_s = time.monotonic() + _LOCKED_PAUSE_S
                self._tell(f"the cache in {self._directory} is locked by another process, or its disk fails")
                return otherwise
            except (sqlite3.Error, OSError, *ODD_SETTINGS) as exc:
                error = first_error(exc)
            remedy = next(remedies, None)
            if remedy is None or not _may_be_mended(error) or not remedy(table, error):
                self._tell(f"the cache in {self._directory} fails: {reason_of(error)}")
                return otherwise

    def _reopen(self, broken: ChunkTable, _error: Exception) -> bool:
        """Open the database anew, rebuilt if need be; whether there is another one than `broken` now."""
        with self.lock:
            if self.present is not broken:
                return True
            if time.monotonic() < self._recover_from_s:
                return False
            self._recover_from_s = time.monotonic() + _RECOVERY_INTERVAL_S
            return self._replace(broken, fault=None)

    def _rebuild(self, broken: ChunkTable, error: Exception) -> bool:
        """The same, when opening it anew did not help: the schema may contradict nothing but us."""
        with self.lock:
            return self.present is not broken or self._replace(broken, fault=reason_of(error))

    def _replace(self, broken: ChunkTable, fault: str | None) -> bool:
        try:
            self.present = open_table(self._directory, self._warn, thorough=True, fault=fault)
        except StoreError:
            return False
        broken.dispose()
        return True


def _may_be_mended(error: Exception) -> bool:
    """Whether opening the database anew may end `error`: damage, or files that were removed under us."""
    if isinstance(error, sqlite3.Error):
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        return is_damage(error) or code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR)
    return isinstance(error, (FileNotFoundError, *ODD_SETTINGS))
