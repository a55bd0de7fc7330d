"""The sizes that `df` shows: that of the tree, and the free room on the cache's disk.

The answer never waits for a lock or for a disk that hangs. The tree is summed in the background, and a disk
that does not answer in time leaves its last answer. Only in the first second of a mount does the answer wait
for the first sum, because `df` would show an empty file system.
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
_FIRST_SUM_WITHIN_S = 1.0
"""How long after the start of a mount its answers may wait for the first sum: long enough for most accounts,
and short enough for a desktop that asks as soon as it sees the mount."""
_SUM_EVERY_S = 60.0
"""Longest rest between two sums, which cost some 2 s of a core for a million messages."""
_REST = 30
"""The rest after a sum is this many times as long as the sum took, so small accounts are summed soon
again."""
_PAUSE_S = 0.01
"""Pause between two pieces of a sum, which take a few milliseconds each, for others that want the index."""


@attrs.frozen
class Space:
    """Used and free room."""

    tree_bytes: int
    """All records, and all contents whose size is known."""
    free_bytes: int
    """Room left on the disk of the cache."""
    free_files: int
    """Number of files that this disk can still take."""


class SpaceMeter(Listener):
    """Measures the tree and the disk of the cache; all methods run in the trio thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._directory: Path = engine.cache.directory
        self._tree_bytes = 0
        self._disk = _disk_of(self._directory)
        # One thread each, so that a disk that hangs, or a locked index, keeps no other work waiting.
        self._threads = trio.CapacityLimiter(1)
        self._summing = trio.CapacityLimiter(1)
        self._changed = trio.Event()
        self._changed.set()
        self._summed = trio.Event()
        self._first_sum_until_s = trio.current_time() + _FIRST_SUM_WITHIN_S

    def changed(self, paths: Collection[TreePath]) -> None:  # noqa: ARG002 - any change calls for a new sum
        self._changed.set()

    def all_changed(self, path: TreePath) -> None:  # noqa: ARG002 - the same
        self._changed.set()

    async def run(self) -> None:
        """Sums the tree after each change, until it is cancelled."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            began_s = trio.current_time()
            try:
                self._tree_bytes = await self._sum()
            except StoreError as exc:
                self._engine.recorder.fault("size of the tree", str(exc))
            self._summed.set()
            await trio.sleep(min(_REST * (trio.current_time() - began_s), _SUM_EVERY_S))

    async def look(self) -> Space:
        """The present sizes, or the last ones that are known."""
        with trio.move_on_at(self._first_sum_until_s):
            await self._summed.wait()
        if self._threads.borrowed_tokens == 0:
            with trio.move_on_after(_DISK_WITHIN_S):
                self._disk = await trio.to_thread.run_sync(
                    _disk_of, self._directory, limiter=self._threads, abandon_on_cancel=True
                )
        return Space(self._tree_bytes, *self._disk)

    async def _sum(self) -> int:
        """The bytes of all records, and of all contents whose size is known."""
        account = self._engine.account
        total, after = 0, ""
        while True:
            size_bytes, after = await trio.to_thread.run_sync(
                self._engine.sizes.total, account.id, after, limiter=self._summing
            )
            total += size_bytes
            if not after:
                break
            await trio.sleep(_PAUSE_S)
        record_bytes = self._engine.index.reader.record_bytes
        for extension in account.extensions:
            last: int | None = -1
            while last is not None:
                size_bytes, last = await trio.to_thread.run_sync(
                    record_bytes, account.id, extension.id, last, limiter=self._summing
                )
                total += size_bytes
                await trio.sleep(_PAUSE_S)
        return total


def _disk_of(directory: Path) -> tuple[int, int]:
    """(bytes, files) that are free on the disk of `directory`; zeros when the disk gives an error."""
    try:
        disk = os.statvfs(directory)
    except OSError:
        return 0, 0
    return disk.f_bavail * disk.f_frsize, disk.f_favail
