"""Whether a cache has some of a content, answered at once, so that the event loop may ask."""

import contextlib
import os
import sqlite3
from pathlib import Path


class Glance:
    """A connection to the database of a cache that only reads, and waits for no lock; for one thread."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        """Device and inode of the file that is open."""

    def has(self, tag: str) -> bool | None:
        """Whether a row has the tag of a content; None if the database cannot tell now."""
        try:
            status = os.stat(self._database)  # noqa: PTH116 - half as long as Path.stat
            # A process that finds the database damaged, or a user, may have put another file in its place.
            if self._connection is None or self._file != (status.st_dev, status.st_ino):
                self.close()
                self._file = status.st_dev, status.st_ino
                uri = f"{self._database.as_uri()}?mode=ro"
                self._connection = sqlite3.connect(
                    uri, timeout=0, isolation_level=None, check_same_thread=False, uri=True
                )
            # All rows, so that no read stays open, which would let the log grow.
            select = "SELECT 1 FROM Cache WHERE tag = ? LIMIT 1"
            return bool(self._connection.execute(select, (tag,)).fetchall())
        except (OSError, sqlite3.Error):
            self.close()
            return None

    def close(self) -> None:
        """Closes the connection; the next question opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
