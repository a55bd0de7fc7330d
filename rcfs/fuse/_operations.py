"""The requests of the kernel, answered from the tree and the engine.

Where it waits, and where it must not: the kernel holds a lock of the directory during LOOKUP, READDIR,
MKDIR, RMDIR and RENAME (`fuse_lock_inode`, `i_rwsem`), and no signal reaches a process that waits for such a
lock. So `opendir` waits for a mailbox and `open` for content, as long as the user allows. Those five wait for
the disk and for nothing else, two seconds at most (`_briefly`), except that a lookup below a mailbox that was
never loaded waits for the mailbox: a false "no such file" would be worse. GETATTR and its like hold no lock,
but programs do not expect them to wait, so they wait no longer.
"""

import errno
import os
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Hashable, Sequence
from operator import attrgetter
from typing import TypeVar

import pyfuse3
import trio

from rcfs.engine import Engine
from rcfs.errors import DeadlineError
from rcfs.fuse._attachments import Attachments
from rcfs.fuse._attributes import Ownership, attributes
from rcfs.fuse._errno import answering
from rcfs.fuse._handles import Handle, HandleTable, OpenContent, OpenDirectory, OpenText
from rcfs.fuse._inodes import InodeTable
from rcfs.fuse._invalidation import Invalidation
from rcfs.fuse._names import decoded, encoded
from rcfs.fuse._read_only import ReadOnlyOperations
from rcfs.fuse._readers import USUAL_CRAWLERS, CrawlerRule, Readers
from rcfs.fuse._searching import Searching
from rcfs.fuse._space import Space
from rcfs.fuse._texts import Texts
from rcfs.fuse._waits import Waits
from rcfs.store import Touched
from rcfs.transport import Recorder
from rcfs.tree import (
    AttachmentFile,
    Directory,
    Entry,
    ExtensionDirectory,
    Link,
    LiveFile,
    MessageDirectory,
    Node,
    Root,
    SearchDirectory,
    SearchesDirectory,
    TextFile,
)

T = TypeVar("T")

_LIVE_BYTES = 4096
"""Size shown of a live file that was never opened; from an open on it is that of what was opened."""
_PAGE = 32
"""Entries of a directory that are looked up at a time: the kernel asks for 4 KiB at first, which holds some
20 of them."""
_SLOW_PAGE = 2000
"""The same of a directory that is not quick: among 100,000 messages a search for a common beginning of words
takes 0.3 s, and as long again for each page (measured 2026-11)."""
_VISITED = 5
"""A look at a search is one at all mailboxes that are shown, if they are no more: five syncs are a tenth of
the Light group's default window. Of more mailboxes each is synced when its time comes."""
_TEXT_THREADS = 4
"""Texts of conversations that are put together at the same time."""
_XATTR_CACHED = "user.rcfs.cached"
"""No list names it: it is a state and no fact, and `rsync -X` would write it to a copy again and again."""
_XATTR_REFRESH = "user.rcfs.refresh"
"""Who reads it wants news now, and waits for them. No list names it, so nobody reads it by the way."""
_REFRESH_WITHIN_S = 600.0
"""Longest wait for news: a sync of 200 mailboxes takes four minutes of the Light group's default plan."""


class Operations(ReadOnlyOperations):
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
        owner: Ownership | None = None,
        space: Space | None = None,
    ) -> None:
        """Makes a file system that shows `root`.

        Args:
            root: The tree.
            engine: Where mailboxes and contents come from.
            waits: Every wait goes through here.
            max_wait_s: Longest wait for a mailbox or content in seconds.
            render_live: Gives the present text of a live file by its topic.
            crawlers: Programs that nobody asked to read, and what they get.
            owner: Whom everything belongs to; None for this process's user alone.
            space: Answers how large the tree is; None for no answer.
        """
        super().__init__()
        self._root = root
        self._engine = engine
        self._waits = waits
        self._max_wait_s = max_wait_s
        self._render_live = render_live
        self._owner = owner or Ownership()
        self._space = space
        self._inodes = InodeTable(root)
        self.invalidation = Invalidation(root, self._inodes)
        """What makes the kernel forget."""
        self._searching = Searching(root, self._inodes, engine.searches, self.invalidation)
        self._handles = HandleTable()
        self._readers = Readers(engine.recorder, crawlers)
        self._attachments = Attachments(engine.library, waits, self._readers, max_wait_s)
        self.texts = Texts(self._inodes)
        """What keeps open texts up to date."""
        # Of their own, so that no thread that waits for a lock can keep a text from being read.
        self._threads = trio.CapacityLimiter(_TEXT_THREADS)
        self._live_bytes: dict[str, int] = {}

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
        directory = await self._present_directory(parent_inode, ctx.pid, briefly=True)
        try:
            text = decoded(name)
        except UnicodeDecodeError:  # No name in the tree is anything but UTF-8.
            raise pyfuse3.FUSEError(errno.ENOENT) from None
        node = (
            await self._find(directory, text, (parent_inode, text), ctx.pid, _within(parent_inode))
            if directory.is_known
            else None
        )
        # Names with a leading dot are never in a mailbox: desktops probe for them, and must not load it.
        if node is None and directory.mailbox_id is not None and not text.startswith("."):
            await self._wait_mailbox(directory, ctx.pid, briefly=True)
            # Not known is what was shown of an extension that turned out to have no mailbox.
            node = directory.find(text) if directory.is_known else None
        if node is None:
            raise pyfuse3.FUSEError(errno.ENOENT)
        return self._attributes(self._inodes.remember(parent_inode, name, node), node)

    async def forget(self, inode_list: Sequence[tuple[pyfuse3.InodeT, int]]) -> None:
        """The kernel no longer holds these inodes."""
        self._inodes.forget(inode_list)

    @answering
    async def getattr(self, inode: pyfuse3.InodeT, ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        """The attributes of an inode."""
        self.texts.require_fresh(inode)
        return self._attributes(inode, await self._node(inode, ctx.pid))

    @answering
    async def readlink(self, inode: pyfuse3.InodeT, ctx: pyfuse3.RequestContext) -> bytes:
        """Where a link points to."""
        node = await self._node(inode, ctx.pid)
        if not isinstance(node, Link):
            raise pyfuse3.FUSEError(errno.EINVAL)
        return encoded(node.target)

    @answering
    async def listxattr(
        self, inode: pyfuse3.InodeT, ctx: pyfuse3.RequestContext
    ) -> Sequence[pyfuse3.XAttrNameT]:
        """Names of the extended attributes of an inode."""
        node = await self._node(inode, ctx.pid)
        return [encoded(name) for name in node.xattrs()]

    @answering
    async def getxattr(
        self, inode: pyfuse3.InodeT, name: pyfuse3.XAttrNameT, ctx: pyfuse3.RequestContext
    ) -> bytes:
        """One extended attribute of an inode."""
        if not name.startswith(b"user."):
            # Said for the whole file system: `ls` then stops asking for ACLs of every file.
            raise pyfuse3.FUSEError(errno.EOPNOTSUPP)
        node = await self._node(inode, ctx.pid)
        text = name.decode("utf-8", "replace")  # No attribute has a name that is no UTF-8.
        if text == _XATTR_REFRESH:
            return await self._waits.until(ctx.pid, lambda: self._refresh(node), within_s=_REFRESH_WITHIN_S)
        if text == _XATTR_CACHED and isinstance(node, (AttachmentFile, MessageDirectory)):
            state = await self._briefly(
                ctx.pid, ("cached", inode), lambda: self._attachments.cached_state(node)
            )
            return state.encode()
        value = node.xattrs().get(text)
        if value is None:
            raise pyfuse3.FUSEError(pyfuse3.ENOATTR)
        return value.encode("utf-8", "surrogatepass")

    @answering
    async def statfs(self, ctx: pyfuse3.RequestContext) -> pyfuse3.StatvfsData:
        """How much the tree holds, and how much room the disk of the cache has; never waits for a lock."""
        if self._space is None:
            raise pyfuse3.FUSEError(errno.ENOSYS)
        return await self._space.answer(len(self._inodes))

    # Directories

    @answering
    async def opendir(self, inode: pyfuse3.InodeT, ctx: pyfuse3.RequestContext) -> pyfuse3.FileHandleT:
        """Begins a listing; the first one of a mailbox waits until it is loaded."""
        directory = await self._present_directory(inode, ctx.pid)
        await self._wait_mailbox(directory, ctx.pid)
        if not directory.is_known:
            raise pyfuse3.FUSEError(errno.ENOENT)  # The extension turned out to have no mailbox.
        if directory.mailbox_id is not None and self._readers.looks_around(ctx.pid, trio.current_time()):
            self._engine.gate.meet()
        handle = OpenDirectory(inode, directory)
        if isinstance(directory, SearchDirectory):
            self._visit_all()
            # Asked here, where a wait holds up nobody else, and not by the first readdir.
            await self._waits.until(ctx.pid, lambda: self._read_ahead(handle, 0), within_s=self._max_wait_s)
        return self._add_handle(handle, directory)

    @answering
    async def readdir(self, fh: pyfuse3.FileHandleT, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        """The entries from `start_id` on that fit."""
        handle = self._handles.get(fh)
        assert isinstance(handle, OpenDirectory)  # noqa: S101 - the kernel keeps the two kinds apart
        if not handle.directory.is_known:
            raise pyfuse3.FUSEError(errno.EIO)  # Lost since it was opened: half a listing would be a lie.
        if handle.end == start_id != 0:
            return  # The kernel asks on until it is told nothing: in most directories every second time.
        page = await self._page(handle, start_id)
        # One page and no more, in one step: what changes between the look at an entry and the reply would
        # never be told to the kernel. And others get their turn: a large reply has room for hundreds.
        for entry in page:
            name = encoded(entry.name)
            inode = self._inodes.number(handle.inode, name)
            if not pyfuse3.readdir_reply(token, name, self._attributes(inode, entry.node), entry.cursor):
                return
            self._inodes.told(inode, handle.inode, name, entry.node)
            start_id = entry.cursor
        if not page or (len(page) < _PAGE and handle.directory.ends_short):
            handle.end = start_id

    @answering
    async def releasedir(self, fh: pyfuse3.FileHandleT) -> None:
        """Ends a listing."""
        self._inodes.closed(self._handles.pop(fh).inode)

    # Searches, the only thing that can be made here

    @answering
    async def mkdir(
        self,
        parent_inode: pyfuse3.InodeT,
        name: pyfuse3.FileNameT,
        mode: pyfuse3.ModeT,
        ctx: pyfuse3.RequestContext,
    ) -> pyfuse3.EntryAttributes:
        """Makes a search."""
        parent = await self._node(parent_inode, ctx.pid)
        node = await self._briefly(ctx.pid, _within(parent_inode), lambda: self._searching.make(parent, name))
        return self._attributes(self._inodes.remember(parent_inode, name, node), node)

    @answering
    async def rmdir(
        self, parent_inode: pyfuse3.InodeT, name: pyfuse3.FileNameT, ctx: pyfuse3.RequestContext
    ) -> None:
        """Removes a search."""
        parent = await self._node(parent_inode, ctx.pid)
        await self._briefly(
            ctx.pid, _within(parent_inode), lambda: self._searching.remove(parent, parent_inode, name)
        )

    @answering
    async def unlink(
        self, parent_inode: pyfuse3.InodeT, name: pyfuse3.FileNameT, ctx: pyfuse3.RequestContext
    ) -> None:
        """Takes a link out of a search; nothing else can be removed."""
        self._searching.hide(await self._node(parent_inode, ctx.pid), name)

    @answering
    async def rename(
        self,
        parent_inode_old: pyfuse3.InodeT,
        name_old: pyfuse3.FileNameT,
        parent_inode_new: pyfuse3.InodeT,
        name_new: pyfuse3.FileNameT,
        flags: pyfuse3.FlagT,
        ctx: pyfuse3.RequestContext,
    ) -> None:
        """Makes a search one for something else: file managers make a directory first, then name it."""
        parents = (
            await self._node(parent_inode_old, ctx.pid),
            await self._node(parent_inode_new, ctx.pid),
        )
        exchange = bool(flags & pyfuse3.RENAME_EXCHANGE)
        await self._briefly(
            ctx.pid,
            _within(parent_inode_new),
            lambda: self._searching.rename(parents, parent_inode_old, name_old, name_new, exchange=exchange),
        )

    # Files

    @answering
    async def open(
        self, inode: pyfuse3.InodeT, flags: pyfuse3.FlagT, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.FileInfo:
        """Opens a file; returns when its size is exact, and a small content is all there."""
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_TRUNC):
            raise pyfuse3.FUSEError(errno.EROFS)
        node = await self._present(inode, ctx.pid)
        if isinstance(node, LiveFile):
            # Its text changes while nobody looks, so the kernel must neither keep it nor trust its size.
            text = (await self._render_live(node.topic)).encode()
            self._live_bytes[node.topic] = len(text)
            number = self._add_handle(OpenText(inode, text, users=1), node)
            return pyfuse3.FileInfo(fh=number, direct_io=True)
        if isinstance(node, TextFile):
            await self._wait_mailbox(node, ctx.pid)
            asked = self.texts.ask()
            data = node.content() if node.is_quick else await self._rendered(node, ctx.pid)
            return self._open_text(inode, node, data, asked)
        if isinstance(node, AttachmentFile):
            number = self._add_handle(await self._open_attachment(inode, node, ctx.pid, flags), node)
        else:
            raise pyfuse3.FUSEError(errno.EINVAL)
        # An attachment never changes.
        return pyfuse3.FileInfo(fh=number, keep_cache=True)

    @answering
    async def read(self, fh: pyfuse3.FileHandleT, off: int, size: int) -> bytes:
        """Up to `size` bytes from `off` on; fewer only at the end."""
        handle = self._handles.get(fh)
        if isinstance(handle, OpenText):
            if handle.is_stale:
                raise pyfuse3.FUSEError(errno.ESTALE)
            return handle.data[off : off + size]
        assert isinstance(handle, OpenContent)  # noqa: S101 - the kernel keeps the two kinds apart
        return await self._attachments.read(handle, off, size)

    async def flush(self, fh: pyfuse3.FileHandleT) -> None:
        """Nothing to flush: said once, the kernel does not ask again (-40 % on `grep -r`)."""
        raise pyfuse3.FUSEError(errno.ENOSYS)

    @answering
    async def release(self, fh: pyfuse3.FileHandleT) -> None:
        """The last user of an open file is gone."""
        handle = self._handles.pop(fh)
        self._inodes.closed(handle.inode)
        if isinstance(handle, OpenText):
            self.texts.release(handle)
        elif isinstance(handle, OpenContent):
            self._attachments.release(handle)

    # What changes while it is mounted

    def extensions_changed(self) -> None:
        """Shows the extensions that there are now; not to be called by a handler."""
        names = self._root.show(self._engine.account.extensions)
        self.invalidation.names_changed(names)
        if names:
            self._searching.extensions_changed()
        for extension in self._engine.account.extensions:
            self._show(extension.id)

    def mailbox_changed(self, extension_id: int, touched: Touched) -> None:
        """These paths of an extension mean something else than before; not to be called by a handler."""
        if self._space is not None:
            self._space.note_change()
        self.invalidation.mailbox_changed(extension_id, touched)
        self._searching.mailbox_changed(extension_id, touched)
        self.texts.mailbox_changed(extension_id)

    def mailbox_loaded(self, extension_id: int) -> None:
        """Shows a mailbox that was just loaded, whether somebody waits for it or not; not for a handler."""
        if self._root.name_of(extension_id) is not None:
            self._show(extension_id)
            self.mailbox_changed(extension_id, {()})

    def _show(self, extension_id: int) -> None:
        """Shows the mailbox of an extension, or that it has none, if that is known."""
        mailboxes, extension = self._engine.account.mailboxes, self._root.extension(extension_id)
        catalogue = mailboxes.catalogue(extension_id)
        if catalogue is not None:
            extension.show(catalogue)
        elif mailboxes.is_none(extension_id):
            extension.show_none()

    def mailboxes_lost(self) -> None:
        """Nothing is known any more of any mailbox: each is loaded again when somebody looks into it."""
        for extension in self._engine.account.extensions:
            self._root.extension(extension.id).hide()

    # What they share

    async def _node(self, inode: int, pid: int) -> Node:
        """The node of an inode; waits for nothing but a search, which may have to be asked for it again."""
        node = self._inodes.node(inode)
        if node is None and (place := self._inodes.place(inode)) is not None:
            node = await self._find(*place, inode, pid, inode)
            if node is not None:
                self._inodes.replace(inode, node)
        if node is None:
            raise pyfuse3.FUSEError(errno.ESTALE)
        return node

    async def _present(self, inode: int, pid: int, *, briefly: bool = False) -> Node:
        """The node of an inode; waits for its mailbox, if that was lost since the kernel was told of it."""
        above = None if self._inodes.node(inode) else self._inodes.known_above(inode)
        if above is not None:
            await self._wait_mailbox(above, pid, briefly=briefly)
        return await self._node(inode, pid)

    async def _present_directory(self, inode: int, pid: int, *, briefly: bool = False) -> Directory:
        node = await self._present(inode, pid, briefly=briefly)
        if not isinstance(node, Directory):
            raise pyfuse3.FUSEError(errno.ENOTDIR)
        return node

    def _add_handle(self, handle: Handle, node: Node) -> pyfuse3.FileHandleT:
        """The number of a new handle of `node`, which its inode keeps until the handle is released."""
        self._inodes.opened(handle.inode, node)
        return pyfuse3.FileHandleT(self._handles.add(handle))

    def _attributes(self, inode: int, node: Node) -> pyfuse3.EntryAttributes:
        live_bytes = self._live_bytes.get(node.topic, _LIVE_BYTES) if isinstance(node, LiveFile) else 0
        return attributes(inode, node, self._owner, live_bytes=live_bytes)

    async def _find(
        self, directory: Directory, name: str, key: Hashable, pid: int, lock: Hashable
    ) -> Node | None:
        """What a directory has under a name; `key` is of no other question, `lock` as of `_briefly`."""
        if directory.is_quick:
            return directory.find(name)
        return await self._briefly(
            pid, lock, lambda: self._searching.ask(lambda: self._searching.find(directory, name), key)
        )

    async def _page(self, handle: OpenDirectory, after: int) -> list[Entry]:
        """Some of the entries that come after the cursor `after`."""
        directory = handle.directory
        if directory.is_quick:
            return directory.page(after, _PAGE)
        is_there = handle.ahead_after <= after and (not handle.ahead or after < handle.ahead[-1].cursor)
        if not is_there or handle.ahead_edition != self._searching.edition:
            await self._briefly(0, _within(handle.inode), lambda: self._read_ahead(handle, after))
        start = bisect_right(handle.ahead, after, key=attrgetter("cursor"))
        return handle.ahead[start : start + _PAGE]

    async def _read_ahead(self, handle: OpenDirectory, after: int) -> None:
        """Asks for many of the entries of a slow directory that come after the cursor `after`."""
        directory = handle.directory
        # As of before the look: what changes meanwhile is looked up again.
        edition = self._searching.edition
        handle.ahead = await self._searching.ask(
            lambda: self._searching.page(directory, after, _SLOW_PAGE), (handle.inode, after)
        )
        handle.ahead_after, handle.ahead_edition = after, edition

    async def _rendered(self, node: TextFile, pid: int) -> bytes:
        """The bytes of a text that takes long."""
        return await self._waits.until(
            pid,
            lambda: trio.to_thread.run_sync(node.content, limiter=self._threads, abandon_on_cancel=True),
            within_s=self._max_wait_s,
        )

    async def _briefly(self, pid: int, key: Hashable, operation: Callable[[], Awaitable[T]]) -> T:
        """What `operation` returns; EAGAIN after two seconds, when it goes on without the caller.

        Not for `open` and `read`: programs take EAGAIN for the end of a file.
        """
        try:
            return await self._waits.briefly(pid, key, operation)
        except DeadlineError as exc:
            raise pyfuse3.FUSEError(errno.EAGAIN) from exc

    async def _wait_mailbox(self, node: Node, pid: int, *, briefly: bool = False) -> None:
        """Returns when the mailbox that `node` tells of, if it tells of one, is loaded and filled in.

        `briefly` is for handlers during which the kernel holds a lock; the load goes on without them.
        """
        if node.mailbox_id is None:
            return
        try:
            extension = self._root.extension(node.mailbox_id)
        except KeyError:
            raise pyfuse3.FUSEError(errno.ESTALE) from None  # The login may not see it any more.
        if extension.is_filled:
            self._engine.account.mailboxes.visit(node.mailbox_id)
            return
        self._readers.require_no_crawler(pid)
        if briefly:
            await self._briefly(pid, extension.mailbox_id, lambda: self._fill(extension))
        else:
            await self._waits.until(pid, lambda: self._fill(extension), within_s=self._max_wait_s)

    def _visit_all(self) -> None:
        """A person looks at what may be of any mailbox that is shown."""
        extension_ids = [extension.id for extension in self._engine.account.extensions]
        shown = [each for each in extension_ids if self._root.extension(each).is_filled]
        if len(shown) <= _VISITED:
            for extension_id in shown:
                self._engine.account.mailboxes.visit(extension_id)

    async def _fill(self, extension: ExtensionDirectory) -> None:
        mailboxes, extension_id = self._engine.account.mailboxes, extension.extension.id
        if await mailboxes.exists(extension_id):
            extension.show(await mailboxes.open(extension_id))
        else:
            extension.show_none()

    async def _open_attachment(self, inode: int, node: AttachmentFile, pid: int, flags: int) -> OpenContent:
        """Opens an attachment: without its content when that was whole before."""
        handle = (
            await self._attachments.open_again(inode, node, pid) if self._inodes.is_whole(inode) else None
        )
        if handle is None:
            handle = await self._attachments.open(inode, node, pid, flags)
            if not handle.streaming:
                self._inodes.note_whole(inode)
        return handle

    def _open_text(self, inode: int, node: TextFile, data: bytes, asked: int) -> pyfuse3.FileInfo:
        """Opens a text of which `data` was what was to be rendered when that was `asked`."""
        text = self.texts.open(inode, node, data, asked)
        number = self._add_handle(text, node)
        if node.grows:
            # The page with its end holds zeros behind that. Whoever reads it while another process learns of
            # the new size would be given those (seen with Linux 6.18): the kernel must keep no pages.
            return pyfuse3.FileInfo(fh=number, direct_io=True)
        # What the kernel keeps of it may be of an earlier version: the record of a message changes.
        return pyfuse3.FileInfo(fh=number, keep_cache=self._inodes.serve(inode, text.data))

    async def _refresh(self, node: Node) -> bytes:
        """What was refreshed: the mailbox that `node` is in, or all that were looked into."""
        if node.mailbox_id is not None:
            await self._engine.account.mailboxes.refresh(node.mailbox_id)
            return b"0 mailboxes" if self._engine.account.mailboxes.is_none(node.mailbox_id) else b"1 mailbox"
        if not isinstance(node, (Root, SearchesDirectory, SearchDirectory)):
            raise pyfuse3.FUSEError(pyfuse3.ENOATTR)
        mailboxes = await self._engine.account.refresh()
        return f"{mailboxes} mailbox{'' if mailboxes == 1 else 'es'}".encode()


def _within(inode: int) -> Hashable:
    """The key of all brief waits during which the kernel holds the lock of the directory `inode`.

    Not of one name: whoever waits for another name in the directory sleeps for the same lock.
    """
    return "directory", inode
