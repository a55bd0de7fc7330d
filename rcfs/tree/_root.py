"""The root of the tree: a directory for each extension, ``Search``, and ``.rcfs``, which is not listed."""

from collections import Counter
from collections.abc import Iterable, Mapping

import attrs

from rcfs.model import Extension
from rcfs.tree._catalogue import Shelf
from rcfs.tree._extension import ExtensionDirectory
from rcfs.tree._names import Names, clean, fit, folded
from rcfs.tree._nodes import (
    LIVE_TOPICS,
    REFRESH_ALL,
    Directory,
    Entry,
    FixedDirectory,
    LiveFile,
    Node,
    RefreshFile,
)
from rcfs.tree._search import SEARCH_DIRECTORY, Owner, SearchCatalogue, SearchesDirectory
from rcfs.tree._times import Times

LIVE_DIRECTORY = ".rcfs"
"""Directory of the files about the program; no directory of an extension has a name with a leading dot.

It can be looked up, but is listed on request only: a program that copies or compares the tree would take it
for a part of the account.
"""

_REFRESH = "refresh"
"""Directory in `LIVE_DIRECTORY` whose files start a refresh when they are opened."""

COPY_MANIFEST = "SHA256SUMS"
"""File of digests at the top of a copy; no extension gets this name."""

_LABEL_LENGTH = 40
"""Most characters of an extension's number in the names of links; real numbers are shorter."""


@attrs.define(eq=False, kw_only=True)
class ControlDirectory(FixedDirectory):
    """``.rcfs``: it lists the files about the program, and finds more by name."""

    _unlisted: Mapping[str, Node]

    def find(self, name: str) -> Node | None:
        return super().find(name) or self._unlisted.get(name)


@attrs.define(eq=False, kw_only=True)
class RefreshDirectory(FixedDirectory):
    """``.rcfs/refresh``: a file for each name in the root, unlisted so that nothing opens one by accident."""

    _root: "Root"

    def find(self, name: str) -> Node | None:
        known = isinstance(self._root.find(name), (ExtensionDirectory, SearchesDirectory))
        if not known and name != REFRESH_ALL:
            return None
        return RefreshFile(times=self.times(), topic=_REFRESH, name=name)


@attrs.define(eq=False, kw_only=True)
class Root(Directory):
    """The root directory."""

    _fallback_s: float
    _searches: SearchCatalogue | None = None
    _list_control: bool = False
    _extensions: dict[int, ExtensionDirectory] = attrs.field(factory=dict)
    _named: dict[str, Node] = attrs.field(factory=dict)
    _names: dict[int, str] = attrs.field(factory=dict)
    _cursors: dict[str, int] = attrs.field(factory=dict)

    def show(self, extensions: Iterable[Extension]) -> set[str]:
        """Shows these extensions and no others.

        The directory of an extension is called ``<number> <name>``, or by one of the two if the other is
        missing, or ``extension <id>`` if both are. If two names were equal without regard to case, both get
        an ``[id]``. The directory of an extension stays the same node.

        Args:
            extensions: Those that the user may read; the last record of an id counts.

        Returns:
            The names that are new, gone, or stand for something else than before.
        """
        by_id = {extension.id: extension for extension in extensions}
        stems = {extension.id: _stem(extension) for extension in by_id.values()}
        equal = Counter(folded(fit(stem)) for stem in stems.values())
        taken = Names((LIVE_DIRECTORY, SEARCH_DIRECTORY, COPY_MANIFEST))
        named: dict[str, Node] = {}
        names: dict[int, str] = {}
        kept: dict[int, ExtensionDirectory] = {}
        changed: set[str] = set()
        for extension_id, extension in sorted(by_id.items()):
            suffix = f" [{extension_id}]" if equal[folded(fit(stems[extension_id]))] > 1 else ""
            name = names[extension_id] = taken.unique(stems[extension_id], suffix)
            directory = self._extensions.get(extension_id)
            if directory is None:
                shelf = Shelf(extension_id, self._fallback_s)
                directory = ExtensionDirectory(extension=extension, shelf=shelf)
            elif directory.extension != extension:
                directory.extension = extension
                changed.add(name)
            kept[extension_id] = named[name] = directory
        times = self.times()
        live = {topic: LiveFile(times=times, topic=topic) for topic in LIVE_TOPICS}
        entries = dict(sorted(named.items()))
        if self._searches is not None:
            entries[SEARCH_DIRECTORY] = self._named.get(SEARCH_DIRECTORY) or SearchesDirectory(
                catalogue=self._searches, owner_of=self.owner_of, times=times
            )
        entries[LIVE_DIRECTORY] = self._named.get(LIVE_DIRECTORY) or ControlDirectory(
            times=times,
            entries=live,
            unlisted={_REFRESH: RefreshDirectory(times=times, entries={}, root=self)},
        )
        changed |= {name for name in entries | self._named if entries.get(name) is not self._named.get(name)}
        self._extensions, self._named, self._names = kept, entries, names
        for name in entries:
            self._cursors.setdefault(name, len(self._cursors) + 1)
        return changed

    def extension(self, extension_id: int) -> ExtensionDirectory:
        """The directory of the extension with that internal id.

        Raises:
            KeyError: The root shows no such extension.
        """
        return self._extensions[extension_id]

    def name_of(self, extension_id: int) -> str | None:
        """The name of the directory of an extension; None if the root does not show the extension."""
        return self._names.get(extension_id)

    def owner_of(self, extension_id: int) -> Owner | None:
        """The owner of a mailbox, by extension; None if the root does not show it. For any thread."""
        directory, name = self._extensions.get(extension_id), self._names.get(extension_id)
        if directory is None or name is None:
            return None
        return Owner(name, clean(directory.extension.number)[:_LABEL_LENGTH] or str(extension_id))

    def times(self) -> Times:
        return Times(self._fallback_s, self._fallback_s)

    def find(self, name: str) -> Node | None:
        return self._named.get(name)

    def page(self, after: int, limit: int) -> list[Entry]:
        names = self._named if self._list_control else self._named.keys() - {LIVE_DIRECTORY}
        listed = sorted((self._cursors[name], name) for name in names)
        return [Entry(at, name, self._named[name]) for at, name in listed if at > after][:limit]


def build_root(
    extensions: Iterable[Extension],
    *,
    fallback_s: float,
    searches: SearchCatalogue | None = None,
    list_control: bool = False,
) -> Root:
    """The root that shows `extensions`.

    Args:
        extensions: As in `Root.show`.
        fallback_s: Time of nodes whose records have none, in seconds since 1970-01-01 UTC.
        searches: The searches to show; None for a tree without a directory of searches.
        list_control: Whether ``.rcfs`` is listed.
    """
    root = Root(fallback_s=fallback_s, searches=searches, list_control=list_control)
    root.show(extensions)
    return root


def _stem(extension: Extension) -> str:
    parts = filter(None, (clean(extension.number), clean(extension.name)))
    return " ".join(parts) or f"extension {extension.id}"
