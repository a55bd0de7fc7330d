"""Digests of what lies in directories, by which a pull sees at little cost that nothing has changed there."""

import os
import stat
from collections.abc import Callable
from hashlib import blake2b

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TOLD_EVERY = 1000


class Fingerprint:
    """One digest; for one thread. No link is followed, and nothing is opened but directories."""

    def __init__(
        self,
        on_looked: Callable[[int], None],
        is_known: Callable[[str, int], bool] = lambda _path, _size_bytes: False,
    ) -> None:
        """Begins empty.

        Args:
            on_looked: Hears now and then of how many more files it has looked at.
            is_known: Whether a regular file is to be counted; gets its path and its size in bytes.
        """
        self._hasher = blake2b(digest_size=16)
        self._on_looked = on_looked
        self._is_known = is_known
        self._looked = 0
        self.known = 0
        """How many regular files were counted."""

    def add(self, *facts: object) -> None:
        """Adds some facts about one file."""
        self._hasher.update(ascii(facts).encode())

    def add_directory(self, fd: int, path: str) -> None:
        """Adds what lies in the directory `fd`, at `path`, and below: names, kinds, sizes, links' targets.

        Times are left out, as disks keep them in different ways.

        Raises:
            OSError: Something cannot be looked at.
        """
        for name in sorted(os.listdir(fd)):
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            kind = stat.S_IFMT(status.st_mode)
            if kind == stat.S_IFDIR:
                self.add(name, kind)
                below = os.open(name, _FLAGS, dir_fd=fd)
                try:
                    self.add_directory(below, f"{path}/{name}")
                finally:
                    os.close(below)
                self.add()  # Here it ends.
            elif kind == stat.S_IFLNK:
                self.add(name, kind, os.readlink(name, dir_fd=fd))
            else:
                self.add(name, kind, status.st_size)
                self._looked += 1
                self.known += kind == stat.S_IFREG and self._is_known(f"{path}/{name}", status.st_size)
        if self._looked >= _TOLD_EVERY:
            self._on_looked(self._looked)
            self._looked = 0

    def finish(self) -> str:
        """The digest of all that was added, in hexadecimal."""
        self._on_looked(self._looked)
        self._looked = 0
        return self._hasher.hexdigest()
