"""What the tree asks about a mailbox: piece by piece, so that no mailbox has to be in memory."""

from collections.abc import Iterable
from typing import Protocol

import attrs

from rcfs.model import Attachment, ContentKey, FolderRow, Message, MessageRow
from rcfs.tree._message import attachment_names


class Catalogue(Protocol):
    """One mailbox that was loaded; every answer is as of now, and all but `conversation` are quick.

    Quick is tens of microseconds: they are asked in the event loop. The numbers of folders and messages put
    them in order, and stay with them.
    """

    account_id: str
    """Decimal account id."""

    def views(self) -> list[str]:
        """The views that show something."""
        ...

    def times(self, view: str | None) -> tuple[float | None, float | None]:
        """The newest (creationTime, lastModifiedTime) in a view, or in all of the mailbox when it is None."""
        ...

    def folders(self, view: str, after: int, limit: int) -> list[FolderRow]:
        """At most `limit` folders of a view, by their numbers, those after the number `after`."""
        ...

    def folder(self, view: str, name: str) -> FolderRow | None:
        """The folder of a view that is called `name`; an empty name is that of a view without folders."""
        ...

    def messages(self, folder: int, after: int, limit: int) -> list[MessageRow]:
        """At most `limit` messages of a folder, by their numbers, those after the number `after`."""
        ...

    def links(self, folder: int, after: int, limit: int) -> list[tuple[MessageRow, FolderRow]]:
        """The same as `messages`, each with the folder that holds its directory."""
        ...

    def message(self, folder: int, message_id: int) -> MessageRow | None:
        """The message with that id, if the folder shows it."""
        ...

    def home(self, message_id: int) -> FolderRow | None:
        """The folder that holds the directory of a message; None when the message is gone."""
        ...

    def read(self, message_id: int) -> Message | None:
        """The whole message; None when it is gone."""
        ...

    def conversation(self, view: str, name: str) -> Iterable[Message]:
        """All messages of a folder, the oldest first; may take long, so not for the event loop."""
        ...

    def learned_bytes(self, key: ContentKey) -> int | None:
        """The exact size of a content that was fetched once; None when it never was."""
        ...


@attrs.define(eq=False)
class Shelf:
    """What all nodes of one mailbox share: where to ask, for as long as the mailbox is loaded."""

    extension_id: int
    """Whose mailbox it is."""
    fallback_s: float
    """The time of what has none, in seconds since 1970-01-01 UTC."""
    _catalogue: Catalogue | None = None
    _named: tuple[Message, tuple[tuple[str, Attachment], ...]] | None = None

    @property
    def is_known(self) -> bool:
        """Whether there is a catalogue."""
        return self._catalogue is not None

    @property
    def catalogue(self) -> Catalogue:
        """Where to ask.

        Raises:
            RuntimeError: The mailbox has not been loaded.
        """
        if self._catalogue is None:
            raise RuntimeError(f"the mailbox of extension {self.extension_id} has not been loaded")
        return self._catalogue

    def read(self, message_id: int) -> Message | None:
        """The whole message; None when it is gone, or nothing is known."""
        return None if self._catalogue is None else self._catalogue.read(message_id)

    def attachments_of(self, message: Message) -> tuple[tuple[str, Attachment], ...]:
        """The attachments of `message` that are files, with their names.

        The last ones are kept, because each look-up of a file asks for all of them.
        """
        if self._named is None or self._named[0] is not message:
            self._named = message, tuple(attachment_names(message))
        return self._named[1]

    def show(self, catalogue: Catalogue) -> None:
        """Ask `catalogue` from now on."""
        self._catalogue = catalogue

    def hide(self) -> None:
        """Ask nobody any more: what was known is lost, until `show` is called again."""
        self._catalogue = None
