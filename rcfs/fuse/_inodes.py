"""Inode numbers and lookup counts.

An inode number is a digest of the path, so that it is the same after forgetting, tomorrow, and in the next
mount: backup programs recognise files by it.
"""

from collections.abc import Iterable
from hashlib import blake2b

import attrs
import pyfuse3

from rcfs.tree import Directory, Node


@attrs.define(eq=False)
class _Entry:
    seed: bytes
    """Digest input of the path: tells it from others with the same number."""
    node: Node
    lookups: int
    served: bytes | None = None
    """Digest of the text whose pages the kernel may hold; None when it holds none."""


class InodeTable:
    """Which node has which inode; holds an inode for as long as the kernel does."""

    def __init__(self, root: Directory) -> None:
        self._entries: dict[int, _Entry] = {pyfuse3.ROOT_INODE: _Entry(b"", root, 1)}

    def __len__(self) -> int:
        return len(self._entries)

    def node(self, inode: int) -> Node | None:
        """The node of `inode`; None when the kernel does not hold it, which it never asks for."""
        entry = self._entries.get(inode)
        return entry.node if entry is not None else None

    def number(self, parent: int, name: bytes) -> int:
        """The inode of what is called `name` in the directory `parent`; not remembered by this."""
        path = seed = parent.to_bytes(8, "little") + name
        while True:
            digest = blake2b(seed, digest_size=8).digest()
            inode = int.from_bytes(digest, "little") >> 1
            entry = self._entries.get(inode)
            if inode > pyfuse3.ROOT_INODE and (entry is None or entry.seed == path):
                return inode
            seed += b"\0"  # taken by another path: about 1 in 10^6 mounts of 4 million files

    def remember(self, parent: int, name: bytes, node: Node) -> int:
        """The inode of `node`, of which the kernel was told once more; it replaces the node of that path."""
        inode = self.number(parent, name)
        entry = self._entries.get(inode)
        if entry is None:
            self._entries[inode] = _Entry(parent.to_bytes(8, "little") + name, node, 1)
        else:
            entry.node = node
            entry.lookups += 1
        return inode

    def replace(self, inode: int, node: Node) -> bool:
        """Shows `node` at `inode` from now on; False when the kernel does not hold it."""
        entry = self._entries.get(inode)
        if entry is not None:
            entry.node = node
        return entry is not None

    def serve(self, inode: int, data: bytes) -> bool:
        """Notes that the text of `inode` is `data` now; whether pages that the kernel has kept are of it."""
        entry = self._entries.get(inode)
        if entry is None:
            return False
        digest = blake2b(data, digest_size=16).digest()
        same = entry.served == digest
        entry.served = digest
        return same

    def forget(self, inodes: Iterable[tuple[int, int]]) -> None:
        """The kernel drops so many of its lookups of each inode."""
        for inode, lookups in inodes:
            entry = self._entries.get(inode)
            if entry is None or inode == pyfuse3.ROOT_INODE:
                continue
            entry.lookups -= lookups
            if entry.lookups <= 0:
                del self._entries[inode]
