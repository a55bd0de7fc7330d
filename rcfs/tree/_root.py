"""The root: extensions, ``Company``, ``Exports``, ``Search``, and unlisted ``.rcfs`` and the mount's icon."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from operator import itemgetter

import attrs

from rcfs.model import (
    COMPANY,
    AttachmentKey,
    ContentKey,
    DatasetKey,
    Extension,
    RecordingKey,
    ReportKey,
)
from rcfs.tree._call_catalogue import CallCatalogue
from rcfs.tree._calls import recording_file
from rcfs.tree._catalogue import Shelf
from rcfs.tree._company import CompanyDirectory
from rcfs.tree._drops import Drops
from rcfs.tree._exports import ExportCatalogue, ExportsDirectory, ExportShelf, NoExports
from rcfs.tree._extension import ExtensionDirectory
from rcfs.tree._extension_names import (
    COMPANY_DIRECTORY,
    EXPORTS_DIRECTORY,
    LIVE_DIRECTORY,
    SEARCH_DIRECTORY,
    extension_names,
)
from rcfs.tree._greetings import GreetingCatalogue, GreetingShelf
from rcfs.tree._names import clean
from rcfs.tree._nodes import (
    LIVE_TOPICS,
    REFRESH_ALL,
    ContentFile,
    Directory,
    Entry,
    FixedDirectory,
    FixedText,
    LiveFile,
    Node,
    ReaderFile,
    RefreshFile,
)
from rcfs.tree._search import Owner, SearchCatalogue, SearchesDirectory
from rcfs.tree._times import Times

_REFRESH = "refresh"
"""Directory in `LIVE_DIRECTORY` whose files start a refresh when they are opened."""

REFUSE, RELEASE = "refuse", "release"
"""Directories in `LIVE_DIRECTORY` whose files refuse and release the process that is their name."""
_PID_DIGITS = 7
"""Digits of the largest process number. Source: PID_MAX_LIMIT of Linux, 2^22."""

_ICON_FILE = ".xdg-volume-info"
_ICON = b"[Volume Info]\nIcon=folder-remote\n"
"""The icon of the mount in Nautilus, Nemo and Thunar, which else show a disk.

Source: g_vfs_mount_info_query_xdg_volume_info of GVfs 1.50.
"""
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
        known = isinstance(self._root.find(name), (ExtensionDirectory, CompanyDirectory, SearchesDirectory))
        if not known and name != REFRESH_ALL:
            return None
        return RefreshFile(times=self.times(), topic=_REFRESH, name=name)


@attrs.define(eq=False, kw_only=True)
class ReadersDirectory(FixedDirectory):
    """``.rcfs/refuse`` and ``.rcfs/release``: a file for each process, unlisted as in `RefreshDirectory`."""

    _topic: str

    def find(self, name: str) -> Node | None:
        if not (name.isascii() and name.isdecimal() and len(name) <= _PID_DIGITS):
            return None
        return ReaderFile(times=self.times(), topic=self._topic, pid=int(name))


@attrs.define(eq=False, kw_only=True)
class Root(Directory):
    """The root directory."""

    _fallback_s: float
    _searches: SearchCatalogue | None = None
    _calls: CallCatalogue | None = None
    greetings: GreetingShelf | None = None
    """The greetings and prompts; None for a tree without them."""
    exports: ExportShelf = attrs.field(factory=lambda: ExportShelf(NoExports()))
    """The exports."""
    drops: Drops | None = None
    """The files that people drop into ``Outbox``; None for a tree without it."""
    _list_control: bool = False
    _extensions: dict[int, ExtensionDirectory] = attrs.field(factory=dict)
    _named: dict[str, Node] = attrs.field(factory=dict)
    _names: dict[int, str] = attrs.field(factory=dict)
    _cursors: dict[str, int] = attrs.field(factory=dict)
    _listed: list[tuple[int, str]] = attrs.field(factory=list)
    _company: CompanyDirectory = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._company = CompanyDirectory(times=self.times(), calls=self._calls, greetings=self.greetings)

    def show(self, extensions: Iterable[Extension]) -> set[str]:
        """Shows these extensions and no others, and the company and exports if the login may see any of them.

        Names are as in `extension_names`. The directory of an extension stays the same node.

        Args:
            extensions: Those that the user may read; the last record of an id counts.

        Returns:
            The names that are new, gone, or stand for something else than before.
        """
        by_id = {extension.id: extension for extension in extensions}
        names = extension_names(by_id.values())
        named: dict[str, Node] = {}
        kept: dict[int, ExtensionDirectory] = {}
        changed: set[str] = set()
        for extension_id, name in names.items():
            extension = by_id[extension_id]
            directory = self._extensions.get(extension_id)
            if directory is None:
                shelf = Shelf(extension_id, self._fallback_s, calls=self._calls)
                directory = ExtensionDirectory(
                    extension=extension, shelf=shelf, greetings=self.greetings, drops=self.drops
                )
            elif directory.extension != extension:
                directory.extension = extension
                changed.add(name)
            kept[extension_id] = named[name] = directory
        times = self.times()
        live = {topic: LiveFile(times=times, topic=topic) for topic in LIVE_TOPICS}
        entries = dict(sorted(named.items()))
        has_company = self._calls is not None and self._calls.has_company
        if has_company:
            entries[COMPANY_DIRECTORY] = self._company
        if self.greetings is not None:
            self.greetings.has_company = has_company
        if self.exports.catalogue.kinds:
            entries[EXPORTS_DIRECTORY] = self._named.get(EXPORTS_DIRECTORY) or ExportsDirectory(
                shelf=self.exports
            )
        if self._searches is not None:
            entries[SEARCH_DIRECTORY] = self._named.get(SEARCH_DIRECTORY) or SearchesDirectory(
                catalogue=self._searches, owner_of=self.owner_of, times=times
            )
        entries[LIVE_DIRECTORY] = self._named.get(LIVE_DIRECTORY) or ControlDirectory(
            times=times,
            entries=live,
            unlisted={
                _REFRESH: RefreshDirectory(times=times, entries={}, root=self),
                REFUSE: ReadersDirectory(times=times, entries={}, topic=REFUSE),
                RELEASE: ReadersDirectory(times=times, entries={}, topic=RELEASE),
            },
        )
        changed |= {name for name in entries | self._named if entries.get(name) is not self._named.get(name)}
        self._extensions, self._named, self._names = kept, entries, names
        for name in entries:
            self._cursors.setdefault(name, len(self._cursors) + 1)
        listed = entries if self._list_control else entries.keys() - {LIVE_DIRECTORY}
        self._listed = sorted((self._cursors[name], name) for name in listed)
        return changed

    def extension(self, extension_id: int) -> ExtensionDirectory:
        """The directory of the extension with that internal id.

        Raises:
            KeyError: The root shows no such extension.
        """
        return self._extensions[extension_id]

    def name_of(self, extension_id: int) -> str | None:
        """The name of the directory of an extension, or of `COMPANY`; None if the root does not show it."""
        if extension_id == COMPANY and COMPANY_DIRECTORY in self._named:
            return COMPANY_DIRECTORY
        return self._names.get(extension_id)

    def content_file(self, key: ContentKey) -> ContentFile | None:
        """The file of a content; None if the tree does not show it, or its collection is not loaded."""
        match key:
            case AttachmentKey():
                directory = self._extensions.get(key.extension_id)
                return None if directory is None else directory.attachment(key)
            case RecordingKey() if self._calls is not None:
                row = self._calls.recording_by_id(key.recording_id)
                recording = None if row is None else recording_file(self._calls, row)
                return recording if recording is not None and recording.key == key else None
            case ReportKey() | DatasetKey():
                return self.exports.file(key)
            case _ if self.greetings is not None:
                greeting = self.greetings.file(key)
                return greeting if greeting is not None and greeting.key == key else None
            case _:
                return None

    def owner_of(self, extension_id: int) -> Owner | None:
        """The owner of a mailbox or recording; None if the root does not show it. For any thread."""
        if extension_id == COMPANY and COMPANY_DIRECTORY in self._named:
            return Owner(COMPANY_DIRECTORY, COMPANY_DIRECTORY)
        directory, name = self._extensions.get(extension_id), self._names.get(extension_id)
        if directory is None or name is None:
            return None
        return Owner(name, clean(directory.extension.number)[:_LABEL_LENGTH] or str(extension_id))

    def times(self) -> Times:
        return Times(self._fallback_s, self._fallback_s)

    def find(self, name: str) -> Node | None:
        if name == _ICON_FILE:
            return FixedText(times=self.times(), size_bytes=len(_ICON), data=_ICON)
        return self._named.get(name)

    def page(self, after: int, limit: int) -> list[Entry]:
        start = bisect_right(self._listed, after, key=itemgetter(0))
        return [Entry(at, name, self._named[name]) for at, name in self._listed[start : start + limit]]


def build_root(
    extensions: Iterable[Extension],
    *,
    fallback_s: float,
    searches: SearchCatalogue | None = None,
    calls: CallCatalogue | None = None,
    greetings: GreetingCatalogue | None = None,
    exports: ExportCatalogue | None = None,
    drops: Drops | None = None,
    greeting_drops: Drops | None = None,
    list_control: bool = False,
) -> Root:
    """The root that shows `extensions`.

    Args:
        extensions: As in `Root.show`.
        fallback_s: Time of nodes whose records have none, in seconds since 1970-01-01 UTC.
        searches: The searches to show; None for a tree without a directory of searches.
        calls: The calls and recordings to show; None for a tree without them, and without the company.
        greetings: The greetings and prompts to show; None for a tree without them.
        exports: The exports to show; None for a tree without them.
        drops: The files that people drop into ``Outbox``; None for a tree without it.
        greeting_drops: The files that people drop into directories of greetings; None if they cannot.
        list_control: Whether ``.rcfs`` is listed.
    """
    root = Root(
        fallback_s=fallback_s,
        searches=searches,
        calls=calls,
        greetings=None if greetings is None else GreetingShelf(greetings, drops=greeting_drops),
        exports=ExportShelf(NoExports() if exports is None else exports),
        drops=drops,
        list_control=list_control,
    )
    root.show(extensions)
    return root
