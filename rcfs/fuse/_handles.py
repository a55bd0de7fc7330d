"""What an open file or directory is to rcfs."""

import attrs

from rcfs.content import Content
from rcfs.tree import AttachmentFile, Directory, Entry


@attrs.define(eq=False)
class OpenDirectory:
    """A directory being listed."""

    inode: int
    """Its inode."""
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


@attrs.define(eq=False)
class OpenText:
    """A text that is open: once for all who read the file, because the kernel keeps its pages for all.

    A page that an earlier reader has asked for would otherwise show a later one what was true before.
    """

    inode: int
    """Its inode."""
    data: bytes
    """All of its bytes, as of the newest open."""
    users: int = 0
    """How many handles are it."""
    number: int = 0
    """Of the rendering that `data` is from: those that began later have higher ones."""
    is_stale: bool = False
    """Whether there is a version that does not merely go on where this one ends."""


@attrs.define(eq=False)
class OpenContent:
    """An open attachment."""

    inode: int
    """Its inode."""
    node: AttachmentFile
    """Which one."""
    content: Content | None
    """Its bytes, as far as they are there; None as long as the kernel has not asked for any that it lacks."""
    pid: int
    """Process that opened it: reads do not say who reads."""
    streaming: bool = False
    """Whether it holds one of the few seats of those that are read while they arrive."""


Handle = OpenDirectory | OpenText | OpenContent


class HandleTable:
    """File handles by their number; a number is never used twice."""

    def __init__(self) -> None:
        self._handles: dict[int, Handle] = {}
        self._next = 1

    def add(self, handle: Handle) -> int:
        """The number of a new handle."""
        number = self._next
        self._next += 1
        self._handles[number] = handle
        return number

    def get(self, number: int) -> Handle:
        """The handle of that number, which the kernel has from `add`."""
        return self._handles[number]

    def pop(self, number: int) -> Handle:
        """The handle of that number, which ends with this."""
        return self._handles.pop(number)
