"""One file of a copy while it is written: beside its final place, then synced and renamed."""

import os
from contextlib import suppress
from hashlib import sha256

from rcfs.model import file_time_ns
from rcfs.pull._disk import Disk, close_quietly, replace, write_all

_MODE = 0o600
"""Only the owner may read a copy; the umask may take more away."""


class FileWriter:
    """Writes one file; `finish` makes it appear, and `close` without `finish` leaves nothing behind."""

    def __init__(self, disk: Disk, directory_fd: int, name: str) -> None:
        """Begins the file `name` in a directory of `disk`, whose descriptor stays the caller's.

        Raises:
            OSError: The file cannot be created.
        """
        self._disk = disk
        self._name = name
        self._partial = disk.partial_name(name)
        self._hasher = sha256()
        with suppress(FileNotFoundError):
            os.unlink(self._partial, dir_fd=directory_fd)  # Left by a run that was killed.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(self._partial, flags, _MODE, dir_fd=directory_fd)
        disk.look_at_mode(self._fd)
        self._directory_fd = os.dup(directory_fd)
        self._done = False
        self.size_bytes = 0
        """Number of bytes that were written."""

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes so far, in hexadecimal."""
        return self._hasher.hexdigest()

    def append(self, data: bytes) -> None:
        """Writes the next bytes."""
        self._hasher.update(data)
        write_all(self._fd, data)
        self.size_bytes += len(data)

    def finish(self, mtime_s: float | None = None) -> None:
        """Makes the file appear at its place, whole and synced; sets its time, unless `mtime_s` is None."""
        if mtime_s is not None:
            self._disk.date(self._fd, file_time_ns(mtime_s))
        self._disk.sync(self._fd)
        replace(self._partial, self._name, self._directory_fd)
        self._done = True

    def close(self) -> None:
        """Ends the writing, and removes a file that was not finished."""
        close_quietly(self._fd)
        if not self._done:
            with suppress(OSError):
                os.unlink(self._partial, dir_fd=self._directory_fd)
        os.close(self._directory_fd)
