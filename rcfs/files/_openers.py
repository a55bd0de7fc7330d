"""Open files and listings.

A place is the caller's identity of an open file, such as an inode or a path. This room only compares places.
"""

from collections.abc import Hashable

import attrs

from rcfs.content import Content
from rcfs.errors import StaleError
from rcfs.files._members import MemberStream
from rcfs.files._readers import Asker
from rcfs.files._renderings import Rendering
from rcfs.tree import ContentFile, Directory, DropFile, Entry, MemberFile, TextFile


@attrs.define(eq=False)
class Listing:
    """A directory being listed."""

    directory: Directory
    """The directory."""
    end: int | None = None
    """Cursor of the last entry; None until the listing reaches it."""
    ahead: list[Entry] = attrs.field(factory=list)
    """Entries that one query fetched, because each query takes long; empty for a quick directory."""
    ahead_after: int = 0
    """Cursor after which `ahead` begins."""
    ahead_edition: int = 0
    """`Searching.edition` of `ahead`."""


@attrs.frozen(eq=False)
class OpenLive:
    """A live file, as it was when it was opened."""

    data: bytes
    """All of its bytes."""

    def read(self, off: int, size: int) -> bytes:
        """Up to `size` bytes from `off` on; fewer only at the end."""
        return self.data[off : off + size]


@attrs.define(eq=False)
class OpenText:
    """An open text, shared by all opens of its place, because their readers may share pages.

    Otherwise a later reader could get a page that an earlier one read, with older bytes.
    """

    place: Hashable
    """The place of its opens."""
    node: TextFile
    """The node of the last open."""
    text: Rendering
    """All bytes, as of the newest open or of a later change that only added some."""
    users: int = 0
    """Number of opens that have not ended."""
    number: int = 0
    """Number of the rendering `text`; a rendering that began later has a higher one."""
    is_stale: bool = False
    """Whether the text has changed other than by an addition at its end."""

    def read(self, off: int, size: int) -> bytes:
        """Up to `size` bytes from `off` on; fewer only at the end.

        Raises:
            StaleError: The text is stale.
            StoreError: The disk failed.
        """
        if self.is_stale:
            raise StaleError("the text has changed; open the file again")
        return self.text.read(off, size)


@attrs.define(eq=False)
class OpenContent:
    """An open attachment."""

    place: Hashable
    """The place of the open."""
    node: ContentFile
    """The attachment."""
    content: Content | None
    """Its content; None until the first read, if the opener still has all bytes from an earlier open."""
    asker: Asker
    """The asker of the open; reads do not say which process reads."""
    streaming: bool = False
    """Whether it holds one of the few seats for contents that are read while they arrive."""


@attrs.frozen(eq=False)
class OpenMember:
    """An open member of an archive."""

    node: MemberFile
    """The member."""
    asker: Asker
    """The asker of the open."""
    stream: MemberStream
    """Its bytes."""


@attrs.define(eq=False)
class OpenDrop:
    """An open file in ``Outbox``."""

    file: DropFile
    """The file."""
    descriptor: int
    """Descriptor of its bytes in the state directory."""
    writes: bool
    """Whether it is open for writing."""
    appends: bool
    """Whether every write goes to its end."""
    pid: int = 0
    """The process that opened it; 0 if that is not known."""


Opener = OpenLive | OpenText | OpenContent | OpenMember | OpenDrop
