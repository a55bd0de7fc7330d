"""The mailboxes of a tree: loaded on demand, shown, and kept up to date."""

import math

import trio

from rcfs.engine import Engine
from rcfs.errors import NotFoundError, StaleError
from rcfs.files._changes import Changes
from rcfs.files._readers import Asker, Readers
from rcfs.files._searching import Searching
from rcfs.files._texts import Texts
from rcfs.files._waits import Waits
from rcfs.mailbox import (
    Change,
    ExtensionsChanged,
    MailboxChanged,
    Mailboxes,
    MailboxesLost,
    MailboxLoaded,
)
from rcfs.model import MAILBOX, collection_of, owner_of
from rcfs.store import ChangedPaths
from rcfs.tree import REFRESH_ALL, ExtensionDirectory, Node, Root, SearchesDirectory, build_root

_VISITED = 5
"""Most mailboxes that a look at a search visits, all at once: five syncs are a tenth of the Light group's
default window. More mailboxes are synced at their usual times only."""
_VISIT_EVERY_S = 0.25
"""Time in which any number of looks into a mailbox count as one: `find` opens thousands of directories a
second, and no person can tell the difference."""


def tree_of(engine: Engine, *, list_control: bool = False) -> Root:
    """The tree of an account, still without mailboxes; `list_control` as in `build_root`."""
    account = engine.account
    return build_root(
        account.extensions,
        fallback_s=account.since_s,
        searches=engine.searches,
        list_control=list_control,
    )


def show_mailbox(extension: ExtensionDirectory, mailboxes: Mailboxes) -> None:
    """Shows the mailbox of an extension if it is loaded, or that the extension has none if that is known."""
    catalogue = mailboxes.catalogue(extension.extension.id)
    if catalogue is not None:
        extension.show(catalogue)
    elif mailboxes.is_absent(extension.extension.id):
        extension.show_none()


class ShownMailboxes:
    """The mailboxes of one tree; all methods run in the trio thread."""

    def __init__(
        self,
        root: Root,
        engine: Engine,
        waits: Waits,
        readers: Readers,
        *,
        searching: Searching,
        texts: Texts,
        changes: Changes,
        max_wait_s: float,
    ) -> None:
        """Shows mailboxes in `root`; a wait for one lasts `max_wait_s` seconds at most."""
        self._root = root
        self._engine = engine
        self._waits = waits
        self._readers = readers
        self._searching = searching
        self._texts = texts
        self._changes = changes
        self._max_wait_s = max_wait_s
        self._visited_s: dict[int, float] = {}

    # On demand

    async def need(self, node: Node, asker: Asker, *, briefly: bool = False) -> None:
        """Returns when the mailbox of `node`, if it has one, is loaded and shown.

        With `briefly` it waits for two seconds at most, and the load continues without the asker.

        Raises:
            StaleError: The login may no longer see that extension.
            CrawlerError: The asker is a crawler, for which no mailbox is loaded.
            RcfsError: As `Waits.until`, or the load failed.
        """
        if node.collection_id is None:
            return
        extension_id = owner_of(node.collection_id)
        try:
            extension = self._root.extension(extension_id)
        except KeyError:
            raise StaleError("the extension is no longer there") from None
        if extension.is_filled:
            self._visit(extension_id)
            return
        self._readers.require_no_crawler(asker)
        if briefly:
            await self._waits.briefly(asker, node.collection_id, lambda: self._load(extension))
        else:
            await self._waits.until(asker, lambda: self._load(extension), within_s=self._max_wait_s)

    async def _load(self, extension: ExtensionDirectory) -> None:
        mailboxes = self._engine.account.mailboxes
        if await mailboxes.exists(extension.extension.id):
            await mailboxes.open(extension.extension.id)  # also notes the use
        show_mailbox(extension, mailboxes)

    def _visit(self, extension_id: int) -> None:
        now = trio.current_time()
        if now >= self._visited_s.get(extension_id, -math.inf) + _VISIT_EVERY_S:
            self._visited_s[extension_id] = now
            self._engine.account.mailboxes.visit(extension_id)

    def visit_all(self) -> None:
        """Notes that a person looks at a search, which may show messages of any mailbox."""
        extension_ids = [extension.id for extension in self._engine.account.extensions]
        shown = [each for each in extension_ids if self._root.extension(each).is_filled]
        if len(shown) <= _VISITED:
            for extension_id in shown:
                self._engine.account.mailboxes.visit(extension_id)

    async def refresh(self, name: str) -> str:
        """Syncs the mailbox of `name` in the root, or all for `REFRESH_ALL`; says how many were synced.

        Raises:
            NotFoundError: `name` has no mailbox.
            RcfsError: The server failed, refused, or could not be reached.
        """
        node = self._root if name == REFRESH_ALL else self._root.find(name)
        if node is not None and node.collection_id is not None:
            extension_id = owner_of(node.collection_id)
            await self._engine.account.mailboxes.refresh(extension_id)
            return "0 mailboxes" if self._engine.account.mailboxes.is_absent(extension_id) else "1 mailbox"
        if not isinstance(node, (Root, SearchesDirectory)):
            raise NotFoundError(f"{name} is not in a mailbox")
        mailboxes = await self._engine.account.refresh()
        return f"{mailboxes} mailbox{'' if mailboxes == 1 else 'es'}"

    # Changes

    def follow(self) -> None:
        """Shows all changes from now on, and those since the tree was built."""
        self._engine.account.changes.subscribe(self.heard)
        self.extensions_changed()

    def heard(self, change: Change) -> None:
        """Shows a change of the account or of a mailbox."""
        match change:
            case ExtensionsChanged():
                self.extensions_changed()
            case MailboxesLost():
                self.lost()
            case MailboxLoaded(extension_id):
                self.loaded(extension_id)
            case MailboxChanged(extension_id, paths):
                self.changed(extension_id, paths)

    def extensions_changed(self) -> None:
        """Shows the present extensions."""
        extensions = self._engine.account.extensions
        names = self._root.show(extensions)
        self._changes.changed([(name,) for name in names])
        if names:
            self._searching.owners_changed()
        for extension in extensions:
            show_mailbox(self._root.extension(extension.id), self._engine.account.mailboxes)

    def changed(self, extension_id: int, touched: ChangedPaths) -> None:
        """Passes on that these paths of an extension changed; the empty path stands for all of it."""
        name = self._root.name_of(extension_id)
        if name is not None and () in touched:
            self._changes.all_changed(name)
        else:
            self._changes.changed([] if name is None else [(name, *path) for path in touched])
        self._searching.mailbox_changed(extension_id, touched)
        self._texts.collection_changed(collection_of(MAILBOX, extension_id))

    def loaded(self, extension_id: int) -> None:
        """Shows a mailbox that was just loaded."""
        if self._root.name_of(extension_id) is not None:
            show_mailbox(self._root.extension(extension_id), self._engine.account.mailboxes)
            self.changed(extension_id, {()})

    def lost(self) -> None:
        """Hides all mailboxes, which the index has lost: each is loaded again on demand."""
        for extension in self._engine.account.extensions:
            self._root.extension(extension.id).hide()
