"""Databases for what a pull must remember of a million files, and may forget at its end."""

import sqlite3


def open_scratch(schema: str) -> sqlite3.Connection:
    """A database of its own in a file without a name, which only SQLite has open, and which ends with it.

    Little of it is in memory: the pages that were used last, 2 MB. May be used by any thread, one at a time.
    """
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    connection.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {schema}; BEGIN")
    return connection
