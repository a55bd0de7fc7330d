"""What a manifest tells, at hand on the disk: a copy of a million messages has some millions of files."""

import threading
from collections.abc import Iterable, Iterator

from rcfs.pull._manifest import (
    Complete,
    account_of,
    complete_line,
    header,
    line,
    parse_complete,
    parse_line,
)
from rcfs.pull._scratch import open_scratch

_SCHEMA = """CREATE TABLE digests (
    path BLOB PRIMARY KEY, digest BLOB NOT NULL, size_bytes INTEGER
) WITHOUT ROWID"""
_PAGE = 1000
"""Paths that are in memory at a time."""


class Digests:
    """The SHA-256 of files by their paths, and which directories were complete; any thread may ask."""

    def __init__(self, *, is_sorted: bool = True) -> None:
        """Begins empty."""
        self._database = open_scratch(_SCHEMA)
        self._lock = threading.Lock()
        self._has_sizes = False
        self.is_sorted = is_sorted
        """Whether the manifest that was read is as `lines` would write it."""
        self.complete: dict[str, Complete] = {}
        """What the directories at the top were when they were complete, by name."""

    def read(self, lines: Iterable[str]) -> str | None:
        """Takes over a manifest, line by line; its account, None when it is not one of rcfs.

        Of several lines for one path the last counts.
        """
        rest = iter(lines)
        first = next(rest, "")
        account = account_of(first)
        if account is None:
            return None
        self.is_sorted = first == header(account)
        files = iter(self._files_of(rest))
        with self._lock:
            self._database.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, NULL)", files)
        return account

    def _files_of(self, lines: Iterable[str]) -> Iterator[tuple[bytes, bytes]]:
        last = b""
        for text in lines:
            parsed = parse_line(text)
            if parsed is not None:
                path = _encoded(parsed[0])
                self.is_sorted = self.is_sorted and path > last
                last = path
                yield path, bytes.fromhex(parsed[1])
                continue
            complete = parse_complete(text)
            self.is_sorted = self.is_sorted and complete is not None and not last
            if complete is not None:
                self.complete[complete[0]] = complete[1]

    def lines(self, account_id: str) -> Iterator[str]:
        """The lines of the manifest of all of it, in the order of the paths."""
        yield header(account_id)
        for name, complete in sorted(self.complete.items()):
            yield complete_line(name, complete)
        for path, digest in self.below(""):
            yield line(path, digest.hex())

    def below(self, directory: str) -> Iterator[tuple[str, bytes]]:
        """(path, digest) of all files below `directory`, the empty one for the top, in the order of paths."""
        after = _encoded(f"{directory}/") if directory else b""
        before = _encoded(f"{directory}0") if directory else b"\xff"  # "0" is the character after the slash.
        while True:
            with self._lock:
                page = self._database.execute(
                    "SELECT path, digest FROM digests WHERE path > ? AND path < ? ORDER BY path LIMIT ?",
                    (after, before, _PAGE),
                ).fetchall()
            for path, digest in page:
                yield _decoded(path), digest
            if len(page) < _PAGE:
                return
            after = page[-1][0]

    def get(self, path: str) -> str | None:
        """The digest of the file at `path` in hexadecimal; None when there is none."""
        with self._lock:
            row = self._database.execute(
                "SELECT digest FROM digests WHERE path = ?", (_encoded(path),)
            ).fetchone()
        return None if row is None else row[0].hex()

    def put(self, path: str, digest: str, size_bytes: int | None = None) -> None:
        """Notes the digest of the file at `path`, in hexadecimal, and its size, when it was written now."""
        row = (_encoded(path), bytes.fromhex(digest), size_bytes)
        with self._lock:
            self._has_sizes = True
            self._database.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", row)

    def put_size(self, path: str, size_bytes: int) -> None:
        """Notes that the file at `path`, whose digest is known, is as it is to be, and has that size."""
        with self._lock:
            self._has_sizes = True
            self._database.execute(
                "UPDATE digests SET size_bytes = ? WHERE path = ?", (size_bytes, _encoded(path))
            )

    def size_of(self, path: str) -> int | None:
        """Size in bytes that the file at `path` had when it was last seen to be as it is to be."""
        if not self._has_sizes:
            return None
        with self._lock:
            row = self._database.execute(
                "SELECT size_bytes FROM digests WHERE path = ?", (_encoded(path),)
            ).fetchone()
        return None if row is None else row[0]

    def rename(self, old: str, new: str) -> None:
        """Gives the file at `old` the path `new`."""
        with self._lock:
            self._database.execute(
                "UPDATE OR REPLACE digests SET path = ? WHERE path = ?", (_encoded(new), _encoded(old))
            )


def _encoded(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _decoded(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
