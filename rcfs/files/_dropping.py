"""Files that people drop into a directory: written here, and used up when they are complete.

`Drops` decides when a drop is complete. The files end with this process, and a drop that was not used by
then is gone. `Dropping` knows files; a subclass knows what a drop becomes.
"""

import math
import os
from collections.abc import Callable
from typing import Final, TypeVar

import trio

from rcfs.engine import Engine
from rcfs.errors import (
    BusyError,
    ConfigError,
    ForbiddenError,
    NoRoomError,
    NotPermittedError,
    PlatformError,
    StoreError,
    TooLargeError,
)
from rcfs.files._changes import Changes, TreePath
from rcfs.files._drop_store import DropStore, write
from rcfs.files._openers import OpenDrop
from rcfs.model import UNSENT
from rcfs.tree import (
    Directory,
    DropDirectory,
    DropFile,
    Dropped,
    Drops,
    Node,
    Stage,
    drop_place,
    is_unfinished,
)

AGAIN_S: Final = 30.0
"""Time after which a drop is tried again that could not be used now, as without network, in seconds."""
SETTLE_S: Final = 7.0
"""Longest wait of an unmount for drops that are closed, in seconds."""
_TELL_EVERY_S: Final = 60.0
"""Shortest time between two equal lines in the list of errors, in seconds: programs try again."""

T = TypeVar("T")


class Dropping:
    """The drops of one tree in the directories of one kind; all methods run in the trio thread."""

    def __init__(self, drops: Drops, engine: Engine, changes: Changes) -> None:
        self._drops = drops
        self._recorder = engine.recorder
        self._changes = changes
        directory = engine.sends.directory
        self._store = None if directory is None else DropStore(directory)
        self._preparing = trio.Lock()
        self._offset_s = engine.wall_clock() - trio.current_time()
        self._told_s: dict[str, float] = {}
        self._woken = trio.Event()
        self._looked = trio.Event()

    # Made by subclasses

    async def _use(self, entry: Dropped) -> None:
        """Makes of a complete drop what it is meant to be.

        Raises:
            ValueError, ConfigError, ForbiddenError: It cannot be; the text says why.
            PlatformError: That cannot be found out now.
            StoreError: The disk failed.
        """
        raise NotImplementedError

    async def _stop(self, send_id: str) -> None:
        """Makes the outbox forget a message; see `OutboxDropping`."""

    def _shown(self, path: tuple[str, ...]) -> TreePath | None:
        """Where the tree shows a path of the drops; None while that is not known."""
        raise NotImplementedError

    def _failed_text(self, problem: str, *, is_unknown: bool) -> str:
        """The text of the report about a drop."""
        raise NotImplementedError

    async def _begin(self) -> None:
        """Makes ready what drops need, before the first of them is used."""

    def _now_s(self) -> float:
        # Nobody sets this clock, so a drop is never quiet too early.
        return self._offset_s + trio.current_time()

    # Files

    async def create(self, parent: Node, name: str) -> tuple[DropFile, OpenDrop]:
        """A new file, open for writing; raises as `Drops.create`, or StoreError."""
        store = await self._prepared()
        path = self._path(parent, name)
        file = self._permitted(lambda: self._drops.create(path, self._now_s()))
        file.writers += 1
        try:
            descriptor = await trio.to_thread.run_sync(lambda: store.open(file.number, new=True))
        except BaseException:
            file.writers -= 1
            if file.drop is not None:
                self._drops.remove(path, self._now_s())
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
        path = self._path(parent, name)
        made = self._permitted(lambda: self._drops.make_folder(path, self._now_s()))
        return DropDirectory(drops=self._drops, path=made.path)

    def remove_directory(self, parent: Node, name: str) -> None:
        """Removes an empty directory; raises as `Drops.remove_folder`."""
        path = self._path(parent, name)
        if len(path) != 2:
            raise self._refused("the directories in Outbox stay")
        self._drops.remove_folder(path)

    async def remove(self, parent: Node, name: str) -> None:
        """Removes a file or a report; a message that waits is not sent then.

        Raises:
            BusyError: Its message is being sent.
            NotPermittedError: It is no file that somebody has dropped.
            FileError: As `Drops.remove`.
            StoreError: The outbox cannot be written.
        """
        path = self._path(parent, name)
        self._require_dropped(parent, path)
        found = self._drops.find(path)
        entry = found.drop if isinstance(found, DropFile) else None
        if entry is not None and entry.stage is Stage.TAKEN:
            raise BusyError("the file is being used; try again")
        send_id = entry.send_id if entry is not None else getattr(found, "send_id", "")
        if send_id:
            await self._stop(send_id)
        self._erase(self._drops.remove(path, self._now_s()))
        self._woken.set()

    def rename(self, parents: tuple[Node, Node], name: str, new_name: str) -> None:
        """Gives a file or directory another name or place; raises as `Drops.rename`."""
        before, after = self._path(parents[0], name), self._path(parents[1], new_name)
        self._require_dropped(parents[0], before)
        self._require_dropped(parents[1], after)
        self._erase(self._permitted(lambda: self._drops.rename(before, after, self._now_s())))
        self._woken.set()

    @staticmethod
    def _path(directory: Node, name: str) -> tuple[str, ...]:
        place = drop_place(directory)
        assert place is not None  # noqa: S101 - `FileSystem.dropping_at` has found it
        return (*place[1], name)

    def _require_dropped(self, directory: Node, path: tuple[str, ...]) -> None:
        """Returns if a name is that of a dropped file, or free.

        Raises:
            NotPermittedError: It is another file.
        """
        is_there = isinstance(directory, Directory) and directory.find(path[-1]) is not None
        if is_there and self._drops.find(path) is None:
            raise self._refused(
                f"{path[-1]}: what is here stays as it is; {self._drops.rules.advice}, under another name"
            )

    def _permitted(self, change: Callable[[], T]) -> T:
        """The result of `change`; lists why it is not possible, since a program sees only a number."""
        try:
            return change()
        except (NotPermittedError, NoRoomError) as exc:
            self._list_error(str(exc))
            raise

    def _refused(self, because: str) -> NotPermittedError:
        self._list_error(because)
        return NotPermittedError(because)

    def _list_error(self, text: str) -> None:
        now_s = trio.current_time()
        if self._told_s.get(text, now_s - _TELL_EVERY_S) <= now_s - _TELL_EVERY_S:
            self._told_s[text] = now_s
            self._recorder.fault("send", text)

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

    # Drops

    async def run(self) -> None:
        """Uses drops as soon as they are complete, until it is cancelled."""
        try:
            try:
                await self._prepared()  # It also erases what killed processes have left.
            except StoreError as exc:
                self._recorder.fault("send", str(exc))
            await self._begin()
            while True:
                self._woken = trio.Event()
                self._tell(*self._drops.forgotten)
                self._drops.forgotten.clear()
                for entry in self._drops.due(self._now_s()):
                    await self._take(entry)
                self._looked.set()
                self._looked = trio.Event()
                next_s = self._drops.next_s
                with trio.move_on_after(math.inf if next_s is None else max(0.0, next_s - self._now_s())):
                    await self._woken.wait()
        except trio.Cancelled:
            if self._store is not None:
                self._store.close()
            raise

    async def settle(self) -> None:
        """Returns when all that is closed and complete was used, `SETTLE_S` at most.

        It does not wait for what has to wait for longer, as without network.
        """
        with trio.move_on_after(SETTLE_S):  # noqa: ASYNC912 - there may be nothing to wait for
            while self._is_moving():
                await self._looked.wait()
        # A report about what the outbox has comes back with the next mount.
        left = sorted(
            "/".join(each.path)
            for each in self._drops.entries.values()
            if not each.send_id and not is_unfinished(each.path[-1]) and each.sendable()
        )
        if left:
            where = self._drops.rules.where
            self._recorder.fault(UNSENT, f"not sent, and gone from {where}: {', '.join(left)}")

    def _is_moving(self) -> bool:
        next_s = self._drops.next_s
        return (next_s is not None and next_s < self._now_s() + SETTLE_S) or any(
            each.stage is Stage.TAKEN for each in self._drops.entries.values()
        )

    async def _take(self, entry: Dropped) -> None:
        entry.stage = Stage.TAKEN
        try:
            await self._use(entry)
        except (ValueError, ForbiddenError, ConfigError) as exc:
            self._fail(entry, str(exc))
        except StoreError as exc:
            self._fail(entry, f"{exc}, but the outbox may have it; see `rcfs outbox`")
        except PlatformError as exc:
            self._recorder.failure("send", exc)
            self._drops.postpone(entry, self._now_s() + AGAIN_S)
        except BaseException:
            self._drops.postpone(entry, math.inf)
            raise

    def _finish(self, entry: Dropped) -> None:
        """Removes a drop that was used."""
        before = self._paths(entry)
        self._erase(*self._drops.finish(entry))
        self._tell(*before)

    def _fail(self, entry: Dropped, problem: str, *, is_unknown: bool = False) -> None:
        text = self._failed_text(problem.rstrip("."), is_unknown=is_unknown)
        before = self._paths(entry)
        self._drops.fail(entry, text, self._now_s(), is_unknown=is_unknown)
        self._tell(*before, *self._paths(entry))

    def _paths(self, entry: Dropped) -> list[tuple[str, ...]]:
        """The paths of a drop, its files and its reports."""
        files = [(*entry.path, name) for name in entry.files] if entry.is_folder else []
        return [*files, entry.path, *self._drops.reports_of(entry.path)]

    def _tell(self, *paths: tuple[str, ...]) -> None:
        """Tells the listeners that something changed at paths of the drops."""
        shown = (self._shown(path) for path in paths)
        self._changes.changed({path for path in shown if path is not None})
