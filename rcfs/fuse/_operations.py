"""The handlers of FUSE requests, which translate between the kernel and the file system.

The kernel holds a lock of the directory during LOOKUP, READDIR, MKDIR, RMDIR and RENAME (`fuse_lock_inode`,
`i_rwsem`), and no signal reaches a process that waits for that lock. So these handlers wait for two seconds
at most, and then answer EAGAIN. `opendir` waits for a mailbox and `open` for content, as long as the user
allows. GETATTR and similar requests hold no lock, but programs do not expect them to wait, so they also wait
for two seconds at most.
"""

import errno
import os
from collections.abc import Sequence
from typing import Any, NoReturn

import pyfuse3

from rcfs.errors import NoDirectoryError, ReadOnlyError, StaleError, WrongKindError
from rcfs.files import FileSystem, Listing, OpenContent, OpenDrop, OpenLive, OpenMember, SpaceMeter, encoded
from rcfs.fuse._attributes import Ownership, decoded, entry_of, statvfs_of
from rcfs.fuse._errno import answering, answering_briefly
from rcfs.fuse._inodes import HandleTable, InodeTable
from rcfs.fuse._invalidation import Invalidation
from rcfs.fuse._listings import opened_directory
from rcfs.fuse._processes import Process
from rcfs.transport import Recorder
from rcfs.tree import Directory, ExportArchiveFile, Link, Node


async def _refused(*_request: Any, **_more: Any) -> NoReturn:  # noqa: ASYNC124 - handlers are awaited
    raise pyfuse3.FUSEError(errno.EROFS)


class Operations(pyfuse3.Operations):
    """The handlers; pyfuse3 calls them in the trio thread, many at the same time."""

    supports_dot_lookup = False
    enable_writeback_cache = False

    # A mount is not read-only to the kernel, because users make searches, and may delete messages. Without a
    # handler pyfuse3 answers ENOSYS, after which the kernel tries other requests. Users whom the modes do not
    # let write get EACCES from the kernel.
    mknod = symlink = link = _refused
    removexattr: Any = _refused
    setattr: Any = _refused
    create: Any = _refused
    write: Any = _refused

    def __init__(
        self,
        files: FileSystem,
        *,
        owner: Ownership | None = None,
        space: SpaceMeter | None = None,
        keep_listings: bool = False,
    ) -> None:
        """Makes the handlers.

        Args:
            files: The file system.
            owner: Owner and permissions of all files; None for the user of this process.
            space: Answers statfs; None answers ENOSYS.
            keep_listings: Whether the kernel may keep listings; only with a pyfuse3 that
                `can_keep_listings`.
        """
        super().__init__()
        self._files = files
        self._owner = owner or Ownership()
        self._space = space
        self._keeps_listings = keep_listings
        self._inodes = InodeTable(files.root)
        self._handles = HandleTable(self._inodes)
        self.invalidation = Invalidation(files.root, self._inodes)
        """Invalidates names and attributes in the kernel."""
        files.listen(self.invalidation)

    @property
    def recorder(self) -> Recorder:
        """Records unexpected errors."""
        return self._files.recorder

    # Names and attributes

    @answering_briefly
    async def lookup(
        self, parent_inode: pyfuse3.InodeT, name: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """The entry `name` of a directory."""
        asker = Process(ctx.pid)
        directory = await self._directory(parent_inode, ctx, briefly=True)
        node = await self._files.find(directory, name_text(name), asker)
        if node is None:
            raise pyfuse3.FUSEError(errno.ENOENT)
        return self._entry(self._inodes.remember(parent_inode, name, node), node)

    async def forget(self, inode_list: Sequence[tuple[pyfuse3.InodeT, int]]) -> None:
        """Takes lookups from the counts of inodes, which the kernel forgets at 0."""
        self._inodes.forget(inode_list)

    @answering_briefly
    async def getattr(self, inode: pyfuse3.InodeT, ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        """The attributes of an inode."""
        self._files.texts.require_fresh(inode)
        return self._entry(inode, await self._node(inode, ctx))

    @answering_briefly
    async def readlink(self, inode: pyfuse3.InodeT, ctx: pyfuse3.RequestContext) -> bytes:
        """The target of a link."""
        node = await self._node(inode, ctx)
        if not isinstance(node, Link):
            raise WrongKindError("this is not a link")
        return encoded(node.target)

    @answering_briefly
    async def listxattr(
        self, inode: pyfuse3.InodeT, ctx: pyfuse3.RequestContext
    ) -> Sequence[pyfuse3.XAttrNameT]:
        """Names of the extended attributes of an inode."""
        node = await self._node(inode, ctx)
        return [encoded(name) for name in node.xattrs()]

    @answering_briefly
    async def getxattr(
        self, inode: pyfuse3.InodeT, name: pyfuse3.XAttrNameT, ctx: pyfuse3.RequestContext
    ) -> bytes:
        """One extended attribute of an inode."""
        if not name.startswith(b"user."):
            # It holds for the whole file system: `ls` then stops asking for the ACL of each file.
            raise pyfuse3.FUSEError(errno.EOPNOTSUPP)
        asker = Process(ctx.pid)
        node = await self._node(inode, ctx)
        # No attribute has a name that is not UTF-8.
        value = await self._files.xattr(node, name.decode("utf-8", "replace"), asker)
        if value is None:
            raise pyfuse3.FUSEError(pyfuse3.ENOATTR)
        return encoded(value)

    @answering_briefly
    async def setxattr(
        self,
        inode: pyfuse3.InodeT,
        name: pyfuse3.XAttrNameT,
        value: bytes,
        ctx: pyfuse3.RequestContext,
    ) -> None:
        """Marks messages as read or unread."""
        asker = Process(ctx.pid)
        node = await self._node(inode, ctx)
        await self._files.mark(node, name.decode("utf-8", "replace"), value, asker)

    @answering
    async def statfs(self, ctx: pyfuse3.RequestContext) -> pyfuse3.StatvfsData:
        """Size of the tree, and free room on the disk of the cache; never waits for a lock."""
        if self._space is None:
            raise pyfuse3.FUSEError(errno.ENOSYS)
        return statvfs_of(await self._space.look(), len(self._inodes))

    # Directories

    @answering
    async def opendir(self, inode: pyfuse3.InodeT, ctx: pyfuse3.RequestContext) -> Any:
        """Begins a listing; the first listing in a mailbox waits until that is loaded.

        Returns:
            The handle, or a `pyfuse3.FileInfo` with the handle if the kernel may keep the listing.
        """
        asker = Process(ctx.pid)
        directory = await self._directory(inode, ctx)
        listing = await self._files.list(directory, asker)
        edition = self._files.edition(directory) if self._keeps_listings else None
        number = self._handles.add(inode, directory, listing)
        keep = None if edition is None else self._inodes.listings.opened(inode, number, edition)
        return number if keep is None else opened_directory(number, keep=keep)

    @answering_briefly
    async def readdir(self, fh: pyfuse3.FileHandleT, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        """Replies with the entries after the cursor `start_id` that fit."""
        parent, listing = self._handles.listing(fh)
        inodes, attributes, owner = self._inodes, self._files.attributes, self._owner
        # One page, without a checkpoint: the kernel would never hear of a change between the look at an entry
        # and the reply. It is only one page, so that other tasks get a turn: a large reply has room for
        # hundreds.
        page = await self._files.page(listing, start_id)
        if not page and not start_id:
            inodes.listings.found_empty(parent, fh)
        for entry in page:
            name = encoded(entry.name)
            inode = inodes.number(parent, name)
            shown = entry_of(inode, attributes(entry.node), owner)
            if not pyfuse3.readdir_reply(token, name, shown, entry.cursor):
                return
            inodes.told(inode, parent, name, entry.node)

    @answering
    async def releasedir(self, fh: pyfuse3.FileHandleT) -> None:
        """Ends a listing."""
        inode, _listing = self._handles.listing(fh)
        self._handles.pop(fh)
        self._inodes.listings.closed(inode, fh)

    @answering
    async def fsyncdir(
        self,
        fh: pyfuse3.FileHandleT,
        datasync: bool,
    ) -> None:
        """Returns when the changes of messages are sent."""
        await self._files.flush()

    # Changes: searches and exports are the only things that users can make, and messages all that they delete

    @answering_briefly
    async def mkdir(
        self,
        parent_inode: pyfuse3.InodeT,
        name: pyfuse3.FileNameT,
        mode: pyfuse3.ModeT,
        ctx: pyfuse3.RequestContext,
    ) -> pyfuse3.EntryAttributes:
        """Makes a search, or asks for an export."""
        asker = Process(ctx.pid)
        parent = await self._node(parent_inode, ctx)
        node = await self._files.make_directory(parent, name_text(name, errno.EINVAL), asker)
        return self._entry(self._inodes.remember(parent_inode, name, node), node)

    @answering_briefly
    async def rmdir(
        self, parent_inode: pyfuse3.InodeT, name: pyfuse3.FileNameT, ctx: pyfuse3.RequestContext
    ) -> None:
        """Removes a search, forgets an export, or deletes a message."""
        asker = Process(ctx.pid)
        parent = await self._node(parent_inode, ctx)
        names = await self._files.remove_directory(parent, name_text(name), asker)
        self.invalidation.directory_removed(parent_inode, name, names)

    @answering_briefly
    async def unlink(
        self, parent_inode: pyfuse3.InodeT, name: pyfuse3.FileNameT, ctx: pyfuse3.RequestContext
    ) -> None:
        """Hides a file of a message, an export or a search, or marks a message as read."""
        asker = Process(ctx.pid)
        await self._files.remove(await self._node(parent_inode, ctx), name_text(name), asker)

    @answering_briefly
    async def rename(
        self,
        parent_inode_old: pyfuse3.InodeT,
        name_old: pyfuse3.FileNameT,
        parent_inode_new: pyfuse3.InodeT,
        name_new: pyfuse3.FileNameT,
        flags: pyfuse3.FlagT,
        ctx: pyfuse3.RequestContext,
    ) -> None:
        """Changes the query of a search, or moves a message into the trash or out of it."""
        asker = Process(ctx.pid)
        parents = await self._node(parent_inode_old, ctx), await self._node(parent_inode_new, ctx)
        exchange = bool(flags & pyfuse3.RENAME_EXCHANGE)
        node = await self._files.rename(
            parents, name_text(name_old), name_text(name_new, errno.EINVAL), asker, exchange=exchange
        )
        if node is None:
            self.invalidation.message_moved(parent_inode_new, name_new)
        else:
            self.invalidation.search_renamed(parent_inode_old, name_old, name_new, node)

    # Files

    @answering
    async def open(
        self, inode: pyfuse3.InodeT, flags: pyfuse3.FlagT, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.FileInfo:
        """Opens a file; returns when its size is exact, and a small content is complete."""
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_TRUNC):
            raise ReadOnlyError("files in a mount cannot be written")
        asker = Process(ctx.pid)
        node = await self._present(inode, ctx)
        # The kernel may have all pages of a content, so the content need not be read again.
        opener = await self._files.open(
            node, asker, inode, flags=flags, has_bytes=self._inodes.is_whole(inode)
        )
        number = self._handles.add(inode, node, opener)
        if isinstance(opener, (OpenLive, OpenDrop)):
            # Each open has another text, so the kernel must neither keep pages nor trust the size.
            return pyfuse3.FileInfo(fh=number, direct_io=True)
        if isinstance(opener, OpenContent):
            if not opener.streaming:
                self._inodes.note_whole(inode)
            if isinstance(node, ExportArchiveFile):
                # An export that was made again has other archives of the same names.
                return pyfuse3.FileInfo(fh=number, keep_cache=self._same(inode, node))
            return pyfuse3.FileInfo(fh=number, keep_cache=True)  # It never changes.
        if isinstance(opener, OpenMember):
            return pyfuse3.FileInfo(fh=number, keep_cache=self._same(inode, opener.node.file))
        if opener.node.grows:
            # The last page holds zeros after the end of the text. A process that reads it while another one
            # gets the new size would read the zeros (seen with Linux 6.18), so the kernel must keep no pages.
            return pyfuse3.FileInfo(fh=number, direct_io=True)
        # The kernel may have pages of an earlier version, because the record of a message changes.
        return pyfuse3.FileInfo(fh=number, keep_cache=self._inodes.serve(inode, opener.text.version))

    @answering
    async def read(self, fh: pyfuse3.FileHandleT, off: int, size: int) -> bytes:
        """Up to `size` bytes from `off` on; fewer only at the end."""
        return await self._files.read(self._handles.opener(fh), off, size)

    async def flush(self, fh: pyfuse3.FileHandleT) -> None:
        """Answers ENOSYS, after which the kernel sends no more FLUSH (40 % less time for `grep -r`)."""
        raise pyfuse3.FUSEError(errno.ENOSYS)

    @answering
    async def release(self, fh: pyfuse3.FileHandleT) -> None:
        """Ends a handle after its last user has closed it."""
        opener = self._handles.pop(fh)
        if not isinstance(opener, Listing):
            self._files.close(opener)

    # Shared by the handlers

    def _same(self, inode: int, file: ExportArchiveFile) -> bool:
        """Whether the kernel's pages of `inode`, the archive `file` or a member of it, are still right."""
        return self._inodes.serve(inode, str(file.key).encode())

    async def _node(self, inode: int, ctx: pyfuse3.RequestContext) -> Node:
        """The node of an inode; waits only if a search has to run again to find it."""
        node = self._inodes.node(inode)
        if node is None and (place := self._inodes.place(inode)) is not None:
            node = await self._files.find_again(*place, Process(ctx.pid))
            if node is not None:
                self._inodes.replace(inode, node)
        if node is None:
            raise StaleError("the file is gone, or its mailbox is not loaded")
        return node

    async def _present(self, inode: int, ctx: pyfuse3.RequestContext, *, briefly: bool = False) -> Node:
        """The node of an inode; waits for its mailbox if the index has lost that since the lookup."""
        above = None if self._inodes.node(inode) else self._inodes.known_above(inode)
        if above is not None:
            await self._files.need(above, Process(ctx.pid), briefly=briefly)
        return await self._node(inode, ctx)

    async def _directory(
        self, inode: int, ctx: pyfuse3.RequestContext, *, briefly: bool = False
    ) -> Directory:
        node = await self._present(inode, ctx, briefly=briefly)
        if not isinstance(node, Directory):
            raise NoDirectoryError("only directories have entries")
        return node

    def _entry(self, inode: int, node: Node) -> pyfuse3.EntryAttributes:
        return entry_of(inode, self._files.attributes(node), self._owner)


def name_text(name: bytes, otherwise: int = errno.ENOENT) -> str:
    """A name from the kernel as text, as `decoded`.

    Raises:
        pyfuse3.FUSEError: The name is not UTF-8, so the tree has nothing of that name. The errno is
        `otherwise`.
    """
    try:
        return decoded(name)
    except UnicodeDecodeError:
        raise pyfuse3.FUSEError(otherwise) from None
