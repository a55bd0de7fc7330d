"""Which contents are being fetched, told between the processes that share a cache directory.

A claim is a POSIX record lock on one byte of a file that all of them have open; which byte, a digest of the
content's key says. So the kernel keeps the claims, and a process that dies has none. Beside them the file
has a table of marks: who gives a claim back changes the mark of the content. Who looks into the cache,
finds nothing, waits for its turn and finds the mark unchanged has missed nothing in between.

Claims are a courtesy that saves requests: two contents may share a byte or a mark, and where the file cannot
be used everything is free.

Source: fcntl(2), "Advisory record locking". Such locks are a process's own, and gone as soon as it closes
any descriptor of the file: hence one descriptor for each `Claims`, open until `close`.
"""

import contextlib
import fcntl
import os
from hashlib import blake2b
from pathlib import Path

from rcfs.filenames import CacheFiles
from rcfs.model import ContentKey
from rcfs.private import FILE_MODE

_MARK_BYTES = 8
_MARKS = 1024
"""Places in the table: 8 KiB of it, and two contents that are fetched at the same time rarely share one."""
_FIRST_LOCK = _MARK_BYTES * _MARKS
_LOCKS = 1 << 62
"""Bytes that can be locked, behind the table; no file has them, and none is needed for a lock."""


class Claims:
    """The claims of one process; any thread may use them. Two of one process do not see each other."""

    def __init__(self, fd: int | None) -> None:
        """See `open`, which is how to get some."""
        self._fd = fd

    @classmethod
    def open(cls, directory: Path) -> "Claims":
        """The claims of the cache in `directory`; where it cannot be written, everything is free."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(CacheFiles(directory).claims, flags, FILE_MODE)
        except OSError:
            return cls(None)
        with contextlib.suppress(OSError):
            os.fchmod(fd, FILE_MODE)  # The umask may have taken more than it should.
            if os.fstat(fd).st_size < _FIRST_LOCK:
                os.ftruncate(fd, _FIRST_LOCK)  # A mark must not change because the file grows.
        return cls(fd)

    def mark(self, key: ContentKey) -> bytes:
        """The mark of a content: another one after a claim of it was given back."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                return os.pread(self._fd, _MARK_BYTES, _mark_offset(key))
        return b""

    def take(self, key: ContentKey) -> bool:
        """Whether the content is claimed by this process now; False when another one has it."""
        if self._fd is not None:
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _lock_offset(key))
            except BlockingIOError:
                return False
            except OSError:
                return True  # No locks on this file system, or no more of them.
        return True

    def give_back(self, key: ContentKey) -> None:
        """Ends the claim of a content: what was fetched of it is in the cache."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.pwrite(self._fd, os.urandom(_MARK_BYTES), _mark_offset(key))
            with contextlib.suppress(OSError):
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, _lock_offset(key))

    def close(self) -> None:
        """Ends all claims of this process; nothing is claimed afterwards."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def _digest(key: ContentKey) -> int:
    return int.from_bytes(blake2b(str(key).encode(), digest_size=8).digest())


def _mark_offset(key: ContentKey) -> int:
    return _digest(key) % _MARKS * _MARK_BYTES


def _lock_offset(key: ContentKey) -> int:
    return _FIRST_LOCK + _digest(key) % _LOCKS
