"""The manifest of a copy while a pull reads and writes it.

It is one file, SHA256SUMS, sorted by path. A pull appends lines to it, or as a member to a file of its own
(`rcfs.pull._members`), and in the end puts all into one sorted file. The lines that a killed pull leaves are
as valid as sorted ones.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from itertools import islice
from pathlib import Path

from rcfs.errors import StoreError
from rcfs.pull._digests import Digests
from rcfs.pull._disk import Disk, Lack, close_quietly, open_regular, partial_name, write_all
from rcfs.pull._facts import PullNote, had_line, pull_line
from rcfs.pull._file_writer import FileWriter
from rcfs.pull._manifest import Complete, complete_line, header
from rcfs.pull._manifest_file import open_manifest
from rcfs.pull._members import (
    LOCK_FILE,
    forget_members,
    is_alone,
    is_of_members,
    member_sums,
    membership,
    read_members,
    sums_name,
)
from rcfs.tree import COPY_MANIFEST

_LINES = 1000
"""Lines of the manifest in one write, 200 kB."""


class CopyManifest:
    """The manifest in the top directory of a copy; any thread may call it.

    Args:
        path: That directory, for messages.
        fd: A descriptor of it; -1 if it is missing, as if it had no files.
        account_id: The account that the copy must belong to; empty for any.
        disk: The disk of the copy.
        member: The name of this pull among several; empty if the copy is not shared.

    Attributes:
        digests: The contents.
        lock: Held while the contents and the file change together.

    Raises:
        StoreError: The directory cannot be read, holds something else, or is the copy of another account.
    """

    def __init__(self, path: Path, fd: int, account_id: str, disk: Disk, member: str) -> None:
        self._path = path
        self._fd = fd
        self._account_id = account_id
        self._disk = disk
        self._member = member
        self._log = -1
        """The file to which lines are appended, while `writing`."""
        self.lock = threading.Lock()
        self.digests = Digests()
        self._seen: tuple[object, ...] = ()
        """The state of the files before they were read."""
        if fd >= 0:
            self._seen = self._state()
            self._read()

    def writing(self) -> AbstractContextManager[None]:
        """Locks the copy, so that lines can be added; in the end the manifest is sorted.

        Raises:
            StoreError: The directory cannot be written, or another pull is writing to it.
        """
        return self._shared() if self._member else self._alone()

    def note_complete(self, name: str, complete: Complete) -> None:
        """Notes that a pull has completed the top-level directory `name`.

        Raises:
            OSError: The disk fails.
        """
        with self.lock:
            if self.digests.complete.get(name) != complete:
                self.digests.put_complete(name, complete)
                self._append(complete_line(name, complete))

    def note_pull(self, note: PullNote, owners: Mapping[int, str]) -> None:
        """Notes a pull, and what it found at the platform for `owners`, whose values are their directories.

        Raises:
            OSError: The disk fails.
        """
        with self.lock:
            for owner, name in owners.items():
                self._append(had_line(self.digests.note_had(owner, name, note.at_s)))
            self._append(pull_line(self.digests.note_pull(note)))

    def note_file(self, path: str, digest: str, size_bytes: int) -> None:
        """Notes the file at `path`, which is whole on the disk.

        Raises:
            OSError: The disk fails.
        """
        with self.lock:
            self.digests.put(path, digest, size_bytes)
            self._append(self.digests.entry_lines(path))

    def rewrite(self) -> None:
        """Sorts the manifest now, with the changes of paths; the caller holds `lock`.

        Raises:
            OSError: The disk fails.
        """
        if not self.digests.is_current:
            self._write()
            os.close(self._log)
            self._log = self._open_log()

    def _append(self, lines: str) -> None:
        write_all(self._log, lines.encode())

    def _open_log(self) -> int:
        return open_regular(COPY_MANIFEST, self._fd, os.O_WRONLY | os.O_APPEND)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            if not self._disk.lock(self._fd) or not forget_members(self._fd, self._disk):
                raise StoreError(f"another pull is writing to {self._path}; wait until it has ended")
            self._read_again()
            FileWriter(self._disk, self._fd, COPY_MANIFEST).close()  # Shows at once what the disk lacks.
            self._write()
            self._log = self._open_log()
        except OSError as exc:
            raise StoreError(f"{self._path} cannot be written: {exc.strerror}") from exc
        try:
            yield
        finally:
            close_quietly(self._log)
            with suppress(OSError):  # An unsorted manifest is as valid as a sorted one.
                self._write()

    @contextmanager
    def _shared(self) -> Iterator[None]:
        """As `_alone`, for a member."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with ExitStack() as stack:
            try:
                # A pull that wants the copy to itself locks the directory.
                if not self._disk.lock(self._fd, shared=True):
                    raise StoreError(f"another pull is writing to {self._path}; wait until it has ended")
                self._disk.lacks.pop(Lack.LOCKS, None)
                lock = stack.enter_context(membership(self._fd, self._path, self._disk))
                self._read_again()
                self._log = os.open(sums_name(self._member), flags, 0o600, dir_fd=self._fd)
                self._append(header(self._account_id))
            except OSError as exc:
                raise StoreError(f"{self._path} cannot be written: {exc.strerror}") from exc
            try:
                yield
            finally:
                close_quietly(self._log)
                with suppress(OSError):  # Else another pull does it.
                    if is_alone(lock, self._disk):
                        self._merge()

    def _merge(self) -> None:
        """Puts the manifests of all members into one; only while there is no other member."""
        self._read()
        self._write()
        os.unlink(LOCK_FILE, dir_fd=self._fd)

    def _write(self) -> None:
        """Replaces the manifest by a sorted one, unless it is sorted."""
        if self.digests.is_current:
            return
        with closing(FileWriter(self._disk, self._fd, COPY_MANIFEST)) as writer:
            lines = self.digests.lines(self._account_id)
            while page := "".join(islice(lines, _LINES)):
                writer.append(page.encode("utf-8", "surrogateescape"))
            writer.finish()
        self.digests.is_current = True
        for name in self.digests.merged:
            os.unlink(name, dir_fd=self._fd)
        self.digests.merged = []

    def _read_again(self) -> None:
        """Reads the files again if another pull has changed them before this one had its lock."""
        if self._state() != self._seen:
            self._read()

    def _read(self) -> None:
        """Reads the manifest, and those of members."""
        self.digests = _read_sums(self._fd, self._path, self._account_id)
        self.digests.merged = read_members(self.digests, self._fd, self._path, self._account_id)

    def _state(self) -> tuple[object, ...]:
        """Tells one state of the files from another."""
        with suppress(OSError):
            status = os.stat(COPY_MANIFEST, dir_fd=self._fd, follow_symlinks=False)
            return status.st_ino, status.st_size, status.st_mtime_ns, *member_sums(self._fd)
        return tuple(member_sums(self._fd))


def _read_sums(fd: int, path: Path, account_id: str) -> Digests:
    """The contents of the manifest, without those of members."""
    with open_manifest(fd, path, account_id) as manifest:
        if manifest is None:
            names = os.listdir(fd)
            is_shared = any(is_of_members(name) for name in names)
            if not is_shared and any(name != partial_name(COPY_MANIFEST) for name in names):
                raise StoreError(
                    f"{path} is not empty and not a copy of rcfs pull (it has no {COPY_MANIFEST}); choose"
                    " another directory"
                )
            return Digests(is_current=False)
        digests = Digests()
        digests.read(manifest)
        return digests
