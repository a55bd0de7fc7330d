"""The changes of messages that programs make in a tree: marked, deleted, restored, and purged.

Programs delete a message or a conversation file by file, see `Vanishing`; the removal of its directory
deletes it. All else is an intent in the `Outbox` before the call returns.
"""

from collections.abc import Awaitable, Collection
from typing import Final

import trio

from rcfs.engine import Engine
from rcfs.errors import (
    DeadlineError,
    ForbiddenError,
    InvalidNameError,
    NoDirectoryError,
    NotEmptyError,
    NotFoundError,
    NotPermittedError,
    ReadOnlyError,
)
from rcfs.files._changes import Changes
from rcfs.files._readers import Asker
from rcfs.files._vanishing import NOWHERE, Place, Vanishing, Walkers, page_without
from rcfs.model import READ, UNREAD, Availability, Message
from rcfs.tree import (
    CONVERSATIONS,
    TRASH,
    AttachmentFile,
    Directory,
    Entry,
    FolderDirectory,
    Link,
    MailboxDirectory,
    MessageDirectory,
    MessageFile,
    Node,
    Root,
    ViewDirectory,
    alive_home,
    message_id_of,
)
from rcfs.tree import UNREAD as UNREAD_VIEW

READ_STATUS: Final = "user.rcfs.read_status"
"""The extended attribute that marks messages."""
MIRRORS: Final = frozenset({"rsync", "rclone", "unison"})
"""Programs that make a directory equal to another one, by their names in the kernel. With source and target
exchanged they would delete all messages that the other directory lacks, and mark the others as in there."""
_WHOLE = frozenset({"Thunar", "thunar"})
"""Programs that remove a directory that is not empty, and mean all of it. Thunar finds no trash of the file
system, asks whether to delete for good, and tries rmdir(2) alone (measured 2026-11, Thunar 4.18)."""
_PAGE = 1000
"""Entries of a directory that are read together: a conversation may have 50,000."""
TELL_EVERY_S = 60.0
"""Shortest time between two equal lines in the list of errors, in seconds: `rm -r` tries each file."""
FLUSH_S = 10.0
"""Longest wait of fsync(2), and of an unmount, for the outbox, in seconds. During fsync(2) the kernel holds a
lock of the directory."""
_ALONE = (
    "a file of a message cannot be deleted alone, since RingCentral deletes messages as a whole; delete its"
    " directory (rm -r)"
)
_MIRRORED = "rsync and similar programs change no messages in a mount; use rm -r or setfattr"
_UNMARKED = (
    f"{READ_STATUS} is set of a message, a month, a conversation or a file of a message, not of anything else"
)
_PURGES = "what is in Trash is deleted for good only with `rcfs mount --allow-purge`"
_PURGED = "the platform has deleted this message already; what you see is kept on this machine"
_ELSEWHERE = (
    "messages can be moved into the Trash of their mailbox, and out of it to the directory where they were"
)


class Changing:
    """The changes of messages in one tree; all methods run in the trio thread."""

    def __init__(self, root: Root, engine: Engine, changes: Changes) -> None:
        """Changes messages of `engine`, if its rules allow that, which `root` shows."""
        self._root = root
        self._engine = engine
        self._changes = changes
        self._rules = engine.outbox.rules
        self._vanishing = Vanishing[Place]()
        """The files of messages, and the entries of conversations."""
        self._emptied = Vanishing[Place]()
        """Folders whose messages a program has deleted, and which are there until it removes them as well."""
        self._walkers = Walkers()
        self._told_s: dict[str, float] = {}
        self._begun = trio.Event()

    def has(self, directory: Node) -> bool:
        """Whether a directory is of a mailbox in which programs may change messages."""
        return self._rules.read_write and isinstance(directory, MailboxDirectory)

    # Hidden entries

    def find(self, directory: Directory, name: str) -> Node | None:
        """The node that a directory shows under a name; see `Directory.find`."""
        if name in self._hidden_in(directory):
            return None
        node = directory.find(name)
        if node is None and isinstance(directory, ViewDirectory):
            folder = directory.folder(name)
            return folder if _place(folder) in self._emptied else None
        return node

    def page(self, directory: Directory, after: int, limit: int) -> list[Entry]:
        """At most `limit` entries that a directory shows after a cursor; see `Directory.page`."""
        return page_without(self._hidden_in(directory), directory, after, limit)

    def edition(self, directory: Directory) -> str | None:
        """A text that changes whenever `page` may give other names; see `Directory.edition`."""
        edition = directory.edition
        return edition and f"{edition} {self._vanishing.edition}"

    def listed(self, directory: Directory, asker: Asker) -> None:
        """Notes that a program lists a directory: it may be about to delete it."""
        if self._rules.read_write and _goes_by_files(directory):
            self._walkers.seen(asker.process(), trio.current_time())

    def _hidden_in(self, directory: Directory) -> Collection[str]:
        return self._vanishing.names(_place(directory))

    async def run(self) -> None:
        """Lets hidden entries come back in time, until it is cancelled."""
        while True:
            await self._begun.wait()
            self._begun = trio.Event()
            while due := [at for at in (self._vanishing.next_s, self._emptied.next_s) if at is not None]:
                await trio.sleep_until(min(due))
                for place, count in self._vanishing.overdue(trio.current_time()):
                    self._engine.recorder.fault("change", f"{place}: {_came_back(count)}")
                for place, _count in self._emptied.overdue(trio.current_time()):
                    self._changes.changed(
                        [(self._root.name_of(place.owner_id) or "", place.view, place.name)]
                    )

    # Changes

    async def remove(self, parent: Node, name: str, asker: Asker) -> None:
        """Hides a file of a message or an entry of a conversation, or marks a message in ``Unread`` as read.

        Raises:
            NotPermittedError: It can only vanish together with its directory, and `asker` does not seem to
                remove that; or `_allow_deletion`.
            NotFoundError: There is no such entry.
            ForbiddenError, StoreError: As `Outbox.mark`.
        """
        directory, node = self._entry(parent, name)
        message_id = message_id_of(name)
        if isinstance(node, Link) and message_id is not None and _view_of(directory) == UNREAD_VIEW:
            self._require(directory.owner_id)
            await _made(self._engine.outbox.mark(directory.owner_id, [message_id], read=True))
            return
        if not _goes_by_files(directory):
            raise self._refused("this link shows a message that is elsewhere; delete its directory (rm -r)")
        if isinstance(directory, MessageDirectory):
            self._allow_deletion(directory.owner_id, directory.message())
        else:
            self._require(directory.owner_id)
        if asker.reader().name in MIRRORS:
            raise self._refused(_MIRRORED)
        if not self._walkers.removes(asker.process(), trio.current_time()):
            raise self._refused(_ALONE)
        self._vanishing.hide(_place(directory), name, trio.current_time())
        self._begun.set()

    async def remove_directory(self, parent: Node, name: str, asker: Asker) -> tuple[str, ...]:
        """Deletes a message or conversation whose files are all hidden, or removes an empty month; its name.

        Raises:
            NotEmptyError: Something in it is not hidden.
            NotPermittedError: As `_allow_deletion`.
            NotFoundError: There is no such directory.
            ForbiddenError, StoreError: As `Outbox.trash`.
        """
        directory, node = self._entry(parent, name)
        if not isinstance(node, Directory):
            raise NoDirectoryError("only directories can be removed like this")
        if self.page(node, 0, _PAGE) and not (_goes_by_files(node) and asker.reader().name in _WHOLE):
            raise NotEmptyError("the directory is not empty")
        if isinstance(node, MessageDirectory) and isinstance(directory, FolderDirectory):
            await self._delete(directory, node)
        elif isinstance(node, FolderDirectory) and node.view == CONVERSATIONS:
            await self._delete_conversation(node)
        self._vanishing.drop(_place(node))
        self._emptied.drop(_place(node))
        return (name,)

    async def move(self, parents: tuple[Node, Node], name: str, new_name: str, *, exchange: bool) -> None:
        """Moves a message into the trash, or out of it; it keeps its name, whatever `new_name` is.

        Raises:
            NotPermittedError: It can be moved nowhere else.
            NotFoundError: There is no such message.
            NotEmptyError: Another message has that name.
            InvalidNameError: `exchange` is set.
            ForbiddenError, StoreError: As `Outbox.trash`.
        """
        source, node = self._entry(parents[0], name)
        target = parents[1]
        if exchange:
            raise InvalidNameError("two messages cannot exchange their names")
        if not isinstance(node, MessageDirectory) or not isinstance(source, FolderDirectory):
            raise self._refused(_ELSEWHERE)
        if not isinstance(target, (FolderDirectory, ViewDirectory)) or target.owner_id != node.owner_id:
            raise self._refused(_ELSEWHERE)
        message = node.message()
        if message is None:
            raise NotFoundError("the message is gone")
        if target.find(new_name) is not None:
            raise NotEmptyError("another message has this name")
        self._require(node.owner_id)
        is_trashed = message.availability == Availability.DELETED
        if target.view == TRASH and message.availability == Availability.ALIVE:
            await _made(self._engine.outbox.trash(node.owner_id, [node.message_id]))
            self._note_emptied(source)
        elif is_trashed and _belongs(message, target):
            await _made(self._engine.outbox.restore(node.owner_id, [node.message_id]))
        else:
            raise self._refused(_ELSEWHERE)
        self._vanishing.drop(_place(node))

    async def set_xattr(self, node: Node, name: str, value: bytes, asker: Asker) -> None:
        """Marks a message, or all messages of a directory, as read or unread.

        Raises:
            ReadOnlyError: Programs cannot set this attribute here.
            NotPermittedError: `asker` copies attributes of other files.
            InvalidNameError: The value is neither ``Read`` nor ``Unread``.
            ForbiddenError, StoreError: As `Outbox.mark`.
        """
        if not self._rules.read_write or name != READ_STATUS:
            raise ReadOnlyError("programs cannot set this attribute")
        match node:
            case MessageDirectory() | MessageFile():
                owner_id, ids = node.owner_id, [node.message_id]
            case AttachmentFile():
                owner_id, ids = node.key.extension_id, [node.key.message_id]
            case FolderDirectory():
                owner_id, ids = node.owner_id, await trio.to_thread.run_sync(node.message_ids)
            case _:
                self._tell(_UNMARKED)
                raise ReadOnlyError(_UNMARKED)
        status = value.decode("utf-8", "replace").strip().capitalize()
        if status not in (READ, UNREAD):
            raise InvalidNameError(f"the read status of a message is {READ} or {UNREAD}")
        if asker.reader().name in MIRRORS:
            raise self._refused(_MIRRORED)
        self._require(owner_id)
        if ids:
            await _made(self._engine.outbox.mark(owner_id, ids, read=status == READ))

    async def flush(self) -> None:
        """Returns when all changes are sent.

        Raises:
            DeadlineError: They are not, within some seconds.
            StoreError: The outbox fails.
        """
        left = 0 if not self._rules.read_write else await self._engine.outbox.flush(FLUSH_S)
        if left:
            raise DeadlineError(f"{left} changes of messages are not sent yet; `rcfs status` says why")

    # Steps

    async def _delete(self, folder: FolderDirectory, node: MessageDirectory) -> None:
        """Moves a message to the trash, or purges it if it is there."""
        self._allow_deletion(node.owner_id, node.message())
        outbox = self._engine.outbox
        if folder.view == TRASH:
            await _made(outbox.purge(node.owner_id, [node.message_id]))
        else:
            await _made(outbox.trash(node.owner_id, [node.message_id]))
        self._note_emptied(folder)

    async def _delete_conversation(self, folder: FolderDirectory) -> None:
        self._require(folder.owner_id)
        conversation_id = folder.conversation_id()
        if conversation_id:
            await _made(self._engine.outbox.delete_conversations(folder.owner_id, [conversation_id]))
        elif ids := await trio.to_thread.run_sync(folder.message_ids):
            await _made(self._engine.outbox.trash(folder.owner_id, ids))

    def _note_emptied(self, folder: FolderDirectory) -> None:
        """Lets a folder stay, if its last message was deleted, until its own removal."""
        if folder.name and folder.row is None:
            self._emptied.hide(_place(folder), "", trio.current_time())
            self._begun.set()

    def _entry(self, parent: Node, name: str) -> tuple[MailboxDirectory, Node]:
        node = self.find(parent, name) if isinstance(parent, Directory) and parent.is_known else None
        if node is None or not isinstance(parent, MailboxDirectory):
            raise NotFoundError("there is no such entry")
        return parent, node

    # Permissions

    def _require(self, owner_id: int) -> None:
        """Returns if nobody knows that messages of a mailbox may not be changed.

        Raises:
            ForbiddenError: They may not.
        """
        because = self._engine.outbox.refusal(owner_id)
        if because:
            text = f"messages of extension {owner_id} cannot be changed: {because}"
            self._tell(text)
            raise ForbiddenError(text)

    def _allow_deletion(self, owner_id: int, message: Message | None) -> None:
        """Returns if a message may be deleted here.

        Raises:
            NotPermittedError: It is purged, or it is in the trash and programs may not purge.
            ForbiddenError: As `_require`.
        """
        self._require(owner_id)
        if message is not None and message.availability == Availability.PURGED:
            raise self._refused(_PURGED)
        is_trashed = message is not None and message.availability == Availability.DELETED
        if is_trashed and not self._rules.allow_purge:
            raise self._refused(_PURGES)

    def _refused(self, because: str) -> NotPermittedError:
        self._tell(because)
        return NotPermittedError(because)

    def _tell(self, because: str) -> None:
        """Lists an error, since the program sees only its number."""
        now_s = trio.current_time()
        if self._told_s.get(because, now_s - TELL_EVERY_S) <= now_s - TELL_EVERY_S:
            self._told_s[because] = now_s
            self._engine.recorder.fault("change", because)


async def _made(change: Awaitable[None]) -> None:
    """Makes a change of the outbox.

    Raises:
        NotFoundError: A message is gone, since it was looked up.
        ForbiddenError, StoreError: As `Outbox.mark`.
    """
    try:
        await change
    except ValueError as exc:
        raise NotFoundError(str(exc)) from exc


def _place(directory: Directory) -> Place:
    match directory:
        case MessageDirectory():
            return Place(directory.owner_id, message_id=directory.message_id)
        case FolderDirectory():
            return Place(directory.owner_id, directory.view, directory.name)
        case _:
            return NOWHERE


def _goes_by_files(directory: Directory) -> bool:
    """Whether the entries of a directory vanish one by one, and what it stands for with the directory."""
    return isinstance(directory, MessageDirectory) or _view_of(directory) == CONVERSATIONS


def _view_of(directory: Directory) -> str:
    """The view of a folder; empty for other directories."""
    return directory.view if isinstance(directory, FolderDirectory) else ""


def _came_back(count: int) -> str:
    files = "1 file was" if count == 1 else f"{count} files were"
    return (
        f"{files} removed, and not the directory; all is there again, since RingCentral deletes messages as a"
        " whole"
    )


def _belongs(message: Message, target: FolderDirectory | ViewDirectory) -> bool:
    """Whether `target` is where a message is shown while it is not in the trash, or the view above."""
    home = alive_home(message)
    return target.view == home.view and (isinstance(target, ViewDirectory) or target.name == home.key)
