"""A directory that takes a verified copy of the tree, file by file.

Safety: every path is walked from the top directory's descriptor, name by name, and no symbolic link is
followed on the way, so nothing is ever written outside, whatever somebody plants there. Only regular files
are opened, and none is waited for.

Crash safety: a file is written beside its place, synced, and renamed; then its line goes into the manifest.
So what the manifest names was whole on the disk, and what it does not name is written again.

All methods are synchronous; several threads may write different files at the same time.
"""

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path

import attrs

from rcfs.errors import StoreError
from rcfs.model import file_time_ns
from rcfs.pull._digests import Digests
from rcfs.pull._disk import Disk, Lack, open_regular, partial_name, replace, sweep
from rcfs.pull._fingerprint import Fingerprint
from rcfs.pull._manifest import MANIFEST, Complete, complete_line, line

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
"""What the owner alone needs; the umask may take more away."""

_READ_BYTES = 1 << 20
_LINES = 1000
"""Lines of the manifest that are written at a time, 200 kB."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_GONE = frozenset(
    {
        errno.EIO,
        errno.ENODEV,
        errno.ENXIO,
        errno.ENOMEDIUM,
        errno.ENOTCONN,
        errno.ECONNABORTED,
        errno.ESHUTDOWN,
        errno.EHOSTDOWN,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
"""A disk that was unplugged, the process of a FUSE disk that died, a server of NFS or SMB that went away."""
_HOPELESS = _FULL | _GONE
"""Errors after which no other file can be written either: to go on would spend requests for nothing."""
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@attrs.frozen
class Found:
    """What lies in a directory."""

    fingerprint: str
    """Another text whenever something has changed."""
    confirmed: int
    """How many of the files are certainly as they are to be."""


class Copy:
    """The copy in one directory; nobody else may write to it meanwhile."""

    def __init__(self, path: Path, fd: int, account_id: str, digests: Digests) -> None:
        """See `open` and `look`, which are how to get one."""
        self._path = path
        self._fd = fd
        self._account_id = account_id
        self._digests = digests
        self._is_changed = not digests.is_sorted
        self._lock = threading.Lock()
        self._log = -1
        self._renamed = 0
        self._disk = Disk()

    @classmethod
    @contextmanager
    def open(cls, path: Path, account_id: str) -> Iterator["Copy"]:
        """The copy of an account in the directory `path`, made if it is missing; closed at the end.

        Raises:
            StoreError: It cannot be created or written, holds something else, is the copy of another
                account, or is being written to by another pull.
        """
        try:
            path.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
        except OSError as exc:
            raise StoreError(f"{path} cannot be created: {exc.strerror}") from exc
        with cls.look(path, account_id) as copy, copy._writable():  # noqa: SLF001 - of its own class
            yield copy

    @classmethod
    @contextmanager
    def look(cls, path: Path, account_id: str = "") -> Iterator["Copy"]:
        """The copy in `path` for looking at it; nothing is written, and a missing directory has no files.

        Args:
            path: Its directory.
            account_id: Whose copy it must be; empty for anybody's.

        Raises:
            StoreError: It cannot be read, holds something else, or is the copy of another account.
        """
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield cls(path, -1, account_id, Digests())
            return
        except OSError as exc:
            raise StoreError(f"{path} cannot be used: {exc.strerror}") from exc
        try:
            yield cls(path, fd, account_id, _read_manifest(fd, path, account_id))
        finally:
            os.close(fd)

    @property
    def notes(self) -> list[str]:
        """What is worth saying at the end: what was renamed, and what the disk turned out not to do."""
        count = self._renamed
        renamed = "1 file" if count == 1 else f"{count} files"
        said = f"{renamed} of the copy had a name of an earlier version of rcfs, and got the new one"
        return [*([said] if count else ()), *(str(lack) for lack in self._disk.lacks)]

    def noted_in(self, parts: Sequence[str]) -> list[str]:
        """The names of the files right in the directory at `parts` that the manifest has."""
        above = "/".join(parts)
        names = (path[len(above) + 1 :] for path, _digest in self._digests.below(above))
        return [name for name in names if "/" not in name]

    def complete(self, name: str) -> Complete | None:
        """What the directory `name` at the top was when a pull had made it complete; None if none has."""
        return self._digests.complete.get(name)

    def note_complete(self, name: str, complete: Complete) -> None:
        """Notes that a pull has made the directory `name` at the top complete.

        Raises:
            StoreError: Nothing can be written any more.
        """
        with _translated(self._path), self._lock:
            if self._digests.complete.get(name) != complete:
                self._digests.complete[name] = complete
                self._is_changed = True
                _write_all(self._log, complete_line(name, complete).encode())

    def confirm(self, parts: Sequence[str], size_bytes: int) -> None:
        """Notes that the file that the manifest has at `parts` is as it is to be, and has that size."""
        self._digests.put_size("/".join(parts), size_bytes)

    def found(self, name: str, on_looked: Callable[[int], None]) -> Found | None:
        """What lies in the directory `name` at the top, and what the manifest has of it.

        Names, kinds and sizes are looked at, not bytes: seconds for a million files. None when it is not
        there, or something in it cannot be looked at. None also on a disk that lacks something that only
        shows when files are written: each pull is to tell that. `on_looked` hears now and then how many more
        files it has seen. A file is confirmed when it was written, or passed to `confirm`, and has that size
        still.
        """
        if self._disk.lacks.keys() - {Lack.MODES, Lack.LOCKS}:
            return None
        digests = self._digests
        fingerprint = Fingerprint(on_looked, lambda path, size_bytes: digests.size_of(path) == size_bytes)
        try:
            with self._directory((name,)) as fd:
                fingerprint.add_directory(fd, name)
        except OSError:
            return None
        for path, digest in digests.below(name):
            fingerprint.add(path, digest)
        return Found(fingerprint.finish(), fingerprint.known)

    def digest(self, parts: Sequence[str]) -> str | None:
        """SHA-256 of the file at `parts` by the manifest, in hexadecimal; None when it is not in there."""
        return self._digests.get("/".join(parts))

    def size_of(self, parts: Sequence[str]) -> int | None:
        """Size in bytes of the regular file that is there now; None when there is none."""
        try:
            with self._directory(parts[:-1]) as fd:
                status = os.stat(parts[-1], dir_fd=fd, follow_symlinks=False)
        except OSError:
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def is_sound(self, parts: Sequence[str], noted: Sequence[str] | None = None) -> bool:
        """Whether the file that is there now has the SHA-256 that the manifest names; reads all of it.

        `noted` is where the manifest has it, if that is another path.
        """
        hasher = hashlib.sha256()
        try:
            with self._directory(parts[:-1]) as fd:
                file = open_regular(parts[-1], fd)
                with open(file, "rb", buffering=0) as reading:  # noqa: PTH123 - it is a descriptor
                    while data := reading.read(_READ_BYTES):
                        hasher.update(data)
        except OSError:
            return False
        return hasher.hexdigest() == self.digest(noted or parts)

    def begin(self, parts: Sequence[str]) -> "FileWriter":
        """Takes the bytes of the file at `parts`, which appears with `finish`; the caller closes the result.

        Raises:
            StoreError: Nothing can be written any more.
            OSError: This file cannot be written.
        """
        with _translated(self._path), self._directory(parts[:-1], create=True) as fd:
            return FileWriter(self._disk, fd, parts[-1])

    def append(self, writer: "FileWriter", data: bytes) -> None:
        """Writes the next bytes of a file.

        Raises:
            StoreError, OSError: As `begin`.
        """
        with _translated(self._path):
            writer.append(data)

    def finish(self, parts: Sequence[str], writer: "FileWriter", mtime_s: float) -> None:
        """Lets the file at `parts` appear, synced, and notes it in the manifest.

        Raises:
            StoreError, OSError: As `begin`.
        """
        with _translated(self._path):
            writer.finish(mtime_s)
            with self._lock:
                self._digests.put("/".join(parts), writer.digest, writer.size_bytes)
                self._is_changed = True
                _write_all(self._log, line("/".join(parts), writer.digest).encode())

    def write(self, parts: Sequence[str], mtime_s: float, data: bytes) -> None:
        """Writes the file at `parts` in one step.

        Raises:
            StoreError, OSError: As `begin`.
        """
        self.write_pieces(parts, mtime_s, (data,))

    def write_pieces(self, parts: Sequence[str], mtime_s: float, pieces: Iterable[bytes]) -> int:
        """Writes the file at `parts` piece by piece; its size in bytes.

        Raises:
            StoreError, OSError: As `begin`.
        """
        with closing(self.begin(parts)) as writer:
            for piece in pieces:
                self.append(writer, piece)
            self.finish(parts, writer, mtime_s)
            return writer.size_bytes

    def rename(
        self, pairs: Iterable[tuple[Sequence[str], Sequence[str]]]
    ) -> list[tuple[Sequence[str], OSError]]:
        """Gives files of the manifest other names in their directories; those that failed, by new path.

        One whose line only is missing, because a run was killed, gets that. The manifest is written once.

        Args:
            pairs: Old and new path of each.

        Raises:
            StoreError: Nothing can be written any more.
        """
        failed: list[tuple[Sequence[str], OSError]] = []
        with _translated(self._path), self._lock:
            for old, new in pairs:
                try:
                    if self.size_of(old) is not None:
                        with self._directory(old[:-1]) as fd:
                            replace(old[-1], new[-1], fd)
                except OSError as exc:
                    if exc.errno in _HOPELESS:
                        raise
                    failed.append((new, exc))
                else:
                    self._digests.rename("/".join(old), "/".join(new))
                    self._renamed += 1
                    self._is_changed = True
            if self._is_changed:
                self._write_manifest()
                os.close(self._log)
                self._log = open_regular(MANIFEST, self._fd, os.O_WRONLY | os.O_APPEND)
        return failed

    def link(self, parts: Sequence[str], target: str) -> None:
        """Makes the symbolic link at `parts`, if it is not there already, and the disk takes any.

        Raises:
            StoreError, OSError: As `begin`.
        """
        with _translated(self._path), self._directory(parts[:-1], create=True) as fd:
            with suppress(OSError):
                if os.readlink(parts[-1], dir_fd=fd) == target:
                    return
            partial = _partial_name(parts[-1])
            with suppress(FileNotFoundError):
                os.unlink(partial, dir_fd=fd)
            if not self._disk.link(target, partial, fd, self._fd):
                return
            try:
                replace(partial, parts[-1], fd)
            except OSError:
                with suppress(OSError):
                    os.unlink(partial, dir_fd=fd)
                raise

    def make_directory(self, parts: Sequence[str]) -> None:
        """Makes the directory at `parts`, if it is not there already.

        Raises:
            StoreError, OSError: As `begin`.
        """
        with _translated(self._path), self._directory(parts, create=True):
            pass

    def sweep(self, parts: Sequence[str]) -> None:
        """Removes what killed runs left behind in the directory at `parts`; nothing may be written there."""
        with suppress(OSError), self._directory(parts) as fd:
            sweep(fd)

    def date_directory(self, parts: Sequence[str], mtime_s: float) -> None:
        """Gives the directory at `parts` its time, if it is there; for after its entries were written."""
        with suppress(OSError), self._directory(parts) as fd:
            self._disk.date(fd, file_time_ns(mtime_s))

    @contextmanager
    def _directory(self, parts: Sequence[str], *, create: bool = False) -> Iterator[int]:
        """A descriptor of the directory at `parts`.

        Raises:
            OSError: It is not there, or something else stands in the way; ENOTDIR for a symbolic link.
        """
        fd = os.dup(self._fd)
        try:
            for name in parts:
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(name, DIRECTORY_MODE, dir_fd=fd)
                below = os.open(name, _DIRECTORY_FLAGS, dir_fd=fd)
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            if not self._disk.lock(self._fd):
                raise StoreError(f"another pull is writing to {self._path}")
            FileWriter(
                self._disk, self._fd, MANIFEST
            ).close()  # So that it tells at once what the disk lacks.
            self._write_manifest()
            self._log = open_regular(MANIFEST, self._fd, os.O_WRONLY | os.O_APPEND)
        except OSError as exc:
            raise StoreError(f"{self._path} cannot be written: {exc.strerror}") from exc
        try:
            yield
        finally:
            _close(self._log)
            with suppress(OSError):  # What was appended is enough if it cannot be sorted.
                self._write_manifest()

    def _write_manifest(self) -> None:
        """Writes the manifest anew, whole and sorted, unless it is."""
        if not self._is_changed:
            return
        with closing(FileWriter(self._disk, self._fd, MANIFEST)) as writer:
            lines = self._digests.lines(self._account_id)
            while page := "".join(islice(lines, _LINES)):
                writer.append(page.encode("utf-8", "surrogateescape"))
            writer.finish()
        self._is_changed = False


class FileWriter:
    """One file on its way, beside its place."""

    def __init__(self, disk: Disk, directory_fd: int, name: str) -> None:
        """Begins the file `name` in a directory of `disk`, whose descriptor stays the caller's.

        Raises:
            OSError: It cannot be created.
        """
        self._disk = disk
        self._name = name
        self._partial = _partial_name(name)
        self._hasher = hashlib.sha256()
        with suppress(FileNotFoundError):
            os.unlink(self._partial, dir_fd=directory_fd)  # of a run that was killed
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(self._partial, flags, FILE_MODE, dir_fd=directory_fd)
        disk.look_at_mode(self._fd)
        self._directory_fd = os.dup(directory_fd)
        self._done = False
        self.size_bytes = 0
        """So many bytes were written."""

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes so far, in hexadecimal."""
        return self._hasher.hexdigest()

    def append(self, data: bytes) -> None:
        """Writes the next bytes."""
        self._hasher.update(data)
        _write_all(self._fd, data)
        self.size_bytes += len(data)

    def finish(self, mtime_s: float | None = None) -> None:
        """Makes the file appear at its place, whole and synced; with that time, if one is given."""
        if mtime_s is not None:
            self._disk.date(self._fd, file_time_ns(mtime_s))
        self._disk.sync(self._fd)
        replace(self._partial, self._name, self._directory_fd)
        self._done = True

    def close(self) -> None:
        """Ends the writing; what is not finished goes away."""
        _close(self._fd)
        if not self._done:
            with suppress(OSError):
                os.unlink(self._partial, dir_fd=self._directory_fd)
        os.close(self._directory_fd)


def _partial_name(name: str) -> str:
    """Where the file `name` is written to; always the same, so that a killed run leaves no second one."""
    return partial_name(hashlib.sha256(name.encode()).hexdigest())


def _read_manifest(fd: int, path: Path, account_id: str) -> Digests:
    try:
        file = open_regular(MANIFEST, fd)
    except FileNotFoundError:
        if any(name != _partial_name(MANIFEST) for name in os.listdir(fd)):
            raise StoreError(
                f"{path} is not empty and not a copy of rcfs pull (it has no {MANIFEST}); choose another"
                " directory"
            ) from None
        return Digests(is_sorted=False)
    except OSError as exc:
        raise StoreError(f"{path / MANIFEST} cannot be read: {exc.strerror}") from exc
    digests = Digests()
    with open(file, encoding="utf-8", errors="surrogateescape", newline="\n") as reading:  # noqa: PTH123
        account = digests.read(reading)
    if account is None:
        raise StoreError(f"{path / MANIFEST} was not made by rcfs pull; choose another directory")
    if account_id not in ("", account):
        raise StoreError(f"{path} is the copy of another account ({account}); choose another directory")
    return digests


def _close(fd: int) -> None:
    """Closes a file, whose disk may have gone away; what is to stay was synced before."""
    with suppress(OSError):
        os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]  # A full disk shows as a short write first; the next call raises.


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in _HOPELESS:
            raise StoreError(f"the copy in {path} cannot be written: {exc.strerror}") from exc
        raise
