"""What `df` tells of a mount: how much the tree holds, and how much room the disk of the cache has.

A question is answered at once, whatever is locked or hangs: the size of the tree is summed in the background,
and a disk that does not answer leaves its last answer.
"""

import os
from pathlib import Path

import pyfuse3
import trio

from rcfs.engine import Engine
from rcfs.errors import StoreError

BLOCK_BYTES = 4096
"""Unit of the answer: a page of memory, as most file systems have it."""
_DISK_WITHIN_S = 0.25
"""Longest wait for the disk: statvfs takes microseconds, unless the disk is on a network that is gone."""
_SUM_EVERY_S = 60.0
"""Least time between two sums, which cost some 2 s of a core for a million messages."""
_PAUSE_S = 0.01
"""Between two pieces of a sum, which take a few milliseconds each: others want the index as well."""


class Space:
    """The sizes of one mount; all methods run in the trio thread."""

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

    def note_change(self) -> None:
        """The tree holds something else than before."""
        self._changed.set()

    async def run(self) -> None:
        """Keeps the size of the tree current; runs for as long as there is a mount."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            try:
                self._tree_bytes = await self._sum()
            except StoreError as exc:
                self._engine.recorder.fault("size of the tree", str(exc))
            await trio.sleep(_SUM_EVERY_S)

    async def answer(self, inodes: int) -> pyfuse3.StatvfsData:
        """The answer to statfs(2); `inodes` are those in use."""
        if self._threads.borrowed_tokens == 0:
            with trio.move_on_after(_DISK_WITHIN_S):
                self._disk = await trio.to_thread.run_sync(
                    _disk_of, self._directory, limiter=self._threads, abandon_on_cancel=True
                )
        free_bytes, free_files = self._disk
        data = pyfuse3.StatvfsData()
        data.f_bsize = data.f_frsize = BLOCK_BYTES
        data.f_bfree = data.f_bavail = free_bytes // BLOCK_BYTES
        data.f_blocks = data.f_bfree + -(-self._tree_bytes // BLOCK_BYTES)
        data.f_ffree = data.f_favail = free_files
        data.f_files = inodes + free_files
        data.f_namemax = 255
        return data

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
                    self._engine.index.record_bytes,
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
