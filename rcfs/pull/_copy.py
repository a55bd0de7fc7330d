"""A directory that takes a verified copy of the tree, file by file.

Safety: rcfs walks each path from the descriptor of the top directory, name by name, and follows no symbolic
link on the way. So it writes nothing outside of the copy, whatever somebody puts into it.

Crash safety: rcfs writes each file beside its place, syncs and renames it, and then adds its line to the
manifest. So a file with a line was whole on the disk, and a file without a line is written again.

All methods are synchronous; several threads may write different files at the same time.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

from rcfs.errors import StoreError
from rcfs.model import file_time_ns
from rcfs.pull._copy_manifest import CopyManifest
from rcfs.pull._disk import (
    HOPELESS,
    Disk,
    Lack,
    hopeless_errors,
    open_regular,
    replace,
    sweep,
)
from rcfs.pull._facts import Fact, PullNote
from rcfs.pull._file_writer import FileWriter
from rcfs.pull._fingerprint import Fingerprint, Found
from rcfs.pull._manifest import Complete

_DIRECTORY_MODE = 0o700
"""Only the owner may open a copy; the umask may take more away."""
_READ_BYTES = 1 << 20
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Copy:
    """The copy in one directory; only this object, or only members of it, may write to it."""

    def __init__(self, path: Path, fd: int, account_id: str, member: str = "") -> None:
        """For `open` and `look` only."""
        self._path = path
        self._fd = fd
        self._disk = Disk(member)
        self._manifest = CopyManifest(path, fd, account_id, self._disk, member)
        self._renamed = 0
        self.is_shared = bool(member)
        """Whether other pulls may write to it at the same time."""

    @classmethod
    @contextmanager
    def open(cls, path: Path, account_id: str, *, shared: bool = False) -> Iterator["Copy"]:
        """The copy of an account in the directory `path`, which is created if it is missing.

        With `shared`, other pulls with `shared` may write to it at the same time; see `rcfs.pull._members`.

        Raises:
            StoreError: The directory cannot be created or written, holds something else, is the copy of
                another account, or another pull is writing to it.
        """
        try:
            path.mkdir(_DIRECTORY_MODE, parents=True, exist_ok=True)
        except OSError as exc:
            raise StoreError(f"{path} cannot be created: {exc.strerror}") from exc
        member = token_hex(8) if shared else ""
        with cls.look(path, account_id, member) as copy, copy._manifest.writing():  # noqa: SLF001 - of its own class
            yield copy

    @classmethod
    @contextmanager
    def look(cls, path: Path, account_id: str = "", member: str = "") -> Iterator["Copy"]:
        """The copy in `path`, for reading only; a missing directory is a copy without files.

        Args:
            path: Its directory.
            account_id: The account that it must belong to; empty for any.
            member: For `open` only.

        Raises:
            StoreError: The directory cannot be read, holds something else, or is the copy of another account.
        """
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield cls(path, -1, account_id)
            return
        except OSError as exc:
            raise StoreError(f"{path} cannot be used: {exc.strerror}") from exc
        try:
            yield cls(path, fd, account_id, member)
        finally:
            os.close(fd)

    @property
    def notes(self) -> list[str]:
        """Messages for the user at the end: how many files were renamed, and what the disk cannot do."""
        lacks = [str(lack) for lack in self._disk.lacks]
        if not self._renamed:
            return lacks
        renamed = "1 file" if self._renamed == 1 else f"{self._renamed} files"
        return [
            f"rcfs gave {renamed} of the copy the name that the tree has now",
            *lacks,
        ]

    def noted_in(self, parts: Sequence[str]) -> list[str]:
        """The names of the files that the manifest has directly in the directory at `parts`."""
        above = "/".join(parts)
        names = (path[len(above) + 1 :] for path, _digest in self._manifest.digests.below(above))
        return [name for name in names if "/" not in name]

    def complete(self, name: str) -> Complete | None:
        """The note about the top-level directory `name` from the last pull that completed it, if any did."""
        return self._manifest.digests.complete.get(name)

    def note_complete(self, name: str, complete: Complete) -> None:
        """Notes that a pull has completed the top-level directory `name`.

        Raises:
            StoreError: The disk of the copy fails.
        """
        with hopeless_errors(self._path):
            self._manifest.note_complete(name, complete)

    def know(self, parts: Sequence[str], fact: Fact, *, is_message: bool, gone: bool) -> None:
        """Notes what the file at `parts` is; see `Digests.put_fact`."""
        self._manifest.digests.put_fact("/".join(parts), fact, is_message=is_message, gone=gone)

    @property
    def pulls(self) -> tuple[PullNote, ...]:
        """The latest pulls into the copy, the last one at the end."""
        return self._manifest.digests.pulls

    def note_pull(self, note: PullNote, owners: Mapping[int, str]) -> None:
        """Notes a pull, and what it found at the platform for `owners`, whose values are their directories.

        Raises:
            StoreError: The disk of the copy fails.
        """
        with hopeless_errors(self._path):
            self._manifest.note_pull(note, owners)

    def confirm(self, parts: Sequence[str], size_bytes: int) -> None:
        """Notes that the file at `parts`, which the manifest has, is right and has that size."""
        self._manifest.digests.put_size("/".join(parts), size_bytes)

    def found(self, name: str, on_looked: Callable[[int], None]) -> Found | None:
        """The state of the top-level directory `name`: its files on the disk, and its lines in the manifest.

        Compares names, kinds and sizes, and reads no file. None when the directory is missing or cannot be
        read. None also on a disk that lacks something which only writing a file shows, so that each pull
        tells the user. A file counts as confirmed if this pull wrote it or passed it to `confirm`, and its
        size is still the same.

        Args:
            name: The name of the directory.
            on_looked: Called now and then with the number of files seen since the last call.
        """
        if self._disk.lacks.keys() - {Lack.MODES, Lack.LOCKS}:
            return None
        digests = self._manifest.digests
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
        """SHA-256 in hexadecimal that the manifest has for the file at `parts`; None when it has none."""
        return self._manifest.digests.get("/".join(parts))

    def size_of(self, parts: Sequence[str]) -> int | None:
        """Size in bytes of the regular file that is at `parts` now; None when there is no such file."""
        try:
            with self._directory(parts[:-1]) as fd:
                status = os.stat(parts[-1], dir_fd=fd, follow_symlinks=False)
        except OSError:
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def is_sound(self, parts: Sequence[str], noted: Sequence[str] | None = None) -> bool:
        """Whether the file at `parts` has the SHA-256 that the manifest has for it; reads the whole file.

        `noted` is its path in the manifest, if that differs.
        """
        hasher = sha256()
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
        """A writer for the file at `parts`, which appears with `finish`; the caller closes the writer.

        Raises:
            StoreError: The disk of the copy fails, so no other file can be written either.
            OSError: This file cannot be written.
        """
        with hopeless_errors(self._path), self._directory(parts[:-1], create=True) as fd:
            return FileWriter(self._disk, fd, parts[-1])

    def append(self, writer: "FileWriter", data: bytes) -> None:
        """Writes the next bytes of a file.

        Raises:
            StoreError, OSError: As `begin`.
        """
        with hopeless_errors(self._path):
            writer.append(data)

    def finish(self, parts: Sequence[str], writer: "FileWriter", mtime_s: float) -> None:
        """Makes the file at `parts` appear, synced, and adds it to the manifest.

        Raises:
            StoreError, OSError: As `begin`.
        """
        with hopeless_errors(self._path):
            writer.finish(mtime_s)
            self._manifest.note_file("/".join(parts), writer.digest, writer.size_bytes)

    def write(self, parts: Sequence[str], mtime_s: float, data: bytes) -> None:
        """Writes the file at `parts`, whose bytes are `data`.

        Raises:
            StoreError, OSError: As `begin`.
        """
        self.write_pieces(parts, mtime_s, (data,))

    def write_pieces(self, parts: Sequence[str], mtime_s: float, pieces: Iterable[bytes]) -> int:
        """Writes the file at `parts` piece by piece; returns its size in bytes.

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
        """Renames files within their directories; returns the new path and the error of each failure.

        Of a file that a killed run has renamed only the line in the manifest changes. The manifest is written
        once, at the end.

        Args:
            pairs: Old and new path of each file.

        Raises:
            StoreError: The disk of the copy fails.
        """
        failed: list[tuple[Sequence[str], OSError]] = []
        with hopeless_errors(self._path), self._manifest.lock:
            for old, new in pairs:
                try:
                    if self.size_of(old) is not None:
                        with self._directory(old[:-1]) as fd:
                            replace(old[-1], new[-1], fd)
                except OSError as exc:
                    if exc.errno in HOPELESS:
                        raise
                    failed.append((new, exc))
                else:
                    self._manifest.digests.rename("/".join(old), "/".join(new))
                    self._renamed += 1
            self._manifest.rewrite()
        return failed

    def link(self, parts: Sequence[str], target: str) -> None:
        """Creates the symbolic link at `parts`, unless it is there or the disk has no links.

        Raises:
            StoreError, OSError: As `begin`.
        """
        with hopeless_errors(self._path), self._directory(parts[:-1], create=True) as fd:
            with suppress(OSError):
                if os.readlink(parts[-1], dir_fd=fd) == target:
                    return
            partial = self._disk.partial_name(parts[-1])
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
        """Creates the directory at `parts`, unless it is there.

        Raises:
            StoreError, OSError: As `begin`.
        """
        with hopeless_errors(self._path), self._directory(parts, create=True):
            pass

    def sweep(self, parts: Sequence[str]) -> None:
        """Removes the partial files that killed runs left in the directory at `parts`."""
        with suppress(OSError), self._directory(parts) as fd:
            sweep(fd)

    def date_directory(self, parts: Sequence[str], mtime_s: float) -> None:
        """Sets the time of the directory at `parts`, if it is there; later writes in it would change that."""
        with suppress(OSError), self._directory(parts) as fd:
            self._disk.date(fd, file_time_ns(mtime_s))

    @contextmanager
    def _directory(self, parts: Sequence[str], *, create: bool = False) -> Iterator[int]:
        """A descriptor of the directory at `parts`.

        Raises:
            OSError: The path does not lead to a directory; ENOTDIR if a symbolic link is on it.
        """
        fd = os.dup(self._fd)
        try:
            for name in parts:
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(name, _DIRECTORY_MODE, dir_fd=fd)
                below = os.open(name, _DIRECTORY_FLAGS, dir_fd=fd)
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)
