"""The exports of a tree: asking for them, forgetting them, and telling of changes.

The removal of its directory forgets an export. `rm -r` and file managers first remove what is in it, one by
one: that is only hidden, and after a minute it is there again, see `Vanishing`.
"""

import math
from collections.abc import Callable, Collection, Iterator
from typing import TypeGuard

import trio

from rcfs.engine import Engine
from rcfs.errors import (
    ExistsError,
    InvalidNameError,
    NotEmptyError,
    NotFoundError,
    NotPermittedError,
)
from rcfs.exports import Exports, ExportsChanged
from rcfs.files._changes import Changes, TreePath
from rcfs.files._changing import MIRRORS, TELL_EVERY_S
from rcfs.files._new_names import require_new_name
from rcfs.files._readers import Asker
from rcfs.files._vanishing import Vanishing, Walkers, page_without
from rcfs.model import ContentKey, Export, ExportKind, ExportQuery
from rcfs.store import SizeIndex
from rcfs.tree import (
    EXPORTS_DIRECTORY,
    STATUS_FILE,
    ArchiveDirectory,
    Directory,
    Entry,
    ExportDirectory,
    ExportKindDirectory,
    Node,
    Root,
)

_Place = tuple[object, ...]
"""The identity of a directory of an export."""
_ALONE = (
    "nothing in an export can be deleted alone: rm -r of the export's directory makes rcfs forget the export;"
    " rsync and similar programs may not"
)


class ShownExports:
    """The exports of an account, for the tree; see `rcfs.tree.ExportCatalogue`."""

    def __init__(self, exports: Exports, sizes: SizeIndex, fallback_s: float) -> None:
        self._exports = exports
        self._sizes = sizes
        self.fallback_s = fallback_s

    @classmethod
    def of(cls, engine: Engine) -> "ShownExports":
        """Those of an engine."""
        return cls(engine.exports, engine.sizes, engine.account.since_s)

    @property
    def kinds(self) -> tuple[ExportKind, ...]:
        """The kinds of which the login has exports, or may have."""
        return self._exports.kinds

    def all(self) -> tuple[Export, ...]:
        """All exports."""
        return self._exports.all()

    def find(self, kind: ExportKind, name: str) -> Export | None:
        """The export of that kind with that name; None if there is no such export."""
        return self._exports.find(kind, name)

    def reason(self, export: Export) -> str:
        """Why an export does not progress, or what is wrong with it; empty if all is well."""
        return self._exports.reason(export)

    def learned_bytes(self, key: ContentKey) -> int | None:
        """The exact size of a content in bytes; None when it was never fetched."""
        return self._sizes.size(key)


class Exporting:
    """Makes and removes the directories of exports; all methods run in the trio thread."""

    def __init__(self, root: Root, engine: Engine, changes: Changes, on_kinds: Callable[[], None]) -> None:
        """Changes the exports of `engine`, and tells `changes` what has changed in `root`.

        `on_kinds` is called when the root must show ``Exports``, or must no longer.
        """
        self._root = root
        self._engine = engine
        self._changes = changes
        self._on_kinds = on_kinds
        self._vanishing = Vanishing[_Place]()
        self._walkers = Walkers()
        self._told_s = -math.inf
        """When the list of errors got `_ALONE` last: a mirror tries each file."""

    @staticmethod
    def has(directory: Node) -> TypeGuard[ExportDirectory | ArchiveDirectory]:
        """Whether a directory is that of an export, or one of an archive."""
        return isinstance(directory, (ExportDirectory, ArchiveDirectory))

    def find(self, directory: Directory, name: str) -> Node | None:
        """The node that a directory of an export shows under a name; see `Directory.find`."""
        return None if name in self._hidden_in(directory) else directory.find(name)

    def page(self, directory: Directory, after: int, limit: int) -> list[Entry]:
        """At most `limit` entries that a directory of an export shows; see `Directory.page`."""
        return page_without(self._hidden_in(directory), directory, after, limit)

    def listed(self, directory: Directory, asker: Asker) -> None:
        """Notes that a program lists a directory: it may be about to remove an export."""
        if self.has(directory):
            self._walkers.seen(asker.process(), trio.current_time())

    def _hidden_in(self, directory: Directory) -> Collection[str]:
        overdue = self._vanishing.overdue(trio.current_time())
        if overdue:
            count = sum(count for _at, count in overdue)
            text = f"parts of an export that were removed without it are there again: {count}"
            self._engine.recorder.fault("exports", text)
        return self._vanishing.names(_place(directory))

    async def make(self, parent: ExportKindDirectory, name: str) -> Node:
        """The directory of a new export; without the days of this month that are still to come.

        Raises:
            ExistsError: The export exists.
            ReadOnlyError, NameTooLongError: As `require_new_name`.
            InvalidNameError: No export has that name; see `ExportQuery`.
            ForbiddenError: The login may have no such export.
            StoreError: It cannot be kept on the disk.
        """
        require_new_name(name, "an export")
        exports = self._engine.exports
        if exports.find(parent.kind, name) is not None:
            raise ExistsError("the export exists")
        try:
            export = await exports.request(ExportQuery.parse(parent.kind, name))
        except ValueError as exc:
            raise InvalidNameError(f"no export has this name: {exc}") from exc
        listed = export.query.name
        if listed != name:
            text = f"{name} ends in the future, so the export ends today; it is listed as {listed}"
            self._engine.recorder.fault("exports", text)
        node = parent.find(name)
        if node is None:
            raise NotFoundError("the export was forgotten already")
        return node

    async def remove(self, parent: ExportKindDirectory, name: str) -> tuple[str, ...]:
        """Forgets an export here, whatever its directory holds; returns all its names.

        Raises:
            NotFoundError: No export has that name.
            StoreError: The list of exports cannot be written.
        """
        exports = self._engine.exports
        export = exports.find(parent.kind, name)
        if export is None or not await exports.forget(export.id):
            raise NotFoundError("no export has this name")
        archives = [archive.key for archive in export.archives]
        for place in self._vanishing.places():
            if place == (parent.kind, export.query.name) or place[0] in archives:
                self._vanishing.drop(place)
        return self._names_of(export.query)

    def hide(self, parent: ExportDirectory | ArchiveDirectory, name: str, asker: Asker) -> tuple[str, ...]:
        """Hides an entry of an export, until the export is removed or a minute has passed; its name.

        Raises:
            NotEmptyError: It is a directory in which something is not hidden.
            NotFoundError: There is no such entry.
            NotPermittedError: `asker` does not seem to remove the whole export.
        """
        node = self.find(parent, name) if parent.is_known else None
        if node is None:
            raise NotFoundError("there is no such entry")
        now_s = trio.current_time()
        if asker.reader().name in MIRRORS or not self._walkers.removes(asker.process(), now_s):
            if now_s >= self._told_s + TELL_EVERY_S:
                self._told_s = now_s
                self._engine.recorder.fault("exports", _ALONE)
            raise NotPermittedError(_ALONE)
        if isinstance(node, Directory) and (not node.is_known or self.page(node, 0, 1)):
            raise NotEmptyError("the directory is not empty")
        self._vanishing.hide(_place(parent), name, now_s)
        return (name,)

    def follow(self) -> None:
        """Tells of all changes from now on."""
        self._engine.exports.changes.subscribe(self.heard)

    def heard(self, change: ExportsChanged) -> None:
        """Tells of a change of exports."""
        if bool(self._engine.exports.kinds) != (self._root.find(EXPORTS_DIRECTORY) is not None):
            self._on_kinds()
        paths: set[TreePath] = set()
        for export in (*change.changed, *change.forgotten):
            for listed in self._names_of(export.query):
                above = (EXPORTS_DIRECTORY, export.query.kind.value, listed)
                paths |= {above, *((*above, name) for name in (STATUS_FILE, *_names(export)))}
        self._changes.changed(paths)

    def _names_of(self, query: ExportQuery) -> tuple[str, ...]:
        """All names under which the directory of an export can be found; the first is listed."""
        return query.name, *query.longer_names(self._engine.wall_clock())


def _place(directory: Directory) -> _Place:
    match directory:
        case ExportDirectory():
            return directory.kind, directory.name
        case ArchiveDirectory():
            return directory.file.key, directory.place
        case _:
            return ()


def _names(export: Export) -> Iterator[str]:
    """The names of the archives of an export, and of the directories beside them."""
    for archive in export.archives:
        yield archive.name
        yield archive.name.removesuffix(".zip")
