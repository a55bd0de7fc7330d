"""The exports of a tree: asking for them, forgetting them, and telling of changes."""

from collections.abc import Callable, Iterator

from rcfs.engine import Engine
from rcfs.errors import ExistsError, InvalidNameError, NotFoundError
from rcfs.exports import Exports, ExportsChanged
from rcfs.files._changes import Changes, TreePath
from rcfs.files._new_names import require_new_name
from rcfs.model import ContentKey, Export, ExportKind, ExportQuery
from rcfs.store import SizeIndex
from rcfs.tree import EXPORTS_DIRECTORY, STATUS_FILE, ExportKindDirectory, Node, Root


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

    async def make(self, parent: ExportKindDirectory, name: str) -> Node:
        """The directory of a new export.

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
            await exports.request(ExportQuery.parse(parent.kind, name))
        except ValueError as exc:
            raise InvalidNameError(f"no export has this name: {exc}") from exc
        node = parent.find(name)
        if node is None:
            raise NotFoundError("the export was forgotten already")
        return node

    async def remove(self, parent: ExportKindDirectory, name: str) -> tuple[str, ...]:
        """Forgets an export here, whatever its directory holds; returns its names.

        Raises:
            NotFoundError: No export has that name.
            StoreError: The list of exports cannot be written.
        """
        exports = self._engine.exports
        export = exports.find(parent.kind, name)
        if export is None or not await exports.forget(export.id):
            raise NotFoundError("no export has this name")
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
            above = (EXPORTS_DIRECTORY, export.query.kind.value, export.query.name)
            paths |= {above, *((*above, name) for name in (STATUS_FILE, *_names(export)))}
        self._changes.changed(paths)


def _names(export: Export) -> Iterator[str]:
    """The names of the archives of an export, and of the directories beside them."""
    for archive in export.archives:
        yield archive.name
        yield archive.name.removesuffix(".zip")
