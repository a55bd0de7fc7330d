"""The directory of an extension: its views, and the record of the extension."""

import attrs

from rcfs.model import MAILBOX, AttachmentKey, Extension, collection_of
from rcfs.tree._catalogue import Catalogue, Shelf
from rcfs.tree._mailbox import FolderDirectory, ViewDirectory, attachment_file
from rcfs.tree._message import pretty_json
from rcfs.tree._nodes import AttachmentFile, Directory, Entry, Node, TextFile, page_of
from rcfs.tree._shelving import (
    BY_CONTACT,
    CONVERSATIONS,
    FLAT_VIEWS,
    RECORD_NAME,
    TRASH,
    TYPE_VIEWS,
    UNREAD,
)
from rcfs.tree._times import Times, times_of

_STANDING_VIEWS = (*TYPE_VIEWS.values(), CONVERSATIONS, BY_CONTACT, UNREAD, TRASH)
"""Views that every mailbox has, so that they can be looked up before the mailbox is loaded."""


@attrs.define(eq=False, kw_only=True)
class ExtensionDirectory(Directory):
    """The directory of one extension; one node for the whole life of the tree."""

    extension: Extension
    """The record of the extension."""
    _shelf: Shelf
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

    def times(self) -> Times:
        known = self._shelf.catalogue.times(None) if self._shelf.is_known else (None, None)
        return times_of(*known, self._shelf.fallback_s)

    def find(self, name: str) -> Node | None:
        if name == RECORD_NAME:
            return self._record()
        return self._view(name) if name in self._views() else None

    def page(self, after: int, limit: int) -> list[Entry]:
        nodes = {view: self._view(view) for view in self._views()}
        return page_of(nodes | {RECORD_NAME: self._record()}, after, limit)

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

    def _views(self) -> dict[str, None]:
        """The names of the views, in the order of the listing."""
        if not self._has_mailbox:
            return {}
        found = self._shelf.catalogue.views() if self._shelf.is_known else []
        return dict.fromkeys((*_STANDING_VIEWS, *found))

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
