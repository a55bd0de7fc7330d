"""Directories for tests that mount nothing."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = "/dev/shm"
ROOM_BYTES = 2 << 30
"""Free memory below which the disk is used: more than all tests that run at a time write."""


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A new directory, in memory where there is room: there SQLite waits for no disk."""
    memory = MEMORY if os.access(MEMORY, os.W_OK) and _free_bytes(MEMORY) >= ROOM_BYTES else None
    with tempfile.TemporaryDirectory(prefix="rcfs-test-", dir=memory) as directory:
        yield Path(directory)


def _free_bytes(directory: str) -> int:
    shown = os.statvfs(directory)
    return shown.f_bavail * shown.f_frsize
