"""The contents of a manifest, in a scratch database: a copy of a million messages has millions of files."""

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from rcfs.pull._facts import Fact, Had, HadRow, PullNote, fact_line, had_line, pull_line
from rcfs.pull._manifest import Complete, CompleteEntry, FileEntry, complete_line, entries, header, line
from rcfs.pull._manifest_file import OpenManifest
from rcfs.pull._notes import NOTES_SCHEMA, Notes
from rcfs.pull._scratch import decoded, encoded, open_scratch

_SCHEMA = f"""
CREATE TABLE digests (
    path BLOB PRIMARY KEY, digest BLOB NOT NULL, size_bytes INTEGER, noted_bytes INTEGER
) WITHOUT ROWID;
CREATE TABLE facts (
    path BLOB PRIMARY KEY, key TEXT NOT NULL, owner INTEGER NOT NULL, kind TEXT NOT NULL, month TEXT NOT NULL,
    is_message INTEGER NOT NULL DEFAULT 0, seen INTEGER NOT NULL DEFAULT 0, gone INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
{NOTES_SCHEMA}"""
_PAGE = 1000
"""Paths that `below` holds in memory at a time."""
_LATE_NOTES = 1000
"""Notes behind the files that are no reason to write the manifest again, which takes seconds for a million
files."""
_ENTRY = (
    "SELECT d.path, digest, noted_bytes, key, owner, kind, month FROM digests d LEFT JOIN facts USING (path)"
)
_FOUND = """SELECT kind, month, COUNT(DISTINCT CASE WHEN is_message THEN key END),
    COUNT(DISTINCT CASE WHEN NOT is_message AND NOT gone THEN key END),
    COUNT(DISTINCT CASE WHEN NOT is_message AND gone THEN key END)
    FROM facts WHERE owner = ? AND seen GROUP BY kind, month"""


class Digests:
    """The SHA-256 of files by path, what the files are, and the notes of pulls; any thread may ask."""

    def __init__(self, *, is_current: bool = True) -> None:
        """Begins without files; see the attribute `is_current`."""
        self._database = open_scratch(_SCHEMA)
        self._lock = threading.Lock()
        self._has_sizes = False
        self.is_current = is_current
        """Whether the manifest on the disk is as `lines` would write it."""
        self.complete: dict[str, Complete] = {}
        """The notes about top-level directories, by name."""
        self.merged: list[str] = []
        """Names of the manifests of members that were read as well; see `rcfs.pull._members`."""
        self._notes = Notes(self._database)

    def read(self, manifest: OpenManifest) -> None:
        """Reads a manifest line by line; of several lines for one path the last one counts."""
        self.is_current = self.is_current and manifest.is_usual
        rows: list[FileEntry] = []
        for entry in self._files_of(manifest.lines):
            rows.append(entry)
            if len(rows) == _PAGE:
                self._take(rows)
                rows.clear()
        self._take(rows)

    def _take(self, rows: list[FileEntry]) -> None:
        with self._lock:
            self._database.executemany(
                "INSERT OR REPLACE INTO digests VALUES (?, ?, NULL, ?)",
                ((encoded(row.path), bytes.fromhex(row.digest), row.size_bytes) for row in rows),
            )
            self._database.executemany(
                "INSERT OR REPLACE INTO facts (path, key, owner, kind, month) VALUES (?, ?, ?, ?, ?)",
                (
                    (encoded(row.path), row.fact.key, row.fact.owner, row.fact.kind, row.fact.month)
                    for row in rows
                    if row.fact is not None
                ),
            )

    def _files_of(self, lines: Iterable[str]) -> Iterator[FileEntry]:
        last, notes = b"", 0
        for entry in entries(lines):
            if isinstance(entry, FileEntry):
                path = encoded(entry.path)
                self.is_current = self.is_current and path > last
                last = path
                yield entry
                continue
            notes += bool(last)
            match entry:
                case CompleteEntry():
                    self.is_current = self.is_current and not last
                    self.complete[entry.name] = entry.complete
                case Had():
                    with self._lock:
                        self._notes.merge(entry)
                case PullNote():
                    self._notes.add_pull(entry)
                case _:
                    self.is_current = False
        self.is_current = self.is_current and notes <= _LATE_NOTES

    def lines(self, account_id: str) -> Iterator[str]:
        """The lines of a whole manifest, sorted by path."""
        yield header(account_id)
        for name, complete in sorted(self.complete.items()):
            yield complete_line(name, complete)
        for owner in sorted(self._notes.owners):
            yield had_line(self.had(owner))
        yield from map(pull_line, self._notes.pulls)
        for row in self._paged(_ENTRY, ""):
            yield _lines_of(row)

    def entry_lines(self, path: str) -> str:
        """The lines of the file at `path`, which was put before."""
        with self._lock:
            row = self._database.execute(f"{_ENTRY} WHERE d.path = ?", (encoded(path),)).fetchone()
        return _lines_of(row)

    def below(self, directory: str) -> Iterator[tuple[str, bytes]]:
        """(path, digest) of all files below `directory`, sorted by path; empty for the whole copy."""
        for path, digest in self._paged("SELECT path, digest FROM digests d", directory):
            yield decoded(path), digest

    def _paged(self, query: str, directory: str) -> Iterator[Any]:
        """The rows of a query about files below `directory`, sorted by path, the first column."""
        after = encoded(f"{directory}/") if directory else b""
        before = encoded(f"{directory}0") if directory else b"\xff"  # "0" is the character after the slash.
        query += " WHERE d.path > ? AND d.path < ? ORDER BY d.path LIMIT ?"
        while True:
            with self._lock:
                page = self._database.execute(query, (after, before, _PAGE)).fetchall()
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1][0]

    def get(self, path: str) -> str | None:
        """The digest of the file at `path` in hexadecimal; None when the manifest does not have it."""
        digest = self._value("digest", path)
        return None if digest is None else digest.hex()

    def put(self, path: str, digest: str, size_bytes: int) -> None:
        """Notes the digest in hexadecimal and the size of the file at `path`."""
        row = (encoded(path), bytes.fromhex(digest), size_bytes, size_bytes)
        with self._lock:
            self._has_sizes = True
            self.is_current = False
            self._database.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)", row)

    def put_complete(self, name: str, complete: Complete) -> None:
        """Notes that the top-level directory `name` is complete."""
        self.complete[name] = complete
        self.is_current = False

    def put_size(self, path: str, size_bytes: int) -> None:
        """Notes that the file at `path`, whose digest is known, is right and has that size."""
        with self._lock:
            self._has_sizes = True
            changed = self._database.execute(
                "SELECT 1 FROM digests JOIN facts USING (path) WHERE path = ?1 AND noted_bytes IS NOT ?2",
                (encoded(path), size_bytes),
            ).fetchone()
            self.is_current = self.is_current and changed is None
            self._database.execute(
                "UPDATE digests SET size_bytes = ?1, noted_bytes = ?1 WHERE path = ?2",
                (size_bytes, encoded(path)),
            )

    def size_of(self, path: str) -> int | None:
        """Size in bytes of the file at `path` when this pull knew it to be right; None if it never did."""
        return self._value("size_bytes", path) if self._has_sizes else None

    def put_fact(self, path: str, fact: Fact, *, is_message: bool, gone: bool) -> None:
        """Notes what the file at `path` is, which the platform has now.

        Args:
            path: Its path; the file need not be there.
            fact: What it is.
            is_message: Whether it stands for a whole message.
            gone: Whether the platform has purged it.
        """
        row = (encoded(path), fact.key, fact.owner, fact.kind, fact.month)
        with self._lock:
            known = self._database.execute(
                "SELECT key, owner, kind, month FROM facts WHERE path = ?", row[:1]
            ).fetchone()
            self.is_current = self.is_current and known == row[1:]
            self._database.execute(
                "INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?, ?, 1, ?)", (*row, is_message, gone)
            )

    def had(self, owner: int) -> Had:
        """The findings of all pulls at the platform for `owner`, which `note_had` has noted once."""
        name, at_s = self._notes.owners[owner]
        with self._lock:
            return Had(owner, name, at_s, self._notes.rows(owner))

    def note_had(self, owner: int, name: str, at_s: float) -> Had:
        """Adds up the facts that this pull has put for `owner`, and notes them beside those of earlier pulls.

        Args:
            owner: An extension or the company.
            name: Its directory.
            at_s: When the pull looked, in seconds since 1970 UTC.
        """
        with self._lock:
            rows = self._database.execute(_FOUND, (owner,)).fetchall()
            self._notes.merge(Had(owner, name, at_s, tuple(HadRow(*row) for row in rows)))
        return self.had(owner)

    @property
    def pulls(self) -> tuple[PullNote, ...]:
        """The latest pulls, the last one at the end."""
        return tuple(self._notes.pulls)

    def note_pull(self, note: PullNote) -> PullNote:
        """Notes a pull, with the number of files; a note of the same beginning is replaced."""
        with self._lock:
            ((lines,),) = self._database.execute("SELECT COUNT(*) FROM digests").fetchall()
        note = attrs.evolve(note, lines=lines)
        self._notes.add_pull(note)
        return note

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
            self._database.execute(
                "UPDATE OR IGNORE facts SET path = ? WHERE path = ?", (encoded(new), encoded(old))
            )
            self._database.execute("DELETE FROM facts WHERE path = ?", (encoded(old),))


def _lines_of(row: tuple[bytes, bytes, int | None, str | None, int, str, str]) -> str:
    path, digest, size_bytes, key, owner, kind, month = row
    text = line(decoded(path), digest.hex())
    if key is None or size_bytes is None:
        return text
    return fact_line(Fact(key, owner, kind, month), size_bytes) + text
