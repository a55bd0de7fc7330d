"""The handlers of a mount that takes files, in ``Outbox`` or where greetings are.

Files can be written, renamed and removed there. Everything else is as in `Operations`. The kernel keeps no
pages of these files, so every write arrives here before the call returns.
"""

import errno
import os

import pyfuse3

from rcfs.errors import InvalidNameError, NotPermittedError, ReadOnlyError, StaleError, WrongKindError
from rcfs.files import Dropping, OpenDrop
from rcfs.fuse._attributes import decoded
from rcfs.fuse._errno import answering, answering_briefly
from rcfs.fuse._invalidation import forget_name
from rcfs.fuse._operations import Operations, name_text
from rcfs.procfs import ending_signal
from rcfs.tree import DropDirectory, DropFile, GreetingDirectory, GreetingFile, Node

_NO_GREETING = (
    "to set a greeting, copy a WAV or MP3 file, under a new name, into the directory of an answering rule of"
    " yours or of the company"
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_TRUNC


class DroppingOperations(Operations):
    """The handlers of a mount in which people drop files."""

    def _dropping(self, node: Node) -> Dropping:
        """The side that takes files in a directory, or has taken the file `node`.

        Raises:
            NotPermittedError: It is in a directory of greetings that takes none.
            ReadOnlyError: It is elsewhere.
        """
        dropping = self._files.dropping_at(node)
        if dropping is not None:
            return dropping
        if isinstance(node, (GreetingDirectory, GreetingFile)):
            self.recorder.fault("greeting", _NO_GREETING)
            raise NotPermittedError(_NO_GREETING)
        raise ReadOnlyError("no files can be written here")

    # Files

    @answering
    async def create(
        self,
        parent_inode: pyfuse3.InodeT,
        name: pyfuse3.FileNameT,
        mode: pyfuse3.ModeT,
        flags: pyfuse3.FlagT,
        ctx: pyfuse3.RequestContext,
    ) -> tuple[pyfuse3.FileInfo, pyfuse3.EntryAttributes]:
        """Makes a file, and opens it for writing."""
        parent = await self._node(parent_inode, ctx)
        file, opener = await self._dropping(parent).create(parent, _new_name(name))
        opener.pid = ctx.pid
        inode = self._inodes.remember(parent_inode, name, file)
        number = self._handles.add(inode, file, opener)
        return pyfuse3.FileInfo(fh=number, direct_io=True), self._entry(inode, file)

    @answering
    async def open(
        self, inode: pyfuse3.InodeT, flags: pyfuse3.FlagT, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.FileInfo:
        """Opens a file; those in ``Outbox`` also for writing."""
        if flags & _WRITING:
            node = await self._node(inode, ctx)
            dropping = self._dropping(node)
            if not isinstance(node, DropFile):
                raise WrongKindError("this is a directory")
            opener = await dropping.open(node, flags)
            opener.pid = ctx.pid
            return pyfuse3.FileInfo(fh=self._handles.add(inode, node, opener), direct_io=True)
        return await super().open(inode, flags, ctx)

    @answering
    async def write(self, fh: pyfuse3.FileHandleT, off: int, buf: bytes) -> int:
        """Writes into a file; returns the number of bytes."""
        opener = self._drop(fh)
        return await self._dropping(opener.file).write(opener, off, buf)

    @answering
    async def flush(self, fh: pyfuse3.FileHandleT) -> None:
        """Notes that a file is not whole, if a signal ends its writer; the kernel asks at each close."""
        opener = self._handles.opener(fh)
        if isinstance(opener, OpenDrop) and opener.writes and ending_signal(opener.pid):
            opener.file.is_cut = True

    @answering
    async def fsync(self, fh: pyfuse3.FileHandleT, datasync: bool) -> None:
        """Returns at once: the files end with the mount, and the outbox syncs its copies."""

    @answering
    async def setattr(
        self,
        inode: pyfuse3.InodeT,
        attr: pyfuse3.EntryAttributes,
        fields: pyfuse3.SetattrFields,
        fh: pyfuse3.FileHandleT | None,
        ctx: pyfuse3.RequestContext,
    ) -> pyfuse3.EntryAttributes:
        """Sets size and time of a file; modes and owners stay as they are, without an error."""
        node = await self._node(inode, ctx) if fh is None else self._drop(fh).file
        if isinstance(node, DropFile):
            dropping = self._dropping(node)
            if fields.update_size:
                await dropping.truncate(node, attr.st_size)
            dropping.set_times(node, attr.st_mtime_ns / 1e9 if fields.update_mtime else None)
        elif not (isinstance(node, DropDirectory) and len(node.path) == 2):
            raise ReadOnlyError("only files that were put here can be changed")
        return self._entry(inode, node)

    @answering_briefly
    async def setxattr(
        self,
        inode: pyfuse3.InodeT,
        name: pyfuse3.XAttrNameT,
        value: bytes,
        ctx: pyfuse3.RequestContext,
    ) -> None:
        """As `Operations`; what is in ``Outbox`` has no attributes, which `cp -p` takes without an error."""
        if isinstance(await self._node(inode, ctx), (DropFile, DropDirectory)):
            raise pyfuse3.FUSEError(errno.EOPNOTSUPP)
        await super().setxattr(inode, name, value, ctx)

    @answering_briefly
    async def removexattr(
        self, inode: pyfuse3.InodeT, name: pyfuse3.XAttrNameT, ctx: pyfuse3.RequestContext
    ) -> None:
        """Always fails: there is no attribute to remove."""
        is_drop = isinstance(await self._node(inode, ctx), (DropFile, DropDirectory))
        raise pyfuse3.FUSEError(errno.EOPNOTSUPP if is_drop else errno.EROFS)

    def _drop(self, fh: pyfuse3.FileHandleT) -> OpenDrop:
        opener = self._handles.opener(fh)
        if not isinstance(opener, OpenDrop):
            raise StaleError("this file cannot be written")
        return opener

    # Names

    @answering_briefly
    async def mkdir(
        self,
        parent_inode: pyfuse3.InodeT,
        name: pyfuse3.FileNameT,
        mode: pyfuse3.ModeT,
        ctx: pyfuse3.RequestContext,
    ) -> pyfuse3.EntryAttributes:
        """Makes a directory in ``Outbox``, or as `Operations`."""
        parent = await self._node(parent_inode, ctx)
        dropping = self._files.dropping_at(parent)
        if dropping is None:
            return await super().mkdir(parent_inode, name, mode, ctx)
        made = dropping.make_directory(parent, _new_name(name))
        return self._entry(self._inodes.remember(parent_inode, name, made), made)

    @answering_briefly
    async def rmdir(
        self, parent_inode: pyfuse3.InodeT, name: pyfuse3.FileNameT, ctx: pyfuse3.RequestContext
    ) -> None:
        """Removes an empty directory in ``Outbox``, or as `Operations`."""
        parent = await self._node(parent_inode, ctx)
        dropping = self._files.dropping_at(parent)
        if dropping is None:
            await super().rmdir(parent_inode, name, ctx)
            return
        dropping.remove_directory(parent, name_text(name))
        self._retire(parent_inode, name)

    @answering_briefly
    async def unlink(
        self, parent_inode: pyfuse3.InodeT, name: pyfuse3.FileNameT, ctx: pyfuse3.RequestContext
    ) -> None:
        """Removes a file in ``Outbox``, or as `Operations`."""
        parent = await self._node(parent_inode, ctx)
        dropping = self._files.dropping_at(parent)
        if dropping is None:
            await super().unlink(parent_inode, name, ctx)
            return
        await dropping.remove(parent, name_text(name))
        self._retire(parent_inode, name)

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
        """Renames what is in ``Outbox``, or as `Operations`; a program copies what crosses its border."""
        parents = await self._node(parent_inode_old, ctx), await self._node(parent_inode_new, ctx)
        dropping, other = map(self._files.dropping_at, parents)
        if dropping is None and other is None:
            await super().rename(parent_inode_old, name_old, parent_inode_new, name_new, flags, ctx)
            return
        if dropping is None or dropping is not other:
            raise pyfuse3.FUSEError(errno.EXDEV)
        if flags & pyfuse3.RENAME_EXCHANGE:
            raise InvalidNameError("two files cannot exchange their names here")
        dropping.rename(parents, name_text(name_old), _new_name(name_new))
        self._retire(parent_inode_old, name_old)
        self._retire(parent_inode_new, name_new)
        # The kernel keeps the inode of the old name, which has no name here any more.
        forget_name(parent_inode_new, decoded(name_new))

    def _retire(self, parent: int, name: bytes) -> None:
        """Gives the next file of this name another inode."""
        self._inodes.retire(self._inodes.number(parent, name))


def _new_name(name: bytes) -> str:
    """The text of a new name in ``Outbox``: without the lone surrogates that `name_text` lets pass.

    Raises:
        pyfuse3.FUSEError: It is not UTF-8; with EINVAL.
    """
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise pyfuse3.FUSEError(errno.EINVAL) from None
