"""Pins: contents that are never evicted. The file ``pins`` of a cache directory has one key per line.

Behind each key stands its CRC-32, so that a line which a disk changed is not taken for another content's.
Lines of earlier versions, which have none, are believed.

The file lies beside the cache's database and not in it, because the database is disposable. A process that
changes the pins holds the database's lock, which all processes of the directory share, and replaces the whole
file; so a reader sees the old pins or the new ones.
"""

import os
import zlib
from collections.abc import Iterable
from pathlib import Path

from rcfs.filenames import CacheFiles
from rcfs.model import ContentKey
from rcfs.private import replace_private_file


class PinFile:
    """The pins of one cache directory; the caller ensures that one thread uses it at a time."""

    def __init__(self, directory: Path) -> None:
        self.path = CacheFiles(directory).pins
        """Path of the file."""
        self._seen: tuple[int, int, int] | None = None
        self._pins: frozenset[str] = frozenset()
        self.damaged: tuple[str, ...] = ()
        """The damaged lines that `read` found last."""

    def read(self) -> frozenset[str]:
        """The pinned keys; the file is read again only if it has been replaced.

        Damaged lines are left out, see `damaged`.

        Raises:
            OSError: The file exists, and cannot be read.
        """
        try:
            with self.path.open(encoding="utf-8", errors="replace") as file:
                status = os.fstat(file.fileno())
                seen = (status.st_ino, status.st_mtime_ns, status.st_size)
                if seen != self._seen:
                    lines = [line for line in file.read().split("\n") if line]
                    keys = {line: _key_in(line) for line in lines}
                    self._pins = frozenset(key for key in keys.values() if key is not None)
                    self.damaged = tuple(line for line, key in keys.items() if key is None)
                    self._seen = seen
        except FileNotFoundError:
            self._seen, self._pins = None, frozenset()
        return self._pins

    def write(self, pins: Iterable[str]) -> None:
        """Replace all pins by `pins`; they are synced to the disk when this returns.

        Raises:
            OSError: It cannot be written; the old pins stay.
        """
        text = "".join(f"{key} {_checksum(key)}\n" for key in sorted(pins))
        replace_private_file(self.path, text, sync=True)


def _key_in(line: str) -> str | None:
    """The key on a line; None if the line is damaged."""
    key, space, checksum = line.partition(" ")
    try:
        ContentKey.parse(key)
    except ValueError:
        return None
    return key if not space or checksum == _checksum(key) else None


def _checksum(key: str) -> str:
    return f"{zlib.crc32(key.encode()):08x}"
