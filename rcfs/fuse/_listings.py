"""Which listings of directories the kernel may keep, so that it need not ask for them again.

The kernel keeps the entries that READDIR returns if the reply to OPENDIR allows it (``FOPEN_CACHE_DIR``). A
process that opens the directory later gets them without a READDIR, unless the reply to its own OPENDIR tells
the kernel to drop them (no ``FOPEN_KEEP_CACHE``). So no notice has to reach the kernel in time: each OPENDIR
compares the edition of the directory with the one that the kernel may have.

pyfuse3 3.5 cannot set that flag; see ``contrib/faster-pyfuse3``.
"""

import sys
from typing import Any

import pyfuse3

_NEVER = ""
"""The edition of a directory whose listing the kernel must not keep."""


def can_keep_listings() -> bool:
    """Whether this pyfuse3 can let the kernel keep listings."""
    return hasattr(pyfuse3.FileInfo, "cache_readdir")


def opened_directory(number: int, *, keep: bool) -> Any:
    """The reply to OPENDIR that lets the kernel keep the listing; for a pyfuse3 that `can_keep_listings`.

    Args:
        number: The handle.
        keep: Whether the entries that the kernel has are still right.
    """
    reply: Any = pyfuse3.FileInfo(fh=pyfuse3.FileHandleT(number), keep_cache=keep)
    reply.cache_readdir = True
    return reply


class KeptListings:
    """The editions of the listings that the kernel may have, by inode."""

    def __init__(self) -> None:
        self._editions: dict[int, str] = {}
        """By inode: what the kernel has is of this edition, or newer; `_NEVER` if it must keep nothing."""
        self._readers: dict[int, set[int]] = {}
        """By inode: the handles of processes that may still add entries of that edition."""

    def opened(self, inode: int, number: int, edition: str) -> bool | None:
        """Begins a listing of `inode`, whose edition is now `edition`, with the handle `number`.

        Returns:
            Whether the kernel may use the entries that it has; None if it must neither use nor keep any.
        """
        kept, readers = self._editions.get(inode), self._readers.get(inode)
        # A process that still lists an older edition would add to the entries of the new one.
        if kept == _NEVER or (readers and kept != edition):
            return None
        # A million directories share the text.
        self._editions[inode] = sys.intern(edition)
        self._readers.setdefault(inode, set()).add(number)
        return kept == edition

    def found_empty(self, inode: int, number: int) -> None:
        """Notes that the listing with the handle `number` had no entry.

        The kernel never asks again for what it knows to be empty, even if told to drop it (Linux 6.18).
        """
        if number in self._readers.get(inode, ()):
            self._editions[inode] = _NEVER

    def closed(self, inode: int, number: int) -> None:
        """Ends the listing with the handle `number`."""
        readers = self._readers.get(inode)
        if readers is not None:
            readers.discard(number)
            if not readers:
                del self._readers[inode]

    def forget(self, inode: int) -> None:
        """Forgets an inode that the kernel has forgotten."""
        self._editions.pop(inode, None)

    def shrink(self) -> None:
        """Frees the memory that is left over when most inodes are forgotten."""
        self._editions = dict(self._editions)
