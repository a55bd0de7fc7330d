"""What `df` tells: how much the tree holds, and how much room the disk of the cache has.

A question is answered at once, whatever is locked or hangs: the size of the tree is summed in the background,
and a disk that does not answer leaves its last answer.
"""

import os
from collections.abc import Collection
from pathlib import Path

import attrs
import trio

from rcfs.engine import Engine
from rcfs.errors import StoreError
from rcfs.files._changes import Listener, TreePath

_DISK_WITHIN_S = 0.25
"""Longest wait for the disk: statvfs takes microseconds, unless the disk is on a network that is gone."""
_SUM_EVERY_S = 60.0
"""Least time between two sums, which cost some 2 s of a core for a million messages."""
_PAUSE_S = 0.01
"""Between two pieces of a sum, which take a few milliseconds each: others want the index as well."""


@attrs.frozen
class Space:
    """How much there is of what."""

    tree_bytes: int
    """All records, and all contents whose size is known."""
    free_bytes: int
    """What the disk of the cache has left."""
    free_files: int
    """How many files that disk can still take."""


class SpaceMeter(Listener):
    """Knows the sizes; all methods run in the trio thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._directory: Path = engine.cache.directory
        self._tree_bytes = 0
        self._disk = _disk_of(self._directory)
        # One thread each: whoever waits for a disk that hangs, or for the index, keeps no other work waiting.
        self._threads = trio.CapacityLimiter(1)
        self._summing = trio.CapacityLimiter(1)
        self._changed = trio.Event()
        self._changed.set()

    def changed(self, paths: Collection[TreePath]) -> None:  # noqa: ARG002 - whichever they are
        self._changed.set()

    def all_changed(self, name: str) -> None:  # noqa: ARG002 - the same
        self._changed.set()

    async def run(self) -> None:
        """Keeps the size of the tree current; runs for as long as somebody may ask."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            try:
                self._tree_bytes = await self._sum()
            except StoreError as exc:
                self._engine.recorder.fault("size of the tree", str(exc))
            await trio.sleep(_SUM_EVERY_S)

    async def look(self) -> Space:
        """The sizes as of now, or as they were told last."""
        if self._threads.borrowed_tokens == 0:
            with trio.move_on_after(_DISK_WITHIN_S):
                self._disk = await trio.to_thread.run_sync(
                    _disk_of, self._directory, limiter=self._threads, abandon_on_cancel=True
                )
        return Space(self._tree_bytes, *self._disk)

    async def _sum(self) -> int:
        """The bytes of all records, and of all contents whose size is known."""
        total, after = 0, ""
        while True:
            size_bytes, after = await trio.to_thread.run_sync(
                self._engine.sizes.total, self._engine.account.id, after, limiter=self._summing
            )
            total += size_bytes
            if not after:
                break
            await trio.sleep(_PAUSE_S)
        for extension in self._engine.account.extensions:
            last: int | None = -1
            while last is not None:
                size_bytes, last = await trio.to_thread.run_sync(
                    self._engine.index.reader.record_bytes,
                    self._engine.account.id,
                    extension.id,
                    last,
                    limiter=self._summing,
                )
                total += size_bytes
                await trio.sleep(_PAUSE_S)
        return total


def _disk_of(directory: Path) -> tuple[int, int]:
    """(bytes, files) that are free on the disk of `directory`; zeros when it cannot be asked."""
    try:
        disk = os.statvfs(directory)
    except OSError:
        return 0, 0
    return disk.f_bavail * disk.f_frsize, disk.f_favail
