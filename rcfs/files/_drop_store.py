"""The bytes of files that people write into ``Outbox``: private files, which end with the process.

For worker threads: everything here reads and writes files.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import attrs

from rcfs.errors import NoRoomError, StaleError, StoreError
from rcfs.model import SendFile, SendKind, sent_name
from rcfs.outbox import DROPS_PREFIX, described
from rcfs.private import DIRECTORY_MODE, FILE_MODE, make_private_directory, reason_of

_FULL = "the state directory has no room for the file"


class DropStore:
    """The files of one process."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._own: Path | None = None
        self._lock = -1

    @property
    def is_ready(self) -> bool:
        """Whether `prepare` has made the directory."""
        return self._own is not None

    def prepare(self) -> None:
        """Makes the directory, and erases those of processes that have died; once, and not twice at a time.

        Raises:
            StoreError: It cannot be made.
        """
        try:
            make_private_directory(self._parent)
            for old in self._parent.glob(f"{DROPS_PREFIX}*"):
                _erase_if_dead(old)
            own = self._parent / f"{DROPS_PREFIX}{secrets.token_hex(8)}"
            # It gets its name when it is locked, so that no other process takes it for that of a dead one.
            unlocked = own.with_name(f"new-{own.name}")
            unlocked.mkdir(DIRECTORY_MODE)
            self._lock = os.open(unlocked, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unlocked.rename(own)
        except OSError as exc:
            raise StoreError(f"files for Outbox cannot be kept: {reason_of(exc)}") from exc
        self._own = own

    def open(self, number: int, *, new: bool = False) -> int:
        """A descriptor of the file with that number, for reading and writing.

        Raises:
            StaleError: The file was removed.
            StoreError: It cannot be opened.
        """
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if new else 0)
        try:
            return os.open(self._path(number), flags, FILE_MODE)
        except FileNotFoundError as exc:
            raise StaleError("the file was removed, or its message was sent") from exc
        except OSError as exc:
            raise StoreError(f"a file in Outbox cannot be opened: {reason_of(exc)}") from exc

    def truncate(self, number: int, size_bytes: int) -> None:
        """Sets the size of a file; raises as `open`."""
        descriptor = self.open(number)
        try:
            os.ftruncate(descriptor, size_bytes)
        except OSError as exc:
            raise NoRoomError(_FULL) from exc
        finally:
            os.close(descriptor)

    def remove(self, numbers: Sequence[int]) -> None:
        """Erases files; those who have them open can read on."""
        for number in numbers:
            with suppress(OSError):
                self._path(number).unlink()

    def read(self, number: int, most_bytes: int) -> bytes:
        """The first bytes of a file; raises as `open`."""
        descriptor = self.open(number)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(most_bytes)

    def described(
        self, kind: SendKind, files: Sequence[tuple[str, int]]
    ) -> tuple[tuple[SendFile, ...], list[Path]]:
        """The files, given by name and number, as parts of a message, and where they are.

        Raises:
            ValueError: The platform takes no such file.
            ConfigError: A file cannot be read.
            StoreError: The disk failed.
        """
        found, paths = [], []
        for name, number in files:
            alias = self.named(name, number)
            found.append(attrs.evolve(described(kind, alias), name=sent_name(name)))
            paths.append(alias)
        return tuple(found), paths

    def named(self, name: str, number: int) -> Path:
        """Another path of a file, whose end says of which type the file is, as that of `name` does.

        Raises:
            StoreError: The disk failed.
        """
        path = self._path(number)
        alias = path.with_name(f"{number}{Path(sent_name(name)).suffix.lower()}")
        try:
            with suppress(FileExistsError):
                os.link(path, alias)
        except OSError as exc:
            raise StoreError(f"a dropped file cannot be used: {reason_of(exc)}") from exc
        return alias

    def forget(self, paths: Sequence[Path]) -> None:
        """Erases what `described` or `named` has made."""
        for path in paths:
            with suppress(OSError):
                path.unlink()

    def close(self) -> None:
        """Erases everything."""
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)
            os.close(self._lock)
            self._own = None

    def _path(self, number: int) -> Path:
        if self._own is None:
            raise StoreError("files for Outbox cannot be kept")
        return self._own / str(number)


def write(descriptor: int, data: bytes, off: int) -> None:
    """Writes all of `data` at an offset.

    Raises:
        NoRoomError: The disk is full, or failed.
    """
    view, at = memoryview(data), off
    try:
        while view:
            count = os.pwrite(descriptor, view, at)
            view, at = view[count:], at + count
    except OSError as exc:
        raise NoRoomError(_FULL) from exc


def _erase_if_dead(directory: Path) -> None:
    """Erases the directory of a process that has died: nobody holds its lock."""
    try:
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(directory, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(lock)
