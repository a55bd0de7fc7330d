"""Files that people drop into ``Outbox``: written here, and added to the outbox when they are complete.

`Drops` decides when a message is complete. The files end with this process, and a message that is not in the
outbox by then is not sent.
"""

import math
import os
from typing import Final

import trio

from rcfs.engine import Engine
from rcfs.errors import (
    BusyError,
    ConfigError,
    ForbiddenError,
    NoRoomError,
    PlatformError,
    ReadOnlyError,
    StoreError,
    TooLargeError,
)
from rcfs.files._changes import Changes
from rcfs.files._drop_store import DropStore, write
from rcfs.files._openers import OpenDrop
from rcfs.model import Outgoing, Send, SendKind, SendState, country_of
from rcfs.outbox import SendsChanged
from rcfs.tree import (
    OUTBOX,
    Directory,
    DropDirectory,
    DropFile,
    Dropped,
    Drops,
    Node,
    Root,
    Stage,
    drop_of,
    dropped_text,
)

_AGAIN_S: Final = 30.0
"""Time after which a drop is tried again that could not be checked, as without network, in seconds."""
SETTLE_S: Final = 7.0
"""Longest wait of an unmount for drops that are closed, in seconds."""
_MOST_TEXT_BYTES: Final = 64 << 10
"""Most bytes that are read of a text: far more than a message may have."""
_FAILED = """\
This was not sent: {problem}.

Write the file again to try again, or remove it and this text to forget it.
"""
_UNKNOWN = """\
rcfs cannot find out whether this was sent: {problem}.

Look into the mailbox, or ask the recipient. To forget it, remove the file and this text. To send it again,
perhaps for the second time, remove both, and copy the file here again.
"""


class Dropping:
    """The ``Outbox`` of one tree; all methods run in the trio thread."""

    def __init__(self, root: Root, drops: Drops, engine: Engine, changes: Changes) -> None:
        self._root = root
        self._drops = drops
        self._sends = engine.sends
        self._recorder = engine.recorder
        self._changes = changes
        directory = engine.sends.directory
        self._store = None if directory is None else DropStore(directory)
        self._preparing = trio.Lock()
        self._offset_s = engine.wall_clock() - trio.current_time()
        self._cancelling: set[str] = set()
        """Ids of messages that are being forgotten because somebody removes their files."""
        self._woken = trio.Event()
        self._looked = trio.Event()

    def _now_s(self) -> float:
        # Nobody sets this clock, so a drop is never quiet too early.
        return self._offset_s + trio.current_time()

    # Files

    async def create(self, parent: Node, name: str) -> tuple[DropFile, OpenDrop]:
        """A new file, open for writing; raises as `Drops.create`, or StoreError."""
        store = await self._prepared()
        file = self._drops.create((*_path_of(parent), name), self._now_s())
        file.writers += 1
        try:
            descriptor = await trio.to_thread.run_sync(lambda: store.open(file.number, new=True))
        except BaseException:
            file.writers -= 1
            if file.drop is not None:
                self._drops.remove((*_path_of(parent), name), self._now_s())
            raise
        return file, OpenDrop(file, descriptor, writes=True, appends=False)

    async def open(self, file: DropFile, flags: int) -> OpenDrop:
        """Opens a file; raises as `Drops.begin_write` and `DropStore.open`."""
        store = await self._prepared()
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR))
        if writes:
            self._drops.begin_write(file, self._now_s())
            self._woken.set()
        try:
            descriptor = await trio.to_thread.run_sync(store.open, file.number)
        except BaseException:
            if writes:
                self._drops.end_write(file, self._now_s())
            raise
        opener = OpenDrop(file, descriptor, writes, bool(flags & os.O_APPEND))
        if writes and flags & os.O_TRUNC:
            await trio.to_thread.run_sync(os.ftruncate, descriptor, 0)
            self._drops.wrote(file, 0, self._now_s())
        return opener

    @staticmethod
    async def read(opener: OpenDrop, off: int, size: int) -> bytes:
        """Up to `size` bytes from `off` on; fewer only at the end."""
        return await trio.to_thread.run_sync(os.pread, opener.descriptor, size, off)

    async def write(self, opener: OpenDrop, off: int, data: bytes) -> int:
        """Writes bytes, and returns their number; raises as `Drops.require_growth`."""
        file = opener.file
        at = file.size_bytes if opener.appends else off
        size_bytes = max(file.size_bytes, at + len(data))
        try:
            self._drops.require_growth(file, size_bytes)
            await trio.to_thread.run_sync(write, opener.descriptor, data, at)
        except (TooLargeError, NoRoomError):
            file.is_cut = True
            raise
        self._drops.wrote(file, max(file.size_bytes, size_bytes), self._now_s())
        return len(data)

    async def truncate(self, file: DropFile, size_bytes: int) -> None:
        """Sets the size of a file; raises as `Drops.require_growth` and `DropStore.open`."""
        self._drops.require_growth(file, size_bytes)
        store = await self._prepared()
        await trio.to_thread.run_sync(store.truncate, file.number, size_bytes)
        self._drops.wrote(file, size_bytes, self._now_s())
        self._woken.set()

    def set_times(self, file: DropFile, mtime_s: float | None) -> None:
        """Sets the time of a file, if given, and notes that it is not quiet yet."""
        if mtime_s is not None:
            file.mtime_s = mtime_s
        self._drops.touch(file, self._now_s())

    def close(self, opener: OpenDrop) -> None:
        """Ends one open of a file."""
        os.close(opener.descriptor)
        if opener.writes:
            self._drops.end_write(opener.file, self._now_s())
            self._woken.set()

    # Names

    def make_directory(self, parent: Node, name: str) -> Directory:
        """A new directory; raises as `Drops.make_folder`."""
        made = self._drops.make_folder((*_path_of(parent), name), self._now_s())
        return DropDirectory(drops=self._drops, path=made.path)

    def remove_directory(self, parent: Node, name: str) -> None:
        """Removes an empty directory; raises as `Drops.remove_folder`."""
        path = (*_path_of(parent), name)
        if len(path) != 2:
            raise ReadOnlyError("the directories in Outbox stay")
        self._drops.remove_folder(path)

    async def remove(self, parent: Node, name: str) -> None:
        """Removes a file or a report; a message that waits is not sent then.

        Raises:
            BusyError: Its message is being sent.
            FileError: As `Drops.remove`.
            StoreError: The outbox cannot be written.
        """
        path = (*_path_of(parent), name)
        found = self._drops.find(path)
        entry = found.drop if isinstance(found, DropFile) else None
        if entry is not None and entry.stage is Stage.TAKEN:
            raise BusyError("the message is being added to the outbox; try again")
        if entry is not None and entry.send_id:
            await self._stop(entry.send_id)
        self._erase(self._drops.remove(path, self._now_s()))
        self._woken.set()

    def rename(self, parents: tuple[Node, Node], name: str, new_name: str) -> None:
        """Gives a file or directory another name or place; raises as `Drops.rename`."""
        before, after = _path_of(parents[0]), _path_of(parents[1])
        self._erase(self._drops.rename((*before, name), (*after, new_name), self._now_s()))
        self._woken.set()

    async def _stop(self, send_id: str) -> None:
        """Makes the outbox forget a message.

        Raises:
            BusyError: Its request was sent, and has no answer yet.
        """
        self._cancelling.add(send_id)
        try:
            if not await self._sends.drop(send_id) and self._sends.find(send_id) is not None:
                raise BusyError("the message is being sent; it is too late to stop it")
        finally:
            self._cancelling.discard(send_id)

    def _erase(self, *files: DropFile | None) -> None:
        numbers = [file.number for file in files if file is not None]
        if self._store is not None:
            self._store.remove(numbers)

    async def _prepared(self) -> DropStore:
        """The store, ready for use.

        Raises:
            StoreError: Nothing can be kept.
        """
        if self._store is None:
            raise StoreError("files for Outbox cannot be kept")
        async with self._preparing:
            if not self._store.is_ready:
                await trio.to_thread.run_sync(self._store.prepare)
        return self._store

    # Messages

    async def run(self) -> None:
        """Adds drops to the outbox as soon as they are complete, until it is cancelled."""
        stop = self._sends.changes.subscribe(self._hear)
        try:
            try:
                await self._prepared()  # It also erases what killed processes have left.
            except StoreError as exc:
                self._recorder.fault("send", str(exc))
            while True:
                self._woken = trio.Event()
                self._tell(*self._drops.forgotten)
                self._drops.forgotten.clear()
                for entry in self._drops.due(self._now_s()):
                    await self._add(entry)
                self._looked.set()
                self._looked = trio.Event()
                next_s = self._drops.next_s
                with trio.move_on_after(math.inf if next_s is None else max(0.0, next_s - self._now_s())):
                    await self._woken.wait()
        except trio.Cancelled:
            if self._store is not None:
                self._store.close()
            raise
        finally:
            stop()

    async def settle(self) -> None:
        """Returns when all that is closed and complete is in the outbox, and was sent, `SETTLE_S` at most.

        It does not wait for a message that has to wait for longer, as without network.
        """
        with trio.move_on_after(SETTLE_S):  # noqa: ASYNC912 - there may be nothing to wait for
            while self._is_moving():
                await self._looked.wait()
        left = sum(each.stage is not Stage.QUEUED for each in self._drops.entries.values())
        if left:
            self._recorder.fault("send", f"{left} files or directories in Outbox were not sent, and are gone")

    def _is_moving(self) -> bool:
        next_s = self._drops.next_s
        sends = [self._sends.find(each.send_id) for each in self._drops.entries.values()]
        return (
            (next_s is not None and next_s < self._now_s() + SETTLE_S)
            or any(each.stage is Stage.TAKEN for each in self._drops.entries.values())
            or any(not each.state.is_settled and not each.problem for each in sends if each is not None)
        )

    async def _add(self, entry: Dropped) -> None:
        entry.stage = Stage.TAKEN
        try:
            send = await self._added(entry)
        except (ValueError, ForbiddenError, ConfigError) as exc:
            self._fail(entry, str(exc))
        except StoreError as exc:
            self._fail(entry, f"{exc}, but the outbox may have it; see `rcfs outbox`")
        except PlatformError as exc:
            self._recorder.failure("send", exc)
            self._drops.postpone(entry, self._now_s() + _AGAIN_S)
        except BaseException:
            self._drops.postpone(entry, math.inf)
            raise
        else:
            if send is not None:
                self._drops.queue(entry, send.id)
                self._show(self._sends.find(send.id), entry)

    async def _added(self, entry: Dropped) -> Send | None:
        """The message in the outbox that a drop has become; None if an earlier try is not over.

        Raises:
            ValueError, ConfigError, ForbiddenError: It cannot be sent; the text says why.
            PlatformError: That cannot be found out now.
            StoreError: The outbox failed.
        """
        store = await self._prepared()
        if entry.send_id:
            try:
                await self._stop(entry.send_id)
            except BusyError:
                self._drops.postpone(entry, self._now_s() + _AGAIN_S)
                return None
            entry.send_id = ""
        country = ""
        if entry.path[0] != "Page" and not all(
            each.strip().startswith("+") for each in entry.path[1].split(",")
        ):
            country = country_of(await self._sends.numbers())
        texts: list[DropFile] = []
        files: list[tuple[str, int]] = []
        kinds: set[SendKind] = set()
        recipients: tuple[str, ...] = ()
        for name, file in entry.sendable():
            if file.is_cut:
                raise ValueError(f"{name} is not whole: the program that wrote it was ended, or had no room")
            drop = drop_of((*entry.path, name) if entry.is_folder else entry.path, country)
            if drop is None:
                continue
            recipients = drop.recipients
            kinds.add(drop.kind)
            if drop.is_text:
                texts.append(file)
            else:
                files.append((name, file.number))
        if len(texts) > 1:
            raise ValueError("a message has one text, and there are several .txt files")
        kind = SendKind.MMS if SendKind.MMS in kinds else kinds.pop()
        text = ""
        if texts:
            data = await trio.to_thread.run_sync(store.read, texts[0].number, _MOST_TEXT_BYTES + 1)
            if len(data) > _MOST_TEXT_BYTES:
                raise ValueError("the text is far too long for a message")
            text = dropped_text(data)
        sender, parties = await self._sends.parties(kind, recipients)
        described, paths = await trio.to_thread.run_sync(store.described, kind, files)
        try:
            return await self._sends.add(Outgoing(kind, parties, sender, text, described), paths)
        finally:
            store.forget(paths)

    def _hear(self, event: SendsChanged) -> None:
        self._woken.set()
        for send in event.changed:
            entry = self._drops.sent_as(send.id)
            if entry is not None and entry.stage in (Stage.QUEUED, Stage.FAILED, Stage.UNKNOWN):
                self._show(send, entry)
        for send in event.gone:
            entry = self._drops.sent_as(send.id)
            if entry is None or send.id in self._cancelling:
                continue
            if entry.stage in (Stage.QUEUED, Stage.UNKNOWN):
                self._show(None, entry)
            else:
                entry.send_id = ""  # The file stays, as it was refused, or is being written again.

    def _show(self, send: Send | None, entry: Dropped) -> None:
        """Shows how far the message of a drop is; None if the outbox has forgotten it."""
        if send is None or send.state is SendState.SENT:
            before = self._paths(entry)
            self._erase(*self._drops.finish(entry))
            self._tell(*before)
        elif send.state is SendState.REFUSED:
            self._fail(entry, send.problem)
        elif send.state is SendState.UNKNOWN:
            self._fail(entry, send.problem, is_unknown=True)
        else:
            self._drops.queue(entry, send.id)
            self._woken.set()

    def _fail(self, entry: Dropped, problem: str, *, is_unknown: bool = False) -> None:
        text = (_UNKNOWN if is_unknown else _FAILED).format(problem=problem.rstrip("."))
        before = self._paths(entry)
        self._drops.fail(entry, text, self._now_s(), is_unknown=is_unknown)
        self._tell(*before, *self._paths(entry))

    def _paths(self, entry: Dropped) -> list[tuple[str, ...]]:
        """The paths of a drop, its files and its reports."""
        files = [(*entry.path, name) for name in entry.files] if entry.is_folder else []
        return [*files, entry.path, *self._drops.reports_of(entry.path)]

    def _tell(self, *paths: tuple[str, ...]) -> None:
        """Tells the listeners that something changed at paths below ``Outbox``."""
        owner_id = self._drops.owner_id()
        name = None if owner_id is None else self._root.name_of(owner_id)
        if name is not None:
            self._changes.changed({(name, OUTBOX, *path) for path in paths})


def _path_of(directory: Node) -> tuple[str, ...]:
    """The path of a directory of ``Outbox``.

    Raises:
        ReadOnlyError: It is another directory.
    """
    if not isinstance(directory, DropDirectory):
        raise ReadOnlyError("files can be written in Outbox only")
    return directory.path
