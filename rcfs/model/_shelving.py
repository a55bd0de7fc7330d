"""The folders that show each message: the tree decides them, and the index stores them."""

from collections.abc import Callable, Mapping

import attrs

CONVERSATIONS_VIEW = "Conversations"
"""View whose folders link to the messages of a conversation; their keys are conversation ids."""
TRASH_VIEW = "Trash"
"""View of deleted messages."""


@attrs.frozen
class Place:
    """A folder that shows a message."""

    view: str
    """The directory of the extension that the folder is in: ``SMS``, ``Conversations``, ``Trash``, …"""
    key: str = ""
    """Permanent identity of the folder within its view: a month, a conversation id, a number. Empty if the
    view itself holds the messages."""
    parties: tuple[tuple[str, str], ...] = ()
    """(identity, name) of the parties that the folder is named after, by this message; the name may be empty.
    No parties if the folder is named after its key."""


@attrs.frozen
class ShelvedMessage:
    """A message as the index stores it: its record, and where and under which names it is shown."""

    id: int
    """Unique within the mailbox."""
    name: str
    """Name of its directory; unique in the mailbox, because it holds the id."""
    created_s: float | None
    """``creationTime`` in seconds since 1970-01-01 UTC; None when absent."""
    modified_s: float | None
    """``lastModifiedTime``, likewise."""
    raw: str
    """The record as JSON text."""
    home: Place
    """The folder that holds its directory."""
    links: tuple[Place, ...] = ()
    """The folders that hold a link to it; each once, without the home."""
    spoken_bytes: int = 0
    """Size in bytes of its part of the text of a conversation."""
    own: str = ""
    """An identity that certainly is the mailbox owner's; empty if the message has none."""
    said: str = ""
    """Text for the full-text index: the message."""
    people: str = ""
    """Text for the full-text index: names and numbers."""
    files: str = ""
    """Text for the full-text index: file names."""


@attrs.frozen
class FolderNames:
    """The possible names of a folder."""

    plain: str
    """The name if no other folder of the view has the same plain name, whatever the case."""
    qualified: str
    """The name otherwise; no other folder of the view has it."""
    folded: str
    """The plain name in a form that is equal for names that differ in case only."""


NameFolder = Callable[[Place, Mapping[str, str], frozenset[str]], FolderNames]
"""Names a folder by its place, the names of all its parties by identity (from the oldest message that names
them), and the identities of the mailbox's owner. Pure; called again when one of these changes."""


@attrs.frozen
class FolderRow:
    """One folder."""

    number: int
    """Number in this index; listings are in its order."""
    view: str
    """The view that it is in."""
    key: str
    """See `Place.key`."""
    name: str
    """Name of the directory; empty if the view itself holds the messages."""
    created_s: float | None
    """The newest creationTime of its messages; None without any."""
    modified_s: float | None
    """The newest lastModifiedTime; None without any."""
    spoken_bytes: int
    """Sum of the `ShelvedMessage.spoken_bytes` of its messages."""


@attrs.frozen
class MessageRow:
    """One message, without its record."""

    number: int
    """Number in this index; listings are in its order."""
    mailbox: int
    """Number of its mailbox."""
    id: int
    """Id of the message."""
    name: str
    """Name of its directory."""
    created_s: float | None
    """``creationTime``."""
    modified_s: float | None
    """``lastModifiedTime``."""


@attrs.frozen
class SearchRow:
    """One saved search."""

    number: int
    """Number in this index; listings are in its order."""
    name: str
    """Name of its directory, which is the query."""
    made_s: float
    """When it was made, in seconds since 1970-01-01 UTC."""


@attrs.frozen
class FoundRow:
    """A message, recording or call that a search has found.

    A call is found in the call log that has its line: its view is `rcfs.model.CALLS_VIEW`, and its name that
    of the file, such as ``2026-11.csv``. Calls with recordings are not found themselves.
    """

    number: int
    """Number in this index; listings are in its order. Those of recordings and calls follow all others."""
    extension_id: int
    """Internal id of the extension that has it; `rcfs.model.COMPANY` for the company."""
    id: int
    """Id of the message; of a recording or a call 0."""
    name: str
    """Name of its directory or file."""
    created_s: float | None
    """``creationTime`` of the message, or start of the recording or call."""
    modified_s: float | None
    """``lastModifiedTime`` of the message, or start of the recording or call."""
    view: str
    """The view that it is in."""
    folder: str
    """Name of the folder in that view; empty if the view itself holds it."""
    ambiguous: bool = attrs.field(default=False, converter=bool)
    """Whether a message in another mailbox has the same name."""
    link: str = ""
    """Name under which searches show a call, instead of that of the file; else empty."""

    @property
    def path(self) -> tuple[str, ...]:
        """The path of its directory or file below the extension's, name by name."""
        return tuple(filter(None, (self.view, self.folder, self.name)))

    @property
    def shown(self) -> str:
        """Name under which a search shows it, unless it is ambiguous."""
        return self.link or self.name
