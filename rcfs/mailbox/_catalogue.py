"""A loaded mailbox, as the tree asks about it."""

import json
from collections.abc import Iterator
from functools import lru_cache

from rcfs.model import ContentKey, FolderRow, Message, MessageRow, message_from
from rcfs.store import IndexReader, SizeIndex

_AT_HAND = 8
"""Messages that are kept in case they are asked for again, 30 kB: who reads the files of a message asks
for it in the listing and once for each text, and several may do so at the same time."""


class MailboxCatalogue:
    """Answers from the index; the quick questions in the event loop, `conversation` in a worker thread.

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
        """Answers for the mailbox with the number `mailbox` in `index`, as if it had no `hidden_views`."""
        self._index = index
        self._sizes = sizes
        self._mailbox = mailbox
        self._hidden = hidden_views
        # By the record, which is asked for each time: what is at hand is never old.
        self._parsed = lru_cache(_AT_HAND)(_parsed)
        self.account_id = account_id
        """Decimal account id."""
        self.extension_id = extension_id
        """Internal id of the extension."""

    @property
    def revision(self) -> str:
        """Another text whenever the mailbox may show something else than before."""
        state = self._index.mailbox(self.account_id, self.extension_id)
        known = None if state is None else (state.number, state.revision)
        return str((known, sorted(self._hidden)))

    def views(self) -> list[str]:
        """The views that show something."""
        return [view for view in self._index.views(self._mailbox) if view not in self._hidden]

    def times(self, view: str | None) -> tuple[float | None, float | None]:
        """The newest (creationTime, lastModifiedTime) in a view, or in all of the mailbox when it is None."""
        return self._index.times(self._mailbox, view)

    def folders(self, view: str, after: int, limit: int) -> list[FolderRow]:
        """At most `limit` folders of a view, by their numbers, those after the number `after`."""
        return self._index.folders(self._mailbox, view, after, limit)

    def folder(self, view: str, name: str) -> FolderRow | None:
        """The folder of a view that is called `name`; an empty name is that of a view without folders."""
        return self._index.folder(self._mailbox, view, name)

    def messages(self, folder: int, after: int, limit: int) -> list[MessageRow]:
        """At most `limit` messages of a folder, by their numbers, those after the number `after`."""
        return self._index.messages(folder, after, limit)

    def links(self, folder: int, after: int, limit: int) -> list[tuple[MessageRow, FolderRow]]:
        """The same as `messages`, each with the folder that holds its directory."""
        return self._index.links(folder, after, limit)

    def message(self, folder: int, message_id: int) -> MessageRow | None:
        """The message with that id, if the folder shows it."""
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
        """All messages of a folder, the oldest first; one at a time, as there may be 50,000."""
        for raw in self._index.records(self._mailbox, view, name):
            message = _parsed(raw)
            if message is not None:
                yield message

    def learned_bytes(self, key: ContentKey) -> int | None:
        """The exact size of a content that was fetched once; None when it never was."""
        return self._sizes.size(key)


def _parsed(raw: str) -> Message | None:
    return message_from(json.loads(raw), raw)
