"""Inodes with their lookup counts and nodes, and file handles.

An inode number is a digest of the path, so that it is the same after the kernel forgot it, and in the next
mount: backup programs recognise files by it.

The kernel forgets inodes only when it needs memory, so after a `find` over a million messages it holds six
million. For each, the table holds the inode of its parent and its name in one bytes object, which the garbage
collector does not visit. These are 180 bytes, a sixth of the kernel's own memory for an inode (measured
2026-11). The table keeps the nodes of recent and open inodes only, and gets others from the tree again.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from struct import Struct

import attrs
import pyfuse3
import trio

from rcfs.files import Listing, Opener
from rcfs.fuse._attributes import decoded
from rcfs.fuse._listings import KeptListings
from rcfs.tree import Directory, Node

_NODES_AT_HAND = 16_384
"""Nodes to keep of inodes that are not open, 8 MB: a tool that walks a tree opens its directories one after
the other, and the kernel may have their listings."""
_NUMBER_BITS = 60
"""Bits of an inode number: two digits of Python's integers, which have 30 each."""
_HEAD = Struct("<IQ")
"""Lookup count and parent of an inode, before its name."""
_SPARSE = 8
"""The dictionaries are copied when the number of inodes falls below its highest value divided by this,
because Python never shrinks a dictionary."""
_MOST_LOOKUPS = (1 << 32) - 1
"""Highest lookup count; an inode that reaches it is never forgotten."""


@attrs.define(eq=False)
class _Moved:
    """A path whose inode was retired."""

    times: int = 0
    """Number of retired inodes so far, which is part of the digest for the next one."""
    held: int = 0
    """Number of retired inodes that the kernel still holds."""


@attrs.define(eq=False)
class _Open:
    node: Node
    users: int = 0


class InodeTable:
    """The inodes that the kernel holds, with their nodes."""

    def __init__(self, root: Directory) -> None:
        self._root = root
        self._held: dict[int, bytes] = {}
        self._most_held = 0
        self._recent: OrderedDict[int, Node] = OrderedDict()
        self._open: dict[int, _Open] = {}
        self._served: dict[int, bytes] = {}
        self._whole: set[int] = set()
        self.listings = KeptListings()
        """The listings of directories that the kernel may have."""
        self._moved: dict[bytes, _Moved] = {}
        """Paths with retired inodes, until the kernel holds no inode of the path."""
        self._retired: dict[int, bytes] = {}
        """The paths of retired inodes that the kernel holds."""

    def __len__(self) -> int:
        return len(self._held) + 1

    def __contains__(self, inode: int | None) -> bool:
        """Whether the kernel holds `inode`."""
        return inode in self._held or inode == pyfuse3.ROOT_INODE

    def node(self, inode: int) -> Node | None:
        """The node of `inode`; None if its path is gone, or its mailbox is not loaded."""
        if inode == pyfuse3.ROOT_INODE:
            return self._root
        opened = self._open.get(inode)
        if opened is not None:
            return opened.node
        node = self._recent.get(inode)
        if node is not None:
            self._recent.move_to_end(inode)
            return node
        node = self.renewed(inode)
        if node is not None:
            self._keep(inode, node)
        return node

    def renewed(self, inode: int) -> Node | None:
        """As `node`, but always from the tree, also for an open inode; the table does not keep it."""
        path = self.path(inode)
        if path is None:
            return None
        parent, name = path
        directory = self.node(parent)
        if not isinstance(directory, Directory) or not (directory.is_known and directory.is_quick):
            return None
        return directory.find(name)

    def path(self, inode: int) -> tuple[int, str] | None:
        """(parent, name) of `inode`; None if the kernel does not hold it, or it was retired."""
        held = self._held.get(inode)
        if held is None or len(held) == _HEAD.size:
            return None
        _lookups, parent = _HEAD.unpack_from(held)
        return parent, decoded(held[_HEAD.size :])

    def place(self, inode: int) -> tuple[Directory, str] | None:
        """(directory, name) of `inode` if the directory is a search, which is slow; else None."""
        path = self.path(inode)
        directory = None if path is None else self.node(path[0])
        if path is None or not isinstance(directory, Directory) or directory.is_quick:
            return None
        return directory, path[1]

    def known_above(self, inode: int) -> Directory | None:
        """The nearest directory above `inode` with a node; None if the kernel does not hold `inode`."""
        while (held := self._held.get(inode)) is not None:
            _lookups, inode = _HEAD.unpack_from(held)
            node = self.node(inode)
            if isinstance(node, Directory):
                return node
        return None

    def number(self, parent: int, name: bytes) -> int:
        """The inode number for `name` in the directory `parent`; this does not add it to the table."""
        path = seed = parent.to_bytes(8, "little") + name
        moved = self._moved.get(path)
        if moved is not None:
            seed += moved.times.to_bytes(8, "little")
        while True:
            digest = blake2b(seed, digest_size=8).digest()
            inode = int.from_bytes(digest, "little") >> (64 - _NUMBER_BITS)
            held = self._held.get(inode)
            if inode > pyfuse3.ROOT_INODE and (held is None or held[_HEAD.size - 8 :] == path):
                return inode
            seed += b"\0"  # taken by another path: about 1 in 10^5 mounts of 5 million files

    def remember(self, parent: int, name: bytes, node: Node) -> int:
        """Counts a lookup of a path, which now has `node`; returns its inode."""
        inode = self.number(parent, name)
        self.told(inode, parent, name, node)
        return inode

    def told(self, inode: int, parent: int, name: bytes, node: Node) -> None:
        """Counts a lookup of a path whose `number` is `inode`, and which now has `node`."""
        held = self._held.get(inode)
        lookups = 0 if held is None else _HEAD.unpack_from(held)[0]
        self._held[inode] = _HEAD.pack(min(lookups + 1, _MOST_LOOKUPS), parent) + name
        self.replace(inode, node)

    def replace(self, inode: int, node: Node) -> bool:
        """Sets the node of `inode`; False if the kernel does not hold it."""
        if inode not in self._held:
            return False
        if inode in self._open:
            self._open[inode].node = node
        else:
            self._keep(inode, node)
        return True

    def opened(self, inode: int, node: Node) -> None:
        """Counts an open of `inode`, which keeps its node until it is `closed`, even if the path goes."""
        self._recent.pop(inode, None)
        self._open.setdefault(inode, _Open(node)).users += 1

    def closed(self, inode: int) -> None:
        """Ends one open of `inode`."""
        opened = self._open[inode]
        opened.users -= 1
        if not opened.users:
            del self._open[inode]
            if inode in self._held:
                self._keep(inode, opened.node)

    def retire(self, inode: int) -> None:
        """Gives the path of `inode` a new inode, because it stands for something else from now on.

        The kernel may hold `inode` while a process still uses the old directory; `inode` has no name from now
        on.
        """
        held = self._held.get(inode)
        if held is not None and len(held) > _HEAD.size:
            # The path keeps its new inode while the kernel holds that, even after it forgot `inode`.
            path = held[_HEAD.size - 8 :]
            moved = self._moved.setdefault(path, _Moved())
            moved.times += 1
            moved.held += 1
            self._retired[inode] = path
            self._held[inode] = held[: _HEAD.size]
            self._whole.discard(inode)

    def serve(self, inode: int, version: bytes) -> bool:
        """Notes the text of `inode` by a digest; True if the kernel's pages are of the same text."""
        if inode not in self._held:
            return False
        same = self._served.get(inode) == version
        self._served[inode] = version
        return same

    def note_whole(self, inode: int) -> None:
        """Notes that an open attachment was complete, so that the kernel may have pages of it."""
        if inode in self._held:
            self._whole.add(inode)

    def is_whole(self, inode: int) -> bool:
        """Whether `note_whole` was called since the kernel began to hold `inode`."""
        return inode in self._whole

    async def paths_below(self, top: int) -> list[tuple[int, tuple[str, ...]]]:
        """(parent, path from `top`) for each inode below `top`; parents come first."""
        # A copy, because lookups continue meanwhile; for five million inodes it takes 0.1 s.
        return await trio.to_thread.run_sync(_paths_below, self._held.copy(), top)

    def forget(self, inodes: Iterable[tuple[int, int]]) -> None:
        """Takes lookups from the counts of inodes: pairs of (inode, number of lookups)."""
        self._most_held = max(self._most_held, len(self._held))
        for inode, dropped in inodes:
            held = self._held.get(inode)
            if held is None:
                continue
            lookups, parent = _HEAD.unpack_from(held)
            if lookups == _MOST_LOOKUPS:
                continue
            if lookups > dropped:
                self._held[inode] = _HEAD.pack(lookups - dropped, parent) + held[_HEAD.size :]
                continue
            del self._held[inode]
            self._recent.pop(inode, None)
            self._served.pop(inode, None)
            self._whole.discard(inode)
            self.listings.forget(inode)
            if self._moved:
                self._settle(inode, held)
        if len(self._held) * _SPARSE < self._most_held:
            self._held, self._served = dict(self._held), dict(self._served)
            self._whole = set(self._whole)
            self.listings.shrink()
            self._most_held = len(self._held)

    def _settle(self, inode: int, held: bytes) -> None:
        """Gives a path its first inode again, if the kernel, which forgot `inode`, holds none of the path."""
        retired = self._retired.pop(inode, None)
        path = held[_HEAD.size - 8 :] if retired is None else retired
        moved = self._moved.get(path)
        if moved is None:
            return
        moved.held -= retired is not None
        if not moved.held and self.number(int.from_bytes(path[:8], "little"), path[8:]) not in self._held:
            del self._moved[path]

    def _keep(self, inode: int, node: Node) -> None:
        self._recent[inode] = node
        self._recent.move_to_end(inode)
        if len(self._recent) > _NODES_AT_HAND:
            self._recent.popitem(last=False)


class HandleTable:
    """Open files and listings by the number of their handle; a number is never used twice."""

    def __init__(self, inodes: InodeTable) -> None:
        self._inodes = inodes
        self._handles: dict[int, tuple[int, Opener | Listing]] = {}
        self._next = 1

    def add(self, inode: int, node: Node, opener: Opener | Listing) -> pyfuse3.FileHandleT:
        """The number of a new handle; `inode` keeps `node` until the handle is released."""
        self._inodes.opened(inode, node)
        number = self._next
        self._next += 1
        self._handles[number] = inode, opener
        return pyfuse3.FileHandleT(number)

    def listing(self, number: int) -> tuple[int, Listing]:
        """(inode, listing) of a handle that the kernel has from `opendir`."""
        inode, opener = self._handles[number]
        assert isinstance(opener, Listing)  # noqa: S101 - the kernel keeps the two kinds apart
        return inode, opener

    def opener(self, number: int) -> Opener:
        """The open file of a handle that the kernel has from `open`."""
        opener = self._handles[number][1]
        assert not isinstance(opener, Listing)  # noqa: S101 - the same
        return opener

    def pop(self, number: int) -> Opener | Listing:
        """Ends a handle, and returns its file or listing."""
        inode, opener = self._handles.pop(number)
        self._inodes.closed(inode)
        return opener


def _paths_below(held: Mapping[int, bytes], top: int) -> list[tuple[int, tuple[str, ...]]]:
    children: dict[int, list[int]] = {}
    for inode, entry in held.items():
        _lookups, parent = _HEAD.unpack_from(entry)
        children.setdefault(parent, []).append(inode)
    found: list[tuple[int, tuple[str, ...]]] = []
    waiting: list[tuple[int, tuple[str, ...]]] = [(top, ())]
    for parent, path in waiting:
        for inode in children.get(parent, ()):
            below = (*path, decoded(held[inode][_HEAD.size :]))
            found.append((parent, below))
            waiting.append((inode, below))
    return found
