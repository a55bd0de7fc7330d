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
    node: Node
    lookups: int


class InodeTable:
    """Which node has which inode; holds an inode for as long as the kernel does."""

    def __init__(self, root: Directory) -> None:
        self._entries: dict[int, _Entry] = {pyfuse3.ROOT_INODE: _Entry(root, 1)}

    def __len__(self) -> int:
        return len(self._entries)

    def node(self, inode: int) -> Node | None:
        """The node of `inode`; None when the kernel does not hold it, which it never asks for."""
        entry = self._entries.get(inode)
        return entry.node if entry is not None else None

    def number(self, parent: int, name: bytes, node: Node) -> int:
        """The inode of `node`, which is called `name` in the directory `parent`; not remembered by this."""
        seed = parent.to_bytes(8, "little") + name
        while True:
            digest = blake2b(seed, digest_size=8).digest()
            inode = int.from_bytes(digest, "little") >> 1
            entry = self._entries.get(inode)
            if inode > pyfuse3.ROOT_INODE and (entry is None or entry.node is node):
                return inode
            seed += b"\0"  # taken by another path: about 1 in 10^6 mounts of 4 million files

    def remember(self, inode: int, node: Node) -> None:
        """The kernel was told of `inode` once more."""
        entry = self._entries.get(inode)
        if entry is None:
            self._entries[inode] = _Entry(node, 1)
        else:
            entry.lookups += 1

    def forget(self, inodes: Iterable[tuple[int, int]]) -> None:
        """The kernel drops so many of its lookups of each inode."""
        for inode, lookups in inodes:
            entry = self._entries.get(inode)
            if entry is None or inode == pyfuse3.ROOT_INODE:
                continue
            entry.lookups -= lookups
            if entry.lookups <= 0:
                del self._entries[inode]
