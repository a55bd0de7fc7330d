"""The directories of a mailbox: views, their folders, and messages with their files.

Nodes hold no data; they ask the catalogue of the mailbox.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar

import attrs

from rcfs.model import (
    MAILBOX,
    Attachment,
    AttachmentKey,
    Availability,
    FolderRow,
    Message,
    MessageRow,
    collection_of,
)
from rcfs.tree._calls import recording_link
from rcfs.tree._catalogue import Shelf
from rcfs.tree._facts import message_xattrs
from rcfs.tree._media import estimated_size
from rcfs.tree._message import (
    RECORD_FILE,
    TEXT_FILE,
    exact_text,
    message_id_of,
    pretty_json,
)
from rcfs.tree._nodes import AttachmentFile, Directory, Entry, Link, Node, TextFile
from rcfs.tree._shelving import BY_CONTACT, CONVERSATIONS, LINK_VIEWS
from rcfs.tree._speech import conversation_pieces
from rcfs.tree._times import Times, sane, times_of

CONVERSATION_FILE = "conversation.txt"
"""File in the folder of a conversation that holds the text of all its messages."""
_CONVERSATION_CURSOR = 1
"""It is listed first; the cursors of messages begin at 2."""
_IDS = 1000
"""Messages to ask the catalogue for at a time, where all are needed."""
_RECORDINGS_CURSOR = 1 << 40
"""The cursors of recordings are above this, and those of messages below: no index has 10^12 messages."""


@attrs.define(eq=False, kw_only=True)
class MailboxDirectory(Directory):
    """A directory below an extension directory."""

    _shelf: Shelf

    @property
    def owner_id(self) -> int:
        """The extension whose mailbox it is."""
        return self._shelf.extension_id

    @property
    def collection_id(self) -> str:
        return collection_of(MAILBOX, self._shelf.extension_id)

    @property
    def is_known(self) -> bool:
        return self._shelf.is_known

    @property
    def edition(self) -> str | None:
        return self._shelf.edition

    def _times_of(self, row: FolderRow | MessageRow | Message | None) -> Times:
        created_s, modified_s = (None, None) if row is None else (row.created_s, row.modified_s)
        return times_of(sane(created_s), sane(modified_s), self._shelf.fallback_s)


@attrs.define(eq=False, kw_only=True)
class ViewDirectory(MailboxDirectory):
    """A view that holds folders of messages."""

    view: str
    """Name of the view."""

    def times(self) -> Times:
        known = self._shelf.catalogue.times(self.view) if self._shelf.is_known else (None, None)
        return times_of(*known, self._shelf.fallback_s)

    def find(self, name: str) -> Node | None:
        # The row with an empty name stands for the view itself.
        row = self._shelf.catalogue.folder(self.view, name) if name else None
        return None if row is None else self.folder(row.name)

    def page(self, after: int, limit: int) -> list[Entry]:
        rows = self._shelf.catalogue.folders(self.view, after, limit)
        return [Entry(row.number, row.name, self.folder(row.name)) for row in rows]

    def folder(self, name: str) -> "FolderDirectory":
        """The folder of that name, which is empty if the view has none."""
        return FolderDirectory(shelf=self._shelf, view=self.view, name=name)


@attrs.define(eq=False, kw_only=True)
class FolderDirectory(MailboxDirectory):
    """A folder of messages: it holds their directories if it is their home, else links to those.

    A view without folders is a folder with an empty name.
    """

    view: str
    """Name of the view."""
    name: str
    """Name of the folder."""

    @property
    def row(self) -> FolderRow | None:
        """The folder in the index; None if that has no message in it."""
        return self._shelf.catalogue.folder(self.view, self.name)

    def message_ids(self) -> list[int]:
        """The messages that the folder shows; for a worker thread, since there may be many."""
        row, found, after = self.row, list[int](), 0
        while row is not None and (page := self._shelf.catalogue.messages(row.number, after, _IDS)):
            found += [each.id for each in page]
            after = page[-1].number
        return found

    def conversation_id(self) -> str:
        """The platform's id of the conversation that the folder shows; empty if it has none."""
        row = self.row
        first = [] if row is None else self._shelf.catalogue.messages(row.number, 0, 1)
        message = self._shelf.read(first[0].id) if first else None
        return row.key if row is not None and message and message.conversation_id == row.key else ""

    def times(self) -> Times:
        return self._times_of(self.row if self._shelf.is_known else None)

    def find(self, name: str) -> Node | None:
        row = self.row
        if row is None:
            return None
        if name == CONVERSATION_FILE and self.view == CONVERSATIONS:
            return self._conversation(row)
        message_id = message_id_of(name)
        if message_id is None:
            return self._recording(row, name)
        found = self._shelf.catalogue.message(row.number, message_id)
        return self._node(found) if found is not None and found.name == name else None

    def page(self, after: int, limit: int) -> list[Entry]:
        row = self.row
        if row is None:
            return []
        entries = []
        if after < _CONVERSATION_CURSOR and self.view == CONVERSATIONS:
            entries.append(Entry(_CONVERSATION_CURSOR, CONVERSATION_FILE, self._conversation(row)))
        if after < _RECORDINGS_CURSOR:
            entries += self._messages(row, max(0, after - _CONVERSATION_CURSOR), limit - len(entries))
        calls = self._shelf.calls
        if self.view != BY_CONTACT or calls is None or len(entries) >= limit:
            return entries
        begin = max(0, after - _RECORDINGS_CURSOR)
        for found in calls.links(row.number, begin, limit - len(entries)):
            link = recording_link(calls, found)
            entries.append(Entry(found.number + _RECORDINGS_CURSOR, found.name, link))
        return entries

    def volatile_names(self) -> list[str]:
        return [CONVERSATION_FILE] if self.view == CONVERSATIONS else []

    def _messages(self, row: FolderRow, begin: int, room: int) -> list[Entry]:
        if self.view in LINK_VIEWS:
            nodes: list[tuple[MessageRow, Node]] = [
                (message, self._link(message, home))
                for message, home in self._shelf.catalogue.links(row.number, begin, room)
            ]
        else:
            nodes = [
                (message, MessageDirectory(shelf=self._shelf, row=message))
                for message in self._shelf.catalogue.messages(row.number, begin, room)
            ]
        return [Entry(m.number + _CONVERSATION_CURSOR, m.name, node) for m, node in nodes]

    def _recording(self, row: FolderRow, name: str) -> Node | None:
        """The link to a recording; None if the folder has none of that name."""
        calls = self._shelf.calls
        found = calls.link(row.number, name) if calls is not None and self.view == BY_CONTACT else None
        return None if calls is None or found is None else recording_link(calls, found)

    def _conversation(self, row: FolderRow) -> Node:
        return ConversationFile(
            times=self._times_of(row),
            size_bytes=row.spoken_bytes,
            shelf=self._shelf,
            view=self.view,
            name=row.name,
        )

    def _node(self, row: MessageRow) -> Node | None:
        if self.view not in LINK_VIEWS:
            return MessageDirectory(shelf=self._shelf, row=row)
        home = self._shelf.catalogue.home(row.id)
        return None if home is None else self._link(row, home)

    def _link(self, row: MessageRow, home: FolderRow) -> Node:
        up = "../.." if self.name else ".."
        folder = f"{home.view}/{home.name}" if home.name else home.view
        return Link(times=self._times_of(row), target=f"{up}/{folder}/{row.name}")


@attrs.define(eq=False, kw_only=True)
class MessageDirectory(MailboxDirectory):
    """A message: its record, its text and its attachments."""

    ends_short: ClassVar[bool] = True
    _row: MessageRow

    @property
    def message_id(self) -> int:
        """Id of the message."""
        return self._row.id

    def times(self) -> Times:
        return self._times_of(self._row)

    def message(self) -> Message | None:
        return self._shelf.read(self._row.id)

    def xattrs(self) -> dict[str, str]:
        return xattrs_of(self.message())

    def find(self, name: str) -> Node | None:
        make = self._files().get(name)
        return None if make is None else make()

    def page(self, after: int, limit: int) -> list[Entry]:
        files = list(self._files().items())[after : after + limit]
        return [Entry(cursor, name, make()) for cursor, (name, make) in enumerate(files, start=after + 1)]

    def volatile_names(self) -> list[str]:
        return list(self._files())

    def entries(self) -> dict[str, Node]:
        message = self._shelf.catalogue.read(self._row.id)
        return {} if message is None else self.entries_of(message)

    def entries_of(self, message: Message) -> dict[str, Node]:
        """All entries by name, of `message`, which the caller has just read."""
        return {name: make() for name, make in self._files_of(message).items()}

    def attachments_of(self, message: Message) -> dict[str, AttachmentFile]:
        """The attachments of `message` alone, by name: no text is rendered to know its size."""
        attachments = self._shelf.attachments_of(message)
        return {name: attachment_file(self._shelf, message, attachment) for name, attachment in attachments}

    def _files(self) -> dict[str, Callable[[], Node]]:
        message = self._shelf.catalogue.read(self._row.id)
        return {} if message is None else self._files_of(message)

    def _files_of(self, message: Message) -> dict[str, Callable[[], Node]]:
        """By name, a function that makes the file: it renders a text to know its size, which takes long."""
        files: dict[str, Callable[[], Node]] = {RECORD_FILE: partial(self._text, message, RecordFile)}
        if message.has_text:
            files[TEXT_FILE] = partial(self._text, message, SaidFile)
        for name, attachment in self._shelf.attachments_of(message):
            files[name] = partial(self._attachment, message, attachment)
        return files

    def _text(self, message: Message, kind: "type[MessageFile]") -> Node:
        data = kind.rendered(message)
        return kind(
            times=self._times_of(message),
            size_bytes=len(data),
            shelf=self._shelf,
            message_id=message.id,
        )

    def _attachment(self, message: Message, attachment: Attachment) -> Node:
        return attachment_file(self._shelf, message, attachment)


@attrs.define(eq=False, kw_only=True)
class MailboxText(TextFile):
    """A text made from records of a mailbox."""

    _shelf: Shelf

    @property
    def collection_id(self) -> str:
        return collection_of(MAILBOX, self._shelf.extension_id)

    @property
    def is_known(self) -> bool:
        return self._shelf.is_known


@attrs.define(eq=False, kw_only=True)
class MessageFile(MailboxText):
    """A text made from the record of one message."""

    message_id: int
    """Id of the message."""

    @property
    def owner_id(self) -> int:
        """The extension whose mailbox has the message."""
        return self._shelf.extension_id

    def message(self) -> Message | None:
        return self._shelf.read(self.message_id)

    def xattrs(self) -> dict[str, str]:
        return xattrs_of(self.message())

    def content(self) -> bytes:
        message = self._shelf.catalogue.read(self.message_id)
        return b"" if message is None else self.rendered(message)

    @staticmethod
    def rendered(message: Message) -> bytes:
        """The bytes of the file for `message`."""
        raise NotImplementedError


@attrs.define(eq=False, kw_only=True)
class RecordFile(MessageFile):
    """``message.json``: the record of a message."""

    @staticmethod
    def rendered(message: Message) -> bytes:
        return pretty_json(message.raw)


@attrs.define(eq=False, kw_only=True)
class SaidFile(MessageFile):
    """``text.txt``: the text of an SMS or Pager message."""

    @staticmethod
    def rendered(message: Message) -> bytes:
        return exact_text(message.subject or "")


@attrs.define(eq=False, kw_only=True)
class ConversationFile(MailboxText):
    """``conversation.txt``: the texts of all messages of a conversation."""

    is_quick: ClassVar[bool] = (
        False  # However short the text is, it takes a look at each message of the folder.
    )
    grows: ClassVar[bool] = True
    _view: str
    _name: str

    def content(self) -> bytes:
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        return conversation_pieces(self._shelf.catalogue.conversation(self._view, self._name))


def attachment_file(shelf: Shelf, message: Message, attachment: Attachment) -> AttachmentFile:
    """The file of an attachment of `message`."""
    return AttachmentFile(
        times=times_of(sane(message.created_s), sane(message.modified_s), shelf.fallback_s),
        key=AttachmentKey(shelf.catalogue.account_id, shelf.extension_id, message.id, attachment.id),
        attachment=attachment,
        purged=message.availability == Availability.PURGED,
        estimate_bytes=estimated_size(message, attachment),
        shelf=shelf,
    )


def xattrs_of(message: Message | None) -> dict[str, str]:
    """The extended attributes that a message gives its nodes; none when the message is gone."""
    return {} if message is None else message_xattrs(message)
