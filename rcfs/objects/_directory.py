"""A directory as an object store, such as one on NFS: needs no package.

A put writes a file of another name, syncs and renames it, so a writer that dies leaves a file that no reader
sees. Files and directories get the permissions of the directory itself, without execution.
"""

import errno
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from rcfs.objects._store import Found, ObjectStoreError

_TEMPORARY: Final = ".tmp-"
_OLD_S: Final = 86_400.0
"""Age from which a temporary file belongs to a writer that died, in seconds."""
_AT_ONCE: Final = 500
_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
"""The errors of disks without hard links, such as exFAT and SMB; source: link(2)."""


class DirectoryStore:
    """See `ObjectStore`."""

    def __init__(self, directory: Path) -> None:
        """Uses `directory`, which must exist: a network disk that is not mounted must not be filled."""
        self._directory = directory

    @property
    def place(self) -> str:
        """See `ObjectStore.place`."""
        return str(self._directory)

    def get(
        self, name: str, start: int, stop: int, on_answer: Callable[[], None] = lambda: None
    ) -> Found | None:
        """See `ObjectStore.get`."""
        with self._translated():
            try:
                file = self._path(name).open("rb")
            except FileNotFoundError:
                self._mode()  # Raises if the whole directory is gone.
                return None
            on_answer()
            with file:
                status = os.fstat(file.fileno())
                data = os.pread(file.fileno(), stop - start, start)
                return Found(data, status.st_size, _tag(status), status.st_mtime)

    def put(self, name: str, parts: Iterable[bytes], size_bytes: int) -> None:
        """See `ObjectStore.put`."""
        path = self._path(name)
        with self._translated(), self._written(path, parts) as temporary:
            if temporary.stat().st_size != size_bytes:
                raise ObjectStoreError("the parts of an object do not have its size")
            temporary.replace(path)

    def create(self, name: str, data: bytes) -> str | None:
        """See `ObjectStore.create`."""
        path = self._path(name)
        with self._translated(), self._written(path, [data]) as temporary:
            return self._link(temporary, path)

    def replace(self, name: str, data: bytes, tag: str) -> str | None:
        """See `ObjectStore.replace`."""
        path = self._path(name)
        with self._translated(), self._written(path, [data]) as temporary:
            aside = temporary.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
            try:
                if _tag(path.stat()) != tag:
                    return None
                path.rename(aside)  # Of two machines one succeeds.
            except FileNotFoundError:
                return None
            if _tag(aside.stat()) != tag:
                with suppress(FileExistsError):
                    path.hardlink_to(aside)
                aside.unlink()
                return None
            aside.unlink()
            return self._link(temporary, path)

    def delete(self, names: Sequence[str]) -> None:
        """See `ObjectStore.delete`."""
        with self._translated():
            self._mode()
            for path in map(self._path, names):
                path.unlink(missing_ok=True)
                for parent in path.relative_to(self._directory).parents[:-1]:
                    with suppress(OSError):
                        (self._directory / parent).rmdir()

    def names(self, prefix: str) -> Iterator[Sequence[str]]:
        """See `ObjectStore.names`."""
        with self._translated():
            found: list[str] = []
            self._mode()
            for root, _directories, files in os.walk(self._path(prefix)):
                for file in files:
                    path = Path(root, file)
                    if file.startswith(_TEMPORARY):
                        _drop_if_old(path)
                    else:
                        found.append(str(path.relative_to(self._directory)))
                if len(found) >= _AT_ONCE:
                    yield found
                    found = []
            if found:
                yield found

    def _path(self, name: str) -> Path:
        return self._directory / name

    def _mode(self) -> int:
        """The permission bits of the directory."""
        return self._directory.stat().st_mode & 0o777

    @contextmanager
    def _written(self, path: Path, parts: Iterable[bytes]) -> Iterator[Path]:
        """A synced file of another name in the directory of `path`; it is gone afterwards."""
        mode = self._mode()
        self._make(path.parent, mode)
        temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            fd = os.open(temporary, flags, mode & 0o666)
        except FileNotFoundError:  # Another process has just removed the empty directory.
            self._make(path.parent, mode)
            fd = os.open(temporary, flags, mode & 0o666)
        try:
            with os.fdopen(fd, "wb") as file:
                os.fchmod(fd, mode & 0o666)
                file.writelines(parts)
                file.flush()
                os.fsync(fd)
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def _link(self, temporary: Path, path: Path) -> str | None:
        """The tag of `path` after it became another name of `temporary`; None if it exists."""
        tag = _tag(temporary.stat())
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return None
        except OSError as exc:
            if exc.errno in _NO_LINKS:
                raise ObjectStoreError(
                    f"{self._directory} is on a disk without hard links, which rcfs needs; use NFS or S3"
                ) from exc
            raise
        return tag

    def _make(self, directory: Path, mode: int) -> None:
        """Makes `directory` and those between it and the store's own."""
        for parent in reversed([directory, *directory.parents]):
            if parent.is_relative_to(self._directory) and parent != self._directory:
                with suppress(FileExistsError):
                    parent.mkdir()
                    parent.chmod(mode)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise ObjectStoreError(f"{self._directory}: {exc.strerror or exc}") from exc


def _tag(status: os.stat_result) -> str:
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"


def _drop_if_old(path: Path) -> None:
    with suppress(OSError):
        if time.time() - path.stat().st_mtime > _OLD_S:
            path.unlink()
