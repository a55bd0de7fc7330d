"""Scratch databases: a pull keeps what it must remember of millions of files out of memory."""

import sqlite3


def open_scratch(schema: str) -> sqlite3.Connection:
    """A new database in a temporary file without a name, which SQLite deletes when it is closed.

    SQLite holds the pages that were used last in memory, 2 MB. Any thread may use it, one at a time.
    """
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    connection.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {schema}; BEGIN")
    return connection


def encoded(path: str) -> bytes:
    """The bytes of a path in a database; a lone surrogate, which no UTF-8 has, is kept."""
    return path.encode("utf-8", "surrogateescape")


def decoded(path: bytes) -> str:
    """The path that `encoded` gave these bytes."""
    return path.decode("utf-8", "surrogateescape")
