"""The catalogue of a mailbox, which answers in small pieces so that no mailbox has to be in memory."""

from collections.abc import Iterable
from typing import Protocol

import attrs

from rcfs.model import Attachment, ContentKey, FolderRow, Message, MessageRow
from rcfs.tree._call_catalogue import CallCatalogue
from rcfs.tree._message import attachment_names


class Catalogue(Protocol):
    """A loaded mailbox, as it is at the time of each call.

    All calls but `conversation` take tens of microseconds, and are made in the event loop. The numbers of
    folders and messages give the order of listings, and never change.
    """

    account_id: str
    """Decimal account id."""

    @property
    def revision(self) -> str:
        """A text that changes whenever the mailbox may show something else."""
        ...

    def views(self) -> list[str]:
        """The views that are not empty."""
        ...

    def times(self, view: str | None) -> tuple[float | None, float | None]:
        """The newest (creationTime, lastModifiedTime) in a view, or anywhere if `view` is None."""
        ...

    def folders(self, view: str, after: int, limit: int) -> list[FolderRow]:
        """At most `limit` folders of a view with numbers above `after`, in the order of their numbers."""
        ...

    def folder(self, view: str, name: str) -> FolderRow | None:
        """The folder `name` of a view. A view without folders has one row, with an empty name."""
        ...

    def messages(self, folder: int, after: int, limit: int) -> list[MessageRow]:
        """At most `limit` messages of a folder with numbers above `after`, in the order of their numbers."""
        ...

    def links(self, folder: int, after: int, limit: int) -> list[tuple[MessageRow, FolderRow]]:
        """As `messages`, each with the folder that holds the directory of the message."""
        ...

    def message(self, folder: int, message_id: int) -> MessageRow | None:
        """The message with that id; None if the folder does not show it."""
        ...

    def home(self, message_id: int) -> FolderRow | None:
        """The folder that holds the directory of a message; None when the message is gone."""
        ...

    def read(self, message_id: int) -> Message | None:
        """The whole message; None when it is gone."""
        ...

    def conversation(self, view: str, name: str) -> Iterable[Message]:
        """All messages of a folder, oldest first. May take seconds: call it in a worker thread."""
        ...

    def learned_bytes(self, key: ContentKey) -> int | None:
        """The exact size of a content that was fetched before, in bytes; None if it never was."""
        ...


@attrs.define(eq=False)
class Shelf:
    """The state that all nodes of one mailbox share: its catalogue, while the mailbox is loaded."""

    extension_id: int
    """Internal id of the extension that owns the mailbox."""
    fallback_s: float
    """Time of nodes whose records have none, in seconds since 1970-01-01 UTC."""
    _calls: CallCatalogue | None = attrs.field(default=None, kw_only=True)
    _catalogue: Catalogue | None = None
    _named: tuple[Message, tuple[tuple[str, Attachment], ...]] | None = None
    _shown: int = 0
    """How often a catalogue was shown."""

    @property
    def edition(self) -> str:
        """A text that changes whenever a directory of the mailbox may list something else.

        Raises:
            RuntimeError: The mailbox has not been loaded.
        """
        # The links to recordings in a mailbox are there only while the login may see calls.
        return f"{self._shown} {self.calls is not None} {self.catalogue.revision}"

    @property
    def is_known(self) -> bool:
        """Whether the mailbox is loaded."""
        return self._catalogue is not None

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue of the mailbox.

        Raises:
            RuntimeError: The mailbox has not been loaded.
        """
        if self._catalogue is None:
            raise RuntimeError(f"the mailbox of extension {self.extension_id} has not been loaded")
        return self._catalogue

    @property
    def calls(self) -> CallCatalogue | None:
        """The calls of the account; None for a tree without calls, or a login that may not read any."""
        return self._calls if self._calls is not None and self._calls.has_calls else None

    def read(self, message_id: int) -> Message | None:
        """The whole message; None when it is gone, or the mailbox is not loaded."""
        return None if self._catalogue is None else self._catalogue.read(message_id)

    def attachments_of(self, message: Message) -> tuple[tuple[str, Attachment], ...]:
        """The attachments of `message` that are files, with their names.

        Those of the last message are kept, because each lookup of a file needs all of them.
        """
        if self._named is None or self._named[0] is not message:
            self._named = message, tuple(attachment_names(message))
        return self._named[1]

    def show(self, catalogue: Catalogue) -> None:
        """Marks the mailbox as loaded; `catalogue` answers from now on."""
        self._catalogue = catalogue
        self._shown += 1

    def hide(self) -> None:
        """Marks the mailbox as not loaded, until `show` is called again."""
        self._catalogue = None
