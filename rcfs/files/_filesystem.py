"""The file system of an account: look up, list, open, read, wait, change. It knows neither FUSE nor a kernel.

`list` waits for a collection and `open` for content, as long as the user allows. `find`, `page`, `xattr`, and
all changes wait for the disk only, two seconds at most. Then they raise `DeadlineError` while the work
continues, because the kernel holds a lock of the directory during these calls. One exception:
`find` below a mailbox that was never loaded waits for the mailbox, two seconds at most as well, because a
false "no such file" would be worse.
"""

from collections.abc import Awaitable, Callable, Hashable, Sequence

import trio

from rcfs.engine import Engine
from rcfs.errors import (
    ForbiddenError,
    NotFoundError,
    OfflineError,
    StoreError,
    UnreachableError,
    WrongKindError,
)
from rcfs.files._archives import Archives
from rcfs.files._attributes import Attributes, attributes_of
from rcfs.files._changes import Changes, Listener
from rcfs.files._changing import FLUSH_S, Changing
from rcfs.files._collections import ShownCollections
from rcfs.files._contents import Contents
from rcfs.files._drop_sides import droppings_of
from rcfs.files._dropping import Dropping
from rcfs.files._exporting import Exporting
from rcfs.files._locks import lock_of
from rcfs.files._openers import Listing, OpenContent, OpenDrop, Opener, OpenLive, OpenMember, OpenText
from rcfs.files._reader_book import ReaderBook
from rcfs.files._readers import USUAL_CRAWLERS, Asker, CrawlerRule, Readers
from rcfs.files._renderings import Renderer
from rcfs.files._search_pages import PAGE, SearchPages
from rcfs.files._searching import Searching
from rcfs.files._texts import Texts
from rcfs.files._waits import Waits
from rcfs.transport import Recorder
from rcfs.tree import (
    REFUSE,
    ArchiveDirectory,
    ContentFile,
    Directory,
    DropFile,
    Entry,
    ExportDirectory,
    ExportKindDirectory,
    LiveFile,
    MemberFile,
    MessageDirectory,
    Node,
    ReaderFile,
    RefreshFile,
    Root,
    SearchDirectory,
    TextFile,
    drop_place,
)

_XATTR_CACHED = "user.rcfs.cached"
"""It is not listed: it is a state that changes, so `rsync -X` would write it to a copy again and again."""

_PROBES = ("autorun.inf", "cvs", "desktop.ini", "thumbs.db")
"""Names, in lower case and without a leading dot, that desktops and tools look for in each directory."""

_REFRESH_WITHIN_S = 600.0
"""Longest wait for a refresh: syncing 200 mailboxes takes four minutes of the Light group's default plan."""


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
            engine: Source of mailboxes and contents.
            waits: Bounds all waits.
            max_wait_s: Longest wait for a mailbox or content, in seconds.
            render_live: Renders the present text of a live file by its topic.
            crawlers: Programs that read without a person's wish, and how they are treated.
        """
        self.root = root
        """The tree."""
        self._engine = engine
        self._waits = waits
        self._max_wait_s = max_wait_s
        self._render_live = render_live
        self._changes = Changes()
        self._readers = Readers(engine.recorder, crawlers)
        self.reader_book = ReaderBook(waits, engine.recorder)
        """The processes that read."""
        self._contents = Contents(
            engine.library, waits, self._readers, max_wait_s, self._changes.size_changed
        )
        self.texts = Texts(self._changes, Renderer(engine.cache.spill))
        """The open texts."""
        self._searching = Searching(root, engine.searches, self._changes)
        self._search_pages = SearchPages(self._searching, waits)
        self.collections = ShownCollections(
            root,
            engine,
            waits,
            self._readers,
            searching=self._searching,
            texts=self.texts,
            changes=self._changes,
            max_wait_s=max_wait_s,
        )
        """The mailboxes, call logs and greetings that are shown."""
        self.archives = Archives(root.exports, engine.library, waits, engine.recorder, max_wait_s)
        """The archives that people look into."""
        self._exporting = Exporting(root, engine, self._changes, self.collections.extensions_changed)
        self.changing = Changing(root, engine, self._changes)
        """The changes of messages."""
        self.droppings = droppings_of(root, engine, self._changes)
        """By drops, their side of the tree; empty if people can drop nothing."""
        self._live_bytes: dict[str, int] = {}

    @property
    def recorder(self) -> Recorder:
        """Records unexpected errors."""
        return self._engine.recorder

    def dropping_at(self, node: Node) -> Dropping | None:
        """The side that takes files in a directory, or has taken the file `node`; None for another node."""
        if isinstance(node, DropFile):
            return self.droppings.get(node.drops)
        place = drop_place(node)
        return None if place is None else self.droppings.get(place[0])

    def listen(self, listener: Listener) -> None:
        """Adds a listener for every change."""
        self._changes.listen(listener)

    def follow(self) -> None:
        """Shows all changes from now on, and those since the tree was built."""
        self.collections.follow()
        self._exporting.follow()

    # Names and attributes

    async def find(self, directory: Directory, name: str, asker: Asker) -> Node | None:
        """The node that `directory` shows under a name; None if it shows no such name."""
        node = None
        if directory.is_known or isinstance(directory, ArchiveDirectory):
            node = await self._find(directory, name, asker, lock_of(directory))
        if node is None and directory.collection_id is not None and not _is_probe(name):
            await self.collections.need(directory, asker, briefly=True)
            # The directory is not known if it turned out that there is nothing to show.
            node = self.changing.find(directory, name) if directory.is_known else None
        return node

    async def find_again(self, directory: Directory, name: str, asker: Asker) -> Node | None:
        """As `find`, for a node that was found before, when the caller holds no lock of the directory."""
        return await self._find(directory, name, asker, ("again", *lock_of(directory), name))

    async def _find(self, directory: Directory, name: str, asker: Asker, lock: Hashable) -> Node | None:
        is_archive = isinstance(directory, ExportDirectory) and directory.is_inside(name)
        if is_archive or isinstance(directory, ArchiveDirectory):
            await self._waits.briefly(asker, lock, lambda: self._look_into(directory))
        if self._exporting.has(directory):
            return self._exporting.find(directory, name)
        if not isinstance(directory, SearchDirectory):
            return self.changing.find(directory, name)
        searching, key = self._searching, (directory.query, name)
        return await self._waits.briefly(
            asker, lock, lambda: searching.ask(lambda: searching.find(directory, name), key)
        )

    async def need(self, directory: Directory, asker: Asker, *, briefly: bool = False) -> None:
        """Returns when the entries of a directory are known again, which somebody has listed before.

        With `briefly` it waits for two seconds at most. Raises as `find`.
        """
        if not isinstance(directory, ArchiveDirectory):
            await self.collections.need(directory, asker, briefly=briefly)
        elif briefly:
            await self._waits.briefly(asker, lock_of(directory), lambda: self.archives.enter(directory))
        else:
            await self._waits.until(
                asker, lambda: self.archives.enter(directory), within_s=self._max_wait_s, seated=False
            )

    async def _look_into(self, directory: Directory) -> None:
        """Returns when the entries of an export or archive are known.

        Raises:
            NotFoundError: The cache no longer has all of the archive.
        """
        if isinstance(directory, ExportDirectory):
            await self.archives.look(directory)
        elif isinstance(directory, ArchiveDirectory):
            await self.archives.enter(directory)

    def attributes(self, node: Node) -> Attributes:
        """The attributes of `node`, without a wait."""
        return attributes_of(node, self._live_bytes)

    async def xattr(self, node: Node, name: str, asker: Asker) -> str | None:
        """One extended attribute of `node`; None if it has no such attribute."""
        if name != _XATTR_CACHED or not isinstance(node, (ContentFile, MessageDirectory)):
            return node.xattrs().get(name)
        files = Contents.of(node)
        key = ("cached", *(file.key for file in files))
        return await self._waits.briefly(asker, key, lambda: self._contents.cached_state(files))

    # Directories

    async def list(self, directory: Directory, asker: Asker) -> Listing:
        """Begins a listing; the first listing in a collection waits until that is loaded.

        Calls and recordings of an extension are there even if its mailbox is not: the listing then has the
        views of the mailbox, each of which fails.

        Raises:
            NotFoundError: It turned out that there is nothing to show, as for an extension without a mailbox.
        """
        self.reader_book.require_welcome(asker)
        try:
            await self.collections.need(directory, asker)
        except (ForbiddenError, OfflineError, UnreachableError):
            if not directory.shows_others:
                raise
        if isinstance(directory, (ArchiveDirectory, ExportDirectory)):
            await self._waits.until(
                asker, lambda: self._look_into(directory), within_s=self._max_wait_s, seated=False
            )
        if not directory.is_known:
            raise NotFoundError("there is nothing to show here")
        if directory.collection_id is not None and self._readers.looks_around(asker, trio.current_time()):
            self._engine.lane.gate.mark_present()
        self.changing.listed(directory, asker)
        self._exporting.listed(directory, asker)
        listing = Listing(directory)
        if isinstance(directory, SearchDirectory):
            self.collections.visit_all()
            # Run the query here, where a wait blocks no one else, and not for the first page.
            await self._waits.until(
                asker, lambda: self._search_pages.read(listing, directory, 0), within_s=self._max_wait_s
            )
        return listing

    def edition(self, directory: Directory) -> str | None:
        """A text that changes whenever the names in a listing may change; None if nothing tells that.

        It is for a directory that `list` has just begun to list.
        """
        return self.changing.edition(directory) if directory.is_known else None

    async def page(self, listing: Listing, after: int) -> Sequence[Entry]:
        """The next entries after the cursor `after` (0 for the beginning); empty at the end.

        Raises:
            StoreError: The index has lost the collection since `list`, so the listing would be incomplete.
        """
        directory = listing.directory
        if isinstance(directory, ArchiveDirectory) and not directory.is_known:
            await self._waits.briefly(None, lock_of(directory), lambda: self.archives.enter(directory))
        if not directory.is_known:
            raise StoreError("the index has lost this while it was listed")
        if listing.end == after != 0:
            return ()  # The kernel asks until a reply is empty: every second call in most directories.
        if isinstance(directory, SearchDirectory):
            return await self._search_pages.page(listing, directory, after)
        shown = self._exporting if self._exporting.has(directory) else self.changing
        page = shown.page(directory, after, PAGE)
        if not page or (len(page) < PAGE and directory.ends_short):
            listing.end = page[-1].cursor if page else after
        return page

    # Changes: searches and exports are the only things that users can make, and messages all that they delete

    async def make_directory(self, parent: Node, name: str, asker: Asker) -> Node:
        """Makes a search or asks for an export; see `Searching.make` and `Exporting.make`."""

        def make() -> Awaitable[Node]:
            if isinstance(parent, ExportKindDirectory):
                return self._exporting.make(parent, name)
            return self._searching.make(parent, name)

        return await self._waits.briefly(asker, lock_of(parent), make)

    async def remove_directory(self, parent: Node, name: str, asker: Asker) -> tuple[str, ...]:
        """Removes a search, forgets an export, or deletes a message; all the names that it had.

        See `Searching.remove`, `Exporting.remove`, `Exporting.hide` and `Changing.remove_directory`.
        """
        if self._exporting.has(parent):
            return self._exporting.hide(parent, name, asker)

        def remove() -> Awaitable[tuple[str, ...]]:
            if self.changing.has(parent):
                return self.changing.remove_directory(parent, name, asker)
            if isinstance(parent, ExportKindDirectory):
                return self._exporting.remove(parent, name)
            return self._searching.remove(parent, name)

        return await self._waits.briefly(asker, lock_of(parent), remove)

    async def rename(
        self, parents: tuple[Node, Node], name: str, new_name: str, asker: Asker, *, exchange: bool
    ) -> Node | None:
        """Changes the query of a search, or moves a message into the trash or out of it.

        See `Searching.rename` and `Changing.move`.

        Returns:
            The search; None for a message, which has its own name in the directory to which it was moved.
        """

        async def rename() -> Node | None:
            if self.changing.has(parents[0]):
                await self.changing.move(parents, name, new_name, exchange=exchange)
                return None
            return await self._searching.rename(parents, name, new_name, exchange=exchange)

        return await self._waits.briefly(asker, lock_of(parents[1]), rename)

    async def remove(self, parent: Node, name: str, asker: Asker) -> None:
        """Hides a file of a message, an export or a search, or marks a message as read.

        See `Changing.remove`, `Exporting.hide` and `Searching.hide`.
        """
        if self.changing.has(parent):
            await self._waits.briefly(
                asker, lock_of(parent), lambda: self.changing.remove(parent, name, asker)
            )
        elif self._exporting.has(parent):
            self._exporting.hide(parent, name, asker)
        else:
            self._searching.hide(parent, name)

    async def mark(self, node: Node, name: str, value: bytes, asker: Asker) -> None:
        """Sets an extended attribute of messages; see `Changing.set_xattr`."""
        await self._waits.briefly(
            asker, lock_of(node), lambda: self.changing.set_xattr(node, name, value, asker)
        )

    async def flush(self) -> None:
        """Returns when all changes of messages are sent; see `Changing.flush`."""
        await self._waits.until(None, self.changing.flush, within_s=2 * FLUSH_S)

    # Files

    async def open(
        self, node: Node, asker: Asker, place: Hashable, *, flags: int = 0, has_bytes: bool = False
    ) -> Opener:
        """Opens a file; returns when its size is exact, and a small content is complete.

        Args:
            node: The file.
            asker: The process or command that opens it.
            place: Identity of the file to the caller. All opens of a place share what is open there.
            flags: Flags of open(2).
            has_bytes: Whether the caller may still have all bytes of the content from an earlier open.

        Raises:
            WrongKindError: The node is not a file.
            RcfsError: The file is not available, or not yet.
        """
        if isinstance(node, RefreshFile):
            said = await self._waits.until(
                asker, lambda: self.collections.refresh(node.name), within_s=_REFRESH_WITHIN_S
            )
            return OpenLive(f"{said}\n".encode())
        if isinstance(node, ReaderFile):
            change = self.reader_book.refuse if node.topic == REFUSE else self.reader_book.release
            return OpenLive(f"{change(node.pid, asker)}\n".encode())
        if isinstance(node, LiveFile):
            data = (await self._render_live(node.topic)).encode()
            self._live_bytes[node.topic] = len(data)
            return OpenLive(data)
        self.reader_book.require_welcome(asker)
        self.reader_book.opened(asker)
        if isinstance(node, TextFile):
            await self.collections.need(node, asker)
            number = self.texts.ask()
            if node.is_quick:
                text = await self.texts.render(place, node)
            else:
                text = await self._waits.until(
                    asker, lambda: self.texts.render(place, node), within_s=self._max_wait_s
                )
            return self.texts.open(place, node, text, number)
        if isinstance(node, MemberFile):
            return await self.archives.open(node, asker)
        dropping = self.dropping_at(node)
        if isinstance(node, DropFile) and dropping is not None:
            return await dropping.open(node, flags)
        if not isinstance(node, ContentFile):
            raise WrongKindError("only files can be opened")
        opener = await self._contents.open_again(place, node, asker) if has_bytes else None
        return opener or await self._contents.open(place, node, asker, flags)

    async def read(self, opener: Opener, off: int, size: int) -> bytes:
        """Up to `size` bytes from `off` on; fewer only at the end.

        Raises:
            StaleError: The text was replaced by another one.
            RcfsError: The bytes are not available, or not yet.
        """
        if isinstance(opener, (OpenContent, OpenMember)):
            self.reader_book.require_welcome(opener.asker)
            if isinstance(opener, OpenContent):
                data = await self._contents.read(opener, off, size)
            else:
                data = await self.archives.read(opener, off, size)
            self.reader_book.was_read(opener.asker, len(data))
            return data
        if isinstance(opener, OpenDrop):
            return await Dropping.read(opener, off, size)
        data = opener.read(off, size)
        if isinstance(opener, OpenText):
            self.reader_book.was_read(None, len(data))
        return data

    def close(self, opener: Opener) -> None:
        """Ends one use of an open file."""
        if isinstance(opener, OpenContent):
            self._contents.release(opener)
        elif isinstance(opener, OpenMember):
            self.archives.close(opener)
        elif isinstance(opener, OpenDrop):
            self.droppings[opener.file.drops].close(opener)
        elif isinstance(opener, OpenText):
            self.texts.release(opener)


def _is_probe(name: str) -> bool:
    """Whether a program looks for `name` without a person's wish, so that it must not load a collection.

    A collection has no names with a leading dot. Only the directory of a message may have one of `_PROBES`,
    and nobody finds that before its collection is loaded.
    """
    return name.startswith(".") or name.lower() in _PROBES
