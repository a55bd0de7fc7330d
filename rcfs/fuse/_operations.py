"""The requests of the kernel, answered from the tree and the engine.

Where it waits, and where it must not: LOOKUP and READDIR are serialised per directory by the kernel, and
who is blocked in them cannot be killed, so nothing there waits for the network; `opendir` waits for a
mailbox, `open` for content. The one exception is a lookup below a mailbox that was never loaded, because
a false "no such file" would be worse.
"""

import errno
import os
from collections.abc import Awaitable, Callable, Sequence

import pyfuse3
import trio

from rcfs.fetch import Content, Engine, Recorder, Wanted
from rcfs.fuse._attributes import attributes
from rcfs.fuse._errno import answering
from rcfs.fuse._handles import HandleTable, OpenContent, OpenDirectory, OpenText
from rcfs.fuse._inodes import InodeTable
from rcfs.fuse._readers import USUAL_CRAWLERS, CrawlerError, CrawlerRule, Readers, reader_of
from rcfs.fuse._waits import MAX_READ_WAITERS, Waits
from rcfs.model import CHUNK_BYTES, Priority
from rcfs.tree import AttachmentFile, Directory, ExtensionDirectory, Link, LiveFile, Node, Root, TextFile

WHOLE_BYTES = 4 * CHUNK_BYTES
"""Contents up to this size are there when `open` returns: nearly all voicemails, faxes and MMS files, so
that their reads never wait. Larger ones are read while they arrive."""
_STREAMS = MAX_READ_WAITERS // 2
"""Large contents that may be read while they arrive. The kernel keeps up to two reads of a sequential
reader waiting (read-ahead, and the read itself), and only MAX_READ_WAITERS may wait; further opens of large
contents wait until all is there."""
_MAILBOX_WITHIN_S = 150.0
"""Longest wait for a mailbox: two penalties of 60 s and the requests themselves. `--max-wait` is for
content."""
_NOTE_WITHIN_S = 1.0
"""Longest wait for a refusal to be noted; it takes well under a millisecond unless the disk is stuck."""
_LIVE_BYTES = 4096
"""Size shown of a live file that was never opened; from an open on it is that of what was opened."""
_XATTR_CACHED = "user.rcfs.cached"


class Operations(pyfuse3.Operations):
    """The file system; pyfuse3 calls all methods in the trio thread, many at the same time."""

    supports_dot_lookup = False
    enable_writeback_cache = False

    def __init__(
        self,
        root: Root,
        engine: Engine,
        waits: Waits,
        *,
        max_wait_s: float,
        render_live: Callable[[str], Awaitable[str]],
        crawlers: CrawlerRule = USUAL_CRAWLERS,
    ) -> None:
        """Makes a file system that shows `root`.

        Args:
            root: The tree.
            engine: Where mailboxes and contents come from.
            waits: Every wait goes through here.
            max_wait_s: Longest wait for content in seconds.
            render_live: Gives the present text of a live file by its topic.
            crawlers: Programs that nobody asked to read, and what they get.
        """
        super().__init__()
        self._root = root
        self._engine = engine
        self._waits = waits
        self._max_wait_s = max_wait_s
        self._render_live = render_live
        self._inodes = InodeTable(root)
        self._handles = HandleTable()
        self._readers = Readers(engine.recorder, crawlers)
        self._streams = 0
        self._live_bytes: dict[str, int] = {}
        self._filling = trio.Lock()

    @property
    def recorder(self) -> Recorder:
        """Where unexpected errors are noted."""
        return self._engine.recorder

    # Names and attributes

    @answering
    async def lookup(
        self, parent_inode: pyfuse3.InodeT, name: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """The entry `name` of a directory."""
        directory = self._directory(parent_inode)
        text = os.fsdecode(name)
        node = directory.entries().get(text) if directory.is_known else None
        # Names with a leading dot are never in a mailbox: desktops probe for them, and must not load it.
        if node is None and not text.startswith("."):
            await self._wait_mailbox(directory, ctx.pid)
            node = directory.entries().get(text)
        if node is None:
            raise pyfuse3.FUSEError(errno.ENOENT)
        inode = self._inodes.number(parent_inode, name, node)
        self._inodes.remember(inode, node)
        return self._attributes(inode, node)

    async def forget(self, inode_list: Sequence[tuple[pyfuse3.InodeT, int]]) -> None:
        """The kernel no longer holds these inodes."""
        self._inodes.forget(inode_list)

    @answering
    async def getattr(self, inode: pyfuse3.InodeT, ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        """The attributes of an inode."""
        return self._attributes(inode, self._node(inode))

    @answering
    async def readlink(self, inode: pyfuse3.InodeT, ctx: pyfuse3.RequestContext) -> bytes:
        """Where a link points to."""
        node = self._node(inode)
        if not isinstance(node, Link):
            raise pyfuse3.FUSEError(errno.EINVAL)
        return os.fsencode(node.target)

    @answering
    async def listxattr(
        self, inode: pyfuse3.InodeT, ctx: pyfuse3.RequestContext
    ) -> Sequence[pyfuse3.XAttrNameT]:
        """Names of the extended attributes of an inode."""
        node = self._node(inode)
        names = list(node.xattrs())
        if self._has_cached_state(node):
            names.append(_XATTR_CACHED)
        return [os.fsencode(name) for name in names]

    @answering
    async def getxattr(
        self, inode: pyfuse3.InodeT, name: pyfuse3.XAttrNameT, ctx: pyfuse3.RequestContext
    ) -> bytes:
        """One extended attribute of an inode."""
        if not name.startswith(b"user."):
            # Said for the whole file system: `ls` then stops asking for ACLs of every file.
            raise pyfuse3.FUSEError(errno.EOPNOTSUPP)
        node = self._node(inode)
        text = os.fsdecode(name)
        if text == _XATTR_CACHED and self._has_cached_state(node):
            return (await self._cached_state(node)).encode()
        value = node.xattrs().get(text)
        if value is None:
            raise pyfuse3.FUSEError(pyfuse3.ENOATTR)
        return value.encode("utf-8", "surrogatepass")

    @answering
    async def statfs(self, ctx: pyfuse3.RequestContext) -> pyfuse3.StatvfsData:
        """The size of the file system: what the cache holds, and nothing free, as nothing can be written."""
        stats = await trio.to_thread.run_sync(self._engine.cache.stats)
        data = pyfuse3.StatvfsData()
        data.f_bsize = data.f_frsize = 4096
        data.f_blocks = -(-stats.size_bytes // 4096)
        data.f_bfree = data.f_bavail = 0
        data.f_files = len(self._inodes)
        data.f_ffree = data.f_favail = 0
        data.f_namemax = 255
        return data

    # Directories

    @answering
    async def opendir(self, inode: pyfuse3.InodeT, ctx: pyfuse3.RequestContext) -> pyfuse3.FileHandleT:
        """Begins a listing; the first one of a mailbox waits until it is loaded."""
        directory = self._directory(inode)
        await self._wait_mailbox(directory, ctx.pid)
        entries = tuple((os.fsencode(name), node) for name, node in directory.entries().items())
        return self._handles.add(OpenDirectory(inode, entries))

    @answering
    async def readdir(self, fh: pyfuse3.FileHandleT, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        """The entries from `start_id` on that fit."""
        handle = self._handles.get(fh)
        assert isinstance(handle, OpenDirectory)  # noqa: S101 - the kernel keeps the two kinds apart
        for position in range(start_id, len(handle.entries)):
            name, node = handle.entries[position]
            inode = self._inodes.number(handle.inode, name, node)
            if not pyfuse3.readdir_reply(token, name, self._attributes(inode, node), position + 1):
                return
            self._inodes.remember(inode, node)

    @answering
    async def releasedir(self, fh: pyfuse3.FileHandleT) -> None:
        """Ends a listing."""
        self._handles.pop(fh)

    # Files

    @answering
    async def open(
        self, inode: pyfuse3.InodeT, flags: pyfuse3.FlagT, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.FileInfo:
        """Opens a file; returns when its size is exact, and a small content is all there."""
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise pyfuse3.FUSEError(errno.EROFS)
        node = self._node(inode)
        if isinstance(node, LiveFile):
            # Its text changes while nobody looks, so the kernel must neither keep it nor trust its size.
            text = (await self._render_live(node.topic)).encode()
            self._live_bytes[node.topic] = len(text)
            number = self._handles.add(OpenText(text))
            return pyfuse3.FileInfo(fh=number, direct_io=True)
        if isinstance(node, TextFile):
            number = self._handles.add(OpenText(node.content()))
        elif isinstance(node, AttachmentFile):
            number = self._handles.add(await self._open_attachment(inode, node, ctx.pid))
        else:
            raise pyfuse3.FUSEError(errno.EINVAL)
        # An attachment never changes, and a text that changes becomes another node.
        return pyfuse3.FileInfo(fh=number, keep_cache=True)

    @answering
    async def read(self, fh: pyfuse3.FileHandleT, off: int, size: int) -> bytes:
        """Up to `size` bytes from `off` on; fewer only at the end."""
        handle = self._handles.get(fh)
        if isinstance(handle, OpenText):
            return handle.data[off : off + size]
        assert isinstance(handle, OpenContent)  # noqa: S101 - the kernel keeps the two kinds apart
        content = handle.content
        if not content.has(off, size):
            await self._waits.until(
                handle.pid,
                lambda: self._engine.library.reach(content, off, size),
                within_s=self._max_wait_s,
                read=True,
            )
        return content.read(off, size)

    async def flush(self, fh: pyfuse3.FileHandleT) -> None:
        """Nothing to flush: said once, the kernel does not ask again (-40 % on `grep -r`)."""
        raise pyfuse3.FUSEError(errno.ENOSYS)

    @answering
    async def release(self, fh: pyfuse3.FileHandleT) -> None:
        """The last user of an open file is gone."""
        handle = self._handles.pop(fh)
        if isinstance(handle, OpenContent):
            self._streams -= handle.streaming
            self._engine.library.release(handle.content)

    # What they share

    def _node(self, inode: int) -> Node:
        node = self._inodes.node(inode)
        if node is None:
            raise pyfuse3.FUSEError(errno.ESTALE)
        return node

    def _directory(self, inode: int) -> Directory:
        node = self._node(inode)
        if not isinstance(node, Directory):
            raise pyfuse3.FUSEError(errno.ENOTDIR)
        return node

    def _attributes(self, inode: int, node: Node) -> pyfuse3.EntryAttributes:
        live_bytes = self._live_bytes.get(node.topic, _LIVE_BYTES) if isinstance(node, LiveFile) else 0
        return attributes(inode, node, live_bytes=live_bytes)

    async def _wait_mailbox(self, directory: Directory, pid: int) -> None:
        """Returns when the mailbox that `directory` shows, if it shows one, is loaded and filled in."""
        if directory.mailbox_id is None:
            return
        extension = self._root.extension(directory.mailbox_id)
        if not extension.is_filled:
            await self._waits.until(pid, lambda: self._fill(extension), within_s=_MAILBOX_WITHIN_S)

    async def _fill(self, extension: ExtensionDirectory) -> None:
        mailbox = await self._engine.account.mailbox(extension.extension.id)
        async with self._filling:
            if not extension.is_filled:
                # A quarter of a second for 50,000 messages. Nobody looks at what is being filled: lookups
                # and listings there wait for `is_filled`.
                await trio.to_thread.run_sync(extension.fill, mailbox)

    async def _open_attachment(self, inode: int, node: AttachmentFile, pid: int) -> OpenContent:
        """An open content of exact size, that is all there or holds a streaming seat."""
        content = await self._waits.until(
            pid, lambda: self._obtain(node, pid), within_s=self._max_wait_s, seated=False
        )
        size_bytes = content.size_bytes
        if size_bytes is not None and (not node.size_is_exact or size_bytes != node.size_bytes):
            if node.size_is_exact:
                # The record was wrong, and the kernel believes it: it would cut the reads.
                pyfuse3.invalidate_inode(inode, attr_only=True)
            node.learn(size_bytes)
        streaming = not content.complete
        self._streams += streaming
        return OpenContent(content, pid, streaming)

    async def _obtain(self, node: AttachmentFile, pid: int) -> Content:
        attachment = node.attachment
        wanted = Wanted(
            node.key,
            attachment.uri,
            attachment.content_type,
            size_known=node.size_is_exact,
            by=lambda: reader_of(pid).name,
        )
        library = self._engine.library

        def priority() -> Priority:
            # What is cached needs no seat, so it is opened however many wait for what is not.
            self._waits.require_seat()
            return self._readers.priority(pid, node.key, trio.current_time())

        try:
            content = await library.open(wanted, priority)
        except CrawlerError as exc:
            with trio.move_on_after(_NOTE_WITHIN_S, shield=True):
                await library.note_refusal(node.key, exc.name)
            raise
        settled = False
        try:
            size_bytes = await content.wait_size()
            if size_bytes > WHOLE_BYTES:
                await content.wait_for(0, CHUNK_BYTES)
            # Asked after the wait: from here to taking the seat nobody else can take it.
            if size_bytes <= WHOLE_BYTES or self._streams >= _STREAMS:
                await content.wait_complete()
            settled = True
            return content
        finally:
            if not settled:
                library.release(content)

    @staticmethod
    def _attachments(node: Node) -> list[AttachmentFile]:
        """The attachments whose cache state `node` has; empty for what has none."""
        if isinstance(node, AttachmentFile):
            return [node]
        if isinstance(node, Directory) and node.xattrs() and node.is_known:
            return [entry for entry in node.entries().values() if isinstance(entry, AttachmentFile)]
        return []

    def _has_cached_state(self, node: Node) -> bool:
        return isinstance(node, AttachmentFile) or (isinstance(node, Directory) and bool(node.xattrs()))

    async def _cached_state(self, node: Node) -> str:
        """``yes`` when all attachments are in the cache (or there are none), ``no``, or ``partial``."""
        states = {await self._engine.library.state(file.key) for file in self._attachments(node)}
        if len(states) > 1:
            return "partial"
        return states.pop() if states else "yes"
