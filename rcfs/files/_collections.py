"""The mailboxes, call logs and greetings of a tree: loaded on demand, shown, and kept up to date."""

import math

import trio

from rcfs.engine import Engine
from rcfs.errors import NotFoundError, StaleError
from rcfs.files._changes import Changes
from rcfs.files._exporting import ShownExports
from rcfs.files._readers import Asker, Readers
from rcfs.files._searching import Searching
from rcfs.files._texts import Texts
from rcfs.files._waits import Waits
from rcfs.mailbox import (
    CallsChanged,
    CallsLoaded,
    Change,
    ExtensionsChanged,
    GreetingsChanged,
    MailboxChanged,
    Mailboxes,
    MailboxesLost,
    MailboxLoaded,
    State,
)
from rcfs.model import (
    CALLS,
    CALLS_VIEW,
    COMPANY,
    GREETINGS,
    MAILBOX,
    PROMPTS,
    RECORDINGS_VIEW,
    collection_of,
    kind_of,
    log_paths,
    owner_of,
)
from rcfs.store import ChangedPaths
from rcfs.tree import (
    GREETING_RULES,
    GREETINGS_VIEW,
    OUTBOX_RULES,
    PROMPTS_VIEW,
    REFRESH_ALL,
    CompanyDirectory,
    DropRules,
    Drops,
    ExtensionDirectory,
    Node,
    Root,
    SearchesDirectory,
    build_root,
)

_VISITED = 5
"""Most mailboxes that a look at a search visits, all at once: five syncs are a tenth of the Light group's
default window. More mailboxes are synced at their usual times only."""
_VISIT_EVERY_S = 0.25
"""Time in which any number of looks into a collection count as one: `find` opens thousands of directories a
second, and no person can tell the difference."""


def tree_of(
    engine: Engine, *, list_control: bool = False, sends: bool = False, uploads: bool = False
) -> Root:
    """The tree of an account, still without mailboxes, and with ``Outbox`` only if `sends` is set.

    With `uploads`, people can drop files into the directories of greetings. `list_control` as in
    `build_root`.
    """
    account = engine.account

    def drops(rules: DropRules) -> Drops:
        return Drops(lambda: account.own_id, account.since_s, rules)

    shows_calls = account.calls.is_shown
    return build_root(
        account.extensions,
        fallback_s=account.since_s,
        searches=engine.searches,
        calls=account.calls.catalogue if shows_calls else None,
        greetings=account.greetings if shows_calls else None,
        exports=ShownExports.of(engine),
        drops=drops(OUTBOX_RULES) if sends else None,
        greeting_drops=drops(GREETING_RULES) if uploads else None,
        list_control=list_control,
    )


def show_mailbox(extension: ExtensionDirectory, mailboxes: Mailboxes) -> None:
    """Shows the mailbox of an extension if it is loaded, or that the extension has none if that is known."""
    catalogue = mailboxes.catalogue(extension.extension.id)
    if catalogue is not None:
        extension.show(catalogue)
    elif mailboxes.is_absent(extension.extension.id):
        extension.show_none()


class ShownCollections:
    """The collections of one tree; all methods run in the trio thread."""

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
        """Shows collections in `root`; a wait for one lasts `max_wait_s` seconds at most."""
        self._root = root
        self._engine = engine
        self._waits = waits
        self._readers = readers
        self._searching = searching
        self._texts = texts
        self._changes = changes
        self._max_wait_s = max_wait_s
        self._visited_s: dict[str, float] = {}

    # On demand

    async def need(self, node: Node, asker: Asker, *, briefly: bool = False) -> None:
        """Returns when the collection of `node`, if it has one, is loaded and shown.

        With `briefly` it waits for two seconds at most, and the load continues without the asker.

        Raises:
            StaleError: The login may no longer see that extension.
            CrawlerError: The asker is a crawler, for which nothing is loaded.
            RcfsError: As `Waits.until`, or the load failed.
        """
        collection_id = node.collection_id
        if collection_id is None:
            return
        extension = self._mailbox_of(collection_id)
        if node.is_known if extension is None else extension.is_filled:
            self._visit(collection_id)
            return
        self._readers.require_no_crawler(asker)
        if briefly:
            await self._waits.briefly(asker, collection_id, lambda: self._load(collection_id, extension))
        else:
            await self._waits.until(
                asker, lambda: self._load(collection_id, extension), within_s=self._max_wait_s
            )

    def _mailbox_of(self, collection_id: str) -> ExtensionDirectory | None:
        """The directory that shows a mailbox; None for another kind of collection.

        Raises:
            StaleError: The login may no longer see that extension.
        """
        if kind_of(collection_id) != MAILBOX:
            return None
        try:
            return self._root.extension(owner_of(collection_id))
        except KeyError:
            raise StaleError("the extension is no longer there") from None

    async def _load(self, collection_id: str, extension: ExtensionDirectory | None) -> None:
        await self._engine.account.open_collection(collection_id)
        if extension is not None:
            show_mailbox(extension, self._engine.account.mailboxes)

    def _visit(self, collection_id: str) -> None:
        now = trio.current_time()
        if now >= self._visited_s.get(collection_id, -math.inf) + _VISIT_EVERY_S:
            self._visited_s[collection_id] = now
            self._engine.account.visit(collection_id)

    def follow_text(self, collection_id: str) -> None:
        """Visits the collection of an open text, for a reader who waits for news."""
        account = self._engine.account
        if kind_of(collection_id) == MAILBOX:
            account.mailboxes.follow(collection_id)
        else:
            account.visit(collection_id)

    def visit_all(self) -> None:
        """Notes that a person looks at a search, which may show messages of any mailbox."""
        extension_ids = [extension.id for extension in self._engine.account.extensions]
        shown = [each for each in extension_ids if self._root.extension(each).is_filled]
        if len(shown) <= _VISITED:
            for extension_id in shown:
                self._engine.account.mailboxes.visit(extension_id)

    async def refresh(self, name: str) -> str:
        """Syncs what is loaded below `name` in the root, or everything for `REFRESH_ALL`; says what that was.

        The call log that has the calls of an extension may be that of the whole company.

        Raises:
            NotFoundError: Nothing below `name` can be synced.
            RcfsError: The server failed, refused, or could not be reached.
        """
        node = self._root if name == REFRESH_ALL else self._root.find(name)
        account = self._engine.account
        if isinstance(node, ExtensionDirectory):
            extension_id = node.extension.id
            await account.mailboxes.refresh(extension_id)
            said = ["0 mailboxes" if account.mailboxes.is_absent(extension_id) else "1 mailbox"]
            return ", ".join([*said, *await self._refresh_lists(extension_id)])
        if isinstance(node, CompanyDirectory):
            return ", ".join(await self._refresh_lists(COMPANY)) or "nothing, since nothing was looked at yet"
        if not isinstance(node, (Root, SearchesDirectory)):
            raise NotFoundError(f"{name} is not in a mailbox")
        mailboxes = await account.refresh()
        return f"{mailboxes} mailbox{'' if mailboxes == 1 else 'es'}"

    async def _refresh_lists(self, owner: int) -> list[str]:
        """Syncs the loaded lists of an owner that are no mailbox; what they are."""
        account = self._engine.account
        lists = {
            collection_of(GREETINGS, owner): "greetings",
            **({collection_of(PROMPTS): "prompts"} if owner == COMPANY else {}),
        }
        state = account.collections.state
        lists = {each: what for each, what in lists.items() if state(each) is State.LOADED}
        logs = account.collections.loaded(CALLS)
        own = [each for each in logs if owner_of(each) == owner]
        lists |= dict.fromkeys(own or [each for each in logs if owner_of(each) == COMPANY], "the call log")
        for each in lists:
            await account.refresh_collection(each)
        return list(lists.values())

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
            case CallsLoaded(owner, month):
                self._calls_loaded(owner, month)
            case CallsChanged(owner, paths):
                self._calls_changed(owner, paths)
            case GreetingsChanged(collection_id):
                self._greetings_changed(collection_id)

    def extensions_changed(self) -> None:
        """Shows the present extensions."""
        extensions = self._engine.account.extensions
        names = self._root.show(extensions)
        self._changes.changed([(name,) for name in names])
        if names:
            self._searching.owners_changed()
        has_none = bool(self._engine.account.rights.no_messages)
        for extension in extensions:
            directory = self._root.extension(extension.id)
            show_mailbox(directory, self._engine.account.mailboxes)
            if has_none and not directory.is_filled:
                directory.show_none()  # Folders that nobody can open would only raise questions.

    def changed(self, extension_id: int, touched: ChangedPaths) -> None:
        """Passes on that these paths of an extension changed; the empty path stands for all of it."""
        name = self._root.name_of(extension_id)
        if name is not None and () in touched:
            self._changes.all_changed((name,))
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

    def _calls_loaded(self, owner: int, month: str) -> None:
        """Shows a month of calls; that of the company has the calls of all extensions."""
        others = (each.id for each in self._engine.account.extensions) if owner == COMPANY else ()
        for each in (owner, *others):
            self._tell(each, {*log_paths(month), (RECORDINGS_VIEW, month)})
        self._searching.mailbox_changed(owner, {()})

    def _calls_changed(self, owner: int, touched: ChangedPaths) -> None:
        """Passes on that these paths of an owner changed."""
        self._tell(owner, touched)
        months = {path[1].partition(".")[0] for path in touched if len(path) > 1 and path[0] == CALLS_VIEW}
        # The names of links to calls without a recording are not among the paths.
        self._searching.mailbox_changed(owner, {*touched, ()} if months else touched)
        for month in months:
            self._texts.collection_changed(collection_of(CALLS, owner, month))

    def _greetings_changed(self, collection_id: str) -> None:
        name = self._root.name_of(owner_of(collection_id))
        if name is not None:
            view = PROMPTS_VIEW if kind_of(collection_id) == PROMPTS else GREETINGS_VIEW
            self._changes.all_changed((name, view))

    def _tell(self, owner: int, touched: ChangedPaths) -> None:
        name = self._root.name_of(owner)
        if name is not None:
            self._changes.changed([(name, *path) for path in touched])
