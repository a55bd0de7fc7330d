"""What a directory entry can be: a directory, a file whose text is known, an attachment, a link.

Nodes are made when they are looked for, and hold no message, only its id. So a million messages take no
memory, and what is shown is always what is known now. Two nodes of one path differ in nothing but identity.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import attrs

from rcfs.model import Attachment, AttachmentKey, Message, Wanted
from rcfs.tree._catalogue import Shelf
from rcfs.tree._facts import attachment_xattrs
from rcfs.tree._times import Times

_LARGEST_CLAIM = (1 << 31) - 1
"""``size`` of an attachment record is an int32. Source: schema MessageAttachmentInfo."""
_PAGE = 1000
"""Entries asked for at a time where all are wanted."""


@attrs.define(eq=False, kw_only=True)
class Node:
    """One directory entry; the base of all."""

    mode: ClassVar[int]
    """Permission bits, before the mount's umask takes some away."""

    @property
    def mailbox_id(self) -> int | None:
        """Id of the extension whose mailbox it tells of, which must be loaded then; None for no mailbox."""
        return None

    @property
    def is_known(self) -> bool:
        """Whether it can be asked; False for what tells of a mailbox that is not loaded."""
        return True

    def times(self) -> Times:
        """The times to show."""
        raise NotImplementedError

    def message(self) -> Message | None:
        """The message that it belongs to, read now; None when it belongs to none, or that is gone."""
        return None

    def xattrs(self) -> dict[str, str]:
        """The extended attributes, by their names with ``user.rcfs.``; facts that are absent are left out."""
        return {}


@attrs.frozen
class Entry:
    """A node under its name in a directory."""

    cursor: int
    """Where the listing goes on after it; rises within a directory, and stays the entry's for ever."""
    name: str
    """Its name."""
    node: Node
    """The node."""


@attrs.define(eq=False, kw_only=True)
class Directory(Node):
    """A directory; the base of all."""

    mode: ClassVar[int] = 0o777
    is_quick: ClassVar[bool] = True
    """Whether `find` and `page` take less than a millisecond; others are asked in worker threads."""
    nlink: ClassVar[int] = 1
    """Says "not counted", as btrfs does: counting would list every directory that is only looked at."""
    ends_short: ClassVar[bool] = False
    """Whether a page of fewer entries than were asked for is the last one: then no empty one need follow."""

    def find(self, name: str) -> Node | None:
        """The node of that name; None when there is none.

        Raises:
            RuntimeError: The mailbox has not been loaded (`is_known` is False).
        """
        raise NotImplementedError

    def page(self, after: int, limit: int) -> list[Entry]:
        """At most `limit` entries, those after the cursor `after` (0 for the beginning); empty at the end.

        What is there all the time is listed exactly once, whatever comes and goes between two pages.

        Raises:
            RuntimeError: The mailbox has not been loaded (`is_known` is False).
        """
        raise NotImplementedError

    def listed_as(self, name: str) -> str:
        """What the entry is listed as that `find` finds by `name`."""
        return name

    def volatile_names(self) -> list[str]:
        """Names of the files in it that may change with it."""
        return []

    def entries(self) -> dict[str, Node]:
        """All entries by name, in the order of the listing."""
        found: dict[str, Node] = {}
        after = 0
        while page := self.page(after, _PAGE):
            found.update((entry.name, entry.node) for entry in page)
            after = page[-1].cursor
        return found


@attrs.define(eq=False, kw_only=True)
class FixedDirectory(Directory):
    """A directory whose entries are all at hand."""

    _times: Times
    _entries: Mapping[str, Node]

    def times(self) -> Times:
        return self._times

    def find(self, name: str) -> Node | None:
        return self._entries.get(name)

    def page(self, after: int, limit: int) -> list[Entry]:
        return page_of(self._entries, after, limit)


@attrs.define(eq=False, kw_only=True)
class TextFile(Node):
    """A file whose bytes follow from metadata: it costs no request."""

    mode: ClassVar[int] = 0o666
    is_quick: ClassVar[bool] = True
    """Whether `content` takes less than a millisecond; the others are made in worker threads."""
    grows: ClassVar[bool] = False
    """Whether the text usually changes by an addition at its end."""
    _times: Times
    size_bytes: int
    """Exact size in bytes at present; the caller of `content` updates it when the content has another
    size."""

    def times(self) -> Times:
        return self._times

    def content(self) -> bytes:
        """The bytes as of now, which may be later than `size_bytes`; empty when what they tell of is gone.

        Raises:
            RuntimeError: The mailbox has not been loaded (`is_known` is False).
        """
        raise NotImplementedError

    def pieces(self) -> Iterator[bytes]:
        """The same piece by piece, so that a long text need not be in memory; for one thread, and at once."""
        yield self.content()


@attrs.define(eq=False, kw_only=True)
class AttachmentFile(Node):
    """A file whose bytes the platform has: reading it may cost a request."""

    mode: ClassVar[int] = 0o666
    _times: Times
    key: AttachmentKey
    """The identity of the bytes."""
    attachment: Attachment
    """Its record."""
    purged: bool
    """Whether the platform has purged it, so that only a cache can have it."""
    _estimate_bytes: int
    _shelf: Shelf
    _learned_bytes: int | None = attrs.field(default=None, init=False)

    def times(self) -> Times:
        return self._times

    def size(self) -> tuple[int, bool]:
        """The size in bytes, and whether it is exact: told by the record or a fetch.

        Else it is an estimate that is rather too large.
        """
        exact = self._exact_bytes()
        return (self._estimate_bytes, False) if exact is None else (exact, True)

    @property
    def size_bytes(self) -> int:
        """The size in bytes, as in `size`."""
        return self.size()[0]

    @property
    def size_is_exact(self) -> bool:
        """Whether it is exact, as in `size`."""
        return self.size()[1]

    def learn(self, size_bytes: int) -> None:
        """Show `size_bytes` from now on: the exact size that a fetch has told."""
        self._learned_bytes = size_bytes

    @property
    def place(self) -> tuple[object, ...]:
        """The mailbox and the view that it is in, whichever link led there."""
        message = self.message()
        return self.key.extension_id, message and message.type

    def wanted(self) -> Wanted:
        """Its content, as whoever reads it asks for it."""
        return Wanted(
            self.key,
            self.attachment.uri,
            self.attachment.content_type,
            size_known=self.size_is_exact,
            purged=self.purged,
        )

    def message(self) -> Message | None:
        return self._shelf.read(self.key.message_id)

    def xattrs(self) -> dict[str, str]:
        message = self.message()
        # The key is what cache, pins and the record of fetches know the bytes by.
        facts = {} if message is None else attachment_xattrs(message, self.attachment)
        return facts | {"user.rcfs.key": str(self.key)}

    def _exact_bytes(self) -> int | None:
        # What a fetch has measured stands over what a record claims.
        if self._learned_bytes is None and self._shelf.is_known:
            self._learned_bytes = self._shelf.catalogue.learned_bytes(self.key)
        if self._learned_bytes is not None:
            return self._learned_bytes
        claimed = self.attachment.size_bytes
        # A claim of 0 is checked by a fetch, too: tar and cpio silently archive nothing when told 0.
        return claimed if claimed is not None and 0 < claimed <= _LARGEST_CLAIM else None


@attrs.define(eq=False, kw_only=True)
class Link(Node):
    """A symbolic link to the directory of a message."""

    mode: ClassVar[int] = 0o777
    _times: Times
    target: str
    """Where it points to, relative to its directory."""

    def times(self) -> Times:
        return self._times


@attrs.define(eq=False, kw_only=True)
class LiveFile(Node):
    """A file that tells about the running program, which renders it whenever it is opened."""

    mode: ClassVar[int] = 0o666
    _times: Times
    topic: str
    """What about; one of `LIVE_TOPICS`."""

    def times(self) -> Times:
        return self._times


@attrs.define(eq=False, kw_only=True)
class RefreshFile(LiveFile):
    """A file whose opening is the wish for news, and whose text says what was refreshed."""

    name: str
    """Of what: a name in the root, or `REFRESH_ALL`."""


REFRESH_ALL = ".all"
"""The name that stands for all mailboxes; no extension's name begins with a dot."""

LIVE_TOPICS = ("status", "status.json", "quota", "queue", "errors", "log")
"""The files of ``.rcfs``."""


def page_of(entries: Mapping[str, Node], after: int, limit: int) -> list[Entry]:
    """A page of a directory whose entries are all at hand, and keep their order."""
    chosen = list(entries.items())[after : after + limit]
    return [Entry(cursor, name, node) for cursor, (name, node) in enumerate(chosen, start=after + 1)]
