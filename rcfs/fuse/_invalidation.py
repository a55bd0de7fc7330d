"""Making the kernel forget what has changed, so that a person sees it without remounting.

Nothing here may be called by a handler, nor touch the pages of a file: to drop them the kernel waits for a
read that is under way, and the daemon with it, for ever. It is enough to forget names: who looks a name up
again is told the new size, and opens the file anew (see `InodeTable.serve`).
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress

import pyfuse3
import trio

from rcfs.fuse._inodes import InodeTable
from rcfs.fuse._names import encoded
from rcfs.store import Touched
from rcfs.tree import Directory, Root


class Invalidation:
    """Tells the kernel of changes."""

    def __init__(self, root: Root, inodes: InodeTable) -> None:
        self._root = root
        self._inodes = inodes
        self._whole: set[int] = set()  # extensions of which everything has changed
        self._tops: set[int] = set()  # inodes of directories of which all that is in their directories has
        self._much_changed = trio.Event()

    async def run(self) -> None:
        """Forgets what is too much to be forgotten at once; runs for as long as there is a mount."""
        while True:
            await self._much_changed.wait()
            self._much_changed = trio.Event()
            while self._whole:
                await self._forget_whole(self._whole.pop())
            while self._tops:
                await self._forget_within(self._tops.pop())

    async def _forget_whole(self, extension_id: int) -> None:
        """Makes the kernel forget all that it holds of an extension."""
        name = self._root.name_of(extension_id)
        if name is None:
            return
        top = self._inodes.number(pyfuse3.ROOT_INODE, encoded(name))
        for parent, path in await self._inodes.paths_below(top):
            self._forget_path(parent, (name, *path))
            await trio.lowlevel.checkpoint()  # There may be millions.
        self._forget_path(pyfuse3.ROOT_INODE, (name,))

    async def _forget_within(self, top: int) -> None:
        """Makes the kernel forget the names that it holds in the directories in the directory `top`."""
        for parent, path in await self._inodes.paths_below(top):
            if len(path) > 1:
                forget_name(parent, path[-1])
                await trio.lowlevel.checkpoint()

    def forget_within(self, top: int) -> None:
        """All names in the directories in the directory `top` may mean something else than before."""
        self._tops.add(top)
        self._much_changed.set()

    def mailbox_changed(self, extension_id: int, touched: Touched) -> None:
        """These paths of an extension mean something else than before."""
        name = self._root.name_of(extension_id)
        if name is None:
            return
        if () in touched:
            self._whole.add(extension_id)
            self._much_changed.set()
            return
        held: dict[tuple[str, ...], int | None] = {(): int(pyfuse3.ROOT_INODE)}

        def inode(path: tuple[str, ...]) -> int | None:
            """The inode of `path`; None when the kernel never heard of it."""
            if path not in held:
                parent = inode(path[:-1])
                number = None if parent is None else self._inodes.number(parent, encoded(path[-1]))
                held[path] = number if number in self._inodes else None
            return held[path]

        # What holds something that has changed has other times than before.
        for path in {(name, *whole[:depth]) for whole in touched for depth in range(len(whole) + 1)}:
            parent = inode(path[:-1])
            # It is None for nearly all of a first load, which tells of a thousand messages at a time.
            if parent is not None:
                self._forget_path(parent, path)

    def names_changed(self, names: Iterable[str]) -> None:
        """These names in the root mean something else than before."""
        for name in names:
            self._forget_path(pyfuse3.ROOT_INODE, [name])

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
