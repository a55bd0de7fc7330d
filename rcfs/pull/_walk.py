"""Finds the entries of the tree that some paths and a filter select, one at a time.

A path is a sequence of names. A name selects the entry of that name; without such an entry it is a shell
pattern. The names of messages end with an id in brackets, so a ``[`` may also stand for itself.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

import attrs

from rcfs.model import RECORDING, Filter, Message
from rcfs.pull._fitting import can_hold, fits, is_in_mailbox
from rcfs.pull._needs import BESIDES, Parts, matches, owners_of
from rcfs.pull._seen import Seen
from rcfs.tree import (
    BY_CONTACT,
    COMPANY_DIRECTORY,
    LINK_VIEWS,
    SEARCH_DIRECTORY,
    TYPE_VIEWS,
    ArchiveDirectory,
    AttachmentFile,
    CallLogFile,
    ContentFile,
    Directory,
    ExportsDirectory,
    ExportStatusFile,
    ExtensionDirectory,
    Link,
    LiveFile,
    MessageDirectory,
    Node,
    Root,
    SearchesDirectory,
    TextFile,
    tree_parts,
)

_PAGE = 1000
"""Entries of a directory that a walk holds in memory at a time."""


@attrs.frozen
class Item:
    """One entry of the tree with its path."""

    parts: Parts
    """Its path below the root, name by name."""
    node: Node
    """The entry."""
    message: Message | None = None
    """The message that it belongs to; None when it belongs to none, or the walk has not read it."""

    @property
    def is_in_mailbox(self) -> bool:
        """Whether its bytes are an attachment of a message."""
        return isinstance(self.node, AttachmentFile)

    @property
    def path(self) -> str:
        """Its path below the root as text."""
        return "/".join(self.parts)


def leads_anywhere(paths: Sequence[Parts]) -> bool:
    """Whether one of `paths` is that of a search, which may lead into any known mailbox."""
    return any(path[:1] == (SEARCH_DIRECTORY,) for path in paths)


def are_whole_extensions(paths: Sequence[Parts]) -> bool:
    """Whether each of `paths` selects whole extensions, so that links lead out to the company only."""
    return all(not path or (len(path) == 1 and not fnmatchcase(SEARCH_DIRECTORY, path[0])) for path in paths)


class Walk:
    """One walk through the tree; iterate over it once, in any thread.

    The walk gives each directory on the way before its entries, and nothing twice. With a link it also gives
    the directory that the link points to. A file that belongs to no message (``conversation.txt``,
    ``extension.json``) comes with the other entries of its directory; a call log comes if it has a call that
    fits. The walk passes over ``.rcfs`` and over collections that were not loaded.
    """

    def __init__(
        self,
        root: Root,
        paths: Sequence[Parts],
        wanted: Filter,
        *,
        without: frozenset[str] = frozenset(),
        without_mailboxes: frozenset[str] = frozenset(),
        attachments_only: bool = False,
    ) -> None:
        """Prepares a walk.

        Args:
            root: The tree.
            paths: The paths; the empty one selects the whole account.
            wanted: The messages, calls and greetings to give.
            without: Names in the root to pass over.
            without_mailboxes: Names of extensions whose mailboxes to pass over.
            attachments_only: Whether to give the files whose bytes the platform has, and nothing else.
        """
        self._root = root
        self._paths = paths
        self._filter = wanted
        self._without = without
        self._without_mailboxes = without_mailboxes
        self._attachments_only = attachments_only
        self._are_whole = are_whole_extensions(paths)
        self._useless = {
            view for kind, view in TYPE_VIEWS.items() if wanted.types and kind not in wanted.message_types
        }
        """Views with messages of other types, or with links to messages that the walk gives anyway."""
        if attachments_only and self._are_whole:
            self._useless |= LINK_VIEWS
        self._seen = Seen()
        self._pending: list[Item] = []
        """The directories above the present entry that were not given yet."""
        self.unknown: list[Parts] = []
        """The paths that lead to nothing, of those walked so far."""

    def __iter__(self) -> Iterator[Item]:
        for path in self._paths:
            leads = False
            for start in _expanded(self._root, Item((), self._root), path):
                leads = True
                yield from self._enter(start)
            if not leads and not _is_hidden_by_a_failure(self._root, path):
                self.unknown.append(path)

    def _enter(self, start: Item) -> Generator[Item, None, bool]:
        """Gives the directories above `start` and the wanted entries at and below it; whether it gave any."""
        if start.parts[:1] and start.parts[0] in self._without:
            return True
        # The company may have been given in part, as the target of links.
        if self._are_whole and len(start.parts) == 1 and not self._seen.add(("", *start.parts)):
            return True
        before = len(self._pending)
        for depth in range(1, len(start.parts)):
            above = find(self._root, start.parts[:depth])
            if above is not None:  # It may have gone meanwhile.
                self._pending.append(Item(start.parts[:depth], above))
        wanted = yield from self._visit(start)
        del self._pending[before:]
        return wanted

    def _visit(self, item: Item) -> Generator[Item, None, bool]:
        node = item.node
        if isinstance(node, MessageDirectory):
            return (yield from self._visit_message(item, node))
        if isinstance(node, Directory):
            return (yield from self._visit_below(item, node))
        if isinstance(node, Link):
            wanted = yield from self._follow(item, node)
        else:
            wanted = not isinstance(node, LiveFile) and fits(self._filter, node)
        if wanted:
            yield from self._give(item)
        return wanted

    def _visit_message(self, item: Item, directory: MessageDirectory) -> Generator[Item, None, bool]:
        message = directory.message()  # The only time that the walk reads the record.
        if message is None or not self._filter.fits(message):
            return False
        yield from self._give(item)
        below = directory.attachments_of if self._attachments_only else directory.entries_of
        for name, file in below(message).items():
            yield from self._give(Item((*item.parts, name), file, message))
        return True

    def _visit_below(self, item: Item, directory: Directory) -> Generator[Item, None, bool]:
        if item.parts and (not directory.is_known or not self._can_hold(item.parts, directory)):
            return False
        before = len(self._pending)
        wanted = self._filter.is_everything and bool(item.parts) and not _is_unfilled(directory)
        if wanted:
            yield from self._give(item)
        elif item.parts:
            self._pending.append(item)
        companions: list[Item] = []
        for below in _listed(item.parts, directory):
            if isinstance(below.node, (SearchesDirectory, ExportsDirectory)) and not item.parts:
                continue  # The messages in them come with their mailboxes.
            if isinstance(below.node, (ArchiveDirectory, ExportStatusFile)):
                continue  # The archive is given as it is, and a state is no part of a copy.
            # Files of messages are in directories of their own.
            if isinstance(below.node, TextFile) and not isinstance(below.node, CallLogFile):
                companions.append(below)
            elif item.parts:
                wanted |= yield from self._visit(below)
            else:
                wanted |= yield from self._enter(below)
        if wanted:
            for companion in companions:
                yield from self._give(companion)
        del self._pending[before:]
        return wanted

    def _follow(self, item: Item, link: Link) -> Generator[Item, None, bool]:
        target = tree_parts("/".join((*item.parts[:-1], link.target)))
        stays = self._are_whole and target[:1] == item.parts[:1]
        if stays and self._filter.is_everything:
            return True  # The walk gives its target anyway, and need not look it up.
        there = None if self._is_useless(target) else find(self._root, target)
        if there is None:
            return False
        if stays:
            return fits(self._filter, there)
        return (yield from self._enter(Item(target, there)))

    def _give(self, item: Item) -> Iterator[Item]:
        """Gives the pending directories and `item`, except those that were given before."""
        if self._attachments_only:
            pending = [item] if isinstance(item.node, ContentFile) else []
        else:
            pending, self._pending = [*self._pending, item], []
        for each in pending:
            if (self._are_whole and each.parts[0] != COMPANY_DIRECTORY) or self._seen.add(each.parts):
                yield each

    def _is_useless(self, parts: Parts) -> bool:
        return bool(parts[1:]) and parts[1] in self._useless and parts[0] != SEARCH_DIRECTORY

    def _can_hold(self, parts: Parts, directory: Directory) -> bool:
        """Whether the directory at `parts` can hold something that the walk has to give."""
        if parts[0].startswith(".") or self._is_useless(parts):  # The files in `.rcfs` are about the program.
            return False
        if parts[0] in self._without_mailboxes and is_in_mailbox(directory):
            return False
        if is_in_mailbox(directory) and not self._filter.takes_messages:
            # Links to recordings, which a walk through whole extensions gives anyway.
            return not self._are_whole and RECORDING in self._filter.kinds and parts[1] == BY_CONTACT
        return can_hold(self._filter, parts[-1], directory)


def _expanded(root: Root, start: Item, path: Parts) -> Iterator[Item]:
    """The entries that `path` selects below `start`; follows links on the way."""
    if not path:
        yield start
        return
    for item in _named(root, start, path[0]):
        yield from _expanded(root, item, path[1:])


def _named(root: Root, start: Item, name: str) -> Iterable[Item]:
    node: Node | None = start.node
    parts = start.parts
    if isinstance(node, Link):
        parts = tree_parts("/".join((*parts[:-1], node.target)))
        node = find(root, parts)
    if not isinstance(node, Directory) or not node.is_known:
        return ()
    exact = node.find(name)
    if exact is not None:
        return (Item((*parts, node.listed_as(name)), exact),)
    # As in a shell, a pattern does not match a name that begins with a dot.
    # Archives hold what the mailboxes show, and are large: they come if somebody names the directory.
    listed = (item for item in _listed(parts, node) if not isinstance(item.node, ExportsDirectory))
    shown = (item for item in listed if not item.parts[-1].startswith("."))
    return (item for item in shown if matches(item.parts[-1], name))


def _listed(parts: Parts, directory: Directory) -> Iterator[Item]:
    """The entries of the directory at `parts`, read page by page."""
    after = 0
    while page := directory.page(after, _PAGE):
        for entry in page:
            yield Item((*parts, entry.name), entry.node)
        after = page[-1].cursor


def find(root: Root, parts: Parts) -> Node | None:
    """The entry whose path is `parts`; None when there is no such entry."""
    node: Node | None = root
    for name in parts:
        if not isinstance(node, Directory) or not node.is_known:
            return None
        node = node.find(name)
    return node


def _is_unfilled(directory: Directory) -> bool:
    return isinstance(directory, ExtensionDirectory) and not directory.is_filled


def _is_hidden_by_a_failure(root: Root, path: Parts) -> bool:
    """Whether `path` may lead to an entry of a mailbox that was not loaded."""
    return "".join(path[1:2]) not in BESIDES and any(map(_is_unfilled, owners_of(root, [path]).values()))
