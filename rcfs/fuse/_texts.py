"""Texts that are open while what they tell of changes: they grow, or their readers get ESTALE.

A conversation grows at its end while messages arrive, so `tail -f` shows each as it comes: its handle has the
new bytes, and the kernel, which keeps no pages of it, is made to forget the size. Where a text changes
otherwise (a message was deleted, or is older than others), an open handle would mix two versions: it gets
ESTALE, as on NFS. The path leads to another inode from then on, so that `tail -F` opens that.
"""

import errno
from collections.abc import Callable
from typing import Final

import pyfuse3
import trio

from rcfs.fuse._handles import OpenText
from rcfs.fuse._inodes import InodeTable
from rcfs.fuse._invalidation import forget_attributes, forget_name
from rcfs.tree import TextFile

LOOK_S: Final = 60.0
"""How often who has a text open counts as somebody who looks into its mailbox: as often as one is synced."""


class Texts:
    """The texts that are open; all methods run in the trio thread."""

    def __init__(self, inodes: InodeTable) -> None:
        self._inodes = inodes
        self._open: dict[int, OpenText] = {}
        self._asked = 0
        self._changed: set[int] = set()  # extensions
        self._some_changed = trio.Event()

    def ask(self) -> int:
        """Numbers a rendering that begins now: one that took longer may be done after a newer one."""
        self._asked += 1
        return self._asked

    def open(self, inode: int, node: TextFile, data: bytes, number: int) -> OpenText:
        """The open text of `inode`, with one more user.

        Args:
            inode: Which one.
            node: What is there.
            data: Its bytes.
            number: Of the rendering that they are from, by `ask`.

        Raises:
            pyfuse3.FUSEError: ENOENT when what it told of has gone since the kernel asked; ESTALE when
                the path leads to another inode by now.
        """
        text = self._open.get(inode)
        if text is not None and text.is_stale:
            raise pyfuse3.FUSEError(errno.ESTALE)  # The kernel looks the name up again.
        if text is not None and number < text.number:
            data = text.data
        if not data and node.size_bytes:
            raise pyfuse3.FUSEError(errno.ENOENT)
        if len(data) != node.size_bytes:
            # It has changed since the kernel asked for its size.
            node.size_bytes = len(data)
            forget_attributes(inode)
        if text is not None and not _goes_on(text, node, data):
            # Not with the same inode, whose pages the kernel would show to those who have the old one open.
            self._retire(text)
            raise pyfuse3.FUSEError(errno.ESTALE)
        if text is None:
            text = self._open[inode] = OpenText(inode, data)
        text.data = data
        text.number = max(number, text.number)
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

    async def look(self, into: Callable[[int], None]) -> None:
        """Looks into the mailboxes of what is open, for as long as there is a mount.

        Whoever waits for the end of a text to grow is answered by the kernel, so nobody else would look.

        Args:
            into: Gets the id of an extension.
        """
        while True:
            await trio.sleep(LOOK_S)
            nodes = [self._inodes.node(inode) for inode in self._open]
            for extension_id in {node.mailbox_id for node in nodes if node is not None and node.is_known}:
                if extension_id is not None:
                    into(extension_id)

    async def _update(self, inode: int) -> None:
        """Lets the text of `inode` be what it is now."""
        node = self._inodes.renewed(inode)
        number = self.ask()
        data = b""
        if isinstance(node, TextFile):
            data = node.content() if node.is_quick else await trio.to_thread.run_sync(node.content)
        text = self._open.get(inode)
        if text is None or text.is_stale or number < text.number:
            return
        text.number = number
        if data == text.data:
            return
        if isinstance(node, TextFile) and _goes_on(text, node, data):
            text.data = data
            node.size_bytes = len(data)
            self._inodes.replace(inode, node)
        else:
            self._retire(text)
        forget_attributes(inode)

    def _retire(self, text: OpenText) -> None:
        """Ends a text that what is there now does not go on from; its path leads to another inode."""
        text.is_stale = True
        path = self._inodes.path(text.inode)
        self._inodes.retire(text.inode)
        if path is not None:
            forget_name(*path)


def _goes_on(text: OpenText, node: TextFile, data: bytes) -> bool:
    """Whether those who have `text` open can be shown `data`, which is what `node` tells now."""
    return data == text.data or (node.grows and data.startswith(text.data))
