"""What is open to those who ask: a directory being listed, a text, a content.

A place is what whoever opens knows a file by, such as an inode or a path; it means nothing to this room.
"""

from collections.abc import Hashable

import attrs

from rcfs.content import Content
from rcfs.errors import StaleError
from rcfs.files._readers import Asker
from rcfs.tree import AttachmentFile, Directory, Entry, TextFile


@attrs.define(eq=False)
class Listing:
    """A directory being listed."""

    directory: Directory
    """What is listed."""
    end: int | None = None
    """The cursor of the last entry; None when it has not been reached yet."""
    ahead: list[Entry] = attrs.field(factory=list)
    """Entries that were looked up at once, because each look takes long; empty for a quick directory."""
    ahead_after: int = 0
    """The cursor after which they begin."""
    ahead_edition: int = 0
    """Of which edition of the mailboxes they are."""


@attrs.frozen(eq=False)
class OpenLive:
    """A live file as it was when it was opened."""

    data: bytes
    """All of its bytes."""

    def read(self, off: int, size: int) -> bytes:
        """Up to `size` bytes from `off` on; fewer only at the end."""
        return self.data[off : off + size]


@attrs.define(eq=False)
class OpenText:
    """A text that is open: once for all who have opened its place, because they may share pages of it.

    A page that an earlier reader has asked for would otherwise show a later one what was true before.
    """

    place: Hashable
    """Where it was opened."""
    node: TextFile
    """Which one, as it was opened last."""
    data: bytes
    """All of its bytes, as of the newest open, or a later change that only added some."""
    users: int = 0
    """How many have it open."""
    number: int = 0
    """Of the rendering that `data` is from: those that began later have higher ones."""
    is_stale: bool = False
    """Whether there is a version that does not merely go on where this one ends."""

    def read(self, off: int, size: int) -> bytes:
        """Up to `size` bytes from `off` on; fewer only at the end.

        Raises:
            StaleError: It is stale.
        """
        if self.is_stale:
            raise StaleError("the text has become another")
        return self.data[off : off + size]


@attrs.define(eq=False)
class OpenContent:
    """An open attachment."""

    place: Hashable
    """Where it was opened."""
    node: AttachmentFile
    """Which one."""
    content: Content | None
    """Its bytes, as far as they are there; None as long as nobody has asked for any that the opener lacks."""
    asker: Asker
    """Who opened it: reads do not say who reads."""
    streaming: bool = False
    """Whether it holds one of the few seats of those that are read while they arrive."""


Opener = OpenLive | OpenText | OpenContent
