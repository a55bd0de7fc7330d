"""Exports as directories.

    Exports/Messages/2026-01-01 to 2026-03-31/status.txt      until the archives are there
    Exports/Messages/2026-01-01 to 2026-03-31/archive-0.zip   an archive, a content like others
    Exports/Messages/2026-01-01 to 2026-03-31/archive-0/      its members, if the cache has all of it
    Exports/Team Messaging/…                                  the same

Users ask for an export by making its directory, and forget it by removing the directory. A listing sends no
request. The members of an archive are read from the cache.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

import attrs

from rcfs.model import (
    ContentKey,
    DatasetKey,
    Export,
    ExportArchive,
    ExportKind,
    ExportState,
    Wanted,
)
from rcfs.tree._export_status import status_text
from rcfs.tree._facts import named_facts
from rcfs.tree._nodes import ContentFile, Directory, Entry, Node, TextFile
from rcfs.tree._times import Times, sane
from rcfs.tree._zip_directory import Member, ZipDirectory

STATUS_FILE: Final = "status.txt"
"""File that says how an export without archives is doing."""
_ESTIMATE_BYTES = 1 << 30
"""Size of an archive whose size the platform does not tell: archives are cut at 1 GB. Source: "Message Store
Exports" of the API's documentation."""


class ExportCatalogue(Protocol):
    """The exports of an account, as they are at the time of each call; each call takes microseconds."""

    fallback_s: float
    """Time of nodes without another one, in seconds since 1970-01-01 UTC."""

    @property
    def kinds(self) -> Sequence[ExportKind]:
        """The kinds of which the login has exports, or may have."""
        ...

    def all(self) -> Sequence[Export]:
        """All exports."""
        ...

    def find(self, kind: ExportKind, name: str) -> Export | None:
        """The export of that kind with that name; None if there is no such export."""
        ...

    def reason(self, export: Export) -> str:
        """Why an export does not progress, or what is wrong with it; empty if all is well."""
        ...

    def learned_bytes(self, key: ContentKey) -> int | None:
        """The exact size of a content that was fetched before, in bytes; None if it never was."""
        ...


class NoExports:
    """The catalogue of a tree without exports."""

    fallback_s = 0.0

    @property
    def kinds(self) -> Sequence[ExportKind]:
        """No kind."""
        return ()

    def all(self) -> Sequence[Export]:
        """No export."""
        return ()

    def find(self, _kind: ExportKind, _name: str) -> Export | None:
        """None."""
        return None

    def reason(self, _export: Export) -> str:
        """Empty."""
        return ""

    def learned_bytes(self, _key: ContentKey) -> int | None:
        """None."""
        return None


@attrs.define(eq=False)
class ExportShelf:
    """The state that all nodes of exports of one tree share."""

    catalogue: ExportCatalogue
    """The exports."""
    whole: set[ContentKey] = attrs.field(factory=set)
    """The archives that the cache had whole at the last look; the user of the tree keeps it."""
    insides: dict[ContentKey, ZipDirectory] = attrs.field(factory=dict)
    """The members of the archives that somebody looks into; the user of the tree keeps it as well."""
    _cursors: dict[str, int] = attrs.field(factory=dict)

    def cursor(self, export: Export) -> int:
        """The position of an export in the listings; never changes."""
        return self._cursors.setdefault(export.id, len(self._cursors) + 1)

    def file(self, key: ContentKey) -> "ExportArchiveFile | None":
        """The file of an archive; None if no export has it."""
        for export in self.catalogue.all():
            for archive in export.archives:
                if archive.key == key:
                    return archive_file(self, export, archive)
        return None

    def times(self, time_s: float | None = None) -> Times:
        """Times for a node of that time; None for a node without one."""
        known = sane(time_s)
        time_s = self.catalogue.fallback_s if known is None else known
        return Times(time_s, time_s)


@attrs.define(eq=False, kw_only=True)
class ExportsDirectory(Directory):
    """``Exports``: a directory for each kind of exports that the login may have."""

    _shelf: ExportShelf

    def times(self) -> Times:
        return self._shelf.times()

    def find(self, name: str) -> Node | None:
        kind = next((kind for kind in self._shelf.catalogue.kinds if kind.value == name), None)
        return None if kind is None else ExportKindDirectory(shelf=self._shelf, kind=kind)

    def page(self, after: int, limit: int) -> list[Entry]:
        kinds = self._shelf.catalogue.kinds
        chosen = [(at, kind) for at, kind in enumerate(ExportKind, start=1) if kind in kinds and at > after]
        return [
            Entry(at, kind.value, ExportKindDirectory(shelf=self._shelf, kind=kind))
            for at, kind in chosen[:limit]
        ]


@attrs.define(eq=False, kw_only=True)
class ExportKindDirectory(Directory):
    """``Exports/<kind>``: a directory for each export."""

    _shelf: ExportShelf
    kind: ExportKind
    """The kind."""

    def times(self) -> Times:
        own = (export.asked_s for export in self._own())
        return self._shelf.times(max(own, default=None))

    def find(self, name: str) -> Node | None:
        export = self._shelf.catalogue.find(self.kind, name)
        return None if export is None else self._node(export)

    def page(self, after: int, limit: int) -> list[Entry]:
        numbered = sorted((self._shelf.cursor(each), each.query.name, each) for each in self._own())
        chosen = [each for each in numbered if each[0] > after]
        return [Entry(cursor, name, self._node(export)) for cursor, name, export in chosen[:limit]]

    def _own(self) -> Iterator[Export]:
        return (export for export in self._shelf.catalogue.all() if export.query.kind is self.kind)

    def _node(self, export: Export) -> Node:
        return ExportDirectory(shelf=self._shelf, kind=self.kind, name=export.query.name, made=export)


@attrs.define(eq=False, kw_only=True)
class ExportDirectory(Directory):
    """``Exports/<kind>/<period>``: the state of an export, or its archives."""

    _shelf: ExportShelf
    kind: ExportKind
    """The kind."""
    name: str
    """Its name."""
    _made: Export

    def times(self) -> Times:
        return self._shelf.times(self._made.asked_s)

    def archives(self) -> list["ExportArchiveFile"]:
        """The files of its archives."""
        export = self._export()
        if export is None:
            return []
        return [archive_file(self._shelf, export, archive) for archive in export.archives]

    def is_inside(self, name: str) -> bool:
        """Whether a name is that of the directory of an archive, which is there if the cache has it whole."""
        export = self._export()
        return export is not None and any(f"{name}.zip" == archive.name for archive in export.archives)

    def find(self, name: str) -> Node | None:
        return next((entry.node for entry in self._entries() if entry.name == name), None)

    def page(self, after: int, limit: int) -> list[Entry]:
        return [entry for entry in self._entries() if entry.cursor > after][:limit]

    def volatile_names(self) -> list[str]:
        return [STATUS_FILE]

    def _export(self) -> Export | None:
        return self._shelf.catalogue.find(self.kind, self.name)

    def _entries(self) -> Iterator[Entry]:
        export = self._export()
        if export is None:
            return
        if not export.archives or export.state is not ExportState.COMPLETED:
            yield Entry(1, STATUS_FILE, ExportStatusFile.of(self._shelf, export))
        for place, archive in enumerate(export.archives):
            file = archive_file(self._shelf, export, archive)
            yield Entry(2 * place + 2, archive.name, file)
            if archive.key in self._shelf.whole:
                inside = ArchiveDirectory(shelf=self._shelf, file=file)
                yield Entry(2 * place + 3, archive.name.removesuffix(".zip"), inside)


@attrs.define(eq=False, kw_only=True)
class ExportStatusFile(TextFile):
    """``status.txt``: the state of an export in words."""

    _shelf: ExportShelf
    _made: Export

    @classmethod
    def of(cls, shelf: ExportShelf, export: Export) -> "ExportStatusFile":
        """The file for an export as it is now."""
        text = status_text(export, shelf.catalogue.reason(export))
        times = shelf.times(export.since_s)
        return cls(times=times, size_bytes=len(text), shelf=shelf, made=export)

    def content(self) -> bytes:
        query = self._made.query
        catalogue = self._shelf.catalogue
        export = catalogue.find(query.kind, query.name)
        return b"" if export is None else status_text(export, catalogue.reason(export))


@attrs.define(eq=False, kw_only=True)
class ExportArchiveFile(ContentFile):
    """An archive of an export."""

    archive: ExportArchive
    """The archive."""
    _shelf: ExportShelf

    @property
    def place(self) -> tuple[object, ...]:
        return self.key.kind, self.archive.key.task_id

    def wanted(self) -> Wanted:
        return Wanted(
            self.key,
            self.archive.uri,
            "application/zip",
            size_known=self.size_is_exact,
            purged=self.purged,
        )

    def xattrs(self) -> dict[str, str]:
        key = self.archive.key
        dataset: Mapping[str, object] = {"dataset_id": key.dataset_id} if isinstance(key, DatasetKey) else {}
        return named_facts(task_id=key.task_id, archive_id=self.archive.number, **dataset, key=key)

    def _stored_bytes(self) -> int | None:
        return self._shelf.catalogue.learned_bytes(self.key)

    def _claimed_bytes(self) -> int | None:
        return self.archive.size_bytes


def archive_file(shelf: ExportShelf, export: Export, archive: ExportArchive) -> ExportArchiveFile:
    """The file of an archive."""
    return ExportArchiveFile(
        times=shelf.times(export.asked_s),
        key=archive.key,
        purged=export.state is ExportState.EXPIRED,
        estimate_bytes=_ESTIMATE_BYTES,
        archive=archive,
        shelf=shelf,
    )


@attrs.define(eq=False, kw_only=True)
class ArchiveDirectory(Directory):
    """``archive-0`` and the directories in it: the members of an archive that the cache has whole."""

    _shelf: ExportShelf
    file: ExportArchiveFile
    """The archive."""
    place: bytes = b""
    """The directory's path in the archive; empty for the archive itself."""

    @property
    def is_known(self) -> bool:
        return self.file.key in self._shelf.insides

    def times(self) -> Times:
        return self.file.times()

    def find(self, name: str) -> Node | None:
        found = self._inside().find(self.place, name)
        return None if found is None else self._node(found)

    def page(self, after: int, limit: int) -> list[Entry]:
        found = self._inside().page(self.place, after, limit)
        return [Entry(cursor, name, self._node(entry)) for cursor, name, entry in found]

    def _inside(self) -> ZipDirectory:
        directory = self._shelf.insides.get(self.file.key)
        if directory is None:
            raise RuntimeError("nobody has looked into the archive")
        return directory

    def _node(self, found: Member | bytes) -> Node:
        if isinstance(found, bytes):
            return ArchiveDirectory(shelf=self._shelf, file=self.file, place=found)
        time_s = sane(found.modified_s)
        times = self.file.times() if time_s is None else Times(time_s, time_s)
        return MemberFile(times=times, member=found, file=self.file)


@attrs.define(eq=False, kw_only=True)
class MemberFile(Node):
    """A member of an archive, read from the cache."""

    mode = 0o666
    _times: Times
    member: Member
    """The member."""
    file: ExportArchiveFile
    """The archive."""

    def times(self) -> Times:
        return self._times

    @property
    def size_bytes(self) -> int:
        """Its exact size in bytes."""
        return self.member.size_bytes
