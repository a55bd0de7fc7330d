"""The directory of an extension: its views, its calls and greetings, and the record of the extension."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import attrs

from rcfs.model import CALLS_VIEW, MAILBOX, RECORDINGS_VIEW, AttachmentKey, Extension, collection_of
from rcfs.tree._calls import CallsDirectory, RecordingsDirectory
from rcfs.tree._catalogue import Catalogue, Shelf
from rcfs.tree._dropping import OUTBOX
from rcfs.tree._drops import Drops
from rcfs.tree._greetings import GreetingsDirectory, GreetingShelf
from rcfs.tree._mailbox import FolderDirectory, ViewDirectory, attachment_file
from rcfs.tree._message import pretty_json
from rcfs.tree._nodes import AttachmentFile, Directory, Entry, Node, TextFile
from rcfs.tree._outbox import DropDirectory
from rcfs.tree._shelving import (
    BY_CONTACT,
    CONVERSATIONS,
    FLAT_VIEWS,
    GREETINGS_VIEW,
    RECORD_NAME,
    TRASH,
    TYPE_VIEWS,
    UNREAD,
)
from rcfs.tree._times import Times, times_of

_STANDING_VIEWS = (*TYPE_VIEWS.values(), CONVERSATIONS, BY_CONTACT, UNREAD, TRASH)
"""Views that every mailbox has, so that they can be looked up before the mailbox is loaded."""

_BESIDES_CURSOR, _OTHERS_CURSOR, _RECORD_CURSOR = 1 << 10, 1 << 11, 1 << 40
"""Cursors before those of the directories besides the mailbox, of the other views, and of the record: each
group may change without moving the others."""


@attrs.define(eq=False, kw_only=True)
class ExtensionDirectory(Directory):
    """The directory of one extension; one node for the whole life of the tree."""

    extension: Extension
    """The record of the extension."""
    _shelf: Shelf
    _greetings: GreetingShelf | None = None
    _drops: Drops | None = None
    _has_mailbox: bool = True

    def show(self, catalogue: Catalogue) -> None:
        """Shows the mailbox, which is now loaded; until then, names may be missing here and below."""
        self._has_mailbox = True
        self._shelf.show(catalogue)

    def show_none(self) -> None:
        """Shows no views: extensions of this type, such as IVR menus, have no mailbox."""
        self._has_mailbox = False
        self._shelf.hide()

    def hide(self) -> None:
        """Shows nothing of the mailbox until it is loaded again, after the index lost it."""
        self._has_mailbox = True
        self._shelf.hide()

    @property
    def is_filled(self) -> bool:
        """Whether the directory is complete: it shows its mailbox, or it is known to have none."""
        return self._shelf.is_known or not self._has_mailbox

    @property
    def collection_id(self) -> str:
        return collection_of(MAILBOX, self.extension.id)

    @property
    def shows_others(self) -> bool:
        return self._shelf.calls is not None

    def times(self) -> Times:
        known = self._shelf.catalogue.times(None) if self._shelf.is_known else (None, None)
        return times_of(*known, self._shelf.fallback_s)

    def find(self, name: str) -> Node | None:
        make = self._entries().get(name)
        return None if make is None else make[1]()

    def page(self, after: int, limit: int) -> list[Entry]:
        listed = [(at, name, make) for name, (at, make) in self._entries().items() if at > after]
        return [Entry(at, name, make()) for at, name, make in listed[:limit]]

    def attachment(self, key: AttachmentKey) -> AttachmentFile | None:
        """The file of an attachment of this mailbox; None when its message is gone."""
        message = self._shelf.read(key.message_id)
        if message is None:
            return None
        found = (each for _name, each in self._shelf.attachments_of(message) if each.id == key.attachment_id)
        attachment = next(found, None)
        return None if attachment is None else attachment_file(self._shelf, message, attachment)

    def volatile_names(self) -> list[str]:
        return [RECORD_NAME]

    def _entries(self) -> dict[str, tuple[int, Callable[[], Node]]]:
        """The entries in the order of the listing: by name, the cursor and a function that makes the node."""
        found = self._shelf.catalogue.views() if self._shelf.is_known else []
        standing = _STANDING_VIEWS if self._has_mailbox else ()
        others = [view for view in found if view not in _STANDING_VIEWS]
        groups: list[tuple[int, Iterable[tuple[str, Callable[[], Node]]]]] = [
            (0, ((view, partial(self._view, view)) for view in standing)),
            (_BESIDES_CURSOR, self._besides()),
            (_OTHERS_CURSOR, ((view, partial(self._view, view)) for view in others)),
            (_RECORD_CURSOR, [(RECORD_NAME, self._record)]),
        ]
        return {
            name: (at, make)
            for before, entries in groups
            for at, (name, make) in enumerate(entries, start=before + 1)
        }

    def _besides(self) -> Iterator[tuple[str, Callable[[], Node]]]:
        """The directories that are no part of the mailbox."""
        calls, owner = self._shelf.calls, self.extension.id
        if calls is not None:
            yield CALLS_VIEW, partial(CallsDirectory, calls=calls, owner=owner)
            yield RECORDINGS_VIEW, partial(RecordingsDirectory, calls=calls, owner=owner)
        if self._greetings is not None:
            yield GREETINGS_VIEW, partial(GreetingsDirectory, shelf=self._greetings, owner=owner)
        if self._drops is not None and self._drops.owner_id() == owner:
            yield OUTBOX, partial(DropDirectory, drops=self._drops)

    def _view(self, name: str) -> Node:
        if name in FLAT_VIEWS:
            return FolderDirectory(shelf=self._shelf, view=name, name="")
        return ViewDirectory(shelf=self._shelf, view=name)

    def _record(self) -> Node:
        data = pretty_json(self.extension.raw)
        times = times_of(self.extension.seen_s, None, self._shelf.fallback_s)
        return ExtensionRecord(times=times, size_bytes=len(data), extension=self.extension)


@attrs.define(eq=False, kw_only=True)
class ExtensionRecord(TextFile):
    """``extension.json``: the record of the extension."""

    _extension: Extension

    def content(self) -> bytes:
        return pretty_json(self._extension.raw)
