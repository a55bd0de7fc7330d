"""The SQLite file that holds the quota ledgers which all processes of a user share.

A row holds the book of one credential (`rcfs.quota.Book`) as JSON. It is read without a lock, and replaced by
one statement unless another process has replaced it since.

Times in a book are those of the machine's boot clock, which all processes share and nobody can set. The row
also has the boot id and the wall clock, by which a later boot converts the times (`rcfs.quota.restore_book`).
"""

import math
import os
import sqlite3
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import Final, Literal

import msgspec

from rcfs.errors import StoreError
from rcfs.model import Plan, UsageGroup
from rcfs.private import reason_of
from rcfs.quota import Book, Held, Home, Ledger, MemoryHome, Reply, Stamp, restore_book
from rcfs.store._database import SQLITE_SIDE_FILES, Format, connect, migrate, open_database
from rcfs.store._machine import Machine
from rcfs.store._sqlite import is_busy, lenient_text

_FORM = Format(int.from_bytes(b"rcfq"), 1)
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS books (
        credential TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        boot TEXT NOT NULL,
        clock_s REAL NOT NULL,
        wall_s REAL NOT NULL,
        book TEXT NOT NULL,
        checksum INTEGER NOT NULL
    )
"""
_VERSION = "SELECT version FROM books WHERE credential = ?"
_SELECT = "SELECT version, boot, clock_s, wall_s, book, checksum FROM books WHERE credential = ?"
_REPLACE = """
    INSERT INTO books VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (credential) DO UPDATE
    SET version = ?2, boot = ?3, clock_s = ?4, wall_s = ?5, book = ?6, checksum = ?7 WHERE version = ?2 - 1
"""
_ROW: Final = "row"
"""Key under which a book repeats the other columns of its row, so that its checksum covers them."""
_OPEN_WAIT_S: Final = 5.0
"""Time to wait for another process when the file is opened or closed, in seconds."""

_LOCK_WAIT_S: Final = 0.005
"""Time to wait for another process in the event loop, in seconds: more than ten transactions of 0.2 ms
(measured 2026-11). Only a process that was stopped takes longer."""

_POLL_S: Final = 1.0
"""Interval at which a waiting process checks the others, in seconds: one may free a slot, leave, or die."""

_FORGET_S: Final = 30 * 86400.0
"""Age at which an unused book is dropped, in seconds; each demo has a new credential."""


class SqliteHome(Home):
    """The row of one credential; use `open_ledger` or `SqliteHome.open`."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        credential: str,
        plans: Mapping[UsageGroup, Plan],
        warn: Callable[[str], None],
        machine: Machine,
    ) -> None:
        self._connection = connection
        self._path = path
        self._credential = credential
        self._plans = plans
        self._warn = warn
        self._machine = machine
        self._inode = path.stat().st_ino

    @classmethod
    def open(
        cls,
        path: Path,
        credential: str,
        plans: Mapping[UsageGroup, Plan],
        warn: Callable[[str], None],
        machine: Machine,
    ) -> "SqliteHome":
        """The home of `credential` in the database `path`; see `open_ledger`.

        Raises:
            StoreError: It cannot be created or written.
        """
        try:
            connection = _open_file(path, machine, warn, _OPEN_WAIT_S)
            return cls(connection, path, credential, plans, warn, machine)
        except (OSError, sqlite3.Error) as exc:
            raise StoreError(f"the quota ledger cannot be kept in {path} ({reason_of(exc)})") from exc

    @property
    def owner(self) -> str:
        """See `Home.owner`."""
        return self._machine.owner

    def new_book(self) -> Book:
        """See `Home.new_book`."""
        return Book(self._plans, poll_s=_POLL_S)

    def load(self, known: int | None, *, to_store: bool) -> Held | Literal[Reply.UNCHANGED, Reply.LOCKED]:
        """See `Home.load`."""
        if self._follow_file():
            known = None
        if to_store and known is not None:
            return Reply.UNCHANGED
        try:
            row = self._connection.execute(_VERSION, (self._credential,)).fetchone()
            if known == (row[0] if row else 0):
                return Reply.UNCHANGED
            row = self._connection.execute(_SELECT, (self._credential,)).fetchone()
        except sqlite3.Error as exc:
            return self._locked(exc)
        if row is None:
            aside = list(self._path.parent.glob(f"{self._path.name}.damaged*"))
            return Held(0, None, self._written_s(aside) if aside else None)
        version, boot, clock_s, wall_s, text, checksum = row
        try:
            if zlib.crc32(text.encode()) != checksum:
                raise ValueError("its checksum is wrong")
            document = msgspec.json.decode(text)
            # Earlier versions wrote none.
            if document.get(_ROW, row := [self._credential, boot, clock_s, wall_s]) != row:
                raise ValueError("a row contradicts the book in it")
            written = Stamp(boot, clock_s, wall_s)
            return Held(version, restore_book(document, written, self._now(), self._plans, _POLL_S))
        except (AttributeError, ValueError, msgspec.DecodeError) as exc:
            self._warn(
                f"the quota ledger {self._path} is damaged ({exc}); rcfs starts a new one, and pauses until"
                " earlier requests no longer count"
            )
            return Held(version, None, self._written_s([self._path]))

    def store(
        self, book: Book, version: int, *, patient: bool
    ) -> Literal[Reply.STORED, Reply.OUTDATED, Reply.LOCKED]:
        """See `Home.store`."""
        now = self._now()
        row = (self._credential, now.boot, now.clock_s, now.wall_s)
        text = msgspec.json.encode({**book.dump(), _ROW: row}).decode()
        credential, *times = row
        values = (credential, version + 1, *times, text, zlib.crc32(text.encode()))
        try:
            if patient:
                _set_wait(self._connection, _OPEN_WAIT_S)
            stored = self._connection.execute(_REPLACE, values).rowcount
        except sqlite3.Error as exc:
            return self._locked(exc)
        finally:
            if patient:
                with suppress(sqlite3.Error):
                    _set_wait(self._connection, _LOCK_WAIT_S)
        return Reply.STORED if stored else Reply.OUTDATED

    def ended(self, owners: Collection[str]) -> Collection[str]:
        """See `Home.ended`."""
        return [owner for owner in owners if owner != self.owner and not self._machine.is_alive(owner)]

    def close(self) -> None:
        """See `Home.close`."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def _locked(self, error: sqlite3.Error) -> Literal[Reply.LOCKED]:
        """LOCKED, if `error` means that.

        Raises:
            StoreError: `error` is another one.
        """
        if is_busy(error):
            return Reply.LOCKED
        raise StoreError(f"the quota ledger {self._path} cannot be used ({error})") from error

    def _follow_file(self) -> bool:
        """Switch to the present file, if another process has moved ours aside; whether that happened."""
        try:
            with suppress(FileNotFoundError):
                if os.stat(self._path).st_ino == self._inode:  # noqa: PTH116 - half as long as Path.stat
                    return False
            connection = _open_file(self._path, self._machine, self._warn, _LOCK_WAIT_S)
            self._inode = self._path.stat().st_ino
        except (OSError, sqlite3.Error):
            return False  # The old file still works; the next call may find another.
        self.close()
        self._connection = connection
        return True

    def _now(self) -> Stamp:
        return Stamp(self._machine.boot, self._machine.clock_s(), self._machine.wall_s())

    def _written_s(self, paths: Sequence[Path]) -> float:
        """When one of these databases was last written, on the boot clock; now if that is unknown."""
        files = [path.with_name(path.name + side) for path in paths for side in ("", *SQLITE_SIDE_FILES)]
        newest_s = max((path.stat().st_mtime for path in files if path.exists()), default=math.inf)
        return self._machine.clock_s() - max(0.0, self._machine.wall_s() - newest_s)


def open_ledger(
    path: Path,
    credential: str,
    plans: Mapping[UsageGroup, Plan],
    warn: Callable[[str], None],
    machine: Machine,
    *,
    patience_s: float = 0.0,
) -> Ledger:
    """The ledger of `credential` in the SQLite database `path`, created with its directory (0600, 0700).

    A database that is damaged, foreign, or of a version that this program does not know is moved aside as
    ``*.damaged``, and the ledger starts over. Earlier requests are then unknown, so rcfs sends nothing until
    one window and penalty after the last write. If `path` cannot be written, the ledger is kept in memory.

    Args:
        path: Path of the database.
        credential: A digest that reveals nothing; see `rcfs.platform.identity`.
        plans: The plan of each group until a response tells another.
        warn: Gets a line for each problem.
        machine: The machine it runs on.
        patience_s: See `Ledger`.
    """
    try:
        return Ledger(SqliteHome.open(path, credential, plans, warn, machine), warn, patience_s=patience_s)
    except StoreError as exc:
        warn(f"{exc}; this process counts its requests alone, so run no other with the same login")
        return Ledger(MemoryHome(plans))


def credentials_in_ledger(path: Path) -> Sequence[str]:
    """All credentials in the ledger `path`, the one used last first; empty if there is no file.

    Raises:
        StoreError: It cannot be read.
    """
    if not path.exists():
        return ()
    try:
        with closing(sqlite3.connect(path, timeout=_OPEN_WAIT_S)) as connection:
            rows = connection.execute("SELECT credential FROM books ORDER BY wall_s DESC").fetchall()
    except sqlite3.Error as exc:
        raise StoreError(f"the quota ledger {path} cannot be read ({exc})") from exc
    return tuple(str(name) for (name,) in rows)


def _open_file(
    path: Path, machine: Machine, warn: Callable[[str], None], wait_s: float
) -> sqlite3.Connection:
    connection, damage = open_database(
        path,
        _FORM,
        partial(_connected, path, machine, wait_s),
        thorough=True,  # a few pages
        wait_s=wait_s,
    )
    if damage is not None:
        warn(
            f"the quota ledger {path} is unusable ({damage.fault}); rcfs moved it to {damage.aside.name},"
            " starts a new one, and pauses until earlier requests no longer count"
        )
    return connection


def _connected(path: Path, machine: Machine, wait_s: float) -> sqlite3.Connection:
    with ExitStack() as opened:
        connection = connect(path, wait_s=wait_s)
        opened.callback(connection.close)
        connection.text_factory = lenient_text  # Bytes that are no text fit no checksum.
        migrate(connection, _FORM, (_SCHEMA,))
        _set_wait(connection, _LOCK_WAIT_S)
        _forget_unused(connection, machine)
        opened.pop_all()
    return connection


def _forget_unused(connection: sqlite3.Connection, machine: Machine) -> None:
    """Drop the books that were not used for long, unless another process is writing now."""
    try:
        unused = connection.execute(
            "SELECT credential, wall_s, book FROM books WHERE wall_s < ?", (machine.wall_s() - _FORGET_S,)
        ).fetchall()
        for credential, wall_s, text in unused:
            if _is_written_at(wall_s, text):
                connection.execute("DELETE FROM books WHERE credential = ?", (credential,))
    except sqlite3.Error as exc:
        if not is_busy(exc):
            raise


def _is_written_at(wall_s: float, text: str) -> bool:
    """Whether the book repeats the time of its row: a damaged time must not make it look unused."""
    try:
        return bool(msgspec.json.decode(text).get(_ROW, (wall_s,))[-1] == wall_s)
    except (AttributeError, LookupError, TypeError, ValueError):
        return False


def _set_wait(connection: sqlite3.Connection, wait_s: float) -> None:
    """Let `connection` wait `wait_s` seconds for a lock."""
    connection.execute(f"PRAGMA busy_timeout = {wait_s * 1000:.0f}")
