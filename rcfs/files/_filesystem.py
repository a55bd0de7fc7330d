"""The file system of an account: look up, list, open, read, wait, change. It knows neither FUSE nor a kernel.

Where it waits. `list` waits for a mailbox and `open` for content, as long as the user allows. `find`, `page`,
`xattr` and what changes searches wait for the disk and for nothing else, two seconds at most, and then say
`DeadlineError`, while the work goes on: a mount is called for them by a kernel that keeps others out of the
directory meanwhile. The one exception is that `find` below a mailbox that was never loaded waits for the
mailbox, as briefly: a false "no such file" would be worse.
"""

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Hashable, Sequence
from operator import attrgetter

import trio

from rcfs.engine import Engine
from rcfs.errors import NotFoundError, StoreError, WrongKindError
from rcfs.files._attributes import Attributes, attributes_of
from rcfs.files._changes import Changes, Listener
from rcfs.files._contents import Contents
from rcfs.files._mailboxes import ShownMailboxes
from rcfs.files._openers import Listing, OpenContent, Opener, OpenLive, OpenText
from rcfs.files._readers import USUAL_CRAWLERS, Asker, CrawlerRule, Readers
from rcfs.files._searching import Searching
from rcfs.files._texts import Texts
from rcfs.files._waits import Waits
from rcfs.transport import Recorder
from rcfs.tree import (
    AttachmentFile,
    Directory,
    Entry,
    LiveFile,
    MessageDirectory,
    Node,
    RefreshFile,
    Root,
    SearchDirectory,
    TextFile,
)

_PAGE = 32
"""Entries of a directory that are looked up at a time: the kernel asks for 4 KiB at first, which holds some
20 of them."""
_SLOW_PAGE = 2000
"""The same of a directory that is not quick: among 100,000 messages a search for a common beginning of words
takes 0.3 s, and as long again for each page (measured 2026-11)."""
_TEXT_THREADS = 4
"""Texts of conversations that are put together at the same time."""
_XATTR_CACHED = "user.rcfs.cached"
"""No list names it: it is a state and no fact, and `rsync -X` would write it to a copy again and again."""

_REFRESH_WITHIN_S = 600.0
"""Longest wait for news: a sync of 200 mailboxes takes four minutes of the Light group's default plan."""


class FileSystem:
    """The file system; all methods run in the trio thread, many at the same time."""

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
            max_wait_s: Longest wait for a mailbox or content in seconds.
            render_live: Gives the present text of a live file by its topic.
            crawlers: Programs that nobody asked to read, and what they get.
        """
        self.root = root
        """The tree."""
        self._engine = engine
        self._waits = waits
        self._max_wait_s = max_wait_s
        self._render_live = render_live
        self._changes = Changes()
        self._readers = Readers(engine.recorder, crawlers)
        self._contents = Contents(
            engine.library, waits, self._readers, max_wait_s, self._changes.size_changed
        )
        self.texts = Texts(self._changes)
        """What keeps open texts up to date."""
        self._searching = Searching(root, engine.searches, self._changes)
        self.mailboxes = ShownMailboxes(
            root,
            engine,
            waits,
            self._readers,
            searching=self._searching,
            texts=self.texts,
            changes=self._changes,
            max_wait_s=max_wait_s,
        )
        """The mailboxes that are shown."""
        # Of their own, so that no thread that waits for a lock can keep a text from being read.
        self._threads = trio.CapacityLimiter(_TEXT_THREADS)
        self._live_bytes: dict[str, int] = {}

    @property
    def recorder(self) -> Recorder:
        """Where unexpected errors are noted."""
        return self._engine.recorder

    def listen(self, listener: Listener) -> None:
        """Tells `listener` of every change from now on."""
        self._changes.listen(listener)

    # Names and attributes

    async def find(self, directory: Directory, name: str, asker: Asker) -> Node | None:
        """The node that `directory` shows under a name; None when there is none."""
        node = None
        if directory.is_known:
            node = await self._find(directory, name, asker, _lock_of(directory))
        # Names with a leading dot are never in a mailbox: desktops probe for them, and must not load it.
        if node is None and directory.mailbox_id is not None and not name.startswith("."):
            await self.mailboxes.need(directory, asker, briefly=True)
            # Not known is what was shown of an extension that turned out to have no mailbox.
            node = directory.find(name) if directory.is_known else None
        return node

    async def find_again(self, directory: Directory, name: str, asker: Asker) -> Node | None:
        """As `find`, of what was found before, for who keeps nobody out of the directory meanwhile."""
        return await self._find(directory, name, asker, ("again", *_lock_of(directory), name))

    async def _find(self, directory: Directory, name: str, asker: Asker, lock: Hashable) -> Node | None:
        if not isinstance(directory, SearchDirectory):
            return directory.find(name)
        searching, key = self._searching, (directory.query, name)
        return await self._waits.briefly(
            asker, lock, lambda: searching.ask(lambda: searching.find(directory, name), key)
        )

    def attributes(self, node: Node) -> Attributes:
        """The attributes of `node`; waits for nothing."""
        return attributes_of(node, self._live_bytes)

    async def xattr(self, node: Node, name: str, asker: Asker) -> str | None:
        """One extended attribute of `node`; None when it has none of that name."""
        if name != _XATTR_CACHED or not isinstance(node, (AttachmentFile, MessageDirectory)):
            return node.xattrs().get(name)
        files = Contents.of(node)
        key = ("cached", *(file.key for file in files))
        return await self._waits.briefly(asker, key, lambda: self._contents.cached_state(files))

    # Directories

    async def list(self, directory: Directory, asker: Asker) -> Listing:
        """Begins a listing; the first one of a mailbox waits until it is loaded.

        Raises:
            NotFoundError: The directory is of a mailbox, and the extension turned out to have none.
        """
        await self.mailboxes.need(directory, asker)
        if not directory.is_known:
            raise NotFoundError("the extension has no mailbox")
        if directory.mailbox_id is not None and self._readers.looks_around(asker, trio.current_time()):
            self._engine.lane.gate.mark_present()
        listing = Listing(directory)
        if isinstance(directory, SearchDirectory):
            self.mailboxes.visit_all()
            # Asked here, where a wait holds up nobody else, and not by the first page.
            await self._waits.until(
                asker, lambda: self._read_ahead(listing, directory, 0), within_s=self._max_wait_s
            )
        return listing

    async def page(self, listing: Listing, after: int) -> Sequence[Entry]:
        """Some of the entries that come after the cursor `after` (0 for the beginning); empty at the end.

        Raises:
            StoreError: The mailbox was lost since it was opened: half a listing would be a lie.
        """
        directory = listing.directory
        if not directory.is_known:
            raise StoreError("the mailbox was lost while it was listed")
        if listing.end == after != 0:
            return ()  # The kernel asks on until it is told nothing: in most directories every second time.
        if isinstance(directory, SearchDirectory):
            return await self._slow_page(listing, directory, after)
        page = directory.page(after, _PAGE)
        if not page or (len(page) < _PAGE and directory.ends_short):
            listing.end = page[-1].cursor if page else after
        return page

    async def _slow_page(self, listing: Listing, directory: SearchDirectory, after: int) -> Sequence[Entry]:
        is_there = listing.ahead_after <= after and (not listing.ahead or after < listing.ahead[-1].cursor)
        if not is_there or listing.ahead_edition != self._searching.edition:
            # Nobody says who lists on.
            await self._waits.briefly(
                None, _lock_of(directory), lambda: self._read_ahead(listing, directory, after)
            )
        start = bisect_right(listing.ahead, after, key=attrgetter("cursor"))
        page = listing.ahead[start : start + _PAGE]
        if not page:
            listing.end = after
        return page

    async def _read_ahead(self, listing: Listing, directory: SearchDirectory, after: int) -> None:
        """Asks for many of the entries of a slow directory that come after the cursor `after`."""
        searching = self._searching
        # As of before the look: what changes meanwhile is looked up again.
        edition = searching.edition
        listing.ahead = await searching.ask(
            lambda: searching.page(directory, after, _SLOW_PAGE), (directory.query, after)
        )
        listing.ahead_after, listing.ahead_edition = after, edition

    # Searches, the only thing that can be made here

    async def make_directory(self, parent: Node, name: str, asker: Asker) -> Node:
        """Makes a search; see `Searching.make`."""
        return await self._waits.briefly(asker, _lock_of(parent), lambda: self._searching.make(parent, name))

    async def remove_directory(self, parent: Node, name: str, asker: Asker) -> tuple[str, ...]:
        """Removes a search; all the names that it had. See `Searching.remove`."""
        return await self._waits.briefly(
            asker, _lock_of(parent), lambda: self._searching.remove(parent, name)
        )

    async def rename(
        self, parents: tuple[Node, Node], name: str, new_name: str, asker: Asker, *, exchange: bool
    ) -> Node:
        """Makes a search one for something else: file managers make a directory first, then name it."""
        return await self._waits.briefly(
            asker,
            _lock_of(parents[1]),
            lambda: self._searching.rename(parents, name, new_name, exchange=exchange),
        )

    def remove(self, parent: Node, name: str) -> None:
        """Takes a link out of a search; nothing else can be removed. See `Searching.hide`."""
        self._searching.hide(parent, name)

    # Files

    async def open(
        self, node: Node, asker: Asker, place: Hashable, *, flags: int = 0, has_bytes: bool = False
    ) -> Opener:
        """Opens a file; returns when its size is exact, and a small content is all there.

        Args:
            node: What.
            asker: For whom.
            place: What the asker knows it by: who opens the same place shares what is open there.
            flags: As of open(2).
            has_bytes: Whether the asker may still have all bytes of the content, from an open before.

        Raises:
            WrongKindError: It is no file.
            RcfsError: It cannot be had, or not yet.
        """
        if isinstance(node, RefreshFile):
            said = await self._waits.until(
                asker, lambda: self.mailboxes.refresh(node.name), within_s=_REFRESH_WITHIN_S
            )
            return OpenLive(f"{said}\n".encode())
        if isinstance(node, LiveFile):
            data = (await self._render_live(node.topic)).encode()
            self._live_bytes[node.topic] = len(data)
            return OpenLive(data)
        if isinstance(node, TextFile):
            await self.mailboxes.need(node, asker)
            number = self.texts.ask()
            data = node.content() if node.is_quick else await self._rendered(node, asker)
            return self.texts.open(place, node, data, number)
        if not isinstance(node, AttachmentFile):
            raise WrongKindError("only files can be opened")
        opener = await self._contents.open_again(place, node, asker) if has_bytes else None
        return opener or await self._contents.open(place, node, asker, flags)

    async def _rendered(self, node: TextFile, asker: Asker) -> bytes:
        """The bytes of a text that takes long."""
        return await self._waits.until(
            asker,
            lambda: trio.to_thread.run_sync(node.content, limiter=self._threads, abandon_on_cancel=True),
            within_s=self._max_wait_s,
        )

    async def read(self, opener: Opener, off: int, size: int) -> bytes:
        """Up to `size` bytes from `off` on; fewer only at the end.

        Raises:
            StaleError: It is a text that has become another.
            RcfsError: The bytes cannot be had, or not yet.
        """
        if isinstance(opener, OpenContent):
            return await self._contents.read(opener, off, size)
        return opener.read(off, size)

    def close(self, opener: Opener) -> None:
        """One user of what is open is gone."""
        if isinstance(opener, OpenContent):
            self._contents.release(opener)
        elif isinstance(opener, OpenText):
            self.texts.release(opener)


def _lock_of(directory: Node) -> tuple[Hashable, ...]:
    """The key of all brief waits in one directory.

    Not of one name: whoever waits for another name in the directory is kept out by the same lock.
    """
    return ("search", directory.query) if isinstance(directory, SearchDirectory) else ("searches",)
