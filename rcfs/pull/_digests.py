"""The contents of a manifest, in a scratch database: a copy of a million messages has millions of files."""

import threading
from collections.abc import Iterable, Iterator
from typing import Any

from rcfs.pull._manifest import (
    Complete,
    account_of,
    complete_line,
    header,
    line,
    parse_complete,
    parse_line,
)
from rcfs.pull._scratch import decoded, encoded, open_scratch

_SCHEMA = """CREATE TABLE digests (
    path BLOB PRIMARY KEY, digest BLOB NOT NULL, size_bytes INTEGER
) WITHOUT ROWID"""
_PAGE = 1000
"""Paths that `below` holds in memory at a time."""


class Digests:
    """The SHA-256 of files by path, and the notes about complete directories; any thread may ask."""

    def __init__(self, *, is_current: bool = True) -> None:
        """Begins without files; see the attribute `is_current`."""
        self._database = open_scratch(_SCHEMA)
        self._lock = threading.Lock()
        self._has_sizes = False
        self.is_current = is_current
        """Whether the manifest on the disk is as `lines` would write it."""
        self.complete: dict[str, Complete] = {}
        """The notes about top-level directories, by name."""

    def read(self, lines: Iterable[str]) -> str | None:
        """Reads a manifest line by line; returns its account, None when rcfs did not write it.

        Of several lines for one path the last one counts.
        """
        rest = iter(lines)
        first = next(rest, "")
        account = account_of(first)
        if account is None:
            return None
        self.is_current = first == header(account)
        files = iter(self._files_of(rest))
        with self._lock:
            self._database.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, NULL)", files)
        return account

    def _files_of(self, lines: Iterable[str]) -> Iterator[tuple[bytes, bytes]]:
        last = b""
        for text in lines:
            parsed = parse_line(text)
            if parsed is not None:
                path = encoded(parsed[0])
                self.is_current = self.is_current and path > last
                last = path
                yield path, bytes.fromhex(parsed[1])
                continue
            complete = parse_complete(text)
            self.is_current = self.is_current and complete is not None and not last
            if complete is not None:
                self.complete[complete[0]] = complete[1]

    def lines(self, account_id: str) -> Iterator[str]:
        """The lines of a whole manifest, sorted by path."""
        yield header(account_id)
        for name, complete in sorted(self.complete.items()):
            yield complete_line(name, complete)
        for path, digest in self.below(""):
            yield line(path, digest.hex())

    def below(self, directory: str) -> Iterator[tuple[str, bytes]]:
        """(path, digest) of all files below `directory`, sorted by path; empty for the whole copy."""
        after = encoded(f"{directory}/") if directory else b""
        before = encoded(f"{directory}0") if directory else b"\xff"  # "0" is the character after the slash.
        while True:
            with self._lock:
                page = self._database.execute(
                    "SELECT path, digest FROM digests WHERE path > ? AND path < ? ORDER BY path LIMIT ?",
                    (after, before, _PAGE),
                ).fetchall()
            for path, digest in page:
                yield decoded(path), digest
            if len(page) < _PAGE:
                return
            after = page[-1][0]

    def get(self, path: str) -> str | None:
        """The digest of the file at `path` in hexadecimal; None when the manifest does not have it."""
        digest = self._value("digest", path)
        return None if digest is None else digest.hex()

    def put(self, path: str, digest: str, size_bytes: int | None = None) -> None:
        """Notes the digest in hexadecimal, and if known the size, of the file at `path`."""
        row = (encoded(path), bytes.fromhex(digest), size_bytes)
        with self._lock:
            self._has_sizes = True
            self.is_current = False
            self._database.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", row)

    def put_complete(self, name: str, complete: Complete) -> None:
        """Notes that the top-level directory `name` is complete."""
        self.complete[name] = complete
        self.is_current = False

    def put_size(self, path: str, size_bytes: int) -> None:
        """Notes that the file at `path`, whose digest is known, is right and has that size."""
        with self._lock:
            self._has_sizes = True
            self._database.execute(
                "UPDATE digests SET size_bytes = ? WHERE path = ?", (size_bytes, encoded(path))
            )

    def size_of(self, path: str) -> int | None:
        """Size in bytes of the file at `path` when this pull knew it to be right; None if it never did."""
        return self._value("size_bytes", path) if self._has_sizes else None

    def _value(self, column: str, path: str) -> Any:
        query = f"SELECT {column} FROM digests WHERE path = ?"  # noqa: S608 - our own words
        with self._lock:
            row = self._database.execute(query, (encoded(path),)).fetchone()
        return None if row is None else row[0]

    def rename(self, old: str, new: str) -> None:
        """Changes the path of the file at `old` to `new`."""
        with self._lock:
            self.is_current = False
            self._database.execute(
                "UPDATE OR REPLACE digests SET path = ? WHERE path = ?", (encoded(new), encoded(old))
            )
