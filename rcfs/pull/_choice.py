"""Which files of the tree some paths and filters mean. Pure.

A path is a sequence of names. A name stands for the entry that is called so; where there is none, it is a
shell pattern. Names of messages end with an id in brackets, so a ``[`` that makes no sense as a set of
characters stands for itself.
"""

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

import attrs

from rcfs.model import Message
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


@attrs.frozen
class Entry:
    """One entry of the tree."""

    parts: Parts
    """Its path below the root, name by name."""
    node: Node
    """What stands there."""

    @property
    def path(self) -> str:
        """Its path below the root as text."""
        return "/".join(self.parts)


@attrs.frozen
class Choice:
    """Which messages are wanted."""

    since_s: float | None = None
    """Only messages created then or later, in seconds since 1970 UTC; None for all. One without a time is
    taken for old."""
    types: frozenset[str] = frozenset()
    """Only messages of these types, as the API names them; empty for all."""

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self.since_s is None and not self.types

    def fits(self, message: Message | None) -> bool:
        """Whether `message`, or what belongs to none, is wanted."""
        if message is None:
            return True
        if self.types and message.type not in self.types:
            return False
        return self.since_s is None or (message.created_s is not None and message.created_s >= self.since_s)


def covers(root: Root, paths: Sequence[Parts]) -> tuple[ExtensionDirectory, ...]:
    """The extensions that `paths` lead into, whose mailboxes have to be loaded before `choose`."""
    chosen = _expanded(root, [path[:1] or ("*",) for path in paths])
    found = {id(entry.node): entry.node for entry in chosen}
    return tuple(node for node in found.values() if isinstance(node, ExtensionDirectory))


def leads_anywhere(paths: Sequence[Parts]) -> bool:
    """Whether one of `paths` is of a search, which leads into any mailbox that is known."""
    return any(path[:1] == (SEARCH_DIRECTORY,) for path in paths)


def choose(root: Root, paths: Sequence[Parts], choice: Choice) -> tuple[list[Entry], list[Parts]]:
    """The entries that are wanted, and those of `paths` that lead to nothing.

    Directories come before what is in them, and every directory on the way is there. A link brings what it
    points to, so that it leads somewhere. A file that belongs to no message (``conversation.txt``,
    ``extension.json``) comes along with the others of its directory. Mailboxes that are not shown
    are passed over, and so is ``.rcfs``.

    Args:
        root: The tree.
        paths: Where to look; the empty path is the whole account.
        choice: Which messages are wanted.
    """
    gathering = _Gathering(root, choice)
    strays = []
    for path in paths:
        starts = list(_expanded(root, [path]))
        for start in starts:
            gathering.add(start.parts, start.node)
        if not starts and not _hidden_by_a_failure(root, path):
            strays.append(path)
    return gathering.entries(), strays


class _Gathering:
    def __init__(self, root: Root, choice: Choice) -> None:
        self._root = root
        self._choice = choice
        self._found: dict[Parts, Node] = {}

    def add(self, parts: Parts, node: Node) -> bool:
        """Takes what is wanted at and below `parts`; whether that is anything."""
        if parts in self._found:
            return True
        if isinstance(node, MessageDirectory):
            wanted = self._fits(node)
            if wanted:
                self._found.update({(*parts, name): file for name, file in node.entries().items()})
        elif isinstance(node, Directory):
            wanted = self._add_below(parts, node)
        elif isinstance(node, Link):
            target = _linked(parts, node)
            there = _at(self._root, target)
            wanted = there is not None and self.add(target, there)
        else:
            wanted = not isinstance(node, LiveFile) and self._fits(node)
        if wanted:
            self._found[parts] = node
        return wanted

    def _add_below(self, parts: Parts, directory: Directory) -> bool:
        if parts and (_is_about_rcfs(directory) or not directory.is_known or _is_unfilled(directory)):
            return False
        companions: dict[Parts, Node] = {}
        wanted = self._choice.is_everything and bool(parts)
        for name, node in directory.entries().items():
            if isinstance(node, SearchesDirectory) and not parts:
                continue  # All that it leads to is there without it.
            # Files of messages are in directories of their own.
            if isinstance(node, TextFile):
                companions[(*parts, name)] = node
            else:
                wanted |= self.add((*parts, name), node)
        if wanted:
            self._found.update(companions)
        return wanted

    def _fits(self, node: Node) -> bool:
        # Each asking reads a record.
        return self._choice.is_everything or self._choice.fits(node.message())

    def entries(self) -> list[Entry]:
        """All that was taken, with the directories on the way, each before what is in it."""
        directories: dict[Parts, Node] = {}
        others: dict[Parts, Node] = {}
        for parts, node in self._found.items():
            for above in (parts[:depth] for depth in range(1, len(parts))):
                if above not in directories:
                    found = self._found.get(above) or _at(self._root, above)
                    if found is not None:  # None when it has gone since.
                        directories[above] = found
            if not isinstance(node, Directory):
                others[parts] = node
            elif parts:
                directories.setdefault(parts, node)
        ordered = sorted(directories, key=len)
        return [Entry(parts, directories[parts]) for parts in ordered] + [
            Entry(parts, node) for parts, node in others.items()
        ]


def _expanded(root: Root, paths: Iterable[Parts]) -> Iterator[Entry]:
    """The entries that `paths` mean, links in the middle followed."""
    for path in paths:
        found = [Entry((), root)]
        for name in path:
            found = [entry for start in found for entry in _named(root, start, name)]
        yield from found


def _named(root: Root, start: Entry, name: str) -> list[Entry]:
    node: Node | None = start.node
    parts = start.parts
    if isinstance(node, Link):
        parts = _linked(parts, node)
        node = _at(root, parts)
    if not isinstance(node, Directory) or not node.is_known:
        return []
    exact = node.find(name)
    if exact is not None:
        return [Entry((*parts, node.listed_as(name)), exact)]
    literal = name.replace("[", "[[]")
    return [
        Entry((*parts, each), entry)
        for each, entry in node.entries().items()
        # As in a shell, a pattern does not mean what begins with a dot.
        if not each.startswith(".") and (fnmatchcase(each, name) or fnmatchcase(each, literal))
    ]


def _at(root: Root, parts: Parts) -> Node | None:
    """The entry at exactly `parts`; None when there is none."""
    node: Node | None = root
    for name in parts:
        if not isinstance(node, Directory) or not node.is_known:
            return None
        node = node.find(name)
    return node


def _linked(parts: Parts, link: Link) -> Parts:
    """Where the link at `parts` leads."""
    return tree_parts("/".join((*parts[:-1], link.target)))


def _is_about_rcfs(directory: Directory) -> bool:
    return directory.mailbox_id is None and not isinstance(directory, (SearchesDirectory, SearchDirectory))


def _is_unfilled(directory: Directory) -> bool:
    return isinstance(directory, ExtensionDirectory) and not directory.is_filled


def _hidden_by_a_failure(root: Root, path: Parts) -> bool:
    """Whether `path` may lead to something in a mailbox that could not be loaded."""
    return any(_is_unfilled(extension) for extension in covers(root, [path]))
