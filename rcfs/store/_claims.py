"""Claims, by which the processes that share a cache directory know which contents are being fetched.

A claim is a POSIX record lock on one byte of a file that all processes have open; a digest of the content's
key chooses the byte. So the kernel keeps the claims, and drops those of a process that dies. The file also
has a table of marks: releasing a claim changes the mark of its content. If a process finds nothing in the
cache, waits for its turn, and then sees the same mark as before, no other process has fetched the content
meanwhile.

Claims only save requests: two contents may share a byte or a mark, and if the file cannot be used, every
content counts as free.

Source: fcntl(2), "Advisory record locking". Such a lock belongs to the process, and ends as soon as it closes
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
"""Marks in the table, 8 KiB in all: two contents that are fetched at the same time rarely share one."""
_FIRST_LOCK = _MARK_BYTES * _MARKS
_LOCKS = 1 << 62
"""Bytes behind the table that can be locked; they lie beyond the end of the file, which a lock may."""


class Claims:
    """The claims of one process, for any thread; two objects of one process ignore each other's claims.

    Besides contents, a text names other work that one task of all processes does at a time.
    """

    def __init__(self, fd: int | None) -> None:
        """Use `open` instead."""
        self._fd = fd
        self._held: set[ContentKey | str] = set()

    @classmethod
    def open(cls, directory: Path) -> "Claims":
        """The claims of the cache in `directory`; if it cannot be written, every content is free."""
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
        """The mark of a content, which changes when a claim of it is released."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                return os.pread(self._fd, _MARK_BYTES, _mark_offset(key))
        return b""

    def take(self, key: ContentKey | str) -> bool:
        """Claim a content; False if another task of this process, or another process, has claimed it."""
        if key in self._held:
            return False
        if self._fd is not None:
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _lock_offset(key))
            except BlockingIOError:
                return False
            except OSError:
                pass  # No locks on this file system, or no more of them.
        self._held.add(key)
        return True

    def give_back(self, key: ContentKey | str) -> None:
        """Release the claim of a content, after its bytes were put into the cache."""
        self._held.discard(key)
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.pwrite(self._fd, os.urandom(_MARK_BYTES), _mark_offset(key))
            with contextlib.suppress(OSError):
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, _lock_offset(key))

    def close(self) -> None:
        """Release all claims of this process; nothing is claimed afterwards."""
        fd, self._fd = self._fd, None
        self._held.clear()
        if fd is not None:
            os.close(fd)


def _digest(key: ContentKey | str) -> int:
    return int.from_bytes(blake2b(str(key).encode(), digest_size=8).digest())


def _mark_offset(key: ContentKey | str) -> int:
    return _digest(key) % _MARKS * _MARK_BYTES


def _lock_offset(key: ContentKey | str) -> int:
    return _FIRST_LOCK + _digest(key) % _LOCKS
