"""Bytes of a content that the cache cannot keep: an unlinked file, which ends with its last reader.

It lies in the cache's directory, because that is the disk that the user chose for contents.
"""

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import attrs

from rcfs.model import CHUNK_BYTES

_SPARED_BYTES = 64 << 20
"""Bytes of the disk that stay free: enough for small writes of other programs and of rcfs's databases. The
cache leaves more free, but a file that is being read now matters more than one that may be read later."""


class Spill:
    """The file of one content; `put` may run in several threads at once."""

    def __init__(self, fd: int) -> None:
        """Takes over `fd`, which is closed when the object is deleted."""
        self._fd = fd

    @classmethod
    def create(cls, directory: Path) -> "Spill":
        """A spill on the disk of `directory`.

        Raises:
            OSError: The file cannot be created.
        """
        try:
            return cls(os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except OSError:
            # Not every file system has files without a name (open(2), O_TMPFILE): this makes and unlinks one.
            with tempfile.TemporaryFile(dir=directory) as file:
                return cls(os.dup(file.fileno()))

    def put(self, index: int, data: bytes | bytearray) -> "SpilledChunk":
        """Write the chunk `index`; the chunk, for reading.

        Raises:
            OSError: It cannot be written, or the disk would be full.
        """
        disk = os.fstatvfs(self._fd)
        if disk.f_bavail * disk.f_frsize < _SPARED_BYTES + len(data):
            raise OSError(errno.ENOSPC, "too little disk space is free")
        view, offset = memoryview(data), index * CHUNK_BYTES
        while view:
            written = os.pwrite(self._fd, view, offset)
            view, offset = view[written:], offset + written
        return SpilledChunk(self._pread, index * CHUNK_BYTES, len(data))

    def _pread(self, size: int, offset: int) -> bytes:
        return os.pread(self._fd, size, offset)

    def __del__(self) -> None:
        os.close(self._fd)


@attrs.frozen(eq=False)
class SpilledChunk:
    """A chunk in a spill; the file stays as long as one of its chunks is in use."""

    _read: Callable[[int, int], bytes]
    _start: int
    length_bytes: int
    """Number of bytes."""

    def pread(self, offset: int, size: int) -> bytes:
        """The bytes ``[offset, offset + size)`` of the chunk, cut at its end.

        Raises:
            OSError: The disk failed.
        """
        wanted = max(0, min(size, self.length_bytes - offset))
        data = self._read(wanted, self._start + offset)
        if len(data) != wanted:
            raise OSError(errno.EIO, "the chunk was cut short while it was open")
        return data

    def close(self) -> None:
        """Does nothing: the file ends with the last chunk."""
