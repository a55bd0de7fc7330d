"""Invalidation: makes the kernel forget names and attributes that changed, so that users need not remount.

No handler may call this, and it never drops pages of a file: to drop them the kernel waits for reads that are
under way, so the daemon would wait for itself. It is enough to forget names. The next lookup gets the new
size, and the next open decides about pages (see `InodeTable.serve`).
"""

from collections.abc import Collection, Hashable, Sequence
from contextlib import suppress

import pyfuse3
import trio

from rcfs.files import Listener, TreePath, encoded, names_of_search
from rcfs.fuse._attributes import decoded
from rcfs.fuse._inodes import InodeTable
from rcfs.tree import SEARCH_DIRECTORY, Directory, Node, Root, SearchesDirectory, TextFile


class Invalidation(Listener):
    """Tells the kernel of changes; the place of an open file is its inode."""

    def __init__(self, root: Root, inodes: InodeTable) -> None:
        self._root = root
        self._inodes = inodes
        self._whole: set[TreePath] = set()  # directories that changed as a whole
        self._links = False  # whether any link in a search may have changed
        self._much_changed = trio.Event()

    async def run(self) -> None:
        """Invalidates large parts of the tree in the background, until it is cancelled."""
        while True:
            await self._much_changed.wait()
            self._much_changed = trio.Event()
            while self._whole:
                await self._forget_whole(self._whole.pop())
            if self._links:
                self._links = False
                await self._forget_links()

    async def _forget_whole(self, top_path: TreePath) -> None:
        """Makes the kernel forget a directory and everything below it."""
        above, top = 0, int(pyfuse3.ROOT_INODE)
        for name in top_path:
            above, top = top, self._inodes.number(top, encoded(name))
        for parent, path in await self._inodes.paths_below(top):
            self._forget_path(parent, (*top_path, *path))
            await trio.lowlevel.checkpoint()  # There may be millions.
        self._forget_path(above, top_path)

    async def _forget_links(self) -> None:
        """Makes the kernel forget all links in searches."""
        for parent, path in await self._inodes.paths_below(self._searches()):
            if len(path) > 1:
                forget_name(parent, path[-1])
                await trio.lowlevel.checkpoint()

    def all_changed(self, path: TreePath) -> None:
        self._whole.add(path)
        self._much_changed.set()

    def changed(self, paths: Collection[TreePath]) -> None:
        held: dict[TreePath, int | None] = {(): int(pyfuse3.ROOT_INODE)}

        def inode(path: TreePath) -> int | None:
            """The inode of `path`; None if the kernel does not hold it."""
            if path not in held:
                parent = inode(path[:-1])
                number = None if parent is None else self._inodes.number(parent, encoded(path[-1]))
                held[path] = number if number in self._inodes else None
            return held[path]

        # The directories above a changed node have new times.
        for path in {whole[:depth] for whole in paths for depth in range(1, len(whole) + 1)}:
            parent = inode(path[:-1])
            # It is None for nearly all paths of a first load, which reports a thousand messages at a time.
            if parent is not None:
                self._forget_path(parent, path)

    def _forget_path(self, parent: int, path: Sequence[str]) -> None:
        """Makes the kernel forget the name or the attributes of `path`, and its volatile files.

        A directory that still exists keeps its name: the kernel would otherwise take it for deleted in a
        shell that has it as working directory.

        Args:
            parent: The inode of the directory that holds `path`.
            path: A path from the root.
        """
        node = self._root.find(path[0])
        for part in path[1:]:
            node = node.find(part) if isinstance(node, Directory) and node.is_known else None
        inode = self._inodes.number(parent, encoded(path[-1]))
        if not isinstance(node, Directory) or not self._inodes.replace(inode, node):
            forget_name(parent, path[-1])
            return
        forget_attributes(inode)
        for name in node.volatile_names():
            forget_name(inode, name)

    # Searches

    def found_changed(self, names: Collection[str], *, everything: bool) -> None:
        shown = self._shown()
        for inode, _name in shown:
            forget_attributes(inode)
            for name in names:
                if self._inodes.number(inode, encoded(name)) in self._inodes:
                    forget_name(inode, name)
        if shown and everything:
            self._links = True
            self._much_changed.set()

    def owners_changed(self) -> None:
        for _inode, name in self._shown():
            # The kernel forgets everything below the name as well.
            forget_name(self._searches(), name)

    def directory_removed(self, inode: int, name: bytes, names: Collection[str]) -> None:
        """Retires the directory `name`, which the kernel has removed from `inode`, and its `names`."""
        self._inodes.retire(self._inodes.number(inode, name))
        for other in map(encoded, names):
            if other != name:
                self._inodes.retire(self._inodes.number(inode, other))
                forget_name(inode, decoded(other))

    def message_moved(self, inode: int, new_name: bytes) -> None:
        """Makes the kernel look up the name under which it has moved a message into `inode`.

        In the tree the message has another inode there, and the name that it had before.
        """
        forget_name(inode, decoded(new_name))

    def search_renamed(self, inode: int, name: bytes, new_name: bytes, node: Node) -> None:
        """Retires the search `name`, which the kernel has renamed to `new_name`, now `node`."""
        moved = self._inodes.number(inode, name)
        self._inodes.replace(moved, node)
        # The kernel keeps the inode of the old name, which a new search could get: make it look up again.
        self.directory_removed(inode, name, names_of_search(decoded(name)))
        for other in names_of_search(decoded(new_name)):
            forget_name(inode, other)

    def _searches(self) -> int:
        """The inode of the directory of searches."""
        return self._inodes.number(pyfuse3.ROOT_INODE, encoded(SEARCH_DIRECTORY))

    def _shown(self) -> list[tuple[int, str]]:
        """(inode, name) of the searches that the kernel holds; updates their nodes."""
        parent = self._searches()
        directory = self._inodes.node(parent)
        if not isinstance(directory, SearchesDirectory):
            return []
        numbered = (
            (self._inodes.number(parent, encoded(name)), name, node)
            for listed, node in directory.entries().items()
            for name in names_of_search(listed)
        )
        return [(inode, name) for inode, name, node in numbered if self._inodes.replace(inode, node)]

    # Open files

    def size_changed(self, place: Hashable) -> None:
        assert isinstance(place, int)  # noqa: S101 - a mount opens files by their inodes
        forget_attributes(place)

    def text_grew(self, place: Hashable, size_bytes: int) -> None:
        assert isinstance(place, int)  # noqa: S101 - the same
        node = self._inodes.renewed(place)
        if isinstance(node, TextFile):
            node.size_bytes = size_bytes
            self._inodes.replace(place, node)
        forget_attributes(place)  # The kernel keeps no pages of a text that grows.

    def text_replaced(self, place: Hashable) -> None:
        assert isinstance(place, int)  # noqa: S101 - the same
        path = self._inodes.path(place)
        self._inodes.retire(place)
        if path is not None:
            forget_name(*path)
        forget_attributes(place)


def forget_name(parent: int, name: str) -> None:
    """Makes the kernel forget `name` in the directory `parent`."""
    # In a thread of pyfuse3, because it waits for the lock of the directory.
    pyfuse3.invalidate_entry_async(
        pyfuse3.InodeT(parent), pyfuse3.FileNameT(encoded(name)), ignore_enoent=True
    )


def forget_attributes(inode: int) -> None:
    """Makes the kernel forget the attributes of `inode`."""
    # The kernel may not hold the inode any more, or the mount is ending (EINVAL, ENOTCONN): that must not end
    # the load that brought the change.
    with suppress(OSError):
        # Attributes only: dropping pages would wait for reads that are under way, and so for this process.
        pyfuse3.invalidate_inode(pyfuse3.InodeT(inode), attr_only=True)
