"""Texts that are open while what they tell of changes: they grow, or their readers get ESTALE.

A conversation grows at its end while messages arrive, so `tail -f` shows each as it comes: its handle has the
new bytes, and the kernel is made to forget the size. When it asks for it, it drops the pages that it has kept
by itself, in the process that asks, which is safe while others read. Where a text changes otherwise (a
message was deleted, or is older than others), an open handle would mix two versions: it gets ESTALE, as on
NFS. The path leads to another inode from then on, so that `tail -F` opens that.
"""

import errno

import pyfuse3
import trio

from rcfs.fuse._handles import OpenText
from rcfs.fuse._inodes import InodeTable
from rcfs.fuse._invalidation import forget_attributes, forget_name
from rcfs.tree import TextFile


class Texts:
    """The texts that are open; all methods run in the trio thread."""

    def __init__(self, inodes: InodeTable) -> None:
        self._inodes = inodes
        self._open: dict[int, OpenText] = {}
        self._changed: set[int] = set()  # extensions
        self._some_changed = trio.Event()

    def open(self, inode: int, node: TextFile, data: bytes) -> OpenText:
        """The open text of `inode`, with one more user, of which `data` is the newest version.

        Raises:
            pyfuse3.FUSEError: ENOENT when what it told of has gone since the kernel asked; ESTALE when
                the path leads to another inode by now.
        """
        if not data and node.size_bytes:
            raise pyfuse3.FUSEError(errno.ENOENT)
        if len(data) != node.size_bytes:
            # It has changed since the kernel asked for its size.
            node.size_bytes = len(data)
            forget_attributes(inode)
        text = self._open.get(inode)
        if text is not None and text.is_stale:
            raise pyfuse3.FUSEError(errno.ESTALE)  # The kernel looks the name up again.
        if text is not None and not data.startswith(text.data):
            text.is_stale = True
            text = None
        if text is None:
            text = self._open[inode] = OpenText(inode, data)
        text.data = data
        text.users += 1
        return text

    def release(self, text: OpenText) -> None:
        """One user of an open text is gone."""
        text.users -= 1
        if not text.users and self._open.get(text.inode) is text:
            del self._open[text.inode]

    def require_fresh(self, inode: int) -> None:
        """Returns if `inode` still is what its path leads to, as far as texts are concerned.

        Raises:
            pyfuse3.FUSEError: ESTALE when it is not.
        """
        text = self._open.get(inode)
        if text is not None and text.is_stale:
            raise pyfuse3.FUSEError(errno.ESTALE)

    def mailbox_changed(self, extension_id: int) -> None:
        """Something of this extension means something else than before."""
        if self._open:
            self._changed.add(extension_id)
            self._some_changed.set()

    async def run(self) -> None:
        """Brings what is open up to date; runs for as long as there is a mount."""
        while True:
            await self._some_changed.wait()
            self._some_changed = trio.Event()
            changed, self._changed = self._changed, set()
            for inode in list(self._open):
                node = self._inodes.node(inode)
                if isinstance(node, TextFile) and node.mailbox_id in changed and node.is_known:
                    await self._update(inode)
                await trio.lowlevel.checkpoint()

    async def _update(self, inode: int) -> None:
        """Lets the text of `inode` be what it is now."""
        node = self._inodes.renewed(inode)
        data = b""
        if isinstance(node, TextFile):
            data = node.content() if node.is_quick else await trio.to_thread.run_sync(node.content)
        text = self._open.get(inode)
        if text is None or text.is_stale or data == text.data:
            return
        if data.startswith(text.data) and isinstance(node, TextFile):
            text.data = data
            node.size_bytes = len(data)
            self._inodes.replace(inode, node)
        else:
            text.is_stale = True
            path = self._inodes.path(inode)
            self._inodes.retire(inode)
            if path is not None:
                forget_name(*path)
        forget_attributes(inode)
