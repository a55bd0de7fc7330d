"""Fingerprints of directories, by which a pull sees at little cost that nothing has changed in them."""

import os
import stat
from collections.abc import Callable
from hashlib import blake2b

import attrs

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TOLD_EVERY = 1000


@attrs.frozen
class Found:
    """The present state of one mailbox in the copy or in the cache."""

    fingerprint: str
    """A digest that changes whenever a file is added, removed or gets another size."""
    confirmed: int
    """Number of files that this pull knows to be right; always 0 for the cache."""


class Fingerprint:
    """One digest in the making; for one thread. It follows no link, and opens nothing but directories."""

    def __init__(self, on_looked: Callable[[int], None], is_known: Callable[[str, int], bool]) -> None:
        """Begins empty.

        Args:
            on_looked: Called now and then with the number of files seen since the last call.
            is_known: Gets path and size in bytes of a regular file; whether to count it in `known`.
        """
        self._hasher = blake2b(digest_size=16)
        self._on_looked = on_looked
        self._is_known = is_known
        self._looked = 0
        self.known = 0
        """Number of regular files that were counted."""

    def add(self, *facts: object) -> None:
        """Adds some facts about one file."""
        self._hasher.update(ascii(facts).encode())

    def add_directory(self, fd: int, path: str) -> None:
        """Adds all that lies in and below the directory `fd`, at `path`: names, kinds, sizes, links' targets.

        Times are left out, because disks round them differently.

        Raises:
            OSError: A file or directory cannot be looked at.
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
                self.add()  # The end of the directory.
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
