"""Nodes, the kinds of directory entries: directories, texts, contents, links and live files.

Nodes are made on demand and hold the id of a message, not the message. So a million messages take no memory,
and a node always shows the present state of the index. Two nodes of one path differ only in identity.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import attrs

from rcfs.model import Attachment, AttachmentKey, ContentKey, Message, Wanted
from rcfs.tree._catalogue import Shelf
from rcfs.tree._facts import attachment_xattrs
from rcfs.tree._times import Times

_LARGEST_CLAIM = (1 << 31) - 1
"""Largest ``size`` in an attachment record, an int32. Source: schema MessageAttachmentInfo."""
_PAGE = 1000
"""Entries to a page when all entries are needed."""


@attrs.define(eq=False, kw_only=True)
class Node:
    """A directory entry; the base class of all nodes."""

    mode: ClassVar[int]
    """Permission bits before the umask of the mount."""

    @property
    def collection_id(self) -> str | None:
        """Id of the collection that must be loaded before the node is used; None if the node needs none."""
        return None

    @property
    def is_known(self) -> bool:
        """Whether the node can answer: False while its collection is not loaded."""
        return True

    def times(self) -> Times:
        """The times of the node."""
        raise NotImplementedError

    def message(self) -> Message | None:
        """The message that the node belongs to, read now; None if it belongs to none, or that is gone."""
        return None

    def xattrs(self) -> dict[str, str]:
        """The extended attributes by their full names (``user.rcfs.…``), without absent ones."""
        return {}


@attrs.frozen
class Entry:
    """A node with its name in a directory."""

    cursor: int
    """Position in the listing; increases within a directory, and never changes for an entry."""
    name: str
    """The name."""
    node: Node
    """The node."""


@attrs.define(eq=False, kw_only=True)
class Directory(Node):
    """A directory; the base class of all directories."""

    mode: ClassVar[int] = 0o777
    is_quick: ClassVar[bool] = True
    """Whether `find` and `page` take less than a millisecond; otherwise worker threads call them."""
    nlink: ClassVar[int] = 1
    """Link count; 1 means "not counted", as in btrfs: counting would list each directory for its
    attributes."""
    ends_short: ClassVar[bool] = False
    """Whether a page with fewer entries than the limit is the last one, so that no empty page has to
    follow."""

    @property
    def shows_others(self) -> bool:
        """Whether the directory also shows what is no part of its collection.

        Then it is listed even if the login may not read the collection, or if the collection is not loaded
        and there is no network.
        """
        return False

    @property
    def edition(self) -> str | None:
        """A text that changes whenever the names in the listing may change; None if nothing tells that.

        Raises:
            RuntimeError: The collection has not been loaded (`is_known` is False).
        """
        return None

    def find(self, name: str) -> Node | None:
        """The node of that name; None if the directory has no such entry.

        Raises:
            RuntimeError: The collection has not been loaded (`is_known` is False).
        """
        raise NotImplementedError

    def page(self, after: int, limit: int) -> list[Entry]:
        """At most `limit` entries after the cursor `after` (0 for the beginning); empty at the end.

        An entry that exists all the time is listed exactly once, even if others come and go between two
        pages.

        Raises:
            RuntimeError: The collection has not been loaded (`is_known` is False).
        """
        raise NotImplementedError

    def listed_as(self, name: str) -> str:
        """The name in the listing of the entry that `find` finds under `name`."""
        return name

    def volatile_names(self) -> list[str]:
        """Names of the files whose attributes may change when the directory changes."""
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
    """A directory with a fixed set of entries."""

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
    """A file made from records that rcfs already has, so that reading it sends no request."""

    mode: ClassVar[int] = 0o666
    is_quick: ClassVar[bool] = True
    """Whether `content` takes less than a millisecond; the others are made in worker threads."""
    grows: ClassVar[bool] = False
    """Whether the text usually changes by an addition at its end."""
    _times: Times
    size_bytes: int
    """Size in bytes at present; the caller of `content` updates it when the content has another size."""
    size_is_exact: bool = True
    """Whether `size_bytes` is exact; otherwise the collection has not been loaded, and it is an estimate. The
    caller that updates the size sets this as well."""

    def times(self) -> Times:
        return self._times

    def content(self) -> bytes:
        """The present bytes, which may be newer than `size_bytes`; empty if their source is gone.

        Raises:
            RuntimeError: The collection has not been loaded (`is_known` is False).
        """
        raise NotImplementedError

    def pieces(self) -> Iterator[bytes]:
        """The `content` in pieces, so that a long text is never whole in memory; for use by one thread."""
        yield self.content()


@attrs.define(eq=False, kw_only=True)
class FixedText(TextFile):
    """A text that never changes."""

    _data: bytes

    def content(self) -> bytes:
        return self._data


@attrs.define(eq=False, kw_only=True)
class ContentFile(Node):
    """A file whose bytes the platform has, so that reading it may send a request."""

    mode: ClassVar[int] = 0o666
    _times: Times
    key: ContentKey
    """Key of the content."""
    purged: bool = False
    """Whether the platform has purged the content, so that only a cache can hold it."""
    _estimate_bytes: int
    _learned_bytes: int | None = attrs.field(default=None, init=False)

    def times(self) -> Times:
        return self._times

    def size(self) -> tuple[int, bool]:
        """The size in bytes, and whether it is exact, from a fetch or the record.

        Otherwise it is an estimate, which is more likely too large than too small.
        """
        exact = self._exact_bytes()
        return (self._estimate_bytes, False) if exact is None else (exact, True)

    @property
    def size_bytes(self) -> int:
        """The size in bytes, as in `size`."""
        return self.size()[0]

    @property
    def size_is_exact(self) -> bool:
        """Whether the size is exact, as in `size`."""
        return self.size()[1]

    def learn(self, size_bytes: int) -> None:
        """Shows `size_bytes` from now on, the exact size from a fetch."""
        self._learned_bytes = size_bytes

    @property
    def place(self) -> tuple[object, ...]:
        """Equal for files that belong together, such as those of one mailbox and type."""
        raise NotImplementedError

    def wanted(self) -> Wanted:
        """The content, in the form in which a reader asks the library for it."""
        raise NotImplementedError

    def _stored_bytes(self) -> int | None:
        """The exact size from an earlier fetch, as the index of sizes has it; None if it has none."""
        raise NotImplementedError

    def _claimed_bytes(self) -> int | None:
        """The exact size by the record; None if the record has none."""
        return None

    def _exact_bytes(self) -> int | None:
        # A size from a fetch wins over the claim of a record.
        if self._learned_bytes is None:
            self._learned_bytes = self._stored_bytes()
        if self._learned_bytes is not None:
            return self._learned_bytes
        claimed = self._claimed_bytes()
        # A claim of 0 counts as unknown: tar and cpio silently archive nothing of a file of size 0.
        return claimed if claimed is not None and 0 < claimed <= _LARGEST_CLAIM else None


@attrs.define(eq=False, kw_only=True)
class AttachmentFile(ContentFile):
    """An attachment of a message."""

    key: AttachmentKey
    """Key of the content."""
    attachment: Attachment
    """The record of the attachment."""
    _shelf: Shelf

    @property
    def place(self) -> tuple[object, ...]:
        message = self.message()
        return self.key.extension_id, message and message.type

    def wanted(self) -> Wanted:
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
        # The cache, pins and the record of fetches use the key.
        facts = {} if message is None else attachment_xattrs(message, self.attachment)
        return facts | {"user.rcfs.key": str(self.key)}

    def _stored_bytes(self) -> int | None:
        return self._shelf.catalogue.learned_bytes(self.key) if self._shelf.is_known else None

    def _claimed_bytes(self) -> int | None:
        return self.attachment.size_bytes


@attrs.define(eq=False, kw_only=True)
class Link(Node):
    """A symbolic link to the directory of a message, or to a file."""

    mode: ClassVar[int] = 0o777
    _times: Times
    target: str
    """Target, relative to the directory of the link."""

    def times(self) -> Times:
        return self._times


@attrs.define(eq=False, kw_only=True)
class LiveFile(Node):
    """A file about the running program, which renders it at each open."""

    mode: ClassVar[int] = 0o666
    _times: Times
    topic: str
    """Subject of the file, one of `LIVE_TOPICS`."""

    def times(self) -> Times:
        return self._times


@attrs.define(eq=False, kw_only=True)
class RefreshFile(LiveFile):
    """A file that starts a refresh when it is opened; its text says what was refreshed."""

    name: str
    """Name in the root of the directory to refresh, or `REFRESH_ALL`."""


@attrs.define(eq=False, kw_only=True)
class ReaderFile(LiveFile):
    """A file that refuses or releases a process when it is opened; its text says what was done."""

    pid: int
    """The process."""


REFRESH_ALL = ".all"
"""Name for all mailboxes; no directory of an extension has a name with a leading dot."""

LIVE_TOPICS = ("status", "status.json", "quota", "queue", "errors", "log")
"""The files of ``.rcfs``."""


def page_of(entries: Mapping[str, Node], after: int, limit: int) -> list[Entry]:
    """A page of `entries`, whose order must not change; arguments as in `Directory.page`."""
    chosen = list(entries.items())[after : after + limit]
    return [Entry(cursor, name, node) for cursor, (name, node) in enumerate(chosen, start=after + 1)]
