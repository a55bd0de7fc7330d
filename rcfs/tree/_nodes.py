"""What a directory entry can be: a directory, a file whose text is known, an attachment, a link.

Nodes are compared by identity: the file system gives each its inode, so the same file must stay the same
object. Directories keep what they built. When a mailbox is filled anew, `Directory` objects stay and take
over what has changed, down to the last directory that somebody has looked into; a file stays the same
node exactly when its bytes do, because the kernel keeps the pages of an inode for ever.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar

import attrs

from rcfs.model import Attachment, ContentKey, Message
from rcfs.tree._facts import attachment_xattrs, message_xattrs
from rcfs.tree._media import estimated_size
from rcfs.tree._times import Times

S = TypeVar("S")

_LARGEST_CLAIM = (1 << 31) - 1
"""``size`` of an attachment record is an int32. Source: schema MessageAttachmentInfo."""


@attrs.define(eq=False, kw_only=True)
class Node:
    """One directory entry; the base of all."""

    mode: ClassVar[int]
    """Permission bits."""
    times: Times
    """The times to show."""

    @property
    def mtime_s(self) -> float:
        """When the content was made, in seconds since 1970-01-01 UTC."""
        return self.times.mtime_s

    @property
    def ctime_s(self) -> float:
        """When anything about the entry changed last, in seconds since 1970-01-01 UTC."""
        return self.times.ctime_s

    def xattrs(self) -> dict[str, str]:
        """The extended attributes, by their names with ``user.rcfs.``; facts that are absent are left out."""
        return {}

    def absorb(self, new: "Node", changes: "list[Change]") -> bool:
        """Become `new`, which has the same name in the same directory, if that is the same thing.

        Args:
            new: A node that nobody has seen yet.
            changes: Takes what changed further down.

        Returns:
            False when this node cannot become `new`, which must then take its place; nothing changed.
        """
        del new, changes
        return False


@attrs.frozen
class Change:
    """A name that appeared in a directory, went away, or means another node than before."""

    directory: "Directory"
    """Where."""
    name: str
    """Which."""


@attrs.define(eq=False, kw_only=True)
class Directory(Node):
    """A directory; the base of all."""

    mode: ClassVar[int] = 0o500
    nlink: ClassVar[int] = 1
    """Says "not counted", as btrfs does: counting would build every directory that is only looked at."""

    @property
    def mailbox_id(self) -> int | None:
        """Id of the extension whose mailbox is to be loaded before a listing; None where none is."""
        return None

    @property
    def is_known(self) -> bool:
        """Whether `entries` can be answered; False below an extension directory until it is filled."""
        return True

    def entries(self) -> Mapping[str, Node]:
        """The entries by name, in the order to list them; the same nodes at every call.

        Raises:
            RuntimeError: The mailbox has not been loaded (`is_known` is False).
        """
        raise NotImplementedError


@attrs.define(eq=False, kw_only=True)
class FixedDirectory(Directory):
    """A directory whose entries never change."""

    _entries: Mapping[str, Node]

    def entries(self) -> Mapping[str, Node]:
        return self._entries


@attrs.define(eq=False, kw_only=True)
class Shelf:
    """What all nodes of one mailbox share."""

    extension_id: int
    """Whose mailbox it is."""
    fallback_s: float
    """The time of what has none."""
    account_id: str = ""
    """Decimal account id; empty until the mailbox is loaded."""
    learned: dict[ContentKey, int] = attrs.field(factory=dict)
    """Exact sizes in bytes that fetching has told."""

    def key(self, message: Message, attachment: Attachment) -> ContentKey:
        """The identity of the content of `attachment`, which belongs to `message`."""
        return ContentKey(self.account_id, self.extension_id, message.id, attachment.id)


@attrs.define(eq=False, kw_only=True)
class MailboxDirectory(Directory, Generic[S]):
    """A directory below an extension directory: made from a part of the mailbox when it is needed."""

    shelf: Shelf
    source: S | None = None
    """What the entries are made from; None until the mailbox is loaded."""
    _entries: dict[str, Node] | None = attrs.field(default=None, init=False)

    @property
    def mailbox_id(self) -> int | None:
        return self.shelf.extension_id

    @property
    def is_known(self) -> bool:
        return self.source is not None

    def entries(self) -> Mapping[str, Node]:
        if self.source is None:
            raise RuntimeError(f"the mailbox of extension {self.shelf.extension_id} has not been loaded")
        if self._entries is None:
            self._entries = self.build(self.source)
        return self._entries

    def refill(self, source: S, times: Times, changes: list[Change]) -> None:
        """Take `source` from now on; what somebody has looked into is brought up to date at once."""
        self.times = times
        if source == self.source:
            return
        self.source = source
        if self._entries is not None:
            old, new = self._entries, self.build(source)
            self._entries = {name: reconciled(old.get(name), node, changes) for name, node in new.items()}
            changes.extend(differences(self, old, self._entries))

    def absorb(self, new: Node, changes: list[Change]) -> bool:
        if type(new) is not type(self) or new.source is None:
            return False
        self.refill(new.source, new.times, changes)
        return True

    def build(self, source: S) -> dict[str, Node]:
        """New nodes made from `source`, by name, in the order to list them."""
        raise NotImplementedError


@attrs.define(eq=False, kw_only=True)
class TextFile(Node):
    """A file whose bytes follow from metadata: it costs no request."""

    mode: ClassVar[int] = 0o400
    source: object
    """What the bytes are made from."""
    render: Callable[[Any], bytes]
    """Makes the bytes from `source`, always the same."""
    message: Message | None = None
    """The message that the file belongs to; None when it belongs to none or to several."""
    _size_bytes: int | None = attrs.field(default=None, init=False)

    def content(self) -> bytes:
        """The bytes, rendered anew at every call."""
        data = self.render(self.source)
        self._size_bytes = len(data)
        return data

    @property
    def size_bytes(self) -> int:
        """Exact size in bytes; only the first question renders."""
        return len(self.content()) if self._size_bytes is None else self._size_bytes

    def xattrs(self) -> dict[str, str]:
        return {} if self.message is None else message_xattrs(self.message)

    def absorb(self, new: Node, changes: list[Change]) -> bool:  # noqa: ARG002 - as in Node
        if not isinstance(new, TextFile) or new.render is not self.render or new.source != self.source:
            return False
        self.times, self.message = new.times, new.message
        return True


@attrs.define(eq=False, kw_only=True)
class AttachmentFile(Node):
    """A file whose bytes the platform has: reading it may cost a request."""

    mode: ClassVar[int] = 0o400
    shelf: Shelf
    message: Message
    """The message that it belongs to."""
    attachment: Attachment
    """Its record."""

    @property
    def key(self) -> ContentKey:
        """The identity of the bytes."""
        return self.shelf.key(self.message, self.attachment)

    @property
    def size_bytes(self) -> int:
        """The size in bytes: exact if `size_is_exact`, else an estimate that is rather too large."""
        exact = self._exact_bytes()
        return estimated_size(self.message, self.attachment) if exact is None else exact

    @property
    def size_is_exact(self) -> bool:
        """Whether the record or a fetch has told the size."""
        return self._exact_bytes() is not None

    def learn(self, size_bytes: int) -> None:
        """Show `size_bytes` from now on: the exact size that a fetch has told."""
        self.shelf.learned[self.key] = size_bytes

    def xattrs(self) -> dict[str, str]:
        # The key is what cache, pins and the record of fetches know the bytes by.
        return attachment_xattrs(self.message, self.attachment) | {"user.rcfs.key": str(self.key)}

    def absorb(self, new: Node, changes: list[Change]) -> bool:  # noqa: ARG002 - as in Node
        if not isinstance(new, AttachmentFile) or (new.key, new.attachment) != (self.key, self.attachment):
            return False
        self.times, self.message = new.times, new.message
        return True

    def _exact_bytes(self) -> int | None:
        # What a fetch has measured stands over what a record claims.
        learned = self.shelf.learned.get(self.key)
        if learned is not None:
            return learned
        claimed = self.attachment.size_bytes
        # A claim of 0 is checked by a fetch, too: tar and cpio silently archive nothing when told 0.
        return claimed if claimed is not None and 0 < claimed <= _LARGEST_CLAIM else None


@attrs.define(eq=False, kw_only=True)
class Link(Node):
    """A symbolic link."""

    mode: ClassVar[int] = 0o777
    target: str
    """Where it points to, relative to its directory."""

    def absorb(self, new: Node, changes: list[Change]) -> bool:  # noqa: ARG002 - as in Node
        if not isinstance(new, Link) or new.target != self.target:
            return False
        self.times = new.times
        return True


@attrs.define(eq=False, kw_only=True)
class LiveFile(Node):
    """A file that tells about the running program, which renders it whenever it is opened."""

    mode: ClassVar[int] = 0o400
    topic: str
    """What about; one of `LIVE_TOPICS`."""


LIVE_TOPICS = ("status", "status.json", "quota", "queue", "errors", "log")
"""The files of ``.rcfs``."""


def reconciled(old: Node | None, new: Node, changes: list[Change]) -> Node:
    """`old`, brought up to date, if it is the same thing as `new`; else `new`."""
    return old if old is not None and old.absorb(new, changes) else new


def differences(directory: Directory, old: Mapping[str, Node], new: Mapping[str, Node]) -> Iterator[Change]:
    """What became of the names of `directory`, which had the entries `old` and has `new`."""
    return (Change(directory, name) for name in {**old, **new} if old.get(name) is not new.get(name))
