"""A copy that is audited: its manifest in a scratch database, and the state of each of its files.

Nothing here trusts the manifest or the directory: see `Places`. However many files the copy has, only a page
of them is in memory. All methods are synchronous, and for one thread at a time.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs

from rcfs.audit._places import Places
from rcfs.audit._values import FileSums, Held, Row, State
from rcfs.errors import StoreError
from rcfs.pull import (
    NOTES_SCHEMA,
    FileEntry,
    Had,
    Notes,
    PullNote,
    UnknownEntry,
    decoded,
    encoded,
    entries,
    is_record_key,
    open_manifest,
    open_scratch,
)
from rcfs.tree import COPY_MANIFEST

_SCHEMA = f"""
CREATE TABLE files (
    path BLOB PRIMARY KEY, digest BLOB NOT NULL, size_bytes INTEGER, key TEXT, owner INTEGER, kind TEXT,
    month TEXT, is_message INTEGER NOT NULL, state TEXT, wanted INTEGER NOT NULL DEFAULT 0,
    told INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
{NOTES_SCHEMA}"""
_PAGE = 500
"""Files in memory at a time, 200 kB."""
_TOLD_EVERY = 1000


@attrs.frozen
class FileState:
    """One file of the copy after the look at it."""

    path: str
    """Path below the copy."""
    state: State
    """Its state."""
    kind: str
    """As in `rcfs.pull.Fact`; empty if the manifest does not say."""
    owner: int | None
    """Likewise; None if the manifest does not say."""


class Archive:
    """The copy in one directory, for reading only; use `open`."""

    def __init__(self, path: Path, fd: int) -> None:
        """For `open` only."""
        self.path = path
        """The directory."""
        self.account_id = ""
        """Account of the copy."""
        self.unknown_lines = 0
        """Lines of the manifest that make no sense."""
        self.sums = FileSums()
        """The files that were looked at so far."""
        self._database = open_scratch(_SCHEMA)
        self.notes = Notes(self._database)
        """The notes of the manifest about pulls."""
        self._places = Places(fd)
        self._fd = fd

    @classmethod
    @contextmanager
    def open(cls, path: Path, on_page: Callable[[], None] = lambda: None) -> Iterator["Archive"]:
        """The copy in `path`, whose manifest is read; `on_page` is called often meanwhile, and may raise.

        Raises:
            StoreError: There is no copy, or it cannot be read.
        """
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as exc:
            raise StoreError(f"{path} cannot be used: {exc.strerror}") from exc
        try:
            archive = cls(path, fd)
            with closing(archive._places), open_manifest(fd, path) as manifest:
                if manifest is None:
                    raise StoreError(f"{path} is not a copy of rcfs pull: it has no {COPY_MANIFEST}")
                archive.account_id = manifest.account_id
                archive._read(manifest.lines, on_page)
                yield archive
        finally:
            os.close(fd)

    def check_account(self, account_id: str) -> None:
        """Checks that the copy is one of an account.

        Raises:
            StoreError: It is the copy of another account.
        """
        if self.account_id != account_id:
            raise StoreError(f"{self.path} is the copy of another account ({self.account_id})")

    @property
    def has_facts(self) -> bool:
        """Whether the manifest says what pulls have found at the platform."""
        return bool(self.notes.owners)

    @property
    def files(self) -> int:
        """Number of files in the manifest."""
        return self._count("SELECT COUNT(*) FROM files")

    def _read(self, lines: Iterator[str], on_page: Callable[[], None]) -> None:
        rows: list[tuple[object, ...]] = []
        for entry in entries(lines):
            match entry:
                case FileEntry():
                    rows.append(_row_of(entry))
                    if len(rows) == _PAGE:
                        self._insert(rows)
                        rows.clear()
                        on_page()
                case Had():
                    self.notes.merge(entry)
                case PullNote():
                    self.notes.add_pull(entry)
                case UnknownEntry():
                    self.unknown_lines += 1
        self._insert(rows)
        self._database.execute("CREATE INDEX files_by_key ON files (key)")

    def _insert(self, rows: list[tuple[object, ...]]) -> None:
        self._database.executemany(
            "INSERT OR REPLACE INTO files (path, digest, size_bytes, key, owner, kind, month, is_message)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    # The files

    def check(self, takes: Callable[[str, str, str], bool]) -> Iterator[FileState | None]:
        """Reads the files one after the other, and gives each file that is not sound; None from time to time.

        Args:
            takes: Gets path, kind and month of a file (both empty if unknown); whether to look at it.
        """
        after = b""
        query = "SELECT path, kind, month FROM files WHERE path > ? ORDER BY path LIMIT ?"
        while page := self._database.execute(query, (after, _PAGE)).fetchall():
            for encoded_path, kind, month in page:
                path = decoded(encoded_path)
                if not takes(path, kind or "", month or ""):
                    continue
                for found in self._look(encoded_path):
                    if found is None:
                        yield None
                    elif found.state is not State.OK:
                        self._database.execute("UPDATE files SET told = 1 WHERE path = ?", (encoded_path,))
                        yield found
            after = page[-1][0]
            yield None

    def extra(self) -> Iterator[str | None]:
        """The paths of the files that the manifest does not list; None from time to time."""
        for number, path in enumerate(self._places.walk(), start=1):
            if number % _TOLD_EVERY == 0:
                yield None
            if not self._lists(path) and path != COPY_MANIFEST:
                self.sums.extra += 1
                yield path

    def state_of_key(self, key: str, row: Row) -> Held:
        """The state of a content or message by its key: that of its best file, read now unless it was before.

        Adds the size of a sound content to `row`.
        """
        paths = self._database.execute("SELECT path FROM files WHERE key = ?", (key,)).fetchall()
        return self._best([path for (path,) in paths], row)

    def state_of_path(self, path: str, row: Row) -> Held:
        """The same by its path, for a copy whose manifest has no keys."""
        return self._best([encoded(path)] if self._lists(path) else [], row)

    def names_in(self, directory: str) -> list[str]:
        """Names of the files that the manifest has directly in a directory."""
        rows = self._database.execute(
            "SELECT path FROM files WHERE path > ? AND path < ? LIMIT ?",
            (encoded(f"{directory}/"), encoded(f"{directory}0"), _PAGE),
        )
        names = (decoded(path)[len(directory) + 1 :] for (path,) in rows)
        return [name for name in names if "/" not in name]

    def _lists(self, path: str) -> bool:
        """Whether the manifest lists the file at `path`."""
        return bool(self._count("SELECT COUNT(*) FROM files WHERE path = ?", encoded(path)))

    def _best(self, paths: list[bytes], row: Row) -> Held:
        best = Held(State.MISSING)
        for path in paths:
            self._database.execute("UPDATE files SET wanted = 1 WHERE path = ?", (path,))
            for _found in self._look(path):
                pass
            state, size_bytes, told = self._database.execute(
                "SELECT state, size_bytes, told FROM files WHERE path = ?", (path,)
            ).fetchone()
            found = Held(State(state), bool(told))
            if found.state is State.OK:
                row.size_bytes += size_bytes
                return found
            if best.state is State.MISSING:
                best = found
        return best

    def _look(self, path: bytes) -> Iterator[FileState | None]:
        """The state of a file, which is read if it was not yet; before that None after each MiB."""
        digest, size_bytes, kind, owner, known = self._database.execute(
            "SELECT digest, size_bytes, kind, owner, state FROM files WHERE path = ?", (path,)
        ).fetchone()
        if known is not None:
            yield FileState(decoded(path), State(known), kind or "", owner)
            return
        state, found_bytes = State.MISSING, 0
        for part, text, read_bytes in self._places.digest(decoded(path)):
            if part is None:
                yield None
                continue
            state, found_bytes = part, read_bytes
            wrong = text != digest.hex() or size_bytes not in (None, read_bytes)
            if state is State.OK and wrong:
                state = State.DAMAGED
        self._database.execute(
            "UPDATE files SET state = ?, size_bytes = ? WHERE path = ?", (state.value, found_bytes, path)
        )
        self.sums.listed += 1
        self.sums.sound += state is State.OK
        self.sums.size_bytes += found_bytes
        self.sums.states[state] = self.sums.states.get(state, 0) + 1
        yield FileState(decoded(path), state, kind or "", owner)

    # The facts of the manifest

    def owners(self) -> list[tuple[int, str]]:
        """(id, directory) of the owners of which the manifest tells, in the order of their directories."""
        named = {owner: name for owner, (name, _at_s) in self.notes.owners.items()}
        rows = self._database.execute("SELECT owner, MAX(path) FROM files WHERE key NOT NULL GROUP BY owner")
        for owner, path in rows:
            named.setdefault(owner, decoded(path).partition("/")[0])
        return sorted(named.items(), key=lambda each: each[1])

    def own_rows(self, owner: int) -> list[tuple[str, str, Row]]:
        """(kind, month, numbers) of the files of `owner` that were looked at: by key, each once."""
        rows = self._database.execute(
            "SELECT kind, month, is_message, COUNT(*), SUM(ok), SUM(bad), SUM(bytes) FROM ("
            "SELECT kind, month, is_message, MAX(state = 'ok') AS ok,"
            " MAX(state IN ('damaged', 'refused')) AND NOT MAX(state = 'ok') AS bad,"
            " MAX(CASE WHEN state = 'ok' THEN size_bytes ELSE 0 END) AS bytes"
            " FROM files WHERE owner = ? AND key NOT NULL AND state NOT NULL GROUP BY key)"
            " GROUP BY kind, month, is_message",
            (owner,),
        )
        return [(kind, month, _numbers(*numbers)) for kind, month, *numbers in rows.fetchall()]

    def unwanted(self, owner: int) -> int:
        """Messages of `owner` in the manifest for which nobody has asked by their keys."""
        return self._count(
            "SELECT COUNT(*) FROM (SELECT 1 FROM files WHERE owner = ? AND is_message GROUP BY key"
            " HAVING NOT MAX(wanted))",
            owner,
        )

    def _count(self, query: str, *parameters: Any) -> int:
        ((count,),) = self._database.execute(query, parameters).fetchall()
        return int(count)


def _row_of(entry: FileEntry) -> tuple[object, ...]:
    fact = entry.fact
    about = (None, None, None, None) if fact is None else (fact.key, fact.owner, fact.kind, fact.month)
    is_message = fact is not None and is_record_key(fact.key)
    return (encoded(entry.path), bytes.fromhex(entry.digest), entry.size_bytes, *about, is_message)


def _numbers(is_message: int, count: int, here: int, bad: int, size_bytes: int) -> Row:
    if is_message:
        return Row(messages=count, messages_here=here)
    return Row(contents=count, contents_here=here, damaged=bad, size_bytes=size_bytes)
