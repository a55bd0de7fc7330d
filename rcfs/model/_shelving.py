"""Where messages are shown: what the tree decides, and the index of mailboxes keeps."""

from collections.abc import Callable, Mapping

import attrs


@attrs.frozen
class Place:
    """One folder that shows a message."""

    view: str
    """The directory of the extension that the folder is in: ``SMS``, ``Conversations``, ``Trash``, …"""
    key: str = ""
    """What tells the folder from others of its view, the same for ever: a month, the id of a conversation, a
    number. Empty where the view itself holds the messages."""
    parties: tuple[tuple[str, str], ...] = ()
    """(identity, name) of those whom the message tells the folder about; the name may be empty. They name the
    folder; empty for one that its key names."""


@attrs.frozen
class ShelvedMessage:
    """A message with all that is decided about how it is shown: what an index keeps of it."""

    id: int
    """Unique within the mailbox."""
    name: str
    """Name of its directory; unique in the mailbox, because it holds the id."""
    created_s: float | None
    """``creationTime`` in seconds since 1970-01-01 UTC; None when the record has none."""
    modified_s: float | None
    """``lastModifiedTime``, the same way."""
    raw: str
    """The record as JSON text."""
    home: Place
    """The folder that holds its directory."""
    links: tuple[Place, ...] = ()
    """The folders that hold a link to it; each once, and none of them the home."""
    spoken_bytes: int = 0
    """Length in bytes of what it contributes to the text of a conversation."""
    own: str = ""
    """An identity that certainly is the mailbox owner's; empty when the message does not tell one."""
    said: str = ""
    """What a search looks through: the text."""
    people: str = ""
    """The same: names and numbers."""
    files: str = ""
    """The same: names of files."""


@attrs.frozen
class FolderNames:
    """What a folder is called."""

    plain: str
    """The name, unless another folder of the view has the same, whatever the case."""
    qualified: str
    """The name then: no other folder of the view has it."""
    folded: str
    """What equal plain names have in common."""


NameFolder = Callable[[Place, Mapping[str, str], frozenset[str]], FolderNames]
"""Names a folder: gets its place, the names of all its parties by identity (the oldest message that names one
counts), and the identities of the mailbox's owner. Pure: it is asked again when any of them changes."""


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
    """Name of the directory; empty where the view itself holds the messages."""
    created_s: float | None
    """The newest creationTime of its messages; None when none has one."""
    modified_s: float | None
    """The newest lastModifiedTime, the same way."""
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
    """Its id."""
    name: str
    """Name of its directory."""
    created_s: float | None
    """``creationTime``."""
    modified_s: float | None
    """``lastModifiedTime``."""


@attrs.frozen
class SearchRow:
    """One search that is kept."""

    number: int
    """Number in this index; listings are in its order."""
    name: str
    """Name of its directory, which is the query."""
    made_s: float
    """When it was made, in seconds since 1970-01-01 UTC."""


@attrs.frozen
class FoundRow:
    """One message that a search has found."""

    number: int
    """Number in this index; listings are in its order."""
    extension_id: int
    """Whose mailbox it is in."""
    id: int
    """Its id."""
    name: str
    """Name of its directory."""
    created_s: float | None
    """``creationTime``."""
    modified_s: float | None
    """``lastModifiedTime``."""
    view: str
    """The view that its directory is in."""
    folder: str
    """The folder of that view; empty where the view itself holds messages."""
    ambiguous: bool = attrs.field(default=False, converter=bool)
    """Whether a message in another mailbox has the same name."""

    @property
    def path(self) -> tuple[str, ...]:
        """Its path below the extension's directory, name by name."""
        return tuple(filter(None, (self.view, self.folder, self.name)))
