"""The contents of a loaded mailbox, for the tree."""

from collections.abc import Iterator
from functools import lru_cache

from rcfs.mailbox._records import parse_message, parse_messages
from rcfs.model import ContentKey, FolderRow, Message, MessageRow
from rcfs.store import IndexReader, SizeIndex

_AT_HAND = 8
"""Parsed messages that are kept, about 30 kB: reading the files of one message asks for it several times,
once for the listing and once per text, and several readers may do that at the same time."""


class MailboxCatalogue:
    """A mailbox as the index has it. `conversation` is for a worker thread, all else for the event loop.

    Raises (all methods):
        StoreError: The index fails.
    """

    def __init__(
        self,
        index: IndexReader,
        sizes: SizeIndex,
        mailbox: int,
        account_id: str,
        extension_id: int,
        hidden_views: frozenset[str] = frozenset(),
    ) -> None:
        """The mailbox with the number `mailbox` in `index`, without its `hidden_views`."""
        self._index = index
        self._sizes = sizes
        self._mailbox = mailbox
        self._hidden = hidden_views
        self._revision: tuple[object, str] | None = None
        """The last `revision`, after the version of the index that has it."""
        # Keyed by the record's text, which is read each time: a changed record is parsed again.
        self._parsed = lru_cache(_AT_HAND)(parse_message)
        self.account_id = account_id
        """Decimal account id."""
        self.extension_id = extension_id
        """Internal id of the extension."""

    @property
    def revision(self) -> str:
        """A text that changes whenever the mailbox may show something else."""
        version = self._index.version()
        if self._revision is None or self._revision[0] != version:
            state = self._index.mailbox(self.account_id, self.extension_id)
            known = None if state is None else (state.number, state.revision)
            self._revision = version, str((known, sorted(self._hidden)))
        return self._revision[1]

    def views(self) -> list[str]:
        """The views that are not empty."""
        return [view for view in self._index.views(self._mailbox) if view not in self._hidden]

    def times(self, view: str | None) -> tuple[float | None, float | None]:
        """The newest (creationTime, lastModifiedTime) in a view, or in the whole mailbox for None."""
        return self._index.times(self._mailbox, view)

    def folders(self, view: str, after: int, limit: int) -> list[FolderRow]:
        """At most `limit` folders of a view in the order of their numbers, after the number `after`."""
        return self._index.folders(self._mailbox, view, after, limit)

    def folder(self, view: str, name: str) -> FolderRow | None:
        """The folder of a view with the name `name`, which is empty in a view without folders."""
        return self._index.folder(self._mailbox, view, name)

    def messages(self, folder: int, after: int, limit: int) -> list[MessageRow]:
        """At most `limit` messages of a folder in the order of their numbers, after the number `after`."""
        return self._index.messages(folder, after, limit)

    def links(self, folder: int, after: int, limit: int) -> list[tuple[MessageRow, FolderRow]]:
        """The page that `messages` returns, each message with the folder that holds its directory."""
        return self._index.links(folder, after, limit)

    def message(self, folder: int, message_id: int) -> MessageRow | None:
        """The message with that id; None when the folder does not show it."""
        return self._index.message(folder, message_id)

    def home(self, message_id: int) -> FolderRow | None:
        """The folder that holds the directory of a message; None when the message is gone."""
        row = self._index.home(self._mailbox, message_id)
        return None if row is None or row.view in self._hidden else row

    def read(self, message_id: int) -> Message | None:
        """The whole message; None when it is gone."""
        raw = self._index.record(self._mailbox, message_id)
        return None if raw is None else self._parsed(raw)

    def conversation(self, view: str, name: str) -> Iterator[Message]:
        """All messages of a folder, oldest first; read one at a time, since there may be 50,000."""
        return parse_messages(self._index.records(self._mailbox, view, name))

    def learned_bytes(self, key: ContentKey) -> int | None:
        """The exact size of a content in bytes; None when it was never fetched."""
        return self._sizes.size(key)
