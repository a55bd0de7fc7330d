"""Making the kernel forget what has changed, so that a person sees it without remounting.

Nothing here may be called by a handler, nor touch the pages of a file: to drop them the kernel waits for a
read that is under way, and the daemon with it, for ever. It is enough to forget names: who looks a name up
again is told the new size, and opens the file anew (see `InodeTable.serve`).
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
    """Tells the kernel of changes; a place of something open is its inode."""

    def __init__(self, root: Root, inodes: InodeTable) -> None:
        self._root = root
        self._inodes = inodes
        self._whole: set[str] = set()  # names of directories in the root of which everything has changed
        self._links = False  # whether any link in a search may lead elsewhere
        self._much_changed = trio.Event()

    async def run(self) -> None:
        """Forgets what is too much to be forgotten at once; runs for as long as there is a mount."""
        while True:
            await self._much_changed.wait()
            self._much_changed = trio.Event()
            while self._whole:
                await self._forget_whole(self._whole.pop())
            if self._links:
                self._links = False
                await self._forget_links()

    async def _forget_whole(self, name: str) -> None:
        """Makes the kernel forget all that it holds of a directory in the root."""
        top = self._inodes.number(pyfuse3.ROOT_INODE, encoded(name))
        for parent, path in await self._inodes.paths_below(top):
            self._forget_path(parent, (name, *path))
            await trio.lowlevel.checkpoint()  # There may be millions.
        self._forget_path(pyfuse3.ROOT_INODE, (name,))

    async def _forget_links(self) -> None:
        """Makes the kernel forget all names that it holds in searches."""
        for parent, path in await self._inodes.paths_below(self._searches()):
            if len(path) > 1:
                forget_name(parent, path[-1])
                await trio.lowlevel.checkpoint()

    def all_changed(self, name: str) -> None:
        self._whole.add(name)
        self._much_changed.set()

    def changed(self, paths: Collection[TreePath]) -> None:
        held: dict[TreePath, int | None] = {(): int(pyfuse3.ROOT_INODE)}

        def inode(path: TreePath) -> int | None:
            """The inode of `path`; None when the kernel never heard of it."""
            if path not in held:
                parent = inode(path[:-1])
                number = None if parent is None else self._inodes.number(parent, encoded(path[-1]))
                held[path] = number if number in self._inodes else None
            return held[path]

        # What holds something that has changed has other times than before.
        for path in {whole[:depth] for whole in paths for depth in range(1, len(whole) + 1)}:
            parent = inode(path[:-1])
            # It is None for nearly all of a first load, which tells of a thousand messages at a time.
            if parent is not None:
                self._forget_path(parent, path)

    def _forget_path(self, parent: int, path: Sequence[str]) -> None:
        """Makes the kernel forget what `path` means, what its attributes are, and what files it has.

        The last of its names is in the directory `parent`.

        A directory that is still there keeps its name: the kernel would take it for deleted where a shell
        stands in it.
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
            # With the name goes all that the kernel has of what is below.
            forget_name(self._searches(), name)

    def search_removed(self, inode: int, name: bytes, names: Collection[str]) -> None:
        """The kernel has removed the search `name` of the directory `inode`; its other `names` go as well."""
        self._inodes.retire(self._inodes.number(inode, name))
        for other in map(encoded, names):
            if other != name:
                self._inodes.retire(self._inodes.number(inode, other))
                forget_name(inode, decoded(other))

    def search_renamed(self, inode: int, name: bytes, new_name: bytes, node: Node) -> None:
        """The kernel has made the search `name` the search `new_name`, which is `node`."""
        moved = self._inodes.number(inode, name)
        self._inodes.replace(moved, node)
        # To the kernel it has the inode of its old name, which another search may get: it is to ask again.
        self.search_removed(inode, name, names_of_search(decoded(name)))
        for other in names_of_search(decoded(new_name)):
            forget_name(inode, other)

    def _searches(self) -> int:
        """The inode of the directory of searches."""
        return self._inodes.number(pyfuse3.ROOT_INODE, encoded(SEARCH_DIRECTORY))

    def _shown(self) -> list[tuple[int, str]]:
        """(inode, name) of the searches that the kernel holds, each with what is known of it now."""
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

    # What is open

    def size_changed(self, place: Hashable) -> None:
        assert isinstance(place, int)  # noqa: S101 - whatever is open here was opened by its inode
        forget_attributes(place)

    def text_grew(self, place: Hashable, size_bytes: int) -> None:
        assert isinstance(place, int)  # noqa: S101 - the same
        node = self._inodes.renewed(place)
        if isinstance(node, TextFile):
            node.size_bytes = size_bytes
            self._inodes.replace(place, node)
        forget_attributes(place)  # It keeps no pages of it.

    def text_replaced(self, place: Hashable) -> None:
        assert isinstance(place, int)  # noqa: S101 - the same
        path = self._inodes.path(place)
        self._inodes.retire(place)
        if path is not None:
            forget_name(*path)
        forget_attributes(place)


def forget_name(parent: int, name: str) -> None:
    """Makes the kernel forget what `name` means in the directory `parent`."""
    # In a thread of pyfuse3's, as it waits for whoever works in the directory now.
    pyfuse3.invalidate_entry_async(
        pyfuse3.InodeT(parent), pyfuse3.FileNameT(encoded(name)), ignore_enoent=True
    )


def forget_attributes(inode: int) -> None:
    """Makes the kernel forget what the attributes of `inode` are."""
    # The kernel may just have forgotten it, or the mount is ending, which is EINVAL or ENOTCONN: that must
    # not end the load that has brought the change.
    with suppress(OSError):
        # Only the attributes: to drop pages would wait for a read that is under way, for ever.
        pyfuse3.invalidate_inode(pyfuse3.InodeT(inode), attr_only=True)
