"""Which entries of the tree some paths and a filter mean, one after the other, so that none has to be kept.

A path is a sequence of names. A name stands for the entry that is called so; where there is none, it is a
shell pattern. Names of messages end with an id in brackets, so a ``[`` that makes no sense as a set of
characters stands for itself.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

import attrs

from rcfs.pull._filter import Filter
from rcfs.pull._seen import Seen
from rcfs.tree import (
    SEARCH_DIRECTORY,
    Directory,
    ExtensionDirectory,
    Link,
    LiveFile,
    MessageDirectory,
    Node,
    Root,
    SearchDirectory,
    SearchesDirectory,
    TextFile,
    tree_parts,
)

Parts = tuple[str, ...]
_PAGE = 1000
"""Entries of a directory that are in memory at a time."""


@attrs.frozen
class Item:
    """One entry of the tree, and where it stands."""

    parts: Parts
    """Its path below the root, name by name."""
    node: Node
    """What stands there."""

    @property
    def path(self) -> str:
        """Its path below the root as text."""
        return "/".join(self.parts)


def extensions_of(root: Root, paths: Sequence[Parts]) -> dict[str, ExtensionDirectory]:
    """The extensions that `paths` lead into, by name: their mailboxes have to be loaded before a walk."""
    found = (item for path in paths for item in _expanded(root, Item((), root), path[:1] or ("*",)))
    return {item.parts[0]: item.node for item in found if isinstance(item.node, ExtensionDirectory)}


def leads_anywhere(paths: Sequence[Parts]) -> bool:
    """Whether one of `paths` is of a search, which leads into any mailbox that is known."""
    return any(path[:1] == (SEARCH_DIRECTORY,) for path in paths)


def are_whole_extensions(paths: Sequence[Parts]) -> bool:
    """Whether each of `paths` means extensions and all that is in them, so that no link leads out of them."""
    return all(not path or (len(path) == 1 and not fnmatchcase(SEARCH_DIRECTORY, path[0])) for path in paths)


class Walk:
    """One walk through the tree; iterate over it once, in any thread.

    Every directory comes before what is in it, and every directory on the way is there; nothing comes twice.
    A link brings what it points to, so that it leads somewhere. A file that belongs to no message
    (``conversation.txt``, ``extension.json``) comes along with the others of its directory. Mailboxes that
    are not shown are passed over, and so is ``.rcfs``.
    """

    def __init__(
        self, root: Root, paths: Sequence[Parts], wanted: Filter, without: frozenset[str] = frozenset()
    ) -> None:
        """Prepares a walk.

        Args:
            root: The tree.
            paths: Where to look; the empty path is the whole account.
            wanted: Which messages are wanted.
            without: Names in the root that are passed over.
        """
        self._root = root
        self._paths = paths
        self._filter = wanted
        self._without = without
        self._are_whole = are_whole_extensions(paths)
        self._seen = Seen()
        self._pending: list[Item] = []
        """The directories above what is looked at, as far as they were not given yet."""
        self.unknown: list[Parts] = []
        """Those of the paths, so far, that lead to nothing."""

    def __iter__(self) -> Iterator[Item]:
        for path in self._paths:
            leads = False
            for start in _expanded(self._root, Item((), self._root), path):
                leads = True
                yield from self._enter(start)
            if not leads and not _is_hidden_by_a_failure(self._root, path):
                self.unknown.append(path)

    def _enter(self, start: Item) -> Generator[Item, None, bool]:
        """What is wanted at and below `start`, after the directories above it; whether that is anything."""
        if start.parts[:1] and start.parts[0] in self._without:
            return True
        if self._are_whole and len(start.parts) == 1 and not self._seen.add(start.parts):
            return True
        before = len(self._pending)
        for depth in range(1, len(start.parts)):
            above = find(self._root, start.parts[:depth])
            if above is not None:  # None when it has gone since.
                self._pending.append(Item(start.parts[:depth], above))
        wanted = yield from self._visit(start)
        del self._pending[before:]
        return wanted

    def _visit(self, item: Item) -> Generator[Item, None, bool]:
        node = item.node
        if isinstance(node, MessageDirectory):
            if not self._fits(node):
                return False
            yield from self._give(item)
            for name, file in node.entries().items():
                yield from self._give(Item((*item.parts, name), file))
            return True
        if isinstance(node, Directory):
            return (yield from self._visit_below(item, node))
        if isinstance(node, Link):
            wanted = yield from self._follow(item, node)
        else:
            wanted = not isinstance(node, LiveFile) and self._fits(node)
        if wanted:
            yield from self._give(item)
        return wanted

    def _visit_below(self, item: Item, directory: Directory) -> Generator[Item, None, bool]:
        if item.parts and (_is_about_rcfs(directory) or not directory.is_known or _is_unfilled(directory)):
            return False
        before = len(self._pending)
        wanted = self._filter.is_everything and bool(item.parts)
        if wanted:
            yield from self._give(item)
        elif item.parts:
            self._pending.append(item)
        companions: list[Item] = []
        for below in _listed(item.parts, directory):
            if isinstance(below.node, SearchesDirectory) and not item.parts:
                continue  # All that it leads to is there without it.
            # Files of messages are in directories of their own.
            if isinstance(below.node, TextFile):
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
        if self._are_whole and self._filter.is_everything:
            return True  # What it leads to comes by itself, and is not looked up for each link.
        target = tree_parts("/".join((*item.parts[:-1], link.target)))
        there = find(self._root, target)
        if there is None:
            return False
        if self._are_whole:
            return self._fits(there)
        return (yield from self._enter(Item(target, there)))

    def _give(self, item: Item) -> Iterator[Item]:
        """`item`, after what is pending; each unless it was given before."""
        pending, self._pending = [*self._pending, item], []
        for each in pending:
            if self._are_whole or self._seen.add(each.parts):
                yield each

    def _fits(self, node: Node) -> bool:
        # Each asking reads a record.
        return self._filter.is_everything or self._filter.fits(node.message())


def _expanded(root: Root, start: Item, path: Parts) -> Iterator[Item]:
    """The entries that `path` means below `start`, links in the middle followed."""
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
    literal = name.replace("[", "[[]")
    return (
        item
        for item in _listed(parts, node)
        # As in a shell, a pattern does not mean what begins with a dot.
        if not item.parts[-1].startswith(".")
        and (fnmatchcase(item.parts[-1], name) or fnmatchcase(item.parts[-1], literal))
    )


def _listed(parts: Parts, directory: Directory) -> Iterator[Item]:
    """The entries of the directory at `parts`, a page of them in memory."""
    after = 0
    while page := directory.page(after, _PAGE):
        for entry in page:
            yield Item((*parts, entry.name), entry.node)
        after = page[-1].cursor


def find(root: Root, parts: Parts) -> Node | None:
    """The entry at exactly `parts`; None when there is none."""
    node: Node | None = root
    for name in parts:
        if not isinstance(node, Directory) or not node.is_known:
            return None
        node = node.find(name)
    return node


def _is_about_rcfs(directory: Directory) -> bool:
    return directory.mailbox_id is None and not isinstance(directory, (SearchesDirectory, SearchDirectory))


def _is_unfilled(directory: Directory) -> bool:
    return isinstance(directory, ExtensionDirectory) and not directory.is_filled


def _is_hidden_by_a_failure(root: Root, path: Parts) -> bool:
    """Whether `path` may lead to something in a mailbox that could not be loaded."""
    return any(map(_is_unfilled, extensions_of(root, [path]).values()))
